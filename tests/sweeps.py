"""What tests of sweeps share: small runs, what a sweep left behind, and sweeps in processes of their own."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runner.record.journal import read_journal

SMALL = ("tracking=off", "optimizer.max_evaluations=8", "estimator.default_shots=100")
PLAIN = (*SMALL, "run.figures=false")
FOUR = ("optimizer=cobyla,spsa", "seed=1,2")
TWO_WORKERS = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
WALL_CLOCK = {"wall_seconds"}
PAUSED = 12
"""Events that a run of a paused sweep has written when it stands still."""


def table(folder: str | Path) -> list[dict[str, str]]:
    """The rows of a sweep.csv."""
    with (Path(folder) / "sweep.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers(folder: str | Path) -> list[dict[str, str]]:
    """The rows without what the clock on the wall decides."""
    return [{key: value for key, value in row.items() if key not in WALL_CLOCK} for row in table(folder)]


def energies(folder: Path) -> list[list[float]]:
    """Every energy of every run, to the last bit."""
    return [
        [
            event.energy
            for event in read_journal(folder / row["directory"] / "journal.jsonl").events
            if event.kind == "evaluation"
        ]
        for row in table(folder)
    ]


def paused_sweep(folder: Path, *overrides: str, seconds: float) -> subprocess.Popen[bytes]:
    """A parallel sweep whose two workers both stand still in the middle of their first run; the four of `FOUR`."""
    arguments = [*FOUR, *PLAIN, *TWO_WORKERS, *overrides, f"hydra.sweep.dir={folder}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "-m", *arguments],
        start_new_session=True,
        cwd=folder.parent,
        env=os.environ | {"RUNNER_FAULT": f"after_journal:{PAUSED}:sleep={seconds}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def both_stand_still() -> bool:
        lengths = [path.read_bytes().count(b"\n") for path in folder.glob("*/journal.jsonl")]
        return process.poll() is not None or sum(length >= PAUSED for length in lengths) == 2

    wait_for(both_stand_still)
    return process


def wait_for(condition: Callable[[], bool], seconds: float = 100.0) -> None:
    """Look until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def members(session: int) -> list[int]:
    """The processes that were started, by whomever, in a session of processes.

    One whose first thread is a zombie lives, and holds its files and locks, until its last thread has ended.
    """
    found = set()
    for path in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        try:
            state, _, _, theirs = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it has ended meanwhile
        if int(theirs) == session and state != "Z":
            found.add(int(path.parts[2]))
    return sorted(found)

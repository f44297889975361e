"""Sixteen H2 runs and two hundred tiny ones: serial against two worker processes, alternating; about five minutes.

`python -m benchmarks.sweep [ROUNDS]`
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.arguments import read

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

H2 = ["experiment=vqe", "hamiltonian=h2", "seed=range(16)"]
TINY = ["hamiltonian=two_qubit", "estimator=exact", "optimizer.max_evaluations=30", "seed=range(200)"]
OFF = ["tracking=off"]
PARALLEL = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def timed(words: Sequence[str], folder: Path) -> float:
    """Seconds from typing the command to its end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "runner", "-m", *words, f"hydra.sweep.dir={folder}"]
    ended = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(command[2:])} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}")
    return time.perf_counter() - start


def events(folder: Path) -> list[list[object]]:
    """Every number of every run that was measured."""
    found = []
    for journal in sorted(folder.glob("*/journal.jsonl"), key=lambda path: int(path.parent.name)):
        lines = (json.loads(line) for line in journal.open(encoding="utf-8"))
        found.append([(e["energy"], e["stddev"]) for e in lines if e["kind"] == "evaluation"])
    return found


COMPUTE = """
import sys, tempfile, time
from runner.declare.composer import declare
from runner.record.journal import Journal
from runner.run.preflight import Preparation
from runner.record.replay import Record
from runner.run.signals import StopFlag
from pathlib import Path
with tempfile.TemporaryDirectory() as folder:
    configs = [declare([*sys.argv[1:], f"seed={seed}"]).config for seed in range(200)]
    for number, config in enumerate([configs[0], *configs]):
        if number == 1:
            start = time.perf_counter()
        with Journal.create(Path(folder) / f"{number}.jsonl") as journal:
            lab = Preparation(config).lab(Record(journal, []), StopFlag())
            with lab:
                config.experiment.run(lab)
    print(time.perf_counter() - start)
"""
"""What cannot be saved: problem, transpiling, evaluations, optimizer and journal, and no run directory around them."""


def compute(words: Sequence[str]) -> float:
    """Seconds of 200 runs' work in a plain loop, in one process that has everything loaded."""
    command = [sys.executable, "-c", COMPUTE, *(word for word in words if not word.startswith("seed="))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


BUSY = "for _ in range(5_000_000): [_ * _ % 7]"


def at_once() -> float:
    """How many times faster this machine does two computations in two processes than one after the other."""

    def seconds(count: int) -> float:
        start = time.perf_counter()
        started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
        for process in started:
            process.wait()
        return time.perf_counter() - start

    return 2 * seconds(1) / seconds(2)


def alternating(
    words: Sequence[str], rounds: int, home: Path
) -> tuple[Mapping[str, list[float]], list[float]]:
    """(seconds of every round, serial and parallel; what the machine could do at once before each of them)."""
    times: dict[str, list[float]] = {"serial": [], "joblib": []}
    possible = []
    for number in range(rounds):
        possible.append(at_once())
        folders = {kind: home / f"{len(list(home.iterdir()))}-{kind}" for kind in times}
        for kind, folder in list(folders.items())[:: 1 if number % 2 == 0 else -1]:
            times[kind].append(timed([*words, *(PARALLEL if kind == "joblib" else [])], folder))
        assert events(folders["serial"]) == events(folders["joblib"]), "numbers differ"
    return times, possible


def main(rounds: int) -> None:
    """Print medians and ratios."""
    with tempfile.TemporaryDirectory() as name:
        for title, words, repeats in (
            ("16 H2 runs, tracking off", [*H2, *OFF], rounds),
            ("16 H2 runs, tracked in sqlite", H2, 1),
            ("200 tiny runs, tracking off", [*TINY, *OFF], rounds),
        ):
            bare = [compute(words) for _ in range(repeats)] if title.startswith("200") else []
            times, possible = alternating(words, repeats, Path(name))
            serial, joblib = (statistics.median(times[kind]) for kind in times)
            ratios = [one / other for one, other in zip(*times.values(), strict=True)]
            print(
                f"{title}: serial {serial:.1f} s, 2 workers {joblib:.1f} s, ratio {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}; two loops that share nothing: "
                f"{statistics.median(possible):.2f}); every energy the same to the last bit",
                flush=True,
            )
            if bare:
                alone = statistics.median(bare)
                print(
                    f"    their compute in a plain loop {alone:.1f} s: a sweep costs {serial / alone:.2f} times that, "
                    f"with 2 workers {joblib / alone:.2f} times",
                    flush=True,
                )


if __name__ == "__main__":
    main(
        read(
            __name__, __doc__, ("rounds", {"nargs": "?", "type": int, "default": 2, "metavar": "ROUNDS"})
        ).rounds
    )

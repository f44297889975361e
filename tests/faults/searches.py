"""Sweeps and searches that are broken: in the end tables, runs and study are those of one that never was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import place, trial
from tests.faults.soak import MARK, processes
from tests.faults.trial import Ending, Trial
from tests.sweeps import numbers

SMALL = ("tracking=off", "run.figures=false", "seed=11", "optimizer.max_evaluations=4")
SEARCH = (
    *SMALL, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.study_name=mine",
    "optimizer=cobyla,spsa", "ansatz.reps=range(1,4)",
    "hamiltonian=tfim", "hamiltonian.shape=[3]", "hamiltonian.field=interval(0.5,1.5)",
)  # fmt: skip
SAMPLERS = {
    "tpe": (),
    "random": ("hydra.sweeper.sampler=random",),
    "qmc": ("hydra.sweeper.sampler=qmc",),
    "nsga2": ("hydra.sweeper.sampler=nsga2", "hydra.sweeper.objective=[error,usage_seconds]"),
}
STORES = ("null", "sqlite")
CASES: dict[str, tuple[str, ...]] = {
    f"search_{sampler}_{store}": (*SEARCH, *options)
    for sampler, options in SAMPLERS.items()
    for store in STORES
}
CASES["sweep"] = (*SMALL, "optimizer=cobyla,spsa", "ansatz.reps=1,2")
CASES["sweep_stopped"] = (*SMALL, "optimizer=cobyla,spsa", "session.max_time=70,100")
CASES["search_stopped_sqlite"] = (*SEARCH, "session.max_time=choice(60,100)")
STOPPED = ("sweep_stopped", "search_stopped_sqlite")
"""Of which some runs end with their sessions, and are over."""
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local",),
}
POINTS = {
    "before_journal": 100,
    "mid_write": 100,
    "after_journal": 100,
    "asked": 3,
    "planned": 3,
    "study": 12,
}
"""Point at which a sweep's process may be broken → about how often it comes by."""
ATTEMPTS = 12
"""Times that something may be resumed before it counts as not resumable."""


@dataclass(frozen=True)
class Facts:
    """What must not depend on how often a sweep was broken."""

    table: list[dict[str, str]]
    runs: list[dict[str, str]]
    """Digests of every run, as for one alone."""
    study: list[tuple[Any, ...]]
    """Number, parameters, values and state of every trial, in order; nothing where there is no database."""
    best: list[int]
    code: int


def facts(folder: Path, code: int = 0) -> Facts:
    """What a sweep left that is over, and ended with this code."""
    found = numbers(folder)
    database = folder.with_suffix(".db")
    study, best = [], []
    if database.exists():
        import optuna

        stored = optuna.load_study(study_name="mine", storage=f"sqlite:///{database}")
        study = [(one.number, one.params, one.values, one.state.name) for one in stored.trials]
        best = [one.number for one in stored.best_trials]
    return Facts(found, [trial.identity(folder / row["directory"]) for row in found], study, best, code)


@dataclass
class Broken:
    """One sweep of a trial."""

    folder: Path
    case: str
    options: tuple[str, ...] = ()

    @property
    def output(self) -> Path:
        """What its processes print."""
        return self.folder.with_suffix(".txt")

    @property
    def arguments(self) -> tuple[str, ...]:
        """What starts it, or goes on with it."""
        store = []
        if self.case.startswith("search"):
            database = f"sqlite:///{self.folder.with_suffix('.db')}"
            store = [f"hydra.sweeper.storage={database if self.case.endswith('sqlite') else 'null'}"]
        if (self.folder / "runs.jsonl").exists():
            return ("resume", str(self.folder), *store)
        shutil.rmtree(self.folder, ignore_errors=True)
        return ("-m", *CASES[self.case], *store, *self.options, f"hydra.sweep.dir={self.folder}")

    def go_on(self, fault: str = "", signals: Sequence[tuple[float, int]] = ()) -> Ending:
        """One process's part of it."""
        database = self.folder.with_suffix(".db")
        if not (self.folder / "runs.jsonl").exists():
            database.unlink(missing_ok=True)  # that study was of another sweep
        return Trial(arguments=self.arguments, fault=fault, signals=tuple(signals)).run(self.output)

    def finish(self, expected: Facts) -> None:
        """Let it come to its end, which must be the unbroken one's."""
        ended = self.go_on()
        over = ended.code == 2 and "there is nothing to resume" in ended.output
        assert ended.code == expected.code or over, f"exit {ended.code}: {ended.output}"
        found = facts(self.folder)
        for name in ("table", "runs", "study", "best"):
            mine, theirs = getattr(found, name), getattr(expected, name)
            assert mine == theirs, f"{name} differs in {self.folder}: {mine} for {theirs}"
        shutil.rmtree(self.folder)
        for suffix in (".txt", ".db"):
            self.folder.with_suffix(suffix).unlink(missing_ok=True)


def reference(home: Path, case: str, known: dict[str, Facts]) -> Facts:
    """What the unbroken one leaves, made once."""
    if case not in known:
        sweep = Broken(home / f"reference-{case}", case)
        ended = sweep.go_on()
        assert ended.code == (3 if case in STOPPED else 0), ended.output
        known[case] = facts(sweep.folder, ended.code)
    return known[case]


def kills(home: Path, case: str, expected: Facts, seed: int, number: int, wanted: int) -> str:
    """Kill it so often, at points of the search or of its runs or at any moment, and go on each time."""
    rng = random.Random(f"{seed} sweep {case} {number}")
    hits = begun = 0
    while hits < wanted:
        sweep = Broken(home / f"killed-{case}-{number}-{begun}", case)
        ended = Ending(-signal.SIGKILL, 0.0, "")
        while hits < wanted and ended.code == -signal.SIGKILL:
            if rng.random() < 0.2:
                ended = sweep.go_on(signals=((rng.uniform(0, 3), signal.SIGKILL),))
            else:
                point = rng.choice(
                    [name for name in POINTS if case.startswith("search") or "journal" in name]
                )
                ended = sweep.go_on(f"{point}:{rng.randint(1, POINTS[point])}:kill9")
            hits += ended.code == -signal.SIGKILL
        sweep.finish(expected)
        begun += 1
    return f"{hits} kills, {begun} sweeps"


def workers(home: Path, case: str, expected: Facts, seed: int, number: int, launcher: str) -> str:
    """Kill a worker process at a random moment, from outside; the sweep ends as if nothing had been."""
    rng = random.Random(f"{seed} workers {case} {number}")
    sweep = Broken(home / f"workers-{case}-{number}-{launcher}", case, LAUNCHERS[launcher])
    mark = f"{os.getpid()}-{number}-{case}-{launcher}"
    with sweep.output.open("ab") as output:
        conductor = subprocess.Popen(
            [sys.executable, "-m", "runner", *sweep.arguments],
            stdout=output, stderr=output, env={**os.environ, MARK: mark},
        )  # fmt: skip
        while not list(sweep.folder.glob("*/journal.jsonl")) and conductor.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1))
        busy = [
            pid for pid, parent, line in processes(mark) if pid != conductor.pid and parent != conductor.pid
        ]
        hit = _kill(rng.choice(busy)) if busy else 0
        code = conductor.returncode = trial.see_through(conductor.pid, ())
    assert code in (expected.code, 1, 137), sweep.output.read_text()
    sweep.finish(expected)
    return f"{hit} kills"


def _kill(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def full(home: Path, case: str, expected: Facts, seed: int, number: int) -> str:
    """A small disk fills up: one line and exit code 5, and once there is room it ends as if there had been."""
    rng = random.Random(f"{seed} full {case} {number}")
    with place.mounted(home / f"full-{case}-{number}", kilobytes=rng.randrange(24, 240, 4)) as disk:
        sweep = Broken(disk.path / "sweep", case)
        output = home / f"full-{case}-{number}.txt"
        ended = Trial(arguments=sweep.arguments).run(output)
        refused = int(ended.code != 0)
        if refused:
            lines = [line for line in ended.output.splitlines() if line.startswith("error: ")]
            assert ended.code == 5, f"exit {ended.code}: {ended.output}"
            assert len(lines) == 1, ended.output
            assert "Traceback" not in ended.output, ended.output
        disk.grow()
        sweep.finish(expected)
    output.unlink()
    return f"{refused} refused"

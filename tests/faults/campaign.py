"""The campaign: what is broken, how often, and the table of what was lost."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from runner import faults
from runner.tracking import TrackingConfig, sync
from runner.tracking.sync import locked
from tests.faults import trial

SMALL = ("tracking=off", "run.figures=false", "seed=11")
CASES: dict[str, tuple[str, ...]] = {
    "cobyla": ("optimizer=cobyla", "optimizer.max_evaluations=16"),
    "spsa": ("optimizer=spsa", "optimizer.max_evaluations=20"),
    "race": ("experiment=vqe_race", "optimizer.max_evaluations=8"),
    "nelder_mead": ("optimizer=nelder_mead", "optimizer.max_evaluations=24"),
    "powell": ("optimizer=powell", "optimizer.max_evaluations=24"),
    "cobyqa": ("optimizer=cobyqa", "optimizer.max_evaluations=24"),
    "slsqp": ("optimizer=slsqp", "optimizer.max_evaluations=12"),
    "l_bfgs_b": ("optimizer=l_bfgs_b", "estimator=exact", "optimizer.max_evaluations=12"),
    "expiry": (
        "optimizer=cobyla",
        "optimizer.max_evaluations=16",
        "session.max_time=60s",
        "session.on_expiry=reopen",
    ),
}
ENDED = ("finished", "stopped")
"""Runs of which nothing is left to do, unless their session is to be followed by another."""

WORKLOADS = {"race": 2}
"""Jobs that may be under way at one moment, where it is more than one: so many may be lost with a kill."""

DEFAULT_CASES = ("cobyla", "spsa", "race")


@dataclass
class Row:
    """One line of the table."""

    fault: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    """What went wrong, each with what is needed to see it again."""
    note: str = ""


@dataclass
class Campaign:
    """Runs trials below `home`; every random choice comes from `seed`."""

    home: Path
    seed: int = 1
    rows: list[Row] = field(default_factory=list)
    _references: dict[str, tuple[dict[str, str], int, int]] = field(default_factory=dict)

    def row(self, fault: str, trials: Iterator[Callable[[], str]]) -> Row:
        """Run trials; one that raises is a loss."""
        row = Row(fault)
        notes: list[str] = []
        for number, attempt in enumerate(trials):
            row.tried += 1
            try:
                notes.append(attempt())
            except Exception:
                row.lost.append(f"seed {self.seed}, trial {number}: {traceback.format_exc()}")
        row.note = summary(notes)
        self.rows.append(row)
        return row

    def reference(self, case: str) -> tuple[dict[str, str], int, int]:
        """An unbroken run of this case: what must come out, how many events it writes, how many jobs it runs."""
        if case not in self._references:
            directory = self.home / f"reference-{case}"
            output = self.home / f"reference-{case}.txt"
            ended = trial.in_a_process(trial.start((*SMALL, *CASES[case]), directory), output)
            assert ended.code in (0, 3), ended.output
            events = len(trial.read_journal(directory / "journal.jsonl").events)
            self._references[case] = trial.identity(directory), events, trial.recorded_jobs(directory)
        return self._references[case]

    def kills(self, case: str, kills: int, number: int) -> str:
        """Kill a run `kills` times, at random events or moments, resuming each time; it must not matter."""
        rng = random.Random(f"{self.seed} kills {case} {number}")
        expected, events, jobs = self.reference(case)
        directory = self.home / f"killed-{case}-{number}"
        executed = directory.with_suffix(".executed")
        output = directory.with_suffix(".txt")
        hits = 0
        for _ in range(kills):
            point, k = rng.choice(trial.POINTS), rng.randint(1, events)
            fault = f"{point}:{k}:kill9"
            signals = []
            if rng.random() < 0.25:
                fault, signals = "", [(rng.uniform(0, 0.4), signal.SIGKILL)]
            work = self._continue(case, directory, executed, fault)
            ended = trial.in_a_process(work, output, signals)
            assert ended.code in (0, 3, -signal.SIGKILL), ended.output
            hits += ended.code == -signal.SIGKILL
            if trial.status(directory) in ENDED:
                break
        if trial.status(directory) not in ENDED:
            ended = trial.in_a_process(self._continue(case, directory, executed, ""), output)
            assert ended.code in (0, 3), ended.output
        self._same(directory, expected)
        recomputed = executed.stat().st_size - jobs
        allowed = hits * WORKLOADS.get(case, 1)
        assert 0 <= recomputed <= allowed, f"{recomputed} evaluations recomputed after {hits} kills"
        _forget(directory)
        return f"{hits} kills, {recomputed} recomputed"

    def signals(self, case: str, number: int) -> str:
        """Send SIGINT or SIGTERM at a random moment, sometimes twice; exit in time, resumable, same result."""
        rng = random.Random(f"{self.seed} signals {case} {number}")
        expected, _, _ = self.reference(case)
        directory = self.home / f"signalled-{case}-{number}"
        output = directory.with_suffix(".txt")
        which = rng.choice((signal.SIGINT, signal.SIGTERM))
        signals = [(rng.uniform(0, 0.6), int(which))]
        if rng.random() < 0.25:
            signals.append((rng.uniform(0, 0.02), int(which)))
        ended = trial.in_a_process(trial.start((*SMALL, *CASES[case]), directory), output, signals)
        assert ended.code in (0, 3, 128 + which, -which), f"exit {ended.code}: {ended.output}"
        if trial.status(directory) not in ENDED:
            again = trial.in_a_process(self._continue(case, directory, None, ""), output)
            assert again.code in (0, 3), again.output
        self._same(directory, expected)
        _forget(directory)
        return f"{int(ended.code not in (0, 3))} interrupted"

    def disk(self, case: str, k: int, action: str) -> str:
        """The k-th write to the journal fails; one clear line, exit 5 or a failed run, resumable, same result."""
        expected, _, _ = self.reference(case)
        directory = self.home / f"disk-{action}-{case}-{k}"
        output = directory.with_suffix(".txt")
        work = trial.start((*SMALL, *CASES[case]), directory, f"mid_write:{k}:{action}")
        ended = trial.in_a_process(work, output)
        assert ended.code == 5, f"exit {ended.code}: {ended.output}"
        assert "Traceback" not in ended.output, ended.output
        again = trial.in_a_process(self._continue(case, directory, None, ""), output)
        assert again.code in (0, 3), again.output
        self._same(directory, expected)
        _forget(directory)
        return "1 refused"

    def not_a_number(self, case: str, k: int, value: float) -> str:
        """G11: the k-th estimate is nan or infinite; the run fails, names it, and it is never the best."""
        directory = self.home / f"nan-{case}-{k}-{value}"
        output = directory.with_suffix(".txt")

        def work() -> int:
            trial.spoil(k, lambda numbers: replace(numbers, evs=np.full_like(numbers.evs, value)))
            return trial.start((*SMALL, *CASES[case]), directory)()

        ended = trial.in_a_process(work, output)
        result = json.loads((directory / "result.json").read_text())
        assert (ended.code, result["status"]) == (1, "failed"), ended.output
        assert f"gave the energy {value}" in result["stop_reason"], result["stop_reason"]
        assert result["energy"] is None or math.isfinite(result["energy"])
        _forget(directory)
        return "1 failed"

    def tracked(self, case: str, number: int) -> str:
        """G14: a tracked run is killed, resumed and finished; MLflow holds it once, complete and FINISHED."""
        rng = random.Random(f"{self.seed} tracked {case} {number}")
        _, events, _ = self.reference(case)
        directory = self.home / f"tracked-{case}-{number}"
        output = directory.with_suffix(".txt")
        place = (f"tracking.uri=sqlite:///{self.home}/mlflow.db", f"tracking.artifacts={self.home}/artifacts")
        overrides = ("seed=11", *CASES[case], *place)
        fault = f"{rng.choice(trial.POINTS)}:{rng.randint(3, events)}:kill9"
        killed = trial.in_a_process(trial.start(overrides, directory, fault), output)
        if killed.code == -signal.SIGKILL and trial.status(directory) not in ENDED:
            again = trial.in_a_process(trial.resume(directory), output)
            assert again.code in (0, 3), again.output
        evaluations = json.loads((directory / "result.json").read_text())["evaluations"]
        with locked(directory):  # the uploader is done
            found = [row for row in trial.stored(self.home / "mlflow.db") if row[0] == directory.name]
        assert found == [(directory.name, "FINISHED", evaluations)], f"{found}, {evaluations} evaluations"
        _forget(directory)
        return f"{int(killed.code == -signal.SIGKILL)} kills"

    def sync(self, case: str) -> str:
        """Kill a sync at its every request, one after the other; in the end MLflow holds the run once."""
        self.reference(case)
        directory = self.home / f"reference-{case}"
        config = TrackingConfig(uri=f"sqlite:///{self.home}/sync.db", artifacts=str(self.home / "artifacts"))
        kills = 0
        for point in ("before_request", "after_request"):
            for k in itertools.count(1):
                (directory / "mlflow.json").unlink(missing_ok=True)
                ended = trial.in_a_process(
                    _syncing(directory, config, f"{point}:{k}:kill9"), self.home / "sync.txt"
                )
                if ended.code == 0:
                    break
                assert ended.code == -signal.SIGKILL, ended.output
                kills += 1
        evaluations = json.loads((directory / "result.json").read_text())["evaluations"]
        found = trial.stored(self.home / "sync.db")
        assert found == [(directory.name, "FINISHED", evaluations)], found
        return f"{kills} kills"

    def _continue(self, case: str, directory: Path, executed: Path | None, fault: str) -> Callable[[], int]:
        """Resume what there is; where nothing was recorded yet, start."""
        journal = directory / "journal.jsonl"
        if journal.exists() and trial.read_journal(journal).events:
            return trial.resume(directory, fault, executed)
        shutil.rmtree(directory, ignore_errors=True)
        return trial.start((*SMALL, *CASES[case]), directory, fault, executed)

    def _same(self, directory: Path, expected: dict[str, str]) -> None:
        found = trial.identity(directory)
        different = [name for name in expected if found[name] != expected[name]]
        assert not different, f"{', '.join(different)} differ from the unbroken run in {directory}"
        assert not trial.repeated_jobs(directory)


def _syncing(directory: Path, config: TrackingConfig, fault: str) -> Callable[[], int]:
    def work() -> int:
        faults.plan(fault)
        return 0 if sync(directory, config).state == "synced" else 1

    return work


def _forget(directory: Path) -> None:
    """Remove the files of a trial that went well."""
    shutil.rmtree(directory)
    for file in directory.parent.glob(f"{directory.name}.*"):
        file.unlink()


def summary(notes: list[str]) -> str:
    """Add up notes like '2 kills, 1 recomputed'."""
    totals: dict[str, int] = {}
    for note in notes:
        for part in filter(None, note.split(", ")):
            count, _, what = part.partition(" ")
            totals[what] = totals.get(what, 0) + int(count)
    return ", ".join(f"{count} {what}" for what, count in totals.items())


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| fault | tried | | lost |", "|---|---|---|---|"]
    lines += [f"| {row.fault} | {row.tried} | {row.note} | {len(row.lost) or 'nothing'} |" for row in rows]
    return "\n".join(lines)

"""The campaign: what is broken, how often, and the table of what was lost."""

from __future__ import annotations

import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import trial

SMALL = ("tracking=off", "seed=11")
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
            if ended.code in (0, 3):
                break
        if trial.status(directory) not in ("finished", "stopped"):
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
        if trial.status(directory) not in ("finished", "stopped"):
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

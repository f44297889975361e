"""One run in a process of its own, broken on purpose, and what must be the same however often it was broken."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.declare.config import Declaration
from runner.record import faults
from runner.record.journal import read_journal
from runner.record.packed import is_there
from runner.record.replay import lasting

POINTS = ("before_journal", "mid_write", "after_journal")
DEADLINE = 120.0
"""Seconds after which a process counts as hanging, on a machine that has a processor for it; a run takes one or two."""

GIVEN_UP = " given up"
"""Behind the name of a simulation that ended with `Interrupted`."""

_OWN = ("seq", "t", "journal")
_NOT_COMPARED = ("wall_seconds", "mlflow_run_id")


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    code: int
    """Exit code; minus the signal's number if one ended it."""
    seconds: float
    """How long it took."""
    output: str
    """What it printed."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One command line in one process: a fork of this one, which has everything imported, or `python -m runner`."""

    arguments: tuple[str, ...]
    """What is typed."""
    fault: str = ""
    """As RUNNER_FAULT has it."""
    signals: tuple[tuple[float, int], ...] = ()
    """Signals it gets: seconds to wait before each, and its number."""
    executed: Path | None = None
    """Where every simulation that begins leaves its name; only a fork does."""
    declared: Declaration | None = None
    """What the command line means, where it was composed before; only a fork believes it."""
    plain: bool = False
    """Start an interpreter, as users do."""
    hash_seed: int = 0
    """PYTHONHASHSEED of that interpreter: in what order sets of strings come must not matter."""

    def run(self, output: Path) -> Ending:
        """Carry it out; what it prints is added to `output`."""
        if not self.plain:
            return in_a_process(self.command, output, self.signals)
        with output.open("ab") as target:
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "runner", *self.arguments],
                stdout=target,
                stderr=target,
                env={**os.environ, "RUNNER_FAULT": self.fault, "PYTHONHASHSEED": str(self.hash_seed)},
            )
            code = see_through(process.pid, self.signals)
            process.returncode = code  # it was waited for already
        return Ending(code, time.monotonic() - began, output.read_text(errors="replace"))

    def command(self) -> int:
        """Carry it out in this process, which is for nothing else any more."""
        try:
            self._prepare()
        except KeyboardInterrupt:
            return 130  # what was interrupted is the harness
        from runner.__main__ import main

        return main(list(self.arguments))

    def _prepare(self) -> None:
        from runner.cli import run

        faults.plan(self.fault)
        if self.executed is not None:
            note_executions(self.executed)
        if self.declared is not None:
            place = next(word for word in self.arguments if word.startswith("hydra.run.dir="))
            declared = replace(self.declared, directory=place.partition("=")[2])
            run.declare = lambda *_args, **_options: declared


def in_a_process(
    work: Callable[[], int],
    output: Path,
    signals: Sequence[tuple[float, int]] = (),
    *,
    deadline: float = DEADLINE,
) -> Ending:
    """Do `work` in a forked process; send it `signals`, each a delay in seconds and a number."""
    ready, told = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            target = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            os.dup2(target, 1)
            os.dup2(target, 2)
            os.write(told, b".")
            code = work()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    code = see_through(child, signals, deadline)
    text = output.read_text(errors="replace") if output.exists() else ""
    return Ending(code, time.monotonic() - began, text)


def see_through(child: int, signals: Sequence[tuple[float, int]], deadline: float = DEADLINE) -> int:
    """Send a child its signals, wait for it and return its exit code; one that hangs is killed and told of."""
    descriptor = os.pidfd_open(child)
    try:
        for delay, number in signals:
            ended, _, _ = select.select([descriptor], [], [], delay)
            if not ended:
                signal.pidfd_send_signal(descriptor, number)
        began = time.monotonic()
        ended, _, _ = select.select([descriptor], [], [], deadline)
        while not ended and time.monotonic() - began < deadline * _load():
            ended, _, _ = select.select([descriptor], [], [], 1.0)
        where = "" if ended else stacks(child)
        if not ended:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(descriptor)
    if not ended:
        raise AssertionError(f"process {child} hung for {deadline:g} s\n{where}")
    return os.waitstatus_to_exitcode(status)


def stacks(process: int) -> str:
    """Where a process that hangs stands, as py-spy tells; nothing where that is not installed."""
    if shutil.which("py-spy") is None:
        return ""
    command = ["py-spy", "dump", "--subprocesses", "--pid", str(process)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout


def _load() -> float:
    """How many processes want each processor, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def note_executions(file: Path) -> None:
    """From now on every job whose simulation begins writes its workload and index into `file`, before it is done.

    One that was given up at a signal writes so, too.
    """
    from runner.errors import Interrupted
    from runner.runtime.job import RuntimeJob

    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    honest = RuntimeJob.__init__

    def noting(job: Any, *args: Any, simulate: Callable[[], Any] | None = None, **options: Any) -> None:
        if simulate is None:  # its result is known
            honest(job, *args, **options)
            return

        def noted() -> Any:
            name = f"{job.record.workload} {job.record.index}"
            os.write(descriptor, f"{name}\n".encode())
            try:
                return simulate()
            except Interrupted:
                os.write(descriptor, f"{name}{GIVEN_UP}\n".encode())
                raise

        honest(job, *args, simulate=noted, **options)

    RuntimeJob.__init__ = noting  # type: ignore[method-assign]


def executions(file: Path) -> list[tuple[str, int]]:
    """Workload and index of every simulation that began, in order."""
    return _named(line for line in _lines(file) if not line.endswith(GIVEN_UP))


def given_up(file: Path) -> list[tuple[str, int]]:
    """Workload and index of every simulation that was given up at a signal, in order."""
    return _named(line.removesuffix(GIVEN_UP) for line in _lines(file) if line.endswith(GIVEN_UP))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _named(lines: Iterable[str]) -> list[tuple[str, int]]:
    pairs = (line.rsplit(" ", 1) for line in lines)
    return [(workload, int(index)) for workload, index in pairs]


def spoil(k: int, spoiled: Callable[[Any], Any]) -> None:
    """Let the k-th estimate (from 1) be `spoiled(estimate)`."""
    from runner.engine.estimator import EstimatorPlan

    honest = EstimatorPlan.run
    calls = itertools.count(1)

    def run(*args: Any, **kwargs: Any) -> Any:
        numbers = honest(*args, **kwargs)
        return spoiled(numbers) if next(calls) == k else numbers

    EstimatorPlan.run = run  # type: ignore[method-assign]


def at_event(k: int, what: Callable[[], None]) -> None:
    """Do something right after the k-th event (from 1) was given to the journal."""
    from runner.record.journal import Journal

    calls = itertools.count(1)

    def watched(honest: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            number = honest(*args, **kwargs)
            if next(calls) == k:
                what()
            return number

        return write

    Journal.write = watched(Journal.write)  # type: ignore[method-assign]
    Journal.write_later = watched(Journal.write_later)  # type: ignore[method-assign]


def set_clock(seconds: float) -> None:
    """Let the time of day be so much later from now on, as if somebody had set it."""
    honest = time.time
    time.time = lambda: honest() + seconds


def stored(database: Path, name: str) -> list[tuple[str, str, int]]:
    """(id, status, values of energy/value) of every MLflow run of a run directory of this name."""
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT runs.run_uuid, runs.status, (SELECT count(*) FROM metrics"
            " WHERE metrics.run_uuid = runs.run_uuid AND key = 'energy/value')"
            " FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid"
            " WHERE tags.key = 'runner.directory' AND tags.value = ?",
            (name,),
        ).fetchall()


def status(directory: Path) -> str | None:
    """How a run ended according to its journal; None while it has not, or when nothing was recorded yet."""
    journal = directory / "journal.jsonl"
    if not is_there(journal):
        return None
    endings = [event for event in read_journal(journal).events if event.kind in ("run.ended", "run.resumed")]
    return endings[-1].status if endings and endings[-1].kind == "run.ended" else None


def events(directory: Path) -> int:
    """Intact events in the journal."""
    journal = directory / "journal.jsonl"
    return len(read_journal(journal).events) if is_there(journal) else 0


def done_jobs(directory: Path, *, told: bool = False) -> list[tuple[str, int]]:
    """Workload and index of every job whose result is in the journal, in order.

    Args:
        directory: The run's.
        told: Only those that are part of its story: what ended while an interrupted session was closed is told again.
    """
    journal = directory / "journal.jsonl"
    events = read_journal(journal).events if is_there(journal) else []
    if told:
        events = lasting(events)
    return [
        (event.workload, event.index)
        for event in events
        if event.kind == "job.completed" and event.status == "DONE"
    ]


def identity(directory: Path) -> dict[str, str]:
    """Digests of all that must not depend on how often a run was broken: trace, job ledger, session, result."""
    events = lasting(read_journal(directory / "journal.jsonl").events)
    parts: dict[str, list[Any]] = {"trace": [], "jobs": [], "sessions": []}
    for event in events:
        kept = {"kind": event.kind, **event.said()}
        part = "jobs" if event.kind.startswith("job.") else "sessions" if event.kind == "session" else "trace"
        parts[part].append(kept)
    result = json.loads((directory / "result.json").read_text())
    whole = {
        **{name: sorted(rows, key=_stream) for name, rows in parts.items()},
        "session.json": json.loads((directory / "session.json").read_text()),
        "result.json": {key: item for key, item in result.items() if key not in _NOT_COMPARED},
    }
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]
        for name, part in whole.items()
    }


def _stream(event: dict[str, Any]) -> tuple[str, str]:
    """Between threads only the order within a stream is fixed, so streams are compared one by one."""
    return str(event.get("workload", "")), str(event["kind"])

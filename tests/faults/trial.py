"""One run in a process of its own, broken on purpose, and what must be the same however often it was broken."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import faults
from runner.journal import read_journal
from runner.record import lasting

POINTS = ("before_journal", "mid_write", "after_journal")
DEADLINE = 120.0
"""Seconds after which a process counts as hanging; a run takes one or two."""

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


def in_a_process(work: Callable[[], int], output: Path, signals: Sequence[tuple[float, int]] = ()) -> Ending:
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
    for delay, number in signals:
        time.sleep(delay)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(child, number)
    code = _wait(child)
    text = output.read_text(errors="replace") if output.exists() else ""
    return Ending(code, time.monotonic() - began, text)


def _wait(child: int) -> int:
    deadline = time.monotonic() + DEADLINE
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"process {child} hangs")
        time.sleep(0.002)


def start(
    overrides: Sequence[str], directory: Path, fault: str = "", executed: Path | None = None
) -> Callable[[], int]:
    """Work for a process: start a run from the command line."""
    return lambda: _command([*overrides, f"hydra.run.dir={directory}"], fault, executed)


def resume(directory: Path, fault: str = "", executed: Path | None = None) -> Callable[[], int]:
    """Work for a process: continue a run from the command line."""
    return lambda: _command(["resume", str(directory)], fault, executed)


def _command(arguments: list[str], fault: str, executed: Path | None) -> int:
    from runner.__main__ import main

    faults.plan(fault)
    if executed is not None:
        count_executions(executed)
    return main(arguments)


def count_executions(file: Path) -> None:
    """From now on every simulation that begins leaves a byte in `file`, before it is done."""
    from runner.engine.estimator import EstimatorPlan
    from runner.engine.sampler import SamplerPlan

    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **kwargs: Any) -> Any:
            os.write(descriptor, b".")
            return function(*args, **kwargs)

        return count

    for plan, names in ((EstimatorPlan, ("run", "gradient")), (SamplerPlan, ("run",))):
        for name in names:
            setattr(plan, name, counted(getattr(plan, name)))


def spoil(k: int, spoiled: Callable[[Any], Any]) -> None:
    """Let the k-th estimate (from 1) be `spoiled(estimate)`."""
    from runner.engine.estimator import EstimatorPlan

    honest = EstimatorPlan.run
    calls = itertools.count(1)

    def run(*args: Any, **kwargs: Any) -> Any:
        numbers = honest(*args, **kwargs)
        return spoiled(numbers) if next(calls) == k else numbers

    EstimatorPlan.run = run  # type: ignore[method-assign]


def stored(database: Path) -> list[tuple[str, str, int]]:
    """(directory, status, values of energy/value) of every run in an MLflow database."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT tags.value, runs.status, (SELECT count(*) FROM metrics"
            " WHERE metrics.run_uuid = runs.run_uuid AND key = 'energy/value')"
            " FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'runner.directory'"
        ).fetchall()


def status(directory: Path) -> str | None:
    """How a run ended according to its journal; None while it has not, or when nothing was recorded yet."""
    journal = directory / "journal.jsonl"
    if not journal.exists():
        return None
    endings = [
        event for event in read_journal(journal).events if event["kind"] in ("run.ended", "run.resumed")
    ]
    return endings[-1].get("status") if endings else None


def recorded_jobs(directory: Path) -> int:
    """Jobs whose result is in the journal."""
    events = read_journal(directory / "journal.jsonl").events
    return sum(event["kind"] == "job.completed" for event in events)


def repeated_jobs(directory: Path) -> list[tuple[Any, ...]]:
    """Jobs whose result was recorded more than once; there must be none."""
    events = lasting(read_journal(directory / "journal.jsonl").events)
    counted = Counter(
        (event["workload"], event["index"])
        for event in events
        if event["kind"] == "job.completed" and event["status"] == "DONE"
    )
    return [job for job, count in counted.items() if count > 1]


def identity(directory: Path) -> dict[str, str]:
    """Digests of all that must not depend on how often a run was broken: trace, job ledger, session, result."""
    events = lasting(read_journal(directory / "journal.jsonl").events)
    parts: dict[str, list[Any]] = {"trace": [], "jobs": [], "sessions": []}
    for event in events:
        kept = {key: item for key, item in event.items() if key not in _OWN}
        part = (
            "jobs"
            if event["kind"].startswith("job.")
            else "sessions"
            if event["kind"] == "session"
            else "trace"
        )
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

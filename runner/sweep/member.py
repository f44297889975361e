"""One run of a sweep, carried out in whatever process it is given to."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, Self

from runner.declare.composer import check_recorded, restore
from runner.declare.config import Declaration, RunConfig
from runner.declare.overrides import Overrides
from runner.declare.registry import load
from runner.errors import ConfigError, Interrupted, JournalError, RunnerError, in_words
from runner.record.directory import JOURNAL
from runner.record.events import SHOTS
from runner.record.files import read_object, read_text
from runner.record.journal import is_begun, is_open
from runner.record.packed import is_there
from runner.record.reading import read_latest
from runner.record.result import is_count, taken_in_all
from runner.run.execution import Sweep, resume, run
from runner.run.signals import StopFlag
from runner.runtime.threads import Background
from runner.sweep.limits import words_for

STOP_FILE = "stop"
"""While this file lies in a sweep's directory, none of its runs goes on."""

PARENT = os.getppid()
"""The process that started this one, as it was when this module was loaded."""

LOOK = 0.1
"""Seconds between two looks at the stop file."""

RESULT = (
    "status", "energy", "value", "stddev", "energy_kind", "value_kind", "reference_energy", "error", "error_sigmas",
    "exact_energy", "evaluations", "iterations", "shots", "usage_seconds", "cost", "wall_seconds", "exit_code",
    "rounding",
)  # fmt: skip
"""What a sweep's table shows of result.json; what was taken is that in all."""

VALUE = {"value": "energy", "value_kind": "energy_kind"}
"""What stands in its place where it is of an observable that is no energy."""

OVER = ("finished", "stopped")
"""States of runs that a sweep has come to its end with: one that stopped would take more than it was given."""

MOST_SAID = 2000
"""Characters of the reason why a run failed."""

Row = dict[str, Any]
"""One line of a sweep's table."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that another process needs to carry out one run."""

    number: int
    """Its place in the sweep, and the name of its directory."""
    overrides: tuple[str, ...]
    """What would be typed to run it alone."""
    label: Mapping[str, str]
    """Swept key → value."""
    values: Mapping[str, Any]
    """Its configuration."""
    schemas: Mapping[str, str]
    """Group → name of the schema."""
    config: RunConfig | None = None
    """The same as live objects; None: made from the values where it runs."""
    sweep: str
    """Absolute path of the sweep's directory."""
    parent: str
    """The sweep's identity for the tracking store."""
    folder: str
    """Where the sweep was started; relative paths in the configuration start there."""
    config_dirs: tuple[str, ...] = ()
    """Folders with further choices, as absolute paths."""
    raised: tuple[str, ...] = ()
    """Words with which the sweep's runs go on that stopped; one that has not begun is declared with them."""

    @property
    def plugins(self) -> list[str]:
        """Modules it needs; whoever made the task has seen that they were typed."""
        return list(self.values.get("plugins") or [])

    @property
    def directory(self) -> Path:
        """The run directory."""
        return Path(self.sweep) / str(self.number)

    @property
    def name(self) -> str:
        """What tells the run from its siblings."""
        return ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.label.items()) or str(
            self.number
        )

    def declaration(self) -> Declaration:
        """What is to be run."""
        if self.config is None:
            check_recorded(self.values, self.schemas, self.overrides, self.config_dirs)
            again = restore(dict(self.values), dict(self.schemas), self.overrides, plugins=self.plugins)
            return replace(again, config_dirs=self.config_dirs)
        return Declaration(
            config=self.config,
            overrides=self.overrides,
            values=dict(self.values),
            schemas=dict(self.schemas),
            config_dirs=self.config_dirs,
        )

    @property
    def failure(self) -> Path:
        """Why it could not be started or continued; absent where its own journal tells."""
        return self.directory / "failure.json"

    def fail(self, reason: str, exit_code: int = 1) -> Row:
        """Note that it could not be carried out."""
        facts = {"status": "failed", "exit_code": exit_code, "reason": reason}
        with suppress(OSError):
            self.directory.mkdir(mode=0o700, exist_ok=True)
            self.failure.write_text(json.dumps(facts), encoding="utf-8")
        return self.row(**facts)

    def look(self) -> Row:
        """How far it has come, from its directory alone; why it failed counts unless it has come to its end since."""
        found = self._seen()
        if found["status"] not in OVER:
            with suppress(OSError, ValueError):
                return self.row(**_failure(self.failure))
        return found

    def more(self, status: str) -> tuple[str, ...] | None:
        """With which of the raised limits it goes on, which has come to its end with this state; None: it stays so."""
        raised = Overrides.of(self.raised)
        if status == "stopped" or (status == "finished" and SHOTS in raised.keys):
            return words_for(self.directory, raised) if raised else None
        return None

    def _seen(self) -> Row:
        journal = self.directory / JOURNAL
        if not is_there(journal):
            return self.row(status="waiting")
        if is_open(journal):
            return self.row(status="running")
        try:
            result = read_latest(self.directory / "result.json")
        except ConfigError as error:
            return self.row(status="damaged", exit_code=ConfigError.exit_code, reason=str(error))
        except OSError:
            result = {}
        if not result:
            return self.row(status="interrupted", exit_code=137, reason="the process was killed")
        return self.ended(result)

    def ended(self, result: Mapping[str, Any]) -> Row:
        """The line of a run that has come to this result."""
        facts = {name: taken_in_all(result, name) for name in RESULT if name not in VALUE}
        if result.get("observable"):
            facts |= {new: facts.pop(name) for new, name in VALUE.items()}
        return self.row(**facts, reason=result["stop_reason"])

    def row(self, **facts: Any) -> Row:
        """A line of the table: which run, what was swept, and what is known."""
        where = {"number": self.number, "run": self.name, **self.label}
        return {**where, **facts, "directory": str(self.number)}


class JobFlag(Protocol):
    """What the job of a cluster was told that several runs are carried out in."""

    signum: int | None
    """By which signal it is to end; None: it goes on."""

    def note(self, signum: int, /) -> None:
        """Take note of a signal that came while a run had the handlers."""
        ...


class MemberStop(StopFlag):
    """The stop flag of one run in a process of its own: also up when the sweep stops or its process is gone.

    Ctrl-C reaches every process of the terminal; here it is left to the sweep, which tells all of its runs
    through the stop file, on other machines too.
    """

    def __init__(self, sweep: Path, job: JobFlag | None = None) -> None:
        super().__init__()
        self._file = sweep / STOP_FILE
        self._looked = 0.0
        self._job = job

    def check(self) -> None:
        """Called between jobs.

        Raises:
            Interrupted: the sweep stops, or the job of a cluster that this is in.
        """
        if self._job is not None and self._job.signum is not None:
            self.signum = self.signum or signal.SIGTERM  # whichever it was, the run is asked to end
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            if orphaned():
                self.signum = signal.SIGTERM
            self.signum = self.signum or stopped(self._file.parent)
        super().check()

    def __enter__(self) -> Self:
        super().__enter__()
        with suppress(ValueError):  # only the main thread owns the signals
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._previous[signal.SIGINT] = signal.SIG_IGN
        return self

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self.signum = signum
        if self._job is not None:
            self._job.note(signum)


def orphaned() -> bool:
    """Whether the process that started this one is gone, and with it the sweep."""
    sentinel = _sentinel()
    return (
        os.getppid() != PARENT if sentinel is None else bool(multiprocessing.connection.wait([sentinel], 0))
    )


def _sentinel() -> int | None:
    """What tells a forked worker that the sweep's process, which is not the one it was forked from, is gone."""
    parent = multiprocessing.parent_process()
    return (
        None if parent is None else parent.sentinel
    )  # None too where joblib started the worker by its own means


_busy = threading.Lock()
"""Held while this process carries out a run."""


def end_with_the_parent() -> None:
    """From now on, end this worker as soon as its sweep is gone and the current run has stopped."""
    sentinel = _sentinel()
    if sentinel is not None:
        Background(partial(_end_after, sentinel)).start()


def _end_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    with _busy:
        os._exit(0)


def stopped(sweep: Path) -> int | None:
    """The signal a sweep was stopped with; None while it may go on."""
    try:
        return int(read_text(sweep / STOP_FILE, 100) or signal.SIGINT)
    except (FileNotFoundError, ValueError):
        return None


def carry_out(task: Task, stop: StopFlag | None = None, *, job: JobFlag | None = None) -> Row:
    """Start or continue one run; whatever happens to it becomes a line of the table.

    Args:
        task: which run.
        stop: the sweep's own flag where the run shares its process.
        job: the job of a cluster that it is carried out in, which stops it too.
    """
    if stop is not None:
        return _carry_out(task, stop)
    if os.getcwd() != task.folder:
        os.chdir(task.folder)
    with _busy, MemberStop(Path(task.sweep), job) as flag:
        row = _carry_out(task, flag)
    if orphaned():
        os._exit(0)  # nobody is left to take the row, or to send another run
    return row


def _carry_out(task: Task, stop: StopFlag) -> Row:
    sweep = Sweep(name=task.parent, stop=stop)
    try:
        stop.check()
        known = task.look()
        task.failure.unlink(missing_ok=True)
        more = task.more(known["status"])
        if known["status"] in OVER and more is None:  # in a job of SLURM's, say, which was queued again
            return known
        if task.config is not None and task.config.plugins:
            load(task.config.plugins)
        again = [f"plugins=[{','.join(task.plugins)}]"] if task.plugins else []
        if _begun(task.directory / JOURNAL):
            result = resume(task.directory, overrides=[*again, *(more or ())], quiet=True, sweep=sweep)
        else:
            result = run(task.declaration(), directory=str(task.directory), quiet=True, sweep=sweep)
        while (more := task.more(result.status)) is not None:  # broken before it came to a limit of before
            result = resume(task.directory, overrides=[*again, *more], quiet=True, sweep=sweep)
    except Interrupted:
        return task.row(status="waiting", reason="the sweep was stopped before this run began")
    except JournalError as error:
        status = "running" if _is_open(task.directory / JOURNAL) else "damaged"
        return task.row(status=status, exit_code=error.exit_code, reason=str(error))
    except RunnerError as error:
        return task.fail(str(error), error.exit_code)
    except Exception as error:
        return task.fail(in_words(error))
    return task.ended(vars(result))


def _is_open(journal: Path) -> bool:
    """Whether somebody writes a journal, which may be anything."""
    try:
        return is_open(journal)
    except (OSError, RunnerError):
        return False


def _failure(path: Path) -> dict[str, Any]:
    """What `Task.fail` wrote.

    Raises:
        ConfigError: it is anything else.
        OSError: there is nothing.
    """
    content = read_object(path)
    if content.get("status") == "failed" and is_count(content.get("exit_code")):
        return {
            "status": "failed",
            "exit_code": content["exit_code"],
            "reason": str(content.get("reason") or "")[:MOST_SAID],
        }
    raise ConfigError(f"{path} is damaged; delete it")


def _begun(journal: Path) -> bool:
    """Whether a run has anything to continue from; what was killed before its first event starts anew.

    Raises:
        ConfigError: its first line is damaged; what follows may have been paid for, so it is left as it is.
    """
    if not is_there(journal):
        return False
    try:
        if is_open(journal) or is_begun(journal):
            return True
    except JournalError as error:
        raise ConfigError(
            f"{error}; restore it, or delete it and resume the sweep: the run begins anew"
        ) from error
    journal.unlink(missing_ok=True)
    return False

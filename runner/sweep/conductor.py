"""One process's part of a sweep: runs handed to the launcher, the table, figure and upload, and the exit code."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from runner import review
from runner.declare.composer import restore
from runner.declare.config import Declaration
from runner.declare.messages import check_secrets
from runner.declare.overrides import Overrides
from runner.declare.provenance import typed_again
from runner.display.shell import command
from runner.errors import ConfigError, RunnerError, StorageError, TrackingError
from runner.record.directory import dated
from runner.record.environment import commit, versions
from runner.run.signals import WORDS, StopFlag, tell
from runner.sweep.compose import Combination, SweepPlanner, SweepSettings, distinct, named
from runner.sweep.directory import SweepDirectory
from runner.sweep.launcher import LAUNCHERS, BasicLauncher, Launcher
from runner.sweep.limits import going_on_in_words, read_raised, typed_for, words_for
from runner.sweep.member import OVER, Row, Task
from runner.sweep.progress import SweepProgress, report
from runner.tracking import SweepUploader
from runner.tracking.report import UploadState

TABLE_INTERVAL = 2.0
"""Seconds between two updates of sweep.csv while runs come in."""

MOST_RUNS_ON_A_PAGE = 2000
"""Runs up to which report.html is written by itself."""

EXTRA = "run.figures=false"
"""Drawing a run's figures takes longer than many a run; `python -m runner report DIR` draws them later.

Who types it wants no figure of the sweep either."""


class SweepFlag(StopFlag):
    """The stop flag of the whole sweep; raising it also tells the runs in other processes."""

    def __init__(self, directory: SweepDirectory) -> None:
        super().__init__()
        self._directory = directory

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(128 + signum)
        self.signum = signum
        self._directory.stop(signum)
        tell(f"\n{WORDS.get(signum, 'signal')}: the current jobs complete first\n")


class Conductor:
    """One process's part of a sweep: holds it, hands runs to the launcher, keeps the table, and closes everything.

    Args:
        directory: the sweep.
        launcher: where runs are carried out; None: here.
        declared: any of the runs; what it says about tracking goes for the sweep.
        total: runs that the sweep will have.
        quiet: nothing on the terminal.
    """

    def __init__(
        self,
        directory: SweepDirectory,
        launcher: Launcher | None,
        declared: Declaration,
        *,
        total: int,
        quiet: bool = False,
    ) -> None:
        self.directory = directory
        self.exit_code = 0
        self._launcher = launcher or BasicLauncher()
        self._tracking = declared.config.tracking
        self._quiet = quiet
        self._rows: dict[int, Row] = {}
        self._notes: list[str] = []
        self._stack = ExitStack()
        self.stop = SweepFlag(directory)
        self._progress = None if quiet else SweepProgress(total)
        self._written = time.monotonic()

    def note(self, line: str) -> None:
        """Add a line to what is printed at the end."""
        self._notes.append(line)

    @property
    def table(self) -> list[Row]:
        """One row per run that anything is known about, in order."""
        return [self._rows[number] for number in sorted(self._rows)]

    def know(self, rows: Iterable[Row]) -> None:
        """Take in runs that were over before."""
        for row in rows:
            self._rows[row["number"]] = row
            if self._progress is not None:
                self._progress.skip()

    def carry_out(self, tasks: Sequence[Task]) -> list[Row]:
        """Carry out some runs and return their rows, in the order of the tasks."""
        if tasks and self.stop.signum is None:
            for row in self._launcher.launch(tasks, self.directory, self.stop):
                self._rows[row["number"]] = row
                if self._progress is not None:
                    self._progress(row)
                if time.monotonic() - self._written > TABLE_INTERVAL:
                    with contextlib.suppress(StorageError):  # the runs go on; the last one tells
                        self.directory.write_table(self.table)
                    self._written = time.monotonic()
        for task in tasks:
            self._rows.setdefault(task.number, task.look())
        return [self._rows[task.number] for task in tasks]

    def __enter__(self) -> Self:
        self._stack.enter_context(self.directory.alone())
        self._stack.enter_context(self.stop)
        self._uploader = self._stack.enter_context(SweepUploader(self.directory.path, self._tracking))
        if self._progress is not None:
            self._stack.enter_context(self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__()
        with self._stack:
            if kind is None:
                self._close()

    def _close(self) -> None:
        """Tables, figure, upload, ranking and exit code.

        Raises:
            StorageError: the disk refused, a file of the sweep or of one of its runs.
        """
        table = self.table
        self.directory.write_table(table)
        self.directory.write_parquet(table)
        if wants_figure(self.directory):
            draw(self.directory, table)
        synced = self._uploader.finish()
        if self._tracking.enabled:
            self.directory.write_table(with_mlflow_ids(self.directory, table))
        self.exit_code = exit_code(table, self.stop.signum)
        if synced.records_unsynced and self._tracking.required and self.exit_code == 0:
            self.exit_code = TrackingError.exit_code
        if not self._quiet:
            notes = [*self._notes, *(f"tracking  {line}" for line in (synced.message, synced.note) if line)]
            if origin := self._uploader.origin(self.directory.header["overrides"]):
                notes.append(f"tracking  {self._tracking.uri}{origin}")
            if any(row["status"] not in OVER for row in table) or self._has_more(table):
                started = Overrides.of(self.directory.header["overrides"])
                typed = typed_for(self.directory.shown, started.plugins, *typed_again(started))
                notes.append(f"continue with: {typed}")
            notes += going_on_in_words(self.directory, table)
            report(table, self.directory.swept(), self.directory.shown, notes)
        if self.exit_code == StorageError.exit_code:
            raise StorageError(_refused(table))

    def _has_more(self, table: Sequence[Row]) -> bool:
        """Whether a run that stopped has not gone on yet with what was typed for that."""
        raised = read_raised(self.directory.path)
        stopped = [self.directory.path / row["directory"] for row in table if row["status"] == "stopped"]
        return bool(raised) and any(words_for(path, raised) is not None for path in stopped)


def to_complete(
    directory: SweepDirectory, declared: Declaration, rows: Sequence[Row], known: Sequence[str] = ()
) -> list[str]:
    """What a sweep lacks whose runs are all over, one line each.

    Args:
        directory: the sweep.
        declared: any of its runs.
        rows: what is known of each of these.
        known: what is known to be lacking.

    Raises:
        ConfigError: nothing.
    """
    lacking = list(known)
    if not directory.is_told(rows):
        lacking.append("table     was not complete; written again")
    if wants_figure(directory) and _can_be_drawn(rows):
        pictures = (directory.path / "figures" / "sweep.png", directory.path / "report.html")
        if not all(path.is_file() for path in pictures):
            lacking.append("figure    and page were missing; drawn now")
    if declared.config.tracking.enabled:
        uploads = [directory.path, *(directory.path / row["directory"] for row in rows)]
        if any(UploadState.load(home).phase != "synced" for home in uploads):
            lacking.append("tracking  was not complete; brought in now")
    if not lacking:
        words = going_on_in_words(directory, rows)
        said = "over" if words else "finished"
        raise ConfigError(
            "; ".join([f"{directory.shown} is {said}; there is nothing to resume", *words]), key="resume"
        )
    return lacking


def wants_figure(directory: SweepDirectory) -> bool:
    """Whether the sweep's own figure is wanted."""
    asked = Overrides.of(directory.header["overrides"]).last("run.figures")
    return asked is None or asked.value is not False


def with_mlflow_ids(directory: SweepDirectory, table: Sequence[Row]) -> list[Row]:
    """The rows with the id of each run's page in MLflow, as far as it has one by now."""
    found = {row["number"]: UploadState.load(directory.path / row["directory"]).run_id for row in table}
    return [{**row, "mlflow_run_id": found[row["number"]]} for row in table]


def exit_code(table: Sequence[Row], signum: int | None) -> int:
    """What a sweep's process ends with."""
    if signum is not None:
        return 128 + signum
    trouble = [int(row.get("exit_code") or 1) for row in table if row["status"] != "finished"]
    return next((code for code in trouble if code != 3), 3 if trouble else 0)


def _refused(table: Sequence[Row]) -> str:
    """What the disk did to a sweep's runs, where the sweep's own files found room."""
    first, *others = [row for row in table if row.get("exit_code") == StorageError.exit_code]
    more = f" (and {len(others)} more)" if others else ""
    return f"run {first['number']}{more}: {first.get('reason')}; see to the disk, then resume the sweep"


def declare_all(
    planner: SweepPlanner, combinations: Sequence[Combination], settings: SweepSettings
) -> list[Declaration]:
    """Compose and check every combination.

    Raises:
        ConfigError: the first that is bad input, with its values.
    """
    declared = []
    for combination in combinations:
        with named(combination.label):
            declared.append(planner.declare((*combination.overrides, *extras(settings))))
    return declared


def extras(settings: SweepSettings) -> tuple[str, ...]:
    """Overrides that every run of a sweep gets: no figures unless they were asked for, and no sweep of its own."""
    asked = settings.swept.last("run.figures") is not None
    return (() if asked else (EXTRA,)) + (("hydra.mode=RUN",) if settings.preset else ())


def check_together(
    declared: Sequence[Declaration], combinations: Sequence[Combination], launcher: Launcher | None
) -> None:
    """Build the problem of every kind of run against its backend, so that no run finds out later.

    Raises:
        ConfigError: parts of a combination do not fit each other.
    """
    kinds = list(distinct(declared))
    found = (launcher or BasicLauncher()).check([item.config for _, item in kinds], len(declared))
    for (position, _), error in zip(kinds, found, strict=True):
        if error is not None:
            with named(combinations[position].label):
                raise error


def header(
    settings: SweepSettings, overrides: Sequence[str], declared: Declaration, **more: Any
) -> dict[str, Any]:
    """The content of sweep.json."""
    check_secrets({"hydra.launcher": asdict(settings.launcher) if settings.launcher is not None else None})
    return {
        "overrides": list(overrides),
        "launcher": _recorded(settings.launcher, LAUNCHERS),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "commit": commit(),
        **({"config_dirs": list(declared.config_dirs)} if declared.config_dirs else {}),
        **more,
        "schemas": declared.schemas,
        "values": declared.values,
        "energy_unit": declared.config.experiment.energy_unit(declared.config),
    }


def wanted(settings: SweepSettings, declared: Declaration, label: Iterable[str]) -> Path:
    """Where a sweep goes: as told, or named by what is run and what is swept.

    Raises:
        ConfigError: what was told is there already.
    """
    if settings.directory:
        path = Path(settings.directory)
        if os.path.lexists(path):
            other = f", or `{command('resume', path)}`" if (path / "sweep.json").is_file() else ""
            raise ConfigError(f"{path} is there already; choose another{other}", key="hydra.sweep.dir")
        return path
    given = {item.key: str(item.value) for item in settings.swept if not item.swept}
    first = given.get("experiment", declared.config.experiment.name)
    fixed = [given[group] for group in ("hamiltonian", "ansatz", "backend") if group in given]
    name = "_".join([declared.config.name or first, *fixed, *(key.rpartition(".")[2] for key in label)])
    name = re.sub(r"[^\w.=+-]+", "-", name)[:80]
    return dated("sweeps", name)


def base_of(directory: SweepDirectory, plugins: Sequence[str] = ()) -> Declaration:
    """The configuration that the runs of an earlier sweep start from; `plugins` may be imported for it."""
    return restore(dict(directory.header["values"]), dict(directory.header["schemas"]), plugins=plugins)


def draw(directory: SweepDirectory, table: Sequence[Row]) -> None:
    """Draw the figure and write the page; the numbers are on disk by now, and a picture that fails costs nothing."""
    if not _can_be_drawn(table):
        return
    try:
        review.sweep_page(directory.path)
    except (RunnerError, ValueError, TypeError, KeyError, OSError) as error:
        print(f"the figure could not be drawn: {error}", file=sys.stderr)


def _can_be_drawn(table: Sequence[Row]) -> bool:
    """Whether some run came to anything, and they are not too many for a page."""
    told = any(row.get(name) is not None for row in table for name in ("energy", "usage_seconds"))
    return told and len(table) <= MOST_RUNS_ON_A_PAGE


def _recorded(live: Any, known: dict[str, type[Any]]) -> dict[str, Any] | None:
    """A launcher or sweeper as sweep.json holds it."""
    if live is None:
        return None
    name = next(name for name, cls in known.items() if type(live) is cls)
    return {"name": name, "values": asdict(live)}

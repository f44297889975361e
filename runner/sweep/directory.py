"""The sweep directory: what was planned, how far every run has come, and the tables made of it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.declare.overrides import Overrides
from runner.errors import ConfigError, JournalError, StorageError
from runner.record.directory import RunDirectory, check_parts
from runner.record.encoding import as_cell
from runner.record.files import read_first, read_object, read_rows, read_text, require_ordinary
from runner.record.lock import lock
from runner.record.reading import PLANNED, check_fields, check_sweep
from runner.sweep.limits import declared_with
from runner.sweep.member import RESULT, STOP_FILE, Row, Task

UNRAISED = Overrides()
"""The limits that a sweep was declared with."""


class SweepDirectory:
    """One sweep on disk; each run has a directory of its own in it, named by its number.

    ::

        sweep.json     how the sweep was declared, and the configuration its runs start from
        runs.jsonl     one line per planned run: number, overrides, and where its configuration differs
        0/ 1/ 2/ …     run directories
        raised.json    limits that runs went on with which had stopped; absent where none were typed
        sweep.csv      the table of results (and sweep.parquet), figures/, report.html
        stop           while it is there, no run goes on
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        """As short as it can be typed where this process was started."""
        self.header: dict[str, Any] = {}
        self.table = path / "sweep.csv"
        self._plan = path / "runs.jsonl"

    @classmethod
    def create(cls, wanted: Path, header: dict[str, Any]) -> SweepDirectory:
        """Make a directory nobody else has, and write down what the sweep is."""
        directory = cls(RunDirectory.create_sweep(wanted).path.absolute())
        directory.header = {"id": os.urandom(6).hex(), "folder": os.getcwd(), **header}
        RunDirectory(directory.path).write_json(directory.path / "sweep.json", directory.header)
        return directory

    @classmethod
    def existing(cls, path: str | Path) -> SweepDirectory:
        """An earlier sweep.

        Raises:
            ConfigError: there is none, or what it was declared to be cannot be read.
        """
        directory = cls(Path(path).absolute())
        try:
            content = read_object(directory.path / "sweep.json")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} holds no readable sweep.json, so it is not a sweep", key="resume"
            ) from error
        check_sweep(content, directory.path / "sweep.json", whole=True)
        directory.header = content
        check_parts(directory.path)
        return directory

    @property
    def name(self) -> str:
        """Its last component."""
        return self.path.name

    @property
    def identity(self) -> str:
        """What tells it from every other sweep, also from one of the same name elsewhere."""
        return f"{self.name} {self.header['id']}"

    def plan(self, tasks: Sequence[Task], proposals: Sequence[dict[str, Any]] = ()) -> None:
        """Write down what is going to be run, before it is: all of these tasks, or none of them.

        Args:
            tasks: the runs.
            proposals: for each, what whoever proposed it has to be reminded of to go on.

        Raises:
            StorageError: the disk refused; what was planned before is untouched.
        """
        base = self.header["values"]
        lines = [line for line in self._planned().splitlines(keepends=True) if line.endswith("\n")]
        for task, proposal in itertools.zip_longest(tasks, proposals):
            line = {
                "number": task.number,
                "overrides": task.overrides,
                "label": task.label,
                "changes": {key: value for key, value in task.values.items() if base.get(key) != value},
                "schemas": {
                    key: name for key, name in task.schemas.items() if self.header["schemas"].get(key) != name
                },
                **({} if proposal is None else {"proposal": proposal}),
            }
            lines.append(json.dumps(line) + "\n")
        RunDirectory(self.path).write(self._plan, "".join(lines))

    def _planned(self) -> str:
        return read_text(self._plan) if self._plan.exists() else ""

    def check_planned(self, tasks: Sequence[Task]) -> None:
        """Refuse a sweep whose plan does not hold all of its runs.

        Raises:
            ConfigError: it was broken off before they were planned.
        """
        total = self.header.get("total")
        if not tasks or total not in (None, len(tasks)):
            of = "none" if total is None else f"{len(tasks)} of {total}"
            raise ConfigError(
                f"{self.path} was broken off while its runs were planned ({of} are); start the sweep again",
                key="resume",
            )

    def tasks(self, raised: Overrides = UNRAISED) -> list[Task]:
        """What was planned; a line that was cut off by a kill was not planned.

        Args:
            raised: limits that are other than they were when it was planned.
        """
        tasks = []
        for line in self._lines():
            values, words = declared_with({**self.header["values"], **line["changes"]}, raised)
            task = self.task(
                line["number"],
                (*line["overrides"], *words),
                line["label"],
                values,
                {**self.header["schemas"], **line["schemas"]},
            )
            tasks.append(replace(task, raised=raised.texts))
        return tasks

    def proposals(self) -> list[dict[str, Any]]:
        """What was written down with each task; nothing where there was nothing to remember."""
        return [line.get("proposal", {}) for line in self._lines()]

    def _lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self._planned().splitlines():
            with suppress(ValueError, RecursionError):
                content = json.loads(line)
                if isinstance(content, dict):
                    found.append(content)
        for content in found:
            check_fields(content, PLANNED, self._plan, whole=True)
        return found

    def swept(self) -> list[str]:
        """The keys that runs differ in, as the first planned run has them."""
        try:
            return list(read_first(self._plan)["label"])
        except (OSError, ValueError, LookupError):
            return []

    def task(
        self,
        number: int,
        overrides: Iterable[str],
        label: dict[str, str],
        values: dict[str, Any],
        schemas: dict[str, str],
        config: Any = None,
    ) -> Task:
        """One run of this sweep."""
        return Task(
            number=number,
            overrides=tuple(overrides),
            label=label,
            values=values,
            schemas=schemas,
            config=config,
            sweep=str(self.path),
            parent=self.identity,
            folder=self.header["folder"],
            config_dirs=tuple(self.header.get("config_dirs", ())),
        )

    def stop(self, signum: int) -> None:
        """Tell every run, wherever it is, to end at its next job."""
        with suppress(OSError):
            (self.path / STOP_FILE).write_text(str(signum), encoding="utf-8")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the sweep against a second `resume`; the kernel frees it should we die.

        Raises:
            JournalError: another process is carrying it out.
            StorageError: its directory cannot be written, or has no file locks.
        """
        home = self.path / "sweep.json"
        try:
            require_ordinary(home)
            descriptor = os.open(home, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot write {home}: {(error.strerror or str(error)).lower()}") from error
        try:
            self._begin(descriptor, home)
            yield
        finally:
            os.close(descriptor)

    def _begin(self, descriptor: int, home: Path) -> None:
        try:
            lock(descriptor, home)
            (self.path / STOP_FILE).unlink(missing_ok=True)
        except BlockingIOError as error:
            raise JournalError(f"{self.path} is being carried out by another process") from error
        except OSError as error:
            raise StorageError(f"cannot write to {self.path}: {(error.strerror or '').lower()}") from error

    def write_table(self, rows: Sequence[Row]) -> None:
        """Replace sweep.csv: one line per run in order, whatever became of it.

        Raises:
            StorageError: the disk refused; the old table is untouched.
        """
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, columns(rows))
        writer.writeheader()
        writer.writerows({key: as_cell(value) for key, value in row.items()} for row in rows)
        RunDirectory(self.path).write(self.table, buffer.getvalue())

    def read_table(self) -> list[dict[str, str]]:
        """The lines of sweep.csv as it is; none where there is no such file."""
        try:
            return read_rows(self.table)
        except OSError:
            return []

    def is_told(self, rows: Sequence[Row]) -> bool:
        """Whether sweep.csv says of every run what is known of it.

        Where it is in MLflow is not looked at, nor how its numbers are rounded, which earlier releases did not tell.
        """

        def said(row: Mapping[str, Any]) -> dict[str, str]:
            cells = {
                key: as_cell(value) for key, value in row.items() if key not in ("mlflow_run_id", "rounding")
            }
            return {key: str(cell) for key, cell in cells.items() if cell not in (None, "")}

        return [*map(said, self.read_table())] == [*map(said, rows)]

    def write_parquet(self, rows: Sequence[Row]) -> None:
        """Write sweep.parquet, with numbers as numbers; nothing where pyarrow is not installed.

        Raises:
            StorageError: the disk refused.
        """
        with suppress(ImportError):
            import pyarrow
            from pyarrow import parquet

            names = columns(rows)
            content = {name: [_number(row.get(name)) for row in rows] for name in names}
            for name, values in content.items():
                if len({type(value) for value in values if value is not None} - {int, float}) > 0:
                    content[name] = [None if value is None else str(value) for value in values]
            buffer = io.BytesIO()
            parquet.write_table(pyarrow.table(content), buffer)
            RunDirectory(self.path).write_bytes(self.path / "sweep.parquet", buffer.getvalue())


def columns(rows: Sequence[Row]) -> list[str]:
    """Every column that any row has: number, name and swept values, then results, then why and where."""
    names = dict.fromkeys(name for row in rows for name in row)
    last = [name for name in ("reason", "directory", "mlflow_run_id") if name in names]
    results = [name for name in RESULT if name in names]
    return [name for name in names if name not in {*last, *results}] + results + last


def _number(value: Any) -> Any:
    """A number where a word of the command line is one."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value)
    return value

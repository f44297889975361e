"""The run directory: one per run, complete by itself, never shared."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import orjson

from runner.display.shell import command
from runner.errors import ConfigError, StorageError
from runner.record.encoding import require_room
from runner.record.files import read_bytes, replace_file
from runner.record.packed import is_there, packed_path

OUTPUTS = Path("outputs")
"""Everything the runner writes, relative to the current folder."""

JOURNAL = "journal.jsonl"
"""The journal in a run's directory."""

JOURNALS = (JOURNAL, packed_path(Path(JOURNAL)).name)
"""What it is called: a run that has finished may have it packed."""


_FILE = 1 << 20
"""Bytes that there must be room for before a file is made."""
_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


def dated(folder: str, name: str) -> Path:
    """Where something of now is kept: `outputs/<folder>/<date>_<time>_<name>`.

    Other characters than letters, digits, dot, dash and underscore become dashes, so that the path means the same to a
    shell, in a URL, as `run:ID` and as the value of an override.
    """
    return OUTPUTS / folder / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"


class RunDirectory:
    """Paths and small files of one run; see docs/run-directory.md for the contract."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / JOURNAL
        self.config = path / "config.yaml"
        self.session = path / "session.json"
        self.result = path / "result.json"
        self.noise_model = path / "noise_model.json"
        self.log = path / "runner.log"
        self.calibration = path / "calibration.json"
        self.figures = path / "figures"

    @classmethod
    def create(cls, name: str, chosen: str | None = None, *, ours: bool = False) -> RunDirectory:
        """Make a directory nobody else has: `outputs/runs/<date>_<time>_<name>`, or exactly `chosen`.

        Args:
            name: what is run, in words.
            chosen: where it is to be.
            ours: whether nobody but this program has written there, as in a sweep's directory.

        Raises:
            ConfigError: `chosen` holds a run already, or files of others by the names that a run gives its own.
            StorageError: it cannot be written.
        """
        try:
            if chosen is not None:
                path = Path(chosen)
                if is_there(path / JOURNAL):
                    check_parts(path)
                    raise ConfigError(
                        f"{path} holds a run already; choose another, or `{command('resume', path)}`",
                        key="hydra.run.dir",
                    )
                if not ours:
                    check_free(path)
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                check_parts(path)
            else:
                path = _fresh(dated("runs", name))
            directory = cls(path)
            directory.figures.mkdir(exist_ok=True)
        except OSError as error:
            place = error.filename or chosen or OUTPUTS
            raise StorageError(
                f"cannot write to {place}: {(error.strerror or str(error)).lower()}"
            ) from error
        return directory

    def withdraw(self) -> None:
        """Remove what `create` and its caller have put there before a run begins, so that it can be begun there."""
        with contextlib.suppress(OSError):
            for file in (self.config, self.calibration):
                file.unlink(missing_ok=True)
            self.figures.rmdir()

    @classmethod
    def create_sweep(cls, wanted: Path) -> RunDirectory:
        """Make the directory of a sweep; a number is added where the name is taken."""
        try:
            return cls(_fresh(wanted))
        except OSError as error:
            raise StorageError(
                f"cannot write to {wanted}: {(error.strerror or str(error)).lower()}"
            ) from error

    @classmethod
    def existing(cls, path: str | Path) -> RunDirectory:
        """An earlier run's directory.

        Raises:
            ConfigError: there is no run in it.
        """
        directory = cls(Path(path))
        if not directory.path.is_dir():
            raise ConfigError(f"{path} is no directory; give the directory of a run")
        for name in JOURNALS:
            part = directory.path / name
            if os.path.lexists(part) and not part.is_file():
                what = "a folder" if part.is_dir() else "no ordinary file"
                raise ConfigError(
                    f"{part} is {what}; the journal of a run, which was written there, is expected"
                )
        if not is_there(directory.journal):
            raise ConfigError(f"{path} holds no {JOURNAL}, so it is not a run directory; name one that is")
        check_parts(directory.path)
        return directory

    def write(self, path: Path, text: str) -> None:
        """Replace a file in one step, so that a reader never sees half of it.

        Raises:
            StorageError: the disk refused; the old content is untouched.
        """
        self.write_bytes(path, text.encode())

    def write_json(self, path: Path, content: object) -> None:
        """Replace a file by `content` as indented JSON.

        Raises:
            StorageError: the disk refused; the old content is untouched.
        """
        require_room(_FILE)
        self.write_bytes(path, orjson.dumps(content, default=str, option=_INDENTED))

    def write_long_json(
        self, path: Path, content: Mapping[str, object], name: str, items: Iterable[object]
    ) -> None:
        """Replace a file by `content` as indented JSON, which ends with a list that may be long, one item on a line.

        Raises:
            StorageError: the disk refused; the old content is untouched.
        """
        require_room(_FILE)
        end = b"\n  ]\n}\n"
        head = orjson.dumps({**content, name: []}, default=str, option=_INDENTED)
        before = itertools.chain([b"\n    "], itertools.repeat(b",\n    "))
        lines = (
            start + orjson.dumps(item, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
            for start, item in zip(before, items, strict=False)
        )
        replace_file(path, itertools.chain([head.removesuffix(b"]\n}\n")], lines, [end]))

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Replace a file in one step.

        Raises:
            StorageError: the disk refused; the old content is untouched.
        """
        replace_file(path, [content])


def run_directories(folder: Path, pattern: str = "*") -> list[Path]:
    """The run directories that match a pattern below a folder, in the order of their names."""
    return sorted({path.parent for name in JOURNALS for path in folder.glob(f"{pattern}/{name}")})


PARTS = (
    "config.yaml", "result.json", "session.json", "mlflow.json", "forecast.json", "runner.log", "report.html",
    "noise_model.json", "sweep.json", "sweep.csv",
)  # fmt: skip
"""Files that a run or sweep directory may have besides its journal."""


def check_parts(path: Path) -> None:
    """Refuse a directory in which something else lies in the place of a file, or a link in that of the pictures.

    Raises:
        ConfigError: naming it, and what to do.
    """
    for name in PARTS:
        part = path / name
        if part.exists() and not part.is_file():
            raise ConfigError(f"{part} is no ordinary file; delete it")
    figures = path / "figures"
    if figures.is_symlink() or (figures.exists() and not figures.is_dir()):
        raise ConfigError(
            f"{figures} is no folder of its own; delete it, for pictures would be written there"
        )


WRITTEN = (
    *PARTS, *JOURNALS, "calibration.json", "interactive.html", "runs.jsonl", "raised.json", "sweep.parquet",
    "failure.json",
)  # fmt: skip
"""Files that a run or a sweep, or a verb that is asked about it, writes into its directory."""
BEFORE = ("forecast.json",)
"""What is written there before the run, and taken along by it."""


def check_free(path: Path) -> None:
    """Refuse a folder with files that a run would replace and that are no run's: whose they are, nobody knows.

    Raises:
        ConfigError: naming one of them.
    """
    figures = path / "figures"
    found = [path / name for name in WRITTEN if name not in BEFORE and os.path.lexists(path / name)]
    if not figures.is_symlink() and figures.is_dir():
        found += sorted(figures.iterdir())
    if found:
        raise ConfigError(
            f"{path} holds {found[0].relative_to(path)}, which a run would replace; name an empty folder, or a new one",
            key="hydra.run.dir",
        )


def check_made_here(path: Path, mark: str, key: str) -> None:
    """Refuse to replace a file that has not what every file of that name has that was made here.

    Args:
        path: what is to be replaced.
        mark: text that stands in every one of ours.
        key: what led there, for the message.

    Raises:
        ConfigError: it is somebody else's.
    """
    if not os.path.lexists(path):
        return
    try:
        made_here = mark.encode() in read_bytes(path)
    except (OSError, ConfigError):  # a pipe, a link to nowhere, what may not be read
        made_here = False
    if not made_here:
        raise ConfigError(
            f"{path} was not made here and would be replaced; move it, or choose another folder", key=key
        )


def _fresh(wanted: Path) -> Path:
    wanted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return path

"""The run's log file, and a terminal that stays ours."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.errors import StorageError
from runner.record.redaction import RedactingFormatter

CHATTERS = ("qiskit", "qiskit_ibm_runtime", "matplotlib", "stevedore", "alembic")
"""Libraries that tell of every step at INFO; their warnings are kept."""


class LogFile(logging.FileHandler):
    """A log that gives up lines a full disk does not take: the journal says what happened, in one line."""

    def __init__(self, path: str | Path, *, delay: bool = False, held: bool = False) -> None:
        super().__init__(path, encoding="utf-8", delay=delay or held)
        self._held: list[logging.LogRecord] | None = [] if held else None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or keep it until `begin`."""
        if self._held is None:
            super().emit(record)
        else:
            self._held.append(record)

    def begin(self) -> None:
        """Write what has been held, and everything from now on.

        Raises:
            OSError: there can be no such file.
        """
        self.acquire()
        try:
            if self._held is not None:
                self.stream = self._open()
            held, self._held = self._held, None
            for record in held or ():
                super().emit(record)
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave it out; logging's own answer would be a traceback on the terminal."""

    def close(self) -> None:
        """Close the file, also where what it still holds cannot be written."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _as_storage_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


@contextlib.contextmanager
def log_file(path: Path, *, held: bool = False) -> Iterator[Callable[[], None]]:
    """Everything that is logged or warned goes to the run's log file; the terminal stays ours.

    Args:
        path: of the file.
        held: nothing is written before what this yields is called.

    Raises:
        StorageError: there can be no such file.
    """

    def begin() -> None:
        with _as_storage_error(path):
            handler.begin()

    with _as_storage_error(path):
        handler = LogFile(path, held=held)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level, others = root.level, list(root.handlers)
    for other in others:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in CHATTERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    try:
        yield begin
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        for other in others:
            root.addHandler(other)
        handler.close()

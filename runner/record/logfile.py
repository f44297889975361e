"""The run's log file, and a terminal that stays ours."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from runner.errors import StorageError
from runner.record.redaction import RedactingFormatter

CHATTERS = ("qiskit", "qiskit_ibm_runtime", "matplotlib", "stevedore", "alembic")
"""Libraries that tell of every step at INFO; their warnings are kept."""


class LogFile(logging.FileHandler):
    """A log that gives up lines a full disk does not take: the journal says what happened, in one line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave it out; logging's own answer would be a traceback on the terminal."""

    def close(self) -> None:
        """Close the file, also where what it still holds cannot be written."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Everything that is logged or warned goes to the run's log file; the terminal stays ours.

    Raises:
        StorageError: there can be no such file.
    """
    try:
        handler = LogFile(path, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error
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
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        for other in others:
            root.addHandler(other)
        handler.close()

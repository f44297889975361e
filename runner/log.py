"""The run's log file, and a terminal that stays ours."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from runner.redact import RedactingFormatter

CHATTERS = ("qiskit", "matplotlib", "stevedore", "alembic")
"""Libraries that tell of every step at INFO; their warnings are kept."""


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Everything that is logged or warned goes to the run's log file; the terminal stays ours."""
    handler = logging.FileHandler(path, encoding="utf-8")
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

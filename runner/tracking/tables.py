"""The tables of a store in an SQLite file: made beside it and put in its place in one step.

MLflow makes them in a hundred steps, and cannot go on where it was killed between two of them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

BESIDE = ("", "-journal", "-wal", "-shm")
"""How the names of the files of a database end."""

ASIDE = "half-made"
"""How the name begins that is added to a store's when it is moved aside."""

STILL = 3.0
"""Seconds without a change after which nobody is making a store's tables any more."""

BY_THEMSELVES = frozenset(("alembic_version", "workspaces"))
"""Tables that MLflow fills while it makes them; the first experiment comes after the last of them."""


def is_lacking(path: Path) -> bool:
    """Whether there is nothing yet where a store is to be."""
    return not path.exists() or path.stat().st_size == 0


def is_half_made(path: Path) -> bool:
    """Whether there are tables of MLflow's, and nothing in any of them: not even the experiment that comes first."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            names = {name for (name,) in found if not name.startswith("sqlite_")}
            filled = {
                name for name in names if database.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()
            }
    except sqlite3.Error:  # locked, damaged, or no database: somebody else's matter
        return False
    return {"alembic_version", "experiments", "runs"} <= names and filled <= BY_THEMSELVES


def make(path: Path, uri: str, fill: Callable[[str], None]) -> None:
    """Make a store where there is none; a kill leaves none, and the next attempt removes what it began.

    Args:
        path: the store's file, whose lock the caller holds.
        uri: its address.
        fill: makes the tables at an address, and lets go of the file.
    """
    place = path.resolve()
    new = place.with_name(f".{place.name}.new")
    for ending in BESIDE:
        new.with_name(new.name + ending).unlink(missing_ok=True)
    head, question, options = uri.partition("?")
    folder, slash, name = head.rpartition("/")
    fill(f"{folder}{slash}.{name}.new{question}{options}")
    with contextlib.closing(sqlite3.connect(new)) as database:
        database.execute("PRAGMA journal_mode=WAL")  # readers do not block writers
    os.replace(new, place)


def move_aside(path: Path) -> Path | None:
    """Move a store away whose tables somebody was killed over, with all that belongs to it.

    Returns:
        Where it is now; None where something is recorded in it, or somebody is still at it: nothing is moved then.
    """
    place = path.resolve()
    seen = _state(place)
    if not is_half_made(place):
        return None
    time.sleep(STILL)  # a server of MLflow's own knows nothing of our lock
    if _state(place) != seen:
        return None
    aside = place.with_name(f"{place.name}.{ASIDE}")
    number = 1
    while any(aside.with_name(aside.name + ending).exists() for ending in BESIDE):
        number += 1
        aside = place.with_name(f"{place.name}.{ASIDE}-{number}")
    for ending in reversed(BESIDE):  # the database last: while it is there, the next attempt gets here again
        with contextlib.suppress(FileNotFoundError):
            place.with_name(place.name + ending).rename(aside.with_name(aside.name + ending))
    return aside


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size

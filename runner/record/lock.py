"""Locks on open files, which the kernel frees when their holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from runner.errors import StorageError
from runner.record import faults

PATIENCE = 0.02
"""Seconds between two attempts."""


def lock(descriptor: int, path: Path, *, shared: bool = False, wait: float | None = 0.0) -> None:
    """Take the lock of an open file; on NFS it must be open for writing, unless the lock is shared.

    Args:
        descriptor: the file.
        path: its name, for what is said.
        shared: with others who take it so.
        wait: seconds to wait for it; None: for ever.

    Raises:
        BlockingIOError: somebody else holds it.
        StorageError: its file system has no locks.
    """
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = None if wait is None else time.monotonic() + wait
    while True:
        try:
            faults.reach("lock")
            return fcntl.flock(descriptor, mode if deadline is None else mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline is None or time.monotonic() >= deadline:
                raise
            time.sleep(PATIENCE)
        except OSError as error:
            raise StorageError(
                f"{path}: its file system has no file locks ({(error.strerror or '').lower()}), so two processes "
                "could write it at once; choose a folder on another one, or mount it with locks"
            ) from error


def lives(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True

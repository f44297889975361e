"""Threads that begin, or say that they did not.

Where memory runs out just as a thread begins, Python 3.11 to 3.14 drop it, and `Thread.start` waits for it for ever.
"""

from __future__ import annotations

import atexit
import weakref
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable
from functools import partial
from typing import Self

LOOK = 0.05
"""Seconds between two looks whether a thread that says nothing is still there."""


class Background:
    """A thread that the interpreter's end does not wait for.

    Args:
        function: what it does.
        awaited: the interpreter's end waits for it nevertheless.
    """

    def __init__(self, function: Callable[[], object], *, awaited: bool = False) -> None:
        self._function = function
        self._awaited = awaited
        self._begun, self._over = allocate_lock(), allocate_lock()
        self._call: Callable[[], object] = lambda: None
        """What the thread was given, as long as it is there: nobody else holds it."""

    def start(self) -> Self:
        """Return when it has begun.

        Raises:
            MemoryError: there is no room for a thread.
        """
        self._begun.acquire()
        self._over.acquire()
        call = partial(self._run)
        self._call = weakref.ref(call)
        try:
            start_new_thread(call, ())
        except RuntimeError as error:  # no room for its stack, or as many as this user may have
            raise MemoryError(str(error)) from error
        del call
        if not self._heard(self._begun):
            raise MemoryError("a thread ended before it had begun")
        if self._awaited:
            atexit.register(self.join)
        return self

    def join(self) -> None:
        """Wait until it is over."""
        self._heard(self._over)
        if self._over.locked():
            self._over.release()  # for whoever waits next
        atexit.unregister(self.join)

    def _heard(self, lock: LockType) -> bool:
        """Wait for a lock that the thread lets go of; False where it is gone and has not."""
        while not lock.acquire(timeout=LOOK):
            if self._call() is None:
                return lock.acquire(blocking=False)
        return True

    def _run(self) -> None:
        try:
            self._begun.release()
            self._function()
        finally:
            self._over.release()

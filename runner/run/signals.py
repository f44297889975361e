"""Ctrl-C, SIGTERM and SIGHUP: a flag that is looked at between jobs and between the parts of simulations.

An exception raised by a signal handler lands anywhere, also inside thread start-up or a database write, and hangs
the process about half of the time. A flag that is polled never does. The second signal ends the process
at once: the journal is already on disk, so even then nothing is lost.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

from runner.errors import Interrupted
from runner.record.interruption import unwatch, watch

STDERR = 2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS: dict[int, str] = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "termination request",
    signal.SIGHUP: "hangup",
}


def tell(text: str) -> None:
    """Say something from inside a signal handler; a terminal that is gone, as after SIGHUP, hears nothing."""
    with contextlib.suppress(OSError):
        os.write(STDERR, text.encode())


@contextlib.contextmanager
def nothing_to_save() -> Iterator[None]:
    """Ctrl-C ends the process at once, for as long as there is nothing to close.

    Raised as an exception inside configuration libraries it comes out as an error of theirs about the configuration.
    """

    def leave(signum: int, _: FrameType | None) -> None:
        tell("interrupted\n")
        os._exit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


PREPARING = "no job runs yet; what is being prepared completes first, or is given up between two of its parts"
JOBS = "the current job completes first, or is given up between two of its parts"


class StopFlag:
    """Remembers the first of `SIGNALS` while it is entered; entering it off the main thread does nothing."""

    def __init__(self, now: str = JOBS) -> None:
        self.signum: int | None = None
        self.now = now
        """What a signal's sender is told of what happens next."""
        self._previous: dict[int, Any] = {}

    def check(self) -> None:
        """Called between jobs, and by simulations that take long.

        Raises:
            Interrupted: a signal has arrived.
        """
        if self.signum is not None:
            raise Interrupted(self.signum)

    def __enter__(self) -> Self:
        watch(self.check)
        try:
            for signum in SIGNALS:
                if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                    continue  # nohup
                self._previous[signum] = signal.signal(signum, self._handle)
        except ValueError:  # not the main thread: whoever owns it owns the signals
            self._previous.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unwatch(self.check)
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(128 + signum)
        self.signum = signum
        tell(f"\n{WORDS.get(signum, 'signal')}: {self.now}\n")

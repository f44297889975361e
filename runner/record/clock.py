"""The time of day as events carry it: it never goes back, and is not set by anybody while a process lives."""

from __future__ import annotations

import time

_ELAPSING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the former goes on while a laptop sleeps


def _elapsed() -> float:
    return time.clock_gettime(_ELAPSING)


_START = time.time() - _elapsed()


def now() -> float:
    """Seconds since 1970, counted from what the clock said when this process began.

    An administrator, a time server or daylight saving may set the clock meanwhile; durations between events are not
    changed by that.
    """
    return _START + _elapsed()

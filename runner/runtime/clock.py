"""The two clocks a session can live on, both in seconds since the service was opened."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

from runner.errors import ConfigError
from runner.runtime.cost import QueueDelay, as_delay

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = 1970, 9000
"""Years in which a clock may start: MLflow counts from the first, and after the last there is no room for a session."""


class VirtualClock:
    """Time that moves by what things cost on the emulated device; the same run gives the same times.

    Args:
        latency: What passes between a job's completion and its caller going on [s]: a number or a
            `QueueDelay`.
        epoch: The date at which the clock starts; a fixed one, so that dates repeat too.
    """

    virtual = True

    def __init__(self, *, latency: float | QueueDelay = 0.1, epoch: datetime = EPOCH) -> None:
        self.latency = as_delay(latency)
        self.epoch = _start(epoch)

    def date(self, seconds: float) -> datetime:
        """Return the date at `seconds` on this clock."""
        return _date(self.epoch, seconds)


class WallClock:
    """Monotonic real time; with `scale=60` a minute of the session passes in a second."""

    virtual = False

    def __init__(self, *, scale: float = 1.0, epoch: datetime | None = None) -> None:
        if not 0 < scale < math.inf:
            raise ConfigError(f"must be above 0 and finite, got {scale!r}", key="clock.scale")
        self.scale = scale
        self.epoch = datetime.now(UTC) if epoch is None else _start(epoch)
        self._start = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the clock was made, scaled."""
        return (time.monotonic() - self._start) * self.scale

    def date(self, seconds: float) -> datetime:
        """Return the date at `seconds` on this clock."""
        return _date(self.epoch, seconds)


def _start(epoch: datetime) -> datetime:
    """The date at which a clock starts, in UTC, as all dates are told.

    Raises:
        ConfigError: it is none, has no zone, or is before `EARLIEST` or after `LATEST`.
    """
    if not isinstance(epoch, datetime) or epoch.utcoffset() is None:
        raise ConfigError(
            f"must be a date with a zone, such as datetime(2026, 1, 1, tzinfo=UTC), got {epoch!r}",
            key="clock.epoch",
        )
    try:
        start = epoch.astimezone(UTC)
    except OverflowError:  # beyond the first or last year there is
        start = None
    if start is None or not EARLIEST <= start.year <= LATEST:
        raise ConfigError(f"must be from {EARLIEST} to {LATEST}, got {epoch}", key="clock.epoch")
    return start


def _date(epoch: datetime, seconds: float) -> datetime:
    """The date so long after another.

    Raises:
        ConfigError: it is beyond the year 9999.
    """
    try:
        return epoch + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:  # ValueError: nan
        raise ConfigError(
            f"{seconds:g} s on the session's clock are beyond the year 9999; use less time, or restore the journal",
            key="clock",
        ) from error

"""The two clocks a session can live on, both in seconds since the service was opened."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from runner.errors import ConfigError
from runner.runtime.cost import QueueDelay, as_delay

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


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
        self.epoch = epoch

    def date(self, seconds: float) -> datetime:
        """Return the date at `seconds` on this clock."""
        return _date(self.epoch, seconds)


class WallClock:
    """Monotonic real time; with `scale=60` a minute of the session passes in a second."""

    virtual = False

    def __init__(self, *, scale: float = 1.0, epoch: datetime | None = None) -> None:
        if not scale > 0:
            raise ConfigError(f"must be above 0, got {scale!r}", key="clock.scale")
        self.scale = scale
        self.epoch = epoch or datetime.now(UTC)
        self._start = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the clock was made, scaled."""
        return (time.monotonic() - self._start) * self.scale

    def date(self, seconds: float) -> datetime:
        """Return the date at `seconds` on this clock."""
        return _date(self.epoch, seconds)


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

"""How long a job keeps the device busy, and how long it waits for it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from runner.errors import ConfigError
from runner.runtime.seeds import derive_seed

TYPICAL_DURATION = 100e-6
"""Length of a circuit that nobody knows the length of [s]: with the usual pause it makes IBM's 350 µs an execution."""


class Work(NamedTuple):
    """What one PUB makes the device do."""

    executions: int
    """Shots × parameter sets × measurement bases."""
    duration: float | None
    """Scheduled length of the circuit [s]; None where the device has no durations."""


@dataclass(kw_only=True)
class CostModel:
    """QPU seconds of a job: `overhead × sub-jobs + Σ executions × (rep_delay + circuit duration)`.

    Without a circuit duration (an ideal simulator) a typical one stands in, so that the default is the quick rule
    `2 + 0.00035 × executions`.
    """

    overhead: float = 2.0
    """Fixed time of each sub-job [s]."""
    rep_delay: float = 250e-6
    """Pause before each execution [s]."""
    seconds_per_execution: float | None = None
    """Pause and circuit together where the circuit's duration is unknown [s]; None: rep_delay + TYPICAL_DURATION."""
    executions_per_sub_job: int = 10_000_000
    """A job is split into sub-jobs of at most this many executions."""
    preparation: float = 0.0
    """Classical time of a job before it needs the QPU; up to `lanes` of them overlap [s]."""
    exact_shots: int = 4096
    """Shots that an exact job, which takes none here, is charged for."""

    def __post_init__(self) -> None:
        """Refuse negative times and counts below one."""
        for name in ("overhead", "rep_delay", "seconds_per_execution", "preparation"):
            if getattr(self, name) is not None and not getattr(self, name) >= 0:
                raise ConfigError(f"must be at least 0, got {getattr(self, name)!r}", key=f"cost.{name}")
        for name in ("executions_per_sub_job", "exact_shots"):
            if getattr(self, name) < 1:
                raise ConfigError(f"must be at least 1, got {getattr(self, name)!r}", key=f"cost.{name}")

    def qpu_seconds(self, work: Sequence[Work], *, rep_delay: float | None = None) -> float:
        """Return the time the job keeps the QPU; `rep_delay` stands in for the model's own."""
        pause = self.rep_delay if rep_delay is None else rep_delay
        executions = 0
        seconds = 0.0
        for part in work:
            each = pause + (TYPICAL_DURATION if part.duration is None else part.duration)
            if part.duration is None and self.seconds_per_execution is not None:
                each = self.seconds_per_execution
            executions += part.executions
            seconds += part.executions * each
        sub_jobs = max(1, math.ceil(executions / self.executions_per_sub_job))
        return self.overhead * sub_jobs + seconds


@dataclass(kw_only=True)
class QueueDelay:
    """How long something waits: always the same, or drawn from a log-normal distribution by name and
    count.
    """

    kind: str = "constant"
    """`constant` or `lognormal`."""
    seconds: float = 0.0
    """The constant, or the median of the distribution [s]."""
    sigma: float = 1.0
    """Standard deviation of the logarithm (lognormal only)."""

    def __post_init__(self) -> None:
        """Refuse unknown distributions and negative times."""
        if self.kind not in ("constant", "lognormal"):
            raise ConfigError(f"must be constant or lognormal, got {self.kind!r}", key="queue_delay.kind")
        for name in ("seconds", "sigma"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ConfigError(
                    f"must be at least 0, got {getattr(self, name)!r}", key=f"queue_delay.{name}"
                )

    def draw(self, seed: int, workload: str, index: int) -> float:
        """Return the delay of the `index`-th job of `workload`."""
        if self.kind == "constant" or self.seconds == 0:
            return self.seconds
        numbers = random.Random(derive_seed(seed, f"delay|{workload}", index))
        return self.seconds * math.exp(numbers.gauss(0.0, self.sigma))


def as_delay(value: QueueDelay | float | Mapping[str, Any] | None) -> QueueDelay:
    """Return `value` as a `QueueDelay`: numbers are constants, None is no delay."""
    if isinstance(value, QueueDelay):
        return value
    if isinstance(value, Mapping):
        return QueueDelay(**value)
    return QueueDelay(seconds=float(value or 0.0))

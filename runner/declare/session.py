"""Mode, plan, limits, clock and price of the session an experiment runs in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runner import services
from runner.declare.alternatives import acts_with, stands_for
from runner.declare.checks import require_choice, require_range
from runner.errors import ConfigError
from runner.runtime.clock import VirtualClock, WallClock
from runner.runtime.cost import CostModel, QueueDelay
from runner.runtime.duration import parse_duration
from runner.runtime.plan import PLANS

if TYPE_CHECKING:
    from runner.runtime.plan import Plan
    from runner.services.local import LocalService
    from runner.services.protocol import Backend, Service

MODES = ("session", "batch", "job")
CLOCKS = ("virtual", "wall")
ON_EXPIRY = ("stop", "reopen", "fail")
DELAYS = ("constant", "lognormal")


@acts_with(sigma={"kind": ("lognormal",)})
@dataclass(kw_only=True)
class QueueDelayConfig:
    """What a job waits in the device's queue when the session is not active (rule T2)."""

    kind: str = "constant"
    """constant | lognormal."""
    seconds: float = 0.0
    """The constant, or the median of the lognormal distribution, in seconds."""
    sigma: float = 1.0
    """Standard deviation of the logarithm; only for lognormal."""

    def __post_init__(self) -> None:
        require_choice("session.queue_delay.kind", self.kind, DELAYS)
        require_range("session.queue_delay.seconds", self.seconds, 0, 1e7)
        require_range("session.queue_delay.sigma", self.sigma, 0, 10)


IN_A_SESSION = {"mode": ("session", "batch")}


@acts_with(
    max_time=IN_A_SESSION,
    interactive_timeout=IN_A_SESSION,
    on_expiry=IN_A_SESSION,
    expired_jobs=IN_A_SESSION,
    clock_scale={"clock": ("wall",)},
    latency={"clock": ("virtual",)},
)
@stands_for("mode", "plan")
@dataclass(kw_only=True)
class SessionConfig:
    """How the experiment reaches the device and what ends its access."""

    name: str
    """Name of the choice."""
    mode: str = "session"
    """session | batch | job."""
    plan: str = "premium"
    """premium | flex | payg | open; an open plan may not open sessions."""
    max_time: int | str | None = None
    """Longest life of the session: seconds, or d, h, m, s parts like "1h 30m"; null: the plan's maximum."""
    max_usage: int | str | None = None
    """Seconds, or "10m", that the run may be charged for in all of its sessions; stops before they are exceeded."""
    max_cost: float | None = None
    """USD that the run may cost, at the price of its plan; the run stops before they are exceeded; null: any."""
    interactive_timeout: float | None = None
    """Seconds without a job after which the session goes inactive; null: 60, in a batch 1."""
    on_expiry: str = "stop"
    """What the experiment does when the session ends under it: stop (exit 3, resumable) | reopen | fail."""
    expired_jobs: str = "failed"
    """What becomes of jobs still queued when the session ends: failed | cancelled (IBM's pages say both)."""
    clock: str = "virtual"
    """virtual: time moves by what jobs cost on the device; wall: real time."""
    clock_scale: float = 1.0
    """Seconds of the wall clock that pass per real second; 60 makes a minute a second."""
    latency: float = 0.01
    """Modelled seconds of classical work between two jobs of a workload (virtual clock)."""
    lanes: int = 5
    """Jobs that may have started and wait for the QPU, in job mode too; those of a session end after it."""
    queue_delay: QueueDelayConfig = field(default_factory=QueueDelayConfig)
    """Waiting time in the device's queue while the session is not active."""
    overhead: float = 2.0
    """QPU seconds a job costs besides its executions."""
    rep_delay: float = 0.00025
    """Seconds between two executions."""
    price_per_second: float | None = None
    """USD per QPU second; null: the plan's price."""

    def __post_init__(self) -> None:
        require_choice("session.mode", self.mode, MODES)
        require_choice("session.plan", self.plan, list(PLANS))
        require_choice("session.clock", self.clock, CLOCKS)
        require_choice("session.on_expiry", self.on_expiry, ON_EXPIRY)
        require_choice("session.expired_jobs", self.expired_jobs, ("failed", "cancelled"))
        require_range("session.lanes", self.lanes, 1, 1000)
        for name, low in (("clock_scale", 1e-6), ("latency", 0), ("overhead", 0), ("rep_delay", 0)):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise ConfigError(f"must be a finite number, got {value}", key=f"session.{name}")
            require_range(f"session.{name}", value, low, 1e7)
        for name in ("interactive_timeout", "price_per_second"):
            if getattr(self, name) is not None:
                require_range(f"session.{name}", getattr(self, name), 0)
        self._check_max_time()
        self._check_budgets()
        if self.plan == "open" and self.mode == "session":
            raise ConfigError(
                "an open plan may not open sessions (code 1352); use session=batch or session=job",
                key="session.plan",
            )

    def _check_max_time(self) -> None:
        # job mode has no session to limit, but a run that had one may be re-timed in it
        seconds, longest = self.max_time_seconds, self.limits.max_time(self.mode.replace("job", "session"))
        if seconds is not None and seconds > longest:
            raise ConfigError(
                f"{self.max_time!r} is longer than the {self.plan} plan's {longest / 3600:g} h for a {self.mode}; "
                f"use at most {longest}",
                key="session.max_time",
            )

    def _check_budgets(self) -> None:
        key = "session.max_cost"
        parse_duration(self.max_usage, key="session.max_usage")
        if self.max_cost is None:
            return
        if not (math.isfinite(self.max_cost) and self.max_cost > 0):
            raise ConfigError(f"must be a sum in USD above 0, got {self.max_cost}", key=key)
        if not self.limits.price_per_second:
            raise ConfigError(
                f"a second on the {self.plan} plan costs nothing here; limit what is charged with "
                "session.max_usage=SECONDS",
                key=key,
            )

    def check_job_limit(self, seconds: float | None, key: str) -> None:
        """Refuse a job's own time limit that is longer than the session.

        Raises:
            ConfigError: naming both.
        """
        if seconds is not None and self.mode != "job" and seconds > self.longest:
            raise ConfigError(
                f"{seconds:g} s is longer than the session, {self.longest:g} s; lower it", key=key
            )

    @property
    def max_time_seconds(self) -> int | None:
        """The declared limit in seconds; None where it is the plan's."""
        return parse_duration(self.max_time, key="session.max_time")

    @property
    def max_usage_seconds(self) -> int | None:
        """Seconds that may be charged; None: any number."""
        return parse_duration(self.max_usage, key="session.max_usage")

    @property
    def limits_usage(self) -> bool:
        """Whether what may be charged is limited."""
        return self.max_usage is not None or self.max_cost is not None

    @property
    def longest(self) -> float:
        """Seconds after which the session or batch ends: as declared, else the plan's."""
        return self.max_time_seconds or self.limits.max_time(self.mode)

    @property
    def limits(self) -> Plan:
        """What the plan allows and costs, with the timeouts and the price that are declared in place of its own."""
        plan = PLANS[self.plan]
        if self.interactive_timeout is not None:
            seconds = self.interactive_timeout
            plan = replace(plan, interactive_timeout=seconds, batch_interactive_timeout=seconds)
        if self.price_per_second is not None:
            plan = replace(plan, price_per_second=self.price_per_second)
        return plan

    def build(
        self, *, limits: Plan | None = None, clock: VirtualClock | WallClock | None = None, **live: Any
    ) -> LocalService:
        """The local runtime service with this clock, plan, cost model and queue.

        Args:
            limits: in place of those declared.
            clock: in place of the one declared.
            live: seed, on_event, recall, keep_results, machine, engine_options and engine_factory, passed on to the
                service.
        """
        if clock is None and self.clock == "virtual":
            clock = VirtualClock(latency=self.latency)
        delay = self.queue_delay
        return services.LocalService(
            plan=limits or self.limits,
            clock=clock or WallClock(scale=self.clock_scale),
            cost=CostModel(overhead=self.overhead, rep_delay=self.rep_delay),
            queue_delay=QueueDelay(kind=delay.kind, seconds=delay.seconds, sigma=delay.sigma),
            lanes=self.lanes,
            expired_jobs=self.expired_jobs,
            **live,
        )

    def open(self, service: Service, backend: Backend) -> Any:
        """Open what jobs are submitted to: a session or a batch; in job mode the backend itself."""
        return service.open(backend, self.mode, self.max_time)


def plan_of(config: Mapping[str, Any]) -> Plan | None:
    """The plan and price that a recorded configuration declares; None where it declares none that is known."""
    declared = config.get("session") or {}
    plan, price = PLANS.get(str(declared.get("plan"))), declared.get("price_per_second")
    return plan if plan is None or price is None else replace(plan, price_per_second=price)


SCHEMAS = {"session": SessionConfig}

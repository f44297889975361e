"""What each plan allows and what a second of its device time costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

UNLIMITED = 10**12
"""Seconds that stand for no limit."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The limits of one plan."""

    name: str
    """What the plan is called: open, payg, flex, premium."""
    sessions: bool = True
    """Whether sessions may be opened; batch and job mode always may."""
    max_session_time: int = 28800
    """Longest session [s]."""
    max_batch_time: int = 28800
    """Longest batch [s]."""
    interactive_timeout: float = 60
    """How long a session stays active without a job [s]."""
    batch_interactive_timeout: float = 1
    """How long a batch stays active without a job [s]."""
    max_job_time: float = 10800
    """Longest job, in QPU time [s]."""
    auto_close: float = 1800
    """How long a session without a job stays open before its first one [s]."""
    allocation: float | None = None
    """Usage per 28 days, after which nothing runs until some of it is older [s]; None: no limit."""
    allocation_period: float = 28 * 86400
    """How long usage counts [s]."""
    price_per_second: float = 0.0
    """USD per second of usage. Compiled by third parties in 2026-05; replace it by your contract's."""

    def max_time(self, mode: str) -> float:
        """Return the longest life of a `session` (or `dedicated`), a `batch` or a `job` [s]."""
        return {"batch": self.max_batch_time, "job": self.max_job_time}.get(mode, self.max_session_time)

    def interactive(self, mode: str) -> float:
        """Return how long a `session` (or `dedicated`) or a `batch` stays active without a job [s]."""
        return self.batch_interactive_timeout if mode == "batch" else self.interactive_timeout

    def unlimited(self) -> Plan:
        """Return the same plan without an end to sessions, batches, jobs and usage, to see what they would take."""
        return replace(
            self,
            max_session_time=UNLIMITED,
            max_batch_time=UNLIMITED,
            max_job_time=UNLIMITED,
            allocation=None,
        )


PLANS = {
    plan.name: plan
    for plan in (
        Plan(name="open", sessions=False, max_batch_time=600, allocation=600, price_per_second=0.0),
        Plan(name="payg", price_per_second=1.60),
        Plan(name="flex", price_per_second=1.20),
        Plan(name="premium", price_per_second=0.80),
    )
}
"""The plans that are known by name: 1.60 USD/s is 96 a minute, 1.20 is 72, 0.80 is 48."""

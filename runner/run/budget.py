"""What a run may spend, in shots and in money, and what it has spent: a job begins only if it fits in.

Shots are executions of circuits: shots × parameter sets × measurement bases of every job, so that a gradient counts
what it takes. Money is the usage that is charged times the plan's price. What measuring the result takes is kept.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.display.words import grouped
from runner.errors import ConfigError
from runner.record.events import SHOTS, BudgetReached, JobCompleted, JobSubmitted

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.declare.session import SessionConfig

COST, USAGE = "session.max_cost", "session.max_usage"
BUDGETS = SHOTS, COST, USAGE
EXPIRY = "session.on_expiry"
"""What decides whether a run goes on whose session ended."""
LIMITS = *BUDGETS, EXPIRY
"""What may be larger, or more generous, in a run that goes on than it was declared."""


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What measuring the result of a minimization takes: a job that chooses, and one that reports."""

    seconds: float
    """On the QPU, both."""
    seconds_again: float
    """Of another that reports."""
    shots: int
    """Executions of circuits, both."""
    shots_again: int
    """Of another that reports."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What some jobs have taken."""

    shots: int | None
    """Executions of circuits; None where only the service knows."""
    qpu_seconds: float
    """On the QPU."""
    cost: float
    """USD that these seconds are; a session is charged for its pauses, too."""


@dataclass(frozen=True, kw_only=True)
class MeasuredBefore:
    """What measuring results took where a run stopped that went on later; no total of the run that went on has it."""

    jobs: int
    """Jobs."""
    qpu_seconds: float
    """On the QPU."""
    usage_seconds: float
    """Charged seconds."""
    cost: float
    """USD on the plan."""
    shots: int
    """Executions of circuits."""

    @classmethod
    def of(
        cls,
        jobs: Sequence[tuple[JobSubmitted, JobCompleted]],
        session: SessionConfig,
        price: float,
        charged: Mapping[str, float],
    ) -> MeasuredBefore | None:
        """Added up; None where there are none.

        Args:
            jobs: their submissions and ends.
            session: as declared; between jobs of a session the time goes on that it is charged for.
            price: USD per second of usage.
            charged: session that was closed then → seconds that it was charged for beyond those it is charged for now.
        """
        if not jobs:
            return None
        qpu = sum(over.qpu_seconds for _, over in jobs)
        usage = qpu
        if session.mode == "session":
            usage = max(math.fsum(charged.values()), 0.0)
            usage += sum(
                over.finished - begun.time + session.latency
                for begun, over in jobs
                if over.session not in charged
            )
        shots = sum(int(executions) for begun, _ in jobs for executions, _ in begun.work or ())
        return cls(jobs=len(jobs), qpu_seconds=qpu, usage_seconds=usage, cost=usage * price, shots=shots)


def in_all(kept: Iterable[Measuring], pause: float, *, several: bool, learning: float = 0.0) -> float:
    """Seconds of the session's clock that measuring all of these takes.

    Args:
        kept: what measuring takes, of each workload.
        pause: seconds that pass before a job begins.
        several: the lowest of several results is measured once more.
        learning: seconds of the job that learns the noise which measuring takes; 0: there is none.
    """
    kept = list(kept)
    seconds = sum(one.seconds + 2 * pause for one in kept)
    seconds += learning + pause if learning else 0.0
    return seconds + (max(one.seconds_again for one in kept) + pause if several and kept else 0.0)


def no_room(limit: float, what: str, first: float, after: float) -> ConfigError:
    """The line for a session that is over before a result can be measured with noise that is learned for it.

    Args:
        limit: seconds of the session.
        what: what comes first, in words.
        first: seconds of that.
        after: seconds of learning and measuring.
    """
    return ConfigError(
        f"{limit:g} s do not hold {what}, {first:.1f} s, and then learning noise and measuring the result, "
        f"{after:.1f} s; raise it, or take session.on_expiry=reopen",
        key="session.max_time",
    )


class Spending:
    """The budgets of a run and what its jobs have taken of them, by workload.

    Args:
        config: the declaration.
        price: USD per second of usage.
    """

    def __init__(self, config: RunConfig, price: float) -> None:
        self.reached: list[BudgetReached] = []
        """Where the run was stopped, in order."""
        self._price = price
        self._declared = config.optimizer.max_shots
        self._session = config.session
        self._lock = threading.Lock()
        self._shots: Counter[str] = Counter()
        self._last: dict[str, tuple[int, float]] = {}
        self._seconds = 0.0
        self._apart: dict[str, int | None] = {}

    @property
    def limited(self) -> bool:
        """Whether there is any budget."""
        session = self._session
        if self._declared is not None or session.max_usage is not None or session.max_cost is not None:
            return True
        return any(limit is not None for limit in self._apart.values())

    @property
    def shots(self) -> int:
        """Executions of all jobs."""
        return sum(self._shots.values())

    def shots_of(self, workload: str) -> int:
        """Executions of a workload's jobs."""
        return self._shots[workload]

    def last_shots(self, workload: str) -> int:
        """Executions of a workload's last job."""
        return self._last[workload][0]

    @property
    def qpu_seconds(self) -> float:
        """Seconds on the QPU of all jobs, those that have not begun included."""
        return self._seconds

    def apart(self, names: Iterable[str]) -> None:
        """Give each of these workloads, which race, a budget of shots for itself."""
        self._apart = dict.fromkeys(names, self._declared)

    def limit(self, workload: str, shots: int | None) -> None:
        """Say how many shots a workload may take that has a budget for itself; all others share the declared one."""
        if workload in self._apart:
            self._apart[workload] = shots

    def add(self, workload: str, seconds: float, shots: int) -> None:
        """Take note of a job that is submitted."""
        with self._lock:
            self._shots[workload] += shots
            self._seconds += seconds
            self._last[workload] = (shots, seconds)

    def add_all(self, workload: str, jobs: Iterable[tuple[float, int]]) -> None:
        """Take note of jobs that are submitted one after the other, by their seconds and executions."""
        for seconds, shots in jobs:
            self.add(workload, seconds, shots)

    def give_back(self, workload: str) -> None:
        """The last job of a workload was lost with its session before it began."""
        with self._lock:
            shots, seconds = self._last.pop(workload, (0, 0.0))
            self._shots[workload] -= shots
            self._seconds -= seconds

    def shots_exceeded(
        self, workload: str, shots: int, kept: Mapping[str, Measuring], learning: int
    ) -> BudgetReached | None:
        """The fact that a job of so many executions would exceed the budget of shots; None where it does not.

        Args:
            workload: whose job it is.
            shots: executions of it.
            kept: workload → what measuring its result takes.
            learning: executions of the job that learns the noise which measuring takes.
        """
        alone = workload in self._apart
        limit = self._apart[workload] if alone else self._declared
        if limit is None:
            return None
        names = [workload] if alone else [name for name in kept if name not in self._apart]
        needed = learning + sum(kept[name].shots for name in names if name in kept)
        if alone and len(self._apart) > 1 and workload in kept:
            needed += kept[workload].shots_again  # the lowest of several is measured once more
        with self._lock:
            spent = self._shots[workload] if alone else self.shots
        if spent + shots + needed <= limit:
            return None
        return BudgetReached(
            workload=workload, key=SHOTS, allowed=limit, spent=spent, needed=shots, measuring=needed
        )

    def usage_exceeded(
        self, workload: str, spent: float, seconds: float, needed: float
    ) -> BudgetReached | None:
        """The fact that a job would exceed what may be charged; None where it does not.

        Args:
            workload: whose job it is.
            spent: seconds charged by the time that it begins.
            seconds: what it adds.
            needed: what measuring the results so far takes.
        """
        session, total = self._session, spent + seconds + needed
        if (usage := session.max_usage_seconds) is not None and total > usage:
            return BudgetReached(
                workload=workload, key=USAGE, allowed=usage, spent=spent, needed=seconds, measuring=needed
            )
        price = self._price
        if session.max_cost is not None and total * price > session.max_cost:
            return BudgetReached(
                workload=workload, key=COST, allowed=session.max_cost, spent=spent * price,
                needed=seconds * price, measuring=needed * price,
            )  # fmt: skip
        return None

    def stop(self, fact: BudgetReached) -> str:
        """Take note that the run stops for this, and say why."""
        with self._lock:
            self.reached.append(fact)
        return in_words(fact)

    @property
    def larger(self) -> str | None:
        """What to type to go on with a larger budget than was reached; None where none was, or a racer's own."""
        declared = {
            SHOTS: self._declared,
            COST: self._session.max_cost,
            USAGE: self._session.max_usage_seconds,
        }
        facts = (fact for fact in self.reached if declared[fact.key] == fact.allowed)
        return next(map(larger, facts), None)


def larger(fact: BudgetReached) -> str:
    """What to type to go on: twice the budget that was reached, or what the next job takes where that is more."""
    enough = math.ceil(fact.spent + fact.needed + fact.measuring)
    return f"{fact.key}={max(2 * fact.allowed, enough):.15g}"


def in_words(fact: BudgetReached) -> str:
    """`max_shots 10 000 000: 9 900 000 used, the next job would take 150 000 …`."""

    def told(value: float) -> str:
        if fact.key == SHOTS:
            return grouped(round(value))
        return f"{value:.2f} USD" if fact.key == COST else f"{value:.1f} s"

    words = f"{fact.key.partition('.')[2]} {told(fact.allowed)}: {told(fact.spent)} used, "
    words += f"the next job would take {told(fact.needed)}"
    return words + (f" and measuring the result up to {told(fact.measuring)}" if fact.measuring else "")

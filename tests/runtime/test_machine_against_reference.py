"""The machine and the plain reference model agree on everything, whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runner.errors import ConfigError, PlanError, SessionClosedError, UsageLimitError
from runner.runtime.machine import Job, Machine, status_text
from runner.runtime.plan import Plan
from tests.runtime.reference import Reference, RefJob

DEVICES = ("torino", "torino", "torino", "kyiv")
PLANS = {
    "open": Plan(
        name="open", sessions=False, max_batch_time=40, auto_close=6, allocation=15, allocation_period=30
    ),
    "metered": Plan(name="metered", max_session_time=60, auto_close=8, allocation=25, allocation_period=40),
    "premium": Plan(name="premium", max_session_time=60, max_batch_time=60, auto_close=6),
    "flex": Plan(name="flex", max_session_time=90, max_batch_time=50, auto_close=8),
    "payg": Plan(name="payg", max_session_time=120, max_batch_time=120, auto_close=9),
}


class Interleavings(RuleBasedStateMachine):
    """Open, submit, wait, idle, close, cancel and expire, in random order, on both."""

    @initialize(
        plan=st.sampled_from(sorted(PLANS)),
        lanes=st.sampled_from([1, 2, 5]),
        expired_jobs=st.sampled_from(["failed", "cancelled"]),
    )
    def begin(self, plan: str, lanes: int, expired_jobs: str) -> None:
        """Choose the plan and the switches."""
        self.plan = PLANS[plan]
        self.facts: list[str] = []
        self.machine = Machine(
            self.plan,
            lanes=lanes,
            expired_jobs=expired_jobs,
            observer=lambda fact, _what: self.facts.append(fact.kind),
        )
        self.reference = Reference(
            lanes=lanes,
            expired=expired_jobs.upper(),
            auto_close=int(self.plan.auto_close),
            allocation=None if self.plan.allocation is None else int(self.plan.allocation),
            period=int(self.plan.allocation_period),
        )
        self.count = 0

    @rule(
        device=st.sampled_from(DEVICES),
        mode=st.sampled_from(["dedicated", "batch"]),
        max_time=st.sampled_from([5, 10, 20, 40, 60, 130]),
        patience=st.sampled_from([1, 3, 5]),
    )
    def open(self, device: str, mode: str, max_time: int, patience: int) -> None:
        """Open a session or batch; the plan may refuse."""
        name = f"s{len(self.machine.sessions)}"
        if self.plan.name == "metered":
            device = "torino"  # two active sessions would reach the limit between two seconds
        limit = self.plan.max_session_time if mode == "dedicated" else self.plan.max_batch_time
        if self.reference.used_up():
            with pytest.raises(UsageLimitError):
                self.machine.open_session(name, device, mode, max_time, patience)
        elif mode == "dedicated" and self.plan.name == "open":
            with pytest.raises(PlanError):
                self.machine.open_session(name, device, mode, max_time, patience)
        elif max_time > limit:
            with pytest.raises(ConfigError):
                self.machine.open_session(name, device, mode, max_time, patience)
        else:
            self.machine.open_session(name, device, mode, max_time, patience)
            self.reference.open(name, device, mode, max_time, patience)

    @rule(
        which=st.sampled_from([0, 0, 1, 2, 99, 99]),
        device=st.sampled_from(DEVICES),
        work=st.sampled_from([1, 2, 5, 10]),
        preparation=st.sampled_from([0, 0, 1, 4]),
        delay=st.sampled_from([0, 0, 2, 5]),
        priority=st.integers(0, 2),
        over_limit=st.sampled_from([False, False, False, True]),
        copies=st.integers(1, 4),
    )
    def submit(
        self,
        which: int,
        device: str,
        work: int,
        preparation: int,
        delay: int,
        priority: int,
        over_limit: bool,
        copies: int,
    ) -> None:
        """Submit jobs to one of the sessions, or in job mode."""
        names = list(self.reference.sessions)
        session = names[-1 - which] if which < len(names) else None
        for _ in range(copies):
            self.count += 1
            name = f"j{self.count}"
            record = self.machine.sessions[session] if session else None
            target = record.device if record else self.machine.device(device)
            job = Job(
                name,
                target,
                record,
                work,
                preparation,
                delay,
                priority,
                over_limit=over_limit,
            )
            twin = RefJob(name, target.name, session, work, preparation, delay, priority, over_limit)
            if (session is None or record.accepting) and self.reference.used_up():  # type: ignore[union-attr]
                with pytest.raises(UsageLimitError):
                    self.machine.submit(job)
                self.count -= 1
                return
            taken = self.reference.submit(twin)
            if taken:
                self.machine.submit(job)
            else:
                with pytest.raises(SessionClosedError):
                    self.machine.submit(job)

    @rule(seconds=st.sampled_from([1, 1, 2, 3, 5, 5, 10, 20, 40]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.reference.live(seconds)
        self.machine.advance(self.machine.now + seconds)

    @precondition(lambda self: getattr(self, "reference", None) and self.reference.sessions)
    @rule(which=st.integers(0, 3), kind=st.sampled_from(["close", "close", "cancel"]))
    def end(self, which: int, kind: str) -> None:
        """Close or cancel a session, maybe again."""
        names = list(self.reference.sessions)
        name = names[-1 - which % len(names)]
        if kind == "close":
            self.machine.close_session(self.machine.sessions[name])
            self.reference.close(name)
        else:
            self.machine.cancel_session(self.machine.sessions[name])
            self.reference.cancel(name)

    @precondition(lambda self: getattr(self, "reference", None) and self.reference.jobs)
    @rule(which=st.integers(0, 5))
    def cancel_job(self, which: int) -> None:
        """Cancel one of the last jobs."""
        twin = self.reference.jobs[-1 - which % len(self.reference.jobs)]
        self.machine.cancel_job(self.machine.jobs[twin.name])
        self.reference.cancel_job(twin)

    @invariant()
    def jobs_agree(self) -> None:
        """Every job has the same fate at the same times, at the same price."""
        if not hasattr(self, "reference"):
            return
        seen = {}
        wanted = {}
        for twin in self.reference.jobs:
            job = self.machine.jobs[twin.name]
            over = job.final
            seen[twin.name] = (
                job.status, job.started, job.finished if over else None, job.qpu_used if over else None, job.code
            )  # fmt: skip
            wanted[twin.name] = (
                twin.status, twin.started, twin.finished, twin.worked if over else None, twin.code
            )  # fmt: skip

        assert seen == wanted

    @invariant()
    def sessions_agree(self) -> None:
        """Every session is in the same state with the same details."""
        if not hasattr(self, "reference"):
            return
        now = self.machine.now
        seen, wanted = {}, {}
        for name, twin in self.reference.sessions.items():
            session = self.machine.sessions[name]
            seen[name] = (
                session.state, session.accepting, status_text(session.state, session.accepting),
                session.started_at, session.activated_at, session.closed_at, session.last_job_started,
                session.last_job_completed, session.usage(now), session.transitions,
            )  # fmt: skip
            wanted[name] = (
                twin.state, twin.accepting, self.reference.status(twin),
                twin.started_at, twin.activated_at, twin.closed_at, twin.last_started,
                twin.last_completed, self.reference.usage(twin), twin.history,
            )  # fmt: skip

        assert seen == wanted

    def teardown(self) -> None:
        """In the end everything ends: no job is left behind, and every fact was told once."""
        if not hasattr(self, "reference"):
            return
        for name in list(self.reference.sessions):
            self.machine.close_session(self.machine.sessions[name])
            self.reference.close(name)
        while any(twin.status in ("QUEUED", "RUNNING") for twin in self.reference.jobs):
            self.reference.live(1)
            self.machine.advance(self.machine.now + 1)
        self.jobs_agree()
        self.sessions_agree()

        assert all(job.final for job in self.machine.jobs.values())
        assert (
            self.facts.count("job.submitted") == self.facts.count("job.completed") == len(self.machine.jobs)
        )


def _campaign(examples: int) -> type:
    case = type("Campaign", (Interleavings,), {}).TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=30,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return case


class TestSeventyFive(_campaign(75)):  # type: ignore[misc]
    """75 sequences."""


@pytest.mark.nightly
class TestTenThousand(_campaign(10_000)):  # type: ignore[misc]
    """10 000 sequences."""

"""What a run has been charged for so far, from the events of its journal."""

from __future__ import annotations

from copy import deepcopy

from runner.record.events import (
    BudgetReached,
    Event,
    JobCompleted,
    Reserve,
    RunEnded,
    RunInterrupted,
    RunResumed,
    SessionChanged,
)
from runner.record.replay import Stop, goes_on, when_done

FED = (BudgetReached, JobCompleted, Reserve, RunEnded, RunInterrupted, RunResumed, SessionChanged)
"""The facts that it takes in; all others change nothing."""


class Usage:
    """Two totals in seconds, of which `charged` is what result.json, session.json and forecast.json call usage.

    A session is charged for the time in which it is active, whatever it does in it; batches and single jobs for the
    time on the QPU.
    """

    def __init__(self) -> None:
        self.qpu = 0.0
        """Time on the QPU, of all jobs that are over."""
        self.latest = 0.0
        """On the session's clock, what is known of it last."""
        self._by_job = 0.0
        self._periods = 0.0
        self._active_since: dict[str, float] = {}
        self._started: set[str] = set()
        self._dedicated: set[str] = set()
        self._waited_for: set[str] = set()
        self._jobs: set[int] = set()
        """Digests of what tells their ends apart, which take a tenth of the memory."""
        self._shutting_down = False
        self._stop = Stop()

    def feed(self, event: Event) -> None:
        """Take in one event of the journal; what a stopping process does to its session is no part of the run."""
        stop = isinstance(event, Reserve | BudgetReached)
        before = self._stop.undone(event, deepcopy(vars(self)) if stop else None)
        if before is not None and not (isinstance(event, RunResumed) and event.leaves):
            vars(self).update(before, _stop=self._stop)
        boundary = goes_on(event)
        if boundary is not None:
            self._shutting_down = not boundary
        elif self._shutting_down:
            return
        elif isinstance(event, SessionChanged):
            self._session(event)
        elif isinstance(event, JobCompleted):
            self._job(event)

    def charged(self, now: float) -> float | None:
        """Seconds charged until `now` on the session's clock; None while the service has not told when it started."""
        if self._waited_for - self._started:
            return None
        running = sum(max(0.0, now - since) for since in self._active_since.values())
        return self._by_job + self._periods + running

    def _session(self, event: SessionChanged) -> None:
        session, time = event.session, event.time
        self.latest = max(self.latest, time)
        if event.mode == "batch":
            return
        self._dedicated.add(session)
        since = self._active_since.pop(session, None)
        if since is not None:
            self._periods += time - since
        if event.state == "active":
            self._active_since[session] = time
            self._started.add(session)

    def _job(self, event: JobCompleted) -> None:
        job = hash(when_done(event))
        if job in self._jobs:  # told twice, by a resumed run
            return
        self._jobs.add(job)
        self.latest = max(self.latest, event.finished)
        self.qpu += event.qpu_seconds
        if event.session is None or event.session not in self._dedicated:
            self._by_job += event.qpu_seconds
        elif event.started is not None:
            self._waited_for.add(event.session)

"""The rules of sessions once more, as plainly as they can be written: every second is lived through, one by
one.

Written from `docs/session.md`, not from the machine: no agenda, no events, no versions. All times are whole
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RefJob:
    """A job: what it asks for and what became of it."""

    name: str
    device: str
    session: str | None
    work: int
    preparation: int
    delay: int
    priority: int
    over_limit: bool
    status: str = "QUEUED"
    ready_at: int = 0
    started: int | None = None
    finished: int | None = None
    worked: int = 0
    code: int | None = None


@dataclass
class RefSession:
    """A session or batch."""

    name: str
    device: str
    mode: str
    max_time: int
    patience: int
    state: str = "open"
    accepting: bool = True
    started_at: int | None = None
    activated_at: int | None = None
    closed_at: int | None = None
    last_started: int | None = None
    last_completed: int | None = None
    jobless_since: int = 0
    active_seconds: int = 0
    history: list[tuple[str, int]] = field(default_factory=list)


class Reference:
    """All devices of a service, second by second.

    Args:
        lanes: How many jobs may be running on a device.
        expired: What queued jobs become at the maximum time.
        auto_close: How long an unused session stays open.
        allocation: What may be used within `period` seconds.
    """

    def __init__(
        self, *, lanes: int, expired: str, auto_close: int, allocation: int | None = None, period: int = 0
    ) -> None:
        self.allocation = allocation
        self.period = period
        self.charged: list[tuple[int, int]] = []
        self.lanes = lanes
        self.expired = expired
        self.auto_close = auto_close
        self.now = 0
        self.jobs: list[RefJob] = []
        self.sessions: dict[str, RefSession] = {}
        self._start_order: list[str] = []

    # what the outside does

    def open(self, name: str, device: str, mode: str, max_time: int, patience: int) -> None:
        """Open a session."""
        session = RefSession(name, device, mode, max_time, patience, jobless_since=self.now)
        session.history.append(("open", self.now))
        self.sessions[name] = session

    def submit(self, job: RefJob) -> bool:
        """Take a job; False if its session takes none."""
        session = self.sessions.get(job.session or "")
        if session is not None and not session.accepting:
            return False
        active = session is not None and session.mode == "dedicated" and session.state == "active"
        job.ready_at = self.now if active else self.now + job.delay
        self.jobs.append(job)
        self._start_jobs()
        return True

    def close(self, name: str) -> None:
        """Close a session."""
        session = self.sessions[name]
        session.accepting = False
        self._close_if_done(session)
        self._start_jobs()

    def cancel(self, name: str) -> None:
        """Cancel a session."""
        session = self.sessions[name]
        if session.state != "closed":
            session.accepting = False
            for job in self._jobs(session, "QUEUED"):
                self._end(job, "CANCELLED")
            self._close_if_done(session)
        self._start_jobs()

    def cancel_job(self, job: RefJob) -> None:
        """Cancel a job."""
        if job.status not in ("QUEUED", "RUNNING"):
            return
        was_running = job.status == "RUNNING"
        self._end(job, "CANCELLED")
        session = self.sessions.get(job.session or "")
        if session is not None:
            if was_running:
                session.last_completed = self.now
            self._after_job(session)
        self._end_if_used_up()
        self._start_jobs()

    def live(self, seconds: int) -> None:
        """Live through some seconds."""
        for _ in range(seconds):
            for device in self._devices():
                self._work_one_second(device)
            for session in self.sessions.values():
                if session.state == "active":
                    session.active_seconds += 1
            self.now += 1
            self._instant()

    # what happens by itself

    def _instant(self) -> None:
        for job in self.jobs:
            if job.status == "RUNNING" and job.worked == job.work:
                self._end(job, "FAILED" if job.over_limit else "DONE")
                job.code = 1305 if job.over_limit else None
                session = self.sessions.get(job.session or "")
                if session is not None:
                    session.last_completed = self.now
                    self._after_job(session)
        self._end_if_used_up()
        for session in self.sessions.values():
            if session.state == "closed" or session.started_at is None:
                continue
            if self.now == session.started_at + session.max_time:
                session.accepting = False
                for job in self._jobs(session, "QUEUED", "RUNNING"):
                    if job.worked == 0:
                        self._end(job, self.expired)
                        job.code = 4001
                self._close_if_done(session)
        for session in self.sessions.values():
            idle = self.now - session.jobless_since
            if self._jobs(session, "QUEUED", "RUNNING"):
                continue
            if session.state == "active" and idle >= session.patience:
                self._enter(session, "inactive")
            elif session.state == "open" and idle >= self.auto_close:
                session.accepting = False
                self._close_if_done(session)
        self._start_jobs()

    def used_up(self) -> bool:
        """Whether the last seconds' charges and the active sessions' time reach the allocation."""
        if self.allocation is None:
            return False
        used = sum(seconds for time, seconds in self.charged if time > self.now - self.period)
        for session in self.sessions.values():
            if (session.mode, session.state) == ("dedicated", "active"):
                used += self.now - (session.activated_at or 0)
        return used >= self.allocation

    def _end_if_used_up(self) -> None:
        if not self.used_up():
            return
        for job in self.jobs:
            if job.status in ("QUEUED", "RUNNING") and job.worked == 0:
                self._end(job, "CANCELLED")
        for session in self.sessions.values():
            session.accepting = False
            self._close_if_done(session)

    def _work_one_second(self, device: str) -> None:
        """One job has the QPU: the first of the running ones, once it is prepared."""
        running = [job for job in self.jobs if job.device == device and job.status == "RUNNING"]
        running.sort(key=lambda job: self._start_order.index(job.name))
        if running and self.now >= (running[0].started or 0) + running[0].preparation:
            running[0].worked += 1

    def _start_jobs(self) -> None:
        for device in self._devices():
            while self._start_one(device):
                pass

    def _start_one(self, device: str) -> bool:
        running = [job for job in self.jobs if job.device == device and job.status == "RUNNING"]
        if len(running) >= self.lanes:
            return False
        waiting = [job for job in self.jobs if job.device == device and job.status == "QUEUED"]
        owners = [
            session.name
            for session in self.sessions.values()
            if (session.device, session.mode, session.state) == (device, "dedicated", "active")
        ]
        assert len(owners) <= 1, "two sessions own one device"
        if owners:
            chosen = next((job for job in waiting if job.session == owners[0]), None)
        else:
            chosen = self._first_in_line(waiting)
            if chosen is not None and self._mode(chosen) == "dedicated" and running:
                return False
        if chosen is None:
            return False
        session = self.sessions.get(chosen.session or "")
        if session is not None:
            if session.state != "active":
                session.activated_at = self.now
                if session.started_at is None:
                    session.started_at = self.now
                self._enter(session, "active")
            session.last_started = self.now
        chosen.status, chosen.started = "RUNNING", self.now
        self._start_order.append(chosen.name)
        return True

    def _first_in_line(self, waiting: list[RefJob]) -> RefJob | None:
        """Of every session only its first job is in line; sessions that were closed after they had started go first,
        then priority, then time.
        """
        seen: set[str] = set()
        line = []
        for place, job in enumerate(waiting):
            if job.session is not None and job.session in seen:
                continue
            seen.add(job.session or "")
            if job.ready_at <= self.now:
                session = self.sessions.get(job.session or "")
                closing = session is not None and not session.accepting and session.started_at is not None
                line.append((not closing, -job.priority, job.ready_at, place, job))
        return min(line, key=lambda entry: entry[:4])[4] if line else None

    # small things

    def _devices(self) -> list[str]:
        return sorted({job.device for job in self.jobs})

    def _jobs(self, session: RefSession, *statuses: str) -> list[RefJob]:
        return [job for job in self.jobs if job.session == session.name and job.status in statuses]

    def _mode(self, job: RefJob) -> str:
        return self.sessions[job.session].mode if job.session is not None else "job"

    def _end(self, job: RefJob, status: str) -> None:
        job.status, job.finished = status, self.now
        if self._mode(job) != "dedicated":
            self.charged.append((self.now, job.worked))

    def _after_job(self, session: RefSession) -> None:
        if not self._jobs(session, "QUEUED", "RUNNING"):
            session.jobless_since = self.now
            if not session.accepting:
                self._close_if_done(session)

    def _close_if_done(self, session: RefSession) -> None:
        if session.state != "closed" and not self._jobs(session, "QUEUED", "RUNNING"):
            session.closed_at = self.now
            self._enter(session, "closed")

    def _enter(self, session: RefSession, state: str) -> None:
        if (session.mode, session.state) == ("dedicated", "active"):
            self.charged.append((self.now, self.now - (session.activated_at or 0)))
        session.state = state
        session.history.append((state, self.now))

    def status(self, session: RefSession) -> str:
        """Return the text of `status()`."""
        if session.state in ("open", "inactive"):
            return "Pending"
        if session.state == "closed":
            return "Closed"
        return f"In progress, {'' if session.accepting else 'not '}accepting new jobs"

    def usage(self, session: RefSession) -> int | None:
        """Return what is charged: active seconds, or the QPU seconds of a batch's ended jobs."""
        if session.started_at is None:
            return None
        if session.mode == "dedicated":
            return session.active_seconds
        ended = self._jobs(session, "DONE", "FAILED", "CANCELLED")
        return sum(job.worked for job in ended)

"""The rules of sessions: a state machine of devices, sessions and jobs that moves only by the times it is
told.

It knows no threads, no clock, no circuits: whoever drives it says what time it is. Rule numbers (S5, T2, …)
are those of `docs/session.md`.
Things that fall on the same instant happen in this order: jobs complete, the usage limit and maximum times are reached,
idle timers run out, queue delays end; then free devices take jobs; then what the outside asks for.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.errors import ConfigError, PlanError, SessionClosedError, UsageLimitError
from runner.record.events import Event, JobCompleted, JobSubmitted, SessionChanged
from runner.runtime.plan import Plan

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "QUEUED", "RUNNING", "DONE", "FAILED", "CANCELLED"
DEDICATED, BATCH = "dedicated", "batch"
OPEN, ACTIVE, INACTIVE, CLOSED = "open", "active", "inactive", "closed"

SESSION_CLOSED_CODE = 1217
EXPIRED_CODE = 4001
MAX_JOB_TIME_CODE = 1305
OPEN_PLAN_MESSAGE = "You are not authorized to run a session when using the open plan."
OPEN_PLAN_SOLUTION = "Create an instance of a different plan type or use a different execution mode."
OPEN_PLAN_CODE = 1352

_ROUNDING = 1e-6
"""Seconds that sums of times may lack of a limit."""

_COMPLETION, _USAGE_LIMIT, _MAX_TIME, _IDLE, _AVAILABLE = range(5)


@dataclass(slots=True, eq=False)
class Job:
    """One job: what it asks for, then what became of it. Times are seconds on the session's clock."""

    id: str
    device: Device
    session: SessionRecord | None
    qpu_seconds: float
    preparation: float = 0.0
    delay: float = 0.0
    priority: int = 0
    workload: str = ""
    index: int = 0
    tags: tuple[str, ...] = ()
    program: str = "estimator"
    payload: Any = None
    """The front's own object; the machine never looks at it."""
    over_limit: bool = False
    """Its own time limit ends it before its work is done."""
    order: int = 0
    submitted: float = 0.0
    available: float = 0.0
    status: str = QUEUED
    started: float | None = None
    qpu_started: float | None = None
    finished: float | None = None
    qpu_used: float = 0.0
    reason: str | None = None
    code: int | None = None
    session_ended: bool = False
    """It was killed because its session ended."""
    failure: str | None = None
    """Why there are no numbers, where simulating it failed: it ends as failed, when its time comes."""
    alarm: int = 0
    """Number in the agenda: the end of its queue delay, then its completion."""
    waiters: list[Any] = field(default_factory=list)

    @property
    def final(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.status not in (QUEUED, RUNNING)

    def spoil(self, why: str) -> None:
        """Let it end as failed; no lock is needed, because completing it looks for this afterwards."""
        self.failure = why
        self.own_up()

    def own_up(self) -> None:
        """Be failed instead of done, if it was spoiled."""
        if self.failure is not None and self.status == DONE:
            self.status, self.reason = FAILED, self.failure


@dataclass(slots=True, eq=False)
class SessionRecord:
    """One session or batch, as the runtime remembers it."""

    id: str
    device: Device
    mode: str
    max_time: float
    interactive_timeout: float
    state: str = OPEN
    accepting: bool = True
    reason: str = "opened"
    started_at: float | None = None
    activated_at: float | None = None
    closed_at: float | None = None
    last_job_started: float | None = None
    last_job_completed: float | None = None
    transitions: list[tuple[str, float]] = field(default_factory=list)
    queue: deque[Job] = field(default_factory=deque)
    running: int = 0
    spent: float = 0.0
    """Usage of finished active periods (session) or finished jobs (batch) [s]."""
    idle_alarm: int = 0
    """Number in the agenda of the time at which its patience ends."""
    end_alarm: int = 0
    """The same of its maximum time."""

    @property
    def dedicated(self) -> bool:
        """Whether it owns its device while active (S7)."""
        return self.mode == DEDICATED

    def usage(self, now: float) -> float | None:
        """Return the seconds it is charged for so far; None before its first job (S21)."""
        if self.started_at is None:
            return None
        if self.dedicated and self.state == ACTIVE:
            assert self.activated_at is not None
            return self.spent + now - self.activated_at
        return self.spent


@dataclass(slots=True, eq=False)
class Device:
    """One QPU: who owns it, what runs on it, who waits for it."""

    name: str
    owner: SessionRecord | None = None
    running: list[Job] = field(default_factory=list)
    qpu_free_at: float = 0.0
    ready: list[tuple[int, float, int, Job]] = field(default_factory=list)
    """Heap of job-mode jobs whose queue delay is over."""
    sessions: list[SessionRecord] = field(default_factory=list)
    """Sessions with queued jobs."""


TOLD = "told by the service"
"""The reason for a session's state where a real service tells states only."""


def status_text(state: str, accepting: bool) -> str:
    """Return what `Session.status()` says, with the client's mapping (S19)."""
    if state in (OPEN, INACTIVE):
        return "Pending"
    if state == "pending_inactive" or (state == ACTIVE and accepting):
        return "In progress, accepting new jobs"
    if state in (ACTIVE, "pending_closed"):
        return "In progress, not accepting new jobs"
    return state.capitalize()


def _ignore(_fact: type[Event], _what: Any) -> None:
    """Listen to nothing."""


class Machine:
    """All devices, sessions and jobs of one service.

    Args:
        plan: The limits (S3, S4).
        lanes: Jobs of one device whose classical phases may overlap (S7).
        expired_jobs: What becomes of jobs still queued at the maximum time: failed | cancelled (S14).
        observer: Called for every fact, in the order of its time (S22): with its class and a job, or a session's event.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        lanes: int = 5,
        expired_jobs: str = "failed",
        observer: Callable[[type[Event], Any], None] | None = None,
    ) -> None:
        self.plan = plan
        self.lanes = lanes
        self.expired_status = FAILED if expired_jobs == "failed" else CANCELLED
        self.now = 0.0
        self.devices: dict[str, Device] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.jobs: dict[str, Job] = {}
        self.unfinished: dict[str, Job] = {}
        """The jobs that something can still happen to, in submission order."""
        self._observe = observer or _ignore
        self._agenda: list[tuple[float, int, int, Any]] = []
        self._due: set[int] = set()
        """Numbers of the entries that were not called off."""
        self._count = 0
        self._charges: deque[tuple[float, float]] = deque()
        """When what was charged to the instance, as long as it counts."""
        self._limit_alarm = 0

    def listen(self, observer: Callable[[type[Event], Any], None]) -> None:
        """Tell facts to `observer` from now on."""
        self._observe = observer

    # -- time -------------------------------------------------------------------------------------------

    def next_time(self) -> float | None:
        """Return when something will happen by itself; None if nothing will."""
        agenda = self._agenda
        while agenda and agenda[0][2] not in self._due:
            heapq.heappop(agenda)
        return agenda[0][0] if agenda else None

    def step(self) -> bool:
        """Go to the next instant at which something happens, and let it happen; False if nothing will."""
        instant = coming = self.next_time()
        if instant is None:
            return False
        self.now = instant
        touched: dict[str, Device] = {}
        # A device takes jobs when all of the instant has happened, or who gets it would depend on the order of entries.
        while coming == instant:
            device = self._happen(heapq.heappop(self._agenda))
            touched[device.name] = device
            coming = self.next_time()
        for device in touched.values():
            self._dispatch(device)
        return True

    def advance(self, now: float) -> None:
        """Let everything happen up to and including `now`."""
        while (instant := self.next_time()) is not None and instant <= now:
            self.step()
        self.now = max(self.now, now)

    def _schedule(self, time: float, rank: int, what: Any) -> int:
        """Enter something into the agenda and return its number, by which it can be called off."""
        self._count = number = self._count + 1
        heapq.heappush(self._agenda, (time, rank, number, what))
        self._due.add(number)
        return number

    def _happen(self, entry: tuple[float, int, int, Any]) -> Device:
        instant, rank, number, what = entry
        self._due.remove(number)
        device: Device = what.device
        if rank == _COMPLETION:
            self._complete(what)
        elif rank == _USAGE_LIMIT:
            self._watch_usage()
        elif rank == _MAX_TIME:
            self._expire(what)
        elif rank == _IDLE:
            self._idle(what)
        elif what.session is None:
            heapq.heappush(device.ready, (-what.priority, instant, what.order, what))
        return device

    # -- sessions ---------------------------------------------------------------------------------------

    def open_session(
        self,
        session_id: str,
        device_name: str,
        mode: str,
        max_time: float | None = None,
        interactive_timeout: float | None = None,
    ) -> SessionRecord:
        """Open a session (`dedicated`) or a `batch` on a device, within the plan; its first job starts it (S5).

        Raises:
            UsageLimitError: the instance has used what it may (S23).
            PlanError: the plan has no sessions (S4).
            ConfigError: `max_time` is above the plan's maximum (S3).
        """
        plan = self.plan
        self._require_usage_left()
        if mode == DEDICATED and not plan.sessions:
            raise PlanError(f"{OPEN_PLAN_MESSAGE} {OPEN_PLAN_SOLUTION}", code=OPEN_PLAN_CODE)
        limit = plan.max_time(mode)
        if max_time is not None and max_time > limit:
            raise ConfigError(
                f"{max_time:g} s is longer than the {plan.name} plan's maximum of {limit:g} s",
                key="session.max_time",
            )
        patience = plan.interactive(mode) if interactive_timeout is None else interactive_timeout
        device = self.device(device_name)
        session = SessionRecord(session_id, device, mode, limit if max_time is None else max_time, patience)
        self.sessions[session_id] = session
        self._enter(session, OPEN, "opened")
        self._start_idle_timer(session, plan.auto_close)
        return session

    def close_session(self, session: SessionRecord) -> None:
        """Stop accepting; what is submitted runs to its end, then the session closes at once (S15)."""
        if not session.accepting:
            return
        session.accepting = False
        session.reason = "closed by close()"
        if not session.queue and not session.running:
            self._close(session)
        else:
            self._tell(session)
        self._dispatch(session.device)

    def cancel_session(self, session: SessionRecord) -> None:
        """Stop accepting and cancel what is queued; running jobs complete (S16)."""
        if session.state == CLOSED:
            return
        session.accepting = False
        session.reason = "cancelled by cancel()"
        self._kill_queue(session, CANCELLED, None, "its session was cancelled")
        if not session.running:
            self._close(session)
        else:
            self._tell(session)
        self._dispatch(session.device)

    # -- the instance -----------------------------------------------------------------------------------

    def charge(self, seconds: float) -> None:
        """Charge usage to the instance at the present time (S23)."""
        if seconds and self.plan.allocation is not None:
            self._charges.append((self.now, seconds))

    def used(self) -> float:
        """Return the usage that counts against the limit: of the last 28 days, and of active sessions [s]."""
        while self._charges and self._charges[0][0] <= self.now - self.plan.allocation_period:
            self._charges.popleft()
        active = sum(self.now - (one.activated_at or 0.0) for one in self._owners())
        return sum(seconds for _, seconds in self._charges) + active

    def _require_usage_left(self) -> None:
        limit = self.plan.allocation
        if limit is not None and limit - self.used() <= _ROUNDING:
            raise UsageLimitError(
                f"Usage exceeds instance limit: {limit:g} s within {self.plan.allocation_period / 86400:g} days "
                "are used up."
            )

    def _owners(self) -> list[SessionRecord]:
        return [device.owner for device in self.devices.values() if device.owner is not None]

    def _watch_usage(self) -> None:
        """End what is to be ended if the instance has used what it may, or look again when it could have (S23)."""
        limit = self.plan.allocation
        if limit is None:
            return
        self._due.discard(self._limit_alarm)
        left, owners = limit - self.used(), self._owners()
        if left <= _ROUNDING:
            self._exhaust(limit)
        elif owners:
            self._limit_alarm = self._schedule(self.now + left / len(owners), _USAGE_LIMIT, owners[0])

    def _exhaust(self, limit: float) -> None:
        """Close every session and cancel what has not reached the QPU; what is on it completes."""
        why = f"the instance's limit of {limit:g} s within {self.plan.allocation_period / 86400:g} days is used up"
        for session in self.sessions.values():
            if session.state == CLOSED:
                continue
            told = session.accepting
            session.accepting = False
            session.reason = why
            self._kill_queue(session, CANCELLED, None, why, session_ended=False)
            self._kill_preparing(session.device, session, CANCELLED, None, why, session_ended=False)
            if not session.running:
                self._close(session)
            elif told:
                self._tell(session)
        for device in self.devices.values():
            self._kill_preparing(device, None, CANCELLED, None, why, session_ended=False)
        for job in [job for job in self.unfinished.values() if job.status == QUEUED]:
            self._finish(job, CANCELLED, why, None)

    def _expire(self, session: SessionRecord) -> None:
        session.accepting = False
        session.reason = "maximum time reached"
        why = f"its session {session.id} reached its maximum time of {session.max_time:g} s"
        self._kill_queue(session, self.expired_status, EXPIRED_CODE, why)
        self._kill_preparing(session.device, session, self.expired_status, EXPIRED_CODE, why)
        if session.running:
            self._tell(session)
        else:
            self._close(session)

    def _idle(self, session: SessionRecord) -> None:
        if session.state == ACTIVE:
            self._end_active_period(session)
            self._enter(session, INACTIVE, "interactive timeout")
        else:
            session.accepting = False
            session.reason = f"no job within {self.plan.auto_close / 60:g} minutes"
            self._close(session)

    def _activate(self, session: SessionRecord) -> None:
        again = session.started_at is not None
        session.activated_at = self.now
        if not again:
            session.started_at = self.now
            session.end_alarm = self._schedule(self.now + session.max_time, _MAX_TIME, session)
        if session.dedicated:
            session.device.owner = session
            self._watch_usage()
        reason = (
            session.reason
            if not session.accepting
            else "re-activated by a job"
            if again
            else "first job started"
        )
        self._enter(session, ACTIVE, reason)

    def _end_active_period(self, session: SessionRecord) -> None:
        if session.dedicated and session.state == ACTIVE:
            assert session.activated_at is not None
            session.spent += self.now - session.activated_at
            self.charge(self.now - session.activated_at)
            session.device.owner = None

    def _close(self, session: SessionRecord) -> None:
        self._end_active_period(session)
        self._due -= {session.idle_alarm, session.end_alarm}
        session.closed_at = self.now
        session.accepting = False
        self._enter(session, CLOSED, session.reason)

    def _enter(self, session: SessionRecord, state: str, reason: str) -> None:
        session.state = state
        session.reason = reason
        session.transitions.append((state, self.now))
        self._tell(session)

    def _settle(self, session: SessionRecord) -> None:
        """Close a closing session without jobs, or start the timer that makes an idle one inactive (S8,
        S15).
        """
        if session.queue or session.running or session.state == CLOSED:
            return
        if not session.accepting:
            self._close(session)
        elif session.state == ACTIVE:
            self._start_idle_timer(session, session.interactive_timeout)
        elif session.state == OPEN:
            self._start_idle_timer(session, self.plan.auto_close)

    def _start_idle_timer(self, session: SessionRecord, seconds: float) -> None:
        self._due.discard(session.idle_alarm)
        session.idle_alarm = self._schedule(self.now + seconds, _IDLE, session)

    def _kill_preparing(
        self,
        device: Device,
        session: SessionRecord | None,
        status: str,
        code: int | None,
        why: str,
        *,
        session_ended: bool = True,
    ) -> None:
        """Kill the jobs of a session, or of none, that have begun but not reached the QPU (S14, S23)."""
        for job in list(device.running):
            if job.session is session and job.qpu_started is not None and job.qpu_started >= self.now:
                device.running.remove(job)
                if session is not None:
                    session.running -= 1
                job.session_ended = session_ended
                self._finish(job, status, why, code)
        self._replan(device)

    def _kill_queue(
        self, session: SessionRecord, status: str, code: int | None, why: str, *, session_ended: bool = True
    ) -> None:
        while session.queue:
            job = session.queue.popleft()
            job.session_ended = session_ended
            self._finish(job, status, why, code)
        if session in session.device.sessions:
            session.device.sessions.remove(session)

    # -- jobs -------------------------------------------------------------------------------------------

    def device(self, name: str) -> Device:
        """Return the device called `name`, making it at first use."""
        device = self.devices.get(name)
        if device is None:
            device = self.devices[name] = Device(name)
        return device

    def submit(self, job: Job) -> None:
        """Take a job into the queue; `job.delay` counts unless its session is active (T2)."""
        session = job.session
        if session is not None and not session.accepting:
            raise SessionClosedError("Session has been closed.", code=SESSION_CLOSED_CODE)
        self._require_usage_left()
        self._count += 1
        job.order = self._count
        job.submitted = self.now
        active = session is not None and session.dedicated and session.state == ACTIVE
        job.available = self.now if active else self.now + job.delay
        self.jobs[job.id] = self.unfinished[job.id] = job
        self._observe(JobSubmitted, job)
        if session is not None:
            self._due.discard(session.idle_alarm)
            session.queue.append(job)
            if session not in job.device.sessions:
                job.device.sessions.append(session)
        elif job.available <= self.now:
            heapq.heappush(job.device.ready, (-job.priority, job.available, job.order, job))
        if job.available > self.now:
            job.alarm = self._schedule(job.available, _AVAILABLE, job)
        self._dispatch(job.device)

    def foresee(self, jobs: Sequence[Job], latency: Callable[[Job], float] | None = None) -> list[float]:
        """Return when the caller of each job goes on, who submits the next one then, and enter the jobs' times in them.

        Changes nothing else. As many as nothing else can happen meanwhile, so that `submit` and `step` do not have to
        find out: another job or an alarm, a session that changes, usage that is limited. The sums are those of
        `submit`, `_start`, `_plan_qpu` and `_complete`.

        Args:
            jobs: Of one device and session, neither submitted nor over their limits; the first is submitted now.
            latency: What passes between the end of a job and its caller's going on [s]; None: nothing.
        """
        if not jobs or self.unfinished or self.plan.allocation is not None:
            return []
        session, device, now = jobs[0].session, jobs[0].device, self.now
        waits, idle = True, 0
        if session is None:
            if device.owner is not None:
                return []
        else:
            if not session.accepting or session.state != ACTIVE:
                return []
            if device.owner is not (session if session.dedicated else None):
                return []
            waits, idle = not session.dedicated, session.idle_alarm
        patience = None if session is None else session.interactive_timeout
        coming, free = self._next_but(idle), device.qpu_free_at
        wakes: list[float] = []
        for job in jobs:
            job.submitted = now
            job.available = job.started = started = now + (job.delay if waits else 0.0)
            job.qpu_started = begun = max(started + job.preparation, free)
            job.finished = free = begun + job.qpu_seconds
            now = free if latency is None else max(free, free + latency(job))
            if (patience is not None and free + patience <= now) or (coming is not None and coming <= now):
                break
            wakes.append(now)
        return wakes

    def _next_but(self, number: int) -> float | None:
        """Return when something will happen by itself other than one entry of the agenda."""
        instant, agenda = self.next_time(), self._agenda
        if instant is None or agenda[0][2] != number:
            return instant
        entry = heapq.heappop(agenda)
        instant = self.next_time()
        heapq.heappush(agenda, entry)
        return instant

    def carry_out(self, jobs: Sequence[Job], wake: float) -> None:
        """Let foreseen jobs be submitted and run to their ends and the caller of the last go on at `wake`, untold."""
        last = jobs[-1]
        session, finished = last.session, last.finished
        assert finished is not None
        for job in jobs:
            self._count += 1
            job.order = self._count
            self.jobs[job.id] = job
            job.qpu_used = job.qpu_seconds
            job.status = DONE
            if session is not None and not session.dedicated:
                session.spent += job.qpu_used
        last.device.qpu_free_at = finished
        if session is not None:
            session.last_job_started = last.started
            session.last_job_completed = self.now = finished
            self._start_idle_timer(session, session.interactive_timeout)
        self.now = wake

    def cancel_job(self, job: Job) -> bool:
        """Cancel a job; one that is running is charged for what it used. False if it was over already."""
        if job.final:
            return False
        device, session = job.device, job.session
        if job.status == QUEUED:
            if session is not None:
                session.queue.remove(job)
                if not session.queue:
                    device.sessions.remove(session)
            self._finish(job, CANCELLED, "it was cancelled", None)
        else:
            assert job.qpu_started is not None
            job.qpu_used = min(max(0.0, self.now - job.qpu_started), job.qpu_seconds)
            self._leave(job, CANCELLED, "it was cancelled", None)
            self._replan(device)
        if session is not None:
            self._settle(session)
        self._watch_usage()
        self._dispatch(device)
        return True

    def _dispatch(self, device: Device) -> None:
        while len(device.running) < self.lanes:
            job = self._next_job(device)
            if job is None:
                return
            self._start(job)

    def _next_job(self, device: Device) -> Job | None:
        """Return who may start now (S7): the owner's next job, else the first in line whose delay is over.

        In line, sessions that were closed after they had started come first (S15), then priority, then time. A session
        that would become the owner waits until the device is empty, and everybody behind it waits too.
        """
        if device.owner is not None:
            return device.owner.queue[0] if device.owner.queue else None
        best: Job | None = None
        best_key: tuple[Any, ...] = ()
        while device.ready and device.ready[0][3].status != QUEUED:
            heapq.heappop(device.ready)
        if device.ready:
            best = device.ready[0][3]
            best_key = (True, *device.ready[0][:3])
        for session in device.sessions:
            head = session.queue[0]
            if head.available <= self.now:
                key = (
                    session.accepting or session.started_at is None,
                    -head.priority,
                    head.available,
                    head.order,
                )
                if best is None or key < best_key:
                    best, best_key = head, key
        if best is not None and best.session is not None and best.session.dedicated and device.running:
            return None
        return best

    def _start(self, job: Job) -> None:
        device, session = job.device, job.session
        if session is None:
            heapq.heappop(device.ready)
        else:
            session.queue.popleft()
            if not session.queue:
                device.sessions.remove(session)
            if session.state != ACTIVE:
                self._activate(session)
            session.running += 1
            session.last_job_started = self.now
        job.status = RUNNING
        job.started = self.now
        device.running.append(job)
        self._plan_qpu(job, device.qpu_free_at)

    def _plan_qpu(self, job: Job, free: float) -> None:
        assert job.started is not None
        job.qpu_started = max(job.started + job.preparation, free)
        job.finished = job.qpu_started + job.qpu_seconds
        job.device.qpu_free_at = job.finished
        self._due.discard(job.alarm)
        job.alarm = self._schedule(job.finished, _COMPLETION, job)

    def _replan(self, device: Device) -> None:
        """Move up the QPU phases that waited for a job that was cancelled."""
        free = self.now
        for job in device.running:
            assert job.qpu_started is not None
            if job.qpu_started <= self.now:
                assert job.finished is not None
                free = max(free, job.finished)
            else:
                self._plan_qpu(job, free)
                assert job.finished is not None
                free = job.finished
        device.qpu_free_at = free

    def _complete(self, job: Job) -> None:
        job.qpu_used = job.qpu_seconds
        if job.over_limit:
            why = f"it ran longer than its maximum execution time of {job.qpu_seconds:g} s"
            self._leave(job, FAILED, why, MAX_JOB_TIME_CODE)
        else:
            self._leave(job, DONE, None, None)
            job.own_up()
        if job.session is not None:
            self._settle(job.session)
        self._watch_usage()

    def _leave(self, job: Job, status: str, reason: str | None, code: int | None) -> None:
        job.device.running.remove(job)
        session = job.session
        if session is not None:
            session.running -= 1
            session.last_job_completed = self.now
            if not session.dedicated:
                session.spent += job.qpu_used
        if session is None or not session.dedicated:
            self.charge(job.qpu_used)
        self._finish(job, status, reason, code)

    def _finish(self, job: Job, status: str, reason: str | None, code: int | None) -> None:
        self._due.discard(job.alarm)
        del self.unfinished[job.id]
        job.status = status
        job.finished = self.now
        job.reason = reason
        job.code = code
        self._observe(JobCompleted, job)

    # -- looking ----------------------------------------------------------------------------------------

    def find_jobs(
        self, *, session_id: str | None = None, tags: Iterable[str] | None = None, status: str | None = None
    ) -> list[Job]:
        """Return jobs in submission order: of a session, bearing all of `tags`, with a status (S12)."""
        wanted = set(tags or ())
        return [
            job
            for job in self.jobs.values()
            if (session_id is None or (job.session is not None and job.session.id == session_id))
            and wanted <= set(job.tags)
            and (status is None or job.status == status)
        ]

    def certain(self, job: Job) -> bool:
        """Whether a job is done, or will reach the QPU before its session's maximum time (S14).

        Where usage has a limit, nobody knows what else is charged before the job gets there (S23), so that it has to
        be there.
        """
        if job.status != RUNNING or job.qpu_started is None:
            return job.status == DONE
        if self.plan.allocation is not None and job.qpu_started > self.now:
            return False
        session = job.session
        if session is None or session.started_at is None:
            return True
        return job.qpu_started < session.started_at + session.max_time

    def time_left(self, session: SessionRecord) -> float:
        """Return the seconds between the end of all that is submitted to a session and its maximum time."""
        busy = max(self.now, session.device.qpu_free_at) + sum(job.qpu_seconds for job in session.queue)
        started = self.now if session.started_at is None else session.started_at
        return started + session.max_time - busy

    def usage_ahead(self, session: SessionRecord) -> float:
        """Return the seconds a session is charged for by the end of all that is submitted to it."""
        waiting = sum(job.qpu_seconds for job in session.queue)
        if session.dedicated:
            busy = max(self.now, session.device.qpu_free_at) - self.now if session.state == ACTIVE else 0.0
            return (session.usage(self.now) or 0.0) + busy + waiting
        running = sum(job.qpu_seconds for job in session.device.running if job.session is session)
        return session.spent + running + waiting

    def _tell(self, session: SessionRecord) -> None:
        event = SessionChanged(
            session=session.id,
            state=session.state,
            status=status_text(session.state, session.accepting),
            reason=session.reason,
            time=self.now,
            accepting_jobs=session.accepting,
            mode=session.mode,
            backend=session.device.name,
            max_time=session.max_time,
            interactive_timeout=session.interactive_timeout,
            usage_time=session.usage(self.now),
        )
        self._observe(SessionChanged, event)

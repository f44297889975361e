"""Who may move the clock: the one lock around the machine, the threads that wait on it, and the facts it
tells.

On a virtual clock time stands still while a registered workload is thinking. When every one of them waits or
has finished, the thread that waits drives the machine to the next instant; workloads are woken one at a
time, earliest first and ties in the order of their registration, so that the timeline does not depend on the
operating system (C2). A woken workload that asks for a result simulates it before its turn comes, outside
the lock, so simulations overlap (C3).
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from runner.errors import RuntimeSessionError
from runner.record.events import Event, JobCompleted, SessionChanged
from runner.runtime.clock import VirtualClock, WallClock
from runner.runtime.machine import DONE, Job, Machine

Answer = TypeVar("Answer")


class Payload(Protocol):
    """What a front hangs on a machine job."""

    settled: bool
    """Whether it is known what the job returns."""
    completion: Told | None
    """That it is over, on its way to whoever listens."""

    def resolve(self) -> None:
        """Find out what the job returns; blocks while another thread does so."""

    def event(self, fact: type[Event]) -> Event | None:
        """Return what is to be told of it: `JobSubmitted` or `JobCompleted`; None where that is known already."""


class Participant:
    """A registered workload."""

    def __init__(self, name: str, order: int, timeline: Timeline) -> None:
        self.name = name
        self.order = order
        self.timeline = timeline
        self.primitives = 0
        self.stopped: str | None = None
        self.waiter: _Waiter | None = None


CURRENT: ContextVar[Participant | None] = ContextVar("runner_workload", default=None)


class _Waiter:
    """A thread that waits for a job, for a moment, or both."""

    __slots__ = (
        "blocked",
        "condition",
        "granted",
        "job",
        "order",
        "participant",
        "wake",
        "worked",
    )

    def __init__(
        self, order: int, participant: Participant | None, job: Job | None, wake: float | None
    ) -> None:
        self.order = order
        self.participant = participant
        self.job = job
        self.wake = wake
        self.granted = False
        self.blocked = False
        self.worked = False
        self.condition: threading.Condition | None = None


class Told:
    """A fact in the queue of those that are to be told."""

    __slots__ = ("delivered", "event", "what")

    def __init__(self, event: type[Event], what: Any) -> None:
        self.event = event
        self.what = what
        self.delivered = False


class _Seen(threading.local):
    job: Job | None = None
    """The job whose end this thread has waited for last."""

    def __init__(self) -> None:
        self.looks: set[tuple[int, str]] = set()
        """What this thread has looked at in this round of its loop."""
        self.rounds = 0
        """Its rounds since something happened."""
        self.changes = 0
        """What had happened then."""


class Timeline:
    """The machine behind its lock.

    Args:
        clock: A `VirtualClock` or a `WallClock`.
        on_event: Called for every fact, in the order of its time, never under the lock.
        latency: Draws what passes between a job's completion and its caller going on; virtual clock only.
    """

    def __init__(
        self,
        clock: VirtualClock | WallClock,
        on_event: Callable[[Event], None] | None,
        latency: Callable[[Job], float],
    ) -> None:
        self.clock = clock
        # Who tells facts (`_emitting`) may take this lock, because a listener may ask the service something; who holds
        # it never begins to tell. A simulation, under its job's own guard, waits for neither.
        self.lock = threading.Lock()
        self.machine: Machine
        self._on_event = on_event
        self.latency = latency
        self._waiters: list[_Waiter] = []
        self._holder: Participant | None = None
        self._orders = itertools.count(1_000_000)
        self._registrations = itertools.count()
        self._outbox: deque[Told] = deque()
        self._emitting = threading.RLock()
        self._inside = False
        self._seen = _Seen()
        self._changes = 0

    # -- what a thread does follows from what it saw ------------------------------------------------------

    @property
    def seen(self) -> Job | None:
        """The job whose end this thread has waited for last."""
        return self._seen.job

    def see(self, job: Job | None) -> None:
        """Remember that this thread has waited for `job`, unless it has seen a later one."""
        before = self.seen
        if job is not None and (before is None or (job.finished or 0) >= (before.finished or 0)):
            self._seen.job = job

    # -- facts ------------------------------------------------------------------------------------------

    @property
    def told(self) -> bool:
        """Whether somebody is told the facts."""
        return self._on_event is not None

    def observe(self, event: type[Event], what: Any) -> None:
        """Take a fact from the machine."""
        self._changes += 1
        if event is JobCompleted and what.waiters:
            for waiter in what.waiters:
                waiter.wake = self._wake(what)
            what.waiters.clear()
        if self._on_event is not None:
            fact = Told(event, what)
            if event is JobCompleted:
                payload: Payload = what.payload
                payload.completion = fact
            self._outbox.append(fact)

    def deliver(self, upto: Told | None = None) -> None:
        """Tell the facts, in order; stop at the first job whose result nobody has asked for, unless `upto`
        is later.
        """
        on_event = self._on_event
        if on_event is None:
            return
        outbox = self._outbox
        while True:
            with self._emitting:
                if self._inside:
                    return
                self._inside = True
                try:
                    while outbox:
                        fact = outbox[0]
                        event, what = fact.event, fact.what
                        if event is SessionChanged:
                            on_event(what)
                        elif event is JobCompleted and what.status == DONE and not what.payload.settled:
                            break
                        elif (told := what.payload.event(event)) is not None:
                            on_event(told)
                        fact.delivered = True
                        outbox.popleft()
                finally:
                    self._inside = False
                if upto is None or upto.delivered:
                    return
                blocking: Payload = outbox[0].what.payload
            # not under `_emitting`: a simulation may take minutes, and others have facts to tell meanwhile
            blocking.resolve()

    # -- acting and looking -----------------------------------------------------------------------------

    def act(self, action: Callable[[], Answer]) -> Answer:
        """Do something to the machine at the present time, and tell what came of it."""
        with self.lock:
            self.catch_up()
            answer = action()
            self.stir()
        self.deliver()
        return answer

    def look(self, what: object, how: str, question: Callable[[], Answer]) -> Answer:
        """Answer a question about the present; asked again with nothing happening, first let time pass (C4).

        Programs that poll sleep in between, really, where a virtual clock knows nothing of it. The first repetition
        takes a second and each further one twice as long, but never longer than until something happens by itself;
        a loop that looks at several things sees them all at one instant.

        Args:
            what: Whom the question is about.
            how: What is asked.
            question: Gives the answer.
        """
        with self.lock:
            self.catch_up()
            self._let_rounds_take_time((id(what), how))
            answer = question()
        self.deliver()
        return answer

    def _let_rounds_take_time(self, look: tuple[int, str]) -> None:
        seen = self._seen
        if seen.changes != self._changes:
            seen.changes, seen.rounds = self._changes, 0
            seen.looks.clear()
        # A round begins with what was looked at in this one already, so that all its looks see the same instant.
        if look in seen.looks:
            seen.looks.clear()
            seen.rounds += 1
            self._pause(2.0 ** (seen.rounds - 1))
            if seen.changes != self._changes:
                seen.changes, seen.rounds = self._changes, 0
        seen.looks.add(look)

    def _pause(self, seconds: float) -> None:
        """Let time pass as for one who sleeps, not beyond the next instant at which something happens by itself."""
        instant = self.machine.next_time()
        if instant is None or isinstance(self.clock, WallClock) or self._inside:
            return
        waiter = self._enter(None, min(instant, self.machine.now + seconds))
        try:
            self._wait_virtually(waiter, None)
        finally:
            self._leave(waiter)

    def stir(self) -> None:
        """After something was done under the lock: let those who wait look again."""
        self._changes += 1
        if not self._waiters:
            return
        if not self.clock.virtual:
            self._notify_all()
        elif self._holder is None:
            self._notify_one()

    def catch_up(self) -> None:
        """Bring the machine to the present (a wall clock runs by itself)."""
        if isinstance(self.clock, WallClock):
            self.machine.advance(self.clock.now())

    def now(self) -> float:
        """Return the present time on this clock."""
        with self.lock:
            self.catch_up()
            return self.machine.now

    # -- waiting ----------------------------------------------------------------------------------------

    def wait_for(
        self, job: Job, work: Callable[[], None] | None = None, timeout: float | None = None
    ) -> bool:
        """Return when `job` is over and its caller may go on; False if `timeout` seconds passed before.

        `work` (the simulation) is called without the lock as soon as it is certain that the job will run.
        """
        with self.lock:
            self.catch_up()
            if timeout is None and self._get_through(job):
                self.see(job)
                return True
            waiter = self._enter(job, None if timeout is None else self.machine.now + timeout)
            try:
                if isinstance(self.clock, WallClock):
                    self._wait_really(waiter, self.clock, work)
                else:
                    self._wait_virtually(waiter, work)
            finally:
                self._leave(waiter)
            if job.final:
                self.see(job)
            return job.final

    def sleep(self, seconds: float, until: float = 0.0) -> None:
        """Let `seconds` pass on this clock, or what is left until a moment, which then is met to the bit."""
        with self.lock:
            self.catch_up()
            self._changes += 1
            waiter = self._enter(None, max(self.machine.now + seconds, until))
            try:
                if isinstance(self.clock, WallClock):
                    self._wait_really(waiter, self.clock, None)
                else:
                    self._wait_virtually(waiter, None)
            finally:
                self._leave(waiter)
        self.deliver()

    def drain(self) -> None:
        """Let time pass until every job is over, then tell everything."""
        while True:
            with self.lock:
                self.catch_up()
                pending = next(iter(self.machine.unfinished.values()), None)
                # where memory ended in the middle of a submission nothing is to come that could end the job
                stuck = self.clock.virtual and not self._waiters and self.machine.next_time() is None
            if pending is None or stuck:
                break
            self.wait_for(pending)
        self.deliver(self._outbox[-1] if self._outbox else None)

    @property
    def alone(self) -> bool:
        """Whether nobody else waits, thinks or has still to be told something, on a virtual clock."""
        return not (
            self._waiters
            or self._outbox
            or self._inside
            or self._holder is not None
            or not self.clock.virtual
            or CURRENT.get() is not None
        )

    def passed(self, jobs: Sequence[Job]) -> None:
        """Take note, under the lock, that this thread alone has submitted `jobs` and waited for each in turn."""
        self._changes += len(jobs)
        self.see(jobs[-1])

    def _get_through(self, job: Job) -> bool:
        """Let time pass until the caller of `job` goes on, if nobody else is there to wait or to think."""
        if self._waiters or self._holder is not None or not self.clock.virtual or CURRENT.get() is not None:
            return False
        while not job.final:
            if not self.machine.step():
                return False
        self.machine.advance(self._wake(job))
        return True

    def _enter(self, job: Job | None, wake: float | None) -> _Waiter:
        participant = CURRENT.get()
        if participant is not None and participant.timeline is not self:
            participant = None
        if participant is not None and participant.stopped is not None:
            raise RuntimeSessionError(participant.stopped)
        order = next(self._orders) if participant is None else participant.order
        waiter = _Waiter(order, participant, job, wake)
        if job is not None:
            if job.final:
                waiter.wake = self._wake(job)
            else:
                job.waiters.append(waiter)
        self._waiters.append(waiter)
        if participant is not None:
            participant.waiter = waiter
            if self._holder is participant:
                self._holder = None
        return waiter

    @staticmethod
    def _check(waiter: _Waiter) -> None:
        """Raise in a workload that was stopped."""
        if waiter.participant is not None and waiter.participant.stopped is not None:
            raise RuntimeSessionError(waiter.participant.stopped)

    def _leave(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if waiter.job is not None and waiter in waiter.job.waiters:
            waiter.job.waiters.remove(waiter)
        if self._holder is None:
            self._notify_one()

    def _wake(self, job: Job) -> float:
        """Return when somebody who waited for `job` goes on."""
        assert job.finished is not None
        if not self.clock.virtual:
            return job.finished
        return max(self.machine.now, job.finished + self.latency(job))

    def _wait_virtually(self, waiter: _Waiter, work: Callable[[], None] | None) -> None:
        while not waiter.granted:
            self._pump(waiter)
            self._check(waiter)
            if waiter.granted:
                return
            if not self._work(waiter, work):
                self._block(waiter, None)

    def _wait_really(self, waiter: _Waiter, clock: WallClock, work: Callable[[], None] | None) -> None:
        while True:
            self.machine.advance(clock.now())
            now = self.machine.now
            if waiter.wake is not None and waiter.wake <= now:
                return
            self._check(waiter)
            if self._work(waiter, work):
                continue
            times = [time for time in (self.machine.next_time(), waiter.wake) if time is not None]
            self._block(waiter, (min(times) - now) / clock.scale if times else None)

    def _work(self, waiter: _Waiter, work: Callable[[], None] | None) -> bool:
        """Simulate, without the lock, a job that is certain to run; True if there was something to do."""
        if work is None or waiter.worked or waiter.job is None or not self.machine.certain(waiter.job):
            return False
        if waiter.job.over_limit:
            return False
        waiter.worked = True
        self.lock.release()
        try:
            work()
        finally:
            self.lock.acquire()
        return True

    def _block(self, waiter: _Waiter, timeout: float | None) -> None:
        if waiter.condition is None:
            waiter.condition = threading.Condition(self.lock)
        waiter.blocked = True
        waiter.condition.wait(timeout)
        waiter.blocked = False

    def _pump(self, me: _Waiter | None) -> None:
        """Move time on until somebody may go on, as long as no registered workload is thinking."""
        machine = self.machine
        # What a thinking workload submits next belongs to this very instant, and the machine cannot go back to it: time
        # moves on only when all wait, and whoever is woken then is alone until it waits again.
        while self._holder is None:
            first: _Waiter | None = None
            for waiter in self._waiters:
                if waiter.wake is not None and (
                    first is None or (waiter.wake, waiter.order) < (first.wake, first.order)
                ):
                    first = waiter
            instant = machine.next_time()
            # At one instant the machine comes first: what ends there may wake somebody who is before `first` in order.
            if first is not None and (instant is None or first.wake < instant):  # type: ignore[operator]
                self._grant(first, me)
                return
            if instant is None or not self._waiters:
                return
            machine.step()
            self._notify_started(me)

    def _grant(self, waiter: _Waiter, me: _Waiter | None) -> None:
        assert waiter.wake is not None
        self.machine.advance(waiter.wake)
        waiter.granted = True
        self._waiters.remove(waiter)
        self._holder = waiter.participant
        if waiter is not me and waiter.condition is not None:
            waiter.condition.notify()

    def _notify_started(self, me: _Waiter | None) -> None:
        """Wake threads whose job has just become certain to run, so that they simulate it."""
        for waiter in self._waiters:
            if waiter is not me and waiter.condition is not None and not waiter.worked:
                job = waiter.job
                if job is not None and self.machine.certain(job):
                    waiter.condition.notify()

    def _notify_one(self) -> None:
        for waiter in self._waiters:
            if waiter.blocked:
                assert waiter.condition is not None
                waiter.blocked = False
                waiter.condition.notify()
                return

    def _notify_all(self) -> None:
        for waiter in self._waiters:
            if waiter.condition is not None:
                waiter.condition.notify()

    # -- registered workloads ---------------------------------------------------------------------------

    def register(self, names: list[str]) -> list[Participant]:
        """Register workloads, in this order, from now on; each still has to `begin`."""
        with self.lock:
            self.catch_up()
            participants = [Participant(name, next(self._registrations), self) for name in names]
            for participant in participants:
                waiter = _Waiter(participant.order, participant, None, self.machine.now)
                participant.waiter = waiter
                self._waiters.append(waiter)
            return participants

    def begin(self, participant: Participant) -> None:
        """Wait for the first turn of a registered workload, in its own thread."""
        waiter = participant.waiter
        assert waiter is not None
        with self.lock:
            if isinstance(self.clock, WallClock):
                self._waiters.remove(waiter)
            else:
                self._wait_virtually(waiter, None)

    def end(self, participant: Participant) -> None:
        """Let time pass without this workload from now on."""
        with self.lock:
            waiter = participant.waiter
            if waiter is not None and waiter in self._waiters:
                self._waiters.remove(waiter)
            if self._holder is participant:
                self._holder = None
            self._notify_one()

    def stop(self, participants: list[Participant], why: str) -> None:
        """Make everything these workloads wait for raise a `RuntimeSessionError`."""
        with self.lock:
            for participant in participants:
                participant.stopped = why
                waiter = participant.waiter
                if waiter is not None and waiter.condition is not None:
                    waiter.condition.notify()

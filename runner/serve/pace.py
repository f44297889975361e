"""Time of a served runtime: it runs by the wall clock, and waits when a simulation is slower than the device."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from runner.runtime import LocalRuntimeService, WallClock
from runner.runtime.machine import QUEUED, RUNNING, Job, Machine, SessionRecord
from runner.runtime.plan import Plan
from runner.runtime.threads import Background

log = logging.getLogger("runner.serve")

RETRY = 1.0
"""Pause after something unexpected [s]."""


class PacedClock(WallClock):
    """A wall clock that can be held and stopped: no session ages while this computer is busy for the device.

    It is ahead of the real time by what passed faster. While it rests, because nothing is going on, it stands until the
    real time has caught up and then goes with it, so that dates are today's again.

    Args:
        lead: Seconds that `epoch` is ahead of the real time.
    """

    def __init__(self, *, scale: float = 1.0, epoch: datetime | None = None, lead: float = 0.0) -> None:
        super().__init__(scale=scale, epoch=epoch)
        self._real_start = self._start + lead
        self._stops = 0
        self._stopped_at = 0.0
        self._resting_since: float | None = 0.0
        self._guard = threading.Lock()

    def now(self) -> float:
        """Return the seconds since the clock was made, scaled, without those it stood still."""
        with self._guard:
            return self._stopped_at if self._stops else self._going()

    def _going(self) -> float:
        """What it says if nobody stops it."""
        if self._resting_since is None:
            return super().now()
        return max(self._resting_since, time.monotonic() - self._real_start)

    def rest(self) -> None:
        """Let the real time catch up."""
        with self._guard:
            if self._resting_since is None:
                self._resting_since = self._stopped_at if self._stops else super().now()

    def go_on(self) -> None:
        """Be scaled from here on."""
        with self._guard:
            if self._resting_since is not None:
                present = self._stopped_at if self._stops else self._going()
                self._resting_since = None
                self._start = time.monotonic() - present / self.scale

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stand still for the length of a block; blocks may overlap."""
        with self._guard:
            if not self._stops:
                self._stopped_at = self._going()
            self._stops += 1
        try:
            yield
        finally:
            with self._guard:
                self._stops -= 1
                if not self._stops and self._resting_since is None:
                    self._start += (super().now() - self._stopped_at) / self.scale

    def hold(self, seconds: float) -> None:
        """Take back `seconds` of its time."""
        with self._guard:
            self._start += seconds / self.scale
            self._stopped_at -= seconds


class StandingClock(PacedClock):
    """A virtual clock: time passes only while a job is pending, and then at once."""

    def __init__(self, *, epoch: datetime | None = None) -> None:
        super().__init__(epoch=epoch)

    def now(self) -> float:
        """Return 0: this clock leaves it to the machine how late it is."""
        return 0.0

    def hold(self, seconds: float) -> None:
        """Do nothing: it stands anyway."""


class PacedMachine(Machine):
    """The state machine, stopping before the completion of a job that is not simulated yet.

    Args:
        plan: The limits.
        clock: Whom to hold back when that happens.
        on_start: Called with every job that starts, under the lock.
        options: Further arguments of `Machine`.
    """

    def __init__(
        self, plan: Plan, clock: PacedClock, on_start: Callable[[Job], None], **options: object
    ) -> None:
        super().__init__(plan, **options)  # type: ignore[arg-type]
        self.simulated: set[str] = set()
        self.pending = 0
        self.open_sessions = 0
        self._clock = clock
        self._on_start = on_start
        self._jumps = isinstance(clock, StandingClock)

    def advance(self, now: float) -> None:
        """Let everything happen up to `now`, or up to the first job that still has to be simulated."""
        while (instant := self.next_time()) is not None:
            if not (self.pending if self._jumps else instant <= now):
                break
            if self.waits_at(instant):
                self._clock.hold(now - instant)
                now = instant
                break
            self.step()
        self.now = max(self.now, now)

    def waits_at(self, instant: float) -> bool:
        """Whether a job is over at `instant` whose simulation is not."""
        return any(
            job.finished is not None
            and job.finished <= instant
            and not job.over_limit
            and job.id not in self.simulated
            for device in self.devices.values()
            for job in device.running
        )

    def open_session(
        self,
        session_id: str,
        device_name: str,
        mode: str,
        max_time: float | None = None,
        interactive_timeout: float | None = None,
    ) -> SessionRecord:
        """Open a session, whose time passes from here on."""
        record = super().open_session(session_id, device_name, mode, max_time, interactive_timeout)
        self.open_sessions += 1
        self._clock.go_on()
        return record

    def submit(self, job: Job) -> None:
        """Take a job into the queue."""
        super().submit(job)
        self.pending += 1
        self._clock.go_on()

    def _start(self, job: Job) -> None:
        super()._start(job)
        if not job.over_limit:
            self._on_start(job)

    def _complete(self, job: Job) -> None:
        super()._complete(job)
        if not job.over_limit:
            job.payload.resolve()  # at once: it was simulated ahead

    def _finish(self, job: Job, status: str, reason: str | None, code: int | None) -> None:
        super()._finish(job, status, reason, code)
        self.pending -= 1
        self.simulated.discard(job.id)
        self._rest()

    def _close(self, session: SessionRecord) -> None:
        super()._close(session)
        self.open_sessions -= 1
        self._rest()

    def _rest(self) -> None:
        if not self.pending and not self.open_sessions:
            self._clock.rest()

    def forget(self, job: Job) -> None:
        """Remember a job that is over no longer; who wants to know more has the ledger."""
        self.jobs.pop(job.id, None)


class Pace:
    """Keeps a service's time going and simulates its jobs in a few threads.

    Args:
        clock: The clock of the service.
        build: Makes the service, with this clock and a machine from what it is given as (clock, machine).
        workers: Jobs that are simulated at the same time.
    """

    def __init__(
        self, clock: PacedClock, build: Callable[..., LocalRuntimeService], *, workers: int = 2
    ) -> None:
        self._clock = clock
        self.service = build(clock=clock, machine=self._make_machine)
        self._timeline = self.service.timeline
        self._wake = threading.Event()
        self._stopping = False
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="simulation")
        self._thread = Background(self._run)

    def _make_machine(self, plan: Plan, **options: object) -> PacedMachine:
        self.machine = PacedMachine(plan, self._clock, self._simulate, **options)
        return self.machine

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._workers.shutdown(wait=True, cancel_futures=True)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Stop the clock for the length of a block: reading a job takes time here, not on the device."""
        with self._clock.stopped():
            yield
        self._wake.set()

    def nudge(self) -> None:
        """Look again: something was done to the machine."""
        self._wake.set()

    def now(self) -> float:
        """The present on the session's clock, which never goes back.

        The machine's: the clock may have run on over a job that is still being simulated, and will be held.
        """
        return self._timeline.act(lambda: self.machine.now)

    def used(self) -> float:
        """The usage that counts against the plan's limit [s]."""
        return self._timeline.act(self.machine.used)

    def seconds_left(self, job: Job) -> float | None:
        """Real seconds until a running job is expected to be over; None where that cannot be told."""
        if job.status == QUEUED:
            return None
        if job.finished is None or isinstance(self._clock, StandingClock):
            return 0.0
        return max(0.0, (job.finished - self._clock.now()) / self._clock.scale)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            pause: float | None = RETRY
            try:
                with self._timeline.lock:
                    self._timeline.catch_up()
                    pause = self._pause()
                self._timeline.deliver()
            except Exception:
                log.exception("the clock stumbled; it goes on")
                pause = RETRY
            self._wake.wait(pause)

    def _pause(self) -> float | None:
        """Real seconds until something happens by itself; None: only after a simulation or a request."""
        instant = self.machine.next_time()
        if instant is None or isinstance(self._clock, StandingClock) or self.machine.waits_at(instant):
            return None
        return max(0.0, (instant - self._clock.now()) / self._clock.scale)

    def _simulate(self, job: Job) -> None:
        if not self._stopping:
            self._workers.submit(self._work, job)

    def _work(self, job: Job) -> None:
        if job.status == RUNNING and not self._stopping:
            job.payload.simulate_ahead()
        with self._timeline.lock:
            self._timeline.catch_up()  # takes back what passed while the job had to be waited for
            if job.status == RUNNING:
                self.machine.simulated.add(job.id)
                self._timeline.catch_up()  # here and now: waking the clock first would take longer
        self._timeline.deliver()
        self._wake.set()

"""What one job of a cluster does: a share of a sweep's runs, until they are done or the job is told to end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from runner.runtime.threads import Background
from runner.sweep.member import Task, carry_out

GRACE = 30.0
"""Seconds that a run has to end by itself, before its job is queued again over its head."""


class Share:
    """What one job does: its runs, one after the other; how they went is in their directories.

    Args:
        grace: seconds that a run has to end by itself when the job's time is up.
    """

    grace = GRACE  # of jobs that an earlier release has queued

    def __init__(self, grace: float = GRACE) -> None:
        self.grace = grace

    def __call__(self, tasks: Sequence[Task]) -> int:
        """Carry out or continue every run; returns how many are finished.

        Raises:
            SystemExit: the job was told to end; without a result it counts as not done, and may be queued again.
            submitit.core.utils.UncompletedJobError: its time is up, and it is not to be queued again.
        """
        finished = 0
        with JobSignals(self.grace) as signals:
            for task in tasks:
                finished += carry_out(task, job=signals)["status"] == "finished"
                if signals.signum is not None:
                    break
            signals.heed()
        return finished

    def checkpoint(self, tasks: Sequence[Task]) -> Any:
        """What SLURM shall queue when it takes the node away: the same, which goes on where the journals end."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, tasks)


class JobSignals:
    """What SLURM tells a job: noted while a run goes on, which ends between two of its jobs, and heeded after it.

    Submitit's own handler raises its exception wherever the run is, which takes it for an error of what it called.
    """

    def __init__(self, grace: float) -> None:
        self.signum: int | None = None
        self._grace = grace
        self._requeue: int = getattr(signal, f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}")
        self._previous: dict[int, Any] = {}
        self._told, self._over = threading.Event(), threading.Event()
        self._one = threading.Lock()

    def note(self, signum: int, _frame: FrameType | None = None) -> None:
        """Take note of a signal; that the time is up counts for more than a request to end."""
        if self.signum != self._requeue:
            self.signum = signum
        if signum == self._requeue:
            self._told.set()

    def heed(self) -> None:
        """Do what was asked for, now that no run goes on.

        Raises:
            SystemExit: the job ends, and was queued again where its time was up.
            submitit.core.utils.UncompletedJobError: its time is up, and it is not to be queued again.
        """
        if self.signum is None:
            return
        if self.signum == self._requeue and callable(self._previous[self._requeue]):
            with self._one:
                self._handler(self._requeue, None)
        raise SystemExit(128 + self.signum)

    def __enter__(self) -> Self:
        for signum in (signal.SIGTERM, self._requeue):
            self._previous[signum] = signal.signal(signum, self.note)
        Background(self._watch).start()  # here, for a handler that starts a thread may find its lock taken
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._told.set()
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    @property
    def _handler(self) -> Callable[[int, FrameType | None], object]:
        found: Callable[[int, FrameType | None], object] = self._previous[self._requeue]
        return found

    def _watch(self) -> None:
        """Queue the job again while a run does not come to an end; its journal is on disk whatever ends it."""
        from submitit.core.utils import UncompletedJobError

        self._told.wait()
        if self._over.wait(self._grace) or not callable(self._previous[self._requeue]):
            return
        with self._one:
            try:
                self._handler(self._requeue, None)
            except SystemExit:
                os._exit(143)
            except UncompletedJobError:
                return  # the run has what is left of the job's time

"""Several workloads in one session, with a timeline that does not depend on thread scheduling (C2)."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.errors import ConfigError, RuntimeSessionError
from runner.runtime.current import current_session
from runner.runtime.machine import Job
from runner.runtime.threads import Background
from runner.runtime.timeline import CURRENT, Participant, Timeline

if TYPE_CHECKING:
    from runner.runtime.service import LocalRuntimeService

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class WorkloadPool:
    """Threads for workloads that are known by name and in order before the first one starts.

    ::

        with Session(backend), service.workloads(["cobyla", "nelder-mead"]) as pool:
            first = pool.submit("cobyla", minimize_with, "cobyla")
            second = pool.submit("nelder-mead", minimize_with, "nelder-mead")
            print(first.result(), second.result())

    All start when the last one has been submitted. A workload inherits the session of the block it is
    submitted in (S10). Workloads may wait for each other only through jobs.
    """

    def __init__(self, timeline: Timeline, names: Sequence[str]) -> None:
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"workloads need different names, got {list(names)!r}")
        self._timeline = timeline
        self._names = list(names)
        self._participants: list[Participant] = []
        self._futures: dict[str, WorkloadFuture[Any]] = {}
        self._calls: dict[str, Callable[[Participant], object]] = {}
        self._threads: list[Background] = []

    def submit(
        self, name: str, function: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Answer]:
        """Take the workload `name`; all start, each in a thread of its own, when the last one was
        submitted.
        """
        if name not in self._names:
            raise ConfigError(f"no workload is called {name!r}; this pool has {', '.join(self._names)}")
        if name in self._futures:
            raise ConfigError(f"workload {name!r} was submitted already")
        context = contextvars.copy_context()
        seen = self._timeline.seen
        self._calls[name] = lambda participant: context.run(
            self._call, participant, seen, partial(function, *args, **kwargs)
        )
        future: WorkloadFuture[Answer] = WorkloadFuture(self._timeline, self.missing)
        self._futures[name] = future
        if not self.missing():
            self._start()
        return future

    def missing(self) -> list[str]:
        """Return the workloads that the others still wait for."""
        if self._threads:
            return []
        return [name for name in self._names if name not in self._futures]

    def results(self) -> dict[str, object]:
        """Wait for every workload and return what each returned, by name; raise the first one's error."""
        return {name: self._futures[name].result() for name in self._futures}

    def _start(self) -> None:
        names = [name for name in self._names if name in self._futures]
        self._participants = self._timeline.register(names)
        for participant in self._participants:
            self._threads.append(Background(partial(self._run, participant), awaited=True).start())

    def _run(self, participant: Participant) -> None:
        future = self._futures[participant.name]
        try:
            future.set_running_or_notify_cancel()
            self._timeline.begin(participant)
            answer = self._calls[participant.name](participant)
        except BaseException as error:
            future.seen = self._timeline.seen
            self._timeline.end(participant)
            future.set_exception(error)
        else:
            future.seen = self._timeline.seen
            self._timeline.end(participant)
            future.set_result(answer)

    def _call(self, participant: Participant, seen: Job | None, function: Callable[[], Answer]) -> Answer:
        CURRENT.set(participant)
        self._timeline.see(seen)
        return function()

    def __enter__(self) -> WorkloadPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            why = f"stopped, because {type(error).__name__} left the block that runs the workloads"
            self._timeline.stop(self._participants, why)
        elif self._futures and not self._threads:
            self._start()
        for thread in self._threads:
            thread.join()


class WorkloadFuture(Future[Answer]):
    """A future that refuses to wait for something that cannot happen."""

    def __init__(self, timeline: Timeline, missing: Callable[[], list[str]]) -> None:
        super().__init__()
        self._timeline = timeline
        self._missing = missing
        self.seen: Job | None = None

    def result(self, timeout: float | None = None) -> Answer:
        """Return what the workload returned."""
        if missing := self._missing():
            raise RuntimeSessionError(f"time stands still until workload {missing[0]!r} is submitted too")
        try:
            return super().result(timeout)
        finally:
            if self.done():
                self._timeline.see(self.seen)


@contextmanager
def workload(name: str, service: LocalRuntimeService | None = None) -> Iterator[None]:
    """Register the current thread as a workload from here to the end of the block.

    It belongs to `service`, or to the service of the session the block stands in. When it joins depends on
    the thread that calls it; several workloads that must start together go through
    `LocalRuntimeService.workloads`.
    """
    session = current_session()
    if service is None and session is None:
        raise ConfigError("workload() needs a service, or a session that it stands in")
    timeline = service.timeline if service is not None else session.service.timeline  # type: ignore[union-attr]
    (participant,) = timeline.register([name])
    token = CURRENT.set(participant)
    try:
        timeline.begin(participant)
        yield
    finally:
        CURRENT.reset(token)
        timeline.end(participant)

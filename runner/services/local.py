"""The local runtime as a run asks for it: what `protocol.Service` adds to what a program of the client's knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from runner.record.events import Event
from runner.runtime.backends import LocalBackend
from runner.runtime.capabilities import LOCAL, Capabilities
from runner.runtime.primitives import EstimatorV2, SamplerV2
from runner.runtime.service import LocalRuntimeService
from runner.runtime.session import Batch, Session


class LocalService(LocalRuntimeService):
    """The local service of a run."""

    capabilities: ClassVar[Capabilities] = LOCAL
    looks_take_time: ClassVar[bool] = False  # a run looks to write down what it sees

    def open(self, backend: LocalBackend, mode: str, max_time: int | str | None = None) -> Any:
        """Open a `session` or a `batch`; in `job` mode the backend itself is what jobs are submitted to."""
        if mode == "job":
            return backend
        return (Session if mode == "session" else Batch)(backend=backend, max_time=max_time)

    def primitive(
        self,
        kind: str,
        mode: Any,
        options: Mapping[str, object],
        workload: str,
        *,
        admit: Callable[[float, int], bool | None] | None = None,
    ) -> EstimatorV2 | SamplerV2:
        """Make an `estimator` or a `sampler` for the jobs of a workload; `admit` may refuse them."""
        made = (EstimatorV2 if kind == "estimator" else SamplerV2)(
            mode=mode, options=options, workload=workload
        )
        made.admit = admit
        return made

    def next_alone(self, workload: str) -> int | None:
        """The index of a workload's next job if the journal may answer it and nobody else acts or looks; else None."""
        return None if self.past_of(workload) is None else self.submitted(workload)

    def pass_until(self, moment: float) -> None:
        """Let time pass on the session's clock until a moment [s]; nothing where that is no clock of its own."""
        if self.clock.virtual:
            self.timeline.sleep(0.0, until=moment)

    def continue_from(self, events: Iterable[Event], identity: int) -> None:
        """Do nothing: the same program with the same seed repeats its past by itself, answered by `recall`."""

    def abandon(self) -> None:
        """Bring to its end what nobody waits for any more; a virtual clock would stand still."""
        if self.clock.virtual:
            self.drain()

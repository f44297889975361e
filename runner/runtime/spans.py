"""When the data of a sampler job were taken, in the containers the client uses."""

from __future__ import annotations

import math
from datetime import datetime

from runner.errors import require_memory


class DoubleSliceSpan:
    """The time between `start` and `stop`, and which data of which PUB were taken in it.

    Stands in for the class of that name in `qiskit_ibm_runtime`, where that is not installed.
    """

    def __init__(
        self, start: datetime, stop: datetime, data_slices: dict[int, tuple[tuple[int, ...], slice, slice]]
    ) -> None:
        self.start = start
        self.stop = stop
        self._data_slices = data_slices

    @property
    def duration(self) -> float:
        """The length of the span [s]."""
        return (self.stop - self.start).total_seconds()

    @property
    def pub_idxs(self) -> list[int]:
        """Which PUBs have data in this span."""
        return sorted(self._data_slices)

    @property
    def size(self) -> int:
        """How many data were taken, over all PUBs."""
        return sum(
            len(range(math.prod(shape[:-1]))[values]) * len(range(shape[-1])[shots])
            for shape, values, shots in self._data_slices.values()
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DoubleSliceSpan) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        form = "%Y-%m-%d %H:%M:%S"
        start, stop = self.start.strftime(form), self.stop.strftime(form)
        return f"DoubleSliceSpan(<start='{start}', stop='{stop}', size={self.size}>)"


class ExecutionSpans(list[DoubleSliceSpan]):
    """The spans of a job."""

    def __repr__(self) -> str:
        return f"ExecutionSpans({super().__repr__()})"


def execution_spans(
    start: datetime, stop: datetime, shapes: list[tuple[tuple[int, ...], int]]
) -> ExecutionSpans:
    """Return the one span in which every PUB, given as (shape, shots), was executed."""
    slices = {
        number: ((*shape, shots), slice(0, math.prod(shape)), slice(0, shots))
        for number, (shape, shots) in enumerate(shapes)
    }
    try:
        from qiskit_ibm_runtime.execution_span import DoubleSliceSpan as ClientSpan
        from qiskit_ibm_runtime.execution_span import ExecutionSpans as ClientSpans
    except ImportError as error:
        require_memory(error)
        return ExecutionSpans([DoubleSliceSpan(start, stop, slices)])
    spans: ExecutionSpans = ClientSpans(
        [ClientSpan(start, stop, slices)]
    )  # the client's own, where it is there
    return spans

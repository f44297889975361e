"""How large a circuit is when its repetitions are written out: told before they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qiskit.circuit import AnnotatedOperation, ForLoopOp, PowerModifier, QuantumCircuit

from runner.declare.checks import shorten
from runner.errors import ConfigError

MAX_WRITTEN_OUT = 200_000
"""Instructions that a circuit's loops, powers and definitions may add up to, beside those it has."""


def require_extent(circuit: QuantumCircuit) -> None:
    """Refuse a circuit whose loops, powers or nested definitions are too many instructions when written out.

    Raises:
        ConfigError: they are more than `MAX_WRITTEN_OUT`, and more than the circuit itself has.
    """
    if all(item.is_standard_gate() for item in circuit.data):
        return
    count = _Count()
    extent = count.of(circuit)
    if extent - count.given > MAX_WRITTEN_OUT:
        raise ConfigError(
            f"the circuit's loops, powers and definitions are {shorten(extent, 30)} instructions when written out, "
            f"more than {MAX_WRITTEN_OUT}; repeat less in one circuit"
        )


class _Count:
    """Counts instructions, each definition once; `given` is how many there are as it stands."""

    def __init__(self) -> None:
        self.given = 0
        self._known: dict[int, tuple[QuantumCircuit, int]] = {}

    def of(self, circuit: QuantumCircuit) -> int:
        """How many instructions a circuit is when everything in it is written out."""
        if id(circuit) not in self._known:
            self.given += len(circuit.data)
            self._known[id(circuit)] = circuit, 1  # one that contains itself is refused elsewhere
            extent = sum(
                1 if item.is_standard_gate() else self._operation(item.operation) for item in circuit.data
            )
            self._known[id(circuit)] = circuit, extent
        return self._known[id(circuit)][1]

    def _operation(self, operation: Any) -> int:
        if isinstance(operation, AnnotatedOperation):
            powers = [abs(one.power) for one in operation.modifiers if isinstance(one, PowerModifier)]
            return math.ceil(math.prod(powers)) * self._operation(operation.base_op)
        if isinstance(operation, ForLoopOp):
            return 1 + length(operation.params[0]) * self.of(operation.params[2])
        inner = [*getattr(operation, "blocks", ()), getattr(operation, "_definition", None)]
        extent = 1 + sum(self.of(part) for part in inner if isinstance(part, QuantumCircuit))
        repetitions = getattr(getattr(operation, "synthesis", None), "reps", 1)
        return extent * repetitions if isinstance(repetitions, int) else extent


def length(indices: Sequence[int]) -> int:
    """How many indices a loop has; `len` ends at 2**63."""
    if isinstance(indices, range):
        return max(0, -((indices.start - indices.stop) // indices.step))
    return len(indices)

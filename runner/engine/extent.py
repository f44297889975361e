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


def define(circuit: QuantumCircuit) -> None:
    """Work out what gates of OpenQASM 2 are made of, once for all that are declared and bound alike.

    Qiskit's gates do it anew each time they are asked, so that definitions which double at every level would be as
    many circuits as they are gates; `require_extent` counts what is known only.

    Raises:
        ConfigError: they are bound in more than `MAX_WRITTEN_OUT` ways.
    """
    known: dict[tuple[Any, ...], Any] = {}
    waiting = [circuit]
    while waiting:
        part = waiting.pop()
        for index, item in enumerate(part.data):
            if item.is_standard_gate():
                continue
            operation = item.operation
            waiting.extend(getattr(operation, "blocks", ()))
            if not hasattr(operation, "_gates"):  # those declared before it
                continue
            key = operation.name, id(operation._gates), *operation.params
            if key in known:
                part.data[index] = item.replace(operation=known[key])
                continue
            known[key] = operation
            waiting.append(operation.definition)
        if len(known) > MAX_WRITTEN_OUT:
            raise ConfigError(
                f"the circuit's definitions are more than {MAX_WRITTEN_OUT} instructions when written out; "
                "repeat less in one circuit"
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
        if operation.name == "u0" and isinstance(
            operation.params[0], int
        ):  # of OpenQASM 2: so many identities
            return 1 + max(0, operation.params[0])
        inner = [*getattr(operation, "blocks", ()), getattr(operation, "_definition", None)]
        extent = 1 + sum(self.of(part) for part in inner if isinstance(part, QuantumCircuit))
        repetitions = getattr(getattr(operation, "synthesis", None), "reps", 1)
        return extent * repetitions if isinstance(repetitions, int) else extent


def length(indices: Sequence[int]) -> int:
    """How many indices a loop has; `len` ends at 2**63."""
    if isinstance(indices, range):
        return max(0, -((indices.start - indices.stop) // indices.step))
    return len(indices)

"""What a circuit is: decided once, before anything is created, and read by everything that has to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qiskit.circuit import (
    ControlFlowOp,
    ControlledGate,
    Gate,
    Operation,
    Parameter,
    ParameterVector,
    QuantumCircuit,
)

from runner.engine.circuits import CHANNELS, Anatomy, dissect, written_out
from runner.engine.executed import definition_of, matrix_of
from runner.engine.frequencies import frequencies
from runner.errors import ConfigError

NAMES = "parameter_names"
"""Where a circuit's metadata keep the names of parameters that had to be numbered."""
_LIBRARY = "qiskit.circuit.library"
_BUILT_IN = frozenset({"measure", "reset", "store", "barrier", "delay", "break_loop", "continue_loop"})


@dataclass(frozen=True)
class Classification:
    """A circuit's kind and its parameters."""

    anatomy: Anatomy
    """The circuit taken apart: what is final, and what comes before."""
    resets: bool
    """A qubit that something has acted on is reset (`initialize` does that, too)."""
    measures: bool
    """A qubit is measured before the circuit's end."""
    branches: bool
    """What is done depends on classical bits or variables."""
    opaque: tuple[str, ...]
    """Gates that are used and have neither a definition nor a matrix."""
    loose: tuple[int, ...]
    """Classical bits in no register that are measured at the end: a Sampler's result has no place for them."""
    names: tuple[str, ...]
    """The parameters' names, in the order that values are given in."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order that values are given in."""
        return tuple(self.anatomy.circuit.parameters)

    @property
    def channels(self) -> bool:
        """The circuit has noise written into it."""
        return self.anatomy.channels

    @property
    def used(self) -> set[int]:
        """The qubits that anything acts on or measures."""
        return self.anatomy.touched | set(self.anatomy.final.values())

    @property
    def unitary(self) -> bool:
        """Nothing but gates and delays comes before the final measurements."""
        return not (self.anatomy.dynamic or self.channels)

    @property
    def in_words(self) -> str:
        """Why it is not unitary; empty where it is."""
        kinds = {
            "measures before its end": self.measures,
            "resets": self.resets,
            "branches": self.branches,
            "has noise in it": self.channels,
        }
        return ", ".join(words for words, applies in kinds.items() if applies)

    @cached_property
    def frequencies(self) -> dict[Parameter, tuple[float, ...] | None]:
        """The positive frequencies [1/rad] of expectation values in each parameter, in order; None: not to be known."""
        return frequencies(self.anatomy.circuit)

    def require_known(self, natives: Any = (), *, key: str | None = None) -> None:
        """Refuse gates that nobody can carry out.

        Args:
            natives: names of the instructions that a backend knows itself.
            key: the setting that the circuit comes from, for the message.

        Raises:
            ConfigError: an opaque gate is used.
        """
        _require_known(self.opaque, natives, key)


def require_known(circuit: QuantumCircuit, natives: Any = (), *, key: str | None = None) -> None:
    """The same of a circuit of which nothing else is asked, without taking it apart.

    Raises:
        ConfigError: an opaque gate is used, or the circuit has too many instructions.
    """
    written_out(circuit)
    _require_known(_opaque(circuit, {}), natives, key)


def _require_known(opaque: Iterable[str], natives: Any, key: str | None) -> None:
    unknown = next((name for name in opaque if name not in natives), None)
    if unknown is not None:
        subject = "" if key else "the circuit "
        raise ConfigError(
            f"{subject}uses the opaque gate {unknown!r}, which has no definition; define it, or take it out",
            key=key,
        )


def classify(
    circuit: QuantumCircuit, *, drop_measurements: bool = False, noisy: bool = False
) -> Classification:
    """What the circuit is; see `dissect` for the arguments."""
    anatomy = dissect(circuit, drop_measurements=drop_measurements, noisy=noisy)
    operations = [inner for step in anatomy.steps for inner in _inside(step.operation)]
    registered = {bit for register in circuit.cregs for bit in register}
    return Classification(
        anatomy=anatomy,
        resets=any(operation.name == "reset" for operation in operations),
        measures=any(operation.name == "measure" for operation in operations),
        branches=any(
            isinstance(operation, ControlFlowOp) or operation.name == "store" for operation in operations
        ),
        opaque=tuple(dict.fromkeys(_opaque(circuit, {}))),
        loose=tuple(
            index for index in sorted(anatomy.final) if anatomy.circuit.clbits[index] not in registered
        ),
        names=names_of(circuit),
    )


def names_of(circuit: QuantumCircuit) -> tuple[str, ...]:
    """The names of the parameters as they were declared, in the order that values are given in."""
    own = [parameter.name for parameter in circuit.parameters]
    numbered = (circuit.metadata or {}).get(NAMES, {})
    return tuple(numbered.get(name, name) for name in own)


def in_order(circuit: QuantumCircuit, order: list[Parameter]) -> QuantumCircuit:
    """The circuit with `circuit.parameters` in this order, by which everything takes and gives values.

    Qiskit sorts parameters by name, so where that is another order they become the elements of a vector; `names_of`
    and `with_names` know what they were called.
    """
    if list(circuit.parameters) == order:
        return circuit
    vector = ParameterVector("θ", len(order))
    result = circuit.assign_parameters(dict(zip(order, vector, strict=True)))
    names = {element.name: parameter.name for element, parameter in zip(vector, order, strict=True)}
    result.metadata = {**(circuit.metadata or {}), NAMES: names}
    return result


def with_names(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with its parameters called as they were declared, to be shown."""
    names = (circuit.metadata or {}).get(NAMES)
    if not names:
        return circuit
    shown = {p: Parameter(names[p.name]) for p in circuit.parameters if p.name in names}
    return circuit.assign_parameters(shown)


def _inside(operation: Operation) -> Iterator[Operation]:
    """The operation, and everything in its blocks and sub-circuits that are no gates."""
    yield operation
    for block in _blocks(operation):
        for item in block.data:
            yield from _inside(item.operation)


def _blocks(operation: Any) -> tuple[QuantumCircuit, ...]:
    if isinstance(operation, ControlFlowOp):
        return tuple(operation.blocks)
    definition = None if isinstance(operation, Gate) else getattr(operation, "definition", None)
    return () if definition is None else (definition,)


def _opaque(circuit: QuantumCircuit, seen: dict[int, Any]) -> Iterator[str]:
    for item in circuit.data:
        if not item.is_standard_gate():
            yield from _opaque_in(item.operation, seen)


def _opaque_in(operation: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Names of what an operation is made of and nobody can carry out.

    What was looked into before is passed over: definitions that share others are as many as there are paths to them.
    """
    if id(operation) in seen:
        return
    seen[id(operation)] = operation  # kept: another operation could have its number
    if isinstance(operation, ControlFlowOp):
        for block in operation.blocks:
            yield from _opaque(block, seen)
    elif hasattr(operation, "base_op"):  # annotated: controlled, inverted or to a power
        yield from _opaque_in(operation.base_op, seen)
    elif isinstance(operation, ControlledGate) and type(operation) is ControlledGate:
        yield from _opaque_in(operation.base_gate, seen)
    elif operation.name in CHANNELS | _BUILT_IN or str(type(operation).__module__).startswith(_LIBRARY):
        return
    elif (definition := definition_of(operation)) is not None:
        yield from _opaque(definition, seen)
    elif not operation.name.startswith(("save_", "set_")) and matrix_of(operation) is None:
        yield operation.name

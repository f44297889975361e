"""What a circuit is made of: its instructions by index, its final measurements, its active qubits and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qiskit.circuit import (
    Clbit,
    ControlFlowOp,
    Instruction,
    ParameterExpression,
    QuantumCircuit,
)
from qiskit.circuit.classical import expr

_IGNORED = {"barrier"}
CHANNELS = frozenset({"kraus", "superop", "quantum_channel"})
"""Instructions that are noise: they need a density matrix, or trajectories."""


@dataclass(frozen=True)
class Step:
    """One instruction of a circuit, with its bits as indices."""

    operation: Instruction
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]


@dataclass(frozen=True)
class Anatomy:
    """A circuit taken apart."""

    circuit: QuantumCircuit
    steps: tuple[Step, ...]
    """Everything but barriers and the final measurements."""
    final: dict[int, int]
    """Final measurements: classical bit → qubit."""
    dynamic: bool
    """Anything that is not a unitary gate or a delay comes before the final measurements."""

    @property
    def channels(self) -> bool:
        """Does the circuit itself have noise in it?"""
        return any(step.operation.name in CHANNELS for step in self.steps)

    @property
    def touched(self) -> set[int]:
        """The qubits any step acts on."""
        return {qubit for step in self.steps for qubit in step.qubits}


def dissect(circuit: QuantumCircuit, *, drop_measurements: bool = False) -> Anatomy:
    """Split off the final measurements, drop the barriers, number the bits.

    `drop_measurements` also drops a measurement that nothing but further measurements of its qubit follows.
    """
    qubit_index = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_index = {bit: index for index, bit in enumerate(circuit.clbits)}
    everything = [
        Step(
            item.operation,
            tuple(qubit_index[bit] for bit in item.qubits),
            tuple(clbit_index[bit] for bit in item.clbits),
        )
        for item in circuit.data
        if item.operation.name not in _IGNORED
    ]
    final: dict[int, int] = {}
    kept: list[Step] = []
    busy_qubits: set[int] = set()
    busy_clbits: set[int] = set()
    used_qubits: set[int] = set()
    used_clbits: set[int] = set()
    has_variables = circuit.num_vars > 0
    for step in reversed(everything):
        is_final = (
            step.operation.name == "measure"
            and not has_variables
            and step.qubits[0] not in busy_qubits
            and step.clbits[0] not in busy_clbits
        )
        measures_again = (
            step.operation.name == "measure"
            and not has_variables
            and step.qubits[0] not in used_qubits
            and step.clbits[0] not in used_clbits
        )
        if is_final:
            final[step.clbits[0]] = step.qubits[0]
            busy_clbits.add(step.clbits[0])
            busy_qubits.add(step.qubits[0])
        elif not (measures_again and drop_measurements):
            kept.append(step)
            used_qubits.update(step.qubits)
            used_clbits.update(step.clbits)
            busy_qubits.update(step.qubits)
            busy_clbits.update(step.clbits)
            if isinstance(step.operation, ControlFlowOp):
                busy_clbits.update(range(circuit.num_clbits))
                used_clbits.update(range(circuit.num_clbits))
    kept.reverse()
    dynamic = has_variables or any(_is_dynamic(step) for step in kept)
    return Anatomy(circuit, tuple(kept), final, dynamic)


def _is_dynamic(step: Step) -> bool:
    operation = step.operation
    if step.clbits or isinstance(operation, ControlFlowOp):
        return True
    name = operation.name
    return name in {"measure", "reset", "initialize", "store"}


def split_dynamic(anatomy: Anatomy) -> tuple[Anatomy, Anatomy]:
    """The part without and the part with measurements, resets and branches on the way, as circuits apart.

    What is connected by a gate or by a classical bit stays together; run-time variables connect everything.
    """
    if not anatomy.dynamic:
        return anatomy, replace(anatomy, steps=(), final={}, dynamic=False)
    if anatomy.circuit.num_vars:
        return replace(anatomy, steps=(), final={}, dynamic=False), anatomy
    links = [(step.qubits, step.clbits) for step in anatomy.steps]
    links += [((qubit,), (clbit,)) for clbit, qubit in anatomy.final.items()]
    parent: dict[int, int] = {}  # bits are numbered below zero: clbit c is −1−c

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for qubits, clbits in links:
        nodes = [*qubits, *(-1 - clbit for clbit in clbits)]
        for other in nodes[1:]:
            parent[root(other)] = root(nodes[0])
    roots = {root(qubit) for step in anatomy.steps if _is_dynamic(step) for qubit in step.qubits}

    def part(dynamic: bool) -> Anatomy:
        steps = tuple(s for s in anatomy.steps if s.qubits and (root(s.qubits[0]) in roots) == dynamic)
        final = {clbit: qubit for clbit, qubit in anatomy.final.items() if (root(qubit) in roots) == dynamic}
        return replace(anatomy, steps=steps, final=final, dynamic=dynamic)

    return part(False), part(True)


def compact(anatomy: Anatomy, qubits: Iterable[int], *, classical: bool = False) -> QuantumCircuit:
    """The steps on a register of just these qubits, in this order; `classical` keeps the classical registers."""
    kept = list(qubits)
    source = anatomy.circuit
    target = QuantumCircuit(len(kept), global_phase=source.global_phase)
    where = {qubit: index for index, qubit in enumerate(kept)}
    if classical:
        target.add_bits(bit for bit in source.clbits)
        for register in source.cregs:
            target.add_register(register)
    for step in anatomy.steps:
        if all(qubit in where for qubit in step.qubits):
            target._append(  # the checks of `append` cost more than all the rest
                step.operation,
                [target.qubits[where[qubit]] for qubit in step.qubits],
                [source.clbits[bit] for bit in step.clbits] if classical else [],
            )
    return target


def components(anatomy: Anatomy, qubits: Iterable[int]) -> list[list[int]]:
    """The qubits in groups that no step connects, each sorted, in order of their first qubit."""
    parent = {qubit: qubit for qubit in qubits}

    def root(qubit: int) -> int:
        while parent[qubit] != qubit:
            parent[qubit] = parent[parent[qubit]]
            qubit = parent[qubit]
        return qubit

    for step in anatomy.steps:
        first = root(step.qubits[0]) if step.qubits else 0
        for other in step.qubits[1:]:
            parent[root(other)] = first
    groups: dict[int, list[int]] = {}
    for qubit in sorted(parent):
        groups.setdefault(root(qubit), []).append(qubit)
    return list(groups.values())


def digest_of(*parts: str) -> str:
    """The digest of canonical texts: the same in every process."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part.encode())
        state.update(b"\x00")
    return state.hexdigest()


def canonical_text(circuit: QuantumCircuit) -> str:
    """A text that two circuits share exactly when they are built of the same instructions."""
    return "\n".join(_lines(circuit))


def _lines(circuit: QuantumCircuit) -> Iterator[str]:
    qubit_index = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_index = {bit: index for index, bit in enumerate(circuit.clbits)}
    yield f"circuit {circuit.num_qubits} {circuit.num_clbits} phase {_value(circuit.global_phase)}"
    for register in circuit.cregs:
        yield f"creg {register.name} {[clbit_index[bit] for bit in register]}"
    for variable in circuit.iter_vars():
        yield f"var {variable.name} {variable.type}"
    yield f"parameters {[parameter.name for parameter in circuit.parameters]}"
    for item in circuit.data:
        operation = item.operation
        qubits = [qubit_index[bit] for bit in item.qubits]
        clbits = [clbit_index[bit] for bit in item.clbits]
        yield f"{operation.name} {qubits} {clbits} {_operation(item, operation, clbit_index)}"


def _operation(item: Any, operation: Instruction, clbit_index: dict[Clbit, int]) -> str:
    if item.is_standard_gate():
        return ",".join(_value(value) for value in item.params)
    if isinstance(operation, ControlFlowOp):
        condition = getattr(operation, "condition", getattr(operation, "target", None))
        blocks = [canonical_text(block) for block in operation.blocks]
        loop = [_value(value) for value in operation.params if not isinstance(value, QuantumCircuit)]
        cases = getattr(operation, "cases_specifier", None)
        labels = [str(values) for values, _ in cases()] if cases else []
        return f"if {_condition(condition, clbit_index)} {loop} {labels} {{{';'.join(blocks)}}}"
    text = ",".join(_value(value) for value in operation.params)
    unit = getattr(operation, "unit", "")
    if isinstance(operation, Instruction) and hasattr(operation, "lvalue"):
        text += f"{_condition(operation.lvalue, clbit_index)}={_condition(operation.rvalue, clbit_index)}"
    definition = None if operation.params else operation.definition
    if definition is not None:
        text += f" {{{canonical_text(definition)}}}"
    operator = getattr(operation, "operator", None)
    return f"{text} {unit} {operator if operator is not None else ''}"


def _condition(condition: Any, clbit_index: dict[Clbit, int]) -> str:
    """A classical condition without object addresses."""
    if condition is None:
        return "none"
    if isinstance(condition, tuple):
        return f"{_condition(condition[0], clbit_index)}=={int(condition[1])}"
    if isinstance(condition, Clbit):
        return f"bit{clbit_index.get(condition, '?')}"
    if isinstance(condition, expr.Var):
        return condition.name if condition.standalone else _condition(condition.var, clbit_index)
    if isinstance(condition, expr.Expr):
        inner = [
            getattr(condition, slot)
            for slot in ("op", "operand", "left", "right", "target", "index", "value")
            if hasattr(condition, slot)
        ]
        return f"{type(condition).__name__}({', '.join(_condition(part, clbit_index) for part in inner)})"
    return getattr(condition, "name", None) or str(condition)


def _value(value: Any) -> str:
    """A parameter as text that tells any two values apart."""
    if isinstance(value, ParameterExpression):
        return str(value)
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value, dtype=complex)
        return f"array{data.shape}{hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()}"
    if isinstance(value, QuantumCircuit):
        return f"{{{canonical_text(value)}}}"
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, (list, tuple, range)):
        return f"[{','.join(_value(part) for part in value)}]"
    return str(value)

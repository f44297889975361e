"""What a circuit is made of: its instructions by index, its final measurements and its active qubits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qiskit.circuit import (
    BoxOp,
    BreakLoopOp,
    CircuitInstruction,
    Clbit,
    ContinueLoopOp,
    ControlFlowOp,
    ForLoopOp,
    Gate,
    Instruction,
    Parameter,
    QuantumCircuit,
    WhileLoopOp,
)
from qiskit.circuit.classical import expr

from runner.engine.extent import length, require_extent

_IGNORED = {"barrier"}
CHANNELS = frozenset({"kraus", "superop", "quantum_channel"})
"""Instructions that are noise: they need a density matrix, or trajectories."""
_NOT_UNITARY = frozenset({"measure", "reset", "store"})
_MAX_UNROLLED = 10_000
"""Instructions up to which a loop over known indices is written out."""


@dataclass(frozen=True)
class Step:
    """One instruction of a circuit, with its bits as indices."""

    operation: Instruction
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]
    index: int
    """Its place in the circuit."""
    stored: tuple[int, ...] = ()
    """Classical bits that a `store` reads or writes; it does not count them among its own."""

    @property
    def classical(self) -> tuple[int, ...]:
        """Every classical bit it reads or writes."""
        return self.clbits + self.stored

    @property
    def dynamic(self) -> bool:
        """Anything but a unitary gate, a channel or a delay."""
        return (
            bool(self.clbits)
            or self.operation.name in _NOT_UNITARY
            or isinstance(self.operation, ControlFlowOp)
        )


@dataclass(frozen=True)
class Anatomy:
    """A circuit taken apart."""

    circuit: QuantumCircuit
    """Sub-circuits that measure or reset, boxes and loops over known indices are written out."""
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


def dissect(circuit: QuantumCircuit, *, drop_measurements: bool = False, noisy: bool = False) -> Anatomy:
    """Split off the final measurements, drop the barriers, number the bits.

    A measurement is final if nothing later acts on its qubit, and nothing later reads or writes its bit.

    Args:
        circuit: any circuit.
        drop_measurements: also drop a measurement that nothing but further measurements of its qubit follows.
        noisy: keep resets of qubits that are |0⟩ anyway, for they have errors of their own.
    """
    circuit = written_out(circuit)
    everything = list(_steps(circuit))
    final: dict[int, int] = {}
    kept: list[Step] = []
    busy_qubits: set[int] = set()
    busy_clbits: set[int] = set()
    used_qubits: set[int] = set()
    used_clbits: set[int] = set()
    for step in reversed(everything):
        measures = step.operation.name == "measure"
        is_final = measures and step.qubits[0] not in busy_qubits and step.clbits[0] not in busy_clbits
        measures_again = measures and step.qubits[0] not in used_qubits and step.clbits[0] not in used_clbits
        if is_final:
            final[step.clbits[0]] = step.qubits[0]
        elif not (measures_again and drop_measurements):
            kept.append(step)
            used_qubits.update(step.qubits)
            used_clbits.update(step.classical)
        else:
            continue
        busy_qubits.update(step.qubits)
        busy_clbits.update(step.classical)
    kept.reverse()
    if not noisy:
        kept = list(_without_idle_resets(kept))
    return Anatomy(circuit, tuple(kept), final, any(step.dynamic for step in kept))


def _steps(circuit: QuantumCircuit) -> Iterator[Step]:
    qubit_index = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_index = {bit: index for index, bit in enumerate(circuit.clbits)}
    for index, item in enumerate(circuit.data):
        operation = item.operation
        if operation.name in _IGNORED:
            continue
        stored: tuple[int, ...] = ()
        if operation.name == "store":
            bits = bits_of(operation.lvalue) | bits_of(operation.rvalue)
            stored = tuple(sorted(clbit_index[bit] for bit in bits))
        yield Step(
            operation,
            tuple(qubit_index[bit] for bit in item.qubits),
            tuple(clbit_index[bit] for bit in item.clbits),
            index,
            stored,
        )


def bits_of(node: Any) -> set[Clbit]:
    """The classical bits that a classical expression reads."""
    found: set[Clbit] = set()
    for variable in expr.iter_vars(node):
        if isinstance(variable.var, Clbit):
            found.add(variable.var)
        elif not variable.standalone:
            found.update(variable.var)
    return found


def _without_idle_resets(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps without resets of qubits that nothing has acted on."""
    touched: set[int] = set()
    for step in steps:
        if step.operation.name == "reset" and step.qubits[0] not in touched:
            continue
        touched.update(step.qubits)
        yield step


def without_final_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit as an Estimator takes it: without the measurements that end it, and barriers behind them.

    Classical bits and registers stay only where something on the way uses them.
    """
    circuit = written_out(circuit)
    kept = {step.index for step in dissect(circuit, drop_measurements=True, noisy=True).steps}
    if all(i in kept or item.operation.name in _IGNORED for i, item in enumerate(circuit.data)):
        return circuit
    data = [item for i, item in enumerate(circuit.data) if i in kept or item.operation.name in _IGNORED]
    while data and data[-1].operation.name in _IGNORED:
        data.pop()
    result = circuit.copy_empty_like()
    if not any(step.dynamic for step in _steps(circuit) if step.index in kept) and not circuit.num_vars:
        result = QuantumCircuit(
            circuit.qubits,
            *circuit.qregs,
            global_phase=circuit.global_phase,
            name=circuit.name,
            metadata=circuit.metadata,
        )
    for item in data:
        result._append(item)
    return result


def written_out(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with what hides measurements, resets or branches replaced by what it stands for.

    These are sub-circuits that are no gates (`initialize` resets its qubits), boxes, and loops over known indices.

    Raises:
        ConfigError: that would be too many instructions.
    """
    require_extent(circuit)
    while any(_hides(item) for item in circuit.data):
        result = circuit.copy_empty_like()
        for item in circuit.data:
            if not _hides(item):
                result._append(item)
                continue
            for part in _parts(item.operation):
                result.compose(part, item.qubits, item.clbits, inplace=True, copy=False)
        circuit = result
    return circuit


def _hides(item: CircuitInstruction) -> bool:
    """Is the instruction to be replaced by what it stands for?"""
    if item.is_standard_gate():
        return False
    operation = item.operation
    if isinstance(operation, ControlFlowOp):
        return isinstance(operation, BoxOp) or (isinstance(operation, ForLoopOp) and _unrolls(operation))
    return not isinstance(operation, Gate) and getattr(operation, "definition", None) is not None


def _unrolls(loop: ForLoopOp) -> bool:
    indices, variable, body = loop.params
    few = length(indices) * body.size() <= _MAX_UNROLLED
    return few and not _leaves(body) and (variable is None or isinstance(variable, Parameter))


def _leaves(body: QuantumCircuit) -> bool:
    """Does a loop's body break off, or start over?"""
    for item in body.data:
        operation = item.operation
        if isinstance(operation, (BreakLoopOp, ContinueLoopOp)):
            return True
        inner = isinstance(operation, ControlFlowOp) and not isinstance(operation, (ForLoopOp, WhileLoopOp))
        if inner and any(map(_leaves, operation.blocks)):
            return True
    return False


def _parts(operation: Instruction) -> list[QuantumCircuit]:
    if isinstance(operation, BoxOp):
        return [operation.blocks[0]]
    if not isinstance(operation, ForLoopOp):
        return [operation.definition]
    indices, variable, body = operation.params
    if variable is None or variable not in body.parameters:
        return [body] * len(indices)
    return [body.assign_parameters({variable: index}) for index in indices]


def together(groups: Sequence[Anatomy]) -> Anatomy:
    """Groups of one circuit that have nothing in common, as one."""
    steps = tuple(step for group in groups for step in group.steps)
    final = {clbit: qubit for group in groups for clbit, qubit in group.final.items()}
    return replace(groups[0], steps=steps, final=final)


def dynamic_groups(anatomy: Anatomy) -> tuple[Anatomy, list[Anatomy]]:
    """What is unitary, and every group of qubits that is measured, reset or branched on by itself.

    What is connected by a gate or by a classical bit stays together; run-time variables connect everything.
    """
    if anatomy.circuit.num_vars:
        return replace(anatomy, steps=(), final={}, dynamic=False), [anatomy]
    root = _linked(anatomy)
    roots = list(dict.fromkeys(root(_nodes(step)[0]) for step in anatomy.steps if step.dynamic))

    def part(inside: Callable[[int], bool], dynamic: bool) -> Anatomy:
        steps = tuple(step for step in anatomy.steps if _nodes(step) and inside(root(_nodes(step)[0])))
        final = {clbit: qubit for clbit, qubit in anatomy.final.items() if inside(root(qubit))}
        return replace(anatomy, steps=steps, final=final, dynamic=dynamic)

    return part(lambda node: node not in roots, False), [
        part(lambda node, own=own: node == own, True)  # type: ignore[misc]
        for own in roots
    ]


def _nodes(step: Step) -> list[int]:
    """The step's bits; classical ones are numbered below zero: bit c is −1−c."""
    return [*step.qubits, *(-1 - clbit for clbit in step.classical)]


def _linked(anatomy: Anatomy) -> Callable[[int], int]:
    """Bit → the one that stands for all it is connected with."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    links = [_nodes(step) for step in anatomy.steps]
    links += [[qubit, -1 - clbit] for clbit, qubit in anatomy.final.items()]
    for nodes in links:
        for other in nodes[1:]:
            parent[root(other)] = root(nodes[0])
    return root


def compact(anatomy: Anatomy, qubits: Iterable[int], *, classical: bool = False) -> QuantumCircuit:
    """The steps on a register of just these qubits, in this order; `classical` keeps the classical registers."""
    kept = list(qubits)
    source = anatomy.circuit
    target = QuantumCircuit(len(kept), global_phase=source.global_phase)
    where = {qubit: index for index, qubit in enumerate(kept)}
    if classical:
        target.add_bits(source.clbits)
        for register in source.cregs:
            target.add_register(register)
        for variable in source.iter_vars():
            target.add_uninitialized_var(variable)
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

"""Circuits that measure, reset and branch on the way, exactly: every course they may take, with its probability.

The state is a table from what the classical bits and variables hold to an unnormalized quantum state: its weight is
the probability of the classical content. A measurement splits an entry in two, a reset sums over its outcomes, a
condition decides per entry which block it goes through; entries of equal classical content are added up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import (
    BoxOp,
    BreakLoopOp,
    Clbit,
    ContinueLoopOp,
    ControlFlowOp,
    ForLoopOp,
    IfElseOp,
    Instruction,
    Measure,
    QuantumCircuit,
    Store,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.classical import expr
from qiskit.circuit.controlflow import CASE_DEFAULT

from runner.engine.circuits import CHANNELS
from runner.engine.noise import confusion, error_of, misread, superoperator
from runner.errors import ConfigError

LOST = 1e-14
"""Courses less likely than this are given up."""
MAX_PASSES = 10_000
"""Passes through one loop after which it is given up as endless."""
MAX_ENTRIES = 1 << 26
"""Most numbers that all states of one moment may take together (1 GiB)."""


class Density:
    """An unnormalized density matrix of n qubits, shape (2,)·2n: rows first, qubit q along axis q and axis n + q."""

    def __init__(self, matrix: NDArray) -> None:
        self.matrix = matrix
        self.num_qubits = matrix.ndim // 2

    @classmethod
    def zero(cls, num_qubits: int) -> Density:
        """All qubits in |0⟩."""
        matrix = np.zeros((2,) * (2 * num_qubits), dtype=complex)
        matrix[(0,) * (2 * num_qubits)] = 1
        return cls(matrix)

    @property
    def size(self) -> int:
        """How many numbers it takes."""
        return self.matrix.size

    @property
    def weight(self) -> float:
        """The trace: the probability of its course."""
        return float(self.probabilities.sum())

    @property
    def probabilities(self) -> NDArray:
        """The diagonal, shape (2,)·n."""
        dimension = 1 << self.num_qubits
        diagonal = self.matrix.reshape(dimension, dimension).diagonal().real
        return diagonal.reshape((2,) * self.num_qubits)

    def plus(self, other: Density) -> Density:
        """Either of the two."""
        return Density(self.matrix + other.matrix)

    def scaled(self, probability: float) -> Density:
        """The same with a probability."""
        return Density(self.matrix * probability)

    def gate(self, unitary: NDArray, qubits: Sequence[int]) -> Density:
        """U ρ U†."""
        bras = [self.num_qubits + qubit for qubit in qubits]
        return Density(_times(unitary.conj(), _times(unitary, self.matrix, qubits), bras))

    def channel(self, superoperator: NDArray, qubits: Sequence[int]) -> Density:
        """A channel given as its matrix on column-stacked vec(ρ)."""
        bras = [self.num_qubits + qubit for qubit in qubits]
        return Density(_times(superoperator, self.matrix, [*qubits, *bras]))

    def project(self, qubit: int, value: int) -> Density:
        """P ρ P, where P finds `value` in the qubit."""
        result = np.zeros_like(self.matrix)
        place: list[Any] = [slice(None)] * self.matrix.ndim
        place[qubit] = place[self.num_qubits + qubit] = value
        result[tuple(place)] = self.matrix[tuple(place)]
        return Density(result)

    def reset(self, qubit: int) -> Density:
        """The qubit in |0⟩, whatever it was."""
        zero, one = self.project(qubit, 0), self.project(qubit, 1)
        flipped = np.flip(one.matrix, axis=(qubit, self.num_qubits + qubit))
        return Density(zero.matrix + flipped)


class Ensemble:
    """An unnormalized mixture Σ |v⟩⟨v| of r vectors of n qubits, shape (2,)·n + (r,): smaller while r is."""

    def __init__(self, vectors: NDArray) -> None:
        self.vectors = vectors
        self.num_qubits = vectors.ndim - 1

    @classmethod
    def zero(cls, num_qubits: int) -> Ensemble:
        """All qubits in |0⟩."""
        vectors = np.zeros((2,) * num_qubits + (1,), dtype=complex)
        vectors[(0,) * (num_qubits + 1)] = 1
        return cls(vectors)

    @property
    def size(self) -> int:
        """How many numbers it takes."""
        return self.vectors.size

    @property
    def weight(self) -> float:
        """The trace: the probability of its course."""
        return float(self.probabilities.sum())

    @property
    def probabilities(self) -> NDArray:
        """Of every outcome, shape (2,)·n."""
        return (np.abs(self.vectors) ** 2).sum(axis=-1)

    def plus(self, other: Ensemble) -> Ensemble:
        """Either of the two."""
        return Ensemble(np.concatenate([self.vectors, other.vectors], axis=-1))

    def scaled(self, probability: float) -> Ensemble:
        """The same with a probability."""
        return Ensemble(self.vectors * probability**0.5)

    def gate(self, unitary: NDArray, qubits: Sequence[int]) -> Ensemble:
        """U|v⟩."""
        return Ensemble(_times(unitary, self.vectors, qubits))

    def project(self, qubit: int, value: int) -> Ensemble:
        """P|v⟩, where P finds `value` in the qubit; vectors that vanish are left out."""
        result = np.zeros_like(self.vectors)
        place = (slice(None),) * qubit + (value,)
        result[place] = self.vectors[place]
        alive = (np.abs(result) ** 2).reshape(-1, result.shape[-1]).sum(axis=0) > 0
        if not alive.any():
            alive[0] = True
        return Ensemble(result[..., alive])

    def reset(self, qubit: int) -> Ensemble:
        """The qubit in |0⟩, whatever it was."""
        flipped = Ensemble(np.flip(self.project(qubit, 1).vectors, axis=qubit))
        return self.project(qubit, 0).plus(flipped)


State = Any
"""Density or Ensemble."""


def _times(matrix: NDArray, tensor: NDArray, axes: Sequence[int]) -> NDArray:
    """The matrix applied to these axes, the first of them being its lowest bit."""
    count = len(axes)
    folded = matrix.reshape((2,) * (2 * count))
    reverse = list(reversed(axes))
    result = np.tensordot(folded, tensor, axes=(list(range(count, 2 * count)), reverse))
    return np.ascontiguousarray(np.moveaxis(result, range(count), reverse))


@dataclass(frozen=True)
class Memory:
    """What the classical bits and the run-time variables hold."""

    bits: int = 0
    """Bit c is classical bit c of the circuit."""
    variables: frozenset[tuple[Any, Any]] = frozenset()
    """(variable, value)."""

    def with_bit(self, clbit: int, value: int) -> Memory:
        """The same with one bit written."""
        return Memory(self.bits & ~(1 << clbit) | value << clbit, self.variables)

    def with_variable(self, variable: Any, value: Any) -> Memory:
        """The same with one variable written."""
        kept = {pair for pair in self.variables if pair[0] != variable}
        return Memory(self.bits, frozenset(kept | {(variable, value)}))


Courses = dict[Memory, State]


def _add(courses: Courses, memory: Memory, state: State) -> None:
    courses[memory] = courses[memory].plus(state) if memory in courses else state


def _merged(*parts: Courses) -> Courses:
    result: Courses = {}
    for part in parts:
        for memory, state in part.items():
            _add(result, memory, state)
    return result


@dataclass
class Flow:
    """Where the courses are after a block."""

    onward: Courses
    broken: Courses
    """Those that left the loop around it."""
    continued: Courses
    """Those that go on with the loop's next pass."""


@dataclass(frozen=True)
class Place:
    """Where a block's bits are in the whole circuit."""

    qubits: Mapping[Any, int]
    clbits: Mapping[Any, int]
    names: Mapping[str, Sequence[int]]
    """The classical registers' bits."""

    @classmethod
    def of(cls, circuit: QuantumCircuit) -> Place:
        """Of the whole circuit itself."""
        clbits = {bit: index for index, bit in enumerate(circuit.clbits)}
        return cls(
            {bit: index for index, bit in enumerate(circuit.qubits)},
            clbits,
            {register.name: [clbits[bit] for bit in register] for register in circuit.cregs},
        )

    def inside(self, block: QuantumCircuit, item: Any) -> Place:
        """Of a block of an instruction: its bits are the instruction's, in this order."""
        qubits = {inner: self.qubits[outer] for inner, outer in zip(block.qubits, item.qubits, strict=True)}
        clbits = dict(self.clbits)
        clbits |= {inner: self.clbits[outer] for inner, outer in zip(block.clbits, item.clbits, strict=True)}
        names = dict(self.names)
        names |= {register.name: [clbits[bit] for bit in register] for register in block.cregs}
        return Place(qubits, clbits, names)


class Branching:
    """One circuit without free parameters, followed through all its courses.

    Args:
        circuit: compact, with its classical bits, without what is measured at its end.
        noise_model: in the circuit's own numbering; None is ideal.
        initial: the state the qubits begin in.
        remember: keep what all classical bits hold to the end, not only those that something reads.
    """

    def __init__(
        self, circuit: QuantumCircuit, noise_model: Any, initial: State, *, remember: bool = False
    ) -> None:
        self._circuit = circuit
        self._noise = noise_model
        self._initial = initial
        self._superoperators: dict[int, tuple[Any, NDArray]] = {}
        self._read = set(range(circuit.num_clbits)) if remember else read_bits(circuit)

    def courses(self) -> Courses:
        """What the classical bits and variables hold at the end → the state there."""
        return self._block(self._circuit, Place.of(self._circuit), {Memory(): self._initial}).onward

    def state(self) -> State:
        """The state at the end, whatever was measured on the way."""
        states = list(self.courses().values())
        result = states[0]
        for state in states[1:]:
            result = result.plus(state)
        return result

    def _block(self, block: QuantumCircuit, place: Place, courses: Courses) -> Flow:
        flow = Flow(courses, {}, {})
        for item in block.data:
            if not flow.onward:
                break
            step = self._step(item, place, flow.onward)
            flow.onward = step.onward
            flow.broken = _merged(flow.broken, step.broken)
            flow.continued = _merged(flow.continued, step.continued)
            if sum(state.size for state in flow.onward.values()) > MAX_ENTRIES:
                raise ConfigError(
                    f"the courses of this circuit of {block.num_qubits} qubits take more than {MAX_ENTRIES} numbers; "
                    "take fewer measurements on the way, or give shots"
                )
        return flow

    def _step(self, item: Any, place: Place, courses: Courses) -> Flow:
        operation = item.operation
        match operation:
            case BreakLoopOp():
                return Flow({}, courses, {})
            case ContinueLoopOp():
                return Flow({}, {}, courses)
            case BoxOp():
                body = operation.blocks[0]
                return self._block(body, place.inside(body, item), courses)
            case IfElseOp():
                return self._if_else(item, place, courses)
            case SwitchCaseOp():
                return self._switch(item, place, courses)
            case ForLoopOp():
                return self._for(item, place, courses)
            case WhileLoopOp():
                return self._while(item, place, courses)
        qubits = [place.qubits[bit] for bit in item.qubits]
        if operation.name == "measure":
            return Flow(self._measure(operation, qubits[0], place.clbits[item.clbits[0]], courses), {}, {})
        if operation.name == "store":
            return Flow(self._store(operation, place, courses), {}, {})
        if operation.name in ("barrier", "delay"):
            return Flow(courses, {}, {})
        inner = None if _has_matrix(item) else getattr(operation, "definition", None)
        if inner is not None:
            return self._block(inner, place.inside(inner, item), courses)
        change = self._change(item, operation, qubits)
        return Flow({memory: change(state) for memory, state in courses.items()}, {}, {})

    def _change(self, item: Any, operation: Instruction, qubits: list[int]) -> Callable[[State], State]:
        """What a gate, a channel or a reset does to a state, its noise included."""
        error = error_of(self._noise, operation, tuple(qubits))
        noise = None if error is None else self._superoperator(error)
        if operation.name == "reset":
            changed: Callable[[State], State] = lambda state: state.reset(qubits[0])  # noqa: E731
        elif operation.name in CHANNELS:
            channel = self._superoperator(getattr(operation, "_quantum_error", operation))
            changed = lambda state: state.channel(channel, qubits)  # noqa: E731
        else:
            unitary = item.matrix if item.is_standard_gate() else None
            unitary = np.asarray(operation.to_matrix() if unitary is None else unitary, dtype=complex)
            changed = lambda state: state.gate(unitary, qubits)  # noqa: E731
        return changed if noise is None else lambda state: changed(state).channel(noise, qubits)

    def _superoperator(self, error: Any) -> NDArray:
        if id(error) not in self._superoperators:
            self._superoperators[id(error)] = error, superoperator(error)
        return self._superoperators[id(error)][1]

    def outcomes(self, qubits: Sequence[int]) -> tuple[list[int], NDArray]:
        """What the classical bits hold (bit c is bit c) and, for each, P(that and these qubits as they are read).

        Args:
            qubits: measured at the end, ascending; outcome bit b belongs to `qubits[b]`.

        Returns:
            M contents, and probabilities of shape (M, 2^k).
        """
        tables: dict[int, NDArray] = {}
        matrices = [None if self._noise is None else confusion(self._noise, qubit) for qubit in qubits]
        for memory, state in self.courses().items():
            for qubit in qubits:
                error = error_of(self._noise, Measure(), (qubit,))
                if error is not None:
                    state = state.channel(self._superoperator(error), [qubit])
            others = tuple(q for q in range(state.num_qubits) if q not in qubits)
            table = misread(state.probabilities.sum(axis=others).transpose().reshape(-1), matrices)
            tables[memory.bits] = tables.get(memory.bits, 0) + table
        contents = sorted(tables)
        return contents, np.stack([tables[content].reshape(-1) for content in contents])

    def _measure(self, operation: Instruction, qubit: int, clbit: int, courses: Courses) -> Courses:
        """Every outcome with its probability; what is read may differ from what is."""
        before = error_of(self._noise, operation, (qubit,))
        noise = None if before is None else self._superoperator(before)
        misread = None if self._noise is None else confusion(self._noise, qubit)
        result: Courses = {}
        for memory, state in courses.items():
            state = state if noise is None else state.channel(noise, [qubit])
            for value in (0, 1):
                found = state.project(qubit, value)
                if found.weight <= LOST:
                    continue
                if clbit not in self._read:
                    _add(result, memory, found)
                elif misread is None:
                    _add(result, memory.with_bit(clbit, value), found)
                else:
                    for read in (0, 1):
                        if misread[value, read] > 0:
                            _add(result, memory.with_bit(clbit, read), found.scaled(misread[value, read]))
        return result

    def _store(self, operation: Any, place: Place, courses: Courses) -> Courses:
        result: Courses = {}
        for memory, state in courses.items():
            value = evaluate(operation.rvalue, memory, place)
            _add(result, _written(operation.lvalue, value, memory, place), state)
        return result

    def _if_else(self, item: Any, place: Place, courses: Courses) -> Flow:
        operation = item.operation
        taken = {m: s for m, s in courses.items() if holds(operation.condition, m, place)}
        rest = {m: s for m, s in courses.items() if m not in taken}
        blocks = operation.blocks
        flows = [self._block(blocks[0], place.inside(blocks[0], item), taken)]
        if len(blocks) > 1:
            flows.append(self._block(blocks[1], place.inside(blocks[1], item), rest))
        else:
            flows.append(Flow(rest, {}, {}))
        return _joined(flows)

    def _switch(self, item: Any, place: Place, courses: Courses) -> Flow:
        operation = item.operation
        cases = list(operation.cases_specifier())
        chosen: list[tuple[QuantumCircuit, Courses]] = [(block, {}) for _, block in cases]
        rest: Courses = {}
        for memory, state in courses.items():
            value = int(value_of(operation.target, memory, place))
            for (labels, _), (_, own) in zip(cases, chosen, strict=True):
                if any(label is CASE_DEFAULT or int(label) == value for label in labels):
                    own[memory] = state
                    break
            else:
                rest[memory] = state
        flows = [self._block(block, place.inside(block, item), own) for block, own in chosen if own]
        return _joined([*flows, Flow(rest, {}, {})])

    def _for(self, item: Any, place: Place, courses: Courses) -> Flow:
        indices, variable, body = item.operation.params
        left: Courses = {}
        for index in indices:
            if not courses:
                break
            block, begun = body, courses
            if isinstance(variable, expr.Var):
                begun = {memory.with_variable(variable, index): state for memory, state in courses.items()}
            elif variable is not None and variable in body.parameters:
                block = body.assign_parameters({variable: index})
            flow = self._block(block, place.inside(block, item), begun)
            left = _merged(left, flow.broken)
            courses = _merged(flow.onward, flow.continued)
        return Flow(_merged(courses, left), {}, {})

    def _while(self, item: Any, place: Place, courses: Courses) -> Flow:
        operation = item.operation
        body = operation.blocks[0]
        left: Courses = {}
        inside = place.inside(body, item)
        for _ in range(MAX_PASSES):
            again = {m: s for m, s in courses.items() if holds(operation.condition, m, place)}
            left = _merged(left, {m: s for m, s in courses.items() if m not in again})
            again = {m: s for m, s in again.items() if s.weight > LOST}
            if not again:
                return Flow(left, {}, {})
            flow = self._block(body, inside, again)
            left = _merged(left, flow.broken)
            courses = _merged(flow.onward, flow.continued)
        raise ConfigError(
            f"a while loop has not ended after {MAX_PASSES} passes; make its condition become false, or give shots"
        )


def _joined(flows: Sequence[Flow]) -> Flow:
    return Flow(
        _merged(*(flow.onward for flow in flows)),
        _merged(*(flow.broken for flow in flows)),
        _merged(*(flow.continued for flow in flows)),
    )


def _has_matrix(item: Any) -> bool:
    """Is the instruction applied as it stands? Any other gate is what its own definition says."""
    return item.is_standard_gate() or item.operation.name in CHANNELS | {"unitary", "reset"}


def splits(circuit: QuantumCircuit) -> float:
    """At most how often a course splits in two: measurements and resets; infinite where a loop has no known end."""
    count = 0.0
    for item in circuit.data:
        operation = item.operation
        if isinstance(operation, WhileLoopOp):
            return math.inf
        if isinstance(operation, ForLoopOp):
            count += len(operation.params[0]) * splits(operation.params[2])
        elif isinstance(operation, ControlFlowOp):
            count += max((splits(block) for block in operation.blocks), default=0)
        else:
            count += operation.name in ("measure", "reset")
    return count


def read_bits(circuit: QuantumCircuit) -> set[int]:
    """The classical bits that a condition, a switch or an expression anywhere in the circuit reads."""
    found: set[int] = set()

    def look(block: QuantumCircuit, place: Place) -> None:
        for item in block.data:
            operation = item.operation
            if isinstance(operation, IfElseOp | WhileLoopOp):
                found.update(bits_in(operation.condition, place))
            elif isinstance(operation, SwitchCaseOp):
                found.update(bits_in(operation.target, place))
            elif isinstance(operation, Store):
                found.update(bits_in(operation.lvalue, place))
                found.update(bits_in(operation.rvalue, place))
            if isinstance(operation, ControlFlowOp):
                for inner in operation.blocks:
                    look(inner, place.inside(inner, item))

    look(circuit, Place.of(circuit))
    return found


def bits_in(target: Any, place: Place) -> Iterable[int]:
    """The classical bits that a condition or an expression speaks of."""
    if isinstance(target, tuple):
        target = target[0]
    if isinstance(target, expr.Expr):
        for variable in expr.iter_vars(target):
            if not variable.standalone:
                yield from bits_in(variable.var, place)
    elif isinstance(target, Clbit):
        yield place.clbits[target]
    else:
        yield from place.names[target.name]


def holds(condition: Any, memory: Memory, place: Place) -> bool:
    """Is a condition true: `(bit or register, value)`, or an expression?"""
    if isinstance(condition, tuple):
        return int(value_of(condition[0], memory, place)) == int(condition[1])
    return bool(evaluate(condition, memory, place))


def value_of(target: Any, memory: Memory, place: Place) -> Any:
    """What a bit, a register or an expression holds."""
    if isinstance(target, expr.Expr):
        return evaluate(target, memory, place)
    if isinstance(target, Clbit):
        return bool(memory.bits >> place.clbits[target] & 1)
    return sum((memory.bits >> clbit & 1) << bit for bit, clbit in enumerate(place.names[target.name]))


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "BIT_AND": lambda a, b: a & b,
    "BIT_OR": lambda a, b: a | b,
    "BIT_XOR": lambda a, b: a ^ b,
    "LOGIC_AND": lambda a, b: a and b,
    "LOGIC_OR": lambda a, b: a or b,
    "EQUAL": lambda a, b: a == b,
    "NOT_EQUAL": lambda a, b: a != b,
    "LESS": lambda a, b: a < b,
    "LESS_EQUAL": lambda a, b: a <= b,
    "GREATER": lambda a, b: a > b,
    "GREATER_EQUAL": lambda a, b: a >= b,
    "SHIFT_LEFT": lambda a, b: a << b,
    "SHIFT_RIGHT": lambda a, b: a >> b,
    "ADD": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "MUL": lambda a, b: a * b,
    "DIV": lambda a, b: a // b if isinstance(a, int) and isinstance(b, int) else a / b,
}


def evaluate(node: Any, memory: Memory, place: Place) -> Any:
    """The value of a classical expression; unsigned numbers wrap around at their width."""
    if isinstance(node, expr.Var):
        if not node.standalone:
            return value_of(node.var, memory, place)
        for variable, value in memory.variables:
            if variable == node:
                return value
        raise ConfigError(f"the circuit reads the variable {node.name!r} before it is set; set it first")
    if isinstance(node, expr.Value):
        return node.value
    if isinstance(node, expr.Cast):
        return _typed(evaluate(node.operand, memory, place), node.type)
    if isinstance(node, expr.Index):
        return bool(evaluate(node.target, memory, place) >> evaluate(node.index, memory, place) & 1)
    if isinstance(node, expr.Unary):
        operand = evaluate(node.operand, memory, place)
        negated = {"BIT_NOT": lambda: ~operand, "LOGIC_NOT": lambda: not operand, "NEGATE": lambda: -operand}
        return _typed(negated[node.op.name](), node.type)
    if isinstance(node, expr.Binary):
        left, right = evaluate(node.left, memory, place), evaluate(node.right, memory, place)
        return _typed(_BINARY[node.op.name](left, right), node.type)
    raise ConfigError(
        f"the circuit uses a {type(node).__name__.lower()} in an expression; use bits and numbers"
    )


def _typed(value: Any, kind: Any) -> Any:
    name = type(kind).__name__
    if name == "Uint" or hasattr(kind, "width"):
        return int(value) & ((1 << kind.width) - 1)
    if name == "Bool":
        return bool(value & 1) if isinstance(value, int) and value < 0 else bool(value)
    return float(value) if name == "Float" else value


def _written(target: Any, value: Any, memory: Memory, place: Place) -> Memory:
    """The memory after a `store`."""
    if isinstance(target, expr.Var) and target.standalone:
        return memory.with_variable(target, value)
    if isinstance(target, expr.Index):
        index = evaluate(target.index, memory, place)
        if target.target.standalone:
            old = evaluate(target.target, memory, place)
            return memory.with_variable(target.target, old & ~(1 << index) | int(value) << index)
        return memory.with_bit(place.names[target.target.var.name][index], int(value))
    if isinstance(target.var, Clbit):
        return memory.with_bit(place.clbits[target.var], int(value))
    for bit, clbit in enumerate(place.names[target.var.name]):
        memory = memory.with_bit(clbit, int(value) >> bit & 1)
    return memory

r"""A noisy circuit rewritten for the kernel: blocks of two qubits, and what is left of each before it is measured.

In the Pauli basis a channel E is the real matrix R_{ij} = Tr(P_i E(P_j)) / 2^k on the expectation values Tr(Pρ). Gates
and channels on one qubit wait until the qubit meets another one; the two share a block until one of them meets a third.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import CircuitInstruction, ParameterExpression, QuantumCircuit
from qiskit.circuit.library import UnitaryGate

from runner.engine.circuits import CHANNELS
from runner.engine.kernel.program import Angle, Unsupported, append
from runner.engine.noise import error_of, superoperator

_PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_SAME = np.eye(4)
"""What one qubit's Pauli transfer matrix is where nothing happens to it."""
_ROUNDING = 1e-15
"""Entries below this are 0: they come from sines of π."""
_TRACE = 1e-10
"""How much of the trace a channel may lose or gain by rounding; Aer's noise models check to 1e-8."""
_IGNORED = frozenset({"barrier", "delay", "id", "global_phase"})


@dataclass(frozen=True)
class Turn:
    """A rotation by an angle about Y or Z, or (with two qubits) ZZ."""

    axis: str
    qubits: tuple[int, ...]
    slot: int

    @property
    def key(self) -> Any:
        """What tells it from others."""
        return self.axis, self.qubits, self.slot


@dataclass(frozen=True)
class Channel:
    """A constant Pauli transfer matrix of one or two qubits, the first of them being the lower digit."""

    matrix: NDArray
    qubits: tuple[int, ...]

    @property
    def key(self) -> Any:
        """What tells it from others."""
        return self.qubits, self.matrix.tobytes()


Operation = Turn | Channel


@dataclass
class Block:
    """What happens to two qubits until one of them meets a third."""

    qubits: tuple[int, int]
    operations: list[Operation] = field(default_factory=list)

    @property
    def key(self) -> Any:
        """What tells it from others."""
        return self.qubits, tuple(operation.key for operation in self.operations)


class Blocks:
    """Collects the gates and channels of one circuit; a builder for `program.append`.

    Args:
        num_qubits: of the circuit.
        expressions: the angles met so far, shared by the circuits of several bases; a rotation refers to its place.
    """

    pairs = False
    """Rotations about xx and yy are given as ones about zz between others."""

    def __init__(self, num_qubits: int, expressions: dict[Any, int]) -> None:
        self.num_qubits = num_qubits
        self.blocks: list[Block] = []
        self.pending: list[list[Operation]] = [[] for _ in range(num_qubits)]
        """What has happened to each qubit since its last block."""
        self._expressions = expressions
        self._latest: list[Block | None] = [None] * num_qubits

    def copy(self) -> Blocks:
        """The same blocks, to be followed by something else on single qubits."""
        result = Blocks(self.num_qubits, self._expressions)
        result.blocks, result._latest = self.blocks, list(self._latest)
        result.pending = [list(waiting) for waiting in self.pending]
        return result

    def single(self, qubit: int, *items: tuple[str, Angle]) -> None:
        """Append y and z rotations and half turns about x on one qubit, in order of time."""
        for axis, angle in items:
            if _is_free(angle):
                self.pending[qubit].append(Turn(axis, (qubit,), self._slot(angle)))
            else:
                self.channel((qubit,), _turned(axis, float(angle)))

    def cx(self, control: int, target: int) -> None:
        """Append a CX."""
        self.channel((control, target), _CX)

    def swap(self, first: int, second: int) -> None:
        """Append a SWAP."""
        self.channel((first, second), _SWAP)

    def zz(self, first: int, second: int, angle: Angle) -> None:
        """Append exp(-i angle/2 ZZ)."""
        if _is_free(angle):
            self._meet(Turn("zz", (first, second), self._slot(angle)))
        else:
            half = np.exp(-0.5j * float(angle) * np.array([1, -1, -1, 1]))
            self.channel((first, second), of_unitary(np.diag(half)))

    def channel(self, qubits: tuple[int, ...], matrix: NDArray) -> None:
        """Append a constant channel."""
        if len(qubits) == 2:
            self._meet(Channel(matrix, qubits))
            return
        waiting = self.pending[qubits[0]]
        if waiting and isinstance(waiting[-1], Channel):
            matrix = matrix @ waiting.pop().matrix  # type: ignore[union-attr]  # it is a Channel
        waiting.append(Channel(matrix, qubits))

    def _slot(self, angle: Angle) -> int:
        return self._expressions.setdefault(angle, len(self._expressions))

    def _meet(self, operation: Operation) -> None:
        """Append an operation on two qubits, after what they have waiting."""
        first, second = operation.qubits
        block = self._latest[first]
        if block is None or block is not self._latest[second]:
            block = Block((first, second))
            self.blocks.append(block)
            self._latest[first] = self._latest[second] = block
        if isinstance(operation, Channel):
            operation = self._with_waiting(operation)
        before = [*self._released(first), *self._released(second)]
        if not before and block.operations and isinstance(operation, Channel):
            operation = _merged(block.operations, operation)
        block.operations.extend([*before, operation])

    def _with_waiting(self, channel: Channel) -> Channel:
        """The channel with the constants that come right before it on either qubit."""
        factors = []
        for qubit in channel.qubits:
            waiting = self.pending[qubit]
            constant = bool(waiting) and isinstance(waiting[-1], Channel)
            factors.append(waiting.pop().matrix if constant else _SAME)  # type: ignore[union-attr]
        low, high = factors
        if low is high is _SAME:
            return channel
        # np.kron, which asks for so much beforehand that it was a third of the time of making a program
        before = (high[:, None, :, None] * low[None, :, None, :]).reshape(16, 16)
        return Channel(channel.matrix @ before, channel.qubits)

    def _released(self, qubit: int) -> list[Operation]:
        waiting, self.pending[qubit] = self.pending[qubit], []
        return waiting


def _merged(operations: list[Operation], channel: Channel) -> Channel:
    """The channel with the one before it, which is taken from the end of the operations if it is constant, too."""
    before = operations[-1]
    if not isinstance(before, Channel):
        return channel
    operations.pop()
    if before.qubits != channel.qubits:
        before = Channel(exchanged(before.matrix), channel.qubits)
    return Channel(channel.matrix @ before.matrix, channel.qubits)


def exchanged(matrix: NDArray) -> NDArray:
    """A matrix on two qubits with the two named in the other order."""
    return np.ascontiguousarray(matrix.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16))


def _is_free(angle: Angle) -> bool:
    return isinstance(angle, ParameterExpression) and bool(angle.parameters)


def _turned(axis: str, angle: float) -> NDArray:
    """The Pauli transfer matrix of a rotation about Y or Z by an angle, or of X."""
    if axis == "x":
        return np.diag([1.0, 1.0, -1.0, -1.0])
    c, s = math.cos(angle), math.sin(angle)
    one, two = (1, 2) if axis == "z" else (3, 1)
    matrix = np.eye(4)
    matrix[one, one] = matrix[two, two] = c
    matrix[two, one], matrix[one, two] = s, -s
    return _cleaned(matrix)


def _cleaned(matrix: NDArray) -> NDArray:
    matrix[np.abs(matrix) < _ROUNDING] = 0.0
    return matrix


@cache
def _strings(num_qubits: int) -> NDArray:
    """All Pauli strings as matrices, (4^k, 2^k, 2^k); qubit 0 is the lowest digit and the lowest bit."""
    if num_qubits == 1:
        return _PAULIS
    return np.array([np.kron(high, low) for high in _PAULIS for low in _PAULIS])


def of_unitary(matrix: NDArray) -> NDArray:
    """The Pauli transfer matrix of U ρ U†."""
    strings = _strings(len(matrix).bit_length() - 1)
    moved = matrix @ strings @ matrix.conj().T
    return _cleaned(np.einsum("iab,jba->ij", strings, moved).real / len(matrix))


def of_superoperator(matrix: NDArray) -> NDArray:
    """The Pauli transfer matrix of a channel given by its matrix on column-stacked vec(ρ).

    Raises:
        Unsupported: the channel does not keep the trace.
    """
    strings = _strings(len(matrix).bit_length() // 2)
    vectors = strings.transpose(0, 2, 1).reshape(len(matrix), -1)  # column-stacked
    result = np.ascontiguousarray((vectors.conj() @ matrix @ vectors.T).real / math.isqrt(len(matrix)))
    if not np.allclose(result[0], np.eye(len(matrix))[0], rtol=0, atol=_TRACE):
        raise Unsupported("a channel that does not keep the trace")
    result[0] = np.eye(len(matrix))[0]
    return _cleaned(result)


_CX = of_unitary(np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]))
_SWAP = of_unitary(np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]))


class BlockWriter:
    """Turns instructions and their noise into blocks; every channel is converted once."""

    def __init__(self, noise_model: Any) -> None:
        self._noise = noise_model
        self._channels: dict[int, tuple[Any, NDArray]] = {}
        self._unitaries: dict[bytes, NDArray] = {}

    def append(self, blocks: Blocks, items: Iterable[CircuitInstruction], circuit: QuantumCircuit) -> None:
        """Append instructions of a circuit.

        Raises:
            Unsupported: an instruction or its noise is not for this kernel.
        """
        for item in items:
            qubits = tuple(circuit.find_bit(bit).index for bit in item.qubits)
            operation = item.operation
            inner = getattr(operation, "_quantum_error", None)
            if inner is not None or operation.name in CHANNELS:
                channel = self.channel(operation if inner is None else inner, len(qubits), operation.name)
                blocks.channel(qubits, channel)
                continue
            self._gate(blocks, item, qubits)
            error = error_of(self._noise, operation, qubits)
            if error is not None:
                blocks.channel(qubits, self.channel(error, len(qubits), f"the noise of {operation.name}"))

    def _gate(self, blocks: Blocks, item: CircuitInstruction, qubits: tuple[int, ...]) -> None:
        if item.name in _IGNORED:
            return
        plain = item.is_standard_gate() or type(item.operation) is UnitaryGate
        matrix = item.matrix if plain and len(qubits) <= 2 else None
        if matrix is None:
            append(blocks, item, qubits)
        else:
            key = matrix.tobytes()
            if key not in self._unitaries:
                self._unitaries[key] = of_unitary(matrix)
            blocks.channel(qubits, self._unitaries[key])

    def channel(self, error: Any, num_qubits: int, name: str = "the noise of measure") -> NDArray:
        """The Pauli transfer matrix of an error or a channel of this name, on as many qubits as it is expected on."""
        if id(error) not in self._channels:
            if num_qubits > 2 or error.num_qubits != num_qubits:
                on = "" if error.num_qubits == num_qubits else f" on {num_qubits}"
                raise Unsupported(f"{name}, a channel of {error.num_qubits} qubits{on}")
            self._channels[id(error)] = error, of_superoperator(superoperator(error))
        return self._channels[id(error)][1]


def in_order(blocks: Sequence[Block], num_qubits: int) -> tuple[list[Block], list[int]]:
    """The blocks in an order in which qubits join as late as possible, and the qubits in the order they join."""
    queues: list[list[Block]] = [[] for _ in range(num_qubits)]
    for block in reversed(blocks):
        for qubit in block.qubits:
            queues[qubit].append(block)
    joined: list[int] = []
    result: list[Block] = []
    place = {id(block): number for number, block in enumerate(blocks)}
    while len(result) < len(blocks):
        heads = [queue[-1] for queue in queues if queue]
        ready = [block for block in heads if all(queues[q][-1] is block for q in block.qubits)]
        chosen = min(ready, key=lambda b: (sum(q not in joined for q in b.qubits), place[id(b)]))
        for qubit in chosen.qubits:
            queues[qubit].pop()
        joined.extend(qubit for qubit in chosen.qubits if qubit not in joined)
        result.append(chosen)
    return result, joined + [qubit for qubit in range(num_qubits) if qubit not in joined]

"""The noisy kernel from the outside: one circuit with its noise, measured in several bases."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit

from runner.engine import kernel
from runner.engine.expressions import Angles
from runner.engine.kernel.pauli_program import (
    Block,
    Blocks,
    BlockWriter,
    Operation,
    Turn,
    exchanged,
    in_order,
)
from runner.engine.memory import require
from runner.record.interruption import pause

_TURN_Z, _TURN_Y, _ONE, _TURN_ZZ, _TWO = 0, 1, 2, 3, 4
_MEMORY = 4096
"""Numbers that a block's matrix, its lanes and its overlaps take."""
_HOME = "pauli_loops"
_PART = 4e8
"""Multiplications and additions, about a tenth of a second, after which there is a look for signals."""
_PIECE = 1 << 23
"""Numbers of working memory that are touched at a time."""
_BACKWARDS = 5
"""A gradient takes about so many times what a value takes."""
_FAITHFUL = np.array([0.0, 0.0, 0.0, 1.0])
"""What is read of a qubit that is never misread: its Z."""


Measured = tuple[QuantumCircuit, Sequence[int]]
"""A basis: a circuit, and the qubits measured after it, ascending; bit b of an outcome belongs to the b-th of them."""


class PauliVectorKernel:
    """Expectation values of products of what is read from one noisy circuit, in every basis.

    Args:
        common: what comes before every basis change, or None where each basis has a whole circuit of its own.
        measurements: the bases; their circuits are only the basis changes if there is a common one.
        noise_model: of the gates, in the circuits' own numbering.
        confusions: P(read | true) of qubits that are misread, rows of the true value.
        read_noise: errors of qubits right before they are read.
        parameters: the order of the values given.
        threads: how many may work at a time.

    Raises:
        Unsupported: an instruction or its noise is not for this kernel.
    """

    def __init__(
        self,
        common: QuantumCircuit | None,
        measurements: Sequence[Measured],
        noise_model: Any,
        confusions: Mapping[int, NDArray | None],
        read_noise: Mapping[int, Any],
        parameters: Sequence[Parameter],
        *,
        threads: int = 1,
    ) -> None:
        expressions: dict[Any, int] = {}
        translation = BlockWriter(noise_model)
        found = _translated(common, measurements, translation, expressions)
        for qubit, error in read_noise.items():
            for blocks in found:
                blocks.channel((qubit,), translation.channel(error, 1))
        self.num_qubits = found[0].num_qubits
        self._angles = Angles(parameters, list(expressions))
        self._num_bases = len(measurements)
        groups: dict[Any, list[int]] = {}
        for number, blocks in enumerate(found):
            groups.setdefault(tuple(block.key for block in blocks.blocks), []).append(number)
        self._cores = [
            _Core.of(
                [found[number] for number in members],
                [measurements[number][1] for number in members],
                {qubit: _reading(matrix) for qubit, matrix in confusions.items()},
                members,
            )
            for members in groups.values()
        ]
        self._local = threading.local()
        self._threads = threads

    @property
    def state_bytes(self) -> int:
        """The vector and the levels of its contraction."""
        return 16 << (2 * max(self.num_qubits, 2))

    @property
    def missing_bytes(self) -> int:
        """The working memory that this thread has yet to get."""
        return 0 if self._local.__dict__ else self.state_bytes

    @property
    def operations(self) -> float:
        """About how many multiplications and additions one parameter set takes."""
        return sum(core.operations for core in self._cores)

    def moments(self, values: NDArray) -> list[NDArray]:
        """Per basis, (B, 2^k): the expectation value of the product of what is read of the qubits in each bit mask.

        Entry 0 is 1, entry 2^b what is read of the measured qubit b.
        """
        inputs, arrays = self._inputs(values)
        result: list[NDArray] = [np.zeros(0)] * self._num_bases
        for core in self._cores:
            moments = np.empty((len(inputs), int(core.starts[-1])))
            self._in_threads(
                lambda part, found, core=core: self._run(core, arrays, part, found), inputs, moments
            )
            for place, member in enumerate(core.members):
                own = moments[:, core.starts[place] : core.starts[place + 1]]
                result[member] = own[:, core.orders[place]]
        return result

    def gradients(self, values: NDArray, weights: Sequence[NDArray]) -> tuple[NDArray, NDArray]:
        """Values (B, S) of observables and their derivatives by every parameter (B, S, P).

        Args:
            values: parameter sets.
            weights: per basis, of every moment in every observable, (B or 1, S, 2^k).
        """
        inputs, arrays = self._inputs(values)
        sets, observables = len(inputs), weights[0].shape[1]
        result = np.zeros((sets, observables))
        slopes = np.zeros((sets, observables, self._angles.size))
        for core in self._cores:
            own = np.empty((*weights[0].shape[:2], int(core.starts[-1])))
            for place, member in enumerate(core.members):
                own[:, :, core.starts[place] + core.orders[place]] = weights[member]
            # a thread's part of the sets has its own weights
            spread = np.broadcast_to(own, (sets, *own.shape[1:])) if len(own) > 1 else own
            work = self._gradients_of(core, arrays, None if len(own) > 1 else own)
            tables = (inputs, result, slopes, spread) if len(own) > 1 else (inputs, result, slopes)
            self._in_threads(work, *tables, each=self._gradient_bytes(core))
        repeated = values if observables == 1 else np.repeat(values, observables, axis=0)
        by_parameter = self._angles.pull_back(repeated, slopes.reshape(sets * observables, -1))
        return result, by_parameter.reshape(sets, observables, -1)

    def _gradients_of(
        self, core: _Core, arrays: tuple[NDArray, ...], weights: NDArray | None
    ) -> Callable[..., None]:
        def work(inputs: NDArray, result: NDArray, slopes: NDArray, own: NDArray | None = None) -> None:
            every = weights if own is None else own
            assert every is not None
            cost = _BACKWARDS * core.operations * result.shape[1]
            self._require_gradient(core)
            if cost > _PART:
                for row in range(len(inputs)):
                    self._gradients_in_parts(core, arrays, inputs, every, result, slopes, row)
                return
            state, levels, table, _ = self._buffers()
            memory, kept, bra, bras = self._gradient_buffers(core)
            rows = 4 * len(core.row_bare)
            for part in _portions([cost] * len(inputs)):
                pause()
                kernel.loop("pauli_gradients", _HOME)(
                    core.blocks, core.operations_table, core.channels, *arrays, inputs[part], core.row_starts,
                    core.row_bare, core.bases, core.starts, self.num_qubits, np.empty(2 * self._angles.size), state,
                    levels, np.empty(rows), table, memory, kept, core.places[:-1], bra, bras, np.empty(rows),
                    every if len(every) == 1 else every[part], result[part], slopes[part],
                )  # fmt: skip

        return work

    def _gradients_in_parts(
        self, core: _Core, arrays: tuple[NDArray, ...], inputs: NDArray, weights: NDArray, result: NDArray,
        slopes: NDArray, row: int,
    ) -> None:  # fmt: skip
        """The same for one parameter set, with looks for signals in between."""
        state, levels, table, _ = self._buffers()
        memory, kept, bra, bras = self._gradient_buffers(core)
        trigonometry, rows = np.empty(2 * self._angles.size), np.empty(4 * len(core.row_bare))
        chain = core.operations_table, core.channels, trigonometry
        kernel.loop("pauli_bind", _HOME)(inputs, row, *arrays, trigonometry)
        self._evolve(core, trigonometry, state, core.places[:-1], table, memory, kept)
        kernel.loop("pauli_rows", _HOME)(core.row_starts, core.row_bare, *chain, rows, memory)
        which = row if len(weights) > 1 else 0
        for index in range(result.shape[1]):
            bra[:] = 0.0
            row_slopes = np.zeros(4 * len(core.row_bare))
            for basis in range(len(core.bases)):
                pause()
                result[row, index] += kernel.loop("pauli_observe", _HOME)(
                    core.bases, core.starts, self.num_qubits, state, rows, levels, bra, bras, weights, which, index,
                    row_slopes, basis, basis + 1,
                )  # fmt: skip
            kernel.loop("pauli_row_slopes", _HOME)(
                core.row_starts, core.row_bare, *chain, row_slopes, memory, slopes, row, index
            )
            kernel.loop("pauli_leave", _HOME)(bra, self.num_qubits, core.digits)
            for part in reversed(_portions(core.costs)):
                pause()
                kernel.loop("pauli_retreat", _HOME)(
                    core.blocks, *chain, bra, kept, core.places[:-1], part.start, part.stop, slopes, row, index, table,
                    memory,
                )  # fmt: skip

    def _gradient_bytes(self, core: _Core) -> int:
        """The vector, its transpose, the levels of both, and the vectors before each block."""
        return 2 * self.state_bytes + 8 * int(core.places[-1])

    def _require_gradient(self, core: _Core) -> None:
        if "kept" not in self._local.__dict__:
            needed = self.missing_bytes - self.state_bytes + self._gradient_bytes(core)
            require(needed, f"an adjoint gradient of {self.num_qubits} noisy qubits")

    def _inputs(self, values: NDArray) -> tuple[NDArray, tuple[NDArray, NDArray, NDArray]]:
        """What the loops are given, and how they make angles of it."""
        angles = self._angles
        if angles.simple:
            return values, (angles.index, angles.scale, angles.offsets)
        size = angles.size
        return angles(values), (np.arange(size), np.ones(size), np.zeros(size))

    def _run(self, core: _Core, arrays: tuple[NDArray, ...], inputs: NDArray, moments: NDArray) -> None:
        if core.operations > _PART:
            for row in range(len(inputs)):
                self._run_in_parts(core, arrays, inputs, moments, row)
            return
        state, levels, table, memory = self._buffers()
        for rows in _portions([core.operations] * len(inputs)):
            pause()
            kernel.loop("pauli_moments", _HOME)(
                core.blocks, core.operations_table, core.channels, *arrays, inputs[rows], core.row_starts,
                core.row_bare, core.bases, core.starts, self.num_qubits, np.empty(2 * self._angles.size), state,
                levels, np.empty(4 * len(core.row_bare)), table, memory, core.nowhere, moments[rows],
            )  # fmt: skip

    def _run_in_parts(
        self, core: _Core, arrays: tuple[NDArray, ...], inputs: NDArray, moments: NDArray, row: int
    ) -> None:
        """The same for one parameter set, with looks for signals in between."""
        state, levels, table, memory = self._buffers()
        trigonometry, rows = np.empty(2 * self._angles.size), np.empty(4 * len(core.row_bare))
        kernel.loop("pauli_bind", _HOME)(inputs, row, *arrays, trigonometry)
        self._evolve(core, trigonometry, state, core.nowhere, table, memory)
        kernel.loop("pauli_rows", _HOME)(
            core.row_starts, core.row_bare, core.operations_table, core.channels, trigonometry, rows, memory
        )
        for basis in range(len(core.bases)):
            pause()
            done = 0
            if basis == 0 or core.bases[basis, -1] != core.bases[basis - 1, -1]:
                done = 1
                for begin, end in _pieces(1 << (2 * self.num_qubits - 2)):
                    kernel.loop("pauli_top", _HOME)(
                        core.bases, self.num_qubits, state, rows, levels, basis, begin, end
                    )
                    pause()
            kernel.loop("pauli_contract", _HOME)(
                core.bases, core.starts, self.num_qubits, state, rows, levels, moments, row, basis, basis + 1, done
            )  # fmt: skip

    def _evolve(
        self, core: _Core, trigonometry: NDArray, state: NDArray, places: NDArray, table: NDArray, memory: NDArray,
        kept: NDArray | None = None,
    ) -> None:  # fmt: skip
        """The vector before the measurement, and those before each block where they are to be kept."""
        kernel.loop("pauli_begin", _HOME)(state)
        for part in _portions(core.costs):
            for begin, end in core.groups(part):
                pause()
                kernel.loop("pauli_evolve", _HOME)(
                    core.blocks, core.operations_table, core.channels, trigonometry, state,
                    state if kept is None else kept, places, part.start, part.stop, begin, end, table, memory,
                )  # fmt: skip
        kernel.loop("pauli_join", _HOME)(state, core.digits, self.num_qubits)

    def _in_threads(self, work: Callable[..., None], *tables: NDArray, each: int | None = None) -> None:
        """Call `work` with the tables, whose rows belong to the parameter sets, or with a part of them per thread."""
        workers = min(self._threads, len(tables[0]))
        if workers <= 1:
            work(*tables)
            return
        needed = workers * (self.state_bytes if each is None else each)
        require(needed, f"{workers} density matrices of {self.num_qubits} qubits at a time")
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, *(np.array_split(table, workers) for table in tables)))

    def _gradient_buffers(self, core: _Core) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """More working memory of this thread, for running a core backwards."""
        held: dict[str, Any] = self._local.__dict__
        needed = int(core.places[-1])
        if (
            "kept" not in held
            or len(held["kept"]) < needed
            or len(held["memory"]) < _MEMORY + 256 * core.turns
        ):
            size = 1 << (2 * max(self.num_qubits, 2))
            held["memory"] = np.empty(_MEMORY + 256 * core.turns)
            held["kept"], held["bra"], held["bras"] = _room(needed), _room(size), _room(size)
        return held["memory"], held["kept"], held["bra"], held["bras"]

    def _buffers(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Working memory of this thread."""
        held: dict[str, Any] = self._local.__dict__
        if "buffers" not in held:
            size = 1 << (2 * max(self.num_qubits, 2))
            held["buffers"] = _room(size), _room(size), np.empty(304, dtype=np.int64), np.empty(_MEMORY)
        return held["buffers"]


def _translated(
    common: QuantumCircuit | None,
    measurements: Sequence[Measured],
    translation: BlockWriter,
    expressions: dict[Any, int],
) -> list[Blocks]:
    """The blocks up to the measurement, per basis; common ones are the same objects."""
    shared: Blocks | None = None
    if common is not None:
        shared = Blocks(common.num_qubits, expressions)
        translation.append(shared, common.data, common)
    found = []
    for circuit, _ in measurements:
        pause()
        blocks = Blocks(circuit.num_qubits, expressions) if shared is None else shared.copy()
        translation.append(blocks, circuit.data, circuit)
        found.append(blocks)
    return found


@dataclass(frozen=True)
class _Core:
    """The blocks that some bases have in common, and these bases, as the arrays that the loops read."""

    members: Sequence[int]
    """The bases, in the order they are contracted in."""
    blocks: NDArray
    operations_table: NDArray
    channels: NDArray
    row_starts: NDArray
    row_bare: NDArray
    bases: NDArray
    starts: NDArray
    orders: Sequence[NDArray]
    """Per basis, where the moment of each mask of measured qubits is."""
    turns: int
    """The most rotations that follow each other on one block or qubit."""

    @cached_property
    def nowhere(self) -> NDArray:
        """Where the vectors before each block are kept: nowhere."""
        return np.full(len(self.blocks), -1, dtype=np.int64)

    @cached_property
    def places(self) -> NDArray:
        """Where they are kept if all are; one more for the length of it all."""
        return np.concatenate([[0], np.cumsum(4 ** self.blocks[:, 2])]).astype(np.int64)

    @property
    def digits(self) -> int:
        """How many qubits have joined when the last block is through."""
        return int(self.blocks[-1, 2]) if len(self.blocks) else 0

    @cached_property
    def costs(self) -> list[float]:
        """About how many multiplications and additions each block takes."""
        return [16 * 4.0 ** int(block[2]) for block in self.blocks]

    def groups(self, part: slice) -> list[tuple[int, int]]:
        """The groups of lanes to go through at a time: all (−1) of some blocks, or none, then parts of a large one."""
        groups = 1 << max(2 * int(self.blocks[part.start, 2]) - 8, 0)
        times = min(math.ceil(self.costs[part.start] / _PART), groups)
        if part.stop - part.start > 1 or times == 1:
            return [(0, -1)]
        return [(0, 0), *itertools.pairwise(np.linspace(0, groups, times + 1).astype(int).tolist())]

    @cached_property
    def operations(self) -> float:
        """About how many it takes altogether."""
        return sum(self.costs) + 2 * len(self.bases) * 4.0 ** self.bases.shape[1]

    @classmethod
    def of(
        cls,
        found: Sequence[Blocks],
        measured: Sequence[Sequence[int]],
        readings: Mapping[int, NDArray],
        members: Sequence[int],
    ) -> _Core:
        """Lay out the blocks and rows of bases with equal blocks."""
        size = found[0].num_qubits
        blocks, joined = in_order(found[0].blocks, size)
        digit = {qubit: place for place, qubit in enumerate(joined)}
        table = _Table()
        laid = [table.block(block, digit) for block in blocks]
        digits = 0
        for number, row in enumerate(laid):
            digits = max(digits, row[1] + 1)
            turns = sum(isinstance(operation, Turn) for operation in blocks[number].operations)
            laid[number] = [*row[:2], digits, *row[2:], turns]
        variants: dict[Any, int] = {}
        rows: list[tuple[int, int, NDArray]] = []
        bases = np.full((len(measured), size), -1, dtype=np.int64)
        for number, (own, qubits) in enumerate(zip(found, measured, strict=True)):
            for qubit in qubits:
                waiting, reading = own.pending[qubit], readings.get(qubit, _FAITHFUL)
                key = digit[qubit], reading.tobytes(), tuple(operation.key for operation in waiting)
                if key not in variants:
                    variants[key] = len(rows)
                    rows.append((*table.extend(waiting, {qubit: 1}), reading))
                bases[number, digit[qubit]] = variants[key]
        order = np.lexsort(bases.T) if len(bases) else np.zeros(0, dtype=np.int64)
        widths = [len(measured[number]) for number in order]
        return cls(
            members=[members[number] for number in order],
            blocks=np.array(laid, dtype=np.int64).reshape(-1, 6),
            operations_table=np.array(table.rows, dtype=np.int64).reshape(-1, 3),
            channels=np.concatenate([np.zeros(0), *table.channels]),
            row_starts=np.array([[first, last] for first, last, _ in rows], dtype=np.int64).reshape(-1, 2),
            row_bare=np.array([bare for _, _, bare in rows], dtype=float).reshape(-1, 4),
            bases=bases[order],
            starts=np.concatenate([[0], np.cumsum([1 << width for width in widths])]).astype(np.int64),
            orders=[_order(measured[number], digit) for number in order],
            turns=table.turns,
        )


def _reading(confusion: NDArray | None) -> NDArray:
    """What is read of a qubit, as four numbers whose product with (1, ⟨X⟩, ⟨Y⟩, ⟨Z⟩) is its expectation value."""
    if confusion is None:
        return _FAITHFUL
    zero, one = confusion[:, 0] - confusion[:, 1]
    return np.array([(zero + one) / 2, 0.0, 0.0, (zero - one) / 2])


def _room(size: int) -> NDArray:
    """Working memory; the system hands out gigabytes in seconds, so they are asked for piece by piece."""
    array = np.empty(size)
    for start, stop in _pieces(size):
        pause()
        array[start:stop] = 0.0
    return array


def _pieces(size: int) -> list[tuple[int, int]]:
    """A range in pieces of `_PIECE`."""
    return [(start, min(start + _PIECE, size)) for start in range(0, size, _PIECE)]


def _portions(costs: Sequence[float]) -> list[slice]:
    """What comes one after the other in portions of about `_PART` operations, one of it at least."""
    portions, first, total = [], 0, 0.0
    for place, cost in enumerate(costs):
        if place > first and total + cost > _PART:
            portions.append(slice(first, place))
            first, total = place, 0.0
        total += cost
    return [*portions, slice(first, len(costs))] if len(costs) else []


def _order(qubits: Sequence[int], digit: Mapping[int, int]) -> NDArray:
    """Where the moment of each mask over the qubits is among those over their digits, lowest first."""
    ranked = sorted(digit[qubit] for qubit in qubits)
    masks = np.arange(1 << len(qubits))
    result = np.zeros_like(masks)
    for bit, qubit in enumerate(qubits):
        result |= (masks >> bit & 1) << ranked.index(digit[qubit])
    return result


class _Table:
    """Operations and the constants they refer to."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []
        self.channels: list[NDArray] = []
        self.turns = 0
        self._size = 0

    def block(self, block: Block, digit: Mapping[int, int]) -> list[int]:
        """Low digit, high digit, first and last operation of a block."""
        low, high = sorted(block.qubits, key=lambda qubit: digit[qubit])
        first, last = self.extend(block.operations, {low: 1, high: 4})
        return [digit[low], digit[high], first, last]

    def extend(self, operations: Sequence[Operation], strides: Mapping[int, int]) -> tuple[int, int]:
        """Lay out operations; `strides` of the qubits in a matrix of 4 or 16 rows."""
        first = len(self.rows)
        for operation in operations:
            stride = min(strides[qubit] for qubit in operation.qubits)
            if isinstance(operation, Turn):
                kind = {"z": _TURN_Z, "y": _TURN_Y, "zz": _TURN_ZZ}[operation.axis]
                self.rows.append((kind, stride, operation.slot))
                continue
            matrix = operation.matrix
            if len(operation.qubits) == 2 and strides[operation.qubits[0]] == 4:
                matrix = exchanged(matrix)
            self.rows.append((_ONE if len(operation.qubits) == 1 else _TWO, stride, self._size))
            self.channels.append(matrix.reshape(-1))
            self._size += matrix.size
        turns = sum(isinstance(operation, Turn) for operation in operations)
        self.turns = max(self.turns, turns)
        return first, len(self.rows)

r"""States that live on a few basis states, as those of electrons do whose number and spin nothing changes.

The rotations about Pauli strings that a circuit consists of (see `frame.py`) are put together where they commute and
flip the same bits m. Together they turn every pair (|i⟩, |i ⊕ m⟩) by an angle of its own, Σ_k ±θ_k, which for an
excitation, a hopping term or a Givens rotation is zero in most pairs, whatever the parameters are. So only the basis
states that can be reached from |0…0⟩ are kept, and of every rotation the pairs that turn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit

from runner.engine import kernel
from runner.engine.expressions import CONSTANT, Angles
from runner.engine.kernel.frame import FrameBuilder, PauliSet, in_frame
from runner.engine.kernel.program import Unsupported, split_bits
from runner.engine.kernel.state_vector import StateVectorKernel, letters_of, marginal
from runner.engine.memory import require

_LEAST_QUBITS, _MOST_QUBITS = 4, 62
_GAIN_BITS = 2
"""A state that reaches more than a quarter of all basis states is simulated on all of them."""
_MOST_STATES = 1 << 14
_MOST_PATTERNS = 256
"""How many sets of signs the rotations of one turn may have: every one is gone through when the circuit is compiled."""
_MOST_ENTRIES = 1 << 26
_ZERO = 1e-13
"""Sums of coefficients this small, relative to the largest, are zero."""
_REAL, _IMAGINARY, _PHASE = 0, 1, 2
_HEADER = 17
"""Numbers in front of the packed integers, see `sector_loops.py`."""


@dataclass
class _Blocks:
    """Pairs that turn by the same angle, block by block, as the loops read them."""

    kinds: NDArray
    starts: NDArray
    first: NDArray
    """Places of the pairs' first states …"""
    second: NDArray
    """… and of their second."""
    row_start: NDArray
    """Block b's angle is offsets[b] + Σ weights[e] inputs[columns[e]], e from row_start[b] to row_start[b + 1]."""
    columns: NDArray
    weights: NDArray
    offsets: NDArray

    @property
    def real(self) -> bool:
        """Does every amplitude stay real?"""
        return bool((self.kinds == _REAL).all())


@dataclass
class _Turn:
    """One set of rotations: which states turn how."""

    kind: int
    blocks: list[tuple[NDArray, NDArray, dict[int, float], float]]
    """(first states, second states, weights of inputs, offset)."""


class SectorKernel:
    """What `StateVectorKernel` does, for circuits whose state stays on a few basis states.

    Args:
        circuit: unitary, without measurements.
        parameters: the order of the values given.
        x: which qubits each term flips, (terms, qubits).
        z: which qubits each term signs, (terms, qubits).
        coefficients: of the terms in each observable, (observables, terms).
        threads: how many may work on a batch, where it falls back on the whole state vector.

    Raises:
        Unsupported: the circuit has no pairs that stay, or reaches too many states for this to be of use.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        parameters: Sequence[Parameter],
        x: NDArray | None = None,
        z: NDArray | None = None,
        coefficients: NDArray | None = None,
        *,
        threads: int = 1,
    ) -> None:
        size = circuit.num_qubits
        if not _LEAST_QUBITS <= size <= _MOST_QUBITS:
            raise Unsupported(f"{size} qubits")
        frame = in_frame(circuit, size - _GAIN_BITS)
        if not any(len(found.signs) > 1 and found.flips for found in frame.sets):
            raise Unsupported("no pair rotations")
        self.num_qubits = size
        self._circuit, self._parameters, self._threads = circuit, parameters, threads
        self._angles = Angles(parameters, [angle for found in frame.sets for angle in found.angles])
        self._states, turns = _reached(frame.sets, self._angles, min(1 << (size - _GAIN_BITS), _MOST_STATES))
        blocks = _placed(turns, self._states)
        self._pauli = _as_pauli(frame)
        self._complex = not blocks.real
        self._num_observables = 0 if coefficients is None else len(coefficients)
        if coefficients is None:
            x, z, coefficients = np.zeros((0, size)), np.zeros((0, size)), np.zeros((0, 0))
        assert x is not None
        assert z is not None
        matrices = _matrices(frame, self._states, x, z, coefficients, blocks.real)
        self._integers, self._reals = _packed(self._states, blocks, matrices)
        self._local = _Memory(len(blocks.kinds) + 4 * len(self._states))
        self._nonlinear = self._angles.nonlinear

    @property
    def nbytes(self) -> int:
        """The memory of the packed arrays."""
        return self._states.nbytes + self._integers.nbytes + self._reals.nbytes

    @property
    def missing_bytes(self) -> int:
        """The working memory that a state on all qubits takes, to be measured in other bases."""
        return 32 << self.num_qubits

    def energies(self, values: NDArray) -> NDArray:
        """Expectation values, (B, S), of parameter sets (B, P)."""
        result = np.empty((len(values), self._num_observables))
        inputs = self._angles(values) if self._nonlinear else values
        kernel.loop("sector_energies", "sector_loops")(
            self._integers, self._reals, inputs, self._local.work, result
        )
        return result

    def gradients(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Expectation values (B, S) and their derivatives by every parameter (B, S, P)."""
        sets, elements = len(values), self._num_observables
        result = np.empty((sets, elements))
        inputs = self._angles.size if self._nonlinear else self._angles.num_parameters
        slopes = np.zeros((sets, elements, inputs))
        kernel.loop("sector_gradients", "sector_loops")(
            self._integers, self._reals, self._inputs(values), self._local.work, result, slopes
        )
        if not self._nonlinear:
            return result, slopes
        repeated = values if elements == 1 else np.repeat(values, elements, axis=0)
        flat = self._angles.pull_back(repeated, slopes.reshape(sets * elements, -1))
        return result, flat.reshape(sets, elements, -1)

    def probabilities(self, values: NDArray, bases: Sequence[Sequence[tuple[int, str]]]) -> list[NDArray]:
        """Per basis, given as (qubit, letter) pairs, the probabilities (B, 2^k) of outcomes of those qubits."""
        if self._pauli is None:
            return self._whole.probabilities(values, bases)
        size = self.num_qubits
        require(
            8 * (4 + len(values) * len(bases)) << size,
            f"a state vector of {size} qubits and what is measured",
        )
        table = np.empty((len(values), len(bases), 1 << size))
        letters = letters_of(bases, size)
        low, high = split_bits(size)
        state, turned = np.zeros(2 << size), np.empty(2 << size)
        flags, scratch = np.zeros(64, dtype=np.int64), np.empty(256 + (2 << low) + (2 << high))
        for row in range(len(values)):
            self._scatter(values, row, state)
            kernel.loop("measured_in")(state, turned, size, low, letters, flags, scratch, table[row])
        return [marginal(table[:, row], size, [q for q, _ in basis]) for row, basis in enumerate(bases)]

    def _scatter(self, values: NDArray, row: int, state: NDArray) -> None:
        """Put the amplitudes of one parameter set where they belong among all basis states."""
        assert self._pauli is not None
        work, count = self._local.work, len(self._states)
        kernel.loop("sector_state", "sector_loops")(
            self._integers, self._reals, self._inputs(values), row, work
        )
        real, imaginary = work[-4 * count : -3 * count], work[-3 * count : -2 * count]
        flipped, signed = self._pauli
        sign = 1.0 - 2.0 * (np.bitwise_count(self._states & signed) & 1)
        places = self._states ^ flipped
        state[places] = sign * real
        if self._complex:
            state[places + (1 << self.num_qubits)] = sign * imaginary

    @cached_property
    def _whole(self) -> StateVectorKernel:
        """The same circuit on all basis states."""
        return StateVectorKernel(self._circuit, self._parameters, threads=self._threads)

    def _inputs(self, values: NDArray) -> NDArray:
        """What the blocks' angles are sums of: parameters, or the angles of the circuit where these are no sums."""
        return self._angles(values) if self._nonlinear else values


class _Memory(threading.local):
    """Working memory of each thread.

    Args:
        size: how many numbers.
    """

    def __init__(self, size: int) -> None:
        self.work = np.zeros(size)
        """Angles, the state's real and imaginary parts, those of another state."""


def _packed(states: NDArray, blocks: _Blocks, matrices: Sequence[NDArray]) -> tuple[NDArray, NDArray]:
    """Everything the loops read, end to end, and in front of it where each part starts."""
    diagonal, rows, columns, real, imaginary = matrices
    integers = [blocks.kinds, blocks.starts, blocks.first, blocks.second]
    integers += [blocks.row_start, blocks.columns, rows.ravel(), columns]
    reals = [blocks.weights, blocks.offsets, diagonal.ravel(), real, imaginary]
    starts = np.cumsum([_HEADER, *map(len, integers[:-1])])
    real_starts = np.cumsum([0, *map(len, reals[:-1])])
    numbers = [len(states), len(blocks.kinds), int(not blocks.real), int(np.searchsorted(states, 0))]
    return np.concatenate([numbers, starts, real_starts, *integers]).astype(np.int32), np.concatenate(reals)


def _as_pauli(frame: FrameBuilder) -> tuple[int, int] | None:
    """The Clifford circuit as the bits that it flips and those that it signs by; None where it is more than that."""
    flipped = signed = 0
    for qubit, (of_x, of_z) in enumerate(zip(frame.x_images, frame.z_images, strict=True)):
        if of_x[:2] != (1 << qubit, 0) or of_z[:2] != (0, 1 << qubit):
            return None
        signed |= (of_x[2] >> 1) << qubit
        flipped |= (of_z[2] >> 1) << qubit
    return flipped, signed


def _signs(masks: Sequence[int], negative: Sequence[bool], states: NDArray) -> NDArray:
    """(-1)^(mask·state), (states, masks), reversed where it says so."""
    parities = np.bitwise_count(states[:, None] & np.array(masks, dtype=np.int64)) & 1
    return 1.0 - 2.0 * (parities ^ np.array(negative, dtype=np.uint8))


def _reached(sets: Sequence[PauliSet], angles: Angles, at_most: int) -> tuple[NDArray, list[_Turn]]:
    """The basis states that are reached from |0…0⟩, in order, and how they turn.

    Raises:
        Unsupported: more than `at_most`.
    """
    states, turns, term = np.zeros(1, dtype=np.int64), [], 0
    for found in sets:
        turn = _turn(found, range(term, term + len(found.angles)), angles, states)
        term += len(found.angles)
        if not turn.blocks:
            continue
        turns.append(turn)
        if found.flips:
            states = np.unique(
                np.concatenate([states, *[part for block in turn.blocks for part in block[:2]]])
            )
        if len(states) > at_most:
            raise Unsupported("too many basis states are reached")
    return states, turns


def _turn(found: PauliSet, terms: range, angles: Angles, states: NDArray) -> _Turn:
    """How one set of rotations turns the states that are reached before it."""
    kind = _PHASE if not found.flips else _REAL if found.imaginary else _IMAGINARY
    firsts = states
    if found.flips:
        pivot = found.flips & -found.flips
        firsts = np.unique(np.where(states & pivot, states ^ found.flips, states))
    patterns, which = np.unique(_signs(found.signs, found.negative, firsts), axis=0, return_inverse=True)
    if len(patterns) > _MOST_PATTERNS:
        raise Unsupported("pairs turn in too many ways")
    if kind == _PHASE and len(patterns) == 1:
        return _Turn(kind, [])  # a global phase
    symbols = [angles.symbols(term) for term in terms]
    names = list(dict.fromkeys(name for row in symbols for name in row))
    weights = np.array([[row.get(name, 0.0) for name in names] for row in symbols])
    sums = 0.5 * patterns @ weights
    scale = np.abs(weights).max(initial=0.0)
    blocks: dict[tuple[float, ...], tuple[list[NDArray], list[NDArray], dict[int, float], float]] = {}
    for pattern, row in enumerate(sums):
        nonzero = np.flatnonzero(np.abs(row) > _ZERO * scale)
        if not len(nonzero):
            continue
        chosen = firsts[which.ravel() == pattern]
        pair, sign = (chosen, chosen ^ found.flips), 1.0
        if kind == _REAL and row[nonzero[0]] < 0:
            pair, sign = pair[::-1], -1.0
        key = tuple(np.round(sign * row / scale, 12) + 0.0)
        if key not in blocks:
            blocks[key] = [], [], *_bound(sign * 0.5 * patterns[pattern], terms, angles)
        blocks[key][0].append(pair[0])
        blocks[key][1].append(pair[1])
    return _Turn(kind, [(np.concatenate(a), np.concatenate(b), w, o) for a, b, w, o in blocks.values()])


def _bound(factors: NDArray, terms: range, angles: Angles) -> tuple[dict[int, float], float]:
    """A sum of angles by the inputs that it is made of, and what is constant in it."""
    weights: dict[int, float] = {}
    offset = 0.0
    for factor, term in zip(factors, terms, strict=True):
        if angles.nonlinear:
            weights[term] = float(factor)
            continue
        for name, weight in angles.symbols(term).items():
            if name == CONSTANT:
                offset += factor * weight
            else:
                weights[name] = weights.get(name, 0.0) + float(factor * weight)
    largest = max(map(abs, weights.values()), default=0.0)
    return {name: weight for name, weight in weights.items() if abs(weight) > _ZERO * largest}, offset


def _placed(turns: Sequence[_Turn], states: NDArray) -> _Blocks:
    """The blocks of all turns with the places of states instead of the states."""
    blocks = [(turn.kind, *block) for turn in turns for block in turn.blocks]
    firsts, seconds = [], []
    for _, first, second, _, _ in blocks:
        place = np.searchsorted(states, first)
        order = np.argsort(place)
        firsts.append(place[order])
        seconds.append(np.searchsorted(states, second)[order])
    entries = [(name, weight) for *_, weights, _ in blocks for name, weight in weights.items()]
    empty = [np.zeros(0, dtype=np.int32)]
    return _Blocks(
        kinds=np.array([block[0] for block in blocks], dtype=np.int64),
        starts=np.cumsum([0, *map(len, firsts)], dtype=np.int64),
        first=np.concatenate([*empty, *firsts]).astype(np.int32),
        second=np.concatenate([*empty, *seconds]).astype(np.int32),
        row_start=np.cumsum([0, *[len(block[3]) for block in blocks]], dtype=np.int64),
        columns=np.array([name for name, _ in entries], dtype=np.int64),
        weights=np.array([weight for _, weight in entries], dtype=float),
        offsets=np.array([block[4] for block in blocks], dtype=float),
    )


def _matrices(
    frame: FrameBuilder, states: NDArray, x: NDArray, z: NDArray, coefficients: NDArray, real: bool
) -> list[NDArray]:
    """The observables between the states that are reached: diagonals, and what is right of them row by row.

    Returns:
        Diagonals (S, K); where every row's entries start (S, K + 1); their columns, real and imaginary parts.
    """
    flips, signs, phases = _images(frame, x, z)
    count = len(states)
    diagonal = np.zeros((len(coefficients), count))
    found: list[list[tuple[NDArray, NDArray, NDArray]]] = [[] for _ in coefficients]
    size = 0
    for flip in np.unique(flips):
        terms = np.flatnonzero(flips == flip)
        targets = states ^ flip
        rows = np.minimum(np.searchsorted(states, targets), count - 1)
        columns = np.flatnonzero((states[rows] == targets) & (targets <= states))
        if not len(columns):
            continue
        values = np.zeros((len(coefficients), len(columns)), dtype=complex)
        for term in terms:
            sign = 1.0 - 2.0 * (np.bitwise_count(states[columns] & signs[term]) & 1)
            values += coefficients[:, term, None] * (1j ** int(phases[term]) * sign)
        if not flip:
            diagonal += values.real
            continue
        for index, row in enumerate(values):
            kept = np.flatnonzero(row.real if real else row)
            size += len(kept)
            found[index].append((rows[columns[kept]], columns[kept], row[kept]))
        if size > _MOST_ENTRIES:
            raise Unsupported("too many entries in the observables")
    return _compressed(diagonal, found)


def _compressed(diagonal: NDArray, found: list[list[tuple[NDArray, NDArray, NDArray]]]) -> list[NDArray]:
    """Entries by their rows."""
    count = diagonal.shape[1]
    starts = np.zeros((len(found), count + 1), dtype=np.int64)
    columns, values, total = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=complex)], 0
    for index, parts in enumerate(found):
        row, column, value = (
            np.concatenate([np.zeros(0, dtype=kind), *(part[k] for part in parts)])
            for k, kind in enumerate((np.int64, np.int64, complex))
        )
        order = np.lexsort((column, row))
        starts[index] = total + np.searchsorted(row[order], np.arange(count + 1))
        columns.append(column[order].astype(np.int32))
        values.append(value[order])
        total += len(row)
    entries = np.concatenate(values)
    return [diagonal, starts, np.concatenate(columns), entries.real, entries.imag]


def _images(frame: FrameBuilder, x: NDArray, z: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """C†PC of Pauli strings: the bits that each flips, those that it signs by, and k of i^k X^x Z^z."""
    bits = 1 << np.arange(x.shape[1], dtype=np.int64)
    flips, signs = x.astype(np.int64) @ bits, z.astype(np.int64) @ bits
    phases = np.bitwise_count(flips & signs).astype(np.int64)
    pauli = _as_pauli(frame)
    if pauli is not None:
        turned = np.bitwise_count(signs & pauli[0]) + np.bitwise_count(flips & pauli[1])
        return flips, signs, (phases + 2 * turned.astype(np.int64)) & 3
    images = [frame.image((int(a), int(b), int(k) & 3)) for a, b, k in zip(flips, signs, phases, strict=True)]
    columns = np.array(images, dtype=np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]

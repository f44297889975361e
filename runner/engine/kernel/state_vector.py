"""The kernel from the outside: a circuit and observables compiled to packed arrays, evaluated by the loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit

from runner.engine import kernel
from runner.engine.expressions import Angles
from runner.engine.kernel.program import Program, compile_program, split_bits
from runner.engine.kernel.wide import LEAST_QUBITS, WideState
from runner.engine.memory import require

_TABLE_BYTES = 8 << 20
"""Weights of observables are tabulated up to this size; beyond, signs are worked out on the fly."""
_FEW_TERMS = 2
"""Passes with at most so many terms are not tabulated from 2^14 amplitudes on: reading would cost more."""


class StateVectorKernel:
    """Exact expectation values, gradients and outcome probabilities of one noiseless circuit.

    Args:
        circuit: unitary, without measurements.
        parameters: the order of the values given.
        x: which qubits each term flips, (terms, qubits).
        z: which qubits each term signs, (terms, qubits).
        coefficients: of the terms in each observable, (observables, terms).
        threads: how many may work on a batch of parameter sets, or on one wide state.
        from_zero: the circuit acts on |0…0⟩; False where it is to carry other states on.
        fused: gates may take one pass together; False rounds as runs did that are from before they could.
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
        from_zero: bool = True,
        fused: bool = True,
    ) -> None:
        program = compile_program(circuit, from_zero=from_zero, layers=fused)
        self.num_qubits = program.num_qubits
        self._angles = Angles(parameters, program.expressions)
        self._direct = self._angles.simple
        self._integers, self._reals = _packed_program(program, self._angles)
        self._acts = program.acts
        self._energy_bytes = program.state_bytes
        """Of one state, and of its copy where it is permuted, while it is run forwards by one thread."""
        self._state_bytes = (32 if program.permutes.any() else 16) << self.num_qubits
        """The same run backwards or by several threads, which do not tell real states from others."""
        slots = np.concatenate([program.single_slot, program.parity_slot, program.corner_slot])
        turned = not self._angles.simple or bool(np.any(self._angles.scale[slots] != 0.0))
        self._num_parts = 1 << self.num_qubits if turned else 0
        """How many numbers derivatives by phases take beside the states."""
        self._num_observables = 0 if coefficients is None else len(coefficients)
        tabulated = True
        if coefficients is not None:
            assert x is not None
            assert z is not None
            self._passes, self._weights, tabulated = _packed_observables(self.num_qubits, x, z, coefficients)
        # what the circuit does without is left out of the loops, which are compiled sooner so
        several = any(acts.pairs or acts.corners or acts.exchanges for acts in self._acts)
        self._pairs = True if several else None
        self._wide = True if program.layers[:, 0].any() or not tabulated else None
        self._scratch_size = _places(program)[0] + self._angles.size
        self._local = threading.local()
        self._threads = threads

    @property
    def nbytes(self) -> int:
        """The memory of the packed arrays."""
        arrays = [self._integers, self._reals]
        if self._num_observables:
            arrays += [self._passes, self._weights]
        return sum(array.nbytes for array in arrays)

    def energies(self, values: NDArray) -> NDArray:
        """Expectation values, (B, S), of parameter sets (B, P)."""
        inputs = values if self._direct else self._angles(values)
        result = np.empty((len(values), self._num_observables))
        if self._threads > 1 and self.num_qubits >= LEAST_QUBITS:
            self._evaluate_wide(inputs, result)
        else:
            self._in_threads(self._evaluate, inputs, result, each=self._energy_bytes)
        return result

    def _evaluate_wide(self, inputs: NDArray, result: NDArray) -> None:
        """One parameter set after the other, each by all threads."""
        if not self._local.__dict__:
            require(self._state_bytes, f"a state of {self.num_qubits} qubits for {self._threads} threads")
        first, second, flags, scratch, _ = self._buffers(1)
        tables = [_passes_of(self._passes, self._weights, index) for index in range(self._num_observables)]
        with ThreadPoolExecutor(self._threads) as pool:
            for row in range(len(inputs)):
                buffers = first, second, flags, scratch
                wide = WideState(
                    self._integers, self._reals, self._acts, self.num_qubits, buffers, pool, self._threads,
                )  # fmt: skip
                wide.evolve(inputs, row)
                for index, (table, constant) in enumerate(tables):
                    result[row, index] = wide.expectation(self._passes, self._weights, table, constant)

    def _evaluate(self, inputs: NDArray, result: NDArray) -> None:
        first, second, flags, scratch, _ = self._buffers(1)
        kernel.loop("energies")(
            self._integers, self._reals, self._passes, self._weights, inputs, first, second, flags, scratch,
            self._wide, self._pairs, result,
        )  # fmt: skip

    def gradients(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Expectation values (B, S) and their derivatives by every parameter (B, S, P)."""
        sets, elements = len(values), self._num_observables
        result = np.empty((sets, elements))
        slopes = np.zeros((sets, elements, self._angles.size))

        def work(inputs: NDArray, result: NDArray, slopes: NDArray) -> None:
            first, second, flags, scratch, parts = self._buffers(2)
            kernel.loop("gradients")(
                self._integers, self._reals, self._passes, self._weights, inputs, first, second, flags, scratch,
                parts, self._wide, self._pairs, result, slopes,
            )  # fmt: skip

        self._in_threads(
            work, values if self._direct else self._angles(values), result, slopes, each=2 * self._state_bytes
        )
        flat = slopes.reshape(sets * elements, -1)
        repeated = values if elements == 1 else np.repeat(values, elements, axis=0)
        by_parameter = self._angles.pull_back(repeated, flat)
        return result, by_parameter.reshape(sets, elements, -1)

    def probabilities(self, values: NDArray, bases: Sequence[Sequence[tuple[int, str]]]) -> list[NDArray]:
        """Per basis, given as (qubit, letter) pairs, the probabilities (B, 2^k) of outcomes of those qubits."""
        letters = letters_of(bases, self.num_qubits)
        table = np.empty((len(values), len(bases), 1 << self.num_qubits))

        def work(inputs: NDArray, table: NDArray) -> None:
            first, second, flags, scratch, _ = self._buffers(1)
            kernel.loop("basis_probabilities")(
                self._integers, self._reals, inputs, letters, first, second, flags, scratch, self._wide,
                self._pairs, table,
            )  # fmt: skip

        each = 32 << self.num_qubits
        self._in_threads(work, values if self._direct else self._angles(values), table, each=each)
        return [
            marginal(table[:, row], self.num_qubits, [q for q, _ in basis]) for row, basis in enumerate(bases)
        ]

    # states that are carried on: `state` holds the real parts, (2^n,), and then the imaginary ones ----------------

    def basis_state(self, index: int) -> NDArray:
        """The state |index⟩, to be carried on."""
        require(48 << self.num_qubits, f"a state vector of {self.num_qubits} qubits and two copies")
        state = np.zeros(2 << self.num_qubits)
        state[index] = 1.0
        return state

    def carry_on(self, state: NDArray, times: int) -> None:
        """Run the circuit, which has no parameters, so many times on a state, in place."""
        _, second, flags, scratch, _ = self._buffers(1)
        kernel.loop("carry_on")(
            self._integers, self._reals, np.zeros((1, 0)), times, state, second, flags, scratch, self._wide,
            self._pairs,
        )  # fmt: skip

    def state_energies(self, state: NDArray) -> NDArray:
        """Expectation values in a state, (1, S)."""
        result = np.empty((1, self._num_observables))
        kernel.loop("state_energies")(
            self._integers, self._reals, self._passes, self._weights, state, self._wide, result[0]
        )
        return result

    def state_probabilities(
        self, state: NDArray, bases: Sequence[Sequence[tuple[int, str]]]
    ) -> list[NDArray]:
        """Per basis the probabilities (1, 2^k) of outcomes in a state, as of `probabilities`."""
        _, second, flags, scratch, _ = self._buffers(1)
        table = np.empty((1, len(bases), 1 << self.num_qubits))
        size, low = self.num_qubits, split_bits(self.num_qubits)[0]
        kernel.loop("measured_in")(
            state, second, size, low, letters_of(bases, self.num_qubits), flags, scratch, table[0]
        )
        return [
            marginal(table[:, row], self.num_qubits, [q for q, _ in basis]) for row, basis in enumerate(bases)
        ]

    @property
    def missing_bytes(self) -> int:
        """The working memory that `probabilities` has yet to get in this thread: a state, and a copy to be turned."""
        return 0 if self._local.__dict__ else 32 << self.num_qubits

    def _in_threads(self, work: Callable[..., None], *tables: NDArray, each: int) -> None:
        """Call `work` with the tables, whose rows belong to the parameter sets, or with a part of them per thread.

        Args:
            work: is given rows of every table.
            tables: inputs and results.
            each: bytes that a thread takes beside them.
        """
        workers = min(self._threads, len(tables[0]))
        if workers <= 1:
            work(*tables)
            return
        require(workers * each, f"{workers} states of {self.num_qubits} qubits at a time")
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, *(np.array_split(table, workers) for table in tables)))

    def _buffers(self, states: int) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
        """Working memory of this thread."""
        held: dict[Any, Any] = self._local.__dict__
        states = max(states, *held) if held else states  # what a gradient needs does for an energy
        if states not in held:
            held.clear()
            if states == 2:
                needed = 2 * self._state_bytes + 8 * self._num_parts
                require(needed, f"an adjoint gradient of {self.num_qubits} qubits")
            size = states * (2 << self.num_qubits)
            held[states] = (
                np.empty(size),
                np.empty(size),
                np.zeros(64, dtype=np.int64),
                np.empty(self._scratch_size),
                np.empty(self._num_parts if states == 2 else 0),
            )
        return held[states]


def letters_of(bases: Sequence[Sequence[tuple[int, str]]], size: int) -> NDArray:
    """What every qubit is measured in, (bases, qubits): 0 for z or nothing, 1 for x, 2 for y."""
    letters = np.zeros((len(bases), size), dtype=np.int64)
    for row, basis in enumerate(bases):
        for qubit, letter in basis:
            letters[row, qubit] = "ZXY".index(letter)
    return letters


def marginal(table: NDArray, size: int, kept: Sequence[int]) -> NDArray:
    """Summed over the qubits that are not kept; `kept` is in ascending order."""
    if len(kept) == size:
        return table
    others = tuple(size - q for q in range(size) if q not in kept)  # axis 0 is the set
    return table.reshape(-1, *(2,) * size).sum(axis=others).reshape(len(table), -1)


def _packed(parts: Sequence[NDArray], kind: Any, header: bool) -> tuple[NDArray, NDArray]:
    """Arrays laid end to end, and where each starts (counting the header if it goes in front)."""
    sizes = [len(part) for part in parts]
    first = len(parts) + 1 if header else 0
    starts = np.array([first, *(first + np.cumsum(sizes))], dtype=np.int64)
    flat = np.concatenate([starts, *parts]) if header else np.concatenate([np.zeros(0), *parts])
    return np.ascontiguousarray(flat, dtype=kind), starts


def _places(program: Program) -> list[int]:
    """Where in the working memory the angles are, and what layers need: the phases of a row, the factors of parities,
    the phases of four kinds of rows, the factor of the tables at hand.
    """
    low, high = split_bits(program.num_qubits)
    row = 256 + (2 << low) + (2 << high)
    if not program.layers[:, 0].any():
        return [row] * 5
    factors = row + (2 << low)
    variants = factors + 2 * int(np.diff(program.parity_start).max(initial=0))
    held = variants + (8 << low)
    return [held + 1, row, factors, variants, held]


def _packed_program(program: Program, angles: Angles) -> tuple[NDArray, NDArray]:
    size, low = program.num_qubits, split_bits(program.num_qubits)[0]
    if angles.simple:
        index, scale, offset = angles.index, angles.scale, angles.offsets
    else:  # the angles themselves are the inputs; all may depend on parameters
        index, scale, offset = np.arange(angles.size), np.ones(angles.size), np.zeros(angles.size)
    reals, real_starts = _packed(
        [scale, offset, program.single_sign, program.parity_sign, _patterns().ravel()], np.float64, False
    )
    integers, _ = _packed(
        [
            real_starts,
            np.array(
                [size, program.num_stages, low, angles.size, *_places(program), program.real_stages],
                dtype=np.int64,
            ),
            index,
            program.rotation_start,
            program.rotation_qubit,
            program.rotation_slot,
            program.single_start,
            program.single_qubit,
            program.single_slot,
            program.parity_start,
            program.parity_mask,
            program.parity_slot,
            program.permutes.astype(np.int64),
            program.forward_high.ravel(),
            program.forward_low.ravel(),
            program.backward_high.ravel(),
            program.backward_low.ravel(),
            program.layers.ravel(),
            program.pair_start,
            program.pair_low,
            program.pair_high,
            program.pair_slot,
            program.corner_start,
            program.corner_mask,
            program.corner_value,
            program.corner_slot,
            program.exchange_start,
            program.exchange_mask,
            program.exchange_value,
            program.exchange_flips,
        ],
        np.int64,
        True,
    )
    return integers, reals


def _patterns() -> NDArray:
    """(-1)^parity(m & i) for all masks m and indices i of four bits."""
    index = np.arange(16)
    return 1.0 - 2.0 * (np.bitwise_count(index[:, None] & index[None, :]) & 1)


def _packed_observables(
    size: int, x: NDArray, z: NDArray, coefficients: NDArray
) -> tuple[NDArray, NDArray, bool]:
    r"""Passes over the state, one per observable and set of flipped bits, and whether all weights are tabulated.

    A term flips the bits x, signs by z and has y = |x & z| letters Y, so with p = conj(ψ[i^x]) ψ[i] it contributes
    (-1)^{z·i} (-1)^{y/2} Re p for even y and (-1)^{z·i} (-1)^{(y+1)/2} Im p for odd y.
    """
    bits = 1 << np.arange(x.shape[1], dtype=np.int64)
    flips, signs = x @ bits, z @ bits
    ys = (x & z).sum(axis=1)
    sign_of_y = 1.0 - 2.0 * (((ys + 1) // 2) & 1)
    constants, starts = [], [0]
    passes: list[tuple[int, int, int, int, int]] = []
    tables: list[NDArray] = []
    table_size = 0
    terms: list[NDArray] = []
    weights: list[NDArray] = []
    num_terms = 0
    for row in coefficients:
        constant = float(row[(flips == 0) & (signs == 0)].sum())
        constants.append(constant)
        used = np.flatnonzero((row != 0) & ((flips != 0) | (signs != 0)))
        keys = sorted({(int(flips[t]), int(ys[t] & 1)) for t in used})
        for mask, imaginary in keys:
            chosen = used[(flips[used] == mask) & ((ys[used] & 1) == imaginary)]
            factors = row[chosen] * sign_of_y[chosen]
            length = 1 << (size if mask < 16 else size - 1)
            keep = len(chosen) > _FEW_TERMS or size < 14
            if keep and 8 * (table_size + length) <= _TABLE_BYTES:
                tables.append(_table(size, mask, signs[chosen], factors))
                passes.append((mask, imaginary, table_size, 0, 0))
                table_size += length
            else:
                passes.append((mask, imaginary, -1, num_terms, num_terms + len(chosen)))
                terms.append(signs[chosen])
                weights.append(factors)
                num_terms += len(chosen)
        starts.append(len(passes))
    reals, real_starts = _packed(
        [
            np.array(constants),
            np.concatenate([np.zeros(0), *tables]),
            np.concatenate([np.zeros(0), *weights]),
        ],
        np.float64,
        False,
    )
    integers, _ = _packed(
        [
            real_starts,
            np.array(starts, dtype=np.int64),
            np.array(passes, dtype=np.int64).ravel(),
            np.concatenate([np.zeros(0, dtype=np.int64), *terms]),
        ],
        np.int64,
        True,
    )
    return integers, reals, not terms


def _passes_of(passes: NDArray, weights: NDArray, index: int) -> tuple[NDArray, float]:
    """The passes of one observable, (passes, 2) with the place and the flipped bits of each, and its constant."""
    starts, rows = passes[1], passes[2]
    places = np.arange(passes[starts + index], passes[starts + index + 1])
    return np.stack([places, passes[rows + 5 * places]], axis=1), float(weights[passes[passes[0]] + index])


def _table(size: int, mask: int, signs: NDArray, factors: NDArray) -> NDArray:
    """The weights of one pass in the order the loops read them: without the partners of what came before."""
    index = np.arange(1 << size, dtype=np.int64)
    if mask >= 16:
        pivot = mask.bit_length() - 1
        index = index[(index >> pivot) & 1 == 0]
    result = np.zeros(len(index))
    for sign, factor in zip(signs, factors, strict=True):
        result += factor * (1.0 - 2.0 * (np.bitwise_count(index & sign) & 1))
    return result

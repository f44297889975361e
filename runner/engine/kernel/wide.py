"""One wide state by several threads: each goes over a span of it, and all numbers are those that one thread computes.

Rotations, phases and permutations go span by span. Sums are taken over blocks and passes as one thread takes them, and
added up in its order, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.engine import kernel
from runner.engine.kernel.program import StageActs, split_bits
from runner.record.interruption import pause

LEAST_QUBITS = 20
"""From so many qubits on a state is worth several threads: what they are told and wait for takes a tenth of it."""
_BLOCK_BITS = 15
"""Spans begin and end at multiples of 2^15 numbers; the blocks in which the loops rotate divide them."""
_SUM_BITS = 12
"""Observables are summed in blocks of so many bits, see `loops.py`."""


class WideState:
    """Evolves one state of a compiled program; a new one is made for each call of a kernel.

    Args:
        integers: the packed program.
        reals: its numbers.
        acts: what each stage does.
        num_qubits: at least `LEAST_QUBITS`.
        buffers: room for two states, flags of bits and the working memory of the loops.
        pool: runs the threads.
        threads: how many.
    """

    def __init__(
        self,
        integers: NDArray,
        reals: NDArray,
        acts: Sequence[StageActs],
        num_qubits: int,
        buffers: tuple[NDArray, NDArray, NDArray, NDArray],
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        self._integers, self._reals, self._acts = integers, reals, acts
        self._num_qubits, self._threads = num_qubits, threads
        self.state, self._other, self._flags, self._scratch = buffers
        self._own = [np.empty_like(self._scratch) for _ in range(threads)]
        self._pool = pool

    def evolve(self, inputs: NDArray, row: int) -> None:
        """Put the state of one parameter set into `state`."""
        kernel.loop("wide_bind")(self._integers, self._reals, inputs, row, self._flags, self._scratch)
        for stage, acts in enumerate(self._acts):
            pause()
            self._turn(stage)
            if acts.pairs:
                self._turn_pairs(stage)
            self._phases(stage)
            if acts.corners:
                kernel.loop("wide_corners")(self._integers, stage, self.state, self._scratch)
            if acts.permutes:
                self._permute(stage)
            if acts.exchanges:
                self._exchange(stage)

    def _phases(self, stage: int) -> None:
        """The phases of a stage."""

        def work(span: tuple[int, int], own: NDArray) -> None:
            kernel.loop("wide_phases")(self._integers, self._reals, stage, self.state, *span, own)

        self._each(work, self._spans(self._rows))

    def _permute(self, stage: int) -> None:
        """The permutation of a stage, into the other state."""

        def work(span: tuple[int, int], _: NDArray) -> None:
            kernel.loop("wide_permutation")(self._integers, stage, self._other, self.state, *span)

        self._each(work, self._spans(self._rows))
        self.state, self._other = self._other, self.state

    def _exchange(self, stage: int) -> None:
        """The exchanges of a stage."""
        size = 1 << self._num_qubits

        def work(span: tuple[int, int], _: NDArray) -> None:
            kernel.loop("wide_exchanges")(self._integers, stage, self.state[slice(*span)], size)

        self._each(work, self._halves)

    @property
    def _rows(self) -> int:
        """Into how many rows the loops divide a state."""
        return 1 << (self._num_qubits - split_bits(self._num_qubits)[0])

    def _turn(self, stage: int) -> None:
        """The rotations of a stage, and the tables of its phases, a copy for each thread."""
        size, flags = self._num_qubits, self._flags
        lean = kernel.loop("wide_tables")(self._integers, self._reals, stage, flags, self._scratch)
        for own in self._own:
            own[:] = self._scratch
        if stage == 0:
            self._begin()
            return
        self._each(
            lambda span, own: kernel.loop("wide_turns_across")(self.state, *span, size, lean, flags, own),
            self._halves,
        )
        self._each(
            lambda span, own: kernel.loop("wide_turns_inside")(self.state, *span, size, lean, flags, own),
            self._spans(2 << size, 1 << _BLOCK_BITS),
        )

    @property
    def _halves(self) -> list[tuple[int, int]]:
        """The real and the imaginary parts, which hold all that is rotated into one another."""
        return [(0, 1 << self._num_qubits), (1 << self._num_qubits, 2 << self._num_qubits)]

    def _turn_pairs(self, stage: int) -> None:
        """The rotations of pairs of a stage."""
        kernel.loop("wide_pair_angles")(self._integers, stage, self._scratch)
        for own in self._own:
            own[:] = self._scratch
        given = self._integers, self._reals, stage, self.state
        self._each(lambda span, own: kernel.loop("wide_pairs_across")(*given, *span, own), self._halves)
        self._each(
            lambda span, own: kernel.loop("wide_pairs_inside")(*given, *span, own),
            self._spans(2 << self._num_qubits, 1 << _BLOCK_BITS),
        )

    def _begin(self) -> None:
        """The product state of the first rotations."""
        state = self.state
        state[0] = 1.0
        for bit in range(self._num_qubits):
            self._join(bit)
        size = 1 << self._num_qubits
        self._each(lambda span, _: state[size + span[0] : size + span[1]].fill(0.0), self._spans(size))

    def _join(self, bit: int) -> None:
        """Let a qubit join the product state; the first ones take no threads."""

        def work(span: tuple[int, int], own: NDArray) -> None:
            kernel.loop("wide_product")(self.state, bit, *span, own)

        self._each(work, self._spans(1 << bit, 1 << min(bit, _BLOCK_BITS)))

    def expectation(self, passes: NDArray, weights: NDArray, table: NDArray, constant: float) -> float:
        """⟨ψ|O|ψ⟩ of one observable.

        Args:
            passes: the packed observables.
            weights: their numbers.
            table: the passes of this one, (passes, 2): their place among all, and the bits they flip.
            constant: its part that is a multiple of 1.
        """
        size = 1 << self._num_qubits
        inside = table[table[:, 1] < 1 << _SUM_BITS, 0]
        beyond = table[table[:, 1] >= 1 << _SUM_BITS, 0]
        sums = np.zeros((size >> _SUM_BITS, len(inside)))
        totals = np.zeros(len(beyond))
        given = self._integers, self._reals, passes, weights, self.state

        def total(place: int, _: NDArray) -> None:
            totals[place] = kernel.loop("wide_sum")(*given, beyond[place])

        self._each(
            lambda span, _: kernel.loop("wide_sums")(*given, inside, *span, sums),
            self._spans(size, 1 << _SUM_BITS),
        )
        self._each(total, range(len(beyond)))
        everything = np.concatenate([[constant], sums.ravel(), totals])
        return float(np.cumsum(everything)[-1])  # one after the other, as one thread adds them

    def _spans(self, length: int, unit: int = 1) -> list[tuple[int, int]]:
        """About equal parts of a range that begin at multiples of a unit."""
        edges = np.linspace(0, length // unit, min(self._threads, length // unit) + 1).astype(int) * unit
        return list(itertools.pairwise(edges.tolist()))

    def _each(self, work: Callable[[Any, NDArray], Any], parts: Sequence[Any]) -> None:
        """Do all parts, so many at a time as there are threads, each with a working memory of its own."""
        for start in range(0, len(parts), self._threads):
            some = parts[start : start + self._threads]
            if len(some) == 1:
                work(some[0], self._own[0])
            else:
                list(self._pool.map(work, some, self._own))

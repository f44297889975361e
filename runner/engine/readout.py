"""The terms of observables read off the outcomes of measuring a circuit in a few bases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.engine.circuits import Anatomy, dissect
from runner.engine.expressions import each_times
from runner.engine.matrix_product import Losses
from runner.engine.measurement import (
    Basis,
    Piece,
    SimulationOptions,
    basis_changes,
    draw,
    draw_counts,
    pieces_of,
    signed_sums,
    signs_of,
    stream,
)
from runner.engine.observables import ObservableTerms, letters_of
from runner.record.interruption import pause

_TABLE_BITS = 14
"""Up to this many measured qubits a basis keeps the observables' value of every outcome."""
_CHUNK_BYTES = 64 << 20


class SampledRows(NamedTuple):
    """What was sampled at B parameter sets."""

    means: NDArray
    """(B, S)."""
    errors: NDArray
    """Their standard errors, (B, S)."""
    variances: NDArray
    """Of one shot of each basis, mean over the sets, (S, bases)."""
    losses: Losses | None = None
    """What was left out of the states; None where nothing can be."""
    covariances: Sequence[NDArray] = ()
    """Of the terms that each basis reads, in one shot, mean over the sets, (t, t); none where nobody asked."""


class ReadTerms(NamedTuple):
    """What is read off the outcomes of one basis."""

    weights: NDArray
    """What its terms count for the observables, (S, terms)."""
    masks: list[NDArray]
    """For each piece the measured qubits whose parity is a term's sign, (terms, measured)."""
    table: NDArray | None
    """What every outcome adds to each observable, (S, 2^k), if one piece has it all; None: of every shot alone."""


class Readout:
    """The terms of observables read off the outcomes of measuring the circuit in a few bases."""

    def __init__(
        self,
        anatomy: Anatomy,
        terms: ObservableTerms,
        groups: Sequence[Sequence[int]],
        options: SimulationOptions,
    ) -> None:
        self._coefficients = terms.coefficients
        self._singly = options.singly
        self._groups = [list(group) for group in groups]
        self._identity = [t for t in range(len(terms.labels)) if not terms.support[t].any()]
        bases = [Basis(letters_of(terms, group)) for group in self._groups]
        rotations = basis_changes(terms.num_qubits, bases, options.target, options.noise_model)
        scheduled = _scheduled(anatomy.circuit, rotations, terms, options)
        self._pieces: list[Piece] = pieces_of(anatomy, bases, rotations, options, scheduled)
        self._masks = [
            [terms.support[group][:, piece.measured[index]] for piece in self._pieces]
            for index, group in enumerate(self._groups)
        ]
        self._tables: dict[int, NDArray] = {}

    @property
    def pieces(self) -> Sequence[Piece]:
        """What is simulated and sampled by itself."""
        return self._pieces

    @property
    def has_tables(self) -> bool:
        """Can outcome probabilities be computed, or only trajectories be sampled?"""
        return all(piece.has_tables for piece in self._pieces)

    @property
    def nbytes(self) -> int:
        """The memory of the tables kept between runs."""
        return sum(table.nbytes for table in self._tables.values())

    @property
    def _constant(self) -> NDArray:
        return self._coefficients[:, self._identity].sum(axis=1)

    def _value_table(self, index: int) -> NDArray | None:
        """The group's contribution to each observable for every outcome, (S, 2^k), if one piece has it all."""
        mask = _only(self._masks[index])
        if mask is None:
            return None
        if index not in self._tables:
            self._tables[index] = self._coefficients[:, self._groups[index]] @ signs_of(mask)
        return self._tables[index]

    def _own(self, index: int) -> ReadTerms:
        """A basis's own group."""
        weights = self._coefficients[:, self._groups[index]]
        return ReadTerms(weights, self._masks[index], self._value_table(index))

    def read(self, index: int, masks: NDArray, weights: NDArray) -> ReadTerms:
        """Any signs that a basis tells.

        Args:
            index: the basis.
            masks: whose measured bits' parity they are, (t, qubits).
            weights: what they count, (S, t).
        """
        own = [masks[:, piece.measured[index]] for piece in self._pieces]
        mask, table = _only(own), None
        if mask is not None:
            by_mask = np.zeros((len(weights), 1 << mask.shape[1]))
            by_mask[:, mask @ (1 << np.arange(mask.shape[1], dtype=np.int64))] = weights
            table = signed_sums(by_mask)
        return ReadTerms(weights, own, table)

    def require(self, *, exact: bool) -> None:
        """Refuse pieces whose outcomes can only be sampled, or not even that."""
        for piece in self._pieces:
            if exact:
                piece.require_analytic()
            else:
                piece.require_sampled()

    def exact(self, rows: NDArray) -> NDArray:
        """The limit of infinitely many shots, (B, S)."""
        result = np.broadcast_to(self._constant, (len(rows), len(self._coefficients))).copy()
        found = [
            piece.products(rows, [masks[number] for masks in self._masks])
            for number, piece in enumerate(self._pieces)
        ]
        for index, group in enumerate(self._groups):
            expectation = np.ones((len(rows), len(group)))
            for piece, masks in enumerate(self._masks[index]):
                if masks.shape[1]:
                    expectation *= found[piece][index]
            result += each_times(expectation, self._coefficients[:, group].T)
        return result

    def simulation(self, shots: int | None) -> str | None:
        """How the largest piece that is not a state vector is simulated, in words; None where there is none."""
        said = [(len(piece.qubits), piece.simulation(shots)) for piece in self._pieces]
        return max(((size, words) for size, words in said if words is not None), default=(0, None))[1]

    @property
    def differentiable(self) -> bool:
        """Have the values exact derivatives under noise?"""
        return all(piece.differentiable for piece in self._pieces)

    @property
    def no_derivatives_because(self) -> str:
        """Why they have none; empty if they have."""
        return next((why for piece in self._pieces if (why := piece.no_derivatives_because)), "")

    def gradients(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Exact values (B, S) and their derivatives by every parameter (B, S, P), under noise."""
        masks = [[own[number] for own in self._masks] for number in range(len(self._pieces))]
        if len(self._pieces) == 1 and self._pieces[0].moves:
            weights = [self._coefficients[None, :, group] for group in self._groups]
            values, slopes = self._pieces[0].product_gradients(rows, masks[0], weights)
            return values + self._constant, slopes
        found = [piece.products(rows, own) for piece, own in zip(self._pieces, masks, strict=True)]
        values = self.exact(rows)
        slopes = np.zeros((*values.shape, rows.shape[1]))
        for number, piece in enumerate(self._pieces):
            if piece.moves:
                weights = [self._weights_without(number, index, found) for index in range(len(self._groups))]
                slopes += piece.product_gradients(rows, masks[number], weights)[1]
        return values, slopes

    def _weights_without(self, number: int, index: int, found: Sequence[Sequence[NDArray]]) -> NDArray:
        """What each term of a basis counts beside one piece's part of it, (B or 1, S, terms)."""
        weight = self._coefficients[None, :, self._groups[index]]
        for other, masks in enumerate(self._masks[index]):
            if other != number and masks.shape[1]:
                weight = weight * found[other][index][:, None, :]
        return weight

    def sampled(
        self,
        rows: NDArray,
        shots: Sequence[int],
        seed: int,
        read: Sequence[ReadTerms] | None = None,
        *,
        learns: bool = False,
    ) -> SampledRows:
        """Means and their standard errors from so many outcomes of each basis.

        Args:
            rows: parameter sets (B, P).
            shots: of each basis.
            seed: of the job.
            read: what is read off each basis; None: its own group.
            learns: tell the covariances of what is read.
        """
        sets, bases = len(rows), len(self._groups)
        if read is None:
            read = [self._own(index) for index in range(bases)]
        observables = len(read[0].weights) if read else len(self._coefficients)
        means = np.broadcast_to(self._constant, (sets, observables)).copy()
        variances = np.zeros_like(means)
        by_basis = np.zeros((observables, bases))
        covariances = [np.zeros((one.weights.shape[1],) * 2) for one in read] if learns else []
        usual = sum(shots) / len(shots)
        widest = max((len(m) for piece in self._pieces for m in piece.measured), default=0)
        losses = Losses(sets)
        step = max(1, int(_CHUNK_BYTES // max(8 * len(self._groups) * (1 << min(widest, 26)), 1)))
        for start in range(0, sets, step):
            for row, index, drawn in self._sampled_bases(
                rows[start : start + step], start, shots, seed, losses, read
            ):
                mean, variance = drawn.moments()
                means[row] += mean
                variances[row] += variance * (usual / shots[index])
                by_basis[:, index] += variance / sets
                if learns:
                    covariances[index] += drawn.covariances() / sets
        return SampledRows(means, np.sqrt(variances / usual), by_basis, losses, covariances)

    def _sampled_bases(
        self,
        rows: NDArray,
        start: int,
        every: Sequence[int],
        seed: int,
        losses: Losses,
        read: Sequence[ReadTerms],
    ) -> Iterator[tuple[int, int, Counted | Listed]]:
        """Set, basis, and what was drawn."""
        usual = round(sum(every) / len(every))
        tabulated = [piece.tabulates(usual) for piece in self._pieces]
        tables = [
            piece.probabilities(rows) if known else None
            for piece, known in zip(self._pieces, tabulated, strict=True)
        ]
        sampled = [
            None if known else piece.samples(rows, every, seed, start, number, losses)
            for number, (piece, known) in enumerate(zip(self._pieces, tabulated, strict=True))
        ]
        for index, terms in enumerate(read):
            shots = every[index]
            for row in range(len(rows)):
                generator = stream(seed, start + row, 1 + index)
                if terms.table is not None:
                    outcomes = self._counts(index, row, tables, sampled, shots, generator)
                    yield start + row, index, Counted(terms, outcomes, shots)
                else:
                    signs = self._term_signs(index, row, tables, sampled, shots, generator, terms.masks)
                    yield start + row, index, Listed(terms, signs, shots)

    def _counts(
        self, index: int, row: int, tables: list, sampled: list, shots: int, generator: np.random.Generator
    ) -> NDArray:
        """How often each outcome of the only piece with measured qubits occurred."""
        piece = next(k for k, mask in enumerate(self._masks[index]) if mask.shape[1])
        if tables[piece] is not None:
            return draw_counts(tables[piece][index][row], shots, generator, singly=self._singly)
        bits = sampled[piece][index][row]
        outcomes = bits @ (1 << np.arange(bits.shape[1]))
        return np.bincount(outcomes, minlength=1 << bits.shape[1])

    def _term_signs(
        self,
        index: int,
        row: int,
        tables: list,
        sampled: list,
        shots: int,
        generator: np.random.Generator,
        every: Sequence[NDArray],
    ) -> NDArray:
        """Every term's ±1 in every shot, (terms, shots); `every` piece has its part of their masks."""
        parity = np.zeros((len(every[0]) if every else 0, shots), dtype=np.int64)
        for piece, masks in enumerate(every):
            if not masks.shape[1]:
                continue
            if tables[piece] is not None:
                outcomes = draw(tables[piece][index][row], shots, generator)
                packed = masks @ (1 << np.arange(masks.shape[1]))
                parity += np.bitwise_count(packed[:, None] & outcomes[None, :])
            else:
                parity += masks.astype(np.int64) @ sampled[piece][index][row].T
        return 1.0 - 2.0 * (parity & 1)


class Counted(NamedTuple):
    """How often every outcome of a basis occurred."""

    read: ReadTerms
    counts: NDArray
    """(2^k,)."""
    shots: int

    def moments(self) -> tuple[NDArray, NDArray]:
        """Mean (S,) of what the outcomes add and the variance (S,) of one shot, unbiased."""
        table = self.read.table
        assert table is not None
        square = (table * table) @ self.counts / self.shots
        return _unbiased(table @ self.counts / self.shots, square, self.shots, self.read.weights)

    def covariances(self) -> NDArray:
        """Of the terms in one shot, (terms, terms): a product of signs is the sign of what either mask has alone."""
        mask = _only(self.read.masks)
        assert mask is not None
        packed = mask @ (1 << np.arange(mask.shape[1], dtype=np.int64))
        moments = signed_sums(self.counts[None, :] / self.shots)[0]
        means = moments[packed]
        return np.asarray(moments[packed[:, None] ^ packed] - np.outer(means, means))


class Listed(NamedTuple):
    """Every term's ±1 in every shot of a basis."""

    read: ReadTerms
    signs: NDArray
    """(terms, shots)."""
    shots: int

    def moments(self) -> tuple[NDArray, NDArray]:
        """Mean (S,) of what the outcomes add and the variance (S,) of one shot, unbiased."""
        values = self.read.weights @ self.signs
        return _unbiased(values.mean(axis=1), (values * values).mean(axis=1), self.shots, self.read.weights)

    def covariances(self) -> NDArray:
        """Of the terms in one shot, (terms, terms)."""
        means = self.signs.mean(axis=1)
        return np.asarray(self.signs @ self.signs.T / self.shots - np.outer(means, means))


def _unbiased(mean: NDArray, square: NDArray, shots: int, weights: NDArray) -> tuple[NDArray, NDArray]:
    """The mean, and the variance of one shot; of a single one the most that it can be."""
    spread = np.maximum(square - mean * mean, 0.0)
    return mean, spread * shots / (shots - 1) if shots > 1 else np.abs(weights).sum(axis=1) ** 2


def _only(masks: Sequence[NDArray]) -> NDArray | None:
    """The masks of the only piece that is measured, if its outcomes are few enough for tables; None otherwise."""
    measured = [mask for mask in masks if mask.shape[1]]
    return measured[0] if len(measured) == 1 and measured[0].shape[1] <= _TABLE_BITS else None


def _scheduled(
    circuit: QuantumCircuit,
    rotations: Sequence[QuantumCircuit],
    terms: ObservableTerms,
    options: SimulationOptions,
) -> list[Anatomy] | None:
    """The circuit as it is carried out with every basis change, all qubits of the observables being measured."""
    if options.schedule is None:
        return None
    measured = np.flatnonzero(terms.support.any(axis=0)).tolist()
    found = []
    for one in options.schedule.measured_in(circuit, rotations, measured):
        pause()  # each takes long where the circuit is
        found.append(dissect(one))
    return found

"""Expectation values from bases of all that commutes, each measured after a Clifford circuit of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.engine.circuits import without_final_measurements
from runner.engine.diagonal import as_read, diagonalizing, fitted
from runner.engine.estimator import EstimatorPlan
from runner.engine.grouping import COMMUTING, QUBIT_WISE, groups_of
from runner.engine.identity import digest_of
from runner.engine.matrix_product import Losses
from runner.engine.measurement import SimulationOptions
from runner.engine.observables import ObservableTerms, summed
from runner.engine.reading import Readable, TermReading
from runner.engine.readout import SampledRows

_BASES = 3
"""Seeds of the bases come from this stream of a job's seed."""


class CommutingPlan(EstimatorPlan):
    """A plan whose bases are circuits: the declared one, then the Clifford circuit that the basis takes on the device.

    Without noise exact values and gradients are those of the declared circuit; with noise, as in every shot, each basis
    has that of its own circuit.
    """

    def __init__(self, circuit: QuantumCircuit, observables: Any, options: SimulationOptions) -> None:
        super().__init__(circuit, observables, replace(options, grouping=QUBIT_WISE))
        terms = self.terms
        self.digest = digest_of(self.digest, COMMUTING)
        self._groups = groups_of(terms, COMMUTING)
        self.num_bases = max(len(self._groups), 1)
        self._plain = without_final_measurements(circuit)
        own = replace(options, grouping=QUBIT_WISE)
        made = [self._measured(group, options) for group in self._groups]
        self._circuits = [whole for whole, *_ in made]
        self._own = own
        self._turns = [(turn, places) for _, _, turn, places, _ in made]
        self._bases = [EstimatorPlan(whole, read, own) for whole, read, *_ in made]
        self.added_two_qubit_gates = tuple(count for *_, count in made)
        lengths = [plan.duration for plan in self._bases]
        self.durations = tuple(lengths)
        known = [length for length in lengths if length is not None]
        if known and len(known) == len(lengths):
            self.duration = sum(known) / len(known)
        self.unscheduled = next((plan.unscheduled for plan in self._bases if plan.unscheduled), None)

    def _measured(
        self, group: Sequence[int], options: SimulationOptions
    ) -> tuple[QuantumCircuit, ObservableTerms, QuantumCircuit, list[int], int]:
        """A basis's whole circuit, the observables' part in it as products of Z, and how it comes to be read.

        That is the Clifford circuit, where each of its qubits ends on the device, and the further two-qubit gates.
        """
        terms = self.terms
        turn = diagonalizing(terms.x[group], terms.z[group])
        read = as_read([terms.labels[term] for term in group], turn)
        own, places = fitted(turn, options.target, options.noise_model)
        placed = SparsePauliOp(read).apply_layout(places, own.num_qubits)
        signs = dict(zip(placed.paulis.to_labels(), placed.coeffs.real.tolist(), strict=True))
        sums = [
            {label: sign * weight for (label, sign), weight in zip(signs.items(), row, strict=True) if weight}
            for row in terms.coefficients[:, group].tolist()
        ]
        observables = summed(sums, own.num_qubits, (len(sums),))
        return self._plain.compose(own), observables, turn, places, own.num_nonlocal_gates()

    @property
    def nbytes(self) -> int:
        """About how much memory the plan takes."""
        return super().nbytes + sum(plan.nbytes for plan in self._bases)

    @cached_property
    def variance_bounds_by_basis(self) -> NDArray:
        """The most that the variance of one shot of each basis can be, from its products of Z; (observables, bases)."""
        if not self._bases:
            return super().variance_bounds_by_basis
        return np.stack([plan.variance_bounds for plan in self._bases], axis=1)

    @cached_property
    def variance_bounds(self) -> NDArray:
        """Their sum, (observables,)."""
        return np.asarray(self.variance_bounds_by_basis.sum(axis=1))

    @cached_property
    def _constant(self) -> NDArray:
        """What the identity adds to each observable, (S,)."""
        identity = ~self.terms.support.any(axis=1)
        return np.asarray(self.terms.coefficients[:, identity].sum(axis=1))

    @property
    def exact_method(self) -> str | None:
        """How exact values are computed: statevector, density_matrix (under the noise), …; None where they are not."""
        if not self._by_readout:
            return super().exact_method
        methods = {plan.exact_method for plan in self._bases}
        return methods.pop() if len(methods) == 1 else None

    def require(self, *, exact: bool) -> None:
        """Refuse what cannot be evaluated here, before anything is.

        Raises:
            ConfigError: noise or branches on too many qubits for exact values, or too little memory; with the size.
        """
        if self._by_readout or not exact:
            for plan in self._bases:
                plan.require(exact=exact)
        else:
            super().require(exact=exact)

    def simulation(self, shots: int | None) -> str | None:
        """How its largest noisy or branching part is simulated, and why, in words; None where there is none."""
        found = [plan.simulation(shots) for plan in self._bases]
        return next((words for words in found if words is not None), None)

    @cached_property
    def _no_gradient_because(self) -> str:
        if not self._noisy:
            return super()._no_gradient_because
        return next((why for plan in self._bases if (why := plan._no_gradient_because)), "")

    def gradient(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Exact values (*shape) and their derivatives by every parameter (*shape, P), by the adjoint method."""
        if not self._noisy or self._no_gradient_because:
            return super().gradient(values)
        rows, batch = self._rows(values)
        parts = [plan.gradient(row) for row in rows for plan in self._bases]
        evs = np.array([part[0] for part in parts]).reshape(len(rows), len(self._bases), -1).sum(axis=1)
        slopes = np.array([part[1] for part in parts]).reshape(
            len(rows), len(self._bases), evs.shape[1], rows.shape[1]
        )
        return self._spread(evs + self._constant, batch), self._spread(slopes.sum(axis=1), batch)

    def _exact(self, rows: NDArray, losses: Losses) -> NDArray:
        if not self._by_readout or self._product is not None:
            return super()._exact(rows, losses)
        values = np.broadcast_to(self._constant, (len(rows), len(self._constant))).copy()
        for plan in self._bases:
            values += plan.exact_rows(rows, losses)
        return values

    def _exact_as_read(self, rows: NDArray, losses: Losses, reading: TermReading) -> NDArray:
        if not self._by_readout or self._product is not None or not self._bases:
            return super()._exact_as_read(rows, losses, reading)
        values = np.broadcast_to(self._constant, (len(rows), len(self._constant))).copy()
        weights = self.overlaps.by_basis(reading.weights)
        for circuit, basis, part in zip(self._circuits, self.overlaps.readable, weights, strict=True):
            labels = ["".join("IZ"[bit] for bit in mask[::-1].astype(int)) for mask in basis.masks]
            sums = [dict(zip(labels, row.tolist(), strict=True)) for row in part * basis.signs]
            read = summed(sums, circuit.num_qubits, (len(sums),))
            values += EstimatorPlan(circuit, read, self._own).exact_rows(rows, losses)
        return values

    def _readable(self) -> list[Readable]:
        """All terms that a basis's Clifford circuit makes into products of Z on the qubits that are measured."""
        acting = self.terms.support.any(axis=1)
        found = []
        for group, (turn, places) in zip(self._groups, self._turns, strict=True):
            read = as_read(list(self.terms.labels), turn)
            measured = read.z[group].any(axis=0)
            chosen = np.flatnonzero(acting & ~read.x.any(axis=1) & ~read.z[:, ~measured].any(axis=1))
            masks = np.zeros((len(chosen), self._plain.num_qubits), dtype=bool)
            masks[:, places] = read.z[chosen]
            found.append(Readable(chosen, masks, 1.0 - read.phase[chosen]))
        return found

    def sampled_rows(
        self, rows: NDArray, shots: Sequence[int], seed: int, reading: TermReading | None = None
    ) -> SampledRows:
        """Parameter sets (B, P) from so many shots of each basis, which has random numbers of its own."""
        means = np.broadcast_to(self._constant, (len(rows), len(self._constant))).copy()
        variances = np.zeros_like(means)
        by_basis = np.zeros((len(self._constant), len(self._bases)))
        losses, covariances = Losses(len(rows)), []
        weights = None if reading is None else self.overlaps.by_basis(reading.weights)
        for index, (plan, count) in enumerate(zip(self._bases, shots, strict=False)):
            own = _seed_of(seed, index)
            if reading is None or weights is None:
                found = plan.sampled_rows(rows, [count], own)
            else:
                basis = self.overlaps.readable[index]
                signs = [(basis.masks, weights[index] * basis.signs)]
                found = plan.read_rows(rows, [count], own, signs, learns=reading.learns)
                covariances += [basis.signs[:, None] * one * basis.signs for one in found.covariances]
            means += found.means
            variances += found.errors**2
            by_basis[:, index] = found.variances[:, 0]
            if found.losses is not None:
                losses.worst(found.losses)
        return SampledRows(means, np.sqrt(variances), by_basis, losses, covariances)


def _seed_of(seed: int, basis: int) -> int:
    return int(
        np.random.Generator(np.random.Philox(key=[seed, _BASES], counter=[basis, 0, 0, 0])).integers(1, 2**63)
    )

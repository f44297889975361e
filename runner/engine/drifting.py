"""Expectation values under frequencies that are drawn for every batch of shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ClassicalRegister, QuantumCircuit

from runner.engine.measurement import Basis, SimulationOptions, basis_changes
from runner.engine.observables import ObservableTerms, letters_of
from runner.engine.quasi_static import QuasiStatic
from runner.engine.sampler import SamplerPlan
from runner.errors import ConfigError

_REGISTER = "outcome"


class DriftingReadout:
    """The terms of observables read off samples of one circuit for each basis; every one has draws of its own.

    Shots of one batch are no independent ones, so that standard errors come from how batches spread.

    Args:
        circuit: without measurements on the way.
        terms: of the observables.
        groups: which of them are measured together.
        noise: what is drawn.
        options: how to simulate.
    """

    has_tables = False
    differentiable = False
    no_derivatives_because = "frequencies are drawn for every batch of shots"
    nbytes = 0

    def __init__(
        self,
        circuit: QuantumCircuit,
        terms: ObservableTerms,
        groups: Sequence[Sequence[int]],
        noise: QuasiStatic,
        options: SimulationOptions,
    ) -> None:
        self._noise = noise
        self._groups = [list(group) for group in groups]
        identity = ~terms.support.any(axis=1)
        self._constant = terms.coefficients[:, identity].sum(axis=1)
        self._weights = [terms.coefficients[:, group] for group in self._groups]
        measured = np.flatnonzero(terms.support.any(axis=0)).tolist()
        self._masks = [terms.support[group][:, measured] for group in self._groups]
        bases = [Basis(letters_of(terms, group)) for group in self._groups]
        bare = _without_measurements(circuit)
        own = replace(options, grouping="qubit_wise")
        self._plans = [
            SamplerPlan(_measured(bare, rotation, measured), own)
            for rotation in basis_changes(terms.num_qubits, bases, options.target, options.noise_model)
        ]

    def require(self, *, exact: bool) -> None:
        """Refuse exact values, and states that take too much memory.

        Raises:
            ConfigError: with the reason.
        """
        if exact:
            self._refuse()
        for plan in self._plans:
            plan.require()

    def simulation(self, shots: int | None) -> str | None:
        """How the largest piece that is not a state vector is simulated, in words; None where there is none."""
        _, each = self._noise.batches(shots or self._noise.batch)
        return next((words for plan in self._plans if (words := plan.simulation(each))), None)

    def exact(self, rows: NDArray) -> NoReturn:
        """There are none.

        Raises:
            ConfigError: always.
        """
        del rows
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError(
            "has no exact values: frequencies are drawn for every batch of shots; use estimator=level0",
            key="backend.quasi_static",
        )

    def gradients(self, rows: NDArray) -> NoReturn:
        """There are none.

        Raises:
            ConfigError: always.
        """
        self.exact(rows)

    def sampled(self, rows: NDArray, shots: Sequence[int], seed: int) -> tuple[NDArray, NDArray, NDArray]:
        """Means and their standard errors, (B, S), and the variance of one shot of each basis, (S, bases).

        Variances are those of independent shots that would give the same standard errors.
        """
        sets, observables = len(rows), len(self._constant)
        means = np.broadcast_to(self._constant, (sets, observables)).copy()
        variances = np.zeros_like(means)
        by_basis = np.zeros((observables, len(self._groups)))
        for index, (plan, count) in enumerate(zip(self._plans, shots, strict=False)):
            bits = plan.run(rows, shots=count, seed=_seed_of(seed, index))[_REGISTER]
            read = bits.to_bool_array(order="little")  # (B, shots, measured)
            parity = read.astype(np.uint8) @ self._masks[index].T.astype(np.uint8) & 1
            values = (1.0 - 2.0 * parity) @ self._weights[index].T  # (B, shots, S)
            means += values.mean(axis=1)
            spread = self._spread(values, self._weights[index])
            variances += spread
            by_basis[:, index] = spread.mean(axis=0) * count
        return means, np.sqrt(variances), by_basis

    def _spread(self, values: NDArray, weights: NDArray) -> NDArray:
        """Variance (B, S) of the mean of values (B, shots, S), from how the means of batches scatter."""
        count = values.shape[1]
        batches, each = self._noise.batches(count)
        if batches == 1:  # one batch says nothing of how they spread: the most that it can be
            return np.broadcast_to(np.abs(weights).sum(axis=1) ** 2, (len(values), len(weights)))
        starts = np.arange(batches) * each
        sums = np.add.reduceat(values, starts, axis=1)  # (B, batches, S)
        sizes = np.diff(np.append(starts, count))
        off = sums - sizes[:, None] * values.mean(axis=1, keepdims=True)
        return (off**2).sum(axis=1) / count**2 * batches / (batches - 1)


def _without_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit's gates alone; what is measured in the end is measured again."""
    result = QuantumCircuit(circuit.num_qubits, global_phase=circuit.global_phase)
    for item in circuit.data:
        if item.operation.name != "measure":
            qubits = [circuit.find_bit(bit).index for bit in item.qubits]
            result.append(item.operation, qubits, copy=False)
    return result


def _measured(bare: QuantumCircuit, rotation: QuantumCircuit, qubits: Sequence[int]) -> QuantumCircuit:
    """The circuit measured in a basis, qubit by qubit in the order given."""
    result = bare.compose(rotation, bare.qubits)
    result.add_register(ClassicalRegister(max(len(qubits), 1), _REGISTER))
    for bit, qubit in enumerate(qubits):
        result.measure(qubit, bit)
    return result


def _seed_of(seed: int, basis: int) -> int:
    """Random numbers of a basis of their own."""
    return int(np.random.SeedSequence([seed, basis]).generate_state(1, np.uint64)[0] >> 1)

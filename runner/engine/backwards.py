"""Observables that are taken backwards as Pauli strings, each basis through the circuit that measures it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.engine.circuits import Anatomy
from runner.engine.measurement import Basis, SimulationOptions, basis_changes
from runner.engine.noise import confusion
from runner.engine.observables import ObservableTerms, letters_of
from runner.engine.propagation import PropagationProgram, readout_factors
from runner.errors import ConfigError, TruncationError


class Propagation:
    """Observables that are taken backwards as Pauli strings, each basis through the circuit that measures it.

    Args:
        anatomy: the circuit.
        terms: the observables.
        groups: their terms by basis.
        options: how to simulate.
        parameters: the order of values.
        gain: by how much the noise of gates and waits is amplified; that of reading is not.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        terms: ObservableTerms,
        groups: Sequence[Sequence[int]],
        options: SimulationOptions,
        parameters: Sequence[Any],
        gain: float = 1.0,
    ) -> None:
        self._terms, self._options, self._gain = terms, options, gain
        noise, layers = options.noise_model, options.layer_noise
        self._groups = [list(group) for group in groups]
        self._bases = self._groups
        self._alike = noise is None or layers is not None
        """Nothing goes wrong where a basis is changed, so that one circuit stands for all bases."""
        if self._alike:
            self._groups = [[t for group in self._groups for t in group]]
            self._circuits = [
                anatomy.circuit if layers is None else layers.noisy(_unmeasured(anatomy.circuit))
            ]
        else:
            bases = [Basis(letters_of(terms, group)) for group in groups]
            rotations = basis_changes(terms.num_qubits, bases, options.target, noise)
            if options.schedule is None:
                self._circuits = [anatomy.circuit.compose(rotation) for rotation in rotations]
            else:
                measured = np.flatnonzero(terms.support.any(axis=0)).tolist()
                self._circuits = list(options.schedule.measured_in(anatomy.circuit, rotations, measured))
        self._parameters = parameters
        self._ahead: tuple[bytes, tuple[NDArray, NDArray]] | None = None

    def foresee(self, rows: NDArray) -> None:
        """Take the observables back at parameter sets (B, P), and keep what is found for the first who asks.

        Raises:
            TruncationError: more is left out than may be.
        """
        self._ahead = None
        self._ahead = rows.tobytes(), self.values(rows)

    @cached_property
    def _programs(self) -> list[PropagationProgram]:
        limits = self._options.propagation
        noise = None if self._alike else self._options.noise_model
        return [
            PropagationProgram(one, self._parameters, limits, noise, self._gain) for one in self._circuits
        ]

    @property
    def _several(self) -> int | None:
        """The first observable of more than one string; None where there is none."""
        acting = self._terms.support.any(axis=1)
        counts = np.count_nonzero(self._terms.coefficients[:, acting], axis=1)
        return int(np.argmax(counts > 1)) if (counts > 1).any() else None

    def require(self, *, exact: bool) -> None:
        """Refuse what takes too much memory, and shots of sums, whose spread takes more than their value.

        Raises:
            ConfigError: with what to take instead.
        """
        if not exact and self._several is not None:
            raise ConfigError(
                "engine=pauli knows the spread of single Pauli strings only, and an observable has several; take "
                "estimator=exact, which is the limit of many shots"
            )
        for program in self._programs:
            program.require()

    def in_words(self) -> str:
        """How the observables are evaluated, and why."""
        layers, noise = self._options.layer_noise, self._options.noise_model
        told = "" if noise is None else ", noise and misreading being twirled"
        if layers is not None:
            told = f", damped after every layer by the noise of {layers.source} (digest {layers.text[:12]})"
            told += "" if noise is None else ", misreading being twirled"
        why = (
            "as engine=pauli says"
            if self._options.engine == "pauli"
            else "for a state vector has no room here, and a matrix product state might lose something"
        )
        return f"{self._programs[0].in_words()}{told}, {why}"

    def values(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Values and bounds on what is left out of them, (B, S) each.

        Raises:
            TruncationError: more is left out than may be.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == rows.tobytes():
            return ahead[1]
        terms = self._terms
        acting = terms.support.any(axis=1)
        found = np.tile(terms.coefficients[:, ~acting].sum(axis=1), (len(rows), 1))
        lost = np.zeros_like(found)
        for group, program in zip(self._groups, self._programs, strict=True):
            weights = terms.coefficients[:, group]
            if self._alike:
                x, z = terms.x[group], terms.z[group]
            else:
                x, z = np.zeros_like(terms.x[group]), terms.support[group]
            if self._options.noise_model is not None:
                weights = weights * self._read[group]
            values, gone = program.values(rows, x, z, weights)
            found += values
            lost += gone
        most = self._options.propagation.max_error
        largest = np.abs(terms.coefficients[:, acting]).sum(axis=1)
        if (lost > most * largest).any():
            worst = float((lost / np.where(largest, largest, 1.0)).max())
            raise TruncationError(
                f"Pauli strings left out may change an observable by {worst:.2g} of its largest value, more than the "
                f"{most:g} that they may; lower backend.pauli_threshold, raise backend.max_pauli_terms, or raise "
                "backend.max_pauli_error",
                larger=(
                    f"backend.pauli_threshold={self._options.propagation.threshold / 10:g}",
                    f"backend.max_pauli_terms={10 * self._options.propagation.max_terms}",
                ),
            )
        return found, lost

    @cached_property
    def _read(self) -> NDArray:
        """By how much misreading its qubits shrinks each term, (terms,)."""
        noise = self._options.noise_model
        each = readout_factors([confusion(noise, qubit) for qubit in range(self._terms.num_qubits)])
        return np.where(self._terms.support, each, 1.0).prod(axis=1)

    def basis_of(self, place: int) -> int:
        """The basis in which an observable of one string is measured; 0 of the identity."""
        acting = np.flatnonzero(self._terms.support.any(axis=1) & (self._terms.coefficients[place] != 0))
        return next((i for i, group in enumerate(self._bases) if len(acting) and acting[0] in group), 0)

    def drawn(
        self, place: int, value: float, every: Sequence[int], generator: np.random.Generator
    ) -> tuple[float, float]:
        """Mean and standard error of an observable of one string from as many shots as its basis has."""
        terms = self._terms
        acting = np.flatnonzero(terms.support.any(axis=1) & (terms.coefficients[place] != 0))
        if not len(acting):
            return value, 0.0
        scale = float(terms.coefficients[place, acting[0]])
        rest = float(terms.coefficients[place].sum()) - scale
        shots = every[self.basis_of(place)]
        chance = min(max((1 + (value - rest) / scale) / 2, 0.0), 1.0)
        mean = 2 * generator.binomial(shots, chance) / shots - 1
        spread = math.sqrt(max(1 - mean * mean, 0.0) / (shots - 1)) if shots > 1 else 1.0
        return scale * mean + rest, abs(scale) * spread


def _unmeasured(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without its measurements, which are final ones."""
    result = circuit.copy_empty_like()
    for item in circuit.data:
        if item.operation.name != "measure":
            result._append(item)
    return result

"""Quantum Krylov energies from overlaps in time, measured without a controlled evolution (Klymko et al. 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.skqd import Krylov
from runner.declare.checks import require_range
from runner.errors import ConfigError
from runner.run.answer import MEASURED, TRUNCATED, worth
from runner.run.problem import Reference, fit
from runner.run.results import Outcome
from runner.subspace.krylov import (
    Spectrum,
    by_flips,
    conserved,
    contrast,
    energy_of_overlaps,
    numbers_of,
    spectrum,
)

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.run.context import Lab
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

DRAWS = 200
"""Sets of overlaps, drawn with their shot noise, that the standard error is taken from."""


@dataclass(frozen=True)
class Overlaps:
    """What measures ⟨ψ|Uᵏ|ψ⟩."""

    pairs: list[tuple[QuantumCircuit, QuantumCircuit]]
    """For k = 1, 2, …: ISA circuits of its real and its imaginary part."""
    qubit: int
    """The one that tells it, where all others are 0."""
    energies: Spectrum
    """The energy of the state without ones, which overlaps are measured against."""
    reference: Reference
    """The exact energy, where it is known."""


@dataclass(kw_only=True)
class KrylovOverlaps(Krylov):
    """One Sampler job of two circuits for each overlap ⟨ψ|Uᵏ|ψ⟩: (|0…0⟩ + |ψ⟩)/√2 evolves, nothing is controlled."""

    name: str = "krylov"
    """Name of the experiment."""
    threshold: float | None = None
    """Eigenvalues below this of the matrix of d × d overlaps, whose trace is d, are noise; null: √(d/shots)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is not None:
            require_range("experiment.threshold", self.threshold, 0, self.dimension)

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> Overlaps:  # noqa: ARG002
        """Both circuits of every overlap, and the exact energy.

        Raises:
            ConfigError: the Hamiltonian does not keep the number of ones, the start has none, or the step is so long
                that two energies look alike.
        """
        hamiltonian = config.hamiltonian.build()
        bits = self.bits(hamiltonian)
        if not conserved(hamiltonian):
            raise ConfigError(
                "does not keep the number of ones, and overlaps are measured against the state without any; "
                "choose heisenberg, xxz, hubbard, siam or a molecule, or experiment=skqd",
                key="hamiltonian",
            )
        if not any(bits):
            raise ConfigError(
                "has no ones, and overlaps are measured against that state", key="experiment.initial_state"
            )
        energies = spectrum(hamiltonian, sum(bits))
        if self.step * energies.farthest >= math.pi:
            raise ConfigError(
                f"is too long to tell energies apart that may be {energies.farthest:.4g} away; "
                f"take less than {math.pi / energies.farthest:.3g}",
                key="experiment.step",
            )
        ordered = by_flips(hamiltonian)
        pairs = []
        for number in range(1, self.dimension + 1):
            circuits = [
                fit(self.overlap(bits, ordered, number, imaginary=part), backend, config)
                for part in (False, True)
            ]
            if backend.planner is not None:
                for circuit in circuits:
                    backend.planner.sampler_plan(circuit)
            pairs.append((circuits[0], circuits[1]))
        return Overlaps(pairs, bits.index(1), energies, Reference.of(config.hamiltonian, hamiltonian))

    def overlap(
        self, bits: tuple[int, ...], hamiltonian: SparsePauliOp, number: int, *, imaginary: bool
    ) -> QuantumCircuit:
        """Measures Re or Im of e^(iE₀kt)⟨ψ|Uᵏ|ψ⟩, E₀ being the energy of |0…0⟩: ⟨X⟩ or ⟨Y⟩ of ψ's first one."""
        from qiskit import QuantumCircuit

        first, *others = [qubit for qubit, bit in enumerate(bits) if bit]
        circuit = QuantumCircuit(len(bits))
        circuit.h(first)
        for other in others:
            circuit.cx(first, other)
        circuit = self.evolved(circuit, hamiltonian, number)
        for other in others:
            circuit.cx(first, other)
        if imaginary:
            circuit.sdg(first)
        circuit.h(first)
        circuit.measure_all()
        return circuit

    def run(self, lab: Lab) -> Outcome:
        """Measure one overlap after the other; one row for the energy in the span of all states so far."""
        prepared: Overlaps = lab.prepared
        stream = lab.stream("krylov")
        exact = prepared.reference.energy
        overlaps, spreads = [1.0 + 0j], [0j]
        energy = stddev = None
        kind = MEASURED
        for pair in prepared.pairs:
            results = stream.sample(*((circuit,) for circuit in pair), shots=self.shots)
            if lab.rehearsing:
                continue
            (real, off), (imaginary, off_too) = (
                contrast(numbers_of(part.data.meas.to_bool_array()), prepared.qubit) for part in results
            )
            lost = 2 * (lab.left_out.distance("krylov") or 0.0)  # of the difference of two probabilities
            told = worth(MEASURED, min(off, off_too), lost) == TRUNCATED
            kind = TRUNCATED if told else kind
            overlaps.append(complex(real, imaginary))
            spreads.append(complex(off, off_too))
            shots = results[0].data.meas.num_shots
            energy, stddev, rank = self.lowest(overlaps, spreads, shots, stream.rng)
            energy = None if energy is None else energy + prepared.energies.vacuum
            lab.row(
                dimension=len(overlaps) - 1, time=(len(overlaps) - 1) * self.step, energy=energy, stddev=stddev,
                exact=exact, error=None if exact is None or energy is None else energy - exact, rank=rank,
                real=real, imaginary=imaginary, **({"overlap truncation": lost} if told else {}),
            )  # fmt: skip
        return Outcome(
            energy=energy,
            stddev=stddev,
            energy_kind=kind,
            reference_energy=exact,
            reference_note=prepared.reference.note,
            evaluations=self.dimension,
            stop_reason=f"{self.dimension} overlaps",
            table=lab.table,
        )

    def lowest(
        self, overlaps: list[complex], spreads: list[complex], shots: int, rng: np.random.Generator
    ) -> tuple[float | None, float | None, int]:
        """The lowest energy, its standard error, and how many dimensions it is from; energies as phases have them.

        Args:
            overlaps: ⟨ψ|Uᵏ|ψ⟩ as measured, k = 0 … d.
            spreads: standard errors of their real and imaginary parts.
            shots: of each circuit.
            rng: draws overlaps that might have been measured as well.
        """
        import numpy as np

        size = len(overlaps) - 1
        threshold = math.sqrt(size / shots) if self.threshold is None else self.threshold
        found = energy_of_overlaps(overlaps, self.step, threshold)
        if found is None:
            return None, None, 0
        centre, spread = np.array(overlaps), np.array(spreads)
        drawn = rng.normal(size=(DRAWS, 2, len(overlaps)))
        others = [
            energy_of_overlaps(
                centre + real * spread.real + 1j * imaginary * spread.imag, self.step, threshold
            )
            for real, imaginary in drawn
        ]
        energies = [other[0] for other in others if other is not None]
        return found[0], float(np.std(energies)) if len(energies) > 1 else None, found[1]

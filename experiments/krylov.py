"""Quantum Krylov energies from overlaps in time, measured without a controlled evolution (Klymko et al. 2022)."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.skqd import Krylov
from runner.declare.checks import require_range
from runner.display.words import counted
from runner.errors import ConfigError
from runner.run.answer import MEASURED, TRUNCATED, worth
from runner.run.experiment import FirstJob
from runner.run.problem import Reference, fit
from runner.run.results import Outcome
from runner.subspace.krylov import (
    PhaseEnergy,
    Spectrum,
    by_flips,
    conserved,
    contrast,
    energy_of_overlaps,
    lowest_within,
    noise_norm,
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
SAFETY = 2.0
"""Times the norm of the noise is the threshold: the largest of many draws is seldom above."""
ALIKE = 2.0
"""Times the smallest error bar, up to which a larger subspace is preferred."""

SHOWN = 0.97
"""Share of the lowest state's phases in the span, below which noise hides that state."""
HIDDEN = (
    "; noise hides the lowest state, of which the start has too little, and the energy is of a higher one: "
    "take another experiment.initial_state or more shots"
)
"""What is said where the energy is compared with none."""
UNTOLD = (
    "; noise of the device or of shots leaves no energy in them: take a backend with less noise or more shots, "
    "or experiment=skqd, which sifts it out"
)
"""What is said where no row has an energy."""


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
    keeps_electrons: bool
    """Evolution keeps the number of electrons of either spin."""
    magnitude: float
    """Sum of the Hamiltonian's |coefficients|."""


@dataclass(kw_only=True)
class KrylovOverlaps(Krylov):
    """One Sampler job of two circuits for each overlap ⟨ψ|Uᵏ|ψ⟩: (|0…0⟩ + |ψ⟩)/√2 evolves, nothing is controlled."""

    name: str = "krylov"
    """Name of the experiment."""
    threshold: float | None = None
    """Eigenvalues below this of the matrix of d × d overlaps, whose trace is d, are noise; null: twice the
    mean spectral norm of what their standard errors are in it."""

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
        if config.backend.trajectories is not None:
            raise ConfigError(
                "share draws of noise among shots, which standard errors of overlaps do not count; leave it out",
                key="backend.trajectories",
            )
        hamiltonian = config.hamiltonian.build()
        bits = self.bits(hamiltonian)
        sets = conserved(hamiltonian)
        if not sets:
            raise ConfigError(
                "does not keep the number of ones, and overlaps are measured against the state without any; "
                "choose heisenberg, xxz, hubbard, siam or a molecule, or experiment=skqd",
                key="hamiltonian",
            )
        if not any(bits):
            raise ConfigError(
                "has no ones, and overlaps are measured against that state", key="experiment.initial_state"
            )
        self.check_rotations(hamiltonian, 2 * sum(range(self.dimension + 1)))
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
            pairs.append((circuits[0], circuits[1]))
        if backend.planner is not None:
            for circuit in pairs[-1]:  # the longest: whatever is refused of another is refused of it
                backend.planner.sampler_plan(circuit)
        reference = self.reference(config, hamiltonian, bits)
        magnitude = float(abs(hamiltonian.coeffs).sum())
        return Overlaps(pairs, bits.index(1), energies, reference, len(sets) > 1, magnitude)

    def magnitude(self, prepared: Overlaps, problem: Problem | None) -> float:  # noqa: ARG002
        """The Hamiltonian's."""
        return prepared.magnitude

    def lowest_of(self, hamiltonian: SparsePauliOp, states: np.ndarray, start: int) -> float | None:
        """The lowest one that the start has a part in."""
        return lowest_within(hamiltonian, states, start)

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

    def first_job(self, config: RunConfig, prepared: Overlaps, backend: Backend) -> FirstJob:  # noqa: ARG002
        """Both parts of the first overlap."""
        pair = [(circuit,) for circuit in prepared.pairs[0]]
        return FirstJob(what="one overlap", pubs=lambda _: pair, program="sampler", shots=self.shots)

    def run(self, lab: Lab) -> Outcome:
        """Measure one overlap after the other; one row for the energy in the span of all states so far."""
        prepared: Overlaps = lab.prepared
        stream = lab.stream("krylov")
        exact = prepared.reference.energy
        overlaps, spreads = [1.0 + 0j], [0j]
        found: list[Found] = []
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
            energy, stddev, lowest = self.lowest(overlaps, spreads, stream.rng)
            if energy is not None and not prepared.energies.tells(energy, stddev, self.step):
                energy = stddev = None
            if energy is not None:
                energy += prepared.energies.vacuum
                hidden = (
                    exact is not None
                    and lowest is not None
                    and lowest.share_of(exact - prepared.energies.vacuum, self.step) < SHOWN
                )
                bar = math.inf if stddev is None else stddev
                found.append(Found(len(overlaps) - 1, energy, bar, hidden=hidden))
            # with the phase of the state without ones, which is measured against
            full = overlaps[-1] * cmath.exp(-1j * prepared.energies.vacuum * (len(overlaps) - 1) * self.step)
            lab.row(
                dimension=len(overlaps) - 1, time=(len(overlaps) - 1) * self.step, energy=energy, stddev=stddev,
                exact=exact, error=None if exact is None or energy is None else energy - exact,
                rank=0 if lowest is None else lowest.rank,
                real=full.real, imaginary=full.imag, **({"overlap truncation": lost} if told else {}),
            )  # fmt: skip
        best = most_certain(found)
        return Outcome(
            energy=best.energy if best else None,
            stddev=best.stddev if best else None,
            energy_kind=kind,
            sampled=True,
            reference_energy=None if best and best.hidden else exact,
            reference_note=None if best and best.hidden else prepared.reference.note,
            outside_sector=0.0 if prepared.keeps_electrons else None,
            stop_reason=counted(self.dimension, "overlap")
            + (best.in_words(self.dimension) if best else UNTOLD),
            table=lab.table,
        )

    def lowest(
        self, overlaps: list[complex], spreads: list[complex], rng: np.random.Generator
    ) -> tuple[float | None, float | None, PhaseEnergy | None]:
        """The lowest energy, its error bar, and what it is from; energies as phases have them.

        The bar is of shot noise, by draws in as many dimensions, and of what the span leaves out of the state.

        Args:
            overlaps: ⟨ψ|Uᵏ|ψ⟩ as measured, k = 0 … d.
            spreads: standard errors of their real and imaginary parts.
            rng: draws overlaps that might have been measured as well.
        """
        import numpy as np

        centre, spread = np.array(overlaps), np.array(spreads)
        drawn = rng.normal(size=(DRAWS, 2, len(overlaps)))
        noise = drawn[:, 0] * spread.real + 1j * drawn[:, 1] * spread.imag
        threshold = SAFETY * noise_norm(noise[:, :-1]) if self.threshold is None else self.threshold
        found = energy_of_overlaps(overlaps, self.step, threshold)
        if found is None:
            return None, None, None
        drawn_again = [energy_of_overlaps(centre + one, self.step, rank=found.rank) for one in noise]
        others = [other for other in drawn_again if other is not None]
        if len(others) < 2:
            return found.energy, None, found
        spread_of_energy = np.std([other.energy for other in others])
        # r² is known no better than |λ|² is: noise may bring |λ| to 1, or beyond, of a state that is no eigenstate.
        off = np.std([other.modulus**2 for other in others]) / self.step**2
        return found.energy, math.sqrt(spread_of_energy**2 + found.uncertainty**2 + off), found


@dataclass(frozen=True)
class Found:
    """The energy of a row, and how sure it is."""

    dimension: int
    """Of the Krylov subspace."""
    energy: float
    """In the Hamiltonian's unit."""
    stddev: float
    """Its error bar."""
    hidden: bool = False
    """Noise hides the lowest state, so that the energy is of a higher one."""

    def in_words(self, last: int) -> str:
        """Which row it is, where that is not the last, and that it is of a higher state."""
        which = "" if self.dimension == last else f"; the energy is that of dimension {self.dimension}"
        return which + (HIDDEN if self.hidden else "")


def most_certain(found: Sequence[Found]) -> Found | None:
    """The largest dimension whose error bar is at most twice the smallest; None where no bar is known."""
    least = min((one.stddev for one in found), default=math.inf)
    alike = [one for one in found if one.stddev <= ALIKE * least]
    return alike[-1] if math.isfinite(least) else None

"""Sample-based quantum diagonalization: shots choose configurations (Robledo-Moreno et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runner.ansatz.lucj import subspaces
from runner.declare.checks import require_integer, require_positive, require_range
from runner.declare.estimator import MAX_SHOTS
from runner.display.words import clock, energy_number
from runner.errors import ConfigError
from runner.hamiltonian.integrals import Integrals
from runner.run.experiment import FORMAT, Experiment, FirstJob
from runner.run.problem import declared_circuit, fit
from runner.run.results import Outcome
from runner.subspace.electrons import Among, Recovery, full, ladder, recover, require, seconds, valid
from runner.subspace.extrapolation import to_no_variance
from runner.subspace.samples import EarlierSamples, samples_of_run

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

OTHER_SPIN = 0.5
"""Difference of ⟨S²⟩ from which on states are not of one kind, and on no line."""


@dataclass(frozen=True)
class SampledElectrons:
    """What is sampled, or was, and what the energy is to be compared with."""

    integrals: Integrals
    """The electrons."""
    circuit: QuantumCircuit | None
    """ISA circuit with measurements; None where an earlier run's shots are taken."""
    earlier: EarlierSamples | None
    """These."""
    exact: float | None
    """Energy of full configuration interaction; None where there are too many determinants."""


@dataclass(kw_only=True)
class Sqd(Experiment):
    """Sampler jobs of one circuit; the lowest state among the configurations that they name, and others near them."""

    name: str = "sqd"
    """Name of the experiment."""
    jobs: int = 4
    """Sampler jobs of the circuit, all in the one session."""
    shots: int | None = None
    """Shots of each job; null: the estimator's default_shots."""
    samples: str = ""
    """run:NAME or run:PATH takes the shots of that run in place of jobs, so that they are paid for once."""
    samples_per_batch: int = 300
    """Configurations drawn for each subspace."""
    batches: int = 3
    """Subspaces diagonalized in each iteration."""
    iterations: int = 10
    """Most iterations of configuration recovery."""
    max_strings: int = 1000
    """Most configurations of one spin in a subspace, whose dimension is at most the square of it."""
    carryover: float = 1e-4
    """Amplitude above which a configuration is in the subspaces of the next iteration, too."""
    energy_tolerance: float = 1e-8
    """Recovery ends where the energy changes by less, in the Hamiltonian's unit, and …"""
    occupancy_tolerance: float = 1e-5
    """… no orbital's occupancy changes by more."""
    symmetrize: bool = True
    """Both spins have the same configurations; only for as many electrons of either spin."""
    sizes: list[float] = field(default_factory=lambda: [0.25, 0.5, 0.75, 1.0])
    """Shares of the last subspace's configurations of each spin, by weight, for the energy against its dimension."""
    longest: float = 24.0
    """Hours of diagonalization on this computer, by estimate, above which a run is refused."""

    needs_problem: ClassVar[bool] = False
    ignores: ClassVar[tuple[str, ...]] = ("optimizer", "gradient")
    only_samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.shots is not None:
            require_integer("experiment.shots", self.shots, 1, MAX_SHOTS)
        for name, most in (
            ("jobs", 10_000), ("samples_per_batch", 10**7), ("batches", 1000), ("iterations", 1000),
            ("max_strings", 10**7),
        ):  # fmt: skip
            require_integer(f"experiment.{name}", getattr(self, name), 1, most)
        for name in ("carryover", "energy_tolerance", "occupancy_tolerance", "longest"):
            require_positive(f"experiment.{name}", getattr(self, name))
        if self.samples and not self.samples.removeprefix("run:"):
            raise ConfigError("names nothing; write run:<name of a run>", key="experiment.samples")
        if self.samples and not self.samples.startswith("run:"):
            raise ConfigError(
                f"must be run:NAME, got {self.samples!r}; write run: before it", key="experiment.samples"
            )
        for index, share in enumerate(self.sizes):
            require_range(f"experiment.sizes[{index}]", share, 0, 1)
        if sorted({*self.sizes, 1.0}) != self.sizes:
            raise ConfigError(
                f"must rise and end with 1, got {self.sizes}; write e.g. [0.5, 1]", key="experiment.sizes"
            )

    @property
    def own_shots(self) -> int | None:
        """As declared."""
        return self.shots

    def magnitude(self, prepared: SampledElectrons, problem: Problem | None) -> float:  # noqa: ARG002
        """That of the integrals, which no energy of these electrons is larger than."""
        found = prepared.integrals
        return (
            abs(found.constant) + 2 * float(abs(found.one_body).sum()) + 2 * float(abs(found.two_body).sum())
        )

    def sampled_circuit(self, prepared: SampledElectrons) -> QuantumCircuit | None:
        """The one there is; None where an earlier run's shots are taken."""
        return prepared.circuit

    def first_job(self, config: RunConfig, prepared: SampledElectrons, backend: Backend) -> FirstJob | None:  # noqa: ARG002
        """The first that samples."""
        return FirstJob.samples(prepared.circuit, self.shots)

    @property
    def recovery(self) -> Recovery:
        """How configurations become subspaces."""
        return Recovery(
            samples_per_batch=self.samples_per_batch,
            batches=self.batches,
            iterations=self.iterations,
            max_strings=self.max_strings,
            energy_tolerance=self.energy_tolerance,
            occupancy_tolerance=self.occupancy_tolerance,
            carryover=self.carryover,
            symmetrize=self.symmetrize,
        )

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> SampledElectrons:  # noqa: ARG002
        """The measured circuit, or the earlier run's shots, and the energy of full configuration interaction.

        Raises:
            ConfigError: these are no electrons over orbitals, the circuit does not fit, or the subspaces would take
                more memory or time than there is.
        """
        subspaces()
        integrals = config.hamiltonian.integrals()
        if integrals is None:
            raise ConfigError(
                f"{config.hamiltonian.name} has no integrals over orbitals, which sqd needs; type "
                "hamiltonian=hydrogen, or hamiltonian=molecule hamiltonian.geometry='Li 0 0 0; H 0 0 1.6'",
                key="hamiltonian",
            )
        if integrals.mapper != "jordan_wigner":
            raise ConfigError(
                f"is {integrals.mapper}, and sqd needs an orbital on every qubit; "
                "type hamiltonian.mapper=jordan_wigner",
                key="hamiltonian.mapper",
            )
        self.check_size(integrals)
        if self.samples:
            earlier = samples_of_run(self.samples, 2 * integrals.orbitals)
            return SampledElectrons(integrals, None, earlier, full(integrals))
        circuit = config.ansatz.of_electrons(integrals)
        if circuit is None:
            circuit, values = declared_circuit(config)
            circuit = circuit.assign_parameters(values)
        circuit.measure_all()
        fitted = fit(circuit, backend, config)
        if backend.planner is not None:
            backend.planner.sampler_plan(fitted)
        return SampledElectrons(
            integrals, fitted, None, full(integrals)
        )  # last: what is refused is so at once

    def check_size(self, integrals: Integrals) -> None:
        """Refuse what would take too much memory or time.

        Raises:
            ConfigError: it would, or both spins cannot have the same configurations.
        """
        up, down = integrals.electrons
        if self.symmetrize and up != down:
            raise ConfigError(
                f"is for N↑ = N↓, and here N↑={up}, N↓={down}; set it to false", key="experiment.symmetrize"
            )
        require(integrals, self.max_strings)
        needed = self.seconds_of(integrals)
        if needed > 3600 * self.longest:
            raise ConfigError(
                f"subspaces of so many take up to {clock(needed)} here by estimate, and experiment.longest is "
                f"{self.longest:g} h; lower it, or raise that",
                key="experiment.max_strings",
            )

    def seconds_of(self, integrals: Integrals) -> float:
        """What its diagonalizations take at most."""
        return seconds(integrals, self.max_strings, self.iterations * self.batches + len(self.sizes))

    def seconds_afterwards(self, prepared: SampledElectrons) -> float:
        """Its diagonalizations."""
        return self.seconds_of(prepared.integrals)

    def circuit_of(self, config: RunConfig, result: Values) -> QuantumCircuit:
        """The one that is sampled.

        Raises:
            ConfigError: an earlier run's shots were taken.
        """
        if self.samples:
            raise ConfigError(f"its shots are those of {self.samples}; export that run", key=FORMAT)
        integrals = config.hamiltonian.integrals()
        found = None if integrals is None else config.ansatz.of_electrons(integrals)
        return super().circuit_of(config, result) if found is None else found

    def run(self, lab: Lab) -> Outcome:
        """Sample, recover, and one row for every size of the subspace; recovery's iterations are events."""
        import numpy as np

        prepared: SampledElectrons = lab.prepared
        stream = lab.stream("sqd")
        bits = np.concatenate([job.to_bool_array() for job in self.sampled(lab, stream, prepared)])
        if lab.rehearsing:
            return Outcome(energy=None)
        integrals = prepared.integrals
        found = recover(integrals, bits, self.recovery, stream.rng, stream.iteration)
        right = valid(integrals, bits)
        counts = {"configurations": len(np.unique(bits[right], axis=0)), "valid": float(right.mean())}
        parts: list[Among] = []
        for part in ladder(integrals, found.sci_state, self.sizes, symmetrize=self.symmetrize):
            parts.append(part)
            alike = [each for each in parts if abs(each.spin_square - part.spin_square) < OTHER_SPIN]
            extrapolated = to_no_variance([(each.variance, each.energy) for each in alike])
            lab.row(
                dimension=part.dimension, energy=part.energy, exact=prepared.exact,
                error=None if prepared.exact is None else part.energy - prepared.exact,
                variance=part.variance, spin_square=part.spin_square, **counts,
                occupancies=[sum(both) for both in zip(*part.occupancies, strict=True)],
                extrapolated=extrapolated and extrapolated[0],
                **{"extrapolated stddev": extrapolated and extrapolated[1]},
            )  # fmt: skip
        return Outcome(
            energy=part.energy,
            energy_kind="exact",
            reference_energy=prepared.exact,
            reference_note=None if prepared.exact is None else self.note(integrals),
            outside_sector=0.0,
            iterations=stream.iterations,
            stop_reason=self.told(stream.iterations, part, extrapolated),
            table=lab.table,
        )

    def sampled(self, lab: Lab, stream: JobStream, prepared: SampledElectrons) -> Sequence[Any]:
        """The shots of every job, or those of the earlier run."""
        if prepared.earlier is not None:
            lab.take(**prepared.earlier.describe())
            return prepared.earlier.jobs
        return [stream.sample((prepared.circuit,), shots=self.shots)[0].data.meas for _ in range(self.jobs)]

    def note(self, integrals: Integrals) -> str:
        """Where the energy to compare with comes from."""
        up, down = integrals.electrons
        return f"full configuration interaction, sector N↑={up}, N↓={down}"

    def told(self, iterations: int, last: Among, extrapolated: tuple[float, float] | None) -> str:
        """How recovery ended, and where the energy goes without variance."""
        ended = "converged after" if iterations < self.iterations else "all"
        words = f"{ended} {iterations} iterations, dimension {last.dimension}"
        if not last.converged:
            words += "; its diagonalization did not converge, a lower state may be in it"
        if extrapolated is None:
            return words
        return (
            f"{words}; extrapolated to no variance {energy_number(extrapolated[0])} ± {extrapolated[1]:.1g}"
        )

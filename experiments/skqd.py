"""Sample-based Krylov diagonalization: shots of evolved states name the basis states (Yu et al. 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.dynamics import ORDERS, trotterized
from runner.declare.checks import require_integer, require_positive
from runner.declare.estimator import MAX_SHOTS
from runner.display.words import RESIDUE, counted, grouped
from runner.errors import ConfigError
from runner.hamiltonian.lattice import product_state
from runner.hamiltonian.physics import physics_of
from runner.hamiltonian.scale import size
from runner.hamiltonian.sector import MAX_STATES
from runner.run.experiment import Experiment, FirstJob
from runner.run.problem import DECLARED, Reference, fit
from runner.run.results import Outcome
from runner.subspace.krylov import by_flips, conserved, energy_among, kept, numbers_of, reached, require
from runner.subspace.samples import EarlierSamples, samples_of_run

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend


FEW_QUBITS = 20
"""Up to so many all states are gone through."""
SAME = 1e-6
"""Of the Hamiltonian's size, up to which a declared energy, which may be rounded, is a computed one."""
ROTATIONS = {1: 1, 2: 2, 4: 10}
"""Order of a product formula → rotations of a step for each term."""
MAX_ROTATIONS = 1_000_000
"""Of all circuits together, which are written down beforehand: some minutes and gigabytes."""


def number_of(bits: Sequence[int]) -> int:
    """A basis state, qubit 0 first, as its number."""
    return sum(bit << qubit for qubit, bit in enumerate(bits))


@dataclass(frozen=True)
class KrylovStates:
    """What is evolved and sampled, or was."""

    hamiltonian: SparsePauliOp
    """On logical qubits."""
    start: int
    """The initial basis state, by its number."""
    circuits: list[QuantumCircuit]
    """ISA circuits with measurements, one for each Krylov state; empty where an earlier run's shots are taken."""
    earlier: EarlierSamples | None
    """These."""
    reference: Reference
    """The exact energy, where it is known."""


@dataclass(kw_only=True)
class Krylov(Experiment):
    """What experiments on states exp(−iHkt)|ψ⟩, k = 0, 1, 2 …, have in common; |ψ⟩ is a product state."""

    dimension: int = 8
    """Number of Krylov states."""
    step: float = 0.2
    """Time t from one to the next, in 1/unit of the Hamiltonian."""
    trotter_steps: int = 2
    """Trotter steps from one to the next."""
    order: int = 2
    """Order of the product formula: 1 | 2 | 4."""
    initial_state: str = ""
    """Bits of the product state, qubit 0 last; empty: the Hamiltonian's own (Néel, Hartree–Fock)."""
    shots: int | None = None
    """Shots of each circuit; null: the estimator's default_shots."""

    needs_problem: ClassVar[bool] = False
    ignores: ClassVar[tuple[str, ...]] = ("ansatz", "optimizer", "gradient")
    only_samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_integer("experiment.dimension", self.dimension, 1, 1000)
        require_positive("experiment.step", self.step)
        require_integer("experiment.trotter_steps", self.trotter_steps, 1, 10_000)
        if self.order not in ORDERS:
            raise ConfigError(f"must be 1, 2 or 4, got {self.order}; choose one", key="experiment.order")
        if set(self.initial_state) - {"0", "1"}:
            raise ConfigError(
                f"must be zeros and ones, got {self.initial_state!r}; write e.g. '0101'",
                key="experiment.initial_state",
            )
        if self.shots is not None:
            require_integer("experiment.shots", self.shots, 1, MAX_SHOTS)

    @property
    def own_shots(self) -> int | None:
        """As declared."""
        return self.shots

    def bits(self, hamiltonian: SparsePauliOp) -> tuple[int, ...]:
        """The initial state, qubit 0 first.

        Raises:
            ConfigError: none is declared and the Hamiltonian has none, or its size is another.
        """
        declared = (
            tuple(int(bit) for bit in reversed(self.initial_state)) or physics_of(hamiltonian).reference_state
        )
        if declared is None:
            raise ConfigError("this hamiltonian has none of its own; give it", key="experiment.initial_state")
        if len(declared) != hamiltonian.num_qubits:
            raise ConfigError(
                f"has {len(declared)} bits, the hamiltonian {hamiltonian.num_qubits} qubits; make them equal",
                key="experiment.initial_state",
            )
        return declared

    def reference(self, config: RunConfig, hamiltonian: SparsePauliOp, bits: tuple[int, ...]) -> Reference:
        """The lowest energy that evolution from a basis state leads to; none where that is not known.

        That is the Hamiltonian's own where nothing keeps the start from it.
        """
        start = number_of(bits)
        whole = Reference.of(config.hamiltonian, hamiltonian)
        states = self.leads_to(config, hamiltonian, start)
        if states is None:
            # of so many only what is known of the Hamiltonian's own start can be told
            own = physics_of(hamiltonian).reference_state
            return whole if own is not None and number_of(own) == start else Reference(None, None)
        energy = self.lowest_of(hamiltonian, states, start)
        if energy is None:
            return Reference(None, None)
        near = SAME * size(hamiltonian) if whole.note == DECLARED else 0.0
        near = max(near, RESIDUE * float(abs(hamiltonian.coeffs).sum()))
        if whole.energy is not None and abs(energy - whole.energy) <= near:
            return whole
        count = grouped(len(states))
        return Reference(
            energy, f"exact diagonalization, of the {count} states that the initial one leads to"
        )

    def leads_to(self, config: RunConfig, hamiltonian: SparsePauliOp, start: int) -> np.ndarray | None:  # noqa: ARG002
        """Numbers of the basis states that results may be of; None where they are too many to tell."""
        return reached(hamiltonian, start)

    def lowest_of(self, hamiltonian: SparsePauliOp, states: np.ndarray, start: int) -> float | None:
        """The lowest energy among the states that the start leads to."""
        del start
        return energy_among(hamiltonian, states)

    def check_rotations(self, hamiltonian: SparsePauliOp, steps: int) -> None:
        """Refuse circuits that take too long to be written down.

        Args:
            hamiltonian: what evolves them.
            steps: times `experiment.step`, of all circuits together.

        Raises:
            ConfigError: with the number of their rotations.
        """
        rotations = len(hamiltonian) * ROTATIONS[self.order] * steps * self.trotter_steps
        if rotations > MAX_ROTATIONS:
            raise ConfigError(
                f"makes circuits of {grouped(rotations)} rotations together, more than {grouped(MAX_ROTATIONS)}; "
                "lower it, experiment.dimension or experiment.order",
                key="experiment.trotter_steps",
            )

    def evolved(self, start: QuantumCircuit, hamiltonian: SparsePauliOp, number: int) -> QuantumCircuit:
        """The start after so many times the step."""
        return trotterized(start, hamiltonian, number * self.step, number * self.trotter_steps, self.order)


@dataclass(kw_only=True)
class Skqd(Krylov):
    """One Sampler job for each Krylov state; the lowest energy among all basis states that shots have named so far."""

    name: str = "skqd"
    """Name of the experiment."""
    samples: str = ""
    """run:NAME or run:PATH takes the shots of that run in place of jobs, so that they are paid for once."""
    postselect: bool = True
    """Leave out shots in which noise has changed what the Hamiltonian conserves: electrons of a spin, ones of all."""
    max_states: int = 50_000
    """Most basis states of the subspace; of more, those that occurred most often."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("experiment.max_states", self.max_states, 1, 10**8)
        if self.samples and not self.samples.removeprefix("run:").strip():
            raise ConfigError("names nothing; write run:<name of a run>", key="experiment.samples")
        if self.samples and not self.samples.startswith("run:"):
            raise ConfigError(
                f"must be run:NAME, got {self.samples!r}; write run: before it", key="experiment.samples"
            )

    def leads_to(self, config: RunConfig, hamiltonian: SparsePauliOp, start: int) -> np.ndarray | None:
        """Those that noise leads to, too, where there may be some, unless shots of them are left out."""
        import numpy as np

        quiet = config.backend.name == "ideal" and not config.backend.noisy and not self.samples
        if quiet or hamiltonian.num_qubits > FEW_QUBITS:
            return reached(hamiltonian, start) if quiet else None
        states = np.arange(1 << hamiltonian.num_qubits)
        states = states[kept(states, conserved(hamiltonian) if self.postselect else [], start)]
        return states if len(states) <= MAX_STATES else None

    def magnitude(self, prepared: KrylovStates, problem: Problem | None) -> float:  # noqa: ARG002
        """The Hamiltonian's."""
        return float(abs(prepared.hamiltonian.coeffs).sum())

    def sampled_circuit(self, prepared: KrylovStates) -> QuantumCircuit | None:
        """The longest; None where an earlier run's shots are taken."""
        return prepared.circuits[-1] if prepared.circuits else None

    def first_job(self, config: RunConfig, prepared: KrylovStates, backend: Backend) -> FirstJob | None:  # noqa: ARG002
        """The sampling of the first state."""
        return FirstJob.samples(prepared.circuits[0] if prepared.circuits else None, self.shots)

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> KrylovStates:  # noqa: ARG002
        """The measured circuits, or the earlier run's shots, and the exact energy.

        Raises:
            ConfigError: the Hamiltonian or the start does not fit, or the subspace would take too much memory.
        """
        hamiltonian = config.hamiltonian.build()
        bits = self.bits(hamiltonian)
        require(
            hamiltonian, min(self.max_states, 1 << min(hamiltonian.num_qubits, 62)), "experiment.max_states"
        )
        ordered = by_flips(hamiltonian)
        start = number_of(bits)
        reference = self.reference(config, hamiltonian, bits)
        if self.samples:
            earlier = samples_of_run(self.samples, hamiltonian.num_qubits)
            return KrylovStates(hamiltonian, start, [], earlier, reference)
        self.check_rotations(hamiltonian, sum(range(self.dimension)))
        circuits = []
        for number in range(self.dimension):
            circuit = self.evolved(product_state(bits), ordered, number)
            circuit.measure_all()
            circuits.append(fit(circuit, backend, config))
            if backend.planner is not None:
                backend.planner.sampler_plan(circuits[-1])
        return KrylovStates(hamiltonian, start, circuits, None, reference)

    def run(self, lab: Lab) -> Outcome:
        """Sample one state after the other; one row for the subspace of all shots so far."""
        import numpy as np

        prepared: KrylovStates = lab.prepared
        stream = lab.stream("skqd")
        exact = prepared.reference.energy
        sets = conserved(prepared.hamiltonian) if self.postselect else []
        energy = None
        states, counts = np.array([prepared.start]), np.array([1])
        if prepared.earlier is not None:
            lab.take(**prepared.earlier.describe())
        for number in range(self.dimension if prepared.earlier is None else len(prepared.earlier.jobs)):
            found = numbers_of(self.sampled(stream, prepared, number).to_bool_array())
            if lab.rehearsing:
                continue
            right = kept(found, sets, prepared.start)
            new, times = np.unique(found[right], return_counts=True)
            states, places = np.unique(np.concatenate([states, new]), return_inverse=True)
            counts = np.bincount(places, np.concatenate([counts, times])).astype(int)
            most = np.sort(np.argsort(-counts, kind="stable")[: self.max_states])
            energy = energy_among(prepared.hamiltonian, states[most])
            lab.row(
                krylov_states=number + 1, time=number * self.step, dimension=len(most), energy=energy, exact=exact,
                error=None if exact is None else energy - exact, valid=float(right.mean()),
            )  # fmt: skip
        return Outcome(
            energy=energy,
            energy_kind="exact",
            reference_energy=exact,
            reference_note=prepared.reference.note,
            outside_sector=0.0 if len(sets) > 1 else None,
            stop_reason=counted(self.dimension, "Krylov state"),
            table=lab.table,
        )

    def sampled(self, stream: JobStream, prepared: KrylovStates, number: int) -> Any:
        """The shots of one Krylov state."""
        if prepared.earlier is not None:
            return prepared.earlier.jobs[number]
        return stream.sample((prepared.circuits[number],), shots=self.shots)[0].data.meas

"""Hamiltonian and ansatz made real: fitted to the backend, checked against each other, with a reference energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runner import engine
from runner.ansatz.openqasm import program_of
from runner.declare.config import RunConfig
from runner.engine import memory
from runner.errors import ConfigError, in_words
from runner.hamiltonian.pauli import MoleculeTerms
from runner.hamiltonian.physics import physics_of
from runner.hamiltonian.sector import levels, sector_of
from runner.run.gradient import chosen
from runner.run.transpiler import own_stages, pass_manager

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import ObservablesArrayLike
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.backend import BackendConfig
    from runner.hamiltonian.declared import HamiltonianConfig
    from runner.hamiltonian.sector import Sector
    from runner.services.protocol import Backend

MAX_EXACT_QUBITS = 14
"""Largest system whose states are evolved or looked at as vectors."""
MAX_DIFFERENCE = 1e-4
"""How far a declared energy of so many electrons may be from theirs: what rounding may do to it."""
DECLARED = "declared"
"""Where a reference is from that nobody computed."""
LEAK = 1e-9
"""Probability of other numbers of electrons that is more than rounding."""
MAX_WRITTEN_GATES = 5000
"""Largest circuit that is written into the journal."""


def unheard(stage: str) -> None:
    """Nobody is told what is done next."""


@dataclass(frozen=True)
class Problem:
    """What is minimized: ⟨ψ(θ)|H|ψ(θ)⟩."""

    hamiltonian: SparsePauliOp
    """The observable on the ansatz's own qubits."""
    ansatz: QuantumCircuit
    """The circuit as declared."""
    circuit: QuantumCircuit
    """The ISA circuit."""
    observable: SparsePauliOp
    """The Hamiltonian in the layout of `circuit`."""
    initial_point: np.ndarray
    """Shape (P,)."""
    reference_energy: float | None
    """Lowest energy in the Hamiltonian's sector; None where it has too many states to tell."""
    reference_note: str | None = None
    """Where the reference energy comes from, in words: exact diagonalization, sector N↑=1, N↓=1."""

    @classmethod
    def build(cls, config: RunConfig, backend: Backend, stage: Callable[[str], None] = unheard) -> Problem:
        """Build and check everything before a session is opened.

        Args:
            config: the declaration.
            backend: what the circuit is fitted to.
            stage: told in words what is done next.

        Raises:
            ConfigError: the parts do not fit each other or the backend.
        """
        stage(f"building Hamiltonian {config.hamiltonian.name}")
        hamiltonian = config.hamiltonian.build()
        stage(f"building ansatz {config.ansatz.name}")
        ansatz = config.ansatz.build(hamiltonian)
        if hamiltonian.num_qubits != ansatz.num_qubits:
            raise ConfigError(
                f"has {ansatz.num_qubits} qubits, the hamiltonian {hamiltonian.num_qubits}; make them equal",
                key="ansatz",
            )
        if ansatz.num_parameters == 0:
            raise ConfigError(
                f"has no parameters, so there is nothing to optimize; {config.ansatz.for_parameters}",
                key="ansatz",
            )
        stage(f"transpiling {ansatz.num_qubits} qubits for {backend.name}")
        circuit = fit(ansatz, backend, config)
        stage("computing the reference energy")
        reference = Reference.of(config.hamiltonian, hamiltonian)
        return cls(
            hamiltonian=hamiltonian,
            ansatz=ansatz,
            circuit=circuit,
            observable=hamiltonian.apply_layout(circuit.layout) if circuit.layout else hamiltonian,
            initial_point=config.ansatz.initial_point(ansatz, hamiltonian, _rng(config)),
            reference_energy=reference.energy,
            reference_note=reference.note,
        )

    @property
    def parameter_names(self) -> list[str]:
        """The parameters' names as they were declared, in the order of everything that lists values."""
        return list(engine.names_of(self.ansatz))

    @property
    def source(self) -> str | None:
        """What the Hamiltonian's file was read as, in one line; None where it is from no file."""
        return physics_of(self.hamiltonian).source

    @cached_property
    def sector(self) -> Sector | None:
        """The numbers of electrons its energies belong to; None: all states."""
        return sector_of(self.hamiltonian)

    @cached_property
    def leaves_sector(self) -> bool | None:
        """Whether the ansatz mixes in other numbers of electrons; None where there is no sector, or no telling."""
        import numpy as np

        somewhere = np.random.default_rng(1).uniform(-np.pi, np.pi, self.ansatz.num_parameters)
        share = self._share_outside(somewhere)
        return None if share is None else share > LEAK

    def outside(self, parameters: Sequence[float] | np.ndarray) -> float | None:
        """Probability of other numbers of electrons than the sector's in the ansatz's state, without noise.

        Args:
            parameters: shape (P,).

        Returns:
            0 where the ansatz keeps them; None where there is no sector, or no telling above 14 qubits.
        """
        if self.leaves_sector:
            return self._share_outside(parameters)
        return None if self.leaves_sector is None else 0.0

    def _share_outside(self, parameters: Sequence[float] | np.ndarray) -> float | None:
        if self.sector is None or self.ansatz.num_qubits > MAX_EXACT_QUBITS:
            return None
        from qiskit.quantum_info import Statevector

        anatomy = engine.dissect(self.ansatz, drop_measurements=True)
        if anatomy.dynamic or anatomy.channels:
            return None  # what measures, resets or decays on the way has no state vector
        bound = self.ansatz.assign_parameters(parameters)
        bound.remove_final_measurements()
        return self.sector.outside(Statevector(bound).data)

    def describe(self) -> dict[str, Any]:
        """What the journal keeps of it: sizes, the exact energy, and both circuits before and after transpiling."""
        source, sector = self.source, self.sector
        return {
            "qubits": self.hamiltonian.num_qubits,
            "terms": len(self.hamiltonian),
            "parameters": self.ansatz.num_parameters,
            "parameter_names": self.parameter_names,
            "reference_energy": self.reference_energy,
            **({} if source is None else {"source": source}),
            "reference_note": self.reference_note,
            **({} if sector is None else {"sector": {"up": sector.up, "down": sector.down}}),
            "circuits": {"declared": _describe(self.ansatz), "device": _describe(self.circuit)},
        }


def _describe(circuit: QuantumCircuit) -> dict[str, object]:
    """Depth and gate counts, and the circuit itself in OpenQASM 3 unless it is very long, or has what that lacks."""
    return {
        "depth": circuit.depth(),
        "two_qubit_gates": circuit.num_nonlocal_gates(),
        "gates": circuit.size(),
        "qasm": _written(circuit) if circuit.size() <= MAX_WRITTEN_GATES else None,
    }


def _written(circuit: QuantumCircuit) -> str | None:
    """The circuit in OpenQASM 3; None where that cannot say it, as an inverse that is not worked out."""
    from qiskit import qasm3

    try:
        return program_of(circuit)
    except qasm3.QASM3ExporterError:
        return None


def declared_circuit(config: RunConfig, *, measured: bool = False) -> tuple[QuantumCircuit, np.ndarray]:
    """The ansatz as a circuit of its own, and its initial parameters, shape (P,), for experiments without a problem.

    Args:
        config: the declaration; the hamiltonian is built where the ansatz takes its size or shape from it.
        measured: keep the measurements of a circuit that comes from a file.

    Raises:
        ConfigError: see the ansatz.
    """
    written = config.ansatz.as_written() if measured else None
    if written is not None:
        hamiltonian, circuit = None, written
    else:
        hamiltonian = config.hamiltonian.build()
        circuit = config.ansatz.build(hamiltonian)
    return circuit, config.ansatz.initial_point(circuit, hamiltonian, _rng(config))


def fit(circuit: QuantumCircuit, backend: Backend, config: RunConfig) -> QuantumCircuit:
    """The ISA circuit for a backend: transpiled unless the declaration says that it is one already.

    Raises:
        ConfigError: an opaque gate is used, the backend has too few qubits, Qiskit's transpiler fails for it, or it is
            not to be transpiled and no ISA circuit.
    """
    engine.require_known(circuit, backend.target.operation_names, key="ansatz")
    if config.backend.engine == "ffsim":
        return circuit  # in gates that no instruction set has, and of qubits that no state vector has
    available = backend.target.num_qubits
    if available is not None and circuit.num_qubits > available:
        found = engine.classify(circuit)
        if backend.ideal and (len(found.used) <= available or _narrow(circuit, config.backend)):
            return _rewritten(circuit, backend, config)
        if backend.ideal:
            _require_memory(len(found.used))
        raise ConfigError(
            f"{config.backend.name!r} has {available} qubits, the circuit needs {circuit.num_qubits}; "
            "choose a larger backend",
            key="backend",
        )
    if not config.backend.transpile:
        _require_isa(circuit, backend)
        if (why := _misaligned(circuit, backend)) is not None:
            raise ConfigError(why, key="ansatz")
        return circuit
    return _transpiled(circuit, backend, config)


def _transpiled(circuit: QuantumCircuit, backend: Backend, config: RunConfig) -> QuantumCircuit:
    from qiskit.exceptions import QiskitError

    level, seed = config.backend.optimization_level, config.seed % 2**31
    passes = None
    if "ansatz" not in config.experiment.ignores:
        with own_stages(backend):
            passes = config.ansatz.passes(circuit, backend, level, seed)
    try:
        return (passes or pass_manager(backend, level, seed)).run(circuit)
    except QiskitError as error:
        if (why := _misaligned(circuit, backend)) is not None:
            raise ConfigError(why, key="ansatz") from error
        raise ConfigError(
            f"Qiskit's transpiler cannot fit the circuit to {backend.name!r} ({in_words(error)}); "
            "choose another backend",
            key="backend",
        ) from error


def _misaligned(circuit: QuantumCircuit, backend: Backend) -> str | None:
    """That a delay does not fit the device's clock, and the nearest that do; None where all do."""
    found = engine.misaligned_delay(circuit, backend.target)
    if found is None:
        return None
    item, length, step = found
    below, qubit = length - length % step, circuit.find_bit(item.qubits[0]).index
    near = [
        f"{steps} dt ({steps * backend.target.dt * 1e6:.10g} us)" for steps in (below, below + step) if steps
    ]
    return (
        f"the delay of {item.operation.duration:g} {item.operation.unit} on qubit {qubit} "
        f"is {length} dt, which {backend.name!r} cannot keep to: it starts things at multiples of {step} dt; "
        f"make it {' or '.join(near)}"
    )


def chosen_gradient(
    declared: str, config: RunConfig, backend: Backend, *pubs: tuple[QuantumCircuit, ObservablesArrayLike]
) -> str:
    """The gradient of these expectation values, `auto` being the first that is possible.

    Raises:
        ConfigError: there is none; it says what to type.
    """
    planner = backend.planner

    def adjoint() -> bool:
        return planner is not None and all(planner.estimator_plan(*pub).exact_gradient for pub in pubs)

    circuits = [circuit for circuit, _ in pubs]
    return chosen(declared, circuits, exact=config.estimator.precision == 0, adjoint=adjoint)


def _rewritten(circuit: QuantumCircuit, backend: Backend, config: RunConfig) -> QuantumCircuit:
    """A circuit that is wider than what it uses, in gates that the ideal backend knows and on the same qubits."""
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit.transpiler import generate_preset_pass_manager

    standard = get_standard_gate_name_mapping()
    with own_stages():
        passes = generate_preset_pass_manager(
            optimization_level=config.backend.optimization_level,
            basis_gates=[name for name in backend.target.operation_names if name in standard],
            seed_transpiler=config.seed % 2**31,
        )
    return passes.run(circuit)


def _narrow(circuit: QuantumCircuit, declared: BackendConfig) -> bool:
    return engine.narrow(circuit, engine=declared.engine, method=declared.method)


def _require_memory(num_qubits: int) -> None:
    try:
        memory.require(16 << num_qubits, f"a state vector of {num_qubits} qubits")
    except ConfigError as error:
        raise ConfigError(
            f"{error}; backend.engine=pauli follows expectation values, mps states of little entanglement",
            key="backend.method",
        ) from error


def _require_isa(circuit: QuantumCircuit, backend: Backend) -> None:
    try:
        backend.require_isa(circuit)
    except ConfigError as error:
        problem = str(error).partition(";")[0]
        raise ConfigError(f"is false, but {problem}; set it to true", key="backend.transpile") from error


@dataclass(frozen=True)
class Reference:
    """The energy results are compared with, and where it comes from."""

    energy: float | None
    """Lowest energy in the Hamiltonian's sector; None where it has too many states to tell."""
    note: str | None
    """`exact diagonalization` or `declared`, and for electrons the sector; None where there is no energy."""

    @classmethod
    def of(cls, declared: HamiltonianConfig, hamiltonian: SparsePauliOp) -> Reference:
        """As declared, or by exact diagonalization up to 16 384 states.

        Raises:
            ConfigError: a molecule's declared energy is not the one of its electrons.
        """
        known, ours = declared.reference_energy, _of_electrons(declared)
        if ours is not None and ours.sector == "all":
            known = None  # it belongs to the electrons
        if known is not None and not ours:
            return cls(float(known), DECLARED)
        energy = physics_of(hamiltonian).reference_energy
        if energy is None and (found := levels(hamiltonian, 1)) is not None:
            energy = float(found[0])
        words = "exact diagonalization"
        if energy is None:
            energy, words = known, DECLARED
        elif known is not None:
            _check_declared(known, energy, hamiltonian)
        return cls(energy, None if energy is None else words + _among(hamiltonian))


def _of_electrons(declared: HamiltonianConfig) -> MoleculeTerms | None:
    """The declaration where its reference energy means the one of its electrons."""
    return declared if isinstance(declared, MoleculeTerms) else None


def _check_declared(known: float, exact: float, hamiltonian: SparsePauliOp) -> None:
    if abs(known - exact) > MAX_DIFFERENCE:
        raise ConfigError(
            f"is {known:.6f}, but the lowest energy with {sector_of(hamiltonian)} is {exact:.6f}; "
            "set it to null",
            key="hamiltonian.reference_energy",
        )


def _among(hamiltonian: SparsePauliOp) -> str:
    """Which states an energy of electrons is the lowest of."""
    sector = sector_of(hamiltonian)
    if sector is not None:
        return f", sector {sector}"
    return ", all sectors" if physics_of(hamiltonian).electrons else ""


def _rng(config: RunConfig) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([config.seed, 0x1A1])

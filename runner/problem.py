"""Hamiltonian and ansatz made real: fitted to the backend, checked against each other, with a reference energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.config import RunConfig
from runner.errors import ConfigError
from runner.transpiler import pass_manager

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2
    from qiskit.quantum_info import SparsePauliOp

MAX_EXACT_QUBITS = 14
"""Largest Hamiltonian that is diagonalized for the reference energy."""
MAX_WRITTEN_GATES = 5000
"""Largest circuit that is written into the journal."""


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
    """Lowest eigenvalue; None where the Hamiltonian is too large to tell."""

    @classmethod
    def build(cls, config: RunConfig, backend: BackendV2) -> Problem:
        """Build and check everything before a session is opened.

        Raises:
            ConfigError: the parts do not fit each other or the backend.
        """
        hamiltonian = config.hamiltonian.build()
        ansatz = config.ansatz.build(hamiltonian)
        if hamiltonian.num_qubits != ansatz.num_qubits:
            raise ConfigError(
                f"has {ansatz.num_qubits} qubits, the hamiltonian {hamiltonian.num_qubits}; make them equal",
                key="ansatz",
            )
        if ansatz.num_parameters == 0:
            raise ConfigError(
                "has no parameters, so there is nothing to optimize; raise its reps", key="ansatz"
            )
        circuit = fit(ansatz, backend, config)
        return cls(
            hamiltonian=hamiltonian,
            ansatz=ansatz,
            circuit=circuit,
            observable=hamiltonian.apply_layout(circuit.layout) if circuit.layout else hamiltonian,
            initial_point=config.ansatz.initial_point(ansatz, hamiltonian, _rng(config)),
            reference_energy=reference_energy(config.hamiltonian, hamiltonian),
        )

    def describe(self) -> dict[str, Any]:
        """What the journal keeps of it: sizes, the exact energy, and both circuits before and after transpiling."""
        from runner.hamiltonian.operator import physics_of

        source = physics_of(self.hamiltonian).source
        return {
            "qubits": self.hamiltonian.num_qubits,
            "terms": len(self.hamiltonian),
            "parameters": self.ansatz.num_parameters,
            "reference_energy": self.reference_energy,
            **({} if source is None else {"source": source}),
            "circuits": {"declared": _describe(self.ansatz), "device": _describe(self.circuit)},
        }


def _describe(circuit: QuantumCircuit) -> dict[str, Any]:
    """Depth and gate counts, and the circuit itself in OpenQASM 3 unless it is very long."""
    from qiskit import qasm3

    return {
        "depth": circuit.depth(),
        "two_qubit_gates": circuit.num_nonlocal_gates(),
        "gates": circuit.size(),
        "qasm": qasm3.dumps(circuit) if circuit.size() <= MAX_WRITTEN_GATES else None,
    }


def declared_circuit(config: RunConfig, *, measured: bool = False) -> tuple[QuantumCircuit, np.ndarray]:
    """The ansatz as a circuit of its own, and its initial parameters, shape (P,), for experiments without a problem.

    Args:
        config: the declaration; the hamiltonian is built where the ansatz takes its size or shape from it.
        measured: keep the measurements of a circuit that comes from a file.

    Raises:
        ConfigError: see the ansatz.
    """
    as_written = getattr(config.ansatz, "as_written", None)
    if measured and as_written is not None:
        hamiltonian, circuit = None, as_written()
    else:
        hamiltonian = config.hamiltonian.build()
        circuit = config.ansatz.build(hamiltonian)
    return circuit, config.ansatz.initial_point(circuit, hamiltonian, _rng(config))


def fit(circuit: QuantumCircuit, backend: BackendV2, config: RunConfig) -> QuantumCircuit:
    """The ISA circuit for a backend: transpiled unless the declaration says that it is one already.

    Raises:
        ConfigError: the backend has too few qubits, or it is not to be transpiled and no ISA circuit.
    """
    available = backend.target.num_qubits
    if available is not None and circuit.num_qubits > available:
        if getattr(backend, "ideal", False):
            _require_memory(circuit.num_qubits)
        raise ConfigError(
            f"{config.backend.name!r} has {available} qubits, the circuit needs {circuit.num_qubits}; "
            "choose a larger backend",
            key="backend",
        )
    if not config.backend.transpile:
        _require_isa(circuit, backend)
        return circuit
    return pass_manager(backend, config.backend.optimization_level, config.seed % 2**31).run(circuit)


def _require_memory(num_qubits: int) -> None:
    from runner.engine import memory

    try:
        memory.require(16 << num_qubits, f"a state vector of {num_qubits} qubits")
    except ConfigError as error:
        raise ConfigError(str(error), key="backend.method") from error


def _require_isa(circuit: QuantumCircuit, backend: BackendV2) -> None:
    require = getattr(backend, "require_isa", None)
    try:
        if require is not None:
            require(circuit)
    except ConfigError as error:
        problem = str(error).partition(";")[0]
        raise ConfigError(f"is false, but {problem}; set it to true", key="backend.transpile") from error


def reference_energy(declared: Any, hamiltonian: SparsePauliOp) -> float | None:
    """The lowest eigenvalue: as declared, or by exact diagonalization up to 14 qubits."""
    from runner.hamiltonian.operator import physics_of

    known = getattr(declared, "reference_energy", None)
    if known is None:
        known = physics_of(hamiltonian).reference_energy
    if known is not None:
        return float(known)
    if hamiltonian.num_qubits > MAX_EXACT_QUBITS:
        return None
    return float(lowest_eigenvalues(hamiltonian, 1)[0])


def lowest_eigenvalues(hamiltonian: SparsePauliOp, count: int) -> np.ndarray:
    """The `count` lowest eigenvalues, shape (count,), by dense or sparse (Lanczos) diagonalization."""
    import numpy as np
    from scipy.sparse.linalg import eigsh

    dimension = 2**hamiltonian.num_qubits
    if dimension <= 256:
        return np.linalg.eigvalsh(hamiltonian.to_matrix())[:count]
    matrix = hamiltonian.to_matrix(sparse=True)
    start = np.random.default_rng(1).normal(size=dimension)  # ARPACK's own start vector is not reproducible
    return np.sort(eigsh(matrix, k=count, which="SA", v0=start, return_eigenvectors=False))


def _rng(config: RunConfig) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([config.seed, 0x1A1])

"""Circuits that alternate between parts of the Hamiltonian: HVA and QAOA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.ansatz.start import AnsatzConfig, reference_bits
from runner.declare.checks import require_choice, require_integer, require_positive
from runner.errors import ConfigError
from runner.hamiltonian.physics import physics_of

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

PREPARATIONS = ("auto", "zeros", "plus", "reference")


@dataclass(kw_only=True)
class HamiltonianVariational(AnsatzConfig):
    """|ψ(θ)⟩ = Πᵣ Πₖ exp(−iθᵣₖ Hₖ) |start⟩ with H = Σ Hₖ (Wecker, Hastings & Troyer 2015; Wiersema et al. 2020)."""

    initial: str = "reference"
    """Start: reference (a ramp, like annealing) | zeros | random | small_random | values | file:PATH | run:ID."""
    initial_spread: float | None = 0.05
    """Random displacement of the start, ± rad; null: as for other ansätze."""
    ramp: float = 0.3
    """Time step of the ramp in 1/energy: parts that the preparation does not solve are turned on over the layers."""
    reps: int = 8
    """Number of layers; each has one angle per part of the Hamiltonian."""
    preparation: str = "auto"
    """State before the first layer: zeros | plus | reference | auto (what suits the Hamiltonian)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("ansatz.reps", self.reps, 1, 1000)
        require_choice("ansatz.preparation", self.preparation, PREPARATIONS)
        require_positive("ansatz.ramp", self.ramp)

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements.

        Raises:
            ConfigError: there is no Hamiltonian to alternate over.
        """
        from qiskit.circuit.library import hamiltonian_variational_ansatz

        if hamiltonian is None:
            raise ConfigError("alternates between parts of a hamiltonian; declare one", key="ansatz")
        parts = list(physics_of(hamiltonian).parts) or without_identity(hamiltonian).group_commuting()
        circuit = self._prepared(hamiltonian)
        circuit.compose(hamiltonian_variational_ansatz(parts, reps=self.reps), inplace=True)
        return circuit

    def prepares_reference(self, hamiltonian: SparsePauliOp | None) -> bool:
        """The parts and what solves them are known."""
        return hamiltonian is not None and bool(physics_of(hamiltonian).prepared)

    def reference_point(self, circuit: QuantumCircuit, hamiltonian: SparsePauliOp | None) -> np.ndarray:
        """The ramp: a coarse annealing from the parts whose ground state is prepared to all of them.

        Raises:
            ConfigError: the Hamiltonian does not say which parts those are.
        """
        import numpy as np

        if hamiltonian is None or not self.prepares_reference(hamiltonian):
            return super().reference_point(circuit, hamiltonian)
        time = (np.arange(self.reps) + 0.5) / self.reps
        held = physics_of(hamiltonian).prepared
        return self.ramp * np.stack(
            [np.ones(self.reps) if is_held else time for is_held in held], axis=1
        ).reshape(-1)

    def _prepared(self, hamiltonian: SparsePauliOp) -> QuantumCircuit:
        from qiskit import QuantumCircuit

        physics = physics_of(hamiltonian)
        kind = self.preparation
        if kind == "auto" and physics.preparation is not None:
            return physics.preparation.copy()
        if kind == "auto":
            kind = "reference" if physics.reference_state is not None else "plus"
        circuit = QuantumCircuit(hamiltonian.num_qubits)
        if kind == "plus":
            circuit.h(range(hamiltonian.num_qubits))
        if kind == "reference":
            for qubit, bit in enumerate(reference_bits(hamiltonian, "ansatz.preparation")):
                if bit:
                    circuit.x(qubit)
        return circuit


@dataclass(kw_only=True)
class QAOA(AnsatzConfig):
    """|β, γ⟩ = Πₖ exp(−iβₖ ΣX) exp(−iγₖ C) |+⟩ for a diagonal cost C (Farhi, Goldstone & Gutmann 2014)."""

    initial: str = "reference"
    """Start: reference (a ramp, like annealing) | zeros | random | small_random | values | file:PATH | run:ID."""
    initial_spread: float | None = 0.0
    """Random displacement of the start, ± rad; null: as for other ansätze."""
    reps: int = 3
    """Number of layers p; 2p angles, first all β, then all γ."""
    ramp: float = 0.75
    """Time step of the linear ramp: γₖ rises to it and −βₖ falls from it; γ in units of the mean coupling."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("ansatz.reps", self.reps, 1, 1000)
        require_positive("ansatz.ramp", self.ramp)

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements.

        Raises:
            ConfigError: the cost is missing or not diagonal.
        """
        from qiskit.circuit.library import qaoa_ansatz

        if hamiltonian is None:
            raise ConfigError("needs a cost hamiltonian; choose maxcut, qubo, sk or pauli", key="ansatz")
        if hamiltonian.paulis.x.any():
            term = next(str(pauli) for pauli in hamiltonian.paulis if pauli.x.any())
            raise ConfigError(
                f"QAOA needs a cost of Z and I only, got the term {term}; choose another", key="hamiltonian"
            )
        return qaoa_ansatz(without_identity(hamiltonian), reps=self.reps)

    def prepares_reference(self, hamiltonian: SparsePauliOp | None) -> bool:
        """The ramp exists for every cost."""
        return hamiltonian is not None

    def reference_point(self, circuit: QuantumCircuit, hamiltonian: SparsePauliOp | None) -> np.ndarray:
        """The linear ramp: a coarse annealing from the mixer to the cost."""
        import numpy as np

        assert hamiltonian is not None
        scale = float(np.abs(without_identity(hamiltonian).coeffs).mean())
        time = (np.arange(self.reps) + 0.5) / self.reps
        del circuit
        return np.concatenate([-(1 - time) * self.ramp, time * self.ramp / scale])


def without_identity(operator: SparsePauliOp) -> SparsePauliOp:
    """The operator without its constant, which only turns the phase of every state.

    Raises:
        ConfigError: nothing is left.
    """
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    kept = np.logical_or(operator.paulis.x, operator.paulis.z).any(axis=1)
    if not kept.any():
        raise ConfigError(
            "is constant, so there is nothing to alternate with; choose another", key="hamiltonian"
        )
    return SparsePauliOp(operator.paulis[kept], operator.coeffs[kept])

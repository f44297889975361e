"""Hardware-efficient circuits: layers of rotations and entangling gates, from qiskit's circuit library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.ansatz.start import AnsatzConfig, reference_bits
from runner.config import require_choice
from runner.errors import ConfigError
from runner.require import require_integer

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

ENTANGLEMENTS = ("full", "linear", "reverse_linear", "pairwise", "circular", "sca")
SU2_GATES = ("rx", "ry", "rz", "p", "h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx")
PARAMETRIZED = ("rx", "ry", "rz", "p")
FLIPPING = ("ry", "rx")
"""Rotations that turn |0⟩ into |1⟩ at an angle of π."""
MAX_REPS = 1000


@dataclass(kw_only=True)
class LayeredAnsatz(AnsatzConfig):
    """Layers of single-qubit rotations with entangling gates between them."""

    reps: int = 3
    """Number of entangling layers, each between two layers of rotations."""
    entanglement: str = "reverse_linear"
    """Which qubits are entangled: full | linear | reverse_linear | pairwise | circular | sca."""
    skip_final_rotation_layer: bool = False
    """Leave out the rotations after the last entangling layer."""
    skip_unentangled_qubits: bool = False
    """Rotate only qubits that are entangled with others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("ansatz.reps", self.reps, 0, MAX_REPS)
        require_choice("ansatz.entanglement", self.entanglement, ENTANGLEMENTS)

    @property
    def rotations(self) -> list[str]:
        """Names of the single-qubit gates of one layer."""
        raise NotImplementedError

    def prepares_reference(self, hamiltonian: SparsePauliOp | None) -> bool:
        """There is a reference state, and the last layer can flip every qubit."""
        from runner.hamiltonian.operator import physics_of

        known = hamiltonian is not None and physics_of(hamiltonian).reference_state is not None
        return known and self._flips() is not None

    def _flips(self) -> int | None:
        """Which block of angles of the last layer flips qubits; None where none does so cleanly."""
        turning = [gate for gate in self.rotations if gate in PARAMETRIZED]
        whole = (
            turning == self.rotations
            and not self.skip_final_rotation_layer
            and not self.skip_unentangled_qubits
        )
        return next((index for index, gate in enumerate(turning) if whole and gate in FLIPPING), None)

    def reference_point(self, circuit: QuantumCircuit, hamiltonian: SparsePauliOp | None) -> np.ndarray:
        """Angle π on the occupied qubits in the last rotations, 0 elsewhere: the reference state.

        Raises:
            ConfigError: the circuit has no last layer that can flip qubits.
        """
        import numpy as np

        bits = reference_bits(hamiltonian)
        count = circuit.num_qubits
        flips = self._flips()
        if flips is None:
            raise ConfigError(
                "hartree_fock needs last rotations ry or rx on all qubits, no fixed gates; use small_random",
                key="ansatz.initial",
            )
        if len(bits) != count:
            raise ConfigError(
                f"has {count} qubits, the hamiltonian {len(bits)}; make them equal", key="ansatz.qubits"
            )
        point = np.zeros(circuit.num_parameters)
        last = len(point) - (len(self.rotations) - flips) * count
        point[last : last + count] = np.pi * np.array(bits)
        return point


@dataclass(kw_only=True)
class EfficientSU2(LayeredAnsatz):
    """Layers of SU(2) gates on every qubit with CX between them (Kandala et al., Nature 549, 242 (2017))."""

    su2_gates: list[str] = field(default_factory=lambda: ["ry", "rz"])
    """Single-qubit gates of one layer, in order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.su2_gates:
            raise ConfigError("is empty; name at least one gate, e.g. [ry, rz]", key="ansatz.su2_gates")
        for index, gate in enumerate(self.su2_gates):
            require_choice(f"ansatz.su2_gates[{index}]", gate, SU2_GATES)

    @property
    def rotations(self) -> list[str]:
        """Names of the single-qubit gates of one layer."""
        return self.su2_gates

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements."""
        from qiskit.circuit.library import efficient_su2

        return efficient_su2(
            self.size(hamiltonian),
            su2_gates=list(self.su2_gates),
            entanglement=self.entanglement,
            reps=self.reps,
            skip_final_rotation_layer=self.skip_final_rotation_layer,
            skip_unentangled_qubits=self.skip_unentangled_qubits,
        )


@dataclass(kw_only=True)
class RealAmplitudes(LayeredAnsatz):
    """Layers of RY with CX between them: states with real amplitudes only."""

    @property
    def rotations(self) -> list[str]:
        """Names of the single-qubit gates of one layer."""
        return ["ry"]

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements."""
        from qiskit.circuit.library import real_amplitudes

        return real_amplitudes(
            self.size(hamiltonian),
            entanglement=self.entanglement,
            reps=self.reps,
            skip_final_rotation_layer=self.skip_final_rotation_layer,
            skip_unentangled_qubits=self.skip_unentangled_qubits,
        )

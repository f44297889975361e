"""Hardware-efficient circuits: layers of rotations and entangling gates, from qiskit's circuit library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.ansatz.start import MAX_QUBITS, AnsatzConfig, reference_bits
from runner.declare.alternatives import acts_with, either
from runner.declare.checks import require_choice, require_integer
from runner.errors import ConfigError
from runner.hamiltonian.physics import physics_of

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

ENTANGLEMENTS = ("full", "linear", "reverse_linear", "pairwise", "circular", "sca")
SU2_GATES = ("rx", "ry", "rz", "p", "h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx")
TWO_QUBIT_GATES = (
    "cx",
    "cy",
    "cz",
    "ch",
    "crx",
    "cry",
    "crz",
    "cp",
    "rxx",
    "ryy",
    "rzz",
    "rzx",
    "swap",
    "iswap",
    "ecr",
    "dcx",
)
PARAMETRIZED = ("rx", "ry", "rz", "p")
FLIPPING = ("ry", "rx")
"""Rotations that turn |0⟩ into |1⟩ at an angle of π."""
MAX_REPS = 1000


@acts_with(entanglement={"pairs": ([],)})
@either(selector="entanglement", pairs=[])
@dataclass(kw_only=True)
class LayeredAnsatz(AnsatzConfig):
    """Layers of single-qubit rotations with entangling gates between them."""

    reps: int = 3
    """Number of entangling layers, each between two layers of rotations."""
    entanglement: str = "reverse_linear"
    """Which qubits are entangled: full | linear | reverse_linear | pairwise | circular | sca."""
    pairs: list[Any] = field(default_factory=list)
    """[control, target] pairs of every layer instead of entanglement; empty: as entanglement says."""
    skip_final_rotation_layer: bool = False
    """Leave out the rotations after the last entangling layer."""
    skip_unentangled_qubits: bool = False
    """Rotate only qubits that are entangled with others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("ansatz.reps", self.reps, 0, MAX_REPS)
        require_choice("ansatz.entanglement", self.entanglement, ENTANGLEMENTS)
        for index, pair in enumerate(self.pairs):
            key = f"ansatz.pairs[{index}]"
            if (
                isinstance(pair, str)
                or not isinstance(pair, Sequence)
                or len(pair) != 2
                or pair[0] == pair[1]
            ):
                raise ConfigError(f"must be two different qubits, got {pair!r}; write e.g. [0, 1]", key=key)
            for qubit in pair:
                require_integer(key, qubit, 0, (self.qubits or MAX_QUBITS) - 1)

    @property
    def for_parameters(self) -> str:
        """What to do where its circuit has none."""
        return super().for_parameters if self.reps else "raise ansatz.reps"

    def options(self, hamiltonian: SparsePauliOp | None) -> dict[str, Any]:
        """What all of qiskit's layered circuits take.

        Raises:
            ConfigError: a pair names a qubit that the circuit does not have.
        """
        size = self.size(hamiltonian)
        for index, pair in enumerate(self.pairs):
            if max(pair) >= size:
                raise ConfigError(
                    f"{list(pair)} does not fit {size} qubits; renumber", key=f"ansatz.pairs[{index}]"
                )
        return {
            "num_qubits": size,
            "entanglement": [tuple(pair) for pair in self.pairs] or self.entanglement,
            "reps": self.reps,
            "skip_final_rotation_layer": self.skip_final_rotation_layer,
            "skip_unentangled_qubits": self.skip_unentangled_qubits,
        }

    @property
    def rotations(self) -> list[str]:
        """Names of the single-qubit gates of one layer."""
        raise NotImplementedError

    def prepares_reference(self, hamiltonian: SparsePauliOp | None) -> bool:
        """There is a reference state, and the last layer can flip every qubit."""
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

        return efficient_su2(su2_gates=list(self.su2_gates), **self.options(hamiltonian))


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

        return real_amplitudes(**self.options(hamiltonian))


@dataclass(kw_only=True)
class NLocal(LayeredAnsatz):
    """Layers of any single-qubit gates with any entangling gates between them."""

    rotation_blocks: list[str] = field(default_factory=lambda: ["ry"])
    """Single-qubit gates of one layer, in order."""
    entanglement_blocks: list[str] = field(default_factory=lambda: ["cx"])
    """Two-qubit gates between layers, in order."""
    overwrite_block_parameters: bool = True
    """Give every gate an angle of its own; false lets all gates of one kind share one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("rotation_blocks", SU2_GATES), ("entanglement_blocks", TWO_QUBIT_GATES)):
            if not getattr(self, name):
                raise ConfigError("is empty; name at least one gate", key=f"ansatz.{name}")
            for index, gate in enumerate(getattr(self, name)):
                require_choice(f"ansatz.{name}[{index}]", gate, known)

    @property
    def rotations(self) -> list[str]:
        """Names of the single-qubit gates of one layer."""
        return self.rotation_blocks

    def _flips(self) -> int | None:
        free = set(self.entanglement_blocks) <= {"cx", "cz", "cy", "ch"} and self.overwrite_block_parameters
        return super()._flips() if free else None

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements."""
        from qiskit.circuit.library import n_local

        return n_local(
            rotation_blocks=list(self.rotation_blocks),
            entanglement_blocks=list(self.entanglement_blocks),
            overwrite_block_parameters=self.overwrite_block_parameters,
            **self.options(hamiltonian),
        )

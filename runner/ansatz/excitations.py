"""Electrons lifted out of the Hartree–Fock state: UCCSD, parts of it, and the pool of ADAPT-VQE."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.ansatz.start import AnsatzConfig, reference_bits
from runner.declare.checks import require_choice, require_integer
from runner.errors import ConfigError
from runner.hamiltonian.fermion import hartree_fock_state, product, remap
from runner.hamiltonian.physics import physics_of

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

ORDERS = ("none", "s", "d", "sd", "pairs")

Move = tuple[tuple[int, ...], tuple[int, ...]]
"""Spin orbitals emptied and spin orbitals filled; spin up counts before spin down."""


@dataclass(kw_only=True)
class ExcitationAnsatz(AnsatzConfig):
    """|ψ(θ)⟩ = Πₖ exp(θₖ (Tₖ − Tₖ†)) |HF⟩: one Trotter step of unitary coupled cluster (Romero et al. 2018)."""

    initial: str = "zeros"
    """Start: zeros (the Hartree–Fock state) | random | small_random | hartree_fock | values | file:PATH | run:ID."""
    orders: str = "sd"
    """Which excitations: s (singles) | d (doubles) | sd | pairs (both electrons of an orbital together) | none."""
    selected: list[Any] = field(default_factory=list)
    """Further excitations by spin orbitals, the emptied ones first: [0, 2] or [0, 4, 2, 6]; spin up counts first."""
    reps: int = 1
    """Number of times the product is repeated, each with its own angles."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("ansatz.orders", self.orders, ORDERS)
        require_integer("ansatz.reps", self.reps, 1, 100)
        if self.orders == "none" and not self.selected:
            raise ConfigError(
                "none leaves no excitation; choose sd, or give ansatz.selected", key="ansatz.orders"
            )
        for index, move in enumerate(self.selected):
            key = f"ansatz.selected[{index}]"
            if isinstance(move, str) or not isinstance(move, Sequence) or len(move) not in (2, 4):
                raise ConfigError(
                    f"must be [from, to] or [from, from, to, to], got {move!r}; write two or four", key=key
                )
            for orbital in move:
                require_integer(key, orbital, 0)
            if len(set(move)) != len(move):
                raise ConfigError(f"names an orbital twice in {list(move)}; name each once", key=key)

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements.

        Raises:
            ConfigError: the Hamiltonian is not one of electrons.
        """
        moves = excitations(hamiltonian, self.orders)
        for index, move in enumerate(self.selected):
            half = len(move) // 2
            moves.append((tuple(move[:half]), tuple(move[half:])))
            self._check_selected(hamiltonian, moves[-1], f"ansatz.selected[{index}]")
        return evolved(hamiltonian, [generator(hamiltonian, move) for move in moves], self.reps)

    def _check_selected(self, hamiltonian: SparsePauliOp | None, move: Move, key: str) -> None:
        occupied = occupations(hamiltonian)
        for orbital, wanted in [(o, 1) for o in move[0]] + [(o, 0) for o in move[1]]:
            if orbital >= len(occupied):
                raise ConfigError(f"orbital {orbital} does not exist; use 0 to {len(occupied) - 1}", key=key)
            if occupied[orbital] != wanted:
                state = "empty" if wanted else "occupied"
                raise ConfigError(
                    f"orbital {orbital} is {state} in the Hartree–Fock state; choose another", key=key
                )

    def prepares_reference(self, hamiltonian: SparsePauliOp | None) -> bool:
        """All angles zero are the Hartree–Fock state."""
        return hamiltonian is not None

    def reference_point(self, circuit: QuantumCircuit, hamiltonian: SparsePauliOp | None) -> np.ndarray:
        """All angles zero: the Hartree–Fock state."""
        import numpy as np

        del hamiltonian
        return np.zeros(circuit.num_parameters)


def occupations(hamiltonian: SparsePauliOp | None) -> tuple[int, ...]:
    """Occupation of every spin orbital in the reference state.

    Raises:
        ConfigError: the Hamiltonian is not one of electrons.
    """
    physics = physics_of(hamiltonian) if hamiltonian is not None else None
    if hamiltonian is None or physics is None or physics.electrons is None:
        raise ConfigError(
            "needs a hamiltonian of electrons, e.g. h2, lih or hubbard; choose one", key="ansatz"
        )
    if physics.mapper == "jordan_wigner" and physics.reference_state is not None:
        return physics.reference_state
    return hartree_fock_state(hamiltonian.num_qubits, physics.electrons, "jordan_wigner")


def excitations(hamiltonian: SparsePauliOp | None, orders: str = "sd") -> list[Move]:
    """All moves that keep the spin: singles first, then doubles.

    Raises:
        ConfigError: the Hamiltonian is not one of electrons.
    """
    bits = occupations(hamiltonian)
    half = len(bits) // 2
    spins = (range(half), range(half, 2 * half))
    full = [[orbital for orbital in spin if bits[orbital]] for spin in spins]
    empty = [[orbital for orbital in spin if not bits[orbital]] for spin in spins]
    moves: list[Move] = []
    if orders in ("s", "sd"):
        moves += [((i,), (a,)) for spin in (0, 1) for i in full[spin] for a in empty[spin]]
    if orders in ("d", "sd"):
        for spin in (0, 1):
            pairs = itertools.product(
                itertools.combinations(full[spin], 2), itertools.combinations(empty[spin], 2)
            )
            moves += list(pairs)
        moves += [
            ((i, j), (a, b)) for i in full[0] for j in full[1] for a in empty[0] for b in empty[1]
        ]  # one electron of each spin
    if orders == "pairs":
        moves += [
            ((i, i + half), (a, a + half))
            for i in full[0]
            for a in empty[0]
            if i + half in full[1] and a + half in empty[1]
        ]
    return moves


def generator(hamiltonian: SparsePauliOp | None, move: Move) -> SparsePauliOp:
    """The Hermitian i (T − T†) of one excitation in the Hamiltonian's mapping; exp(−iθ·generator) carries it out."""
    from qiskit.quantum_info import SparsePauliOp

    assert hamiltonian is not None
    emptied, filled = move
    steps = [(orbital, True) for orbital in filled] + [(orbital, False) for orbital in reversed(emptied)]
    lifted = product(steps, hamiltonian.num_qubits)
    hermitian = (1j * (lifted - lifted.adjoint())).simplify()
    mapped = remap(hermitian, physics_of(hamiltonian).mapper or "jordan_wigner")
    return SparsePauliOp(mapped.paulis, mapped.coeffs.real)


def excitation_pool(hamiltonian: SparsePauliOp, orders: str = "sd") -> dict[str, SparsePauliOp]:
    """Label → generator of every excitation: the pool ADAPT-VQE chooses from (Grimsley et al. 2019).

    Raises:
        ConfigError: the Hamiltonian is not one of electrons.
    """
    return {
        f"{','.join(map(str, move[0]))}→{','.join(map(str, move[1]))}": generator(hamiltonian, move)
        for move in excitations(hamiltonian, orders)
    }


def evolved(
    hamiltonian: SparsePauliOp | None, generators: Sequence[SparsePauliOp], reps: int = 1
) -> QuantumCircuit:
    """The Hamiltonian's reference state followed by exp(−iθₖ Gₖ) for each generator, in order.

    Raises:
        ConfigError: the Hamiltonian has no reference state.
    """
    from qiskit import QuantumCircuit
    from qiskit.circuit.library import evolved_operator_ansatz

    bits = reference_bits(hamiltonian, "ansatz")
    circuit = QuantumCircuit(len(bits))
    for qubit, bit in enumerate(bits):
        if bit:
            circuit.x(qubit)
    if generators:
        circuit.compose(evolved_operator_ansatz(list(generators), reps=reps, flatten=True), inplace=True)
    return circuit

"""What a Hamiltonian stands for besides its matrix, and how it is asked; Qiskit is not needed for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.integrals import Integrals


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What an ansatz or an experiment may want to know about a Hamiltonian besides its matrix."""

    reference_state: tuple[int, ...] | None = None
    """A good product state, one bit per qubit, qubit 0 first: Hartree–Fock, Néel."""
    reference_energy: float | None = None
    """The energy to compare with where it is not the lowest eigenvalue: FCI for a given number of electrons."""
    electrons: tuple[int, int] | None = None
    """Electrons with spin up and down; only for molecules and the Hubbard model."""
    every_sector: bool = False
    """References and levels are of all numbers of electrons, not only of `electrons`."""
    mapper: str | None = None
    """Fermions to qubits: jordan_wigner | parity | bravyi_kitaev; only for fermions."""
    integrals: Integrals | None = None
    """The electrons over orbitals, where it was made of them and both spins have the same."""
    source: str | None = None
    """What its file was read as, in one line; None: it is from no file."""
    parts: tuple[SparsePauliOp, ...] = ()
    """The Hamiltonian as a sum of operators of commuting terms, in the order the HVA applies them."""
    preparation: QuantumCircuit | None = None
    """What the HVA starts from: a simple state that is the ground state of some of the parts."""
    prepared: tuple[bool, ...] = ()
    """For each part, whether `preparation` is its ground state."""


class Physical:
    """An operator that says what it stands for."""

    physics: Physics


def physics_of(operator: SparsePauliOp) -> Physics:
    """What is known about an operator; nothing for one that was made elsewhere."""
    return operator.physics if isinstance(operator, Physical) else Physics()

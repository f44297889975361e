"""Sectors: the states with the numbers of electrons a Hamiltonian was made for, and its energies among them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

from runner.hamiltonian.fermion import remap, stored
from runner.hamiltonian.physics import Physics, physics_of
from runner.hamiltonian.scale import collected, size

if TYPE_CHECKING:
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import LinearOperator

MAX_STATES = 1 << 14
"""Most states that are diagonalized: all of 14 qubits, or those of 18 qubits that have 4 and 5 electrons."""
DENSE_STATES = 1024
"""Up to so many states every eigenvalue is computed; above, Lanczos finds the lowest one after the other."""
SECTORS = ("electrons", "all")
"""What references and levels of a Hamiltonian of electrons may be of."""
TOLERANCE = 1e-4
"""Share of the Hamiltonian that may change numbers of electrons, by rounding, before its mapping is doubted."""


@dataclass(frozen=True, kw_only=True)
class Sector:
    """All states with so many electrons of either spin, in one mapping to qubits."""

    up: int
    """N↑, electrons with spin up."""
    down: int
    """N↓, electrons with spin down."""
    qubits: int
    """Number of qubits: spin orbitals, spin up first."""
    mapper: str = "jordan_wigner"
    """jordan_wigner | parity | bravyi_kitaev."""

    def __str__(self) -> str:
        return f"N↑={self.up}, N↓={self.down}"

    @property
    def dimension(self) -> int:
        """How many states it has."""
        half = self.qubits // 2
        return comb(half, self.up) * comb(half, self.down)

    def states(self) -> np.ndarray:
        """Numbers of its basis states, rising; the bit of qubit 0 is the lowest. Shape (dimension,)."""
        import numpy as np

        half = self.qubits // 2
        occupied = np.zeros((self.dimension, self.qubits), dtype=np.int64)
        filled = itertools.product(
            itertools.combinations(range(half), self.up),
            itertools.combinations(range(half, 2 * half), self.down),
        )
        for row, (ups, downs) in zip(occupied, filled, strict=True):
            row[[*ups, *downs]] = 1
        bits = [occupied[:, list(stored(qubit, self.mapper))].sum(axis=1) % 2 for qubit in range(self.qubits)]
        return np.sort(sum(bit << qubit for qubit, bit in enumerate(bits)))

    def numbers(self) -> tuple[SparsePauliOp, SparsePauliOp]:
        """The operators N↑ and N↓ in this mapping: Σ (1 − Z)/2 over spin orbitals, re-encoded."""
        from qiskit.quantum_info import SparsePauliOp

        half = self.qubits // 2
        terms = [
            [("", [], half / 2), *(("Z", [orbital], -0.5) for orbital in range(first, first + half))]
            for first in (0, half)
        ]
        up, down = (remap(SparsePauliOp.from_sparse_list(part, self.qubits), self.mapper) for part in terms)
        return up, down

    def penalty(self) -> SparsePauliOp:
        """(N↑ − up)² + (N↓ − down)²: zero in the sector, at least 1 in every other (McClean et al. 2016)."""
        from qiskit.quantum_info import SparsePauliOp

        identity = SparsePauliOp("I" * self.qubits)
        away = [
            number - wanted * identity
            for number, wanted in zip(self.numbers(), (self.up, self.down), strict=True)
        ]
        return SparsePauliOp.sum([part @ part for part in away]).simplify()

    def keeps(self, operator: SparsePauliOp) -> bool:
        """Whether an operator leaves both numbers of electrons as they are."""
        import numpy as np

        changes = [operator @ number - number @ operator for number in self.numbers()]
        return all(np.abs(collected(change).coeffs).sum() <= TOLERANCE * size(operator) for change in changes)

    def outside(self, amplitudes: np.ndarray) -> float:
        """Probability of finding other numbers of electrons in a state vector of shape (2^qubits,)."""
        import numpy as np

        weights = np.abs(amplitudes) ** 2
        weights[self.states()] = 0
        return float(weights.sum())


def sector_of(hamiltonian: SparsePauliOp) -> Sector | None:
    """Where the energies of a Hamiltonian of electrons are sought; None: among all states."""
    physics = physics_of(hamiltonian)
    if physics.electrons is None or physics.every_sector:
        return None
    up, down = physics.electrons
    mapper = physics.mapper or "jordan_wigner"
    return Sector(up=up, down=down, qubits=hamiltonian.num_qubits, mapper=mapper)


def number_of_states(hamiltonian: SparsePauliOp) -> int:
    """How many independent states its energies are sought among."""
    sector = sector_of(hamiltonian)
    return 2**hamiltonian.num_qubits if sector is None else sector.dimension


def levels(hamiltonian: SparsePauliOp, count: int) -> np.ndarray | None:
    """Its `count` lowest exact energies in its sector, rising, each as often as it occurs.

    Returns:
        Shape (count,), fewer where the sector has fewer states; None where it has more than 16 384.
    """
    import numpy as np

    sector = sector_of(hamiltonian)
    if number_of_states(hamiltonian) > MAX_STATES or hamiltonian.num_qubits > 62:
        return None
    states = np.arange(2**hamiltonian.num_qubits) if sector is None else sector.states()
    return lowest(matrix_among(hamiltonian, states), count)


def matrix_among(operator: SparsePauliOp, states: np.ndarray) -> csr_matrix:
    """⟨s|operator|t⟩ for basis states by their numbers, rising; shape (len(states), len(states)).

    Pauli strings that flip the same qubits act together: |s⟩ goes to |s ⊕ x⟩ with weight Σ c i^Y (−1)^|s ∧ z|.
    """
    import numpy as np
    from scipy.sparse import coo_matrix

    powers = 1 << np.arange(operator.num_qubits, dtype=np.int64)
    flips, signs = operator.paulis.x @ powers, operator.paulis.z @ powers
    weights = operator.coeffs * 1j ** (operator.paulis.x & operator.paulis.z).sum(axis=1)
    rows, columns, values = [], [], []
    for flip in np.unique(flips):
        moved = states ^ flip
        places = np.minimum(np.searchsorted(states, moved), len(states) - 1)
        kept = np.flatnonzero(states[places] == moved)
        value = np.zeros(len(kept), dtype=complex)
        for term in np.flatnonzero(flips == flip):
            value += weights[term] * (1 - 2.0 * (np.bitwise_count(states[kept] & signs[term]) & 1))
        found = np.flatnonzero(value)
        rows.append(places[kept][found])
        columns.append(kept[found])
        values.append(value[found])
    entries = np.concatenate(values)
    if not entries.imag.any():
        entries = entries.real
    size = (len(states), len(states))
    return coo_matrix((entries, (np.concatenate(rows), np.concatenate(columns))), shape=size).tocsr()


def lowest(matrix: csr_matrix, count: int) -> np.ndarray:
    """The `count` lowest eigenvalues of a Hermitian matrix, rising, each as often as it occurs."""
    import numpy as np
    from scipy.sparse.linalg import eigsh

    size = matrix.shape[0]
    if size <= DENSE_STATES:
        return np.linalg.eigvalsh(matrix.toarray())[:count]
    width = 2 * float(abs(matrix).sum(axis=1).max())  # no two eigenvalues are further apart
    known = np.zeros((size, 0), dtype=matrix.dtype)
    found: list[float] = []
    while len(found) < count:
        # those known are lifted out of the way: Lanczos alone may overlook a degenerate level
        start = np.random.default_rng(1 + len(found)).normal(size=size)  # ARPACK's own is not reproducible
        energy, state = eigsh(_lifted(matrix, known, width), k=1, which="SA", v0=start)
        found.append(float(energy[0]))
        known = np.hstack([known, state])
    return np.sort(found)


def _lifted(matrix: csr_matrix, known: np.ndarray, width: float) -> LinearOperator:
    """The matrix with the energies of known eigenvectors (columns) raised by `width`."""
    from scipy.sparse.linalg import LinearOperator

    return LinearOperator(
        matrix.shape,
        matvec=lambda state: matrix @ state + width * (known @ (known.conj().T @ state)),
        dtype=matrix.dtype,
    )


def sector_energy(operator: SparsePauliOp, electrons: tuple[int, int], mapper: str) -> float | None:
    """Lowest energy among states with these numbers of electrons, full configuration interaction; None: too many."""
    from runner.hamiltonian.operator import Hamiltonian

    found = levels(Hamiltonian(operator, physics=Physics(electrons=electrons, mapper=mapper)), 1)
    return None if found is None else float(found[0])

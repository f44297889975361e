"""Electrons by their integrals over orbitals, for methods that never write them on qubits."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Integrals:
    """H = constant + Σ h_pq a†_pσ a_qσ + ½ Σ (pq|rs) a†_pσ a†_rτ a_sτ a_qσ over real orbitals."""

    one_body: np.ndarray
    """h_pq, shape (n, n), in the unit of energy."""
    two_body: np.ndarray
    """(pq|rs) in chemists' order, shape (n, n, n, n)."""
    constant: float
    """Nuclear repulsion, and the energy of electrons that are frozen."""
    electrons: tuple[int, int]
    """Electrons with spin up and down."""
    mapper: str = "jordan_wigner"
    """How they are written on qubits."""

    @property
    def orbitals(self) -> int:
        """Number of spatial orbitals n; qubits are twice as many, spin up first."""
        return len(self.one_body)

    @property
    def determinants(self) -> int:
        """Configurations of these electrons: the dimension of full configuration interaction."""
        up, down = self.electrons
        return comb(self.orbitals, up) * comb(self.orbitals, down)


def integrals_of(problem: Any, mapper: str) -> Integrals | None:
    """Those of a qiskit-nature problem; None where orbitals of spin up and down differ."""
    import numpy as np

    energies = problem.hamiltonian.electronic_integrals
    order = _index_order(energies.alpha)
    one_body, two_body = _one_body(energies.alpha), _two_body(energies.alpha, order)
    if not energies.beta.is_empty():
        others = (
            _one_body(energies.beta), _two_body(energies.beta, order), _two_body(energies.beta_alpha, order)
        )  # fmt: skip
        pairs = zip((one_body, two_body, two_body), others, strict=True)
        if not all(np.allclose(up, down, atol=1e-12) for up, down in pairs):
            return None
    return Integrals(
        one_body=one_body,
        two_body=two_body,
        constant=float(sum(problem.hamiltonian.constants.values())),
        electrons=(int(problem.num_particles[0]), int(problem.num_particles[1])),
        mapper=mapper,
    )


def _one_body(tensors: Any) -> np.ndarray:
    import numpy as np

    return np.asarray(tensors["+-"].array, dtype=float)


def _index_order(tensors: Any) -> Any:
    """That of all two-body integrals, told by those of equal spins: unlike spins lack the symmetry that tells."""
    import numpy as np
    from qiskit_nature.second_q.operators.symmetric_two_body import SymmetricTwoBodyIntegrals
    from qiskit_nature.second_q.operators.tensor_ordering import find_index_order

    two_body = tensors["++--"]
    if isinstance(two_body, SymmetricTwoBodyIntegrals):
        return None
    return find_index_order(np.asarray(two_body.array, dtype=float))


def _two_body(tensors: Any, order: Any) -> np.ndarray:
    """(pq|rs) in chemists' order, from an index order."""
    import numpy as np
    from qiskit_nature.second_q.operators.symmetric_two_body import SymmetricTwoBodyIntegrals, unfold
    from qiskit_nature.second_q.operators.tensor_ordering import to_chemist_ordering

    two_body = tensors["++--"]
    if isinstance(two_body, SymmetricTwoBodyIntegrals):  # folded by its symmetry, and in chemists' order
        return np.asarray(unfold(two_body).array, dtype=float)
    return np.asarray(
        to_chemist_ordering(np.asarray(two_body.array, dtype=float), index_order=order), dtype=float
    )

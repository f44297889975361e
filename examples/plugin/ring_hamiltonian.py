"""An own Hamiltonian: a ring of spins, H = J Σ XᵢXᵢ₊₁ + h Σ Zᵢ."""

from dataclasses import dataclass

from runner.declare.checks import require_range
from runner.hamiltonian import HamiltonianConfig


@dataclass(kw_only=True)
class Ring(HamiltonianConfig):
    """Spins on a ring."""

    energy_unit = "h"

    spins: int = 3
    """Number of spins."""
    exchange: float = 1.0
    """J, in units of the field h."""

    def __post_init__(self) -> None:
        require_range("hamiltonian.spins", self.spins, 2, 20)

    def build(self):
        """The operator."""
        from qiskit.quantum_info import SparsePauliOp

        bonds = [("XX", [i, (i + 1) % self.spins], self.exchange) for i in range(self.spins)]
        field = [("Z", [i], 1.0) for i in range(self.spins)]
        return SparsePauliOp.from_sparse_list(bonds + field, self.spins)

"""An observable that remembers the physics it stands for; derives from Qiskit's class: import it in functions only."""

from __future__ import annotations

from typing import Any

from qiskit.quantum_info import SparsePauliOp

from runner.hamiltonian.physics import Physical, Physics
from runner.hamiltonian.scale import check_scale, constants


class Hamiltonian(SparsePauliOp, Physical):
    """A SparsePauliOp with `physics`; arithmetic on it gives plain SparsePauliOps.

    Raises:
        ConfigError: its numbers would overflow, or vanish, where they are squared.
    """

    def __init__(
        self, data: Any, coeffs: Any = None, *, physics: Physics | None = None, **options: Any
    ) -> None:
        super().__init__(data, coeffs, **options)
        self.physics = physics or Physics()
        check_scale(self.coeffs, constants(self), "hamiltonian")

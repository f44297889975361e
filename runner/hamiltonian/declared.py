"""What every declared Hamiltonian answers, before anything is built of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.integrals import Integrals

HARTREE = "Ha"
"""How the unit of molecules is written; distances are told in thousandths of it."""


@dataclass(kw_only=True)
class HamiltonianConfig:
    """Base of all Hamiltonians, those of plug-ins too; a subclass overrides what it knows better."""

    name: str
    """Name of the choice."""

    @property
    def energy_unit(self) -> str | None:
        """What its energies are in, as it is printed behind them: Ha, J, …; None where nobody knows."""
        return None

    @property
    def reference_energy(self) -> float | None:
        """The energy to compare results with; None: the lowest eigenvalue, where it can be computed."""
        return None

    @property
    def reading(self) -> Any:
        """How its file was understood (`formats.reading.Reading`); None without one, and before `build`."""
        return None

    @property
    def read_from(self) -> Sequence[Path]:
        """What it is read from."""
        return ()

    def integrals(self) -> Integrals | None:
        """Its electrons over orbitals, without writing them on qubits; None where it is not made of integrals.

        Raises:
            ConfigError: there is none of these values.
        """
        return None

    def build(self) -> SparsePauliOp:
        """The operator; a `runner.hamiltonian.operator.Hamiltonian` where there is more to tell of it.

        Raises:
            ConfigError: there is none of these values.
        """
        raise NotImplementedError


def adopted(declared: type[Any]) -> type[HamiltonianConfig]:
    """A plug-in's plain dataclass as one that answers everything; one that does already as it is."""
    if issubclass(declared, HamiltonianConfig):
        return declared
    own = {
        "__module__": declared.__module__,
        "__qualname__": declared.__qualname__,
        "__doc__": declared.__doc__,
    }
    return type(declared.__name__, (declared, HamiltonianConfig), own)

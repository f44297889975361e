"""Operators from files of somebody else's, and opening such files: bytes, text and QPY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.checks import require_choice, require_integer, require_number
from runner.declare.files import read_bytes, without_collection
from runner.hamiltonian import formats
from runner.hamiltonian.declared import HamiltonianConfig
from runner.hamiltonian.fermion import MAPPERS, check_active_space
from runner.hamiltonian.pauli import MAX_QUBITS
from runner.hamiltonian.sector import SECTORS

if TYPE_CHECKING:
    from runner.hamiltonian.integrals import Integrals
    from runner.hamiltonian.operator import Hamiltonian

FORMATS = ("auto", "table", "sum", "json", "python", "yaml", "npy", "qpy", "fcidump")
ORDERS = ("little", "big")


@dataclass(kw_only=True)
class OperatorFile(HamiltonianConfig):
    """A Hamiltonian from a file of somebody else's; its format is told by its content."""

    path: str = "???"
    """The file; docs/declare.md lists the formats."""
    format: str = "auto"
    """auto | table | sum | json | python | yaml | npy | qpy | fcidump; auto: what its content looks like."""
    qubit_order: str = "little"
    """little: the leftmost letter is the last qubit and index k is qubit k, as in Qiskit; big: the other way round."""
    qubits: int | None = None
    """Number of qubits, for words that name them (X0 Z2); null: as many as the highest index needs."""
    mapper: str = "jordan_wigner"
    """For integrals (FCIDUMP): jordan_wigner | parity | bravyi_kitaev."""
    frozen_core: int = 0
    """For integrals: number of lowest orbitals that stay doubly occupied."""
    active_space: list[int] = field(default_factory=list)
    """For integrals: [electrons, orbitals] that stay active around the Fermi level; empty: all."""
    active_orbitals: list[int] = field(default_factory=list)
    """For integrals: which orbitals active_space means, from 0 behind frozen ones; empty: see active_space."""
    sector: str = "electrons"
    """For integrals: what references and levels are of: electrons (states with NELEC and MS2) | all."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    reading: ClassVar[Any] = None

    def __post_init__(self) -> None:
        require_choice("hamiltonian.format", self.format, FORMATS)
        require_choice("hamiltonian.qubit_order", self.qubit_order, ORDERS)
        require_choice("hamiltonian.mapper", self.mapper, MAPPERS)
        require_choice("hamiltonian.sector", self.sector, SECTORS)
        require_integer("hamiltonian.frozen_core", self.frozen_core, 0, MAX_QUBITS)
        check_active_space(self.active_space, self.active_orbitals)
        if self.qubits is not None:
            require_integer("hamiltonian.qubits", self.qubits, 1, MAX_QUBITS)
        if self.reference_energy is not None:
            require_number("hamiltonian.reference_energy", self.reference_energy)

    @property
    def energy_unit(self) -> str | None:
        """The file's, once it was read."""
        return None if self.reading is None else self.reading.unit

    @property
    def read_from(self) -> Sequence[Path]:
        """The one there is."""
        return (Path(self.path),)

    def integrals(self) -> Integrals | None:
        """What a file of integrals holds; None for any other file, and where spins have orbitals of their own.

        Raises:
            ConfigError: see `build`.
        """
        return self.build().physics.integrals

    def build(self) -> Hamiltonian:
        """The operator; `reading` then tells how it was understood.

        Raises:
            ConfigError: the file is missing or does not hold a Hamiltonian.
        """
        key, path = "hamiltonian.path", Path(self.path)
        content = read_bytes(path, key)
        with without_collection():
            reading = formats.read(path, key, content, self)
        self.__dict__["reading"] = reading  # of this declaration, not of all
        hamiltonian = reading.hamiltonian
        hamiltonian.physics = replace(hamiltonian.physics, source=str(reading.describe()["words"]))
        return hamiltonian

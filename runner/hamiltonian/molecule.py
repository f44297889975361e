"""Molecules from their geometry: PySCF through qiskit-nature, or hydrogen chains without either."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError
from runner.hamiltonian.fermion import MAPPERS, electronic, hartree_fock_state, remap, sector_energy
from runner.hamiltonian.file import read_text
from runner.hamiltonian.sector import SECTORS
from runner.require import require_choice, require_integer, require_positive

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian


@dataclass(kw_only=True)
class MoleculeGeometry:
    """A molecule in Hartree from atoms and a basis; needs `pip install 'runner[chemistry]'`."""

    name: str
    """Name of the choice."""
    geometry: str = ""
    """Atoms and positions, e.g. `H 0 0 0; H 0 0 0.735`."""
    xyz_file: str = ""
    """An XYZ file instead of geometry, in Å."""
    unit: str = "angstrom"
    """Unit of geometry: angstrom | bohr."""
    basis: str = "sto3g"
    """Basis set, by its PySCF name."""
    charge: int = 0
    """Total charge in elementary charges."""
    spin: int = 0
    """Unpaired electrons: spin up minus spin down."""
    frozen_core: bool = False
    """Keep core electrons doubly occupied."""
    active_space: list[int] = field(default_factory=list)
    """[electrons, orbitals] that stay active around the Fermi level; empty: all."""
    active_orbitals: list[int] = field(default_factory=list)
    """Which orbitals active_space means, counted from 0; empty: those around the Fermi level."""
    mapper: str = "jordan_wigner"
    """jordan_wigner | parity | bravyi_kitaev."""
    sector: str = "electrons"
    """What references and levels are of: electrons (states with these numbers of electrons) | all."""

    def __post_init__(self) -> None:
        if bool(self.geometry) == bool(self.xyz_file):
            raise ConfigError(
                "give either geometry or xyz_file, e.g. 'H 0 0 0; H 0 0 0.735'", key="hamiltonian.geometry"
            )
        require_choice("hamiltonian.unit", self.unit, ("angstrom", "bohr"))
        require_choice("hamiltonian.mapper", self.mapper, MAPPERS)
        require_choice("hamiltonian.sector", self.sector, SECTORS)
        require_integer("hamiltonian.charge", self.charge, -100, 100)
        require_integer("hamiltonian.spin", self.spin, 0, 100)
        if len(self.active_space) not in (0, 2):
            raise ConfigError(
                f"must be [electrons, orbitals], got {self.active_space}; give two numbers",
                key="hamiltonian.active_space",
            )
        for index, count in enumerate(self.active_space):
            require_integer(f"hamiltonian.active_space[{index}]", count, 1, 1000)
        if self.active_orbitals and [len(self.active_orbitals)] != self.active_space[1:]:
            raise ConfigError(
                f"has {len(self.active_orbitals)} orbitals, active_space is {self.active_space}; make them equal",
                key="hamiltonian.active_orbitals",
            )
        for index, orbital in enumerate(self.active_orbitals):
            require_integer(f"hamiltonian.active_orbitals[{index}]", orbital, 0, 1000)
        if self.geometry:
            atoms_of(self.geometry, "hamiltonian.geometry")

    def build(self) -> Hamiltonian:
        """The operator, nuclear repulsion and frozen electrons in the identity term.

        Raises:
            ConfigError: the chemistry extra is not installed, or PySCF does not accept the molecule.
        """
        try:
            from qiskit_nature.second_q.drivers import PySCFDriver
            from qiskit_nature.second_q.mappers import BravyiKitaevMapper, JordanWignerMapper, ParityMapper
            from qiskit_nature.second_q.transformers import ActiveSpaceTransformer, FreezeCoreTransformer
            from qiskit_nature.units import DistanceUnit
        except ImportError as error:
            raise ConfigError(
                "needs qiskit-nature and pyscf; pip install 'runner[chemistry]', or choose h2, lih, hydrogen",
                key="hamiltonian",
            ) from error
        atoms = self.geometry or xyz_atoms(Path(self.xyz_file))
        unit = DistanceUnit.BOHR if self.unit == "bohr" and self.geometry else DistanceUnit.ANGSTROM
        try:
            problem: Any = PySCFDriver(
                atom=atoms, unit=unit, charge=self.charge, spin=self.spin, basis=self.basis
            ).run()
            if self.frozen_core:
                problem = FreezeCoreTransformer().transform(problem)
            if self.active_space:
                problem = ActiveSpaceTransformer(*self.active_space, self.active_orbitals or None).transform(
                    problem
                )
        except Exception as error:  # PySCF and qiskit-nature raise whatever they like on impossible molecules
            reason = " ".join(str(error).split())[:100]
            raise ConfigError(
                f"the chemistry packages refuse it ({reason}); check it", key="hamiltonian"
            ) from error
        mapper = {
            "jordan_wigner": JordanWignerMapper,
            "parity": ParityMapper,
            "bravyi_kitaev": BravyiKitaevMapper,
        }[self.mapper]()
        operator = mapper.map(problem.hamiltonian.second_q_op()).simplify()
        constant = float(sum(problem.hamiltonian.constants.values()))
        electrons = tuple(problem.num_particles)
        return molecular(with_constant(operator, constant), electrons, self.mapper, self.sector)


@dataclass(kw_only=True)
class HydrogenChain:
    """Hydrogen atoms on a line, sto-3g, at any distance; computed here, without the chemistry packages."""

    name: str
    """Name of the choice."""
    atoms: int = 2
    """Number of atoms, even."""
    bond_length: float = 0.735
    """Distance of neighbours in Å."""
    mapper: str = "jordan_wigner"
    """jordan_wigner | parity | bravyi_kitaev."""
    sector: str = "electrons"
    """What references and levels are of: electrons (states with these numbers of electrons) | all."""

    def __post_init__(self) -> None:
        require_integer("hamiltonian.atoms", self.atoms, 2, 6)
        if self.atoms % 2:
            raise ConfigError(f"must be even, got {self.atoms}; add or remove one", key="hamiltonian.atoms")
        require_positive("hamiltonian.bond_length", self.bond_length)
        if not 0.1 <= self.bond_length <= 100:
            raise ConfigError(
                f"must be 0.1 to 100 Å, got {self.bond_length}; change it", key="hamiltonian.bond_length"
            )
        require_choice("hamiltonian.mapper", self.mapper, MAPPERS)
        require_choice("hamiltonian.sector", self.sector, SECTORS)

    def build(self) -> Hamiltonian:
        """The operator in the molecular orbitals of restricted Hartree–Fock."""
        from runner.hamiltonian.hydrogen import molecular_integrals

        one_body, two_body, repulsion = molecular_integrals(self.atoms, self.bond_length)
        operator = remap(electronic(one_body, two_body, repulsion), self.mapper)
        half = self.atoms // 2
        return molecular(operator, (half, half), self.mapper, self.sector)


def molecular(
    operator: SparsePauliOp, electrons: tuple[int, int], mapper: str, sector: str = "electrons"
) -> Hamiltonian:
    """An operator together with its Hartree–Fock state and, where there are few states, its FCI energy."""
    from runner.hamiltonian.operator import Hamiltonian, Physics

    every = sector == "all"
    physics = Physics(
        reference_state=hartree_fock_state(operator.num_qubits, electrons, mapper),
        reference_energy=None if every else sector_energy(operator, electrons, mapper),
        electrons=electrons,
        every_sector=every,
        mapper=mapper,
    )
    return Hamiltonian(operator.paulis, operator.coeffs.real, physics=physics)


def with_constant(operator: SparsePauliOp, constant: float) -> SparsePauliOp:
    """The operator plus a constant in its identity term."""
    from qiskit.quantum_info import SparsePauliOp

    return (operator + SparsePauliOp("I" * operator.num_qubits, constant)).simplify(atol=1e-12)


def atoms_of(geometry: str, key: str) -> int:
    """Number of atoms in `symbol x y z; …`.

    Raises:
        ConfigError: an atom is not a symbol and three numbers.
    """
    atoms = [atom.split() for atom in geometry.split(";") if atom.strip()]
    for index, atom in enumerate(atoms):
        try:
            symbol, *position = atom
            if len([float(value) for value in position]) != 3 or not symbol.isalpha():
                raise ValueError
        except ValueError:
            raise ConfigError(
                f"atom {index + 1} is {' '.join(atom)!r}; write symbol x y z", key=key
            ) from None
    return len(atoms)


def xyz_atoms(path: Path) -> str:
    """The atoms of an XYZ file as `symbol x y z; …`.

    Raises:
        ConfigError: it is not an XYZ file.
    """
    key = "hamiltonian.xyz_file"
    lines = read_text(path, key).splitlines()
    try:
        count = int(lines[0])
    except (IndexError, ValueError) as error:
        raise ConfigError(
            f"{path} does not start with a number of atoms; give an XYZ file", key=key
        ) from error
    geometry = "; ".join(" ".join(line.split()[:4]) for line in lines[2 : 2 + count])
    if count < 1 or atoms_of(geometry, key) != count:
        raise ConfigError(f"{path} says {count} atoms and has others; correct it", key=key)
    return geometry

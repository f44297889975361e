"""Molecules from their geometry: PySCF through qiskit-nature, or hydrogen chains without either."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.alternatives import either
from runner.declare.checks import require_choice, require_integer, require_positive, shorten
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.declared import HARTREE, HamiltonianConfig
from runner.hamiltonian.fermion import (
    MAPPERS,
    check_active_space,
    electronic,
    hartree_fock_state,
    remap,
)
from runner.hamiltonian.geometry import Geometry, inline_geometry, read_geometry
from runner.hamiltonian.integrals import Integrals, integrals_of
from runner.hamiltonian.physics import Physics
from runner.hamiltonian.scale import ROUNDING, collected
from runner.hamiltonian.sector import SECTORS, sector_energy

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

_LARGER = 2.0**40
"""Mapped times this, and divided again to the same bits: qiskit-nature drops what is below 1e-8 on its way."""
DEGENERATE = 1e-6
"""Orbital energies no further apart are equal but for rounding, in Hartree."""
CANONICAL = 1e-5
"""Between orbitals that the Fock operator leaves alone: what an SCF that has converged leaves of it, in Hartree."""
HYDROGEN = "H 0 0 0; H 0 0 0.735"
"""What `molecule` is where nothing else is declared."""


@either(geometry="", xyz_file="", parts={"xyz_file": {"frame": None}})
@dataclass(kw_only=True)
class MoleculeGeometry(HamiltonianConfig):
    """A molecule in Hartree from atoms and a basis; needs `pip install 'session-runner[chemistry]'`."""

    energy_unit = HARTREE

    geometry: str = ""
    """The geometry: atoms and positions, e.g. `Li 0 0 0; H 0 0 1.6`; empty without a file: H2 at 0.735 Å."""
    xyz_file: str = ""
    """An XYZ file instead of geometry."""
    frame: int | None = None
    """Which of several geometries in the file, from 0, −1 is the last; null: there must be one."""
    bond_length: float | None = None
    """Distance of the two atoms of a diatomic instead of the geometry's, in its unit; null: as it is written."""
    unit: str | None = None
    """Unit of all positions, also in a file: angstrom | bohr; null: angstrom, if a file's comment names no other."""
    basis: str = "sto3g"
    """Basis set, by its PySCF name."""
    charge: int | None = None
    """Total charge in elementary charges; null: as the file's comment names it, else 0."""
    spin: int | None = None
    """Unpaired electrons: spin up minus spin down; null: as the file's comment names its multiplicity, else 0."""
    frozen_core: bool = False
    """Keep core electrons doubly occupied."""
    active_space: list[int] = field(default_factory=list)
    """[electrons, orbitals] that stay active around the Fermi level; empty: all."""
    active_orbitals: list[int] = field(default_factory=list)
    """Which orbitals active_space means, from 0 behind frozen ones; empty: those around the Fermi level."""
    mapper: str = "jordan_wigner"
    """jordan_wigner | parity | bravyi_kitaev."""
    sector: str = "electrons"
    """What references and levels are of: electrons (states with these numbers of electrons) | all."""

    def __post_init__(self) -> None:
        if self.geometry and self.xyz_file:
            raise ConfigError(
                "give either geometry or xyz_file, e.g. 'H 0 0 0; H 0 0 0.735'", key="hamiltonian.geometry"
            )
        if self.frame is not None:
            require_integer("hamiltonian.frame", self.frame)
            if not self.xyz_file:
                raise ConfigError(
                    "is of xyz_file, and there is none; set it to null", key="hamiltonian.frame"
                )
        if self.bond_length is not None:
            require_positive("hamiltonian.bond_length", self.bond_length)
        if self.unit is not None:
            require_choice("hamiltonian.unit", self.unit, ("angstrom", "bohr"))
        require_choice("hamiltonian.mapper", self.mapper, MAPPERS)
        require_choice("hamiltonian.sector", self.sector, SECTORS)
        if self.charge is not None:
            require_integer("hamiltonian.charge", self.charge, -100, 100)
        if self.spin is not None:
            require_integer("hamiltonian.spin", self.spin, 0, 100)
        check_active_space(self.active_space, self.active_orbitals)
        if not self.xyz_file:
            self.atoms()  # what is written inline is checked before anything is imported

    @property
    def read_from(self) -> Sequence[Path]:
        """The file, where there is one."""
        return (Path(self.xyz_file),) if self.xyz_file else ()

    def build(self) -> Hamiltonian:
        """The operator, nuclear repulsion and frozen electrons in the identity term.

        Raises:
            ConfigError: the chemistry extra is not installed, or PySCF does not accept the molecule.
        """
        problem = self._problem()
        source = self.atoms().described if self.xyz_file else None
        return mapped(problem, self.mapper, self.sector, source=source)

    def integrals(self) -> Integrals | None:
        """The same over orbitals, nuclear repulsion and frozen electrons in the constant.

        Raises:
            ConfigError: see `build`.
        """
        return integrals_of(self._problem(), self.mapper)

    def _problem(self) -> Any:
        """The qiskit-nature problem of the electrons that stay active."""
        chemistry()
        from qiskit_nature.second_q.drivers import PySCFDriver
        from qiskit_nature.second_q.transformers import FreezeCoreTransformer
        from qiskit_nature.units import DistanceUnit

        atoms = self.atoms()
        charge, spin = self.charge_and_spin()
        unit = DistanceUnit.BOHR if self.unit == "bohr" else DistanceUnit.ANGSTROM
        try:
            problem: Any = PySCFDriver(
                atom=atoms.text, unit=unit, charge=charge, spin=spin, basis=self.basis
            ).run()
            core = (
                FreezeCoreTransformer().count_core_orbitals(problem.molecule.symbols)
                if self.frozen_core
                else 0
            )
            return active(problem, core, self.active_space, self.active_orbitals)
        except ConfigError:
            raise
        except Exception as error:  # PySCF and qiskit-nature raise whatever they like on impossible molecules
            reason = " ".join(str(error).split())[:100]
            raise ConfigError(
                f"the chemistry packages refuse it ({reason}); check it", key="hamiltonian"
            ) from error

    def atoms(self) -> Geometry:
        """The declared atoms, or the file's.

        Raises:
            ConfigError: they cannot be read, or are not two where a bond length is declared.
        """
        if self.xyz_file:
            found = read_geometry(Path(self.xyz_file), "hamiltonian.xyz_file", self.frame)
            if found.bohr and self.unit is None:
                told = (
                    f"the comment of {self.xyz_file} names Bohr; say hamiltonian.unit=bohr if the positions are in it, "
                    "else hamiltonian.unit=angstrom"
                )
                raise ConfigError(told, key="hamiltonian.unit")
        else:
            found = inline_geometry(self.geometry or HYDROGEN, "hamiltonian.geometry")
        return found if self.bond_length is None else found.stretched(self.bond_length)

    def charge_and_spin(self) -> tuple[int, int]:
        """As declared, else as the file's comment has them.

        Raises:
            ConfigError: the two differ, or the comment may mean something that is not declared.
        """
        atoms = self.atoms()
        stated = {
            "charge": (self.charge, atoms.charge),
            "spin": (self.spin, None if atoms.multiplicity is None else atoms.multiplicity - 1),
        }
        for name, (declared, written) in stated.items():
            if None not in (declared, written) and declared != written:
                told = f"is {declared}, and the comment of {self.xyz_file} means {written}; make them equal"
                raise ConfigError(told, key=f"hamiltonian.{name}")
        if atoms.suspected not in (None, "0 1") and None in (self.charge, self.spin):
            told = (
                f"{self.xyz_file} has the comment {shorten(atoms.suspected, 60)!r}, which may be about charge and "
                "multiplicity; declare both, e.g. hamiltonian.charge=0 hamiltonian.spin=0"
            )
            raise ConfigError(told, key="hamiltonian.xyz_file")
        charge, spin = (next((v for v in pair if v is not None), 0) for pair in stated.values())
        return charge, spin


def chemistry() -> None:
    """Find the packages that molecules and integrals need.

    Raises:
        ConfigError: the chemistry extra is not installed.
    """
    from importlib.util import find_spec

    if find_spec("qiskit_nature") is None or find_spec("pyscf") is None:
        raise ConfigError(
            "needs qiskit-nature and pyscf; pip install 'session-runner[chemistry]', or choose h2, lih, hydrogen",
            key="hamiltonian",
        )


def active(problem: Any, frozen: int, space: Sequence[int], orbitals: Sequence[int]) -> Any:
    """A qiskit-nature problem with fewer orbitals, its number of unpaired electrons kept.

    As PySCF's CASCI on orbitals sorted by `sort_mo`: the lowest of those that are not active hold the other electrons
    in pairs. In one step and with electrons up and down: qiskit-nature loses the constant of the first of two active
    spaces, and pairs up the electrons of an open shell.

    Args:
        problem: all orbitals and electrons.
        frozen: number of lowest orbitals that stay doubly occupied.
        space: [electrons, orbitals] that stay active among the others; empty: all of them.
        orbitals: which they are, filled in this order, the first that is not frozen is 0; empty: those around
            the Fermi level.

    Raises:
        ConfigError: the electrons that stay behind do not pair up, or there are too few electrons or orbitals.
    """
    import numpy as np
    from qiskit_nature.second_q.transformers import ActiveSpaceTransformer

    (up, down), count = problem.num_particles, int(problem.num_spatial_orbitals)
    if not frozen and not space:
        return problem
    if frozen > min(up, down):
        told = f"freezes {frozen} orbitals, and there are {up} + {down} electrons; lower it"
        raise ConfigError(told, key="hamiltonian.frozen_core")
    left = up + down - 2 * frozen
    electrons, size = space or (left, count - frozen)
    pairs, odd = divmod(left - electrons, 2)
    if odd or not 0 <= pairs <= min(up, down) - frozen:
        raise ConfigError(
            f"leaves {left - electrons} of {left} electrons behind, which do not pair up; give e.g. [{left}, {size}]",
            key="hamiltonian.active_space",
        )
    pairs += frozen
    _require_room(electrons, size, count - frozen, max(up, down) - pairs, pairs - frozen)
    if orbitals and max(orbitals) >= count - frozen:
        counted = ", frozen ones not counted" if frozen else ""
        told = f"names {max(orbitals)}, and they are 0 to {count - frozen - 1}{counted}; choose among these"
        raise ConfigError(told, key="hamiltonian.active_orbitals")
    chosen = [frozen + orbital for orbital in orbitals] or list(range(pairs, pairs + size))
    core = [orbital for orbital in range(count) if orbital not in chosen][:pairs]
    if orbitals:
        _warn_of_another_filling(chosen, core, frozen, up, down)
    _warn_of_cut_levels(problem, core, chosen)
    filled = np.zeros((2, count))
    filled[:, core] = 1.0
    for spin, number in zip(filled, (up, down), strict=True):
        spin[chosen[: number - pairs]] = 1.0
    # the transformer fills the active orbitals, and takes for core, what is told as occupied here
    problem.orbital_occupations, problem.orbital_occupations_b = filled
    return ActiveSpaceTransformer((up - pairs, down - pairs), size, chosen).transform(problem)


def _require_room(electrons: int, size: int, orbitals: int, of_a_spin: int, pairs: int) -> None:
    """Refuse more active orbitals than there are beside those of the pairs, and fewer than one spin's electrons."""
    if not of_a_spin <= size <= orbitals - pairs:
        told = (
            f"is [{electrons}, {size}], and {electrons} electrons take {of_a_spin} to {orbitals - pairs} orbitals "
            f"here; give e.g. [{electrons}, {min(max(of_a_spin, size), orbitals - pairs)}]"
        )
        raise ConfigError(told, key="hamiltonian.active_space")


def _warn_of_another_filling(
    chosen: Sequence[int], core: Sequence[int], frozen: int, up: int, down: int
) -> None:
    """Say so where other orbitals are left empty, or stay doubly occupied, than in the Hartree–Fock state."""
    if list(chosen) != sorted(chosen):
        first, lower = ([orbital - frozen for orbital in those] for those in (chosen, sorted(chosen)))
        warnings.warn(
            f"hamiltonian.active_orbitals: {first} are filled from the first on, in the Hartree–Fock state too; write "
            f"{lower} for the lowest first",
            ConfigWarning,
            stacklevel=4,
        )
    outside = {*range(max(up, down))} - {*chosen, *core}
    words = [
        f"{verb} orbital {', '.join(str(orbital - frozen) for orbital in sorted(those))} {how}"
        for verb, how, those in (
            ("leaves", "empty", outside),
            ("keeps", "doubly occupied", {orbital for orbital in core if orbital >= min(up, down)}),
        )
        if those
    ]
    if words:
        warnings.warn(
            f"hamiltonian.active_orbitals: {' and '.join(words)}, unlike Hartree–Fock; if that is not meant, choose "
            "other orbitals, or another number of electrons in active_space",
            ConfigWarning,
            stacklevel=4,
        )


def _warn_of_cut_levels(problem: Any, core: Sequence[int], chosen: Sequence[int]) -> None:
    """Say so where an active space parts orbitals of one energy: which of them come first there is chance."""
    energies = _orbital_energies(problem)
    kinds = {
        orbital: "core" if orbital in core else "active" if orbital in chosen else "left out"
        for orbital in range(len(energies))
    }
    levels: list[list[int]] = []
    for orbital in sorted(kinds, key=lambda one: float(energies[one])):
        if levels and energies[orbital] - energies[levels[-1][-1]] <= DEGENERATE:
            levels[-1].append(orbital)
        else:
            levels.append([orbital])
    for level in levels:
        if len({kinds[orbital] for orbital in level}) > 1:
            told = ", ".join(f"{orbital} is {kinds[orbital]}" for orbital in sorted(level))
            warnings.warn(
                f"hamiltonian: parts orbitals of one energy, {energies[level[0]]:.6f} Hartree ({told}, all counted "
                "from 0); which comes first is chance, and so may the result be; keep them together by active_space",
                ConfigWarning,
                stacklevel=4,
            )


def _orbital_energies(problem: Any) -> Sequence[float]:
    """Those of the SCF, in Hartree; of integrals without them the closed shell's, where its orbitals have energies."""
    import numpy as np
    from qiskit_nature.second_q.operators import ElectronicIntegrals

    if problem.orbital_energies is not None:
        return [float(energy) for energy in problem.orbital_energies]
    (up, down), count = problem.num_particles, int(problem.num_spatial_orbitals)
    if up != down or not problem.hamiltonian.electronic_integrals.beta.is_empty():
        return []
    filled = np.diag((np.arange(count) < up) * 1.0)
    fock = problem.hamiltonian.fock(ElectronicIntegrals.from_raw_integrals(filled, h1_b=filled))
    matrix = np.asarray(fock.alpha["+-"].array)
    energies = np.diag(matrix)
    return [] if np.abs(matrix - np.diag(energies)).max() > CANONICAL else [float(one) for one in energies]


def mapped(problem: Any, mapper: str, sector: str, *, source: str | None = None) -> Hamiltonian:
    """A qiskit-nature problem on qubits, its constants in the identity term; `source` as for `molecular`."""
    from qiskit.quantum_info import SparsePauliOp
    from qiskit_nature.second_q.hamiltonians import ElectronicEnergy
    from qiskit_nature.second_q.mappers import BravyiKitaevMapper, JordanWignerMapper, ParityMapper

    kinds = {
        "jordan_wigner": JordanWignerMapper,
        "parity": ParityMapper,
        "bravyi_kitaev": BravyiKitaevMapper,
    }
    energies = ElectronicEnergy(_LARGER * problem.hamiltonian.electronic_integrals).second_q_op()
    largest = max(map(abs, energies.values()), default=0.0)
    larger = kinds[mapper]().map(energies.chop(ROUNDING * largest))
    operator = SparsePauliOp(larger.paulis, larger.coeffs / _LARGER)
    constant = float(sum(problem.hamiltonian.constants.values()))
    up, down = problem.num_particles
    operator = with_constant(operator, constant)
    return molecular(operator, (up, down), mapper, sector, integrals_of(problem, mapper), source=source)


@dataclass(kw_only=True)
class HydrogenChain(HamiltonianConfig):
    """Hydrogen atoms on a line, sto-3g, at any distance; computed here, without the chemistry packages."""

    energy_unit = HARTREE

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
        integrals = Integrals(one_body, two_body, repulsion, (half, half), self.mapper)
        return molecular(operator, (half, half), self.mapper, self.sector, integrals)

    def integrals(self) -> Integrals:
        """The same over these orbitals."""
        from runner.hamiltonian.hydrogen import molecular_integrals

        half = self.atoms // 2
        return Integrals(*molecular_integrals(self.atoms, self.bond_length), (half, half), self.mapper)


def molecular(
    operator: SparsePauliOp,
    electrons: tuple[int, int],
    mapper: str,
    sector: str = "electrons",
    integrals: Integrals | None = None,
    *,
    source: str | None = None,
) -> Hamiltonian:
    """An operator together with its Hartree–Fock state and, where there are few states, its FCI energy.

    `integrals` are what it was made of, and `source` says what its file was read as.
    """
    from runner.hamiltonian.operator import Hamiltonian

    every = sector == "all"
    physics = Physics(
        reference_state=hartree_fock_state(operator.num_qubits, electrons, mapper),
        reference_energy=None if every else sector_energy(operator, electrons, mapper),
        electrons=electrons,
        every_sector=every,
        mapper=mapper,
        source=source,
        integrals=integrals,
    )
    return Hamiltonian(operator.paulis, operator.coeffs.real, physics=physics)


def with_constant(operator: SparsePauliOp, constant: float) -> SparsePauliOp:
    """The operator plus a constant in its identity term."""
    from qiskit.quantum_info import SparsePauliOp

    return collected(operator + SparsePauliOp("I" * operator.num_qubits, constant))

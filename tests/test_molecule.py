"""Molecules: fermions as qubits, hydrogen chains in closed form, and PySCF where it is installed."""

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.fermion import MAPPERS, ladder, product, remap
from runner.hamiltonian.molecule import HydrogenChain, MoleculeGeometry
from runner.hamiltonian.sector import sector_energy
from tests.choices import choice
from tests.test_hamiltonian import bits_state, lowest


def test_ladder_operators_anticommute():
    """{a_p, a†_q} = δ_pq and {a_p, a_q} = 0 on four orbitals."""
    for p in range(4):
        for q in range(4):
            down, up = product([(p, False)], 4), product([(q, True)], 4)
            expected = SparsePauliOp("IIII", float(p == q))
            assert ((down @ up) + (up @ down) - expected).simplify().coeffs == pytest.approx([0])
            other = ladder(q, 4, creates=False)
            assert ((down @ other) + (other @ down)).simplify().coeffs == pytest.approx([0])


def test_hydrogen_at_equilibrium():
    """The integrals computed here give the shipped H2, digit by digit."""
    computed = HydrogenChain(name="h", bond_length=0.735).build()
    shipped = choice("hamiltonian", "h2")

    assert computed.physics.reference_energy == pytest.approx(shipped.reference_energy, abs=1e-9)
    energy = bits_state(computed.physics.reference_state).expectation_value(computed).real
    assert energy == pytest.approx(shipped.hartree_fock_energy, abs=1e-9)


@pytest.mark.parametrize(
    ("atoms", "distance", "fci"),
    [(2, 0.4, -0.9141497), (2, 1.5, -0.9981494), (2, 2.5, -0.9360549), (4, 0.9, -2.1803166)],
)
def test_hydrogen_chains_have_the_fci_energies_of_pyscf(atoms, distance, fci):
    """Reference values from PySCF 2.14."""
    assert HydrogenChain(
        name="h", atoms=atoms, bond_length=distance
    ).build().physics.reference_energy == pytest.approx(fci, abs=1e-6)


def test_stretched_hydrogen_falls_apart_into_atoms():
    """Far apart, H2 has twice the energy of the sto-3g atom, −0.46658 Ha."""
    energy = HydrogenChain(name="h", bond_length=20.0).build().physics.reference_energy

    assert energy == pytest.approx(2 * -0.46658, abs=1e-4)


@pytest.mark.parametrize("mapper", MAPPERS)
def test_mappings_share_the_spectrum(mapper):
    """Energies, the Hartree–Fock state and the FCI sector do not depend on the mapping."""
    reference = HydrogenChain(name="h").build()
    mapped = HydrogenChain(name="h", mapper=mapper).build()

    spectra = [np.linalg.eigvalsh(operator.to_matrix()) for operator in (reference, mapped)]
    assert spectra[0] == pytest.approx(spectra[1])
    assert sector_energy(mapped, (1, 1), mapper) == pytest.approx(lowest(reference))
    energy = bits_state(mapped.physics.reference_state).expectation_value(mapped).real
    assert energy == pytest.approx(choice("hamiltonian", "h2").hartree_fock_energy)


def test_mappings_agree_with_qiskit_nature():
    """Parity and Bravyi–Kitaev of a†₀a₃ + h.c. equal qiskit-nature's, where that is installed."""
    mappers = pytest.importorskip("qiskit_nature.second_q.mappers")
    fermions = pytest.importorskip("qiskit_nature.second_q.operators")
    theirs = fermions.FermionicOp({"+_0 -_3": 1.0, "+_3 -_0": 1.0}, num_spin_orbitals=6)
    ours = product([(0, True), (3, False)], 6) + product([(3, True), (0, False)], 6)

    assert remap(ours, "parity").equiv(mappers.ParityMapper().map(theirs))
    assert remap(ours, "bravyi_kitaev").equiv(mappers.BravyiKitaevMapper().map(theirs))


def test_sector_energy_counts_electrons():
    """The sector without electrons has the nuclear repulsion alone."""
    operator = choice("hamiltonian", "h2").build()

    assert sector_energy(operator, (0, 0), "jordan_wigner") == pytest.approx(0.7199689944)
    assert sector_energy(operator, (1, 1), "jordan_wigner") == pytest.approx(-1.137306, abs=1e-6)


GEOMETRIES = {
    "h2": {"geometry": "H 0 0 0; H 0 0 0.735"},
    "h4": {"geometry": "H 0 0 0; H 0 0 0.9; H 0 0 1.8; H 0 0 2.7"},
    "lih": {"geometry": "Li 0 0 0; H 0 0 1.6", "frozen_core": True},
    "lih_4q": {"geometry": "Li 0 0 0; H 0 0 1.6", "active_space": [2, 2], "active_orbitals": [1, 5]},
    "beh2": {
        "geometry": "H 0 0 -1.33; Be 0 0 0; H 0 0 1.33",
        "active_space": [4, 4],
        "active_orbitals": [1, 2, 5, 6],
    },
    "h2o": {"geometry": "O 0 0 0; H 0 0.757797 0.586749; H 0 -0.757797 0.586749", "active_space": [4, 4]},
}


@pytest.mark.parametrize("name", list(GEOMETRIES))
def test_shipped_coefficients_are_those_of_pyscf(name):
    """The spectrum's bottom, the Hartree–Fock energy and the sizes of terms agree with a fresh calculation."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    shipped = choice("hamiltonian", name)
    computed = MoleculeGeometry(name="molecule", **GEOMETRIES[name]).build()

    assert computed.physics.reference_energy == pytest.approx(shipped.reference_energy, abs=1e-6)
    sizes = [np.sort(np.abs(operator.coeffs)) for operator in (computed, shipped.build())]
    assert sizes[0] == pytest.approx(sizes[1], abs=1e-6)


@pytest.mark.parametrize("mapper", MAPPERS)
def test_molecules_come_in_every_mapping(mapper):
    """The reference state has the Hartree–Fock energy whatever the mapping of qiskit-nature."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    operator = MoleculeGeometry(name="molecule", mapper=mapper, **GEOMETRIES["h2"]).build()

    energy = bits_state(operator.physics.reference_state).expectation_value(operator).real
    assert energy == pytest.approx(choice("hamiltonian", "h2").hartree_fock_energy, abs=1e-8)
    assert operator.physics.reference_energy == pytest.approx(-1.137306, abs=1e-6)


def test_an_xyz_file_is_a_geometry(tmp_path):
    """Number of atoms, a comment, and a line for each."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    (tmp_path / "h2.xyz").write_text("2\nhydrogen\nH 0 0 0\nH 0 0 0.735\n")
    operator = MoleculeGeometry(name="molecule", xyz_file=str(tmp_path / "h2.xyz")).build()

    assert operator.physics.reference_energy == pytest.approx(-1.137306, abs=1e-6)


def test_bond_length_moves_the_second_atom():
    """LiH at 1.6 Å declared at 1.0 and stretched: PySCF 2.14's FCI of the geometry written out, −7.882324379 Ha."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    stretched = MoleculeGeometry(name="m", geometry="Li 0 0 0; H 0 0 1.0", bond_length=1.6).build()

    assert stretched.physics.reference_energy == pytest.approx(-7.882324379, abs=1e-6)


def test_charge_and_spin_come_from_the_comment_or_the_declaration(tmp_path):
    """Named ones count; others than declared, or two bare integers, are refused."""
    atoms = "\nHe 0 0 0\nH 0 0 0.774\n"
    named, bare = tmp_path / "named.xyz", tmp_path / "bare.xyz"
    named.write_text("2\ncharge=1" + atoms)
    bare.write_text("2\n1 1" + atoms)

    with pytest.raises(ConfigError, match=r"hamiltonian.charge: is 0, and the comment of .* means 1"):
        MoleculeGeometry(name="m", xyz_file=str(named), charge=0).charge_and_spin()
    with pytest.raises(ConfigError, match=r"may be about charge and multiplicity; declare both"):
        MoleculeGeometry(name="m", xyz_file=str(bare)).charge_and_spin()
    assert MoleculeGeometry(name="m", xyz_file=str(named)).charge_and_spin() == (1, 0)
    assert MoleculeGeometry(name="m", xyz_file=str(bare), charge=1, spin=0).charge_and_spin() == (1, 0)


def test_without_the_extra_the_remedy_is_told(monkeypatch):
    """What to install, and what to choose instead."""
    monkeypatch.setitem(__import__("sys").modules, "qiskit_nature", None)
    monkeypatch.setitem(__import__("sys").modules, "qiskit_nature.second_q.drivers", None)

    with pytest.raises(ConfigError, match=r"pip install 'session-runner\[chemistry\]', or choose h2"):
        choice("hamiltonian", "molecule").build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"geometry": "H 0 0 0", "xyz_file": "a.xyz"},
            "hamiltonian.geometry: give either geometry or xyz_file",
        ),
        ({"frame": 1}, "hamiltonian.frame: is of xyz_file, and there is none"),
        ({"bond_length": -1.0}, "hamiltonian.bond_length: must be above 0"),
        ({"bond_length": 1.0, "geometry": "H 0 0 0"}, "hamiltonian.bond_length: .* the geometry has 1"),
        ({"geometry": "H 0 0; H 0 0 1"}, "hamiltonian.geometry: atom 1 is 'H 0 0'"),
        ({"geometry": "H 0 0 zero"}, "atom 1 is 'H 0 0 zero'"),
        ({"unit": "meter"}, "hamiltonian.unit: unknown choice 'meter'"),
        ({"mapper": "jordan"}, "hamiltonian.mapper: .*did you mean 'jordan_wigner'"),
        ({"spin": -1}, "hamiltonian.spin: must be at least 0"),
        ({"active_space": [2]}, "hamiltonian.active_space: must be"),
        ({"active_space": [2, 2], "active_orbitals": [0]}, "hamiltonian.active_orbitals: has 1 orbitals"),
        ({"active_space": [2, 2], "active_orbitals": [1, 1]}, "hamiltonian.active_orbitals: names one twice"),
        ({"active_space": [2, 0]}, r"hamiltonian.active_space\[1\]: must be at least 1"),
    ],
)
def test_bad_molecules_are_refused(changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "molecule", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"atoms": 3}, "hamiltonian.atoms: must be even, got 3"),
        ({"bond_length": 0.0}, "hamiltonian.bond_length: must be above 0"),
        ({"bond_length": 1e3}, "hamiltonian.bond_length: must be 0.1 to 100 Å"),
    ],
)
def test_bad_chains_are_refused(changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "hydrogen", **changes)


def test_an_open_shell_keeps_its_unpaired_electrons() -> None:
    """Triplet oxygen, core frozen, six electrons in four orbitals: PySCF's CASCI, four electrons up and two down."""
    gto, scf, mcscf = (pytest.importorskip(f"pyscf.{name}") for name in ("gto", "scf", "mcscf"))
    atoms = "O 0 0 0; O 0 0 1.2"
    built = choice(
        "hamiltonian", "molecule", geometry=atoms, spin=2, frozen_core=True, active_space=[6, 4]
    ).build()
    molecule = gto.M(atom=atoms, basis="sto3g", spin=2, verbose=0)

    assert built.physics.electrons == (4, 2)
    expected = mcscf.CASCI(scf.RHF(molecule).run(), 4, 6).kernel()[0]
    assert built.physics.reference_energy == pytest.approx(expected, abs=1e-7)


LIH, WATER = "Li 0 0 0; H 0 0 1.6", "O 0 0 0; H 0 0.757797 0.586749; H 0 -0.757797 0.586749"


@pytest.mark.filterwarnings("ignore::runner.errors.ConfigWarning")
@pytest.mark.parametrize(
    ("atoms", "space", "orbitals", "core", "spin"),
    [
        (LIH, [4, 3], [1, 2, 3], 0, 0),
        (LIH, [2, 2], [0, 1], 0, 0),
        (LIH, [2, 2], [2, 3], 0, 0),
        (LIH, [2, 2], [0, 4], 1, 0),
        (WATER, [4, 3], [2, 4, 5], 1, 0),
        ("O 0 0 0; O 0 0 1.2", [6, 4], [4, 5, 6, 7], 0, 2),
        ("O 0 0 0; O 0 0 1.2", [4, 3], [4, 5, 7], 2, 2),
    ],
)
def test_active_orbitals_hold_the_electrons_that_are_declared(atoms, space, orbitals, core, spin):
    """PySCF's CASCI on orbitals sorted by `sort_mo`, which counts all of them; frozen ones are not counted here."""
    gto, scf, mcscf = (pytest.importorskip(f"pyscf.{name}") for name in ("gto", "scf", "mcscf"))
    pytest.importorskip("qiskit_nature")
    built = MoleculeGeometry(
        name="m",
        geometry=atoms,
        spin=spin,
        frozen_core=core > 0,
        active_space=space,
        active_orbitals=orbitals,
    ).build()
    method = mcscf.CASCI(
        scf.RHF(gto.M(atom=atoms, basis="sto3g", spin=spin, verbose=0)).run(), space[1], space[0]
    )
    expected = method.kernel(method.sort_mo([core + orbital for orbital in orbitals], base=0))[0]

    assert built.physics.reference_energy == pytest.approx(expected, abs=1e-7)
    assert sum(built.physics.electrons) == space[0]
    assert built.physics.electrons[0] - built.physics.electrons[1] == spin


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"geometry": LIH, "active_orbitals": [2, 3]}, "active_orbitals: leaves orbital 1 empty, unlike"),
        (
            {"geometry": LIH, "active_orbitals": [0, 1]},
            "active_orbitals: keeps orbital 2 doubly occupied, unlike",
        ),
        (
            {"geometry": LIH, "active_orbitals": [5, 1]},
            r"\[5, 1\] are filled from the first .* write \[1, 5\]",
        ),
        ({"geometry": "N 0 0 0; N 0 0 1.3"}, r"one energy, -0.45\d+ Hartree \(5 is core, 6 is active, "),
        ({"geometry": "N 0 0 0; N 0 0 1.3"}, r"one energy, 0.20\d+ Hartree \(7 is active, 8 is left out, "),
    ],
)
def test_an_active_space_that_may_not_be_meant_is_warned_of(changes, message):
    """LiH has occupied orbitals 0 and 1 of six; N2 has its π pairs at 5, 6 and 7, 8 (PySCF's orbital energies)."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    with pytest.warns(ConfigWarning, match=message):
        MoleculeGeometry(name="m", active_space=[2, 2], **changes).build()


def test_whole_levels_are_not_warned_of(recwarn):
    """All four π electrons of N2 in both pairs; with the core frozen too, and LiH without its empty π pair."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    for frozen in (False, True):
        MoleculeGeometry(
            name="m", geometry="N 0 0 0; N 0 0 1.3", active_space=[4, 4], frozen_core=frozen
        ).build()
    MoleculeGeometry(name="m", **GEOMETRIES["lih_4q"]).build()

    assert not [one for one in recwarn if issubclass(one.category, ConfigWarning)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"active_space": [2, 2], "active_orbitals": [1, 9]},
            "active_orbitals: names 9, and they are 0 to 5; ",
        ),
        (
            {"active_space": [2, 2], "active_orbitals": [1, 5], "frozen_core": True},
            "active_orbitals: names 5, and they are 0 to 4, frozen ones not counted; ",
        ),
        (
            {"active_space": [2, 9]},
            r"active_space: is \[2, 9\], and 2 electrons take 1 to 5 .*give e.g. \[2, 5\]",
        ),
        (
            {"active_space": [4, 1]},
            r"active_space: is \[4, 1\], and 4 electrons take 2 to 6 .*give e.g. \[4, 2\]",
        ),
    ],
)
def test_active_spaces_that_do_not_fit_are_refused(changes, message):
    """LiH has four electrons and six orbitals in sto-3g."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    with pytest.raises(ConfigError, match=message):
        MoleculeGeometry(name="m", geometry=LIH, **changes).build()


def test_a_unit_in_the_comment_has_to_be_declared(tmp_path):
    """A file in Bohr read in Å would be another molecule."""
    path = tmp_path / "b.xyz"
    path.write_text("2\nunits=bohr\nH 0 0 0\nH 0 0 1.4\n")
    with pytest.raises(ConfigError, match=r"hamiltonian.unit: .* names Bohr; say hamiltonian.unit=bohr"):
        MoleculeGeometry(name="m", xyz_file=str(path)).atoms()

    assert MoleculeGeometry(name="m", xyz_file=str(path), unit="bohr").atoms().atoms[1][1] == (0.0, 0.0, 1.4)


@pytest.mark.parametrize(
    "comment", ["charge -1 multiplicity 2", "CHARGE -1", "q=-1 m=2", "net_charge=1", "nelec=3"]
)
def test_electrons_in_other_words_have_to_be_declared(comment, tmp_path):
    """What may be about the number of electrons is not left out; declared, it counts for nothing."""
    path = tmp_path / "c.xyz"
    path.write_text(f"2\n{comment}\nH 0 0 0\nH 0 0 0.74\n")
    with pytest.raises(ConfigError, match="may be about charge and multiplicity; declare both"):
        MoleculeGeometry(name="m", xyz_file=str(path)).charge_and_spin()

    assert MoleculeGeometry(name="m", xyz_file=str(path), charge=-1, spin=1).charge_and_spin() == (-1, 1)

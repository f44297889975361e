"""FCIDUMP files: the energies that PySCF's full configuration interaction has for the same integrals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from runner.errors import ConfigError, ConfigWarning
from tests.choices import choice
from tests.damage import refused_and_right

pyscf = pytest.importorskip("pyscf")
for part in ("ao2mo", "fci", "gto", "mcscf", "scf", "tools.fcidump"):
    pytest.importorskip(f"pyscf.{part}")
pytest.importorskip("qiskit_nature")

H2 = """ &FCI NORB=   2,NELEC= 2,MS2=0,
  ORBSYM=1,1,
  ISYM=1,
 &END
 0.6445526551265948    1    1    1    1
 0.6370806298950304    1    1    2    2
 0.1905716937592648    2    1    2    1
 0.6370806298950304    2    2    1    1
 0.6694850379321626    2    2    2    2
 -1.162220687473326    1    1  0  0
 -0.5551123198201341    2    2  0  0
 0.5879746788  0  0  0  0
"""
"""Hydrogen at 0.9 Å, sto-3g; full configuration interaction gives −1.1205602813 Ha (PySCF)."""
ENERGY = -1.1205602813
HEADER = H2[: H2.index("0.6445")]


def read(path: Path, content: str, **changes):
    """The declaration of a file with this content, and its Hamiltonian."""
    path.write_text(content)
    declared = choice("hamiltonian", "file", path=str(path), **changes)
    return declared, declared.build()


@pytest.mark.parametrize(
    "header",
    [
        "&FCI NORB=2,NELEC=2,MS2=0, / \n",
        "&FCI NORB=2,NELEC=2,MS2=0, &END\n",
        "&fci norb=2, nelec=2, ms2=0 /\n",
        "$FCI NORB=2,NELEC=2,MS2=0\n ORBSYM=1,5\n ISYM=1\n$END\n",
        "&FCI\n NORB = 2\n NELEC = 2\n ORBSYM = 2*1\n/ &END\n",
        "&FCI NORB=  2,NELEC=  2,MS2= 0,UHF=.FALSE.,ORBSYM=1,5,ISYM=1,NPROP= 1 1 1,\n&END\n",
    ],
)
def test_the_namelist_has_many_layouts(tmp_path: Path, header: str) -> None:
    """Commas, blanks, lines, both ends; exponents with D: the energy of H2."""
    text = header + H2[len(HEADER) :].replace("0.5879746788", "0.05879746788D+01")
    declared, hamiltonian = read(tmp_path / "x.txt", text)

    assert hamiltonian.physics.reference_energy == pytest.approx(ENERGY, abs=1e-9)
    assert hamiltonian.physics.electrons == (1, 1)
    assert declared.reading.describe()["words"].startswith(
        "FCIDUMP (jordan_wigner, 1 up, 1 down): 4 qubits, 15 terms"
    )


@pytest.mark.parametrize("mapper", ["jordan_wigner", "parity", "bravyi_kitaev"])
def test_every_mapper_has_the_same_spectrum(tmp_path: Path, mapper: str) -> None:
    """All sixteen levels of H2, and the sector's lowest."""
    _, plain = read(tmp_path / "x", H2)
    _, mapped = read(tmp_path / "x", H2, mapper=mapper)

    assert mapped.physics.reference_energy == pytest.approx(ENERGY, abs=1e-9)
    assert np.allclose(
        np.linalg.eigvalsh(mapped.to_matrix()), np.linalg.eigvalsh(plain.to_matrix()), atol=1e-12
    )


@pytest.fixture(scope="module")
def chain():
    """Four hydrogen atoms: PySCF's restricted Hartree–Fock."""
    molecule = pyscf.gto.M(atom="H 0 0 0; H 0 0 0.9; H 0 0 1.8; H 0 0.1 2.8", basis="sto-3g", verbose=0)
    return pyscf.scf.RHF(molecule).run()


@pytest.mark.parametrize(
    ("changes", "orbitals", "electrons"),
    [
        ({}, 4, 4),
        ({"frozen_core": 1}, 3, 2),
        ({"active_space": [2, 2]}, 2, 2),
        ({"frozen_core": 1, "active_space": [2, 2]}, 2, 2),
    ],
)
def test_frozen_orbitals_and_active_spaces(
    tmp_path: Path, chain, changes, orbitals: int, electrons: int
) -> None:
    """What PySCF writes, and the CASCI energies that PySCF has for it."""
    pyscf.tools.fcidump.from_scf(chain, str(tmp_path / "x"))
    expected = pyscf.mcscf.CASCI(chain, orbitals, electrons).kernel()[0]
    _, hamiltonian = read(tmp_path / "x", (tmp_path / "x").read_text(), **changes)

    assert hamiltonian.num_qubits == 2 * orbitals
    assert hamiltonian.physics.reference_energy == pytest.approx(expected, abs=1e-9)


@pytest.fixture(scope="module")
def radical():
    """H3 in unrestricted orbitals: integrals by spin, and PySCF's full configuration interaction."""
    molecule = pyscf.gto.M(atom="H 0 0 0; H 0 0 1; H 0 0.9 2.1", basis="sto-3g", spin=1, verbose=0)
    field = pyscf.scf.UHF(molecule).run()
    up, down = field.mo_coeff
    core = field.get_hcore()
    one = {"a": up.T @ core @ up, "b": down.T @ core @ down}
    orbitals = {"a": up, "b": down}
    two = {
        spins: pyscf.ao2mo.general(molecule, [orbitals[spin] for spin in spins for _ in "12"], compact=False)
        for spins in ("aa", "bb", "ab")
    }
    two = {spins: array.reshape((3,) * 4) for spins, array in two.items()}
    energy, _ = pyscf.fci.direct_uhf.FCI(molecule).kernel(
        (one["a"], one["b"]), (two["aa"], two["ab"], two["bb"]), 3, molecule.nelec
    )
    return one, two, molecule.energy_nuc(), energy + molecule.energy_nuc()


def integral_lines(values: np.ndarray, *places: Callable[[int], int]) -> Iterator[str]:
    """All of an array's elements that real orbitals' pair symmetry leaves, `value i j k l`."""
    for index in np.ndindex(values.shape):
        if all(index[pair] >= index[pair + 1] for pair in range(0, len(index), 2)):
            shown = [places[position // 2](orbital) for position, orbital in enumerate(index)]
            yield " ".join([f"{values[index]:.16E}", *map(str, [*shown, 0, 0, 0, 0][:4])])


def in_blocks(one, two, core: float) -> str:
    """Molpro's IUHF=1: αα, ββ, αβ, α, β, each closed by zeros."""
    lines = ["&FCI NORB=3,NELEC=3,MS2=1,IUHF=1,", " ORBSYM=1,1,1,", "/"]
    for values in (two["aa"], two["bb"], two["ab"], one["a"], one["b"]):
        lines += [*integral_lines(values, *2 * [lambda i: i + 1]), "0.0 0 0 0 0"]
    return "\n".join([*lines, f"{core} 0 0 0 0", ""])


def numbered(
    one, two, core: float, header: str, alpha: Callable[[int], int], beta: Callable[[int], int]
) -> str:
    """Spin orbitals with numbers of their own."""
    place = {"a": alpha, "b": beta}
    lines = [header]
    for values in (two, one):
        for spins, array in values.items():
            lines += integral_lines(array, *(place[spin] for spin in spins))
    return "\n".join([*lines, f"{core} 0 0 0 0", ""])


def written(radical, kind: str) -> str:
    """The radical in one of the three layouts."""
    one, two, core, _ = radical
    if kind == "blocks":
        return in_blocks(one, two, core)
    if kind == "alternating":
        header = "&FCI NORB=6,NELEC=3,MS2=1,UHF=.TRUE., /"
        return numbered(one, two, core, header, lambda i: 2 * i + 1, lambda i: 2 * i + 2)
    return numbered(one, two, core, "&FCI NORB=3,NELEC=3,MS2=1, &END", lambda i: i + 1, lambda i: i + 4)


def test_parted_levels_are_warned_of_and_declared_orbitals_hold_their_electrons(tmp_path: Path) -> None:
    """PySCF's integrals of LiH, whose π pair is orbitals 3 and 4, and its CASCI on orbitals sorted by `sort_mo`."""
    molecule = pyscf.gto.M(atom="Li 0 0 0; H 0 0 1.6", basis="sto-3g", verbose=0)
    field = pyscf.scf.RHF(molecule).run()
    pyscf.tools.fcidump.from_scf(field, str(tmp_path / "x"))
    method = pyscf.mcscf.CASCI(field, 2, 2)
    expected = method.kernel(method.sort_mo([1, 3], base=0))[0]
    declared = choice(
        "hamiltonian",
        "file",
        path=str(tmp_path / "x"),
        frozen_core=1,
        active_space=[2, 2],
        active_orbitals=[0, 2],
    )
    with pytest.warns(ConfigWarning, match=r"one energy, 0\.1\d+ Hartree \(3 is active, 4 is left out, "):
        hamiltonian = declared.build()

    assert hamiltonian.physics.reference_energy == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("kind", ["blocks", "alternating", "counted on"])
def test_spin_resolved_integrals(tmp_path: Path, radical, kind: str) -> None:
    """Three layouts of the same: PySCF's unrestricted FCI energy of two electrons up and one down."""
    declared, hamiltonian = read(tmp_path / "x", written(radical, kind))

    assert hamiltonian.physics.reference_energy == pytest.approx(radical[-1], abs=1e-10)
    assert "FCIDUMP, spin-resolved (jordan_wigner, 2 up, 1 down)" in declared.reading.describe()["words"]


def test_an_active_space_keeps_the_unpaired_electrons(tmp_path: Path, radical) -> None:
    """[3, 3] of H3 is all of it; [2, 2] would leave one electron behind."""
    _, hamiltonian = read(tmp_path / "x", written(radical, "blocks"), active_space=[3, 3])
    assert hamiltonian.physics.reference_energy == pytest.approx(radical[-1], abs=1e-10)

    with pytest.raises(ConfigError, match=r"hamiltonian.active_space: leaves 1 of 3 electrons behind"):
        read(tmp_path / "x", written(radical, "blocks"), active_space=[2, 2])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 0.5879746788  0  0  0  0\n", "", "has no core energy, perhaps it is cut off"),
        ("&END", "", ":1: the header does not end"),
        ("NORB=   2", "NORB=   1", ":6: index 2 is more than NORB=1; correct it, or NORB, or add IUHF=1"),
        ("NORB=   2", "NORB=   3", ":1: NORB is 3, and ORBSYM has 2 entries"),
        (
            "NORB=   2,NELEC= 2,MS2=0,\n  ORBSYM=1,1,",
            "NORB=3,NELEC=2,",
            ":1: NORB is 3, and orbital 3 is in no",
        ),
        ("ORBSYM=1,1,", "ORBSYM=3*1,", ":1: NORB is 2, and ORBSYM has 3 entries"),
        ("NELEC= 2", "NELEC= 3", ":1: NELEC=3 and MS2=0 do not fit"),
        ("NELEC= 2", "NELEC= 6", "has 3 electrons with spin up and 3 down in 2 orbitals"),
        ("NELEC= 2,", "", ":1: has no NELEC"),
        ("ISYM=1", "ISYM=1,FOO=2", ":1: 'FOO' in the header is not known"),
        ("ISYM=1", "ISYM=1,CORE=0.5", ":1: CORE in the header is not zero"),
        ("ISYM=1", "ISYM=1,TREL=.TRUE.", ":1: has complex integrals"),
        ("2    1    2    1", "2    1    2", ":7: '0.1905716937592648 2 1 2' is not understood"),
        ("2    1    2    1", "2    1    2    0", ":7: '2 1 2 0' are no indices of an integral"),
        ("2    1    2    1", "2    1    5    1", ":7: index 5 is more than NORB=2"),
        (
            "0.6370806298950304    2    2    1    1",
            "0.63    2    2    1    1",
            ":8: integral 2 2 1 1 is 0.63, and was",
        ),
        ("-0.5551123198201341", "nan", ":11: 'nan 2 2 0 0' is not understood"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """With the line."""
    with pytest.raises(ConfigError, match=message):
        read(tmp_path / "x", H2.replace(old, new, 1))


def hubbard(repulsion: bool) -> str:
    """Two dimers of one level each a site: hopping, on-site repulsion, perhaps repulsion between all sites."""
    lines = ["&FCI NORB=4,NELEC=4,MS2=0,", "&END", *(f" 4.0 {i} {i} {i} {i}" for i in range(1, 5))]
    if repulsion:
        lines += [f" 1.0 {i} {i} {j} {j}" for i in range(1, 5) for j in range(1, i)]
    return "\n".join([*lines, " -1.0 1 2 0 0", " -1.0 3 4 0 0", " 0.0 0 0 0 0", ""])


@pytest.mark.parametrize("repulsion", [False, True])
def test_half_the_orbitals_are_not_taken_for_spins(tmp_path: Path, repulsion: bool) -> None:
    """A Hubbard model with NORB 2 for 4: no flag says that it is spin-resolved, and no exchange integral is there."""
    _, whole = read(tmp_path / "x", hubbard(repulsion))
    assert whole.num_qubits == 8

    with pytest.raises(
        ConfigError, match=r":\d+: index [34] is more than NORB=2; correct it, or NORB, or add"
    ):
        read(tmp_path / "x", hubbard(repulsion).replace("NORB=4", "NORB=2"))


def test_an_orbital_without_integrals_can_be_meant(tmp_path: Path) -> None:
    """A line of zero names it: H2 and an empty orbital, whose ground state is that of H2."""
    text = H2.replace("NORB=   2", "NORB=3").replace("  ORBSYM=1,1,\n", "") + " 0.0 3 3 0 0\n"
    _, hamiltonian = read(tmp_path / "x", text)

    assert hamiltonian.num_qubits == 6
    assert hamiltonian.physics.reference_energy == pytest.approx(ENERGY, abs=1e-9)


def test_settings_that_are_not_honoured_are_refused(tmp_path: Path) -> None:
    """Settings of integrals for words, and settings of words for integrals."""
    with pytest.raises(ConfigError, match=r"hamiltonian.qubit_order: is for letters and indices of qubits"):
        read(tmp_path / "x", H2, qubit_order="big")
    with pytest.raises(ConfigError, match=r"hamiltonian.mapper: is parity, and .* holds Pauli words"):
        read(tmp_path / "x", "ZZ 0.5", mapper="parity")
    with pytest.raises(
        ConfigError, match=r"hamiltonian.frozen_core: freezes 2 orbitals, and there are 1 \+ 1"
    ):
        read(tmp_path / "x", H2, frozen_core=2)


def damaged(rng: np.random.Generator) -> str:
    """The file of H2 after one accident: a separator or word too few or too many, another minus, or cut off."""
    kind = rng.choice(["delete", "double", "word", "cut", "minus", "twice"])
    if kind in ("minus", "twice"):
        return H2.replace("-", {"minus": "\N{MINUS SIGN}", "twice": "--"}[kind], int(rng.integers(1, 3)))
    if kind == "cut":
        return H2[: int(rng.integers(1, len(H2) - 2))]
    if kind == "word":
        word = rng.choice([match.span() for match in re.finditer(r"\S+", H2)])
        return H2[: word[0]] + H2[word[1] :]
    at = int(rng.choice([index for index, char in enumerate(H2) if char in " ,=&\n"]))
    return H2[:at] + ("" if kind == "delete" else 2 * H2[at]) + H2[at + 1 :]


@pytest.mark.parametrize("count", [24, pytest.param(2000, marks=pytest.mark.nightly)])
def test_a_damaged_file_is_refused_or_read_right(count: int, tmp_path: Path) -> None:
    """Never another Hamiltonian."""
    whole = dict(read(tmp_path / "x", H2)[1].to_list())

    def is_right(text: str) -> bool:
        _, hamiltonian = read(tmp_path / "x", text)
        same = dict(hamiltonian.to_list()) == pytest.approx(whole, abs=1e-12)
        return same and hamiltonian.physics.electrons == (1, 1)

    refused, right = refused_and_right(
        range(count), lambda number: damaged(np.random.default_rng([8, number])), is_right
    )

    assert refused > 5
    assert right > 5


def test_integrals_in_another_unit_are_refused(tmp_path: Path) -> None:
    """In joules H2 would have energies that are called Hartree."""
    rows = [line.split() for line in H2[len(HEADER) :].splitlines()]
    joules = HEADER + "".join(f"{float(row[0]) * 4.359744722e-18!r} {' '.join(row[1:])}\n" for row in rows)

    with pytest.raises(ConfigError, match=r"no integral above 5\.06699e-18, and .* give it in Hartree"):
        read(tmp_path / "joules.fcidump", joules)


@pytest.mark.parametrize("mapper", ["jordan_wigner", "parity", "bravyi_kitaev"])
@pytest.mark.parametrize(
    "lines",
    [
        "&FCI NORB=2,NELEC=2,MS2=0 /\n 1.0 1 1 0 0\n -4e-9 2 2 0 0\n 1e-9 2 2 2 2\n 0.0 0 0 0 0\n",
        "&FCI NORB=4,NELEC=2,MS2=0,UHF=.TRUE. /\n 1.0 1 1 0 0\n 1.0 2 2 0 0\n -4e-9 3 3 0 0\n -4e-9 4 4 0 0\n"
        " 1e-9 3 3 4 4\n 0.0 0 0 0 0\n",
    ],
    ids=["restricted", "spin-resolved"],
)
def test_small_integrals_beside_large_ones_count(tmp_path: Path, lines: str, mapper: str) -> None:
    """Both electrons are in the lower orbital: 2·(−4e-9) + 1e-9 Hartree, by pencil."""
    _, hamiltonian = read(tmp_path / "x", lines, mapper=mapper)

    assert hamiltonian.physics.reference_energy == pytest.approx(-7e-9, abs=1e-15)
    assert np.linalg.eigvalsh(hamiltonian.to_matrix())[0] == pytest.approx(-7e-9, abs=1e-15)

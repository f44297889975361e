"""XYZ files as the field writes them: the same two atoms, or a refusal with the line."""

import random

import pytest

from runner.errors import ConfigError
from runner.hamiltonian.geometry import Geometry, inline_geometry, read_geometry
from tests.damage import refused_and_right

ATOMS = (("H", (0.0, 0.0, 0.0)), ("H", (0.0, 0.0, 0.735)))
"""What each of the files says, written by hand."""

FILES = {
    "plain": "2\nhydrogen\nH 0 0 0\nH 0 0 0.735\n",
    "no comment": "2\n\nH 0 0 0\nH 0 0 0.735\n\n\n",
    "no count": "H 0 0 0\nH 0 0 0.735\n",
    "indented, lower case": " 2\n  x\n   h    0.0  0.0  0.0\n   h    0.0  0.0  0.735",
    "commas": "2\nx\nH,0,0,0\nH, 0, 0, .735\n",
    "decimal commas": "2\nx\nH 0,0 0,0 0,0\nH 0,0 0,0 0,735\n",
    "nuclear charges": "2\nx\n1 0 0 0\n1 0 0 0.735\n",
    "labels": "2\nx\nH1 0 0 0\nH_2 0 0 0.735\n",
    "Fortran": "2\nx\nH 0.0D0 0.D0 0d+0\nH 0 0 7.35D-1\n",
    "Mathematica": "2\nx\nH 0. 0. 0.\nH 0. 0. 7.35*^-1\n",
    "minus of a word processor": "2\nx\nH \u22120 0 0\nH 0 0 0.735\n",
    "carriage returns": "2\r\nx\r\nH 0 0 0\r\nH 0 0 0.735\r\n",
    "byte order mark": "\ufeff2\nx\nH 0 0 0\nH 0 0 0.735\n",
    "extended": '2\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3\n'
    "H 0 0 0 1 2 3\nH 0 0 0.735 4 5 6\n",
    "extended, positions last": "2\nProperties=forces:R:3:species:S:1:pos:R:3\n1 2 3 H 0 0 0\n4 5 6 H 0 0 0.735\n",
    "QM9": "2\ngdb 1 157.7 157.7\nH 0 0 0 -0.5\nH 0 0 0.735 0.5\n1341.3 1341.3\n[H][H]\t[H][H]\nInChI=1S/H2/h1H\n",
    "velocities": "2\nx\nH 0.0 0.0 0.0 0.5 0.0 0.0\nH 0.0 0.0 0.735 0.0 0.0 0.0\n",
    "semicolons and decimal commas": "2\nx\nH;0,0;0,0;0,0\nH;0,0;0,0;0,735\n",
    "isolated": '2\nLattice="9 0 0 0 9 0 0 0 9" pbc="F F F"\nH 0 0 0\nH 0 0 0.735\n',
}


def written(tmp_path, text):
    """A file of that text."""
    path = tmp_path / "m.xyz"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("name", FILES)
def test_the_same_atoms_in_every_dialect(name, tmp_path):
    """Symbols and positions to the last digit."""
    assert read_geometry(written(tmp_path, FILES[name]), "k").atoms == ATOMS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("3\nx\nH 0 0 0\nH 0 0 1\n", "line 1 says 3 atoms, and 2 follow"),
        ("2\nx\nH 0 0 0\nH 0 0 1\nH 0 0 5\n", "line 5: 'H 0 0 5' follows the atoms that were announced"),
        ("2\nx\nH 0 0 0\nX 0 0 1\n", "line 4 is 'X 0 0 1'; write symbol x y z"),
        ("2\nx\nH 0 0 0\nGh(H) 0 0 1\n", "line 4 is"),
        ("2\nx\nH 0 0 0\nH 0 0\n", "line 4: 'H 0 0' has another number of columns"),
        ("2\nx\nH 0 0 0\nH 0 0 nan\n", "line 4 is 'H 0 0 nan'"),
        ("2\nx\nH 1.0 0 0 0\nF 9.0 0 0 1\n", "its second column may be nuclear charges"),
        ("2\nx\nH 0 0.0 0.0 0.0\nH 0 0.7 0.0 0.1\n", "line 3 has 5 columns, flags or indices among them"),
        ("2\nx\nH 0.0 1 0.0 1 0.0 1\nH 0.7 1 0.0 1 0.1 1\n", "line 3 has 7 columns, flags or indices"),
        ('2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T"\nH 0 0 0\nH 0 0 1\n', "is periodic"),
        ("2\ncharge=0 charge=1\nH 0 0 0\nH 0 0 1\n", "has the comment charge=0 and charge=1; give one"),
        ("2\nmult=3 multiplicity=1\nH 0 0 0\nH 0 0 1\n", "multiplicity=1 and mult=3; give one"),
        (
            "2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0\n",
            "line 4: 'H 0 0' has 3 columns, and Properties names 4",
        ),
        ("2\nProperties=species:S:1:pos:R:2\nH 0 0\nH 0 1\n", "which is not understood"),
        ("2\nx\nHE1 0 0 0\nCE1 0 0 1\n", "line 3 is 'HE1 0 0 0'; write symbol x y z"),
        ("2\nH 0 0 0\nH 0 0 1\nH 0 0 2\n", "line 2: 'H 0 0 0' stands where the comment belongs"),
        ("9" * 5000 + "\nx\nH 0 0 0\n", "line 1 is"),
        ("1\ncharge=" + "9" * 500 + "\nH 0 0 0\n", "write a whole number"),
        ("2\ncharge=one\nH 0 0 0\nH 0 0 1\n", "has the comment charge=one"),
        ("2\nspin=1\nH 0 0 0\nH 0 0 1\n", "may be S, 2S or 2S\\+1"),
        ("1\na\nH 0 0 0\n1\nb\nH 0 0 1\n", "holds 2 geometries; choose one with hamiltonian.frame=0"),
        ("2\nProperties=species:S:1\nH\nH\n", "without species and pos"),
    ],
)
def test_what_is_unclear_is_refused(text, message, tmp_path):
    """One line with the file and the line."""
    with pytest.raises(ConfigError, match=message):
        read_geometry(written(tmp_path, text), "hamiltonian.xyz_file")


def test_one_of_several_geometries(tmp_path):
    """A trajectory: the frame is chosen by number, also from its end, and said."""
    path = written(tmp_path, "1\na\nH 0 0 0\n1\nb\nHe 0 0 1\n")

    assert read_geometry(path, "k", 0).atoms[0][0] == "H"
    assert read_geometry(path, "k", -1).atoms[0][0] == "He"
    assert read_geometry(path, "k", -1).described == "XYZ: He, 1 atoms, He 0 0 1; geometry 1 of 2"
    with pytest.raises(ConfigError, match=r"hamiltonian\.frame: .* has no geometry 2 among 2"):
        read_geometry(path, "k", 2)


def test_charge_and_multiplicity_of_a_comment(tmp_path):
    """Named ones are taken; two bare integers are a suspicion."""
    body = "\nHe 0 0 0\nH 0 0 0.774\n"
    named = read_geometry(written(tmp_path, "2\ncharge=1, multiplicity: 1" + body), "k")
    bare = read_geometry(written(tmp_path, "2\n1 1" + body), "k")

    assert (named.charge, named.multiplicity, named.suspected) == (1, 1, None)
    assert (bare.charge, bare.multiplicity, bare.suspected) == (None, None, "1 1")


def test_stretching_a_diatomic():
    """The second atom moves along the bond; three atoms have no bond length."""
    stretched = inline_geometry("Li 0 0 1; H 3 4 1", "k").stretched(10.0)

    assert stretched.atoms == (("Li", (0.0, 0.0, 1.0)), ("H", (6.0, 8.0, 1.0)))
    with pytest.raises(ConfigError, match=r"hamiltonian\.bond_length: .* the geometry has 1"):
        Geometry((("H", (0.0, 0.0, 0.0)),)).stretched(1.0)


@pytest.mark.parametrize(
    ("comment", "bohr"),
    [
        ("units=bohr", True),
        ("coordinates in Bohr", True),
        ("H2, a.u.", True),
        ("Angstrom", False),
        ("gold, Au", None),
        ("E = -1.1373 a.u.", None),
        ("dipole 0.2 e*bohr", None),
        ("energy -1.13 au", None),
    ],
)
def test_the_comment_may_name_the_unit(comment, bohr, tmp_path):
    """Bohr and Å in words; gold is no atomic unit unless it stands alone in small letters."""
    assert read_geometry(written(tmp_path, f"1\n{comment}\nH 0 0 0\n"), "k").bohr is bohr


def damaged(number):
    """One mutation of one dialect's structure; digits of positions are left alone, for others are others."""
    rng = random.Random(number)
    text = FILES[rng.choice([name for name in FILES if name != "no count"])]
    lines = text.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    damage = rng.choice(["drop", "twice", "word", "lost word", "glued", "end"])
    words = lines[place].split()
    if damage == "drop":
        del lines[place]
    elif damage == "twice":
        lines.insert(place, lines[place])
    elif damage == "word":
        lines[place] = "? " + lines[place]
    elif damage == "lost word" and len(words) > 1:
        lines[place] = " ".join(words[:-1]) + "\n"
    elif damage == "glued" and len(words) > 2:
        lines[place] = words[0] + words[1] + " " + " ".join(words[2:]) + "\n"
    else:
        lines = lines[: max(place, 1)]
    return "".join(lines)


@pytest.mark.parametrize("count", [100, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_a_damaged_file_is_refused_or_right(count, tmp_path):
    """A separator, a digit of the count or a part of a line is lost: refused, or the same two atoms."""
    refused, right = refused_and_right(
        range(count), damaged, lambda text: read_geometry(written(tmp_path, text), "k").atoms == ATOMS
    )

    assert refused > count / 2
    assert right > 0

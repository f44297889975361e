"""Atoms and positions, inline or as XYZ files the way the field writes them: read whole, or refused with the line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.declare.checks import shorten
from runner.declare.files import read_text
from runner.errors import ConfigError

_ELEMENTS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru
Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi
Po At Rn
"""
SYMBOLS = tuple(_ELEMENTS.split())
"""The elements in the order of their nuclear charges, from 1."""

MAX_DIGITS = 9
"""Longest whole number."""

Position = tuple[float, float, float]


@dataclass(frozen=True)
class Geometry:
    """A molecule's atoms in the unit they were written in."""

    atoms: tuple[tuple[str, Position], ...]
    """Symbol and position of each."""
    charge: int | None = None
    """Total charge, where a file says it beyond doubt."""
    multiplicity: int | None = None
    """Spin multiplicity 2S + 1, likewise."""
    bohr: bool | None = None
    """The comment names the unit: Bohr, or Å (false); None: it does not."""
    suspected: str | None = None
    """A comment that may speak of charge and multiplicity in another way than by `charge=…`."""
    remarks: tuple[str, ...] = ()
    """What of the file was decided, in words."""

    @property
    def text(self) -> str:
        """`symbol x y z; …` to all digits, as PySCF reads it."""
        return "; ".join(f"{symbol} {x!r} {y!r} {z!r}" for symbol, (x, y, z) in self.atoms)

    @property
    def described(self) -> str:
        """One line: what was read."""
        formula = {symbol: sum(atom == symbol for atom, _ in self.atoms) for symbol, _ in self.atoms}
        shown = "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in formula.items())
        ends = [f"{symbol} {x:g} {y:g} {z:g}" for symbol, (x, y, z) in self.atoms]
        atoms = ends[0] if len(ends) == 1 else f"{ends[0]} … {ends[-1]}"
        return "; ".join([f"XYZ: {shown}, {len(ends)} atoms, {atoms}", *self.remarks])

    def stretched(self, bond_length: float) -> Geometry:
        """A diatomic with its atoms at another distance, in the unit of the positions.

        Raises:
            ConfigError: it has not two atoms, or they stand at one place.
        """
        key = "hamiltonian.bond_length"
        if len(self.atoms) != 2:
            told = f"is the distance of two atoms, and the geometry has {len(self.atoms)}; set it to null"
            raise ConfigError(told, key=key)
        (first, start), (second, end) = self.atoms
        distance = math.dist(start, end)
        if distance == 0:
            raise ConfigError("both atoms stand at one place; move one of them", key=key)
        x, y, z = (a + (b - a) * bond_length / distance for a, b in zip(start, end, strict=True))
        return replace(self, atoms=((first, start), (second, (x, y, z))))


def inline_geometry(text: str, key: str) -> Geometry:
    """Atoms from `symbol x y z; …`.

    Raises:
        ConfigError: an atom is not a symbol and three numbers.
    """
    lines = [atom for atom in text.split(";") if atom.strip()]
    return Geometry(tuple(_atom(atom.split(), f"atom {n}", key) for n, atom in enumerate(lines, start=1)))


def read_geometry(path: Path, key: str, frame: int | None = None) -> Geometry:
    """The atoms of an XYZ file.

    Args:
        path: the file.
        key: the setting that names it.
        frame: which of several geometries, from 0, below zero from the end; None: there must be one.

    Raises:
        ConfigError: it is no XYZ file, says two things at once, or has several geometries and none is chosen.
    """
    lines = [(number, line) for number, line in enumerate(read_text(path, key).splitlines(), start=1)]
    while lines and not lines[-1][1].strip():
        lines.pop()
    try:
        frames = _frames(lines, key)
        if frame is None and len(frames) > 1:
            told = f"holds {len(frames)} geometries; choose one with hamiltonian.frame=0 … {len(frames) - 1} or -1"
            raise ConfigError(told, key=key)
        if frame is not None and not -len(frames) <= frame < len(frames):
            told = f"has no geometry {frame} among {len(frames)}; choose 0 to {len(frames) - 1}"
            raise ConfigError(told, key="hamiltonian.frame")
        geometry = frames[frame or 0]
    except ConfigError as error:
        told = str(error).removeprefix(f"{error.key}: ")
        raise ConfigError(f"{path}{', ' if told.startswith('line') else ' '}{told}", key=error.key) from error
    if len(frames) > 1:
        chosen = f"geometry {(frame or 0) % len(frames)} of {len(frames)}"
        return replace(geometry, remarks=(*geometry.remarks, chosen))
    return geometry


def _frames(lines: Sequence[tuple[int, str]], key: str) -> list[Geometry]:
    if not lines:
        raise ConfigError("is empty; give an XYZ file", key=key)
    if not _counts(lines[0][1]):
        atoms = [_atom(_words(line), f"line {number}", key) for number, line in lines if line.strip()]
        return [Geometry(tuple(atoms), remarks=("no count line",))]
    frames = []
    rest = list(lines)
    while rest:
        number, line = rest[0]
        if not _counts(line):
            told = f"line {number}: {shorten(line, 40)!r} follows the atoms that were announced; correct the count"
            raise ConfigError(told, key=key)
        count = int(line)
        body = rest[2 : 2 + count]
        if count < 1 or len(body) < count:
            told = f"line {number} says {count} atoms, and {len(body)} follow; correct one"
            raise ConfigError(told, key=key)
        comment = rest[1][1]
        if _looks_like_atom(comment):
            told = (
                f"line {rest[1][0]}: {shorten(comment, 40)!r} stands where the comment belongs; add one above"
            )
            raise ConfigError(told, key=key)
        frames.append(_frame(comment, body, key))
        rest = rest[2 + count :]
        if comment.split()[:1] == ["gdb"] and len(rest) >= 3:  # QM9: frequencies, SMILES and InChI end a file
            rest = rest[3:]
        while rest and not rest[0][1].strip():
            rest = rest[1:]
    return frames


def _frame(comment: str, body: Sequence[tuple[int, str]], key: str) -> Geometry:
    settings = _settings(comment, key)
    rows = [(f"line {number}", _words(line)) for number, line in body]
    columns, remarks = _columns(settings, rows, comment, key)
    atoms = tuple(_atom([row[c] for c in columns], where, key) for where, row in rows)
    _require_isolated(settings, key)
    charge, multiplicity = _stated(settings, key)
    for name, value in (("charge", charge), ("multiplicity", multiplicity)):
        if value is not None:
            remarks.append(f"{name} {value} by its comment")
    bare = re.fullmatch(r"\s*[+-]?\d{1,3}\s+\d{1,3}\s*", comment)
    spoken = re.search(
        r"(?i)\b(net_?|total_?)?charge\b|\bmult(iplicity)?\b|\bnelec(trons?)?\b|\b[qm]\s*=", comment
    )
    suspected = (
        comment.strip()
        if bare or (spoken and None in (charge, multiplicity) and not _says_all(settings))
        else None
    )
    return Geometry(atoms, charge, multiplicity, _unit(comment, settings), suspected, tuple(remarks))


def _says_all(settings: Mapping[str, str]) -> bool:
    """Nothing but settings that are understood speaks of the electrons."""
    return any(
        name in settings for name in ("charge", "total_charge", "multiplicity", "mult", "spin_multiplicity")
    )


def _counts(line: str) -> bool:
    return line.strip().isdecimal() and line.isascii() and len(line.strip()) <= MAX_DIGITS


def _looks_like_atom(line: str) -> bool:
    words = _words(line)
    return (
        len(words) >= 4
        and _symbol(words[0]) is not None
        and all(math.isfinite(_coordinate(word)) for word in words[1:4])
    )


def _unit(comment: str, settings: Mapping[str, str]) -> bool | None:
    """Whether the comment names Bohr, or Å, as the unit of the positions."""
    named = settings.get("units", settings.get("unit"))
    bohr, angstrom = r"(?:(?i:bohrs?|a\.\s?u\.|atomic units)|au)", r"(?i:angstroms?|ångströms?|Å)"
    # a unit behind a number or a product is that of an energy or a dipole
    about = r"(?<![\d*/.)])(?<![\d*/.)]\s)"
    for pattern, value in ((bohr, True), (angstrom, False)):
        if named is not None and re.fullmatch(rf"\s*{pattern}\s*", named):
            return value
        if named is None and re.search(rf"{about}(^|(?<=[\s(\[,;:])){pattern}($|(?=[\s)\],;:]))", comment):
            return value
    return None


def _require_isolated(settings: Mapping[str, str], key: str) -> None:
    periodic = settings.get("pbc", "F F F").replace("[", " ").replace("]", " ").upper().split()
    if any(word not in ("F", "FALSE", "0") for word in periodic):
        told = f'is periodic (pbc={settings["pbc"]!r}), and molecules here are isolated; write pbc="F F F" if it is one'
        raise ConfigError(told, key=key)


def _columns(
    settings: Mapping[str, str], rows: Sequence[tuple[str, list[str]]], comment: str, key: str
) -> tuple[list[int], list[str]]:
    """Where symbol and position stand in a line."""
    widths = {len(words) for _, words in rows}
    if "properties" in settings:
        columns, width = _declared_columns(settings["properties"], key)
        odd = next(((where, words) for where, words in rows if len(words) != width), None)
        if odd is not None:
            has = f"{odd[0]}: {shorten(' '.join(odd[1]), 40)!r} has {len(odd[1])} columns"
            raise ConfigError(f"{has}, and Properties names {width}; correct it", key=key)
        return columns, ["extended XYZ"]
    if len(widths) > 1:
        where, words = next((where, words) for where, words in rows if len(words) != len(rows[0][1]))
        raise ConfigError(f"{where}: {shorten(' '.join(words), 40)!r} has another number of columns", key=key)
    width = widths.pop()
    if width == 4 or width < 4:
        return list(range(width)), []
    if comment.split()[:1] == ["gdb"] and width == 5:
        return [0, 1, 2, 3], ["QM9"]
    symbols = [_symbol(words[0]) for _, words in rows]
    second = [words[1] for _, words in rows]
    if all(s and _same(word, SYMBOLS.index(s) + 1) for s, word in zip(symbols, second, strict=True)):
        told = "its second column may be nuclear charges or x; write symbol x y z only"
        raise ConfigError(told, key=key)
    if not all("." in word for _, words in rows for word in words[1:4]) or any(
        "." not in word for _, words in rows for word in words[4:]
    ):
        told = f"{rows[0][0]} has {width} columns, flags or indices among them; write symbol x y z only"
        raise ConfigError(told, key=key)
    return [0, 1, 2, 3], [f"{width - 4} columns beyond x y z are not used"]


def _same(word: str, number: int) -> bool:
    try:
        return float(word) == number
    except ValueError:
        return False


def _declared_columns(properties: str, key: str) -> tuple[list[int], int]:
    """Columns of symbol and position, and how many there are, by `Properties=species:S:1:pos:R:3:…`."""
    parts = properties.split(":")
    found: dict[str, int] = {}
    column = 0
    for name, count in zip(parts[::3], parts[2::3], strict=False):
        if not _counts(count) or (name.lower() == "pos" and int(count) != 3):
            raise ConfigError(f"has Properties={shorten(properties, 40)}, which is not understood", key=key)
        found[name.lower()] = column
        column += int(count)
    species = found.get("species", found.get("z"))
    if species is None or "pos" not in found:
        raise ConfigError(f"has Properties={shorten(properties, 40)} without species and pos", key=key)
    return [species, *range(found["pos"], found["pos"] + 3)], column


def _settings(comment: str, key: str) -> dict[str, str]:
    """`key=value` pairs of a comment, keys in lower case."""
    pairs = re.findall(r"([A-Za-z_]\w*)\s*[=:]\s*(\"[^\"]*\"|'[^']*'|[^\s,;\"']+)", comment)
    found: dict[str, str] = {}
    for name, value in pairs:
        if found.setdefault(name.lower(), value.strip("\"'")) != value.strip("\"'"):
            raise ConfigError(
                f"has the comment {name}={found[name.lower()]} and {name}={value}; give one", key=key
            )
    return found


def _stated(settings: Mapping[str, str], key: str) -> tuple[int | None, int | None]:
    """Charge and multiplicity, where the comment names them."""
    found: list[int | None] = []
    for names in (("charge", "total_charge"), ("multiplicity", "mult", "spin_multiplicity")):
        given = [settings[name] for name in names if name in settings]
        if len({*given}) > 1:
            told = f"has the comment {' and '.join(f'{n}={settings[n]}' for n in names if n in settings)}; give one"
            raise ConfigError(told, key=key)
        if given and not re.fullmatch(r"[+-]?\d{1,9}(\.0*)?", given[0]):
            raise ConfigError(
                f"has the comment {names[0]}={shorten(given[0], 20)}; write a whole number", key=key
            )
        found.append(int(float(given[0])) if given else None)
    if "spin" in settings and not _same(settings["spin"], 0) and found[1] is None:
        told = f"has spin={settings['spin']} in its comment, which may be S, 2S or 2S+1; write multiplicity=…"
        raise ConfigError(told, key=key)
    return found[0], found[1]


def _words(line: str) -> list[str]:
    """Words between blanks or commas; a comma inside a number between blanks is a decimal one."""
    words = [word.strip() for word in line.split(";")] if ";" in line else line.split()
    if any(re.fullmatch(r"[-+\u2212]?\d+,\d+", word) for word in words):
        return [word.replace(",", ".") for word in words]
    return [word for word in re.split(r"[,;\s]+", line.strip()) if word]


def _atom(words: Sequence[str], where: str, key: str) -> tuple[str, Position]:
    symbol = _symbol(words[0]) if words else None
    if symbol is None or len(words) != 4:
        told = f"{where} is {shorten(' '.join(words), 40)!r}; write symbol x y z"
        raise ConfigError(told, key=key)
    position = [_coordinate(word) for word in words[1:]]
    if not all(map(math.isfinite, position)):
        raise ConfigError(f"{where} is {shorten(' '.join(words), 40)!r}; write symbol x y z", key=key)
    return symbol, (position[0], position[1], position[2])


def _symbol(word: str) -> str | None:
    """The element of a symbol in any case, a nuclear charge, or a label like H1; None: it is none."""
    if word.isdecimal():
        known = _counts(word) and 1 <= int(word) <= len(SYMBOLS)
        return SYMBOLS[int(word) - 1] if known else None
    label = re.fullmatch(r"([A-Za-z]{1,2})(_?\d+)?", word)
    if label is None or label[1].capitalize() not in SYMBOLS:
        return None
    if label[2] and len(label[1]) == 2 and label[1][1].isupper() and label[1][0] in SYMBOLS:
        return None  # HE1 is helium to some and a hydrogen at an ε carbon to others
    return label[1].capitalize()


# possessive: of many digits, which may be damage, none is tried a second time
_NUMBER = re.compile(r"[-+]?(?>\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?")


def _coordinate(word: str) -> float:
    """A number as Fortran, Mathematica or a word processor writes it; nan: it is none."""
    text = word.replace("\u2212", "-").replace("*^", "e")
    text = re.sub(r"(?<=[\d.])[dD](?=[+\-\d])", "e", text)
    return float(text) if _NUMBER.fullmatch(text) else math.nan

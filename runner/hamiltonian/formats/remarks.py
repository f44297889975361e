"""What a file says beside its terms and must not be lost: constants, factors, units and the bit order."""

from __future__ import annotations

import re

from runner.declare.checks import shorten
from runner.hamiltonian.declared import HARTREE
from runner.hamiltonian.formats.source import Place, Source

CONSTANTS = (
    "constant", "const", "constant_term", "constant_energy", "energy_constant", "offset", "energy_offset", "identity",
    "identity_term", "identity_coefficient", "identity_coeff", "nuclear_repulsion", "nuclear_repulsion_energy",
    "repulsion", "repulsion_energy", "nuclear_energy", "e_nuc", "enuc", "core_energy", "ecore", "e_core",
    "frozen_core_energy", "inactive_energy", "scalar",
)  # fmt: skip
"""Keys of a number that is added to the operator."""
FACTORS = (
    "scale", "scaling", "scale_factor", "scaling_factor", "factor", "prefactor", "multiplier", "normalization",
    "shift", "energy_shift", "sign",
)  # fmt: skip
"""Keys of a number that changes all others, or does so by a sign that only its author knows."""
UNITS = ("unit", "units", "energy_unit", "energy_units", "unit_of_energy")
"""Keys of the unit that the numbers are in."""
HARTREE_WORDS = ("ha", "hartree", "hartrees", "eh", "e_h", "au", "a.u.", "atomic units")
"""Ways in which a file says that energies are in Hartree."""
ENERGY_WORDS = (
    "mha", "mhartree", "ry", "rydberg", "ev", "mev", "kcal/mol", "kj/mol", "cm-1", "cm^-1", "k", "ghz", "mhz", "hz",
    "j",
)  # fmt: skip
"""Other units of energy; what else a file calls its unit may be one of lengths."""
ORDERS = (
    "qubit_order", "qubit_ordering", "bit_order", "bit_ordering", "ordering", "order", "endian", "endianness",
    "byte_order", "byteorder", "convention", "qubit_convention", "label_order",
)  # fmt: skip
"""Keys of the bit order."""
_BIG = re.compile(r"\bbig[\s_-]*endian|\bbig\b|\bmsb", re.IGNORECASE)
_LITTLE = re.compile(r"\blittle[\s_-]*endian|\blittle\b|\blsb|\bqiskit", re.IGNORECASE)
_ENDIAN = re.compile(r"\b(big|little)[\s_-]*endian", re.IGNORECASE)
_ORDERED = re.compile(
    r"\b(?:qubit|bit)[\s_-]*order(?:ing)?\b|\bordering\b"
    r"|\bqubit\s+0\s+(?:is\s+)?(?:on\s+the\s+)?(?:left|right|first|last)",
    re.IGNORECASE,
)
_CONSTANT = re.compile(
    r"\b(constant|offset|identity|(?:nuclear|core)[\s_-]*(?:repulsion|energy)|e_?nuc|e_?core)\b\s*[:=]\s*[-+\u2212]?\.?\d",
    re.IGNORECASE,
)


def plain(key: str) -> str:
    """A key in small letters with underscores."""
    return re.sub(r"[\s-]+", "_", key.strip().lower())


def read_order(key: str, value: str, source: Source, place: Place) -> None:
    """Take down the bit order that a key gives.

    Raises:
        ConfigError: it gives none that is known, or another one than was said before.
    """
    big, little = _BIG.search(value), _LITTLE.search(value)
    if bool(big) == bool(little):
        raise source.refuse(
            f"{key!r} is {shorten(value, 40)!r}, neither little nor big; remove it and set hamiltonian.qubit_order",
            place,
        )
    source.says_order("big" if big else "little", shorten(f"{key}: {value}", 40), place)


def read_words(text: str, source: Source, place: Place) -> None:
    """Take down the bit order that a remark or comment speaks of.

    Raises:
        ConfigError: it speaks of both, or of another one than was said before.
    """
    if re.search(r"\b(not|no)\s+(big|little)[\s_-]*endian", text, re.IGNORECASE):
        raise source.refuse(f"{shorten(text, 60)!r} says what the bit order is not; remove it", place)
    spoken = list(_ENDIAN.finditer(text))
    for match in spoken:
        source.says_order(match[1].lower(), match[0], place)
    if not spoken and _ORDERED.search(text):
        raise source.refuse(
            f"{shorten(text, 60)!r} speaks of the bit order; remove it and set hamiltonian.qubit_order", place
        )
    if _CONSTANT.search(text):
        raise source.refuse(
            f"{shorten(text, 60)!r} holds a number that no term has; write it as a term of I, and remove it",
            place,
        )


def note_unit(value: str, source: Source) -> None:
    """Say what the file's numbers are in, which nothing converts."""
    word = value.strip()
    if word.lower() in HARTREE_WORDS:
        source.unit = HARTREE
    elif word.lower() in ENERGY_WORDS:
        source.unit = word
    source.notes.append(f"{shorten(value, 20)} is the file's unit, its numbers stay as they are")

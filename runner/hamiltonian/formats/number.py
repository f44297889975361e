"""Numbers as programs and people write them: Fortran exponents, fractions, complex ones with a zero imaginary part."""

from __future__ import annotations

import math
import re

from runner.declare.checks import shorten
from runner.hamiltonian.formats.source import Place, Source
from runner.hamiltonian.scale import LARGEST, UNIT

# possessive: of a thousand digits, which may be damage, none is tried a second time
UNSIGNED = r"(?>\d++(?:\.\d*+)?|\.\d++)(?:[eEdD][+-]?\d++)?"
_REAL = re.compile(rf"([+-]?)({UNSIGNED})(?:/({UNSIGNED}))?", re.ASCII)
_COMPLEX = re.compile(rf"([+-]?{UNSIGNED})?\s*+(?:([+-]?)\s*+({UNSIGNED})\s*+\*?\s*+[ijIJ])?", re.ASCII)
_PAIR = re.compile(rf"\(\s*([+-]?{UNSIGNED})\s*,\s*([+-]?{UNSIGNED})\s*\)", re.ASCII)


def real(word: str) -> float | None:
    """A real number; None for anything else."""
    match = _REAL.fullmatch(word.strip())
    if match is None:
        return None
    sign, number, divisor = match.groups()
    value = _decimal(number)
    if divisor is not None:
        below = _decimal(divisor)
        if below == 0:
            return None
        value /= below
    return -value if sign == "-" else value


def number(word: str) -> complex | None:
    """A real or complex number, bare, in brackets, or a pair (re, im); None for anything else."""
    word = word.strip()
    plain = real(word)
    if plain is not None:
        return complex(plain)
    pair = _PAIR.fullmatch(word)
    if pair is not None:
        return complex(_decimal(pair[1]), _decimal(pair[2]))
    if word.startswith("(") and word.endswith(")"):
        return number(word[1:-1])
    match = _COMPLEX.fullmatch(word)
    if match is None or match[3] is None or (match[1] is not None and not match[2]):
        return None
    imaginary = _decimal(match[3]) * (-1 if match[2] == "-" else 1)
    return complex(_decimal(match[1] or "0"), imaginary)


def coefficient(word: str, source: Source, place: Place) -> float:
    """The real number a word means.

    Raises:
        ConfigError: it is none, is not finite, is too large, or has an imaginary part.
    """
    value = number(word)
    if value is None:
        raise source.refuse(f"{shorten(word, 60)!r} is no number; write e.g. -0.5", place)
    return real_part(value, word, source, place)


def real_part(value: complex, word: str, source: Source, place: Place) -> float:
    """The number without its imaginary part.

    Raises:
        ConfigError: that part is not zero, or the number is not finite or too large.
    """
    if not (math.isfinite(value.real) and math.isfinite(value.imag)):
        raise source.refuse(f"{shorten(word, 60)!r} is not finite; give a number", place)
    check_size(value.real, word, source, place)
    if value.imag != 0:
        raise source.refuse(
            f"{shorten(word, 60)!r} has an imaginary part, and an observable is real; remove it", place
        )
    return value.real


def check_size(value: float, word: str, source: Source, place: Place) -> None:
    """Refuse a number that overflows where it is added up and squared.

    Raises:
        ConfigError: it is larger than 1e60.
    """
    if abs(value) > LARGEST:
        raise source.refuse(f"{shorten(word, 60)!r} is more than {LARGEST:g} in size; {UNIT}", place)


def _decimal(text: str) -> float:
    return float(text.replace("d", "e").replace("D", "e"))

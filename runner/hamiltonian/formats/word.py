"""Pauli words: letters on all qubits (XIZ) or letters with the numbers of their qubits (X0 Z2)."""

from __future__ import annotations

import re
from typing import NamedTuple

from runner.declare.checks import shorten
from runner.hamiltonian.formats.source import Place, Source

_DENSE = re.compile(r"[IXYZ]+", re.IGNORECASE | re.ASCII)
FACTOR = re.compile(r"([IXYZ])(?:_?(\d+)|_?\{(\d+)\}|\((\d+)\)|\[(\d+)\])", re.IGNORECASE | re.ASCII)
"""One letter and its qubit: X0, X_0, X_{0}, X(0), X[0]."""
_BETWEEN = re.compile(r"\s*[*@·⊗]?\s*")
_IDENTITIES = ("", "[]", "()", "I()")


class Word(NamedTuple):
    """A product of Pauli matrices."""

    letters: str
    """Of I, X, Y, Z as written, all in capitals or all in small letters; `reading` checks that and makes them large."""
    qubits: tuple[int, ...] | None
    """One number per letter; None: the letters stand for all qubits."""


class WordTerm(NamedTuple):
    """A coefficient times a Pauli word."""

    word: Word
    coefficient: float
    place: Place


def word(text: str) -> Word | None:
    """The word that a text is; None for anything else."""
    text = text.strip()
    if _DENSE.fullmatch(text):
        return Word(text, None)
    if text in _IDENTITIES:
        return Word("", ())
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    letters, qubits, position = "", [], 0
    while position < len(text):
        match = FACTOR.match(text, position)
        if match is None:
            return None
        letters += match[1]
        qubits.append(int(next(digits for digits in match.groups()[1:] if digits is not None)[:4000]))
        between = _BETWEEN.match(text, match.end())
        assert between is not None
        position = between.end()
        if position == len(text) and between.end() > match.end():
            return None  # nothing follows the sign of a product
    return Word(letters, tuple(qubits)) if letters else None


def check_word(found: Word, source: Source, place: Place) -> Word:
    """The word itself.

    Raises:
        ConfigError: it names a qubit twice, or has not one number per letter.
    """
    if found.qubits is None:
        return found
    if len(found.qubits) != len(found.letters):
        raise source.refuse(
            f"{found.letters!r} has {len(found.letters)} letters and {len(found.qubits)} qubits "
            f"{list(found.qubits)}; give one per letter",
            place,
        )
    if len(set(found.qubits)) != len(found.qubits):
        raise source.refuse(f"{shorten(shown(found), 60)!r} names a qubit twice; multiply it out", place)
    return found


def shown(found: Word) -> str:
    """The word as a person writes it."""
    if found.qubits is None:
        return found.letters
    return (
        " ".join(f"{letter}{qubit}" for letter, qubit in zip(found.letters, found.qubits, strict=False))
        or "I"
    )

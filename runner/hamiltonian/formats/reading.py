"""What was read from an operator file, and the words that say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.declare.checks import shorten
from runner.hamiltonian.formats.source import Source
from runner.hamiltonian.formats.word import Word, WordTerm, check_word, shown
from runner.hamiltonian.pauli import MAX_QUBITS, hamiltonian_of
from runner.hamiltonian.scale import constants

if TYPE_CHECKING:
    from runner.hamiltonian.operator import Hamiltonian

ORDERS = ("little", "big")
"""little: the leftmost letter is the last qubit, index k is qubit k, as in Qiskit; big: the other way round."""


@dataclass(frozen=True)
class Reading:
    """An operator and how it was understood."""

    hamiltonian: Hamiltonian
    format: str
    """Name of the format, in words."""
    order: str
    """Which letter or index is which qubit, in words."""
    notes: tuple[str, ...] = ()
    unit: str | None = None
    """What its numbers are in, where the format or the file says so."""

    def describe(self) -> dict[str, Any]:
        """What the journal keeps of it; `words` is all of it on one line."""
        operator = self.hamiltonian
        labels = (operator.paulis[:1] + operator.paulis[-1:]).to_labels()
        values = operator.coeffs.real
        alone = constants(operator)
        facts = {
            "format": self.format,
            "qubits": int(operator.num_qubits),
            "terms": len(operator),
            "first_term": f"{values[0]:.10g} {labels[0]}",
            "last_term": f"{values[-1]:.10g} {labels[-1]}",
            "identity": float(values[alone].sum()),
            "order": self.order,
            "notes": list(self.notes),
        }
        return facts | {"words": _in_words(facts)}


def _in_words(facts: dict[str, Any]) -> str:
    first, last = (shorten(facts[name], 60) for name in ("first_term", "last_term"))
    qubits, terms = (
        f"{facts[name]} {name[:-1] if facts[name] == 1 else name}" for name in ("qubits", "terms")
    )
    shown = f"{first} … {last}" if facts["terms"] > 1 else first
    parts = [f"{facts['format']}: {qubits}, {terms}, {shown}", f"identity {facts['identity']:.10g}"]
    return "; ".join([*parts, facts["order"], *facts["notes"]])


def read_terms(
    terms: Sequence[WordTerm], source: Source, format: str, *, qubits: int | None, order: str
) -> Reading:
    """The operator of the terms of a file; equal ones are added.

    Args:
        terms: at least one, with words of one kind.
        source: where they come from.
        format: its name.
        qubits: as declared; None: what the terms say.
        order: little | big.

    Raises:
        ConfigError: the words do not fit each other or the declared number of qubits.
    """
    if not terms:
        raise source.refuse("holds no terms; give at least one, e.g. ZZ 0.5")
    terms = _in_capitals(terms, source)
    dense = _is_dense(terms, source)
    size = _dense_size(terms, source, qubits) if dense else _indexed_size(terms, source, qubits)
    rows = [[_label(term.word, size, order), term.coefficient] for term in terms]
    different = len({label for label, _ in rows})
    if different < len(rows):
        source.notes.append(f"{len(rows)} terms were read, equal ones were added up")
    hamiltonian = hamiltonian_of(rows, size, source.key)
    return Reading(
        hamiltonian, format, order_in_words(size, order, dense=dense), tuple(source.notes), source.unit
    )


def order_in_words(size: int, order: str, *, dense: bool) -> str:
    """Which letter, or which index, is which qubit."""
    if dense:
        return f"leftmost letter is qubit {size - 1 if order == 'little' else 0}"
    if order == "little":
        return "index 0 is qubit 0"
    return f"index 0 is qubit {size - 1}"


def _in_capitals(terms: Sequence[WordTerm], source: Source) -> Sequence[WordTerm]:
    """The terms in capitals; small letters are taken where there are no others, because Qiskit's iZZ is i times ZZ."""
    small = [term for term in terms if term.word.letters != term.word.letters.upper()]
    if not small:
        return terms
    for term in terms:
        letters = term.word.letters
        if letters != letters.lower() and letters != letters.upper():
            phase = re.fullmatch(r"i[IXYZ]+", letters) and term.word.qubits is None
            raise source.refuse(
                f"{shorten(shown(term.word), 60)!r} "
                + (
                    "begins with i, which is a phase in Qiskit's labels; put it into the coefficient"
                    if phase
                    else "has small and capital letters; write all in capitals"
                ),
                term.place,
            )
    large = next((term for term in terms if term.word.letters != term.word.letters.lower()), None)
    if large is not None:
        raise source.refuse(
            f"{shorten(shown(small[0].word), 60)!r} has small letters, {shorten(shown(large.word), 60)!r} capitals; "
            "write all in capitals",
            small[0].place,
        )
    return [term._replace(word=term.word._replace(letters=term.word.letters.upper())) for term in terms]


def _is_dense(terms: Sequence[WordTerm], source: Source) -> bool:
    """Whether letters stand for all qubits; an I alone is the identity where the others have numbers."""
    indexed = [term for term in terms if term.word.qubits]
    whole = [term for term in terms if term.word.qubits is None and (not indexed or term.word.letters != "I")]
    if indexed and whole:
        term = max(indexed[0], whole[0], key=lambda term: terms.index(term))
        raise source.refuse(
            f"{shorten(shown(term.word), 60)!r} has {'numbers' if term.word.qubits else 'no numbers'} of qubits, "
            "others not so; use one kind of word",
            term.place,
        )
    return bool(whole) and all(term.word.qubits is None or not term.word.letters for term in terms)


def _dense_size(terms: Sequence[WordTerm], source: Source, qubits: int | None) -> int:
    size = next(len(term.word.letters) for term in terms if term.word.letters)
    for term in terms:
        if term.word.qubits is None and len(term.word.letters) != size:
            count = len(term.word.letters)
            raise source.refuse(
                f"{shorten(term.word.letters, 60)!r} has {count} letter{'s' * (count > 1)}, others {size}; "
                "use one length",
                term.place,
            )
    if qubits is not None and qubits != size:
        raise source.refuse(
            f"labels have {size} letters, and hamiltonian.qubits is {qubits}; make them equal"
        )
    if size > MAX_QUBITS:
        raise source.refuse(f"speaks of {size} qubits, more than {MAX_QUBITS}; shorten the labels")
    return size


def _indexed_size(terms: Sequence[WordTerm], source: Source, qubits: int | None) -> int:
    highest = -1
    for term in terms:
        check_word(term.word, source, term.place)
        for qubit in term.word.qubits or ():
            if qubit >= (qubits or MAX_QUBITS):
                raise source.refuse(
                    f"{shorten(shown(term.word), 60)!r} names qubit {shorten(qubit, 20)}, and there are at most "
                    f"{qubits or MAX_QUBITS}; correct it, or raise hamiltonian.qubits",
                    term.place,
                )
            highest = max(highest, qubit)
    if qubits is None and highest < 0:
        raise source.refuse("names no qubit; say how many there are by hamiltonian.qubits")
    if qubits is None:
        source.notes.append(f"{highest + 1} qubits, because the highest index is {highest}")
    return qubits or highest + 1


def _label(word: Word, size: int, order: str) -> str:
    """The full-length label, qubit 0 rightmost."""
    if word.qubits is None and (len(word.letters) == size):
        return word.letters if order == "little" else word.letters[::-1]
    letters = ["I"] * size
    for letter, qubit in zip(word.letters, word.qubits or (), strict=False):
        letters[qubit if order == "big" else size - 1 - qubit] = letter
    return "".join(letters)

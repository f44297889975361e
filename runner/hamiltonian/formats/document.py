"""Operators in lists and dictionaries: rows, records, two lists, label to coefficient; wrapped or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from runner.declare.checks import shorten, twice
from runner.errors import ConfigError
from runner.hamiltonian.formats import columns, remarks
from runner.hamiltonian.formats.columns import need_word, role
from runner.hamiltonian.formats.number import coefficient, number, real_part
from runner.hamiltonian.formats.remarks import plain
from runner.hamiltonian.formats.source import Place, Source
from runner.hamiltonian.formats.tree import Pairs, Tree
from runner.hamiltonian.formats.word import Word, WordTerm, check_word, word

_CONTAINERS = (
    "terms", "hamiltonian", "operator", "observable", "op", "paulis", "pauli_terms", "pauli_sum", "pauli_list", "data",
    "qubit_hamiltonian", "qubit_operator", "sparse_pauli_op", "pauliop", "h",
)  # fmt: skip
"""Keys whose value may be the operator."""
_REMARKS = (
    "name", "description", "comment", "comments", "author", "date", "title", "source", "reference",
    "geometry", "molecule", "basis", "mapping", "mapper", "metadata", "meta", "info", "notes", "version", "format",
)  # fmt: skip
"""Keys whose value says nothing about the operator, if nothing in it does."""
_QUBITS = ("qubits", "num_qubits", "n_qubits", "nqubits", "number_of_qubits", "numqubits")
_COUNTS = ("num_terms", "n_terms", "nterms", "number_of_terms", "count")


class Document:
    """A tree that holds an operator."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.qubits: int | None = None
        """As the document says."""
        self.constant: tuple[str, float, Place] | None = None
        """A number beside the terms that is added to them: its key, itself, its place."""
        self.shape = ""
        """How the operator is laid out, in words."""

    def operator(self, tree: Tree) -> list[WordTerm]:
        """The terms of a tree, with the constant that stands beside them.

        Raises:
            ConfigError: something in it is not understood, or the constant may be among the terms already.
        """
        terms = self.read(tree)
        if self.constant is None:
            return terms
        key, value, place = self.constant
        if any(not term.word.letters.strip("Ii") for term in terms):
            raise self.source.refuse(
                f"{key!r} is {value:.10g} beside terms that have an identity; add it to that and remove the key, "
                "or remove it if it is in there",
                place,
            )
        self.source.notes.append(f"{key} {value:.10g} was read as an identity term")
        return [*terms, WordTerm(Word("", ()), value, place)]

    def read(self, tree: Tree, place: tuple[int, ...] = ()) -> list[WordTerm]:
        """The terms of a tree.

        Raises:
            ConfigError: something in it is not understood.
        """
        if isinstance(tree, Pairs):
            return self._mapping(tree, place)
        if isinstance(tree, list):
            return self._list(tree, place)
        raise self.source.refuse(
            f'{shorten(tree, 60)!r} holds no list of terms; write e.g. [["ZZ", 0.5]]', place or None
        )

    def _list(self, items: list[Tree], place: tuple[int, ...]) -> list[WordTerm]:
        if not items:
            raise self.source.refuse(
                'the list is empty; give at least one term, e.g. ["ZZ", 0.5]', place or None
            )
        kinds = {type(item) for item in items}
        if kinds == {Pairs}:
            return self._records(items, place)
        if kinds == {list}:
            return self._rows(items, place)
        odd = next(
            index for index, item in enumerate(items) if type(item) is not type(items[0]) or kinds == {str}
        )
        raise self.source.refuse(f'{_shown(items[odd])} is no term; write e.g. ["ZZ", 0.5]', (*place, odd))

    def _rows(self, rows: list[list[Tree]], place: tuple[int, ...]) -> list[WordTerm]:
        """Rows of words and numbers, perhaps with lists of qubits or pairs [re, im] among them."""
        if all(isinstance(item, str) for row in rows for item in row):
            self.shape = "rows"
            return columns.terms_of([((*place, index), row) for index, row in enumerate(rows)], self.source)
        terms = [self._row(row, (*place, index)) for index, row in enumerate(rows)]
        self.shape = "sparse rows" if terms[0].word.qubits is not None else "rows"
        return terms

    def _row(self, row: list[Tree], place: tuple[int, ...]) -> WordTerm:
        labels = [item for item in row if isinstance(item, str) and word(item) is not None]
        rest = [item for item in row if item not in labels]
        if len(labels) != 1 or len(rest) not in (1, 2):
            raise self.source.refuse(f'{_shown(row)} is no term; write e.g. ["ZZ", 0.5]', place)
        found = need_word(labels[0], self.source, place)
        if len(rest) == 1:
            return WordTerm(found, self._value(rest[0], place), place)
        readings = {
            (qubits, self._value(value, place))
            for qubits, value in ((_qubits(rest[0], found), rest[1]), (_qubits(rest[1], found), rest[0]))
            if qubits is not None and self._is_value(value)
        }
        if len(readings) != 1:
            how = "two ways" if readings else "no way"
            raise self.source.refuse(
                f"{_shown(row)} can be read in {how}; write [letters, [qubits], coefficient]", place
            )
        ((qubits, value),) = readings
        return WordTerm(check_word(Word(found.letters, qubits), self.source, place), value, place)

    def _records(self, records: list[Pairs], place: tuple[int, ...]) -> list[WordTerm]:
        """A dictionary for each term: by the names of its keys, or from the label to the coefficient."""
        self.shape = "records"
        terms = []
        for index, record in enumerate(records):
            at = (*place, index)
            if len(record) == 1 and role(str(record[0][0])) is None:
                terms += self._labels(record, at)
            else:
                terms.append(self._record(record, at))
        counted = [dict(record).get("index") for record in records]
        if any(value is not None for value in counted) and not columns.counts(
            [str(value) for value in counted]
        ):
            raise self.source.refuse(
                "index does not count from 0 or 1; a record is missing or twice", place or None
            )
        return terms

    def _record(self, record: Pairs, place: tuple[int, ...]) -> WordTerm:
        values = self._by_role(record, place)
        if "label" not in values or "coefficient" not in values:
            missing = "label" if "label" not in values else "coefficient"
            raise self.source.refuse(
                f'{_shown(record)} has no {missing}; write e.g. {{"pauli": "ZZ", "coeff": 0.5}}', place
            )
        if not isinstance(values["label"], str):
            raise self.source.refuse(
                f"{_shown(values['label'])} is no Pauli word; write e.g. XIZ or X0 Z2", place
            )
        found = need_word(values["label"], self.source, place)
        if "qubits" in values:
            qubits = _qubits(values["qubits"], None)
            if qubits is None:
                raise self.source.refuse(
                    f"{_shown(values['qubits'])} are no qubits; write e.g. [0, 2]", place
                )
            found = check_word(Word(found.letters, qubits), self.source, place)
        value = self._value(values["coefficient"], place)
        if "imaginary" in values:
            part = self._value(values["imaginary"], place)
            real_part(complex(value, part), f"{value} + {part}i", self.source, place)
        return WordTerm(found, value, place)

    def _by_role(self, record: Pairs, place: tuple[int, ...]) -> dict[str, Tree]:
        values: dict[str, Tree] = {}
        for key, value in record:
            name = role(key) if isinstance(key, str) else None
            if name is None:
                raise self.source.refuse(
                    f"{_shown(key)} is no known key of a term; write e.g. pauli and coeff", place
                )
            if name in values:
                raise self.source.refuse(f"{_shown(record)} gives the {name} twice; keep one", place)
            values[name] = value
        return values

    def _mapping(self, pairs: Pairs, place: tuple[int, ...]) -> list[WordTerm]:
        """Labels with coefficients; or keys, one of which holds the operator, or two of which its two lists."""
        if not pairs:
            raise self.source.refuse(
                'the dictionary is empty; give at least one term, e.g. {"ZZ": 0.5}', place or None
            )
        if all(self._key(key) is not None for key, _ in pairs) and not any(
            isinstance(value, list) and len(value) != 2 for _, value in pairs
        ):
            return self._labels(pairs, place)
        self._check_once(pairs, place)
        lists = {
            name: index
            for index, (key, value) in enumerate(pairs)
            if isinstance(key, str) and (name := role(key)) and isinstance(value, list | Pairs)
        }
        if "label" in lists and "coefficient" in lists:
            return self._two_lists(pairs, lists, place)
        roles = [role(key) if isinstance(key, str) else None for key, _ in pairs]
        if {"label", "coefficient"} <= set(roles) and None not in roles:
            return [self._record(pairs, place)]
        inside = [
            index
            for index, (key, value) in enumerate(pairs)
            if isinstance(key, str) and plain(key) in _CONTAINERS and isinstance(value, list | Pairs)
        ]
        if len(inside) != 1:
            how = "holds no operator that is known by its key" if not inside else "holds several operators"
            raise self.source.refuse(
                f'{how} ({shorten(", ".join(pairs.names()), 80)}); write e.g. {{"terms": [["ZZ", 0.5]]}}',
                place or None,
            )
        (index,) = inside
        self._remarks(pairs, {index}, place)
        terms = self.read(pairs[index][1], (*place, index))
        self._check_count(pairs, terms, place)
        return terms

    def _key(self, key: Tree) -> Word | None:
        """The Pauli word that a key is: XIZ, X0 Z2, or OpenFermion's ((0, 'X'), (2, 'Z'))."""
        if isinstance(key, str):
            return word(key)
        letters, qubits = "", []
        for item in key:
            if not isinstance(item, list) or len(item) != 2:
                return None
            qubit, letter = item
            if not isinstance(qubit, str) or letter not in ("I", "X", "Y", "Z"):
                return None
            if not (qubit.isascii() and qubit.isdecimal() and len(qubit) < 10):
                return None
            letters += letter
            qubits.append(int(qubit))
        return Word(letters, tuple(qubits))

    def _labels(self, pairs: Pairs, place: tuple[int, ...]) -> list[WordTerm]:
        self.shape = self.shape or "label: coefficient"
        terms = []
        for index, (key, value) in enumerate(pairs):
            found = self._key(key)
            if found is None:
                raise self.source.refuse(
                    f"{_shown(key)} is no Pauli word; write e.g. XIZ or X0 Z2", (*place, index)
                )
            at = (*place, index)
            terms.append(WordTerm(check_word(found, self.source, at), self._value(value, at), at))
        return terms

    def _two_lists(self, pairs: Pairs, lists: dict[str, int], place: tuple[int, ...]) -> list[WordTerm]:
        """Labels and coefficients side by side, known by their keys."""
        self.shape = "two lists"
        self._remarks(pairs, set(lists.values()), place)
        unknown = set(lists) - {"label", "coefficient", "imaginary", "qubits"}
        columns_ = {name: self._column(pairs[index][1], (*place, index)) for name, index in lists.items()}
        lengths = {name: len(column) for name, column in columns_.items()}
        if unknown or len(set(lengths.values())) != 1:
            counted = ", ".join(f"{length} of {name}" for name, length in lengths.items())
            raise self.source.refuse(
                f"the lists do not fit: {counted}; make them equally long", place or None
            )
        names = list(columns_)
        terms = [
            self._record(Pairs(zip(names, row, strict=True)), (*place, lists["label"], index))
            for index, row in enumerate(zip(*columns_.values(), strict=True))
        ]
        self._check_count(pairs, terms, place)
        return terms

    def _column(self, values: Tree, place: tuple[int, ...]) -> list[Tree]:
        """A list; {"real": […], "imag": […]} becomes one of pairs, {"0": …, "1": …} of pandas its values."""
        if isinstance(values, Pairs) and columns.counts([str(key) for key, _ in values]):
            return [value for _, value in values]
        if isinstance(values, Pairs):
            parts = self._by_role(values, place)
            if set(parts) == {"coefficient", "imaginary"} and all(
                isinstance(part, list) for part in parts.values()
            ):
                real, imaginary = parts["coefficient"], parts["imaginary"]
                if len(real) == len(imaginary):
                    return [list(pair) for pair in zip(real, imaginary, strict=True)]
            raise self.source.refuse(f"{_shown(values)} is no list; write [numbers]", place)
        return list(values)

    def _value(self, value: Tree, place: Place) -> float:
        """A coefficient: a number, a text of one, a pair [re, im], or {"real": …, "imag": …}."""
        if isinstance(value, str):
            return coefficient(value, self.source, place)
        if isinstance(value, Pairs):
            assert isinstance(place, tuple)
            parts = self._by_role(value, place)
            if set(parts) != {"coefficient", "imaginary"}:
                raise self.source.refuse(f"{_shown(value)} is no number; write e.g. -0.5", place)
            value = [parts["coefficient"], parts["imaginary"]]
        if len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise self.source.refuse(f"{_shown(value)} is no number; write e.g. -0.5 or [-0.5, 0]", place)
        real, imaginary = (coefficient(part, self.source, place) for part in value)
        return real_part(complex(real, imaginary), f"{value[0]} + {value[1]}i", self.source, place)

    def _is_value(self, value: Tree) -> bool:
        """Whether a part of a row can be a coefficient."""
        if isinstance(value, str):
            return number(value) is not None
        return (
            isinstance(value, list)
            and len(value) == 2
            and all(isinstance(part, str) and number(part) is not None for part in value)
            and number(value[1]) == 0
        )

    def _check_once(self, pairs: Pairs, place: tuple[int, ...]) -> None:
        if (name := twice(pairs.names())) is not None:
            raise self.source.refuse(f"{shorten(name, 60)!r} stands twice; keep one", place or None)

    def _remarks(self, pairs: Pairs, known: set[int], place: tuple[int, ...]) -> None:
        """Check what else a dictionary says, and refuse what might belong to the operator."""
        left = []
        for index, (key, value) in enumerate(pairs):
            name = plain(key) if isinstance(key, str) else ""
            at = (*place, index)
            if index in known or name in _COUNTS or self._meaning(name, value, at, beside=True):
                continue
            if name not in _REMARKS:
                raise self.source.refuse(
                    f"{_shown(key)} is no known key beside an operator; "
                    'put remarks under "metadata", a constant into an identity term, e.g. ["II", 1.5]',
                    at,
                )
            self._remark(value, at)
            left.append(key)
        if left:
            self.source.notes.append(f"left out: {shorten(', '.join(left), 60)}")

    def _remark(self, value: Tree, place: tuple[int, ...]) -> None:
        """Refuse a remark that holds what belongs to the operator."""
        if isinstance(value, str):
            remarks.read_words(value, self.source, place)
            return
        if self._is_operator(value):
            raise self.source.refuse(f"{_shown(value)} is an operator too; keep one", place)
        for index, item in enumerate(value):
            key, inside = item if isinstance(value, Pairs) else ("", item)
            name = plain(key) if isinstance(key, str) else ""
            if not self._meaning(name, inside, (*place, index), beside=False):
                self._remark(inside, (*place, index))

    def _is_operator(self, value: Tree) -> bool:
        """Whether a remark is another operator; coordinates x, y, z are none."""
        try:
            terms = Document(Source(self.source.path, self.source.key, "")).read(value)
        except ConfigError:
            return False
        return any(term.word.letters.isupper() for term in terms)

    def _meaning(self, name: str, value: Tree, place: tuple[int, ...], *, beside: bool) -> bool:
        """Whether a key says something about the operator; that is taken down, or refused where it cannot be."""
        if name in _QUBITS and isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
            if self.qubits not in (None, int(value)):
                raise self.source.refuse(f"says {self.qubits} qubits, and {value} here; keep one", place)
            self.qubits = int(value)
        elif name in remarks.CONSTANTS and self._is_value(value):
            self._constant(name, self._value(value, place), place, beside=beside)
        elif name in remarks.FACTORS and self._is_value(value):
            raise self.source.refuse(
                f"{name!r} is {_shown(value)}; carry it out in the coefficients and remove it", place
            )
        elif name in remarks.UNITS and isinstance(value, str):
            remarks.note_unit(value, self.source)
        elif name in remarks.ORDERS and isinstance(value, str):
            remarks.read_order(name, value, self.source, place)
        else:
            return False
        return True

    def _constant(self, name: str, value: float, place: tuple[int, ...], *, beside: bool) -> None:
        if self.constant is not None or not beside:
            why = f"{self.constant[0]!r} is one too" if self.constant else "among remarks it would be lost"
            raise self.source.refuse(
                f'{name!r} is {value:.10g}, and {why}; write it as a term, e.g. ["II", {value:.10g}], '
                "and remove the key",
                place,
            )
        self.constant = name, value, place

    def _check_count(self, pairs: Pairs, terms: Sequence[WordTerm], place: tuple[int, ...]) -> None:
        for index, (key, value) in enumerate(pairs):
            if isinstance(key, str) and plain(key) in _COUNTS and value != str(len(terms)):
                raise self.source.refuse(
                    f"{key} is {_shown(value)}, and there are {len(terms)}; correct it", (*place, index)
                )


def _qubits(value: Tree, found: Word | None) -> tuple[int, ...] | None:
    """Numbers of qubits, one per letter of a word; None where the value is not that."""
    if isinstance(value, str) and found is None:
        value = value.split()
    if not isinstance(value, list) or not all(
        isinstance(item, str) and re.fullmatch(r"\d{1,9}", item) for item in value
    ):
        return None
    if found is not None and len(value) != len(found.letters):
        return None
    return tuple(int(item) for item in value)


def _shown(value: Any) -> str:
    text = str(list(value)) if isinstance(value, list) else str(value)
    return repr(shorten(text, 60))

"""Which column of a table is the label and which the coefficient: by a header, or by the only reading there is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from runner.declare.checks import shorten, twice
from runner.hamiltonian.formats.number import coefficient, number, real_part
from runner.hamiltonian.formats.source import Place, Source
from runner.hamiltonian.formats.word import Word, WordTerm, check_word, word

Row = tuple[Place, list[str]]

SURE_ROWS = 3
"""Fewest rows of a column 0, 1, 2, … beside a coefficient that is an index and nothing else."""
SURE_DECIMALS = 10
"""Fewest rows whose whole parts cannot all be 0, 1, 2, … by accident."""
NAMES = {
    "label": "label labels pauli paulis pauli_string pauli_strings pauli_label pauli_labels pauli_word pauli_words "
    "pauli_term string strings word words operator operators op ops term terms observable basis",
    "coefficient": "coefficient coefficients coeff coeffs coef coefs value values weight weights amplitude c h "
    "real re real_part coeff_real coeff_re coefficient_real real_coeff coeffs_real coefficients_real",
    "imaginary": "imaginary imag im imag_part imaginary_part coeff_imag coeff_im coefficient_imag imag_coeff "
    "coeffs_imag coefficients_imag",
    "qubits": "qubits qubit sites site indices support positions wires",
    "index": "index idx id i n no nr # number row term_index unnamed:_0",
}
"""What a column holds → the names that header lines and records give it."""
_ROLES = {name: role for role, names in NAMES.items() for name in names.split()}


def role(name: str) -> str | None:
    """What a name of a column or key stands for; None for an unknown one."""
    plain = re.sub(r"[(\[].*[)\]]", "", name.strip().strip("\"'").lower()).strip()
    return _ROLES.get(re.sub(r"[\s-]+", "_", plain))


def terms_of(rows: Sequence[Row], source: Source, delimiter: str = "") -> list[WordTerm]:
    """The terms of a table, each row a place and its words.

    Args:
        rows: at least one.
        source: where they come from.
        delimiter: what stood between the words; a comma may have been a decimal one.

    Raises:
        ConfigError: a row is not understood, or several readings are possible and differ.
    """
    if not rows:
        raise source.refuse("is empty; give at least one term, e.g. ZZ 0.5")
    rows = list(rows)
    sizes = _sizes(rows, source)
    header = _header(rows, source, delimiter)
    if not rows:
        raise source.refuse("has a header and no terms; give at least one, e.g. ZZ 0.5")
    width = len(rows[0][1])
    for place, words in rows:
        if len(words) != width:
            raise source.refuse(
                f"{_shown(words)} has {len(words)} column{'s' * (len(words) > 1)}, the first row {width}; "
                "write a label and a coefficient in each",
                place,
            )
    terms = _by_header(header, rows, source) if header else _by_content(rows, source, delimiter)
    if sizes is not None:
        _check_sizes(*sizes, terms, source)
    return terms


def _header(rows: list[Row], source: Source, delimiter: str) -> list[str] | None:
    """What the columns hold, taken off the first row if that is a header."""
    place, words = rows[0]
    if any(word(text) and text.strip() for text in words if not role(text)):
        return None
    if any(number(text) is not None for text in words):
        return None
    unnamed = [text for text in words if text.strip() and role(text) is None]
    if unnamed:
        raise source.refuse(
            f"{shorten(unnamed[0], 60)!r} is neither a Pauli word nor a number nor a known name of a column; "
            "write e.g. pauli,coefficient above, or # before a comment",
            place,
        )
    found = [role(text) or "index" for text in words]  # pandas leaves the index without a name
    if delimiter == " " and len(rows) > 1 and len(rows[1][1]) == len(words) + 1 and "index" not in found:
        found.insert(0, "index")  # and prints no name at all for it
    if (name := twice(found)) is not None:
        raise source.refuse(f"{_shown(words)} names {name} twice; keep one", place)
    if not {"label", "coefficient"} <= set(found):
        missing = "label" if "label" not in found else "coefficient"
        raise source.refuse(
            f"the header {_shown(words)} names no {missing}; write e.g. pauli,coefficient", place
        )
    del rows[0]
    return found


def _by_header(header: list[str], rows: Sequence[Row], source: Source) -> list[WordTerm]:
    if len(header) != len(rows[0][1]):
        raise source.refuse(
            f"{_shown(rows[0][1])} has {len(rows[0][1])} columns, the header {len(header)}; make them equal",
            rows[0][0],
        )
    column = {name: [words[index] for _, words in rows] for index, name in enumerate(header)}
    if "index" in column and not counts(column["index"]):
        raise source.refuse(
            "the index column does not count from 0 or 1; a row is missing or twice", rows[0][0]
        )
    terms = []
    for row, (place, _) in enumerate(rows):
        found = need_word(column["label"][row], source, place)
        if "qubits" in column:
            found = check_word(
                Word(found.letters, _qubits(column["qubits"][row], source, place)), source, place
            )
        value = coefficient(column["coefficient"][row], source, place)
        if "imaginary" in column:
            part = coefficient(column["imaginary"][row], source, place)
            real_part(complex(value, part), f"{value} + {part}i", source, place)
        terms.append(WordTerm(found, value, place))
    return terms


def _by_content(rows: Sequence[Row], source: Source, delimiter: str) -> list[WordTerm]:
    """The terms by the only assignment of columns that makes sense."""
    place, words = rows[0]
    labels = [index for index, text in enumerate(words) if word(text) is not None]
    if len(labels) != 1:
        what = "no Pauli word" if not labels else f"{len(labels)} Pauli words"
        raise source.refuse(f"{_shown(words)} holds {what}; write one label and its coefficient", place)
    (label,) = labels
    found = [need_word(row[label], source, at) for at, row in rows]
    others = [index for index in range(len(words)) if index != label]
    if not others:
        raise source.refuse(f"{words[label]!r} has no coefficient; write e.g. {words[label]} 0.5", place)
    for at, row in rows:
        for index in others:
            if number(row[index]) is None:
                raise source.refuse(f"{shorten(row[index], 60)!r} is no number; write e.g. -0.5", at)
    columns = [[row[index] for _, row in rows] for index in others]
    if delimiter == ",":
        _check_decimal_commas(others, columns, source, place)
    readings: dict[tuple[complex | None, ...], int] = {}
    for chosen in _assignments(others, columns):
        readings.setdefault(tuple(number(text) for text in columns[chosen]), chosen)
    if len(readings) != 1:
        how = (
            "several readings"
            if readings
            else "no sure reading: an index counts from 0 or 1, an imaginary part is 0"
        )
        raise source.refuse(
            f"{_shown(words)} has {len(others)} columns of numbers with {how}; "
            "name them in a header line, e.g. index,pauli,coefficient",
            place,
        )
    values = columns[next(iter(readings.values()))]
    return [
        WordTerm(found[row], coefficient(values[row], source, at), at) for row, (at, _) in enumerate(rows)
    ]


def _check_decimal_commas(
    places: Sequence[int], columns: Sequence[list[str]], source: Source, place: Place
) -> None:
    """Refuse two columns that may be one number each row, cut in two at its decimal comma: 0,5,ZZ."""
    for index in range(len(columns) - 1):
        first, second = columns[index], columns[index + 1]
        if (
            places[index + 1] == places[index] + 1
            and len(first) < SURE_DECIMALS
            and all(re.fullmatch(r"[+-]?\d+", text) for text in first)
            and all(re.fullmatch(r"\d+(?:[eEdD][+-]?\d+)?", text) for text in second)
            and not (all(text == "0" for text in second))
        ):
            shown = f"{first[0]},{second[0]}"
            raise source.refuse(
                f"{shown!r} may be two columns or one number with a decimal comma; write a decimal point, or "
                "name the columns in a header line, e.g. index,coefficient,pauli",
                place,
            )


def _assignments(places: Sequence[int], columns: Sequence[list[str]]) -> Iterator[int]:
    """Which of the columns of numbers can be the coefficient, if the others are an index or zero imaginary parts."""
    for chosen in range(len(columns)):
        rest = [index for index in range(len(columns)) if index != chosen]
        if len(rest) > 2:
            continue
        for roles in itertools.permutations(("index", "imaginary"), len(rest)):
            if all(
                _is_index(columns[index], abs(places[index] - places[chosen]) == 1)
                if name == "index"
                else index == chosen + 1 and _zero(columns[index])
                for index, name in zip(rest, roles, strict=True)
            ):
                yield chosen


def _is_index(column: Sequence[str], beside: bool) -> bool:
    """Whether a column without a name is an index; beside the coefficient it could be a real part or a count too."""
    return len(column) >= (SURE_ROWS if beside else 2) and counts(column)


def counts(column: Sequence[str]) -> bool:
    """Whether a column is 0, 1, 2, … or 1, 2, 3, …."""
    return any(all(text.strip() == str(row + start) for row, text in enumerate(column)) for start in (0, 1))


def _zero(column: Sequence[str]) -> bool:
    return all(number(text) == 0 for text in column)


def _sizes(rows: list[Row], source: Source) -> tuple[Place, list[int]] | None:
    """A first row of one or two whole numbers, taken off: how many qubits and terms there are."""
    place, words = rows[0]
    if len(words) > 2 or not all(re.fullmatch(r"\d{1,9}", text) for text in words) or len(rows) == 1:
        return None
    if len(rows[1][1]) == len(words) and not any(word(text) for text in rows[1][1]):
        return None
    del rows[0]
    source.notes.append(f"{_shown(words)} on top was taken for sizes, and agrees")
    return place, [int(text) for text in words]


def _check_sizes(place: Place, sizes: list[int], terms: Sequence[WordTerm], source: Source) -> None:
    """Refuse a first line that is not the number of qubits, of terms, or both."""
    highest = max((qubit for term in terms for qubit in term.word.qubits or ()), default=-1)
    qubits = max(
        highest + 1, *(len(term.word.letters) if term.word.qubits is None else 0 for term in terms), 0
    )
    if sizes not in ([qubits, len(terms)], [len(terms), qubits], [qubits], [len(terms)]):
        raise source.refuse(
            f"{' '.join(map(str, sizes))!r} is not the size of what follows, {qubits} qubits and {len(terms)} terms; "
            "correct it or remove it",
            place,
        )


def need_word(text: str, source: Source, place: Place) -> Word:
    """The Pauli word of a text.

    Raises:
        ConfigError: it is none, or names a qubit twice.
    """
    found = word(text)
    if found is None:
        if re.fullmatch(r"\[?\s*(\d+\^?\s*)+\]?", text) and "^" in text:
            told = (
                f"{shorten(text, 60)!r} are ladder operators; map them to qubits first, e.g. by jordan_wigner"
            )
            raise source.refuse(told, place)
        wrong = re.search(r"[^IXYZixyz]", text)
        where = f" ({wrong[0]!r} is no Pauli)" if wrong and text.isalpha() else ""
        raise source.refuse(f"{shorten(text, 60)!r} is no Pauli word{where}; write e.g. XIZ or X0 Z2", place)
    return check_word(found, source, place)


def _qubits(text: str, source: Source, place: Place) -> tuple[int, ...]:
    words = re.split(r"[\s,;]+", text.strip().strip("()[]").strip())
    if words == [""]:
        return ()
    if not all(re.fullmatch(r"\d{1,9}", item) for item in words):
        raise source.refuse(f"{shorten(text, 60)!r} are no numbers of qubits; write e.g. 0 2", place)
    return tuple(int(item) for item in words)


def _shown(words: Sequence[str]) -> str:
    return repr(shorten(" ".join(words), 60))

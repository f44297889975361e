"""Text with one term a line: words between blanks, tabs, commas or semicolons, with comments."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from runner.declare.checks import shorten
from runner.hamiltonian.formats import columns, remarks
from runner.hamiltonian.formats.source import Source
from runner.hamiltonian.formats.word import FACTOR, WordTerm

_COMMENT = re.compile(r"(?:^|(?<=\s))(?:#|//|%(?=.*\S))|^%|#")
_ABBREVIATED = re.compile(r"\s*(?:\.\.+|…)(?:\s+(?:\.\.+|…))*[\s,]*")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eEdD][+-]?\d+)?", re.ASCII)


def read(source: Source) -> tuple[list[WordTerm], str]:
    """The terms and the name of the format.

    Raises:
        ConfigError: a line is not understood.
    """
    lines = significant(source)
    delimiter = _delimiter([text for _, text in lines])
    rows: list[columns.Row] = [(number, _words(text, delimiter, source, number)) for number, text in lines]
    for place, words in rows:
        if "" in words[place == rows[0][0] :]:  # pandas leaves the index without a name
            raise source.refuse(f"{shorten(delimiter.join(words), 60)!r} has an empty column; fill it", place)
    if delimiter in (";", "\t"):
        rows = _with_points(rows, source)
    names = {
        ",": "lines with commas",
        ";": "lines with semicolons",
        "\t": "lines with tabs",
        " ": "lines of words",
    }
    return columns.terms_of(rows, source, delimiter), names[delimiter]


def significant(source: Source) -> list[tuple[int, str]]:
    """Lines with something in them besides a comment, and their numbers."""
    kept, comments = [], 0
    for number, line in enumerate(source.lines(), 1):
        comment = _COMMENT.search(line)
        comments += comment is not None
        text = line if comment is None else line[: comment.start()]
        if _ABBREVIATED.fullmatch(text):
            raise source.refuse(
                f"{text.strip()!r} says that the print is abbreviated; write all terms, e.g. by df.to_csv()",
                number,
            )
        if comment is not None:
            remarks.read_words(line[comment.start() :], source, number)
        if text.strip():
            kept.append((number, text.strip(" ")))
    if comments:
        source.notes.append(f"{comments} comment{'s' * (comments > 1)} left out")
    return kept


def _delimiter(lines: Sequence[str]) -> str:
    lines = [re.sub(r"\([^()]*\)", "", line) for line in lines]  # pairs (re, im) have a comma of their own
    for mark in (";", "\t", ","):
        if lines and all(mark in line.strip() for line in lines):
            fields = [line.strip("\n").split(mark) for line in lines]
            if mark != "\t" or (len({len(words) for words in fields}) == 1 and all(map(all, fields))):
                return mark
    return " "


def _words(line: str, delimiter: str, source: Source, number: int) -> list[str]:
    if delimiter == " ":
        return [_unquoted(text, source, number) for text in _glued(line)]
    try:
        (words,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise source.refuse(
            f"{shorten(line, 60)!r} has a quote too few or too many; correct it", number
        ) from error
    return [_unquoted(text.strip(), source, number) for text in words]


def _glued(line: str) -> list[str]:
    """Words between blanks; letters with numbers of qubits (X0 Z2), and what stands in brackets, are one."""
    words: list[str] = []
    for text in re.findall(r"\([^()]*\)|\[[^\[\]]*\]|[^\s\[\](]\S*|\S+", line):
        if words and _factor(text) and _factor(words[-1].rsplit(" ", 1)[-1]):
            words[-1] += " " + text
        else:
            words.append(text)
    return words


def _factor(text: str) -> bool:
    return FACTOR.fullmatch(text) is not None


def _unquoted(text: str, source: Source, number: int) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    if "'" in text or '"' in text:
        raise source.refuse(f"{shorten(text, 60)!r} has a quote too few or too many; correct it", number)
    return text


def _with_points(rows: list[columns.Row], source: Source) -> list[columns.Row]:
    """The rows with decimal points, where semicolons or tabs stand between the words and commas in the numbers."""
    commas = [(place, text) for place, words in rows for text in words if _DECIMAL_COMMA.fullmatch(text)]
    points = [text for _, words in rows for text in words if re.fullmatch(r"[+-]?\d*\.\d*.*", text)]
    if not commas:
        return rows
    if points:
        raise source.refuse(
            f"{commas[0][1]!r} has a decimal comma, {points[0]!r} a point; use one of them", commas[0][0]
        )
    if all(_THOUSANDS.fullmatch(text) for _, text in commas):
        raise source.refuse(
            f"{commas[0][1]!r} may have a decimal comma or mean thousands; write a decimal point",
            commas[0][0],
        )
    source.notes.append("decimal commas")
    return [
        (place, [text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text for text in words])
        for place, words in rows
    ]

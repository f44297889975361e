"""Sums as programs print them: OpenFermion, PennyLane (both ways), SymPy and paper: 0.5*ZZ - 0.3*XI."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from runner.declare.checks import shorten
from runner.hamiltonian.formats.columns import need_word
from runner.hamiltonian.formats.number import UNSIGNED, number, real_part
from runner.hamiltonian.formats.source import Source
from runner.hamiltonian.formats.table import significant
from runner.hamiltonian.formats.word import Word, WordTerm, check_word

_TOKEN = re.compile(
    rf"""[ \t]*(?:
     (?P<complex>\(\s*[+-]?{UNSIGNED}(?:\s*[+-]\s*{UNSIGNED}\s*\*?\s*[ijIJ])?\s*\)
                |\(\s*[+-]?{UNSIGNED}[ijIJ]\s*\))
    |(?P<bracket>\[[^\[\]()+*]*\])
    |(?P<call>(?:[IXYZ]|Identity|Pauli[XYZ])\(\s*(?:wires\s*=\s*)?\[?\s*(?:\d+)?\s*\]?\s*\))
    |(?P<factor>[IXYZixyz](?:_?\d+|_?\{{\d+\}}))(?![A-Za-z0-9.])
    |(?P<dense>[IXYZ]+|[ixyz]+)(?![A-Za-z0-9_.(])
    |(?P<number>{UNSIGNED}(?:/{UNSIGNED})?)(?![A-HJ-Wa-z0-9_.])
    |(?P<sign>[+-])
    |(?P<times>[*·])
    |(?P<tensor>[@⊗])
    |(?P<open>\()
    |(?P<close>\))
    |(?P<newline>\n))""",
    re.VERBOSE | re.ASCII,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    start: int
    end: int


def read(source: Source) -> tuple[list[WordTerm], str]:
    """The terms and the name of the format.

    Raises:
        ConfigError: the text is not a sum of coefficients times Pauli words.
    """
    tokens = list(_tokens(source))
    kinds = {token.kind for token in tokens}
    if not tokens:
        raise source.refuse("is empty; give at least one term, e.g. 0.5 * ZZ")
    terms = []
    for part in _by_line(tokens) or [tokens]:
        parser = _Parser(source, part, brackets="bracket" in kinds, constants="factor" in kinds)
        terms += parser.sum()
        if parser.position < len(part):
            raise parser.unexpected()
    if not kinds & {"number", "complex"}:
        raise source.refuse("has no coefficient; write e.g. 0.5 * ZZ", tokens[0].line)
    return terms, _name(kinds, source.text)


def _by_line(tokens: list[_Token]) -> list[list[_Token]] | None:
    """The tokens of each line, where every line is one term: a number in front and no sign behind that."""
    lines = [list(part) for _, part in itertools.groupby(tokens, key=lambda token: token.line)]
    for line in lines:
        kinds = [token.kind for token in line[line[0].kind == "sign" :]]
        if (
            line[0].text == "+"
            or kinds[:1] not in (["number"], ["complex"])
            or "sign" in kinds
            or len(kinds) < 2
        ):
            return None
    return lines if len(lines) > 1 else None


def _name(kinds: set[str], text: str) -> str:
    if "bracket" in kinds:  # PennyLane starts a line with the sign, OpenFermion ends one with it
        return "PennyLane text" if re.search(r"^\s*\+\s", text, re.MULTILINE) else "OpenFermion text"
    return "PennyLane text" if "call" in kinds else "a sum"


def _tokens(source: Source) -> Iterator[_Token]:
    """The tokens of the text, comments and blanks left out."""
    text = "\n".join(_without_comments(source)).rstrip()
    line, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].split("\n")[0]
            raise source.refuse(
                f"{shorten(rest, 60)!r} is not understood; write e.g. 0.5 * ZZ - 0.3 * XI", line
            )
        kind = str(match.lastgroup)
        word = match[kind]
        if kind != "newline":
            yield _Token(kind, word, line, match.start(kind), match.end())
        if kind in ("newline", "complex", "bracket", "call"):
            line += word.count("\n")
        position = match.end()


def _without_comments(source: Source) -> list[str]:
    kept = [""] * len(source.lines())
    for place, line in significant(source):
        kept[place - 1] = line
    return kept


class _Parser:
    """sum = [sign] term (sign term)*; term = [coefficient] word; a word is one label or a product of letters."""

    def __init__(self, source: Source, tokens: list[_Token], *, brackets: bool, constants: bool) -> None:
        self.source = source
        self.tokens = tokens
        self.position = 0
        self.brackets = brackets
        """Words stand in brackets, each behind its coefficient, as OpenFermion prints them."""
        self.constants = constants
        """A number alone is a part of the identity, as in 0.5 - 0.3*Z0*Z1; not the last one: a text may be cut off."""

    def sum(self, depth: int = 0) -> list[WordTerm]:
        """Terms with signs between them."""
        terms: list[WordTerm] = []
        first = True
        while True:
            sign = self._sign(first)
            if sign is None:
                return terms
            terms += self._term(sign, depth)
            first = False

    def _sign(self, first: bool) -> int | None:
        token = self._peek()
        if token is None or token.kind != "sign":
            if first and token is not None:
                return 1
            return None
        self.position += 1
        sign = -1 if token.text == "-" else 1
        following = self._peek()
        if following is not None and following.kind == "sign":
            number = self._peek(1)
            attached = (
                number is not None and number.start == following.end and number.kind in ("number", "complex")
            )
            if first or token.text == "-" or following.text == "+" or not attached:
                raise self.unexpected()
            self.position += 1  # PennyLane: + -0.5 * Z(0)
            sign = -sign
        return sign

    def _term(self, sign: int, depth: int) -> list[WordTerm]:
        token = self._peek()
        if token is None:
            last = self.tokens[-1]
            raise self.source.refuse(f"ends with {last.text!r}: a term is missing; add it", last.line)
        value: float | None = None
        if token.kind in ("number", "complex"):
            self.position += 1
            value = self._value(token)
            following = self._peek()
            times = following is not None and following.kind == "times"
            if times:
                self.position += 1
            following = self._peek()
            if following is None or (following.kind not in ("bracket", "call", "factor", "dense", "open")):
                return [self._constant(sign * value, token, times)]
            if not times and following.line != token.line:
                raise self.unexpected()
        following = self._peek()
        assert following is not None
        if following.kind == "open":
            return self._group(sign * (1.0 if value is None else value), depth)
        found = self._word()
        if value is None and self.brackets:
            raise self.source.refuse(
                f"{shorten(token.text, 60)!r} has no coefficient; write e.g. 0.5 {shorten(token.text, 30)}",
                token.line,
            )
        return [WordTerm(found, sign * (1.0 if value is None else value), token.line)]

    def _value(self, token: _Token) -> float:
        value = number(token.text)
        if value is None:
            raise self.source.refuse(f"{shorten(token.text, 60)!r} is no number; write e.g. -0.5", token.line)
        return real_part(value, token.text, self.source, token.line)

    def _constant(self, value: float, token: _Token, times: bool) -> WordTerm:
        if times or not self.constants or self._peek() is None:
            raise self.source.refuse(
                f"{shorten(token.text, 60)!r} stands without a Pauli word; write e.g. 0.5 * II", token.line
            )
        return WordTerm(Word("", ()), value, token.line)

    def _group(self, factor: float, depth: int) -> list[WordTerm]:
        opening = self.tokens[self.position]
        if depth > 20:
            raise self.source.refuse(
                "has more than 20 brackets within each other; multiply it out", opening.line
            )
        self.position += 1
        inside = self.sum(depth + 1)
        closing = self._peek()
        if not inside or closing is None or closing.kind != "close":
            raise (
                self.unexpected()
                if closing
                else self.source.refuse("ends within a bracket; close it", opening.line)
            )
        self.position += 1
        following = self._peek()
        if following is not None and following.kind not in ("sign", "close"):
            raise self.unexpected()
        return [WordTerm(term.word, factor * term.coefficient, term.place) for term in inside]

    def _word(self) -> Word:
        """One label, one bracket, or letters with numbers and signs of multiplication between them."""
        token = self._peek()
        if token is None or token.kind not in ("bracket", "call", "factor", "dense"):
            raise self.unexpected()
        self.position += 1
        found = self._factor(token)
        while (following := self._peek()) is not None and following.kind not in ("sign", "close"):
            times = following.kind in ("times", "tensor")
            if times:
                self.position += 1
            more = self._peek()
            if (
                token.kind not in ("call", "factor")
                or more is None
                or more.kind != token.kind
                or (not times and more.line != self.tokens[self.position - 1].line)
            ):
                raise self.unexpected()
            self.position += 1
            added = self._factor(more)
            found = Word(found.letters + added.letters, (found.qubits or ()) + (added.qubits or ()))
        return check_word(found, self.source, token.line)

    def _factor(self, token: _Token) -> Word:
        if token.kind == "call":
            name, _, rest = token.text.partition("(")
            digits = rest[:-1] if rest[:-1].isdecimal() else re.sub(r"\D", "", rest)
            letter = "I" if name == "Identity" else name[-1]
            if not digits and letter != "I":
                raise self.source.refuse(f"{token.text!r} names no qubit; write e.g. {letter}(0)", token.line)
            return Word(letter, (int(digits[:9]),)) if digits else Word("", ())
        return need_word(token.text, self.source, token.line)

    def _peek(self, ahead: int = 0) -> _Token | None:
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def unexpected(self) -> Exception:
        """A refusal of the token at hand."""
        token = self._peek()
        if token is None:
            last = self.tokens[-1]
            return self.source.refuse(
                f"ends with {shorten(last.text, 60)!r}; something is missing", last.line
            )
        return self.source.refuse(
            f"{shorten(token.text, 60)!r} is not expected there; write e.g. 0.5 * ZZ - 0.3 * XI", token.line
        )

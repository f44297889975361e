"""OpenQASM 2 and 3 as text of the user's own: with the files it includes, and every refusal at its place."""

from __future__ import annotations

import bisect
import contextlib
import io
import re
import traceback
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import engine
from runner.ansatz.start import MAX_QUBITS
from runner.declare.files import MAX_BYTES, read_text
from runner.declare.foreign import causes, require_readable
from runner.errors import ConfigError, installed

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

INCLUDES = ("qelib1.inc", "stdgates.inc")
"""What OpenQASM may include from elsewhere: both come with qiskit."""
MAX_INCLUDES = 20
"""Files that may include one another in a chain."""
MAX_CLBITS = 1_000_000
MAX_NESTING = 200
"""Brackets within one another, and signs before one number: the parser's time grows with the square of them."""
MAX_UNBRACED = 4
"""`if`s of one statement where some stand within another without braces, so that an `else` might belong to several: the
parser of OpenQASM 3 tries them all, in a time that grows with their third power at least."""
MAX_DIGITS = 18
"""Digits of a whole number: what has more is no index or size, and qiskit's reader of OpenQASM 2 cannot hold it."""


@dataclass(frozen=True)
class Excerpt:
    """A part of one file, as it stands in the text that is parsed."""

    path: Path
    whole: str
    """The file's text, every character at its place."""
    start: int
    end: int


@dataclass(frozen=True)
class SourceText:
    """OpenQASM with every file of its own folder that it includes put in its place."""

    path: Path
    key: str
    """The setting that named the file."""
    pieces: tuple[Excerpt, ...]

    @classmethod
    def of(cls, path: Path, key: str) -> SourceText:
        """The program of a file.

        Raises:
            ConfigError: it or what it includes cannot be read, at its place.
        """
        return cls(path, key, tuple(_with_includes(path, read_text(path, key), (path.name,))))

    @classmethod
    def written(cls, text: str, name: str, key: str) -> SourceText:
        """A program that is in no file and may include the standard gates only; `name` is what refusals call it."""
        return cls(Path(name), key, (Excerpt(Path(name), text, 0, len(text)),))

    @cached_property
    def text(self) -> str:
        """What is parsed."""
        return "".join(piece.whole[piece.start : piece.end] for piece in self.pieces)

    @cached_property
    def plain(self) -> str:
        """The same without comments."""
        return without_comments(self.text)

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def offset(self, line: int, column: int) -> int:
        """Where in the text a line, from 1, and a column, from 0, are."""
        return self._lines[min(line, len(self._lines)) - 1] + column

    def place(self, offset: int) -> str:
        """`file:line:column` of a character of the text, each counted from 1."""
        ends, end = [], 0
        for piece in self.pieces:
            end += piece.end - piece.start
            ends.append(end)
        index = min(bisect.bisect_right(ends, offset), len(ends) - 1)
        piece = self.pieces[index]
        return _place(piece.path, piece.whole, min(piece.end, piece.end - (ends[index] - offset)))

    def refuse(self, offset: int, reason: str) -> ConfigError:
        """What is wrong at a character of the text."""
        return ConfigError(
            f"{' '.join(reason.split())[:120].rstrip('.')}; correct it", key=self.place(offset)
        )


def _place(path: Path, text: str, offset: int) -> str:
    line = text.count("\n", 0, offset)
    return f"{path}:{line + 1}:{offset - text.rfind(chr(10), 0, offset)}"


def without_comments(text: str) -> str:
    """The text with blanks for comments: every character keeps its place."""

    def blanks(match: re.Match[str]) -> str:
        return match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0])

    return re.sub(r'"[^"\n]*"|/\*.*?\*/|//[^\n]*', blanks, text, flags=re.S)


def _with_includes(path: Path, text: str, chain: tuple[str, ...]) -> list[Excerpt]:
    """The parts of a text and of every file that it includes, in order.

    Raises:
        ConfigError: it includes a file of another folder, itself, or one that is not there.
    """
    plain = without_comments(text)
    pieces, end = [], 0
    for match in re.finditer(r"\binclude\b\s*([^;\n]*);?", plain):
        name = match[1].strip().strip("\"'")
        if name in INCLUDES:
            continue
        where = _place(path, text, match.start())
        if not name or Path(name).name != name:
            known = ", ".join(INCLUDES)
            told = f"includes {match[1].strip()}; only {known} and files beside it may be"
            raise ConfigError(told, key=where)
        if name in chain or len(chain) > MAX_INCLUDES:
            raise ConfigError(f"includes {name!r}, which includes it again; break the circle", key=where)
        beside = path.with_name(name)
        inner = without_comments(read_text(beside, where))
        inner = re.sub(r"^\s*OPENQASM\s+[0-9.]+\s*;", _blanked, inner)
        pieces += [
            Excerpt(path, text, end, match.start()),
            *_with_includes(beside, inner, (*chain, name)),
        ]
        end = match.end()
        if sum(piece.end - piece.start for piece in pieces) > MAX_BYTES:
            raise ConfigError(f"includes more than {MAX_BYTES} bytes; use fewer", key=where)
    return [*pieces, Excerpt(path, text, end, len(text))]


def _blanked(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def program_of(circuit: QuantumCircuit) -> str:
    """The circuit in OpenQASM 3, its inputs called and ordered as they were declared.

    Raises:
        QASM3ExporterError: the language cannot say it.
    """
    from qiskit import qasm3

    text: str = qasm3.dumps(engine.with_names(circuit))
    names = engine.names_of(circuit)
    if sorted(re.findall(r"(?m)^input .* (\S+);$", text)) != sorted(names):
        return text
    declared = iter(names)
    return re.sub(r"(?m)^(input .* )\S+;$", lambda found: f"{found[1]}{next(declared)};", text)


def load_qasm(program: SourceText) -> QuantumCircuit:
    """The circuit of a program; it may include the standard gates, and files that lie beside it.

    Raises:
        ConfigError: `file:line:column: what is wrong`.
    """
    if not program.plain.strip():
        raise ConfigError(f"{program.path} has no qubits; declare some", key=program.key)
    _require_sane(program)
    version = re.search(r"^\s*OPENQASM\s+([0-9.]+)\s*;", program.plain)
    if version and version[1].startswith("3"):
        _require_braces(program)
        return _load_qasm3(program)
    return _load_qasm2(program)


def read_received(text: str, name: str) -> QuantumCircuit:
    """A circuit of a run directory that may be somebody else's; parsing it has limits, too.

    Args:
        text: the program; it may include nothing but the standard gates.
        name: what it is called in a refusal.

    Raises:
        ConfigError: it cannot be read, or not within the limits.
    """
    program = SourceText.written(text, name, name)
    require_readable(lambda: load_qasm(program), len(text), f"the circuit {name!r}", name)
    return load_qasm(program)


def _require_sane(program: SourceText) -> None:
    """Refuse sizes and numbers that no reader has to see."""
    for match in re.finditer(r"(?<![\w.\"])\d[\d_]*(?![\w.\"])", program.plain):
        if len(match[0]) > MAX_DIGITS:
            told = f"a whole number of {len(match[0])} digits, more than {MAX_DIGITS}"
            raise program.refuse(match.start(), told)
    _require_flat(program)
    for words, most, what in ((r"qreg|qubit", MAX_QUBITS, "qubits"), (r"creg|bit", MAX_CLBITS, "bits")):
        sizes = re.findall(rf"\b(?:{words})\s*(?:\w+\s*)?\[\s*([\d_]+)\s*\]", program.plain)
        size = sum(int(size.replace("_", "") or 0) for size in sizes)
        if size > most:
            raise ConfigError(
                f"{program.path} has {size} {what}, more than {most}; use fewer", key=program.key
            )


def _require_flat(program: SourceText) -> None:
    """Refuse brackets and signs that are nested deeper than anybody writes them, without parsing."""
    depth = 0
    for match in re.finditer(r"[()\[\]{}]|[-+!~](?:\s*[-+!~])*+", program.plain):
        if match[0] in "([{":
            depth += 1
        elif match[0] in ")]}":
            depth -= 1
        if depth > MAX_NESTING or len(match[0]) - len(re.findall(r"\s", match[0])) > MAX_NESTING:
            raise program.refuse(match.start(), f"nested too deeply, more than {MAX_NESTING} times")


def _require_braces(program: SourceText) -> None:
    """Refuse more `if`s within one another without braces than the parser can tell apart soon."""
    outer: list[tuple[int, bool]] = []
    ifs, within, before, depth = 0, False, ";", 0
    for match in re.finditer(r"\bin\s*\{[^{};]*\}|[()\[\]{};]|\bif\b|\belse\b", program.plain):
        word = match[0]
        if word in ("(", "[", ")", "]"):
            depth += 1 if word in "([" else -1
        if depth or word not in ("if", "else", "{", "}", ";"):  # a condition, an index, a set to go through
            continue
        if before in (";", "}") and word != "else":  # another statement begins
            ifs, within = 0, False
        if word == "if":
            ifs, within = ifs + 1, within or before == "if"
            if within and ifs > MAX_UNBRACED:
                told = (
                    f"more than {MAX_UNBRACED} ifs within one another without braces; write {{ }} around them"
                )
                raise program.refuse(match.start(), told)
        elif word == "{":
            outer.append((ifs, within))
            ifs, within = 0, False
        elif word == "}" and outer:
            ifs, within = outer.pop()
        before = word


def _load_qasm2(program: SourceText) -> QuantumCircuit:
    require_readable(lambda: _read2(program), len(program.text), str(program.path), program.key)
    return _read2(program)


def _read2(program: SourceText) -> QuantumCircuit:
    from qiskit import qasm2

    try:
        circuit = qasm2.loads(
            program.text, include_path=(), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS, strict=False
        )
        engine.define(circuit)
        engine.require_extent(circuit)
    except ConfigError as error:
        raise ConfigError(f"{program.path}: {error}", key=program.key) from error
    except Exception as error:
        text = " ".join(str(error).strip("'\"").split())
        if match := re.search(r"<input>:(\d+),(\d+): (.*)", text):
            line, column, reason = match.groups()
            raise program.refuse(program.offset(int(line), int(column)), reason) from error
        told = (
            "nested too deeply" if isinstance(error, RecursionError) else text[:120] or type(error).__name__
        )
        raise ConfigError(f"{program.path}: {told}; correct it", key=program.key) from error
    return circuit


def _load_qasm3(program: SourceText) -> QuantumCircuit:
    tree = _parsed(program)
    require_readable(lambda: _read3(program, tree), len(program.text), str(program.path), program.key)
    return engine.in_order(circuit := _read3(program, tree), _as_declared(circuit, tree))


def _read3(program: SourceText, tree: Any) -> QuantumCircuit:
    import qiskit_qasm3_import

    try:
        return qiskit_qasm3_import.convert(tree)
    except Exception as error:  # the importer lets Python's and Qiskit's own errors through
        raise _refused(program, error) from error


def _parsed(program: SourceText) -> Any:
    """The syntax tree of an OpenQASM 3 program."""
    with installed("OpenQASM 3 needs another package; pip install 'session-runner[qasm3]'", key=program.key):
        import openqasm3
        import qiskit_qasm3_import  # noqa: F401
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where the parser's own errors go
            return openqasm3.parse(program.text)
    except Exception as error:  # it lets those of its lexer and of Python through
        for one in causes(error):
            found = next((arg for arg in (one, *one.args) if getattr(arg, "offendingToken", None)), None)
            if found is not None:
                raise _unexpected(program, found.offendingToken) from error
        if match := re.match(r"L(\d+):C(\d+): (.*)", str(error), re.S):
            line, column, reason = match.groups()
            raise program.refuse(program.offset(int(line), int(column)), reason) from error
        raise _refused(program, error) from error


def _unexpected(program: SourceText, token: Any) -> ConfigError:
    """A word the grammar has no place for; at the start of a line the one before often lacks its end."""
    offset = min(program.offset(token.line, token.column), len(program.text))
    what = "end" if token.text == "<EOF>" else repr(token.text)
    before = program.plain[:offset].rstrip(" \t")
    if before.endswith("\n") or what == "end":
        before = before.rstrip()
        if before and before[-1] not in ";{}":
            line = program.place(len(before) - 1).rsplit(":", 2)[1]
            return program.refuse(
                offset, f"unexpected {what}: a ';' may be missing at the end of line {line}"
            )
    line = program.place(offset).rsplit(":", 2)[1]
    return program.refuse(offset, f"unexpected {what} in line {line}")


def _refused(program: SourceText, error: Exception) -> ConfigError:
    """What went wrong, at the innermost part of the program that was being read."""
    text = re.sub(r"^\d+,\d+: ", "", " ".join(str(getattr(error, "message", error)).split()))
    reason = "nested too deeply" if isinstance(error, RecursionError) else text or type(error).__name__
    offset = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for name in ("node", "ctx"):
            found = _offset_of(program, frame.f_locals.get(name))
            offset = offset if found is None else found
    if offset is None:
        return ConfigError(f"{program.path}: {reason[:120]}; correct it", key=program.key)
    return program.refuse(offset, reason)


def _offset_of(program: SourceText, part: Any) -> int | None:
    """Where a part of the syntax begins, if it says so."""
    if (span := getattr(part, "span", None)) is not None:
        offset = program.offset(span.start_line, span.start_column)
        name = getattr(part, "name", None)
        if isinstance(name, str) and not program.text.startswith(name, offset):
            return int(span.start_column)  # the parser counts bare identifiers from the start of the text
        return offset
    start = getattr(part, "start", None)
    line, column = getattr(start, "line", None), getattr(start, "column", None)
    return program.offset(line, column) if isinstance(line, int) and isinstance(column, int) else None


def _as_declared(circuit: QuantumCircuit, tree: Any) -> list[Any]:
    """The parameters in the order of their `input` declarations."""
    import openqasm3

    declared = [
        statement.identifier.name
        for statement in tree.statements
        if isinstance(statement, openqasm3.ast.IODeclaration)
    ]
    return sorted(circuit.parameters, key=lambda parameter: declared.index(parameter.name))

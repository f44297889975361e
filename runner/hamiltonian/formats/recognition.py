"""Which format a file is in: told by its content; its name only decides between YAML and what looks alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.hamiltonian.formats import evolution, fcidump, matrix, sums, table
from runner.hamiltonian.formats.document import Document
from runner.hamiltonian.formats.reading import Reading, read_terms
from runner.hamiltonian.formats.source import Source
from runner.hamiltonian.formats.tree import Tree, read_json, read_json_lines, read_python, read_yaml
from runner.hamiltonian.formats.word import WordTerm

if TYPE_CHECKING:
    from runner.hamiltonian.file import OperatorFile

_BINARIES = {b"PK\x03\x04": "a ZIP or NPZ file", b"\x1f\x8b": "a gzip file", b"\x89HDF": "an HDF5 file"}
_OPENFERMION = re.compile(r"\s*(\w+Operator):[ \t]*\n")
_YAML = re.compile(r"(---|%YAML|-\s+(?:[\[{]|[\"']?\w+[\"']?\s*:)|[\"']?[\w\[\]() ,*@]+[\"']?\s*:(\s|$))")


def read(path: Path, key: str, content: bytes, declared: OperatorFile) -> Reading:
    """The operator of a file.

    Args:
        path: where it lies, for messages and as a hint.
        key: the setting that named it.
        content: its bytes.
        declared: format, order and number of qubits; for integrals mapper, active space and frozen core.

    Raises:
        ConfigError: it is not understood, with the line.
    """
    format, qubits, order = declared.format, declared.qubits, declared.qubit_order
    for start, what in _BINARIES.items():
        if content.startswith(start):
            raise ConfigError(f"{path} is {what}, which is not read; unpack it", key=key)
    if format in ("npy", "qpy") or content.startswith((b"\x93NUMPY", b"QISKIT")):
        check_unused(declared)
    if format == "npy" or (format == "auto" and content.startswith(b"\x93NUMPY")):
        return matrix.read(path, key, content, qubits=qubits, order=order)
    if format == "qpy" or (format == "auto" and content.startswith(b"QISKIT")):
        return evolution.read(path, key, qubits=qubits, order=order)
    source = _without_name(Source.of(path, key, content))
    if not source.text.strip():
        raise source.refuse("is empty; give at least one term, e.g. ZZ 0.5")
    format, tree = recognized(source) if format == "auto" else (format, None)
    if format == "fcidump":
        return fcidump.read(source, declared)
    check_unused(declared)
    terms, name, said = _terms(format, source, tree)
    source.check_order(order)
    if qubits is not None and said not in (None, qubits):
        raise source.refuse(f"says {said} qubits, and hamiltonian.qubits is {qubits}; make them equal")
    return read_terms(terms, source, name, qubits=qubits if said is None else said, order=order)


def _without_name(source: Source) -> Source:
    """The text without OpenFermion's first line, the operator's type, as `save_operator` writes it.

    Raises:
        ConfigError: that is not a type of sums of Pauli words.
    """
    match = _OPENFERMION.match(source.text)
    if match is None:
        return source
    if match[1] not in ("QubitOperator", "IsingOperator"):
        raise source.refuse(
            f"is a {match[1]}, which no Pauli words are in; map it to qubits first, e.g. by jordan_wigner", 1
        )
    source.text = match[0].count("\n") * "\n" + source.text[match.end() :]
    return source


def check_unused(declared: OperatorFile) -> None:
    """Refuse settings for integrals where there are none.

    Raises:
        ConfigError: naming the first that was set.
    """
    for name in ("mapper", "frozen_core", "active_space", "active_orbitals", "sector"):
        value = getattr(declared, name)
        if value and value not in ("jordan_wigner", "electrons"):
            raise ConfigError(
                f"is {value}, and {declared.path} holds Pauli words, not integrals; leave it out",
                key=f"hamiltonian.{name}",
            )


def recognized(source: Source) -> tuple[str, Tree]:
    """The name of a text's format, one of `file.FORMATS`, and its tree if it had to be read for that.

    A text that looks like none is a table or a sum.
    """
    start = source.text.lstrip()
    if re.match(r"[&$]FCI\b", start, re.IGNORECASE):
        return "fcidump", None
    yaml = source.path.suffix.lower() in (".yaml", ".yml")
    if (start[0] in "[{" or source.path.suffix.lower() == ".json") and not yaml:
        return _bracketed(source, start)
    if start.startswith(("SparsePauliOp", "((", "array(")):
        return "python", None
    lines = table.significant(Source(source.path, source.key, source.text))
    if yaml or (lines and _YAML.match(lines[0][1])):
        return "yaml", None
    return "table" if _is_table([line for _, line in lines]) else "sum", None


def _bracketed(source: Source, start: str) -> tuple[str, Tree]:
    """JSON, or what Python prints, and the tree of it; where it is neither, what it looks like more."""
    try:
        return "json", read_json(source)
    except ConfigError:
        if source.path.suffix.lower() == ".json":
            return "json", None
    lines = read_json_lines(source)
    if lines is not None:
        return "json", lines
    try:
        return "python", read_python(source)
    except ConfigError:
        return "json" if start.count('"') else "python", None


def _is_table(lines: list[str]) -> bool:
    """Whether no line holds what only sums have: a sign of multiplication, a bracket, a sign by itself."""
    lines = [
        re.sub(r"[\d.]\s*[+-]\s*[\d.eE]+\s*\*?\s*[ij]\b", "0", line) for line in lines
    ]  # one complex number
    return not any(
        re.search(r"[*@⊗·]|[IXYZ]\(|\[[^,]*\]|(^|\s)[+-](\s|$)|[IXYZ]\s*[+-]\s*[\d.]*[IXYZ*]", line)
        for line in lines
    )


def _terms(format: str, source: Source, tree: Tree) -> tuple[list[WordTerm], str, int | None]:
    """Terms, the format in words, and the number of qubits if the file says it."""
    if format == "table":
        return (*table.read(source), None)
    if format == "sum":
        return (*sums.read(source), None)
    read, name = {
        "json": (lambda source: read_json_lines(source) or read_json(source), "JSON"),
        "python": (read_python, "Python"),
        "yaml": (read_yaml, "YAML"),
    }[format]
    tree = read(source) if tree is None else tree
    document = Document(source)
    terms = document.operator(tree)
    if source.text.lstrip().startswith("SparsePauliOp("):
        return terms, "SparsePauliOp as Qiskit prints it", document.qubits
    return terms, f"{name}, {document.shape}", document.qubits

"""Circuits from files of the user's own: OpenQASM 2, OpenQASM 3 and QPY."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.ansatz.start import MAX_QUBITS, AnsatzConfig
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.file import MAX_BYTES, qpy_circuits, read_text

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

KEY = "ansatz.path"
SUFFIXES = (".qasm", ".qasm2", ".qasm3", ".qpy")
INCLUDES = ("qelib1.inc", "stdgates.inc")
"""What OpenQASM may include from elsewhere: both come with qiskit."""
MAX_INCLUDES = 20
"""Files that may include one another in a chain."""


@dataclass(kw_only=True)
class CircuitFile(AnsatzConfig):
    """A circuit from a file; its free parameters (OpenQASM 3 `input`, QPY) are what is optimized."""

    initial: str = "zeros"
    """Start: zeros | random | small_random | values | file:PATH | run:ID."""
    path: str = "???"
    """OpenQASM 2 or 3 (.qasm, by its first line) or QPY (.qpy, version 13 or later) with one circuit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if Path(self.path).suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{self.path!r} is of no known kind; use {', '.join(SUFFIXES)}", key=KEY)

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit without its final measurements, which an Estimator has no use for.

        Raises:
            ConfigError: the file is missing or holds no usable circuit.
        """
        del hamiltonian
        from runner.engine.circuits import without_final_measurements

        written = self.as_written()
        circuit = without_final_measurements(written)
        if circuit is not written:
            warnings.warn(f"{KEY}: final measurements are left out", ConfigWarning, stacklevel=2)
        return circuit

    def as_written(self) -> QuantumCircuit:
        """The circuit with its measurements, for a Sampler.

        Raises:
            ConfigError: the file is missing or holds no usable circuit.
        """
        path = Path(self.path)
        if path.suffix.lower() == ".qpy":
            circuits = qpy_circuits(path, KEY)
            if len(circuits) != 1:
                raise ConfigError(f"{path} holds {len(circuits)} circuits; store exactly one", key=KEY)
            circuit = circuits[0]
        else:
            circuit = load_qasm(path)
        if circuit.num_qubits == 0:
            raise ConfigError(f"{path} has no qubits; declare some", key=KEY)
        if circuit.num_qubits > MAX_QUBITS:
            raise ConfigError(
                f"{path} has {circuit.num_qubits} qubits, more than {MAX_QUBITS}; use fewer", key=KEY
            )
        if self.qubits not in (None, circuit.num_qubits):
            raise ConfigError(
                f"is {self.qubits}, {path} has {circuit.num_qubits}; set it to null", key="ansatz.qubits"
            )
        return circuit


def load_qasm(path: Path) -> QuantumCircuit:
    """The circuit of an OpenQASM file; it may include the standard gates, and files that lie beside it.

    Raises:
        ConfigError: `file:line:column: what is wrong`.
    """
    text = _with_includes(path, read_text(path, KEY), (path.name,))
    plain = _without_comments(text)
    version = re.search(r"^\s*OPENQASM\s+([0-9.]+)\s*;", plain)
    if not plain.strip():
        raise ConfigError(f"{path} has no qubits; declare some", key=KEY)
    declared = re.findall(r"\bqreg\s+\w+\s*\[\s*(\d+)\s*\]|\bqubit\s*\[\s*(\d+)\s*\]", plain)
    size = sum(min(int(first or second), 10**9) for first, second in declared)
    if size > MAX_QUBITS:
        raise ConfigError(f"{path} has {size} qubits, more than {MAX_QUBITS}; use fewer", key=KEY)
    if version and version[1].startswith("3"):
        return _load_qasm3(path, text)
    return _load_qasm2(path, text)


def _without_comments(text: str) -> str:
    """The text with blanks for comments: every place keeps its line."""
    inner = re.sub(r"/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.S)
    return re.sub(r"//[^\n]*", lambda match: " " * len(match[0]), inner)


def _with_includes(path: Path, text: str, chain: tuple[str, ...]) -> str:
    """The text with every file of its own folder that it includes put in its place, on one line.

    Raises:
        ConfigError: it includes a file of another folder, itself, or one that is not there.
    """
    plain = _without_comments(text)
    parts, end = [], 0
    for match in re.finditer(r"\binclude\b\s*([^;\n]*);?", plain):
        name = match[1].strip().strip("\"'")
        if name in INCLUDES:
            continue
        where = f"{path}:{plain.count(chr(10), 0, match.start()) + 1}"
        if not name or Path(name).name != name:
            known = ", ".join(INCLUDES)
            told = f"includes {match[1].strip()}; only {known} and files beside it may be"
            raise ConfigError(told, key=where)
        if name in chain or len(chain) > MAX_INCLUDES:
            raise ConfigError(f"includes {name!r}, which includes it again; break the circle", key=where)
        inner = _with_includes(path.with_name(name), read_text(path.with_name(name), where), (*chain, name))
        inner = re.sub(r"^\s*OPENQASM\s+[0-9.]+\s*;", "", _without_comments(inner))
        parts += [text[end : match.start()], " ".join(inner.split())]
        end = match.end()
        if sum(map(len, parts)) > MAX_BYTES:
            raise ConfigError(f"includes more than {MAX_BYTES} bytes; use fewer", key=where)
    return "".join([*parts, text[end:]])


def _load_qasm2(path: Path, text: str) -> QuantumCircuit:
    from qiskit import qasm2

    try:
        return qasm2.loads(
            text, include_path=(), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS, strict=False
        )
    except qasm2.QASM2ParseError as error:
        raise _located(path, error, r"<input>:(\d+),(\d+): (.*)") from error


def _load_qasm3(path: Path, text: str) -> QuantumCircuit:
    from qiskit import qasm3
    from qiskit.exceptions import MissingOptionalLibraryError

    from runner.engine.classification import in_order

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # where the parser's own errors go
            circuit = qasm3.loads(text)
    except MissingOptionalLibraryError as error:
        raise ConfigError(
            "OpenQASM 3 needs another package; pip install 'session-runner[qasm3]'", key=KEY
        ) from error
    except Exception as error:  # the importer lets its parser's own errors through
        if match := re.search(r"line (\d+):(\d+) (.*)", said.getvalue()):
            line, column, reason = match.groups()
            key = f"{path}:{line}:{int(column) + 1}"
            raise ConfigError(f"line {line}: {reason[:120]}; correct it", key=key) from error
        raise _located(path, error, r"(\d+),(\d+): (.*)") from error
    return in_order(circuit, _as_declared(circuit, text))


def _as_declared(circuit: QuantumCircuit, text: str) -> list[Any]:
    """The parameters in the order of their `input` declarations."""
    import openqasm3

    declared = [
        statement.identifier.name
        for statement in openqasm3.parse(text).statements
        if isinstance(statement, openqasm3.ast.IODeclaration)
    ]
    return sorted(circuit.parameters, key=lambda parameter: declared.index(parameter.name))


def _located(path: Path, error: Any, pattern: str) -> ConfigError:
    text = " ".join(str(error).strip("'\"").split())
    if match := re.search(pattern, text):
        line, column, reason = match.groups()
        return ConfigError(f"{reason[:120]}; correct it", key=f"{path}:{line}:{int(column) + 1}")
    return ConfigError(f"{path}: {text[:120] or type(error).__name__}; correct it", key=KEY)

"""Circuits from files of the user's own: OpenQASM 2, OpenQASM 3 and QPY."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.ansatz.start import MAX_QUBITS, AnsatzConfig
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.file import qpy_circuits, read_text

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

KEY = "ansatz.path"
SUFFIXES = (".qasm", ".qasm2", ".qasm3", ".qpy")
INCLUDES = ("qelib1.inc", "stdgates.inc")
"""The only files OpenQASM may include: both come with qiskit."""


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
    """The circuit of an OpenQASM file that includes nothing but the standard gates.

    Raises:
        ConfigError: `file:line:column: what is wrong`.
    """
    text = read_text(path, KEY)
    plain = re.sub(
        r"//[^\n]*", "", re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.S)
    )
    version = re.search(r"^\s*OPENQASM\s+([0-9.]+)\s*;", plain)
    if not plain.strip():
        raise ConfigError(f"{path} has no qubits; declare some", key=KEY)
    for match in re.finditer(r"\binclude\b\s*([^;\n]*)", plain):
        if match[1].strip().strip("\"'") not in INCLUDES:
            line = plain.count("\n", 0, match.start()) + 1
            raise ConfigError(
                f"includes {match[1].strip()}; only {', '.join(INCLUDES)} may be", key=f"{path}:{line}"
            )
    declared = re.findall(r"\bqreg\s+\w+\s*\[\s*(\d+)\s*\]|\bqubit\s*\[\s*(\d+)\s*\]", plain)
    size = sum(min(int(first or second), 10**9) for first, second in declared)
    if size > MAX_QUBITS:
        raise ConfigError(f"{path} has {size} qubits, more than {MAX_QUBITS}; use fewer", key=KEY)
    if version and version[1].startswith("3"):
        return _load_qasm3(path, text)
    return _load_qasm2(path, text)


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

    try:
        circuit = qasm3.loads(text)
    except MissingOptionalLibraryError as error:
        raise ConfigError("OpenQASM 3 needs another package; pip install 'runner[qasm3]'", key=KEY) from error
    except Exception as error:  # the importer lets its parser's own errors through
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

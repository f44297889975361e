"""Hamiltonians and tables from files of the user's own: JSON, CSV and QPY."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError
from runner.hamiltonian.pauli import check_terms, hamiltonian_of

if TYPE_CHECKING:
    from runner.hamiltonian.operator import Hamiltonian

SUFFIXES = (".json", ".csv", ".txt", ".qpy")
MAX_BYTES = 50_000_000
OLDEST_QPY = 13
"""Loading older QPY files can run code that they contain (GHSA-6m2c-76ff-6vrf)."""


@dataclass(kw_only=True)
class PauliFile:
    """A Hamiltonian from a file: Pauli terms as JSON or CSV, or a PauliEvolutionGate in a QPY file."""

    name: str
    """Name of the choice."""
    path: str = "???"
    """JSON [[label, coefficient], …], lines `label,coefficient`, or QPY of a circuit with one PauliEvolutionGate."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        if Path(self.path).suffix.lower() not in SUFFIXES:
            raise ConfigError(
                f"{self.path!r} is of no known kind; use {', '.join(SUFFIXES)}", key="hamiltonian.path"
            )

    def build(self) -> Hamiltonian:
        """The operator.

        Raises:
            ConfigError: the file is missing or does not hold a Hamiltonian.
        """
        path = Path(self.path)
        terms = qpy_terms(path) if path.suffix.lower() == ".qpy" else read_rows(path, "hamiltonian.path")
        check_terms(terms, key="hamiltonian.path")
        return hamiltonian_of(terms, key="hamiltonian.path")


def read_bytes(path: Path, key: str) -> bytes:
    """The content of a file the user named.

    Raises:
        ConfigError: it is missing, unreadable or too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes; give a smaller file", key=key)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path} cannot be read ({reason}); give an existing file", key=key) from error


def read_text(path: Path, key: str) -> str:
    """The text of a file the user named.

    Raises:
        ConfigError: it is missing, unreadable, too large or not UTF-8.
    """
    try:
        return read_bytes(path, key).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text (byte {error.start}); save it as UTF-8", key=key) from error


def read_rows(path: Path, key: str) -> list[Any]:
    """Rows of a JSON list of lists, or of a text file with commas or blanks between words; numbers become numbers.

    Raises:
        ConfigError: the file cannot be read as a table.
    """
    text = read_text(path, key)
    if path.suffix.lower() == ".json":
        return json_rows(text, path, key)
    rows = []
    for line in csv.reader(line.partition("#")[0] for line in text.splitlines()):
        words = line if len(line) > 1 else " ".join(line).split()
        if words:
            rows.append([_value(word.strip()) for word in words])
    if rows and all(isinstance(word, str) for word in rows[0]) and len(rows) > 1:
        del rows[0]  # a header
    return rows


def json_rows(text: str, path: Path, key: str) -> list[Any]:
    """The rows of a JSON text: a list, or an object with one list in it.

    Raises:
        ConfigError: it is not JSON, or holds no list.
    """
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON ({error}); correct it", key=key) from error
    if isinstance(rows, dict):
        rows = next((value for value in rows.values() if isinstance(value, list)), None)
    if not isinstance(rows, list):
        raise ConfigError(f"{path} holds no list; write [[…], […]]", key=key)
    return rows


def _value(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def qpy_circuits(path: Path, key: str) -> list[Any]:
    """The circuits of a QPY file.

    Raises:
        ConfigError: it is no QPY file, too old to be safe, or damaged.
    """
    import io

    from qiskit import qpy
    from qiskit.exceptions import QiskitError

    content = read_bytes(path, key)
    if content[:6] != b"QISKIT" or len(content) < 7:
        raise ConfigError(f"{path} is no QPY file; write it with qiskit.qpy.dump", key=key)
    if content[6] < OLDEST_QPY:
        raise ConfigError(
            f"{path} has QPY version {content[6]}, and older than {OLDEST_QPY} can run code; dump it again",
            key=key,
        )
    try:
        return list(qpy.load(io.BytesIO(content)))
    except Exception as error:  # a damaged file fails in many ways, all of them inside qiskit
        name = type(error).__name__ if not isinstance(error, QiskitError) else str(error).strip("'\"")
        raise ConfigError(f"{path} is damaged ({name}); dump it again", key=key) from error


def qpy_terms(path: Path) -> list[Any]:
    """Labels and coefficients of the one PauliEvolutionGate in a QPY file.

    Raises:
        ConfigError: there is none or more than one, or its operator is not real.
    """
    from qiskit.circuit.library import PauliEvolutionGate
    from qiskit.quantum_info import SparsePauliOp

    key = "hamiltonian.path"
    gates = [
        instruction.operation
        for circuit in qpy_circuits(path, key)
        for instruction in circuit.data
        if isinstance(instruction.operation, PauliEvolutionGate)
    ]
    if len(gates) != 1 or not isinstance(gates[0].operator, SparsePauliOp):
        raise ConfigError(
            f"{path} holds {len(gates)} PauliEvolutionGates of one operator; put the Hamiltonian into exactly one",
            key=key,
        )
    terms = gates[0].operator.to_list()
    return [[label, value.real if value.imag == 0 else value] for label, value in terms]

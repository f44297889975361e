"""Circuits from files of the user's own: OpenQASM 2, OpenQASM 3 and QPY."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from runner import engine
from runner.ansatz.openqasm import SourceText, load_qasm
from runner.ansatz.start import MAX_QUBITS, AnsatzConfig
from runner.declare.files import qpy_circuits
from runner.errors import ConfigError, ConfigWarning

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

KEY = "ansatz.path"
SUFFIXES = (".qasm", ".qasm2", ".qasm3", ".qpy")


@dataclass(kw_only=True)
class CircuitFile(AnsatzConfig):
    """A circuit from a file; its free parameters (OpenQASM 3 `input`, QPY) are what is optimized."""

    initial: str = "zeros"
    """Start: zeros | random | small_random | values | file:PATH | run:ID."""
    path: str = "???"
    """OpenQASM 2 or 3 (.qasm, by its first line) or QPY (.qpy, version 13 or later) with one circuit."""

    written_down: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if Path(self.path).suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{self.path!r} is of no known kind; use {', '.join(SUFFIXES)}", key=KEY)

    @property
    def read_from(self) -> Sequence[Path]:
        """The file, and what it includes.

        Raises:
            ConfigError: one of them cannot be read.
        """
        path = Path(self.path)
        if path.suffix.lower() == ".qpy" or not path.is_file():
            return (path,)
        return tuple(dict.fromkeys((path, *(piece.path for piece in SourceText.of(path, KEY).pieces))))

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit without its final measurements, which an Estimator has no use for.

        Raises:
            ConfigError: the file is missing or holds no usable circuit.
        """
        del hamiltonian
        written = self.as_written()
        circuit = engine.without_final_measurements(written)
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
            circuit = load_qasm(SourceText.of(path, KEY))
        if circuit.num_qubits == 0:
            raise ConfigError(f"{path} has no qubits; declare some", key=KEY)
        if circuit.num_qubits > MAX_QUBITS:
            raise ConfigError(
                f"{path} has {circuit.num_qubits} qubits, more than {MAX_QUBITS}; use fewer", key=KEY
            )
        if (name := _infinite(circuit)) is not None:
            raise ConfigError(f"{path}: an angle of {name!r} is not finite; correct it", key=KEY)
        if self.qubits not in (None, circuit.num_qubits):
            raise ConfigError(
                f"is {self.qubits}, {path} has {circuit.num_qubits}; set it to null", key="ansatz.qubits"
            )
        return circuit


def _infinite(circuit: QuantumCircuit) -> str | None:
    """The first gate with an angle that is a number and not finite, as 1e999 is."""
    return next(
        (
            instruction.name
            for instruction in circuit.data
            for value in instruction.params
            if isinstance(value, float) and not math.isfinite(value)
        ),
        None,
    )

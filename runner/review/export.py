"""A run's circuit, Hamiltonian and energies in the formats of other programs, for those who do not have this one."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.ansatz.openqasm import SourceText, load_qasm, program_of
from runner.declare.checks import require_choice
from runner.declare.composer import restore
from runner.declare.files import fingerprint
from runner.declare.provenance import mention_unused
from runner.errors import ConfigError
from runner.hamiltonian.physics import physics_of
from runner.record.best import best_parameters
from runner.record.directory import RunDirectory
from runner.record.encoding import as_cell
from runner.record.events import Evaluation, Event, HamiltonianRead, ProblemPosed, RunStarted
from runner.record.journal import read_telling
from runner.record.log import first, of
from runner.record.reading import read_latest
from runner.run.experiment import FORMAT, finished_first

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig

KEY = FORMAT
MAX_MATRIX_QUBITS = 10
"""Largest Hamiltonian that is written as a matrix."""


@dataclass(frozen=True)
class Exported:
    """What the result of a run is of, rebuilt from its declaration; until there is one, what was declared."""

    config: RunConfig
    """The declaration."""
    result: dict[str, Any]
    """The content of result.json; empty where there is none yet, or the run has gone on since."""
    events: Sequence[Event]
    best: list[float]
    """The run's best parameters; empty: it has none."""

    @classmethod
    def of(cls, path: str | Path, plugins: Sequence[str] = ()) -> Exported:
        """The run in a directory; `plugins` may be imported for it.

        Raises:
            ConfigError: nothing was recorded, or a file that it was built from is not what it was.
        """
        files = RunDirectory.existing(path)
        events = read_telling(files.journal)
        started = first(events, RunStarted)
        if started is None:
            raise ConfigError(f"{path} stopped before anything was recorded; start it again", key="export")
        mention_unused(files.config, started.config.get("plugins"))
        config = restore(started.config, started.schemas, started.overrides, plugins=plugins).config
        best = best_parameters(files.path, events)
        result = read_latest(files.result) if files.result.is_file() else {}
        found = cls(config, result, events, [] if best is None else best.values)
        problem = first(events, ProblemPosed)
        if problem is not None:
            _same(found.circuit, found.hamiltonian, problem)
        return found

    @cached_property
    def hamiltonian(self) -> SparsePauliOp:
        """That of the result.

        Raises:
            ConfigError: it is of none, or its file is not read as it was.
        """
        self._require_unchanged("hamiltonian")
        found = self.config.experiment.hamiltonian_of(self.config, self.result)
        told, reading = first(self.events, HamiltonianRead), self.config.hamiltonian.reading
        if told is not None and reading is not None and told.words != reading.describe()["words"]:
            raise _changed("hamiltonian")
        return found

    @cached_property
    def circuit(self) -> QuantumCircuit:
        """That of the result, with free parameters.

        Raises:
            ConfigError: it is of no single one, or a file that it was built from is not what it was.
        """
        self._require_unchanged("ansatz")
        if not self.config.ansatz.written_down:
            self._require_unchanged("hamiltonian")
        return self.config.experiment.circuit_of(self.config, self.result)

    def _require_unchanged(self, part: str) -> None:
        """Refuse where a file that a part of the declaration was read from is not what it was, to the byte.

        Of runs of earlier releases, which did not tell, what is recorded of operator and circuit is compared alone.
        """
        started = first(self.events, RunStarted)
        read = {} if started is None or started.files is None else started.files.get(part, {})
        for name, digest in read.items():
            if fingerprint(Path(name), part) != digest:
                raise ConfigError(f"{name} is not what the run read; put back what it was", key=part)

    def bound(self) -> QuantumCircuit:
        """The circuit at the best parameters.

        Raises:
            ConfigError: the run has none.
        """
        count = self.circuit.num_parameters
        if not count:  # whatever was tried on the way, as where an ansatz has not grown
            return self.circuit
        if not self.result and not self.best:
            raise finished_first()
        if count != len(self.best):
            told = str(len(self.best) or "none")
            words = (
                f"is for a result with parameters: the circuit has {count}, the result {told}; leave it out"
            )
            raise ConfigError(words, key="--bound")
        return self.circuit.assign_parameters(self.best)


def _same(circuit: QuantumCircuit, hamiltonian: SparsePauliOp, problem: ProblemPosed) -> None:
    """Refuse where the circuit or the Hamiltonian is not the one the run recorded."""
    from qiskit import qasm3

    written = problem.program("declared")
    try:
        changed = written is not None and written != program_of(circuit)
    except qasm3.QASM3ExporterError:  # that of the run could be written
        changed = True
    if changed:
        raise _changed("ansatz")
    if len(hamiltonian) != problem.terms or problem.source != physics_of(hamiltonian).source:
        raise _changed("hamiltonian")


def _changed(part: str) -> ConfigError:
    return ConfigError(
        f"the {part} is not the one of the run; a file it is read from has changed", key="export"
    )


def export(path: str | Path, format: str, *, bound: bool = False, plugins: Sequence[str] = ()) -> bytes:
    """One thing of a run in one format.

    Args:
        path: the run directory.
        format: one of `FORMATS`.
        bound: circuits at the run's best parameters instead of with free ones.
        plugins: modules that may be imported because the run used them.

    Raises:
        ConfigError: the format is unknown or cannot hold it, or the run has not come that far.
    """
    require_choice(KEY, format, list(FORMATS))
    run = Exported.of(path, plugins)
    if format in CIRCUITS:
        return CIRCUITS[format](run.bound() if bound else run.circuit)
    if bound:
        raise ConfigError(
            f"is for circuits ({', '.join(CIRCUITS)}), got {format}; leave it out", key="--bound"
        )
    if format in OPERATORS:
        return OPERATORS[format](run.hamiltonian).encode()
    return _matrix(run.hamiltonian) if format == "npy" else _evaluations(run.events).encode()


def _qasm2(circuit: QuantumCircuit) -> bytes:
    from qiskit import qasm2

    if circuit.num_parameters:
        raise ConfigError("OpenQASM 2 has no parameters; add --bound, or take qasm3 or qpy", key=KEY)
    return _text(qasm2.dumps, circuit, "OpenQASM 2", "qasm3 or qpy")


def _qasm3(circuit: QuantumCircuit) -> bytes:
    return _text(program_of, circuit, "OpenQASM 3", "qpy")


def _text(
    write: Callable[[QuantumCircuit], str], circuit: QuantumCircuit, language: str, instead: str
) -> bytes:
    from qiskit.exceptions import QiskitError

    try:
        text = write(circuit) + "\n"
    except (QiskitError, AttributeError) as error:  # the latter from what Qiskit's writer does not know
        why = re.sub(r"<(?:\w+\.)*(\w+) object at 0x\w+>", r"\1", str(error).strip('"'))
        raise ConfigError(f"{language} cannot hold the circuit ({why}); take {instead}", key=KEY) from error
    _require_readable(text, language, instead)
    return text.encode()


def _require_readable(text: str, language: str, instead: str) -> None:
    """Refuse what Qiskit writes and neither it nor this program can read again, as OpenQASM 3 with sin(a).

    One statement of each kind is read: the parser of OpenQASM 3 takes a millisecond for each.
    """
    seen: set[str] = set()
    lines = []
    for line in text.splitlines(keepends=True):
        gate = re.fullmatch(
            r"\s*(?!input\b|qubit|bit|qreg|creg|let\b|include\b)\w+(\(.*\))? [\w\[\], $]+;\s*", line
        )
        kind = re.sub(r"\d+", "0", line)
        if not gate or kind not in seen:
            lines.append(line)
        seen.add(kind)
    probe = "".join(lines)
    try:
        load_qasm(SourceText.written(probe, "circuit", KEY))
    except ConfigError as error:
        words = str(error).partition(": ")[2].rpartition("; ")[0]
        told = (
            f"no reader of {language} takes what the circuit needs ({words}); take {instead}, or add --bound"
        )
        raise ConfigError(told, key=KEY) from error


def _qpy(circuit: QuantumCircuit) -> bytes:
    from qiskit import qpy

    buffer = io.BytesIO()
    qpy.dump(circuit, buffer)
    return buffer.getvalue()


def _csv(operator: SparsePauliOp) -> str:
    rows = "".join(f"{label},{value.real!r}\n" for label, value in _terms(operator))
    return "label,coefficient\n" + rows


def _json(operator: SparsePauliOp) -> str:
    return json.dumps([[label, value.real] for label, value in _terms(operator)], indent=1) + "\n"


def _sparse(operator: SparsePauliOp) -> str:
    rows = [[letters, qubits, value.real] for letters, qubits, value in _sparse_terms(operator)]
    return json.dumps(rows, indent=1) + "\n"


def _openfermion(operator: SparsePauliOp) -> str:
    rows = []
    for letters, qubits, value in _sparse_terms(operator):
        words = " ".join(f"{letter}{qubit}" for qubit, letter in sorted(zip(qubits, letters, strict=True)))
        rows.append(f"{value.real!r} [{words}]")
    return " +\n".join(rows) + "\n"


def _pennylane(operator: SparsePauliOp) -> str:
    rows = []
    for letters, qubits, value in _sparse_terms(operator):
        pairs = sorted(zip(qubits, letters, strict=True)) or [(0, "I")]
        words = " @ ".join(f"{letter}({qubit})" for qubit, letter in pairs)
        rows.append(f"{value.real!r} * ({words})" if len(pairs) > 1 else f"{value.real!r} * {words}")
    return " + ".join(rows) + "\n"


def _terms(operator: SparsePauliOp) -> list[tuple[str, complex]]:
    return [(label, complex(value)) for label, value in operator.to_list()]


def _sparse_terms(operator: SparsePauliOp) -> list[tuple[str, list[int], complex]]:
    """Terms by index; one of weight zero on the last qubit where nothing else tells how many there are."""
    terms = [
        (letters, list(map(int, qubits)), complex(v)) for letters, qubits, v in operator.to_sparse_list()
    ]
    last = operator.num_qubits - 1
    if all(last not in qubits for _, qubits, _ in terms):
        terms.append(("Z", [last], 0j))
    return terms


def _matrix(operator: SparsePauliOp) -> bytes:
    import numpy as np

    if operator.num_qubits > MAX_MATRIX_QUBITS:
        told = (
            f"npy holds up to {MAX_MATRIX_QUBITS} qubits, the hamiltonian has {operator.num_qubits}; take csv"
        )
        raise ConfigError(told, key=KEY)
    buffer = io.BytesIO()
    matrix: np.ndarray = operator.to_matrix()
    np.save(buffer, matrix, allow_pickle=False)
    return buffer.getvalue()


def _evaluations(events: Sequence[Event]) -> str:
    buffer = io.StringIO()
    columns = ["workload", "index", "energy", "stddev", "best"]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        (as_cell(event.workload), event.index, event.energy, event.stddev, event.best)
        for event in of(events, Evaluation)
    )
    return buffer.getvalue()


CIRCUITS: Mapping[str, Callable[[Any], bytes]] = {"qasm2": _qasm2, "qasm3": _qasm3, "qpy": _qpy}
OPERATORS: Mapping[str, Callable[[Any], str]] = {
    "csv": _csv,
    "json": _json,
    "sparse": _sparse,
    "openfermion": _openfermion,
    "pennylane": _pennylane,
}
BINARY = ("qpy", "npy")
FORMATS = (*CIRCUITS, *OPERATORS, "npy", "evaluations")
"""Circuits, Hamiltonians, and the evaluations as a table."""

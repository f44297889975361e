"""Foreign data that would hang, fill or end the process that reads them: one line, and the process lives."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import AnnotatedOperation, Gate, InverseModifier, Operation
from qiskit.qpy import formats
from qiskit.qpy.binary_io import circuits

from runner.__main__ import main
from runner.declare import foreign
from runner.declare.foreign import load_qpy, require_readable
from runner.errors import ConfigError

LEVELS = 60
HEADER = struct.calcsize(formats.CIRCUIT_HEADER_V12_PACK)
QUBITS = struct.calcsize("!H1cH")  # where a circuit's header has its number of qubits


def nested(version: int = qpy.common.QPY_VERSION) -> bytearray:
    """A circuit of one gate whose definition is called `innermost`."""
    inner = QuantumCircuit(1, name="innermost")
    inner.h(0)
    circuit = QuantumCircuit(1, name="outermost")
    circuit.append(inner.to_gate(), [0])
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=version)
    return bytearray(buffer.getvalue())


def doubling(wrap: Callable[[Gate], Operation] = lambda gate: gate) -> bytes:
    """A gate that is two of another one, and so on `LEVELS` deep, each definition said once: 20 kB.

    Qiskit gives each use a name of its own; here all that are alike share one, as the format allows.
    """
    inner = QuantumCircuit(2)
    inner.rx(0.1, 0)
    inner.cx(0, 1)
    for level in range(LEVELS):
        gate = Gate(f"g{level}", 2, [])
        gate.definition = inner
        inner = QuantumCircuit(2)
        for _ in range(2):
            inner.append(wrap(gate), [0, 1])
    buffer = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(circuits, "uuid", SimpleNamespace(uuid4=lambda: UUID(int=0)))
        qpy.dump(inner, buffer, version=13)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda gate: gate,
        lambda gate: AnnotatedOperation(gate, [InverseModifier()]),
    ],
    ids=["gate", "annotated"],
)
@pytest.mark.parametrize("command", [["forecast"], ["backend=fake_manila"]], ids=str)
def test_definitions_that_double_are_counted_not_written_out(
    workdir: Path, capsys: pytest.CaptureFixture[str], wrap: Any, command: list[str]
) -> None:
    """Two instructions, doubled 60 times, each counted with what it holds: e = 2 (e + 1), from 2, is 2^62 - 2."""
    content = doubling(wrap)
    Path("c.qpy").write_bytes(content)
    assert len(content) < 50_000
    assert main([*command, "ansatz=file", "ansatz.path=c.qpy", "tracking=off"]) == 2
    error = capsys.readouterr().err
    assert f"{2**62 - 2} instructions when written out" in error
    assert error.count("error: ") == 1
    assert not Path("outputs").exists()


def claiming(name: bytes, qubits: int, version: int = qpy.common.QPY_VERSION) -> bytes:
    """The same, where the header of one of the two circuits claims so many qubits."""
    content = nested(version)
    place = content.rindex(name) - HEADER + QUBITS
    content[place : place + 4] = struct.pack("!I", qubits)
    return bytes(content)


@pytest.mark.parametrize("version", [13, 16, 17, qpy.common.QPY_VERSION])
@pytest.mark.parametrize("qubits", [2, 40_000, 2**24, 2**31 - 1, 2**32 - 1])
def test_a_nested_definition_that_claims_qubits_is_refused(version: int, qubits: int) -> None:
    """The gate acts on one qubit: its definition can have no other number; nothing is allocated for it here."""
    with pytest.raises(
        ConfigError, match=r"k: it (is damaged|needs more than|takes more than|ends the reader)"
    ):
        load_qpy(claiming(b"innermost", qubits, version), "it", "k")

    assert load_qpy(bytes(nested(version)), "it", "k")[0].num_qubits == 1


def test_a_header_that_claims_qubits_is_refused_by_inspect(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One damaged byte in the number of qubits."""
    Path("c.qpy").write_bytes(claiming(b"outermost", 2**24 + 1))
    assert main(["inspect", "c.qpy"]) == 2
    error = capsys.readouterr().err

    assert "as a circuit: c.qpy claims 16777217 qubits" in error
    assert error.count("\n") == 1


def test_readers_that_hang_fill_the_memory_or_die_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its own fork, of which nothing is left; a reader's own refusal is raised as it is."""
    children = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: children.append(fork()) or children[-1])

    def hang() -> None:
        while True:
            pass

    def refuse() -> None:
        raise ConfigError("said the reader", key="here")

    for attempt, seconds, told in (
        (hang, 0.2, "takes more than 0 s"),
        (lambda: bytearray(2**40), 60.0, "needs more than 512 MiB"),
        (lambda: os.kill(os.getpid(), 11), 60.0, "ends the reader"),
    ):
        monkeypatch.setattr(foreign, "SECONDS", seconds)
        with pytest.raises(ConfigError, match=told):
            require_readable(attempt, 1, "it", "k")
    with pytest.raises(ConfigError, match=r"^here: said the reader$"):
        require_readable(refuse, 1, "it", "k")
    require_readable(lambda: int("1"), 1, "it", "k")
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert len(children) == 5


def test_an_angle_that_is_nothing_is_refused() -> None:
    """QPY can say that a rotation's angle is None, and Qiskit complains only when somebody looks at the gate."""
    circuit = QuantumCircuit(1)
    circuit.ry(0.25, 0)
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=13)
    content = buffer.getvalue()
    angle = b"f" + struct.pack("!Q", 8) + struct.pack("<d", 0.25)
    assert content.count(angle) == 1
    nothing = content.replace(angle, b"z" + struct.pack("!Q", 0))

    with pytest.raises(ConfigError, match=r"k: it is damaged .*an angle of 'ry' is no number"):
        load_qpy(nothing, "it", "k")


def test_a_refusal_has_no_control_characters() -> None:
    """What a terminal would obey is written out; the escapes are Python's."""
    assert str(ConfigError("\x1b[2J is é\x00", key="a\r")) == "a\\r: \\x1b[2J is é\\x00"


@pytest.mark.parametrize("name", [b"SXGate", b"CZGate"])
def test_K18_gates_with_angles_that_are_not_theirs_are_refused(name: bytes) -> None:
    """One byte turns RZ into SX or CZ, whose only argument is a label; Qiskit raises a TypeError much later."""
    circuit = QuantumCircuit(1)
    circuit.rz(0.5, 0)
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=13)
    with pytest.raises(ConfigError, match="has other qubits or angles than the gate"):
        load_qpy(buffer.getvalue().replace(b"RZGate", name), "it", "k")

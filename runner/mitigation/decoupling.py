"""Dynamical decoupling: sequences of gates in waits, which undo what does not change meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiskit.circuit import QuantumCircuit
from qiskit.transpiler.exceptions import TranspilerError

from runner.errors import ConfigError
from runner.mitigation import client

if TYPE_CHECKING:
    from runner.engine import Engine

FORGETS = (
    "cannot act: the simulated noise has no memory, so that an echo has nothing to undo; leave it off, or declare "
    "backend.quasi_static"
)


def decoupled(circuit: QuantumCircuit, options: Any, engine: Engine) -> QuantumCircuit:
    """A circuit on the device's qubits with the declared sequences in its waits, by the client's own passes.

    Qubits that it does not use stay as they are: nothing of them is read, and their being |0⟩ does nothing to others.

    Args:
        circuit: as wide as the device.
        options: the client's, of dynamical decoupling.
        engine: simulates it.

    Raises:
        ConfigError: the noise has no memory, or the passes do not take the circuit.
    """
    if not engine.remembers:
        raise ConfigError(FORGETS, key="options.dynamical_decoupling.enable")
    used = {bit for item in circuit.data for bit in item.qubits if item.operation.name != "barrier"}
    try:
        padded = client.decoupler(engine.target, options).run(circuit)
    except TranspilerError as error:
        reason = " ".join(str(error.message).split())
        raise ConfigError(
            f"cannot act in this circuit: {reason}; leave it off", key="options.dynamical_decoupling.enable"
        ) from error
    result = padded.copy_empty_like()
    for item in padded.data:
        qubits = [padded.find_bit(bit).index for bit in item.qubits]
        if item.operation.name == "barrier" or any(circuit.qubits[qubit] in used for qubit in qubits):
            result._append(item)
    return result

"""Clifford circuits in gates that simulators of stabilizer states know by name, whatever gates they are declared in."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.circuit import CircuitInstruction, QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Clifford, Operator

from runner.engine.aer import CLIFFORD, is_clifford
from runner.engine.circuits import CHANNELS

ROUNDING = 1e-12
"""How far an angle may be from a multiple of π/2."""
_WIDEST = 3
"""Qubits of a gate that is looked at by its matrix."""


def in_clifford_gates(circuit: QuantumCircuit) -> QuantumCircuit:
    """The same up to its global phase, in gates of `CLIFFORD`, where all of them are Clifford gates; else itself."""
    if is_clifford(circuit) or circuit.parameters:
        return circuit
    result = circuit.copy_empty_like()
    known: dict[tuple[Any, ...], QuantumCircuit | None] = {}
    for item in circuit.data:
        if item.name in CLIFFORD:
            result._append(item)
            continue
        key = (item.name, *item.params) if item.is_standard_gate() else None
        gates = known[key] if key in known else _named(item.operation)
        if key is not None:
            known[key] = gates
        if gates is None:
            return circuit
        for inner in gates.data:
            places = [item.qubits[gates.find_bit(bit).index] for bit in inner.qubits]
            result._append(CircuitInstruction(inner.operation, places))
    return result


def _named(operation: Any) -> QuantumCircuit | None:
    """A Clifford gate of up to three qubits in gates of `CLIFFORD`; None of anything else."""
    if operation.name == "global_phase":
        return QuantumCircuit(0)
    if operation.name in CHANNELS or operation.num_clbits or not 1 <= operation.num_qubits <= _WIDEST:
        return None
    try:
        matrix = Operator(operation).data
        gates = Clifford.from_matrix(matrix).to_circuit()
    except QiskitError:  # measurements, and what is no Clifford gate
        return None
    ours = Operator(gates).data
    phase = np.vdot(ours, matrix) / len(ours)
    return gates if np.abs(matrix - phase * ours).max() <= ROUNDING and is_clifford(gates) else None

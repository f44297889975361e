"""The scheduled length of a circuit on a device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from qiskit.circuit import ParameterExpression, QuantumCircuit

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


def scheduled_duration(circuit: QuantumCircuit, target: Any, measured: Iterable[int] = ()) -> float | None:
    """Seconds from the first to the last instruction, each starting as soon as its bits are free.

    Args:
        circuit: for this target; instructions without a known duration take no time.
        target: its instruction durations; None, or a target without any, gives None.
        measured: qubits that are measured at the end in addition.
    """
    if target is None or not has_durations(target):
        return None
    free = _schedule(circuit, target, [0.0] * circuit.num_qubits)
    final = free + [free[qubit] + _length(target, "measure", (qubit,)) for qubit in measured]
    return max(final, default=0.0)


def has_durations(target: Any) -> bool:
    """Does a device know how long any of its instructions takes?"""
    return any(
        properties is not None and properties.duration
        for name in target.operation_names
        for properties in (target[name] or {}).values()
    )


def length_of(target: Any, name: str, qubits: tuple[int, ...]) -> float | None:
    """Seconds that an instruction takes on these qubits; None where the device does not say."""
    properties = (target[name] or {}).get(qubits) if name in target.operation_names else None
    return None if properties is None else properties.duration


def _length(target: Any, name: str, qubits: tuple[int, ...]) -> float:
    return length_of(target, name, qubits) or 0.0


def _schedule(circuit: QuantumCircuit, target: Any, free: list[float]) -> list[float]:
    qubit_index = {bit: index for index, bit in enumerate(circuit.qubits)}
    clbit_free = dict.fromkeys(circuit.clbits, 0.0)
    for item in circuit.data:
        qubits = tuple(qubit_index[bit] for bit in item.qubits)
        start = max([free[q] for q in qubits] + [clbit_free[bit] for bit in item.clbits], default=0.0)
        if item.name == "delay":
            length = delay_length(item.operation, target)
        elif item.is_control_flow():
            length = max((_block(block, target, qubits) for block in item.operation.blocks), default=0.0)
        else:
            length = _length(target, item.name, qubits)
        for qubit in qubits:
            free[qubit] = start + length
        for bit in item.clbits:
            clbit_free[bit] = start + length
    return free


def _block(block: QuantumCircuit, target: Any, qubits: tuple[int, ...]) -> float:
    """The length of a control-flow block (one pass through a loop's body)."""
    placed = QuantumCircuit(target.num_qubits or max(qubits, default=0) + 1)
    placed.add_bits(block.clbits)
    for item in block.data:
        inner = [qubits[block.find_bit(bit).index] for bit in item.qubits]
        placed._append(item.operation, [placed.qubits[q] for q in inner], item.clbits)
    return max(_schedule(placed, target, [0.0] * placed.num_qubits), default=0.0)


def misaligned_delay(circuit: QuantumCircuit, target: Any) -> tuple[Any, int, int] | None:
    """The first wait of a circuit that a device cannot keep to, how long it is, and what has to divide that [dt]."""
    step = math.lcm(target.acquire_alignment, target.pulse_alignment)
    for item in circuit.data if target.dt else ():
        if item.name == "delay":
            length = round(delay_length(item.operation, target) / target.dt)
            if length % step:
                return item, length, step
    return None


def delay_length(operation: Any, target: Any) -> float:
    """Seconds that a delay lasts; 0 where a parameter decides that."""
    value = operation.duration
    if isinstance(value, ParameterExpression) and value.parameters:
        return 0.0
    if operation.unit == "dt":
        return float(value) * (target.dt or 0.0)
    return float(value) * _UNITS.get(operation.unit, 0.0)

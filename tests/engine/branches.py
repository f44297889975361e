"""Every course of a circuit that measures, resets and branches, written down without the engine: an oracle for tests.

Gates come from `qiskit.quantum_info.Operator`, embedded with Kronecker products; the state is one density matrix per
content of the classical bits. Only what the strategies below draw is understood.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Clbit, ForLoopOp, IfElseOp, QuantumCircuit, SwitchCaseOp
from qiskit.circuit.controlflow import CASE_DEFAULT
from qiskit.quantum_info import Operator

Courses = dict[tuple[int, ...], NDArray]

_PROJECTORS = (np.diag([1.0, 0.0]), np.diag([0.0, 1.0]))
_LOWER = np.array([[0.0, 1.0], [0.0, 0.0]])


def on(matrix: NDArray, qubits: list[int], num_qubits: int) -> NDArray:
    """The matrix on these of the qubits, in qiskit's order of bits."""
    return Operator(np.eye(2**num_qubits)).compose(Operator(matrix), qargs=qubits).data


def courses(circuit: QuantumCircuit) -> Courses:
    """What the classical bits hold at the end → unnormalized density matrix, for a circuit without parameters."""
    size = 2**circuit.num_qubits
    state = np.zeros((size, size), dtype=complex)
    state[0, 0] = 1
    where = {bit: index for index, bit in enumerate(circuit.qubits + circuit.clbits)}
    return _follow(circuit, where, circuit, {(0,) * circuit.num_clbits: state})


def density(circuit: QuantumCircuit) -> NDArray:
    """The state at the end, whatever the classical bits hold."""
    return sum(courses(circuit).values(), np.zeros((1, 1)))


def _follow(block: QuantumCircuit, where: dict, whole: QuantumCircuit, now: Courses) -> Courses:
    qubits = whole.num_qubits
    for item in block.data:
        operation, acted = item.operation, [where[bit] for bit in item.qubits]
        if operation.name == "barrier":
            continue
        later: Courses = {}

        def add(bits: tuple[int, ...], state: NDArray, later: Courses = later) -> None:
            later[bits] = later.get(bits, 0) + state

        for bits, state in now.items():
            if operation.name == "measure":
                place = where[item.clbits[0]] - qubits
                for value, projector in enumerate(_PROJECTORS):
                    wide = on(projector, acted, qubits)
                    add((*bits[:place], value, *bits[place + 1 :]), wide @ state @ wide)
            elif operation.name in ("reset", "initialize"):
                for qubit in acted:
                    kraus = [on(k, [qubit], qubits) for k in (_PROJECTORS[0], _LOWER)]
                    state = sum(k @ state @ k.conj().T for k in kraus)
                if operation.name == "initialize":
                    wide = on(_preparing(operation.params), acted, qubits)
                    state = wide @ state @ wide.conj().T
                add(bits, state)
            elif isinstance(operation, IfElseOp | SwitchCaseOp | ForLoopOp):
                ends = {bits: state}
                for block in _entered(operation, bits, where, whole):
                    inner = dict(zip(block.qubits, acted, strict=True))
                    inner |= {b: where[o] for b, o in zip(block.clbits, item.clbits, strict=True)}
                    ends = _follow(block, inner, whole, ends)
                for end, ended in ends.items():
                    add(end, ended)
            else:
                wide = on(Operator(operation).data, acted, qubits)
                add(bits, wide @ state @ wide.conj().T)
        now = later
    return now


def _preparing(amplitudes: list) -> NDArray:
    """A unitary whose first column is the state."""
    column = np.array(amplitudes, dtype=complex)
    basis, _ = np.linalg.qr(np.column_stack([column, np.eye(len(column))[:, 1:]]))
    return basis * (column[0] / basis[0, 0] if abs(basis[0, 0]) > 1e-9 else np.vdot(basis[:, 0], column))


def _entered(operation, bits, where, whole):
    """The blocks that are gone through one after the other."""
    if isinstance(operation, ForLoopOp):
        indices, variable, body = operation.params
        return [body.assign_parameters({variable: i}) if variable else body for i in indices]
    chosen = _chosen(operation, bits, where, whole)
    return [] if chosen is None else [chosen]


def _chosen(operation, bits, where, whole):
    """The block that a condition or a switch leads to; None where there is none."""

    def value(target):
        if isinstance(target, Clbit):
            return bits[where[target] - whole.num_qubits]
        return sum(bits[whole.find_bit(bit).index] << place for place, bit in enumerate(target))

    if isinstance(operation, IfElseOp):
        target, wanted = operation.condition
        blocks = operation.blocks
        if value(target) == wanted:
            return blocks[0]
        return blocks[1] if len(blocks) > 1 else None
    for labels, block in operation.cases_specifier():
        if any(label is CASE_DEFAULT or label == value(operation.target) for label in labels):
            return block
    return None

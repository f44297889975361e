"""Clifford gates by other names: against Qiskit's matrices and stabilizer states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import Gate, Parameter, QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Operator, SparsePauliOp

from runner.engine import Engine
from runner.engine.aer import is_clifford
from runner.engine.clifford import in_clifford_gates


def bricks(size: int, layers: int, rng: np.random.Generator, *, angles: bool) -> QuantumCircuit:
    """Random powers of √X and S on every qubit, then CX of neighbours, again and again; by names or as rotations."""
    circuit = QuantumCircuit(size)
    for layer in range(layers):
        for qubit in range(size):
            first, second = (int(number) for number in rng.integers(4, size=2))
            if angles:
                circuit.rx(first * math.pi / 2, qubit)
                circuit.rz(second * math.pi / 2, qubit)
            else:
                for _ in range(first):
                    circuit.sx(qubit)
                for _ in range(second):
                    circuit.s(qubit)
        for qubit in range(layer % 2, size - 1, 2):
            circuit.cx(qubit, qubit + 1)
    return circuit


def gates() -> QuantumCircuit:
    """Clifford gates of many names on three qubits."""
    circuit = QuantumCircuit(3, global_phase=0.3)
    circuit.rx(math.pi / 2, 0)
    circuit.ry(-3 * math.pi / 2, 1)
    circuit.rz(math.pi + 1e-13, 2)
    circuit.p(math.pi / 2, 0)
    circuit.u(math.pi / 2, math.pi, -math.pi / 2, 1)
    circuit.rzz(math.pi / 2, 0, 2)
    circuit.rxx(-math.pi / 2, 1, 2)
    circuit.cp(math.pi, 0, 1)
    circuit.ecr(1, 2)
    circuit.iswap(0, 1)
    circuit.append(UnitaryGate(np.array([[1, 1j], [1j, 1]]) / math.sqrt(2)), [1])
    own = Gate("own", 2, [])
    own.definition = QuantumCircuit(2)
    own.definition.rz(math.pi / 2, 0)
    own.definition.cx(0, 1)
    circuit.append(own, [2, 0])
    return circuit


def test_gates_of_other_names() -> None:
    """The same matrix as Qiskit has of the declared circuit, up to a phase, and of known gates alone."""
    circuit = gates()
    found = in_clifford_gates(circuit)

    assert is_clifford(found)
    assert not is_clifford(circuit)
    assert Operator(found).equiv(Operator(circuit))


@pytest.mark.parametrize(
    "change",
    [
        lambda circuit: circuit.rx(math.pi / 2 + 1e-9, 0),
        lambda circuit: circuit.t(1),
        lambda circuit: circuit.ccx(0, 1, 2),
        lambda circuit: circuit.rz(Parameter("a"), 0),
    ],
)
def test_what_is_no_clifford_circuit_stays(change: Any) -> None:
    """One gate is enough."""
    circuit = gates()
    change(circuit)

    assert in_clifford_gates(circuit) is circuit


def test_wide_clifford_circuits_are_sampled() -> None:
    """By pencil: 50 qubits, 24 layers by rotations and the same back by names, a flip of every third qubit between."""
    circuit = bricks(50, 24, np.random.default_rng(5), angles=True)
    for gate in bricks(50, 24, np.random.default_rng(5), angles=False).inverse().data:
        circuit._append(gate)
    circuit.rx(math.pi, range(0, 50, 3))
    signs = SparsePauliOp.from_sparse_list([("Z", [0], 1.0), ("Z", [1], 2.0), ("ZZ", [3, 4], 4.0)], 50)
    measured = circuit.copy()
    measured.measure_all()
    plan, values = Engine().sampler_plan(measured), Engine().estimator_plan(circuit, signs)
    counts = plan.run(np.zeros(0), shots=64, seed=1)["meas"].get_counts()

    assert counts == {"".join("1" if place % 3 == 0 else "0" for place in reversed(range(50))): 64}
    assert "stabilizer state of 50 qubits" in str(plan.simulation(64))
    assert values.run(np.zeros(0), shots=None, seed=1).evs == pytest.approx(-1 + 2 - 4)
    assert values.run(np.zeros(0), shots=16, seed=1).evs == pytest.approx(-1 + 2 - 4)

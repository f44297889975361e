"""Rotations about xx and yy, which the kernel takes pair by pair: against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.quantum_info import Statevector, random_unitary

from runner.engine import Engine
from runner.engine.kernel.program import compile_program
from tests.engine.strategies import heisenberg

GATES = ("rxx", "ryy", "rzz", "rxx", "ryy", "cx", "swap", "h", "rx", "any")


@given(st.integers(2, 7), st.lists(st.tuples(st.sampled_from(GATES), st.integers(0, 2**16)), max_size=25))
@settings(max_examples=25)
def test_pairs_against_dense_algebra(size: int, gates: list[tuple[str, int]]) -> None:
    """Energies by qiskit's dense state, derivatives by its parameter shifts, gate by gate."""
    theta = ParameterVector("θ", len(gates))
    circuit = QuantumCircuit(size)
    circuit.u(0.4, 0.3, 0.1, range(size))
    for angle, (kind, draw) in zip(theta, gates, strict=True):
        first = draw % size
        second = (first + 1 + draw // size % (size - 1)) % size
        qubits = [first] if kind in ("h", "rx") else [first, second]
        if kind == "any":
            circuit.unitary(random_unitary(4, seed=draw), qubits)
        else:
            getattr(circuit, kind)(*([angle] if kind[0] == "r" else []), *qubits)
    operator = heisenberg(size)
    point = np.linspace(-2.8, 2.9, circuit.num_parameters)

    def energy(values: np.ndarray) -> float:
        return Statevector(circuit.assign_parameters(values)).expectation_value(operator).real

    shifts = 0.5 * np.pi * np.eye(len(point))
    expected = [(energy(point + shift) - energy(point - shift)) / 2 for shift in shifts]
    evs, gradient = Engine(engine="kernel").estimator_plan(circuit, operator).gradient(point)

    assert evs == pytest.approx(energy(point), abs=1e-12)
    np.testing.assert_allclose(gradient, expected, atol=1e-11)


def test_a_run_of_one_pair_is_one_stage() -> None:
    """rxx, rzz and ryy of a pair commute: two layers of such bricks on a ring of four qubits are two stages."""
    circuit = QuantumCircuit(4)
    for first in (0, 1):
        for pair in ((first, first + 1), ((first + 2) % 4, (first + 3) % 4)):
            circuit.rxx(0.3, *pair)
            circuit.rzz(0.4, *pair)
            circuit.ryy(0.5, *pair)

    assert np.diff(compile_program(circuit).pair_start).tolist() == [2, 2]

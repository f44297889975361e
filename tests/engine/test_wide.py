"""One wide state by several threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit

from runner.engine.kernel import state_vector
from runner.engine.kernel.state_vector import StateVectorKernel

SIZE = 16
"""Two blocks of each part of the state; the kernel itself begins with threads at more."""


@pytest.fixture(autouse=True)
def _from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_vector, "LEAST_QUBITS", SIZE)


def terms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X on all qubits, ZZ of the first and the last, YY of two in the middle, XX of the first two, and 1: (x, z, c)."""
    x, z = np.zeros((5, SIZE), dtype=bool), np.zeros((5, SIZE), dtype=bool)
    x[0] = True
    z[1, [0, SIZE - 1]] = True
    x[2, [7, 14]] = z[2, [7, 14]] = True
    x[3, :2] = True
    return x, z, np.array([[0.5, 0.25, -1.0, 2.0, 0.125]])


def test_a_product_state_has_products_of_expectation_values() -> None:
    """Pencil and paper: ry(θ) gives ⟨X⟩ = sin θ, ⟨Z⟩ = cos θ and ⟨Y⟩ = 0, and qubits multiply."""
    parameters = ParameterVector("p", SIZE)
    circuit = QuantumCircuit(SIZE)
    for qubit in range(SIZE):
        circuit.ry(parameters[qubit], qubit)
    angles = np.linspace(0.4, 1.9, SIZE)
    kernel = StateVectorKernel(circuit, list(parameters), *terms(), threads=2)

    expected = (
        0.5 * math.prod(np.sin(angles))
        + 0.25 * math.cos(angles[0]) * math.cos(angles[-1])
        + 2.0 * math.sin(angles[0]) * math.sin(angles[1])
        + 0.125
    )
    assert kernel.energies(angles[None])[0, 0] == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("fused", [True, False])
def test_the_bits_are_those_of_one_thread(fused: bool) -> None:
    """Rotations, also of pairs, phases of one and two bits, layers, permutations, sums in and beyond blocks; 3 sets."""
    parameters = ParameterVector("p", 6)
    circuit = QuantumCircuit(SIZE)
    for qubit in range(SIZE):
        circuit.ry(parameters[qubit % 3], qubit)
    for qubit in range(SIZE - 1):
        circuit.rzz(parameters[3], qubit, qubit + 1)
    circuit.rzz(parameters[1], 0, SIZE - 1)
    for qubit in range(SIZE):
        circuit.rx(parameters[4], qubit)
        circuit.rz(parameters[5], qubit)
    for qubit in range(SIZE - 1):
        circuit.cx(qubit, qubit + 1)
    for qubit in range(SIZE):
        circuit.ry(parameters[0] + 0.1 * qubit, qubit)
    circuit.rzz(parameters[2], 3, 12)
    for pair in ((0, 1), (2, SIZE - 1), (5, 3)):
        circuit.rxx(parameters[1], *pair)
        circuit.ryy(parameters[4], *pair)
    values = np.random.default_rng(3).uniform(-3, 3, (3, 6))
    values[2, 0] = math.pi  # a half turn: no tangents

    one, two, three = (
        StateVectorKernel(circuit, list(parameters), *terms(), threads=threads, fused=fused)
        for threads in (1, 2, 3)
    )
    expected = np.concatenate([one.energies(row[None]) for row in values]).tobytes()
    assert two.energies(values).tobytes() == expected
    assert three.energies(values).tobytes() == expected

"""The geometric tensor against differences of states, closed forms, and fidelities."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import Statevector

from runner.errors import ConfigError
from runner.run.overlap import Overlap
from runner.run.tangent import MeasuredMetric, Tangents, rotations, velocity
from tests.choices import choice


def uccsd() -> QuantumCircuit:
    """Parameters that occur in many gates each."""
    return choice("ansatz", "uccsd").build(choice("hamiltonian", "h2").build())


def hva() -> QuantumCircuit:
    """Angles that are multiples of the parameters."""
    return choice("ansatz", "hva", reps=2).build(choice("hamiltonian", "tfim", shape=[3]).build())


def controlled() -> QuantumCircuit:
    """Gates that are no rotations until they are taken apart, one parameter in two of them."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(3)
    circuit.h(range(3))
    circuit.crx(2 * a, 0, 2)
    circuit.cp(b - a, 1, 0)
    circuit.barrier()
    circuit.rzx(0.7 * b, 2, 1)
    circuit.u(a, b, 0.3, 1)
    circuit.ccx(0, 1, 2)
    return circuit


CIRCUITS = [uccsd, hva, controlled, lambda: efficient_su2(3, reps=1)]


def tensor(circuit: QuantumCircuit, point: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Re⟨∂ᵢψ|∂ⱼψ⟩ − Re⟨∂ᵢψ|ψ⟩⟨ψ|∂ⱼψ⟩ by central differences of Qiskit's state vectors."""

    def state(values: np.ndarray) -> np.ndarray:
        return Statevector(circuit.assign_parameters(values)).data

    psi = state(point)
    slopes = np.array(
        [(state(point + step * e) - state(point - step * e)) / (2 * step) for e in np.eye(len(point))]
    )
    along = slopes.conj() @ psi
    return (slopes.conj() @ slopes.T - np.outer(along, along.conj())).real


@pytest.mark.parametrize("build", CIRCUITS)
def test_the_tensor_is_that_of_differences(build) -> None:
    """Whatever the gates are; the state is Qiskit's but for a phase."""
    circuit = build()
    point = np.random.default_rng(3).uniform(-2, 2, circuit.num_parameters)
    tangents = Tangents(rotations(circuit))

    assert tangents.metric(point) == pytest.approx(tensor(circuit, point), abs=1e-6)
    overlap = np.vdot(Statevector(circuit.assign_parameters(point)).data, tangents.at(point)[0])
    assert abs(overlap) == pytest.approx(1, abs=1e-12)


def test_a_spin_moves_on_its_sphere() -> None:
    """RZ(b) RY(a)|0⟩: ds² = (da² + sin²a db²)/4 (Fubini and Study)."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1)
    circuit.ry(a, 0)
    circuit.rz(b, 0)

    found = Tangents(rotations(circuit)).metric(np.array([0.8, 0.3]))

    assert found == pytest.approx(np.diag([0.25, np.sin(0.8) ** 2 / 4]), abs=1e-14)


@pytest.mark.parametrize("build", CIRCUITS[1:])
def test_fidelities_tell_the_same_tensor(build) -> None:
    """With exact fidelities of Qiskit's states the shift rule gives the tensor to rounding."""
    circuit = build()
    point = np.random.default_rng(4).uniform(-2, 2, circuit.num_parameters)
    shift = rotations(circuit)

    def fidelities(pairs: np.ndarray) -> np.ndarray:
        first, second = (
            [Statevector(shift.circuit.assign_parameters(row)).data for row in part]
            for part in np.split(pairs, 2, axis=1)
        )
        return np.array([abs(np.vdot(one, other)) ** 2 for one, other in zip(first, second, strict=True)])

    found = MeasuredMetric(shift, Overlap(fidelities)).metric(point)

    assert found == pytest.approx(Tangents(shift).metric(point), abs=1e-12)


def test_the_regularized_equation_is_solved() -> None:
    """By hand: a direction in which nothing moves gets no velocity out of it, one below zero counts as none."""
    assert velocity(np.diag([0.25, 0.0]), np.array([0.5, 0.0]), 0.25) == pytest.approx([1.0, 0.0])
    assert velocity(np.diag([0.25, -0.3]), np.array([0.0, 0.1]), 0.1) == pytest.approx([0.0, 1.0])


def test_angles_that_are_no_lines_are_refused() -> None:
    """One line."""
    a = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rx(a * a, 0)

    with pytest.raises(ConfigError, match="linear in the parameters"):
        rotations(circuit)

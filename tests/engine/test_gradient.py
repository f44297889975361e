"""Adjoint gradients against central differences and the parameter-shift rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import Gate, Parameter, QuantumCircuit
from qiskit.circuit.library import (
    CPhaseGate,
    CRXGate,
    CRYGate,
    CRZGate,
    CUGate,
    PauliEvolutionGate,
    RXGate,
    RZXGate,
    RZZGate,
    UGate,
    XXMinusYYGate,
    XXPlusYYGate,
    efficient_su2,
)
from qiskit.quantum_info import SparsePauliOp, random_hermitian, random_statevector

from runner.engine import Engine
from runner.errors import ConfigError
from tests.engine.strategies import circuits, heisenberg, observables

ENGINE = Engine(engine="kernel")


@given(st.data())
def test_gradient_of_random_circuits(data: st.DataObject) -> None:
    """Repeated parameters, products, sines and powers: the chain rule holds (central differences)."""
    circuit = data.draw(circuits(max_qubits=4, max_gates=20).filter(lambda c: c.num_parameters > 0))
    operator = data.draw(observables(circuit.num_qubits))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = rng.uniform(-1.5, 1.5, circuit.num_parameters)
    plan = ENGINE.estimator_plan(circuit, operator)
    step = 1e-5
    shifted = values + step * np.concatenate([np.eye(len(values)), -np.eye(len(values))])
    energies = plan.run(shifted, shots=None, seed=1).evs
    expected = (energies[: len(values)] - energies[len(values) :]) / (2 * step)
    evs, gradient = plan.gradient(values)

    assert plan.exact_gradient
    assert evs == pytest.approx(plan.run(values, shots=None, seed=1).evs, abs=1e-12)
    np.testing.assert_allclose(gradient, expected, atol=2e-7 * (1 + np.abs(operator.coeffs).sum()))


@pytest.mark.parametrize(
    "gate",
    [
        RXGate, CPhaseGate, RZZGate, CRXGate, CRYGate, CRZGate, XXPlusYYGate, XXMinusYYGate, RZXGate,
        lambda angle: UGate(angle, 0.3, 0.4), lambda angle: CUGate(angle, 0.3, 0.4, 0.5),
        lambda angle: CRXGate(angle, ctrl_state=0),
    ],
)  # fmt: skip
def test_a_gradient_takes_two_sets_for_every_frequency_of_an_angle(gate: Callable[..., Gate]) -> None:
    """The frequencies are those of ⟨O⟩ as a function of the angle, by its Fourier transform over two periods."""
    angle = Parameter("θ")
    circuit = QuantumCircuit(gate(angle).num_qubits)
    circuit.append(gate(angle), circuit.qubits)
    state = random_statevector(2**circuit.num_qubits, seed=3)
    operator = random_hermitian(2**circuit.num_qubits, seed=4)
    angles = 4 * np.pi * np.arange(32) / 32
    curve = [state.evolve(circuit.assign_parameters([value])).expectation_value(operator) for value in angles]
    frequencies = np.count_nonzero(np.abs(np.fft.rfft(np.real(curve)))[1:] > 1e-9)
    observable = SparsePauliOp("Z" * circuit.num_qubits)

    assert ENGINE.estimator_plan(circuit, observable).gradient_sets == 1 + 2 * frequencies


def test_a_gradient_counts_the_gates_of_a_definition() -> None:
    """Every occurrence counts: by hand, two terms of an evolution, and a custom gate of a rotation used twice."""
    angle, other = Parameter("θ"), Parameter("φ")
    body = QuantumCircuit(1, name="mine")
    body.rx(2 * other, 0)
    circuit = QuantumCircuit(2, global_phase=angle)
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "ZI"]), angle), [0, 1])
    circuit.append(body.to_gate({other: angle}), [0])
    circuit.append(body.to_gate({other: angle**2}), [1])
    circuit.rx(0.3, 0)

    assert ENGINE.estimator_plan(circuit, SparsePauliOp("ZZ")).gradient_sets == 1 + 2 * 4


@pytest.mark.parametrize("qubits", [2, 5, 9, 13])
def test_gradient_equals_parameter_shift(qubits: int, rng: np.random.Generator) -> None:
    """For bare rotation angles the shift rule is exact, and so is the adjoint."""
    circuit = efficient_su2(qubits, reps=1, entanglement="circular")
    plan = ENGINE.estimator_plan(circuit, heisenberg(qubits))
    values = rng.uniform(-4, 4, circuit.num_parameters)
    shifts = np.pi / 2 * np.eye(len(values))
    energies = plan.run(np.concatenate([values + shifts, values - shifts]), shots=None, seed=1).evs
    _, gradient = plan.gradient(values)

    np.testing.assert_allclose(gradient, (energies[: len(values)] - energies[len(values) :]) / 2, atol=1e-12)


def test_batches_and_several_observables(rng: np.random.Generator) -> None:
    """Gradients come in the shape of the values with one more axis, the same in a batch as alone."""
    circuit = efficient_su2(3, reps=1)
    plan = ENGINE.estimator_plan(circuit, [heisenberg(3), SparsePauliOp("XYZ")])
    values = rng.uniform(-4, 4, (4, 1, circuit.num_parameters))
    evs, gradients = plan.gradient(values)

    assert evs.shape == (4, 2)
    assert gradients.shape == (4, 2, circuit.num_parameters)
    assert np.array_equal(gradients[2], plan.gradient(values[2, 0])[1])


def test_what_the_noisy_kernel_cannot_run_is_named() -> None:
    """Noise of three qubits by its gate; 24 qubits by their density matrix, 16·4²⁴ bytes = 4 PiB by pencil."""
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["ry"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.01, 3), ["ccx"])

    for size, reason in (
        (3, "the noisy kernel does not know the noise of ccx, a channel of 3 qubits$"),
        (24, r"a density matrix of 24 qubits needs 4\.0 PiB, more than 70% of the .* that there are$"),
    ):
        circuit = QuantumCircuit(size)
        circuit.ry(Parameter("a"), 0)
        for qubit in range(size - 1):
            circuit.cx(qubit, qubit + 1)
        if size == 3:
            circuit.ccx(0, 1, 2)
        plan = Engine(noise_model=noise).estimator_plan(circuit, "Z" * size)
        assert not plan.exact_gradient
        with pytest.raises(ConfigError, match=reason):
            plan.gradient(np.array([0.1]))


def test_where_there_is_no_adjoint_the_reason_is_given() -> None:
    """Trajectories, mid-circuit measurement and engine=aer have no adjoint gradient; the message says which it was."""
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["ry"])
    circuit = efficient_su2(2, reps=1)
    values = np.zeros(circuit.num_parameters)
    measured = QuantumCircuit(1, 1)
    measured.measure(0, 0)
    measured.x(0)

    for engine, what, reason in (
        (Engine(noise_model=noise, method="statevector"), circuit, "noisy"),
        (Engine(noise_model=noise, engine="aer"), circuit, "engine=aer"),
        (Engine(engine="aer"), circuit, "engine=aer"),
        (Engine(), measured, "measures"),
    ):
        plan = engine.estimator_plan(what, SparsePauliOp("Z" * what.num_qubits))
        assert not plan.exact_gradient
        with pytest.raises(ConfigError, match=reason):
            plan.gradient(values[: what.num_parameters])

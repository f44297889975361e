"""Adjoint gradients against central differences and the parameter-shift rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp

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


def test_where_there_is_no_adjoint_the_reason_is_given() -> None:
    """Noise, mid-circuit measurement and engine=aer have no adjoint gradient; the message says which it was."""
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["ry"])
    circuit = efficient_su2(2, reps=1)
    values = np.zeros(circuit.num_parameters)
    measured = QuantumCircuit(1, 1)
    measured.measure(0, 0)
    measured.x(0)

    for engine, what, reason in (
        (Engine(noise_model=noise), circuit, "noisy"),
        (Engine(engine="aer"), circuit, "engine=aer"),
        (Engine(), measured, "measures"),
    ):
        plan = engine.estimator_plan(what, SparsePauliOp("Z" * what.num_qubits))
        assert not plan.exact_gradient
        with pytest.raises(ConfigError, match=reason):
            plan.gradient(values[: what.num_parameters])

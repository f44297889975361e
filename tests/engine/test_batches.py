"""A parameter set has the same value to the last bit alone and in any batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit.library import efficient_su2
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from runner.engine import Engine
from runner.engine.estimator import EstimatorPlan
from tests.engine.strategies import circuits, heisenberg, observables


def noise() -> NoiseModel:
    """Depolarizing and readout errors on every qubit."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.01, 1), ["rx", "ry", "h", "sx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.03, 2), ["cx"])
    model.add_all_qubit_readout_error(ReadoutError([[0.97, 0.03], [0.06, 0.94]]))
    return model


ENGINES = {
    "kernel": Engine(engine="kernel"),
    "aer": Engine(engine="aer"),
    "noisy": Engine(noise_model=noise()),
}


def assert_independent_of_the_batch(plan: EstimatorPlan, values: np.ndarray) -> None:
    """Alone, in a part and in the whole: the same bits."""
    whole = plan.run(values, shots=None, seed=1).evs
    alone = [plan.run(row, shots=None, seed=1).evs for row in values]

    assert np.array_equal(np.stack(alone), whole)
    assert np.array_equal(plan.run(values[1:4], shots=None, seed=2).evs, whole[1:4])
    if plan.exact_gradient:
        slopes = plan.gradient(values)[1]
        assert np.array_equal(np.stack([plan.gradient(row)[1] for row in values]), slopes)


@pytest.mark.parametrize("engine", ENGINES)
@given(data=st.data())
def test_random_circuits(engine: str, data: st.DataObject) -> None:
    """Sums, products and functions of parameters, every gate, noise and misread bits included."""
    circuit = data.draw(circuits(max_qubits=4, max_gates=20))
    operator = data.draw(observables(circuit.num_qubits))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).uniform(-4, 4, (6, circuit.num_parameters))
    assert_independent_of_the_batch(ENGINES[engine].estimator_plan(circuit, operator), values)


@pytest.mark.parametrize("engine", ["kernel", "aer"])
@pytest.mark.parametrize("qubits", [9, 13, 14])
def test_larger_circuits(engine: str, qubits: int, rng: np.random.Generator) -> None:
    """On both sides of the size from which Aer fuses gates."""
    circuit = efficient_su2(qubits, reps=1)
    values = rng.uniform(-4, 4, (5, circuit.num_parameters))
    assert_independent_of_the_batch(ENGINES[engine].estimator_plan(circuit, heisenberg(qubits)), values)

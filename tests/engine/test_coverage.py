"""Printed standard errors hold the true value as often as they say, noiseless and noisy, several bases at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from runner.engine import Engine

OBSERVABLE = SparsePauliOp(
    ["ZZI", "IZZ", "ZII", "XXI", "IXX", "YIY", "III"], [1, 0.5, -0.3, 0.7, 0.4, -0.6, 2]
)
ANGLES = np.random.default_rng(11).uniform(-3, 3, 12)
CIRCUIT = efficient_su2(3, reps=1)


def noise() -> NoiseModel:
    """Depolarizing gates and misread bits."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.02, 1), ["ry", "rz", "u3", "r", "sx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), ["cx"])
    model.add_all_qubit_readout_error(ReadoutError([[0.95, 0.05], [0.1, 0.9]]))
    return model


@pytest.mark.parametrize("repetitions", [200, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", ["ideal", "noisy"])
def test_one_and_two_sigma_hold_the_true_value(kind: str, repetitions: int) -> None:
    """The truth is qiskit's dense state, or, with noise, the density matrix; 512 shots in every basis."""
    if kind == "ideal":
        plan = Engine().estimator_plan(CIRCUIT, OBSERVABLE)
        truth = Statevector(CIRCUIT.assign_parameters(ANGLES)).expectation_value(OBSERVABLE).real
    else:
        plan = Engine(noise_model=noise()).estimator_plan(CIRCUIT, OBSERVABLE)
        dense = Engine(noise_model=noise(), method="density_matrix").estimator_plan(CIRCUIT, OBSERVABLE)
        truth = float(dense.run(ANGLES, shots=None, seed=1).evs)

    found = plan.run(np.tile(ANGLES, (repetitions, 1)), shots=512, seed=3)

    off = found.evs - truth
    assert np.mean(np.abs(off) <= found.stds) == pytest.approx(0.683, abs=4 * math.sqrt(0.217 / repetitions))
    assert np.mean(np.abs(off) <= 2 * found.stds) == pytest.approx(
        0.954, abs=4 * math.sqrt(0.044 / repetitions)
    )
    assert found.stds.mean() == pytest.approx(math.sqrt(np.mean(off**2)), rel=4 / math.sqrt(2 * repetitions))

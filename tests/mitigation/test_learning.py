"""Noise that is learned, against the twirl of the channels that a noise model has, by dense algebra."""

import numpy as np
import pytest
from qiskit.circuit.library import CXGate
from qiskit.quantum_info import Operator, SuperOp
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, amplitude_damping_error, pauli_error
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from runner import compose
from runner.engine import DeviceNoise, Engine
from runner.errors import ConfigError
from runner.mitigation import Layer, LayerNoise, Learning, LearningPlan
from runner.whatif.forecast import forecast
from tests.mitigation.channels import PAULIS, after_twirling, learnable, of_device, told
from tests.mitigation.devices import noise

QUICK = Learning(num_randomizations=24, shots_per_randomization=256, layer_pair_depths=(0, 1, 2, 4, 8, 16))
CX = Layer((("cx", (0, 1)),), (0, 1))


def learned(target: Target, engine: Engine, layer: Layer = CX, seed: int = 5) -> LayerNoise:
    """The noise of a layer."""
    plan = LearningPlan(layer, target, layer.qubits[-1] + 1, QUICK, engine, "device")
    return plan.noise(plan.run(seed))


def test_a_lopsided_channel_is_learned_to_what_can_be_learned_of_it() -> None:
    """Pauli errors that favour some Paulis, with relaxation behind them, and readout that is none of the model's."""
    model = NoiseModel(basis_gates=["rz", "sx", "x", "cx"])
    pauli = pauli_error([("IX", 0.012), ("ZZ", 0.02), ("YI", 0.006), ("II", 0.962)])
    error = pauli.compose(amplitude_damping_error(0.01).tensor(amplitude_damping_error(0.02)))
    model.add_all_qubit_quantum_error(error, "cx")
    for qubit in (0, 1):
        model.add_readout_error([[0.97, 0.03], [0.08, 0.92]], [qubit])
    expected = learnable(after_twirling(SuperOp(error)), Operator(CXGate()))
    known = learned(AerSimulator(noise_model=model).target, Engine(noise_model=model))
    found = told(known.labels(), known.rates)

    assert max(1 - fidelity for fidelity in expected.values()) > 0.05
    for label in PAULIS:
        assert found[label] == pytest.approx(expected[label], abs=3e-3)


def test_a_devices_layer_is_learned_with_its_one_qubit_gates() -> None:
    """CX behind two sx on either qubit, as the twirled layer is; by Aer's own noise model of the device."""
    device = FakeManilaV2()
    expected = of_device(device)
    known = learned(
        device.target, Engine(device.target, DeviceNoise(device)), Layer((("cx", (1, 2)),), (1, 2))
    )
    found = told(known.labels(), known.rates)

    assert known.gamma**2 == pytest.approx(np.exp(4 * known.rates.sum()))
    assert 0.96 < min(expected.values()) < 0.98
    for label in PAULIS:
        assert found[label] == pytest.approx(expected[label], abs=2.5e-3)
    assert np.mean([found[label] - expected[label] for label in PAULIS]) == pytest.approx(0, abs=6e-4)


def test_learning_repeats_by_its_seed_and_costs_what_the_client_executes() -> None:
    """9 bases at each of 2 depths and one circuit for the readout, 4 randomizations of 128 shots each."""
    target, engine = AerSimulator(noise_model=noise()).target, Engine(noise_model=noise())
    little = Learning(num_randomizations=4, shots_per_randomization=128, layer_pair_depths=(0, 4))
    plan = LearningPlan(CX, target, 2, little, engine, "device")
    again = LearningPlan(CX, target, 2, little, engine, "device")

    assert plan.executions == (9 * 2 + 1) * 4 * 128
    for name, values in plan.run(7).items():
        np.testing.assert_array_equal(values, again.run(7)[name])
    assert (plan.run(7)["rates"] != again.run(8)["rates"]).any()


def test_other_noise_has_another_digest() -> None:
    """Of the same gates on the same qubits; how the readout errs does not matter less than how gates do."""
    digests = {
        Engine(noise_model=model).noise_digest((0, 1), ["cx", "sx"])
        for model in (noise(), noise(), noise(readout=False), None)
    }

    assert len(digests) == 3


def test_a_digest_does_not_depend_on_the_order_of_gates() -> None:
    """Which Aer takes from a set of names: another one in every process."""
    orders = ("sx", "cx"), ("cx", "sx")
    models = [NoiseModel(basis_gates=["rz", "sx", "x", "cx"]) for _ in orders]
    for model, order in zip(models, orders, strict=True):
        for name in order:
            bits = 2 if name == "cx" else 1
            error = pauli_error([("I" * bits, 0.9), ("X" * bits, 0.1)])
            model.add_all_qubit_quantum_error(error, name)
    told = [[error["operations"] for error in model.to_dict()["errors"]] for model in models]
    first, second = (Engine(noise_model=model).noise_digest((0, 1), ["sx", "cx"]) for model in models)

    assert told[0] != told[1]
    assert first == second


def test_a_gate_that_is_not_its_own_inverse_is_not_learned() -> None:
    """Its pairs would not be the identity."""
    target = AerSimulator(noise_model=noise()).target

    with pytest.raises(ConfigError, match=r"the noise of the layer csx\(0,1\) cannot be learned"):
        LearningPlan(Layer((("csx", (0, 1)),), (0, 1)), target, 2, QUICK, Engine(noise_model=noise()), "")


def test_a_forecast_learns_noise_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second pass, beyond the session's end, is of the same device and seed."""
    seeds: list[int] = []
    learned = LearningPlan._learned
    monkeypatch.setattr(
        LearningPlan, "_learned", lambda plan, seed: (seeds.append(seed), learned(plan, seed))[1]
    )
    words = ("experiment=vqe", "backend=fake_manila", "estimator=pec", "ansatz.reps=1", "tracking=off")
    few = (
        "optimizer.max_evaluations=4",
        "session.max_time=30",
        "estimator.layer_noise_learning.num_randomizations=8",
    )
    found = forecast(compose(*words, *few))

    assert not found.fits
    assert len(seeds) == 1

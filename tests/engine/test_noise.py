"""Noisy circuits against the plain, slow way: AerSimulator.from_backend and BackendEstimatorV2."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import BackendEstimatorV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer.noise import QuantumError, amplitude_damping_error

from runner.engine import DeviceNoise, Engine
from runner.engine import measurement as measurement_module
from runner.engine.noise import superoperator
from tests.engine.strategies import heisenberg

NONE = np.zeros(0)


@pytest.fixture(scope="module")
def device() -> GenericBackendV2:
    """A seven-qubit device with errors ten times the usual, so that a mistake shows."""
    backend = GenericBackendV2(7, seed=11, noise_info=True, coupling_map=[[q, q + 1] for q in range(6)])
    for name in ("cx", "sx", "measure"):
        for qubits, properties in backend.target[name].items():
            properties.error = min(10 * properties.error, 0.1)
            backend.target.update_instruction_properties(name, qubits, properties)
    return backend


def fitted(
    backend: Any, qubits: int, layout: list[int], reps: int = 1
) -> tuple[QuantumCircuit, SparsePauliOp]:
    """An ansatz on the device, and the Heisenberg chain on its layout."""
    manager = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1, initial_layout=layout)
    circuit = manager.run(efficient_su2(qubits, reps=reps))
    return circuit, heisenberg(qubits).apply_layout(circuit.layout)


def slow_way(
    backend: Any, circuit: QuantumCircuit, operator: Any, values: np.ndarray, jobs: int
) -> np.ndarray:
    """What everybody does: a noisy AerSimulator behind qiskit's BackendEstimatorV2, 1024 shots."""
    from qiskit_aer import AerSimulator

    estimator = BackendEstimatorV2(backend=AerSimulator.from_backend(backend, seed_simulator=77))
    estimator.options.seed_simulator = 4242
    rows = np.tile(values, (jobs, 1))
    return estimator.run([(circuit, operator, rows)], precision=1 / 32).result()[0].data.evs


def agree(fast: np.ndarray, slow: np.ndarray) -> bool:
    """Equal means within 4 σ and equal spreads within 4 σ."""
    error = math.hypot(fast.std(ddof=1) / math.sqrt(len(fast)), slow.std(ddof=1) / math.sqrt(len(slow)))
    ratio = fast.std(ddof=1) / slow.std(ddof=1)
    tolerance = 4 * math.sqrt(0.5 / len(fast) + 0.5 / len(slow))
    return bool(abs(fast.mean() - slow.mean()) < 4 * error and abs(math.log(ratio)) < tolerance)


@pytest.fixture(scope="module")
def slow_numbers(device: GenericBackendV2) -> tuple[QuantumCircuit, SparsePauliOp, np.ndarray, np.ndarray]:
    """One problem on the device and what the slow way says about it."""
    circuit, operator = fitted(device, 3, [2, 3, 4])
    values = np.random.default_rng(8).uniform(-2, 2, circuit.num_parameters)
    return circuit, operator, values, slow_way(device, circuit, operator, values, 80)


@pytest.mark.parametrize("trajectories", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_means_and_spreads_agree_with_the_slow_way(
    device: GenericBackendV2, slow_numbers: tuple, trajectories: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of simulating noise draw from the same distribution as the plain way."""
    from qiskit_aer.noise import NoiseModel

    if trajectories:
        for seconds in ("_STEP_SECONDS", "_AMPLITUDE_SECONDS"):  # trajectories seem to take no time at all
            monkeypatch.setattr(measurement_module, seconds, 0.0)
    circuit, operator, values, slow = slow_numbers
    plan = Engine(device.target, NoiseModel.from_backend(device)).estimator_plan(circuit, operator)
    fast = plan.run(np.tile(values, (10 if trajectories else 600, 1)), shots=1024, seed=5)

    assert agree(fast.evs, slow)
    assert abs(fast.evs.std(ddof=1) / fast.stds.mean() - 1) < 4 / math.sqrt(2 * len(fast.evs))
    assert abs(slow.mean() - _ideal(circuit, operator, values)) > 10 * slow.std() / math.sqrt(len(slow))


def _ideal(circuit: QuantumCircuit, operator: Any, values: np.ndarray) -> float:
    return float(Engine().estimator_plan(circuit, operator).run(values, shots=None, seed=1).evs)


def test_exact_noisy_values_are_the_limit_of_many_shots(
    device: GenericBackendV2, rng: np.random.Generator
) -> None:
    """shots=None under noise is the mean over infinitely many shots, readout errors included."""
    circuit, operator = fitted(device, 2, [5, 6])
    values = rng.uniform(-2, 2, circuit.num_parameters)
    plan = Engine(device.target, DeviceNoise(device)).estimator_plan(circuit, operator)
    exact = plan.run(values, shots=None, seed=1).evs
    sampled = plan.run(np.tile(values, (100, 1)), shots=4096, seed=3)

    assert abs(sampled.evs.mean() - exact) < 4 * sampled.stds.mean() / 10


def test_the_errors_of_a_device_are_converted_once_for_all_circuits(
    device: GenericBackendV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ansatz that grows brings the same errors in every circuit, on more and more qubits."""
    converted = []

    def counted(error: QuantumError, plain: Any = QuantumError.to_quantumchannel) -> Any:
        converted.append(error)
        return plain(error)

    monkeypatch.setattr(QuantumError, "to_quantumchannel", counted)
    for way, method in (("kernel", "automatic"), ("aer", "density_matrix")):
        engine = Engine(device.target, DeviceNoise(device), engine=way, method=method)
        for layout, reps in (([5, 6], 1), ([5, 6], 2), ([4, 5, 6], 1)):
            circuit, operator = fitted(device, len(layout), layout, reps)
            values = np.zeros(circuit.num_parameters)
            engine.estimator_plan(circuit, operator).run(values, shots=None, seed=1)

    assert len(converted) == len({id(error) for error in converted})
    noise = DeviceNoise(device)
    few, more = (noise.of(qubits)._local_quantum_errors["cx"][5, 6] for qubits in ([5, 6], [4, 5, 6]))
    assert few is more


def test_a_matrix_that_is_kept_goes_with_its_error() -> None:
    """Errors may follow each other at one address; Kraus operators by pencil: √(1-γ) and √γ of amplitude damping."""
    for gamma in (0.1, 0.2, 0.3):
        error = amplitude_damping_error(gamma)
        keep, lose = np.diag([1.0, math.sqrt(1 - gamma)]), np.array([[0.0, math.sqrt(gamma)], [0.0, 0.0]])
        expected = np.kron(keep, keep) + np.kron(lose, lose)
        assert superoperator(error) == pytest.approx(expected)
        assert superoperator(error) is superoperator(error)
        gone = weakref.ref(error)
        del error
        gc.collect()
        assert gone() is None


def test_device_noise_equals_the_whole_model(device: GenericBackendV2, rng: np.random.Generator) -> None:
    """Noise derived for two qubits alone is the noise of these two in the model of all."""
    from qiskit_aer.noise import NoiseModel

    circuit, operator = fitted(device, 2, [3, 2])
    values = rng.uniform(-2, 2, circuit.num_parameters)
    results = [
        Engine(device.target, noise).estimator_plan(circuit, operator).run(values, shots=None, seed=1).evs
        for noise in (DeviceNoise(device), NoiseModel.from_backend(device))
    ]

    assert results[0] == pytest.approx(results[1], abs=1e-12)


def test_delays_relax(device: GenericBackendV2) -> None:
    """An excited qubit that waits T1 is found excited with probability 1/e (times the readout's)."""
    t1 = device.target.qubit_properties[0].t1
    circuit = QuantumCircuit(7)
    circuit.x(0)
    circuit.delay(t1, 0, unit="s")
    noise = DeviceNoise(device)
    plan = Engine(device.target, noise).estimator_plan(
        circuit, SparsePauliOp.from_sparse_list([("Z", [0], 1.0)], 7)
    )
    flip = device.target["measure"][(0,)].error
    excited = (1 - plan.run(NONE, shots=None, seed=1).evs) / 2
    model = noise.of([0])

    assert model._local_readout_errors
    assert excited == pytest.approx((1 - flip) / math.e + flip * (1 - 1 / math.e), abs=0.02)


def test_only_touched_qubits_count(device: GenericBackendV2) -> None:
    """The duration is that of the schedule, and nothing is simulated but the measured and touched qubits."""
    circuit, operator = fitted(device, 2, [0, 1])
    plan = Engine(device.target, DeviceNoise(device)).estimator_plan(circuit, operator)
    measure = max(device.target["measure"][(q,)].duration for q in (0, 1))

    assert plan.duration is not None
    assert plan.duration >= measure
    assert [piece.qubits for piece in plan._readout._pieces] == [[0, 1]]


def test_sampler_reads_idle_qubits_with_their_errors(device: GenericBackendV2) -> None:
    """An untouched qubit is read as 1 with the probability of its readout error."""
    circuit = QuantumCircuit(7)
    circuit.measure_all()
    bits = (
        Engine(device.target, DeviceNoise(device)).sampler_plan(circuit).run(NONE, shots=4000, seed=3)["meas"]
    )
    for qubit in range(7):
        flip = device.target["measure"][(qubit,)].error
        share = bits.slice_bits([qubit]).get_counts().get("1", 0) / 4000

        assert abs(share - flip) < 4.5 * math.sqrt(flip * (1 - flip) / 4000)


def test_sampler_noise_in_dynamic_circuits(device: GenericBackendV2) -> None:
    """Mid-circuit measurements are noisy too: an x that is measured, then measured again."""
    circuit = QuantumCircuit(7, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(0, 1)
    counts = (
        Engine(device.target, DeviceNoise(device)).sampler_plan(circuit).run(NONE, shots=4000, seed=3)["c"]
    )
    flip = device.target["measure"][(0,)].error

    assert abs(counts.slice_bits([0]).get_counts()["0"] / 4000 - flip) < 0.03
    assert abs(counts.get_counts()["11"] / 4000 - (1 - flip) ** 2) < 0.05


@pytest.mark.nightly
@pytest.mark.parametrize("qubits", [2, 4])
def test_torino_agrees_with_the_slow_way(qubits: int, rng: np.random.Generator) -> None:
    """The 133-qubit snapshot, with a noise model made once for both ways."""
    provider = pytest.importorskip("qiskit_ibm_runtime.fake_provider")
    backend = provider.FakeTorino()
    circuit, operator = fitted(backend, qubits, [30, 31, 32, 36][:qubits])
    values = rng.uniform(-2, 2, circuit.num_parameters)
    slow = slow_way(backend, circuit, operator, values, 60)
    plan = Engine(backend.target, DeviceNoise(backend)).estimator_plan(circuit, operator)
    fast = plan.run(np.tile(values, (600, 1)), shots=1024, seed=5)

    assert agree(fast.evs, slow)


def test_eight_noisy_qubits_are_as_on_plain_aer() -> None:
    """From eight qubits on Aer fuses channels into what its eigensolver refuses; density matrices do without that."""
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    noise = NoiseModel(basis_gates=["cx", "ry"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.02, 2), ["cx"])
    circuit = QuantumCircuit(8)
    for qubit in range(8):
        circuit.ry(0.3 + 0.1 * qubit, qubit)
    for qubit in range(7):
        circuit.cx(qubit, qubit + 1)
    operator = SparsePauliOp(["IIIIIIZZ", "ZIIIIIIZ"], [1.0, 0.5])

    found = Engine(noise_model=noise, method="density_matrix").estimator_plan(circuit, operator)

    circuit = circuit.copy()
    circuit.save_expectation_value(operator, range(8), label="e")
    plain = AerSimulator(method="density_matrix", noise_model=noise).run(circuit).result().data()["e"]
    assert found.run(NONE, shots=None, seed=1).evs == pytest.approx(plain, abs=1e-12)

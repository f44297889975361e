"""Twirled samples of a measured circuit against pencil and the client's own Sampler."""

import numpy as np
import pytest
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit, QuantumRegister
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_ibm_runtime.executor_sampler.prepare import prepare
from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

from runner.engine import Engine
from runner.errors import ConfigError
from runner.mitigation import SampledPlan, sampler_setting
from runner.runtime import LocalRuntimeService, SamplerV2

BOTH = {"twirling": {"enable_gates": True, "enable_measure": True, "num_randomizations": 9}}


def _registers() -> QuantumCircuit:
    """|11⟩ on qubits 4 and 1 of five in two registers, an angle of π being a parameter."""
    angle = Parameter("angle")
    first, second = ClassicalRegister(1, "first"), ClassicalRegister(2, "second")
    circuit = QuantumCircuit(QuantumRegister(5), first, second)
    circuit.sx(4)
    circuit.rz(angle, 4)
    circuit.sx(4)
    circuit.cx(4, 1)
    circuit.measure(1, second[1])
    circuit.measure(0, second[0])
    circuit.measure(4, first[0])
    return circuit


def test_flips_are_undone_in_every_register_and_parameter_set() -> None:
    """Without noise every shot is what the circuit makes: sx·rz(0)·sx is a flip, sx·rz(π)·sx none, by pencil."""
    plan = SampledPlan(_registers(), sampler_setting(BOTH), Engine())
    found = plan.run(np.array([[[0.0], [np.pi]]]), shots=100, seed=3)

    assert plan.work(2, 100) == (2 * 9 * 12, None)
    assert {name: bits.shape for name, bits in found.items()} == {"first": (1, 2), "second": (1, 2)}
    assert [found["first"][0, k].get_counts() for k in (0, 1)] == [{"1": 108}, {"0": 108}]
    assert [found["second"][0, k].get_counts() for k in (0, 1)] == [{"10": 108}, {"00": 108}]


def test_twirled_measurements_misread_both_values_alike() -> None:
    """Readout errors of 2 % and 18 % become 10 % of each, by pencil."""
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.98, 0.02], [0.18, 0.82]]))
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.measure_all()
    engine = Engine(noise_model=noise)
    shots = 20_000
    found = SampledPlan(circuit, sampler_setting({"twirling": {"enable_measure": True}}), engine).run(
        np.zeros(0), shots=shots, seed=5
    )
    bits = found["meas"].to_bool_array(order="little")
    plain = (
        engine.sampler_plan(circuit)
        .run(np.zeros(0), shots=shots, seed=5)["meas"]
        .to_bool_array(order="little")
    )

    assert 1 - plain[:, 0].mean() == pytest.approx(0.18, abs=0.012)
    assert 1 - bits[:, 0].mean() == pytest.approx(0.10, abs=0.02)
    assert bits[:, 1].mean() == pytest.approx(0.10, abs=0.02)


@pytest.mark.parametrize("shots", [1, 63, 100, 4096, 5000])
def test_shots_are_split_as_the_client_splits_them(shots: int) -> None:
    """Randomizations and shots of each, of the program that the client's own Sampler prepares."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    for twirling in ({"enable_measure": True}, {"enable_measure": True, "num_randomizations": 7}):
        program, _ = prepare([(circuit,)], SamplerOptions(twirling=twirling), shots)
        expected = program.items[0].shape[0], program.shots

        assert sampler_setting({"twirling": twirling}).split(shots) == expected


def test_a_twirled_job_is_the_clients_in_shape_metadata_and_price() -> None:
    """9 randomizations of ⌈100/9⌉ shots: 108 executions of 250 µs and what the circuit takes, after 2 s."""
    backend = LocalRuntimeService(seed=7).backend("fake_manila")
    circuit = QuantumCircuit(5)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    sampler = SamplerV2(backend, BOTH)
    job = sampler.run([circuit], shots=100)
    result = job.result()

    assert result[0].data.meas.num_shots == 108
    assert result[0].metadata == {"circuit_metadata": {}, "num_randomizations": 9}
    assert result.metadata["twirling"]["enable_gates"] is True
    assert sampler.executions([circuit], shots=100) == 108
    assert sampler.seconds([circuit], shots=100) == job.usage() == pytest.approx(2 + 108 * 256e-6, rel=0.01)
    again = SamplerV2(LocalRuntimeService(seed=7).backend("fake_manila"), BOTH).run([circuit], shots=100)
    assert np.array_equal(again.result()[0].data.meas.array, result[0].data.meas.array)


def test_what_cannot_act_is_refused() -> None:
    """No noise, options of twirling that is off, values that the client does not take."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    ideal = LocalRuntimeService(seed=7).backend("ideal")

    with pytest.raises(ConfigError, match="twirled measurements cannot act, for ideal has no noise"):
        SamplerV2(ideal, {"twirling": {"enable_measure": True}}).run([circuit])
    with pytest.raises(ConfigError, match=r"twirling.strategy: acts with twirling.enable_gates or"):
        sampler_setting({"twirling": {"strategy": "all"}})
    with pytest.raises(
        ConfigError, match=r"twirling.num_randomizations: .*greater than or equal to 1, got 0"
    ):
        sampler_setting({"twirling": {"enable_gates": True, "num_randomizations": 0}})

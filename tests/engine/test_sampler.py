"""The sampler against qiskit's, on every kind of measured circuit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import StatevectorSampler
from qiskit.quantum_info import Statevector

from runner.engine import Engine, kernel
from runner.engine.measurement import Streams, stream
from runner.errors import ConfigError
from tests.engine.strategies import circuits

ENGINE = Engine()
NONE = np.zeros(0)


def compatible(counts: dict[str, int], probabilities: dict[str, float], shots: int) -> bool:
    """Pearson's χ² within five standard deviations; outcomes of probability 0 never occur."""
    if any(probabilities.get(key, 0.0) < 1e-12 for key in counts):
        return False
    likely = {key: p for key, p in probabilities.items() if p * shots > 5}
    chi = sum((counts.get(key, 0) - shots * p) ** 2 / (shots * p) for key, p in likely.items())
    return bool(chi < len(likely) + 5 * np.sqrt(2 * len(likely)) + 5)


@given(st.data())
def test_samples_follow_the_state(data: st.DataObject) -> None:
    """Random circuits, some qubits measured in any order: outcomes follow Born's rule."""
    circuit = data.draw(circuits(max_qubits=4, max_gates=15))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = rng.uniform(-4, 4, circuit.num_parameters)
    order = data.draw(st.permutations(range(circuit.num_qubits)))
    measured = order[: data.draw(st.integers(1, circuit.num_qubits))]
    state = Statevector(circuit.assign_parameters(values))
    circuit.add_register(ClassicalRegister(len(measured), "m"))
    circuit.measure(measured, range(len(measured)))
    result = ENGINE.sampler_plan(circuit).run(values, shots=2000, seed=7)["m"]

    assert result.num_shots == 2000
    assert compatible(result.get_counts(), state.probabilities_dict(measured), 2000)


def test_shapes_are_those_of_qiskit(rng: np.random.Generator) -> None:
    """Several registers and batches come out in the shapes and bit order of StatevectorSampler."""
    first, second = ClassicalRegister(2, "a"), ClassicalRegister(9, "b")
    circuit = QuantumCircuit(QuantumRegister(3), first, second)
    circuit.x(0)
    angle = Parameter("t")
    circuit.rx(angle, 1)
    circuit.measure(0, first[1])
    circuit.measure(1, second[8])
    circuit.measure(2, second[0])
    values = np.full((2, 3, 1), np.pi)
    expected = StatevectorSampler().run([(circuit, values)], shots=10).result()[0].data
    result = ENGINE.sampler_plan(circuit).run(values, shots=10, seed=1)

    for name in ("a", "b"):
        assert result[name].shape == expected[name].shape
        assert result[name].num_bits == expected[name].num_bits
        assert np.array_equal(result[name].array, expected[name].array)


def test_mid_circuit_measurement_reset_and_branches() -> None:
    """Teleportation with feed-forward and a reset: the state arrives, bit by bit as it should."""
    circuit = QuantumCircuit(3, 3)
    circuit.ry(1.0, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.z(2)
    circuit.reset(0)
    circuit.measure(2, 2)
    counts = ENGINE.sampler_plan(circuit).run(NONE, shots=4000, seed=3)["c"].slice_bits([2]).get_counts()
    probability = np.sin(0.5) ** 2

    assert compatible(counts, {"0": 1 - probability, "1": probability}, 4000)


def test_parameters_inside_dynamic_circuits(rng: np.random.Generator) -> None:
    """A measured qubit that goes on being rotated: both measurements follow their angles."""
    angle = Parameter("t")
    circuit = QuantumCircuit(1, 2)
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.rx(2 * angle, 0)
    circuit.measure(0, 1)
    result = ENGINE.sampler_plan(circuit).run(np.array([[np.pi], [np.pi / 2]]), shots=2000, seed=3)["c"]

    assert result[0].get_counts() == {"01": 2000}
    assert set(result[1].get_counts()) == {"10", "11"}


def test_a_hundred_qubits_of_which_two_are_entangled() -> None:
    """measure_all of a 133-qubit circuit simulates the pair and knows the rest to be 0."""
    circuit = QuantumCircuit(133)
    circuit.h(5)
    circuit.cx(5, 77)
    circuit.measure_all()
    counts = ENGINE.sampler_plan(circuit).run(NONE, shots=1000, seed=2)["meas"].get_counts()
    zero = "0" * 133
    both = "".join("1" if q in (5, 77) else "0" for q in reversed(range(133)))

    assert set(counts) == {zero, both}
    assert abs(counts[zero] - 500) < 80


def test_pieces_are_independent() -> None:
    """Two separate coins are tossed separately: the four outcomes are equally frequent."""
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.measure_all()
    for engine in (ENGINE, Engine(method="matrix_product_state")):
        counts = engine.sampler_plan(circuit).run(NONE, shots=4000, seed=2)["meas"].get_counts()

        assert compatible(counts, dict.fromkeys(("00", "01", "10", "11"), 0.25), 4000)


def test_seeds_and_batches(rng: np.random.Generator) -> None:
    """The same seed gives the same shots in any batch; another seed gives others."""
    circuit = efficient_su2(3, reps=1)
    circuit.measure_all()
    plan = ENGINE.sampler_plan(circuit)
    values = rng.uniform(-4, 4, (4, circuit.num_parameters))
    whole = plan.run(values, shots=50, seed=5)["meas"].array

    assert np.array_equal(plan.run(values[:2], shots=50, seed=5)["meas"].array, whole[:2])
    assert not np.array_equal(plan.run(values, shots=50, seed=6)["meas"].array, whole)


def test_refusals() -> None:
    """No registers, no shots, too large: one line each."""
    with pytest.raises(ConfigError, match="classical registers"):
        ENGINE.sampler_plan(QuantumCircuit(2))
    circuit = QuantumCircuit(40)
    circuit.h(0)
    for qubit in range(39):
        circuit.cx(qubit, qubit + 1)
    circuit.rx(0.1, 0)
    circuit.measure_all()
    with pytest.raises(ConfigError, match="at least 1"):
        ENGINE.sampler_plan(circuit).run(NONE, shots=0, seed=1)
    with pytest.raises(ConfigError, match="TiB"):
        Engine(engine="aer").sampler_plan(circuit).run(NONE, shots=1, seed=1)


def test_one_generator_goes_from_stream_to_stream() -> None:
    """Each from its beginning, as a new generator of NumPy's gives it, whatever was drawn of the one before."""
    streams = Streams()
    for where in ((5, 0, 1), (2**63 - 1, 3), (7, 2, 0, 0, 1)):
        streams.at(3, 3).integers(0, 7, 3, dtype=np.uint32)

        assert (streams.at(*where).random(9) == stream(*where).random(9)).all()


@pytest.mark.parametrize("shots", [1, 4, 7, 313])
def test_compiled_draws_are_those_of_numpy(shots: int, rng: np.random.Generator) -> None:
    """A bit is 1 where NumPy's own Philox gives at least the weight of 0; weights of none or all are kept."""
    table = rng.uniform(0, 1, (5, 2))
    table[1], table[3] = (0.7, 0.0), (0.0, 0.3)
    for seed, first, place in ((0, 0, 1), (2**63 - 1, 2, 133), (12345, 10**6, 1)):
        bits = np.zeros((5, shots, 3), dtype=bool)
        kernel.loop("draw_bits")(table, bits[:, :, 1], np.uint64(seed), first, place)
        philox = [np.random.Philox(key=[seed, first + k], counter=[0, place, 0, 0]) for k in range(5)]
        points = [np.random.Generator(one).random(shots) for one in philox]
        expected = np.array(points) * table.sum(axis=1, keepdims=True) >= table[:, :1]

        assert (bits[:, :, 1] == expected).all()
        assert not bits[1].any()
        assert bits[3, :, 1].all()
        assert not bits[:, :, (0, 2)].any()


def test_many_shots_are_the_same_as_few_of_each_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loop takes over where there are many outcomes; which one draws is nobody's concern."""
    circuit = QuantumCircuit(40)
    angle = Parameter("a")
    for qubit in range(40):
        circuit.rx(angle * (qubit % 3), qubit)
    circuit.measure_all()
    plan, values = ENGINE.sampler_plan(circuit), np.linspace(0.2, 3, 9)[:, None]
    compiled = plan.run(values, shots=4096, seed=6)["meas"].array
    monkeypatch.setattr("runner.engine.sampler._MANY", 1 << 40)

    assert (plan.run(values, shots=4096, seed=6)["meas"].array == compiled).all()


def test_an_equal_circuit_has_the_same_plan_and_another_register_has_not() -> None:
    """A copy as a server reads it; the registers' names are part of the result."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure_all()
    other = QuantumCircuit(1)
    other.rx(Parameter("a"), 0)
    other.measure_all(inplace=True, add_bits=True)
    renamed = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "c"))
    renamed.rx(Parameter("a"), 0)
    renamed.measure(0, 0)
    engine = Engine()
    plan = engine.sampler_plan(circuit)

    assert engine.sampler_plan(other) is plan
    assert engine.sampler_plan(renamed) is not plan

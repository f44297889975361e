"""Draws of the client's samplex in one thread."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import PauliLindbladMap

from runner.mitigation.samplex import broadcast, sample_each


@pytest.mark.parametrize("parametrized", [True, False])
def test_draws_are_those_of_the_library(parametrized: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Samplex.sample` from the same seed, to the last bit: two draws at once and one after them."""
    samplomatic = pytest.importorskip("samplomatic")
    circuit = QuantumCircuit(2)
    with circuit.box([samplomatic.Twirl(), samplomatic.InjectNoise("layer")]):
        circuit.rx(Parameter("a") if parametrized else 0.3, 0)
        circuit.cx(0, 1)
    with circuit.box([samplomatic.Twirl(), samplomatic.ChangeBasis(ref="basis")]):
        circuit.measure_all()
    _, samplex = samplomatic.build(circuit)
    samplex.finalize()
    inputs = [
        samplex.inputs().bind(
            basis_changes={"basis": np.array(basis)},
            pauli_lindblad_maps={"layer": PauliLindbladMap.from_list([("XX", 0.2), ("ZI", -0.3)])},
            **({"parameter_values": [0.4]} if parametrized else {}),
        )
        for basis in ([2, 3], [0, 1], [3, 0])
    ]
    monkeypatch.setattr("runner.mitigation.samplex._AT_ONCE", 16)
    own, theirs = (np.random.default_rng(5) for _ in range(2))
    expected = [samplex.sample(one, 8, theirs) for one in inputs]
    found = sample_each(samplex, inputs, 8, own)

    assert {"parameter_values", "measurement_flips.meas", "pauli_signs"} <= set(expected[0])
    for one, other in zip(expected, found, strict=True):
        assert set(one) == set(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    ("values", "shape"), [((3, 1), (3, 8)), ((1, 3), (4, 3)), ((), (5,)), ((2, 1, 3), (2, 4, 3))]
)
def test_broadcast_draws_are_those_of_the_client(values: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """The client's `broadcast_sample` from the same seed, to the last bit, whichever axes have entries."""
    samplomatic = pytest.importorskip("samplomatic")
    from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample

    circuit = QuantumCircuit(1)
    with circuit.box([samplomatic.Twirl()]):
        circuit.rx(Parameter("a"), 0)
        circuit.measure_all()
    _, samplex = samplomatic.build(circuit)
    samplex.finalize()
    inputs = (
        samplex.inputs()
        .make_broadcastable()
        .bind(parameter_values=np.arange(6.0)[: np.prod(values, dtype=int)].reshape(*values, 1))
    )
    expected = broadcast_sample(samplex, inputs, shape, np.random.default_rng(5))
    found = broadcast(samplex, inputs, shape, np.random.default_rng(5))

    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])

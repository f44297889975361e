"""Learned noise of layers in simulated circuits: density matrices by NumPy, refusals, and whole runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator, Pauli, PauliList, SparsePauliOp
from qiskit.transpiler import CouplingMap
from qiskit_ibm_runtime.results import LayerError, PauliLindbladError

from experiments.kicked_ising import WEIGHT_10, WEIGHT_17, coupled, letters
from runner import compose, run
from runner.engine import Engine, amplified
from runner.engine.lindblad import LayerNoiseModel
from runner.errors import ConfigError
from runner.mitigation import Layer, LayerNoise, NoiseOfLayers, client, layer_noise_model
from runner.mitigation.layered import with_noise
from runner.runtime import EstimatorV2, LocalRuntimeService

QUBITS = 5
EVEN = Layer((("cz", (0, 1)), ("cz", (2, 3))), (0, 1, 2, 3, 4))
ODD = Layer((("cz", (1, 2)), ("cz", (3, 4))), (0, 1, 2, 3, 4))
WIDE = np.array([2, 0, 3, 1, 0])
"""A generator on three qubits: 0, 1, 2, 3 are I, Z, X, Y."""


def learned(layer: Layer, seed: int, device: str = "nowhere") -> LayerNoise:
    """All Paulis on one qubit and on neighbours, and one on three qubits, with rates drawn from a seed."""
    rows = []
    for place in range(len(layer.qubits)):
        for letter in (1, 2, 3):
            single = np.zeros(len(layer.qubits), dtype=int)
            single[place] = letter
            rows.append(single)
            for other in (1, 2, 3) if place + 1 < len(layer.qubits) else ():
                pair = single.copy()
                pair[place + 1] = other
                rows.append(pair)
    if len(layer.qubits) == QUBITS:
        rows.append(WIDE)
    rates = np.random.default_rng(seed).uniform(0, 0.02, len(rows))
    return LayerNoise(layer, np.array(rows), rates, device, "")


KNOWN = NoiseOfLayers.joined([learned(EVEN, 1), learned(ODD, 2)])


def layered(angle: Parameter | float, steps: int) -> QuantumCircuit:
    """Rotations of what a layer's gates act on, and the layer, again and again; the last rotations are in no layer.

    The client moves other rotations behind a layer that their qubit waits in, and its noise.
    """
    circuit = QuantumCircuit(QUBITS)
    for step in range(steps):
        for gates in (EVEN, ODD):
            for _, pair in gates.gates:
                for qubit in pair:
                    circuit.rx(angle, qubit)
                    circuit.rz(0.3 * (qubit + 1) + step, qubit)
                circuit.cz(*pair)
            circuit.barrier()
    circuit.ry(0.4, range(QUBITS))
    return circuit


def dense(circuit: QuantumCircuit, gain: float = 1.0) -> NDArray:
    """The density matrix by NumPy: each generator P with rate λ makes ρ (1+w)/2 ρ + (1−w)/2 PρP; w = e^(−2λ)."""
    state = np.zeros((2**QUBITS, 2**QUBITS), dtype=complex)
    state[0, 0] = 1.0
    pairs: set[tuple[int, ...]] = set()
    for item in circuit.data:
        places = tuple(circuit.find_bit(bit).index for bit in item.qubits)
        if item.name != "barrier":
            gate = QuantumCircuit(QUBITS)
            gate.append(item.operation, places)
            matrix = Operator(gate).data
            state = matrix @ state @ matrix.conj().T
            pairs |= {places} if len(places) == 2 else set()
            continue
        (layer,) = [one for one in (EVEN, ODD) if {pair for _, pair in one.gates} == pairs]
        pairs = set()
        known = KNOWN.known[layer]
        for label, rate in zip(known.labels(), known.rates, strict=True):
            pauli, kept = Pauli(label).to_matrix(), math.exp(-2 * rate * gain)
            state = (1 + kept) / 2 * state + (1 - kept) / 2 * pauli @ state @ pauli
    return state


def engine(**options: object) -> Engine:
    """One that damps strings as the layers say, and leaves nothing out."""
    model = LayerNoiseModel(
        "file:known", KNOWN.text, lambda circuit: with_noise(circuit, KNOWN, "file:known")
    )
    return Engine(None, None, engine="pauli", layer_noise=model, pauli_threshold=0.0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("gain", [1.0, 1.7])
@pytest.mark.parametrize("label", ["ZIIII", "IZZII", "XYZIX", "YYYYY"])
def test_density_matrix(label: str, gain: float) -> None:
    """Three steps on five qubits, a generator of three letters among the others, as NumPy's density matrix has it."""
    theta = Parameter("θ")
    plan = engine().estimator_plan(amplified(layered(theta, 3), gain), SparsePauliOp(label))
    found = plan.run(np.array([[0.7], [1.9]]), shots=None, seed=1)
    expected = [
        np.trace(dense(layered(value, 3), gain) @ Pauli(label).to_matrix()).real for value in (0.7, 1.9)
    ]

    assert found.evs == pytest.approx(expected, abs=1e-12)
    assert found.truncation is not None
    assert found.truncation.max() == 0


def heavy_hex_noise(couplings: list[list[tuple[int, int]]]) -> NoiseOfLayers:
    """Generators on every qubit and coupled pair of 127, another set of rates for each layer."""
    qubits = tuple(range(127))
    rows = []
    for first, second in [(q, q) for q in qubits] + [pair for layer in couplings for pair in layer]:
        for number in range(1, 4 if first == second else 16):
            row = np.zeros(127, dtype=int)
            row[second] = number >> 2
            row[first] = number & 3
            rows.append(row)
    known = []
    for number, pairs in enumerate(couplings):
        rates = np.random.default_rng(number).uniform(0, 2e-4, len(rows))
        layer = Layer(tuple(sorted(("cz", pair) for pair in pairs)), qubits)
        known.append(LayerNoise(layer, np.array(rows), rates, "", ""))
    return NoiseOfLayers.joined(known)


def in_layers(couplings: list[list[tuple[int, int]]], depth: int) -> list[QuantumCircuit]:
    """The kicked Ising model at θ = π/2: the gates of every layer, those on one qubit just before the next layer that
    acts on it, so that it is plain which noise they come before; and what is left.
    """
    waiting: dict[int, QuantumCircuit] = {}
    layers = []
    for _ in range(depth):
        for qubit in range(127):
            waiting.setdefault(qubit, QuantumCircuit(1)).sx(0)
        for pairs in couplings:
            circuit = QuantumCircuit(127)
            for first, second in pairs:
                for qubit in (first, second):
                    circuit.compose(waiting.pop(qubit, QuantumCircuit(1)), [qubit], inplace=True)
                circuit.cz(first, second)
                for qubit in (first, second):
                    waiting.setdefault(qubit, QuantumCircuit(1)).sdg(0)
            layers.append(circuit)
    rest = QuantumCircuit(127)
    for qubit, gates in waiting.items():
        rest.compose(gates, [qubit], inplace=True)
    return [*layers, rest]


def damped(string: Pauli, layers: list[QuantumCircuit], noises: list[LayerNoise]) -> float:
    """⟨string⟩ by Qiskit's Clifford evolution of it, times e^(−2λ) of every generator that anticommutes with it."""
    generators = [PauliList(noise.labels()) for noise in noises]
    found = string.evolve(layers[-1], frame="h")
    exponent = 0.0
    for number in reversed(range(len(layers) - 1)):
        which = number % len(noises)
        exponent += 2 * float(noises[which].rates[generators[which].anticommutes(found)].sum())
        found = found.evolve(layers[number], frame="h")
    return 0.0 if found.x.any() else (-1.0) ** (found.phase // 2) * math.exp(-exponent)


@pytest.mark.parametrize("name", [WEIGHT_10, pytest.param(WEIGHT_17, marks=pytest.mark.nightly)])
def test_127_qubits_at_a_clifford_point(name: str) -> None:
    """The publication's strings after five steps, 1 and −1, times the factors of 25 000 generators."""
    from qiskit_ibm_runtime.fake_provider import FakeKyiv

    couplings = coupled(FakeKyiv())
    known = heavy_hex_noise(couplings)
    found = letters(name, "")
    observable = SparsePauliOp.from_sparse_list([("".join(found.values()), list(found), 1.0)], 127)
    model = LayerNoiseModel(
        "file:known", known.text, lambda circuit: with_noise(circuit, known, "file:known")
    )
    layers = in_layers(couplings, 5)
    circuit = QuantumCircuit(127)
    for layer in layers:
        circuit = circuit.compose(layer)
        circuit.barrier()
    plan = Engine(None, None, engine="pauli", layer_noise=model).estimator_plan(circuit, observable)
    noises = [
        known.known[Layer(tuple(sorted(("cz", pair) for pair in pairs)), tuple(range(127)))]
        for pairs in couplings
    ]
    expected = damped(observable.paulis[0], layers, noises)

    assert 0.3 < (expected if name == WEIGHT_10 else -expected) < 0.95
    assert plan.run(np.zeros(0), shots=None, seed=1).evs == pytest.approx(expected, abs=1e-12)


def written(path: Path, *noises: LayerNoise) -> str:
    """A model as a run writes it."""
    path.write_text(json.dumps({"layers": [noise.as_dict() for noise in noises]}))
    return f"file:{path}"


def on_line(seed: int, device: str = "generic_backend_5q") -> list[LayerNoise]:
    """Of every layer of ZZ on a line of five qubits."""
    backend = GenericBackendV2(QUBITS, coupling_map=CouplingMap.from_line(QUBITS), seed=1)
    layers = [tuple(("cz", pair) for pair in pairs) for pairs in coupled(backend)]
    return [
        learned(Layer(gates, (0, 1, 2, 3, 4)), seed + place, device) for place, gates in enumerate(layers)
    ]


LINE = (
    "experiment=kicked_ising", "experiment.layers=aligned", "experiment.depth=2", "experiment.points=2",
    "experiment.observables=[Z2,X1 Y2]", "experiment.noise_gains=[1]", "experiment.readout=none", "tracking=off",
    "run.figures=false", "backend=generic", "backend.num_qubits=5", "backend.topology=line", "backend.engine=pauli",
)  # fmt: skip


def test_a_run(tmp_path: Path) -> None:
    """A declared model damps what is measured; the run says whose noise it was, and another model is another job."""
    results = []
    for seed in (1, 1, 3):
        source = written(tmp_path / f"{len(results)}.json", *on_line(seed))
        words = [*LINE, f"backend.layer_noise_model={source}"]
        results.append(run(compose(*words), directory=str(tmp_path / f"run{len(results)}")))
    same, again, other = (result.table[0]["Z2"] for result in results)
    model = layer_noise_model(f"file:{tmp_path / '0.json'}", "generic_backend_5q")

    assert same == again != other
    assert 0 < same < results[0].table[0]["Z2 exact"] == 1
    assert f"the noise of file:{tmp_path / '0.json'} (digest {model.text[:12]})" in str(results[0].simulation)


def test_a_gate_is_damped_by_the_part_of_its_layer(tmp_path: Path) -> None:
    """By pencil: of |00⟩ one layer with the rate λ of XI leaves ⟨ZI⟩ e^(−2λ), and misreading by e 1 − 2e of that."""
    layer = Layer((("cz", (0, 1)),), (0, 1))
    noise = LayerNoise(layer, np.array([[2, 0]]), np.array([0.1]), "generic_backend_2q", "")
    source = written(tmp_path / "noise.json", noise)
    service = LocalRuntimeService(engine_options={"engine": "pauli", "layer_noise_model": source})
    backend = service.attach(GenericBackendV2(2, basis_gates=["cz", "id", "rz", "sx", "x"], seed=1))
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    error = backend.target["measure"][(0,)].error
    estimator = EstimatorV2(mode=backend)
    (found,) = estimator.run([(circuit, ["IZ", "ZI"])], precision=0).result()
    other = 1 - 2 * backend.target["measure"][(1,)].error

    assert found.data.evs == pytest.approx([(1 - 2 * error) * math.exp(-0.2), other])
    assert backend.idle_qubits == "err as the layers' noise model says"


def test_a_model_of_more_qubits() -> None:
    """Of qubits that the circuit does not use the model may say something; of those that it uses it must."""
    circuit = QuantumCircuit(QUBITS)
    circuit.cz(0, 1)
    circuit.cz(2, 3)
    found = with_noise(circuit, KNOWN, "file:known")

    assert [circuit.find_bit(bit).index for bit in found.data[-1].qubits] == [0, 1, 2, 3, 4]
    narrow = NoiseOfLayers.joined([learned(Layer(EVEN.gates, (0, 1, 2, 3)), 1)])
    circuit.x(4)
    circuit.barrier()
    circuit.cz(0, 1)
    circuit.cz(2, 3)
    with pytest.raises(ConfigError, match="says nothing of qubits 4, which wait during"):
        with_noise(circuit, narrow, "file:known")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("device", "is of elsewhere, and the backend is generic_backend_5q"),
        ("negative", "has the rate -0.5 of .* in the layer"),
        ("layer", r"has no noise of the layer cz\(\d,\d\).*on qubits 0, 1, 2, 3, 4"),
        ("qubits", "says nothing of qubits 4, which wait during the layer"),
        ("none", "is no noise model: .* is damaged"),
        ("missing", "names no noise model, for there is no"),
        ("empty", "has no layers"),
    ],
)
def test_refused_models(change: str, told: str, tmp_path: Path) -> None:
    """One line each that names what was wrong, before a run exists."""
    noises, path = on_line(1), tmp_path / "noise.json"
    if change == "device":
        noises = on_line(1, "elsewhere")
    if change == "negative":
        noises[0].rates[3] = -0.5
    if change == "layer":
        del noises[1]
    if change == "qubits":
        noises = [learned(Layer(EVEN.gates, (0, 1, 2, 3)), 1, "generic_backend_5q"), on_line(1)[1]]
    source = written(path, *([] if change == "empty" else noises))
    if change == "none":
        path.write_text("[]")
    if change == "missing":
        path.unlink()

    with pytest.raises(ConfigError, match=told) as refused:
        run(compose(*LINE, f"backend.layer_noise_model={source}"), directory=str(tmp_path / "run"))
    assert str(refused.value).startswith("backend.layer_noise_model")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["backend=generic"], "backend.engine=auto takes none; add backend.engine=pauli"),
        (["backend=ideal", "backend.engine=pauli"], "the backend has none"),
        (["backend=generic", "backend.engine=pauli", "backend.schedule=true"], "leave schedule out"),
        (["experiment=sampling", "backend=generic", "backend.engine=pauli"], "bitstrings are asked for"),
    ],
)
def test_where_it_does_nothing(words: list[str], told: str, tmp_path: Path) -> None:
    """Refused where noise of layers would not be honoured."""
    source = written(tmp_path / "noise.json", *on_line(1, "generic_backend_20q"))

    with pytest.raises(ConfigError, match=told):
        run(
            compose(*words, f"backend.layer_noise_model={source}", "tracking=off"),
            directory=str(tmp_path / "run"),
        )
    with pytest.raises(ConfigError, match="write run:ID or file:PATH"):
        compose("backend=generic", "backend.engine=pauli", "backend.layer_noise_model=noise.json")


def test_learned_noise_of_negative_rates_is_refused() -> None:
    """What a client hands over, like a file: rates below zero are no noise, for PEC as for PEA."""
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    received = [LayerError(circuit, [0, 1], PauliLindbladError(PauliList(["XX", "ZI"]), [0.01, -0.02]))]
    with pytest.raises(ConfigError, match=r"^given: has the rate -0\.02 of ZI in the layer cz\(0,1\)"):
        client.received_noise(received, "given")

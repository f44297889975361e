"""Noise that is known: written down, read again, refused where it does not fit, cancelled and amplified."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import PauliLindbladMap, SparsePauliOp, Statevector

from runner.engine import Engine
from runner.errors import ConfigError
from runner.mitigation import (
    Layer,
    LayerNoise,
    Learning,
    MitigatedPlan,
    NoiseOfLayers,
    layers_of,
    read_noise,
    require_of_device,
    setting,
)
from tests.mitigation.devices import DEPOLARIZING, circuit, noise

CX = Layer((("cx", (0, 1)),), (0, 1))
PAULIS = np.array([(first, second) for first in range(4) for second in range(4)][1:])
RATE = -math.log(1 - DEPOLARIZING) / 16
"""A Pauli anticommutes with 8 of the 15 others, so that e^(−2·8·rate) is 1 − p."""
KNOWN = LayerNoise(CX, PAULIS, np.full(15, RATE), "device", "digest")
THETA = 0.7
LABELS = ("ZZ", "XX", "YY", "ZI", "IZ", "XY")
PEC = {"resilience_level": 0, "resilience": {"pec_mitigation": True}}


def plan_of(options: dict[str, object]) -> MitigatedPlan:
    """All labels with what is known of the CX; readout without errors."""
    engine = Engine(noise_model=noise(readout=False))
    observables = [{label: 1.0} for label in LABELS]
    base = engine.estimator_plan(circuit(), observables)
    chosen = setting(options).knowing(NoiseOfLayers.joined([KNOWN]))
    return MitigatedPlan(circuit(), base, chosen, engine)


def ideal() -> np.ndarray:
    """⟨P⟩ of every label by the state vector."""
    state = Statevector(circuit().assign_parameters([THETA]))
    return np.array([state.expectation_value(SparsePauliOp(label)).real for label in LABELS])


def test_cancelled_noise_leaves_the_ideal_values_for_gamma_squared_more_randomizations() -> None:
    """γ = Π e^{2 rate} by hand and by Qiskit's map; standard errors are those of γ²-times as many shots."""
    plan = plan_of(PEC)
    gamma = math.exp(2 * 15 * RATE)
    shots = 1 << 16
    found = plan.run(np.array([THETA]), shots=shots, seed=3, rates=None)
    randomizations, each = plan.split(shots)

    assert KNOWN.gamma == pytest.approx(gamma)
    assert PauliLindbladMap.from_sparse_list(KNOWN.terms(), 2).inverse().gamma() == pytest.approx(gamma)
    assert found["sampling_overhead"] == pytest.approx(gamma**2)
    assert found["noise_gain"] == 0
    assert (randomizations, each) == (math.ceil(1024 * gamma**2), 64)
    assert sum(count for count, _ in plan.work((), shots)) == 4 * randomizations * each
    assert "raw" not in found
    assert (np.abs(found["evs"] - ideal()) < 4 * found["stds"]).all()
    assert found["stds"].max() < 2 / math.sqrt(shots)
    # what is cancelled is five times the standard error of the largest term
    assert DEPOLARIZING * np.abs(ideal()).max() > 5 * found["stds"].max()


def test_told_standard_errors_are_how_cancelled_values_spread() -> None:
    """Over 60 seeds; their mean square is known to 1/√30 of itself, six terms that hang together help little."""
    plan = plan_of(PEC)
    found = [plan.run(np.array([THETA]), shots=2048, seed=seed, rates=None) for seed in range(1, 61)]
    spread = np.std([one["evs"] for one in found], axis=0, ddof=1)
    said = np.sqrt(np.mean([one["stds"] ** 2 for one in found], axis=0))

    assert said == pytest.approx(spread, rel=0.35)
    assert np.sqrt((said**2).sum()) == pytest.approx(np.sqrt((spread**2).sum()), rel=0.2)


@pytest.mark.parametrize(
    ("pec", "left", "overhead"),
    [
        ({"noise_gain": 0.5}, 0.5, math.exp(2 * 15 * RATE)),
        ({"max_overhead": 1.1}, 1 - math.log(1.1) / (4 * 15 * RATE), 1.1),
        ({"noise_gain": 0.0, "max_overhead": 1.1}, 0.0, math.exp(4 * 15 * RATE)),
    ],
)
def test_what_is_too_much_for_the_overhead_stays_as_the_client_has_it(
    pec: dict[str, float], left: float, overhead: float
) -> None:
    """The client's formula 1 − ln(max) / ln(γ²); with a gain declared it is the randomizations that are bounded."""
    plan = plan_of({"resilience_level": 0, "resilience": {"pec_mitigation": True, "pec": pec}})
    found = plan.run(np.array([THETA]), shots=1 << 15, seed=3, rates=None)
    expected = (1 - DEPOLARIZING) ** left * ideal()

    assert found["noise_gain"] == pytest.approx(left)
    assert found["sampling_overhead"] == pytest.approx(overhead)
    assert found["randomizations"] == math.ceil(512 * min(overhead, pec.get("max_overhead", 100)))
    assert (np.abs(found["evs"] - expected) < 4 * found["stds"]).all()


def test_amplified_noise_shrinks_every_term_by_a_power_and_the_exponential_undoes_it() -> None:
    """(1−p)^f at noise factor f, odd number or not."""
    factors = [1.0, 2.2, 4.0]
    zne = {"amplifier": "pea", "noise_factors": factors}
    twirling = {"num_randomizations": 1024}  # what is added is rare, and spreads between few
    plan = plan_of(
        {"resilience_level": 0, "resilience": {"zne_mitigation": True, "zne": zne}, "twirling": twirling}
    )
    found = plan.run(np.array([THETA]), shots=1 << 16, seed=3, rates=None)
    expected = ideal()[:, None] * (1 - DEPOLARIZING) ** np.array(factors)

    assert (np.abs(found["evs_noise_factors"] - expected) < 4.5 * found["stds_noise_factors"]).all()
    assert (np.abs(found["evs"] - ideal()) < 4 * found["stds"]).all()
    assert found["evs"] == pytest.approx(ideal(), abs=0.05)


@pytest.mark.parametrize("batch", [(), pytest.param((1,), marks=pytest.mark.nightly), (2, 3)])
@pytest.mark.parametrize(
    "resilience", [PEC["resilience"], {"zne_mitigation": True, "zne": {"amplifier": "pea"}}]
)
def test_circuits_without_parameters_are_mitigated_for_every_shape_of_the_batch(
    resilience: dict[str, object], batch: tuple[int, ...]
) -> None:
    """The state vector's values, from noise whose rates are unsure; the identity is what its coefficient is."""
    bound = circuit().assign_parameters([THETA])
    observables = [{"XX": 1.0, "ZI": 0.5}, {"IZ": 1.0}, {"II": 2.0}]
    state = Statevector(bound)
    expected = [
        sum(weight * state.expectation_value(SparsePauliOp(label)).real for label, weight in one.items())
        for one in observables
    ]
    unsure = replace(KNOWN, left_out=np.array([KNOWN.rates + 1e-4, KNOWN.rates - 1e-4]))
    chosen = setting(
        {"resilience_level": 0, "resilience": resilience, "twirling": {"num_randomizations": 1024}}
    ).knowing(NoiseOfLayers.joined([unsure]))
    engine = Engine(noise_model=noise(readout=False))
    plan = MitigatedPlan(bound, engine.estimator_plan(bound, observables), chosen, engine)
    alone = MitigatedPlan(bound, engine.estimator_plan(bound, "II"), chosen, engine)
    if len(batch) < 2:
        found = [plan.run(np.zeros((*batch, 0)), shots=1 << 14, seed=seed, rates=None) for seed in (3, 4)]
    else:
        grid = [[observables[(row + column) % 3] for column in range(3)] for row in range(2)]
        expected = [[expected[(row + column) % 3] for column in range(3)] for row in range(2)]
        many = MitigatedPlan(bound, engine.estimator_plan(bound, grid), chosen, engine)
        found = [many.run(np.zeros((*batch, 0)), shots=1 << 14, seed=3, rates=None)]

    for one in found:
        assert one["evs"].shape == np.shape(expected)
        assert (np.abs(one["evs"] - expected) <= 4.5 * one["stds"] + 1e-12).all()
        assert (one["learned_stds"].reshape(-1)[:2] > 0).all()
    identity = alone.run(np.zeros((*batch, 0)), shots=1 << 14, seed=3, rates=None)
    assert (identity["evs"] == np.ones(batch)).all()
    assert (identity["stds"] == np.zeros(batch)).all()


def test_layers_are_told_by_gates_and_waiting_qubits_whatever_is_between_them() -> None:
    """By hand: qubits that nothing acted on before do not wait yet, and a CX that is turned round is another layer."""
    placed = QuantumCircuit(6)
    placed.sx(1)
    placed.cx(1, 2)
    placed.rz(0.3, 2)
    placed.cx(1, 2)
    placed.cx(3, 4)
    placed.cx(2, 3)
    engine = Engine(noise_model=noise())
    base = engine.estimator_plan(placed, "IZZZZI")
    first, alone = Layer((("cx", (1, 2)),), (1, 2)), Layer((("cx", (2, 3)),), (1, 2, 3, 4))
    both = Layer((("cx", (1, 2)), ("cx", (3, 4))), (1, 2, 3, 4))
    found = layers_of(placed, base, setting(PEC))

    assert found == Counter({both: 1, Layer(first.gates, both.qubits): 1, alone: 1})
    assert (first.text, alone.text) == ("cx(1,2)", "cx(2,3) on 1,2,3,4")
    assert Learning(max_layers_to_learn=2).most(Counter({alone: 1, both: 1, first: 2})) == [first, both]


def test_what_was_learned_is_read_as_it_was_written(workdir: Path) -> None:
    """By its run or its file, to the last bit."""
    folder = workdir / "outputs/runs/one"
    folder.mkdir(parents=True)
    (folder / "noise_model.json").write_text(json.dumps({"layers": [KNOWN.as_dict()]}))

    for source in ("run:one", f"run:{folder}", f"file:{folder / 'noise_model.json'}"):
        found = read_noise(source)
        assert found.text == NoiseOfLayers.joined([KNOWN]).text
        np.testing.assert_array_equal(found.known[CX].rates, KNOWN.rates)
        np.testing.assert_array_equal(found.known[CX].generators, KNOWN.generators)
        require_of_device(found, [(CX, "digest")], "device")


WRITTEN: dict[str, Any] = {
    "gates": [["cx", [0, 1]]], "qubits": [0, 1], "generators": ["IX", "ZZ"], "rates": [0.01, 0.02], "device": "generic",
    "noise": "",
}  # fmt: skip
"""A layer as one writes it by hand."""


def test_a_model_written_by_hand_is_read(workdir: Path) -> None:
    """As the docs have it: γ = e^(2 Σ rates)."""
    Path("noise.json").write_text(json.dumps({"layers": [WRITTEN]}))
    found = read_noise("file:noise.json")

    (one,) = found.known.values()
    assert one.gamma == pytest.approx(np.exp(2 * 0.03))
    assert one.labels() == ["IX", "ZZ"]


def test_a_device_is_no_model() -> None:
    """It is there, and it would never end."""
    with pytest.raises(ConfigError, match=r"/dev/zero is no ordinary file; give an existing file"):
        read_noise("file:/dev/zero")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "is no noise model: .* is damaged .it holds no JSON object"),
        ('{"a": 1}', "is no noise model: .* has no list of layers; write"),
        ('{"layers": {"a": 1}}', "is no noise model: .* has no list of layers; write"),
        ('{"layers": [5]}', r"layers\[0\] is not as a run's noise_model.json has it; copy one of those"),
        ('{"layers": [{}]}', "is no noise model"),
        (
            '{"layers": [{"gates": [["cx", [0, 1]]], "qubits": [0, 1], "generators": ["XQ"], "rates": [1]}]}',
            "is no",
        ),
        (None, "there is no "),
        *(
            (json.dumps({"layers": layers}), told)
            for layers, told in (
                (
                    [WRITTEN, WRITTEN | {"rates": [0.5, 0.2]}],
                    r"has the layer cx\(0,1\).* twice; leave one of them out",
                ),
                (
                    [WRITTEN, WRITTEN | {"rates": [0.1]}],
                    r"layers\[1\] has 1 rates for 2 generators; write one rate",
                ),
                (
                    [WRITTEN | {"rates_left_out": [[0.1]]}],
                    r"layers\[0\] has a row of rates_left_out .* of 2 rates",
                ),
                (
                    [WRITTEN | {"generators": ["X", "ZZ"]}],
                    r"has the generator 'X'; write a word of 2 letters",
                ),
                ([WRITTEN | {"rates": [float("nan"), 0]}], r"a rate that is not finite"),
                *(
                    (
                        [{key: value for key, value in WRITTEN.items() if key != gone}],
                        rf"layers\[0\] has no '{gone}'",
                    )
                    for gone in ("device", "noise", "rates", "gates")
                ),
            )
        ),
    ],
)
def test_what_is_no_noise_model_is_refused(workdir: Path, content: str | None, told: str) -> None:
    """In one line."""
    if content is not None:
        Path("noise.json").write_text(content)

    with pytest.raises(ConfigError, match=told):
        read_noise("file:noise.json")
    with pytest.raises(ConfigError, match=r"write run:ID or file:PATH"):
        read_noise("noise.json")


def test_noise_of_another_layer_device_or_day_is_refused() -> None:
    """Naming it."""
    found = NoiseOfLayers.joined([KNOWN])
    other = Layer((("cx", (1, 0)),), (0, 1))

    for wanted, device, told in (
        ((other, "digest"), "device", r"no noise of the layer cx\(1,0\), but of cx\(0,1\)"),
        ((CX, "digest"), "another", "is of device, and the backend is another"),
        ((CX, "other"), "device", r"device had other noise at cx\(0,1\)"),
    ):
        with pytest.raises(ConfigError, match=told):
            require_of_device(found, [wanted], device)

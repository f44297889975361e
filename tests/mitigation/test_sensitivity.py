"""How mitigated values change with learned rates, by dense algebra, and how sure the rates are, by learning again."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import CXGate
from qiskit.quantum_info import DensityMatrix, Operator, Pauli, Statevector, SuperOp
from qiskit_aer import AerSimulator

from runner.engine import Engine
from runner.mitigation import (
    Layer,
    LayerNoise,
    Learning,
    LearningPlan,
    MitigatedPlan,
    NoiseOfLayers,
    client,
    setting,
)
from tests.mitigation.devices import DEPOLARIZING, circuit, noise

CX = Layer((("cx", (0, 1)),), (0, 1))
LABELS = ("ZZ", "XX", "XY", "IZ")
WEIGHTS = np.array([1.0, -0.7, 0.4, 0.3])
THETA = 0.7
GENERATORS = np.array([(first, second) for first in range(4) for second in range(4)][1:])
NAMES = ["".join("IZXY"[letter] for letter in row[::-1]) for row in GENERATORS]
RATE = -math.log(1 - DEPOLARIZING) / 16
"""Of every Pauli, in depolarizing noise: one anticommutes with 8 of the 15 others."""
RATES = np.full(15, RATE)
PEC = {"resilience_level": 0, "resilience": {"pec_mitigation": True}}
PEA = {"resilience_level": 0, "resilience": {"zne_mitigation": True, "zne": {"amplifier": "pea"}}}


def twice() -> QuantumCircuit:
    """The layer occurs twice, with rotations between."""
    result = circuit()
    result.cx(0, 1)
    result.sx(1)
    return result


def dense(rates: NDArray, times: float) -> NDArray:
    """Values of the noisy circuit with `times` the Pauli–Lindblad noise of these rates behind each of its layers."""
    paulis = [SuperOp(Operator(Pauli(name))).data for name in NAMES]
    generator = sum(rate * (pauli - np.eye(16)) for rate, pauli in zip(rates, paulis, strict=True))
    true = sum(RATE * (pauli - np.eye(16)) for pauli in paulis)
    values, vectors = np.linalg.eig(true + times * generator)
    channel = SuperOp(vectors @ np.diag(np.exp(values)) @ np.linalg.inv(vectors))
    state = DensityMatrix.from_label("00")
    for item in twice().assign_parameters([THETA]).data:
        where = [twice().qubits.index(bit) for bit in item.qubits]
        state = state.evolve(item.operation, where)
        if item.name == "cx":
            state = state.evolve(channel)
    return np.array([state.expectation_value(Pauli(label)).real for label in LABELS])


def known(deviation: NDArray, rates: NDArray = RATES) -> LayerNoise:
    """Noise of which one direction of the rates is unsure, by this much: two groups at ± deviation."""
    return LayerNoise(
        CX, GENERATORS, rates, "device", "digest", np.array([rates + deviation, rates - deviation])
    )


def plan_of(options: dict[str, object], layer: LayerNoise, engine: Engine | None = None) -> MitigatedPlan:
    """The weighted sum of all labels; readout without errors."""
    engine = engine or Engine(noise_model=noise(readout=False))
    observable = dict(zip(LABELS, WEIGHTS.tolist(), strict=True))
    base = engine.estimator_plan(twice(), observable)
    return MitigatedPlan(twice(), base, setting(options).knowing(NoiseOfLayers.joined([layer])), engine)


def learned_share(options: dict[str, object], deviation: NDArray, shots: int = 1 << 14) -> float:
    """What a plan tells."""
    found = plan_of(options, known(deviation)).run(np.array([THETA]), shots=shots, seed=3, rates=None)

    assert found["stds"] > found["learned_stds"]
    return float(found["learned_stds"])


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_learned_noise_is_the_slope_of_what_is_cancelled(seed: int) -> None:
    """By the difference quotient of dense channels; two groups at ± δ have the variance δ² by the jackknife."""
    deviation = 1e-4 * np.random.default_rng(seed).normal(size=15)
    slope = (dense(RATES + deviation, -1.0) - dense(RATES - deviation, -1.0)) @ WEIGHTS / 2

    assert learned_share(PEC, deviation) == pytest.approx(abs(slope), rel=1e-3)


def test_half_of_the_noise_cancelled_has_half_of_the_share() -> None:
    """To first order in the noise that is left; by the difference quotient, too."""
    deviation = np.full(15, 1e-4)
    half = {**PEC, "resilience": {"pec_mitigation": True, "pec": {"noise_gain": 0.5}}}
    slope = (dense(RATES + deviation, -0.5) - dense(RATES - deviation, -0.5)) @ WEIGHTS / 2

    assert learned_share(half, deviation) == pytest.approx(abs(slope), rel=0.1)


def test_where_the_overhead_is_limited_more_noise_of_the_same_kind_changes_nothing() -> None:
    """As much is cancelled as is allowed, whatever the rates add up to; by pencil."""
    limited = {**PEC, "resilience": {"pec_mitigation": True, "pec": {"max_overhead": 1.1}}}
    same, other = RATES * 1e-2, np.where(GENERATORS[:, 0] == 0, 1e-4, 0.0)

    assert learned_share(limited, same) < 1e-9
    assert learned_share(limited, other) > 1e-5


def test_of_no_layer_known_nothing_is_cancelled_and_nothing_added() -> None:
    """A model of no layers, as a NoiseLearner of none gives it: as without, for one randomization of each."""
    observable = dict(zip(LABELS, WEIGHTS.tolist(), strict=True))
    engine = Engine(noise_model=noise(readout=False))
    chosen = setting(PEC).knowing(NoiseOfLayers.joined([]))
    found = MitigatedPlan(twice(), engine.estimator_plan(twice(), observable), chosen, engine).run(
        np.array([THETA]), shots=128, seed=3, rates=None
    )

    assert found["sampling_overhead"] == 1
    assert np.isfinite(found["stds"])


def test_the_share_of_amplified_noise_is_that_of_the_fit() -> None:
    """The values at noise × 1, 3, 5 by dense channels with more and less of what was learned, extrapolated by SciPy."""
    from scipy.optimize import curve_fit

    def limit(rates: NDArray) -> float:
        points = np.array([dense(rates, factor - 1.0) for factor in (1, 3, 5)])
        ends = [
            curve_fit(lambda x, a, b: a * np.exp(-b * x), (1, 3, 5), own, (own[0], 0.1))[0][0]
            for own in points.T
        ]
        return float(np.array(ends) @ WEIGHTS)

    deviation = np.full(15, 1e-4)
    slope = (limit(RATES + deviation) - limit(RATES - deviation)) / 2

    assert learned_share(PEA, deviation, shots=1 << 18) == pytest.approx(abs(slope), rel=0.2)


def spreads_of_amplified(rates: NDArray, randomizations: int, shots: int) -> NDArray:
    """How far the sum's mean spreads at noise × 1, 3, 5, in dense algebra: with every two Paulis behind the two layers.

    Behind a layer one is there with the chance that the channel has, whose fidelities are e^(−2t Σ λ) of those that
    anticommute; values spread over which are there, and shots about each.
    """
    names = ["II", *NAMES]
    paulis = [Operator(Pauli(name)) for name in names]
    signs = np.array([[1 if Pauli(one).commutes(Pauli(other)) else -1 for other in names] for one in names])
    means, squares = np.zeros((2, 3, 16, 16))  # of the three bases
    bound = twice().assign_parameters([THETA])
    for first, second in itertools.product(range(16), repeat=2):
        behind = iter((paulis[first], paulis[second]))
        state = Statevector.from_label("00")
        for item in bound.data:
            state = state.evolve(item.operation, [bound.qubits.index(bit) for bit in item.qubits])
            if item.name == "cx":
                state = state.evolve(next(behind))
        for basis, own in enumerate(([0, 3], [1], [2])):
            read = Operator(sum(WEIGHTS[place] * Pauli(LABELS[place]).to_matrix() for place in own))
            means[basis, first, second] = state.expectation_value(read).real
            squares[basis, first, second] = state.expectation_value(read @ read).real
    found = []
    for times in (0.0, 2.0, 4.0):
        chances = signs @ np.exp(-times * rates @ (1 - signs[1:])) / 16
        together = np.outer(chances, chances)
        between = (together * means**2).sum() - ((together * means).sum(axis=(1, 2)) ** 2).sum()
        found.append(between + (together * (squares - means**2)).sum() / shots)
    return np.sqrt(np.array(found) / randomizations)


def test_bars_of_amplified_noise_do_not_depend_on_what_chance_has_drawn() -> None:
    """Few of 32 randomizations have a Pauli; bars are as dense algebra says, whether chance has drawn none or many."""
    rates = RATES / 5
    twirling = {"num_randomizations": 32, "shots_per_randomization": 128}
    plan = plan_of({**PEA, "twirling": twirling}, known(np.zeros(15), rates), Engine())
    expected = spreads_of_amplified(rates, 32, 128)
    told = [
        plan.run(np.array([THETA]), shots=4096, seed=seed, rates=None)["stds_noise_factors"]
        for seed in range(1, 9)
    ]

    assert expected[2] > 2 * expected[0]
    np.testing.assert_allclose(told, np.broadcast_to(expected, (8, 3)), rtol=0.25)
    np.testing.assert_allclose(np.mean(np.square(told), axis=0), expected**2, rtol=0.2)


def test_rates_whose_errors_nobody_knows_are_taken_for_exact() -> None:
    """Nothing is told then, rather than that it were 0."""
    found = plan_of(PEC, replace(known(RATES), left_out=None)).run(
        np.array([THETA]), shots=1 << 10, seed=3, rates=None
    )

    assert "learned_stds" not in found


def test_rates_learned_again_spread_as_their_groups_say() -> None:
    """12 seeds: what cancelling multiplies errors by, 2 Σ rates, and two other sums; each is known to a fifth."""
    quick = Learning(num_randomizations=8, shots_per_randomization=128, layer_pair_depths=(0, 2, 8))
    plan = LearningPlan(
        CX, AerSimulator(noise_model=noise()).target, 2, quick, Engine(noise_model=noise()), ""
    )
    found = [plan.noise(plan.run(seed)) for seed in range(1, 13)]
    directions = np.array([np.ones(15), GENERATORS[:, 0] == 0, GENERATORS[:, 1] == 3], dtype=float)
    spread = np.std([directions @ one.rates for one in found], axis=0, ddof=1)
    told = np.sqrt(np.mean([((one.deviations @ directions.T) ** 2).sum(axis=0) for one in found], axis=0))

    assert np.sqrt(np.mean((told / spread) ** 2)) == pytest.approx(1, rel=0.4)
    assert CXGate().name == CX.gates[0][0]


def test_where_no_group_of_randomizations_saw_anything_shots_say_how_sure_rates_are() -> None:
    """By the difference quotient of dense channels of rates that all groups have at the same value."""
    deviation = 1e-4 * np.random.default_rng(5).normal(size=15)
    slope = (dense(RATES + deviation, -1.0) - dense(RATES - deviation, -1.0)) @ WEIGHTS / 2
    blind = replace(known(RATES), left_out=np.array([RATES, RATES]), by_shots=deviation[None])
    found = plan_of(PEC, blind).run(np.array([THETA]), shots=1 << 14, seed=3, rates=None)

    assert float(found["learned_stds"]) == pytest.approx(abs(slope), rel=1e-3)


def test_rates_of_one_randomization_spread_as_their_shots_say() -> None:
    """A single one leaves no group out; of Pauli noise shots are all that spreads."""
    once = Learning(num_randomizations=1, shots_per_randomization=512, layer_pair_depths=(0, 2, 8))
    plan = LearningPlan(
        CX, AerSimulator(noise_model=noise()).target, 2, once, Engine(noise_model=noise()), ""
    )
    found = [plan.noise(plan.run(seed)) for seed in range(1, 9)]
    spread = np.std([one.rates.sum() for one in found], ddof=1)
    told = np.sqrt(np.mean([(one.by_shots.sum(axis=1) ** 2).sum() for one in found]))

    assert [len(one.deviations) for one in found] == [0] * 8
    assert told / spread == pytest.approx(1, rel=0.6)


def test_shots_that_are_all_alike_have_an_error() -> None:
    """By pencil: of 4 ones a flat prior leaves p = 5/6, and 2p − 1 with the variance 4 · 5/36 / 7."""
    decay = client._Decay(np.ones((1, 2)), 1.0, np.ones(1))

    assert decay.shot_error(2) == pytest.approx((4 * 5 / 36 / 7) ** 0.5)

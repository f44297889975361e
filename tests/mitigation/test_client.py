"""What is asked of IBM's client and its libraries, which are 0.x: a new minor that changes any of it fails here."""

import math

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import PauliLindbladMap, PauliList, SparsePauliOp, Statevector
from qiskit_ibm_runtime.results import LayerError, PauliLindbladError

from runner.engine import Engine
from runner.errors import ConfigError
from runner.mitigation import Layer, MitigatedPlan, NoiseOfLayers, client, setting
from runner.mitigation.plan import Rates
from tests.mitigation.devices import DEPOLARIZING, circuit, noise
from tests.mitigation.test_noise import KNOWN


def test_levels_stand_for_what_the_client_says() -> None:
    """The table of https://quantum.cloud.ibm.com/docs/guides/configure-error-mitigation."""
    levels = [setting({"resilience_level": level}) for level in (0, 1, 2)]
    twirled = [(one.options.twirling.enable_gates, one.options.twirling.enable_measure) for one in levels]

    assert [one.active for one in levels] == [False, True, True]
    assert [(one.measure, one.zne) for one in levels] == [(False, False), (True, False), (True, True)]
    assert twirled == [(False, False), (False, True), (True, True)]
    assert levels[2].noise_factors.tolist() == [1, 3, 5]
    assert levels[2].extrapolators == ("exponential", "linear")


@pytest.mark.parametrize(
    ("shots", "twirling", "expected"),
    [
        (4096, {}, (32, 128)),
        (1000, {}, (16, 64)),
        (100, {"num_randomizations": 7}, (7, 15)),
        (100, {"shots_per_randomization": 30}, (4, 30)),
    ],
)
def test_shots_are_divided_as_twirling_options_say(
    shots: int, twirling: dict[str, int], expected: tuple[int, int]
) -> None:
    """Max(64, ⌈shots/32⌉) each, as the client documents `TwirlingOptions`; the page prints 32 of 4 096."""
    assert setting({"resilience_level": 1, "twirling": twirling}).split(shots) == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"resilience_level": 2, "resilience": {"zne": {"noise_factors": [1]}}},
            r"options\.resilience\.zne\.noise_f",
        ),
        (
            {"resilience_level": 2, "resilience": {"zne": {"extrapolator": ["cubic"]}}},
            r"zne\.extrapolator: .*cubic",
        ),
        (
            {
                "resilience_level": 2,
                "resilience": {"zne": {"noise_factors": [1, 3], "extrapolator": ["double_exponential"]}},
            },
            "requires at least 4",
        ),
        (
            {
                "resilience_level": 2,
                "resilience": {"zne": {"noise_factors": [1, 1], "extrapolator": "linear"}},
            },
            r"zne\.noise_factors: linear requires at least 2 different noise factors, got 1 in \[1\.0, 1\.0\]; add",
        ),
        (
            {
                "resilience_level": 2,
                "resilience": {
                    "zne": {
                        "amplifier": "pea",
                        "noise_factors": [1, 3, 1],
                        "extrapolator": ["polynomial_degree_2"],
                    }
                },
            },
            r"zne\.noise_factors: polynomial_degree_2 requires at least 3 different noise factors, got 2",
        ),
        *(
            (
                {"resilience_level": 2, "resilience": {"zne": {name: value}}},
                rf"resilience\.zne\.{name}: {said}",
            )
            for name, value, said in (
                ("extrapolated_noise_factors", [0, math.inf], r"must be at most 1e\+06, got inf"),
                ("extrapolated_noise_factors", [1e300], r"must be at most 1e\+06, got 1e\+300"),
                ("extrapolated_noise_factors", [-1], "Input should be greater than or equal to 0, got -1"),
                (
                    "extrapolated_noise_factors",
                    [math.nan],
                    "Input should be greater than or equal to 0, got nan",
                ),
                ("noise_factors", [0.5, 3, 5], "Input should be greater than or equal to 1, got 0.5"),
                ("noise_factors", [], "Must have at least two noise factors"),
                ("extrapolator", [], "must name at least one fit"),
                ("amplifier", "loud", "Input should be 'gate_folding'"),
            )
        ),
        (
            {"resilience_level": 1, "resilience": {"pec_mitigation": True, "pec": {"noise_gain": 1.5}}},
            r"resilience\.pec\.noise_gain: must be at most 1, .* got 1\.5",
        ),
        (
            {
                "resilience_level": 1,
                "resilience": {"pec_mitigation": True, "layer_noise_learning": {"max_layers_to_learn": 0}},
            },
            r"layer_noise_learning\.max_layers_to_learn: must be at least 1, .* got 0",
        ),
        (
            {
                "resilience_level": 1,
                "resilience": {
                    "pec_mitigation": True,
                    "layer_noise_learning": {"layer_pair_depths": [0, 10**9]},
                },
            },
            r"layer_noise_learning\.layer_pair_depths: are 1000000000 pairs of layers in all, more than 5000",
        ),
        (
            {"resilience_level": 1, "resilience": {"zne": {"noise_factors": [1, 3]}}},
            "acts with zne_mitigation",
        ),
        ({"resilience_level": 0, "twirling": {"num_randomizations": 4}}, "acts with twirling.enable_gates"),
        ({"resilience_level": 1, "twirling": {"enable_measure": False}}, "enable_measure"),
        ({"resilience_level": 2, "resilience": {"pec_mitigation": True}}, "cancels the noise that zne_mit"),
        ({"resilience_level": 1, "resilience": {"pec": {"noise_gain": 0.5}}}, "acts with pec_mitigation"),
        (
            {"resilience_level": 2, "resilience": {"layer_noise_learning": {"num_randomizations": 8}}},
            "acts with pec_mitigation or zne.amplifier=pea",
        ),
        ({"resilience_level": 1, "resilience": {"layer_noise_model": "run:a"}}, "acts with pec_mitigation"),
        (
            {
                "resilience_level": 1,
                "resilience": {"pec_mitigation": True, "layer_noise_learning": {"layer_pair_depths": [-1]}},
            },
            r"layer_noise_learning\.layer_pair_depths: .*must all be >= 0",
        ),
        (
            {"resilience_level": 1, "resilience": {"pec_mitigation": True, "pec": {"max_overhead": 0}}},
            r"resilience\.pec\.max_overhead: .*greater than 0",
        ),
        (
            {"resilience_level": 1, "resilience": {"pec_mitigation": True, "pec": {"max_overhead": 0.5}}},
            r"resilience\.pec\.max_overhead: must be at least 1, .* got 0\.5",
        ),
        (
            {"resilience_level": 1, "twirling": {"enable_measure": False}},
            r"twirling\.enable_measure: is false, and .* leave it out, or add .*\.measure_mitigation=false$",
        ),
        (
            {
                "resilience_level": 1,
                "resilience": {"pec_mitigation": True},
                "twirling": {"enable_gates": False},
            },
            r"twirling\.enable_gates: is false, and PEC .* or add .*\.pec_mitigation=false$",
        ),
    ],
)
def test_what_the_client_refuses_or_cannot_act_is_one_line(options: dict[str, object], told: str) -> None:
    """With the option's name, and the value or what it acts with."""
    with pytest.raises(ConfigError, match=told):
        setting(options)


def test_noise_that_was_learned_is_of_the_qubits_that_it_names() -> None:
    """A circuit's qubits may have any order: X on the first of (2, 1) is X on 2; other things are no noise."""
    gate = QuantumCircuit(2)
    gate.cx(0, 1)
    error = PauliLindbladError(PauliList(["IX", "ZY"]), [0.1, 0.2])
    (known,) = client.received_noise(
        [LayerError(gate, [2, 1], error), LayerError(gate, [0, 1])], ""
    ).known.values()

    assert known.layer == Layer((("cx", (2, 1)),), (1, 2))
    assert dict(zip(known.labels(), known.rates.tolist(), strict=True)) == {"XI": 0.1, "YZ": 0.2}
    for wrong in (3, ["cx"], [LayerError(gate, [1, 1], error)], [LayerError(gate, [0, 1], infinite(error))]):
        with pytest.raises(ConfigError, match="takes what a NoiseLearner has learned, or run:ID"):
            client.received_noise(wrong, "options.resilience.layer_noise_model")


def infinite(error: PauliLindbladError) -> PauliLindbladError:
    """The same generators with rates that are none."""
    return PauliLindbladError(error.generators, [np.inf] * len(error.rates))


def test_without_the_client_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients before 0.50 do not bring it."""
    monkeypatch.setitem(__import__("sys").modules, "qiskit_mitigation", None)
    client._client.cache_clear()

    with pytest.raises(ConfigError, match=r"pip install 'session-runner\[mitigation\]'"):
        setting({"resilience_level": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"resilience_level": 1},
        {"resilience_level": 1, "twirling": {"num_randomizations": 1}},
        {
            "resilience_level": 2,
            "resilience": {"zne": {"extrapolator": ["linear", "fallback", "polynomial_degree_2"]}},
        },
        {"resilience_level": 0, "twirling": {"enable_gates": True}},
        {"resilience_level": 0, "resilience": {"zne_mitigation": True}},
        {"resilience_level": 1, "resilience": {"pec_mitigation": True}},
        {"resilience_level": 2, "resilience": {"zne": {"amplifier": "pea"}}},
    ],
)
def test_outcomes_become_the_values_that_the_library_makes_of_them(options: dict[str, object]) -> None:
    """The library's own post-processing of the same bits and rates, to the last rounding."""
    from qiskit_mitigation import PEC, GateFolding, MitigationTask

    observables = [[{"ZZ": 1.0, "XI": 0.5, "II": 0.3}], [{"XX": 1.0, "YY": -0.5, "IZ": 0.2}], [{"ZI": 1.0}]]
    values = np.array([[0.3], [1.1]])
    if "pec_mitigation" in options.get("resilience", {}):
        del observables[0][0]["II"]  # the client lets signs that do not add up to 1 change even that
    engine, chosen = Engine(noise_model=noise()), setting(options).knowing(NoiseOfLayers.joined([KNOWN]))
    plan = MitigatedPlan(circuit(), engine.estimator_plan(circuit(), observables), chosen, engine)
    rates = Rates((0, 1), np.array([0.03, 0.08]), np.zeros(2)) if chosen.measure else None
    found = plan.run(values, shots=512, seed=5, rates=rates)
    layout = plan.layout((2,))
    bits = [
        {
            "_meas": (outcomes.words >> np.arange(2, dtype=np.uint64) & 1).astype(bool),
            **_signs(outcomes.counts),
        }
        for outcomes in plan.outcomes(values, shots=512, seed=5)
    ]
    pairs = [
        ((int(number),), "".join("IZXY"[letter] for letter in basis[::-1]))
        for number, basis in zip(layout.sets, layout.bases, strict=True)
    ]
    read = (
        PauliLindbladMap.from_sparse_list([("X", [0], 0.03), ("X", [1], 0.08)], 2) if chosen.measure else None
    )
    common = {
        "observables": ObservablesArray(observables),
        "param_shape": (2,),
        "param_basis_pairs": pairs,
        "broadcast_obs_and_params": True,
        "measure_noise_data": read,
    }

    if chosen.pec:
        gamma = float(np.sqrt(found["sampling_overhead"]))
        data = PEC.compute_expectation_value_pec(bits[0], gamma=gamma, **common).data
        np.testing.assert_allclose(found["ensemble_standard_error"], data["stds"], rtol=1e-9)
    elif chosen.zne:
        data = GateFolding.compute_expectation_value_gate_folding(
            bits, noise_factors=chosen.noise_factors.tolist(), extrapolator=list(chosen.extrapolators),
            extrapolated_noise_factors=chosen.extrapolated_noise_factors, **common,
        ).data  # fmt: skip
        for name in ("evs_noise_factors", "evs_extrapolated"):
            np.testing.assert_allclose(found[name], data[name], rtol=1e-9, atol=1e-9)
        # the client fits the identity, whose error it does not find to be 0
        known = np.isfinite(data["stds_extrapolated"])
        np.testing.assert_allclose(
            found["stds_extrapolated"][known], data["stds_extrapolated"][known], rtol=1e-9
        )
        assert known.any()
        np.testing.assert_allclose(
            found["ensemble_stds_noise_factors"], data["stds_noise_factors"], rtol=1e-9
        )
    else:
        data = MitigationTask.compute_expectation_value(bits[0], **common).data
        np.testing.assert_allclose(found["ensemble_standard_error"], data["stds"], rtol=1e-9)
    np.testing.assert_allclose(found["evs"], data["evs"], rtol=1e-9, atol=1e-9)


def _signs(counts: np.ndarray | None) -> dict[str, np.ndarray]:
    return {} if counts is None else {"pauli_signs": (counts < 0)[..., None]}


@pytest.mark.parametrize("group", ["balanced_pauli", "local_c1", "local_pauli"])
def test_twirling_by_any_group_keeps_depolarizing_noise(group: str) -> None:
    """One CX multiplies ⟨ZZ⟩ and ⟨XX⟩ of the state vector by 1 − p, whatever it is twirled by."""
    observables = [{"ZZ": 1.0}, {"XX": 1.0}]
    engine = Engine(noise_model=noise(readout=False))
    chosen = setting({"resilience_level": 0, "twirling": {"enable_gates": True, "group": group}})
    plan = MitigatedPlan(circuit(), engine.estimator_plan(circuit(), observables), chosen, engine)
    found = plan.run(np.array([0.7]), shots=4096, seed=5, rates=None)
    state = Statevector(circuit().assign_parameters([0.7]))
    exact = [state.expectation_value(SparsePauliOp(label)).real for label in ("ZZ", "XX")]

    assert chosen.as_dict()["twirling"]["group"] == group
    np.testing.assert_allclose(found["evs"], (1 - DEPOLARIZING) * np.array(exact), atol=5 / 64)


def test_bases_are_grouped_as_the_client_groups_them() -> None:
    """The same number of circuits, and so the same price, as what the client's `prepare` makes of the PUB."""
    observables = [{"ZZ": 1.0, "XX": 0.5, "YY": 0.2, "ZI": 0.1, "XI": 0.3}, {"IY": 1.0}]
    engine, chosen = Engine(noise_model=noise()), setting({"resilience_level": 2})
    plan = MitigatedPlan(circuit(), engine.estimator_plan(circuit(), observables), chosen, engine)
    parts = client._client()
    program, _ = parts.prepare([(circuit(), observables, [[0.1], [0.2]])], chosen.options)
    expected = [item.shape for item in program.items[:-1]]

    assert expected == [(32, len(plan.layout((2,)).sets))] * 3
    assert [count for count, _ in plan.work((2,), 4096)] == [4096 * shape[1] for shape in expected]


def test_a_circuit_that_folding_does_nothing_to_is_refused() -> None:
    """There is no noise to amplify in one-qubit gates."""
    single = QuantumCircuit(1)
    single.sx(0)

    with pytest.raises(ConfigError, match="folds two-qubit gates"):
        client.templates(single, {"Z": 1.0}, setting({"resilience_level": 2}), 1, [0])


@pytest.mark.parametrize("amplifier", ["gate_folding", "pea"])
def test_noise_factors_that_stand_for_too_many_gates_are_refused_before_any_is_folded(amplifier: str) -> None:
    """By hand: two gates 10 000 times are 20 000, which may be; 1e9 times and infinitely often not."""
    two = QuantumCircuit(2)
    two.cx(0, 1)
    two.cx(0, 1)

    def chosen(most: float) -> client.Setting:
        return setting(
            {
                "resilience_level": 2,
                "resilience": {"zne": {"amplifier": amplifier, "noise_factors": [1, most]}},
            }
        )

    client.require_amplifiable(two, chosen(10_000))
    for most in (1e9, float("inf")):
        with pytest.raises(ConfigError, match=r"two-qubit gates, .* more than 20000; take at most 10000$"):
            client.templates(two, {"ZZ": 1.0}, chosen(most), 1, [0, 1])


def test_equal_noise_factors_are_points_of_a_fit_that_has_others() -> None:
    """Two different ones are enough for a line, as two points are."""
    zne = {"noise_factors": [1, 1, 3], "extrapolator": "linear"}

    assert setting({"resilience_level": 2, "resilience": {"zne": zne}}).noise_factors.tolist() == [1, 1, 3]

"""Random options and shapes of PUBs against the client's own client-side Estimator on the same noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit

from runner.errors import ConfigError
from runner.runtime import EstimatorV2, LocalRuntimeService

EXTRAPOLATORS = (["exponential", "linear"], ["linear"], ["polynomial_degree_2", "fallback"], ["fallback"])
SHAPES = (((), ()), ((2,), ()), ((), (3,)), ((2, 1), (2,)), ((2,), (1, 2)), ((3,), (3,)))
"""Of observables and of parameter sets."""


def circuit() -> QuantumCircuit:
    """Made of the device's instructions on two of its five qubits."""
    theta = Parameter("θ")
    result = QuantumCircuit(5)
    result.sx(1)
    result.rz(theta, 1)
    result.sx(1)
    result.cx(1, 0)
    result.rz(0.3, 0)
    result.sx(0)
    result.cx(1, 0)
    return result


def observable(rng: np.random.Generator) -> dict[str, float]:
    """One to four terms on these two qubits."""
    labels = [a + b for a in "IXYZ" for b in "IXYZ"]
    chosen = rng.choice(labels, size=rng.integers(1, 5), replace=False)
    return {f"III{label}": float(rng.uniform(-1, 1)) for label in chosen}


def options(rng: np.random.Generator) -> dict[str, Any]:
    """Any that mitigate something; what cannot act together is left to be refused by both."""

    def one(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    resilience = {
        "measure_mitigation": one(None, None, True, False),
        "zne_mitigation": one(None, None, True, False),
    }
    resilience["zne"] = {
        "noise_factors": one([1, 3], [1, 3, 5], [1, 2, 3], [3, 1.5, 5]),
        "extrapolator": one(*EXTRAPOLATORS),
    }
    twirling = {
        "enable_gates": one(None, None, True, False),
        "enable_measure": one(None, None, True),
        "num_randomizations": one(1, 8, 12),
        "strategy": one("active", "active-accum", "active-circuit", "all"),
    }
    return {"resilience_level": one(0, 1, 2), "resilience": resilience, "twirling": twirling}


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is left to the level."""
    return {
        name: given(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


def theirs(chosen: dict[str, Any], pub: Any, shots: int, seed: int) -> Any:
    """What the client's class gives in its local mode, its Aer seeded."""
    from qiskit_ibm_runtime.executor_estimator import EstimatorV2 as Client
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    asked = {**given(chosen), "simulator": {"seed_simulator": seed}, "default_shots": shots}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Client(mode=FakeManilaV2(), options=asked).run([pub]).result()[0]


def acting(chosen: dict[str, Any]) -> dict[str, Any]:
    """The same without options of what is off, which the client does not look at."""
    while True:
        try:
            Ours().estimator(chosen)
        except ConfigError as error:
            if "acts with" not in str(error):
                raise
            _, group, name, *_ = str(error.key).split(".")
            chosen = {**chosen, group: {key: value for key, value in chosen[group].items() if key != name}}
        else:
            return chosen


class Ours:
    """Our own service on the same noise: the client's lets no idle qubit decay."""

    def __init__(self, seed: int = 1) -> None:
        self._backend = LocalRuntimeService(seed=seed, engine_options={"schedule": False}).backend(
            "fake_manila"
        )

    def estimator(self, chosen: dict[str, Any], shots: int = 64) -> EstimatorV2:
        """With these options, which are checked."""
        made = EstimatorV2(self._backend, {**given(chosen), "default_shots": shots})
        made.seconds([(circuit().assign_parameters([0.1]), "IIIZZ")])
        return made


def compared(number: int) -> tuple[list[float], bool]:
    """Differences in standard errors of one random case, and whether it is extrapolated.

    Raises:
        AssertionError: other fields or shapes.
        ConfigError: we refuse the options.
    """
    rng = np.random.default_rng([20, number])
    chosen = options(rng)
    shapes = SHAPES[rng.integers(len(SHAPES))]
    observables = np.array([observable(rng) for _ in range(math.prod(shapes[0]))], dtype=object).reshape(
        shapes[0]
    )
    values = rng.uniform(-3, 3, size=(*shapes[1], 1))
    pub = (circuit(), observables.tolist() if shapes[0] else observables.item(), values)
    shots = int(rng.integers(64, 513))
    ours = Ours(number + 1).estimator(acting(chosen), shots).run([pub]).result()[0]
    expected = theirs(chosen, pub, shots, number + 1)
    fields = {name: np.shape(value) for name, value in expected.data.items()}
    found = {name: np.shape(value) for name, value in ours.data.items()}
    zne = "evs_extrapolated" in fields

    assert {**found, "ensemble_standard_error": fields.get("ensemble_standard_error")} == {
        **fields,
        "ensemble_standard_error": fields.get("ensemble_standard_error"),
    }
    assert np.shape(ours.metadata["resilience"].get("zne", {}).get("extrapolator", 0)) == np.shape(
        expected.metadata.get("resilience", {}).get("zne", {}).get("extrapolators", 0)
    )
    spread = np.sqrt(2) * np.maximum(np.asarray(ours.data.stds), 1e-9)
    return ((np.asarray(ours.data.evs) - np.asarray(expected.data.evs)) / spread).reshape(-1).tolist(), zne


def told_apart(numbers: Iterable[int]) -> tuple[list[float], list[float], int]:
    """All differences: of measured values, of extrapolated ones, and how many cases both refuse."""
    measured: list[float] = []
    extrapolated: list[float] = []
    refused = 0
    for number in numbers:
        try:
            differences, zne = compared(number)
        except ConfigError:
            refused += 1
            continue
        (extrapolated if zne else measured).extend(differences)
    return measured, extrapolated, refused


def test_fields_shapes_and_values_are_the_clients() -> None:
    """Within four standard errors in one case of each level, arrays of both kinds among them."""
    measured, extrapolated, _ = told_apart((1, 3, 5))

    assert measured
    assert extrapolated
    assert max(map(abs, measured + extrapolated)) < 4


@pytest.mark.nightly
def test_a_thousand_random_cases_spread_as_normal_numbers() -> None:
    """Measured values: mean 0, spread 1 within 10 %; extrapolated ones, whose errors are first order: few outliers."""
    measured, extrapolated, refused = told_apart(range(1000))

    assert refused < 500
    assert abs(np.mean(measured)) < 4 / math.sqrt(len(measured))
    assert np.std(measured) == pytest.approx(1, rel=0.1)
    assert np.mean(np.abs(measured) > 3) < 0.01
    assert np.median(np.abs(extrapolated)) == pytest.approx(0.67, rel=0.25)
    assert np.mean(np.abs(extrapolated) > 3) < 0.03

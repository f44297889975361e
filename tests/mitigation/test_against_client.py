"""Random options and shapes of PUBs against the client's own client-side Estimator on the same noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit
from scipy.stats import t as student

from runner.errors import ConfigError
from runner.runtime import EstimatorV2, LocalRuntimeService

EXTRAPOLATORS = (["exponential", "linear"], ["linear"], ["polynomial_degree_2", "fallback"], ["fallback"])
SHAPES = (((), ()), ((2,), ()), ((), (3,)), ((2, 1), (2,)), ((2,), (1, 2)), ((3,), (3,)))
"""Of observables and of parameter sets."""
REPEATED = 5
"""How often ours evaluates each case: one standard error from 8 randomizations is itself 27 % unsure."""
LEGACY = {"shots", "target_precision", "circuit_metadata", "resilience", "num_randomizations"}
"""Metadata of a PUB as the page prints it for the service's own Estimator, which ours stands for."""


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


@cache
def device() -> Any:
    """The client's noise of fake_manila, made once; one thread, for small circuits wait on more."""
    from qiskit_aer import AerSimulator
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    return AerSimulator.from_backend(FakeManilaV2(), max_parallel_threads=1)


def theirs(chosen: dict[str, Any], pub: Any, shots: int, seed: int) -> Any:
    """What the client's class gives in its local mode, its Aer seeded."""
    from qiskit_ibm_runtime.executor_estimator import EstimatorV2 as Client

    asked = {**given(chosen), "simulator": {"seed_simulator": seed}, "default_shots": shots}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Client(mode=device(), options=asked).run([pub]).result()[0]


def acting(chosen: dict[str, Any]) -> dict[str, Any]:
    """The same without options of what is off, which the client does not look at."""
    while True:
        try:
            estimator(chosen)
        except ConfigError as error:
            if "acts with" not in str(error):
                raise
            _, group, name, *_ = str(error.key).split(".")
            chosen = {**chosen, group: {key: value for key, value in chosen[group].items() if key != name}}
        else:
            return chosen


@cache
def service() -> LocalRuntimeService:
    """Our own on the same noise: the client's lets no idle qubit decay."""
    return LocalRuntimeService(engine_options={"schedule": False})


def estimator(chosen: dict[str, Any], shots: int = 64, seed: int = 1) -> EstimatorV2:
    """Ours with these options, which are checked."""
    made = EstimatorV2(
        service().backend("fake_manila"), {**given(chosen), "default_shots": shots, "seed_estimator": seed}
    )
    made.seconds([(circuit().assign_parameters([0.1]), "IIIZZ")])
    return made


@dataclass
class Compared:
    """What was found of some cases, of which each value counts once."""

    cases: int = 0
    """That both take."""
    refused: int = 0
    """That ours refuses."""
    measured: list[float] = field(default_factory=list)
    """Differences in standard errors, of values that are not extrapolated: at every noise factor, and without any."""
    freedom: list[float] = field(default_factory=list)
    """From how many independent numbers the standard error of each of these follows."""
    extrapolated: list[float] = field(default_factory=list)
    """Differences in standard errors of extrapolated values."""
    astray: int = 0
    """Extrapolated values that the client takes from a fit to what no observable can be, or that ours does not tell."""
    pooled: list[tuple[float, float]] = field(default_factory=list)
    """Standard errors of all shots as one sample: ours, and the client's."""

    def add(self, other: Compared) -> None:
        """Put others beside these."""
        self.cases += other.cases
        self.refused += other.refused
        self.astray += other.astray
        for name in ("measured", "freedom", "extrapolated", "pooled"):
            getattr(self, name).extend(getattr(other, name))

    def outside(self, limit: float) -> tuple[int, float]:
        """How many measured values are so many standard errors apart, and how many are by chance, of Student's t."""
        found = int((np.abs(self.measured) > limit).sum())
        return found, float(2 * student.sf(limit, self.freedom).sum())


def compared(number: int) -> Compared:
    """One random case.

    Raises:
        AssertionError: other fields, shapes or metadata.
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
    try:
        made = estimator(acting(chosen), shots, number + 1)
    except ConfigError:
        return Compared(refused=1)
    ours, *others = made.run([pub] * REPEATED).result()
    expected = theirs(chosen, pub, shots, number + 1)
    require_same_form(ours, expected)
    # from how far randomizations are apart, or shots where nothing is randomized
    samples = ours.metadata["num_randomizations"]
    free = REPEATED * ((shots if samples == 1 else samples) - 1)
    zne = "evs_noise_factors" in expected.data
    result = Compared(cases=1)
    every = [ours, *others]
    told = "_noise_factors" if zne else ""
    result.measured = apart(every, expected, f"evs{told}", f"stds{told}")
    result.freedom = [free] * len(result.measured)
    if zne:
        most = np.array([2 * sum(map(abs, one.values())) for one in observables.flat]).reshape(shapes[0])
        possible = np.isfinite(ours.data.evs) & (np.abs(expected.data.evs) <= most)
        differences = np.array(apart(every, expected, "evs", "stds"))
        result.extrapolated = differences[np.reshape(possible, -1)].tolist()
        result.astray = int(np.sum(~possible))
    name = "ensemble_stds_noise_factors" if zne else "ensemble_standard_error"
    pairs = zip(np.ravel(ours.data[name]), np.ravel(expected.data[name]), strict=True)
    result.pooled = [(float(one), float(other)) for one, other in pairs]
    return result


def require_same_form(ours: Any, expected: Any) -> None:
    """The client's fields and shapes, and metadata that say what the client's do, by the page's names.

    Raises:
        AssertionError: others.
    """
    fields = {name: np.shape(value) for name, value in expected.data.items()}
    found = {name: np.shape(value) for name, value in ours.data.items()}

    assert {**found, "ensemble_standard_error": fields.get("ensemble_standard_error")} == {
        **fields,
        "ensemble_standard_error": fields.get("ensemble_standard_error"),
    }
    assert set(ours.metadata) == LEGACY
    assert set(expected.metadata) - {"executor"} <= LEGACY
    own, other = (one.metadata.get("resilience", {}) for one in (ours, expected))
    assert own.keys() == other.keys()
    assert np.shape(own.get("zne", {}).get("extrapolator", 0)) == np.shape(
        other.get("zne", {}).get("extrapolators", 0)
    )


def apart(every: list[Any], expected: Any, values: str, errors: str) -> list[float]:
    """How far the first of ours is from the client's, in standard errors of both, which are ours over all."""
    variance = np.mean([np.asarray(one.data[errors]) ** 2 for one in every], axis=0)
    spread = np.sqrt(2 * np.maximum(variance, 1e-18))
    difference: NDArray = (np.asarray(every[0].data[values]) - np.asarray(expected.data[values])) / spread
    return [float(one) for one in difference.reshape(-1)]


def told_apart(numbers: Iterable[int]) -> Compared:
    """Of all these cases."""
    result = Compared()
    for number in numbers:
        result.add(compared(number))
    return result


def test_fields_shapes_and_values_are_the_clients() -> None:
    """Within four standard errors in one case of each level, arrays of both kinds among them."""
    found = told_apart((1, 3, 5))

    assert found.cases == 3
    assert found.extrapolated
    assert max(map(abs, found.measured + found.extrapolated)) < 4
    assert [one for one, _ in found.pooled] == pytest.approx([other for _, other in found.pooled], rel=0.2)


@pytest.mark.nightly
def test_a_thousand_random_cases_spread_as_normal_numbers() -> None:
    """Measured values: mean 0, spread 1 within 10 %; extrapolated ones, whose errors are first order: few outliers."""
    found = told_apart(range(1000))
    outside, chance = found.outside(3)
    ours, theirs = np.array(found.pooled).T

    assert found.refused < 500
    assert abs(np.mean(found.measured)) < 4 / math.sqrt(len(found.measured))
    assert np.std(found.measured) == pytest.approx(1, rel=0.1)
    assert outside < chance + 4 * math.sqrt(chance)
    assert np.sqrt(np.mean(ours**2)) == pytest.approx(np.sqrt(np.mean(theirs**2)), rel=0.1)
    assert np.median(np.abs(found.extrapolated)) == pytest.approx(0.67, rel=0.25)
    assert np.mean(np.abs(found.extrapolated) > 3) < 0.03
    assert found.astray < 0.1 * len(found.extrapolated)

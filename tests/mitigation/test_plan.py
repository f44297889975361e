"""Mitigated values against dense algebra: exact states, exact readout, exact folding."""

import math

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector

from runner.engine import Engine
from runner.mitigation import Calibration, MitigatedPlan, setting
from tests.mitigation.devices import DEPOLARIZING, FLIPS, circuit, noise

LABELS = ("ZZ", "XX", "YY", "ZI", "IZ", "XY")
THETA = 0.7
RATES = np.array([sum(pair) / 2 for pair in FLIPS])
"""How often a twirled qubit is misread."""


def ideal(label: str) -> float:
    """⟨P⟩ by the state vector."""
    state = Statevector(circuit().assign_parameters([THETA]))
    return float(state.expectation_value(SparsePauliOp(label)).real)


def support(label: str) -> np.ndarray:
    """Which qubits a label acts on, qubit 0 first."""
    return np.array([letter != "I" for letter in label[::-1]])


def evaluated(options: dict[str, object], shots: int, seed: int = 3) -> dict[str, np.ndarray]:
    """All labels at the angle, mitigated."""
    engine, chosen = Engine(noise_model=noise()), setting(options)
    observables = [{label: 1.0} for label in LABELS]
    plan = MitigatedPlan(circuit(), engine.estimator_plan(circuit(), observables), chosen, engine)
    rates = None
    if chosen.measure:
        rates = Calibration(plan.read_qubits, 2, engine).run(*chosen.calibrations(shots), seed)
    return plan.run(np.array([THETA]), shots=shots, seed=seed, rates=rates)


def test_twirled_readout_shrinks_every_term_by_its_qubits_and_trex_undoes_it() -> None:
    """Raw: (1−p)·Π(1−2e)·⟨P⟩. The client's factor is e^{2Σe}, not Π 1/(1−2e): e² too little for each qubit."""
    found = evaluated({"resilience_level": 1, "twirling": {"num_randomizations": 256}}, shots=1 << 18)
    noisy = np.array([(1 - DEPOLARIZING) * ideal(label) for label in LABELS])
    shrunk = np.array([np.prod((1 - 2 * RATES)[support(label)]) for label in LABELS])
    factors = np.array([math.exp(2 * RATES[support(label)].sum()) for label in LABELS])

    assert (np.abs(found["raw"] - noisy * shrunk) < 4 * found["stds"]).all()
    assert (np.abs(found["evs"] - noisy * shrunk * factors) < 4 * found["stds"]).all()
    assert found["stds"].max() < 7e-3
    # what is left of exact inversion is of second order in the rates
    assert (np.abs(shrunk * factors - 1) <= 2.3 * (RATES**2).sum()).all()


def test_folded_gates_shrink_every_term_by_a_power_and_the_exponential_undoes_it() -> None:
    """One CX, depolarized: (1−p)^f at noise factor f, so that a·e^{bf} is exact and gives ⟨P⟩ back."""
    options = {
        "resilience_level": 0,
        "resilience": {
            "zne_mitigation": True,
            "measure_mitigation": True,
            "zne": {"noise_factors": [1, 3, 5, 7]},
        },
    }
    found = evaluated(options, shots=1 << 18)
    exact = np.array([ideal(label) for label in LABELS])
    second = np.array([np.prod((np.exp(2 * RATES) * (1 - 2 * RATES))[support(label)]) for label in LABELS])
    powers = (1 - DEPOLARIZING) ** np.array([1, 3, 5, 7])

    expected = (exact * second)[:, None] * powers
    assert (np.abs(found["evs_noise_factors"] - expected) < 4 * found["stds_noise_factors"] + 1e-3).all()
    assert (np.abs(found["evs"] - exact * second) < 4 * found["stds"]).all()
    assert found["stds"].max() < 0.02


@pytest.mark.parametrize(
    ("level", "seeds"), [(1, 50), (2, 25), pytest.param(2, 400, marks=pytest.mark.nightly)]
)
def test_standard_errors_are_how_far_values_spread(level: int, seeds: int) -> None:
    """An observable of terms that are measured together, over seeds: calibration, twirling, shots and fit included."""
    engine, chosen = Engine(noise_model=noise()), setting({"resilience_level": level})
    observable = {"ZZ": 1.0, "ZI": 0.7, "IZ": 0.7, "XX": 0.4, "II": 2.0}
    base = engine.estimator_plan(circuit(), observable)
    plan = MitigatedPlan(circuit(), base, chosen, engine)
    calibration = Calibration(plan.read_qubits, 2, engine)
    values, errors = [], []
    for seed in range(1, seeds + 1):
        rates = calibration.run(*chosen.calibrations(1024), seed)
        found = plan.run(np.array([THETA]), shots=1024, seed=seed, rates=rates)
        values.append(float(found["evs"]))
        errors.append(float(found["stds"]))

    # the standard deviation of n normal numbers has a relative error of 1/√(2n − 2)
    expected = np.mean(np.square(errors)) ** 0.5
    assert np.std(values, ddof=1) == pytest.approx(expected, rel=4 / math.sqrt(2 * seeds - 2))


def test_standard_errors_at_noise_factors_are_how_far_values_spread_with_their_calibrations() -> None:
    """Over 30 seeds, each with a calibration of its own, whose 128 shots say less than the job's 65 536."""
    engine, chosen = Engine(noise_model=noise()), setting({"resilience_level": 2})
    base = engine.estimator_plan(circuit(), {"ZZ": 1.0, "ZI": 0.7})
    plan = MitigatedPlan(circuit(), base, chosen, engine)
    calibration = Calibration(plan.read_qubits, 2, engine)
    found = []
    for seed in range(1, 31):
        rates = calibration.run(8, 16, seed)
        found.append(plan.run(np.array([THETA]), shots=1 << 16, seed=seed, rates=rates))
    spread = np.std([one["evs_noise_factors"] for one in found], axis=0, ddof=1)
    told = np.sqrt(np.mean([one["stds_noise_factors"] ** 2 for one in found], axis=0))
    alone = np.sqrt(np.mean([one["ensemble_stds_noise_factors"] ** 2 for one in found], axis=0))

    # the standard deviation of n normal numbers has a relative error of 1/√(2n − 2)
    assert spread == pytest.approx(told, rel=4 / math.sqrt(58))
    assert (told > 1.5 * alone).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    """And another one others; a plan made anew is no other."""
    options = {"resilience_level": 2}
    first, again, other = (evaluated(options, 512, seed) for seed in (3, 3, 4))

    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)
    assert not np.array_equal(first["evs"], other["evs"])


def test_fractional_noise_factors_fold_some_gates_the_same_ones_each_time() -> None:
    """Of four CX a noise factor of 2 folds two, which are drawn from the circuit's own content."""
    long = circuit().assign_parameters([THETA])
    for _ in range(3):
        long.cx(0, 1)
    chosen = setting({"resilience_level": 2, "resilience": {"zne": {"noise_factors": [1, 2, 3]}}})
    engine = Engine(noise_model=noise())

    def gates() -> list[int]:
        base = engine.estimator_plan(long, {"ZZ": 1.0})
        plan = MitigatedPlan(long, base, chosen, engine)
        return [program.template.circuit.count_ops()["cx"] for program in plan._programs]

    assert gates() == gates() == [4, 8, 12]

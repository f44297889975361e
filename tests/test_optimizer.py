"""Minimizers: they find minima, keep to limits, ask the same questions twice, and let themselves be stopped."""

import numpy as np
import pytest

from runner.ansatz.overlap import overlap_circuit
from runner.engine import Engine
from runner.engine.frequencies import frequencies
from runner.errors import ConfigError
from runner.optimizer import StopOptimization
from runner.optimizer.nft import lowest_of_wave
from runner.run.overlap import all_zeros
from tests.choices import choice, choices

pytest.importorskip("cma")
OPTIMIZERS = choices("optimizer")
START = np.array([0.9, -0.4, 0.3])


class Bowl:
    """E(θ) = −Σ cos(θᵢ − i/10) − cos θ₀ cos θ₁/2: smooth, periodic, with a known gradient; records every question."""

    def __init__(self, stop_after=None, noise=0.0):
        self.asked = []
        self.stop_after = stop_after
        self.noise = np.random.default_rng(5)
        self.sigma = noise

    def value(self, x):
        """The energy at one point."""
        bend = np.cos(x - np.arange(len(x)) / 10).sum() + np.cos(x[0]) * np.cos(x[1]) / 2
        return float(-bend + self.sigma * self.noise.normal())

    def __call__(self, points):
        """Energy of one point (P,) or energies of several (B, P)."""
        rows = np.atleast_2d(points)
        if self.stop_after is not None and len(self.asked) + len(rows) > self.stop_after:
            raise StopOptimization("enough", resumable=True)
        self.asked.extend(tuple(row) for row in rows)
        values = np.array([self.value(row) for row in rows])
        return float(values[0]) if points.ndim == 1 else values

    def fidelity(self, first, second):
        """Overlap of product states of one qubit per parameter."""
        return np.prod(np.cos((first - second) / 2) ** 2, axis=1)

    def gradient(self, x):
        """Energy and exact gradient."""
        slope = np.sin(x - np.arange(len(x)) / 10)
        slope[0] += np.sin(x[0]) * np.cos(x[1]) / 2
        slope[1] += np.cos(x[0]) * np.sin(x[1]) / 2
        return self(x), slope


FREQUENCIES = [(1.0,)] * 3
"""The bowl is a sine of each of its angles."""


def ignore(step):
    """A callback that does nothing with a step."""


LOWEST = -3.49833
"""Minimum of the bowl, at θ ≈ (0, 0.0667, 0.2): −1 − cos(0.0333) − 1 − cos(0.0667)/2."""


def run(name, bowl, gradient=False, seed=1, **changes):
    """Minimize the bowl with one choice; returns the result and the steps it reported."""
    steps = []
    declared = choice("optimizer", name, **changes)
    result = declared.build().minimize(
        bowl,
        START,
        gradient=bowl.gradient if gradient else None,
        fidelity=bowl.fidelity,
        frequencies=FREQUENCIES,
        rng=np.random.default_rng(seed),
        callback=steps.append,
    )
    return result, steps


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("gradient", [False, True])
def test_every_choice_finds_the_minimum(name, gradient):
    """From half a radian away, with the settings shipped in conf/, with and without a gradient."""
    bowl = Bowl()
    result, steps = run(name, bowl, gradient)

    assert bowl.value(result.parameters) == pytest.approx(LOWEST, abs=2e-3)
    assert result.evaluations == len(bowl.asked)
    assert result.iterations == len(steps) > 0
    assert all(step["evaluations"] <= result.evaluations for step in steps)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("limit", [1, 7, 23])
def test_limits_are_kept(name, limit):
    """max_evaluations is never exceeded, and the best point seen comes back."""
    bowl = Bowl()
    result, _ = run(name, bowl, gradient=True, max_evaluations=limit)

    assert len(bowl.asked) == result.evaluations <= limit
    if result.message == f"max_evaluations {limit} used up" and bowl.asked:
        assert result.energy == min(bowl.value(np.array(x)) for x in bowl.asked)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stop_from_outside_is_a_result(name):
    """StopOptimization passes through every method and ends as a resumable result with the best point."""
    bowl = Bowl(stop_after=2)
    result, _ = run(name, bowl, gradient=True)

    assert (result.message, result.resumable, result.success) == ("enough", True, False)
    assert len(bowl.asked) <= 2
    if bowl.asked:
        assert result.energy == min(bowl.value(np.array(x)) for x in bowl.asked)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_other_errors_pass_through(name):
    """A failure of the energy is never swallowed or replaced."""

    def broken(points):
        raise ArithmeticError(f"no energy at {points}")

    with pytest.raises(ArithmeticError, match="no energy at"):
        choice("optimizer", name).build().minimize(
            broken,
            START,
            fidelity=Bowl().fidelity,
            frequencies=FREQUENCIES,
            rng=np.random.default_rng(1),
            callback=ignore,
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equal_energies_give_equal_questions(name):
    """Replay relies on it: the same seed and energies lead to the same points, bit by bit."""
    first, second = Bowl(noise=0.01), Bowl(noise=0.01)
    run(name, first, max_evaluations=60)
    run(name, second, max_evaluations=60)

    assert first.asked == second.asked


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_target_energy_ends_the_search(name):
    """The first energy at or below the target is the last one asked for."""
    bowl = Bowl()
    result, _ = run(name, bowl, gradient=True, target_energy=-3.2)

    assert not result.success  # the method stood nowhere yet
    assert result.energy <= -3.2
    assert "target energy -3.2 reached" in result.message


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if choice("optimizer", name).uses_bounds])
def test_bounds_are_kept(name):
    """No question lies outside [0.1, 1], and the minimum on that box is found."""
    bowl = Bowl()
    declared = choice("optimizer", name, bounds=[0.1, 1.0], max_evaluations=400)
    result = declared.build().minimize(
        bowl,
        np.array([0.9, 0.8, 0.7]),
        gradient=bowl.gradient,
        fidelity=bowl.fidelity,
        rng=np.random.default_rng(1),
        callback=ignore,
    )

    assert bowl.value(result.parameters) == pytest.approx(bowl.value(np.array([0.1, 0.1, 0.2])), abs=0.02)
    assert result.parameters.min() >= 0.1 - 1e-9


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if not choice("optimizer", name).uses_bounds])
def test_bounds_are_refused_where_unused(name):
    """A method that cannot use bounds says so."""
    with pytest.raises(ConfigError, match=r"optimizer.bounds: .* does not use bounds"):
        choice("optimizer", name, bounds=[0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("cobyla", {"max_evaluations": 0}, "optimizer.max_evaluations: must be at least 1, got 0"),
        ("cobyla", {"max_evaluations": "10"}, "optimizer.max_evaluations: must be an integer, got '10'"),
        ("cobyla", {"tolerance": -1e-3}, "optimizer.tolerance: must be at least 0, got -0.001"),
        ("cobyla", {"tolerance": float("nan")}, "optimizer.tolerance: must be finite"),
        ("cobyla", {"rhobeg": 0}, "optimizer.rhobeg: must be above 0, got 0"),
        ("cobyla", {"bounds": [1.0, 0.0]}, "optimizer.bounds: low must be below high"),
        ("cobyla", {"bounds": [1.0]}, r"optimizer.bounds: must be \[low, high\], got 1 numbers"),
        ("cobyla", {"target_energy": float("inf")}, "optimizer.target_energy: must be finite"),
        ("nelder_mead", {"maxiter": 0}, "optimizer.maxiter: must be at least 1, got 0"),
        ("l_bfgs_b", {"maxcor": -1}, "optimizer.maxcor: must be at least 1, got -1"),
        ("trust_ncg", {"eta": 0.5}, r"optimizer.eta: must be in \[0, 0.25\), got 0.5"),
        ("spsa", {"resamplings": 0}, "optimizer.resamplings: must be at least 1"),
        ("spsa", {"averaging": 2.0}, "optimizer.averaging: must be at most 1"),
    ],
)
def test_bad_values_are_refused(name, changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("optimizer", name, **changes)


def test_spsa_goes_down_under_shot_noise():
    """With a standard error of 0.05 on every energy, SPSA still ends near the minimum."""
    result, _ = run("spsa", Bowl(noise=0.05), max_evaluations=400)

    assert Bowl().value(result.parameters) == pytest.approx(LOWEST, abs=0.05)


def test_spsa_takes_both_energies_of_a_step_in_one_job():
    """Calibration is one batch, every step another, the final point the last."""
    sizes = []

    def energies(points):
        sizes.append(len(np.atleast_2d(points)))
        values = np.array([Bowl().value(row) for row in np.atleast_2d(points)])
        return float(values[0]) if points.ndim == 1 else values

    choice("optimizer", "spsa", iterations=3, resamplings=2).build().minimize(
        energies, START, rng=np.random.default_rng(1), callback=ignore
    )

    assert sizes == [50, 4, 4, 4, 1]


@pytest.mark.parametrize("harmonics", [1, 2, 3])
def test_nft_finds_the_lowest_point_of_a_wave(harmonics):
    """The minimum of a random trigonometric polynomial from 2R + 1 of its values, against a fine grid."""
    rng = np.random.default_rng(harmonics)
    order = np.arange(1, harmonics + 1)
    amplitudes, phases = rng.normal(size=(2, harmonics))

    def wave(angle):
        return 0.3 + (amplitudes * np.cos(np.multiply.outer(angle, order) + phases)).sum(-1)

    count = 2 * harmonics + 1
    angle, value = lowest_of_wave(wave(2 * np.pi * np.arange(count) / count), order)

    assert value == pytest.approx(wave(np.linspace(0, 2 * np.pi, 20001)).min(), abs=1e-6)
    assert wave(angle) == pytest.approx(value, abs=1e-9)


def test_cma_leaves_the_global_generator_alone():
    """All randomness comes from the generator given."""
    before = np.random.get_state()[1].copy()
    run("cma_es", Bowl(), max_evaluations=50)

    assert np.array_equal(np.random.get_state()[1], before)


def test_qn_spsa_without_overlaps_is_refused():
    """An experiment that cannot measure overlaps says so instead of running plain SPSA."""
    with pytest.raises(ConfigError, match="QN-SPSA needs state overlaps"):
        choice("optimizer", "qn_spsa").build().minimize(
            Bowl(), START, rng=np.random.default_rng(1), callback=ignore
        )


def test_differences_are_taken_in_one_job():
    """Without a gradient, an energy and its 2P differences are one batch."""
    sizes = []

    def energies(points):
        sizes.append(points.shape)
        return np.array([Bowl().value(row) for row in points])

    choice("optimizer", "l_bfgs_b", maxiter=1).build().minimize(
        energies, START, rng=np.random.default_rng(1), callback=ignore
    )

    assert set(sizes) == {(7, 3)}


def h2_error(seed, optimizer="cobyla"):
    """Error in Hartree of the default ansatz, start and optimizer on H2 with exact energies."""
    declared = choice("hamiltonian", "h2")
    operator = declared.build()
    ansatz = choice("ansatz", "efficient_su2")
    circuit = ansatz.build(operator)
    plan = Engine().estimator_plan(circuit, operator)

    def energy(points):
        values = plan.run(points, shots=None, seed=1).evs
        return float(values) if points.ndim == 1 else values

    both = overlap_circuit(circuit)
    overlaps = Engine().estimator_plan(both, all_zeros(both, circuit.num_qubits))

    def fidelity(first, second):
        return overlaps.run(np.concatenate([first, second], axis=1), shots=None, seed=1).evs

    start = ansatz.initial_point(circuit, operator, np.random.default_rng([seed, 0x1A1]))
    method = choice("optimizer", optimizer).build()
    result = method.minimize(
        energy,
        start,
        fidelity=fidelity,
        frequencies=list(frequencies(circuit).values()),
        rng=np.random.default_rng(seed),
        callback=ignore,
    )
    return result.energy - declared.reference_energy


def test_cobyla_reaches_chemical_accuracy_on_h2():
    """Within 1.6 mHa of FCI from the default seed."""
    assert h2_error(1) < 1.6e-3


@pytest.mark.nightly
@pytest.mark.parametrize("optimizer", ["cobyla", "nelder_mead", "nft", "qn_spsa", "spsa"])
def test_chemical_accuracy_does_not_depend_on_luck(optimizer):
    """At least 9 of the 10 seeds 0..9 end within 1.6 mHa of FCI."""
    assert sum(h2_error(seed, optimizer) < 1.6e-3 for seed in range(10)) >= 9

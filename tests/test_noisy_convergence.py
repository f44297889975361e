"""Under shot noise a gradient method is called converged only where its measured gradient is zero within its error."""

from pathlib import Path

import numpy as np
import pytest

from runner import compose, run
from runner.optimizer import SCHEMAS
from runner.run.gradient import ParameterShift
from tests.choices import choice
from tests.landscapes import Landscape

SIGMA = 0.02
"""Standard error of every component of a noisy gradient; energies have √2 times that."""


class Noisy:
    """The dense energy and gradient of a random landscape, with normal noise of known size."""

    def __init__(self, seed, *, errors=True):
        self.exact = Landscape(seed)
        self.errors = (np.full(4, SIGMA),) if errors is True else errors
        self.rng = np.random.default_rng(seed)

    def __call__(self, points):
        """Noisy energies of (P,) or (B, P)."""
        values = self.exact(points)
        return values + self.rng.normal(0, 2**0.5 * SIGMA, np.shape(values))

    def gradient(self, x):
        """Noisy energy and gradient, with what is said of its standard errors."""
        energy, slope = self.exact.gradient(x)
        noise = self.rng.normal(0, SIGMA, len(x))
        return energy + self.rng.normal(0, 2**0.5 * SIGMA), slope + noise, *self.errors


def descent(name, noisy, **changes):
    """The result of a declared method on a noisy landscape."""
    return choice("optimizer", name, **{"max_evaluations": 150, **changes}).build().minimize(
        noisy, noisy.exact.start, gradient=noisy.gradient, rng=np.random.default_rng(1), callback=lambda _: None
    )  # fmt: skip


@pytest.mark.parametrize("box", [None, (-1.0, 0.5)])
def test_claims_under_noise_are_stationary(box):
    """Dense gradients at every point proposed: below 6 σ, 3 for the measured one to pass and 3 for its own noise."""
    names = ["l_bfgs_b", "slsqp", "tnc", "trust_constr", *(["adam"] if box else ["bfgs", "cg"])]
    bounds = {} if box is None else {"bounds": list(box)}
    claims = refusals = 0
    for name, seed in [(name, seed) for name in names for seed in range(6)]:
        noisy = Noisy(seed)
        result = descent(name, noisy, **({"gtol": 0.05} if name == "adam" else {}), **bounds)
        refusals += "standard errors from zero" in result.message
        if not result.success:
            continue
        claims += 1
        for candidate in result.candidates:
            x = candidate.parameters
            slope = noisy.exact.gradient(x)[1]
            inward = slope if box is None else x - np.clip(x - slope, *box)
            assert np.abs(inward).max() < 6 * SIGMA, (name, seed, candidate.origin)

    assert claims >= 5
    assert refusals >= 5


@pytest.mark.parametrize(("errors", "why"), [((np.full(4, np.nan),), "is not known"), ((), None)])
def test_what_is_not_known_is_not_claimed(errors, why):
    """A gradient within one threshold of zero: NaN says that its error is not known, nothing that it is exact."""
    noisy = Noisy(0, errors=errors)
    result = descent("adam", noisy, gtol=100.0)

    assert result.success == (why is None)
    assert result.message.endswith(f"{why}: not called converged." if why else "below gtol")


@pytest.mark.parametrize("unit", [1.0, 1e-12, 1e12])
def test_a_gradient_across_a_bound_is_none(unit):
    """E = x on [0, 1] with σ = 0.1 ends at 0, where the slope of 1 leads out; E = −x from 0 has 10 σ to go."""
    for slope, stands in ((unit, True), (-unit, False)):

        def measured(x, slope=slope):
            return slope * x[0], np.array([slope]), np.array([0.1 * unit])

        config = choice(
            "optimizer", "adam", bounds=[0.0, 1.0], iterations=1, gtol=2 * unit, learning_rate=1e-9
        )
        result = config.build().minimize(
            lambda x, slope=slope: slope * x[0], np.zeros(1), gradient=measured, rng=None, callback=lambda _: None
        )  # fmt: skip
        assert result.success == stands
        assert stands or "10 standard errors from zero" in result.message


def test_the_error_of_a_shift_gradient():
    """The spread of 20 000 gradients from normal energies; one angle stands twice, once scaled by 3."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1)
    circuit.rx(a, 0)
    circuit.rz(3 * a - b, 0)
    circuit.rx(b, 0)
    shift = ParameterShift.of(circuit)
    rng = np.random.default_rng(0)
    stddevs = rng.uniform(0.1, 0.5, 7)
    drawn = [shift.gradient(rng.normal(0, stddevs)) for _ in range(20_000)]

    assert np.sqrt(shift.variance(stddevs)) == pytest.approx(np.std(drawn, axis=0), rel=0.03)


TNC = ["optimizer=tnc", "seed=3", "tracking=off", "run.figures=false"]


def test_an_accident_of_the_noise_fails_where_convergence_is_required(workdir):
    """TNC sees two equal points after 13 evaluations, 0.67 above the ground state (dense diagonalization)."""
    result = run(compose(*TNC, "run.require_convergence=true"))

    assert (result.status, result.exit_code, result.converged) == ("failed", 1, False)
    assert "standard errors from zero: not called converged." in result.stop_reason


def test_exact_runs_claim_as_before(workdir):
    """The same start without noise: TNC arrives at a stationary point, and says so."""
    result = run(compose(*TNC, "estimator=exact"))

    assert result.converged
    assert "But" not in result.stop_reason


EDGES = np.array([[-0.5, 0.5], [-0.3, 0.4]])
PROBLEM = [
    "ansatz=gates", "ansatz.gates=[[ry,a,0],[cx,0,1],[ry,b,1]]", "hamiltonian=pauli",
    "hamiltonian.terms=[[ZI,1.0],[XX,0.5],[IX,0.7]]", "ansatz.initial=values", "ansatz.initial_values=[0.1,0.1]",
    "tracking=off", "run.figures=false", f"optimizer.bounds={EDGES.tolist()}",
]  # fmt: skip


def dense(a, b):
    """⟨ZI + XX/2 + 0.7 IX⟩ of RY(b) on qubit 1, CX, RY(a) on qubit 0, by 4 × 4 matrices (qubit 1 first)."""
    x, z, one = np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.eye(2)
    hamiltonian = np.kron(z, one) + 0.5 * np.kron(x, x) + 0.7 * np.kron(one, x)

    def turn(angle):
        return np.array([[np.cos(angle / 2), -np.sin(angle / 2)], [np.sin(angle / 2), np.cos(angle / 2)]])

    cx = np.eye(4)[[0, 3, 2, 1]]
    state = np.kron(turn(b), one) @ cx @ np.kron(one, turn(a))[:, 0]
    return state @ hamiltonian @ state


@pytest.mark.parametrize("gradient", ["none", "auto"])
@pytest.mark.parametrize("name", ["l_bfgs_b", "trust_constr"])
def test_the_answer_is_inside(name, gradient, workdir):
    """The lowest of a grid of dense energies over the box, which is its corner (−0.5, 0.4)."""
    result = run(compose(*PROBLEM, f"optimizer={name}", f"gradient={gradient}", "estimator=exact"))
    low, high = EDGES.T
    grid = min(
        dense(a, b) for a in np.linspace(low[0], high[0], 41) for b in np.linspace(low[1], high[1], 41)
    )

    assert np.all((low <= result.parameters) & (result.parameters <= high))
    assert result.energy == pytest.approx(grid, abs=2e-4)
    assert result.energy >= grid - 1e-12
    assert result.energy == pytest.approx(dense(*result.parameters), abs=1e-12)


BOUNDED = sorted(name for name, schema in SCHEMAS.items() if schema.uses_bounds)


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("target", [None, -0.2])
def test_every_point_and_candidate_is_inside(name, target):
    """A narrow box with the start on its edge: questions, probes, answers and means stay in it to the last bit."""
    box, landscape, asked = [-0.3, 0.4], Landscape(2), []

    def energies(points):
        asked.extend(np.atleast_2d(points).copy())
        return landscape(points)

    config = choice("optimizer", name, bounds=box, max_evaluations=300, target_energy=target)
    result = config.build().minimize(
        energies, landscape.start, fidelity=landscape.fidelity, rng=np.random.default_rng(1), callback=lambda _: None
    )  # fmt: skip
    points = [result.parameters, *(candidate.parameters for candidate in result.candidates), *asked]

    assert np.min(points) >= box[0]
    assert np.max(points) <= box[1]
    assert landscape(result.parameters) == pytest.approx(result.energy, abs=1e-12)


@pytest.mark.parametrize("width", [0.5, 1e-3])
def test_differences_at_an_edge(width):
    """Slopes by probes on one side, in a box as narrow as the step too, are the dense ones; no probe is the best."""
    from runner.optimizer.method import Watch

    landscape = Landscape(3)
    low = landscape.start
    for point in (low, low + width, low + width * np.array([0.0, 0.3, 1.0, 1e-4])):
        config = choice("optimizer", "l_bfgs_b", bounds=[[value, value + width] for value in low.tolist()])
        watch = Watch(config, landscape, None, None, lambda _: None, box=config.box(4))
        energy, slope = watch.value_and_gradient(point, 1e-3)

        assert slope == pytest.approx(landscape.gradient(np.clip(point, *config.box(4)))[1], abs=1e-5)
        assert energy == watch.best_energy == pytest.approx(landscape(point), abs=1e-12)
        assert watch.evaluations == 9


@pytest.mark.parametrize("optimizer", ["cobyla", pytest.param("cobyqa", marks=pytest.mark.nightly)])
def test_small_steps_among_noisy_energies_prove_nothing(optimizer: str, tmp_path: Path) -> None:
    """Without gradients a trust region may shrink on a slope of many standard errors, so nobody is told otherwise."""
    words = (
        f"optimizer={optimizer}",
        "estimator=level0",
        "estimator.default_shots=10000",
        "seed=4",
        "optimizer.max_evaluations=400",
        "tracking=off",
        "run.figures=false",
    )
    result = run(compose(*words), directory=str(tmp_path / "run"))

    assert result.converged is False
    assert "cannot tell that it stands still: not called converged" in result.stop_reason


@pytest.mark.parametrize("exact", [True, False])
def test_shots_that_came_out_alike_prove_nothing(exact: bool, tmp_path: Path) -> None:
    """−Z is −cos θ, and its lowest −1 is where every shot says so, and near there nearly every one does."""
    words = ("hamiltonian=pauli", "hamiltonian.terms=[[Z,-1.0]]", "ansatz=gates", "ansatz.gates=[[ry,a,0]]")
    words += (
        "ansatz.initial=values",
        "ansatz.initial_values={a: 0.0}",
        "optimizer=cobyla",
        "optimizer.rhobeg=0.01",
    )
    words += ("estimator=exact",) if exact else ("estimator=level0", "estimator.default_shots=5")
    result = run(compose(*words, "tracking=off", "run.figures=false"), directory=str(tmp_path / "run"))

    assert (result.energy, result.stddev) == (pytest.approx(-1.0, abs=1e-6), 0.0)
    assert result.converged is exact
    assert ("not called converged" in result.stop_reason) is not exact

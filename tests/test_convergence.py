"""Where a method says that it has converged, SciPy finds nothing lower from there on the exact landscape."""

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.choices import choice, choices
from tests.landscapes import Landscape

pytest.importorskip("cma")
OPTIMIZERS = choices("optimizer")
NEVER = {"spsa", "qn_spsa"}
"""Methods without a criterion of their own: they take the steps they are given."""
NEARBY = {"dogleg"}
"""Methods that need a positive Hessian where they start."""
ENERGY, GRADIENT = 1e-3, 1e-2
"""What thresholds as those of Powell (1e-4, relative, per sweep) and NFT (1e-6 per sweep) may leave, for ‖H‖ = 1."""


def descent(name, landscape, *, gradient=False, start=None, **changes):
    """The result of a declared method on a landscape."""
    method = choice("optimizer", name, **{"max_evaluations": 6000, **changes})
    return method.build().minimize(
        landscape,
        landscape.start if start is None else start,
        gradient=landscape.gradient if gradient else None,
        fidelity=landscape.fidelity,
        frequencies=landscape.frequencies,
        rng=np.random.default_rng(1),
        callback=lambda _: None,
    )


def refined(landscape, point, box=None):
    """The minimum that L-BFGS-B reaches from a point, with thresholds near the rounding error."""
    bounds = None if box is None else [box] * len(point)
    options = {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 5000}
    return minimize(landscape.gradient, point, jac=True, method="L-BFGS-B", bounds=bounds, options=options)


def check(name, seeds, *, gradient=False, box=None, parameters=4):
    """Every end that is called converged is one; the number of those."""
    converged = 0
    for seed in seeds:
        landscape = Landscape(seed, parameters)
        start = landscape.start
        if name in NEARBY:
            start = refined(landscape, start).x + 0.003
        result = descent(
            name, landscape, gradient=gradient, start=start, **({} if box is None else {"bounds": list(box)})
        )
        if not result.success:
            continue
        converged += 1
        energy, slope = landscape.gradient(result.parameters)
        inward = slope if box is None else result.parameters - np.clip(result.parameters - slope, *box)

        assert result.energy == pytest.approx(energy, abs=1e-9), seed
        assert energy - refined(landscape, result.parameters, box).fun < ENERGY, seed
        assert np.abs(inward).max() < GRADIENT, seed
    return converged


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_converged_means_stationary(name):
    """L-BFGS-B on the dense energy, from where each method ended on two random landscapes."""
    limits = {"iterations": 20} if name in NEVER else {}
    if limits:
        assert not descent(name, Landscape(0), **limits).success
    else:
        assert check(name, range(2), gradient=choice("optimizer", name).uses_gradient) >= 1


def test_nelder_mead_within_bounds():
    """Where its simplex loses a dimension on a bound it says nothing; in a wide box it converges."""
    check("nelder_mead", [0, 5, 8, 10], box=(-1.0, 0.5))

    assert check("nelder_mead", [0, 5, 8, 10], box=(-9.0, 9.0)) >= 3


@pytest.mark.parametrize(("seed", "parameters"), [(41, 4), (6, 6), (38, 6), (54, 6)])
def test_a_fresh_powell_finds_no_more(seed, parameters):
    """Where one run of SciPy's Powell ends on these landscapes, the next falls 3.5 to 47 times its `ftol`."""
    landscape = Landscape(seed, parameters)
    once = minimize(landscape, landscape.start, method="Powell")
    result = descent("powell", landscape)

    def fall(point):
        before, after = landscape(point), minimize(landscape, point, method="Powell").fun
        return 2 * (before - after) / (abs(before) + abs(after))

    assert fall(once.x) > 1e-4
    assert result.success
    assert fall(result.parameters) <= 1e-4


def test_powell_within_bounds_is_not_called_converged():
    """Landscape 8 within [−9, 9]: L-BFGS-B finds 0.027 less from where SciPy's Powell ends with success."""
    landscape = Landscape(8)
    result = descent("powell", landscape, bounds=[-9.0, 9.0])

    assert not result.success
    assert "may pass a minimum by: not called converged" in result.message


def test_a_flat_simplex_is_said():
    """Landscape 5 within [−1, 0.5]: L-BFGS-B finds 0.63 less from where Nelder–Mead ends, a success to SciPy."""
    landscape = Landscape(5)
    result = descent("nelder_mead", landscape, bounds=[-1.0, 0.5])

    assert landscape(result.parameters) - refined(landscape, result.parameters, (-1.0, 0.5)).fun > 0.5
    assert not result.success
    assert "the simplex has become flat: not called converged" in result.message


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_end_of_a_budget_is_no_convergence(name):
    """One step of the method, or seven evaluations, are the end of the budget."""
    landscape = Landscape(1)
    fields = type(choice("optimizer", name)).__dataclass_fields__
    limit = next((key for key in ("maxiter", "iterations", "generations", "sweeps") if key in fields), None)
    changes = [{"max_evaluations": 7}] + ([{limit: 1}] if limit else [])

    for change in changes:
        assert not descent(name, landscape, gradient=True, **change).success, change


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in NEVER])
@pytest.mark.parametrize("box", [None, (-1.0, 0.5)])
def test_converged_means_stationary_at_length(name, box):
    """Twenty landscapes for every method, with and without gradients, free and in a box; ten parameters too."""
    method = choice("optimizer", name)
    if box is not None and not method.uses_bounds:
        pytest.skip("does not use bounds")
    for gradient in {False, method.uses_gradient}:
        converged = check(name, range(20), gradient=gradient, box=box)
        cautious = name == "dogleg" or (box is not None and name in ("nelder_mead", "powell"))
        check(name, range(3), gradient=gradient, box=box, parameters=10)

        assert converged >= (0 if cautious else 19)

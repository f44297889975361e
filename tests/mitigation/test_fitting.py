"""Slopes of extrapolated values against differences of the client's own fits."""

from typing import Any

import numpy as np
import pytest

from runner.mitigation.client import extrapolate, setting
from runner.mitigation.fitting import fit, slopes


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("exponential", [1, 3, 5]),
        ("linear", [1, 3, 5]),
        ("polynomial_degree_2", [1, 2, 3, 5]),
        ("fallback", [1, 3]),
    ],
)
def test_slopes_are_differences_of_the_fits(name: str, factors: list[float]) -> None:
    """With the weights held, by moving one value at a time."""
    chosen = setting(
        {"resilience_level": 2, "resilience": {"zne": {"extrapolator": [name], "noise_factors": factors}}}
    )
    x = np.array(factors)
    values = 0.8 * np.exp(-0.11 * x) + 0.01 * np.cos(x)
    variances = 1 - values**2
    fits = extrapolate(values, np.sqrt(variances), "ZZ", chosen)
    found = slopes(fits, values, np.sqrt(variances / 4096), "ZZ", chosen)
    step = 1e-4
    expected = [
        (
            extrapolate(values + step * unit, np.sqrt(variances), "ZZ", chosen).value
            - extrapolate(values - step * unit, np.sqrt(variances), "ZZ", chosen).value
        )
        / (2 * step)
        for unit in np.eye(len(x))
    ]

    assert found == pytest.approx(expected, rel=0.02, abs=5e-3)


def test_values_that_do_not_vary_have_slopes() -> None:
    """All shots gave 1: nothing can be weighted, and the fit is a constant."""
    chosen = setting({"resilience_level": 2})
    values, variances = np.ones(3), np.zeros(3)
    fits = extrapolate(values, variances, "ZZ", chosen)

    assert fits.value == pytest.approx(1.0)
    assert np.isfinite(slopes(fits, values, variances, "ZZ", chosen)).all()


def through(values: list[float], shots: int, extrapolator: list[str], factors: list[float]) -> Any:
    """What is told of ⟨ZZ⟩ from these values at the noise factors: value, number of the fit, slopes."""
    zne = {"extrapolator": extrapolator, "noise_factors": factors}
    chosen = setting({"resilience_level": 2, "resilience": {"zne": zne}})
    spreads = np.sqrt(1 - np.square(values))
    found, changes = fit(["ZZ"], chosen, 0, np.array(values), spreads, spreads / np.sqrt(shots))
    return found.value, found.chosen, changes


@pytest.mark.parametrize("values", [[0.02, -0.03, 0.05], [0.001, 0.06, -0.001], [-0.004, 0.3, 0.31]])
def test_a_fit_that_went_astray_is_not_told(values: list[float]) -> None:
    """No decay leads through a term that noise has left nothing of; |⟨P⟩| ≤ 1 whatever a fit says, so nan it is."""
    value, number, changes = through(values, 512, ["exponential"], [1, 3, 5])
    told = abs(value) + np.sqrt((changes**2).sum() / 512) <= 2

    assert told or (np.isnan(value) and np.isnan(changes).all())
    assert number == 0


def test_the_next_fit_is_taken_where_one_goes_astray() -> None:
    """No exponential changes its sign; the line through (1, −0.02), (3, 0.04) is −0.05 at 0, σ² = (9 + 1)/4 of one."""
    value, number, changes = through([-0.02, 0.04], 4096, ["exponential", "linear"], [1, 3])

    assert (value, number) == (pytest.approx(-0.05), 1)
    assert changes == pytest.approx([1.5, -0.5], abs=1e-6)


def test_two_values_tell_an_exponential() -> None:
    """Two points leave the client no scatter to judge by; a·rˣ through (1, 0.8·0.9), (3, 0.8·0.9³) is 0.8 at 0."""
    value, number, _ = through([0.72, 0.8 * 0.9**3], 4096, ["exponential"], [1, 3])

    assert (value, number) == (pytest.approx(0.8, abs=1e-5), 0)

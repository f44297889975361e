"""Slopes of extrapolated values against differences of the client's own fits."""

import numpy as np
import pytest

from runner.mitigation.client import extrapolate, setting
from runner.mitigation.fitting import slopes


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

"""Which fit an extrapolated value is taken from, and how it changes with the values it was extrapolated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runner.mitigation.client import Fits, Setting, extrapolate

_CLEAR = 5.0
"""Standard errors that every value is away from zero, where an exponential is as good as linear in them."""
_ROOM = 1.0
"""How far off its range [−1, 1] a term's value and its standard error may lead: the client's own bound."""


def fit(
    labels: Sequence[str], chosen: Setting, pair: int, values: NDArray, spreads: NDArray, errors: NDArray
) -> tuple[Fits, NDArray]:
    """The first fit that tells a term's value without noise, and how that changes with each value, (F,).

    The client's choice comes first. Where it has none that it accepts it takes what it has, and two values leave it no
    scatter to judge an exponential by; here the standard errors of shots judge, and the others are tried in their
    order. Where none tells it the value is nan, never what a fit gave that went astray.

    Args:
        labels: the term of each pair.
        chosen: the fits.
        pair: whose value it is.
        values: at every noise factor, (F,).
        spreads: standard deviation of one shot at each, (F,).
        errors: standard errors of the values, (F,).
    """
    label = labels[pair]
    first = extrapolate(values, spreads, label, chosen)
    changes = slopes(first, values, errors, label, chosen)
    if _tells(first, changes, errors):
        return first, changes
    for number, name in enumerate(chosen.extrapolators):
        if number == first.chosen:
            continue
        alone = chosen.only(name)
        found = extrapolate(values, spreads, label, alone)
        changes = slopes(found, values, errors, label, alone)
        if _tells(found, changes, errors):
            return replace(first, value=found.value, chosen=number, fitted=found.fitted), changes
    return replace(first, value=np.nan), np.full(len(values), np.nan)


def beyond(values: NDArray, errors: NDArray) -> NDArray:
    """Whether a term's values by a fit are none that it can have, or have standard errors that say nothing.

    Args:
        values: any shape.
        errors: the client's standard errors of them; nan where too few points leave no scatter.
    """
    found: NDArray = ~(np.abs(values) <= 1.0 + _ROOM) | (errors > 1.0)
    return found


def _tells(fits: Fits, changes: NDArray, errors: NDArray) -> bool:
    """Whether a fit's value is one that the term can have, with a standard error that says something."""
    if not np.isfinite(fits.value) or not np.isfinite(changes).all():
        return False
    error = float(np.sqrt(((changes * errors) ** 2).sum()))
    return error <= 1.0 and abs(fits.value) + error <= 1.0 + _ROOM


def slopes(fits: Fits, values: NDArray, errors: NDArray, label: str, chosen: Setting) -> NDArray:
    """How much the value without noise changes with the value at each noise factor, (F,).

    For a weighted least-squares fit f(x; p) with Jacobian J = ∂f(xⱼ)/∂p and weights W, ∂p/∂y = (JᵀWJ)⁻¹JᵀW, and the
    value is f(0; p). Where that is not linear over the errors themselves, it is fitted again with each value one error
    higher and lower, with which the fit that is taken may change as well.

    Args:
        fits: what was fitted.
        values: at every noise factor, (F,).
        errors: their standard errors, (F,).
        label: the term.
        chosen: the fits.
    """
    factors = chosen.noise_factors
    name = chosen.extrapolators[fits.chosen]
    if name == "fallback":
        return (np.arange(len(factors)) == np.argmin(factors)).astype(float)
    if not errors.any():
        errors = np.full(len(errors), np.finfo(float).eps)
    if name == "exponential":
        # a·exp(bx), whose a is the value without noise
        clear = np.isfinite(fits.fitted).all() and (np.abs(values) > _CLEAR * errors).all() and fits.value
        if not clear:
            return _tried(values, errors, label, chosen)
        jacobian = np.stack([fits.fitted / fits.value, factors * fits.fitted], axis=1)
    elif name == "double_exponential":
        return _tried(values, errors, label, chosen)
    else:
        degree = 1 if name == "linear" else int(name.rpartition("_")[2])
        jacobian = np.vander(factors, degree + 1, increasing=True)
    weights = 1.0 / np.clip(errors, errors[errors > 0].min(), None)
    found: NDArray = np.linalg.pinv(weights[:, None] * jacobian)[0] * weights
    return found


def _tried(values: NDArray, errors: NDArray, label: str, chosen: Setting) -> NDArray:
    """By fits with each value one error higher and lower."""
    result = np.zeros(len(values))
    for place in np.flatnonzero(errors):
        step = np.zeros(len(values))
        step[place] = errors[place]
        spreads = np.sqrt(np.maximum(1.0 - values**2, 0.0))
        higher = extrapolate(values + step, spreads, label, chosen).value
        lower = extrapolate(values - step, spreads, label, chosen).value
        result[place] = (higher - lower) / (2 * errors[place])
    return result

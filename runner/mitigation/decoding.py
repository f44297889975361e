"""From the outcomes of twirled, noise-amplified circuits to expectation values with honest errors.

Values are the client's to the last rounding. Standard errors are not: it adds up the variances of an observable's terms
as if they were measured apart, and takes the readout's calibration for exact. Here `stds` follow from how whole
observables spread over randomizations, through the fit, with the calibration's own error, and `stds_noise_factors` in
the same way at each noise factor; what the client would say stands in `ensemble_standard_error` and
`ensemble_stds_noise_factors` (all shots as one sample) and in `stds_extrapolated`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.mitigation.client import MULTIPLE, Fits
from runner.mitigation.fitting import beyond


@dataclass(frozen=True)
class Layout:
    """Which configurations of parameters and basis are measured, and what is read of each.

    A pair is a Pauli term in the configuration that it is read from.
    """

    sets: NDArray
    """Which parameter set each configuration has, (N,)."""
    bases: NDArray
    """0, 1, 2, 3 for I, Z, X, Y per qubit, (N, qubits)."""
    starts: NDArray
    """Where the pairs of each configuration begin, and the last one's end, (N + 1,)."""
    terms: NDArray
    """Which term a pair is, (pairs,)."""
    values: NDArray
    """Which value of the result each coefficient belongs to, (C,)."""
    pairs: NDArray
    """Which pair it multiplies, (C,)."""
    coefficients: NDArray
    """The coefficients, (C,)."""
    constants: NDArray
    """What is added to each value, (values,)."""
    letters: NDArray
    """0, 1, 2, 3 for I, Z, X, Y of each term's qubits, (terms, qubits)."""
    shape: tuple[int, ...]
    """Of the result."""

    def summed(self, numbers: NDArray) -> NDArray:
        """Σ coefficient · number of the pair, for each value of the result: (…, pairs) → (…, values)."""
        result = np.zeros((*numbers.shape[:-1], len(self.constants)))
        np.add.at(result.T, self.values, (numbers[..., self.pairs] * self.coefficients).T)
        return result

    def squared(self, variances: NDArray) -> NDArray:
        """Σ coefficient² · variance of the pair, for each value of the result."""
        result = np.zeros((*variances.shape[:-1], len(self.constants)))
        np.add.at(result.T, self.values, (variances[..., self.pairs] * self.coefficients**2).T)
        return result


@dataclass(frozen=True)
class Outcomes:
    """What was read of every randomization and configuration."""

    words: NDArray
    """Flips undone, as words of 64 qubits, (R, N, shots, words)."""
    counts: NDArray | None
    """What each randomization counts, 1 or −1, (R, N); None: all count 1."""


def signs(outcomes: NDArray, masks: NDArray) -> NDArray:
    """(-1)^(parity of outcome and mask): outcomes (…, words), masks (terms, words) → (terms, …)."""
    result = np.empty((len(masks), *outcomes.shape[:-1]))
    for row, mask in zip(result, masks, strict=True):
        parity = np.zeros(outcomes.shape[:-1], dtype=np.uint8)
        for word in np.flatnonzero(mask):
            parity ^= np.bitwise_count(outcomes[..., word] & mask[word])
        np.subtract(1.0, 2.0 * (parity & 1), out=row)
    return result


def samples(
    words: NDArray, layout: Layout, masks: NDArray, batch: int = 1, counts: NDArray | None = None
) -> NDArray:
    """Every pair's mean in each randomization, (pairs, R); with one randomization that in each batch of shots.

    Args:
        words: what was read, flips undone, (R, N, shots, words).
        layout: what is read of it.
        masks: the qubits of each term, (terms, words).
        batch: shots that are not independent of each other.
        counts: 1, or −1 for a randomization that gives its values with the other sign, (R, N); None: all 1.
    """
    single, shots = len(words) == 1, words.shape[2]
    starts = np.arange(0, shots, batch)
    sizes = np.diff(np.append(starts, shots))
    result = np.empty((len(layout.terms), len(starts) if single else len(words)))
    for place in range(len(layout.sets)):
        own = slice(layout.starts[place], layout.starts[place + 1])
        read = signs(words[:, place], masks[layout.terms[own]])
        if counts is not None:
            read *= counts[:, place, None]
        if not single:
            result[own] = read.mean(axis=2)
        else:
            result[own] = read[:, 0] if batch == 1 else np.add.reduceat(read[:, 0], starts, axis=1) / sizes
    return result


@dataclass(frozen=True)
class Read:
    """How the readout errs, by a calibration."""

    factors: NDArray
    """What each pair's value is multiplied by, (pairs,)."""
    support: NDArray
    """Which of the calibrated qubits each pair reads, (pairs, qubits)."""
    variances: NDArray
    """Of each qubit's rate of misreading, (qubits,)."""


@dataclass(frozen=True)
class Injected:
    """Paulis that chance puts behind layers to amplify noise, the same one in all shots of a randomization."""

    lowest: int
    """Which noise factor is the lowest."""
    chances: NDArray
    """That each is there at a noise factor, beyond what the lowest has, (F, I)."""
    changes: NDArray
    """By how much each pair falls with it where there is no noise, (I, pairs)."""
    sizes: NDArray
    """The part of that which noise leaves at a noise factor, at least, (F, pairs)."""
    randomizations: int
    """Of each configuration."""


def decode(
    found: Sequence[NDArray],
    shots: int,
    layout: Layout,
    read: Read | None,
    points: tuple[int, int],
    fit: Callable[[int, NDArray, NDArray, NDArray], tuple[Fits, NDArray]] | None,
    gain: float = 1.0,
    learned: Callable[[NDArray, NDArray, NDArray], NDArray] | None = None,
    counts: NDArray | None = None,
    injected: Injected | None = None,
) -> dict[str, NDArray]:
    """Values of observables, and their standard errors.

    Args:
        found: per noise factor, what `samples` made of the outcomes.
        shots: of all randomizations together, per configuration.
        layout: what they are samples of.
        read: how the readout errs; None takes it for faithful.
        points: how many fits there are, and how many factors they are evaluated at.
        fit: extrapolates a pair from its values (F,), deviations of one shot (F,) and standard errors (F,), and
            says how that changes with each value (F,); None where nothing is extrapolated.
        gain: what signed values are multiplied by, γ.
        learned: what the errors of learned noise add to the variance of each value, from the pairs' values (pairs,),
            means at the noise factors (F, pairs), and how values change with means (F, pairs); None: nothing.
        counts: what each randomization counts, 1 or −1, (R, N); None: all count 1.
        injected: what amplifies noise; None: it is not amplified by Paulis at random, or nobody knows by which.
    """
    every = gain * np.stack(list(found))  # (F, pairs, samples)
    means = every.mean(axis=2)
    variances = gain**2 - means**2
    factors = np.ones(means.shape[1]) if read is None else read.factors
    result: dict[str, NDArray] = {"raw": layout.summed(means[0]) + layout.constants}
    if fit is None:
        values, weights = means[0], np.ones((1, len(factors)))
    else:
        deviations = np.sqrt(variances)
        errors = deviations / np.sqrt(shots)
        fitted = [
            fit(pair, means[:, pair], deviations[:, pair], errors[:, pair]) for pair in range(len(factors))
        ]
        fits = [one for one, _ in fitted]
        values = np.array([one.value for one in fits])
        weights = np.array([changes for _, changes in fitted]).reshape(means.shape[::-1]).T
        result |= _amplified(every, means, variances, shots, layout, factors, read, injected)
        result |= _extrapolated(fits, points, layout, factors)
        if (lost := _astray(fits, points, layout)).any():
            result["astray"] = lost
        if np.isnan(values).any():
            result["untold"] = _untold(values, layout)
    evs = layout.summed(values * factors) + layout.constants
    spread = _spreads(every, weights, factors, shots, layout, injected, gain).sum(axis=0)
    if counts is not None:
        spread = spread + _undrawn(counts, gain, factors * means[0], layout)
    if read is not None:
        spread = spread + _calibration_spread(values, read, layout)
    if learned is not None:
        more = learned(values, means, weights)
        spread = spread + more
        result["learned_stds"] = np.sqrt(more)
    pooled = layout.squared(((factors * weights) ** 2 * variances).sum(axis=0)) / shots
    result |= {"evs": evs, "stds": np.sqrt(spread), "ensemble_standard_error": np.sqrt(pooled)}
    return {name: _shaped(value, layout.shape) for name, value in result.items()}


def _shaped(values: NDArray, shape: tuple[int, ...]) -> NDArray:
    """(values, …) as (*shape, …)."""
    return np.asarray(values).reshape((*shape, *np.shape(values)[1:]))


def _parts(weights: NDArray, layout: Layout) -> Iterator[tuple[NDArray, NDArray, NDArray, NDArray]]:
    """Of each configuration: values that it has a part in, and of which pairs, times what, each of these is the sum."""
    order = np.argsort(layout.pairs, kind="stable")
    edges = np.searchsorted(layout.pairs[order], layout.starts)
    for first, last in itertools.pairwise(edges):
        chosen = order[first:last]
        if len(chosen):
            touched, where = np.unique(layout.values[chosen], return_inverse=True)
            pairs = layout.pairs[chosen]
            yield touched, where, pairs, layout.coefficients[chosen] * weights[pairs]


def _spread(samples_of: NDArray, weights: NDArray, layout: Layout, most: float = 1.0) -> NDArray:
    """Variance of each value's mean, from how what a configuration gives spreads over its samples, (values,)."""
    count = samples_of.shape[1]
    result = np.zeros(len(layout.constants))
    for touched, where, pairs, scales in _parts(weights, layout):
        sums = np.zeros((len(touched), count))
        np.add.at(sums, where, scales[:, None] * samples_of[pairs])
        if count > 1:
            result[touched] += sums.var(axis=1, ddof=1) / count
        else:  # one shot says nothing of its spread: the most that it can be
            np.add.at(result, touched, np.bincount(where, most * np.abs(scales)) ** 2)
    return result


def _spreads(
    every: NDArray,
    weights: NDArray,
    factors: NDArray,
    shots: int,
    layout: Layout,
    injected: Injected | None,
    gain: float = 1.0,
) -> NDArray:
    """Variance of each value's mean at every noise factor, from its samples, (F, values).

    Where few Paulis are injected, chance draws none or too many of them, and values seem to spread too little or too
    much. Twirls and shots alone spread them as at the lowest noise factor; what injected Paulis add lies between two
    bounds, for independent ones of chances p that change a value by Δ: Σ p (1 − p) (mean Δ)² and Σ p (1 − p) mean Δ²
    (Efron and Stein), where the means are over what else is injected.
    """
    found = np.stack(
        [_spread(one, factors * own, layout, gain) for one, own in zip(every, weights, strict=True)]
    )
    if injected is None:
        return found
    means = every.mean(axis=2)
    for place in np.flatnonzero(np.arange(len(every)) != injected.lowest).tolist():
        own = weights[place]
        base = _spread(every[injected.lowest], factors * own, layout)
        # shots spread more where a Pauli takes a value to zero, by no more than the values' squares fall
        fallen = np.maximum(means[injected.lowest] ** 2 - means[place] ** 2, 0.0) / shots
        shot = np.zeros(len(base))
        for touched, where, pairs, scales in _parts(factors * own, layout):
            shot[touched] += np.bincount(where, np.abs(scales) * np.sqrt(fallen[pairs])) ** 2
        least = _injected(injected, place, own * injected.sizes[place], layout)
        most = _injected(injected, place, own, layout)
        found[place] = np.clip(found[place], base + least, base + shot + most)
    return found


def _injected(injected: Injected, place: int, weights: NDArray, layout: Layout) -> NDArray:
    """Σ p (1 − p) Δ² / R of each value, (values,)."""
    chances = injected.chances[place]
    result = np.zeros(len(layout.constants))
    for touched, where, pairs, scales in _parts(weights, layout):
        sums = np.zeros((len(touched), len(chances)))
        np.add.at(sums, where, scales[:, None] * injected.changes[:, pairs].T)
        result[touched] += sums**2 @ (chances * (1 - chances)) / injected.randomizations
    return result


def _undrawn(counts: NDArray, gain: float, means: NDArray, layout: Layout) -> NDArray:
    """Variance of each value's mean that randomizations which count −1 would show, had enough been drawn, (values,).

    Of 1 and −1 with the mean 1/γ a share (1 − 1/γ)/2 is −1. Where chance drew fewer, or none, values seem to spread
    less than they do: one that is missing may lie on the other side of zero, 2 |value| away.
    """
    missing = np.maximum((1 - 1 / gain) / 2 - (counts < 0).mean(axis=0), 0.0)
    result = np.zeros(len(layout.constants))
    for place, share in enumerate(missing.tolist()):
        own = (layout.pairs >= layout.starts[place]) & (layout.pairs < layout.starts[place + 1])
        parts = layout.coefficients[own] * means[layout.pairs[own]]
        result += (4 * share / len(counts)) * np.bincount(layout.values[own], parts, len(result)) ** 2
    return result


def _calibration_spread(values: NDArray, read: Read, layout: Layout) -> NDArray:
    """What the calibration's own error adds to the variance of each value: a factor is e^(2 Σ rates), (values,)."""
    slopes = layout.summed((2.0 * values * read.factors)[None, :] * read.support.T)
    return (slopes**2 * read.variances[:, None]).sum(axis=0)


def _amplified(
    every: NDArray,
    means: NDArray,
    variances: NDArray,
    shots: int,
    layout: Layout,
    factors: NDArray,
    read: Read | None,
    injected: Injected | None,
) -> dict[str, NDArray]:
    """Values and standard errors at every noise factor, (values, F)."""
    pooled = layout.squared(factors**2 * variances) / shots
    spread = _spreads(every, np.ones_like(means), factors, shots, layout, injected)
    if read is not None:
        spread += np.stack([_calibration_spread(mean, read, layout) for mean in means])
    return {
        "evs_noise_factors": (layout.summed(means * factors) + layout.constants).T,
        "stds_noise_factors": np.sqrt(spread).T,
        "ensemble_stds_noise_factors": np.sqrt(pooled).T,
    }


def _untold(values: NDArray, layout: Layout) -> NDArray:
    """The first term of each value that no fit tells, 0, 1, 2, 3 for I, Z, X, Y of its qubits, (values, qubits)."""
    result = np.zeros((len(layout.constants), layout.letters.shape[1]))
    for value, pair in zip(layout.values[::-1].tolist(), layout.pairs[::-1].tolist(), strict=True):
        if np.isnan(values[pair]):
            result[value] = layout.letters[layout.terms[pair]]
    return result


def _astray(fits: Sequence[Fits], points: tuple[int, int], layout: Layout) -> NDArray:
    """Where a fit of one of a value's terms is none that it can have: 1, else 0, (values, M, K).

    What the client adds up there is not the value by that fit, however sensible the sum may look.
    """
    terms = np.array([beyond(one.values, one.stds) for one in fits]).reshape(len(fits), *points)
    result = np.zeros((len(layout.constants), *points))
    np.maximum.at(result, layout.values, terms[layout.pairs].astype(float))
    return result


def _extrapolated(
    fits: Sequence[Fits], points: tuple[int, int], layout: Layout, factors: NDArray
) -> dict[str, NDArray]:
    """Every fit at every extrapolated noise factor, (values, M, K), and which fit each value was taken from."""
    values, stds = np.empty((2, *points, len(fits)))
    for pair, one in enumerate(fits):
        values[:, :, pair], stds[:, :, pair] = one.values * factors[pair], one.stds * factors[pair]
    numbers = np.array([one.chosen for one in fits], dtype=int)
    # the client fits the identity, too, and every fit of a constant succeeds
    constant = (layout.constants != 0) | ~np.isin(np.arange(len(layout.constants)), layout.values)
    lowest = np.where(constant, 0, points[0])
    highest = np.where(constant, 0, MULTIPLE)
    np.minimum.at(lowest, layout.values, numbers[layout.pairs])
    np.maximum.at(highest, layout.values, numbers[layout.pairs])
    return {
        "evs_extrapolated": np.moveaxis(layout.summed(values) + layout.constants, -1, 0),
        "stds_extrapolated": np.moveaxis(np.sqrt(layout.squared(stds**2)), -1, 0),
        "extrapolators": np.where(lowest == highest, highest, MULTIPLE).astype(float),
    }

"""Parities and errors of outcomes, counted by hand."""

import numpy as np

from runner.mitigation.client import Fits
from runner.mitigation.decoding import Injected, Layout, Read, decode, samples, signs


def test_signs_are_parities_over_words() -> None:
    """Qubits 1 and 70: equal bits are +1, different ones −1."""
    outcomes = np.array([[0b10, 0], [0b10, 1 << 6], [0, 1 << 6], [0b101, 0]], dtype=np.uint64)
    masks = np.array([[0b10, 1 << 6], [0, 0]], dtype=np.uint64)

    assert signs(outcomes, masks).tolist() == [[-1, 1, -1, 1], [1, 1, 1, 1]]


def layout() -> Layout:
    """Z₀ + 2 Z₁, read from one configuration."""
    return Layout(
        sets=np.array([0]),
        bases=np.array([[1, 1]]),
        starts=np.array([0, 2]),
        terms=np.array([0, 1]),
        values=np.array([0, 0]),
        pairs=np.array([0, 1]),
        coefficients=np.array([1.0, 2.0]),
        constants=np.array([0.5]),
        letters=np.array([[1, 0], [0, 1]]),
        shape=(),
    )


def test_terms_that_are_read_together_spread_together() -> None:
    """Four shots 00 or 11: Z₀ + 2Z₁ is ±3, variance 9·4/3/4 = 3; term by term it would be 5/3."""
    outcomes = np.array([0, 3, 0, 3], dtype=np.uint64).reshape(1, 1, 4, 1)
    masks = np.array([[1], [2]], dtype=np.uint64)
    found = decode([samples(outcomes, layout(), masks)], 4, layout(), None, (0, 0), None)

    assert found["evs"] == 0.5
    np.testing.assert_allclose(found["stds"] ** 2, 3.0)
    np.testing.assert_allclose(found["ensemble_standard_error"] ** 2, (1 + 4) / 4)


def test_inverses_that_chance_has_not_drawn_count() -> None:
    """γ = 1.25: 0.1 of the signs are −1. Of four none is: the sum 1.25·3 may lie twice as far away, 4·0.1·3.75²/4."""
    outcomes = np.zeros((4, 1, 10, 1), dtype=np.uint64)
    masks = np.array([[1], [2]], dtype=np.uint64)
    none, one = np.ones((4, 1)), np.array([[1.0], [1.0], [-1.0], [1.0]])

    def spread(counts: np.ndarray) -> float:
        read = samples(outcomes, layout(), masks, counts=counts)
        return float(decode([read], 40, layout(), None, (0, 0), None, 1.25, None, counts)["stds"]) ** 2

    np.testing.assert_allclose(spread(none), 4 * 0.1 * 3.75**2 / 4)
    np.testing.assert_allclose(
        spread(one), np.var(3.75 * one, ddof=1) / 4
    )  # more than a tenth: as they spread


def line(pair: int, means: np.ndarray, deviations: np.ndarray, errors: np.ndarray) -> tuple[Fits, np.ndarray]:
    """Through noise × 1 and 3."""
    slopes = np.array([1.5, -0.5])
    del pair, deviations, errors
    return Fits(means @ slopes, 0, np.zeros((1, 1)), np.zeros((1, 1)), means), slopes


def test_injected_paulis_count_by_their_chance_and_not_as_they_were_drawn() -> None:
    """One that turns both signs is there with p = 0.1: Z₀ + 2Z₁ falls by 6, and spreads by p (1 − p) 6² / 4 over four.

    Noise leaves at least half of that, and a quarter of the variance; drawn are none, one and two of four.
    """
    none, one, two = (
        np.array([row, row], dtype=float) for row in ([1, 1, 1, 1], [1, 1, -1, 1], [1, -1, -1, 1])
    )
    injected = Injected(
        lowest=0,
        chances=np.array([[0.0], [0.1]]),
        changes=np.full((1, 2), 2.0),
        sizes=np.array([[1.0, 1.0], [0.5, 0.5]]),
        randomizations=4,
    )

    def variances(drawn: np.ndarray) -> np.ndarray:
        found = decode([none, drawn], 400, layout(), None, (1, 1), line, injected=injected)
        np.testing.assert_allclose(found["stds"] ** 2, 0.25 * found["stds_noise_factors"][1] ** 2)
        return np.asarray(found["stds_noise_factors"] ** 2)

    most = 0.1 * 0.9 * 36 / 4

    np.testing.assert_allclose(variances(none), [0, most / 4])
    # shots of what has fallen to 1/2 and to 0 spread by 1 − 1/4 and by 1 more, 3² of both together
    np.testing.assert_allclose(variances(one), [0, most + 9 * 0.75 / 400])
    np.testing.assert_allclose(variances(two), [0, most + 9 * 1.0 / 400])


def test_a_fit_is_none_of_a_value_where_it_is_none_of_a_term() -> None:
    """Of ½ + Z₀ + 2Z₁ with ⟨Z₀⟩ = −9 and ⟨Z₁⟩ = 6 an observable of −3.5 … 3.5 is 3.5: only its terms tell."""
    values = {0: [[-9.0, 0.9], [0.8, 0.7]], 1: [[6.0, 0.9], [0.8, 0.7]]}
    errors = {0: [[0.1, 0.1], [0.1, 1.5]], 1: [[np.nan, np.nan], [0.1, 0.1]]}

    def two(pair: int, means: np.ndarray, *_: np.ndarray) -> tuple[Fits, np.ndarray]:
        return Fits(0.8, 1, np.array(values[pair]), np.array(errors[pair]), means), np.array([1.5, -0.5])

    found = decode([np.ones((2, 4))] * 2, 4, layout(), None, (2, 2), two)

    np.testing.assert_allclose(found["evs_extrapolated"], [[3.5, 3.2], [2.9, 2.6]])
    assert found["astray"].tolist() == [[1, 0], [0, 1]]


def test_the_calibrations_own_error_counts() -> None:
    """E = f₀m₀ + 2f₁m₁ + ½ with f = e^{2r}: ∂E/∂r₀ = 2f₀m₀, ∂E/∂r₁ = 4f₁m₁, and nothing else spreads."""
    outcomes = np.zeros((1, 1, 4, 1), dtype=np.uint64)
    masks = np.array([[1], [2]], dtype=np.uint64)
    read = Read(np.array([1.1, 1.3]), np.eye(2, dtype=bool), np.array([0.01, 0.02]))
    found = decode([samples(outcomes, layout(), masks)], 4, layout(), read, (0, 0), None)

    np.testing.assert_allclose(found["evs"], 1.1 + 2 * 1.3 + 0.5)
    np.testing.assert_allclose(found["raw"], 3.5)
    np.testing.assert_allclose(found["stds"] ** 2, (2 * 1.1) ** 2 * 0.01 + (4 * 1.3) ** 2 * 0.02)


def test_the_calibrations_own_error_counts_at_every_noise_factor() -> None:
    """The same slopes with each factor's own means, ⟨Z⟩ = 1 and 0.5 by counting; their shots spread by 3/4/3 each."""
    noiseless = np.ones((2, 4))
    noisy = np.array([[1.0, 1.0, 1.0, -1.0], [1.0, 1.0, -1.0, 1.0]])
    read = Read(np.array([1.1, 1.3]), np.eye(2, dtype=bool), np.array([0.01, 0.02]))
    found = decode([noiseless, noisy], 4, layout(), read, (1, 1), line)
    sums = 1.1 * noisy[0] + 2 * 1.3 * noisy[1]
    shots = np.array([0.0, sums.var(ddof=1) / 4])
    slopes = np.array([[2 * 1.1, 4 * 1.3], [2 * 1.1 * 0.5, 4 * 1.3 * 0.5]])

    np.testing.assert_allclose(found["stds_noise_factors"] ** 2, shots + slopes**2 @ [0.01, 0.02])

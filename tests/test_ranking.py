"""Who wins a sweep and whether that can be told, by hand and by tables."""

from __future__ import annotations

import math
from typing import Any

import pytest

from runner.sweep.member import Row
from runner.sweep.ranking import MEASURED, TRUE, Ranking, rank


def row(number: int, optimizer: str, seed: int, **facts: Any) -> Row:
    """A finished run."""
    return {
        "number": number, "optimizer": optimizer, "seed": str(seed), "status": "finished",
        "reference_energy": -1.0, **facts,
    }  # fmt: skip


def found(rows: list[Row], *swept: str) -> Ranking:
    """Their ranking."""
    ranked = rank(rows, swept)
    assert ranked is not None
    return ranked


def over_seeds(**errors: list[float]) -> list[Row]:
    """A run for each true error, measured 0.01 too high."""
    return [
        row(
            number,
            name,
            seed,
            energy=-0.99 + error,
            error=error + 0.01,
            exact_energy=-1.0 + error,
            stddev=0.01,
        )
        for number, (name, seed, error) in enumerate(
            (name, seed, error) for name, own in errors.items() for seed, error in enumerate(own)
        )
    ]


def test_ranking_is_by_distance_and_over_seeds() -> None:
    """Runs by the size of their error; settings by the median over their seeds; failures are not ranked."""
    rows = [
        row(0, "a", 1, energy=-1.0, error=0.3),
        row(1, "a", 2, energy=-1.1, error=0.1),
        row(2, "b", 1, energy=-1.3, error=-0.12),
        row(3, "b", 2, energy=-9.0, error=-8.0) | {"status": "failed"},
    ]
    several = found(rows, "optimizer", "seed")

    assert [line["run"] for line in found(rows, "optimizer").lines] == [1, 2, 0]
    assert [(line["optimizer"], line["median"]) for line in several.lines] == [
        ("b", 0.12), ("a", pytest.approx(0.2)),
    ]  # fmt: skip
    assert several.by == MEASURED
    # by hand: the median of two has the error of their mean, 0.1414/√2
    assert several.lines[1]["±"] == pytest.approx(0.1)


def test_differences_within_shot_noise_share_a_place() -> None:
    """By hand: 0.2 − 0.1 are 0.7 of √(0.1² + 0.1²), 0.4 − 0.1 are 2.1 of it, by chance with p = 0.034."""
    errors = {"a": 0.1, "b": 0.2, "c": 0.4}
    single = found(
        [
            row(n, name, 1, energy=-1 + error, error=error, stddev=0.1)
            for n, (name, error) in enumerate(errors.items())
        ],
        "optimizer",
    )

    assert [(line["optimizer"], line[""]) for line in single.lines] == [("a", 1), ("b", 1), ("c", 3)]
    assert single.verdict == (
        "no winner: a (0.1 ± 0.1) and b (0.2 ± 0.1) cannot be told apart by |energy − exact|; "
        "more shots, or several seeds, may"
    )


def test_what_counts_is_the_true_error_where_it_is_known() -> None:
    """The lucky shots of one run are worth nothing: b measured nearer, a is nearer."""
    rows = [
        row(0, "a", 1, energy=-0.95, error=0.05, exact_energy=-0.99, stddev=0.01),
        row(1, "b", 1, energy=-0.97, error=0.03, exact_energy=-0.96, stddev=0.01),
    ]
    ranked = found(rows, "optimizer")

    assert ranked.by == TRUE
    assert [line["optimizer"] for line in ranked.lines] == ["a", "b"]
    assert ranked.verdict == (
        "winner: a (0.01) by true error; next b (0.04); one run each: with other seeds another may win"
    )


def test_rounding_decides_no_place_and_asks_for_no_shots() -> None:
    """−4.4e-16 is two units of the last place of −1.1; nobody takes shots."""
    errors = {"a": 0.0, "b": -4.4e-16, "c": 1e-9}
    ranked = found(
        [
            row(n, name, 1, energy=-1.1 + error, error=error, exact_energy=-1.1 + error, stddev=0.0)
            | {"reference_energy": -1.1}
            for n, (name, error) in enumerate(errors.items())
        ],
        "optimizer",
    )

    assert [(line["optimizer"], line[""], line[TRUE]) for line in ranked.lines] == [
        ("a", 1, 0), ("b", 1, 0), ("c", 3, pytest.approx(1e-9, rel=1e-6)),
    ]  # fmt: skip
    assert ranked.verdict == "no winner: a (0) and b (0) are equal but for rounding by true error"


def test_seeds_are_no_competitors() -> None:
    """By pencil: −0.98, −0.96, −0.94 are −0.96 ± 0.02/√3, spread by 0.02; true errors 0.01, 0.03, 0.05."""
    rows = over_seeds(only=[0.03, 0.01, 0.05])
    ranked = found(rows, "seed")

    assert [line["run"] for line in ranked.lines] == [1, 0, 2]
    assert not [line for line in ranked.lines if "" in line]
    assert ranked.verdict == (
        "3 seeds: energy -0.960000 on average ± 0.012; runs spread by 0.02 where their own ± is 0.01; "
        "true error 0.03 in the median, 0.01 to 0.05"
    )
    assert found(rows[:1], "seed").verdict == "0: 0.03 by true error"


def test_a_winner_over_seeds_has_its_uncertainty() -> None:
    """Five against five that do not overlap: 2 of C(10,5) = 252 orders, p = 0.0079; σ of a median is √(π/2)·s/√5."""
    good, bad = [0.001, 0.002, 0.003, 0.004, 0.005], [0.011, 0.012, 0.013, 0.014, 0.015]
    ranked = found(over_seeds(good=good, bad=bad), "optimizer", "seed")
    error = math.sqrt(math.pi / 2) * 0.001 * math.sqrt(2.5) / math.sqrt(5)

    assert [(line["optimizer"], line[""], line["runs"]) for line in ranked.lines] == [
        ("good", 1, 5),
        ("bad", 2, 5),
    ]
    assert ranked.lines[0]["±"] == pytest.approx(error)
    assert (ranked.lines[0]["run"], ranked.lines[0]["best"]) == (0, pytest.approx(0.001))
    assert ranked.verdict == (
        "winner: good (0.003 ± 0.00089) by true error, median of 5 seeds; "
        "next bad (0.013 ± 0.00089), by chance with p = 0.0079"
    )


def test_the_uncertainty_over_seeds_is_by_their_spread() -> None:
    """By pencil: deviations −3, −1, 1, 3 of 0.01 square to 20, s² = 20/3; σ of a median is √(π/2)·s/√4.

    What the runs tell of their own shots, 1, is another number: nobody has seen it between them. Of two seeds the
    median is the mean, and where they are alike their own 1 is all there is: 1/√2.
    """

    def errors(name: str, *values: float) -> list[Row]:
        return [
            row(number, name, number, energy=-1.0 + value, error=value, stddev=1.0)
            for number, value in enumerate(values)
        ]

    low, high = errors("low", 1.01, 1.03, 1.05, 1.07), errors("high", 1.11, 1.13, 1.15, 1.17)
    ranked = found([*low, *high], "optimizer", "seed")
    two = found([*errors("low", 1.01, 1.03), *errors("high", 2.0, 2.0)], "optimizer", "seed")
    s = 0.01 * math.sqrt(20 / 3)

    assert [line["±"] for line in ranked.lines] == [pytest.approx(math.sqrt(math.pi / 2) * s / 2)] * 2
    assert ranked.verdict.startswith("winner: low (1.04 ± 0.016) by |energy − exact|")
    assert [line["±"] for line in two.lines] == [pytest.approx(0.01), pytest.approx(1 / math.sqrt(2))]


def test_settings_that_cannot_be_told_apart_have_no_winner() -> None:
    """Five each: ranks 1 4 5 8 9 add up to 27, so U = 27 − 15 = 12; 5 % take 2 or less."""
    one, other = [0.001, 0.004, 0.005, 0.008, 0.009], [0.002, 0.003, 0.006, 0.007, 0.010]
    ranked = found(over_seeds(one=one, other=other, far=[1.0, 1.1, 1.2, 1.3, 1.4]), "optimizer", "seed")

    assert [line[""] for line in ranked.lines] == [1, 1, 3]
    assert ranked.verdict.startswith("no winner: one (0.005 ")
    assert "and other (0.006 " in ranked.verdict
    assert "far" not in ranked.verdict


def test_nothing_is_ranked_where_nothing_was_measured() -> None:
    """The lowest of several noisy energies would win by its noise."""
    assert rank([row(0, "a", 1, energy=-2.0, energy_kind="pick")], ["optimizer"]) is None


def test_exact_energies_have_no_standard_error_in_the_ranking() -> None:
    """Where one run of two was sampled, its own is there, and none in the other's line."""
    exact = row(0, "nft", 0, energy=-0.9, error=0.1, stddev=0.0)
    sampled = row(1, "spsa", 0, energy=-0.8, error=0.2, stddev=0.01)
    told = {line["run"]: line.get("stddev") for line in found([exact, sampled], "optimizer").lines}
    assert told == {0: None, 1: 0.01}


def test_two_seeds_of_each_tell_little() -> None:
    """The t test of Welch by scipy on the errors themselves; normal standard errors would say 1.4e-252."""
    from scipy.stats import ttest_ind

    nft, cobyla = [0.000165, 0.000249], [0.0348, 0.0369]
    ranked = found(over_seeds(nft=nft, cobyla=cobyla), "optimizer", "seed")
    expected = ttest_ind(nft, cobyla, equal_var=False).pvalue

    assert expected == pytest.approx(0.019, abs=0.001)
    assert ranked.verdict.startswith("winner: nft ")
    assert ranked.verdict.endswith(f"by chance with p = {expected:.2g}")
    wide = found(over_seeds(nft=nft, cobyla=[0.001, 0.0369]), "optimizer", "seed")
    assert wide.verdict.startswith("no winner: ")


def test_one_run_against_several_spreads_as_they_do() -> None:
    """0.5 is 0.48/(0.01·√(1 + 1/2)) of Student's t from two of 0.02 that spread by 0.01: one degree, an arctan."""
    half = 0.01 / math.sqrt(2)
    ranked = found(over_seeds(a=[0.02 - half, 0.02 + half], b=[0.5]), "optimizer", "seed")
    expected = 1 - 2 / math.pi * math.atan(0.48 / (0.01 * math.sqrt(1.5)))

    assert expected == pytest.approx(0.0162, abs=1e-4)
    assert ranked.verdict.endswith(f"by chance with p = {expected:.2g}")


def test_shots_that_came_out_alike_win_nothing() -> None:
    """Twenty shots that all said −1 may be of −0.9 as well: no standard error, and no place of its own."""
    lucky = row(0, "a", 1, energy=-1.0, error=0.0, stddev=0.0, energy_kind="measured")
    other = row(1, "b", 1, energy=-0.7, error=0.3, stddev=0.1, energy_kind="measured")
    ranked = found([lucky, other], "optimizer")

    assert [(line["optimizer"], line[""], line["stddev"]) for line in ranked.lines] == [
        ("a", 1, "no spread in its shots"), ("b", 1, 0.1),
    ]  # fmt: skip
    assert ranked.verdict == (
        "no winner: a (0) and b (0.3 ± 0.1) cannot be told apart by |energy − exact|; "
        "more shots, or several seeds, may"
    )
    exact = [one | {"energy_kind": "exact", "stddev": 0.0} for one in (lucky, other)]
    assert found(exact, "optimizer").verdict.startswith("winner: a (0)")
    seeds = [lucky, lucky | {"number": 2, "seed": "2"}, other, other | {"number": 3, "seed": "2"}]
    over = found(seeds, "optimizer", "seed")
    assert over.verdict.startswith("no winner: a (0) and b")
    assert [line["±"] for line in over.lines] == [None, pytest.approx(0.1 / math.sqrt(2))]


def test_energies_that_are_zero_to_rounding_are_ranked_and_shown_as_zero() -> None:
    """By hand: rounding leaves 6e-14 of coefficients that add up to 4; of much smaller ones 3e-17 is a value."""
    facts = {"reference_energy": 0.0, "error": 3e-17, "rounding": 6e-14}
    rows = [
        row(0, "a", 1, energy=3e-17, **facts),
        row(1, "b", 1, energy=-2e-15, **{**facts, "error": -2e-15}),
    ]

    ranked = found(rows, "optimizer")
    true = found([{**one, "rounding": 1e-18} for one in rows], "optimizer")

    assert [(line["energy"], line["error"]) for line in ranked.lines] == [(0.0, 0.0), (0.0, 0.0)]
    assert all("rounding" not in line for line in ranked.lines)
    assert ranked.verdict.startswith("no winner: a (0) and b (0) are equal but for rounding")
    assert [line["energy"] for line in true.lines] == [3e-17, -2e-15]

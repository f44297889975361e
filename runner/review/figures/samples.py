"""Bitstrings and how often they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner.review.figures.canvas import BLUE, VERMILION, canvas, plain

if TYPE_CHECKING:
    from runner.review.figures.shown import ShownFigure

MOST = 24
"""Bars that fit side by side with readable names."""


def histogram(
    counts: Mapping[str, float],
    *,
    expected: Mapping[str, float] | None = None,
    label: str = "expected",
    most: int = MOST,
) -> ShownFigure:
    """Share of every bitstring with its standard error; the most frequent ones, the rest in one bar.

    Args:
        counts: bitstring → shots (or probability).
        expected: bitstring → probability, drawn as lines; one that is not there is not known, which is not 0.
        label: what these are.
        most: bars before the rest is summed up.
    """
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = sorted(ranked[:most])
    names = [name for name, _ in shown]
    shares = [count / total if total else 0.0 for _, count in shown]
    sampled = total > 1.5
    errors = [(share * (1 - share) / total) ** 0.5 if sampled else 0.0 for share in shares]
    long = max(map(len, names), default=0) * len(shown) > 60
    figure = canvas(bottom=0.6 + (0.085 * max(map(len, names), default=0) if long else 0.0))
    axes = plain(figure.add_subplot())
    axes.grid(axis="x", visible=False)
    axes.bar(
        range(len(names)), shares, color=BLUE, yerr=errors if sampled else None, ecolor="#333333", capsize=2,
        label=f"measured, {total:.0f} shots" if sampled else "probability",
    )  # fmt: skip
    if len(ranked) > most:
        rest = sum(count for _, count in ranked[most:]) / total
        axes.bar([len(names)], [rest], color="#BBBBBB", hatch="///", edgecolor="white")
        names.append(f"{len(ranked) - most} others")
    if expected is not None:
        known = [(place, expected[name]) for place, (name, _) in enumerate(shown) if name in expected]
        axes.plot(
            [place for place, _ in known], [value for _, value in known], "_",
            color=VERMILION, markersize=14, markeredgewidth=2, linestyle="none", label=label,
        )  # fmt: skip
    axes.set_xticks(range(len(names)), names, rotation=90 if long else 0, family="monospace", fontsize=9)
    axes.set_xlabel("bitstring, qubit 0 on the right")
    axes.set_ylabel("share of the shots" if sampled else "probability")
    axes.legend(frameon=False, fontsize=9)
    return figure

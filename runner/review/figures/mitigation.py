"""What mitigation does to an energy and what it costs: a ladder of ways, and an extrapolation to no noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.review.figures.canvas import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, canvas, number, plain

if TYPE_CHECKING:
    from runner.review.figures.shown import ShownFigure

FITS = (GREEN, ORANGE, PURPLE, SKY)
NAMES = {
    "raw": "raw",
    "readout": "readout errors\nundone (TREX)",
    "zne": "extrapolated to\nno noise (ZNE)",
    "both": "both\n(TREX + ZNE)",
    "pec": "noise cancelled\n(TREX + PEC)",
    "pea": "learned noise\namplified (PEA)",
    "learning": "noise learned,\nonce",
}
"""Rung → what stands beside it."""


def ladder(rows: Sequence[Mapping[str, Any]], ideal: float | None, unit: str) -> ShownFigure | None:
    """The energy of every rung ± σ beside the ideal one, and the price of each; None: rows are no ladder.

    Args:
        rows: those of `experiment=mitigation_ladder`.
        ideal: energy without noise.
        unit: of energies, in words.
    """
    if (
        ideal is None
        or not rows
        or not all("rung" in row for row in rows)
        or not all(number(row.get("energy")) is not None or row["rung"] == "learning" for row in rows)
    ):
        return None
    places = range(len(rows))
    figure = canvas(9.0, 1.5 + 0.75 * len(rows), left=1.5, right=0.9, bottom=0.6, top=0.55)
    energies, prices = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for axes in (energies, prices):
        plain(axes).grid(axis="y", visible=False)
    energies.axvline(ideal, color=VERMILION, linewidth=1.5)
    energies.annotate(
        f"ideal {ideal:.4f}".replace("-", "−"), (ideal, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 4),
        textcoords="offset points", ha="center", fontsize=9, color=VERMILION,
    )  # fmt: skip
    for place, row in zip(places, rows, strict=True):
        if row["energy"] is None:
            continue
        energies.plot(
            [ideal, row["energy"]], [place, place], color=BLUE, alpha=0.3, linewidth=6, solid_capstyle="butt"
        )
        energies.errorbar(row["energy"], place, xerr=row["stddev"], fmt="o", color=BLUE, capsize=3)
        off = row["energy"] - ideal
        energies.annotate(
            f"off by {off:+.4f}{_spread(row['stddev'])}".replace("-", "−"), (row["energy"], place), xytext=(0, 8),
            textcoords="offset points", ha="center", fontsize=9, bbox={"color": "white", "pad": 1},
        )  # fmt: skip
    energies.set_yticks(places, [NAMES.get(row["rung"], row["rung"]) for row in rows])
    energies.set_ylim(len(rows) - 0.5, -0.6)
    energies.margins(x=0.25)
    energies.set_xlabel(f"energy ± σ [{unit}]")
    seconds = [row["qpu_seconds"] for row in rows]
    prices.barh(places, seconds, color=ORANGE, height=0.5)
    for place, row in zip(places, rows, strict=True):
        shots = "" if row.get("shots") is None else f"\n{row['shots']:,} shots".replace(",", " ")
        prices.annotate(
            f"{row['cost']:.2f} USD{shots}", (row["qpu_seconds"], place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=9,
        )  # fmt: skip
    prices.set_xlim(0, 1.25 * max(seconds))
    prices.set_xlabel("QPU seconds")
    return figure


def _spread(stddev: float) -> str:
    """A standard error behind its value; nothing where the value is exact."""
    return f" ± {stddev:.4f}" if stddev else ""


def extrapolation(told: Mapping[str, Any], unit: str, *, of: str = "energy") -> ShownFigure:
    """Energies at every noise factor ± σ, every fit through them, and what was taken at no noise.

    Args:
        told: the `mitigation` of result.json.
        unit: of energies, in words.
        of: what was measured; what is no energy has no unit.
    """
    found = told["extrapolation"]
    figure = canvas()
    axes = plain(figure.add_subplot())
    for place, (name, values) in enumerate(found["fits"].items()):
        along = sorted(zip(found["extrapolated_noise_factors"], values, strict=True))
        points = [point for point in along if number(point[1]) is not None]
        if not points:
            continue
        axes.plot(
            *zip(*points, strict=True), "--", linewidth=1.2, color=FITS[place % len(FITS)],
            label=f"{name.replace('_', ' ')} fit",
        )  # fmt: skip
    axes.errorbar(
        found["noise_factors"], found["energies"], yerr=found["stddevs"], fmt="o", color=BLUE, capsize=3,
        label="measured",
    )  # fmt: skip
    taken = f"without noise: {told['mitigated']:.4f}{_spread(told['stddev'])}"
    axes.errorbar(
        [0.0], [told["mitigated"]], yerr=[told["stddev"]], fmt="D", color=VERMILION, capsize=3,
        label=taken.replace("-", "−"),
    )  # fmt: skip
    axes.set_xlim(left=-0.25)
    axes.set_xlabel("how much the noise is amplified (0: no noise, 1: as it is on the device)")
    axes.set_ylabel(f"{of} [{unit}]" if of == "energy" else of)
    axes.legend(frameon=False, fontsize=9)
    return figure

"""Energies of subspaces against their dimension and their variance, and how the orbitals are occupied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.review.figures.canvas import (
    BLACK,
    BLUE,
    CHEMICAL_ACCURACY,
    GREY,
    ORANGE,
    VERMILION,
    canvas,
    number,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from runner.review.figures.shown import ShownFigure

OTHER_SPIN = 0.5
"""Difference of ⟨S²⟩ from which on a subspace's energy is not on the line, as `sqd` has it."""
Rows = Sequence[Mapping[str, Any]]


def subspace(rows: Rows, exact: float | None, unit: str) -> ShownFigure | None:
    """Energy against dimension; where they are told, energy against variance and occupancies; None: no subspaces.

    Args:
        rows: those of `experiment=sqd`, `skqd` or `krylov`, of whose small subspaces noise may leave no energy.
        exact: the energy to compare with.
        unit: of energies, in words.
    """
    if not all("dimension" in row for row in rows):
        return None
    rows = [row for row in rows if number(row.get("energy")) is not None]
    if not rows:
        return None
    varied = all(number(row.get("variance")) is not None for row in rows)
    occupied = isinstance(rows[-1].get("occupancies"), list)
    parts = 1 + varied + occupied
    figure = canvas(4.6 * parts + 0.6, 4.2, left=0.95, bottom=0.6)
    figure.subplots_adjust(wspace=0.32)
    axes = list(figure.subplots(1, parts, squeeze=False)[0])
    _growth(plain(axes.pop(0)), rows, exact, unit)
    if varied:
        _variances(plain(axes.pop(0)), rows, exact, unit)
    if occupied:
        _occupancies(plain(axes.pop(0)), rows[-1]["occupancies"])
    return figure


def _growth(axes: Axes, rows: Rows, exact: float | None, unit: str) -> None:
    """What is left to the exact energy, or the energy where that is not known, against the dimension."""
    dimensions = [row["dimension"] for row in rows]
    energies = [row["energy"] for row in rows]
    bars = [number(row.get("stddev")) for row in rows]
    spreads = [math.nan if bar is None else bar for bar in bars] if any(bars) else None
    if exact is None:
        axes.errorbar(dimensions, energies, yerr=spreads, fmt="o-", color=BLUE, capsize=3)
        axes.set_ylabel(f"energy ({unit})")
    else:
        least = 1e-10 * min(1.0, abs(exact) or 1.0)
        errors = [max(abs(energy - exact), least) for energy in energies]
        axes.errorbar(dimensions, errors, yerr=spreads, fmt="o-", color=BLUE, capsize=3)
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylabel(f"|energy − exact| ({unit})")
        if unit == "Hartree":
            axes.axhline(CHEMICAL_ACCURACY, color=GREY, linestyle=":", label="chemical accuracy, 1.6 mHa")
            axes.legend(frameon=False, fontsize=9)
    if max(dimensions) > 20 * min(dimensions):
        axes.set_xscale("log")
    axes.set_xlabel("dimension of the subspace")


def _variances(axes: Axes, rows: Rows, exact: float | None, unit: str) -> None:
    """Energies against their variance, and the straight line through them."""
    import numpy as np

    variances = [row["variance"] for row in rows]
    energies = [row["energy"] for row in rows]
    axes.plot(variances, energies, "o", color=BLUE)
    told = number(rows[-1].get("extrapolated"))
    if told is not None:
        alike = [row for row in rows if abs(row["spin_square"] - rows[-1]["spin_square"]) < OTHER_SPIN]
        middle = np.mean([[row["variance"], row["energy"]] for row in alike], axis=0)
        end = max(row["variance"] for row in alike)
        slope = (middle[1] - told) / middle[0]  # the line of least squares goes through the mean
        axes.plot([0.0, end], [told, told + slope * end], color=ORANGE, linewidth=1.5)
        spread = number(rows[-1].get("extrapolated stddev"))
        axes.errorbar([0.0], [told], yerr=spread, fmt="s", color=ORANGE, capsize=3, label="extrapolated")
    if exact is not None:
        axes.axhline(exact, color=VERMILION, linestyle="--", linewidth=1.2, label="exact")
    axes.set_xlabel(f"variance of the energy ({unit}²)")
    axes.set_ylabel(f"energy ({unit})")
    axes.legend(frameon=False, fontsize=9)


def _occupancies(axes: Axes, occupancies: Sequence[float]) -> None:
    """Electrons in each orbital."""
    axes.bar(range(len(occupancies)), occupancies, color=BLUE)
    axes.axhline(2, color=BLACK, linewidth=0.8, alpha=0.4)
    axes.set_xlabel("orbital")
    axes.set_ylabel("electrons in it")

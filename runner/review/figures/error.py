"""Distances from the exact energy, on an axis on which the last standard errors can be seen beside the first steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.review.figures.canvas import BLACK, CHEMICAL_ACCURACY, GREY, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGMAS = 4
"""Standard errors on each side of zero that are drawn to a linear scale."""
LINEAR_DECADES = 1.1
"""Half the height of the linear part, in heights of a decade beside it."""


@dataclass(frozen=True, kw_only=True)
class ErrorScale:
    """Linear around zero, logarithmic outside, so that an error has its sign and its error bar its length."""

    linear: float
    """Up to which distance it is linear, in the unit of the axis."""
    low: float
    """Where the axis begins."""
    high: float
    """Where it ends."""
    factor: float
    """What energies are multiplied by: errors of molecules are read in mHa."""
    unit: str
    """What the axis is in."""

    @classmethod
    def of(cls, errors: Sequence[float], spreads: Sequence[float], energy_unit: str) -> ErrorScale:
        """The scale for some errors.

        Args:
            errors: energy − exact, in the unit of the energies.
            spreads: their standard errors; at least one is above 0.
            energy_unit: what the energies are in, as axes say it.
        """
        hartree = energy_unit == "Hartree"
        factor = 1000.0 if hartree else 1.0
        linear = _rounded_up(factor * SIGMAS * _small(spreads))
        if hartree:
            linear = max(linear, 5.0)
        high = factor * max([*errors, 0.0])
        low = factor * min([*errors, 0.0])
        return cls(
            linear=linear, factor=factor, unit="mHa" if hartree else energy_unit,
            low=-linear if low > -linear else 1.5 * low, high=linear if high < linear else 1.5 * high,
        )  # fmt: skip

    def ticks(self) -> list[float]:
        """Five numbers around zero, and decades outside."""
        first = math.floor(math.log10(self.linear) + 1e-9) + 1
        above = [10.0**power for power in range(first, first + 12) if 10.0**power > 1.5 * self.linear]
        inside = [-self.linear, -self.linear / 2, 0.0, self.linear / 2, self.linear]
        outside = [*(-tick for tick in above), *above]
        return sorted([*inside, *(tick for tick in outside if self.low <= tick <= self.high)])

    def apply(self, axes: Axes, *, what: str, chemical: bool, of: str = "energy") -> Axes:
        """Give some axes the scale, the line of no error and the name of what is on it."""
        from matplotlib.ticker import NullLocator

        plain(axes)
        axes.set_yscale("symlog", linthresh=self.linear, linscale=LINEAR_DECADES)
        axes.set_yticks(self.ticks(), [signed(tick) for tick in self.ticks()])
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(self.low, self.high)
        axes.set_ylabel(f"{of} − {what} ({self.unit})")
        axes.axhline(0.0, color=BLACK, linestyle="--", linewidth=1)
        if chemical:
            reach = self.factor * CHEMICAL_ACCURACY
            axes.axhspan(-reach, reach, color=GREY, alpha=0.2, linewidth=0)
            axes.annotate(
                "chemical accuracy, 1.6 mHa", (0.995, reach), xycoords=("axes fraction", "data"),
                ha="right", va="bottom", fontsize=8, color="#555555",
            )  # fmt: skip
        return axes


def _small(spreads: Sequence[float]) -> float:
    """The standard error that one in ten falls below: near an eigenstate they are smaller than on the way."""
    found = sorted(spread for spread in spreads if spread > 0)
    return found[len(found) // 10]


def _rounded_up(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def signed(value: float) -> str:
    """A tick with its sign: +20, −0.005, 0."""
    return "0" if not value else f"{value:+g}".replace("-", "−")

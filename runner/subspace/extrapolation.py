"""Energies of growing subspaces, continued to where the energy has no variance any more."""

from __future__ import annotations

from collections.abc import Sequence

LEAST = 3
"""Points that a straight line needs to have an error."""
NOTHING = 1e-9
"""A variance that is nothing but rounding and the tolerance of diagonalizations."""
SHARE = 0.25
"""Of the way to no variance that the result is uncertain by at least: the line bends where subspaces are small."""


def to_no_variance(points: Sequence[tuple[float | None, float]]) -> tuple[float, float] | None:
    """Where the straight line through (variance, energy) by least squares meets variance 0, and its uncertainty.

    Close to an eigenstate, energies are off in proportion to their variance (Kashima & Imada 2001). The uncertainty is
    the standard error of the fit, or a quarter of the way from the point of the smallest variance, if that is more.

    Returns:
        None for fewer than three points, without variances, where all have the same, or at an eigenstate already.
    """
    known = [(variance, energy) for variance, energy in points if variance is not None]
    count = len(known)
    nothing = NOTHING * min(1.0, max((energy**2 for _, energy in known), default=0.0))
    if count < LEAST or count < len(points) or min(known)[0] < nothing:
        return None
    mean = sum(variance for variance, _ in known) / count
    spread = sum((variance - mean) ** 2 for variance, _ in known)
    if not spread:
        return None
    middle = sum(energy for _, energy in known) / count
    slope = sum((variance - mean) * (energy - middle) for variance, energy in known) / spread
    at_zero = middle - slope * mean
    residual = sum((energy - at_zero - slope * variance) ** 2 for variance, energy in known)
    error = (residual / (count - 2) * (1 / count + mean**2 / spread)) ** 0.5
    return at_zero, max(error, SHARE * abs(at_zero - min(known)[1]))

"""How large and small the numbers of a Hamiltonian may be, so that sums, squares and variances stay numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.declare.checks import require_number, shorten
from runner.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

LARGEST = 1e60
"""Largest coefficient: the fourth power of a million of them is still a number."""
SMALLEST = 1e-60
"""Least that the largest coefficient may be: its fourth power is not yet zero."""
ROUNDING = 1e-14
"""Coefficients below this, relative to the largest that were added, are what is left of numbers that cancel."""
UNIT = "give it in another unit of energy"


def require_coefficient(key: str, value: object) -> None:
    """Refuse what is not a real number up to 1e60.

    Raises:
        ConfigError: it is none.
    """
    require_number(key, value)
    assert isinstance(value, int | float)
    if abs(value) > LARGEST:
        raise ConfigError(f"must be at most {LARGEST:g} in size, got {shorten(value, 40)}; {UNIT}", key=key)


def collected(operator: SparsePauliOp) -> SparsePauliOp:
    """Equal terms added up, whatever the unit is: Qiskit by itself drops what is below 1e-8."""
    import numpy as np

    sizes = np.abs(operator.coeffs)
    # a constant may be larger than all else by far, and what is measured is the rest
    measured = sizes[~constants(operator)]
    return operator.simplify(
        atol=ROUNDING * float((measured if measured.any() else sizes).max(initial=0.0)), rtol=0
    )


def constants(operator: SparsePauliOp) -> np.ndarray:
    """Which of its terms are the identity's, shape (T,)."""
    found: np.ndarray = ~(operator.paulis.x.any(axis=1) | operator.paulis.z.any(axis=1))
    return found


def largest(operator: SparsePauliOp) -> float:
    """Its largest |coefficient| but for the identity's, in its unit; 0 where there is none other."""
    import numpy as np

    return float(np.abs(operator.coeffs[~constants(operator)]).max(initial=0.0))


def size(operator: SparsePauliOp) -> float:
    """Sum of the |coefficients| without the identity's; no two levels are further apart than twice that.

    What counts as small beside an operator is measured by this: its unit and its constant may be anything.
    """
    import numpy as np

    # one after the other: penalties of recorded runs are multiples of it, to the last bit
    return float(sum(np.abs(operator.coeffs[~constants(operator)]).tolist()))


def check_scale(coefficients: np.ndarray, trivial: Sequence[bool] | np.ndarray, key: str) -> None:
    """Refuse an operator whose numbers overflow, or vanish, where they are added up and squared.

    Args:
        coefficients: shape (terms,).
        trivial: which of the terms are the identity, shape (terms,): what is measured is the rest.
        key: the setting it comes from.

    Raises:
        ConfigError: one is too large or not finite, or all that are measured are too small.
    """
    import numpy as np

    sizes = np.abs(coefficients)
    too_large = sizes[~(sizes <= LARGEST)]
    if too_large.size:
        raise ConfigError(
            f"has a coefficient of {too_large[0]:g}, more than {LARGEST:g} in size; {UNIT}", key=key
        )
    most = sizes[~np.asarray(trivial, dtype=bool)].max(initial=0.0)
    if 0 < most < SMALLEST:
        raise ConfigError(
            f"has no coefficient above {most:g}, and at least one must reach {SMALLEST:g}; {UNIT}", key=key
        )

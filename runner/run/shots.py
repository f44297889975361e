"""How many shots give an energy the standard error aimed at, learned from the job before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner import engine
from runner.declare.estimator import MAX_SHOTS
from runner.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from qiskit.primitives.containers import ObservablesArrayLike

    from runner.services.protocol import Pub

FEWEST = 100
"""Shots per basis below which a sample's variance says too little about its own error."""


class ShotChoice:
    """Shots per basis for energies whose standard error is to be `target`; one for every workload.

    The first job of an observable takes the most that the variance of one shot per basis can be. Every later one takes
    what the job before had, or the same point when it was measured before. So the shots follow from recorded numbers
    alone, and a resumed run chooses the same.
    """

    def __init__(self, target: float) -> None:
        self.target = target
        self._last: dict[float, float] = {}
        self._at: dict[tuple[float, bytes], float] = {}

    def shots(self, most: float, points: np.ndarray | None = None) -> int:
        """Shots per basis for the next job.

        Args:
            most: the most that the energy's variance can be, by one shot per basis; tells observables apart.
            points: parameters of shape (B, P) that it measures, where they may be measured again.

        Raises:
            ConfigError: they are more than a job may have.
        """
        usual = self._last.get(most, most)
        known = [] if points is None else [self._at.get((most, point.tobytes()), usual) for point in points]
        return needed(max(known, default=usual), self.target)

    def learn(self, most: float, variances: Sequence[float], points: np.ndarray | None = None) -> None:
        """Take in what the last job measured.

        Args:
            most: as for `shots`.
            variances: of the energy by one shot per basis at every point, B of them.
            points: where, shape (B, P).
        """
        self._last[most] = max(variances)
        if points is not None:
            for point, variance in zip(points, variances, strict=True):
                self._at[most, point.tobytes()] = variance


def needed(variance: float, target: float) -> int:
    """Shots per basis that bring a variance down to the target's.

    Raises:
        ConfigError: they are more than a job may have.
    """
    shots = max(FEWEST, math.ceil(variance / target**2))
    if shots > MAX_SHOTS:
        raise ConfigError(
            f"{target:g} may take {shots:.1g} shots per basis, more than {MAX_SHOTS:g}; "
            f"make it at least {_rounded_up(math.sqrt(variance / MAX_SHOTS)):g}",
            key="estimator.target_stddev",
        )
    return shots


def _rounded_up(value: float) -> float:
    """The next number of two digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def highest_variance(observable: ObservablesArrayLike) -> float:
    """The most that the variance of one shot per measurement basis can be, whatever the state.

    Args:
        observable: anything the Estimator takes; of several the largest counts.
    """
    terms = engine.pauli_terms(observable)
    return float(engine.variance_bounds(terms, engine.measurement_bases(terms.x, terms.z)).max())


def with_shots(pubs: Sequence[Pub], shots: int) -> list[Pub]:
    """PUBs (circuit, observables[, values]) that ask for so many shots; one that has a precision keeps it."""
    return [pub if len(pub) > 3 else (*pub, *[None] * (3 - len(pub)), shots**-0.5) for pub in pubs]

"""Simultaneous perturbation: two energies per step however many parameters (Spall 1992)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.checks import require_range
from runner.optimizer.method import (
    Ending,
    Frequencies,
    OptimizerConfig,
    Trail,
    Watch,
    optional_count,
    optional_positive,
)

if TYPE_CHECKING:
    import numpy as np

Direction = Callable[[Any, Any, int], Any]


@dataclass(kw_only=True)
class SPSA(OptimizerConfig):
    """θₖ₊₁ = θₖ − aₖ ĝₖ,  ĝₖ = Δₖ [E(θₖ + cₖΔₖ) − E(θₖ − cₖΔₖ)] / 2cₖ,  aₖ = a/(A+k+1)^α,  cₖ = c/(k+1)^γ."""

    iterations: int | None = None
    """Steps; null: as many as max_evaluations allows, or 100."""
    learning_rate: float | None = None
    """a; null: calibrated so that the first step moves each angle by `first_step`."""
    perturbation: float = 0.2
    """c in radians."""
    alpha: float = 0.602
    """Decay exponent of the learning rate."""
    gamma: float = 0.101
    """Decay exponent of the perturbation."""
    stability: float = 0.1
    """A as a share of the number of steps."""
    calibration: int = 25
    """Random directions (two energies each, all in one job) of the calibration; at most half of the budget."""
    first_step: float = 0.15
    """Angle in radians that the first step should move each parameter by."""
    resamplings: int = 1
    """Directions averaged in each step."""
    trust_radius: float | None = 1.0
    """Longest step in radians per parameter; null: no limit."""
    averaging: float = 0.1
    """Share of the steps, at the end, whose points are averaged into the result."""

    label = "SPSA"
    ends_early = False
    uses_bounds = True
    steps_drawn_at_once: ClassVar[int] = 64
    """Drawing is slow, but hardly slower for many numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_count(self, "iterations", "calibration", "resamplings")
        optional_positive(
            self, "learning_rate", "perturbation", "alpha", "gamma", "first_step", "trust_radius"
        )
        require_range("optimizer.stability", self.stability, 0, 10)
        require_range("optimizer.averaging", self.averaging, 0, 1)

    @property
    def energies_per_step(self) -> int:
        """Energies that one step takes."""
        return 2 * self.resamplings

    def most_evaluations(self, frequencies: Frequencies | None) -> int | None:
        """What the calibration, the declared steps and the energy at the end take."""
        most = super().most_evaluations(frequencies)
        if self.iterations is None:
            return most
        calibration = 2 * self.calibration if self.learning_rate is None else 0
        taken = calibration + self.iterations * self.energies_per_step + 1
        return taken if most is None else min(most, taken)

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """Calibrate, then go down for the declared number of steps and average the last points."""
        import numpy as np

        steps, box, radius = self._steps(watch), watch.box, self.trust_radius
        offset = self.stability * steps
        rate = self.learning_rate
        if rate is None:
            rate = self._calibrate(watch, x0, rng) * (offset + 1) ** self.alpha
        direction = self.direction(watch, rng)
        x, trail = x0.copy(), Trail(self.averaging)
        watch.standing = lambda: {"answer": trail.mean() if trail.steps else x}
        for k, signs in enumerate(self._signs(rng, len(x), steps)):
            slope = self.slope(watch, x, self.perturbation / (k + 1) ** self.gamma, signs)
            move = rate / (offset + k + 1) ** self.alpha * direction(x, slope, k)
            length = math.sqrt(move.dot(move))
            if radius is not None and length > radius * (
                1 - 1e-9
            ):  # else no parameter moves further than that
                longest = float(np.maximum.reduce(np.abs(move)))
                if longest > radius:
                    move = move * (radius / longest)
                    length = math.sqrt(move.dot(move))
            x = x - move
            if box is not None:
                x = np.clip(x, *box)
            trail.add(x)
            watch.step(step=length)
        final = trail.mean()
        return Ending(
            parameters=final,
            energy=watch(final),
            success=False,
            message=f"{steps} step{'s' * (steps != 1)} done",
        )

    def slope(self, watch: Watch, x: np.ndarray, width: float, signs: np.ndarray) -> np.ndarray:
        """The simultaneous-perturbation estimate of the gradient at `x`, all energies in one job.

        Args:
            watch: what evaluates.
            x: parameters, shape (P,).
            width: of the perturbation [rad].
            signs: ±1, shape (2R, P): R directions, then their opposites.
        """
        # few calls on purpose: for a few qubits every one takes as long as an evaluation does
        points = x + width * signs
        if watch.box is not None:
            return _slope_inside(watch, watch.inside(points))
        energies = watch.many(points)
        if len(signs) == 2:
            first, second = energies.tolist()
            slope: np.ndarray = signs[0] * ((first - second) / (2 * width))
            return slope
        count = len(signs) // 2
        slopes = (energies[:count] - energies[count:])[:, None] / (2 * width) * signs[:count]
        return slopes.mean(axis=0)

    def _signs(self, rng: np.random.Generator, parameters: int, steps: int) -> Iterator[np.ndarray]:
        """The directions of each step and their opposites, (2R, P), drawn for many steps at once."""
        import numpy as np

        for first in range(0, steps, self.steps_drawn_at_once):
            count = min(self.steps_drawn_at_once, steps - first)
            # what rng.choice draws, at a third of its cost
            signs = 2.0 * rng.integers(2, size=(count, self.resamplings, parameters)) - 1.0
            yield from np.concatenate([signs, -signs], axis=1)

    def direction(self, watch: Watch, rng: np.random.Generator) -> Direction:  # noqa: ARG002 - for QN-SPSA
        """Parameters, slope and number of the step → what the step goes against: here the slope itself."""
        return lambda x, slope, k: slope  # noqa: ARG005

    def _steps(self, watch: Watch) -> int:
        if self.iterations is not None:
            return self.iterations
        calibration = 2 * self._directions(watch) if self.learning_rate is None else 0
        affordable = (watch.left - calibration - 1) / self.energies_per_step
        return 100 if affordable == float("inf") else max(1, int(affordable))

    def _directions(self, watch: Watch) -> int:
        """Calibration directions: as declared, but no more than half of the evaluations that are left."""
        return int(min(self.calibration, max(1, watch.left // 4)))

    def _calibrate(self, watch: Watch, x: np.ndarray, rng: np.random.Generator) -> float:
        """The rate at which a step along the mean slope moves each angle by `first_step`."""
        import numpy as np

        signs = rng.choice([-1.0, 1.0], size=(self._directions(watch), len(x)))
        points = np.concatenate([x + self.perturbation * signs, x - self.perturbation * signs])
        if (box := self.box(len(x))) is not None:
            points = np.clip(points, *box)
        up, down = np.split(watch.many(points), 2)
        slope = float(np.mean(np.abs(up - down))) / (2 * self.perturbation)
        # where all is flat, what is left of the slope is rounding, of the energies' size where that is below 1
        size = float(np.mean(np.abs(up)))
        return self.first_step / max(slope, 1e-10 * (min(1.0, size) or 1.0))


def _slope_inside(watch: Watch, points: np.ndarray) -> np.ndarray:
    """The estimate from points (2R, P) that bounds may have moved, each parameter's difference being what is left."""
    import numpy as np

    energies = watch.many(points)
    count = len(points) // 2
    slopes = (energies[:count] - energies[count:])[:, None] / (points[:count] - points[count:])
    return np.asarray(slopes.mean(axis=0))


@dataclass(kw_only=True)
class QNSPSA(SPSA):
    """SPSA along the natural gradient g⁻¹∇E, the metric g estimated from four overlaps per step (Gacon et al. 2021).

    The metric is taken in units of its mean eigenvalue: it says which way to go and how far compared with other
    directions, while the length of the steps is calibrated as for SPSA.
    """

    regularization: float = 1.0
    """Added to the metric, in units of its mean eigenvalue, before it is inverted; bounds what its noise can do."""
    metric_samples: int = 1
    """Metrics averaged in each step, four overlaps each."""

    label = "QN-SPSA"
    uses_fidelity = True
    steps_drawn_at_once = 1  # between two steps the metric draws

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_positive(self, "regularization")
        optional_count(self, "metric_samples")

    def direction(self, watch: Watch, rng: np.random.Generator) -> Direction:
        """The slope divided by the metric, which is the running mean of all estimates so far."""
        import numpy as np

        mean: Any = 0.0

        def natural(x: np.ndarray, slope: np.ndarray, k: int) -> np.ndarray:
            nonlocal mean
            before = np.eye(len(x)) if k == 0 else mean
            mean = ((k + 1) * before + self._metric(watch, x, rng)) / (k + 2)
            values, vectors = np.linalg.eigh(mean)
            sizes = np.abs(values) / max(np.abs(values).mean(), 1e-300)
            scales = (1 + self.regularization) / (sizes + self.regularization)
            return vectors @ (scales * (vectors.T @ slope))

        return natural

    def _metric(self, watch: Watch, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The metric −½ ∂²F: a mixed second difference of the overlap F along two random directions."""
        import numpy as np

        width, count = self.perturbation, len(x)
        total = np.zeros((count, count))
        for _ in range(self.metric_samples):
            first, second = rng.choice([-1.0, 1.0], size=(2, count))
            shifts = width * np.array([first + second, first, -first + second, -first])
            overlaps = watch.fidelities(np.tile(x, (4, 1)), x + shifts)
            curvature = (overlaps[0] - overlaps[1] - overlaps[2] + overlaps[3]) / (2 * width**2)
            total -= curvature * (np.outer(first, second) + np.outer(second, first)) / 4
        return total / self.metric_samples

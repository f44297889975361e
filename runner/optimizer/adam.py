"""Adam: gradient descent with a step of its own for every parameter (Kingma & Ba 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.declare.checks import require_range
from runner.optimizer.method import Ending, OptimizerConfig, Trail, Watch, optional_count, optional_positive

if TYPE_CHECKING:
    import numpy as np

AVERAGED = 0.1
"""Share of the steps, at the end, whose points are averaged into a second candidate."""


@dataclass(kw_only=True)
class Adam(OptimizerConfig):
    """θ ← θ − η m̂/(√v̂ + ε), with running means m of the gradient and v of its square."""

    iterations: int | None = None
    """Steps; null: until the gradient is small or the evaluations are used up."""
    learning_rate: float = 0.05
    """η in radians."""
    beta1: float = 0.9
    """Memory of the gradient, below 1."""
    beta2: float = 0.99
    """Memory of its square, below 1."""
    epsilon: float = 1e-8
    """ε, against division by zero."""
    amsgrad: bool = False
    """Never let v̂ shrink (Reddi, Kale & Kumar 2018)."""
    gtol: float = 1e-4
    """Norm of the gradient at which it has converged; at a bound, of the part that leads inward."""
    difference_step: float = 1e-3
    """Width in radians of the central differences used where no gradient is declared."""

    label = "Adam"
    uses_gradient = True
    uses_bounds = True

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_count(self, "iterations")
        optional_positive(self, "learning_rate", "epsilon", "gtol", "difference_step")
        for name in ("beta1", "beta2"):
            require_range(f"optimizer.{name}", getattr(self, name), 0, 0.999999)

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:  # noqa: ARG002 - no randomness
        """Go down step by step; ends at the last point whose energy is known."""
        import numpy as np

        x = x0.copy()
        mean, square, largest = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        k, box, trail = 0, self.box(len(x)), Trail(AVERAGED)
        watch.standing = lambda: {"answer": x, "mean": trail.mean()}
        while True:
            trail.add(x)
            energy, slope = watch.value_and_gradient(x, self.difference_step)
            inward = slope if box is None else x - np.clip(x - slope, *box)
            norm = math.sqrt(inward.dot(inward))  # as `np.linalg.norm`, in half the time
            if norm < self.gtol:
                return Ending(parameters=x, energy=energy, message=f"gradient {norm:.1e} below gtol")
            if self.iterations is not None and k == self.iterations:
                return Ending(
                    parameters=x, energy=energy, success=False, message=f"{k} step{'s' * (k != 1)} done"
                )
            k += 1
            mean = self.beta1 * mean + (1 - self.beta1) * slope
            square = self.beta2 * square + (1 - self.beta2) * slope**2
            largest = np.maximum(largest, square) if self.amsgrad else square
            root = np.sqrt(largest / (1 - self.beta2**k)) + self.epsilon
            x = x - self.learning_rate * mean / (1 - self.beta1**k) / root
            if box is not None:
                x = np.clip(x, *box)
            watch.step(energy, gradient_norm=norm)

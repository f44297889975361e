"""An own optimizer: random steps, kept when they go down."""

from dataclasses import dataclass

from runner.optimizer import OptimizerConfig
from runner.optimizer.method import Ending


@dataclass(kw_only=True)
class RandomSearch(OptimizerConfig):
    """Counting, limits, target energy and the best point come with OptimizerConfig."""

    step: float = 0.3
    """Standard deviation of a step in radians."""

    def descend(self, watch, x0, rng):
        """Ask `watch` for energies; it stops the loop when the evaluations are used up."""
        best, energy = x0, watch(x0)
        while True:
            trial = best + self.step * rng.normal(size=len(x0))
            found = watch(trial)
            if found < energy:
                best, energy = trial, found
                watch.step(energy)
            if watch.left <= 0:
                return Ending(parameters=best, energy=energy, message="evaluations used up")

"""CMA-ES: a cloud of points that learns the shape of the landscape (Hansen & Ostermeier 2001), by the cma package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.declare.checks import require_integer
from runner.errors import installed
from runner.optimizer.method import Ending, Method, OptimizerConfig, Watch, optional_count, optional_positive

if TYPE_CHECKING:
    import numpy as np

CONVERGED = frozenset({"tolfun", "tolx", "tolfunhist"})
"""Ends of the cma package at which the cloud has come to rest; at others it was stopped, or cannot go on."""


@dataclass(kw_only=True)
class CMAES(OptimizerConfig):
    """Every generation is one job of `population` energies; needs `pip install 'session-runner[cma]'`."""

    sigma: float = 0.3
    """Width of the first cloud in radians."""
    population: int | None = None
    """Points per generation; null: 4 + 3 ln P."""
    generations: int | None = None
    """Most generations; null: until converged or the evaluations are used up."""
    tolfun: float = 1e-6
    """Spread of the energies of recent generations at which it has converged."""
    tolx: float = 1e-5
    """Width of the cloud in radians at which it has converged."""

    label = "CMA-ES"
    uses_bounds = True

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_positive(self, "sigma", "tolfun", "tolx")
        optional_count(self, "generations")
        if self.population is not None:
            require_integer("optimizer.population", self.population, 4)

    def build(self) -> Method:
        """The minimizer.

        Raises:
            ConfigError: the cma package is not installed.
        """
        with installed("needs the package cma; pip install 'session-runner[cma]'", key="optimizer"):
            import cma  # noqa: F401 - only to find out before anything starts
        return super().build()  # type: ignore[return-value]

    def descend(self, watch: Watch, x0: np.ndarray, rng: np.random.Generator) -> Ending:
        """Ask for generations until converged; the centre of the last cloud is the result."""
        import cma
        import numpy as np

        strategy = cma.CMAEvolutionStrategy(x0, self.sigma, self._options(len(x0), rng))
        watch.standing = lambda: {"answer": strategy.result.xfavorite}
        while not strategy.stop():
            points = np.array(strategy.ask())
            strategy.tell(list(points), watch.many(points).tolist())
            watch.step(float(strategy.best.f), sigma=float(strategy.sigma))
        centre = np.array(strategy.result.xfavorite)
        reasons = list(strategy.stop())
        converged = not CONVERGED.isdisjoint(reasons)
        return Ending(parameters=centre, energy=watch(centre), success=converged, message=", ".join(reasons))

    def _options(self, parameters: int, rng: np.random.Generator) -> dict[str, Any]:
        import numpy as np

        options = {
            "randn": lambda *shape: rng.normal(size=shape),
            "seed": np.nan,  # leave numpy's global generator alone
            "verbose": -9,
            "tolfun": self.tolfun,
            "tolx": self.tolx,
        }
        if self.population is not None:
            options["popsize"] = self.population
        if self.generations is not None:
            options["maxiter"] = self.generations
        if (box := self.box(parameters)) is not None:
            options["bounds"] = [bound.tolist() for bound in box]
        return options

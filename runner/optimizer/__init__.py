"""Classical minimizers: every method of SciPy, and those made for quantum energies.

`build().minimize(energy, x0, …)` asks for energies and reports steps; it knows neither circuits nor sessions.
"""

from runner.optimizer.method import Optimizer, OptimizerConfig, OptimizerResult, StopOptimization
from runner.optimizer.scipy_methods import METHODS
from runner.optimizer.spsa import SPSA

SCHEMAS: dict[str, type[OptimizerConfig]] = {**METHODS, "spsa": SPSA}

__all__ = ["SCHEMAS", "Optimizer", "OptimizerConfig", "OptimizerResult", "StopOptimization"]

"""Classical minimizers: every method of SciPy, and those made for quantum energies.

`build().minimize(energy, x0, …)` asks for energies and reports steps; it knows neither circuits nor sessions.
"""

from runner.optimizer.adam import Adam
from runner.optimizer.cma_es import CMAES
from runner.optimizer.method import Candidate, Optimizer, OptimizerConfig, OptimizerResult, StopOptimization
from runner.optimizer.nft import NFT
from runner.optimizer.scipy_methods import METHODS
from runner.optimizer.spsa import QNSPSA, SPSA

SCHEMAS: dict[str, type[OptimizerConfig]] = {
    **METHODS,
    "spsa": SPSA,
    "qn_spsa": QNSPSA,
    "adam": Adam,
    "nft": NFT,
    "cma_es": CMAES,
}
"""Schema name → declaration."""

__all__ = ["SCHEMAS", "Candidate", "Optimizer", "OptimizerConfig", "OptimizerResult", "StopOptimization"]

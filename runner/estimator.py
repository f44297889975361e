"""How expectation values are obtained: exactly, or from shots as on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from runner.errors import ConfigError
from runner.require import require_range

MAX_SHOTS = 10_000_000


@dataclass(kw_only=True)
class ExactEstimator:
    """Exact expectation values, no shot noise; what they would cost is told for `default_shots`."""

    name: str
    """Name of the choice."""
    default_shots: int = 4096
    """Shots per measurement basis that the cost model assumes, and that the Sampler draws."""

    def __post_init__(self) -> None:
        require_range("estimator.default_shots", self.default_shots, 1, MAX_SHOTS)

    @property
    def precision(self) -> float:
        """Target standard error given to the Estimator; 0 asks for the exact value."""
        return 0.0

    @property
    def options(self) -> dict[str, Any]:
        """Estimator options in the client's names."""
        return {"default_shots": self.default_shots}


@dataclass(kw_only=True)
class ShotsEstimator:
    """Sampled expectation values with honest standard errors."""

    name: str
    """Name of the choice."""
    default_shots: int | None = 4096
    """Shots per measurement basis."""
    default_precision: float | None = None
    """Target standard error instead of a number of shots; shots = 1/precision²."""
    max_execution_time: int | None = None
    """QPU seconds after which a job is cancelled; null: no limit of its own."""

    def __post_init__(self) -> None:
        if self.default_shots is not None and self.default_precision is not None:
            raise ConfigError(
                "both shots and precision are given; add estimator.default_shots=null to use the precision",
                key="estimator.default_precision",
            )
        if self.default_shots is None and self.default_precision is None:
            raise ConfigError("give default_shots or default_precision", key="estimator.default_shots")
        if self.default_shots is not None:
            require_range("estimator.default_shots", self.default_shots, 1, MAX_SHOTS)
        if self.default_precision is not None:
            self._check_precision(self.default_precision)
        if self.max_execution_time is not None:
            require_range("estimator.max_execution_time", self.max_execution_time, 1, 10_800)

    @staticmethod
    def _check_precision(precision: float) -> None:
        key = "estimator.default_precision"
        if not (math.isfinite(precision) and 0 < precision <= 1):
            raise ConfigError(
                f"must be in (0, 1], got {precision}; estimator=exact gives exact values", key=key
            )
        if precision**-2 > MAX_SHOTS:
            raise ConfigError(
                f"{precision:g} implies {precision**-2:.1g} shots, more than {MAX_SHOTS:g}; raise it", key=key
            )

    @property
    def precision(self) -> float | None:
        """Target standard error given to the Estimator; None where the number of shots decides."""
        return self.default_precision

    @property
    def options(self) -> dict[str, Any]:
        """Estimator options in the client's names."""
        shots = self.default_shots or math.ceil((self.default_precision or 1.0) ** -2)
        options: dict[str, Any] = {"default_shots": shots}
        if self.max_execution_time is not None:
            options["max_execution_time"] = self.max_execution_time
        return options


SCHEMAS = {"exact": ExactEstimator, "shots": ShotsEstimator}

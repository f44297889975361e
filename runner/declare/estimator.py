"""How expectation values are obtained: exactly, or from shots as on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from runner.declare.alternatives import either
from runner.declare.checks import require_choice, require_positive, require_range
from runner.declare.mitigation import MitigationConfig
from runner.declare.plain import Values
from runner.errors import ConfigError
from runner.runtime.plan import PLANS

if TYPE_CHECKING:
    from runner.runtime.plan import Plan

MAX_SHOTS = 10_000_000
LONGEST_JOB = int(max(plan.max_time("job") for plan in PLANS.values()))
"""QPU seconds that no plan's jobs may exceed."""
GROUPINGS = ("qubit_wise", "sorted", "commuting")
ALLOCATIONS = ("uniform", "weighted", "optimal")
READINGS = ("own_basis", "every_basis")
SAMPLER_SHOTS = 4096
"""What the Sampler draws to measure overlaps where the energies have a target; the service's default."""


@dataclass(kw_only=True)
class EstimatorConfig:
    """What every way of obtaining expectation values answers."""

    name: str
    """Name of the choice."""
    grouping: str = "qubit_wise"
    """Terms measured together: qubit_wise (fewest bases) | sorted (heaviest first) | commuting (Clifford circuits)."""

    def __post_init__(self) -> None:
        require_choice("estimator.grouping", self.grouping, GROUPINGS)

    @property
    def allocation(self) -> str:
        """How shots are shared out among the bases."""
        return "uniform"

    @property
    def reading(self) -> str:
        """Off which bases a term is read."""
        return "own_basis"

    @property
    def precision(self) -> float | None:
        """Precision given to the Estimator; 0 asks for the exact value, None leaves it to the shots."""
        raise NotImplementedError

    @property
    def options(self) -> Values:
        """Estimator options in the client's names."""
        raise NotImplementedError

    @property
    def mitigation(self) -> Values:
        """What is done against errors, as options of the Estimator in the client's names; empty where nothing is."""
        return {}

    @property
    def final_mitigation(self) -> Values:
        """The same in the jobs that measure the result of an optimization."""
        return self.mitigation

    @property
    def decouples(self) -> bool:
        """Whether sequences of gates are put into waits."""
        return False

    @property
    def target(self) -> float | None:
        """Standard error of the energy that is aimed at; None where shots or precision are declared."""
        return None

    @property
    def job_limit(self) -> float | None:
        """QPU seconds after which a job is cancelled; None where that is the plan's."""
        return None

    def longest_job(self, plan: Plan) -> float:
        """QPU seconds after which a job ends: as declared, else the plan's."""
        return self.job_limit or plan.max_time("job")

    def without_job_limit(self) -> Self:
        """The same with jobs that may take what the plan allows."""
        return self


@dataclass(kw_only=True)
class ExactEstimator(EstimatorConfig):
    """Exact expectation values, no shot noise; what they would cost is told for `default_shots`."""

    default_shots: int = 4096
    """Shots per measurement basis that the cost model assumes, and that the Sampler draws."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("estimator.default_shots", self.default_shots, 1, MAX_SHOTS)

    @property
    def precision(self) -> float:
        """Precision given to the Estimator; 0 asks for the exact value."""
        return 0.0

    @property
    def options(self) -> Values:
        """Estimator options in the client's names."""
        return {"default_shots": self.default_shots}


@either(default_shots=None, default_precision=None, target_stddev=None)
@dataclass(kw_only=True)
class ShotsEstimator(MitigationConfig, EstimatorConfig):
    """Sampled expectation values with honest standard errors; shots, precision or target says how many shots."""

    default_shots: int | None = 4096
    """Shots per measurement basis."""
    default_precision: float | None = None
    """Standard error of a Pauli term of weight 1 at most, as the service has it: 1/precision² shots per basis."""
    target_stddev: float | None = None
    """Standard error of the energy aimed at, in its unit; shots follow from the variances of the job before."""
    shot_allocation: str = "uniform"
    """Shots of a basis, the total being the same: uniform | weighted (∝ √Σc²) | optimal (∝ σ in the job before)."""
    term_reading: str = "own_basis"
    """Bases that a term is read off: own_basis (its group's) | every_basis (all that can, weighted by covariances)."""
    max_execution_time: int | None = None
    """QPU seconds after which a job is cancelled; null: no limit of its own."""

    def __post_init__(self) -> None:
        for part in (MitigationConfig, EstimatorConfig):
            part.__post_init__(self)
        require_choice("estimator.shot_allocation", self.shot_allocation, ALLOCATIONS)
        require_choice("estimator.term_reading", self.term_reading, READINGS)
        self._check_choice()
        self._check_measured()
        if self.default_shots is not None:
            require_range("estimator.default_shots", self.default_shots, 1, MAX_SHOTS)
        if self.default_precision is not None:
            self._check_precision(self.default_precision)
        if self.target_stddev is not None:
            require_positive("estimator.target_stddev", self.target_stddev)
        if self.max_execution_time is not None:
            require_range("estimator.max_execution_time", self.max_execution_time, 1, LONGEST_JOB)

    def _check_measured(self) -> None:
        """Refuse other ways to measure beside mitigation, which measures as the client does."""
        usual_ways = {"grouping": "qubit_wise", "shot_allocation": "uniform", "term_reading": "own_basis"}
        others = [name for name, usual in usual_ways.items() if getattr(self, name) != usual]
        if others and (self.mitigation or self.final_mitigation):
            wanted = " ".join(f"estimator.{name}={usual_ways[name]}" for name in others)
            raise ConfigError(
                f"{getattr(self, others[0])} does not go with mitigation; use {wanted}, as estimator=level1 does",
                key=f"estimator.{others[0]}",
            )
        if self.term_reading == "every_basis" and self.shot_allocation != "optimal":
            raise ConfigError(
                f"every_basis goes with optimal shares of the shots, got {self.shot_allocation}; "
                "add estimator.shot_allocation=optimal",
                key="estimator.term_reading",
            )

    def _check_choice(self) -> None:
        """Refuse more than one way of saying how many shots, and none."""
        ways = {"default_precision": "precision", "target_stddev": "target"}
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(
                "both precision and target are given; set estimator.default_precision=null",
                key="estimator.target_stddev",
            )
        if given and self.default_shots is not None:
            (name,) = given
            raise ConfigError(
                f"both shots and {ways[name]} are given; add estimator.default_shots=null to use the {ways[name]}",
                key=f"estimator.{name}",
            )
        if not given and self.default_shots is None:
            raise ConfigError(
                "give default_shots, default_precision or target_stddev", key="estimator.default_shots"
            )

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
    def allocation(self) -> str:
        """As declared."""
        return self.shot_allocation

    @property
    def reading(self) -> str:
        """As declared."""
        return self.term_reading

    @property
    def precision(self) -> float | None:
        """Precision given to the Estimator; None where the number of shots decides."""
        return self.default_precision

    @property
    def target(self) -> float | None:
        """As declared."""
        return self.target_stddev

    @property
    def job_limit(self) -> float | None:
        """As declared."""
        return self.max_execution_time

    def without_job_limit(self) -> Self:
        """As if none were declared."""
        return replace(self, max_execution_time=None)

    @property
    def options(self) -> Values:
        """Estimator options in the client's names; with a target, what the Sampler draws."""
        shots = self.default_shots
        if self.default_precision is not None:
            shots = math.ceil(self.default_precision**-2)
        options: Values = {"default_shots": shots or SAMPLER_SHOTS}
        if self.max_execution_time is not None:
            options["max_execution_time"] = self.max_execution_time
        return options


SCHEMAS = {"exact": ExactEstimator, "shots": ShotsEstimator}

"""Everything that can be found wrong before anything is created: the problem built against the backend."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from runner.declare.config import RunConfig
from runner.errors import ConfigError, ConfigWarning
from runner.record.replay import Record
from runner.run.problem import chosen_gradient
from runner.run.signals import StopFlag

if TYPE_CHECKING:
    from runner.run.context import Lab
    from runner.run.problem import Problem


class Preparation:
    """Everything that can be found wrong before anything is created: the problem built against the backend."""

    def __init__(self, config: RunConfig, **live: Any) -> None:
        self.config = config
        self._record: Record | None = None
        limit = getattr(config.estimator, "max_execution_time", None)
        config.session.check_job_limit(limit, "estimator.max_execution_time")
        self.service = config.backend.service(
            config,
            seed=config.seed,
            on_event=lambda kind, fields: self._record and self._record(kind, fields),
            recall=lambda workload, index, digest: (
                self._record and self._record.recall(workload, index, digest)
            ),
            **live,
        )
        self.backend = config.backend.build(self.service)
        self.problem: Problem | None = None
        if config.experiment.needs_problem:
            from runner.run.problem import Problem

            self.problem = Problem.build(config, self.backend)
            self._check_plan(self.problem)
        self.prepared = config.experiment.prepare(config, self.backend, self.problem)

    def lab(self, record: Record, stop: StopFlag) -> Lab:
        """The lab in which the experiment will run; from now on every fact goes to `record`."""
        from runner.run.context import Lab

        self._record = record
        self.config.backend.continue_from(self.service, record)
        return Lab(self.config, self.service, self.backend, self.problem, record, stop, self.prepared)

    def _check_plan(self, problem: Problem) -> None:
        """Compile what will be evaluated: too much memory, circuits the backend cannot run, no exact gradient.

        The plan is cached, so the first job finds it ready. A backend that is not simulated here has no plans.
        """
        config = self.config
        if any(optimizer.uses_gradient for optimizer in config.experiment.optimizers_of(config)):
            chosen_gradient(config.gradient, config, self.backend, (problem.circuit, problem.observable))
        make_plan = getattr(self.backend, "estimator_plan", None)
        if make_plan is None:
            return
        plan = make_plan(problem.circuit, problem.observable)
        plan.require(exact=config.estimator.precision == 0)
        if self.config.gradient == "adjoint" and not plan.exact_gradient:
            raise ConfigError(
                "adjoint needs an exact simulation without noise; use backend=ideal, or gradient=parameter_shift",
                key="gradient",
            )
        self._first_shots(plan)
        self._check_time(plan)

    def _first_shots(self, plan: Any) -> int:
        """Shots per basis of the first job.

        Raises:
            ConfigError: the declared standard error takes more than a job may have.
        """
        from runner.run.shots import needed

        target = getattr(self.config.estimator, "target_stddev", None)
        if target is None:
            return int(self.config.estimator.options["default_shots"])
        return needed(float(plan.variance_bounds.max()), target)

    def _check_time(self, plan: Any) -> None:
        """Compare the first energy or gradient with what a job and the session may take.

        Raises:
            ConfigError: no such job may run to its end.
        """
        from runner.runtime.cost import Work

        optimizer = self.config.optimizer
        points = 1
        if optimizer.uses_gradient:
            other = {"spsa": 3, "none": 2 * plan.num_parameters + 1}
            points = other.get(self.config.gradient, plan.gradient_sets)
        shots = self._first_shots(plan)
        needed = self.service.cost.qpu_seconds([Work(points * shots * plan.num_bases, plan.duration)])
        what = "gradient" if points > 1 else "energy"
        self._require_job(f"one {what}", needed, shots)
        session = self.config.session
        limit = session.max_time_seconds
        if limit is not None and session.mode != "job" and needed > limit:
            warnings.warn(
                f"session.max_time: {limit} s are shorter than the job of one {what}, about {needed:.1f} s; "
                "raise it, or take fewer shots",
                ConfigWarning,
                stacklevel=2,
            )

    def _require_job(self, what: str, needed: float, shots: int) -> None:
        estimator = self.config.estimator
        own = getattr(estimator, "max_execution_time", None)
        longest = own or self.service.plan.max_job_time
        if needed <= longest:
            return
        told = f"{what} is a job of about {needed:.0f} s of QPU time, and a job ends after {longest:g} s"
        if own is not None:
            raise ConfigError(f"{told}; raise it", key="estimator.max_execution_time")
        if getattr(estimator, "target_stddev", None) is not None:
            raise ConfigError(f"{told}; raise it", key="estimator.target_stddev")
        fewer = max(1, int(shots * longest / needed))
        raise ConfigError(f"{told}; take at most {fewer} shots per basis", key="estimator.default_shots")

"""Everything that can be found wrong before anything is created: the problem built against the backend."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from runner.config import RunConfig
from runner.errors import ConfigError, ConfigWarning
from runner.problem import chosen_gradient
from runner.record import Record
from runner.signals import StopFlag

if TYPE_CHECKING:
    from runner.lab import Lab
    from runner.problem import Problem


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
            from runner.problem import Problem

            self.problem = Problem.build(config, self.backend)
            self._check_plan(self.problem)
        self.prepared = config.experiment.prepare(config, self.backend, self.problem)

    def lab(self, record: Record, stop: StopFlag) -> Lab:
        """The lab in which the experiment will run; from now on every fact goes to `record`."""
        from runner.lab import Lab

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
        from runner.shots import needed

        target = getattr(self.config.estimator, "target_stddev", None)
        if target is None:
            return int(self.config.estimator.options["default_shots"])
        return needed(float(plan.variance_bounds.max()), target)

    def _check_time(self, plan: Any) -> None:
        """Warn where the session would end in its first energy or gradient: the time limit has to exceed any job."""
        session, optimizer = self.config.session, self.config.optimizer
        limit = session.max_time_seconds
        if limit is None or session.mode == "job":
            return
        from runner.runtime.cost import Work

        points = 1
        if optimizer.uses_gradient:
            other = {"spsa": 3, "none": 2 * plan.num_parameters + 1}
            points = other.get(self.config.gradient, plan.gradient_sets)
        work = Work(points * self._first_shots(plan) * plan.num_bases, plan.duration)
        needed = self.service.cost.qpu_seconds([work])
        if needed > limit:
            what = "gradient" if points > 1 else "energy"
            warnings.warn(
                f"session.max_time: {limit} s are shorter than the job of one {what}, about {needed:.1f} s; "
                "raise it, or take fewer shots",
                ConfigWarning,
                stacklevel=2,
            )

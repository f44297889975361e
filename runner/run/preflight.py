"""Everything that can be found wrong before anything is created: the problem built against the backend."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from runner.declare.config import RunConfig
from runner.declare.files import fingerprint
from runner.declare.plain import Values
from runner.display.words import RESIDUE
from runner.errors import ConfigError, ConfigWarning, TruncationError
from runner.record.events import IbmAnnounced, JobCompleted, JobSubmitted, SessionChanged
from runner.record.files import MAX_LINE
from runner.record.replay import COUNTED, FUSED, IDENTITY, Record
from runner.run.allocation import allocation_of
from runner.run.budget import no_room
from runner.run.choice import settled
from runner.run.context import MOST_CANDIDATES, Lab
from runner.run.experiment import sets_of_a_gradient
from runner.run.mitigation import CORRECTED, declared, in_words, require_noise, require_suitable, sampled
from runner.run.problem import Problem, chosen_gradient, unheard
from runner.run.readout import require_readout
from runner.run.shots import needed
from runner.run.signals import StopFlag
from runner.runtime.cost import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qiskit import QuantumCircuit

    from runner.services.protocol import Backend, CompiledPlan, Planner, Service

RECORDED = (IbmAnnounced, SessionChanged, JobSubmitted, JobCompleted)
"""Facts that a service takes over which does not repeat its past."""

ROOM_BESIDE = 1 << 16
"""Bytes of a job's line that hold no bits."""


class Preparation:
    """Everything that can be found wrong before anything is created: the problem built against the backend.

    Args:
        config: the declaration.
        stage: told in words what is done next.
        ids: what the ids of sessions and jobs depend on beside the seed, see `RunStarted.ids`.
        chosen: the device that an earlier process of the run has chosen, where that was left to it.
        calibration: of the real machine, as that process found it.
        like: what planned the same run before, whose learning of noise is taken over.
        live: what the service gets in place of its own: an engine_factory, limits.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        identity: int = IDENTITY,
        ids: str = "",
        chosen: str | None = None,
        calibration: Values | None = None,
        stage: Callable[[str], None] = unheard,
        like: Planner | None = None,
        **live: Any,
    ) -> None:
        offline = "engine_factory" in live
        config, self.choice = settled(config, stage, chosen=chosen, offline=offline)
        self.config = config
        stage(f"reading backend {config.backend.name}")
        self._record: Record | None = None
        config.session.check_job_limit(config.estimator.job_limit, "estimator.max_execution_time")
        self.service: Service = config.backend.service(
            config,
            seed=config.seed,
            ids=ids,
            on_event=lambda event: self._record and self._record(event),
            recall=lambda workload, index, digest: (
                self._record and self._record.recall(workload, index, digest)
            ),
            follows=lambda workload, index, digest: bool(
                self._record and self._record.follows(workload, index, digest)
            ),
            past=lambda: self._record,
            keep_results=False,
            singly=identity < COUNTED,
            fused=identity >= FUSED,
            calibration=calibration,
            **live,
        )
        self.backend: Backend = config.backend.build(self.service)
        if like is not None and self.backend.planner is not None:
            self.backend.planner.learn_as(like)
        self.problem: Problem | None = None
        self.mitigation = declared(self._errors(final=False))
        """What is done against errors; None where nothing is."""
        require_noise(self.mitigation, self.backend)
        self.final_mitigation = declared(self._errors(final=True))
        """The same in the jobs that measure the result of an optimization."""
        require_noise(self.final_mitigation, self.backend)
        self.sampling = sampled(config, self.backend)
        """What is done against errors while bitstrings are drawn; None where nothing is."""
        self.simulation: str | None = None
        """How noise or branches of the ansatz are simulated, and why, in words; None where there are none."""
        if not config.experiment.needs_problem:
            self._require_suitable()
        else:
            self.problem = Problem.build(config, self.backend, stage)
            stage("compiling circuit and observable")
            self._require_suitable(self.problem.circuit, self.problem.observable)
            self._check_plan(self.problem)
        stage(f"preparing experiment {config.experiment.name}")
        self.prepared = config.experiment.prepare(config, self.backend, self.problem)
        self.simulation = self.simulation or config.experiment.simulation(self.prepared)
        self._check_sampled()
        self._require_first_job()
        self.simulation = self.simulation or self._sampled_words()

    @property
    def quantity(self) -> str | None:
        """What the run evaluates, by its name; None where it evaluates nothing."""
        return self.config.experiment.quantity(self.prepared, self.problem)

    @property
    def files(self) -> dict[str, dict[str, str]]:
        """Part of the declaration that takes part → file that it was read from → digest of its content."""
        config, found = self.config, {}
        for part, paths in (
            ("hamiltonian", config.hamiltonian.read_from),
            ("ansatz", config.ansatz.read_from),
        ):
            if part not in config.experiment.ignores and (
                there := [path for path in paths if path.is_file()]
            ):
                found[part] = {str(path): fingerprint(path, part) for path in there}
        return found

    @property
    def rounding(self) -> float | None:
        """What rounding may leave of an expectation value that is 0; None where nobody knows the observables' size."""
        magnitude = self.config.experiment.magnitude(self.prepared, self.problem)
        return None if magnitude is None else RESIDUE * magnitude

    def _require_suitable(self, *pub: Any) -> None:
        for setting, key in ((self.mitigation, "estimator"), (self.final_mitigation, "estimator.final")):
            require_suitable(setting, self.backend, *pub, declared_by=key)

    @property
    def mitigates(self) -> str | None:
        """What is done against errors, in words; None where nothing is."""
        if not self.config.experiment.only_samples:
            own = self.config.experiment.mitigates(self.prepared)
            return own or in_words(self.mitigation, self.final_mitigation)
        done = [] if self.sampling is None else [self.sampling.words()]
        done += [CORRECTED] if self.config.experiment.corrects else []
        return ", ".join(done) or None

    def require_truncation(self) -> None:
        """Simulate the first job, where its parameters are known and something may be left out; it keeps what is found.

        Raises:
            ConfigError: more is left out than may be.
        """
        known = self.config.experiment.known(self.config, self.prepared, self.problem)
        sampled = self.config.experiment.sampled_circuit(self.prepared)
        planner = self.backend.planner
        if planner is None:
            return
        try:
            if known is not None and self.mitigation is None:
                plan = planner.estimator_plan(known[0], known[1])
                plan.foresee(known[2], exact=self.config.estimator.precision == 0)
            if sampled is not None and not sampled.num_parameters and self.sampling is None:
                planner.sampler_plan(sampled).foresee()
        except TruncationError as error:
            raise ConfigError(f"{error}; e.g. {' '.join(error.larger)}", key="backend") from error

    def _check_sampled(self) -> None:
        """Try what is done against errors on the circuit that is sampled.

        Raises:
            ConfigError: it cannot be done to it.
        """
        circuit = self.config.experiment.sampled_circuit(self.prepared)
        if self.config.experiment.corrects and circuit is not None:
            require_readout(circuit, self.backend)
        if circuit is not None:
            self._require_recorded(circuit)
        if self.sampling is None or circuit is None or self.backend.planner is None:
            return
        import numpy as np

        options = self.config.experiment.sampler_options
        primitive = self.service.primitive("sampler", self.backend, options, "preflight")
        primitive.seconds([(circuit, np.zeros(circuit.num_parameters))])

    @property
    def _draws(self) -> int:
        """Shots of a job that samples."""
        return self.config.experiment.own_shots or int(self.config.estimator.options["default_shots"])

    def _require_recorded(self, circuit: QuantumCircuit) -> None:
        """Refuse a job whose bits are more than a line of the journal takes."""
        bytes_a_shot = sum(-(-register.size // 8) for register in circuit.cregs)
        most = 3 * (MAX_LINE - ROOM_BESIDE) // 4 // max(bytes_a_shot, 1)  # four characters say three bytes
        if self._draws > most:
            key = (
                "estimator.default_shots" if self.config.experiment.own_shots is None else "experiment.shots"
            )
            raise ConfigError(
                f"{self._draws} shots of {bytes_a_shot} bytes are more than a journal takes of one job; take at "
                f"most {most}",
                key=key,
            )

    def _sampled_words(self) -> str | None:
        """How the circuit that is sampled is simulated, in words; None where there is none, or it is a state vector."""
        circuit = self.config.experiment.sampled_circuit(self.prepared)
        if circuit is None or self.backend.planner is None:
            return None
        return self.backend.planner.sampler_plan(circuit).simulation(self._draws)

    @property
    def kept(self) -> dict[str, object] | None:
        """What calibration.json is to hold; None where nothing was chosen and no real machine is used."""
        calibration = (
            self.backend.device_properties() if self.choice or not self.config.backend.simulated else None
        )
        if calibration is None:
            return None
        rows = (
            {} if self.choice is None else {"why": self.choice.words(), "candidates": self.choice.as_rows()}
        )
        return {"backend": self.backend.name, **rows, "properties": calibration}

    def lab(self, record: Record, stop: StopFlag, make: Callable[..., Any] | None = None) -> Any:
        """The lab in which the experiment will run; from now on every fact goes to `record`.

        Args:
            record: where facts go.
            stop: tells that a signal arrived.
            make: makes it, in place of `Lab`.
        """
        self._record = record
        if not self.service.capabilities.repeats_its_past:
            self.service.continue_from(record.release(*RECORDED), record.identity)
        return (make or Lab)(
            self.config, self.service, self.backend, self.problem, record, stop, self.prepared
        )

    def _errors(self, *, final: bool) -> Values:
        """What is done against errors in every job, or in those that measure the result, in the client's names."""
        estimator = self.config.estimator
        declared_options = estimator.final_mitigation if final else estimator.mitigation
        return self.config.experiment.checked_mitigation(declared_options)

    def _check_plan(self, problem: Problem) -> None:
        """Compile what will be evaluated: too much memory, circuits the backend cannot run, no exact gradient.

        The plan is cached, so the first job finds it ready. A backend that is not simulated here has no plans.
        """
        config = self.config
        if any(optimizer.uses_gradient for optimizer in config.experiment.optimizers_of(config)):
            chosen_gradient(config.gradient, config, self.backend, (problem.circuit, problem.observable))
        if self.backend.planner is None:
            return
        plan = self.backend.planner.estimator_plan(problem.circuit, problem.observable)
        plan.require(exact=config.estimator.precision == 0)
        if self.config.gradient == "adjoint" and not plan.exact_gradient:
            raise ConfigError(
                "adjoint needs a simulation that runs backwards; use a backend with method=automatic and engine=auto, "
                "or gradient=parameter_shift",
                key="gradient",
            )
        shots = self.first_shots(plan)
        self.simulation = plan.simulation(None if config.estimator.precision == 0 else shots)
        self._check_time(plan, problem)

    def first_shots(self, plan: CompiledPlan) -> int:
        """Shots per basis of the first job.

        Raises:
            ConfigError: the declared standard error takes more than a job may have.
        """
        target = self.config.estimator.target
        if (own := self.config.experiment.own_shots) is not None:
            return own
        if target is None:
            return int(self.config.estimator.options["default_shots"])
        allocation = allocation_of(self.config, self.backend)
        most = float(plan.variance_bounds.max()) if allocation is None else allocation.highest_variance(plan)
        return needed(most, target)

    def _reckoned(
        self, problem: Problem, plan: CompiledPlan, points: int, shots: int, *, final: bool = False
    ) -> tuple[int, float]:
        """Executions and QPU seconds of a job that measures so many points, with what is done against errors.

        Args:
            problem: what is measured.
            plan: of its circuit and observable.
            points: parameter sets.
            shots: of each basis.
            final: it measures the result.

        Raises:
            ConfigError: it cannot be done to this circuit.
        """
        cost = self.service.cost
        assert cost is not None
        if (self.final_mitigation if final else self.mitigation) is None:
            drawn = shots if self.sampling is None else self.sampling.drawn(shots)
            executions = points * drawn * plan.num_bases
            return executions, cost.qpu_seconds([Work(executions, plan.duration)])
        import numpy as np

        options = self._errors(final=final)
        primitive = self.service.primitive("estimator", self.backend, options, "preflight")
        pub = (problem.circuit, problem.observable, np.zeros((points, problem.circuit.num_parameters)))
        precision = shots**-0.5
        return (
            primitive.executions([pub], precision=precision) or 0,
            primitive.seconds([pub], precision=precision) or 0.0,
        )

    def _learning(self, problem: Problem, *, final: bool = False) -> tuple[int, float]:
        """Executions and QPU seconds of the job that learns noise before the first of these jobs; 0 where none does."""
        chosen = self.mitigation
        if final:
            # the result takes what the loop has learned in its session
            known = chosen is not None and chosen.needs_noise and self.config.session.mode != "job"
            chosen = None if known else self.final_mitigation
        if chosen is None or not chosen.needs_noise:
            return 0, 0.0
        import numpy as np

        options = self._errors(final=final)
        primitive = self.service.primitive("estimator", self.backend, options, "preflight")
        pub = (problem.circuit, problem.observable, np.zeros(problem.circuit.num_parameters))
        return primitive.learning([pub])

    def _check_time(self, plan: CompiledPlan, problem: Problem) -> None:
        """Compare the first energy or gradient with what a job and the session may take.

        Raises:
            ConfigError: no such job may run to its end.
        """
        if self.service.cost is None:
            return
        optimizer = self.config.optimizer
        points = 1
        if optimizer.uses_gradient:
            points = sets_of_a_gradient(self.config, plan)
        shots = self.first_shots(plan)
        _, needed = self._reckoned(problem, plan, points, shots)
        _, learning = self._learning(problem)
        what = "gradient" if points > 1 else "energy"
        self._require_job(f"one {what}", needed, shots)
        self._require_learning(max(learning, self._learning(problem, final=True)[1]))
        if (
            self.final_mitigation is not None
            and self.config.estimator.final_mitigation != self.config.estimator.mitigation
        ):
            _, needed_then = self._reckoned(problem, plan, 1, shots, final=True)
            self._require_job("the result's energy", needed_then, shots)
        if self.config.experiment.optimizers_of(self.config):
            self._require_budget(f"one {what}", points, shots, plan, problem)
            self._require_room(f"one {what}", needed, plan, problem)
        session = self.config.session
        limit = session.max_time_seconds
        needed += learning
        if limit is not None and session.mode != "job" and needed > limit:
            warnings.warn(
                f"session.max_time: {limit} s are shorter than the job of one {what}, about {needed:.1f} s; "
                "raise it, or take fewer shots",
                ConfigWarning,
                stacklevel=2,
            )

    def _require_budget(
        self, what: str, points: int, shots: int, plan: CompiledPlan, problem: Problem
    ) -> None:
        """Refuse a budget that the first energy or gradient and measuring the result after it exceed."""
        config = self.config
        after = 0 if config.estimator.precision == 0 else MOST_CANDIDATES + 1
        reckoned = [self._reckoned(problem, plan, points, shots)]
        reckoned += [
            self._reckoned(problem, plan, count, shots, final=True)
            for count in ((MOST_CANDIDATES, 1) if after else ())
        ]
        reckoned += [self._learning(problem, final=final) for final in (False, True)[: 1 + bool(after)]]
        told = (
            f"{what} and measuring what comes of it may" if after else what
        )  # where three candidates are chosen among
        self._refuse_budget(told, reckoned, 1 + 2 * bool(after))

    def _require_first_job(self) -> None:
        """Refuse a budget that the first job exceeds of an experiment that says what that is.

        Raises:
            ConfigError: the run would come to nothing.
        """
        config, session = self.config, self.config.session
        limited = config.optimizer.max_shots is not None or session.limits_usage
        if not limited or self.service.cost is None:
            return
        first = config.experiment.first_job(config, self.prepared, self.backend)
        if first is None:
            return
        sampled = first.program == "sampler"
        reckoned = []
        after = [(MOST_CANDIDATES, True), (1, True)] if first.measured else []
        for points, final in [(first.points, False), *after]:
            pubs = first.pubs(points)
            more = config.experiment.sampler_options if sampled else self._errors(final=final)
            options = {**config.estimator.options, **more}
            primitive = self.service.primitive(first.program, self.backend, options, "preflight")
            if sampled:
                asked: dict[str, object] = {"shots": first.shots}
            elif config.estimator.target is not None:
                assert self.backend.planner is not None
                asked = {
                    "precision": self.first_shots(self.backend.planner.estimator_plan(*pubs[0][:2])) ** -0.5
                }
            else:
                asked = {"precision": config.estimator.precision}
            reckoned += [
                (primitive.executions(pubs, **asked) or 0, primitive.seconds(pubs, **asked) or 0.0),
                primitive.learning(pubs),
            ]
        told = f"{first.what} and measuring what comes of it may" if first.measured else first.what
        self._refuse_budget(told, reckoned, 1 + len(after))

    def _refuse_budget(self, told: str, reckoned: Sequence[tuple[int, float]], jobs: int) -> None:
        """Refuse a budget that is exceeded.

        Args:
            told: by what, in words.
            reckoned: executions and QPU seconds of its jobs.
            jobs: how many of them there are, before each of which a session waits for its latency.

        Raises:
            ConfigError: with what is enough.
        """
        config = self.config
        executions = sum(count for count, _ in reckoned)
        budget = config.optimizer.max_shots
        if budget is not None and executions > budget:
            raise ConfigError(
                f"{budget} are too few: {told} take {executions}; raise it", key="optimizer.max_shots"
            )
        session, price = config.session, self.service.price_per_second
        seconds = sum(each for _, each in reckoned)
        seconds += jobs * session.latency if session.mode == "session" else 0.0
        if session.max_usage_seconds is not None and seconds > session.max_usage_seconds:
            raise ConfigError(
                f"{session.max_usage!r} is too little: {told} take {_up(seconds, 1)} s; raise it",
                key="session.max_usage",
            )
        if session.max_cost is not None and seconds * price > session.max_cost:
            raise ConfigError(
                f"{session.max_cost:g} USD are too few: {told} take {_up(seconds * price, 2)}; raise it",
                key="session.max_cost",
            )

    def _require_room(self, what: str, first: float, plan: CompiledPlan, problem: Problem) -> None:
        """Refuse a session that ends before the noise which measuring the result takes is learned and it is measured.

        Without that the lowest energy seen is the answer; what was learned would be paid for in vain.
        """
        session, limit = self.config.session, self.config.session.max_time_seconds
        _, learning = self._learning(problem, final=True)
        if limit is None or not learning or session.mode == "job" or session.on_expiry != "stop":
            return
        if self.config.estimator.precision == 0:
            return
        shots = self.first_shots(plan)
        after = learning + sum(
            self._reckoned(problem, plan, count, shots, final=True)[1] for count in (MOST_CANDIDATES, 1)
        )
        if first + after > limit:
            raise no_room(limit, what, first, after)

    def _require_learning(self, needed: float) -> None:
        longest = self.config.estimator.longest_job(self.service.plan)
        if needed > longest:
            raise ConfigError(
                f"is a job of about {needed:.0f} s of QPU time, and a job ends after {longest:g} s; "
                "take fewer randomizations or shots",
                key="estimator.layer_noise_learning",
            )
        session = self.config.session
        limit = session.max_time_seconds
        if limit is not None and session.mode != "job" and needed >= limit:
            raise ConfigError(
                f"{limit} s are over when noise has been learned, about {needed:.1f} s, and no other job begins; "
                "raise it, or take fewer randomizations or shots",
                key="session.max_time",
            )

    def _require_job(self, what: str, needed: float, shots: int) -> None:
        estimator = self.config.estimator
        longest = estimator.longest_job(self.service.plan)
        if needed <= longest:
            return
        told = f"{what} is a job of about {needed:.0f} s of QPU time, and a job ends after {longest:g} s"
        if estimator.job_limit is not None:
            raise ConfigError(f"{told}; raise it", key="estimator.max_execution_time")
        if estimator.target is not None:
            raise ConfigError(f"{told}; raise it", key="estimator.target_stddev")
        fewer = max(1, int(shots * longest / needed))
        key = "estimator.default_shots" if self.config.experiment.own_shots is None else "experiment.shots"
        raise ConfigError(f"{told}; take at most {fewer} shots per basis", key=key)


def _up(value: float, digits: int) -> str:
    """A number rounded up, so that it is enough; what rounding left of it is none of it."""
    return f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:.{digits}f}"

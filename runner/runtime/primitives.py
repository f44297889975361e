"""Estimator and Sampler, version 2: PUBs in, jobs out."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import BackendV2

from runner.declare.checks import shorten
from runner.engine import observables_array
from runner.errors import ConfigError, ConfigWarning
from runner.mitigation import NoiseOfLayers, learner_setting, noise_learner_result, sampler_setting, setting
from runner.record.replay import LEARNER
from runner.runtime.backends import Planned
from runner.runtime.cost import Work
from runner.runtime.current import current_session
from runner.runtime.job import RuntimeJob
from runner.runtime.learning import (
    LayerPub,
    Learned,
    given_noise,
    learn,
    noise_among,
    nothing_learned,
    work_of,
)
from runner.runtime.options import (
    CHANGES,
    EstimatorOptions,
    NoiseLearnerOptions,
    Options,
    SamplerOptions,
    set_in_client,
    shots_for,
)
from runner.runtime.recorded import Expected, expected_of, misfit, mitigated, slopes_of
from runner.runtime.repetition import Kind, Repetition
from runner.runtime.results import (
    DISCARDED,
    READING,
    READING_VARIANCES,
    TRUNCATION,
    Plain,
    estimator_result,
    executions,
    gradient_result,
)
from runner.runtime.service import bind
from runner.runtime.session import Session
from runner.runtime.submission import (
    Desk,
    MitigatedSamples,
    Pub,
    digest_of,
    listed,
    parameter_values,
    pub_seed,
    sampler_pub,
    sampler_work,
)

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers import BindingsArrayLike, EstimatorPubLike, SamplerPubLike

    from runner.engine import EstimatorPlan, SamplerPlan
    from runner.mitigation import Layer, Learning, LearningPlan, SamplerSetting, Setting
    from runner.runtime.backends import LocalBackend
    from runner.runtime.results import Numbers
    from runner.runtime.service import LocalRuntimeService

logger = logging.getLogger(__name__)


class _Primitive:
    """What Estimator and Sampler share: where they run, their options, and how they submit.

    Args:
        mode: A session, a batch, a backend (job mode), or None inside `with Session(...)`.
        options: Options, ours or the client's, or a dictionary of them; they are copied.
        workload: Whose jobs these are; seeds, ids and recall go by it. By order of creation if not given.
    """

    _kind = ""
    _options_class: type[Options] = Options
    _acting = -1
    """How many changes there had been when its options were seen to act."""

    def __init__(
        self,
        mode: Session | BackendV2 | None = None,
        options: Options | Mapping[str, object] | None = None,
        *,
        workload: str | None = None,
    ) -> None:
        self._session, self._backend = _where(mode)
        self._service: LocalRuntimeService = self._backend.service
        if isinstance(options, Options) and not isinstance(options, self._options_class):
            raise ConfigError(
                f"options of the {self._kind} are {self._options_class.__name__} or a dictionary"
            )
        if type(options).__name__ == ("SamplerOptions" if self._kind == "estimator" else "EstimatorOptions"):
            raise ConfigError(f"{type(options).__name__} are no options of the {self._kind}")
        given: Any = {} if options is None else set_in_client(options)
        if not isinstance(given, Options | Mapping):
            raise ConfigError(
                f"Invalid 'options' type. It can only be a dictionary of {self._options_class.__name__}, "
                f"got {shorten(repr(options), 60)}",
                key="options",
            )
        self._options: Any = (
            copy.deepcopy(given) if isinstance(given, Options) else self._options_class(values=given)
        )
        self.workload = workload or self._service.next_name(self._kind)
        self.admit: Callable[[float, int], bool | None] | None = None
        """Asked before a job is submitted, with the QPU seconds and executions it will take; raises where it is not
        to be."""
        self.notice: Callable[[str], None] = _warn
        """Told what a job leaves out."""

    @property
    def options(self) -> Any:
        """The options; they count from the next job on."""
        return self._options

    @property
    def mode(self) -> Session | None:
        """The session or batch; None in job mode."""
        return self._session

    def backend(self) -> LocalBackend:
        """Return the backend."""
        return self._backend

    def _desk(self) -> Desk:
        """Return where the next job goes, by the options as they stand; refuse those that cannot act (P3)."""
        session, options = self._session, self._options
        changes = CHANGES.count
        if self._acting != changes:
            options.require_acting()
            self._acting = changes
        if session is not None:
            session.require_open()
        elif current_session() is not None:
            logger.warning(
                "This primitive was made outside of the open session, so its job runs in job mode."
            )
        return Desk(
            backend=self._backend,
            session=None if session is None else session.record,
            workload=self.workload,
            tags=options.environment.job_tags or (),
            max_execution_time=options.max_execution_time,
            rep_delay=self._rep_delay(),
            seed=self._seed(),
            admit=self.admit,
        )

    def _require_static(self, pubs: Iterable[Any]) -> None:
        """Refuse sequences in waits whose lengths nobody knows before the circuit has run, as the client does."""
        if not self._options.dynamical_decoupling.enable:
            return
        for pub in pubs:
            ready = isinstance(pub, EstimatorPub | SamplerPub)
            circuit = pub if isinstance(pub, QuantumCircuit) else pub.circuit if ready else pub[0]
            if isinstance(circuit, QuantumCircuit) and circuit.has_control_flow_op():
                raise ConfigError(
                    "Dynamical decoupling currently cannot be used with dynamic circuits; leave it off",
                    key="options.dynamical_decoupling.enable",
                )

    def _seed(self) -> int | None:
        """Return what seeds jobs in place of the service's seed; None where nothing does."""
        options = self._options
        if self._kind == "estimator" and options.seed_estimator is not None:
            return int(options.seed_estimator)
        seed: int | None = options.simulator.seed_simulator
        return seed

    def _rep_delay(self) -> float | None:
        """Return the pause between executions [s]; the cost model's if None."""
        delay: float | None = self._options.execution.rep_delay
        return delay

    def _learn(
        self,
        plans: Sequence[LearningPlan],
        workload: str = LEARNER,
        metadata: Mapping[str, object] | None = None,
        *,
        made_up: bool = False,
    ) -> RuntimeJob:
        """Submit the job that learns the noise of layers; or, where only its price is wanted, finds none."""
        digest = blake2b(LEARNER.encode(), digest_size=16)
        for plan in plans:
            digest.update(repr(plan.told()).encode())

        def contain(_job: RuntimeJob, numbers: list[Numbers]) -> Any:
            found = zip(plans, numbers, strict=True)
            return noise_learner_result([plan.noise(one) for plan, one in found], metadata)

        return replace(self._desk(), workload=workload).submit(
            LEARNER,
            [LayerPub(plan) for plan in plans],
            work_of(plans),
            simulate=lambda seed: nothing_learned(plans) if made_up else learn(plans, seed),
            contain=contain,
            digest=digest.digest(),
            unmitigated=[],
        )

    def _remember(self, job: RuntimeJob, pubs: Callable[[], list[Any]]) -> RuntimeJob:
        """Let a job tell what was asked, where jobs keep anything."""
        if self._service.keep_results:
            options = self._options.to_dict()
            job.asked = lambda: {"pubs": pubs(), "options": options, "version": 2}
        return job

    def _qpu_seconds(self, work: list[Work]) -> float:
        return self._service.cost.qpu_seconds(work, rep_delay=self._rep_delay())


class EstimatorV2(_Primitive, BaseEstimatorV2):  # type: ignore[misc]
    """Expectation values. `precision=0`, or options without default shots, gives exact ones (P2)."""

    _kind = "estimator"
    _options_class = EstimatorOptions
    _chosen: tuple[str, Setting] | None = None
    _bare = -1
    """How many changes there had been when its options were seen to do nothing against errors."""
    _own: Learned | None = None
    _repetition: tuple[tuple[str, float | None, int], Repetition] | None = None
    """Program, precision and changes of options of the last jobs that a record answered, and their kind."""

    def run(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> RuntimeJob:
        """Submit PUBs `(circuit, observables[, parameter values[, precision]])` as one job.

        Args:
            pubs: The PUBs.
            precision: The standard error aimed at, for PUBs that say none; 0 is exact.
        """
        asked = listed(pubs)
        self._require_static(asked)
        prepared = [self._prepare(pub, precision) for pub in asked]
        if len(prepared) > 1:
            _warn_of_several("precision", [pub.precision for pub in prepared])
        mitigation = self._mitigation(prepared, learn=True)
        work = self._work(prepared, mitigation)

        def simulate(seed: int) -> list[Numbers]:
            if mitigation is not None and self._backend.engine.mitigates:
                return mitigation.simulate(seed)
            answers = []
            for number, pub in enumerate(prepared):
                answers.append(_numbers(pub, pub_seed(seed, number)))
            return answers

        wanted = [(pub.circuit, pub.precision) for pub in prepared]
        chosen = None if mitigation is None else mitigation.chosen

        def contain(_job: RuntimeJob, numbers: list[Numbers]) -> PrimitiveResult:
            result = estimator_result(numbers, wanted, chosen)
            if chosen is not None and isinstance(chosen.model, NoiseOfLayers):
                found = noise_learner_result(list(chosen.model.known.values())).data
                result.metadata["resilience"]["layer_noise_model"] = found
            return result

        digest = digest_of("estimator", prepared) + (b"" if chosen is None else chosen.text.encode())
        unmitigated = None if chosen is None else self._work(prepared, None)
        job = self._desk().submit(
            "estimator",
            prepared,
            work,
            simulate=simulate,
            contain=contain,
            digest=digest,
            unmitigated=unmitigated,
            truncates=lambda: any(pub.plan.truncates(exact=pub.shots is None) for pub in prepared),
            misfit=lambda numbers: misfit(
                numbers,
                [
                    _expected(pub) if mitigation is None else mitigated(pub.shape, pub.shots)
                    for pub in prepared
                ],
            ),
        )
        return self._remember(job, lambda: list(map(_estimator_pub, asked, prepared)))

    def repeat(
        self,
        jobs: Sequence[Sequence[EstimatorPubLike]],
        *,
        precision: float | None = None,
        sloped: bool = False,
        admit: Callable[[Sequence[tuple[float, int]]], None] | None = None,
    ) -> list[Sequence[Plain]]:
        """Submit as `run()` does the next jobs that a record answers, and return their recorded numbers.

        Of the first that nothing answers, or where something may come between, nothing is submitted, nor of those after
        it: `run()` has to.

        Args:
            jobs: The PUBs of each.
            precision: As for `run()`.
            sloped: It is `run_gradient()` that they are for.
            admit: See `Repetition.answer`.
        """
        program, precision = ("gradient", 0.0) if sloped else ("estimator", precision)
        past = self._service.past_of(self.workload)
        if past is None or not jobs:
            return []
        key, known = (program, precision, CHANGES.count), self._repetition
        if known is None or known[0] != key or not known[1].fits(jobs[0]):
            found = self._repetition_of(program, jobs[0], precision)
            if found is None:
                return []
            known = self._repetition = key, found
        if self._session is not None:
            self._session.require_open()
        return known[1].answer(past, jobs, admit)

    def _repetition_of(
        self, program: str, pubs: Sequence[EstimatorPubLike], precision: float | None
    ) -> Repetition | None:
        """Return the kind of jobs that these PUBs make; None where their values do not tell its jobs apart."""
        if self._session is None and current_session() is not None:
            return None  # of which `run()` warns
        options = self._options
        if self._setting() is not None or options.dynamical_decoupling.enable:
            return None
        for pub in pubs:
            observables = pub[1] if type(pub) is tuple and len(pub) == 3 else None
            if type(observables) is not Planned or observables.backend is not self._backend:
                return None
        prepared = [self._prepare(pub, precision) for pub in pubs]
        if not prepared or any(pub.plan.num_parameters < 2 for pub in prepared):
            return None
        if program == "gradient" and not all(pub.plan.exact_gradient for pub in prepared):
            return None
        desk = self._desk()
        if desk.max_execution_time is not None:
            return None
        exact_shots = options.default_shots or self._service.cost.exact_shots
        kinds = []
        for pub in prepared:
            shots, shape = pub.shots or exact_shots, pub.values.shape[:-1]
            if program == "gradient":
                shots, shape = exact_shots, (*shape, pub.plan.gradient_sets)
            work = partial(_parts, pub.plan, shape=shape)
            expected = slopes_of(pub.plan, pub.shape) if program == "gradient" else _expected(pub)
            kinds.append(
                Kind(pub.circuit, pub.plan, pub.values.shape, pub.shots, shots, work, pub.shape, expected)
            )
        found = Repetition(desk, program, kinds)
        return found if found.fits(pubs) else None

    def seconds(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> float:
        """Return the QPU seconds that the job of `run()` with the same arguments would take."""
        prepared = [self._prepare(pub, precision) for pub in listed(pubs)]
        return self._qpu_seconds(self._work(prepared, self._mitigation(prepared)))

    def learning(self, pubs: Iterable[EstimatorPubLike]) -> tuple[int, float]:
        """Return the executions and QPU seconds of the job that `run()` would submit before its own, to learn noise."""
        prepared = [self._prepare(pub, None) for pub in listed(pubs)]
        chosen = self._setting()
        if chosen is None or not chosen.learns:
            return 0, 0.0
        work = work_of(self._learned().missing(self._learning_plans(chosen, prepared)))
        return sum(part.executions for part in work), self._qpu_seconds(work) if work else 0.0

    def learn(self, pubs: Iterable[EstimatorPubLike]) -> RuntimeJob:
        """Submit the job that learns the noise of the layers of PUBs, as `run()` would before its own, and no other.

        Args:
            pubs: The PUBs.

        Raises:
            ConfigError: Nothing is done that takes noise of layers, or there are none.
        """
        prepared = [self._prepare(pub, None) for pub in listed(pubs)]
        chosen = self._setting()
        if chosen is None or not chosen.needs_noise:
            raise ConfigError("learns no noise; take estimator=pea or pec", key="estimator")
        return self._learn(self._learning_plans(chosen, prepared), made_up=not self._backend.engine.mitigates)

    def executions(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> int:
        """Return how often `run()` with the same arguments would execute circuits."""
        prepared = [self._prepare(pub, precision) for pub in listed(pubs)]
        return sum(part.executions for part in self._work(prepared, self._mitigation(prepared)))

    def _setting(self) -> Setting | None:
        """Return what is done against errors; None where nothing is."""
        changes = CHANGES.count
        if self._bare == changes:
            return None
        given = self._options.mitigation()
        if given is None:
            self._bare = changes
            return None
        told = repr(given)
        if self._chosen is None or self._chosen[0] != told:
            self._chosen = (told, setting(given))
        chosen = self._chosen[1]
        return chosen if chosen.active else None

    def _mitigation(self, prepared: list[Pub[EstimatorPlan]], *, learn: bool = False) -> _Mitigation | None:
        """Return how a job's PUBs are evaluated where something is done against errors.

        Args:
            prepared: the PUBs.
            learn: learn the noise of layers by a job where it is not known; else foresee what that would give.
        """
        chosen = self._setting()
        if chosen is None:
            return None
        _require_mitigated(prepared)
        if chosen.needs_noise:
            self._backend.require_noise(chosen)
            chosen = chosen.knowing(self._noise(chosen, prepared, learn))
        return _Mitigation(chosen, self._backend, prepared)

    def _noise(self, chosen: Setting, prepared: list[Pub[EstimatorPlan]], learn: bool) -> NoiseOfLayers:
        key = "options.resilience.layer_noise_model"
        if isinstance(chosen.model, NoiseOfLayers):
            layers = self._backend.layers([(pub.circuit, pub.plan) for pub in prepared], chosen)
            return noise_among(chosen.model, layers, key, self.notice)
        plans = self._learning_plans(chosen, prepared)
        if chosen.model is not None:
            return given_noise(chosen.model, plans, key)
        learned = self._learned()
        if learn:
            return learned.noise(plans, self._learn)
        return learned.foreseen(plans, self._service.seed_ahead(LEARNER, self._seed()))

    def _learned(self) -> Learned:
        """Return what is known: in a session or batch by everybody, in job mode by this primitive."""
        record = None if self._session is None else self._session.record
        if record is not None:
            return self._service.learned(record)
        self._own = self._own or Learned()
        return self._own

    def _learning_plans(self, chosen: Setting, prepared: list[Pub[EstimatorPlan]]) -> list[LearningPlan]:
        """Return how the noise of the PUBs' layers is learned.

        Raises:
            ConfigError: There are none.
        """
        return self._backend.learning_plans([(pub.circuit, pub.plan) for pub in prepared], chosen)

    def _work(self, prepared: list[Pub[EstimatorPlan]], mitigation: _Mitigation | None) -> list[Work]:
        if mitigation is not None:
            return mitigation.work()
        exact_shots = self._options.default_shots or self._service.cost.exact_shots
        return [
            part
            for pub in prepared
            for part in _parts(pub.plan, pub.by_basis or pub.shots or exact_shots, pub.values.shape[:-1])
        ]

    def run_gradient(self, pubs: Iterable[EstimatorPubLike]) -> RuntimeJob:
        """Submit PUBs whose exact values and gradients are wanted; a local extension.

        On the device this is the parameter-shift job, so it costs as many parameter sets as that takes
        (`EstimatorPlan.gradient_sets`), each with the shots of `run()`.
        """
        prepared = [self._prepare(pub, 0.0) for pub in listed(pubs)]
        self._mitigation(prepared)
        shots = self._options.default_shots or self._service.cost.exact_shots
        for pub in prepared:
            if not pub.plan.exact_gradient:
                raise ConfigError("exact gradients need a noiseless backend and a circuit the kernel can run")
        work = [
            part
            for pub in prepared
            for part in _parts(pub.plan, shots, (*pub.values.shape[:-1], pub.plan.gradient_sets))
        ]

        def simulate(_seed: int) -> list[Numbers]:
            answers = []
            for pub in prepared:
                evs, gradients = pub.plan.gradient(pub.values)
                answers.append({"evs": np.asarray(evs), "gradients": np.asarray(gradients)})
            return answers

        circuits = [pub.circuit for pub in prepared]

        def contain(_job: RuntimeJob, numbers: list[Numbers]) -> PrimitiveResult:
            return gradient_result(numbers, circuits)

        return self._desk().submit(
            "gradient",
            prepared,
            work,
            simulate=simulate,
            contain=contain,
            digest=digest_of("gradient", prepared),
            misfit=lambda numbers: misfit(numbers, [slopes_of(pub.plan, pub.shape) for pub in prepared]),
        )

    def _prepare(self, pub: EstimatorPubLike, precision: float | None) -> Pub[EstimatorPlan]:
        values: BindingsArrayLike | None = None
        own: float | None = None
        if type(pub) is tuple and len(pub) == 3:  # the usual form; asking for classes of Qiskit takes long
            circuit, observables, values = pub
        elif isinstance(pub, EstimatorPub):
            circuit, observables, values, own = (
                pub.circuit,
                pub.observables,
                pub.parameter_values,
                pub.precision,
            )
        else:
            if isinstance(pub, QuantumCircuit) or not 2 <= len(pub) <= 4:
                raise ConfigError(
                    "an Estimator PUB is (circuit, observables[, parameter values[, precision]])"
                )
            circuit, observables = pub[0], pub[1]
            values = pub[2] if len(pub) > 2 else None
            own = pub[3] if len(pub) > 3 else None
        planned = type(observables) is Planned and observables.backend is self._backend
        plan = observables.plan if planned else self._backend.estimator_plan(circuit, observables)
        array = parameter_values(values, circuit, plan.num_parameters)
        plan.require_finite(array)
        self._backend.require_angles(plan, circuit, array)
        if own is None:
            own = precision
        if own is None:
            shots, own = self._options.default_shots, self._options.default_precision
        elif not (isinstance(own, (int, float, np.number)) and 0 <= own < math.inf):
            raise ConfigError(f"precision must be 0 (exact) or a positive number, got {own!r}")
        else:
            shots = shots_for(float(own))
        if not planned:  # who plans for a loop asks once
            plan.require(exact=shots is None)
        batch = array.shape[:-1]
        shape = _broadcast(plan.shape, batch) if batch and plan.shape else batch or plan.shape
        measured = planned and shots is not None
        by_basis, reading = (observables.shots, observables.reading) if measured else (None, None)
        return Pub(circuit, plan, array, shape, shots, float(own), by_basis, reading)


def _numbers(pub: Pub[EstimatorPlan], seed: int) -> Numbers:
    """Return what a PUB gives where nothing is done against errors."""
    reading = {} if pub.reading is None else {"reading": pub.reading}
    found = pub.plan.run(pub.values, shots=pub.by_basis or pub.shots, seed=seed, **reading)
    told = {
        "variances": None if pub.by_basis is None else found.variances,
        READING: found.reading,
        READING_VARIANCES: found.reading_variances,
        TRUNCATION: found.truncation,
        DISCARDED: found.discarded,
    }
    numbers = {"evs": found.evs, "stds": found.stds, "shots": pub.shots}
    return numbers | {name: value for name, value in told.items() if value is not None}


def _expected(pub: Pub[EstimatorPlan]) -> Expected:
    """Return what a PUB gives where nothing is done against errors."""
    by_basis = pub.by_basis is not None
    return expected_of(pub.plan, pub.shape, shots=pub.shots, by_basis=by_basis, reading=pub.reading)


def _require_mitigated(pubs: Sequence[Pub[EstimatorPlan]]) -> None:
    """Refuse PUBs whose errors cannot be undone.

    Raises:
        ConfigError: One is exact, or not measured as the client measures.
    """
    if any(pub.shots is None for pub in pubs):
        raise ConfigError(
            "errors of exact values are not mitigated; give a precision, or options.resilience_level=0"
        )
    if any(pub.by_basis is not None or pub.plan.durations is not None for pub in pubs):
        raise ConfigError("mitigated terms are measured qubit by qubit, in bases with the same shots")


class _Mitigation:
    """How the PUBs of one job are evaluated with something done against errors; one calibration serves them all."""

    def __init__(self, chosen: Setting, backend: LocalBackend, pubs: Sequence[Pub[EstimatorPlan]]) -> None:
        self.chosen = chosen
        self._pubs = pubs
        self._plans = [backend.mitigated_plan(pub.circuit, pub.plan, chosen) for pub in pubs]
        self._shots = [pub.shots or 1 for pub in pubs]
        self._calibration = backend.calibration(self._plans) if chosen.measure and pubs else None

    def work(self) -> list[Work]:
        """Return what every PUB makes the device do at every noise factor, and the calibration at the end."""
        work = [
            Work(*part)
            for plan, pub, shots in zip(self._plans, self._pubs, self._shots, strict=True)
            for part in plan.work(pub.values.shape[:-1], shots)
        ]
        if self._calibration is not None:
            randomizations, each = self.chosen.calibrations(max(self._shots))
            work.append(Work(randomizations * each, self._calibration.duration))
        return work

    def simulate(self, seed: int) -> list[Numbers]:
        """Return the numbers of every PUB."""
        rates = None
        if self._calibration is not None:
            rates = self._calibration.run(*self.chosen.calibrations(max(self._shots)), seed)
        answers: list[Numbers] = []
        for number, (plan, pub, shots) in enumerate(zip(self._plans, self._pubs, self._shots, strict=True)):
            found = plan.run(pub.values, shots=shots, seed=pub_seed(seed, number), rates=rates)
            answers.append({**found, "shots": shots})
        return answers


class SamplerV2(_Primitive, BaseSamplerV2):  # type: ignore[misc]
    """Measured bits."""

    _kind = "sampler"
    _options_class = SamplerOptions
    _chosen: tuple[str, SamplerSetting] | None = None

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> RuntimeJob:
        """Submit PUBs `circuit` or `(circuit[, parameter values[, shots]])` as one job.

        Args:
            pubs: The PUBs.
            shots: For PUBs that say none.
        """
        asked = listed(pubs)
        self._require_static(asked)
        prepared = self._prepare(asked, shots)
        if len(prepared) > 1:
            _warn_of_several("shots", [pub.shots for pub in prepared])
        job = self._desk().sample(prepared, self._mitigation(prepared))
        return self._remember(
            job, lambda: [SamplerPub.coerce((pub.circuit, pub.values, pub.shots)) for pub in prepared]
        )

    def seconds(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> float:
        """Return the QPU seconds that `run()` with the same arguments would take."""
        prepared = self._prepare(pubs, shots)
        return self._qpu_seconds(sampler_work(prepared, self._mitigation(prepared)))

    def repeat(self, jobs: Sequence[Iterable[SamplerPubLike]], **options: object) -> list[Sequence[Plain]]:
        """Return nothing: bits are read from a record the usual way."""
        del jobs, options
        return []

    def learning(self, pubs: Iterable[SamplerPubLike]) -> tuple[int, float]:
        """Return 0: nothing is learned before bits are measured."""
        del pubs
        return 0, 0.0

    def executions(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> int:
        """Return how often `run()` with the same arguments would execute circuits."""
        prepared = self._prepare(pubs, shots)
        return sum(part.executions for part in sampler_work(prepared, self._mitigation(prepared)))

    def _mitigation(self, prepared: list[Pub[SamplerPlan]]) -> MitigatedSamples | None:
        """Return how a job's PUBs are sampled where something is done against errors."""
        given = self._options.mitigation()
        if given is None:
            return None
        told = repr(given)
        if self._chosen is None or self._chosen[0] != told:
            self._chosen = (told, sampler_setting(given))
        chosen = self._chosen[1]
        return MitigatedSamples(chosen, self._backend, prepared) if chosen.active else None

    def _prepare(self, pubs: Iterable[SamplerPubLike], shots: int | None) -> list[Pub[SamplerPlan]]:
        default = self._options.default_shots
        return [sampler_pub(self._backend, pub, shots, default) for pub in listed(pubs)]


class NoiseLearner(_Primitive):
    """Learns the noise of the layers of circuits, for use in later jobs."""

    _kind = LEARNER
    _options_class = NoiseLearnerOptions

    def run(self, circuits: Iterable[QuantumCircuit | EstimatorPubLike]) -> RuntimeJob:
        """Submit the job that learns the layers that occur most; its result is the client's `NoiseLearnerResult`.

        Args:
            circuits: ISA circuits, or Estimator PUBs, of which only the circuits count.

        Raises:
            ConfigError: There is no noise or no layer, or one that the client cannot learn.
        """
        chosen = self._setting()
        wanted = chosen.learning.most(self._layers(circuits, chosen))
        plans = [self._backend.learning_plan(layer, chosen.learning) for layer in wanted]
        asked = {**self._options.learning(), "max_execution_time": self._options.max_execution_time}
        metadata = {"backend": self._backend.name, "input_options": asked}
        return self._learn(plans, self.workload, metadata)

    def learning(self) -> Learning:
        """Return how much is executed for each layer."""
        return self._setting().learning

    def layers(self, circuits: Iterable[QuantumCircuit | EstimatorPubLike]) -> Counter[Layer]:
        """Return the layers of circuits, and how often each occurs.

        Raises:
            ConfigError: There is no noise or no layer.
        """
        return self._layers(circuits, self._setting())

    def _layers(
        self, circuits: Iterable[QuantumCircuit | EstimatorPubLike], chosen: Setting
    ) -> Counter[Layer]:
        if not self._backend.engine.noisy:
            raise ConfigError(f"{self._backend.name} has no noise to learn; take a backend that has")
        planned = []
        for asked in listed(circuits):
            circuit = asked if isinstance(asked, QuantumCircuit) else EstimatorPub.coerce(asked).circuit
            planned.append((circuit, self._backend.estimator_plan(circuit, "I" * circuit.num_qubits)))
        return self._backend.layers(planned, chosen)

    def _setting(self) -> Setting:
        """Return how noise is learned, as a setting that takes it."""
        return learner_setting(self._options.learning())

    def _rep_delay(self) -> float | None:
        """Return None: the client's learner has no pause of its own."""
        return None


def _estimator_pub(asked: EstimatorPubLike, pub: Pub[EstimatorPlan]) -> EstimatorPub:
    """Return a PUB as it was submitted."""
    observables = asked.observables if isinstance(asked, EstimatorPub) else asked[1]
    return EstimatorPub.coerce((pub.circuit, observables_array(observables), pub.values, pub.precision))


def _where(mode: Session | BackendV2 | None) -> tuple[Session | None, LocalBackend]:
    """Return the session (None in job mode) and the backend, with the client's rules and texts (S10)."""
    session = current_session()
    if isinstance(mode, Session):
        return mode, mode._backend
    if isinstance(mode, BackendV2):
        backend = bind(mode)
        if session is None:
            return None, backend
        logger.warning(
            "A backend was passed in as the mode but a session context manager is open so this job will run "
            "inside this session/batch instead of in job mode."
        )
        session.require_of(backend)
        return session, backend
    if mode is not None:
        raise ValueError("mode must be of type Backend, Session, Batch or None")
    if session is None:
        raise ValueError("A backend or session must be specified.")
    return session, session._backend


def _warn(text: str) -> None:
    """Say at the line that calls `run()` what its job leaves out."""
    warnings.warn(text, ConfigWarning, stacklevel=6)


def _warn_of_several(what: str, asked: Sequence[float | None]) -> None:
    """Say at the line that calls `run()` what the client's next primitives take from nobody."""
    if len(set(asked)) > 1:
        text = f"Specifying different '{what}' across pubs is deprecated by the service; it is done here as asked"
        warnings.warn(text, DeprecationWarning, stacklevel=3)


def _broadcast(observables: tuple[int, ...], batch: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(observables, batch)
    except ValueError:
        raise ConfigError(
            f"observables of shape {observables} and parameter values of shape {batch} do not broadcast"
        ) from None


def _parts(plan: EstimatorPlan, shots: int | tuple[int, ...], shape: tuple[int, ...]) -> list[Work]:
    """Return what a PUB makes the device do: all bases together, or one by one where they take different times."""
    sets = math.prod(shape)
    if plan.durations is not None:
        every = (shots,) * plan.num_bases if isinstance(shots, int) else shots
        return [Work(count * sets, length) for count, length in zip(every, plan.durations, strict=True)]
    if isinstance(shots, int):
        return [Work(executions(shots, shape, plan.num_bases), plan.duration)]
    return [Work(sum(shots) * sets, plan.duration)]

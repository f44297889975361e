"""Estimator and Sampler, version 2: PUBs in, jobs out."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import BackendV2

from runner.errors import ConfigError
from runner.mitigation import setting
from runner.runtime.backends import Planned
from runner.runtime.cost import Work
from runner.runtime.current import current_session
from runner.runtime.job import RuntimeJob
from runner.runtime.options import (
    CHANGES,
    EstimatorOptions,
    Options,
    SamplerOptions,
    set_in_client,
    shots_for,
)
from runner.runtime.results import estimator_result, executions, gradient_result, sampler_result
from runner.runtime.seeds import derive_seed
from runner.runtime.service import bind
from runner.runtime.session import Session
from runner.runtime.spans import execution_spans

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers import BindingsArrayLike, EstimatorPubLike, SamplerPubLike

    from runner.engine import EstimatorPlan, SamplerPlan
    from runner.mitigation import Setting
    from runner.runtime.backends import LocalBackend
    from runner.runtime.results import Numbers
    from runner.runtime.service import LocalRuntimeService

logger = logging.getLogger(__name__)


Like = TypeVar("Like")
Compiled = TypeVar("Compiled", "EstimatorPlan", "SamplerPlan")


class _Pub(Generic[Compiled]):
    """One PUB, ready to run: the plan, a copy of the values, shots and the shape of what comes out."""

    __slots__ = ("by_basis", "circuit", "plan", "precision", "shape", "shots", "values")

    def __init__(
        self,
        circuit: QuantumCircuit,
        plan: Compiled,
        values: NDArray[np.float64],
        shape: tuple[int, ...],
        shots: int | None,
        precision: float,
        by_basis: tuple[int, ...] | None = None,
    ) -> None:
        self.by_basis = by_basis
        self.circuit = circuit
        self.plan: Compiled = plan
        self.values = values
        self.shape = shape
        self.shots = shots
        self.precision = precision


class _Primitive:
    """What Estimator and Sampler share: where they run, their options, and how they submit.

    Args:
        mode: A session, a batch, a backend (job mode), or None inside `with Session(...)`.
        options: Options, ours or the client's, or a dictionary of them; they are copied.
        workload: Whose jobs these are; seeds, ids and recall go by it. By order of creation if not given.
    """

    _kind = ""
    _options_class: type[Options] = Options

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
        given: Any = set_in_client(options)
        self._options: Any = (
            copy.deepcopy(given) if isinstance(given, Options) else self._options_class(values=given)
        )
        self.workload = workload or self._service.next_name(self._kind)
        self.admit: Callable[[float, int], None] | None = None
        """Asked before a job is submitted, with the QPU seconds and executions it will take; raises where it is not
        to be."""

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

    def _submit(
        self,
        program: str,
        pubs: Sequence[_Pub[Compiled]],
        work: list[Work],
        simulate: Callable[[int], list[Numbers]],
        contain: Callable[[RuntimeJob, list[Numbers]], PrimitiveResult],
        digest: bytes,
        unmitigated: list[Work] | None = None,
    ) -> RuntimeJob:
        if not pubs:
            raise ConfigError("a job needs at least one PUB")
        session, options, service = self._session, self._options, self._service
        if session is not None:
            session.require_open()
        elif current_session() is not None:
            logger.warning(
                "This primitive was made outside of the open session, so its job runs in job mode."
            )
        qpu_seconds = self._qpu_seconds(work)
        if self.admit is not None:
            self.admit(qpu_seconds, sum(part.executions for part in work))
        seed = options.simulator.seed_simulator
        if self._kind == "estimator" and options.seed_estimator is not None:
            seed = options.seed_estimator

        def make(_index: int, job_seed: int) -> RuntimeJob:
            return RuntimeJob(
                service,
                self._backend,
                simulate=lambda: simulate(job_seed),
                contain=contain,
                describe=lambda: (
                    [
                        {
                            "values": pub.values.tolist(),
                            "shape": list(pub.shape),
                            "shots": pub.shots,
                            "precision": pub.precision,
                            **({} if pub.by_basis is None else {"shots_per_basis": list(pub.by_basis)}),
                        }
                        for pub in pubs
                    ],
                    _listed_work(work),
                    None if unmitigated is None else _listed_work(unmitigated),
                ),
                digest=blake2b(digest + job_seed.to_bytes(8, "big"), digest_size=16).hexdigest(),
                seed=job_seed,
            )

        return service.submit(
            make,
            backend=self._backend,
            session=session.record if session is not None else None,
            workload=self.workload,
            qpu_seconds=qpu_seconds,
            program=program,
            tags=options.environment.job_tags or (),
            max_execution_time=options.max_execution_time,
            seed=seed,
        )

    def _remember(self, job: RuntimeJob, pubs: Callable[[], list[Any]]) -> RuntimeJob:
        """Let a job tell what was asked, where jobs keep anything."""
        if self._service.keep_results:
            options = self._options.to_dict()
            job.asked = lambda: {"pubs": pubs(), "options": options, "version": 2}
        return job

    def _qpu_seconds(self, work: list[Work]) -> float:
        return self._service.cost.qpu_seconds(work, rep_delay=self._options.execution.rep_delay)


class EstimatorV2(_Primitive, BaseEstimatorV2):  # type: ignore[misc]
    """Expectation values. `precision=0`, or options without default shots, gives exact ones (P2)."""

    _kind = "estimator"
    _options_class = EstimatorOptions
    _chosen: tuple[str, Setting] | None = None
    _bare = -1
    """How many changes there had been when its options were seen to do nothing against errors."""

    def run(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> RuntimeJob:
        """Submit PUBs `(circuit, observables[, parameter values[, precision]])` as one job.

        Args:
            pubs: The PUBs.
            precision: The standard error aimed at, for PUBs that say none; 0 is exact.
        """
        listed = _listed(pubs)
        prepared = [self._prepare(pub, precision) for pub in listed]
        _warn_of_several("precision", [pub.precision for pub in prepared])
        mitigation = self._mitigation(prepared)
        work = self._work(prepared, mitigation)

        def simulate(seed: int) -> list[Numbers]:
            if mitigation is not None and self._backend.engine.mitigates:
                return mitigation.simulate(seed)
            answers = []
            for number, pub in enumerate(prepared):
                shots = pub.by_basis or pub.shots
                numbers = pub.plan.run(pub.values, shots=shots, seed=_pub_seed(seed, number))
                answers.append({"evs": numbers.evs, "stds": numbers.stds, "shots": pub.shots})
                if pub.by_basis is not None:
                    answers[-1]["variances"] = numbers.variances
            return answers

        asked = [(pub.circuit, pub.precision) for pub in prepared]
        chosen = None if mitigation is None else mitigation.chosen

        def contain(_job: RuntimeJob, numbers: list[Numbers]) -> PrimitiveResult:
            return estimator_result(numbers, asked, chosen)

        digest = _digest("estimator", prepared) + (b"" if chosen is None else chosen.text.encode())
        unmitigated = None if chosen is None else self._work(prepared, None)
        job = self._submit("estimator", prepared, work, simulate, contain, digest, unmitigated)
        return self._remember(job, lambda: list(map(_estimator_pub, listed, prepared)))

    def seconds(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> float:
        """Return the QPU seconds that `run()` with the same arguments would take."""
        prepared = [self._prepare(pub, precision) for pub in _listed(pubs)]
        return self._qpu_seconds(self._work(prepared, self._mitigation(prepared)))

    def executions(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> int:
        """Return how often `run()` with the same arguments would execute circuits."""
        prepared = [self._prepare(pub, precision) for pub in _listed(pubs)]
        return sum(part.executions for part in self._work(prepared, self._mitigation(prepared)))

    def _mitigation(self, prepared: list[_Pub[EstimatorPlan]]) -> _Mitigation | None:
        """Return how a job's PUBs are evaluated where something is done against errors."""
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
        return _Mitigation(chosen, self._backend, prepared) if chosen.active else None

    def _work(self, prepared: list[_Pub[EstimatorPlan]], mitigation: _Mitigation | None) -> list[Work]:
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
        prepared = [self._prepare(pub, 0.0) for pub in _listed(pubs)]
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

        return self._submit("gradient", prepared, work, simulate, contain, _digest("gradient", prepared))

    def _prepare(self, pub: EstimatorPubLike, precision: float | None) -> _Pub[EstimatorPlan]:
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
        array = _values(values, circuit, plan.num_parameters)
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
        by_basis = observables.shots if planned and shots is not None else None
        return _Pub(circuit, plan, array, shape, shots, float(own), by_basis)


class _Mitigation:
    """How the PUBs of one job are evaluated with something done against errors; one calibration serves them all."""

    def __init__(self, chosen: Setting, backend: LocalBackend, pubs: Sequence[_Pub[EstimatorPlan]]) -> None:
        if any(pub.shots is None for pub in pubs):
            raise ConfigError(
                "errors of exact values are not mitigated; give a precision, or options.resilience_level=0"
            )
        if any(pub.by_basis is not None or pub.plan.durations is not None for pub in pubs):
            raise ConfigError("mitigated terms are measured qubit by qubit, in bases with the same shots")
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
            found = plan.run(pub.values, shots=shots, seed=_pub_seed(seed, number), rates=rates)
            answers.append({**found, "shots": shots})
        return answers


class SamplerV2(_Primitive, BaseSamplerV2):  # type: ignore[misc]
    """Measured bits."""

    _kind = "sampler"
    _options_class = SamplerOptions

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> RuntimeJob:
        """Submit PUBs `circuit` or `(circuit[, parameter values[, shots]])` as one job.

        Args:
            pubs: The PUBs.
            shots: For PUBs that say none.
        """
        prepared = [self._prepare(pub, shots) for pub in _listed(pubs)]
        _warn_of_several("shots", [pub.shots for pub in prepared])
        work = self._work(prepared)
        clock = self._service.clock

        def simulate(seed: int) -> list[Numbers]:
            return [
                pub.plan.run(pub.values, shots=pub.shots or 1, seed=_pub_seed(seed, number))
                for number, pub in enumerate(prepared)
            ]

        def contain(job: RuntimeJob, numbers: list[Numbers]) -> PrimitiveResult:
            record = job.record
            assert record.qpu_started is not None
            assert record.finished is not None
            spans = execution_spans(
                clock.date(record.qpu_started),
                clock.date(record.finished),
                [(pub.shape, pub.shots or 1) for pub in prepared],
            )
            return sampler_result(numbers, [pub.circuit for pub in prepared], spans)

        job = self._submit("sampler", prepared, work, simulate, contain, _digest("sampler", prepared))
        return self._remember(
            job, lambda: [SamplerPub.coerce((pub.circuit, pub.values, pub.shots)) for pub in prepared]
        )

    def seconds(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> float:
        """Return the QPU seconds that `run()` with the same arguments would take."""
        return self._qpu_seconds(self._work([self._prepare(pub, shots) for pub in _listed(pubs)]))

    def executions(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> int:
        """Return how often `run()` with the same arguments would execute circuits."""
        work = self._work([self._prepare(pub, shots) for pub in _listed(pubs)])
        return sum(part.executions for part in work)

    def _work(self, prepared: list[_Pub[SamplerPlan]]) -> list[Work]:
        return [Work(executions(pub.shots or 1, pub.shape, 1), pub.plan.duration) for pub in prepared]

    def _prepare(self, pub: SamplerPubLike, shots: int | None) -> _Pub[SamplerPlan]:
        values: BindingsArrayLike | None = None
        own: int | None = None
        if isinstance(pub, SamplerPub):
            circuit, values, own = pub.circuit, pub.parameter_values, pub.shots
        elif isinstance(pub, QuantumCircuit):
            circuit = pub
        else:
            if not 1 <= len(pub) <= 3:
                raise ConfigError("a Sampler PUB is (circuit[, parameter values[, shots]])")
            circuit = pub[0]
            values = pub[1] if len(pub) > 1 else None
            own = pub[2] if len(pub) > 2 else None
        if own is None:
            own = shots if shots is not None else self._options.default_shots
        if isinstance(own, bool) or not isinstance(own, int | np.integer) or own < 1:
            raise ConfigError(f"shots must be a whole number of at least 1, got {own!r}")
        plan = self._backend.sampler_plan(circuit)
        array = _values(values, circuit, plan.num_parameters)
        plan.require_finite(array)
        self._backend.require_angles(plan, circuit, array)
        return _Pub(circuit, plan, array, array.shape[:-1], int(own), 0.0)


def _estimator_pub(asked: EstimatorPubLike, pub: _Pub[EstimatorPlan]) -> EstimatorPub:
    """Return a PUB as it was submitted."""
    observables = asked.observables if isinstance(asked, EstimatorPub) else asked[1]
    return EstimatorPub.coerce((pub.circuit, observables, pub.values, pub.precision))


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
        if (session._backend.service, session._backend.name) != (backend.service, backend.name):
            raise ValueError(
                "The backend passed in to the primitive is different from the session backend. "
                "Please check which backend you intend to use or leave the mode parameter "
                "empty to use the session backend."
            )
        return session, backend
    if mode is not None:
        raise ValueError("mode must be of type Backend, Session, Batch or None")
    if session is None:
        raise ValueError("A backend or session must be specified.")
    return session, session._backend


def _listed(pubs: Iterable[Like]) -> list[Like]:
    if isinstance(pubs, QuantumCircuit):
        raise ConfigError("run() takes a list of PUBs; wrap a single one in [ ]")
    listed = list(pubs)
    if isinstance(pubs, tuple):
        circuits = [isinstance(item, QuantumCircuit) for item in listed]
        if circuits and circuits[0] and not all(circuits):
            raise ConfigError("run() takes a list of PUBs; wrap a single one in [ ]")
    return listed


def _warn_of_several(what: str, asked: Sequence[float | None]) -> None:
    """Say at the line that calls `run()` what the client's next primitives take from nobody."""
    if len(set(asked)) > 1:
        text = f"Specifying different '{what}' across pubs is deprecated by the service; it is done here as asked"
        warnings.warn(text, DeprecationWarning, stacklevel=3)


def _listed_work(work: Sequence[Work]) -> list[list[float | None]]:
    return [[part.executions, part.duration] for part in work]


def _values(
    values: BindingsArrayLike | None, circuit: QuantumCircuit, parameters: int
) -> NDArray[np.float64]:
    """Return a copy of the parameter values with the parameters along the last axis."""
    if type(values) is np.ndarray and parameters > 1 and values.shape[-1:] == (parameters,):
        return np.array(values, dtype=float)
    if values is None:
        if parameters:
            raise ConfigError(f"the circuit has {parameters} parameters, but no values were given")
        return np.zeros(0)
    if parameters > 1 and not isinstance(values, dict | BindingsArray):
        array = np.array(values, dtype=float)
        if array.shape[-1:] == (parameters,):
            return array
        raise ConfigError(
            f"the circuit has {parameters} parameters, but values of shape {array.shape} were given"
        )
    if isinstance(values, BindingsArray):
        bindings = values
    elif isinstance(values, dict):
        bindings = BindingsArray(values)
    elif parameters == 0:
        array = np.array(values, dtype=float)
        if array.shape[-1:] in ((), (0,)):
            return array if array.ndim else np.zeros(0)
        raise ConfigError(f"the circuit has no parameters, but values of shape {array.shape} were given")
    else:
        bindings = BindingsArray({tuple(circuit.parameters): np.array(values, dtype=float)})
    if bindings.num_parameters != parameters:
        raise ConfigError(
            f"the circuit has {parameters} parameters, but {bindings.num_parameters} were given"
        )
    bound: NDArray[np.float64] = bindings.as_array(circuit.parameters)
    return bound


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


def _pub_seed(seed: int, number: int) -> int:
    # the first has the job's own, so that a job of one PUB is seeded by the number that is recorded
    return seed if number == 0 else derive_seed(seed, "pub", number)


def _digest(program: str, pubs: Sequence[_Pub[Compiled]]) -> bytes:
    """Return a digest of what was asked: program, circuits and observables, values, shots."""
    digest = blake2b(program.encode(), digest_size=16)
    for pub in pubs:
        digest.update(_asked(pub.plan.digest, pub.values.shape, pub.by_basis or pub.shots))
        digest.update(pub.values.tobytes())
    return digest.digest()


@lru_cache(maxsize=256)  # a loop asks for the same again and again
def _asked(plan: str, shape: tuple[int, ...], shots: int | tuple[int, ...] | None) -> bytes:
    return f"{plan}|{shape}|{shots}".encode()

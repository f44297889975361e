"""Real machines: sessions, primitives and jobs of qiskit-ibm-runtime under the names the lab uses.

A paid job is never lost: every job carries a tag that only this run has and whose pattern the journal knows
before the first submission, and the service's job id is in the journal before anybody waits for it. A resumed run
asks for the results of such jobs instead of submitting them again.
"""

from __future__ import annotations

import contextvars
import copy
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from hashlib import blake2b
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Self, TypeAlias, TypeVar

from runner import engine
from runner.errors import (
    ConfigError,
    JobCancelledError,
    JobFailedError,
    JobMaxTimeError,
    PlanError,
    RunnerError,
    RuntimeSessionError,
    SessionClosedError,
    installed,
)
from runner.mitigation import setting
from runner.record.events import Event, IbmAnnounced, JobCompleted, JobSubmitted, SessionChanged
from runner.record.redaction import protect, protect_saved, redact
from runner.record.replay import IDENTITY, another_job
from runner.runtime.backends import require_supported, snapshot
from runner.runtime.capabilities import Capabilities
from runner.runtime.machine import (
    EXPIRED_CODE,
    MAX_JOB_TIME_CODE,
    OPEN_PLAN_CODE,
    OPEN_PLAN_MESSAGE,
    OPEN_PLAN_SOLUTION,
    SESSION_CLOSED_CODE,
    TOLD,
    status_text,
)
from runner.runtime.results import estimator_result, from_plain, sampler_result, to_plain
from runner.services import primitives

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers import EstimatorPubLike, SamplerPubLike
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub
    from qiskit.transpiler import Target
    from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService, RuntimeJobV2
    from qiskit_ibm_runtime import Session as ClientSession

    from runner.mitigation import Setting
    from runner.runtime.cost import CostModel
    from runner.runtime.plan import Plan
    from runner.runtime.results import Numbers
    from runner.services.primitives import Mode

    Pub: TypeAlias = EstimatorPub | SamplerPub
    PubLike: TypeAlias = EstimatorPubLike | SamplerPubLike

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

log = logging.getLogger("runner.ibm")

STATUS = {"DONE": "DONE", "ERROR": "FAILED", "CANCELLED": "CANCELLED"}
MITIGATING = ("resilience_level", "resilience", "twirling", "dynamical_decoupling")
"""Options that say what is done against errors."""
RETRIES = 6
CLOSING_SECONDS = 10.0
"""How long leaving waits for the service to say that the session is closed, for the bill's sake."""


def connect() -> QiskitRuntimeService:
    """The client's service, with the account from the client's usual places.

    Raises:
        ConfigError: the client is not installed, or finds no account it can use.
    """
    with installed("real machines need qiskit-ibm-runtime; pip install 'session-runner[ibm]'", key="backend"):
        from qiskit_ibm_runtime import QiskitRuntimeService
        from qiskit_ibm_runtime.exceptions import IBMError
    logger = logging.getLogger("qiskit_ibm_runtime")
    logger.setLevel(max(logger.level, logging.WARNING))  # it would tell of every request on the terminal
    protect_saved()
    try:
        service = QiskitRuntimeService()
    except (IBMError, ValueError) as error:
        raise ConfigError(
            f"no usable IBM Quantum account ({_short(error)}); save one with QiskitRuntimeService.save_account, "
            "or set QISKIT_IBM_TOKEN",
            key="backend",
        ) from error
    protect(str((service.active_account() or {}).get("token") or ""))
    return service


@dataclass
class Times:
    """When things happened to a job, in seconds since the run's first session was opened."""

    submitted: float
    """On this computer's clock."""
    started: float | None = None
    """As the service tells it."""
    finished: float | None = None
    """As the service tells it."""


class IbmService:
    """What the lab needs of a service, carried out by the real one.

    Args:
        client: A `QiskitRuntimeService`.
        on_event: Called for every fact.
        plan: What the account pays for: its price counts, and its limits as far as this computer checks any.
        calibration: Of the machine, as an earlier process of the run found it; circuits are fitted to that again.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        repeats_its_past=False, knows_its_queue=False, mitigation=(0, 1, 2)
    )
    cost: CostModel | None = None
    """Only the service knows what a job takes."""

    def __init__(
        self,
        client: QiskitRuntimeService,
        *,
        on_event: Callable[[Event], None],
        plan: Plan,
        calibration: Mapping[str, object] | None = None,
    ) -> None:
        self.client = client
        self._calibration = calibration
        self.plan = plan
        self.price_per_second = plan.price_per_second
        self.mitigated_by = primitives.whose()
        """Who mitigates: `client`; `service`, where the client is older than 0.50; `undeclared` in runs of before."""
        self.token = uuid.uuid4().hex[:12]
        self._on_event = on_event
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._jobs: list[IbmJob] = []
        self._sessions_opened = 0
        self._past_sessions: list[str] = []
        self._submitted: dict[tuple[str, int], JobSubmitted] = {}
        self._completed: dict[tuple[str, int], JobCompleted] = {}
        self._searched: set[str] = set()
        self._told: dict[str, int] = {}
        self.resumed = False
        self.identity = IDENTITY
        self._announced = False
        self._timed = False
        """Times of jobs without a session count from the first one's creation, on the service's clock."""
        self.started = datetime.now(UTC)
        self._zero = self.started
        self._latest = 0.0

    # -- the past ---------------------------------------------------------------------------------------

    def next_alone(self, workload: str) -> int | None:
        """Return None: nothing repeats itself on a real machine."""
        del workload
        return None

    def submitted(self, workload: str) -> int:
        """How many jobs of a workload were submitted, by this process or found again."""
        return self._counts.get(workload, 0)

    def pass_until(self, moment: float) -> None:
        """Do nothing: time passes by itself."""

    def continue_from(self, events: Iterable[Event], identity: int = IDENTITY) -> None:
        """Take over what an earlier process of this run has recorded, and how it told jobs apart."""
        self.identity = identity
        for event in events:
            self.resumed = True
            if isinstance(event, IbmAnnounced):
                self.token = event.token
                self.started = self._zero = datetime.fromisoformat(event.started)
                self.mitigated_by = event.mitigated_by
                self._announced = True
            elif isinstance(event, JobSubmitted):
                self._submitted[event.workload, event.index] = event
            elif isinstance(event, JobCompleted):
                self._completed[event.workload, event.index] = event
            elif isinstance(event, SessionChanged):
                if event.session not in self._past_sessions:
                    self._past_sessions.append(event.session)
                self._told[event.session] = self._told.get(event.session, 0) + 1

    def tell(self, event: Event) -> None:
        """Record a fact."""
        self._on_event(event)

    def seconds(self, date: str | datetime | None) -> float | None:
        """A date of the service in seconds since the run started."""
        if date is None:
            return None
        if isinstance(date, str):
            date = datetime.fromisoformat(date)
        seconds = (date - self.started).total_seconds()
        self._latest = max(self._latest, seconds)
        return seconds

    def now(self) -> float:
        """The present, in the same seconds; never before something the service has told of."""
        return max((datetime.now(UTC) - self._zero).total_seconds(), self._latest)

    def announce(self, backend: str) -> None:
        """Record the pattern of this run's tags, and the date its times count from."""
        self.tell(
            IbmAnnounced(
                token=self.token,
                started=self.started.isoformat(),
                backend=backend,
                mitigated_by=self.mitigated_by,
            )
        )
        self._announced = True

    def opened(self, details: Mapping[str, Any] | None) -> None:
        """Count times from the opening of the run's first session, on the service's clock."""
        dates = [fact["timestamp"] for fact in (details or {}).get("timestamps") or ()]
        if details is not None and dates and not self.resumed and not self._told:
            self._count_from(datetime.fromisoformat(dates[0]), details["backend_name"])
        self.tell_session(details)

    def _count_from(self, date: datetime, backend: str) -> None:
        """Count times from a date on the service's clock, which is now, whatever this computer's clock says."""
        self.started, self._zero = date, datetime.now(UTC)
        self.announce(backend)

    # -- what the lab uses ------------------------------------------------------------------------------

    def backend(self, name: str) -> IbmMachine:
        """The machine called `name`.

        Raises:
            ConfigError: the account has none of that name.
        """
        from qiskit.providers.exceptions import QiskitBackendNotFoundError

        try:
            return IbmMachine(self.client.backend(name), self._calibration)
        except QiskitBackendNotFoundError:
            known = ", ".join(sorted(machine.name for machine in self.client.backends())) or "none"
            raise ConfigError(
                f"this account has no machine {name!r}; choose one of: {known}", key="backend.name"
            ) from None

    def open(self, backend: IbmMachine, mode: str, max_time: int | str | None = None) -> Any:
        """Open a `session` or `batch`; in `job` mode the backend itself.

        In a resumed run, the sessions of the earlier process come back first, as long as there are any.
        """
        if not self._announced:
            self.announce(backend.name)
        if mode == "job":
            return backend
        number, self._sessions_opened = self._sessions_opened, self._sessions_opened + 1
        past = self._past_sessions[number] if number < len(self._past_sessions) else None
        return IbmSession(self, backend, mode, max_time, past=past)

    def primitive(
        self,
        kind: str,
        mode: Any,
        options: Mapping[str, object],
        workload: str,
        *,
        admit: Callable[[float, int], bool | None] | None = None,
    ) -> IbmPrimitive:
        """An `estimator` or `sampler` for jobs of a workload; `admit` cannot be asked, see `capabilities`."""
        assert admit is None
        return IbmPrimitive(self, kind, mode, options, workload)

    def workloads(self, names: Sequence[str]) -> IbmPool:
        """Threads for several workloads."""
        return IbmPool(names)

    def jobs(self, limit: int | None = 10, *, descending: bool = True) -> list[IbmJob]:
        """The run's jobs, `limit` of them (None: all), the newest or the oldest first."""
        return list(reversed(self._jobs) if descending else self._jobs)[:limit]

    def abandon(self) -> None:
        """Do nothing: what was submitted comes to its end whether somebody waits or not."""

    # -- jobs -------------------------------------------------------------------------------------------

    def submit(self, primitive: IbmPrimitive, pubs: list[PubLike], arguments: Mapping[str, float]) -> IbmJob:
        """Submit a job, or find it again if it was submitted before.

        Raises:
            ResumeError: the job at this place asked for something else.
            RuntimeSessionError: the service refuses it.
        """
        workload = primitive.workload
        with self._lock:
            index = self._counts.get(workload, 0)
        job = IbmJob(self, primitive, workload, index, pubs, arguments)
        fact = self._submitted.get((workload, index))
        if fact is not None:
            if fact.digest != job.digest:
                raise another_job(workload, index, job.digest, fact.digest, self.identity)
            job.found(fact, self._completed.get((workload, index)))
        else:
            tags = [workload, f"{self.token}-{index}"]
            client_job = self._lost(workload, tags) or primitive.send(pubs, arguments, tags)
            with self._lock:
                if primitive.session is None and not (self.resumed or self._timed):
                    self._timed = True
                    date: datetime | None = patiently(lambda: client_job.creation_date)
                    if date is not None:
                        self._count_from(date, client_job.backend().name)
                        job.times.submitted = 0.0
            job.submitted(client_job, tags)
        with self._lock:
            self._counts[workload] = index + 1
            self._jobs.append(job)
        return job

    def _lost(self, workload: str, tags: list[str]) -> RuntimeJobV2 | None:
        """A job that was accepted, but whose id did not get into the journal any more."""
        if not self.resumed or workload in self._searched:
            return None
        self._searched.add(workload)
        found = patiently(lambda: self.client.jobs(job_tags=tags, limit=1))
        if found:
            log.warning("job %s was submitted before the interruption and is used", found[0].job_id())
        return found[0] if found else None

    # -- sessions ---------------------------------------------------------------------------------------

    def tell_session(self, details: Mapping[str, Any] | None) -> None:
        """Record the transitions of a session that are not recorded yet."""
        if details is None:
            return
        told = self._told.get(details["id"], 0)
        transitions = details.get("timestamps") or []
        unknown = [{"status": details["state"], "timestamp": None}] if not transitions and not told else []
        for transition in [*transitions[told:], *unknown]:
            state = transition["status"]
            accepting = bool(details["accepting_jobs"]) if state == details["state"] else state != "closed"
            when = self.seconds(transition["timestamp"])
            self.tell(
                SessionChanged(
                    session=details["id"],
                    state=state,
                    status=status_text(state, accepting),
                    reason=TOLD,
                    time=self.now() if when is None else when,
                    accepting_jobs=accepting,
                    mode=details["mode"],
                    backend=details["backend_name"],
                    max_time=details["max_time"],
                    interactive_timeout=details["interactive_timeout"],
                    usage_time=details["usage_time"] if state == details["state"] else None,
                )
            )
        self._told[details["id"]] = max(told, len(transitions))  # without dates, only the opening is told


class IbmMachine:
    """A real machine, as the client knows it; what it does not know itself is asked of the client's.

    Args:
        wrapped: The client's backend.
        calibration: What stands for today's; None: today's.
    """

    ideal = False
    idle_qubits = None
    """Nothing is simulated."""
    planner = None
    """The service compiles by itself."""

    def __init__(self, wrapped: IBMBackend, calibration: Mapping[str, object] | None = None) -> None:
        self.wrapped = wrapped
        self.name: str = wrapped.name
        self._given = calibration

    @cached_property
    def target(self) -> Target:
        """As it was calibrated last, or when the run began."""
        if self._given is None:
            return self.wrapped.target
        from qiskit_ibm_runtime.models import BackendProperties
        from qiskit_ibm_runtime.utils.backend_converter import convert_to_target

        properties = BackendProperties.from_dict(copy.deepcopy(dict(self._given)))
        return convert_to_target(self.wrapped.configuration(), properties)

    def device_properties(self) -> Mapping[str, object] | None:
        """The errors, durations and decay times of that calibration in the client's form; None where none is told."""
        if self._given is not None:
            return self._given
        told = self.wrapped.properties()
        return None if told is None else dict(told.to_dict())

    @property
    def calibrated(self) -> str | None:
        """When that was."""
        told = self.device_properties()
        return None if told is None else str(told["last_update_date"])

    def require_isa(self, circuit: QuantumCircuit) -> None:
        """Refuse what its target does not have: the client-side primitives submit it, and the service fails the job.

        Raises:
            ConfigError: naming the instruction.
        """
        require_supported(circuit, self.target, self.name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "wrapped":
            raise AttributeError(name)
        return getattr(self.wrapped, name)


def snapshot_machine(name: str) -> IbmMachine:
    """A machine as the client's snapshot of it says, e.g. `fake_torino`; it takes no jobs."""
    return IbmMachine(snapshot(name))


class IbmSession:
    """A session or batch of the real service; one that an earlier process left is used on while it can be.

    Args:
        service: Where it belongs.
        backend: The machine.
        mode: session | batch.
        max_time: Its longest life.
        past: The id of a session to come back to.
    """

    def __init__(
        self,
        service: IbmService,
        backend: IbmMachine,
        mode: str,
        max_time: int | str | None,
        *,
        past: str | None,
    ) -> None:
        self._service = service
        self.backend = backend
        self._mode = mode
        self._max_time = max_time
        self._past = past
        self._earlier_usage = 0.0
        self._lock = threading.Lock()
        self._client: ClientSession = None if past is None else self._attach(past)
        if past is None:
            self._open()

    def _class(self) -> type[ClientSession]:
        from qiskit_ibm_runtime import Batch, Session

        chosen: type[ClientSession] = Session if self._mode == "session" else Batch
        return chosen

    def _attach(self, session_id: str) -> ClientSession:
        return _translated(lambda: self._class().from_id(session_id, self._service.client))

    def _open(self) -> None:
        self._client = _translated(
            lambda: self._class()(backend=self.backend.wrapped, max_time=self._max_time)
        )
        self._service.opened(self.details())

    def accepting(self) -> ClientSession:
        """The client's session for a new job; in place of an earlier process's session that has ended, a new one."""
        with self._lock:
            if self._past is not None:
                details = self.details()
                if details is None or not details["accepting_jobs"] or details["state"] == "closed":
                    log.warning("session %s has ended since; another one is opened", self._past)
                    self._earlier_usage += (details or {}).get("usage_time") or 0.0
                    self._open()
                self._past = None
            return self._client

    def close(self) -> None:
        """Take no more jobs; wait a little until the service says it is closed, so that its usage is known."""
        _translated(self._client.close)
        end = time.monotonic() + CLOSING_SECONDS
        details = self.details()
        while details is not None and details["state"] != "closed" and time.monotonic() < end:
            time.sleep(0.2)
            details = self.details()
        self._service.tell_session(details)

    @property
    def session_id(self) -> str:
        """The service's id."""
        return str(self._client.session_id)

    @property
    def reason(self) -> str | None:
        """The service tells no reasons, only states."""
        return self.status()

    def status(self) -> str | None:
        """What the client makes of the state."""
        told: str | None = patiently(self._client.status)
        return told

    def details(self) -> dict[str, Any] | None:
        """What the service knows of it."""
        told: dict[str, Any] | None = patiently(self._client.details)
        return told

    def usage(self) -> float | None:
        """Seconds charged so far."""
        return (patiently(self._client.usage) or 0.0) + self._earlier_usage

    def usage_ahead(self) -> None:
        """Only the service knows what jobs will take."""

    def time_left(self) -> None:
        """Only the service knows what its jobs will take."""

    def ended(self) -> bool:
        """Whether it takes no more jobs."""
        details = self.details()
        return details is not None and (details["state"] == "closed" or not details["accepting_jobs"])


class IbmPrimitive:
    """The client's Estimator or Sampler, submitting through our service."""

    def __init__(
        self,
        service: IbmService,
        kind: str,
        mode: IbmSession | IbmMachine,
        options: Mapping[str, object],
        workload: str,
    ) -> None:
        self.kind = kind
        self.session = mode if isinstance(mode, IbmSession) else None
        self._device = mode.backend if isinstance(mode, IbmSession) else mode
        self.workload = workload
        self._service = service
        self.options = dict(options)
        """Under the client's names."""
        self._made: tuple[Mode, primitives.Sender] | None = None

    def run(
        self, pubs: Iterable[PubLike], *, precision: float | None = None, shots: int | None = None
    ) -> IbmJob:
        """Submit PUBs as one job."""
        asked = {"precision": precision, "shots": shots}
        arguments = {name: value for name, value in asked.items() if value is not None}
        return self._service.submit(self, list(pubs), arguments)

    def repeat(self, jobs: Iterable[Iterable[PubLike]], **arguments: object) -> list[Any]:
        """Nothing repeats itself on a real machine; its jobs are found again (`run`)."""
        del jobs, arguments
        return []

    def seconds(self, pubs: Iterable[PubLike], **arguments: object) -> None:
        """Only the service knows how long its jobs take."""

    def executions(self, pubs: Iterable[PubLike], **arguments: object) -> None:
        """Only the service knows in how many bases it measures."""

    def learning(self, pubs: Iterable[PubLike]) -> tuple[int, float]:
        """Return 0: the service learns noise within its jobs."""
        del pubs
        return 0, 0.0

    def learn(self, pubs: Iterable[PubLike]) -> IbmJob:
        """Refuse: the service learns noise within its jobs.

        Raises:
            ConfigError: always.
        """
        del pubs
        raise ConfigError(
            "a real machine learns the noise of layers within its jobs; take a simulated one", key="backend"
        )

    def send(self, pubs: list[PubLike], arguments: Mapping[str, float], tags: list[str]) -> RuntimeJobV2:
        """Hand a job to the client; returns the client's job.

        Raises:
            ConfigError: a circuit is not one of the machine's.
        """
        pubs = list(map(engine.kept_whole, pubs)) if self.kind == "estimator" else pubs
        for pub in _coerced(self.kind, pubs):
            self._device.require_isa(pub.circuit)
        mode = self.session.accepting() if self.session is not None else self._device.wrapped
        if self._made is None or self._made[0] is not mode:
            self._made = (mode, self._make(mode))
        primitive = self._made[1]
        try:
            return _translated(lambda: primitive.send(pubs, arguments, tags))
        except RuntimeSessionError as error:
            if self.session is not None and not error.session_ended and self.session.ended():
                raise SessionClosedError(str(error), code=error.code) from error
            raise

    def _make(self, mode: Mode) -> primitives.Sender:
        who, options = self._service.mitigated_by, self.options
        if self.kind == "estimator" and who != primitives.UNDECLARED:
            options = {"resilience_level": 0, **options}  # where nothing is said, client and service say 1
        return primitives.primitive(who, self.kind, mode, options)


class IbmJob:
    """One job of the run: new, still running somewhere, or known from the journal."""

    def __init__(
        self,
        service: IbmService,
        primitive: IbmPrimitive,
        workload: str,
        index: int,
        pubs: list[PubLike],
        arguments: Mapping[str, float],
    ) -> None:
        self.workload = workload
        self.index = index
        self.program_id = primitive.kind
        self.session_id: str | None = None
        self.tags: list[str] = []
        self.times = Times(service.now())
        self._service = service
        self._session = primitive.session
        self._options = primitive.options
        self._pubs = _coerced(primitive.kind, pubs)
        self.digest = _digest(primitive.kind, self._pubs, arguments)
        self._id = ""
        self._client: RuntimeJobV2 | None = None
        self._completed: JobCompleted | None = None

    # -- becoming known ---------------------------------------------------------------------------------

    def submitted(self, client_job: RuntimeJobV2, tags: list[str]) -> None:
        """Record the service's id before anything else happens."""
        self._client = client_job
        self._id = client_job.job_id()
        self.tags = tags
        self.session_id = self._session.session_id if self._session is not None else None
        self._service.tell(
            JobSubmitted(
                job=self._id,
                workload=self.workload,
                index=self.index,
                digest=self.digest,
                session=self.session_id,
                backend=client_job.backend().name,
                tags=tags,
                program=self.program_id,
                seed=None,
                time=self.times.submitted,
                qpu_estimate=None,
                preparation=0.0,
                pubs=[_described(pub) for pub in self._pubs],
            )
        )

    def found(self, event: JobSubmitted, completed: JobCompleted | None) -> None:
        """Take over what the journal says of the job."""
        self._id, self.tags, self.session_id = event.job, list(event.tags), event.session
        self.times.submitted = event.time
        if completed is not None:
            self._finish(completed)

    def _finish(self, event: JobCompleted) -> None:
        self._completed = event
        self.times.started, self.times.finished = event.started, event.finished

    # -- results ----------------------------------------------------------------------------------------

    def listed(self) -> dict[str, object]:
        """As session.json lists it; times in seconds on the session's clock."""
        return {
            "id": self._id,
            "workload": self.workload,
            "index": self.index,
            "session": self.session_id,
            "tags": self.tags,
            "program": self.program_id,
            "status": self.status(),
            "reason": self.error_message(),
            "submitted": self.times.submitted,
            "started": self.times.started,
            "finished": self.times.finished,
            "qpu_seconds": self.usage(),
        }

    def result(self) -> PrimitiveResult:
        """Wait for the job and return its result; raises what `numbers` does."""
        numbers = self.numbers()
        circuits = [pub.circuit for pub in self._pubs]
        if self.program_id == "sampler":
            return sampler_result(numbers, circuits, None)
        asked = [(pub.circuit, getattr(pub, "precision", None) or 0.0) for pub in self._pubs]
        return estimator_result(numbers, asked, self._chosen())

    def _chosen(self) -> Setting | None:
        """What was done against errors, where the client did it."""
        given = {name: self._options[name] for name in MITIGATING if name in self._options}
        return setting(given) if given and self._service.mitigated_by == primitives.CLIENT else None

    def numbers(self) -> list[Numbers]:
        """Wait for the job and return the arrays of each PUB by name; recorded ones come from the journal.

        Raises:
            JobFailedError: the job failed; says whether its session is to blame.
            JobCancelledError: it was cancelled.
        """
        if self._completed is None:
            self._wait()
        assert self._completed is not None
        if self._completed.status != "DONE":
            raise self._why_not(self._completed)
        return [from_plain(dict(values)) for values in self._completed.result or ()]

    def _wait(self) -> None:
        if self._client is None:
            self._client = _translated(lambda: self._service.client.job(self._id))
        job = self._client
        patiently(job.wait_for_final_state)
        status = STATUS.get(patiently(job.status), "FAILED")
        reason, code, result = None, None, None
        if status == "DONE":
            answer = patiently(lambda: primitives.numbers(job, self.program_id))
            result = [to_plain(numbers) for numbers in answer]
        else:
            told = patiently(job.error_message) or getattr(job, "_reason", None)
            reason, code = redact(str(told)) if told else None, _code_of(job)
        metrics = patiently(job.metrics)
        timestamps = metrics.get("timestamps") or {}
        created, started, finished = (
            self._service.seconds(timestamps.get(name)) for name in ("created", "running", "finished")
        )
        if finished is None:  # by our clock, which may be behind the service's
            finished = max(self._service.now(), started or 0.0)
        event = JobCompleted(
            job=self._id,
            workload=self.workload,
            index=self.index,
            digest=self.digest,
            session=self.session_id,
            status=status,
            reason=reason,
            code=code,
            session_ended=status != "DONE" and self._session is not None and self._session.ended(),
            started=started,
            finished=finished,
            time=finished,
            queue_seconds=max(0.0, (started or finished) - (finished if created is None else created)),
            qpu_seconds=(metrics.get("usage") or {}).get("qpu_charge_time_seconds") or 0.0,
            result=result,
        )
        self._service.tell(event)
        self._finish(event)

    def _why_not(self, event: JobCompleted) -> RunnerError:
        text = f"job {self._id} {'was cancelled' if event.status == 'CANCELLED' else 'failed'}"
        text += f": {event.reason}" if event.reason else ""
        if event.status == "CANCELLED":
            return JobCancelledError(text, code=event.code, session_ended=event.session_ended)
        kind = JobMaxTimeError if event.code == MAX_JOB_TIME_CODE else JobFailedError
        ended = event.session_ended and event.code in (EXPIRED_CODE, SESSION_CLOSED_CODE, None)
        return kind(text, code=event.code, session_ended=ended)

    # -- looking ----------------------------------------------------------------------------------------

    def job_id(self) -> str:
        """The service's id."""
        return self._id

    def status(self) -> str:
        """As last seen."""
        return "RUNNING" if self._completed is None else self._completed.status

    def error_message(self) -> str | None:
        """Why it failed, if it did."""
        return None if self._completed is None else self._completed.reason

    def usage(self) -> float:
        """QPU seconds, once it is over."""
        return 0.0 if self._completed is None else self._completed.qpu_seconds


class IbmPool:
    """Plain threads: on a real machine the timeline is the machine's business."""

    def __init__(self, names: Sequence[str]) -> None:
        self._threads = ThreadPoolExecutor(max(1, len(names)))

    def submit(
        self, _name: str, function: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Answer]:
        """Start a workload."""
        return self._threads.submit(contextvars.copy_context().run, partial(function, *args, **kwargs))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True)


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask the service, again after ever longer pauses while it cannot be reached: the job goes on meanwhile."""
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError

    for attempt in range(RETRIES):
        try:
            return _translated(ask, keep=RequestsApiError)
        except RequestsApiError as error:
            if error.status_code != -1 or attempt == RETRIES - 1:
                raise _meaning(error) from error
            log.warning("the service cannot be reached (%s); trying again", _short(error))
            time.sleep(2.0**attempt)
    raise AssertionError


def _translated(ask: Callable[[], Answer], *, keep: type[Exception] | tuple[()] = ()) -> Answer:
    from qiskit_ibm_runtime.exceptions import IBMError

    try:
        return ask()
    except keep:
        raise
    except IBMError as error:
        raise _meaning(error) from error


def _meaning(error: Exception) -> RuntimeSessionError:
    """The house's error for one of the client's."""
    text = str(error)
    if f'"code":{SESSION_CLOSED_CODE}' in text or "The session is closed" in text:
        return SessionClosedError("Session has been closed.", code=SESSION_CLOSED_CODE)
    if f'"code":{OPEN_PLAN_CODE}' in text:
        return PlanError(f"{OPEN_PLAN_MESSAGE} {OPEN_PLAN_SOLUTION}", code=OPEN_PLAN_CODE)
    return RuntimeSessionError(_short(error))


def _code_of(job: RuntimeJobV2) -> int | None:
    code = getattr(job, "_reason_code", None)
    return int(code) if code is not None else None


def _short(error: Exception) -> str:
    return " ".join(str(error).strip("'\"").split())[:300]


def _coerced(kind: str, pubs: list[PubLike]) -> list[Pub]:
    """PUBs whose parts have names."""
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    if kind == "sampler":
        return [SamplerPub.coerce(pub) for pub in pubs]
    return [EstimatorPub.coerce(engine.kept_whole(pub)) for pub in pubs]


def _values(pub: Pub) -> np.ndarray:
    values: np.ndarray = pub.parameter_values.as_array(pub.circuit.parameters)
    return values


def _described(pub: Pub) -> dict[str, object]:
    return {
        "values": _values(pub).tolist(),
        "shape": list(pub.shape),
        "shots": getattr(pub, "shots", None),
        "precision": getattr(pub, "precision", None),
    }


def _digest(kind: str, pubs: list[Pub], arguments: Mapping[str, float]) -> str:
    """What is asked, as a digest that is the same in every process."""
    digest = blake2b(f"{kind}|{sorted(arguments.items())}".encode(), digest_size=16)
    for pub in pubs:
        values = _values(pub)
        digest.update(engine.canonical_text(pub.circuit).encode())
        digest.update(
            f"|{values.shape}|{getattr(pub, 'shots', None)}|{getattr(pub, 'precision', None)}|".encode()
        )
        digest.update(values.tobytes())
        if kind != "sampler":
            digest.update(str(pub.observables.tolist()).encode())
    return digest.hexdigest()

"""The local service: backends, sessions, jobs, one clock, one bill."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from qiskit.providers import BackendV2

from runner.engine import Engine
from runner.errors import ConfigError, RuntimeSessionError
from runner.record.events import Event
from runner.runtime.backends import (
    BackendNotFoundError,
    LocalBackend,
    generic,
    generic_noise,
    ideal,
    is_simulator,
    noise_of,
    snapshot,
    snapshot_noise,
)
from runner.runtime.clock import VirtualClock, WallClock
from runner.runtime.cost import CostModel, QueueDelay, as_delay
from runner.runtime.errors import as_clients
from runner.runtime.job import STATUS, RuntimeJob
from runner.runtime.learning import Learned, with_layer_noise
from runner.runtime.machine import Job, Machine, SessionRecord
from runner.runtime.plan import PLANS, Plan
from runner.runtime.seeds import derive_id, derive_seed
from runner.runtime.timeline import CURRENT, Timeline
from runner.runtime.workloads import WorkloadPool

if TYPE_CHECKING:
    from qiskit.transpiler import Target

    from runner.runtime.backends import Noise, NoiseMaker
    from runner.runtime.repetition import Past
    from runner.runtime.results import Plain

LEAST_BUSY = "fake_torino"
LOCAL_CHANNEL = "local"
ACCOUNT = (
    "channel", "token", "url", "filename", "name", "instance", "proxies", "verify", "private_endpoint",
    "url_resolver", "region", "plans_preference", "tags",
)  # fmt: skip
"""What the client's service takes."""

Answer = TypeVar("Answer")

EventSink = Callable[[Event], None]
Recall = Callable[[str, int, str], "Sequence[Plain] | None"]
Follows = Callable[[str, int, str], bool]


class LocalRuntimeService:
    """Everything that looks like the real service to a program.

    Args:
        plan: `open`, `payg`, `flex`, `premium`, or a `Plan`.
        clock: A `VirtualClock` (default) or `WallClock`.
        machine: Makes the state machine from (plan, lanes, expired_jobs, observer), in place of `Machine`.
        cost: How long jobs keep the device.
        queue_delay: What a job waits when it does not belong to an active session: seconds or a `QueueDelay`.
        prices: USD per second of usage by plan name, in place of the plan's own.
        seed: The run seed that seeds and ids are derived from; random if not given.
        ids: What the ids of sessions and jobs depend on beside the seed: the configuration of a run, say.
        lanes: Jobs whose classical phases may overlap on one device.
        expired_jobs: What becomes of jobs still queued at a session's maximum time: failed | cancelled.
        interactive_timeout: Seconds a session or batch stays active without a job; the plan's if not given.
        usage_limit: Seconds that the instance may use within 28 days; the plan's allocation if not given.
        on_event: Called for every fact, in the order of its time.
        recall: Called with (workload, index, digest); what it returns answers the job without simulating.
        follows: Called with the same; whether the job's submission follows from what `recall` knows, and is not told.
        past: Returns what answers jobs whose submission and end it knows in one go (`Repetition`); None: nothing does.
        keep_results: Jobs give their result as often as it is asked for; False: once, and keep nothing of it.
        engine_options: Keyword arguments of the engine; `layer_noise_model`, `run:ID` or `file:PATH`, is what a run has
            learned of the device, in the place of what its gates and waits do wrong (`engine=pauli` only).
        engine_factory: Makes an engine from (target, noise_model, **engine_options).
        account: What the client takes to find an account, which is refused: none is needed.
    """

    looks_take_time: ClassVar[bool] = True
    """Whether time passes while a program asks the same again and again (C4)."""

    def __init__(
        self,
        *,
        plan: str | Plan = "premium",
        clock: VirtualClock | WallClock | None = None,
        machine: Callable[..., Machine] = Machine,
        cost: CostModel | None = None,
        queue_delay: QueueDelay | float | None = None,
        prices: dict[str, float] | None = None,
        seed: int | None = None,
        ids: str = "",
        lanes: int = 5,
        expired_jobs: str = "failed",
        interactive_timeout: float | None = None,
        usage_limit: float | None = None,
        on_event: EventSink | None = None,
        recall: Recall | None = None,
        follows: Follows | None = None,
        past: Callable[[], Past | None] | None = None,
        keep_results: bool = True,
        engine_options: Mapping[str, Any] | None = None,
        engine_factory: Callable[..., Engine] | None = None,
        **account: object,
    ) -> None:
        _require_no_account(account)
        self.plan = _plan(plan)
        if usage_limit is not None:
            if not usage_limit > 0:
                raise ConfigError(f"usage_limit must be above 0 seconds, got {usage_limit!r}")
            self.plan = replace(self.plan, allocation=usage_limit)
        if expired_jobs not in ("failed", "cancelled"):
            raise ConfigError(f"expired_jobs must be failed or cancelled, got {expired_jobs!r}")
        if lanes < 1:
            raise ConfigError(f"lanes must be at least 1, got {lanes!r}")
        self.clock = clock or VirtualClock()
        self.cost = cost or CostModel()
        self.queue_delay = as_delay(queue_delay)
        self.price_per_second = (prices or {}).get(self.plan.name, self.plan.price_per_second)
        self.interactive_timeout = interactive_timeout
        self.seed = secrets.randbits(63) if seed is None else seed
        self.ids = ids
        self.recall = recall
        self.follows = follows
        self._past = past
        self.keep_results = keep_results
        self._engine_options = engine_options or {}
        self._engine_factory = engine_factory or _make_engine
        latency = self.clock.latency if isinstance(self.clock, VirtualClock) else as_delay(0)
        self.timeline = Timeline(
            self.clock, on_event, lambda job: latency.draw(self.seed, f"latency|{job.workload}", job.index)
        )
        self.machine = machine(
            self.plan, lanes=lanes, expired_jobs=expired_jobs, observer=self.timeline.observe
        )
        self.timeline.machine = self.machine
        self._backends: dict[str, LocalBackend] = {}
        self._counts: dict[str, int] = {}
        self._primitives: dict[str, int] = {}
        self._sessions_opened = 0
        self._deleted: set[str] = set()
        self._learned: defaultdict[str, Learned] = defaultdict(Learned)
        self._key = secrets.token_hex(16)

    # -- account ----------------------------------------------------------------------------------------

    @property
    def channel(self) -> str:
        """The client's word for what needs no account."""
        return LOCAL_CHANNEL

    def active_account(self) -> None:
        """Return None: there is no account."""

    def active_instance(self) -> None:
        """Return None: there is one instance, without a name."""

    def instances(self) -> list[dict[str, Any]]:
        """Return the one instance there is, without a name, and its plan."""
        return [{"crn": None, "plan": self.plan.name, "name": None}]

    @staticmethod
    def saved_accounts(**which: object) -> dict[str, Any]:
        """Return no accounts, whichever are asked for."""
        del which
        return {}

    @staticmethod
    def save_account(*_account: object, **_named: object) -> None:
        """Refuse: nothing would use the account.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("the local service needs no account; leave save_account out")

    @staticmethod
    def delete_account(*_account: object, **_named: object) -> None:
        """Refuse: there are none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("the local service has no accounts; leave delete_account out")

    # -- backends ---------------------------------------------------------------------------------------

    def backend(
        self,
        name: str | None = None,
        instance: str | None = None,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
    ) -> LocalBackend:
        """Return a backend by name: `ideal`, `generic_<qubits>[_line|_ring|_grid]`, a snapshot, or an
        attached one; the default device without a name.

        Raises:
            ConfigError: there is none, or it has fractional gates though they are not to be used, or has none.
        """
        _require_no(instance=instance, calibration_id=calibration_id)
        name = LEAST_BUSY if name is None else name
        found = self._named(name)
        if use_fractional_gates is not None and not found.fits(use_fractional_gates):
            has = "has" if found.has_fractional_gates else "has no"
            raise ConfigError(
                f"{name} {has} fractional gates; its gates cannot be changed, leave use_fractional_gates out"
            )
        return found

    def _named(self, name: str) -> LocalBackend:
        if name not in self._backends:
            if name == "ideal":
                self._backends[name] = self._bind(ideal(), None, ideal=True)
            elif name.startswith("generic_"):
                self._backends[name] = self._bind(generic(name), lambda: generic_noise(name), ideal=False)
            elif name.startswith("fake_"):
                self._backends[name] = self._bind(snapshot(name), lambda: snapshot_noise(name), ideal=False)
            else:
                known = ", ".join(self._backends) or "none attached"
                snapshot_of = f"; its snapshot would be {name.replace('ibm_', 'fake_', 1)!r}"
                raise BackendNotFoundError(
                    f"no backend is called {name!r}{snapshot_of if name.startswith('ibm_') else ''}; "
                    f"there are ideal, generic_<n>, fake_<name> and {known}"
                )
        return self._backends[name]

    def backends(
        self,
        name: str | None = None,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        dynamic_circuits: bool | None = None,
        filters: Callable[[LocalBackend], bool] | None = None,
        *,
        use_fractional_gates: bool | None = None,
        calibration_id: str | None = None,
        **wanted: Any,
    ) -> list[LocalBackend]:
        """Return the backends that were used or attached, with the default device first.

        Args:
            name: The one with this name.
            min_num_qubits: Those with so many qubits.
            instance: There is one, without a name.
            dynamic_circuits: Those that have branches, or those that have not.
            filters: Those for which this is true.
            use_fractional_gates: Devices that have gates of any angle, or those that have not.
            calibration_id: Calibrations have no ids here.
            wanted: What attributes or the configuration of a backend are to be, as `simulator=False`.
        """
        _require_no(instance=instance, calibration_id=calibration_id)
        if name is not None:
            found = [self.backend(name)]
        else:
            default = self.backend(LEAST_BUSY)
            found = [default, *(one for one in self._backends.values() if one is not default)]
        fitting = [
            one
            for one in found
            if (min_num_qubits is None or (one.num_qubits or 0) >= min_num_qubits)
            and (dynamic_circuits is None or one.has_branches == dynamic_circuits)
            and (use_fractional_gates is None or one.fits(use_fractional_gates))
            and all(one.says(key) == value for key, value in wanted.items())
            and (filters is None or filters(one))
        ]
        if name is not None and not fitting:
            raise BackendNotFoundError(f"{name} is not as asked for; leave out what it does not fit")
        return fitting

    def least_busy(
        self,
        min_num_qubits: int | None = None,
        instance: str | None = None,
        filters: Callable[[LocalBackend], bool] | None = None,
        use_fractional_gates: bool | None = None,
        *,
        simulator: bool = False,
        **wanted: Any,
    ) -> LocalBackend:
        """Return the device that fits with the fewest jobs that are not over: a 133-qubit snapshot or a simulator where
        none has any, else one of those that were used or attached (`backends`).

        Raises:
            ConfigError: nothing fits.
        """
        first = self.backend("ideal" if simulator else LEAST_BUSY)
        fitting = self.backends(
            None,
            min_num_qubits,
            instance,
            filters=filters,
            use_fractional_gates=use_fractional_gates,
            simulator=simulator,
            **wanted,
        )
        if not fitting:
            if min_num_qubits is not None and (first.num_qubits or 0) < min_num_qubits:
                why = f"{first.name} has {first.num_qubits} qubits, fewer than {min_num_qubits}"
            else:
                why = f"not even {first.name} is as asked for"
            raise BackendNotFoundError(
                f"no backend fits: {why}; attach one, or ask for backend('generic_200_line')"
            )
        fitting.sort(key=lambda one: one is not first)
        return min(fitting, key=self.pending)

    def pending(self, backend: LocalBackend) -> int:
        """Return how many jobs of a backend are not over; asked again and again, time passes (C4)."""
        jobs = self.machine.unfinished
        name: str = backend.name

        def count() -> int:
            return sum(job.device.name == name for job in jobs.values())

        return self.look(self, f"pending {name}", count)

    def attach(self, backend: BackendV2) -> LocalBackend:
        """Return `backend` bound to this service; it may be anything with a target, such as
        `AerSimulator()`.
        """
        if not isinstance(backend, BackendV2):
            raise ValueError(f"Invalid backend type {type(backend)}")
        bound = self._bind(backend, noise_of(backend), ideal=is_simulator(backend))
        self._backends[bound.name] = bound
        return bound

    def _bind(self, backend: BackendV2, noise_model: NoiseMaker | None, *, ideal: bool) -> LocalBackend:
        return LocalBackend(
            self,
            backend,
            noise_model=noise_model,
            engine_factory=lambda target, noise: self._engine_factory(
                target, noise, **with_layer_noise(self._engine_options, backend.name)
            ),
            ideal=ideal,
        )

    # -- sessions ---------------------------------------------------------------------------------------

    def open_session(
        self,
        backend: LocalBackend,
        mode: str,
        max_time: float | None = None,
        interactive_timeout: float | None = None,
    ) -> SessionRecord:
        """Open a `dedicated` session or a `batch` within the plan; `Session` and `Batch` call this."""
        patience = self.interactive_timeout if interactive_timeout is None else interactive_timeout

        def open_it() -> SessionRecord:
            session_id = derive_id(self.seed, "session", mode, self._sessions_opened, self.ids)
            session = self.machine.open_session(session_id, backend.name, mode, max_time, patience)
            self._sessions_opened += 1
            return session

        return self.timeline.act(open_it)

    def find_session(self, session_id: str) -> SessionRecord:
        """Return what is remembered of a session or batch."""
        record = self.known_session(session_id)
        if record is None:
            raise as_clients(ConfigError(f"Session not found: {session_id}"), "IBMRuntimeError")
        return record

    def known_session(self, session_id: str) -> SessionRecord | None:
        """Return what is remembered of a session or batch; None of one that was not opened here."""
        return self.machine.sessions.get(session_id)

    def session_records(self) -> list[SessionRecord]:
        """Return what is remembered of every session and batch, oldest first."""
        return list(self.machine.sessions.values())

    def close_session(self, session: SessionRecord) -> None:
        """Let a session or batch take no more jobs; those submitted run to their end."""
        self.timeline.act(lambda: self.machine.close_session(session))

    def cancel_session(self, session: SessionRecord) -> None:
        """Let a session or batch take no more jobs and cancel those that wait; running ones complete."""
        self.timeline.act(lambda: self.machine.cancel_session(session))

    def sessions(self, *, state: str | None = None) -> list[dict[str, Any]]:
        """Return the details of every session and batch, oldest first."""
        return self.look(
            self,
            f"sessions {state}",
            lambda: [
                self.details(record)
                for record in self.session_records()
                if state is None or record.state == state
            ],
        )

    def present_details(self, session: SessionRecord) -> dict[str, Any]:
        """Return its `details` at the present time."""
        return self.timeline.act(lambda: self.details(session))

    def details(self, session: SessionRecord) -> dict[str, Any]:
        """Return the fifteen facts of `Session.details()` (S20)."""
        return {
            "id": session.id,
            "backend_name": session.device.name,
            "interactive_timeout": session.interactive_timeout,
            "max_time": session.max_time,
            "active_timeout": session.max_time,
            "state": session.state,
            "accepting_jobs": session.accepting,
            "last_job_started": self.date(session.last_job_started),
            "last_job_completed": self.date(session.last_job_completed),
            "started_at": self.date(session.started_at),
            "closed_at": self.date(session.closed_at),
            "activated_at": self.date(session.activated_at),
            "mode": session.mode,
            "usage_time": session.usage(self.machine.now),
            "timestamps": [
                {"status": state, "timestamp": self.date(time)} for state, time in session.transitions
            ],
        }

    def date(self, seconds: float | None) -> str | None:
        """Return a time on the clock as ISO-8601 UTC text."""
        if seconds is None:
            return None
        return self.clock.date(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    # -- jobs -------------------------------------------------------------------------------------------

    def next_name(self, kind: str) -> str:
        """Return the name of a primitive that was given none, by order of creation (within its workload)."""
        participant = CURRENT.get()
        if participant is not None and participant.timeline is self.timeline:
            participant.primitives += 1
            return f"{participant.name}/{kind}-{participant.primitives - 1}"
        with self.timeline.lock:
            number = self._primitives.get(kind, 0)
            self._primitives[kind] = number + 1
        return f"{kind}-{number}"

    def submit(
        self,
        make: Callable[[int, int], RuntimeJob],
        *,
        backend: LocalBackend,
        session: SessionRecord | None,
        workload: str,
        qpu_seconds: float,
        program: str,
        tags: Sequence[str] = (),
        max_execution_time: float | None = None,
        seed: int | None = None,
        priority: int = 0,
    ) -> RuntimeJob:
        """Submit a job; `make` gets (index, seed) and returns what the user holds.

        Args:
            make: Makes the `RuntimeJob`.
            backend: Where it runs.
            session: Its session or batch; None in job mode.
            workload: Whose job it is; the workload's jobs are counted across sessions.
            qpu_seconds: What it costs on the device.
            program: `estimator` or `sampler`.
            tags: Its tags.
            max_execution_time: Its own limit, in QPU seconds.
            seed: In place of the service's.
            priority: Higher goes first among those that wait for a free device.
        """
        limit = self.plan.max_time("job")
        if max_execution_time is not None:
            if session is not None and max_execution_time > session.max_time:
                raise ConfigError(
                    f"{max_execution_time:g} s is longer than the session's {session.max_time:g} s",
                    key="options.max_execution_time",
                )
            if max_execution_time > limit:
                raise ConfigError(
                    f"{max_execution_time:g} s is longer than the {self.plan.name} plan's {limit:g} s",
                    key="options.max_execution_time",
                )
            limit = max_execution_time
        timeline, machine = self.timeline, self.machine
        with timeline.lock:
            timeline.catch_up()
            index = self.submitted(workload)
            job_seed = derive_seed(self.seed if seed is None else seed, workload, index)
            job = make(index, job_seed)
            seen = timeline.seen
            job.after = None if seen is None else seen.id
            job.record = record = Job(
                derive_id(self.seed, "job", workload, index, self.ids),
                machine.device(backend.name),
                session,
                min(qpu_seconds, limit),
                self.cost.preparation,
                self.queue_delay.draw(self.seed, workload, index),
                priority,
                workload,
                index,
                tuple(tags),
                program,
                job,
                qpu_seconds > limit,
            )
            try:
                machine.submit(record)
            except RuntimeSessionError as error:
                raise as_clients(error, "IBMRuntimeError")  # noqa: B904 - it is the same
            self.count(workload)
            timeline.stir()
        timeline.deliver()
        return job

    def past_of(self, workload: str) -> Past | None:
        """Return what may answer the next job of a workload in one go; None where that job has to go the usual way."""
        past = None if self._past is None or self.keep_results else self._past()
        return past if past is not None and past.answers(workload) and self.timeline.alone else None

    def submitted(self, workload: str) -> int:
        """Return how many jobs of a workload were submitted."""
        return self._counts.get(workload, 0)

    def count(self, workload: str, jobs: int = 1) -> None:
        """Count, under the timeline's lock, more jobs of a workload."""
        self._counts[workload] = self._counts.get(workload, 0) + jobs

    def seed_ahead(self, workload: str, seed: int | None = None) -> int:
        """Return the seed of the workload's next job; `seed` in place of the service's."""
        return derive_seed(self.seed if seed is None else seed, workload, self._counts.get(workload, 0))

    def learned(self, session: SessionRecord) -> Learned:
        """Return what was learned of the device's noise in a session or batch."""
        return self._learned[session.id]

    def cancel_job(self, job: Job) -> bool:
        """Cancel a job; False if it is over already."""
        return bool(self.timeline.act(lambda: self.machine.cancel_job(job)))

    def job(self, job_id: str) -> RuntimeJob:
        """Return a job by id."""
        if (found := self.known_job(job_id)) is None:
            raise as_clients(RuntimeSessionError(f"Job not found: {job_id}"), "RuntimeJobNotFound")
        return found

    def known_job(self, job_id: str) -> RuntimeJob | None:
        """Return a job by id; None of one that was not submitted here, or was deleted."""
        if job_id not in self.machine.jobs or job_id in self._deleted:
            return None
        held: RuntimeJob = self.machine.jobs[job_id].payload
        return held

    def delete_job(self, job_id: str) -> None:
        """Let a job be found no more; it stays on the bill.

        Raises:
            RuntimeSessionError: there is none, or it is not over.
        """
        if not self.job(job_id).in_final_state():
            refusal = RuntimeSessionError(
                f"Failed to delete job: {job_id} is not over yet; cancel it first, or wait for its result"
            )
            raise as_clients(refusal, "IBMRuntimeError")
        self._deleted.add(job_id)

    def jobs(
        self,
        limit: int | None = 10,
        skip: int = 0,
        backend_name: str | None = None,
        pending: bool | None = None,
        program_id: str | None = None,
        instance: str | None = None,
        job_tags: Iterable[str] | None = None,
        session_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        descending: bool = True,
        *,
        status: str | None = None,
    ) -> list[RuntimeJob]:
        """Return jobs, newest first, `limit` of them (None: all): of a session, with all these tags, submitted
        between two dates (local ones where they name no zone), with a status, …

        Raises:
            ConfigError: a number or a date is none.
        """
        _require_no(instance=instance)
        tags = _words("job_tags", job_tags)
        if limit is not None:
            _require_count("limit", limit, " (or None: all)")
        _require_count("skip", skip)
        after, before = _utc("created_after", created_after), _utc("created_before", created_before)

        def search() -> list[Job]:
            return [
                job
                for job in self.machine.find_jobs(session_id=session_id, tags=tags)
                if job.id not in self._deleted
                and (status is None or STATUS.get(job.status, job.status) == status.upper())
                and (backend_name is None or job.device.name == backend_name)
                and (program_id is None or job.program == program_id)
                and (pending is None or job.final != pending)
                and (after is None or self.clock.date(job.submitted) >= after)
                and (before is None or self.clock.date(job.submitted) <= before)
            ]

        asked = (limit, skip, backend_name, pending, program_id, tags, session_id, after, before, status)
        found = self.look(self, f"jobs {asked}", search)
        if descending:
            found.reverse()
        return [job.payload for job in found[skip : None if limit is None else skip + limit]]

    def look(self, what: object, how: str, question: Callable[[], Answer]) -> Answer:
        """Answer a question about the present; one that repeats lets time pass where `looks_take_time` (C4)."""
        if self.looks_take_time:
            return self.timeline.look(what, how, question)
        return self.timeline.act(question)

    # -- time and money ---------------------------------------------------------------------------------

    def workloads(self, names: Sequence[str]) -> WorkloadPool:
        """Return threads for several workloads whose timeline is the same in every run; ties go by this
        order.
        """
        return WorkloadPool(self.timeline, names)

    def now(self) -> float:
        """Return the present time on the clock [s]."""
        return self.timeline.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass on the clock, as a program does that thinks for `seconds`."""
        self.timeline.sleep(seconds)

    def drain(self) -> None:
        """Let time pass until every job is over and every event was delivered."""
        self.timeline.drain()

    def usage(self) -> dict[str, Any]:
        """Return what was used and what it costs: sessions by active time, batches and jobs by QPU time
        (T3).
        """

        def add_up() -> dict[str, Any]:
            now = self.machine.now
            sessions = sum(session.usage(now) or 0.0 for session in self.machine.sessions.values())
            single = sum(job.qpu_used for job in self.machine.jobs.values() if job.session is None)
            qpu = sum(job.qpu_used for job in self.machine.jobs.values())
            used, limit = sessions + single, self.plan.allocation
            counted = used if limit is None else self.machine.used()
            return {
                "plan": self.plan.name,
                "usage_consumed_seconds": counted,
                "usage_limit_seconds": limit,
                "usage_remaining_seconds": None if limit is None else max(0.0, limit - counted),
                "usage_limit_reached": limit is not None and counted >= limit,
                "qpu_seconds": qpu,
                "jobs": len(self.machine.jobs),
                "sessions": len(self.machine.sessions),
                "price_per_second": self.price_per_second,
                "cost": used * self.price_per_second,
                "currency": "USD",
                "time": now,
            }

        return self.look(self, "usage", add_up)

    # -- copies -----------------------------------------------------------------------------------------

    def __copy__(self) -> LocalRuntimeService:
        return self

    def __deepcopy__(self, _memo: dict[int, object]) -> LocalRuntimeService:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled it stands for itself in this process, in another for a service like it with a seed of its own."""
        _SERVICES[self._key] = self
        like_it = {
            "plan": self.plan,
            "cost": self.cost,
            "queue_delay": self.queue_delay,
            "prices": {self.plan.name: self.price_per_second},
            "engine_options": self._engine_options,
        }
        return _unpickled, (self._key, type(self), None if self.timeline.told else like_it)

    def __repr__(self) -> str:
        return f"<LocalRuntimeService(plan='{self.plan.name}')>"


_SERVICES: WeakValueDictionary[str, LocalRuntimeService] = WeakValueDictionary()
"""The services of this process that were pickled or unpickled."""


def _unpickled(
    key: str, kind: type[LocalRuntimeService], like_it: Mapping[str, Any] | None
) -> LocalRuntimeService:
    if (service := _SERVICES.get(key)) is not None:
        return service
    if like_it is None:
        raise RuntimeSessionError(
            "a service whose jobs are recorded stays in its process; make a LocalRuntimeService in this one"
        )
    _SERVICES[key] = service = kind(**like_it)
    service._key = key
    return service


def _require_no_account(given: Mapping[str, object]) -> None:
    """Refuse what the client takes to find an account; one may say that there is none.

    Raises:
        ConfigError: it says which.
        TypeError: nobody takes it.
    """
    for name, value in given.items():
        if name not in ACCOUNT:
            raise TypeError(f"LocalRuntimeService has no argument {name!r}")
        if value is not None and (name, value) != ("channel", LOCAL_CHANNEL):
            raise ConfigError(f"the local service needs no account; leave {name} out", key=name)


def _require_no(**names: str | None) -> None:
    """Refuse what this service has none of."""
    for name, value in names.items():
        if value is not None:
            raise ConfigError(f"there is no {name} {value!r} here; leave {name} out", key=name)


def _require_count(name: str, number: object, otherwise: str = "") -> None:
    """Refuse what is no number of jobs."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigError(f"must be a whole number of at least 0{otherwise}, got {number!r}", key=name)


def _words(name: str, words: Iterable[str] | None) -> list[str] | None:
    """A list of words; a single one is refused as by the client."""
    if words is None:
        return None
    found = [] if isinstance(words, str) or not isinstance(words, Iterable) else list(words)
    if not all(isinstance(word, str) for word in found) or (not found and words != []):
        raise as_clients(
            ConfigError(f"{name} needs to be a list of strings, got {words!r}; write [word]"),
            "IBMInputValueError",
        )
    return found


def _utc(name: str, date: datetime | None) -> datetime | None:
    """A date in UTC; one without a zone is of this machine's, as in the client."""
    if date is None:
        return None
    if not isinstance(date, datetime):
        raise ConfigError(f"must be a datetime, as datetime(2026, 1, 31), got {date!r}", key=name)
    try:
        return date.astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise ConfigError(f"{date!r} is no date in UTC; take one within its years", key=name) from error


def bind(backend: BackendV2) -> LocalBackend:
    """Return `backend` if it belongs to a service, else bind it to a new one."""
    return backend if isinstance(backend, LocalBackend) else LocalRuntimeService().attach(backend)


def _plan(plan: str | Plan) -> Plan:
    if isinstance(plan, Plan):
        return plan
    if plan not in PLANS:
        raise ConfigError(f"plan must be one of {', '.join(PLANS)}, got {plan!r}")
    return PLANS[plan]


def _make_engine(target: Target | None, noise_model: Noise | None, **options: Any) -> Engine:
    return Engine(target, noise_model, **options)

"""The served runtime: state machine, clock, ledger, programs and one device, as the routes use them."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

from runner.declare.checks import shorten
from runner.errors import RunnerError, SessionClosedError, StorageError
from runner.record.events import Event, JobCompleted, SessionChanged
from runner.runtime import Batch, LocalBackend, Session, derive_seed
from runner.runtime.machine import (
    BATCH,
    CANCELLED,
    CLOSED,
    DEDICATED,
    DONE,
    FAILED,
    MAX_JOB_TIME_CODE,
    SESSION_CLOSED_CODE,
    Job,
)
from runner.runtime.threads import Background
from runner.serve import ledger as ledgers
from runner.serve.config import ServeConfig
from runner.serve.devices import ServedDevice, describe
from runner.serve.errors import ApiError
from runner.serve.ledger import Entry, Ledger
from runner.serve.limits import Limits
from runner.serve.pace import Pace, PacedClock, StandingClock
from runner.serve.programs import JobRequest, Programs
from runner.serve.wire import Decoder, field, not_found, refused, require_fields, tags

log = logging.getLogger("runner.serve")

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/local:runner::"
STATES = {DONE: ledgers.COMPLETED, FAILED: ledgers.FAILED, CANCELLED: ledgers.CANCELLED}
MAX_SESSION_SECONDS = 10_000_000
"""Longest times a session can be asked for; the plan's are shorter."""
SOON = 0.2
"""Real seconds: a question about a job that is over sooner than this waits for it."""


class Runtime:
    """One local runtime that outlives its process.

    Enter it to start its clock; leaving it ends all simulation and lets go of the folder.
    """

    def __init__(self, config: ServeConfig) -> None:
        session = config.run.session
        self.ledger = Ledger(config.directory, config.limits.price_per_second)
        seed = config.run.seed
        if self.ledger.lives:
            seed = derive_seed(seed, "serve", self.ledger.lives)  # ids of an earlier life are taken
        build = partial(
            session.build,
            limits=config.limits,
            seed=seed,
            on_event=self._happened,
            engine_options=config.run.backend.engine_options,
        )
        self.pace = Pace(self._clock(session), build, workers=config.workers)
        self.service = self.pace.service
        self.devices: dict[str, ServedDevice] = {}
        """By their names in the API."""
        for declared in config.served:
            backend = declared.build(self.service)
            assert isinstance(backend, LocalBackend)
            device = describe(backend, declared)
            self.devices[device.name] = device
        self.device = next(iter(self.devices.values()))
        """The first of them."""
        self._called = {one.backend.name: name for name, one in self.devices.items()}
        self.plan = self.service.plan
        self.scale = None if session.clock == "virtual" else session.clock_scale
        """Seconds of the clock in one; None where it jumps."""
        self._past_usage = sum(details["usage_time"] or 0.0 for details in self.ledger.sessions.values())
        self.pace.machine.charge(self._past_usage + self.ledger.job_usage)
        self.decoder = Decoder(config.unpacked_bytes, config.memory_bytes)
        self._programs = Programs(self.decoder, Limits.of(config), seed)
        self._encoders: dict[str, Callable[[], str]] = {}
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._ending = threading.RLock()
        self._warm: dict[str, Future[None]] = {name: Future() for name in self.devices}

    def _clock(self, session: Any) -> PacedClock:
        epoch = present = datetime.now(UTC)
        if self.ledger.latest is not None:
            epoch = max(epoch, datetime.fromisoformat(self.ledger.latest))
        if session.clock == "virtual":
            return StandingClock(epoch=epoch)
        lead = (epoch - present).total_seconds()
        return PacedClock(scale=session.clock_scale, epoch=epoch, lead=lead)

    def __enter__(self) -> Self:
        self.pace.__enter__()
        Background(self._warm_up).start()
        return self

    def _warm_up(self) -> None:
        """Make the engines, which loads the simulator; jobs wait for that of their device."""
        for name, device in self.devices.items():
            try:
                _ = device.backend.engine
            except Exception as error:
                self._warm[name].set_exception(error)
            else:
                self._warm[name].set_result(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pace.__exit__(kind, error, trace)
        self.ledger.close()

    # -- what the state machine tells -------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        if isinstance(event, SessionChanged):
            record = self.service.find_session(event.session)
            try:
                told = self.service.details(record)
                self.ledger.session({**told, "backend_name": self.called(told)}, record.reason)
            except StorageError:
                log.exception("session %s is not on record", record.id)
        elif isinstance(event, JobCompleted):
            with self.pace.preparing():  # writing a result takes time here, not on the device
                self._ended(event.job)

    def _ended(self, job_id: str) -> None:
        with self._ending:
            entry, job = self.ledger.entries.get(job_id), self.ledger.live.get(job_id)
            if entry is None or job is None:  # not on record yet: `submit` does this; or done already
                return
            status, result = self._outcome(entry, job)
            try:
                self.ledger.finished(entry, status, result)
            except StorageError as error:
                log.exception("job %s is not on record", job_id)
                self.ledger.lost(entry, f"its result could not be stored: {error}")
            self.pace.machine.forget(job)
        for listener in self._listeners.pop(job_id, ()):
            listener()

    def _outcome(self, entry: Entry, job: Job) -> tuple[str, str | None]:
        """Fill in what became of a job; return the API's status and the result."""
        encode = self._encoders.pop(entry.id)
        result = None
        if job.status == DONE:
            try:
                result = encode()
            except RunnerError:
                pass  # the simulation failed, and the job knows it now
            except Exception as error:
                log.error("the result of job %s cannot be written: %s", entry.id, shorten(repr(error), 300))
                log.debug("its stack", exc_info=error)
                job.status, job.code = FAILED, ledgers.INTERNAL_CODE
                job.reason = f"its result cannot be written: {error}"
        entry.reason, entry.code, entry.usage = job.reason, job.code, job.qpu_used
        entry.finished = self.service.date(job.finished)
        entry.running, entry.prepared, entry.reached = self.phases(job, job.finished)
        if entry.code == MAX_JOB_TIME_CODE:
            return ledgers.CANCELLED, None  # so the service says it; the client makes an error of it
        return STATES[job.status], result

    def phases(self, job: Job, until: float | None) -> tuple[str | None, str | None, str | None]:
        """When a job started, was prepared and reached the QPU, each None unless it did `until` then [s]."""
        date = self.service.date
        if job.started is None or until is None or job.started > until:
            return None, None, None
        prepared, reached = job.started + job.preparation, job.qpu_started
        return (
            date(job.started),
            date(prepared) if prepared <= until else None,
            date(reached) if reached is not None and reached < until else None,
        )

    # -- jobs -------------------------------------------------------------------------------------------

    def submit(self, body: dict[str, Any]) -> Entry:
        """Carry out POST /jobs.

        Raises:
            ApiError: the request is wrong, or the runtime refuses the job.
        """
        _require_known(body)
        program = field(body, "program_id", str, required=True)
        if program not in self._programs.names():
            raise ApiError(404, f"Program not found: {program}", solution=f"Use {self._programs.names()}.")
        params = field(body, "params", dict, required=True)
        limit = field(body, "cost", int)
        longest = self.plan.max_time("job")
        if limit is not None and not 1 <= limit <= longest:
            raise ApiError(400, f"'cost' must be 1 to {longest} seconds, not {shorten(limit, 30)}.")
        private = bool(field(body, "private", bool))
        session_id = field(body, "session_id", str)
        mode, device = self._mode(session_id, field(body, "backend", str))
        calibration = field(body, "calibration_id", str)
        require_calibration(device, calibration, status=400)
        request = JobRequest(mode, tags(body.get("tags")), limit, program, device.name)
        try:
            with self.pace.preparing():
                self._warm[device.name].result()
                submission = self._programs.submit(program, params, request)
        except RunnerError as error:
            raise refused(error) from error
        job = submission.job.record
        entry = Entry(
            id=job.id,
            program=program,
            backend=device.name,
            session=session_id,
            tags=request.tags,
            created=self.service.date(job.submitted) or "",
            estimate=job.qpu_seconds,
            cost=limit,
            private=private,
            calibration=calibration,
            notes=submission.notes,
        )
        self._encoders[job.id] = submission.encode
        try:
            self.ledger.submitted(entry, job, None if private else json.dumps(params).encode())
        except StorageError as error:
            self.service.cancel_job(job)
            self.ledger.lost(entry, str(error))
            raise ApiError(507, f"The job cannot be recorded: {error}", code=ledgers.INTERNAL_CODE) from error
        if job.final:
            self._ended(job.id)
        self.pace.nudge()
        return entry

    def _mode(
        self, session_id: str | None, backend: str | None
    ) -> tuple[Session | LocalBackend, ServedDevice]:
        """What a job is submitted to, and its device."""
        named = None if backend is None else self.require_device(backend, status=400)
        if session_id is None:
            if named is None:
                raise ApiError(400, "'backend' is required.")
            return named.backend, named
        record = self.service.known_session(session_id)
        if record is None and session_id not in self.ledger.sessions:
            raise ApiError(400, f"Session not found: {session_id}")
        if record is None or not record.accepting:
            raise refused(_closed())
        device = self.devices[self._called[record.device.name]]
        if named not in (None, device):
            raise ApiError(400, f"Session {session_id} is on {device.name}, not on {backend}.")
        return (Batch if record.mode == BATCH else Session).from_id(session_id, self.service), device

    def entry(self, job_id: str) -> Entry:
        """Return a job.

        Raises:
            ApiError: nobody knows it.
        """
        if job_id not in self.ledger.entries:
            raise not_found("Job", job_id)
        return self.ledger.entries[job_id]

    def describe(self, entry: Entry) -> dict[str, Any]:
        """A job as GET /jobs tells of it."""
        state: dict[str, Any] = {"status": self.ledger.state(entry)}
        if entry.reason is not None and not entry.pending:
            state["reason"] = entry.reason
            if entry.code is not None:
                state["reason_code"] = entry.code
        answer: dict[str, Any] = {
            "id": entry.id,
            "backend": entry.backend,
            "state": state,
            "status": state["status"],
            "created": entry.created,
            "ended": entry.finished,
            "program": {"id": entry.program},
            "runtime": "",
            "tags": entry.tags,
            "private": entry.private,
            "cost": entry.cost or self.plan.max_time("job"),
            "estimated_running_time_seconds": entry.estimate,
            "usage": {"seconds": entry.usage, "quantum_seconds": entry.usage},
        }
        if entry.session is not None:
            answer["session_id"] = entry.session
        if entry.calibration is not None:
            answer["calibration_id"] = entry.calibration
        return answer

    def result(self, entry: Entry) -> bytes | None:
        """The result as the client gets it, a private one once; None where there is none any more."""
        if entry.pending or entry.read:
            return None
        content = self.ledger.take(entry) if entry.private else self.ledger.result(entry)
        return content if content is not None else (entry.reason or "").encode()

    def metrics(self, entry: Entry, *, old: bool = False) -> dict[str, Any]:
        """Times and usage of a job; `old` is the form before API version 2026-03-15."""
        job = self.ledger.live.get(entry.id)
        running = entry.running if job is None else self.service.date(job.started)
        answer = {
            "timestamps": {"created": entry.created, "running": running, "finished": entry.finished},
            "usage": {
                "qpu_charge_time_seconds": entry.usage,
                "status": "pending" if entry.pending else "complete",
            },
            "circuits_execution_time_ns": round(entry.usage * 1e9),
            "estimated_running_time_seconds": entry.estimate,
            "qiskit_version": version("qiskit"),
            "caller": f"qiskit_ibm_runtime~{entry.program}.py",
        }
        if old:
            answer["usage"] = {"quantum_seconds": entry.usage, "seconds": entry.usage}
            answer["bss"] = {"seconds": entry.usage}
        return answer

    def log_of(self, entry: Entry) -> str:
        """The log of a job: the options that had no effect, and why it did not succeed."""
        lines = [*entry.notes, *([f"ERROR {entry.reason}"] if entry.reason and not entry.pending else [])]
        return "".join(f"{line}\n" for line in lines)

    def cancel(self, entry: Entry) -> None:
        """Cancel a job.

        Raises:
            ApiError: it is over already.
        """
        job = self.ledger.live.get(entry.id)
        if job is None or not self.service.cancel_job(job):
            raise ApiError(
                409,
                f"Job {entry.id} is {self.ledger.state(entry)} already.",
                code=1215,
                solution="None needed.",
            )
        self.pace.nudge()

    def delete(self, entry: Entry) -> None:
        """Forget a job.

        Raises:
            ApiError: it is not over.
        """
        if entry.pending:
            raise ApiError(409, f"Job {entry.id} is not over yet; cancel it first.", code=1215)
        self.ledger.delete(entry)

    def soon(self, entry: Entry) -> bool:
        """Whether a job is about to be over, so that waiting for it is cheaper than asking again."""
        job = self.ledger.live.get(entry.id)
        left = None if job is None else self.pace.seconds_left(job)
        return entry.pending and left is not None and left < SOON

    def when_over(self, entry: Entry, listener: Callable[[], None]) -> None:
        """Call `listener` once, from any thread, when a job is over."""
        self._listeners.setdefault(entry.id, []).append(listener)
        if not entry.pending:
            listener()

    def stop_listening(self, entry: Entry, listener: Callable[[], None]) -> None:
        """Do not call `listener` any more."""
        listeners = self._listeners.get(entry.id, [])
        if listener in listeners:
            listeners.remove(listener)
            if not listeners:
                self._listeners.pop(entry.id, None)

    # -- sessions ---------------------------------------------------------------------------------------

    def open_session(self, body: dict[str, Any]) -> dict[str, Any]:
        """Carry out POST /sessions.

        Raises:
            ApiError: the request is wrong, or the plan has no such session.
        """
        require_fields(body, OF_SESSION, "a session")
        if field(body, "instance", str) not in (None, CRN):
            raise ApiError(400, f"'instance' must be {CRN}, the one there is.")
        mode = field(body, "mode", str) or DEDICATED
        if mode not in (DEDICATED, BATCH):
            raise ApiError(400, f"'mode' must be {DEDICATED} or {BATCH}, not {mode!r}.")
        backend = field(body, "backend", str)
        if backend is None and len(self.devices) > 1:
            raise ApiError(400, f"'backend' is required; there are {', '.join(self.devices)}.")
        device = self.device if backend is None else self.require_device(backend, status=400)
        seconds = field(body, "max_ttl", int)
        patience = field(body, "interactive_ttl", int)
        for name, value, least in (("max_ttl", seconds, 1), ("interactive_ttl", patience, 0)):
            if value is not None and not least <= value <= MAX_SESSION_SECONDS:
                raise ApiError(
                    400,
                    f"'{name}' must be {least} to {MAX_SESSION_SECONDS} seconds, not {shorten(value, 30)}.",
                )
        try:
            record = self.service.open_session(device.backend, mode, seconds, patience)
        except RunnerError as error:
            raise refused(error) from error
        self.pace.nudge()
        return self.session(record.id)

    def session(self, session_id: str) -> dict[str, Any]:
        """A session as the API tells of it.

        Raises:
            ApiError: nobody knows it.
        """
        details = self.details(session_id)
        if details is None:
            raise not_found("Session", session_id)
        return self.tell(details)

    def details(self, session_id: str) -> dict[str, Any] | None:
        """The present details of a session, with `state_reason`; None where nobody knows it."""
        record, told = self.service.known_session(session_id), self.ledger.sessions.get(session_id)
        if record is None or (told is not None and told["state"] == CLOSED):
            return told
        return {**self.service.present_details(record), "state_reason": record.reason}

    def tell(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """Details of a session in the API's words."""
        return {
            "id": details["id"],
            "backend_name": self.called(details),
            "interactive_ttl": _whole(details["interactive_timeout"]),
            "max_ttl": _whole(details["max_time"]),
            "active_ttl": _whole(details["active_timeout"]),
            "state": details["state"],
            "state_reason": details["state_reason"],
            "accepting_jobs": details["accepting_jobs"],
            "last_job_started": details["last_job_started"],
            "last_job_completed": details["last_job_completed"],
            "started_at": details["started_at"],
            "closed_at": details["closed_at"],
            "activated_at": details["activated_at"],
            "mode": details["mode"],
            "elapsed_time": details["usage_time"],
            "timestamps": details["timestamps"],
        }

    def called(self, details: Mapping[str, Any]) -> str:
        """The name in the API of a session's backend, which may be one of an earlier life of the server."""
        return self._called.get(details["backend_name"], details["backend_name"])

    def sessions(self) -> list[dict[str, Any]]:
        """The present details of all sessions, also of earlier lives of the server, oldest first."""
        return [known for one in list(self.ledger.sessions) if (known := self.details(one)) is not None]

    def close_session(self, session_id: str, *, cancel: bool = False) -> None:
        """Let a session take no more jobs; `cancel` also drops those that wait. Closed ones stay closed.

        Raises:
            ApiError: nobody knows it.
        """
        if (record := self.service.known_session(session_id)) is not None:
            end = self.service.cancel_session if cancel else self.service.close_session
            end(record)
            self.pace.nudge()
        elif session_id not in self.ledger.sessions:
            raise not_found("Session", session_id)

    # -- the instance -----------------------------------------------------------------------------------

    def usage(self) -> dict[str, Any]:
        """What the instance has used, in whole seconds: sessions by active time, everything else by QPU time."""
        used, limit = self.used(), self.plan.allocation
        answer: dict[str, Any] = {
            "instance_id": CRN,
            "plan_id": self.plan.name,
            "usage_consumed_seconds": math.floor(used),
            "usage_limit_reached": limit is not None and used >= limit,
        }
        if limit is not None:
            whole = math.floor(limit)
            now, period = self.pace.now(), self.plan.allocation_period
            answer |= {
                "usage_limit_seconds": whole,
                "usage_allocation_seconds": whole,
                "usage_remaining_seconds": max(0, whole - math.floor(used)),
                "usage_period": {
                    "start_time": self.service.date(now - period),
                    "end_time": self.service.date(now),
                },
            }
        return answer

    def used(self) -> float:
        """Seconds that count: where there is a limit those of its period, else those of all lives of the instance."""
        if self.plan.allocation is not None:
            return self.pace.used()
        now = self.pace.now()
        live = sum(session.usage(now) or 0.0 for session in self.service.session_records())
        return live + self._past_usage + self.ledger.job_usage

    def require_device(self, name: str, *, status: int = 404) -> ServedDevice:
        """Return the device called `name`.

        Raises:
            ApiError: there is none.
        """
        if name not in self.devices:
            raise ApiError(
                status,
                f"Backend {shorten(name, 60)!r} not found; there is {', '.join(self.devices)}.",
                code=NO_BACKEND_CODE,
                solution="Use a backend of this instance.",
            )
        return self.devices[name]

    def waiting(self, device: ServedDevice) -> int:
        """How many jobs of a device are not over."""
        return sum(job.device.name == device.backend.name for job in list(self.ledger.live.values()))


def require_calibration(device: ServedDevice, wanted: str | None, *, status: int = 404) -> None:
    """Refuse a calibration that a device has not.

    Raises:
        ApiError: there is no such calibration.
    """
    if wanted is None or wanted == device.calibration:
        return
    known = "it has none" if device.calibration is None else f"it has {device.calibration}"
    raise ApiError(
        status,
        f"Calibration {shorten(wanted, 60)!r} of {device.name} not found; {known}.",
        code=NO_BACKEND_CODE,
        solution="Use the calibration of its configuration, or leave calibration_id out.",
    )


NO_BACKEND_CODE = 1216
UNUSED = {
    "runtime": str, "log_level": str, "start_session": bool, "session_time": int, "hub": str,
    "group": str, "project": str,
}  # fmt: skip
"""What a client may say about a job beside what is looked at here."""
OF_SESSION = ("mode", "backend", "instance", "max_ttl", "interactive_ttl")
USED = ("program_id", "params", "backend", "session_id", "tags", "cost", "private", "calibration_id")
LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


def _require_known(body: dict[str, Any]) -> None:
    """Refuse what no client says about a job.

    Raises:
        ApiError: there is such a field, or one is of another type.
    """
    require_fields(body, (*USED, *UNUSED), "a job")
    for name, kind in UNUSED.items():
        field(body, name, kind)
    if body.get("start_session") or body.get("session_time") is not None:
        raise ApiError(
            400,
            "A job starts no session here; leave start_session and session_time out.",
            solution="POST /sessions with max_ttl, and give the job its session_id.",
        )
    level = body.get("log_level")
    if level is not None and level not in LOG_LEVELS:
        raise ApiError(400, f"'log_level' must be one of {', '.join(LOG_LEVELS)}.")


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds


def _closed() -> RunnerError:
    return SessionClosedError("Session has been closed.", code=SESSION_CLOSED_CODE)

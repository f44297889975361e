"""A job as its user sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult

from runner.declare.checks import shorten
from runner.errors import (
    ConfigError,
    Interrupted,
    JobCancelledError,
    JobFailedError,
    JobMaxTimeError,
    JournalError,
    RunnerError,
    RuntimeSessionError,
    in_words,
)
from runner.record import faults
from runner.record.events import Event, JobCompleted, JobSubmitted
from runner.runtime import machine
from runner.runtime.errors import as_clients
from runner.runtime.options import check_tags
from runner.runtime.results import from_plain, to_plain

if TYPE_CHECKING:
    from runner.runtime.backends import LocalBackend
    from runner.runtime.results import Numbers, Plain
    from runner.runtime.service import LocalRuntimeService
    from runner.runtime.timeline import Told

Works = list[list[float | None]]
Description = tuple[list[Mapping[str, object]], Works, Works | None]
"""PUBs, work, and what it would be without mitigation where there is any, as `JobSubmitted` has them."""

Answer = TypeVar("Answer")

STATUS = {machine.FAILED: "ERROR"}
FINAL = ("DONE", "ERROR", "CANCELLED")


class RuntimeJob(BasePrimitiveJob[PrimitiveResult, str]):  # type: ignore[misc]
    """What `run()` returns. Its result is simulated when somebody asks for it, and only if the job came to
    run.

    Args:
        service: Where it lives.
        backend: Where it runs.
        simulate: Makes the numbers of every PUB.
        contain: Puts the numbers into the V2 containers.
        describe: Makes what only the primitive knows of its submission: PUBs and work.
        misfit: What is wrong with recorded numbers, if it cannot have given them.
        digest: What was asked, as a digest.
        seed: The seed of the job.
    """

    JOB_FINAL_STATES: ClassVar[tuple[str, ...]] = FINAL

    __slots__ = (
        "_answer",
        "_contain",
        "_describe",
        "_error",
        "_guard",
        "_misfit",
        "_numbers",
        "_recorded",
        "_service",
        "_simulate",
        "after",
        "asked",
        "backend_",
        "completion",
        "digest",
        "record",
        "seed",
        "settled",
    )

    def __init__(
        self,
        service: LocalRuntimeService,
        backend: LocalBackend,
        *,
        simulate: Callable[[], list[Numbers]] | None = None,
        contain: Callable[[RuntimeJob, list[Numbers]], PrimitiveResult] | None = None,
        describe: Callable[[], Description] | None = None,
        misfit: Callable[[list[Numbers]], str | None] | None = None,
        digest: str,
        seed: int,
    ) -> None:
        self._service = service
        self.backend_ = backend
        # each is let go of as soon as it has served: what is kept for a million jobs should be little
        self._simulate = simulate
        self._contain = contain
        self._describe = describe
        self._misfit = misfit
        self.digest = digest
        self.seed = seed
        self.record: machine.Job
        self.settled = False
        self.asked: Callable[[], dict[str, Any]] | None = None
        self.after: str | None = None
        self.completion: Told | None = None
        self._numbers: list[Numbers] | None = None
        self._recorded: Sequence[Plain] | None = None
        self._error: Exception | None = None
        self._answer: PrimitiveResult | None = None
        self._guard = threading.Lock()

    @classmethod
    def answered(
        cls,
        service: LocalRuntimeService,
        backend: LocalBackend,
        record: machine.Job,
        *,
        digest: str,
        seed: int,
        after: str | None,
    ) -> RuntimeJob:
        """Return a job that is done, whose result was given and whose end was told."""
        job = cls(service, backend, digest=digest, seed=seed)
        job.after = after
        job.record = record
        job.settled = True
        return job

    # -- results ----------------------------------------------------------------------------------------

    def result(
        self, timeout: float | None = None, decoder: None = None, poll_interval: float | None = None
    ) -> PrimitiveResult:
        """Wait until the job is over and return its result.

        Args:
            timeout: Seconds of the session's clock.
            decoder: None; there is nothing to decode.
            poll_interval: As the client takes it; nobody has to ask again and again here.

        Raises:
            RuntimeSessionError: It is not over in time, failed or was cancelled.
        """
        del poll_interval
        if decoder is not None:
            raise ConfigError(
                "results are not encoded here; leave decoder out and take what result() returns",
                key="decoder",
            )
        told = self._answer is not None or self._wait(timeout)
        found = self.contained()
        if told:
            self._let_go()
        return found

    def numbers(self) -> list[Numbers]:
        """Wait as `result()` does and return the arrays of each PUB by name, without the V2 containers.

        A loop that wants two numbers of every job spends a tenth of its time on containers.
        """
        told = self._wait(None)
        found = self._outcome()
        if told:
            self._let_go()
        return found

    def _let_go(self) -> None:
        """Forget the result, where the service leaves it to whoever asked."""
        if not self._service.keep_results:
            self._numbers = self._recorded = self._answer = self._contain = None

    def _wait(self, timeout: float | None) -> bool:
        """Wait until the job is over; whether what became of it has been told to whoever listens."""
        timeline = self._service.timeline
        if not timeline.wait_for(self.record, self.resolve, timeout):
            raise self._too_late(timeout)
        if not self.settled:
            self.resolve()
        completion, self.completion = self.completion, None
        timeline.deliver(completion)
        return completion is None or bool(completion.delivered)

    def _outcome(self) -> list[Numbers]:
        if self.record.status != machine.DONE:
            raise self._why_not()
        if self._numbers is None:
            raise RuntimeSessionError(f"the result of job {self.job_id()} was given once and is not kept")
        self._describe = None
        return self._numbers

    def resolve(self) -> None:
        """Find the job's numbers, if it came to run: recorded ones if there are any, else by simulation."""
        if self.settled or not self._service.machine.certain(self.record):
            return
        with self._guard:
            if self.settled:
                return
            job = self.record
            recall = self._service.recall
            recorded = recall(job.workload, job.index, self.digest) if recall is not None else None
            try:
                if recorded is not None:
                    self._recorded = recorded
                    self._numbers = _as_numbers(recorded, job, self._misfit)
                else:
                    assert self._simulate is not None
                    if faults.ACTIVE:
                        faults.reach("simulate")
                    self._numbers = self._simulate()
            except JournalError:
                raise
            except Interrupted as error:
                self._give_up(error)  # closing the session asks for it once more, and must not begin it again
                raise
            except Exception as error:
                self._error = error
                job.spoil(f"its simulation failed: {in_words(error)}")
            self._simulate = self._misfit = None
            self.settled = True

    def _give_up(self, error: Interrupted) -> None:
        """Simulate no more: whoever asks is told that it was interrupted."""

        def interrupted() -> list[Numbers]:
            raise error

        self._simulate = interrupted

    def simulate_ahead(self) -> None:
        """Simulate now and keep what comes of it; `resolve`, which alone decides about the job, then has it
        at once.
        """
        simulate = self._simulate
        if simulate is None:
            return
        try:
            numbers = simulate()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in Qiskit's Rust code is no Exception
            failure = (
                error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
            )

            def again() -> list[Numbers]:
                raise failure
        else:

            def again() -> list[Numbers]:
                return numbers

        with self._guard:
            if not self.settled:
                self._simulate = again

    def contained(self) -> PrimitiveResult:
        """Return the result of a job that is done, without waiting and without telling anybody."""
        if not self.settled:
            self.resolve()
        numbers = self._outcome()
        with self._guard:
            if self._answer is None:
                assert self._contain is not None
                self._answer = self._contain(self, numbers)
                self._contain = None
            return self._answer

    def _too_late(self, timeout: float | None) -> RuntimeSessionError:
        return as_clients(
            RuntimeSessionError(
                f"job {self.job_id()} was not over after {timeout or 0:g} s; it is {self._status()}"
            ),
            "RuntimeJobTimeoutError",
        )

    def _why_not(self) -> RunnerError:
        job = self.record
        if self._error is not None and isinstance(self._error, RunnerError):
            return as_clients(self._error, "RuntimeJobFailureError")
        assert job.finished is not None
        when = (
            f"{self._service.clock.date(job.finished):%Y-%m-%dT%H:%M:%SZ} ({job.finished:g} s on the clock)"
        )
        if job.status == machine.CANCELLED:
            cancelled = JobCancelledError(
                f"Unable to retrieve result for job {job.id}. Job was cancelled: {job.reason}, at {when}.",
                code=job.code,
                session_ended=job.session_ended,
            )
            return as_clients(cancelled, "RuntimeInvalidStateError")
        code = "" if job.code is None else f"Error code {job.code}; "
        late = job.code == machine.MAX_JOB_TIME_CODE
        kind = JobMaxTimeError if late else JobFailedError
        failure = kind(
            f"Unable to retrieve job result. {code}job {job.id} failed: {job.reason}, at {when}.",
            code=job.code,
            session_ended=job.session_ended,
        )
        failure.__cause__ = self._error
        return as_clients(failure, "RuntimeJobMaxTimeoutError" if late else "RuntimeJobFailureError")

    def event(self, fact: type[Event]) -> Event | None:
        """Return what is to be told of it: that it was submitted, or what became of it; None where that is known."""
        return self._submitted() if fact is JobSubmitted else self._completed()

    def _submitted(self) -> JobSubmitted | None:
        follows, job = self._service.follows, self.record
        if follows is not None and follows(job.workload, job.index, self.digest):
            return None
        assert self._describe is not None
        pubs, work, unmitigated = self._describe()
        more = {} if unmitigated is None else {"unmitigated": unmitigated}
        return JobSubmitted(
            job=job.id,
            workload=job.workload,
            index=job.index,
            digest=self.digest,
            session=self.session_id,
            backend=job.device.name,
            tags=list(job.tags),
            program=job.program,
            seed=self.seed,
            after=self.after,
            time=job.submitted,
            qpu_estimate=job.qpu_seconds,
            preparation=job.preparation,
            pubs=pubs,
            work=work,
            **more,
        )

    def _completed(self) -> JobCompleted:
        job, result = self.record, None
        assert job.finished is not None
        if job.status == machine.DONE:
            result = self._recorded or [to_plain(numbers) for numbers in self._numbers or ()]
        event = JobCompleted(
            job=job.id,
            workload=job.workload,
            index=job.index,
            digest=self.digest,
            session=self.session_id,
            status=job.status,
            reason=job.reason,
            code=job.code,
            session_ended=job.session_ended,
            started=job.started,
            finished=job.finished,
            time=job.finished,
            queue_seconds=(job.finished if job.started is None else job.started) - job.submitted,
            qpu_seconds=job.qpu_used,
            result=result,
        )
        return event if self._error is None else replace(event, simulation_failed=True)

    # -- looking ----------------------------------------------------------------------------------------

    def job_id(self) -> str:
        """Return the job's id."""
        return self.record.id

    def status(self) -> str:
        """Return QUEUED, RUNNING, DONE, ERROR or CANCELLED; asked again and again, time passes (C4)."""
        return self._look("status", self._status)

    def done(self) -> bool:
        """Whether it ran to its end."""
        return self._look("done", lambda: self._status() == "DONE")

    def running(self) -> bool:
        """Whether it is being executed."""
        return self._look("running", lambda: self._status() == "RUNNING")

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._look("cancelled", lambda: self._status() == "CANCELLED")

    def errored(self) -> bool:
        """Whether it failed."""
        return self._look("errored", lambda: self._status() == "ERROR")

    def in_final_state(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self._look("final", lambda: self._status() in FINAL)

    def _status(self) -> str:
        return STATUS.get(self.record.status, self.record.status)

    def listed(self) -> dict[str, object]:
        """Return it as session.json lists it; times in seconds on the session's clock."""
        return self._look("listed", self._listed)

    def _listed(self) -> dict[str, object]:
        job = self.record
        return {
            "id": job.id,
            "workload": job.workload,
            "index": job.index,
            "session": None if job.session is None else job.session.id,
            "tags": list(job.tags),
            "program": job.program,
            "status": self._status(),
            "reason": job.reason,
            "submitted": job.submitted,
            "started": job.started,
            "finished": job.finished,
            "qpu_seconds": job.qpu_used,
        }

    def _look(self, how: str, question: Callable[[], Answer]) -> Answer:
        if self.record.final and not self._service.looks_take_time:
            return question()  # nothing can happen to it any more
        return self._service.look(self.record, how, question)

    def wait_for_final_state(self, timeout: float | None = None, poll_interval: float | None = None) -> None:
        """Wait until the job is over; `timeout` is in seconds of the session's clock, and nothing is polled."""
        del poll_interval
        if not self._service.timeline.wait_for(self.record, None, timeout):
            raise self._too_late(timeout)

    def cancel(self) -> None:
        """Cancel the job; one that is over refuses."""
        if not self._service.cancel_job(self.record):
            refusal = RuntimeSessionError(
                f"Job cannot be cancelled: job {self.job_id()} is {self._status()} already."
            )
            raise as_clients(refusal, "RuntimeInvalidStateError")

    def error_message(self) -> str | None:
        """Return why it failed or was cancelled; None if it did not."""
        return self._look("error", lambda: self.record.reason)

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self.record.tags)

    def update_tags(self, new_tags: list[str]) -> list[str]:
        """Replace its tags."""
        check_tags(new_tags, "new_tags")
        self.record.tags = tuple(new_tags)
        return self.tags

    @property
    def session_id(self) -> str | None:
        """The id of its session or batch; None in job mode."""
        return self.record.session.id if self.record.session is not None else None

    @property
    def workload(self) -> str:
        """The name of the primitive that submitted it."""
        return self.record.workload

    @property
    def index(self) -> int:
        """How many jobs that primitive submitted before."""
        return self.record.index

    @property
    def primitive_id(self) -> str:
        """`estimator` or `sampler`."""
        return self.record.program

    program_id = primitive_id

    @property
    def times(self) -> machine.Job:
        """When it was `submitted`, `started` and `finished`, in seconds on the session's clock."""
        return self.record

    @property
    def service(self) -> LocalRuntimeService:
        """The service it lives in."""
        return self._service

    def backend(self, timeout: float | None = None) -> LocalBackend:
        """Return the backend it runs on, which is known at once."""
        del timeout
        return self.backend_

    @property
    def inputs(self) -> dict[str, Any]:
        """What was asked: PUBs, options, version; empty where the service keeps nothing of its jobs."""
        return {} if self.asked is None else self.asked()

    def properties(self, refresh: bool = False) -> Any:
        """Return the calibration of its device, which does not change; None of a simulator."""
        del refresh
        return self.backend_.properties()

    @property
    def instance(self) -> str | None:
        """None: this service has one instance without a name."""
        return None

    @property
    def private(self) -> bool:
        """Whether its result is given once only: never."""
        return False

    @property
    def image(self) -> str:
        """Empty: no custom program runs here."""
        return ""

    @property
    def creation_date(self) -> datetime:
        """When it was submitted."""
        return self._service.clock.date(self.record.submitted)

    @property
    def usage_estimation(self) -> dict[str, float]:
        """What the cost model expects."""
        return {"quantum_seconds": self.record.qpu_seconds}

    def usage(self, partial: bool = False) -> float:
        """Return the QPU seconds it used so far; a job that is not over used none that is charged yet."""
        del partial
        return self._look("usage", lambda: self.record.qpu_used)

    def metrics(self) -> dict[str, Any]:
        """Return its times and its usage, as the API does."""
        job = self.record
        return self._look(
            "metrics",
            lambda: {
                "timestamps": {
                    "created": self._service.date(job.submitted),
                    "running": self._service.date(job.started),
                    "finished": self._service.date(job.finished if job.final else None),
                },
                "usage": {
                    "qpu_charge_time_seconds": job.qpu_used,
                    "status": "complete" if job.final else "pending",
                },
                "estimated_running_time_seconds": job.qpu_seconds,
                "queue_seconds": None if job.started is None else job.started - job.submitted,
            },
        )

    def logs(self) -> str:
        """Return the log, which is empty."""
        return ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled it stands for itself in this process; in another there is no such job."""
        return _unpickled, (self._service, self.job_id())

    def __repr__(self) -> str:
        job = self.record
        return f"<RuntimeJob('{job.id}', '{job.program}', '{job.workload}-{job.index}')>"


def _unpickled(service: LocalRuntimeService, job_id: str) -> RuntimeJob:
    """The job that was pickled.

    Raises:
        RuntimeSessionError: this is another process.
    """
    if (found := service.known_job(job_id)) is None:
        raise RuntimeSessionError(
            f"job {job_id} is in the process that submitted it; take its result there and pickle that"
        )
    return found


def _as_numbers(
    recorded: Sequence[Plain], job: machine.Job, misfit: Callable[[list[Numbers]], str | None] | None
) -> list[Numbers]:
    """The numbers of a result that was recorded.

    Raises:
        JournalError: they are none that the job gives.
    """
    try:
        found = [from_plain(numbers) for numbers in recorded]
        wrong = None if misfit is None else misfit(found)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        wrong = f"it holds no arrays ({shorten(str(error), 80)})"
    if wrong is not None:
        raise JournalError(
            f"the journal is damaged: result of job {job.index} of workload {job.workload!r}: {wrong}; restore it"
        )
    return found

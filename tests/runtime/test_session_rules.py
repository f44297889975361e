"""Rules S1 to S22 as a user of sessions meets them."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2

from runner.errors import (
    ConfigError,
    JobCancelledError,
    JobFailedError,
    JobMaxTimeError,
    PlanError,
    RuntimeSessionError,
    SessionClosedError,
)
from runner.record.events import JobCompleted, SessionChanged
from runner.record.log import of
from runner.runtime import (
    Batch,
    CostModel,
    EstimatorV2,
    LocalRuntimeService,
    SamplerV2,
    Session,
    VirtualClock,
    parse_duration,
    workload,
)
from runner.runtime.machine import status_text
from tests.runtime.fakes import PUB, fake_service

PENDING = "Pending"
ACCEPTING = "In progress, accepting new jobs"
NOT_ACCEPTING = "In progress, not accepting new jobs"
CLOSED = "Closed"


@pytest.fixture
def events() -> list[Any]:
    """What the service told."""
    return []


@pytest.fixture
def service(events: list[Any]) -> LocalRuntimeService:
    """Ten QPU seconds a job, no latency, so that times can be added in the head."""
    return fake_service(
        clock=VirtualClock(latency=0),
        cost=CostModel(overhead=10, seconds_per_execution=0),
        on_event=events.append,
    )


@pytest.fixture
def backend(service: LocalRuntimeService) -> Any:
    """A device without constraints."""
    return service.backend("ideal")


def simulated(backend: Any) -> int:
    """How many PUBs were simulated."""
    return len(backend.engine.runs)


# -- opening ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["ibm_torino", None, 5])
def test_S1_a_backend_object_is_required(wrong: Any) -> None:
    """Anything else is refused by its type, in the client's words."""
    with pytest.raises(ValueError, match=rf"Invalid backend type {type(wrong)}"):
        Session(wrong)


def test_S1_a_backend_of_no_service_gets_one_of_its_own() -> None:
    """An `AerSimulator` can be passed as it is."""
    from qiskit_aer import AerSimulator

    with Session(AerSimulator()) as session:
        assert session.session_id
        assert session.backend() == "aer_simulator"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(25, 25), ("25m", 1500), ("8h", 28800), ("1h 30m", 5400), ("40s 1h", 3640), ("1d", 86400), (None, None)],
)
def test_S2_max_time_is_read_in_any_order(given: Any, seconds: int | None) -> None:
    """Seconds or parts of days, hours, minutes, seconds."""
    assert parse_duration(given) == seconds


@pytest.mark.parametrize(
    "wrong",
    ["1.5h", "-5m", "10x5m", "8hours", "90", "", "abc", "25 m", "1H", "0s", 0, -3, True, 12.5, ["1h"]],
)
def test_S2_what_is_not_completely_understood_is_refused(wrong: Any) -> None:
    """The message shows the accepted forms, or the smallest value."""
    with pytest.raises(ConfigError, match=r"1h 30m|at least 1 second") as caught:
        parse_duration(wrong, key="session.max_time")

    assert str(caught.value).startswith("session.max_time: ")
    assert "\n" not in str(caught.value)


def test_S3_max_time_above_the_plan_is_refused(service: LocalRuntimeService, backend: Any) -> None:
    """Eight hours are fine, a second more is not; nothing is opened."""
    with pytest.raises(
        ConfigError, match=r"session.max_time: 28801 s is longer than the premium plan's maximum"
    ):
        Session(backend, max_time=28801)

    assert service.sessions() == []
    assert Session(backend, max_time="8h").details()["max_time"] == 28800


def test_S3_a_job_limit_above_the_session_is_refused(backend: Any) -> None:
    """`max_execution_time` may not exceed the session's max_time, nor three hours."""
    with Session(backend, max_time=60):
        estimator = EstimatorV2(options={"max_execution_time": 61})
        with pytest.raises(ConfigError, match=r"61 s is longer than the session's 60 s"):
            estimator.run([PUB])
    with pytest.raises(ConfigError, match=r"10801 s is longer than the premium plan's 10800 s"):
        EstimatorV2(backend, {"max_execution_time": 10801}).run([PUB])


def test_S4_the_open_plan_has_no_sessions() -> None:
    """Code 1352 and its text; batch up to ten minutes and job mode are fine."""
    service = fake_service(plan="open")
    backend = service.backend("ideal")
    with pytest.raises(
        PlanError, match=r"not authorized to run a session when using the open plan"
    ) as caught:
        Session(backend)
    with pytest.raises(ConfigError, match=r"601 s is longer than the open plan's maximum of 600 s"):
        Batch(backend, max_time=601)

    assert caught.value.code == 1352
    with Batch(backend):
        assert EstimatorV2().run([PUB]).result()
    assert EstimatorV2(backend).run([PUB]).result()


@pytest.mark.parametrize("plan", ["premium", "flex", "payg"])
def test_S4_the_other_plans_have_sessions(plan: str) -> None:
    """They may open one."""
    assert Session(fake_service(plan=plan).backend("ideal")).status() == PENDING


def test_S5_a_session_starts_with_its_first_job(service: LocalRuntimeService, backend: Any) -> None:
    """Before: open and Pending, without dates; the clock of max_time has not started."""
    session = Session(backend, max_time=60)
    service.sleep(100)
    before = session.details()
    EstimatorV2(session).run([PUB])
    after = session.details()

    assert (before["state"], before["started_at"], session.usage()) == ("open", None, 0)
    assert (after["state"], session.status()) == ("active", ACCEPTING)
    assert after["started_at"] == after["activated_at"] == "2026-01-01T00:01:40.000000Z"


def test_S6_an_unused_session_closes_after_30_minutes(service: LocalRuntimeService, backend: Any) -> None:
    """Not before, and not when a job was submitted in time."""
    session, used = Session(backend), Session(backend)
    service.sleep(1799)
    assert session.status() == PENDING
    EstimatorV2(used).run([PUB])
    service.sleep(1)

    assert (session.status(), session.reason) == (CLOSED, "no job within 30 minutes")
    assert used.status() == ACCEPTING


# -- running ------------------------------------------------------------------------------------------


def test_S7_an_active_session_owns_its_device(service: LocalRuntimeService, backend: Any) -> None:
    """Jobs of others wait until it is inactive, 60 s after its last job."""
    first, second = Session(backend), Session(backend)
    mine = EstimatorV2(first).run([PUB])
    other = EstimatorV2(second).run([PUB])
    single = EstimatorV2(backend).run([PUB])
    mine.result()
    assert (other.status(), single.status(), second.status()) == ("QUEUED", "QUEUED", PENDING)
    other.result()
    single.result()

    assert mine.record.finished == 10
    assert (other.record.started, other.record.finished) == (70, 80)
    assert single.record.started == 140


def test_S7_lanes_overlap_classical_phases_only(backend: Any) -> None:
    """Six jobs of 4 s preparation and 10 s QPU on five lanes: QPU phases follow each other without gaps."""
    service = fake_service(
        cost=CostModel(overhead=10, seconds_per_execution=0, preparation=4), clock=VirtualClock(latency=0)
    )
    with Session(service.backend("ideal")):
        estimator = EstimatorV2()
        jobs = [estimator.run([PUB]) for _ in range(6)]
    statuses = [job.status() for job in jobs]
    service.drain()

    assert statuses == ["RUNNING"] * 5 + ["QUEUED"]
    assert [job.record.started for job in jobs] == [0, 0, 0, 0, 0, 14]
    assert [job.record.qpu_started for job in jobs] == [4, 14, 24, 34, 44, 54]
    assert jobs[-1].record.finished == 64


def test_S8_an_idle_session_becomes_inactive_and_comes_back(events: list[Any]) -> None:
    """60 s after a job's completion; the next job queues like any other and re-activates."""
    service = fake_service(
        clock=VirtualClock(latency=0),
        cost=CostModel(overhead=10, seconds_per_execution=0),
        queue_delay=30,
    )
    session = Session(service.backend("ideal"))
    estimator = EstimatorV2(session)
    estimator.run([PUB]).result()
    service.sleep(59)
    assert session.status() == ACCEPTING
    service.sleep(1)
    assert (session.status(), session.details()["state"]) == (PENDING, "inactive")
    again = estimator.run([PUB])
    again.result()
    within = estimator.run([PUB])
    within.result()

    assert (again.record.submitted, again.record.started) == (100, 130)
    assert within.record.started == within.record.submitted
    assert [one["status"] for one in session.details()["timestamps"]] == [
        "open",
        "active",
        "inactive",
        "active",
    ]


def test_S8_a_batch_waits_one_second(service: LocalRuntimeService, backend: Any) -> None:
    """Its interactive time-out is 1 s."""
    batch = Batch(backend)
    EstimatorV2(batch).run([PUB]).result()
    service.sleep(1)

    assert (batch.details()["interactive_timeout"], batch.details()["state"]) == (1, "inactive")


def test_S9_the_maximum_time_never_pauses(service: LocalRuntimeService, backend: Any) -> None:
    """It runs on while the session is inactive."""
    session = Session(backend, max_time=100)
    EstimatorV2(session).run([PUB]).result()
    service.sleep(80)
    assert session.details()["state"] == "inactive"
    service.sleep(10)

    assert (session.status(), session.reason) == (CLOSED, "maximum time reached")
    assert session.details()["closed_at"] == "2026-01-01T00:01:40.000000Z"


def test_S10_primitives_take_the_session_they_stand_in(service: LocalRuntimeService, backend: Any) -> None:
    """Outside they refuse; of nested blocks the inner wins and the outer comes back."""
    with pytest.raises(ValueError, match=r"^A backend or session must be specified\.$"):
        EstimatorV2()
    with Session(backend) as outer:
        with Batch(backend) as inner:
            assert SamplerV2().mode is inner
        assert EstimatorV2().mode is outer
    with pytest.raises(ValueError, match="must be specified"):
        SamplerV2()


def test_S10_a_backend_inside_a_block_joins_the_session(
    service: LocalRuntimeService, backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning; another backend is refused; a primitive from outside stays in job mode, with a
    warning.
    """
    outside = EstimatorV2(backend)
    with caplog.at_level(logging.WARNING), Session(backend) as session:
        assert EstimatorV2(backend).mode is session
        with pytest.raises(ValueError, match="different from the session backend"):
            EstimatorV2(service.backend("generic_2"))
        assert outside.run([PUB]).session_id is None

    assert "will run inside this session/batch instead of in job mode" in caplog.text
    assert "its job runs in job mode" in caplog.text


def test_S10_worker_threads_inherit_the_session(service: LocalRuntimeService, backend: Any) -> None:
    """Through our pool; plain threads do not, as in Python generally."""
    with Session(backend) as session, service.workloads(["a", "b"]) as pool:
        modes = [pool.submit(name, lambda: EstimatorV2().mode) for name in "ab"]
        assert [mode.result() for mode in modes] == [session, session]
        errors: list[Exception] = []

        def alone() -> None:
            try:
                EstimatorV2()
            except ValueError as error:
                errors.append(error)

        thread = threading.Thread(target=alone)
        thread.start()
        thread.join()
    assert "must be specified" in str(errors[0])


def test_S10_workload_registers_a_thread_by_hand(service: LocalRuntimeService, backend: Any) -> None:
    """`workload()` finds the service through the session, or is told."""
    with Session(backend), workload("by-hand"):
        job = EstimatorV2().run([PUB])
        job.result()
    assert job.workload == "by-hand/estimator-0"
    with workload("told", service):
        assert EstimatorV2(backend).run([PUB]).result()
    with pytest.raises(ConfigError, match="needs a service"), workload("lost"):
        pass


def test_S11_circuits_must_be_isa_circuits(service: LocalRuntimeService) -> None:
    """The refusal names the device, the instruction and the cure; one line, at submission."""
    device = service.backend("generic_2")
    wrong = QuantumCircuit(2)
    wrong.h(0)
    for run in (lambda: EstimatorV2(device).run([(wrong, "ZZ")]), lambda: SamplerV2(device).run([wrong])):
        with pytest.raises(
            ConfigError, match=r"not an ISA circuit of generic_2: it has no instruction h .*transpile"
        ):
            run()
    wide = QuantumCircuit(3)
    with pytest.raises(ConfigError, match="the circuit has 3 qubits, generic_2 has 2"):
        EstimatorV2(device).run([(wide, "ZZZ")])
    conditional = QuantumCircuit(2, 1)
    with conditional.if_test((conditional.clbits[0], 1)):
        conditional.x(0)
    with pytest.raises(ConfigError, match="no instruction if_else"):
        SamplerV2(service.attach(GenericBackendV2(2))).run([conditional])  # a device without any control flow
    inside = QuantumCircuit(2, 1)
    with inside.if_test((inside.clbits[0], 1)):
        inside.h(0)
    with pytest.raises(ConfigError, match="no instruction h "):
        SamplerV2(service.backend("generic_2_line")).run([inside])

    assert service.jobs() == []


def test_S12_jobs_are_found_by_session_tag_and_status(service: LocalRuntimeService, backend: Any) -> None:
    """Every job has an id, its tags and its session's id."""
    with Session(backend) as session:
        estimator = EstimatorV2()
        estimator.options.environment.job_tags = ["cobyla", "first"]
        tagged = estimator.run([PUB])
        estimator.options.environment.job_tags = None
        plain = estimator.run([PUB])
    single = EstimatorV2(backend).run([PUB])
    tagged.result()

    assert tagged.tags == ["cobyla", "first"]
    assert tagged.session_id == plain.session_id == session.session_id
    assert single.session_id is None
    assert service.jobs(session_id=session.session_id) == [plain, tagged]
    assert service.jobs(job_tags=["cobyla"]) == service.jobs(job_tags=["first", "cobyla"]) == [tagged]
    assert service.jobs(status="DONE") == [tagged]
    assert service.jobs(pending=True) == [single, plain]
    assert service.jobs(limit=1, skip=1) == [plain]
    assert service.job(tagged.job_id()) is tagged
    with pytest.raises(RuntimeSessionError, match="Job not found"):
        service.job("nothing")


# -- ending -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expired_jobs", "status", "error"),
    [("failed", "ERROR", JobFailedError), ("cancelled", "CANCELLED", JobCancelledError)],
)
def test_S14_queued_jobs_die_with_the_session(expired_jobs: str, status: str, error: type[Exception]) -> None:
    """S13: the one on the QPU completes, accepting stops; the others are never simulated (code 4001)."""
    service = fake_service(
        clock=VirtualClock(latency=0),
        cost=CostModel(overhead=10, seconds_per_execution=0),
        expired_jobs=expired_jobs,
        lanes=2,
    )
    backend = service.backend("ideal")
    session = Session(backend, max_time=15)
    estimator = EstimatorV2(session)
    jobs = [estimator.run([PUB]) for _ in range(4)]
    service.sleep(15)
    assert [job.status() for job in jobs] == ["DONE", "RUNNING", status, status]
    assert session.status() == NOT_ACCEPTING
    with pytest.raises(SessionClosedError) as refused:
        estimator.run([PUB])
    assert refused.value.code == 1217
    for job in jobs[:2]:
        job.result()
    with pytest.raises(
        error, match=rf"{jobs[3].job_id()}.*maximum time of 15 s, at 2026-01-01T00:00:15Z"
    ) as caught:
        jobs[3].result()

    assert caught.value.code == 4001
    assert caught.value.session_ended
    assert (session.status(), jobs[2].record.finished) == (CLOSED, 15)
    assert session.details()["closed_at"] == "2026-01-01T00:00:20.000000Z"
    assert simulated(backend) == 2


def test_S13_a_running_job_completes(service: LocalRuntimeService, backend: Any) -> None:
    """Its session is closed when it does; usage counts until then."""
    session = Session(backend, max_time=5)
    job = EstimatorV2(session).run([PUB])

    assert job.result()[0].data.evs.shape == ()
    assert (session.status(), session.usage()) == (CLOSED, 10)


def test_S15_close_lets_jobs_finish_then_closes_at_once(service: LocalRuntimeService, backend: Any) -> None:
    """Without waiting for the interactive timer; closing again changes nothing."""
    session = Session(backend)
    estimator = EstimatorV2(session)
    jobs = [estimator.run([PUB]) for _ in range(7)]
    session.close()
    assert session.status() == NOT_ACCEPTING
    session.close()
    jobs[-1].result()

    assert [job.status() for job in jobs] == ["DONE"] * 7
    assert (session.status(), session.details()["closed_at"]) == (CLOSED, "2026-01-01T00:01:10.000000Z")
    before = session.details()
    session.close()
    assert session.details() == before


def test_S15_closed_sessions_go_first_in_line(service: LocalRuntimeService) -> None:
    """Jobs of a closing session that had its turn and is not active overtake those that have waited longer."""
    service = fake_service(
        clock=VirtualClock(latency=0), cost=CostModel(overhead=10, seconds_per_execution=0), lanes=1
    )
    backend = service.backend("ideal")
    session = Session(backend)
    EstimatorV2(session).run([PUB]).result()
    service.sleep(60)
    EstimatorV2(backend).run([PUB])
    waiting = EstimatorV2(backend).run([PUB])
    job = EstimatorV2(session).run([PUB])
    session.close()
    assert session.status() == PENDING  # the client's mapping: it is inactive
    waiting.result()
    job.result()

    assert (job.record.started, waiting.record.started) == (80, 90)


def test_S15_an_exception_closes_the_session_too(service: LocalRuntimeService, backend: Any) -> None:
    """Leaving the block by an error does what `close()` does."""
    with pytest.raises(KeyError), Session(backend) as session:  # noqa: PT012 - it is about the block
        job = EstimatorV2().run([PUB])
        raise KeyError

    assert session.status() == NOT_ACCEPTING
    assert job.result()
    assert session.status() == CLOSED


def test_S16_cancel_kills_what_is_queued(backend: Any) -> None:
    """The running job completes, queued ones are cancelled and never simulated."""
    service = fake_service(clock=VirtualClock(latency=0), lanes=1)
    backend = service.backend("ideal")
    session = Session(backend)
    estimator = EstimatorV2(session)
    running, queued = estimator.run([PUB]), estimator.run([PUB])
    session.cancel()
    assert [running.status(), queued.status(), session.status()] == ["RUNNING", "CANCELLED", NOT_ACCEPTING]
    assert running.result()
    with pytest.raises(
        JobCancelledError, match=rf"{queued.job_id()}. Job was cancelled: its session was cancelled"
    ):
        queued.result()
    session.cancel()

    assert (session.status(), session.reason) == (CLOSED, "cancelled by cancel()")
    assert simulated(backend) == 1


def test_S17_submitting_to_a_closed_session(service: LocalRuntimeService, backend: Any) -> None:
    """The client's text when closed through this object, code 1217 when the runtime closed it."""
    session = Session(backend)
    twin = Session.from_id(session.session_id, service)
    estimators = [EstimatorV2(session), EstimatorV2(twin)]
    session.close()
    with pytest.raises(SessionClosedError, match=r"^The session is closed\.$") as here:
        estimators[0].run([PUB])
    with pytest.raises(SessionClosedError, match=r"^Session has been closed\.$") as there:
        estimators[1].run([PUB])

    assert (here.value.code, there.value.code) == (None, 1217)
    assert here.value.session_ended
    assert there.value.session_ended


def test_S17_a_second_session_takes_over(service: LocalRuntimeService, backend: Any) -> None:
    """The workload's jobs are counted on, across sessions of one service."""
    with Session(backend, max_time=1) as first:
        EstimatorV2(workload="vqe").run([PUB]).result()
    with Session(backend) as second:
        job = EstimatorV2(workload="vqe").run([PUB])
        job.result()

    assert (job.workload, job.index) == ("vqe", 1)
    assert first.session_id != second.session_id


def test_S18_errors_say_which_job_why_and_when(service: LocalRuntimeService, backend: Any) -> None:
    """A job past its own limit, a cancelled one, one whose simulation fails."""
    late = EstimatorV2(backend, {"max_execution_time": 4}).run([PUB])
    with pytest.raises(
        JobMaxTimeError, match=rf"1305; job {late.job_id()} failed: it ran longer .* 4 s, at 2026"
    ) as caught:
        late.result()
    assert (caught.value.code, caught.value.session_ended, late.usage(), late.status()) == (
        1305,
        False,
        4,
        "ERROR",
    )
    gone = EstimatorV2(backend).run([PUB])
    gone.cancel()
    with pytest.raises(
        JobCancelledError, match=rf"{gone.job_id()}. Job was cancelled: it was cancelled, at 2026"
    ):
        gone.result()
    with pytest.raises(RuntimeSessionError, match="cannot be cancelled"):
        gone.cancel()
    assert simulated(backend) == 0

    def explode(*_: Any) -> float:
        raise ZeroDivisionError("division by zero")

    backend.engine.simulate = explode
    broken = EstimatorV2(backend).run([PUB])
    with pytest.raises(
        JobFailedError,
        match=rf"{broken.job_id()} failed: its simulation failed: ZeroDivisionError: division by zero",
    ):
        broken.result()
    assert broken.status() == "ERROR"
    assert "division" in broken.error_message()


# -- looking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "accepting", "text"),
    [
        ("open", True, PENDING),
        ("open", False, PENDING),
        ("inactive", True, PENDING),
        ("active", True, ACCEPTING),
        ("active", False, NOT_ACCEPTING),
        ("pending_inactive", False, ACCEPTING),
        ("pending_closed", True, NOT_ACCEPTING),
        ("closed", False, CLOSED),
    ],
)
def test_S19_status_follows_the_client(state: str, accepting: bool, text: str) -> None:
    """The client's mapping of state and accepting_jobs."""
    assert status_text(state, accepting) == text


def test_S20_details_have_fifteen_keys(service: LocalRuntimeService, backend: Any) -> None:
    """With their types, before and after a job."""
    with Session(backend, max_time="25m") as session:
        fresh = session.details()
        EstimatorV2().run([PUB]).result()
    closed = session.details()

    assert len(fresh) == 15
    assert fresh == {
        "id": session.session_id,
        "backend_name": "ideal",
        "interactive_timeout": 60,
        "max_time": 1500,
        "active_timeout": 1500,
        "state": "open",
        "accepting_jobs": True,
        "last_job_started": None,
        "last_job_completed": None,
        "started_at": None,
        "closed_at": None,
        "activated_at": None,
        "mode": "dedicated",
        "usage_time": None,
        "timestamps": [{"status": "open", "timestamp": "2026-01-01T00:00:00.000000Z"}],
    }
    assert closed == {
        **fresh,
        "state": "closed",
        "accepting_jobs": False,
        "last_job_started": "2026-01-01T00:00:00.000000Z",
        "last_job_completed": "2026-01-01T00:00:10.000000Z",
        "started_at": "2026-01-01T00:00:00.000000Z",
        "activated_at": "2026-01-01T00:00:00.000000Z",
        "closed_at": "2026-01-01T00:00:10.000000Z",
        "usage_time": 10.0,
        "timestamps": [
            {"status": "open", "timestamp": "2026-01-01T00:00:00.000000Z"},
            {"status": "active", "timestamp": "2026-01-01T00:00:00.000000Z"},
            {"status": "closed", "timestamp": "2026-01-01T00:00:10.000000Z"},
        ],
    }


def test_S20_from_id_finds_the_session_again(service: LocalRuntimeService, backend: Any) -> None:
    """With the client's checks."""
    with Session(backend) as session:
        again = Session.from_id(session.session_id, service)
        EstimatorV2(again).run([PUB]).result()
        assert again.details() == session.details()
    with pytest.raises(SessionClosedError, match=r"The session is closed\."):
        EstimatorV2(Session.from_id(session.session_id, service)).run([PUB])
    with pytest.raises(ValueError, match=r"Session not found: nothing"):
        Session.from_id("nothing", service)
    with pytest.raises(ValueError, match=r"has execution mode dedicated instead of batch\."):
        Batch.from_id(session.session_id, service)


def test_S21_usage_is_active_time_of_sessions_and_qpu_time_of_batches(
    service: LocalRuntimeService, backend: Any
) -> None:
    """Two jobs of 10 s, 30 s idle between them, then inactive after 60 s idle, and 100 s more."""
    session = Session(backend)
    estimator = EstimatorV2(session)
    assert session.usage() is None
    estimator.run([PUB]).result()
    service.sleep(30)
    estimator.run([PUB]).result()
    service.sleep(160)
    assert session.usage() == 10 + 30 + 10 + 60
    estimator.run([PUB]).result()
    session.close()
    assert session.usage() == 110 + 10
    with Batch(backend) as batch:
        estimator = EstimatorV2()
        estimator.run([PUB]).result()
        service.sleep(30)
        estimator.run([PUB]).result()
    assert batch.usage() == 20
    EstimatorV2(backend).run([PUB]).result()

    assert service.usage()["usage_consumed_seconds"] == 120 + 20 + 10


def test_S22_every_transition_is_an_event(
    service: LocalRuntimeService, backend: Any, events: list[Any]
) -> None:
    """With time, state, status and reason, in order of time, so that the timeline can be drawn from events
    alone.
    """
    session = Session(backend, max_time=100)
    estimator = EstimatorV2(session)
    estimator.run([PUB]).result()
    service.sleep(65)
    estimator.run([PUB]).result()
    session.close()
    told = [
        (event.time, event.state, event.status, event.reason, event.accepting_jobs)
        for event in of(events, SessionChanged)
    ]

    assert told == [
        (0, "open", PENDING, "opened", True),
        (0, "active", ACCEPTING, "first job started", True),
        (70, "inactive", PENDING, "interactive timeout", True),
        (75, "active", ACCEPTING, "re-activated by a job", True),
        (85, "closed", CLOSED, "closed by close()", False),
    ]
    assert [type(event) for event in events].count(JobCompleted) == 2
    times = [event.time for event in events]
    assert times == sorted(times)

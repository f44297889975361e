"""Loops in which other people wait for jobs and sessions: each ends on either clock, as it does on the service."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from runner.errors import JobFailedError, RuntimeSessionError
from runner.runtime import Batch, EstimatorV2, LocalRuntimeService, RuntimeJob, Session, VirtualClock
from tests.runtime.fakes import PUB, QPU, FakeEngine, HandClock

LOOKS = 4000
"""More than any loop needs: the longest wait here is an hour, in waits of a second."""
OVER = ("DONE", "CANCELLED", "ERROR")


def a_service(clock: VirtualClock | HandClock | None = None, **arguments: object) -> LocalRuntimeService:
    """Nothing is simulated; no latency, so that times are sums of modelled ones; a virtual clock if none is given."""
    clock = clock or VirtualClock(latency=0)
    return LocalRuntimeService(seed=7, clock=clock, engine_factory=FakeEngine, **arguments)  # type: ignore[arg-type]


def poll(waits: Callable[[], object], looks: int = LOOKS, sleep: Callable[[], object] = lambda: None) -> None:
    """`while waits(): time.sleep(…)`, giving up like a loop that counts."""
    for _ in range(looks):
        if not waits():
            return
        sleep()
    raise TimeoutError


def _too_early(wait: Callable[[], object]) -> bool:
    try:
        wait()
    except RuntimeSessionError as error:
        return "was not over after" in str(error)
    return False


JOB_LOOPS: dict[str, Callable[[LocalRuntimeService, RuntimeJob], object]] = {
    "status not in": lambda _, j: j.status() not in OVER,
    "status in": lambda _, j: j.status() in ("QUEUED", "RUNNING"),
    "final": lambda _, j: not j.in_final_state(),
    "done or failed": lambda _, j: not (j.done() or j.errored() or j.cancelled()),
    "any of a list": lambda _, j: not any([j.done(), j.errored(), j.cancelled()]),
    "two looks": lambda _, j: (j.status(), j.status())[1] not in OVER,
    "printed": lambda _, j: f"{j.status()}" and not j.in_final_state(),
    "running or queued": lambda _, j: j.running() or j.status() == "QUEUED",
    "done or message": lambda _, j: not j.done() and not j.error_message(),
    "table": lambda _, j: {"QUEUED": 1, "RUNNING": 2}.get(j.status(), 0),
    "upper": lambda _, j: str(j.status()).upper() not in OVER,
    "finished": lambda _, j: j.metrics()["timestamps"]["finished"] is None,
    "usage pending": lambda _, j: j.metrics()["usage"]["status"] == "pending",
    "by id": lambda s, j: s.job(j.job_id()).status() not in OVER,
    "by id final": lambda s, j: not s.job(j.job_id()).in_final_state(),
    "pending jobs": lambda s, _: s.jobs(limit=None, pending=True),
    "among pending": lambda s, j: j.job_id() in [one.job_id() for one in s.jobs(pending=True)],
    "not among ended": lambda s, j: j.job_id() not in [one.job_id() for one in s.jobs(pending=False)],
    "by tag": lambda s, _: s.jobs(job_tags=["mine"], pending=True),
    "of the session": lambda s, j: s.jobs(session_id=j.session_id, pending=True),
    "all final": lambda s, _: not all(one.in_final_state() for one in s.jobs(limit=None)),
    "counted": lambda s, _: sum(one.in_final_state() for one in s.jobs()) < len(s.jobs()),
    "left": lambda s, _: [one for one in s.jobs() if one.status() in ("QUEUED", "RUNNING")],
    "wait a second": lambda _, j: _too_early(lambda: j.wait_for_final_state(timeout=1)),
    "result within": lambda _, j: _too_early(lambda: j.result(timeout=2)),
}


def _submitted(mode: Session | object, **options: object) -> RuntimeJob:
    environment = {"job_tags": ["mine"]}
    return EstimatorV2(mode, options={"environment": environment, **options}).run([PUB])  # type: ignore[arg-type]


def _in_job_mode(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock)
    return service, _submitted(service.backend("ideal"))


def _in_a_session(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock)
    return service, _submitted(Session(service.backend("ideal")))


def _in_a_queue(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock, queue_delay=3600)
    return service, _submitted(Batch(service.backend("ideal")))


def _behind_a_session(
    clock: VirtualClock | HandClock | None = None,
) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock)
    _submitted(Session(service.backend("ideal")))
    return service, _submitted(service.backend("ideal"))


def _cancelled(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock, lanes=1)
    session = Session(service.backend("ideal"))
    _submitted(session)
    job = _submitted(session)
    session.cancel()
    return service, job


def _killed(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock, lanes=1)
    session = Session(service.backend("ideal"), max_time=4)
    _submitted(session)
    return service, _submitted(session)


def _too_long(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock)
    return service, _submitted(service.backend("ideal"), max_execution_time=3)


def _last_of_many(clock: VirtualClock | HandClock | None = None) -> tuple[LocalRuntimeService, RuntimeJob]:
    service = a_service(clock)
    with Batch(service.backend("ideal")) as batch:
        return service, [_submitted(batch) for _ in range(4)][-1]


SITUATIONS = {
    _in_job_mode: ("DONE", QPU),
    _in_a_session: ("DONE", QPU),
    _in_a_queue: ("DONE", 3600 + QPU),
    _behind_a_session: ("DONE", QPU + 60 + QPU),  # the session is active for a minute without a job
    _cancelled: ("CANCELLED", 0),
    _killed: ("ERROR", 4),
    _too_long: ("ERROR", 3),
    _last_of_many: ("DONE", 4 * QPU),
}


@pytest.mark.parametrize("style", JOB_LOOPS)
def test_C4_loops_that_wait_for_a_job_end(style: str) -> None:
    """25 styles in 8 situations: fate and time follow from the rules, whoever waits how."""
    for situation, (status, finished) in SITUATIONS.items():
        service, job = situation()
        poll(partial(JOB_LOOPS[style], service, job))

        assert (job.record.status.replace("FAILED", "ERROR"), job.record.finished) == (
            status,
            pytest.approx(finished),
        ), situation.__name__


WAITING = ("wait a second", "result within")
"""Styles that sleep themselves, for as long as a wall clock says."""


@pytest.mark.parametrize("style", [style for style in JOB_LOOPS if style not in WAITING])
def test_C4_loops_end_on_a_wall_clock_too(style: str) -> None:
    """The same fates at the same times where looks take no time, and every turn sleeps for half a minute."""
    for situation, (status, finished) in SITUATIONS.items():
        clock = HandClock()
        service, job = situation(clock)

        def sleep(clock: HandClock = clock) -> None:
            clock.seconds += 30

        poll(partial(JOB_LOOPS[style], service, job), looks=200, sleep=sleep)

        assert (job.record.status.replace("FAILED", "ERROR"), job.record.finished) == (
            status,
            pytest.approx(finished),
        ), situation.__name__


SESSION_LOOPS: dict[str, Callable[[LocalRuntimeService, Session], object]] = {
    "status": lambda _, session: session.status() != "Closed",
    "in progress": lambda _, session: session.status() in ("Pending", *_IN_PROGRESS),
    "state": lambda _, session: session.details()["state"] != "closed",  # type: ignore[index]
    "closed at": lambda _, session: session.details()["closed_at"] is None,  # type: ignore[index]
    "listed": lambda s, _: any(one["state"] != "closed" for one in s.sessions()),
    "by id": lambda s, session: Session.from_id(str(session.session_id), s).status() != "Closed",
}
_IN_PROGRESS = ("In progress, accepting new jobs", "In progress, not accepting new jobs")


@pytest.mark.parametrize("style", SESSION_LOOPS)
def test_C4_loops_that_wait_for_a_session_end(style: str) -> None:
    """After its block, unused (closed after half an hour), idle (until its maximum time), cancelled."""

    def after_its_block(session: Session) -> float:
        with session:
            _submitted(session)
        return QPU

    def unused(session: Session) -> float:
        return 1800

    def idle(session: Session) -> float:
        _submitted(session)
        return 7200

    def cancelled(session: Session) -> float:
        _submitted(session)
        session.cancel()
        return QPU

    for use in (after_its_block, unused, idle, cancelled):
        service = a_service()
        session = Session(service.backend("ideal"), max_time="2h")
        closed_at = use(session)
        poll(partial(SESSION_LOOPS[style], service, session))

        assert session.record is not None
        assert session.record.closed_at == pytest.approx(closed_at), use.__name__


def test_C4_loops_with_a_deadline_give_up_as_on_the_service() -> None:
    """A job that waits an hour is not there after a minute on the clock, whether asked or waited for."""
    service = a_service(queue_delay=3600)
    job = _submitted(service.backend("ideal"))
    deadline = service.now() + 60
    while service.now() < deadline:
        assert job.status() == "QUEUED"

    assert 60 <= service.now() < 120
    with pytest.raises(RuntimeSessionError, match="was not over after 60 s; it is QUEUED"):
        job.result(timeout=60)


@pytest.mark.parametrize("style", JOB_LOOPS)
def test_C4_loops_of_every_style_give_up_at_their_deadline(style: str) -> None:
    """A minute, in a queue of an hour and behind a session of a minute: the job is not there, as on the service.

    Steps double, so that a loop whose deadline is 60 s ends before 2·60 s, and a look more where it asks twice.
    """
    for situation in (_in_a_queue, _behind_a_session):
        service, job = situation()
        poll(lambda: service.now() < 60 and JOB_LOOPS[style](service, job))  # noqa: B023 - called within the turn

        assert 60 <= service.now() <= 128, situation.__name__
        assert not job.record.final, situation.__name__


def test_C4_looks_take_no_time_while_something_happens() -> None:
    """Different questions, and the same after another submission, see the same instant; a repetition a second later."""
    service = a_service()
    session = Session(service.backend("ideal"))
    first = _submitted(session)
    seen = (first.status(), first.done(), session.status(), session.usage())
    _submitted(session)
    seen_again = (first.status(), first.done(), session.status(), session.usage())

    assert seen == seen_again == ("RUNNING", False, "In progress, accepting new jobs", 0.0)
    assert (session.usage(), first.status(), session.usage()) == (1.0, "RUNNING", 3.0)  # a second, then two


def test_C4_an_open_session_survives_being_looked_at() -> None:
    """Ten prints of its status take 1 + 2 + … + 256 = 511 s, and half an hour is 1800."""
    service = a_service()
    session = Session(service.backend("ideal"))

    assert [session.status() for _ in range(10)] == ["Pending"] * 10
    assert service.now() == 511
    assert _submitted(session).result() is not None


def test_C4_polling_workloads_let_each_other_go_on() -> None:
    """Two threads that poll have the timeline of two that wait, a pause aside; five times the same."""

    def polls(session: Session, name: str) -> float:
        job = EstimatorV2(session, workload=name).run([PUB])
        poll(lambda: job.status() not in OVER)
        return float(job.record.finished or 0)

    found = set()
    for _ in range(5):
        service = a_service()
        with Session(service.backend("ideal")) as session, service.workloads(["one", "two"]) as pool:
            futures = [pool.submit(name, polls, session, name) for name in ("one", "two")]
            found.add(tuple(future.result() for future in futures))

    assert len(found) == 1
    assert next(iter(found)) == pytest.approx((QPU, 2 * QPU))


def test_C4_what_was_killed_says_so_when_it_is_asked() -> None:
    """A loop that ended on a lost job leads to its error, not to a second wait."""
    _service, job = _killed()
    poll(lambda: not job.in_final_state())

    with pytest.raises(JobFailedError, match="4001"):
        job.result()

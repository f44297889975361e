"""Rules about limits: what an instance may use, who has reached the QPU, whose turn it is; ten QPU seconds a job."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qiskit import QuantumCircuit

from runner.errors import JobCancelledError, JobFailedError, SessionClosedError, UsageLimitError
from runner.runtime import (
    Batch,
    CostModel,
    EstimatorV2,
    LocalRuntimeService,
    RuntimeJob,
    SamplerV2,
    Session,
    VirtualClock,
)
from runner.runtime.plan import PLANS
from runner.runtime.retime import retime
from tests.runtime.fakes import PUB, FakeEngine


def a_service(**arguments: object) -> LocalRuntimeService:
    """No latency, so that times can be added in the head."""
    cost = CostModel(overhead=10, seconds_per_execution=0, preparation=arguments.pop("preparation", 0.0))  # type: ignore[arg-type]
    settings = {"seed": 7, "clock": VirtualClock(latency=0), "engine_factory": FakeEngine, "cost": cost}
    return LocalRuntimeService(**{**settings, **arguments})  # type: ignore[arg-type]


def submit(mode: object, number: int) -> list[RuntimeJob]:
    """Some jobs at once."""
    estimator = EstimatorV2(mode)  # type: ignore[arg-type]
    return [estimator.run([PUB]) for _ in range(number)]


def measured() -> QuantumCircuit:
    """A qubit that is read, on any device."""
    made = QuantumCircuit(1, 1)
    made.measure(0, 0)
    return made


def statuses(jobs: list[RuntimeJob]) -> list[str]:
    """Their statuses, without asking."""
    return [job.record.status for job in jobs]


def test_S23_the_open_plan_ends_after_ten_minutes() -> None:
    """60 jobs of 10 s are 600 s; of 62 in job mode two are cancelled, and nothing is taken any more."""
    service = a_service(plan="open", lanes=1)
    backend = service.backend("ideal")
    jobs = submit(backend, 62)
    service.drain()
    usage = service.usage()

    assert statuses(jobs) == ["DONE"] * 60 + ["CANCELLED"] * 2
    assert jobs[-1].record.finished == 600
    assert (usage["usage_consumed_seconds"], usage["usage_remaining_seconds"], usage["usage_limit_reached"]) == (
        600, 0, True,
    )  # fmt: skip
    with pytest.raises(JobCancelledError, match="limit of 600 s within 28 days is used up"):
        jobs[-1].result()
    with pytest.raises(
        UsageLimitError, match="Usage exceeds instance limit: 600 s within 28 days are used up"
    ):
        submit(backend, 1)
    with pytest.raises(UsageLimitError):
        Batch(backend)


def test_S23_usage_counts_for_28_days() -> None:
    """The first job's 10 s are gone 28 days after it ended at 10 s, the others' ten seconds later each."""
    service = a_service(plan="open", usage_limit=20)
    backend = service.backend("ideal")
    submit(backend, 2)
    service.drain()
    service.sleep(28 * 86400 - 10 - 1)  # it is 20 s now
    with pytest.raises(UsageLimitError):
        submit(backend, 1)
    service.sleep(1)

    assert service.usage()["usage_remaining_seconds"] == 10
    assert submit(backend, 1)[0].result() is not None


def test_S23_an_active_session_is_closed_when_its_time_is_used_up() -> None:
    """Two jobs until 20 s, then idle; 35 s are used up while it is active, idle seconds and all."""
    service = a_service(usage_limit=35)
    session = Session(service.backend("ideal"))
    submit(session, 2)
    service.drain()
    service.sleep(60)
    assert session.record is not None

    assert (session.record.state, session.record.closed_at, session.usage()) == ("closed", 35, 35)
    assert "used up" in session.record.reason
    with pytest.raises(SessionClosedError):
        submit(session, 1)


def test_S23_running_jobs_complete_and_lost_ones_are_not_for_another_session() -> None:
    """At 5 s one job is on the QPU until 10 s; the queued one is cancelled, for good."""
    service = a_service(usage_limit=5, lanes=1)
    first, second = submit(Session(service.backend("ideal")), 2)
    service.drain()

    assert (first.record.status, first.record.finished) == ("DONE", 10)
    assert (second.record.status, second.record.finished, second.record.session_ended) == (
        "CANCELLED",
        5,
        False,
    )


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_S23_who_has_not_reached_the_qpu_is_cancelled(lanes: int) -> None:
    """Six jobs of 36 523 shots, 2 + 0.00035·36523 = 14.78305 s each, under 60 s: the fifth is on the QPU until 73.91525
    s, the sixth never gets there.
    """
    service = LocalRuntimeService(
        seed=1,
        plan="open",
        usage_limit=60,
        lanes=lanes,
        engine_factory=FakeEngine,
        clock=VirtualClock(latency=0),
    )
    backend = service.backend("ideal")
    sampler = SamplerV2(backend)
    jobs = [sampler.run([measured()], shots=36523) for _ in range(6)]
    with pytest.raises(JobCancelledError, match="limit of 60 s within 28 days is used up"):
        jobs[-1].result()
    for job in jobs[:5]:
        job.result()

    assert statuses(jobs) == ["DONE"] * 5 + ["CANCELLED"]
    assert service.usage()["usage_consumed_seconds"] == pytest.approx(73.91525)
    assert (jobs[-1].record.qpu_used, jobs[-1].record.session_ended) == (0, False)
    assert len(backend.engine.runs) == 5  # what is cancelled is never simulated


def test_S23_holds_for_batches_and_on_every_device() -> None:
    """Under 15 s a batch has used 20 s at 25 s, when its third job would begin; one preparing elsewhere ends too."""
    service = a_service(plan="open", usage_limit=15, preparation=5.0)
    batch = Batch(service.backend("ideal"))
    jobs = submit(batch, 3)
    service.sleep(22)
    elsewhere = SamplerV2(service.backend("generic_2_line")).run([measured()])
    service.drain()
    assert batch.record is not None

    # the batch prepares until 5 s and has the QPU until 15, 25 and 35 s; the other device's job from 27 s on
    assert statuses([*jobs, elsewhere]) == ["DONE", "DONE", "CANCELLED", "CANCELLED"]
    assert [job.record.finished for job in [*jobs, elsewhere]] == [15, 25, 25, 25]
    assert (batch.record.state, batch.record.closed_at, batch.usage()) == ("closed", 25, 20)


def test_S23_retiming_under_a_limit_loses_the_rest() -> None:
    """Five jobs one after the other, each waited for: 600 s are enough, with 30 s the fourth is not taken."""
    events: list[object] = []
    service = a_service(on_event=events.append)
    with Batch(service.backend("ideal")) as batch:
        for _ in range(5):
            submit(batch, 1)[0].result()
    service.drain()
    told = retime(events, mode="batch", plan="open", latency=0)  # type: ignore[arg-type]
    limited = replace(PLANS["open"], allocation=30)
    less = retime(events, mode="batch", plan=limited, latency=0)  # type: ignore[arg-type]

    assert (told.usage_seconds, told.lost) == (50, 0)
    assert (less.usage_seconds, less.lost) == (30, 2)
    assert PLANS["open"].unlimited().allocation is None


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_S14_who_has_not_reached_the_qpu_does_not_complete(lanes: int) -> None:
    """Jobs of 10 s in a session of 25 s: two are done, one is on the QPU until 30 s, two never get there."""
    service = a_service(lanes=lanes)
    backend = service.backend("ideal")
    session = Session(backend, max_time=25)
    jobs = submit(session, 5)
    service.drain()
    for job in jobs[:3]:
        job.result()

    assert statuses(jobs) == ["DONE", "DONE", "DONE", "FAILED", "FAILED"]
    assert [job.record.finished for job in jobs] == [10, 20, 30, 25, 25]
    assert session.record is not None
    assert session.record.closed_at == 30
    assert len(backend.engine.runs) == 3  # what is killed is never simulated
    with pytest.raises(JobFailedError, match="4001"):
        jobs[3].result()


@pytest.mark.parametrize("lanes", [1, 5])
def test_S14_preparing_at_the_maximum_time_is_not_running(lanes: int) -> None:
    """The second job prepares from 0 s, or from 13 s on, and would have the QPU at 13 s or 16 s: too late."""
    service = a_service(lanes=lanes, preparation=3.0)
    session = Session(service.backend("ideal"), max_time=13)
    jobs = submit(session, 2)
    service.drain()

    assert statuses(jobs) == ["DONE", "FAILED"]
    assert [job.record.finished for job in jobs] == [13, 13]


def test_S15_a_session_closed_before_it_started_keeps_its_place() -> None:
    """Behind a job of 10 s two sessions wait; the later one is closed at once and still comes second."""
    service = a_service(lanes=1)
    backend = service.backend("ideal")
    submit(backend, 1)
    first, second = Session(backend, max_time=100), Session(backend, max_time=100)
    (early,) = submit(first, 1)
    (late,) = submit(second, 1)
    second.close()
    first.close()
    service.drain()

    assert (early.record.started, late.record.started) == (10, 20)


def test_nobody_waits_for_a_job_that_memory_was_too_short_to_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in no queue, so that nothing ends it; what was entered before comes to its end: two jobs of ten seconds."""
    service = a_service()
    backend = service.backend("ideal")
    submit(backend, 2)
    observe = service.machine._observe

    def out_of_memory(fact: object, what: object) -> None:
        raise MemoryError

    monkeypatch.setattr(service.machine, "_observe", out_of_memory)
    with pytest.raises(MemoryError):
        submit(backend, 1)
    monkeypatch.setattr(service.machine, "_observe", observe)
    service.drain()

    assert service.now() == 20

"""Rule M1: one program in three modes, and one recorded run re-timed under other conditions."""

from __future__ import annotations

from typing import Any

import pytest

from runner.errors import ConfigError, JobFailedError, PlanError, RuntimeSessionError, SessionClosedError
from runner.record.events import Event, JobCompleted
from runner.record.log import of
from runner.runtime import (
    Batch,
    CostModel,
    EstimatorV2,
    LocalRuntimeService,
    QueueDelay,
    Session,
    VirtualClock,
)
from runner.runtime.machine import Job, Machine
from runner.runtime.retime import retime
from tests.runtime.fakes import PUB, fake_service


def record(
    mode: str = "session",
    *,
    jobs: int = 4,
    max_time: str | None = None,
    reopen: bool = False,
    **arguments: Any,
) -> tuple[list[Event], LocalRuntimeService]:
    """Run two workloads after one another's first job in a mode; return the events as a journal has them."""
    events: list[Event] = []
    service = fake_service(
        on_event=events.append,
        **{"clock": VirtualClock(latency=0.5), "cost": CostModel(overhead=10, seconds_per_execution=0)}
        | arguments,
    )
    backend = service.backend("ideal")

    def open_mode() -> Any:
        return {"session": Session, "batch": Batch}[mode](backend, max_time) if mode != "job" else None

    place = [open_mode()]

    def work(name: str, count: int) -> None:
        for number in range(count):
            while True:
                try:
                    EstimatorV2(place[-1] or backend, workload=name).run([PUB]).result()
                    break
                except (SessionClosedError, JobFailedError):
                    if not reopen:
                        return
                    place.append(open_mode())
            service.sleep(number)

    work("first", 1)
    with service.workloads(["long", "short"]) as pool:
        pool.submit("long", work, "long", jobs)
        pool.submit("short", work, "short", 2)
        pool.results()
    work("last", 1)
    if place[-1] is not None:
        place[-1].close()
    service.drain()
    return events, service


@pytest.mark.parametrize("mode", ["session", "batch", "job"])
def test_M1_the_same_program_runs_in_every_mode(mode: str) -> None:
    """The same jobs are done at the same QPU cost; what is charged differs."""
    _, service = record(mode)
    usage = service.usage()

    assert usage["jobs"] == 8
    assert usage["qpu_seconds"] == 80
    assert (
        usage["usage_consumed_seconds"] >= 80 if mode == "session" else usage["usage_consumed_seconds"] == 80
    )


@pytest.mark.parametrize("mode", ["session", "batch", "job"])
@pytest.mark.parametrize("delay", [0, QueueDelay(kind="lognormal", seconds=40)])
def test_M1_a_run_under_its_own_conditions_is_itself(mode: str, delay: Any) -> None:
    """Every job is submitted, started and finished when it was; usage and cost are the same."""
    events, service = record(mode, queue_delay=delay)
    again = retime(events, mode=mode, queue_delay=delay, seed=service.seed)
    recorded = of(events, JobCompleted)

    assert again.complete
    assert again.usage_seconds == pytest.approx(service.usage()["usage_consumed_seconds"])
    assert again.cost == pytest.approx(service.usage()["cost"])
    times = {(job.workload, job.index): (job.started, job.finished) for job in again.jobs}
    for event in recorded:
        key = (event.workload, event.index)
        assert times[key] == pytest.approx((event.started, event.finished))


@pytest.mark.parametrize("recorded_in", ["session", "batch", "job"])
@pytest.mark.parametrize("mode", ["session", "batch", "job"])
@pytest.mark.parametrize("delay", [0, 30])
def test_M1_retiming_tells_what_running_would_have_told(recorded_in: str, mode: str, delay: float) -> None:
    """From any mode to any other: the same as a run that really took place there."""
    events, _ = record(recorded_in)
    told = retime(events, mode=mode, queue_delay=delay, plan="payg")
    _, service = record(mode, queue_delay=delay, plan="payg")
    really = service.usage()

    assert told.usage_seconds == pytest.approx(really["usage_consumed_seconds"])
    assert told.cost == pytest.approx(really["cost"])
    assert told.duration == pytest.approx(max(job.record.finished for job in service.jobs(limit=None)))
    assert told.qpu_seconds == really["qpu_seconds"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_M1_jobs_lost_with_their_batch_are_submitted_again_as_a_program_does(seed: int) -> None:
    """The program itself in short batches, of which 0, 1 and 2 jobs are lost: each later one draws another delay."""
    delay = QueueDelay(kind="lognormal", seconds=6, sigma=0.8)
    events, service = record("batch", jobs=5, queue_delay=delay, seed=seed)
    short, _ = record("batch", jobs=5, queue_delay=delay, seed=seed, max_time="70s", reopen=True)
    told = retime(events, mode="batch", queue_delay=delay, seed=service.seed, max_time="70s", reopen=True)
    really = list(of(short, JobCompleted))

    assert sum(event.session_ended for event in really) == seed
    assert told.complete
    assert sorted((job.workload, job.index, job.status) for job in told.jobs) == sorted(
        (event.workload, event.index, event.status) for event in really
    )
    assert told.duration == pytest.approx(max(event.finished for event in really))


def test_M1_a_shorter_limit_loses_jobs_or_reopens() -> None:
    """`stop` ends with the session, `reopen` gets everything done in several."""
    events, _ = record("session", jobs=8)
    stopped = retime(events, max_time="50s")
    reopened = retime(events, max_time="50s", reopen=True)

    assert not stopped.complete
    assert stopped.lost > 0
    assert stopped.sessions == 1
    assert reopened.complete
    assert reopened.sessions > 1
    assert reopened.qpu_seconds == 120
    assert stopped.events[-1].reason == "maximum time reached"


def test_M1_a_run_that_reopened_can_be_retimed_without_its_losses() -> None:
    """Jobs that were killed and tried again count once."""
    events, service = record("session", jobs=8, max_time="45s", reopen=True)
    told = retime(events)

    assert service.usage()["sessions"] > 1
    assert told.complete
    assert told.sessions == 1
    assert sum(job.status == "DONE" for job in told.jobs) == 12


def test_M1_other_costs_and_latencies() -> None:
    """QPU seconds by another model, and another time between jobs."""
    events, _ = record("job")
    slower = retime(events, mode="job", cost=CostModel(overhead=0, seconds_per_execution=0.01))
    eager = retime(events, mode="job", latency=0)

    assert slower.qpu_seconds == pytest.approx(8 * 81.92)
    assert eager.duration <= retime(events, mode="job").duration
    assert retime(events, mode="job", price_per_second=2).cost == 160
    assert retime([], mode="session").jobs == ()


def test_M1_a_session_closed_under_its_last_job_closes_with_it_at_any_latency() -> None:
    """By hand: `close()` does not wait for the job of 10 s, so the session is charged for 10 s and no latency."""
    events: list[Event] = []
    service = fake_service(
        on_event=events.append,
        clock=VirtualClock(latency=0.5),
        cost=CostModel(overhead=10, seconds_per_execution=0),
    )
    session = Session(service.backend("ideal"))
    EstimatorV2(session).run([PUB])
    session.close()
    service.drain()

    assert [retime(events, latency=latency).usage_seconds for latency in (None, 0, 7)] == [10, 10, 10]


def test_M1_impossible_conditions_are_refused() -> None:
    """Modes, plans and switches that do not exist, sessions on the open plan."""
    events, _ = record("job")
    for arguments, words in (
        ({"mode": "dream"}, "mode must be session, batch or job"),
        ({"plan": "gold"}, "plan must be one of"),
        ({"max_time": "9h"}, "longer than the premium plan's maximum"),
    ):
        with pytest.raises(ConfigError, match=words):
            retime(events, **arguments)
    with pytest.raises(PlanError, match="not authorized"):
        retime(events, plan="open")
    assert retime(events, plan="open", mode="batch").cost == 0


@pytest.mark.parametrize("mode", ["session", "batch", "job"])
@pytest.mark.parametrize("delay", [0, QueueDelay(kind="lognormal", seconds=40)])
@pytest.mark.parametrize("max_time", [None, "50s"])
def test_jobs_that_are_foreseen_are_retimed_as_those_that_are_stepped_through(
    mode: str, delay: Any, max_time: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit; stepping through every job by the rules is the reference."""
    events, _ = record(jobs=8)
    wanted: dict[str, Any] = {"mode": mode, "queue_delay": delay, "seed": 3, "reopen": max_time is not None}
    if mode != "job":
        wanted["max_time"] = max_time
    carried, carry_out = [], Machine.carry_out
    monkeypatch.setattr(Machine, "carry_out", lambda *what: carried.append(what) or carry_out(*what))
    fast = retime(events, **wanted)
    monkeypatch.setattr(Machine, "foresee", lambda *_: None)

    assert bool(carried) == (mode != "batch")  # which rests between all of its jobs
    assert fast == retime(events, **wanted)


def test_no_job_is_looked_at_for_every_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 jobs: whether one is over is asked a few times for each, not at each event, which makes 160 000 times."""
    events, _ = record(jobs=400)
    asked = []
    monkeypatch.setattr(Job, "final", property(lambda job: asked.append(job) or job.finished is not None))

    again = retime(events, mode="job", plan="premium")

    assert again.complete
    assert len(asked) <= 4 * len(again.jobs)


def test_a_result_that_is_not_kept_is_given_once() -> None:
    """A run keeps nothing of its jobs' numbers: the journal has them by the time they are given."""
    told: list[Event] = []
    service = fake_service(on_event=told.append, keep_results=False)
    job = EstimatorV2(service.backend("ideal")).run([PUB])

    numbers = job.numbers()

    assert [event.result for event in told if isinstance(event, JobCompleted)] == [
        [{"evs": float(numbers[0]["evs"]), "stds": float(numbers[0]["stds"]), "shots": numbers[0]["shots"]}]
    ]
    with pytest.raises(RuntimeSessionError, match="was given once and is not kept"):
        job.result()
    assert job.usage() > 0

"""Rules C1 to C3: the clocks, concurrent workloads with one timeline, simulation apart from time."""

from __future__ import annotations

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import (
    ConfigError,
    JobCancelledError,
    JobFailedError,
    RuntimeSessionError,
    SessionClosedError,
)
from runner.record.events import Event, JobCompleted
from runner.record.log import of
from runner.runtime import (
    Batch,
    CostModel,
    EstimatorV2,
    Plan,
    QueueDelay,
    Session,
    VirtualClock,
    WallClock,
    workload,
)
from runner.runtime.timeline import Timeline
from tests.runtime.fakes import PUB, QPU, FakeEngine, fake_service


def test_C1_virtual_time_moves_by_cost_and_latency() -> None:
    """It stands still between jobs, however long the program thinks."""
    service = fake_service(clock=VirtualClock(latency=0.5))
    with Session(service.backend("ideal")) as session:
        estimator = EstimatorV2()
        for _ in range(3):
            estimator.run([PUB]).result()
            time.sleep(0.001)

    assert service.now() == pytest.approx(3 * (QPU + 0.5))
    assert session.usage() == pytest.approx(3 * (QPU + 0.5))


@pytest.mark.parametrize("clock", [VirtualClock, WallClock])
def test_C1_dates_are_told_in_utc_whatever_the_zone_of_the_start(clock: type) -> None:
    """By pencil: two in the afternoon in a zone two hours ahead is noon in UTC, and a quarter past after 900 s."""
    start = datetime(2027, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    service = fake_service(clock=clock(epoch=start))
    assert service.date(900.0) == "2027-06-01T12:15:00.000000Z"
    with Session(service.backend("ideal")) as session:
        EstimatorV2(session).run([PUB]).result()
    opened = session.details()["timestamps"][0]["timestamp"]
    assert opened.startswith("2027-06-01T12:00:0")


@pytest.mark.parametrize("clock", [VirtualClock, WallClock])
@pytest.mark.parametrize(
    "start",
    [
        datetime(2027, 1, 1),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(9001, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
        "2027-01-01",
        2027,
        date(2027, 1, 1),
    ],
    ids=str,
)
def test_C1_a_start_that_dates_cannot_be_told_from_is_refused(clock: type, start: Any) -> None:
    """Without a zone, before the first of MLflow's times, too late for a session, and what is no date."""
    with pytest.raises(ConfigError, match=r"^clock\.epoch: must be "):
        clock(epoch=start)
    assert clock(epoch=datetime(1970, 1, 1, tzinfo=UTC)).date(0.5).timestamp() == 0.5


def test_C1_wall_time_is_scaled() -> None:
    """At scale 600 a session of eight hours is over within 48 s; here 20 minutes in 2 s, idle after 10 of them."""
    service = fake_service(plan=Plan(name="patient", interactive_timeout=600), clock=WallClock(scale=600))
    session = Session(service.backend("ideal"), max_time="20m")
    EstimatorV2(session).run([PUB]).result()
    assert session.status() == "In progress, accepting new jobs"
    service.sleep(610)
    assert session.status() == "Pending"
    service.sleep(600)

    assert (session.status(), session.reason) == ("Closed", "maximum time reached")
    started, closed = session.record.started_at, session.record.closed_at
    assert closed - started == 1200


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(st.sampled_from(["result", "submit", "sleep", "idle", "cancel", "reopen"]), max_size=12),
    mode=st.sampled_from([Session, Batch, None]),
    latency=st.sampled_from([0.0, 0.1, QPU, 70.0]),
    delay=st.sampled_from([0.0, 5.0]),
)
def test_C1_a_caller_who_is_alone_sees_the_time_that_one_among_others_would(
    steps: list[str], mode: Any, latency: float, delay: float
) -> None:
    """Nobody else waiting, time goes straight to the end of a job: same facts, same moment."""

    def story() -> tuple[list[Any], list[Any]]:
        facts: list[Any] = []
        service = fake_service(
            clock=VirtualClock(latency=latency),
            queue_delay=delay,
            on_event=facts.append,
        )
        backend = service.backend("ideal")
        place = backend if mode is None else mode(backend, max_time=60)
        seen: list[Any] = []
        waiting: list[Any] = []
        for step in steps:
            try:
                if step == "sleep":
                    service.sleep(1.5)
                elif step == "idle":
                    service.sleep(80)
                elif step == "reopen":
                    place = backend if mode is None else mode(backend, max_time=60)
                elif step == "cancel" and mode is not None:
                    place.cancel()
                else:
                    waiting.append(EstimatorV2(place, workload="w").run([PUB]))
                    if step == "result":
                        seen.append(waiting.pop().result()[0].data.evs.tolist())
            except (SessionClosedError, JobFailedError, JobCancelledError) as error:
                seen.append(str(error))
            seen.append(service.now())
        for job in waiting:
            job.wait_for_final_state()
            seen.append((job.status(), service.now()))
        return facts, seen

    alone = story()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Timeline, "_get_through", lambda *_: False)
        among_others = story()

    assert alone == among_others


@pytest.mark.nightly
def test_C1_an_eight_hour_session_expires_within_48_seconds() -> None:
    """Real time at scale 600, kept busy by two workloads."""
    service = fake_service(clock=WallClock(scale=600), cost=CostModel(overhead=300))
    begun = time.monotonic()
    with Session(service.backend("ideal"), max_time="8h") as session, ThreadPoolExecutor() as threads:

        def work() -> int:
            estimator = EstimatorV2(session)
            for count in range(10_000):
                try:
                    estimator.run([PUB]).result()
                except (SessionClosedError, JobFailedError) as error:
                    return count if error.session_ended else -1
            raise AssertionError("the session never ended")

        done = [threads.submit(work), threads.submit(work)]
        total = sum(future.result() for future in done)
    elapsed = time.monotonic() - begun

    assert session.reason == "maximum time reached"
    assert 90 <= total <= 28800 / 300 + 1
    assert elapsed <= 48 + 1.5  # jobs that run at the end complete: up to two of 300 s, half a second each


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_C1_a_clock_needs_a_positive_scale(wrong: float) -> None:
    """Zero would stop it."""
    with pytest.raises(ConfigError, match=r"clock.scale: must be above 0"):
        WallClock(scale=wrong)


def optimize(service: Any, jobs: int, rng: random.Random | None, seen: list[Any]) -> float:
    """Run some jobs in a row, every one starting from the last one's result, with pauses that nobody
    planned.
    """
    estimator = EstimatorV2()
    value = 0.5
    for number in range(jobs):
        if rng is not None:
            time.sleep(rng.random() * 0.0005)
        job = estimator.run([(PUB[0], "Z", [value])])
        if number % 5 == 4:
            estimator.run([PUB])  # nobody waits for this one
        value = float(job.result()[0].data.evs) % 1
        seen.append(job.metrics())
    return value


def race(noise: int | None, lanes: int = 5) -> Any:
    """Run four workloads of different lengths in one session; return all that can be compared."""
    events: list[Any] = []
    service = fake_service(
        on_event=events.append,
        clock=VirtualClock(latency=QueueDelay(kind="lognormal", seconds=0.2)),
        queue_delay=QueueDelay(kind="lognormal", seconds=5),
        cost=CostModel(preparation=1.0),
        lanes=lanes,
    )
    names = ["cobyla", "spsa", "nelder-mead", "powell"]
    metrics: dict[str, list[Any]] = {name: [] for name in names}
    with Session(service.backend("ideal"), max_time="3m") as session, service.workloads(names) as pool:
        for number, name in enumerate(names):
            rng = None if noise is None else random.Random(100 * noise + number)
            pool.submit(name, optimize, service, 6 + 2 * number, rng, metrics[name])
        results = {}
        for name in names:
            try:
                results[name] = pool._futures[name].result()
            except RuntimeSessionError as error:
                results[name] = str(error)
    service.drain()
    return results, metrics, events, session.details(), service.usage()


def test_C2_twenty_runs_of_four_threads_are_the_same() -> None:
    """Timeline, ledger, numbers and the order of events, whatever the threads' scheduling."""
    expected = race(None)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for noise in range(20):
            assert race(noise) == expected
    finally:
        sys.setswitchinterval(interval)

    results, _, events, details, _ = expected
    assert len(results) == 4
    assert details["state"] == "closed"
    times = [event.time for event in events]
    assert times == sorted(times)


def test_C2_ties_are_broken_by_the_order_of_workloads() -> None:
    """All begin at the same instant; they submit in the order in which they were named."""
    service = fake_service()
    submitted = []
    with Session(service.backend("ideal")), service.workloads(["z", "m", "a"]) as pool:
        for name in ["a", "m", "z"]:
            pool.submit(name, lambda: submitted.append(EstimatorV2().run([PUB])))
    assert [job.workload for job in submitted] == ["z/estimator-0", "m/estimator-0", "a/estimator-0"]


def test_C2_time_waits_for_a_thinking_workload() -> None:
    """While one workload has not submitted yet, the other's job does not complete."""
    service = fake_service(clock=VirtualClock(latency=0))
    thought = threading.Event()
    submitted: dict[str, float] = {}

    def quick() -> None:
        EstimatorV2().run([PUB]).result()
        assert thought.is_set()

    def slow() -> None:
        time.sleep(0.05)
        thought.set()
        submitted["slow"] = EstimatorV2().run([PUB]).record.submitted

    with Session(service.backend("ideal")), service.workloads(["quick", "slow"]) as pool:
        pool.submit("quick", quick)
        pool.submit("slow", slow)
        pool.results()

    assert submitted["slow"] == 0


def test_C2_plain_threads_get_the_same_numbers() -> None:
    """Without registration the timeline may differ; what jobs return does not."""

    def run(noise: int) -> Any:
        service = fake_service()
        rng = random.Random(noise)
        with Session(service.backend("ideal")), ThreadPoolExecutor() as threads:
            estimators = [EstimatorV2(), EstimatorV2()]

            def work(estimator: EstimatorV2) -> list[float]:
                found = []
                for _ in range(5):
                    time.sleep(rng.random() * 0.001)
                    found.append(float(estimator.run([PUB]).result()[0].data.evs))
                return found

            return list(threads.map(work, estimators))

    assert run(1) == run(2)


def test_C2_a_failing_workload_does_not_stop_the_others() -> None:
    """Its error comes out of `results()`; time goes on without it."""
    service = fake_service()

    def fail() -> None:
        raise ZeroDivisionError

    with Session(service.backend("ideal")), service.workloads(["good", "bad"]) as pool:
        good = pool.submit("good", optimize, service, 4, None, [])
        pool.submit("bad", fail)
        assert good.result() > 0
        with pytest.raises(ZeroDivisionError):
            pool.results()


def test_C2_leaving_the_pool_by_an_error_stops_the_workloads() -> None:
    """What they wait for raises, so that the block can be left."""
    service = fake_service()
    begun = threading.Event()

    def forever() -> None:
        estimator = EstimatorV2()
        while True:
            estimator.run([PUB]).result()
            begun.set()

    with pytest.raises(KeyboardInterrupt), Batch(service.backend("ideal")):  # noqa: PT012, SIM117 - it is about blocks
        with service.workloads(["endless"]) as pool:
            future = pool.submit("endless", forever)
            begun.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(RuntimeSessionError, match="stopped, because KeyboardInterrupt left the block"):
        future.result()


def test_C2_a_pool_refuses_what_would_wait_forever() -> None:
    """A workload that was not submitted, one that is not known, the same one twice."""
    service = fake_service()
    with pytest.raises(ConfigError, match="different names"):
        service.workloads(["a", "a"])
    with Session(service.backend("ideal")), service.workloads(["a", "b"]) as pool:
        future = pool.submit("a", lambda: EstimatorV2().run([PUB]).result())
        with pytest.raises(
            RuntimeSessionError, match="time stands still until workload 'b' is submitted too"
        ):
            future.result()
        with pytest.raises(ConfigError, match="no workload is called 'c'"):
            pool.submit("c", print)
        with pytest.raises(ConfigError, match="submitted already"):
            pool.submit("a", print)

    assert future.result()[0].data.evs.shape == ()


@pytest.mark.parametrize("mode", ["registered", "plain", "wall"])
def test_C2_eight_threads_with_200_jobs_each_lose_and_double_nothing(mode: str) -> None:
    """1600 jobs in one session: each done once, simulated once, told once; the ledger adds up."""
    completed: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, JobCompleted):
            completed.append(event.job)

    clock = WallClock(scale=1e5) if mode == "wall" else VirtualClock()
    service = fake_service(
        plan=Plan(name="patient", max_session_time=1e9, auto_close=1e9),  # 30 minutes would be 18 ms
        clock=clock,
        cost=CostModel(overhead=2, seconds_per_execution=0),
        on_event=listen,
    )
    backend = service.backend("ideal")
    names = [f"thread-{number}" for number in range(8)]

    def work() -> list[Any]:
        estimator = EstimatorV2(session)
        jobs = [estimator.run([PUB]) for _ in range(200)]
        for job in jobs:
            job.result()
        return jobs

    session = Session(backend)
    if mode == "registered":
        with service.workloads(names) as pool:
            for name in names:
                pool.submit(name, work)
            jobs = [job for found in pool.results().values() for job in found]
    else:
        with ThreadPoolExecutor(8) as threads:
            jobs = [job for found in threads.map(lambda _: work(), names) for job in found]
    session.close()

    ids = {job.job_id() for job in jobs}
    assert len(jobs) == len(ids) == 1600
    assert {job.status() for job in jobs} == {"DONE"}
    assert sorted(completed) == sorted(ids)
    assert len(backend.engine.runs) == 1600
    assert sum(job.usage() for job in jobs) == 3200
    assert session.usage() <= session.record.closed_at
    assert {job.session_id for job in jobs} == {session.session_id}
    finished = sorted(job.record.finished for job in jobs)
    assert all(later - earlier >= 2 - 1e-9 for earlier, later in pairwise(finished))


def test_C3_what_a_job_returns_does_not_depend_on_when_it_is_simulated() -> None:
    """Results asked for in any order are those of the order of submission."""

    def run(order: list[int]) -> list[float]:
        service = fake_service()
        with Session(service.backend("ideal")):
            jobs = [EstimatorV2(workload="w").run([PUB]) for _ in order]
            answers = {number: jobs[number].result()[0].data.evs for number in order}
        return [float(answers[number]) for number in sorted(answers)]

    assert run([0, 1, 2, 3]) == run([3, 1, 0, 2])


def test_C3_simulations_of_workloads_overlap() -> None:
    """While one workload simulates, another one does too: both are inside at the same time."""
    meeting = threading.Barrier(2, timeout=20)

    class Meeting(FakeEngine):
        """Every simulation waits for another one."""

        def simulate(self, values: Any, seed: int) -> float:
            """Meet, then answer."""
            meeting.wait()
            return super().simulate(values, seed)

    service = fake_service(engine_factory=Meeting)
    with Session(service.backend("ideal")), service.workloads(["a", "b"]) as pool:
        for name in "ab":
            pool.submit(name, optimize, service, 4, None, [])
        assert len(pool.results()) == 2


def test_C3_events_come_in_order_of_time_though_results_are_asked_for_in_another() -> None:
    """Asking for the last result first makes the earlier jobs' results known too."""
    events: list[Any] = []
    service = fake_service(on_event=events.append)
    with Session(service.backend("ideal")):
        estimator = EstimatorV2()
        jobs = [estimator.run([PUB]) for _ in range(3)]
        jobs[2].result()
    completed = [event.job for event in of(events, JobCompleted)]

    assert completed == [job.job_id() for job in jobs]


def test_C3_the_completed_event_comes_before_the_result() -> None:
    """Nobody can use a result that was not told."""
    told: list[str] = []
    service = fake_service(on_event=lambda event: told.append(event.job))
    job = EstimatorV2(service.backend("ideal")).run([PUB])
    job.result()

    assert told == [job.job_id()] * 2


def test_an_error_of_the_listener_reaches_the_caller() -> None:
    """A full disk stops the program before the result is used, and the fact is told again later."""
    told: list[str] = []
    broken = [True]

    def listen(event: Event) -> None:
        if broken[0] and isinstance(event, JobCompleted):
            raise OSError("no space left on device")
        told.append(event.kind)

    service = fake_service(on_event=listen)
    job = EstimatorV2(service.backend("ideal")).run([PUB])
    with pytest.raises(OSError, match="no space left"):
        job.result()
    broken[0] = False
    assert job.result()

    assert told == ["job.submitted", "job.completed"]


def test_a_timeout_is_told_on_the_session_clock() -> None:
    """After 1 s of the clock the job of 4.9 s is still running."""
    service = fake_service()
    job = EstimatorV2(service.backend("ideal")).run([PUB])
    with pytest.raises(RuntimeSessionError, match=r"was not over after 1 s; it is RUNNING"):
        job.result(timeout=1)
    job.wait_for_final_state()

    assert job.in_final_state()
    assert job.done()


def test_workload_by_hand_names_its_primitives() -> None:
    """Two primitives of one workload are told apart by kind and order."""
    service = fake_service()
    with workload("w", service):
        names = [EstimatorV2(service.backend("ideal")).workload for _ in range(2)]

    assert names == ["w/estimator-0", "w/estimator-1"]

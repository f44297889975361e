"""Threads with scripts, against the plain model that lives through every second (rule C2, checked independently)."""

from __future__ import annotations

import itertools
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RunnerError, SessionClosedError
from runner.runtime import EstimatorV2, Session
from runner.runtime.clock import VirtualClock
from runner.runtime.machine import Job, Machine
from runner.runtime.plan import Plan
from runner.runtime.timeline import Timeline
from runner.runtime.workloads import WorkloadPool
from tests.runtime.fakes import PUB, FakeEngine, fake_service
from tests.runtime.reference import Reference, RefJob

LATENCY = 1
PLAN = Plan(name="plan", max_session_time=200, auto_close=500)


@dataclass(frozen=True)
class Step:
    """What a workload does next: submit jobs, wait for the last of them or not, think."""

    works: tuple[int, ...]
    waits: bool
    thinks: int
    session: bool


STEPS = st.builds(
    Step,
    works=st.lists(st.integers(1, 6), max_size=3).map(tuple),
    waits=st.booleans(),
    thinks=st.sampled_from([0, 0, 1, 4, 9]),
    session=st.sampled_from([True, True, False]),
)
SCRIPTS = st.lists(st.lists(STEPS, min_size=1, max_size=5), min_size=1, max_size=4)


def by_threads(scripts: list[list[Step]], limit: int, patience: int, lanes: int, noise: int) -> Any:
    """Run the scripts in threads of a pool, with pauses that nobody planned."""
    timeline = Timeline(VirtualClock(latency=LATENCY), None, lambda _job: LATENCY)
    timeline.machine = machine = Machine(PLAN, lanes=lanes, observer=timeline.observe)
    session = machine.open_session("s", "torino", "dedicated", limit, patience)
    names = [f"w{number}" for number in range(len(scripts))]

    def perform(name: str, steps: list[Step]) -> None:
        rng = random.Random(f"{noise}{name}")
        count = 0
        for step in steps:
            job = None
            for work in step.works:
                where = session if step.session else None
                job = Job(f"{name}-{count}", machine.device("torino"), where, work)
                count += 1
                time.sleep(rng.random() * 2e-4)
                try:
                    timeline.act(lambda job=job: machine.submit(job))
                except SessionClosedError:
                    return
            if job is not None and step.waits:
                timeline.wait_for(job)
            timeline.sleep(step.thinks)

    with WorkloadPool(timeline, names) as pool:
        for name, steps in zip(names, scripts, strict=True):
            pool.submit(name, perform, name, steps)
        pool.results()
    timeline.drain()
    jobs = {job.id: (job.status, job.submitted, job.started, job.finished) for job in machine.jobs.values()}
    return jobs, session.transitions[:]


class Script:
    """A workload of the plain model: where it stands, when it goes on, what it waits for."""

    def __init__(self, name: str, steps: list[Step]) -> None:
        self.name, self.steps = name, steps
        self.place = self.count = 0
        self.wake: int | None = 0
        self.job: RefJob | None = None
        self.thinking = False


def by_seconds(scripts: list[list[Step]], limit: int, patience: int, lanes: int) -> Any:
    """Do the same in one thread: after every second, whoever is to go on does so, in order."""
    model = Reference(lanes=lanes, expired="FAILED", auto_close=int(PLAN.auto_close))
    model.open("s", "torino", "dedicated", limit, patience)
    submitted: dict[str, int] = {}
    workloads = [Script(f"w{number}", steps) for number, steps in enumerate(scripts)]
    while any(one.wake is not None or one.job for one in workloads) or any(
        job.status in ("QUEUED", "RUNNING") for job in model.jobs
    ):
        while ready := [one for one in workloads if one.wake is not None and one.wake <= model.now]:
            go_on(ready[0], model, submitted)
            notice(workloads)
        model.live(1)
        notice(workloads)
    jobs = {job.name: (job.status, submitted[job.name], job.started, job.finished) for job in model.jobs}
    return jobs, model.sessions["s"].history


def notice(workloads: list[Script]) -> None:
    """Whoever waited for a job that has ended goes on a latency later."""
    for one in workloads:
        if one.job is not None and one.job.finished is not None:
            one.wake, one.job = one.job.finished + LATENCY, None


def go_on(one: Script, model: Reference, submitted: dict[str, int]) -> None:
    """Do what comes next in the script, up to the next wait."""
    one.wake = None
    if one.thinking:
        one.thinking = False
        one.wake = model.now + one.steps[one.place].thinks
        one.place += 1
        return
    if one.place == len(one.steps):
        return
    step = one.steps[one.place]
    job = None
    for work in step.works:
        job = RefJob(f"{one.name}-{one.count}", "torino", "s" if step.session else None, work, 0, 0, 0, False)
        one.count += 1
        if not model.submit(job):
            return
        submitted[job.name] = model.now
    one.thinking = True
    if job is not None and step.waits:
        if job.finished is None:
            one.job = job
        else:
            one.wake = max(model.now, job.finished + LATENCY)
    else:
        go_on(one, model, submitted)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    scripts=SCRIPTS,
    limit=st.sampled_from([10, 25, 200]),
    patience=st.sampled_from([2, 60]),
    lanes=st.sampled_from([1, 5]),
    noise=st.integers(0, 3),
)
def test_C2_threads_agree_with_the_plain_model(
    scripts: list[list[Step]], limit: int, patience: int, lanes: int, noise: int
) -> None:
    """Every job is submitted, started and finished at the same second; the session lives the same life."""
    jobs, history = by_threads(scripts, limit, patience, lanes, noise)
    wanted, lived = by_seconds(scripts, limit, patience, lanes)

    assert jobs == wanted
    assert history == lived[: len(history)]


@pytest.mark.parametrize("seed", range(3))
def test_C2_chaos_of_plain_threads_keeps_every_job_once(seed: int) -> None:
    """Eight threads submit, close, cancel and reopen as they like; every job ends once, in one state."""
    chaos(seed, jobs=100)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 120))
def test_G9_chaos_with_a_switch_every_microsecond(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with 200 jobs each, while Python changes threads as often as it can and simulations fail."""
    honest, calls = FakeEngine.simulate, itertools.count(1)

    def failing(engine: FakeEngine, values: Any, job_seed: int) -> float:
        if next(calls) % 50 == 0:
            raise MemoryError
        return honest(engine, values, job_seed)

    monkeypatch.setattr(FakeEngine, "simulate", failing)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        results = chaos(seed, jobs=200)
    finally:
        sys.setswitchinterval(interval)

    monkeypatch.undo()
    service = fake_service(seed=seed)
    with Session(service.backend("ideal")) as session:
        for number in range(8):
            estimator = EstimatorV2(session, workload=f"w{number}")
            for index in range(200):
                alone = float(estimator.run([PUB]).result()[0].data.evs)
                assert results.get((f"w{number}", index), alone) == alone
    assert len(results) > 100


def chaos(seed: int, jobs: int) -> dict[tuple[str, int], float]:
    """Let eight threads go wild, check what they left, and return the results they got by workload and index."""
    ended: list[str] = []
    service = fake_service(
        seed=seed,
        lanes=2,
        on_event=lambda event: ended.append(event.job) if event.kind == "job.completed" else None,
    )
    backend = service.backend("ideal")
    sessions = [Session(backend, max_time=60)]
    results: dict[tuple[str, int], float] = {}

    def act(number: int) -> None:
        rng = random.Random(f"{seed}{number}")
        for _ in range(jobs):
            session = sessions[-1]
            try:
                job = EstimatorV2(session, workload=f"w{number}").run([PUB])
                choice = rng.random()
                if choice < 0.05:
                    session.close()
                elif choice < 0.08:
                    session.cancel()
                elif choice < 0.1:
                    job.cancel()
                if choice > 0.3:
                    results[job.workload, job.index] = float(job.result()[0].data.evs)
            except RunnerError:
                if not session.accepting:
                    sessions.append(Session(backend, max_time=60))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, range(8)))
    service.drain()
    known = service.jobs(limit=None)
    done = [job for job in known if job.status() == "DONE"]

    assert len(results) <= len(done)
    assert all(job.in_final_state() for job in known)
    assert sorted(ended) == sorted(job.job_id() for job in known)
    assert len(backend.engine.runs) >= len(done)
    never_started = [job for job in known if job.record.started is None]
    assert not any(job.settled for job in never_started)
    assert len({(job.workload, job.index) for job in known}) == len(known)
    return results

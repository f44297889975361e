"""Jobs that are repeated in one go come to what the usual way, which is the reference here, makes of them."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.declare.composer import compose
from runner.errors import RunnerError
from runner.record.events import Evaluation, Event, JobCompleted
from runner.record.journal import Journal, read_journal
from runner.record.replay import RESULTS
from runner.run.ahead import Ahead
from runner.run.context import Lab
from runner.run.execution import resume, run
from runner.runtime.machine import Job, Machine
from runner.runtime.plan import PLANS
from runner.runtime.repetition import Repetition
from tests.journals import plain
from tests.runtime.fakes import fake_service

QUIET = ("tracking=off", "run.figures=false")
REPEATED = {
    "two sets a job": ("estimator=exact", "optimizer=spsa", "session=job", "optimizer.max_evaluations=60"),
    "one set a job": ("estimator=level0", "optimizer=cobyla", "optimizer.max_evaluations=30"),
    "many sets a job": (
        "estimator=level0", "optimizer=spsa", "optimizer.resamplings=5", "optimizer.max_evaluations=90",
    ),
    "shots": ("estimator=level0", "optimizer=nelder_mead", "optimizer.max_evaluations=30"),
    "one angle at a time": ("optimizer=nft", "optimizer.max_evaluations=40"),
    "exact gradients": ("estimator=exact", "optimizer=adam", "gradient=adjoint", "optimizer.max_evaluations=30"),
    "shifted gradients": (
        "estimator=level0", "optimizer=l_bfgs_b", "gradient=parameter_shift", "optimizer.max_evaluations=20",
    ),
    "shots of each basis": ("optimizer=spsa", "optimizer.resamplings=5", "optimizer.max_evaluations=90"),
    "shots of each basis, one set a job": ("optimizer=cobyla", "optimizer.max_evaluations=30"),
    "terms read off every basis": ("estimator=frugal", "optimizer=spsa", "optimizer.max_evaluations=60"),
    "bases that take different times": (
        "backend=generic", "backend.num_qubits=4", "hamiltonian=lih_4q", "optimizer=spsa",
        "estimator.grouping=commuting", "estimator.default_shots=200", "optimizer.max_evaluations=20",
    ),
    "shifted gradients, shots of each basis": (
        "estimator=frugal", "optimizer=adam", "gradient=parameter_shift", "optimizer.max_evaluations=20",
    ),
    "expiry": ("estimator=level0", "optimizer=cobyla", "session.max_time=60", "optimizer.max_evaluations=60"),
    "reopened": (
        "estimator=exact", "optimizer=spsa", "session.max_time=60", "session.on_expiry=reopen",
        "optimizer.max_evaluations=90",
    ),
    "preparation": (
        "estimator=level0", "optimizer=cobyla", "session.lanes=2", "session.latency=3",
        "optimizer.max_evaluations=30",
    ),
    "a batch that queues": (
        "estimator=level0", "session=batch", "session.queue_delay={kind: lognormal, seconds: 9, sigma: 2}",
        "optimizer=cobyla", "optimizer.max_evaluations=30",
    ),
    "jobs that queue": (
        "estimator=level0", "session=job", "session.queue_delay={kind: lognormal, seconds: 9, sigma: 2}",
        "optimizer=cobyla", "optimizer.max_evaluations=30",
    ),
    "a budget": ("estimator=level0", "optimizer=spsa", "optimizer.max_shots=2000000", "optimizer.max_evaluations=90"),
    "a limit of usage": (
        "estimator=level0", "optimizer=spsa", "session.max_usage=500", "optimizer.max_evaluations=90",
    ),
    "several minimizations": (
        "experiment=vqd", "estimator=exact", "optimizer=cobyla", "optimizer.max_evaluations=20",
    ),
}  # fmt: skip
USUAL = {
    "a session that rests": (
        "estimator=level0", "optimizer=cobyla", "session.latency=70", "optimizer.max_evaluations=20",
    ),
    "mitigated": ("estimator=level1", "backend=noisy", "optimizer=spsa", "optimizer.max_evaluations=12"),
    "threads": ("experiment=vqe_race", "optimizer.max_evaluations=12"),
    "shots for an error": ("estimator=target", "optimizer=spsa", "optimizer.max_evaluations=20"),
}  # fmt: skip
"""What has to go the usual way all the time."""


def broken_off(whole: Path, name: str, keep: int, change: Any = None) -> Path:
    """A copy of a run that was killed after so many events, `change(events)` having been recorded in place of them."""
    copy = Path(name)
    copy.mkdir()
    shutil.copy(whole / "config.yaml", copy)
    events: list[Event] = read_journal(whole / "journal.jsonl").events[:keep]
    with Journal.create(copy / "journal.jsonl") as journal:
        for event in events if change is None else change(events):
            journal.write(event)
    return copy


def told(directory: Path) -> tuple[object, ...]:
    """All that a run leaves behind, but for what the clock on the wall says."""
    events = [
        (event.kind, {**event.said(), "pid": None})
        for event in read_journal(plain(directory)).events
        if event.kind not in ("result", "run.started")
    ]
    result = json.loads((directory / "result.json").read_text())
    for name in ("wall_seconds", "run_id"):
        result.pop(name, None)
    return events, (directory / "session.json").read_bytes(), result


def outcome(directory: Path) -> tuple[object, ...]:
    """What resuming a run comes to, an error by its words."""
    try:
        resume(directory)
    except RunnerError as error:
        return type(error), str(error).replace(str(directory), "")
    return told(directory)


def both_ways(
    whole: Path, keep: int, monkeypatch: pytest.MonkeyPatch, change: Any = None
) -> tuple[tuple[object, ...], tuple[object, ...], int]:
    """What resuming comes to in one go and the usual way, and how many jobs went in one go."""
    answered = 0
    answer = Repetition.answer

    def counted(self: Repetition, *what: Any) -> Any:
        nonlocal answered
        found = answer(self, *what)
        answered += len(found) * (
            self._desk.workload != RESULTS
        )  # these are measured when the threads are over
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Repetition, "answer", counted)
        patched.setattr("runner.record.replay.READ_AHEAD", 7)  # so that a short run takes several reads
        fast = outcome(broken_off(whole, "fast", keep, change))
    with monkeypatch.context() as patched:
        patched.setattr(Repetition, "answer", lambda *_: [])
        patched.setattr(Ahead, "of", lambda *_: None)
        usual = outcome(broken_off(whole, "usual", keep, change))
    shutil.rmtree("fast")
    shutil.rmtree("usual")
    return fast, usual, answered


def recorded(words: Sequence[str], seed: int) -> tuple[Path, int]:
    """A run that came to its end, and how many events it has."""
    path = run(compose(*QUIET, *words, f"seed={seed}"), directory="whole").directory
    return path, len(read_journal(plain(path)).events)


@pytest.mark.parametrize("cuts", [1, pytest.param(5, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", [*REPEATED, *USUAL])
def test_a_run_resumed_at_random_is_the_same_both_ways(
    kind: str, cuts: int, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journal, session.json and result.json; most jobs go in one go where they can, and none where they cannot."""
    draw = random.Random(kind)
    whole, count = recorded({**REPEATED, **USUAL}[kind], draw.randrange(1, 1000))
    places = [draw.randrange(count // 2, count - 2) for _ in range(cuts)]

    answered = 0
    for keep in places:
        fast, usual, jobs = both_ways(whole, keep, monkeypatch)
        answered += jobs

        assert len(fast) == 3
        assert fast == usual
    assert bool(answered) == (kind in REPEATED)


def _shifted(value: Any) -> Any:
    return [_shifted(one) for one in value] if isinstance(value, list) else value + 1e-9


DIFFERENCES = {
    "digest": lambda _: {"digest": "0" * 32},
    "time": lambda event: {"finished": event.finished + 1e-9},
    "id": lambda _: {"job": "another"},
    "wait": lambda _: {"queue_seconds": 1.0},
    "result": lambda event: {"result": [{**event.result[0], "evs": "nan"}]},
    "energy": lambda event: {"result": [{**event.result[0], "evs": _shifted(event.result[0]["evs"])}]},
    "shape": lambda event: {"result": [{**event.result[0], "variances": [[1.0]]}]},
}


DIFFERING = (
    "two sets a job", "one set a job", "exact gradients", "reopened", "shots of each basis",
    "terms read off every basis",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "difference"),
    [
        pytest.param(
            kind,
            difference,
            marks=() if place == 0 or index == place - 1 else pytest.mark.nightly,
        )
        for place, kind in enumerate(DIFFERING)
        for index, difference in enumerate(DIFFERENCES)
    ],
)
def test_a_journal_that_differs_is_accused_in_the_same_words(
    kind: str, difference: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job in the middle of the journal says something else; those before it went in one go."""
    whole, count = recorded(REPEATED[kind], 3)

    def changed(events: list[Event]) -> list[Event]:
        ends = [place for place, event in enumerate(events) if isinstance(event, JobCompleted)]
        place = ends[len(ends) // 2]
        said = {**events[place].said(), **DIFFERENCES[difference](events[place])}
        return [*events[:place], JobCompleted.read(said), *events[place + 1 :]]

    fast, usual, jobs = both_ways(whole, count - 3, monkeypatch, changed)

    assert fast == usual
    assert "whole" not in str(fast)
    assert jobs >= 3


def test_a_signal_while_the_past_is_repeated_accuses_nobody(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen before the next jobs are read; the run goes on afterwards to the same bits."""
    monkeypatch.setattr("runner.record.replay.READ_AHEAD", 32)
    whole, count = recorded((*REPEATED["two sets a job"], "optimizer.max_evaluations=200"), 5)
    expected = outcome(broken_off(whole, "usual", count - 3))
    broken_off(whole, "broken", count - 3)
    ahead, calls = Lab.ahead, []

    def interrupted(lab: Lab, workload: str) -> Any:
        calls.append(workload)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return ahead(lab, workload)

    monkeypatch.setattr(Lab, "ahead", interrupted)
    assert resume("broken").status == "interrupted"
    monkeypatch.setattr(Lab, "ahead", ahead)
    again = resume("broken")

    assert again.energy == expected[2]["energy"]
    assert (again.directory / "session.json").read_bytes() == expected[1]


def test_an_evaluation_that_differs_is_accused_in_the_same_words(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is computed from the numbers of jobs is compared as before."""
    whole, count = recorded(REPEATED["two sets a job"], 5)

    def changed(events: list[Event]) -> list[Event]:
        places = [place for place, event in enumerate(events) if isinstance(event, Evaluation)]
        said = {**events[places[-9]].said(), "energy": -9.0}
        return [*events[: places[-9]], Evaluation.read(said), *events[places[-9] + 1 :]]

    fast, usual, jobs = both_ways(whole, count - 3, monkeypatch, changed)

    assert fast == usual
    assert "differs from the journal at 'energy'" in str(fast)
    assert jobs >= 3


def submitted(machine: Machine, job: Job) -> Job:
    """A job that went through the machine by its rules."""
    machine.submit(job)
    while not job.final:
        assert machine.step()
    return job


def told_of(job: Job) -> list[object]:
    """What became of a job."""
    return [
        job.status, job.submitted, job.available, job.started, job.qpu_started, job.finished, job.qpu_used,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", [None, "dedicated", "batch"])
def test_the_machine_comes_to_the_same_in_one_go(mode: str | None) -> None:
    """Random times in job mode, sessions and batches: jobs that are foreseen end as those that are stepped through."""
    draw = random.Random(str(mode))
    ways = [Machine(PLANS["premium"]) for _ in range(2)]
    sessions = [None if mode is None else way.open_session("s", "qpu", mode, 3000.0, 60.0) for way in ways]
    foreseen = together = 0
    while foreseen < 300 and (sessions[0] is None or sessions[0].accepting):
        latencies: dict[str, float] = {}
        some: list[list[Job]] = [[], []]
        for place in range(draw.choice([1, 2, 5])):
            takes, prepares, waits = draw.choice([1.0, 9.7]), draw.choice([0.0, 0.3]), draw.choice([0.0, 4.1])
            latencies[f"j{foreseen}-{place}"] = draw.choice([0.0, 0.1, 0.1, 0.1, 59.9, 60.0, 61.0])
            for jobs, way, session in zip(some, ways, sessions, strict=True):
                jobs.append(Job(f"j{foreseen}-{place}", way.device("qpu"), session, takes, prepares, waits))
        wakes = ways[0].foresee(some[0], lambda job, known=latencies: known[job.id])
        count = len(wakes)
        if count:
            ways[0].carry_out(some[0][:count], wakes[-1])
            together += count > 1
        else:
            count = 1
            submitted(ways[0], some[0][0])
            ways[0].advance(some[0][0].finished + latencies[some[0][0].id])
        for job in some[1][:count]:
            submitted(ways[1], job)
            ways[1].advance(job.finished + latencies[job.id])
        foreseen += len(wakes)

        assert list(map(told_of, some[0][:count])) == list(map(told_of, some[1][:count]))
        assert (ways[0].now, ways[0].next_time()) == (ways[1].now, ways[1].next_time())
        assert not ways[0].unfinished
        if sessions[0] is not None:
            one, other = (
                [
                    s.state, s.accepting, s.reason, s.started_at, s.last_job_started, s.last_job_completed,
                    s.transitions, s.spent, s.usage(way.now), s.running, way.time_left(s),
                ]
                for s, way in zip(sessions, ways, strict=True)
            )  # fmt: skip
            assert one == other

    assert foreseen >= 20
    assert together >= 5


def test_nothing_is_foreseen_beside_another_job_or_beyond_an_alarm() -> None:
    """Each of these could change what becomes of the job, so that the rules have to find out."""
    machine = Machine(PLANS["premium"])
    device = machine.device("qpu")
    session = machine.open_session("s", "qpu", "dedicated", 100.0, 60.0)
    job = Job("a", device, session, 10.0)

    def wakes(latency: float, *jobs: Job) -> list[float]:
        return machine.foresee(jobs, lambda _: latency)

    assert wakes(0.1, job) == []  # it would start the session
    submitted(machine, Job("b", device, session, 10.0))
    assert wakes(0.1, job) == [20.1]
    assert wakes(60.0, job) == []  # the session would rest
    assert wakes(0.0, Job("c", device, session, 90.0)) == []  # it would expire
    assert wakes(10.0, job, *(Job(name, device, session, 30.0) for name in "cde")) == [30.0, 70.0]  # at 100
    assert wakes(0.1, Job("d", device, None, 10.0)) == []  # it would wait for the session's end
    machine.submit(Job("e", device, session, 10.0))
    assert wakes(0.1, job) == []


def test_a_service_without_a_record_answers_nothing() -> None:
    """Jobs of a program that keeps its results go the usual way."""
    service = fake_service()
    primitive = service.primitive("estimator", service.backend("ideal"), {}, "stream")

    assert service.past_of("stream") is None
    assert primitive.repeat([[]]) == []
    assert primitive.repeat([[]], sloped=True) == []

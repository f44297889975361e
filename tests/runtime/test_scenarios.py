"""Scenarios of sessions, batches and jobs computed by hand from the rules, each lived through on both clocks.

They stand in `scenarios.yaml`. What happens is one line of `seconds action`: `A=session` and `A=batch` open one (with
its maximum time, if said), `A+` submits a job to A and `J+` one in job mode (`A+3`: limited to 3 QPU seconds),
`A.close`, `A.cancel`, `j2.cancel`; with `!` it is refused. A job keeps the QPU for 10 seconds, on one lane. What came
of it was written down with a pencil: of jobs, in the order in which they were submitted, their status and the seconds
of start and end (a job starts with its classical phase, and is charged when it is over); of sessions every change of
state, and the usage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.errors import ConfigError, PlanError, RuntimeSessionError
from runner.runtime import (
    Batch,
    CostModel,
    EstimatorV2,
    LocalRuntimeService,
    Session,
    VirtualClock,
)
from tests.runtime.fakes import PUB, FakeEngine, HandClock


@dataclass(frozen=True)
class Scenario:
    """What happens, and what comes of it."""

    rules: str
    script: str
    jobs: str = ""
    sessions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    until: float = 200.0


SCENARIOS = [
    Scenario(**one) for one in yaml.safe_load(Path(__file__).with_name("scenarios.yaml").read_text())
]


def live(
    scenario: Scenario, clock: VirtualClock | HandClock
) -> tuple[LocalRuntimeService, list[Any], dict[str, Any]]:
    """Carry a script out."""
    settings = {"lanes": 1, **scenario.settings}
    cost = CostModel(overhead=10, seconds_per_execution=0, preparation=settings.pop("preparation", 0.0))
    service = LocalRuntimeService(seed=7, clock=clock, engine_factory=FakeEngine, cost=cost, **settings)
    backend = service.backend("ideal")
    sessions: dict[str, Any] = {}
    jobs: list[Any] = []

    def pass_until(seconds: float) -> None:
        if isinstance(clock, HandClock):
            clock.seconds = seconds
            service.timeline.act(lambda: None)
        elif seconds > service.now():
            service.sleep(seconds - service.now())

    def act(word: str) -> None:
        name, _, more = word.partition("=")
        if more:
            kind, _, limit = more.partition(" ")
            made = {"session": Session, "batch": Batch}[kind]
            sessions[name] = made(backend, max_time=int(limit) if limit else None)
        elif "+" in word:
            name, _, limit = word.partition("+")
            options = {"max_execution_time": int(limit)} if limit else None
            jobs.append(EstimatorV2(sessions[name] if name != "J" else backend, options=options).run([PUB]))
        elif word.startswith("j"):
            jobs[int(word[1:].partition(".")[0]) - 1].cancel()
        else:
            name, _, ending = word.partition(".")
            getattr(sessions[name], ending)()

    for line in scenario.script.split("; "):
        seconds, _, word = line.partition(" ")
        pass_until(float(seconds))
        if word.endswith("!"):
            with pytest.raises((ConfigError, PlanError, RuntimeSessionError)):
                act(word[:-1])
        else:
            act(word)
    pass_until(scenario.until)
    return service, jobs, sessions


def told(job: Any) -> str:
    """Status, start and end of a job, as the table writes them."""
    record = job.record
    start = "" if record.started is None else f"{record.started:g}-"
    return f"{record.status} {start}{record.finished:g}"


@pytest.mark.parametrize("clock", ["virtual", "wall"])
@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[f"{number}: {one.rules}" for number, one in enumerate(SCENARIOS, 1)]
)
def test_scenarios_by_hand(scenario: Scenario, clock: str) -> None:
    """Jobs, changes of state and usage are the pencil's, on a clock that jumps and on one that is moved."""
    service, jobs, sessions = live(scenario, VirtualClock(latency=0) if clock == "virtual" else HandClock())
    now = service.machine.now
    found = {
        name: ", ".join(f"{state} {time:g}" for state, time in one.record.transitions)
        + f" | {one.record.usage(now) or 0:g}"
        for name, one in sessions.items()
    }

    assert ", ".join(map(told, jobs)) == scenario.jobs
    assert {name: found[name] for name in scenario.sessions} == scenario.sessions


def test_there_are_as_many_as_the_docs_say() -> None:
    """No scenario is there twice."""
    assert len({(one.script, repr(one.settings), one.until) for one in SCENARIOS}) == len(SCENARIOS) >= 77

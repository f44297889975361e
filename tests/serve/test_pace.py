"""The clock of a server: fast while something is going on, and back at today's dates when nothing is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from runner.runtime import CostModel, EstimatorV2, LocalRuntimeService, Session, clock
from runner.runtime.machine import Job
from runner.runtime.plan import PLANS
from runner.serve import pace
from runner.serve.pace import Pace, PacedClock, PacedMachine
from tests.runtime.fakes import PUB, FakeEngine


class Hand:
    """A real time that is set by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.time


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """In place of the computer's clock."""
    hand = Hand()
    for module in (pace, clock):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=hand))
    return hand


def test_dates_are_todays_where_nothing_is_going_on(hand: Hand) -> None:
    """60 s pass in one while a job runs; afterwards the clock stands until the real time has caught up."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    paced = PacedClock(scale=60, epoch=start)
    machine = PacedMachine(PLANS["premium"], paced, lambda job: machine.simulated.add(job.id))
    seen = []

    def look(seconds: float) -> None:
        hand.time += seconds
        machine.advance(paced.now())
        seen.append(paced.now())

    look(100)
    session = machine.open_session("s", "d", "dedicated")
    look(1)
    job = Job("j", machine.device("d"), session, 30.0, payload=Payload())
    machine.submit(job)
    look(1)
    machine.close_session(session)
    look(60)
    look(58)
    look(10)

    assert job.status == "DONE"
    # 100 real; then one second as 60, twice; 220 on the clock where 102 are real, so 118 to wait
    assert seen == pytest.approx([100, 160, 220, 220, 220, 230])
    assert paced.now() == hand.time - 1000
    assert paced.date(paced.now()) == start + timedelta(seconds=230)


class Payload:
    """What a job carries; it has been simulated."""

    def resolve(self) -> None:
        """Be done."""


def test_a_clock_that_was_ahead_waits_too(hand: Hand) -> None:
    """The server's folder remembers a date an hour ahead; stopping meanwhile changes nothing."""
    paced = PacedClock(scale=60, epoch=datetime(2026, 3, 1, 1, tzinfo=UTC), lead=3600.0)
    hand.time += 3000
    with paced.stopped():
        hand.time += 500
        assert paced.now() == 0
    assert paced.now() == 0
    hand.time += 200

    assert paced.now() == 100


@pytest.mark.parametrize("scale", [1, 60])
@pytest.mark.parametrize("looks", [[], [0.0], [2.0, 30.0, 30.0]])
def test_a_session_does_not_age_while_its_job_is_simulated(
    hand: Hand, scale: int, looks: list[float]
) -> None:
    """Ten QPU seconds take 200 real ones, whoever looks meanwhile: the session of 25 s has 15 s left, and then none."""
    seen: list[float] = []

    class Slow(FakeEngine):
        """Takes its time; at some moments somebody asks what time it is."""

        def simulate(self, values: object, seed: int) -> float:
            for wait in looks:
                hand.time += wait
                seen.append(paced.now())
            hand.time += 200 - sum(looks)
            return super().simulate(values, seed)

    def build(**given: object) -> LocalRuntimeService:
        cost = CostModel(overhead=10, seconds_per_execution=0)
        return LocalRuntimeService(seed=1, cost=cost, engine_factory=Slow, **given)  # type: ignore[arg-type]

    paced = Pace(PacedClock(scale=scale), build, workers=1)
    session = Session(paced.service.backend("ideal"), max_time=25)
    job = EstimatorV2(session).run([PUB])
    paced._workers.shutdown(wait=True)
    record = session.record
    assert record is not None
    after = [paced.now()]
    hand.time += 14.5 / scale
    after.append(paced.now())
    late = record.state
    hand.time += 1 / scale
    paced.now()

    assert (job.record.status, job.record.finished) == ("DONE", 10)
    assert after == pytest.approx([10, 24.5])
    assert (late, record.state, record.closed_at) == ("active", "closed", 25)
    # 2 s are 2 of the job's ten where a second is a second; where it is a minute the clock stands at ten by then
    assert seen == pytest.approx([min(10.0, scale * sum(looks[: n + 1])) for n in range(len(looks))])

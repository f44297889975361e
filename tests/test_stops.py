"""Going on after a stop may be broken anywhere and as often as one likes: all comes out as if it had not been."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runner import RunResult, compose, resume, run
from runner.errors import ConfigError
from runner.record.events import (
    BudgetReached,
    Event,
    JobCompleted,
    JobSubmitted,
    Reserve,
    RunEnded,
    RunInterrupted,
    RunResumed,
    SessionChanged,
)
from runner.record.journal import read_journal
from runner.record.log import of
from runner.record.reading import read_result
from runner.record.replay import Stop, stop_of
from runner.record.result import taken_in_all
from runner.run.signals import StopFlag
from tests.journals import plain, told

SMALL = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=4")

STOPPED: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "session": (("session.max_time=60",), ((),)),
    "batch": (("session=batch", "session.max_time=60"), ((),)),
    "session, then a budget": (
        ("session.max_time=50", "session.max_cost=70"),
        ((), ("session.max_cost=1000",)),
    ),
    "two budgets in money": (
        ("session=batch", "session.max_cost=50", "optimizer.max_evaluations=6"),
        (("session.max_cost=88",), ("session.max_cost=1000",)),
    ),
    "budget in seconds": (("session.max_usage=60",), (("session.max_usage=1000",),)),
    "two budgets of shots": (
        ("optimizer.max_shots=160000",),
        (("optimizer.max_shots=200000",), ("optimizer.max_shots=10000000",)),
    ),
    "race": (
        (
            "session.max_time=60",
            "experiment=vqe_race",
            "hamiltonian=two_qubit",
            "optimizer.max_evaluations=3",
        ),
        ((),),
    ),
    "race, one of which has used up shots of its own": (
        (
            "session.max_time=60",
            "experiment=vqe_race",
            "hamiltonian=two_qubit",
            "optimizer.max_evaluations=3",
            "experiment.optimizers=[cobyla,{nelder_mead:{max_shots:150000}}]",
        ),
        ((),),
    ),
    "gradients": (("session.max_time=10m", "optimizer=adam", "optimizer.max_evaluations=3"), ((),)),
    "its session ended under it": (
        (
            "session.max_time=30",
            "experiment=dissociation_curve",
            "experiment.values=[0.6,0.9]",
            "optimizer.max_evaluations=3",
        ),
        ((),),
    ),
}
"""What is declared, and what is typed each time that the run goes on."""


class Breaks:
    """Ctrl-C at the k-th moment (from 1) of a process at which it is looked for; without k the moments are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moments = 0
        self._at: int | None = None
        honest = StopFlag.check

        def check(flag: StopFlag) -> None:
            self.moments += 1
            if self.moments == self._at:
                flag.signum = signal.SIGINT
            honest(flag)

        monkeypatch.setattr(StopFlag, "check", check)

    def at(self, k: int | None) -> None:
        """Let it come at this moment of the next process."""
        self.moments, self._at = 0, k


def outcome(result: RunResult) -> dict[str, Any]:
    """What has to be the same: the result but for the time that it took, sessions with all jobs, the exit code."""
    files = {
        name: json.loads((result.directory / name).read_text()) for name in ("result.json", "session.json")
    }
    del files["result.json"]["wall_seconds"]
    return {**files, "exit code": result.exit_code}


def finished(typed: Sequence[str], k: int, breaks: Breaks) -> RunResult:
    """What comes of going on that is interrupted at the k-th moment, once and again, and then is not."""
    overrides: Sequence[str] = typed
    for at in (k, k, None):
        breaks.at(at)
        result = resume("broken", overrides=overrides)
        if result.status != "interrupted":
            return result
        overrides = ()
    raise AssertionError("nothing interrupted it the last time")


@pytest.mark.parametrize("case", STOPPED)
def test_going_on_may_be_interrupted_at_every_moment(
    case: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C twice at each; and a kill between any two events of the journal. The twin was left alone."""
    declared, typed = STOPPED[case]
    breaks = Breaks(monkeypatch)
    result = run(compose(*SMALL, *declared), directory="twin")
    twins, moments = [], []
    for number, more in enumerate(typed):
        shutil.copytree("twin", f"stopped-{number}")
        breaks.at(None)
        result = resume("twin", overrides=more)
        twins.append(outcome(result))
        moments.append(breaks.moments)
    lines = plain("twin").read_bytes().splitlines(keepends=True)
    assert result.status == "finished"

    def goes_on(number: int, k: int, overrides: Sequence[str]) -> None:
        assert outcome(finished(overrides, k, breaks)) == twins[number], (number, k)
        for later in range(number + 1, len(typed)):
            breaks.at(None)
            assert outcome(resume("broken", overrides=typed[later])) == twins[later], (number, k, later)
        shutil.rmtree("broken")

    for number in range(len(typed)):
        for k in range(1, moments[number] + 1, len(typed)):
            shutil.copytree(f"stopped-{number}", "broken")
            goes_on(number, k, typed[number])
        begun = len(read_journal(f"stopped-{number}/journal.jsonl").events)
        ended = next(n for n in range(begun, len(lines)) if b'"kind":"run.ended"' in lines[n])
        for n in range(begun + 1, ended + 1, 6):
            shutil.copytree(f"stopped-{number}", "broken")
            plain("broken").write_bytes(b"".join(lines[:n]))
            goes_on(number, (n - begun) % moments[number] + 1, ())
    assert moments[0] > 5


@pytest.mark.parametrize("declared", [("session.max_time=60",), ("session=batch", "session.max_cost=50")])
def test_a_stop_may_be_interrupted_itself(
    declared: tuple[str, ...], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed or interrupted while it measures its result, it stops as it would have, and then goes on as it would."""
    breaks = Breaks(monkeypatch)
    stopped = outcome(run(compose(*SMALL, *declared), directory="twin"))
    moments = breaks.moments
    lines = plain("twin").read_bytes().splitlines(keepends=True)
    more = ["session.max_cost=1000"] * ("max_cost" in declared[-1])
    twin = outcome(resume("twin", overrides=more))

    for k in range(1, moments + 1):
        breaks.at(k)
        run(compose(*SMALL, *declared), directory="broken")
        breaks.at(None)
        assert outcome(resume("broken")) == stopped
        if more:
            with pytest.raises(ConfigError, match="is used up"):
                resume("broken")
        assert outcome(resume("broken", overrides=more)) == twin
        shutil.rmtree("broken")
    for n in range(3, len(lines)):
        shutil.copytree("twin", "broken")
        for kept in Path("broken").glob("journal*"):
            kept.unlink()
        Path("broken/journal.jsonl").write_bytes(b"".join(lines[:n]))
        assert outcome(resume("broken")) == stopped
        assert outcome(resume("broken", overrides=more)) == twin
        shutil.rmtree("broken")


def test_a_run_that_was_stopped_twice_at_one_place_goes_on(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier releases stopped once more where going on had been interrupted; its jobs were charged once."""
    breaks = Breaks(monkeypatch)
    run(compose(*SMALL, "session.max_time=60"), directory="twin")
    stop = plain("twin").read_bytes().splitlines(keepends=True)
    shutil.copytree("twin", "broken")
    twin = outcome(resume("twin"))
    for k in (1, 4):
        breaks.at(k)
        resume("broken")
    breaks.at(None)
    with monkeypatch.context() as forgetting:
        forgetting.setattr(Stop, "reopens", property(lambda _: False, lambda *_: None))
        again = resume("broken")

    assert again.status == "stopped"
    assert len(plain("broken").read_bytes().splitlines()) > len(stop)
    assert outcome(resume("broken")) == twin
    measured = [
        job for job in of(read_journal(plain("broken")).events, JobCompleted) if job.workload == "result"
    ]
    assert len(measured) > twin["result.json"]["measured_before"]["jobs"] + 1


@pytest.mark.parametrize("case", [case for case in STOPPED if "ended under" not in case])
def test_a_session_that_was_closed_where_a_run_stopped_is_not_used_again(case: str, workdir: Path) -> None:
    """What is paid in all is what was paid until the stop, as that was told, and what later sessions cost.

    By the journal: the first part's jobs and its closed session, and all jobs after it.
    """
    declared, typed = STOPPED[case]
    after = run(compose(*SMALL, *declared), directory="run")
    for more in typed:
        before, after = after, resume("run", overrides=more)
        sessions = json.loads(Path("run/session.json").read_text())["sessions"]
        later = [one["usage_seconds"] for one in sessions if one["id"] not in before.session_ids]
        measured = [
            (one.measured_before or {"usage_seconds": 0.0})["usage_seconds"] for one in (before, after)
        ]
        if before.session_ids:
            paid = before.usage_seconds + measured[0] + sum(later)
            assert after.usage_seconds + measured[1] == pytest.approx(paid, rel=1e-9)
    closed: set[str | None] = set()
    for event in of(read_journal("run/journal.jsonl").events, SessionChanged, JobSubmitted):
        if isinstance(event, JobSubmitted):  # one that was submitted before is carried out
            assert event.session not in closed
        elif isinstance(event, SessionChanged) and event.state == "closed":
            closed.add(event.session)


def test_a_run_that_an_earlier_release_went_on_with_stays_in_its_session(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is broken in its second part: what is recorded there is repeated, in the session that it was in."""
    breaks = Breaks(monkeypatch)
    stopped = run(compose(*SMALL, "session.max_time=60"), directory="twin")
    shutil.copytree("twin", "broken")
    honest = RunResumed.__init__
    with monkeypatch.context() as earlier:
        earlier.setattr(
            RunResumed, "__init__", lambda self, **said: honest(self, **{**said, "leaves": False})
        )
        breaks.at(None)
        twin = resume("twin")
        breaks.at(breaks.moments - 2)
        assert resume("broken").status == "interrupted"
    breaks.at(None)

    assert outcome(resume("broken")) == outcome(twin)
    sessions = json.loads(Path("twin/session.json").read_text())["sessions"]
    assert sessions[0]["usage_seconds"] > stopped.usage_seconds


@pytest.mark.parametrize("limit", ["session.max_time=90", "session.max_cost=60"])
def test_the_result_of_a_run_that_stopped_is_written_again(
    limit: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the line that tells of a damaged one says: from the journal, of which no byte changes, so nothing is paid."""
    run(compose(*SMALL, limit), directory="run")
    path = Path("run/result.json")
    before, journal = json.loads(path.read_text()), plain("run").read_bytes()
    path.write_text(path.read_text().replace(f'"shots": {before["shots"]}', '"shots": 1'))
    with pytest.raises(
        ConfigError, match=r"shots is 1, .*delete it and `resume` the run, which writes it again"
    ):
        read_result(path)
    path.unlink()

    assert resume("run", quiet=False).exit_code == 3
    again = json.loads(path.read_text())
    wall = {again.pop("wall_seconds"), before.pop("wall_seconds")}
    assert again == before
    assert len(wall) == 2  # figures and upload come after the journal's end
    assert plain("run").read_bytes() == journal
    assert f"wrote {path}" in capsys.readouterr().out


def test_shots_of_a_racers_own_that_are_used_up_stay_so(workdir: Path) -> None:
    """Its session may end beside that, and another one follows; nothing is typed, nothing measured or spent twice.

    By hand: measuring three results takes 150 000 of the 210 000, so the racer takes two points of 30 000 each, and
    nothing of that depends on how many sessions there are.
    """
    declared = (
        *("tracking=off", "run.figures=false", "experiment=vqe_race", "hamiltonian=two_qubit"),
        *("optimizer.max_evaluations=6", "experiment.optimizers=[cobyla,{nelder_mead:{max_shots:210000}}]"),
    )
    whole = run(compose(*declared), directory="whole")
    broken = run(compose(*declared, "session.max_time=175"), directory="broken")
    used = list(of(read_journal(plain("broken")).events, BudgetReached))
    again = resume("broken")
    events = read_journal(plain("broken")).events
    jobs = [job for job in of(events, JobCompleted) if job.workload == "nelder_mead"]

    assert broken.status == "stopped"
    assert [(fact.workload, fact.allowed, fact.spent) for fact in used] == [("nelder_mead", 210_000, 60_000)]
    assert (again.status, whole.status) == ("finished", "finished")
    assert again.table == whole.table
    assert again.energy == whole.energy
    assert len({job.digest for job in jobs}) == 2
    assert again.shots == whole.shots
    for typed in ((), ("optimizer.max_shots=1000000",)):
        with pytest.raises(ConfigError, match=r"there is nothing to resume$|did not end this run"):
            resume("broken", overrides=typed)


ACCOUNTS: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "racers whose jobs another expiry would have numbered anew": (
        ("experiment.optimizers=[cobyla,adam]", "optimizer.max_evaluations=20", "session.max_time=130"),
        ((),),
    ),
    "results measured in a session of their own": (
        ("experiment.optimizers=[cobyla,adam]", "optimizer.max_evaluations=20", "session.max_time=40",
         "session.on_expiry=reopen", "estimator.default_shots=500", "optimizer.max_shots=30000"),
        (("optimizer.max_shots=1000000",),),
    ),
    "racers in batches, budget by budget": (
        ("experiment.optimizers=[cobyla,nft,adam]", "optimizer.max_evaluations=30", "session=batch",
         "session.latency=5", "session.max_usage=150"),
        tuple((f"session.max_usage={most}",) for most in (230, 300, 380, 460)),
    ),
    "a session and a budget": (
        ("experiment.optimizers=[cobyla,adam]", "optimizer.max_evaluations=20", "session.max_time=200",
         "session.max_cost=150"),
        (("session.max_cost=1000",), ()),
    ),
    "pauses in which a session is not active": (
        ("experiment=vqe", "optimizer=nft", "optimizer.max_evaluations=12", "session.latency=70",
         "session.max_time=7m", "estimator.default_shots=1000"),
        ((),),
    ),
}  # fmt: skip
"""What is declared, and what is typed each time that the run goes on; all come to their end or to a budget."""


@pytest.mark.parametrize("case", ACCOUNTS)
def test_what_is_paid_is_what_sessions_were_charged_for(case: str, workdir: Path) -> None:
    """Every job and every session once, added up from the journal; a budget in seconds or money holds in all."""
    declared, typed = ACCOUNTS[case]
    shots = "estimator.default_shots=2000"
    result = run(
        compose("tracking=off", "run.figures=false", "experiment=vqe_race", shots, *declared), directory="run"
    )
    for more in typed:
        result = resume("run", overrides=more)
    told = taken_in_all(vars(result), "usage_seconds"), taken_in_all(vars(result), "qpu_seconds")
    events = read_journal("run/journal.jsonl").events
    ends = {
        (event.job, event.session, event.started, event.finished): event.qpu_seconds
        for event in of(events, JobCompleted)
    }
    usage: dict[str, float] = {}
    for event in of(events, SessionChanged):
        if event.state == "closed":
            usage[event.session] = max(usage.get(event.session, 0.0), event.usage_time or 0.0)

    assert result.status == "finished" or reached(result)
    assert told[1] == pytest.approx(sum(ends.values()), rel=1e-9)
    assert told[0] == pytest.approx(sum(ends.values() if "batch" in case else usage.values()), rel=1e-9)
    assert taken_in_all(vars(result), "cost") == pytest.approx(
        0.8 * told[0], rel=1e-9
    )  # the premium plan's price
    if "budget by budget" in case:
        assert told[0] <= 460


def reached(result: RunResult) -> bool:
    """Whether a budget ended it."""
    return result.status == "stopped" and "max_" in result.stop_reason


def test_what_was_charged_is_not_told_by_a_resume_that_has_not_repeated_it(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted before its first job it would say 0 seconds, where jobs of 12.5 had been charged."""
    breaks = Breaks(monkeypatch)
    run(compose(*SMALL, "session.max_time=60"), directory="run")
    breaks.at(1)
    assert resume("run", quiet=False).status == "interrupted"
    said = capsys.readouterr().out
    breaks.at(None)
    resume("run", quiet=False)

    assert "not told: it was interrupted" in said
    assert "USD" not in said
    assert "s charged" in capsys.readouterr().out


def test_what_a_resume_leaves_that_is_interrupted_among_known_jobs_is_right(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had been told before is told again; of a run that was killed, what its jobs add up to and nothing else.

    By hand: a point takes 12.5 s on the QPU and 0.01 s pass between jobs of a session, at 0.8 USD a second.
    """
    breaks = Breaks(monkeypatch)
    stopped = run(compose(*SMALL, "session.max_time=90"), directory="twin")
    lines = plain("twin").read_bytes().splitlines(keepends=True)
    before = outcome(stopped)
    shutil.copytree("twin", "told")
    twin = outcome(resume("twin"))
    own = ("status", "stop_reason", "exit_code")
    for k in (1, 2):
        breaks.at(k)
        again = outcome(resume("told"))
        assert again["result.json"]["status"] == "interrupted"
        for name in own:
            del again["result.json"][name]
        assert again["result.json"] == {k: v for k, v in before["result.json"].items() if k not in own}
        assert again["session.json"] == before["session.json"]
    breaks.at(None)
    assert outcome(resume("told")) == twin

    ends = [n for n, line in enumerate(lines) if b'"kind":"evaluation"' in line]
    for count in (1, 3):
        shutil.copytree("twin", "killed")
        for kept in Path("killed").glob("journal*"):
            kept.unlink()
        Path("killed/journal.jsonl").write_bytes(b"".join(lines[: ends[count - 1] + 1]))
        breaks.at(1)
        result = resume("killed")
        content = json.loads(Path("killed/result.json").read_text())
        assert (content["status"], content["evaluations"], content["energy"]) == ("interrupted", count, None)
        assert content["qpu_seconds"] == pytest.approx(12.5 * count)
        assert content["usage_seconds"] == result.usage_seconds == pytest.approx(12.51 * count - 0.01)
        assert content["cost"] == pytest.approx(0.8 * content["usage_seconds"])
        assert (content["shots"], content["measured_before"]) == (None, None)
        assert content["session_ids"] == stopped.session_ids
        assert not Path("killed/session.json").exists()
        breaks.at(None)
        assert outcome(resume("killed")) == before
        assert outcome(resume("killed")) == twin
        shutil.rmtree("killed")


def test_what_a_run_stopped_for_is_told_by_all_of_its_past() -> None:
    """Sessions, once ended, are followed by others; a budget holds until the run has gone on from its end."""
    ended, broken = told("run.ended", status="stopped"), told("run.ended", status="interrupted")
    budget = told(
        "budget", workload="vqe", key="session.max_cost", allowed=1.0, spent=1.0, needed=1.0, measuring=0.0
    )
    reserve = told("reserve", workload="vqe", seconds_left=1.0, seconds_needed=2.0)
    assert isinstance(budget, BudgetReached)
    assert isinstance(reserve, Reserve)
    assert isinstance(ended, RunEnded)

    def found(*events: Event) -> tuple[bool, bool]:
        return stop_of(events, resumed=True).reopens, bool(stop_of(events).used_up)

    resumed, interrupted = RunResumed(), RunInterrupted()
    assert found(reserve, ended) == (True, False)
    assert found(reserve, ended, resumed, interrupted, broken) == (True, False)
    assert found(reserve, interrupted, broken, resumed, ended) == (True, False)
    assert found(reserve, interrupted, broken) == (False, False)
    assert found(budget, ended) == (False, True)
    assert found(budget, ended, resumed) == (False, False)
    assert found(budget, interrupted, broken) == (False, False)
    assert found(budget, interrupted, broken, resumed, ended) == (False, True)
    assert found(interrupted, budget, broken, resumed, reserve, ended) == (True, False)
    assert found(reserve, ended, resumed, budget, ended) == (True, True)

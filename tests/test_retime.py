"""A recorded run under other sessions: the same jobs, another clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import compose, run
from runner.__main__ import main
from runner.declare import registry
from runner.declare.composer import declare
from runner.errors import ConfigError
from runner.record.events import JobSubmitted, Result, RunEnded
from runner.record.journal import Journal, read_journal
from runner.record.log import of
from runner.runtime.machine import TOLD
from runner.whatif.retime import columns, table
from tests.journals import job, session, started, told

SMALL = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=8")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, float]:
    """A finished run with a queue: directory, usage, cost."""
    directory = tmp_path_factory.mktemp("retime") / "run"
    result = run(compose(*SMALL, "session.queue_delay.seconds=50"), directory=str(directory))
    assert result.cost is not None
    return directory, result.usage_seconds, result.cost


def test_as_recorded_is_what_happened(recorded: tuple[Path, float, float]) -> None:
    """Putting a run through its own conditions changes nothing."""
    directory, usage, cost = recorded

    same = columns(directory)[0].retimed

    assert same.complete
    assert same.usage_seconds == pytest.approx(usage)
    assert same.cost == pytest.approx(cost)
    assert same.queue_seconds == pytest.approx(50)


def test_every_mode_is_shown_when_nothing_is_asked(recorded: tuple[Path, float, float]) -> None:
    """In job mode every job queues; usage is QPU time there."""
    found = {column.session.mode: column.retimed for column in columns(recorded[0])}

    assert set(found) == {"session", "batch", "job"}
    assert found["job"].queue_seconds == pytest.approx(50 * len(found["job"].jobs))
    assert found["job"].usage_seconds == pytest.approx(found["job"].qpu_seconds)
    assert found["job"].duration > found["session"].duration


def test_a_declared_price_is_told_as_such_in_every_column(tmp_path: Path) -> None:
    """It stays when the plan changes; 1.20 USD a second is flex's in docs/cost.md; usage times price is the cost."""
    directory = tmp_path / "run"
    run(compose(*SMALL, "session.price_per_second=0.5"), directory=str(directory))

    kept = columns(directory, ["session=flex"])
    freed = columns(directory, ["session=flex", "session.price_per_second=null"])
    prices = {name: values for name, *values in table(kept)}["price"]

    assert prices == [
        "0.5 USD a second as declared, not the plan's 0.80", "0.5 USD a second as declared, not the plan's 1.20",
    ]  # fmt: skip
    assert kept[1].retimed.cost == pytest.approx(kept[1].retimed.usage_seconds * 0.5)
    assert {name: values for name, *values in table(freed)}["price"][1] == "1.20 USD a second, the plan's"
    assert freed[1].retimed.cost == pytest.approx(freed[1].retimed.usage_seconds * 1.2)


def test_without_a_declared_price_none_is_told(recorded: tuple[Path, float, float]) -> None:
    """The plan's stands in the row of plans."""
    assert "price" not in {name for name, *_ in table(columns(recorded[0]))}


@pytest.mark.parametrize("seconds", [0, 30])
def test_retimed_equals_a_run_under_those_conditions(
    recorded: tuple[Path, float, float], seconds: int, tmp_path: Path
) -> None:
    """What re-timing says is what a real run gives: plan, queue, latency and overhead changed at once."""
    changes = (
        "session=payg", f"session.queue_delay.seconds={seconds}", "session.latency=1.5", "session.overhead=4",
    )  # fmt: skip
    actual = run(compose(*SMALL, *changes), directory=str(tmp_path / "run"))

    retimed = columns(recorded[0], changes)[1].retimed

    assert retimed.usage_seconds == pytest.approx(actual.usage_seconds)
    assert retimed.cost == pytest.approx(actual.cost)


@pytest.mark.parametrize("waits", [3, 5])
def test_a_program_that_took_no_time_is_retimed_with_some(waits: int, tmp_path: Path) -> None:
    """The run really made so, and by hand: the session closes 4 s after the last job, or times out before."""
    changes = (f"session.interactive_timeout={waits}", "session.latency=4", "session.lanes=5")
    run(compose(*SMALL, "session.latency=0", "session.lanes=1"), directory=str(tmp_path / "run"))
    actual = run(compose(*SMALL, *changes), directory=str(tmp_path / "actual"))

    recorded, retimed = (column.retimed for column in columns(tmp_path / "run", changes))
    pause = min(waits, 4)

    assert retimed.usage_seconds == pytest.approx(recorded.usage_seconds + pause * len(retimed.jobs))
    assert retimed.usage_seconds == pytest.approx(actual.usage_seconds)
    assert retimed.cost == pytest.approx(actual.cost)


def test_the_pause_between_executions_acts_without_circuit_durations(tmp_path: Path) -> None:
    """By hand: 3 · 10 000 executions of 1 ms and a typical circuit of 0.1 ms after an overhead of 2 s: 35 s a job."""
    changes = ("session.rep_delay=0.001",)
    run(compose(*SMALL), directory=str(tmp_path / "run"))
    actual = run(compose(*SMALL, *changes), directory=str(tmp_path / "actual"))

    retimed, really = columns(tmp_path / "run", changes)[1].retimed, columns(tmp_path / "actual")[0].retimed
    jobs = of(read_journal(tmp_path / "run" / "journal.jsonl").events, JobSubmitted)
    executions = sum(count for job in jobs for count, _ in job.work or ())

    assert retimed.qpu_seconds == pytest.approx(2 * len(retimed.jobs) + 0.0011 * executions)
    assert retimed.qpu_seconds == pytest.approx(really.qpu_seconds)
    assert retimed.cost == pytest.approx(actual.cost)


def test_a_single_job_is_followed_by_the_programs_latency(tmp_path: Path) -> None:
    """Job mode shows no `close()`, and one job no time between two: the session closes 4 s after it ended."""
    single = ("experiment=estimation", "session.latency=4")
    run(compose(*SMALL[:2], *single, "session=job"), directory=str(tmp_path / "run"))
    actual = run(compose(*SMALL[:2], *single), directory=str(tmp_path / "actual"))

    (recorded, retimed) = (column.retimed for column in columns(tmp_path / "run", ["session=premium"]))

    assert len(retimed.jobs) == 1
    assert retimed.usage_seconds == pytest.approx(recorded.usage_seconds + 4)
    assert retimed.usage_seconds == pytest.approx(actual.usage_seconds)


def test_a_shorter_session_would_not_have_finished(recorded: tuple[Path, float, float]) -> None:
    """Jobs behind the end are lost; re-opening would have saved them."""
    _, stopped, reopened = columns(recorded[0], ["session.max_time=40", "session.on_expiry=stop,reopen"])

    assert not stopped.retimed.complete
    assert stopped.retimed.lost > 0
    assert reopened.retimed.complete
    assert reopened.retimed.sessions > 1


def test_the_table_has_a_column_per_combination(recorded: tuple[Path, float, float]) -> None:
    """Commas make columns; choices and settings may be mixed."""
    found = columns(recorded[0], ["session=batch,job", "session.queue_delay.seconds=0,600"])

    rows = {name: values for name, *values in table(found)}
    assert [column.title for column in found] == [
        "as recorded", "batch\nqueue_delay.seconds=0", "batch\nqueue_delay.seconds=600",
        "job\nqueue_delay.seconds=0", "job\nqueue_delay.seconds=600",
    ]  # fmt: skip
    assert rows["mode"] == ["session", "batch", "batch", "job", "job"]
    assert rows["would have finished"] == ["yes"] * 5


def test_choices_of_a_session_keep_what_the_run_was_declared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By pencil: 3 jobs of 1 s and 30 000 executions of 100 + 500 µs each take 57 s, on whatever plan, in any column.

    As in a process that has composed nothing before.
    """
    typed = ("session.overhead=1", "session.rep_delay=0.0005", "session.max_time=20m")
    few = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=2")
    run(compose(*few, *typed, "estimator.default_shots=10000"), directory=str(tmp_path / "run"))
    monkeypatch.setattr(registry, "_stored", {})
    first, *others = columns(tmp_path / "run", ["session=flex,batch,payg"])

    assert first.retimed.qpu_seconds == pytest.approx(57)
    assert [column.retimed.qpu_seconds for column in others] == [first.retimed.qpu_seconds] * 3
    assert [column.session.max_time for column in others] == ["20m"] * 3
    assert [column.session.plan for column in others] == ["flex", "premium", "payg"]


def test_a_run_that_was_stopped_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows the jobs it never came to."""
    run(compose(*SMALL, "session.max_time=30"), directory=str(tmp_path / "run"))

    code = main(["retime", str(tmp_path / "run"), "session.max_time=1h"])

    shown = capsys.readouterr().out
    assert code == 0
    assert columns(tmp_path / "run")[0].stopped
    assert "as far as recorded" in shown
    assert "had not finished" in shown


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A run of three jobs on a real machine, made by hand: times in seconds, as its service told them.

    ::

        job            submitted   turn          QPU
        vqe 0          5           100 to 110    6
        vqe 1          112         112 to 122    6
        result 0       125         125 to 135    6
        session        open 0, active 100, closed 140; charged 43.5 s
    """
    declared = declare(["backend=ibm", "backend.name=ibm_made", "session=payg"])
    jobs = (
        ("vqe", 0, 5.0, 100.0, 110.0),
        ("vqe", 1, 112.0, 112.0, 122.0),
        ("result", 0, 125.0, 125.0, 135.0),
    )
    facts = [started(config=declared.values, schemas=declared.schemas), session(0.0, "open", TOLD)]
    for workload, index, submitted, turn, over in jobs:
        made, ended = (
            event.said() for event in job(index, submitted, turn, over, workload=workload, qpu=6.0)
        )
        del made["after"], made["work"]
        facts += [told("job.submitted", made, qpu_estimate=None, seed=None), told("job.completed", ended)]
    facts += [session(100.0, "active", TOLD), session(140.0, "closed", TOLD, usage_time=43.5)]
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        for event in facts:
            journal.write(told(event.kind, event.said()))
        journal.write(Result(result={"usage_seconds": 43.5, "cost": 69.6}))
        journal.write(RunEnded(status="finished"))
    return tmp_path


def test_a_run_on_a_real_machine_can_be_retimed(real: Path) -> None:
    """By hand: 4 s before each job's QPU time, 2 s and 3 s between jobs, 5 s until the session was closed.

    Without a queue the first job is over at 5 + 10, the others at 15 + 2 + 10 and 27 + 3 + 10. A session is active
    from 5 to 40 + 5; batches and jobs are charged for 3 · 6 s; a second costs 1.60 USD.
    """
    found = {column.session.mode: column.retimed for column in columns(real)[1:]}
    again = columns(real, ["session.plan=payg"])[1].retimed

    assert {mode: (one.complete, one.duration) for mode, one in found.items()} == {
        "batch": (True, 40.0), "job": (True, 40.0)
    }  # fmt: skip
    assert [found[mode].usage_seconds for mode in ("batch", "job")] == [18.0, 18.0]
    assert (again.duration, again.usage_seconds) == (40.0, 40.0)
    assert again.cost == pytest.approx(64.0)


def test_as_recorded_is_what_the_result_says(real: Path) -> None:
    """Nothing is played again: the service charged what it did, waited for the queue, and says so."""
    column = columns(real)[0]
    rows = {name: value for name, value, *_ in table([column])}

    assert (column.retimed.usage_seconds, column.retimed.cost) == (43.5, 69.6)
    assert (column.retimed.duration, column.retimed.queue_seconds, column.retimed.qpu_seconds) == (
        135.0,
        95.0,
        18.0,
    )
    assert (rows["jobs done"], rows["would have finished"], rows["cost"]) == ("3 of 3", "yes", "69.60 USD")


def test_what_a_service_has_not_told_is_not_printed(real: Path) -> None:
    """Killed before the session said when it became active: what was charged until then is not known here."""
    lines = (real / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (real / "journal.jsonl").write_bytes(b"".join(lines[:-4]))

    rows = {name: value for name, value, *_ in table(columns(real)[:1], stopped=True)}

    assert (rows["usage"], rows["cost"], rows["QPU time"]) == ("not told", "not told", "18.0 s")


def test_a_real_machine_has_no_cost_model(real: Path) -> None:
    """What its jobs took was measured; other settings of a model of it would change nothing, or make something up."""
    with pytest.raises(ConfigError, match=r"session\.overhead: jobs of a real machine took what they took"):
        columns(real, ["session.overhead=4"])


def test_what_an_interrupted_run_was_charged_adds_up_from_its_facts(
    recorded: tuple[Path, float, float], tmp_path: Path
) -> None:
    """Without a result: of the first jobs, in a session that was active from their first start to their last end."""
    lines = (recorded[0] / "journal.jsonl").read_bytes().splitlines(keepends=True)
    ends = [place for place, line in enumerate(lines) if b'"kind":"job.completed"' in line]
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[: ends[3] + 1]))
    ended = [json.loads(lines[place]) for place in ends[:4]]

    found = columns(tmp_path)[0].retimed

    assert found.usage_seconds == pytest.approx(ended[-1]["finished"] - ended[0]["started"])
    assert found.cost == pytest.approx(found.usage_seconds * recorded[2] / recorded[1])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer=spsa", "only the session"),
        ("session=batc", "did you mean 'batch'"),
        ("session.max_time=10x", "not a duration"),
        ("session.max_tim=10", "unknown key"),
        ("session.lanes=0", "at least 1"),
        ("session.clock=wall", "re-timing is done on the virtual clock"),
        ("session.clock_scale=60", "acts only with session.clock=wall"),
        ("session.expired_jobs=cancelled", "what lost jobs are called"),
        ("session.queue_delay.sigma=2", "acts only with session.queue_delay.kind=lognormal"),
    ],
)
def test_bad_settings_are_refused(recorded: tuple[Path, float, float], override: str, message: str) -> None:
    """One line that says what to type instead."""
    with pytest.raises(ConfigError, match=message):
        columns(recorded[0], [override])


def test_retime_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory, first."""
    assert main(["retime", "session=batch"]) == 2
    assert main(["retime", str(tmp_path)]) == 2

    assert capsys.readouterr().err.count("error: ") == 2


LEARNS = (
    "backend=fake_manila", "optimizer=spsa", "optimizer.max_evaluations=12", "tracking=off", "run.figures=false",
    "estimator.default_shots=256", "estimator.layer_noise_learning.num_randomizations=8",
    "estimator.layer_noise_learning.shots_per_randomization=256",
    "estimator.layer_noise_learning.layer_pair_depths=[0,8]",
)  # fmt: skip
"""Learning takes some 12 s, other jobs 2 to 3 s each."""

REOPENED = "session.on_expiry=reopen"
SESSION = ("session.mode=session", "session.queue_delay.seconds=0", REOPENED)
ANEW = {
    "one session": (*SESSION, "session.max_time=8h"),
    "short sessions": (*SESSION, "session.max_time=24"),
    "a job each": (*SESSION, "session.max_time=14"),
    "batches": ("session.mode=batch", "session.queue_delay.seconds=5", REOPENED, "session.max_time=30"),
    "job mode": ("session.mode=job", "session.queue_delay.seconds=0"),
}
"""Conditions under which noise is learned once, twice and more often."""


@pytest.mark.usefixtures("workdir")
@pytest.mark.filterwarnings("ignore:session.max_time")
@pytest.mark.parametrize(
    "declared",
    [("estimator=pec",), ("estimator=pea",), ("estimator=level1", "estimator.final=pec")],
    ids=["pec", "pea", "final"],
)
def test_noise_is_learned_in_every_session_that_takes_it(declared: tuple[str, ...]) -> None:
    """The runs themselves: each, under the conditions of every other, is charged what that was, for as many jobs."""
    runs = {name: run(compose(*LEARNS, *declared, *words), directory=name) for name, words in ANEW.items()}
    lived = {name: columns(name)[0].retimed for name in runs}
    learned = {
        name: sum(job.workload == "noise-learner" for job in told.jobs) for name, told in lived.items()
    }

    assert len(set(learned.values())) > 2
    for recorded in ANEW:
        for name, words in ANEW.items():
            told = columns(recorded, words)[1].retimed
            jobs = [(job.workload, job.status) for job in told.jobs]
            assert told.complete
            assert told.usage_seconds == pytest.approx(runs[name].usage_seconds)
            assert told.cost == pytest.approx(runs[name].cost)
            assert jobs == [(job.workload, job.status) for job in lived[name].jobs]
            assert told.sessions == lived[name].sessions
            assert told.qpu_seconds == pytest.approx(lived[name].qpu_seconds)


@pytest.mark.usefixtures("workdir")
def test_what_a_session_learns_is_not_told_where_no_journal_tells_who_takes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rungs say themselves what they take, and two of six take it: under the recorded limits all is told."""
    options = [word for word in LEARNS if not word.startswith("optimizer")]
    run(compose(*options, "experiment=mitigation_ladder", "experiment.at=initial"), directory="run")
    capsys.readouterr()

    main(["retime", "run", "session.max_time=2h,20", "session.on_expiry=reopen"])
    rows = {line.split("  ")[0]: line.split("  ") for line in capsys.readouterr().out.split("\n")}
    told = {name: [cell.strip() for cell in cells[1:] if cell] for name, cells in rows.items()}

    assert told["cost"][0] == told["cost"][1]
    assert told["cost"][2] == told["usage"][2] == told["sessions"][2] == "not known"

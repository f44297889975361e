"""From journal events to MLflow's words, without MLflow."""

from __future__ import annotations

import math

import pytest

from runner import compose, resume, run
from runner.record.events import JobCompleted, JobSubmitted, SessionChanged
from runner.record.journal import Journal, read_journal
from runner.record.log import of
from runner.tracking.presentation import (
    EVALUATION_COLUMNS,
    description,
    key_of,
    parameters,
    table,
    tags,
)
from runner.tracking.translation import Point, Translation
from tests.journals import told
from tests.tracking import made


def translate(journal_path) -> tuple[Translation, list[Point]]:
    """Everything a journal says."""
    run = Translation()
    points = [point for event in read_journal(journal_path).events for point in run.feed(event)]
    return run, points


@pytest.fixture
def finished(tmp_path):
    """The journal of a run of ten evaluations."""
    return made.whole(tmp_path / "run", "sqlite:///x.db", tmp_path / "artifacts", 10) / "journal.jsonl"


def test_every_evaluation_becomes_metrics_at_its_step(finished):
    """Energy, stddev, best and error of evaluation k stand at step k, with the journal's own time."""
    _, points = translate(finished)
    times = {e.index: int(e.t * 1000) for e in read_journal(finished).events if e.kind == "evaluation"}

    for key, value in (
        ("energy/value", made.energy),
        ("evaluation/error", lambda k: made.energy(k) - made.REFERENCE),
    ):
        found = [point for point in points if point.key == key]
        assert [point.step for point in found] == list(range(10))
        assert [point.value for point in found] == [value(k) for k in range(10)]
        assert {point.step: point.timestamp for point in found} == times


def test_the_error_of_the_answer_stands_alone(finished):
    """One value of the answer, as result/error has it, after the last evaluation."""
    _, points = translate(finished)

    (error,) = [point for point in points if point.key == "energy/error"]
    assert (error.step, error.value) == (10, made.energy(9) - made.REFERENCE)


def test_a_pick_has_no_error(tmp_path):
    """A result without an error, as that of a run whose session ended: none under any name but the evaluations' own."""
    journal = made.start(tmp_path / "run", "sqlite:///x.db", tmp_path)
    made.evaluate(journal, range(3))
    result = {
        "energy": made.energy(2),
        "error": None,
        "energy_kind": "pick",
        "reference_energy": made.REFERENCE,
    }
    journal.write(told("result", {"result": result}))
    journal.close()

    _, points = translate(tmp_path / "run" / "journal.jsonl")

    assert [point.step for point in points if point.key == "evaluation/error"] == [0, 1, 2]
    assert {point.key for point in points if "error" in point.key} == {"evaluation/error"}


def test_what_simulation_left_out(tmp_path):
    """How circuits were simulated is a tag, and bounds on what that left out are numbers."""
    journal = made.start(
        tmp_path / "run", "sqlite:///x.db", tmp_path, simulation="Pauli strings, as engine=pauli says"
    )
    journal.write(told("result", {"result": {"truncation": {"error": 0.002, "discarded_weight": 1e-9}}}))
    journal.close()

    run, points = translate(tmp_path / "run" / "journal.jsonl")

    found = {point.key: point.value for point in points if point.key.startswith("truncation/")}
    assert found == {"truncation/error": 0.002, "truncation/discarded_weight": 1e-9}
    assert tags(run)["runner.simulation"] == "Pauli strings, as engine=pauli says"


@pytest.mark.parametrize("mode", ["session", "batch"])
def test_what_a_run_took_is_told_in_all(workdir, mode):
    """Of one that stopped and went on: what all jobs of its journal add up to, and what result.json has apart."""
    small = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=12")
    run(compose(*small, f"session.mode={mode}", "session.max_cost=100"), directory="run")
    result = resume("run", overrides=["session.max_cost=200"])
    events = read_journal("run/journal.jsonl").events
    translation, points = translate("run/journal.jsonl")
    told = {point.key: point.value for point in points}
    qpu = sum(event.qpu_seconds for event in of(events, JobCompleted))
    charged = {
        event.session: event.usage_time for event in of(events, SessionChanged) if event.state == "closed"
    }
    usage = qpu if mode == "batch" else sum(charged.values())
    added_up = {
        "shots": sum(many for event in of(events, JobSubmitted) for many, _ in event.work),
        "qpu_seconds": qpu,
        "usage_seconds": usage,
        "cost": 0.8 * usage,  # the premium plan's price
    }

    assert result.measured_before["shots"] > 0
    for name, value in added_up.items():
        assert told[f"result/{name}"] == pytest.approx(value, rel=1e-12)
        own = told[f"result/{name}"] - told[f"measured_before/{name}"]
        assert own == pytest.approx(getattr(result, name), rel=1e-12)
    assert told["session/qpu_seconds"] == pytest.approx(qpu, rel=1e-12)
    assert f"{usage:.1f} s of usage" in description(translation)


def test_workloads_with_references_of_their_own_have_no_error_by_another(tmp_path):
    """Levels, or points of a curve, are not compared with the run's reference, which is the first one's."""
    journal = made.start(tmp_path / "run", "sqlite:///x.db", tmp_path)
    made.evaluate(journal, range(2), "level 0")
    made.evaluate(journal, range(2), "level 1")
    rows = [{"level": 0, "exact": made.REFERENCE}, {"level": 1, "exact": made.REFERENCE + 1}]
    result = {"energy": -1.0, "error": 0.25, "reference_energy": made.REFERENCE, "table": rows}
    journal.write(told("result", {"result": result}))
    journal.close()

    _, points = translate(tmp_path / "run" / "journal.jsonl")

    assert [(p.workload, p.key, p.value) for p in points if p.key.endswith("y/error")] == [
        (None, "energy/error", 0.25)
    ]
    assert not [point for point in points if point.key == "evaluation/error"]


def test_usage_adds_up(finished):
    """After job k stand the QPU seconds until then, and what the session is charged, here for active time as well."""
    _, points = translate(finished)
    run = Translation()
    times = {"t": 1.0, "mode": "session", "session": "s", "state": "active", "time": 1.0}
    job = {
        "t": 2.0,
        "job": "vqe-0",
        "status": "DONE",
        "queue_seconds": 0.0,
        "workload": "vqe",
        "index": 0,
        "session": "s",
        "started": 1.0,
        "finished": 9.0,
        "qpu_seconds": 2.5,
    }
    run.feed(told("session", times))

    assert [p.value for p in points if p.key == "session/qpu_seconds"] == [2.5 * (k + 1) for k in range(10)]
    charged = [(p.key, p.value) for p in run.feed(told("job.completed", job))]
    assert charged[:2] == [("session/qpu_seconds", 2.5), ("session/usage_seconds", 8.0)]


def test_other_workloads_are_children(tmp_path):
    """Workloads not named like the experiment have runs of their own; the run keeps the best of all."""
    journal = made.start(tmp_path / "run", "sqlite:///x.db", tmp_path)
    made.evaluate(journal, range(3), "cobyla")
    made.evaluate(journal, range(2), "spsa")
    journal.close()

    run, points = translate(tmp_path / "run" / "journal.jsonl")

    assert list(run.children) == ["cobyla", "spsa"]
    assert {point.workload for point in points if point.key == "energy/value"} == {"cobyla", "spsa"}
    assert [p.value for p in points if p.key == "energy/best" and p.workload is None] == [
        made.energy(k) for k in (0, 1, 2, 2, 2)
    ]


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_G11_numbers_that_are_none_are_left_out_and_fail_the_run(tmp_path, bad):
    """MLflow stores ±1.8e308 for an infinity; here the value is missing, a tag says where, the run failed."""
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        journal.write(
            told(
                "run.started",
                {
                    "run_id": "r",
                    "experiment": "vqe",
                    "versions": {},
                    "seed": 1,
                    "threads": 1,
                    "config": {},
                    "overrides": [],
                    "schemas": {},
                },
            )
        )
        event = {"workload": "vqe", "index": 3, "job": "j", "energy": float(bad), "stddev": 0.0, "best": -1.0}
        journal.write(told("evaluation", event))
        journal.write(told("run.ended", {"status": "finished"}))

    run, points = translate(tmp_path / "journal.jsonl")

    assert [point.key for point in points] == ["energy/stddev", "energy/best"]
    assert all(math.isfinite(point.value) for point in points)
    assert run.status == "FAILED"
    assert tags(run)["nonfinite_at"] == "energy/value@3"


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("finished", "FINISHED"),
        ("failed", "FAILED"),
        ("stopped", "KILLED"),
        ("interrupted", "KILLED"),
        (None, "KILLED"),
    ],
)
def test_how_a_run_ended(tmp_path, ending, status):
    """Only a run that finished is FINISHED; one that nothing is known of was killed."""
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        journal.write(told("run.started", {"run_id": "r"}))
        if ending:
            journal.write(told("run.ended", {"status": ending}))

    run, _ = translate(tmp_path / "journal.jsonl")

    assert run.status == status
    assert run.state == (ending or "interrupted")


def test_a_fact_told_twice_counts_once(tmp_path):
    """Evaluations and jobs repeated after a resume do not move any curve."""
    journal = made.start(tmp_path / "run", "sqlite:///x.db", tmp_path)
    made.evaluate(journal, range(3))
    journal.write(told("run.resumed", {"pid": 2}))
    made.evaluate(journal, range(1, 4))
    journal.close()

    run, points = translate(tmp_path / "run" / "journal.jsonl")

    assert [point.step for point in points if point.key == "energy/value"] == [0, 1, 2, 3]
    assert [p.value for p in points if p.key == "session/qpu_seconds"] == [2.5, 5.0, 7.5, 10.0]
    assert len(run.jobs) == len(run.evaluations) == 4


def test_parameters_say_what_was_chosen():
    """A choice's name stands for the choice, nothing is said about unset and technical settings."""
    found = parameters({**made.CONFIG, "tracking": {"uri": "x"}, "run": {"resume": "never"}})

    assert found["hamiltonian"] == "h2"
    assert found["hamiltonian.terms.YZ"] == "0.398"
    assert found["ansatz.gates"] == '["ry", "rz"]'
    assert found["seed"] == "7"
    assert not [key for key in found if key.startswith(("tracking", "run")) or key == "optimizer.tolerance"]


def test_parameters_leave_out_what_takes_no_part():
    """An experiment without an optimizer is not compared by one, nor by its settings."""
    found = parameters(made.CONFIG, ["optimizer", "seed"])

    assert found["hamiltonian"] == "h2"
    assert not [key for key in found if key.startswith(("optimizer", "seed"))]


def test_parameters_fit_any_store():
    """Long values are cut visibly, odd keys mapped without collisions, secrets and NULs gone."""
    found = parameters(
        {"a": "x" * 7000, "t[0]": 1, "t.0": 2, "E(θ)": "a\0b", "backend": {"token": "abcdefgh"}}
    )

    assert len(found["a"]) == 6000
    assert found["a"].endswith("(all of it in config.yaml)")
    assert (found["t.0"], found["t.0_2"], found["E_θ"], found["backend.token"]) == (
        "1",
        "2",
        "a�b",
        "[redacted]",
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("x[0]", "x.0"),
        ("../../etc", "etc"),
        ("a//b", "a/b"),
        ("x/./../y", "x/y"),
        ("/abs", "abs"),
        ("", "unnamed"),
        ("a=b,c", "a_b_c"),
    ],
)
def test_keys(name, key):
    """Names become keys that MLflow takes and that cannot leave their place."""
    assert key_of(name) == key


def test_the_description_answers_the_questions(finished):
    """What ran, what came out, how far from the truth, what the session cost, how to do it again."""
    run, _ = translate(finished)
    text = description(run)

    assert "**vqe**: hamiltonian h2, ansatz efficient_su2, optimizer cobyla" in text
    assert f"| energy | {made.energy(9):.6f} ± 0.01 (" in text
    assert "| reference | -1.250000 |" in text
    assert "10 jobs, 25.0 s of usage" in text
    assert "python -m runner hamiltonian=h2" in text


def test_tables_are_what_the_viewer_reads(finished):
    """Columns and rows, as `mlflow.log_table` writes them, in a reader's order."""
    run, _ = translate(finished)
    found = table([event.said() for event in run.evaluations], EVALUATION_COLUMNS)

    assert found["columns"] == list(EVALUATION_COLUMNS)
    assert found["data"][3] == ["vqe", 3, made.energy(3), 0.01, made.energy(3), "vqe-3"]

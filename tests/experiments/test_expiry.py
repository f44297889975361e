"""What ends or delays a session, seen from experiments that have no optimizer to catch it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import compose, resume, run
from tests.test_run import deterministic, events

CURVE = (
    "experiment=dissociation_curve", "tracking=off", "run.figures=false", "experiment.values=[0.7,0.9]",
    "optimizer=cobyla", "optimizer.max_evaluations=6",
)  # fmt: skip


def test_an_interactive_time_out_is_survived_silently(workdir: Path) -> None:
    """S8, T2: 61 s of classical work make the session inactive; the next job queues, and the run does not notice."""
    overrides = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=6")
    plain = run(compose(*overrides))
    slow = run(compose(*overrides, "session.latency=61", "session.queue_delay.seconds=100"))

    states = [event.state for event in events(slow, "session")]
    waits = [event.queue_seconds for event in events(slow, "job.completed")]
    assert (slow.status, slow.energy) == ("finished", plain.energy)
    assert len(slow.session_ids) == 1
    assert states.count("inactive") == len(waits) == 7
    assert all(wait >= 100 for wait in waits)


@pytest.mark.parametrize("experiment", ["dynamics", "adapt_vqe", "vqd", "qaoa"])
def test_any_experiment_stops_with_its_session_and_goes_on(workdir: Path, experiment: str) -> None:
    """S13: exit code 3 with what is known so far; resumed in further sessions it ends as if never stopped."""
    shrunk = {
        "dynamics": ["hamiltonian.shape=[3]", "experiment.steps=12"],
        "adapt_vqe": [
            "hamiltonian=h2",
            "optimizer=cobyla",
            "gradient=auto",
            "optimizer.max_evaluations=8",
            "experiment.max_operators=1",
        ],
        "vqd": [
            "optimizer=cobyla",
            "optimizer.max_evaluations=5",
            "experiment.starts=1",
            "experiment.levels=2",
        ],
        "qaoa": ["hamiltonian.nodes=4", "optimizer.max_evaluations=8", "ansatz.reps=1"],
    }[experiment]
    declared = (f"experiment={experiment}", "tracking=off", "run.figures=false", *shrunk)
    whole = run(compose(*declared, "session.on_expiry=reopen", "session.max_time=30"))
    stopped = run(compose(*declared, "session.on_expiry=stop", "session.max_time=30"), directory="short")

    assert (stopped.status, stopped.exit_code) == ("stopped", 3)

    again = resume("short")

    assert (again.status, again.exit_code) == ("finished", 0)
    assert again.table == whole.table
    # a session that was closed to measure the result is not used again; its rest is lost
    closed = bool(events(stopped, "reserve"))
    assert closed == (experiment in {"qaoa", "vqd"})
    assert again.session_ids[: len(stopped.session_ids)] == stopped.session_ids
    assert len(whole.session_ids) <= len(again.session_ids) <= len(whole.session_ids) + closed
    assert len(again.session_ids) > 1
    if closed:
        assert (again.energy, again.evaluations, again.shots) == (
            whole.energy,
            whole.evaluations,
            whole.shots,
        )
    else:
        assert deterministic(again.directory) == deterministic(whole.directory)


def test_what_is_known_of_a_curve_survives(workdir: Path) -> None:
    """The points finished before the session ended are in the result's table."""
    finished = run(compose(*CURVE))
    half = int(finished.usage_seconds * 0.8)
    stopped = run(compose(*CURVE, f"session.max_time={half}"))

    assert stopped.status == "stopped"
    assert stopped.table[0] == finished.table[0]
    assert len(stopped.table) == 2

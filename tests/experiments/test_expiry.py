"""What ends or delays a session, seen from experiments that have no optimizer to catch it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from runner import RunResult, compose, resume, run
from runner.run.context import Lab
from tests.journals import plain
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


ADAPT = (
    "experiment=adapt_vqe", "hamiltonian=h2", "optimizer=cobyla", "gradient=auto", "estimator=shots",
    "estimator.default_shots=2000", "optimizer.max_evaluations=6", "experiment.threshold=1e-6",
    "experiment.max_operators=3", "tracking=off", "run.figures=false", "session.on_expiry=stop",
)  # fmt: skip


def reference_energy() -> float:
    """The lowest diagonal entry of H2's dense matrix: no determinant is lower than Hartree and Fock's."""
    hamiltonian = compose(*ADAPT).hamiltonian.build()
    return float(np.diag(hamiltonian.to_matrix()).real.min())


def jobs(result: RunResult) -> dict[str, int]:
    """Workload → how many of its jobs gave results."""
    done = [event.workload for event in events(result, "job.completed") if event.status == "DONE"]
    return {workload: done.count(workload) for workload in ("pool", "adapt", "result")}


@pytest.mark.parametrize(
    ("limit", "status"), [("session.max_time=100", "stopped"), ("optimizer.max_shots=260000", "finished")]
)
def test_an_ansatz_without_an_operator_has_the_energy_of_the_reference(
    workdir: Path, limit: str, status: str
) -> None:
    """The job of the gradients tells it, and leaves too little for an energy of one operator and its measurement."""
    result = run(compose(*ADAPT, limit), directory="run")

    assert jobs(result) == {"pool": 1, "adapt": 0, "result": 0}
    assert (result.status, result.energy_kind, result.parameters) == (status, "measured", [])
    assert result.stop_reason.endswith("no operator was added, so this is the energy of the reference state")
    assert result.exact_energy == pytest.approx(reference_energy(), abs=1e-9)
    assert result.energy is not None
    assert result.stddev is not None
    assert 0 < abs(result.energy - reference_energy()) < 4 * result.stddev


def test_a_layer_that_was_not_begun_leaves_the_energy_of_the_one_before(workdir: Path) -> None:
    """Six sessions end in as many places; each tells what a whole run measured last before that."""
    whole = run(compose(*ADAPT, "session.max_time=2h"))
    measured = [row["energy"] for row in whole.table]
    ends = [event.finished for event in events(whole, "job.completed") if event.workload == "pool"]
    for number, end in enumerate(ends[1:], 1):
        short, enough = (run(compose(*ADAPT, f"session.max_time={round(end) + more}")) for more in (-20, 5))

        # the gradients do not fit, and are not begun; or they do, and an energy with its measurement does not
        assert jobs(short) == {"pool": number, "adapt": 6 * number, "result": number}
        assert jobs(enough) == {"pool": number + 1, "adapt": 6 * number, "result": number}
        assert "too few for the next job" in short.stop_reason
        for result in (short, enough):
            assert (result.status, result.energy_kind) == ("stopped", "measured")
            assert result.energy == measured[number - 1]
            assert len(result.parameters) == number
            assert result.usage_seconds <= round(end) + 5
            again = resume(result.directory)
            assert (again.status, again.table) == ("finished", whole.table)


def test_gradients_that_an_earlier_release_began_are_gone_on_with(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began them where they did not fit; broken after that, the run repeats them and ends where it would have."""
    with monkeypatch.context() as earlier:
        honest = Lab.stream
        earlier.setattr(Lab, "stream", lambda lab, name, **_: honest(lab, name))
        twin = run(compose(*ADAPT, "session.max_time=200"), directory="twin")
    lines = plain("twin").read_bytes().splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if b'"kind":"job.completed"' in line and b'"pool"' in line)
    shutil.copytree("twin", "broken")
    plain("broken").write_bytes(b"".join(lines[: last + 1]))
    for name in ("result.json", "session.json"):
        Path("broken", name).unlink()
    again = resume("broken")

    assert jobs(twin) == {"pool": 2, "adapt": 6, "result": 1}
    assert (again.status, again.energy, again.usage_seconds) == (twin.status, twin.energy, twin.usage_seconds)
    assert plain("broken").read_bytes().count(b"\n") >= len(lines)

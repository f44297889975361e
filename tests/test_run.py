"""A run from declaration to result, in process: what is written, what is believed, what happens when it breaks."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from runner import RunResult, compose, resume, run
from runner.errors import ConfigError, JournalError, ResumeError
from runner.record.journal import Journal, read_journal
from runner.record.ledger import jobs_of
from runner.record.replay import Stop
from runner.run.context import Lab
from runner.run.fork import fork
from tests.journals import plain

SMALL = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=12")
TWO_QUBIT_GROUND_STATE = -0.7029303944595313
"""Lowest eigenvalue of YZ 0.3980, ZI -0.3980, ZZ -0.0113, XX 0.1810."""
KEYS = """
    experiment status energy stddev reference_energy error evaluations iterations parameters stop_reason
    usage_seconds session_ids mlflow_run_id seed wall_seconds versions
"""


def events(result: RunResult, kind: str) -> list[Any]:
    """The events of one kind in a run's journal."""
    return [event for event in read_journal(result.directory / "journal.jsonl").events if event.kind == kind]


def deterministic(path: Path) -> list[dict[str, Any]]:
    """A journal without its wall-clock fields, what names the process, and what a stop that was undone measured."""
    kept = []
    events = read_journal(path / "journal.jsonl").events
    going_on, stop = [], Stop()
    for event in events:
        if (place := stop.undone(event, len(going_on))) is not None:
            del going_on[place:]
        going_on.append(event)
    for event in going_on:
        if event.kind in ("run.started", "run.resumed", "result", "run.ended", "note"):
            continue
        kept.append({"kind": event.kind, **event.said()})
    return kept


def test_the_run_directory_is_complete(workdir: Path) -> None:
    """Everything other tools rely on is there, and nothing outside outputs/."""
    result = run(compose(*SMALL, "run.figures=true"))

    names = {path.name for path in result.directory.iterdir()}
    written = json.loads((result.directory / "result.json").read_text())
    assert {"config.yaml", "journal.jsonl", "session.json", "runner.log", "figures", "result.json"} <= names
    assert set(KEYS.split()) <= set(written)
    assert [path.name for path in workdir.iterdir()] == ["outputs"]
    assert (
        yaml.safe_load((result.directory / "config.yaml").read_text())["optimizer"]["max_evaluations"] == 12
    )
    assert (result.directory / "figures" / "convergence.png").stat().st_size > 10_000
    (result.directory / "report.html").unlink()
    (result.directory / "figures" / "convergence.png").unlink()
    before = (result.directory / "journal.jsonl").read_bytes()

    again = resume(result.directory)  # as after a kill between the last event and the figures

    assert again == result
    assert {path.name for path in result.directory.iterdir()} == names
    assert (result.directory / "figures" / "convergence.png").stat().st_size > 10_000
    assert (result.directory / "journal.jsonl").read_bytes() == before
    with pytest.raises(ConfigError, match="nothing to resume"):
        resume(result.directory)


def test_the_result_is_the_best_evaluation_measured_afresh(workdir: Path) -> None:
    """The lowest of many noisy energies is biased low, so it is not the one reported."""
    result = run(compose(*SMALL))

    evaluations = events(result, "evaluation")
    assert result.status == "finished"
    assert result.evaluations == len(evaluations) == 12
    assert result.energy != min(event.energy for event in evaluations)
    assert result.reference_energy == pytest.approx(TWO_QUBIT_GROUND_STATE)
    assert result.error == pytest.approx(result.energy - TWO_QUBIT_GROUND_STATE)
    assert result.stddev > 0


def test_an_exact_run_finds_the_ground_state(workdir: Path) -> None:
    """The default problem without shot noise, by gradient: the exact energy to a millionth."""
    result = run(
        compose(
            "tracking=off",
            "run.figures=false",
            "estimator=exact",
            "optimizer=l_bfgs_b",
            "gradient=parameter_shift",
        )
    )

    assert result.energy == pytest.approx(TWO_QUBIT_GROUND_STATE, abs=1e-6)
    assert result.stddev == 0


def test_one_session_and_every_job_is_in_it(workdir: Path) -> None:
    """The ledger, the journal and the result agree on the session, its jobs and what they used."""
    result = run(compose(*SMALL))

    session = json.loads((result.directory / "session.json").read_text())
    states = [event.state for event in events(result, "session")]
    assert [entry["id"] for entry in session["sessions"]] == result.session_ids
    assert session["sessions"][0]["status"] == "Closed"
    assert states[0] == "open"
    assert states[-1] == "closed"
    assert len(session["jobs"]) == len(events(result, "job.completed")) == 13  # the last one measures afresh
    assert [session["of_all_jobs"]["session"]] == list(result.session_ids)
    assert [job["id"] for job in jobs_of(session)] == [event.job for event in events(result, "job.completed")]
    assert session["usage_seconds"] == result.usage_seconds > 13 * 2


@pytest.mark.parametrize("mode", ["batch", "job"])
def test_other_modes_give_the_same_numbers(workdir: Path, mode: str) -> None:
    """M1: the same experiment, unchanged; only time and money differ."""
    session = run(compose(*SMALL))
    other = run(compose(*SMALL, f"session={mode}"))

    assert other.energy == session.energy
    assert other.parameters == session.parameters
    assert other.usage_seconds < session.usage_seconds


def test_the_same_declaration_gives_the_same_journal(workdir: Path) -> None:
    """Same config and seed: the same facts, bit for bit, apart from the wall clock."""
    first, second = run(compose(*SMALL)), run(compose(*SMALL))

    assert first.directory != second.directory
    assert deterministic(first.directory) == deterministic(second.directory)


def test_another_seed_gives_other_numbers(workdir: Path) -> None:
    """The seed decides the starting point and the shot noise."""
    assert run(compose(*SMALL)).energy != run(compose(*SMALL, "seed=2")).energy


def cut(directory: Path, keep: int) -> None:
    """Leave a run as if its process had been killed after `keep` events."""
    lines = plain(directory).read_bytes().splitlines(keepends=True)
    (directory / "journal.jsonl").write_bytes(b"".join(lines[:keep]) + lines[keep][:7])


def goes_on(whole: RunResult, every: int, told: Callable[[RunResult], object]) -> None:
    """Cut a finished run after its third event and each so many more: it goes on to the same journal and result.

    Args:
        whole: the run.
        every: events between two cuts.
        told: what of the result is the same.
    """
    broken = Path("broken")
    for keep in range(3, len(deterministic(whole.directory)), every):
        shutil.copytree(whole.directory, broken)
        cut(broken, keep=keep)

        assert told(resume("broken")) == told(whole)
        assert deterministic(broken) == deterministic(whole.directory)
        shutil.rmtree(broken)


@pytest.mark.parametrize(
    "optimizer", ["cobyla", pytest.param("nelder_mead", marks=pytest.mark.nightly), "spsa", "l_bfgs_b"]
)
def test_resume_is_bit_identical(workdir: Path, optimizer: str) -> None:
    """A run cut off anywhere ends as if nothing had happened, and no recorded job is executed again."""
    declared = compose(*SMALL, f"optimizer={optimizer}", "optimizer.max_evaluations=30")
    whole = run(declared, directory="whole")
    broken = run(declared, directory="broken")
    cut(broken.directory, keep=14)
    executed = sum(
        event.kind == "job.completed" for event in read_journal(Path("broken/journal.jsonl")).events
    )

    again = resume("broken")

    assert executed >= 1
    assert deterministic(Path("broken")) == deterministic(Path("whole"))
    assert (again.energy, again.parameters) == (whole.energy, whole.parameters)
    assert Path("broken/session.json").read_text() == Path("whole/session.json").read_text()


def test_a_finished_run_is_not_resumed(workdir: Path) -> None:
    """There is nothing left to do, and the line says so; what only a run can write is written again."""
    whole = run(compose(*SMALL), directory="done")
    session = Path("done/session.json").read_text()

    with pytest.raises(ConfigError, match="resume: done is finished"):
        resume("done")

    Path("done/session.json").unlink()
    again = resume("done")

    assert Path("done/session.json").read_text() == session
    assert (again.energy, again.parameters) == (whole.energy, whole.parameters)
    assert len(events(again, "job.completed")) == 13


def test_a_run_in_progress_is_not_resumed(workdir: Path) -> None:
    """Two writers would ruin the journal."""
    broken = run(compose(*SMALL), directory="busy")
    cut(broken.directory, keep=9)

    with Journal.append_to("busy/journal.jsonl"), pytest.raises(JournalError, match="another process"):
        resume("busy")


def test_a_changed_configuration_is_refused(workdir: Path) -> None:
    """The keys that differ are named."""
    run(compose(*SMALL), directory="changed")
    cut(Path("changed"), keep=9)
    text = Path("changed/config.yaml").read_text().replace("max_evaluations: 12", "max_evaluations: 13")
    Path("changed/config.yaml").write_text(text.replace("default_shots: 1000", "default_shots: 2000"))

    with pytest.raises(
        ResumeError,
        match=r"optimizer\.max_evaluations is 13, the run was started with 12; estimator\.default_shots differs too",
    ):
        resume("changed")


def test_another_machine_is_refused_unless_allowed(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other versions may give other bits; the user decides."""
    run(compose(*SMALL), directory="moved")
    cut(Path("moved"), keep=9)
    monkeypatch.setattr("runner.record.environment.processor", lambda: "another processor")

    with pytest.raises(ResumeError, match="processor is 'another processor' now"):
        resume("moved")

    assert resume("moved", overrides=["run.allow_environment_change=true"]).status == "finished"


def test_a_fork_starts_from_the_best_parameters(workdir: Path) -> None:
    """A new run, differently declared, that begins where the earlier one was best; the earlier one is untouched."""
    first = run(compose(*SMALL), directory="first")
    before = Path("first/journal.jsonl").read_bytes()

    forked = run(fork("first", ["optimizer=nelder_mead", "tracking=off", "optimizer.max_evaluations=5"]))

    started = events(forked, "run.started")[0]
    submitted = events(forked, "job.submitted")[0]
    assert submitted.pubs[0]["values"] == pytest.approx(first.parameters)
    assert started.forked_from == "first"
    assert forked.directory != first.directory
    assert Path("first/journal.jsonl").read_bytes() == before


def test_a_fork_begins_from_what_is_recorded_whoever_declared_it(workdir: Path) -> None:
    """A run of a Python program, changed by hand, forked twice: the exact energies are dense algebra's.

    Two spins: −ZZ − (X₁ + X₂), whose lowest eigenvalue NumPy gives.
    """
    z, x, one = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)
    lowest = np.linalg.eigvalsh(-np.kron(z, z) - np.kron(x, one) - np.kron(one, x))[0]
    words = ("hamiltonian=tfim", "hamiltonian.shape=[2]", "optimizer=cobyla", "estimator=exact", "seed=4")
    config = compose(*words, "optimizer.max_evaluations=30", "tracking=off", "run.figures=false")
    config.session.max_time = 40
    first = run(config, directory="first")

    same = fork("first")
    forked = run(
        fork("first", ["optimizer=spsa", "optimizer.max_evaluations=9", "hydra.run.dir=${optimizer.name}"])
    )
    again = fork("spsa", ["hamiltonian.field=2.0"])

    assert first.reference_energy == forked.reference_energy == pytest.approx(lowest, abs=1e-12)
    assert same.config.session.max_time == 40
    assert (same.config.seed, same.config.tracking.enabled, same.config.optimizer.name) == (
        4,
        False,
        "cobyla",
    )
    assert (again.config.session.max_time, again.config.optimizer.name) == (40, "spsa")
    assert (again.config.hamiltonian.shape, again.config.hamiltonian.field) == ([2], 2.0)
    assert forked.directory == Path("spsa")


def test_a_signal_stops_between_jobs_and_the_run_can_go_on(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: the session is closed, the run resumable, and its end the same as without the interruption."""
    whole = run(compose(*SMALL), directory="whole")
    execute = Lab.execute
    calls = []

    def interrupted(lab: Lab, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return execute(lab, *arguments)

    monkeypatch.setattr(Lab, "execute", interrupted)
    broken = run(compose(*SMALL), directory="broken")
    monkeypatch.setattr(Lab, "execute", execute)

    session = json.loads(Path("broken/session.json").read_text())
    assert (broken.status, broken.exit_code) == ("interrupted", 130)
    assert broken.stop_reason == "SIGINT"
    assert session["sessions"][0]["status"] == "Closed"

    again = resume("broken")

    assert (again.status, again.energy) == ("finished", whole.energy)
    assert Path("broken/session.json").read_text() == Path("whole/session.json").read_text()


def test_an_energy_that_is_no_number_fails_the_run(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN is never a success: the evaluation is named, what came before is kept."""
    execute = Lab.execute
    calls = []

    def spoiled(lab: Lab, *arguments: Any) -> Any:
        calls.append(arguments)
        result = execute(lab, *arguments)
        if len(calls) == 4:
            result[0]["evs"][...] = np.nan
        return result

    monkeypatch.setattr(Lab, "execute", spoiled)
    result = run(compose(*SMALL, "estimator=exact"))

    assert (result.status, result.exit_code) == ("failed", 1)
    assert "evaluation 3 of 'vqe' gave the energy nan" in result.stop_reason
    assert result.evaluations == 4
    assert np.isfinite(result.energy)


def test_an_optimizer_that_throws_fails_the_run(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause is in the result, the traceback in the log, the session closed."""

    def broken(self: Lab, *_: Any) -> Any:
        raise ZeroDivisionError("inside the optimizer")

    monkeypatch.setattr(Lab, "minimize", broken)
    result = run(compose(*SMALL))

    assert (result.status, result.stop_reason) == ("failed", "ZeroDivisionError: inside the optimizer")
    assert "Traceback" in (result.directory / "runner.log").read_text()
    assert events(result, "session")[-1].state == "closed"


def test_not_converging_is_told_and_fails_the_run_where_that_is_asked(workdir: Path) -> None:
    """The minimizer's own criterion decides; a failed run keeps everything that a finished one has."""
    quick = ("tracking=off", "run.figures=false", "estimator=exact", "optimizer=l_bfgs_b")
    whole = run(compose(*quick))
    short = run(compose(*quick, "optimizer.max_evaluations=3"))
    failed = run(compose(*quick, "optimizer.max_evaluations=3", "run.require_convergence=true"))

    assert (whole.status, whole.converged) == ("finished", True)
    assert (short.status, short.converged, short.exit_code) == ("finished", False, 0)
    assert (failed.status, failed.converged, failed.exit_code) == ("failed", False, 1)
    assert failed.stop_reason == "not converged: max_evaluations 3 used up"
    assert (failed.energy, failed.parameters) == (short.energy, short.parameters)
    assert len(events(failed, "evaluation")) == len(events(short, "evaluation")) == 3


def test_a_session_that_ends_early_stops_the_run(workdir: Path) -> None:
    """The loop stops while what it found can be measured before max_time; exit code 3 says that it can go on."""
    result = run(compose("tracking=off", "run.figures=false", "session.max_time=60"), directory="short")

    assert (result.status, result.exit_code) == ("stopped", 3)
    assert "kept for measuring the result" in result.stop_reason
    assert 1 <= result.evaluations <= 3
    assert (result.energy_kind, result.error is None) == ("measured", False)
    assert result.usage_seconds <= 60

    again = resume("short")

    assert again.status == "finished"
    assert len(again.session_ids) > 1
    assert again.session_ids[0] == result.session_ids[0]


def test_reopen_goes_on_in_another_session(workdir: Path) -> None:
    """on_expiry=reopen: nothing is lost, every session is recorded."""
    result = run(compose(*SMALL, "session.max_time=60", "session.on_expiry=reopen"))

    assert result.status == "finished"
    assert result.evaluations == 12
    assert len(result.session_ids) >= 3


def test_fail_is_a_failure(workdir: Path) -> None:
    """on_expiry=fail: the run fails with the session's own words."""
    result = run(
        compose("tracking=off", "run.figures=false", "session.max_time=60", "session.on_expiry=fail")
    )

    assert (result.status, result.exit_code) == ("failed", 1)
    assert result.stop_reason == "session ended: maximum time reached; session.on_expiry=fail"


def test_results_can_be_looked_at(workdir: Path) -> None:
    """The notebook's view: a frozen result, a table, a figure."""
    result = run(compose(*SMALL))

    frame = result.to_frame()
    assert list(frame["index"]) == list(range(12))
    assert frame["best"].is_monotonic_decreasing
    assert result.plot().axes[0].get_ylabel().startswith("energy")
    with pytest.raises(AttributeError):
        result.energy = 0.0  # type: ignore[misc]


def test_a_directory_that_holds_a_run_is_not_overwritten(workdir: Path) -> None:
    """The earlier run is untouched."""
    run(compose(*SMALL), directory="here")
    before = Path("here/journal.jsonl").read_bytes()

    with pytest.raises(ConfigError, match="here holds a run already"):
        run(compose(*SMALL), directory="here")

    assert Path("here/journal.jsonl").read_bytes() == before


def test_nothing_is_created_when_the_parts_do_not_fit(workdir: Path) -> None:
    """Preflight: three-qubit Hamiltonian, two-qubit ansatz."""
    declared = compose(*SMALL, "hamiltonian=pauli", "hamiltonian.terms=[[ZZZ,1.0]]", "ansatz.qubits=2")

    with pytest.raises(ConfigError, match="ansatz"):
        run(declared)

    assert list(workdir.iterdir()) == []

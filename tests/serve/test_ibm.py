"""`backend=ibm`: the same experiment through the real client, against our own server in place of the real one."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit_ibm_runtime import QiskitRuntimeService

from runner.declare.composer import compose
from runner.errors import ConfigError, ResumeError
from runner.record.journal import read_journal
from runner.record.ledger import jobs_of
from runner.run.choice import settled
from runner.run.execution import resume, run
from runner.run.results import RunResult
from runner.whatif.forecast import forecast
from runner.whatif.retime import columns
from tests.journals import told
from tests.serve.serving import environment, thread, variables

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WORDS = (
    "experiment=vqe",
    "optimizer.max_evaluations=6",
    "ansatz.reps=1",
    "tracking=off",
    "run.figures=false",
    "seed=3",
)
MACHINE = ("backend=ibm", "backend.name=local_generic")
DEVICE = ("backend=generic", "backend.num_qubits=3")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server in whose time a job takes milliseconds; the environment leads the client to it."""
    words = (*DEVICE, "session.clock_scale=300", "session.interactive_timeout=3600")
    with (
        thread(tmp_path_factory.mktemp("ibm") / "serve", *words) as (runtime, root),
        environment(variables(root)),
    ):
        yield runtime


@pytest.fixture(scope="module")
def finished(served: Any, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run that went through."""
    return run(compose(*WORDS, *MACHINE), directory=str(tmp_path_factory.mktemp("run") / "run"))


def events(directory: Path, *kinds: str) -> list[Any]:
    """What the journal says."""
    return [event for event in read_journal(directory / "journal.jsonl").events if event.kind in kinds]


def cut(directory: Path, copy: Path, number: int, *, before: bool) -> Path:
    """A copy of a run that was killed before or after the `number`-th submission got into the journal."""
    shutil.copytree(directory, copy)
    lines = (directory / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if '"kind":"job.submitted"' in line]
    kept = lines[: places[number] + (0 if before else 1)]
    (copy / "journal.jsonl").write_text("".join(kept), encoding="utf-8")
    return copy


def submissions(served: Any) -> int:
    """How many jobs the server ever got."""
    return len(served.ledger.entries)


def test_the_run_finishes_and_its_session_is_on_record(served: Any, finished: RunResult) -> None:
    """One session of the service, closed, with its details, its usage and every job in session.json."""
    content = json.loads((finished.directory / "session.json").read_text(encoding="utf-8"))
    (session,) = content["sessions"]

    assert finished.status == "finished"
    assert finished.session_ids == [session["id"]]
    assert session["details"]["backend_name"] == "local_generic"
    assert session["status"] == "Closed"
    assert content["usage_seconds"] == session["details"]["usage_time"] == finished.usage_seconds > 0
    assert {job["id"] for job in jobs_of(content)} <= set(served.ledger.entries)
    assert all(job["qpu_seconds"] > 2 for job in jobs_of(content))
    states = [event.state for event in events(finished.directory, "session")]
    assert states == ["open", "active", "closed"]


def test_job_ids_are_in_the_journal_before_results(finished: RunResult) -> None:
    """Every completion has its submission, with the service's id, before it; tags tell the run and the place."""
    facts = events(finished.directory, "ibm", "job.submitted", "job.completed")
    token = facts[0].token
    seen: set[str] = set()
    for fact in facts:
        if fact.kind == "job.submitted":
            seen.add(fact.job)
            assert fact.tags == [fact.workload, f"{token}-{fact.index}"]
        elif fact.kind == "job.completed":
            assert fact.job in seen
            assert fact.started < fact.finished
    workloads = [fact.workload for fact in facts if fact.kind == "job.submitted"]
    assert workloads.count("vqe") == 1 + (finished.evaluations - 1) / 2  # NFT takes two energies at once
    assert workloads.count("result") in (1, 2)  # to choose, where there are several candidates, and to report


def test_it_can_be_retimed(finished: RunResult) -> None:
    """What was recorded is what result.json says; in every other mode all jobs are done, charged as that mode is."""
    recorded, *others = columns(finished.directory)

    assert (recorded.retimed.usage_seconds, recorded.retimed.cost) == (finished.usage_seconds, finished.cost)
    assert {column.session.mode for column in others} == {"batch", "job"}
    qpu = sum(event.qpu_seconds for event in events(finished.directory, "job.completed"))
    for column in others:
        assert column.retimed.complete
        assert column.retimed.usage_seconds == pytest.approx(qpu)


def test_energies_agree_with_the_run_in_process(finished: RunResult, tmp_path: Path) -> None:
    """Same seed, same start, same device: the first energies differ by shot noise only, here less than 5σ."""
    local = run(compose(*WORDS, *DEVICE), directory=str(tmp_path / "local"))
    one, other = (events(result.directory, "evaluation")[0] for result in (finished, local))

    assert math.isclose(one.stddev, other.stddev, rel_tol=0.2)
    assert abs(one.energy - other.energy) < 5 * math.hypot(one.stddev, other.stddev)
    assert finished.reference_energy == local.reference_energy


def test_a_submitted_job_is_fetched_not_repeated(served: Any, finished: RunResult, tmp_path: Path) -> None:
    """Killed while it waited for its third job: that job's result comes from the service, and so does the fourth's,
    which this "killed" run had submitted; the rest is new.
    """
    broken = cut(finished.directory, tmp_path / "killed", 2, before=False)
    before = submissions(served)
    result = resume(broken)
    ids = [event.job for event in events(broken, "job.submitted")]

    assert result.status == "finished"
    assert ids[:4] == [event.job for event in events(finished.directory, "job.submitted")][:4]
    assert submissions(served) == before + len(ids) - 4
    old, new = (events(path, "evaluation")[2].energy for path in (finished.directory, broken))
    assert old == new


def test_a_job_whose_id_was_lost_is_found_by_its_tag(
    served: Any, finished: RunResult, tmp_path: Path
) -> None:
    """Killed between the service's answer and the journal: the paid job is found, not paid for again."""
    broken = cut(finished.directory, tmp_path / "killed", 2, before=True)
    before = submissions(served)
    resume(broken)
    ids = [event.job for event in events(broken, "job.submitted")]

    assert ids[2] == events(finished.directory, "job.submitted")[2].job
    # the killed one, and the first of the result, which the finished run has submitted under the same tag
    assert submissions(served) == before + len(ids) - 4


def test_a_changed_program_is_not_resumed(served: Any, finished: RunResult, tmp_path: Path) -> None:
    """A job that asks for something else than the recorded one stops the resume and names the job."""
    broken = cut(finished.directory, tmp_path / "killed", 2, before=False)
    journal = broken / "journal.jsonl"
    contents = read_journal(journal)
    from runner.record.journal import Journal

    journal.unlink()
    with Journal.create(journal) as edited:
        for event in contents.events:
            fields = dict(event.said())
            if event.kind == "job.submitted" and event.index == 1:
                fields["digest"] = "0" * 32
            if event.kind != "job.completed" or event.index == 0:
                edited.write(told(event.kind, fields))

    with pytest.raises(ResumeError, match="job 1 of workload 'vqe' differs"):
        resume(broken)


def test_a_session_that_runs_out_stops_the_run_and_another_one_continues_it(
    served: Any, tmp_path: Path
) -> None:
    """`session.on_expiry=stop`: exit code 3; resumed, the run goes on in a second session."""
    words = ("session.max_time=20", "estimator.default_shots=20000")  # one job takes about as long
    stopped = run(compose(*WORDS, *MACHINE, *words), directory=str(tmp_path / "run"))
    again = stopped
    while again.exit_code == 3:
        again = resume(stopped.directory)

    assert stopped.status == "stopped"
    assert again.status == "finished"
    assert len(set(again.session_ids)) > 1


def test_mitigation_means_what_it_means_in_process(served: Any, tmp_path: Path) -> None:
    """Level 1 in the loop and level 2 for the result: energies agree with those of the run in process within 5σ, what
    was raw is told; killed and resumed, the service's raw bits are decoded to the same numbers again.
    """
    words = (
        "estimator=level1",
        "estimator.final=level2",
        "estimator.default_shots=1000",
        "estimator.twirling.num_randomizations=10",
    )
    result = run(compose(*WORDS, *MACHINE, *words), directory=str(tmp_path / "run"))
    local = run(compose(*WORDS, *DEVICE, *words), directory=str(tmp_path / "local"))
    one, other = (events(each.directory, "evaluation")[0] for each in (result, local))
    final, expected = (
        next(event.result[-1] for event in reversed(events(each.directory, "job.completed")))
        for each in (result, local)
    )
    broken = cut(result.directory, tmp_path / "killed", 2, before=False)
    before = submissions(served)
    resume(broken)
    first, again = (
        {event.job: event.result for event in events(path, "job.completed")}
        for path in (result.directory, broken)
    )

    assert (result.status, local.status) == ("finished", "finished")
    assert abs(one.energy - other.energy) < 5 * math.hypot(one.stddev, other.stddev)
    assert 0.3 < one.stddev / other.stddev < 3  # of 10 randomizations: each is known to a quarter
    assert set(final) == set(expected)
    told = json.loads((result.directory / "result.json").read_text(encoding="utf-8"))["mitigation"]
    assert told["setting"].endswith("of the result resilience level 2: readout (TREX), zero-noise "
    "extrapolation from noise × 1, 3, 5, twirled gates")  # fmt: skip
    taken = sum(event.qpu_seconds for event in events(result.directory, "job.completed"))
    assert forecast(compose(*WORDS, *MACHINE, *words)).qpu_seconds == pytest.approx(taken, rel=0.05)
    shared = set(first) & set(again)
    assert len(shared) >= 4
    assert all(repr(first[job]) == repr(again[job]) for job in shared)
    assert submissions(served) == before + len(set(again) - set(first))


def test_a_run_keeps_its_machines_calibration(
    served: Any, finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibrated anew meanwhile, so that Qiskit would take other qubits: the jobs of before are fetched all the same,
    because the circuit is fitted to the calibration that the run keeps; without that it were another circuit.
    """
    kept = json.loads((finished.directory / "calibration.json").read_text(encoding="utf-8"))
    known, forgotten = (cut(finished.directory, tmp_path / name, 2, before=False) for name in "ab")
    (forgotten / "calibration.json").unlink()
    gates = copy.deepcopy(served.device.properties["gates"])
    lowest = min((one for one in gates if len(one["qubits"]) == 2), key=lambda one: error_of(one)["value"])
    for one in gates:
        if set(one["qubits"]) == set(lowest["qubits"]):
            error_of(one)["value"] = 0.4
    monkeypatch.setitem(served.device.properties, "gates", gates)
    before = submissions(served)
    result = resume(known)
    with pytest.raises(ResumeError, match="job 0 of workload 'vqe' differs"):
        resume(forgotten)
    ids = [event.job for event in events(known, "job.submitted")]

    assert kept["backend"] == "local_generic"
    assert result.status == "finished"
    assert ids[:4] == [event.job for event in events(finished.directory, "job.submitted")][:4]
    assert submissions(served) == before + len(ids) - 4


def error_of(gate: dict[str, Any]) -> dict[str, Any]:
    """The fact in a gate's properties that tells how often it fails."""
    return next(fact for fact in gate["parameters"] if fact["name"] == "gate_error")


def test_the_best_machine_of_the_account_is_chosen(tmp_path: Path) -> None:
    """Of two that a server has, the one that is best of their snapshots; the run's jobs go there, and it says why."""
    words = ("backend=best", "optimizer.max_evaluations=2")
    snapshots = ("backend.among=snapshots", "backend.candidates=[fake_manila,fake_belem]")
    devices = ("backend=[fake_manila,fake_belem]", "session.clock=virtual")
    with thread(tmp_path / "serve", *devices) as (_, root), environment(variables(root)):
        result = run(compose(*WORDS, *words), directory=str(tmp_path / "run"))
        with pytest.raises(ConfigError, match="there is no 'ibm_nowhere' among ibmq_belem, ibmq_manila"):
            run(compose(*WORDS, *words, "backend.candidates=[ibm_nowhere]"))
    kept = json.loads((tmp_path / "run" / "calibration.json").read_text(encoding="utf-8"))
    (started,) = events(tmp_path / "run", "run.started")
    _, expected = settled(compose(*WORDS, *words, *snapshots))
    assert expected is not None

    assert result.status == "finished"
    assert events(tmp_path / "run", "job.submitted")[0].backend == started.chosen == kept["backend"]
    assert [(one["name"].replace("ibmq_", "fake_"), one["fidelity"]) for one in kept["candidates"]] == [
        (one.name, pytest.approx(one.fidelity)) for one in expected.candidates
    ]
    assert kept["why"].startswith(f"{started.chosen}: estimated fidelity 0.")


def test_job_mode_has_jobs_but_no_session(served: Any, tmp_path: Path) -> None:
    """`session=job`: every job by itself; what is charged is their sum, and times count on the service's clock."""
    words = ("session=job", "optimizer.max_evaluations=4")
    result = run(compose(*WORDS, *MACHINE, *words), directory=str(tmp_path / "run"))
    completed = events(tmp_path / "run", "job.completed")

    assert result.session_ids == []
    assert all(event.session is None for event in completed)
    assert result.usage_seconds == pytest.approx(sum(event.qpu_seconds for event in completed))

    service = QiskitRuntimeService()
    dates = [service.job(event.job).metrics()["timestamps"] for event in completed]
    first, last = (
        datetime.fromisoformat(dates[place][name]) for place, name in ((0, "created"), (-1, "finished"))
    )
    assert events(tmp_path / "run", "job.submitted")[0].time == 0
    assert columns(tmp_path / "run")[0].retimed.duration == pytest.approx(
        (last - first).total_seconds(), abs=0.01
    )


def test_workloads_run_side_by_side(served: Any, tmp_path: Path) -> None:
    """`experiment=vqe_race`: two optimizers in one session of the service, told apart by their tags."""
    words = ("experiment=vqe_race", "optimizer.max_evaluations=4", *WORDS[2:], *MACHINE)
    result = run(compose(*words), directory=str(tmp_path / "run"))
    submitted = events(tmp_path / "run", "job.submitted")

    assert result.status == "finished"
    assert len(result.session_ids) == 1
    assert {event.workload for event in submitted} == {"cobyla", "nelder_mead", "result"}
    assert all(event.tags[0] == event.workload for event in submitted)


def test_a_forecast_costs_nothing(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`forecast` with a real machine rehearses on its likeness: no session, no job."""
    from runner.__main__ import main

    before = submissions(served), len(served.ledger.sessions)
    assert main(["forecast", *WORDS, *MACHINE]) == 0

    assert capsys.readouterr().out
    assert (submissions(served), len(served.ledger.sessions)) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("estimator=exact",), "estimator: a real machine has no exact expectation values"),
        (("session.lanes=1",), "session.lanes: the real service decides this"),
        (("estimator=level1", "estimator.zne.noise_factors=[1,3]"), "acts with zne_mitigation"),
        (("backend.name=ibm_nowhere",), "no machine 'ibm_nowhere'; choose one of: local_generic"),
    ],
)
def test_what_a_real_machine_cannot_do_is_refused(
    served: Any, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """One line, before anything is created or paid for."""
    before = submissions(served)
    with pytest.raises(ConfigError, match=message):
        run(compose(*WORDS, *MACHINE, *words), directory=str(tmp_path / "run"))

    assert not (tmp_path / "run").exists()
    assert submissions(served) == before


def test_a_run_named_after_the_accounts_token_is_refused(
    served: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Although it looks like nothing; and where it is not declared, no byte of the run holds it."""
    token = "swordfish_of_the_day"
    monkeypatch.setenv("QISKIT_IBM_TOKEN", token)
    words = ("optimizer.max_evaluations=1",)
    with pytest.raises(
        ConfigError, match="name: must not hold the value of the environment variable QISKIT_IBM_TOKEN"
    ):
        run(compose(*WORDS, *MACHINE, *words, f"name={token}"), directory=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    result = run(compose(*WORDS, *MACHINE, *words), directory=str(tmp_path / "run"))
    written = b"".join(path.read_bytes() for path in result.directory.rglob("*") if path.is_file())

    assert result.status == "finished"
    assert token.encode() not in written


def test_without_an_account_the_way_to_one_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token in the environment, none saved: one line that names the client's own two ways."""
    monkeypatch.delenv("QISKIT_IBM_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(ConfigError, match=r"save_account, or set QISKIT_IBM_TOKEN"):
        run(compose(*WORDS, *MACHINE), directory=str(tmp_path / "run"))

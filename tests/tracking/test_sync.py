"""A run comes into MLflow exactly once, however often and however interruptedly it is brought there."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.declare.composer import declare
from runner.errors import ConfigWarning, JournalError
from runner.record import faults
from runner.record.journal import Journal
from runner.record.redaction import protect
from runner.run import execution
from runner.tracking import TrackingConfig, reconcile, sync
from runner.tracking.report import SyncReport
from runner.tracking.store import StoreError
from runner.tracking.sync import RunSync, recorded_config
from tests.journals import told
from tests.tracking import made
from tests.tracking.conftest import Tracked

EVALUATIONS = 20
TRACE = [(k, made.energy(k)) for k in range(EVALUATIONS)]
METRICS = ("energy/value", "energy/stddev", "energy/best", "evaluation/error", "session/qpu_seconds")


@pytest.fixture(autouse=True)
def no_faults():
    """Whatever a test plans to break works again after it."""
    yield
    faults.plan("")


def assert_complete(tracked, directory: Path) -> None:
    """The store holds this run once, with every value of every metric once, and all its files."""
    (run,) = tracked.of(directory)

    assert tracked.history(run, "energy/value") == TRACE
    assert all(len(tracked.history(run, key)) == EVALUATIONS for key in METRICS)
    assert run.info.status == "FINISHED"
    assert run.data.tags["runner.state"] == "finished"
    assert run.data.params["optimizer"] == "cobyla"
    assert tracked.files(run) == {
        "config.yaml", "session.json", "result.json", "jobs.json", "evaluations.json",
        "figures/convergence.png",
    }  # fmt: skip


def test_everything_arrives(tracked, tmp_path, request):
    """Metrics, parameters, tags, tables, description, files and times, under the names people look for."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place)
    report = sync(directory)

    assert_complete(tracked, directory)
    (run,) = tracked.of(directory)
    tags = run.data.tags
    assert (report.state, report.records_unsynced, report.mlflow_run_id) == ("synced", 0, run.info.run_id)
    assert tags["session.id"] == "s-1"
    assert tags["session.state"] == "closed"
    assert tags["session.closed_because"] == "closed by the program"
    assert tags["git.commit"] == "0123abc"
    assert tags["version.qiskit"] == "2.6.2"
    assert tags["mlflow.note.content"].startswith("**vqe**")
    assert run.info.run_name == "h2,cobyla"
    assert run.data.metrics["result/energy"] == made.energy(19)
    shown = {table["path"] for table in json.loads(tags["mlflow.loggedArtifacts"])}
    assert shown == {"jobs.json", "evaluations.json"}


def test_again_changes_nothing(tracked, tmp_path, request):
    """Repeating a sync, even having forgotten that there was one, adds no run and no value."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place)
    first = sync(directory)
    second = sync(directory)
    (directory / "mlflow.json").unlink()
    third = sync(directory)

    assert first == second == third
    assert_complete(tracked, directory)


@pytest.mark.parametrize("point", ["before_request", "after_request"])
def test_interrupted_at_every_request(tracked, tmp_path, request, point):
    """Whichever request fails, or succeeds without its answer arriving, the next sync completes the run."""
    directory = made.whole(tmp_path / request.node.name.strip("[]"), *tracked.place)
    failures = 0
    for k in range(1, 50):
        faults.plan(f"{point}:{k}:eio")
        report = sync(directory)
        if report.state == "synced":
            break
        failures += 1
        assert report.records_unsynced > 0
        assert "nput/output error; later: python -m runner sync" in report.message
        (directory / "mlflow.json").unlink(missing_ok=True)

    assert failures > 5
    assert_complete(tracked, directory)


def test_G14_a_run_brought_into_another_store_while_it_went_on_is_not_left_running(
    tracked, tmp_path, request
):
    """Two lines of its journal at the beginning, three for each evaluation; the next look after its death ends it."""
    directory = tmp_path / request.node.name
    journal = made.start(directory, "sqlite:////nowhere/mlflow.db", tmp_path / "artifacts")
    made.evaluate(journal, range(7))
    report = sync(directory, settings={"uri": tracked.config.uri, "experiment": "while it goes on"})

    (run,) = tracked.of(directory)
    assert run.info.status == "RUNNING"
    assert report.message == (
        "23 records so far: the run goes on, and the rest comes in when it has ended; "
        f"later: python -m runner sync {directory}"
    )
    journal.close()
    (report,) = reconcile(tmp_path)
    (run,) = tracked.of(directory)
    assert (report.state, run.info.status) == ("synced", "KILLED")
    assert tracked.history(run, "energy/value") == TRACE[:7]
    assert tracked.client.get_experiment(run.info.experiment_id).name == "while it goes on"
    assert reconcile(tmp_path) == []


def test_a_killed_run_is_reconciled_then_resumed(tracked, tmp_path, request):
    """G14: a run whose process died is KILLED at the next look; the same run is FINISHED once resumed."""
    directory = tmp_path / request.node.name
    journal = made.start(directory, *tracked.place)
    made.evaluate(journal, range(7))
    sync(directory)

    assert [run.info.status for run in tracked.of(directory)] == ["RUNNING"]
    assert reconcile(tmp_path) == []

    journal.close()
    (report,) = reconcile(tmp_path)

    assert report.state == "synced"
    (run,) = tracked.of(directory)
    assert (run.info.status, run.data.tags["runner.state"]) == ("KILLED", "interrupted")
    assert tracked.history(run, "energy/value") == TRACE[:7]
    assert reconcile(tmp_path) == []

    journal = Journal.append_to(directory / "journal.jsonl")
    journal.write(told("run.resumed", {"pid": 2}))
    made.evaluate(journal, range(7, EVALUATIONS))
    made.end(directory, journal, EVALUATIONS)
    sync(directory)

    assert_complete(tracked, directory)


@pytest.mark.parametrize("before", [False, True], ids=["for the first time", "its first end is there"])
def test_a_run_that_went_on_after_its_end_and_was_killed_tells_nothing_of_that_end(
    tracked: Tracked, tmp_path: Path, request: pytest.FixtureRequest, before: bool
) -> None:
    """No file and no number of a stop after 7 evaluations, when 12 are made; what they took is 2.5 s each, 30 s.

    A store keeps what it was told: it is followed by a value that is none. The end that counts is told at last.
    """
    directory = tmp_path / request.node.name.translate(str.maketrans(" []", "___"))
    journal = made.start(directory, *tracked.place)
    made.evaluate(journal, range(7))
    made.end(directory, journal, 7, "stopped")
    (directory / "report.html").write_text("stopped")
    if before:
        sync(directory)
        (run,) = tracked.of(directory)

        assert run.data.metrics["result/usage_seconds"] == 7 * 2.5
        assert {"result.json", "report.html", "figures/convergence.png"} < tracked.files(run)

    journal = Journal.append_to(directory / "journal.jsonl")
    journal.write(told("run.resumed", {"pid": 2, "leaves": True}))
    made.evaluate(journal, range(7, 12))
    journal.close()
    sync(directory)

    (run,) = tracked.of(directory)
    numbers = {key: value for key, value in run.data.metrics.items() if not key.startswith("session/")}
    assert tracked.files(run) == {"config.yaml", "jobs.json", "evaluations.json"}
    assert {key for key, value in numbers.items() if math.isfinite(value)} == {
        "energy/value", "energy/stddev", "energy/best", *(["evaluation/error"] if before else []),
    }  # fmt: skip
    assert any(key.startswith("result/") for key in numbers) is before
    assert run.data.metrics["session/qpu_seconds"] == 30
    assert (run.info.status, run.data.tags["runner.state"]) == ("KILLED", "interrupted")
    assert "had ended and went on" in run.data.tags["mlflow.note.content"]

    journal = Journal.append_to(directory / "journal.jsonl")
    journal.write(told("run.resumed", {"pid": 3, "leaves": True}))
    made.evaluate(journal, range(12, EVALUATIONS))
    made.end(directory, journal, EVALUATIONS)
    (directory / "report.html").unlink()
    sync(directory)

    assert_complete(tracked, directory)
    (run,) = tracked.of(directory)
    assert run.data.metrics["result/usage_seconds"] == EVALUATIONS * 2.5
    assert run.data.metrics["energy/error"] == pytest.approx(made.energy(EVALUATIONS - 1) - made.REFERENCE)
    assert "went on" not in run.data.tags["mlflow.note.content"]


def test_where_all_jobs_of_a_killed_run_are(
    tracked: Tracked, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of more jobs than a table shows, the description names a file that is there: the journal, not session.json."""
    directory = tmp_path / request.node.name
    journal = made.start(directory, *tracked.place)
    made.evaluate(journal, range(21))
    journal.close()
    sync(directory)

    (run,) = tracked.of(directory)
    note = run.data.tags["mlflow.note.content"]
    assert "jobs.json shows the first and the last 10 of 21 jobs; all are in journal.jsonl" in note
    assert not (directory / "session.json").exists()


def test_a_new_run_in_an_old_place_is_another_run(tracked, tmp_path, request):
    """Two runs whose directories have the same name are two runs."""
    directory = made.whole(tmp_path / "one" / request.node.name, *tracked.place)
    other = made.whole(tmp_path / "two" / request.node.name, *tracked.place)

    assert sync(directory).mlflow_run_id != sync(other).mlflow_run_id


def test_a_store_on_this_machine_shows_a_runs_own_files(
    tracked: Tracked, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A file without secrets lies on the disk once; one with a secret is copied without it, and stays as it is."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place)
    files = {"report.html": "<p>sesame-opens-it</p>", "session.json": "{}", "runner.log": "a line"}
    for name, text in files.items():
        (directory / name).write_text(text)
    sync(directory)
    (run,) = tracked.of(directory)
    shown = Path(tracked.client.download_artifacts(run.info.run_id, ""))
    assert {name: (shown / name).samefile(directory / name) for name in files} == {
        "report.html": True, "session.json": True, "runner.log": False,
    }  # fmt: skip

    protect("sesame-opens-it")
    (directory / "runner.log").write_text("a line more")
    sync(directory)

    assert "sesame" not in (shown / "report.html").read_text()
    assert (directory / "report.html").read_text() == files["report.html"]
    assert not list(shown.rglob(".*"))


def test_a_lost_store_is_filled_again(tmp_path, empty_store):
    """Another store, or one that was deleted, gets the whole run again."""
    empty_store(tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    directory = made.whole(tmp_path / "run", uri, tmp_path / "artifacts")
    first = sync(directory)
    elsewhere = TrackingConfig(uri=f"sqlite:///{tmp_path}/other/mlflow.db", artifacts=str(tmp_path / "other"))
    second = sync(directory, elsewhere)

    assert first.state == second.state == "synced"
    for database in (tmp_path / "mlflow.db", tmp_path / "other" / "mlflow.db"):
        with sqlite3.connect(database) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM metrics WHERE key = 'energy/value'"
            ).fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        assert (count, mode) == (EVALUATIONS, "wal")


def stored(database: Path) -> list[tuple[str, int]]:
    """(status, values of energy/value) of every run of a database."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT status, (SELECT count(*) FROM metrics"
            " WHERE metrics.run_uuid = runs.run_uuid AND key = 'energy/value') FROM runs"
        ).fetchall()


def test_a_run_is_once_in_every_store_it_was_brought_into(
    tmp_path: Path, empty_store: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by `tracking.uri`, broken off at requests, and recorded before in its own store, which stays its own."""
    home, other = tmp_path / "home.db", tmp_path / "other.db"
    empty_store(home)
    empty_store(other)
    directory = made.whole(tmp_path / "run", f"sqlite:///{home}", tmp_path / "artifacts")
    assert main(["sync", str(directory)]) == 0
    named = ["sync", str(directory), f"tracking.uri=sqlite:///{other}", f"tracking.artifacts={tmp_path}/more"]
    for k in (1, 3, 5, 7):
        faults.plan(f"after_request:{k}:eio")
        assert main(named) == 4
    faults.plan("")
    assert main(named) == main(named) == main(["sync", str(directory)]) == 0

    assert stored(home) == stored(other) == [("FINISHED", EVALUATIONS)]
    stores = {json.loads(file.read_text())["uri"]: file.name for file in directory.glob("mlflow*.json")}
    assert sorted(stores) == [f"sqlite:///{home}", f"sqlite:///{other}"]
    assert stores[f"sqlite:///{home}"] == "mlflow.json"
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{directory}: synced"
    assert said[1].endswith(f"later: python -m runner {' '.join(named)}")
    assert said[-2] == f"{directory}: synced in sqlite:///{other}"


def test_a_store_restored_from_a_copy_gets_what_it_lacks(
    tmp_path: Path, empty_store: Callable[[Path], None]
) -> None:
    """The copy, made by SQLite's own backup, has seven of twenty evaluations and says that the run goes on."""
    home = tmp_path / "home.db"
    empty_store(home)
    directory = tmp_path / "run"
    journal = made.start(directory, f"sqlite:///{home}", tmp_path / "artifacts")
    made.evaluate(journal, range(7))
    sync(directory)
    with contextlib.closing(sqlite3.connect(home)) as store, sqlite3.connect(tmp_path / "copy.db") as copy:
        store.backup(copy)
        made.evaluate(journal, range(7, EVALUATIONS))
        made.end(directory, journal, EVALUATIONS)
        assert sync(directory).state == "synced"
        copy.backup(store)

    assert stored(home) == [("RUNNING", 7)]
    assert sync(directory).state == "synced"
    assert stored(home) == [("FINISHED", EVALUATIONS)]


def test_a_database_that_refuses_is_told_in_its_own_words(
    tmp_path: Path, empty_store: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """One line, and no traceback of MLflow's around it."""
    home = tmp_path / "home.db"
    empty_store(home)
    with contextlib.closing(sqlite3.connect(home)) as store:
        store.execute("CREATE TRIGGER no BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'nobody may'); END")
    directory = made.whole(tmp_path / "run", f"sqlite:///{home}", tmp_path / "artifacts", 2)
    assert main(["sync", str(directory)]) == 4
    said = capfd.readouterr()

    assert said.out.startswith(
        f"{directory}: 11 records unsynced: (sqlite3.IntegrityError) nobody may; later: "
    )
    assert "Traceback" not in said.err


def test_a_sweep_goes_to_another_store_whole(tmp_path: Path, empty_store: Callable[[Path], None]) -> None:
    """Its runs and their parent, once, however often; what it knows of its own store is not touched."""
    home, other = tmp_path / "home.db", tmp_path / "other.db"
    empty_store(home)
    empty_store(other)
    for number in range(2):
        directory = tmp_path / "sweep" / str(number)
        made.whole(directory, f"sqlite:///{home}", tmp_path / "a", 3, run_id=f"{number}", parent="sweep 0")
    sync(tmp_path / "sweep")
    for _ in range(2):
        report = sync(tmp_path / "sweep", settings={"uri": f"sqlite:///{other}"})

        assert (report.state, report.uri) == ("synced", f"sqlite:///{other}")
        assert sorted(stored(other)) == sorted(stored(home)) == [("FINISHED", 0), *[("FINISHED", 3)] * 2]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tracking.uri=./x", "tracking.uri: must start with one of sqlite"),
        ("tracking.timeout=3", "tracking.timeout"),
        ("tracing.uri=sqlite:///x.db", "tracing.uri"),
    ],
)
def test_what_sync_does_not_take_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, said: str
) -> None:
    """A setting it would have to ignore, or an address that is none, before anything is uploaded."""
    directory = made.whole(tmp_path / "run", f"sqlite:///{tmp_path}/x.db", tmp_path / "artifacts", 3)

    assert main(["sync", str(directory), word]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert not list(directory.glob("mlflow*.json"))


def test_sweeps_and_workloads_are_parents_and_children(tracked, tmp_path, request):
    """Runs of a sweep hang below one parent run, workloads below their run, repeated or not."""
    name = request.node.name
    for number in range(2):
        directory = tmp_path / name / str(number)
        journal = made.start(directory, *tracked.place, run_id=f"{name}-{number}", parent=name)
        made.evaluate(journal, range(3), "cobyla")
        made.evaluate(journal, range(3), "spsa")
        made.end(directory, journal, 3)
        sync(directory)
        (directory / "mlflow.json").unlink()
        sync(directory)

    (parent,) = tracked.runs(f"attributes.run_name = '{name}'")
    runs = tracked.runs(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert len(runs) == 2
    for run in runs:
        children = tracked.runs(f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
        assert sorted(child.info.run_name for child in children) == ["cobyla", "spsa"]
        assert {child.info.status for child in children} == {"FINISHED"}
        for child in children:
            assert tracked.history(child, "energy/value") == TRACE[:3]


def test_long_traces_go_in_batches(tracked, tmp_path, request):
    """More values than MLflow takes in one request arrive all the same."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place, evaluations=700)
    sync(directory)
    (run,) = tracked.of(directory)

    assert tracked.history(run, "energy/value") == [(k, made.energy(k)) for k in range(700)]


def test_a_long_run_goes_in_pieces_that_are_broken_off(
    tracked: Tracked, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a request fails, what follows goes on from there: every value once, and few of them held."""
    monkeypatch.setattr(sys.modules[RunSync.__module__], "BATCH", 100)
    directory = made.whole(tmp_path / request.node.name, *tracked.place, evaluations=40)
    upload = RunSync(directory, tracked.config)
    broken = 0
    for _ in range(40):
        faults.plan("after_request:4:eio")  # after a run is found again, one piece or two
        try:
            upload.advance()
        except StoreError as error:
            upload.failed(error)
            broken += 1
            assert (
                len(upload._waiting) < 100 + 40
            )  # one event, the result, tells the error of each evaluation
        else:
            break
    faults.plan("")
    upload.finish()
    (run,) = tracked.of(directory)

    assert broken > 3
    assert tracked.history(run, "energy/value") == [(k, made.energy(k)) for k in range(40)]
    assert tracked.history(run, "session/clock_seconds") == [(k, 3.0 * k + 2.5) for k in range(40)]
    assert len(tracked.history(run, "evaluation/error")) == 40


def test_a_run_that_is_deleted_while_it_goes_up_is_brought_in_whole(
    tracked: Tracked, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """It is deleted in MLflow after some pieces, and the store fails once: the new one begins at the first value."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place, evaluations=700)
    upload = RunSync(directory, tracked.config)
    faults.plan("after_request:7:eio")
    with pytest.raises(StoreError):
        upload.advance()
    faults.plan("")
    (half,) = tracked.of(directory)
    tracked.client.delete_run(half.info.run_id)
    upload.failed(StoreError("gone"))
    upload.finish()
    (run,) = tracked.of(directory)

    assert 0 < len(tracked.history(half, "energy/value")) < 700
    assert run.info.run_id != half.info.run_id
    assert tracked.history(run, "energy/value") == [(k, made.energy(k)) for k in range(700)]


def test_G15_secrets_stay_out_of_the_store(tracked, tmp_path, request):
    """K9: a canary in config, overrides, tags, reasons, results and files is nowhere in the store's bytes."""
    canary = "CaNaRy0123456789abcdefghijklmnopqrstuvwxyz_-"
    protect(canary)
    directory = tmp_path / request.node.name
    journal = made.start(
        directory, *tracked.place,
        config={"backend": {"token": canary, "instance": f"crn:v1:{canary}"}, "list": [canary]},
        overrides=[f"+backend.token={canary}"], name=f"token={canary}", commit=canary, versions={"x": canary},
    )  # fmt: skip
    journal.write(told("session", made.session("closed", 1.0, f"Bearer {canary}")))
    made.end(directory, journal, 1)
    (directory / "report.html").write_text(f"<a href='https://me:{canary}@host'>{canary}</a>")
    (directory / "session.json").write_text(json.dumps({"token": canary}))
    sync(directory)

    store = Path(tracked.place[1]).parent
    written = [path for path in [*store.rglob("*"), directory / "mlflow.json"] if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if canary.encode() in path.read_bytes()]


def test_only_files_of_the_run_are_uploaded(tracked, tmp_path, request):
    """K11: a link out of the run directory is not followed."""
    (tmp_path / "private.txt").write_text("mine")
    directory = made.whole(tmp_path / request.node.name, *tracked.place)
    (directory / "figures" / "stolen.txt").symlink_to(tmp_path / "private.txt")
    (directory / "figures" / "folder").symlink_to(tmp_path)
    sync(directory)

    assert_complete(tracked, directory)


def test_odd_names_are_no_problem(tracked, tmp_path, request):
    """K11: quotes, slashes and path tricks in names end up as text, never as a path."""
    odd = "../../'; DROP TABLE runs; --\0<script>"
    directory = tmp_path / request.node.name
    journal = made.start(directory, *tracked.place, name=odd, config={"../x": {odd: 1}})
    made.evaluate(journal, range(2), odd)
    made.end(directory, journal, 2)

    assert sync(directory).state == "synced"
    (run,) = tracked.of(directory)
    assert "DROP TABLE" in run.info.run_name
    assert not [path for path in tmp_path.iterdir() if path != directory]


def test_nothing_lies_about(tmp_path):
    """Only the store, its artifacts and the run directory are written, wherever the sync is called from."""
    before = set(os.listdir())
    directory = made.whole(tmp_path / "run", f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts", 2)
    sync(directory)

    assert set(os.listdir()) == before
    assert {path.name.partition(".db-")[0] for path in tmp_path.iterdir()} == {
        "run", "mlflow.db", ".mlflow.db.lock", "artifacts", "mlflow",
    }  # fmt: skip


def test_directories_without_a_run_are_refused(tmp_path):
    """One line, no files."""
    with pytest.raises(JournalError, match="holds no journal"):
        sync(tmp_path, TrackingConfig())

    assert list(tmp_path.iterdir()) == []


def test_an_absent_server_costs_nothing_and_says_so(tmp_path):
    """A refused connection is told in one line with what to do later."""
    directory = made.whole(tmp_path / "run", "http://127.0.0.1:9", tmp_path / "artifacts")
    report = sync(directory)

    assert report.state == "offline"
    assert report.mlflow_run_id is None
    assert report.message.startswith("65 records unsynced: http://127.0.0.1:9 does not answer")
    assert "\n" not in report.message


def test_the_store_is_found_from_another_folder(tmp_path, monkeypatch, empty_store):
    """A relative address means the folder the run was started in, also later and from elsewhere."""
    empty_store(tmp_path / "outputs" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    directory = made.whole(tmp_path / "run", "sqlite:///outputs/mlflow.db", Path("outputs/artifacts"), 2)
    sync(directory)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert recorded_config(directory).uri == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    assert sync(directory).state == "synced"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_R5_a_run_takes_at_most_200_kilobytes(
    workdir: Path, tracked: Tracked, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run of the README with figures, report and MLflow's files, a file with two names counted once."""
    words = ["experiment=vqe", "tracking=off", "hydra.run.dir=run"]
    result = execution.run(declare(words))
    assert (result.status, result.evaluations) == ("finished", 351)
    report = sync("run", settings=vars(tracked.config))
    assert report.state == "synced"
    shown = Path(tracked.config.artifacts) / str(report.mlflow_run_id)
    files = [path for top in (Path("run"), shown) for path in top.rglob("*") if path.is_file()]
    sizes = {path.stat().st_ino: path.stat().st_size for path in files}

    assert {"journal.jsonl.gz", "report.html", "convergence.png", "jobs.json"} <= {
        path.name for path in files
    }
    assert sum(sizes.values()) <= 200_000
    assert main(["resume", "run"]) == 2
    assert "is finished; there is nothing to resume" in capsys.readouterr().err
    assert main(["list", "."]) == 0
    assert "finished" in capsys.readouterr().out
    assert Path("run/journal.jsonl.gz").is_file()
    assert sync("run").state == "synced"


def test_a_damaged_directory_keeps_none_of_the_others_from_being_uploaded(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three holds no journal; the first and the third are reached."""
    reached: list[str] = []

    def stand_in(directory: str, **_: object) -> SyncReport:
        if directory == "b":
            raise JournalError("b holds no journal.jsonl")
        reached.append(directory)
        return SyncReport(state="synced")

    monkeypatch.setattr("runner.tracking.sync", stand_in)
    for name in "abc":
        Path(name).mkdir()
    assert main(["sync", "a", "b", "c"]) == JournalError.exit_code
    assert reached == ["a", "c"]
    assert "error: b holds no journal.jsonl" in capsys.readouterr().err


def damage(directory: Path, number: int) -> None:
    """Change one byte of a line, from 1, of a run's journal."""
    path = directory / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b"kind", b"kinD", 1)
    path.write_bytes(b"".join(lines))


def test_of_a_damaged_journal_what_is_intact_arrives_and_that_is_told(tracked, tmp_path, request):
    """By its lines: start, session, then three for each evaluation; the 12th is damaged, and three come before."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place)
    damage(directory, 12)
    with pytest.warns(ConfigWarning, match=r"line 12 is damaged; the 11 events before it are intact"):
        sync(directory)

    (run,) = tracked.of(directory)
    assert tracked.history(run, "energy/value") == TRACE[:3]
    assert "result/energy" not in run.data.metrics
    assert (run.info.status, run.data.tags["runner.state"]) == ("KILLED", "damaged")
    assert run.data.tags["mlflow.note.content"].startswith("The journal is damaged: line 12")
    assert tracked.files(run) == {"config.yaml", "jobs.json", "evaluations.json"}


def test_a_journal_that_cannot_be_read_is_refused_and_keeps_no_other_of_its_sweep_away(
    tracked, tmp_path, request
):
    """Nothing of it was brought in, and it was called synced."""
    sweep = tmp_path / request.node.name
    runs = [made.whole(sweep / str(number), *tracked.place) for number in range(3)]
    damage(runs[1], 1)
    with pytest.raises(JournalError, match=r"1/journal.jsonl cannot be brought in: line 1 is damaged"):
        sync(runs[1])
    report = sync(sweep)

    assert [len(tracked.of(directory)) for directory in runs] == [1, 0, 1]
    assert (report.state, report.records_unsynced) == ("partial", 1)
    assert "is not a journal, or its first line is damaged" in report.message
    (runs[1] / "journal.jsonl").write_bytes(b"")
    with pytest.raises(JournalError, match="was cut off before anything was recorded"):
        sync(runs[1])
    assert sync(sweep).state == "synced"


def test_a_run_of_which_nothing_can_be_read_is_not_left_running(tracked, tmp_path, request):
    """G14: it was uploaded while it went on, was killed, and its first line is damaged."""
    directory = tmp_path / request.node.name
    uri, artifacts = tracked.place
    with made.start(directory, *tracked.place) as journal:
        made.evaluate(journal, range(3))
        upload = RunSync(directory, TrackingConfig(uri=uri, artifacts=str(artifacts)), live=True)
        upload.advance()
    (before,) = tracked.of(directory)
    damage(directory, 1)
    with pytest.raises(JournalError, match="line 1 is damaged"):
        sync(directory)

    after = tracked.client.get_run(before.info.run_id)
    assert (before.info.status, after.info.status) == ("RUNNING", "KILLED")
    assert after.data.tags["runner.state"] == "damaged"


def test_a_result_that_is_not_the_journals_does_not_arrive(tracked, tmp_path, request):
    """Somebody has changed the file."""
    directory = made.whole(tmp_path / request.node.name, *tracked.place)
    result = json.loads((directory / "result.json").read_text())
    (directory / "result.json").write_text(json.dumps({**result, "energy": -9.0}))
    with pytest.warns(ConfigWarning, match=r"result.json is damaged \(energy is -9.0, "):
        sync(directory)

    (run,) = tracked.of(directory)
    assert "result.json" not in tracked.files(run)
    assert run.data.metrics["result/energy"] == made.energy(19)


def test_two_ends_of_one_beginning_are_not_mixed(tracked, tmp_path, request):
    """A copy that went on tells more; what it was copied from cannot say anything else then, and nothing changes."""
    directory = tmp_path / request.node.name
    journal = made.start(directory, *tracked.place)
    made.evaluate(journal, range(8))
    journal.close()
    copy = tmp_path / "copy" / request.node.name
    shutil.copytree(directory, copy)
    for place, count in ((copy, EVALUATIONS), (directory, 10)):
        with Journal.append_to(place / "journal.jsonl") as journal:
            made.evaluate(journal, range(8, count))
            made.end(place, journal, count)
    assert sync(copy).state == "synced"
    assert_complete(tracked, copy)
    report = sync(directory)

    lines = len((copy / "journal.jsonl").read_bytes().splitlines())
    assert (report.state, report.records_unsynced) == (
        "offline",
        len((directory / "journal.jsonl").read_bytes().splitlines()),
    )
    assert f"from a journal of {lines} lines that this one does not begin with" in report.message
    assert_complete(tracked, copy)


def test_a_journal_that_was_mended_and_gone_on_with_arrives_whole(tracked, tmp_path, request):
    """All of its 20 evaluations, those too that were uploaded before in other lines."""
    directory = tmp_path / request.node.name
    journal = made.start(directory, *tracked.place)
    made.evaluate(journal, range(8))
    journal.write(told("run.interrupted", reason="SIGINT"))
    for _ in range(5):
        journal.write(told("note", level="warning", text="made longer"))
    journal.close()
    sync(directory)
    damage(directory, 12)
    with Journal.append_to(directory / "journal.jsonl") as journal:
        made.evaluate(journal, range(3, EVALUATIONS))
        made.end(directory, journal, EVALUATIONS)
    sync(directory)

    (run,) = tracked.of(directory)
    assert dict(tracked.history(run, "energy/value")) == dict(TRACE)
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("first", ["takes over", "wrote before"])
def test_two_copies_that_go_on_at_once_are_not_mixed(tracked, tmp_path, request, first):
    """One of them has the MLflow run, with its own numbers alone; the other is told, and its journal has its own."""
    ours, theirs = copies(tmp_path, request.node.name, tracked.place)
    one = RunSync(ours, tracked.config, live=True)
    one.advance()
    if first == "wrote before":
        go_on(ours, 1.0)
        one.advance()
        with pytest.raises(StoreError, match="from a journal of 27 lines that this one does not begin with"):
            RunSync(theirs, tracked.config, live=True).advance()
        winner, loser, has = one, theirs, ours
    else:
        other = RunSync(theirs, tracked.config, live=True)
        other.advance()
        go_on(ours, 1.0)
        for _ in range(2):  # it stays so
            with pytest.raises(StoreError, match="a copy of this run goes on, too, and has taken over"):
                one.advance()
        winner, loser, has = other, ours, theirs
    go_on(has, 2.0)
    winner.advance()
    go_on(loser, 3.0)
    assert sync(loser).state == "offline"
    winner.finish()

    (run,) = tracked.of(has)
    told = [value for _, value in tracked.history(run, "energy/value") if value >= 1.0]
    assert told == ([1.0, 2.0] if has == ours else [2.0])
    assert "does not begin with" in sync(loser).message


def test_lines_that_a_power_cut_cost_are_brought_in_anew(tracked, tmp_path, request):
    """The store has a line more than the disk kept: the same directory goes on, and its MLflow run with it."""
    directory, _ = copies(tmp_path, request.node.name, tracked.place)
    kept = (directory / "journal.jsonl").read_bytes()
    go_on(directory, 1.0)
    RunSync(directory, tracked.config, live=True).advance()
    (directory / "journal.jsonl").write_bytes(kept)
    go_on(directory, 2.0)

    assert sync(directory).state == "synced"
    (run,) = tracked.of(directory)
    assert run.data.metrics["energy/value"] == 2.0


def copies(folder, name, place):
    """The directory of a run of eight evaluations that nobody writes, brought into the store, and a copy of it."""
    ours, theirs = folder / name, folder / "copy" / name
    journal = made.start(ours, *place)
    made.evaluate(journal, range(8))
    journal.close()
    sync(ours)
    shutil.copytree(ours, theirs)
    return ours, theirs


def go_on(directory, energy):
    """One evaluation more, of an energy that no other has."""
    with Journal.append_to(directory / "journal.jsonl") as journal:
        count = sum(1 for event in journal.contents.events if event.kind == "evaluation")
        facts = {"workload": "vqe", "index": count, "energy": energy, "stddev": 0.01, "best": -1.0}
        journal.write(told("evaluation", facts))

"""The uploader's process: it accompanies a run, survives its death, and is never waited for in vain."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time

import pytest

from runner.tracking import TrackingConfig, sync
from runner.tracking.report import UploadState
from tests.faults.proxy import FaultyProxy
from tests.tracking import made
from tests.tracking.apart import carry_out

TRACE = [(k, made.energy(k)) for k in range(20)]


def wait_until(condition, seconds: float = 60.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def test_a_run_is_in_the_store_when_it_ends(tmp_path, empty_store):
    """The id is known during the run, finish waits for everything, and the process is gone."""
    empty_store(tmp_path / "mlflow.db")
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=str(tmp_path / "artifacts"))
    directory = tmp_path / "run"
    journal = made.start(directory, config.uri, tmp_path / "artifacts")
    with config.build(directory) as uploader:
        made.evaluate(journal, range(20))
        run_id = uploader.run_id()
        made.end(directory, journal, 20)
        report = uploader.finish()

    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        runs = store.execute("SELECT run_uuid, status FROM runs").fetchall()
        trace = store.execute("SELECT step, value FROM metrics WHERE key = 'energy/value'").fetchall()
    assert (report.state, report.mlflow_run_id, report.message) == ("synced", run_id, "")
    assert runs == [(run_id, "FINISHED")]
    assert sorted(trace) == TRACE
    assert not (directory / "runner.log").exists()


def test_tracking_can_be_off(tmp_path):
    """No process, no file, no waiting."""
    with TrackingConfig(enabled=False).build(tmp_path) as uploader:
        assert uploader.run_id() is None
        assert uploader.finish().state == "off"

    assert list(tmp_path.iterdir()) == []


def test_G14_the_end_of_a_run_that_is_not_tracked_reaches_the_store_it_was_brought_into(
    tmp_path, empty_store
):
    """`sync` while it went on, then its end: the same that a run with tracking off does leads to FINISHED."""
    empty_store(tmp_path / "mlflow.db")
    place = (f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts")
    directory = tmp_path / "run"
    journal = made.start(directory, *place)
    made.evaluate(journal, range(10))
    assert sync(directory).state == "partial"

    def stored() -> tuple[str, int]:
        with sqlite3.connect(tmp_path / "mlflow.db") as store:
            return store.execute(
                "SELECT status, (SELECT count(*) FROM metrics WHERE key = 'energy/value') FROM runs"
            ).fetchone()

    assert stored() == ("RUNNING", 10)
    state = UploadState.load(directory)
    (directory / "mlflow.json").rename(
        directory / "mlflow-0.json"
    )  # that of a store which is not the run's own
    assert state.phase == "uploading"
    with TrackingConfig(enabled=False).build() as uploader:
        uploader.start(directory)
        made.evaluate(journal, range(10, 20))
        made.end(directory, journal, 20)
        assert uploader.finish().state == "off"

    wait_until(lambda: stored() == ("FINISHED", 20))


def test_G14_a_killed_run_does_not_stay_running(tmp_path, empty_store):
    """After kill -9 of the run its uploader brings in what the journal holds, marks the run KILLED and goes."""
    empty_store(tmp_path / "mlflow.db")
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=str(tmp_path / "artifacts"))
    directory = tmp_path / "run"
    assert carry_out("killed", directory, config.uri, config.artifacts) == -signal.SIGKILL
    wait_until(lambda: UploadState.load(directory).phase == "synced")

    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("KILLED",)]
        trace = store.execute("SELECT step, value FROM metrics WHERE key = 'energy/value'").fetchall()
    assert sorted(trace) == TRACE


def test_a_killed_uploader_is_told(tmp_path, empty_store):
    """Kill -9 of it while the run goes on: no line says that it goes on, and what the line says brings it in."""
    empty_store(tmp_path / "mlflow.db")
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=str(tmp_path / "artifacts"))
    directory = tmp_path / "run"
    journal = made.start(directory, config.uri, tmp_path / "artifacts")
    with config.build(directory) as uploader:
        made.evaluate(journal, range(10))
        assert uploader.run_id() is not None
        os.kill(UploadState.load(directory).uploader, signal.SIGKILL)
        made.evaluate(journal, range(10, 20))
        made.end(directory, journal, 20)
        report = uploader.finish()

    assert report.state == "partial"
    assert report.records_unsynced >= 65 - 32
    assert report.message == (
        f"{report.records_unsynced} records unsynced: the process that uploaded them was killed (signal 9); "
        f"later: python -m runner sync {directory}"
    )
    assert sync(directory).state == "synced"
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]


@pytest.mark.parametrize("mode", ["down", pytest.param("error", marks=pytest.mark.nightly), "hole"])
def test_G4_a_server_that_is_not_there_is_not_waited_for(tmp_path, mode):
    """Absent, broken or silent: the end of the run takes a small share of its time, and says what is missing."""
    directory = tmp_path / "run"
    with FaultyProxy(0, mode) as proxy:
        config = TrackingConfig(uri=proxy.uri, artifacts=str(tmp_path / "artifacts"))
        journal = made.start(directory, proxy.uri, tmp_path / "artifacts")
        with config.build(directory) as uploader:
            made.evaluate(journal, range(20))
            wait_until(lambda: proxy.requests > 0 or UploadState.load(directory).message)
            began = time.monotonic()
            assert uploader.run_id() is None
            made.end(directory, journal, 20)
            report = uploader.finish()
            waited = time.monotonic() - began

    assert report.state in {"offline", "partial"}
    assert report.records_unsynced == 65
    assert report.message.startswith("65 records unsynced: ")
    assert report.message.endswith(f"python -m runner sync {directory}")
    assert waited < config.timeout / 4  # not a speed: it did not sit out the time-out for healthy stores


def test_G5_four_processes_meet_at_a_fresh_store(tmp_path):
    """Four cold starts on one new database: four runs, no value lost, the database intact (naive: one of them)."""
    assert carry_out("meet", tmp_path, "25", "4") == 0


@pytest.mark.nightly
@pytest.mark.parametrize("repeat", range(20))
def test_G5_eight_processes_meet_twenty_times(tmp_path, repeat):
    """The same with 500 values each, twenty times."""
    assert carry_out("meet", tmp_path, "125", "8") == 0


def test_a_run_that_is_refused_leaves_no_process(tmp_path):
    """Warmed up for a run that never came: the process is gone and nothing was written."""
    config = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=str(tmp_path / "artifacts"))
    with config.build() as uploader:
        process = uploader._process

        assert process is not None
        assert process.poll() is None

    assert process.returncode is not None
    assert list(tmp_path.iterdir()) == []


def test_an_uploader_that_died_does_not_disturb_the_run(tmp_path, monkeypatch):
    """Killed before it was told where the run is: the run goes on to its end, which closes the pipe once more."""
    monkeypatch.setattr(sys, "executable", "/bin/true")
    uploader = TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db").build()
    with uploader:
        assert uploader._process is not None
        uploader._process.wait()
        uploader.start(tmp_path)
        assert uploader.run_id() is None

    assert uploader._process.stdin.closed

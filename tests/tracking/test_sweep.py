"""A sweep's uploader: one process, all runs, one parent."""

from __future__ import annotations

import json
import os

from runner.tracking import SweepUploader, TrackingConfig, parent, sync
from runner.tracking.report import UploadState
from runner.tracking.sweep import SweepSync, follow_sweep
from tests.tracking import made

TRACE = [(k, made.energy(k)) for k in range(5)]


def test_runs_of_a_sweep_arrive_together(tracked, tmp_path, request):
    """Runs that appear one after the other, also one that was killed, hang below one parent, each once."""
    sweep = tmp_path / request.node.name
    sweep.mkdir()
    read, write = os.pipe()
    os.write(write, f"{json.dumps(tracked.config.__dict__)}\n{sweep}\nfinish\n".encode())
    parent = {"parent": f"{sweep.name} 1"}
    upload = SweepSync(sweep, tracked.config)
    journal = made.start(sweep / "0", *tracked.place, run_id=f"{sweep.name}-0", **parent)
    made.evaluate(journal, range(5))
    upload.advance()
    made.end(sweep / "0", journal, 5)
    killed = made.start(sweep / "1", *tracked.place, run_id=f"{sweep.name}-1", **parent)
    made.evaluate(killed, range(5))
    killed.close()
    upload.advance()
    upload.close()
    with open(read, "rb", buffering=0) as control:
        report = follow_sweep(control)
    os.close(write)

    (top,) = tracked.runs(f"attributes.run_name = '{sweep.name}'")
    runs = tracked.runs(f"tags.`mlflow.parentRunId` = '{top.info.run_id}'")
    assert report.state == "synced"
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
    assert [tracked.history(run, "energy/value") for run in runs] == [TRACE, TRACE]
    assert sync(sweep, tracked.config).state == "synced"
    assert len(tracked.runs(f"tags.`mlflow.parentRunId` = '{top.info.run_id}'")) == 2


def test_files_written_after_the_end_are_not_forgotten(tracked, tmp_path, request):
    """A report that was drawn after a run had been uploaded is there at the end of the sweep."""
    sweep = tmp_path / request.node.name
    made.whole(sweep / "0", *tracked.place, 3, run_id=request.node.name)
    upload = SweepSync(sweep, tracked.config)
    upload.advance(last=True)
    (sweep / "0" / "report.html").write_text("<h1>late</h1>")
    os.utime(sweep / "0" / "report.html", (2e9, 2e9))
    upload.advance(last=True)
    upload.close()

    (run,) = tracked.runs(f"tags.`runner.directory` = '{request.node.name}'")
    assert "report.html" in tracked.files(run)
    assert run.info.status == "FINISHED"


def test_an_absent_server_is_told_once(tmp_path):
    """All runs' records are counted in one line with one command to bring them in later."""
    config = TrackingConfig(uri="http://127.0.0.1:9", timeout=10.0)
    for number in range(2):
        made.whole(tmp_path / str(number), config.uri, tmp_path / "artifacts", 3)
    with SweepUploader(tmp_path, config) as uploader:
        report = uploader.finish()

    assert report.records_unsynced == 2 * 14
    assert report.message.endswith(f"later: python -m runner sync {tmp_path}")


def test_the_parent_shows_what_was_swept_and_what_came_out(tracked, tmp_path, request):
    """Swept keys as parameters, the best run by its distance (from the table, by eye), and the table itself."""
    sweep = tmp_path / request.node.name
    for number in range(2):
        made.whole(
            sweep / str(number), *tracked.place, 3, run_id=f"{sweep.name}-{number}", parent=f"{sweep.name} 1"
        )
    (sweep / "sweep.csv").write_text(
        "number,run,optimizer,seed,status,energy,error,directory,mlflow_run_id\n"
        "0,a,nft,1,finished,-1.1,0.15,0,\n"
        "1,b,spsa,1,finished,-1.3,-0.05,1,\n"
    )

    sync(sweep, tracked.config)

    (top,) = tracked.runs(f"attributes.run_name = '{sweep.name}'")
    assert top.data.params == {"optimizer": "nft, spsa", "seed": "1"}
    assert top.data.tags["sweep.best_run"] == "1: b"
    assert (top.data.metrics["sweep/best"], top.data.metrics["sweep/best_energy"]) == (0.05, -1.3)
    assert "runs.json" in tracked.files(top)
    assert UploadState.load(sweep).run_id == top.info.run_id


def test_no_run_is_counted_in_a_state_that_it_has_left(tracked, tmp_path, request):
    """One of two that had stopped went on and finished, then the other did: the counts are the table's, by eye."""
    sweep = tmp_path / request.node.name
    made.whole(sweep / "0", *tracked.place, 3, run_id=f"{sweep.name}-0", parent=f"{sweep.name} 1")
    counts = []
    for states in (("stopped", "stopped"), ("finished", "stopped"), ("finished", "finished")):
        rows = [f"{number},a,1,{state},-1.1,0.15,0,\n" for number, state in enumerate(states)]
        (sweep / "sweep.csv").write_text(
            "".join(["number,run,seed,status,energy,error,directory,mlflow_run_id\n", *rows])
        )
        sync(sweep, tracked.config)
        (top,) = tracked.runs(f"attributes.run_name = '{sweep.name}'")
        counts.append(tuple(top.data.metrics.get(f"sweep/{state}") for state in ("finished", "stopped")))

    assert counts == [(None, 2), (1, 1), (2, 0)]


def test_no_run_of_a_sweep_wins_by_its_noise():
    """By hand: of −1.30 and −1.24 measured, the second is nearer to −1.25 without noise: 0.01 against 0.02."""
    lucky = {"status": "finished", "error": "-0.05", "exact_energy": "-1.23", "reference_energy": "-1.25"}
    better = {"status": "finished", "error": "0.10", "exact_energy": "-1.24", "reference_energy": "-1.25"}

    assert [row for _, row in parent._judged([lucky, better])] == [better, lucky]
    assert next(row for _, row in parent._judged([lucky, {**better, "exact_energy": ""}])) is lucky


def test_what_rounding_leaves_of_zero_is_no_number_of_a_sweeps_page(tmp_path):
    """By hand: 3e-17 is 0 where 6e-14 may be left, and itself where a run does not tell; the file stays as it is."""
    text = "number,run,seed,status,energy,error,rounding\n0,a,1,finished,3e-17,3e-17,6e-14\n1,b,2,finished,3e-17,,\n"
    (tmp_path / "sweep.csv").write_text(text)

    rows = parent._rows(tmp_path)

    assert [(row["energy"], row["error"]) for row in rows] == [("0.0", "0.0"), ("3e-17", "")]
    assert not any("rounding" in row for row in rows)
    assert (tmp_path / "sweep.csv").read_text() == text

"""G17: the journals of every release so far, read, refused, or carried on to the same end."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from runner import resume
from runner.__main__ import main
from runner.errors import RunnerError
from runner.record.environment import versions
from runner.record.journal import read_journal, result_at_end
from runner.record.ledger import jobs_of
from runner.record.replay import RESULTS
from runner.runtime.job import RuntimeJob
from runner.tracking import TrackingConfig, sync
from tests.faults import trial

HERE = Path(__file__).parent
CORPUS = sorted(path.parent for path in HERE.glob("*/*/journal.jsonl"))
NAMES = [f"{path.parent.name}/{path.name}" for path in CORPUS]
OF_THE_PROCESS = ("wall_seconds", "mlflow_run_id", "versions")
MEASURED = ("energy", "stddev", "error", "parameters", "stop_reason", "usage_seconds", "cost", "table")
"""What later releases measure in another way than 0.1.0, which took the lowest evaluation and measured it once."""
COUNTED = {"sampling": ("evaluations",)}
"""What later releases count otherwise: the energies that an optimizer asks for, of which there are none."""


_MEASURED = "comes from an earlier release, which measured results in another way; start it again"
REFUSED = {
    "0.1.0/batch": _MEASURED,
    "0.1.0/noisy": _MEASURED,
    # L-BFGS-B takes steps with other last bits on another processor, and a gradient is charged as what it takes now
    "0.1.0/exact_gradient": "differs from the (journal|recorded one)",
}
"""Runs that this release does not go on with, and what it says: all others have to end as they did."""


def unfinished(entry: Path, target: Path) -> bool:
    """Copy a run as it was just before it wrote its result; True if every job it needs is in its journal."""
    target.mkdir(parents=True)
    shutil.copy(entry / "config.yaml", target)
    lines = (entry / "journal.jsonl").read_bytes().splitlines(keepends=True)
    events = read_journal(entry / "journal.jsonl").events
    complete = events[-1].said().get("status") == "finished"
    kept = next(n for n, event in enumerate(events) if event.kind == "result") if complete else len(lines)
    (target / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
    return complete


def agree(found: Any, expected: Any, tolerance: float) -> bool:
    """The same numbers in the same places; a later release may say more."""
    if isinstance(expected, dict):
        return found.keys() >= expected.keys() and all(
            agree(found[k], v, tolerance) for k, v in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(lambda a, b: agree(a, b, tolerance), found, expected))
    if isinstance(expected, float) and tolerance:
        return math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    return bool(found == expected)


def read(file: Path, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A JSON file without some keys."""
    return {key: value for key, value in json.loads(file.read_text()).items() if key not in without}


@pytest.mark.parametrize("entry", CORPUS, ids=NAMES)
def test_G17_it_goes_on_to_the_same_end(entry: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every evaluation is replayed to the bit, and none that is recorded executed; the result is measured anew.

    With other packages it may be refused instead, and must be where the release measured its result already.
    """
    target = workdir / entry.name
    complete = unfinished(entry, target)
    recorded = set(trial.done_jobs(target))
    monkeypatch.setattr(RuntimeJob, "__init__", RuntimeJob.__init__)  # put back afterwards
    trial.note_executions(workdir / "executed")
    refusal = None
    try:
        result = resume(target, overrides=["run.allow_environment_change=true"])
        refusal = result.stop_reason if result.status == "failed" else None
    except RunnerError as error:
        refusal = str(error)
    if refusal is not None and (why := REFUSED.get("/".join(entry.parts[-2:]))):
        assert re.search(why, refusal)
        assert "\n" not in refusal
        return
    if refusal is not None:
        assert versions() != read(entry / "result.json")["versions"], refusal
        assert "\n" not in refusal
        pytest.skip(f"refused with other packages: {refusal}")

    executed = trial.executions(workdir / "executed")
    # what is computed here may differ in the last bits on another processor
    tolerance = 0.0 if complete else 1e-9
    assert result.status == "finished"
    assert not recorded & set(executed)
    assert bool(executed) != complete
    without = OF_THE_PROCESS + MEASURED + COUNTED.get(entry.name, ())
    assert agree(read(target / "result.json", without), read(entry / "result.json", without), tolerance)
    found, expected = (recorded_jobs(place / "session.json") for place in (target, entry))
    minimizing = {key: job for key, job in found.items() if key[0] != RESULTS}
    assert agree(minimizing, {key: expected[key] for key in minimizing}, tolerance)


def recorded_jobs(file: Path) -> dict[tuple[str, int], Any]:
    """The job ledger by workload and index."""
    return {(job["workload"], job["index"]): job for job in jobs_of(read(file))}


def test_G17_another_machine_is_told_in_one_line(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The corpus names no processor of this world: the first difference, what to do, and nothing written."""
    for entry in CORPUS:
        target = workdir / entry.parent.name / entry.name
        unfinished(entry, target)
        before = {path.name: path.read_bytes() for path in target.iterdir()}

        assert main(["resume", str(target)]) == 2

        (line,) = capsys.readouterr().err.splitlines()
        assert re.match(r"error: \S+ is .* now and was .*run\.allow_environment_change=true", line), line
        after = {
            path.name: path.read_bytes() for path in target.iterdir() if path.name != "journal.jsonl.dropped"
        }
        assert {**before, "journal.jsonl": b""} == {**after, "journal.jsonl": b""}
        assert before["journal.jsonl"].startswith(after["journal.jsonl"])


def test_G17_it_can_be_read_anywhere(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Listed, compared and put under another mode, whatever is installed, and not changed by it."""
    for release in {entry.parent for entry in CORPUS}:
        shutil.copytree(release, workdir / "outputs" / "runs", dirs_exist_ok=True)
    runs = sorted(path for path in (workdir / "outputs" / "runs").iterdir())
    for path in runs:  # the results are of unbroken runs, and a broken journal may end with its own
        told = result_at_end(path / "journal.jsonl")
        if told is not None and told["status"] != read(path / "result.json")["status"]:
            (path / "result.json").unlink()
    before = [(path / "journal.jsonl").read_bytes() for path in runs]

    assert main(["list"]) == 0
    assert main(["compare", *map(str, runs)]) == 0
    for path in runs:
        assert main(["retime", str(path), "session=batch"]) == 0

    told = capsys.readouterr()
    assert all(
        re.match(r"warning: .* was cut off while being written", line) for line in told.err.splitlines()
    )
    assert all(path.name in told.out for path in runs)
    assert [(path / "journal.jsonl").read_bytes() for path in runs] == before


@pytest.mark.nightly
@pytest.mark.parametrize("entry", CORPUS, ids=NAMES)
def test_G17_it_can_be_drawn_and_brought_into_mlflow(entry: Path, workdir: Path) -> None:
    """A report of its own, and one run in the store with every evaluation that it holds."""
    target = workdir / entry.name
    shutil.copytree(entry, target)
    events = read_journal(target / "journal.jsonl").events
    evaluations = sum(event.kind == "evaluation" for event in events)

    assert main(["report", str(target)]) == 0
    report = sync(target, TrackingConfig(uri=f"sqlite:///{workdir}/mlflow.db", artifacts=str(workdir / "a")))

    assert report.state == "synced"
    assert (target / "report.html").stat().st_size > 10_000
    ((_, status, _),) = trial.stored(workdir / "mlflow.db", entry.name)
    with contextlib.closing(sqlite3.connect(workdir / "mlflow.db")) as store:
        values = store.execute("SELECT count(*) FROM metrics WHERE key = 'energy/value'").fetchone()
    assert values == (evaluations,)
    ended = events[-1].said().get("status")
    assert status == {"finished": "FINISHED", "failed": "FAILED"}.get(ended, "KILLED")

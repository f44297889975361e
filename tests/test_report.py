"""report.html stands alone, escapes what it shows, and can be made again from the journal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run
from runner.__main__ import main
from runner.journal import Journal, read_journal
from runner.report import CAPTIONS, read_table, run_page, sweep_page
from tests.journals import evaluation, job, session, started

ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with everything drawn."""
    directory = tmp_path_factory.mktemp("report") / "run"
    run(compose("tracking=off", "optimizer.max_evaluations=5", "ansatz.reps=1"), directory=str(directory))
    return directory


def page(directory: Path) -> str:
    """The text of a report."""
    return (directory / "report.html").read_text(encoding="utf-8")


def test_a_run_writes_its_report(finished: Path) -> None:
    """Result, figures, session, jobs and configuration are on one page."""
    text = page(finished)

    for word in (
        "finished",
        "energy",
        "exact",
        "usage",
        "USD",
        "closed by close()",
        "optimizer:",
        "Jobs (6)",
    ):
        assert word in text
    for name in ("convergence.png", "timeline.png", "energy_against_usage.png", "circuit.png"):
        assert CAPTIONS[name] in text


def test_the_report_needs_nothing_else(finished: Path) -> None:
    """No address, no script, no file beside it: it can be mailed."""
    text = page(finished)

    assert not re.search(r"(?:src|href)=\"(?!data:image/png;base64,)", text)
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "<script" not in text


def test_the_circuits_are_in_the_journal(finished: Path) -> None:
    """Both circuits can be had again, as text that is no program."""
    problem = next(
        event for event in read_journal(finished / "journal.jsonl").events if event["kind"] == "problem"
    )

    declared = problem["circuits"]["declared"]
    assert declared["qasm"].startswith("OPENQASM 3")
    assert declared["depth"] > 1
    assert declared["two_qubit_gates"] == 1


def test_a_report_is_made_again_from_the_journal(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`report DIR` needs no more than the journal."""
    (finished / "report.html").unlink()
    (finished / "figures" / "timeline.png").unlink()

    code = main(["report", str(finished)])

    assert code == 0
    assert capsys.readouterr().out.strip() == str(finished / "report.html")
    assert CAPTIONS["timeline.png"] in page(finished)


def test_what_a_run_is_called_cannot_become_markup(tmp_path: Path) -> None:
    """Names, reasons, overrides, tables and configuration are text."""
    result: dict[str, Any] = {
        "status": "failed", "stop_reason": ATTACK, "energy": None, "reference_energy": None, "error": None,
        "stddev": None, "usage_seconds": 1.0, "cost": 1.0, "evaluations": 0, "iterations": 0,
        "table": [{ATTACK: ATTACK}],
    }  # fmt: skip
    events = [
        started(name=ATTACK, overrides=[ATTACK], config={"hamiltonian": {"name": ATTACK}}, commit=ATTACK),
        session(0, "open", ATTACK),
        *job(0, 0, 0, 1, workload=ATTACK),
        {"kind": "result", "result": result},
    ]

    text = run_page(events, tmp_path)

    assert ATTACK not in text
    assert text.count("&lt;script&gt;") > 8


def test_a_run_without_a_result_has_a_report_too(tmp_path: Path) -> None:
    """What was killed says that it is unfinished."""
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        for event in [started(), session(0, "open", "opened"), *job(0, 0, 0, 5), evaluation(0, -1.0, -1.0)]:
            journal.write(event["kind"], {key: event[key] for key in event.keys() - {"kind", "t"}})

    assert main(["report", str(tmp_path)]) == 0

    assert "unfinished" in page(tmp_path)
    assert (tmp_path / "figures" / "convergence.png").is_file()


def test_a_sweep_has_a_report(tmp_path: Path) -> None:
    """The overview and every run's row, numbers as numbers."""
    (tmp_path / "sweep.csv").write_text(
        f"run,status,energy,usage_seconds\na,finished,-1.25,60\n{ATTACK},failed,,\n", encoding="utf-8"
    )

    written = sweep_page(tmp_path).read_text(encoding="utf-8")

    assert read_table(tmp_path / "sweep.csv")[0] == {
        "run": "a", "status": "finished", "energy": -1.25, "usage_seconds": 60,
    }  # fmt: skip
    assert "2 runs, 1 finished" in written
    assert "−1.25" in written
    assert ATTACK not in written
    assert CAPTIONS["sweep.png"] in written


def test_report_without_a_directory_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line and exit code 2."""
    assert main(["report"]) == 2
    assert main(["report", str(tmp_path)]) == 2

    assert capsys.readouterr().err.count("error: ") == 2

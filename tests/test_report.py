"""report.html stands alone, escapes what it shows, and can be made again from the journal."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run
from runner.__main__ import main
from runner.display.words import row_without_residue
from runner.record.events import ProblemPosed, Result
from runner.record.journal import Journal, read_journal
from runner.record.log import first
from runner.review.figures.sweep import SweepAxes
from runner.review.report import CAPTIONS, _table, read_table, run_page, sweep_page
from tests.journals import evaluation, job, session, started

ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with everything drawn."""
    directory = tmp_path_factory.mktemp("report") / "run"
    words = ("tracking=off", "optimizer=cobyla", "optimizer.max_evaluations=5", "ansatz.reps=1")
    run(compose(*words), directory=str(directory))
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

    assert not re.search(r"(?:src|href)=\"(?!data:image/webp;base64,)", text)
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "<script" not in text


def test_the_circuits_are_in_the_journal(finished: Path) -> None:
    """Both circuits can be had again, as text that is no program."""
    problem = first(read_journal(finished / "journal.jsonl").events, ProblemPosed)

    assert problem is not None
    declared = problem.circuits["declared"]
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
        Result(result=result),
    ]

    text = run_page(events, tmp_path)

    assert ATTACK not in text
    assert text.count("&lt;script&gt;") > 8


def test_a_run_without_a_result_has_a_report_too(tmp_path: Path) -> None:
    """What was killed says that it is unfinished."""
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        for event in [started(), session(0, "open", "opened"), *job(0, 0, 0, 5), evaluation(0, -1.0, -1.0)]:
            journal.write(event)

    assert main(["report", str(tmp_path)]) == 0

    assert "unfinished" in page(tmp_path)
    assert (tmp_path / "figures" / "convergence.png").is_file()


def test_a_sweep_has_a_report(tmp_path: Path) -> None:
    """The overview and every run's row, numbers as numbers."""
    (tmp_path / "sweep.csv").write_text(
        f"run,status,energy,usage_seconds\na,finished,-1.25,60\n{ATTACK},failed,,\n", encoding="utf-8"
    )
    (tmp_path / "sweep.json").write_text('{"overrides": ["seed=1,2"], "schemas": {"hamiltonian": "pauli"}}')

    written = sweep_page(tmp_path).read_text(encoding="utf-8")

    assert read_table(tmp_path / "sweep.csv")[0] == {
        "run": "a", "status": "finished", "energy": -1.25, "usage_seconds": 60,
    }  # fmt: skip
    assert "2 runs, 1 finished" in written
    assert "−1.25" in written
    assert ATTACK not in written
    assert CAPTIONS["sweep.png"] in written
    assert "<pre>python -m runner -m seed=1,2</pre>" in written


def test_a_sweeps_table_is_no_wider_than_it_has_to_be(tmp_path: Path) -> None:
    """What all runs have in common is said once, and a run's name not beside what it is made of."""
    lines = ["run,optimizer,seed,status,energy,energy_kind,exit_code"]
    lines += [f"optimizer=nft;seed={seed},nft,{seed},finished,{-seed - 0.5},measured,0" for seed in (1, 2)]
    (tmp_path / "sweep.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    written = sweep_page(tmp_path).read_text(encoding="utf-8")

    assert "In all runs: optimizer nft, energy kind measured." in written
    assert re.findall(r"<th[^>]*>(.*?)</th>", written) == ["seed", "status", "energy"]
    assert re.findall(r'<td data-name="energy" class="n">(.*?)</td>', written) == ["−1.5", "−2.5"]


def test_exact_values_have_no_standard_error_on_a_page(tmp_path: Path) -> None:
    """Neither a column of zeros, nor a zero beside what shots measured, nor one in what all runs share."""
    mixed, exact = tmp_path / "mixed", tmp_path / "exact"
    for directory, spread in ((mixed, "0.025"), (exact, "0.0")):
        directory.mkdir()
        lines = ["run,seed,status,energy,stddev", "a,1,finished,-1.5,0.0", f"b,2,finished,-2.5,{spread}"]
        (directory / "sweep.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (directory / "sweep.json").write_text('{"overrides": ["seed=1,2"]}')

    both, neither = sweep_page(mixed).read_text("utf-8"), sweep_page(exact).read_text("utf-8")

    assert re.findall(r'<td data-name="stddev"[^>]*>(.*?)</td>', both) == ["", "0.025"]
    assert "stddev" not in neither.partition("<body")[2]
    columns = {"energy": -1.0, "mean z stddev": 0.0, "stddev": None}
    assert _table([columns, columns]) == [{"energy": -1.0}] * 2


def test_report_without_a_directory_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line and exit code 2."""
    assert main(["report"]) == 2
    assert main(["report", str(tmp_path)]) == 2

    assert capsys.readouterr().err.count("error: ") == 2


def test_an_interactive_page_needs_nothing_else_and_runs_only_its_own_scripts(finished: Path) -> None:
    """plotly.js is inside, packed; the page names the digests of its two scripts, and offers no upload."""
    pytest.importorskip("plotly")
    from runner.review.report import DRAW

    before = page(finished)
    assert main(["report", str(finished), "--interactive"]) == 0

    text = (finished / "interactive.html").read_text(encoding="utf-8")
    (packed,) = re.findall(r'<script id="library" type="application/gzip">(.*?)</script>', text)
    library = gzip.decompress(base64.b64decode(packed))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for script in (library, DRAW.encode()):
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'; form-action 'none'")
    assert "plotly.js" in library[:200].decode()
    assert not re.search(r"(?:src|href)=\"(?!data:image/webp;base64,)", text)
    assert text.count('<div class="plot">') == 2
    assert len(text) < 4_000_000
    assert page(finished) == before


def test_a_sweep_can_be_interactive(tmp_path: Path) -> None:
    """What runs are called cannot end the element their numbers stand in."""
    pytest.importorskip("plotly")
    (tmp_path / "sweep.csv").write_text(
        f"run,seed,status,energy\na,1,finished,-1\n</script>{ATTACK},2,finished,-2\n"
    )

    text = sweep_page(tmp_path, interactive=True).read_text(encoding="utf-8")

    assert ATTACK not in text
    data = re.search(r'<script type="application/json">(.*?)</script>', text)
    assert data is not None
    assert (
        json.loads(data[1])["layout"]["xaxis2" if "xaxis2" in data[1] else "xaxis"]["title"]["text"] == "seed"
    )


def test_without_plotly_one_line_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written; other verbs have no interactive figures."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)  # as if it were not installed
    (tmp_path / "sweep.csv").write_text("run,status,energy\na,finished,-1\n")

    assert main(["report", str(tmp_path), "--interactive"]) == 2
    assert main(["list", "--interactive"]) == 2

    first, second = capsys.readouterr().err.splitlines()
    assert (
        first
        == "error: --interactive: needs plotly, which is not installed; pip install 'session-runner[interactive]'"
    )
    assert second.startswith("error: --interactive: `list` has no such flag; `report` has it")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.csv"]


def test_a_command_is_shown_only_where_it_does_the_same(finished: Path) -> None:
    """A Python program that declared something typed nothing; a race has several optimizers."""
    from runner.declare.composer import declare

    declared = declare(["experiment=vqe_race"]).values
    typed = run_page([started(overrides=["experiment=vqe_race"], config=declared)], finished / "figures")
    programmed = run_page([started(config=declared, programmed=True)], finished / "figures")
    plain = run_page([started(config=declare([]).values)], finished / "figures")

    assert "<pre>python -m runner experiment=vqe_race</pre>" in typed
    assert "python -m runner" not in programmed
    assert "<pre>python -m runner</pre>" in plain
    assert "optimizer cobyla and nelder_mead" in typed


def test_what_takes_no_part_in_an_experiment_is_not_told_of_it(finished: Path) -> None:
    """Time evolution has neither ansatz nor optimizer: `Experiment.ignores` says so."""
    from experiments.dynamics import Dynamics
    from runner.declare.composer import declare

    declared = declare([]).values
    unused = [part for part in Dynamics.ignores if part in declared]
    page = run_page([started(config=declared, unused=unused)], finished / "figures")
    usual = run_page([started(config=declared)], finished / "figures")

    assert "ansatz efficient_su2" in usual
    assert "optimizer" in usual
    assert "ansatz efficient_su2" not in page
    assert "hamiltonian" in page


def test_a_sweeps_page_shows_zero_where_rounding_is_all_there_is(tmp_path: Path) -> None:
    """By hand: 3e-17 of coefficients that add up to 4 is 0, of the earlier release's run nobody knows."""
    (tmp_path / "sweep.csv").write_text(
        "run,seed,status,energy,error,rounding\na,1,finished,3e-17,3e-17,6e-14\nb,2,finished,-5e-17,,\n",
        encoding="utf-8",
    )

    written = sweep_page(tmp_path).read_text(encoding="utf-8")

    assert re.findall(r'<td data-name="energy" class="n">(.*?)</td>', written) == ["0", "−5e−17"]
    assert "3e" not in re.sub(r'src="[^"]*"', "", written).partition("<table")[2].partition("</table>")[0]
    assert "rounding" not in re.findall(r"<th[^>]*>(.*?)</th>", written)
    pytest.importorskip("plotly")
    from runner.review.figures.interactive import sweep_overview

    rows = [row_without_residue(row) for row in read_table(tmp_path / "sweep.csv")]
    hovers = [
        text for trace in sweep_overview(rows, SweepAxes.of(rows)).data for text in trace.hovertext or ()
    ]
    assert any("energy 0.000000" in text for text in hovers)
    assert not any("3e" in text for text in hovers)

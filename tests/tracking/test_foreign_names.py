"""Names that somebody else gave do nothing where runs are read: no formula, no link, no picture, no HTML."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from runner.display.command import sweep_command
from runner.record.encoding import as_cell
from runner.record.events import RunEnded, RunStarted, SessionChanged
from runner.sweep.directory import SweepDirectory
from runner.tracking.parent import _description
from runner.tracking.presentation import description, plain
from runner.tracking.translation import Translation

ATTACKS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](http://evil.example/pixel.png)",
    "[click](javascript:alert(1))", "http://evil.example", "www.evil.example", "<http://evil.example>",
    "a@evil.example", "| x | y |\n|---|---|\n# title", "**bold** _slant_ ~~gone~~ `code`", "&lt;b&gt;", "\\[a](b)",
    "[ref]: http://evil.example", "$x$",
)  # fmt: skip
LIVE = re.compile(r"<(?!/?(p|table|thead|tbody|tr|th|td|strong|pre|code|ul|li)\b)")
"""Tags that our own descriptions do not have."""


def rendered(text: str) -> str:
    """HTML of a description, by a renderer that lets HTML through, with tables and strikethrough."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


@pytest.mark.parametrize("attack", ATTACKS)
def test_foreign_words_in_markdown_are_words(attack: str) -> None:
    """What is shown is what was given, in one line; an entity is shown as it was typed."""
    shown = rendered(plain(attack)).strip()
    (text,) = re.fullmatch(r"<p>(.*)</p>", shown).groups()

    assert "<" not in text
    said = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert said == " ".join(attack.split())
    assert not re.search(
        r"(^|\s)(https?://|www\.)|\w@\w", plain(attack)
    )  # what other renderers make links of


@pytest.mark.parametrize("attack", ATTACKS)
def test_descriptions_of_runs_and_sweeps_stay_what_they_are(attack: str) -> None:
    """Experiment, choices, session, reasons and rows of a table, all hostile."""
    run = Translation()
    config = {"hamiltonian": {"name": attack}}
    run.started = RunStarted.read(
        {"experiment": attack, "config": config, "overrides": [attack], "schemas": {}}
    )
    run.source = attack
    run.session = SessionChanged.read({"mode": attack, "backend": attack, "state": attack, "reason": attack})
    run.ended = RunEnded.read({"status": "finished", "stop_reason": attack})
    rows = [
        {"number": "0", "run": attack, "status": "finished", "energy": attack, "error": "0.1"},
        {"number": "1", "run": attack, "status": "failed", "reason": attack},
    ]
    for text in (description(run), _description(rows, sweep_command({"overrides": [attack]}))):
        assert not LIVE.findall(rendered(text)), text


@pytest.mark.parametrize(
    ("given", "cell"),
    [
        ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-2+3", "'-2+3"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"), ("＝1+1", "'＝1+1"), ("-1.5", "-1.5"), ("+1e-3", "+1e-3"), ("-inf", "-inf"),
        ("h2", "h2"), (-1.5, -1.5), (None, None), ("a=1", "a=1"),
    ],
)  # fmt: skip
def test_cells_are_never_formulas(given: object, cell: object) -> None:
    """The list is OWASP's (CSV injection); numbers stay numbers."""
    assert as_cell(given) == cell


def test_a_sweeps_table_has_no_formulas(tmp_path: Path) -> None:
    """Names of files that are swept over, and reasons, come from anywhere."""
    directory = SweepDirectory(tmp_path)
    directory.write_table(
        [{"number": 0, "run": "=a()", "hamiltonian.path": "@b.json", "energy": -1.0, "reason": "-c"}]
    )
    with directory.table.open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert row == {
        "number": "0", "run": "'=a()", "hamiltonian.path": "'@b.json", "energy": "-1.0", "reason": "'-c",
    }  # fmt: skip

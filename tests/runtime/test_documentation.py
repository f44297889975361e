"""The tables of docs/session.md against the tests, and the example against time."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = [
    *(f"C{number}" for number in range(1, 5)),
    *(f"T{number}" for number in range(1, 4)),
    *(f"S{number}" for number in range(1, 24)),
    *(f"P{number}" for number in range(1, 5)),
    "M1",
]


def test_every_rule_is_in_the_table_once() -> None:
    """In order."""
    table = re.findall(r"^\| ([CTSPM]\d+) \|", (ROOT / "docs" / "session.md").read_text(), flags=re.M)

    assert table == RULES


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test_with_its_number(rule: str) -> None:
    """A test function whose name begins with the rule, in this folder, as the table says."""
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    line = next(
        line
        for line in (ROOT / "docs" / "session.md").read_text().splitlines()
        if line.startswith(f"| {rule} |")
    )

    assert re.search(rf"^def test_{rule}_\w+\(", tests, flags=re.M)
    assert f"`test_{rule}_…`" in line


def test_named_tests_exist() -> None:
    """Tests and files that the documents name are there."""
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    for name in ("session.md", "cost.md"):
        text = (ROOT / "docs" / name).read_text()
        for test in re.findall(r"`(test_[a-zA-Z]\w+)`", text):
            assert f"def {test}(" in tests
        for file in re.findall(r"`((?:test_|reference)\w*\.py)`", text):
            assert (Path(__file__).parent / file).exists()


@pytest.mark.parametrize(
    ("arguments", "device"),
    [
        (["fake_manila"], "fake_manila, 5 qubits"),
        pytest.param([], "fake_torino, 133 qubits", marks=pytest.mark.nightly),  # whose noise takes seconds
    ],
)
def test_the_example_runs(arguments: list[str], device: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It tells of every station on the way."""
    pytest.importorskip("qiskit_ibm_runtime")
    runpy.run_path(str(ROOT / "examples" / "session_page.py"))["main"](*arguments)
    printed = capsys.readouterr().out

    for words in (
        f"device: {device}",
        "refused: The session is closed.",
        "killed: Unable to retrieve job result. Error code 4001",
        "'DONE', 'DONE', 'ERROR', 'ERROR', 'ERROR', 'ERROR', 'ERROR', 'ERROR'",
        "a batch of one job",
        "nelder-mead: ",
    ):
        assert words in printed

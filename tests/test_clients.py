"""Every minor release of the client in the range of pyproject.toml does what the table in docs/offline.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tests import clients

PAGE = Path(__file__).parents[1] / "docs" / "offline.md"


def test_errors_are_told_by_their_own_line() -> None:
    """Of a program the last line that names one; of tests how many failed, and the first assertion."""
    assert (
        clients.last_error("Traceback\n  x\nqiskit.E.SomeError: 'a | b'\nbye")
        == "qiskit.E.SomeError: 'a / b'"
    )
    assert clients.last_error("reading …\nerror: backend: no account\n") == "error: backend: no account"
    assert clients.failed_tests("E   ImportError: no prepare\nE   more\n3 failed, 1 passed") == (
        "3 tests failed: ImportError: no prepare"
    )


@pytest.mark.nightly
def test_every_minor_works_where_the_page_says_so() -> None:
    """Releases that are newer than the page, too: whatever breaks is in the message of this test."""
    page = PAGE.read_text(encoding="utf-8")
    full = SpecifierSet(">=0.51")
    found = list(clients.verdicts(clients.minors(clients.allowed())))
    rows = "\n".join(one.row() for one in found)

    assert found
    assert all({one.adapter, one.program, one.ibm} == {"works"} for one in found if one.version in full), rows
    for one in found:
        (told,) = [line for line in page.splitlines() if line.startswith(f"| {one.version} |")] or [rows]
        assert told.count("works") == one.row().count("works"), rows

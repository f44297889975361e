"""Every minor release of the client in the range of pyproject.toml does what is promised of it."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from tests import clients


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
def test_every_minor_does_what_is_promised() -> None:
    """Everything from 0.51 on, programs against `serve` from 0.49 on; whatever breaks is in this test's message."""
    found = list(clients.verdicts(clients.minors(clients.allowed())))
    rows = "\n".join(one.row() for one in found)

    assert found
    for one in found:
        if one.version in SpecifierSet(">=0.51"):
            assert {one.adapter, one.program, one.ibm} == {clients.WORKS}, rows
        elif one.version in SpecifierSet(">=0.49"):
            assert one.program == clients.WORKS, rows

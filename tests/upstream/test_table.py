"""Upstream's tests, where UPSTREAM names a checkout of the client's repository: what fails has a listed reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.upstream.table import IN_PROCESS, Found, against_serve, reason, run, stale

CHECKOUT = os.environ.get("UPSTREAM")
upstream = pytest.mark.skipif(CHECKOUT is None, reason="UPSTREAM names no checkout of qiskit-ibm-runtime")


@pytest.mark.nightly
@upstream
def test_in_process_all_that_fails_is_explained() -> None:
    """Nothing else fails, and nothing is listed that passes."""
    every = Found()
    for files in IN_PROCESS.values():
        every.outcomes.update(run(Path(str(CHECKOUT)), files, shim=True).outcomes)

    assert every.unexplained == {}
    assert stale(every.outcomes) == []


@pytest.mark.nightly
@upstream
def test_against_serve_all_that_fails_is_explained(tmp_path: Path) -> None:
    """The same of the integration tests of the unmodified client."""
    found = against_serve(Path(str(CHECKOUT)), tmp_path)

    assert found.passed > 0
    assert found.unexplained == {}


def test_what_fails_is_told_from_what_is_expected_to() -> None:
    """A table of three tests by hand: one passes, one fails as listed, one fails."""
    found = Found(
        {
            "test_a::A::test_one": "passed",
            "test_session::TestSession::test_max_time": "AttributeError: _max_time",
            "test_a::A::test_two": "AssertionError",
            "test_a::A::test_three": "skipped",
        }
    )

    assert (found.passed, found.run, len(found.failed)) == (1, 3, 2)
    assert found.unexplained == {"test_a::A::test_two": "AssertionError"}
    assert (
        reason("test_session::TestSession::test_max_time")
        == "looks at private members of the client's classes"
    )
    assert "test_session::TestSession::test_max_time" not in stale(found.outcomes)

"""What the tests themselves stand on."""

from __future__ import annotations

import os
import stat

import pytest

from tests.conftest import CONDUCTED


def test_a_forked_process_holds_no_pipe_of_a_worker(request: pytest.FixtureRequest) -> None:
    """Else a worker that is ended is not missed before all that was forked from it has ended."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("is a matter of pytest-xdist's workers")
    child = os.fork()
    if child == 0:
        os._exit(sum(stat.S_ISFIFO(os.fstat(descriptor).st_mode) for descriptor in CONDUCTED))
    _, status = os.waitpid(child, 0)

    assert len(CONDUCTED) >= 2
    assert os.waitstatus_to_exitcode(status) == 0

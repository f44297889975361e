"""Loops in which users of the unmodified client wait for their jobs, through `serve`, on either clock."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit

from tests.runtime.test_polling import JOB_LOOPS, WAITING, poll
from tests.serve.serving import environment, thread, variables

client = pytest.importorskip("qiskit_ibm_runtime")

pytestmark = [pytest.mark.nightly, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def submitted(backend: Any, mode: Any, limit: int | None) -> Any:
    """A job that asks for a bit."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    options: dict[str, Any] = {"environment": {"job_tags": ["mine"]}}
    if limit is not None:
        options["max_execution_time"] = limit
    return client.SamplerV2(mode=mode or backend, options=options).run([circuit], shots=10)


@pytest.mark.parametrize("clock", ["session.clock=virtual", "session.clock_scale=600"])
def test_C4_loops_that_wait_for_a_job_end(clock: str, tmp_path: Path) -> None:
    """23 styles, in job mode and in a session, for a job that is done and one that is limited to less than it takes."""
    with thread(tmp_path / "serve", "backend=ideal", clock) as (_, root), environment(variables(root)):
        service = client.QiskitRuntimeService()
        backend = service.least_busy()
        sleep = partial(time.sleep, 0 if clock.endswith("virtual") else 0.01)
        for style in [style for style in JOB_LOOPS if style not in WAITING]:
            for limit, status in ((None, "DONE"), (1, "ERROR")):
                session = client.Session(backend)
                for mode in (None, session):
                    if mode is None and style == "of the session":
                        continue
                    job = submitted(backend, mode, limit)
                    poll(partial(JOB_LOOPS[style], service, job), sleep=sleep)

                    assert job.status() == status, style
                session.close()

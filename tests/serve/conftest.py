"""One server process per module, and the real client connected to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.serve.serving import environment, thread, variables


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """A five-qubit device that takes one job at a time, and on which 20 seconds pass in one."""
    pytest.importorskip("qiskit_ibm_runtime")
    words = ("backend=fake_manila", "session.clock_scale=20", "session.lanes=1")
    with thread(tmp_path_factory.mktemp("served") / "serve", *words) as (runtime, root):
        yield runtime, root


@pytest.fixture(scope="module")
def service(served: tuple[Any, str]) -> Iterator[Any]:
    """The unmodified client's service, found by environment variables alone."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    logging.getLogger("qiskit_runtime_service").setLevel(logging.ERROR)
    with environment(variables(served[1])):
        yield QiskitRuntimeService()


@pytest.fixture(scope="module")
def backend(service: Any) -> Any:
    """The one device there is."""
    return service.least_busy(operational=True, simulator=False)

"""Servers to test against: one in a process of its own, as users start it, and one in a thread, which starts faster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Have these variables set, and none of a real account, for the length of a block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("QISKIT_IBM_INSTANCE", "QISKIT_IBM_CHANNEL", "QISKIT_FUNCTIONS_EXPERIMENTAL"):
            patch.delenv(name, raising=False)
        patch.setenv("USAGE_DATA_OPT_OUT", "True")
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@contextmanager
def process(directory: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `python -m runner serve` on a free port; yields the process and the environment it printed."""
    command = [sys.executable, "-m", "runner", "serve", "port=0", f"dir={directory}", *words]
    with open(directory.parent / f"{directory.name}.stderr", "w") as errors:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=os.environ.copy()
        )
        assert server.stdout is not None
        try:
            lines = [server.stdout.readline().strip().partition("=") for _ in range(5)]
            yield server, {name: value for name, _, value in lines if name}
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(20)
            server.stdout.close()
        assert code in (0, -signal.SIGKILL), f"the server ended with {code}"


@contextmanager
def thread(directory: Path, *words: str) -> Iterator[tuple[Any, str]]:
    """Serve from a thread of this process; yields the served runtime and its root URL."""
    from runner.serve.api import application
    from runner.serve.config import read
    from runner.serve.process import server
    from runner.serve.runtime import Runtime
    from runner.serve.server import listen

    config = read(["port=0", f"dir={directory}", *words])
    started = threading.Event()
    with listen(0) as listener, Runtime(config) as runtime:
        web = server(application(runtime, config), config, started.set)
        worker = threading.Thread(target=web.run, args=([listener],))
        worker.start()
        assert started.wait(60), "the server did not start"
        try:
            yield runtime, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            web.should_exit = True
            worker.join(60)
            assert not worker.is_alive(), "the server did not end"


def variables(root: str) -> dict[str, str]:
    """The five variables of a server at this URL."""
    from runner.serve.config import environment as of_port

    return dict(of_port(int(root.rpartition(":")[2])))


def bell(backend: Any, *, parameter: bool = True) -> Any:
    """An ISA circuit on two qubits, with one parameter, measured."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter
    from qiskit.transpiler import generate_preset_pass_manager

    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a") if parameter else 0.3, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return generate_preset_pass_manager(backend=backend, optimization_level=1, seed_transpiler=1).run(circuit)

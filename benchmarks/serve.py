"""One VQE evaluation through the unmodified client: against `runner serve`, and in the client's own local mode.

`python -m benchmarks.serve`
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded, so set before

import numpy as np
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from benchmarks.measure import interleaved, table

HAMILTONIAN = SparsePauliOp.from_list([("YZ", 0.3980), ("ZI", -0.3980), ("ZZ", -0.0113), ("XX", 0.1810)])
WORDS = ["backend=device", "backend.device=fake_manila", "backend.noise=false"]
CLOCKS = {
    "serve, virtual clock": ["session.clock=virtual"],
    "serve, 1000 s per second": ["session.clock_scale=1000"],
}


def evaluation(backend) -> Callable[[], object]:
    """The page's cost function on a backend, in a session that stays open."""
    from qiskit_ibm_runtime import EstimatorV2, Session

    ansatz = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1).run(efficient_su2(2))
    terms = [term.apply_layout(ansatz.layout) if ansatz.layout else term for term in HAMILTONIAN]
    estimator = EstimatorV2(mode=Session(backend), options={"default_shots": 10_000})
    generator = np.random.default_rng(1)
    return lambda: (
        estimator.run([(ansatz, terms, generator.uniform(-3, 3, ansatz.num_parameters))]).result()[0].data.evs
    )


def main() -> None:
    """Print the table."""
    from qiskit_aer import AerSimulator
    from qiskit_ibm_runtime import QiskitRuntimeService

    contestants = {"local testing mode, Aer": evaluation(AerSimulator())}
    servers = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, (name, clock) in enumerate(CLOCKS.items()):
                command = [sys.executable, "-m", "runner", "serve", "port=0", f"dir={folder}/{number}"]
                server = subprocess.Popen([*command, *WORDS, *clock], stdout=subprocess.PIPE, text=True)
                servers.append(server)
                for _ in range(5):
                    variable, _, value = server.stdout.readline().strip().partition("=")
                    os.environ[variable] = value
                contestants[name] = evaluation(QiskitRuntimeService().least_busy())
            rows = {"2 qubits, 4 terms, 10 000 shots": interleaved(contestants, rounds=25)}
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    print(table("One evaluation through the client [ms]", "job", rows, 1e-3, "local testing mode, Aer"))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    main()

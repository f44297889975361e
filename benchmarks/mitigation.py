"""Mitigation: `python -m benchmarks.mitigation` prints a mitigated job against the client's own local mode."""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries are loaded, so set before

import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402
from statistics import median  # noqa: E402

import numpy as np  # noqa: E402
from qiskit.circuit import QuantumCircuit  # noqa: E402
from qiskit.circuit.library import efficient_su2  # noqa: E402
from qiskit.quantum_info import SparsePauliOp  # noqa: E402
from qiskit.transpiler import generate_preset_pass_manager  # noqa: E402

from benchmarks import arguments  # noqa: E402
from benchmarks.arguments import read  # noqa: E402
from benchmarks.measure import in_this_process  # noqa: E402
from benchmarks.targets import Goal, table  # noqa: E402
from runner import compose  # noqa: E402
from runner.run.preflight import Preparation  # noqa: E402
from runner.runtime import EstimatorV2, LocalRuntimeService  # noqa: E402

ROUNDS = 3 if read(__name__, __doc__, arguments.QUICK).quick else 9
PAGE = SparsePauliOp.from_list([("YZ", 0.398), ("ZI", -0.398), ("ZZ", -0.0113), ("XX", 0.181)])
"""The Hamiltonian of the page."""


def two_qubits(device: str) -> tuple[QuantumCircuit, SparsePauliOp]:
    """The page's problem on a device."""
    backend = LocalRuntimeService().backend(device)
    circuit = generate_preset_pass_manager(1, backend, seed_transpiler=1).run(efficient_su2(2, reps=1))
    return circuit, PAGE.apply_layout(circuit.layout)


def h2(device: str) -> tuple[QuantumCircuit, SparsePauliOp]:
    """H2 on four qubits with the ansatz of its chemistry."""
    words = (
        "hamiltonian=molecule",
        "ansatz=uccsd",
        "backend=device",
        f"backend.device={device}",
        "tracking=off",
    )
    problem = Preparation(compose(*words)).problem
    assert problem is not None
    return problem.circuit, problem.observable


@in_this_process()
def processor(job: Callable[[], object], rounds: int) -> float:
    """Seconds of processor time of a job that is not the first."""
    job()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return median(times)


def ours(device: str, circuit: QuantumCircuit, observable: SparsePauliOp, level: int) -> float:
    """Seconds of a job of the in-process primitive."""
    estimator = EstimatorV2(LocalRuntimeService(seed=1).backend(device), {"resilience_level": level})
    values = np.linspace(0, 1, circuit.num_parameters)
    return processor(lambda: estimator.run([(circuit, observable, values)]).result(), ROUNDS)


def clients(circuit: QuantumCircuit, observable: SparsePauliOp, level: int) -> float:
    """Seconds of a job of the client's client-side class on its snapshot of the device."""
    from qiskit_ibm_runtime.executor_estimator import EstimatorV2 as Client
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    estimator = Client(mode=FakeManilaV2(), options={"resilience_level": level})
    values = np.linspace(0, 1, circuit.num_parameters)
    return processor(lambda: estimator.run([(circuit, observable, values)]).result(), 3)


def goals() -> list[Goal]:
    """Against the client where it runs, and by themselves where it does not."""
    small, large = two_qubits("fake_manila"), two_qubits("fake_torino")
    chemistry = h2("fake_torino")
    found = []
    for level, target in ((1, 30), (2, 20)):
        ratio = clients(*small, level) / ours("fake_manila", *small, level)
        found.append(Goal(f"level {level}, 2 qubits, fake_manila: client / ours", target, {"2": ratio}))
    for level, milliseconds, more in ((1, 20, 300), (2, 100, 1000)):
        seen = {"2": 1e3 * ours("fake_torino", *large, level)}
        found.append(Goal(f"level {level}, fake_torino, ms", milliseconds, seen, at_most=True))
        seen = {"4": 1e3 * ours("fake_torino", *chemistry, level)}
        found.append(Goal(f"level {level}, H2, fake_torino, ms", more, seen, at_most=True))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(table(goals()))

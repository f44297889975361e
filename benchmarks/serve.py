"""One VQE evaluation through the unmodified client: against `runner serve`, and in the client's own local mode.

`python -m benchmarks.serve [ROUNDS]`; processor time beside time on the wall, because the former bears a busy machine.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded, so set before

import numpy as np
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from benchmarks.arguments import read

HAMILTONIAN = SparsePauliOp.from_list([("YZ", 0.3980), ("ZI", -0.3980), ("ZZ", -0.0113), ("XX", 0.1810)])
VIRTUAL, SCALED = ["session.clock=virtual"], ["session.clock_scale=1000"]
TICK = 1 / os.sysconf("SC_CLK_TCK")


def evaluation(backend, level: int) -> Callable[[], object]:
    """The page's cost function on a backend, in a session that stays open."""
    from qiskit_ibm_runtime import EstimatorV2, Session

    ansatz = generate_preset_pass_manager(level, backend=backend, seed_transpiler=1).run(efficient_su2(2))
    terms = [term.apply_layout(ansatz.layout) if ansatz.layout else term for term in HAMILTONIAN]
    generator = np.random.default_rng(1)
    opened: list[EstimatorV2] = []  # with the first call: eight hours of a session are soon over

    def call() -> object:
        if not opened:
            opened.append(EstimatorV2(mode=Session(backend), options={"default_shots": 10_000}))
        point = generator.uniform(-3, 3, ansatz.num_parameters)
        return opened[0].run([(ansatz, terms, point)]).result()[0].data.evs

    return call


class Served:
    """A server process and a client of it."""

    def __init__(self, stack: ExitStack, command: list[str], level: int) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
        stack.callback(self.process.wait)
        stack.callback(self.process.terminate)
        self.root = ""
        for line in iter(self.process.stdout.readline, ""):
            self.root = line.strip().rpartition("=")[2] if "IAM_URL" in line or "=" not in line else self.root
            if self.root:
                break
        from qiskit_ibm_runtime import QiskitRuntimeService

        names = ("IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL")
        os.environ |= dict.fromkeys(names, self.root) | {
            "QISKIT_IBM_TOKEN": "local",
            "QISKIT_IBM_URL": self.root + "/experimental",
            "USAGE_DATA_OPT_OUT": "True",
        }
        self.call = evaluation(QiskitRuntimeService().least_busy(), level)

    def cpu(self) -> float:
        """Processor seconds of the server so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK


def reporting(call: Callable[[], object]) -> Callable[[], object]:
    """The same while the client tells who called, as it does by default."""

    def reported() -> object:
        del os.environ["USAGE_DATA_OPT_OUT"]
        try:
            return call()
        finally:
            os.environ["USAGE_DATA_OPT_OUT"] = "True"

    return reported


def measure(title: str, local: Callable[[], object], served: dict[str, Served], rounds: int) -> None:
    """Take turns, and print medians of time and means of processor time."""
    calls = {"the client's local mode": local, **{name: server.call for name, server in served.items()}}
    first = next(iter(served))
    name = f"{first}, USAGE_DATA_OPT_OUT unset"
    calls[name], served[name] = reporting(served[first].call), served[first]
    wall: dict[str, list[float]] = {name: [] for name in calls}
    client, server = dict.fromkeys(calls, 0.0), dict.fromkeys(calls, 0.0)
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            before = served[name].cpu() if name in served else 0.0
            start, used = time.perf_counter(), time.process_time()
            call()
            wall[name].append(time.perf_counter() - start)
            client[name] += time.process_time() - used
            server[name] += served[name].cpu() - before if name in served else 0.0
    base = statistics.median(wall["the client's local mode"])
    print(
        f"### {title} [ms]\n\n| | wall | of local mode | client's CPU | server's CPU |\n|---|---|---|---|---|"
    )
    for name, times in wall.items():
        median = statistics.median(times)
        print(
            f"| {name} | {median * 1e3:.1f} | {median / base:.2f}× | {client[name] / rounds * 1e3:.1f} "
            f"| {server[name] / rounds * 1e3:.1f} |"
        )
    print(flush=True)


def client_side(served: Served, rounds: int) -> None:
    """Jobs of the client-side Estimator by resilience level against those of the service's own without mitigation."""
    from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService, Session
    from qiskit_ibm_runtime.executor_estimator import EstimatorV2 as ClientSide

    backend = QiskitRuntimeService().least_busy()
    ansatz = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1).run(efficient_su2(2))
    observable = HAMILTONIAN.apply_layout(ansatz.layout)
    point = np.random.default_rng(1).uniform(-3, 3, ansatz.num_parameters)
    kinds = {"the service's own, level 0": (EstimatorV2, 0)}
    kinds |= {f"client-side, level {level}": (ClientSide, level) for level in (0, 1, 2)}
    estimators = {
        name: kind(mode=Session(backend), options={"default_shots": 10_000, "resilience_level": level})
        for name, (kind, level) in kinds.items()
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for turn in range(rounds + 1):
        for name, estimator in estimators.items():
            before, start = served.cpu(), time.process_time()
            estimator.run([(ansatz, observable, point)]).result()
            if turn:  # the first prepares what later ones have
                seconds[name].append((time.process_time() - start, served.cpu() - before))
    print(f"### one noisy job of 2 qubits by resilience level, mean of {rounds} [ms of processor time]\n")
    print("| | client | server | both, of the service's own |\n|---|---|---|---|")
    means = {name: np.mean(times, axis=0) for name, times in seconds.items()}
    base = next(iter(means.values())).sum()
    for name, (client, server) in means.items():
        print(f"| {name} | {client * 1e3:.1f} | {server * 1e3:.1f} | {(client + server) / base:.1f}× |")
    print(flush=True)


def main(rounds: int) -> None:
    """Print all tables."""
    from qiskit_aer import AerSimulator
    from qiskit_ibm_runtime.fake_provider import FakeTorino

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def start(number: int, *words: str, level: int = 1) -> Served:
            return Served(stack, ["runner", "serve", "port=0", f"dir={folder}/{number}", *words], level)

        ideal = ["backend=device", "backend.device=fake_manila", "backend.noise=false"]
        small = {
            "serve, virtual clock": start(1, *ideal, *VIRTUAL),
            "serve, 1000 s a second": start(2, *ideal, *SCALED),
        }
        origin = small["serve, virtual clock"].root
        small["a server that answers at once"] = Served(stack, ["benchmarks.replay", origin], 1)
        measure("2 qubits, 4 terms, 10 000 shots, no noise", evaluation(AerSimulator(), 1), small, rounds)
        page = {"serve, virtual clock": start(3, "backend=fake_torino", *VIRTUAL, level=3)}
        page["a server that answers at once"] = Served(
            stack, ["benchmarks.replay", page["serve, virtual clock"].root], 3
        )
        measure(
            "the page's job: the same on 133 noisy qubits",
            evaluation(FakeTorino(), 3),
            page,
            1,  # the local mode takes half a minute of processor time for both of its calls
        )
        client_side(start(4, "backend=fake_torino", *VIRTUAL), max(3, rounds // 5))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    main(
        read(
            __name__, __doc__, ("rounds", {"nargs": "?", "type": int, "default": 25, "metavar": "ROUNDS"})
        ).rounds
    )

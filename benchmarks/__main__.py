"""Print every table: `python -m benchmarks [--quick] [--threads N]`; peers come with the extra `[bench]`."""

from __future__ import annotations

import os
import time

from benchmarks.arguments import QUICK as QUICK_WORD
from benchmarks.arguments import read

ASKED = read(__name__, __doc__, QUICK_WORD, ("--threads", {"type": int, "default": 1, "metavar": "N"}))
THREADS = ASKED.threads
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "QULACS_NUM_THREADS"):
    os.environ[variable] = str(THREADS)  # read when the libraries are loaded, so set before

from pathlib import Path  # noqa: E402 - the environment comes first

import numpy as np  # noqa: E402
from qiskit.circuit.library import efficient_su2  # noqa: E402
from qiskit.quantum_info import SparsePauliOp  # noqa: E402

from benchmarks import peers, targets  # noqa: E402
from benchmarks.measure import interleaved, table  # noqa: E402
from runner.engine import DeviceNoise, Engine  # noqa: E402

QUICK = ASKED.quick
SIZES = [2, 4, 6, 8, 12] if QUICK else [2, 4, 6, 8, 10, 12, 14, 16, 20]
ROUNDS = 5 if QUICK else 15
CLOCK = time.process_time if THREADS == 1 else time.perf_counter
SHOTS = 4096
generator = np.random.default_rng(1)


def ansatz(size: int, reps: int = 2):
    circuit = efficient_su2(size, reps=reps, entanglement="linear")
    return circuit, generator.uniform(-3, 3, circuit.num_parameters)


def energies_and_gradients() -> tuple[dict, dict]:
    """One exact evaluation, and one exact gradient, by size."""
    energy_rows, gradient_rows = {}, {}
    for size in SIZES:
        circuit, values = ansatz(size)
        operator = peers.heisenberg(size)
        qulacs, qulacs_gradient = peers.qulacs(circuit, operator, values)
        lightning, lightning_gradient = peers.lightning(circuit, operator, values)
        energy = {**peers.ours(circuit, operator, values, THREADS), **qulacs, **lightning}
        if size <= 12:
            energy.update(peers.aer_estimator(circuit, operator, values))
        rounds = ROUNDS if size < 16 else 3
        energy_rows[str(size)] = interleaved(energy, rounds=rounds, clock=CLOCK)
        gradient = {
            **peers.our_gradient(circuit, operator, values, THREADS),
            **qulacs_gradient,
            **lightning_gradient,
        }
        gradient_rows[str(size)] = interleaved(gradient, rounds=rounds, clock=CLOCK)
    return energy_rows, gradient_rows


def terms() -> dict:
    """How an evaluation grows with the number of terms, at 8 qubits."""
    rows = {}
    circuit, values = ansatz(8)
    for count in (1, 10, 100, 1000):
        labels = list(dict.fromkeys("".join(generator.choice(list("IXYZ"), 8)) for _ in range(count)))
        operator = SparsePauliOp(labels, generator.normal(size=len(labels)))
        rows[str(len(labels))] = interleaved(
            peers.ours(circuit, operator, values, THREADS), rounds=ROUNDS, clock=CLOCK
        )
    return rows


def parameters() -> dict:
    """How energy and gradient grow with the number of parameters, at 8 qubits."""
    rows = {}
    for reps in (1, 2, 4, 8, 16):
        circuit, values = ansatz(8, reps)
        contestants = peers.our_gradient(circuit, peers.heisenberg(8), values, THREADS)
        rows[str(circuit.num_parameters)] = interleaved(contestants, rounds=ROUNDS, clock=CLOCK)
    return rows


def batches() -> dict:
    """Time per parameter set in batches of 1, 10 and 100."""
    rows = {}
    for size in (2, 4, 8, 12):
        circuit, values = ansatz(size)
        row = {}
        for batch in (1, 10, 100):
            sets = np.tile(values, (batch, 1))
            times = interleaved(
                peers.ours(circuit, peers.heisenberg(size), sets, THREADS), rounds=ROUNDS, clock=CLOCK
            )
            row.update({f"{name} B={batch}": seconds / batch for name, seconds in times.items()})
        rows[str(size)] = row
    return rows


def shots() -> dict:
    """4096 shots per basis: this project, and the client's local mode as the seed page uses it."""
    from qiskit_aer import AerSimulator

    rows, engine = {}, Engine(threads=THREADS)
    for size in (2, 4, 8, 12):
        circuit, values = ansatz(size)
        operator = peers.heisenberg(size)
        plan = engine.estimator_plan(circuit, operator)
        contestants = {
            "runner": lambda plan=plan, values=values: plan.run(values, shots=SHOTS, seed=1),
            "seed's loop": peers.seed_loop(circuit, operator, values, AerSimulator(), SHOTS),
        }
        rows[str(size)] = interleaved(contestants, rounds=max(3, ROUNDS // 3), clock=CLOCK)
    return rows


def devices() -> dict:
    """Noisy snapshots: this project with its noise compiled once, and the client's local mode."""
    from qiskit.transpiler import generate_preset_pass_manager
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeTorino

    rows = {}
    for backend, sizes in ((FakeManilaV2(), (2, 4)), (FakeTorino(), (2,) if QUICK else (2, 4))):
        manager = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1)
        engine = Engine(backend.target, DeviceNoise(backend), threads=THREADS)
        for size in sizes:
            logical, values = ansatz(size, 1)
            circuit = manager.run(logical)
            operator = peers.heisenberg(size).apply_layout(circuit.layout)
            plan = engine.estimator_plan(circuit, operator)
            contestants = {
                "runner": lambda plan=plan, values=values: plan.run(values, shots=SHOTS, seed=1),
                "client's local mode": peers.seed_loop(circuit, operator, values, backend, SHOTS),
            }
            rows[f"{backend.name}, {size} qubits"] = interleaved(
                contestants, rounds=1 if size else 3, clock=CLOCK
            )
    return rows


def chart(rows: dict, path: Path) -> None:
    """Time per exact evaluation against qubits, one line each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    names = dict.fromkeys(name for row in rows.values() for name in row)
    for name in names:
        points = [(int(size), row[name] * 1e3) for size, row in rows.items() if name in row]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(
        yscale="log",
        xlabel="qubits",
        ylabel="ms per exact evaluation",
        title="Heisenberg chain, efficient_su2",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    kind = "processor time" if THREADS == 1 else "time by the clock"
    print(
        f"{THREADS} thread(s), interleaved in one process, median {kind}; (×) relative to the first column\n"
    )
    energy, gradient = energies_and_gradients()
    print(table("One exact evaluation, ms, by qubits", "qubits", energy, 1e-3, "kernel"), flush=True)
    print(table("One exact gradient, ms, by qubits", "qubits", gradient, 1e-3, "kernel adjoint"), flush=True)
    print(
        table("One exact evaluation, ms, by terms (8 qubits)", "terms", terms(), 1e-3, "kernel"), flush=True
    )
    print(
        table("By parameters, ms (8 qubits)", "parameters", parameters(), 1e-3, "kernel energy"), flush=True
    )
    print(table("Per parameter set, µs, by batch size", "qubits", batches(), 1e-6, None), flush=True)
    sampled, noisy = {}, {}
    if peers.find_spec("qiskit_ibm_runtime"):
        sampled, noisy = shots(), devices()
        print(table("4096 shots, ms", "qubits", sampled, 1e-3, "runner"), flush=True)
        print(table("Noisy snapshots, 4096 shots, ms", "device", noisy, 1e-3, "runner"), flush=True)
    goals = targets.of_tables(energy, gradient, sampled, noisy)
    if THREADS == 1:
        goals += [
            targets.batch(),
            *targets.around_aer(),
            *targets.two_at_once(),
            *([] if QUICK else [targets.against_memory(), targets.wide()]),
        ]
    print(targets.table(goals), flush=True)
    chart(energy, Path("outputs/benchmarks/evaluation.png"))
    print("chart: outputs/benchmarks/evaluation.png")


if __name__ == "__main__":
    main()

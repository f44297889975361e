"""What the engine promises, as ratios with their targets: `python -m benchmarks` prints this table at its end."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from qiskit.circuit.library import efficient_su2

from benchmarks import peers
from benchmarks.measure import interleaved
from runner.engine import Engine

Rows = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Goal:
    """One promise: what is compared, what it must come to, and the ratios that were measured."""

    what: str
    target: float
    seen: Mapping[str, float]
    at_most: bool = False

    def line(self) -> str:
        if not self.seen:
            return f"| {self.what} | {'≤' if self.at_most else '≥'} {self.target:g} | not measured | |"
        met = [value <= self.target if self.at_most else value >= self.target for value in self.seen.values()]
        values = ", ".join(f"{label}: {value:.3g}" for label, value in self.seen.items())
        sign = "≤" if self.at_most else "≥"
        return f"| {self.what} | {sign} {self.target:g} | {values} | {'yes' if all(met) else 'no'} |"


def table(goals: Iterable[Goal]) -> str:
    lines = ["### Targets", "", "| ratio | target | seen (by qubits) | met |", "|---|---|---|---|"]
    return "\n".join([*lines, *(goal.line() for goal in goals), ""])


def ratios(rows: Rows, slow: str, fast: str, sizes: Iterable[int]) -> dict[str, float]:
    """How many times `slow` takes what `fast` takes, at the sizes where both were measured."""
    wanted = {str(size) for size in sizes}
    return {
        label: row[slow] / row[fast]
        for label, row in rows.items()
        if label in wanted and slow in row and fast in row
    }


def of_tables(energy: Rows, gradient: Rows, shots: Rows, devices: Rows) -> list[Goal]:
    """The goals that the big tables answer."""
    small, all_sizes = range(4, 17), range(4, 21)
    return [
        Goal("exact evaluation: native Aer / kernel", 8, ratios(energy, "native Aer", "kernel", small)),
        Goal("exact evaluation: lightning / kernel", 5, ratios(energy, "lightning", "kernel", small)),
        Goal("exact evaluation: qulacs / kernel", 5, ratios(energy, "qulacs", "kernel", small)),
        *(
            Goal(f"the same at 20 qubits: {peer} / kernel", 1, ratios(energy, peer, "kernel", [20]))
            for peer in ("native Aer", "lightning", "qulacs")
        ),
        Goal(
            "exact evaluation: Aer EstimatorV2 / kernel",
            100,
            ratios(energy, "Aer EstimatorV2", "kernel", range(2, 13)),
        ),
        Goal(
            "exact evaluation: Aer EstimatorV2 / native Aer",
            10,
            ratios(energy, "Aer EstimatorV2", "native Aer", range(2, 9)),
        ),
        Goal(
            "the same at 12 qubits",
            5,
            ratios(energy, "Aer EstimatorV2", "native Aer", [12]),
        ),
        Goal(
            "gradient / evaluation",
            4,
            ratios(gradient, "kernel adjoint", "kernel energy", all_sizes),
            at_most=True,
        ),
        Goal(
            "gradient: lightning adjoint / kernel adjoint",
            5,
            ratios(gradient, "lightning adjoint", "kernel adjoint", all_sizes),
        ),
        Goal(
            "gradient: qulacs backprop / kernel adjoint",
            5,
            ratios(gradient, "qulacs backprop", "kernel adjoint", all_sizes),
        ),
        Goal("4096 shots: seed's loop / runner", 25, ratios(shots, "seed's loop", "runner", range(2, 13))),
        Goal(
            "noisy snapshots of 133 qubits: client's local mode / runner",
            300,
            {
                label.split(", ")[1]: row["client's local mode"] / row["runner"]
                for label, row in devices.items()
                if "torino" in label
            },
        ),
    ]


def batch() -> Goal:
    """A hundred parameter sets in one PUB against a hundred PUBs of one set on Aer's own Estimator, per set."""
    seen = {}
    for size in (2, 4, 8):
        circuit = efficient_su2(size, reps=2, entanglement="linear")
        values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
        operator = peers.heisenberg(size)
        sets = np.tile(values, (100, 1))
        times = interleaved(
            {
                "ours": peers.ours(circuit, operator, sets, 1)["kernel"],
                "theirs": peers.aer_estimator(circuit, operator, values)["Aer EstimatorV2"],
            },
            rounds=5,
            clock=time.process_time,
        )
        seen[str(size)] = 100 * times["theirs"] / times["ours"]
    return Goal("a set in a batch of 100: Aer EstimatorV2, one by one / kernel", 500, seen)


def wide() -> Goal:
    """One exact energy of a wide state, by one thread and by two."""
    seen = {}
    for size in (22, 24):
        circuit = efficient_su2(size, reps=2, entanglement="linear")
        values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
        operator = peers.heisenberg(size)
        times = interleaved(
            {str(threads): peers.ours(circuit, operator, values, threads)["kernel"] for threads in (1, 2)},
            rounds=3,
        )
        seen[str(size)] = times["1"] / times["2"]
    return Goal("one exact energy of a wide state: one thread / two", 1.7, seen)


class _Stopwatch:
    """Aer's controller, adding up what Aer says its simulations took."""

    def __init__(self, controller) -> None:
        self._controller = controller
        self.seconds = 0.0

    def execute(self, *arguments):
        output = self._controller.execute(*arguments)
        self.seconds += output["results"][0]["time_taken"]
        return output


def around_aer() -> list[Goal]:
    """A whole evaluation on the `aer` engine against the time Aer itself reports for it, in turn."""
    goals = []
    for size, limit, count in ((2, 1.8, 200), (12, 1.2, 40), (16, 1.02, 10)):
        circuit = efficient_su2(size, reps=2, entanglement="linear")
        values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
        plan = Engine(engine="aer").estimator_plan(circuit, peers.heisenberg(size))

        def evaluate(plan=plan, values=values, count=count) -> None:
            for _ in range(count):
                plan.run(values, shots=None, seed=1)

        evaluate()
        program = plan._expectation_program
        controller = program._controller
        found = []
        for _ in range(15):
            program._controller = controller
            whole = timed(evaluate)
            program._controller = watch = _Stopwatch(controller)
            evaluate()
            found.append(whole / watch.seconds)
        seen = {str(size): statistics.median(found)}
        goals.append(
            Goal(f"evaluation on engine=aer / Aer's own time, {size} qubits", limit, seen, at_most=True)
        )
    return goals


def two_at_once() -> list[Goal]:
    """Two workloads in two threads, and in two processes, against the same two one after the other.

    Processes share nothing, so their ratio is what the machine gives to two things at once.
    """
    threads, processes = {}, {}
    for size, count in ((16, 100), (18, 20)):
        circuit = efficient_su2(size, reps=2, entanglement="linear")
        values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
        plans = [Engine(engine="kernel").estimator_plan(circuit, peers.heisenberg(size)) for _ in range(2)]

        def workload(plan, values=values, count=count) -> None:
            for _ in range(count):
                plan.run(values, shots=None, seed=1)

        def forked(plans=plans, workload=workload) -> None:
            context = multiprocessing.get_context("fork")
            both = [context.Process(target=workload, args=(plan,)) for plan in plans]
            for process in both:
                process.start()
            for process in both:
                process.join()

        for plan in plans:
            workload(plan)
        rows = []
        for _ in range(7):
            one_by_one = timed(lambda plans=plans, workload=workload: [workload(plan) for plan in plans])
            apart = timed(forked)
            with ThreadPoolExecutor(2) as pool:
                together = timed(lambda plans=plans, workload=workload: list(pool.map(workload, plans)))
            rows.append((one_by_one / together, one_by_one / apart))
        threads[str(size)], processes[str(size)] = (
            statistics.median(column) for column in zip(*rows, strict=True)
        )
    what = f"({os.cpu_count()} cores)"
    return [
        Goal(f"two workloads one after the other / in two threads {what}", 1.9, threads),
        Goal(
            "two threads / two processes: share of what the machine gives",
            0.95,
            {size: threads[size] / processes[size] for size in threads},
        ),
    ]


def against_memory(size: int = 24) -> Goal:
    """One evaluation against reading and writing the state once a fused gate and once a CX at memory's speed."""
    circuit = efficient_su2(size, reps=2, entanglement="linear")
    values = np.random.default_rng(1).uniform(-3, 3, circuit.num_parameters)
    plan = Engine(engine="kernel").estimator_plan(circuit, peers.heisenberg(size))
    plan.run(values, shots=None, seed=1)
    state = np.ones(1 << size, dtype=complex)
    passes = 3 * size + 2 * (size - 1) / 2  # a CX touches half of the state
    found = []
    for _ in range(3):
        evaluation = timed(lambda: plan.run(values, shots=None, seed=1))
        one_pass = min(timed(lambda: np.negative(state, out=state)) for _ in range(3))
        found.append(passes * one_pass / evaluation)
    return Goal("every gate a pass through memory / evaluation", 0.6, {str(size): statistics.median(found)})


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start

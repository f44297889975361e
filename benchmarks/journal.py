"""What one event costs: the journal of a 4-qubit, 24-parameter VQE (goal: under 50 µs on average).

python benchmarks/journal.py [evaluations]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.arguments import read
from runner.record.events import Evaluation, JobCompleted, JobSubmitted
from runner.record.journal import Journal, read_journal


def record_evaluation(journal: Journal, index: int, values: np.ndarray, energy: np.float64) -> None:
    job = f"0f2a7c1e-8d43-4b6a-9c55-{index:012x}"
    session, digest = "5b0c9f6e-21a7-4f0e-8a39-77d2f3c1e480", "9f86d081884c7d659a2feaa0c55ad015"
    journal.write(
        JobSubmitted(
            job=job, workload="cobyla", index=index, digest=digest, session=session, backend="ideal",
            tags=["vqe", "h2"], program="estimator", seed=4_611_686_018_427_387_904 + index, after=None,
            time=2.7 * index, qpu_estimate=2.5, preparation=0.0,
            pubs=[{"values": values, "precision": 0.01, "shape": []}], work=[[10_000, None]],
        )
    )  # fmt: skip
    journal.write(
        JobCompleted(
            job=job, workload="cobyla", index=index, digest=digest, session=session, status="DONE", reason=None,
            code=None, session_ended=False, started=2.7 * index + 0.1, finished=2.7 * index + 2.6,
            time=2.7 * index + 2.6, queue_seconds=0.1, qpu_seconds=2.5,
            result=[{"evs": energy, "stds": 0.0123 * abs(energy), "shots": 10_000}],
        )
    )  # fmt: skip
    journal.write(
        Evaluation(workload="cobyla", index=index, energy=float(energy), stddev=0.01, best=float(energy))
    )


def main() -> None:
    evaluations = read(
        __name__, __doc__, ("evaluations", {"nargs": "?", "type": int, "default": 5_000})
    ).evaluations
    rng = np.random.default_rng(1)
    parameters = rng.uniform(-np.pi, np.pi, (evaluations, 24))
    energies = rng.normal(-1.1, 0.1, evaluations)
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path = Path(directory) / "journal.jsonl"
        laps = [time.perf_counter()]
        with Journal.create(path) as journal:
            for index in range(evaluations):
                record_evaluation(journal, index, parameters[index], energies[index])
                laps.append(time.perf_counter())
        costs = np.diff(laps) / 3 * 1e6
        start = time.perf_counter()
        contents = read_journal(path)
        reading = time.perf_counter() - start
        size = path.stat().st_size
    events = len(contents.events)
    print(f"{events} events, {size / events:.0f} bytes each")
    print(
        f"write  {costs.mean():6.1f} µs per event on average, {np.median(costs):.1f} in the median evaluation"
    )
    print(f"read   {reading / events * 1e6:6.1f} µs per event")


if __name__ == "__main__":
    main()

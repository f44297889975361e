"""Run directories as a run would leave them, made without running anything."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from runner.record.journal import Journal
from tests.journals import told

CONFIG = {
    "seed": 7,
    "experiment": {"name": "vqe"},
    "hamiltonian": {"name": "h2", "terms": {"YZ": 0.398, "ZI": -0.398}},
    "ansatz": {"name": "efficient_su2", "reps": 3, "gates": ["ry", "rz"]},
    "optimizer": {"name": "cobyla", "max_evaluations": 100, "tolerance": None},
    "estimator": {"name": "shots", "default_shots": 10_000},
    "backend": {"name": "ideal"},
    "session": {"name": "premium", "mode": "session", "max_time": "1h"},
}
REFERENCE = -1.25


def energy(index: int) -> float:
    """An energy that falls towards the reference."""
    return REFERENCE + math.exp(-index / 10)


def start(directory: Path, uri: str, artifacts: Path, **started: object) -> Journal:
    """A run directory whose run has just begun."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "figures").mkdir(exist_ok=True)
    config = {**CONFIG, "tracking": {"name": "mlflow", "uri": uri, "artifacts": str(artifacts)}}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    journal = Journal.create(directory / "journal.jsonl")
    fields = {
        "run_id": directory.name,
        "name": "h2,cobyla",
        "experiment": "vqe",
        "config": config,
        "schemas": {},
        "overrides": ["hamiltonian=h2"],
        "seed": 7,
        "versions": {"qiskit": "2.6.2", "python": "3.11"},
        "threads": 1,
        "processor": "any",
        "commit": "0123abc",
        "pid": 1,
    }
    journal.write(told("run.started", {**fields, **started}))
    journal.write(told("session", session("open", 0.0)))
    return journal


def session(state: str, time: float, reason: str | None = None) -> dict:
    """A session event."""
    return {
        "session": "s-1", "state": state, "status": "Pending", "reason": reason, "time": time,
        "accepting_jobs": True, "mode": "session", "backend": "aer_simulator", "max_time": 3600,
    }  # fmt: skip


def evaluate(journal: Journal, indices: Sequence[int], workload: str = "vqe") -> None:
    """The events of some evaluations."""
    for index in indices:
        job = {"job": f"{workload}-{index}", "workload": workload, "index": index}
        asked = {"session": "s-1", "tags": [], "program": "estimator", "digest": "d", "seed": 1}
        pubs = [{"values": [0.1] * 8, "shots": 10_000, "shape": []}]
        journal.write(told("job.submitted", {**job, **asked, "pubs": pubs, "time": 3.0 * index}))
        times = {
            "started": 3.0 * index,
            "finished": 3.0 * index + 2.5,
            "queue_seconds": 0.0,
            "qpu_seconds": 2.5,
        }
        result = [{"evs": energy(index), "stds": 0.01, "shots": 10_000}]
        ended = {"status": "DONE", "reason": None, "code": None, "digest": "d", "session": "s-1"}
        journal.write(told("job.completed", {**job, **ended, **times, "result": result}))
        best = min(energy(n) for n in range(index + 1))
        journal.write(told("evaluation", {**job, "energy": energy(index), "stddev": 0.01, "best": best}))


def end(directory: Path, journal: Journal, evaluations: int, status: str = "finished") -> None:
    """The last events and files of a run."""
    journal.write(told("session", session("closed", 3.0 * evaluations, "closed by the program")))
    result = {
        "experiment": "vqe", "status": status, "energy": energy(evaluations - 1), "stddev": 0.01,
        "reference_energy": REFERENCE, "error": energy(evaluations - 1) - REFERENCE,
        "evaluations": evaluations, "iterations": evaluations, "usage_seconds": 2.5 * evaluations,
        "wall_seconds": 1.0, "mlflow_run_id": None,
    }  # fmt: skip
    (directory / "session.json").write_text(json.dumps({"sessions": [session("closed", 0.0)]}))
    (directory / "figures" / "convergence.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (directory / "result.json").write_text(json.dumps(result))
    journal.write(told("result", {"result": result}))
    journal.write(told("run.ended", {"status": status, "stop_reason": "converged", "exit_code": 0}))
    journal.close()


def whole(directory: Path, uri: str, artifacts: Path, evaluations: int = 20, **started: object) -> Path:
    """A run that has finished."""
    journal = start(directory, uri, artifacts, **started)
    evaluate(journal, range(evaluations))
    end(directory, journal, evaluations)
    return directory

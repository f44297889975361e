"""Journal events made by hand, for tests of everything that reads journals."""

from __future__ import annotations

from typing import Any


def started(**more: Any) -> dict[str, Any]:
    """The event a run begins with."""
    return {
        "kind": "run.started", "t": 1.8e9, "name": "made", "experiment": "vqe", "seed": 1, "overrides": [],
        "config": {}, "schemas": {"hamiltonian": "pauli"}, "versions": {}, **more,
    }  # fmt: skip


def session(time: float, state: str, reason: str = "", *, accepting: bool = True) -> dict[str, Any]:
    """One transition of the session s."""
    return {
        "kind": "session", "session": "s", "state": state, "reason": reason, "time": time,
        "accepting_jobs": accepting, "mode": "dedicated", "backend": "ideal", "max_time": 100,
    }  # fmt: skip


def job(
    index: int,
    submitted: float,
    started: float | None,
    finished: float,
    *,
    workload: str = "vqe",
    status: str = "DONE",
    qpu: float | None = None,
    preparation: float = 0.0,
    result: Any = None,
) -> list[dict[str, Any]]:
    """Submission and completion of one job of the session s."""
    name = f"{workload}-{index}"
    common = {"job": name, "workload": workload, "index": index, "session": "s"}
    used = 0.0 if started is None else finished - started - preparation
    return [
        {
            **common, "kind": "job.submitted", "time": submitted, "preparation": preparation, "backend": "ideal",
            "tags": [], "qpu_estimate": used, "after": None, "work": [[100, None]],
        },
        {
            **common, "kind": "job.completed", "status": status, "reason": None, "started": started,
            "finished": finished, "time": finished, "qpu_seconds": used if qpu is None else qpu,
            "queue_seconds": (finished if started is None else started) - submitted, "result": result,
        },
    ]  # fmt: skip


def evaluation(
    index: int, energy: Any, best: float, workload: str = "vqe", stddev: float = 0.01
) -> dict[str, Any]:
    """One evaluation."""
    return {
        "kind": "evaluation", "workload": workload, "index": index, "energy": energy, "stddev": stddev,
        "best": best, "t": 1.8e9 + index,
    }  # fmt: skip

"""Journal events made by hand, for tests of everything that reads journals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.record import packed
from runner.record.events import Event, RunStarted, event_of


def told(kind: str, fields: dict[str, Any] | None = None, **more: Any) -> Event:
    """A fact as a journal gives it back, whatever another release says or does not say in it."""
    return event_of({"kind": kind, **(fields or {}), **more})


def resulted(**more: Any) -> dict[str, Any]:
    """What every release tells in result.json, of a run that found nothing."""
    return {
        "experiment": "vqe", "status": "finished", "energy": None, "stddev": None, "reference_energy": None,
        "error": None,
        "evaluations": 0, "iterations": 0, "parameters": [], "stop_reason": "done", "usage_seconds": 0.0, "cost": 0.0,
        "session_ids": [], "mlflow_run_id": None, "seed": 1, "wall_seconds": 1.0, "versions": {}, **more,
    }  # fmt: skip


def plain(directory: str | Path) -> Path:
    """The journal of a run, unpacked where the run is long enough to have it packed."""
    path = Path(directory, "journal.jsonl")
    if not path.exists():
        packed.unpack(path)
    return path


def started(**more: Any) -> RunStarted:
    """The event a run begins with."""
    event = told(
        "run.started", t=1.8e9, run_id="made", name="made", experiment="vqe", seed=1, overrides=[], config={},
        schemas={"hamiltonian": "pauli"}, versions={}, threads=1, processor="any",
    )  # fmt: skip
    return RunStarted.read({**vars(event), **more})


def session(time: float, state: str, reason: str = "", *, accepting: bool = True, **more: Any) -> Event:
    """One transition of the session s."""
    return told(
        "session", session="s", state=state, status="", reason=reason, time=time, accepting_jobs=accepting,
        **{"mode": "dedicated", "backend": "ideal", "max_time": 100, **more},
    )  # fmt: skip


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
    session: str | None = "s",
) -> list[Event]:
    """Submission and completion of one job of the session s."""
    name = f"{workload}-{index}"
    common = {"job": name, "workload": workload, "index": index, "digest": "", "session": session}
    used = 0.0 if started is None else finished - started - preparation
    return [
        told(
            "job.submitted", common, time=submitted, preparation=preparation, backend="ideal", tags=[],
            program="estimator", seed=1, qpu_estimate=used, after=None, pubs=[], work=[[100, None]],
        ),
        told(
            "job.completed", common, status=status, reason=None, started=started, finished=finished, time=finished,
            qpu_seconds=used if qpu is None else qpu, result=result,
            queue_seconds=(finished if started is None else started) - submitted,
        ),
    ]  # fmt: skip


def evaluation(index: int, energy: Any, best: float, workload: str = "vqe", stddev: float = 0.01) -> Event:
    """One evaluation."""
    return told(
        "evaluation", workload=workload, index=index, energy=energy, stddev=stddev, best=best, t=1.8e9 + index
    )

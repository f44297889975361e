"""What a journal says, in MLflow's words: metric values as the events come in, and how the run stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from runner.record.usage import Usage

STATUSES = {"finished": "FINISHED", "failed": "FAILED"}
"""How a run ended → MLflow's status; a run that stopped early or was interrupted is KILLED."""

_RESULT_METRICS = {
    "energy": "result/energy",
    "stddev": "result/stddev",
    "error": "result/error",
    "error_sigmas": "result/error_sigmas",
    "exact_energy": "result/exact_energy",
    "reference_energy": "result/reference_energy",
    "outside_sector": "result/outside_sector",
    "evaluations": "result/evaluations",
    "iterations": "result/iterations",
    "usage_seconds": "result/usage_seconds",
    "wall_seconds": "result/wall_seconds",
    "cost": "result/cost",
}


class Point(NamedTuple):
    """One metric value; sent twice it is stored once, because its time is the journal's."""

    workload: str | None
    """Whose run it belongs to; None: the run itself."""
    key: str
    value: float
    timestamp: int
    step: int


class Translation:
    """All that a journal says so far; `feed` it the events in order.

    A workload that is named like the experiment is the run itself; every other workload becomes a child run,
    so that the optimizers of a comparison lie side by side under the same metric names.
    """

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}
        self.ended: dict[str, Any] | None = None
        self.result: dict[str, Any] = {}
        self.hamiltonian: dict[str, Any] = {}
        """How the file of the Hamiltonian was understood."""
        self.session: dict[str, Any] = {}
        self.last = 0.0
        """Time of the last event."""
        self.children: dict[str, float] = {}
        """Workloads with a run of their own → time of their first evaluation."""
        self.non_finite: list[str] = []
        """Where a number was nan or infinite, as metric@step."""
        self.evaluations: list[dict[str, Any]] = []
        self.jobs: dict[tuple[str, int], dict[str, Any]] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._completed = 0
        self._usage = Usage()
        self._estimates: dict[str, dict[str, Any]] = {}
        """Workload → the last measurement of its result."""
        self._best = math.inf

    def feed(self, event: Mapping[str, Any]) -> list[Point]:
        """Take in one event; the metric values that follow from it."""
        self.last = event["t"]
        self._usage.feed(event)
        handler = getattr(self, "_on_" + event["kind"].replace(".", "_"), None)
        if handler is None:
            return []
        kept = []
        for point in handler(dict(event)):
            if math.isfinite(point.value):
                kept.append(point)
            else:
                self.non_finite.append(f"{point.key}@{point.step}")
        return kept

    @property
    def status(self) -> str:
        """MLflow's word for how the run ended; KILLED when nothing says that it did."""
        status = STATUSES.get(self.state, "KILLED")
        return "FAILED" if status == "FINISHED" and self.non_finite else status

    @property
    def state(self) -> str:
        """Our word for it; a run whose process died is interrupted."""
        return str(self.ended["status"]) if self.ended else "interrupted"

    def _on_run_started(self, event: dict[str, Any]) -> Iterator[Point]:
        self.started = event
        return iter(())

    def _on_run_resumed(self, _: dict[str, Any]) -> Iterator[Point]:
        self.ended = None
        return iter(())

    def _on_run_ended(self, event: dict[str, Any]) -> Iterator[Point]:
        self.ended = event
        return iter(())

    def _on_hamiltonian(self, event: dict[str, Any]) -> Iterator[Point]:
        self.hamiltonian = event
        return iter(())

    def _on_problem(self, event: dict[str, Any]) -> Iterator[Point]:
        if event.get("source"):
            self.hamiltonian = {"words": event["source"]} | self.hamiltonian
        return iter(())

    def _on_session(self, event: dict[str, Any]) -> Iterator[Point]:
        self.session = event
        return iter(())

    def _on_job_submitted(self, event: dict[str, Any]) -> Iterator[Point]:
        del event["pubs"]
        self._job(event).update(event, submitted=event["time"])
        return iter(())

    def _on_job_completed(self, event: dict[str, Any]) -> Iterator[Point]:
        event.pop("result", None)
        self._job(event).update(event)
        if not self._first("job", event):
            return
        when, step = _milliseconds(event), self._completed
        self._completed += 1
        yield Point(None, "session/qpu_seconds", self._usage.qpu, when, step)
        charged = self._usage.charged(number(event.get("finished")) or 0.0)
        if charged is not None:
            yield Point(None, "session/usage_seconds", charged, when, step)
        for field, key in (("finished", "session/clock_seconds"), ("queue_seconds", "session/queue_seconds")):
            value = number(event.get(field))
            if value is not None:
                yield Point(None, key, value, when, step)

    def _on_evaluation(self, event: dict[str, Any]) -> Iterator[Point]:
        if not self._first("evaluation", event):
            return
        owner = self._owner(event)
        when, step = _milliseconds(event), event["index"]
        self.evaluations.append(event)
        for field, key in (("energy", "value"), ("stddev", "stddev"), ("best", "best")):
            value = number(event.get(field))
            if value is not None:
                yield Point(owner, f"energy/{key}", value, when, step)
        gradient = number(event.get("gradient_norm"))
        if gradient is not None:
            yield Point(owner, "gradient/norm", gradient, when, step)
        best = number(event.get("best"))
        if owner is not None and best is not None:
            self._best = min(self._best, best)
            yield Point(None, "energy/best", self._best, when, len(self.evaluations) - 1)

    def _on_iteration(self, event: dict[str, Any]) -> Iterator[Point]:
        step = event.get("iteration", event.get("index"))
        if not isinstance(step, int) or not self._first("iteration", {**event, "index": step}):
            return
        own = {"seq", "t", "iteration", "index", "workload"}
        for field, item in event.items():
            value = number(item)
            if field not in own and value is not None and not isinstance(item, bool):
                key = "gradient/step_norm" if field == "gradient_norm" else f"iteration/{field}"
                yield Point(self._owner(event), key, value, _milliseconds(event), step)

    def _on_estimate(self, event: dict[str, Any]) -> Iterator[Point]:
        self._estimates[str(event["workload"])] = event
        return iter(())

    def _on_result(self, event: dict[str, Any]) -> Iterator[Point]:
        self.result = event.get("result", event)
        when = _milliseconds(event)
        for field, key in _RESULT_METRICS.items():
            value = number(self.result.get(field))
            if value is not None:
                yield Point(None, key, value, when, 0)
        reference = number(self.result.get("reference_energy"))
        if reference is None:
            return
        shared = all(row.get("exact") in (None, reference) for row in self.result.get("table") or [])
        after: dict[str, int] = {}
        for evaluation in self.evaluations:
            owner, value = self._owner(evaluation), number(evaluation.get("energy"))
            after[evaluation["workload"]] = evaluation["index"] + 1
            if value is not None and (owner is None or shared):
                moment = _milliseconds(evaluation)
                yield Point(owner, "evaluation/error", value - reference, moment, evaluation["index"])
        yield from self._answers(reference, after if shared else {}, when)

    def _answers(self, reference: float, after: Mapping[str, int], when: int) -> Iterator[Point]:
        """Distances of answers from the exact energy; a pick, being another point's by luck, has none.

        Args:
            reference: the exact energy.
            after: workload with this reference → its number of evaluations.
            when: the moment of the result.
        """
        error = number(self.result.get("error"))
        if error is not None:
            yield Point(None, "energy/error", error, when, len(self.evaluations))
        for workload, estimate in self._estimates.items():
            value, owner = number(estimate.get("energy")), self._owner(estimate)
            if value is not None and owner is not None and workload in after:
                moment, step = _milliseconds(estimate), after[workload]
                yield Point(owner, "energy/error", value - reference, moment, step)

    def _owner(self, event: Mapping[str, Any]) -> str | None:
        workload = str(event["workload"])
        if workload == self.started.get("experiment"):
            return None
        self.children.setdefault(workload, event["t"])
        return workload

    def _job(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return self.jobs.setdefault((str(event["workload"]), event["index"]), {})

    def _first(self, what: str, event: Mapping[str, Any]) -> bool:
        """Whether this fact was not told before: a journal may repeat one after a resume."""
        key = (what, str(event["workload"]), event["index"])
        fresh = key not in self._seen
        self._seen.add(key)
        return fresh


def number(value: Any) -> float | None:
    """A number of the journal, which writes nan and infinities as text; None for anything else."""
    if isinstance(value, int | float):
        return float(value)
    if value in ("nan", "inf", "-inf"):
        return float(value)
    return None


def _milliseconds(event: Mapping[str, Any]) -> int:
    return int(event["t"] * 1000)

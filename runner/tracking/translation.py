"""What a journal says, in MLflow's words: metric values as the events come in, and how the run stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from runner.display.words import but_for_residue
from runner.record.events import (
    Estimate,
    Evaluation,
    Event,
    HamiltonianRead,
    Iteration,
    JobCompleted,
    JobSubmitted,
    ProblemPosed,
    Result,
    RunEnded,
    RunResumed,
    RunStarted,
    SessionChanged,
)
from runner.record.quantity import ENERGY, quantity_of
from runner.record.replay import when_done
from runner.record.result import added_in_all, taken_in_all
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
    "shots": "result/shots",
    "qpu_seconds": "result/qpu_seconds",
    "usage_seconds": "result/usage_seconds",
    "wall_seconds": "result/wall_seconds",
    "cost": "result/cost",
}
VALUE_METRIC = "result/value"
"""What stands in place of result/energy where an observable was measured that is no energy."""


OF_EVALUATIONS = ("evaluation/error", "objective/error")
"""Metrics that are told at the end, and are those of evaluations, which stay."""


OF_ENERGIES = frozenset(
    (
        "energy/value", "energy/best", "energy/error", "objective/value", "objective/best", "objective/error",
        "evaluation/error", "iteration/energy", "iteration/objective", "result/energy", "result/value", "result/error",
        "result/exact_energy", "result/reference_energy",
    )
)  # fmt: skip
"""Metrics that are expectation values, or differences of two: what is no more than rounding leaves of 0 is 0."""


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
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.result: Mapping[str, Any] = {}
        """The content of result.json."""
        self.source: str | None = None
        """Where the Hamiltonian is from, or how its file was understood."""
        self.session: SessionChanged | None = None
        """What became of the session last."""
        self.last = 0.0
        """Time of the last event."""
        self.children: dict[str, float] = {}
        """Workloads with a run of their own → time of their first evaluation."""
        self.non_finite: list[str] = []
        """Where a number was nan or infinite, as metric@step."""
        self.evaluations: list[Evaluation] = []
        self.jobs: dict[tuple[str, int], dict[str, Any]] = {}
        """Workload and index → what is known of the job, without PUBs and results."""
        self._seen: set[tuple[object, ...]] = set()
        self._completed_jobs = 0
        self._usage = Usage()
        self._estimates: dict[str, Estimate] = {}
        """Workload → the last measurement of its result."""
        self._best = math.inf
        self.goes_on = False
        """Whether it had ended, and has gone on since."""
        self._told: list[Point] = []
        """What the store was told of the last end."""

    def feed(self, event: Event, *, overtaken: bool = False) -> list[Point]:
        """Take in one event; the metric values that follow from it.

        Args:
            event: the next one.
            overtaken: It is the result of an end that does not count any more, and that the store never heard of.
        """
        self.last = event.t
        self._usage.feed(event)
        if overtaken:
            return []
        if isinstance(event, RunResumed):
            return self._taken_back(event)
        kept = self._finite(event)
        if isinstance(event, Result):
            self._told = kept
        return kept

    def _taken_back(self, event: RunResumed) -> list[Point]:
        """What the run had come to is no number any more, as it goes on; a store forgets nothing."""
        self.goes_on = self.goes_on or self.ended is not None or bool(self.result)
        self.ended, self.result = None, {}
        told, self._told = self._told, []
        when = _milliseconds(event)
        return [
            point._replace(value=math.nan, timestamp=max(when, point.timestamp + 1))
            for point in told
            if point.key not in OF_EVALUATIONS
        ]

    def _finite(self, event: Event) -> list[Point]:
        kept = []
        for point in self._points(event):
            if math.isfinite(point.value):
                kept.append(self._without_residue(point))
            else:
                self.non_finite.append(f"{point.key}@{point.step}")
        return kept

    def _without_residue(self, point: Point) -> Point:
        if point.key not in OF_ENERGIES or (value := self._shown(point.value)) == point.value:
            return point
        return point._replace(value=value)

    def _shown(self, value: Any) -> Any:
        most = None if self.started is None else self.started.rounding
        return but_for_residue(value, most) if most and isinstance(value, float) else value

    def shown(self, event: Evaluation) -> dict[str, Any]:
        """What an evaluation says, to be shown: what is no more than rounding leaves of 0 is 0."""
        said = event.said()
        return {**said, "energy": self._shown(said["energy"]), "best": self._shown(said["best"])}

    def _points(self, event: Event) -> Iterable[Point]:
        match event:
            case Evaluation():
                return self._evaluated(event)
            case JobSubmitted():
                self._job(event).update(submitted=event.time)
            case JobCompleted():
                return self._completed(event)
            case Iteration():
                return self._stepped(event)
            case SessionChanged():
                self.session = event
            case Estimate():
                self._estimates[event.workload] = event
            case Result():
                return self._resulted(event)
            case _:
                self._note(event)
        return ()

    def _note(self, event: Event) -> None:
        """Take in what happens once or twice in a run, and is no number."""
        match event:
            case RunStarted():
                self.started = event
            case RunEnded():
                self.ended = event
            case HamiltonianRead():
                self.source = event.words
            case ProblemPosed():
                self.source = self.source or event.source

    @property
    def names_quantity(self) -> bool:
        """Whether the journal says what is evaluated; of earlier ones all is called energy, as it was then."""
        return self.started is not None and self.started.quantity is not None

    @property
    def quantity(self) -> str:
        """What is evaluated."""
        return quantity_of(self.started) if self.names_quantity else ENERGY

    @property
    def group(self) -> str:
        """What the names of metrics of evaluations begin with."""
        return "energy" if self.quantity == ENERGY else "objective"

    @property
    def status(self) -> str:
        """MLflow's word for how the run ended; KILLED when nothing says that it did."""
        status = STATUSES.get(self.state, "KILLED")
        return "FAILED" if status == "FINISHED" and self.non_finite else status

    @property
    def state(self) -> str:
        """Our word for it; a run whose process died is interrupted."""
        return self.ended.status if self.ended else "interrupted"

    def _completed(self, event: JobCompleted) -> Iterator[Point]:
        self._job(event).update(
            status=event.status, started=event.started, finished=event.finished, reason=event.reason,
            queue_seconds=event.queue_seconds, qpu_seconds=event.qpu_seconds,
        )  # fmt: skip
        if not self._first(*when_done(event)):
            return
        when, step = _milliseconds(event), self._completed_jobs
        self._completed_jobs += 1
        yield Point(None, "session/qpu_seconds", self._usage.qpu, when, step)
        charged = self._usage.charged(event.finished)
        if charged is not None:
            yield Point(None, "session/usage_seconds", charged, when, step)
        yield Point(None, "session/clock_seconds", event.finished, when, step)
        yield Point(None, "session/queue_seconds", event.queue_seconds, when, step)

    def _evaluated(self, event: Evaluation) -> Iterator[Point]:
        if not self._first("evaluation", event.workload, event.index):
            return
        owner = self._owner(event.workload, event.t)
        when, step = _milliseconds(event), event.index
        self.evaluations.append(event)
        group = self.group
        for key, said in (
            (f"{group}/value", event.energy),
            (f"{group}/stddev", event.stddev),
            (f"{group}/best", event.best),
            ("gradient/norm", event.gradient_norm),
        ):
            value = number(said)
            if value is not None:
                yield Point(owner, key, value, when, step)
        best = number(event.best)
        if owner is not None and best is not None:
            self._best = min(self._best, best)
            yield Point(None, f"{group}/best", self._best, when, len(self.evaluations) - 1)

    def _stepped(self, event: Iteration) -> Iterator[Point]:
        if not self._first("iteration", event.workload, event.iteration):
            return
        owner, when = self._owner(event.workload, event.t), _milliseconds(event)
        stands = "energy" if self.quantity == ENERGY else "objective"
        for name, item in {stands: event.energy, "evaluations": event.evaluations, **event.more}.items():
            value = number(item)
            if value is not None and not isinstance(item, bool):
                key = "gradient/step_norm" if name == "gradient_norm" else f"iteration/{name}"
                yield Point(owner, key, value, when, event.iteration)

    def _resulted(self, event: Result) -> Iterator[Point]:
        self.result = event.result
        when = _milliseconds(event)
        for field, key in _RESULT_METRICS.items():
            value = number(taken_in_all(self.result, field))
            if value is not None:
                yield Point(
                    None, VALUE_METRIC if field == "energy" and self._is_value else key, value, when, 0
                )
        for name, item in (self.result.get("measured_before") or {}).items():
            if (value := number(item)) is not None:
                yield Point(None, f"measured_before/{name}", value, when, 0)
        for name, item in (self.result.get("truncation") or {}).items():
            if (value := number(item)) is not None:
                yield Point(None, f"truncation/{name}", value, when, 0)
        mitigated = self.result.get("mitigation") or {}
        for name in ("qpu_seconds", "cost"):
            if (value := number(added_in_all(self.result, name))) is not None:
                yield Point(None, f"mitigation/{name}", value, when, 0)
        for name in ("raw", "mitigated", "learned_stddev", "sampling_overhead", "noise_gain"):
            if (value := number(mitigated.get(name))) is not None:
                yield Point(None, f"mitigation/{name}", value, when, 0)
        for name in ("shots", "qpu_seconds", "cost"):
            if (value := number((mitigated.get("learning") or {}).get(name))) is not None:
                yield Point(None, f"mitigation/learning_{name}", value, when, 0)
        amplified = mitigated.get("extrapolation") or {"noise_factors": [], "energies": []}
        for factor, energy in zip(amplified["noise_factors"], amplified["energies"], strict=True):
            if (value := number(energy)) is not None:
                yield Point(None, f"mitigation/noise_factor_{factor:g}", value, when, 0)
        for row in self.result.get("table") or []:
            yield from (
                Point(None, f"rung/{row['rung']}/{name}", value, when, 0)
                for name, item in row.items()
                if "rung" in row and (value := number(item)) is not None
            )
        reference = number(self.result.get("reference_energy"))
        if reference is None:
            return
        shared = all(row.get("exact") in (None, reference) for row in self.result.get("table") or [])
        after: dict[str, int] = {}
        for evaluation in self.evaluations:
            owner, value = self._owner(evaluation.workload, evaluation.t), number(evaluation.energy)
            after[evaluation.workload] = evaluation.index + 1
            if value is not None and (owner is None or shared):
                moment = _milliseconds(evaluation)
                key = "evaluation/error" if self.quantity == ENERGY else "objective/error"
                yield Point(owner, key, value - reference, moment, evaluation.index)
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
            value, owner = number(estimate.energy), self._owner(workload, estimate.t)
            if value is not None and owner is not None and workload in after:
                moment, step = _milliseconds(estimate), after[workload]
                yield Point(owner, "energy/error", value - reference, moment, step)

    @property
    def _is_value(self) -> bool:
        """Whether the result is the expectation value of an observable, and no energy."""
        return self.names_quantity and bool(self.result.get("observable"))

    def _owner(self, workload: str, time: float) -> str | None:
        if self.started is not None and workload == self.started.experiment:
            return None
        self.children.setdefault(workload, time)
        return workload

    def _job(self, event: JobSubmitted | JobCompleted) -> dict[str, Any]:
        """What is known of a job so far."""
        known = self.jobs.setdefault((event.workload, event.index), {})
        known.update(workload=event.workload, index=event.index, session=event.session, job=event.job)
        if isinstance(event, JobSubmitted):
            known["program"] = event.program
        return known

    def _first(self, *key: object) -> bool:
        """Whether this fact was not told before: a journal may repeat one after a resume."""
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


def _milliseconds(event: Event) -> int:
    return int(event.t * 1000)

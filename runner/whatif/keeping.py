"""How much of its session a recorded run would have kept for measuring its results, see `Lab._keep_time_for`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runner.declare.session import SessionConfig
from runner.record.events import Event
from runner.record.replay import RESULTS
from runner.run.context import MOST_CANDIDATES
from runner.runtime.cost import CostModel, Work
from runner.runtime.retime import Kept, RecordedJob, Story

GENEROUS = 4 * MOST_CANDIDATES
"""Times what measuring took: more than is kept, where it is not known what was to be measured."""


@dataclass
class _Settled:
    """Jobs of some minimizations, and those that measured what they came to."""

    jobs: list[RecordedJob] = field(default_factory=list)
    measured: list[RecordedJob] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    """The workloads whose energies the last of those told."""


def kept(events: Sequence[Event], session: SessionConfig, *, fixed_shots: bool) -> dict[str, Kept]:
    """Job → what has to be left of the session after it, for those that would wait for that.

    Args:
        events: the run's, oldest first.
        session: the conditions it would run under.
        fixed_shots: every energy takes as many shots; else what a run keeps is not what its jobs took.
    """
    if session.mode == "job" or session.on_expiry != "stop":
        return {}
    waits = session.mode != "session" or session.latency > session.limits.interactive(session.mode)
    pause = session.latency + (session.queue_delay.seconds if waits else 0.0)
    model = CostModel(overhead=session.overhead, rep_delay=session.rep_delay)
    found = {}
    for settled in _settled(Story.of(events)):
        needed = _needed(settled, _points(settled) if fixed_shots else None, model, pause)
        found.update(dict.fromkeys((job.id for job in settled.jobs), needed))
    return found


def _settled(story: Story) -> Iterator[_Settled]:
    """Minimizations in their turn; what is measured when there is none, as the best of several, is nobody's."""
    present = _Settled()
    reported = deque(story.reported)
    for place, job in enumerate(story.jobs):
        while reported and reported[0][0] <= place:
            present.reported.append(reported.popleft()[1])
        if job.workload == RESULTS and not present.reported:
            present.measured.append(job)
        else:
            if present.reported and present.jobs:
                yield present
            if present.reported:
                present = _Settled()
            (present.measured if job.workload == RESULTS else present.jobs).append(job)
    present.reported += [workload for _, workload in reported]
    if present.reported and present.jobs:
        yield present


def _needed(settled: _Settled, parts: list[Sequence[Work]] | None, model: CostModel, pause: float) -> Kept:
    """Choosing among the most candidates and reporting one, of every workload, and once more the lowest of several."""
    if parts is None:
        measured = sum(model.qpu_seconds(job.work or ()) + pause for job in settled.measured)
        learned = [
            model.qpu_seconds(job.work or ()) + pause for job in settled.jobs if job.layers is not None
        ]
        needed = GENEROUS * measured + max(learned, default=0.0)
        return Kept(pause=pause, needed=needed, once_more=measured, exactly=False)
    single = [model.qpu_seconds(part) + pause for part in parts]
    several = [
        model.qpu_seconds([Work(MOST_CANDIDATES * executions, duration) for executions, duration in part]) + pause
        for part in parts
    ]  # fmt: skip
    return Kept(pause=pause, needed=sum(single) + sum(several), once_more=max(single), exactly=True)


def _points(settled: _Settled) -> list[Sequence[Work]] | None:
    """What one point of each workload makes the device do; None where what is reported is not what was minimized."""
    work = (settled.measured[-1].work or ()) if settled.measured else ()
    count = len(settled.reported)
    if not work or len(work) % count:
        return None
    size = len(work) // count
    parts: list[Sequence[Work]] = [work[place : place + size] for place in range(0, len(work), size)]
    minimized = {job.workload: job.work or () for job in settled.jobs}
    if minimized.keys() != set(settled.reported):
        return None
    for workload, part in zip(settled.reported, parts, strict=True):
        if not _some_points(minimized[workload], part):
            return None
    return parts


def _some_points(work: Sequence[Work], single: Sequence[Work]) -> bool:
    """Whether a job evaluates what another one evaluates at a single point."""
    return len(work) == len(single) and all(
        many.duration == one.duration and many.executions % one.executions == 0
        for many, one in zip(work, single, strict=True)
    )

"""What a recorded run would have cost under another mode, plan, limit or queue, without simulating again
(M1).

What a job returned does not depend on when it ran, so the recorded jobs are put through the state machine
once more: each is submitted as long after the job it followed on as it was in the recorded run, and costs
the recorded QPU seconds. Noise that a job learned for those after it is learned once in every session that takes it,
however many sessions were recorded.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any, NamedTuple, Self

from runner.declare.checks import shorten
from runner.errors import ConfigError, UsageLimitError
from runner.record.events import Estimate, Event, JobCompleted, JobSubmitted, SessionChanged
from runner.record.log import of, remembered
from runner.record.replay import LEARNER
from runner.runtime.cost import CostModel, QueueDelay, Work, as_delay
from runner.runtime.duration import parse_duration
from runner.runtime.machine import BATCH, CLOSED, DEDICATED, DONE, QUEUED, TOLD, Job, Machine, SessionRecord
from runner.runtime.plan import PLANS, Plan

MODES = {"session": DEDICATED, "dedicated": DEDICATED, "batch": BATCH, "job": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class RetimedJob:
    """When one recorded job would have run."""

    workload: str
    index: int
    submitted: float
    started: float | None
    finished: float | None
    status: str
    session: str | None


@dataclass(frozen=True, kw_only=True)
class Retimed:
    """A run under other conditions."""

    mode: str
    plan: str
    complete: bool
    """Whether every recorded job was done."""
    jobs: tuple[RetimedJob, ...]
    lost: int
    """Jobs that were killed by the end of a session, or never submitted because of it."""
    sessions: int
    """Sessions or batches that were opened."""
    duration: float
    """From the beginning to the end of the last job [s]."""
    qpu_seconds: float
    queue_seconds: float
    """Waiting between submission and start, over all jobs [s]."""
    usage_seconds: float | None
    """What is charged: active time of sessions, QPU time of batches and jobs [s]; None where that was not told."""
    cost: float | None
    """`usage_seconds` at the plan's price [USD]."""
    events: tuple[SessionChanged, ...] = field(repr=False, default=())
    """The session transitions, for drawing the timeline."""
    held_back: str = ""
    """`yes`: a job was not submitted, since time is kept for measuring the result; `perhaps`: one might not have been.

    What a run measures then is not recorded, so that its other numbers are not those that it would have had.
    """
    learns_otherwise: bool = False
    """Jobs fell into other sessions than recorded, and it is not known which of them take noise that is learned there.

    What learning it again takes is in no number then.
    """


class Kept(NamedTuple):
    """What has to be left of a session after a job; seconds on its clock."""

    pause: float
    """Between two jobs."""
    needed: float
    """To measure the results of all workloads that are minimized."""
    once_more: float
    """To measure the lowest of several again."""
    exactly: bool
    """They are what a run keeps; else more than that."""


class _End(NamedTuple):
    """What matters of how a recorded job ended."""

    started: float | None
    finished: float
    queue_seconds: float
    qpu_seconds: float
    status: str
    session_ended: bool

    @classmethod
    def of(cls, event: JobCompleted, known: dict[Any, Any]) -> Self:
        """How a job ended; what others say too is kept once, in `known`."""
        return cls(
            event.started, event.finished, known.setdefault(event.queue_seconds, event.queue_seconds),
            known.setdefault(event.qpu_seconds, event.qpu_seconds), intern(event.status), event.session_ended,
        )  # fmt: skip

    @property
    def done(self) -> bool:
        return self.status == DONE


@dataclass(slots=True)
class RecordedJob:
    """What matters of how a job was submitted, without what it evaluates."""

    id: str
    workload: str
    index: int
    session: str | None
    device: str
    tags: tuple[str, ...]
    submitted: float
    after: str | None
    """The job that it followed on."""
    qpu_estimate: float | None
    preparation: float
    work: tuple[Work, ...] | None
    """What the cost model reckons it by; None on a real machine."""
    program: str
    layers: tuple[str, ...] | None
    """The layers whose noise it learned for those after it, and how; None of every other job."""


@dataclass(frozen=True)
class Story:
    """What the events of a run say of its jobs and sessions, read once."""

    jobs: list[RecordedJob]
    ended: dict[str, _End]
    """Job → how it ended."""
    sessions: tuple[SessionChanged, ...]
    reported: list[tuple[int, str]]
    """Jobs submitted before an answer was told, and its workload."""

    @classmethod
    def of(cls, events: Sequence[Event]) -> Story:
        """That of a run, its events oldest first."""
        return remembered(events, "story", lambda: cls._of(events))

    @classmethod
    def _of(cls, events: Sequence[Event]) -> Story:
        jobs: list[RecordedJob] = []
        ended: dict[str, _End] = {}
        sessions: list[SessionChanged] = []
        reported: list[tuple[int, str]] = []
        seen: dict[str, str] = {}
        known: dict[Any, Any] = {}
        latest = None
        for event in of(events, JobSubmitted, JobCompleted, SessionChanged, Estimate):
            if isinstance(event, JobSubmitted):
                after = event.after if event.work is not None else seen.get(event.workload, latest)
                jobs.append(_recorded(event, after, known))
            elif isinstance(event, JobCompleted):
                job = known.setdefault(event.job, event.job)
                ended[job] = _End.of(event, known)
                seen[event.workload] = latest = job
            elif isinstance(event, SessionChanged):
                sessions.append(event)
            elif isinstance(event, Estimate):
                reported.append((len(jobs), event.workload))
        return cls(jobs, ended, tuple(sessions), reported)


def _recorded(event: JobSubmitted, after: str | None, known: dict[Any, Any]) -> RecordedJob:
    """A job as it was submitted; what others are called and do too is kept once, in `known`.

    On a real machine nobody knows what a program had seen. A workload goes on when its last job is over; one that
    begins goes on from whichever job was over last.
    """
    work = (
        None if event.work is None else tuple(known.setdefault(part, part) for part in map(_work, event.work))
    )
    tags = tuple(event.tags)
    return RecordedJob(
        known.setdefault(event.job, event.job),
        intern(event.workload),
        event.index,
        None if event.session is None else intern(event.session),
        intern(event.backend),
        known.setdefault(tags, tags),
        event.time,
        known.get(after, after),
        known.setdefault(event.qpu_estimate, event.qpu_estimate),
        known.setdefault(event.preparation, event.preparation),
        known.setdefault(work, work),
        intern(event.program),
        _layers(event),
    )


def _layers(event: JobSubmitted) -> tuple[str, ...] | None:
    """What a job learned for those after it; None of every other job, and of one that a program asked for by itself."""
    if event.program != LEARNER or event.workload != LEARNER:
        return None
    return tuple(sorted(json.dumps(pub.get("layer"), sort_keys=True) for pub in event.pubs))


def _work(part: Sequence[Any]) -> Work:
    return Work(*part)


@dataclass(slots=True)
class _Recorded:
    """One job of the recorded run."""

    id: str
    workload: str
    offset: int
    """By how much its index was more than how many its workload had submitted before, those of lost sessions too."""
    device: str
    submitted: float
    gap: float
    """From the end of the job it followed to its submission [s]."""
    qpu_seconds: float
    preparation: float
    tags: tuple[str, ...]
    takes: bool = False
    """Whether it takes noise that is learned in its session."""
    followers: list[_Recorded] = field(default_factory=list)
    order: int = 0


class _Learning(NamedTuple):
    """The job that learns the noise which others take."""

    qpu_seconds: float
    preparation: float
    gap: float
    """From its end to the submission of the job that waited for it [s]."""


class _Read(NamedTuple):
    """The recorded run as it is put through the machine."""

    first: list[_Recorded]
    """Jobs that followed on no other."""
    closing_gap: float
    """What passed between the last job and `close()` [s]."""
    total: int
    """Jobs, but for those of `learning`."""
    learning: _Learning | None
    """Submitted before the first job of a session that takes noise; None: jobs that learned it are jobs like others."""
    puzzling: bool
    """Noise was learned, and it is not known for which jobs."""
    reaction: float
    """What passes until the program goes on in another session after the end of one [s]."""


def retime(
    events: Sequence[Event],
    *,
    mode: str = "session",
    plan: str | Plan = "premium",
    max_time: int | str | None = None,
    interactive_timeout: float | None = None,
    queue_delay: QueueDelay | float | None = None,
    latency: float | None = None,
    cost: CostModel | None = None,
    lanes: int = 5,
    reopen: bool = False,
    reaction: float = 0.0,
    kept: Mapping[str, Kept] | None = None,
    takers: Collection[str] | None = None,
    seed: int = 0,
    price_per_second: float | None = None,
) -> Retimed:
    """Put a recorded run through the state machine under other conditions.

    Args:
        events: The run's, oldest first.
        mode: session | batch | job.
        plan: The plan's name, or a `Plan`.
        max_time: The sessions' limit; the plan's if not given.
        interactive_timeout: Seconds a session stays active without a job; the plan's if not given.
        queue_delay: What a job waits that does not belong to an active session.
        latency: Seconds between a job's end and the next submission; as recorded if not given.
        cost: Recomputes QPU seconds by another model; as recorded if not given.
        lanes: Jobs whose classical phases may overlap.
        reopen: The program goes on in another session when one ends; otherwise it stops.
        reaction: Seconds between the last job and `close()`, where the recorded run shows no reaction at all.
        kept: Job → what has to be left of its session for it to be submitted; nothing for others.
        takers: Workloads whose jobs of the Estimator take noise that a job has learned in their session; None: not
            known.
        seed: Seeds the queue delays, as a service of that seed draws them.
        price_per_second: USD; the plan's if not given.
    """
    if mode not in MODES:
        raise ConfigError(f"mode must be session, batch or job, got {mode!r}")
    if isinstance(plan, str) and plan not in PLANS:
        raise ConfigError(f"plan must be one of {', '.join(PLANS)}, got {plan!r}")
    chosen = plan if isinstance(plan, Plan) else PLANS[plan]
    story = Story.of(events)
    names = None if takers is None else sorted(takers)
    read = remembered(
        events,
        f"re-timed with {cost}, {latency}, {reaction} and noise for {names}",
        lambda: _read(story, cost, latency, reaction, takers),
    )
    replay = _Replay(
        Machine(chosen, lanes=lanes),
        MODES[mode],
        parse_duration(max_time),
        interactive_timeout,
        as_delay(queue_delay),
        seed,
        reopen,
        kept or {},
        read.learning,
        read.reaction,
    )
    replay.run(read.first, read.closing_gap)
    jobs = list(replay.machine.jobs.values())
    done = sum(job.status == DONE and job.payload is not None for job in jobs)
    lost = read.total - done + replay.learning_to_come
    now = replay.machine.now
    usage = sum(session.usage(now) or 0.0 for session in replay.machine.sessions.values())
    usage += sum(job.qpu_used for job in jobs if job.session is None)
    otherwise = read.puzzling and _other_sessions(story, jobs)
    replay.machine.jobs.clear()  # the machine and its observer know each other, and would keep them for a while
    return Retimed(
        mode=mode,
        plan=chosen.name,
        complete=done == read.total,
        jobs=tuple(_retimed(job) for job in jobs),
        lost=lost,
        sessions=len(replay.machine.sessions),
        duration=max((job.finished for job in jobs if job.finished is not None), default=0.0),
        qpu_seconds=sum(job.qpu_used for job in jobs),
        queue_seconds=sum(job.started - job.submitted for job in jobs if job.started is not None),
        usage_seconds=usage,
        cost=usage * (chosen.price_per_second if price_per_second is None else price_per_second),
        events=tuple(replay.events),
        held_back=replay.held_back,
        learns_otherwise=otherwise,
    )


def _other_sessions(story: Story, jobs: Sequence[Job]) -> bool:
    """Whether jobs that are done share sessions with others than they were recorded with."""
    recorded = {job.id: job.session for job in story.jobs}
    done = [job for job in jobs if job.status == DONE]
    pairs = {(recorded[job.payload.id], None if job.session is None else job.session.id) for job in done}
    one_way, other_way = {before for before, _ in pairs}, {now for _, now in pairs}
    return (None in one_way) != (None in other_way) or not len(pairs) == len(one_way) == len(other_way)


def as_recorded(
    events: Sequence[Event],
    *,
    mode: str,
    plan: str,
    usage_seconds: float | None,
    cost: float | None,
) -> Retimed:
    """Tell what happened in the form of what would have happened; nothing is played again.

    Args:
        events: The run's, oldest first.
        mode: session | batch | job.
        plan: The plan's name.
        usage_seconds: What was charged [s]; None where that was not told.
        cost: The price of that [USD].
    """
    story = Story.of(events)
    ended = story.ended
    jobs = [_happened(job, ended.get(job.id)) for job in story.jobs]
    done = sum(job.status == DONE for job in jobs)
    replaced = sum(end.session_ended for end in ended.values())
    return Retimed(
        mode=mode,
        plan=plan,
        complete=done == len(jobs) - replaced,
        jobs=tuple(jobs),
        lost=len(jobs) - done,
        sessions=len({event.session for event in story.sessions}),
        duration=max((end.finished for end in ended.values()), default=0.0),
        qpu_seconds=sum(end.qpu_seconds for end in ended.values()),
        queue_seconds=sum(end.queue_seconds for end in ended.values() if end.started is not None),
        usage_seconds=usage_seconds,
        cost=cost,
        events=story.sessions,
    )


def _happened(job: RecordedJob, end: _End | None) -> RetimedJob:
    return RetimedJob(
        workload=job.workload,
        index=job.index,
        submitted=job.submitted,
        started=None if end is None else end.started,
        finished=None if end is None else end.finished,
        status=QUEUED if end is None else end.status,
        session=job.session,
    )


def _retimed(job: Job) -> RetimedJob:
    return RetimedJob(
        workload=job.workload,
        index=job.index,
        submitted=job.submitted,
        started=job.started,
        finished=job.finished,
        status=job.status,
        session=job.session.id if job.session is not None else None,
    )


def _read(
    story: Story,
    cost: CostModel | None,
    latency: float | None,
    reaction: float,
    takers: Collection[str] | None,
) -> _Read:
    ended = story.ended
    learners = _learners(story, takers)
    jobs: dict[str, _Recorded] = {}
    replaced: dict[str, tuple[str | None, float]] = {}
    submitted: Counter[str] = Counter()
    first: list[_Recorded] = []
    latest: dict[str, str] = {}
    learning = None
    for told in story.jobs:
        if told.id in jobs:
            raise ConfigError(f"job {shorten(told.id, 80)} is submitted twice in the journal; it is damaged")
        offset = told.index - submitted[told.workload]
        submitted[told.workload] += 1
        after = told.after
        gap = max(0.0, told.submitted - (ended[after].finished if after in ended else 0.0))
        learner = None if after is None else learners.get(after)
        waiting = gap if latency is None else latency
        while after in replaced:  # it followed on a job that was lost with its session: take that one's place
            after, gap = replaced[after]
        if learner is not None and told.workload in latest and told.workload not in learner.tags:
            after = latest[told.workload]  # it waited for what another workload had learned
        if latency is not None and after is not None:
            gap = latency
        end = ended.get(told.id)
        if end is not None and end.session_ended:
            replaced[told.id] = (after, gap)
            continue
        qpu, preparation = _taken(told, end)
        if cost is not None:
            qpu, preparation = _reckoned(told, cost), cost.preparation
        if told.id in learners:  # whether it comes here is for the sessions to say
            replaced[told.id] = (after, gap)
            learning = learning or _Learning(qpu, preparation, 0.0)
            continue
        if learner is not None and learning is not None and not learning.gap:
            learning = learning._replace(gap=waiting)
        takes = bool(learners) and _takes(told, takers or ())
        job = _Recorded(
            told.id, told.workload, offset, told.device, told.submitted, gap, qpu, preparation, told.tags,
            takes, order=len(jobs),
        )  # fmt: skip
        jobs[job.id] = job
        latest[job.workload] = job.id
        (jobs[after].followers if after in jobs else first).append(job)
    shortest = min(
        (job.gap for start in first for job in _tree(start) if job is not start),
        default=reaction,
    )
    reaction = shortest if latency is None else latency
    closing_gap = _closing_gap(story, reaction, latency)
    puzzling = not learners and any(job.layers is not None for job in story.jobs)
    return _Read(first, closing_gap, len(jobs), learning, puzzling, reaction)


def _takes(job: RecordedJob, takers: Collection[str]) -> bool:
    return job.workload in takers and job.program == "estimator"


def _learners(story: Story, takers: Collection[str] | None) -> dict[str, RecordedJob]:
    """Return the jobs that learned what every job of `takers` takes; none where that cannot be told.

    It can where all of them learned the same layers, none of them for a program that asked for that: each was followed
    by a job that takes them, and every such job had them learned in its session. Where there are several layers, a job
    may take some of them only; all jobs take the same where their circuits are alike, as their lengths tell.
    """
    found = {job.id: job for job in story.jobs if job.layers is not None}
    if takers is None or len({(job.device, job.layers) for job in found.values()}) != 1:
        return {}
    before: dict[str, str | None] = {}
    learned: set[tuple[str | None, str]] = set()
    alone = {name for name in found if name in story.ended and story.ended[name].done}
    circuits = set()
    for job in story.jobs:
        before.setdefault(job.id, job.after if job.after in before else None)
        end = story.ended.get(job.id)
        if job.id in found:
            if end is None or not (end.done or end.session_ended) or not set(job.tags) <= set(takers):
                return {}
            if end.done:
                learned.update((job.session, "" if job.session is not None else name) for name in job.tags)
        elif _takes(job, takers):
            circuits.add(frozenset(part.duration for part in job.work or ()))
            if (job.session, "" if job.session is not None else job.workload) not in learned:
                return {}
            after = job.after if end is None or not end.session_ended else None
            while after in found or (after in story.ended and story.ended[after].session_ended):
                alone.discard(
                    after
                )  # learned in vain, where that was lost at the end of a session, and learned again
                after = before.get(after)
    (layers,) = {job.layers or () for job in found.values()}
    return {} if alone or (len(layers) > 1 and len(circuits) > 1) else found


def _taken(job: RecordedJob, end: _End | None) -> tuple[float, float]:
    """Seconds on the QPU, and of classical work before: on a real machine all that its turn took besides."""
    qpu = end.qpu_seconds if end is not None and (end.done or job.qpu_estimate is None) else job.qpu_estimate
    if job.work is not None or end is None or end.started is None:
        return qpu or 0.0, job.preparation
    return qpu or 0.0, max(0.0, end.finished - end.started - (qpu or 0.0))


def _reckoned(job: RecordedJob, cost: CostModel) -> float:
    """Seconds on the QPU by a model.

    Raises:
        ConfigError: it ran on a real machine.
    """
    if job.work is None:
        raise ConfigError(
            "jobs of a real machine took what they took, no model says it; leave it out",
            key="cost",
        )
    return cost.qpu_seconds(job.work)


def _tree(start: _Recorded) -> Iterator[_Recorded]:
    """A job and all that followed on it, without recursion: there may be thousands in a row."""
    waiting = [start]
    while waiting:
        job = waiting.pop()
        yield job
        waiting += job.followers


def _closing_gap(story: Story, reaction: float, latency: float | None) -> float:
    """Return what passes between the last job and `close()`: nothing where that was called before the job was over.

    Args:
        story: The run's.
        reaction: Seconds where no `close()` was recorded.
        latency: Seconds in place of the recorded ones; None: as recorded.
    """
    end = max((job.finished for job in story.ended.values()), default=0.0)
    lost = any(job.session_ended for job in story.ended.values())
    closing: dict[str, float] = {}
    for event in story.sessions:
        if event.reason.startswith("closed") or (event.reason == TOLD and event.state == CLOSED and not lost):
            closing.setdefault(event.session, event.time)
    if not closing:
        return reaction
    called = closing[next(reversed(closing))]
    return max(0.0, called - end) if latency is None or called < end else latency


@dataclass(slots=True)
class _Known:
    """Noise that is learned in one place."""

    waiting: list[_Recorded]
    """Jobs that wait for it."""
    done: bool = False


class _Replay:
    """The program of the recorded run, as far as the machine sees it."""

    def __init__(
        self,
        machine: Machine,
        mode: str | None,
        max_time: float | None,
        interactive_timeout: float | None,
        queue_delay: QueueDelay,
        seed: int,
        reopen: bool,
        kept: Mapping[str, Kept],
        learning: _Learning | None,
        reaction: float,
    ) -> None:
        self.machine = machine
        self.events: list[SessionChanged] = []
        self._mode = mode
        self._max_time = max_time
        self._interactive_timeout = interactive_timeout
        self._queue_delay = queue_delay
        self._seed = seed
        self._reopen = reopen
        self._kept = kept
        self._evaluated: set[str] = set()
        self.held_back = ""
        self._learning = learning
        self._reaction = reaction
        self._learners: dict[str, _Known] = {}
        self._known: dict[tuple[str, str], _Known] = {}
        self._answered: set[str] = set()
        self._submitted: Counter[str] = Counter()
        self._sessions: dict[str, SessionRecord] = {}
        self._agenda: list[tuple[float, int, _Recorded]] = []
        self._ended: list[Job] = []
        machine.listen(self._observe)

    def run(self, first: list[_Recorded], closing_gap: float) -> None:
        """Submit everything in its turn, until nothing is left to happen."""
        for job in first:
            self._later(job, job.gap)
        machine = self.machine
        while self._agenda or machine.unfinished:
            instant = machine.next_time()
            if instant is not None and (not self._agenda or instant <= self._agenda[0][0]):
                machine.step()
            else:
                time, _, job = heapq.heappop(self._agenda)
                machine.advance(time)
                self._submit(job)
            self._follow()
        machine.advance(machine.now + closing_gap)
        for session in self._sessions.values():
            machine.close_session(session)

    def _later(self, job: _Recorded, time: float) -> None:
        heapq.heappush(self._agenda, (time, job.order, job))

    def _observe(self, event: type[Event], what: Any) -> None:
        if event is SessionChanged:
            self.events.append(what)
        elif event is JobCompleted:
            self._ended.append(what)

    def _follow(self) -> None:
        """Let the program go on that waited for the jobs that have just ended."""
        ended, self._ended = self._ended, []
        for job in ended:
            if job.payload is None:
                self._learned(job)
                continue
            recorded: _Recorded = job.payload
            if job.status == DONE:
                if job.session is not None:
                    self._answered.add(job.session.id)
                if recorded.id in self._kept:
                    self._evaluated.add(recorded.workload)
                for follower in recorded.followers:
                    self._later(follower, self.machine.now + follower.gap)
            elif self._reopen and job.session_ended:
                self._later(recorded, self.machine.now + self._reaction)

    def _submit(self, recorded: _Recorded) -> None:
        machine = self.machine
        try:
            session = self._session(recorded.device)
        except UsageLimitError:
            return
        if session is not None and not session.accepting:
            return
        if recorded.takes and self._learning is not None and not self._knows(recorded, session):
            return
        if session is not None and not self._admits(session, recorded):
            return
        index = self._submitted[recorded.workload] + recorded.offset
        self._submitted[recorded.workload] += 1
        self._hand_in(
            Job(
                f"{recorded.id}/{len(machine.jobs)}",
                machine.device(recorded.device),
                session,
                recorded.qpu_seconds,
                recorded.preparation,
                self._queue_delay.draw(self._seed, recorded.workload, index),
                0,
                recorded.workload,
                index,
                recorded.tags,
                payload=recorded,
            )
        )

    def _hand_in(self, job: Job) -> None:
        machine = self.machine
        over = machine.foresee((job,))
        if over and (not self._agenda or over[0] <= self._agenda[0][0]):
            machine.carry_out((job,), over[0])  # nothing can come between
            self._ended.append(job)
            return
        try:
            machine.submit(job)
        except UsageLimitError:
            return

    def _knows(self, recorded: _Recorded, session: SessionRecord | None) -> bool:
        """Whether the noise that a job takes is learned where it goes; else it waits for the job that learns it.

        In a session or batch it is learned for all workloads, in job mode by each for itself.
        """
        learning, machine = self._learning, self.machine
        assert learning is not None
        where = (recorded.device, recorded.workload) if session is None else (session.id, "")
        known = self._known.get(where)
        if known is not None:
            if not known.done:
                known.waiting.append(recorded)
            return known.done
        known = self._known[where] = _Known([recorded])
        index = len(self._learners)
        job = Job(
            f"{LEARNER}/{len(machine.jobs)}",
            machine.device(recorded.device),
            session,
            learning.qpu_seconds,
            learning.preparation,
            self._queue_delay.draw(self._seed, LEARNER, index),
            0,
            LEARNER,
            index,
            recorded.tags,
        )
        self._learners[job.id] = known
        self._hand_in(job)
        return False

    def _learned(self, job: Job) -> None:
        """Let those go on that waited for what a job learns."""
        learning, known = self._learning, self._learners[job.id]
        assert learning is not None
        waiting, known.waiting = known.waiting, []
        known.done = job.status == DONE
        if not known.done:
            self._known = {where: other for where, other in self._known.items() if other is not known}
        if known.done or (self._reopen and job.session_ended):
            for recorded in waiting:
                self._later(recorded, self.machine.now + (learning.gap if known.done else self._reaction))

    @property
    def learning_to_come(self) -> int:
        """Jobs that learn noise which was never learned: those of a run that ended before."""
        return int(self._learning is not None and not any(known.done for known in self._known.values()))

    def _admits(self, session: SessionRecord, job: _Recorded) -> bool:
        """Whether the results so far can still be measured after a job; see `Lab._admit`."""
        kept = self._kept.get(job.id)
        if kept is None or not self._evaluated:
            return True
        needed = kept.needed + (kept.once_more if len(self._evaluated) > 1 else 0.0)
        if self.machine.time_left(session) >= job.qpu_seconds + kept.pause + needed:
            return True
        self.held_back = "yes" if kept.exactly else self.held_back or "perhaps"
        return not kept.exactly

    def _session(self, device: str) -> SessionRecord | None:
        """Return the present session on a device, opening one if there is none, or none that takes jobs."""
        if self._mode is None:
            return None
        session = self._sessions.get(device)
        if session is not None and self._learned_in_vain(session):
            return session
        if session is None or (self._reopen and not session.accepting):
            name = f"session-{len(self.machine.sessions)}"
            session = self.machine.open_session(
                name, device, self._mode, self._max_time, self._interactive_timeout
            )
            self._sessions[device] = session
        return session

    def _learned_in_vain(self, session: SessionRecord) -> bool:
        """Whether a session had time to learn noise, and for no job that takes it; see `Lab._require_answer`."""
        if session.accepting or session.id in self._answered:
            return False
        return any(job.payload is None and job.session is session for job in self.machine.jobs.values())

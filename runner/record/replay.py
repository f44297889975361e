"""Every fact of a run on its way into the journal; on resume, the check that the past repeats itself."""

from __future__ import annotations

import itertools
import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runner.errors import ResumeError
from runner.record.encoding import are_said_by, encode, is_said_by
from runner.record.events import (
    SHOTS,
    BudgetReached,
    Checkpoint,
    Event,
    JobCompleted,
    JobSubmitted,
    Reserve,
    RunEnded,
    RunInterrupted,
    RunResumed,
    RunStarted,
    SessionChanged,
)
from runner.record.journal import Journal
from runner.record.log import EventLog, Selection, first, of
from runner.record.redaction import redact

Listener = Callable[[Event], None]

IDENTITY = 5
"""How jobs are told apart by digest, shots drawn and circuits simulated; raised whenever any of it changes, told
in `run.started` (absent: 1). A run goes on with what it was begun with where that is still known, and is refused where
it is not."""

COUNTED = 3
"""From this identity on shots may be counted at once (see `runner.engine.measurement.draw_counts`), and the moments of
an evolution in time are digested as such."""

EVOLVED = 4
"""From this identity on noise is simulated by the noisy kernel, and what it does not know by estimated cost."""

FUSED = 5
"""From this identity on the kernel lets gates of one layer or pair take one pass together, which rounds in another
way."""

READ_AHEAD = 256
"""Jobs of a workload whose ends are read at once, if they are near: one by one, each takes several times as long."""

RESULTS = "result"
"""The workload whose jobs measure the results of the others."""

POOL = "pool"
"""The workload whose jobs measure by which operator an ansatz grows next; its parameters are of no circuit that is."""

LEARNER = "noise-learner"
"""The program that learns the noise of layers, and the workload of its jobs."""

_MEASURE = (RESULTS, LEARNER)
"""The workloads of jobs that measure results, and of those that learn noise for them or for others."""

_TOLD = frozenset(("exact", "error", "shots", "qpu_seconds", "cost"))
"""Columns of a row that tell what it is compared with, how far from that it is, and what it took: nothing is done by
them, and a later release may know them better. What jobs took is compared job by job."""

_DECIDING = frozenset((RunInterrupted, RunResumed, Reserve, BudgetReached, RunEnded))


class Record:
    """Writes events to the journal before anybody acts on them, and tells the listeners.

    On resume it holds the events of the run so far. The run starts over and produces the same facts again; each is
    compared with what was recorded and not written twice. Facts are compared stream by stream (one kind of one
    workload), because between threads only the order within a stream is fixed.
    """

    identity = IDENTITY
    """How this run's jobs were told apart, and its shots drawn, when it was started."""

    measured_before: Sequence[tuple[JobSubmitted, JobCompleted]] = ()
    """Jobs that measured the result of a part that stopped, and that going on does not repeat: they were charged."""

    left: Sequence[Left] = ()
    """Where the run stopped, and has gone on in another session."""

    def __init__(self, journal: Journal, recorded: Sequence[Event] = ()) -> None:
        self._journal = journal
        self._results: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self._listeners: list[tuple[Listener, tuple[type[Event], ...]]] = []
        self._told: dict[type[Event], tuple[Listener, ...]] = {}
        self._released: tuple[type[Event], ...] = ()
        self._silent = False
        self.recalled = 0
        """Jobs answered from the journal so far."""
        self._recalled: Counter[str] = Counter()
        self._next: dict[str, dict[int, JobCompleted]] = {}
        """The recorded ends of each workload's jobs that are repeated now, by index."""
        self._recorded = recorded
        self.identity = identity_of(recorded)
        places, gone_on, self.left = _lasting(recorded, resumed=True)
        self._past = _streams(recorded, places)
        """Where the events of each stream are that have not been repeated yet, the next one last."""
        measured = {place for (_, stream), past in self._past.items() if stream in _MEASURE for place in past}
        for past in self._past.values():
            past.reverse()
        before: list[int] = []
        for place, workload, index in _jobs_done(recorded):
            if place < gone_on and place not in measured and self._measures(workload, place):
                before.append(place)
                continue  # it measured the result of a run that goes on now, or learned noise for that
            # a job that came to its end while the session was closed is paid for as well
            self._results[workload][index] = place
        others = (place for workload in _MEASURE for place in self._results.get(workload, {}).values())
        self.measured_before = _charged_once(recorded, before, others)

    def _measures(self, workload: str, place: int) -> bool:
        """Whether a job which is over measured a result, or learned noise for one that does, whose tags it has then."""
        if workload != LEARNER:
            return workload == RESULTS
        return RESULTS in _whole(self._recorded, place)[0].tags

    def listen(self, listener: Listener, *facts: type[Event]) -> None:
        """Call `listener(event)` for all of these facts from now on, replayed ones included; none: for every fact.

        A submission that `follows` from what is recorded is only told where somebody listens to submissions.
        """
        self._listeners.append((listener, facts))
        self._told = {}

    def release(self, *facts: type[Event]) -> list[Event]:
        """Everything recorded of these, which from now on are written as they come and compared no more.

        For a service that cannot repeat its past, but remembers it.
        """
        self._released = facts
        kinds = {fact.kind for fact in facts}
        for stream in [stream for stream in self._past if stream[0] in kinds]:
            del self._past[stream]
        return list(of(self._recorded, *facts))

    def refuse(self) -> bool:
        """Write nothing from now on, where nothing new has been written; whether that is so.

        For a run whose past is not what it repeats: what it does to come to its end is no fact, and a journal that
        is refused stays as it is.
        """
        self._silent = self._silent or self._journal.untouched
        return self._silent

    def __call__(self, event: Event) -> None:
        """Record one fact.

        Raises:
            ResumeError: the journal says that something else happened at this point.
            StorageError: the disk refused.
        """
        if self._silent:
            return
        kind = type(event)
        place = None
        if kind is RunInterrupted:
            self._past = {}  # what shutting down does is this process's own: nothing of the past repeats it
        elif self._past and (past := self._past.get((event.kind, event.stream))):
            place = past.pop()
        if place is not None:
            self._compare(place, event)
        elif kind.derived and kind not in self._released:
            self._journal.write_later(event)
        else:
            self._journal.write(event)
        listeners = self._told.get(kind)
        for listener in self._hears(kind) if listeners is None else listeners:
            listener(event)

    def _hears(self, kind: type[Event]) -> tuple[Listener, ...]:
        """Whom facts of a class are told."""
        found = self._told.get(kind)
        if found is None:
            found = self._told[kind] = tuple(
                listener for listener, facts in self._listeners if not facts or kind in facts
            )
        return found

    def follows(self, workload: str, index: int, digest: str) -> bool:
        """Whether the submission of a job needs no telling, because its end is recorded, of a job that asked the same.

        All that the end says is compared: its times, and with them when the job was submitted and what it takes. A
        recorded submission counts as repeated.
        """
        if not self._past or self._hears(JobSubmitted):
            return False
        event = self._end(workload, index)
        if event is None or event.digest != digest:
            return False
        past = self._past.get((JobSubmitted.kind, workload))
        if not past:
            return False
        past.pop()
        return True

    def all(self, events: Sequence[Event]) -> None:
        """Record facts one after the other; those of the past are read many at a time, which takes less for each."""
        recorded, places = self._recorded, array("Q")
        if isinstance(recorded, EventLog):
            for event in events:
                past = self._past.get((event.kind, event.stream))
                if not past:
                    break
                places.append(past.pop())
        repeated = events[: len(places)]
        said: Iterable[dict[str, Any] | None] = itertools.repeat(None)
        if isinstance(recorded, EventLog) and places and not are_said_by(recorded.texts(places), repeated):
            said = recorded.said(places)
        for found, place, event in zip(said, places, repeated, strict=False):
            if found is not None and found != event.said():
                self._compare(place, event)
            for listener in self._hears(type(event)):
                listener(event)
        for event in events[len(places) :]:
            self(event)

    def ahead(self, workload: str, index: int) -> list[JobCompleted]:
        """The recorded ends of a workload's jobs from one on that gave results, in order, as many as are at hand."""
        if not self._past or workload not in self._results:
            return []
        return [event for number, event in self._at_hand(workload, index).items() if number >= index]

    def _end(self, workload: str, index: int) -> JobCompleted | None:
        """The recorded end of a job that has a result; None of any other."""
        if index not in self._results.get(workload, ()):
            return None
        return self._at_hand(workload, index)[index]

    def _at_hand(self, workload: str, index: int) -> dict[int, JobCompleted]:
        """The recorded ends of a workload's jobs that were read last, by index, of this one if it has a result."""
        known = self._next.get(workload, {})
        if index not in known:
            places = self._results[workload]
            ahead = [places[number] for number in range(index, index + READ_AHEAD) if number in places]
            known = self._next[workload] = {event.index: event for event in self._ends(ahead)}
        return known

    def _ends(self, places: Sequence[int]) -> list[JobCompleted]:
        if isinstance(self._recorded, EventLog):
            return self._recorded.jobs_done(self._recorded.near(places))
        return [event for event in map(self._recorded.__getitem__, places) if isinstance(event, JobCompleted)]

    def recall(self, workload: str, index: int, digest: str) -> Sequence[Mapping[str, Any]] | None:
        """What the journal holds as the result of this job; None where it was not executed yet.

        Raises:
            ResumeError: the job at this place asked for something else.
        """
        event = self._end(workload, index)
        if event is None:
            return None
        if event.digest != digest:
            raise another_job(workload, index, digest, event.digest, self.identity)
        self.recalled += 1
        self._recalled[workload] += 1
        return event.result

    def answers(self, workload: str) -> bool:
        """Whether the past, with all of what is recorded, may hold the end of the next job of a workload."""
        return bool(self._past) and self.repeats(workload)

    def ends_of(self, workload: str, index: int, digests: Sequence[str]) -> list[JobCompleted]:
        """The recorded ends of the jobs from one on with these digests, up to the first of which that is not so simple.

        Each is what comes next of its workload, and its submission needs no telling. Nothing counts as repeated by
        that: what `follows`, `recall` and the comparison of the end do, `repeat` does once the ends are found to be as
        recorded.
        """
        over, begun = (
            self._past.get((kind, workload), ()) for kind in (JobCompleted.kind, JobSubmitted.kind)
        )
        if self._hears(JobSubmitted):
            return []
        found: list[JobCompleted] = []
        coming = zip(digests, reversed(over), reversed(begun), strict=False)
        leaving = {part.jobs.get(workload) for part in self.left}
        for number, (digest, place, _) in enumerate(coming, index):
            if self._results[workload].get(number) != place or number in leaving:
                break
            event = self._at_hand(workload, number)[number]
            if event.digest != digest:
                break
            found.append(event)
        return found

    def repeat(self, events: Sequence[JobCompleted]) -> None:
        """Take jobs as repeated, from their submissions to the ends which `ends_of` gave, and tell the listeners."""
        if not events:
            return
        workload, count = events[0].workload, len(events)
        del self._past[JobSubmitted.kind, workload][-count:]
        del self._past[JobCompleted.kind, workload][-count:]
        self.recalled += count
        self._recalled[workload] += count
        for listener in self._hears(JobCompleted):
            for event in events:
                listener(event)

    def leaves(self, workload: str, index: int) -> Sequence[SessionChanged]:
        """The ends of the sessions that ended when the run had stopped before this job; told once, else none."""
        ended: Sequence[SessionChanged] = ()
        for part in self.left:
            if part.jobs.get(workload) == index:
                del part.jobs[workload]
                ended = part.ended
        return ended

    @property
    def whole(self) -> bool:
        """Whether every recorded job that gave a result has been repeated."""
        return not any(map(self.repeats, self._results))

    def repeats(self, workload: str) -> bool:
        """Whether the next job of a workload is one that the journal holds the result of."""
        return self._recalled[workload] < len(self._results.get(workload, {}))

    def _compare(self, place: int, event: Event) -> None:
        """Let pass what is written as it was recorded, to the byte; look closer at what is not."""
        recorded = self._recorded
        if type(event) is JobCompleted:  # most were read for their result just before
            at_hand = self._next.get(event.workload, {}).get(event.index)
            if at_hand is not None and at_hand.said() == event.said():
                return
        if isinstance(recorded, EventLog) and is_said_by(recorded.text(place), event):
            return
        _compare(recorded[place], event, self.identity)


def _streams(recorded: Sequence[Event], places: Sequence[int]) -> dict[tuple[str, str], array[int]]:
    """Where the events of each kind and stream are, of these places; of a journal's, most are not read for that."""
    if isinstance(recorded, EventLog):
        return recorded.streams(places)
    found: dict[tuple[str, str], array[int]] = {}
    for place in places:
        event = recorded[place]
        found.setdefault((event.kind, event.stream), array("Q")).append(place)
    return found


def _jobs_done(recorded: Sequence[Event]) -> Iterator[tuple[int, str, int]]:
    """Place, workload and index of every job that gave a result."""
    if isinstance(recorded, EventLog):
        yield from recorded.done()
        return
    for place, event in enumerate(recorded):
        if isinstance(event, JobCompleted) and event.status == "DONE":
            yield place, event.workload, event.index


def _whole(recorded: Sequence[Event], place: int) -> tuple[JobSubmitted, JobCompleted]:
    """The submission of the job which is over at a place, the last one with its id, and its end."""
    over = recorded[place]
    assert isinstance(over, JobCompleted)
    submitted = next(
        event
        for event in (recorded[before] for before in range(place, -1, -1))
        if isinstance(event, JobSubmitted) and event.job == over.job
    )
    return submitted, over


def _charged_once(
    recorded: Sequence[Event], places: Sequence[int], others: Iterable[int]
) -> list[tuple[JobSubmitted, JobCompleted]]:
    """The jobs which are over at some places, those told again left out, and those told at other places."""
    told = {when_done(recorded[place]) for place in others} if places else set()
    found = []
    for place in places:
        one = when_done(recorded[place])
        if one not in told:
            told.add(one)
            found.append(_whole(recorded, place))
    return found


def when_done(over: Event) -> tuple[object, ...]:
    """What tells the end of a job from all others: its number and id are used again once a run has gone on, later."""
    assert isinstance(over, JobCompleted)
    return over.job, over.session, over.started, over.finished


def identity_of(recorded: Sequence[Event]) -> int:
    """How a run's jobs were told apart, and its shots drawn, when it was started."""
    started = first(recorded[:1], RunStarted)
    return IDENTITY if started is None else started.identity


def another_job(workload: str, index: int, digest: str, recorded: str, identity: int) -> ResumeError:
    """The error for a job that asks for something else than the recorded one, or that was told by an older digest."""
    why = "the code or its inputs changed"
    if identity < IDENTITY:
        why = (
            "its inputs or the processor changed, or it was recorded when a digest did not hold what the definitions "
            "of gates do; resume it with the release that began it, or start a new run"
        )
    return ResumeError(
        f"job {index} of workload {workload!r} differs from the recorded one "
        f"(PUB digest {digest[:12]}, recorded {recorded[:12]}); {why}"
    )


def goes_on(event: Event) -> bool | None:
    """False from where a run is only shutting down, True from where it goes on; None for all other events.

    A simulation that failed for want of memory or by a fault of Aer is no fact about the experiment: another attempt
    may succeed, so the job that failed and what other workloads did after it are not part of the story.
    """
    if isinstance(event, RunInterrupted | RunResumed):
        return isinstance(event, RunResumed)
    return False if isinstance(event, JobCompleted) and event.simulation_failed else None


def lasting(events: Sequence[Event]) -> Sequence[Event]:
    """The replayable events, without those of shutting down an interrupted process.

    A run that stopped to measure its result while its session lasted, and was resumed, went on from where it stopped.
    """
    places = lasting_places(events)
    if isinstance(events, EventLog):
        return Selection(events, places)
    return [events[place] for place in places]


def lasting_places(events: Sequence[Event]) -> array[int]:
    """Where the events of a journal are that last."""
    return _lasting(events, resumed=False)[0]


class Left(NamedTuple):
    """Where a run stopped while its session lasted, which it closed then, and has gone on in another."""

    jobs: dict[str, int]
    """Workload that was stopped → index of its job that did not begin, until that is repeated."""
    ended: Sequence[SessionChanged]
    """The ends of sessions since then, the last of which was closed; none in job mode."""


def _lasting(events: Sequence[Event], *, resumed: bool) -> tuple[array[int], int, list[Left]]:
    """Where the events are that last, where a run went on the last time that undid a stop, and what it left, each time.

    Args:
        events: of a journal.
        resumed: the run goes on now.
    """
    kept = array("Q")
    reached, gone_on = 0, 0
    stop = Stop()
    left: list[Left] = []
    stops: dict[str, int] = {}
    # An interrupted process still closes its session and measures what it has. The next one repeats the program, which
    # knows nothing of that, so these facts are left out before the past is compared.
    for place, event in _boundaries(events, resumed=resumed):
        if not stop.shutting_down:
            kept.extend(_replayed(events, range(reached, place)))
        reached = place
        if isinstance(event, Reserve | BudgetReached) and not stop.shutting_down:
            stops.setdefault(event.workload, len(kept))
        if (undone := stop.undone(event, len(kept))) is not None:
            if isinstance(event, RunResumed) and event.leaves:
                left.append(_left(events, kept, undone, stops))
            del kept[undone:]
            gone_on, stops = place, {}
        if goes_on(event) is not None:
            reached = place + 1
    if not stop.shutting_down:
        kept.extend(_replayed(events, range(reached, len(events))))
    return kept, gone_on, left


def _left(events: Sequence[Event], kept: array[int], undone: int, stops: Mapping[str, int]) -> Left:
    """What a run has left that stopped.

    Args:
        events: of its journal.
        kept: places of those that lasted until its end.
        undone: how many of these came before the first stop.
        stops: workload → how many of these came before it was stopped.
    """
    jobs = {
        workload: len(_streams(events, kept[:before]).get((JobSubmitted.kind, workload), ()))
        for workload, before in stops.items()
    }
    changes = [
        event
        for (kind, _), places in _streams(events, kept[undone:]).items()
        if kind == SessionChanged.kind
        for event in map(events.__getitem__, places)
        if isinstance(event, SessionChanged) and event.state == "closed"
    ]
    return Left(jobs, sorted(changes, key=lambda event: event.time))


def _replayed(events: Sequence[Event], places: range) -> Iterator[int]:
    """Those of the places at which there is what a resumed run produces again."""
    if isinstance(events, EventLog):
        return events.replayed(places)
    return (place for place in places if events[place].replayed)


def _boundaries(events: Sequence[Event], *, resumed: bool) -> Iterator[tuple[int, Event]]:
    """Place and event of all that may decide about others."""
    if isinstance(events, EventLog):
        for place in sorted({*events.places(*_DECIDING), *events.spoiled}):
            yield place, events[place]
    else:
        for place, event in enumerate(events):
            if type(event) in _DECIDING or (isinstance(event, JobCompleted) and event.simulation_failed):
                yield place, event
    if resumed:
        yield len(events), RunResumed(leaves=True)


class Stop:
    """Finds out when a stop in good time, to measure the result, is undone by going on, and what a run stopped for."""

    reopens = False
    """Whether its session ended a part of the run and it went on: from then on another session follows on each."""

    def __init__(self) -> None:
        self._since: Any = None
        self._status: str | None = None
        self._budgets: list[BudgetReached] = []
        self._reserved = False
        self._astray = False
        self.shutting_down = False
        """Whether what comes is of a process that was interrupted, or failed, and comes to its end."""

    @property
    def used_up(self) -> list[BudgetReached]:
        """The budgets that ended the run, where it has not gone on since: none of shots where its session did that."""
        if self._status not in _OVER:
            return []
        return [fact for fact in self._budgets if fact.key != SHOTS or not self._session_over]

    @property
    def _session_over(self) -> bool:
        """Whether the part of the run that is over ended with its session, if some that raced had used up their shots.

        A run that stops for a budget of shots alone has evaluated nothing, or it were finished.
        """
        if self._status != "stopped":
            return False
        return self._reserved or all(fact.key == SHOTS and fact.spent > 0 for fact in self._budgets)

    def undone(self, event: Event, state: Any) -> Any:
        """What `state` was when the run stopped, if this event is that it goes on; else None."""
        boundary = goes_on(event)
        if boundary is not None:
            self.shutting_down = not boundary
        if isinstance(event, Reserve | BudgetReached):
            if self.shutting_down:  # the run comes to that once more
                return None
            self._since = state if self._since is None else self._since
            if isinstance(event, BudgetReached):
                self._budgets.append(event)
                return None
            self._reserved = True
            if self.reopens:
                # Early releases forgot, when a run was broken while it went on, that another session follows, and
                # stopped it once more where it had gone on from.
                self._astray = True
        elif isinstance(event, RunEnded):
            self._status = event.status
        elif isinstance(event, RunResumed):
            return self._gone_on()
        return None

    def _gone_on(self) -> Any:
        if self._status not in _OVER and not self._astray:
            self._status = None
            return None  # it was broken, and what it was about to stop for is still to come
        self.reopens = self.reopens or self._session_over
        since, self._since = self._since, None
        self._status, self._budgets, self._reserved, self._astray = None, [], False, False
        return since


_OVER = ("stopped", "finished")
"""How a part of a run ends that goes on with more: one that used up its shots is finished, and may get more."""


def stop_of(events: Sequence[Event], *, resumed: bool = False) -> Stop:
    """What a run stopped for.

    Args:
        events: of its journal.
        resumed: the run goes on now.
    """
    stop = Stop()
    for _, event in _boundaries(events, resumed=resumed):
        stop.undone(event, None)
    return stop


def _compare(recorded: Event, event: Event, identity: int) -> None:
    expected, found = recorded.said(), json.loads(encode(event.said()))
    if identity < IDENTITY and expected.get("digest") != found.get("digest"):
        raise another_job(found["workload"], found["index"], found["digest"], expected["digest"], identity)
    left_out = _TOLD if isinstance(event, Checkpoint) else frozenset()
    for key in (expected.keys() | found.keys()) - left_out:
        if expected.get(key) != found.get(key):
            raise ResumeError(
                f"{event.kind} differs from the journal at {key!r}: recorded {_short(expected.get(key))}, "
                f"now {_short(found.get(key))}; the code, its inputs or the environment changed"
            )


def _short(value: object) -> str:
    text = redact(str(value))
    return text if len(text) <= 40 else text[:39] + "…"

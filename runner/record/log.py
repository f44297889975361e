"""The events of a journal, however many there are: read from its file whenever they are looked at."""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, overload

import orjson

from runner.errors import JournalError
from runner.lazy import np
from runner.record.encoding import DEEPEST, from_line, require_readable, require_shallow
from runner.record.events import (
    RESERVED,
    RUN,
    Evaluation,
    Event,
    Iteration,
    JobCompleted,
    JobSubmitted,
    Other,
    Result,
    RunResumed,
    SessionChanged,
    Vocabulary,
    check_numbers,
    event_of,
)
from runner.record.files import MAX_DECLARED, MAX_VALUES
from runner.record.lines import LEAST, checked, head
from runner.record.packed import OpenFile

if TYPE_CHECKING:
    import re

Kind = TypeVar("Kind", bound=Event)
Kind2 = TypeVar("Kind2", bound=Event)
Found = TypeVar("Found")

WINDOW = 1 << 18
"""Bytes that are read at a time."""

TOGETHER = 1 << 20
"""Bytes that are read at once where lines are asked for together."""

_PLAIN = frozenset((SessionChanged, JobSubmitted, JobCompleted, Evaluation, Iteration))
"""Facts without integers beyond 64 bits, which the fast parser would round; there are very many of these."""

_NUMBERED = (JobSubmitted, JobCompleted, Evaluation)
"""Facts that are numbered in their workload."""

_OF_A_WORKLOAD = frozenset((JobSubmitted, JobCompleted, Evaluation, Iteration))

_KIND = b',"kind":"'
_SPOILED = b'"simulation_failed":true'

NO_INDEX = -1
"""Of a line that tells no number where it begins."""


_Key = tuple[bytes, bytes | None, bytes | None]
"""Kind, workload and status, as a line begins with them."""


class Sort(NamedTuple):
    """What lines have in common that tell one kind of fact of one workload."""

    fact: type[Event]
    stream: str | None
    """None: the line has to be read for it."""
    status: str | None
    """Of a job that is over; None: as with the stream."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, kind: bytes, workload: bytes | None, status: bytes | None) -> Self:
        """From what a line begins with."""
        fact = vocabulary.get(kind.decode(), Other)
        stream = None
        if workload is not None and fact in _OF_A_WORKLOAD:
            with contextlib.suppress(UnicodeDecodeError):  # who reads the line finds that it is no event
                stream = workload.decode()
        return cls(fact, stream, None if status is None else status.decode())


class Looked(Sequence[Event]):
    """Events that are read when they are looked at, and what was found in them."""

    def remember(self, what: str, make: Callable[[], Found]) -> Found:
        """What `make` gives, kept under a name until there are more events."""
        remembered = self.__dict__.setdefault("_remembered", {})
        known = remembered.get(what)
        if known is None or known[0] != len(self):
            known = remembered[what] = len(self), make()
        found: Found = known[1]
        return found


class EventLog(Looked):
    """The intact events of a journal, oldest first, without their checksums.

    Kept are where each line begins, of which sort it is, the number of what it tells and which job, some thirty bytes
    an event. Whoever needs some sorts only asks `of` for them, and the lines of all others are not parsed.
    """

    def __init__(self, file: OpenFile, vocabulary: Vocabulary = RUN) -> None:
        self._file = file
        self._vocabulary = vocabulary
        self._starts = array("Q", [0])
        self._sorts = array("I")
        self._known: list[Sort] = []
        self._codes: dict[_Key, int] = {}
        self._by_kind: dict[bytes, list[int]] = {}
        self._indices = array("q")
        self._jobs = array("q")
        self._spoiled = array("Q")
        self._window = 0, b""

    def add(self, line: bytes) -> None:
        """Take in the next line of the file, which was found intact and is here without its end.

        Raises:
            ValueError: it is no event.
        """
        require_readable(line, most=MAX_VALUES if self._sorts else MAX_DECLARED)
        require_shallow(line)
        begins = head(line)
        if begins is not None:
            self._take((begins,))
        else:
            start = line.find(_KIND, 0, 96) + len(_KIND)
            plain = start >= len(_KIND)
            kind = line[start : line.index(b'"', start)] if plain else from_line(line).kind.encode()
            self._sorts.append(self._code((kind, None, None)))
            self._indices.append(NO_INDEX)
            self._jobs.append(0)
        if self._known[self._sorts[-1]].fact is JobCompleted and _SPOILED in line:
            self._spoiled.append(len(self._sorts) - 1)
        self._starts.append(self._starts[-1] + len(line) + 1)

    def add_all(self, block: bytes, crc: int) -> int | None:
        """Take in the next lines of the file, with their ends, if all of them are intact; the last one's checksum.

        None: nothing was taken in, since one may be damaged or is unusual; they have to be checked one by one.

        Args:
            block: the lines.
            crc: of the line before, which is there.
        """
        if len(block) < LEAST or _SPOILED in block:
            return None
        lines = checked(block, len(self._sorts), crc, DEEPEST)
        if lines is None or lines.lengths.max() > MAX_VALUES:
            return None
        self._take(lines.heads)
        self._starts.frombytes((self._starts[-1] + lines.lengths.cumsum()).astype("u8").tobytes())
        return lines.crc

    def _take(self, heads: Sequence[re.Match[bytes]]) -> None:
        """Take note of what the next lines begin with."""
        keys = [(begins[1], begins[3], begins[5]) for begins in heads]
        for key in set(keys).difference(self._codes):
            self._code(key)
        self._sorts.extend(map(self._codes.__getitem__, keys))
        self._indices.extend([NO_INDEX if (index := begins[4]) is None else int(index) for begins in heads])
        self._jobs.extend([0 if (job := begins[2]) is None else hash(job) for begins in heads])

    def _code(self, key: _Key) -> int:
        """The number of a sort."""
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = len(self._known)
            self._known.append(Sort.of(self._vocabulary, *key))
            self._by_kind.setdefault(key[0], []).append(code)
        return code

    # -- looking ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._sorts)

    @overload
    def __getitem__(self, position: int) -> Event: ...
    @overload
    def __getitem__(self, position: slice) -> list[Event]: ...
    def __getitem__(self, position: int | slice) -> Event | list[Event]:
        places = range(len(self))[position]
        return self._event(places) if isinstance(places, int) else [self._event(place) for place in places]

    def __iter__(self) -> Iterator[Event]:
        return map(self._event, range(len(self)))

    def __reversed__(self) -> Iterator[Event]:
        return (self._event(place, backwards=True) for place in range(len(self) - 1, -1, -1))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == yours for mine, yours in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def of(self, *wanted: type[Event]) -> Iterator[Event]:
        """The events of some sorts, oldest first."""
        return self.at(self.places(*wanted))

    def last(self, *wanted: type[Event]) -> Event | None:
        """The newest event of some sorts; None where there is none."""
        chosen = self._chosen(wanted)
        codes = self._sorts
        for place in range(len(codes) - 1, -1, -1):
            if codes[place] in chosen:
                return self._event(place)
        return None

    def places(self, *wanted: type[Event]) -> Iterator[int]:
        """Where the events of some sorts are."""
        return self.chosen(range(len(self)), *wanted)

    def chosen(self, places: Iterable[int], *wanted: type[Event]) -> Iterator[int]:
        """Those of the places at which there are events of some sorts."""
        chosen, sorts = self._chosen(wanted), self._sorts
        return (place for place in places if sorts[place] in chosen)

    def at(self, places: Iterable[int]) -> Iterator[Event]:
        """The events at these places."""
        return map(self._event, places)

    def facts(self) -> Iterator[type[Event]]:
        """The classes of all events, without reading them."""
        facts = [sort.fact for sort in self._known]
        return map(facts.__getitem__, self._sorts)

    def fact(self, place: int) -> type[Event]:
        """The class of one event, without reading it."""
        return self._known[self._sorts[place]].fact

    def stream(self, place: int) -> str:
        """The stream of one event."""
        stream = self._known[self._sorts[place]].stream
        return self._event(place).stream if stream is None else stream

    def streams(self, places: Sequence[int]) -> dict[tuple[str, str], array[int]]:
        """Where the events of each kind and stream are, of these places, in order; few are read for that."""
        numbers: dict[tuple[str, str], int] = {}
        known = np.array(
            [
                NO_INDEX if sort.stream is None
                else numbers.setdefault((sort.fact.kind, sort.stream), len(numbers))
                for sort in self._known
            ],
            dtype=np.intp,
        )  # fmt: skip
        chosen = np.array(places, dtype=np.uint64)
        found = known[np.array(self._sorts)[chosen]]
        for number in np.flatnonzero(found == NO_INDEX).tolist():
            place = int(chosen[number])
            key = self.fact(place).kind, self._event(place).stream
            found[number] = numbers.setdefault(key, len(numbers))
        order = np.argsort(found, kind="stable")
        ends = np.cumsum(np.bincount(found, minlength=len(numbers)))
        parts = zip(numbers, np.split(chosen[order], ends[:-1]), strict=True) if numbers else ()
        return {key: array("Q", part.tobytes()) for key, part in parts if len(part)}

    def replayed(self, places: range) -> Iterator[int]:
        """Those of the places at which there is what a resumed run produces again."""
        sorts, chosen = self._sorts, {code for code, sort in enumerate(self._known) if sort.fact.replayed}
        return (place for place in places if sorts[place] in chosen)

    def done(self) -> Iterator[tuple[int, str, int]]:
        """Place, workload and index of every job that gave a result, few of which are read for that."""
        known, sorts, indices = self._known, self._sorts, self._indices
        for place in self.places(JobCompleted):
            _, workload, status = known[sorts[place]]
            index = indices[place]
            if workload is None or status is None or index == NO_INDEX:
                event = self._event(place)
                assert isinstance(event, JobCompleted)
                workload, index, status = event.workload, event.index, event.status
            if status == "DONE":
                yield place, workload, index

    def jobs_done(self, places: Sequence[int]) -> list[JobCompleted]:
        """The ends of jobs that gave results, without their numbers and times; many at once take less time each.

        Only their results are looked at for what they hold: everything else is compared with what it should be.

        Raises:
            JournalError: one is no list of what PUBs gave.
        """
        found = []
        for place, said in zip(places, self._parsed(places), strict=True):
            event = event_of(said, self._vocabulary)
            assert isinstance(event, JobCompleted)
            for name in RESERVED:
                said.pop(name, None)
            try:
                check_numbers(event.result)  # type: ignore[arg-type]
            except ValueError as error:
                raise JournalError(f"line {place + 1} of {self._file.path} is no event: {error}") from error
            found.append(event)
        return found

    def said(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """What the lines of events say besides their numbers, times and kinds, which nobody has looked through."""
        found = self._parsed(places)
        for one in found:
            for name in RESERVED:
                one.pop(name, None)
        return found

    def _parsed(self, places: Sequence[int]) -> list[dict[str, Any]]:
        lines = self.texts(places)
        with contextlib.suppress(ValueError):  # half a surrogate pair
            found: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(lines))
            if len(found) == len(lines):
                return found
        return list(map(json.loads, lines))

    def near(self, places: Sequence[int]) -> Sequence[int]:
        """The first of some places, in order, that one read reaches; at least one, however long its line is."""
        starts, count = self._starts, len(places)
        while count > 1 and starts[places[count - 1] + 1] - starts[places[0]] > TOGETHER:
            count //= 2
        return places[:count]

    def texts(self, places: Sequence[int]) -> list[bytes]:
        """Lines that are near one another, read beside the window: who asks for them goes on with those between."""
        starts = self._starts
        first, end = starts[min(places)], starts[max(places) + 1]
        if end - first > TOGETHER:
            return list(map(self.text, places))
        read = self._file.read(end - first, first)
        return [read[starts[place] - first : starts[place + 1] - first - 1] for place in places]

    def checksum(self, place: int) -> str:
        """The checksum of one line, which is one of all before it too."""
        return self.text(place)[-len('01234567"}') : -len('"}')].decode("ascii", "replace")

    def twice(self) -> tuple[int, str] | None:
        """The first fact that one process tells a second time, in words, and where; None where there is none.

        What has gone on may tell again what was told while the process before was shutting down.
        """
        return self._repeated() if self._unordered() else None

    def _unordered(self) -> bool:
        """Whether a process numbers facts of a workload in another order than upwards, or names a job twice."""
        counted: dict[tuple[type[Event], str | None], int] = {}
        jobs: set[int] = set()  # by what is kept of their names
        for place, sort, index in self._numbered():
            if sort.fact is RunResumed:
                counted, jobs = {}, set()
                continue
            if index < counted.get(sort[:2], 0):
                return True
            counted[sort[:2]] = index + 1
            if job := self._jobs[place]:
                digest = hash((sort.fact, job))
                if digest in jobs:
                    return True
                jobs.add(digest)
        return False

    def _repeated(self) -> tuple[int, str] | None:
        """What `twice` tells, by comparing with all that was told; jobs of one workload may end in any order."""
        told: set[tuple[str, str | None, int | bytes]] = set()
        for place, (fact, workload, _), index in self._numbered():
            if fact is RunResumed:
                told = set()
                continue
            facts: dict[tuple[str, str | None, int | bytes], str] = {
                (fact.kind, workload, index): f"{fact.kind} {index} of {workload!r}"
            }
            begins = head(self.text(place))
            if begins is not None and begins[2] is not None:
                facts[fact.kind, None, begins[2]] = f"{fact.kind} of job {begins[2].decode()!r}"
            for one, words in facts.items():
                if one in told:
                    return place, f"tells {words} a second time"
                told.add(one)
        return None

    def _numbered(self) -> Iterator[tuple[int, Sort, int]]:
        """Places, sorts and numbers of the facts that have one, and of those where another process goes on."""
        known, sorts, indices = self._known, self._sorts, self._indices
        for place in self.places(RunResumed, *_NUMBERED):
            sort, index = known[sorts[place]], indices[place]
            if index != NO_INDEX or sort.fact is RunResumed:
                yield place, sort, index

    def keep(self, count: int) -> None:
        """Forget all events but the first ones."""
        del self._sorts[count:], self._indices[count:], self._jobs[count:], self._starts[count + 1 :]
        self._spoiled = array("Q", (place for place in self._spoiled if place < count))

    @property
    def spoiled(self) -> Sequence[int]:
        """Where jobs ended because they could not be simulated."""
        return self._spoiled

    def text(self, place: int, *, backwards: bool = False) -> bytes:
        """The line of one event, with its checksum and without its end; those before it are next if `backwards`."""
        start, end = self._starts[place], self._starts[place + 1]
        first, window = self._window
        if start < first or end > first + len(window):
            first = max(0, min(start, end - WINDOW)) if backwards else start
            last = end if backwards else min(self._starts[-1], max(end, start + WINDOW))
            window = self._file.read(last - first, first)
            self._window = first, window
        return window[start - first : end - first - 1]

    def _event(self, place: int, backwards: bool = False) -> Event:
        line = self.text(place, backwards=backwards)
        try:
            return from_line(line, self._vocabulary, plain=self.fact(place) in _PLAIN)
        except ValueError as error:
            raise JournalError(f"line {place + 1} of {self._file.path} is no event: {error}") from error

    def _chosen(self, wanted: Iterable[type[Event]]) -> set[int]:
        return {code for fact in wanted for code in self._by_kind.get(fact.kind.encode(), ())}


class Selection(Looked):
    """Some events of a journal, oldest first, read when they are looked at."""

    def __init__(self, log: EventLog, places: Sequence[int]) -> None:
        self._log = log
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, position: int) -> Event: ...
    @overload
    def __getitem__(self, position: slice) -> list[Event]: ...
    def __getitem__(self, position: int | slice) -> Event | list[Event]:
        chosen = self._places[position]
        return self._log[chosen] if isinstance(chosen, int) else list(self._log.at(chosen))

    def __iter__(self) -> Iterator[Event]:
        return self._log.at(self._places)

    def of(self, *wanted: type[Event]) -> Iterator[Event]:
        """The events of some sorts, oldest first."""
        return self._log.at(self._log.chosen(self._places, *wanted))

    def count_of(self, wanted: type[Event]) -> int:
        """How many events of a sort there are."""
        return sum(1 for _ in self._log.chosen(self._places, wanted))


@overload
def of(events: Iterable[Event], wanted: type[Kind], /) -> Iterator[Kind]: ...
@overload
def of(events: Iterable[Event], wanted: type[Kind], or_: type[Kind2], /) -> Iterator[Kind | Kind2]: ...
@overload
def of(events: Iterable[Event], /, *wanted: type[Kind]) -> Iterator[Kind]: ...
def of(events: Iterable[Event], /, *wanted: type[Event]) -> Iterator[Event]:
    """The events of some sorts; of a journal's, no others are read."""
    chosen = events.of(*wanted) if isinstance(events, EventLog | Selection) else events
    return (event for event in chosen if isinstance(event, wanted))


def first(events: Iterable[Event], wanted: type[Kind]) -> Kind | None:
    """The oldest event of a sort; None where there is none."""
    return next(of(events, wanted), None)


def last(events: Sequence[Event], wanted: type[Kind]) -> Kind | None:
    """The newest event of a sort; None where there is none."""
    newest = [events.last(wanted)] if isinstance(events, EventLog) else reversed(events)
    return next((event for event in newest if isinstance(event, wanted)), None)


def outcome(events: Sequence[Event]) -> Mapping[str, Any]:
    """What a run came to, as result.json has it; nothing where it did not, or has gone on since."""
    if isinstance(events, EventLog):
        newest = events.last(Result, RunResumed)
    else:
        newest = next((one for one in reversed(events) if isinstance(one, Result | RunResumed)), None)
    return newest.result if isinstance(newest, Result) else {}


def remembered(events: Sequence[Event], what: str, make: Callable[[], Found]) -> Found:
    """What `make` finds in events; of a journal, which is looked at from several sides, it is found once."""
    return events.remember(what, make) if isinstance(events, Looked) else make()


def count(events: Sequence[Event], wanted: type[Event]) -> int:
    """How many events of a sort there are; of a journal's, none is read."""
    if isinstance(events, Selection):
        return events.count_of(wanted)
    return sum(1 for _ in of(events, wanted))

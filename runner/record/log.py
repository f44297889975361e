"""The events of a journal, however many there are: read from its file whenever they are looked at."""

from __future__ import annotations

import contextlib
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import orjson

from runner.errors import JournalError
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
from runner.record.lines import LEAST, checked
from runner.record.packed import OpenFile

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
_WORKLOAD = re.compile(
    rb'\{(?:"journal":\d+,)?"seq":\d+,"t":[-+.\de]+,"kind":"[a-z.]+",(?:"job":"[^"\\]*",)?"workload":"([^"\\]*)"'
).match

_COUNTED = re.compile(
    rb'\{(?:"journal":\d+,)?"seq":\d+,"t":[-+.\de]+,"kind":"[a-z.]+",(?:"job":"([^"\\]*)",)?'
    rb'"workload":"([^"\\]*)","index":(\d{1,18}),'
).match

_ENDED = re.compile(
    rb'\{"seq":\d+,"t":[-+.\de]+,"kind":"job.completed","job":"[^"\\]*","workload":"([^"\\]*)","index":(\d{1,18}),'
    rb'"digest":"[^"\\]*","session":(?:null|"[^"\\]*"),"status":"([A-Z]*)"'
).match

_KIND = b',"kind":"'
_COMPLETED = JobCompleted.kind.encode()
_SPOILED = b'"simulation_failed":true'


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

    Kept are where each line begins and of which kind it is, a dozen bytes an event. Whoever needs some sorts only asks
    `of` for them, and the lines of all others are not parsed.
    """

    def __init__(self, file: OpenFile, vocabulary: Vocabulary = RUN) -> None:
        self._file = file
        self._vocabulary = vocabulary
        self._starts = array("Q", [0])
        self._kinds = array("I")
        self._facts: list[type[Event]] = []
        self._codes: dict[bytes, int] = {}
        self._spoiled = array("Q")
        self._window = 0, b""

    def add(self, line: bytes) -> None:
        """Take in the next line of the file, which was found intact and is here without its end.

        Raises:
            ValueError: it is no event.
        """
        require_readable(line, most=MAX_VALUES if self._kinds else MAX_DECLARED)
        require_shallow(line)
        start = line.find(_KIND, 0, 96) + len(_KIND)
        plain = start >= len(_KIND)
        kind = line[start : line.index(b'"', start)] if plain else from_line(line).kind.encode()
        code = self._codes.get(kind)
        if code is None:
            code = self._code(kind)
        if kind == _COMPLETED and _SPOILED in line:
            self._spoiled.append(len(self._kinds))
        self._kinds.append(code)
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
        lines = checked(block, len(self._kinds), crc, DEEPEST)
        if lines is None or lines.lengths.max() > MAX_VALUES:
            return None
        for kind in set(lines.kinds).difference(self._codes):
            self._code(kind)
        self._kinds.extend(map(self._codes.__getitem__, lines.kinds))
        self._starts.frombytes((self._starts[-1] + lines.lengths.cumsum()).astype("u8").tobytes())
        return lines.crc

    def _code(self, kind: bytes) -> int:
        """The number of a kind that was not seen before."""
        code = self._codes[kind] = len(self._facts)
        self._facts.append(self._vocabulary.get(kind.decode(), Other))
        return code

    # -- looking ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._kinds)

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
        codes = self._kinds
        for place in range(len(codes) - 1, -1, -1):
            if codes[place] in chosen:
                return self._event(place)
        return None

    def places(self, *wanted: type[Event]) -> Iterator[int]:
        """Where the events of some sorts are."""
        return self.chosen(range(len(self)), *wanted)

    def chosen(self, places: Iterable[int], *wanted: type[Event]) -> Iterator[int]:
        """Those of the places at which there are events of some sorts."""
        chosen, kinds = self._chosen(wanted), self._kinds
        return (place for place in places if kinds[place] in chosen)

    def at(self, places: Iterable[int]) -> Iterator[Event]:
        """The events at these places."""
        return map(self._event, places)

    def facts(self) -> Iterator[type[Event]]:
        """The classes of all events, without reading them."""
        return map(self._facts.__getitem__, self._kinds)

    def fact(self, place: int) -> type[Event]:
        """The class of one event, without reading it."""
        return self._facts[self._kinds[place]]

    def stream(self, place: int) -> str:
        """The stream of one event."""
        return next(iter(self.streams((place,))))[1]

    def streams(self, places: Iterable[int]) -> dict[tuple[str, str], array[int]]:
        """Where the events of each kind and stream are, of these places.

        Where a line begins with plain fields, its workload is all that is read.
        """
        facts, kinds = self._facts, self._kinds
        fitting = [fact in _OF_A_WORKLOAD for fact in facts]
        found: dict[tuple[str, str], array[int]] = {}
        named: dict[tuple[int, bytes], array[int]] = {}
        for place, match in self._matched(_WORKLOAD, places):
            code = kinds[place]
            key = None if match is None or not fitting[code] else (code, match[1])
            stream = None if key is None else named.get(key)
            if stream is None:
                name = self._event(place).stream if key is None else key[1].decode()
                stream = found.setdefault((facts[code].kind, name), array("Q"))
                if key is not None:
                    named[key] = stream
            stream.append(place)
        return found

    def _matched(
        self, match: Callable[[bytes, int, int], re.Match[bytes] | None], places: Iterable[int]
    ) -> Iterator[tuple[int, re.Match[bytes] | None]]:
        """Places, and what a pattern finds at the beginning of their lines, which are not copied for that."""
        starts = self._starts
        first, window = self._window
        for place in places:
            start, end = starts[place], starts[place + 1]
            if start < first or end > first + len(window):
                self.text(place)
                first, window = self._window
            yield place, match(window, start - first, end - first - 1)

    def replayed(self, places: range) -> Iterator[int]:
        """Those of the places at which there is what a resumed run produces again."""
        kinds, chosen = self._kinds, {code for code, fact in enumerate(self._facts) if fact.replayed}
        return (place for place in places if kinds[place] in chosen)

    def done(self) -> Iterator[tuple[int, str, int]]:
        """Place, workload and index of every job that gave a result, most of which are not read for that."""
        for place, found in self._matched(_ENDED, self.places(JobCompleted)):
            if found is not None:
                workload, index, status = found[1].decode(), int(found[2]), found[3].decode()
            else:
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
        counted: dict[tuple[int, bytes], int] = {}
        jobs: set[int] = set()  # of digests, which take a quarter of the names' memory
        for _, code, match in self._numbered():
            if match is None:
                counted, jobs = {}, set()
                continue
            job, workload, index = match[1], match[2], int(match[3])
            if index < counted.get((code, workload), 0):
                return True
            counted[code, workload] = index + 1
            if job is not None:
                digest = hash((code, job))
                if digest in jobs:
                    return True
                jobs.add(digest)
        return False

    def _repeated(self) -> tuple[int, str] | None:
        """What `twice` tells, by comparing with all that was told; jobs of one workload may end in any order."""
        told: set[tuple[int, bytes, int | None]] = set()
        for place, code, match in self._numbered():
            if match is None:
                told = set()
                continue
            kind, job, workload = self._facts[code].kind, match[1], match[2]
            facts: dict[tuple[int, bytes, int | None], str] = {
                (code, workload, int(match[3])): f"{kind} {int(match[3])} of {workload.decode()!r}"
            }
            if job is not None:
                facts[code, job, None] = f"{kind} of job {job.decode()!r}"
            for fact, words in facts.items():
                if fact in told:
                    return place, f"tells {words} a second time"
                told.add(fact)
        return None

    def _numbered(self) -> Iterator[tuple[int, int, re.Match[bytes] | None]]:
        """Places, kinds and numbers of the facts that have one; None where another process goes on."""
        facts, kinds = self._facts, self._kinds
        for place, match in self._matched(_COUNTED, self.places(RunResumed, *_NUMBERED)):
            code = kinds[place]
            if facts[code] is RunResumed:
                yield place, code, None
            elif match is not None:
                yield place, code, match

    def keep(self, count: int) -> None:
        """Forget all events but the first ones."""
        del self._kinds[count:], self._starts[count + 1 :]
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
        kinds = (fact.kind.encode() for fact in wanted)
        return {self._codes[kind] for kind in kinds if kind in self._codes}


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

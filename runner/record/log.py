"""The events of a journal, however many there are: read from its file whenever they are looked at."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import orjson

from runner.errors import JournalError

Event = Mapping[str, Any]

WINDOW = 1 << 18
"""Bytes that are read at a time."""

_PLAIN = frozenset(("session", "job.submitted", "job.completed", "evaluation", "iteration"))
"""Kinds without integers beyond 64 bits, which the fast parser would round; there are very many of these."""

_SPOILED = b'"simulation_failed":true'


class OpenFile:
    """A file that is being read, closed when nobody looks at it any more."""

    def __init__(self, path: Path) -> None:
        """Raises an OSError where it cannot be opened."""
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, count: int, offset: int) -> bytes:
        """`count` bytes at `offset`, or fewer when the file ends before."""
        chunks = []
        while count > 0:
            chunk = os.pread(self.descriptor, count, offset)
            if not chunk:
                break
            chunks.append(chunk)
            count -= len(chunk)
            offset += len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return os.fstat(self.descriptor).st_size

    def __del__(self) -> None:
        descriptor = self.__dict__.pop("descriptor", None)
        if descriptor is not None:
            os.close(descriptor)


class EventLog(Sequence[Event]):
    """The intact events of a journal, oldest first, without their checksums.

    Kept are where each line begins and of which kind it is, a dozen bytes an event. Whoever needs some kinds only asks
    `of` for them, and the lines of all others are not parsed.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._starts = array("Q", [0])
        self._kinds = array("I")
        self._names: list[str] = []
        self._codes: dict[str, int] = {}
        self._spoiled = array("Q")
        self._window = 0, b""

    def add(self, kind: str, line: bytes, length: int) -> None:
        """Take in the next line of the file, which was found intact and is `length` bytes long with its end."""
        code = self._codes.get(kind)
        if code is None:
            code = self._codes[kind] = len(self._names)
            self._names.append(kind)
        if kind == "job.completed" and _SPOILED in line:
            self._spoiled.append(len(self._kinds))
        self._kinds.append(code)
        self._starts.append(self._starts[-1] + length)

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

    def of(self, *kinds: str) -> Iterator[Event]:
        """The events of some kinds, oldest first."""
        return self.at(self.places(*kinds))

    def last(self, *kinds: str) -> Event | None:
        """The newest event of some kinds; None where there is none."""
        wanted = self._wanted(kinds)
        codes = self._kinds
        for place in range(len(codes) - 1, -1, -1):
            if codes[place] in wanted:
                return self._event(place)
        return None

    def places(self, *kinds: str) -> Iterator[int]:
        """Where the events of some kinds are."""
        wanted = self._wanted(kinds)
        return (place for place, code in enumerate(self._kinds) if code in wanted)

    def at(self, places: Iterable[int]) -> Iterator[Event]:
        """The events at these places."""
        return map(self._event, places)

    def kinds(self) -> Iterator[str]:
        """The kinds of all events, without reading them."""
        return map(self._names.__getitem__, self._kinds)

    def kind(self, place: int) -> str:
        """The kind of one event, without reading it."""
        return self._names[self._kinds[place]]

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
            return decode(line, plain=self._names[self._kinds[place]] in _PLAIN)
        except ValueError as error:
            raise JournalError(f"line {place + 1} of {self._file.path} is no event: {error}") from error

    def _wanted(self, kinds: Iterable[str]) -> set[int]:
        return {self._codes[kind] for kind in kinds if kind in self._codes}


class Selection(Sequence[Event]):
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

    def of(self, *kinds: str) -> Iterator[Event]:
        """The events of some kinds, oldest first."""
        return self._log.at(place for place in self._places if self._log.kind(place) in kinds)


def of(events: Iterable[Event], *kinds: str) -> Iterator[Event]:
    """The events of some kinds; of a journal's, no others are read."""
    if isinstance(events, EventLog | Selection):
        return events.of(*kinds)
    return (event for event in events if event["kind"] in kinds)


def last(events: Sequence[Event], *kinds: str) -> Event | None:
    """The newest event of some kinds; None where there is none."""
    if isinstance(events, EventLog):
        return events.last(*kinds)
    return next((event for event in reversed(events) if event["kind"] in kinds), None)


def decode(line: bytes, *, plain: bool) -> Event:
    """What an intact line says, without its checksum.

    Args:
        line: the whole line, without its end.
        plain: it holds no integers beyond 64 bits.

    Raises:
        ValueError: it is no JSON object.
    """
    event: Any = None
    if plain:
        try:
            event = orjson.loads(line)
        except ValueError:  # half a surrogate pair
            event = None
    if event is None:
        event = json.loads(line)
    if not isinstance(event, dict):
        raise ValueError("not a JSON object")
    event.pop("crc", None)
    return event

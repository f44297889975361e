"""How a fact is said in one line of JSON: numbers to the last bit, text as it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runner.record.events import RUN, Event, Vocabulary, check_said, event_of
from runner.record.files import MAX_LINE, MAX_VALUES

# what jobs were given and gave back: numbers, often very many
_NUMBERS = frozenset(("pubs", "work", "result"))
_LITERALS = frozenset((int, bool, type(None)))
_SAID_AS_IT_IS = frozenset((float, int, bool, str, list, type(None)))
_FLOATS = {float}
_TEXTS = {str}
_NONE = type(None)
_CHECKSUM = len(',"crc":"01234567"}')


def encode(fields: Mapping[str, Any]) -> bytes:
    """One-line JSON; numpy arrays become lists and non-finite numbers their names."""
    return _dump({key: _plain(item) for key, item in fields.items()})


def to_line(event: Event, moment: float) -> bytes:
    """What the line of an event says from its time up to its checksum.

    A run spends more time here than in anything else it records. Its events have few forms, so what a form needs is
    worked out once, and numbers are not looked at one by one: those that are not finite become ``null``, and then
    there are more of these than there are fields that hold None.

    Raises:
        TypeError: a field holds what no event can hold.
        MemoryError: there is no room for the line.
    """
    require_room()
    return b"".join((b',"t":', orjson.dumps(moment), fields_of(event)))


def require_room(size: int = 1 << 14) -> None:
    """Find out that memory is used up before orjson does: where it gets none (3.13) it ends the process by SIGSEGV.

    Raises:
        MemoryError: there are not so many bytes left.
    """
    bytearray(size)


def fields_of(event: Event) -> bytes:
    """What the line of an event says between its time and its checksum, the same for the same fact.

    Raises:
        TypeError: a field holds what no event can hold.
    """
    fields = event.said()
    form = _form(event.kind, tuple(fields), tuple(map(type, fields.values())))
    body = form.say(fields) if form.sayable else None
    if body is None:
        body = _dump({key: _plain(item) for key, item in fields.items()})
    return form.start + body[1:-1]


def is_said_by(line: bytes, event: Event) -> bool:
    """Whether a line says this fact to the byte; where it does not, it may still say the same in other words.

    A resumed run asks this of every event it repeats. What is not finite is said as ``null`` here and by its name in a
    line; where both say ``null``, there have to be as many fields that hold None.
    """
    fields = event.said()
    try:
        body = orjson.dumps(fields)
    except TypeError:  # an array, say
        return line[:-_CHECKSUM].endswith(fields_of(event))
    end = len(line) - _CHECKSUM
    start = end - len(body) + 2
    if not line.startswith(body[1:-1], start) or not line.endswith(_said_before(event.kind), 0, start):
        return False
    count = body.count(b"null")
    if not count:
        return True
    nothing = 0
    for name, value in fields.items():
        if value is None:
            nothing += 1
        elif name in _NUMBERS and type(value) is list:
            nothing += sum(map(_nothing, value))
    return count == nothing


def are_said_by(lines: Sequence[bytes], events: Sequence[Event]) -> bool:
    """Whether lines say these facts to the byte; where they do not, they may still say the same in other words.

    All at once takes a quarter of the time that one after the other does.
    """
    try:
        said = orjson.dumps([event.said() for event in events])
    except TypeError:  # an array, say
        return False
    if b"null" in said:  # what is not finite is said so here, and by its name in a line
        return False
    found = []
    for line, event in zip(lines, events, strict=True):
        before = _said_before(event.kind)
        start = line.find(before)
        if start < 0:
            return False
        found.append(line[start + len(before) : -_CHECKSUM])
    return said == b"[{%b}]" % b"},{".join(found)


@cache
def _said_before(kind: str) -> bytes:
    return f',"kind":"{kind}",'.encode()


def from_line(line: bytes, vocabulary: Vocabulary = RUN, *, plain: bool = False) -> Event:
    """The fact in an intact line, whose checksum is not looked at.

    Args:
        line: the whole line, without its end.
        vocabulary: the facts that this sort of journal knows.
        plain: it holds no integers beyond 64 bits, which the faster parser would round.

    Raises:
        ValueError: it is no JSON object, too long, or says something of another type than a fact can.
    """
    require_readable(line)
    said: Any = None
    if plain:
        try:
            said = orjson.loads(line)
        except ValueError:  # half a surrogate pair
            said = None
    if said is None:
        try:
            said = json.loads(line)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
    if not isinstance(said, dict):
        raise ValueError("not a JSON object")
    said.pop("crc", None)
    check_said(said, vocabulary)
    return event_of(said, vocabulary)


def require_readable(line: bytes, *, room: int = 0, most: int = MAX_VALUES) -> None:
    """Refuse a line that would take a gigabyte of memory to be read: a value takes up to 30 times what it is said in.

    Args:
        line: all of it, or what there is.
        room: bytes and values that are still to come.
        most: values that it may hold.

    Raises:
        ValueError: it is too long, or holds too many values.
    """
    if len(line) + room <= most:  # as nearly always
        return
    if len(line) + room > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE} bytes")
    if sum(map(line.count, (b",", b"[", b"{"))) + room > most:
        raise ValueError(f"of more than {most} values")


def require_shallow(line: bytes) -> None:
    """Refuse a line that is nested deeper than any of ours, before somebody walks through it.

    Raises:
        ValueError: it is.
    """
    if line.count(b"[") + line.count(b"{") <= DEEPEST:  # as nearly always
        return
    # innermost pairs are taken away, level by level; brackets in texts are looked at only where they are not paired
    if not _without_levels(line.translate(None, _NO_BRACKETS)):
        return
    if _without_levels(_TEXT.sub(b"", line).translate(None, _NO_BRACKETS)):
        raise ValueError("nested too deep")


def _without_levels(brackets: bytes) -> bytes:
    for _ in range(DEEPEST):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return brackets


DEEPEST = 64
"""Levels of lists and mappings in a line, which never has ten."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"')


class _Form(NamedTuple):
    """What the events of a kind have in common that have the same keys, with values of the same types."""

    start: bytes
    """What the line says between the time and the fields."""
    sayable: bool
    """Whether all types are such that JSON may have them as they are."""
    nothing: int
    """How many fields hold None."""
    lists: tuple[str, ...]
    """Keys of lists of anything."""
    numbers: tuple[str, ...]
    """Keys of lists of what jobs were given and gave back."""

    def say(self, fields: Mapping[str, Any]) -> bytes | None:
        """The JSON of fields that need no change to be said; None if one does, or might."""
        for key in self.lists:
            if not _sayable(fields[key]):
                return None
        nothing = self.nothing
        for key in self.numbers:
            nothing += sum(map(_nothing, fields[key]))
        try:
            body = orjson.dumps(fields)
        except TypeError:  # an array, an integer beyond 64 bits, half a surrogate pair
            return None
        return body if body.count(b"null") == nothing else None


@lru_cache(maxsize=512)
def _form(kind: str, keys: tuple[str, ...], types: tuple[type, ...]) -> _Form:
    numbers = _NUMBERS if kind.startswith("job.") else frozenset()
    lists = [key for key, type_ in zip(keys, types, strict=True) if type_ is list]
    return _Form(
        start=f',"kind":"{kind}"{"," if keys else ""}'.encode(),
        sayable=_SAID_AS_IT_IS.issuperset(types),
        nothing=types.count(_NONE),
        lists=tuple(key for key in lists if key not in numbers),
        numbers=tuple(key for key in lists if key in numbers),
    )


def _nothing(part: Any) -> int:
    """How many entries of a PUB, of a result or of a list of numbers are None."""
    kind = type(part)
    if kind is not dict and kind is not list:
        return 0
    return list(map(type, part.values() if kind is dict else part)).count(_NONE)


def _sayable(items: list[object]) -> bool:
    """Whether these are floats, or texts."""
    return set(map(type, items)) in (_FLOATS, _TEXTS)


def _dump(plain: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(plain)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair
        return json.dumps(plain, separators=(",", ":")).encode()


def _finite_floats(values: Sequence[Any]) -> bool:
    """Whether these are floats and their sum is finite, which it is only if all of them are."""
    return bool(values) and set(map(type, values)) == _FLOATS and math.isfinite(sum(values))


def _plain(value: Any) -> object:
    """`value` as JSON can say it: arrays as lists, non-finite numbers as "nan", "inf", "-inf".

    Called for everything a run records, so the usual types come first.
    """
    kind = type(value)
    if kind is str:
        return value
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if kind is list or kind is tuple:
        if _finite_floats(value):  # a parameter vector
            return value
        return [item if type(item) in _LITERALS else _plain(item) for item in value]
    if kind in _LITERALS:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"an event cannot hold a {kind.__name__}")


_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""What a text begins with that spreadsheets take for a formula."""


def as_cell(value: object) -> object:
    """A value for a table that spreadsheets open: numbers as they are, text never as a formula.

    A name somebody else gave may begin like one; with an apostrophe before it, it is shown and not worked out.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value

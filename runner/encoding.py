"""How a fact is said in one line of JSON: numbers to the last bit, text without secrets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runner.redact import REDACTED, hides, nothing_to_hide, redact

_RESERVED = frozenset(("journal", "seq", "t", "kind", "crc"))
# what jobs were given and gave back: numbers, often very many
_NUMBERS = frozenset(("pubs", "work", "result"))
_IDENTIFIERS = frozenset(("job", "digest", "session", "after"))  # made by the runtime, from hashes
_HARMLESS_OF_JOBS = _IDENTIFIERS | _NUMBERS
_LITERALS = frozenset((int, bool, type(None)))
_SAID_AS_IT_IS = frozenset((float, int, bool, str, list, type(None)))
_FLOATS = {float}
_TEXTS = {str}
_NONE = type(None)


def encode(fields: Mapping[str, Any]) -> bytes:
    """One-line JSON; numpy arrays become lists and non-finite numbers their names."""
    return _dump({key: _plain(item, str) for key, item in fields.items()})


def as_event(kind: str, fields: Mapping[str, Any]) -> bytes:
    """What the line of an event says from its time, which is now, up to its checksum.

    A run spends more time here than in anything else it records. Its events have few forms, so what a form needs is
    worked out once, and numbers are not looked at one by one: those that are not finite become ``null``, and then
    there are more of these than there are fields that hold None.

    Raises:
        ValueError: a field has a name that the journal needs for itself.
        TypeError: a field holds what no event can hold.
    """
    form = _form(kind, tuple(fields), tuple(map(type, fields.values())))
    body = form.say(fields) if form.sayable else None
    if body is None:
        body = _dump(
            {key: _plain(item, str if key in form.harmless else redact) for key, item in fields.items()}
        )
    return b"".join((b',"t":', orjson.dumps(time.time()), form.start, body[1:-1]))


class _Form(NamedTuple):
    """What the events of a kind have in common that have the same keys, with values of the same types."""

    start: bytes
    """What the line says between the time and the fields."""
    harmless: frozenset[str]
    """Keys of what has no secrets."""
    sayable: bool
    """Whether all types are such that JSON may have them as they are."""
    nothing: int
    """How many fields hold None."""
    texts: Callable[[Mapping[str, Any]], tuple[str, ...]] | None
    """Takes the texts that might hide something."""
    lists: tuple[str, ...]
    """Keys of the lists that might."""
    numbers: tuple[str, ...]
    """Keys of the lists that cannot."""

    def say(self, fields: Mapping[str, Any]) -> bytes | None:
        """The JSON of fields that need no change to be said; None if one does, or might."""
        if self.texts is not None and not nothing_to_hide(self.texts(fields)):
            return None
        for key in self.lists:
            if not _unchanged(fields[key]):
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
    if not _RESERVED.isdisjoint(keys):
        raise ValueError(f"event {kind!r} uses a reserved name: {sorted(_RESERVED & set(keys))}")
    harmless = _HARMLESS_OF_JOBS if kind.startswith("job.") else _IDENTIFIERS
    texts = [key for key, type_ in zip(keys, types, strict=True) if type_ is str and key not in harmless]
    lists = [key for key, type_ in zip(keys, types, strict=True) if type_ is list]
    return _Form(
        start=f',"kind":"{kind}"{"," if keys else ""}'.encode(),
        harmless=harmless,
        sayable=_SAID_AS_IT_IS.issuperset(types),
        nothing=types.count(_NONE),
        texts=_taker(texts) if texts else None,
        lists=tuple(key for key in lists if key not in harmless),
        numbers=tuple(key for key in lists if key in harmless),
    )


def _taker(keys: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    """What takes the values of these keys, as a tuple where there is only one too."""
    return itemgetter(*keys) if len(keys) > 1 else lambda fields: (fields[keys[0]],)


def _nothing(part: Any) -> int:
    """How many entries of a PUB, of a result or of a list of numbers are None."""
    kind = type(part)
    if kind is not dict and kind is not list:
        return 0
    return list(map(type, part.values() if kind is dict else part)).count(_NONE)


def _unchanged(items: list[Any]) -> bool:
    """Whether these are floats, or texts without anything to hide."""
    kinds = set(map(type, items))
    return kinds == _FLOATS or (kinds == _TEXTS and nothing_to_hide(tuple(items)))


def _dump(plain: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(plain)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair
        return json.dumps(plain, separators=(",", ":")).encode()


def _finite_floats(values: Sequence[Any]) -> bool:
    """Whether these are floats and their sum is finite, which it is only if all of them are."""
    return bool(values) and set(map(type, values)) == _FLOATS and math.isfinite(sum(values))


def _plain(value: Any, text: Callable[[str], str]) -> Any:
    """`value` as JSON can say it: arrays as lists, non-finite numbers as "nan", "inf", "-inf", text as `text` has it.

    What a name such as `token` holds is hidden. Called for everything a run records, so the usual types come first.
    """
    kind = type(value)
    if kind is str:
        return text(value)
    if kind is float:
        return value if math.isfinite(value) else repr(value)
    if kind is list or kind is tuple:
        if _finite_floats(value):  # a parameter vector
            return value
        return [item if type(item) in _LITERALS else _plain(item, text) for item in value]
    if kind in _LITERALS:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {
            str(key): REDACTED if hides(str(key), item) else _plain(item, text) for key, item in value.items()
        }
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), text)
    if isinstance(value, str):
        return text(str(value))
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"an event cannot hold a {kind.__name__}")

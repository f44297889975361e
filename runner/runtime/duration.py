"""How long a session may last, as people write it: seconds, "25m", "1h 30m"."""

from __future__ import annotations

import re

from runner.declare.checks import shorten
from runner.errors import ConfigError
from runner.record.result import LONGEST

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
FORMS = 'use whole seconds (90) or parts like "25m", "1h 30m", "2h30m40s", "1d"'

_PART = re.compile(r"(\d+)([dhms])")
_WHOLE = re.compile(r"\s*(?:\d+[dhms]\s*)+", re.ASCII)


def parse_duration(value: int | str | None, *, key: str | None = None, strict: bool = True) -> int | None:
    """Return `value` in seconds, or None for None.

    Strict (the default) refuses whatever is not completely understood. `strict=False` reads like the client
    does (qiskit-ibm-runtime 0.51): integers pass untouched except that 0 means "not given", and of a string
    every `<digits><d|h|m|s>` counts while the rest is ignored, so "1.5h" is five hours there.
    """
    if value is None:
        return None
    if not strict:
        return _like_the_client(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ConfigError(f"{value!r} is not a duration: {FORMS}", key=key)
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ConfigError(f"{value!r} is not a duration: {FORMS}", key=key)
    seconds = _sum_parts(value) if isinstance(value, str) else value
    if seconds < 1:
        raise ConfigError(f"must be at least 1 second, got {value!r}", key=key)
    if seconds > LONGEST:
        raise ConfigError(f"must be at most {LONGEST:.0f} seconds, got {shorten(value, 40)}", key=key)
    return seconds


def _like_the_client(value: int | str) -> int | None:
    if isinstance(value, int):
        return int(value) or None
    seconds = _sum_parts(value)
    if not _PART.search(value):
        raise ConfigError("Invalid max_time value:  Invalid input: []")
    return seconds or None


def _sum_parts(text: str) -> int:
    return sum(int(count) * SECONDS[unit] for count, unit in _PART.findall(text))

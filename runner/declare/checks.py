"""Checks of declared values; each refusal names the setting at fault and what to write instead."""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Iterable, Sequence

from runner.errors import ConfigError
from runner.record.redaction import redact


def require_range(key: str, value: float, low: float | None = None, high: float | None = None) -> None:
    """Refuse a number outside [low, high]; `key` is the setting's dotted path."""
    if low is not None and not value >= low:  # nan is in no range
        raise ConfigError(f"must be at least {low:g}, got {value}; raise it", key=key)
    if high is not None and not value <= high:
        shown = f"{high:g}" if high < 2**53 else f"2**63 - 1 = {high}"
        raise ConfigError(f"must be at most {shown}, got {value}; lower it", key=key)


def require_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of `choices`, naming the nearest one."""
    if value not in choices:
        raise ConfigError(f"unknown choice {value!r}{nearest(value, choices)}", key=key)


def twice(names: Sequence[str]) -> str | None:
    """The first of some names that stands among them again; None where none does."""
    if len({*names}) == len(names):
        return None
    return next(name for name in names if names.count(name) > 1)


def require_text(text: str, key: str) -> None:
    """Refuse what cannot be written down as UTF-8: a name in another encoding, as a disk or a shell hands it over."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        place = shorten(text[max(error.start - 20, 0) : error.end + 20], 60)
        raise ConfigError(
            f"{place!r} has a letter that is no UTF-8; write it as UTF-8, and rename what file or folder is called so",
            key=key if key.isascii() and key.isprintable() else None,
        ) from error


def require_digits(text: str, key: str) -> None:
    """Refuse a number in digits of another script, which Python reads and few people can."""
    if text.isascii():
        return
    try:
        number = float(text)
    except ValueError:
        return
    raise ConfigError(f"{shorten(text, 40)!r} is {number:g} in other digits; write it with 0 to 9", key=key)


def require_integer(key: str, value: object, low: int | None = None, high: int | None = None) -> None:
    """Refuse what is not an integer in [low, high]; true and false are no integers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"must be an integer, got {value!r}; write a whole number", key=key)
    require_range(key, value, low, high)


def require_number(key: str, value: object) -> None:
    """Refuse what is not a finite real number; text that looks like a number is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"must be a real number, got {value!r}; write it without quotes or i", key=key)
    if isinstance(value, int):
        if abs(value) > sys.float_info.max:
            raise ConfigError(f"must be below 1e308, got {shorten(value, 40)}; lower it", key=key)
    elif not math.isfinite(value):
        raise ConfigError(f"must be finite, got {value}; give a number", key=key)


def require_positive(key: str, value: float) -> None:
    """Refuse what is not a finite number above zero."""
    require_number(key, value)
    if value <= 0:
        raise ConfigError(f"must be above 0, got {value}; raise it", key=key)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'? (available: …)` for a name that is not among the known ones."""
    known = list(known)
    same = [candidate for candidate in known if plain(candidate) == plain(name)]
    close = same or difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    close.sort(
        key=lambda candidate: sorted(candidate) != sorted(name)
    )  # two letters swapped is the likeliest slip
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (available: {shorten(', '.join(known), 110)})"


def plain(word: str) -> str:
    """A name without case, dashes and underscores: L-BFGS-B and l_bfgs_b are the same."""
    return re.sub(r"[\W_]+", "", word).lower()


def shorten(text: object, width: int) -> str:
    """The text, or what anything else prints as, cleaned, on one line and cut at `width` characters."""
    line = " ".join(redact(str(text)).split())  # what is left of a secret that was cut is known no more
    return line if len(line) <= width else line[: width - 1] + "…"

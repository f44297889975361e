"""Checks of declared values that name the setting at fault; ranges and words: `runner.config`."""

from __future__ import annotations

import math
from typing import Any

from runner.config import require_range
from runner.errors import ConfigError


def require_integer(key: str, value: Any, low: int | None = None, high: int | None = None) -> None:
    """Refuse what is not an integer in [low, high]; true and false are no integers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"must be an integer, got {value!r}; write a whole number", key=key)
    require_range(key, value, low, high)


def require_number(key: str, value: Any) -> None:
    """Refuse what is not a finite real number; text that looks like a number is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"must be a real number, got {value!r}; write it without quotes or i", key=key)
    if not math.isfinite(value):
        raise ConfigError(f"must be finite, got {value}; give a number", key=key)


def require_positive(key: str, value: Any) -> None:
    """Refuse what is not a finite number above zero."""
    require_number(key, value)
    if value <= 0:
        raise ConfigError(f"must be above 0, got {value}; raise it", key=key)

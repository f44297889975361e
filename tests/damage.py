"""Files of others with one thing wrong in each: refused in one line, or read as what was written, never as another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runner.errors import ConfigError


def refused_and_right(
    numbers: Iterable[int], damaged: Callable[[int], str], is_right: Callable[[str], bool]
) -> tuple[int, int]:
    """How many texts were refused, and how many were read as what was written; every other outcome fails.

    Args:
        numbers: which texts.
        damaged: makes the text of a number, the same each time.
        is_right: reads a text, and tells whether it says the same as the whole one.
    """
    refused = right = 0
    for number in numbers:
        text = damaged(number)
        try:
            assert is_right(text), f"text {number}:\n{text}"
        except ConfigError:
            refused += 1
        else:
            right += 1
    return refused, right

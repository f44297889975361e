"""Giving up what takes long: whoever watches for signals is asked between the parts of a simulation."""

from __future__ import annotations

from collections.abc import Callable

_watching: list[Callable[[], None]] = []


def watch(check: Callable[[], None]) -> None:
    """Let `check` be asked from now on; it raises where everything is to stop."""
    _watching.append(check)


def unwatch(check: Callable[[], None]) -> None:
    """No longer ask `check`."""
    _watching.remove(check)


def pause() -> None:
    """Called between the parts of what takes long.

    Raises:
        Interrupted: a signal has arrived, and nobody needs the result any more.
    """
    for check in tuple(_watching):
        check()

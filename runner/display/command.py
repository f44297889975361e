"""What to type to do a run or a sweep again, where that can be typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runner.display.shell import command

if TYPE_CHECKING:
    from runner.record.events import RunStarted


def run_command(started: RunStarted | None) -> str | None:
    """What to type for this run; None for a fork, and where a program declared more than a command line shows."""
    if started is None or started.programmed or started.forked_from:
        return None
    return _command([], started.config_dirs, started.overrides)


def sweep_command(header: Mapping[str, Any]) -> str | None:
    """What to type for the sweep whose sweep.json this is; None where it does not say what was typed."""
    if "overrides" not in header:
        return None
    return _command(["-m"], header.get("config_dirs", ()), header["overrides"])


def _command(flags: Iterable[str], folders: Iterable[object], overrides: Iterable[object]) -> str:
    told = (word for folder in folders for word in ("--config-dir", folder))
    return command(*flags, *told, *overrides)

"""Interleaved timing: every contestant in turn, round after round, so that a busy machine is busy for all.

Other programs take turns with ours: a call that lasts longer than such a turn is held up, and a shorter
one is not. So one thread is timed by the processor, several by the clock.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from runner.engine import aer

Contestants = Mapping[str, Callable[[], object]]


@contextmanager
def in_this_process() -> Iterator[None]:
    """Let Aer simulate what takes long here, too: another process's processor time would not be counted."""
    usual, aer.LONG = aer.LONG, math.inf
    try:
        yield
    finally:
        aer.LONG = usual


@in_this_process()
def interleaved(
    contestants: Contestants,
    *,
    rounds: int = 15,
    slice_seconds: float = 0.01,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of one call of each; short calls are repeated for about `slice_seconds` a round.

    Args:
        contestants: what is called, by name.
        rounds: in each of which everyone has a turn.
        slice_seconds: of a turn.
        clock: `time.process_time` where all of the work is done by one thread of this process.
    """
    repeats = {}
    for name, call in contestants.items():
        call()
        start = clock()
        call()
        repeats[name] = max(1, int(slice_seconds / max(clock() - start, 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            start = clock()
            for _ in range(repeats[name]):
                call()
            times[name].append((clock() - start) / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def table(
    title: str, first: str, rows: Mapping[str, Mapping[str, float]], unit: float, base: str | None
) -> str:
    """A Markdown table of times in `unit` seconds; with `base`, each with how many times slower it is than that."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [
        f"### {title}",
        "",
        "| " + " | ".join([first, *columns]) + " |",
        "|" + "---|" * (len(columns) + 1),
    ]
    for label, row in rows.items():
        cells = [
            _cell(row.get(name), unit, row.get(base) if base and name != base else None) for name in columns
        ]
        lines.append("| " + " | ".join([label, *cells]) + " |")
    return "\n".join([*lines, ""])


def _cell(value: float | None, unit: float, base: float | None) -> str:
    if value is None:
        return "–"
    text = f"{value / unit:.3g}"
    return f"{text} ({value / base:.1f}×)" if base else text

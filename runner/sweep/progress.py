"""What the terminal shows of a sweep: one line while it goes on, ranking and failures at its end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from runner.display.live import LiveLine, rows, value_console
from runner.display.words import clock
from runner.sweep.member import Row
from runner.sweep.ranking import judged, rank

SHOWN_FAILURES = 20
"""Failures that the terminal shows; sweep.csv has every one."""


class SweepProgress(LiveLine):
    """A line over the whole sweep: how many runs are over, how fast, how long it will take."""

    def __init__(self, total: int, done: int = 0, *, console: Console | None = None) -> None:
        super().__init__(console)
        self._total = total
        self._before = done
        self._counts: Counter[str] = Counter()
        self._best: dict[str, float] | None = None
        """What all runs so far can be ranked by → the best at that."""

    def skip(self) -> None:
        """Count a run that was over before."""
        self._before += 1

    def __call__(self, row: Row) -> None:
        """Take note of one run that is over."""
        self._counts[str(row["status"])] += 1
        if found := judged(row):
            before = found if self._best is None else self._best
            self._best = {by: min(value, found[by]) for by, value in before.items() if by in found}
        self.draw()

    def line(self, now: float) -> str:
        """The progress line at a moment of the monotonic clock."""
        over = sum(self._counts.values())
        others = "".join(
            f", {count} {status}" for status, count in self._counts.items() if status != "finished"
        )
        text = f"run {self._before + over}/{self._total}{others}"
        for by, value in list((self._best or {}).items())[:1]:
            text += f"  best {by} {value:.3g}"
        elapsed = now - self._started
        if over and elapsed > 0:
            left = elapsed / over * (self._total - self._before - over)
            text += f"  {over / elapsed:.2g} runs/s  about {clock(max(left, 0))} left"
        return text


def _short(line: Mapping[str, Any]) -> dict[str, Any]:
    """The line with distances in three digits, which is more than ± tells and fits into a terminal."""
    distances = ("median", "±", "true error", "best", "worst", "stddev")
    return {name: f"{value:.3g}" if name in distances else value for name, value in line.items()}


def report(table: Sequence[Row], swept: Sequence[str], directory: Path, notes: Sequence[str] = ()) -> None:
    """Print the ranking, every failure with its reason, and where everything lies."""
    console = value_console(sys.stdout)
    if (ranked := rank(table, swept)) is not None:
        console.print(f"ranking by {ranked.by}", style="bold")
        console.print(rows([_short(line) for line in ranked.lines]))
        if len(table) > 1:
            console.print(ranked.verdict, soft_wrap=True)
    failed = [row for row in table if row["status"] != "finished"]
    for row in failed[:SHOWN_FAILURES]:
        console.print(
            f"run {row['number']} ({row['run']}) {row['status']}: {row.get('reason') or ''}",
            style="red" if row["status"] == "failed" else "magenta",  # both are read on white and on black
            soft_wrap=True,
        )
    if len(failed) > SHOWN_FAILURES:
        console.print(f"… and {len(failed) - SHOWN_FAILURES} more, see sweep.csv")
    console.print(counted(table))
    console.print(f"files     {directory}", soft_wrap=True)
    for note in notes:
        console.print(note, soft_wrap=True)


def counted(table: Sequence[Mapping[str, Any]]) -> str:
    """`18 finished, 2 failed of 20 runs`."""
    counts = Counter(str(row["status"]) for row in table)
    return ", ".join(f"{count} {status}" for status, count in counts.most_common()) + f" of {len(table)} runs"

"""What the terminal shows of a sweep: one line while it goes on, ranking and failures at its end."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from runner.answer import PICK
from runner.progress import LiveLine, clock, rows
from runner.sweep.member import Row
from runner.terminal import reader

RANKED = 10
"""Runs that the ranking shows."""
SHOWN_FAILURES = 20
"""Failures that the terminal shows; sweep.csv has every one."""


class SweepProgress(LiveLine):
    """A line over the whole sweep: how many runs are over, how fast, how long it will take."""

    def __init__(self, total: int, done: int = 0, *, console: Console | None = None) -> None:
        super().__init__(console)
        self._total = total
        self._before = done
        self._counts: Counter[str] = Counter()
        self._best: float | None = None

    def skip(self) -> None:
        """Count a run that was over before."""
        self._before += 1

    def __call__(self, row: Row) -> None:
        """Take note of one run that is over."""
        self._counts[str(row["status"])] += 1
        distance = merit(row)
        if distance is not None:
            self._best = distance if self._best is None else min(self._best, distance)
        self.draw()

    def line(self, now: float) -> str:
        """The progress line at a moment of the monotonic clock."""
        over = sum(self._counts.values())
        others = "".join(
            f", {count} {status}" for status, count in self._counts.items() if status != "finished"
        )
        text = f"run {self._before + over}/{self._total}{others}"
        if self._best is not None:
            text += f"  best {self._best:.3g}"
        elapsed = now - self._started
        if over and elapsed > 0:
            left = elapsed / over * (self._total - self._before - over)
            text += f"  {over / elapsed:.2g} runs/s  about {clock(max(left, 0))} left"
        return text


def merit(row: Row) -> float | None:
    """What runs are ranked by: distance from the exact energy, or the energy where nobody knows that.

    None for the lowest of several noisy energies, which would win by its noise.
    """
    if row.get("energy_kind") == PICK:
        return None
    for name, value in (("error", row.get("error")), ("energy", row.get("energy"))):
        if isinstance(value, int | float):
            return abs(value) if name == "error" else value
    return None


def ranking(table: Sequence[Row], swept: Sequence[str]) -> list[dict[str, Any]]:
    """The best runs, best first; with several seeds, the best settings by the median over their seeds."""
    judged = [
        (row, value)
        for row in table
        if row["status"] in ("finished", "stopped") and (value := merit(row)) is not None
    ]
    if "seed" in swept and len(swept) > 1:
        return _by_setting(judged, [key for key in swept if key != "seed"])
    judged.sort(key=lambda pair: (pair[1], pair[0]["number"]))
    names = [*swept, "energy", "stddev", "error", "evaluations", "usage_seconds"]
    return [
        {"": place, "run": row["number"]}
        | {name.rpartition(".")[2]: row[name] for name in names if row.get(name) is not None}
        for place, (row, _) in enumerate(judged[:RANKED], 1)
    ]


def _by_setting(judged: Sequence[tuple[Row, float]], keys: Sequence[str]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[tuple[Row, float]]] = {}
    for row, value in judged:
        groups.setdefault(tuple(str(row.get(key)) for key in keys), []).append((row, value))
    lines = []
    for setting, members in groups.items():
        values = [value for _, value in members]
        line: dict[str, Any] = {
            key.rpartition(".")[2]: value for key, value in zip(keys, setting, strict=True)
        }
        line |= {
            "runs": len(members),
            "median": statistics.median(values),
            "best": min(values),
            "worst": max(values),
            "best run": min(members, key=lambda pair: pair[1])[0]["number"],
        }
        lines.append(line)
    lines.sort(key=lambda line: line["median"])
    return [{"": place, **line} for place, line in enumerate(lines[:RANKED], 1)]


def report(table: Sequence[Row], swept: Sequence[str], directory: Path, notes: Sequence[str] = ()) -> None:
    """Print the ranking, every failure with its reason, and where everything lies."""
    console = Console(file=reader(sys.stdout))
    ranked = ranking(table, swept)
    if ranked:
        by = "|energy − exact|" if any(row.get("error") is not None for row in table) else "energy"
        console.print(Text(f"ranking by {by}", style="bold"))
        console.print(rows(ranked))
    failed = [row for row in table if row["status"] != "finished"]
    for row in failed[:SHOWN_FAILURES]:
        console.print(
            f"run {row['number']} ({row['run']}) {row['status']}: {row.get('reason') or ''}",
            style="red" if row["status"] == "failed" else "yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if len(failed) > SHOWN_FAILURES:
        console.print(f"… and {len(failed) - SHOWN_FAILURES} more, see sweep.csv")
    console.print(counted(table), highlight=False)
    console.print(f"files     {directory}", highlight=False, soft_wrap=True)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)


def counted(table: Sequence[Mapping[str, Any]]) -> str:
    """`18 finished, 2 failed of 20 runs`."""
    counts = Counter(str(row["status"]) for row in table)
    return ", ".join(f"{count} {status}" for status, count in counts.most_common()) + f" of {len(table)} runs"

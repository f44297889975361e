"""What the terminal shows of a sweep: one line while it goes on, ranking and failures at its end."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from runner.display.live import LiveLine, rows
from runner.display.stream import reader
from runner.display.words import clock
from runner.run.answer import PICK
from runner.sweep.member import Row

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


def sigma(row: Row) -> float:
    """Standard error of what a run is ranked by; 0 where it has none."""
    return float(row.get("stddev") or 0.0)


def exact_here(row: Row) -> float | None:
    """What is left between the exact energy at a run's parameters and the reference; None where one is not known."""
    here, reference = row.get("exact_energy"), row.get("reference_energy")
    known = isinstance(here, int | float) and isinstance(reference, int | float)
    return here - reference if known else None  # type: ignore[operator]


def ranking(table: Sequence[Row], swept: Sequence[str]) -> list[dict[str, Any]]:
    """The best runs, best first; with several seeds, the best settings by the median over their seeds.

    Those within one standard error of the first at a place share it.
    """
    judged = [
        (row, value)
        for row in table
        if row["status"] in ("finished", "stopped") and (value := merit(row)) is not None
    ]
    if "seed" in swept and len(swept) > 1:
        return _by_setting(judged, [key for key in swept if key != "seed"])
    judged.sort(key=lambda pair: (pair[1], pair[0]["number"]))
    names = [*swept, "energy", "stddev", "error", "exact here", "evaluations", "usage_seconds"]
    places = _places([(value, sigma(row)) for row, value in judged[:RANKED]])
    return [
        {"": place, "run": row["number"]}
        | {
            name.rpartition(".")[2]: value
            for name in names
            if (value := exact_here(row) if name == "exact here" else row.get(name)) is not None
        }
        for place, (row, _) in zip(places, judged, strict=False)
    ]


def _places(values: Sequence[tuple[float, float]]) -> list[int]:
    """Places of (value, σ) in ascending order; one within a σ of their difference shares that of the first before."""
    places: list[int] = []
    for number, (value, error) in enumerate(values, 1):
        if places:
            first = places[-1]
            before, its_error = values[first - 1]
            if value - before < math.hypot(error, its_error):
                places.append(first)
                continue
        places.append(number)
    return places


def _by_setting(judged: Sequence[tuple[Row, float]], keys: Sequence[str]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[tuple[Row, float]]] = {}
    for row, value in judged:
        groups.setdefault(tuple(str(row.get(key)) for key in keys), []).append((row, value))
    lines = []
    for setting, members in groups.items():
        values = [value for _, value in members]
        here = [abs(left) for row, _ in members if (left := exact_here(row)) is not None]
        error = _of_median([sigma(row) for row, _ in members])
        line: dict[str, Any] = {
            key.rpartition(".")[2]: value for key, value in zip(keys, setting, strict=True)
        }
        line |= {"runs": len(members), "median": statistics.median(values)}
        line |= {"σ": error} if error else {}
        line |= {"exact here": statistics.median(here)} if len(here) == len(members) else {}
        line |= {
            "best": min(values),
            "worst": max(values),
            "best run": min(members, key=lambda pair: pair[1])[0]["number"],
        }
        lines.append(line)
    lines.sort(key=lambda line: line["median"])
    places = _places([(line["median"], line.get("σ", 0.0)) for line in lines[:RANKED]])
    return [{"": place, **line} for place, line in zip(places, lines, strict=False)]


def _of_median(errors: Sequence[float]) -> float:
    """Standard error that shots give the median of so many values: √(π/2) that of their mean, of up to two the same."""
    share = math.sqrt(math.pi / 2) if len(errors) > 2 else 1.0
    return share * math.sqrt(statistics.fmean(error**2 for error in errors) / len(errors))


def _short(line: Mapping[str, Any]) -> dict[str, Any]:
    """The line with distances in three digits, which is more than σ tells and fits into a terminal."""
    distances = ("median", "σ", "exact here", "best", "worst", "stddev")
    return {name: f"{value:.3g}" if name in distances else value for name, value in line.items()}


def report(table: Sequence[Row], swept: Sequence[str], directory: Path, notes: Sequence[str] = ()) -> None:
    """Print the ranking, every failure with its reason, and where everything lies."""
    console = Console(file=reader(sys.stdout))
    ranked = ranking(table, swept)
    if ranked:
        by = "|energy − exact|" if any(row.get("error") is not None for row in table) else "energy"
        console.print(Text(f"ranking by {by}", style="bold"))
        console.print(rows([_short(line) for line in ranked]))
        if len({line[""] for line in ranked}) < len(ranked):
            console.print("runs that share a place differ by less than 1 σ of shot noise", highlight=False)
    failed = [row for row in table if row["status"] != "finished"]
    for row in failed[:SHOWN_FAILURES]:
        console.print(
            f"run {row['number']} ({row['run']}) {row['status']}: {row.get('reason') or ''}",
            style="red" if row["status"] == "failed" else "magenta",  # both are read on white and on black
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

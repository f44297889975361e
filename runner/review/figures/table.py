"""What an experiment reports row by row, as curves: energy against distance, observables against time, levels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.review.figures.canvas import COLOURS, canvas, number, plain

if TYPE_CHECKING:
    from runner.review.figures.shown import ShownFigure

Rows = Sequence[Mapping[str, Any]]

ASIDE = frozenset(
    ("steps", "evaluations", "iterations", "gradient", "error", "count", "parameter_set", "variance",
     "spin_square", "configurations", "valid", "rank", "bias", "fidelity", "gates", "qubits", "generators",
     "time", "outside")
)  # fmt: skip
"""Columns that are no result."""
SPREAD, EXACT, LEFT_OUT = "stddev", "exact", "truncation"
"""`<name> stddev`, `<name> exact` and `<name> truncation` belong to another column; those without a name to `MAIN`."""
MAIN = "energy"
"""Whose `stddev` and `exact` are; in a table without it they are those of its only result, if there is only one."""
UNSURE = "of unknown standard error"
"""What is said of points without one among others that have theirs: picks of noisy energies."""
REFERENCE = "reference"
"""`<name> reference` stands where `<name> exact` would, and may be off."""
CHECKS = ("stabilizer", "discarded")
"""`<name> stabilizer` is what is known of it in another way, `<name> mps discarded` what that left out."""


def curves(rows: Rows) -> ShownFigure | None:
    """Every result against the first column, with standard errors, beside the exact values; None: rows are no curve."""
    if not is_curve(rows):
        return None
    from matplotlib.ticker import MaxNLocator

    along = next(iter(rows[0]))
    places = [row[along] for row in rows]
    names = _results(rows)
    main = MAIN if any(MAIN in row for row in rows) else names[0] if len(names) == 1 else None
    figure = canvas()
    axes = plain(figure.add_subplot())
    for position, name in enumerate(names):
        colour = COLOURS[position % len(COLOURS)]
        measured = _told(rows, (name,))
        own = (SPREAD,) if name == main else ()
        spread = _told(rows, (f"{name} {SPREAD}", *own))
        bars = any(spread.values())
        sampled = [row for row in measured if row in spread] if bars else list(measured)
        axes.errorbar(
            [places[row] for row in sampled], [measured[row] for row in sampled],
            yerr=[spread[row] for row in sampled] if bars else None, fmt="o", markersize=4, capsize=2,
            color=colour, label=name,
        )  # fmt: skip
        if others := [row for row in measured if bars and row not in spread]:
            axes.plot(
                [places[row] for row in others], [measured[row] for row in others], "o", markersize=4,
                markerfacecolor="white", color=colour, label=f"{name}, {UNSURE}",
            )  # fmt: skip
        sure = _told(rows, (f"{name} {EXACT}", *((EXACT,) if name == main else ())))
        # where what was left out of a reference is too much for it to be called exact, it is one
        known = sure if len(sure) == len(rows) else _told(rows, (f"{name} {EXACT}", f"{name} {REFERENCE}"))
        known = known or sure
        if known:
            told = EXACT if len(known) == len(sure) else REFERENCE
            axes.plot(
                [places[row] for row in known], list(known.values()), "--", linewidth=1.2, color=colour,
                label=f"{name}, {told}",
            )  # fmt: skip
    if all(isinstance(place, int) for place in places):  # layers, dimensions: there is none in between
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(along.replace("_", " "))
    axes.set_ylabel(names[0].replace("_", " ") if len(names) == 1 else "value")
    axes.legend(frameon=False, fontsize=9)
    return figure


def is_curve(rows: Rows) -> bool:
    """The first column rises or falls all the way, and there is something to draw against it."""
    if len(rows) < 2:
        return False
    along = next(iter(rows[0]), "")
    places = [number(row.get(along)) for row in rows]
    if any(place is None for place in places) or not _results(rows):
        return False
    steps = [after - before for before, after in itertools.pairwise(places)]  # type: ignore[operator]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)


def _results(rows: Rows) -> list[str]:
    """The columns, beyond the first, that have results: what they are called says so, and some row a number."""
    _, *others = dict.fromkeys(name for row in rows for name in row)
    return [
        name
        for name in others
        if name not in ASIDE
        and not name.endswith((SPREAD, EXACT, LEFT_OUT, REFERENCE, *CHECKS))
        and any(number(row.get(name)) is not None for row in rows)
    ]


def _told(rows: Rows, names: Sequence[str]) -> dict[int, float]:
    """Row → the number that the first of these columns has there, where one has any."""
    found = {}
    for row, values in enumerate(rows):
        told = [value for name in names if (value := number(values.get(name))) is not None]
        if told:
            found[row] = float(told[0])
    return found

"""The runs of a sweep in one picture: result against what was swept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.figures.canvas import BLACK, COLOURS, canvas, number, plain
from runner.figures.energy import exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS_NAMES = {
    "energy": "energy (units of H)",
    "error": "energy − exact (units of H)",
    "usage_seconds": "usage (s)",
    "cost": "cost (USD)",
    "evaluations": "evaluations",
}
"""Column → what its axis says."""

MOST_TICKS = 40


def sweep_overview(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str | None = None,
    y: str = "energy",
    group: str | None = None,
    reference: float | None = None,
) -> Figure:
    """One point per run: `y` against the swept value `x`, one colour per `group`; a second panel shows the usage.

    Args:
        rows: one dictionary per run, as in sweep.csv.
        x: column of the swept value, a number or a word; None: the runs in their order, named by `run`.
        y: column of the result.
        group: column that tells curves apart.
        reference: exact energy, drawn as a line where `y` is an energy.
    """
    chosen = [row for row in rows if number(row.get(y)) is not None]
    column = x or "run"
    has_usage = y != "usage_seconds" and any(number(row.get("usage_seconds")) is not None for row in chosen)
    values = [row.get(column) for row in chosen]
    numeric = bool(values) and all(number(value) is not None for value in values)
    places = {value: place for place, value in enumerate(dict.fromkeys(map(str, values)))}
    longest = max(map(len, places), default=0)
    slanted = not numeric and longest * len(places) > 70
    bottom_inches = min(0.7 + 0.055 * longest, 3.0) if slanted else 0.6
    figure = canvas(
        height=(5.4 if has_usage else 3.9) + bottom_inches,
        left=1.3 if slanted else 0.95,
        bottom=bottom_inches,
    )
    panels = figure.subplots(2 if has_usage else 1, 1, sharex=True, squeeze=False)[:, 0]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in chosen:
        groups.setdefault(str(row.get(group)) if group else "", []).append(row)
    for axes, name in zip(panels, (y, "usage_seconds"), strict=False):
        plain(axes)
        axes.set_ylabel(AXIS_NAMES.get(name, name))
        for position, (label, members) in enumerate(groups.items()):
            ordered = sorted(members, key=lambda row: row[column]) if numeric else members
            points = [
                (
                    row[column] if numeric else places[str(row.get(column))],
                    row[name],
                    number(row.get("stddev")),
                )
                for row in ordered
                if number(row.get(name)) is not None
            ]
            _draw_group(
                axes, points, COLOURS[position % len(COLOURS)], label, lines=numeric, errors=name == y
            )
    top = panels[0]
    if reference is not None and y == "energy":
        top.axhline(reference, color=BLACK, linestyle="--", linewidth=1, label=exact(reference))
    if top.get_legend_handles_labels()[0]:
        top.legend(frameon=False, fontsize=9, title=group, title_fontsize=9)
    bottom = panels[-1]
    if numeric and all(isinstance(value, int) for value in values):
        from matplotlib.ticker import MaxNLocator

        bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.set_xlabel(x or "run")
    if not numeric and len(places) <= MOST_TICKS:
        bottom.set_xticks(
            range(len(places)),
            list(places),
            rotation=40 if slanted else 0,
            ha="right" if slanted else "center",
        )
        bottom.tick_params(axis="x", labelsize=8 if slanted else 9)
    return figure


def _draw_group(
    axes: Axes,
    points: Sequence[tuple[Any, float, float | None]],
    colour: str,
    label: str,
    *,
    lines: bool,
    errors: bool,
) -> None:
    if not points:
        return
    places, values, spreads = zip(*points, strict=True)
    axes.errorbar(
        places, values, yerr=[spread or 0.0 for spread in spreads] if errors and any(spreads) else None,
        fmt="o-" if lines else "o", markersize=5, linewidth=1, elinewidth=1, color=colour, label=label or None,
    )  # fmt: skip

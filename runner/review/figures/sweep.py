"""The runs of a sweep in one picture: result against what was swept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.review.figures.canvas import BLACK, COLOURS, canvas, number, plain
from runner.review.figures.energy import exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from runner.review.figures.shown import ShownFigure

Rows = Sequence[Mapping[str, Any]]

MOST_TICKS = 40
MOST_COLOURS = 7
USAGE = "usage_seconds"
PICK = "pick of noisy energies, not measured"
"""What points are called that are no measured energies."""


@dataclass(frozen=True, kw_only=True)
class SweepAxes:
    """What of a sweep's table is drawn against what."""

    x: str | None = None
    """Column of the swept value, a number or a word; None: the runs in their order, named by `run`."""
    y: str = "energy"
    """Column of the result."""
    group: str | None = None
    """Column that tells curves apart."""
    reference: float | None = None
    """Exact energy, drawn as a line where `y` is an energy."""
    energy_unit: str = "units of H"

    @classmethod
    def of(cls, rows: Rows, *, energy_unit: str = "units of H") -> SweepAxes:
        """The swept key with most values along x, the next one in colours; seeds only where nothing else is swept.

        Where no run has an energy, as of experiments that measure many things, the usage is what there is to draw.

        Args:
            rows: sweep.csv, which has what was swept between the columns `run` and `status`.
            energy_unit: unit of the energies.
        """
        names = list(rows[0]) if rows else []
        swept = (
            names[names.index("run") + 1 : names.index("status")] if {"run", "status"} <= set(names) else []
        )
        counts = {key: len({row.get(key) for row in rows}) for key in swept}
        chosen = sorted(
            (key for key in counts if counts[key] > 1), key=lambda key: (key == "seed", -counts[key])
        )
        colours = [key for key in chosen[1:] if counts[key] <= MOST_COLOURS]
        references = {row.get("reference_energy") for row in rows if number(row.get("energy")) is not None}
        known = bool(references) and None not in references
        result = "error" if known and len(references) > 1 else "energy" if references else USAGE
        return cls(
            x=chosen[0] if chosen else None,
            group=colours[0] if colours else None,
            y=result,
            reference=references.pop() if known and len(references) == 1 else None,
            energy_unit=energy_unit if cls._common(swept, energy_unit) else "units of H",
        )

    @staticmethod
    def _common(swept: Sequence[str], energy_unit: str) -> bool:
        """Whether all runs have this unit: Hartree do not change with a Hamiltonian's numbers, a coupling may."""
        kinds = {key.partition(".")[0] for key in swept}
        return "hamiltonian" not in swept and ("hamiltonian" not in kinds or energy_unit == "Hartree")

    @property
    def column(self) -> str:
        """What is along x."""
        return self.x or "run"

    def numeric(self, rows: Rows) -> bool:
        """Whether x is a number in every row."""
        return bool(rows) and all(number(row.get(self.column)) is not None for row in rows)

    def panels(self, rows: Rows) -> list[str]:
        """The result, and the usage where it is known."""
        has_usage = self.y != USAGE and any(number(row.get(USAGE)) is not None for row in rows)
        return [self.y, USAGE] if has_usage else [self.y]

    def groups(self, rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
        """Curve → its rows; one curve without a name where there are no groups."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            found.setdefault(str(row.get(self.group)) if self.group else "", []).append(row)
        return found

    def ordered(self, rows: Rows) -> Rows:
        """From left to right."""
        return sorted(rows, key=lambda row: row[self.column]) if self.numeric(rows) else rows

    def words(self, rows: Rows) -> list[str]:
        """The swept values in their order, where they are no numbers."""
        return list(dict.fromkeys(str(row.get(self.column)) for row in rows))

    def places(self, points: Rows, rows: Rows, share: float) -> list[float]:
        """Where points stand along x; those of several groups at a word stand beside one another.

        Args:
            points: rows of one group.
            rows: all rows that are drawn.
            share: position of the group among the groups, 0 ≤ share < 1.
        """
        if self.numeric(rows):
            return [row[self.column] for row in points]
        middle = 0.5 / len(self.groups(rows))
        place = {word: number for number, word in enumerate(self.words(rows))}
        return [place[str(row.get(self.column))] + 0.5 * (share + middle - 0.5) for row in points]

    def limits(self, rows: Rows, column: str) -> tuple[float, float]:
        """Least and greatest value of a column with some margin; the exact energy is part of it."""
        values = [value for row in rows if (value := number(row.get(column))) is not None]
        if column == self.y == "energy" and self.reference is not None:
            values.append(self.reference)
        margin = 0.08 * (max(values) - min(values)) or 0.05 * abs(max(values)) or 1.0
        return min(values) - margin, max(values) + margin

    def picked(self, row: Mapping[str, Any], column: str) -> bool:
        """Whether a row's number in a column is the lowest of noisy energies, and so too low."""
        return column == self.y == "energy" and row.get("energy_kind") == "pick"

    def title(self, column: str) -> str:
        """What the axis of a column says."""
        return {
            "energy": f"energy ({self.energy_unit})",
            "error": f"energy − exact ({self.energy_unit})",
            USAGE: "usage (s)",
            "cost": "cost (USD)",
        }.get(column, column)


def sweep_overview(rows: Rows, axes: SweepAxes) -> ShownFigure:
    """One point per run: `y` against the swept value `x`, one colour per `group`; a second panel shows the usage.

    Args:
        rows: one dictionary per run, as in sweep.csv.
        axes: what is drawn against what.
    """
    chosen = [row for row in rows if number(row.get(axes.y)) is not None]
    panels = axes.panels(chosen)
    numeric = axes.numeric(chosen)
    words = axes.words(chosen)
    longest = max(map(len, words), default=0)
    slanted = not numeric and longest * len(words) > 70
    bottom_inches = min(0.7 + 0.055 * longest, 3.0) if slanted else 0.6
    figure = canvas(
        height=(5.4 if len(panels) > 1 else 3.9) + bottom_inches,
        left=1.3 if slanted else 0.95,
        bottom=bottom_inches,
    )
    drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    groups = axes.groups(chosen)
    for panel, name in zip(drawn, panels, strict=True):
        plain(panel)
        panel.set_ylabel(axes.title(name))
        for position, (label, members) in enumerate(groups.items()):
            told = [row for row in axes.ordered(members) if number(row.get(name)) is not None]
            placed = list(zip(axes.places(told, chosen, position / len(groups)), told, strict=True))
            points = [
                (place, row[name], number(row.get("stddev")))
                for place, row in placed
                if not axes.picked(row, name)
            ]
            colour = COLOURS[position % len(COLOURS)]
            _draw_group(panel, points, colour, label, lines=numeric, errors=name == axes.y)
            picks = [(place, row[name]) for place, row in placed if axes.picked(row, name)]
            _draw_picks(panel, picks, colour)
    top, bottom = drawn[0], drawn[-1]
    if axes.reference is not None and axes.y == "energy":
        top.axhline(axes.reference, color=BLACK, linestyle="--", linewidth=1, label=exact(axes.reference))
    if top.get_legend_handles_labels()[0]:
        top.legend(frameon=False, fontsize=9, title=axes.group, title_fontsize=9)
    if numeric and all(isinstance(row.get(axes.column), int) for row in chosen):
        from matplotlib.ticker import MaxNLocator

        bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.set_xlabel(axes.column)
    if not numeric:
        bottom.set_xlim(-0.5, max(len(words), 1) - 0.5)
    if not numeric and len(words) <= MOST_TICKS:
        bottom.set_xticks(
            range(len(words)),
            words,
            rotation=40 if slanted else 0,
            ha="right" if slanted else "center",
        )
        bottom.tick_params(axis="x", labelsize=8 if slanted else 9)
    return figure


def _draw_picks(axes: Axes, points: Sequence[tuple[Any, float]], colour: str) -> None:
    """Hollow, and with no line through them."""
    if points:
        label = PICK if PICK not in axes.get_legend_handles_labels()[1] else None
        places, values = zip(*points, strict=True)
        axes.plot(places, values, "o", markersize=5, markerfacecolor="white", color=colour, label=label)


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

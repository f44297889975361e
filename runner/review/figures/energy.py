"""How the energy went down: per evaluation, and per second of the session's clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.record.events import Estimate, Evaluation, JobCompleted
from runner.record.log import of, remembered
from runner.review.figures.canvas import (
    BLACK,
    CHEMICAL_ACCURACY,
    COLOURS,
    GREY,
    Events,
    canvas,
    number,
    plain,
    unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Evaluations = Mapping[str, "Sequence[DrawnEvaluation]"]
"""Workload → its evaluations."""
AFRESH = "answer, measured afresh"
"""What the last point is called."""


def convergence(events: Events, reference: float | None = None) -> Figure:
    """Energy of every evaluation with its standard error, the best so far, and the distance to the exact energy.

    Of noisy energies the lowest is biased, so the distance is that of each, and of the answer measured afresh.

    Args:
        events: the journal.
        reference: exact energy; None: no line, and no panel of distances.
    """
    workloads = evaluations(events)
    figure = canvas(height=4.5 if reference is None else 6.0)
    if reference is None:
        axes = plain(figure.add_subplot())
        distances = None
    else:
        axes, distances = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        plain(axes)
        plain(distances)
    estimates = {event.workload: event for event in of(events, Estimate)}
    for position, (name, rows) in enumerate(workloads.items()):
        colour = COLOURS[position % len(COLOURS)]
        steps = [row.index + 1 for row in rows]
        best = [row.best for row in rows]
        label = lowest(rows) if len(workloads) == 1 else f"{name}: {lowest(rows)}"
        _scatter(axes, steps, rows, colour)
        axes.step(steps, best, where="post", color=colour, linewidth=1.8, label=label)
        if name in estimates:
            _measured_afresh(axes, steps[-1], estimates[name], colour)
        if distances is not None and reference is not None and noisy(rows):
            apart = [abs(row.energy - reference) for row in rows]
            errors = [number(row.stddev) or 0.0 for row in rows]
            _scatter_distances(distances, steps, apart, errors, colour)
            if name in estimates:
                _measured_afresh(distances, steps[-1], estimates[name], colour, reference=reference)
        elif distances is not None and reference is not None:
            distances.step(
                steps, [abs(energy - reference) for energy in best], where="post", color=colour, linewidth=1.8
            )
    if reference is not None and distances is not None:
        axes.axhline(reference, color=BLACK, linestyle="--", linewidth=1, label=exact(reference))
        _finish_distances(distances, unit(events), what=distance_of(workloads))
    (distances or axes).set_xlabel("evaluation")
    axes.set_ylabel(f"energy ({unit(events)})")
    _frame(axes, limits_of(workloads, reference))
    _legend(axes)
    return figure


def energy_against_usage(events: Events, reference: float | None = None) -> Figure:
    """Best energy so far against the QPU seconds it took: what a second of the machine bought."""
    workloads = evaluations(events)
    points = {name: [(row.spent, row.best) for row in rows] for name, rows in workloads.items()}
    figure = canvas()
    axes = plain(figure.add_subplot())
    for position, (name, curve) in enumerate(points.items()):
        colour = COLOURS[position % len(COLOURS)]
        times, energies = zip(*curve, strict=True)
        label = lowest(workloads[name]) if len(points) == 1 else name
        axes.step(times, energies, where="post", color=colour, linewidth=1.8, label=label)
    if reference is not None:
        axes.axhline(reference, color=BLACK, linestyle="--", linewidth=1, label=exact(reference))
    axes.set_xlabel("QPU time (s)")
    axes.set_ylabel(f"energy ({unit(events)})")
    shown = [energy for curve in points.values() for _, energy in curve]
    _frame(axes, limits(shown, shown, reference))
    _legend(axes)
    return figure


@dataclass(frozen=True, slots=True)
class DrawnEvaluation:
    """What is drawn of an evaluation."""

    index: int
    """How many its workload has evaluated before."""
    energy: float
    stddev: float
    best: float
    spent: float
    """QPU time of the workload until then [s]."""


def evaluations(events: Events) -> dict[str, list[DrawnEvaluation]]:
    """Workload → its evaluations with a finite energy."""
    return remembered(events, "evaluations", lambda: _evaluations(events))


def _evaluations(events: Events) -> dict[str, list[DrawnEvaluation]]:
    spent: dict[str, float] = {}
    found: dict[str, list[DrawnEvaluation]] = {}
    for event in of(events, JobCompleted, Evaluation):
        name = event.stream
        if isinstance(event, JobCompleted):
            spent[name] = spent.get(name, 0.0) + event.qpu_seconds
        elif isinstance(event, Evaluation) and None not in (number(event.energy), number(event.best)):
            step = DrawnEvaluation(event.index, event.energy, event.stddev, event.best, spent.get(name, 0.0))
            found.setdefault(name, []).append(step)
    return found


def noisy(rows: Sequence[DrawnEvaluation]) -> bool:
    """Whether evaluations have shot noise."""
    return any(number(row.stddev) for row in rows)


def lowest(rows: Sequence[DrawnEvaluation]) -> str:
    """What the running minimum of evaluations is called: of noisy ones it is no estimate of anything."""
    return "lowest so far, biased by noise" if noisy(rows) else "best so far"


def distance_of(workloads: Evaluations) -> str:
    """What the panel of distances shows."""
    return "energy" if any(noisy(rows) for rows in workloads.values()) else "best"


def exact(reference: float) -> str:
    """What the line of the exact energy is called."""
    return f"exact: {reference:.6f}".replace("-", "−")


def _scatter(axes: Axes, steps: list[int], rows: Sequence[DrawnEvaluation], colour: str) -> None:
    energies = [row.energy for row in rows]
    errors = [number(row.stddev) or 0.0 for row in rows]
    axes.errorbar(
        steps, energies, yerr=errors if any(errors) else None, fmt=".", markersize=4, elinewidth=0.8,
        color=colour, alpha=0.45, rasterized=len(rows) > 2000, zorder=1,
        label="± standard error" if any(errors) and not axes.get_legend_handles_labels()[0] else None,
    )  # fmt: skip


def _scatter_distances(
    axes: Axes, steps: list[int], distances: list[float], errors: list[float], colour: str
) -> None:
    below = [min(error, 0.9 * distance) for error, distance in zip(errors, distances, strict=True)]
    axes.errorbar(
        steps, distances, yerr=[below, errors], fmt=".", markersize=4, elinewidth=0.8, color=colour, alpha=0.45,
        rasterized=len(steps) > 2000, zorder=1,
    )  # fmt: skip


def _measured_afresh(
    axes: Axes, last: int, event: Estimate, colour: str, *, reference: float | None = None
) -> None:
    """The answer as it was measured in the end; with `reference` its distance from that."""
    energy = number(event.energy)
    if energy is None:
        return
    error = number(event.stddev) or 0.0
    label = AFRESH if AFRESH not in axes.get_legend_handles_labels()[1] else None
    height = energy if reference is None else abs(energy - reference)
    below = error if reference is None else min(error, 0.9 * height)
    axes.errorbar(
        [last + 1], [height], yerr=[[below], [error]], fmt="D", markersize=5, capsize=3,
        color=colour, markeredgecolor="white", label=label, zorder=4,
    )  # fmt: skip


def decades(low: float, high: float, energy_unit: str) -> tuple[int, int] | None:
    """Powers of ten between which distances are shown: whole decades, so that at least two ticks carry a number."""
    if energy_unit == "Hartree":
        low, high = min(low, CHEMICAL_ACCURACY), max(high, CHEMICAL_ACCURACY)
    if not 0 < low < high:
        return None
    return math.floor(math.log10(low)), math.ceil(math.log10(high))


def _finish_distances(axes: Axes, energy_unit: str, *, what: str) -> None:
    from matplotlib.ticker import NullFormatter

    axes.set_yscale("log")
    low, high = axes.dataLim.intervaly
    shown = decades(low, high, energy_unit)
    if shown is not None:
        axes.set_ylim(10.0 ** shown[0], 10.0 ** shown[1])
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(f"|{what} − exact| ({energy_unit})")
    if energy_unit == "Hartree":
        axes.axhline(CHEMICAL_ACCURACY, color=GREY, linestyle=":", linewidth=1.2)
        axes.annotate(
            "chemical accuracy, 1.6 mHa", (0.995, CHEMICAL_ACCURACY), xycoords=("axes fraction", "data"),
            ha="right", va="bottom", fontsize=8, color="#555555",
        )  # fmt: skip


def limits_of(workloads: Evaluations, reference: float | None) -> tuple[float, float] | None:
    """What of the energy axis to show of evaluations; None: nothing."""
    rows = [row for rows in workloads.values() for row in rows]
    return limits([row.energy for row in rows], [row.best for row in rows], reference)


def limits(
    energies: Sequence[float], best: Sequence[float], reference: float | None
) -> tuple[float, float] | None:
    """What of the energy axis to show: far outliers above may leave the picture, the best may not; None: nothing."""
    energies = sorted(energies)
    if not energies:
        return None
    low = min(energies[0], *best)
    if reference is not None:
        low = min(low, reference)
    high = energies[min(len(energies) - 1, int(0.98 * len(energies)))]
    if energies[-1] - high < high - low:
        high = energies[-1]
    margin = 0.06 * (high - low) or 0.06
    return low - margin, high + margin


def _frame(axes: Axes, found: tuple[float, float] | None) -> None:
    if found is not None:
        axes.set_ylim(*found)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)

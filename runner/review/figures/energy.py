"""How the energy went down: per evaluation, and per second of the session's clock."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runner.display.words import energy_number
from runner.record.events import Checkpoint, Estimate, Evaluation, Event, Iteration, JobCompleted, RunStarted
from runner.record.log import first, of, outcome, remembered
from runner.record.quantity import CVAR, PENALIZED, quantity_of
from runner.record.usage import FED, Usage
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
from runner.review.figures.error import ErrorScale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection

    from runner.review.figures.shown import ShownFigure

Evaluations = Mapping[str, "Sequence[DrawnEvaluation]"]
"""Workload → its evaluations."""
AFRESH = "answer, measured afresh"
"""What the last point is called."""


class Quantity(NamedTuple):
    """What evaluations are of, and what the answer is called, which is an energy."""

    name: str
    afresh: str


ANSWERS = {CVAR: "answer's mean, measured afresh", PENALIZED: "answer without penalty, measured afresh"}
"""What the answer is called where something else than its energy was minimized."""
STANDS = "where the optimizer stands, by its own estimate"
"""What the line through its steps is called: NFT evaluates around the point, never at it."""
BEST = "best so far"
"""What the lowest of energies without noise is called."""
SPENT = "QPU time of all jobs until then (s)"
"""What the axis of `spent` is called."""
OF_EACH = "exact, of each"
"""What lines of several exact energies are called."""
OVERLAYS = 64
"""Error bars over one another beyond which the colour is no deeper to the eye."""


def convergence(events: Events, reference: float | None = None) -> ShownFigure:
    """Energy of every evaluation with its standard error, and below it how far from the exact energy that is.

    Of noisy energies the lowest is biased, so each is drawn as it was measured, beside the answer measured afresh;
    without shot noise the lowest is the best found so far, and its distance is on a logarithmic scale.

    Args:
        events: the journal.
        reference: exact energy, of workloads of which the table tells none of their own; None: distances are those
            from the answer, and none where it was not measured afresh.
    """
    workloads = evaluations(events)
    estimates = answers(events)
    origins, what = origins_of(events, workloads, estimates, reference), quantity(events)
    figure = canvas(height=6.4 if origins.of else 4.7, top=0.4)
    if not origins.of:
        axes, distances = figure.add_subplot(), None
    else:
        axes, distances = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    plain(axes)
    for position, (name, rows) in enumerate(workloads.items()):
        colour = COLOURS[position % len(COLOURS)]
        _scatter(axes, steps_of(rows), rows, colour, label="" if len(workloads) == 1 else name)
        if noisy(rows):
            _stands(axes, stands(events).get(name, ()), colour)
        else:
            _best(axes, steps_of(rows), rows, colour, label="" if len(workloads) == 1 else name)
        if name in estimates:
            _measured_afresh(axes, rows[-1].index + 2, estimates[name], colour, called=what.afresh)
    _exact(axes, workloads, origins)
    if distances is not None:
        _distances(distances, workloads, estimates, origins, unit(events), of=what, steps=stands(events))
    (distances or axes).set_xlabel("evaluation")
    axes.set_ylabel(f"{what.name} ({unit(events)})")
    _frame(axes, limits_of(workloads, origins))
    _legend(axes)
    return figure


def energy_against_usage(events: Events, reference: float | None = None) -> ShownFigure:
    """What a second of the machine bought: the distance from the exact energy, or the energy, against QPU seconds.

    All jobs count: learning noise, choosing, measuring answers, and what other workloads had meanwhile.
    """
    workloads = evaluations(events)
    estimates = answers(events)
    origins = origins_of(events, workloads, estimates, reference)
    figure = canvas(top=0.4)
    axes = plain(figure.add_subplot())
    what = quantity(events)
    if origins.of and any_noisy(workloads):
        _distances(axes, workloads, estimates, origins, unit(events), of=what, answered=answered(events))
        _legend(axes)
        axes.set_xlabel(SPENT)
        return figure
    for position, (name, rows) in enumerate(workloads.items()):
        colour, label = COLOURS[position % len(COLOURS)], "" if len(workloads) == 1 else name
        if noisy(rows):
            _scatter(axes, [row.spent for row in rows], rows, colour, label=label)
        else:
            _best(axes, [row.spent for row in rows], rows, colour, label=label)
    _exact(axes, workloads, origins)
    axes.set_xlabel(SPENT)
    axes.set_ylabel(f"{what.name} ({unit(events)})")
    best = [row.best for rows in workloads.values() for row in rows]
    noise = any_noisy(workloads)
    _frame(axes, limits_of(workloads, origins) if noise else limits(best, best, origins.exact))
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
    """QPU time of all jobs of the run until then [s]."""


def evaluations(events: Events) -> dict[str, list[DrawnEvaluation]]:
    """Workload → its evaluations with a finite energy."""
    return _course(events).evaluated


def stands(events: Events) -> dict[str, list[tuple[int, float]]]:
    """Workload → its optimizer's steps: evaluations until then, and the energy at which it believes to stand."""
    return _course(events).steps


def answered(events: Events) -> dict[str, float]:
    """Workload → QPU time of all jobs until its answer was measured [s]."""
    return _course(events).answered


def _course(events: Events) -> Course:
    return remembered(events, Course.__name__, lambda: Course.of(events))


class Course:
    """Evaluations, steps and answers of each workload, which are read together, and what had been spent by then.

    Workloads that run beside one another may be written in any order, so that is counted by the session's clock.
    """

    FACTS = (*FED, Evaluation, Iteration, Estimate)

    def __init__(self) -> None:
        self.steps: dict[str, list[tuple[int, float]]] = {}
        self._evaluated: dict[str, list[tuple[int, float, float, float, float]]] = {}
        """Of each, in the order of `DrawnEvaluation`; last, what its spending is looked up by."""
        self._answered: dict[str, float] = {}
        self._usage = Usage()
        self._jobs: list[tuple[float, float]] = []
        """When each was over, and what it took [s]."""
        self._over: dict[str, float] = {}
        self._done: dict[str, int] = {}

    @classmethod
    def of(cls, events: Events) -> Course:
        """Read those of a journal."""
        course = cls()
        for event in of(events, *cls.FACTS):
            course.take(event)
        return course

    def take(self, event: Event) -> None:
        """Take in the next of these facts."""
        done, name = self._done, event.stream
        if isinstance(event, FED):
            self._spend(event)
        if isinstance(event, Evaluation):
            done[name] = event.index + 1
            if number(event.energy) is not None and number(event.best) is not None:
                moment = self._over.get(name, self._usage.latest)
                told = (event.index, event.energy, event.stddev, event.best, moment)
                self._evaluated.setdefault(name, []).append(told)
        elif isinstance(event, Iteration) and event.energy is not None and number(event.energy) is not None:
            self.steps.setdefault(name, []).append((done.get(name, 0), event.energy))
        elif isinstance(event, Estimate):
            self._answered[name] = self._usage.latest

    def _spend(self, event: Event) -> None:
        before = self._usage.qpu
        self._usage.feed(event)
        after = self._usage.qpu
        if isinstance(event, JobCompleted) and after > before:
            self._jobs.append((event.finished, after - before))
            self._over[event.stream] = event.finished
        while after < before and self._jobs:  # an earlier release went on as if these had not been
            before -= self._jobs.pop()[1]

    @cached_property
    def evaluated(self) -> dict[str, list[DrawnEvaluation]]:
        """Workload → its evaluations with a finite energy."""
        spent = self._spent()
        found, self._evaluated = self._evaluated, {}
        return {
            name: [
                DrawnEvaluation(index, energy, stddev, best, spent(moment))
                for index, energy, stddev, best, moment in told
            ]
            for name, told in found.items()
        }

    @cached_property
    def answered(self) -> dict[str, float]:
        """Workload → QPU time of all jobs until its answer was measured [s]."""
        spent = self._spent()
        return {name: spent(time) for name, time in self._answered.items()}

    def _spent(self) -> Callable[[float], float]:
        """QPU time of all jobs that were over at a time on the session's clock [s]."""
        jobs = sorted(self._jobs)
        times = [time for time, _ in jobs]
        sums = list(itertools.accumulate((seconds for _, seconds in jobs), initial=0.0))
        return lambda time: sums[bisect.bisect_right(times, time)]


def quantity(events: Events) -> Quantity:
    """What a run evaluates: what it minimized, or was asked for, which need not be the energy."""
    name = quantity_of(first(events, RunStarted))
    return Quantity(name, ANSWERS.get(name, AFRESH))


def answers(events: Events) -> dict[str, Estimate]:
    """Workload → its answer as it was measured in the end, where that is a number."""
    return {event.workload: event for event in of(events, Estimate) if number(event.energy) is not None}


@dataclass(frozen=True, slots=True)
class Origins:
    """What the distances of each workload are measured from."""

    what: str
    """What that is called: exact | answer."""
    of: Mapping[str, float]
    """Workload → that energy; without one it has no distances."""

    @property
    def exact(self) -> list[float]:
        """The exact energies, each once."""
        return list(dict.fromkeys(self.of.values())) if self.what == "exact" else []


def origins_of(
    events: Events, workloads: Evaluations, estimates: Mapping[str, Estimate], reference: float | None
) -> Origins:
    """Each workload's exact energy, else the lowest measured answer of those that look for the same."""
    own = _told_of_each(events, workloads)
    if own:
        known = {name: value for name, value in own.items() if value is not None}
    else:
        known = {} if reference is None else dict.fromkeys(workloads, reference)
    if known or not any_noisy(workloads) or not estimates:
        return Origins("exact", known)
    measured = {name: event.energy for name, event in estimates.items()}
    if own:
        return Origins("answer", {name: measured[name] for name in workloads if name in measured})
    return Origins("answer", dict.fromkeys(workloads, min(measured.values())))


def _told_of_each(events: Events, workloads: Evaluations) -> dict[str, float | None]:
    """Workload → the exact energy in its row of the table, where rows have their own: of levels, or along a curve."""
    rows = [event.columns for event in of(events, Checkpoint)] + list(outcome(events).get("table") or ())
    found: dict[str, float | None] = {}
    for row in rows:
        if "exact" in row:
            along, value = next(iter(row.items()))
            words = [f"{along} {value}", *([f"{along}={value:g}"] if number(value) is not None else [])]
            found.update((name, number(row["exact"])) for name in words if name in workloads)
    return found


def steps_of(rows: Sequence[DrawnEvaluation]) -> list[int]:
    """Numbers of evaluations, from 1."""
    return [row.index + 1 for row in rows]


def noisy(rows: Sequence[DrawnEvaluation]) -> bool:
    """Whether evaluations have shot noise."""
    return any(number(row.stddev) for row in rows)


def any_noisy(workloads: Evaluations) -> bool:
    """Whether some evaluations have shot noise; then distances keep their signs."""
    return any(noisy(rows) for rows in workloads.values())


def error_scale(
    workloads: Evaluations, estimates: Mapping[str, Estimate], origins: Origins, energy_unit: str
) -> ErrorScale:
    """The axis on which the errors of noisy energies are drawn."""
    errors = [row.energy - origin for name, origin in origins.of.items() for row in workloads[name]]
    errors += [estimates[name].energy - origin for name, origin in origins.of.items() if name in estimates]
    spreads = [number(row.stddev) or 0.0 for rows in workloads.values() for row in rows]
    return ErrorScale.of(errors, spreads, energy_unit)


def exact(reference: float) -> str:
    """What the line of the exact energy is called."""
    return f"exact: {energy_number(reference)}".replace("-", "−")


def _exact(axes: Axes, workloads: Evaluations, origins: Origins) -> None:
    """A line at the exact energy; where workloads have their own, one in the colour of each."""
    if one_for_all(workloads, origins):
        (reference,) = origins.exact
        axes.axhline(reference, color=BLACK, linestyle="--", linewidth=1, label=exact(reference))
    elif origins.exact:
        for position, name in enumerate(workloads):
            if name in origins.of:
                colour = COLOURS[position % len(COLOURS)]
                axes.axhline(origins.of[name], color=colour, linestyle="--", linewidth=1)
        axes.plot([], [], color=BLACK, linestyle="--", linewidth=1, label=OF_EACH)


def one_for_all(workloads: Evaluations, origins: Origins) -> bool:
    """Whether all workloads look for one exact energy."""
    return len(origins.exact) == 1 and len(origins.of) == len(workloads)


def _scatter(
    axes: Axes, places: Sequence[float], rows: Sequence[DrawnEvaluation], colour: str, *, label: str
) -> None:
    energies = [row.energy for row in rows]
    errors = [number(row.stddev) or 0.0 for row in rows]
    _points(axes, places, energies, errors, colour, label=label)


def _points(
    axes: Axes,
    places: Sequence[float],
    heights: Sequence[float],
    errors: Sequence[float],
    colour: str,
    *,
    label: str,
) -> None:
    """Evaluations with their standard errors; many are fainter, so that where they lie densest is seen."""
    from matplotlib.container import ErrorbarContainer

    measured = any(errors)
    words = ": ".join(part for part in (label, "evaluations ± σ" if measured else "") if part)
    alpha, rasterized = 0.45 if len(places) < 500 else 0.25, len(places) > 2000
    (points,) = axes.plot(
        places, heights, ".", markersize=4, color=colour, alpha=alpha, rasterized=rasterized, zorder=1
    )
    if not measured:
        return
    bars = _error_bars(places, heights, errors)
    bars.set(linewidth=0.8, color=colour, alpha=alpha, rasterized=rasterized, zorder=1)
    axes.add_collection(bars)
    axes.add_container(ErrorbarContainer((points, (), (bars,)), has_yerr=True, label=words))


def _error_bars(places: Sequence[float], heights: Sequence[float], errors: Sequence[float]) -> LineCollection:
    """Bars that are not drawn one by one, which takes 0.1 ms each.

    Neighbours are parts of different lines, so that where they overlap the colour is deeper all the same.
    """
    from matplotlib.collections import LineCollection

    ends = np.full((len(places), 3, 2), np.nan)  # the third point is the gap before the next bar
    ends[:, :2, 0] = np.asarray(places)[:, None]
    ends[:, :2, 1] = np.asarray(heights)[:, None] + np.outer(errors, (-1, 1))
    lines = [ends[first::OVERLAYS].reshape(-1, 2) for first in range(min(OVERLAYS, len(places)))]
    return LineCollection(lines, snap=True)  # to whole dots, as single bars are


def _best(
    axes: Axes, places: Sequence[float], rows: Sequence[DrawnEvaluation], colour: str, *, label: str
) -> None:
    """The lowest so far, which without noise is what was found."""
    name = ": ".join(part for part in (label, BEST) if part)
    best = [row.best for row in rows]
    axes.step(places, best, where="post", color=colour, linewidth=1.8, label=name)


def _distances(
    axes: Axes,
    workloads: Evaluations,
    estimates: Mapping[str, Estimate],
    origins: Origins,
    energy_unit: str,
    *,
    of: Quantity,
    steps: Mapping[str, Sequence[tuple[int, float]]] | None = None,
    answered: Mapping[str, float] | None = None,
) -> None:
    """With signs and standard errors where energies are noisy, else of the best so far, on a logarithmic scale.

    Args:
        axes: the panel.
        workloads: their evaluations.
        estimates: workload → its answer, measured afresh.
        origins: what distances are from.
        energy_unit: the Hamiltonian's.
        of: what was evaluated.
        steps: workload → its optimizer's steps, against evaluations.
        answered: workload → QPU seconds until its answer, where the panel is against these.
    """
    if not any_noisy(workloads):
        plain(axes)
        for position, (name, rows) in enumerate(workloads.items()):
            if name in origins.of:
                apart = [abs(row.best - origins.of[name]) for row in rows]
                colour = COLOURS[position % len(COLOURS)]
                axes.step(steps_of(rows), apart, where="post", color=colour, linewidth=1.8)
        _finish_distances(axes, energy_unit)
        return
    scale = error_scale(workloads, estimates, origins, energy_unit)
    scale.apply(axes, of=of.name, what=origins.what, chemical=energy_unit == "Hartree")
    for position, (name, rows) in enumerate(workloads.items()):
        origin = origins.of.get(name)
        if origin is None:
            continue
        colour = COLOURS[position % len(COLOURS)]
        places = [float(row.index + 1) if answered is None else row.spent for row in rows]
        apart = [scale.factor * (row.energy - origin) for row in rows]
        spreads = [scale.factor * (number(row.stddev) or 0.0) for row in rows]
        _points(axes, places, apart, spreads, colour, label="" if len(workloads) == 1 else name)
        if name in estimates:
            after = places[-1] + 1 if answered is None else answered[name]
            _measured_afresh(
                axes, after, estimates[name], colour, called=of.afresh, origin=origin, factor=scale.factor
            )
        _stands(axes, (steps or {}).get(name, ()), colour, origin=origin, factor=scale.factor)


def _stands(
    axes: Axes, steps: Sequence[tuple[int, float]], colour: str, *, origin: float = 0.0, factor: float = 1.0
) -> None:
    """A line through an optimizer's steps; with `origin` of their distances from that."""
    if len(steps) < 2:
        return
    label = STANDS if STANDS not in axes.get_legend_handles_labels()[1] else None
    heights = [factor * (energy - origin) for _, energy in steps]
    axes.plot([place for place, _ in steps], heights, color=colour, linewidth=1.2, label=label, zorder=2)


def _measured_afresh(
    axes: Axes,
    place: float,
    event: Estimate,
    colour: str,
    *,
    called: str,
    origin: float = 0.0,
    factor: float = 1.0,
) -> None:
    """The answer as it was measured in the end; with `origin` its distance from that."""
    label = called if called not in axes.get_legend_handles_labels()[1] else None
    axes.errorbar(
        [place], [factor * (event.energy - origin)], yerr=factor * (number(event.stddev) or 0.0), fmt="D",
        markersize=5, capsize=3, color=colour, markeredgecolor="white", label=label, zorder=4,
    )  # fmt: skip


def decades(low: float, high: float, energy_unit: str) -> tuple[int, int] | None:
    """Powers of ten between which distances are shown: whole decades, so that at least two ticks carry a number."""
    if energy_unit == "Hartree":
        low, high = min(low, CHEMICAL_ACCURACY), max(high, CHEMICAL_ACCURACY)
    if not 0 < low < high:
        return None
    return math.floor(math.log10(low)), math.ceil(math.log10(high))


def _finish_distances(axes: Axes, energy_unit: str) -> None:
    from matplotlib.ticker import NullFormatter

    axes.set_yscale("log")
    low, high = axes.dataLim.intervaly
    shown = decades(low, high, energy_unit)
    if shown is not None:
        axes.set_ylim(10.0 ** shown[0], 10.0 ** shown[1])
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(f"|best − exact| ({energy_unit})")
    if energy_unit == "Hartree":
        axes.axhline(CHEMICAL_ACCURACY, color=GREY, linestyle=":", linewidth=1.2)
        axes.annotate(
            "chemical accuracy, 1.6 mHa", (0.995, CHEMICAL_ACCURACY), xycoords=("axes fraction", "data"),
            ha="right", va="bottom", fontsize=8, color="#555555",
        )  # fmt: skip


def limits_of(workloads: Evaluations, origins: Origins) -> tuple[float, float] | None:
    """What of the energy axis to show of evaluations; None: nothing."""
    rows = [row for rows in workloads.values() for row in rows]
    return limits([row.energy for row in rows], [row.best for row in rows], origins.exact)


def limits(
    energies: Sequence[float], best: Sequence[float], exact: Sequence[float]
) -> tuple[float, float] | None:
    """What of the energy axis to show: far outliers above may leave the picture, the best may not; None: nothing."""
    energies = sorted(energies)
    if not energies:
        return None
    low = min(energies[0], *best, *exact)
    high = energies[min(len(energies) - 1, int(0.98 * len(energies)))]
    if energies[-1] - high < high - low:
        high = energies[-1]
    margin = 0.06 * (high - low) or 0.06
    return low - margin, high + margin


def _frame(axes: Axes, found: tuple[float, float] | None) -> None:
    if found is not None:
        axes.set_ylim(*found)


def _legend(axes: Axes) -> None:
    """Above the picture, where it hides no point; in as many lines as its words take."""
    _, names = axes.get_legend_handles_labels()
    if not names:
        return
    columns = min(len(names), max(LETTERS // (max(map(len, names)) + 8), 1))
    lines = -(-len(names) // columns)
    axes.legend(
        frameon=False,
        fontsize=9,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
    )
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.subplots_adjust(top=1 - (0.2 + 0.2 * lines) / figure.get_size_inches()[1])


LETTERS = 120
"""Letters of a legend that have room beside each other."""

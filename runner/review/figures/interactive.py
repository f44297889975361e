"""The figures that gain from hovering and zooming: convergence, session timeline, sweep; drawn with plotly (extra)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.display.words import but_for_residue, but_for_rounding, clock, energy_number
from runner.errors import installed
from runner.record.events import Estimate, Evaluation, JobCompleted
from runner.record.log import of
from runner.record.redaction import redact
from runner.review.figures.canvas import (
    BLACK,
    CHEMICAL_ACCURACY,
    COLOURS,
    GREY,
    Events,
    number,
    residue,
    time_scale,
    unit,
)
from runner.review.figures.energy import (
    BEST,
    OF_EACH,
    DrawnEvaluation,
    Evaluations,
    Origins,
    Quantity,
    answers,
    any_noisy,
    decades,
    error_scale,
    evaluations,
    exact,
    limits_of,
    noisy,
    one_for_all,
    origins_of,
    quantity,
    steps_of,
)
from runner.review.figures.sweep import PICK, SweepAxes
from runner.review.figures.timeline import (
    ACTIVITIES,
    HATCHED,
    STATES,
    Activities,
    Span,
    labels,
    mark_colour,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif'
FAINT = "#E8E8E8"
MOST_OUTLINED = 400
"""Jobs that are told apart by a white line."""
MOST_JOBS_NAMED = 3
"""Jobs of one evaluation that hovering names."""


def library() -> str:
    """The text of plotly.js.

    Raises:
        ConfigError: plotly is not installed.
    """
    told = "needs plotly, which is not installed; pip install 'session-runner[interactive]'"
    with installed(told, key="--interactive"):
        from plotly.offline import get_plotlyjs
    return str(get_plotlyjs())


def run_figures(events: Events, reference: float | None) -> dict[str, Figure]:
    """Name of the static figure → what is shown in its place."""
    found = {"timeline.png": session_timeline(events)}
    if evaluations(events):
        found["convergence.png"] = convergence(events, reference)
    return found


def convergence(events: Events, reference: float | None = None) -> Figure:
    """As `runner.review.figures.convergence`; hovering tells energy ± standard error, job and QPU seconds.

    Distances of noisy energies begin with the last few standard errors, to a linear scale; a double click shows all.
    """
    from plotly.subplots import make_subplots

    energy_unit = unit(events)
    workloads, estimates = evaluations(events), answers(events)
    origins = origins_of(events, workloads, estimates, reference)
    panels = 2 if origins.of else 1
    figure = make_subplots(panels, 1, shared_xaxes=True, vertical_spacing=0.05)
    what = quantity(events)
    told = _told(events, workloads, origins, energy_unit)
    for position, (name, rows) in enumerate(workloads.items()):
        colour = COLOURS[position % len(COLOURS)]
        texts = [told[name, step] for step in steps_of(rows)]
        _evaluations(figure, 1, name, rows, texts, colour)
        if not noisy(rows):
            _best(figure, 1, name, rows, colour)
        if name in estimates:
            _afresh(figure, 1, rows[-1].index + 2, estimates[name], colour, energy_unit, what)
    _style(figure, height=660 if origins.of else 460)
    figure.update_yaxes(
        title=f"{what.name} ({energy_unit})", range=limits_of(workloads, origins), row=1, col=1
    )
    _exact(figure, workloads, origins)
    if origins.of and any_noisy(workloads):
        _errors(figure, workloads, estimates, origins, energy_unit, what, told)
    elif origins.of:
        _best_distances(figure, workloads, origins, energy_unit)
    figure.update_xaxes(title="evaluation", row=panels, col=1)
    return figure


def _exact(figure: Figure, workloads: Evaluations, origins: Origins) -> None:
    """A line at the exact energy; where workloads have their own, one in the colour of each."""
    black = {"color": BLACK, "dash": "dash", "width": 1}
    if one_for_all(workloads, origins):
        (reference,) = origins.exact
        figure.add_hline(reference, row=1, col=1, line=black)
        _in_legend(figure, exact(reference), black)
    elif origins.exact:
        for position, name in enumerate(workloads):
            if name in origins.of:
                line = {**black, "color": COLOURS[position % len(COLOURS)]}
                figure.add_hline(origins.of[name], row=1, col=1, line=line)
        _in_legend(figure, OF_EACH, black)


def _evaluations(
    figure: Figure,
    panel: int,
    name: str,
    rows: Sequence[DrawnEvaluation],
    texts: Sequence[str],
    colour: str,
    *,
    origin: float = 0.0,
    factor: float = 1.0,
) -> None:
    """Evaluations with their standard errors; with `origin` their distances from that."""
    import plotly.graph_objects as go

    errors = [factor * (number(row.stddev) or 0.0) for row in rows]
    label = _safe(name)
    figure.add_trace(
        go.Scatter(
            x=steps_of(rows), y=[factor * (row.energy - origin) for row in rows], mode="markers",
            legendgroup=label, showlegend=panel == 1, opacity=0.5, hovertext=texts, hoverinfo="text",
            name=f"{label}: evaluations ± σ" if any(errors) else f"{label}: evaluations",
            marker={"size": 5, "color": colour},
            error_y={"array": errors, "thickness": 1, "width": 0, "visible": any(errors)},
        ), panel, 1,
    )  # fmt: skip


def _best(
    figure: Figure, panel: int, name: str, rows: Sequence[DrawnEvaluation], colour: str, **more: Any
) -> None:
    """The lowest so far, which without noise is what was found."""
    import plotly.graph_objects as go

    label = _safe(name)
    figure.add_trace(
        go.Scatter(
            x=steps_of(rows), mode="lines", line={"color": colour, "width": 2, "shape": "hv"}, legendgroup=label,
            **{"y": [row.best for row in rows], "name": f"{label}: {BEST}", "hoverinfo": "skip", **more},
        ), panel, 1,
    )  # fmt: skip


def _afresh(
    figure: Figure,
    panel: int,
    place: int,
    event: Estimate,
    colour: str,
    energy_unit: str,
    of: Quantity,
    *,
    origin: float = 0.0,
    factor: float = 1.0,
) -> None:
    """The answer as it was measured in the end."""
    import plotly.graph_objects as go

    label = _safe(event.workload)
    spread = number(event.stddev) or 0.0
    figure.add_trace(
        go.Scatter(
            x=[place], y=[factor * (event.energy - origin)], mode="markers", legendgroup=label, hoverinfo="text",
            name=f"{label}: {of.afresh}", showlegend=panel == 1, error_y={"array": [factor * spread], "thickness": 1},
            marker={"size": 9, "symbol": "diamond", "color": colour, "line": {"width": 1, "color": "white"}},
            hovertext=[f"<b>{label}, measured afresh</b><br>energy {_measured(event.energy, spread, energy_unit)}"],
        ), panel, 1,
    )  # fmt: skip


def _errors(
    figure: Figure,
    workloads: Evaluations,
    estimates: Mapping[str, Estimate],
    origins: Origins,
    energy_unit: str,
    of: Quantity,
    told: Mapping[tuple[str, int], str],
) -> None:
    """The panel of distances with their signs and standard errors."""
    scale = error_scale(workloads, estimates, origins, energy_unit)
    for position, (name, rows) in enumerate(workloads.items()):
        origin = origins.of.get(name)
        if origin is None:
            continue
        colour = COLOURS[position % len(COLOURS)]
        texts = [told[name, step] for step in steps_of(rows)]
        _evaluations(figure, 2, name, rows, texts, colour, origin=origin, factor=scale.factor)
        if name in estimates:
            place = rows[-1].index + 2
            _afresh(
                figure, 2, place, estimates[name], colour, energy_unit, of, origin=origin, factor=scale.factor
            )
    reach = 2 * scale.linear
    figure.update_yaxes(
        title=f"{of.name} − {origins.what} ({scale.unit})", range=[-reach, reach], row=2, col=1
    )
    figure.add_hline(0.0, row=2, col=1, line={"color": BLACK, "dash": "dash", "width": 1})
    if energy_unit == "Hartree":
        accuracy = scale.factor * CHEMICAL_ACCURACY
        figure.add_hrect(-accuracy, accuracy, row=2, col=1, fillcolor=GREY, opacity=0.2, line_width=0)
        _in_legend(figure, "chemical accuracy, 1.6 mHa", {"color": GREY, "width": 8})


def _best_distances(figure: Figure, workloads: Evaluations, origins: Origins, energy_unit: str) -> None:
    """The panel of distances without noise: of the best so far, in powers of ten."""
    seen = []
    for position, (name, rows) in enumerate(workloads.items()):
        if name not in origins.of:
            continue
        apart = [abs(row.best - origins.of[name]) for row in rows]
        seen += [distance for distance in apart if distance > 0]
        texts = [
            f"{_safe(name)}, evaluation {step}<br>|best − exact| {_distance(distance, energy_unit)}"
            for step, distance in zip(steps_of(rows), apart, strict=True)
        ]
        colour = COLOURS[position % len(COLOURS)]
        _best(figure, 2, name, rows, colour, y=apart, hovertext=texts, hoverinfo="text", showlegend=False)
    figure.update_yaxes(
        title=f"|best − exact| ({energy_unit})", type="log", exponentformat="power", dtick=1,
        range=decades(min(seen), max(seen), energy_unit) if seen else None, row=2, col=1,
    )  # fmt: skip
    if energy_unit == "Hartree":
        line = {"color": GREY, "dash": "dot", "width": 1.5}
        figure.add_hline(CHEMICAL_ACCURACY, row=2, col=1, line=line)
        _in_legend(figure, "chemical accuracy, 1.6 mHa", line)


def session_timeline(events: Events) -> Figure:
    """As `runner.review.figures.session_timeline`; hovering tells what, from when to when, and which job."""
    import plotly.graph_objects as go

    timeline = Activities.of(events)
    scale, time_unit = time_scale(timeline.end)
    lanes: dict[str, Sequence[Span]] = {_safe(name): spans for name, spans in timeline.lanes().items()}
    figure = go.Figure()
    for colours, height in ((ACTIVITIES, 0.62), (STATES, 0.42)):
        for what, colour in colours.items():
            chosen = [(lane, span) for lane, spans in lanes.items() for span in spans if span.what == what]
            if not timeline.seconds(what):
                continue
            apart_from_another = colours is ACTIVITIES and len(chosen) < MOST_OUTLINED
            figure.add_trace(
                go.Bar(
                    orientation="h", name=f"{what}: {clock(timeline.seconds(what))}", width=height,
                    base=[span.start / scale for _, span in chosen],
                    x=[span.seconds / scale for _, span in chosen], y=[lane for lane, _ in chosen],
                    marker={
                        "color": colour, "line": {"width": 0.4 if apart_from_another else 0, "color": "white"},
                        "pattern": {"shape": "/" if what in HATCHED else "", "fgcolor": "white", "solidity": 0.2},
                    },
                    hovertext=[_stretch(lane, span) for lane, span in chosen], hoverinfo="text",
                )
            )  # fmt: skip
    _style(figure, height=190 + 46 * max(len(lanes), 1))
    figure.update_layout(barmode="overlay", bargap=0.2)
    figure.update_xaxes(title=f"session clock ({time_unit})", rangemode="nonnegative")
    # every lane, also one without a stretch, in the order of the static figure
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(lanes), autorange="reversed", fixedrange=True
    )
    for mark in timeline.marks:
        figure.add_vline(mark.time / scale, line={"color": mark_colour(mark), "dash": "dash", "width": 1})
    for place, (mark, text) in enumerate(labels(timeline.marks)):
        figure.add_annotation(
            x=mark.time / scale, y=1, yref="paper", yanchor="bottom", showarrow=False, text=_safe(text),
            xanchor="right" if mark.time > 0.5 * timeline.end else "left",
            yshift=15 * (place % 2), font={"size": 12, "color": mark_colour(mark)},
        )  # fmt: skip
    return figure


def sweep_overview(rows: Sequence[Mapping[str, Any]], axes: SweepAxes) -> Figure:
    """As `runner.review.figures.sweep_overview`; hovering tells the whole line of the table."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    chosen = [row for row in rows if number(row.get(axes.y)) is not None]
    panels = axes.panels(chosen)
    figure = make_subplots(len(panels), 1, shared_xaxes=True, vertical_spacing=0.06)
    groups = axes.groups(chosen)
    for panel, column in enumerate(panels, start=1):
        for position, (label, members) in enumerate(groups.items()):
            points = [row for row in axes.ordered(members) if number(row.get(column)) is not None]
            spreads = [number(row.get("stddev")) or 0.0 for row in points]
            figure.add_trace(
                go.Scatter(
                    x=axes.places(points, chosen, position / len(groups)), y=[row[column] for row in points],
                    mode="lines+markers" if axes.numeric(chosen) else "markers",
                    name=_safe(label) or "runs", legendgroup=str(position),
                    showlegend=panel == 1 and len(groups) > 1,
                    marker={"size": 8, "symbol": [f"circle{'-open' * axes.picked(row, column)}" for row in points]},
                    line={"color": COLOURS[position % len(COLOURS)], "width": 1},
                    error_y={"array": spreads, "width": 0, "thickness": 1, "visible": panel == 1 and any(spreads)},
                    hovertext=[_line(row, axes) for row in points], hoverinfo="text",
                ), panel, 1,
            )  # fmt: skip
        shown = axes.limits(chosen, column)
        figure.update_yaxes(title=_safe(axes.title(column)), range=shown, row=panel, col=1)
    _style(figure, height=320 * len(panels))
    if not axes.numeric(chosen):
        words = axes.words(chosen)
        figure.update_xaxes(
            tickvals=list(range(len(words))), ticktext=[_safe(word) for word in words],
            range=(-0.5, max(len(words), 1) - 0.5),
        )  # fmt: skip
    figure.update_xaxes(title=_safe(axes.column), row=len(panels), col=1)
    figure.update_layout(legend_title_text=_safe(axes.group or ""))
    if axes.reference is not None and axes.y == "energy":
        figure.add_hline(axes.reference, row=1, col=1, line={"color": BLACK, "dash": "dash", "width": 1})
        _in_legend(figure, exact(axes.reference), {"color": BLACK, "dash": "dash", "width": 1})
    return figure


def _style(figure: Figure, *, height: int) -> None:
    figure.update_layout(
        template="none", height=height, font={"family": FONT, "size": 13, "color": "#1b1f24"},
        margin={"l": 10, "r": 10, "t": 64, "b": 10}, hovermode="closest", paper_bgcolor="white",
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0},
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 13}, "align": "left"},
    )  # fmt: skip
    plain = {
        "automargin": True,
        "gridcolor": FAINT,
        "zeroline": False,
        "linecolor": BLACK,
        "ticks": "outside",
    }
    figure.update_xaxes(**plain)
    figure.update_yaxes(**plain)


def _in_legend(figure: Figure, name: str, line: Mapping[str, Any]) -> None:
    """A line across the whole panel is no trace; this stands for it in the legend."""
    import plotly.graph_objects as go

    figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name=name, hoverinfo="skip"))


def _told(
    events: Events, workloads: Evaluations, origins: Origins, energy_unit: str
) -> dict[tuple[str, int], str]:
    """Workload and evaluation → what hovering says: the jobs are those since the evaluation before."""
    spent = {(name, row.index): row.spent for name, rows in workloads.items() for row in rows}
    since: dict[str, list[JobCompleted]] = {}
    what, most = quantity(events).name, residue(events)
    texts = {}
    for event in of(events, JobCompleted, Evaluation):
        if isinstance(event, JobCompleted):
            since.setdefault(event.workload, []).append(event)
        elif isinstance(event, Evaluation):
            name, energy, spread = event.workload, number(event.energy), number(event.stddev)
            origin = origins.of.get(name)
            lines = [f"<b>{_safe(name)}, evaluation {event.index + 1}</b>"]
            if energy is not None:
                lines.append(f"{what} {_measured(but_for_residue(energy, most), spread, energy_unit)}")
                if origin is not None and origins.exact:
                    distance = but_for_residue(but_for_rounding(energy - origin, origin), most)
                    lines.append(f"{what} − exact {_distance(distance, energy_unit)}")
            jobs = since.pop(name, [])
            lines += [f"job {_safe(job.job)}: {clock(job.qpu_seconds)} QPU" for job in jobs[:MOST_JOBS_NAMED]]
            if len(jobs) > MOST_JOBS_NAMED:
                lines.append(f"and {len(jobs) - MOST_JOBS_NAMED} more jobs")
            if (so_far := spent.get((name, event.index))) is not None:
                lines.append(f"QPU time of all jobs so far: {clock(so_far)}")
            texts[name, event.index + 1] = "<br>".join(lines)
    return texts


def _stretch(lane: str, span: Span) -> str:
    text = (
        f"<b>{lane}: {span.what}</b><br>{clock(span.seconds)}, from {clock(span.start)} to {clock(span.end)}"
    )
    return text + (f"<br>job {_safe(span.job)}" if span.job else "")


def _line(row: Mapping[str, Any], axes: SweepAxes) -> str:
    """What a sweep's table says of a run."""
    energy, error, spread = (number(row.get(name)) for name in ("energy", "error", "stddev"))
    usage, cost = number(row.get("usage_seconds")), number(row.get("cost"))
    lines = [f"<b>{_safe(row.get('run'))}</b>"]
    if energy is not None:
        pick = f": {PICK}" if row.get("energy_kind") == "pick" else ""
        lines.append(f"energy {_measured(energy, spread, axes.energy_unit)}{pick}")
    if error is not None:
        distance = but_for_rounding(error, number(row.get("reference_energy")))
        lines.append(f"energy − exact {_distance(distance, axes.energy_unit)}")
    lines.append(f"{row.get('evaluations')} evaluations: {_safe(row.get('reason') or row.get('status'))}")
    if usage is not None:
        lines.append(f"usage {clock(usage)}" + (f", {cost:.2f} USD" if cost is not None else ""))
    return "<br>".join(lines)


def _measured(energy: float, spread: float | None, energy_unit: str) -> str:
    return f"{energy_number(energy)}{f' ± {spread:.2g}' if spread else ''} {energy_unit}".replace("-", "−", 1)


def _distance(value: float, energy_unit: str) -> str:
    text = f"{1000 * value:.3f} mHa" if energy_unit == "Hartree" else f"{value:.3g} {energy_unit}"
    return text.replace("-", "−")


def _safe(text: Any) -> str:
    """Text as text, without secrets, as long as they can be told: plotly reads some markup in labels."""
    return html.escape(redact(str(text)), quote=False)

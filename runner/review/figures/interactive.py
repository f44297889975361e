"""The figures that gain from hovering and zooming: convergence, session timeline, sweep; drawn with plotly (extra)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.display.words import clock
from runner.errors import ConfigError
from runner.record.events import Estimate, Evaluation, JobCompleted
from runner.record.log import of
from runner.review.figures.canvas import (
    BLACK,
    CHEMICAL_ACCURACY,
    COLOURS,
    GREY,
    Events,
    number,
    time_scale,
    unit,
)
from runner.review.figures.energy import (
    AFRESH,
    decades,
    distance_of,
    evaluations,
    exact,
    limits_of,
    lowest,
    noisy,
)
from runner.review.figures.sweep import SweepAxes
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
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ConfigError(
            "needs plotly, which is not installed; pip install 'session-runner[interactive]'",
            key="--interactive",
        ) from None
    return str(get_plotlyjs())


def run_figures(events: Events, reference: float | None) -> dict[str, Figure]:
    """Name of the static figure → what is shown in its place."""
    found = {"timeline.png": session_timeline(events)}
    if evaluations(events):
        found["convergence.png"] = convergence(events, reference)
    return found


def convergence(events: Events, reference: float | None = None) -> Figure:
    """As `runner.review.figures.convergence`; hovering tells energy ± standard error, job and QPU seconds."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    energy_unit = unit(events)
    workloads = evaluations(events)
    figure = make_subplots(
        2 if reference is not None else 1, 1, shared_xaxes=True, vertical_spacing=0.05,
        row_heights=[3, 2] if reference is not None else None,
    )  # fmt: skip
    told = _told(events, reference, energy_unit)
    estimates = {event.workload: event for event in of(events, Estimate)}
    for position, (name, rows) in enumerate(workloads.items()):
        colour = COLOURS[position % len(COLOURS)]
        steps = [row.index + 1 for row in rows]
        best = [row.best for row in rows]
        label = _safe(name)
        errors = [number(row.stddev) or 0.0 for row in rows]
        figure.add_trace(
            go.Scatter(
                x=steps, y=[row.energy for row in rows], mode="markers", legendgroup=label,
                name=f"{label}: ± standard error" if any(errors) else f"{label}: evaluations",
                marker={"size": 5, "color": colour}, opacity=0.5, hovertext=[told[name, step] for step in steps],
                error_y={"array": errors, "thickness": 1, "width": 0, "visible": any(errors)}, hoverinfo="text",
            ), 1, 1,
        )  # fmt: skip
        line = {"color": colour, "width": 2, "shape": "hv"}
        figure.add_trace(
            go.Scatter(
                x=steps, y=best, mode="lines", line=line, name=f"{label}: {lowest(rows)}", legendgroup=label,
                hoverinfo="skip",
            ), 1, 1,
        )  # fmt: skip
        afresh = estimates.get(name)
        energy = None if afresh is None else number(afresh.energy)
        if afresh is not None and energy is not None:
            spread = number(afresh.stddev) or 0.0
            figure.add_trace(
                go.Scatter(
                    x=[steps[-1] + 1], y=[energy], mode="markers", legendgroup=label, hoverinfo="text",
                    name=f"{label}: {AFRESH}", error_y={"array": [spread], "thickness": 1},
                    marker={"size": 9, "symbol": "diamond", "color": colour, "line": {"width": 1, "color": "white"}},
                    hovertext=[f"<b>{label}, measured afresh</b><br>energy {_measured(energy, spread, energy_unit)}"],
                ), 1, 1,
            )  # fmt: skip
        if reference is not None and noisy(rows):
            apart = [abs(row.energy - reference) for row in rows]
            x, spreads = list(steps), list(errors)
            if afresh is not None and energy is not None:
                apart, x, spreads = [*apart, abs(energy - reference)], [*x, steps[-1] + 1], [*spreads, spread]
            figure.add_trace(
                go.Scatter(
                    x=x, y=apart, mode="markers", legendgroup=label, showlegend=False, hoverinfo="text",
                    marker={
                        "size": [5] * len(rows) + [9] * (len(x) - len(rows)), "color": colour,
                        "symbol": ["circle"] * len(rows) + ["diamond"] * (len(x) - len(rows)),
                    },
                    error_y={"array": spreads, "thickness": 1, "width": 0},
                    hovertext=[f"{label}<br>|energy − exact| {_distance(one, energy_unit)}" for one in apart],
                ), 2, 1,
            )  # fmt: skip
        elif reference is not None:
            figure.add_trace(
                go.Scatter(
                    x=steps, y=[abs(energy - reference) for energy in best], mode="lines", line=line,
                    legendgroup=label, showlegend=False,
                    hovertext=[
                        f"{label}, evaluation {step}<br>|best − exact| "
                        f"{_distance(abs(energy - reference), energy_unit)}"
                        for step, energy in zip(steps, best, strict=True)
                    ], hoverinfo="text",
                ), 2, 1,
            )  # fmt: skip
    _style(figure, height=620 if reference is not None else 460)
    figure.update_yaxes(title=f"energy ({energy_unit})", range=limits_of(workloads, reference), row=1, col=1)
    if reference is not None:
        figure.add_hline(reference, row=1, col=1, line={"color": BLACK, "dash": "dash", "width": 1})
        _in_legend(figure, exact(reference), {"color": BLACK, "dash": "dash", "width": 1})
        what = distance_of(workloads)
        apart_from_it = [
            abs((row.energy if what == "energy" else row.best) - reference)
            for rows in workloads.values()
            for row in rows
        ]
        seen = [distance for distance in apart_from_it if distance > 0]
        figure.update_yaxes(
            title=f"|{what} − exact| ({energy_unit})", type="log", exponentformat="power", dtick=1,
            range=decades(min(seen), max(seen), energy_unit) if seen else None, row=2, col=1,
        )  # fmt: skip
        if energy_unit == "Hartree":
            figure.add_hline(
                CHEMICAL_ACCURACY, row=2, col=1, line={"color": GREY, "dash": "dot", "width": 1.5}
            )
            _in_legend(figure, "chemical accuracy, 1.6 mHa", {"color": GREY, "dash": "dot", "width": 1.5})
    figure.update_xaxes(title="evaluation", row=2 if reference is not None else 1, col=1)
    return figure


def session_timeline(events: Events) -> Figure:
    """As `runner.review.figures.session_timeline`; hovering tells what, from when to when, and which job."""
    import plotly.graph_objects as go

    timeline = Activities.of(events)
    scale, time_unit = time_scale(timeline.end)
    lanes: dict[str, Sequence[Span]] = {
        **{f"session {session[:8]}": spans for session, spans in timeline.sessions.items()},
        **{_safe(name): spans for name, spans in timeline.workloads.items()},
    }
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
                    name=_safe(label) or "runs", legendgroup=label,
                    showlegend=panel == 1 and len(groups) > 1, marker={"size": 8},
                    line={"color": COLOURS[position % len(COLOURS)], "width": 1},
                    error_y={"array": spreads, "width": 0, "thickness": 1, "visible": panel == 1 and any(spreads)},
                    hovertext=[_line(row, axes) for row in points], hoverinfo="text",
                ), panel, 1,
            )  # fmt: skip
        shown = axes.limits(chosen, column)
        figure.update_yaxes(title=axes.title(column), range=shown, row=panel, col=1)
    _style(figure, height=320 * len(panels))
    if not axes.numeric(chosen):
        words = axes.words(chosen)
        figure.update_xaxes(
            tickvals=list(range(len(words))), ticktext=[_safe(word) for word in words],
            range=(-0.5, max(len(words), 1) - 0.5),
        )  # fmt: skip
    figure.update_xaxes(title=axes.column, row=len(panels), col=1)
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


def _told(events: Events, reference: float | None, energy_unit: str) -> dict[tuple[str, int], str]:
    """Workload and evaluation → what hovering says: the jobs are those since the evaluation before."""
    spent: dict[str, float] = {}
    since: dict[str, list[JobCompleted]] = {}
    texts = {}
    for event in of(events, JobCompleted, Evaluation):
        if isinstance(event, JobCompleted):
            since.setdefault(event.workload, []).append(event)
            spent[event.workload] = spent.get(event.workload, 0.0) + event.qpu_seconds
        elif isinstance(event, Evaluation):
            name, energy, spread = event.workload, number(event.energy), number(event.stddev)
            lines = [f"<b>{_safe(name)}, evaluation {event.index + 1}</b>"]
            if energy is not None:
                lines.append(f"energy {_measured(energy, spread, energy_unit)}")
                if reference is not None:
                    lines.append(f"energy − exact {_distance(energy - reference, energy_unit)}")
            jobs = since.pop(name, [])
            lines += [f"job {_safe(job.job)}: {clock(job.qpu_seconds)} QPU" for job in jobs[:MOST_JOBS_NAMED]]
            if len(jobs) > MOST_JOBS_NAMED:
                lines.append(f"and {len(jobs) - MOST_JOBS_NAMED} more jobs")
            lines.append(f"QPU time so far: {clock(spent.get(name, 0.0))}")
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
        lines.append(f"energy {_measured(energy, spread, axes.energy_unit)}")
    if error is not None:
        lines.append(f"energy − exact {_distance(error, axes.energy_unit)}")
    lines.append(f"{row.get('evaluations')} evaluations: {_safe(row.get('reason') or row.get('status'))}")
    if usage is not None:
        lines.append(f"usage {clock(usage)}" + (f", {cost:.2f} USD" if cost is not None else ""))
    return "<br>".join(lines)


def _measured(energy: float, spread: float | None, energy_unit: str) -> str:
    return f"{energy:.6f}{f' ± {spread:.2g}' if spread else ''} {energy_unit}".replace("-", "−", 1)


def _distance(value: float, energy_unit: str) -> str:
    text = f"{1000 * value:.3f} mHa" if energy_unit == "Hartree" else f"{value:.3g} {energy_unit}"
    return text.replace("-", "−")


def _safe(text: Any) -> str:
    """Text as text: plotly reads some markup in labels."""
    return html.escape(str(text), quote=False)

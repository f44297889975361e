"""Figures of a run, drawn from its journal alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, distinguishable with any colour vision."""


def convergence(events: Sequence[Mapping[str, Any]], reference: float | None = None) -> Figure:
    """Energy of every evaluation with its standard error, the best so far, and the exact reference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    workloads: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        if event["kind"] == "evaluation" and isinstance(event["energy"], int | float):
            workloads.setdefault(str(event["workload"]), []).append(event)
    for number, (name, evaluations) in enumerate(workloads.items()):
        colour = COLOURS[number % len(COLOURS)]
        steps = [event["index"] + 1 for event in evaluations]
        axes.errorbar(
            steps, [event["energy"] for event in evaluations], yerr=[event["stddev"] for event in evaluations],
            fmt=".", markersize=3, elinewidth=0.6, color=colour, alpha=0.45,
        )  # fmt: skip
        axes.step(
            steps,
            [event["best"] for event in evaluations],
            where="post",
            color=colour,
            label=f"{name}: best so far",
        )
    if reference is not None:
        axes.axhline(reference, color="#444444", linestyle="--", linewidth=1, label=f"exact: {reference:.6f}")
    axes.set_xlabel("evaluation")
    axes.set_ylabel("energy")
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    return figure


def save(figure: Figure, path: Any) -> None:
    """Write a figure as PNG, or as whatever the file's ending says."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(path)

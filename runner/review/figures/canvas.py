"""What all figures share: size, colours, units, and how they are written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runner.hamiltonian import unit_of
from runner.hamiltonian.declared import HARTREE
from runner.record.events import Event, RunStarted
from runner.record.log import first

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from runner.review.figures.shown import ShownFigure

Events = Sequence[Event]
"""The journal of a run."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Okabe and Ito's palette, distinguishable with any colour vision."""
GREY = "#8A8A8A"

DPI = 120
SHADES = 24
"""Colours of a picture: few hues and what lies between them and white, which a quarter of the bytes holds as well."""
SIZE = (8.0, 4.5)

CHEMICAL_ACCURACY = 1.6e-3
"""1 kcal/mol in Hartree."""


def canvas(
    width: float = SIZE[0],
    height: float = SIZE[1],
    *,
    left: float = 0.95,
    right: float = 0.2,
    bottom: float = 0.6,
    top: float = 0.2,
) -> ShownFigure:
    """An empty figure; everything in inches. Fixed margins take half the time that a layout engine does."""
    from runner.review.figures.shown import ShownFigure

    figure = ShownFigure(figsize=(width, height), dpi=DPI)
    figure.subplots_adjust(
        left=left / width, right=1 - right / width, bottom=bottom / height, top=1 - top / height, hspace=0.12
    )
    return figure


def plain(axes: Axes) -> Axes:
    """Axes without a box around them, with a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return axes


def save(figure: Figure, path: Any) -> None:
    """Write a figure as PNG, or as whatever the file's ending says, in one step: a reader never sees half of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = FigureCanvasAgg(figure)
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", r"Glyph \d+", UserWarning
        )  # a box stands for a letter that no font has
        if path.suffix == ".png":
            drawn.draw()
            _picture(drawn).save(temporary, "PNG", optimize=True, dpi=(figure.dpi, figure.dpi))
        else:
            figure.savefig(temporary)
    temporary.replace(path)


def _picture(drawn: FigureCanvasAgg) -> Image:
    """What was drawn, with a palette of its own."""
    from PIL import Image

    pixels = Image.fromarray(np.asarray(drawn.buffer_rgba())).convert("RGB")
    # of all methods this one keeps rare colours: none is off by more than a tenth of the scale
    return pixels.quantize(SHADES, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def unit(events: Events) -> str:
    """The unit of a run's energies as its axes say it."""
    return in_words(unit_of(first(events, RunStarted)))


def residue(events: Events) -> float:
    """What rounding may leave of an expectation value of a run that is 0; 0 where it does not tell."""
    started = first(events, RunStarted)
    return 0.0 if started is None else started.rounding or 0.0


def in_words(unit: str | None) -> str:
    """A unit of energy as axes say it; None where nobody knows."""
    return "Hartree" if unit == HARTREE else unit or "units of H"


def number(value: Any) -> float | None:
    """A finite number of the journal; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def time_scale(longest: float) -> tuple[float, str]:
    """Seconds per unit, and the unit, in which a span of time is read best."""
    if longest <= 180:
        return 1.0, "s"
    return (60.0, "min") if longest <= 3 * 3600 else (3600.0, "h")

"""Figures of a run, drawn from its journal alone; matplotlib is imported when something is drawn."""

from runner.figures.canvas import COLOURS, save
from runner.figures.circuit import circuit, circuit_pair
from runner.figures.energy import convergence, energy_against_usage
from runner.figures.run import draw_run
from runner.figures.samples import histogram
from runner.figures.sweep import SweepAxes, sweep_overview
from runner.figures.table import curves
from runner.figures.timeline import Timeline, session_timeline

__all__ = [
    "COLOURS",
    "SweepAxes",
    "Timeline",
    "circuit",
    "circuit_pair",
    "convergence",
    "curves",
    "draw_run",
    "energy_against_usage",
    "histogram",
    "save",
    "session_timeline",
    "sweep_overview",
]

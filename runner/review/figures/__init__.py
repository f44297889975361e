"""Figures of a run, drawn from its journal alone; matplotlib is imported when something is drawn."""

from runner.review.figures.canvas import COLOURS, save
from runner.review.figures.circuit import circuit, circuit_pair
from runner.review.figures.energy import convergence, energy_against_usage
from runner.review.figures.run import bitstrings, draw_run, last_counts
from runner.review.figures.samples import histogram
from runner.review.figures.sweep import SweepAxes, sweep_overview
from runner.review.figures.table import curves
from runner.review.figures.timeline import Activities, session_timeline

__all__ = [
    "COLOURS",
    "Activities",
    "SweepAxes",
    "bitstrings",
    "circuit",
    "circuit_pair",
    "convergence",
    "curves",
    "draw_run",
    "energy_against_usage",
    "histogram",
    "last_counts",
    "save",
    "session_timeline",
    "sweep_overview",
]

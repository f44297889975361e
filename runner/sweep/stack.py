"""Everything a run loads, loaded once: worker processes are forked from one that has imported this module.

Imported on the main thread, and starting no threads, so that forking afterwards is safe.
"""

from __future__ import annotations

import contextlib
import gc

import numpy as np
import qiskit_aer
import scipy.optimize
from qiskit.circuit.library import real_amplitudes
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePluginManager

from runner.engine import engine, kernel
from runner.engine.kernel.state_vector import StateVectorKernel
from runner.review import report
from runner.run import context, execution, preflight, problem, transpiler
from runner.services import local
from runner.sweep import member

__all__ = [
    "context",
    "engine",
    "execution",
    "local",
    "member",
    "preflight",
    "problem",
    "qiskit_aer",
    "report",
    "scipy",
]


def load_kernel() -> None:
    """Load the compiled loops, which takes as long as a small run."""
    circuit, ones = real_amplitudes(1, reps=0), np.ones((1, 1))
    small = StateVectorKernel(circuit, list(circuit.parameters), ones == 0, ones == 1, ones)
    small.energies(ones)
    small.gradients(ones)
    small.probabilities(ones, [[(0, "Z")]])


with contextlib.suppress(Exception):  # what does not load is for the run that needs it to report
    with transpiler.own_stages():
        PassManagerStagePluginManager()  # imports the transpiler's stages, as transpiling would
    if kernel.available():
        load_kernel()

gc.collect()
gc.freeze()  # what is loaded stays, so workers need not look through it, nor copy its pages by doing so

"""Declare a Qiskit Runtime session experiment in config; run it on Aer exactly as declared.

::

    from runner import compose, run
    result = run(compose("experiment=vqe", "hamiltonian=h2"))
"""

from runner.declare.composer import compose
from runner.run.execution import resume, run
from runner.run.results import Outcome, RunResult

__all__ = ["Outcome", "RunResult", "compose", "resume", "run"]

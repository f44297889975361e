"""Declare a Qiskit Runtime session experiment in config; run it on Aer exactly as declared.

::

    from runner import compose, run
    result = run(compose("experiment=vqe", "hamiltonian=h2"))
"""

from runner.config import compose
from runner.results import Outcome, RunResult
from runner.run import resume, run

__all__ = ["Outcome", "RunResult", "compose", "resume", "run"]

"""Declare a Qiskit Runtime session experiment in config; run it on Aer exactly as declared.

::

    from runner import compose, run
    result = run(compose("experiment=vqe", "hamiltonian=h2"))
"""

import os
import sys

try:
    from runner.declare.composer import compose
    from runner.run.execution import resume, run
    from runner.run.results import Outcome, RunResult
except KeyboardInterrupt:
    if sys.argv[0] == "-m" or os.path.basename(sys.argv[0]) == "runner":
        os.write(
            2, b"interrupted\n"
        )  # a command line was typed; of a program that imports us it is the program's
        os._exit(130)
    raise

__all__ = ["Outcome", "RunResult", "compose", "resume", "run"]

"""Benchmarks are not timed here; they can be loaded, and the programs that they start still run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
MODULES = sorted(path.stem for path in (HERE / "benchmarks").glob("[a-z]*.py"))


def test_every_benchmark_loads_and_the_plain_loop_of_sweeps_runs() -> None:
    """Each module in one process, then the loop with which a sweep is compared, of two runs."""
    program = (
        f"import importlib\nfor name in {MODULES}: importlib.import_module(f'benchmarks.{{name}}')\n"
        "from benchmarks import sweep\n"
        "sweep.COMPUTE = sweep.COMPUTE.replace('range(200)', 'range(2)')\n"
        "print(sweep.compute([*sweep.TINY, *sweep.OFF]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, timeout=200
    )

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0

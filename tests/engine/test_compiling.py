"""Compiling the kernel on a new machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runner.engine import kernel

COUNT = """
import numpy as np
from runner.engine import kernel
points, edges = np.array([0.1, 0.7]), np.array([0.5, 1.0])
outcomes = np.zeros(2, dtype=np.int64)
kernel.loop("draw")(edges, points, np.zeros(2, dtype=np.int64), outcomes)
print(outcomes.tolist(), sum(kernel.loop("draw").stats.cache_misses.values()))
"""

SMALL = """
import numpy as np
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from runner.engine import Engine
circuit = efficient_su2(4, reps=1)
plan = Engine().estimator_plan(circuit, SparsePauliOp(["ZZII", "IXXI"]))
plan.gradient(np.zeros((1, circuit.num_parameters)))
plan.run(np.zeros((1, circuit.num_parameters)), shots=100, seed=1)
"""


def test_no_room_for_compiled_code_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before LLVM finds out, which ends the process."""
    monkeypatch.setattr(kernel, "ROOM", 1 << 62)
    monkeypatch.setattr(kernel, "_ready", {})

    with pytest.raises(MemoryError, match="MiB to load compiled code into"):
        kernel.loop("draw")(
            np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        )


@pytest.mark.nightly
def test_a_small_circuit_compiles_what_it_needs_once(tmp_path: Path) -> None:
    """With an empty cache no loop is compiled for two kinds of arguments, and none of those for layers of phases."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SMALL], env=environment, check=True, timeout=240)
    compiled = [path.name.removeprefix("loops.").split("-")[0] for path in tmp_path.glob("*/loops.*.nbc")]
    assert len(compiled) == len(set(compiled))
    assert {"gradients", "basis_probabilities", "rotate_two"} <= set(compiled)
    assert not {"multiply_layer", "rotate_lean", "layer_sums", "energy_terms"} & set(compiled)


@pytest.mark.nightly
def test_of_several_processes_one_compiles(tmp_path: Path) -> None:
    """Three that start together with an empty cache: one compiles, the others load what it made; all compute."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [words[:2] for words in said] == [["[0,", "1]"]] * 3
    assert sorted(int(words[2]) for words in said) == [0, 0, 1]


def test_without_locks_everybody_compiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file system without locks is no reason to fail."""
    from runner.engine import kernel

    def refused(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr("runner.engine.kernel.fcntl.flock", refused)
    entered = False
    with kernel._alone_in(str(tmp_path)):
        entered = True
    assert entered

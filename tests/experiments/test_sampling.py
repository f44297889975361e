"""Measured bits of any circuit in one job."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import compose, run
from runner.errors import ConfigError
from tests.test_run import events

SAMPLING = ("experiment=sampling", "tracking=off", "run.figures=false")

TWO_REGISTERS = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[3];
creg low[2];
creg high[1];
x q[0];
h q[2];
measure q[0] -> low[0];
measure q[1] -> low[1];
measure q[2] -> high[0];
"""


def test_a_bell_pair_is_half_and_half(workdir: Path) -> None:
    """Only 00 and 11, each half of the shots within five standard deviations, most frequent first."""
    result = run(compose(*SAMPLING, "experiment.shots=10000"))

    counts = {row["bitstring"]: row["count"] for row in result.table}
    assert set(counts) == {"00", "11"}
    assert sum(counts.values()) == 10_000
    assert abs(counts["00"] - 5000) < 5 * 50
    assert result.table[0]["count"] >= result.table[1]["count"]
    assert len(events(result, "job.completed")) == 1


def test_a_circuit_from_a_file_keeps_its_own_measurements(workdir: Path) -> None:
    """Two classical registers, each with its own rows: |01⟩ for sure, and a fair coin."""
    Path("mine.qasm").write_text(TWO_REGISTERS)

    result = run(compose(*SAMPLING, "ansatz=file", "ansatz.path=mine.qasm", "experiment.shots=4000"))

    rows = {(row["register"], row["bitstring"]): row["probability"] for row in result.table}
    assert rows["low", "01"] == 1
    assert rows["high", "0"] + rows["high", "1"] == 1
    assert rows["high", "0"] == pytest.approx(0.5, abs=5 * 0.5 / 4000**0.5)


def test_a_circuit_that_measures_nothing_is_refused(workdir: Path) -> None:
    """An empty result would tell nobody why."""
    Path("mine.qasm").write_text("OPENQASM 2.0;\nqreg q[1];\ncreg c[1];\nU(1,0,0) q[0];\n")

    with pytest.raises(ConfigError, match="ansatz: measures nothing"):
        run(compose(*SAMPLING, "ansatz=file", "ansatz.path=mine.qasm"))

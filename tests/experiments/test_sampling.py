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


ENTANGLED = """OPENQASM 2.0;
include "qelib1.inc";
qreg a[2];
qreg b[1];
creg ra[2];
creg rb[1];
h a[0];
cx a[0],a[1];
cx a[0],b[0];
measure a -> ra;
measure b -> rb;
"""


def test_several_registers_are_also_told_together(workdir: Path) -> None:
    """Three entangled qubits in two registers: 0 00 or 1 11, half of the shots each, which no marginal tells."""
    Path("mine.qasm").write_text(ENTANGLED)

    result = run(compose(*SAMPLING, "ansatz=file", "ansatz.path=mine.qasm", "experiment.shots=4000"))

    joint = {row["bitstring"]: row["count"] for row in result.table if row["register"] == "joint"}
    assert set(joint) == {"0 00", "1 11"}
    assert joint["0 00"] == pytest.approx(2000, abs=5 * 4000**0.5 / 2)
    assert {row["register"] for row in result.table} == {"ra", "rb", "joint"}


LOOSE = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit q;\nbit c;\nx q;\nc = measure q;\n'
READ_ON_THE_WAY = """OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit m;
x q[0];
m = measure q[0];
if (m) { x q[1]; }
"""
OPAQUE = """OPENQASM 2.0;
opaque zz_native(t) a,b;
gate wrapped a,b { zz_native(0.1) a,b; }
qreg q[2];
creg c[2];
wrapped q[0],q[1];
measure q -> c;
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (LOOSE, "ansatz: measures into the loose bit 0, .*declare a register"),
        (READ_ON_THE_WAY, "ansatz: measures into the loose bit 0, .*declare a register"),
        (OPAQUE, "ansatz: uses the opaque gate 'zz_native', which has no definition"),
    ],
)
def test_what_cannot_be_sampled_is_refused_before_anything_exists(
    workdir: Path, text: str, line: str
) -> None:
    """A bit without a register, and a gate without a definition inside another: one line, and no run directory."""
    Path("mine.qasm").write_text(text)

    with pytest.raises(ConfigError, match=line):
        run(compose(*SAMPLING, "ansatz=file", "ansatz.path=mine.qasm"))

    assert [path.name for path in workdir.iterdir()] == ["mine.qasm"]


def test_a_bit_without_register_may_be_read_on_the_way(workdir: Path) -> None:
    """It is 1 and flips the second qubit: the register, which is measured at the end, holds 1 in every shot."""
    Path("mine.qasm").write_text(READ_ON_THE_WAY + "bit[1] c;\nc[0] = measure q[1];\n")

    result = run(compose(*SAMPLING, "ansatz=file", "ansatz.path=mine.qasm", "experiment.shots=100"))

    assert [(row["register"], row["bitstring"], row["count"]) for row in result.table] == [("c", "1", 100)]


def test_a_circuit_that_measures_nothing_is_refused(workdir: Path) -> None:
    """An empty result would tell nobody why."""
    Path("mine.qasm").write_text("OPENQASM 2.0;\nqreg q[1];\ncreg c[1];\nU(1,0,0) q[0];\n")

    with pytest.raises(ConfigError, match="ansatz: measures nothing"):
        run(compose(*SAMPLING, "ansatz=file", "ansatz.path=mine.qasm"))


def test_K17_bits_that_a_journal_would_not_take_are_refused_before_anything_is_there(workdir: Path) -> None:
    """Base64 says 3 bytes in 4 characters: of 64 MiB, 48 hold bits, 6 bytes for each shot of 48 bits: 8.39 million."""
    Path("wide.qasm").write_text(
        'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[48];\nh q[0];\nmeasure q[0] -> c[0];\n'
    )
    wide = (*SAMPLING, "ansatz=file", "ansatz.path=wide.qasm", "experiment.shots=8400000")
    with pytest.raises(
        ConfigError, match=r"experiment\.shots: 8400000 shots of 6 bytes .* take at most 8380"
    ) as refused:
        run(compose(*wide))
    assert 48 * 2**20 / 6 * 0.998 < int(str(refused.value).split()[-1]) < 48 * 2**20 / 6
    assert not Path("outputs").exists()

"""OpenQASM: every refusal at its file, line and column, counted from 1 in the text as it was written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.engine import Engine
from runner.errors import ConfigError
from tests.choices import choice

TWO = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
THREE = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
IFS = THREE + "bit c;\nqubit q;\n"
LONG = "9" * 5000


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (THREE + "qubit[2] q\nx q[0];\n", "4:1", "unexpected 'x': a ';' may be missing at the end of line 3"),
        (THREE + "qubit q;\nx q", "4:4", "unexpected end: a ';' may be missing at the end of line 4"),
        (THREE + "qubit[2] q;\n  x q[5];\n", "4:5", "out of range"),
        (THREE + "qubit q;\nrx(1/0) q;\n", "4:4", "division"),
        (THREE + "qubit[2] q;\nfor int i in [0:1] {\n  x q[i];\n}\n", "5:5", "index"),
        (THREE + "input float a, b;\nqubit q;\n", "3:14", "unexpected ','"),
        (THREE + "qubit q;\n/* é */ x r;\n", "4:11", "Undefined symbol 'r'"),
        (THREE + "qubit q;\nrx q;\n", "4:1", "theta"),
        (THREE + "qubit q;\nx q; `\n", "4:6", "token recognition"),
        (THREE + "gate g a { measure a; }\nqubit q;\n", "3:12", "measure"),
        (
            THREE + "qubit q;\nrx(" + "(" * 100_000 + "1" + ")" * 100_000 + ") q;\n",
            "4:203",
            "nested too deeply",
        ),
        (THREE + "qubit q;\nrx(" + "- " * 100_000 + "1) q;\n", "4:4", "nested too deeply"),
        (
            IFS + "if (c) " * 5 + "x q;" + " else x q;" * 5,
            "5:29",
            "more than 4 ifs within one another without braces",
        ),
        (IFS + "if (c) if (c) x q; else " * 5 + "x q;", "5:49", "more than 4 ifs"),
        (IFS + "if (c) for int i in {0, 1} " * 5 + "x q;", "5:109", "more than 4 ifs"),
        (IFS + "x q;\nif (c) { " * 2 + "if (c) " * 5 + "x q; } }", "7:38", "more than 4 ifs"),
        (THREE + f"qubit[2] q;\nx q[{LONG}];\n", "4:5", "a whole number of 5000 digits"),
        (THREE + f"qubit[{LONG}] q;\n", "3:7", "a whole number of 5000 digits"),
        (TWO + f"qreg q[{LONG}];\n", "3:8", "a whole number of 5000 digits"),
        (TWO + f"qreg q[2];\nh q[{LONG}];\n", "4:5", "a whole number of 5000 digits"),
        (TWO + "qreg q[2];\nh q[5];\n", "4:5", "index 5 is out-of-range"),
        (TWO + "qreg q[2];\nh q[0]\nh q[1];\n", "5:1", "needed ';'"),
    ],
)
def test_a_refusal_has_its_place(text: str, place: str, reason: str, workdir: Path) -> None:
    """K18: places counted by hand; what would take the parser minutes is refused without it."""
    pytest.importorskip("qiskit_qasm3_import")
    Path("c.qasm").write_text(text)
    with pytest.raises(ConfigError, match=rf"^c\.qasm:{place}: .*{re.escape(reason)}.*; correct it$"):
        choice("ansatz", "file", path="c.qasm").as_written()


@pytest.mark.parametrize("head", [TWO, THREE])
@pytest.mark.parametrize(
    ("included", "rest", "place"),
    [
        ("// two gates\ngate good a { h a; }\ngate bad a {\n  h a;\n  foo a;\n}\n", "\n", "mine.inc:5:3"),
        ("gate good a\n{ h a; }\n", " good r[0];\n", "c.qasm:4:26"),
        ("gate good a { h a; } // no end of line", "\ngood q[0];\nfoo q[0];\n", "c.qasm:6:1"),
    ],
)
def test_a_refusal_names_the_file_it_is_in(
    head: str, included: str, rest: str, place: str, workdir: Path
) -> None:
    """An error in an included file is placed there, and what follows an include keeps its own place."""
    pytest.importorskip("qiskit_qasm3_import")
    register = "qreg q[2];" if head == TWO else "qubit[2] q;"
    Path("mine.inc").write_text(included)
    Path("c.qasm").write_text(head + f'{register}\ninclude "mine.inc";{rest}')
    with pytest.raises(ConfigError) as refused:
        choice("ansatz", "file", path="c.qasm").as_written()

    assert str(refused.value).startswith(f"{place}: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TWO + "qreg q[2];\ncreg c[99999999999];\n", "has 99999999999 bits, more than 1000000"),
        (THREE + "qubit q;\nbit[2_000_000_000] c;\n", "has 2000000000 bits, more than 1000000"),
        (TWO + "qreg q[1];\nrx(1e999) q[0];\n", "an angle of 'rx' is not finite"),
    ],
)
def test_what_no_circuit_has_is_refused(text: str, told: str, workdir: Path) -> None:
    """Sizes before anything is allocated, and an angle that overflows."""
    Path("c.qasm").write_text(text)
    with pytest.raises(ConfigError, match=told):
        choice("ansatz", "file", path="c.qasm").as_written()


@pytest.mark.parametrize(
    ("text", "ifs"),
    [
        ("if (c) " * 4 + "x q; else z q;\n", 4),
        ("if (c) x q; else " * 30 + "z q;\n", 30),
        ("if (c) { " * 20 + "x q; " + "} else { z q; } " * 20 + "\n", 20),
        ("if (c) if (c) x q;\n" * 20, 40),
    ],
)
def test_ifs_that_the_parser_tells_apart_are_read(text: str, ifs: int, workdir: Path) -> None:
    """Few within one another without braces, many with them, many in a chain of `else if`, many in a row."""
    Path("ifs.qasm").write_text(IFS + text)
    circuit = choice("ansatz", "file", path="ifs.qasm").build(None)

    def counted(blocks: list[QuantumCircuit]) -> int:
        inner = [item.operation for block in blocks for item in block if item.operation.name == "if_else"]
        return len(inner) + sum(counted([one for one in each.blocks if one is not None]) for each in inner)

    assert counted([circuit]) == ifs


def test_long_fractions_are_read(workdir: Path) -> None:
    """0.123… with thirty digits is a number like any other."""
    Path("c.qasm").write_text(TWO + "qreg q[1];\nrx(0.123456789012345678901234567890) q[0];\n")
    circuit = choice("ansatz", "file", path="c.qasm").as_written()

    assert float(circuit.data[0].params[0]) == pytest.approx(0.12345678901234568)


def doubling(levels: int, first: str = "rx(t) a;") -> str:
    """Gates whose definitions double at each level, on halves and thirds of an angle."""
    deeper = (f"gate g{n}(t) a {{ g{n - 1}(t/2) a; g{n - 1}(t/3) a; }}\n" for n in range(1, levels))
    return f"{TWO}gate g0(t) a {{ {first} }}\n{''.join(deeper)}qreg q[1];\ng{levels - 1}(1) q[0];\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (doubling(24), "definitions are"), (doubling(40), "definitions are"),
        (doubling(24).replace("t/3", "t/2"), "definitions are"),
        (doubling(2000).replace("t/3", "t/2"), "nested too deeply"),
        (doubling(24).replace("t/3", "t*t+1"), "definitions are|takes more than|MiB to be read"),
        (doubling(2, "u0(2000000000) a;"), "definitions are"),
    ],
    ids=["24", "40", "alike", "chain", "unlike", "identities"],
)  # fmt: skip
def test_definitions_are_counted_before_they_are_written_out(text: str, told: str, workdir: Path) -> None:
    """K14: 10⁷ to 10¹² gates in a few lines are refused within the time and memory of the reader."""
    Path("c.qasm").write_text(text)
    with pytest.raises(ConfigError, match=told):
        choice("ansatz", "file", path="c.qasm").as_written()


@pytest.mark.parametrize("alike", [False, True])
def test_definitions_that_double_are_carried_out(alike: bool, workdir: Path) -> None:
    """2048 turns about one axis add up: (1/2 + 1/3)¹¹ of the angle, or all of it where both parts are halves."""
    Path("c.qasm").write_text(doubling(12).replace("t/3", "t/2") if alike else doubling(12))
    circuit = choice("ansatz", "file", path="c.qasm").as_written()

    found = Engine().estimator_plan(circuit, SparsePauliOp("Z")).run(np.zeros(0), shots=None, seed=1).evs
    np.testing.assert_allclose(found, np.cos(1 if alike else (5 / 6) ** 11), atol=1e-9)

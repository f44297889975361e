"""Expectation values of any circuit and observables in one job."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector

from runner import compose, run
from runner.__main__ import main
from runner.errors import ConfigError
from runner.record.files import read_rows
from runner.sweep.entry import sweep
from tests.choices import choice
from tests.test_run import events

ESTIMATION = ("experiment=estimation", "tracking=off", "run.figures=false")


def test_the_guides_block_broadcasts_three_by_two(workdir: Path) -> None:
    """Observables of shape (3, 1) against 3×2 parameter sets: six values, each what the state vector says."""
    block = ("experiment.observables=[[{XX:0.5,IY:0.5}],[XX],[IY]]", "experiment.random_shape=[3,2]")
    result = run(compose(*ESTIMATION, "estimator=exact", *block))

    submitted = events(result, "job.submitted")
    values = np.array(submitted[0].pubs[0]["values"])
    operators = [SparsePauliOp(["XX", "IY"], [0.5, 0.5]), SparsePauliOp("XX"), SparsePauliOp("IY")]
    circuit = choice("ansatz", "gates").build()
    assert len(submitted) == 1
    assert values.shape == (3, 2, 1)
    assert [row["index"] for row in result.table] == [[i, j] for i in range(3) for j in range(2)]
    for row in result.table:
        i, j = row["index"]
        state = Statevector(circuit.assign_parameters(values[i, j]))
        assert row["value"] == pytest.approx(state.expectation_value(operators[i]).real, abs=1e-9)


def test_sampled_values_come_with_honest_errors(workdir: Path) -> None:
    """⟨ZZ⟩ of a product state at angle a is cos(a)²; the sampled values lie within five standard errors."""
    gates = "[[ry,a,0],[ry,a,1]]"
    result = run(
        compose(
            *ESTIMATION, f"ansatz.gates={gates}", "experiment.random_shape=[]",
            "experiment.observables=[ZZ]", "experiment.parameter_values=[0.3,0.9]",
        )
    )  # fmt: skip

    assert [row["parameter_set"] for row in result.table] == [0, 1]
    for row, angle in zip(result.table, (0.3, 0.9), strict=True):
        assert 0 < row["stddev"] < 0.02
        assert abs(row["value"] - np.cos(angle) ** 2) < 5 * row["stddev"]


def test_as_it_stands_it_is_the_declared_hamiltonian_at_the_declared_start(workdir: Path) -> None:
    """One number: |00⟩ of an Ising chain of two sites, H = −ZZ − X₀ − X₁, has ⟨H⟩ = −1."""
    gates, start = (
        "ansatz.gates=[[ry,a,0],[cx,0,1]]",
        ("ansatz.initial=values", "ansatz.initial_values=[0.0]"),
    )
    result = run(
        compose(*ESTIMATION, "estimator=exact", "hamiltonian=tfim", "hamiltonian.shape=[2]", gates, *start)
    )

    assert [row["value"] for row in result.table] == [pytest.approx(-1, abs=1e-12)]


def test_the_value_of_an_observable_is_called_no_energy(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """⟨ZZ⟩ of a Bell pair is 1, by pencil, an energy of nothing: no screen, table or page says so."""
    bell = ("hamiltonian=h2", "ansatz.gates=[[h,0],[cx,0,1]]", "estimator=exact", *ESTIMATION)
    assert main([*bell, "experiment.observables=[ZZ]", "hydra.run.dir=run"]) == 0
    printed = capsys.readouterr().out
    assert sweep([*bell, "experiment.observables=[ZZ],[XX]", "hydra.sweep.dir=sweep"], quiet=True) == 0
    rows = read_rows(Path("sweep/sweep.csv"))
    assert main(["report", "run"]) == 0
    page = Path("run/report.html").read_text()

    assert "value       1.000000              of ZZ: without shot noise" in printed
    assert "energy" not in printed
    assert [float(row["value"]) for row in rows] == pytest.approx([1, 1], abs=1e-12)
    assert not [name for name in rows[0] if name.startswith("energy")]
    assert ">value<" in page
    assert ">energy<" not in page


def test_a_bit_without_register_decides(workdir: Path) -> None:
    """Half of a fair coin's courses flip the second qubit, as the bit says: ⟨ZZ⟩ = 1, ⟨ZI⟩ = 0, exact and sampled."""
    Path("mine.qasm").write_text(
        'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit m;\nh q[0];\n'
        "m = measure q[0];\nif (m) { x q[1]; }\n"
    )
    for estimator in ("exact", "shots"):
        chosen = ("ansatz=file", "ansatz.path=mine.qasm", f"estimator={estimator}")
        result = run(compose(*ESTIMATION, *chosen, "experiment.observables=[ZZ,ZI]"))

        assert [row["value"] for row in result.table] == pytest.approx([1, 0], abs=0.1)


def test_without_observables_it_is_the_hamiltonian(workdir: Path) -> None:
    """One number: the energy of a given circuit; |00⟩ has ⟨YZ⟩ = ⟨XX⟩ = 0, so it is −0.3980 − 0.0113."""
    result = run(
        compose(
            *ESTIMATION, "ansatz.gates=[[id,0],[id,1]]", "experiment.observables=[]",
            "experiment.random_shape=[]", "estimator=exact", "backend=fake_manila",
        )
    )  # fmt: skip

    assert result.energy == pytest.approx(-0.4093, abs=0.03)  # the device adds noise, also to exact values


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["experiment.observables=[XQ]"], r"experiment\.observables\[0\]: 'XQ' is no word of I, X, Y, Z"),
        (["experiment.observables=[[XX],[]]"], r"experiment\.observables\[1\]: is empty"),
        (["experiment.observables=[{XX:a}]"], r"experiment\.observables\[0\]: must be a real number"),
        (
            ["experiment.parameter_values=[1]", "experiment.random_shape=[2]"],
            "experiment.random_shape: both parameter_values and random_shape",
        ),
        (
            ["experiment.random_shape=[2]", "ansatz.initial=random"],
            "ansatz.initial: is random, and experiment.random_shape gives the parameters",
        ),
        (["experiment.observables=[XXX]"], "XXX has 3 qubits, the circuit 2"),
        (
            ["experiment.observables=[[XX,YY,ZZ]]", "experiment.random_shape=[2]"],
            r"observables of shape \(1, 3\) and",
        ),
        (["experiment.observables=[[XX,YY],ZZ]"], "rows have different lengths"),
        (
            ["experiment.random_shape=[]", "experiment.parameter_values=[[1,2],[3]]"],
            "experiment.parameter_values: rows have different lengths",
        ),
        (["ansatz.gates=[[h,0],[cy,0]]"], r"ansatz\.gates\[1\]: 'cy' takes 0 angles and 2 qubits"),
        (["ansatz.gates=[[hh,0]]"], r"ansatz\.gates\[0\]: unknown choice 'hh'; did you mean 'h'\?|'ch'"),
        (["ansatz.gates=[[cx,1,1]]"], r"names a qubit twice"),
        (["ansatz.gates=[]"], r"ansatz\.gates: is empty"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_session(
    workdir: Path, overrides: list[str], line: str
) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        run(compose(*ESTIMATION, *overrides))

    assert list(workdir.iterdir()) == []

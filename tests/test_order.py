"""The order of a circuit's parameters: as declared, the same in everything that takes or gives a list of values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import SparsePauliOp

from runner import compose, run
from runner.engine.classification import classify, with_names
from runner.engine.engine import Engine
from runner.errors import ConfigError
from tests.choices import choice
from tests.journals import resulted
from tests.test_run import events

QASM3 = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] b10;
input float[64] b2;
input angle a;
qubit[3] q;
ry(b2) q[1];
ry(a) q[2];
ry(b10) q[0];
"""
GATES = "ansatz.gates=[[rx,a1,0],[ry,a2,1],[rx,a10,0]]"
EXACT = ("experiment=estimation", "estimator=exact", "tracking=off", "run.figures=false", "hamiltonian=pauli")


def test_openqasm_inputs_are_in_declared_order(tmp_path: Path) -> None:
    """Values go to b10, b2, a, although Qiskit sorts them a, b10, b2: each turns a qubit of its own."""
    pytest.importorskip("qiskit_qasm3_import")
    path = tmp_path / "three.qasm"
    path.write_text(QASM3)
    circuit = choice("ansatz", "file", path=str(path)).build()

    bound = circuit.assign_parameters([0.1, 0.2, 0.3])
    turned = {bound.find_bit(item.qubits[0]).index: item.operation.params[0] for item in bound.data}
    assert turned == {0: 0.1, 1: 0.2, 2: 0.3}
    assert classify(circuit).names == ("b10", "b2", "a")
    assert {p.name for p in with_names(circuit).parameters} == {"b10", "b2", "a"}


def test_gates_are_in_order_of_first_appearance(workdir: Path) -> None:
    """⟨ZI + 2 IZ⟩ after rx(a1)·rx(a10) on qubit 0 and ry(a2) on qubit 1 is cos(a2) + 2 cos(a1 + a10), by pencil."""
    terms, start = "hamiltonian.terms=[[ZI,1.0],[IZ,2.0]]", "ansatz.initial=values"
    wanted = np.cos(1.1) + 2 * np.cos(0.3 + 0.2)

    listed = run(compose(*EXACT, terms, GATES, start, "ansatz.initial_values=[0.3,1.1,0.2]"))
    named = run(compose(*EXACT, terms, GATES, start, "ansatz.initial_values={a10: 0.2, a2: 1.1, a1: 0.3}"))

    for result in (listed, named):
        assert result.energy == pytest.approx(wanted, abs=1e-12)
        assert result.parameters == [0.3, 1.1, 0.2]
        assert result.parameter_names == ["a1", "a2", "a10"]


def test_a_run_goes_on_where_another_ended_by_name(workdir: Path) -> None:
    """run:ID puts each value where its name stands, whatever the order of the gates; so does a JSON object."""
    terms = "hamiltonian.terms=[[ZI,1.0],[IZ,2.0]]"
    values = ("ansatz.initial=values", "ansatz.initial_values=[0.3,1.1,0.2]")
    first = run(compose(*EXACT, terms, GATES, *values))
    Path("point.json").write_text(json.dumps({"a1": 0.3, "a2": 1.1, "a10": 0.2}))
    other = "ansatz.gates=[[rx,a10,0],[rx,a1,0],[ry,a2,1]]"

    for start in (f"ansatz.initial=run:{first.directory}", "ansatz.initial=file:point.json"):
        again = run(compose(*EXACT, terms, other, start))
        assert again.parameters == [0.2, 0.3, 1.1]
        assert again.energy == pytest.approx(first.energy, abs=1e-12)


def test_values_recorded_in_another_order_are_not_taken(workdir: Path) -> None:
    """A result without names, from when parameters were sorted by name, cannot start a circuit in declared order."""
    Path("old").mkdir()
    Path("old/result.json").write_text(json.dumps(resulted(parameters=[0.3, 0.2, 1.1])))

    with pytest.raises(
        ConfigError, match="sorted by name, and they are in declared order now: a1, a2, a10; give"
    ):
        run(compose(*EXACT, "hamiltonian.terms=[[ZI,1.0]]", GATES, "ansatz.initial=run:old"))


def test_vectors_in_qpy_are_by_index(tmp_path: Path) -> None:
    """Twelve elements of a vector, used backwards, take their values by index, as in Qiskit."""
    vector = ParameterVector("v", 12)
    circuit = QuantumCircuit(1)
    for element in reversed(list(vector)):
        circuit.rx(element, 0)
    with (tmp_path / "v.qpy").open("wb") as file:
        qpy.dump(circuit, file)
    built = choice("ansatz", "file", path=str(tmp_path / "v.qpy")).build()

    angles = [item.operation.params[0] for item in built.assign_parameters(np.arange(12.0)).data]
    assert angles == list(range(11, -1, -1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{a1: 0.3, a2: 1.1}", "ansatz.initial_values: has no 'a10'; give a1, a2, a10"),
        (
            "{a1: 0.3, a2: 1.1, a10: 0, z: 1}",
            "has 'z', which is none of the ansatz's parameters; give a1, a2, a10",
        ),
        ("{a1: x}", r"ansatz.initial_values.a1: must be a real number, got 'x'"),
        ("[0.3]", r"has 1 numbers, the ansatz 3 parameters; make them equal \(a1, a2, a10\)"),
        ("0.3", r"ansatz.initial_values: must be a list or names with values, got 0.3"),
    ],
)
def test_wrong_values_are_told_with_the_names(workdir: Path, values: str, message: str) -> None:
    """One line that says which names there are."""
    declared = (GATES, "ansatz.initial=values", f"ansatz.initial_values={values}")
    with pytest.raises(ConfigError, match=message):
        run(compose(*EXACT, "hamiltonian.terms=[[ZI,1.0]]", *declared))

    assert list(workdir.iterdir()) == []


def test_the_journal_keeps_names_and_order(workdir: Path) -> None:
    """The problem's event lists the names in order, and its circuit declares its inputs in it."""
    vqe = (
        "tracking=off",
        "run.figures=false",
        "estimator=exact",
        "ansatz=gates",
        "optimizer.max_evaluations=3",
    )
    result = run(compose("hamiltonian=pauli", "hamiltonian.terms=[[ZI,1.0],[IZ,2.0]]", GATES, *vqe))

    (problem,) = events(result, "problem")
    program = problem.circuits["declared"]["qasm"]
    inputs = [line.split()[-1] for line in program.splitlines() if line.startswith("input")]
    assert problem.parameter_names == ["a1", "a2", "a10"]
    assert inputs == ["a1;", "a2;", "a10;"]
    assert result.parameter_names == ["a1", "a2", "a10"]


def test_names_sorted_as_declared_stay_what_they_are() -> None:
    """Where Qiskit's order is the declared one, the circuit keeps its own parameters."""
    circuit = choice("ansatz", "gates", gates=[["rx", "a", 0], ["ry", "b", 0]]).build()

    assert list(circuit.parameters) == [item.operation.params[0] for item in circuit.data]
    assert all(type(parameter) is Parameter for parameter in circuit.parameters)


def test_another_order_is_another_job(workdir: Path) -> None:
    """Sorted by name, as it was before, the same gates have another digest, so that no recorded job is taken for it."""
    declared = choice("ansatz", "gates", gates=[["rx", "a1", 0], ["ry", "a2", 1], ["rx", "a10", 0]]).build()
    by_name = with_names(declared)

    engine = Engine()
    plans = [engine.estimator_plan(circuit, SparsePauliOp("ZZ")) for circuit in (declared, by_name)]
    assert [parameter.name for parameter in by_name.parameters] == ["a1", "a10", "a2"]
    assert plans[0].digest != plans[1].digest

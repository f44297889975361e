"""Circuits and Hamiltonians from files: what is read, what is refused, and that nothing else is opened."""

import json

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp

from runner import compose, run
from runner.errors import ConfigError, ConfigWarning
from tests.choices import CONF, choice, choices

QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\ncx q[0],q[1];\n'
QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] theta;\nqubit[2] q;\nry(theta) q[0];\ncx q[0], q[1];\n'


@pytest.fixture
def written(tmp_path):
    """Write a file and give its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def circuit_of(path, **changes):
    """The circuit of a declared file."""
    return choice("ansatz", "file", path=path, **changes).build()


def test_openqasm_2(written):
    """A Bell pair."""
    expected = QuantumCircuit(2)
    expected.h(0)
    expected.cx(0, 1)

    assert dict(circuit_of(written("bell.qasm", QASM2)).count_ops()) == {"h": 1, "cx": 1}


def test_openqasm_3_has_parameters(written):
    """Its inputs are what is optimized."""
    pytest.importorskip("qiskit_qasm3_import")
    circuit = circuit_of(written("one.qasm", QASM3))

    assert [parameter.name for parameter in circuit.parameters] == ["theta"]


def test_qpy(tmp_path):
    """One circuit comes back as it was stored."""
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("x"), 0)
    with (tmp_path / "c.qpy").open("wb") as file:
        qpy.dump(circuit, file)

    assert circuit_of(str(tmp_path / "c.qpy")) == circuit


def test_final_measurements_are_left_out_with_a_warning(written):
    """An Estimator has no use for them; the Sampler gets the circuit as written."""
    path = written("m.qasm", QASM2 + "creg c[2];\nmeasure q -> c;\n")
    with pytest.warns(ConfigWarning, match="final measurements are left out"):
        circuit = circuit_of(path)

    assert "measure" not in circuit.count_ops()
    assert choice("ansatz", "file", path=path).as_written().count_ops()["measure"] == 2


def test_nothing_is_said_of_measurements_where_there_are_none(tmp_path, recwarn):
    """A circuit with barriers alone comes back as it was stored, without a warning."""
    circuit = QuantumCircuit(2)
    circuit.rz(Parameter("x"), 0)
    circuit.barrier()
    circuit.cz(0, 1)
    circuit.barrier()
    with (tmp_path / "c.qpy").open("wb") as file:
        qpy.dump(circuit, file)

    assert circuit_of(str(tmp_path / "c.qpy")) == circuit
    assert not [one for one in recwarn if "measurements" in str(one.message)]


def test_a_measurement_that_something_follows_is_kept(written):
    """Only what ends the circuit is left out: here bit 1 of `c`, not the one a condition reads or the one before x."""
    text = QASM2 + "creg c[2];\nmeasure q[0] -> c[0];\nif(c==1) x q[1];\nmeasure q[1] -> c[1];\n"
    with pytest.warns(ConfigWarning):
        circuit = circuit_of(written("m.qasm", text))

    assert [item.operation.name for item in circuit.data][-2:] == ["measure", "if_else"]
    again = circuit_of(written("n.qasm", QASM2 + "creg c[2];\nmeasure q[0] -> c[0];\nx q[0];\n"))
    assert again.count_ops()["measure"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (QASM2 + "nogate q[0];\n", r"bad.qasm:6:1: .*nogate"),
        ("OPENQASM 2.0;\nqreg q[2", r"bad.qasm:2:"),
        ("", "has no qubits"),
        ("// nothing\n", "has no qubits"),
        ("OPENQASM 2.0;\n", "has no qubits"),
        (
            'OPENQASM 2.0;\ninclude "/etc/passwd";\nqreg q[1];\n',
            r'bad.qasm:2:\d+: includes "/etc/passwd"; only qelib1.inc',
        ),
        ('OPENQASM 3.0;\ninclude "../secret.inc";\nqubit q;\n', r'bad.qasm:2:\d+: includes "../secret.inc"'),
        ('OPENQASM 2.0;\n/* */ include\n"/etc/passwd";\n', r"bad.qasm:2:\d+: includes"),
        ("OPENQASM 2.0;\nqreg q[100000];\n", "has 100000 qubits, more than 1000"),
        ("OPENQASM 3.0;\nqubit[100000] q;\n", "has 100000 qubits, more than 1000"),
        (b"\xff\xfe\x00\x01", "is not text"),
    ],
)
def test_bad_openqasm_is_refused(written, content, message):
    """One line with file, line and column; no file but qiskit's own is ever opened."""
    with pytest.raises(ConfigError, match=message):
        circuit_of(written("bad.qasm", content))


def test_bad_openqasm_3_is_refused(written):
    """Errors of the importer keep their place."""
    pytest.importorskip("qiskit_qasm3_import")
    with pytest.raises(ConfigError, match=r"bad.qasm:5:|ansatz.path: "):
        circuit_of(written("bad.qasm", QASM3.replace("ry(theta)", "nogate")))


def test_files_that_are_not_there_are_refused(tmp_path):
    """The path is named, and so is a kind of file that is unknown."""
    with pytest.raises(ConfigError, match=r"ansatz.path: .*missing.qasm cannot be read"):
        circuit_of(str(tmp_path / "missing.qasm"))
    with pytest.raises(ConfigError, match=r"ansatz.path: .* is of no known kind"):
        circuit_of("circuit.py")


def test_the_declared_size_must_be_the_files(written):
    """ansatz.qubits says 3, the file has 2."""
    with pytest.raises(ConfigError, match=r"ansatz.qubits: is 3, .* has 2"):
        circuit_of(written("bell.qasm", QASM2), qubits=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no qpy", "is no QPY file"),
        (b"QISKIT\x0c" + bytes(40), "has QPY version 12, and older than 13 can run code"),
        (b"QISKIT\x0d" + bytes(40), "is damaged"),
    ],
)
def test_bad_qpy_is_refused(written, content, message):
    """Foreign, old and damaged files."""
    with pytest.raises(ConfigError, match=message):
        circuit_of(written("c.qpy", content))


def test_hamiltonians_from_files(written, tmp_path):
    """JSON, CSV and a PauliEvolutionGate in QPY give the same operator."""
    operator = SparsePauliOp(["ZZ", "XI"], [1.0, -0.5])
    circuit = QuantumCircuit(2)
    circuit.append(PauliEvolutionGate(operator), [0, 1])
    with (tmp_path / "h.qpy").open("wb") as file:
        qpy.dump(circuit, file)
    paths = [
        written("h.json", json.dumps([["ZZ", 1.0], ["XI", -0.5]])),
        written("h.csv", "label,coefficient\nZZ,1.0\nXI,-0.5\n"),
        written("h.txt", "ZZ 1\nXI -0.5\n"),
        str(tmp_path / "h.qpy"),
    ]

    for path in paths:
        built = choice("hamiltonian", "file", path=path).build()
        assert np.allclose(built.to_matrix(), operator.to_matrix())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("h.json", "[[", "is not JSON"),
        ("h.json", "3", "holds no list"),
        ("h.json", '[["ZZ", "one"]]', r"h.json:1: 'one' is no number"),
        ("h.csv", "ZZ,1\nZ,1\n", r"h.csv:2: 'Z' has 1 letter, others 2"),
        ("h.csv", "", "h.csv: is empty"),
        ("h.qpy", b"QISKIT\x0c" + bytes(40), "QPY version 12"),
    ],
)
def test_bad_hamiltonian_files_are_refused(written, name, content, message):
    """Each mistake is told in one line that names the row."""
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "file", path=written(name, content)).build()


def test_a_circuit_is_no_hamiltonian(tmp_path):
    """A QPY file must hold exactly one evolution gate."""
    with (tmp_path / "h.qpy").open("wb") as file:
        qpy.dump(QuantumCircuit(1), file)

    with pytest.raises(ConfigError, match="holds 0 PauliEvolutionGates"):
        choice("hamiltonian", "file", path=str(tmp_path / "h.qpy")).build()


@pytest.mark.parametrize("group", ["hamiltonian", "ansatz", "optimizer"])
def test_every_choice_is_described(group):
    """docs/declare.md names every choice of the three groups."""
    page = (CONF.parent / "docs" / "declare.md").read_text(encoding="utf-8")

    assert [name for name in choices(group) if f"`{name}`" not in page] == []


def test_files_beside_the_circuit_are_included(tmp_path):
    """A gate of an include file is its definition: rx(2t) by hand; in both versions, with parameters."""
    from qiskit.quantum_info import Operator

    (tmp_path / "mine.inc").write_text("// a gate\ngate twice(w) a { rx(2*w) a; }  /* done */\n")
    (tmp_path / "two.qasm").write_text(
        'OPENQASM 2.0;\ninclude "qelib1.inc";\ninclude "mine.inc";\nqreg q[1];\ntwice(0.3) q[0];\n'
    )
    (tmp_path / "three.qasm").write_text(
        'OPENQASM 3.0;\ninclude "stdgates.inc";\ninclude "mine.inc";\ninput float w;\nqubit[1] q;\ntwice(w) q[0];\n'
    )
    expected = Operator([[np.cos(0.3), -1j * np.sin(0.3)], [-1j * np.sin(0.3), np.cos(0.3)]])
    two = choice("ansatz", "file", path=str(tmp_path / "two.qasm")).as_written()
    three = choice("ansatz", "file", path=str(tmp_path / "three.qasm")).as_written().assign_parameters([0.3])

    assert Operator(two).equiv(expected)
    assert Operator(three).equiv(expected)


@pytest.mark.parametrize(
    ("included", "message"),
    [
        ("c.qasm", r"c.qasm:2:1: includes 'c.qasm', which includes it again"),
        ("gone.inc", r"c.qasm:2:1: .*gone.inc cannot be read"),
        ("a/b.inc", "files beside it may be"),
        ("..", "files beside it may be|cannot be read|is a folder"),
    ],
)
def test_includes_that_cannot_be_are_refused(included, message, tmp_path):
    """Circles, missing files and other folders, each with the line."""
    (tmp_path / "c.qasm").write_text(f'OPENQASM 2.0;\ninclude "{included}";\nqreg q[1];\n')
    with pytest.raises(ConfigError, match=message):
        choice("ansatz", "file", path=str(tmp_path / "c.qasm")).as_written()


def test_a_parser_that_prints_is_kept_quiet(tmp_path, capfd):
    """`_` names no loop variable in OpenQASM's grammar: one line with its place, nothing beside it."""
    (tmp_path / "c.qasm").write_text("OPENQASM 3.0;\nqubit q;\nfor _ in [0:3] { reset q; }\n")
    with pytest.raises(ConfigError, match=r"c.qasm:3:5: unexpected '_' in line 3; correct it"):
        choice("ansatz", "file", path=str(tmp_path / "c.qasm")).as_written()

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["optimizer=qn_spsa"], "optimizer: qn_spsa measures overlaps of states, and this circuit resets"),
        (
            ["experiment=vqd", "hamiltonian=two_qubit"],
            "ansatz: resets, and overlaps of levels need a unitary circuit",
        ),
    ],
)
def test_overlaps_need_a_unitary_circuit(workdir, changes, message):
    """What runs a circuit backwards is refused for one that resets, before anything exists."""
    pytest.importorskip("qiskit_qasm3_import")
    (workdir / "r.qasm").write_text(QASM3 + "reset q[0];\n")
    with pytest.raises(ConfigError, match=message):
        run(compose("tracking=off", "ansatz=file", "ansatz.path=r.qasm", *changes))

    assert [path.name for path in workdir.iterdir()] == ["r.qasm"]


def test_a_wide_circuit_needs_what_it_uses(written, tmp_path):
    """133 qubits of which three act: |+⟩ on 56 and X on 58, so ⟨2·X₅₆ + Z₅₈⟩ = 2 − 1."""
    from runner import compose, run

    gates = "h q[56];\ncz q[56],q[57];\nx q[58];\n"
    path = written("wide.qasm", f'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[133];\n{gates}')
    config = compose(
        *("experiment=estimation", "experiment.observables=[]", "experiment.random_shape=[]"),
        *("estimator=exact", "ansatz=file", f"ansatz.path={path}", "tracking=off", "run.figures=false"),
        *("hamiltonian=pauli", "hamiltonian.qubits=133", "hamiltonian.terms=[[X,2.0,[56]],[Z,1.0,[58]]]"),
    )

    assert run(config, directory=str(tmp_path / "run")).energy == pytest.approx(1.0)

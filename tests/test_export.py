"""`export` and `inspect`: what leaves is read back as the same thing, and files of others are told what they are."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from runner import compose, run
from runner.__main__ import main
from runner.hamiltonian.file import OperatorFile
from runner.record.events import RunStarted
from runner.record.journal import Journal, read_journal
from runner.review.export import Exported

LABELS = [("XXI", 0.25), ("IYZ", -1.5), ("III", 0.125), ("ZIX", 1e-3)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four terms on three qubits."""
    directory = tmp_path_factory.mktemp("export") / "run"
    terms = ",".join(f"[{label},{value}]" for label, value in LABELS)
    config = compose(
        *("hamiltonian=pauli", f"hamiltonian.terms=[{terms}]", "ansatz=real_amplitudes", "ansatz.reps=1"),
        *("estimator=exact", "optimizer=nelder_mead", "optimizer.max_evaluations=30"),
        *("tracking=off", "run.figures=false"),
    )
    run(config, directory=str(directory))
    return directory


@pytest.mark.parametrize("format", ["csv", "json", "sparse", "openfermion", "pennylane", "npy"])
def test_idle_qubits_go_along(format: str, tmp_path: Path) -> None:
    """An operator that leaves its last qubit alone has as many qubits when it is read back."""
    from runner.review.export import OPERATORS, _matrix

    operator = SparsePauliOp(["IIZ", "IXX", "III"], [0.5, 0.3, 1.0])
    content = _matrix(operator) if format == "npy" else OPERATORS[format](operator).encode()
    (tmp_path / "o").write_bytes(content)

    read = OperatorFile(name="file", path=str(tmp_path / "o")).build()
    assert np.abs(read.to_matrix() - operator.to_matrix()).max() < 1e-15


def test_a_circuit_that_openqasm_cannot_say_is_run_and_leaves_as_qpy(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An inverse that is not worked out: the run ends as that of the circuit with the inverse gate, by Qiskit."""
    gate = QuantumCircuit(1, name="turn")
    gate.rx(0.3, 0)
    energies = []
    for name, inverse in (
        ("lazy", gate.to_gate().inverse(annotated=True)),
        ("done", gate.to_gate().inverse()),
    ):
        circuit = QuantumCircuit(2)
        circuit.ry(Parameter("a"), 0)
        circuit.append(inverse, [1])
        with open(f"{name}.qpy", "wb") as file:
            qpy.dump(circuit, file)
        words = ("optimizer=nelder_mead", "optimizer.max_evaluations=20", "tracking=off", "run.figures=false")
        declared = compose("ansatz=file", f"ansatz.path={name}.qpy", "estimator=exact", *words)
        energies.append(run(declared, directory=name).energy)
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)
    for format, instead in (("qasm2", "qasm3 or qpy"), ("qasm3", "qpy")):
        assert main(["export", "lazy", f"--format={format}", "--bound"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --format: OpenQASM")
        assert error.endswith(f"; take {instead}\n")
        assert "0x" not in error
    assert main(["export", "lazy", "--format=qpy", "-o", "out.qpy"]) == 0
    for file in map(Path, ("out.qpy", "lazy.qpy")):
        (left,) = qpy.load(file.open("rb"))
        assert left.data[1].operation == gate.to_gate().inverse(annotated=True)


@pytest.mark.parametrize("format", ["csv", "json", "sparse", "openfermion", "pennylane", "npy"])
def test_operators_are_read_back_as_they_left(finished: Path, tmp_path: Path, format: str) -> None:
    """Our own reader recognizes what we write; the matrix is that of the declared terms."""
    target = tmp_path / "operator"
    assert main(["export", str(finished), f"--format={format}", "-o", str(target)]) == 0

    read = OperatorFile(name="file", path=str(target)).build()
    assert np.abs(read.to_matrix() - SparsePauliOp.from_list(LABELS).to_matrix()).max() < 1e-15


def test_circuits_are_what_was_run(finished: Path, tmp_path: Path) -> None:
    """Bound circuits have the energy of the result by a dense state vector; free ones have the declared parameters."""
    result = json.loads((finished / "result.json").read_text())
    for format, load in (("qasm2", qasm2.load), ("qasm3", qasm3.load)):
        target = tmp_path / f"c.{format}"
        assert main(["export", str(finished), f"--format={format}", "--bound", "-o", str(target)]) == 0
        state = Statevector(load(str(target)))
        energy = state.expectation_value(SparsePauliOp.from_list(LABELS)).real
        assert energy == pytest.approx(result["energy"], abs=1e-9)
    target = tmp_path / "free.qpy"
    assert main(["export", str(finished), "--format=qpy", "-o", str(target)]) == 0
    from qiskit import qpy

    with target.open("rb") as file:
        free: QuantumCircuit = qpy.load(file)[0]
    assert free.num_parameters == len(result["parameters"])
    assert Operator(free.assign_parameters(result["parameters"])) == Operator(
        qasm3.load(str(tmp_path / "c.qasm3"))
    )


@pytest.mark.parametrize(
    "names", [("b", "a"), ("a2", "a10", "a1"), ("θ", "β")], ids=lambda names: "-".join(names)
)
@pytest.mark.parametrize("source", ["gates", "file"])
def test_parameters_out_of_alphabetical_order_leave_as_they_were_declared(
    source: str, names: tuple[str, ...], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """⟨Z⟩ of RY(θ) on a qubit is cos θ: of the exported circuits' states, and by hand of the result's parameters."""
    gates = ",".join(f"[ry,'{name}',{qubit}]" for qubit, name in enumerate(names))
    inputs = "".join(f"input float {name};\n" for name in names)
    body = "".join(f"ry({name}) q[{qubit}];\n" for qubit, name in enumerate(names))
    Path("c.qasm").write_text(
        f'OPENQASM 3.0;\ninclude "stdgates.inc";\n{inputs}qubit[{len(names)}] q;\n{body}'
    )
    ansatz = {
        "gates": ("ansatz=gates", f"ansatz.gates=[{gates}]"),
        "file": ("ansatz=file", "ansatz.path=c.qasm"),
    }
    terms = [("I" * (len(names) - 1 - qubit) + "Z" + "I" * qubit, qubit + 1.0) for qubit in range(len(names))]
    config = compose(
        *("hamiltonian=pauli", f"hamiltonian.terms=[{','.join(f'[{t},{c}]' for t, c in terms)}]"),
        *ansatz[source],
        *("estimator=exact", "optimizer=nelder_mead", "optimizer.max_evaluations=9"),
        *("tracking=off", "run.figures=false"),
    )
    result = run(config, directory="run")

    by_hand = sum(c * math.cos(angle) for (_, c), angle in zip(terms, result.parameters, strict=True))
    assert by_hand == pytest.approx(result.energy, abs=1e-9)
    assert result.parameter_names == list(names)
    operator = SparsePauliOp.from_list(terms)
    for format, load in (("qasm2", qasm2.load), ("qasm3", qasm3.load)):
        state = Statevector(load(exported("run", format, "--bound")))
        assert state.expectation_value(operator).real == pytest.approx(result.energy, abs=1e-9)
    for words, values in ((["--bound"], []), ([], result.parameters)):
        with open(exported("run", "qpy", *words), "rb") as file:
            state = Statevector(qpy.load(file)[0].assign_parameters(values))
        assert state.expectation_value(operator).real == pytest.approx(result.energy, abs=1e-9)
    free = Path(exported("run", "qasm3")).read_text()
    assert re.findall(r"(?m)^input float\[64\] (\S+);$", free) == list(names)
    for format in ("evaluations", "openfermion", "csv"):
        assert Path(exported("run", format)).stat().st_size > 0
    assert capsys.readouterr().err == ""


def test_openqasm_that_nothing_reads_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Qiskit writes sin(a) into OpenQASM 3 and cannot read it; the bound circuit has sin(0.3) as its number."""
    directory = tmp_path / "run"
    config = compose(
        *("experiment=estimation", "hamiltonian=pauli", "hamiltonian.terms=[[Z,1.0]]", "estimator=exact"),
        *("ansatz=gates", "ansatz.gates=[[ry,'sin(a)',0],[ry,a,0]]", "ansatz.initial=values"),
        *("ansatz.initial_values={a: 0.3}", "tracking=off", "run.figures=false"),
    )
    run(config, directory=str(directory))
    assert main(["export", str(directory), "--format=qasm3", "-o", str(tmp_path / "c.qasm")]) == 2
    error = capsys.readouterr().err

    assert "--format: no reader of OpenQASM 3 takes what the circuit needs" in error
    assert "take qpy" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "c.qasm").exists()
    assert main(["export", str(directory), "--format=qpy", "-o", str(tmp_path / "c.qpy")]) == 0


def test_evaluations_are_a_table(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each, in order, on standard output."""
    assert main(["export", str(finished), "--format=evaluations"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))

    assert [int(row["index"]) for row in rows] == list(range(30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "export: needs a run directory"),
        (["export", "RUN"], "--format: is missing; one of qasm2"),
        (["export", "RUN", "--format=qasm4"], "did you mean 'qasm"),
        (["export", "RUN", "--format=qpy"], "--output: qpy is no text; name a file with -o"),
        (["export", "RUN", "--format=qasm2"], "OpenQASM 2 has no parameters; add --bound"),
        (["export", "RUN", "--format=csv", "--bound"], "--bound: is for circuits"),
        (["export", "RUN", "--format=csv", "-o", "RUN"], "exists; name another file"),
        (["list", "--format=csv"], "--format: `list` has no such flag; `export` has it"),
        (["seed=1", "--fork"], "--fork: `run` has no such flag; `resume` has it"),
        (["inspect"], "inspect: needs a file"),
        (["inspect", "nowhere.txt"], "nowhere.txt cannot be read"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    finished: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""
    assert main([argument.replace("RUN", str(finished)) for argument in arguments]) == 2
    error = capsys.readouterr().err

    assert message in error
    assert error.count("\n") == 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_every_operator_goes_through_every_format(seed: int) -> None:
    """Random terms on up to five qubits, the last ones idle at times: the matrix comes back to 1e-12."""
    from runner.review.export import OPERATORS, _matrix

    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(1, 6))
    labels = {"".join(rng.choice(list("IIXYZ"), qubits)) for _ in range(int(rng.integers(1, 9)))}
    operator = SparsePauliOp(sorted(labels), rng.normal(size=len(labels)) * 10.0 ** rng.integers(-3, 3))
    for format in (*OPERATORS, "npy"):
        content = _matrix(operator) if format == "npy" else OPERATORS[format](operator).encode()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "o").write_bytes(content)
            read = OperatorFile(name="file", path=str(Path(folder) / "o")).build()
        assert (
            np.abs(read.to_matrix() - operator.to_matrix()).max() < 1e-12 * np.abs(operator.coeffs).max()
        ), format


FILES = {
    "c.qasm": (
        'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;\n',
        [
            *("circuit", "qubits 2", "two-qubit gates 1", "classical bits c[2]", "kind unitary"),
            "ansatz=file ansatz.path=c.qasm experiment=sampling",
        ],
    ),
    "h.csv": (
        "label,coefficient\nZZ,0.5\nXI,-1\nII,2\n",
        ["operator", "qubits 2", "terms 3", "identity 2", "commuting groups 2", "hamiltonian=file"],
    ),
    "g.txt": ("3 2\n1 2 1\n2 3 1\n", ["graph", "Gset", "nodes 3", "edges 2", "bipartite yes", "graph=file"]),
    "q.txt": ("0 0 -1\n0 1 2\n", ["QUBO", "variables 2", "entries 2", "hamiltonian=qubo"]),
    "m.xyz": ("2\n\nLi 0 0 0\nH 0 0 1.6\n", ["geometry", "LiH", "4 with charge 0", "hamiltonian=molecule"]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_told_what_it_is(name: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kind, sizes counted by hand, and the override to use it; nothing is created."""
    text, facts = FILES[name]
    Path(name).write_text(text)
    assert main(["inspect", name]) == 0
    shown = " ".join(capsys.readouterr().out.split())

    assert [fact for fact in facts if fact not in shown] == []
    assert [path.name for path in workdir.iterdir()] == [name]


REASONS = {
    "one.txt": ("1.0 [0^ 1] +\n1.0 [1^ 0]\n", "as an operator: one.txt:1: '[0^ 1]' are ladder operators"),
    "two.json": ('{"nodes": [{"id": 0}], "links": [{"source": 0}]}\n', "as a graph"),
    "three.json": ('{"linear": {"0": "x"}, "quadratic": {}}\n', "as a QUBO"),
    "four.qpy": ("no circuit\n", "as a circuit"),
    "five.qasm": (
        "OPENQASM 2.0;\nqreg q[1];\nfoo q[0];\n",
        "five.qasm:3:1: as a circuit: 'foo' is not defined",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_is_that_of_the_likeliest_kind(
    name: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ladder operators are an operator, links a graph, linear and quadratic a QUBO: whoever wrote it knows."""
    text, reason = REASONS[name]
    Path(name).write_text(text)
    assert main(["inspect", name]) == 2
    error = capsys.readouterr().err

    assert reason in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("many", "qubits", "told"), [(2, 1, "holds 2 circuits"), (1, 1001, "has 1001 qubits")]
)
def test_what_a_qpy_lacks_is_told_of_the_circuit(
    many: int, qubits: int, told: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No word of PauliEvolutionGates where there are none."""
    from qiskit import qpy

    with Path("c.qpy").open("wb") as file:
        qpy.dump([QuantumCircuit(qubits)] * many, file)
    assert main(["inspect", "c.qpy"]) == 2

    assert f"as a circuit: c.qpy {told}" in capsys.readouterr().err


def test_an_export_is_what_was_declared_and_says_what_it_holds(
    finished: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """K9: a table stays as it is where two lines of it are a secret by chance; a line on standard error tells."""
    monkeypatch.setenv("EXPORT_PASS", "XXI,0.25\nIYZ,-1.5")
    monkeypatch.setenv("FILE_PASS", "Canary7Xq9Zt4Lm2")
    assert main(["export", str(finished), "--format=csv"]) == 0
    printed = capsys.readouterr()
    assert main(["export", str(finished), "--format=csv", "-o", "Canary7Xq9Zt4Lm2.csv"]) == 0

    assert printed.out.startswith("label,coefficient\nXXI,0.25\nIYZ,-1.5\n")
    assert "EXPORT_PASS" in printed.err
    assert "IYZ" not in printed.err
    assert capsys.readouterr().out == "[redacted].csv\n"


def exported(directory: str, format: str, *flags: str) -> str:
    """A file that an export went into."""
    target = f"{directory}{''.join(flags)}.{format}"
    assert main(["export", directory, f"--format={format}", "-o", target, *flags]) == 0
    return target


def test_of_a_curve_its_lowest_point_leaves(workdir: Path) -> None:
    """H of a transverse field Ising pair at J = 1 and field h: lowest −√(1 + 4h²), so that of h = 2 is the lowest.

    The state of the exported circuit has the energy of the result in the exported matrix, by numpy.
    """
    config = compose(
        *("experiment=dissociation_curve", "hamiltonian=tfim", "hamiltonian.shape=[2]", "ansatz=hva"),
        *("experiment.parameter=field", "experiment.values=[0.5,2.0,1.0]", "estimator=exact"),
        *("tracking=off", "run.figures=false"),
    )
    result = run(config, directory="curve")

    matrix = np.load(exported("curve", "npy"))
    assert np.linalg.eigvalsh(matrix)[0] == pytest.approx(-math.sqrt(17), abs=1e-12)
    with open(exported("curve", "qpy", "--bound"), "rb") as file:
        state = Statevector(qpy.load(file)[0]).data
    assert (state.conj() @ matrix @ state).real == pytest.approx(result.energy, abs=1e-9)
    Path("curve/result.json").unlink()
    assert main(["export", "curve", "--format=npy", "-o", "none.npy"]) == 2
    assert not Path("none.npy").exists()


def test_of_an_ansatz_that_grows_what_has_grown_leaves(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its state has the energy of the result in the exported matrix, by numpy; parameters as many as operators."""
    config = compose(
        *("experiment=adapt_vqe", "hamiltonian=h2", "estimator=exact", "tracking=off", "run.figures=false")
    )
    result = run(config, directory="grown")

    matrix = np.load(exported("grown", "npy"))
    with open(exported("grown", "qpy", "--bound"), "rb") as file:
        state = Statevector(qpy.load(file)[0]).data
    assert (state.conj() @ matrix @ state).real == pytest.approx(result.energy, abs=1e-9)
    free = qasm3.load(exported("grown", "qasm3"))
    assert free.num_parameters == len(result.table) == len(result.parameters) > 0
    longer = {"table": [*result.table, {"added": "0→1"}], "parameters": result.parameters}  # not measured
    assert config.experiment.circuit_of(config, longer).num_parameters == len(result.parameters)
    nothing: dict[str, Any] = {"table": [], "parameters": []}
    start = Exported(config, nothing, [], best=[0.1, 0.2]).bound()  # the lowest of energies beside gradients
    assert start.count_ops() == {"x": 2}  # of two electrons, by hand
    Path("grown/result.json").unlink()
    assert main(["export", "grown", "--format=qasm3"]) == 2
    assert capsys.readouterr().err == "error: export: the run has no result yet; resume it first\n"


@pytest.mark.parametrize("order", [1, 2])
def test_of_an_evolution_its_last_state_leaves(order: int, workdir: Path) -> None:
    """⟨ZI⟩ of the exported circuit is that of the last row, and of the product of exponentials by scipy."""
    from scipy.linalg import expm

    config = compose(
        *("experiment=dynamics", "hamiltonian=pauli", "hamiltonian.terms=[[ZZ,1.0],[XI,0.7],[IX,0.7]]"),
        *("experiment.steps=3", "experiment.total_time=1.2", f"experiment.order={order}"),
        *("experiment.initial_state='01'", "experiment.observables=[ZI]", "estimator=exact"),
        *("tracking=off", "run.figures=false"),
    )
    result = run(config, directory="moved")
    bonds = SparsePauliOp("ZZ").to_matrix()
    fields = 0.7 * SparsePauliOp(["XI", "IX"]).to_matrix()
    whole, half = expm(-0.4j * bonds), expm(-0.2j * bonds)
    step = half @ expm(-0.4j * fields) @ half if order == 2 else expm(-0.4j * fields) @ whole
    state = np.linalg.matrix_power(step, 3)[:, 1]  # of the bits 01
    expected = (state.conj() @ SparsePauliOp("ZI").to_matrix() @ state).real

    left = Statevector(qasm3.load(exported("moved", "qasm3", "--bound")))
    assert left.expectation_value(SparsePauliOp("ZI")).real == pytest.approx(expected, abs=1e-9)
    assert result.table[-1]["ZI"] == pytest.approx(expected, abs=1e-9)


def test_what_is_sampled_leaves_with_its_measurements(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of a file as they are written, and of every qubit where none is; nothing was optimized to be put in."""
    Path("c.qasm").write_text(FILES["c.qasm"][0])
    words = ("experiment=sampling", "tracking=off", "run.figures=false", "experiment.shots=10")
    run(compose(*words, "ansatz=file", "ansatz.path=c.qasm"), directory="own")
    run(compose(*words, "ansatz=real_amplitudes", "ansatz.reps=1"), directory="all")

    assert qasm3.load(exported("own", "qasm3")).count_ops() == {"h": 1, "cx": 1, "measure": 2}
    with open(exported("all", "qpy"), "rb") as file:
        (circuit,) = qpy.load(file)
    assert circuit.count_ops()["measure"] == circuit.num_qubits
    capsys.readouterr()
    assert main(["export", "all", "--format=qpy", "--bound", "-o", "bound.qpy"]) == 2
    assert (
        "--bound: is for a result with parameters: the circuit has 4, the result none"
        in capsys.readouterr().err
    )


NONE = {
    "krylov": (
        ["experiment=krylov", "experiment.dimension=1", "experiment.shots=10"],
        ("qpy", "of no single circuit; take csv for the hamiltonian", "csv"),
    ),
    "skqd": (
        ["experiment=skqd", "hamiltonian.shape=[2]", "experiment.dimension=1", "experiment.shots=10"],
        ("qasm3", "of no single circuit; take csv for the hamiltonian", "csv"),
    ),
    "dynamics": (
        ["experiment=dynamics", "hamiltonian.shape=[2]", "experiment.steps=1", "experiment.multi_product=[1,2]"],
        ("qasm3", "combines circuits of 1, 2 times the steps", "csv"),
    ),
    "estimation": (
        ["experiment=estimation", "experiment.observables=[XX]"],
        ("csv", "measured experiment.observables in place of a hamiltonian", "qasm3"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_what_a_result_is_not_of_does_not_leave(
    name: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says so and no default that never ran; what the result is of leaves."""
    declared, (refused, told, left) = NONE[name]
    run(compose(*declared, "tracking=off", "run.figures=false"), directory="run")
    capsys.readouterr()

    assert main(["export", "run", f"--format={refused}", "-o", "refused"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert not Path("refused").exists()
    assert main(["export", "run", f"--format={left}", "-o", "left"]) == 0


def test_a_hamiltonian_whose_file_has_changed_does_not_leave(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of experiments that have no ansatz either."""
    Path("h.csv").write_text("label,coefficient\nZZ,0.5\nXI,-1\n")
    words = ("hamiltonian=file", "hamiltonian.path=h.csv", "experiment.steps=1")
    run(compose("experiment=dynamics", *words, "tracking=off", "run.figures=false"), directory="run")
    Path("h.csv").write_text("label,coefficient\nZZ,0.9\nXI,-1\n")
    capsys.readouterr()

    assert main(["export", "run", "--format=csv"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: hamiltonian: h.csv is not what the run read; put back what it was\n",
    )
    started, *others = read_journal(Path("run/journal.jsonl")).events
    Path("run/journal.jsonl").unlink()
    with Journal.create(Path("run/journal.jsonl")) as journal:  # as an earlier release wrote it
        journal.write(RunStarted(**{name: told for name, told in started.said().items() if name != "files"}))
        for event in others:
            journal.write(event)
    assert main(["export", "run", "--format=csv"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "the hamiltonian is not the one of the run; a file it is read from has changed" in told.err


CIRCUIT = """OPENQASM 3.0;
include "stdgates.inc";
include "inner.inc";
qubit[2] q;
bit[2] c;
turn q[0];
cx q[0], q[1];
c = measure q;
"""
EDGES = "0 1 {}\n1 2 2\n0 2 1.5\n2 3 1\n0 3 1\n"
READ = {
    "a term in the middle": (
        ("experiment=dynamics", "hamiltonian=file", "hamiltonian.path=in", "experiment.steps=1"),
        ("in", "label,coefficient\nZZ,0.5\nZI,{}\nXI,-1\n"),
        ("csv", "qpy"),
    ),
    "an edge": (
        (
            *("experiment=dynamics", "experiment.steps=1"),
            *("hamiltonian=maxcut", "hamiltonian.graph=file", "hamiltonian.path=in"),
        ),
        ("in", EDGES),
        ("csv", "qpy"),
    ),
    "a gate that is included": (
        ("experiment=sampling", "ansatz=file", "ansatz.path=circuit.qasm"),
        ("inner.inc", "gate turn a {{ rx({}) a; }}\n"),
        ("qasm3", "qpy"),
    ),
    "a circuit whose observable is declared": (
        ("experiment=estimation", "experiment.observables=[ZZ]", "ansatz=file", "ansatz.path=in.qasm"),
        ("in.qasm", "OPENQASM 2.0;\ninclude \"qelib1.inc\";\nqreg q[2];\nrx({}) q[0];\n"),
        ("qasm2", "qpy"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_read_from_a_file_that_has_changed_does_not_leave(
    name: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no problem is posed, too, and nothing else is recorded of it; put back it leaves as it was."""
    words, (file, text), formats = READ[name]
    Path("circuit.qasm").write_text(CIRCUIT)
    Path(file).write_text(text.format("0.5"))
    run(compose(*words, "tracking=off", "run.figures=false"), directory="run")
    for format in formats:
        assert main(["export", "run", f"--format={format}", "-o", f"before.{format}"]) == 0
    Path(file).write_text(text.format("0.7"))
    capsys.readouterr()

    for format in formats:
        assert main(["export", "run", f"--format={format}", "-o", "after"]) == 2
        part = "hamiltonian" if file == "in" else "ansatz"
        told = f"error: {part}: {file} is not what the run read; put back what it was\n"
        assert capsys.readouterr().err == told
        assert not Path("after").exists()
    Path(file).write_text(text.format("0.5"))
    for format in formats:
        assert main(["export", "run", f"--format={format}", "-o", "after"]) == 0
        if format != "qpy":  # which has names of its own each time
            assert Path("after").read_bytes() == Path(f"before.{format}").read_bytes()
        Path("after").unlink()


def test_a_run_reads_no_file_that_takes_no_part(workdir: Path) -> None:
    """A circuit of its own is sampled, whatever the Hamiltonian would have been read from."""
    Path("c.qasm").write_text(
        'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\ncreg c[1];\nmeasure q[0]->c[0];\n'
    )
    words = ("ansatz=file", "ansatz.path=c.qasm", "hamiltonian=file", "hamiltonian.path=missing")

    run(compose("experiment=sampling", *words, "tracking=off", "run.figures=false"), directory="run")

    begun = json.loads(Path("run/journal.jsonl").read_text(encoding="utf-8").splitlines()[0])
    digest = hashlib.blake2b(Path("c.qasm").read_bytes(), digest_size=16).hexdigest()
    assert begun["files"] == {"ansatz": {"c.qasm": digest}}

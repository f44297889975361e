"""Hamiltonians whose sums or squares overflow, or vanish, are refused in one line; other units work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.quantum_info import Pauli, SparseObservable, SparsePauliOp, Statevector

from runner.__main__ import main
from runner.declare.composer import compose
from runner.engine import Engine, pauli_terms
from runner.engine.observables import LARGEST as OF_ENGINE
from runner.errors import ConfigError
from runner.hamiltonian.scale import LARGEST, collected
from runner.review.inspection import inspect_file
from runner.runtime import EstimatorV2, LocalRuntimeService

FILES = {
    "sum.txt": "1e308 * ZZ\n1e308 * ZZ\n",
    "lone.txt": "1e160 * ZZ + 1e160 * XX\n",
    "table.txt": "ZZ 1e61\nXX 1\n",
    "terms.json": '{"ZZ": -1e160}',
    "terms.yaml": "ZZ: 1e160\n",
    "python.txt": "SparsePauliOp(['ZZ', 'XX'], coeffs=[1e160+0.j, 1.+0.j])",
    "graph.txt": "0 1 1e160\n1 2 1\n",
    "fcidump": "&FCI NORB=1,NELEC=2,MS2=0,\n&END\n1e160 1 1 1 1\n-1.0 1 1 0 0\n",
}
"""Name → content with a number whose square, or sum with itself, is none."""

DECLARED = {
    "hamiltonian.coupling": ("hamiltonian=tfim", "hamiltonian.coupling=1e308"),
    "hamiltonian.field_disorder": ("hamiltonian=xxz", "hamiltonian.field_disorder=1e308"),
    "hamiltonian.longitudinal": ("hamiltonian=tfim", "hamiltonian.longitudinal=-1e61"),
    "hamiltonian.interaction": ("hamiltonian=hubbard", "hamiltonian.interaction=1e200"),
    "hamiltonian.hybridization": ("hamiltonian=siam", "hamiltonian.hybridization=1e200"),
    "hamiltonian.terms[0][1]": ("hamiltonian=pauli", "hamiltonian.terms=[[ZZ,1e160]]"),
    "hamiltonian.edges[0]": (
        "hamiltonian=maxcut", "hamiltonian.graph=edges", "hamiltonian.edges=[[0,1,1e160]]",
    ),
    "hamiltonian.entries[0]": ("hamiltonian=qubo", "hamiltonian.entries=[[0,0,1e160]]"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_a_number_that_overflows_is_refused(name: str, tmp_path: Path) -> None:
    """Where it is read, by `inspect` and by a run alike."""
    path = tmp_path / name
    path.write_text(FILES[name])

    with pytest.raises(ConfigError, match=r"more than 1e\+60 in size; give it in another unit of energy"):
        inspect_file(path)


@pytest.mark.parametrize("key", DECLARED)
def test_a_declared_number_that_overflows_is_refused(key: str) -> None:
    """By the name of the setting, before anything is built."""
    with pytest.raises(ConfigError, match=r"must be at most 1e\+60 in size") as refused:
        compose(*DECLARED[key])

    assert refused.value.key == key


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "ZZ nan\n",
            "as an operator: .*'nan' is no number.*; if it is a graph, run it with hamiltonian=maxcut",
        ),
        ("X0 Z1000000000 1.0\n", "as an operator: .*names qubit 1000000000, and there are at most 1000"),
        ("0 1\n1 999999999\n", "as a graph: .*has 1000000000 nodes; give at most 1000; if it is a QUBO"),
    ],
)
def test_what_looks_like_something_else_is_not_guessed_at(content: str, told: str, workdir: Path) -> None:
    """Pauli words are no nodes, and edges between nodes that are too many no matrix of two rows."""
    Path("file.txt").write_text(content)

    with pytest.raises(ConfigError, match=told):
        inspect_file(Path("file.txt"))


def test_nodes_may_be_called_like_paulis(tmp_path: Path) -> None:
    """A triangle of X, Y and Z is a graph."""
    (tmp_path / "file.txt").write_text("X Y\nY Z\nZ X\n")

    assert [one.kind for one in inspect_file(tmp_path / "file.txt")] == ["graph"]


def test_matrices_are_measured_too(tmp_path: Path) -> None:
    """A NumPy file has no line to name."""
    np.save(tmp_path / "m.npy", np.diag([1e160, 1.0]))

    with pytest.raises(ConfigError, match="more than 1e"):
        inspect_file(tmp_path / "m.npy")


@pytest.mark.parametrize(
    "overrides",
    [
        ("hamiltonian=tfim", "hamiltonian.coupling=1e-200", "hamiltonian.field=0"),
        ("hamiltonian=pauli", "hamiltonian.terms=[[II,1.0],[ZZ,1e-200]]"),
        ("hamiltonian=maxcut", "hamiltonian.graph=edges", "hamiltonian.edges=[[0,1,1e-200]]"),
    ],
)
def test_numbers_whose_squares_vanish_are_refused(overrides: tuple[str, ...]) -> None:
    """Of all that is measured not one coefficient has a square that is more than 0."""
    with pytest.raises(ConfigError, match=r"has no coefficient above .*e-20\d.* must reach 1e-60"):
        compose(*overrides).hamiltonian.build()


@pytest.mark.parametrize("unit", [1e-59, 1e-23, 1.0, 1e23, 1e59])
def test_another_unit_is_another_factor(unit: float) -> None:
    """In Joule as in anything else: the coefficients are those of pencil and paper, −J ZZ and −h X, none is dropped."""
    chain = ("hamiltonian=tfim", "hamiltonian.shape=[3]")
    built = compose(
        *chain, f"hamiltonian.coupling={unit}", f"hamiltonian.field={unit / 2}"
    ).hamiltonian.build()

    expected = {**dict.fromkeys(("IZZ", "ZZI"), -1.0), **dict.fromkeys(("IIX", "IXI", "XII"), -0.5)}
    assert {label: value.real / unit for label, value in built.to_list()} == pytest.approx(expected)


def test_small_terms_beside_large_ones_are_kept() -> None:
    """A tenth of a billionth of the coupling is a field, not rounding."""
    chain = ("hamiltonian=tfim", "hamiltonian.shape=[2]", "hamiltonian.field=1e-10")

    assert dict(compose(*chain).hamiltonian.build().to_list())["IX"].real == -1e-10


def test_the_engine_refuses_what_a_hamiltonian_may_not_hold() -> None:
    """Observables of programs and plug-ins come by another way."""
    assert OF_ENGINE == LARGEST


WORDS = {"ZZ": 2.0, "XI": 0.9, "IX": 0.9, "YY": 1e-9}
"""A Hamiltonian with a term that is small beside the others."""
SCALES = (1e-18, 1e-9, 1.0, 1e9)


def _circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    for qubit, angle in enumerate((0.4, 1.1)):
        circuit.ry(angle, qubit)
    circuit.cx(0, 1)
    circuit.ry(0.7, 0)
    return circuit


def _operator(scale: float) -> SparsePauliOp:
    return SparsePauliOp(list(WORDS), [scale * number for number in WORDS.values()])


def _dense(scale: float) -> float:
    """⟨ψ|H|ψ⟩ by NumPy, with matrices of 2 × 2 multiplied out here."""
    letters = {
        "I": np.eye(2),
        "X": np.fliplr(np.eye(2)),
        "Z": np.diag([1, -1]),
        "Y": np.array([[0, -1j], [1j, 0]]),
    }
    matrix = sum(
        scale * number * np.kron(letters[word[0]], letters[word[1]]) for word, number in WORDS.items()
    )
    state = Statevector(_circuit()).data
    return float(np.real(state.conj() @ matrix @ state))


@pytest.mark.parametrize("scale", SCALES)
def test_an_energy_is_right_in_any_unit(scale: float) -> None:
    """Without shot noise to 1e-12 of the dense energy, with shots within five standard errors of it."""
    for method in ("kernel", "aer"):
        plan = Engine(engine=method).estimator_plan(_circuit(), _operator(scale))
        exact, shots = (plan.run(np.zeros(0), shots=count, seed=3) for count in (None, 4096))

        assert float(exact.evs) == pytest.approx(_dense(scale), rel=1e-12, abs=0)
        assert abs(float(shots.evs) - _dense(scale)) < 5 * float(shots.stds)
        assert float(shots.stds) < 0.1 * abs(_dense(scale))


@pytest.mark.parametrize("power", [-60, -30, 30])
def test_energies_scale_to_the_bit(power: int) -> None:
    """E(cH) = c E(H) for powers of two: nothing on the way rounds or leaves out by an absolute size."""
    one, other = (
        Engine().estimator_plan(_circuit(), _operator(scale)).run(np.zeros(0), shots=None, seed=1).evs
        for scale in (1.0, 2.0**power)
    )

    assert float(other) == 2.0**power * float(one)


@pytest.mark.parametrize(
    "kind",
    [
        lambda scale: _operator(scale),
        lambda scale: {word: scale * number for word, number in WORDS.items()},
        lambda scale: {Pauli(word): scale * number for word, number in WORDS.items()},
        lambda scale: SparseObservable(_operator(scale)),
        lambda scale: [[_operator(scale)]],
    ],
)
def test_an_estimator_keeps_small_terms(kind: Any) -> None:
    """Of every kind of observables that a PUB of one's own may have; the job's inputs have them too."""
    estimator = EstimatorV2(LocalRuntimeService().backend("ideal"))
    job = estimator.run([(_circuit(), kind(1e-9))], precision=0)
    (found,) = job.result()

    assert np.ravel(found.data.evs)[0] == pytest.approx(_dense(1e-9), rel=1e-12, abs=0)
    (asked,) = job.inputs["pubs"]
    assert next(iter(asked.observables.ravel().tolist())) == pytest.approx(
        {word: 1e-9 * number for word, number in WORDS.items()}, rel=1e-15, abs=0
    )


def test_noise_takes_from_small_energies_what_it_takes_from_large_ones() -> None:
    """The energy of a device's density matrix is as many of any unit, and not the noiseless one."""
    backend = LocalRuntimeService().backend("fake_manila")
    circuit = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1).run(_circuit())
    found = [
        float(
            EstimatorV2(backend)
            .run([(circuit, _operator(scale).apply_layout(circuit.layout))], precision=0)
            .result()[0]
            .data.evs
        )
        for scale in SCALES
    ]

    assert [one / scale for one, scale in zip(found, SCALES, strict=True)] == pytest.approx(
        [found[2]] * 4, rel=1e-12
    )
    assert abs(found[2]) < abs(_dense(1.0))


def test_what_cancels_is_no_term() -> None:
    """0.3 − 0.1 − 0.2 leaves 5·10⁻¹⁷ of Z; a constant, however large, takes nothing with it."""
    assert pauli_terms(SparsePauliOp(["Z", "Z", "X"], [0.3, -0.1 - 0.2, 1])).labels == ("X",)
    assert pauli_terms(SparsePauliOp(["II", "ZZ"], [1e12, 1e-3])).labels == ("II", "ZZ")
    assert len(collected(SparsePauliOp(["II", "ZZ"], [1e12, 1e-3]))) == 2
    with pytest.raises(ConfigError, match="all zero or cancel; give one"):
        pauli_terms(SparsePauliOp(["Z", "Z"], [0.3, -0.1 - 0.2]))


def test_a_graph_of_tiny_weights_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `inspect` accepts has an energy; the lowest of ZZ, XI, IX by NumPy is −2.690725 of the unit."""
    path = tmp_path / "t.csv"
    path.write_text("pauli,coefficient\nZZ,2e-9\nXI,9e-10\nIX,9e-10\n")
    code = main(
        [
            "hamiltonian=file", f"hamiltonian.path={path}", "estimator=exact", "optimizer.sweeps=3",
            "tracking=off", "run.figures=false", f"hydra.run.dir={tmp_path / 'run'}",
        ]
    )  # fmt: skip
    said = capsys.readouterr().out

    assert code == 0, said
    assert "-2.69072e-09" in said
    assert "-0.000000" not in said


@pytest.mark.parametrize("optimizer", ["spsa", "nft", "cobyla"])
def test_optimizers_move_in_any_unit(optimizer: str, tmp_path: Path) -> None:
    """H₂-like energies in joules: E0 of 2 ZZ + 0.9 (XI + IX) by NumPy is −2.690725."""
    path = tmp_path / "t.csv"
    path.write_text("pauli,coefficient\nZZ,2e-18\nXI,9e-19\nIX,9e-19\n")
    folder = tmp_path / "run"
    code = main(
        [
            "hamiltonian=file", f"hamiltonian.path={path}", "estimator=exact", f"optimizer={optimizer}",
            "tracking=off", "run.figures=false", f"hydra.run.dir={folder}",
        ]
    )  # fmt: skip

    assert code == 0
    assert json.loads((folder / "result.json").read_text())["energy"] == pytest.approx(
        -2.690725e-18, rel=0.02, abs=0
    )

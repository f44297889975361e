"""Hamiltonians whose sums or squares overflow, or vanish, are refused in one line; other units work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runner.declare.composer import compose
from runner.engine.observables import LARGEST as OF_ENGINE
from runner.errors import ConfigError
from runner.hamiltonian.scale import LARGEST
from runner.review.inspection import inspect_file

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

"""Graph problems: the ground state is the best answer, and broken graphs are refused."""

import itertools
import json

import numpy as np
import pytest

from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.graph import MaxCut, Qubo, SherringtonKirkpatrick, random_regular
from tests.choices import choice


def energies(operator):
    """Diagonal of a diagonal operator: the energy of every bit string."""
    return operator.to_matrix().diagonal().real


def cut(edges, bits):
    """Weight of the edges whose ends differ."""
    return sum(weight for u, v, weight in edges if bits[u] != bits[v])


@pytest.mark.parametrize("weights", ["given", "uniform", "normal"])
def test_maxcut_energy_is_minus_the_cut(weights):
    """For every bit string of the default graph."""
    declared = choice("hamiltonian", "maxcut", weights=weights)
    values = energies(declared.build())

    edges = declared.network().pairs
    for index, bits in enumerate(itertools.product((0, 1), repeat=8)):
        assert values[index] == pytest.approx(-cut(edges, bits[::-1]))


@pytest.mark.parametrize(
    ("graph", "nodes", "best"),
    [
        ("cycle", 6, 6),
        ("cycle", 5, 4),
        ("path", 5, 4),
        ("complete", 6, 9),
        ("star", 7, 6),
        ("petersen", None, 12),
        ("cube", None, 12),
    ],
)
def test_named_graphs_have_their_known_cuts(graph, nodes, best):
    """Bipartite graphs are cut everywhere; odd rings lose an edge; Petersen's maximum is 12."""
    assert energies(MaxCut(name="m", graph=graph, nodes=nodes).build()).min() == pytest.approx(-best)


@pytest.mark.parametrize(("nodes", "degree"), [(8, 3), (20, 6), (10, 9), (6, 1)])
def test_random_regular_graphs_are_regular(nodes, degree):
    """Every node has the same number of different neighbours, and the seed decides which."""
    edges = random_regular(nodes, degree, 5)

    assert len(set(edges)) == nodes * degree // 2
    assert np.bincount(np.array(edges).ravel()).tolist() == [degree] * nodes
    assert all(u < v for u, v in edges)
    assert random_regular(nodes, degree, 5) == edges


def test_qubo_energy_is_the_quadratic_form():
    """Σ Q xx + constant for every bit string, linear terms on the diagonal."""
    entries = [[0, 0, -1.0], [1, 1, 2.0], [0, 1, 1.5], [2, 1, -0.5]]
    values = energies(Qubo(name="q", entries=entries, constant=0.25).build())

    for index, bits in enumerate(itertools.product((0, 1), repeat=3)):
        x = bits[::-1]
        assert values[index] == pytest.approx(0.25 + sum(q * x[i] * x[j] for i, j, q in entries))


def test_spin_glass_couplings():
    """All pairs are coupled, with variance 1/n, or with ±1/√n."""
    operator = SherringtonKirkpatrick(name="s", spins=30).build()
    signs = SherringtonKirkpatrick(name="s", spins=9, couplings="signs").build()

    assert len(operator) == 30 * 29 / 2
    assert operator.coeffs.real.std() == pytest.approx(1 / np.sqrt(30), rel=0.1)
    assert np.abs(signs.coeffs.real) == pytest.approx(1 / 3)


def test_edges_from_files(tmp_path):
    """JSON, blanks, and commas with a header and a comment give the same graph."""
    (tmp_path / "a.json").write_text(json.dumps([[0, 1, 1], [1, 2, 0.5]]))
    (tmp_path / "b.txt").write_text("0 1 1\n1 2 0.5  # weak\n\n")
    (tmp_path / "c.csv").write_text("from,to,weight\n0,1,1\n1,2,0.5\n")
    names = ("a.json", "b.txt", "c.csv")
    built = [MaxCut(name="m", graph="file", path=str(tmp_path / name), nodes=None).build() for name in names]

    assert built[0] == built[1] == built[2]
    assert built[0].num_qubits == 3


def test_disconnected_graphs_are_refused_unless_allowed():
    """The parts are listed; allow_disconnected turns the refusal into a warning."""
    edges = [[0, 1], [2, 3]]
    with pytest.raises(ConfigError, match=r"falls into 2 parts: \[0, 1\], \[2, 3\]"):
        MaxCut(name="m", graph="edges", edges=edges, nodes=None).build()
    with pytest.warns(ConfigWarning, match="falls into 2 parts"):
        MaxCut(name="m", graph="edges", edges=edges, nodes=None, allow_disconnected=True).build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": "edges"}, "hamiltonian.edges: has 0 edges with graph=edges"),
        ({"graph": "edges", "edges": [[0, 0]]}, r"hamiltonian.edges\[0\]: joins node 0 to itself"),
        ({"graph": "edges", "edges": [[0, 1], [1, 0]]}, r"hamiltonian.edges\[1\]: the edge 0–1 stands twice"),
        (
            {"graph": "edges", "edges": [[0, 8]], "nodes": 8},
            r"hamiltonian.edges\[0\]: must be at most 7, got 8",
        ),
        ({"graph": "edges", "edges": [[0, 1, float("nan")]]}, r"hamiltonian.edges\[0\]: must be finite"),
        ({"graph": "edges", "edges": [[0]]}, r"hamiltonian.edges\[0\]: must be \[u, v\] or \[u, v, weight\]"),
        ({"graph": "edges", "edges": [["a", 1]]}, r"hamiltonian.edges\[0\]: must be an integer, got 'a'"),
        ({"edges": [[0, 1]]}, "has 1 edges with graph=random_regular"),
        ({"graph": "cyle"}, "hamiltonian.graph: .*did you mean 'cycle'"),
        ({"graph": "petersen", "nodes": 8}, "hamiltonian.nodes: petersen has 10 nodes, got 8"),
        ({"nodes": 7}, "hamiltonian.degree: 7 nodes of degree 3 do not pair up"),
        ({"degree": 8}, "hamiltonian.degree: must be at most 7"),
        ({"layout": "matrix"}, "hamiltonian.layout: matrix without a file"),
        ({"graph": "file", "path": "a", "count_from": 2}, "hamiltonian.count_from: must be at most 1"),
        ({"graph": "file"}, "hamiltonian.path: '' with graph=file"),
    ],
)
def test_bad_graphs_are_refused(changes, message):
    """Each mistake is told in one line that names the edge or key."""
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "maxcut", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entries": [[0, 0, 1]], "path": "a"}, "hamiltonian.entries: give either entries or a path"),
        ({"entries": [[0, 1]]}, r"hamiltonian.entries\[0\]: must be \[u, v, weight\]"),
        ({"entries": [[0, 1, "x"]]}, r"hamiltonian.entries\[0\]: must be a real number"),
        ({"variables": 0}, "hamiltonian.variables: must be at least 1"),
    ],
)
def test_bad_qubos_are_refused(changes, message):
    """Each mistake is told in one line that names the entry or key."""
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "qubo", **changes)


def test_missing_edge_file_is_refused():
    """The file is named."""
    with pytest.raises(ConfigError, match=r"hamiltonian.path: nowhere.txt cannot be read"):
        MaxCut(name="m", graph="file", path="nowhere.txt", nodes=None).build()

"""Graphs and QUBO tables as other programs write them: recognized, counted right, or refused with the line."""

import contextlib
import itertools
import json
import random

import numpy as np
import pytest

from runner.errors import ConfigError
from runner.hamiltonian.graph import MaxCut, Qubo
from runner.hamiltonian.graph_file import read_graph, read_qubo
from tests.damage import refused_and_right

EDGES = [(0, 1, 1.0), (0, 2, 2.5), (1, 2, -1.0), (2, 3, 4.0), (3, 4, 0.5)]
"""A triangle with a tail: what every layout below says, written by hand from the layout's own description."""


def lines(rows, separator=" ", first=0, prefix=""):
    """Rows of `u v weight`."""
    return "".join(
        f"{prefix}{separator.join([str(u + first), str(v + first), f'{w:g}'])}\n" for u, v, w in rows
    )


def square(edges=EDGES, size=5):
    """The symmetric adjacency matrix."""
    matrix = np.zeros((size, size))
    for u, v, weight in edges:
        matrix[u, v] = matrix[v, u] = weight
    return matrix


def linked(name):
    """The edges as objects with source and target."""
    records = [{"source": u, "target": v, "weight": w} for u, v, w in EDGES]
    nodes = [{"id": node} for node in range(5)]
    return json.dumps({"directed": False, "multigraph": False, "graph": {}, "nodes": nodes, name: records})


def neighbours():
    """For each node, its neighbours with their weights."""
    return [{j: square()[k, j] for j in range(5) if square()[k, j]} for k in range(5)]


BACK = [(v, u, w) for u, v, w in EDGES]
LAYOUTS = {
    "edge list": lines(EDGES),
    "edge list counted from 1": lines(EDGES, first=1),
    "commas": lines(EDGES, ","),
    "semicolons": lines(EDGES, "; "),
    "tabs and comments": "# made by hand\n" + lines(EDGES, "\t") + "% the end\n",
    "header": "target,weight,source\n" + "".join(f"{v},{w},{u}\n" for u, v, w in EDGES),
    "both directions": lines(EDGES) + lines(BACK),
    "networkx": "".join(f"{u} {v} {{'weight': {w}, 'colour': 'red'}}\n" for u, v, w in EDGES),
    "rudy": "5 5\n" + lines(EDGES, first=1),
    "edges in brackets": "".join(f"({u}, {v}, {w})\n" for u, v, w in EDGES),
    "pandas with its index": ",source,target,weight\n"
    + "".join(f"{place},{u},{v},{w}\n" for place, (u, v, w) in enumerate(EDGES)),
    "networkx of NumPy 2": "".join(f"{u} {v} {{'weight': np.float64({w})}}\n" for u, v, w in EDGES),
    "networkx capacity": "".join(f"{u} {v} {{'capacity': {w}}}\n" for u, v, w in EDGES),
    "dimacs": "c a graph\np edge 5 5\n" + lines(EDGES, first=1, prefix="e "),
    "dimacs behind empty lines": " \n\n" * 30 + "c\nC\tof whom\n\n\tP edge 5 5\n" + lines(EDGES, first=1, prefix="e "),
    "dimacs arcs": "p sp 5 10\n" + lines(EDGES, first=1, prefix="a ") + lines(BACK, first=1, prefix="a "),
    "matrix market": "%%MatrixMarket matrix coordinate real symmetric\n5 5 5\n" + lines(BACK, first=1),
    "matrix market array": "%%MatrixMarket matrix array real general\n5 5\n"
    + "".join(f"{value:g}\n" for value in square().T.ravel()),
    "matrix": "\n".join(" ".join(f"{value:g}" for value in row) for row in square()),
    "matrix with names": ",a,b,c,d,e\n"
    + "\n".join("abcde"[k] + "," + ",".join(map(str, row)) for k, row in enumerate(square())),
    "upper triangle": json.dumps(np.triu(square()).tolist()),
    "JSON matrix": json.dumps(square().tolist()),
    "JSON wrapped": json.dumps({"name": "tail", "adjacency_matrix": square().tolist()}),
    "JSON edges": json.dumps(EDGES),
    "JSON object": json.dumps({"nodes": 5, "edges": EDGES}),
    "JSON nodes first": json.dumps({"nodes": [0, 1, 2, 3, 4], "edges": EDGES}),
    "JSON weights apart": json.dumps({"edges": [e[:2] for e in EDGES], "weights": [e[2] for e in EDGES]}),
    "node-link": linked("links"),
    "node-link edges": linked("edges"),
    "adjacency data": json.dumps({
        "directed": False, "multigraph": False, "graph": [], "nodes": [{"id": k} for k in range(5)],
        "adjacency": [[{"id": j, "weight": w} for j, w in some.items()] for some in neighbours()],
    }),
    "neighbours": json.dumps({k: {j: {"weight": w} for j, w in some.items()} for k, some in enumerate(neighbours())}),
    "Python dictionary": repr({(u, v): w for u, v, w in EDGES}),
    "names": "".join(f"{'abcde'[u]} {'abcde'[v]} {w}\n" for u, v, w in EDGES),
    "numbers far from zero": lines(EDGES, first=101),
    "Fortran and U+2212": lines(EDGES).replace("-1", "\u22121.0D+00"),
    "BOM and CRLF": "\ufeff" + lines(EDGES).replace("\n", "\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_says_the_same_graph(name, tmp_path):
    """The edges, their weights and the number of nodes are those the layout was written from."""
    path = tmp_path / "graph.dat"
    path.write_text(LAYOUTS[name], encoding="utf-8")
    network = read_graph(path, "hamiltonian.path")

    assert sorted(network.pairs) == EDGES
    assert len(network.names) == 5


def test_metis_lists_neighbours(tmp_path):
    """A ring of five: sizes, then two neighbours a line, which might be five edges below their count as well."""
    path = tmp_path / "ring.graph"
    path.write_text("5 5\n2 5\n1 3\n2 4\n3 5\n4 1\n")
    with pytest.raises(ConfigError, match="can be read as rudy or metis"):
        read_graph(path, "hamiltonian.path")

    ring = read_graph(path, "k", layout="metis")
    assert {(u, v) for u, v, _ in ring.pairs} == {(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)}


def test_marks_inside_a_word_are_no_comments(tmp_path):
    """F# is a key of music, and an address has two slashes."""
    path = tmp_path / "g.txt"
    path.write_text("A F#\nB F  # a comment\nA B\nF# http://b/c%20d\n")

    assert read_graph(path, "k").names == ("A", "F#", "B", "F", "http://b/c%20d")


@pytest.mark.parametrize("line", ["\n", " \n", "c\n", "c \n", "\t\r\n"])
def test_many_lines_without_content_are_no_graph_at_once(line, tmp_path):
    """Each of them can be the end of what came before: every further one doubled the time (found by the fuzzer)."""
    (tmp_path / "g.txt").write_text(line * 2000)

    with pytest.raises(ConfigError, match=r"g\.txt"):
        read_graph(tmp_path / "g.txt", "hamiltonian.graph")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_graph, "[]"),
        (read_graph, '{"nodes": 1, "links": []}'),
        (read_graph, "p edge 3 0\n"),
        (read_qubo, '{"linear": {}, "quadratic": {}}'),
    ],
)
def test_files_without_an_edge_are_refused(read, text, tmp_path):
    """Well-formed in their layout, and nothing in them (found by the fuzzer)."""
    (tmp_path / "g.json").write_text(text)

    with pytest.raises(ConfigError, match=r"g\.json has no edges or entries; give at least one"):
        read(tmp_path / "g.json", "hamiltonian.graph")


def test_damaged_numpy_headers_are_refused(tmp_path):
    """Every byte of the header replaced by a bracket or a quote."""
    np.save(tmp_path / "a.npy", square())
    content = (tmp_path / "a.npy").read_bytes()
    for place in range(10, 128):
        for letter in b'("':
            path = tmp_path / "b.npy"
            path.write_bytes(content[:place] + bytes([letter]) + content[place + 1 :])
            with contextlib.suppress(ConfigError):
                assert sorted(read_graph(path, "k").pairs) == EDGES


def test_numpy_matrices(tmp_path):
    """An NPY file of numbers is a matrix; one with pickled objects in it is refused."""
    np.save(tmp_path / "a.npy", square())
    np.save(tmp_path / "b.npy", np.array([[0, "x"], ["x", 0]], dtype=object))

    assert sorted(read_graph(tmp_path / "a.npy", "k").pairs) == EDGES
    with pytest.raises(ConfigError, match="is no NPY array of numbers"):
        read_graph(tmp_path / "b.npy", "k")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("0 1 1\n12 3\n", "line 2: some edges have a weight and some have none"),
        ("0 1\n1 2 3 4\n", "line 2: '1 2 3 4' is no edge"),
        ("0 1 x\n", "line 1: 'x' is no number"),
        ("0 1 1\n1 1 1\n", "line 2 joins node 1 to itself"),
        ("0 1\n0 1\n", "line 2: the edge 0–1 stands twice"),
        ("0 1\n1 0\n1 2\n", "the edge 1–2 stands in one direction where others stand in both"),
        ("0 1 1\n1 0 2\n", "weighs 1 one way and 2 the other"),
        ("-1 0\n", "has the node -1"),
        ("0 999999999\n", "has 1000000000 nodes; give at most 1000"),
        ("x y\n0 1\n1 2\n", "line 1: 'x' and 'y' stand in no other line"),
        ("from,to,colour\n0,1,2\n", "line 1: .*'colour' is no number"),
        ("p edge 3 3\ne 1 2\ne 2 3\n", "its p line says 3 edges, and 2 follow"),
        ("p edge 2 2\ne 1 2\ne 2 3\n", "there is no node 3 among 2"),
        ("3 3\n1 2 1\n2 3 1\n", "line 1 says 3 edges, and 2 follow|stands|falls"),
        ("0 1 0\n1 0 1\n0 2 0\n", "line 2|row|weighs|one way"),
        ('{"edges": [[0, 1]], "bonds": [[1, 2]]}', "has 'bonds' beside its edges"),
        ('{"edges": [[0, 1]], "edges": [[1, 2]]}', "has the key 'edges' twice"),
        ('{"directed": true, "nodes": [0, 1], "links": [{"source": 0, "target": 1}]}', "is a directed graph"),
        ('{"nodes": [0, 1], "edges": [[0, 2]]}', "there is no node 2 among 2"),
        ('[[0, 1], [1]]', r"edge 1: must be \[u, v\]"),
        ('[[0, 1', "is not JSON"),
        ("# vartype=SPIN\n0 1 1\n", "is a quadratic model of spins"),
        ("a: b\na: c\nb: c\n", "'a:' is no node"),
        ("(a b\nb c)\n(a c)\n", "is no node"),
        ("city_a,city_b\nann,bob\nbob,cat\n", "line 1: 'city_a' and 'city_b' stand in no other line"),
        ("7 4\n1 2\n2 3\n3 4\n4 5\n5 1\n", "line 1: '7 4' may be sizes that do not fit the 5 lines below"),
        ("6 5 0\n1 2 1\n2 3 1\n3 4 1\n4 5 1\n5 6 1\n", "line 1: '6 5 0' may be sizes"),
        ("0 1 {'capacity': 4}\n1 2 {'capacity': 5}\n2 0 {'colour': 1.5}\n", "line 3: the edge has .colour."),
        ('[{"source": 0, "target": 1, "distance": 4}]', "edge 0: the edge has 'distance' and no weight"),
        ("{(0, 1): 2, (0, 1): 3}", r"has the key \(0, 1\) twice"),
        ('{"Edges": [[0, 1]], "edges": [[1, 2]]}', "has the key 'edges' twice"),
        ("p edge 4 4\ne 1 2\ne 2 3\n", "its p line says 4 edges, and 2 follow"),
        ("p edge 3 2\ne 0 1\ne 1 2\n", "has the node 0, and is counted from 1"),
        ("0 1\n1 " + "9" * 5000 + "\n", "line 2: .9999.* is no node; write a whole number"),
        ("{[0, 1]: 2.0}", "is not JSON"),
        ('{"nodes": 1' + "0" * 4000 + ', "edges": [[0, 1]]}', "give at most 1000|is not JSON"),
        ("%%MatrixMarket matrix coordinate real symmetric\n2 2\n", "line 2: '2 2' are no sizes"),
        ("%%MatrixMarket matrix coordinate complex hermitian\n2 2 0\n", "line 1: .* is no header of a real"),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_with_its_place(text, message, tmp_path):
    """One line that names the file and the row."""
    path = tmp_path / "graph.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_graph(path, "hamiltonian.path")

    assert "\n" not in str(caught.value)


def test_two_readings_that_differ_are_refused(tmp_path):
    """Sizes above unweighted edges may be an edge: the reader asks, and takes the layout that is named."""
    path = tmp_path / "graph.txt"
    path.write_text("5 4\n1 2\n1 3\n1 4\n1 5\n")
    with pytest.raises(ConfigError, match=r"can be read as rudy or edge_list.*hamiltonian\.layout=rudy"):
        read_graph(path, "hamiltonian.path")

    assert len(read_graph(path, "k", layout="rudy").pairs) == 4
    assert len(read_graph(path, "k", layout="edge_list").pairs) == 5


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        ("1 2\n2 3\n", {}, ("1", "2", "3")),
        ("1 2\n2 3\n", {"first": 0}, ("0", "1", "2", "3")),
        ("1 2\n2 3\n", {"nodes": 4}, ("0", "1", "2", "3")),
        ("1 2\n2 3\n", {"nodes": 3}, ("1", "2", "3")),
        ("7 9\n9 20\n", {}, ("7", "9", "20")),
        ("b a\na c\n", {}, ("b", "a", "c")),
    ],
)
def test_how_nodes_are_counted(text, options, names, tmp_path):
    """From 0 or 1 by what is written or declared; other numbers and words are names."""
    path = tmp_path / "graph.txt"
    path.write_text(text)

    assert read_graph(path, "k", **options).names == names


def test_following_the_hint_never_gives_another_cut(tmp_path):
    """A Gset file cuts 5 of its 7 edges at most (brute force), also with disconnected graphs allowed."""
    path = tmp_path / "g.txt"
    path.write_text("6 7\n1 2 1\n1 3 1\n2 3 1\n3 4 1\n4 5 1\n5 6 1\n4 6 1\n")
    declared = MaxCut(name="m", graph="file", path=str(path), allow_disconnected=True)
    operator = declared.build()

    assert operator.num_qubits == 6
    assert operator.to_matrix().diagonal().real.min() == pytest.approx(-5)
    assert operator.physics.source == (
        "Gset (rudy): 6 nodes, 7 edges, 1–2 (1) … 4–6 (1), sum 7; counted from 1: qubit 0 is node 1"
    )


def form(linear, quadratic, offset, values):
    """The energy of a quadratic model at one assignment."""
    total = offset + sum(h * values[i] for i, h in linear.items())
    return total + sum(q * values[i] * values[j] for (i, j), q in quadratic.items())


LINEAR, QUADRATIC, OFFSET = {0: -1.0, 1: 0.5, 2: -2.0}, {(0, 1): 2.0, (1, 2): -0.25}, 0.75
QUBOS = {
    "rows": "0 0 -1\n1 1 0.5\n2 2 -2\n0 1 2\n1 2 -0.25\n",
    "p qubo": "c made by hand\np qubo 0 3 3 2\n0 0 -1\n1 1 0.5\n2 2 -2\n0 1 2\n1 2 -0.25\n",
    "JSON rows": "[[0, 0, -1], [1, 1, 0.5], [2, 2, -2], [0, 1, 1.5], [1, 0, 0.5], [1, 2, -0.25]]",
    "matrix": "[[-1, 2, 0], [0, 0.5, -0.25], [0, 0, -2]]",
    "symmetric matrix": "-1 1 0\n1 0.5 -0.125\n0 -0.125 -2\n",
    "Python dictionary": repr({(0, 0): -1, (1, 1): 0.5, (2, 2): -2, (0, 1): 2, (1, 2): -0.25}),
    "model": json.dumps({"linear": {"0": -1, "1": 0.5, "2": -2}, "quadratic": {"0,1": 2, "(1, 2)": -0.25}}),
    "nested": json.dumps({"linear": [-1, 0.5, -2], "quadratic": {"0": {"1": 2}, "1": {"2": -0.25}}, "offset": 0}),
    "dimod": json.dumps({
        "type": "BinaryQuadraticModel", "version": {"bqm_schema": "3.0.0"}, "use_bytes": False,
        "num_variables": 3, "num_interactions": 2, "variable_labels": [0, 1, 2], "variable_type": "BINARY",
        "offset": 0.0, "info": {}, "linear_biases": [-1.0, 0.5, -2.0], "quadratic_biases": [2.0, -0.25],
        "quadratic_head": [0, 1], "quadratic_tail": [1, 2],
    }),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1,2\n1,2,0\n0,1,2\n0,0,1\n", "can be read as edge_list or matrix"),
        ('{"0-1": 2, "0": 1}', "key '0-1' is no pair"),
        (QUBOS["dimod"].replace("[0, 1]", "[-1, 1]"), "of a variable that it does not have"),
        (QUBOS["dimod"].replace('"num_interactions": 2', '"num_interactions": 3'), "lists of another length"),
        (QUBOS["dimod"].replace("[0, 1, 2]", '["a", "b", "a"]'), "one label"),
        (QUBOS["dimod"].replace("[-1.0, 0.5, -2.0]", "null"), "biases that are no lists"),
        (QUBOS["dimod"].replace("[2.0, -0.25]", "5"), "biases that are no lists"),
        ("# Vartype: SPINS\n0 1 1\n", "has vartype SPINS; write SPIN or BINARY"),
    ],
)
def test_what_is_no_qubo_is_refused(text, message, tmp_path):
    """One line."""
    path = tmp_path / "q.dat"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_qubo(path, "hamiltonian.path")


def test_products_and_spins_are_recognized(tmp_path):
    """x0*x1 is a coupling; the vartype counts in any case and with a colon."""
    path = tmp_path / "q.dat"
    path.write_text('{"x0*x1": 2, "x0": 1}')
    assert set(read_qubo(path, "k").pairs) == {(0, 1, 2.0), (0, 0, 1.0)}
    path.write_text("#vartype: SPIN\n0 1 1\n")
    assert set(read_qubo(path, "k").pairs) == {(0, 1, 4.0), (0, 0, -2.0), (1, 1, -2.0)}


@pytest.mark.parametrize("name", QUBOS)
def test_every_qubo_layout_has_the_energies_of_its_form(name, tmp_path):
    """All eight bit strings, against the form written out; the declared constant is added."""
    path = tmp_path / "q.dat"
    path.write_text(QUBOS[name])
    energies = Qubo(name="q", path=str(path), constant=OFFSET).build().to_matrix().diagonal().real

    for index, bits in enumerate(itertools.product((0, 1), repeat=3)):
        assert energies[index] == pytest.approx(form(LINEAR, QUADRATIC, OFFSET, bits[::-1]))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"linear": {"0": -1, "1": 0.5, "2": -2}, "quadratic": {"0,1": 2, "1,2": -0.25}, "vartype": "SPIN"}),
        "# vartype=SPIN\n" + QUBOS["rows"],
        QUBOS["dimod"].replace("BINARY", "SPIN"),
    ],
)  # fmt: skip
def test_spins_become_bits(text, tmp_path):
    """A model of spins ±1 keeps its energies: bit 1 is spin +1, as dimod has it."""
    path = tmp_path / "q.dat"
    path.write_text(text)
    network = read_qubo(path, "k")

    for bits in itertools.product((0, 1), repeat=3):
        spins = [2 * bit - 1 for bit in bits]
        read = network.constant + sum(q * bits[i] * bits[j] for i, j, q in network.pairs)
        assert read == pytest.approx(form(LINEAR, QUADRATIC, 0, spins))


def test_a_matrix_that_may_be_a_table_is_refused(tmp_path):
    """Three rows of three numbers can be entries i j value as well."""
    path = tmp_path / "q.json"
    path.write_text("[[0, 1, 2], [1, 0, 3], [2, 2, 1]]")
    with pytest.raises(ConfigError, match="can be read as edges or matrix, which differ"):
        read_qubo(path, "hamiltonian.path")

    assert len(read_qubo(path, "k", layout="matrix").names) == 3


def damaged(number):
    """One mutation of one layout's structure."""
    rng = random.Random(number)
    text = LAYOUTS[rng.choice([name for name in LAYOUTS if name not in ("names", "numbers far from zero")])]
    structure = [index for index, letter in enumerate(text) if letter in "[]{}(),;:\"'"]
    if structure and rng.random() < 0.7:
        spot = rng.choice(structure)
        return text[:spot] + rng.choice(["", text[spot] * 2, "?"]) + text[spot + 1 :]
    rows = text.splitlines()
    spot = rng.randrange(len(rows))
    rows[spot] = rng.choice([rows[spot] + " ?", "? " + rows[spot], rows[spot].replace(".", "?", 1) + "?"])
    return "\n".join(rows)


@pytest.mark.parametrize("count", [100, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_a_damaged_file_is_refused_or_right(count, tmp_path):
    """A separator, a bracket, a sign or the end of a line is lost: one line of refusal, or the same graph."""
    path = tmp_path / "g.dat"

    def is_right(text):
        path.write_text(text, encoding="utf-8")
        return sorted(read_graph(path, "hamiltonian.path").pairs) == EDGES

    refused, right = refused_and_right(range(count), damaged, is_right)

    assert refused > count / 2
    assert right > 0


def test_a_line_of_two_numbers_alone_is_an_edge(tmp_path):
    """`2 0` connects nodes 0 and 2, as every edge list says it."""
    path = tmp_path / "alone.txt"
    path.write_text("2 0\n")

    assert read_graph(path, "k").pairs == ((0, 2, 1.0),)

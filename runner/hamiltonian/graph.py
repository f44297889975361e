"""Combinatorial problems as diagonal Hamiltonians: the ground state is the best answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.alternatives import acts_with, either
from runner.declare.checks import require_choice, require_integer
from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.connectivity import bonds_of, check_lattice, sites_of
from runner.hamiltonian.declared import HamiltonianConfig
from runner.hamiltonian.graph_file import MAX_NODES, Network, Pair, read_graph, read_qubo
from runner.hamiltonian.physics import Physics
from runner.hamiltonian.scale import collected, require_coefficient

if TYPE_CHECKING:
    from runner.hamiltonian.operator import Hamiltonian

GRAPHS = (
    "cycle",
    "path",
    "complete",
    "star",
    "petersen",
    "cube",
    "random_regular",
    "lattice",
    "edges",
    "file",
)
FILE = {"layout": None, "count_from": None, "reference_energy": None}
"""Settings that are about a file, with the values with which they say nothing."""
FIXED_SIZES = {"petersen": 10, "cube": 8}
EXAMPLE = ((0, 0, -1.0), (1, 1, -1.5), (2, 2, -2.0), (0, 1, 2.0), (1, 2, 2.0))
"""Of three things that exclude each other in pairs, the two best: what `qubo` is where nothing else is declared."""
SIZE = 8
"""Nodes of a named graph that may have any number, where none is declared."""


@acts_with(
    degree={"graph": ("random_regular",)},
    graph_seed={"graph": ("random_regular",), "weights": ("uniform", "normal")},
)
@either(
    selector="graph",
    edges=[],
    path="",
    lattice="square",
    shape=[],
    periodic=False,
    named={"edges": "edges", "path": "file", "lattice": "lattice", "shape": "lattice", "periodic": "lattice"},
    parts={"path": FILE, "edges": {"reference_energy": None}},
)
@dataclass(kw_only=True)
class MaxCut(HamiltonianConfig):
    """H = Σ w (ZZ − 1)/2: minus the weight of the edges that are cut."""

    graph: str = "random_regular"
    """cycle | path | complete | star | petersen | cube | random_regular | lattice | edges | file."""
    nodes: int | None = None
    """Number of nodes; null: as many as the graph or its edges need, 8 where it may have any number."""
    degree: int = 3
    """Neighbours of each node of random_regular."""
    lattice: str = "square"
    """square | triangular | honeycomb | kagome | heavy_hex, for graph=lattice."""
    shape: list[int] = field(default_factory=list)
    """[rows, columns] of the lattice, as spin models have it."""
    periodic: bool = False
    """Join the ends of the lattice."""
    graph_seed: int = 7
    """Seed of random_regular and of random weights, independent of the run's."""
    edges: list[Any] = field(default_factory=list)
    """[u, v] or [u, v, weight], for graph=edges; nodes count from 0."""
    path: str = ""
    """File of edges or a matrix, for graph=file; its layout is recognized (docs/declare.md lists them)."""
    layout: str | None = None
    """Layout of the file, where it can be read in two ways; null: recognized."""
    count_from: int | None = None
    """What the file's nodes are counted from, 0 or 1; null: as its layout or its numbers say."""
    weights: str = "given"
    """given (1 where none is) | uniform in [0, 1) | normal: random weights, drawn from graph_seed."""
    allow_disconnected: bool = False
    """Warn instead of refusing when the graph falls into parts."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        require_choice("hamiltonian.graph", self.graph, GRAPHS)
        require_choice("hamiltonian.weights", self.weights, ("given", "uniform", "normal"))
        require_integer("hamiltonian.graph_seed", self.graph_seed, 0, 2**63 - 1)
        if self.nodes is not None:
            require_integer("hamiltonian.nodes", self.nodes, 2, MAX_NODES)
        fixed = FIXED_SIZES.get(self.graph)
        if fixed and self.nodes not in (None, fixed):
            raise ConfigError(
                f"{self.graph} has {fixed} nodes, got {self.nodes}; set it to null", key="hamiltonian.nodes"
            )
        check_reading(self.path, self.layout, self.count_from)
        if self.graph == "random_regular":
            self._check_degree()
        if self.graph == "lattice":
            check_lattice(self.lattice, self.shape, self.periodic)
        elif self.shape or self.periodic or self.lattice != "square":
            raise ConfigError(
                "are of graph=lattice; choose that", key="hamiltonian.lattice, shape and periodic"
            )
        if (self.graph == "edges") != bool(self.edges):
            raise ConfigError(
                f"has {len(self.edges)} edges with graph={self.graph}; give edges with graph=edges only",
                key="hamiltonian.edges",
            )
        if (self.graph == "file") != bool(self.path):
            raise ConfigError(
                f"{self.path!r} with graph={self.graph}; give both or none", key="hamiltonian.path"
            )
        if self.edges:
            check_edges(self.edges, self.nodes, "hamiltonian.edges")

    def _check_degree(self) -> None:
        key = "hamiltonian.degree"
        nodes = self.nodes or SIZE
        require_integer(key, self.degree, 1, nodes - 1)
        if nodes * self.degree % 2:
            raise ConfigError(f"{nodes} nodes of degree {self.degree} do not pair up; change one", key=key)

    @property
    def read_from(self) -> Sequence[Path]:
        """The file, where there is one."""
        return (Path(self.path),) if self.path else ()

    def build(self) -> Hamiltonian:
        """The operator; its energy is minus the weight of the cut.

        Raises:
            ConfigError: the graph file cannot be used, or the graph is disconnected.
        """
        network = self.network()
        edges, size = list(network.pairs), len(network.names)
        self._check_connected(edges, size)
        terms = [("ZZ", [u, v], weight / 2) for u, v, weight in edges]
        source = network.described if self.graph == "file" else None
        return diagonal([*terms, ("", [], -sum(weight for *_, weight in edges) / 2)], size, source)

    def network(self) -> Network:
        """The nodes and all edges with their weights.

        Raises:
            ConfigError: the graph file cannot be used.
        """
        network = self._given()
        if self.weights == "given":
            return network
        import numpy as np

        rng = np.random.default_rng(self.graph_seed)
        count = len(network.pairs)
        drawn = rng.random(count) if self.weights == "uniform" else rng.normal(size=count)
        pairs = [(u, v, float(weight)) for (u, v, _), weight in zip(network.pairs, drawn, strict=True)]
        return replace(network, pairs=tuple(pairs))

    def _given(self) -> Network:
        if self.graph == "file":
            return read_graph(
                Path(self.path),
                "hamiltonian.path",
                layout=self.layout,
                first=self.count_from,
                nodes=self.nodes,
            )
        edges = normal_edges(self.edges) if self.graph == "edges" else self._named()
        size = self.nodes or 1 + max(max(u, v) for u, v, _ in edges)
        if self.graph == "lattice" and size != (count := sites_of(self.lattice, self.shape, self.periodic)):
            raise ConfigError(f"the lattice has {count}, got {size}; set it to null", key="hamiltonian.nodes")
        return Network(self.graph, tuple(map(str, range(size))), tuple(edges))

    def _named(self) -> list[Pair]:
        from rustworkx import generators

        count = self.nodes or FIXED_SIZES.get(self.graph, SIZE)
        match self.graph:
            case "petersen":
                made = generators.generalized_petersen_graph(5, 2)
            case "cube":
                made = generators.generalized_petersen_graph(4, 1)
            case "lattice":
                groups = bonds_of(self.lattice, self.shape, self.periodic)
                return sorted((min(bond), max(bond), 1.0) for group in groups for bond in group)
            case "random_regular":
                return [(u, v, 1.0) for u, v in random_regular(count, self.degree, self.graph_seed)]
            case _:
                made = getattr(generators, f"{self.graph}_graph")(count)
        return sorted((min(u, v), max(u, v), 1.0) for u, v in made.edge_list())

    def _check_connected(self, edges: list[Pair], size: int) -> None:
        import rustworkx

        graph = rustworkx.PyGraph()
        graph.add_nodes_from(range(size))
        graph.add_edges_from(edges)
        parts = sorted(sorted(part) for part in rustworkx.connected_components(graph))
        if len(parts) == 1:
            return
        shown = ", ".join(str(part) for part in parts[:4]) + (", …" if len(parts) > 4 else "")
        message = f"the graph falls into {len(parts)} parts: {shown}"
        key = "hamiltonian.path" if self.graph == "file" else "hamiltonian.edges"
        if not self.allow_disconnected:
            hint = ", or the numbering with count_from" if self.graph == "file" else ""
            raise ConfigError(f"{message}; join them or set allow_disconnected{hint}", key=key)
        warnings.warn(f"{key}: {message}", ConfigWarning, stacklevel=3)


@either(entries=[], path="", parts={"path": FILE, "entries": {"reference_energy": None}})
@dataclass(kw_only=True)
class Qubo(HamiltonianConfig):
    """H = constant + Σ Qᵢⱼ xᵢxⱼ with bits x = (1 − Z)/2: quadratic unconstrained binary optimization."""

    entries: list[Any] = field(default_factory=list)
    """[i, j, value]; i = j is a linear term; [i, j] and [j, i] are added; empty without a file: EXAMPLE."""
    path: str = ""
    """File of entries, a matrix or a binary quadratic model instead; its layout is recognized (docs/declare.md)."""
    layout: str | None = None
    """Layout of the file, where it can be read in two ways; null: recognized."""
    count_from: int | None = None
    """What the file's variables are counted from, 0 or 1; null: as its layout or its numbers say."""
    variables: int | None = None
    """Number of bits; null: as many as the entries need."""
    constant: float = 0.0
    """Added to every value."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        require_coefficient("hamiltonian.constant", self.constant)
        check_reading(self.path, self.layout, self.count_from)
        if self.variables is not None:
            require_integer("hamiltonian.variables", self.variables, 1, MAX_NODES)
        if self.entries and self.path:
            raise ConfigError(
                "give either entries or a path, e.g. [[0, 0, -1], [0, 1, 2]]", key="hamiltonian.entries"
            )
        if self.entries:
            self._check(self.entries, "hamiltonian.entries")

    def _check(self, entries: Sequence[Any], key: str) -> None:
        for index, entry in enumerate(entries):
            check_edge(f"{key}[{index}]", entry, self.variables, lengths=(3,))

    @property
    def read_from(self) -> Sequence[Path]:
        """The file, where there is one."""
        return (Path(self.path),) if self.path else ()

    def build(self) -> Hamiltonian:
        """The operator.

        Raises:
            ConfigError: the file cannot be used.
        """
        network = self.network()
        size, entries = len(network.names), network.pairs
        terms: list[tuple[str, list[int], float]] = [("", [], self.constant + network.constant)]
        for i, j, value in entries:
            if i == j:
                terms += [("", [], value / 2), ("Z", [i], -value / 2)]
            else:
                terms += [("", [], value / 4), ("ZZ", [i, j], value / 4)]
                terms += [("Z", [i], -value / 4), ("Z", [j], -value / 4)]
        return diagonal(terms, size, network.described if self.path else None)

    def network(self) -> Network:
        """The variables and all entries.

        Raises:
            ConfigError: the file cannot be used.
        """
        if self.path:
            return read_qubo(
                Path(self.path),
                "hamiltonian.path",
                layout=self.layout,
                first=self.count_from,
                variables=self.variables,
            )
        entries = self.entries or EXAMPLE
        size = self.variables or 1 + max(max(i, j) for i, j, _ in entries)
        return Network("entries", tuple(map(str, range(size))), tuple(normal_edges(entries)))


@dataclass(kw_only=True)
class SherringtonKirkpatrick(HamiltonianConfig):
    """H = Σ Jᵢⱼ ZᵢZⱼ/√n + h Σ Z: a spin glass in which all spins are coupled at random."""

    spins: int = 8
    """Number of spins n."""
    couplings: str = "normal"
    """normal (mean 0, variance 1) | signs (±1)."""
    field: float = 0.0
    """h, in the unit of energy."""
    disorder_seed: int = 1
    """Seed of the couplings, independent of the run's."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        require_integer("hamiltonian.spins", self.spins, 2, MAX_NODES)
        require_choice("hamiltonian.couplings", self.couplings, ("normal", "signs"))
        require_coefficient("hamiltonian.field", self.field)
        require_integer("hamiltonian.disorder_seed", self.disorder_seed, 0, 2**63 - 1)

    def build(self) -> Hamiltonian:
        """The operator."""
        import itertools

        import numpy as np

        pairs = list(itertools.combinations(range(self.spins), 2))
        drawn = np.random.default_rng(self.disorder_seed).normal(size=len(pairs))
        if self.couplings == "signs":
            drawn = np.sign(drawn)
        terms = [
            ("ZZ", list(pair), j / math.sqrt(self.spins))
            for pair, j in zip(pairs, drawn.tolist(), strict=True)
        ]
        terms += [("Z", [spin], self.field) for spin in range(self.spins) if self.field]
        return diagonal(terms, self.spins)


def random_regular(nodes: int, degree: int, seed: int) -> list[tuple[int, int]]:
    """Edges of a random regular graph: free ends are paired at random, loops and repetitions paired again.

    Steger & Wormald, Comb. Probab. Comput. 8, 377 (1999); starts over when no pairing is left.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    while True:
        edges: set[tuple[int, int]] = set()
        free = [node for node in range(nodes) for _ in range(degree)]
        while free:
            order = [free[index] for index in rng.permutation(len(free))]
            free = []
            for u, v in zip(order[::2], order[1::2], strict=True):
                edge = (min(u, v), max(u, v))
                if u == v or edge in edges:
                    free += [u, v]
                else:
                    edges.add(edge)
            left = sorted(set(free))
            if not any(u < v and (u, v) not in edges for u in left for v in left):
                break
        if not free:
            return sorted(edges)


def check_edges(edges: Sequence[Any], nodes: int | None, key: str) -> None:
    """Refuse a list of edges with a loop, a repetition, a node that does not exist, or a weight that is no number."""
    if not edges:
        raise ConfigError("has no edges; give at least one, e.g. [[0, 1]]", key=key)
    seen: set[tuple[int, int]] = set()
    for index, edge in enumerate(edges):
        check_edge(f"{key}[{index}]", edge, nodes, lengths=(2, 3))
        u, v = sorted(edge[:2])
        if u == v:
            raise ConfigError(f"joins node {u} to itself; remove it", key=f"{key}[{index}]")
        if (u, v) in seen:
            raise ConfigError(f"the edge {u}–{v} stands twice; keep one", key=f"{key}[{index}]")
        seen.add((u, v))


def check_edge(key: str, edge: Any, nodes: int | None, lengths: tuple[int, ...]) -> None:
    """Refuse what is not [node, node] or [node, node, number]."""
    if isinstance(edge, str) or not isinstance(edge, Sequence) or len(edge) not in lengths:
        shape = " or ".join(["[u, v]", "[u, v, weight]"][length - 2] for length in lengths)
        raise ConfigError(f"must be {shape}, got {edge!r}; write e.g. {list(range(lengths[0]))}", key=key)
    for node in edge[:2]:
        require_integer(key, node, 0, (nodes or MAX_NODES) - 1)
    if len(edge) == 3:
        require_coefficient(key, edge[2])


def check_reading(path: str, layout: str | None, count_from: int | None) -> None:
    """Refuse settings of a file where there is none, and a number that nobody counts from."""
    for name, value in (("layout", layout), ("count_from", count_from)):
        if value is not None and not path:
            raise ConfigError(f"{value} without a file; set it to null", key=f"hamiltonian.{name}")
    if count_from is not None:
        require_integer("hamiltonian.count_from", count_from, 0, 1)


def normal_edges(edges: Sequence[Any]) -> list[Pair]:
    """Checked edges, each with a weight."""
    return [(edge[0], edge[1], float(edge[2]) if len(edge) == 3 else 1.0) for edge in edges]


def diagonal(
    terms: Sequence[tuple[str, list[int], float]], size: int, source: str | None = None
) -> Hamiltonian:
    """A Hamiltonian of Z and I; `source` says what its file was read as."""
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

    total = collected(SparsePauliOp.from_sparse_list(list(terms), size))
    if not total.coeffs.any():
        raise ConfigError("all weights are zero or cancel; give one that is not", key="hamiltonian")
    if not total.paulis.z.any():
        warnings.warn(
            "hamiltonian: every state has the same energy; nothing to minimize", ConfigWarning, stacklevel=3
        )
    return Hamiltonian(total.paulis, total.coeffs.real, physics=Physics(source=source))

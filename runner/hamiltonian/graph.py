"""Combinatorial problems as diagonal Hamiltonians: the ground state is the best answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian.file import read_rows
from runner.require import require_choice, require_integer, require_number

if TYPE_CHECKING:
    from runner.hamiltonian.operator import Hamiltonian

GRAPHS = ("cycle", "path", "complete", "star", "petersen", "cube", "random_regular", "edges", "file")
FIXED_SIZES = {"petersen": 10, "cube": 8}
MAX_NODES = 1000

Edge = tuple[int, int, float]


@dataclass(kw_only=True)
class MaxCut:
    """H = Σ w (ZZ − 1)/2: minus the weight of the edges that are cut."""

    name: str
    """Name of the choice."""
    graph: str = "random_regular"
    """cycle | path | complete | star | petersen | cube | random_regular | edges | file."""
    nodes: int | None = 8
    """Number of nodes; null: as many as the graph or its edges need."""
    degree: int = 3
    """Neighbours of each node of random_regular."""
    graph_seed: int = 7
    """Seed of random_regular and of random weights, independent of the run's."""
    edges: list[Any] = field(default_factory=list)
    """[u, v] or [u, v, weight], for graph=edges; nodes count from 0."""
    path: str = ""
    """Edge list, for graph=file: JSON, or lines of `u v [weight]`."""
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
        if self.nodes is None and self.graph in ("cycle", "path", "complete", "star", "random_regular"):
            raise ConfigError(
                f"{self.graph} needs a number of nodes, got null; give it", key="hamiltonian.nodes"
            )
        if self.graph == "random_regular":
            self._check_degree()
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
        assert self.nodes is not None
        require_integer(key, self.degree, 1, self.nodes - 1)
        if self.nodes * self.degree % 2:
            raise ConfigError(
                f"{self.nodes} nodes of degree {self.degree} do not pair up; change one", key=key
            )

    def build(self) -> Hamiltonian:
        """The operator; its energy is minus the weight of the cut.

        Raises:
            ConfigError: the graph file cannot be used, or the graph is disconnected.
        """
        edges = self.weighted_edges()
        size = self.nodes or 1 + max(max(u, v) for u, v, _ in edges)
        self._check_connected(edges, size)
        terms = [("ZZ", [u, v], weight / 2) for u, v, weight in edges]
        return diagonal([*terms, ("", [], -sum(weight for *_, weight in edges) / 2)], size)

    def weighted_edges(self) -> list[Edge]:
        """All edges with their weights."""
        import numpy as np

        edges = self._edges()
        if self.weights == "given":
            return edges
        rng = np.random.default_rng(self.graph_seed)
        drawn = rng.random(len(edges)) if self.weights == "uniform" else rng.normal(size=len(edges))
        return [(u, v, float(weight)) for (u, v, _), weight in zip(edges, drawn, strict=True)]

    def _edges(self) -> list[Edge]:
        from rustworkx import generators

        if self.graph == "file":
            rows = read_rows(Path(self.path), "hamiltonian.path")
            check_edges(rows, self.nodes, "hamiltonian.path")
            return normal_edges(rows)
        if self.graph == "edges":
            return normal_edges(self.edges)
        count = self.nodes or FIXED_SIZES[self.graph]
        match self.graph:
            case "petersen":
                made = generators.generalized_petersen_graph(5, 2)
            case "cube":
                made = generators.generalized_petersen_graph(4, 1)
            case "random_regular":
                return [(u, v, 1.0) for u, v in random_regular(count, self.degree, self.graph_seed)]
            case _:
                made = getattr(generators, f"{self.graph}_graph")(count)
        return sorted((min(u, v), max(u, v), 1.0) for u, v in made.edge_list())

    def _check_connected(self, edges: list[Edge], size: int) -> None:
        import rustworkx

        graph = rustworkx.PyGraph()
        graph.add_nodes_from(range(size))
        graph.add_edges_from(edges)
        parts = sorted(sorted(part) for part in rustworkx.connected_components(graph))
        if len(parts) == 1:
            return
        shown = ", ".join(str(part) for part in parts[:4]) + (", …" if len(parts) > 4 else "")
        message = f"the graph falls into {len(parts)} parts: {shown}"
        if not self.allow_disconnected:
            raise ConfigError(f"{message}; join them or set allow_disconnected", key="hamiltonian.edges")
        warnings.warn(f"hamiltonian.edges: {message}", ConfigWarning, stacklevel=3)


@dataclass(kw_only=True)
class Qubo:
    """H = constant + Σ Qᵢⱼ xᵢxⱼ with bits x = (1 − Z)/2: quadratic unconstrained binary optimization."""

    name: str
    """Name of the choice."""
    entries: list[Any] = field(default_factory=list)
    """[i, j, value]; i = j is a linear term; [i, j] and [j, i] are added."""
    path: str = ""
    """File of entries instead: JSON, or lines of `i j value`."""
    variables: int | None = None
    """Number of bits; null: as many as the entries need."""
    constant: float = 0.0
    """Added to every value."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        require_number("hamiltonian.constant", self.constant)
        if self.variables is not None:
            require_integer("hamiltonian.variables", self.variables, 1, MAX_NODES)
        if bool(self.entries) == bool(self.path):
            raise ConfigError(
                "give either entries or a path, e.g. [[0, 0, -1], [0, 1, 2]]", key="hamiltonian.entries"
            )
        if self.entries:
            self._check(self.entries, "hamiltonian.entries")

    def _check(self, entries: Sequence[Any], key: str) -> None:
        for index, entry in enumerate(entries):
            check_edge(f"{key}[{index}]", entry, self.variables, lengths=(3,))

    def build(self) -> Hamiltonian:
        """The operator.

        Raises:
            ConfigError: the file cannot be used.
        """
        entries = self.entries
        if self.path:
            entries = read_rows(Path(self.path), "hamiltonian.path")
            self._check(entries, "hamiltonian.path")
        size = self.variables or 1 + max(max(i, j) for i, j, _ in entries)
        terms: list[tuple[str, list[int], float]] = [("", [], self.constant)]
        for i, j, value in entries:
            if i == j:
                terms += [("", [], value / 2), ("Z", [i], -value / 2)]
            else:
                terms += [("", [], value / 4), ("ZZ", [i, j], value / 4)]
                terms += [("Z", [i], -value / 4), ("Z", [j], -value / 4)]
        return diagonal(terms, size)


@dataclass(kw_only=True)
class SherringtonKirkpatrick:
    """H = Σ Jᵢⱼ ZᵢZⱼ/√n + h Σ Z: a spin glass in which all spins are coupled at random."""

    name: str
    """Name of the choice."""
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
        require_number("hamiltonian.field", self.field)
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
        require_number(key, edge[2])


def normal_edges(edges: Sequence[Any]) -> list[Edge]:
    """Checked edges, each with a weight."""
    return [(edge[0], edge[1], float(edge[2]) if len(edge) == 3 else 1.0) for edge in edges]


def diagonal(terms: Sequence[tuple[str, list[int], float]], size: int) -> Hamiltonian:
    """A Hamiltonian of Z and I."""
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

    total = SparsePauliOp.from_sparse_list(list(terms), size).simplify()
    if not total.coeffs.any():
        raise ConfigError("all weights are zero or cancel; give one that is not", key="hamiltonian")
    if not total.paulis.z.any():
        warnings.warn(
            "hamiltonian: every state has the same energy; nothing to minimize", ConfigWarning, stacklevel=3
        )
    return Hamiltonian(total.paulis, total.coeffs.real)

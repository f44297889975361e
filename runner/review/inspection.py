"""What a file of somebody else's is, and what would be understood of it: nothing is run, nothing is written."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import engine
from runner.ansatz.file import CircuitFile
from runner.declare.files import read_bytes
from runner.declare.overrides import Overrides
from runner.display.shell import quoted
from runner.errors import ConfigError
from runner.hamiltonian.file import OperatorFile
from runner.hamiltonian.formats.word import word
from runner.hamiltonian.geometry import SYMBOLS, read_geometry
from runner.hamiltonian.graph_file import read_graph, read_qubo

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

KEY = "file"
MAX_GROUPED = 3000
"""Terms that are sorted into commuting groups; the cost grows with their square."""
SIGNS = {
    rb"(?i)[&$]FCI\b": "operator",
    rb"\[[\d^ ]*\d\^": "operator",  # ladder operators as OpenFermion prints them
    rb"\[\s*[XYZ]\d": "operator",
    rb"(?i)FermionOperator|QubitOperator|FermionicOp|SparsePauliOp|PauliSumOp|PauliSentence": "operator",
    rb"(?im)^\s*p\s+qubo\b|BinaryQuadraticModel|\"(linear|quadratic)_?\w*\"": "QUBO",
    rb"(?im)^\s*p\s+(edge|col|sp|max)\b|^%%MatrixMarket|<(graphml|gexf)\b|^\s*graph\s*\[": "graph",
    rb"\"(links|edges|adjacency)\"": "graph",
}
"""What no other kind of file has near its beginning → the kind, whose reason is told if it cannot be read."""
MAX_NAMED = 12
"""Parameters, registers or gates that are named one by one."""


@dataclass(frozen=True)
class Inspection:
    """One way to read a file."""

    kind: str
    """circuit | operator | graph | QUBO | geometry."""
    facts: dict[str, Any]
    """What was understood, in the order to be shown."""
    use: str
    """The overrides that make a run of it."""


def inspect_file(path: Path) -> list[Inspection]:
    """Every way in which the file can be read, at least one.

    Raises:
        ConfigError: it can be read in none; the reason is that of the likeliest.
    """
    content = read_bytes(path, KEY)
    found: list[Inspection] = []
    reasons: dict[str, ConfigError] = {}
    kinds = _kinds(path, content)
    for kind in kinds:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(READERS[kind](path))
        except ConfigError as error:
            reasons[kind] = error
    likeliest = reasons.get(kinds[0])
    use = found[0].use.partition(" hamiltonian.path")[0] if found else ""
    if likeliest is not None and found and _is_meant(kinds[0], likeliest, content):
        raise _as_told(
            path,
            kinds[0],
            likeliest,
            f"; if it is a {found[0].kind}, run it with {use}",
        )
    if not found:
        raise _as_told(path, kinds[0], reasons[kinds[0]])
    return found


def _is_meant(kind: str, reason: ConfigError, content: bytes) -> bool:
    """Whether a file is of its likeliest kind although that cannot be read: another reading would be a guess.

    Lines that all begin with a Pauli word are an operator, whose words a graph would take for nodes; and edges between
    nodes that are too many are a graph, whose two lines would be a matrix of two rows.
    """
    if kind == "graph":
        return bool(re.search(r"has \d+ nodes; give at most", str(reason)))
    lines = [line.split() for line in content[:100_000].decode(errors="replace").splitlines()]
    starts = [words[0] for words in lines if words and not words[0].startswith(("#", "%", "//"))]
    return kind == "operator" and all(len(start) > 1 and word(start) is not None for start in starts)


def _as_told(path: Path, kind: str, error: ConfigError, otherwise: str = "") -> ConfigError:
    """The reason with the place in the file, if it has one, instead of a setting that nobody has set."""
    reason = str(error).removeprefix(f"{error.key}: ")
    placed = re.search(r":\d+(:\d+)?$", error.key or "")
    return ConfigError(f"as {_a(kind)}: {reason}{otherwise}", key=error.key if placed else str(path))


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _kinds(path: Path, content: bytes) -> list[str]:
    """What the file may be, likeliest first, by its first bytes and its name."""
    suffix = path.suffix.lower()
    if content.startswith(b"QISKIT") or suffix == ".qpy":
        return ["operator", "circuit"] if b"PauliEvolutionGate" in content else ["circuit", "operator"]
    if content.startswith(b"\x93NUMPY"):
        return ["operator", "graph", "QUBO"]
    if suffix in (".qasm", ".qasm2", ".qasm3") or b"OPENQASM" in content[:10_000]:
        return ["circuit"]
    if suffix == ".xyz":
        return ["geometry"]
    for pattern, likeliest in SIGNS.items():
        if re.search(pattern, content[:10_000]):
            return [
                likeliest,
                *(kind for kind in ("operator", "graph", "QUBO", "geometry") if kind != likeliest),
            ]
    if not re.search(rb"[IXYZixyz]", content):
        return ["graph", "QUBO", "operator", "geometry"]
    return ["operator", "graph", "QUBO", "geometry"]


def _circuit(path: Path) -> Inspection:
    circuit = CircuitFile(name="file", path=str(path)).as_written()
    use = f"ansatz=file {_quoted('ansatz.path', path)}"
    if circuit.num_parameters == 0:
        use += " experiment=sampling" if circuit.count_ops().get("measure") else " experiment=estimation"
    return Inspection("circuit", circuit_facts(circuit), use)


def circuit_facts(circuit: QuantumCircuit) -> dict[str, Any]:
    """Sizes, gates, parameters in their order, registers, and what kind of circuit it is."""
    found = engine.classify(circuit)
    counts = ", ".join(f"{count} {name}" for name, count in list(circuit.count_ops().items())[:MAX_NAMED])
    more = len(circuit.count_ops()) - MAX_NAMED
    facts = {
        "qubits": circuit.num_qubits,
        "depth": circuit.depth(),
        "gates": counts + (f" and {more} more kinds" if more > 0 else ""),
        "two-qubit gates": circuit.num_nonlocal_gates(),
        "parameters": _listed(found.names) or "none",
        "classical bits": _listed([f"{r.name}[{len(r)}]" for r in circuit.cregs]) or circuit.num_clbits,
        "measured at the end": len(found.anatomy.final),
        "kind": "unitary" if found.unitary else found.in_words,
    }
    if found.opaque:
        facts["cannot run"] = f"the opaque gate {found.opaque[0]!r} has no definition"
    return facts


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMED])
    return shown + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")


def _operator(path: Path) -> Inspection:
    declared = OperatorFile(name="file", path=str(path))
    hamiltonian = declared.build()
    facts = {name.replace("_", " "): value for name, value in declared.reading.describe().items() if value}
    del facts["words"]
    facts["notes"] = "; ".join(facts.get("notes", ())) or "none"
    if len(hamiltonian) <= MAX_GROUPED:
        for words, qubit_wise in (("bases measured qubit by qubit", True), ("commuting groups", False)):
            facts[words] = len(hamiltonian.group_commuting(qubit_wise=qubit_wise))
    electrons = hamiltonian.physics.electrons
    if electrons:
        facts["sector"] = f"N↑={electrons[0]}, N↓={electrons[1]} ({hamiltonian.physics.mapper})"
    return Inspection("operator", facts, f"hamiltonian=file {_quoted('hamiltonian.path', path)}")


def _graph(path: Path) -> Inspection:
    import rustworkx

    network = read_graph(path, KEY)
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(len(network.names)))
    graph.add_edges_from_no_data([(u, v) for u, v, _ in network.pairs])
    degrees = [graph.degree(node) for node in graph.node_indices()]
    parts = rustworkx.number_connected_components(graph)
    facts = {
        **_network_facts(network),
        "degrees": f"{min(degrees)} to {max(degrees)}",
        "connected": "yes" if parts == 1 else f"no, {parts} parts",
        "bipartite": "yes" if rustworkx.is_bipartite(graph) else "no",
    }
    use = f"hamiltonian=maxcut hamiltonian.graph=file {_quoted('hamiltonian.path', path)} ansatz=qaoa"
    return Inspection("graph", facts, use + ("" if parts == 1 else " hamiltonian.allow_disconnected=true"))


def _qubo(path: Path) -> Inspection:
    network = read_qubo(path, KEY)
    facts = _network_facts(network)
    facts["entries"] = facts.pop("edges")
    facts["variables"] = facts.pop("nodes")
    facts["constant"] = network.constant
    return Inspection("QUBO", facts, f"hamiltonian=qubo {_quoted('hamiltonian.path', path)} ansatz=qaoa")


def _network_facts(network: Any) -> dict[str, Any]:
    weights = Counter(weight for *_, weight in network.pairs)
    low, high = min(weights), max(weights)
    first, last = network.pairs[0], network.pairs[-1]
    ends = [f"{network.names[u]}–{network.names[v]} ({weight:g})" for u, v, weight in (first, last)]
    return {
        "layout": network.layout,
        "nodes": len(network.names),
        "edges": len(network.pairs),
        "first and last": " … ".join(ends),
        "weights": f"all {low:g}" if low == high else f"{low:g} to {high:g}",
        "numbering": "; ".join(network.remarks) or "from 0, as the qubits",
    }


def _geometry(path: Path) -> Inspection:
    geometry = read_geometry(path, KEY)
    electrons = sum(SYMBOLS.index(symbol) + 1 for symbol, _ in geometry.atoms)
    facts = {
        "read as": geometry.described,
        "electrons": f"{electrons - (geometry.charge or 0)} with charge {geometry.charge or 0}",
    }
    if geometry.suspected:
        facts["comment"] = f"{geometry.suspected!r} may be about charge and multiplicity; declare them"
    return Inspection(
        "geometry", facts, f"hamiltonian=molecule {_quoted('hamiltonian.xyz_file', path)} ansatz=uccsd"
    )


def _quoted(key: str, path: Path) -> str:
    """An override for a path, quoted for Hydra's grammar and for the shell where they need that."""
    bare = f"{key}={path}"
    with contextlib.suppress(ConfigError):
        if "${" not in bare and [item.value for item in Overrides.of([bare])] == [str(path)]:
            return quoted(bare)
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(path))
    literal = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), literal)
    return quoted(f"{key}='{literal}'")


READERS: Mapping[str, Callable[[Path], Inspection]] = {
    "circuit": _circuit,
    "operator": _operator,
    "graph": _graph,
    "QUBO": _qubo,
    "geometry": _geometry,
}
"""Kind of file → what reads it."""

"""Graphs and QUBO tables as other programs write them: the layout is recognized, named, and nothing of it is guessed.

Every layout is read into numbered `Row`s first; only then are nodes numbered, both directions of an edge joined and
sizes compared with what the file says of itself. Where two layouts fit and mean different things, neither is taken.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from runner.declare.checks import nearest, shorten, twice
from runner.declare.files import read_bytes, without_collection
from runner.declare.foreign import load_npy
from runner.errors import ConfigError
from runner.hamiltonian.scale import LARGEST, UNIT

Pair = tuple[int, int, float]

MAX_NODES = 1000
"""Largest graph or quadratic form."""
_SOURCE = ("source", "from", "u", "i", "start", "node1", "node_1", "src", "head", "row")
_TARGET = ("target", "to", "v", "j", "end", "node2", "node_2", "dst", "tail", "col", "column")
_WEIGHT = ("weight", "w", "value", "weights", "coupling", "bias", "q", "val", "capacity", "cost")
_DESCRIPTION = (
    "name",
    "description",
    "comment",
    "title",
    "info",
    "graph",
    "version",
    "type",
    "author",
    "source",
)
_COMMENT = re.compile(r"(^|(?<=\s))(#|%|//).*$")
MAX_DIGITS = 9
"""Longest whole number: no graph here has more nodes or rows."""


@dataclass(frozen=True)
class Network:
    """A graph or a quadratic form, its nodes numbered as qubits."""

    layout: str
    """What the file was read as."""
    names: tuple[str, ...]
    """What the file calls each node, in the order of the qubits."""
    pairs: tuple[Pair, ...]
    """(u, v, weight); u = v only in a quadratic form."""
    constant: float = 0.0
    """Offset of a quadratic form."""
    remarks: tuple[str, ...] = ()
    """What had to be decided, in words."""

    @property
    def described(self) -> str:
        """One line: layout, sizes, first and last pair, and how nodes became qubits."""
        kind = "entries" if any(u == v for u, v, _ in self.pairs) else "edges"
        shown = [f"{self.names[u]}–{self.names[v]} ({weight:g})" for u, v, weight in self.pairs]
        ends = shown[0] if len(shown) == 1 else f"{shown[0]} … {shown[-1]}"
        total = math.fsum(weight for *_, weight in self.pairs)
        parts = [f"{self.layout}: {len(self.names)} nodes, {len(self.pairs)} {kind}, {ends}, sum {total:g}"]
        return "; ".join([*parts, *self.remarks])


class _Row(NamedTuple):
    where: str
    u: Any
    v: Any
    weight: Any = None


@dataclass(frozen=True)
class _Raw:
    """What a layout says before its nodes are numbered."""

    layout: str
    rows: Sequence[_Row]
    nodes: Sequence[Any] | None = None
    size: int | None = None
    first: int | None = None
    """What the layout counts from by its own definition."""
    strict: bool = False
    """Nobody writes it otherwise."""
    constant: float = 0.0
    spins: bool = False
    """The variables are ±1 instead of bits."""
    both_directions: bool = False
    """The layout writes every edge twice by definition."""


class _Unfit(Exception):
    """The content is not of this layout; what is said is why."""


def read_graph(
    path: Path, key: str, *, layout: str | None = None, first: int | None = None, nodes: int | None = None
) -> Network:
    """The graph of a file: every edge once, no loops.

    Args:
        path: the file.
        key: the setting that names it.
        layout: one of docs/declare.md's words; None: recognized.
        first: what nodes are counted from, 0 or 1; None: as the layout says or the numbers show.
        nodes: how many nodes are declared; None: as many as the file has.

    Raises:
        ConfigError: the file cannot be read, or what it says is not one graph.
    """
    return _read(path, key, _GRAPHS, layout, lambda raw: _graph(raw, first, nodes))


def read_qubo(
    path: Path, key: str, *, layout: str | None = None, first: int | None = None, variables: int | None = None
) -> Network:
    """The quadratic form Σ Q x x + constant of a file, in bits; the arguments are those of `read_graph`.

    Raises:
        ConfigError: the file cannot be read, or what it says is not one quadratic form.
    """
    return _read(path, key, _QUBOS, layout, lambda raw: _qubo(raw, first, variables))


def _read(
    path: Path,
    key: str,
    readers: Mapping[str, Callable[[_Content], _Raw]],
    layout: str | None,
    finish: Callable[[_Raw], Network],
) -> Network:
    if layout is not None and layout not in readers:
        raise ConfigError(f"unknown layout {layout!r}{nearest(layout, readers)}", key="hamiltonian.layout")
    found: dict[str, Network] = {}
    reasons: dict[str, str] = {}
    with without_collection():
        content = _Content(path, key, layout is not None)
        for name in [layout] if layout else readers:
            try:
                found[name] = finish(readers[name](content))
            except _Unfit as unfit:
                if str(unfit):
                    reasons[name] = str(unfit)
    if not found:
        # that a row is not an edge says little where the rows fit another layout up to one of them
        unknown = f"is of no known layout; known are {', '.join(readers)}, see docs/declare.md"
        told = min(reasons.values(), key=lambda reason: "is no edge" in reason, default=unknown)
        raise ConfigError(f"{path}{', ' if told.startswith('line') else ' '}{told}", key=key)
    meanings = {(network.names, frozenset(network.pairs), network.constant) for network in found.values()}
    if len(meanings) > 1:
        told = " or ".join(found)
        raise ConfigError(
            f"{path} can be read as {told}, which differ; say which with hamiltonian.layout={next(iter(found))}",
            key=key,
        )
    return next(iter(found.values()))


class _Content:
    """A file's bytes, text, data and table, each made when a layout first asks for it."""

    def __init__(self, path: Path, key: str, declared: bool) -> None:
        self.declared = declared
        """Somebody said what layout it is."""
        self.raw = read_bytes(path, key)
        self.binary = self.raw[:6] == b"\x93NUMPY"
        self.text = ""
        if not self.binary:
            try:
                self.text = self.raw.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                told = f"{path} is not text (byte {error.start}); save it as UTF-8"
                raise ConfigError(told, key=key) from error
        self.start = self.text.lstrip()[:40]
        self.lines = self.text.splitlines()
        self._data: Any = None
        self._table: list[tuple[int, list[str]]] | None = None

    @property
    def data(self) -> Any:
        """The value of a JSON text, or of Python's own printing of lists and dictionaries.

        Raises:
            _Unfit: it is neither.
        """
        if not self.start.startswith(("[", "{")):
            raise _Unfit("")
        if self._data is None:
            self._data = _value(self.text)
        return self._data

    @property
    def table(self) -> list[tuple[int, list[str]]]:
        """Line numbers and words of a text, without comments and empty lines.

        Raises:
            _Unfit: it is not a table.
        """
        if self.binary or self.start.startswith(("[", "{", "%%")):
            raise _Unfit("")
        if self._table is None:
            bare = self.lines
            if any(mark in self.text for mark in ("#", "%", "//")):
                bare = [_COMMENT.sub("", line) for line in bare]
            self._table = [(n, words) for n, line in enumerate(bare, start=1) if (words := _words(line))]
        if not self._table:
            raise _Unfit("is empty; give at least one edge")
        return self._table


def _words(line: str) -> list[str]:
    if line.lstrip()[:1] in ("(", "[", "<") and (
        enclosed := re.fullmatch(r"\s*(?:\((.*)\)|\[(.*)\]|<(.*)>)\s*,?\s*", line)
    ):
        line = next(inner for inner in enclosed.groups() if inner is not None)
    if "{" in line and (attributes := re.fullmatch(r"\s*(\S+)\s+(\S+)\s+(\{.*\})\s*", line)):
        return list(attributes.groups())
    for separator in (";", ",", "\t"):
        if separator in line:
            words = [word.strip().strip("\"'") for word in line.split(separator)]
            return [] if not any(words) else words
    return line.split()


def _value(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if (name := twice([name for name, _ in pairs])) is not None:
            raise _Unfit(f"has the key {shorten(name, 30)!r} twice; keep one")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    try:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                keys = [ast.unparse(key) for key in node.keys if key is not None]
                if (key := twice(keys)) is not None:
                    raise _Unfit(f"has the key {shorten(key, 30)} twice; keep one")
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise _Unfit(f"is not JSON ({shorten(reason, 80)}); correct it") from None


def _lowered(data: Mapping[Any, Any]) -> dict[str, Any]:
    """The same with keys in lower case; two that differ in case only are refused."""
    made = {str(key).lower(): value for key, value in data.items()}
    if (name := twice([str(key).lower() for key in data])) is not None:
        raise _Unfit(f"has the key {shorten(name, 30)!r} twice; keep one")
    return made


def _number(word: Any, where: str) -> float:
    """A finite real number, written as any program writes it."""
    if isinstance(word, str):
        text = word.strip()
        if not text.isascii() or "d" in text or "D" in text:
            text = re.sub(r"(?<=[\d.])[dD](?=[+\-\d])", "e", text.replace("\u2212", "-"))
        try:
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _Unfit(f"{where}: {shorten(text, 40)!r} is no number; write e.g. 1.5")
        word = value
    if isinstance(word, bool) or not isinstance(word, int | float) or not abs(word) < math.inf:
        raise _Unfit(f"{where}: {shorten(type(word).__name__, 40)} is no finite real number; write e.g. 1.5")
    if abs(word) > LARGEST:
        raise _Unfit(f"{where}: {shorten(word, 40)} is more than {LARGEST:g} in size; {UNIT}")
    return float(word)


# ---- layouts of text


def _edge_list(content: _Content) -> _Raw:
    """Lines `u v [weight]`; a header that names its columns orders them."""
    table = content.table
    spins = _vartype(content)
    table = _without_index(table)
    order, named = _columns(table[0][1])
    named = named and not any(word in table[0][1] for _, words in table[1:] for word in words[:2])
    rows = []
    for number, words in table[1 if named else 0 :]:
        where = f"line {number}"
        if named and len(words) != len(table[0][1]):
            raise _Unfit(
                f"{where} has {len(words)} words where the header has {len(table[0][1])}; correct it"
            )
        picked = [words[column] for column in order] if named else words
        if len(picked) not in (2, 3):
            raise _Unfit(f"{where}: {shorten(' '.join(words), 40)!r} is no edge; write `u v` or `u v weight`")
        rows.append(_Row(where, picked[0], picked[1], _weight(picked[2:], where)))
    if not rows:
        raise _Unfit("has no edges; give at least one")
    if _sizes_first(table):
        raise _Unfit("")
    if not content.declared:
        _doubt_header(table, named)
    attributes = any(len(words) == 3 and words[2].startswith("{") for _, words in table)
    if not attributes:
        _require_weights(rows)
    return _Raw("networkx edge list" if attributes else "edge list", rows, spins=spins)


def _doubt_header(table: Sequence[tuple[int, list[str]]], named: bool) -> None:
    """Refuse a first line that may be something else than an edge."""
    number, words = table[0]
    if _maybe_sizes(table):
        raise _Unfit(
            f"line {number}: {' '.join(words)!r} may be sizes that do not fit the {len(table) - 1} lines below it; "
            "correct them, or say hamiltonian.layout=edge_list if it is an edge"
        )
    if named or len(table) < 3 or any(map(_is_number, words[:2])):
        return
    others = {end for _, line in table[1:] for end in line[:2]}
    if not others & {*words[:2]}:
        raise _Unfit(
            f"line {number}: {words[0]!r} and {words[1]!r} stand in no other line; call a header's columns source and "
            "target, or say hamiltonian.layout=edge_list if it is an edge"
        )


def _require_weights(rows: Sequence[_Row]) -> None:
    """A lost separator turns `2 3 4` into `23 4`: where some edges have a weight, all of them have."""
    bare = [row.weight is None for row in rows]
    if len({*bare}) > 1:
        odd = rows[bare.index(not bare[0])]
        raise _Unfit(f"{odd.where}: some edges have a weight and some have none; give it to all or none")


def _without_index(table: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The table without a first column that has no name and counts from 0, as pandas writes it."""
    header, beside = table[0][1], [words[0] for _, words in table[1:]]
    if header[0] or len(header) < 3 or beside != [str(place) for place in range(len(beside))]:
        return table
    return [(number, words[1:]) for number, words in table]


def _vartype(content: _Content) -> bool:
    """Are the variables spins, by the comment `# vartype=SPIN` that dimod writes above its lines?"""
    marks = {mark.upper() for mark in re.findall(r"#\s*vartype\s*[=:]\s*(\w+)", content.text, re.IGNORECASE)}
    if not marks <= {"SPIN", "BINARY"} or len(marks) > 1:
        raise _Unfit(f"has vartype {', '.join(sorted(marks))}; write SPIN or BINARY, once")
    return marks == {"SPIN"}


def _columns(header: Sequence[str]) -> tuple[list[int], bool]:
    """Where source, target and weight stand, if the first line names its columns."""
    words = [word.strip().lower() for word in header]
    if not {*words} & {*_SOURCE} or not {*words} & {*_TARGET} or any(re.match(r"[-+\d]", w) for w in words):
        return [], False
    order = []
    for names in (_SOURCE, _TARGET, _WEIGHT):
        order += [words.index(name) for name in names if name in words][:1]
    return order, len(order) == len(words)


def _weight(words: Sequence[str], where: str) -> float | None:
    if not words:
        return None
    if not words[0].startswith("{"):
        return _number(words[0], where)
    try:
        attributes = ast.literal_eval(re.sub(r"\bnp\.(?:float|int)\d+\(([^()]*)\)", r"\1", words[0]))
    except (ValueError, SyntaxError) as error:
        raise _Unfit(f"{where}: {shorten(words[0], 40)!r} is no dictionary; write {{'weight': 1}}") from error
    if not isinstance(attributes, dict):
        raise _Unfit(f"{where}: {shorten(words[0], 40)!r} is no dictionary; write {{'weight': 1}}")
    return _attribute(attributes, where)


def _attribute(attributes: Mapping[Any, Any], where: str) -> float | None:
    """The weight among an edge's attributes; numbers of another name are not dropped but refused."""
    named = _lowered(attributes)
    weights = [name for name in named if name in _WEIGHT]
    if "weight" in weights:
        weights = ["weight"]
    if not weights:
        known = (*_SOURCE, *_TARGET, "id", "key")
        odd = [n for n, v in named.items() if n not in known and isinstance(v, int | float) and v is not True]
        if odd:
            raise _Unfit(f"{where}: the edge has {odd[0]!r} and no weight; call it weight, or leave it out")
    if len(weights) > 1:
        raise _Unfit(f"{where}: the edge has {' and '.join(weights)}; give one, as weight")
    return _number(named[weights[0]], where) if weights and named[weights[0]] is not None else None


def _rudy(content: _Content) -> _Raw:
    """Sizes in the first line, then `u v [weight]` counted from 1: Gset, rudy, Big Mac."""
    table = content.table
    if len(table) < 2 or len(table[0][1]) != 2 or not all(map(_counts, table[0][1])):
        raise _Unfit("")
    size, count = (int(word) for word in table[0][1])
    if size < 2:
        raise _Unfit("")
    if len(table) - 1 != count:
        if len(table[1][1]) == 3:
            raise _Unfit(f"line 1 says {count} edges, and {len(table) - 1} follow; correct one")
        raise _Unfit("")
    rows = []
    for number, words in table[1:]:
        if len(words) not in (2, 3) or len(words) != len(table[1][1]):
            raise _Unfit(f"line {number}: {shorten(' '.join(words), 40)!r} is no edge; write `u v weight`")
        rows.append(_Row(f"line {number}", words[0], words[1], _weight(words[2:], f"line {number}")))
    return _Raw("Gset (rudy)", rows, size=size, first=1)


def _counts(word: str) -> bool:
    """Is it a whole number of a size that anything here may have?"""
    return word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS


def _sizes_first(table: Sequence[tuple[int, list[str]]]) -> bool:
    """Does a line of two sizes stand above weighted edges, as many as it says?"""
    header = table[0][1]
    if len(table) < 2 or len(header) != 2 or header[1] != str(len(table) - 1):
        return False
    if any(len(words) != 3 for _, words in table[1:]):
        return False
    ends = [end for _, words in table[1:] for end in words[:2]]
    return all(map(_counts, [header[0], *ends])) and int(header[0]) >= max(map(int, ends))


def _maybe_sizes(table: Sequence[tuple[int, list[str]]]) -> bool:
    """May the first line be sizes that do not quite fit? No later node is larger, and about so many rows follow."""
    header, count = table[0][1], len(table) - 1
    if len(header) < 2 or count < 3 or not all(map(_counts, header[:2])):
        return False
    first, second = int(header[0]), int(header[1])
    exact = len(header) == 2 and second == count  # then it may be a Gset file, which is asked for itself
    if abs(second - count) > 2 or exact:
        return False
    ends = [end for _, words in table[1:] for end in words[:2]]
    return all(map(_counts, ends)) and first >= max(map(int, ends))


def _metis(content: _Content) -> _Raw:
    """Sizes in the first line, then the neighbours of one node in each line, counted from 1 (METIS, Chaco)."""
    table = content.table
    if len(table[0][1]) != 2 or not all(_counts(word) for _, words in table for word in words):
        raise _Unfit("")
    size, count = (int(word) for word in table[0][1])
    lists = [words for _, words in table[1:]]
    if len(lists) != size or size < 2 or sum(map(len, lists)) != 2 * count:
        raise _Unfit("")
    rows = [
        _Row(f"line {number}", str(node), other)
        for node, (number, words) in enumerate(table[1:], start=1)
        for other in words
    ]
    pairs = {(row.u, row.v) for row in rows}
    if any((v, u) not in pairs for u, v in pairs):
        raise _Unfit("")
    return _Raw("METIS", rows, size=size, first=1, strict=True, both_directions=True)


def _dimacs(content: _Content) -> _Raw:
    """`c` comments, one `p KIND nodes edges`, then `e u v [weight]` or arcs `a u v weight`."""
    kinds = ("edge", "edges", "col", "sp", "cut", "max")
    (size, count), lines = _problem_line(content, kinds, 2, "p edge NODES EDGES")
    rows, arcs = [], False
    for number, words in lines:
        if words[0] not in ("e", "a") or len(words) not in (3, 4):
            raise _Unfit(f"line {number}: {shorten(' '.join(words), 40)!r} is no edge; write `e u v`")
        arcs |= words[0] == "a"
        rows.append(_Row(f"line {number}", words[1], words[2], _weight(words[3:], f"line {number}")))
    if count not in (len(rows), len(rows) / 2):  # each edge once, or both directions of edges that count once
        raise _Unfit(f"its p line says {count} edges, and {len(rows)} follow; correct one")
    return _Raw("DIMACS", rows, size=size, first=1, strict=True, both_directions=arcs)


def _problem_line(
    content: _Content, kinds: Sequence[str], numbers: int, shape: str
) -> tuple[list[int], list[tuple[int, list[str]]]]:
    """The numbers of the line `p KIND …`, and what follows it; `c` starts a comment."""
    first = (words[0].lower() for line in content.lines if (words := line.split()))
    if content.binary or next((word for word in first if word != "c"), None) != "p":
        raise _Unfit("")
    lines = [
        (number, words)
        for number, line in enumerate(content.lines, start=1)
        if (words := line.split()) and words[0] not in ("c", "C")
    ]
    number, words = lines[0]
    sizes = words[-numbers:]
    if len(words) < 2 + numbers or words[1] not in kinds or not all(map(_counts, sizes)):
        told = shorten(" ".join(words), 40)
        raise _Unfit(f"line {number}: {told!r} is no problem line here; write `{shape}`")
    return [int(size) for size in sizes], lines[1:]


def _qubo_file(content: _Content) -> _Raw:
    """`c` comments, `p qubo 0 size linear quadratic`, then `i j value` counted from 0."""
    sizes, lines = _problem_line(content, ("qubo",), 3, "p qubo 0 SIZE LINEAR QUADRATIC")
    rows = []
    for number, entry in lines:
        if len(entry) != 3:
            raise _Unfit(f"line {number}: {shorten(' '.join(entry), 40)!r} is no entry; write `i j value`")
        rows.append(_Row(f"line {number}", entry[0], entry[1], _number(entry[2], f"line {number}")))
    linear = sum(row.u == row.v for row in rows)
    if sizes[1:] != [linear, len(rows) - linear]:
        raise _Unfit(
            f"its p line says {sizes[1]} linear and {sizes[2]} quadratic entries, and {linear} and "
            f"{len(rows) - linear} follow; correct one"
        )
    return _Raw("p qubo", rows, size=sizes[0], first=0)


def _matrix_market(content: _Content) -> _Raw:
    """NIST's exchange format (Boisvert, Pozo & Remington, NISTIR 5935, 1996), real entries.

    SciPy's own reader can end the process on a damaged file.
    """
    if content.binary or not content.start.lower().startswith("%%matrixmarket"):
        raise _Unfit("")
    words = content.lines[0].lower().split()
    kinds = (("matrix",), ("coordinate", "array"), ("real", "integer", "pattern"), ("general", "symmetric"))
    if len(words) != 5 or any(word not in known for word, known in zip(words[1:], kinds, strict=True)):
        raise _Unfit(f"line 1: {shorten(content.lines[0], 60)!r} is no header of a real square matrix here")
    table = [
        (f"line {number}", line.split())
        for number, line in enumerate(content.lines[1:], start=2)
        if line.strip() and not line.lstrip().startswith("%")
    ]
    if not table:
        raise _Unfit("is no MatrixMarket file: its sizes are missing; write them below the header")
    (where, sizes), *entries = table
    dense, symmetric = words[2] == "array", words[4] == "symmetric"
    if len(sizes) != (2 if dense else 3) or not all(map(_counts, sizes)) or sizes[0] != sizes[1]:
        raise _Unfit(
            f"{where}: {shorten(' '.join(sizes), 40)!r} are no sizes of a square matrix; correct them"
        )
    size = int(sizes[0])
    count = (size * (size + 1) // 2 if symmetric else size * size) if dense else int(sizes[2])
    if len(entries) != count:
        raise _Unfit(f"{where} says {count} entries, and {len(entries)} follow; correct one")
    if dense:
        spots = ((i, j) for j in range(1, size + 1) for i in range(j if symmetric else 1, size + 1))
        entries = [
            (where, [str(i), str(j), *words]) for (i, j), (where, words) in zip(spots, entries, strict=True)
        ]
    rows = []
    for where, entry in entries:
        if len(entry) != (2 if words[3] == "pattern" else 3):
            raise _Unfit(f"{where}: {shorten(' '.join(entry), 40)!r} is no entry; write `row column value`")
        value = _number(entry[2], where) if len(entry) == 3 else 1.0
        if symmetric and entry[0] != entry[1]:
            rows.append(_Row(where, entry[1], entry[0], value))
        rows.append(_Row(where, entry[0], entry[1], value))
    rows = [row for row in rows if row.weight or not dense]
    return _Raw("MatrixMarket", rows, size=size, first=1, strict=True, both_directions=symmetric)


# ---- layouts of matrices


def _matrix(content: _Content) -> _Raw:
    """A square matrix of numbers: JSON, NPY, or lines; names may stand above and beside it."""
    if content.binary:
        try:
            array = load_npy(content.raw, "it", "")
        except ConfigError as error:
            raise _Unfit(f"is no NPY array of numbers ({shorten(str(error), 60)})") from error
        return _matrix_rows(array.tolist())
    if content.start.startswith(("[", "{")):
        data = content.data
        if isinstance(data, Mapping):
            data = _only(data, ("matrix", "adjacency_matrix", "adjacency", "q", "qubo"), "matrix")
        return _matrix_rows(data)
    table = [words for _, words in content.table]
    names = None
    above = [word for word in table[0] if word]
    beside = [words[0] for words in table[1:]]
    if len(table) > 2 and beside == above and (not table[0][0] or len(table[1]) > len(above)):
        names, table = above, [words[1:] for words in table[1:]]
    elif len(above) == len(table) - 1 > 1 and (
        not any(map(_is_number, above)) or above == [str(column) for column in range(len(above))]
    ):
        names, table = above, table[1:]
    raw = _matrix_rows(table)
    return raw if names is None else replace(raw, nodes=names, rows=[_named(row, names) for row in raw.rows])


def _named(row: _Row, names: Sequence[str]) -> _Row:
    return row._replace(u=names[row.u], v=names[row.v])


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+\u2212]?[\d.]+([eEdD][-+]?\d+)?", word) is not None


def _matrix_rows(matrix: Any) -> _Raw:
    if not isinstance(matrix, Sequence) or isinstance(matrix, str) or len(matrix) < 2:
        raise _Unfit("")
    size = len(matrix)
    if any(not isinstance(row, Sequence) or isinstance(row, str) or len(row) != size for row in matrix):
        raise _Unfit("")
    rows = [
        _Row(f"row {i}, column {j}", i, j, value)
        for i, line in enumerate(matrix)
        for j, word in enumerate(line)
        if (value := _number(word, f"row {i}, column {j}"))
    ]
    return _Raw("matrix", rows, size=size, first=0)


# ---- layouts of JSON


def _only(data: Mapping[str, Any], names: Sequence[str], what: str) -> Any:
    """The value of the one key of these; any other key that holds data is refused."""
    _lowered(data)
    keys = {str(key).lower(): key for key in data}
    found = [keys[name] for name in names if name in keys]
    if len(found) != 1:
        raise _Unfit("")
    for key, value in data.items():
        if key != found[0] and not _describes(key, value):
            raise _Unfit(f"has {shorten(key, 30)!r} beside its {what}, which is not understood; remove it")
    return data[found[0]]


def _describes(key: Any, value: Any) -> bool:
    return value in (None, {}, [], "") or (str(key).lower() in _DESCRIPTION and not isinstance(value, list))


def _json_edges(content: _Content) -> _Raw:
    """[[u, v, weight], …], records, or an object with `edges` or `links`: networkx's node-link data among them."""
    data = content.data
    if isinstance(data, list):
        rows = [_json_edge(index, edge) for index, edge in enumerate(data)]
        if not any(isinstance(edge, Mapping) for edge in data):
            _require_weights(rows)
        return _Raw("JSON edge list", rows)
    if not isinstance(data, Mapping):
        raise _Unfit("")
    keys = _lowered(data)
    if "adjacency" in keys:
        return _adjacency_data(keys)
    if ("edges" in keys) == ("links" in keys):
        raise _Unfit("")
    edges, nodes = keys.get("edges", keys.get("links")), keys.get("nodes", keys.get("vertices"))
    weights = keys.get("weights")
    known = ("edges", "links", "nodes", "vertices", "weights", "directed", "multigraph")
    for key, value in keys.items():
        if key not in known and not _describes(key, value):
            raise _Unfit(f"has {shorten(key, 30)!r} beside its edges, which is not understood; remove it")
    _undirected(keys)
    if not isinstance(edges, list):
        raise _Unfit(f"has edges that are no list: {shorten(edges, 40)}; write [[0, 1], …]")
    rows = [_json_edge(index, edge) for index, edge in enumerate(edges)]
    if weights is not None:
        rows = _with_weights(rows, weights)
    linked = any(isinstance(edge, Mapping) for edge in edges)
    if not linked:
        _require_weights(rows)
    raw = _Raw("JSON node-link" if linked else "JSON edges", rows)
    if isinstance(nodes, int) and not isinstance(nodes, bool):
        return replace(raw, size=nodes)
    if nodes is None:
        return raw
    if not isinstance(nodes, list):
        raise _Unfit(f"has nodes that are no list: {shorten(nodes, 40)}; write [0, 1, …]")
    return replace(raw, nodes=[_node_name(node) for node in nodes])


def _undirected(keys: Mapping[str, Any]) -> None:
    for word in ("directed", "multigraph"):
        if keys.get(word):
            raise _Unfit(
                f"is a {word.replace('ed', 'ed graph')}; give an undirected one with every edge once"
            )


def _with_weights(rows: Sequence[_Row], weights: Any) -> list[_Row]:
    if (
        not isinstance(weights, list)
        or len(weights) != len(rows)
        or any(row.weight is not None for row in rows)
    ):
        raise _Unfit("has weights that do not belong one to one to its edges; write [u, v, weight]")
    return [
        row._replace(weight=_number(weight, row.where)) for row, weight in zip(rows, weights, strict=True)
    ]


def _node_name(node: Any) -> Any:
    return node.get("id", node.get("name")) if isinstance(node, Mapping) else node


def _json_edge(index: int, edge: Any) -> _Row:
    where = f"edge {index}"
    if isinstance(edge, Mapping):
        keys = _lowered(edge)
        ends = [[keys[name] for name in names if name in keys] for names in (_SOURCE, _TARGET)]
        if len(ends[0]) != 1 or len(ends[1]) != 1:
            raise _Unfit(f"{where}: {shorten(edge, 60)} has no source and target; write them")
        return _Row(where, ends[0][0], ends[1][0], _attribute(edge, where))
    if not isinstance(edge, Sequence) or isinstance(edge, str) or len(edge) not in (2, 3):
        raise _Unfit(f"{where}: must be [u, v] or [u, v, weight], got {shorten(edge, 60)}; write e.g. [0, 1]")
    if any(isinstance(end, list | Mapping) for end in edge[:2]):
        raise _Unfit(f"{where}: must be [u, v] or [u, v, weight], got {shorten(edge, 60)}; write e.g. [0, 1]")
    weight = edge[2] if len(edge) == 3 else None
    if isinstance(weight, Mapping):
        return _Row(where, edge[0], edge[1], _attribute(weight, where))
    return _Row(where, edge[0], edge[1], None if weight is None else _number(weight, where))


def _adjacency_data(keys: Mapping[str, Any]) -> _Raw:
    """The adjacency_data of networkx: nodes, and for each the list of its neighbours."""
    nodes, lists = keys.get("nodes"), keys["adjacency"]
    if not isinstance(nodes, list) or not isinstance(lists, list) or len(nodes) != len(lists):
        raise _Unfit("")
    _undirected(keys)
    names = [_node_name(node) for node in nodes]
    rows = []
    for name, neighbours in zip(names, lists, strict=True):
        for entry in neighbours:
            where = f"node {shorten(name, 20)}"
            weight = _attribute(entry, where) if isinstance(entry, Mapping) else None
            rows.append(_Row(where, name, _node_name(entry), weight))
    return _Raw("networkx adjacency", rows, nodes=names, both_directions=True)


def _json_neighbours(content: _Content) -> _Raw:
    """{node: [neighbour, …]} or {node: {neighbour: weight or attributes}}."""
    data = content.data
    if not isinstance(data, Mapping) or not data:
        raise _Unfit("")
    if not all(isinstance(value, list | Mapping) for value in data.values()):
        raise _Unfit("")
    if any(isinstance(key, str) and key.lower() in ("edges", "links", "nodes", "linear") for key in data):
        raise _Unfit("")
    rows = []
    for name, neighbours in data.items():
        where = f"node {shorten(name, 20)}"
        pairs = (
            neighbours.items() if isinstance(neighbours, Mapping) else ((other, None) for other in neighbours)
        )
        for other, weight in pairs:
            if isinstance(other, list | Mapping):
                raise _Unfit("")
            if isinstance(weight, Mapping):
                weight = _attribute(weight, where)
            rows.append(_Row(where, name, other, None if weight is None else _number(weight, where)))
    return _Raw("JSON neighbours", rows, nodes=list(data), both_directions=True)


def _json_pairs(content: _Content) -> _Raw:
    """{(i, j): value}: Python's dictionary, or JSON with keys like "0,1"."""
    data = content.data
    if isinstance(data, Mapping) and {"linear", "quadratic", "linear_biases"} & {*map(str, data)}:
        raise _Unfit("")
    if isinstance(data, Mapping) and not any(isinstance(v, int | float) for v in data.values()):
        data = _only(data, ("q", "qubo", "edges"), "pairs")
    if not isinstance(data, Mapping) or not data:
        raise _Unfit("")
    rows = []
    for key, value in data.items():
        u, v = _pair(key)
        rows.append(_Row(f"key {shorten(key, 20)}", u, v, _number(value, f"key {shorten(key, 20)}")))
    return _Raw("dictionary of pairs", rows)


def _pair(key: Any) -> tuple[Any, Any]:
    parts = key
    if isinstance(key, str):
        bare = key.strip().strip("()[]").strip()
        parts = [part.strip().strip("\"'") for part in re.split(r"\s*[,;*|\s]\s*", bare)]
        if not all(re.fullmatch(r"[\w.\[\]]+", part) for part in parts):
            raise _Unfit(f"key {shorten(key, 30)!r} is no pair; write e.g. '0,1'")
    if not isinstance(parts, Sequence) or len(parts) not in (1, 2) or not all(str(part) for part in parts):
        raise _Unfit(f"key {shorten(key, 30)!r} is no pair; write e.g. '0,1'")
    return parts[0], parts[-1]


def _bqm(content: _Content) -> _Raw:
    """A binary quadratic model: dimod's own JSON, or {linear, quadratic, offset, vartype}."""
    data = content.data
    if not isinstance(data, Mapping):
        raise _Unfit("")
    keys = _lowered(data)
    if "linear_biases" in keys:
        linear, quadratic = _dimod_biases(keys)
    elif "linear" in keys or "quadratic" in keys:
        extra = {*keys} - {"linear", "quadratic", "offset", "constant", "vartype", "variable_type"}
        odd = [key for key in sorted(extra) if not _describes(key, keys[key])]
        if odd:
            raise _Unfit(f"has {odd[0]!r} beside linear and quadratic, which is not understood; remove it")
        linear, quadratic = _biases(keys.get("linear", {})), _couplings(keys.get("quadratic", {}))
    else:
        raise _Unfit("")
    stated = keys.get("vartype", keys.get("variable_type"))
    kind = str("BINARY" if stated is None else stated).upper().removeprefix("VARTYPE.")
    if kind not in ("BINARY", "SPIN"):
        raise _Unfit(f"has vartype {kind!r}; write BINARY or SPIN")
    offset = _number(keys.get("offset", keys.get("constant", 0)), "offset")
    rows = [_Row(f"linear {name}", name, name, value) for name, value in linear]
    rows += [_Row(f"quadratic {u},{v}", u, v, value) for u, v, value in quadratic]
    nodes = list(dict.fromkeys(str(name) for name, _ in linear))
    full = {str(end) for u, v, _ in quadratic for end in (u, v)} <= {*nodes}
    named = nodes if full and not all(re.fullmatch(r"\d+", name) for name in nodes) else None
    size = len(nodes) if full and named is None and {*nodes} == {str(k) for k in range(len(nodes))} else None
    name = "binary quadratic model" + (", bits as it names no vartype" if stated is None else "")
    return _Raw(name, rows, nodes=named, size=size, constant=offset, spins=kind == "SPIN")


def _biases(linear: Any) -> list[tuple[Any, float]]:
    pairs = (
        linear.items()
        if isinstance(linear, Mapping)
        else enumerate(linear)
        if isinstance(linear, list)
        else None
    )
    if pairs is None:
        raise _Unfit(f"has linear {shorten(linear, 40)}; write {{'0': -1.0, …}}")
    return [(name, _number(value, f"linear {name}")) for name, value in pairs]


def _couplings(quadratic: Any) -> list[tuple[Any, Any, float]]:
    if isinstance(quadratic, list):
        rows = [_json_edge(index, entry) for index, entry in enumerate(quadratic)]
        return [(row.u, row.v, _number(row.weight, row.where)) for row in rows]
    if not isinstance(quadratic, Mapping):
        raise _Unfit(f"has quadratic {shorten(quadratic, 40)}; write {{'0,1': 2.0, …}}")
    found = []
    for key, value in quadratic.items():
        if isinstance(value, Mapping):
            found += [(key, other, _number(q, f"quadratic {key},{other}")) for other, q in value.items()]
        else:
            u, v = _pair(key)
            found.append((u, v, _number(value, f"quadratic {key}")))
    return found


def _dimod_biases(keys: Mapping[str, Any]) -> tuple[list[tuple[Any, float]], list[tuple[Any, Any, float]]]:
    if keys.get("use_bytes"):
        raise _Unfit("holds its numbers as bytes; write it with bqm.to_serializable(use_bytes=False)")
    columns = ("linear_biases", "quadratic_head", "quadratic_tail", "quadratic_biases")
    lists = [keys.get(name, []) for name in columns]
    labels = keys.get("variable_labels", list(range(len(lists[0] or []))))
    if not all(isinstance(column, list) for column in (labels, *lists)):
        raise _Unfit("has biases that are no lists; write it with bqm.to_serializable(use_bytes=False)")
    linear, heads, tails, biases = lists
    names = [str(tuple(label)) if isinstance(label, list) else label for label in labels]
    said = (keys.get("num_variables", len(linear)), keys.get("num_interactions", len(biases)))
    if (
        said != (len(names), len(biases))
        or len(names) != len(linear)
        or not len(heads) == len(tails) == len(biases)
    ):
        raise _Unfit("has lists of another length than it says; write it again")
    if len({*map(str, names)}) < len(names):
        raise _Unfit("gives two variables one label; write it again")
    if not all(isinstance(end, int) and 0 <= end < len(names) for end in (*heads, *tails)):
        raise _Unfit("has a coupling of a variable that it does not have; write it again")
    quadratic = [
        (names[u], names[v], _number(q, f"quadratic {u},{v}"))
        for u, v, q in zip(heads, tails, biases, strict=True)
    ]
    return [(name, _number(h, f"linear {name}")) for name, h in zip(names, linear, strict=True)], quadratic


# ---- from rows to numbered nodes


def _numbered(
    raw: _Raw, first: int | None, declared: int | None
) -> tuple[list[Pair], tuple[str, ...], list[str]]:
    """Pairs of qubits, the nodes' names, and what was decided."""
    ends = [(row, _node(row.u, row.where), _node(row.v, row.where)) for row in raw.rows]
    seen = list(dict.fromkeys(end for _, u, v in ends for end in (u, v)))
    if raw.nodes is None and len({isinstance(end, str) for end in seen}) > 1:
        row, name = next((row, end) for row, u, v in ends for end in (u, v) if isinstance(end, str))
        raise _Unfit(f"{row.where}: {shorten(name, 30)!r} is no number as other nodes are; correct it")
    listed = None if raw.nodes is None else [_node(node, "nodes") for node in raw.nodes]
    order, remarks = _order(raw, seen, listed, first, declared)
    where = {name: index for index, name in enumerate(order)}
    for row, u, v in ends:
        for end in (u, v):
            if end not in where:
                raise _Unfit(
                    f"{row.where}: there is no node {end} among {len(order)}; correct it or the size"
                )
    pairs = [(where[u], where[v], 1.0 if row.weight is None else row.weight) for row, u, v in ends]
    return pairs, tuple(str(name) for name in order), remarks


def _node(word: Any, where: str) -> int | str:
    if isinstance(word, str) and _counts(word):
        return int(word)
    if isinstance(word, float) and word.is_integer():
        return int(word)
    if isinstance(word, bool) or not isinstance(word, int | str) or word == "":
        if isinstance(word, tuple):
            return str(word)
        raise _Unfit(f"{where}: {shorten(repr(word), 40)} is no node; write a number or a name")
    if isinstance(word, int):
        if abs(word) >= 10**MAX_DIGITS:
            raise _Unfit(f"{where}: the node has more than {MAX_DIGITS} digits; count from 0 or 1")
        return word
    if re.fullmatch(r"[-+]?\d{1,9}(\.0*)?", word.strip()):
        return int(float(word)) if "." in word else int(word)
    if _is_number(word.strip()) or re.search(r"[()\[\]{}<>,;=]|:$", word.strip()):
        raise _Unfit(f"{where}: {shorten(word, 40)!r} is no node; write a whole number or a name")
    return word.strip()


def _order(
    raw: _Raw, seen: Sequence[Any], listed: Sequence[Any] | None, first: int | None, declared: int | None
) -> tuple[Sequence[Any], list[str]]:
    """Which node becomes which qubit."""
    if listed is not None:
        if len({*listed}) < len(listed):
            raise _Unfit("names a node twice; keep one")
        numbers = all(isinstance(name, int) for name in listed)
        order = sorted(listed) if numbers else list(listed)
        return _sized(order, declared, raw), [] if order == list(range(len(order))) else [_who(order)]
    if any(isinstance(end, str) for end in seen):
        if first is not None:
            raise _Unfit("has nodes with names, which are not counted; set hamiltonian.count_from to null")
        return _sized(list(seen), declared, raw), [_who(seen)]
    if not seen:
        raise _Unfit("has no edges or entries; give at least one")
    low, high = min(seen), max(seen)
    if low < 0:
        raise _Unfit(f"has the node {low}; count from 0 or 1")
    size = raw.size if raw.size is not None else declared
    start = first if first is not None else raw.first if raw.strict else _start(raw.first, low, high, size)
    if start is None:
        return _sized(sorted(seen), declared, raw), [_who(sorted(seen))]
    if low < start:
        raise _Unfit(f"has the node {low}, and is counted from {start}; set hamiltonian.count_from")
    size = size if size is not None else high - start + 1
    if size > MAX_NODES:
        raise _Unfit(f"has {size} nodes; give at most {MAX_NODES}")
    if declared is not None and declared != size:
        raise _Unfit(f"has {size} nodes where {declared} are declared; correct one")
    plain = start == 0 and raw.first in (None, 0)
    return range(start, start + size), [] if plain else [f"counted from {start}: qubit 0 is node {start}"]


def _start(defined: int | None, low: int, high: int, size: int | None) -> int | None:
    """What the nodes are counted from; None: they are not counted, the numbers are names."""
    if low == 0:
        return 0
    if defined is not None:
        return defined
    if size is not None:
        return 1 if high == size else 0
    return 1 if low == 1 else None


def _sized(order: Sequence[Any], declared: int | None, raw: _Raw) -> Sequence[Any]:
    if len(order) > MAX_NODES:
        raise _Unfit(f"has {len(order)} nodes; give at most {MAX_NODES}")
    for size, who in ((declared, "are declared"), (raw.size, "the file announces")):
        if size is not None and size != len(order):
            raise _Unfit(f"has {len(order)} nodes where {size} {who}; correct one")
    return order


def _who(order: Sequence[Any]) -> str:
    shown = ", ".join(f"{index} = {name}" for index, name in enumerate(order[:4]))
    return f"qubits {shown}{', …' if len(order) > 4 else ''}"


def _graph(raw: _Raw, first: int | None, declared: int | None) -> Network:
    if raw.spins:
        raise _Unfit("is a quadratic model of spins, no graph; use hamiltonian=qubo")
    pairs, names, remarks = _numbered(raw, first, declared)
    for (u, v, _), row in zip(pairs, raw.rows, strict=True):
        if u == v:
            raise _Unfit(f"{row.where} joins node {names[u]} to itself; remove it")
    edges, note = _once(raw, pairs, names)
    if not edges:
        raise _Unfit("has no edges; give at least one")
    return Network(raw.layout, names, tuple(edges), remarks=(*remarks, *note))


def _once(raw: _Raw, pairs: Sequence[Pair], names: Sequence[str]) -> tuple[list[Pair], list[str]]:
    """Every edge once; both directions of all of them count as one."""
    given: dict[tuple[int, int], float] = {}
    for (u, v, weight), row in zip(pairs, raw.rows, strict=True):
        if (u, v) in given:
            raise _Unfit(f"{row.where}: the edge {names[u]}–{names[v]} stands twice; keep one")
        given[u, v] = weight
    if not any((v, u) in given for u, v in given):
        return [(min(u, v), max(u, v), weight) for (u, v), weight in given.items()], []
    for (u, v), weight in given.items():
        back = given.get((v, u))
        if back is None:
            told = f"the edge {names[u]}–{names[v]} stands in one direction where others stand in both"
            raise _Unfit(f"{told}; give all of them once")
        if back != weight:
            told = f"the edge {names[u]}–{names[v]} weighs {weight:g} one way and {back:g} the other"
            raise _Unfit(f"{told}; give it once")
    edges = [(u, v, weight) for (u, v), weight in given.items() if u < v]
    return edges, [] if raw.layout == "matrix" or raw.both_directions else ["both directions are one edge"]


def _qubo(raw: _Raw, first: int | None, declared: int | None) -> Network:
    pairs, names, remarks = _numbered(raw, first, declared)
    if not pairs:
        raise _Unfit("has no entries; give at least one")
    for row in raw.rows:
        if row.weight is None:
            raise _Unfit(f"{row.where} has no value; write `i j value`")
    if not raw.spins:
        return Network(raw.layout, names, tuple(pairs), raw.constant, tuple(remarks))
    # s = 2x − 1: J s s' = 4J xx' − 2J x − 2J x' + J, and h s = 2h x − h
    constant, entries = raw.constant, []
    for u, v, value in pairs:
        if u == v:
            entries.append((u, u, 2 * value))
            constant -= value
        else:
            entries += [(u, v, 4 * value), (u, u, -2 * value), (v, v, -2 * value)]
            constant += value
    return Network(
        raw.layout, names, tuple(entries), constant, (*remarks, "spins ±1 became bits (s = 2x − 1)")
    )


_GRAPHS: dict[str, Callable[[_Content], _Raw]] = {
    "rudy": _rudy,
    "metis": _metis,
    "dimacs": _dimacs,
    "matrix_market": _matrix_market,
    "edge_list": _edge_list,
    "edges": _json_edges,
    "neighbours": _json_neighbours,
    "pairs": _json_pairs,
    "matrix": _matrix,
}
_QUBOS: dict[str, Callable[[_Content], _Raw]] = {
    "qubo_file": _qubo_file,
    "matrix_market": _matrix_market,
    "edge_list": _edge_list,
    "edges": _json_edges,
    "neighbours": _json_neighbours,
    "pairs": _json_pairs,
    "bqm": _bqm,
    "matrix": _matrix,
}

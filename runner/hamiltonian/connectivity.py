"""Which sites of a lattice are neighbours, in groups of bonds that share no site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.declare.checks import require_choice, require_integer
from runner.errors import ConfigError

MAX_SITES = 1000
LATTICES = ("square", "triangular", "honeycomb", "kagome", "heavy_hex")

Bond = tuple[int, int]

_CELLS = {
    "triangular": (1, ((0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 1, 1))),
    "kagome": (3, ((0, 1, 0, 0), (0, 2, 0, 0), (1, 2, 0, 0), (1, 0, 0, 1), (2, 0, 1, 0), (2, 1, 1, -1))),
}
"""Sites of a unit cell, and its bonds: from a site, to a site of the cell so many rows and columns further."""


def check_lattice(lattice: str, shape: Sequence[int], periodic: bool) -> None:
    """Refuse a lattice that does not exist, or a shape that it does not have.

    Raises:
        ConfigError: naming the setting.
    """
    key = "hamiltonian.shape"
    require_choice("hamiltonian.lattice", lattice, LATTICES)
    if len(shape) != 2 and (len(shape) != 1 or lattice != "square"):
        wanted = "[sites] or [rows, columns]" if lattice == "square" else "[rows, columns]"
        given = "give one or two" if lattice == "square" else "give two, e.g. [2, 2]"
        raise ConfigError(f"must be {wanted}, got {list(shape)}; {given}", key=key)
    for index, length in enumerate(shape):
        require_integer(f"{key}[{index}]", length, 1, MAX_SITES)
    if periodic and lattice in ("triangular", "kagome") and min(shape) < 3:
        raise ConfigError(f"must be at least 3 each way to be periodic, got {list(shape)}; raise it", key=key)
    if periodic and lattice in ("honeycomb", "heavy_hex") and (min(shape) < 2 or shape[1] % 2):
        told = f"must be at least 2 each way with even columns to be periodic, got {list(shape)}; change it"
        raise ConfigError(told, key=key)
    count = sites_of(lattice, shape, periodic)
    if not 2 <= count <= MAX_SITES:
        raise ConfigError(f"makes {count} sites; give 2 to {MAX_SITES}", key=key)


def sites_of(lattice: str, shape: Sequence[int], periodic: bool) -> int:
    """Number of sites: [rows, columns] count unit cells, or hexagons of honeycomb and heavy_hex."""
    rows, columns = (1, shape[0]) if len(shape) == 1 else shape
    if lattice not in ("honeycomb", "heavy_hex"):
        return rows * columns * _CELLS.get(lattice, (1,))[0]
    corners = 2 * rows * columns if periodic else 2 * (rows + 1) * (columns + 1) - 2
    edges = 3 * rows * columns + (0 if periodic else 2 * rows + 2 * columns - 1)
    return corners + (edges if lattice == "heavy_hex" else 0)


def bonds_of(lattice: str, shape: Sequence[int], periodic: bool) -> list[list[Bond]]:
    """Pairs of neighbours, in groups that share no site.

    On the square lattice even then odd bonds of each direction; elsewhere the colours of an edge colouring.
    """
    rows, columns = (1, shape[0]) if len(shape) == 1 else shape
    if lattice == "square":
        return _square(rows, columns, periodic)
    if lattice in _CELLS:
        return coloured(sorted(_from_cells(lattice, rows, columns, periodic)))
    from rustworkx.generators import hexagonal_lattice_graph

    hexagons = hexagonal_lattice_graph(rows, columns, multigraph=False, periodic=periodic)
    edges = sorted((min(bond), max(bond)) for bond in hexagons.edge_list())
    if lattice == "heavy_hex":
        count = hexagons.num_nodes()
        edges = [(end, count + index) for index, bond in enumerate(edges) for end in bond]
    return coloured(edges)


def two_colours(lattice: str, shape: Sequence[int], periodic: bool) -> list[int]:
    """0 or 1 for every site: the two sublattices, or on a frustrated lattice a colouring that joins few equals."""
    import rustworkx

    count = sites_of(lattice, shape, periodic)
    if lattice == "square":
        return [(site // shape[-1] + site % shape[-1]) % 2 for site in range(count)]
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from_no_data([bond for group in bonds_of(lattice, shape, periodic) for bond in group])
    colours = rustworkx.two_color(graph) or rustworkx.graph_greedy_color(graph)
    return [colours[site] % 2 for site in range(count)]


def coloured(edges: Sequence[Bond]) -> list[list[Bond]]:
    """Edges in groups that share no node: as few as the largest degree on bipartite graphs, else one more at most."""
    import rustworkx

    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(1 + max(max(edge) for edge in edges)))
    graph.add_edges_from_no_data(list(edges))
    bipartite = rustworkx.is_bipartite(graph)
    colour = rustworkx.graph_bipartite_edge_color if bipartite else rustworkx.graph_misra_gries_edge_color
    groups: dict[int, list[Bond]] = {}
    for index, name in sorted(colour(graph).items()):
        groups.setdefault(name, []).append(edges[index])
    return [groups[name] for name in sorted(groups)]


def _from_cells(lattice: str, rows: int, columns: int, periodic: bool) -> Iterator[Bond]:
    sites, bonds = _CELLS[lattice]
    for row in range(rows):
        for column in range(columns):
            for start, end, down, right in bonds:
                other = (row + down, column + right)
                if periodic:
                    other = (other[0] % rows, other[1] % columns)
                elif not (0 <= other[0] < rows and 0 <= other[1] < columns):
                    continue
                u = (row * columns + column) * sites + start
                v = (other[0] * columns + other[1]) * sites + end
                yield min(u, v), max(u, v)


def _square(rows: int, columns: int, periodic: bool) -> list[list[Bond]]:
    groups: dict[tuple[int, int], list[Bond]] = {}
    for direction, length, lines in ((0, columns, rows), (1, rows, columns)):
        for start, end in _steps(length, periodic):
            colour = 2 if start == length - 1 and length % 2 else start % 2
            for line in range(lines):
                pair = (line * columns + start, line * columns + end)
                if direction == 1:
                    pair = (start * columns + line, end * columns + line)
                groups.setdefault((direction, colour), []).append(pair)
    return list(groups.values())


def _steps(length: int, periodic: bool) -> Iterator[Bond]:
    for start in range(length - 1):
        yield start, start + 1
    if periodic and length > 2:
        yield length - 1, 0

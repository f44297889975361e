"""Neighbours on lattices: counted by their coordination numbers, and against energies known in closed form."""

import numpy as np
import pytest

from runner.errors import ConfigError
from runner.hamiltonian.connectivity import bonds_of, check_lattice, sites_of, two_colours
from runner.hamiltonian.graph import MaxCut
from runner.hamiltonian.lattice import Heisenberg, TransverseIsing
from tests.test_hamiltonian import lowest


@pytest.mark.parametrize(
    ("lattice", "shape", "coordination"),
    [
        ("square", [3, 4], {4}),
        ("triangular", [3, 4], {6}),
        ("kagome", [3, 3], {4}),
        ("honeycomb", [2, 4], {3}),
        ("heavy_hex", [2, 2], {2, 3}),
    ],
)
def test_periodic_lattices_have_their_coordination(lattice, shape, coordination):
    """Every site has as many neighbours as the lattice is known for; heavy-hex sites have three or two."""
    degree = np.zeros(sites_of(lattice, shape, True), int)
    for group in bonds_of(lattice, shape, True):
        for bond in group:
            degree[list(bond)] += 1

    assert set(degree) == coordination


@pytest.mark.parametrize("lattice", ["square", "triangular", "kagome", "honeycomb", "heavy_hex"])
@pytest.mark.parametrize(("shape", "periodic"), [([1, 2], False), ([3, 2], False), ([3, 4], True)])
def test_groups_share_no_site_and_hold_every_bond_once(lattice, shape, periodic):
    """What the HVA's layers need; and all sites are there."""
    groups = bonds_of(lattice, shape, periodic)
    bonds = [tuple(sorted(bond)) for group in groups for bond in group]

    assert len(set(bonds)) == len(bonds)
    assert all(len({site for bond in group for site in bond}) == 2 * len(group) for group in groups)
    assert {site for bond in bonds for site in bond} == set(range(sites_of(lattice, shape, periodic)))


@pytest.mark.parametrize("lattice", ["square", "honeycomb", "heavy_hex"])
def test_bipartite_lattices_have_two_sublattices(lattice):
    """No bond joins a sublattice to itself."""
    colours = two_colours(lattice, [2, 2], False)

    assert all(colours[u] != colours[v] for group in bonds_of(lattice, [2, 2], False) for u, v in group)


def test_a_kagome_cell_is_a_triangle():
    """Three frustrated spins: Σ S·S = (¾ − 9/4)/2, four times that in Pauli units."""
    assert lowest(Heisenberg(name="h", lattice="kagome", shape=[1, 1]).build()) == pytest.approx(-3)


def test_a_hexagon_is_a_ring_of_six():
    """The Heisenberg ring of six has E = −(1 + √13)/2 − ½ in spin units (Bethe ansatz), four times that here."""
    expected = -4 * ((1 + np.sqrt(13)) / 2 + 0.5)

    assert lowest(Heisenberg(name="h", lattice="honeycomb", shape=[1, 1]).build()) == pytest.approx(expected)


def test_a_heavy_hexagon_is_a_ring_of_twelve():
    """The Ising ring of twelve: E = −Σ √(1 + h² − 2h cos k) over half-integer momenta (Pfeuty 1970)."""
    momenta = 2 * np.pi * (np.arange(12) + 0.5) / 12
    expected = -np.sqrt(1 + 0.7**2 - 2 * 0.7 * np.cos(momenta)).sum()
    operator = TransverseIsing(name="t", lattice="heavy_hex", shape=[1, 1], field=0.7).build()

    assert lowest(operator) == pytest.approx(expected)


def test_two_triangles_are_cut_four_times():
    """Two triangles that share an edge: four of the five edges, by hand."""
    declared = MaxCut(name="m", graph="lattice", lattice="triangular", shape=[2, 2])

    assert declared.build().to_matrix().diagonal().real.min() == pytest.approx(-4)


@pytest.mark.parametrize(
    ("lattice", "shape", "periodic", "message"),
    [
        ("triangle", [2, 2], False, "hamiltonian.lattice: .*did you mean 'triangular'"),
        ("kagome", [4], False, r"hamiltonian.shape: must be \[rows, columns\], got \[4\]; give two"),
        ("square", [2, 2, 2], False, "give one or two"),
        ("triangular", [2, 3], True, "at least 3 each way"),
        ("honeycomb", [2, 3], True, "even columns"),
        ("heavy_hex", [40, 40], False, "makes .* sites; give 2 to 1000"),
    ],
)
def test_lattices_that_do_not_exist_are_refused(lattice, shape, periodic, message):
    """One line that names the setting."""
    with pytest.raises(ConfigError, match=message):
        check_lattice(lattice, shape, periodic)

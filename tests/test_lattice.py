"""Lattice Hamiltonians against energies known in closed form."""

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from runner.errors import ConfigError
from runner.hamiltonian.lattice import XXZ, Heisenberg, Hubbard, TransverseIsing
from tests.choices import choice
from tests.test_hamiltonian import lowest

LATTICES = ("heisenberg", "xxz", "tfim", "hubbard")


def test_two_spins_make_a_singlet():
    """One Heisenberg bond: XX + YY + ZZ = −3 on the singlet."""
    assert lowest(Heisenberg(name="h", shape=[2]).build()) == pytest.approx(-3)


def test_ring_of_four_spins():
    """The Heisenberg ring of four has E = −8 in Pauli units (−2 J in spin units)."""
    assert lowest(Heisenberg(name="h", shape=[4], periodic=True).build()) == pytest.approx(-8)


@pytest.mark.parametrize("field", [0.5, 1.0, 2.0])
def test_ising_ring_is_free_fermions(field):
    """Periodic TFIM of 8: E = −Σ √(1 + h² − 2h cos k) over half-integer momenta (Pfeuty 1970)."""
    momenta = 2 * np.pi * (np.arange(8) + 0.5) / 8
    expected = -np.sqrt(1 + field**2 - 2 * field * np.cos(momenta)).sum()

    assert lowest(TransverseIsing(name="t", shape=[8], periodic=True, field=field).build()) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("repulsion", [0.0, 4.0, 10.0])
def test_hubbard_dimer(repulsion):
    """Two sites at half filling: E = −√(U²/4 + 4t²) − U/2 with µ = U/2."""
    operator = Hubbard(name="u", shape=[2], interaction=repulsion).build()

    assert lowest(operator) == pytest.approx(-np.sqrt(repulsion**2 / 4 + 4) - repulsion / 2)


def test_hubbard_without_repulsion_is_a_band():
    """The free 2×2 plaquette at half filling: both spins fill the levels −2 and one of the two at 0."""
    assert lowest(Hubbard(name="u", shape=[2, 2], interaction=0.0).build()) == pytest.approx(-4)


def test_xxz_limits():
    """Δ = 1 is the Heisenberg model, and Δ = 0 the XY chain of free fermions."""
    assert XXZ(name="x", shape=[5]).build() == Heisenberg(name="h", shape=[5]).build()
    levels = 4 * np.cos(np.pi * np.arange(1, 7) / 7)
    assert lowest(XXZ(name="x", shape=[6], anisotropy=0.0).build()) == pytest.approx(levels[levels < 0].sum())


@pytest.mark.parametrize(("shape", "periodic", "count"), [([8], False, 7), ([8], True, 8), ([2], True, 1)])
def test_bonds_of_chains(shape, periodic, count):
    """One bond fewer than sites when open, as many when periodic, and a pair is joined once."""
    bonds = [bond for group in Heisenberg(name="h", shape=shape, periodic=periodic).bonds() for bond in group]

    assert len(bonds) == len({frozenset(bond) for bond in bonds}) == count


@pytest.mark.parametrize("shape", [[3, 4], [3, 3], [5], [2, 2], [1, 6]])
@pytest.mark.parametrize("periodic", [False, True])
def test_bonds_are_grouped_without_shared_sites(shape, periodic):
    """Every group is a matching, and together they are all neighbours."""
    lattice = Heisenberg(name="h", shape=shape, periodic=periodic)
    groups = lattice.bonds()

    for group in groups:
        sites = [site for bond in group for site in bond]
        assert len(sites) == len(set(sites))
    rows, columns = (1, *shape)[-2:]
    wraps = [length > 2 and periodic for length in (rows, columns)]
    expected = rows * (columns - 1 + wraps[1]) + columns * (rows - 1 + wraps[0])
    assert sum(map(len, groups)) == expected


def test_disorder_has_a_seed_of_its_own():
    """Equal seeds give equal disorder, within its width."""
    first, again, other = (
        Heisenberg(name="h", field_disorder=0.5, disorder_seed=seed).fields() for seed in (3, 3, 4)
    )

    assert first == again != other
    assert max(map(abs, first)) <= 0.5


@pytest.mark.parametrize("name", LATTICES)
def test_parts_add_up_and_commute(name):
    """The layers of the HVA are the Hamiltonian, each of commuting terms."""
    operator = choice("hamiltonian", name).build()
    parts = operator.physics.parts

    assert (sum(parts[1:], parts[0]) - operator).simplify().coeffs == pytest.approx([0])
    assert all(part.paulis.commutes(pauli).all() for part in parts for pauli in part.paulis)


@pytest.mark.parametrize("name", LATTICES)
def test_the_preparation_solves_the_parts_it_claims(name):
    """Each part marked as prepared has its own lowest energy in the prepared state."""
    operator = choice("hamiltonian", name, shape=[4]).build()
    state = Statevector(operator.physics.preparation)
    held = [
        part
        for part, is_held in zip(operator.physics.parts, operator.physics.prepared, strict=True)
        if is_held
    ]

    assert held
    together = sum(held[1:], held[0])
    assert state.expectation_value(together).real == pytest.approx(lowest(together))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [0]}, r"hamiltonian.shape\[0\]: must be at least 1, got 0"),
        ({"shape": [1]}, "hamiltonian.shape: makes 1 sites"),
        ({"shape": [2, 2, 2]}, "hamiltonian.shape: must be"),
        ({"shape": [2.5]}, r"hamiltonian.shape\[0\]: must be an integer"),
        ({"coupling": float("nan")}, "hamiltonian.coupling: must be finite"),
        ({"field_disorder": -1.0}, "hamiltonian.field_disorder: must be at least 0"),
        ({"disorder_seed": -1}, "hamiltonian.disorder_seed: must be at least 0"),
    ],
)
def test_bad_values_are_refused(changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("hamiltonian", "tfim", **changes)


def test_a_zero_hamiltonian_is_refused():
    """All couplings zero leaves nothing to minimize."""
    with pytest.raises(ConfigError, match="is zero"):
        choice("hamiltonian", "tfim", coupling=0.0, field=0.0).build()

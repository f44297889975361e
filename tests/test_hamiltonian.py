"""Hamiltonians: what they are, what they refuse, and the energies textbooks give for them."""

import numpy as np
import pytest
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector

from runner.errors import ConfigError, ConfigWarning
from runner.hamiltonian import PauliTerms
from runner.hamiltonian.fermion import hartree_fock_state
from tests.choices import choice

MOLECULES = ("h2", "h4", "lih", "lih_4q", "beh2", "h2o")


def terms(*given, **settings):
    """A declared list of Pauli terms."""
    return PauliTerms(name="pauli", terms=list(given), **settings)


def lowest(operator):
    """Lowest eigenvalue, by dense or Lanczos diagonalization."""
    if operator.num_qubits <= 8:
        return np.linalg.eigvalsh(operator.to_matrix())[0]
    from scipy.sparse.linalg import eigsh

    start = np.ones(2**operator.num_qubits)
    return eigsh(operator.to_matrix(sparse=True), k=1, which="SA", v0=start, return_eigenvectors=False)[0]


def bits_state(bits):
    """The computational basis state with these bits, qubit 0 first."""
    return Statevector.from_label("".join(map(str, reversed(bits))))


def test_default_is_the_guides_observable():
    """hamiltonian=two_qubit is 0.398 YZ − 0.398 ZI − 0.0113 ZZ + 0.181 XX."""
    operator = choice("hamiltonian", "two_qubit").build()

    assert operator.to_list() == [("YZ", 0.398), ("ZI", -0.398), ("ZZ", -0.0113), ("XX", 0.181)]


def test_h2_has_the_textbook_ground_state():
    """H2 in sto-3g at 0.735 Å: −1.137306 Ha, nuclear repulsion included."""
    declared = choice("hamiltonian", "h2")

    assert lowest(declared.build()) == pytest.approx(-1.137306, abs=1e-6)
    assert declared.reference_energy == pytest.approx(-1.137306, abs=1e-6)


@pytest.mark.parametrize("name", MOLECULES)
def test_shipped_molecules_are_consistent(name):
    """The ground state of the terms is the FCI energy, and the reference state has the Hartree–Fock energy."""
    declared = choice("hamiltonian", name)
    operator = declared.build()

    assert lowest(operator) == pytest.approx(declared.reference_energy, abs=1e-8)
    energy = bits_state(operator.physics.reference_state).expectation_value(operator).real
    assert energy == pytest.approx(declared.hartree_fock_energy, abs=1e-8)


def test_hartree_fock_state_in_each_mapping():
    """Two electrons of each spin in four orbitals, worked out by hand."""
    assert hartree_fock_state(8, (2, 2), "jordan_wigner") == (1, 1, 0, 0, 1, 1, 0, 0)
    assert hartree_fock_state(8, (2, 2), "parity") == (1, 0, 0, 0, 1, 0, 0, 0)
    assert hartree_fock_state(8, (2, 2), "bravyi_kitaev") == (1, 0, 0, 0, 1, 0, 0, 0)
    assert hartree_fock_state(4, (1, 0), "bravyi_kitaev") == (1, 1, 0, 1)


def test_sparse_terms_equal_dense_ones():
    """[letters, coefficient, qubits] puts each letter on its qubit."""
    sparse = terms(["XZ", 0.5, [0, 2]], qubits=3).build()

    assert sparse.to_list() == [("ZIX", 0.5)]


def test_a_table_is_a_list_of_terms():
    """One label and coefficient a line; not together with terms."""
    assert (
        PauliTerms(name="pauli", table="ZZ 1.0\nXI -0.5\n").build()
        == terms(["ZZ", 1.0], ["XI", -0.5]).build()
    )
    with pytest.raises(ConfigError, match=r"hamiltonian.table\[1\]: must be `label coefficient`, got 'XI'"):
        PauliTerms(name="pauli", table="ZZ 1.0\nXI\n")
    with pytest.raises(ConfigError, match=r"hamiltonian.table: and terms are both given"):
        terms(["ZZ", 1.0], table="ZZ 1.0")


def test_duplicate_terms_are_added_with_a_warning():
    """The same label twice is summed, and said."""
    with pytest.warns(ConfigWarning, match="ZZ stands twice"):
        operator = terms(["ZZ", 1.0], ["ZZ", 0.5]).build()

    assert operator.to_list() == [("ZZ", 1.5)]


def test_constant_energy_is_warned_about():
    """Only identities: nothing to minimize."""
    with pytest.warns(ConfigWarning, match="every state has the same energy"):
        terms(["II", 1.0]).build()


@pytest.mark.filterwarnings("ignore:.*stands twice")
def test_terms_that_cancel_are_refused():
    """Nothing is left that could be measured."""
    with pytest.raises(ConfigError, match="zero or cancel"):
        terms(["ZZ", 1.0], ["ZZ", -1.0]).build()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"hamiltonian.terms: is empty"),
        ([["ZZ", 1], ["Z", 1]], r"hamiltonian.terms\[1\]: 'Z' has 1 qubit, others 2"),
        ([["ZQ", 1]], r"hamiltonian.terms\[0\]: 'Q' at position 1 of 'ZQ'"),
        ([["zz", 1]], r"'z' at position 0 of 'zz'"),
        ([["Z Z", 1]], r"' ' at position 1 of 'Z Z'"),
        ([["", 1]], r"terms\[0\]: label must be a word of I, X, Y, Z"),
        ([["-ZZ", 1]], r"'-ZZ' has a sign or phase; put the sign into the coefficient"),
        ([["iZZ", 1]], r"'iZZ' has a sign or phase"),
        ([["ZZ", "1j"]], r"terms\[0\]\[1\]: must be a real number, got '1j'"),
        ([["ZZ", 1j]], r"terms\[0\]\[1\]: must be a real number, got 1j"),
        ([["ZZ", "1.0"]], r"must be a real number, got '1.0'"),
        ([["ZZ", True]], r"must be a real number, got True"),
        ([["ZZ", float("nan")]], r"terms\[0\]\[1\]: must be finite, got nan"),
        ([["ZZ", float("inf")]], r"must be finite, got inf"),
        ([["ZZ", None]], r"terms\[0\]: 'ZZ' has no coefficient"),
        (["ZZ"], r"terms\[0\]: must be \[label, coefficient\], got 'ZZ'"),
        ([["ZZ", 1, [0, 0]]], r"terms\[0\]: 'ZZ' names a qubit twice in \[0, 0\]"),
        ([["ZZ", 1, [0]]], r"terms\[0\]: 'ZZ' needs 2 qubit numbers, got \[0\]"),
        ([["Z" * 1001, 1]], r"speaks of 1001 qubits"),
    ],
)
def test_bad_terms_are_refused(given, message):
    """Each mistake is told in one line that names the term."""
    with pytest.raises(ConfigError, match=message):
        terms(*given)


def test_sparse_index_out_of_range_is_refused():
    """A qubit that does not exist is named with its term."""
    with pytest.raises(ConfigError, match=r"terms\[0\]\[2\]: must be at most 2, got 5"):
        terms(["ZZ", 1, [0, 5]], qubits=3)


def test_electrons_must_fit_the_orbitals():
    """More electrons of one spin than orbitals is refused."""
    with pytest.raises(ConfigError, match=r"hamiltonian.electrons\[0\]: must be at most 2, got 3"):
        choice("hamiltonian", "h2", electrons=[3, 1])


def test_arithmetic_gives_plain_operators():
    """A Hamiltonian is a SparsePauliOp like any other to qiskit."""
    operator = choice("hamiltonian", "h2").build()

    assert type(operator.simplify()) is SparsePauliOp
    assert operator.apply_layout([3, 2, 1, 0]).paulis[1] == Pauli("ZIII")
    assert operator.copy().physics == operator.physics

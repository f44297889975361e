"""Coupled cluster, HVA, QAOA: the physics of the circuits and the energies they reach."""

import numpy as np
import pytest
from qiskit.quantum_info import Operator, Statevector

from runner.ansatz.excitations import evolved, excitation_pool, excitations, generator
from runner.ansatz.overlap import overlap_circuit
from runner.engine import Engine
from runner.errors import ConfigError
from tests.choices import choice


def setting(hamiltonian, ansatz, **changes):
    """Operator, declared ansatz and its circuit."""
    operator = choice("hamiltonian", hamiltonian, **changes.pop("on", {})).build()
    declared = choice("ansatz", ansatz, **changes)
    return operator, declared, declared.build(operator)


def minimum(operator, declared, circuit, seed=1):
    """Energy found by L-BFGS-B from the declared start, with exact energies and gradients."""
    plan = Engine().estimator_plan(circuit, operator)

    def gradient(x):
        energy, slope = plan.gradient(x)
        return float(energy), np.asarray(slope).reshape(-1)

    start = declared.initial_point(circuit, operator, np.random.default_rng(seed))
    method = choice("optimizer", "l_bfgs_b", max_evaluations=None, maxiter=300).build()
    options = {"rng": np.random.default_rng(1), "callback": lambda _: None}
    return method.minimize(lambda x: gradient(x)[0], start, gradient=gradient, **options).energy


def test_uccsd_of_h2_has_two_singles_and_a_double():
    """Two electrons in two orbitals: 0→1, 2→3 and both."""
    operator, _, circuit = setting("h2", "uccsd")

    assert excitations(operator) == [((0,), (1,)), ((2,), (3,)), ((0, 2), (1, 3))]
    assert circuit.num_parameters == 3


@pytest.mark.parametrize(("name", "count"), [("h4", 8 + 18), ("lih", 8 + 16)])
def test_number_of_excitations(name, count):
    """Singles and doubles that keep the spin, counted by hand."""
    assert len(excitation_pool(choice("hamiltonian", name).build())) == count


def test_uccsd_at_zero_is_hartree_fock():
    """All angles zero leave the reference state alone."""
    operator, declared, circuit = setting("lih", "uccsd")
    point = declared.initial_point(circuit, operator, np.random.default_rng(1))

    energy = Statevector(circuit.assign_parameters(point)).expectation_value(operator).real
    assert energy == pytest.approx(choice("hamiltonian", "lih").hartree_fock_energy)


@pytest.mark.parametrize("distance", [0.4, 0.735, 1.5, 2.5])
@pytest.mark.parametrize("ansatz", ["uccsd", "hartree_fock"])
def test_coupled_cluster_is_exact_for_two_electrons(distance, ansatz):
    """H2 from 0.4 to 2.5 Å; by symmetry the paired double alone is enough."""
    operator, declared, circuit = setting("hydrogen", ansatz, on={"bond_length": distance})

    assert minimum(operator, declared, circuit) == pytest.approx(operator.physics.reference_energy, abs=1e-6)


@pytest.mark.parametrize("name", ["lih", "h4", "beh2", "h2o"])
def test_coupled_cluster_reaches_chemical_accuracy(name):
    """Within 1.6 mHa of FCI for every shipped molecule."""
    operator, declared, circuit = setting(name, "uccsd")

    assert minimum(operator, declared, circuit) - choice("hamiltonian", name).reference_energy < 1.6e-3


@pytest.mark.parametrize("mapper", ["parity", "bravyi_kitaev"])
def test_coupled_cluster_in_other_mappings(mapper):
    """The same energy whatever the fermions are mapped to."""
    operator, declared, circuit = setting("hydrogen", "uccsd", on={"mapper": mapper})

    assert minimum(operator, declared, circuit) == pytest.approx(-1.137306, abs=1e-6)


def test_excitations_keep_the_number_of_electrons():
    """Every generator commutes with the numbers of electrons of either spin."""
    operator = choice("hamiltonian", "lih").build()
    count = operator.num_qubits
    for part in excitation_pool(operator).values():
        for spin in (range(count // 2), range(count // 2, count)):
            number = [("Z", [orbital], 1.0) for orbital in spin]
            from qiskit.quantum_info import SparsePauliOp

            total = SparsePauliOp.from_sparse_list(number, count)
            assert (part @ total - total @ part).simplify().coeffs == pytest.approx([0])


def test_evolved_circuit_is_the_exponential():
    """exp(−iθG) of one double excitation, as a matrix; the circuit starts from Hartree–Fock."""
    from scipy.linalg import expm

    operator = choice("hamiltonian", "h2").build()
    part = generator(operator, ((0, 2), (1, 3)))
    state = Statevector(evolved(operator, [part]).assign_parameters([0.3])).data

    reference = np.eye(16)[0b0101]
    assert abs(np.vdot(expm(-0.3j * part.to_matrix()) @ reference, state)) == pytest.approx(1)


def test_selected_excitations_are_added():
    """One single and one double, by spin orbitals."""
    _, _, circuit = setting("h2", "hartree_fock", orders="none", selected=[[0, 1], [0, 2, 1, 3]])

    assert circuit.num_parameters == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"orders": "sdt"}, "ansatz.orders: unknown choice 'sdt'"),
        ({"orders": "none"}, "ansatz.orders: none leaves no excitation"),
        ({"reps": 0}, "ansatz.reps: must be at least 1"),
        ({"selected": [[0]]}, r"ansatz.selected\[0\]: must be \[from, to\]"),
        ({"selected": [[0, 0]]}, r"ansatz.selected\[0\]: names an orbital twice"),
        ({"selected": [[0, "b"]]}, r"ansatz.selected\[0\]: must be an integer"),
    ],
)
def test_bad_excitations_are_refused(changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("ansatz", "uccsd", **changes)


@pytest.mark.parametrize(
    ("move", "message"),
    [([1, 3], "orbital 1 is empty"), ([0, 2], "orbital 2 is occupied"), ([0, 9], "orbital 9 does not exist")],
)
def test_excitations_must_fit_the_reference(move, message):
    """Electrons leave occupied orbitals for empty ones."""
    with pytest.raises(ConfigError, match=message):
        setting("h2", "uccsd", selected=[move])


def test_coupled_cluster_needs_electrons():
    """Spins have none, and that is said."""
    with pytest.raises(ConfigError, match="needs a hamiltonian of electrons"):
        setting("tfim", "uccsd")


@pytest.mark.parametrize(
    "field", [pytest.param(0.5, marks=pytest.mark.nightly), 1.0, pytest.param(2.0, marks=pytest.mark.nightly)]
)
def test_hva_solves_the_ising_chain(field):
    """Eight sites within 1 % of the exact energy from the ramp, in either phase and at the critical point."""
    operator, declared, circuit = setting("tfim", "hva", on={"field": field})
    exact = np.linalg.eigvalsh(operator.to_matrix())[0]

    assert minimum(operator, declared, circuit) <= exact + 0.01 * abs(exact)


@pytest.mark.parametrize("name", ["heisenberg", pytest.param("xxz", marks=pytest.mark.nightly), "hubbard"])
def test_hva_comes_close_on_other_lattices(name):
    """Four spins, or two electrons on two sites, within 1 %."""
    shape = [2] if name == "hubbard" else [4]
    operator, declared, circuit = setting(name, "hva", on={"shape": shape}, reps=3)
    exact = np.linalg.eigvalsh(operator.to_matrix())[0]

    assert minimum(operator, declared, circuit) <= exact + 0.01 * abs(exact)


def test_hva_splits_any_operator_into_commuting_parts():
    """An operator of unknown origin has one angle per commuting group and layer."""
    _, _, circuit = setting("two_qubit", "hva", reps=2)
    groups = choice("hamiltonian", "two_qubit").build().group_commuting()

    assert circuit.num_parameters == 2 * len(groups)


@pytest.mark.parametrize(("kind", "amplitude"), [("zeros", 1.0), ("plus", 0.25), ("reference", 0.0)])
def test_preparations(kind, amplitude):
    """Angles zero show the prepared state: |0…0⟩, |+…+⟩, or Néel."""
    _, _, circuit = setting("heisenberg", "hva", on={"shape": [4]}, preparation=kind)
    state = Statevector(circuit.assign_parameters(np.zeros(circuit.num_parameters)))

    assert abs(state.data[0]) == pytest.approx(amplitude)


def test_qaoa_on_a_regular_graph():
    """Three layers on the default 8-node 3-regular graph: approximation ratio of at least 0.9."""
    operator, declared, circuit = setting("maxcut", "qaoa")
    best = operator.to_matrix().diagonal().real.min()

    assert minimum(operator, declared, circuit) / best >= 0.9


def test_qaoa_ramp_is_already_better_than_guessing():
    """The start cuts more than the half of the edges that random bits cut."""
    operator, declared, circuit = setting("maxcut", "qaoa")
    point = declared.initial_point(circuit, operator, np.random.default_rng(1))

    assert Statevector(circuit.assign_parameters(point)).expectation_value(operator).real < -12 * 0.7


def test_qaoa_refuses_a_cost_that_is_not_diagonal():
    """The first term with X or Y is named."""
    with pytest.raises(ConfigError, match="QAOA needs a cost of Z and I only, got the term YZ"):
        setting("two_qubit", "qaoa")


@pytest.mark.parametrize("name", ["qaoa", "hva", "uccsd"])
def test_circuits_need_a_hamiltonian(name):
    """They are made of one."""
    with pytest.raises(ConfigError, match=r"^ansatz: "):
        choice("ansatz", name).build(None)


def test_overlap_circuit_is_the_identity_for_equal_angles():
    """U(a)† U(a) = 1, and in general the all-zeros amplitude is ⟨ψ(b)|ψ(a)⟩."""
    circuit = choice("ansatz", "efficient_su2", reps=1, qubits=2).build()
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 8))
    both = overlap_circuit(circuit)

    assert Operator(both.assign_parameters(np.concatenate([a, a]))).equiv(np.eye(4))
    amplitude = Statevector(both.assign_parameters(np.concatenate([a, b]))).data[0]
    states = [Statevector(circuit.assign_parameters(x)).data for x in (a, b)]
    assert abs(amplitude) == pytest.approx(abs(np.vdot(states[1], states[0])))

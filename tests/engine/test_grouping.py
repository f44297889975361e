"""Groups of terms, the Clifford circuits of commuting ones, and shots for each basis, against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector, random_pauli_list
from qiskit_aer.noise import NoiseModel, depolarizing_error

from runner.declare.estimator import GROUPINGS as DECLARED
from runner.engine import Engine
from runner.engine.diagonal import as_read, diagonalizing
from runner.engine.grouping import (
    GROUPINGS,
    groups_of,
    mean_variances_by_basis,
    variance_bounds_by_basis,
)
from runner.engine.observables import pauli_terms
from runner.errors import ConfigError

OPERATOR = SparsePauliOp(
    ["XXII", "YYII", "ZZII", "IXXI", "IZZI", "XIYZ", "IIZZ", "ZIIX", "IIII", "YXXY"],
    [0.5, 0.45, 0.4, 0.3, -0.25, 0.2, 0.15, 0.1, 0.7, 0.35],
)


def commute(first: str, second: str, *, qubit_wise: bool) -> bool:
    """Whether two strings do, from their letters."""
    clashes = sum("I" not in pair and pair[0] != pair[1] for pair in zip(first, second, strict=True))
    return clashes == 0 if qubit_wise else clashes % 2 == 0


@pytest.mark.parametrize(("grouping", "qubit_wise"), [("sorted", True), ("commuting", False)])
def test_sorted_insertion_takes_the_heaviest_first(grouping: str, qubit_wise: bool) -> None:
    """Each term is in the first group all of whose heavier terms it commutes with: Crawford et al., algorithm 1."""
    terms = pauli_terms(OPERATOR)
    weights = dict(zip(OPERATOR.paulis.to_labels(), np.abs(OPERATOR.coeffs), strict=True))
    expected: list[list[str]] = []
    for label in sorted(weights.keys() - {"IIII"}, key=lambda label: -weights[label]):
        fits = (g for g in expected if all(commute(label, other, qubit_wise=qubit_wise) for other in g))
        next(fits, None) or expected.append([])
        group = next(g for g in expected if all(commute(label, other, qubit_wise=qubit_wise) for other in g))
        group.append(label)

    found = [[terms.labels[t] for t in group] for group in groups_of(terms, grouping)]

    assert [sorted(group) for group in found] == [sorted(group) for group in expected]


def test_spreads_of_bases_add_up_from_their_terms() -> None:
    """Z + ½ IZ + ZZ in one basis: Σc² by hand; outcomes lie between −1.5 and 2.5, so the variance is at most 4."""
    terms = pauli_terms(SparsePauliOp(["ZI", "IZ", "ZZ", "XX"], [1.0, 0.5, 1.0, 2.0]))
    groups = sorted(groups_of(terms, "sorted"), key=len)

    assert mean_variances_by_basis(terms, groups) == pytest.approx(np.array([[4.0, 2.25]]))
    assert variance_bounds_by_basis(terms, groups) == pytest.approx(np.array([[4.0, 4.0]]))


def test_commuting_strings_spread_by_the_values_that_they_have_together() -> None:
    """XX · YY = −ZZ: XX + YY − ZZ is 3 or −1 by hand, so the variance is at most 4."""
    plan = Engine(grouping="commuting").estimator_plan(
        QuantumCircuit(2), SparsePauliOp(["XX", "YY", "ZZ"], [1.0, 1.0, -1.0])
    )

    assert plan.variance_bounds_by_basis == pytest.approx(np.array([[4.0]]))
    assert plan.variance_bounds == pytest.approx([4.0])


@pytest.mark.parametrize("seed", range(6))
def test_commuting_strings_become_products_of_z(seed: int) -> None:
    """U P U† by dense matrices is what is read, for maximal commuting sets of random strings."""
    strings = random_pauli_list(4, 60, seed=seed, phase=False)
    chosen: list[int] = []
    for index in range(len(strings)):
        if all(strings[index].commutes(strings[other]) for other in chosen):
            chosen.append(index)
    group = strings[chosen]

    circuit = diagonalizing(group.x, group.z)
    read = as_read(group.to_labels(), circuit)
    turn = Operator(circuit).data

    assert not read.x.any()
    for before, after in zip(group, read, strict=True):
        assert turn @ before.to_matrix() @ turn.conj().T == pytest.approx(after.to_matrix(), abs=1e-12)


def test_strings_that_need_no_entangling_gate_get_none() -> None:
    """A qubit-wise commuting set is turned by one-qubit gates alone."""
    group = pauli_terms(SparsePauliOp(["XXI", "IXY", "XIY"]))

    assert diagonalizing(group.x, group.z).num_nonlocal_gates() == 0


@pytest.mark.parametrize("grouping", ["qubit_wise", "sorted", "commuting"])
def test_energies_have_the_variance_of_each_bases_sum(grouping: str) -> None:
    """Means and σ over repetitions against ⟨O²⟩ − ⟨O⟩² of each basis's sum by the dense state; covariances count."""
    circuit = efficient_su2(4, reps=1)
    values = np.random.default_rng(5).uniform(-2, 2, circuit.num_parameters)
    engine = Engine(grouping=grouping)
    plan = engine.estimator_plan(circuit, OPERATOR)
    state = Statevector(circuit.assign_parameters(values))
    groups = groups_of(plan.terms, grouping)
    variances = []
    for group in groups:
        part = SparsePauliOp([plan.terms.labels[t] for t in group], plan.terms.coefficients[0][group])
        squared = state.expectation_value(part @ part).real
        variances.append(squared - state.expectation_value(part).real ** 2)
    shots = [200 + 150 * index for index in range(len(groups))]
    sigma = np.sqrt(sum(v / n for v, n in zip(variances, shots, strict=True)))

    found = plan.run(np.tile(values, (800, 1)), shots=shots, seed=3)
    exact = state.expectation_value(OPERATOR).real

    assert plan.num_bases == len(groups)
    assert plan.run(values, shots=None, seed=0).evs == pytest.approx(exact, abs=1e-12)
    assert found.evs.mean() == pytest.approx(exact, abs=4 * sigma / np.sqrt(800))
    assert found.evs.std() == pytest.approx(sigma, rel=0.1)  # 1/√1600 = 0.025: four of them
    assert np.sqrt((found.stds**2).mean()) == pytest.approx(sigma, rel=0.03)
    assert found.variances == pytest.approx(np.array([variances]), rel=0.05, abs=0.01)
    covered = (np.abs(found.evs - exact) <= found.stds).mean()
    assert covered == pytest.approx(0.683, abs=0.066)  # four standard errors of a share of 800
    again = plan.run(np.tile(values, (800, 1)), shots=shots, seed=3)
    assert np.array_equal(found.evs, again.evs)


def test_equal_shots_of_every_basis_are_the_same_bits_as_one_number() -> None:
    """One number stands for all bases."""
    circuit = efficient_su2(4, reps=1)
    values = np.linspace(-1, 1, circuit.num_parameters)
    plan = Engine(grouping="sorted").estimator_plan(circuit, OPERATOR)

    one = plan.run(values, shots=321, seed=9)
    each = plan.run(values, shots=[321] * plan.num_bases, seed=9)

    assert one.evs == each.evs
    assert one.stds == each.stds


@pytest.mark.parametrize("shots", [[5], [100] * 50, [0] * 5])
def test_shots_that_do_not_fit_are_refused(shots: list[int]) -> None:
    """One number, or one of at least 1 for each basis."""
    circuit = efficient_su2(4, reps=1)
    plan = Engine(grouping="sorted").estimator_plan(circuit, OPERATOR)

    with pytest.raises(ConfigError, match="shots"):
        plan.run(np.zeros(circuit.num_parameters), shots=shots, seed=9)


def test_clifford_circuits_are_fitted_to_the_device_and_take_its_noise() -> None:
    """On a line with noisy CX the gates are counted, and each basis's value is that of Aer-free dense algebra."""
    device = GenericBackendV2(4, coupling_map=[[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]], seed=2)
    noise = NoiseModel(basis_gates=["cx", "rz", "sx", "x"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), ["cx"])
    bell = QuantumCircuit(4)  # |0…0⟩ as it is: only the basis changes have noise
    operator = SparsePauliOp(["IIXX", "IIYY", "IIZZ"], [0.5, 0.5, 1.0])
    plan = Engine(device.target, noise, grouping="commuting", schedule=False).estimator_plan(bell, operator)

    found = plan.run(np.zeros((1, 0)), shots=None, seed=0).evs.item()

    assert plan.num_bases == 1
    assert plan.added_two_qubit_gates == (1,)
    # ⟨XX⟩ = ⟨YY⟩ = 0 and ⟨ZZ⟩ = 1, and a depolarizing CX keeps 0.95 of any string that it acts on
    assert found == pytest.approx(0.95, abs=1e-9)
    sampled = plan.run(np.zeros((1, 0)), shots=200_000, seed=4)
    assert sampled.evs.item() == pytest.approx(found, abs=5 * sampled.stds.item())


def test_what_is_declared_is_what_there_is() -> None:
    """The choices of a configuration are the engine's."""
    assert DECLARED == GROUPINGS

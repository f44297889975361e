"""Terms read off every basis that can: no bias, the stated error, and no split with less of it, by dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from runner.engine import Engine
from runner.engine.estimator import EstimatorPlan
from runner.engine.observables import pauli_terms
from runner.engine.reading import TermOverlaps, TermReading, readable_qubit_wise

OPERATOR = SparsePauliOp(
    [
        "XXII",
        "IXXI",
        "IIXX",
        "ZZII",
        "IZZI",
        "IIZZ",
        "YYII",
        "IIYY",
        "ZIII",
        "IZII",
        "XIXI",
        "ZXIZ",
        "XXXX",
        "IIII",
    ],
    [0.5, 0.45, 0.4, 0.3, -0.25, 0.2, 0.35, 0.3, -0.6, 0.15, 0.2, 0.1, -0.15, 0.7],
)
CIRCUIT = efficient_su2(4, reps=1)
VALUES = np.random.default_rng(5).uniform(-2, 2, CIRCUIT.num_parameters)
OTHER = SparsePauliOp(["IIZZ", "XXII", "IZII"], [1.0, -0.5, 0.25])


def test_a_basis_reads_every_term_whose_letters_it_has() -> None:
    """By hand: XX is in both bases, ZI and IZ in one; what is in two counts half in each to begin with."""
    terms = pauli_terms(SparsePauliOp(["XXI", "XXZ", "XXX", "IIZ", "III"], [0.8, 0.3, 0.2, 0.1, 5.0]))
    groups = [[terms.labels.index("XXZ"), terms.labels.index("XXI")], [terms.labels.index("XXX")]]

    overlaps = TermOverlaps(terms, readable_qubit_wise(terms, groups))

    found = [{terms.labels[term] for term in basis.terms} for basis in overlaps.readable]
    assert found == [{"XXI", "XXZ", "IIZ"}, {"XXI", "XXX"}]
    first = [
        dict(zip([terms.labels[term] for term in basis.terms], part[0].tolist(), strict=True))
        for basis, part in zip(overlaps.readable, overlaps.by_basis(overlaps.first), strict=True)
    ]
    assert first == [{"XXI": 0.4, "XXZ": 0.3, "IIZ": 0.1}, {"XXI": 0.4, "XXX": 0.2}]
    assert overlaps.mean_variances(overlaps.first) == pytest.approx(np.array([[0.26, 0.2]]))
    assert overlaps.highest_variances(overlaps.first) == pytest.approx(np.array([[0.49, 0.36]]))


def variances(plan: EstimatorPlan, weights: np.ndarray, state: Statevector) -> np.ndarray:
    """⟨O²⟩ − ⟨O⟩² of what each basis reads, (observables, bases), by dense algebra."""
    found = []
    for basis, part in zip(plan.overlaps.readable, plan.overlaps.by_basis(weights), strict=True):
        labels = [plan.terms.labels[term] for term in basis.terms]
        sums = [SparsePauliOp(labels, row) for row in part]
        found.append(
            [(state.expectation_value(one @ one) - state.expectation_value(one) ** 2).real for one in sums]
        )
    return np.array(found).T


@pytest.mark.parametrize("grouping", ["qubit_wise", "sorted", "commuting"])
def test_energies_read_off_every_basis_have_the_stated_error(grouping: str) -> None:
    """Of 800 repetitions the mean is ⟨O⟩, and the spread is what weights and dense variances say."""
    observables = [OPERATOR, OTHER]
    plan = Engine(grouping=grouping).estimator_plan(CIRCUIT, observables)
    state = Statevector(CIRCUIT.assign_parameters(VALUES))
    shots = [200 + 150 * index for index in range(plan.num_bases)]
    begun = plan.run(VALUES, shots=shots, seed=1, reading=TermReading(plan.overlaps.first, learns=True))
    assert begun.reading is not None
    dense = variances(plan, begun.reading, state)
    sigma = np.sqrt((dense / shots).sum(axis=1))
    exact = np.array([state.expectation_value(one).real for one in observables])

    found = plan.run(np.tile(VALUES, (800, 1, 1)), shots=shots, seed=3, reading=TermReading(begun.reading))

    assert np.abs(found.evs.mean(axis=0) - exact).max() <= (3 * sigma / np.sqrt(800)).max()
    assert found.evs.std(axis=0) == pytest.approx(sigma, rel=0.1)
    assert np.sqrt((found.stds**2).mean(axis=0)) == pytest.approx(sigma, rel=0.05)
    assert found.variances == pytest.approx(dense, rel=0.1, abs=0.01)
    assert begun.reading_variances == pytest.approx(dense, rel=0.4, abs=0.02)
    own = plan.run(np.tile(VALUES, (800, 1, 1)), shots=shots, seed=3)
    assert (found.stds**2).mean() <= 1.02 * (own.stds**2).mean()


def test_no_other_split_of_the_terms_has_less_variance() -> None:
    """With covariances from very many shots, moving weight from one basis to another only adds, for those shares."""
    plan = Engine(grouping="sorted").estimator_plan(CIRCUIT, OPERATOR)
    overlaps, rng = plan.overlaps, np.random.default_rng(2)
    read = [len(basis.terms) for basis in overlaps.readable]
    roots = [rng.normal(size=(count, count)) for count in read]
    covariances = [root @ root.T for root in roots]
    weights, expected = overlaps.learned(covariances, [10**9] * len(read))
    shares = np.sqrt(expected[0])
    shares = 0.05 / len(read) + 0.95 * shares / shares.sum()

    def variance(split: np.ndarray) -> float:
        parts = overlaps.by_basis(split)
        return float(
            sum((a @ c @ a.T).item() / p for a, c, p in zip(parts, covariances, shares, strict=True))
        )

    places = [
        (term, place) for place, term in enumerate(np.concatenate([b.terms for b in overlaps.readable]))
    ]
    twice = [(i, j) for term, i in places for other, j in places if term == other and i < j]
    worse = []
    for i, j in twice:
        for step in (-0.05, 0.05):
            moved = weights.copy()
            moved[0, i] += step
            moved[0, j] -= step
            worse.append(variance(moved) / variance(weights))

    assert len(twice) > 3
    assert min(worse) > 0.999


@pytest.mark.parametrize("grouping", ["sorted", "commuting"])
def test_noise_of_reading_and_gates_is_in_every_basis(grouping: str) -> None:
    """The mean of many jobs under noise is the exact value, where that is read as they are: commuting bases have
    two-qubit gates of their own.
    """
    noise = NoiseModel(basis_gates=["cx", "rz", "sx", "x", "h", "ry", "sdg"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), ["cx"])
    noise.add_all_qubit_readout_error(ReadoutError([[0.97, 0.03], [0.06, 0.94]]))
    plan = Engine(noise_model=noise, grouping=grouping).estimator_plan(CIRCUIT, OPERATOR)
    shots = [1000] * plan.num_bases
    begun = plan.run(VALUES, shots=shots, seed=1, reading=TermReading(plan.overlaps.first, learns=True))
    assert begun.reading is not None

    found = plan.run(np.tile(VALUES, (200, 1)), shots=shots, seed=3, reading=TermReading(begun.reading))

    exact = plan.run(VALUES, shots=None, seed=0, reading=TermReading(begun.reading)).evs.item()
    assert found.evs.mean() == pytest.approx(exact, abs=3 * found.stds.mean() / np.sqrt(200))
    assert found.evs.std() == pytest.approx(found.stds.mean(), rel=0.2)

"""Sampled expectation values: means, standard errors, streams of random numbers, measurement bases."""

from __future__ import annotations

import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import PauliList, SparsePauliOp
from scipy.stats import chi2

from runner.engine import Engine
from runner.engine.measurement import draw_counts, stream
from runner.engine.observables import measurement_bases, pauli_terms
from tests.engine.strategies import heisenberg

ENGINE = Engine()


@pytest.mark.parametrize("engine", [ENGINE, Engine(engine="aer"), Engine(method="matrix_product_state")])
def test_means_and_errors_are_honest(engine: Engine, rng: np.random.Generator) -> None:
    """Over many jobs the mean is the exact value, and the spread is the standard error that was reported."""
    sets = 40 if engine.method == "matrix_product_state" else 400
    circuit = efficient_su2(3, reps=1)
    plan = engine.estimator_plan(circuit, heisenberg(3))
    values = rng.uniform(-4, 4, circuit.num_parameters)
    exact = ENGINE.estimator_plan(circuit, heisenberg(3)).run(values, shots=None, seed=1).evs
    numbers = plan.run(np.tile(values, (sets, 1)), shots=1000, seed=5)
    spread = numbers.evs.std(ddof=1)

    assert abs(numbers.evs.mean() - exact) < 4 * spread / math.sqrt(sets)
    assert abs(spread / numbers.stds.mean() - 1) < 4 / math.sqrt(2 * sets)


def test_one_sigma_interval_covers(rng: np.random.Generator) -> None:
    """The exact value lies within ± one standard error in 68 % of many different states and observables."""
    hits = total = 0
    for _ in range(8):
        circuit = efficient_su2(4, reps=1)
        labels = ["".join(rng.choice(list("IXYZ"), 4)) for _ in range(10)]
        plan = ENGINE.estimator_plan(circuit, SparsePauliOp(labels, rng.normal(size=10)))
        values = rng.uniform(-4, 4, (200, circuit.num_parameters))
        exact = plan.run(values, shots=None, seed=1).evs
        numbers = plan.run(values, shots=512, seed=int(rng.integers(1, 2**40)))
        hits += int((np.abs(numbers.evs - exact) < numbers.stds).sum())
        total += len(exact)

    assert abs(hits / total - math.erf(1 / math.sqrt(2))) < 4 * math.sqrt(0.217 / total)


def test_errors_know_the_correlations_within_a_basis() -> None:
    """ZI + IZ on a Bell pair: both terms always agree, so the variance is 4, not 2, per shot."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    plan = ENGINE.estimator_plan(circuit, SparsePauliOp(["ZI", "IZ"]))
    difference = ENGINE.estimator_plan(circuit, SparsePauliOp(["ZI", "IZ"], [1, -1]))

    assert plan.num_bases == 1
    assert plan.run(np.zeros(0), shots=10_000, seed=3).stds == pytest.approx(2 / 100, rel=1e-3)
    assert difference.run(np.zeros(0), shots=10_000, seed=3).stds == 0


def test_streams_do_not_depend_on_batches_or_threads(rng: np.random.Generator) -> None:
    """The k-th set of a job draws the same numbers in any batch, thread or engine instance."""
    circuit = efficient_su2(3, reps=1)
    values = rng.uniform(-4, 4, (7, circuit.num_parameters))

    def job(_: int) -> np.ndarray:
        return Engine(threads=2).estimator_plan(circuit, heisenberg(3)).run(values, shots=200, seed=11).evs

    plan = ENGINE.estimator_plan(circuit, heisenberg(3))
    whole = plan.run(values, shots=200, seed=11).evs
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(job, range(4)):
            assert np.array_equal(other, whole)
    assert np.array_equal(plan.run(values[:3], shots=200, seed=11).evs, whole[:3])
    assert np.array_equal(plan.run(values.reshape(7, 1, -1), shots=200, seed=11).evs.ravel(), whole)
    assert not np.array_equal(plan.run(values, shots=200, seed=12).evs, whole)


def test_native_aer_samples_differ_between_calls(rng: np.random.Generator) -> None:
    """A native circuit run again with another seed gives other samples: the seed is set for every call."""
    circuit = efficient_su2(3, reps=1)
    plan = Engine(method="matrix_product_state").estimator_plan(circuit, heisenberg(3))
    values = rng.uniform(-4, 4, circuit.num_parameters)
    results = {float(plan.run(values, shots=100, seed=seed).evs) for seed in (1, 2, 3)}

    assert len(results) == 3
    assert float(plan.run(values, shots=100, seed=1).evs) in results


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 60))
def test_no_more_bases_than_qiskit(seed: int, qubits: int, terms: int) -> None:
    """Groups commute qubit by qubit, hold every term once, and are at most as many as qiskit's."""
    generator = np.random.default_rng(seed)
    labels = sorted({"".join(generator.choice(list("IXYZ"), qubits)) for _ in range(terms)} - {"I" * qubits})
    if not labels:
        return
    found = pauli_terms(SparsePauliOp(labels))
    groups = measurement_bases(found.x, found.z)

    assert sorted(t for group in groups for t in group) == list(range(len(labels)))
    for group in groups:
        for qubit in range(qubits):
            letters = {found.labels[t][-1 - qubit] for t in group} - {"I"}
            assert len(letters) <= 1
    assert len(groups) <= len(PauliList(labels).group_commuting(qubit_wise=True))


def test_idle_qubits_are_measured_too() -> None:
    """⟨X⟩ of an untouched qubit is 0 with a shot's full spread; ⟨Z⟩ is 1 without any."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    numbers = ENGINE.estimator_plan(
        circuit, [SparsePauliOp("XII"), SparsePauliOp("IZI"), SparsePauliOp("IIX")]
    ).run(np.zeros(0), shots=2500, seed=4)

    np.testing.assert_allclose(numbers.evs, [0, 1, 1], atol=0.1)
    np.testing.assert_allclose(numbers.stds, [0.02, 0, 0], atol=1e-3)


def test_many_shots_are_counted_at_once_and_are_as_probable() -> None:
    """Of 10^6 shots of 8 qubits no outcome is drawn by itself (tracemalloc: less than a byte for each shot), and
    Pearson's χ² of the counts against the probabilities that they were drawn from is what 255 degrees of freedom give.
    """
    generator = np.random.default_rng(8)
    probabilities = generator.dirichlet(np.ones(256))
    tracemalloc.start()
    counts = draw_counts(probabilities, 10**6, stream(1, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = 10**6 * probabilities

    assert counts.sum() == 10**6
    assert peak < 10**6
    assert chi2.cdf(((counts - expected) ** 2 / expected).sum(), 255) < 0.999


def test_runs_of_before_draw_shot_by_shot() -> None:
    """With `singly` counts are those of NumPy's `searchsorted` on the same random numbers, shot by shot."""
    probabilities = np.random.default_rng(8).dirichlet(np.ones(256))
    points = stream(1, 0).random(10_000) * np.cumsum(probabilities)[-1]
    drawn = np.searchsorted(np.cumsum(probabilities), points, side="right")

    counts = draw_counts(probabilities, 10_000, stream(1, 0), singly=True)

    np.testing.assert_array_equal(counts, np.bincount(drawn, minlength=256))

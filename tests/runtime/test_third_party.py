"""Code of others, unmodified, in our sessions: qiskit-algorithms' solvers, which ask for Qiskit's interfaces."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp

from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2, Session

pytest.importorskip("qiskit_algorithms")

from qiskit_algorithms import QAOA, VQD, VQE
from qiskit_algorithms.optimizers import COBYLA, SLSQP
from qiskit_algorithms.state_fidelities import ComputeUncompute

HAMILTONIAN = SparsePauliOp(["ZZ", "XI", "IX"], [1, 0.5, 0.5])
LEVELS = np.linalg.eigvalsh(HAMILTONIAN.to_matrix())


@pytest.fixture
def service() -> LocalRuntimeService:
    """An ideal device is all that is needed."""
    return LocalRuntimeService(seed=1)


def test_vqe_finds_the_ground_state(service: LocalRuntimeService) -> None:
    """Dense algebra says which; every evaluation is a job of the session."""
    with Session(service.backend("ideal")) as session:
        estimator = EstimatorV2(options={"default_precision": 0})
        start = np.full(8, 0.3)
        found = VQE(estimator, efficient_su2(2, reps=1), SLSQP(maxiter=25), initial_point=start)
        result = found.compute_minimum_eigenvalue(HAMILTONIAN)

    assert result.eigenvalue.real == pytest.approx(LEVELS[0], abs=1e-3)
    assert len(service.jobs(limit=None, session_id=session.session_id)) >= result.cost_function_evals > 0


def test_compute_uncompute_counts_zeros(service: LocalRuntimeService) -> None:
    """|⟨0|0⟩|² = 1 and |⟨0|1⟩|² = 0."""
    zero, one = QuantumCircuit(1), QuantumCircuit(1)
    one.x(0)
    fidelity = ComputeUncompute(SamplerV2(service.backend("ideal")))

    assert [fidelity.run(zero, other).result().fidelities for other in (zero, one)] == [[1], [0]]


@pytest.mark.nightly
def test_vqd_stays_between_the_levels(service: LocalRuntimeService) -> None:
    """Its levels are expectation values, none lower than the lowest; dense algebra says which."""
    with Session(service.backend("ideal")):
        fidelity = ComputeUncompute(SamplerV2())
        estimator = EstimatorV2(options={"default_precision": 0})
        solver = VQD(estimator, fidelity, efficient_su2(2, reps=1), COBYLA(maxiter=15), k=2)
        levels = solver.compute_eigenvalues(HAMILTONIAN).eigenvalues

    assert all(LEVELS[0] - 1e-9 <= level.real <= LEVELS[-1] + 1e-9 for level in levels)


@pytest.mark.nightly
def test_qaoa_cuts_an_edge(service: LocalRuntimeService) -> None:
    """One layer reaches −1 on one edge (E. Farhi et al., arXiv:1411.4028), so both best strings cut it."""
    with Session(service.backend("ideal")):
        result = QAOA(SamplerV2(), COBYLA(maxiter=20), initial_point=[0.5, 0.5]).compute_minimum_eigenvalue(
            SparsePauliOp(["ZZ"], [1.0])
        )

    assert result.best_measurement["bitstring"] in ("01", "10")
    assert result.eigenvalue.real < -0.8

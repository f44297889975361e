"""Code of others, unmodified, in our sessions: every answer is known from algebra that is not theirs and not ours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import PauliList, SparsePauliOp, Statevector

from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2, Session
from tests.others import bell, hydrogen

HAMILTONIAN = SparsePauliOp(["ZZ", "XI", "IX"], [1, 0.5, 0.5])
LEVELS = np.linalg.eigvalsh(HAMILTONIAN.to_matrix())
EXACT = {"default_precision": 0}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


@pytest.fixture
def service() -> LocalRuntimeService:
    """An ideal device is enough for most."""
    return LocalRuntimeService(seed=1)


# -- qiskit-algorithms ----------------------------------------------------------------------------------


def test_vqe_finds_the_ground_state(service: LocalRuntimeService) -> None:
    """Dense algebra says which; every evaluation is a job of the session."""
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import SLSQP

    with Session(service.backend("ideal")) as session:
        estimator = EstimatorV2(options=EXACT)
        start = np.full(8, 0.3)
        found = algorithms.VQE(estimator, efficient_su2(2, reps=1), SLSQP(maxiter=25), initial_point=start)
        result = found.compute_minimum_eigenvalue(HAMILTONIAN)

    assert result.eigenvalue.real == pytest.approx(LEVELS[0], abs=1e-3)
    assert len(service.jobs(limit=None, session_id=session.session_id)) >= result.cost_function_evals > 0


def test_compute_uncompute_counts_zeros(service: LocalRuntimeService) -> None:
    """|⟨0|0⟩|² = 1 and |⟨0|1⟩|² = 0."""
    pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.state_fidelities import ComputeUncompute

    zero, one = QuantumCircuit(1), QuantumCircuit(1)
    one.x(0)
    fidelity = ComputeUncompute(SamplerV2(service.backend("ideal")))

    assert [fidelity.run(zero, other).result().fidelities for other in (zero, one)] == [[1], [0]]


@pytest.mark.nightly
def test_vqd_stays_between_the_levels(service: LocalRuntimeService) -> None:
    """Its levels are expectation values, none lower than the lowest; dense algebra says which."""
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import COBYLA
    from qiskit_algorithms.state_fidelities import ComputeUncompute

    with Session(service.backend("ideal")):
        fidelity = ComputeUncompute(SamplerV2())
        estimator = EstimatorV2(options=EXACT)
        solver = algorithms.VQD(estimator, fidelity, efficient_su2(2, reps=1), COBYLA(maxiter=15), k=2)
        levels = solver.compute_eigenvalues(HAMILTONIAN).eigenvalues

    assert all(LEVELS[0] - 1e-9 <= level.real <= LEVELS[-1] + 1e-9 for level in levels)


@pytest.mark.nightly
def test_qaoa_cuts_an_edge(service: LocalRuntimeService) -> None:
    """One layer reaches −1 on one edge (E. Farhi et al., arXiv:1411.4028), so both best strings cut it."""
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import COBYLA

    with Session(service.backend("ideal")):
        solver = algorithms.QAOA(SamplerV2(), COBYLA(maxiter=20), initial_point=[0.5, 0.5])
        result = solver.compute_minimum_eigenvalue(SparsePauliOp(["ZZ"], [1.0]))

    assert result.best_measurement["bitstring"] in ("01", "10")
    assert result.eigenvalue.real < -0.8


# -- qiskit-nature --------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_ground_state_eigensolver_finds_hydrogen(service: LocalRuntimeService) -> None:
    """H2 in STO-3G at 0.7414 Å by the integrals of J. Whitfield et al. (arXiv:1001.3855): −1.13727 Ha."""
    pytest.importorskip("qiskit_nature")
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import SLSQP
    from qiskit_nature.second_q.algorithms import GroundStateEigensolver

    problem, mapper, ansatz = hydrogen()
    with Session(service.backend("ideal")):
        solver = algorithms.VQE(EstimatorV2(options=EXACT), ansatz, SLSQP(maxiter=20))
        solver.initial_point = np.zeros(ansatz.num_parameters)
        found = GroundStateEigensolver(mapper, solver).solve(problem)

    assert found.total_energies[0] == pytest.approx(-1.13727, abs=2e-5)


# -- qiskit-experiments ---------------------------------------------------------------------------------


def t1_experiment(backend: object) -> object:
    """Eight delays up to about twice T1."""
    library = pytest.importorskip("qiskit_experiments.library")
    return library.T1((0,), delays=np.linspace(1e-6, 240e-6, 8), backend=backend)


@pytest.mark.nightly
@pytest.mark.parametrize("by", ["sampler", "backend"])
def test_t1_is_the_devices(service: LocalRuntimeService, by: str) -> None:
    """The decay that is fitted is the one that the snapshot's calibration says, within its own error."""
    backend = service.backend("fake_manila")
    experiment = t1_experiment(backend)
    with Session(backend) as session:
        data = experiment.run(**({"sampler": SamplerV2()} if by == "sampler" else {}))  # type: ignore[attr-defined]
        data.block_for_results()

    assert data.errors() == ""
    fitted = next(one for one in data.analysis_results() if one.name == "T1").value
    wanted = backend.qubit_properties(0).t1
    assert fitted.nominal_value == pytest.approx(wanted, abs=5 * fitted.std_dev)
    assert len(service.jobs()) == 1
    if by == "sampler":  # by a backend it is the client's own Sampler, which knows no session of ours
        assert service.jobs(session_id=session.session_id) == service.jobs()


@pytest.mark.nightly
@pytest.mark.parametrize("by", ["sampler", "backend"])
def test_tomography_finds_a_bell_state(service: LocalRuntimeService, by: str) -> None:
    """Without noise its fidelity is 1 up to shot noise."""
    library = pytest.importorskip("qiskit_experiments.library")
    backend = service.backend("ideal")
    experiment = library.StateTomography(bell(), backend=backend)
    data = experiment.run(**({"sampler": SamplerV2(backend)} if by == "sampler" else {}))
    data.block_for_results()
    found = {one.name: one.value for one in data.analysis_results()}

    assert data.errors() == ""
    assert found["state_fidelity"] > 0.97


# -- qiskit-addons --------------------------------------------------------------------------------------


def test_backpropagated_observables_are_measured(service: LocalRuntimeService) -> None:
    """What is left of the circuit with what became of the observable has the whole circuit's value (state vector)."""
    pytest.importorskip("qiskit_addon_obp")
    from qiskit_addon_obp import backpropagate
    from qiskit_addon_obp.utils.simplify import OperatorBudget
    from qiskit_addon_utils.slicing import combine_slices, slice_by_gate_types

    circuit = QuantumCircuit(3)
    for _ in range(3):
        circuit.rx(0.3, [0, 1, 2])
        circuit.rzz(0.4, 0, 1)
        circuit.rzz(0.2, 1, 2)
    observable = SparsePauliOp(["ZII", "IZI"], [1, 0.5])
    slices = slice_by_gate_types(circuit)
    propagated, rest, _ = backpropagate(
        observable, slices[-4:], operator_budget=OperatorBudget(max_paulis=30)
    )
    left = combine_slices(slices[:-4] + rest, include_barriers=True)
    found = (
        EstimatorV2(service.backend("ideal"), options=EXACT).run([(left, propagated)]).result()[0].data.evs
    )

    assert propagated.coeffs.dtype == complex
    assert float(found) == pytest.approx(Statevector(circuit).expectation_value(observable).real, abs=1e-12)


@pytest.mark.nightly
def test_a_cut_circuit_has_the_whole_ones_values(service: LocalRuntimeService) -> None:
    """Two halves joined by one gate, every term of the cut evaluated; within six standard errors times its overhead."""
    pytest.importorskip("qiskit_addon_cutting")
    from qiskit_addon_cutting import (
        generate_cutting_experiments,
        partition_problem,
        reconstruct_expectation_values,
    )

    circuit = QuantumCircuit(4)
    circuit.h([0, 2])
    circuit.cx(0, 1)
    circuit.rzz(0.7, 1, 2)
    circuit.cx(2, 3)
    circuit.rx(0.3, [0, 1, 2, 3])
    observables = PauliList(["ZZII", "IIZZ", "XXII", "IZZI"])
    halves = partition_problem(circuit=circuit, partition_labels="AABB", observables=observables)
    experiments, weights = generate_cutting_experiments(
        circuits=halves.subcircuits, observables=halves.subobservables, num_samples=np.inf
    )
    shots = 20000
    with Session(service.backend("ideal")):
        sampler = SamplerV2()
        results = {label: sampler.run(parts, shots=shots).result() for label, parts in experiments.items()}
    found = reconstruct_expectation_values(results, weights, halves.subobservables)
    wanted = [Statevector(circuit).expectation_value(SparsePauliOp(one)).real for one in observables]

    overhead = 1 + 2 * abs(math.sin(0.7))  # of an rzz (C. Piveteau and D. Sutter, arXiv:2205.00016)
    assert np.allclose(found, wanted, atol=6 * overhead * 2 / math.sqrt(shots))


@pytest.mark.nightly
def test_sqd_diagonalizes_in_the_sampled_subspace(service: LocalRuntimeService) -> None:
    """All 16 strings are seen, so its lowest energy is the lowest of all (dense algebra)."""
    pytest.importorskip("qiskit_addon_sqd")
    from qiskit_addon_sqd.counts import bit_array_to_arrays
    from qiskit_addon_sqd.qubit import solve_qubit

    circuit = QuantumCircuit(4)
    circuit.h([0, 1, 2, 3])
    circuit.measure_all()
    bits = SamplerV2(service.backend("ideal")).run([circuit], shots=400).result()[0].data.meas
    strings, _ = bit_array_to_arrays(bits)
    hamiltonian = SparsePauliOp(
        ["ZZII", "IZZI", "IIZZ", "XIII", "IXII", "IIXI", "IIIX"], [-1, -1, -1, 0.5, 0.5, 0.5, 0.5]
    )
    levels, _ = solve_qubit(strings, hamiltonian)

    assert len(strings) == 16
    assert min(levels) == pytest.approx(np.linalg.eigvalsh(hamiltonian.to_matrix())[0], abs=1e-8)


# -- mitigation of others -------------------------------------------------------------------------------


@pytest.mark.nightly
def test_mitiq_extrapolates_nearer_to_the_truth(service: LocalRuntimeService) -> None:
    """An even number of cx is the identity: P(00) = 1, from which depolarizing moves by its rate at every fold."""
    mitiq = pytest.importorskip("mitiq")
    backend = service.backend("fake_manila")
    circuit = QuantumCircuit(2)
    for _ in range(10):
        circuit.cx(0, 1)

    def execute(folded: QuantumCircuit) -> float:
        measured = folded.measure_all(inplace=False)
        isa = transpile(measured, backend, optimization_level=0, initial_layout=[0, 1])
        counts = SamplerV2().run([isa], shots=20000).result()[0].data.meas.get_counts()
        return float(counts.get("00", 0) / 20000)

    with Session(backend):
        raw = execute(circuit)
        mitigated = mitiq.zne.execute_with_zne(circuit, execute)

    assert abs(1 - mitigated) < abs(1 - raw)


def test_m3_undoes_the_readout(service: LocalRuntimeService) -> None:
    """Readout errors of two qubits are undone: what is left of |01⟩ and |10⟩ is the gate's error, below one percent."""
    mthree = pytest.importorskip("mthree")
    backend = service.backend("fake_manila")
    circuit = bell()
    circuit.measure_all()
    isa = transpile(circuit, backend, initial_layout=[0, 1], seed_transpiler=1)
    mapping = mthree.utils.final_measurement_mapping(isa)
    shots = 20000
    with Session(backend):
        correction = mthree.M3Mitigation(backend)
        correction.cals_from_system(mapping, shots=shots)
        counts = SamplerV2().run([isa], shots=shots).result()[0].data.meas.get_counts()
    found = correction.apply_correction(counts, mapping)
    raw = (counts["01"] + counts["10"]) / shots
    misread = sum(backend.target["measure"][(qubit,)].error for qubit in (0, 1))

    assert raw == pytest.approx(misread, abs=0.02)
    assert abs(found.get("01", 0) + found.get("10", 0)) < 0.012 < raw
    assert len(service.jobs(job_tags=["M3 calibration"])) == 1


# -- PennyLane ------------------------------------------------------------------------------------------


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["ideal", "fake_manila"])
def test_pennylanes_remote_device_runs_on_our_backends(service: LocalRuntimeService, name: str) -> None:
    """⟨Z₁⟩ = cos 0.5 after RX(0.5) and CNOT, within shot noise (and the errors of fake_manila, below 0.05)."""
    pennylane = pytest.importorskip("pennylane")
    pytest.importorskip("pennylane_qiskit")
    device = pennylane.device("qiskit.remote", wires=2, backend=service.backend(name), shots=8000)

    @pennylane.qnode(device)
    def circuit(angle: float) -> object:
        pennylane.RX(angle, wires=0)
        pennylane.CNOT(wires=[0, 1])
        return pennylane.expval(pennylane.PauliZ(1)), pennylane.probs(wires=[0])

    value, probabilities = circuit(0.5)  # type: ignore[misc]
    tolerance = 0.03 if name == "ideal" else 0.08

    assert float(value) == pytest.approx(math.cos(0.5), abs=tolerance)
    assert float(probabilities[0]) == pytest.approx(math.cos(0.25) ** 2, abs=tolerance)
    assert service.usage()["jobs"] > 0

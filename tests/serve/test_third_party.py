"""Code of others and the client, both unmodified, against a server; in process: `tests/runtime/test_third_party.py`."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import PauliList, SparsePauliOp, Statevector
from qiskit.transpiler import generate_preset_pass_manager

from tests.others import bell, hydrogen
from tests.serve.serving import environment, thread, variables

client = pytest.importorskip("qiskit_ibm_runtime")

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]

HAMILTONIAN = SparsePauliOp(["ZZ", "XI", "IX"], [1, 0.5, 0.5])
LEVELS = np.linalg.eigvalsh(HAMILTONIAN.to_matrix())
SHOTS = 8000


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A five-qubit device whose time is the virtual clock's."""
    logging.getLogger("qiskit_runtime_service").setLevel(logging.ERROR)
    words = ("backend=fake_manila", "session.clock=virtual")
    with (
        thread(tmp_path_factory.mktemp("third") / "serve", *words) as (_, root),
        environment(variables(root)),
    ):
        yield client.QiskitRuntimeService().least_busy()


@pytest.fixture(scope="module")
def ideal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A device that makes no errors."""
    words = ("backend=ideal", "session.clock=virtual")
    with (
        thread(tmp_path_factory.mktemp("ideal") / "serve", *words) as (_, root),
        environment(variables(root)),
    ):
        yield client.QiskitRuntimeService().least_busy()


def isa(circuit: QuantumCircuit, backend: Any) -> QuantumCircuit:
    """On the first qubits, which are neighbours."""
    layout = list(range(circuit.num_qubits))
    return transpile(circuit, backend, initial_layout=layout, optimization_level=1, seed_transpiler=1)


def test_vqe_goes_down(backend: Any) -> None:
    """A few steps of SPSA in a session come below the start, and not below the ground state by more than noise."""
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import SPSA

    algorithms.utils.algorithm_globals.random_seed = 3
    ansatz = isa(efficient_su2(2, reps=1), backend)
    energies: list[float] = []
    with client.Session(backend) as session:
        estimator = client.EstimatorV2(mode=session, options={"default_shots": SHOTS})
        solver = algorithms.VQE(
            estimator, ansatz, SPSA(maxiter=12, learning_rate=0.3, perturbation=0.2),
            initial_point=np.full(8, 0.3), callback=lambda _n, _p, mean, _m: energies.append(float(mean)),
        )  # fmt: skip
        result = solver.compute_minimum_eigenvalue(HAMILTONIAN)

    assert result.eigenvalue.real < energies[0] - 0.3
    assert min(energies) > LEVELS[0] - 0.1


def test_compute_uncompute(backend: Any) -> None:
    """|⟨0|0⟩|² is 1 but for readout errors (4 % a qubit at most), |⟨0|1⟩|² is 0."""
    pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.state_fidelities import ComputeUncompute

    zero, one = QuantumCircuit(1), QuantumCircuit(1)
    one.x(0)
    passes = generate_preset_pass_manager(1, backend, initial_layout=[0])
    fidelity = ComputeUncompute(client.SamplerV2(backend), transpiler=passes)

    assert fidelity.run(zero, zero).result().fidelities[0] > 0.9
    assert fidelity.run(zero, one).result().fidelities[0] < 0.1


def test_vqd(ideal: Any) -> None:
    """Its levels are expectation values, none outside the spectrum (dense algebra) by more than shot noise."""
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import COBYLA
    from qiskit_algorithms.state_fidelities import ComputeUncompute

    passes = generate_preset_pass_manager(1, basis_gates=["rz", "sx", "x", "cx"])
    with client.Session(ideal) as session:
        fidelity = ComputeUncompute(client.SamplerV2(mode=session), transpiler=passes)
        estimator = client.EstimatorV2(mode=session, options={"default_shots": SHOTS})
        ansatz = efficient_su2(2, reps=1)
        solver = algorithms.VQD(estimator, fidelity, ansatz, COBYLA(maxiter=12), k=2, transpiler=passes)
        levels = solver.compute_eigenvalues(HAMILTONIAN).eigenvalues

    assert all(LEVELS[0] - 0.1 <= level.real <= LEVELS[-1] + 0.1 for level in levels)


def test_qaoa(ideal: Any) -> None:
    """One layer reaches −1 on one edge (E. Farhi et al., arXiv:1411.4028), so the best strings cut it."""
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import COBYLA

    passes = generate_preset_pass_manager(1, basis_gates=["rz", "sx", "x", "cx"])
    solver = algorithms.QAOA(
        client.SamplerV2(ideal), COBYLA(maxiter=20), initial_point=[0.5, 0.5], transpiler=passes
    )
    result = solver.compute_minimum_eigenvalue(SparsePauliOp(["ZZ"], [1.0]))

    assert result.best_measurement["bitstring"] in ("01", "10")
    assert result.eigenvalue.real < -0.8


def test_ground_state_eigensolver(ideal: Any) -> None:
    """H2 in STO-3G at 0.7414 Å by the integrals of J. Whitfield et al. (arXiv:1001.3855): full CI is −1.13727 Ha."""
    pytest.importorskip("qiskit_nature")
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit_algorithms.optimizers import COBYLA
    from qiskit_nature.second_q.algorithms import GroundStateEigensolver

    problem, mapper, ansatz = hydrogen()
    with client.Session(ideal) as session:
        estimator = client.EstimatorV2(mode=session, options={"default_shots": 40000})
        passes = generate_preset_pass_manager(1, ideal, initial_layout=[0, 1, 2, 3])
        solver = algorithms.VQE(estimator, ansatz, COBYLA(maxiter=25, rhobeg=0.2), transpiler=passes)
        solver.initial_point = np.zeros(ansatz.num_parameters)
        found = GroundStateEigensolver(mapper, solver).solve(problem)

    assert found.total_energies[0] == pytest.approx(-1.13727, abs=0.02)


@pytest.mark.parametrize("by", ["sampler", "backend"])
def test_t1(backend: Any, by: str) -> None:
    """The decay that is fitted is the calibration's, within its own error."""
    library = pytest.importorskip("qiskit_experiments.library")
    experiment = library.T1((0,), delays=np.linspace(1e-6, 240e-6, 8), backend=backend)
    data = experiment.run(**({"sampler": client.SamplerV2(backend)} if by == "sampler" else {}))
    data.block_for_results()
    fitted = next(one for one in data.analysis_results() if one.name == "T1").value

    assert data.errors() == ""
    assert fitted.nominal_value == pytest.approx(backend.qubit_properties(0).t1, abs=5 * fitted.std_dev)


@pytest.mark.parametrize("by", ["sampler", "backend"])
def test_state_tomography(backend: Any, by: str) -> None:
    """A Bell state with the device's readout errors, about 5 % in all."""
    library = pytest.importorskip("qiskit_experiments.library")
    experiment = library.StateTomography(bell(), backend=backend, physical_qubits=(0, 1))
    data = experiment.run(**({"sampler": client.SamplerV2(backend)} if by == "sampler" else {}))
    data.block_for_results()
    found = {one.name: one.value for one in data.analysis_results()}

    assert data.errors() == ""
    assert 0.85 < found["state_fidelity"] < 1


def test_backpropagated_observables(ideal: Any) -> None:
    """The value of the whole circuit (state vector), within six standard errors."""
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
    left = isa(combine_slices(slices[:-4] + rest, include_barriers=True), ideal)
    pub = (left, propagated.apply_layout(left.layout))
    result = client.EstimatorV2(ideal, options={"default_shots": SHOTS}).run([pub]).result()[0].data

    wanted = Statevector(circuit).expectation_value(observable).real
    assert float(result.evs) == pytest.approx(wanted, abs=6 * float(result.stds) + 1e-9)


def test_a_cut_circuit(ideal: Any) -> None:
    """Two halves joined by one gate have the whole circuit's values (state vector)."""
    pytest.importorskip("qiskit_addon_cutting")
    from qiskit_addon_cutting import (
        generate_cutting_experiments,
        partition_problem,
        reconstruct_expectation_values,
    )

    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.rzz(0.7, 0, 1)
    circuit.rx(0.3, [0, 1])
    observables = PauliList(["ZZ", "XX", "XI"])
    halves = partition_problem(circuit=circuit, partition_labels="AB", observables=observables)
    experiments, weights = generate_cutting_experiments(
        circuits=halves.subcircuits, observables=halves.subobservables, num_samples=np.inf
    )
    with client.Batch(ideal) as batch:
        sampler = client.SamplerV2(mode=batch)
        jobs = {
            label: sampler.run([isa(part, ideal) for part in parts], shots=SHOTS)
            for label, parts in experiments.items()
        }
    results = {label: job.result() for label, job in jobs.items()}
    found = reconstruct_expectation_values(results, weights, halves.subobservables)
    wanted = [Statevector(circuit).expectation_value(SparsePauliOp(one)).real for one in observables]

    overhead = 1 + 2 * abs(math.sin(0.7))  # of an rzz (C. Piveteau and D. Sutter, arXiv:2205.00016)
    assert np.allclose(found, wanted, atol=6 * overhead * 2 / math.sqrt(SHOTS))


def test_sqd(ideal: Any) -> None:
    """All 16 strings are seen, so the lowest energy is the lowest of all (dense algebra)."""
    pytest.importorskip("qiskit_addon_sqd")
    from qiskit_addon_sqd.counts import bit_array_to_arrays
    from qiskit_addon_sqd.qubit import solve_qubit

    circuit = QuantumCircuit(4)
    circuit.h([0, 1, 2, 3])
    circuit.measure_all()
    bits = client.SamplerV2(ideal).run([isa(circuit, ideal)], shots=400).result()[0].data.meas
    strings, _ = bit_array_to_arrays(bits)
    hamiltonian = SparsePauliOp(["ZZII", "IZZI", "IIZZ", "XIII", "IXII"], [-1, -1, -1, 0.5, 0.5])
    levels, _ = solve_qubit(strings, hamiltonian)

    assert min(levels) == pytest.approx(np.linalg.eigvalsh(hamiltonian.to_matrix())[0], abs=1e-8)


def test_mitiq(backend: Any) -> None:
    """Ten cx are the identity, P(00) = 1; extrapolation comes nearer than raw."""
    mitiq = pytest.importorskip("mitiq")
    circuit = QuantumCircuit(2)
    for _ in range(10):
        circuit.cx(0, 1)
    with client.Session(backend) as session:
        sampler = client.SamplerV2(mode=session)

        def execute(folded: QuantumCircuit) -> float:
            measured = folded.measure_all(inplace=False)
            made = transpile(measured, backend, optimization_level=0, initial_layout=[0, 1])
            counts = sampler.run([made], shots=20000).result()[0].data.meas.get_counts()
            return float(counts.get("00", 0) / 20000)

        raw = execute(circuit)
        mitigated = mitiq.zne.execute_with_zne(circuit, execute)

    assert abs(1 - mitigated) < abs(1 - raw)


def test_m3(backend: Any) -> None:
    """Readout errors are undone: what is left of |01⟩ and |10⟩ is the gate's error, about one percent."""
    mthree = pytest.importorskip("mthree")
    circuit = bell()
    circuit.measure_all()
    made = isa(circuit, backend)
    mapping = mthree.utils.final_measurement_mapping(made)
    correction = mthree.M3Mitigation(backend)
    correction.cals_from_system(mapping, shots=20000)
    counts = client.SamplerV2(backend).run([made], shots=20000).result()[0].data.meas.get_counts()
    found = correction.apply_correction(counts, mapping)

    assert abs(found.get("01", 0) + found.get("10", 0)) < 0.015 < (counts["01"] + counts["10"]) / 20000


def test_pennylane(backend: Any) -> None:
    """⟨Z₁⟩ = cos 0.5 after RX(0.5) and CNOT, but for the device's errors, in a session of PennyLane's own."""
    pennylane = pytest.importorskip("pennylane")
    plugin = pytest.importorskip("pennylane_qiskit")
    device = pennylane.device("qiskit.remote", wires=2, backend=backend, shots=SHOTS)

    @pennylane.qnode(device)
    def circuit(angle: float) -> object:
        pennylane.RX(angle, wires=0)
        pennylane.CNOT(wires=[0, 1])
        return pennylane.expval(pennylane.PauliZ(1))

    with plugin.qiskit_session(device, max_time=600) as session:
        value = circuit(0.5)
        details = session.details()

    assert float(value) == pytest.approx(math.cos(0.5), abs=0.1)  # type: ignore[arg-type]
    assert details["mode"] == "dedicated"

"""States on a few basis states: against dense algebra on random circuits of pair rotations, and chemistry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate, XXPlusYYGate, efficient_su2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit.transpiler import CouplingMap, generate_preset_pass_manager
from scipy.optimize import minimize

from runner import compose
from runner.engine import Engine
from runner.engine.kernel.program import Unsupported
from runner.engine.kernel.sector import SectorKernel
from tests.engine.strategies import observables

HOPS = ("excitation", "double", "evolution", "xx+yy", "runs", "givens", "clifford hop")
DIAGONAL = ("rz", "cp", "rzz", "cz", "number")


def excitation(circuit: QuantumCircuit, emptied: list[int], filled: list[int], angle: object) -> None:
    """exp(angle (T − T†)) of Jordan–Wigner's a†…a…, written out string by string."""
    size = circuit.num_qubits
    lifted = SparsePauliOp("I" * size)
    for orbital, raised in [(q, True) for q in filled] + [(q, False) for q in reversed(emptied)]:
        string = [("Z", q) for q in range(orbital)]
        terms = [
            ("".join(p for p, _ in [*string, (letter, orbital)]), [*range(orbital), orbital], weight)
            for letter, weight in (("X", 0.5), ("Y", -0.5j if raised else 0.5j))
        ]
        lifted = lifted @ SparsePauliOp.from_sparse_list(terms, size)
    generator = (1j * (lifted - lifted.adjoint())).simplify()
    for label, weight in generator.to_list():
        gate = PauliEvolutionGate(SparsePauliOp(label), angle * weight.real)
        circuit.compose(gate.definition, inplace=True)


def hop(circuit: QuantumCircuit, kind: str, where: list[int], angle: object) -> None:
    """One gate that keeps the number of ones."""
    a, b = where[:2]
    if kind == "excitation":
        excitation(circuit, [a], [b], angle)
    elif kind == "double" and len(where) >= 4:
        excitation(circuit, where[:2], where[2:4], angle)
    elif kind == "evolution":
        circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "YY"], [0.4, 0.4]), angle), [a, b])
    elif kind == "runs":
        circuit.rxx(angle, a, b)
        circuit.ryy(angle, a, b)
    elif kind == "givens":
        circuit.cx(a, b)
        circuit.cry(angle, b, a)
        circuit.cx(a, b)
    elif kind == "clifford hop":
        circuit.sx(a)
        circuit.cx(a, b)
        circuit.rz(angle, b)
        circuit.ry(-angle, a)
        circuit.cx(a, b)
        circuit.sxdg(a)
    else:
        circuit.append(XXPlusYYGate(angle, 0.3), [a, b])


def diagonal(circuit: QuantumCircuit, kind: str, where: list[int], angle: object) -> None:
    """One gate of phases."""
    a, b = where[:2]
    if kind == "rz":
        circuit.rz(angle, a)
    elif kind == "cz":
        circuit.cz(a, b)
    elif kind == "number":
        circuit.rz(angle, range(circuit.num_qubits))
    else:
        getattr(circuit, kind)(angle, a, b)


@st.composite
def conserving(draw: st.DrawFn) -> QuantumCircuit:
    """Pair rotations and phases after a basis state, with shared, scaled, shifted and composed parameters."""
    size = draw(st.integers(4, 7))
    theta = ParameterVector("θ", 3)
    choices = [
        *theta, -2 * theta[0] + 0.3, theta[0] + theta[1], theta[1] - math.pi / 2, theta[2] * theta[0],
        theta[1].sin() + theta[2] ** 2, 0.7, -math.pi,
    ]  # fmt: skip
    linear = draw(st.booleans())
    angle = st.sampled_from([*choices[:6], 0.7] if linear else choices)
    circuit = QuantumCircuit(size)
    for qubit in draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=2)):
        circuit.x(qubit)
    for _ in range(draw(st.integers(1, 7))):
        where = list(draw(st.permutations(range(size))))
        if draw(st.booleans()):
            hop(circuit, draw(st.sampled_from(HOPS)), where, draw(angle))
        else:
            diagonal(circuit, draw(st.sampled_from(DIAGONAL)), where, draw(angle))
    if draw(st.booleans()):
        circuit.swap(0, size - 1)
    if draw(st.booleans()):
        circuit.h(1)
        circuit.cx(1, 2)
    return circuit


def sector(circuit: QuantumCircuit, operator: SparsePauliOp) -> SectorKernel:
    """The kernel of a circuit and one observable."""
    paulis = operator.paulis
    return SectorKernel(circuit, list(circuit.parameters), paulis.x, paulis.z, operator.coeffs.real[None])


@given(st.data())
@settings(max_examples=15)
def test_sectors_against_dense_algebra(data: st.DataObject) -> None:
    """Energies and probabilities of qiskit's dense state to 1e-12, gradients by its central differences."""
    circuit = data.draw(conserving())
    operator = data.draw(observables(circuit.num_qubits))
    terms = operator.simplify()
    try:
        kernel = sector(circuit, terms)
    except Unsupported:
        return  # four qubits soon reach more than a quarter of all states
    values = np.array([[0.4, -1.2, 0.7], [2.1, 0.2, -0.3]])[:, [p.index for p in circuit.parameters]]

    def state(point: np.ndarray) -> Statevector:
        return Statevector(circuit.assign_parameters(point))

    def energy(point: np.ndarray) -> float:
        return state(point).expectation_value(operator).real

    expected = [energy(point) for point in values]
    np.testing.assert_allclose(kernel.energies(values)[:, 0], expected, atol=1e-12)
    evs, slopes = kernel.gradients(values)
    np.testing.assert_allclose(evs[:, 0], expected, atol=1e-12)
    step = 1e-5
    for k, unit in enumerate(step * np.eye(circuit.num_parameters)):
        difference = (energy(values[1] + unit) - energy(values[1] - unit)) / (2 * step)
        assert slopes[1, 0, k] == pytest.approx(difference, abs=3e-7)
    size = circuit.num_qubits
    basis = [(0, "X"), (1, "Z"), (2, "Y")]
    everything = [(qubit, "Z") for qubit in range(size)]
    some, all_z = kernel.probabilities(values, [basis, everything])
    turned = circuit.copy()
    turned.h(0)
    turned.sdg(2)
    turned.h(2)
    for row, point in enumerate(values):
        np.testing.assert_allclose(all_z[row], state(point).probabilities(), atol=1e-13)
        np.testing.assert_allclose(
            some[row], Statevector(turned.assign_parameters(point)).probabilities([0, 1, 2]), atol=1e-13
        )


@pytest.fixture(scope="module")
def molecule() -> tuple[QuantumCircuit, SparsePauliOp]:
    """UCCSD of four hydrogen atoms: 8 qubits, 26 excitations."""
    config = compose("hamiltonian=h4", "ansatz=uccsd")
    operator = config.hamiltonian.build()
    return config.ansatz.build(operator), operator


def test_uccsd_stays_among_two_electrons_of_each_spin(molecule: tuple, rng: np.random.Generator) -> None:
    """36 of 256 basis states (6 ways for each spin), real ones; energies of qiskit's dense state to 1e-12."""
    circuit, operator = molecule
    values = rng.uniform(-1, 1, (2, circuit.num_parameters))
    kernel = sector(circuit, operator)
    plan = Engine(engine="kernel").estimator_plan(circuit, operator)
    expected = [
        Statevector(circuit.assign_parameters(row)).expectation_value(operator).real for row in values
    ]

    assert isinstance(plan._kernel, SectorKernel)
    assert len(kernel._states) == 36
    assert not kernel._complex
    np.testing.assert_allclose(plan.run(values, shots=None, seed=1).evs, expected, atol=1e-12)


def test_the_least_energy_is_that_of_full_configuration_interaction() -> None:
    """Two electrons: UCCSD is exact, so SciPy with our gradients ends at the lowest eigenvalue (NumPy)."""
    config = compose("hamiltonian=h2", "ansatz=uccsd")
    operator = config.hamiltonian.build()
    circuit = config.ansatz.build(operator)
    kernel = sector(circuit, operator)

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        energies, slopes = kernel.gradients(point[None])
        return float(energies[0, 0]), slopes[0, 0]

    found = minimize(objective, np.full(circuit.num_parameters, 0.01), jac=True, options={"gtol": 1e-9})

    assert found.fun == pytest.approx(np.linalg.eigvalsh(operator.to_matrix())[0], abs=1e-11)


@pytest.mark.parametrize("coupling", [CouplingMap.from_line(8), CouplingMap.from_ring(8)])
def test_a_routed_circuit_in_device_gates_keeps_its_sector(
    coupling: CouplingMap, molecule: tuple, rng: np.random.Generator
) -> None:
    """rz, sx, cx and SWAPs for a line of qubits: as few states, and the energy of the circuit before (dense)."""
    circuit, operator = molecule
    manager = generate_preset_pass_manager(
        1, coupling_map=coupling, basis_gates=["rz", "sx", "x", "cz"], seed_transpiler=2
    )
    routed = manager.run(circuit)
    placed = operator.apply_layout(routed.layout)
    values = rng.uniform(-1, 1, circuit.num_parameters)
    kernel = sector(routed, placed)
    expected = Statevector(circuit.assign_parameters(values)).expectation_value(operator).real

    assert len(kernel._states) <= 36
    assert kernel.energies(values[None])[0, 0] == pytest.approx(expected, abs=1e-12)


def test_shots_stay_in_the_sector(molecule: tuple, rng: np.random.Generator) -> None:
    """Every outcome of a Z measurement has two ones in each half: spin up first, as Jordan and Wigner have it."""
    circuit, _ = molecule
    measured = circuit.assign_parameters(rng.uniform(-1, 1, circuit.num_parameters))
    measured.measure_all()
    bits = Engine(engine="kernel").sampler_plan(measured).run(np.zeros(0), shots=2000, seed=3)["meas"]
    outcomes = bits.get_counts()

    assert len(outcomes) > 4
    assert all(outcome[:4].count("1") == 2 and outcome[4:].count("1") == 2 for outcome in outcomes)


@pytest.mark.parametrize(
    "circuit",
    [efficient_su2(5, reps=1), QuantumCircuit(6), QuantumCircuit(3)],
    ids=["rotations", "nothing", "three qubits"],
)
def test_other_circuits_are_left_to_the_whole_state_vector(circuit: QuantumCircuit) -> None:
    """Lone rotations, no gates, few qubits: no sector is looked for."""
    with pytest.raises(Unsupported):
        SectorKernel(circuit, list(circuit.parameters))

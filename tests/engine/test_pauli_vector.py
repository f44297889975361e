"""The noisy kernel against dense algebra with numpy and against Aer's density matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer.noise import NoiseModel, amplitude_damping_error, depolarizing_error
from scipy.stats import chi2

from runner.engine import DeviceNoise, Engine
from runner.engine.measurement import Basis, basis_changes
from tests.engine import noisy

LETTERS = ("X", "Y", "Z")


def bound(circuit: QuantumCircuit, values: np.ndarray) -> QuantumCircuit:
    """The circuit with numbers for its parameters, in their order."""
    return circuit.assign_parameters(dict(zip(circuit.parameters, values, strict=True)))


def term(letters: dict[int, str], size: int) -> SparsePauliOp:
    """One Pauli string."""
    label = "".join(letters.get(qubit, "I") for qubit in range(size))
    return SparsePauliOp(label[::-1])


def slowly(circuit: QuantumCircuit, letters: dict[int, str], model: NoiseModel, state: Any) -> float:
    """What is read of a Pauli string, from the density matrix after circuit and basis change that `state` makes."""
    (change,) = basis_changes(circuit.num_qubits, [Basis(letters)], None, model)
    turned = circuit.compose(change)
    return noisy.expectation(noisy.as_read(state(turned, model), model), list(letters))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 4))
def test_values_equal_dense_algebra_and_aer(seed: int, size: int) -> None:
    """Every kind of channel, per qubit and ordered pair, with misreading: numpy's Σ K ρ K†, and Aer, to 1e-12."""
    rng = np.random.default_rng(seed)
    model, circuit = noisy.random_noise(rng, size), noisy.random_circuit(rng, size, 9)
    values = rng.uniform(-3, 3, (2, circuit.num_parameters))
    strings = [
        {qubit: str(rng.choice(LETTERS)) for qubit in range(size) if rng.random() < 0.7} or {0: "X"}
        for _ in range(3)
    ]
    operators = [term(letters, size) for letters in strings]
    found = Engine(noise_model=model).estimator_plan(circuit, operators)
    evs = np.array([found.run(np.tile(row, (3, 1)), shots=None, seed=1).evs for row in values])

    for row, seen in zip(values, evs, strict=True):
        numbers = bound(circuit, row)
        assert seen == pytest.approx(
            [slowly(numbers, letters, model, noisy.dense_state) for letters in strings], abs=1e-12
        )
        assert seen == pytest.approx(
            [slowly(numbers, letters, model, noisy.aer_state) for letters in strings], abs=1e-12
        )


def test_many_bases_take_one_evolution() -> None:
    """All 3^3 bases of three qubits at once, each against numpy's density matrix."""
    rng = np.random.default_rng(4)
    model, circuit = noisy.random_noise(rng, 3), noisy.random_circuit(rng, 3, 12)
    values = rng.uniform(-3, 3, circuit.num_parameters)
    strings = [dict(enumerate(f"{a}{b}{c}")) for a in LETTERS for b in LETTERS for c in LETTERS]
    plan = Engine(noise_model=model).estimator_plan(circuit, [term(letters, 3) for letters in strings])
    evs = plan.run(np.tile(values, (27, 1)), shots=None, seed=1).evs

    assert plan.num_bases == 27
    assert evs == pytest.approx(
        [slowly(bound(circuit, values), letters, model, noisy.dense_state) for letters in strings], abs=1e-12
    )


def test_six_qubits_equal_aer() -> None:
    """Vectors longer than the sixteen lanes, low and high digits in every order: Aer's density matrix to 1e-12."""
    rng = np.random.default_rng(7)
    model, circuit = noisy.random_noise(rng, 6), noisy.random_circuit(rng, 6, 40)
    values = rng.uniform(-3, 3, circuit.num_parameters)
    letters = dict(enumerate("XYZZXY"))
    ev = (
        Engine(noise_model=model)
        .estimator_plan(circuit, term(letters, 6))
        .run(values, shots=None, seed=1)
        .evs
    )

    assert ev == pytest.approx(slowly(bound(circuit, values), letters, model, noisy.aer_state), abs=1e-12)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 4))
def test_gradients_equal_differences_of_aers_values(seed: int, size: int) -> None:
    """Adjoint derivatives against central differences, h = 1e-4, of values from Aer's density matrix (engine=aer)."""
    rng = np.random.default_rng(seed)
    model, circuit = noisy.random_noise(rng, size), noisy.random_circuit(rng, size, 9)
    values = rng.uniform(-3, 3, circuit.num_parameters)
    operators = [term(dict(enumerate(rng.choice(LETTERS, size))), size), term({0: "Y"}, size)]
    evs, slopes = Engine(noise_model=model).estimator_plan(circuit, operators).gradient(values)
    steps = 1e-4 * np.eye(len(values))
    aer = Engine(noise_model=model, engine="aer").estimator_plan(circuit, operators)
    seen = aer.run(np.stack([values, *(values + steps), *(values - steps)])[:, None], shots=None, seed=1).evs
    above, below = seen[1 : 1 + len(values)], seen[1 + len(values) :]

    assert evs == pytest.approx(seen[0], abs=1e-12)
    assert slopes == pytest.approx((above - below).T / 2e-4, abs=2e-7)


def test_gradients_of_a_batch_over_pieces_that_nothing_connects() -> None:
    """Two pairs of qubits and one alone, a term across all of them: differences of numpy's density matrix, and rows."""
    model = NoiseModel(basis_gates=["ry", "rz", "cx", "h", "sdg"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), "cx")
    angles = ParameterVector("a", 5)
    circuit = QuantumCircuit(5)
    for qubit in range(5):
        circuit.ry(angles[qubit] + 0.2 * qubit, qubit)
    circuit.cx(0, 1)
    circuit.cx(3, 2)
    circuit.ry(angles[0] * angles[1], 2)
    operator = SparsePauliOp(["ZXZZX", "IIZIY"], [0.7, -0.4])
    plan = Engine(noise_model=model).estimator_plan(circuit, operator)
    rows = np.random.default_rng(5).uniform(-2, 2, (2, 5))
    evs, slopes = plan.gradient(rows)

    def energy(row: np.ndarray) -> float:
        strings = [({0: "X", 1: "Z", 2: "Z", 3: "X", 4: "Z"}, 0.7), ({0: "Y", 2: "Z"}, -0.4)]
        numbers = bound(circuit, row)
        return sum(weight * slowly(numbers, letters, model, noisy.dense_state) for letters, weight in strings)

    for row, ev, slope in zip(rows, evs, slopes, strict=True):
        differences = [(energy(row + step) - energy(row - step)) / 2e-4 for step in 1e-4 * np.eye(5)]
        assert ev == pytest.approx(energy(row), abs=1e-12)
        assert slope == pytest.approx(differences, abs=1e-7)
        assert slope.tolist() == plan.gradient(row)[1].tolist()


@pytest.mark.parametrize("name", ["fake_manila", pytest.param("fake_torino", marks=pytest.mark.nightly)])
def test_devices_with_waiting_qubits_equal_aer(name: str) -> None:
    """Scheduled circuits whose bases let qubits wait differently, on a snapshot: Aer's density matrix per basis."""
    provider = pytest.importorskip("qiskit_ibm_runtime.fake_provider")
    backend = provider.FakeProviderForBackendV2().backend(name)
    rng = np.random.default_rng(3)
    ansatz = noisy.random_circuit(rng, 4, 14)
    manager = generate_preset_pass_manager(1, backend=backend, seed_transpiler=1, initial_layout=[1, 0, 2, 3])
    circuit = manager.run(ansatz)
    labels = ["".join(rng.choice([*LETTERS, "I"], 4)) for _ in range(9)]
    operator = SparsePauliOp([*labels, "XZZZ", "ZZZX"], rng.normal(size=11)).apply_layout(circuit.layout)
    values = rng.uniform(-3, 3, (2, circuit.num_parameters))
    seen = [
        Engine(backend.target, DeviceNoise(backend), engine=engine, method="density_matrix")
        .estimator_plan(circuit, operator)
        .run(values, shots=None, seed=1)
        .evs
        for engine in ("kernel", "aer")
    ]

    assert seen[0] == pytest.approx(seen[1], abs=1e-12)


def test_what_goes_wrong_right_before_reading_counts() -> None:
    """An error on `measure` acts before the outcome is read: amplitude damping of |1⟩ by γ leaves ⟨Z⟩ = 2γ − 1."""
    model = NoiseModel(basis_gates=["x"])
    model.add_all_qubit_quantum_error(amplitude_damping_error(0.3), "measure")
    circuit = QuantumCircuit(1)
    circuit.x(0)
    plan = Engine(noise_model=model).estimator_plan(circuit, SparsePauliOp("Z"))

    assert plan.run(np.zeros(0), shots=None, seed=1).evs == pytest.approx(2 * 0.3 - 1, abs=1e-14)


def test_samples_follow_the_exact_probabilities() -> None:
    """40 000 shots of four noisy qubits against numpy's probabilities as read, by χ² at 1e-6."""
    rng = np.random.default_rng(11)
    model, circuit = noisy.random_noise(rng, 4), noisy.random_circuit(rng, 4, 20)
    values = rng.uniform(-3, 3, circuit.num_parameters)
    measured = circuit.copy()
    measured.measure_all()
    (bits,) = Engine(noise_model=model).sampler_plan(measured).run(values, shots=40_000, seed=3).values()
    seen = np.bincount(bits.array[:, 0], minlength=16)
    expected = 40_000 * noisy.as_read(noisy.dense_state(bound(circuit, values), model), model)
    statistic = float(((seen - expected) ** 2 / expected).sum())

    assert chi2.sf(statistic, 15) > 1e-6


def test_a_batch_gives_the_bits_of_its_rows() -> None:
    """Parameter sets one by one, all together, and in two threads: the same bits."""
    model = NoiseModel(basis_gates=["ry", "rz", "cx", "h", "sdg"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.02, 2), "cx")
    circuit = efficient_su2(5, reps=1)
    operator = SparsePauliOp(["XXIII", "IZZII", "IIYYX"], [0.3, -0.4, 1.1])
    rows = np.random.default_rng(2).uniform(-3, 3, (7, circuit.num_parameters))
    together = Engine(noise_model=model).estimator_plan(circuit, operator).run(rows, shots=None, seed=1).evs
    alone = [
        Engine(noise_model=model).estimator_plan(circuit, operator).run(row, shots=None, seed=1).evs
        for row in rows
    ]
    threads = Engine(noise_model=model, threads=2).estimator_plan(circuit, operator)

    assert together.tolist() == [float(ev) for ev in alone]
    assert together.tolist() == threads.run(rows, shots=None, seed=1).evs.tolist()


def test_ten_noisy_qubits_have_exact_values() -> None:
    """GHZ state of ten qubits, depolarizing λ after each of nine CX.

    Each CX's error keeps a string of two acted qubits with 1 − λ; Z₀Z₁ of the chain meets the first two CX only, so
    ⟨Z₀Z₁⟩ = (1 − λ)², by following the string back through the circuit with pencil and paper.
    """
    model = NoiseModel(basis_gates=["h", "cx"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), "cx")
    circuit = QuantumCircuit(10)
    circuit.h(0)
    for qubit in range(9):
        circuit.cx(qubit, qubit + 1)
    operator = term({0: "Z", 1: "Z"}, 10)
    plan = Engine(noise_model=model).estimator_plan(circuit, operator)

    assert plan.exact_method == "density_matrix"
    assert plan.run(np.zeros(0), shots=None, seed=1).evs == pytest.approx(0.9**2, abs=1e-13)

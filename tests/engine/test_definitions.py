"""What is executed is what a gate's own definition says, on both engines and through both primitives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Gate, Parameter
from qiskit.circuit.library import PauliEvolutionGate, RXGate, RZGate, UnitaryGate
from qiskit.quantum_info import Operator, SparsePauliOp
from qiskit.synthesis import SuzukiTrotter
from qiskit_aer.noise import NoiseModel, depolarizing_error

from runner.engine import Engine
from runner.errors import ConfigError
from tests.engine.gates import KINDS, circuit_with, unitary_by_definition

OBSERVABLE = SparsePauliOp(["XYZX", "ZZII", "IIYX", "ZIXI"], [0.3, 0.5, 0.7, 0.2])
ENGINES = {name: Engine(engine=name) for name in ("kernel", "aer")}
NOTHING = np.zeros(0)


def energy(circuit: QuantumCircuit, observable: object, engine: Engine, values: object = ()) -> float:
    """The exact expectation value."""
    return float(
        engine.estimator_plan(circuit, observable).run(np.array(values, dtype=float), shots=None, seed=1).evs
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gate_does_what_its_definition_says(kind: str) -> None:
    """Expectation values and outcome probabilities by multiplying the matrices of the definition's standard gates."""
    for seed in range(2):
        random = np.random.default_rng(seed)
        circuit = circuit_with(KINDS[kind](random), random)
        state = unitary_by_definition(circuit)[:, 0]
        expected = (state.conj() @ OBSERVABLE.to_matrix() @ state).real
        measured = circuit.measure_all(inplace=False)
        for name, engine in ENGINES.items():
            counts = (
                engine.sampler_plan(measured).run(NOTHING, shots=20_000, seed=seed)["meas"].get_int_counts()
            )
            shares = np.array([counts.get(outcome, 0) for outcome in range(16)]) / 20_000

            assert energy(circuit, OBSERVABLE, engine) == pytest.approx(expected, abs=1e-9), name
            assert abs(shares - abs(state) ** 2).max() < 0.02, name  # six standard deviations of a half


def test_a_product_formula_of_one_qubit_is_no_exact_evolution() -> None:
    """X and Z do not commute: numpy's product of rotations, which differs from exp(-iHt) in the first digit."""
    gate = PauliEvolutionGate(SparsePauliOp(["X", "Z"], [0.7, 1.1]), 1.3)
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    matrix = RZGate(2 * 1.1 * 1.3).to_matrix() @ RXGate(2 * 0.7 * 1.3).to_matrix()
    expected = abs(matrix[0, 0]) ** 2 - abs(matrix[1, 0]) ** 2
    energies, states = np.linalg.eigh(gate.operator.to_matrix())
    evolved = states @ (np.exp(-1.3j * energies) * states[0].conj())
    exact = abs(evolved[0]) ** 2 - abs(evolved[1]) ** 2

    assert abs(expected - exact) > 0.1
    for engine in ENGINES.values():
        assert energy(circuit, "Z", engine) == pytest.approx(expected, abs=1e-12)


def test_a_unitary_close_to_another_one_is_not_rounded_to_it() -> None:
    """A weak two-qubit evolution, whose decomposition by qiskit is off by 1e-8, against its own matrix."""
    random = np.random.default_rng(5)
    for strength in (1e-2, 1e-4, 1e-6):
        matrix = random.normal(size=(4, 4)) + 1j * random.normal(size=(4, 4))
        energies, states = np.linalg.eigh(matrix + matrix.conj().T)
        weak = (states * np.exp(-1j * strength * energies)) @ states.conj().T
        circuit = circuit_with(UnitaryGate(weak), random)
        state = unitary_by_definition(circuit)[:, 0]
        expected = (state.conj() @ OBSERVABLE.to_matrix() @ state).real

        for engine in ENGINES.values():
            assert energy(circuit, OBSERVABLE, engine) == pytest.approx(expected, abs=1e-12)


def test_a_definition_with_parameters_keeps_their_order() -> None:
    """A gate of a user under the name of a standard one, with the circuit's parameters in its body."""
    a, b = Parameter("a"), Parameter("b")
    inner = QuantumCircuit(1)
    inner.ry(b, 0)
    gate = Gate("rx", 1, [b])
    gate.definition = inner
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    circuit.ry(2 * a, 0)

    for engine in ENGINES.values():
        # turning by 2a + b about y: ⟨Z⟩ is its cosine
        assert energy(circuit, "Z", engine, [0.3, 0.5]) == pytest.approx(np.cos(1.1), abs=1e-12)


def test_a_parameter_that_its_definition_does_not_use_still_takes_a_value() -> None:
    """The sub-circuit is written out, its unused parameter stays the circuit's second."""
    a, b = Parameter("a"), Parameter("b")
    gate = Gate("h", 1, [a, b])
    gate.definition = QuantumCircuit(1)
    gate.definition.ry(b, 0)
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])

    for engine in ENGINES.values():
        assert energy(circuit, "Z", engine, [0.3, 0.5]) == pytest.approx(np.cos(0.5), abs=1e-12)


def test_a_foreign_parameter_in_a_definition_is_told() -> None:
    """It could not be given a value; the error names it and the gate."""
    gate = Gate("mine", 1, [])
    gate.definition = QuantumCircuit(1)
    gate.definition.ry(Parameter("foreign"), 0)
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])

    with pytest.raises(ConfigError, match="gate 'mine' has parameter 'foreign'"):
        ENGINES["kernel"].estimator_plan(circuit, "Z")


@pytest.mark.parametrize("name", ["x", "mine"])
def test_a_gate_in_a_branch_is_what_its_definition_says(name: str) -> None:
    """A body under a standard and under an own name that turns by π/3 about y, where the branch is always taken."""
    angle = Parameter("a")
    gate = Gate(name, 1, [angle])
    gate.definition = QuantumCircuit(1)
    gate.definition.ry(angle, 0)
    circuit = QuantumCircuit(1)
    circuit.add_register(ClassicalRegister(1, "c"), out := ClassicalRegister(1, "out"))
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.append(gate, [0])
    circuit.measure(0, out[0])

    for engine in ENGINES.values():
        counts = engine.sampler_plan(circuit).run(np.array([np.pi / 3]), shots=20_000, seed=3)["out"]
        ones = counts.get_int_counts().get(1, 0)

        assert ones / 20_000 == pytest.approx(np.sin(np.pi / 6) ** 2, abs=0.02)


@pytest.mark.parametrize("method", ["density_matrix", "statevector"])
def test_noise_of_a_users_gate_counts_in_density_matrices_and_trajectories(method: str) -> None:
    """Depolarizing by 0.2 after a gate of an own name that is an X: it reads 0 in a tenth of the shots."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.2, 1), "mine")
    gate = Gate("mine", 1, [])
    gate.definition = QuantumCircuit(1)
    gate.definition.x(0)
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    engine = Engine(noise_model=noise, method=method)
    measured = circuit.measure_all(inplace=False)
    counts = engine.sampler_plan(measured).run(NOTHING, shots=5_000, seed=3)["meas"]
    energies = engine.estimator_plan(circuit, "Z").run(NOTHING, shots=5_000, seed=3)

    assert counts.get_int_counts()[0] / 5_000 == pytest.approx(0.1, abs=0.024)
    assert float(energies.evs) == pytest.approx(-0.8, abs=0.05)


def test_later_changes_of_a_gate_do_not_reach_a_plan() -> None:
    """The plan made before the change gives the old value, the one asked for after it the new one."""
    gate = PauliEvolutionGate(SparsePauliOp(["XX", "ZI", "IZ"], [0.7, 1.1, 0.4]), 0.8)
    circuit = QuantumCircuit(2)
    circuit.append(gate, [0, 1])
    operator = SparsePauliOp("ZI")

    def expected() -> float:
        fresh = PauliEvolutionGate(gate.operator, gate.time, synthesis=copy.copy(gate.synthesis))
        state = Operator(fresh.definition).data[:, 0]
        return float((state.conj() @ operator.to_matrix() @ state).real)

    engine = Engine()
    before = engine.estimator_plan(circuit, operator)
    values = [expected()]
    for change in (
        {"time": 1.1},
        {"synthesis": SuzukiTrotter(order=2, reps=2)},
        {"operator": gate.operator * 1.5},
    ):
        for name, value in change.items():
            setattr(gate, name, value)
        values.append(expected())

        assert energy(circuit, operator, engine) == pytest.approx(values[-1], abs=1e-12)
    assert len({round(value, 6) for value in values}) == 4
    assert float(before.run(NOTHING, shots=None, seed=1).evs) == pytest.approx(values[0], abs=1e-12)

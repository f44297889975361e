"""Matrix product states: against state vectors of Qiskit, and by what truncation may do to them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_pauli_list

from runner import compose, run
from runner.engine import Engine, narrow
from runner.engine.matrix_product import BondLimits, ProductProgram
from runner.errors import ConfigError, TruncationError

NOTHING = np.zeros(0)


def bricks(qubits: int, layers: int, seed: int = 1) -> QuantumCircuit:
    """Rotations of every qubit and CX between neighbours, by turns."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            circuit.ry(rng.normal(), qubit)
            circuit.rz(rng.normal(), qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cx(qubit, qubit + 1)
    return circuit


@pytest.mark.parametrize("qubits", [1, 2, 3, 6, 9])
def test_expectation_values(qubits: int) -> None:
    """Random circuits of gates on up to three qubits, wherever these are: as Qiskit's state vector has it."""
    circuit = random_circuit(qubits, 8, max_operands=min(qubits, 3), seed=qubits)
    paulis = random_pauli_list(qubits, 40, seed=2, phase=False)
    state = ProductProgram(circuit, [], BondLimits()).prepared(NOTHING)
    exact = [Statevector(circuit).expectation_value(pauli).real for pauli in paulis]

    assert state.expectations(paulis.x, paulis.z) == pytest.approx(exact, abs=1e-12)
    assert state.discarded == 0


def test_small_singular_values_with_room_are_kept() -> None:
    """Of 40 qubits in |+⟩ that turn by 1e-6 about neighbours' ZZ, ⟨ZY⟩ = sin 1e-6 for a pair at an end, by pencil.

    A value's share of the state is the square of its size: one of 1e-12 holds all of an expectation value of 1e-6.
    """
    circuit = QuantumCircuit(40)
    circuit.h(range(40))
    for qubit in range(39):
        circuit.rzz(1e-6, qubit, qubit + 1)
    plan = Engine().estimator_plan(circuit, SparsePauliOp("I" * 38 + "ZY"))
    found = plan.run(NOTHING, shots=None, seed=1)
    left = Engine(truncation_threshold=1e-10).estimator_plan(circuit, SparsePauliOp("I" * 38 + "ZY"))

    assert float(found.evs) == pytest.approx(np.sin(1e-6), rel=1e-6)
    assert float(found.truncation) == 0
    assert "leaves nothing out" in str(plan.simulation(None))
    assert "nothing" not in str(left.simulation(None))


def test_samples() -> None:
    """Outcomes in bases of X, Y and Z, some qubits unread, occur as often as Qiskit's probabilities say."""
    circuit = random_circuit(5, 6, max_operands=2, seed=4)
    state = ProductProgram(circuit, [], BondLimits()).prepared(NOTHING)
    bits = state.samples({3: "X", 1: "Y", 0: "Z"}, [3, 1, 0], 100_000, np.random.default_rng(3))
    turned = circuit.copy()
    turned.h(3)
    turned.sdg(1)
    turned.h(1)
    exact = Statevector(turned).probabilities([3, 1, 0])
    found = np.bincount(bits @ [1, 2, 4], minlength=8) / len(bits)

    assert found == pytest.approx(exact, abs=5 * np.sqrt(0.25 / len(bits)))


@pytest.mark.parametrize("kept", [2, 4, 6])
def test_what_is_left_out_bounds_the_error(kept: int) -> None:
    """Fidelity and expectation values of a truncated state are as near to the true ones as its angle says."""
    circuit = bricks(8, 7)
    limits = BondLimits(max_bond_dimension=kept, max_discarded_weight=1.0)
    state = ProductProgram(circuit, [], limits).prepared(NOTHING)
    paulis = random_pauli_list(8, 60, seed=5, phase=False)
    exact = np.array([Statevector(circuit).expectation_value(pauli).real for pauli in paulis])
    errors = np.abs(state.expectations(paulis.x, paulis.z) - exact)

    assert state.discarded > 1e-9
    assert errors.max() > 1e-9
    assert errors.max() <= 2 * np.sin(min(state.angle, np.pi / 2))
    assert state.widest == kept


def test_the_weight_left_out_of_one_cut() -> None:
    """|00⟩cos t + |11⟩sin t with one singular value has lost sin²t, and is within the angle t: by pencil."""
    circuit = QuantumCircuit(2)
    circuit.ry(0.2, 0)
    circuit.cx(0, 1)
    limits = BondLimits(max_bond_dimension=1, max_discarded_weight=1.0)
    state = ProductProgram(circuit, [], limits).prepared(NOTHING)

    assert state.discarded == pytest.approx(np.sin(0.1) ** 2, abs=1e-15)
    assert state.angle == pytest.approx(0.1, abs=1e-12)


def test_too_much_left_out() -> None:
    """A state that loses more than it may is refused, and the limit is named."""
    program = ProductProgram(bricks(8, 7), [], BondLimits(max_bond_dimension=2))

    with pytest.raises(TruncationError, match="max_discarded_weight"):
        program.prepared(NOTHING)


def test_bond_dimension_from_the_gates() -> None:
    """No state has more singular values at a cut than gates that cross it, or its smaller side, allow."""
    for qubits, layers in ((6, 3), (8, 2), (8, 7)):
        program = ProductProgram(bricks(qubits, layers), [], BondLimits())
        state = program.prepared(NOTHING)

        assert state.widest <= program.gates.bond_dimension() <= 2 ** (qubits // 2)


def test_a_line_is_found_in_the_circuit() -> None:
    """Qubits that meet are put next to each other: a shuffled chain needs no exchanges."""
    circuit = QuantumCircuit(12)
    chain = np.random.default_rng(7).permutation(12).tolist()
    for first, second in pairwise(chain):
        circuit.h(first)
        circuit.cx(first, second)

    assert ProductProgram(circuit, [], BondLimits()).gates.order in (tuple(chain), tuple(chain[::-1]))


def test_the_estimator() -> None:
    """`engine=mps` gives the kernel's values, exact ones and, within their errors, those of shots."""
    theta = Parameter("θ")
    circuit = bricks(6, 3)
    circuit.rzz(theta, 0, 5)
    circuit.rx(theta, 2)
    operator = SparsePauliOp(["ZZIIII", "IIXXII", "IIIYYZ", "IIIIII"], [0.5, -1.0, 0.25, 2.0])
    values = np.array([[0.3], [1.7]])
    plan = Engine(engine="mps").estimator_plan(circuit, operator)
    exact = Engine(engine="kernel").estimator_plan(circuit, operator).run(values, shots=None, seed=1).evs
    found = plan.run(values, shots=None, seed=1)
    sampled = plan.run(values, shots=20_000, seed=1)

    assert found.evs == pytest.approx(exact, abs=1e-12)
    assert found.truncation is not None
    assert found.truncation.max() < 1e-10
    assert np.abs(sampled.evs - exact).max() < 5 * sampled.stds.max()
    assert plan.exact_method == "matrix_product_state"


def test_the_sampler() -> None:
    """A GHZ state of 40 qubits: all zeros or all ones, one as often as the other; the same bits for the same seed."""
    circuit = QuantumCircuit(40)
    circuit.h(0)
    for qubit in range(39):
        circuit.cx(qubit, qubit + 1)
    circuit.ry(1e-9, 0)  # no Clifford circuit, which would be a stabilizer state
    circuit.measure_all()
    plan = Engine(engine="mps").sampler_plan(circuit)
    first, again = (plan.run(NOTHING, shots=4000, seed=5) for _ in range(2))
    counts = first["meas"].get_counts()

    assert set(counts) == {"0" * 40, "1" * 40}
    assert abs(counts["0" * 40] - 2000) < 5 * np.sqrt(1000)
    assert again["meas"].get_counts() == counts
    assert first["discarded weight"] < 1e-20


def test_what_no_state_vector_has_room_for() -> None:
    """`engine=auto` takes matrix product states of 60 qubits, says so, and a product of rotations has its value."""
    circuit = QuantumCircuit(60)
    for qubit in range(60):
        circuit.ry(0.1 * qubit, qubit)
    for qubit in range(59):
        circuit.cz(qubit, qubit + 1)
    plan = Engine().estimator_plan(circuit, SparsePauliOp.from_sparse_list([("ZZ", [3, 50], 1.0)], 60))
    words = plan.simulation(None)

    assert words is not None
    assert "a state vector has no room here" in words
    assert plan.run(NOTHING, shots=None, seed=1).evs == pytest.approx(np.cos(0.3) * np.cos(5.0), abs=1e-12)


def between_all(qubits: int, angle: float) -> QuantumCircuit:
    """Clifford gates between all qubits, and turns after them."""
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for first in range(qubits):
        for second in range(first):
            circuit.cz(first, second)
    if angle:
        circuit.rx(angle, range(qubits))
    return circuit


def test_what_is_narrow() -> None:
    """Unitary circuits of any width are, unless another engine is asked for."""
    dynamic = bricks(40, 2)
    dynamic.reset(3)
    dynamic.h(3)

    assert narrow(between_all(40, 0.1), engine="auto", method="automatic")
    assert not narrow(dynamic, engine="auto", method="automatic")
    assert not narrow(bricks(40, 8), engine="kernel", method="automatic")
    assert narrow(between_all(40, 0.1), engine="mps", method="automatic")


def test_engines_by_structure() -> None:
    """Of 60 qubits: Clifford gates as a stabilizer state, few gates as a product, many as Pauli strings; shots not so.

    ⟨Z⟩ after a turn by 0.1 about X is cos 0.1 times the 0 before and sin 0.1 times ⟨Y⟩; ⟨X₀ Π Z⟩, a stabilizer of the
    graph state, turns in all its Z: cos(0.1)⁵⁹, and what else it becomes is no stabilizer.
    """
    stabilizer = SparsePauliOp("Z" * 59 + "X")
    found = {
        name: Engine().estimator_plan(circuit, stabilizer)
        for name, circuit in (
            ("a stabilizer state", between_all(60, 0.0)),
            ("a matrix product state", bricks(60, 4)),
            ("Pauli strings", between_all(60, 1e-3)),
        )
    }
    values = {name: plan.run(NOTHING, shots=None, seed=1) for name, plan in found.items()}

    assert all(str(plan.simulation(None)).startswith(name) for name, plan in found.items())
    assert values["a stabilizer state"].evs == pytest.approx(1.0)
    strings = values["Pauli strings"]
    assert abs(strings.evs - np.cos(1e-3) ** 59) <= strings.truncation + 1e-12
    assert 0 < strings.truncation < 0.1
    assert "a matrix product state" in str(found["Pauli strings"].simulation(1000))


def test_refusals() -> None:
    """Noise and other methods do not go with matrix product states."""
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), ["x"])

    with pytest.raises(ConfigError, match="no noise"):
        Engine(None, noise, engine="mps")
    with pytest.raises(ConfigError, match="a method of its own"):
        Engine(method="statevector", engine="mps")


def test_a_wide_run_of_few_gates(tmp_path: Path) -> None:
    """Forty qubits in a ring of CX are no state vector, and run all the same; with all angles 0 nothing is turned."""
    words = (
        "ansatz.qubits=40", "hamiltonian=pauli", "hamiltonian.qubits=40", "hamiltonian.terms=[[ZZ,1.0,[0,1]]]",
        "experiment=estimation", "estimator=exact", "ansatz.initial=zeros", "tracking=off", "run.figures=false",
    )  # fmt: skip
    result = run(compose(*words), directory=str(tmp_path / "run"))

    assert result.status == "finished"
    assert result.energy == pytest.approx(1.0, abs=1e-12)
    assert "matrix product state of 40 qubits" in str(result.simulation)

"""Pauli strings taken backwards: against Qiskit's state vectors, Aer's density matrices, and published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import PTM, SparsePauliOp, Statevector, SuperOp, random_pauli_list
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
)

from runner.engine import Engine
from runner.engine.propagation import PropagationLimits, PropagationProgram, fidelities
from runner.errors import ConfigError, TruncationError

NOTHING = np.zeros((1, 0))


def steps(qubits: int, depth: int) -> QuantumCircuit:
    """Kicks about X by θ, and ZZ of neighbours by 0.7."""
    theta = Parameter("θ")
    circuit = QuantumCircuit(qubits)
    for _ in range(depth):
        circuit.rx(theta, range(qubits))
        for first in range(qubits - 1):
            circuit.rzz(0.7, first, first + 1)
    return circuit


@pytest.mark.parametrize("qubits", [2, 3, 5])
def test_expectation_values(qubits: int) -> None:
    """Random circuits, ECR gates among them, as Qiskit's state vector has it; nothing is left out."""
    circuit = random_circuit(qubits, 6, max_operands=2, seed=qubits)
    circuit.ecr(0, 1)
    circuit.rzz(0.3, 0, 1)
    circuit.ecr(1, 0)
    circuit.ry(0.4, 0)
    paulis = random_pauli_list(qubits, 30, seed=1, phase=False)
    program = PropagationProgram(circuit, [], PropagationLimits(threshold=1e-14))
    found, lost = program.values(NOTHING, paulis.x, paulis.z, np.eye(len(paulis)))
    exact = [Statevector(circuit).expectation_value(pauli).real for pauli in paulis]

    assert found[0] == pytest.approx(exact, abs=1e-12)
    assert lost.max() < 1e-11


@pytest.mark.parametrize("limits", [PropagationLimits(0.03), PropagationLimits(0.0, 12)])
def test_what_is_left_out_bounds_the_error(limits: PropagationLimits) -> None:
    """Values are as near to the true ones as the bound says, whether small strings go or the smallest of too many."""
    circuit = steps(6, 4)
    values = np.linspace(0.2, 1.4, 7)[:, None]
    z = np.eye(6, dtype=bool)
    program = PropagationProgram(circuit, list(circuit.parameters), limits)
    found, lost = program.values(values, np.zeros_like(z), z, np.eye(6))
    exact = np.array(
        [
            [
                Statevector(circuit.assign_parameters(row)).expectation_value(SparsePauliOp(pauli)).real
                for pauli in ("IIIIIZ", "IIIIZI", "IIIZII", "IIZIII", "IZIIII", "ZIIIII")
            ]
            for row in values
        ]
    )

    assert lost.max() > 1e-3
    assert (np.abs(found - exact) <= lost + 1e-12).all()
    assert np.abs(found - exact).max() > 1e-4


def test_fidelities() -> None:
    """A channel's fidelities are the diagonal of Qiskit's Pauli transfer matrix, Y last."""
    error = amplitude_damping_error(0.2).tensor(depolarizing_error(0.1, 1))
    diagonal = np.diag(PTM(error).data).real  # by I, X, Y, Z of two qubits, the first one's fastest
    order = [0, 1, 3, 2]

    assert fidelities(SuperOp(error).data) == pytest.approx(
        diagonal[[4 * a + b for a in order for b in order]]
    )


def test_pauli_noise_is_exact() -> None:
    """Pauli channels, and misreading that is the same for 0 and 1, are what Aer's density matrix makes of them."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.03, 2), ["cx"])
    noise.add_all_qubit_quantum_error(pauli_error([("X", 0.01), ("Z", 0.02), ("I", 0.97)]), ["rx", "h"])
    noise.add_all_qubit_readout_error(ReadoutError([[0.97, 0.03], [0.03, 0.97]]))
    circuit = QuantumCircuit(3)
    for angle in (0.3, 0.9):
        circuit.rx(angle, range(3))
        circuit.cx(0, 1)
        circuit.rz(0.4, 1)
        circuit.cx(1, 2)
        circuit.h(0)
    operator = SparsePauliOp(["ZZI", "IXX", "YIZ", "III"], [0.5, -1.0, 0.25, 2.0])
    exact = Engine(None, noise, engine="aer").estimator_plan(circuit, operator)
    found = Engine(None, noise, engine="pauli", pauli_threshold=0.0).estimator_plan(circuit, operator)
    nothing = np.zeros(0)

    assert found.run(nothing, shots=None, seed=1).evs == pytest.approx(
        exact.run(nothing, shots=None, seed=1).evs, abs=1e-12
    )
    assert "twirled" in found.simulation(None)


def test_other_noise_is_twirled() -> None:
    """Amplitude damping after a gate is its average over Paulis around it, by Aer: what twirling leaves of it."""
    damping = amplitude_damping_error(0.3)
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(damping, ["id"])
    circuit = QuantumCircuit(1)
    circuit.ry(0.8, 0)
    circuit.id(0)
    circuit.rx(0.3, 0)
    operator = SparsePauliOp(["Z", "X", "Y"], [1.0, 0.5, -0.7])
    found = Engine(None, noise, engine="pauli").estimator_plan(circuit, operator)
    twirled = []
    for gate in ("id", "x", "y", "z"):
        around = QuantumCircuit(1)
        around.ry(0.8, 0)
        for gates in ([gate], ["noise"], [gate]):
            for one in gates:
                if one == "noise":
                    around.append(damping.to_instruction(), [0])
                elif one != "id":
                    getattr(around, one)(0)
        around.rx(0.3, 0)
        plan = Engine(engine="aer").estimator_plan(around, operator)
        twirled.append(float(plan.run(np.zeros(0), shots=None, seed=1).evs))

    assert float(found.run(np.zeros(0), shots=None, seed=1).evs) == pytest.approx(np.mean(twirled), abs=1e-12)


def test_shots_of_single_strings() -> None:
    """Shots of one string scatter as a binomial number does; of a sum they are refused."""
    circuit = steps(4, 2)
    plan = Engine(engine="pauli").estimator_plan(circuit, [SparsePauliOp("IIIZ", 2.0), SparsePauliOp("XIXI")])
    values = np.array([0.8])
    exact = plan.run(values, shots=None, seed=1)
    found = [plan.run(values, shots=2000, seed=seed) for seed in range(1, 101)]
    means = np.array([one.evs for one in found])
    each = np.array([2.0, 1.0])
    spread = each * np.sqrt((1 - (exact.evs / each) ** 2) / 2000)

    assert np.abs(means.mean(axis=0) - exact.evs).max() < (5 * spread / 10).max()
    assert means.std(axis=0) == pytest.approx(spread, rel=0.35)
    assert found[0].stds == pytest.approx(spread, rel=0.1)
    several = Engine(engine="pauli").estimator_plan(circuit, SparsePauliOp(["IIIZ", "IIZI"], [1.0, 1.0]))
    with pytest.raises(ConfigError, match="estimator=exact"):
        several.require(exact=False)


def test_no_samples() -> None:
    """Nothing is sampled from Pauli strings."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()

    with pytest.raises(ConfigError, match="no samples"):
        Engine(engine="pauli").sampler_plan(circuit)


def test_too_much_left_out() -> None:
    """A result that may be further off than declared is refused."""
    plan = Engine(engine="pauli", pauli_threshold=0.2, max_pauli_error=0.01).estimator_plan(
        steps(6, 4), SparsePauliOp("IIIIIZ")
    )

    with pytest.raises(TruncationError, match="max_pauli_error"):
        plan.run(np.array([0.8]), shots=None, seed=1)


def test_a_hundred_qubits() -> None:
    """One step on 100 qubits, by pencil: ⟨Z⟩ and ⟨Y⟩ of a product state whose neighbours turn it by their ZZ."""
    circuit = steps(100, 1)
    operators = [SparsePauliOp.from_sparse_list([(letter, [50], 1.0)], 100) for letter in ("Z", "Y")]
    found = Engine(engine="pauli").estimator_plan(circuit, operators).run(np.array([0.5]), shots=None, seed=1)

    # ZZ of two neighbours leaves Z alone, and makes of Y: cos² Y, XZ, which is 0 here, and -sin² ZYZ
    expected = -math.sin(0.5) * (math.cos(0.7) ** 2 - math.sin(0.7) ** 2 * math.cos(0.5) ** 2)

    assert found.evs[0] == pytest.approx(math.cos(0.5), abs=1e-12)
    assert found.evs[1] == pytest.approx(expected, abs=1e-12)

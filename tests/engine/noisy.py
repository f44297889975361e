"""Noise of every kind for tests, and the slow ways it is checked against: dense algebra with numpy, and Aer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Kraus, Operator, random_unitary
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    coherent_unitary_error,
    depolarizing_error,
    kraus_error,
    pauli_error,
    phase_amplitude_damping_error,
    phase_damping_error,
    reset_error,
    thermal_relaxation_error,
)

SINGLE = ("rx", "ry", "rz", "h", "sx", "t", "u", "p")
PAIR = ("cx", "cz", "ecr", "swap", "cy", "rzz", "rxx", "crx", "cp", "unitary")
ANGLES = {"rx": 1, "ry": 1, "rz": 1, "p": 1, "u": 3, "rzz": 1, "rxx": 1, "crx": 1, "cp": 1}


def single_errors(rng: np.random.Generator) -> list[Any]:
    """One error of each kind on one qubit, of random strength."""
    a, b, c = rng.uniform(0.01, 0.2, 3)
    turn = Operator(random_unitary(2, seed=int(rng.integers(1 << 31)))).power(0.1).data
    damping = [np.diag([1, np.sqrt(1 - a)]), np.array([[0, np.sqrt(a)], [0, 0]])]
    return [
        depolarizing_error(a, 1),
        amplitude_damping_error(a, excited_state_population=b),
        phase_damping_error(a),
        phase_amplitude_damping_error(a, b),
        thermal_relaxation_error(50.0, 60.0, 10 * c),
        coherent_unitary_error(turn),
        kraus_error([turn @ matrix for matrix in damping]),
        pauli_error([("X", a), ("Y", b), ("I", 1 - a - b)]),
        reset_error(a, b),
    ]


def pair_errors(rng: np.random.Generator) -> list[Any]:
    """Errors on two qubits: correlated ones, products of different ones, and both after each other."""
    singles = single_errors(rng)
    one, other = rng.choice(len(singles), 2)
    product = singles[one].tensor(singles[other])
    over = coherent_unitary_error(np.diag(np.exp(1j * rng.uniform(-0.2, 0.2, 4))))
    return [
        depolarizing_error(rng.uniform(0.01, 0.2), 2),
        product,
        over,
        product.compose(depolarizing_error(0.05, 2)),
        pauli_error([("XZ", 0.1), ("YI", 0.05), ("II", 0.85)]),
    ]


def readout(rng: np.random.Generator) -> ReadoutError:
    """An asymmetric misreading."""
    a, b = rng.uniform(0, 0.2, 2)
    return ReadoutError([[1 - a, a], [b, 1 - b]])


def random_noise(rng: np.random.Generator, num_qubits: int) -> NoiseModel:
    """Some error on most gates: one for all qubits or another on each qubit and ordered pair, and misreading."""
    model = NoiseModel(basis_gates=[*SINGLE, "sdg", *PAIR])
    kinds, pairs = single_errors(rng), pair_errors(rng)
    for name in [*SINGLE, "sdg"]:
        if rng.random() < 0.5:
            model.add_all_qubit_quantum_error(kinds[rng.integers(len(kinds))], name)
        for qubit in range(num_qubits):
            if rng.random() < 0.4:
                model.add_quantum_error(kinds[rng.integers(len(kinds))], name, [qubit], warnings=False)
    for name in PAIR:
        for a in range(num_qubits):
            for b in range(num_qubits):
                if a != b and rng.random() < 0.7:
                    model.add_quantum_error(pairs[rng.integers(len(pairs))], name, [a, b])
    for qubit in range(num_qubits):
        if rng.random() < 0.7:
            model.add_readout_error(readout(rng), [qubit])
    return model


def random_circuit(rng: np.random.Generator, num_qubits: int, gates: int) -> QuantumCircuit:
    """Gates of one and two qubits, about half of their angles free, some sums of parameters, one CCX."""
    parameters = ParameterVector("a", 5)
    circuit = QuantumCircuit(num_qubits)
    for place in range(gates):
        pair = num_qubits > 1 and rng.random() < 0.5
        name = str(rng.choice(PAIR if pair else SINGLE))
        qubits = rng.choice(num_qubits, 2 if pair else 1, replace=False).tolist()
        if name == "unitary":
            circuit.append(UnitaryGate(random_unitary(4, seed=int(rng.integers(1 << 31)))), qubits)
            continue
        angles: list[Any] = rng.uniform(-3, 3, ANGLES.get(name, 0)).tolist()
        if angles and rng.random() < 0.6:
            one, other = rng.choice(5, 2)
            angles[0] = (
                parameters[one] * 0.7 + 0.3 if rng.random() < 0.5 else parameters[one] - parameters[other]
            )
        getattr(circuit, name)(*angles, *qubits)
        if place == gates // 2 and num_qubits > 2:
            circuit.ccx(*rng.choice(num_qubits, 3, replace=False).tolist())
    return circuit


def dense_state(circuit: QuantumCircuit, model: NoiseModel) -> NDArray:
    """ρ after a bound circuit by dense matrices: U ρ U†, then Σ K ρ K† of the gate's error; numpy and nothing else."""
    size = circuit.num_qubits
    rho = np.zeros((1 << size, 1 << size), dtype=complex)
    rho[0, 0] = 1
    for item in circuit.data:
        qubits = tuple(circuit.find_bit(bit).index for bit in item.qubits)
        matrix = embedded(np.asarray(Operator(item.operation).data), qubits, size)
        rho = matrix @ rho @ matrix.conj().T
        name = item.operation.name
        error = model._local_quantum_errors.get(name, {}).get(qubits, model._default_quantum_errors.get(name))
        if error is not None:
            pieces = [embedded(np.asarray(kraus), qubits, size) for kraus in Kraus(error).data]
            rho = np.sum([piece @ rho @ piece.conj().T for piece in pieces], axis=0)
    return rho


def embedded(matrix: NDArray, qubits: Sequence[int], size: int) -> NDArray:
    """A matrix on some qubits, the first of them its lowest bit, as one on all, qubit 0 being the lowest bit."""
    result = np.zeros((1 << size, 1 << size), dtype=complex)
    for column in range(1 << size):
        inner = sum((column >> qubit & 1) << bit for bit, qubit in enumerate(qubits))
        rest = column & ~sum(1 << qubit for qubit in qubits)
        for row in range(len(matrix)):
            outer = rest | sum((row >> bit & 1) << qubit for bit, qubit in enumerate(qubits))
            result[outer, column] = matrix[row, inner]
    return result


def aer_state(circuit: QuantumCircuit, model: NoiseModel) -> NDArray:
    """ρ after a bound circuit by Aer's density matrix, without fusion; gates are matrices labelled by their names."""
    saved = QuantumCircuit(circuit.num_qubits)
    for item in circuit.data:
        matrix = UnitaryGate(Operator(item.operation), label=item.operation.name)
        saved.append(matrix, [circuit.find_bit(bit).index for bit in item.qubits])
    saved.save_density_matrix()
    simulator = AerSimulator(method="density_matrix", noise_model=model, fusion_enable=False)
    return np.asarray(simulator.run(saved).result().data()["density_matrix"].data)


def as_read(rho: NDArray, model: NoiseModel) -> NDArray:
    """Probabilities of outcomes as they are read, (2^n,)."""
    size = len(rho).bit_length() - 1
    table = np.real(np.diag(rho)).reshape((2,) * size)
    for qubit in range(size):
        error = model._local_readout_errors.get((qubit,), model._default_readout_error)
        if error is not None:
            axis = size - 1 - qubit
            table = np.moveaxis(
                np.tensordot(table, np.asarray(error.probabilities), axes=(axis, 0)), -1, axis
            )
    return table.reshape(-1)


def expectation(probabilities: NDArray, support: Sequence[int]) -> float:
    """⟨Π (±1)⟩ of some qubits."""
    outcomes = np.arange(len(probabilities))
    mask = sum(1 << qubit for qubit in support)
    return float(probabilities @ (1.0 - 2.0 * (np.bitwise_count(outcomes & mask) & 1)))

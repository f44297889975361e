"""A circuit and noise whose every effect is known on paper."""

from __future__ import annotations

from qiskit.circuit import Parameter, QuantumCircuit
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

FLIPS = ((0.02, 0.06), (0.05, 0.12))
"""Per qubit, how often a 0 is read as 1, and a 1 as 0."""
DEPOLARIZING = 0.06
"""Of the two-qubit gate: every Pauli but the identity is multiplied by 1 − this."""


def circuit() -> QuantumCircuit:
    """One CX between rotations by an angle: all correlations are different."""
    theta = Parameter("θ")
    result = QuantumCircuit(2)
    result.sx(0)
    result.rz(theta, 0)
    result.sx(0)
    result.sx(1)
    result.rz(2 * theta, 1)
    result.sx(1)
    result.cx(0, 1)
    result.rz(theta, 0)
    result.sx(0)
    result.rz(-theta, 1)
    return result


def noise(readout: bool = True) -> NoiseModel:
    """Depolarizing CX, and readout that favours 0."""
    model = NoiseModel(basis_gates=["rz", "sx", "x", "cx", "ry", "rx"])
    model.add_all_qubit_quantum_error(depolarizing_error(DEPOLARIZING, 2), "cx")
    if readout:
        for qubit, (up, down) in enumerate(FLIPS):
            model.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [qubit])
    return model

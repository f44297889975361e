"""What learning noise has to find in channels of two qubits, by dense algebra."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit.library import CXGate, SXGate
from qiskit.providers import BackendV2
from qiskit.quantum_info import Operator, Pauli, SuperOp
from qiskit_aer.noise import NoiseModel

PAULIS = [first + second for first in "IXYZ" for second in "IXYZ"][1:]


def after_twirling(channel: SuperOp) -> dict[str, float]:
    """Pauli → Tr(P E(P)) / 4: what twirling with Paulis leaves of a channel of two qubits."""
    found = {}
    for label in PAULIS:
        matrix = Pauli(label).to_matrix()
        vector = matrix.reshape(-1, order="F")
        found[label] = float(np.real(vector.conj() @ channel.data @ vector)) / 4
    return found


def learnable(fidelities: dict[str, float], gate: Operator) -> dict[str, float]:
    """Pauli → √(f(P) f(GPG†)): pairs of a gate that is its own inverse tell no more than that."""
    found = {}
    for label in PAULIS:
        turned = gate.data @ Pauli(label).to_matrix() @ gate.data.conj().T
        (partner,) = (one for one in PAULIS if abs(np.trace(Pauli(one).to_matrix() @ turned)) > 3)
        found[label] = float(np.sqrt(fidelities[label] * fidelities[partner]))
    return found


def of_device(device: BackendV2) -> dict[str, float]:
    """Pauli → what can be learned of CX on qubits 1 and 2 behind two sx on either, by Aer's own noise model."""
    model = NoiseModel.from_backend(device)
    turn = SuperOp(Operator(SXGate()))
    error = [SuperOp(model._local_quantum_errors["sx"][(qubit,)]) for qubit in (1, 2)]
    # the second sx turns what the first one's noise does
    single = [turn.adjoint().compose(one).compose(turn).compose(one) for one in error]
    pair = SuperOp(model._local_quantum_errors["cx"][(1, 2)])
    gate = Operator(CXGate())
    channel = (
        SuperOp(gate).adjoint().compose(single[1].tensor(single[0])).compose(SuperOp(gate)).compose(pair)
    )
    return learnable(after_twirling(channel), gate)


def told(labels: Iterable[str], rates: NDArray) -> dict[str, float]:
    """Pauli → exp(−2 Σ rates of the generators that it anticommutes with)."""
    return {
        label: float(
            np.exp(
                -2
                * sum(
                    rate
                    for generator, rate in zip(labels, rates, strict=True)
                    if Pauli(label).anticommutes(Pauli(generator))
                )
            )
        )
        for label in PAULIS
    }

"""Clifford circuits after which commuting Pauli strings are read off bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Clifford, PauliList


def diagonalizing(x: NDArray, z: NDArray) -> QuantumCircuit:
    """A circuit U of h, s, cx and cz that makes commuting Pauli strings P into U P U† = ± products of Z.

    Qubits on which all strings have one letter take a one-qubit gate. Of the others, the shortest string that still
    flips anything is made into a single X by CX and CZ, as in Gaussian elimination, and turned into Z; all others,
    which commute with it, do not flip that qubit any more. An independent string on k qubits takes at most 2 (k − 1)
    two-qubit gates.

    Args:
        x: which qubits each string flips, (strings, qubits), booleans.
        z: which qubits it signs.
    """
    x, z = x.copy(), z.copy()
    circuit = QuantumCircuit(x.shape[1])
    while True:
        _turn_single_letters(circuit, x, z)
        flipping = np.flatnonzero(x.any(axis=1))
        if not len(flipping):
            return circuit
        string = min(flipping.tolist(), key=lambda s: (int((x[s] | z[s]).sum()), s))
        pivot, *others = np.flatnonzero(x[string]).tolist()
        for other in others:
            circuit.cx(pivot, other)
            x[:, other] ^= x[:, pivot]
            z[:, pivot] ^= z[:, other]
        if z[string, pivot]:
            circuit.s(pivot)
            z[:, pivot] ^= x[:, pivot]
        for other in np.flatnonzero(z[string]).tolist():
            circuit.cz(pivot, other)
            z[:, other] ^= x[:, pivot]
            z[:, pivot] ^= x[:, other]


def _turn_single_letters(circuit: QuantumCircuit, x: NDArray, z: NDArray) -> None:
    """Turn the qubits on which all strings that act have the same letter, X or Y, so that it is Z."""
    for qubit in np.flatnonzero(x.any(axis=0)).tolist():
        acting = x[:, qubit] | z[:, qubit]
        letters = set(zip(x[acting, qubit].tolist(), z[acting, qubit].tolist(), strict=True))
        if len(letters) > 1:
            continue
        if letters == {(True, True)}:
            circuit.sdg(qubit)
            z[:, qubit] = False
        circuit.h(qubit)
        x[:, qubit], z[:, qubit] = z[:, qubit].copy(), x[:, qubit].copy()


def fitted(circuit: QuantumCircuit, target: Any, noise_model: Any) -> tuple[QuantumCircuit, list[int]]:
    """The circuit in a device's own gates on the same qubits, and where each of its qubits ends.

    Args:
        circuit: of as many qubits as the device has, or, without a target, of any.
        target: the device's; None has neither gates of its own nor a topology.
        noise_model: has the names of its gates, where there is no target; None takes all.
    """
    same = list(range(circuit.num_qubits))
    if target is None and noise_model is None:
        return circuit, same
    from qiskit.transpiler import generate_preset_pass_manager

    manager = generate_preset_pass_manager(
        2,
        target=target,
        basis_gates=None if target is not None else list(noise_model.basis_gates),
        initial_layout=same,
        seed_transpiler=1,
    )
    result = manager.run(circuit)
    places = same if result.layout is None else result.layout.final_index_layout()
    return result, list(places)


def as_read(labels: list[str], circuit: QuantumCircuit) -> PauliList:
    """The strings after the circuit, with their signs."""
    return PauliList(labels).evolve(Clifford(circuit), frame="s")

"""How alike two states of one ansatz are: the compute–uncompute circuit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def overlap_circuit(circuit: QuantumCircuit) -> QuantumCircuit:
    """U(b)† U(a): the probability of all zeros is |⟨ψ(b)|ψ(a)⟩|²; 2P parameters, first a, then b."""
    from qiskit.circuit import ParameterVector

    count = circuit.num_parameters
    first, second = ParameterVector("a", count), ParameterVector("b", count)
    forward = circuit.assign_parameters(list(first))
    backward = circuit.assign_parameters(list(second)).inverse()
    return forward.compose(backward)

"""Circuits wider than any state vector: what their structure lets simulate all the same."""

from __future__ import annotations

from qiskit.circuit import QuantumCircuit

from runner.engine.aer import is_clifford
from runner.engine.circuits import without_final_measurements
from runner.engine.classification import classify
from runner.engine.matrix_product import Gates


def narrow(circuit: QuantumCircuit, *, engine: str, method: str, max_bond_dimension: int) -> bool:
    """Can a noiseless circuit be simulated whatever the number of its qubits?

    As a matrix product state where that is asked for, or loses nothing by the circuit's gates alone; as a stabilizer
    state where it is made of Clifford gates.

    Args:
        circuit: its final measurements do not count.
        engine: as `Engine` takes it.
        method: likewise.
        max_bond_dimension: likewise.
    """
    if engine == "mps":
        return True
    if engine != "auto" or method not in ("automatic", "stabilizer"):
        return False
    kind = classify(circuit, drop_measurements=True)
    if not kind.unitary:
        return False
    bare = without_final_measurements(circuit)
    if method == "stabilizer" or is_clifford(bare):
        return True
    return Gates.of(bare).bond_dimension() <= max_bond_dimension

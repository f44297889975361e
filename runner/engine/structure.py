"""Circuits wider than any state vector: what their structure lets simulate all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.engine.aer import is_clifford
from runner.engine.circuits import without_final_measurements
from runner.engine.classification import classify
from runner.engine.executed import as_executed
from runner.engine.matrix_product import Gates
from runner.engine.observables import ObservableTerms, pauli_terms
from runner.engine.propagation import PropagationLimits, PropagationProgram


def narrow(circuit: QuantumCircuit, *, engine: str, method: str, max_bond_dimension: int) -> bool:
    """Can a noiseless circuit be simulated whatever the number of its qubits?

    As Pauli strings or a matrix product state where that is asked for; as such a state where it loses nothing by the
    circuit's gates alone; as a stabilizer state where it is made of Clifford gates.

    Args:
        circuit: its final measurements do not count.
        engine: as `Engine` takes it.
        method: likewise.
        max_bond_dimension: likewise.
    """
    if engine in ("mps", "pauli"):
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


@dataclass(frozen=True)
class Propagated:
    """Noiseless expectation values of a unitary circuit by Pauli strings taken backwards."""

    program: PropagationProgram
    """The circuit."""
    terms: ObservableTerms
    """The observables."""

    @classmethod
    def of(
        cls, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], max_terms: int, threshold: float
    ) -> Propagated:
        """Compile a circuit and S sums.

        Args:
            circuit: unitary.
            observables: the sums.
            max_terms: strings that are kept.
            threshold: coefficients, of the largest one, that are left out.

        Raises:
            ConfigError: so many strings take more memory than there is.
        """
        limits = PropagationLimits(threshold, max_terms)
        program = PropagationProgram(as_executed(circuit), list(circuit.parameters), limits)
        program.require()
        return cls(program, pauli_terms(list(observables)))

    def values(self, rows: Sequence[Sequence[float]]) -> tuple[NDArray, NDArray]:
        """Values at B parameter sets (B, P), and bounds on what is left out of them, (B, S) each."""
        terms = self.terms
        return self.program.values(np.asarray(rows, dtype=float), terms.x, terms.z, terms.coefficients)

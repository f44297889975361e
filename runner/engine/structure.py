"""Circuits wider than any state vector: what their structure lets simulate all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.engine.classification import classify
from runner.engine.executed import as_executed
from runner.engine.observables import ObservableTerms, pauli_terms
from runner.engine.propagation import PropagationLimits, PropagationProgram


def narrow(circuit: QuantumCircuit, *, engine: str, method: str) -> bool:
    """Can a noiseless circuit be simulated whatever the number of its qubits?

    As Pauli strings or a matrix product state where that is asked for. Else, of unitary circuits: as a stabilizer state
    where it is made of Clifford gates; as a matrix product state that loses nothing by the circuit's gates alone;
    expectation values as Pauli strings, and shots as a matrix product state, that lose no more than they may.

    Args:
        circuit: its final measurements do not count.
        engine: as `Engine` takes it.
        method: likewise.
    """
    if engine in ("mps", "pauli"):
        return True
    if engine != "auto" or method not in ("automatic", "stabilizer"):
        return False
    return classify(circuit, drop_measurements=True).unitary


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

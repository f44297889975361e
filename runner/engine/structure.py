"""Circuits wider than any state vector: what their structure lets simulate all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import PauliList, SparsePauliOp

from runner.engine.classification import classify
from runner.engine.executed import as_executed
from runner.engine.matrix_product import BondLimits, Losses, ProductProgram
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


class Approximate(NamedTuple):
    """Values of S observables from states that something was left out of."""

    values: NDArray
    """(S,)."""
    bounds: NDArray
    """By how much they may be wrong: 2 sin Θ · Σ|c|, (S,)."""
    discarded: NDArray
    """Squares of the singular values that were left out, (S,)."""


@dataclass(frozen=True)
class ProductStates:
    """Noiseless expectation values of a unitary circuit, each from a matrix product state of its light cone."""

    programs: list[ProductProgram]
    """Of every observable, the gates that can act on it, on their qubits alone."""
    terms: list[ObservableTerms]
    """The observables on these."""

    @classmethod
    def of(
        cls, circuit: QuantumCircuit, observables: Sequence[SparsePauliOp], max_bond_dimension: int
    ) -> ProductStates:
        """Compile a circuit and S sums.

        Args:
            circuit: unitary.
            observables: the sums.
            max_bond_dimension: singular values that are kept at a cut; whatever weight others have.

        Raises:
            ConfigError: such states take more memory than there is.
        """
        limits = BondLimits(max_bond_dimension, max_discarded_weight=float("inf"))
        programs, terms = [], []
        for one in observables:
            own = pauli_terms([one])
            part, qubits = light_cone(circuit, np.flatnonzero(own.support.any(axis=0)).tolist())
            programs.append(ProductProgram(as_executed(part), list(circuit.parameters), limits))
            programs[-1].require()
            paulis = PauliList.from_symplectic(one.paulis.z[:, qubits], one.paulis.x[:, qubits])
            terms.append(pauli_terms([SparsePauliOp(paulis, one.coeffs)]))
        return cls(programs, terms)

    def values(self, row: Sequence[float]) -> Approximate:
        """Values at one parameter set, (P,), and what they miss."""
        found = []
        for program, terms in zip(self.programs, self.terms, strict=True):
            state, losses = program.prepared(np.asarray(row, dtype=float)), Losses(1)
            losses.add(0, state)
            acting = terms.support.any(axis=1)
            value = float((terms.coefficients @ state.expectations(terms.x, terms.z))[0])
            bound = 2 * float(losses.distances[0]) * float(np.abs(terms.coefficients[:, acting]).sum())
            found.append((value, bound, state.discarded))
        return Approximate(*(np.array(part, dtype=float) for part in zip(*found, strict=True)))


def light_cone(circuit: QuantumCircuit, qubits: Sequence[int]) -> tuple[QuantumCircuit, list[int]]:
    """The gates that can act on what is looked at on some qubits, on the qubits that they act on, and which these are.

    Args:
        circuit: unitary.
        qubits: what is looked at.
    """
    seen = set(qubits)
    kept: list[Any] = []
    for item in reversed(circuit.data):
        acted = [circuit.find_bit(bit).index for bit in item.qubits]
        if item.operation.name != "barrier" and seen.intersection(acted):
            seen.update(acted)
            kept.append((item.operation, acted))
    places = sorted(seen)
    where = {qubit: place for place, qubit in enumerate(places)}
    result = QuantumCircuit(len(places))
    for operation, acted in reversed(kept):
        result.append(operation, [where[qubit] for qubit in acted])
    return result, places

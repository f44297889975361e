"""How alike two states of one circuit are, the way hardware tells: run one, undo the other, look for all zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runner.ansatz.overlap import overlap_circuit
from runner.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparseObservable

    from runner.declare.config import RunConfig
    from runner.run.objective import JobStream

MAX_PROJECTED_QUBITS = 12
"""Largest circuit whose all-zeros projector is written as a sum of Pauli strings."""


class Bench(Protocol):
    """What of the lab is needed."""

    config: RunConfig

    def fit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The ISA circuit."""
        ...


@dataclass(frozen=True)
class Overlap:
    """|⟨ψ(b)|ψ(a)⟩|² = probability of all zeros after U(a) and the inverse of U(b) (compute–uncompute)."""

    measure: Callable[[np.ndarray], np.ndarray]
    """Parameters a and b side by side, shape (B, 2P), to probabilities, shape (B,)."""

    @classmethod
    def of(cls, circuit: QuantumCircuit, bench: Bench, stream: JobStream) -> Overlap:
        """The overlap of states of a logical circuit, every call being a job of `stream`.

        From Sampler shots where energies are sampled too; where they are exact, so is this.
        """
        both = overlap_circuit(circuit)
        if bench.config.estimator.precision == 0 and circuit.num_qubits <= MAX_PROJECTED_QUBITS:
            fitted = bench.fit(both)
            kept = _kept(both, fitted)
            observable = all_zeros(fitted, circuit.num_qubits)
            return cls(lambda values: stream.estimate((fitted, observable, values[:, kept]))[0].data.evs)
        measured = bench.fit(both.measure_all(inplace=False))
        kept = _kept(both, measured)

        def zeros(values: np.ndarray) -> np.ndarray:
            bits = stream.sample((measured, values[:, kept]))[0].data.meas
            shares: np.ndarray = (bits.array == 0).all(axis=-1).mean(axis=-1)
            return shares

        return cls(zeros)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Overlaps of pairs of parameter sets, shapes (B, P) each, as one job; shape (B,)."""
        import numpy as np

        return self.measure(np.concatenate([np.atleast_2d(first), np.atleast_2d(second)], axis=1))


def _kept(before: QuantumCircuit, after: QuantumCircuit) -> list[int]:
    """Places of the parameters that transpilation left; it drops rotations that no measurement can see."""
    places = {parameter: place for place, parameter in enumerate(before.parameters)}
    return [places[parameter] for parameter in after.parameters]


def undone(circuit: QuantumCircuit, known: Sequence[float] | np.ndarray) -> QuantumCircuit:
    """U(known)† U(θ): the probability of all zeros is |⟨ψ(known)|ψ(θ)⟩|²."""
    return circuit.compose(circuit.assign_parameters(known).inverse())


def all_zeros(circuit: QuantumCircuit, qubits: int) -> SparseObservable:
    """The projector on |0…0⟩ of the first `qubits` logical qubits, in the layout of an ISA circuit.

    Raises:
        ConfigError: too many qubits to write it down.
    """
    from qiskit.quantum_info import SparseObservable

    if qubits > MAX_PROJECTED_QUBITS:
        raise ConfigError(
            f"the overlap of states has at most {MAX_PROJECTED_QUBITS} qubits, got {qubits}; make it smaller",
            key="experiment",
        )
    projector = SparseObservable.from_label("0" * qubits)
    return projector.apply_layout(circuit.layout) if circuit.layout else projector

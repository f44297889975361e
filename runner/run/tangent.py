"""How a state moves with its parameters: the geometric tensor, from state vectors or from fidelities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from runner.engine import memory
from runner.run.gradient import ParameterShift
from runner.run.overlap import Overlap

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit

    from runner.run.context import Lab
    from runner.run.objective import JobStream

SECONDS = 2.5e-8
"""Of a gate, for each amplitude of the state and its derivatives, measured here at 6 to 14 qubits."""
ROTATIONS = ("rx", "ry", "rz")
"""What every parametrized gate becomes."""
FIXED = ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "cx", "cz", "swap")
"""Other gates that are left as they are."""


def rotations(circuit: QuantumCircuit) -> ParameterShift:
    """The circuit with rotations by single Pauli matrices as its only parametrized gates, each with its own angle.

    Raises:
        ConfigError: an angle is not linear in the parameters.
    """
    from qiskit import transpile

    plain = transpile(circuit, basis_gates=[*ROTATIONS, *FIXED], optimization_level=0)
    return ParameterShift.of(plain)


@dataclass(frozen=True)
class Tangents:
    """The state vector of a unitary circuit and its derivatives."""

    shift: ParameterShift
    """As `rotations` gives it."""

    @cached_property
    def _generators(self) -> dict[str, np.ndarray]:
        from qiskit.circuit.library import XGate, YGate, ZGate

        return {"rx": XGate().to_matrix(), "ry": YGate().to_matrix(), "rz": ZGate().to_matrix()}

    def require(self) -> None:
        """Refuse a state and derivatives that do not fit into memory.

        Raises:
            ConfigError: with their size.
        """
        rows, qubits = 1 + self.shift.slopes.shape[1], self.shift.circuit.num_qubits
        memory.require(3 * rows * 16 << qubits, f"{rows} state vectors of {qubits} qubits, three times")

    @property
    def seconds(self) -> float:
        """About how long they take on a computer like the one where that was measured."""
        rows, circuit = 1 + self.shift.slopes.shape[1], self.shift.circuit
        return SECONDS * len(circuit.data) * float(rows << circuit.num_qubits)

    def at(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """|ψ⟩, shape (2ⁿ,), and |∂ψ/∂θ_p⟩, shape (P, 2ⁿ), at parameters of shape (P,), up to one phase.

        Raises:
            ConfigError: too large for the memory that is free.
        """
        import numpy as np

        circuit, slopes = self.shift.circuit, self.shift.slopes
        rows, qubits = 1 + slopes.shape[1], circuit.num_qubits
        self.require()
        angles = self.shift.offsets + slopes @ parameters
        states = np.zeros((rows, 2**qubits), dtype=complex)
        states[0, 0] = 1
        number = 0
        for item in circuit.data:
            gate, places = item.operation, [circuit.find_bit(bit).index for bit in item.qubits]
            if gate.name == "barrier":
                continue
            if not gate.is_parameterized():
                states = _applied(gate.to_matrix(), places, states)
                continue
            generator, half = self._generators[gate.name], angles[number] / 2
            states = _applied(np.cos(half) * np.eye(2) - 1j * np.sin(half) * generator, places, states)
            states[1:] += np.outer(slopes[number], _applied(-0.5j * generator, places, states[:1])[0])
            number += 1
        return states[0], states[1:]

    def metric(self, parameters: np.ndarray) -> np.ndarray:
        """Re⟨∂ᵢψ|∂ⱼψ⟩ − Re⟨∂ᵢψ|ψ⟩⟨ψ|∂ⱼψ⟩, shape (P, P); a quarter of the quantum Fisher information."""
        import numpy as np

        state, derivatives = self.at(parameters)
        across = derivatives - np.outer(derivatives @ state.conj(), state)
        return np.asarray((across.conj() @ across.T).real)


def _applied(matrix: np.ndarray, places: list[int], states: np.ndarray) -> np.ndarray:
    """A gate's matrix on qubits of states, shape (rows, 2ⁿ); the first qubit is the last digit of both."""
    import numpy as np

    qubits, count = states.shape[1].bit_length() - 1, len(places)
    axes = [qubits - place for place in reversed(places)]
    tensor = states.reshape(-1, *[2] * qubits)
    moved = np.tensordot(matrix.reshape([2] * 2 * count), tensor, axes=(range(count, 2 * count), axes))
    return np.ascontiguousarray(np.moveaxis(moved, range(count), axes)).reshape(states.shape)


@dataclass(frozen=True)
class MeasuredMetric:
    """The same from fidelities F(δ) = |⟨ψ(φ)|ψ(φ + δ)⟩|² of the angles φ of all rotations.

    A_kl = −⅛ [F(++) − F(+−) − F(−+) + F(−−)] with δ = ±π/2 in k and l, and A_kk = ¼ [F(0) − F(π)] (Mari, Bromley and
    Killoran, Phys. Rev. A 103, 012405 (2021)); the chain rule leads from angles to parameters.
    """

    shift: ParameterShift
    """As `rotations` gives it."""
    overlap: Overlap
    """Of the circuit of all angles."""

    @classmethod
    def of(cls, shift: ParameterShift, lab: Lab, stream: JobStream) -> MeasuredMetric:
        """That of a circuit's rotations, every call being a job of `stream`."""
        return cls(shift, Overlap.of(shift.circuit, lab, stream))

    def metric(self, parameters: np.ndarray) -> np.ndarray:
        """Shape (P, P), at parameters of shape (P,)."""
        import numpy as np

        slopes = self.shift.slopes
        angles, count = self.shift.offsets + slopes @ parameters, len(slopes)
        unit = np.eye(count)
        pairs = [(one, other) for one in range(count) for other in range(one)]
        shifts = [0 * angles, *(np.pi * unit)]
        for one, other in pairs:
            shifts += [np.pi / 2 * (a * unit[one] + b * unit[other]) for a, b in SIGNS]
        same = np.tile(angles, (len(shifts), 1))
        found = np.asarray(self.overlap(same, same + np.array(shifts)), dtype=float)
        tensor = np.diag((found[0] - found[1 : 1 + count]) / 4)
        mixed = found[1 + count :].reshape(-1, 4) @ np.array([a * b for a, b in SIGNS]) / -8
        for (one, other), value in zip(pairs, mixed, strict=True):
            tensor[one, other] = tensor[other, one] = value
        return np.asarray(slopes.T @ tensor @ slopes)


SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def velocity(metric: np.ndarray, force: np.ndarray, regularization: float) -> np.ndarray:
    """θ̇ of (A + λ) θ̇ = C; eigenvalues of A that shot noise has made negative count as 0.

    Args:
        metric: A, shape (P, P), symmetric.
        force: C, shape (P,).
        regularization: λ, above 0.
    """
    import numpy as np

    values, vectors = np.linalg.eigh((metric + metric.T) / 2)
    return np.asarray(vectors @ ((vectors.T @ force) / (np.maximum(values, 0) + regularization)))

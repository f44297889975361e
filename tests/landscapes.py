"""Energies by dense matrices: random Pauli rotations, two of them sharing an angle, and a random Hamiltonian."""

import numpy as np
from qiskit.quantum_info import Pauli, random_hermitian


class Landscape:
    """E(θ) = ⟨0|U(θ)† H U(θ)|0⟩ with its gradient, two qubits; nothing of the engine is used.

    U is a product of cos(θ/2) − i sin(θ/2) P; of all angles the last one stands in two rotations.
    """

    def __init__(self, seed, parameters=4):
        rng = np.random.default_rng([seed, 77])
        self.hamiltonian = random_hermitian(4, seed=seed).data
        self.hamiltonian /= np.abs(np.linalg.eigvalsh(self.hamiltonian)).max()
        labels = [a + b for a in "IXYZ" for b in "IXYZ"][1:]
        self.strings = [Pauli(str(rng.choice(labels))).to_matrix() for _ in range(parameters + 1)]
        self.angle_of = [*range(parameters), parameters - 1]
        self.frequencies = [(1.0,)] * (parameters - 1) + [(1.0, 2.0)]
        self.start = rng.uniform(-np.pi, np.pi, parameters)
        self.evaluations = 0

    def _rotate(self, string, angle, state):
        return np.cos(angle / 2) * state - 1j * np.sin(angle / 2) * (string @ state)

    def gradient(self, x):
        """Energy and gradient at one point."""
        states = [np.eye(4)[0].astype(complex)]
        for string, index in zip(self.strings, self.angle_of, strict=True):
            states.append(self._rotate(string, x[index], states[-1]))
        energy = (states[-1].conj() @ self.hamiltonian @ states[-1]).real
        slope, back = np.zeros(len(x)), self.hamiltonian @ states[-1]
        for string, index, state in reversed(list(zip(self.strings, self.angle_of, states[1:], strict=True))):
            slope[index] += (back.conj() @ (-1j * (string @ state))).real
            back = self._rotate(string, -x[index], back)
        self.evaluations += 1
        return float(energy), slope

    def __call__(self, points):
        """Energy of one point (P,) or energies of several (B, P)."""
        values = np.array([self.gradient(row)[0] for row in np.atleast_2d(points)])
        return float(values[0]) if points.ndim == 1 else values

    def fidelity(self, first, second):
        """|⟨ψ(a)|ψ(b)⟩|² of pairs of points."""
        return np.array(
            [abs(self.state(a).conj() @ self.state(b)) ** 2 for a, b in zip(first, second, strict=True)]
        )

    def state(self, x):
        """U(θ)|0⟩."""
        state = np.eye(4)[0].astype(complex)
        for string, index in zip(self.strings, self.angle_of, strict=True):
            state = self._rotate(string, x[index], state)
        return state

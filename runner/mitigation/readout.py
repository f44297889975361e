"""Bitstrings as they were before they were misread: quasi-probabilities, by mthree.

Nation, Kang, Sundaresan & Gambetta, PRX Quantum 2, 040326 (2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.primitives import BitArray

from runner.errors import ConfigError, NumericalError

REGISTER = "read"
MOST_WITH_ERRORS = 1024
"""Different bitstrings up to which standard errors are told."""
_DIRECT = 4096
"""… the linear equations are solved directly; which way must not depend on the memory that is free."""
_STEP = 1e-3


def require_installed() -> None:
    """Refuse without mthree.

    Raises:
        ConfigError: says what to install.
    """
    if find_spec("mthree") is None:
        raise ConfigError(
            "misread bitstrings are corrected by mthree; pip install 'session-runner[readout]'",
            key="experiment.readout_mitigation.enable",
        )


def calibration_circuits(qubits: Sequence[int], width: int) -> list[QuantumCircuit]:
    """All of these qubits read as 0, and as 1, qubit by qubit in the order given.

    Args:
        qubits: the device's numbers.
        width: how many qubits the device's circuits have.
    """
    circuits = []
    for flipped in (False, True):
        circuit = QuantumCircuit(QuantumRegister(width), ClassicalRegister(len(qubits), REGISTER))
        if flipped:
            circuit.x(list(qubits))
        circuit.measure(list(qubits), range(len(qubits)))
        circuits.append(circuit)
    return circuits


@dataclass(frozen=True)
class Misread:
    """How often each of some qubits is misread, and how many shots that was measured with."""

    rates: Mapping[int, tuple[float, float]]
    """Qubit → how often its 0 is read as 1, and its 1 as 0."""
    shots: int
    """Of each of the two."""

    @classmethod
    def of(cls, qubits: Sequence[int], zeros: BitArray, ones: BitArray) -> Misread:
        """What the two calibration circuits gave.

        Raises:
            NumericalError: a qubit is read no better than by chance.
        """
        wrong = zeros.to_bool_array(order="little").mean(axis=0)
        missed = 1 - ones.to_bool_array(order="little").mean(axis=0)
        rates = dict(zip(qubits, zip(wrong.tolist(), missed.tolist(), strict=True), strict=True))
        for qubit, (up, down) in rates.items():
            if up + down >= 1:
                raise NumericalError(
                    f"qubit {qubit} reads {up:.0%} of its zeros as 1 and {down:.0%} of its ones as 0: no better than "
                    "chance, which nothing undoes"
                )
        return cls(rates, zeros.num_shots)

    def corrected(self, counts: Mapping[str, int], qubits: Sequence[int]) -> QuasiProbabilities:
        """Quasi-probabilities of the bitstrings that were read; others are taken not to occur.

        Args:
            counts: bitstring → how often it was read.
            qubits: of each bit, the rightmost first.
        """
        words = list(counts)
        shots = sum(counts.values())
        read = np.array([counts[word] for word in words]) / shots
        solver = self._solver(self.rates)
        method = "direct" if len(words) <= _DIRECT else "iterative"
        found = solver.apply_correction(dict(counts), list(qubits), distance=len(qubits), method=method)
        values = np.array([float(found[word]) for word in words])
        if len(words) > MOST_WITH_ERRORS:
            return QuasiProbabilities(words, values, read, shots, None, None)
        inverse = np.linalg.inv(self._matrix(self.rates, counts, words, qubits))
        slopes = [
            -inverse @ change @ values * deviation
            for change, deviation in self._changes(counts, words, qubits)
        ]
        return QuasiProbabilities(words, values, read, shots, inverse, np.array(slopes))

    def _changes(
        self, counts: Mapping[str, int], words: Sequence[str], qubits: Sequence[int]
    ) -> Iterable[tuple[NDArray, float]]:
        """How the confusion of these bitstrings changes with each rate, and how sure the rate is."""
        usual = self._matrix(self.rates, counts, words, qubits)
        for qubit in dict.fromkeys(qubits):
            for place, rate in enumerate(self.rates[qubit]):
                moved = list(self.rates[qubit])
                moved[place] += _STEP
                changed = self._matrix({**self.rates, qubit: (moved[0], moved[1])}, counts, words, qubits)
                # a rate of which nothing was seen is not known to be 0
                seen = max(rate, 1 / self.shots)
                yield (changed - usual) / _STEP, float(np.sqrt(seen * (1 - seen) / self.shots))

    def _matrix(
        self,
        rates: Mapping[int, tuple[float, float]],
        counts: Mapping[str, int],
        words: Sequence[str],
        qubits: Sequence[int],
    ) -> NDArray:
        """P(read | true) among these bitstrings, columns of the true one, in the order of `words`."""
        matrix, order = self._solver(rates).reduced_cal_matrix(dict(counts), list(qubits), len(qubits))
        where = {word: place for place, word in enumerate(order)}
        places = [where[word] for word in words]
        return np.asarray(matrix, dtype=float)[np.ix_(places, places)]

    @staticmethod
    def _solver(rates: Mapping[int, tuple[float, float]]) -> Any:
        require_installed()
        from mthree import M3Mitigation

        matrices: list[Any] = [None] * (max(rates) + 1)
        for qubit, (up, down) in rates.items():
            matrices[qubit] = np.array([[1 - up, down], [up, 1 - down]], dtype=np.float32)
        solver = M3Mitigation()
        solver.cals_from_matrices(matrices)
        return solver


@dataclass(frozen=True)
class QuasiProbabilities:
    """What bitstrings' probabilities were before readout; they add up to 1 and may be negative."""

    words: list[str]
    """The bitstrings, in order of first reading."""
    values: NDArray
    """Of each, (words,)."""
    read: NDArray
    """How often it was read, (words,)."""
    shots: int
    """Of all."""
    inverse: NDArray | None
    """What of the readings makes the values, (words, words); None where standard errors are not told."""
    shifts: NDArray | None
    """What the values change by when a rate of misreading is off by its standard error, (rates, words)."""

    def of(self, word: str) -> tuple[float, float | None]:
        """The value of one bitstring, and its standard error."""
        return self.mean({word: 1.0})

    def mean(self, costs: Mapping[str, float]) -> tuple[float, float | None]:
        """Σ cost · value, and its standard error by shots of the circuit and of the calibration.

        Args:
            costs: of bitstrings; those not listed cost nothing.
        """
        weights = np.array([costs.get(word, 0.0) for word in self.words])
        value = float(weights @ self.values)
        if self.inverse is None or self.shifts is None:
            return value, None
        each = weights @ self.inverse  # what every reading counts
        variance = max(float(self.read @ each**2 - (self.read @ each) ** 2), 0.0) / self.shots
        variance += float(((self.shifts @ weights) ** 2).sum())
        return value, float(np.sqrt(variance))

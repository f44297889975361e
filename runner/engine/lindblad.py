r"""Noise that belongs to layers of gates: Pauli–Lindblad channels, and what puts them into a circuit.

With Λ = e^L, L(ρ) = Σ_k λ_k (P_k ρ P_k − ρ), every Pauli string Q is multiplied by

    exp(−2 \sum_k λ_k [Q anticommutes with P_k])

in either picture (van den Berg, Minev, Kandala & Temme 2023).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Instruction, QuantumCircuit

LINDBLAD = "pauli_lindblad"
"""Name of the instruction."""


class PauliLindblad(Instruction):
    """The channel e^L.

    Args:
        generators: the Paulis P_k as 0, 1, 2, 3 for I, Z, X, Y on the instruction's qubits, (G, qubits).
        rates: λ_k, (G,).
    """

    def __init__(self, generators: NDArray, rates: NDArray) -> None:
        super().__init__(LINDBLAD, generators.shape[1], 0, [])
        self.generators, self.rates = generators, rates

    def parts(self) -> Iterator[tuple[tuple[int, ...], NDArray]]:
        """Factors of all strings on one or two qubits, as `propagation.fidelities` orders them, and rates of the rest.

        Yields:
            places among the instruction's qubits with (4,) or (16,) factors; they commute, and their product is the
            channel but for the generators of `wide`.
        """
        gathered: dict[tuple[int, ...], NDArray] = {}
        supports = [tuple(np.flatnonzero(row).tolist()) for row in self.generators]
        pair_of: dict[int, tuple[int, ...]] = {}
        for support in supports:
            if len(support) == 2:
                for place in support:
                    pair_of.setdefault(place, support)
        for row, support, rate in zip(self.generators, supports, self.rates.tolist(), strict=True):
            if not 1 <= len(support) <= 2:
                continue
            # a generator of one qubit goes with one of two where there is one: fewer channels to take strings through
            places = support if len(support) == 2 else pair_of.get(support[0], support)
            exponents = gathered.setdefault(places, np.zeros(4 ** len(places)))
            exponents -= 2.0 * rate * _anticommutes([int(row[place]) for place in places])
        for places, exponents in gathered.items():
            yield places, np.exp(exponents)

    def wide(self) -> Iterator[tuple[dict[int, int], float]]:
        """Generators of three qubits and more: place → 1, 2, 3 for Z, X, Y, and the rate."""
        for row, rate in zip(self.generators, self.rates.tolist(), strict=True):
            places = np.flatnonzero(row).tolist()
            if len(places) > 2:
                yield {place: int(row[place]) for place in places}, rate


def bits_of_letter(letter: int) -> tuple[int, int]:
    """X and z of 0, 1, 2, 3 for I, Z, X, Y."""
    return letter >> 1, letter & 1


def _anticommutes(letters: list[int]) -> NDArray:
    """Whether each string by the letters I, X, Z, Y, the first qubit's fastest, anticommutes with this one."""
    result = np.zeros(4 ** len(letters), dtype=int)
    for place, letter in enumerate(letters):
        x, z = bits_of_letter(letter)
        digit = (np.arange(len(result)) >> (2 * place)) & 3  # 0, 1, 2, 3: I, X, Z, Y
        flips, signs = np.isin(digit, (1, 3)).astype(int), np.isin(digit, (2, 3)).astype(int)
        result ^= (x * signs) ^ (z * flips)
    return result


@dataclass(eq=False)
class LayerNoiseModel:
    """The noise of layers, in the place of that of gates and waits."""

    source: str
    """Where it is from, in words."""
    text: str
    """A digest of it."""
    place: Callable[[QuantumCircuit], QuantumCircuit]
    """A circuit on the device's qubits without measurements → the same with a `PauliLindblad` after every layer."""
    _last: list[tuple[QuantumCircuit, QuantumCircuit]] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def noisy(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The circuit with its layers' noise; the last one is remembered, for plans at other noise gains.

        Raises:
            ConfigError: it has a layer whose noise is not known.
        """
        with self._lock:
            for known, found in self._last:
                if known == circuit:
                    return found
            found = self.place(circuit)
            self._last = [(circuit.copy(), found)]
            return found

"""Shots of a noisy circuit from state vectors: Paulis that are drawn stand for what its noise does.

Noise is twirled, as random Paulis around its gates would do: of each channel stays the mixture of Paulis that has the
same fidelities (Wallman & Emerson, Phys. Rev. A 94, 052325 (2016)). One draw of all of them makes the circuit unitary
again; several shots are taken of it, as of one randomization on a machine, so they are alike in what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import XGate, YGate, ZGate

from runner.engine.circuits import CHANNELS
from runner.engine.noise import error_of
from runner.engine.propagation import known_fidelities
from runner.errors import ConfigError
from runner.record.interruption import pause

_GATES = (None, XGate(), ZGate(), YGate())
"""By the letters I, X, Z, Y."""
_ANTICOMMUTE = 1.0 - 2.0 * np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]])
"""1 where two letters commute, −1 where they do not."""


def chances(fidelities: NDArray) -> NDArray:
    """Probabilities of the Paulis of a twirled channel on k qubits, by I, X, Z, Y, the first qubit's fastest.

    p_P = 4^(−k) Σ_Q (±1) f_Q, with − where P and Q anticommute.

    Args:
        fidelities: Tr(Q Λ(Q))/2^k in the same order, (4^k,).
    """
    signs: NDArray = np.ones((1, 1))
    while len(signs) < len(fidelities):
        signs = np.kron(_ANTICOMMUTE, signs)
    found = np.clip(signs @ fidelities / len(fidelities), 0.0, None)
    result: NDArray = found / found.sum()
    return result


class Trajectories:
    """A circuit with noise, to be drawn as circuits without.

    Args:
        circuit: unitary gates and channels of one or two qubits; the basis change of what is measured is part of it.
        noise_model: Aer's `NoiseModel`, whose errors follow the gates.
        read_noise: qubit → what happens to it right before it is read.
        confusions: of each measured qubit P(read | true); None where it is read faithfully.
        measured: the measured qubits.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        noise_model: Any,
        read_noise: Mapping[int, Any],
        confusions: Sequence[NDArray | None],
        measured: Sequence[int],
    ) -> None:
        self._bare = circuit.copy_empty_like()
        self._steps: list[tuple[Any, Any, NDArray | None]] = []
        self._confusions, self._measured = list(confusions), list(measured)
        for item in circuit.data:
            if item.operation.name in CHANNELS:
                self._steps.append((None, item.qubits, _cumulated(item.operation)))
                continue
            acted = tuple(circuit.find_bit(bit).index for bit in item.qubits)
            error = error_of(noise_model, item.operation, acted)
            self._steps.append((item, item.qubits, None if error is None else _cumulated(error)))
        for qubit in measured:
            if qubit in read_noise:
                self._steps.append((None, [circuit.qubits[qubit]], _cumulated(read_noise[qubit])))

    def drawn(self, generator: np.random.Generator) -> QuantumCircuit:
        """The circuit with one draw of all Paulis."""
        result = self._bare.copy()
        for (item, qubits, cumulated), point in zip(
            self._steps, generator.random(len(self._steps)).tolist(), strict=True
        ):
            if item is not None:
                result._append(item)
            if cumulated is None:
                continue
            string = int(np.searchsorted(cumulated, point, side="right"))
            for qubit in qubits:
                string, letter = divmod(string, 4)
                if gate := _GATES[letter]:
                    result.append(gate, [qubit])
        return result

    def samples(
        self,
        make: Callable[[QuantumCircuit], Any],
        row: NDArray,
        number: int,
        shots: int,
        draw: Callable[[NDArray, int, np.random.Generator], NDArray],
        generator: np.random.Generator,
    ) -> NDArray:
        """Outcomes as read, (shots, measured) booleans, of so many draws with as many shots each as can be.

        Args:
            make: gives a circuit's state-vector kernel; None of what it does not know.
            row: one parameter set, (P,).
            number: draws; no more than there are shots are made.
            shots: all of them together.
            draw: outcomes from their probabilities.
            generator: of Paulis and shots.

        Raises:
            ConfigError: the kernel does not know an instruction.
        """
        found = []
        for part in np.array_split(np.arange(shots), min(number, shots)):
            pause()
            outcomes = draw(self._probabilities(make, row, generator), len(part), generator)
            found.append((outcomes[:, None] >> np.arange(len(self._measured))) & 1)
        return self._as_read(np.concatenate(found).astype(bool), generator)

    def _probabilities(
        self, make: Callable[[QuantumCircuit], Any], row: NDArray, generator: np.random.Generator
    ) -> NDArray:
        """Of one draw, (2^measured,); its state vector is let go of before outcomes are drawn, which takes as much."""
        program = make(self.drawn(generator))
        if program is None:
            raise ConfigError(
                "the compiled kernel does not know an instruction of the circuit; leave it out",
                key="backend.trajectories",
            )
        (table,) = program.probabilities(row[None, :], [[(qubit, "Z") for qubit in self._measured]])
        result: NDArray = np.clip(table[0], 0.0, None, out=table[0])
        return result

    def _as_read(self, bits: NDArray, generator: np.random.Generator) -> NDArray:
        """Outcomes with every bit misread by itself."""
        points = generator.random(bits.shape)
        for place, matrix in enumerate(self._confusions):
            if matrix is not None:
                bits[:, place] ^= points[:, place] < np.where(bits[:, place], matrix[1, 0], matrix[0, 1])
        return bits


def _cumulated(channel: Any) -> NDArray:
    """Where on [0, 1) each Pauli of a channel ends but the last one."""
    result: NDArray = np.cumsum(chances(known_fidelities(channel)))[:-1]
    return result

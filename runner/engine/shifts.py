"""How many parameter sets the parameter-shift job of a circuit's gradient takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from qiskit.circuit import Instruction, QuantumCircuit

_STEP = 1e-4
"""Half the width of the difference that finds a gate's generator; differences of its eigenvalues hold to its square."""


def parameter_sets(circuit: QuantumCircuit) -> int:
    """1 + Σ 2R over all occurrences of parameters in gates, R being the number of frequencies of that angle.

    That many energies give the energy and its exact gradient on hardware: two for a rotation, four for a controlled
    one (Wierichs et al., Quantum 6, 677 (2022)). A gate without a matrix of its own is counted as the gates of its
    definition, which are what a device runs.
    """
    return 1 + sum(2 * count for count in _frequency_counts(circuit, {}))


def _frequency_counts(circuit: QuantumCircuit, known: dict[tuple[type, int, int, int], int]) -> Iterator[int]:
    for item in circuit.data:
        operation = item.operation
        places = [place for place, angle in enumerate(operation.params) if getattr(angle, "parameters", None)]
        if not places:
            continue
        definition = None if hasattr(operation, "__array__") else operation.definition
        if definition is not None:
            yield from _frequency_counts(definition, known)
            continue
        for place in places:
            key = (type(operation), operation.num_qubits, len(operation.params), place)
            if key not in known:
                known[key] = _frequencies(operation, place)
            yield known[key]


def _frequencies(gate: Instruction, place: int) -> int:
    """How many frequencies an expectation value has in one angle: differences of the generator's eigenvalues."""
    if not hasattr(gate, "__array__"):
        return 1  # nothing tells what it does, so it counts as a rotation

    def matrix(angle: float) -> np.ndarray:
        angles = [0.3 + 0.4 * index for index in range(len(gate.params))]
        angles[place] = angle
        chosen = gate.to_mutable()
        chosen.params = angles
        return np.asarray(chosen.to_matrix())

    slope = (matrix(0.7 + _STEP) - matrix(0.7 - _STEP)) / (2 * _STEP)
    generator = 1j * slope @ matrix(0.7).conj().T
    levels = np.linalg.eigvalsh((generator + generator.conj().T) / 2)
    gaps = np.abs(levels[:, None] - levels[None, :]).round(5)
    return len(set(gaps.ravel().tolist()) - {0.0})

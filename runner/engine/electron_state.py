"""States of electrons by few orbital rotations and phases, whatever gates keep their number (Kivlichan et al. 2018)."""

from __future__ import annotations

import cmath
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit

from runner.record.interruption import pause

ROWS = 1 << 22
"""Amplitudes whose phases are computed at a time, so that they need little memory beside the state."""

PHASES = {"z": math.pi, "s": math.pi / 2, "sdg": -math.pi / 2, "t": math.pi / 4, "tdg": -math.pi / 4}
"""Gates of one qubit without an angle → φ of exp(iφn), n the number of electrons in the orbital."""


@dataclass(frozen=True)
class _Part:
    """exp(iφ n_p), exp(iφ n_p n_q), or a rotation of two orbitals into each other."""

    orbitals: tuple[int, ...]
    """The one or two of them, those of spin down after those of spin up."""
    angle: float = 0.0
    """φ of a phase."""
    rotation: NDArray | None = None
    """Unitary of the two orbitals, shape (2, 2); None: a phase."""


@dataclass
class OrbitalLayer:
    """One orbital rotation of each spin, or phases of orbitals and pairs of them."""

    rotations: list[_Part] = field(default_factory=list)
    """In the order in which they act; those of one orbital alone are phases."""
    phases: list[_Part] = field(default_factory=list)
    """In any order."""

    def unitary(self, spin: int, half: int) -> NDArray | None:
        """The rotation of all orbitals of a spin, shape (half, half), in ffsim's convention; None: there is none."""
        mine = [part for part in self.rotations if part.orbitals[0] // half == spin]
        if not mine:
            return None
        total = np.eye(half, dtype=complex)
        for part in mine:
            places = np.array(part.orbitals) % half
            acts = [[cmath.exp(1j * part.angle)]] if part.rotation is None else part.rotation
            total[places] = np.asarray(acts) @ total[places]
        return total


def layers(circuit: QuantumCircuit, half: int) -> list[OrbitalLayer]:
    """What a circuit does, in as few orbital rotations as taking each gate as early as it can be gives.

    Even operators on different orbitals commute, whatever is between them, so that only gates that share an orbital
    keep their order.

    Args:
        circuit: gates of `runner.engine.fermionic`, without X and measurements.
        half: orbitals of either spin.
    """
    queues: list[deque[_Part]] = [deque() for _ in range(2 * half)]
    for item in circuit.data:
        places = [circuit.find_bit(qubit).index for qubit in item.qubits]
        for part in _parts(item.operation.name, [float(value) for value in item.operation.params], places):
            for orbital in part.orbitals:
                queues[orbital].append(part)
    found: list[OrbitalLayer] = []
    while any(queues):
        layer = OrbitalLayer()
        _take(queues, layer.rotations, rotations=True)
        _take(queues, layer.phases, rotations=False)
        found.append(layer)
    return found


def _take(queues: list[deque[_Part]], into: list[_Part], *, rotations: bool) -> None:
    """Move what can act now, and what can then, of one kind; phases of one orbital are of both."""
    waiting = deque(range(len(queues)))
    while waiting:
        orbital = waiting.popleft()
        queue = queues[orbital]
        while queue:
            part = queue[0]
            single = len(part.orbitals) == 1
            if not single and (part.rotation is not None) != rotations:
                break
            if any(queues[other][0] is not part for other in part.orbitals):
                break
            for other in part.orbitals:
                queues[other].popleft()
                if other != orbital:
                    waiting.append(other)
            into.append(part)


def _parts(name: str, values: list[float], places: list[int]) -> list[_Part]:
    """A gate; a global phase is left out."""
    match name:
        case "barrier" | "global_phase":
            return []
        case "p" | "rz":
            return [_Part((places[0],), values[0])]
        case "cp" | "cz":
            return [_Part(tuple(places), values[0] if values else math.pi)]
        case "rzz":  # −θ/2 (1 − 2p)(1 − 2q)
            theta = values[0]
            return [
                _Part((places[0],), theta), _Part((places[1],), theta), _Part(tuple(places), -2 * theta)
            ]  # fmt: skip
        case "xx_plus_yy":
            return _hop(places, values[0], values[1])
        case "iswap":
            return _hop(places, -math.pi, 0.0)
        case "swap":  # an iSWAP after S† on both and CZ
            back = [_Part((place,), -math.pi / 2) for place in places]
            return [_Part(tuple(places), math.pi), *back, *_hop(places, -math.pi, 0.0)]
    return [_Part((places[0],), PHASES[name])]


def _hop(places: list[int], theta: float, beta: float) -> list[_Part]:
    """exp(−iθ/4 (e^{iβ} … + h.c.)) of two qubits: a rotation of orbitals, and signs of what is between them."""
    first, second = places
    cosine, sine = math.cos(theta / 2), cmath.exp(-1j * (beta + math.pi / 2)) * math.sin(theta / 2)
    rotation = np.array([[cosine, sine], [-sine.conjugate(), cosine]])
    between = range(min(places) + 1, max(places))
    signs = [_Part((first, other), math.pi) for other in between]
    return [*signs, _Part((first, second), rotation=rotation), *signs]


def final_state(circuit: QuantumCircuit, half: int, occupied: tuple[list[int], list[int]]) -> NDArray:
    """Amplitudes but for a global phase, shape (determinants of spin up, of spin down), in ffsim's order.

    Args:
        circuit: without X and measurements.
        half: orbitals of either spin.
        occupied: orbitals that are filled first, of spin up and down.
    """
    from ffsim import apply_orbital_rotation, slater_determinant
    from pyscf.fci import cistring

    electrons = (len(occupied[0]), len(occupied[1]))
    shape = tuple(math.comb(half, count) for count in electrons)
    filled = [
        (np.asarray(cistring.make_strings(range(half), count))[:, None] >> np.arange(half) & 1).astype(float)
        for count in electrons
    ]
    vector: NDArray = slater_determinant(half, occupied)
    for layer in layers(circuit, half):
        for spin in (0, 1):
            unitary = layer.unitary(spin, half)
            if unitary is not None:
                pause()
                both = (unitary, None) if spin == 0 else (None, unitary)
                vector = apply_orbital_rotation(vector, both, half, electrons, copy=False)
        if layer.phases:
            vector = np.ascontiguousarray(vector).reshape(shape)
            _turn(vector, layer.phases, filled, half)
            vector = vector.reshape(-1)
    return vector.reshape(shape)


def _turn(vector: NDArray, phases: list[_Part], filled: list[NDArray], half: int) -> None:
    """Multiply amplitudes, shape (up, down), by exp(i Σ φ_pq n_p n_q), in place."""
    angles = np.zeros((2 * half, 2 * half))
    for part in phases:
        first, second = sorted((*part.orbitals, part.orbitals[-1])[:2])
        angles[first, second] += part.angle
    up, down = (
        np.einsum("ap,pq,aq->a", rows, angles[block, block], rows, optimize=True)
        for rows, block in zip(filled, (slice(half), slice(half, None)), strict=True)
    )
    across = angles[:half, half:] @ filled[1].T
    step = max(1, ROWS // len(down))
    for start in range(0, len(up), step):
        pause()
        rows = slice(start, start + step)
        vector[rows] *= np.exp(1j * (filled[0][rows] @ across + up[rows, None] + down))

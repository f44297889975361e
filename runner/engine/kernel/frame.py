r"""A circuit as rotations about Pauli strings, followed by one Clifford circuit that is left to the observables.

Every gate becomes Clifford gates and rotations exp(-i θ/2 P), as `program.append` says. A Clifford circuit C before a
rotation turns it into one about C†PC that comes before C, so all of them gather at the end of the circuit:

    U = C \prod_k exp(-i θ_k/2 P_k).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qiskit.circuit import Parameter, ParameterExpression, QuantumCircuit

from runner.engine.kernel.program import Angle, Unsupported, append, simplified

Pauli = tuple[int, int, int]
"""(x, z, k) is i^k X^x Z^z, the bits of x and z belonging to qubits."""
_TOLERANCE = 1e-13
"""Angles this near to a multiple of π/2 are one."""
_LOOK_BACK = 48
"""How many sets of rotations a rotation is moved past, if it commutes with them, to join others of its kind."""


def product(left: Pauli, right: Pauli) -> Pauli:
    """The first times the second."""
    phase = left[2] + right[2] + 2 * (left[1] & right[0]).bit_count()
    return left[0] ^ right[0], left[1] ^ right[1], phase & 3


def anticommute(left: Pauli, right: Pauli) -> bool:
    """Do they?"""
    return bool(((left[0] & right[1]).bit_count() + (left[1] & right[0]).bit_count()) & 1)


@dataclass
class PauliSet:
    """Rotations that commute and flip the same bits, so that their order does not matter."""

    flips: int
    """The bits that each of them flips."""
    imaginary: bool
    """Whether each has an odd number of letters Y, which makes its rotation a real one."""
    signs: list[int] = field(default_factory=list)
    """The bits that each signs by."""
    negative: list[bool] = field(default_factory=list)
    """Whether (-1)^(signs·i) is to be reversed, see `weight`."""
    angles: list[Angle] = field(default_factory=list)
    """θ of exp(-i θ/2 P)."""

    def commutes_with(self, pauli: Pauli) -> bool:
        """Do all of them?"""
        return not any(anticommute((self.flips, sign, 0), pauli) for sign in self.signs)

    def add(self, pauli: Pauli, angle: Angle) -> None:
        """Put a rotation about one more Pauli string in."""
        self.signs.append(pauli[1])
        self.negative.append(pauli[2] >= 2)  # k is 0 or 2 with an even number of Y, else 1 or 3
        self.angles.append(angle)


class FrameBuilder:
    """Takes gates as `program.append` gives them; `sets` and the images are what they are in the end.

    Args:
        num_qubits: of the circuit.
        at_most: how many directions may be flipped in by lone rotations before it gives up.

    Raises:
        Unsupported: more than that.
    """

    pairs = False
    """Rotations about xx and yy are given as ones about zz between others."""

    def __init__(self, num_qubits: int, at_most: int) -> None:
        self.x_images: list[Pauli] = [(1 << q, 0, 0) for q in range(num_qubits)]
        """C†XC of every qubit for the Clifford circuit C so far."""
        self.z_images: list[Pauli] = [(0, 1 << q, 0) for q in range(num_qubits)]
        """C†ZC of every qubit."""
        self.sets: list[PauliSet] = []
        self._at_most = at_most
        self._span: list[int] = []
        self._settled = 0
        self._pending: list[list[tuple[str, Angle]]] = [[] for _ in range(num_qubits)]

    def single(self, qubit: int, *items: tuple[str, Angle]) -> None:
        """Append y and z rotations on one qubit, in order of time."""
        self._pending[qubit].extend(items)

    def cx(self, control: int, target: int) -> None:
        """Append a CX."""
        self._meet(control, target)
        self.x_images[control] = product(self.x_images[control], self.x_images[target])
        self.z_images[target] = product(self.z_images[control], self.z_images[target])

    def swap(self, first: int, second: int) -> None:
        """Append a SWAP."""
        self._meet(first, second)
        for images in (self.x_images, self.z_images):
            images[first], images[second] = images[second], images[first]

    def zz(self, first: int, second: int, angle: Angle) -> None:
        """Append exp(-i angle/2 ZZ)."""
        self._meet(first, second)
        self._turn((0, (1 << first) | (1 << second), 0), angle)

    def finish(self) -> list[PauliSet]:
        """All rotations, every gate placed."""
        for qubit in range(len(self._pending)):
            self._flush(qubit)
        return self.sets

    def image(self, pauli: Pauli) -> Pauli:
        """C†PC."""
        x, z, phase = pauli
        result: Pauli = (0, 0, phase)
        for qubit in range(max(x.bit_length(), z.bit_length())):
            if x >> qubit & 1:
                result = product(result, self.x_images[qubit])
        for qubit in range(z.bit_length()):
            if z >> qubit & 1:
                result = product(result, self.z_images[qubit])
        return result

    def _meet(self, first: int, second: int) -> None:
        self._flush(first)
        self._flush(second)

    def _flush(self, qubit: int) -> None:
        items, self._pending[qubit] = self._pending[qubit], []
        bit = 1 << qubit
        axes: dict[str, Pauli] = {"x": (bit, 0, 0), "y": (bit, bit, 1), "z": (0, bit, 0)}
        for kind, angle in simplified(items):
            self._turn(axes[kind], math.pi if kind == "x" else angle)

    def _turn(self, axis: Pauli, angle: Angle) -> None:
        """exp(-i angle/2 axis): the part that is a multiple of a quarter turn is a Clifford gate, after the rest."""
        quarters, rest = _quarters(angle)
        if rest is not None:
            self._rotate(self.image(axis), rest)
        if quarters:
            self._clifford(axis, quarters)

    def _clifford(self, axis: Pauli, quarters: int) -> None:
        image = self.image(axis)
        for bits, images in ((axis[1], self.x_images), (axis[0], self.z_images)):  # what it anticommutes with
            for qubit in range(bits.bit_length()):
                if bits >> qubit & 1:
                    x, z, phase = images[qubit] if quarters == 2 else product(image, images[qubit])
                    images[qubit] = x, z, (phase + quarters) & 3

    def _rotate(self, pauli: Pauli, angle: Angle) -> None:
        imaginary = bool((pauli[0] & pauli[1]).bit_count() & 1)
        for place in range(len(self.sets) - 1, max(len(self.sets) - _LOOK_BACK, 0) - 1, -1):
            found = self.sets[place]
            if found.flips == pauli[0] and found.imaginary == imaginary:
                found.add(pauli, angle)
                return
            if not found.commutes_with(pauli):
                break
        self.sets.append(PauliSet(pauli[0], imaginary))
        self.sets[-1].add(pauli, angle)
        self._settle()

    def _settle(self) -> None:
        """A lone rotation that nothing can join any more doubles the basis states that may be met."""
        if len(self.sets) - self._settled <= _LOOK_BACK:
            return
        settled = self.sets[self._settled]
        self._settled += 1
        if len(settled.signs) > 1:
            return
        flips = settled.flips
        for known in self._span:
            flips = min(flips, flips ^ known)
        if flips:
            self._span.append(flips)
        if len(self._span) > self._at_most:
            raise Unsupported("rotations in every direction")


def _quarters(angle: Angle) -> tuple[int, Angle | None]:
    """An angle as so many quarter turns (0 to 3), and the rest; None for no rest."""
    if isinstance(angle, Parameter):
        return 0, angle
    if isinstance(angle, ParameterExpression) and angle.parameters:
        turns = _offset(angle) / (math.pi / 2)
        if not round(turns) or abs(turns - round(turns)) > _TOLERANCE:
            return 0, angle
        return round(turns) & 3, angle - round(turns) * (math.pi / 2)
    turns = float(angle) / (math.pi / 2)
    if abs(turns - round(turns)) > _TOLERANCE:
        return 0, angle
    return round(turns) & 3, None


def _offset(angle: ParameterExpression) -> float:
    """What it is where all parameters are zero; 0 unless it is linear in them."""
    slopes = [angle.gradient(parameter) for parameter in angle.parameters]
    if any(isinstance(slope, ParameterExpression) and slope.parameters for slope in slopes):
        return 0.0
    return float(angle.bind_all(dict.fromkeys(angle.parameters, 0.0)))


def in_frame(circuit: QuantumCircuit, at_most: int) -> FrameBuilder:
    """The rotations of a unitary circuit, and its Clifford circuit.

    Raises:
        Unsupported: it has other instructions, or lone rotations in more than `at_most` directions.
    """
    builder = FrameBuilder(circuit.num_qubits, at_most)
    for item in circuit.data:
        qubits: Sequence[int] = [circuit.find_bit(bit).index for bit in item.qubits]
        append(builder, item, qubits)
    builder.finish()
    return builder

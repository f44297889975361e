"""With which frequencies an expectation value depends on each parameter of a circuit."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import (
    ControlFlowOp,
    ControlledGate,
    Operation,
    Parameter,
    ParameterExpression,
    QuantumCircuit,
)
from qiskit.circuit.library import (
    HamiltonianGate,
    PhaseGate,
    RXGate,
    RXXGate,
    RYGate,
    RYYGate,
    RZGate,
    RZXGate,
    RZZGate,
    TdgGate,
    TGate,
    U1Gate,
    U2Gate,
    U3Gate,
    UGate,
)
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Clifford, Pauli

DIGITS = 10
"""Decimals in which two frequencies are told apart."""
MAX_FREQUENCIES = 1000
"""Largest set that is kept; beyond it a parameter counts as unknown."""
MAX_RANK = 12
"""Independent Pauli strings whose joint eigenvalues are enumerated."""
MAX_LEVELS = 500
"""Distinct eigenvalues whose differences are taken."""

ROTATIONS: dict[type, str] = {
    RXGate: "X", RYGate: "Y", RZGate: "Z", PhaseGate: "Z", U1Gate: "Z",
    RXXGate: "XX", RYYGate: "YY", RZZGate: "ZZ", RZXGate: "ZX",
}  # fmt: skip
"""exp(−iθP/2) up to a phase of the state → P, qubit 0 first."""
SILENT = frozenset({"barrier", "delay", "id", "global_phase", "save_state"})
"""Instructions that change no expectation value, unless a parameter stands in them."""


def frequencies(circuit: QuantumCircuit) -> dict[Parameter, tuple[float, ...] | None]:
    """The positive frequencies with which any expectation value can depend on each parameter, in circuit order.

    Along one parameter θ of a gate exp(−iθG) an expectation value is c₀ + Σ_ω (a_ω cos ωθ + b_ω sin ωθ), ω running
    over the differences of G's eigenvalues (Schuld, Sweke & Meyer, Phys. Rev. A 103, 032430 (2021); Wierichs, Izaac,
    Wang & Lin, Quantum 6, 677 (2022)); where θ occurs several times, over all sums of those of its occurrences. Gates
    are taken as what their definitions say: Cliffords and Pauli rotations, and rotations about commuting Pauli strings
    that nothing separates count as one gate, so that an excitation has the frequencies 1 and 2 however it is written.

    None where that cannot be known: an angle that is not linear in the parameter, a gate without a definition, a loop
    of unknown length, or more than 1000 frequencies. The set may hold frequencies whose amplitudes vanish; it never
    lacks one.
    """
    walk = _Walk(circuit)
    return {parameter: walk.found(parameter) for parameter in circuit.parameters}


class _String(NamedTuple):
    """The Pauli string i^phase Π X^x Π Z^z, one bit of x and z per qubit."""

    x: int
    z: int
    phase: int

    @classmethod
    def of(cls, label: str, qubits: Sequence[int]) -> _String:
        """The string with these letters on these qubits."""
        x = sum(1 << qubit for letter, qubit in zip(label, qubits, strict=True) if letter in "XY")
        z = sum(1 << qubit for letter, qubit in zip(label, qubits, strict=True) if letter in "ZY")
        return cls(x, z, label.count("Y") % 4)

    def __mul__(self, other: _String) -> _String:  # type: ignore[override]  # a product of operators
        turns = 2 * (self.z & other.x).bit_count()
        return _String(self.x ^ other.x, self.z ^ other.z, (self.phase + other.phase + turns) % 4)

    def commutes(self, other: _String) -> bool:
        """Whether the order of the two does not matter."""
        return ((self.x & other.z).bit_count() + (self.z & other.x).bit_count()) % 2 == 0

    def touches(self, qubits: Iterable[int]) -> bool:
        """Whether it acts on one of them."""
        return any((self.x | self.z) >> qubit & 1 for qubit in qubits)


_Group = list[tuple[_String, float]]
"""Commuting strings P with the coefficients c of one parameter θ: exp(−iθ Σ c P/2)."""
_Images = dict[tuple[str, int], _String]
"""(letter, position) → what a Clifford gate makes of X or Z there, on positions."""


class _Walk:
    """One pass through a circuit: groups stay open until something comes that they cannot be moved past."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self._open: dict[Parameter, _Group] = {}
        self._closed: dict[Parameter, frozenset[float] | None] = {}
        self._cliffords: dict[Any, _Images | None] = {}
        last = {
            parameter: index
            for index, item in enumerate(circuit.data)
            for parameter in _parameters(item.operation)
        }
        ending: dict[int, list[Parameter]] = {}
        for parameter, index in last.items():
            ending.setdefault(index, []).append(parameter)
        index_of = {bit: index for index, bit in enumerate(circuit.qubits)}
        for index, item in enumerate(circuit.data):
            self._instruction(item.operation, [index_of[bit] for bit in item.qubits])
            for parameter in ending.get(index, ()):
                self._close(parameter)
        for parameter in list(self._open):
            self._close(parameter)

    def found(self, parameter: Parameter) -> tuple[float, ...] | None:
        """The positive frequencies of a parameter."""
        differences = self._closed.get(parameter, frozenset({0.0}))
        return None if differences is None else tuple(sorted(differences - {0.0}))

    def _circuit(self, circuit: QuantumCircuit, qubits: Sequence[int]) -> None:
        where = dict(zip(circuit.qubits, qubits, strict=True))
        for item in circuit.data:
            self._instruction(item.operation, [where[bit] for bit in item.qubits])

    def _instruction(self, operation: Operation, qubits: list[int]) -> None:
        parameters = _parameters(operation)
        if isinstance(operation, ControlFlowOp):
            self._control_flow(operation, qubits, parameters)
        elif operation.name in SILENT:
            if operation.name == "delay":
                self._forget(parameters)
        elif not parameters:
            self._constant(operation, qubits)
        elif rotations := list(_rotations(operation, qubits)):
            for string, angle in rotations:
                self._rotation(string, angle)
        elif (levels := _levels(operation)) is not None:
            self._disturb(qubits)
            for parameter, slope in _slopes(operation.params[-1]).items():
                self._add(parameter, None if slope is None else _differences(slope * levels))
        elif (definition := _definition(operation)) is not None:
            self._circuit(definition, qubits)
        else:
            self._forget(parameters)
            self._disturb(qubits)

    def _constant(self, operation: Operation, qubits: list[int]) -> None:
        """A gate that depends on no parameter: Cliffords turn the open groups, others close those in their way."""
        open_here = any(string.touches(qubits) for group in self._open.values() for string, _ in group)
        if not open_here:
            return
        if len(qubits) > 2 and (definition := _definition(operation)) is not None:
            self._circuit(definition, qubits)
        elif (images := self._clifford(operation)) is not None:
            self._open = {
                parameter: [(_turned(string, images, qubits), slope) for string, slope in group]
                for parameter, group in self._open.items()
            }
        elif base_class(operation) in (TGate, TdgGate):
            self._make_way(_String.of("Z", qubits))
        elif (label := ROTATIONS.get(base_class(operation))) is not None:
            self._make_way(_String.of(label, qubits))
        else:
            self._disturb(qubits)

    def _clifford(self, operation: Operation) -> _Images | None:
        """What it makes of X and Z on each of its qubits; None where it is no Clifford gate."""
        params = tuple(value for value in getattr(operation, "params", ()) if isinstance(value, int | float))
        standard = getattr(operation, "_standard_gate", None) is not None
        if not standard:
            return _images(operation)
        key = (base_class(operation), params, getattr(operation, "ctrl_state", None))
        if key not in self._cliffords:
            self._cliffords[key] = _images(operation)
        return self._cliffords[key]

    def _rotation(self, string: _String, angle: ParameterExpression | float) -> None:
        """exp(−i angle P/2): it joins the open groups of its parameters, after those in its way were closed."""
        self._make_way(string)
        for parameter, slope in _slopes(angle).items():
            if slope is None:
                self._forget([parameter])
            else:
                self._open.setdefault(parameter, []).append((string, slope))

    def _control_flow(
        self, operation: ControlFlowOp, qubits: list[int], parameters: Sequence[Parameter]
    ) -> None:
        """Whatever branch is taken has no more frequencies than all branches one after the other."""
        blocks: list[QuantumCircuit] = list(operation.blocks)
        if operation.name == "while_loop":
            self._forget(parameters)
            blocks = []
        elif operation.name == "for_loop":
            values, variable, body = operation.params
            if not isinstance(values, range | list | tuple) or len(values) > MAX_FREQUENCIES:
                self._forget(parameters)
                values = ()
            blocks = [
                body if variable is None else body.assign_parameters({variable: value}) for value in values
            ]
        self._disturb(qubits)
        for block in blocks:
            self._circuit(block, qubits)
            self._disturb(qubits)

    def _make_way(self, string: _String) -> None:
        """Close the groups that do not commute with a rotation about this string."""
        for parameter, group in list(self._open.items()):
            if not all(string.commutes(member) for member, _ in group):
                self._close(parameter)

    def _disturb(self, qubits: Sequence[int]) -> None:
        """Close the groups that act on these qubits."""
        for parameter, group in list(self._open.items()):
            if any(member.touches(qubits) for member, _ in group):
                self._close(parameter)

    def _close(self, parameter: Parameter) -> None:
        group = self._open.pop(parameter, None)
        if group is not None:
            self._add(parameter, _of_group(group))

    def _forget(self, parameters: Iterable[Parameter]) -> None:
        for parameter in parameters:
            self._add(parameter, None)

    def _add(self, parameter: Parameter, differences: frozenset[float] | None) -> None:
        self._closed[parameter] = _sums(self._closed.get(parameter, frozenset({0.0})), differences)


def base_class(operation: Operation) -> type:
    """The class of a gate, the same for those that qiskit keeps only one object of."""
    return getattr(operation, "base_class", type(operation))


def _parameters(operation: Operation) -> list[Parameter]:
    """The parameters of an instruction in a fixed order, those in the blocks of control flow included."""
    found: dict[Parameter, None] = {}
    for value in getattr(operation, "params", ()):
        if isinstance(value, ParameterExpression | QuantumCircuit):
            found |= dict.fromkeys(value.parameters)
    return list(found)


def _rotations(
    operation: Operation, qubits: Sequence[int]
) -> Iterator[tuple[_String, ParameterExpression | float]]:
    """The Pauli rotations that a gate is, up to a phase of the state, in the order they are carried out."""
    kind, params = base_class(operation), getattr(operation, "params", [])
    if kind in ROTATIONS:
        yield _String.of(ROTATIONS[kind], qubits), params[0]
    elif kind in (UGate, U3Gate, U2Gate):
        middle, first, last = (
            (math.pi / 2, params[1], params[0]) if kind is U2Gate else (params[0], params[2], params[1])
        )
        for letter, angle in (("Z", first), ("Y", middle), ("Z", last)):
            yield _String.of(letter, qubits), angle


def _levels(operation: Operation) -> NDArray | None:
    """Eigenvalues of G where a gate is exp(−iθG) as a whole, θ its last parameter; None where that is not known."""
    if isinstance(operation, HamiltonianGate):
        return np.linalg.eigvalsh(operation.params[0])
    if isinstance(operation, ControlledGate) and operation.num_ctrl_qubits > 1:
        kind = base_class(operation.base_gate)
        if kind in (PhaseGate, U1Gate):
            return np.array([0.0, 1.0])
        if kind in ROTATIONS:
            return np.array([-0.5, 0.0, 0.5])
    return None


def _definition(operation: Operation) -> QuantumCircuit | None:
    with contextlib.suppress(
        QiskitError, TypeError
    ):  # some cannot be written down before their angles are known
        return getattr(operation, "definition", None)
    return None


def _slopes(angle: ParameterExpression | float) -> dict[Parameter, float | None]:
    """∂angle/∂parameter for each parameter of an angle; None where the angle is not linear in it."""
    if not isinstance(angle, ParameterExpression):
        return {}
    parameters = list(angle.parameters)
    slopes: dict[Parameter, float | None] = {}
    for parameter in parameters:
        try:
            slope = angle.gradient(parameter)
        except (QiskitError, RuntimeError, TypeError):
            slopes[parameter] = None
            continue
        known = not getattr(slope, "parameters", None)
        slopes[parameter] = float(slope) if known and not isinstance(slope, complex) else None
    return slopes if _is_flat(angle, slopes) else dict.fromkeys(parameters)


def _is_flat(angle: ParameterExpression, slopes: dict[Parameter, float | None]) -> bool:
    """Whether the known slopes hold far away too: the sign of a parameter has slope 0 and is not constant."""
    for parameter, slope in slopes.items():
        if slope is None:
            continue
        others = dict.fromkeys(angle.parameters, 0.3)
        values = [complex(angle.bind_all({**others, parameter: at})) for at in (-2.0, -0.7, 1.3)]
        steps = [(b - a) / gap for (a, b), gap in zip(pairwise(values), (1.3, 2.0), strict=True)]
        if not np.allclose(steps, slope, rtol=1e-9, atol=1e-9):
            return False
    return True


def _images(operation: Operation) -> _Images | None:
    try:
        clifford = Clifford(operation)
    except (QiskitError, TypeError, ValueError):
        return None
    size = clifford.num_qubits
    images: _Images = {}
    for letter in "XZ":
        for position in range(size):
            label = "".join(letter if place == position else "I" for place in reversed(range(size)))
            image = Pauli(label).evolve(clifford, frame="s").to_label()
            string = _String.of(image.lstrip("-+i")[::-1], range(size))
            images[letter, position] = string._replace(phase=(string.phase + 2 * image.startswith("-")) % 4)
    return images


def _turned(string: _String, images: _Images, qubits: Sequence[int]) -> _String:
    """C P C† of a Clifford gate C on some qubits."""
    if not string.touches(qubits):
        return string
    mask = sum(1 << qubit for qubit in qubits)
    local = _String(0, 0, 0)
    for letter, bits in (("X", string.x), ("Z", string.z)):
        for position, qubit in enumerate(qubits):
            if bits >> qubit & 1:
                local = local * images[letter, position]
    x = sum(1 << qubit for position, qubit in enumerate(qubits) if local.x >> position & 1)
    z = sum(1 << qubit for position, qubit in enumerate(qubits) if local.z >> position & 1)
    # the rest stands on other qubits and commutes with all of it
    return _String(string.x & ~mask | x, string.z & ~mask | z, (string.phase + local.phase) % 4)


def _of_group(group: _Group) -> frozenset[float] | None:
    """The differences of the eigenvalues of Σ c P/2, the strings P commuting."""
    basis: dict[
        int, tuple[int, _String, int]
    ] = {}  # leading bit → (vector, product of members, which members)
    width = max((string.x | string.z).bit_length() for string, _ in group)
    parts: list[tuple[float, int]] = []  # coefficient with the sign of its product, members multiplied
    for string, slope in group:
        vector, product, members = string.x << width | string.z, string, 0
        while vector and (lead := vector.bit_length()) in basis:
            other, other_product, other_members = basis[lead]
            vector, product, members = vector ^ other, product * other_product, members ^ other_members
        if vector:
            members ^= 1 << len(basis)
            basis[vector.bit_length()] = (vector, product, members)
            parts.append((slope, 1 << len(basis) - 1))
        else:  # string · (product of members) = ±1
            parts.append((slope * (1 if product.phase == 0 else -1), members))
    rank = len(basis)
    if rank > MAX_RANK:
        half = len(group) // 2
        return _sums(_of_group(group[:half]), _of_group(group[half:]))
    signs = 1 - 2 * (np.arange(2**rank)[:, None] >> np.arange(rank) & 1)
    levels = np.zeros(2**rank)
    for slope, members in parts:
        levels += slope / 2 * signs[:, [k for k in range(rank) if members >> k & 1]].prod(axis=1)
    return _differences(levels)


def _differences(levels: NDArray) -> frozenset[float] | None:
    """|a − b| of all pairs of eigenvalues; None where there are too many."""
    distinct = np.unique(np.round(levels, DIGITS))
    if len(distinct) > MAX_LEVELS:
        return None
    return _kept(np.abs(distinct[:, None] - distinct).ravel())


def _sums(first: frozenset[float] | None, second: frozenset[float] | None) -> frozenset[float] | None:
    """|a ± b| of all pairs; None where one is unknown or there are too many."""
    if first is None or second is None:
        return None
    a, b = np.array(sorted(first))[:, None], np.array(sorted(second))
    return _kept(np.abs(np.concatenate([(a + b).ravel(), (a - b).ravel()])))


def _kept(values: NDArray) -> frozenset[float] | None:
    distinct = np.unique(np.round(values, DIGITS))
    return frozenset(distinct.tolist()) if len(distinct) <= MAX_FREQUENCIES else None

r"""A circuit rewritten for the kernel: layers of real rotations and, between them, phases and one permutation.

Every gate becomes rotations about y (real 2×2 matrices), rotations about xx and yy of pairs (real as well, once a phase
of i is taken from one of the two), rotations about z and zz (phases by the parity of some bits) and CX, X, SWAP (an
affine map of the bits). A stage is one y rotation per qubit or one rotation per pair at most, followed by

    |x⟩ → \prod_k exp(-i θ_k/2 (-1)^{m_k·x + t_k}) |M x + b⟩

so that a circuit of any depth costs one pass per stage for everything that is neither of the two. Gates of more
controls that exchange basis states or turn the phase of some (ccx, mcx, cswap, ccz, mcp) stay whole: a stage turns the
phases of *corners*, the basis states on which some bits have given values, and ends with *exchanges* of such. Global
phases are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Barrier, CircuitInstruction, Delay, ParameterExpression, QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.synthesis.two_qubit import TwoQubitWeylDecomposition

from runner.engine.executed import definition_of, is_by_name, matrix_of
from runner.engine.memory import require

Angle = Any
"""A number or a ParameterExpression."""
_HALF = math.pi / 2
_EPSILON = 1e-14
_IGNORED = {"id", "global_phase"}


_FEW_GATES = 2
"""So many CX and SWAP take less time one by one than in a permutation of the whole state."""


class Unsupported(Exception):
    """The circuit has an instruction the kernel cannot express."""


@dataclass
class Stage:
    """One layer of rotations about y and of pairs, then phases and a permutation."""

    num_qubits: int
    rotations: dict[int, Angle] = field(default_factory=dict)
    pairs: dict[tuple[int, int], tuple[Angle, Angle]] = field(default_factory=dict)
    """Lower and higher qubit → α, β of exp(-i (α YX - β XY)/2), YX having its Y on the lower one."""
    phases: list[tuple[int, int, Angle]] = field(default_factory=list)
    """(mask of bits, constant added to their parity, angle)."""
    corners: list[tuple[int, int, Angle]] = field(default_factory=list)
    """Before the permutation, exp(i angle) where the bits of a mask have a value: (mask, value, angle)."""
    exchanges: list[tuple[int, int, int]] = field(default_factory=list)
    """After it, in this order, the amplitudes of i and i ⊕ flips change places where i & mask = value: (mask, value,
    flips); the mask has all bits of `flips`."""
    rows: list[int] = field(init=False)
    """Bit q after the stage is the parity of the bits in `rows[q]` before it …"""
    shift: list[int] = field(init=False)
    """… plus this."""
    linear: list[tuple[int, int, int]] = field(default_factory=list)
    """The gates behind `rows` and `shift` as exchanges."""

    def __post_init__(self) -> None:
        self.rows = [1 << q for q in range(self.num_qubits)]
        self.shift = [0] * self.num_qubits

    @property
    def whole(self) -> bool:
        """Has it gates of several qubits that are taken whole?"""
        return bool(self.pairs or self.corners or self.exchanges)

    def take_apart(self) -> None:
        """Make exchanges of a permutation that is one or two gates, which are a third of its work each."""
        if len(self.linear) <= _FEW_GATES:
            self.exchanges[:0], self.linear = self.linear, []
            self.rows, self.shift = [1 << q for q in range(self.num_qubits)], [0] * self.num_qubits

    @property
    def permutes(self) -> bool:
        """Is the affine map anything but the identity?"""
        return any(self.shift) or any(row != 1 << q for q, row in enumerate(self.rows))


class StageBuilder:
    """Places gates into the earliest stage their order allows.

    Args:
        num_qubits: of the circuit.
        from_zero: it begins with |0…0⟩, whose phases do not matter.
        pairs: whether rotations about xx and yy are taken whole, which become ones about y and zz else, and gates of
            several controls.
    """

    def __init__(self, num_qubits: int, *, from_zero: bool = True, pairs: bool = True) -> None:
        self.num_qubits = num_qubits
        self.pairs = pairs
        self.stages = [Stage(num_qubits)]
        self._level = [0] * num_qubits
        self._closed = [False] * num_qubits
        self._fresh = [from_zero] * num_qubits
        self._pending: list[list[tuple[str, Angle]]] = [[] for _ in range(num_qubits)]
        self._waiting: dict[int, _Pair] = {}
        self._moved: list[str] = [""] * num_qubits
        """What exchanges do with a qubit at its level: "reads" or "writes", or nothing."""

    def single(self, qubit: int, *items: tuple[str, Angle]) -> None:
        """Append y and z rotations on one qubit, in order of time."""
        self._settle(qubit)
        self._pending[qubit].extend(items)

    def pair(self, first: int, second: int, axis: str, angle: Angle) -> None:
        """Append exp(-i angle/2 XX), axis "x", or exp(-i angle/2 YY), "y"."""
        if _constant(angle) and not math.remainder(float(angle), 2 * math.pi):
            return
        low, high = sorted((first, second))
        found = self._waiting.get(low)
        if found is None or found is not self._waiting.get(high):
            self._settle(low)
            self._settle(high)
            found = self._waiting[low] = self._waiting[high] = _Pair(low, high)
        found.add(axis, angle)

    def cx(self, control: int, target: int) -> None:
        """Append a CX."""
        stage = self._meet(control, target, written=(target,))
        stage.rows[target] ^= stage.rows[control]
        stage.shift[target] ^= stage.shift[control]
        stage.linear.append((1 << control | 1 << target, 1 << control, 1 << target))

    def swap(self, first: int, second: int) -> None:
        """Append a SWAP."""
        stage = self._meet(first, second, written=(first, second))
        for table in (stage.rows, stage.shift):
            table[first], table[second] = table[second], table[first]
        both = 1 << first | 1 << second
        stage.linear.append((both, 1 << first, both))

    def zz(self, first: int, second: int, angle: Angle) -> None:
        """Append exp(-i angle/2 ZZ)."""
        found = self._waiting.get(first)
        if found is not None and found is self._waiting.get(second):  # all of a pair commute
            found.add("z", angle)
            return
        self._phase(self._meet(first, second), first, second, angle)

    def corner(self, qubits: Sequence[int], angle: Angle) -> None:
        """Append exp(i angle) on the basis states that have all of these bits set."""
        stage = self._meet(*qubits)
        if any(stage.rows[qubit].bit_count() > 1 for qubit in qubits):  # behind CNOTs it is no corner
            level = self.stages.index(stage) + 1
            stage = self._close(level, *qubits)
        mask = sum(stage.rows[qubit] for qubit in qubits)
        value = sum(stage.rows[qubit] for qubit in qubits if not stage.shift[qubit])
        stage.corners.append((mask, value, angle))

    def flip(self, controls: Sequence[int], target: int) -> None:
        """Append X on a target where all controls are set."""
        self._settle(target)
        before = self._before_hadamard(target)
        if before is not None and self._fresh[target] and all(kind == "z" for kind, _ in before):
            return  # X changes nothing of |+⟩
        if before is not None:  # what follows is H, too, as a rule
            self._pending[target] = before
            self.corner([*controls, target], math.pi)
            self.single(target, *_HADAMARD)
            return
        value = sum(1 << control for control in controls)
        self._exchange([*controls, target], (target,), value, 1 << target)

    def swap_where(self, controls: Sequence[int], first: int, second: int) -> None:
        """Append a SWAP where all controls are set."""
        value = sum(1 << control for control in controls) | 1 << first
        self._exchange([*controls, first, second], (first, second), value, 1 << first | 1 << second)

    def _exchange(self, qubits: Sequence[int], written: Sequence[int], value: int, flips: int) -> None:
        for qubit in qubits:
            self._settle(qubit)
            self._flush(qubit)
        stage = self._close(max(self._level[qubit] for qubit in qubits), *qubits)
        stage.exchanges.append((sum(1 << qubit for qubit in qubits), value, flips))
        for qubit in qubits:
            if qubit in written:
                self._moved[qubit] = "writes"
            elif not self._moved[qubit]:
                self._moved[qubit] = "reads"

    def _before_hadamard(self, qubit: int) -> list[tuple[str, Angle]] | None:
        """What waits on a qubit, without a Hadamard gate at its end, up to a diagonal gate; None if it has none."""
        items = list(self._pending[qubit])
        matrix = np.eye(2)
        while items and _constant(items[-1][1]):
            kind, angle = items.pop()
            matrix = matrix @ _matrix(kind, float(angle))
        rest = np.array([[1, 1], [1, -1]]) / math.sqrt(2) @ matrix
        return [*items, *_zyz(rest)] if abs(rest[0, 1]) < _EPSILON else None

    def _phase(self, stage: Stage, first: int, second: int, angle: Angle) -> None:
        # The amplitudes have not moved: a stage keeps its CNOTs as `rows` and `shift` and permutes once, at its end, so
        # a phase behind them is one of the parity that they would have brought to its qubits.
        mask = stage.rows[first] ^ stage.rows[second]
        stage.phases.append((mask, stage.shift[first] ^ stage.shift[second], angle))

    def finish(self) -> list[Stage]:
        """Every stage, all gates placed."""
        for qubit in range(self.num_qubits):
            self._settle(qubit)
            self._flush(qubit)
        return self.stages

    def _settle(self, qubit: int) -> None:
        """Place the rotations of a pair that nothing else can join."""
        found = self._waiting.pop(qubit, None)
        if found is None:
            return
        low, high, angles = found.low, found.high, found.angles
        del self._waiting[low if qubit == high else high]
        self._pending[low].append(("z", _HALF))  # X is Y turned by a quarter, and Y is -X
        self._flush(low)
        self._flush(high)
        level = max(self._level[q] + self._closed[q] for q in (low, high))
        stage = self._close(level, low, high)
        stage.pairs[low, high] = angles.get("x", 0.0), angles.get("y", 0.0)
        self._pending[low].append(("z", -_HALF))
        if "z" in angles:
            self._phase(stage, low, high, angles["z"])

    def _meet(self, *qubits: int, written: Sequence[int] = ()) -> Stage:
        """The first stage in which these qubits can take a phase, or a gate that changes the bits of some."""
        for qubit in qubits:
            self._settle(qubit)
            self._flush(qubit)
        return self._close(max(self._free(qubit, qubit in written) for qubit in qubits), *qubits)

    def _free(self, qubit: int, written: bool) -> int:
        """The first level whose exchanges, which come last, let a phase, or a change of the bit, come before them."""
        return self._level[qubit] + (self._moved[qubit] in (("reads", "writes") if written else ("writes",)))

    def _close(self, level: int, *qubits: int) -> Stage:
        if level == len(self.stages):
            self.stages.append(Stage(self.num_qubits))
        for qubit in qubits:
            if level > self._level[qubit]:
                self._moved[qubit] = ""
            self._level[qubit] = level
            self._closed[qubit] = True
            self._fresh[qubit] = False
        return self.stages[level]

    def _flush(self, qubit: int) -> None:
        items, self._pending[qubit] = self._pending[qubit], []
        for kind, angle in simplified(items):
            if kind == "y":
                self._rotate(qubit, angle)
            elif kind == "x":
                stage = self._close(self._free(qubit, True), qubit)
                stage.shift[qubit] ^= 1
                stage.linear.append((1 << qubit, 0, 1 << qubit))
            elif not self._fresh[qubit]:  # a phase on |0⟩ is a global one
                stage = self._close(self._free(qubit, False), qubit)
                stage.phases.append((stage.rows[qubit], stage.shift[qubit], angle))

    def _rotate(self, qubit: int, angle: Angle) -> None:
        self._close(self._level[qubit] + self._closed[qubit], qubit).rotations[qubit] = angle


@dataclass(eq=False)
class _Pair:
    """Rotations about xx, yy and zz of two qubits that have yet to be placed."""

    low: int
    high: int
    angles: dict[str, Angle] = field(default_factory=dict)

    def add(self, axis: str, angle: Angle) -> None:
        """Turn further about an axis."""
        self.angles[axis] = self.angles[axis] + angle if axis in self.angles else angle


def simplified(items: Sequence[tuple[str, Angle]]) -> list[tuple[str, Angle]]:
    """The same one-qubit operation, up to a phase, with as few y rotations as the rules below find."""
    result = _merged(items)
    changed = True
    while changed:
        changed = False
        for start in range(len(result) - 2):
            replacement = _conjugated(result[start : start + 3])
            if replacement is not None:
                result = _merged(result[:start] + replacement + result[start + 3 :])
                changed = True
                break
    return [part for item in result for part in _flipped(item)]


def _merged(items: Sequence[tuple[str, Angle]]) -> list[tuple[str, Angle]]:
    """Runs of constant rotations become at most z y z; neighbouring rotations about the same axis are added."""
    result: list[tuple[str, Angle]] = []
    matrix: NDArray | None = None
    for kind, angle in [*items, ("end", None)]:
        if kind != "end" and _constant(angle):
            matrix = _matrix(kind, float(angle)) @ (np.eye(2) if matrix is None else matrix)
            continue
        if matrix is not None:
            result.extend(_zyz(matrix))
            matrix = None
        if kind != "end":
            result.append((kind, angle))
    added: list[tuple[str, Angle]] = []
    for kind, angle in result:
        if added and added[-1][0] == kind and kind in "yz":
            added[-1] = (kind, added[-1][1] + angle)
        else:
            added.append((kind, angle))
    return added


def _conjugated(items: Sequence[tuple[str, Angle]]) -> list[tuple[str, Angle]] | None:
    """y(±π/2) z(β) y(±π/2) with one y rotation: an x rotation by ±β, after a half turn if the signs agree."""
    (first, a), (middle, beta), (last, b) = items
    if (first, middle, last) != ("y", "z", "y") or _constant(beta) or not (_constant(a) and _constant(b)):
        return None
    if any(abs(abs(float(angle)) - _HALF) > _EPSILON for angle in (a, b)):
        return None
    turned = [("z", _HALF), ("y", beta if float(b) > 0 else -beta), ("z", -_HALF)]
    return [("y", math.pi), *turned] if (float(a) > 0) == (float(b) > 0) else turned


def _flipped(item: tuple[str, Angle]) -> list[tuple[str, Angle]]:
    """A constant half turn about y is Z, then X; no turn is nothing."""
    kind, angle = item
    if not _constant(angle):
        return [item]
    rest = math.remainder(float(angle), 2 * math.pi)
    if abs(rest) < _EPSILON:
        return []
    if kind == "y" and abs(abs(rest) - math.pi) < _EPSILON:
        return [("z", math.pi), ("x", 0.0)]
    return [(kind, rest)]


def _constant(angle: Angle) -> bool:
    return not isinstance(angle, ParameterExpression) or not angle.parameters


def _matrix(kind: str, angle: float) -> NDArray:
    c, s = math.cos(angle / 2), math.sin(angle / 2)
    if kind == "y":
        return np.array([[c, -s], [s, c]], dtype=complex)
    if kind == "x":
        return np.array([[0, 1], [1, 0]], dtype=complex)
    return np.diag([c - 1j * s, c + 1j * s])


def _zyz(matrix: NDArray) -> list[tuple[str, Angle]]:
    """A unitary as z, y, z in order of time, up to a phase."""
    (a, b), (c, d) = matrix
    theta = 2 * math.atan2(abs(c), abs(a))
    if abs(a) >= abs(
        c
    ):  # the larger entries fix the sum (or the difference) of the angles, however small the others
        phi = float(np.angle(c / a)) if abs(c) > _EPSILON else 0.0
        lam = float(np.angle(d / a)) - phi
    else:
        lam = float(np.angle(-b / a)) if abs(a) > _EPSILON else 0.0
        phi = float(np.angle(-c / b)) + lam
    candidates = [("z", lam), ("y", theta), ("z", phi)]
    return [item for item in candidates if abs(item[1]) > _EPSILON]


def _x_rotation(angle: Angle) -> list[tuple[str, Angle]]:
    return [("z", _HALF), ("y", angle), ("z", -_HALF)]


_HADAMARD: list[tuple[str, Angle]] = [("z", math.pi), ("y", _HALF)]
_ONE_QUBIT: dict[str, Callable[..., list[tuple[str, Angle]]]] = {
    "rx": _x_rotation,
    "ry": lambda theta: [("y", theta)],
    "rz": lambda phi: [("z", phi)],
    "p": lambda phi: [("z", phi)],
    "u1": lambda phi: [("z", phi)],
    "u": lambda theta, phi, lam: [("z", lam), ("y", theta), ("z", phi)],
    "u3": lambda theta, phi, lam: [("z", lam), ("y", theta), ("z", phi)],
    "u2": lambda phi, lam: [("z", lam), ("y", _HALF), ("z", phi)],
    "r": lambda theta, phi: [("z", -phi), *_x_rotation(theta), ("z", phi)],
    "h": lambda: _HADAMARD,
    "x": lambda: [("x", 0.0)],
    "y": lambda: [("z", math.pi), ("x", 0.0)],
    "z": lambda: [("z", math.pi)],
    "s": lambda: [("z", _HALF)],
    "sdg": lambda: [("z", -_HALF)],
    "t": lambda: [("z", _HALF / 2)],
    "tdg": lambda: [("z", -_HALF / 2)],
    "sx": lambda: _x_rotation(_HALF),
    "sxdg": lambda: _x_rotation(-_HALF),
}


def _conjugate(
    builder: StageBuilder, qubits: Sequence[int], before: Any, after: Any, inner: Callable
) -> None:
    for qubit in qubits:
        builder.single(qubit, *before)
    inner()
    for qubit in qubits:
        builder.single(qubit, *after)


def _controlled_z_rotation(builder: StageBuilder, control: int, target: int, theta: Angle) -> None:
    builder.single(target, ("z", theta / 2))
    builder.zz(control, target, -theta / 2)


def _controlled_phase(builder: StageBuilder, first: int, second: int, phi: Angle) -> None:
    builder.single(first, ("z", phi / 2))
    builder.single(second, ("z", phi / 2))
    builder.zz(first, second, -phi / 2)


def _two_qubit(builder: StageBuilder, name: str, a: int, b: int, params: Sequence[Angle]) -> bool:
    """Append a two-qubit gate if it is one of those known here."""
    to_y, from_y = _x_rotation(_HALF), _x_rotation(-_HALF)
    match name:
        case "cx":
            builder.cx(a, b)
        case "swap":
            builder.swap(a, b)
        case "cz":
            _controlled_phase(builder, a, b, math.pi)
        case "cp" | "cu1":
            _controlled_phase(builder, a, b, params[0])
        case "crz":
            _controlled_z_rotation(builder, a, b, params[0])
        case "crx":
            _conjugate(
                builder, [b], _HADAMARD, _HADAMARD, lambda: _controlled_z_rotation(builder, a, b, params[0])
            )
        case "cry":
            _conjugate(builder, [b], to_y, from_y, lambda: _controlled_z_rotation(builder, a, b, params[0]))
        case "cy":
            _conjugate(builder, [b], [("z", -_HALF)], [("z", _HALF)], lambda: builder.cx(a, b))
        case "rzz":
            builder.zz(a, b, params[0])
        case "rxx" | "ryy" if builder.pairs:
            builder.pair(a, b, name[1], params[0])
        case "rxx":
            _conjugate(builder, [a, b], _HADAMARD, _HADAMARD, lambda: builder.zz(a, b, params[0]))
        case "ryy":
            _conjugate(builder, [a, b], to_y, from_y, lambda: builder.zz(a, b, params[0]))
        case "rzx":
            _conjugate(builder, [b], _HADAMARD, _HADAMARD, lambda: builder.zz(a, b, params[0]))
        case _:
            return False
    return True


def _several_controls(builder: StageBuilder, item: CircuitInstruction, qubits: Sequence[int]) -> bool:
    """Append a gate of two controls or more if it is one of those known here."""
    if not item.is_standard_gate() and not is_by_name(item.operation):
        return False
    match item.name:
        case "ccx" | "mcx":
            builder.flip(qubits[:-1], qubits[-1])
        case "cswap":
            builder.swap_where(qubits[:-2], *qubits[-2:])
        case "ccz":
            builder.corner(qubits, math.pi)
        case "mcphase":
            builder.corner(qubits, item.params[0])
        case _:
            return False
    return True


def append(builder: Any, item: CircuitInstruction, qubits: Sequence[int], depth: int = 0) -> None:
    """Append an instruction: a standard gate by its name, anything else by what its own definition says."""
    if item.is_standard_gate():
        name, params = item.name, item.params
        if name in _IGNORED:
            return
        if name in _ONE_QUBIT:
            builder.single(qubits[0], *_ONE_QUBIT[name](*params))
            return
        if len(qubits) == 2 and _two_qubit(builder, name, qubits[0], qubits[1], params):
            return
    if len(qubits) > 2 and builder.pairs and _several_controls(builder, item, qubits):
        return
    operation = item.operation
    if isinstance(operation, Barrier | Delay):
        return
    if type(operation) is UnitaryGate and len(qubits) <= 2:
        _append_matrix(builder, item.matrix, qubits)
        return
    definition = definition_of(operation) if depth < 30 else None
    if definition is None:
        matrix = matrix_of(operation) if len(qubits) <= 2 else None
        if matrix is None:
            raise Unsupported(operation.name)
        _append_matrix(builder, matrix, qubits)
        return
    for inner in definition.data:
        acted = [qubits[definition.find_bit(bit).index] for bit in inner.qubits]
        append(builder, inner, acted, depth + 1)


def _append_matrix(builder: StageBuilder, matrix: NDArray, qubits: Sequence[int]) -> None:
    """Append a unitary of one or two qubits; qiskit's definition of two is good to eight digits only.

    Two are (A ⊗ B) exp(i(a XX + b YY + c ZZ)) (C ⊗ D), up to a phase.
    """
    if len(qubits) == 1:
        builder.single(qubits[0], *_zyz(matrix))
        return
    weyl = TwoQubitWeylDecomposition(np.asarray(matrix, dtype=complex), fidelity=None)
    low, high = qubits
    builder.single(low, *_zyz(weyl.K2r))
    builder.single(high, *_zyz(weyl.K2l))
    for name, angle in (("rxx", weyl.a), ("ryy", weyl.b), ("rzz", weyl.c)):
        _two_qubit(builder, name, low, high, [-2 * angle])
    builder.single(low, *_zyz(weyl.K1r))
    builder.single(high, *_zyz(weyl.K1l))


class StageActs(NamedTuple):
    """What a stage does beside rotations about y and phases by parities."""

    permutes: bool
    pairs: bool
    corners: bool
    exchanges: bool


@dataclass(frozen=True)
class Program:
    """Stages as the flat arrays the kernel reads, and the angles they refer to."""

    num_qubits: int
    num_stages: int
    expressions: tuple[Angle, ...]
    """One per rotation or phase; the arrays refer to them by position ("slot")."""
    rotation_start: NDArray
    rotation_qubit: NDArray
    rotation_slot: NDArray
    pair_start: NDArray
    pair_low: NDArray
    pair_high: NDArray
    pair_slot: NDArray
    """Of α; β has the one behind it."""
    single_start: NDArray
    single_qubit: NDArray
    single_sign: NDArray
    single_slot: NDArray
    parity_start: NDArray
    parity_mask: NDArray
    parity_sign: NDArray
    parity_slot: NDArray
    corner_start: NDArray
    corner_mask: NDArray
    corner_value: NDArray
    corner_slot: NDArray
    exchange_start: NDArray
    exchange_mask: NDArray
    exchange_value: NDArray
    exchange_flips: NDArray
    permutes: NDArray
    forward_high: NDArray
    """(stages, 2^h): where x goes is `forward_high[x >> l] ^ forward_low[x & (2^l - 1)]`."""
    forward_low: NDArray
    backward_high: NDArray
    backward_low: NDArray
    layers: NDArray
    """(stages, 5): whether all phases take one pass, and how its parities are ordered, see `_layer`."""

    @property
    def acts(self) -> list[StageActs]:
        """What each stage does."""
        starts = (self.pair_start, self.corner_start, self.exchange_start)
        found = [self.permutes.tolist(), *(np.diff(start).astype(bool).tolist() for start in starts)]
        return [StageActs(*stage) for stage in zip(*found, strict=True)]

    @property
    def state_bytes(self) -> int:
        """What one state takes, see `state_bytes`."""
        return state_bytes(self.num_qubits, self.permutes.tolist(), self.real_stages)

    @property
    def real_stages(self) -> int:
        """How many stages come before the first phase: so long a state has real amplitudes."""
        counts = np.zeros(self.num_stages, dtype=np.int64)
        for start in (self.single_start, self.parity_start, self.corner_start):
            counts += np.diff(start)
        return int(np.argmax(counts > 0)) if counts.any() else self.num_stages


def compile_program(circuit: QuantumCircuit, *, from_zero: bool = True, layers: bool = True) -> Program:
    """The kernel's program of a unitary circuit, on |0…0⟩ or on any state; `Unsupported` if it has none.

    Args:
        circuit: unitary.
        from_zero: it acts on |0…0⟩.
        layers: the phases of a stage take one pass together, not one pass for each parity of several bits, and
            rotations of pairs and gates of several controls are taken whole.
    """
    size = max(circuit.num_qubits, MIN_QUBITS)
    builder = StageBuilder(size, from_zero=from_zero, pairs=layers)
    for item in circuit.data:
        append(builder, item, [circuit.find_bit(bit).index for bit in item.qubits])
    stages = builder.finish()
    if any(stage.whole for stage in stages):  # other circuits do without exchanges, and without their loops
        for stage in stages:
            stage.take_apart()
    permutes = [stage.permutes for stage in stages]
    real = next((place for place, stage in enumerate(stages) if stage.phases or stage.corners), len(stages))
    tables = 32 * len(stages) << split_bits(size)[0]  # of every stage's permutation, there and back
    words = f"a state vector of {size} qubits" + (" and its copy" if any(permutes) else "")
    require(state_bytes(size, permutes, real) + tables, words)
    return _flatten(size, stages, layers)


def state_bytes(num_qubits: int, permutes: Sequence[bool], real: int) -> int:
    """What one state takes: two doubles an amplitude, and in a copy where it is permuted, one while it is real.

    Args:
        num_qubits: of the state.
        permutes: which stages permute.
        real: how many stages come before the first phase.
    """
    numbers = 2 + (2 if any(permutes[real:]) else 1 if any(permutes) else 0)
    return 8 * numbers << num_qubits


MIN_QUBITS = 4
"""Smaller circuits get idle qubits: the kernel moves sixteen numbers at a time."""


def split_bits(num_qubits: int) -> tuple[int, int]:
    """How many low and high bits an index is split into."""
    low = (num_qubits + 1) // 2
    return low, num_qubits - low


_LAYER_WORK = 1 << 12
"""Parities of several bits take a pass each while that is up to so many phases altogether."""


def _layer(stage: Stage, low: int, before: int, wanted: bool) -> list[int]:
    """Order the parities of a stage: of low bits alone, of high bits alone, of one low bit and high ones, others.

    Returns:
        1 if they take one pass, where each kind but the first begins, and the low bits of the third kind as a mask;
        the order is as it was, and the other numbers mean nothing, where each takes its own pass.
    """
    several = [phase for phase in stage.phases if phase[0].bit_count() > 1]
    if not wanted or len(several) << stage.num_qubits < _LAYER_WORK:
        return [0] * 5

    def kind(phase: tuple[int, int, Angle]) -> int:
        inside = phase[0] & ((1 << low) - 1)
        if not phase[0] >> low:
            return 0
        return 1 + min(inside.bit_count(), 2)

    stage.phases.sort(key=kind)
    kinds = [kind(phase) for phase in several]
    bits = 0
    for phase in several:
        bits |= phase[0] if kind(phase) == 2 else 0
    starts = [before + sum(other < which for other in kinds) for which in (1, 2, 3)]
    return [1, *starts, bits & ((1 << low) - 1)]


def _flatten(size: int, stages: list[Stage], layered: bool) -> Program:
    layers = []
    expressions: list[Angle] = []
    columns: dict[str, list] = {
        key: []
        for key in (
            *("rq", "rs", "bl", "bh", "bs", "sq", "ss", "sk", "pm", "ps", "pk"),
            *("cm", "cv", "ck", "em", "ev", "ef"),
        )
    }
    starts: dict[str, list[int]] = {"r": [0], "b": [0], "s": [0], "p": [0], "c": [0], "e": [0]}
    for stage in stages:
        layers.append(_layer(stage, split_bits(size)[0], len(columns["pm"]), layered))
        for qubit in sorted(stage.rotations):
            columns["rq"].append(qubit)
            columns["rs"].append(len(expressions))
            expressions.append(stage.rotations[qubit])
        for (lower, higher), both in sorted(stage.pairs.items()):
            columns["bl"].append(lower)
            columns["bh"].append(higher)
            columns["bs"].append(len(expressions))
            expressions.extend(both)
        for mask, shift, angle in stage.phases:
            sign = -1.0 if shift else 1.0
            kind = ("sq", "ss", "sk") if mask.bit_count() == 1 else ("pm", "ps", "pk")
            where = mask.bit_length() - 1 if mask.bit_count() == 1 else mask
            for key, value in zip(kind, (where, sign, len(expressions)), strict=True):
                columns[key].append(value)
            expressions.append(angle)
        for mask, value, angle in stage.corners:
            for key, number in zip(("cm", "cv", "ck"), (mask, value, len(expressions)), strict=True):
                columns[key].append(number)
            expressions.append(angle)
        for exchange in stage.exchanges:
            for key, number in zip(("em", "ev", "ef"), exchange, strict=True):
                columns[key].append(number)
        starts["c"].append(len(columns["cm"]))
        starts["e"].append(len(columns["em"]))
        starts["r"].append(len(columns["rq"]))
        starts["b"].append(len(columns["bl"]))
        starts["s"].append(len(columns["sq"]))
        starts["p"].append(len(columns["pm"]))
    low, high = split_bits(size)
    forward = np.array([_images(stage.rows, stage.shift, low, high) for stage in stages], dtype=object)
    backward = np.array([_images(*_inverse(stage), low, high) for stage in stages], dtype=object)

    def integers(key: str) -> NDArray:
        return np.array(columns[key], dtype=np.int64)

    def floats(key: str) -> NDArray:
        return np.array(columns[key], dtype=np.float64)

    def table(rows: NDArray, part: int) -> NDArray:
        return np.array([row[part] for row in rows], dtype=np.int64)

    return Program(
        num_qubits=size,
        num_stages=len(stages),
        expressions=tuple(expressions),
        rotation_start=np.array(starts["r"], dtype=np.int64),
        rotation_qubit=integers("rq"),
        rotation_slot=integers("rs"),
        pair_start=np.array(starts["b"], dtype=np.int64),
        pair_low=integers("bl"),
        pair_high=integers("bh"),
        pair_slot=integers("bs"),
        single_start=np.array(starts["s"], dtype=np.int64),
        single_qubit=integers("sq"),
        single_sign=floats("ss"),
        single_slot=integers("sk"),
        parity_start=np.array(starts["p"], dtype=np.int64),
        parity_mask=integers("pm"),
        parity_sign=floats("ps"),
        parity_slot=integers("pk"),
        corner_start=np.array(starts["c"], dtype=np.int64),
        corner_mask=integers("cm"),
        corner_value=integers("cv"),
        corner_slot=integers("ck"),
        exchange_start=np.array(starts["e"], dtype=np.int64),
        exchange_mask=integers("em"),
        exchange_value=integers("ev"),
        exchange_flips=integers("ef"),
        permutes=np.array([stage.permutes for stage in stages], dtype=np.bool_),
        forward_high=table(forward, 1),
        forward_low=table(forward, 0),
        backward_high=table(backward, 1),
        backward_low=table(backward, 0),
        layers=np.array(layers, dtype=np.int64),
    )


def _images(rows: Sequence[int], shift: Sequence[int], low: int, high: int) -> tuple[NDArray, NDArray]:
    """Where the low and the high part of an index go; the XOR of both is where the index goes."""
    size = low + high
    columns = [sum(((rows[q] >> bit) & 1) << q for q in range(size)) for bit in range(size)]
    constant = sum(value << q for q, value in enumerate(shift))
    return _spanned(columns[:low], constant), _spanned(columns[low:], 0)


def _spanned(columns: Sequence[int], constant: int) -> NDArray:
    table = np.array([constant], dtype=np.int64)
    for column in columns:
        table = np.concatenate([table, table ^ column])
    return table


def _inverse(stage: Stage) -> tuple[list[int], list[int]]:
    """The affine map that undoes a stage's: x = M⁻¹ y + M⁻¹ b."""
    size = stage.num_qubits
    left, right = list(stage.rows), [1 << q for q in range(size)]
    for pivot in range(size):
        found = next(row for row in range(pivot, size) if left[row] >> pivot & 1)
        for table in (left, right):
            table[pivot], table[found] = table[found], table[pivot]
        for row in range(size):
            if row != pivot and left[row] >> pivot & 1:
                left[row] ^= left[pivot]
                right[row] ^= right[pivot]
    constant = sum(value << q for q, value in enumerate(stage.shift))
    return right, [(row & constant).bit_count() & 1 for row in right]

r"""Expectation values of many qubits: Pauli strings taken backwards, with a bound on what is left out of them.

In the Heisenberg picture an observable is a sum of Pauli strings. A rotation exp(-i θ/2 P) makes two of each string Q
that anticommutes with it,

    Q → cos θ Q + sin θ i P Q,

Clifford gates only rename strings, and a Pauli channel multiplies each by its fidelity (Begušić, Gray & Chan 2024;
Rudolph et al. 2025). Clifford gates are moved to the circuit's end, so that rotations and channels are left. Leaving
out strings, those with coefficients below a threshold or the smallest of too many, changes the value by the sum of
their absolute coefficients at most: all that follows takes a string to an operator of norm 1 at most.

The noise of layers of gates (`lindblad`) multiplies strings as it is. Other noise is twirled: of each channel stays
the diagonal of its Pauli transfer matrix, which is what random Paulis around the gate leave of it; readout errors
become a factor 1 − p01 − p10 for each qubit of a string, as if measurements were twirled.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Operator, SuperOp

from runner.engine import kernel
from runner.engine.circuits import CHANNELS
from runner.engine.expressions import Angles
from runner.engine.kernel.frame import FrameBuilder, Pauli, anticommute
from runner.engine.kernel.program import Angle, append
from runner.engine.lindblad import LINDBLAD, PauliLindblad, bits_of_letter
from runner.engine.memory import require
from runner.engine.noise import error_of
from runner.errors import ConfigError
from runner.record.interruption import pause

ROTATION, CHANNEL = 0, 1
_HOME = "propagation_loops"
_SECONDS = 1e-8
"""What one operation takes for one string, by estimate."""
_STRETCH = 16
"""Operations between two looks for signals."""
_REMEMBERED = 50_000
"""Channels whose fidelities are kept."""


@dataclass(frozen=True)
class PropagationLimits:
    """What is left out of a sum of Pauli strings, and how much of that is too much."""

    threshold: float = 1e-6
    """Coefficients below this, of the observable's largest one, are left out."""
    max_terms: int = 1_000_000
    """Strings that are kept after each operation."""
    max_error: float = 0.1
    """Σ of the absolute coefficients that may be left out, of the observable's own Σ|c|."""


class _Frame(FrameBuilder):
    """Rotations and channels in the order of time; the Clifford gates between them are in the images."""

    def __init__(self, num_qubits: int) -> None:
        super().__init__(num_qubits, num_qubits)
        self.operations: list[tuple[Any, Any]] = []
        """(string, angle) of a rotation, ((four strings), factors) of a channel."""

    def _rotate(self, pauli: Pauli, angle: Angle) -> None:
        self.operations.append((pauli, angle))

    def echoed(self, first: int, second: int) -> None:
        """Append an ECR as the Clifford gate that it is; Qiskit defines it by rotations of an eighth turn."""
        half = math.pi / 2
        self.single(first, ("z", half))
        self.single(second, ("z", half), ("y", half), ("z", -half))
        self.cx(first, second)
        self.single(first, ("x", 0.0))

    def channel(self, qubits: Sequence[int], fidelities: NDArray) -> None:
        """Append a twirled channel; `fidelities` go by the letters I, X, Z, Y of its qubits, the first one fastest."""
        strings: list[Pauli] = []
        for qubit in qubits:
            self._flush(qubit)
            strings += [self.image((0, 1 << qubit, 0)), self.image((1 << qubit, 0, 0))]
        while len(strings) < 4:
            strings.append((0, 0, 0))
        self.operations.append((tuple(strings), np.resize(fidelities, 16)))

    def layer(self, noise: PauliLindblad, qubits: Sequence[int], gain: float) -> None:
        """Append a layer's noise, its rates times `gain`."""
        for qubit in qubits:
            self._flush(qubit)
        for places, factors in noise.parts():
            self.channel([qubits[place] for place in places], factors**gain)
        for letters, rate in noise.wide():
            x = z = 0
            for place, letter in letters.items():
                flips, signs = bits_of_letter(letter)
                x, z = x | flips << qubits[place], z | signs << qubits[place]
            string = self.image((x, z, (x & z).bit_count() & 3))
            factors = np.array(
                [1.0, math.exp(-2.0 * rate * gain)]
            )  # of strings that commute with it, and others
            self.operations.append(((string, *[(0, 0, 0)] * 3), np.resize(factors, 16)))


class PropagationProgram:
    """A circuit of unitary gates and channels through which Pauli strings are taken backwards.

    Args:
        circuit: unitary gates, channels of one or two qubits, and `PauliLindblad` of any number.
        parameters: the order of the values given to `values`.
        limits: what is left out.
        noise_model: Aer's `NoiseModel`, whose errors on one and two qubits follow the gates; None: none do.
        gain: by how much the noise of every channel is amplified: fidelities f become f^gain, which is what Lindblad
            generators of Paulis do when all are scaled (van den Berg et al. 2023).
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        parameters: Sequence[Any],
        limits: PropagationLimits,
        noise_model: Any = None,
        gain: float = 1.0,
    ) -> None:
        self._limits = limits
        self._size = circuit.num_qubits
        self._words = (circuit.num_qubits + 63) // 64
        frame = _Frame(circuit.num_qubits)
        for item in circuit.data:
            qubits = [circuit.find_bit(bit).index for bit in item.qubits]
            if item.name == "measure":
                continue  # a final one
            operation = item.operation  # of a standard gate, a new one at every access
            if item.name == LINDBLAD:
                frame.layer(operation, qubits, gain)
                continue
            if item.name in CHANNELS:
                frame.channel(qubits, _amplified(known_fidelities(operation), gain))
                continue
            if item.name == "ecr":
                frame.echoed(*qubits)
            else:
                append(frame, item, qubits)
            error = error_of(noise_model, operation, tuple(qubits))
            if error is not None:
                frame.channel(qubits, _amplified(known_fidelities(error), gain))
        frame.finish()
        self._frame = frame
        self._early, self._late = _split(frame.operations, circuit.num_qubits)
        angles = [what for _, what in frame.operations if not isinstance(what, np.ndarray)]
        self._angles = Angles(list(parameters), angles)
        self._slots: dict[int, int] = {}
        for number, (_, what) in enumerate(frame.operations):
            if not isinstance(what, np.ndarray):
                self._slots[number] = len(self._slots)

    def require(self) -> None:
        """Refuse sums that may take more memory than there is.

        Raises:
            ConfigError: with both sizes.
        """
        require(
            self._limits.max_terms * (4 * (16 * self._words + 8) + 64),
            f"a sum of {self._limits.max_terms} Pauli strings of {self._size} qubits",
        )

    def in_words(self) -> str:
        """What it is."""
        return (
            f"Pauli strings of {self._size} qubits taken back through {len(self._late)} rotations and channels, "
            f"coefficients from {self._limits.threshold:g} on and at most {self._limits.max_terms} of them"
        )

    def values(self, rows: NDArray, x: NDArray, z: NDArray, coefficients: NDArray) -> tuple[NDArray, NDArray]:
        """Expectation values (B, S) of S sums of T strings at B parameter sets, and what was left out of them (B, S).

        Args:
            rows: parameter sets, (B, P).
            x: what each string flips, (T, qubits).
            z: what each string signs, (T, qubits).
            coefficients: of the sums, (S, T).
        """
        self.require()
        images = [self._image(flips, signs) for flips, signs in zip(x, z, strict=True)]
        found = np.zeros((len(rows), len(coefficients)))
        lost = np.zeros_like(found)
        angles = self._angles(rows)
        for place, row in enumerate(coefficients):
            used = [t for t in np.flatnonzero(row) if x[t].any() or z[t].any()]
            constant = sum(float(row[t]) for t in np.flatnonzero(row)) - sum(float(row[t]) for t in used)
            found[:, place] = constant
            if used:
                cone = self._cone([images[t][0] for t in used])
                for number in range(len(rows)):
                    value, gone = self._value(angles[number], cone, [images[t] for t in used], row[used])
                    found[number, place] += value
                    lost[number, place] = gone
        return found, lost

    def _image(self, flips: NDArray, signs: NDArray) -> tuple[Pauli, float]:
        """A string with the Clifford gates taken up, and its sign."""
        x = sum(1 << int(q) for q in np.flatnonzero(flips))
        z = sum(1 << int(q) for q in np.flatnonzero(signs))
        return _signed(self._frame.image((x, z, (x & z).bit_count() & 3)))

    def _cone(self, strings: Sequence[Pauli]) -> list[int]:
        """The late operations, last first, that can act on the strings or on what becomes of them."""
        span: list[Pauli] = []
        flipped = signed = 0
        kept = []

        def reach(string: Pauli) -> None:
            nonlocal flipped, signed
            span.append(string)
            flipped, signed = flipped | string[0], signed | string[1]

        def meets(string: Pauli) -> bool:
            # what flips no bit that the span signs, and signs none that it flips, commutes with all of it
            apart = not (string[0] & signed or string[1] & flipped)
            return not apart and any(anticommute(string, other) for other in span)

        for string in strings:
            reach(string)
        for number in reversed(self._late):
            string, _ = self._frame.operations[number]
            if isinstance(string[0], tuple):
                if any(map(meets, string)):
                    kept.append(number)
            elif meets(string):
                kept.append(number)
                reach(string)
        return kept

    def _value(
        self, angles: NDArray, cone: Sequence[int], images: Sequence[tuple[Pauli, float]], weights: NDArray
    ) -> tuple[float, float]:
        """The value of one sum at one parameter set, and what was left out of it."""
        sums: dict[tuple[int, int], float] = {}
        for (string, sign), weight in zip(images, weights.tolist(), strict=True):
            bits = string[0], string[1]
            sums[bits] = sums.get(bits, 0.0) + sign * weight
        size = len(sums)
        rows = np.zeros((max(2 * size, 64), 2 * self._words), dtype=np.uint64)
        coefficients = np.zeros(len(rows))
        for place, (bits, weight) in enumerate(sums.items()):
            rows[place] = self._packed(bits)
            coefficients[place] = weight
        largest = float(np.abs(coefficients).max())
        threshold = self._limits.threshold * largest
        kinds, strings, numbers = self._operations(cone, angles)
        lost = 0.0
        for begin in range(0, len(cone), _STRETCH):
            pause()
            end = min(begin + _STRETCH, len(cone))
            rows, coefficients, size, gone = kernel.loop("propagate", _HOME)(
                rows,
                coefficients,
                size,
                kinds,
                strings,
                numbers,
                begin,
                end,
                threshold,
                self._limits.max_terms,
            )
            lost += gone
        vectors = self._bloch_vectors(angles)
        return float(kernel.loop("read_off", _HOME)(rows, coefficients, size, vectors)), lost

    def _operations(self, cone: Sequence[int], angles: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """The operations as the loops take them."""
        kinds = np.zeros(len(cone), dtype=np.int64)
        strings = np.zeros((len(cone), 8 * self._words), dtype=np.uint64)
        numbers = np.zeros((len(cone), 16))
        for place, number in enumerate(cone):
            string, what = self._frame.operations[number]
            if isinstance(what, np.ndarray):
                kinds[place] = CHANNEL
                strings[place] = np.concatenate([self._packed(one) for one in string])
                numbers[place] = what
            else:
                plain, sign = _signed(string)
                angle = float(angles[self._slots[number]])
                strings[place, : 2 * self._words] = self._packed(plain)
                numbers[place, :2] = math.cos(angle), sign * math.sin(angle)
        return kinds, strings, numbers

    def _packed(self, string: Sequence[int]) -> NDArray:
        mask = (1 << 64) - 1
        words = [(bits >> (64 * k)) & mask for bits in string[:2] for k in range(self._words)]
        return np.array(words, dtype=np.uint64)

    def _bloch_vectors(self, angles: NDArray) -> NDArray:
        """Every qubit's Bloch vector after the operations that come first and touch no other qubit, (qubits, 3)."""
        vectors = np.zeros((self._size, 3))
        vectors[:, 2] = 1.0
        for number in self._early:
            string, what = self._frame.operations[number]
            if isinstance(what, np.ndarray):
                qubit = max((one[0] | one[1]).bit_length() for one in string) - 1
                for axis, letter in enumerate(_axes(qubit)):
                    case = sum(anticommute(one, letter) << which for which, one in enumerate(string))
                    vectors[qubit, axis] *= what[case]
                continue
            plain, sign = _signed(string)
            qubit = (plain[0] | plain[1]).bit_length() - 1
            axis = [one[:2] for one in _axes(qubit)].index(plain[:2])
            angle = sign * float(angles[self._slots[number]])
            first, second = (axis + 1) % 3, (axis + 2) % 3
            one, other = vectors[qubit, first], vectors[qubit, second]
            vectors[qubit, first] = math.cos(angle) * one - math.sin(angle) * other
            vectors[qubit, second] = math.sin(angle) * one + math.cos(angle) * other
        return vectors


def _amplified(found: NDArray, gain: float) -> NDArray:
    """Fidelities of a channel whose noise is `gain` times as much.

    Raises:
        ConfigError: one is negative, so that no Lindblad generator of Paulis makes the channel.
    """
    if gain == 1.0:
        return found
    if (found < -1e-12).any():
        raise ConfigError(
            "noise that turns a Pauli string's sign cannot be amplified; take amplifier=folding"
        )
    amplified: NDArray = np.maximum(found, 0.0) ** gain
    return amplified


def _axes(qubit: int) -> tuple[Pauli, Pauli, Pauli]:
    bit = 1 << qubit
    return (bit, 0, 0), (bit, bit, 1), (0, bit, 0)


def _signed(pauli: Pauli) -> tuple[Pauli, float]:
    """A Hermitian i^k X^x Z^z as i^{|x∧z|} X^x Z^z and a sign."""
    x, z, phase = pauli
    plain = (x & z).bit_count() & 3
    return (x, z, plain), (1.0 if (phase - plain) & 3 == 0 else -1.0)


def _split(operations: Sequence[tuple[Any, Any]], size: int) -> tuple[list[int], list[int]]:
    """The operations on one qubit that nothing on several comes before, and all others; in order."""
    open_bits = (1 << size) - 1
    early, late = [], []
    for number, (string, _) in enumerate(operations):
        parts = string if isinstance(string[0], tuple) else (string,)
        bits = 0
        for part in parts:
            bits |= part[0] | part[1]
        if bits.bit_count() == 1 and bits & open_bits:
            early.append(number)
        else:
            late.append(number)
            open_bits &= ~bits
    return early, late


_SINGLE = (
    np.eye(2, dtype=complex),
    np.array([[0, 1], [1, 0]], dtype=complex),
    np.diag([1.0 + 0j, -1.0]),
    np.array([[0, -1j], [1j, 0]]),
)
"""I, X, Z, Y."""


def fidelities(channel: Any) -> NDArray:
    """Tr(P Λ(P))/2^k of every string on a channel's k qubits, by the letters I, X, Z, Y, the first qubit's fastest.

    Args:
        channel: Aer's `QuantumError`, a `kraus`, `superop` or channel instruction, or Qiskit's matrix of the channel,
            (4^k, 4^k), on one or two qubits.
    """
    error = getattr(channel, "_quantum_error", channel)
    if hasattr(error, "circuits"):
        parts = zip(error.circuits, error.probabilities, strict=True)
        return np.sum([chance * _of_circuit(circuit) for circuit, chance in parts], axis=0)
    if getattr(channel, "name", "") == "kraus":
        return _of_kraus(channel.params)
    matrix = channel.params[0] if getattr(channel, "name", "") == "superop" else channel
    return _of_superoperator(np.asarray(matrix, dtype=complex))


def _of_circuit(circuit: QuantumCircuit) -> NDArray:
    """Those of one of an error's circuits; where all act on single qubits, the product of theirs."""
    if any(len(item.qubits) > 1 and item.operation.name != "pauli" for item in circuit.data):
        return _of_superoperator(SuperOp(circuit).data)
    transfers = [np.eye(4) for _ in range(circuit.num_qubits)]
    for item in circuit.data:
        places = [circuit.find_bit(bit).index for bit in item.qubits]
        names = [item.operation.name] * len(places)
        if item.operation.name == "pauli":  # its label has the last qubit's letter first
            names = [letter.lower() for letter in reversed(item.operation.params[0])]
        for place, name in zip(places, names, strict=True):
            transfers[place] = _transfer(name, item.operation) @ transfers[place]
    result: NDArray = np.ones(1)
    for transfer in transfers:
        result = np.kron(np.diag(transfer), result)
    return result


def _transfer(name: str, operation: Any) -> NDArray:
    """The Pauli transfer matrix of an instruction on one qubit, by I, X, Z, Y."""
    if name in ("i", "id"):
        return np.eye(4)
    if name in ("x", "y", "z"):
        return np.diag({"x": [1.0, 1, -1, -1], "z": [1.0, -1, 1, -1], "y": [1.0, -1, -1, 1]}[name])
    if name == "reset":
        transfer = np.zeros((4, 4))
        transfer[0, 0] = transfer[2, 0] = 1.0
        return transfer
    kraus = operation.params if name == "kraus" else [Operator(operation).data]
    return np.array(
        [
            [sum(np.trace(one @ k @ other @ k.conj().T).real for k in kraus) / 2 for other in _SINGLE]
            for one in _SINGLE
        ]
    )


def _strings(size: int) -> list[NDArray]:
    """All strings on so many qubits, the first one's letter fastest."""
    return list(_SINGLE) if size == 1 else [np.kron(high, low) for high in _SINGLE for low in _SINGLE]


def _of_kraus(operators: Sequence[NDArray]) -> NDArray:
    size = {2: 1, 4: 2}[len(operators[0])]
    return np.array(
        [
            sum(np.trace(one @ k @ one @ k.conj().T).real for k in operators) / 2**size
            for one in _strings(size)
        ]
    )


def _of_superoperator(matrix: NDArray) -> NDArray:
    size = {4: 1, 16: 2}[len(matrix)]
    columns = [
        one.reshape(-1, order="F") for one in _strings(size)
    ]  # Qiskit's vectors have columns below each other
    return np.array([float((one.conj() @ matrix @ one).real / 2**size) for one in columns])


class _Known:
    """The fidelities of channels that occur again and again, the ones used longest ago being forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[int, tuple[Any, NDArray]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, channel: Any) -> NDArray:
        """Those of a channel; it is kept, so that its id stands for it."""
        with self._lock:
            if id(channel) not in self._found:
                self._found[id(channel)] = channel, fidelities(channel)
                if len(self._found) > _REMEMBERED:
                    self._found.popitem(last=False)
            return self._found[id(channel)][1]


_KNOWN = _Known()


def known_fidelities(channel: Any) -> NDArray:
    """`fidelities` of a channel that is asked for again and again."""
    return _KNOWN.of(channel)


def readout_factors(confusions: Iterable[NDArray | None]) -> NDArray:
    """1 − p01 − p10 of each qubit, by its P(read | true); 1 where it is read faithfully."""
    return np.array([1.0 if one is None else float(one[0, 0] + one[1, 1] - 1.0) for one in confusions])

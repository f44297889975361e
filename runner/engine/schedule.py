"""Idle time: when a device carries out the gates of a circuit, and what becomes of qubits that wait in between."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from qiskit.circuit import CircuitInstruction, Instruction, ParameterExpression, QuantumCircuit

from runner.engine.duration import delay_length, has_durations, length_of
from runner.engine.noise import error_of, superoperator

_RESOLUTION = 15
"""Decimals of a second that waiting times are rounded to: a femtosecond."""


def why_not(target: Any) -> str | None:
    """What a device lacks for its idle qubits to decay; None where it has everything."""
    if target is None:
        return "it takes every circuit and has no durations"
    if not has_durations(target):
        return "it has no gate durations"
    if not any(_times(target, qubit) != (math.inf, math.inf) for qubit in range(target.num_qubits or 0)):
        return "none of its qubits has a T1 or T2"
    return None


class Schedule:
    """Starts every instruction as late as possible and lets the qubits that wait relax, by their T1 and T2.

    All final measurements begin at the same time, at the end. A qubit that nothing happened to yet is in its ground
    state and does not change. Angles do not matter, so a circuit is scheduled once however often it is evaluated.

    Args:
        target: of a device for which `why_not` has nothing to say.
    """

    def __init__(self, target: Any) -> None:
        self._target = target
        self._decays: dict[tuple[int, float], Instruction | None] = {}
        self._lock = threading.Lock()

    def obstacle(self, circuit: QuantumCircuit) -> str | None:
        """Why it cannot be known when this circuit's instructions happen; None where it can."""
        if circuit.num_vars:
            return "it has run-time variables"
        number = {bit: index for index, bit in enumerate(circuit.qubits)}
        for item, final in zip(circuit.data, _finals(circuit), strict=True):
            if item.is_control_flow():
                return f"{item.name} takes a time that is only known when it runs"
            places = tuple(number[bit] for bit in item.qubits)
            if not final and item.name != "barrier" and self._length(item, places) is None:
                where = ", ".join(map(str, places))
                return f"the device does not say how long {item.name} takes on qubit {where}"
        return None

    def with_decay(self, circuit: QuantumCircuit, measured: Iterable[int] = ()) -> QuantumCircuit:
        """The circuit with relaxation wherever a qubit waits, its own delays included.

        Args:
            circuit: without an `obstacle`.
            measured: qubits that are measured at the end in addition, which is not written into the result.
        """
        result = circuit.copy_empty_like()
        for item, decays in zip(circuit.data, self.decays(circuit, measured), strict=True):
            result._append(item)
            for qubit, decay in decays.items():
                result._append(CircuitInstruction(decay, (result.qubits[qubit],), ()))
        return result

    def decays(self, circuit: QuantumCircuit, measured: Iterable[int] = ()) -> list[dict[int, Instruction]]:
        """The relaxation of each instruction's qubits while they wait after it; arguments as of `with_decay`."""
        found = []
        for waits in self._waits(circuit, measured):
            made = {qubit: self._decay(qubit, seconds) for qubit, seconds in waits.items()}
            found.append({qubit: decay for qubit, decay in made.items() if decay is not None})
        return found

    def measured_in(
        self, circuit: QuantumCircuit, rotations: Sequence[QuantumCircuit], measured: Iterable[int]
    ) -> Iterator[QuantumCircuit]:
        """The circuit without its final measurements, ready to be measured in each of several bases.

        Args:
            circuit: without an `obstacle`, and without measurements on the way.
            rotations: the gates before the measurement, which take their time as well.
            measured: the qubits that are measured at the end.
        """
        bare = circuit.copy_empty_like()
        for item in circuit.data:
            if item.name != "measure":
                bare._append(item)
        qubits = list(measured)
        for rotation in rotations:
            yield self.with_decay(bare.compose(rotation, bare.qubits), qubits)

    def middles(self, circuit: QuantumCircuit) -> list[float]:
        """When each instruction is half over, in seconds before the end; the final measurements included."""
        return [end + length / 2 for end, length in self._spans(circuit, ())]

    def _waits(self, circuit: QuantumCircuit, measured: Iterable[int]) -> list[dict[int, float]]:
        """How long each of an instruction's qubits waits after it [s], from the end of the circuit backwards."""
        where = {bit: index for index, bit in enumerate(circuit.qubits)}
        begins = dict.fromkeys(measured, self._last(circuit, measured))
        waits: list[dict[int, float]] = []
        spans = self._spans(circuit, measured)
        for item, (end, length) in zip(reversed(circuit.data), reversed(spans), strict=True):
            if item.name == "barrier":
                waits.append({})
                continue
            qubits = [where[bit] for bit in item.qubits]
            idle = length if item.name == "delay" else 0.0
            waits.append({q: round(end - begins[q] + idle, _RESOLUTION) for q in qubits if q in begins})
            begins.update(dict.fromkeys(qubits, end + length))
        waits.reverse()
        return waits

    def _spans(self, circuit: QuantumCircuit, measured: Iterable[int]) -> list[tuple[float, float]]:
        """When each instruction ends, in seconds before the circuit's end, and how long it takes [s]."""
        where = {bit: index for index, bit in enumerate(circuit.qubits)}
        reading = self._last(circuit, measured)
        taken: dict[Any, float] = {circuit.qubits[qubit]: reading for qubit in measured}
        spans: list[tuple[float, float]] = []
        for item, is_final in zip(reversed(circuit.data), reversed(_finals(circuit)), strict=True):
            bits = (*item.qubits, *item.clbits)
            qubits = tuple(where[bit] for bit in item.qubits)
            end = max((taken.get(bit, 0.0) for bit in bits), default=0.0)
            length = reading if is_final else self._length(item, qubits) or 0.0
            taken.update(dict.fromkeys(bits, end + length))
            spans.append((end, length))
        spans.reverse()
        return spans

    def _last(self, circuit: QuantumCircuit, measured: Iterable[int]) -> float:
        """How long the measurements at the end take together [s]."""
        where = {bit: index for index, bit in enumerate(circuit.qubits)}
        pairs = zip(circuit.data, _finals(circuit), strict=True)
        last = {where[item.qubits[0]] for item, is_final in pairs if is_final}
        return max((self._reading(qubit) for qubit in last.union(measured)), default=0.0)

    def _reading(self, qubit: int) -> float:
        return length_of(self._target, "measure", (qubit,)) or 0.0

    def _length(self, item: CircuitInstruction, qubits: tuple[int, ...]) -> float | None:
        """Seconds that an instruction takes; None where nobody knows."""
        if item.name == "barrier":
            return 0.0
        if item.name == "delay":
            operation = item.operation
            value = operation.duration
            known = operation.unit != "expr" and not (
                isinstance(value, ParameterExpression) and value.parameters
            )
            return delay_length(operation, self._target) if known else None
        return length_of(self._target, item.name, qubits)

    def _decay(self, qubit: int, seconds: float) -> Instruction | None:
        """Relaxation of a qubit for so long, made once."""
        if seconds <= 0.0:
            return None
        with self._lock:
            key = qubit, seconds
            if key not in self._decays:
                from qiskit_aer.noise import thermal_relaxation_error

                t1, t2 = _times(self._target, qubit)
                lasting = t1 == t2 == math.inf
                self._decays[key] = (
                    None if lasting else thermal_relaxation_error(t1, t2, seconds).to_instruction()
                )
            return self._decays[key]


def _finals(circuit: QuantumCircuit) -> list[bool]:
    """Which instructions are measurements that nothing follows on their qubit."""
    busy: set[Any] = set()
    found = []
    for item in reversed(circuit.data):
        found.append(item.name == "measure" and item.qubits[0] not in busy)
        if item.name != "barrier":
            busy.update(item.qubits)
    found.reverse()
    return found


def _times(target: Any, qubit: int) -> tuple[float, float]:
    """T1 and T2 in seconds as Aer's noise models take them: T2 at most 2·T1, infinite where nothing is known."""
    properties = target.qubit_properties[qubit] if target.qubit_properties else None
    t1 = getattr(properties, "t1", None)
    t2 = getattr(properties, "t2", None)
    longest = math.inf if t1 is None else 2 * t1
    return (math.inf if t1 is None else t1), (longest if t2 is None else min(t2, longest))


class _Channel:
    """Errors that act on the same qubits one after the other, each with the places it acts on among them."""

    def __init__(self, qubits: tuple[int, ...], error: Any) -> None:
        self.qubits = qubits
        self.parts: list[tuple[Any, tuple[int, ...]]] = [(error, tuple(range(len(qubits))))]

    @property
    def key(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        return tuple((id(error), places) for error, places in self.parts)


def as_superoperators(circuits: Iterable[QuantumCircuit], noise_model: Any) -> list[QuantumCircuit]:
    """The circuits with every gate's noise, and the waiting after it, as one channel, for density matrices.

    Superoperators are exact; Kraus operators would leave out what acts with less than 1e-8. Waiting is drawn into the
    channel of the gate before, so that it takes no time of its own.
    """
    alone: dict[int, tuple[Any, Any]] = {}
    made: dict[Any, Instruction] = {}
    results = []
    for circuit in circuits:
        result = circuit.copy_empty_like()
        for step in _steps(circuit, noise_model):
            if not isinstance(step, _Channel):
                result._append(step)
                continue
            if step.key not in made:
                made[step.key] = Instruction("superop", len(step.qubits), 0, [_superoperator(step, alone)])
            result.append(made[step.key], step.qubits)
        results.append(result)
    return results


def _superoperator(channel: _Channel, alone: dict[int, Any]) -> np.ndarray:
    """The matrix of a channel; `alone` keeps its parts, whose ids stand for them, and their matrices."""
    from qiskit.quantum_info import SuperOp

    total = SuperOp(np.eye(4 ** len(channel.qubits)))
    for error, places in channel.parts:
        if id(error) not in alone:
            alone[id(error)] = error, SuperOp(superoperator(error))
        total = total.compose(alone[id(error)][1], qargs=list(places))
    return np.asarray(total.data)


def _steps(circuit: QuantumCircuit, noise_model: Any) -> Iterator[Any]:
    steps: list[Any] = []
    latest: dict[int, _Channel] = {}  # the channel that nothing followed on a qubit so far
    for item in circuit.data:
        operation = item.operation
        qubits = tuple(circuit.find_bit(bit).index for bit in item.qubits)
        error = getattr(operation, "_quantum_error", None)
        if error is not None and len(qubits) == 1 and qubits[0] in latest:
            channel = latest[qubits[0]]
            channel.parts.append((error, (channel.qubits.index(qubits[0]),)))
            continue
        if error is None:
            steps.append(item)
            error = error_of(noise_model, operation, qubits)
        for qubit in qubits:
            latest.pop(qubit, None)
        if error is not None:
            channel = _Channel(qubits, error)
            steps.append(channel)
            latest.update(dict.fromkeys(qubits, channel))
    return iter(steps)

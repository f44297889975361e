"""Noise with a memory: frequencies of qubits and of coupled pairs that stay while a batch of shots is taken."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import CPhaseGate, CU1Gate, PhaseGate, RZGate, U1Gate

from runner.engine.duration import has_durations
from runner.engine.schedule import Schedule
from runner.errors import ConfigError

_DIAGONAL = frozenset(
    (
        "barrier", "delay", "id", "measure", "p", "u1", "rz", "z", "s", "sdg", "t", "tdg",
        "cz", "cp", "cu1", "crz", "cs", "csdg", "rzz", "ccz",
    )
)  # fmt: skip
"""Instructions that phases of the computational basis pass through unchanged."""


@dataclass(frozen=True)
class QuasiStatic:
    """How far frequencies are off, and for how long they stay what they are.

    A qubit's is δ·|1⟩⟨1|, a coupled pair's ξ·|11⟩⟨11| = ξ·(1 − Z₁ − Z₂ + Z₁Z₂)/4: a neighbour in |0⟩ does nothing.
    """

    detuning: float
    """Standard deviation of every qubit's δ/2π [Hz]; normal around 0."""
    zz: float
    """Standard deviation of every coupled pair's ξ/2π [Hz]; normal around 0."""
    batch: int
    """Shots for which they stay."""

    @property
    def text(self) -> str:
        """What of it changes numbers."""
        return f"quasi-static {self.detuning!r} {self.zz!r} {self.batch}"

    def batches(self, shots: int) -> tuple[int, int]:
        """How many batches so many shots are taken in, and shots of each; the last one may have fewer."""
        each = math.ceil(shots / math.ceil(shots / self.batch))
        return math.ceil(shots / each), each


class Drifting:
    """A circuit whose phases depend on frequencies, which are parameters of it.

    Every instruction acts at the middle of its duration; before and after, and while nothing happens, phases add up:
    for waiting that is exact, for gates an approximation that takes frequency times duration to be small. Relaxation
    of a wait acts at its beginning.

    Args:
        circuit: without an obstacle of the schedule, and without measurements on the way.
        noise: what is drawn.
        schedule: of the device.
        target: the device's.
        addressed: names that its noise goes by, which added phases must not have.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        noise: QuasiStatic,
        schedule: Schedule,
        target: Any,
        addressed: Iterable[str],
    ) -> None:
        names = frozenset(addressed)
        self._phase = _first([PhaseGate, U1Gate, RZGate], names)
        self._pair_phase = _first([CPhaseGate, CU1Gate], names)
        self._own = list(circuit.parameters)
        self._noise = noise
        self._detunings: dict[int, Parameter] = {}
        self._shifts: dict[tuple[int, int], Parameter] = {}
        self.circuit = self._drifting(circuit, schedule, _neighbours(circuit, target, noise))
        """With the phases, as functions of frequencies in Hz."""
        columns = {parameter: place for place, parameter in enumerate([*self._own, *self._drawn])}
        self._order = [columns[parameter] for parameter in self.circuit.parameters]

    @property
    def _drawn(self) -> list[Parameter]:
        pairs = [self._shifts[pair] for pair in sorted(self._shifts)]
        return [self._detunings[qubit] for qubit in sorted(self._detunings)] + pairs

    def rows(self, values: NDArray, frequencies: NDArray) -> NDArray:
        """Parameters of the drifting circuit, (B·K, …), at sets (B, P) with K draws (B, K, drawn) each."""
        repeated = np.repeat(values, frequencies.shape[1], axis=0)
        drawn = frequencies.reshape(len(repeated), frequencies.shape[2])
        return np.concatenate([repeated, drawn], axis=1)[:, self._order]

    def draw(self, batches: int, generator: np.random.Generator) -> NDArray:
        """Frequencies of so many batches [Hz], (batches, drawn)."""
        spreads = [self._noise.detuning] * len(self._detunings) + [self._noise.zz] * len(self._shifts)
        return generator.standard_normal((batches, len(spreads))) * np.array(spreads)

    def _drifting(
        self, circuit: QuantumCircuit, schedule: Schedule, neighbours: dict[int, list[int]]
    ) -> QuantumCircuit:
        where = {bit: index for index, bit in enumerate(circuit.qubits)}
        since: dict[int, float] = {}  # a qubit that nothing happened to is |0⟩ and has no phase
        pairs: dict[tuple[int, int], float] = {}
        middles, decays = schedule.middles(circuit), schedule.decays(circuit)
        result = circuit.copy_empty_like()
        # a neighbour's instruction may be listed before and happen later
        for place in sorted(range(len(middles)), key=lambda place: -middles[place]):
            item, middle = circuit.data[place], middles[place]
            if item.operation.name not in _DIAGONAL:
                qubits = [where[bit] for bit in item.qubits]
                for qubit in qubits:
                    if qubit in since and self._noise.detuning:
                        self._add(result, (qubit,), since[qubit] - middle)
                    since[qubit] = middle
                for pair in _pairs(qubits, neighbours, since):
                    if pair in pairs:
                        self._add(result, pair, pairs[pair] - middle)
                    pairs[pair] = middle
            result._append(item)
            for qubit, decay in decays[place].items():
                result.append(decay, [qubit])
        return result

    def _add(self, circuit: QuantumCircuit, qubits: tuple[int, ...], seconds: float) -> None:
        """A phase of 2π · frequency · seconds."""
        if seconds <= 0.0:
            return
        if len(qubits) == 1:
            frequency = self._detunings.setdefault(
                qubits[0], Parameter(f"detuning of qubit {qubits[0]} [Hz]")
            )
            gate = self._phase(2 * math.pi * seconds * frequency)
        else:
            pair = (qubits[0], qubits[1])
            frequency = self._shifts.setdefault(pair, Parameter(f"ZZ of qubits {pair[0]}, {pair[1]} [Hz]"))
            gate = self._pair_phase(2 * math.pi * seconds * frequency)
        circuit.append(gate, qubits)


def _pairs(
    qubits: list[int], neighbours: dict[int, list[int]], begun: Iterable[int]
) -> list[tuple[int, int]]:
    """The coupled pairs that these qubits belong to with others that something happened to, each once."""
    known = set(begun)
    found = [(min(a, b), max(a, b)) for a in qubits for b in neighbours.get(a, ()) if b in known]
    return list(dict.fromkeys(found))


def require_drifting(unscheduled: str | None, dynamic: bool) -> None:
    """Refuse circuits of which it is not known when their instructions happen.

    Raises:
        ConfigError: with the reason.
    """
    reason = "it measures, resets or branches before its end" if dynamic else unscheduled
    if reason is not None:
        raise ConfigError(
            f"acts in scheduled circuits, and this one cannot be scheduled: {reason}; leave it out",
            key="backend.quasi_static",
        )


def why_not_drifting(target: Any, noise: QuasiStatic, schedule: bool | None = None) -> str | None:
    """What a device lacks for frequencies to be off on it; None where it has everything.

    Args:
        target: the device's.
        noise: what is drawn.
        schedule: whether circuits are scheduled at all; None: wherever they can be.
    """
    if schedule is False:
        return "phases add up in the time that scheduled circuits take, and schedule is false"
    if target is None:
        return "the backend takes every circuit and has no durations"
    if not has_durations(target):
        return "the backend has no gate durations"
    if noise.zz and target.num_qubits != 1 and target.build_coupling_map() is None:
        return "the backend does not say which qubits are coupled"
    return None


def _neighbours(circuit: QuantumCircuit, target: Any, noise: QuasiStatic) -> dict[int, list[int]]:
    """Which of a circuit's qubits each of them is coupled with."""
    coupling = target.build_coupling_map() if noise.zz else None
    found: dict[int, set[int]] = {}
    for first, second in [] if coupling is None else coupling.get_edges():
        found.setdefault(first, set()).add(second)
        found.setdefault(second, set()).add(first)
    return {qubit: sorted(others) for qubit, others in found.items() if qubit < circuit.num_qubits}


def _first(gates: list[Any], names: frozenset[str]) -> Any:
    """The first kind of gate that no noise goes by.

    Raises:
        ConfigError: noise goes by all of them.
    """
    free = [gate for gate in gates if gate(0.0).name not in names]
    if not free:
        known = ", ".join(gate(0.0).name for gate in gates)
        raise ConfigError(
            f"has no gate to act by: the device has noise of its own for {known}", key="backend.quasi_static"
        )
    return free[0]

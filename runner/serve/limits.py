"""What one job may ask for, and PUBs of the right types: checked before anything is computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from runner.declare.checks import shorten
from runner.mitigation import MAX_PAIRS, Layer, Learning
from runner.serve.config import ServeConfig
from runner.serve.errors import ApiError

MAX_SECONDS = 1e9
"""Longest QPU time a job is accepted with; its own limit and the plan's end it much earlier."""
BASES = 9
"""Bases that all Pauli strings of two neighbouring qubits are measured in."""
UNCLASSIFIED = ("kerneled", "avg_kerneled", "both")
"""What a Sampler or a quantum program can ask for beside bits."""
LENGTHS = {"estimator": (2, 4), "sampler": (1, 3)}
"""How many elements a PUB has."""


@dataclass(frozen=True)
class Limits:
    """What a job may ask for; more is refused with the setting that allows it."""

    pubs: int
    """PUBs of a job."""
    executions: int
    """Shots times parameter sets of a Sampler job; shots for each basis and set of an Estimator's."""
    numbers: int
    """Expectation values of a job."""
    bits: int
    """Measured bits of a job: executions times classical bits."""

    @classmethod
    def of(cls, config: ServeConfig) -> Limits:
        """The limits of a server."""
        memory = config.memory_bytes
        return cls(config.max_pubs, config.max_executions, memory // 256, memory // 4)

    def require_pubs(self, number: int) -> None:
        """Refuse a job of too many PUBs.

        Raises:
            ApiError: it has.
        """
        if number > self.pubs:
            raise ApiError(413, f"The job has {number} PUBs, more than {self.pubs}; serve with max_pubs=….")

    def require_work(self, pubs: list[tuple[Any, ...]], program: str, shots: int | None) -> None:
        """Refuse a job that would take more executions or memory than there is.

        Args:
            pubs: As `require_pub` returns them.
            program: estimator | sampler.
            shots: Of PUBs that say none; None: exact values.

        Raises:
            ApiError: it would.
        """
        if program == "estimator":
            for pub in pubs:
                self.require_executions(_shots_of(pub, shots))
            self._require("expectation values", sum(_points(pub) for pub in pubs), self.numbers, "max_memory")
            return
        executions = [
            _size(_values_of(pub, 1)) * ((pub[2] if len(pub) > 2 else None) or shots or 1) for pub in pubs
        ]
        self.require_executions(sum(executions))
        bits = sum(many * max(1, pub[0].num_clbits) for many, pub in zip(executions, pubs, strict=True))
        self._require("measured bits", bits, self.bits, "max_memory")

    def require_mitigated(self, bits: int, seconds: float, executions: int) -> None:
        """Refuse what `require_finite` does, and a job that measures more than there is memory for.

        Args:
            bits: What each execution takes, see `most_bits`; 0 where only expectation values are kept.
            seconds: QPU time.
            executions: How often circuits are executed.

        Raises:
            ApiError: it is.
        """
        require_finite(seconds, executions)
        self._require("measured bits of mitigation", bits * executions, self.bits, "max_memory")

    def require_executions(self, number: int | float) -> None:
        """Refuse more shots than a job may have.

        Raises:
            ApiError: they are.
        """
        self._require("executions", number, self.executions, "max_executions")

    def _require(self, what: str, number: int | float, most: int, key: str) -> None:
        if number > most:
            told = shorten(number, 30)
            raise ApiError(400, f"The job has {told} {what}, more than {most}; serve with {key}=….")

    def require_learning(self, learning: Learning, layers: Iterable[Layer]) -> None:
        """Refuse to learn noise from more or deeper circuits than there is time and memory for.

        Args:
            learning: How much is executed for each layer.
            layers: What is learned.

        Raises:
            ApiError: it would.
        """
        depths, widths = learning.layer_pair_depths, [len(layer.qubits) for layer in layers]
        each = BASES * len(depths) * learning.num_randomizations * learning.shots_per_randomization
        self.require_executions(each * len(widths))
        pairs = sum(depths) * len(widths)
        if pairs > MAX_PAIRS:
            raise ApiError(
                400,
                f"'params.options.layer_pair_depths' are {shorten(pairs, 30)} pairs of layers in all, more than "
                f"{MAX_PAIRS}; take smaller ones, or fewer layers.",
            )
        angles = 6 * (max(depths) + 1) * max(widths, default=0) * learning.num_randomizations
        self._require("random angles in a circuit", angles, self.bits // 16, "max_memory")


def require_finite(seconds: float, _executions: int) -> None:
    """Refuse a job whose QPU time is no length of time.

    Raises:
        ApiError: a delay or `rep_delay` in it is absurd.
    """
    if not seconds <= MAX_SECONDS:
        raise ApiError(400, f"The job would take {seconds:.3g} s of QPU time, more than {MAX_SECONDS:g} s.")


def most_bits(pubs: list[tuple[Any, ...]]) -> int:
    """Bits that each execution of a mitigated job's circuits takes: one for each qubit, 8 at least."""
    used = (sum(map(bool, _wires(pub[0]))) for pub in pubs)
    return max([8, *used])


def _wires(circuit: QuantumCircuit) -> list[int]:
    """How many instructions act on each qubit."""
    wires = [0] * circuit.num_qubits
    places = {bit: place for place, bit in enumerate(circuit.qubits)}
    for item in circuit.data:
        for bit in item.qubits:
            wires[places[bit]] += item.operation.name != "barrier"
    return wires


def require_classified(params: Mapping[str, Any]) -> None:
    """Refuse a job that asks for points in the plane of the readout signal, from either family of programs.

    Raises:
        ApiError: it does.
    """
    options, program = params.get("options"), params.get("quantum_program")
    execution = options.get("execution") if isinstance(options, dict) else None
    asked = execution.get("meas_type") if isinstance(execution, dict) else None
    if asked is None and isinstance(program, dict):
        asked = program.get("meas_level")
    if asked in UNCLASSIFIED:
        raise ApiError(
            400,
            f"meas_level 1 (meas_type '{asked}') is not supported by the backend; its meas_levels are [2].",
            solution="Use meas_type 'classified'.",
        )


def require_pub(pub: Any, program: str, where: str) -> tuple[Any, ...]:
    """A PUB whose elements have the right types; parameter values are arrays of finite numbers.

    Raises:
        ApiError: an element is of another type.
    """
    least, most = LENGTHS[program]
    if not isinstance(pub, list) or not least <= len(pub) <= most:
        raise ApiError(400, f"'{where}' is not a PUB: a list of {least} to {most} elements.")
    if not isinstance(pub[0], QuantumCircuit):
        raise ApiError(400, f"'{where}[0]' must be a circuit.")
    place = most - 2
    values = [_parameters(value, f"{where}[{place}]") for value in pub[place : place + 1]]
    last = pub[place + 1 :]
    if program == "sampler":
        if last and last[0] is not None and (type(last[0]) is not int or last[0] < 1):
            raise ApiError(400, f"'{where}[2]' must be a whole number of at least 1 shot.")
        return (pub[0], *values, *last)
    _require_observables(pub[1], f"{where}[1]")
    if last and last[0] is not None and not (type(last[0]) in (int, float) and 0 <= last[0] <= 1e9):
        raise ApiError(400, f"'{where}[3]' must be a precision: 0 (exact) or a positive number.")
    return (pub[0], pub[1], *values, *last)


def _parameters(values: Any, where: str) -> Any:
    if values is None:
        return None
    if isinstance(values, dict):
        arrays = {name: _numbers(value, f"{where}.{name}") for name, value in values.items()}
        if any(0 in array.shape for array in arrays.values()):
            raise ApiError(400, f"'{where}' has no parameter set.")
        return arrays
    array = _numbers(values, where)
    if 0 in array.shape[:-1]:
        raise ApiError(400, f"'{where}' has no parameter set.")
    return array


def _numbers(values: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biuf":
            array = array.astype(float)
            if np.isfinite(array).all():
                return array
    except (TypeError, ValueError):
        pass  # ragged
    raise ApiError(400, f"'{shorten(where, 80)}' must be an array of finite numbers.")


def _require_observables(value: Any, where: str) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            for word, coefficient in item.items():
                if not isinstance(coefficient, (int, float, complex)) or isinstance(coefficient, bool):
                    raise ApiError(400, f"'{where}' has no number as coefficient of {shorten(word, 40)!r}.")
        elif not isinstance(item, str):
            raise ApiError(
                400, f"'{where}' must be observables: Pauli words, or objects of word and coefficient."
            )


def _shots_of(pub: tuple[Any, ...], default: int | None) -> float:
    precision = pub[3] if len(pub) > 3 else None
    if precision is None:
        return default or 1
    return 1 if precision == 0 else math.inf if precision < 1e-100 else precision**-2


def _values_of(pub: tuple[Any, ...], place: int) -> Any:
    return pub[place] if len(pub) > place else None


def _size(values: Any) -> int:
    """How many parameter sets values are at most."""
    if isinstance(values, dict):
        return max((array.size for array in values.values()), default=1)
    return 1 if values is None else math.prod(values.shape[:-1])


def _points(pub: tuple[Any, ...]) -> int:
    """How many expectation values a PUB has, at least."""
    observables, values = _shape(pub[1]), _values_of(pub, 2)
    batch = (_size(values),) if values is None or isinstance(values, dict) else values.shape[:-1]
    try:
        return math.prod(np.broadcast_shapes(observables, batch))
    except ValueError:
        return 0  # refused with a better word when the job is planned


def _shape(observables: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(observables, list):
        shape.append(len(observables))
        observables = observables[0] if observables else None
    return tuple(shape)

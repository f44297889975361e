"""Noise of a device, cut down to the qubits and gates one circuit uses."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import Target

_REMEMBERED = 16
_GAIN = "noise gain"
_superoperators: dict[int, tuple[weakref.ref[Any], NDArray]] = {}
"""Of each noise model's error that lives, by its id."""


def superoperator(error: Any) -> NDArray:
    """The matrix of an error or a channel on column-stacked vec(ρ), not to be written to.

    Qiskit takes up to 0.1 s for the error of a two-qubit gate, and an adaptive ansatz brings the same errors in every
    circuit: an error of a noise model, which nothing changes once it is made, is converted once while it lives.
    """
    from qiskit.quantum_info import SuperOp
    from qiskit_aer.noise import QuantumError

    if not isinstance(error, QuantumError):
        return np.asarray(SuperOp(error).data, dtype=complex)
    key = id(error)
    held = _superoperators.get(key)
    if held is None or held[0]() is not error:
        matrix = np.asarray(SuperOp(error).data, dtype=complex)
        matrix.flags.writeable = False
        held = weakref.ref(error, lambda gone: _forget(key, gone)), matrix
        _superoperators[key] = held
    return held[1]


def _forget(key: int, gone: weakref.ref[Any]) -> None:
    held = _superoperators.get(key)
    if held is not None and held[0] is gone:  # else an error made since has this id
        _superoperators.pop(key, None)


def amplified(circuit: QuantumCircuit, gain: float) -> QuantumCircuit:
    """The circuit, to be executed with so many times the noise in every channel: waits and basis changes included.

    It is told in the circuit's metadata, and only Pauli strings (`engine=pauli`) can follow it.
    """
    result = circuit.copy()
    result.metadata = {**(circuit.metadata or {}), _GAIN: gain}
    return result


def gain_of(circuit: QuantumCircuit) -> float:
    """By how much a circuit's noise is amplified."""
    return float((circuit.metadata or {}).get(_GAIN, 1.0))


class DeviceNoise:
    """The noise of a device, as `NoiseModel.from_backend` derives it, but only of the qubits a circuit uses.

    For 133 qubits the whole model takes many seconds to make; for the two a circuit touches, milliseconds.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._models: OrderedDict[tuple[frozenset[int], frozenset[int]], Any] = OrderedDict()
        self._errors: dict[tuple[str, tuple[int, ...]], Any] = {}
        """Of each gate: the same object in every model, so that it is converted once."""
        self._lock = threading.Lock()

    def of(self, qubits: Iterable[int], read: Iterable[int] = ()) -> Any:
        """The noise model of these qubits, under their own numbers; of those that are only `read`, the readout's."""
        wanted = frozenset(qubits), frozenset(read)
        with self._lock:
            if wanted not in self._models:
                self._models[wanted] = self._make(*wanted)
                if len(self._models) > _REMEMBERED:
                    self._models.popitem(last=False)
            return self._models[wanted]

    def is_ideal(self) -> bool:
        """Does the device know no errors at all? Only its target is asked."""
        target = self._backend.target
        return not target.qubit_properties and not any(
            properties is not None and properties.error
            for name in target.operation_names
            for properties in (target[name] or {}).values()
        )

    def _make(self, qubits: frozenset[int], read: frozenset[int]) -> Any:
        from qiskit_aer.noise import NoiseModel

        target = self._backend.target
        part = Target(num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties)
        for name in target.operation_names:
            properties = target[name]
            if properties is None or None in properties:
                continue
            within = qubits | read if name == "measure" else qubits
            kept = {acted: value for acted, value in properties.items() if within.issuperset(acted)}
            if kept:
                part.add_instruction(target.operation_from_name(name), kept, name=name)
        view = SimpleNamespace(
            version=2,
            name=self._backend.name,
            target=part,
            operation_names=list(target.operation_names),
            dt=target.dt,
        )
        model = NoiseModel.from_backend(view)
        for name, errors in model._local_quantum_errors.items():
            for acted, error in errors.items():
                errors[acted] = self._errors.setdefault((name, acted), error)
        return model


def with_relaxation(circuit: QuantumCircuit, noise_model: Any) -> QuantumCircuit:
    """The circuit with the noise model's own passes applied: relaxation during delays."""
    manager = noise_model._pass_manager()
    if manager is None or not any(item.name == "delay" for item in circuit.data):
        return circuit
    return manager.run(circuit)


def restrict(noise_model: Any, qubits: Sequence[int], names: Iterable[str]) -> Any:
    """The noise of these instructions on these qubits, renumbered 0, 1, … in the order given."""
    from qiskit_aer.noise import NoiseModel

    where = {qubit: index for index, qubit in enumerate(qubits)}
    wanted = set(names)
    result = NoiseModel(basis_gates=noise_model.basis_gates)
    for name, error in noise_model._default_quantum_errors.items():
        if name in wanted:
            result.add_all_qubit_quantum_error(error, name, warnings=False)
    for name, errors in noise_model._local_quantum_errors.items():
        if name not in wanted:
            continue
        for acted, error in errors.items():
            if all(qubit in where for qubit in acted):
                result.add_quantum_error(error, name, [where[qubit] for qubit in acted], warnings=False)
    if noise_model._default_readout_error is not None:
        result.add_all_qubit_readout_error(noise_model._default_readout_error, warnings=False)
    for acted, error in noise_model._local_readout_errors.items():
        if all(qubit in where for qubit in acted):
            result.add_readout_error(error, [where[qubit] for qubit in acted], warnings=False)
    return result


def as_channels(circuit: QuantumCircuit, noise_model: Any) -> QuantumCircuit:
    """The circuit with every gate's noise written out as a channel behind it, for density matrices.

    Aer would turn a noise model into the same channels, but anew in every execution: most of the time of small ones.
    """
    from qiskit.quantum_info import SuperOp

    channels: dict[int, Any] = {}

    def channel(error: Any) -> Any:
        if id(error) not in channels:
            channels[id(error)] = (
                error,
                SuperOp(superoperator(error)).to_instruction(),
            )  # the error is kept so its id is not reused
        return channels[id(error)][1]

    result = circuit.copy_empty_like()
    for item in circuit.data:
        operation = item.operation
        inner = getattr(operation, "_quantum_error", None)
        if inner is not None:
            result.append(channel(inner), item.qubits)
            continue
        result._append(operation, item.qubits, item.clbits)
        acted = tuple(circuit.find_bit(bit).index for bit in item.qubits)
        error = error_of(noise_model, operation, acted)
        if error is not None:
            result.append(channel(error), item.qubits)
    return result


def error_of(noise_model: Any, operation: Any, qubits: tuple[int, ...]) -> Any:
    """The error that a noise model gives to an instruction by its label or name; None where it has none."""
    error = _error_of(noise_model, operation.label or operation.name, qubits)
    if error is None and operation.label:
        error = _error_of(noise_model, operation.name, qubits)
    return error


def _error_of(noise_model: Any, name: str, qubits: tuple[int, ...]) -> Any:
    if noise_model is None:
        return None
    local = noise_model._local_quantum_errors.get(name, {}).get(qubits)
    return local if local is not None else noise_model._default_quantum_errors.get(name)


def is_factorable(noise_model: Any) -> bool:
    """Does measuring mean reading each qubit on its own, with a confusion matrix and nothing else?"""
    names = set(noise_model._default_quantum_errors) | set(noise_model._local_quantum_errors)
    single = all(len(acted) == 1 for acted in noise_model._local_readout_errors)
    default = noise_model._default_readout_error
    return "measure" not in names and single and (default is None or default.number_of_qubits == 1)


def confusion(noise_model: Any, qubit: int) -> NDArray | None:
    """P(read | true) of one qubit as rows of the true value, or None if it is read faithfully."""
    error = noise_model._local_readout_errors.get((qubit,), noise_model._default_readout_error)
    return None if error is None else np.asarray(error.probabilities)


def misread(probabilities: NDArray, matrices: Sequence[NDArray | None]) -> NDArray:
    """Outcome probabilities (…, 2^k) as they are read, `matrices[b]` being the confusion of bit b."""
    shape = probabilities.shape
    for bit, matrix in enumerate(matrices):
        if matrix is not None:
            true = probabilities.reshape(-1, 2, 1 << bit)
            # added up one by one: a product of matrices rounds differently in batches of another size
            read = [true[:, 0] * matrix[0, value] + true[:, 1] * matrix[1, value] for value in (0, 1)]
            probabilities = np.stack(read, axis=1)
    return probabilities.reshape(shape)

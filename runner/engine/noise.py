"""Noise of a device, cut down to the qubits and gates one circuit uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit


def with_relaxation(circuit: QuantumCircuit, noise_model: Any) -> QuantumCircuit:
    """The circuit with the noise model's own passes applied: relaxation during delays."""
    manager = noise_model._pass_manager()
    if manager is None or not any(item.operation.name == "delay" for item in circuit.data):
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
            channels[id(error)] = (error, SuperOp(error).to_instruction())  # the error is kept so its id is not reused
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
        error = _error_of(noise_model, operation.label or operation.name, acted)
        if error is None and operation.label:
            error = _error_of(noise_model, operation.name, acted)
        if error is not None:
            result.append(channel(error), item.qubits)
    return result


def _error_of(noise_model: Any, name: str, qubits: tuple[int, ...]) -> Any:
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
    bits = len(matrices)
    tensor = probabilities.reshape(-1, *(2,) * bits)
    for bit, matrix in enumerate(matrices):
        if matrix is not None:
            axis = bits - bit  # bit 0 is the last axis
            tensor = np.moveaxis(np.tensordot(tensor, matrix, axes=(axis, 0)), -1, axis)
    return tensor.reshape(shape)

"""Energies and gradients by this project's two engines, Aer, qulacs, PennyLane lightning and the seed's loop."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.engine import Engine

Values = np.ndarray


def heisenberg(size: int) -> SparsePauliOp:
    pairs = [(p, [i, i + 1], 1.0) for i in range(size - 1) for p in ("XX", "YY", "ZZ")]
    return SparsePauliOp.from_sparse_list([*pairs, *[("Z", [i], 0.5) for i in range(size)]], size)


def _gates(circuit: QuantumCircuit) -> list[tuple[str, list[int], int | None]]:
    """(name, qubits, parameter) of a circuit of ry, rz and cx."""
    position = {parameter: index for index, parameter in enumerate(circuit.parameters)}
    return [
        (
            item.operation.name,
            [circuit.find_bit(bit).index for bit in item.qubits],
            position[item.operation.params[0]] if item.operation.params else None,
        )
        for item in circuit.data
    ]


def ours(
    circuit: QuantumCircuit, operator: SparsePauliOp, values: Values, threads: int
) -> dict[str, Callable]:
    kernel = Engine(engine="kernel", threads=threads).estimator_plan(circuit, operator)
    aer = Engine(engine="aer", threads=threads).estimator_plan(circuit, operator)
    loops, rows = kernel._kernel, np.reshape(values, (-1, circuit.num_parameters))
    return {
        "kernel": lambda: loops.energies(rows),
        "kernel through its plan": lambda: kernel.run(values, shots=None, seed=1),
        "native Aer": lambda: aer.run(values, shots=None, seed=1),
    }


def our_gradient(
    circuit: QuantumCircuit, operator: SparsePauliOp, values: Values, threads: int
) -> dict[str, Callable]:
    plan = Engine(engine="kernel", threads=threads).estimator_plan(circuit, operator)
    return {
        "kernel energy": lambda: plan.run(values, shots=None, seed=1),
        "kernel adjoint": lambda: plan.gradient(values),
    }


def aer_estimator(circuit: QuantumCircuit, operator: SparsePauliOp, values: Values) -> dict[str, Callable]:
    from qiskit_aer.primitives import EstimatorV2

    estimator = EstimatorV2(options={"default_precision": 0.0})
    return {"Aer EstimatorV2": lambda: estimator.run([(circuit, operator, values)]).result()[0].data.evs}


def qulacs(circuit: QuantumCircuit, operator: SparsePauliOp, values: Values) -> tuple[dict, dict]:
    if find_spec("qulacs") is None:
        return {}, {}
    from qulacs import Observable, ParametricQuantumCircuit, QuantumState

    size = circuit.num_qubits
    theirs, order = ParametricQuantumCircuit(size), []
    for name, qubits, parameter in _gates(circuit):
        if parameter is None:
            theirs.add_CNOT_gate(*qubits)
        else:
            add = theirs.add_parametric_RY_gate if name == "ry" else theirs.add_parametric_RZ_gate
            add(qubits[0], 0.0)
            order.append(parameter)
    observable = Observable(size)
    for label, coefficient in operator.to_list():
        letters = " ".join(f"{p} {size - 1 - k}" for k, p in enumerate(label) if p != "I")
        observable.add_operator(coefficient.real, letters)
    state = QuantumState(size)

    def bind() -> None:
        for slot, parameter in enumerate(order):
            theirs.set_parameter(slot, -values[parameter])

    def energy() -> float:
        bind()
        state.set_zero_state()
        theirs.update_quantum_state(state)
        return observable.get_expectation_value(state)

    def gradient() -> list[float]:
        bind()
        return theirs.backprop(observable)

    return {"qulacs": energy}, {"qulacs backprop": gradient}


def lightning(circuit: QuantumCircuit, operator: SparsePauliOp, values: Values) -> tuple[dict, dict]:
    """The device itself, on a tape built once: about half of what a QNode costs."""
    if find_spec("pennylane_lightning") is None:
        return {}, {}
    device, config, make_tape = _lightning(circuit, operator)
    tape = make_tape(values)
    return (
        {"lightning": lambda: device.execute([tape])},
        {"lightning adjoint": lambda: device.compute_derivatives([tape], config)},
    )


def lightning_objective(circuit: QuantumCircuit, operator: SparsePauliOp) -> Callable:
    """Energy and adjoint gradient at a point, as an optimizer wants them: one tape a call."""
    device, config, make_tape = _lightning(circuit, operator)
    order = [parameter for _, _, parameter in _gates(circuit) if parameter is not None]

    def objective(point: Values) -> tuple[float, Values]:
        results, slopes = device.execute_and_compute_derivatives([make_tape(point)], config)
        gradient = np.empty(len(order))
        gradient[order] = np.array(slopes[0], dtype=float).reshape(-1)  # the tape has them in gate order
        return float(results[0]), gradient

    return objective


def _lightning(circuit: QuantumCircuit, operator: SparsePauliOp) -> tuple[Any, Any, Callable]:
    import pennylane as qml

    device = qml.device("lightning.qubit", wires=circuit.num_qubits)
    words = [qml.pauli.string_to_pauli_word(label[::-1]) for label, _ in operator.to_list()]
    hamiltonian = qml.Hamiltonian([c.real for _, c in operator.to_list()], words)
    kinds = {"ry": qml.RY, "rz": qml.RZ}
    gates = _gates(circuit)
    config = qml.devices.ExecutionConfig(gradient_method="adjoint", use_device_gradient=True)

    def make_tape(values: Values) -> Any:
        operations = [
            qml.CNOT(qubits) if parameter is None else kinds[name](values[parameter], qubits[0])
            for name, qubits, parameter in gates
        ]
        tape = qml.tape.QuantumScript(operations, [qml.expval(hamiltonian)])
        tape.trainable_params = list(range(circuit.num_parameters))
        return tape

    return device, config, make_tape


def seed_loop(
    circuit: QuantumCircuit, operator: SparsePauliOp, values: Values, backend: Any, shots: int
) -> Callable:
    """What the seed page runs: the client's local mode, one PUB a call."""
    from qiskit_ibm_runtime import EstimatorV2

    estimator = EstimatorV2(mode=backend)
    estimator.options.default_shots = shots
    return lambda: estimator.run([(circuit, operator, values)]).result()[0].data.evs

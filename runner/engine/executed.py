"""Circuits as they are executed: nothing changes them any more, and every name means what qiskit means by it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    BreakLoopOp,
    CircuitInstruction,
    ContinueLoopOp,
    ControlFlowOp,
    Delay,
    Gate,
    Instruction,
    Measure,
    QuantumCircuit,
    Reset,
    Store,
)
from qiskit.circuit.library import (
    DiagonalGate,
    Initialize,
    MCPhaseGate,
    MCXGate,
    PauliGate,
    UnitaryGate,
    get_standard_gate_name_mapping,
)
from qiskit.quantum_info import Clifford

from runner.engine.aer import gate_names
from runner.engine.extent import require_extent
from runner.errors import ConfigError

PLAIN = (Measure, Reset, Barrier, Delay, BreakLoopOp, ContinueLoopOp)
"""Instructions that are nothing but their name, their bits and, for a delay, its duration."""
_BY_NAME = {
    "diagonal": DiagonalGate,
    "initialize": Initialize,
    "kraus": Instruction,
    "mcphase": MCPhaseGate,
    "mcx": MCXGate,
    "pauli": PauliGate,
    "superop": Instruction,
}
"""What Aer executes by its name and its data, if it is of exactly this type and nobody gave it another definition."""
_DEEPEST = 64


def as_executed(circuit: QuantumCircuit, *, _depth: int = 0) -> QuantumCircuit:
    """A copy that no later change of the circuit or of its gates reaches, to be simulated by names.

    Simulators go by names. A gate that has the name of another one, or whose definition was replaced, is written out;
    every other gate that is not one of qiskit's standard gates has its definition fixed, whatever it is worked out
    from (an evolution's synthesis, a random product formula). Sub-circuits that are no gates are written out too, so
    that what they measure and reset is seen.

    Raises:
        ConfigError: a gate is defined by itself, or by parameters that are not its own; or what is repeated in the
            circuit is too much.
    """
    if _depth == 0:
        require_extent(circuit)
    if _depth > _DEEPEST:
        raise ConfigError(f"definitions of gates are nested more than {_DEEPEST} deep; one contains itself")
    if all(is_plain(item) for item in circuit.data):
        return circuit.copy()
    result = circuit.copy_empty_like()
    known: dict[int, tuple[Any, Any]] = {}  # with the operation: a circuit may make a new one at every access
    for item in circuit.data:
        if is_plain(item):
            result._append(item)
            continue
        operation = item.operation
        if id(operation) not in known:
            known[id(operation)] = operation, _settled(item, _depth)
        _place(result, item, known[id(operation)][1])
    for parameter in circuit.parameters:
        if parameter not in result.parameters:  # of a sub-circuit whose definition does not use it
            result.global_phase += 0 * parameter
    return result


def is_plain(item: CircuitInstruction) -> bool:
    """Is this one of qiskit's standard gates, or an instruction without data?"""
    return item.is_standard_gate() or class_of(item.operation) in PLAIN


def class_of(operation: Any) -> type:
    """Its class; qiskit makes singletons of hidden classes out of some instructions."""
    return getattr(operation, "base_class", type(operation))


def is_by_name(operation: Any) -> bool:
    """Do simulators execute this by its name and its data, which say everything about it?"""
    kind = class_of(operation)
    if kind.__module__.startswith("qiskit_aer."):
        return True
    expected = _BY_NAME.get(operation.name)
    if expected is not kind:
        return False
    if getattr(operation, "_definition", None) is None:
        return True
    if expected is Instruction:
        return False
    original = copy.copy(operation)
    original._definition = None
    return bool(operation.definition == original.definition)


def definition_of(operation: Any) -> QuantumCircuit | None:
    """What an operation does in terms of others; None if it does not say.

    It is worked out on a copy: kept in the operation, it would outlive changes of what it is made from.
    """
    if isinstance(operation, AnnotatedOperation | Clifford):
        return _synthesized(operation)
    if getattr(operation, "_definition", None) is not None:
        return operation.definition
    if not isinstance(operation, Instruction):
        return None
    return copy.copy(operation).definition


def matrix_of(operation: Any) -> NDArray | None:
    """The matrix of an operation without definition; None if it has none, or one with parameters."""
    try:
        return np.asarray(operation.to_matrix(), dtype=complex)
    except Exception as error:  # whatever a user's gate raises, it has no matrix
        del error
        return None


def _synthesized(operation: Any) -> QuantumCircuit:
    from qiskit.transpiler import PassManager
    from qiskit.transpiler.passes import HighLevelSynthesis

    circuit = QuantumCircuit(operation.num_qubits)
    circuit.append(operation, circuit.qubits)
    return PassManager([HighLevelSynthesis(qubits_initially_zero=False)]).run(circuit)


def _settled(item: CircuitInstruction, depth: int) -> Any:
    """An operation that nothing changes any more, or the circuit to be put in its place."""
    operation = item.operation
    if type(operation) is UnitaryGate:
        return UnitaryGate(item.matrix, label=item.label, check_input=False)
    if isinstance(operation, ControlFlowOp):
        return operation.replace_blocks([as_executed(block, _depth=depth + 1) for block in operation.blocks])
    if isinstance(operation, Store):
        return operation
    if is_by_name(operation):
        return copy.deepcopy(operation)
    definition = definition_of(operation)
    if definition is None:
        matrix = matrix_of(operation)
        if matrix is None:
            return copy.deepcopy(operation)
        return UnitaryGate(matrix, label=operation.label or operation.name)
    own = _parameters(operation)
    foreign = [parameter.name for parameter in definition.parameters if parameter not in own]
    if foreign:
        raise ConfigError(
            f"the definition of gate {operation.name!r} has parameter {foreign[0]!r}, which is none of the gate's own; "
            "bind it, or make it one of the gate's params"
        )
    inner = as_executed(definition, _depth=depth + 1)
    if not isinstance(operation, Gate | AnnotatedOperation | Clifford) or _is_reserved(operation.name):
        return inner
    gate = Gate(operation.name, operation.num_qubits, own, getattr(operation, "label", None))
    gate.definition = inner
    return gate


def _parameters(operation: Any) -> list[Any]:
    """The parameters of an operation, each once; also those its definition does not use."""
    values = getattr(operation, "params", ())
    return list(dict.fromkeys(p for value in values for p in getattr(value, "parameters", ())))


def _is_reserved(name: str) -> bool:
    """Would the kernel or Aer take an instruction of this name for one of their own?"""
    return name in _STANDARD or name in gate_names() or name.startswith(("save_", "set_"))


_STANDARD = frozenset(get_standard_gate_name_mapping()) | {
    "pauli_product_measurement",
    "pauli_product_rotation",
    "quantum_channel",
}


def _place(result: QuantumCircuit, item: CircuitInstruction, settled: Any) -> None:
    if not isinstance(settled, QuantumCircuit):
        result._append(CircuitInstruction(settled, item.qubits, item.clbits))
        return
    qubits = dict(zip(settled.qubits, item.qubits, strict=True))
    clbits = dict(zip(settled.clbits, item.clbits, strict=True))
    if any(isinstance(inner.operation, ControlFlowOp | Store) for inner in settled.data):
        result.compose(settled, item.qubits, item.clbits, inplace=True)  # conditions move with their bits
        return
    result.global_phase += settled.global_phase
    for inner in settled.data:
        result._append(
            inner.replace(
                qubits=[qubits[bit] for bit in inner.qubits], clbits=[clbits[bit] for bit in inner.clbits]
            )
        )

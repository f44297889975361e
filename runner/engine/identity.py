"""Circuits and observables as texts that two share exactly when the same is executed, and the digests of texts."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from qiskit.circuit import (
    CircuitInstruction,
    Clbit,
    ControlFlowOp,
    Delay,
    Parameter,
    ParameterExpression,
    QuantumCircuit,
    Store,
)
from qiskit.circuit.classical import expr
from qiskit.circuit.library import UnitaryGate

from runner.engine.executed import PLAIN, class_of, definition_of, is_by_name, matrix_of
from runner.engine.extent import length, require_extent

_NAME = r"[^\W\d]\w*(?:\[\d+\])?"
_PLAIN_NAME = re.compile(_NAME)
_NUMBER = r"[\d.]+"
_PLAIN_EXPRESSION = re.compile(
    rf"-?(?:{_NUMBER} [+-] )?(?!1\*)(?:{_NUMBER}\*)?{_NAME}(?:/{_NUMBER})?(?: [+-] {_NUMBER})?"
)
"""A single parameter, scaled and shifted: written by qiskit in one way, however it came about."""
_LISTED = 10_000
"""Indices up to which a loop's range is told like a list of them."""
_FUNCTIONS = {"ADD": "+", "MUL": "*"}
"""Operations whose operands may change places."""


def digest_of(*parts: str) -> str:
    """The digest of canonical texts: the same in every process."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part.encode())
        state.update(b"\x00")
    return state.hexdigest()


def canonical_text(circuit: QuantumCircuit, *, addressed: Collection[str] = ()) -> str:
    """A text that two circuits share exactly when the same is executed.

    Standard gates are told by their names and angles, everything else by what its definition says, whatever its own
    name, class and data are. What can be told neither way gets a text of its own each time, which nothing shares.

    Args:
        circuit: of any instructions.
        addressed: names and labels that mean something by themselves: those that a noise model or a device knows.

    Raises:
        ConfigError: what the definitions say is too many instructions, see `require_extent`.
    """
    require_extent(circuit)
    return "\n".join(_Scribe(circuit.parameters, frozenset(addressed)).lines(circuit))


class _Scribe:
    """Writes a circuit and the definitions in it, over the parameters of the whole."""

    def __init__(self, parameters: Collection[Parameter], addressed: frozenset[str]) -> None:
        self._addressed = addressed
        self._names = {
            parameter: parameter.name if _PLAIN_NAME.fullmatch(parameter.name) else f"#{index}"
            for index, parameter in enumerate(parameters)
        }
        self._all_plain = all(not name.startswith("#") for name in self._names.values())
        self._definitions: dict[int, tuple[Any, str]] = {}

    def lines(self, circuit: QuantumCircuit) -> Iterator[str]:
        """One line per register, variable and instruction."""
        parameters = circuit.parameters
        qubit_index = {bit: index for index, bit in enumerate(circuit.qubits)}
        clbit_index = {bit: index for index, bit in enumerate(circuit.clbits)}
        plain = self._all_plain and all(parameter in self._names for parameter in parameters)
        yield f"circuit {circuit.num_qubits} {circuit.num_clbits} phase {self._value(circuit.global_phase, plain)}"
        for register in circuit.cregs:
            yield f"creg {register.name} {[clbit_index[bit] for bit in register]}"
        yield from _variables(circuit)
        yield f"parameters {[parameter.name for parameter in parameters]}"
        addressed, value = self._addressed, self._value
        for item in circuit.data:
            qubits = [qubit_index[bit] for bit in item.qubits]
            if item.is_standard_gate():
                angles = [repr(v) if type(v) is float else value(v, plain) for v in item.params]
                label = f" {item.label!r}" if addressed and item.label in addressed else ""
                yield f"{item.name} {qubits} [] {','.join(angles)}{label}"
            else:
                clbits = [clbit_index[bit] for bit in item.clbits]
                yield self._special(item, f"{qubits} {clbits}", clbit_index, plain)

    def _special(
        self, item: CircuitInstruction, bits: str, clbit_index: dict[Clbit, int], plain: bool
    ) -> str:
        operation = item.operation
        if class_of(operation) in PLAIN:
            text = ",".join(self._value(value, plain) for value in operation.params)
            unit = operation.unit if isinstance(operation, Delay) else ""
            return f"{item.name} {bits} {text} {unit} {self._called(operation)}"
        if type(operation) is UnitaryGate:
            return f"unitary {bits} {self._value(item.matrix)}  {self._called(operation)}"
        if isinstance(operation, ControlFlowOp):
            return f"{operation.name} {bits} {self._control_flow(operation, clbit_index)}"
        if isinstance(operation, Store):
            both = (_condition(side, clbit_index) for side in (operation.lvalue, operation.rvalue))
            return f"store {bits} {'='.join(both)}"
        if id(operation) not in self._definitions:
            self._definitions[id(operation)] = operation, self._definition(operation)
        return f"{self._definitions[id(operation)][1]} {bits}"

    def _called(self, operation: Any) -> str:
        """Its name and label as far as somebody goes by them."""
        names = (operation.name, getattr(operation, "label", None))
        return " ".join(repr(name) for name in names if name in self._addressed) if self._addressed else ""

    def _definition(self, operation: Any) -> str:
        """What an operation does: by its data if they say everything, else by its definition, else by its matrix."""
        called = self._called(operation)
        if not is_by_name(operation):
            definition = definition_of(operation)
            if definition is not None:
                return f"gate {called} {{{self._nested(definition)}}}"
            matrix = matrix_of(operation)
            if matrix is not None:
                return f"matrix {called} {self._value(matrix)}"
        data = [*operation.params, *_channel(operation)]
        return f"named {operation.name!r} {called} {self._value(data)}"

    def _nested(self, circuit: QuantumCircuit) -> str:
        return digest_of("\n".join(self.lines(circuit)))

    def _control_flow(self, operation: ControlFlowOp, clbit_index: dict[Clbit, int]) -> str:
        condition = getattr(operation, "condition", getattr(operation, "target", None))
        blocks = [self._nested(block) for block in operation.blocks]
        loop = [self._value(value) for value in operation.params if not isinstance(value, QuantumCircuit)]
        cases = getattr(operation, "cases_specifier", None)
        labels = [str(values) for values, _ in cases()] if cases else []
        rest = [self._value(getattr(operation, name, None)) for name in ("duration", "unit", "annotations")]
        return f"{_condition(condition, clbit_index)} {loop} {labels} {rest} {blocks}"

    def _value(self, value: Any, plain: bool = False) -> str:
        """A value as text that tells any two apart."""
        if isinstance(value, ParameterExpression):
            return self._expression(value, plain)
        if isinstance(value, float | np.floating):
            return repr(float(value))
        if value is None or isinstance(value, bool | np.bool_ | int | np.integer):
            return str(value)
        if isinstance(value, complex | np.complexfloating):
            return repr(complex(value))
        if isinstance(value, str | bytes):
            return repr(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, range) and length(value) > _LISTED:
            return f"range({value.start},{value.stop},{value.step})"
        if isinstance(value, list | tuple | range):
            return f"[{','.join(self._value(part, plain) for part in value)}]"
        if isinstance(value, dict):
            return f"{{{','.join(f'{key!r}:{self._value(part, plain)}' for key, part in value.items())}}}"
        if isinstance(value, QuantumCircuit):
            return f"{{{self._nested(value)}}}"
        if isinstance(value, expr.Expr):
            return _condition(value, {})
        return f"unknown {uuid.uuid4().hex}"

    def _array(self, value: np.ndarray) -> str:
        if value.dtype.kind not in "bfc":
            return f"array{value.shape}{self._value(value.tolist())}"
        data = np.ascontiguousarray(value, dtype=complex)
        return f"array{data.shape}{hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()}"

    def _expression(self, value: ParameterExpression, plain: bool) -> str:
        """An angle; the same also when it was copied by value, which makes qiskit write some another way."""
        if isinstance(value, Parameter):
            return self._name(value)
        if plain:
            text = str(value)
            if _PLAIN_EXPRESSION.fullmatch(text):
                return text
        return self._replayed(value)

    def _name(self, parameter: Parameter) -> str:
        """A parameter of the circuit by its name, any other, such as a loop's, by when it was first met."""
        if parameter not in self._names:
            self._names[parameter] = f"#{len(self._names)}"
        return self._names[parameter]

    def _replayed(self, value: ParameterExpression) -> str:
        """The operations that an expression is made of, as QPY stores them; an operand of None is the last result."""
        if not value.parameters:
            return repr(complex(value)) if complex(value).imag else repr(float(value))
        results: list[str] = []
        for step in value._qpy_replay:
            function = str(step.op).rpartition(".")[2]
            operands = [self._operand(step.rhs, results), self._operand(step.lhs, results)][::-1]
            if function in _FUNCTIONS:
                operands.sort()
            neutral = {"MUL": "1.0", "ADD": "0.0"}.get(function)
            rest = [operand for operand in operands if operand != neutral]
            if neutral is not None and len(rest) == 1:
                results.append(rest[0])
            elif function == "MUL" and operands[0] == "-1.0" and _PLAIN_NAME.fullmatch(operands[1]):
                results.append(f"-{operands[1]}")
            else:
                results.append(f"{function}({','.join(operands)})")
        return "|".join(results)

    def _operand(self, value: Any, results: list[str]) -> str:
        if value is None:
            return results.pop() if results else ""
        if isinstance(value, ParameterExpression):
            return self._expression(value, False)
        number = complex(value)
        return repr(number) if number.imag else repr(number.real + 0.0)


def _channel(operation: Any) -> list[Any]:
    """What an Aer channel is made of; it has no params, and an id that is random."""
    error = getattr(operation, "_quantum_error", None)
    return [] if error is None else [value for key, value in error.to_dict().items() if key != "id"]


def _variables(circuit: QuantumCircuit) -> Iterator[str]:
    for kind in ("input", "captured", "declared"):
        for variable in getattr(circuit, f"iter_{kind}_vars")():
            yield f"var {kind} {variable.name!r} {variable.type}"
    for stretch in circuit.iter_stretches():
        yield f"stretch {stretch.name!r}"


def _condition(condition: Any, clbit_index: dict[Clbit, int]) -> str:
    """A classical condition or expression without object addresses."""
    if condition is None:
        return "none"
    if isinstance(condition, tuple):
        return f"{_condition(condition[0], clbit_index)}=={int(condition[1])}"
    if isinstance(condition, Clbit):
        return f"bit{clbit_index[condition]}"
    if isinstance(condition, expr.Var):
        inside = repr(condition.name) if condition.standalone else _condition(condition.var, clbit_index)
        return f"Var({inside}, {condition.type})"
    if isinstance(condition, expr.Expr):
        slots = ("op", "operand", "left", "right", "target", "index", "value", "name")
        inner = [
            _condition(getattr(condition, slot), clbit_index) for slot in slots if hasattr(condition, slot)
        ]
        return f"{type(condition).__name__}({', '.join(inner)}, {condition.type})"
    name = getattr(condition, "name", None)
    return repr(condition) if name is None else repr(name)

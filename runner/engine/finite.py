"""Angles are finite numbers: asked of a circuit when it is compiled, and of its expressions at every set of values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ForLoopOp, Parameter, ParameterExpression, QuantumCircuit
from qiskit.circuit.exceptions import CircuitError

from runner.declare.checks import shorten
from runner.engine.expressions import Angles
from runner.errors import ConfigError, NumericalError

FEW = 256
"""So many values are looked at in Python faster than in NumPy."""

_FAILURES = (CircuitError, TypeError, ValueError, ArithmeticError)
"""What an expression raises at values where it is no real number."""


class FiniteAngles:
    """The angles of a circuit, as far as they may be something else than finite.

    Args:
        circuit: as executed, small loops written out.
        parameters: in the order values are given in.

    Raises:
        ConfigError: an angle, or a number of a matrix, is not finite whatever the values are.
    """

    def __init__(self, circuit: QuantumCircuit, parameters: Sequence[Parameter]) -> None:
        self._parameters = list(parameters)
        known = set(self._parameters)
        named: dict[tuple[str, frozenset[Parameter]], tuple[ParameterExpression, str]] = {}
        for name, value in _numbers(circuit, {}, set()):
            if isinstance(value, ParameterExpression) and value.parameters:
                if value.parameters <= known:  # by its text: not every expression of Qiskit's can be hashed
                    named.setdefault((str(value), frozenset(value.parameters)), (value, name))
            elif not _is_finite(value):
                raise ConfigError(f"an angle of {shorten(repr(name), 60)} is not finite; correct it")
        self._named = list(named.values())

    @cached_property
    def _angles(self) -> Angles:
        try:
            return Angles(self._parameters, [expression for expression, _ in self._named])
        except _FAILURES as error:
            raise ConfigError(f"an angle of the circuit cannot be computed: {error}") from error

    def _certainly(self, values: NDArray[np.float64]) -> bool:
        """Whether all is finite by a bound that costs next to nothing; False says nothing.

        No value is larger by amount than √Σv², which is not finite where one of them is not.
        """
        if not 0 < values.size <= FEW or (self._named and self._angles.nonlinear):
            return False
        largest = math.hypot(*values.ravel().tolist())
        return math.isfinite(self._angles.bound(largest) if self._named else largest)

    def require(self, values: NDArray[np.float64]) -> None:
        """Refuse parameter sets (*batch, P) at which an angle is not finite.

        Raises:
            NumericalError: one is, or a value itself is not.
        """
        if self._certainly(values):
            return
        if not np.isfinite(values).all():
            raise NumericalError("parameter values must be finite numbers, got nan or infinity; correct them")
        if not self._named or not values.size:
            return
        try:
            row = self._angles.first_infinite(values.reshape(-1, len(self._parameters)))
        except _FAILURES as error:
            told = shorten(" ".join(str(error).split()), 60)
            raise NumericalError(
                f"an angle is no real number at these values: {told}; change them"
            ) from error
        if row is not None:
            expression, name = self._named[row]
            raise NumericalError(
                f"an angle of {shorten(repr(name), 40)} is not finite at these values: "
                f"{shorten(' '.join(str(expression).split()), 60)}; change them"
            )


def _numbers(
    circuit: QuantumCircuit, indices: Mapping[Parameter, int], seen: set[int]
) -> Iterator[tuple[str, Any]]:
    """Everything that gates are made of, with the gate's name; definitions that gates share, once."""
    yield "the global phase", circuit.global_phase
    for item in circuit.data:
        operation = None if item.is_standard_gate() else item.operation
        for value in item.params:
            if not isinstance(value, QuantumCircuit):
                yield item.name, _at(value, indices)
        definition = getattr(operation, "_definition", None)
        if definition is not None and id(definition) not in seen:
            seen.add(id(definition))
            yield from _numbers(definition, indices, seen)
        if isinstance(operation, ForLoopOp):
            loop, variable, body = operation.params
            largest = max((loop[0], loop[-1]), key=abs) if isinstance(loop, range) and loop else 0
            largest = largest if isinstance(loop, range) else max(loop, key=abs, default=0)
            inner = {**indices, variable: largest} if isinstance(variable, Parameter) else indices
            yield from _numbers(body, inner, seen)
        else:
            for block in getattr(operation, "blocks", ()):
                yield from _numbers(block, indices, seen)


def _at(value: Any, indices: Mapping[Parameter, int]) -> Any:
    """An expression of a loop's variable, where that is largest."""
    if not indices or not isinstance(value, ParameterExpression):
        return value
    return value.bind({one: index for one, index in indices.items() if one in value.parameters})


def _is_finite(value: Any) -> bool:
    if isinstance(value, ParameterExpression):
        return bool(np.isfinite(complex(value)))
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fc":
        return True
    if isinstance(value, float | complex | np.floating | np.complexfloating | np.ndarray):
        return bool(np.isfinite(value).all())
    return True

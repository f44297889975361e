"""Angles that are no finite numbers, and circuits that repetitions blow up, are refused first (K14)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import AnnotatedOperation, ForLoopOp, Parameter, PowerModifier
from qiskit.circuit.library import PauliEvolutionGate, XGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import LieTrotter

from runner.engine import Engine
from runner.errors import ConfigError, NumericalError

P = Parameter("p")
ENGINE = Engine()


def turned(angle: Any, *, inside: bool = False) -> QuantumCircuit:
    """√X, a turn about z, √X, measured; the turn may hide in a gate's definition."""
    turn = QuantumCircuit(1)
    turn.rz(angle, 0)
    circuit = QuantumCircuit(2, 1)
    circuit.sx(0)
    if inside:
        circuit.append(turn.to_gate(), [0])
    else:
        circuit.compose(turn, [0], inplace=True)
    circuit.sx(0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("angle", [math.nan, math.inf, -math.inf])
def test_constant_angles_that_are_not_finite_are_refused(angle: float, inside: bool) -> None:
    """IEEE 754 has no rotation by infinity: neither primitive gives a number for one, wherever it stands."""
    with pytest.raises(ConfigError, match="an angle of 'rz' is not finite"):
        ENGINE.sampler_plan(turned(angle, inside=inside))
    with pytest.raises(ConfigError, match="an angle of 'rz' is not finite"):
        ENGINE.estimator_plan(turned(angle, inside=inside), "IZ")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (P * 1e308 * 1e10, 1.0), (P * 1e10, 1e300), (P.exp(), 1000.0), (1 / P, 0.0), (P.log(), -1.0), (P * P, 1e200),
        (P, math.nan), (P, math.inf),
    ],
)  # fmt: skip
def test_expressions_that_become_infinite_are_refused(expression: Any, value: float) -> None:
    """Overflow, a pole, the logarithm of a negative number, and values that are none: refused at these values."""
    values = np.array([[0.5], [value]])
    with pytest.raises(NumericalError, match=r"finite|no real number"):
        ENGINE.sampler_plan(turned(expression)).run(values, shots=10, seed=1)
    with pytest.raises(NumericalError, match=r"finite|no real number"):
        ENGINE.estimator_plan(turned(expression), "IZ").run(values, shots=None, seed=1)


def test_the_same_expressions_are_evaluated_where_they_are_finite() -> None:
    """⟨Z⟩ after √X, Rz(θ), √X is −cos θ."""
    found = ENGINE.estimator_plan(turned(P.exp()), "IZ").run(np.array([[0.5]]), shots=None, seed=1).evs

    np.testing.assert_allclose(found, -np.cos(np.exp(0.5)), atol=1e-12)


def loop(indices: range, deep: int = 1) -> QuantumCircuit:
    """A flip in loops."""
    body = QuantumCircuit(2, 1)
    body.x(0)
    for _ in range(deep):
        outer = QuantumCircuit(2, 1)
        outer.append(ForLoopOp(indices, None, body), [0, 1], [0])
        body = outer
    body.measure(0, 0)
    return body


def of(operation: Any) -> QuantumCircuit:
    """A circuit of one operation on both qubits, measured."""
    circuit = QuantumCircuit(2, 1)
    circuit.append(operation, circuit.qubits[: operation.num_qubits])
    circuit.measure(0, 0)
    return circuit


TROTTER = PauliEvolutionGate(SparsePauliOp(["XX", "ZZ"]), 1.0, synthesis=LieTrotter(reps=10**9))


@pytest.mark.parametrize(
    "circuit",
    [
        loop(range(10**7)), loop(range(10**9)), loop(range(0, -(10**9), -1)), loop(range(100), 9),
        of(AnnotatedOperation(XGate(), [PowerModifier(10**9)])), of(TROTTER),
    ],
    ids=["millions", "billion", "backwards", "nested", "power", "trotter"],
)  # fmt: skip
def test_what_is_expanded_by_count_is_counted_first(circuit: QuantumCircuit) -> None:
    """10⁷ to 10¹⁸ instructions in a few bytes: refused in much less than the time to write them out (K14, K18)."""
    with pytest.raises(ConfigError, match="instructions when written out, more than"):
        ENGINE.sampler_plan(circuit)


def test_short_loops_are_carried_out() -> None:
    """An odd number of flips."""
    bits = ENGINE.sampler_plan(loop(range(20_001))).run(np.zeros(0), shots=3, seed=1)["c"]

    assert bits.get_counts() == {"1": 3}


@pytest.mark.parametrize("values", [[1e200, 1e200], [1.7e308, -1.7e308], [0.0, 5e-324]])
def test_large_values_that_are_finite_are_taken(values: list[float]) -> None:
    """The square of 1e200 is no finite number, 1e200 is one; 1.7e308 + 1.7e308 is none."""
    first, second = Parameter("a"), Parameter("b")
    alone = QuantumCircuit(1)
    alone.rz(first, 0)
    alone.rz(second, 0)
    together = QuantumCircuit(1)
    together.rz(first - second, 0)
    plans = [ENGINE.estimator_plan(circuit, SparsePauliOp("Z")) for circuit in (alone, together)]

    plans[0].require_finite(np.array(values))
    if math.isfinite(values[0] - values[1]):
        plans[1].require_finite(np.array(values))
    else:
        with pytest.raises(NumericalError):
            plans[1].require_finite(np.array(values))
    for one in (math.nan, math.inf):
        with pytest.raises(NumericalError, match="finite numbers"):
            plans[0].require_finite(np.array([values[0], one]))

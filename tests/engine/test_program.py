"""The kernel's rewriting of circuits: the rules for one-qubit runs, and what becomes of common circuits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import Parameter, ParameterExpression, QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import random_unitary

from runner.engine.kernel.program import _matrix, _zyz, compile_program, simplified

TURNS = [0.0, math.pi / 2, -math.pi / 2, math.pi, 0.3, 1e-9, 3 * math.pi]


def product(items: list, value: float) -> np.ndarray:
    """The matrix of rotations in order of time, parameters bound to `value`."""
    result = np.eye(2)
    for kind, angle in items:
        if isinstance(angle, ParameterExpression):
            angle = float(angle.bind_all(dict.fromkeys(angle.parameters, value)))
        result = _matrix(kind, angle) @ result
    return result


def same_up_to_phase(left: np.ndarray, right: np.ndarray) -> bool:
    """|tr(A†B)| = 2 exactly when A and B are equal up to a phase."""
    return bool(abs(abs(np.trace(left.conj().T @ right)) - 2) < 1e-12)


@given(st.integers(0, 10_000), st.floats(-16, 0))
def test_zyz_of_any_unitary(seed: int, exponent: float) -> None:
    """Three rotations give back the unitary, also when it is within 1e-16 … 1 of a diagonal one."""
    matrix = random_unitary(2, seed=seed).data
    small = _matrix("y", 10**exponent)
    near_diagonal = _matrix("z", 0.3) @ small @ _matrix("z", -1.1)

    assert same_up_to_phase(product(_zyz(matrix), 0.0), matrix)
    np.testing.assert_allclose(
        np.abs(product(_zyz(near_diagonal), 0.0).conj().T @ near_diagonal), np.eye(2), atol=1e-14
    )


@given(
    st.lists(st.tuples(st.sampled_from("yz"), st.sampled_from([*TURNS, "p"])), max_size=7), st.floats(-3, 3)
)
def test_simplified_runs_are_the_same_operation(items: list, value: float) -> None:
    """Merging, conjugation and half turns change nothing but a phase."""
    parameter = Parameter("p")
    run = [(kind, parameter if angle == "p" else angle) for kind, angle in items]

    assert same_up_to_phase(product(simplified(run), value), product(run, value))


def test_isa_rotations_cost_one_layer() -> None:
    """The run rz sx rz(θ) sx rz that devices make of every rotation becomes one y rotation."""
    angle = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rz(0.1, 0)
    circuit.sx(0)
    circuit.rz(angle, 0)
    circuit.sx(0)
    circuit.rz(0.2, 0)
    program = compile_program(circuit)

    assert len(program.rotation_qubit) == 1


@pytest.mark.parametrize("entanglement", ["linear", "reverse_linear", "full", "circular"])
def test_entangling_layers_cost_one_permutation(entanglement: str) -> None:
    """efficient_su2 with two repetitions has three stages, whatever its CX pattern."""
    program = compile_program(efficient_su2(6, reps=2, entanglement=entanglement))

    assert program.num_stages >= 3
    assert len(program.rotation_qubit) == 18
    if entanglement in ("full", "reverse_linear"):
        assert program.num_stages == 3

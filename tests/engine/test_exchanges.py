"""Gates of several controls, which exchange amplitudes or turn the phases of corners: against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import C3XGate, MCXGate
from qiskit.quantum_info import SparsePauliOp, Statevector

from runner.engine import Engine
from runner.engine.kernel import state_vector
from runner.engine.kernel.program import compile_program
from runner.engine.kernel.state_vector import StateVectorKernel
from tests.engine.strategies import heisenberg

REAL = ("x", "cx", "swap", "ccx", "cswap", "mcx", "open", "turned", "ry", "h")
ALL = (*REAL, "ccz", "mcp", "rx", "rz", "cz", "rzz", "rxx", "t")
TURNED = ("ry", "rx", "rz", "rzz", "rxx", "mcp")


@st.composite
def reversible(draw: st.DrawFn, kinds: tuple[str, ...]) -> QuantumCircuit:
    """Gates that permute basis states, and others; `turned` is one between Hadamard gates, `open` has open controls."""
    size = draw(st.integers(3, 7))
    circuit = QuantumCircuit(size)
    circuit.ry(0.4, range(size))
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=25))):
        where = draw(st.permutations(range(size)))
        *controls, target = where[: draw(st.integers(3, size))]
        angle = Parameter(f"a{number}")
        if kind == "mcx":
            circuit.mcx(controls, target)
        elif kind == "mcp":
            circuit.mcp(angle, controls, target)
        elif kind == "open":
            circuit.ccx(*where[:3], ctrl_state=draw(st.integers(0, 3)))
        elif kind == "turned":
            circuit.h(target)
            circuit.mcx(controls, target)
            circuit.h(target)
        elif kind in ("ccx", "cswap", "ccz"):
            getattr(circuit, kind)(*where[:3])
        else:
            count = 2 if kind in ("cx", "swap", "cz", "rzz", "rxx") else 1
            getattr(circuit, kind)(*([angle] if kind in TURNED else []), *where[:count])
    return circuit


@given(reversible(ALL))
@settings(max_examples=25)
def test_exchanges_and_corners_against_dense_algebra(circuit: QuantumCircuit) -> None:
    """Energies by qiskit's dense state; derivatives by its parameter shifts, all gates having one frequency."""
    operator = heisenberg(circuit.num_qubits)
    point = np.linspace(-2.8, 2.9, circuit.num_parameters)

    def energy(values: np.ndarray) -> float:
        return Statevector(circuit.assign_parameters(values)).expectation_value(operator).real

    shifts = 0.5 * np.pi * np.eye(len(point))
    expected = [(energy(point + shift) - energy(point - shift)) / 2 for shift in shifts]
    plan = Engine(engine="kernel").estimator_plan(circuit, operator)
    evs, gradient = plan.gradient(point) if len(point) else (plan.run([], shots=None, seed=1).evs, [])

    assert evs == pytest.approx(energy(point), abs=1e-12)
    np.testing.assert_allclose(gradient, expected, atol=1e-11)


@given(reversible(REAL))
@settings(max_examples=10)
def test_real_amplitudes_against_dense_algebra(circuit: QuantumCircuit) -> None:
    """Without a phase the imaginary parts are left out: qiskit's probabilities, of one qubit measured in y."""
    size = circuit.num_qubits
    point = np.linspace(-2.8, 2.9, circuit.num_parameters)
    turned = circuit.assign_parameters(point)
    turned.sdg(0)
    turned.h(0)
    kernel = StateVectorKernel(circuit, list(circuit.parameters))

    bases = [[(qubit, "Y" if qubit == 0 else "Z") for qubit in range(size)]]
    (found,) = kernel.probabilities(point[None], bases)
    np.testing.assert_allclose(found[0], Statevector(turned).probabilities(), atol=1e-13)


@pytest.mark.parametrize("controls", [3, 5, 9])
def test_many_controls_are_one_exchange(controls: int) -> None:
    """X with so many controls acts on two basis states: the probability of |1…1⟩ is that of all but the target."""
    circuit = QuantumCircuit(controls + 1)
    for qubit in range(controls):
        circuit.ry(0.5 + 0.2 * qubit, qubit)
    gate = C3XGate() if controls == 3 else MCXGate(controls)
    circuit.append(gate, range(controls + 1))
    program = compile_program(circuit)
    (found,) = StateVectorKernel(circuit, []).probabilities(
        np.zeros((1, 0)), [[(q, "Z") for q in range(controls + 1)]]
    )

    expected = np.prod(np.sin(0.25 + 0.1 * np.arange(controls)) ** 2)
    assert found[0, -1] == pytest.approx(expected, abs=1e-14)
    assert (program.num_stages, len(program.exchange_mask)) == (1, 1)


def test_a_search_takes_each_gate_whole() -> None:
    """Grover's iterations turn the marked state's amplitude by twice the angle whose sine is 2^(-n/2) each."""
    size, times = 7, 4
    circuit = QuantumCircuit(size)
    circuit.h(range(size))
    for _ in range(times):
        for flipped in ([], range(size)):
            if flipped:
                circuit.h(flipped)
                circuit.x(flipped)
            circuit.h(size - 1)
            circuit.mcx(list(range(size - 1)), size - 1)
            circuit.h(size - 1)
            if flipped:
                circuit.x(flipped)
                circuit.h(flipped)
    program = compile_program(circuit)
    (found,) = StateVectorKernel(circuit, []).probabilities(
        np.zeros((1, 0)), [[(q, "Z") for q in range(size)]]
    )

    angle = np.arcsin(2 ** (-size / 2))
    assert found[0, -1] == pytest.approx(np.sin((2 * times + 1) * angle) ** 2, abs=1e-13)
    assert len(program.exchange_mask) + len(program.corner_mask) == 2 * times
    assert not len(program.parity_mask)


def test_several_threads_exchange_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide state's exchanges and corners by two threads: the bits of one."""
    size = 16
    monkeypatch.setattr(state_vector, "LEAST_QUBITS", size)
    angle = Parameter("a")
    circuit = QuantumCircuit(size)
    for _ in range(2):
        circuit.ry(angle, range(size))
        circuit.ccx(0, size - 1, 1)
        circuit.cswap(4, 2, size - 2)
        circuit.mcp(angle, [1, 5, 9], size - 3)
        circuit.cx(3, 4)
    x, z = np.zeros((2, size), dtype=bool), np.zeros((2, size), dtype=bool)
    x[0, [0, size - 1]] = z[1, :3] = True
    energies = [
        StateVectorKernel(circuit, [angle], x, z, np.ones((1, 2)), threads=threads).energies(
            np.array([[0.7]])
        )
        for threads in (1, 2)
    ]
    operator = SparsePauliOp.from_sparse_list([("XX", [0, size - 1], 1), ("ZZZ", [0, 1, 2], 1)], size)

    expected = Statevector(circuit.assign_parameters([0.7])).expectation_value(operator).real
    assert energies[0].tobytes() == energies[1].tobytes()
    assert energies[0][0, 0] == pytest.approx(expected, abs=1e-12)


def test_repeated_exchanges_are_carried_on() -> None:
    """Twelve repetitions of ccx and ccz on a basis state, which `dynamics` carries on: qiskit's probabilities."""
    circuit = QuantumCircuit(5)
    circuit.ry(0.3, range(5))
    circuit.ccx(0, 2, 4)
    circuit.ccz(1, 3, 4)
    circuit.rx(0.2, range(5))
    kernel = StateVectorKernel(circuit, [], from_zero=False)
    state = kernel.basis_state(5)
    kernel.carry_on(state, 12)

    expected = Statevector.from_int(5, 32).evolve(circuit.repeat(12).decompose()).probabilities()
    np.testing.assert_allclose(state[:32] ** 2 + state[32:] ** 2, expected, atol=1e-13)

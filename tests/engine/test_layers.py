"""Layers of diagonal gates in one pass: against dense algebra, and runs from before they took one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from runner import compose, resume, run
from runner.engine import Engine
from runner.engine.kernel import program
from runner.record.events import Evaluation
from runner.record.journal import read_journal
from runner.run.preflight import Preparation
from tests.engine.strategies import heisenberg

DIAGONAL = ("rzz", "cp", "crz", "rz", "string")
Builder = Callable[[list], QuantumCircuit]


@st.composite
def layered(draw: st.DrawFn) -> tuple[int, Builder, list[tuple[float, int, float]]]:
    """Qubits, a circuit as a function of the angles of its diagonal gates, and angle k as a·θ_j + b."""
    size = draw(st.integers(2, 9))
    number = st.sampled_from([-1.3, -0.5, 0.0, 0.7, 1.0, 2.0])
    gates, angles = [], []
    for _ in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(DIAGONAL))
        where = draw(st.permutations(range(size)))
        gates.append((kind, where[: draw(st.integers(2, size))]))
        angles.append((draw(number), draw(st.integers(0, 2)), draw(number)))
    breaks = draw(st.sets(st.integers(0, len(gates))))

    def build(values: list) -> QuantumCircuit:
        circuit = QuantumCircuit(size)
        for qubit in range(size):
            circuit.u(0.4 + qubit, 0.3 - 0.2 * qubit, 0.1, qubit)
        for place, ((kind, where), value) in enumerate(zip(gates, values, strict=True)):
            if place in breaks:
                circuit.rx(0.7, range(size))
            _diagonal(circuit, kind, where, value)
        circuit.ry(0.9, range(size))
        return circuit

    return size, build, angles


def _diagonal(circuit: QuantumCircuit, kind: str, where: list[int], value: object) -> None:
    """One gate; a string is exp(-i value/2 Z…Z), written with CX."""
    if kind == "rz":
        circuit.rz(value, where[0])
    elif kind == "string":
        chain = list(itertools.pairwise(where))
        for pair in chain:
            circuit.cx(*pair)
        circuit.rz(value, where[-1])
        for pair in reversed(chain):
            circuit.cx(*pair)
    else:
        getattr(circuit, kind)(value, *where[:2])


@given(layered())
@settings(max_examples=15)
def test_layers_against_dense_algebra(case: tuple) -> None:
    """Energies by qiskit's dense state, derivatives by its parameter shifts, gate by gate (CRZ has four)."""
    size, build, angles = case
    theta = ParameterVector("θ", 3)
    point = np.array([0.3, -1.1, 0.8])
    circuit = build([scale * theta[which] + offset for scale, which, offset in angles])
    operator = heisenberg(size)
    bound = [scale * point[which] + offset for scale, which, offset in angles]

    def energy(values: list[float]) -> float:
        return Statevector(build(values)).expectation_value(operator).real

    def difference(k: int, shift: float) -> float:
        up, down = ([*bound[:k], bound[k] + s, *bound[k + 1 :]] for s in (shift, -shift))
        return (energy(up) - energy(down)) / 2

    # frequencies 1/2 and 1 of CRZ: the four-term rule of Anselmetti et al. 2021, right for the other gates too
    root = np.sqrt(2)
    expected = np.zeros(3)
    for k, (scale, which, _) in enumerate(angles):
        slope = (root + 1) / (2 * root) * difference(k, np.pi / 2)
        slope -= (root - 1) / (2 * root) * difference(k, 3 * np.pi / 2)
        expected[which] += scale * slope
    values = [point[parameter.index] for parameter in circuit.parameters]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_LAYER_WORK", 0)
        evs, gradient = Engine(engine="kernel").estimator_plan(circuit, operator).gradient(np.array(values))

    assert evs == pytest.approx(energy(bound), abs=1e-12)
    used = [parameter.index for parameter in circuit.parameters]
    np.testing.assert_allclose(gradient, expected[used], atol=1e-11)


@pytest.mark.parametrize("size", [10, 13])
def test_wide_layers_are_found_and_sampled(size: int, rng: np.random.Generator) -> None:
    """A layer of every pair with an angle of its own: probabilities of qiskit's dense state to 1e-13."""
    pairs = [(a, b) for a in range(size) for b in range(a)]
    circuit = QuantumCircuit(size)
    circuit.h(range(size))
    for (a, b), angle in zip(pairs, rng.uniform(-3, 3, len(pairs)), strict=True):
        circuit.rzz(angle, a, b)
    circuit.rx(1.1, range(size))
    compiled = program.compile_program(circuit)
    kernel = Engine(engine="kernel").estimator_plan(circuit, heisenberg(size))._kernel

    (found,) = kernel.probabilities(np.zeros((1, 0)), [[(qubit, "Z") for qubit in range(size)]])

    assert compiled.layers[:, 0].any()
    np.testing.assert_allclose(found[0], Statevector(circuit).probabilities(), atol=1e-13)


def test_half_turns_between_layers() -> None:
    """Turns by π and almost π, whose cosine is not divided by, and steps like the one before: qiskit's dense state."""
    size = 9
    circuit = QuantumCircuit(size)
    angle = ParameterVector("θ", 4)
    circuit.h(range(size))
    for layer, strength in enumerate((0.3, 1.3, 1.3, 0.4)):
        for qubit in range(size):
            circuit.rzz(strength, qubit, (qubit + 1) % size)
        circuit.rx(angle[layer], range(size))
    for values in ([np.pi, 1e-9 + np.pi, 0.4, 0.4], [1e-5 - np.pi, -2.9, 3 * np.pi, 0.1], [0.7] * 4):
        plan = Engine(engine="kernel").estimator_plan(circuit, heisenberg(size))
        bound = Statevector(circuit.assign_parameters(values))

        assert plan.run(np.array(values), shots=None, seed=1).evs == pytest.approx(
            bound.expectation_value(heisenberg(size)).real, abs=1e-12
        )


def test_fewer_phases_than_a_layer_round_as_ever() -> None:
    """Circuits without layers give the same bits with and without them: small ones, and one pair of gates."""
    small, few = QuantumCircuit(5), QuantumCircuit(11)
    for circuit in (small, few):
        circuit.rx(0.3, range(circuit.num_qubits))
        circuit.rzz(0.4, 0, 1)
        circuit.rx(0.5, range(circuit.num_qubits))
        circuit.rz(0.2, range(circuit.num_qubits))
        circuit.rx(0.7, range(circuit.num_qubits))
        operator = SparsePauliOp("ZX" + "I" * (circuit.num_qubits - 3) + "Y")
        energies = [
            Engine(engine="kernel", fused=fused)
            .estimator_plan(circuit, operator)
            .run([], shots=None, seed=1)
            .evs
            for fused in (True, False)
        ]

        assert energies[0] == energies[1]


def test_a_run_goes_on_with_the_passes_it_was_begun_with(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One begun before layers took one pass is resumed without, to the same bits."""
    typed = (
        "hamiltonian=tfim",
        "hamiltonian.shape=[10]",
        "ansatz=hva",
        "optimizer=spsa",
        "estimator=exact",
        "optimizer.iterations=6",
    )
    with monkeypatch.context() as then:
        for module in ("runner.run.execution", "runner.record.replay"):
            then.setattr(import_module(module), "IDENTITY", 4)
        usual = Preparation.__init__.__kwdefaults__
        then.setattr(Preparation.__init__, "__kwdefaults__", {**usual, "identity": 4})
        run(compose(*typed, "tracking=off", "run.figures=false"), directory="whole")
    lines = Path("whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("part").mkdir()
    Path("part/journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 3]))

    resume("part")
    run(compose(*typed, "tracking=off", "run.figures=false"), directory="since")

    numbers = [
        [
            event.energy
            for event in read_journal(Path(name, "journal.jsonl")).events
            if isinstance(event, Evaluation)
        ]
        for name in ("whole", "part", "since")
    ]
    assert len(numbers[0]) > 6
    assert numbers[0] == numbers[1]
    assert numbers[0] != numbers[2]
    assert numbers[0][:6] == pytest.approx(numbers[2][:6], abs=1e-9)

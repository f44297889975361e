"""Echoes in waits: what drifting frequencies take away comes back; the sequences are the client's own."""

import math

import numpy as np
import pytest
from qiskit.circuit import Delay, Measure, Parameter, QuantumCircuit
from qiskit.circuit.library import CZGate, RZGate, SXGate, XGate
from qiskit.transpiler import InstructionProperties, Target
from qiskit_ibm_runtime.executor.dynamical_decoupling import generate_dd_pass_manager
from qiskit_ibm_runtime.options_models import DynamicalDecouplingOptions

from runner.engine import Engine, QuasiStatic
from runner.errors import ConfigError
from runner.mitigation import MitigatedPlan, setting
from runner.mitigation.decoupling import decoupled

HERTZ = 20e3
SECONDS = 10e-6
NONE = np.zeros(0)


@pytest.fixture(scope="module")
def target() -> Target:
    """A line of three qubits without any noise of its own; a flip takes 40 ns."""
    target, angle = Target(num_qubits=3, dt=1e-9), Parameter("angle")
    for gate in (SXGate(), XGate()):
        target.add_instruction(gate, {(q,): InstructionProperties(40e-9, 0.0) for q in range(3)})
    target.add_instruction(RZGate(angle), {(q,): InstructionProperties(0.0, 0.0) for q in range(3)})
    target.add_instruction(CZGate(), {(q, q + 1): InstructionProperties(100e-9, 0.0) for q in range(2)})
    target.add_instruction(Measure(), {(q,): InstructionProperties(1e-6, 0.0) for q in range(3)})
    target.add_instruction(Delay(angle), {(q,): None for q in range(3)})
    return target


def _waiting(qubits: int = 1) -> QuantumCircuit:
    """Qubits in superposition that wait."""
    circuit = QuantumCircuit(3)
    for qubit in range(qubits):
        circuit.rz(math.pi / 2, qubit)
        circuit.sx(qubit)
        circuit.rz(math.pi / 2, qubit)
    circuit.barrier()
    for qubit in range(qubits):
        circuit.delay(int(SECONDS * 1e9), qubit, "ns")
    circuit.barrier()
    return circuit


def _value(
    target: Target, circuit: QuantumCircuit, label: str, noise: QuasiStatic, **options: object
) -> tuple[float, float]:
    engine = Engine(target, quasi_static=noise)
    base = engine.estimator_plan(circuit, [label])
    if not options:
        found = base.run(NONE, shots=4000, seed=3)
        return float(found.evs[0]), float(found.stds[0])
    chosen = setting({"dynamical_decoupling": {"enable": True, **options}})
    values = MitigatedPlan(circuit, base, chosen, engine).run(NONE, shots=4000, seed=3, rates=None)
    return float(values["evs"][0]), float(values["stds"][0])


@pytest.mark.parametrize("sequence", ["XX", "XpXm", "XY4"])
def test_an_echo_brings_back_what_a_detuning_takes_away(target: Target, sequence: str) -> None:
    """By pencil: E[cos φ] = exp(-Var φ/2) of the wait and half of each gate beside it; with an echo the wait adds none.

    The two gates next to the wait and the basis change leave 120 ns of phase: cos(2π·20 kHz·120 ns) = 0.9999.
    """
    noise = QuasiStatic(HERTZ, 0.0, 1)
    plain, error = _value(target, _waiting(), "IIX", noise)
    echoed, _ = _value(target, _waiting(), "IIX", noise, sequence_type=sequence)

    assert plain == pytest.approx(math.exp(-((2 * math.pi * HERTZ * SECONDS) ** 2) / 2), abs=4 * error)
    assert echoed > 0.997


def test_the_shift_by_a_neighbour_outside_a_circuit_is_undone_and_inside_it_is_not(target: Target) -> None:
    """A neighbour that is 1 and left alone shifts a frequency: an echo undoes it.

    Two neighbours that are flipped at the same times stay coupled: Z⊗Z has the same sign all along. Then
    ξ|11⟩⟨11| averages to ξ(1 + ZZ)/4, and ⟨X⟩ of one beside the other in |+⟩ is E[cos(ξt/2)] = exp(-(πσt)²/2).
    """
    noise = QuasiStatic(0.0, HERTZ, 1)
    together, error = _value(target, _waiting(2), "IIX", noise, sequence_type="XX")

    assert together == pytest.approx(math.exp(-((math.pi * HERTZ * SECONDS) ** 2) / 2), abs=4 * error)


def test_sequences_are_the_clients_on_the_qubits_that_the_circuit_uses(target: Target) -> None:
    """What the client's own pass manager makes of the circuit, but for a qubit that it does not use."""
    engine, circuit = Engine(target, quasi_static=QuasiStatic(HERTZ, 0.0, 1)), _waiting(2)
    options = DynamicalDecouplingOptions(enable=True, sequence_type="XY4", scheduling_method="asap")
    backend = type("Backend", (), {"target": target})()
    expected = generate_dd_pass_manager(backend, options).run(circuit)
    found = decoupled(circuit, options, engine)

    def on(whole: QuantumCircuit, qubit: int) -> list[tuple[str, list[float]]]:
        bit = whole.qubits[qubit]
        return [
            (item.operation.name, [float(value) for value in item.operation.params])
            for item in whole.data
            if bit in item.qubits and item.operation.name != "barrier"
        ]

    for qubit in range(2):
        assert on(found, qubit) == on(expected, qubit)
        assert [name for name, _ in on(found, qubit)].count("x") == 4
    assert on(found, 2) == []


def test_standard_errors_of_untwirled_jobs_are_those_of_batches(target: Target) -> None:
    """With 50 shots a draw of what the echo cannot undo, the spread of repeated values is what is told."""
    engine, circuit = Engine(target, quasi_static=QuasiStatic(0.0, HERTZ, 50)), _waiting(2)
    base = engine.estimator_plan(circuit, ["IIX"])
    plan = MitigatedPlan(circuit, base, setting({"dynamical_decoupling": {"enable": True}}), engine)
    found = [plan.run(NONE, shots=1000, seed=seed, rates=None) for seed in range(60)]
    values = np.array([float(one["evs"][0]) for one in found])
    told = np.array([float(one["stds"][0]) for one in found])

    assert values.std(ddof=1) == pytest.approx(math.sqrt((told**2).mean()), rel=0.3)
    assert np.median(told) > 1.2 * math.sqrt((1 - values.mean() ** 2) / 1000)


def test_what_cannot_act_is_refused(target: Target) -> None:
    """Noise without a memory; options of an echo that is off; a sequence that the client does not have."""
    engine = Engine(target)
    options = DynamicalDecouplingOptions(enable=True)

    with pytest.raises(
        ConfigError, match=r"decoupling.enable: cannot act: the simulated noise has no memory"
    ):
        decoupled(_waiting(), options, engine)
    with pytest.raises(ConfigError, match=r"acts with dynamical_decoupling.enable, which is off"):
        setting({"dynamical_decoupling": {"sequence_type": "XY4"}})
    with pytest.raises(ConfigError, match=r"sequence_type: .*'XX', 'XpXm' or 'XY4'.*'XY8'"):
        setting({"dynamical_decoupling": {"enable": True, "sequence_type": "XY8"}})

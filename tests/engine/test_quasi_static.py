"""Frequencies that are drawn for every batch of shots, against pencil, Qiskit's own schedule and dense matrices."""

import math

import numpy as np
import pytest
from qiskit.circuit import Delay, Measure, Parameter, QuantumCircuit
from qiskit.circuit.library import CZGate, RZGate, SXGate, XGate
from qiskit.quantum_info import Operator, Statevector
from qiskit.transpiler import InstructionProperties, PassManager, Target
from qiskit.transpiler.passes import ALAPScheduleAnalysis, TimeUnitConversion

from runner.engine import Engine, QuasiStatic
from runner.engine.quasi_static import Drifting
from runner.engine.schedule import Schedule
from runner.errors import ConfigError

SECONDS = 8e-6
HERTZ = 20e3


def _target(qubits: int, *, gate: float = 0.0, pair: float = 100e-9) -> Target:
    target, angle = Target(num_qubits=qubits, dt=1e-9), Parameter("angle")
    for one in (SXGate(), XGate()):
        target.add_instruction(one, {(q,): InstructionProperties(gate, 0.0) for q in range(qubits)})
    target.add_instruction(RZGate(angle), {(q,): InstructionProperties(0.0, 0.0) for q in range(qubits)})
    edges = {(q, q + 1): InstructionProperties(pair, 0.0) for q in range(qubits - 1)}
    target.add_instruction(CZGate(), edges)
    target.add_instruction(Measure(), {(q,): InstructionProperties(1e-6, 0.0) for q in range(qubits)})
    target.add_instruction(Delay(angle), {(q,): None for q in range(qubits)})
    return target


def _superposed(*qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    for qubit in qubits:
        circuit.rz(math.pi / 2, qubit)
        circuit.sx(qubit)
        circuit.rz(math.pi / 2, qubit)
    circuit.barrier()
    return circuit


def _measured(
    circuit: QuantumCircuit, label: str, noise: QuasiStatic, shots: int = 8000
) -> tuple[float, float]:
    plan = Engine(_target(2), quasi_static=noise).estimator_plan(circuit, [label])
    found = plan.run(np.zeros(0), shots=shots, seed=5)
    return float(found.evs[0]), float(found.stds[0])


def test_a_coherence_falls_as_a_gaussian_and_an_echo_brings_it_back() -> None:
    """⟨X⟩ after t is E[cos 2πft] = exp(-(2πσt)²/2) for normal f, by pencil; with a flip in the middle it is 1."""
    waiting, echo = _superposed(0), _superposed(0)
    waiting.delay(SECONDS, 0, "s")
    for _ in range(2):
        echo.delay(SECONDS / 4, 0, "s")
        echo.x(0)
        echo.delay(SECONDS / 4, 0, "s")
    value, error = _measured(waiting, "IX", QuasiStatic(HERTZ, 0.0, 1))

    expected = math.exp(-((2 * math.pi * HERTZ * SECONDS) ** 2) / 2)
    assert value == pytest.approx(expected, abs=4 * error)
    assert error < 0.012
    assert _measured(echo, "IX", QuasiStatic(HERTZ, 0.0, 1)) == (1.0, 0.0)


def test_a_neighbour_shifts_the_frequency_while_it_is_one() -> None:
    """ξ·|11⟩⟨11|: nothing beside |0⟩, the Gaussian beside |1⟩, the mean of both beside |+⟩."""
    alone, flipped, both = _superposed(0), _superposed(0), _superposed(0, 1)
    flipped.x(1)
    flipped.barrier()
    for circuit in (alone, flipped, both):
        circuit.delay(SECONDS, 0, "s")
        circuit.barrier()
    noise = QuasiStatic(0.0, HERTZ, 1)
    fallen = math.exp(-((2 * math.pi * HERTZ * SECONDS) ** 2) / 2)

    assert _measured(alone, "IX", noise) == (1.0, 0.0)
    for circuit, expected in ((flipped, fallen), (both, (1 + fallen) / 2)):
        value, error = _measured(circuit, "IX", noise)
        assert value == pytest.approx(expected, abs=4 * error)


def test_standard_errors_are_those_of_batches_and_not_of_shots() -> None:
    """64 shots share a draw: the spread of repeated values is what is told, and more than shots alone would give."""
    circuit = _superposed(0)
    circuit.delay(SECONDS, 0, "s")
    plan = Engine(_target(2), quasi_static=QuasiStatic(HERTZ, 0.0, 64)).estimator_plan(circuit, ["IX"])
    found = [plan.run(np.zeros(0), shots=1024, seed=seed) for seed in range(100)]
    values, told = (
        np.array([float(one.evs[0]) for one in found]),
        np.array([float(one.stds[0]) for one in found]),
    )

    assert values.std(ddof=1) == pytest.approx(math.sqrt((told**2).mean()), rel=0.25)
    assert told.min() > 1.5 * math.sqrt((1 - 0.6**2) / 1024)


def _evolved(
    circuit: QuantumCircuit, target: Target, detunings: list[float], shifts: list[float]
) -> Statevector:
    """The state by dense matrices: every gate at its middle by Qiskit's schedule, exp(-iHt) in between."""
    manager = PassManager([TimeUnitConversion(target=target), ALAPScheduleAnalysis(target=target)])
    manager.run(circuit)
    starts = manager.property_set["node_start_time"]
    bits = (np.arange(2**circuit.num_qubits)[:, None] >> np.arange(circuit.num_qubits)) & 1
    energies = 2 * math.pi * (bits @ detunings + (bits[:, 1:] * bits[:, :-1]) @ shifts)
    events = []
    for node, start in starts.items():
        if node.op.name not in ("barrier", "delay"):
            where = [circuit.find_bit(bit).index for bit in node.qargs]
            length = target[node.op.name][tuple(where)].duration
            events.append((start * 1e-9 + length / 2, len(events), node.op, where))
    state, now = Statevector.from_int(0, 2**circuit.num_qubits), 0.0
    for middle, _, gate, where in sorted(events, key=lambda event: event[:2]):
        state = Statevector(np.exp(1j * energies * (middle - now)) * state.data)
        state, now = state.evolve(Operator(gate), where), middle
    return state


@pytest.mark.parametrize("seed", range(6))
def test_phases_add_up_as_the_schedule_says(seed: int) -> None:
    """Random circuits of three qubits against Qiskit's own schedule, with dense matrices between the gates."""
    rng = np.random.default_rng(seed)
    target = _target(3, gate=40e-9)
    circuit = QuantumCircuit(3)
    for _ in range(14):
        kind, qubit = rng.integers(5), int(rng.integers(3))
        if kind == 0:
            circuit.cz(*((0, 1) if qubit == 0 else (1, 2)))
        elif kind == 1:
            circuit.rz(float(rng.normal()), qubit)
        elif kind == 2:
            circuit.delay(int(rng.integers(50, 300)), qubit, "ns")
        else:
            circuit.append([SXGate(), XGate()][kind - 3], [qubit])
    circuit.barrier()
    for qubit in range(3):
        circuit.sx(qubit)
    drifting = Drifting(circuit, QuasiStatic(1.0, 1.0, 1), Schedule(target), target, ())
    detunings, shifts = rng.normal(0, 1e6, 3).tolist(), rng.normal(0, 1e6, 2).tolist()
    drawn = {f"detuning of qubit {q} [Hz]": value for q, value in enumerate(detunings)}
    drawn |= {f"ZZ of qubits {q}, {q + 1} [Hz]": value for q, value in enumerate(shifts)}
    bound = drifting.circuit.assign_parameters({p: drawn[p.name] for p in drifting.circuit.parameters})
    for place in reversed(range(len(bound.data))):
        if bound.data[place].operation.name == "delay":
            del bound.data[place]

    expected = _evolved(circuit, target, detunings, shifts).probabilities()
    assert Statevector(bound).probabilities() == pytest.approx(expected, abs=1e-9)


def test_shots_are_shared_out_among_batches() -> None:
    """As few batches as their size allows, all alike but the last."""
    noise = QuasiStatic(1.0, 0.0, 64)

    assert [noise.batches(shots) for shots in (1, 64, 65, 4096, 100)] == [
        (1, 1), (1, 64), (2, 33), (64, 64), (2, 50),
    ]  # fmt: skip


def test_samples_of_a_set_do_not_depend_on_the_sets_beside_it() -> None:
    """The first set of a job gives the same bits alone and among others; every set has draws of its own."""
    angle = Parameter("a")
    circuit = _superposed(0)
    circuit.delay(SECONDS, 0, "s")
    circuit.rz(angle, 0)
    circuit.sx(0)
    circuit.measure_all()
    plan = Engine(_target(2), quasi_static=QuasiStatic(HERTZ, HERTZ, 10)).sampler_plan(circuit)
    alone = plan.run(np.array([[0.3]]), shots=95, seed=4)["meas"]
    several = plan.run(np.array([[0.3], [0.3]]), shots=95, seed=4)["meas"]

    assert alone.shape == (1,)
    assert alone.num_shots == 95
    assert np.array_equal(alone.array[0], several.array[0])
    assert not np.array_equal(several.array[0], several.array[1])


def test_what_cannot_be_scheduled_or_is_exact_is_refused() -> None:
    """A branch, an exact value, a device without durations, and noise that goes by every gate there is to act by."""
    engine = Engine(_target(2), quasi_static=QuasiStatic(HERTZ, 0.0, 64))
    branching = QuantumCircuit(2, 1)
    branching.sx(0)
    branching.measure(0, 0)
    branching.x(0)
    branching.measure(0, 0)

    with pytest.raises(
        ConfigError, match=r"backend.quasi_static: .*cannot be scheduled: it measures, resets"
    ):
        engine.sampler_plan(branching)
    with pytest.raises(ConfigError, match="has no exact values"):
        engine.estimator_plan(_superposed(0), ["IX"]).require(exact=True)
    with pytest.raises(ConfigError, match="has no durations"):
        Engine(None, quasi_static=QuasiStatic(HERTZ, 0.0, 64))
    with pytest.raises(ConfigError, match="schedule is false"):
        Engine(_target(2), schedule=False, quasi_static=QuasiStatic(HERTZ, 0.0, 64))
    with pytest.raises(ConfigError, match="noise of its own for p, u1, rz"):
        Drifting(
            _superposed(0), QuasiStatic(1.0, 0.0, 1), Schedule(_target(2)), _target(2), ("p", "u1", "rz")
        )

"""Idle qubits decay: the engine against a density matrix of the circuit that Qiskit's own passes scheduled.

The expected values: delays come from `ALAPScheduleAnalysis` and `PadDelay`, relaxation during them from Kraus operators
written down here, gate errors from the noise model, the rest is dense linear algebra on all qubits of the device.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from qiskit.circuit import ClassicalRegister, Parameter, QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import DensityMatrix, Kraus, Pauli, SparsePauliOp, SuperOp
from qiskit.transpiler import CouplingMap, InstructionProperties, PassManager, Target
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay, TimeUnitConversion

from runner.engine import DeviceNoise, Engine
from runner.errors import ConfigError

NONE = np.zeros(0)
TOLERANCE = 1e-9


def relaxation(t1: float, t2: float, seconds: float) -> Kraus:
    """Amplitude damping by exp(−t/T1), and what dephasing is missing to exp(−t/T2); Nielsen & Chuang, 8.3.5 f."""
    kept = math.exp(-seconds / t1)
    coherence = math.exp(-seconds / min(t2, 2 * t1)) / math.sqrt(kept)
    damping = [np.diag([1, math.sqrt(kept)]), np.array([[0, math.sqrt(1 - kept)], [0, 0]])]
    phases = [math.sqrt((1 + coherence) / 2) * np.eye(2), math.sqrt((1 - coherence) / 2) * np.diag([1, -1])]
    return Kraus([phase @ damp for phase, damp in itertools.product(phases, damping)])


def scheduled(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    """The circuit with delays where its qubits wait, all measurements being of one length."""
    measured = [circuit.find_bit(item.qubits[0]).index for item in circuit.get_instructions("measure")]
    longest = max(target["measure"][(qubit,)].duration for qubit in measured)
    alike = Target(num_qubits=target.num_qubits, dt=target.dt)
    for name in target.operation_names:
        places = {qubits: known for qubits, known in (target[name] or {}).items() if known or name == "delay"}
        if name == "measure":
            places = dict.fromkeys(places, InstructionProperties(duration=longest))
        if places and None not in places:
            alike.add_instruction(target.operation_from_name(name), places, name=name)
    passes = [TimeUnitConversion(target=alike), ALAPScheduleAnalysis(target=alike), PadDelay(target=alike)]
    return PassManager(passes).run(circuit)


@cache
def gate_errors(backend: BackendV2) -> dict[tuple[str, tuple[int, ...]], SuperOp]:
    """The channel behind every gate, by its name and qubits."""
    from qiskit_aer.noise import NoiseModel

    local = NoiseModel.from_backend(backend)._local_quantum_errors
    return {(name, qubits): SuperOp(local[name][qubits]) for name in local for qubits in local[name]}


def slow_state(circuit: QuantumCircuit, backend: BackendV2) -> DensityMatrix:
    """The state that is measured: every gate, its error, and relaxation during every delay."""
    target = backend.target
    state = DensityMatrix.from_label("0" * target.num_qubits)
    for item in scheduled(circuit, target).data:
        name, qubits = item.operation.name, [circuit.find_bit(bit).index for bit in item.qubits]
        if name == "delay":
            unit = {"dt": target.dt, "s": 1.0}[item.operation.unit]
            properties = target.qubit_properties[qubits[0]]
            channel = relaxation(properties.t1, properties.t2, item.operation.duration * unit)
            state = state.evolve(channel, qubits)
        elif name not in ("measure", "barrier"):
            state = state.evolve(item.operation, qubits)
            if (name, tuple(qubits)) in gate_errors(backend):
                state = state.evolve(gate_errors(backend)[name, tuple(qubits)], qubits)
    return state


def read(state: DensityMatrix, qubits: list[int], backend: BackendV2) -> np.ndarray:
    """Probabilities of what is read, bit k belonging to `qubits[k]`; misread as the target says."""
    table = state.probabilities(qubits)
    for bit, qubit in enumerate(qubits):
        properties = backend.target["measure"][(qubit,)]
        up = getattr(properties, "prob_meas1_prep0", properties.error)
        down = getattr(properties, "prob_meas0_prep1", properties.error)
        matrix = np.array([[1 - up, down], [up, 1 - down]])
        pairs = table.reshape(-1, 2, 1 << bit)
        table = np.einsum("rt,atb->arb", matrix, pairs).reshape(-1)
    return table


def slow_value(circuit: QuantumCircuit, letters: dict[int, str], term: Pauli, backend: BackendV2) -> float:
    """A Pauli's expectation value from measuring the letters' qubits at once, turned by rz, sx, rz."""
    turned = circuit.copy()
    for qubit, letter in letters.items():
        if letter in "XY":
            turned.rz(math.pi / 2 if letter == "X" else 0.0, qubit)
            turned.sx(qubit)
            turned.rz(math.pi / 2, qubit)
    qubits = sorted(letters)
    turned.add_register(ClassicalRegister(len(qubits), "c"))
    turned.barrier(qubits)
    turned.measure(qubits, range(len(qubits)))
    table = read(slow_state(turned, backend), qubits, backend)
    mask = sum(1 << bit for bit, qubit in enumerate(qubits) if term.x[qubit] or term.z[qubit])
    return float(table @ (1.0 - 2.0 * (np.bitwise_count(np.arange(len(table)) & mask) & 1)))


def random_circuit(backend: BackendV2, rng: np.random.Generator, size: int = 30) -> QuantumCircuit:
    """Native gates at random places, with delays and barriers; some qubits may stay untouched."""
    target = backend.target
    two = next(name for name in ("cx", "cz", "ecr") if name in target.operation_names)
    edges = list(target[two])
    circuit = QuantumCircuit(target.num_qubits)
    for _ in range(size):
        qubit = int(rng.integers(target.num_qubits))
        kind = rng.choice(["rz", "sx", "x", "two", "delay", "barrier"], p=[0.25, 0.3, 0.1, 0.25, 0.05, 0.05])
        if kind == "rz":
            circuit.rz(float(rng.uniform(-3, 3)), qubit)
        elif kind == "two":
            getattr(circuit, two)(*edges[int(rng.integers(len(edges)))])
        elif kind == "delay":
            circuit.delay(int(rng.integers(1, 400)) * 16, qubit, unit="dt")
        elif kind == "barrier":
            circuit.barrier(rng.permutation(target.num_qubits)[:2].tolist())
        else:
            getattr(circuit, kind)(qubit)
    return circuit


@cache
def device(name: str) -> BackendV2:
    """A snapshot, or a generic device by size and native two-qubit gate."""
    if name == "fake_manila":
        return pytest.importorskip("qiskit_ibm_runtime.fake_provider").FakeManilaV2()
    qubits, gate = int(name[0]), name[1:]
    return GenericBackendV2(
        qubits, ["id", "rz", "sx", "x", gate], coupling_map=CouplingMap.from_line(qubits), seed=9
    )


@pytest.mark.parametrize("name", ["fake_manila", "3cz", "4cx"])
def test_values_equal_those_of_the_scheduled_density_matrix(name: str) -> None:
    """Random native circuits and Paulis of random letters: exact values are those of the slow way to 1e-9."""
    backend = device(name)
    rng = np.random.default_rng(sum(name.encode()))
    engine = Engine(backend.target, DeviceNoise(backend))
    count = backend.target.num_qubits
    for _ in range(2):
        circuit = random_circuit(backend, rng)
        letters = {q: str(rng.choice(list("XYZ"))) for q in range(count) if rng.random() < 0.7} or {0: "Z"}
        whole = "".join(letters.get(q, "I") for q in reversed(range(count)))
        first = min(letters)
        single = "".join(letters[first] if q == first else "I" for q in reversed(range(count)))
        operators = [SparsePauliOp(single), SparsePauliOp(whole)]
        found = engine.estimator_plan(circuit, operators).run(NONE, shots=None, seed=1).evs
        expected = [slow_value(circuit, letters, Pauli(label), backend) for label in (single, whole)]

        assert found == pytest.approx(expected, abs=TOLERANCE)


def engine_of(backend: BackendV2, **options: bool) -> Engine:
    """An engine with the backend's own noise."""
    return Engine(backend.target, DeviceNoise(backend), **options)


def excited(engine: Engine, circuit: QuantumCircuit, qubit: int) -> float:
    """The share of 1 that is read from a qubit."""
    operator = SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], circuit.num_qubits)
    return float(1 - engine.estimator_plan(circuit, operator).run(NONE, shots=None, seed=1).evs) / 2


def waiting(length: float) -> QuantumCircuit:
    """Qubit 0 is excited, then qubit 1 is busy for so many seconds before both go on."""
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.barrier(0, 1)
    circuit.delay(length, 1, unit="s")
    circuit.barrier(0, 1)
    return circuit


def test_an_excited_qubit_decays_while_another_is_busy() -> None:
    """Waiting for t = T1/2 multiplies the excited share by exp(−1/2); before x and of the ground state, nothing."""
    backend = device("3cz")
    length = round(backend.target.qubit_properties[0].t1 / 2 / backend.target.dt) * backend.target.dt
    decay = math.exp(-length / backend.target.qubit_properties[0].t1)
    flip = backend.target["measure"][(0,)].error
    prompt = excited(engine_of(backend), waiting(0.0), 0)
    late = QuantumCircuit(3)
    late.delay(length, 1, unit="s")
    late.barrier(0, 1)
    late.x(0)

    def true(read: float) -> float:
        return (read - flip) / (1 - 2 * flip)

    found = excited(engine_of(backend), waiting(length), 0)
    assert true(found) == pytest.approx(true(prompt) * decay, abs=TOLERANCE)
    assert excited(engine_of(backend), late, 0) == pytest.approx(prompt, abs=TOLERANCE)


def test_without_a_schedule_only_gates_and_delays_act() -> None:
    """schedule=False: waiting costs nothing, and the value is that of plain Aer with the whole noise model."""
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel

    backend = device("4cx")
    circuit = random_circuit(backend, np.random.default_rng(3))
    whole = SparsePauliOp(["ZZZZ", "IIIZ"], [1.0, 0.5])
    off = engine_of(backend, schedule=False)
    plain = Engine(backend.target, NoiseModel.from_backend(backend), schedule=False)
    measured = circuit.copy()
    measured.save_probabilities(range(4), label="p")
    noise = NoiseModel.from_backend(backend)
    simulator = AerSimulator(method="density_matrix", noise_model=noise)
    data = simulator.run(noise._pass_manager().run(measured)).result().data()
    table = read(DensityMatrix(np.diag(data["p"])), [0, 1, 2, 3], backend)
    signs = 1.0 - 2.0 * (np.bitwise_count(np.arange(16)) & 1)
    expected = table @ (signs + 0.5 * (1 - 2.0 * (np.arange(16) & 1)))

    for engine in (off, plain):
        found = float(engine.estimator_plan(circuit, whole).run(NONE, shots=None, seed=1).evs)
        assert found == pytest.approx(expected, abs=1e-6)  # Kraus operators below 1e-8 are left out
    assert excited(off, waiting(1e-3), 0) == excited(off, waiting(0.0), 0)
    assert off.idle_qubits == "do not decay"
    assert engine_of(backend).idle_qubits == "decay"


def test_angles_do_not_change_the_schedule() -> None:
    """A plan with parameters, evaluated in a batch, gives what the bound circuits give the slow way."""
    backend = device("3cz")
    angles = [Parameter(f"a{index}") for index in range(2)]
    circuit = QuantumCircuit(3)
    for step in range(2):
        circuit.sx(0)
        circuit.rz(angles[step], 0)
        circuit.sx(0)
        circuit.cz(0, 1)
        circuit.sx(1)
        circuit.cz(1, 2)
        circuit.sx(2)
    values = np.array([[0.3, -1.2], [2.0, 0.7], [0.0, 0.0]])
    letters = {0: "Y", 1: "X", 2: "Z"}
    plan = engine_of(backend).estimator_plan(circuit, SparsePauliOp("ZXY"))
    found = plan.run(values, shots=None, seed=1).evs
    expected = [slow_value(circuit.assign_parameters(row), letters, Pauli("ZXY"), backend) for row in values]

    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_samples_come_from_the_scheduled_state() -> None:
    """The Sampler's outcomes of a circuit with its own measurements are distributed as the slow way says."""
    backend = device("4cx")
    circuit = random_circuit(backend, np.random.default_rng(12), size=60)
    circuit.measure_all()
    shots = 40_000
    plan = engine_of(backend).sampler_plan(circuit)
    counts = plan.run(NONE, shots=shots, seed=2)["meas"].get_int_counts()
    expected = read(slow_state(circuit, backend), [0, 1, 2, 3], backend)
    found = np.array([counts.get(outcome, 0) for outcome in range(16)])
    spread = np.sqrt(expected * (1 - expected) * shots)

    assert (np.abs(found - expected * shots) < 4.5 * spread + 1).all()


def test_qubits_wait_during_measurements_on_the_way() -> None:
    """A qubit that is read after its neighbour's reading has decayed by exp(−t/T1), t being how long that takes."""
    backend = device("fake_manila")
    circuit = QuantumCircuit(5, 2)
    circuit.x([0, 1])
    for _ in range(2):
        circuit.barrier(0, 1)
        circuit.measure(0, 0)
    circuit.barrier(0, 1)
    circuit.measure(1, 1)
    shots = 40_000
    plan = engine_of(backend).sampler_plan(circuit)
    counts = plan.run(NONE, shots=shots, seed=4)["c"].slice_bits([1]).get_counts()
    length = 2 * backend.target["measure"][(0,)].duration
    prompt = QuantumCircuit(5)
    prompt.x(1)
    start = slow_state(prompt.measure_all(inplace=False), backend).probabilities([1])[1]
    kept = start * math.exp(-length / backend.target.qubit_properties[1].t1)
    one = DensityMatrix(np.kron(np.diag([1 - kept, kept]), np.diag([1, 0])))
    share = read(one, [1], backend)[1]

    assert plan.unscheduled is None
    assert kept < start - 0.03
    assert abs(counts["1"] / shots - share) < 4.5 * math.sqrt(share * (1 - share) / shots)


def test_a_branch_is_not_scheduled_and_that_is_said() -> None:
    """How long feed-forward takes is not known; the plan says so and only gates and delays act."""
    backend = device("fake_manila")
    circuit = QuantumCircuit(5, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)

    assert "if_else" in engine_of(backend).sampler_plan(circuit).unscheduled
    assert engine_of(backend, schedule=False).sampler_plan(circuit).unscheduled is None


def test_wanting_a_schedule_where_nothing_decays_is_refused() -> None:
    """schedule=True without durations, without T1 and T2, or without noise."""
    bare = GenericBackendV2(2, noise_info=False)
    for target, noise in (
        (None, DeviceNoise(device("3cz"))),
        (device("3cz").target, None),
        (bare.target, None),
    ):
        with pytest.raises(ConfigError, match="idle qubits do not decay"):
            Engine(target, noise, schedule=True)


def test_scheduled_and_unscheduled_plans_have_digests_of_their_own() -> None:
    """What is executed is what is hashed."""
    backend = device("3cz")
    digests = {
        engine_of(backend, schedule=on).estimator_plan(waiting(1e-6), SparsePauliOp("ZZZ")).digest
        for on in (True, False)
    }

    assert len(digests) == 2


@pytest.mark.nightly
def test_h2_on_manila_equals_the_scheduled_density_matrix() -> None:
    """UCCSD of H2 on four of five qubits: every basis scheduled and evolved the slow way, to 1e-9."""
    pytest.importorskip("qiskit_ibm_runtime")
    from runner import compose
    from runner.run.problem import Problem

    config = compose("hamiltonian=h2", "ansatz=uccsd", "backend=fake_manila")
    backend = config.backend.build(config.session.build(seed=1))
    problem = Problem.build(config, backend)
    point = [0.1, -0.2, 0.3]
    found = backend.estimator_plan(problem.circuit, problem.observable).run(point, shots=None, seed=1).evs
    circuit = problem.circuit.assign_parameters(point)
    expected = 0.0
    for pauli, coefficient in zip(problem.observable.paulis, problem.observable.coeffs.real, strict=True):
        # all strings of Z are read at once, the others have four different letters each
        used = range(5) if not pauli.x.any() else np.flatnonzero(pauli.x | pauli.z)
        layout = [q for q in used if problem.observable.paulis.z[:, q].any()]
        letters = {int(q): "Z" if not pauli.x[q] else "Y" if pauli.z[q] else "X" for q in layout}
        expected += coefficient * slow_value(circuit, letters, pauli, device("fake_manila"))

    assert float(found) == pytest.approx(expected, abs=TOLERANCE)

"""Change a question in a way whose answer is known: the answer moves as it must. Needs no other simulator."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.circuit import Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import SparsePauliOp, random_pauli
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from runner.engine import Engine

QUBITS = 4
NAMES = (
    "h",
    "sx",
    "t",
    "rx",
    "ry",
    "rz",
    "p",
    "u",
    "cx",
    "cz",
    "cry",
    "cp",
    "rzz",
    "rxx",
    "swap",
    "ccx",
    "iswap",
)
GATES = {name: get_standard_gate_name_mapping()[name] for name in NAMES}


def noise() -> NoiseModel:
    """Depolarizing on every qubit and pair alike, so that qubits may change places, and readout."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(
        depolarizing_error(0.02, 1), ["h", "sx", "t", "rx", "ry", "rz", "p", "u"]
    )
    model.add_all_qubit_quantum_error(
        depolarizing_error(0.03, 2), ["cx", "cz", "cry", "cp", "rzz", "rxx", "swap"]
    )
    model.add_all_qubit_readout_error(ReadoutError([[0.97, 0.03], [0.05, 0.95]]))
    return model


ENGINES: dict[str, Callable[[], Engine]] = {
    "kernel": lambda: Engine(engine="kernel"),
    "aer": lambda: Engine(engine="aer"),
    "noisy": lambda: Engine(noise_model=noise()),
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine, and one with noise."""
    return ENGINES[request.param]()


def drawn(seed: int) -> tuple[QuantumCircuit, SparsePauliOp, np.ndarray]:
    """A circuit with shared parameters, an observable and values."""
    random = np.random.default_rng(seed)
    parameters = [Parameter(name) for name in ("gamma", "a", "beta", "a10")]
    circuit = QuantumCircuit(QUBITS)
    for _ in range(14):
        gate = GATES[str(random.choice(NAMES))]
        chosen = [
            parameters[k] * float(random.choice([1, 2, -1])) for k in random.integers(0, 4, len(gate.params))
        ]
        made = gate.base_class(*chosen)
        circuit.append(made, [int(q) for q in random.permutation(QUBITS)[: made.num_qubits]])
    for parameter in parameters:
        circuit.ry(parameter, int(random.integers(QUBITS)))
    labels = [random_pauli(QUBITS, seed=int(random.integers(2**31)), group_phase=False) for _ in range(6)]
    terms = [(label.to_label().lstrip("-i"), float(random.normal())) for label in labels]
    return circuit, SparsePauliOp.from_list(terms).simplify(), random.uniform(-3, 3, 4)


def value(engine: Engine, circuit: QuantumCircuit, observable: SparsePauliOp, values: np.ndarray) -> float:
    """The exact expectation value."""
    return float(engine.estimator_plan(circuit, observable).run(values, shots=None, seed=1).evs)


SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_qubits_change_places(engine: Engine, seed: int) -> None:
    """Circuit and observable permuted alike."""
    circuit, observable, values = drawn(seed)
    order = [int(q) for q in np.random.default_rng(seed).permutation(QUBITS)]
    moved = QuantumCircuit(QUBITS)
    moved.compose(circuit, order, inplace=True)

    assert value(engine, moved, observable.apply_layout(order), values) == pytest.approx(
        value(engine, circuit, observable, values), abs=1e-10
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_terms_are_added_and_split(engine: Engine, seed: int) -> None:
    """A constant adds itself, halves of a term are the term, a multiple multiplies."""
    circuit, observable, values = drawn(seed)
    before = value(engine, circuit, observable, values)
    with_constant = observable + SparsePauliOp("I" * QUBITS, 2.5)
    halves = SparsePauliOp(
        [*observable.paulis.to_labels()] * 2,
        np.concatenate([0.25 * observable.coeffs, 0.75 * observable.coeffs]),
    )

    assert value(engine, circuit, with_constant, values) == pytest.approx(before + 2.5, abs=1e-10)
    assert value(engine, circuit, halves, values) == pytest.approx(before, abs=1e-10)
    assert value(engine, circuit, -3 * observable, values) == pytest.approx(-3 * before, abs=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_parameters_are_renamed(engine: Engine, seed: int) -> None:
    """Names decide the order of values and nothing else: z… and a… in reverse order of the old ones."""
    circuit, observable, values = drawn(seed)
    old = list(circuit.parameters)
    new = [Parameter(chr(ord("z") - index)) for index in range(len(old))]
    renamed = circuit.assign_parameters(dict(zip(old, new, strict=True)))
    where = [new.index(parameter) for parameter in renamed.parameters]

    assert value(engine, renamed, observable, values[where]) == pytest.approx(
        value(engine, circuit, observable, values), abs=1e-10
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_gates_are_wrapped_and_renamed(seed: int) -> None:
    """A custom gate around the whole circuit does what is in it, whatever it is called; noise goes by name."""
    circuit, observable, values = drawn(seed)
    for engine in (Engine(engine="kernel"), Engine(engine="aer")):
        before = value(engine, circuit, observable, values)
        for name in ("mine", "rx", "h"):
            gate = circuit.to_gate()
            gate.name = name
            wrapped = QuantumCircuit(QUBITS)
            wrapped.append(gate, range(QUBITS))

            assert value(engine, wrapped, observable, values) == pytest.approx(before, abs=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_circuits_go_through_files(seed: int) -> None:
    """OpenQASM 2 and 3 and QPY of the bound circuit, without noise: they may write a gate as others."""
    circuit, observable, values = drawn(seed)
    engine = Engine()
    before = value(engine, circuit, observable, values)
    bound = circuit.assign_parameters(values)
    buffer = io.BytesIO()
    qpy.dump(bound, buffer)
    buffer.seek(0)
    written = qasm2.dumps(bound)
    copies = (
        qasm2.loads(written, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS),
        qasm3.loads(qasm3.dumps(bound)),
        qpy.load(buffer)[0],
    )

    for copy in copies:
        assert value(engine, copy, observable, np.zeros(0)) == pytest.approx(before, abs=1e-10)


def test_four_times_the_shots_halve_the_error(engine: Engine) -> None:
    """Printed standard errors of 40 seeds, averaged; each is an estimate from its own sample."""
    circuit, observable, values = drawn(3)
    plan = engine.estimator_plan(circuit, observable)
    few, many = (
        np.mean([plan.run(values, shots=shots, seed=seed).stds for seed in range(40)])
        for shots in (500, 2000)
    )

    assert few / many == pytest.approx(2, rel=0.05)


@pytest.mark.nightly
def test_thousands_of_questions() -> None:
    """The same for 2 000 circuits on both engines and with noise."""
    for name, make in ENGINES.items():
        engine = make()
        for seed in range(100, 100 + (300 if name == "noisy" else 2000)):
            test_qubits_change_places(engine, seed)
            test_terms_are_added_and_split(engine, seed)
            test_parameters_are_renamed(engine, seed)
    for seed in range(100, 400):
        test_gates_are_wrapped_and_renamed(seed)
        test_circuits_go_through_files(seed)

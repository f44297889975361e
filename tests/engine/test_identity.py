"""Digests hold what is executed: different unitaries and channels have different ones, rebuilt circuits the same."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import ClassicalRegister, Gate, Parameter, ParameterVector
from qiskit.circuit.classical import expr
from qiskit.circuit.library import HGate, PauliEvolutionGate, RXGate, UnitaryGate, XGate, efficient_su2
from qiskit.quantum_info import Kraus, SparsePauliOp
from qiskit.synthesis import LieTrotter, QDrift
from qiskit_aer.noise import NoiseModel, amplitude_damping_error, depolarizing_error

from runner.engine import Engine
from runner.engine.executed import as_executed
from runner.engine.identity import canonical_text, digest_of
from runner.runtime import EstimatorV2, LocalRuntimeService
from tests.engine.gates import KINDS, Random, circuit_with, operator, unitary_by_definition

NOTHING = np.zeros(0)
OBSERVABLE = SparsePauliOp(["XYZX", "ZZII", "IIYX", "ZIXI"], [0.3, 0.5, 0.7, 0.2])


def digest(circuit: QuantumCircuit) -> str:
    """The identity of what is executed, as plans and jobs have it."""
    return digest_of(canonical_text(as_executed(circuit)))


def through_qpy(circuit: QuantumCircuit) -> QuantumCircuit:
    """Written and read again."""
    file = io.BytesIO()
    qpy.dump(circuit, file)
    file.seek(0)
    (read,) = qpy.load(file)
    return read


def nudged(circuit: QuantumCircuit, random: Random) -> QuantumCircuit:
    """The same with one angle changed by little, somewhere in it or in the gates it is made of."""
    result = circuit.copy()
    places = [
        index
        for index, item in enumerate(circuit.data)
        if item.params or getattr(item.operation, "params", [])
    ]
    index = int(random.choice(places))
    item = result.data[index]
    operation = item.operation
    definition = None if item.is_standard_gate() else getattr(operation, "definition", None)
    if definition is not None and any(inner.params for inner in definition.data):
        changed: Any = Gate("changed", item.operation.num_qubits, [])
        changed.definition = nudged(definition, random)
    elif not item.is_standard_gate():
        return result
    else:
        params = list(item.params)
        place = int(random.integers(len(params)))
        params[place] = float(params[place]) + float(random.choice([1e-9, 1e-3, 0.3]))
        changed = operation.to_mutable()
        changed.params = params
    result.data[index] = item.replace(operation=changed)
    return result


def variants(random: Random) -> tuple[QuantumCircuit, QuantumCircuit]:
    """Two circuits that are alike: of two gates of one kind, or one with a changed angle."""
    kind = KINDS[str(random.choice(list(KINDS)))]
    where = int(random.integers(1 << 30))
    first = circuit_with(kind(random), np.random.default_rng(where))
    if random.random() < 0.3:
        return first, nudged(first, random)
    gate = kind(random)
    for _ in range(20):
        if gate.num_qubits == sum(len(item.qubits) for item in first.data) - 8:
            break
        gate = kind(random)
    return first, circuit_with(gate, np.random.default_rng(where))


def rebuilt(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    """The same circuit, come about in other ways; a matrix without a definition does not go through QPY."""
    ways = [circuit.copy(), copy.deepcopy(circuit)]
    syntheses = [getattr(item.operation, "synthesis", None) for item in circuit.data]
    # drawn anew, or put in another order when it is read
    unstable = any(isinstance(one, QDrift) or not getattr(one, "preserve_order", True) for one in syntheses)
    if not unstable and not any(item.name in ("dense", "annotated", "clifford") for item in circuit.data):
        ways.append(pickle.loads(pickle.dumps(circuit)))
        with contextlib.suppress(
            TypeError, NotImplementedError
        ):  # qiskit cannot write or read some of its gates
            ways.append(through_qpy(circuit))
    return ways


def check_pairs(pairs: int, seed: int) -> tuple[int, int]:
    """Draw pairs and compare digests with dense algebra; how many were different, and how many the same."""
    service = LocalRuntimeService(seed=1)
    estimator = EstimatorV2(mode=service.backend("ideal"))
    different = 0
    for number in range(pairs):
        random = np.random.default_rng([seed, number])
        first, second = variants(random)
        matrices = [unitary_by_definition(one) for one in (first, second)]
        if np.abs(matrices[0] - matrices[1]).max() > 1e-12:
            different += 1
            values = [float((m[:, 0].conj() @ OBSERVABLE.to_matrix() @ m[:, 0]).real) for m in matrices]
            found = estimator.run([(first, OBSERVABLE), (second, OBSERVABLE)], precision=0).result()

            assert digest(first) != digest(second), number
            for value, result in zip(values, found, strict=True):
                assert float(result.data.evs) == pytest.approx(value, abs=2e-9), number
        if number % 4 == 0:
            for other in rebuilt(first):
                # an inverse state preparation comes back from QPY as another one
                if np.abs(unitary_by_definition(other) - matrices[0]).max() < 1e-12:
                    assert digest(other) == digest(first), number
    return different, pairs - different


def test_random_pairs_share_a_digest_only_if_they_are_the_same() -> None:
    """Gates of every kind; unitaries by multiplying the matrices of definitions."""
    different, _ = check_pairs(40, seed=1)

    assert different > 25


@pytest.mark.nightly
def test_five_thousand_random_pairs() -> None:
    """The same at length."""
    different, _ = check_pairs(5000, seed=2)

    assert different > 4000


def ising_evolution(reps: int) -> QuantumCircuit:
    """A chain of three sites, half a unit of time at a stretch, by the first-order product formula."""
    chain = SparsePauliOp.from_sparse_list(
        [("ZZ", [0, 1], 1.0), ("ZZ", [1, 2], 1.0), *[("X", [site], 1.0) for site in range(3)]], 3
    )
    circuit = QuantumCircuit(3)
    circuit.append(PauliEvolutionGate(chain, 1.0, synthesis=LieTrotter(reps=reps)), range(3))
    return circuit


def test_every_number_of_trotter_steps_has_its_own_value() -> None:
    """One service, four formulas of one Hamiltonian; the values by multiplying the matrices of their rotations."""
    magnetization = SparsePauliOp(["IIZ", "IZI", "ZII"], [1 / 3] * 3)
    circuits = [ising_evolution(reps) for reps in (1, 2, 4, 8)]
    states = [unitary_by_definition(circuit)[:, 0] for circuit in circuits]
    expected = [float((state.conj() @ magnetization.to_matrix() @ state).real) for state in states]
    estimator = EstimatorV2(mode=LocalRuntimeService(seed=1).backend("ideal"))
    jobs = [estimator.run([(circuit, magnetization)], precision=0) for circuit in circuits]

    assert [float(job.result()[0].data.evs) for job in jobs] == pytest.approx(expected, abs=1e-12)
    assert len({round(value, 4) for value in expected}) == len({job.digest for job in jobs}) == 4


def named_gate(name: str, angle: float) -> Gate:
    """A rotation about y under this name."""
    gate = Gate(name, 1, [])
    gate.definition = QuantumCircuit(1)
    gate.definition.ry(angle, 0)
    return gate


def branching(angle: float = 0.1, value: int = 1, bit: int = 0) -> QuantumCircuit:
    """A rotation where a bit has a value."""
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[bit], value)):
        circuit.ry(angle, 0)
    return circuit


def repeating(times: int = 2, angle: float = 0.1) -> QuantumCircuit:
    """A rotation repeated."""
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(times)):
        circuit.ry(angle, 0)
    return circuit


def switching(case: int = 1, angle: float = 0.1) -> QuantumCircuit:
    """A rotation in one case of a register."""
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    with circuit.switch(circuit.cregs[0]) as chosen, chosen(case):
        circuit.ry(angle, 0)
    return circuit


def storing(value: bool = True) -> QuantumCircuit:
    """A run-time variable that a branch reads."""
    circuit = QuantumCircuit(1, 1)
    flag = circuit.add_var("flag", expr.lift(value))
    with circuit.if_test(flag):
        circuit.x(0)
    return circuit


def comparing(bound: int = 2) -> QuantumCircuit:
    """A branch on an expression."""
    circuit = QuantumCircuit(QuantumCircuit(1).qubits, ClassicalRegister(3, "c"))
    with circuit.if_test(expr.less(circuit.cregs[0], bound)):
        circuit.x(0)
    return circuit


def on(size: int, *operations: Any) -> QuantumCircuit:
    """A circuit of these operations, one after the other, on all qubits."""
    circuit = QuantumCircuit(size)
    for operation in operations:
        circuit.append(operation, range(operation.num_qubits))
    return circuit


def delayed(duration: float, unit: str) -> QuantumCircuit:
    """An idle qubit."""
    circuit = QuantumCircuit(1)
    circuit.delay(duration, 0, unit=unit)
    return circuit


def started(vector: list[complex]) -> QuantumCircuit:
    """An initialized qubit."""
    circuit = QuantumCircuit(1)
    circuit.initialize(vector)
    return circuit


def phased(phase: float) -> QuantumCircuit:
    """Nothing but a global phase."""
    return QuantumCircuit(1, global_phase=phase)


def damped(rate: float) -> QuantumCircuit:
    """A channel of Kraus operators."""
    operators = [np.diag([1, np.sqrt(1 - rate)]), np.array([[0, np.sqrt(rate)], [0, 0]])]
    return on(1, Kraus(operators).to_instruction())


def summed(scale: float) -> QuantumCircuit:
    """An angle of two parameters."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1)
    circuit.rx(scale * (a + b), 0)
    return circuit


def sum_or_name(is_sum: bool) -> QuantumCircuit:
    """The same three parameters, and an angle that is the third or the sum of the others."""
    a, b, c = (Parameter(name) for name in ("a", "b", "a + b"))
    circuit = QuantumCircuit(1)
    for angle in (a, b, c, a + b if is_sum else c):
        circuit.rx(angle, 0)
    return circuit


def vectors(first: int, second: int) -> QuantumCircuit:
    """Two elements of a vector, in this order."""
    angles = ParameterVector("v", 12)
    circuit = QuantumCircuit(1)
    circuit.rx(angles[first], 0)
    circuit.ry(angles[second], 0)
    return circuit


def lossy(rate: float) -> QuantumCircuit:
    """A channel of Aer's, which has no params."""
    return on(1, amplitude_damping_error(rate).to_instruction())


def evolved(terms: int, last: float) -> QuantumCircuit:
    """An evolution by many terms, of which the last has this coefficient."""
    sum_of_terms = operator(np.random.default_rng(5), 6, terms)
    sum_of_terms.coeffs[-1] = last
    return on(6, PauliEvolutionGate(sum_of_terms, 0.1))


PAIRS: dict[str, tuple[Callable[..., QuantumCircuit], tuple[Any, ...], tuple[Any, ...]]] = {
    "bodies of gates": (lambda angle: on(1, named_gate("mine", angle)), (0.1,), (0.1 + 1e-15,)),
    "bodies of branches": (branching, (0.1,), (0.2,)),
    "values of conditions": (branching, (0.1, 0), (0.1, 1)),
    "bits of conditions": (branching, (0.1, 1, 0), (0.1, 1, 1)),
    "loops": (repeating, (2,), (3,)),
    "bodies of loops": (repeating, (2, 0.1), (2, 0.2)),
    "cases": (switching, (1,), (2,)),
    "bodies of cases": (switching, (1, 0.1), (1, 0.2)),
    "stored values": (storing, (True,), (False,)),
    "expressions": (comparing, (2,), (3,)),
    "units of delays": (delayed, (100, "ns"), (100, "us")),
    "delays": (delayed, (100, "ns"), (101, "ns")),
    "initial states": (started, ([1, 0],), ([0, 1],)),
    "global phases": (phased, (0.1,), (0.1 + 1e-15,)),
    "channels": (damped, (0.1,), (0.1 + 1e-12,)),
    "channels of Aer": (lossy, (0.1,), (0.1 + 1e-12,)),
    "matrices": (lambda phase: on(1, UnitaryGate(np.diag([1, phase]))), (1,), (np.exp(1e-12j),)),
    "scaled sums": (summed, (2,), (2.0000000000000004,)),
    "sums and names": (sum_or_name, (True,), (False,)),
    "elements of vectors": (vectors, (2, 10), (10, 2)),
    "coefficients of long sums": (evolved, (1500, 0.5), (1500, 0.5 + 1e-12)),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_whatever_differs_has_another_digest_and_the_same_has_the_same(kind: str) -> None:
    """One thing differs, by as little as a number can; built twice, copied, pickled or written as QPY nothing does."""
    make, one, other = PAIRS[kind]
    circuit = make(*one)
    same = [make(*one), circuit.copy()]
    if circuit.num_qubits == 1:  # the long ones take too long
        same += [copy.deepcopy(circuit), pickle.loads(pickle.dumps(circuit))]
    if (
        circuit.num_qubits == 1 and "Aer" not in kind and "delays" not in kind
    ):  # a delay loses its unit in QPY
        same.append(through_qpy(circuit))

    assert digest(make(*other)) != digest(circuit)
    assert {digest(equal) for equal in same} == {digest(circuit)}


def test_data_that_cannot_be_told_is_never_shared() -> None:
    """A gate without definition or matrix, made from an object: whoever asks gets a digest of its own."""

    class Opaque(Gate):
        def validate_parameter(self, parameter: Any) -> Any:
            return parameter

    circuit = on(1, Opaque("opaque", 1, [object()]))

    assert digest(circuit) != digest(circuit)


def sampled() -> list[str | float]:
    """A plan's digest, and an energy from shots."""
    circuit = efficient_su2(3, reps=1)
    plan = Engine().estimator_plan(circuit, SparsePauliOp(["XXI", "ZZI", "IYY"], [1.0, 0.5, 0.25]))
    values = np.linspace(-1, 1, circuit.num_parameters)
    return [plan.digest, float(plan.run(values, shots=300, seed=9).evs)]


def test_digests_and_samples_are_the_same_in_every_process() -> None:
    """Another process, with another hash seed and other numbers for sub-circuits without a name: the same bits."""
    program = (
        "import json\nfrom qiskit import QuantumCircuit\nQuantumCircuit(1)\n"
        "from tests.engine.test_identity import small_pairs, digest, sampled\n"
        "print(json.dumps([digest(make(*one)) for make, one, _ in small_pairs()] + sampled()))"
    )
    seed = "8" if os.environ.get("PYTHONHASHSEED") == "7" else "7"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert json.loads(found) == [digest(make(*one)) for make, one, _ in small_pairs()] + sampled()


def small_pairs() -> list[Any]:
    """All but the long sums."""
    return [pair for kind, pair in PAIRS.items() if kind != "coefficients of long sums"]


def test_circuits_of_standard_gates_keep_the_digests_of_the_last_release() -> None:
    """Texts written by release 0.1.0, so that its journals can be resumed."""
    angle = Parameter("θ")
    circuit = QuantumCircuit(2, 1)
    circuit.rx(angle, 0)
    circuit.rz(-2 * angle + 0.5, 1)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.delay(100, 0, unit="ns")
    circuit.reset(1)
    circuit.append(RXGate(0.25), [1])
    circuit.measure(0, 0)

    assert canonical_text(circuit) == (
        "circuit 2 1 phase 0.0\ncreg c [0]\nparameters ['θ']\nrx [0] [] θ\nrz [1] [] 0.5 - 2*θ\ncx [0, 1] [] \n"
        "barrier [0, 1] []   \ndelay [0] [] 100.0 ns \nreset [1] []   \nrx [1] [] 0.25\nmeasure [0] [0]   "
    )


def test_labels_count_where_noise_goes_by_them() -> None:
    """Depolarizing noise on the gate labelled `weak`: ⟨Z⟩ = −(1 − p) for it, −1 for any other label."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.2, 1), "weak")
    engine, ideal = Engine(noise_model=noise), Engine()
    circuits = {label: on(1, XGate(label=label)) for label in ("weak", "strong")}
    plans = {label: engine.estimator_plan(circuit, "Z") for label, circuit in circuits.items()}

    assert float(plans["weak"].run(NOTHING, shots=None, seed=1).evs) == pytest.approx(-0.8, abs=1e-12)
    assert float(plans["strong"].run(NOTHING, shots=None, seed=1).evs) == pytest.approx(-1.0, abs=1e-12)
    assert len({ideal.estimator_plan(circuit, "Z").digest for circuit in circuits.values()}) == 1


CHANGES: dict[str, Callable[[QuantumCircuit], Any]] = {
    "parameters assigned": lambda circuit: circuit.assign_parameters([0.3], inplace=True),
    "a global phase": lambda circuit: setattr(circuit, "global_phase", 0.2),
    "another gate": lambda circuit: circuit.data.__setitem__(0, circuit.data[0].replace(operation=XGate())),
    "other qubits": lambda circuit: circuit.data.__setitem__(
        0, circuit.data[0].replace(qubits=[circuit.qubits[1]])
    ),
    "a label": lambda circuit: circuit.data.__setitem__(
        0, circuit.data[0].replace(operation=HGate(label="weak"))
    ),
    "time": lambda circuit: setattr(circuit.data[2].operation, "time", 0.3 + 1e-12),
    "synthesis": lambda circuit: setattr(circuit.data[2].operation, "synthesis", LieTrotter(reps=2)),
    "a coefficient": lambda circuit: circuit.data[2].operation.operator.coeffs.__setitem__(0, 0.75),
    "a definition": lambda circuit: circuit.data[3].operation.definition.x(0),
    "an appended gate": lambda circuit: circuit.x(0),
    "a register": lambda circuit: circuit.add_register(ClassicalRegister(1, "more")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_in_place_is_seen(change: str) -> None:
    """The same objects give the same plan until one of them is changed."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.2, 1), "weak")
    circuit = on(2, HGate(), RXGate(Parameter("a")))
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "ZI"], [0.3, 0.4]), 0.3), [0, 1])
    circuit.append(named_gate("mine", 0.1), [0])
    engine = Engine(noise_model=noise)
    plan = engine.estimator_plan(circuit, "ZZ")

    assert engine.estimator_plan(circuit, "ZZ") is plan

    CHANGES[change](circuit)

    assert engine.estimator_plan(circuit, "ZZ") is not plan


@pytest.mark.parametrize("terms", [1, 2, 50, 1000, 3000])
def test_operators_of_any_length_are_told_apart_by_one_coefficient(terms: int) -> None:
    """One coefficient in thousands that differs in its last digits is another evolution and another observable."""
    random = np.random.default_rng(terms)
    labels = ["".join(random.choice(list("IXYZ"), 8)) for _ in range(terms)]
    values = random.normal(size=terms)
    other = values.copy()
    other[int(random.integers(terms))] *= 1 + 1e-15 * 4

    def digest(coefficients: np.ndarray) -> str:
        circuit = QuantumCircuit(8)
        circuit.append(PauliEvolutionGate(SparsePauliOp(labels, coefficients), 0.3), range(8))
        return digest_of(canonical_text(circuit))

    assert digest(values) == digest(values.copy())
    assert digest(values) != digest(other)

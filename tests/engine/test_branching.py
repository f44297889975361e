"""Circuits that reset, measure on the way and branch: expectation values and samples against every course by hand.

The oracle (`tests.engine.branches`) writes the density matrices of all courses with dense algebra of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
from qiskit.circuit import ClassicalRegister, Clbit, Gate, Parameter, QuantumCircuit, QuantumRegister
from qiskit.circuit.classical import expr, types
from qiskit.quantum_info import Operator, SparsePauliOp, random_statevector

from runner.engine.classification import classify
from runner.engine.engine import Engine
from runner.errors import ConfigError
from tests.engine.branches import courses, density

LETTERS = np.array(list("IXYZ"))


def random_circuit(rng: np.random.Generator) -> QuantumCircuit:
    """Up to four qubits and two classical registers, with everything that may come before a circuit's end."""
    size = int(rng.integers(2, 5))
    qubits = QuantumRegister(size, "q")
    low, high = ClassicalRegister(2, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(qubits, low, high)
    angles = [Parameter("a"), Parameter("b")]
    for _ in range(int(rng.integers(6, 14))):
        _random_step(circuit, rng, angles, depth=0)
    return circuit


def _random_step(circuit: QuantumCircuit, rng: np.random.Generator, angles: list, depth: int) -> None:
    first, second = (int(q) for q in rng.choice(circuit.num_qubits, 2, replace=False))
    angle = rng.uniform(-3, 3) if rng.random() < 0.5 else angles[rng.integers(2)] * rng.uniform(0.5, 2)
    kind = rng.choice(
        ["h", "ry", "rxx", "cry", "cx", "measure", "reset", "initialize", "if", "switch"],
        p=[0.12, 0.14, 0.08, 0.08, 0.13, 0.15, 0.1, 0.06, 0.1, 0.04] if depth < 2 else [0.25] * 4 + [0] * 6,
    )
    bit = circuit.clbits[rng.integers(circuit.num_clbits)]
    register = circuit.cregs[rng.integers(len(circuit.cregs))] if circuit.cregs else None
    if kind == "measure":
        circuit.measure(first, bit)
    elif kind == "initialize":
        width = int(rng.integers(1, 3))
        circuit.initialize(random_statevector(2**width, int(rng.integers(1 << 30))), [first, second][:width])
    elif kind == "if":
        condition = (bit, int(rng.integers(2))) if rng.random() < 0.5 else (register, int(rng.integers(4)))
        with circuit.if_test(condition) as otherwise:
            _random_step(circuit, rng, angles, depth + 1)
        if rng.random() < 0.5:
            with otherwise:
                _random_step(circuit, rng, angles, depth + 1)
    elif kind == "switch":
        with circuit.switch(register) as case:
            with case(0, 3):
                _random_step(circuit, rng, angles, depth + 1)
            with case(case.DEFAULT):
                _random_step(circuit, rng, angles, depth + 1)
    elif kind in ("h", "reset"):
        getattr(circuit, kind)(first)
    elif kind == "ry":
        circuit.ry(angle, first)
    elif kind == "cx":
        circuit.cx(first, second)
    else:
        getattr(circuit, kind)(angle, first, second)


def random_observables(rng: np.random.Generator, size: int) -> list[SparsePauliOp]:
    """Two sums of Pauli strings."""
    return [
        SparsePauliOp(["".join(rng.choice(LETTERS, size)) for _ in range(3)], rng.normal(size=3))
        for _ in range(2)
    ]


def check_estimator(seed: int) -> None:
    """Exact values of both engines equal the oracle's; sampled ones lie within five standard errors."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng)
    observables = random_observables(rng, circuit.num_qubits)
    values = rng.uniform(-3, 3, size=(2, circuit.num_parameters))
    without = _unmeasured(circuit)
    wanted = [
        [np.trace(o.to_matrix() @ density(without.assign_parameters(row))).real for o in observables]
        for row in values
    ]
    for engine in ("auto", "aer", "kernel"):
        plan = Engine(engine=engine).estimator_plan(circuit, [[o] for o in observables])
        found = plan.run(values, shots=None, seed=1)
        assert found.evs == pytest.approx(np.transpose(wanted), abs=1e-9), f"seed {seed}, {engine}"
        sampled = plan.run(values, shots=400, seed=1 + seed)
        away = np.abs(sampled.evs - np.transpose(wanted))
        assert (away <= 5.5 * sampled.stds + 5.5 * _scale(observables) / 400).all(), f"seed {seed}, {engine}"


def _scale(observables: list[SparsePauliOp]) -> float:
    return max(float(np.abs(o.coeffs).sum()) for o in observables)


def _unmeasured(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without measurements that nothing follows: no later step on the qubit, no later use of the bit."""
    kept: list = []
    qubits: set = set()
    bits: set = set()
    for item in reversed(circuit.data):
        measure = item.operation.name == "measure"
        if measure and item.qubits[0] not in qubits and item.clbits[0] not in bits:
            continue
        kept.append(item)
        qubits.update(item.qubits)
        bits.update(item.clbits)
    result = circuit.copy_empty_like()
    for item in reversed(kept):
        result.append(item)
    return result


def check_sampler(seed: int) -> None:
    """Joint frequencies of all classical bits lie within five standard deviations of the courses' weights."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng)
    values = rng.uniform(-3, 3, size=circuit.num_parameters)
    shots = 1500
    found = Engine().sampler_plan(circuit).run(values, shots=shots, seed=1 + seed)
    low, high = found["low"].to_bool_array()[:, ::-1], found["high"].to_bool_array()[:, ::-1]
    rows = np.concatenate([low, high], axis=1).astype(int)
    taken = courses(circuit.assign_parameters(values))
    weights = {bits: max(np.trace(state).real, 0.0) for bits, state in taken.items()}  # but for rounding
    assert sum(weights.values()) == pytest.approx(1)
    counted = {bits: int((rows == bits).all(axis=1).sum()) for bits in weights}
    assert sum(counted.values()) == shots, f"seed {seed}: an outcome that cannot be"
    for bits, weight in weights.items():
        assert abs(counted[bits] - shots * weight) <= 5.5 * np.sqrt(shots * weight) + 1, (
            f"seed {seed}, {bits}"
        )


@pytest.mark.parametrize("seed", range(16))
def test_estimator_equals_all_courses(seed: int) -> None:
    """See check_estimator."""
    check_estimator(seed)


@pytest.mark.parametrize("seed", range(16))
def test_sampler_follows_all_courses(seed: int) -> None:
    """See check_sampler."""
    check_sampler(1000 + seed)


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(20))
def test_many_random_circuits(block: int) -> None:
    """A hundred more of both per block."""
    for seed in range(100):
        check_estimator(10_000 + 100 * block + seed)
        check_sampler(20_000 + 100 * block + seed)


def exact(circuit: QuantumCircuit, *labels: str, **options: str) -> list[float]:
    """Exact expectation values of Pauli strings."""
    plan = Engine(**options).estimator_plan(circuit, [SparsePauliOp(label) for label in labels])
    numbers = plan.run(np.zeros(0), shots=None, seed=1)
    assert not numbers.stds.any()
    return numbers.evs.tolist()


def test_half_of_a_reset_bell_pair_is_a_fair_coin() -> None:
    """Reset of qubit 0 of (|00⟩ + |11⟩)/√2 leaves |0⟩⟨0| beside 1/2: ⟨ZI⟩ = 0, ⟨IZ⟩ = 1; with shots, no certainty."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.reset(0)

    for engine in ("auto", "aer", "kernel"):
        assert exact(circuit, "ZI", "IZ", "ZZ", engine=engine) == pytest.approx([0, 1, 0], abs=1e-12)
    sampled = Engine().estimator_plan(circuit, SparsePauliOp("ZI")).run(np.zeros(0), shots=10_000, seed=1)
    assert sampled.stds == pytest.approx(0.01, rel=0.01)
    assert abs(sampled.evs) < 5 * sampled.stds


def test_a_measurement_that_nothing_reads_dephases() -> None:
    """H, measurement, delay: ⟨X⟩ = 0; without anything behind it the measurement ends the circuit, and ⟨X⟩ = 1."""
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)

    assert exact(circuit, "X") == pytest.approx([1])
    circuit.delay(10, 0)
    assert exact(circuit, "X") == pytest.approx([0], abs=1e-12)


def test_loops_that_break_and_repeat_until_success() -> None:
    """While the coin shows 0 it is thrown again: it ends in |1⟩ for sure; with at most two throws, in 3 of 4 cases."""
    forever = QuantumCircuit(1, 1)
    with forever.while_loop((forever.clbits[0], 0)):
        forever.reset(0)
        forever.h(0)
        forever.measure(0, 0)
    twice = QuantumCircuit(1, 1)
    with twice.for_loop(range(2)):
        twice.reset(0)
        twice.h(0)
        twice.measure(0, 0)
        with twice.if_test((twice.clbits[0], 1)):
            twice.break_loop()

    assert exact(forever, "Z") == pytest.approx([-1])
    assert exact(twice, "Z") == pytest.approx([0.25 - 0.75])


def test_variables_and_expressions() -> None:
    """A stored majority of three coins decides: P(majority) = 1/2, and it is the first coin in 3 of 4 cases."""
    circuit = QuantumCircuit(4, 3)
    circuit.h([0, 1, 2])
    circuit.measure([0, 1, 2], [0, 1, 2])
    a, b, c = (expr.lift(bit) for bit in circuit.clbits)
    pairs = [expr.bit_and(a, b), expr.bit_and(a, c), expr.bit_and(b, c)]
    majority = circuit.add_var("majority", expr.bit_or(expr.bit_or(pairs[0], pairs[1]), pairs[2]))
    with circuit.if_test(majority):
        circuit.x(3)

    assert exact(circuit, "ZIII", "ZIIZ") == pytest.approx([0, 0.5], abs=1e-12)


def shares(circuit: QuantumCircuit, register: str = "c", shots: int = 2000) -> dict[str, float]:
    """How often a register held what."""
    found = Engine().sampler_plan(circuit).run(np.zeros(0), shots=shots, seed=3)[register].get_counts()
    return {bits: count / shots for bits, count in found.items()}


def test_loops_and_stored_bits_are_sampled() -> None:
    """The coin thrown until it shows 1; a counter of three flips; a stored bit that no measurement ever wrote."""
    until = QuantumCircuit(1, 1)
    with until.while_loop((until.clbits[0], 0)):
        until.h(0)
        until.measure(0, 0)
    counter = QuantumCircuit(1, 1)
    number = counter.add_var("number", expr.lift(0, types.Uint(8)))
    with counter.while_loop(expr.less(number, 3)):
        counter.x(0)
        counter.store(number, expr.add(number, 1))
    counter.measure(0, 0)
    stored = QuantumCircuit(1, 1)
    stored.store(stored.clbits[0], expr.lift(True))

    for circuit in (until, counter, stored):
        assert shares(circuit) == {"1": 1.0}


def test_a_stored_majority_is_sampled() -> None:
    """Three coins and their majority: eight outcomes of 1/8 each, the fourth bit being the majority in every one."""
    circuit = QuantumCircuit(4, 4)
    circuit.h([0, 1, 2])
    circuit.measure([0, 1, 2], [0, 1, 2])
    a, b, c = (expr.lift(bit) for bit in circuit.clbits[:3])
    pairs = [expr.bit_and(a, b), expr.bit_and(a, c), expr.bit_and(b, c)]
    majority = circuit.add_var("majority", expr.bit_or(expr.bit_or(pairs[0], pairs[1]), pairs[2]))
    with circuit.if_test(majority):
        circuit.x(3)
    circuit.measure(3, 3)

    found = shares(circuit)
    assert set(found) == {f"{bits.count('1') // 2}{bits}" for bits in (f"{n:03b}" for n in range(8))}
    assert all(abs(share - 0.125) < 5 * (0.125 * 0.875 / 2000) ** 0.5 for share in found.values())


def test_gates_that_nobody_knows_are_refused_by_name() -> None:
    """A gate without definition and matrix, also inside another gate or a block, in Estimator and Sampler."""
    opaque = Gate("zz_native", 2, [0.3])
    plain, wrapped, inside = (QuantumCircuit(2, 1) for _ in range(3))
    plain.append(opaque, [0, 1])
    body = QuantumCircuit(2, name="wrapper")
    body.append(opaque, [0, 1])
    wrapped.append(body.to_gate(), [0, 1])
    with inside.if_test((inside.clbits[0], 1)):
        inside.append(opaque, [0, 1])

    for circuit in (plain, wrapped, inside):
        assert classify(circuit).opaque == ("zz_native",)
        circuit.measure(0, 0)
        for make in (Engine().sampler_plan, lambda one: Engine().estimator_plan(one, SparsePauliOp("ZZ"))):
            with pytest.raises(ConfigError, match="the circuit uses the opaque gate 'zz_native'"):
                make(circuit)


def test_sub_circuits_that_reset_are_seen() -> None:
    """A reset inside an instruction, a box or a loop over known indices is a reset; ⟨ZI⟩ of half a Bell pair is 0."""
    inner = QuantumCircuit(1)
    inner.reset(0)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.append(inner.to_instruction(), [0])
    boxed = QuantumCircuit(2)
    boxed.h(0)
    boxed.cx(0, 1)
    with boxed.box(), boxed.for_loop(range(3)):
        boxed.reset(0)

    for one in (circuit, boxed):
        assert classify(one).resets
        assert exact(one, "ZI", "IZ") == pytest.approx([0, 1], abs=1e-12)


def test_what_a_circuit_is() -> None:
    """Nothing but gates is unitary; so are a loop over known indices and a preparation at the very beginning."""
    plain = QuantumCircuit(1, 1)
    plain.initialize([0, 1], 0)
    with plain.for_loop(range(2)):
        plain.x(0)
    plain.measure(0, 0)
    reused = QuantumCircuit(1, 1)
    reused.x(0)
    reused.reset(0)
    branching = QuantumCircuit(1, 1)
    branching.measure(0, 0)
    with branching.if_test((branching.clbits[0], 1)):
        branching.x(0)

    assert classify(plain).unitary
    assert (classify(reused).resets, classify(reused).measures, classify(reused).unitary) == (
        True,
        False,
        False,
    )
    assert (classify(branching).branches, classify(branching).measures) == (True, True)
    assert exact(plain, "Z") == pytest.approx([-1])


def test_it_knows_the_frequencies_of_its_parameters() -> None:
    """⟨Z⟩ after ry(a) is cos a: frequency 1; after ry(b) and ry(b/2) it is cos(3b/2), so 3/2 is among those of b."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.ry(a, 0)
    circuit.ry(b, 1)
    circuit.ry(b / 2, 1)

    found = classify(circuit).frequencies
    assert list(found) == [a, b]
    assert found[a] == (1.0,)
    assert 1.5 in (found[b] or ())


def test_too_large_circuits_are_refused_with_their_size() -> None:
    """Thirty connected qubits of which one is reset have no exact values here; with few, vectors do for many qubits."""
    large, medium = QuantumCircuit(30), QuantumCircuit(14)
    for circuit in (large, medium):
        circuit.h(0)
        for qubit in range(circuit.num_qubits - 1):
            circuit.cx(qubit, qubit + 1)
        circuit.reset(0)

    with pytest.raises(ConfigError, match=r"got 30 with 1; take estimator=shots"):
        exact(large, "Z" * 30)
    # Z on thirteen of the fourteen qubits of a cat state is odd: 0 on average; on two of them it is certain
    assert exact(medium, "Z" * 13 + "I", "ZZ" + "I" * 12) == pytest.approx([0, 1], abs=1e-12)


def test_too_large_trajectories_are_refused_beforehand() -> None:
    """Fifty connected qubits with a T gate and a reset fit into no memory; without the T gate they are Clifford."""
    circuit = QuantumCircuit(50)
    circuit.h(0)
    for qubit in range(49):
        circuit.cx(qubit, qubit + 1)
    circuit.reset(0)
    plan = Engine().estimator_plan(circuit, SparsePauliOp("ZZ" + "I" * 48))

    plan.require(exact=False)
    numbers = plan.run(np.zeros(0), shots=100, seed=1)
    assert (numbers.evs, numbers.stds) == (1, 0)  # equal in every shot: the qubits are a cat state's
    circuit.t(1)
    with pytest.raises(ConfigError, match="a state vector of 50 qubits"):
        Engine().estimator_plan(circuit, SparsePauliOp("Z" * 50)).require(exact=False)


def test_noise_on_the_way_is_aers() -> None:
    """Gate errors, misread conditions and errors of measuring itself: as 20 000 of Aer's own trajectories."""
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel, ReadoutError, amplitude_damping_error, depolarizing_error

    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(amplitude_damping_error(0.2), ["h", "x", "reset"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    noise.add_quantum_error(amplitude_damping_error(0.3), "measure", [0])
    noise.add_readout_error(ReadoutError([[0.9, 0.1], [0.2, 0.8]]), [0])
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.reset(0)
    circuit.h(0)
    plan = Engine(noise_model=noise).estimator_plan(circuit, SparsePauliOp("ZI"))
    found = plan.run(np.zeros(0), shots=None, seed=1)
    measured = circuit.copy()
    measured.measure(1, 1)
    counts = (
        AerSimulator(noise_model=noise, seed_simulator=5).run(measured, shots=20_000).result().get_counts()
    )
    mean = sum((1 - 2 * int(bits[0])) * count for bits, count in counts.items()) / 20_000

    assert float(found.evs) == pytest.approx(mean, abs=5 / 20_000**0.5)


def test_the_oracle_prepares_what_initialize_says() -> None:
    """The oracle's unitary has the amplitudes as its first column and is unitary."""
    circuit = QuantumCircuit(2)
    amplitudes = random_statevector(4, 3).data
    circuit.initialize(amplitudes, [0, 1])

    assert density(circuit) == pytest.approx(np.outer(amplitudes, amplitudes.conj()))
    assert Operator(circuit.data[0].operation.definition.data[-1].operation).is_unitary()


def _into_loose_bits() -> dict[str, QuantumCircuit]:
    """Circuits over one bit in no register and a register of one bit, in every order and use."""
    made = {}
    for name in ("if", "expression", "switch", "while", "again", "box", "sub-circuit"):
        circuit = QuantumCircuit(2)
        loose, register = Clbit(), ClassicalRegister(1, "c")
        circuit.add_bits([loose])
        circuit.add_register(register)
        circuit.ry(1.1, 0)
        inner = QuantumCircuit(1, 1)
        inner.measure(0, 0)
        if name == "box":
            with circuit.box():
                circuit.measure(0, loose)
        elif name == "sub-circuit":
            circuit.append(inner.to_instruction(), [0], [loose])
        else:
            circuit.measure(0, loose)
        _use(circuit, name, loose)
        circuit.ry(0.4, 0)
        circuit.cx(0, 1)
        circuit.ry(0.2, 1)
        made[name] = circuit
    return made


def _use(circuit: QuantumCircuit, name: str, loose: Clbit) -> None:
    if name == "if":
        with circuit.if_test((loose, 1)):
            circuit.x(1)
    elif name == "expression":
        with circuit.if_test(expr.logic_not(loose)):
            circuit.x(1)
    elif name == "switch":
        with circuit.switch(loose) as case, case(1):
            circuit.x(1)
    elif name == "while":
        with circuit.while_loop((loose, 1)):
            circuit.x(1)
            circuit.x(0)
            circuit.measure(0, loose)


@pytest.mark.parametrize("name", _into_loose_bits())
def test_bits_in_no_register_are_bits(name: str) -> None:
    """Exact and sampled values and a register's samples, by the two courses of the one bit written down by hand.

    It is 1 with sin²(0.55), and flips qubit 1 then (where it is negated: otherwise), or only dephases qubit 0.
    """
    circuit = _into_loose_bits()[name]
    seen = np.sin(0.55) ** 2
    flips = {"if": (0, 1), "expression": (1, 0), "switch": (0, 1), "while": (0, 1)}.get(name, (0, 0))
    state = np.zeros((4, 4), dtype=complex)
    for bit, weight in enumerate((1 - seen, seen)):
        course = QuantumCircuit(2)
        course.initialize(np.eye(4)[(0 if name == "while" else bit) + 2 * flips[bit]])
        course.ry(0.4, 0)
        course.cx(0, 1)
        course.ry(0.2, 1)
        state += weight * density(course)
    labels = ["ZZ", "XZ", "ZI", "IX"]
    wanted = [np.trace(SparsePauliOp(label).to_matrix() @ state).real for label in labels]

    for engine in ("auto", "aer", "kernel"):
        assert exact(circuit, *labels, engine=engine) == pytest.approx(wanted, abs=1e-9)
    for method in (
        "automatic",
        "matrix_product_state",
    ):  # probabilities of all courses, and Aer's trajectories
        plan = Engine(method=method).estimator_plan(circuit, [SparsePauliOp(label) for label in labels])
        found = plan.run(np.zeros(0), shots=2000, seed=1)
        assert (abs(found.evs - wanted) < 5 * found.stds + 1e-9).all()
        measured = circuit.copy()
        measured.measure(1, circuit.cregs[0])
        counts = (
            Engine(method=method)
            .sampler_plan(measured)
            .run(np.zeros(0), shots=2000, seed=1)["c"]
            .get_int_counts()
        )
        assert 1 - 2 * counts.get(1, 0) / 2000 == pytest.approx(wanted[2], abs=5 / 2000**0.5)

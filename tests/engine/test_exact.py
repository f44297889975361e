"""Exact expectation values: kernel, native Aer and public Aer against qiskit's own simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import GlobalPhaseGate, efficient_su2
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer.noise import NoiseModel, depolarizing_error

from runner.engine import Engine
from runner.engine import aer as aer_module
from runner.errors import ConfigError, NumericalError
from tests.engine.strategies import circuits, heisenberg, ising, observables

KERNEL, AER = Engine(engine="kernel"), Engine(engine="aer")


def reference(circuit: QuantumCircuit, operator: object, values: np.ndarray) -> np.ndarray:
    """What qiskit's StatevectorEstimator says."""
    return StatevectorEstimator().run([(circuit, operator, values)]).result()[0].data.evs


@given(st.data())
def test_both_engines_agree_with_statevector_estimator(data: st.DataObject) -> None:
    """Random circuits, Pauli sums and parameters give the same energies everywhere."""
    circuit = data.draw(circuits())
    operator = data.draw(observables(circuit.num_qubits))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).uniform(-4, 4, (2, circuit.num_parameters))
    expected = reference(circuit, operator, values)
    kernel = KERNEL.estimator_plan(circuit, operator).run(values, shots=None, seed=1)
    aer = AER.estimator_plan(circuit, operator).run(values, shots=None, seed=1)

    np.testing.assert_allclose(kernel.evs, expected, atol=1e-10)
    np.testing.assert_allclose(kernel.evs, aer.evs, atol=1e-11)
    assert not kernel.stds.any()
    assert kernel.shots is None


@pytest.mark.parametrize("qubits", [4, 7, 12, 15])
def test_kernel_and_aer_agree_to_twelve_digits(qubits: int, rng: np.random.Generator) -> None:
    """Circuits of every size class (in-lane, one block, two cache levels) agree to 1e-12 relative to the terms."""
    circuit = efficient_su2(qubits, reps=1)
    labels = ["".join(rng.choice(list("IXYZ"), qubits)) for _ in range(12)]
    operator = SparsePauliOp(labels, rng.normal(size=12))
    values = rng.uniform(-4, 4, circuit.num_parameters)
    kernel = KERNEL.estimator_plan(circuit, operator).run(values, shots=None, seed=1).evs
    aer = AER.estimator_plan(circuit, operator).run(values, shots=None, seed=1).evs

    assert abs(kernel - aer) < 1e-12 * np.abs(operator.coeffs).sum()


def test_public_aer_fallback_agrees_with_the_native_path(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an unknown Aer version the public interface gives the same numbers, after saying so."""
    circuit = efficient_su2(3, reps=1)
    values = rng.uniform(-4, 4, (2, circuit.num_parameters))
    native = Engine(engine="aer").estimator_plan(circuit, heisenberg(3)).run(values, shots=None, seed=1)
    monkeypatch.setattr(aer_module, "TESTED", ())
    aer_module._notice_public.cache_clear()
    plan = Engine(engine="aer").estimator_plan(circuit, heisenberg(3))
    with pytest.warns(UserWarning, match="AerSimulator.run"):
        public = plan.run(values, shots=None, seed=1)

    np.testing.assert_allclose(public.evs, native.evs, atol=1e-12)


def test_several_observables_broadcast_against_the_batch(rng: np.random.Generator) -> None:
    """Shapes broadcast as in the primitives: (3, 1) sets against 2 observables give (3, 2)."""
    circuit = efficient_su2(3, reps=1)
    operators = [heisenberg(3), SparsePauliOp("XYZ")]
    values = rng.uniform(-4, 4, (3, 1, circuit.num_parameters))
    for engine in (KERNEL, AER):
        plan = engine.estimator_plan(circuit, operators)

        assert plan.shape == (2,)
        np.testing.assert_allclose(
            plan.run(values, shots=None, seed=1).evs, reference(circuit, operators, values), atol=1e-12
        )


def test_pairs_of_sets_and_observables(rng: np.random.Generator) -> None:
    """Equal shapes pair up, and shapes that do not broadcast are refused in one line."""
    circuit = efficient_su2(2, reps=1)
    operators = [SparsePauliOp("XX"), SparsePauliOp("ZI"), SparsePauliOp("YY")]
    values = rng.uniform(-4, 4, (3, circuit.num_parameters))
    plan = KERNEL.estimator_plan(circuit, operators)

    np.testing.assert_allclose(
        plan.run(values, shots=None, seed=1).evs, reference(circuit, operators, values), atol=1e-12
    )
    with pytest.raises(ConfigError, match="do not broadcast"):
        plan.run(values[:2], shots=None, seed=1)


def test_projectors_are_expanded() -> None:
    """The observables' extended alphabet works: |0⟩⟨0| on a half-turned qubit is 1/2."""
    circuit = QuantumCircuit(2)
    circuit.h(0)

    assert KERNEL.estimator_plan(circuit, {"00": 1.0}).run(
        np.zeros(0), shots=None, seed=1
    ).evs == pytest.approx(0.5)
    assert KERNEL.estimator_plan(circuit, {"I+": 1.0}).run(
        np.zeros(0), shots=None, seed=1
    ).evs == pytest.approx(1)


def test_layouts_and_idle_qubits(rng: np.random.Generator) -> None:
    """A circuit laid out on a larger device, most of it idle, gives the logical circuit's values."""
    from qiskit.providers.fake_provider import GenericBackendV2

    backend = GenericBackendV2(27, seed=3)
    circuit = efficient_su2(3, reps=1)
    values = rng.uniform(-4, 4, circuit.num_parameters)
    isa = generate_preset_pass_manager(2, backend=backend, seed_transpiler=5, initial_layout=[20, 4, 11]).run(
        circuit
    )
    operator = heisenberg(3).apply_layout(isa.layout)
    for engine in (KERNEL, AER):
        plan = engine.estimator_plan(isa, operator)

        assert plan.run(values, shots=None, seed=1).evs == pytest.approx(
            reference(circuit, heisenberg(3), values)
        )


def test_large_circuits_that_fall_into_pieces() -> None:
    """Forty qubits in twenty entangled pairs are simulated pair by pair."""
    circuit = QuantumCircuit(40)
    for qubit in range(0, 40, 2):
        circuit.ry(0.1 * qubit, qubit)
        circuit.cx(qubit, qubit + 1)
    operator = SparsePauliOp.from_sparse_list([("ZZ", [4, 5], 1.0), ("ZZ", [4, 8], 1.0), ("", [], 2.0)], 40)
    numbers = Engine().estimator_plan(circuit, operator).run(np.zeros(0), shots=None, seed=1)

    assert numbers.evs == pytest.approx(1 + np.cos(0.4) * np.cos(0.8) + 2)


@pytest.mark.parametrize("engine", [KERNEL, AER])
def test_hydrogen(engine: Engine) -> None:
    """H2 at 0.735 Å in the two-qubit parity mapping: the exact state's energy is the FCI energy."""
    operator = SparsePauliOp(
        ["II", "IZ", "ZI", "ZZ", "XX"],
        [
            -1.052373245772859,
            0.39793742484318045,
            -0.39793742484318045,
            -0.01128010425623538,
            0.18093119978423156,
        ],
    )
    energies, states = np.linalg.eigh(operator.to_matrix())
    circuit = QuantumCircuit(2)
    circuit.prepare_state(states[:, 0], [0, 1])

    assert energies[0] == pytest.approx(-1.857275030202378, abs=1e-9)
    numbers = engine.estimator_plan(circuit, operator).run(np.zeros(0), shots=None, seed=1)
    assert numbers.evs == pytest.approx(energies[0], abs=1e-12)


@pytest.mark.parametrize("engine", [KERNEL, AER])
@pytest.mark.parametrize("qubits", [4, 6])
def test_ising_ground_state(engine: Engine, qubits: int) -> None:
    """The transverse-field Ising chain at criticality: E0 = 1 - 1/sin(π / (2(2n + 1))), open ends."""
    operator = ising(qubits, 1.0)
    _, states = np.linalg.eigh(operator.to_matrix())
    circuit = QuantumCircuit(qubits)
    circuit.prepare_state(states[:, 0], range(qubits))
    numbers = engine.estimator_plan(circuit, operator).run(np.zeros(0), shots=None, seed=1)

    assert numbers.evs == pytest.approx(1 - 1 / np.sin(np.pi / (2 * (2 * qubits + 1))), abs=1e-10)


@pytest.mark.parametrize("method", ["density_matrix", "matrix_product_state", "statevector"])
def test_other_methods(method: str, rng: np.random.Generator) -> None:
    """Every simulation method gives the same exact values."""
    circuit = efficient_su2(4, reps=1)
    values = rng.uniform(-4, 4, circuit.num_parameters)
    numbers = Engine(method=method).estimator_plan(circuit, heisenberg(4)).run(values, shots=None, seed=1)

    assert numbers.evs == pytest.approx(reference(circuit, heisenberg(4), values), abs=1e-9)


def test_stabilizer_method() -> None:
    """A hundred-qubit GHZ state has ⟨X…X⟩ = ⟨ZZ⟩ = 1; a T gate is refused in one line."""
    circuit = QuantumCircuit(100)
    circuit.h(0)
    for qubit in range(99):
        circuit.cx(qubit, qubit + 1)
    operator = SparsePauliOp(["X" * 100, "ZZ" + "I" * 98])
    for engine in (Engine(method="stabilizer"), Engine()):
        numbers = engine.estimator_plan(circuit, operator).run(np.zeros(0), shots=None, seed=1)

        assert numbers.evs == pytest.approx(2)
    circuit.t(3)
    with pytest.raises(ConfigError, match="stabilizer"):
        Engine(method="stabilizer").estimator_plan(circuit, operator).run(np.zeros(0), shots=None, seed=1)


def test_refusals() -> None:
    """What cannot be run is refused with a reason, before anything is simulated."""
    circuit = QuantumCircuit(2)
    with pytest.raises(ConfigError, match="real coefficients"):
        KERNEL.estimator_plan(circuit, SparsePauliOp("XX", 1j))
    with pytest.raises(ConfigError, match="3 qubits, the circuit has 2"):
        KERNEL.estimator_plan(circuit, SparsePauliOp("XXX"))
    with pytest.raises(ConfigError, match="method must be one of"):
        Engine(method="tensor")
    with pytest.raises(ConfigError, match="takes 0 parameters"):
        KERNEL.estimator_plan(circuit, SparsePauliOp("XX")).run(np.zeros(3), shots=None, seed=1)
    big = QuantumCircuit(45)
    big.rx(0.1, 0)
    for qubit in range(44):
        big.cx(qubit, qubit + 1)
    for engine in (KERNEL, AER):
        with pytest.raises(ConfigError, match=r"45 qubits .*needs .* [TP]iB"):
            engine.estimator_plan(big, SparsePauliOp("X" * 45)).run(np.zeros(0), shots=None, seed=1)


def test_values_that_are_not_numbers_are_refused() -> None:
    """A parameter that is not finite is no angle: kernels that look angles up would read any number for it."""
    angle = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.ry(angle, 0)
    plan = KERNEL.estimator_plan(circuit, SparsePauliOp("Z"))

    with pytest.raises(NumericalError, match="must be finite numbers"):
        plan.run(np.array([np.nan]), shots=None, seed=1)


def test_a_list_of_observables_changed_in_place_is_noticed() -> None:
    """The same list object with another coefficient inside is another question."""
    circuit = QuantumCircuit(1)
    observables = [SparsePauliOp("Z", 1.0), SparsePauliOp("X", 1.0)]
    engine = Engine()
    before = engine.estimator_plan(circuit, observables)

    observables[0].coeffs[0] = 3.0
    after = engine.estimator_plan(circuit, observables)

    assert engine.estimator_plan(circuit, observables) is after
    assert before.run(np.zeros(0), shots=None, seed=1).evs.tolist() == [1.0, 0.0]
    assert after.run(np.zeros(0), shots=None, seed=1).evs.tolist() == [3.0, 0.0]


@pytest.mark.parametrize("noisy", [False, True])
def test_a_phase_of_the_whole_that_parameters_turn_is_seen_by_nobody(noisy: bool) -> None:
    """Of several parameter sets on Aer, too, with which p and cp come down to rz: ⟨Z⟩ after ry(a) is cos a."""
    angle = Parameter("a")
    circuit = QuantumCircuit(2, global_phase=angle)
    circuit.append(GlobalPhaseGate(2 * angle), [])
    circuit.ry(angle, 0)
    circuit.cp(angle, 0, 1)
    circuit.p(angle, 1)
    circuit = generate_preset_pass_manager(1, basis_gates=["rz", "sx", "cx", "global_phase"]).run(circuit)
    assert circuit.global_phase.parameters
    values = np.array([[0.3], [0.4], [-2.0]])
    model = NoiseModel(basis_gates=["rz", "sx", "cx"]) if noisy else None
    if model is not None:
        model.add_all_qubit_quantum_error(depolarizing_error(0.0, 1), ["sx"])
    engine = Engine(noise_model=model, engine="aer")

    found = engine.estimator_plan(circuit, SparsePauliOp("IZ")).run(values, shots=None, seed=1)

    np.testing.assert_allclose(found.evs, np.cos(values[:, 0]), atol=1e-12)

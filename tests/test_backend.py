"""Declared backends become something circuits can be fitted to and run on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

from runner import run
from runner.declare.backend import snapshots
from runner.declare.composer import compose
from runner.errors import ConfigError
from runner.run.problem import fit
from runner.runtime import EstimatorV2, LocalRuntimeService

IBM = pytest.mark.skipif(not snapshots(), reason="device snapshots come with qiskit-ibm-runtime")


def expectation(*overrides: str, shots: int = 20_000) -> tuple[float, float]:
    """⟨ZZ⟩ of a Bell state on a declared backend: 1 without noise."""
    config = compose(*overrides)
    backend = config.backend.build(config.session.build(seed=1, engine_options=config.backend.engine_options))
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    isa = fit(circuit, backend, config)
    observable = SparsePauliOp("ZZ").apply_layout(isa.layout)
    data = (
        EstimatorV2(mode=backend, options={"default_shots": shots}).run([(isa, observable)]).result()[0].data
    )
    return float(data.evs), float(data.stds)


def test_the_ideal_backend_has_no_noise() -> None:
    """Every shot of a Bell state has even parity."""
    assert expectation("backend=ideal") == (1.0, 0.0)


def test_readout_errors_are_those_declared() -> None:
    """Flipping each of two bits with probability p multiplies ⟨ZZ⟩ by (1 - 2p)²."""
    value, error = expectation(
        "backend=noisy", "backend.readout_error=0.1", "backend.depolarizing_1q=0", "backend.depolarizing_2q=0"
    )

    assert value == pytest.approx(0.8**2, abs=5 * error)


def test_depolarizing_errors_are_those_declared() -> None:
    """A fully depolarizing channel of strength p on both qubits leaves (1 - p)⟨ZZ⟩."""
    value, error = expectation(
        "backend=noisy", "backend.readout_error=0", "backend.depolarizing_1q=0", "backend.depolarizing_2q=0.2"
    )

    assert value == pytest.approx(0.8, abs=5 * error)


def test_relaxation_is_that_declared() -> None:
    """After cx of length t, ⟨ZZ⟩ of a Bell state with T1 on both qubits is 1 - 2q(1 - q), q = 1 - exp(-t/T1)."""
    value, error = expectation(
        "backend=noisy", "backend.readout_error=0", "backend.depolarizing_1q=0", "backend.depolarizing_2q=0",
        "backend.t1=10", "backend.gate_time_1q=0.000001", "backend.gate_time_2q=1",
    )  # fmt: skip
    q = 1 - np.exp(-0.1)

    assert value == pytest.approx(1 - 2 * q * (1 - q), abs=5 * error)


@pytest.mark.parametrize(
    ("topology", "asked", "got"),
    [("full", 5, 5), ("line", 5, 5), ("ring", 5, 5), ("grid", 5, 6), ("heavy_hex", 5, 19)],
)
def test_generic_devices_take_the_smallest_lattice_that_fits(topology: str, asked: int, got: int) -> None:
    """Grids and heavy-hex lattices come in fixed sizes."""
    config = compose("backend=generic", f"backend.topology={topology}", f"backend.num_qubits={asked}")

    assert config.backend.build(config.session.build(seed=1)).num_qubits == got


@IBM
def test_a_snapshot_is_the_device_with_its_noise() -> None:
    """fake_manila: five qubits in a line, and a Bell state that is not perfect."""
    value, error = expectation("backend=fake_manila")

    assert 0.7 < value < 1 - 3 * error


@IBM
def test_a_snapshot_can_be_used_without_its_noise() -> None:
    """Topology and durations only."""
    assert expectation("backend=fake_manila", "backend.noise=false") == (1.0, 0.0)


@IBM
def test_every_snapshot_can_be_named() -> None:
    """backend=device backend.device=fake_…"""
    names = snapshots()

    assert {"fake_torino", "fake_manila"} <= set(names)
    assert compose("backend=device", f"backend.device={names[-1]}").backend.device == names[-1]


@pytest.mark.parametrize(
    ("key", "value"),
    [("readout_error", 0.7), ("depolarizing_2q", 1.5), ("t1", -1), ("t1", "inf"), ("gate_time_1q", 0)],
)
def test_impossible_noise_is_refused(key: str, value: float) -> None:
    """Each by its key."""
    with pytest.raises(ConfigError, match=rf"^backend\.{key}: "):
        compose("backend=noisy", f"backend.{key}={value}")


def test_t2_is_at_most_twice_t1() -> None:
    """Anything else is no physical channel."""
    with pytest.raises(ConfigError, match=r"^backend\.t2: must be at most 2·t1 = 20"):
        compose("backend=noisy", "backend.t1=10", "backend.t2=21")


@IBM
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["backend.quasi_static.zz=-1"], "backend.quasi_static.zz: must be at least 0"),
        (["backend.quasi_static.shots_per_batch=3"], "acts with detuning or zz, and both are 0"),
        (["backend.quasi_static.detuning=1", "backend.schedule=false"], "leave one of them out"),
        (["backend.quasi_static.detuning=1", "backend.noise=false"], "in addition to the snapshot's noise"),
        (["backend=noisy", "backend.quasi_static.detuning=1"], "is a key of device, generic"),
    ],
)
def test_drifting_frequencies_that_cannot_act_are_refused(overrides: list[str], told: str) -> None:
    """One line that says what they act with."""
    with pytest.raises(ConfigError, match=told):
        compose("backend=fake_manila", *overrides)


@IBM
def test_drifting_frequencies_are_declared_in_hertz() -> None:
    """⟨ZZ⟩ of a Bell state does not see phases; ⟨XX⟩ sees those of what both qubits wait for, beside the readout."""
    config = compose("backend=fake_manila", "backend.quasi_static.detuning=20000")
    options = config.backend.engine_options
    assert (options["quasi_static"].detuning, options["quasi_static"].batch) == (20e3, 64)
    waits = QuantumCircuit(2)
    waits.h(0)
    waits.cx(0, 1)
    waits.delay(4, [0, 1], "us")
    values = []
    for given in ({}, options):
        backend = config.backend.build(config.session.build(seed=1, engine_options=given))
        isa = fit(waits, backend, config)
        observables = [SparsePauliOp(label).apply_layout(isa.layout) for label in ("ZZ", "XX")]
        values.append(EstimatorV2(mode=backend).run([(isa, observables)]).result()[0].data)
    without, drifting = values

    assert backend.idle_qubits == "decay and dephase by frequencies that drift"
    assert float(drifting.evs[0]) == pytest.approx(float(without.evs[0]), abs=0.06)
    # both qubits' frequencies add up: the variance of the phase is twice that of one
    fallen = np.exp(-2 * (2 * np.pi * 20e3 * 4e-6) ** 2 / 2)
    assert float(drifting.evs[1]) == pytest.approx(
        fallen * float(without.evs[1]), abs=4 * float(drifting.stds[1])
    )


UNCALIBRATED = (
    "backend=noisy",
    "backend.depolarizing_1q=0.1",
    "backend.readout_error=0",
    "backend.transpile=false",
)
ONE_QUBIT = ("experiment=estimation", "ansatz.qubits=1", "experiment.observables=[[Z]]", "estimator=exact")
QUIET = ("tracking=off", "run.figures=false")


@pytest.mark.parametrize("gate", ["[ry,3.141592653589793,0]", "[h,0]", "[rx,1,0]"])
def test_a_gate_that_noise_is_not_declared_for_is_not_simulated_without(gate: str, workdir: Path) -> None:
    """A depolarized flip is −(1 − p); untranspiled gates of another name had no noise at all, and gave −1."""
    with pytest.raises(ConfigError, match=r"^backend\.transpile: is false, but .* its noise is not of"):
        run(compose(*ONE_QUBIT, *UNCALIBRATED, *QUIET, f"ansatz.gates=[{gate}]"))
    found = run(compose(*ONE_QUBIT, *UNCALIBRATED, *QUIET, "ansatz.gates=[[x,0]]"))
    assert found.energy == pytest.approx(-0.9)


def test_noise_of_ones_own_simulator_goes_with_the_gates_that_it_is_of() -> None:
    """An attached AerSimulator whose noise is of x and sx refuses ry, and takes it where noise is of that."""
    circuit = QuantumCircuit(1)
    circuit.ry(np.pi, 0)
    found = []
    for gates in (["x", "sx"], ["ry"]):
        model = NoiseModel(basis_gates=[*gates, "rz"])
        model.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), gates)
        backend = LocalRuntimeService(seed=1).attach(AerSimulator(noise_model=model))
        try:
            result = EstimatorV2(mode=backend).run([(circuit, SparsePauliOp("Z"))], precision=0).result()
            found.append(float(result[0].data.evs))
        except ConfigError as error:
            found.append(str(error))
    assert "is not an ISA circuit of aer_simulator" in str(found[0])
    assert found[1] == pytest.approx(-0.9)


@pytest.mark.parametrize("wait", ["[delay,30,0]", "[delay,30,0],[x,0],[x,0]"])
def test_a_wait_in_which_nothing_would_relax_is_refused(wait: str, workdir: Path) -> None:
    """After 30 µs of T1 = 50 µs ⟨Z⟩ is 1 − 2 exp(−0.6) = −0.098; what acts during gates only gave −1."""
    relaxing = ("backend=noisy", "backend.t1=50", "backend.readout_error=0", "backend.depolarizing_1q=0")
    with pytest.raises(
        ConfigError, match=r"the circuit has a delay, and backend\.t1 and backend\.t2 act during gates only"
    ):
        run(compose(*ONE_QUBIT, *relaxing, *QUIET, f"ansatz.gates=[[x,0],{wait}]"))
    found = run(compose(*ONE_QUBIT, *relaxing[:1], *relaxing[2:], *QUIET, f"ansatz.gates=[[x,0],{wait}]"))
    assert found.energy == pytest.approx(-1)


@IBM
@pytest.mark.parametrize("transpile", ["true", "false"])
def test_a_wait_that_a_device_cannot_keep_to_is_refused_in_any_circuit(transpile: str, workdir: Path) -> None:
    """30 µs are 135 000 dt of fake_manila, whose gates begin at multiples of 16 dt, between 134 992 and 135 008."""
    gates = "ansatz.gates=[[x,0],[delay,30,0]]"
    with pytest.raises(ConfigError, match=r"135000 dt.* make it 134992 dt .* or 135008 dt"):
        run(compose(*ONE_QUBIT, "backend=fake_manila", f"backend.transpile={transpile}", *QUIET, gates))

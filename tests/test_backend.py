"""Declared backends become something circuits can be fitted to and run on."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from runner.declare.backend import snapshots
from runner.declare.composer import compose
from runner.errors import ConfigError
from runner.run.problem import fit
from runner.runtime import EstimatorV2

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

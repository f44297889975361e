"""Long simulations: computed in parts or in another process to the same bits, and given up when a signal comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import NoiseModel, depolarizing_error

from runner.engine import Engine
from runner.engine.aer import AerOptions, AerProgram
from runner.engine.apart import APART
from runner.errors import Interrupted
from runner.record.interruption import unwatch, watch
from runner.run.signals import StopFlag


def noise() -> NoiseModel:
    """Depolarizing pairs."""
    model = NoiseModel(basis_gates=["ry", "rz", "cx", "h", "sdg"])
    model.add_all_qubit_quantum_error(depolarizing_error(0.02, 2), "cx")
    return model


def test_parts_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients of five qubits block by block, basis by basis and group by group, as in one go."""
    circuit = efficient_su2(5, reps=2)
    operator = SparsePauliOp(["XXIII", "IZZII", "IIYYX"], [0.3, -0.4, 1.1])
    rows = np.random.default_rng(2).uniform(-3, 3, (2, circuit.num_parameters))
    seen = []
    for part in (4e8, 1e3):
        monkeypatch.setattr("runner.engine.kernel.pauli_vector._PART", part)
        plan = Engine(noise_model=noise()).estimator_plan(circuit, operator)
        evs, slopes = plan.gradient(rows)
        seen.append((plan.run(rows, shots=None, seed=1).evs.tolist(), evs.tolist(), slopes.tolist()))

    assert seen[0][0] == seen[1][0]
    assert seen[0][2] == seen[1][2]
    np.testing.assert_allclose(seen[0][1], seen[1][1], rtol=0, atol=1e-14)


def test_a_signal_is_seen_between_the_parts() -> None:
    """With the flag up no further part of a simulation is begun; afterwards everything works again."""
    circuit = efficient_su2(3, reps=1)
    plan = Engine(noise_model=noise()).estimator_plan(circuit, SparsePauliOp("ZZX"))
    values = np.zeros(circuit.num_parameters)
    with StopFlag() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signum == signal.SIGTERM
        with pytest.raises(Interrupted):
            plan.run(values, shots=None, seed=1)

    assert np.isfinite(plan.run(values, shots=None, seed=1).evs)


def measured(qubits: int) -> QuantumCircuit:
    """A ladder with everything measured."""
    circuit = efficient_su2(qubits, reps=1).decompose()
    circuit.measure_all()
    return circuit


def test_aer_in_another_process_gives_the_same_bits_and_can_be_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trajectories here and apart: equal counts. Then 10⁹ shots, minutes of Aer: a raised flag ends them at once."""
    circuit = measured(4)
    values = np.random.default_rng(3).uniform(-3, 3, (2, circuit.num_parameters))
    options = AerOptions("statevector", 1, noise())
    here = AerProgram([circuit], list(circuit.parameters), options)
    apart = AerProgram([circuit], list(circuit.parameters), options)
    expected = here.run(values, shots=200, seed=5)
    monkeypatch.setattr("runner.engine.aer.LONG", 0.0)
    found = apart.run(values, shots=200, seed=5)
    looks = iter(range(3))

    def stop() -> None:
        if next(looks, None) is None:
            raise Interrupted(signal.SIGTERM)

    watch(stop)
    try:
        with pytest.raises(Interrupted):
            apart.run(values, shots=10**9, seed=5)
    finally:
        unwatch(stop)

    assert [one["counts"] for one in found[0]] == [one["counts"] for one in expected[0]]
    assert APART._process is None
    again = apart.run(values, shots=200, seed=5)
    assert [one["counts"] for one in again[0]] == [one["counts"] for one in expected[0]]


@pytest.mark.nightly
def test_sigterm_ends_a_run_within_its_first_long_job(tmp_path: Path) -> None:
    """Trajectories of ten qubits on fake_torino, minutes of them: exit code 143, nothing recorded as completed."""
    pytest.importorskip("qiskit_ibm_runtime")
    place = tmp_path / "run"
    overrides = ["hamiltonian=tfim", "hamiltonian.shape=[10]", "backend=fake_torino", "optimizer=spsa"]
    more = ["backend.method=statevector", "tracking=off", "run.figures=false", f"hydra.run.dir={place}"]
    process = subprocess.Popen([sys.executable, "-m", "runner", *overrides, *more])
    while "job.submitted" not in (place / "journal.jsonl").read_text() if place.exists() else True:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 143
    text = (place / "journal.jsonl").read_text()
    assert '"job.completed"' not in text
    assert '"run.interrupted"' in text

"""Noise that is drawn for several shots at once: against Qiskit's twirled channels and Aer's density matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Operator, Pauli, SuperOp, average_gate_fidelity, process_fidelity
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
)

from runner import compose
from runner.engine import Engine
from runner.engine.propagation import fidelities
from runner.engine.trajectories import chances
from runner.errors import ConfigError
from runner.run.preflight import Preparation

NOTHING = np.zeros(0)
LETTERS = "IXZY"


def ghz() -> QuantumCircuit:
    """Three qubits, measured after turns that leave nothing at 0 or 1."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.rx(0.7, 1)
    circuit.cx(1, 2)
    circuit.ry(0.4, [0, 2])
    circuit.measure_all()
    return circuit


def test_probabilities_of_a_twirled_channel() -> None:
    """Each Pauli's is the process fidelity with it (Nielsen 2002), by Qiskit: damping beside a depolarized qubit."""
    channel = SuperOp(amplitude_damping_error(0.2).tensor(depolarizing_error(0.1, 1)))
    found = chances(fidelities(channel.data))
    wanted = [
        process_fidelity(channel, Operator(Pauli(high + low)), require_tp=False)
        for high in LETTERS
        for low in LETTERS
    ]

    assert found == pytest.approx(wanted, abs=1e-12)
    assert average_gate_fidelity(channel) == pytest.approx((4 * found[0] + 1) / 5)


def test_shots_of_pauli_noise_and_misreading() -> None:
    """As many draws as shots: outcomes as often as Aer's density matrix with the readout errors has them."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), ["cx"])
    noise.add_all_qubit_quantum_error(pauli_error([("Y", 0.2), ("I", 0.8)]), ["rx", "ry"])
    noise.add_all_qubit_readout_error(ReadoutError([[0.95, 0.05], [0.12, 0.88]]))
    circuit, shots = ghz(), 600
    plan = Engine(None, noise, trajectories=shots).sampler_plan(circuit)
    bits = plan.run(NOTHING, shots=shots, seed=3)["meas"]
    counts = AerSimulator(method="density_matrix", noise_model=noise, seed_simulator=5).run(
        circuit, shots=400_000
    )
    wanted = {word: count / 400_000 for word, count in counts.result().get_counts().items()}
    found = {word: count / shots for word, count in bits.get_counts().items()}
    deviations = [(found.get(word, 0) - p) / np.sqrt(p * (1 - p) / shots) for word, p in wanted.items()]

    assert np.abs(deviations).max() < 4
    assert "twirled" in str(plan.simulation(shots))


def test_shots_of_one_draw_have_the_same_errors() -> None:
    """A gate that flips its qubit half of the time: all shots of a draw agree, and 7 draws share 1000 shots out."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(pauli_error([("X", 0.5), ("I", 0.5)]), ["x"])
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    ones = [
        Engine(None, noise, trajectories=7).sampler_plan(circuit).run(NOTHING, shots=1000, seed=seed)["meas"]
        for seed in (1, 1, 2, 3)
    ]
    counts = [each.get_counts().get("1", 0) for each in ones]
    parts = {sum(143 if which < 6 else 142 for which in chosen) for chosen in ((), (0,), (6,))}

    assert np.array_equal(ones[0].array, ones[1].array), "the same seed, the same bits"
    assert len(set(counts)) > 1
    assert all(count % 143 in (0, 142) or count in parts for count in counts)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["backend=ideal"], "the backend has no noise"),
        (["backend=noisy", "backend.engine=aer"], "engine=aer does not draw it"),
        (["backend=fake_manila", "backend.quasi_static.detuning=1"], "drawn for every batch of shots"),
        (["backend=noisy", "backend.trajectories=0"], "must be"),
        (["backend=noisy", "experiment=vqe"], "standard errors"),
    ],
)
def test_draws_that_cannot_act_are_refused(words: list[str], told: str, tmp_path: Path) -> None:
    """Where there is no noise, something else draws it, or error bars would not count the draws."""
    with pytest.raises(ConfigError, match=told):
        Preparation(compose("experiment=sampling", "tracking=off", "backend.trajectories=5", *words))


@pytest.mark.parametrize("experiment", ["sampling", "dynamics"])
def test_how_shots_are_simulated_is_told(experiment: str) -> None:
    """Before a run, as of the experiments with an ansatz: of noise, and why so."""
    words = ["hamiltonian.shape=[2]", "experiment.steps=2"] if experiment == "dynamics" else []
    config = compose(f"experiment={experiment}", "backend=noisy", "tracking=off", *words)

    assert "a density matrix of" in str(Preparation(config).simulation)

"""Shots of electrons by ffsim: against state vectors on qubits, and what reading and depolarizing do to them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import XXPlusYYGate
from qiskit.quantum_info import Statevector

from runner import compose, run
from runner.engine import Engine
from runner.engine.electron_state import final_state, layers
from runner.engine.fermionic import GATES, HOPS
from runner.errors import ConfigError
from tests.choices import choice

pytestmark = pytest.mark.skipif(find_spec("ffsim") is None, reason="needs the extra [sqd]")

SHOTS = 40_000


def state():
    """A LUCJ state of four hydrogen atoms."""
    return choice("ansatz", "lucj", reps=2, pairs="all").of_electrons(
        choice("hamiltonian", "hydrogen", atoms=4, bond_length=1.5).integrals()
    )


def shares(bits) -> np.ndarray:
    """How often each basis state was read."""
    numbers = bits.to_bool_array() @ (1 << np.arange(8)[::-1])
    return np.bincount(numbers, minlength=256) / len(numbers)


def test_shots_are_those_of_the_state_on_qubits() -> None:
    """Every probability within five standard deviations of the state vector's (Qiskit), the same seed the same bits."""
    circuit = state()
    wanted = Statevector(circuit).probabilities()
    circuit.measure_all()
    plan = Engine(engine="ffsim").sampler_plan(circuit)

    found = plan.run(np.zeros(0), shots=SHOTS, seed=3)["meas"]

    assert np.abs(shares(found) - wanted).max() < 5 * 0.5 / SHOTS**0.5
    assert found == plan.run(np.zeros(0), shots=SHOTS, seed=3)["meas"]
    assert found != plan.run(np.zeros(0), shots=SHOTS, seed=4)["meas"]


def conserving(seed: int, gates: int = 60) -> QuantumCircuit:
    """Random gates that keep the electrons of either spin, on any of 4 + 4 qubits, after two and one X."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(8)
    circuit.x([0, 2, 5])
    for name in rng.choice(sorted(GATES - {"x", "barrier", "measure", "global_phase"}), gates):
        angles = rng.uniform(-3, 3, 2)
        spin = 4 * rng.integers(2)
        pair = spin + rng.permutation(4)[:2] if name in HOPS else rng.permutation(8)[:2]
        qubits = [int(qubit) for qubit in pair]
        if name in ("cz", "swap", "iswap"):
            getattr(circuit, name)(*qubits)
        elif name in ("cp", "rzz"):
            getattr(circuit, name)(angles[0], *qubits)
        elif name == "xx_plus_yy":
            circuit.append(XXPlusYYGate(*angles), qubits)
        elif name in ("p", "rz"):
            getattr(circuit, name)(angles[0], qubits[0])
        else:
            getattr(circuit, name)(qubits[0])
    return circuit


@pytest.mark.parametrize("seed", range(6))
def test_any_gates_that_keep_electrons_give_the_state_on_qubits(seed: int) -> None:
    """Every amplitude of Qiskit's state vector but for one phase, whatever is next to what."""
    circuit = conserving(seed)
    wanted = Statevector(circuit).data
    gates = QuantumCircuit.from_instructions(
        [item for item in circuit.data if item.operation.name != "x"], qubits=circuit.qubits
    )

    found = final_state(gates, 4, ([0, 2], [1]))

    ups = [0b0011, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100]  # numbers rise, as ffsim has them
    amplitudes = np.array([[wanted[up | down << 4] for down in (1, 2, 4, 8)] for up in ups])
    assert np.linalg.norm(amplitudes) == pytest.approx(1)
    assert abs(np.vdot(amplitudes, found)) == pytest.approx(1, abs=1e-12)


def test_a_jastrow_state_takes_as_many_layers_as_it_has_factors() -> None:
    """K of one factor and of the next become one rotation, so that two factors are R D R D R."""
    circuit = state()
    gates = QuantumCircuit.from_instructions(
        [item for item in circuit.data if item.operation.name != "x"], qubits=circuit.qubits
    )

    found = layers(gates, 4)

    assert [(bool(layer.rotations), bool(layer.phases)) for layer in found] == [
        (True, True), (True, True), (True, False)
    ]  # fmt: skip


def test_electrons_that_change_their_spin_are_refused() -> None:
    """A swap of the last orbital with spin up and the first with spin down."""
    circuit = QuantumCircuit(4)
    circuit.x([0, 2])
    circuit.swap(1, 2)
    circuit.measure_all()

    with pytest.raises(ConfigError, match="swap of qubits 1 and 2 moves them between the two"):
        Engine(engine="ffsim").sampler_plan(circuit)


def test_reading_flips_and_some_shots_are_random() -> None:
    """Probabilities are mixed with 1/256, then every bit is flipped by itself: the convolution, by dense algebra."""
    circuit = state()
    wanted = 0.7 * Statevector(circuit).probabilities() + 0.3 / 256
    flip = np.array([[0.95, 0.05], [0.05, 0.95]])
    for _ in range(8):
        wanted = (flip @ wanted.reshape(2, -1)).T.reshape(-1)  # one qubit after the other
    circuit.measure_all()
    noise = choice("backend", "electrons", readout_error=0.05).noise_model()
    plan = Engine(None, noise, engine="ffsim", depolarized=0.3).sampler_plan(circuit)

    found = plan.run(np.zeros(0), shots=SHOTS, seed=3)["meas"]

    assert np.abs(shares(found) - wanted).max() < 5 * 0.5 / SHOTS**0.5


def test_a_run_with_the_electrons_backend_mends_its_noise(workdir: Path) -> None:
    """The exact energy of H4 (lowest eigenvalue on 8 qubits, SciPy), from gates that are not rewritten."""
    words = ("experiment=sqd", "hamiltonian=hydrogen", "hamiltonian.atoms=4", "hamiltonian.bond_length=1.5")
    result = run(
        compose(*words, "backend=electrons", "tracking=off", "run.figures=false", "experiment.jobs=2")
    )

    assert result.energy == pytest.approx(-1.9961503, abs=1e-6)
    assert 0.6 < result.table[-1]["valid"] < 0.95


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["backend=ideal", "backend.engine=ffsim", "ansatz=uccsd", "ansatz.initial=random"],
            "backend.engine: ffsim takes",
        ),
        (["backend=noisy", "backend.engine=ffsim"], "backend.engine: ffsim knows no errors of gates"),
        (["backend=noisy", "backend.depolarized=0.1"], "backend.depolarized: .* engine=ffsim"),
        (["backend=fake_manila", "backend.engine=ffsim"], "backend.engine: ffsim"),
        (["backend=electrons", "experiment=estimation", "estimator=shots"], "backend.engine: ffsim samples"),
    ],
)
def test_what_ffsim_cannot_do_is_one_line(workdir: Path, words: list[str], line: str) -> None:
    """Before anything is created."""
    usual = ("experiment=sqd", "hamiltonian=hydrogen", "tracking=off")
    with pytest.raises(ConfigError, match=line):
        run(compose(*usual, *words))

    assert not list(workdir.iterdir())

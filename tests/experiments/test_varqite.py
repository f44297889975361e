"""Variational imaginary time against dense exp(−Hτ), and as a run that is cut, forecast and refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import Statevector
from scipy.linalg import expm

from runner import RunResult, compose, run
from runner.declare.config import RunConfig
from runner.errors import ConfigError
from runner.whatif.forecast import forecast
from tests.test_run import events, goes_on

VARQITE = ("experiment=varqite", "tracking=off", "run.figures=false")
CHAIN = (
    *VARQITE, "hamiltonian=tfim", "hamiltonian.shape=[3]", "ansatz=real_amplitudes", "ansatz.reps=2",
    "experiment.total_time=2.0", "seed=2",
)  # fmt: skip
SHOTS = (
    *VARQITE, "hamiltonian=two_qubit", "ansatz=real_amplitudes", "ansatz.reps=1", "estimator=level0",
    "estimator.default_shots=4000", "experiment.total_time=2.0", "experiment.method=euler",
)  # fmt: skip


def path_of(config: RunConfig, result: RunResult) -> list[np.ndarray]:
    """exp(−Hτ) on the starting state, dense, one normalized state per row; started from Qiskit's state vector."""
    hamiltonian = config.hamiltonian.build()
    circuit = config.ansatz.build(hamiltonian)
    start = events(result, "evaluation")
    point = config.ansatz.initial_point(circuit, hamiltonian, np.random.default_rng([config.seed, 0x1A1]))
    assert start
    psi = Statevector(circuit.assign_parameters(point)).data
    matrix = hamiltonian.to_matrix()
    states = [expm(-row["imaginary_time"] * matrix) @ psi for row in result.table]
    return [state / np.linalg.norm(state) for state in states]


def energies_of(config: RunConfig, states: list[np.ndarray]) -> list[float]:
    """⟨H⟩ of dense states."""
    matrix = config.hamiltonian.build().to_matrix()
    return [float(np.vdot(state, matrix @ state).real) for state in states]


def test_h2_cools_as_the_exact_state_does(workdir: Path) -> None:
    """UCCSD holds every state on the way: energies along dense exp(−Hτ), down to full configuration interaction."""
    config = compose(*VARQITE, "experiment.steps=12", "experiment.total_time=3.6")
    result = run(config)
    wanted = energies_of(config, path_of(config, result))

    assert [row["imaginary_time"] for row in result.table] == pytest.approx(np.linspace(0, 3.6, 13))
    assert [row["energy"] for row in result.table] == pytest.approx(wanted, abs=2e-5)
    assert [row["exact"] for row in result.table] == pytest.approx(wanted, abs=1e-9)
    assert min(row["fidelity"] for row in result.table) > 0.9999
    assert result.energy == pytest.approx(-1.1373060357533997, abs=1e-4)  # PySCF
    assert result.energy_kind == "exact"
    assert result.evaluations == 49
    assert result.iterations == 12


@pytest.mark.parametrize(("method", "falls"), [("euler", 1), ("rk4", 4)])
def test_the_error_of_a_step_falls_as_the_method_says(workdir: Path, method: str, falls: int) -> None:
    """Half the step, 2^falls less distance of the last energy from the dense one."""
    errors = []
    for steps in (8, 16):
        config = compose(
            *VARQITE, f"experiment.method={method}", f"experiment.steps={steps}",
            "experiment.total_time=2.0", "experiment.regularization=1e-12",
        )  # fmt: skip
        result = run(config)
        wanted = energies_of(config, path_of(config, result))[-1]
        assert result.energy is not None
        errors.append(abs(result.energy - wanted))

    assert np.log2(errors[0] / errors[1]) == pytest.approx(falls, abs=0.6)


def test_a_chain_cools_as_the_exact_state_does(workdir: Path) -> None:
    """Three spins in a transverse field: fidelity with dense exp(−Hτ), by the state at the last angles."""
    config = compose(*CHAIN, "experiment.steps=20")
    result = run(config)
    states = path_of(config, result)
    hamiltonian = config.hamiltonian.build()
    last = Statevector(config.ansatz.build(hamiltonian).assign_parameters(result.parameters)).data

    assert [row["exact"] for row in result.table] == pytest.approx(energies_of(config, states), abs=1e-9)
    assert result.table[-1]["fidelity"] == pytest.approx(abs(np.vdot(states[-1], last)) ** 2, abs=1e-9)
    assert result.table[-1]["fidelity"] > 0.99
    assert result.table[0]["fidelity"] == pytest.approx(1, abs=1e-12)


def test_measured_tensors_lead_the_same_way(workdir: Path) -> None:
    """Exact fidelities in jobs instead of the state vector: the same energies."""
    words = (*CHAIN, "ansatz.reps=1", "experiment.steps=3", "experiment.method=euler")
    computed = run(compose(*words))
    measured = run(compose(*words, "experiment.metric=measured"))

    assert [row["energy"] for row in measured.table] == pytest.approx(
        [row["energy"] for row in computed.table], abs=1e-7
    )
    assert len(events(measured, "job.submitted")) == 7
    assert len(events(computed, "job.submitted")) == 4


def test_shots_lead_down(workdir: Path) -> None:
    """Sampled tensors and gradients: an energy with its own standard error, near the one without noise there."""
    result = run(compose(*SHOTS, "experiment.steps=12"))

    assert result.energy_kind == "measured"
    assert result.stddev is not None
    assert result.exact_energy is not None
    assert result.energy is not None
    assert abs(result.energy - result.exact_energy) < 4 * result.stddev
    assert result.exact_energy < result.table[0]["exact"] - 0.3
    assert "tensor: measured, regularization 0.01" in result.stop_reason


def test_steps_that_are_too_long_are_told(workdir: Path) -> None:
    """Imaginary time never raises the energy: where it rises, the log warns, and the end says what to type."""
    words = ("experiment.steps=3", "experiment.total_time=30", "experiment.method=euler")
    result = run(compose(*VARQITE, *words), directory="run")

    energies = [row["energy"] for row in result.table]
    rises = sum(later > before for before, later in pairwise(energies))
    told = f"the energy rose in {rises} of them: type experiment.steps=6 or experiment.method=rk4"
    assert rises > 0
    assert told in result.stop_reason
    assert "the energy rose by" in Path("run/runner.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [CHAIN, SHOTS], ids=["exact", "shots"])
def test_runs_go_on_and_are_forecast(workdir: Path, words: tuple[str, ...]) -> None:
    """Cut anywhere, the same bits; what is charged was told beforehand."""
    declared = compose(*words, "experiment.steps=3")
    told = forecast(declared)
    whole = run(declared, directory="whole")
    goes_on(whole, 9, lambda result: result.table)

    assert told.usage_seconds == pytest.approx(whole.usage_seconds, rel=0.05)
    assert told.shots == whole.shots


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["experiment.steps=0"], r"experiment\.steps: must be at least 1"),
        (["experiment.method=heun"], r"experiment\.method: must be euler or rk4, got 'heun'"),
        (["experiment.metric=mine"], r"experiment\.metric: must be auto, state_vector or measured"),
        (["experiment.regularization=0"], r"experiment\.regularization: must be"),
        (
            ["experiment.longest=1e-9"],
            r"experiment\.steps: so many steps take about .*longest is 1e-09 h; lower",
        ),
        (["experiment.total_time=-1"], r"experiment\.total_time: must be"),
        (["gradient=spsa"], r"gradient: 'nft' does not use gradients; .* leave gradient=auto"),
        (["optimizer=adam"], r"optimizer: does not act in experiment=varqite"),
        (
            ["estimator=level0", "experiment.metric=state_vector"],
            r"experiment\.metric: state_vector needs estimator=exact",
        ),
        (
            ["backend=noisy", "experiment.metric=state_vector"],
            r"experiment\.metric: state_vector needs exact values of one state vector",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(workdir: Path, overrides: list[str], line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        run(compose(*VARQITE, *overrides))

    assert list(workdir.iterdir()) == []

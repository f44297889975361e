"""Trotter evolution against closed forms and against the order of its error."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import Pauli, SparsePauliOp
from scipy.linalg import expm

from runner import RunResult, compose, resume, run
from runner.engine.kernel.program import compile_program
from runner.engine.kernel.state_vector import StateVectorKernel
from runner.errors import ConfigError

DYNAMICS = ("experiment=dynamics", "tracking=off", "run.figures=false", "estimator=exact")


def evolve(*overrides: str) -> RunResult:
    """A small evolution."""
    return run(compose(*DYNAMICS, *overrides))


def test_a_spin_in_a_transverse_field_precesses(workdir: Path) -> None:
    """H = X: ⟨Z⟩(t) = cos 2t from |0⟩, without Trotter error because nothing fails to commute."""
    result = evolve(
        "hamiltonian=pauli", "hamiltonian.terms=[[X,1.0]]", "experiment.steps=4", "experiment.total_time=1.0",
        "experiment.observables=[Z]",
    )  # fmt: skip

    times = [row["time"] for row in result.table]
    assert times == [0, 0.25, 0.5, 0.75, 1.0]
    assert [row["Z"] for row in result.table] == pytest.approx(np.cos(2 * np.array(times)), abs=1e-9)
    assert [row["Z exact"] for row in result.table] == pytest.approx(np.cos(2 * np.array(times)), abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_error_falls_as_the_order_says(workdir: Path, order: int) -> None:
    """Half the step, 2^order less error; ⟨Y⟩ is odd in time, so that no symmetry hides the first order."""
    errors = []
    for steps in (8, 16):
        result = evolve(
            "hamiltonian.shape=[3]", "experiment.total_time=1.0", f"experiment.steps={steps}",
            f"experiment.every={steps}", f"experiment.order={order}", "experiment.observables=[YII]",
            "experiment.initial_state='001'",
        )  # fmt: skip
        errors.append(result.table[-1]["error"])

    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def trotter_step(operator: SparsePauliOp, seconds: float) -> np.ndarray:
    """Π exp(−i c_j P_j t/2) over the terms forwards, times the same backwards (Suzuki 1991), as a dense matrix."""
    halves = [
        expm(-0.5j * seconds * coefficient.real * Pauli(label).to_matrix())
        for label, coefficient in operator.to_list()
    ]
    return np.linalg.multi_dot([*halves, *halves[::-1]])


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    "hamiltonian",
    [
        ("hamiltonian.shape=[3]",),
        ("hamiltonian=pauli", "hamiltonian.terms=[[YIX,0.7],[IXI,0.4],[IZY,-0.6],[ZII,0.3],[XXX,0.2]]"),
    ],
)
def test_every_moment_is_that_of_all_its_steps(
    workdir: Path, every: int, hamiltonian: tuple[str, ...]
) -> None:
    """Carried on, the state is what powers of the dense matrix of one step make of |011⟩, to 1e-12."""
    overrides = (
        *hamiltonian, "experiment.steps=9", f"experiment.every={every}",
        "experiment.initial_state='011'", "experiment.observables=[XYZ,ZII]",
    )  # fmt: skip
    result = evolve(*overrides)
    step = trotter_step(compose(*DYNAMICS, *overrides).hamiltonian.build(), 2.0 / 9)

    assert len(result.table) == 9 // every + 1
    for row in result.table:
        state = np.linalg.matrix_power(step, row["steps"])[:, 0b011]
        for name in ("XYZ", "ZII"):
            expected = np.vdot(state, Pauli(name).to_matrix() @ state).real
            assert row[name] == pytest.approx(expected, abs=1e-12)


def test_moments_are_compiled_once(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty moments take one compiled circuit, and no more gates are carried out than one step has for each."""
    compiled, carried = [], []
    monkeypatch.setattr(
        "runner.engine.kernel.state_vector.compile_program",
        lambda circuit, **more: compiled.append(circuit) or compile_program(circuit, **more),
    )
    carry_on = StateVectorKernel.carry_on
    monkeypatch.setattr(
        StateVectorKernel,
        "carry_on",
        lambda self, state, times: carried.append(times) or carry_on(self, state, times),
    )

    evolve("hamiltonian.shape=[3]", "experiment.steps=30")

    assert len(compiled) == 1
    assert sum(carried) == 30


def test_what_is_carried_on_is_measured_as_before(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shots: the same seed gives the same numbers whether a moment's circuit is run from its start or carried on."""
    overrides = (
        "estimator=level0",
        "estimator.default_shots=10000",
        "hamiltonian.shape=[3]",
        "experiment.steps=4",
        "seed=3",
    )
    carried = evolve(*overrides)
    monkeypatch.setattr("runner.runtime.backends.LocalBackend.moments", lambda *_: None)
    whole = evolve(*overrides)

    assert [row["steps"] for row in whole.table] == [0, 1, 2, 3, 4]
    for one, other in zip(carried.table[1:], whole.table[1:], strict=True):
        assert one == pytest.approx(other, abs=1e-12)


def test_an_evolution_goes_on_as_it_was_begun(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of before states were carried on has other digests: resumed, it runs every moment from its start."""
    with monkeypatch.context() as before:
        for module in ("runner.run.execution", "runner.record.replay"):
            before.setattr(import_module(module), "IDENTITY", 2)
        whole = run(compose(*DYNAMICS, "hamiltonian.shape=[3]", "experiment.steps=4"), directory="whole")
    lines = Path("whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("part").mkdir()
    Path("part/journal.jsonl").write_bytes(b"".join(lines[:9]))

    resumed = resume("part")

    assert resumed.status == "finished"
    assert resumed.table == whole.table


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("experiment.order=3", r"experiment\.order: must be 1, 2 or 4, got 3"),
        ("experiment.steps=0", r"experiment\.steps: must be at least 1"),
        ("experiment.every=21", r"experiment\.every: must be at most 20"),
        ("experiment.initial_state=01x", r"experiment\.initial_state: must be zeros and ones"),
        ("experiment.initial_state='01'", r"experiment\.initial_state: has 2 bits, the hamiltonian 8 qubits"),
        (
            "experiment.observables=[ZZ]",
            r"experiment\.observables\[0\]: 'ZZ' has 2 qubits, the hamiltonian 8",
        ),
        ("experiment.observables=[zz]", r"experiment\.observables\[0\]: 'zz' is no observable"),
    ],
)
def test_what_cannot_be_evolved_is_refused(workdir: Path, override: str, line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        evolve(override)

    assert list(workdir.iterdir()) == []

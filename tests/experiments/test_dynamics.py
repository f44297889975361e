"""Trotter evolution against closed forms and against the order of its error."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import Pauli, SparsePauliOp
from scipy.linalg import expm

from experiments.dynamics import Dynamics, multi_product_coefficients
from runner import RunResult, compose, resume, run
from runner.engine.kernel.program import compile_program
from runner.engine.kernel.state_vector import StateVectorKernel
from runner.errors import ConfigError
from runner.whatif.forecast import forecast
from tests.test_run import goes_on

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


@pytest.mark.parametrize("every", [1, 3, 4])
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

    generator = -1j * compose(*DYNAMICS, *overrides).hamiltonian.build().to_matrix()

    assert [row["steps"] for row in result.table] == [*range(0, 9, every), 9]
    for row in result.table:
        exact = expm(row["time"] * generator)[:, 0b011]
        expected = np.vdot(exact, Pauli("XYZ").to_matrix() @ exact).real
        assert row["XYZ exact"] == pytest.approx(expected, abs=1e-9)
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
        ("experiment.observables=[ZZZZ,energy,ZZZZ]", r"experiment\.observables: must name each once"),
        ("experiment.initial_state=01x", r"experiment\.initial_state: must be zeros and ones"),
        ("experiment.initial_state='01'", r"experiment\.initial_state: has 2 bits, the hamiltonian 8 qubits"),
        (
            "experiment.observables=[ZZ]",
            r"experiment\.observables\[0\]: 'ZZ' has 2 qubits, the hamiltonian 8",
        ),
        (
            "experiment.multi_product=[2]",
            r"experiment\.multi_product: must be 2 to 6 different numbers, got \[2\]",
        ),
        ("experiment.multi_product=[1,2,2]", r"experiment\.multi_product: names a number twice"),
        ("experiment.multi_product=[0,2]", r"experiment\.multi_product\[0\]: must be at least 1"),
        ("experiment.observables=[zz]", r"experiment\.observables\[0\]: 'zz' is no observable"),
    ],
)
def test_what_cannot_be_evolved_is_refused(workdir: Path, override: str, line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        evolve(override)

    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("multiples", "order", "wanted"),
    [
        ([1, 2], 1, [-1, 2]),
        ([1, 2], 2, [-1 / 3, 4 / 3]),
        ([1, 2], 4, [-1 / 15, 16 / 15]),
        ([1, 2, 4], 2, [1 / 45, -4 / 9, 64 / 45]),
        ([1, 2, 3], 2, [1 / 24, -16 / 15, 81 / 40]),
    ],
)
def test_coefficients_are_those_of_richardson(multiples: list[int], order: int, wanted: list[float]) -> None:
    """By hand: Lagrange interpolation of a polynomial in the step, or in its square, to a step of 0."""
    assert multi_product_coefficients(multiples, order) == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("order", [1, 4])
def test_coefficients_meet_the_order_conditions(order: int) -> None:
    """A x = b of Carrera Vazquez et al. (2023), built and solved as a matrix."""
    multiples = [1, 3, 4, 7]
    powers = [1, 2, 3] if order == 1 else [4, 6, 8]
    matrix = np.array([[1.0] * 4, *([k**-power for k in np.array(multiples, float)] for power in powers)])

    assert multi_product_coefficients(multiples, order) == pytest.approx(
        np.linalg.solve(matrix, [1, 0, 0, 0]), rel=1e-9
    )


@pytest.mark.parametrize(
    ("order", "multiples", "falls"), [(1, "[1,2]", 2), (2, "[1,2]", 4), (2, "[1,2,4]", 6), (4, "[1,2]", 6)]
)
def test_combined_formulas_are_of_a_higher_order(
    workdir: Path, order: int, multiples: str, falls: int
) -> None:
    """Half the step, 2^falls less error; without noise the error is the bias."""
    errors = []
    for steps in (8, 16):
        result = evolve(
            "hamiltonian.shape=[3]", "experiment.total_time=1.0", f"experiment.steps={steps}",
            f"experiment.every={steps}", f"experiment.order={order}", f"experiment.multi_product={multiples}",
            "experiment.observables=[YII]", "experiment.initial_state='001'",
        )  # fmt: skip
        errors.append(result.table[-1]["error"])
        assert result.table[-1]["bias"] == pytest.approx(result.table[-1]["error"], abs=1e-12)

    assert np.log2(errors[0] / errors[1]) == pytest.approx(falls, abs=0.5)


def test_the_bias_is_that_of_any_terms(workdir: Path) -> None:
    """Words of one to three letters, three moments: without noise the error is the bias."""
    result = evolve(
        "hamiltonian=pauli", "hamiltonian.terms=[[YIXI,0.7],[IXII,0.4],[IZYZ,-0.6],[ZIII,0.3],[XXXX,0.2]]",
        "experiment.steps=9", "experiment.every=3", "experiment.multi_product=[2,3]",
        "experiment.observables=[XYZI,energy]", "experiment.initial_state='0110'",
    )  # fmt: skip

    errors = [row["error"] for row in result.table]
    assert len(errors) == 4
    assert max(errors) > 1e-7
    assert [row["bias"] for row in result.table] == pytest.approx(errors, abs=1e-12)


def test_what_a_combination_leaves_out_is_told_as_its_table_has_it(workdir: Path) -> None:
    """Coefficients enlarge the bounds of single formulas: the summary has the largest of the table."""
    words = (
        "hamiltonian.shape=[4]", "experiment.steps=4", "experiment.multi_product=[1,2,4]",
        "experiment.observables=[mean_z,XXII]", "backend=generic", "backend.num_qubits=4", "seed=1",
    )  # fmt: skip
    found = evolve(*words, "backend.engine=pauli")
    told = [row[name] for row in found.table for name in row if name.endswith(" truncation")]

    assert found.truncation is not None
    assert found.truncation["error"] == max(told) > 0


COMBINED = ("hamiltonian.shape=[3]", "experiment.steps=3", "experiment.multi_product=[1,2]", "seed=5")
SHOTS = ("estimator=level0", "estimator.default_shots=2000")


@pytest.mark.parametrize("backend", ["ideal", "noisy"])
def test_combined_error_bars_are_honest(workdir: Path, backend: str) -> None:
    """H = 0.7 Z + 0.3 X: σ² is (σ₁² + 16 σ₂²)/9, from the variance of each formula's ±1 by its dense matrices."""
    result = evolve(
        *SHOTS, f"backend={backend}", "hamiltonian=pauli", "hamiltonian.terms=[[Z,0.7],[X,0.3]]",
        "experiment.steps=1", "experiment.multi_product=[1,2]", "experiment.observables=[X]", "seed=4",
    )  # fmt: skip
    operator = SparsePauliOp(["Z", "X"], [0.7, 0.3])
    means = []
    for steps in (1, 2):
        state = np.linalg.matrix_power(trotter_step(operator, 2.0 / steps), steps)[:, 0]
        means.append(np.vdot(state, Pauli("X").to_matrix() @ state).real)
    sigma = np.sqrt((1 - means[0] ** 2 + 16 * (1 - means[1] ** 2)) / 9 / 2000)

    row = result.table[-1]
    wanted = (4 * means[1] - means[0]) / 3
    assert row["X stddev"] == pytest.approx(sigma, rel=0.1)
    assert row["X"] == pytest.approx(wanted, abs=4 * sigma + (0.1 if backend == "noisy" else 0))
    assert row["bias"] == pytest.approx(abs(wanted - row["X exact"]), abs=1e-9)
    assert result.stop_reason == "1 step of order 2, those times 1, 2 combined; condition number 1.67"
    unknown = Dynamics(multi_product=[1, 2]).in_words(np.array([-1 / 3, 4 / 3]), known=False)
    assert unknown.endswith("off nobody knows here, and stddev does not count it")


def test_a_combination_goes_on_and_is_forecast(workdir: Path) -> None:
    """Cut anywhere, the same bits; what is charged was told beforehand; one job for each moment."""
    declared = compose(*DYNAMICS, *COMBINED, *SHOTS)
    told = forecast(declared)
    whole = run(declared, directory="whole")
    goes_on(whole, 5, lambda result: result.table)

    assert told.jobs == 4
    assert told.usage_seconds == pytest.approx(whole.usage_seconds, rel=0.05)
    assert told.shots == whole.shots

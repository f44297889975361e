"""What simulations leave out: told beside numbers that it matters to, and refused before it is paid for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from runner import compose, run
from runner.__main__ import main
from runner.errors import ConfigError
from runner.run.answer import worth
from runner.run.fork import fork
from runner.run.results import RunResult
from tests.choices import choice
from tests.test_run import events

QUIET = ("tracking=off", "run.figures=false")
CHAIN = ("hamiltonian=heisenberg", "hamiltonian.shape=[6]")
ENTANGLED = ("ansatz=efficient_su2", "ansatz.reps=3", "ansatz.initial=random")
CUT = ("backend.engine=mps", "backend.max_bond_dimension=4", "backend.max_discarded_weight=0.9")


def dense(result: RunResult) -> float:
    """The energy at a result's parameters by a dense state vector and Qiskit's operators."""
    hamiltonian = choice("hamiltonian", "heisenberg", shape=[6]).build()
    submitted = events(result, "job.submitted")[0]
    circuit = choice("ansatz", "efficient_su2", reps=3, qubits=6).build()
    state = Statevector(circuit.assign_parameters(np.ravel(submitted.pubs[0]["values"])))
    return float(state.expectation_value(hamiltonian).real)


@pytest.mark.parametrize(
    ("kind", "stddev", "lost", "says"),
    [
        ("exact", 0.0, None, "exact"), ("exact", 0.0, 1e-12, "exact"), ("exact", 0.0, 1e-6, "truncated"),
        ("measured", 0.1, 0.01, "measured"), ("measured", 0.1, 0.2, "truncated"), ("pick", 0.1, 0.2, "pick"),
        ("measured", None, 0.2, "truncated"),
    ],
)  # fmt: skip
def test_an_energy_is_worth_no_more_than_what_was_left_out(
    kind: str, stddev: float | None, lost: float | None, says: str
) -> None:
    """Truncated is what may be further off than its error bar, or than rounding where it has none."""
    assert worth(kind, stddev, lost) == says


def test_a_truncated_estimation_says_so_beside_the_number(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four of eight singular values: the value is off by less than the bound, and called so."""
    result = run(
        compose(*QUIET, *CHAIN, *ENTANGLED, *CUT, "experiment=estimation", "estimator=exact"), quiet=False
    )

    assert result.energy is not None
    assert result.truncation is not None
    off = abs(result.energy - dense(result))
    assert 1e-6 < off < result.truncation["energy"]
    assert result.energy_kind == "truncated"
    assert result.table[0]["value truncation"] == result.truncation["energy"]
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        f"without shot noise, within {result.truncation['energy']:.2g} by what its simulation left" in printed
    )


@pytest.mark.parametrize(("estimator", "sampled"), [("exact", False), ("shots", True)])
def test_a_truncated_value_says_whether_shots_measured_it(
    estimator: str, sampled: bool, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two shots whose parities are alike have a sample variance of 0, which measures no shot noise."""
    shots = ("estimator.default_shots=2",) if sampled else ()
    words = (
        "experiment=estimation",
        "experiment.observables=[ZZZZZZ]",
        f"estimator={estimator}",
        *shots,
        "seed=1",
    )

    result = run(compose(*QUIET, *CHAIN, *ENTANGLED, *CUT, *words), directory="run", quiet=False)

    assert (result.energy_kind, result.stddev, result.sampled) == ("truncated", 0.0, sampled)
    printed = " ".join(capsys.readouterr().out.split())
    assert main(["list", "."]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    for text in (printed, listed):
        assert ("no spread in its shots" in text) == sampled
    assert ("without shot noise" in printed) == (not sampled)


def test_the_same_with_room_for_all_singular_values_is_exact(workdir: Path) -> None:
    """Eight are all that six qubits have at a cut: the value is the dense one, and nothing stands beside it."""
    declared = (*CUT, "backend.max_bond_dimension=8")
    result = run(compose(*QUIET, *CHAIN, *ENTANGLED, *declared, "experiment=estimation", "estimator=exact"))

    assert result.energy == pytest.approx(dense(result), abs=1e-10)
    assert result.energy_kind == "exact"
    assert "value truncation" not in result.table[0]


LOOP = ("optimizer.max_evaluations=4", "optimizer=cobyla")
SPARSE = ("backend.engine=pauli", "backend.pauli_threshold=0.05", "backend.max_pauli_error=1000")
TROTTER = ("hamiltonian=tfim", "hamiltonian.shape=[6]", "experiment.steps=8")


@pytest.mark.parametrize(
    "declared",
    [
        ("experiment=estimation", *CHAIN, *ENTANGLED, *CUT),
        ("experiment=estimation", *CHAIN, *ENTANGLED, *SPARSE, "estimator=exact"),
        ("experiment=vqe", *CHAIN, *ENTANGLED, *CUT, *LOOP, "estimator=exact"),
        ("experiment=vqe", *CHAIN, *ENTANGLED, *CUT, *LOOP),
        (
            "experiment=qaoa",
            "hamiltonian=maxcut",
            *CUT,
            "backend.max_bond_dimension=8",
            *LOOP,
        ),
    ],
)
def test_every_printed_energy_is_truncated_where_its_jobs_were(
    declared: tuple[str, ...], workdir: Path
) -> None:
    """With shots or without, of one job or of a loop: the bound is larger than the error bar, and there are no σ."""
    result = run(compose(*QUIET, *declared))

    assert result.truncation is not None
    assert result.truncation["energy"] > (result.stddev or 0.0)
    assert (result.energy_kind, result.error_sigmas) == ("truncated", None)


def test_rows_of_an_evolution_have_their_bounds(workdir: Path) -> None:
    """A quench followed with two singular values: nothing is lost at first, and later the values differ by less than
    the bounds from those of all singular values.
    """
    cut = (*CUT, "backend.max_bond_dimension=2", "estimator=exact")
    found = run(compose(*QUIET, *TROTTER, *cut, "experiment=dynamics"))
    whole = run(compose(*QUIET, *TROTTER, "estimator=exact", "experiment=dynamics"))

    assert "energy truncation" not in found.table[0]
    last, right = found.table[-1], whole.table[-1]
    for name in ("mean_z", "energy"):
        assert 1e-9 < abs(last[name] - right[name]) < last[f"{name} truncation"]


def test_sampled_probabilities_have_theirs(workdir: Path) -> None:
    """What may be wrong by more than its own error bar stands beside the probability."""
    result = run(compose(*QUIET, "experiment=sampling", *ENTANGLED, "ansatz.qubits=6", *CUT))

    assert result.truncation is not None
    assert {row["probability truncation"] for row in result.table} == {result.truncation["distance"]}


TIGHT = ("backend.engine=mps", "backend.max_bond_dimension=4")
SAMPLED = ("experiment=sampling", *ENTANGLED, "ansatz.qubits=6")


@pytest.mark.parametrize(
    "declared",
    [
        (*CHAIN, *ENTANGLED, "experiment=estimation", "estimator=exact", *TIGHT),
        (*CHAIN, *ENTANGLED, "experiment=estimation", *TIGHT),
        (*CHAIN, *ENTANGLED, "experiment=vqe", *TIGHT),
        (*SAMPLED, *TIGHT),
        (
            *CHAIN,
            *ENTANGLED,
            "experiment=estimation",
            "estimator=exact",
            *SPARSE,
            "backend.max_pauli_error=1e-9",
        ),
    ],
)
def test_what_is_known_to_lose_too_much_is_refused_before_anything_is_created(
    declared: tuple[str, ...], workdir: Path
) -> None:
    """One line with what to type, and no run directory."""
    with pytest.raises(ConfigError, match=r"e\.g\. backend\.(max_bond_dimension=8|pauli_threshold=0\.005)"):
        run(compose(*QUIET, *declared))

    assert not (workdir / "outputs").exists()


def test_a_loop_that_comes_to_lose_too_much_keeps_what_it_has_and_names_a_new_run(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From |0…0⟩, a product, it goes on until a state is refused, whose job is neither submitted nor charged; the
    new run that is named begins at the best parameters, with room for all eight singular values.
    """
    start = (*ENTANGLED, "ansatz.initial=zeros", "optimizer=cobyla", "estimator=exact")
    result = run(compose(*QUIET, *CHAIN, *start, *TIGHT, "experiment=vqe"), quiet=False)

    jobs = events(result, "job.submitted")
    assert (result.status, result.exit_code) == ("failed", 1)
    assert len(jobs) == len(events(result, "job.completed")) == result.evaluations > 0
    assert result.qpu_seconds == pytest.approx(sum(job.qpu_estimate for job in jobs))
    assert result.energy == min(event.energy for event in events(result, "evaluation"))
    assert f"resume {result.directory} --fork backend.max_bond_dimension=8" in capsys.readouterr().out
    again = run(fork(result.directory, ["backend.max_bond_dimension=8", "optimizer.max_evaluations=2"]))
    assert again.status == "finished"
    assert events(again, "evaluation")[0].energy == pytest.approx(result.energy, abs=1e-9)

"""Energies with a declared standard error: shots chosen from variances, and errors that are as declared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.quantum_info import PauliList, SparsePauliOp, Statevector, random_statevector

from runner import compose, resume, run
from runner.engine.grouping import mean_variances_by_basis
from runner.engine.observables import measurement_bases, pauli_terms, variance_bounds
from runner.errors import ConfigError
from runner.record.events import Evaluation, Event
from runner.record.log import of
from runner.record.replay import Record
from runner.run.context import Lab
from runner.run.experiment import Experiment
from runner.run.objective import Objective, Term
from runner.run.preflight import Preparation
from runner.run.results import Outcome
from runner.run.shots import FEWEST, ShotChoice
from runner.run.signals import StopFlag
from tests.test_run import cut, deterministic, events

QUIET = ("tracking=off", "run.figures=false")


def sum_of(rng: np.random.Generator, qubits: int, terms: int) -> SparsePauliOp:
    """Random Pauli strings with random weights, the identity among them."""
    labels = sorted({"".join(rng.choice(list("IXYZ"), qubits)) for _ in range(terms)} | {"I" * qubits})
    return SparsePauliOp(labels, rng.normal(size=len(labels)))


def variance(
    state: Statevector, operator: SparsePauliOp, bases: list[list[int]], labels: tuple[str, ...]
) -> float:
    """Σ over bases of ⟨G²⟩ − ⟨G⟩², G being what the basis holds of the observable, by dense algebra."""
    weights = dict(zip(operator.paulis.to_labels(), operator.coeffs.real, strict=True))
    total = 0.0
    for basis in bases:
        part = SparsePauliOp(
            PauliList([labels[t] for t in basis]), [weights[labels[t]] for t in basis]
        ).to_matrix()
        total += (state.expectation_value(part @ part) - state.expectation_value(part) ** 2).real
    return total


def test_no_state_has_a_larger_variance_than_the_bound() -> None:
    """Random sums on three qubits, random states and the states of the extreme outcomes, which attain it per basis."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        operator = sum_of(rng, 3, 8).simplify()
        terms = pauli_terms(operator)
        bases = measurement_bases(terms.x, terms.z)
        (bound,) = variance_bounds(terms, bases)
        states = [random_statevector(8, seed=int(rng.integers(1 << 30))) for _ in range(20)]

        assert max(variance(state, operator, bases, terms.labels) for state in states) <= bound
        attained = 0.0
        for basis in bases:
            part = operator[[operator.paulis.to_labels().index(terms.labels[t]) for t in basis]]
            vectors = np.linalg.eigh(part.to_matrix())[1]
            middle = Statevector((vectors[:, 0] + vectors[:, -1]) / math.sqrt(2))
            attained += variance(middle, operator, [basis], terms.labels)
        assert bound == pytest.approx(attained)


def test_the_mean_variance_is_that_of_random_states() -> None:
    """Averaged over 2 000 random states of three qubits; to the order of one over the dimension."""
    operator = SparsePauliOp(["III", "ZZI", "IZZ", "XXX"], [3.0, 1.0, -0.5, 0.25])
    terms = pauli_terms(operator)
    bases = measurement_bases(terms.x, terms.z)
    states = [random_statevector(8, seed=seed) for seed in range(500)]

    found = np.mean([variance(state, operator, bases, terms.labels) for state in states])

    assert mean_variances_by_basis(terms, bases).sum() == pytest.approx(1 + 0.25 + 0.0625)
    assert found == pytest.approx(1.3125 * 8 / 9, rel=0.05)


def test_shots_follow_the_job_before_or_the_same_point() -> None:
    """By hand: 4/0.1² = 400 at first, then 2/0.1² = 200; the point of variance 3 takes 300 again."""
    choice = ShotChoice(0.1)
    first, second = np.array([[0.0]]), np.array([[1.0]])

    shots = [choice.shots(4.0)]
    choice.learn(4.0, [3.0], first)
    choice.learn(4.0, [2.0], second)
    shots += [choice.shots(4.0), choice.shots(4.0, first), choice.shots(4.0, np.concatenate([first, second]))]
    shots += [choice.shots(9.0)]
    choice.learn(4.0, [0.0])
    shots += [choice.shots(4.0)]

    assert shots == [400, 200, 300, 300, 900, FEWEST]


@dataclass(kw_only=True)
class Repeated(Experiment):
    """The same three jobs again and again, each time with random numbers of their own."""

    name: str = "repeated"
    """Name of the experiment."""
    times: int = 200
    """How often."""
    penalty: float | None = None
    """Weight of a second term; None: none."""

    def run(self, lab: Lab) -> Outcome:
        """Two points one after the other, and the second again as results are measured."""
        problem = lab.problem
        for number in range(self.times):
            stream = lab.stream(f"repetition {number}")
            terms = [Term(problem.circuit, problem.observable)]
            if self.penalty is not None:
                terms.append(Term(problem.circuit, SparsePauliOp("IZ"), self.penalty))
            objective: Objective = lab.objective(stream, *terms)
            objective(problem.initial_point)
            objective(problem.initial_point + 0.1)
            objective(problem.initial_point + 0.1)
            confirmed = stream.estimate((problem.circuit, problem.observable, problem.initial_point + 0.1))
            lab.row(energy=float(confirmed[0].data.evs), stddev=float(confirmed[0].data.stds))
        return Outcome(energy=None, stop_reason="done", table=lab.table)


class Memory:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    write_later = write


def repeated(*overrides: str, **experiment: Any) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    """The problem, the evaluations and the rows of many repetitions."""
    config = replace(compose(*QUIET, "session=job", *overrides), experiment=Repeated(**experiment))
    preparation, journal = Preparation(config), Memory()
    with StopFlag() as stop, preparation.lab(Record(journal), stop) as lab:  # type: ignore[arg-type]
        rows = config.experiment.run(lab).table
    return preparation.problem, [event.said() for event in of(journal.events, Evaluation)], rows


@pytest.mark.parametrize(
    ("hamiltonian", "target"),
    [
        ("two_qubit", 0.01),
        *[
            pytest.param(*case, marks=pytest.mark.nightly)
            for case in (("h2", 0.003), ("tfim", 0.05), ("lih_4q", 0.002))
        ],
    ],
)
def test_energies_spread_as_declared(hamiltonian: str, target: float) -> None:
    """200 repetitions at one point: the spread about the exact value is the target's, and so is the printed error.

    The exact value is qiskit's dense one.
    """
    problem, evaluations, rows = repeated(
        f"hamiltonian={hamiltonian}", "estimator=target", f"estimator.target_stddev={target}"
    )
    state = Statevector(problem.ansatz.assign_parameters(problem.initial_point + 0.1))
    truth = state.expectation_value(problem.hamiltonian).real
    last = evaluations[2::3]

    for name, found in (("evaluated", last), ("reported", rows)):
        off = np.array([row["energy"] for row in found]) - truth
        printed = np.array([row["stddev"] for row in found])
        spread = math.sqrt(np.mean(off**2))
        assert spread <= 1.1 * target * (1 + 1 / math.sqrt(2 * len(off))), name
        assert np.sqrt(np.mean(printed**2)) == pytest.approx(spread, rel=3 / math.sqrt(2 * len(off))), name
        assert np.mean(np.abs(off) <= printed) == pytest.approx(0.683, abs=4 * math.sqrt(0.217 / len(off))), (
            name
        )
        assert np.mean(np.abs(off) <= 2 * printed) == pytest.approx(0.954, abs=0.06), name
    assert np.mean([row["stddev"] for row in last]) == pytest.approx(target, rel=0.1)


def test_a_weighted_sum_spreads_as_declared_too() -> None:
    """The errors of PUBs add up with their weights; dense algebra tells the sum."""
    problem, evaluations, _ = repeated(
        "estimator=target", "estimator.target_stddev=0.02", "optimizer=nft", penalty=3.0, times=60
    )
    state = Statevector(problem.ansatz.assign_parameters(problem.initial_point + 0.1))
    truth = state.expectation_value(problem.hamiltonian + SparsePauliOp("IZ", 3.0)).real
    last = evaluations[2::3]

    spread = math.sqrt(np.mean([(row["energy"] - truth) ** 2 for row in last]))

    assert spread <= 1.1 * 0.02 * (1 + 1 / math.sqrt(2 * len(last)))
    assert np.mean([row["stddev"] for row in last]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("optimizer", ["nft", "l_bfgs_b", "cma_es"])
def test_a_resumed_run_chooses_the_same_shots(workdir: Path, optimizer: str) -> None:
    """They follow from recorded numbers; the journal has those of every job, and what they cost."""
    declared = compose(
        *QUIET, "estimator=target", "estimator.target_stddev=0.02", f"optimizer={optimizer}",
        "optimizer.max_evaluations=12",
    )  # fmt: skip
    whole = run(declared, directory="whole")
    broken = run(declared, directory="broken")
    cut(broken.directory, keep=14)

    again = resume("broken")

    assert deterministic(Path("broken")) == deterministic(Path("whole"))
    assert (again.energy, again.parameters) == (whole.energy, whole.parameters)
    submitted = events(whole, "job.submitted")
    shots = [job.pubs[0]["shots"] for job in submitted]
    assert len(set(shots)) > 1
    assert all(job.work[0][0] % number == 0 for job, number in zip(submitted, shots, strict=True))


def test_a_target_that_takes_too_many_shots_is_refused_before_the_session(workdir: Path) -> None:
    """With what is possible; nothing is created."""
    with pytest.raises(ConfigError, match=r"target_stddev: 1e-06 may take 3e\+11 shots .* at least 0\.00019"):
        run(compose(*QUIET, "estimator=target", "estimator.target_stddev=1e-6"))

    assert list(workdir.iterdir()) == []

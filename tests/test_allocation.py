"""Shots of every basis: shared out by weights or by what the job before measured, and the same again on resume."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner import compose, resume, run
from runner.errors import ConfigError
from runner.record.events import JobCompleted, JobSubmitted
from runner.run.allocation import FEWEST, AllottedShots, ShotAllocation
from tests.test_run import cut, deterministic, events

QUIET = ("tracking=off", "run.figures=false")

FOUR_BASES = np.array([[4.0, 1.0, 1.0, 0.0]])
"""Σc² of each: √ is 2, 1, 1, 0."""


class Bases:
    """Observables whose plan has these bases, without a circuit."""

    reading = None

    def __init__(self, usual: np.ndarray, shots: tuple[int, ...] | None = None) -> None:
        self.plan: Any = SimpleNamespace(
            num_bases=usual.shape[1], mean_variances_by_basis=usual, variance_bounds_by_basis=2 * usual
        )
        self.shots = shots

    def allotted(self, shots: tuple[int, ...], reading: None = None) -> Bases:
        """The same with these shots."""
        assert reading is None
        return Bases(self.plan.mean_variances_by_basis, shots)


def shared(allocation: ShotAllocation, bases: Bases, shots: int) -> tuple[int, ...]:
    """Shots of each basis of one PUB."""
    given = allocation.allotted((None, bases), shots)[1]
    assert isinstance(given, Bases)
    assert given.shots is not None
    return given.shots


def test_a_twentieth_is_equal_and_the_rest_goes_by_weight() -> None:
    """By hand: of 4 · 1000 shots 50 for each, and of the other 3800 a half, a quarter, a quarter and none."""
    shots = shared(ShotAllocation("weighted", planner=None), Bases(FOUR_BASES), 1000)  # type: ignore[arg-type]

    assert shots == (1950, 1000, 1000, 50)


def test_the_optimum_goes_by_what_the_job_before_measured() -> None:
    """By hand: σ of 1, 3, 0, 0 share 3800 as 1 : 3, but for the one shot's worth of Σc² that is believed besides."""
    allocation = ShotAllocation("optimal", planner=None)  # type: ignore[arg-type]
    bases = Bases(FOUR_BASES)
    first = allocation.allotted((None, bases), 1000)
    allocation.learn([first], [{"evs": np.zeros(1), "variances": np.array([[1.0, 9.0, 0.0, 0.0]])}])
    believed = [(1950 + 4) / 1951, (9000 + 1) / 1001, 1 / 1001, 0.0]
    shares = np.sqrt(believed) / np.sqrt(believed).sum()

    found = shared(allocation, bases, 1000)

    assert sum(found) == 4000
    assert found == pytest.approx(50 + 3800 * shares, abs=1)
    assert shared(allocation, Bases(2 * FOUR_BASES), 1000) == (1950, 1000, 1000, 50), "another observable"


def test_a_state_without_variance_starves_no_basis_of_the_next() -> None:
    """By hand: of the variances in a random state a quarter each, so σ of 4, 2, 2, 0 halved share 3800 as before."""
    allocation = ShotAllocation("optimal", planner=None, jumps=True)  # type: ignore[arg-type]
    first = allocation.allotted((None, Bases(FOUR_BASES)), 1000)
    allocation.learn([first], [{"evs": np.zeros(1), "variances": np.zeros((1, 4))}])

    assert shared(allocation, Bases(FOUR_BASES), 1000) == (1950, 1000, 1000, 50)


@pytest.mark.parametrize("shots", [1, 2, 7, 33, 1001])
def test_no_shot_is_lost_and_every_basis_has_some(shots: int) -> None:
    """The total is that of equal shots, and no basis has fewer than it needs to tell its variance, if there are any."""
    found = shared(ShotAllocation("weighted", planner=None), Bases(FOUR_BASES), shots)  # type: ignore[arg-type]

    assert sum(found) == 4 * shots
    assert min(found) >= min(shots, FEWEST)


def test_a_single_basis_is_left_as_it_is() -> None:
    """There is nothing to share."""
    pub = (None, Bases(np.array([[1.0]])))

    assert ShotAllocation("optimal", planner=None).allotted(pub, 10) is pub  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "cuts"),
    [
        (["estimator=shots"], [14]),
        (["estimator=frugal", "estimator.default_shots=null", "estimator.target_stddev=0.02"], [7, 14, 23]),
    ],
)
def test_a_resumed_run_has_the_same_shots_of_every_basis(
    workdir: Path, how: list[str], cuts: list[int]
) -> None:
    """Recorded variances and weights decide; the journal has what every basis took and cost; a kill changes nothing."""
    declared = compose(
        *QUIET, "hamiltonian=lih_4q", "ansatz=efficient_su2", *how,
        "optimizer=spsa", "optimizer.max_evaluations=12",
    )  # fmt: skip
    whole = run(declared, directory="whole")
    broken = run(declared, directory="broken")
    for keep in cuts:
        cut(broken.directory, keep=keep)

        again = resume("broken")

        assert deterministic(Path("broken")) == deterministic(Path("whole"))
        assert (again.energy, again.parameters) == (whole.energy, whole.parameters)
    submitted: list[JobSubmitted] = events(whole, "job.submitted")
    completed: list[JobCompleted] = events(whole, "job.completed")
    shots = [one.pubs[0]["shots_per_basis"] for one in submitted]
    assert shots[0] != shots[1]
    for one, taken in zip(submitted, shots, strict=True):
        sets = len(np.atleast_2d(one.pubs[0]["values"]))
        assert [part[0] for part in one.work] == [sum(taken) * sets]
        assert sum(taken) == one.pubs[0]["shots"] * len(taken)
    for one, taken in zip(completed, shots, strict=True):
        variances = np.array(one.result[0]["variances"])
        stds = np.array(one.result[0]["stds"]).reshape(-1)
        assert (stds**2).mean() == pytest.approx((variances / taken).sum(), rel=1e-9)
    told = ["reading" in one.result[0] for one in completed]
    doubled = [number.bit_count() == 1 for number in range(1, len(told) + 1)]
    assert told == (doubled if "estimator=frugal" in how else [False] * len(told))


def test_commuting_bases_are_charged_for_their_circuits(workdir: Path) -> None:
    """On a device every basis has its own length, and more than the same circuit in bases without Clifford circuits."""
    declared = [*QUIET, "backend=generic", "backend.num_qubits=4", "hamiltonian=lih_4q", "optimizer=spsa",
                "estimator=shots", "estimator.default_shots=200", "optimizer.max_evaluations=4"]  # fmt: skip
    plain = run(compose(*declared, "estimator.grouping=sorted"), directory="plain")
    commuting = run(compose(*declared, "estimator.grouping=commuting"), directory="commuting")

    (one, *_), (other, *_) = events(plain, "job.submitted"), events(commuting, "job.submitted")

    assert len(one.work) == 1
    assert len(other.work) > 1
    assert len({length for _, length in other.work}) > 1
    assert max(length for _, length in other.work) > one.work[0][1]
    assert min(length for _, length in other.work) >= one.work[0][1]
    pause = 2.0 + sum(count * (250e-6 + length) for count, length in other.work)  # docs/cost.md
    assert other.qpu_estimate == pytest.approx(pause)


@pytest.mark.parametrize("typed", ["estimator.grouping=sorted", "estimator.shot_allocation=optimal"])
def test_the_real_service_measures_as_it_does(typed: str) -> None:
    """What it would not honour is refused."""
    with pytest.raises(
        ConfigError, match=f"{typed.partition('=')[0]}: the real service has (qubit_wise|uniform)"
    ):
        compose("backend=ibm", "backend.name=ibm_torino", "estimator=shots", typed)


def test_what_is_chosen_costs_least_and_the_page_is_the_services() -> None:
    """The presets, and a typed choice beside the page's experiment."""
    chosen = {
        words: (config.estimator.grouping, config.estimator.allocation)
        for words in ("estimator=shots", "estimator=target", "estimator=page", "experiment=session_guide")
        if (config := compose(words))
    }

    assert chosen == {
        "estimator=shots": ("sorted", "optimal"),
        "estimator=target": ("sorted", "optimal"),
        "estimator=page": ("qubit_wise", "uniform"),
        "experiment=session_guide": ("qubit_wise", "uniform"),
    }


def asked(*shots: tuple[int, ...] | None) -> list[Any]:
    """PUBs whose bases have these shots each."""
    return [(None, Bases(FOUR_BASES, taken)) for taken in shots]


def test_the_summary_tells_the_shots_of_all_jobs() -> None:
    """Of the fewest to the most, of each PUB its own bases; nothing where every basis has as many."""
    told = AllottedShots()
    told.add([*asked(None), (None, "ZZ")])

    assert told.in_words is None

    told.add(asked((1200, 50, 400), (90,)))

    told.add(asked((40, 60, 50, 70)))

    assert told.in_words == "40 to 1 200 in each of up to 4 bases"

    twice = AllottedShots()
    twice.add(asked((1200, 50, 400), (90, 300, 200)))  # one job, two points of one Hamiltonian of 3 bases

    assert twice.in_words == "50 to 1 200 in each of 3 bases"

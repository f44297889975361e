"""Budgets in shots and money, against pencil and paper and the journals of the runs that had them.

The default problem is measured in three bases (YZ | ZI, ZZ | XX) with 10 000 shots each, so a point is 30 000 shots
and a job of n points takes 2 + n · 30 000 · 0.00035 = 2 + 10.5 n s. What measuring a result takes is kept: one job of
at most three points and one of one point, 120 000 shots and 33.5 + 12.5 = 46 s.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from runner import RunResult, compose, resume, run
from runner.cli.compare import outcomes
from runner.cli.list import row
from runner.errors import ConfigError
from runner.record.events import BudgetReached, JobCompleted, JobSubmitted, RunResumed
from runner.record.journal import read_journal
from runner.record.log import of
from runner.run.context import Lab
from runner.whatif.forecast import forecast
from tests.test_run import deterministic

SMALL = ("tracking=off", "run.figures=false", "optimizer=cobyla")


def shots_of(result: RunResult) -> dict[str, int]:
    """Workload → executions of its jobs, added up from the journal."""
    found: dict[str, int] = {}
    for event in of(read_journal(result.directory / "journal.jsonl").events, JobSubmitted):
        for executions, _ in event.work or ():
            found[event.workload] = found.get(event.workload, 0) + executions
    return found


def reached(result: RunResult) -> BudgetReached:
    """The budget that ended a run."""
    (fact,) = of(read_journal(result.directory / "journal.jsonl").events, BudgetReached)
    return fact


def test_a_budget_of_shots_is_never_exceeded(workdir: Path) -> None:
    """By hand: 12 points are 360 000 shots; the 13th and measuring would make it 510 000."""
    result = run(compose(*SMALL, "optimizer.max_shots=500000"), directory="run")

    assert (result.status, result.exit_code, result.converged) == ("finished", 0, False)
    assert result.evaluations == 12
    assert result.energy_kind == "measured"
    assert result.stop_reason == (
        "max_shots 500 000: 360 000 used, the next job would take 30 000 and measuring the result up to 120 000"
    )
    assert shots_of(result)["vqe"] == reached(result).spent == 360_000
    assert sum(shots_of(result).values()) == result.shots
    assert result.shots is not None
    assert result.shots <= 500_000


def test_a_gradient_counts_what_it_costs(workdir: Path) -> None:
    """The shift rule takes 2 P + 1 points of 30 000 shots; a budget of four gradients and the measurement is four."""
    gradient = (2 * 12 + 1) * 30_000
    result = run(
        compose(*SMALL[:2], "optimizer=adam", f"optimizer.max_shots={4 * gradient + 120_000}"),
        directory="run",
    )

    assert len(result.parameters) == 12
    assert (result.evaluations, shots_of(result)["vqe"]) == (4, 4 * gradient)


@pytest.mark.parametrize(
    ("mode", "spent"),
    [("batch", 60.0), ("job", 60.0), ("session", 0.8 * (6 * 12.5 + 6 * 0.01))],
)
def test_money_ends_a_run_before_it_is_exceeded(mode: str, spent: float, workdir: Path) -> None:
    """By hand: 100 USD are 125 s; six points are 75 s, one more and measuring 58.5. A session pays its pauses, too."""
    declared = compose(*SMALL, f"session.mode={mode}", "session.max_cost=100")
    result = run(declared, directory="run")
    jobs = list(of(read_journal("run/journal.jsonl").events, JobCompleted))

    assert (result.status, result.exit_code, result.evaluations) == ("stopped", 3, 6)
    assert reached(result).spent == pytest.approx(spent)
    assert result.qpu_seconds == pytest.approx(sum(job.qpu_seconds for job in jobs))
    assert result.cost is not None
    assert 0.8 * sum(job.qpu_seconds for job in jobs) <= result.cost <= 100
    assert result.energy_kind == "measured"

    expected = forecast(declared)
    assert (expected.evaluations, expected.fits) == (6, True)
    assert expected.cost == pytest.approx(result.cost, rel=1e-9)
    assert expected.ends_by == result.stop_reason


def test_usage_is_limited_where_it_costs_nothing(workdir: Path) -> None:
    """In all batches together: of 200 s twelve points take 150; one more, 12.5 s, and measuring would make it 208.5."""
    declared = ("session=batch", "session.plan=open", "session.max_time=60", "session.on_expiry=reopen")
    result = run(compose(*SMALL, *declared, "session.max_usage=3m 20s"), directory="run")

    assert (result.status, result.evaluations) == ("stopped", 12)
    assert len(result.session_ids) > 1
    assert result.usage_seconds <= 200
    assert (reached(result).key, reached(result).spent) == ("session.max_usage", 150.0)


def test_a_larger_budget_goes_on_as_if_it_had_been_there_from_the_start(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, also where the resumed process is interrupted and goes on, told again or not."""
    whole = run(compose(*SMALL, "optimizer.max_shots=900000"), directory="whole")
    run(compose(*SMALL, "optimizer.max_shots=500000"), directory="parts")
    execute, calls = Lab.execute, []

    def interrupted(lab: Lab, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:  # of those that are not recorded
            os.kill(os.getpid(), signal.SIGINT)
        return execute(lab, *arguments)

    monkeypatch.setattr(Lab, "execute", interrupted)
    assert resume("parts", overrides=["optimizer.max_shots=900000"]).status == "interrupted"
    monkeypatch.setattr(Lab, "execute", execute)
    shutil.copytree("parts", "typed")
    typed = resume("typed", overrides=["optimizer.max_shots=900000"])
    with pytest.raises(ConfigError, match=r"did not end this run|is used up"):
        resume("typed", overrides=["optimizer.max_shots=900000"])
    again = resume("parts")
    assert (typed.energy, typed.evaluations, typed.shots) == (again.energy, again.evaluations, again.shots)
    resumed = list(of(read_journal("parts/journal.jsonl").events, RunResumed))

    assert [event.budgets for event in resumed] == [{"optimizer.max_shots": 900_000}] * 2
    assert (again.status, again.stop_reason, again.shots) == ("finished", whole.stop_reason, whole.shots)
    assert (again.energy, again.evaluations) == (whole.energy, whole.evaluations)
    # by hand: the session that was closed had measured a result, 12.5 s and a pause, at the premium plan's price
    assert again.cost == pytest.approx(whole.cost + 0.8 * (12.5 + 0.01), rel=1e-9)
    assert [one for one in deterministic(Path("parts")) if one["kind"] == "evaluation"] == [
        one for one in deterministic(Path("whole")) if one["kind"] == "evaluation"
    ]


def test_what_measuring_took_before_is_paid_once_and_told(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal's jobs, all of which were charged, added up by hand: the batch has nothing but QPU seconds."""
    run(compose(*SMALL, "session=batch", "session.max_cost=100"), directory="run")
    result = resume("run", overrides=["session.max_cost=200"], quiet=False)
    events = read_journal("run/journal.jsonl").events
    paid = sum(event.qpu_seconds for event in of(events, JobCompleted))
    before = result.measured_before

    assert before is not None
    assert result.usage_seconds + before["usage_seconds"] == pytest.approx(paid, rel=1e-12)
    assert result.cost + before["cost"] == pytest.approx(0.8 * paid, rel=1e-12)  # the premium plan's price
    assert 0.8 * paid <= 200
    assert result.shots + before["shots"] == sum(shots_of(result).values())
    assert f"{0.8 * paid:.2f} USD together" in capsys.readouterr().out
    price = f"{0.8 * paid:.2f} USD"
    assert price in row(Path("run"))
    assert ("cost", price) in outcomes([Path("run")])
    assert price in result._repr_html_()


def test_a_budget_that_is_used_up_has_to_be_raised(workdir: Path) -> None:
    """Resuming without, or with less, or with another, is one line that says what to type; nothing is written."""
    result = run(compose(*SMALL, "session=batch", "session.max_cost=100"), directory="run")
    before = (result.directory / "journal.jsonl").read_bytes()

    for typed, said in (
        ([], "session.max_cost: 100 is used up; .* python -m runner resume run session.max_cost=200"),
        (["session.max_cost=90"], "session.max_cost: 100 is used up"),
        (["optimizer.max_shots=10000000"], "optimizer.max_shots: did not end this run"),
        (["session.max_time=3h"], "session.max_time: cannot be changed"),
    ):
        with pytest.raises(ConfigError, match=said):
            resume("run", overrides=typed)
    assert (result.directory / "journal.jsonl").read_bytes() == before

    again = resume("run", overrides=["session.max_cost=null", "run.require_convergence=false"])
    assert again.status == "finished"
    assert "max_cost" not in again.stop_reason
    assert again.cost is not None
    assert again.cost > 100


def test_gradients_of_a_pool_that_do_not_fit_in_are_refused(workdir: Path) -> None:
    """Before anything is created, with what is enough.

    By hand: H2's three excitations are 2 + 2 + 8 Pauli rotations, so the pool's gradients take 25 points in 5 bases.
    """
    declared = ("experiment=adapt_vqe", "hamiltonian=h2", "gradient=auto", "estimator=shots")
    words = (*SMALL, *declared, "estimator.default_shots=1000")
    said = "^optimizer.max_shots: 124999 are too few: the gradients of the pool take 125000; raise it$"
    with pytest.raises(ConfigError, match=said):
        run(compose(*words, "optimizer.max_shots=124999"), directory="run")
    assert not Path("run").exists()
    enough = run(compose(*words, "optimizer.max_shots=125000"), directory="run")
    assert (enough.energy_kind, enough.shots) == ("measured", 125_000)


def test_a_budget_that_not_even_one_job_fits_in_stops_the_run(workdir: Path) -> None:
    """Where nobody told before: nothing is known then, and what is told to be typed lets the run begin."""
    result = run(compose("experiment=dynamics", "session.max_cost=0.5", *SMALL[:2]))

    assert (result.status, result.exit_code, result.energy, result.shots) == ("stopped", 3, None, 0)
    assert reached(result).spent == 0
    larger = f"session.max_cost={math.ceil(reached(result).needed)}"
    with pytest.raises(ConfigError, match=f"to go on, type more: .* {larger}$"):
        resume(result.directory)
    assert (resume(result.directory, overrides=[larger]).shots or 0) > 0


def test_racers_have_a_budget_each(workdir: Path) -> None:
    """Of shots; another for one of them is its own. Measuring the lowest once more is kept as well."""
    racers = "experiment.optimizers=[cobyla,{nelder_mead:{max_shots:600000}}]"
    result = run(
        compose(*SMALL[:2], "experiment=vqe_race", racers, "optimizer.max_shots=400000"), directory="run"
    )
    taken = shots_of(result)

    # 150 000 are kept; of the 250 000 and 450 000 that are left eight and fifteen points are taken
    assert (taken["cobyla"], taken["nelder_mead"]) == (240_000, 450_000)
    assert sum(taken.values()) == result.shots
    assert result.shots is not None
    assert result.shots <= 1_000_000


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("optimizer.max_shots=149999",), "149999 are too few: one energy and measuring .* take 150000"),
        (("optimizer.max_shots=0",), "optimizer.max_shots"),
        (("session.max_cost=40",), "40 USD are too few: .* take 46.83; raise it"),
        (("session.max_cost=-1",), "session.max_cost: must be a sum in USD above 0"),
        (("session=batch", "session.plan=open", "session.max_cost=5"), "session.max_usage=SECONDS"),
        (("session.max_usage=half",), "session.max_usage: 'half' is not a duration"),
        (("backend=ibm", "session.max_cost=100"), "session.max_time=125 ends the session before"),
        (("backend=ibm", "optimizer.max_shots=1000000"), "use optimizer.max_evaluations"),
    ],
)
def test_what_cannot_be_kept_is_refused(typed: tuple[str, ...], said: str, workdir: Path) -> None:
    """In one line, before anything is created.

    By hand: 12.5 + 33.5 + 12.5 s, and three times 0.01 s between jobs, are 46.824 USD at 0.80 USD a second.
    """
    with pytest.raises(ConfigError, match=said):
        run(compose(*SMALL, *typed), directory="run")

    assert not Path("run").exists()


LEAST: dict[str, tuple[str, ...]] = {
    "vqe": ("gradient=auto",),
    "dissociation_curve": ("experiment.values=[0.7]", "estimator=shots", "estimator.default_shots=100"),
    "adapt_vqe": ("gradient=auto", "experiment.max_operators=1", "optimizer.max_evaluations=1"),
    "qaoa": ("optimizer.max_evaluations=2",),
    "sampling": (),
    "sqd": ("experiment.jobs=1",),
    "skqd": ("experiment.dimension=1",),
    "krylov": ("experiment.dimension=1",),
    "estimation": (),
}
"""Experiments that say what their first job is, made small."""


@pytest.mark.parametrize(
    ("experiment", "key"),
    [
        (experiment, key)
        for experiment in LEAST
        for key in ("optimizer.max_shots", "session.max_cost", "session.max_usage")
        if key.startswith("session") or experiment in ("vqe", "dissociation_curve", "adapt_vqe", "qaoa")
    ],
)
def test_a_budget_below_the_first_job_is_refused_with_what_is_enough(
    experiment: str, key: str, workdir: Path
) -> None:
    """What is told is enough for a run that spends something, as its journal says; one step less is refused."""
    if experiment == "sqd":
        pytest.importorskip("ffsim")
    words = [
        f"experiment={experiment}",
        *LEAST[experiment],
        *SMALL[:2],
        "session.on_expiry=stop",
    ]
    with pytest.raises(ConfigError, match=rf"^{key}: .* take ([\d.]+)") as refused:
        run(compose(*words, f"{key}=1"), directory="run")
    told = re.search(r"take ([\d.]+)", str(refused.value))
    assert told is not None
    step = {"optimizer.max_shots": 1, "session.max_cost": 0.01, "session.max_usage": 0.1}[key]
    least = float(told[1])
    if key == "session.max_usage":
        least, step = math.ceil(least), 1
    with pytest.raises(ConfigError, match="raise it"):
        run(compose(*words, f"{key}={least - step:.10g}"), directory="run")
    assert not Path("run").exists()

    result = run(compose(*words, f"{key}={least:.10g}"), directory="run")
    assert sum(shots_of(result).values()) > 0

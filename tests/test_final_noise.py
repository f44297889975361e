"""Noise that is learned only to measure the result: budgets hold it, and going on counts what it took, every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import RunResult, compose, resume, run
from runner.errors import ConfigError
from runner.record.events import JobCompleted, JobSubmitted
from runner.record.journal import read_journal
from runner.record.log import of
from runner.record.result import taken_in_all
from runner.whatif.forecast import forecast

LATE = (
    "backend=fake_manila",
    "optimizer=cobyla",
    "optimizer.max_evaluations=9",
    "tracking=off",
    "run.figures=false",
    "estimator=level1",
    "estimator.final=pec",
    "estimator.default_shots=256",
    "estimator.layer_noise_learning.num_randomizations=8",
    "estimator.layer_noise_learning.shots_per_randomization=256",
    "estimator.layer_noise_learning.layer_pair_depths=[0,8]",
)
"""Learning takes some 12 s and 39 000 shots, all else 23 s and 10 000; 0.8 USD a second."""


def paid(directory: Path) -> list[tuple[str, float, int]]:
    """Workload, QPU seconds and executions of every job that was carried out: the journal, added up by hand."""
    submitted: dict[tuple[str, str | None], JobSubmitted] = {}
    found = {}
    for event in of(read_journal(directory / "journal.jsonl").events, JobSubmitted, JobCompleted):
        if isinstance(event, JobSubmitted):
            submitted[event.job, event.session] = event
        else:
            executions = sum(int(count) for count, _ in submitted[event.job, event.session].work or ())
            found[event.job, event.session, event.started] = event.workload, event.qpu_seconds, executions
    return list(found.values())


LIMITS: dict[str, tuple[tuple[str, ...], float, float, float]] = {
    "money": (("session.max_cost=30",), 30 / 0.8, 1e9, 1e9),
    "money of a batch": (("session=batch", "session.max_cost=25"), 25 / 0.8, 1e9, 1e9),
    "seconds without a session": (("session=job", "session.max_usage=31"), 31, 1e9, 1e9),
    "shots": (("optimizer.max_shots=48500",), 1e9, 48500, 1e9),
    "the session": (("session.max_time=34",), 1e9, 1e9, 34),
    "sessions one after the other": (
        ("session.max_time=20", "session.on_expiry=reopen", "session.max_cost=36"),
        36 / 0.8,
        1e9,
        1e9,
    ),
    "money of a race": (
        (
            "experiment=vqe_race",
            "experiment.optimizers=[cobyla,nelder_mead]",
            "optimizer=cobyla",
            "session=batch",
            "session.max_cost=40",
        ),
        40 / 0.8,
        1e9,
        1e9,
    ),
}
"""What is declared; seconds that may be charged, shots, and seconds of one session."""


@pytest.fixture(scope="module", params=LIMITS)
def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunResult, float, float, float]:
    """A run that some limit stops."""
    declared, *limits = LIMITS[request.param]
    typed = [
        one for one in LATE if not any(more.startswith(one.partition("=")[0] + "=") for more in declared)
    ]
    directory = tmp_path_factory.mktemp("limited") / "run"
    return run(compose(*typed, *declared), directory=str(directory)), *limits  # type: ignore[misc]


def test_no_limit_is_exceeded_by_learning_for_the_result(
    limited: tuple[RunResult, float, float, float],
) -> None:
    """The result is measured, with its noise learned; jobs of the journal add up to what is told, within the limit."""
    result, seconds, shots, session = limited
    jobs = paid(result.directory)

    assert result.status == ("finished" if shots < 1e9 else "stopped")
    assert result.energy_kind == "measured"
    assert [name for name, *_ in jobs].count("noise-learner") in (1, 2)
    assert sum(taken for _, taken, _ in jobs) == pytest.approx(result.qpu_seconds)
    assert sum(count for *_, count in jobs) == result.shots
    assert result.usage_seconds <= seconds
    assert result.shots <= shots
    assert result.usage_seconds <= session


@pytest.mark.parametrize(
    ("declared", "typed"),
    [
        (("session.max_cost=28",), ("session.max_cost=100",)),
        (("session=batch", "session.max_cost=25"), ("session.max_cost=100",)),
        (("session=job", "optimizer.max_shots=48500"), ("optimizer.max_shots=200000",)),
        (("session.max_time=34",), ()),
    ],
)
@pytest.mark.usefixtures("workdir")
def test_what_learning_took_before_a_run_went_on_is_counted(
    declared: tuple[str, ...], typed: tuple[str, ...]
) -> None:
    """Both times: all jobs of the journal are those of the result and those that measured before."""
    run(compose(*LATE, *declared), directory="run")
    result = resume("run", overrides=typed)
    jobs, told = paid(Path("run")), result.measured_before

    assert result.status == "finished"
    assert told is not None
    assert [name for name, *_ in jobs].count("noise-learner") == 2
    for name, number in (("qpu_seconds", 1), ("shots", 2)):
        assert taken_in_all({**vars(result), "measured_before": told}, name) == pytest.approx(
            sum(job[number] for job in jobs)
        )


@pytest.mark.usefixtures("workdir")
def test_a_session_that_ends_before_the_result_can_be_measured_is_refused() -> None:
    """One energy takes 2.3 s, learning 11.9 s, choosing and reporting 5 s: not in 17 s; nothing is written."""
    with pytest.raises(
        ConfigError, match=r"^session\.max_time: 17 s do not hold one energy, 2\.3 s, and then learn"
    ):
        run(compose(*LATE, "session.max_time=17"), directory="run")
    assert not Path("run").exists()


@pytest.mark.usefixtures("workdir")
def test_a_first_job_after_which_nothing_could_be_measured_is_not_begun() -> None:
    """SPSA begins with a job of 25 points or more, which nobody knows beforehand; the run fails, at no price."""
    result = run(
        compose(*LATE, "optimizer=spsa", "optimizer.max_evaluations=60", "session.max_time=24"),
        directory="run",
    )

    assert (result.status, result.exit_code, result.shots, result.cost) == ("failed", 2, 0, 0.0)


@pytest.mark.parametrize("longest", [90, 125])
def test_a_forecast_ends_where_a_run_keeps_time_to_learn(workdir: Path, longest: int) -> None:
    """The run itself: learning noise for its result takes 61 of the session's seconds, which no evaluation gets."""
    declared = compose(
        "experiment=vqe", "hamiltonian=pauli", "hamiltonian.terms=[[XX,1],[YY,0.5],[ZI,0.3]]", "ansatz.reps=1",
        "backend=fake_manila", "optimizer=spsa", "optimizer.max_evaluations=80", "estimator=level1",
        "estimator.final=pec", "estimator.default_shots=500", "session=batch", "session.on_expiry=stop",
        f"session.max_time={longest}", "tracking=off", "run.figures=false",
    )  # fmt: skip
    told = forecast(declared)
    result = run(declared)

    assert result.energy_kind == "measured"
    assert result.evaluations < 79
    assert told.breaks_first is not None
    assert told.breaks_first.endswith(f"ends after {result.evaluations} of 79 evaluations")

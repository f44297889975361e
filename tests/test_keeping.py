"""What a re-timed run keeps of its session for measuring its result, against runs that were really made so."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from runner import compose, run
from runner.record.events import Reserve
from runner.record.journal import read_journal
from runner.record.log import of
from runner.whatif.retime import UNKNOWN, columns, table

SMALL = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=8")
RACE = ("experiment=vqe_race", "experiment.optimizers=[cobyla,spsa]")
CONDITIONS = ("session=batch", "session.plan=open", "session.interactive_timeout=0.5", "session.latency=2")


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished race whose 14 jobs took as long as they liked."""
    directory = tmp_path_factory.mktemp("retime") / "race"
    run(compose(*SMALL, *RACE), directory=str(directory))
    return directory


@pytest.mark.parametrize(("limit", "finished"), [(300, False), (310, True)])
def test_time_is_kept_for_measuring_the_result(
    race: Path, limit: int, finished: bool, tmp_path: Path
) -> None:
    """What the runs really made so do; of 300 s the journal says that 125.0 were left and 114.5 needed.

    By hand: a job of one point takes 2 + 3 · 10 000 · 0.00035 = 12.5 s, of three 33.5 s; each workload needs both with
    2 s after each, the lower one 14.5 s once more, and the next job 14.5 s: 2 · 50 + 14.5 + 14.5 = 129 s, 4 s too many.
    """
    conditions = (*CONDITIONS, f"session.max_time={limit}")
    actual = run(compose(*SMALL, *RACE, *conditions), directory=str(tmp_path / "run"))

    found = columns(race, conditions)
    rows = {name: values[-1] for name, *values in table(found)}

    assert (actual.status == "finished") is finished
    assert rows["would have finished"] == ("yes" if finished else "no")
    assert (rows["cost"], rows["usage"]) == ("0.00 USD", rows["QPU time"]) if finished else (UNKNOWN, UNKNOWN)
    if not finished:
        assert actual.stop_reason.startswith("the session's last ")
    if limit == 300:
        (reserve,) = of(read_journal(tmp_path / "run" / "journal.jsonl").events, Reserve)
        assert (reserve.seconds_left, reserve.seconds_needed) == pytest.approx((125.0, 114.5))


def test_a_run_that_goes_on_in_another_session_keeps_nothing(race: Path) -> None:
    """Nor does one in job mode: all jobs are done, in two batches or in none."""
    reopened, jobs = (
        columns(race, [*CONDITIONS, "session.max_time=200", "session.on_expiry=reopen"])[1:]
        + columns(race, ["session=job"])[1:]
    )

    assert (reopened.retimed.complete, reopened.retimed.sessions, jobs.retimed.complete) == (True, 2, True)


def test_what_was_measured_in_another_way_is_not_known(tmp_path: Path) -> None:
    """Shots that follow from variances: near the end of a session nobody can tell what would have been kept."""
    run(compose(*SMALL, "estimator.target_stddev=0.01"), directory=str(tmp_path / "run"))
    whole = columns(tmp_path / "run")[0].retimed.duration

    found = columns(tmp_path / "run", [f"session.max_time={math.ceil(whole) + 1},8h"])[1:]
    rows = {name: values for name, *values in table(found)}

    assert rows["would have finished"] == ["not known", "yes"]
    assert rows["cost"][0] == "not known"

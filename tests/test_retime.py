"""A recorded run under other sessions: the same jobs, another clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import compose, run
from runner.__main__ import main
from runner.errors import ConfigError
from runner.whatif.retime import columns, table, was_stopped

SMALL = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=8")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, float]:
    """A finished run with a queue: directory, usage, cost."""
    directory = tmp_path_factory.mktemp("retime") / "run"
    result = run(compose(*SMALL, "session.queue_delay.seconds=50"), directory=str(directory))
    assert result.cost is not None
    return directory, result.usage_seconds, result.cost


def test_as_recorded_is_what_happened(recorded: tuple[Path, float, float]) -> None:
    """Putting a run through its own conditions changes nothing."""
    directory, usage, cost = recorded

    same = columns(directory)[0].retimed

    assert same.complete
    assert same.usage_seconds == pytest.approx(usage)
    assert same.cost == pytest.approx(cost)
    assert same.queue_seconds == pytest.approx(50)


def test_every_mode_is_shown_when_nothing_is_asked(recorded: tuple[Path, float, float]) -> None:
    """In job mode every job queues; usage is QPU time there."""
    found = {column.session.mode: column.retimed for column in columns(recorded[0])}

    assert set(found) == {"session", "batch", "job"}
    assert found["job"].queue_seconds == pytest.approx(50 * len(found["job"].jobs))
    assert found["job"].usage_seconds == pytest.approx(found["job"].qpu_seconds)
    assert found["job"].duration > found["session"].duration


@pytest.mark.parametrize("seconds", [0, 30])
def test_retimed_equals_a_run_under_those_conditions(
    recorded: tuple[Path, float, float], seconds: int, tmp_path: Path
) -> None:
    """What re-timing says is what a real run gives: plan, queue, latency and overhead changed at once."""
    changes = (
        "session=payg", f"session.queue_delay.seconds={seconds}", "session.latency=1.5", "session.overhead=4",
    )  # fmt: skip
    actual = run(compose(*SMALL, *changes), directory=str(tmp_path / "run"))

    retimed = columns(recorded[0], changes)[1].retimed

    assert retimed.usage_seconds == pytest.approx(actual.usage_seconds)
    assert retimed.cost == pytest.approx(actual.cost)


def test_a_shorter_session_would_not_have_finished(recorded: tuple[Path, float, float]) -> None:
    """Jobs behind the end are lost; re-opening would have saved them."""
    _, stopped, reopened = columns(recorded[0], ["session.max_time=40", "session.on_expiry=stop,reopen"])

    assert not stopped.retimed.complete
    assert stopped.retimed.lost > 0
    assert reopened.retimed.complete
    assert reopened.retimed.sessions > 1


def test_the_table_has_a_column_per_combination(recorded: tuple[Path, float, float]) -> None:
    """Commas make columns; choices and settings may be mixed."""
    found = columns(recorded[0], ["session=batch,job", "session.queue_delay.seconds=0,600"])

    rows = {name: values for name, *values in table(found)}
    assert [column.title for column in found] == [
        "as recorded", "batch\nqueue_delay.seconds=0", "batch\nqueue_delay.seconds=600",
        "job\nqueue_delay.seconds=0", "job\nqueue_delay.seconds=600",
    ]  # fmt: skip
    assert rows["mode"] == ["session", "batch", "batch", "job", "job"]
    assert rows["would have finished"] == ["yes"] * 5


def test_a_run_that_was_stopped_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows the jobs it never came to."""
    run(compose(*SMALL, "session.max_time=30"), directory=str(tmp_path / "run"))

    code = main(["retime", str(tmp_path / "run"), "session.max_time=1h"])

    shown = capsys.readouterr().out
    assert code == 0
    assert was_stopped(tmp_path / "run")
    assert "as far as recorded" in shown
    assert "had not finished" in shown


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer=spsa", "only the session"),
        ("session=batc", "did you mean 'batch'"),
        ("session.max_time=10x", "not a duration"),
        ("session.max_tim=10", "unknown key"),
        ("session.lanes=0", "at least 1"),
    ],
)
def test_bad_settings_are_refused(recorded: tuple[Path, float, float], override: str, message: str) -> None:
    """One line that says what to type instead."""
    with pytest.raises(ConfigError, match=message):
        columns(recorded[0], [override])


def test_retime_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory, first."""
    assert main(["retime", "session=batch"]) == 2
    assert main(["retime", str(tmp_path)]) == 2

    assert capsys.readouterr().err.count("error: ") == 2

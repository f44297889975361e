"""Several optimizers at once in one session: side by side, deterministic, resumable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner import RunResult, compose, resume, run
from runner.errors import ConfigError
from runner.record.journal import read_journal
from tests.test_run import cut, events

RACE = ("experiment=vqe_race", "tracking=off", "run.figures=false", "optimizer.max_evaluations=15")


def streams(directory: Path) -> dict[tuple[str, str], list[dict[str, object]]]:
    """The journal sorted by kind and workload, without wall-clock fields."""
    sorted_out: dict[tuple[str, str], list[dict[str, object]]] = {}
    for event in read_journal(directory / "journal.jsonl").events:
        if event.kind in (
            "session",
            "job.submitted",
            "job.completed",
            "evaluation",
            "iteration",
            "estimate",
        ):
            sorted_out.setdefault((event.kind, event.stream), []).append(event.said())
    return sorted_out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A race from start to end, run once for the tests that only look at it."""
    return run(compose(*RACE), directory=str(tmp_path_factory.mktemp("race") / "whole"))


def test_racers_run_at_the_same_time_in_one_session_with_tags(whole: RunResult) -> None:
    """The jobs of both are interleaved in one session, tagged by optimizer, and reported side by side."""
    order = [event.workload for event in events(whole, "job.completed")]
    tags = {event.workload: event.tags for event in events(whole, "job.submitted")}

    assert len(whole.session_ids) == 1
    assert tags == {"cobyla": ["cobyla"], "nelder_mead": ["nelder_mead"], "result": ["result"]}
    assert order[:6] == ["cobyla", "nelder_mead"] * 3
    assert [row["optimizer"] for row in whole.table] == ["cobyla", "nelder_mead"]
    assert [row["evaluations"] for row in whole.table] == [15, 15]
    energies = {row["optimizer"]: row["energy"] for row in whole.table}
    assert whole.stop_reason == f"lowest energy by {min(energies, key=energies.__getitem__)}"
    assert whole.energy not in energies.values()  # the winner is measured once more
    assert (
        order.count("result") >= 2
    )  # to compare and to report; to choose where a racer has several candidates
    assert whole.evaluations == 30


def test_the_race_is_the_same_every_time(whole: RunResult, workdir: Path) -> None:
    """C2: whatever the operating system does with the threads, every workload's journal is the same."""
    run(compose(*RACE), directory="again")

    assert streams(Path("again")) == streams(whole.directory)
    assert Path("again/session.json").read_text() == (whole.directory / "session.json").read_text()


@pytest.mark.parametrize("keep", [9, 40, 75])
def test_a_killed_race_goes_on(whole: RunResult, workdir: Path, keep: int) -> None:
    """Cut off anywhere, resumed: the same results as without the break."""
    shutil.copytree(whole.directory, "broken")
    cut(Path("broken"), keep=keep)

    again = resume("broken")

    assert again.table == whole.table
    assert streams(Path("broken")) == streams(whole.directory)


def test_a_race_stopped_by_the_session_goes_on(workdir: Path) -> None:
    """S13 with two workloads: exit code 3, best so far in the table, and a resumed run finishes in new sessions."""
    stopped = run(compose(*RACE, "session.max_time=150"), directory="short")

    assert (stopped.status, stopped.exit_code) == ("stopped", 3)
    assert [row["optimizer"] for row in stopped.table] == ["cobyla", "nelder_mead"]
    assert all(0 < row["evaluations"] < 15 for row in stopped.table)

    again = resume("short")

    assert again.status == "finished"
    assert again.evaluations == 30
    assert len(again.session_ids) >= 2
    assert again.session_ids[0] == stopped.session_ids[0]


def test_racers_take_settings_of_their_own(workdir: Path) -> None:
    """A racer's settings stand with its name; the limits of `optimizer` hold for all others."""
    result = run(
        compose(*RACE, "experiment.optimizers=[{cobyla:{max_evaluations:5}},spsa]", "estimator=exact")
    )

    assert result.table[0]["evaluations"] == 5
    assert 5 < result.table[1]["evaluations"] <= 15


@pytest.mark.parametrize(
    ("declared", "line"),
    [
        ("[coblya]", r"experiment\.optimizers\[0\]: unknown choice 'coblya'; did you mean 'cobyla'\?"),
        ("[spsa,spsa]", r"experiment\.optimizers\[1\]: 'spsa' stands twice"),
        ("[{cobyla:{rhobg:1}}]", r"experiment\.optimizers\[0\]\.rhobg: unknown key; did you mean 'rhobeg'\?"),
        ("[{cobyla:{rhobeg:-1}}]", r"experiment\.optimizers\[0\]\.rhobeg: must be above 0, got -1"),
        ("[{cobyla:3}]", r"experiment\.optimizers\[0\]: must be a name or"),
        ("[]", r"experiment\.optimizers: takes 1 to 20, got 0"),
    ],
)
def test_bad_racers_are_refused_when_composed(declared: str, line: str) -> None:
    """Unknown names and settings are found before anything is built."""
    with pytest.raises(ConfigError, match=line):
        compose("experiment=vqe_race", f"experiment.optimizers={declared}")

"""The clock on the wall may be set at any time; what is recorded, and durations, do not care."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from runner import compose, run
from runner.record import clock
from runner.record.events import Note
from runner.record.journal import Journal, read_journal


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_is_set_during_a_run_changes_nothing(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """By an hour after every look at it: moments stay in order, and durations are not those of a jump."""
    honest, looks = time.time, iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: honest() + jump * next(looks))
    result = run(compose("tracking=off", "run.figures=false", "optimizer.max_evaluations=4"), directory="run")
    moments = [event.t for event in read_journal(workdir / "run" / "journal.jsonl").events]

    assert moments == sorted(moments)
    assert moments[-1] - moments[0] < 1800
    assert 0 <= result.wall_seconds < 1800
    assert json.loads((workdir / "run" / "result.json").read_text())["status"] == "finished"


def test_a_clock_that_was_set_back_between_processes_goes_on_from_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal is continued an hour before its last event: the next one is not earlier than that."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write(Note(level="info", text="first"))
    honest = clock.now
    monkeypatch.setattr(clock, "now", lambda: honest() - 3600)
    with Journal.append_to(path) as journal:
        journal.write(Note(level="info", text="second"))
        journal.write(Note(level="info", text="third"))
    first, second, third = (event.t for event in read_journal(path).events)

    assert first <= second <= third < first + 60

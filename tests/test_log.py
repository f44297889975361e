"""Events that are read when they are looked at: none is parsed in vain, and none is kept."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from runner.record import log
from runner.record.events import Evaluation, Iteration, JobCompleted
from runner.record.journal import Journal, read_journal
from runner.record.log import EventLog, count, first, last, of, remembered
from runner.record.replay import lasting
from tests.journals import job, session, told

EVENTS = 5000


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    """A journal of as many evaluations as iterations, of 200 bytes each."""
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal.create(path) as journal:
        for index in range(EVENTS):
            energy = 1.0 / (index + 1)
            journal.write(Evaluation(workload="vqe", index=index, energy=energy, stddev=0.0, best=energy))
            journal.write(
                Iteration(workload="vqe", iteration=index + 1, energy=energy, evaluations=index + 1)
            )
    return read_journal(path).events


def test_a_journal_takes_a_few_bytes_for_each_event(events: EventLog) -> None:
    """Read and gone through twice, it takes less than 40 bytes an event; as dictionaries they take 1 000."""
    tracemalloc.start()
    again = read_journal(Path(events._file.path)).events
    energies = sum(event.energy for event in of(again, Evaluation))
    energies -= sum(event.energy for event in of(again, Iteration))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(again) == 2 * EVENTS
    assert energies == pytest.approx(0)
    assert held < 40 * len(again) + 2 * log.WINDOW


def test_only_what_is_asked_for_is_parsed(events: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 000 events the 5 000 of a sort are parsed; the first, the last, and a count take one, one and none."""
    parsed: list[bytes] = []
    from_line = log.from_line
    monkeypatch.setattr(
        log, "from_line", lambda line, *args, **more: parsed.append(line) or from_line(line, *args, **more)
    )

    assert [event.index for event in of(events, Evaluation)] == list(range(EVENTS))
    assert len(parsed) == EVENTS
    assert first(events, Iteration).iteration == 1
    assert last(events, Iteration).iteration == EVENTS
    assert count(lasting(events), Evaluation) == EVENTS
    assert len(parsed) == EVENTS + 2


def test_ends_of_jobs_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order, near one another in one piece of the file, far from one another line by line: as written."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        for index in range(5):
            for event in job(index, 10 * index, 10 * index, 10 * index + 5, result=[{"evs": 0.5}]):
                journal.write(event)
    ended = read_journal(path).events
    places = list(ended.places(JobCompleted))[3:0:-1]

    together = ended.jobs_done(places)
    monkeypatch.setattr(log, "WINDOW", 8)
    monkeypatch.setattr(log, "TOGETHER", 8)

    assert [(event.index, event.finished) for event in together] == [(3, 35), (2, 25), (1, 15)]
    assert ended.jobs_done(places) == together


def test_no_more_is_read_ahead_than_one_read_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of samplers take a line of megabytes each; what is read ahead of them takes no more memory for that."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        for index in range(9):
            for event in job(index, 10 * index, 10 * index, 10 * index + 5, result=[{"evs": [0.5] * 100}]):
                journal.write(event)
    ended = read_journal(path).events
    places = list(ended.places(JobCompleted))
    size = len(ended.text(places[0]))

    assert ended.near(places) == places
    for limit, most in ((1, 1), (3 * size, 3), (20 * size, 9)):
        monkeypatch.setattr(log, "TOGETHER", limit)
        assert 1 <= len(ended.near(places)) <= most
        assert ended.near(places) == places[: len(ended.near(places))]


def test_events_are_a_sequence_like_any_other(events: EventLog) -> None:
    """Forwards, backwards, by place and in slices an event is the same, as a list has it."""
    listed = list(events)

    assert list(reversed(events)) == listed[::-1]
    assert events[-1] == listed[-1]
    assert events[10:20:3] == listed[10:20:3]
    assert events == listed


def test_streams_are_told_apart_by_the_names_that_were_written(
    tmp_path: Path, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names with quotes and letters of any kind, a name quoted in another field, a session; usually none is parsed."""
    names = ["vqe", "ü θ", 'a"b', "back\\slash", "", '{"workload":"x"}']
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        for name in names:
            submitted, completed = job(0, 0.0, 0.0, 1.0, workload=name)
            odd = told("job.completed", {**completed.said(), "job": '[,"workload":"y"'})
            for event in (
                submitted,
                odd,
                Evaluation(workload=name, index=0, energy=0.0, stddev=0.0, best=0.0),
            ):
                journal.write(event)
        journal.write(session(0.0, "open"))
    odd_ones = read_journal(path).events
    monkeypatch.setattr(log, "from_line", None)

    assert {events.stream(place) for place in range(len(events))} == {"vqe"}
    monkeypatch.undo()
    assert [odd_ones.stream(place) for place in range(len(odd_ones))] == [
        *(name for name in names for _ in range(3)),
        "s",
    ]


def test_what_was_found_is_kept_until_there_is_more(tmp_path: Path) -> None:
    """Two looks at a journal find once; another event, and it is found again."""
    calls: list[int] = []
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write(Iteration(workload="vqe", iteration=1, energy=0.0, evaluations=1))
        events = read_journal(path).events
        for _ in range(2):
            assert remembered(events, "number", lambda: calls.append(len(events)) or len(calls)) == 1
        events.add(b'{"seq":0,"t":0.0,"kind":"iteration"}')

        assert remembered(events, "number", lambda: calls.append(len(events)) or len(calls)) == 2

"""The record: facts reach the journal first, and a resumed run must repeat them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.errors import ResumeError
from runner.record.encoding import are_said_by, is_said_by
from runner.record.events import Event, IbmAnnounced, JobCompleted, JobSubmitted, SessionChanged
from runner.record.journal import Journal, read_journal
from runner.record.log import EventLog
from runner.record.replay import Record, lasting
from tests.journals import told


def evaluation(index: int, energy: float, workload: str = "vqe") -> dict[str, Any]:
    """The fields of an evaluation event."""
    return {"workload": workload, "index": index, "energy": energy}


def completed(index: int, digest: str = "d", status: str = "DONE") -> dict[str, Any]:
    """The fields of a job.completed event."""
    return {
        "workload": "vqe",
        "index": index,
        "digest": digest,
        "status": status,
        "result": [{"evs": float(index)}],
    }


def journal_with(path: Path, *events: tuple[str, dict[str, Any]]) -> EventLog:
    """The events as a journal gives them back."""
    with Journal.create(path) as journal:
        for kind, fields in events:
            journal.write(told(kind, fields))
    return read_journal(path).events


def test_facts_are_on_disk_before_listeners_hear_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener finds the event it is told about in the journal already, or what that event follows from."""
    monkeypatch.setattr("runner.record.journal.HURRIED", 0)
    seen: list[list[str]] = []
    with Journal.create(tmp_path / "j") as journal:
        record = Record(journal)
        record.listen(lambda _: seen.append([each.kind for each in read_journal(tmp_path / "j").events]))
        record(told("estimate", {"workload": "w", "energy": -1.0}))
        record(told("evaluation", evaluation(0, -1.0)))
        record(told("iteration", {"workload": "w", "iteration": 1}))
        record(told("estimate", {"workload": "w", "energy": -1.1}))
        record(told("evaluation", evaluation(1, -1.1)))

    whole = ["estimate", "evaluation", "iteration", "estimate", "evaluation"]
    assert seen == [whole[:1], whole[:1], whole[:1], whole[:4], whole[:4]]
    assert [each.kind for each in read_journal(tmp_path / "j").events] == whole


def test_replayed_facts_are_not_written_twice(tmp_path: Path) -> None:
    """The past is compared, the future appended."""
    events = journal_with(tmp_path / "j", ("evaluation", evaluation(0, -1.0)))

    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)
        record(told("evaluation", evaluation(0, -1.0)))
        record(told("evaluation", evaluation(1, -1.1)))

    assert [event.index for event in read_journal(tmp_path / "j").events] == [0, 1]


def test_workloads_may_be_interleaved_differently(tmp_path: Path) -> None:
    """Only the order within a workload is fixed."""
    events = journal_with(
        tmp_path / "j", ("evaluation", evaluation(0, -1.0, "a")), ("evaluation", evaluation(0, -2.0, "b"))
    )

    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)
        record(told("evaluation", evaluation(0, -2.0, "b")))
        record(told("evaluation", evaluation(0, -1.0, "a")))

    assert len(read_journal(tmp_path / "j").events) == 2


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    """Another energy than the recorded one stops the run and says which field differs."""
    events = journal_with(tmp_path / "j", ("evaluation", evaluation(0, -1.0)))

    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)
        with pytest.raises(ResumeError, match=r"evaluation differs .* 'energy': recorded -1.0, now -1.5"):
            record(told("evaluation", evaluation(0, -1.5)))


def test_recall_answers_done_jobs_only(tmp_path: Path) -> None:
    """Killed jobs were never executed, so there is nothing to recall."""
    events = journal_with(
        tmp_path / "j", ("job.completed", completed(0)), ("job.completed", completed(1, status="FAILED"))
    )

    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)

        assert record.recall("vqe", 0, "d") == [{"evs": 0}]
        assert record.recall("vqe", 1, "d") is None
        assert record.recall("vqe", 2, "d") is None
        assert record.recalled == 1


def test_what_completed_while_closing_is_recalled_and_told_again(tmp_path: Path) -> None:
    """Another workload's job ends after the interruption: executed once, and part of the resumed run's own story."""
    events = journal_with(
        tmp_path / "j", ("run.interrupted", {"reason": "SIGINT"}), ("job.completed", completed(0))
    )

    with Journal.append_to(tmp_path / "j") as journal:
        journal.write(told("run.resumed", {}))
        record = Record(journal, events)

        assert record.recall("vqe", 0, "d") == [{"evs": 0}]

        record(told("job.completed", completed(0)))

    assert [event.kind for event in lasting(read_journal(tmp_path / "j").events)] == ["job.completed"]


def test_recall_refuses_another_question(tmp_path: Path) -> None:
    """The same place in the workload, but other PUBs: the code or its inputs changed."""
    events = journal_with(tmp_path / "j", ("job.completed", completed(0, digest="abc")))

    with Journal.append_to(tmp_path / "j") as journal, pytest.raises(ResumeError, match="PUB digest xyz"):
        Record(journal, events).recall("vqe", 0, "xyz")


def test_a_submission_follows_from_the_recorded_end_of_the_same_job(tmp_path: Path) -> None:
    """It is passed over once, and neither told nor written; another question, or who listens to them, wants it."""
    submitted = {**completed(0), "time": 0.0}
    events = journal_with(tmp_path / "j", ("job.submitted", submitted), ("job.completed", completed(0)))
    heard: list[Event] = []

    with Journal.append_to(tmp_path / "j") as journal:
        curious = Record(journal, events)
        curious.listen(heard.append, JobSubmitted)
        record = Record(journal, events)
        record.listen(heard.append, JobCompleted)

        assert not curious.follows("vqe", 0, "d")
        assert not record.follows("vqe", 0, "another")
        assert record.follows("vqe", 0, "d")
        assert not record.follows("vqe", 0, "d")
        assert not record.follows("vqe", 1, "d")

        record(told("job.completed", completed(0)))
        with pytest.raises(ResumeError, match=r"job\.submitted differs"):
            curious(told("job.submitted", {**submitted, "time": 1.0}))

    assert [event.kind for event in heard] == ["job.completed"]
    assert len(read_journal(tmp_path / "j").events) == 2


@pytest.mark.parametrize("kind", ["job.submitted", "job.completed"])
def test_a_run_whose_jobs_were_told_apart_another_way_is_refused_with_what_to_do(
    tmp_path: Path, kind: str
) -> None:
    """Journals of 0.1.0 do not say how; one with another digest may be of the same circuit."""
    events = journal_with(tmp_path / "j", ("run.started", {}), (kind, completed(0, digest="abc")))
    why = r"^job 0 of workload 'vqe' .*resume it with the release that began it, or start a new run$"

    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)
        if kind == "job.completed":
            with pytest.raises(ResumeError, match=why):
                record.recall("vqe", 0, "xyz")
        with pytest.raises(ResumeError, match=why):
            record(told(kind, completed(0, digest="xyz")))


def test_shutting_down_is_not_part_of_the_experiment() -> None:
    """What closing an interrupted session wrote is left out; what a resumed run added counts."""
    kinds = ["run.started", "session", "run.interrupted", "session", "run.ended", "run.resumed", "evaluation"]

    kept = lasting([told(kind, seq=number, t=1.0, status="interrupted") for number, kind in enumerate(kinds)])

    assert [event.seq for event in kept] == [1, 6]


def test_a_simulation_that_failed_is_not_part_of_the_experiment() -> None:
    """Another attempt may succeed: neither the failed job nor what other workloads did after it is compared."""
    failed = told("job.completed", simulation_failed=True)
    refused = told("job.completed", code=1305)
    events = [refused, told("iteration"), failed, told("session"), told("run.resumed"), refused]

    assert lasting(events) == [events[0], events[1], events[5]]


def test_what_a_real_machine_was_given_is_on_disk_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submission follows from the past only where the service can repeat it; else it waits for nothing."""
    monkeypatch.setattr("runner.record.journal.HURRIED", 0)
    job = {"workload": "w", "job": "j", "index": 0}
    with Journal.create(tmp_path / "j") as journal:
        Record(journal)(told("job.submitted", job))
        assert read_journal(tmp_path / "j").events == []
        real = Record(journal)
        real.release(IbmAnnounced, SessionChanged, JobSubmitted, JobCompleted)
        real(told("job.submitted", job))
        assert [event.kind for event in read_journal(tmp_path / "j").events] == ["job.submitted"] * 2


def test_shutting_down_during_replay_is_not_compared(tmp_path: Path) -> None:
    """An interrupt while the past is repeated closes the session earlier than it was: that is no difference."""
    events = journal_with(
        tmp_path / "j",
        ("evaluation", evaluation(0, -1.0)),
        ("evaluation", evaluation(1, -1.1)),
        ("session", {"session": "s", "status": "Closed"}),
    )
    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)
        record(told("evaluation", evaluation(0, -1.0)))
        record(told("run.interrupted", {"reason": "SIGINT"}))
        record(told("session", {"session": "s", "status": "In progress, not accepting new jobs"}))

    written = read_journal(tmp_path / "j").events
    assert [each.kind for each in written[3:]] == ["run.interrupted", "session"]
    assert [each.kind for each in lasting(written)] == ["evaluation", "evaluation", "session"]


def completion(**changed: Any) -> JobCompleted:
    """A job that ended, with what makes it different from another."""
    said: dict[str, Any] = {
        "job": "a", "workload": "vqe", "index": 0, "digest": "d", "session": None, "status": "DONE",
        "reason": None, "started": None, "finished": 1.0, "time": 1.0, "queue_seconds": 0.0, "qpu_seconds": 1.0,
        "result": [{"evs": [0.5, -0.25], "shots": None}],
    }  # fmt: skip
    return JobCompleted(**{**said, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"started": float("nan")},
        {"reason": "null"},
        {"finished": 1.0 + 2**-52},
        {"finished": 1},
        {"result": [{"evs": [0.5, float("inf")], "shots": None}]},
        {"result": [{"evs": [0.5, -0.25], "shots": float("nan")}]},
        {"result": [{"evs": [0.5, -0.25], "shots": 7}]},
        {"result": [{"evs": [0.5, -0.25]}]},
        {"session": "s"},
        {"digest": "e"},
    ],
)
def test_a_repeated_fact_that_differs_in_anything_is_not_what_a_line_says(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    """Not-a-number is not nothing though JSON has one word for both; the last bit counts, and so does the type."""
    with Journal.create(tmp_path / "j") as journal:
        journal.write(completion())
        journal.write(completion(**changed))
    events = read_journal(tmp_path / "j").events
    first, second = (events.text(place) for place in (0, 1))

    assert is_said_by(first, completion())
    assert not is_said_by(first, completion(**changed))
    assert not is_said_by(second, completion())


def test_facts_together_are_what_lines_say_only_where_each_of_them_is(tmp_path: Path) -> None:
    """Another number, order or count is found; so is what JSON says as null, which may be something else."""
    facts = [
        told("evaluation", {**evaluation(index, 0.1 * index), "stddev": 0.0, "best": 0.0})
        for index in range(3)
    ]
    unknown = told("iteration", {"workload": "vqe", "iteration": 1, "energy": float("nan")})
    with Journal.create(tmp_path / "j") as journal:
        for event in (*facts, unknown):
            journal.write(event)
    lines = [read_journal(tmp_path / "j").events.text(place) for place in range(4)]
    other = told("evaluation", {**evaluation(2, 0.2 + 2**-54), "stddev": 0.0, "best": 0.0})

    assert are_said_by(lines[:3], facts)
    assert not are_said_by(lines[:3], [*facts[:2], other])
    assert not are_said_by(lines[:3], [facts[1], facts[0], facts[2]])
    assert not are_said_by([*lines[:2], lines[3]], facts)
    assert not are_said_by(lines, [*facts, unknown])


@pytest.mark.parametrize(
    "fields",
    [
        {"energy": np.float64(-1.5)},
        {"energy": float("nan")},
        {"energy": 2**70},
        {"energy": -1.0, "more": np.array([1.0, float("-inf")])},
        {"energy": -1.0, "more": "null and é and \\" + '"'},
    ],
)
def test_a_fact_that_repeats_itself_passes_whatever_it_holds(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Arrays, numbers that JSON cannot say and very long ones are recorded by other words, and still the same."""
    event = told("evaluation", {"workload": "vqe", "index": 0, "stddev": 0.0, "best": 0.0, **fields})
    with Journal.create(tmp_path / "j") as journal:
        journal.write(event)
    with Journal.append_to(tmp_path / "j") as journal:
        Record(journal, journal.contents.events)(event)

    assert len(read_journal(tmp_path / "j").events) == 1


def test_a_job_is_repeated_in_one_go_only_where_it_is_next(tmp_path: Path) -> None:
    """Its submission and its end are the next of its workload, of the same digest; looking at it repeats nothing."""
    events = journal_with(
        tmp_path / "j",
        *(
            (kind, completed(index) if kind == "job.completed" else {"workload": "vqe", "index": index})
            for index in range(3)
            for kind in ("job.submitted", "job.completed")
        ),
    )
    heard: list[Event] = []

    with Journal.append_to(tmp_path / "j") as journal:
        record = Record(journal, events)
        record.listen(heard.append, JobCompleted)
        ends = record.ends_of("vqe", 0, ["d"])

        assert len(record.ends_of("vqe", 0, ["d", "d", "d", "d"])) == 3
        assert len(record.ends_of("vqe", 0, ["d", "another", "d"])) == 1
        assert record.ends_of("vqe", 0, ["another"]) == []
        assert record.ends_of("vqe", 1, ["d"]) == []
        assert record.ends_of("other", 0, ["d"]) == []
        assert (record.recalled, heard) == (0, [])
        record.repeat(ends)
        assert record.recalled == 1
        assert [event.index for event in heard] == [0]
        assert record.follows("vqe", 1, "d")
        record(told("job.completed", completed(1)))
        assert [event.index for event in record.ends_of("vqe", 2, ["d"])] == [2]
        record.listen(heard.append, JobSubmitted)
        assert record.ends_of("vqe", 2, ["d"]) == []  # somebody wants to hear of the submission

    assert len(read_journal(tmp_path / "j").events) == 6

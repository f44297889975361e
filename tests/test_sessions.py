"""`sessions`: what recorded runs and servers did, session by session, from journals made by hand."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runner import compose, run
from runner.__main__ import main
from runner.record.events import Event
from runner.record.journal import Journal
from runner.serve.ledger import (
    CANCELLED,
    COMPLETED,
    FAILED,
    Entry,
    EntryDeleted,
    EntryEnded,
    ServerStarted,
    SessionTold,
)
from tests.journals import job, session, started

PLAN = {"session": {"plan": "payg"}, "backend": {"name": "ideal"}}
"""1.60 USD a second."""


def recorded(path: str, events: Iterable[Event]) -> Path:
    """A folder with a journal of these facts."""
    folder = Path(path)
    folder.mkdir(parents=True)
    with Journal.create(folder / "journal.jsonl") as journal:
        for event in events:
            journal.write(event)
    return folder


def ended(
    name: str, of: str | None, status: str, *, device: str = "ibm_x", usage: float = 2.0, **more: Any
) -> EntryEnded:
    """A server's job that is over."""
    entry = Entry(
        id=name, program="sampler", backend=device, session=of, tags=[], created="2026-03-01T00:00:05.000000Z",
        estimate=2.0, status=status, usage=usage, **more,
    )  # fmt: skip
    return EntryEnded(job=asdict(entry))


def shown(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the table on a wide terminal."""
    monkeypatch.setattr("runner.display.live.terminal", lambda: Console(width=200))
    assert main(["sessions", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_usage_and_price_of_every_mode(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Active 30 s at 1.60 USD; a batch by its jobs of 10 and 5 s; jobs by themselves 10 s, of which one failed."""
    batch = {"mode": "batch", "usage_time": 0.0}
    recorded(
        "outputs/runs/a",
        [
            started(config=PLAN), session(0, "open", usage_time=None), session(5, "active", usage_time=0.0),
            *job(0, 0, 5, 15), *job(1, 15, 15, 20), session(35, "closed", "closed by close()", usage_time=30.0),
        ],
    )  # fmt: skip
    recorded(
        "outputs/runs/b",
        [started(config=PLAN), session(0, "active", **batch), *job(0, 0, 0, 10), *job(1, 10, 10, 15)],
    )
    recorded(
        "outputs/runs/c",
        [
            started(config=PLAN),
            *job(0, 0, 0, 10, session=None),
            *job(1, 0, None, 10, status="FAILED", session=None),
        ],
    )
    head, *lines = shown([], capsys, monkeypatch)
    rows = {line.split()[-1][-1]: line for line in lines}

    assert head.split() == ["mode", "state", "device", "jobs", "usage", "price", "why", "id", "run"]
    assert " ".join(rows["a"].split()) == (
        "session closed ideal 2 30.0 s 48.00 USD closed by close() s outputs/runs/a"
    )
    assert " ".join(rows["b"].split()) == (
        "batch active ideal 2 at least 15.0 s at least 24.00 USD s outputs/runs/b"
    )
    assert " ".join(rows["c"].split()) == "job ideal 2: 1 done, 1 failed 10.0 s 16.00 USD outputs/runs/c"


def test_a_session_that_is_active_counts_until_the_last_fact(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Active since second 5, inactive from 20 to 30, active again; its last job was over at 42: 15 + 12 s."""
    recorded(
        "outputs/runs/killed",
        [
            started(config=PLAN), session(0, "open"), session(5, "active", usage_time=0.0), *job(0, 0, 5, 15),
            session(20, "inactive", usage_time=15.0), session(30, "active", usage_time=15.0), *job(1, 25, 30, 42),
            *job(2, 42, 42, 50)[:1],
        ],
    )  # fmt: skip
    (line,) = shown([], capsys, monkeypatch)[1:]

    assert "3: 2 done, 1 not over" in line
    assert "at least 27.0 s" in line
    assert "at least 43.20 USD" in line


def test_a_servers_sessions_are_in_the_table(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a price where an earlier release wrote none; jobs by themselves line by line, as on the page."""
    details = {
        "id": "s", "mode": "dedicated", "state": "closed", "backend_name": "fake_x", "usage_time": 61.0,
        "state_reason": "maximum time reached", "timestamps": [],
    }  # fmt: skip
    recorded(
        "outputs/serve",
        [
            ServerStarted(pid=1), SessionTold(details=details), ended("a", "s", COMPLETED), ended("b", None, COMPLETED),
            ended("c", None, FAILED),
        ],
    )  # fmt: skip
    lines = shown([], capsys, monkeypatch)[1:]

    assert [line.split()[0] for line in lines] == ["job", "job", "session"]
    assert lines[0].split()[1:5] == ["failed", "ibm_x", "2.0", "s"]
    assert "1 min 01 s" in lines[2]
    assert "maximum time reached" in lines[2]
    assert "USD" not in "".join(lines)


def test_a_servers_workloads_are_those_of_its_page(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 1.60 USD: active from second 10 to 30 and since second 40, the latest fact is of second 55, so 35 s; a batch
    whose jobs took 2 s each, active too; a job that its own limit ended is failed; devices and ids job by job.
    """

    def at(second: int) -> str:
        return f"2026-03-01T00:00:{second:02}.000000Z"

    def session(name: str, mode: str, *steps: tuple[str, int]) -> SessionTold:
        stamps = [{"status": state, "timestamp": at(second)} for state, second in steps]
        details = {
            "id": name, "mode": mode, "state": steps[-1][0], "backend_name": "ibm_torino", "usage_time": 0.0,
            "state_reason": "", "timestamps": stamps,
        }  # fmt: skip
        return SessionTold(details=details)

    recorded(
        "outputs/serve",
        [
            ServerStarted(pid=1, price=1.6),
            session("one", "dedicated", ("open", 5), ("active", 10), ("inactive", 30), ("active", 40)),
            session("two", "batch", ("open", 5), ("active", 10)),
            ended("in-one", "one", COMPLETED), ended("x-two", "two", COMPLETED), ended("y-two", "two", COMPLETED),
            ended("a", None, COMPLETED, device="ibm_fez"),
            ended("b", None, CANCELLED, code=1305, finished=at(55), usage=1.0),
            ended("c", None, CANCELLED, usage=0.0),
            ended("gone", None, COMPLETED), EntryDeleted(id="gone"),
        ],
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in shown([], capsys, monkeypatch)[1:]]

    assert lines == [
        "job cancelled ibm_x 0.0 s 0.00 USD c outputs/serve",
        "job failed ibm_x 1.0 s 1.60 USD b outputs/serve",
        "job done ibm_fez 2.0 s 3.20 USD a outputs/serve",
        "batch active ibm_x 2 at least 4.0 s at least 6.40 USD two outputs/serve",
        "session active ibm_x 1 at least 35.0 s at least 56.00 USD one outputs/serve",
    ]


def test_a_finished_run_is_shown_as_it_says_itself(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same from session.json as from the journal alone; usage and price are those of result.json."""
    words = (
        "tracking=off",
        "run.figures=false",
        "optimizer=cobyla",
        "optimizer.max_evaluations=4",
        "estimator=exact",
    )
    result = run(compose(*words), directory="outputs/runs/one")
    whole = shown([], capsys, monkeypatch)
    Path("outputs/runs/one/session.json").unlink()
    alone = shown([], capsys, monkeypatch)

    assert whole == alone
    assert f"{result.cost:.2f} USD" in whole[1]
    assert result.session_ids[0][:8] in whole[1]


def test_narrow_terminals_and_limits(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lines each; what is left out is said; nothing at all is said too, and damage is one line."""
    assert main(["sessions"]) == 0
    assert "no sessions below outputs" in capsys.readouterr().out
    for name in "abc":
        events = [started(config=PLAN), session(0, "closed", "closed by close()", usage_time=1.0)]
        recorded(f"outputs/runs/{name * 40}", events)
    Path("outputs/runs/damaged").mkdir()
    Path("outputs/runs/damaged/journal.jsonl").write_bytes(b"{half a line")
    narrow = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    monkeypatch.setattr("runner.display.live.terminal", lambda: narrow)

    assert main(["sessions", "limit=2"]) == 0
    text = narrow.file.getvalue() + capsys.readouterr().out  # type: ignore[attr-defined]
    assert main(["sessions", "limit=0"]) == 2
    assert "journal is damaged" in text
    assert "those of 2 earlier runs" in text
    assert f"outputs/runs/{'c' * 40}\n  session, s, closed: closed by close()" in text

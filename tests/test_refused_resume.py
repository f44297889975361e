"""A resume that is refused leaves the directory as it was, to the byte: whatever is wrong, and whoever finds it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import compose, resume, run
from runner.__main__ import main
from runner.errors import JournalError, ResumeError
from runner.record.journal import Journal, read_journal
from runner.record.packed import packed_path
from runner.run.context import Lab
from tests.test_received import forged
from tests.test_run import SMALL, deterministic

TORN = b'{"seq":15,"kind":"eval'
"""What a kill leaves of a line."""


def snapshot(directory: Path) -> dict[str, tuple[str, int, int]]:
    """What is in a directory: digests, modes and the times of the last change."""
    return {
        str(path.relative_to(directory)): (
            "" if path.is_symlink() or path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest(),
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
        )
        for path in sorted(directory.rglob("*"))
    }


def broken() -> None:
    """A run that was killed after some evaluations."""
    run(compose(*SMALL), directory="run")
    file = Path("run/journal.jsonl")
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:14]))


def torn() -> None:
    """Let the kill have been in the middle of a line."""
    with open("run/journal.jsonl", "ab") as file:
        file.write(TORN)


def torn_text(old: str, new: str) -> Callable[[], object]:
    """Change a text in config.yaml."""
    file = Path("run/config.yaml")
    return lambda: file.write_text(file.read_text().replace(old, new))


def event(kind: str, change: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
    """Change the last event of a kind in the journal, with checksums that are right."""

    def changed(events: list[dict[str, Any]]) -> None:
        change([one for one in events if one["kind"] == kind][-1])

    return lambda: forged(Path("run"), changed)


def spoiled() -> None:
    """A byte in the middle of the journal is another one: what stands behind it cannot be believed."""
    file = Path("run/journal.jsonl")
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    file.write_bytes(content)


REFUSED: dict[str, tuple[Callable[[], object], list[str], str]] = {
    "another configuration": (torn_text("max_evaluations: 12", "max_evaluations: 13"), [], "max_evaluations is 13"),
    "a configuration that is none": (lambda: Path("run/config.yaml").write_text("{"), [], "config.yaml"),
    "a damaged tail and another configuration": (
        lambda: (spoiled(), torn_text("seed: 1", "seed: 2")()), [], "seed is 2",
    ),
    "something that cannot be changed": (lambda: None, ["optimizer=spsa"], "optimizer"),
    "a budget that did not end it": (lambda: None, ["session.max_cost=1e6"], "did not end this run"),
    "plug-ins that were not used": (lambda: None, ["plugins=[json]"], "json was not used"),
    "a time limit": (lambda: None, ["run.max_compute_time=1h"], "max_compute_time"),
    "plug-ins that are missing": (
        event("run.started", lambda one: one["config"].update(plugins=["gone"])), [], "plugins",
    ),
    "another version of a package": (
        event("run.started", lambda one: one["versions"].update(numpy="0.1")), [], "numpy is",
    ),
    "another problem": (event("problem", lambda one: one.update(qubits=3)), [], "differs from the journal at 'qubits'"),
    "another job": (
        event("job.submitted", lambda one: one.update(digest="0" * 32)), [], "differs from the journal at 'digest'",
    ),
    "another result's digest": (
        event("job.completed", lambda one: one.update(digest="0" * 32)), [], "PUB digest",
    ),
    "another evaluation": (event("evaluation", lambda one: one.update(energy=7.0)), [], "recorded 7.0"),
    "a result of another shape": (
        event("job.completed", lambda one: one["result"][0].update(evs=[1.0, 2.0])), [], "the journal is damaged",
    ),
    "a journal that is none": (lambda: Path("run/journal.jsonl").write_text("hello\n"), [], "is not a journal"),
    "a journal without its first line": (
        lambda: Path("run/journal.jsonl").write_bytes(b"x" + Path("run/journal.jsonl").read_bytes()), [], "journal",
    ),
    "an empty journal": (lambda: Path("run/journal.jsonl").write_bytes(b""), [], "before anything was recorded"),
    "no journal": (lambda: Path("run/journal.jsonl").unlink(), [], "journal"),
    "a journal that is a link": (
        lambda: (Path("run/journal.jsonl").rename("j"), Path("run/journal.jsonl").symlink_to("../j")), [], "is a link",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_resume_writes_nothing(
    workdir: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """One line, exit code 2, and every file is what it was, its time too."""
    broken()
    change, words, told = REFUSED[what]
    change()
    if Path("run/journal.jsonl").exists() and Path("run/journal.jsonl").stat().st_size > 1000:
        torn()
    before = snapshot(workdir)
    capsys.readouterr()

    assert main(["resume", "run", *words]) == 2
    said = capsys.readouterr().err
    assert snapshot(workdir) == before
    assert told in said
    assert said.count("error: ") == 1
    assert "Traceback" not in said


def test_what_is_not_refused_is_mended_and_goes_on(workdir: Path) -> None:
    """A cut line is removed and a damaged one set aside with the first new event, and the run ends as it would have."""
    whole = run(compose(*SMALL), directory="whole")
    broken()
    spoiled()
    torn()
    again = resume("run")

    assert (again.energy, again.parameters) == (whole.energy, whole.parameters)
    assert deterministic(Path("run")) == deterministic(Path("whole"))
    assert TORN not in Path("run/journal.jsonl").read_bytes()
    assert [file.read_bytes()[-len(TORN) :] for file in Path("run").glob("*.dropped-*")] == [TORN]
    assert "run.resumed" in {event.kind for event in read_journal(Path("run/journal.jsonl")).events}


def test_a_packed_journal_of_a_finished_run_stays_packed(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is typed: what it would not go on with is refused before it is unpacked."""
    run(compose(*SMALL, "optimizer.max_evaluations=90"), directory="run")
    assert packed_path(Path("run/journal.jsonl")).exists()
    before = snapshot(workdir)
    for words in ([], ["optimizer.max_shots=1e9"], ["optimizer=spsa"], ["plugins=[json]"]):
        assert main(["resume", "run", *words]) == 2
        assert capsys.readouterr().err.count("error: ") == 1
        assert snapshot(workdir) == before


def test_a_packed_journal_that_another_process_went_on_with_is_not_written(workdir: Path) -> None:
    """Nobody can lock it before it is unpacked, so what it holds is looked at again."""
    run(compose(*SMALL, "optimizer.max_evaluations=90"), directory="run")
    path = Path("run/journal.jsonl")
    with Journal.append_to(path, at_once=False) as late:
        assert late.untouched
        shutil.copytree("run", "copy")
        with Journal.append_to(path) as quick:
            quick.write(late.contents.events[1])
        with pytest.raises(JournalError, match="another process meanwhile"):
            late.write(late.contents.events[1])
    with Journal.append_to("copy/journal.jsonl", at_once=False) as alone:
        alone.announce(alone.contents.events[2])
        alone.write(alone.contents.events[1])
    kinds = [event.kind for event in read_journal(Path("copy/journal.jsonl")).events]
    assert kinds[-3:] == ["run.ended", "session", "problem"]


def test_resume_auto_goes_on_in_the_folder_that_is_typed(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job of a queue that is put in again goes on to what it would have come to, and no other folder is looked at."""
    typed = [*SMALL, "run.resume=auto", "hydra.run.dir=run"]
    broken()
    assert main([*typed, "seed=2"]) == 2
    assert "run holds a run already" in capsys.readouterr().err
    run(compose(*SMALL), directory="outputs/runs/whole")
    Path("outputs/runs/cut").mkdir()
    shutil.copytree("run", "outputs/runs/cut", dirs_exist_ok=True)
    cut = snapshot(Path("outputs/runs/cut"))

    assert main(typed) == 0
    assert "continuing run" in capsys.readouterr().err
    assert deterministic(Path("run")) == deterministic(Path("outputs/runs/whole"))
    assert snapshot(Path("outputs/runs/cut")) == cut
    assert main(typed) == 2


def test_what_has_happened_before_a_refusal_is_kept(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds out late, after a job that was paid for, has it in its journal, and is interrupted there."""
    broken()
    recorded = len(read_journal(Path("run/journal.jsonl")).events)
    execute = Lab.execute

    def added() -> list[str]:
        return [event.kind for event in read_journal(Path("run/journal.jsonl")).events][recorded:]

    def late(lab: Lab, *arguments: Any) -> Any:
        if added().count("job.completed") == 4:
            raise ResumeError("late")
        return execute(lab, *arguments)

    monkeypatch.setattr(Lab, "execute", late)
    with pytest.raises(ResumeError, match="late"):
        resume("run")
    kinds = added()
    assert kinds[0] == "run.resumed"
    assert kinds.count("job.completed") == 4
    assert "run.interrupted" in kinds
    assert "run.ended" not in kinds
    monkeypatch.setattr(Lab, "execute", execute)
    whole = run(compose(*SMALL), directory="whole")
    assert resume("run").energy == whole.energy


def test_a_run_on_the_wall_clock_offers_what_can_be_done(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stops with its session; what it says to type then works, and `resume` alone says so in one line."""
    timed = ("session.clock=wall", "session.clock_scale=200", "session.max_time=60")
    short = ("tracking=off", "run.figures=false", "optimizer=nft", "optimizer.max_evaluations=20")
    assert main([*short, *timed, "estimator.default_shots=4000", "hydra.run.dir=run"]) == 3
    assert "resume run --fork" in capsys.readouterr().out
    before = Path("run/journal.jsonl").read_bytes()
    assert main(["resume", "run"]) == 2
    assert "the wall clock, whose times do not repeat" in capsys.readouterr().err
    assert Path("run/journal.jsonl").read_bytes() == before
    assert main(["resume", "run", "--fork", "session.max_time=2h", *short]) == 0

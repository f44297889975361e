"""File systems without file locks, as NFS may be: said in one line, and nothing is written by two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.record import faults
from runner.tracking import sync
from runner.tracking.sync import locked
from tests.tracking import made

NO_LOCKS = ",".join(f"lock:{k}:enolck" for k in range(1, 60))
PLAIN = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=4")


@pytest.fixture
def no_locks() -> Iterator[None]:
    """Every lock is refused with ENOLCK, until the end of the test."""
    faults.plan(NO_LOCKS)
    yield
    faults.plan("")


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("words", [(), ("-m", "seed=1,2")])
def test_runs_and_sweeps_are_refused_in_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """Exit code 5, as for every disk that refuses, and no journal that anybody could take for a run."""
    assert main([*words, *PLAIN]) == 5

    said = capsys.readouterr().err
    assert "its file system has no file locks (no locks available)" in said
    (_,) = (line for line in said.splitlines() if not line.endswith("…"))  # what takes long is told before
    assert not list(workdir.glob("outputs/**/journal.jsonl"))


def test_what_was_refused_for_want_of_locks_can_be_started_once_there_are_some(workdir: Path) -> None:
    """In the same place: nothing of the first attempt is in its way."""
    (workdir / "place").mkdir()
    faults.plan(NO_LOCKS)
    try:
        assert main([*PLAIN, "hydra.run.dir=place"]) == 5
    finally:
        faults.plan("")
    assert not list((workdir / "place").iterdir())
    assert main([*PLAIN, "hydra.run.dir=place"]) == 0


def test_a_finished_run_can_be_read_without_locks(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`list` looks only; `resume` would write."""
    assert main([*PLAIN, "hydra.run.dir=outputs/runs/one"]) == 0
    faults.plan(NO_LOCKS)
    try:
        assert main(["list"]) == 0
        assert main(["resume", "outputs/runs/one"]) == 5
    finally:
        faults.plan("")
    assert "finished" in capsys.readouterr().out


def test_an_upload_without_locks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], empty_store: Callable[[Path], None]
) -> None:
    """Where a folder cannot be locked but a file can, as on NFS, that is enough; where nothing can, exit code 5."""
    empty_store(tmp_path / "x.db")
    directory = made.whole(tmp_path / "run", f"sqlite:///{tmp_path}/x.db", tmp_path / "artifacts", 3)
    faults.plan("lock:1:enolck,lock:3:enolck")
    with locked(directory), pytest.raises(BlockingIOError), locked(directory, wait=0.0):
        pytest.fail("two hold one lock")
    faults.plan(NO_LOCKS)
    try:
        assert main(["sync", str(directory)]) == 5
    finally:
        faults.plan("")
    assert "no file locks" in capsys.readouterr().err
    assert sync(directory).state == "synced"

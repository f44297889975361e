"""Endings that cannot fail: whoever reads, and however it ends, what was computed and paid for stays."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run
from runner.__main__ import main
from runner.display.stream import Reader
from runner.errors import StorageError
from runner.record.journal import read_journal
from runner.run import signals
from runner.run.signals import StopFlag
from runner.sweep.launcher import SlurmLauncher, _cancel
from runner.sweep.study import in_words
from runner.tracking import TrackingConfig, sync
from runner.tracking.store import _one_line, absolute, reachable

QUIET = ("tracking=off", "run.figures=false", "optimizer.max_evaluations=3")


@pytest.mark.parametrize(
    "shell",
    [
        '"$@" >&-',
        pytest.param('"$@" >/dev/full 2>&-', marks=pytest.mark.nightly),  # of the two beside it one half each
        '"$@" >/dev/full 2>/dev/full',
        # a reader of ASCII in this process is tried below
        pytest.param('PYTHONIOENCODING=ascii "$@"', marks=pytest.mark.nightly),
        pytest.param('sleep 0.1 | "$@" >&0', marks=pytest.mark.nightly),  # a pipe that can only be read
    ],
)  # fmt: skip
def test_a_finished_run_stays_finished(tmp_path: Path, shell: str) -> None:
    """Standard output closed, full or gone, errors too, a terminal that knows ASCII only: exit code 0, no traceback."""
    words = [sys.executable, "-m", "runner", *QUIET, "hydra.run.dir=run"]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *words], cwd=tmp_path, capture_output=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert b"Error" not in done.stderr
    assert json.loads((tmp_path / "run/result.json").read_text())["status"] == "finished"


def test_where_output_is_what_was_asked_for_trouble_is_told(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`--help` and `list` into a full disk: one line and the exit code of the disk, not success."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["--help"]) == 5
        said = capfd.readouterr().err
        monkeypatch.undo()

    assert said == "error: the output cannot be written: no space left on device\n"


def test_a_reader_of_ascii_gets_what_it_can_show() -> None:
    """Letters it does not know come as escapes that tell which they were."""
    bytes_ = io.BytesIO()
    stream = io.TextIOWrapper(bytes_, encoding="ascii")
    Reader(stream).write("E(ψ) = −1")
    stream.flush()

    assert bytes_.getvalue() == rb"E(\u03c8) = \u22121"


class Reluctant(io.RawIOBase):
    """Takes five bytes at a time, and no more than so many in all, as a full disk does."""

    def __init__(self, room: int) -> None:
        self.taken = b""
        self._room = room

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int | None:
        """Take a piece; None where there is no room."""
        piece = bytes(content[: min(5, self._room - len(self.taken))])
        self.taken += piece
        return len(piece) or None


def test_what_is_not_buffered_is_written_to_its_end_or_told() -> None:
    """As with PYTHONUNBUFFERED: what a disk, a quota or a pipe did not take at once was dropped in silence."""
    raw = Reluctant(100)
    Reader(io.TextIOWrapper(raw, "utf-8", write_through=True), forgiving=False).write("-0.702930\n" * 3)
    assert raw.taken == b"-0.702930\n" * 3

    full = io.TextIOWrapper(Reluctant(12), "utf-8", write_through=True)
    with pytest.raises(StorageError, match="the output cannot be written: "):
        Reader(full, forgiving=False).write("-0.702930\n" * 3)


def test_a_reader_that_is_gone_is_passed_over_or_told() -> None:
    """Closed file or none at all: silence where that is forgiven, one line where it is not."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        assert Reader(stream).write("text") == 4
        with pytest.raises(StorageError, match="the output cannot be written: "):
            Reader(stream, forgiving=False).write("text")


def test_a_store_whose_files_cannot_be_written_says_how_the_run_ended(
    workdir: Path, empty_store: Callable[[Path], None]
) -> None:
    """The run is FINISHED in MLflow although its artifacts have nowhere to go, and complete once they have."""
    from mlflow import MlflowClient

    empty_store(workdir / "mlflow.db")
    (workdir / "artifacts").write_text("no folder")
    store = TrackingConfig(uri=f"sqlite:///{workdir}/mlflow.db", artifacts=f"{workdir}/artifacts")
    run(compose(*QUIET), directory="run")
    report = sync("run", store)
    client = MlflowClient(tracking_uri=store.uri)
    (found,) = client.search_runs(["1"])

    assert (report.state, found.info.status) == ("offline", "FINISHED")
    (workdir / "artifacts").unlink()
    assert sync("run", store).state == "synced"
    assert client.list_artifacts(found.info.run_id)


STOPPED = (
    "tracking=off", "session.max_time=30s", "session.on_expiry=stop", "optimizer.max_evaluations=40",
    "optimizer=cobyla",
)  # fmt: skip


def test_a_stopped_run_killed_before_its_figures_gets_only_these(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`resume` draws and pays nothing; only the next one opens another session."""
    assert main([*STOPPED, "hydra.run.dir=run"]) == 3
    before = read_journal("run/journal.jsonl").events
    Path("run/report.html").unlink()
    capsys.readouterr()

    assert main(["resume", "run"]) == 3
    said = capsys.readouterr().out
    assert "run is over (" in said
    assert "to go on in another session: python -m runner resume run" in said
    assert Path("run/report.html").is_file()
    assert read_journal("run/journal.jsonl").events == before

    assert main(["resume", "run", "run.figures=false"]) in (0, 3)
    sessions = {
        event.session for event in read_journal("run/journal.jsonl").events if event.kind == "session"
    }
    assert len(sessions) > 1


def test_a_page_of_an_earlier_ending_is_not_taken_for_that_of_the_last(workdir: Path) -> None:
    """Stopped twice, killed before the second page: the old page is older than the ending, and is drawn again."""
    assert main([*STOPPED, "hydra.run.dir=run", "run.figures=false"]) == 3
    from runner.record.directory import RunDirectory
    from runner.run.resume import is_finished

    events = read_journal("run/journal.jsonl").events
    wanted = ["run.figures=true"]
    page = Path("run/report.html")
    page.write_text("old")
    os.utime(page, (events[-1].t - 10, events[-1].t - 10))

    assert not is_finished(RunDirectory(Path("run")), events)  # no figures are wanted: resume goes on
    assert is_finished(RunDirectory(Path("run")), events, wanted)
    os.utime(page, (events[-1].t + 1, events[-1].t + 1))
    assert not is_finished(RunDirectory(Path("run")), events, wanted)


def test_under_nohup_a_hangup_is_none() -> None:
    """A process that was started to outlive its terminal goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_hangup_without_a_terminal_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to be told, which is no error inside the handler."""
    monkeypatch.setattr(signals, "STDERR", 999)
    with StopFlag() as stop:
        os.kill(os.getpid(), signal.SIGHUP)

        assert stop.signum == signal.SIGHUP


@pytest.mark.parametrize("name", ["a?b", "a%41", "a#b", "100 %"])
def test_the_name_of_a_folder_does_not_move_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Callable[[Path], None], name: str
) -> None:
    """Characters that mean something in an address: the database is below the folder, and nothing beside it."""
    home = tmp_path / name
    (home / "outputs").mkdir(parents=True)
    empty_store(home / "outputs/mlflow.db")
    monkeypatch.chdir(home)
    run(compose(*QUIET), directory="run")
    store = TrackingConfig()
    report = sync("run", store)
    monkeypatch.chdir(tmp_path)

    assert report.state == "synced", report.message
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in home.iterdir()} == {"run", "outputs"}
    assert (home / "outputs/artifacts").is_dir()
    assert (
        sync(home / "run", TrackingConfig(uri=absolute(store.uri, home))).mlflow_run_id
        == report.mlflow_run_id
    )


def test_ordinary_addresses_stay_as_they_are(tmp_path: Path) -> None:
    """No link where none is needed, and servers are left alone."""
    for uri in ("sqlite:////tmp/x/mlflow.db", "https://host/a%20b?x=1", "postgresql://me@host/db"):
        assert reachable(absolute(uri)) == uri


def test_a_configuration_that_is_no_text_is_told_in_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """config.yaml in another encoding: `resume` and `compare` say so."""
    run(compose(*QUIET), directory="run")
    lines = Path("run/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("run/journal.jsonl").write_bytes(b"".join(lines[:6]))
    Path("run/config.yaml").write_bytes("name: größer\n".encode("latin-1"))
    for command in (["resume", "run"], ["compare", "run", "run"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "config.yaml" in said
        assert "restore it or delete it" in said
        assert said.count("\n") == 1


def test_missing_programs_of_slurm_are_told_in_one_line(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is created; and a `scancel` that has gone since does not end the sweep."""
    monkeypatch.setenv("PATH", str(workdir))
    for program in ("sbatch", "scancel", "squeue", "srun"):
        assert main(["-m", *QUIET, "seed=1,2", "hydra/launcher=submitit_slurm"]) == 2
        assert f"hydra/launcher: {program} is not found" in capsys.readouterr().err
        assert not Path("outputs").exists()
        Path(program).write_text("#!/bin/sh\nexit 0\n")
        Path(program).chmod(0o755)
    SlurmLauncher().get_ready(1)

    class Job:
        job_id = "17"

        def cancel(self) -> None:
            subprocess.check_call(["scancel_that_is_gone", "17"])

    _cancel(Job())
    said = capsys.readouterr().err
    assert said.startswith("job 17 could not be cancelled (FileNotFoundError")
    assert said.count("\n") == 1


def test_a_locked_database_is_toldin_words() -> None:
    """What SQLAlchemy says of it spans three lines and names a web page."""
    error = RuntimeError(
        "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO runs …]\n(Background on …)"
    )

    assert _one_line(error) == "another program keeps the database locked"


def test_a_locked_study_is_told_in_words(tmp_path: Path) -> None:
    """A search whose database another program holds stops resumably, in one line."""
    from sqlalchemy import create_engine, text

    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        engine = create_engine(f"sqlite:///{tmp_path}/study.db", connect_args={"timeout": 0})
        locked = pytest.raises(
            StorageError, match=r"^the study's database: another program keeps it locked; resume"
        )
        with locked, in_words(), engine.connect() as connection:
            connection.execute(text("CREATE TABLE trials (id INTEGER)"))

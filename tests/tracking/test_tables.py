"""A store whose making was killed: there is none, or it is moved aside whole; one that holds anything stays."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.tracking import sync, tables
from tests.tracking import made

Put = Callable[[Path], None]
EARLIER = "867495a8f9d4"
"""A step that MLflow's stores went through years ago, so that it makes tables after it again."""

A_THIRD = 300_000
"""Bytes of a store, which has 950 000 when all its tables are there and nothing in them."""


def half_made(path: Path, put: Put) -> None:
    """Tables of MLflow's and nothing in them, at a step in the middle, with one of those made before missing."""
    put(path)
    with closing(sqlite3.connect(path)) as store:
        store.executescript("DELETE FROM experiments; DELETE FROM experiment_tags; DROP TABLE jobs")
        store.execute("UPDATE alembic_version SET version_num = ?", [EARLIER])
        store.commit()
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def half_changed(path: Path, empty_store: Put) -> None:
    """The same with a run in it, so that it may not be put away."""
    half_made(path, empty_store)
    with closing(sqlite3.connect(path)) as store:
        store.execute("INSERT INTO runs (run_uuid, name) VALUES ('a', 'b')")
        store.commit()


def test_a_store_killed_while_it_is_made_is_none(tmp_path: Path) -> None:
    """Kill -9 when a third of the tables are there; the next upload finds nothing in its way."""
    path = tmp_path / "mlflow.db"
    directory = made.whole(tmp_path / "run", f"sqlite:///{path}", tmp_path / "artifacts", 2)
    new = tmp_path / ".mlflow.db.new"
    command = [sys.executable, "-m", "runner", "sync", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as making:
        while making.poll() is None and not (new.exists() and new.stat().st_size >= A_THIRD):
            time.sleep(0.002)
        making.kill()

    assert making.returncode == -signal.SIGKILL
    assert new.exists()
    assert not path.exists()
    assert main(["sync", str(directory)]) == 0
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert not list(tmp_path.glob(".mlflow.db.new*"))


def test_a_store_left_half_made_is_moved_aside_and_told(
    tmp_path: Path, empty_store: Put, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bytes are those it had, under a name that is said; the run is in a new one."""
    monkeypatch.setattr(tables, "STILL", 0.0)
    path = tmp_path / "mlflow.db"
    half_made(path, empty_store)
    was = path.read_bytes()
    directory = made.whole(tmp_path / "run", f"sqlite:///{path}", tmp_path / "artifacts", 2)
    (tmp_path / "mlflow.db.half-made").write_text("of another time")

    assert main(["sync", str(directory)]) == 0
    said = capsys.readouterr().out
    assert f"{path} was left half made" in said
    assert f"is now {path}.half-made-2\n" in said
    assert Path(f"{path}.half-made-2").read_bytes() == was
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
    assert sync(directory).note == ""


@pytest.mark.parametrize(
    "words",
    [
        "INSERT INTO runs (run_uuid, name) VALUES ('a', 'b')",
        "INSERT INTO experiments (experiment_id, name) VALUES (0, 'Default')",
        "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)",
    ],
    ids=["run", "experiment", "of somebody else"],
)
def test_a_store_that_holds_anything_is_left_as_it_is(tmp_path: Path, empty_store: Put, words: str) -> None:
    """A run, the experiment that MLflow makes when all tables are there, or what another program put in the file."""
    path = tmp_path / "mlflow.db"
    half_made(path, empty_store)
    with closing(sqlite3.connect(path)) as store:
        store.executescript(words)
    was = path.read_bytes()

    assert tables.move_aside(path) is None
    assert path.read_bytes() == was


def test_what_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    """Text, and a database of somebody else's that is as empty."""
    (tmp_path / "text").write_text("no database " * 100)
    with closing(sqlite3.connect(tmp_path / "theirs")) as theirs:
        theirs.execute("CREATE TABLE runs (a)")

    assert [tables.move_aside(tmp_path / name) for name in ("text", "theirs")] == [None, None]
    assert {path.name for path in tmp_path.iterdir()} == {"text", "theirs"}


def test_a_store_that_somebody_is_still_making_is_left_alone(
    tmp_path: Path, empty_store: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of MLflow's own, which does not know of our lock: the file changes while it is looked at."""
    path = tmp_path / "mlflow.db"
    half_made(path, empty_store)

    def change(_: float) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr("runner.tracking.tables.time.sleep", change)

    assert tables.move_aside(path) is None
    assert path.exists()


def test_half_changed_tables_with_a_run_are_told_with_what_to_do(tmp_path: Path, empty_store: Put) -> None:
    """MLflow says of the table that is there already; the file keeps every byte, and moving it away helps."""
    path = tmp_path / "mlflow.db"
    half_changed(path, empty_store)
    directory = made.whole(tmp_path / "run", f"sqlite:///{path}", tmp_path / "artifacts", 2)
    report = sync(directory)

    assert f"the tables of {path} are half changed" in report.message
    assert "move it away: syncing again makes a new one" in report.message
    assert "\n" not in report.message
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT name FROM runs").fetchall() == [("b",)]


def opened(uri: str, folder: Path, lines: int) -> tuple[list[str], str, int]:
    """What `ui` prints first, what it says of errors, and how it ends: as told, after so many lines, or by itself."""
    command = [sys.executable, "-m", "runner", "ui", f"tracking.uri={uri}", f"tracking.artifacts={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as pages:
        assert pages.stdout is not None
        assert pages.stderr is not None
        said = [pages.stdout.readline() for _ in range(lines)]
        pages.terminate()
        return said, pages.stderr.read(), pages.wait(60)


def test_ui_opens_a_store_that_was_left_half_made(tmp_path: Path, empty_store: Put) -> None:
    """As a run does: the file is moved aside as it was, that is said, and MLflow's pages are of a new one."""
    path = tmp_path / "mlflow.db"
    half_made(path, empty_store)
    was = path.read_bytes()
    (note, address), _, _ = opened(f"sqlite:///{path}", tmp_path / "artifacts", 2)

    assert note.startswith(
        f"{path} was left half made by a process that was killed; it held nothing and is now"
    )
    assert address.startswith("http://127.0.0.1:")
    assert Path(f"{path}.half-made").read_bytes() == was
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT name FROM experiments").fetchall() == [("Default",)]


def test_ui_tells_what_to_do_with_half_changed_tables(tmp_path: Path, empty_store: Put) -> None:
    """MLflow's server ends with a page of text; of that one line is told, and the file keeps what it holds."""
    path = tmp_path / "mlflow.db"
    half_changed(path, empty_store)
    _, said, code = opened(f"sqlite:///{path}", tmp_path / "artifacts", 1)

    assert code == 5
    assert said.startswith(f"error: the tables of {path} are half changed (")
    assert said.count("\n") == 1
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT name FROM runs").fetchall() == [("b",)]

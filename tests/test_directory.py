"""Run directories: one per run, private, never half-written."""

from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.declare.messages import check_directory
from runner.errors import ConfigError, StorageError
from runner.record.directory import WRITTEN, RunDirectory


def test_sixty_four_starts_in_one_second_get_sixty_four_directories(workdir: Path) -> None:
    """G6: whoever comes second gets a number."""
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda _: RunDirectory.create("same").path, range(64)))

    assert len(set(paths)) == 64
    assert all(path.is_dir() for path in paths)


def test_files_are_private(workdir: Path) -> None:
    """K10: nobody else on the machine can read a run."""
    directory = RunDirectory.create("private")
    directory.write(directory.result, "{}")

    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(directory.result.stat().st_mode) == 0o600


def test_a_file_that_is_replaced_keeps_its_rights(workdir: Path) -> None:
    """Of a run that others may read or go on with, which never are more than its owner gave."""
    directory = RunDirectory.create("shared")
    directory.write(directory.result, "{}")
    directory.result.chmod(0o640)
    directory.write(directory.result, "{ }")
    assert stat.S_IMODE(directory.result.stat().st_mode) == 0o640

    directory.path.chmod(0o2770)
    directory.write(directory.session, "{}")
    assert stat.S_IMODE(directory.session.stat().st_mode) == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_goes_on_with_stays_its_owners(workdir: Path) -> None:
    """Files that are there, and new ones in his folder; K10 for the one who began the run."""
    directory = RunDirectory.create("another")
    directory.write(directory.result, "{}")
    os.chown(directory.path, 65534, 65534)
    os.chown(directory.result, 65534, 65534)
    directory.write(directory.result, "{ }")
    directory.write(directory.session, "{}")

    for file in (directory.result, directory.session):
        assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (65534, 0o600)


def test_a_file_is_replaced_in_one_step(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing write leaves the old content and no temporary file."""
    directory = RunDirectory.create("whole")
    directory.write(directory.result, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(StorageError, match=r"cannot write .*result\.json: no space left"):
        directory.write(directory.result, "new")

    assert directory.result.read_text() == "old"
    assert sorted(path.name for path in directory.path.iterdir()) == ["figures", "result.json"]


def test_a_link_is_not_followed(workdir: Path) -> None:
    """Somebody who plants a link cannot make us overwrite another file."""
    directory = RunDirectory.create("link")
    victim = workdir / "victim"
    victim.write_text("precious")
    (directory.path / ".result.json.tmp").symlink_to(victim)

    with pytest.raises(StorageError):
        directory.write(directory.result, "new")

    assert victim.read_text() == "precious"


def test_a_folder_without_a_journal_is_no_run(workdir: Path) -> None:
    """What cannot be resumed is said before anything is opened."""
    with pytest.raises(ConfigError, match=r"holds no journal\.jsonl"):
        RunDirectory.existing(workdir)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_outputs_that_cannot_be_written_are_one_line(workdir: Path) -> None:
    """Read-only outputs: a storage error, not a traceback."""
    (workdir / "outputs").mkdir(mode=0o500)

    with pytest.raises(StorageError, match=r"cannot write to .*: permission denied"):
        RunDirectory.create("x")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_long_list_is_written_item_by_item(tmp_path: Path, count: int) -> None:
    """Python's own JSON reader finds what was given, each item of the list on one line, and the file ends in one."""
    files = RunDirectory(tmp_path)
    items = [{"id": number, "tags": ["a", "β"]} for number in range(count)]

    files.write_long_json(files.session, {"mode": "batch", "usage": 0.5}, "jobs", iter(items))

    text = files.session.read_text(encoding="utf-8")
    assert json.loads(text) == {"mode": "batch", "usage": 0.5, "jobs": items}
    assert sum('"id"' in line for line in text.splitlines()) == count
    assert text.endswith("}\n")


@pytest.mark.parametrize("wanted", ["/dev/full", "/dev/null/runs/x"])
def test_a_directory_that_cannot_be_one_is_refused_before_the_run(wanted: str) -> None:
    """K16: a device has no place for files, and neither has anything below it."""
    with pytest.raises(
        ConfigError, match=r"^hydra.run.dir: '/dev/\w+' is no folder; name another directory$"
    ):
        check_directory(wanted)


SMALL = ("experiment=sampling", "tracking=off", "run.figures=false")


@pytest.mark.parametrize("name", [*WRITTEN, "figures/mine.png", "figures/circuit.png"])
def test_somebodys_files_are_not_replaced(
    name: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder with files by the names of a run's, and no journal: refused, and left as it is to the byte."""
    (workdir / "d" / name).parent.mkdir(parents=True)
    (workdir / "d" / name).write_text("mine")
    if name == "forecast.json":  # belongs there before the run, which does not replace it
        RunDirectory.create("run", "d")
        assert main(["forecast", "experiment=vqe", "optimizer.max_evaluations=3", "hydra.run.dir=d"]) == 2
    else:
        with pytest.raises(ConfigError, match="d holds ") as refused:
            RunDirectory.create("run", "d")
        assert refused.value.key == "hydra.run.dir"

    assert (workdir / "d" / name).read_text() == "mine"
    assert [path.name for path in (workdir / "d").rglob("*") if path.is_file()] == [Path(name).name]


def test_nor_are_those_of_the_current_folder(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hydra.run.dir=.` is a folder like any other; one line, exit code 2, nothing created."""
    (workdir / "config.yaml").write_text("mine")

    assert main([*SMALL, "hydra.run.dir=."]) == 2

    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "error: hydra.run.dir: . holds config.yaml, which a run would replace; name an empty folder, or a new one"
    )
    assert [path.name for path in workdir.iterdir()] == ["config.yaml"]
    (workdir / "config.yaml").rename("notes.txt")
    assert main([*SMALL, "hydra.run.dir=."]) == 0
    assert (workdir / "notes.txt").read_text() == "mine"


def test_a_page_that_was_not_made_here_is_not_replaced(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table by hand gets a page, as often as it is asked for; not over a page, or a picture, of somebody else's."""
    Path("sweep.csv").write_text("run,status,energy\na,finished,-1.25\n")
    assert [main(["report", "."]), main(["report", "."])] == [0, 0]
    Path("report.html").write_text("mine")
    assert main(["report", "."]) == 2
    assert Path("report.html").read_text() == "mine"
    Path("report.html").unlink()
    Path("figures/sweep.png").write_text("mine")
    assert main(["report", "."]) == 2

    assert Path("figures/sweep.png").read_text() == "mine"
    assert "was not made here" in capsys.readouterr().err


def test_an_export_does_not_write_through_a_link(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link to nowhere is a file that exists."""
    assert main([*SMALL, "hydra.run.dir=run"]) == 0
    Path("out.qasm").symlink_to("elsewhere")

    assert main(["export", "run", "--format=qasm3", "-o", "out.qasm"]) == 2
    assert not Path("elsewhere").exists()


def test_a_server_does_not_replace_a_file_either(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """server.json says where a server listens; one that says something else is somebody's."""
    Path("s").mkdir()
    Path("s/server.json").write_text('{"mine": 1}')

    assert main(["serve", "dir=s", "port=0", "backend=ideal"]) == 2
    assert Path("s/server.json").read_text() == '{"mine": 1}'

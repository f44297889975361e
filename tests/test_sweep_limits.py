"""All runs of a sweep that stopped go on with one command, as each would by itself and as they would unbroken."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner import resume
from runner.__main__ import main
from runner.declare.overrides import Overrides
from runner.record.journal import read_journal
from runner.run.signals import StopFlag
from runner.sweep.directory import SweepDirectory
from runner.sweep.entry import resume_sweep, sweep
from runner.sweep.launcher import SubmititLauncher
from runner.sweep.member import Task, carry_out
from tests.faults.trial import identity
from tests.sweeps import TWO_WORKERS, energies, members, numbers, table, wait_for

QUIET = ("tracking=off", "run.figures=false")
BUDGET = ("optimizer.max_evaluations=12,2", "seed=1,2", "session.max_cost=70", *QUIET)
"""Runs 0 and 1 come to the end of their budget, 2 and 3 to their own."""
ENDING = ("optimizer.max_evaluations=12,2", "seed=1,2", "session.max_time=90s", *QUIET)
"""The same of their session."""
DECLARED = {"session.max_cost=100000": BUDGET, "session.on_expiry=reopen": ENDING}


def bytes_of(folder: str | Path) -> dict[Path, bytes]:
    """Every file of a directory."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def unbroken(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """What does not tell in how many sessions, and with how many measurements of results, a run came to its end."""
    names = ("number", "status", "energy", "stddev", "error", "evaluations", "iterations", "exit_code")
    return [{name: row[name] for name in names} for row in rows]


@pytest.fixture(scope="module", params=DECLARED)
def stopped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """What is typed, a sweep two of whose runs stopped, and its twin whose runs went on one by one."""
    home = tmp_path_factory.mktemp("limits")
    word: str = request.param
    assert sweep([*DECLARED[word], f"hydra.sweep.dir={home}/sweep"], quiet=True) == 3
    assert [row["status"] for row in table(home / "sweep")] == ["stopped", "stopped", "finished", "finished"]
    shutil.copytree(home / "sweep", home / "twin")
    for number in "01":
        assert resume(home / "twin" / number, overrides=[word]).status == "finished"
    assert resume_sweep(home / "twin", quiet=True) == 0
    return word, home / "sweep", home / "twin"


@pytest.mark.parametrize("launcher", [(), TWO_WORKERS], ids=["basic", "joblib"])
def test_runs_that_stopped_go_on_with_one_command(
    stopped: tuple[str, Path, Path], workdir: Path, launcher: tuple[str, ...]
) -> None:
    """Table and journals are those of runs that went on by themselves; typed again it says that nothing is left."""
    word, folder, twin = stopped
    shutil.copytree(folder, "sweep")
    assert resume_sweep("sweep", overrides=[word, *launcher], quiet=True) == 0

    assert numbers("sweep") == numbers(twin)
    assert Path("sweep/sweep.json").read_bytes() == (folder / "sweep.json").read_bytes()
    for number in map(str, range(4)):
        assert identity(Path("sweep", number)) == identity(twin / number)
    for number in "23":
        assert (
            Path("sweep", number, "result.json").read_bytes()
            == (folder / number / "result.json").read_bytes()
        )
    before = bytes_of("sweep")
    assert main(["resume", "sweep", word]) == 2
    assert bytes_of("sweep") == before


def test_it_comes_to_what_an_unbroken_sweep_with_that_limit_comes_to(
    stopped: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """Each evaluation to the last bit, and each answer but for its jobs, which are further ones of the same stream."""
    word, _, twin = stopped
    key = word.partition("=")[0]
    declared = [item for item in DECLARED[word] if not item.startswith(key)]
    assert sweep([*declared, word, f"hydra.sweep.dir={tmp_path}/whole"], quiet=True) == 0
    assert energies(tmp_path / "whole") == energies(twin)
    assert unbroken(numbers(tmp_path / "whole")) == unbroken(numbers(twin))


def test_a_conductor_that_is_killed_while_runs_go_on_loses_nothing(
    stopped: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """`kill -9` at the third event of the second run: `resume` alone goes on with what was typed, to the bit."""
    word, folder, twin = stopped
    shutil.copytree(folder, tmp_path / "sweep")
    lines = [len(read_journal(twin / n / "journal.jsonl").events) for n in "01"]
    begun = [len(read_journal(folder / n / "journal.jsonl").events) for n in "01"]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "resume", "sweep", word],
        start_new_session=True,
        cwd=tmp_path,
        env=os.environ | {"RUNNER_FAULT": f"after_journal:{lines[0] - begun[0] + 3}:kill9"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.wait(100) == -signal.SIGKILL
    wait_for(lambda: not members(process.pid))
    known = [task.look()["status"] for task in SweepDirectory.existing(tmp_path / "sweep").tasks()]
    assert known == ["finished", "interrupted", "finished", "finished"]

    assert resume_sweep(tmp_path / "sweep", quiet=True) == 0
    assert numbers(tmp_path / "sweep") == numbers(twin)
    for number in "01":
        assert identity(tmp_path / "sweep" / number) == identity(twin / number)


def test_killed_before_the_first_went_on_the_command_without_the_limit_goes_on(
    stopped: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was typed is written down first; Ctrl-C, which leaves both stopped, says how all goes on."""
    word, folder, twin = stopped
    shutil.copytree(folder, tmp_path / "sweep")
    killed = subprocess.run(
        [sys.executable, "-m", "runner", "resume", "sweep", word],
        cwd=tmp_path,
        env=os.environ | {"RUNNER_FAULT": "after_journal:1:kill9"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "sweep" / "raised.json").read_text()) == {"words": [word]}
    assert resume_sweep(tmp_path / "sweep") == 0
    assert numbers(tmp_path / "sweep") == numbers(twin)
    assert "stopped" not in capsys.readouterr().out


def test_runs_that_have_not_begun_are_declared_with_the_limit(
    stopped: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """A sweep without runs 1 and 3: 0 goes on, 1 never stops, 3 comes to what it had come to."""
    word, folder, twin = stopped
    shutil.copytree(folder, tmp_path / "sweep")
    for number in "13":
        shutil.rmtree(tmp_path / "sweep" / number)
    assert resume_sweep(tmp_path / "sweep", overrides=[word], quiet=True) == 0
    found, expected = numbers(tmp_path / "sweep"), numbers(twin)
    assert unbroken(found) == unbroken(expected)
    assert (found[0], found[2:]) == (expected[0], expected[2:])
    assert float(found[1]["shots"]) < float(expected[1]["shots"])  # it measured its result once
    started = read_journal(tmp_path / "sweep" / "1" / "journal.jsonl").events[0]
    assert started.overrides[-1] == word


def test_a_run_that_was_broken_before_it_stopped_goes_on_beyond(
    stopped: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """The journal of run 1 cut after eight lines, as a kill leaves it, and its files gone: it stops, and goes on."""
    word, folder, twin = stopped
    shutil.copytree(folder, tmp_path / "sweep")
    journal = tmp_path / "sweep" / "1" / "journal.jsonl"
    begun = journal.read_bytes().splitlines(keepends=True)[:8]
    shutil.rmtree(journal.parent)
    journal.parent.mkdir()
    shutil.copy(folder / "1" / "config.yaml", journal.parent)
    journal.write_bytes(b"".join(begun))
    assert resume_sweep(tmp_path / "sweep", overrides=[word], quiet=True) == 0
    assert numbers(tmp_path / "sweep") == numbers(twin)


def test_runs_that_stopped_for_something_else_are_told_in_a_line(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One comes to its budget of 70 USD, one to the 20 s of its session: raising either leaves the other alone."""
    words = [
        "session.max_time=20s,8h",
        "session.max_cost=70",
        "seed=1",
        "optimizer.max_evaluations=12",
        *QUIET,
    ]
    assert main(["-m", *words, "hydra.sweep.dir=sweep"]) == 3
    ended = (
        "1 run stopped with its session and goes on with: "
        "python -m runner resume sweep session.on_expiry=reopen\n"
    )
    cost = "1 run stopped at session.max_cost and goes on with: python -m runner resume sweep session.max_cost=140\n"
    told = capsys.readouterr().out
    assert ended in told
    assert cost in told
    before = numbers("sweep")

    assert main(["resume", "sweep", "session.max_cost=1000"]) == 3
    told = capsys.readouterr().out
    assert ended in told
    assert "session.max_cost" not in told.partition("1 run stopped")[2]
    after = numbers("sweep")
    assert after[0] == before[0]
    assert (before[1]["status"], after[1]["status"]) == ("stopped", "finished")

    assert main(["resume", "sweep", "session.on_expiry=reopen"]) == 0
    assert [row["status"] for row in numbers("sweep")] == ["finished", "finished"]


REFUSED: dict[str, str] = {
    "session.max_cost=60": "session.max_cost: no run stopped that goes on with 60; 2 runs stopped at session.max_cost "
    "and go on with: python -m runner resume sweep session.max_cost=140",
    "session.max_usage=1000": "session.max_usage: no run stopped that goes on with 1000; 2 runs",
    "session.on_expiry=reopen": "session.on_expiry: no run stopped that goes on with reopen; 2 runs",
    "session.on_expiry=fail": "session.on_expiry: can be reopen alone in a resumed sweep, got fail",
    "session.max_cost=much": "session.max_cost: expected a number, got 'much'",
    "session.max_cost=100,200": "session.max_cost: give it one value for all runs",
    "session.max_cost=-1": "session.max_cost: ",
    "session.max_time=8h": "session.max_time: cannot be changed in a resumed sweep",
}


def test_a_limit_that_lets_no_run_go_on_is_refused(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with what does; nothing is written."""
    assert sweep([*BUDGET, "hydra.sweep.dir=sweep"], quiet=True) == 3
    before = bytes_of("sweep")
    capsys.readouterr()
    for word, told in REFUSED.items():
        assert main(["resume", "sweep", word]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {told}"), said
        assert said.count("\n") == 1
        assert bytes_of("sweep") == before


def test_what_a_sweep_varies_is_raised_for_one_run_alone(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its column in the table would be wrong otherwise; and of a search, which chose its runs by what they came to."""
    words = ["session.max_cost=60,70", "seed=1", "optimizer.max_evaluations=12", *QUIET]
    assert sweep([*words, "hydra.sweep.dir=sweep"], quiet=True) == 3
    assert main(["resume", "sweep", "session.max_cost=200"]) == 2
    alone = "raise it for one by itself: python -m runner resume {}/NUMBER session.max_cost=200\n"
    assert alone.format("sweep") in capsys.readouterr().err
    search: list[Any] = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "seed=range(1,5)", *BUDGET[2:]]
    assert sweep([*search, "optimizer.max_evaluations=12", "hydra.sweep.dir=search"], quiet=True) == 3
    assert main(["resume", "search", "session.max_cost=200"]) == 2
    assert alone.format("search") in capsys.readouterr().err


def test_one_run_takes_what_all_take(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`session.on_expiry=reopen` goes on with one whose session ended, as without, and is refused for others."""
    assert sweep([*ENDING, "hydra.sweep.dir=sweep"], quiet=True) == 3
    shutil.copytree("sweep", "plain")
    assert main(["resume", "sweep/0", "session.on_expiry=reopen"]) == 0
    assert main(["resume", "plain/0"]) == 0
    assert identity(Path("sweep/0")) == identity(Path("plain/0"))
    capsys.readouterr()
    before = bytes_of("sweep")
    for number, word, told in (
        (
            "1",
            "fail",
            "session.on_expiry: can be reopen alone, where a session that ended has stopped the run",
        ),
        ("2", "reopen", "sweep/2 is finished; there is nothing to resume"),
        ("0", "reopen", "sweep/0 is finished; there is nothing to resume"),
    ):
        assert main(["resume", f"sweep/{number}", f"session.on_expiry={word}", "run.figures=false"]) == 2
        assert told in capsys.readouterr().err
    assert bytes_of("sweep") == before


def test_a_job_that_knew_the_old_limit_only_is_not_the_last_word(
    stopped: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """A killed sweep's job was still queued when the limit was raised, and is carried out while ours waits."""
    pytest.importorskip("submitit")
    word, folder, twin = stopped
    shutil.copytree(folder, tmp_path / "sweep")
    shutil.rmtree(tmp_path / "sweep" / "0")
    directory = SweepDirectory.existing(tmp_path / "sweep")
    old, new = (directory.tasks(Overrides.of(words))[0] for words in ([], [word]))
    looks = iter(range(9))
    seen: list[str] = []

    class Jobs:
        """An executor of submitit whose job is over at the fourth look; the older one ends at the second."""

        def map_array(self, function: Any, shares: list[list[Task]]) -> list[Any]:
            def done() -> bool:
                look = next(looks)
                if look == 1:
                    seen.append(carry_out(old, StopFlag())["status"])
                if look == 3:
                    function(shares[0])
                return look >= 3

            return [SimpleNamespace(done=done, exception=lambda: None, state="", job_id="1")]

    launcher = SubmititLauncher()
    launcher.executor = lambda *_: Jobs()
    (row,) = launcher.launch([new], directory, StopFlag())

    assert seen == ["stopped"]
    assert row["status"] == "finished"
    assert [row[name] for name in ("energy", "evaluations", "iterations")] == [
        kind(table(twin)[0][name])
        for name, kind in (("energy", float), ("evaluations", int), ("iterations", int))
    ]

"""Sweeps: planned and checked as a whole, carried out anywhere with the same numbers, stopped and continued at will."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from runner.__main__ import main
from runner.declare.composer import declare
from runner.declare.config import CONF
from runner.declare.overrides import Overrides
from runner.errors import ConfigError, JournalError, StorageError
from runner.record import faults
from runner.record.journal import Journal, read_journal
from runner.review.figures import SweepAxes, sweep_overview
from runner.review.report import read_table
from runner.run.signals import StopFlag
from runner.sweep.compose import SweepPlanner, distinct
from runner.sweep.conductor import Conductor, base_of
from runner.sweep.directory import SweepDirectory
from runner.sweep.entry import resume_sweep, sweep
from runner.sweep.launcher import (
    BasicLauncher,
    JoblibLauncher,
    SlurmLauncher,
    SubmititLauncher,
    worker_environment,
)
from runner.sweep.member import PARENT, MemberStop, Row, Task, carry_out
from runner.sweep.optuna import OptunaSweeper, corners, distribution
from runner.sweep.progress import SweepProgress
from tests.faults.trial import identity
from tests.sweeps import (
    FOUR,
    PLAIN,
    SMALL,
    TWO_WORKERS,
    energies,
    members,
    numbers,
    paused_sweep,
    table,
    wait_for,
)

PRESETS = sorted(
    path.stem for path in (CONF / "experiment").glob("s*.yaml") if "MULTIRUN" in path.read_text("utf-8")
)


class InterruptedAfter:
    """A launcher during which Ctrl-C is typed after some runs."""

    def __init__(self, runs: int) -> None:
        self.runs = runs

    def check(self, configs: Sequence[Any], runs: int) -> list[Any]:
        """Find nothing wrong."""
        assert runs
        return [None for _ in configs]

    def launch(self, tasks: Sequence[Task], directory: SweepDirectory, stop: StopFlag) -> Iterator[Row]:
        """Carry out every task here, as long as nobody stops it."""
        assert directory.header
        for place, task in enumerate(tasks):
            if place == self.runs:
                signal.raise_signal(signal.SIGINT)
            yield carry_out(task, stop)


# ------------------------------------------------------------------------------------------------ planning


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=cobyla,spsa", "seed=range(3)", "optimizer.max_evaluations=20,30"],
        ["session.max_time=1h,'2h 30m'", "name=a,b", "session.queue_delay.seconds=choice(0,5)"],
        ["hamiltonian=glob(h2*)", "ansatz.reps=1,2"],
        ["hamiltonian=pauli", "hamiltonian.terms=[[ZZ,1.0]],[[XX,1.0],[ZI,0.5]]"],
    ],
)
def test_quick_composition_is_full_composition(overrides: list[str]) -> None:
    """What is put together from parts equals what Hydra composes for each combination alone."""
    planner = SweepPlanner(overrides)
    combinations = planner.combinations(planner.settings().swept)
    quick = [planner.declare(combination.overrides) for combination in combinations]

    for place in {0, len(quick) // 2, len(quick) - 1}:
        assert quick[place] == declare(combinations[place].overrides)


def test_combinations_are_counted_before_they_are_made() -> None:
    """More runs than anybody means are refused with their number, at once."""
    for overrides, count in (
        (["seed=range(1000000)"], 1_000_000),
        (["seed=range(100000)", "ansatz.reps=range(1,10001)"], 1_000_000_000),
    ):
        planner = SweepPlanner(overrides)
        with pytest.raises(ConfigError, match=f"{count} combinations"):
            planner.combinations(planner.settings().swept)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer=cobyla,spsb"], "'spsb' not found.*in the combination optimizer=spsb"),
        (["optimizer.max_evaluations=5,0", "seed=1,2"], "at least 1.*max_evaluations=0, seed=1"),
        (
            ["hamiltonian=two_qubit,h2", "backend=generic", "backend.num_qubits=3"],
            "has 3 qubits.*hamiltonian=h2",
        ),
        (["hydra/launcher=jobli", "seed=1,2"], "did you mean 'joblib'"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0", "seed=1,2"], "n_jobs: must not be 0"),
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=100000", "seed=1,2"],
            "n_jobs: must be at most 1024",
        ),
        (
            ["hydra/launcher=submitit_local", "hydra.launcher.array_parallelism=100000", "seed=1,2"],
            "array_parallelism: must be at most 1024",
        ),
        (
            ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=100000", "seed=1,2"],
            "num_cpus: must be at most 1024",
        ),
        (["hydra/launcher=joblib", "hydra.launcher.backend=threading", "seed=1,2"], "processes of their own"),
        (["hydra.launcher.n_jobs=1,2"], "cannot be swept"),
        (["tracking=off,mlflow"], "the same for all runs"),
        (["hydra.sweep.dir=../elsewhere", "seed=1,2"], "leaves the current folder"),
        (["ansatz.initial_spread=interval(0.1,1.0)"], "add hydra/sweeper=optuna"),
        (["hydra/sweeper=optuna", "seed=3"], "nothing to search"),
        (["hydra/sweeper=optuna", "hydra.sweeper.sampler=tp", "seed=1,2"], "unknown choice 'tp'"),
        (["hydra/sweeper=optuna", "optimizer.max_evaluations=range(0,9)"], "at least 1"),
    ],
)
def test_bad_input_is_found_before_anything_runs(workdir: Path, overrides: list[str], message: str) -> None:
    """One line that names the combination; not even a directory is made."""
    with pytest.raises(ConfigError, match=message):
        sweep([*overrides, "tracking=off"] if "tracking" not in overrides[0] else overrides, quiet=True)

    assert list(workdir.iterdir()) == []


def test_runs_that_differ_in_their_seed_are_checked_once() -> None:
    """A thousand seeds of one configuration need one transpilation to be checked."""
    planner = SweepPlanner(["seed=range(50)", "optimizer=cobyla,spsa"])
    declared = [planner.declare(item.overrides) for item in planner.combinations(planner.settings().swept)]

    assert [place for place, _ in distinct(declared)] == [0, 1]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "search_ansatz" else pytest.mark.nightly) for name in PRESETS],
)
def test_every_sweep_preset_runs(workdir: Path, name: str) -> None:
    """Shrunk to two runs; the preset says itself that it is a sweep and where it runs."""
    preset = yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))
    search = "n_trials" in preset["hydra"]["sweeper"]
    small = [f"experiment={name}", *PLAIN, "hydra/launcher=basic"]
    if name == "sweep_tfim":
        small += ["hamiltonian.shape=[2]", "ansatz.reps=1", "hamiltonian.field=0.5,1.5"]
    small += (
        [
            "hydra.sweeper.n_trials=2",
            "hydra.sweeper.storage=null",
            "hamiltonian=two_qubit",
            "optimizer.max_evaluations=int(interval(8,9))",
        ]
        if search
        else ["seed=1"]
    )
    if name == "sweep_optimizers":
        small += ["optimizer=cobyla,spsa", "hamiltonian=two_qubit"]

    assert declare([f"experiment={name}"]).multirun
    assert sweep(small, quiet=True) == 0
    (folder,) = (workdir / "outputs" / "sweeps").iterdir()
    assert folder.name.partition("_")[2].partition("_")[2].startswith(name)
    assert [row["status"] for row in table(folder)] == ["finished"] * 2
    assert "hydra.mode=RUN" in json.loads((folder / "runs.jsonl").read_text().splitlines()[0])["overrides"]


# ------------------------------------------------------------------------------------------- carrying out


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of four runs, carried out one after the other."""
    folder = tmp_path_factory.mktemp("serial") / "sweep"
    assert sweep([*FOUR, *SMALL, f"hydra.sweep.dir={folder}"], quiet=True) == 0
    return folder


def test_a_plan_is_whole_or_not_there(serial: Path, tmp_path: Path) -> None:
    """Runs that were never written down are not taken for finished ones; a torn line is not appended to."""
    shutil.copytree(serial, tmp_path / "sweep")
    plan = tmp_path / "sweep" / "runs.jsonl"
    lines = plan.read_text().splitlines(keepends=True)
    for kept, message in (
        ("".join(lines[:2]), "2 of 4 are"),
        ("".join(lines[:3]) + lines[3][:20], "3 of 4"),
        ("", "0 of 4"),
    ):
        plan.write_text(kept)
        with pytest.raises(ConfigError, match=f"broken off while its runs were planned .{message}"):
            resume_sweep(tmp_path / "sweep", quiet=True)
    directory = SweepDirectory.existing(serial)
    tasks = directory.tasks()
    torn = SweepDirectory.existing(tmp_path / "sweep")
    plan.write_text("".join(lines[:3]) + lines[3][:20])
    torn.plan(tasks[3:])

    assert [task.number for task in torn.tasks()] == [0, 1, 2, 3]
    assert not list(plan.parent.glob(".runs.jsonl*"))


def test_a_sweep_goes_where_it_is_told_or_nowhere(workdir: Path, serial: Path) -> None:
    """As `hydra.run.dir`; where the folder that is typed holds a sweep, the line says how to go on with that."""
    arguments = [*SMALL, "seed=1,2"]
    (workdir / "empty").mkdir()
    for name, hint in (
        ("empty", "another$"),
        (str(serial), f"another, or `python -m runner resume {serial}`$"),
    ):
        with pytest.raises(ConfigError, match=rf"^hydra.sweep.dir: {name} is there already; choose {hint}"):
            sweep([*arguments, f"hydra.sweep.dir={name}"], quiet=True)
    assert [path.name for path in workdir.iterdir()] == ["empty"]


def test_a_full_disk_is_one_line(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the runs are planned: the error of the disk, and no half of a plan."""
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == "runs.jsonl":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="no space left on device"):
        sweep([*FOUR, *SMALL, "hydra.sweep.dir=full"], quiet=True)

    assert not list((workdir / "full").glob("*runs.jsonl*"))


SEARCH = (
    "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.storage=null", "ansatz.reps=range(1,4)",
)  # fmt: skip


@pytest.mark.parametrize("swept", [FOUR, SEARCH])
def test_a_disk_that_is_full_for_one_run_is_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], swept: tuple[str, ...]
) -> None:
    """The sweep's own files may find room where a run's journal found none; it ends as the disk's errors do."""
    words = ["-m", *swept, *PLAIN]
    assert main([*words, "hydra.sweep.dir=whole"]) == 0
    capsys.readouterr()
    faults.plan("before_journal:5:enospc")
    try:
        code = main([*words, "hydra.sweep.dir=full"])
    finally:
        faults.plan("")
    told = capsys.readouterr()
    errors = [line for line in (told.out + told.err).splitlines() if line.startswith("error: ")]

    assert code == 5
    assert len(errors) == 1
    assert "run 0: " in errors[0]
    assert "no space left on device" in errors[0]
    assert table(workdir / "full")[0]["status"] == "failed"
    assert main(["resume", "full"]) == 0
    assert numbers(workdir / "full") == numbers(workdir / "whole")


def test_damaged_runs_are_a_line_each_and_the_others_go_on(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A result of other types, and a journal whose first line was edited, of which no byte is lost; then the total."""
    assert main(["-m", "seed=1,2,3,4", *PLAIN, "hydra.sweep.dir=s"]) == 0
    whole = numbers(workdir / "s")
    (workdir / "s" / "sweep.csv").unlink()
    (workdir / "s" / "0" / "result.json").write_text('{"a": 1}')
    for number in (1, 2):
        (workdir / "s" / str(number) / "result.json").unlink()
    journals = [workdir / "s" / str(number) / "journal.jsonl" for number in (1, 2)]
    kept = {path: path.read_bytes() for path in journals}
    journals[0].write_bytes(kept[journals[0]].replace(b"seq", b"sez", 1))
    journals[1].write_bytes(b"".join(kept[journals[1]].splitlines(keepends=True)[:6]))
    damaged = journals[0].read_bytes()
    capsys.readouterr()

    assert main(["resume", "s"]) == 2
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said if "damaged" in line] == [
        "run 0 (seed=1) failed",
        "run 1 (seed=2) failed",
    ]
    assert "2 failed, 2 finished of 4 runs" in said
    assert journals[0].read_bytes() == damaged
    journals[0].write_bytes(kept[journals[0]])
    (workdir / "s" / "0" / "result.json").unlink()
    assert main(["resume", "s"]) == 0
    assert numbers(workdir / "s") == whole


def test_a_sweep_leaves_tables_figure_and_page(serial: Path) -> None:
    """One line per run with what was swept, as text and as numbers; a figure; a page."""
    from pyarrow import parquet

    rows = table(serial)
    columns = parquet.read_table(serial / "sweep.parquet").to_pydict()
    assert [(row["optimizer"], row["seed"]) for row in rows] == [
        ("cobyla", "1"), ("cobyla", "2"), ("spsa", "1"), ("spsa", "2"),
    ]  # fmt: skip
    assert [row["status"] for row in rows] == ["finished"] * 4
    assert columns["seed"] == [1, 2, 1, 2]
    assert columns["energy"] == [float(row["energy"]) for row in rows]
    assert (serial / "figures" / "sweep.png").stat().st_size > 5_000
    assert (serial / "report.html").is_file()


def test_a_sweep_without_energies_has_its_usage_drawn(workdir: Path) -> None:
    """Against the shots of both runs stands what each run's own result.json says that it was charged."""
    words = ["experiment=sampling", "experiment.shots=100,300", "tracking=off", "run.figures=true"]

    assert main(["-m", *words, "hydra.sweep.dir=s"]) == 0

    rows = read_table(workdir / "s" / "sweep.csv")
    charged = [json.loads((workdir / "s" / n / "result.json").read_text())["usage_seconds"] for n in "01"]
    (axes,) = sweep_overview(rows, SweepAxes.of(rows)).axes
    assert axes.get_ylabel() == "usage (s)"
    assert axes.containers[0].lines[0].get_xydata().tolist() == [[100, charged[0]], [300, charged[1]]]
    assert (workdir / "s" / "report.html").is_file()
    assert main(["resume", "s"]) == 2


def test_runs_know_their_sweep(serial: Path) -> None:
    """The tracking store hangs them below one parent; they draw no figures of their own."""
    started = [read_journal(serial / str(number) / "journal.jsonl").events[0] for number in range(4)]

    assert {event.parent for event in started} == {SweepDirectory.existing(serial).identity}
    assert not list((serial / "0" / "figures").iterdir())


def test_each_run_is_what_it_would_be_alone(serial: Path, workdir: Path) -> None:
    """A sweep changes nothing about a run: same overrides, same energies."""
    from runner.run.execution import run

    alone = run(declare(["optimizer=spsa", "seed=2", *PLAIN]))

    assert str(alone.energy) == table(serial)[3]["energy"]


def test_a_failing_run_does_not_stop_the_others(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every failure stands in the table and on the terminal with its reason; the exit code is the first failure's."""
    code = sweep(
        [*PLAIN, "session.on_expiry=fail", "session.max_time=8,1h,9", "seed=1", "hydra.sweep.dir=mine"]
    )

    rows = table("mine")
    printed = capsys.readouterr().out
    assert code == 1
    assert [row["status"] for row in rows] == ["failed", "finished", "failed"]
    assert "session ended: maximum time reached" in rows[0]["reason"]
    assert printed.count("failed: ") == 2
    assert "2 failed, 1 finished of 3 runs" in printed
    assert "python -m runner resume mine" in printed


def test_ctrl_c_stops_cleanly_and_resume_finishes(serial: Path, tmp_path: Path) -> None:
    """Exit 130; what had not begun waits; in the end there is what would have been without the break."""
    folder = tmp_path / "sweep"
    shutil.copytree(serial, folder)
    for number in (1, 2, 3):
        shutil.rmtree(folder / str(number))
    directory = SweepDirectory.existing(folder)
    tasks = directory.tasks()
    with Conductor(directory, InterruptedAfter(1), base_of(directory), total=4, quiet=True) as conductor:
        conductor.know([tasks[0].look()])
        conductor.carry_out(tasks[1:])

    assert conductor.exit_code == 130
    assert [row["status"] for row in table(folder)] == ["finished", "finished", "waiting", "waiting"]
    assert resume_sweep(folder, quiet=True) == 0
    assert numbers(folder) == numbers(serial)


def test_the_command_that_continues_a_sweep_names_its_plugins(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They count only where they are typed, `resume` refuses without."""
    shutil.copytree(serial, tmp_path / "sweep")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree("sweep/3")
    directory = SweepDirectory.existing("sweep")
    directory.header["overrides"].append("plugins=[mine]")
    tasks = directory.tasks()
    with Conductor(directory, InterruptedAfter(0), base_of(directory), total=4) as conductor:
        conductor.know(task.look() for task in tasks[:3])
        conductor.carry_out(tasks[3:])

    assert "continue with: python -m runner resume sweep 'plugins=[mine]'\n" in capsys.readouterr().out


def test_killing_a_parallel_sweep_loses_nothing(serial: Path, tmp_path: Path) -> None:
    """`kill -9` of the sweep and its workers in the middle of runs; others continue them, bit for bit as in serial."""
    folder = tmp_path / "sweep"
    process = paused_sweep(folder, seconds=60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not members(process.pid))

    tasks = SweepDirectory.existing(folder).tasks()
    known = [task.look()["status"] for task in tasks]
    assert sorted(known) == ["interrupted", "interrupted", "waiting", "waiting"]
    assert resume_sweep(folder, overrides=["hydra/launcher=basic"], quiet=True) == 0
    assert numbers(folder) == numbers(serial)
    assert energies(folder) == energies(serial)


def test_a_finished_sweep_gets_what_its_process_had_no_time_for(serial: Path, tmp_path: Path) -> None:
    """Table, figure and page are made up by `resume`, no run is carried out again; then nothing is left to do."""
    folder = tmp_path / "sweep"
    shutil.copytree(serial, folder)
    shutil.rmtree(folder / "figures")
    lines = (folder / "sweep.csv").read_text().splitlines(keepends=True)
    (folder / "sweep.csv").write_text("".join(lines[:3]))
    (folder / "report.html").unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("[0-9]/*")}

    assert resume_sweep(folder, quiet=True) == 0
    assert (folder / "sweep.csv").read_bytes() == (serial / "sweep.csv").read_bytes()
    assert (folder / "figures" / "sweep.png").is_file()
    assert (folder / "report.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in folder.glob("[0-9]/*")} == before
    with pytest.raises(ConfigError, match="nothing to resume"):
        resume_sweep(folder, quiet=True)


STOPPING = (
    "optimizer.max_evaluations=12,2", "seed=1,2", "session.max_time=90s", "tracking=off", "run.figures=false",
)  # fmt: skip
"""Runs 0 and 1 come to the end of their session after 20 events each, runs 2 and 3 to their own after 16."""


@pytest.fixture(scope="module")
def stopping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was never broken, two of whose runs stopped."""
    folder = tmp_path_factory.mktemp("stopping") / "sweep"
    assert sweep([*STOPPING, f"hydra.sweep.dir={folder}"], quiet=True) == 3
    assert [row["status"] for row in table(folder)] == ["stopped", "stopped", "finished", "finished"]
    return folder


@pytest.mark.parametrize("launcher", [(), TWO_WORKERS], ids=["basic", "joblib"])
def test_a_killed_sweep_gives_no_run_more_than_the_unbroken_one(
    stopping: Path, tmp_path: Path, launcher: tuple[str, ...]
) -> None:
    """`kill -9` after two runs have stopped: table, journals and money become those of a twin that was left alone."""
    folder = tmp_path / "sweep"
    fault = "after_journal:25:sleep=60" if launcher else "after_journal:45:kill9"
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "-m", *STOPPING, *launcher, f"hydra.sweep.dir={folder}"],
        start_new_session=True,
        cwd=tmp_path,
        env=os.environ | {"RUNNER_FAULT": fault},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if launcher:  # both workers come to stand still in their second run
        wait_for(lambda: sum(map(_lines, folder.glob("*/journal.jsonl"))) == 50)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(100) == -signal.SIGKILL
    wait_for(lambda: not members(process.pid))
    known = [task.look()["status"] for task in SweepDirectory.existing(folder).tasks()]
    assert "stopped" in known
    assert known.count("interrupted") == (2 if launcher else 1)

    assert resume_sweep(folder, overrides=["hydra/launcher=basic"], quiet=True) == 3
    assert numbers(folder) == numbers(stopping)
    for number in map(str, range(4)):
        assert identity(folder / number) == identity(stopping / number)
        assert _charged(folder / number) == _charged(stopping / number)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _charged(run: Path) -> float:
    """Seconds between the beginning and the end of each session in a journal, added up."""
    total, since = 0.0, {}
    for event in read_journal(run / "journal.jsonl").events:
        if event.kind == "session" and event.state == "active":
            since[event.session] = event.time
        elif event.kind == "session" and event.session in since:
            total += event.time - since.pop(event.session)
    return total


def test_a_run_that_stopped_is_left_to_itself(
    stopping: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`resume` of its sweep pays nothing, says what goes on with it, and takes in what came of that."""
    shutil.copytree(stopping, "sweep")
    untouched = {path: path.read_bytes() for path in Path("sweep").rglob("*") if path.is_file()}
    assert main(["resume", "sweep"]) == 2
    told = "is over; there is nothing to resume; 2 runs stopped with their sessions and go on with: "
    assert f"{told}python -m runner resume sweep session.on_expiry=reopen\n" in capsys.readouterr().err
    assert untouched == {path: path.read_bytes() for path in Path("sweep").rglob("*") if path.is_file()}

    assert main(["resume", "sweep/0", "run.figures=false"]) == 0
    result = json.loads(Path("sweep/0/result.json").read_text())
    assert main(["resume", "sweep"]) == 3
    found, *others = numbers("sweep")
    assert found["status"] == "finished"
    assert int(found["evaluations"]) == result["evaluations"] > int(numbers(stopping)[0]["evaluations"])
    assert float(found["cost"]) == result["cost"] > float(numbers(stopping)[0]["cost"])
    work = [
        event.work for event in read_journal("sweep/0/journal.jsonl").events if event.kind == "job.submitted"
    ]
    shots = sum(executions for job in work for executions, _ in job)
    assert int(found["shots"]) == shots == result["shots"] + result["measured_before"]["shots"]
    assert others == numbers(stopping)[1:]
    assert (
        "1 run stopped with its session and goes on with: python -m runner resume sweep session.on_expiry=reopen\n"
        in capsys.readouterr().out
    )


def test_a_budget_that_is_used_up_is_no_failure(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is it where an earlier release had taken it for one: its row has what was measured, as in the beginning."""
    words = ["session.max_cost=60,100000", "seed=1,2", *STOPPING[3:], "optimizer.max_evaluations=4"]
    assert main(["-m", *words, "hydra.sweep.dir=sweep"]) == 3
    whole = numbers("sweep")
    assert [row["status"] for row in whole] == ["stopped", "stopped", "finished", "finished"]
    line = "2 runs stopped, each of which goes on by itself: python -m runner resume sweep/0 session.max_cost=120\n"
    assert line in capsys.readouterr().out
    refused = "session.max_cost: 60 is used up; to go on, type more: ..."
    for number in "01":
        Path(f"sweep/{number}/failure.json").write_text(
            json.dumps({"status": "failed", "exit_code": 2, "reason": refused})
        )
    rows = table("sweep")
    for row in rows[:2]:
        row.update(dict.fromkeys(("energy", "cost", "usage_seconds"), ""), status="failed", reason=refused)
    SweepDirectory.existing("sweep").write_table(rows)

    assert main(["resume", "sweep"]) == 3
    assert numbers("sweep") == whole
    assert all(float(row["cost"]) > 0 for row in whole)
    assert main(["resume", "sweep"]) == 2
    assert line in capsys.readouterr().err


def test_a_job_that_is_queued_again_leaves_what_is_over(stopping: Path, tmp_path: Path) -> None:
    """Once more through all runs of a share, as after SLURM took the node away: the same rows, and no byte written.

    One whose result was deleted has come to its end, too, by its journal.
    """
    folder = tmp_path / "sweep"
    shutil.copytree(stopping, folder)
    (folder / "1" / "result.json").unlink()
    assert resume_sweep(folder, quiet=True) == 3
    assert numbers(folder) == numbers(stopping)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    directory = SweepDirectory.existing(folder)
    directory.header["folder"] = os.getcwd()
    rows = [carry_out(task, StopFlag()) for task in directory.tasks()]

    assert [row["status"] for row in rows] == [row["status"] for row in table(stopping)]
    assert [row["energy"] for row in rows] == [float(row["energy"]) for row in table(stopping)]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_run_killed_before_its_first_event_starts_anew(serial: Path, tmp_path: Path) -> None:
    """An empty journal is nothing to continue from."""
    folder = tmp_path / "sweep"
    shutil.copytree(serial, folder)
    for path in (folder / "2").glob("*.*"):
        path.unlink()
    (folder / "2" / "journal.jsonl").write_bytes(b"")

    assert resume_sweep(folder, quiet=True) == 0
    assert numbers(folder) == numbers(serial)


def test_a_run_whose_journal_cannot_be_read_is_damaged_and_not_running(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line 9 says something else than its checksum; it is running only while somebody writes it."""
    shutil.copytree(serial, tmp_path / "sweep")
    task = SweepDirectory.existing(tmp_path / "sweep").tasks()[1]
    (task.directory / "result.json").unlink()  # as a kill leaves it
    journal = task.directory / "journal.jsonl"

    def unreadable(*_: object, **__: object) -> Row:
        raise JournalError(f"line 9 of {journal} is no event")

    monkeypatch.setattr("runner.sweep.member.resume", unreadable)
    row = carry_out(task, StopFlag(""))
    assert (row["status"], row["reason"]) == ("damaged", f"line 9 of {journal} is no event")
    with Journal.append_to(journal):
        assert carry_out(task, StopFlag(""))["status"] == "running"


@pytest.mark.parametrize("whole", [True, False])
def test_a_run_in_a_job_that_outlived_its_sweep_is_waited_for(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """Its journal is open while our job, which found it so, is over; where it is killed then, another job goes on."""
    shutil.copytree(serial, tmp_path / "sweep")
    directory = SweepDirectory.existing(tmp_path / "sweep")
    task = directory.tasks()[1]
    result = task.directory / "result.json"
    kept = result.read_bytes()
    journal = Journal.append_to(task.directory / "journal.jsonl")
    submitted: list[int] = []

    class Over:
        """A job that has ended, of which the second finishes what was killed."""

        state = "COMPLETED"

        def done(self) -> bool:
            return True

        def exception(self) -> None:
            return None

    class Executor:
        def map_array(self, _: object, shares: Sequence[object]) -> list[Over]:
            submitted.append(len(shares))
            if len(submitted) == 2:
                result.write_bytes(kept)
            return [Over() for _ in shares]

    looks: list[float] = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        assert len(looks) < 9
        if len(looks) == 3:
            journal.close()
            if not whole:
                result.unlink()

    monkeypatch.setattr("runner.sweep.launcher.time.sleep", wait)
    monkeypatch.setattr("runner.sweep.launcher.required", lambda *_: None)
    monkeypatch.setattr(SubmititLauncher, "executor", lambda *_: Executor())
    rows = list(SubmititLauncher().launch([task], directory, StopFlag("")))

    assert [row["status"] for row in rows] == ["finished"]
    assert len(looks) >= 3
    assert submitted == ([1] if whole else [1, 1])


def test_two_processes_cannot_carry_out_one_sweep(serial: Path) -> None:
    """The second is refused; the kernel frees the first one's hold when it dies."""
    second = SweepDirectory.existing(serial).alone()
    with SweepDirectory.existing(serial).alone(), pytest.raises(JournalError, match="another process"):
        second.__enter__()


def test_a_member_stops_with_its_sweep(tmp_path: Path) -> None:
    """The stop file reaches runs in other processes and on other machines."""
    from runner.errors import Interrupted

    directory = SweepDirectory(tmp_path)
    with MemberStop(tmp_path) as stop:
        stop.check()
        directory.stop(signal.SIGTERM)
        stop._looked = 0.0
        with pytest.raises(Interrupted) as caught:
            stop.check()

    assert caught.value.exit_code == 143
    assert os.getppid() == PARENT
    signal.signal(signal.SIGINT, signal.default_int_handler)


# ----------------------------------------------------------------------------------------------- launchers


def test_workers_times_threads_fit_the_cores() -> None:
    """Runs that declare threads get them; linear algebra keeps one, because its last bits depend on it."""
    cores = len(os.sched_getaffinity(0))

    assert JoblibLauncher()._workers(1) == cores
    assert JoblibLauncher()._workers(cores) == 1
    assert JoblibLauncher(n_jobs=5)._workers(1) == 5
    assert worker_environment(3)["OMP_NUM_THREADS"] == "3"
    assert worker_environment(3)["OPENBLAS_NUM_THREADS"] == "1"


def test_there_are_never_more_workers_than_runs(
    workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count of workers is a most: two runs have two, whether they are checked or carried out."""
    asked: list[int] = []

    def here(_: object, workers: int, function: Any, arguments: Sequence[Any], **__: Any) -> Any:
        asked.append(workers)
        return map(function, arguments)

    monkeypatch.setattr(JoblibLauncher, "_parallel", here)
    launcher = JoblibLauncher(n_jobs=500)
    declared = [declare((*SMALL, f"seed={seed}")) for seed in (1, 2)]
    directory = SweepDirectory.create(tmp_path / "sweep", {})
    tasks = [
        directory.task(number, one.overrides, {}, one.values, one.schemas, one.config)
        for number, one in enumerate(declared)
    ]

    assert launcher.check([declared[0].config], 2) == [None]
    assert [row["status"] for row in launcher.launch(tasks, directory, StopFlag())] == ["finished"] * 2
    assert asked == [2, 2]
    assert launcher.check([declared[0].config], 1) == [None]
    assert asked == [2, 2]
    for other in (SubmititLauncher(array_parallelism=500), SlurmLauncher(array_parallelism=50_000)):
        assert [len(share) for share in other._shares(tasks, 1)] == [1, 1]


def test_slurm_is_told_what_was_declared() -> None:
    """The keys of Hydra's submitit launcher arrive under submitit's names, and unset ones not at all."""
    launcher = SlurmLauncher(
        partition="cpu", timeout_min=30, mem_gb=4, additional_parameters={"reservation": "q"}
    )
    told = launcher.parameters(threads=2)

    assert told["slurm_partition"] == "cpu"
    assert told["slurm_additional_parameters"] == {"reservation": "q"}
    assert (told["timeout_min"], told["cpus_per_task"], told["mem_gb"]) == (30, 2, 4)
    assert "slurm_qos" not in told


class KilledJobs:
    """An executor of submitit whose jobs are over at once: those of its runs `deadly` are gone without a word.

    Args:
        deadly: Run → how many of its jobs are killed before they do anything.
        state: What SLURM says of a job that is gone.
    """

    def __init__(self, deadly: dict[int, int], state: str = "OUT_OF_MEMORY") -> None:
        self.deadly, self.state = deadly, state
        self.submitted: list[list[int]] = []

    def map_array(self, function: Any, shares: list[list[Task]]) -> list[Any]:
        """Carry them out here."""
        return [self._job(function, share) for share in shares]

    def _job(self, function: Any, share: list[Task]) -> Any:
        from submitit.core.utils import UncompletedJobError

        self.submitted.append([task.number for task in share])
        killed = next((task.number for task in share if self.deadly.get(task.number)), None)
        error = None
        if killed is None:
            function(share)
        else:
            self.deadly[killed] -= 1
            error = UncompletedJobError("Job has not produced any output\nlook there")
        return SimpleNamespace(done=lambda: True, exception=lambda: error, state=self.state, job_id="1")


def killed_in(serial: Path, folder: Path) -> SweepDirectory:
    """A sweep whose run 1 was killed after six events and whose runs 2 and 3 had not begun."""
    shutil.copytree(serial, folder)
    for number in (2, 3):
        shutil.rmtree(folder / str(number))
    journal = folder / "1" / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:6]))
    (folder / "1" / "result.json").unlink()
    return SweepDirectory.existing(folder)


@pytest.mark.parametrize(
    ("deadly", "state", "shares", "failed"),
    [
        ({1: 1}, "", [[1, 3], [2], [1], [3]], set()),  # what had begun gets a job of its own
        ({1: 2}, "", [[1, 3], [2], [1], [3]], {1}),  # once
        ({2: 2}, "", [[1, 3], [2], [2], [2]], set()),  # what had not begun is no reason to die of
        ({2: 9}, "", [[1, 3], [2], [2], [2]], {2}),
        ({1: 1}, "CANCELLED by 1000", [[1, 3], [2]], {1, 3}),  # somebody's decision
        ({1: 1}, "TIMEOUT", [[1, 3], [2]], {1, 3}),  # which `max_num_timeout` is for
    ],
)
def test_runs_of_a_job_that_was_killed_get_another_one(
    serial: Path,
    tmp_path: Path,
    deadly: dict[int, int],
    state: str,
    shares: list[list[int]],
    failed: set[int],
) -> None:
    """Of two jobs, for runs 1 and 3 and for run 2; what comes of it is what the unbroken sweep has."""
    pytest.importorskip("submitit")
    directory = killed_in(serial, tmp_path / "sweep")
    jobs = KilledJobs(dict(deadly), state)
    launcher = SubmititLauncher(array_parallelism=2)
    launcher.executor = lambda *_: jobs
    rows = list(launcher.launch(directory.tasks()[1:], directory, StopFlag()))

    assert jobs.submitted == shares
    assert {row["number"] for row in rows if row["status"] != "finished"} == failed
    told = "its job ran out of time" if state == "TIMEOUT" else "its job died: look there"
    assert {row["reason"] for row in rows if row["status"] != "finished"} <= {told}
    assert state != "TIMEOUT" or "failed" not in {row["status"] for row in rows}
    found = {row["number"]: row["energy"] for row in rows if row["status"] == "finished"}
    assert found == {
        number: float(row["energy"])
        for number, row in enumerate(table(serial))
        if number in {1, 2, 3} - failed
    }


def test_a_run_that_had_failed_is_told_by_its_next_job(serial: Path, tmp_path: Path) -> None:
    """While that waits in the queue, what is known of the run is how it failed before; that is not how it ends."""
    pytest.importorskip("submitit")
    directory = killed_in(serial, tmp_path / "sweep")
    task = directory.tasks()[1]
    task.fail("its job died", 137)
    looks = iter(range(9))

    class Queue:
        """An executor of submitit whose only job waits for two looks, and is over at the fourth."""

        def map_array(self, function: Any, shares: list[list[Task]]) -> list[Any]:
            def done() -> bool:
                look = next(looks)
                if look == 2:
                    function(shares[0])
                return look > 2

            return [SimpleNamespace(done=done, exception=lambda: None, state="", job_id="1")]

    launcher = SubmititLauncher(array_parallelism=1)
    launcher.executor = lambda *_: Queue()
    (row,) = launcher.launch([task], directory, StopFlag())

    assert (row["status"], row["energy"]) == ("finished", float(table(serial)[1]["energy"]))


# ------------------------------------------------------------------------------------------------ searches


def test_ranges_become_distributions() -> None:
    """Hydra's sweep syntax is Optuna's search space; a range excludes its end."""
    pytest.importorskip("optuna")

    def space(text: str) -> Any:
        return distribution(Overrides.of([text])[0])

    assert (space("a=range(1,8,3)").low, space("a=range(1,8,3)").high) == (1, 7)
    assert (space("a=range(0.5,2.0,0.5)").low, space("a=range(0.5,2.0,0.5)").high) == (0.5, 1.5)
    assert space("a=tag(log,interval(0.1,10))").log
    assert type(space("a=int(interval(1,5))")).__name__ == "IntDistribution"
    assert space("a=x,y").choices == ("x", "y")
    assert corners(Overrides.of(["a=range(1,4)", "b=x,y"])) == [
        {"a": "1", "b": "x"}, {"a": "3", "b": "x"}, {"a": "1", "b": "y"},
    ]  # fmt: skip


def test_a_search_goes_on_as_if_it_had_not_stopped(workdir: Path) -> None:
    """Half of the trials lost: the rest is proposed again, with the same results; two objectives."""
    pytest.importorskip("optuna")
    arguments = [
        "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.objective=[error,usage_seconds]",
        "hydra.sweeper.storage=null", "optimizer=cobyla,spsa", "ansatz.reps=range(1,4)", *PLAIN, "seed=3",
    ]  # fmt: skip
    assert sweep([*arguments, "hydra.sweep.dir=whole"], quiet=True) == 0
    shutil.copytree("whole", "half")
    for number in (2, 3):
        shutil.rmtree(Path("half") / str(number))
    plan = Path("half/runs.jsonl")
    plan.write_text("".join(plan.read_text().splitlines(keepends=True)[:2]) + '{"number": 2, "over')

    assert resume_sweep("half", quiet=True) == 0
    assert numbers("half") == numbers("whole")
    assert len({(row["ansatz.reps"], row["optimizer"]) for row in table("whole")}) > 1


def test_a_trial_is_judged_by_its_results_only() -> None:
    """The error counts by its size, and a run that failed counts as failed."""
    sweeper = OptunaSweeper(objective=["error", "usage_seconds"])

    assert sweeper.values({"status": "finished", "error": -0.5, "usage_seconds": 3}) == [0.5, 3.0]
    assert sweeper.values({"status": "failed", "error": -0.5, "usage_seconds": 3}) is None
    assert sweeper.directions == ["minimize", "minimize"]


@pytest.mark.nightly
def test_a_study_lives_in_the_tracking_database(workdir: Path) -> None:
    """MLflow and Optuna share one file: runs below a parent, and the study with its trials, resumable."""
    optuna = pytest.importorskip("optuna")
    import sqlite3

    arguments = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "ansatz.reps=1,2", *PLAIN[1:]]
    assert sweep([*arguments, "hydra.sweeper.study_name=mine"], quiet=True) == 0
    storage = optuna.storages.RDBStorage("sqlite:///outputs/mlflow.db", skip_compatibility_check=True)
    with sqlite3.connect("outputs/mlflow.db") as database:
        (runs,) = database.execute("select count(*) from tags where key='mlflow.parentRunId'").fetchone()

    assert runs == 2
    assert len(optuna.load_study(study_name="mine", storage=storage).trials) == 2


# --------------------------------------------------------------------------------------------- the terminal


def test_progress_says_how_many_how_fast_how_long() -> None:
    """Runs that were over before count for the place, not for the speed."""
    progress = SweepProgress(10, done=2)
    progress({"status": "finished", "error": -0.25})
    progress({"status": "failed"})

    assert (
        progress.line(progress._started + 4.0)
        == "run 4/10, 1 failed  best |energy − exact| 0.25  0.5 runs/s  about 12.0 s left"
    )


def test_the_plain_launcher_needs_nothing() -> None:
    """One run after the other, in this process, is what there is without any engine."""
    assert BasicLauncher().check([], 1) == []


def test_a_worker_that_dies_while_everything_is_checked_is_not_needed(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was to check is checked here: the sweep begins, or is refused, as if nothing had happened."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    def dying(*_: Any, **__: Any) -> Any:
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(JoblibLauncher, "_parallel", dying)

    configs = [declare(SMALL).config, declare((*SMALL, "seed=2")).config]
    assert JoblibLauncher(n_jobs=2).check(configs, 2) == [None, None]


def test_workers_that_never_begin_a_run_are_given_up(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where worker processes die before they can do anything, the sweep ends and says so."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    tries: list[int] = []

    def dying(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(JoblibLauncher, "_parallel", dying)
    folder = tmp_path / "sweep"
    shutil.copytree(serial, folder)
    for number in range(4):
        shutil.rmtree(folder / str(number))
    directory = SweepDirectory.existing(folder)
    rows = list(JoblibLauncher(n_jobs=2).launch(directory.tasks(), directory, StopFlag()))

    assert len(tries) == 3
    assert {row["reason"] for row in rows} == {"worker processes died 3 times before they had begun a run"}

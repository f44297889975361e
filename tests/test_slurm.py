"""Jobs of SLURM, whose programs are scripts here: what is refused, what has ended, and how a job ends.

What SLURM's programs print is what 22.05 printed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.__main__ import main
from runner.declare.overrides import Overrides
from runner.declare.provenance import typed_again
from runner.errors import ConfigError, Interrupted
from runner.record import faults
from runner.run.signals import StopFlag
from runner.sweep import share
from runner.sweep.directory import SweepDirectory
from runner.sweep.entry import recorded_launcher, resume_sweep, sweep
from runner.sweep.launcher import LAUNCHERS, RayLauncher, SlurmLauncher, connected
from runner.sweep.member import MemberStop, Row, Task, carry_out
from runner.sweep.progress import SweepProgress
from runner.sweep.share import JobSignals, Share
from runner.sweep.slurm import Queue, QueuedJob, complaint, refusal
from tests.sweeps import PLAIN, numbers

PROGRAMS = ("sbatch", "squeue", "scancel", "srun", "sacct")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in which each prints what lies in NAME.out and NAME.err and ends with NAME.rc."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).write_text(
            f'#!/bin/sh\ncd {folder}\necho "$@" >> {name}.asked\n'
            f"cat {name}.out; cat {name}.err >&2; exit $(cat {name}.rc)\n"
        )
        (folder / name).chmod(0o755)
        say(folder, name)
    say(folder, "sacct", error="Slurm accounting storage is disabled", status=1)
    say(folder, "sbatch", "Submitted batch job 7\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def say(folder: Path, name: str, output: str = "", *, error: str = "", status: int = 0) -> None:
    """Let a program answer this."""
    for kind, text in (("out", output), ("err", error), ("rc", str(status))):
        (folder / f"{name}.{kind}").write_text(text)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two runs."""
    folder = tmp_path_factory.mktemp("two") / "sweep"
    assert sweep(["seed=1,2", *PLAIN, f"hydra.sweep.dir={folder}"], quiet=True) == 0
    return folder


def unbegun(two: Path, folder: Path) -> SweepDirectory:
    """The same sweep before it has begun."""
    shutil.copytree(two, folder)
    for number in (0, 1):
        shutil.rmtree(folder / str(number))
    return SweepDirectory.existing(folder)


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("sbatch: error: invalid partition specified: gpu\nallocation failure: Invalid partition name specified",
         "refuses such jobs (Invalid partition name specified)"),
        ("allocation failure: Requested node configuration is not available",
         "refuses such jobs (Requested node configuration is not available)"),
        ("sbatch: error: Invalid --mem specification", "refuses such jobs (Invalid --mem specification)"),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
         "does not answer"),
    ],
)  # fmt: skip
def test_what_slurm_refuses_is_one_line_and_leaves_nothing(
    workdir: Path, cluster: Path, capsys: pytest.CaptureFixture[str], said: str, told: str
) -> None:
    """SLURM is asked before anything is created."""
    pytest.importorskip("submitit")
    say(cluster, "sbatch", error=said, status=1)
    before = sorted(path.name for path in workdir.iterdir())

    assert main(["-m", "hydra/launcher=submitit_slurm", "seed=1,2", *PLAIN, "hydra.sweep.dir=sweep"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in workdir.iterdir()) == before


def test_jobs_that_cannot_start_now_are_submitted(cluster: Path) -> None:
    """Nodes that are down come back."""
    pytest.importorskip("submitit")
    said = "allocation failure: Required node not available (down, drained or reserved)"
    say(cluster, "sbatch", error=said, status=1)

    SlurmLauncher().get_ready(1)
    assert "--test-only" in (cluster / "sbatch.asked").read_text()


def test_what_programs_complain_of_is_their_last_error() -> None:
    """Sbatch goes on talking after some errors; submitit hands all of it on."""
    assert complaint("sbatch: error: Batch job submission failed: Job dependency problem\nsee there\n") == (
        "Batch job submission failed: Job dependency problem"
    )
    assert complaint("") == ""
    assert isinstance(refusal("no"), ConfigError)


# --------------------------------------------------------------------------------------------- what has ended


def job_in(folder: Path, queue: Queue, name: str = "7_0") -> QueuedJob:
    """A job of submitit without a result."""
    paths = SimpleNamespace(result_pickle=folder / "result.pkl", stderr=folder / "log.err")
    return QueuedJob(SimpleNamespace(job_id=name, paths=paths, exception=lambda: None), queue)


@pytest.mark.parametrize(
    ("queued", "over", "state"),
    [
        ("7_0|PENDING|Resources\n", False, ""),
        ("7_0|RUNNING|None\n", False, ""),
        ("7_0|COMPLETING|None\n", False, ""),
        ("7_0|PENDING|BeginTime\n", False, ""),  # it was requeued
        ("7_0|CANCELLED|None\n7_1|RUNNING|None\n", True, "CANCELLED"),
        ("7_0|FAILED|NonZeroExitCode\n", True, "FAILED"),
        ("7_0|TIMEOUT|TimeLimit\n", True, "TIMEOUT"),
        ("7_1|RUNNING|None\n", True, "GONE"),
    ],
)
def test_the_queue_tells_what_has_ended(cluster: Path, queued: str, over: bool, state: str) -> None:
    """Where nothing is accounted, squeue knows; what it does not list any more has ended."""
    pytest.importorskip("submitit")
    say(cluster, "squeue", queued)
    job = job_in(cluster, Queue(grace=0, every=(0, 0)))

    assert job.done() is over
    assert job.state == state
    assert not over or "job 7_0 left no result" in str(job.exception())


def test_a_queue_that_does_not_answer_ends_no_job(cluster: Path) -> None:
    """Neither does a job end of which SLURM knows nothing for the moment; one that it never heard of has."""
    say(cluster, "squeue", error="slurm_load_jobs error: Unable to contact slurm controller", status=1)
    told: list[str] = []
    job = job_in(cluster, Queue(grace=0, every=(0, 0), patience=-1, tell=told.append))

    assert not job.done()
    assert not job.done()
    assert told == [
        "SLURM does not answer (slurm_load_jobs error: Unable to contact slurm controller); waiting for it"
    ]
    say(cluster, "squeue", error="slurm_load_jobs error: Invalid job id specified", status=1)
    assert job.done()


def test_accounts_tell_how_a_job_ended_that_has_left_the_queue(cluster: Path) -> None:
    """With slurmdbd, a job that was cancelled long ago is told from one that is gone."""
    say(cluster, "sacct", "CANCELLED by 1000\n")
    job = job_in(cluster, Queue(grace=0, every=(0, 0)))

    assert job.done()
    assert job.state == "CANCELLED by 1000"


def test_a_result_counts_for_more_than_the_queue(cluster: Path) -> None:
    """It may be seen later than the job's end; until then a job that has ended is waited for."""
    say(cluster, "squeue", "7_0|COMPLETED|None\n")
    seconds = [0.0]
    job = job_in(cluster, Queue(grace=10, every=(0, 0), clock=lambda: seconds[0]))

    assert not job.done()
    seconds[0] = 9.0
    assert not job.done()
    (cluster / "result.pkl").touch()
    assert job.done()
    assert job.exception() is None


def test_it_is_told_what_is_waited_for(cluster: Path) -> None:
    """Once, and not while a job is carried out."""
    told: list[str] = []
    seconds = [0.0]
    queue = Queue(grace=0, every=(0, 0), patience=15, tell=told.append, clock=lambda: seconds[0])
    jobs = [job_in(cluster, queue, name) for name in ("7_0", "7_1")]
    for moment, queued in (
        (1.0, "7_0|RUNNING|None\n7_1|PENDING|Priority\n"),
        (20.0, "7_0|RUNNING|None\n7_1|PENDING|Priority\n"),
        (30.0, "7_0|PENDING|BadConstraints\n7_1|PENDING|Priority\n"),
        (36.0, "7_0|PENDING|BadConstraints\n7_1|PENDING|Priority\n"),
        (90.0, "7_0|PENDING|BadConstraints\n7_1|PENDING|Priority\n"),
    ):
        say(cluster, "squeue", queued)
        seconds[0] = moment
        assert not any(job.done() for job in jobs)

    assert told == ["SLURM has not started job 7_0 and 1 more (BadConstraints); waiting"]


def test_a_sweep_that_slurm_refuses_to_go_on_with_stays_as_it_is(
    two: Path, tmp_path: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written before SLURM has said that it takes such jobs."""
    pytest.importorskip("submitit")
    directory = unbegun(two, tmp_path / "sweep").path
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    say(
        cluster,
        "sbatch",
        error="sbatch: error: Unable to contact slurm controller (connect failure)",
        status=1,
    )

    assert main(["resume", str(directory), "hydra/launcher=submitit_slurm"]) == 2
    assert "SLURM does not answer (Unable to contact slurm controller" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("state", "submitted", "status", "reason"),
    [
        ("FAILED", 2, "failed", "SLURM says FAILED"),  # once more for each, then it is no chance
        ("CANCELLED", 1, "failed", "cancelled"),
        ("TIMEOUT", 1, "waiting", "its job ran out of time"),
    ],
)
def test_jobs_that_end_without_a_result_end_the_sweep(
    two: Path, tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch,
    state: str, submitted: int, status: str, reason: str,
) -> None:  # fmt: skip
    """Their runs get as many jobs as those that die elsewhere, whatever sacct says."""
    pytest.importorskip("submitit")
    directory = unbegun(two, tmp_path / "sweep")
    say(cluster, "squeue", f"7_0|{state}|None\n7_1|{state}|None\n")
    monkeypatch.setattr("runner.sweep.launcher.Queue", lambda: Queue(grace=0, every=(0, 0)))
    monkeypatch.setattr("runner.sweep.launcher.LIVES", {"waiting": 1, "interrupted": 1})
    rows = list(SlurmLauncher(array_parallelism=2).launch(directory.tasks(), directory, StopFlag()))

    asked = (cluster / "sbatch.asked").read_text().splitlines()
    assert len([line for line in asked if "--test-only" not in line]) == submitted
    assert [row["status"] for row in rows] == [status] * 2
    assert [row["exit_code"] for row in rows] == [137] * 2
    assert all(reason in row["reason"] for row in rows)


# ------------------------------------------------------------------------------- a job that is told to end


def run_of_jobs(
    two: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, signum: int, *, before: bool
) -> tuple[list[Task], list[Row]]:
    """A share of two runs, ready; the signal arrives before or after the first of them."""
    tasks = unbegun(two, folder).tasks()
    rows: list[Row] = []

    def signalled(task: Task, **more: Any) -> Row:
        if before:
            signal.raise_signal(signum)
        rows.append(carry_out(task, **more))
        if not before:
            signal.raise_signal(signum)
        return rows[-1]

    monkeypatch.setattr(share, "carry_out", signalled)
    return tasks, rows


@pytest.mark.parametrize("before", [True, False])
def test_a_job_that_is_told_to_end_begins_no_further_run(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """SIGTERM is what scancel and scontrol requeue send; without a result, the job is done when SLURM says so."""
    tasks, rows = run_of_jobs(two, tmp_path / "sweep", monkeypatch, signal.SIGTERM, before=before)
    with pytest.raises(SystemExit) as ended:
        Share()(tasks)

    assert ended.value.code == 143
    assert [row["status"] for row in rows] == (["waiting"] if before else ["finished"])
    assert not tasks[1].directory.exists()
    assert resume_sweep(tmp_path / "sweep", quiet=True) == 0
    assert numbers(tmp_path / "sweep") == numbers(two)


@pytest.mark.parametrize("again", [True, False])
def test_a_job_whose_time_is_up_accuses_no_run(
    two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Submitit's handler, which queues the job again or raises, is called when no run goes on any more."""
    pytest.importorskip("submitit")
    from submitit.core.utils import UncompletedJobError

    calls: list[list[str]] = []
    tasks, rows = run_of_jobs(two, tmp_path / "sweep", monkeypatch, signal.SIGUSR2, before=True)

    def handler(signum: int, _: object) -> None:
        assert signum == signal.SIGUSR2
        calls.append([row["status"] for row in rows])
        if again:
            sys.exit(-1)
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")

    previous = signal.signal(signal.SIGUSR2, handler)
    try:
        with pytest.raises(SystemExit if again else UncompletedJobError):
            Share()(tasks)
    finally:
        signal.signal(signal.SIGUSR2, previous)

    assert calls == [["waiting"]]
    assert not any(task.failure.exists() or task.directory.exists() for task in tasks)


def test_a_signal_during_a_run_reaches_its_job(tmp_path: Path) -> None:
    """The run has the handlers meanwhile."""
    before = signal.getsignal(signal.SIGTERM)
    with JobSignals(1.0) as job:
        with MemberStop(tmp_path, job) as stop:
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(Interrupted):
                stop.check()
        assert job.signum == signal.SIGTERM
        signal.raise_signal(signal.SIGUSR2)  # SLURM's preemption says both
        signal.raise_signal(signal.SIGTERM)
        assert job.signum == signal.SIGUSR2
        signal.signal(signal.SIGINT, signal.default_int_handler)

    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_that_does_not_end_in_time_is_queued_again_over_its_head() -> None:
    """Half of what SLURM leaves a job has passed, and its run still computes: the job ends after the handler, 143."""
    pytest.importorskip("submitit")
    told = (
        "import signal, sys, time\n"
        "from runner.sweep.share import JobSignals\n"
        "def requeue(*_):\n    print('queued again', flush=True)\n    sys.exit(-1)\n"
        "signal.signal(signal.SIGUSR2, requeue)\n"
        "with JobSignals(0.01):\n    signal.raise_signal(signal.SIGUSR2)\n    time.sleep(100)\n"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (143, "queued again\n")


def test_a_row_of_a_run_that_its_job_ended_is_no_signal_to_the_sweep(
    two: Path, tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """143 is of a sweep that was told to end itself; one of its jobs that was cancelled is 137."""
    pytest.importorskip("submitit")
    directory = unbegun(two, tmp_path / "sweep")
    task = directory.tasks()[0]
    faults.plan("after_journal:12:term")
    try:
        with JobSignals(1.0) as job:
            assert carry_out(task, job=job)["exit_code"] == 143
    finally:
        faults.plan("")
        signal.signal(signal.SIGINT, signal.default_int_handler)
    say(cluster, "squeue", "7|CANCELLED|None\n")
    monkeypatch.setattr("runner.sweep.launcher.Queue", lambda: Queue(grace=0, every=(0, 0)))
    (row,) = SlurmLauncher().launch([task], directory, StopFlag())

    assert (row["status"], row["exit_code"]) == ("interrupted", 137)
    assert "job 7 left no result (cancelled)" in row["reason"]
    assert resume_sweep(directory.path, quiet=True) == 0
    assert numbers(directory.path) == numbers(two)


# -------------------------------------------------------------------- launchers that are typed again, or in part


RECORDED: list[tuple[Any, list[str], str]] = [
    (
        SlurmLauncher(partition="cpu", setup=["module load python", "it's", "true"], timeout_min=20),
        ["hydra.launcher.partition=cpu", "hydra.launcher.setup=[module load python,'it\\'s','true']"],
        "hydra.launcher.timeout_min=30",
    ),
    (
        RayLauncher(ray={"init": {"num_cpus": 2, "address": None}, "remote": {"num_cpus": 0.5}}),
        [
            "+hydra.launcher.ray.init.num_cpus=2",
            "+hydra.launcher.ray.init.address=null",
            "+hydra.launcher.ray.remote.num_cpus=0.5",
        ],
        "hydra.launcher.ray.remote={num_cpus:1}",
    ),
]


@pytest.mark.parametrize(("launcher", "words", "other"), RECORDED, ids=["slurm", "ray"])
def test_the_command_that_a_sweep_names_is_taken(
    two: Path, tmp_path: Path, launcher: Any, words: list[str], other: str
) -> None:
    """What reaches a shell has to be typed again: it is in the command, and in the refusal as a shell takes it."""
    shutil.copytree(two, tmp_path / "sweep")
    directory = SweepDirectory.existing(tmp_path / "sweep")
    name = next(name for name, cls in LAUNCHERS.items() if type(launcher) is cls)
    directory.header["launcher"] = {"name": name, "values": asdict(launcher)}
    directory.header["overrides"] = [f"hydra/launcher={name}", *words, "seed=1,2"]

    again = typed_again(Overrides.of(directory.header["overrides"]))
    assert again == [word for word in words if "partition" not in word]
    assert recorded_launcher(directory, Overrides.of(again)) == launcher
    with pytest.raises(ConfigError, match="counts only from the command line") as refused:
        recorded_launcher(directory, Overrides())
    typed = shlex.split(str(refused.value).partition(" type ")[2])
    assert recorded_launcher(directory, Overrides.of(typed)) == launcher
    with_other = recorded_launcher(directory, Overrides.of([*typed, other]))
    assert type(with_other) is type(launcher)
    assert with_other != launcher


def test_a_setting_of_the_recorded_launcher_leaves_its_others(two: Path, tmp_path: Path) -> None:
    """The next jobs may take longer, in the partition of before; where another is chosen nothing of before counts."""
    shutil.copytree(two, tmp_path / "sweep")
    directory = SweepDirectory.existing(tmp_path / "sweep")
    before = SlurmLauncher(partition="cpu", timeout_min=20)
    directory.header["launcher"] = {"name": "submitit_slurm", "values": asdict(before)}
    typed = Overrides.of(["hydra.launcher.timeout_min=30"])

    assert recorded_launcher(directory, typed) == SlurmLauncher(partition="cpu", timeout_min=30)
    anew = Overrides.of(["hydra/launcher=submitit_slurm", *typed.texts])
    assert recorded_launcher(directory, anew) == SlurmLauncher(timeout_min=30)


@pytest.mark.parametrize("launcher", ["submitit_local", "submitit_slurm"])
@pytest.mark.parametrize(
    ("setting", "least"), [("cpus_per_task=0", 1), ("mem_gb=-1", 1), ("gpus_per_node=-1", 0)]
)
def test_sizes_of_jobs_that_mean_nothing_are_refused(launcher: str, setting: str, least: int) -> None:
    """A job has a core at least; submitit took some of these for the default."""
    name, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=f"hydra.launcher.{name}: must be at least {least}"):
        LAUNCHERS[launcher](**{name: int(value)})


def test_progress_names_what_the_ranking_will_go_by() -> None:
    """True errors where every run so far has one; else how far what was measured is off, else the energy."""
    progress = SweepProgress(3)
    known = {
        "status": "finished",
        "energy": -1.25,
        "error": -0.25,
        "exact_energy": -0.5,
        "reference_energy": -1.0,
    }
    progress(known)
    assert "best true error 0.5 " in progress.line(progress._started + 1.0)
    progress(known | {"exact_energy": None, "error": 0.125})
    assert "best |energy − exact| 0.125 " in progress.line(progress._started + 1.0)
    progress({"status": "finished", "energy": -2.0})
    assert "best energy -2 " in progress.line(progress._started + 1.0)


# ------------------------------------------------------------------------------------------------------- Ray


def test_signals_are_the_sweeps_while_ray_is_there() -> None:
    """`ray.init` installs a handler that ends the process; the table would be missing, and the code be 1."""
    heard: list[int] = []

    def ours(signum: int, _: object) -> None:
        heard.append(signum)

    ray = SimpleNamespace(
        init=lambda **_: signal.signal(signal.SIGTERM, signal.default_int_handler),
        shutdown=lambda: heard.append(0),
    )
    before = signal.signal(signal.SIGTERM, ours)
    try:
        with connected(ray, {}):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert heard == [signal.SIGTERM, 0]


@pytest.mark.parametrize("error", [ConnectionError, RuntimeError, ValueError])
def test_a_cluster_that_is_not_there_is_one_line(error: type[Exception]) -> None:
    """Ray says it in exceptions of several kinds."""

    def init(**_: object) -> None:
        raise error("Could not find any running Ray instance.\nPlease start one")

    with (
        pytest.raises(ConfigError, match=r"ray\.init: .*any running Ray instance\. Please start one"),
        connected(SimpleNamespace(init=init), {"address": "auto"}),
    ):
        pass


@pytest.mark.parametrize(
    ("init", "remote", "told"),
    [
        ({"num_cpu": 2}, {}, "ray.init.num_cpu: ray.init has no argument num_cpu; did you mean num_cpus?"),
        (
            {"num_cpus": 2},
            {"num_cpus": 8},
            "remote.num_cpus: a run is to have 8, and Ray's cluster on this machine",
        ),
        ({}, {"nu_cpus": 8}, "ray.remote: ValueError: Invalid option keyword nu_cpus"),
    ],
)
def test_what_ray_cannot_do_is_refused_before_anything_is_created(
    init: dict[str, Any], remote: dict[str, Any], told: str
) -> None:
    """Tasks that want more cores than the cluster that is started for them has would wait for ever."""
    pytest.importorskip("ray")
    with pytest.raises(ConfigError) as refused:
        RayLauncher(ray={"init": init, "remote": remote}).get_ready(1)

    assert told in str(refused.value)

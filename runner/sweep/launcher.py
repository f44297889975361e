"""Where the runs of a sweep are carried out: here, in processes of this machine, on SLURM or on Ray.

The engines are driven directly. Hydra's own launcher plug-ins compose every run again in the worker, need a
second or two of start-up per SLURM job, report the first failure only and cannot continue a killed sweep; the keys
below are theirs, so their documentation holds.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol

from runner.declare.checks import require_integer, require_range
from runner.display.stream import reader
from runner.errors import ConfigError, RunnerError, in_words
from runner.run.preflight import Preparation
from runner.run.signals import SIGNALS
from runner.sweep.member import Row, Task, carry_out
from runner.sweep.share import GRACE, Share
from runner.sweep.slurm import PATIENCE, Queue, SlurmExecutor, require_accepted
from runner.sweep.worker import (
    enter_worker,
    environment,
    forked_from_the_stack,
    load_the_end,
    worker_environment,
)

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.declare.overrides import Overrides
    from runner.run.signals import StopFlag
    from runner.sweep.directory import SweepDirectory

POLL = 0.2
"""Seconds between two looks at jobs on a cluster."""


MOST_WORKERS = 1024
"""Processes of this machine at the same time: each takes the memory of Qiskit."""
MOST_JOBS = 100_000
"""Jobs of a cluster at the same time."""

GONE = (EOFError, ConnectionError)
"""What is met when the process that workers are forked from was killed itself, for want of memory say."""

MOST_DEATHS_IN_VAIN = 3
"""Times that workers may die in a row without a run to show for it."""

LEAST = {
    "cpus_per_task": 1, "gpus_per_node": 0, "mem_gb": 1, "cpus_per_gpu": 1, "gpus_per_task": 0, "signal_delay_s": 0,
    "max_num_timeout": 0,
}  # fmt: skip
"""Settings of jobs of which a smaller number means nothing."""

NOT_QUEUED_AGAIN = "Job not requeued because"
"""What submitit says of a job whose time is up for the last time."""

LIVES = {"interrupted": 1, "waiting": MOST_DEATHS_IN_VAIN - 1}
"""Times that a run whose job was killed gets another one: in a job of its own where it had begun."""


class Launcher(Protocol):
    """Carries out runs; yields a line of the table for each as it ends, in whatever order."""

    def get_ready(self, threads: int) -> None:
        """Start what takes a while, knowing how many threads the first of the runs declares."""
        ...

    def check(self, configs: Sequence[RunConfig], runs: int) -> list[RunnerError | None]:
        """Build every run's problem against its backend; what is wrong with each, None where nothing is.

        Args:
            configs: one of each kind.
            runs: how many there will be to launch at once.
        """
        ...

    def launch(self, tasks: Sequence[Task], directory: SweepDirectory, stop: StopFlag) -> Iterator[Row]:
        """Carry out every task; when `stop` is up, the directory's stop file tells the runs."""
        ...


class ChecksHere:
    """Checks in this process, wherever the runs are carried out."""

    def get_ready(self, threads: int) -> None:
        """Nothing takes a while."""

    def check(
        self,
        configs: Sequence[RunConfig],
        runs: int,  # noqa: ARG002 - what launchers of other processes look at
    ) -> list[RunnerError | None]:
        """Build every run's problem against its backend."""
        return [check(config) for config in configs]


@dataclass(kw_only=True)
class BasicLauncher(ChecksHere):
    """One run after the other in this process."""

    def launch(
        self,
        tasks: Sequence[Task],
        directory: SweepDirectory,  # noqa: ARG002 - what launchers of other processes look at
        stop: StopFlag,
    ) -> Iterator[Row]:
        """Carry out every task here."""
        for task in tasks:
            yield carry_out(task, stop)


@dataclass(kw_only=True)
class JoblibLauncher:
    """Worker processes on this machine (joblib's loky): started once, then given one run after the other.

    Where the system can, they are forked from a process that does nothing but import what a run needs, so that this
    is paid once and not by every worker.
    """

    n_jobs: int = -1
    """Worker processes, at most one a run; -1: as many as there are cores for the threads of one run, -2: one less"""
    backend: str | None = None
    """loky (also null): a run needs a process of its own for its signals and threads."""
    prefer: str | None = "processes"
    """processes."""
    require: str | None = None
    """null: sharedmem would mean threads."""
    verbose: int = 0
    """Joblib's own progress messages, 0 to 100."""
    timeout: float | None = None
    """Longest wait for a run in seconds; null: for ever."""
    pre_dispatch: str = "2*n_jobs"
    """Runs handed to the workers ahead of time."""
    batch_size: str = "auto"
    """Runs handed to a worker at once; auto groups runs that take less than a fifth of a second."""
    temp_folder: str | None = None
    """Folder for large arrays; runs have none."""
    max_nbytes: str | None = None
    """Size from which arrays are memory-mapped; null: never."""
    mmap_mode: str = "r"
    """How arrays are memory-mapped."""

    def __post_init__(self) -> None:
        if self.n_jobs == 0:
            raise ConfigError("must not be 0; use -1 for all cores", key="hydra.launcher.n_jobs")
        require_range("hydra.launcher.n_jobs", self.n_jobs, -MOST_WORKERS, MOST_WORKERS)
        if self.backend not in (None, "loky") or self.prefer not in (None, "processes") or self.require:
            raise ConfigError(
                "runs need processes of their own, started afresh; leave backend, prefer and require as they are",
                key="hydra.launcher.backend",
            )
        if self.batch_size != "auto" and not (self.batch_size.isdigit() and int(self.batch_size) > 0):
            raise ConfigError("must be auto or a number of runs", key="hydra.launcher.batch_size")

    def get_ready(self, threads: int) -> None:
        """Begin to load what the workers need."""
        if self._workers(threads) > 1:
            with environment(worker_environment(threads)), forked_from_the_stack():
                pass  # that has begun it

    def check(self, configs: Sequence[RunConfig], runs: int) -> list[RunnerError | None]:
        """Check in the workers, all of which have Qiskit loaded then."""
        threads = max(config.backend.threads for config in configs)
        workers = min(self._workers(threads), runs)
        if workers == 1:
            return [check(config) for config in configs]
        several = list(configs) * (1 if len(configs) >= workers else workers)
        load_the_end()  # while the process that workers are forked from is still loading
        from joblib.externals.loky.process_executor import BrokenProcessPool

        with environment(worker_environment(threads)), forked_from_the_stack():
            try:
                found = list(self._parallel(workers, check, several, ordered=True))
            except (BrokenProcessPool, *GONE):  # a worker was killed; what it was asked is not lost
                found = [check(config) for config in configs]
        return found[: len(configs)]

    def launch(self, tasks: Sequence[Task], directory: SweepDirectory, stop: StopFlag) -> Iterator[Row]:
        """Carry out every task; a worker that dies takes its own run with it and no other."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        threads = threads_of(tasks)
        workers = min(self._workers(threads), len(tasks))
        if workers <= 1:
            yield from BasicLauncher().launch(tasks, directory, stop)
            return
        waiting = {task.number: task for task in tasks}
        in_vain = 0
        with environment(worker_environment(threads)), forked_from_the_stack():
            while waiting and stop.signum is None and in_vain < MOST_DEATHS_IN_VAIN:
                left = len(waiting)
                try:
                    for row in self._parallel(workers, carry_out, list(waiting.values())):
                        del waiting[row["number"]]
                        yield row
                except (BrokenProcessPool, *GONE):
                    if stop.signum is None:
                        yield from _after_a_death(waiting)
                in_vain = in_vain + 1 if len(waiting) == left else 0
        if in_vain == MOST_DEATHS_IN_VAIN:
            reason = f"worker processes died {in_vain} times before they had begun a run"
            yield from (task.fail(reason, exit_code=137) for task in waiting.values())
            return
        yield from (task.look() for task in waiting.values())

    def _parallel(
        self, workers: int, function: Callable[[Any], Any], arguments: Sequence[Any], *, ordered: bool = False
    ) -> Iterator[Any]:
        import joblib

        parallel = joblib.Parallel(
            n_jobs=workers,
            backend="loky",
            return_as="generator" if ordered else "generator_unordered",
            verbose=self.verbose,
            timeout=self.timeout,
            pre_dispatch=self.pre_dispatch,
            batch_size="auto" if self.batch_size == "auto" else int(self.batch_size),
            temp_folder=self.temp_folder,
            max_nbytes=self.max_nbytes,
            mmap_mode=self.mmap_mode,
            initializer=enter_worker,
            initargs=(dict(os.environ),),
        )
        results: Iterator[Any] = parallel(joblib.delayed(function)(argument) for argument in arguments)
        return results

    def _workers(self, threads: int) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        fitting = max(cores // threads, 1)
        return self.n_jobs if self.n_jobs > 0 else max(fitting + 1 + self.n_jobs, 1)


def anticipate(overrides: Overrides) -> None:
    """Begin to load what workers need when the words typed say that there will be some, before they are composed.

    It is a guess. Where a file of one's own gives the runs more threads, workers load everything themselves.
    """
    launcher, jobs, threads = (
        None if (found := overrides.last(key)) is None else found.value
        for key in ("hydra/launcher", "hydra.launcher.n_jobs", "backend.threads")
    )
    if launcher == "joblib" and jobs != 1:
        JoblibLauncher().get_ready(threads if isinstance(threads, int) and 1 <= threads <= 1024 else 1)


def _after_a_death(waiting: dict[int, Task]) -> Iterator[Row]:
    """A worker died, and joblib ended the others: continue one by one those it may have died of."""
    from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

    for task in list(waiting.values()):
        known = task.look()
        if known["status"] == "waiting" or task.more(known["status"]) is not None:
            continue
        row = known
        if known["status"] == "interrupted":
            try:
                with ProcessPoolExecutor(1, initializer=enter_worker, initargs=(dict(os.environ),)) as alone:
                    row = alone.submit(carry_out, task).result()
            except (BrokenProcessPool, *GONE) as error:
                row = task.fail(f"its worker process died twice: {_last_line(error)}", exit_code=137)
        del waiting[task.number]
        yield row


@dataclass(kw_only=True)
class SubmititLauncher(ChecksHere):
    """Jobs of submitit, each working through a share of the runs."""

    submitit_folder: str = ".submitit"
    """Folder for the logs and scripts of the jobs, below the sweep's directory."""
    timeout_min: int = 60
    """Longest time of a job in minutes."""
    cpus_per_task: int | None = None
    """Cores of a job; null: the threads of one run."""
    gpus_per_node: int | None = None
    """GPUs of a job."""
    tasks_per_node: int = 1
    """1: a job is one process."""
    mem_gb: int | None = None
    """Memory of a job in GiB."""
    nodes: int = 1
    """1: a job is on one node."""
    name: str = "runner"
    """Name of the jobs."""
    stderr_to_stdout: bool = False
    """Write errors of a job into its ordinary log."""
    runs_per_job: int | None = None
    """Runs that one job works through, so that its start-up is paid once; null: evenly among the jobs."""
    array_parallelism: int = 0
    """Jobs at the same time; 0: as many as this machine has cores for."""

    def __post_init__(self) -> None:
        require_range("hydra.launcher.timeout_min", self.timeout_min, 1)
        for name, least in LEAST.items():
            if (value := getattr(self, name, None)) is not None:
                require_range(f"hydra.launcher.{name}", value, least)
        most = MOST_WORKERS if self.cluster == "local" else MOST_JOBS
        require_range("hydra.launcher.array_parallelism", self.array_parallelism, 0, most)
        if self.tasks_per_node != 1 or self.nodes != 1:
            raise ConfigError("a run is one process on one node; leave it at 1", key="hydra.launcher.nodes")
        if self.runs_per_job is not None:
            require_range("hydra.launcher.runs_per_job", self.runs_per_job, 1)

    cluster = "local"

    @property
    def grace(self) -> float:
        """Seconds that a run has to end by itself when the time of its job is up."""
        return GRACE

    def launch(self, tasks: Sequence[Task], directory: SweepDirectory, stop: StopFlag) -> Iterator[Row]:
        """Submit the jobs and report runs as they end, read from the shared file system."""
        required("submitit", "slurm")
        threads = threads_of(tasks)
        self.get_ready(threads)
        executor = self.executor(str(directory.path / self.submitit_folder), threads)

        def submit(shares: list[list[Task]]) -> list[tuple[Any, list[Task]]]:
            with environment(worker_environment(threads)):
                return list(zip(executor.map_array(Share(self.grace), shares), shares, strict=True))

        before = {task.number: task.look() for task in tasks}
        jobs = submit(self._shares(tasks, threads))
        waiting = {task.number: task for task in tasks}
        deaths: Counter[tuple[int, str]] = Counter()
        elsewhere: dict[int, Any] = {}
        while waiting:
            time.sleep(POLL)
            over = {task.number: job for job, share in jobs if job.done() for task in share} | elsewhere
            again: dict[str, list[Task]] = {"interrupted": [], "waiting": []}
            for task in list(waiting.values()):
                row = task.look()
                status = row["status"]
                if task.number in over:
                    if status == "running":  # in a job of a process that was killed, which lives on
                        elsewhere[task.number] = over[task.number]
                        continue
                    job = elsewhere.pop(task.number, None)
                    unheeded = job is not None and job.exception() is None  # ours left it to that one
                    if unheeded and status == "interrupted" and stop.signum is None:
                        again[status].append(task)
                        continue
                    more = task.more(status) is not None  # of a job that knew the old limit only
                    left = deaths[task.number, status] < LIVES.get("interrupted" if more else status, 0)
                    if left and stop.signum is None and (more or _was_killed(over[task.number])):
                        deaths[task.number, status] += 1
                        again["interrupted" if more else status].append(task)
                        continue
                    row = _fate(task, over[task.number], row) if stop.signum is None else row
                elif status in ("waiting", "interrupted", "running") or row == before[task.number]:
                    continue  # one that had failed is to be tried again
                elif task.more(status) is not None:
                    continue  # a job of a sweep that was killed came to the old limit; ours goes on
                del waiting[task.number]
                yield row
            jobs = [(job, share) for job, share in jobs if not set(over) & {task.number for task in share}]
            if any(again.values()):
                shares = [[task] for task in again["interrupted"]]
                jobs += submit(shares + (self._shares(again["waiting"], threads) if again["waiting"] else []))
            if stop.signum is not None and not _any_runs(waiting.values()):
                for job, _ in jobs:
                    _cancel(job)
                yield from (task.look() for task in waiting.values())
                return

    def executor(self, folder: str, threads: int) -> Any:
        """What takes the jobs."""
        from submitit import AutoExecutor

        executor = AutoExecutor(folder=folder, cluster=self.cluster, **self.constructor())
        executor.update_parameters(**self.parameters(threads))
        return executor

    def constructor(self) -> dict[str, Any]:
        """What submitit's executor is made with."""
        return {}

    def parameters(self, threads: int) -> dict[str, Any]:
        """What submitit is told."""
        return {
            "timeout_min": self.timeout_min,
            "cpus_per_task": self.cpus_per_task or threads,
            "name": self.name,
            "nodes": self.nodes,
            "tasks_per_node": self.tasks_per_node,
            "stderr_to_stdout": self.stderr_to_stdout,
            **({"gpus_per_node": self.gpus_per_node} if self.gpus_per_node is not None else {}),
            **({"mem_gb": self.mem_gb} if self.mem_gb is not None else {}),
        }

    def _shares(self, tasks: Sequence[Task], threads: int) -> list[list[Task]]:
        cores = os.cpu_count() or 1
        jobs = self.array_parallelism or max(cores // (self.cpus_per_task or threads), 1)
        if self.runs_per_job is not None:
            jobs = -(-len(tasks) // self.runs_per_job)
        jobs = min(jobs, len(tasks))
        return [list(tasks[start::jobs]) for start in range(jobs)]


@dataclass(kw_only=True)
class SlurmLauncher(SubmititLauncher):
    """An array of SLURM jobs."""

    partition: str | None = None
    """SLURM's --partition."""
    qos: str | None = None
    """SLURM's --qos."""
    comment: str | None = None
    """SLURM's --comment."""
    constraint: str | None = None
    """SLURM's --constraint."""
    exclude: str | None = None
    """SLURM's --exclude."""
    gres: str | None = None
    """SLURM's --gres."""
    cpus_per_gpu: int | None = None
    """SLURM's --cpus-per-gpu."""
    gpus_per_task: int | None = None
    """SLURM's --gpus-per-task."""
    mem_per_gpu: str | None = None
    """SLURM's --mem-per-gpu."""
    mem_per_cpu: str | None = None
    """SLURM's --mem-per-cpu."""
    account: str | None = None
    """SLURM's --account."""
    signal_delay_s: int = 120
    """Seconds between SLURM's signal and the end of a job that ran out of time."""
    max_num_timeout: int = 0
    """Times a job that ran out of time is queued again."""
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    """Further #SBATCH parameters."""
    array_parallelism: int = 256
    """Jobs at the same time."""
    setup: list[str] | None = None
    """Shell lines before each job, e.g. module load."""

    cluster = "slurm"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in vars(self).items():
            if (
                isinstance(value, str) and not value.isprintable()
            ):  # a second line would be one of the job's script
                raise ConfigError(f"must be one line, got {value!r}", key=f"hydra.launcher.{name}")

    def get_ready(self, threads: int) -> None:
        """Look for SLURM's programs before anything is created.

        Raises:
            ConfigError: one is not here.
        """
        super().get_ready(threads)
        for program in ("sbatch", "scancel", "squeue", "srun"):
            if shutil.which(program) is None:
                raise ConfigError(
                    f"{program} is not found, so this machine cannot reach SLURM; go to a login node, or take "
                    "hydra/launcher=joblib",
                    key="hydra/launcher",
                )
        require_accepted(self._script(threads))

    def executor(self, folder: str, threads: int) -> Any:
        """What takes the jobs, and asks SLURM's queue how they are."""
        return SlurmExecutor(super().executor(folder, threads), Queue())

    @property
    def grace(self) -> float:
        """Seconds that a run has to end by itself: half of what SLURM leaves the job after its signal."""
        return self.signal_delay_s / 2

    def _script(self, threads: int) -> str:
        """The script of a job as submitit writes it, which does nothing."""
        required("submitit", "slurm")
        with tempfile.TemporaryDirectory() as folder:
            submitits = super().executor(folder, threads)._executor
            return str(submitits._make_submission_file_text("true", "0"))

    def constructor(self) -> dict[str, Any]:
        """What submitit's executor is made with."""
        return {"slurm_max_num_timeout": self.max_num_timeout}

    def parameters(self, threads: int) -> dict[str, Any]:
        """What submitit is told."""
        mine = (
            "partition", "qos", "comment", "constraint", "exclude", "gres", "cpus_per_gpu", "gpus_per_task",
            "mem_per_gpu", "mem_per_cpu", "account", "signal_delay_s", "additional_parameters",
            "array_parallelism", "setup",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in mine}
        given = {f"slurm_{name}": value for name, value in values.items() if value not in (None, {})}
        return super().parameters(threads) | given


def _cancel(job: Any) -> None:
    """Take back a job that waits; where that fails, its runs see the stop file when they begin."""
    try:
        job.cancel()
    except (OSError, subprocess.SubprocessError) as error:
        said = (
            f"job {job.job_id} could not be cancelled ({in_words(error)}); its runs end as soon as they begin"
        )
        print(said, file=reader(sys.stderr))


def check(config: RunConfig) -> RunnerError | None:
    """What is wrong with a run before it starts; None if nothing is."""
    try:
        Preparation(config)
    except RunnerError as error:
        return error
    return None


def _any_runs(tasks: Iterable[Task]) -> bool:
    return any(task.look()["status"] == "running" for task in tasks)


def _was_killed(job: Any) -> bool:
    """Whether a job is gone without a word, by no decision of its owner and within its time."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    error = job.exception()
    gone = isinstance(error, UncompletedJobError) and not isinstance(error, FailedJobError)
    return gone and not str(job.state).startswith(("CANCELLED", "TIMEOUT"))


def _fate(task: Task, job: Any, row: Row) -> Row:
    """The line of a run whose job is over although the run is not."""
    if row["status"] not in ("waiting", "interrupted"):
        return row
    error = job.exception()
    if error is None:
        return row
    if NOT_QUEUED_AGAIN in str(error) or str(job.state).startswith("TIMEOUT"):
        return row | {"exit_code": 137, "reason": "its job ran out of time"}
    if "energy" in row:  # it ended by itself when its job was told to
        return row | {"exit_code": 137, "reason": f"its job was ended: {_last_line(error)}"}
    return task.fail(f"its job died: {_last_line(error)}", exit_code=137)


@dataclass(kw_only=True)
class RayLauncher(ChecksHere):
    """Tasks of Ray, on a local cluster or an existing one."""

    ray: dict[str, Any] = field(default_factory=lambda: {"init": {}, "remote": {}})
    """init: arguments of ray.init, e.g. address: auto; remote: options of every task, e.g. num_cpus: 1."""

    def __post_init__(self) -> None:
        if unknown := set(self.ray) - {"init", "remote"}:
            raise ConfigError(f"knows init and remote, got {sorted(unknown)}", key="hydra.launcher.ray")
        workers = (self.ray.get("init") or {}).get("num_cpus")
        if workers is not None:
            require_integer("hydra.launcher.ray.init.num_cpus", workers, 1, MOST_WORKERS)

    def get_ready(self, threads: int) -> None:
        """Refuse what Ray would, before anything is created.

        Raises:
            ConfigError: it has no such setting, or no cluster is there, or none that could carry out a run.
        """
        ray = required("ray", "ray")
        init = self.ray.get("init") or {}
        known = [name for name in signature(ray.init).parameters if name != "kwargs"]
        for name in init:
            if name not in known and not name.startswith("_"):
                near = get_close_matches(name, known, 1)
                meant = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
                raise ConfigError(
                    f"ray.init has no argument {name}; {meant}", key=f"hydra.launcher.ray.init.{name}"
                )
        try:
            ray.remote(carry_out).options(**self._options(threads))
        except (TypeError, ValueError) as error:
            raise ConfigError(in_words(error), key="hydra.launcher.ray.remote") from error
        if self._is_elsewhere():
            if not ray.is_initialized():
                with connected(ray, {"address": "auto", **init}):
                    return
            return
        cores = init.get("num_cpus") or os.cpu_count() or 1
        if (wanted := self._options(threads)["num_cpus"] or 0) > cores and not ray.is_initialized():
            raise ConfigError(
                f"a run is to have {wanted:g}, and Ray's cluster on this machine has {cores}; give less, or "
                f"+hydra.launcher.ray.init.num_cpus={math.ceil(wanted)}",
                key="hydra.launcher.ray.remote.num_cpus",
            )

    def launch(
        self,
        tasks: Sequence[Task],
        directory: SweepDirectory,  # noqa: ARG002 - Ray brings the rows back itself
        stop: StopFlag,
    ) -> Iterator[Row]:
        """Carry out every task on the cluster."""
        ray = required("ray", "ray")
        threads = threads_of(tasks)
        self.get_ready(threads)
        options = self._options(threads)
        with contextlib.ExitStack() as stack:
            if not ray.is_initialized():
                init: dict[str, Any] = {
                    "include_dashboard": False,
                    "log_to_driver": False,
                    "logging_level": "error",
                    "runtime_env": {"env_vars": worker_environment(threads)},
                }
                init |= self.ray.get("init") or {}
                if init.get("num_cpus") is not None:  # Ray starts a worker for each
                    init["num_cpus"] = min(init["num_cpus"], _cpus(options) * len(tasks))
                stack.enter_context(connected(ray, init))
            remote = ray.remote(carry_out).options(**options)
            waiting = {remote.remote(task): task for task in tasks}
            told, began = False, time.monotonic()
            while waiting:
                done, _ = ray.wait(list(waiting), num_returns=1, timeout=POLL)
                for reference in done:
                    yield _collect(ray, reference, waiting.pop(reference))
                if stop.signum is not None and not _any_runs(waiting.values()):
                    yield from (task.look() for task in waiting.values())
                    return  # what has not begun may wait for a core for ever
                if not told and stop.signum is None and time.monotonic() - began > PATIENCE:
                    told = True
                    if all(task.look()["status"] == "waiting" for task in tasks):
                        print(_waited_for(ray, options), file=reader(sys.stderr))

    def _options(self, threads: int) -> dict[str, Any]:
        return {"num_cpus": threads, "max_retries": 1, **(self.ray.get("remote") or {})}

    def _is_elsewhere(self) -> bool:
        """Whether a cluster is joined that somebody else started."""
        address = (self.ray.get("init") or {}).get("address") or os.environ.get("RAY_ADDRESS")
        return address not in (None, "", "local")


@contextlib.contextmanager
def connected(ray: Any, init: Mapping[str, Any]) -> Iterator[None]:
    """A cluster for a while, whose client leaves our handling of signals as it was.

    Raises:
        ConfigError: Ray does not take the arguments, or there is no cluster.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ours = {signum: signal.getsignal(signum) for signum in SIGNALS}
    try:
        ray.init(**init)
    except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Ray did not start or was not reached with these: {in_words(error)}",
            key="hydra.launcher.ray.init",
        ) from error
    try:
        if threading.current_thread() is threading.main_thread():
            for signum, handler in ours.items():  # Ray's would end us with a native stack, and no table
                signal.signal(signum, handler)
        yield
    finally:
        ray.shutdown()


def _waited_for(ray: Any, options: Mapping[str, Any]) -> str:
    """Why no run begins, as far as the cluster tells."""
    wanted = {key: value for key, value in options.items() if key.startswith(("num_", "memory", "resources"))}
    asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
    there = ", ".join(
        f"{name} {amount:g}" for name, amount in ray.cluster_resources().items() if ":" not in name
    )
    return f"Ray has not started a run; each asks for {asked}, and the cluster has {there}; waiting"


def _cpus(options: Mapping[str, Any]) -> int:
    """Cores that one task is given, at least 1."""
    wanted = options.get("num_cpus")
    return (
        max(math.ceil(wanted), 1)
        if isinstance(wanted, int | float) and wanted < MOST_WORKERS
        else MOST_WORKERS
    )


def _collect(ray: Any, reference: Any, task: Task) -> Row:
    """The line of a Ray task, or why there is none."""
    try:
        row: Row = ray.get(reference)
    except ray.exceptions.RayError as error:
        return task.fail(f"its Ray task died: {_last_line(error)}")
    return row


def threads_of(tasks: Sequence[Task]) -> int:
    """Threads that the most demanding of the runs was declared with."""
    return max(int(task.values["backend"]["threads"]) for task in tasks)


def required(module: str, extra: str, key: str = "hydra/launcher") -> Any:
    """An optional engine.

    Raises:
        ConfigError: it is not installed, with the command that installs it.
    """
    if find_spec(module) is None:
        raise ConfigError(f"needs {module}; pip install 'session-runner[{extra}]'", key=key)
    return __import__(module)


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).strip()[:300]


LAUNCHERS: dict[str, type[Any]] = {
    "joblib": JoblibLauncher,
    "submitit_local": SubmititLauncher,
    "submitit_slurm": SlurmLauncher,
    "ray": RayLauncher,
}
"""Name → what carries runs out; plug-ins add theirs."""


def add(classes: Mapping[str, type[Any]], origin: str) -> None:
    """Take in the launchers of a plug-in.

    Raises:
        ConfigError: one of them has not what a launcher needs.
    """
    for name, cls in classes.items():
        if not (is_dataclass(cls) and issubclass(cls, ChecksHere) and callable(getattr(cls, "launch", None))):
            raise ConfigError(
                f"launcher {name!r} of {origin!r} must be a dataclass derived from "
                "runner.sweep.launcher.ChecksHere with launch(tasks, directory, stop)",
                key="plugins",
            )
        LAUNCHERS[name] = cls

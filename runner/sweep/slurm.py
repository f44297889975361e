"""What SLURM says of the jobs of a sweep: what it refuses, where each job stands, why it waits, and that it is gone."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runner.display.stream import reader
from runner.errors import ConfigError, in_words

ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT",
)  # fmt: skip
"""States of a job that SLURM does not go on with; one that was requeued is in another."""

GONE = "GONE"
"""Said of a job that SLURM knows no more."""

LEAST, MOST = 2.0, 30.0
"""Seconds between two questions to SLURM: at first, and for long sweeps."""

GRACE = 10.0
"""Seconds until a result that a job wrote before its end is seen on every node of a shared file system."""

PATIENCE = 15.0
"""Seconds that jobs wait before it is told for what."""

NO_ANSWER = re.compile(
    r"unable to contact|connect failure|timed out|connection refused|not respond", re.IGNORECASE
)
"""What SLURM's programs say when its controller is away."""

FOR_NOW = re.compile(r"busy|down|drain|reserved", re.IGNORECASE)
"""What they say of jobs that cannot start now, and may later."""


class Standing(NamedTuple):
    """Where a job stands."""

    state: str
    """SLURM's word, such as PENDING."""
    reason: str
    """Why it waits, in SLURM's word."""

    @property
    def over(self) -> bool:
        """Whether SLURM does not go on with it."""
        return self.state.startswith((*ENDED, GONE))


def said_by(program: Sequence[str]) -> tuple[int, str, str]:
    """(exit status, output, what it complained of in one line) of one of SLURM's programs."""
    try:
        done = subprocess.run(
            program, capture_output=True, text=True, errors="replace", timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", in_words(error)
    return done.returncode, done.stdout, complaint(done.stderr)


def complaint(text: str) -> str:
    """The last thing that a program of SLURM's complained of, without its name."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w+: error:|allocation failure:", line)] or lines
    return re.sub(r"^(\w+: error:|allocation failure:)\s*", "", errors[-1])[:200] if errors else ""


def refusal(said: str) -> ConfigError:
    """What SLURM said when it was given a job that it does not take."""
    if NO_ANSWER.search(said):
        return ConfigError(
            f"SLURM does not answer ({said}); try again once squeue does, or take hydra/launcher=joblib",
            key="hydra/launcher",
        )
    return ConfigError(f"SLURM refuses such jobs ({said}); see sinfo for what there is", key="hydra.launcher")


def require_accepted(script: str) -> None:
    """Ask SLURM whether it would ever carry out such a job, which is not submitted.

    Raises:
        ConfigError: it would not, in its words.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.sh"
        path.write_text(script, encoding="utf-8")
        status, _, said = said_by(["sbatch", "--test-only", str(path)])
    if status and not FOR_NOW.search(said):
        raise refusal(said)


class Queue:
    """SLURM's queue, asked for all jobs of a sweep at once and not more often than is good for the cluster.

    Args:
        grace: seconds between a job's end and the moment from which its result is missed.
        every: seconds between two questions, at first and for long sweeps.
        patience: seconds that jobs wait before it is told for what.
        tell: what is done with that line.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        *,
        grace: float = GRACE,
        every: tuple[float, float] = (LEAST, MOST),
        patience: float = PATIENCE,
        tell: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.grace = grace
        self.clock = clock
        self._every, self._patience = every, patience
        self._tell = tell or (lambda line: print(line, file=reader(sys.stderr)))
        self._open: set[str] = set()
        self._known: dict[str, Standing] = {}
        self._began = clock()
        self._asked = self._moved = self._began
        self._told: set[str] = set()

    def add(self, job: str) -> None:
        """Ask for this job, too, from the next question on."""
        self._open.add(job)

    def forget(self, job: str) -> None:
        """Ask for this job no more."""
        self._open.discard(job)

    def standing(self, job: str) -> Standing | None:
        """Where a job stands; None while nothing is known of it, for SLURM has not been asked or does not answer."""
        now = self.clock()
        least, most = self._every
        if now - self._asked >= min(max(least, (now - self._began) / 20), most):
            self._ask()
            self._asked = self.clock()
        return self._known.get(job)

    def _ask(self) -> None:
        numbers = ",".join(sorted({job.partition("_")[0] for job in self._open}))
        if not numbers:
            return
        status, output, said = said_by(
            ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={numbers}"]
        )
        if status and "invalid job id" not in said.lower():  # said where it knows none of them
            if self.clock() - self._moved > self._patience:
                self._say(f"SLURM does not answer ({said}); waiting for it")
            return
        found = {}
        for line in output.splitlines():
            job, _, rest = line.partition("|")
            state, _, reason = rest.partition("|")
            found[job.strip()] = Standing(state.strip(), reason.strip())
        self._known |= {job: found.get(job) or self._remembered(job) for job in self._open}
        self._tell_what_is_waited_for()

    def _remembered(self, job: str) -> Standing:
        """What SLURM's accounts say of a job that has left the queue; there need not be any."""
        known = self._known.get(job)
        if known is not None and known.over:
            return known
        status, output, _ = said_by(
            ["sacct", "--noheader", "--parsable2", "-X", "--format=State", f"--jobs={job}"]
        )
        states = output.split("\n")[-2:-1] if status == 0 else []
        return Standing(states[0].strip() if states and states[0].startswith(ENDED) else GONE, "")

    def _tell_what_is_waited_for(self) -> None:
        here = {job: self._known[job] for job in self._open}
        waiting = {job: known for job, known in here.items() if not known.over}
        if not waiting or any(known.state != "PENDING" for known in waiting.values()):
            self._moved = self.clock()
        elif self.clock() - self._moved > self._patience:
            job, known = next(iter(sorted(waiting.items())))
            more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
            self._say(f"SLURM has not started job {job}{more} ({known.reason}); waiting")

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


class QueuedJob:
    """A job of submitit of which the queue tells whether it is over, where it left no result.

    Submitit itself asks sacct alone, and waits for ever where that knows nothing.
    """

    def __init__(self, job: Any, queue: Queue) -> None:
        self._job, self._queue = job, queue
        self._missed: float | None = None
        self.job_id: str = job.job_id
        self.state = ""
        queue.add(self.job_id)

    def done(self) -> bool:
        """Whether it has left a result, or SLURM does not go on with it."""
        if self._has_result():
            self._queue.forget(self.job_id)
            return True
        known = self._queue.standing(self.job_id)
        if known is None or not known.over:
            self._missed = None
            return False
        self.state = known.state
        self._missed = self._queue.clock() if self._missed is None else self._missed
        over = self._queue.clock() - self._missed >= self._queue.grace
        if over:
            self._queue.forget(self.job_id)
        return over

    def exception(self) -> BaseException | None:
        """Why a job that is over has no result, or none that it wanted; None where all went well."""
        from submitit.core.utils import UncompletedJobError

        if self._has_result():
            found: BaseException | None = self._job.exception()
            return found
        said = "cancelled" if self.state.startswith("CANCELLED") else f"SLURM says {self.state}"
        if self.state == GONE:
            said = "SLURM knows it no more"
        return UncompletedJobError(f"job {self.job_id} left no result ({said}); see {self._job.paths.stderr}")

    def cancel(self) -> None:
        """Take it out of the queue, or end it.

        Raises:
            OSError: there is no scancel.
            subprocess.SubprocessError: it failed.
        """
        self._job.cancel()

    def _has_result(self) -> bool:
        found: bool = self._job.paths.result_pickle.exists()
        return found


class SlurmExecutor:
    """Submits jobs through submitit, and gives them as the queue has them."""

    def __init__(self, executor: Any, queue: Queue) -> None:
        self._executor, self._queue = executor, queue

    def map_array(self, function: Any, shares: Sequence[Any]) -> list[QueuedJob]:
        """One job for each share.

        Raises:
            ConfigError: SLURM does not take them.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            jobs = self._executor.map_array(function, shares)
        except (FailedJobError, FailedSubmissionError) as error:
            raise refusal(complaint(str(error))) from error
        return [QueuedJob(job, self._queue) for job in jobs]

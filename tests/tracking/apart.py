"""What a process of its own does: one that is killed, and several that meet at a store that none of them finds.

A process that forks must have no other threads, as the tests' processes have: a lock that one of them holds at that
moment is held in the fork for ever.

`python -m tests.tracking.apart killed DIRECTORY URI ARTIFACTS`, `… meet HOME EVALUATIONS COUNT`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

from runner.tracking import TrackingConfig, sync
from tests.tracking import made

PATIENCE = 240
"""Seconds after which what waits for another process gives up."""


def carry_out(*words: str | Path) -> int:
    """Do that in a process of its own; its exit code, after what it said where it failed."""
    command = [sys.executable, "-m", "tests.tracking.apart", *map(str, words)]
    done = subprocess.run(command, check=False, timeout=PATIENCE, capture_output=True, text=True)
    if done.returncode > 0:
        print(done.stdout, done.stderr)
    return done.returncode


def be_killed(directory: Path, uri: str, artifacts: Path) -> None:
    """A run of twenty evaluations that ends with kill -9, and its uploader stays behind."""
    config = TrackingConfig(uri=uri, artifacts=str(artifacts))
    journal = made.start(directory, uri, artifacts)
    uploader = config.build(directory)
    uploader.start()
    made.evaluate(journal, range(20))
    os.kill(os.getpid(), signal.SIGKILL)


def meet_at_a_fresh_store(home: Path, evaluations: int, count: int = 8) -> None:
    """So many processes upload a run each to a database that none of them finds; nothing may be missing."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - imported once here, not in every child

    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count, timeout=PATIENCE / 2)
    processes = [
        context.Process(target=_cold_start, args=(n, home, evaluations, barrier)) for n in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * count
    with sqlite3.connect(home / "mlflow.db") as store:
        finished = store.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone()
        named = "key LIKE 'energy/%' OR key LIKE 'evaluation/%'"
        values = store.execute(f"SELECT count(*) FROM metrics WHERE {named}").fetchone()
        # value, spread, best and error of each evaluation, and the error of the answer
        assert (finished, values) == ((count,), (count * (evaluations * 4 + 1),))
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _cold_start(number: int, home: Path, evaluations: int, barrier: Barrier) -> None:
    config = TrackingConfig(uri=f"sqlite:///{home}/mlflow.db", artifacts=f"{home}/artifacts")
    directory = made.whole(home / f"run-{number}", config.uri, Path(config.artifacts), evaluations)
    barrier.wait()
    assert sync(directory, config).state == "synced"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["killed", directory, uri, artifacts]:
            be_killed(Path(directory), uri, Path(artifacts))
        case ["meet", home, evaluations, count]:
            meet_at_a_fresh_store(Path(home), int(evaluations), int(count))

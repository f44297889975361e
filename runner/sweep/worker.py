"""What worker processes start with: their environment, and how they are forked from one that has loaded everything."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator

from runner.sweep.member import end_with_the_parent

STACK = "runner.sweep.stack"
"""The module that new workers find imported."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
READ_WHEN_LOADED = (*THREAD_VARIABLES, *BLAS_VARIABLES, "RUNNER_FAULT")
"""Variables that are looked at once, when a module is imported."""


def worker_environment(threads: int) -> dict[str, str]:
    """The variables by which every worker uses as many threads as its run declares, and no more.

    Linear algebra gets one thread, here and in single runs: its results depend on the number in their last bits.
    """
    return dict.fromkeys(THREAD_VARIABLES, str(threads)) | dict.fromkeys(BLAS_VARIABLES, "1")


_stack_environment: dict[str, str] = {}
"""With which of these variables the process that imports the stack was started: there is one, as long as we live."""


@contextlib.contextmanager
def forked_from_the_stack() -> Iterator[None]:
    """Let joblib's workers be forked from a process that has imported the stack, where the system can do that."""
    from joblib.externals.loky.backend.context import get_start_method, set_start_method

    present = {name: os.environ.get(name, "") for name in READ_WHEN_LOADED}
    if "forkserver" not in multiprocessing.get_all_start_methods() or _stack_environment not in ({}, present):
        yield
        return
    _stack_environment.update(present)
    multiprocessing.set_forkserver_preload([STACK])
    before = get_start_method()
    set_start_method("forkserver", force=True)
    load_the_stack()
    try:
        yield
    finally:
        set_start_method(before, force=True)


def load_the_stack() -> None:
    """Start the process that imports the stack, unless it is there.

    A termination request that all processes get is for the sweep, which tells its runs. Were this process to end,
    the workers would be taken for dead; it keeps signals blocked that are blocked when it is started.
    """
    from multiprocessing import resource_tracker
    from multiprocessing.forkserver import ensure_running

    resource_tracker.ensure_running()  # would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def load_the_end() -> None:
    """Import here what the sweep's own table and figure will need."""
    with contextlib.suppress(ImportError):
        import jinja2
        import matplotlib.backends.backend_agg
        import pyarrow.parquet

        pyarrow.table({"": [None]})  # looks for pandas when it is first given a list
        del jinja2, matplotlib


def enter_worker(variables: dict[str, str]) -> None:
    """Take over the environment of the process that sweeps: a forked worker has that of an earlier moment."""
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # between runs; during a run it stops that
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the sweep hears it, and tells its runs
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    end_with_the_parent()


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

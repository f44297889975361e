"""What every test may use: a folder of its own, and runs small enough to wait for."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.record import redaction

os.environ.setdefault("OMP_NUM_THREADS", "1")  # xdist keeps the cores busy already
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


# on a new machine the first run says that it compiles
logging.getLogger("runner.engine.kernel").setLevel(logging.ERROR)

COMPILED = Path(__file__).parents[1] / "runner/engine/kernel/__pycache__"
"""Where Numba keeps the kernel, unless it is told otherwise."""


def pytest_configure(config: pytest.Config) -> None:
    """On a new machine, compile the kernel while the workers collect the tests, which would wait for it later."""
    if hasattr(config, "workerinput"):
        CONDUCTED.extend(pipes())
        let_go_of(CONDUCTED)
    if not hasattr(config, "workerinput") and not any(COMPILED.glob("loops.gradients-*.nbi")):
        command = [sys.executable, "-c", "import runner.sweep.stack"]
        compiling = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        config.add_cleanup(lambda: compiling.wait() and None)


def pytest_collection() -> None:
    """Nothing that is imported and collected becomes garbage; looking for some took a third of that time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What is there by now stays, and need not be looked through with every search for garbage."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """One worker per processor, hyperthreads included; one more costs more in importing than it gains."""
    return os.cpu_count() or 1


CONDUCTED: list[int] = []
"""A worker's pipes to the process that conducts the tests."""


def pipes() -> list[int]:
    """The pipes of this process but for its standard streams."""
    return [
        int(entry.name)
        for entry in Path("/proc/self/fd").glob("*")
        if int(entry.name) > 2 and entry.is_fifo()
    ]


def let_go_of(descriptors: list[int]) -> None:
    """What is forked from here has nothing behind these.

    A worker that is ended because its test hangs is only missed when nobody holds its pipe any more; a forked process
    that hangs did, and the tests never came to their end.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)

    def close() -> None:
        for descriptor in descriptors:
            os.dup2(nowhere, descriptor)

    os.register_at_fork(after_in_child=close)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder for the time of a test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True, scope="session")
def hangups() -> Iterator[None]:
    """SIGHUP is what it is by default, also where the tests themselves were started to outlive a terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest) -> None:
    """Long campaigns take longer than the time after which a test is held to hang (`faulthandler_timeout`)."""
    if request.node.get_closest_marker("nightly"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """What one test took for a secret is none in the next."""
    before = dict(redaction._protected)
    yield
    if redaction._protected != before:
        redaction._protected.clear()
        redaction._protected.update(before)
        redaction.redact.cache_clear()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts an empty database where a test wants one: making its tables afresh takes MLflow seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    home = tmp_path_factory.mktemp("empty")
    SqlAlchemyStore(f"sqlite:///{home}/mlflow.db", (home / "artifacts").as_uri())
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def put(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home / "mlflow.db", path)

    return put

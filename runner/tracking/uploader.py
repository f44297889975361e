"""The run's end of the line to the process that brings it into MLflow (`process.py`).

The run never calls MLflow and never waits for it, except for a bounded moment at its end. The uploader lives
in a session of its own, so Ctrl-C does not reach it; it notices the end of the run, also a violent one, when
the pipe to it closes, brings in what is left and exits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from runner.display.shell import command
from runner.tracking.report import (
    ENDED,
    FOLLOWED,
    KILLED,
    SyncReport,
    UploadState,
    left_running,
    report_of,
    runs_of,
    together,
)
from runner.tracking.store import is_server
from runner.tracking.views import run_page

if TYPE_CHECKING:
    from runner.tracking.config import TrackingConfig

SLOW = 1.0
"""Seconds for one request after which a run does not wait for a server any longer."""

_PATHS = {
    "PYTHONSAFEPATH": "1",  # what is imported is not looked for in the folder that a run was started from
    "PYTHONPATH": os.pathsep.join(
        filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")))
    ),
}

log = logging.getLogger("runner.tracking")


def _begin(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that outlives this one, and hears of it through a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "runner.tracking", *words],
        bufsize=0,  # what a dead uploader did not take must not be written again when the pipe is closed
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **_PATHS, "OMP_NUM_THREADS": "1"},
    )


class Uploader:
    """The run's end: start the process, ask for the MLflow run's id, and let it finish.

    Entered with a directory it starts; entered without one it only warms up, and `start` tells it where.
    """

    verb = "--follow"
    """What the process is asked to do."""

    def __init__(self, directory: str | Path | None, config: TrackingConfig) -> None:
        self.directory = None if directory is None else Path(directory)
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._started = time.monotonic()
        self._waited = 0.0

    def warm(self) -> None:
        """Start the process, which imports MLflow (seconds) while the run is still being prepared."""
        if not self.config.enabled or self._process is not None:
            return
        self._process = _begin([self.verb])
        self._tell(json.dumps(asdict(self.config)))

    def start(self, directory: str | Path | None = None) -> None:
        """Bring in the run in `directory` from now on; with tracking off, do nothing."""
        self.directory = Path(directory) if directory is not None else self.directory
        self._started = time.monotonic()
        self.warm()
        if self._process is not None:
            self._tell(str(self._home))

    @property
    def _home(self) -> Path:
        assert self.directory is not None, "start(directory) comes first"
        return self.directory

    def run_id(self) -> str | None:
        """The MLflow run's id; waits for it as `finish` does, but not for a store that was not there."""
        if self._process is None:
            return None
        self._wait(lambda: self._progress().run_id is not None or self._progress().phase == "offline")
        return self._progress().run_id

    def finish(self) -> SyncReport:
        """Let the uploader bring in everything, files included, and say how far it came.

        A store that answers is waited for up to `tracking.timeout`; one that is absent or slow only for a
        small share of the run's time, and not after it has failed once more. The process goes on after that, as
        long as it gets somewhere.
        """
        if self._process is None:
            if self.directory is not None and left_running(self.directory):
                with contextlib.suppress(OSError):  # the next run in the folder looks again
                    _begin(["--reconcile", str(self.directory)])
            return SyncReport(state="off")
        failures = self._progress().failures
        self._tell("finish")
        self._wait(lambda: self._progress().phase == "synced" or self._progress().failures > failures)
        return self.report()

    def report(self) -> SyncReport:
        """How far it has come."""
        return report_of(self._home, self._progress(), self._words)

    @property
    def _words(self) -> str:
        """What is said of an upload under way: whether its process is there."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return FOLLOWED
        return KILLED.replace("{signal}", str(-code)) if code < 0 else ENDED

    def page(self) -> str:
        """What opens the run's page: an address where a server shows it, else what to type."""
        progress = self._progress()
        if is_server(self.config.uri) and progress.experiment_id and progress.run_id:
            return f"{self.config.uri.rstrip('/')}/#{run_page(progress.experiment_id, progress.run_id)}"
        return command("ui", self._home)

    def origin(self, typed: Iterable[str]) -> str:
        """Which variables of the environment chose the store, as words to add to its address."""
        return self.config.source(typed) if self.config.enabled else ""

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            log.warning("the uploader has ended early; later: %s", command("sync", self.directory))

    def _progress(self) -> UploadState:
        """What our uploader wrote; an earlier one's words about its health do not count."""
        assert self._process is not None
        progress = UploadState.load(self._home)
        if progress.uploader == self._process.pid:
            return progress
        return UploadState(synced=progress.synced)

    def _wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done()`, the process has ended, or patience has; all waits of a run share one budget."""
        assert self._process is not None
        began = time.monotonic()
        already = self._waited
        while not done() and self._process.poll() is None:
            patience = self.config.timeout
            if not self._healthy():
                patience = min(patience, self.config.patience * (began - self._started))
            self._waited = already + time.monotonic() - began
            if self._waited >= patience:
                return
            time.sleep(0.02)

    def _healthy(self) -> bool:
        """Whether the store answers, and at once; a local database may take its time."""
        progress = self._progress()
        if progress.phase == "offline":
            return False
        under_way = 0.0 if progress.since is None else time.monotonic() - progress.since
        return not is_server(self.config.uri) or max(progress.slowest, under_way) < SLOW

    def __enter__(self) -> Self:
        if self.directory is None:
            self.warm()
        else:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        if self.directory is None:  # there was no run after all
            self._process.kill()
            self._process.wait()


class SweepUploader(Uploader):
    """The sweep's end of the line to the process that brings its runs into MLflow."""

    verb = "--sweep"

    def report(self) -> SyncReport:
        """How far all runs together have come."""
        progress = self._progress()
        if progress.phase == "synced":
            return SyncReport(state="synced", note=progress.note)
        runs = runs_of(self._home)
        return together(self._home, [report_of(run, UploadState.load(run), self._words) for run in runs])

"""The process that brings a run into MLflow while it goes on, and the run's end of the line to it.

The run never calls MLflow and never waits for it, except for a bounded moment at its end. The uploader lives
in a session of its own, so Ctrl-C does not reach it; it notices the end of the run, also a violent one, when
the pipe to it closes, brings in what is left and exits.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.errors import StorageError
from runner.record.redaction import RedactingFormatter
from runner.run.log import LogFile
from runner.tracking.config import TrackingConfig, source
from runner.tracking.report import Progress, SyncReport
from runner.tracking.store import StoreError, is_server, load
from runner.tracking.sync import RunSync, locked, reconcile, report_of
from runner.tracking.views import run_page

INTERVAL = 0.5
"""Seconds between two looks at the journal."""

SLOW = 1.0
"""Seconds for one request after which a run does not wait for a server any longer."""

RETRIES = (1.0, 5.0, 15.0)
"""Pauses between attempts in seconds; the last is repeated while the run goes on."""

_PATHS = {
    "PYTHONSAFEPATH": "1",  # what is imported is not looked for in the folder that a run was started from
    "PYTHONPATH": os.pathsep.join(
        filter(None, (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")))
    ),
}

log = logging.getLogger("runner.tracking")


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
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runner.tracking", self.verb],
            bufsize=0,  # what a dead uploader did not take must not be written again when the pipe is closed
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **_PATHS, "OMP_NUM_THREADS": "1"},
        )
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
            return SyncReport(state="off")
        failures = self._progress().failures
        self._tell("finish")
        self._wait(lambda: self._progress().phase == "synced" or self._progress().failures > failures)
        return self.report()

    def report(self) -> SyncReport:
        """How far it has come."""
        return report_of(self._home, self._progress())

    def page(self) -> str:
        """What opens the run's page: an address where a server shows it, else what to type."""
        progress = self._progress()
        if is_server(self.config.uri) and progress.experiment_id and progress.run_id:
            return f"{self.config.uri.rstrip('/')}/#{run_page(progress.experiment_id, progress.run_id)}"
        return f"python -m runner ui {shlex.quote(str(self._home))}"

    def origin(self, typed: Iterable[str]) -> str:
        """Which variables of the environment chose the store, as words to add to its address."""
        return source(self.config, typed) if self.config.enabled else ""

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            log.warning("the uploader has ended early; later: python -m runner sync %s", self.directory)

    def _progress(self) -> Progress:
        """What our uploader wrote; an earlier one's words about its health do not count."""
        assert self._process is not None
        progress = Progress.load(self._home)
        if progress.uploader == self._process.pid:
            return progress
        return Progress(synced=progress.synced)

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


def follow(control: RawIOBase) -> SyncReport | None:
    """The uploader's process: bring in a run as it goes on, until `control` says finish or closes.

    The first line of `control` (unbuffered, so that `select` sees what comes) is the tracking configuration, the
    second the run directory; None when there never was one.
    """
    task = instructions(control)
    if task is None:
        return None
    config, directory = task
    try:
        with locked(directory):
            run = RunSync(directory, config, live=True)
            _accompany(run, control)
            _complete(run)
    except StorageError as error:
        log.warning("%s", error)
        replace(Progress.load(directory), phase="offline", failures=1, message=str(error)).save(directory)
        return report_of(directory, Progress.load(directory))
    reconcile(directory.parent)  # whoever starts a run also puts its dead neighbours to rest
    return run.report()


def instructions(control: RawIOBase) -> tuple[TrackingConfig, Path] | None:
    """What to do, read while MLflow is being imported; None when there is nothing to do after all."""
    config = TrackingConfig(**json.loads(control.readline()))
    if not is_server(config.uri):
        load(config.uri)
    line = control.readline().decode().rstrip("\n")
    if not line:
        return None
    directory = Path(line)
    handler = LogFile(directory / "runner.log", delay=True)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    return config, directory


def _accompany(run: RunSync, control: RawIOBase) -> None:
    """Advance while the run goes on; a store that fails is left alone for a while."""
    failures = 0
    pause = 0.0
    while not told(control, pause):
        try:
            run.advance()
        except StoreError as error:
            if failures == 0:
                log.warning("%s; the run goes on, the journal keeps everything", error)
            run.failed(error)
            pause = RETRIES[min(failures, len(RETRIES) - 1)]
            failures += 1
        else:
            failures = 0
            pause = INTERVAL


def _complete(run: RunSync) -> None:
    """Bring in the rest; give up when the store keeps failing."""
    for pause in (*RETRIES[:2], None):
        try:
            run.finish()
        except StoreError as error:
            run.failed(error)
            log.warning("%s", error)
            if pause is None:
                return
            time.sleep(pause)
        else:
            return


def told(control: RawIOBase, seconds: float) -> bool:
    """Whether the run has said finish, or has gone, within some seconds."""
    ready, _, _ = select.select([control], [], [], seconds)
    return bool(ready)

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
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.tracking.config import TrackingConfig
from runner.tracking.report import Progress, SyncReport
from runner.tracking.store import StoreError, is_server
from runner.tracking.sync import RunSync, locked, reconcile, report_of

INTERVAL = 0.5
"""Seconds between two looks at the journal."""

SLOW = 1.0
"""Seconds for one request after which a run does not wait for a server any longer."""

RETRIES = (1.0, 5.0, 15.0)
"""Pauses between attempts in seconds; the last is repeated while the run goes on."""

log = logging.getLogger("runner.tracking")


class Uploader:
    """The run's end: start the process, ask for the MLflow run's id, and let it finish."""

    verb = "--follow"
    """What the process is asked to do."""

    def __init__(self, directory: str | Path, config: TrackingConfig) -> None:
        self.directory = Path(directory)
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._started = time.monotonic()

    def start(self) -> None:
        """Start the process; with tracking off, nothing."""
        if not self.config.enabled:
            return
        self._started = time.monotonic()
        with (self.directory / "runner.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner.tracking", str(self.directory), self.verb],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self._tell(json.dumps(asdict(self.config)))

    def run_id(self) -> str | None:
        """The MLflow run's id; waits for it as `finish` does."""
        if self._process is None:
            return None
        self._wait(lambda: self._progress().run_id is not None)
        return self._progress().run_id

    def finish(self) -> SyncReport:
        """Let the uploader bring in everything, files included, and say how far it came.

        A store that answers is waited for up to `tracking.timeout`; one that is absent or slow only for a
        small share of the run's time. The process goes on after that, as long as it gets somewhere.
        """
        if self._process is None:
            return SyncReport(state="off")
        self._tell("finish")
        self._wait(lambda: self._progress().phase == "synced")
        return self.report()

    def report(self) -> SyncReport:
        """How far it has come."""
        return report_of(self.directory, self._progress())

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            log.warning("the uploader has ended early; see %s", self.directory / "runner.log")

    def _progress(self) -> Progress:
        """What our uploader wrote; an earlier one's words about its health do not count."""
        assert self._process is not None
        progress = Progress.load(self.directory)
        if progress.uploader == self._process.pid:
            return progress
        return Progress(synced=progress.synced)

    def _wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done()`, the process has ended, or patience has."""
        assert self._process is not None
        began = time.monotonic()
        while not done() and self._process.poll() is None:
            patience = self.config.timeout
            if not self._healthy():
                patience = min(patience, self.config.patience * (began - self._started))
            if time.monotonic() - began >= patience:
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
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


def follow(directory: Path, control: RawIOBase) -> SyncReport:
    """The uploader's process: bring in the run as it goes on, until `control` says finish or closes.

    The first line of `control` (unbuffered, so that `select` sees what comes) is the tracking configuration.
    """
    config = TrackingConfig(**json.loads(control.readline()))
    with locked(directory):
        run = RunSync(directory, config, live=True)
        try:
            _accompany(run, control)
            _complete(run)
        finally:
            run.close()
    reconcile(directory.parent)  # whoever starts a run also puts its dead neighbours to rest
    return run.report()


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

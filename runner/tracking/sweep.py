"""One uploader for all runs of a sweep: MLflow is started once, the runs hang below one parent run."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from io import RawIOBase
from pathlib import Path

from runner.errors import StorageError
from runner.tracking.config import TrackingConfig
from runner.tracking.process import INTERVAL, RETRIES, instructions, told
from runner.tracking.report import SyncReport, UploadState, report_of, runs_of, together
from runner.tracking.store import StoreError
from runner.tracking.sync import RunSync, bring_in_parents, files_of, locked

SETTLED = 5.0
"""Seconds after the end of a run in which its figures and report are drawn."""

log = logging.getLogger("runner.tracking")


class SweepSync:
    """All runs of a sweep on their way into the store; runs are found as their directories appear."""

    def __init__(self, directory: Path, config: TrackingConfig) -> None:
        self.directory = directory
        self.config = config
        self.progress = UploadState(uri=config.uri)
        self.progress.save(directory)
        self._open: dict[Path, tuple[RunSync, ExitStack]] = {}
        self._ended: dict[Path, float] = {}
        self._done: dict[Path, list[tuple[str, int, int]]] = {}

    def advance(self, *, last: bool = False) -> None:
        """Bring in what all journals say by now, and finish the runs that have ended; with `last`, all.

        Raises:
            StoreError: the store did not take it; nothing is lost by trying again.
        """
        for directory in runs_of(self.directory):
            if directory in self._done and not (last and self._changed(directory)):
                continue
            run = self._run(directory)
            if run is None:
                continue
            try:
                run.advance()
                if last or self._settled(run):
                    state = _state(directory)
                    run.finish()
                    self._close(directory)
                    self._done[directory] = state
            except StoreError as error:
                run.failed(error)
                raise
        if last:
            parents = bring_in_parents(self.directory, runs_of(self.directory), self.config)
            self.progress.run_id, self.progress.experiment_id = parents or (None, None)
        self._say("synced" if last else "uploading")

    def failed(self, error: StoreError) -> None:
        """Note that the store did not take it."""
        self.progress.message = str(error)
        self.progress.failures += 1
        self.progress.since = None
        self._say("offline")

    def close(self) -> None:
        """Let go of every run."""
        for directory in list(self._open):
            self._close(directory)

    def _settled(self, run: RunSync) -> bool:
        """Whether a run has ended and all its files are there."""
        if run.translation.ended is None:
            return False
        seen = self._ended.setdefault(run.directory, time.monotonic())
        return time.monotonic() - seen > SETTLED

    def _changed(self, directory: Path) -> bool:
        """Whether files of a finished run were written after it was uploaded."""
        return _state(directory) != self._done[directory]

    def _run(self, directory: Path) -> RunSync | None:
        """The run's upload, begun if need be; None while another process is at it."""
        if directory not in self._open:
            with ExitStack() as stack:
                try:
                    stack.enter_context(locked(directory, wait=0.0))
                except BlockingIOError:
                    return None
                except StorageError as error:
                    raise StoreError(str(error)) from error
                run = RunSync(directory, self.config, live=directory not in self._done, announce=self._hear)
                self._open[directory] = run, stack.pop_all()
        return self._open[directory][0]

    def _close(self, directory: Path) -> None:
        _, stack = self._open.pop(directory)
        stack.close()

    def _hear(self, progress: UploadState) -> None:
        """Pass on how the store is doing; the sweep looks at one file only."""
        self.progress.since = progress.since
        self.progress.note = self.progress.note or progress.note
        self.progress.slowest = max(self.progress.slowest, progress.slowest)
        self.progress.save(self.directory)

    def _say(self, phase: str) -> None:
        self.progress.phase = phase
        self.progress.save(self.directory)


def _state(directory: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of a run that is uploaded: something else after each of them was written."""
    states = [(path, path.stat()) for path in files_of(directory)]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]


def follow_sweep(control: RawIOBase) -> SyncReport | None:
    """The uploader's process of a sweep: bring in its runs as they go on, until `control` says finish or closes."""
    task = instructions(control)
    if task is None:
        return None
    config, directory = task
    sweep = SweepSync(directory, config)
    failures = 0
    try:
        pause = 0.0
        while not told(control, pause):
            try:
                sweep.advance()
            except StoreError as error:
                sweep.failed(error)
                pause = RETRIES[min(failures, len(RETRIES) - 1)]
                failures += 1
            else:
                failures, pause = 0, INTERVAL
        for pause in (*RETRIES[:2], 0.0):
            try:
                sweep.advance(last=True)
                break
            except StoreError as error:
                sweep.failed(error)
                log.warning("%s", error)
                time.sleep(pause)
    finally:
        sweep.close()
    return together(directory, [report_of(run, UploadState.load(run)) for run in runs_of(directory)])

"""The process that brings a run into MLflow while it goes on; the run's end of the line to it is in `uploader.py`."""

from __future__ import annotations

import json
import logging
import select
import time
from dataclasses import replace
from io import RawIOBase
from pathlib import Path

from runner.errors import StorageError
from runner.record.logfile import LogFile
from runner.record.redaction import RedactingFormatter
from runner.tracking.config import TrackingConfig
from runner.tracking.report import SyncReport, UploadState, report_of
from runner.tracking.store import NotOursError, StoreError, is_server, load
from runner.tracking.sync import RunSync, locked, reconcile

INTERVAL = 0.5
"""Seconds between two looks at the journal."""

RETRIES = (1.0, 5.0, 15.0)
"""Pauses between attempts in seconds; the last is repeated while the run goes on."""

log = logging.getLogger("runner.tracking")


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
            if run.progress.note:
                log.warning("%s", run.progress.note)
    except StorageError as error:
        log.warning("%s", error)
        replace(UploadState.load(directory), phase="offline", failures=1, message=str(error)).save(directory)
        return report_of(directory, UploadState.load(directory))
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
            if pause is None or isinstance(error, NotOursError):
                return
            time.sleep(pause)
        else:
            return


def told(control: RawIOBase, seconds: float) -> bool:
    """Whether the run has said finish, or has gone, within some seconds."""
    ready, _, _ = select.select([control], [], [], seconds)
    return bool(ready)

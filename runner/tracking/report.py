"""How far a run has been brought into the store: the small file the uploader keeps, and what it means."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from runner.display.shell import command
from runner.errors import StorageError
from runner.record.directory import JOURNAL, run_directories
from runner.record.files import read_object, replace_file
from runner.record.lock import lives
from runner.record.packed import open_kept
from runner.record.result import Check, is_amount, is_count, is_number, is_text, maybe

FILE = "mlflow.json"


def file_of(uri: str) -> str:
    """Name of the file that says how far a run has been brought into a store other than its own."""
    return f"mlflow-{hashlib.sha256(uri.encode('utf-8', 'replace')).hexdigest()[:8]}.json"


log = logging.getLogger("runner.tracking")


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """What became of a run in the store."""

    state: str
    """synced | partial | offline | off."""
    records_unsynced: int = 0
    """Events of the journal that are not in the store yet."""
    mlflow_run_id: str | None = None
    """The MLflow run."""
    message: str = ""
    """One line for the user; empty when there is nothing to say."""
    note: str = ""
    """One line on what was done about the store itself; empty when there is nothing to say."""
    uri: str = ""
    """Address of the store."""


@dataclass(kw_only=True)
class UploadState:
    """The content of `mlflow.json`: written by whoever uploads, read by the run and by the next upload.

    There is one more such file for every other store that the run was brought into, see `file_of`.
    """

    uri: str = ""
    """Address of the store, with an absolute path."""
    experiment: str | None = None
    """`tracking.experiment` that was asked for."""
    run_id: str | None = None
    """The MLflow run."""
    experiment_id: str | None = None
    """The MLflow experiment that it is in."""
    synced: int = 0
    """Events at the start of the journal that are in the store."""
    crc: str = ""
    """Checksum of the last of these."""
    claim: str = ""
    """Token of the process that brought it in last, as the store has it."""
    phase: str = "starting"
    """starting | uploading | offline | failed | synced."""
    message: str = ""
    """Why it is offline or failed."""
    note: str = ""
    """What was done about the store itself."""
    since: float | None = None
    """Monotonic time at which the request that is under way was sent."""
    failures: int = 0
    """Attempts of this uploader that the store did not take."""
    slowest: float = 0.0
    """Seconds the slowest request took so far."""
    fingerprint: str = ""
    """Digest of the files and events of the last complete upload."""
    uploader: int = 0
    """Process that wrote this."""

    def save(self, directory: Path, file: str = FILE) -> None:
        """Replace the file in one step; where the disk refuses, the upload goes on without it."""
        self.uploader = os.getpid()
        content = json.dumps(asdict(self)) + "\n"
        try:
            replace_file(
                directory / file, [content.encode()], directory / f".{file}.{self.uploader}.tmp"
            )  # another process may be at the same file
        except StorageError as error:
            log.debug("%s", error)

    @classmethod
    def load(cls, directory: Path, file: str = FILE) -> UploadState:
        """What the file says; a fresh start where there is none or it makes no sense."""
        try:
            content: dict[str, Any] = read_object(directory / file)
            known = {field.name for field in fields(cls)}  # another version may have written more
            told = {key: value for key, value in content.items() if key in known}
        except (OSError, ValueError):
            return cls()
        return cls(**told) if all(KINDS[name](value) for name, value in told.items()) else cls()


KINDS: dict[str, Check] = {
    **dict.fromkeys(("uri", "phase", "message", "note", "fingerprint", "crc", "claim"), is_text),
    **dict.fromkeys(("run_id", "experiment_id", "experiment"), maybe(is_text)),
    **dict.fromkeys(("synced", "failures", "uploader"), is_count),
    "since": maybe(is_number),
    "slowest": is_amount,
}
"""What the values of `mlflow.json` are."""


FOLLOWED = "{unsynced} records unsynced: the upload goes on by itself as long as the store answers"
GOES_ON = "{synced} records so far: the run goes on, and the rest comes in when it has ended"
KILLED = "{unsynced} records unsynced: the process that uploaded them was killed (signal {signal})"
ENDED = "{unsynced} records unsynced: the process that uploaded them has failed, see runner.log"
"""What is said of an upload that has not come to its end, by who goes on with it."""


def report_of(directory: Path, progress: UploadState, words: str = FOLLOWED) -> SyncReport:
    """The user's view of an upload's progress; `words` are for one under way."""
    if progress.phase == "synced":
        return SyncReport(state="synced", mlflow_run_id=progress.run_id, note=progress.note, uri=progress.uri)
    unsynced = max(_count(directory) - progress.synced, 1)
    state = "partial"
    if progress.phase == "offline":
        state, said = "offline", f"{unsynced} records unsynced: {progress.message}"
    else:
        said = words.format(unsynced=unsynced, synced=progress.synced)
    return SyncReport(
        state=state,
        records_unsynced=unsynced,
        mlflow_run_id=progress.run_id,
        note=progress.note,
        uri=progress.uri,
        message=f"{said}; later: {command('sync', directory)}",
    )


def runs_of(sweep: Path) -> list[Path]:
    """The run directories of a sweep, in the order of their numbers."""
    return sorted(run_directories(sweep), key=lambda run: (len(run.name), run.name))


def together(sweep: Path, reports: Sequence[SyncReport]) -> SyncReport:
    """One report on all runs of a sweep."""
    unsynced = sum(report.records_unsynced for report in reports)
    states = {report.state for report in reports}
    uri = next((report.uri for report in reports), "")
    note = next((report.note for report in reports if report.note), "")
    if not unsynced:
        return SyncReport(state="synced", note=note, uri=uri)
    reason = (
        next(report.message for report in reports if report.message).split(": ", 1)[-1].split("; later")[0]
    )
    return SyncReport(
        state="offline" if "offline" in states else "partial",
        records_unsynced=unsynced,
        note=note,
        uri=uri,
        message=f"{unsynced} records unsynced: {reason}; later: {command('sync', sweep)}",
    )


def left_running(directory: Path) -> bool:
    """Whether a run was brought into some store while it went on, by a process that is gone."""
    states = [(file.name, UploadState.load(directory, file.name)) for file in directory.glob("mlflow*.json")]
    return any(
        state.phase == "uploading" and (name != FILE or not lives(state.uploader))  # that of its sweep, say
        for name, state in states
    )


def _count(directory: Path) -> int:
    """Events in a journal, by its lines."""
    file = open_kept(directory / JOURNAL)
    return sum(file.read(1 << 20, offset).count(b"\n") for offset in range(0, file.size, 1 << 20))

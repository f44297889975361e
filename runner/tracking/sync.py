"""Bring a run into MLflow exactly once, however often and from wherever it is tried."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
import uuid
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, ConfigWarning, JournalError, StorageError
from runner.record.directory import JOURNAL
from runner.record.events import Result, RunResumed, RunStarted
from runner.record.files import read_mapping, read_object
from runner.record.journal import JournalReader, is_begun, is_open, opening, read_journal
from runner.record.lock import lock
from runner.record.log import first
from runner.record.packed import is_there, open_kept
from runner.record.reading import check_told
from runner.record.redaction import redact
from runner.tracking.config import TrackingConfig, from_environment
from runner.tracking.parent import describe_parent
from runner.tracking.presentation import (
    copy,
    evaluation_table,
    job_table,
    link,
    parameters,
    printable,
    tags,
)
from runner.tracking.report import (
    FILE,
    GOES_ON,
    SyncReport,
    UploadState,
    file_of,
    report_of,
    runs_of,
    together,
)
from runner.tracking.store import (
    BATCH,
    CLAIM_TAG,
    JOURNAL_TAG,
    NotOursError,
    Store,
    StoreError,
    absolute,
    is_server,
)
from runner.tracking.translation import Point, Translation
from runner.tracking.views import STARTED

RESULT = "result.json"
"""What a run came to."""

FILES = (
    "config.yaml",
    "session.json",
    RESULT,
    "calibration.json",
    "noise_model.json",
    "runner.log",
    "report.html",
    "forecast.json",
)
"""Files of a run directory that go to MLflow as they are, with everything in figures/."""

BEGUN = ("config.yaml", "calibration.json", "runner.log")
"""Those of them that are written before a run's first job, or tell no numbers."""

OF_THE_END = (RESULT, "session.json", "report.html")
"""Those that tell how a run ended, as everything in figures/ does."""

log = logging.getLogger("runner.tracking")


class RunSync:
    """One run directory on its way into one store; `advance` as the run goes on, `finish` when it has ended.

    Args:
        directory: the run directory.
        config: which store.
        live: the run is going on, so the store shall say that it is running.
        announce: told about every change of `progress`.
    """

    def __init__(
        self,
        directory: Path,
        config: TrackingConfig,
        *,
        live: bool = False,
        announce: Callable[[UploadState], None] = lambda _: None,
    ) -> None:
        self.directory = directory
        self._announce = announce
        self.config = config
        self.live = live
        self.translation = Translation()
        uri = absolute(config.uri)
        self._file = FILE if live else file_for(directory, uri)
        self.progress = UploadState.load(directory, self._file)
        if self.progress.uri != uri:
            self.progress = UploadState(uri=uri)
        self._was_synced = self.progress.phase == "synced"
        self.progress.experiment = redact(config.experiment) if config.experiment else None
        self.progress.phase, self.progress.since, self.progress.message = "starting", None, ""
        self.progress.slowest, self.progress.failures, self.progress.note = 0.0, 0, ""
        self._save()
        try:
            self._reader = JournalReader(directory / JOURNAL)
        except OSError as error:
            raise JournalError(f"{directory} holds no {JOURNAL}, so it is not a run directory") from error
        self._store: Store | None = None
        self._children: dict[str, str] = {}
        self._next = 0
        self._resumed = self._scanned = 0
        self._waiting: list[tuple[int, Point]] = []
        self._patient = live
        self._token, self._claimed, self._lost = uuid.uuid4().hex[:16], False, ""

    def advance(self) -> None:
        """Bring in what the journal says by now.

        Raises:
            StoreError: the store did not take it; nothing is lost by trying again.
        """
        self._reader.scan()
        if self._next == 0:
            self._compare()
        self._take()
        if not self.translation.started:
            return
        run_id = self._run()
        if self._before_energies():
            return
        while self._waiting:
            batch = self._waiting[:BATCH]
            points = [point for seq, point in batch if seq >= self.progress.synced]
            if points:
                self._send(run_id, points, batch[-1][0] + 1)
            del self._waiting[: len(batch)]
            self._take()
            if self._waiting:
                self._reached(self._waiting[0][0])
        self._reached(len(self._reader.events))
        self._say("uploading")

    def _reached(self, count: int) -> None:
        """Take note of how many events at the start of the journal are in the store."""
        if count > self.progress.synced:
            self.progress.synced, self.progress.crc = count, self._checksum(count)

    def _checksum(self, count: int) -> str:
        """That of the last of so many lines, which is one of all before it too; empty where there are not so many."""
        events = self._reader.events
        return events.checksum(count - 1) if 0 < count <= len(events) else ""

    def _compare(self) -> None:
        """Begin with the first event where the journal is not the one that was uploaded, as once it was damaged."""
        known = self.progress
        if known.crc and self._checksum(known.synced) != known.crc:
            known.synced, known.crc, known.fingerprint = 0, "", ""

    def _take(self) -> None:
        """Translate the next events, until there is enough for one request; the others stay in the journal."""
        events = self._reader.events
        while self._next < len(events) and len(self._waiting) < BATCH:
            event = events[self._next]
            self._next += 1
            overtaken = isinstance(event, Result) and self.progress.synced <= event.seq < self._last_resumed()
            self._waiting += [
                (event.seq, point) for point in self.translation.feed(event, overtaken=overtaken)
            ]

    def _last_resumed(self) -> int:
        """Where the journal says last that another process goes on; 0 where none does."""
        events = self._reader.events
        self._resumed = max(
            events.chosen(range(self._scanned, len(events)), RunResumed), default=self._resumed
        )
        self._scanned = len(events)
        return self._resumed

    def _begin_again(self) -> None:
        """Translate from the first event, for a store that has nothing of this run."""
        self.progress.synced, self.progress.fingerprint = 0, ""
        self.translation, self._next = Translation(), 0
        self._waiting.clear()
        self._children.clear()
        self._take()

    def finish(self) -> None:
        """Bring in the rest, and tell the store how the run ended; repeats cost nothing.

        Raises:
            StoreError: the store did not take it.
        """
        self.advance()
        if not self.translation.started:
            self._say("synced")
            return
        run_id = self._run()
        fingerprint = self.fingerprint()
        if self.progress.fingerprint != fingerprint:
            assert self._store is not None
            with self._held(run_id):
                pass
            started = self.translation.started
            said = parameters(started.config, started.unused) | {
                STARTED: f"{datetime.fromtimestamp(started.t, UTC):%Y-%m-%d %H:%M:%S}"
            }
            shown = [{"path": name, "type": "table"} for name in ("jobs.json", "evaluations.json")]
            count = len(self._reader.events)
            described = tags(self.translation) | {
                "mlflow.loggedArtifacts": json.dumps(shown),
                JOURNAL_TAG: f"{count} {self._checksum(count)}",
            }
            if self._reader.damaged:
                words = f"The journal is damaged: {printable(self._reader.dropped or '')}"
                note = f"{words}\n\n{described['mlflow.note.content']}"
                described |= {"runner.state": "damaged", "mlflow.note.content": note}
            self._store.describe(run_id, said, described)
            ended = self.translation.ended.t if self.translation.ended else self.translation.last
            for workload in self.translation.children:
                self._store.set_status(self._child(run_id, workload), self.translation.status, ended)
            self._store.set_status(run_id, self.translation.status, ended)
            with self._staged(
                self._store.folder(run_id)
            ) as folder:  # last: files may have nowhere to go, and the run has ended all the same
                self._store.artifacts(run_id, folder)
            self.progress.fingerprint = fingerprint
        self._say("synced")

    def fingerprint(self) -> str:
        """Digest of all that `finish` uploads: the same again means that there is nothing to do."""
        digest = hashlib.sha256(f"{self._reader.crc} {len(self._reader.events)}".encode())
        for path in self._files():
            state = path.stat()
            digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}".encode())
        return digest.hexdigest()

    def _files(self) -> list[Path]:
        """The files that are uploaded: no result but the journal's, and of a damaged one none that tell what it did."""
        found = files_of(self.directory)
        if self._reader.damaged:
            return [one for one in found if one.name in BEGUN]
        if self._overtaken:
            return [one for one in found if not self._of_the_end(one)]
        result = self.directory / RESULT
        return [one for one in found if one != result or wrong_result(result) is None]

    @property
    def _overtaken(self) -> bool:
        """Whether the files of the run's end are those of one after which it has gone on."""
        return self.translation.goes_on and self.translation.ended is None

    def _of_the_end(self, path: Path) -> bool:
        """Whether a file tells how the run ended."""
        return path.parent != self.directory or path.name in OF_THE_END

    def looked_through(self) -> Iterator[str]:
        """One line on each thing that is not brought in because it is damaged, where nobody writes the journal.

        Raises:
            JournalError: nothing can be read of it.
        """
        self._reader.scan()
        self._reader.require_once()
        path, said = self.directory / JOURNAL, self._reader.damaged
        if not self._reader.events:
            self._give_up()
            raise JournalError(
                f"{path} cannot be brought in: {said}, and nothing before it is intact"
                if said
                else f"{path} was cut off before anything was recorded; there is nothing to bring in"
            )
        if self._reader.dropped:
            yield f"{path}: {self._reader.dropped}"
        elif (wrong := wrong_result(self.directory / RESULT)) is not None:
            yield wrong

    def _give_up(self) -> None:
        """Let the store say of a run that it believes to be going on that nothing can be read of it any more."""
        run_id = self.progress.run_id
        if run_id is None or self._was_synced:
            return
        with contextlib.suppress(OSError, ConfigError, KeyError, TypeError, StoreError):
            content: Any = read_mapping(self.directory / "config.yaml")
            experiment = redact(self.config.experiment or content["experiment"]["name"])
            store = Store(self.progress.uri, self.config.artifacts, experiment, self._request)
            store.describe(run_id, {}, {"runner.state": "damaged"})
            store.set_status(run_id, "KILLED", open_kept(self.directory / JOURNAL).modified)
            self._say("synced")  # there is nothing more to come

    def report(self) -> SyncReport:
        """How far it has come."""
        return report_of(self.directory, self.progress)

    def failed(self, error: StoreError) -> None:
        """Note that the store did not take it."""
        self.progress.since = None
        self.progress.failures += 1
        self.progress.message = str(error)
        self._store = None
        self._say("offline")

    def _run(self) -> str:
        """The MLflow run, found again or made."""
        if self._lost:
            raise NotOursError(self._lost)
        if self._store is not None and self.progress.run_id:
            return self.progress.run_id
        started = self._started
        experiment = redact(self.config.experiment or started.experiment or "runner")
        store = Store(self.progress.uri, self.config.artifacts, experiment, self._request, live=self.live)
        self.progress.note = store.note or self.progress.note
        run_id = store.find_run(self.identity)
        older = made = False
        if run_id is not None:
            known = store.tags(run_id)
            tag = known.get(JOURNAL_TAG)
            self._require_ours(tag)
            self._require_unclaimed(known)
            older = bool(self.progress.fingerprint) and _lines(tag) < self.progress.synced
        if run_id is not None and self.live:
            self.progress.fingerprint = ""
        if run_id is None:
            labels = {"runner.state": "running", "runner.directory": printable(started.run_id)}
            if started.parent:
                labels["mlflow.parentRunId"] = self._parent(store, started.parent)
            name = printable(redact(started.name or started.run_id))[:250]
            self.progress.claim, labels[CLAIM_TAG] = self._token, f"{self._token} 0 "
            run_id = store.create_run(self.identity, name, started.t, labels)
            made = True
        # older: the store is a copy from before the run was there as a whole
        if run_id != self.progress.run_id or older:
            self.progress.run_id = run_id
            self._begin_again()
        self.progress.experiment_id = store.experiment_id
        self._store = store
        if self.live and not made:
            with self._held(run_id):
                store.set_status(run_id, "RUNNING", None)
        self._say("uploading")
        return run_id

    def _require_unclaimed(self, tags: Mapping[str, str]) -> None:
        """Refuse what another journal of this run has brought in, and may go on to; what this directory has is ours.

        Raises:
            StoreError: its lines are no others of this one.
        """
        token, _, place = tags.get(CLAIM_TAG, "").partition(" ")
        if token != self.progress.claim:  # a power cut may have cost lines that are there already
            self._require_ours(place or None)

    def _require_ours(self, tag: str | None) -> None:
        """Refuse to mix this run with another journal of it in the store.

        Raises:
            StoreError: what is there is of a journal that has other lines.
        """
        count = _lines(tag)
        # what was damaged is beside the journal, and what is made up for it is the same
        if tag is None or count < 0 or next(self.directory.glob(f"{JOURNAL}.dropped-*"), None) is not None:
            return
        if self._checksum(count) != tag.partition(" ")[2]:
            raise NotOursError(
                f"this run is there already, from a journal of {count} lines that this one does not begin with "
                "(of a copy that went on, say); delete it there, or name another store by tracking.uri"
            )

    @property
    def _started(self) -> RunStarted:
        assert self.translation.started is not None
        return self.translation.started

    @property
    def identity(self) -> str:
        """What tells this run from every other, wherever its directory is moved."""
        return _digest(f"{self._started.run_id} {self._started.t:.6f}")

    def _parent(self, store: Store, parent: str) -> str:
        """The MLflow run of a sweep, made by whichever of its runs comes first."""
        with locked(self.directory.absolute().parent):
            found = store.find_run(_digest(parent))
            if found is None:
                started = self._started.t
                name = printable(redact(self.directory.absolute().parent.name))[:250]
                found = store.create_run(_digest(parent), name, started, {"runner.state": "sweep"})
                store.set_status(found, "FINISHED", started)
        return found

    def _send(self, run_id: str, points: list[Point], count: int) -> None:
        """Store metric values where they belong: in the run, or in the child run of their workload.

        Args:
            run_id: the MLflow run.
            points: at most `BATCH`.
            count: lines of the journal that they end with.
        """
        assert self._store is not None
        own: list[tuple[str, float, int, int]] = []
        by_owner: dict[str, list[tuple[str, float, int, int]]] = defaultdict(list)
        # MLflow's comparison of runs opens on the metric that was stored first
        for owner, *point in sorted(points, key=lambda point: not point.key.startswith("energy/")):
            (own if owner is None else by_owner[owner]).append(tuple(point))  # type: ignore[arg-type]
        with self._held(run_id):
            self._store.metrics(run_id, own, {CLAIM_TAG: f"{self._token} {count} {self._checksum(count)}"})
        for owner, values in by_owner.items():
            self._store.metrics(self._child(run_id, owner), values)

    @contextlib.contextmanager
    def _held(self, run_id: str) -> Iterator[None]:
        """Write to the MLflow run, if no copy of this run has begun to meanwhile.

        Raises:
            StoreError: one has; nothing is written.
        """
        assert self._store is not None
        with self._store.alone():
            self._claim(run_id, self._store.tags(run_id))
            yield

    def _claim(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Let others know that this process brings the run in; the directory's lock keeps those at it out.

        Raises:
            StoreError: what is there is of a journal that has other lines, or another process has taken it over.
        """
        assert self._store is not None
        token, _, place = tags.get(CLAIM_TAG, "").partition(" ")
        if token == self._token:
            self._claimed = True
            return
        if self._claimed:
            self._lost = (
                "a copy of this run goes on, too, and has taken over this run there; the journal keeps everything, and "
                "once the copy has ended sync tells what can be brought in"
            )
            raise NotOursError(self._lost)
        self._require_unclaimed(tags)
        self.progress.claim = self._token
        self._store.describe(run_id, {}, {CLAIM_TAG: f"{self._token} {place or '0 '}"})
        self._claimed = True

    def _before_energies(self) -> bool:
        """Whether to wait for the first energy, which belongs before what its job cost; once, and not for long."""
        waits = self._patient and self.translation.ended is None and self._next == len(self._reader.events)
        self._patient = False
        return waits and not any(point.key.startswith("energy/") for _, point in self._waiting)

    def _child(self, run_id: str, workload: str) -> str:
        """The MLflow run of one workload, below the run's own."""
        if workload not in self._children:
            assert self._store is not None
            identity = _digest(f"{self.identity} {workload}")
            name = printable(redact(workload))[:250]
            labels = {"mlflow.parentRunId": run_id, "runner.workload": name}
            self._children[workload] = self._store.find_run(identity) or self._store.create_run(
                identity, name, self.translation.children[workload], labels
            )
        return self._children[workload]

    @contextlib.contextmanager
    def _staged(self, shown: Path | None) -> Iterator[Path]:
        """A folder with exactly what is to be uploaded: own files and tables, no symbolic links, no secrets.

        Args:
            shown: the store's own folder for this run, where files are linked that it can show as they are.
        """
        with tempfile.TemporaryDirectory(prefix="runner-sync-") as temporary:
            folder = Path(temporary)
            if shown is not None and self._overtaken:
                for source in filter(self._of_the_end, files_of(self.directory)):
                    (shown / source.relative_to(self.directory)).unlink(missing_ok=True)
            for source in self._files():
                name = source.relative_to(self.directory)
                if shown is not None and link(source, shown / name):
                    continue
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                copy(source, target)
            tables = {
                "jobs.json": job_table(list(self.translation.jobs.values())),
                "evaluations.json": evaluation_table(self.translation),
            }
            for file, content in tables.items():
                (folder / file).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
            yield folder

    def _request(self, begins: bool) -> None:
        """Note when a request begins and how long it took, for the run that may be waiting for a server."""
        if not is_server(self.config.uri):
            return  # a local database may take its time; a small file for each of its requests would take as long
        now = time.monotonic()
        if begins:
            self.progress.since = now
        elif self.progress.since is not None:
            self.progress.slowest = max(self.progress.slowest, now - self.progress.since)
            self.progress.since = None
        self._save()

    def _save(self) -> None:
        self.progress.save(self.directory, self._file)
        self._announce(self.progress)

    def _say(self, phase: str) -> None:
        self.progress.phase = phase
        if phase != "offline":
            self.progress.message = ""
        self._save()


def sync(
    directory: str | Path,
    config: TrackingConfig | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    wait: float = 10.0,
) -> SyncReport:
    """Bring a run into MLflow; nothing is ever twice in a store, and trying again is always right.

    Args:
        directory: a run directory or a sweep's; one that was recorded with tracking off is brought in too.
        config: where to; None: what the run's own config.yaml says.
        settings: keys of `tracking` with values that count instead of the run's own, `uri` for another store.
        wait: seconds to wait for another process that is uploading this run.

    Raises:
        JournalError: there is no run in the directory.
    """
    directory = Path(directory)
    if not is_there(directory / JOURNAL):
        runs = runs_of(directory)
        if not runs:
            raise JournalError(f"{directory} holds no {JOURNAL}, so it is not a run directory")
        reports = [_sync_member(run, config, settings, wait) for run in runs]
        whole = together(directory, reports)
        where = config or replace(recorded_config(runs[0]), **settings or {})
        with contextlib.suppress(StoreError):  # the runs' reports say that the store does not answer
            parent, number = bring_in_parents(directory, runs, where) or (None, None)
            uri = absolute(where.uri)
            file = file_for(runs[0], uri)
            progress = replace(
                UploadState.load(directory, file), uri=uri, run_id=parent, experiment_id=number
            )
            if not whole.records_unsynced:
                progress.phase, progress.message = "synced", ""
            progress.save(directory, file)
        return whole
    config = config or replace(recorded_config(directory), **settings or {})
    try:
        with locked(directory, wait=wait):
            run = RunSync(directory, config)
            try:
                if is_open(directory / JOURNAL):
                    run.advance()
                if not is_open(directory / JOURNAL):
                    for told in run.looked_through():
                        warnings.warn(told, ConfigWarning, stacklevel=2)
                    run.finish()
            except StoreError as error:
                run.failed(error)
            return report_of(directory, run.progress, GOES_ON)
    except BlockingIOError:
        uri = absolute(config.uri)
        report = report_of(directory, UploadState.load(directory, file_for(directory, uri)))
        return replace(report, message=f"another process is uploading {directory} right now")


def _sync_member(
    run: Path, config: TrackingConfig | None, settings: Mapping[str, Any] | None, wait: float
) -> SyncReport:
    """What became of a run of a sweep; one that cannot be read keeps no other from being brought in."""
    try:
        if opening(run / JOURNAL) is None and not is_begun(run / JOURNAL):
            return SyncReport(state="synced")  # it was killed before it began
        return sync(run, config, settings=settings, wait=wait)
    except (JournalError, ConfigError) as error:
        return SyncReport(state="partial", records_unsynced=1, message=f"1 records unsynced: {error}")


@contextlib.contextmanager
def locked(folder: Path, wait: float | None = None) -> Iterator[None]:
    """Hold a folder's lock; the kernel frees it should we die.

    Raises:
        BlockingIOError: somebody else held it for longer than `wait` seconds.
        StorageError: its file system has no locks.
    """
    with contextlib.ExitStack() as stack:
        try:
            _take(stack, folder, os.O_RDONLY | os.O_DIRECTORY, wait)
        except StorageError:  # NFS has locks only for what is open for writing, and no folder can be
            _take(stack, folder / ".mlflow.lock", os.O_RDWR | os.O_CREAT, wait)
        yield


def _take(stack: contextlib.ExitStack, path: Path, flags: int, wait: float | None) -> None:
    """Hold the lock of a file or folder as long as `stack` is open."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"cannot lock {path}: {(error.strerror or str(error)).lower()}") from error
    stack.callback(os.close, descriptor)
    lock(descriptor, path, wait=wait)


def reconcile(outputs: str | Path = "outputs", *, wait: float = 0.0) -> list[SyncReport]:
    """Mark runs as killed whose process is gone but which MLflow still believes to be running.

    Looks at the run directories below `outputs` that were uploaded in part and that nobody is writing, and brings in
    the end of those that were brought into another store while they went on.

    Args:
        outputs: a folder with run directories, or one of these.
        wait: seconds to wait for a process that is uploading the same run.
    """
    reports = []
    for file in sorted(Path(outputs).glob("**/mlflow*.json")):
        directory = file.parent
        progress = UploadState.load(directory, file.name)
        own = file.name == FILE
        if (
            progress.run_id is None
            or progress.phase == "synced"
            or not (own or progress.phase == "uploading")
        ):
            continue
        where = {} if own else {"uri": progress.uri, "experiment": progress.experiment}
        with contextlib.suppress(JournalError, OSError):
            if not is_open(directory / JOURNAL):
                reports.append(sync(directory, settings=where, wait=wait))
    return reports


def file_for(directory: Path, uri: str) -> str:
    """The file of a run's directory that says how far it has been brought into the store at an absolute address."""
    known = UploadState.load(directory).uri or absolute(recorded_config(directory).uri)
    return FILE if uri == known else file_of(uri)


def recorded_config(directory: Path) -> TrackingConfig:
    """The tracking section of a run's config.yaml, or of its journal where that is gone; else the defaults.

    A run that was recorded with tracking off goes where the environment says, if it says something.
    """
    content: Any
    try:
        content = read_mapping(directory / "config.yaml")
    except (OSError, ValueError):
        events = read_journal(directory / JOURNAL).events
        started = first(events, RunStarted)
        content = {} if started is None else started.config
    section = content.get("tracking") if isinstance(content, Mapping) else None
    known = {field.name for field in fields(TrackingConfig)}
    values = {key: value for key, value in (section or {}).items() if key in known}
    if not values.get("enabled", True):
        values |= from_environment()
    config = TrackingConfig(**values)
    recorded = UploadState.load(directory).uri
    if recorded and absolute(config.uri) != recorded and recorded.endswith(config.uri.partition(":///")[2]):
        config.uri = recorded  # the run was started from another folder
    return config


def wrong_result(path: Path) -> str | None:
    """One line on a result.json that is not the result of its journal; None where it is, or where there is none."""
    try:
        check_told(read_object(path), path)
    except ConfigError as error:
        return str(error)
    except OSError:
        return None
    return None


def files_of(directory: Path) -> list[Path]:
    """The files of a run that are uploaded; what is not a plain file of this run is left alone."""
    candidates = [directory / name for name in FILES]
    candidates += sorted((directory / "figures").rglob("*"))
    home = directory.resolve()
    return [
        path
        for path in candidates
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(home)
    ]


def bring_in_parents(
    sweep: Path, runs: Sequence[Path], config: TrackingConfig | None = None
) -> tuple[str, str] | None:
    """Complete the parent run of a sweep, in every MLflow experiment that its runs are in.

    Returns:
        The last of these runs and its MLflow experiment, by their ids.

    Raises:
        StoreError: the store did not take it.
    """
    parents = {}
    for run in runs:
        started = opening(run / JOURNAL)
        if started is not None and started.parent:
            parents[started.experiment] = _digest(started.parent)
    where = config or (recorded_config(runs[0]) if runs else TrackingConfig())
    found = None
    for experiment, identity in parents.items():
        found = describe_parent(sweep, where, where.experiment or experiment, identity) or found
    return found


def _lines(tag: str | None) -> int:
    """How many lines of a journal a run in the store was made of, by its tag; −1 where that does not say it."""
    count = (tag or "").partition(" ")[0]
    return int(count) if count.isascii() and count.isdecimal() else -1


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]

"""What a server remembers of jobs and sessions, in memory and in a folder that outlives it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.errors import StorageError
from runner.record.events import Event, Vocabulary, fact
from runner.record.files import replace_file
from runner.record.journal import Journal
from runner.runtime.machine import ACTIVE, BATCH, MAX_JOB_TIME_CODE, QUEUED, Job

LEDGER: Vocabulary = {}
"""The facts that a server's journal knows."""

COMPLETED, FAILED, CANCELLED = "Completed", "Failed", "Cancelled"
RESTARTED = "the server was stopped before the job was over; submit it again"
INTERNAL_CODE = 9707
TOO_LONG_CODE = MAX_JOB_TIME_CODE
"""Of a job that its own limit ended: the API calls it cancelled, the client failed."""


@dataclass(kw_only=True)
class Entry:
    """One job, as far as the API tells of it; dates are ISO texts on the runtime's clock."""

    id: str
    """UUID form."""
    program: str
    """estimator | sampler | executor."""
    backend: str
    """The backend's name in the API."""
    session: str | None
    """Its session or batch."""
    tags: list[str]
    """Its tags."""
    created: str
    """When it was submitted."""
    estimate: float
    """QPU seconds the cost model expects."""
    cost: int | None = None
    """Its own limit in QPU seconds."""
    private: bool = False
    """Its input is not kept, and its result until it is read."""
    read: bool = False
    """It is private, and its result was read."""
    calibration: str | None = None
    """Id of the calibration it was submitted for."""
    notes: list[str] = field(default_factory=list)
    """What its log says."""
    status: str | None = None
    """Completed | Failed | Cancelled; None as long as it is not over."""
    reason: str | None = None
    """Why it failed or was cancelled."""
    code: int | None = None
    """The API's code of that reason."""
    running: str | None = None
    """When it started."""
    prepared: str | None = None
    """When its classical phase was over; None before, and in what an earlier release wrote."""
    reached: str | None = None
    """When it reached the QPU; None where it did not, or an earlier release wrote it."""
    finished: str | None = None
    """When it was over."""
    usage: float = 0.0
    """QPU seconds used."""

    @property
    def pending(self) -> bool:
        """Whether it is not over."""
        return self.status is None


@fact("start", among=LEDGER)
class ServerStarted(Event):
    """A server begins to serve this folder."""

    pid: int
    """Its process."""
    price: float | None = None
    """USD per second of usage; None where an earlier release did not say."""


@fact("job", among=LEDGER)
class EntryMade(Event):
    """A job was submitted."""

    job: Mapping[str, Any]
    """The fields of its `Entry`."""


@fact("job.end", among=LEDGER)
class EntryEnded(Event):
    """A job is over."""

    job: Mapping[str, Any]
    """The fields of its `Entry`."""


@fact("job.tags", among=LEDGER)
class EntryTagged(Event):
    """A job has other tags."""

    id: str
    """The job's."""
    tags: list[str]
    """All that it has now."""


@fact("job.read", among=LEDGER)
class EntryRead(Event):
    """The result of a private job was read, and is gone."""

    id: str
    """The job's."""


@fact("job.deleted", among=LEDGER)
class EntryDeleted(Event):
    """A job was deleted."""

    id: str
    """The job's."""


@fact("session", among=LEDGER)
class SessionTold(Event):
    """A session or batch is in another state."""

    details: Mapping[str, Any]
    """As the API tells of it, with `state_reason`."""


def active_until(details: Mapping[str, Any], date: str) -> float | None:
    """For how long a session was active until a date, by its transitions [s]; None before its first job."""
    if details["usage_time"] is None:
        return None
    steps = details["timestamps"]
    ends = [*(one["timestamp"] for one in steps[1:]), date]
    return sum(
        max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(one["timestamp"])).total_seconds())
        for one, end in zip(steps, ends, strict=True)
        if one["status"] == ACTIVE
    )


class Ledger:
    """All jobs and sessions a server knows of.

    Everything that is told to a client as finished is on disk first: the result in a file of its own, the
    fact in the journal.

    Args:
        directory: The folder.
        price: USD per second of usage, for whoever reads the journal.
    """

    def __init__(self, directory: Path, price: float | None = None) -> None:
        self._jobs_dir = directory / "jobs"
        try:
            self._jobs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {self._jobs_dir}: {(error.strerror or '').lower()}") from error
        path = directory / "journal.jsonl"
        self._journal = Journal.append_to(path, vocabulary=LEDGER) if path.exists() else Journal.create(path)
        self.entries: dict[str, Entry] = {}
        self.live: dict[str, Job] = {}
        """The machine's jobs that are not over."""
        self.sessions: dict[str, dict[str, Any]] = {}
        """Last known details of every session, also of earlier lives of the server."""
        self.lives = 0
        """How often a server was started in this folder before."""
        self.latest: str | None = None
        """The latest date on record; the clock must not start before it."""
        self._taking = threading.Lock()
        self.job_usage = 0.0
        """QPU seconds of all jobs outside of sessions and batches, deleted ones included."""
        for event in self._journal.contents.events:
            self._remember(event)
        self._settle_the_past()
        self._journal.write(ServerStarted(pid=os.getpid(), price=price))

    def close(self) -> None:
        """Let go of the folder."""
        self._journal.close()

    # -- jobs -------------------------------------------------------------------------------------------

    def submitted(self, entry: Entry, job: Job, params: bytes | None) -> None:
        """Remember a new job and, unless it is private, what was asked."""
        if params is not None:
            replace_file(self._params(entry.id), [params])
        self.live[entry.id] = job
        self.entries[entry.id] = entry
        self._journal.write(EntryMade(job=asdict(entry)))

    def finished(self, entry: Entry, status: str, result: str | None) -> None:
        """Remember what became of a job; its status shows once that is on disk.

        Raises:
            StorageError: the disk refused.
        """
        if result is not None:
            replace_file(self._result(entry.id), [result.encode()])
        self._journal.write(EntryEnded(job={**asdict(entry), "status": status}))
        self._count(entry)
        entry.status = status
        self.live.pop(entry.id, None)

    def lost(self, entry: Entry, reason: str) -> None:
        """Fail a job whose result could not be kept."""
        entry.reason, entry.code, entry.status = reason, INTERNAL_CODE, FAILED
        self.live.pop(entry.id, None)

    def _count(self, entry: Entry) -> None:
        if entry.session is None:
            self.job_usage += entry.usage

    def retag(self, entry: Entry, tags: list[str]) -> None:
        """Replace a job's tags."""
        entry.tags = tags
        self._journal.write(EntryTagged(id=entry.id, tags=tags))

    def take(self, entry: Entry) -> bytes | None:
        """The result of a private job, for one reader; None where it was read, or there is none. See `taken`."""
        with self._taking:
            if entry.read or (content := self.result(entry)) is None:
                return None
            entry.read = True
            return content

    def taken(self, entry: Entry, *, whole: bool) -> None:
        """Forget a result that was taken; where the connection broke before its end, it can be read again."""
        with self._taking:
            if whole:
                self._journal.write(EntryRead(id=entry.id))
                self._result(entry.id).unlink(missing_ok=True)
            else:
                entry.read = False

    def delete(self, entry: Entry) -> None:
        """Forget a job that is over, and its files."""
        self._journal.write(EntryDeleted(id=entry.id))
        self._forget(entry.id)

    def _forget(self, job_id: str) -> None:
        self.entries.pop(job_id, None)
        self._params(job_id).unlink(missing_ok=True)
        self._result(job_id).unlink(missing_ok=True)

    def state(self, entry: Entry) -> str:
        """The job's status in the API's words."""
        if entry.status is not None:
            return entry.status
        job = self.live.get(entry.id)
        return "Queued" if job is not None and job.status == QUEUED else "Running"

    def result(self, entry: Entry) -> bytes | None:
        """The result as the client gets it; None where there is none."""
        return self._read(self._result(entry.id))

    def params(self, entry: Entry) -> Any:
        """What was asked; empty for a private job."""
        content = self._read(self._params(entry.id))
        return json.loads(content) if content else {}

    def newest(self) -> Iterator[Entry]:
        """All jobs, newest first."""
        return iter(reversed(list(self.entries.values())))

    # -- sessions ---------------------------------------------------------------------------------------

    def session(self, details: Mapping[str, Any], reason: str) -> None:
        """Remember what a session has become."""
        self.sessions[details["id"]] = {**details, "state_reason": reason}
        self._journal.write(SessionTold(details=self.sessions[details["id"]]))

    # -- disk -------------------------------------------------------------------------------------------

    def _remember(self, event: Event) -> None:
        if isinstance(event, ServerStarted):
            self.lives += 1
        elif isinstance(event, EntryMade | EntryEnded):
            entry = Entry(**event.job)
            self.entries[entry.id] = entry
            self._count(entry)
            self._note_date(entry.finished or entry.created)
        elif isinstance(event, EntryTagged):
            if event.id in self.entries:
                self.entries[event.id].tags = event.tags
        elif isinstance(event, EntryRead):
            if event.id in self.entries:
                self.entries[event.id].read = True
                self._result(event.id).unlink(missing_ok=True)  # a kill may have left it
        elif isinstance(event, EntryDeleted):
            self.entries.pop(event.id, None)
        elif isinstance(event, SessionTold):
            self.sessions[event.details["id"]] = dict(event.details)
            for transition in event.details["timestamps"]:
                self._note_date(transition["timestamp"])

    def _note_date(self, date: str) -> None:
        self.latest = max(self.latest or date, date)

    def _settle_the_past(self) -> None:
        """Jobs and sessions that an earlier server left open ended with it."""
        date = max(self.latest or "", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        for entry in self.entries.values():
            if entry.pending:
                entry.status, entry.reason, entry.code = FAILED, RESTARTED, INTERNAL_CODE
                entry.finished = date
                self._journal.write(EntryEnded(job=asdict(entry)))
        for details in list(self.sessions.values()):
            if details["state"] != "closed":
                ended = {
                    **details,
                    "state": "closed",
                    "accepting_jobs": False,
                    "closed_at": date,
                    "usage_time": self._usage_at_the_end(details),
                    "timestamps": [*details["timestamps"], {"status": "closed", "timestamp": date}],
                }
                self.session(ended, "the server was stopped")

    def _usage_at_the_end(self, details: Mapping[str, Any]) -> float | None:
        """What a session or batch that its server left open is charged for, as far as that is on record."""
        told: float | None = details["usage_time"]
        if told is None or details["state"] != ACTIVE:
            return told
        if details["mode"] != BATCH:
            return active_until(details, self.latest or "")
        return max(told, sum(job.usage for job in self.entries.values() if job.session == details["id"]))

    def _params(self, job_id: str) -> Path:
        return self._jobs_dir / f"{job_id}.params.json"

    def _result(self, job_id: str) -> Path:
        return self._jobs_dir / f"{job_id}.result.json"

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

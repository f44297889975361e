"""The workloads of a server (sessions, batches, jobs by themselves): what they are, what they take, what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from runner.runtime.machine import ACTIVE, CLOSED, DEDICATED, MAX_JOB_TIME_CODE, OPEN
from runner.serve import ledger as ledgers
from runner.serve.errors import ApiError
from runner.serve.ledger import Entry
from runner.serve.query import opened
from runner.serve.runtime import CRN, Runtime
from runner.serve.wire import not_found

PENDING, IN_PROGRESS, COMPLETED = "pending", "in_progress", "completed"
CANCELED, FAILED = "canceled", "failed"
STATUSES = (PENDING, IN_PROGRESS, COMPLETED, CANCELED, FAILED)
MODES = ("session", "batch", "job")
MAX_LIMIT = 50
"""Workloads in one answer, as at the service."""
DRAWN = 600
"""Jobs that are drawn one by one; of more, how busy they keep the device."""
BINS = 300
"""Into how many pieces the time of so many jobs is cut."""

Segments = list[tuple[str, float]]
"""What a workload did and for how many seconds, one after the other."""


@dataclass
class Workload:
    """A session or batch with its jobs, or a job by itself."""

    mode: str
    """session | batch | job."""
    id: str
    created: str
    """When it was opened or submitted."""
    backend: str
    """The device's name in the API."""
    told: Mapping[str, Any] | Entry
    """Details of a session or batch; the job."""
    status: str
    """pending | in_progress | completed | canceled | failed, as the service groups them."""
    jobs: list[Entry] = field(default_factory=list)
    """Oldest first."""

    @property
    def ended(self) -> str | None:
        """When it was over."""
        return self.told.finished if isinstance(self.told, Entry) else self.told["closed_at"]

    @property
    def usage(self) -> float:
        """Seconds that it is charged for so far."""
        return self.told.usage if isinstance(self.told, Entry) else self.told["usage_time"] or 0.0

    @cached_property
    def tags(self) -> list[str]:
        """Those of its jobs, each once."""
        return list(dict.fromkeys(tag for job in self.jobs for tag in job.tags))

    @property
    def reason(self) -> str | None:
        """Why it is as it is."""
        return self.told.reason if isinstance(self.told, Entry) else self.told["state_reason"]

    def fits(
        self, *, mode: str | None, statuses: Sequence[str], search: str, tags: Iterable[str] = ()
    ) -> bool:
        """Whether it is one that is asked for; `search` is looked for in ids, tags and names of devices."""
        if (mode and mode != self.mode) or (statuses and self.status not in statuses):
            return False
        wanted = set(tags)
        if wanted and not wanted <= set(self.tags):
            return False
        return not search or any(
            search in text.lower()
            for text in (self.id, self.backend, *self.tags, *(job.id for job in self.jobs))
        )


class Workloads:
    """All workloads of a runtime, looked at anew for every answer.

    Args:
        runtime: Whose.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def newest(self) -> list[Workload]:
        """All of them, the last to be opened or submitted first."""
        runtime = self._runtime
        found: dict[str, Workload] = {}
        for details in runtime.sessions():
            found[details["id"]] = self._of(details)
        single = []
        for entry in list(runtime.ledger.entries.values()):
            if entry.session in found:
                found[entry.session].jobs.append(entry)
            elif entry.session is None:
                status = self.status(entry)
                single.append(Workload("job", entry.id, entry.created, entry.backend, entry, status, [entry]))
        return sorted([*found.values(), *single], key=lambda one: one.created)[::-1]

    def _of(self, details: Mapping[str, Any], jobs: Iterable[Entry] = ()) -> Workload:
        """A session or batch with these of its jobs."""
        backend, status = self._runtime.called(details), _of_session(details)
        return Workload(_mode(details), details["id"], opened(details), backend, details, status, list(jobs))

    def status(self, entry: Entry) -> str:
        """A job's state in the words of the service's list."""
        if entry.code == MAX_JOB_TIME_CODE and not entry.pending:
            return FAILED
        return _OF_JOB[self._runtime.ledger.state(entry)]

    # -- GET /workloads ---------------------------------------------------------------------------------

    def listed(
        self,
        wanted: Callable[[Workload], bool],
        *,
        ascending: bool,
        limit: int,
        after: str | None,
        before: str | None,
    ) -> tuple[dict[str, Any], str | None, str | None]:
        """A page of the service's list, and the cursors to the one before and the one after it.

        Args:
            wanted: Which are in the list.
            ascending: The oldest first.
            limit: How many are on a page.
            after: The last one of the page before.
            before: The first one of the page behind.

        Raises:
            ApiError: a cursor is not in the list.
        """
        found = [one for one in self.newest() if wanted(one)]
        if ascending:
            found.reverse()
        ids = [one.id for one in found]
        start = _place(ids, after) + 1 if after is not None else 0
        if before is not None:
            start = max(0, _place(ids, before) - limit)
        page = found[start : start + limit]
        answer = {"workloads": [self._told(one) for one in page], "total_count": len(found), "limit": limit}
        previous = page[0].id if page and start > 0 else None
        following = page[-1].id if page and start + limit < len(found) else None
        return answer, previous, following

    def _told(self, one: Workload) -> dict[str, Any]:
        job = one.told if isinstance(one.told, Entry) else None
        answer: dict[str, Any] = {
            "id": one.id,
            "created": one.created,
            "backend": one.backend,
            "instance": CRN,
            "user_id": "local",
            "accepting_jobs": None if isinstance(one.told, Entry) else one.told["accepting_jobs"],
            "mode": one.mode,
            "status": one.status,
            "tags": one.tags,
            "usage_seconds": one.usage,
            "usage": {"qpu_charge_time_seconds": one.usage},
            "estimated_running_time_seconds": sum(entry.estimate for entry in one.jobs),
        }
        if one.ended is not None:
            answer["ended"] = one.ended
        if job is not None:
            answer["usage"]["status"] = PENDING if job.pending else "complete"
            if job.reason and not job.pending:
                answer["status_reason"] = job.reason
        return answer

    # -- the page ---------------------------------------------------------------------------------------

    def overview(
        self, *, mode: str | None, status: str | None, search: str, limit: int, offset: int
    ) -> dict[str, Any]:
        """What the page shows first: the instance, its devices, and some of its workloads."""
        runtime = self._runtime
        everything = self.newest()
        statuses = [status] if status else []
        found = [
            one for one in everything if one.fits(mode=mode, statuses=statuses, search=search.strip().lower())
        ]
        now = self._now()
        return {
            **self._instance(),
            "counts": Counter(one.status for one in everything),
            "found": len(found),
            "offset": offset,
            "limit": limit,
            "workloads": [self._row(one, now) for one in found[offset : offset + limit]],
            "backends": [
                {
                    "name": device.name,
                    "qubits": device.qubits,
                    "queue": runtime.waiting(device),
                    "calibrated": device.properties.get("last_update_date"),
                }
                for device in runtime.devices.values()
            ],
        }

    def session(self, session_id: str, *, limit: int, offset: int) -> dict[str, Any]:
        """A session or batch: what it may still take, its timeline and a page of its jobs, newest first.

        Raises:
            ApiError: nobody knows it.
        """
        details = self._runtime.details(session_id)
        if details is None:
            raise not_found("Session", session_id)
        jobs = [one for one in list(self._runtime.ledger.entries.values()) if one.session == session_id]
        one = self._of(details, jobs)
        now = self._now()
        newest = jobs[::-1]
        ends = _until(details)
        left = None if ends is None or details["state"] == CLOSED else max(0.0, (ends - now).total_seconds())
        return {
            **self._instance(),
            "workload": self._row(one, now),
            "accepting": details["accepting_jobs"],
            "started": details["started_at"],
            "closed": details["closed_at"],
            "max_time": details["max_time"],
            "interactive_timeout": details["interactive_timeout"],
            "ends": None if ends is None or details["state"] == CLOSED else _iso(ends),
            "seconds_left": left,
            "until_end": self._until_end(details, ends),
            "timeline": self._timeline(one, now),
            "jobs": [self._job_row(job, now, one.mode) for job in newest[offset : offset + limit]],
            "found": len(jobs),
            "offset": offset,
            "limit": limit,
        }

    def _until_end(self, details: Mapping[str, Any], ends: datetime | None) -> float | None:
        """What a session costs if it stays active until its maximum time [USD]; None where that says nothing.

        It is no bound: a job that is on the QPU then completes, and the session is charged until it has.
        """
        if details["mode"] != DEDICATED or details["state"] != ACTIVE or not details["accepting_jobs"]:
            return None
        seconds = None if ends is None else ledgers.active_until(details, _iso(ends))
        return None if seconds is None else seconds * self._price

    def job(self, entry: Entry) -> dict[str, Any]:
        """A job: its times, what it took, and why it failed."""
        mode = self._mode_of(entry)
        return {
            **self._instance(),
            "job": self._job_row(entry, self._now(), mode),
            "session": entry.session,
            "mode": mode,
            "code": None if entry.pending else entry.code,
            "own_limit": entry.cost,
            "estimate": entry.estimate,
            "calibration": entry.calibration,
            "private": entry.private,
            "read": entry.read,
            "log": self._runtime.log_of(entry),
        }

    def _mode_of(self, entry: Entry) -> str:
        details = None if entry.session is None else self._runtime.details(entry.session)
        return "job" if details is None else _mode(details)

    def _instance(self) -> dict[str, Any]:
        runtime = self._runtime
        used, limit = runtime.used(), runtime.plan.allocation
        return {
            "now": _iso(self._now()),
            "scale": runtime.scale,
            "plan": runtime.plan.name,
            "price": self._price,
            "used": used,
            "usage_limit": limit,
            "cost": used * self._price,
        }

    def _row(self, one: Workload, now: datetime) -> dict[str, Any]:
        details = None if isinstance(one.told, Entry) else one.told
        return {
            "id": one.id,
            "mode": one.mode,
            "status": one.status,
            "state": self._runtime.ledger.state(one.told)
            if isinstance(one.told, Entry)
            else one.told["state"],
            "reason": one.reason if one.ended or details else None,
            "backend": one.backend,
            "created": one.created,
            "ended": one.ended,
            "seconds": (_date(one.ended or _iso(now)) - _date(one.created)).total_seconds(),
            "jobs": Counter(self.status(job) for job in one.jobs),
            "program": one.told.program if isinstance(one.told, Entry) else None,
            "tags": one.tags[:8],
            "usage": one.usage,
            "cost": one.usage * self._price,
            "so_far": self._so_far(one.told, now) if isinstance(one.told, Entry) else None,
            "short": details is not None
            and one.status == COMPLETED
            and (_cut(one.reason) or any(map(_lost, one.jobs))),
            "segments": _segments_of(details, now) if details else self._segments_of_job(one.jobs[0], now),
        }

    def _job_row(self, entry: Entry, now: datetime, mode: str) -> dict[str, Any]:
        started, _, reached = self._phases(entry, now)
        return {
            "id": entry.id,
            "status": self.status(entry),
            "state": self._runtime.ledger.state(entry),
            "reason": None if entry.pending else entry.reason,
            "program": entry.program,
            "backend": entry.backend,
            "created": entry.created,
            "started": started,
            "ended": entry.finished,
            "seconds": (_date(entry.finished or _iso(now)) - _date(entry.created)).total_seconds(),
            "tags": entry.tags,
            "usage": entry.usage,
            "reached": reached,
            "so_far": self._so_far(entry, now),
            "cost": None if mode == "session" else entry.usage * self._price,
            "segments": self._segments_of_job(entry, now),
        }

    def _phases(self, entry: Entry, now: datetime) -> tuple[str | None, str | None, str | None]:
        """When a job started, was prepared and reached the QPU, as far as it has."""
        job = self._runtime.ledger.live.get(entry.id)
        if job is None or entry.finished is not None:
            return entry.running, entry.prepared, entry.reached
        return self._runtime.phases(job, (now - self._runtime.service.clock.epoch).total_seconds())

    def _so_far(self, entry: Entry, now: datetime) -> float | None:
        """QPU seconds of a job that is on the QPU, which are charged when it is over; None of others."""
        reached = self._phases(entry, now)[2] if entry.pending else None
        return None if reached is None else _seconds(_date(reached), now)

    def _segments_of_job(self, entry: Entry, now: datetime) -> Segments:
        """What a job did from its submission on: it waits for its turn, is prepared, waits for the QPU, is on it."""
        started, prepared, reached = self._phases(entry, now)
        if started is not None and prepared is None and entry.usage:
            started, prepared, reached = None, None, None
            told: list[tuple[str, str | None]] = [("waiting", entry.created), ("unknown", entry.running)]
        else:
            told = [
                ("waiting", entry.created), ("preparing", started), ("ready", prepared), ("running", reached),
            ]  # fmt: skip
        steps = [(kind, _date(date)) for kind, date in told if date is not None]
        ends = [*(date for _, date in steps[1:]), _date(entry.finished or _iso(now))]
        return [
            (kind, _seconds(begin, end))
            for place, ((kind, begin), end) in enumerate(zip(steps, ends, strict=True))
            if end > begin or place == 0
        ]

    def _timeline(self, one: Workload, now: datetime) -> dict[str, Any]:
        """What a session and its jobs did, in seconds from its opening."""
        start = _date(one.created)
        end = max(
            [_date(one.ended) if one.ended else now, *(_date(j.finished) for j in one.jobs if j.finished)]
        )
        assert not isinstance(one.told, Entry)
        bars = []
        for job in one.jobs:
            started, prepared, reached = self._phases(job, now)
            if reached is None and prepared is None and job.usage:
                reached = started  # written by an earlier release
            if started is not None:
                bars.append(
                    {
                        "id": job.id,
                        "status": self.status(job),
                        "waits": _seconds(start, _date(job.created)),
                        "from": _seconds(start, _date(started)),
                        "reached": None if reached is None else _seconds(start, _date(reached)),
                        "to": _seconds(start, _date(job.finished) if job.finished else now),
                    }
                )
        drawn: dict[str, Any] = {"start": one.created, "seconds": _seconds(start, end)}
        drawn["segments"] = _segments_of(one.told, now)
        if len(bars) <= DRAWN:
            drawn["jobs"] = bars
        else:
            drawn["busy"] = _busy(bars, drawn["seconds"])
        return drawn

    @property
    def _price(self) -> float:
        return self._runtime.service.price_per_second

    def _now(self) -> datetime:
        return self._runtime.service.clock.date(self._runtime.pace.now())


_OF_JOB = {
    "Queued": PENDING,
    "Running": IN_PROGRESS,
    ledgers.COMPLETED: COMPLETED,
    ledgers.CANCELLED: CANCELED,
    ledgers.FAILED: FAILED,
}


def _mode(details: Mapping[str, Any]) -> str:
    return "session" if details["mode"] == DEDICATED else "batch"


def _of_session(details: Mapping[str, Any]) -> str:
    if details["state"] == CLOSED:
        return CANCELED if str(details["state_reason"]).startswith("cancelled") else COMPLETED
    return IN_PROGRESS if details["state"] == ACTIVE else PENDING


def _cut(reason: str | None) -> bool:
    """Whether a session ended for another reason than that its program closed it, or never used it."""
    return not str(reason).startswith(("closed by", "no job within"))


def _lost(entry: Entry) -> bool:
    """Whether a job is over without a result."""
    return not entry.pending and entry.status != ledgers.COMPLETED


def _until(details: Mapping[str, Any]) -> datetime | None:
    """When a session's maximum time is over; None before its first job."""
    started = details["started_at"]
    return None if started is None else _date(started) + timedelta(seconds=details["max_time"])


def _segments_of(details: Mapping[str, Any], now: datetime) -> Segments:
    """The states of a session from its opening to its end, or the present."""
    steps = [(str(one["status"]), _date(one["timestamp"])) for one in details["timestamps"]]
    ends = [*(when for _, when in steps[1:]), now]
    names = {OPEN: "waiting"}
    return [
        (names.get(state, state), _seconds(begin, end))
        for (state, begin), end in zip(steps, ends, strict=True)
        if state != CLOSED
    ]


def _busy(bars: Sequence[Mapping[str, Any]], seconds: float) -> list[float]:
    """The share of each piece of time in which the QPU was busy, at most 1."""
    width = max(seconds, 1e-9) / BINS
    shares = [0.0] * BINS
    for bar in bars:
        if bar["reached"] is None:
            continue
        first, last = bar["reached"] / width, bar["to"] / width
        for place in range(max(0, int(first)), min(BINS - 1, int(last)) + 1):
            shares[place] += max(0.0, min(last, place + 1) - max(first, place))
    return [round(min(1.0, share), 3) for share in shares]


def _place(ids: Sequence[str], cursor: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise ApiError(400, "The cursor is not in this list any more; begin without one.") from None


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _iso(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())

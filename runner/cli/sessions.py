"""`sessions [FOLDER…] [limit=20]`: sessions, batches and jobs of recorded runs, as `serve` shows its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.list import count, dated_runs, existing, filled, padded, printed
from runner.cli.verb import Argument, CommandLine, Verb
from runner.display.shell import quoted
from runner.display.stream import as_text
from runner.display.words import clock
from runner.errors import ConfigError, RunnerError
from runner.record.directory import OUTPUTS, RunDirectory
from runner.record.files import read_object
from runner.record.ledger import jobs_of

if TYPE_CHECKING:
    from rich.console import Console

    from runner.record.events import Event

VERB = Verb(
    name="sessions",
    does="the sessions, batches and jobs of the runs below outputs/, newest first",
    arguments=(
        Argument(name="[FOLDER…]", does="where to look; outputs unless said otherwise"),
        Argument(name="[limit=20]", does="workloads that are shown"),
    ),
    path="folder",
    paths=(0, None),
    settings=("limit",),
    examples=("sessions outputs/runs limit=50",),
)

LIMIT = 20
"""Workloads shown unless more are asked for."""
NAMES = ("mode", "state", "device", "jobs", "usage", "price", "why", "id", "run")
"""Columns of the table."""
NUMBERS = ("usage", "price")
WORDS = {"DONE": "done", "FAILED": "failed", "CANCELLED": "cancelled"}
GOING = "not over"


@dataclass
class Recorded:
    """A session or batch, all jobs of a run that are in none, or one such job of a server."""

    mode: str
    """session | batch | job."""
    id: str = ""
    state: str = ""
    """open | active | inactive | closed; of a server's job what became of it, empty of the jobs of a run."""
    device: str = ""
    reason: str = ""
    """Why it is in this state."""
    usage: float | None = None
    """What it is charged [s]; None where the service has not told."""
    going: bool = False
    """It is being charged, so that usage and price are what they were at the latest fact, or more."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Job → what became of it."""

    def cells(self, price: float | None, path: Path) -> tuple[str, ...]:
        """One line of the table, where a second costs `price` USD."""
        cost = None if price is None or self.usage is None else self.usage * price
        least = "at least " if self.going else ""
        return (
            self.mode,
            self.state,
            self.device,
            _jobs(list(self.jobs.values())) if self.jobs or self.mode != "job" else "",
            "" if self.usage is None else least + clock(self.usage),
            "" if cost is None else f"{least}{cost:.2f} USD",
            self.reason,
            self.id[:8],
            str(path),
        )


def main(line: CommandLine) -> int:
    """Print one line per session, batch, run in job mode, or job of a server below the given folders (outputs/)."""
    from runner.display.live import terminal

    limit = LIMIT
    for word in line.settings:
        limit = count(word.partition("=")[2])
    folders = [existing(word) for word in line.paths] or [OUTPUTS]
    found = sorted((one for folder in folders for one in dated_runs(folder)), reverse=True)
    rows: list[tuple[str, ...]] = []
    left = 0
    for _, path in found:
        if len(rows) >= limit:
            left += 1
            continue
        rows += _rows(path)
    if not rows:
        print(as_text(f"no sessions below {', '.join(map(str, folders))}"))
        return 0
    left_out = max(0, len(rows) - limit)
    show(terminal(), rows[:limit])
    if left or left_out:
        more = [f"{left_out} more of the last run"] if left_out else []
        more += [f"those of {left} earlier runs"] if left else []
        print(f"{' and '.join(more)} with a larger limit=…")
    return 0


def _rows(path: Path) -> list[tuple[str, ...]]:
    """What the table says of a run, the newest session first; a run that cannot be read is one line that says so."""
    try:
        price, found = _read(path)
    except (OSError, RunnerError, ValueError) as error:
        return [("", "", "", "", "", "", " ".join(str(error).split())[:120], "", str(path))]
    return [one.cells(price, path) for one in reversed(found)]


def _read(path: Path) -> tuple[float | None, list[Recorded]]:
    """The price of a second and the workloads of a run: from what it wrote at its end, else from its journal."""
    from runner.declare.session import plan_of
    from runner.record.journal import is_ended, opening, read_telling

    files = RunDirectory(path)
    started = opening(files.journal)
    if started is None:  # the journal of a server, or one that is damaged from its first line on
        return _of_server(files.journal)
    if files.session.is_file() and is_ended(files.journal):
        found = _of_file(files.session)
    else:
        found = _of_events(read_telling(files.journal))
    for one in found:
        one.device = one.device or str((started.config.get("backend") or {}).get("name", ""))
    plan = plan_of(started.config)
    return None if plan is None else plan.price_per_second, found


def _of_file(path: Path) -> list[Recorded]:
    from runner.record.reading import read_sessions

    content = read_object(path)
    found: dict[str | None, Recorded] = {}
    for one in read_sessions(path):
        details = one.get("details")
        if not isinstance(details, dict):
            details = {}
        usage = one.get("usage_seconds")
        found[one["id"]] = Recorded(
            "batch" if details.get("mode") == "batch" else "session",
            one["id"],
            str(one.get("state") or one["status"]),
            str(details.get("backend_name") or ""),
            one["reason"],
            float(usage) if isinstance(usage, int | float) else None,
        )
    try:
        jobs = jobs_of(content)
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it") from error
    for job in jobs:
        session, seconds = job.get("session"), job.get("qpu_seconds")
        alone = seconds if session is None and isinstance(seconds, int | float) else None
        _add(found, session, str(job.get("id")), str(job.get("status")), alone)
    return list(found.values())


def _of_events(events: Iterable[Event]) -> list[Recorded]:
    """From the facts of a run: of an active session, the usage until the last of them."""
    from runner.record.events import JobCompleted, JobSubmitted, SessionChanged

    found: dict[str | None, Recorded] = {}
    changed: dict[str, float] = {}
    latest = 0.0
    for event in events:
        if isinstance(event, SessionChanged):
            latest = max(latest, event.time)
            one = found.setdefault(event.session, Recorded("batch" if event.mode == "batch" else "session"))
            one.id, one.state, one.device = event.session, event.state, event.backend
            one.reason, changed[event.session] = event.reason, event.time
            if one.mode == "session":
                one.usage = event.usage_time
        elif isinstance(event, JobSubmitted):
            latest = max(latest, event.time)
            _add(found, event.session, event.job, GOING, None)
            found[event.session].device = event.backend
        elif isinstance(event, JobCompleted):
            latest = max(latest, event.time)
            _add(found, event.session, event.job, event.status, event.qpu_seconds)
    for one in found.values():
        one.going = one.state == "active" or GOING in one.jobs.values()
        if one.mode == "session" and one.state == "active" and one.usage is not None:
            one.usage += latest - changed[one.id]
    return list(found.values())


def _of_server(path: Path) -> tuple[float | None, list[Recorded]]:
    """The price of a second at a server, and its workloads as its page shows them, from its journal."""
    from runner.record.journal import JournalReader
    from runner.serve.ledger import LEDGER, EntryDeleted, EntryEnded, EntryMade, ServerStarted, SessionTold

    price: float | None = None
    found: dict[str, Recorded] = {}
    sessions: dict[str, Mapping[str, Any]] = {}
    jobs: dict[str, Mapping[str, Any]] = {}
    deleted: set[str] = set()
    dates: list[str] = []
    events = list(JournalReader(path, LEDGER).read())
    if not events:
        raise ConfigError("its journal is damaged from its first line on")
    for event in events:
        if isinstance(event, ServerStarted):
            price = event.price
        elif isinstance(event, SessionTold):
            told = sessions[event.details["id"]] = event.details
            found.setdefault(
                told["id"], Recorded("batch" if told["mode"] == "batch" else "session", told["id"])
            )
            dates += [one["timestamp"] for one in told["timestamps"]]
        elif isinstance(event, EntryMade | EntryEnded):
            job = jobs[event.job["id"]] = event.job
            dates.append(job["finished"] or job["created"])
            if job["session"] is None:
                found.setdefault(job["id"], Recorded("job", job["id"]))
        elif isinstance(event, EntryDeleted):
            deleted.add(event.id)
            found.pop(event.id, None)
    for told in sessions.values():
        _fill_session(found[told["id"]], told, jobs.values(), max(dates, default=""))
    for job in jobs.values():
        one = found.get(job["id"] if job["session"] is None else job["session"])
        if one is None or job["id"] in deleted:
            continue
        one.device = job["backend"]  # an earlier release called a session's by its snapshot
        if job["session"] is None:
            one.state, one.reason = _served(job), job["reason"] or ""
            one.usage = None if job["status"] is None else job["usage"]
        else:
            one.jobs[job["id"]] = _served(job)
    return price, list(found.values())


def _fill_session(
    one: Recorded, told: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]], latest: str
) -> None:
    """What was told of a session or batch last; of one that is active, what is charged until the latest date."""
    from runner.serve.ledger import active_until

    one.state, one.device, one.reason = told["state"], told["backend_name"], told["state_reason"]
    one.usage, one.going = told["usage_time"], told["state"] == "active"
    if one.going and one.mode == "batch":
        one.usage = sum(job["usage"] for job in jobs if job["session"] == one.id)
    elif one.going:
        one.usage = active_until(told, latest)


def _served(job: Mapping[str, Any]) -> str:
    """What became of a server's job, as its page says it: one that took too long is cancelled only in the API."""
    from runner.serve.ledger import TOO_LONG_CODE

    if job["status"] is None:
        return GOING
    if job["code"] == TOO_LONG_CODE:
        return "failed"
    status = str(job["status"]).lower()
    return "done" if status == "completed" else status


def _add(
    found: dict[str | None, Recorded], session: str | None, job: str, status: str, seconds: float | None
) -> None:
    """Count a job where it belongs; what is charged by QPU time takes it along, once."""
    one = found.setdefault(session, Recorded("job"))
    told = one.jobs.get(job)
    one.jobs[job] = WORDS.get(status, status.lower())
    if seconds is not None and told in (None, GOING) and one.mode != "session":
        one.usage = (one.usage or 0.0) + seconds


def _jobs(states: Sequence[str]) -> str:
    """How many there are, and what became of them: `12`, or `12: 11 done, 1 failed`."""
    kinds = {state: states.count(state) for state in dict.fromkeys(states)}
    if set(kinds) <= {"done"}:
        return str(len(states))
    return f"{len(states)}: " + ", ".join(f"{number} {state}" for state, number in kinds.items())


def show(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """A table with the run in its last column, or two lines for each where that is too wide."""
    lines = [NAMES, *(tuple(map(as_text, (*cells, quoted(path)))) for *cells, path in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= console.width:
        for cells in lines:
            printed(console, "  ".join(_aligned(cells, widths)))
        return
    for cells in lines[1:]:
        known = dict(zip(NAMES, cells, strict=True))
        why = ": ".join(filter(None, (known["state"], known["why"])))
        said = [known["mode"], known["id"], why]
        said += [known["device"], known["jobs"] and f"jobs {known['jobs']}", known["usage"], known["price"]]
        printed(console, known["run"])
        for text in filled([word for word in said if word], console.width - 2):
            printed(console, f"  {text}")


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for cell, width, name in zip(cells, widths, NAMES, strict=True):
        yield padded(cell, width, left=name not in NUMBERS, last=name == NAMES[-1])

"""The jobs that session.json lists: what is the same for all of them once, and of each a row of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

COLUMNS = (
    "id", "workload", "index", "session", "tags", "program", "status", "reason", "submitted", "started", "finished",
    "qpu_seconds",
)  # fmt: skip
"""What is told of a job; times in seconds on the session's clock."""
SHARED = ("session", "program", "status", "reason")
"""What is said once where it is the same for all jobs."""
USUAL: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "tags": lambda job: [job.get("workload")],
    "started": lambda job: job.get("submitted"),
}
"""What a job has where its column is left out, as it is where all jobs have that: one tag, and no time in a queue."""


def heading(jobs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What session.json says before its rows: `of_all_jobs`, what is so for every job, and the names of columns."""
    shared: dict[str, Any] = {}
    usual = set(USUAL)
    for number, job in enumerate(jobs):
        if not number:
            shared = {name: job[name] for name in SHARED}
        for name in tuple(shared):
            if job[name] != shared[name]:
                del shared[name]
        for name in tuple(usual):
            if job[name] != USUAL[name](job):
                usual.remove(name)
        if not shared and not usual:
            break
    return {
        "of_all_jobs": shared,
        "job_columns": [name for name in COLUMNS if name not in shared and name not in usual],
    }


def rows(jobs: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> Iterator[list[Any]]:
    """One row a job, with these columns."""
    columns = tuple(columns)
    return ([job[name] for name in columns] for job in jobs)


def jobs_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of a session.json as mappings; also of one that was written when each was told in full.

    Raises:
        ValueError: it lists none.
    """
    listed, columns, shared = (content.get(name) for name in ("jobs", "job_columns", "of_all_jobs"))
    if columns is None and isinstance(listed, list) and all(isinstance(job, dict) for job in listed):
        return listed
    if not (
        isinstance(listed, list)
        and isinstance(shared, dict)
        and isinstance(columns, list)
        and all(isinstance(name, str) for name in columns)
        and all(isinstance(row, list) and len(row) == len(columns) for row in listed)
    ):
        raise ValueError("it lists no jobs")
    found: list[dict[str, Any]] = [{**shared, **dict(zip(columns, row, strict=True))} for row in listed]
    for job in found:
        job.update({name: usual(job) for name, usual in USUAL.items() if name not in job})
    return found

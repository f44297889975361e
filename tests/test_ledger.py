"""The jobs of session.json."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.record.ledger import heading, jobs_of, rows

JOB = {
    "id": "a", "workload": "vqe", "index": 0, "session": "s", "tags": ["vqe"], "program": "estimator",
    "status": "DONE", "reason": None, "submitted": 0.1, "started": 0.1, "finished": 2.1, "qpu_seconds": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ([{}], "id workload index submitted finished qpu_seconds"),
        ([{}, {"status": "ERROR", "reason": "killed"}],
         "id workload index status reason submitted finished qpu_seconds"),
        ([{"started": None, "session": None}, {"tags": ["mine", "vqe"]}],
         "id workload index session tags submitted started finished qpu_seconds"),
    ],
)  # fmt: skip
def test_what_is_the_same_for_all_jobs_is_said_once(changes: list[dict[str, Any]], columns: str) -> None:
    """Every job is read back as it was told, from rows with no more columns than they need."""
    jobs = [{**JOB, "id": str(number), **change} for number, change in enumerate(changes)]
    said = heading(jobs)
    content = json.loads(json.dumps({**said, "jobs": list(rows(jobs, said["job_columns"]))}))

    assert said["job_columns"] == columns.split()
    assert jobs_of(content) == jobs_of({"jobs": jobs}) == jobs


@pytest.mark.parametrize(
    "content",
    [{}, {"jobs": [1]}, {"jobs": [[1, 2]], "job_columns": ["id"], "of_all_jobs": {}}, {"jobs": [], "job_columns": []}],
)  # fmt: skip
def test_what_lists_no_jobs_is_refused(content: dict[str, Any]) -> None:
    """No jobs, jobs that are none, a row that has not its columns, columns without what is shared."""
    with pytest.raises(ValueError, match="lists no jobs"):
        jobs_of(content)

"""The page of a sweep in MLflow: the run its runs hang below, with table, figure and ranking."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.record.redaction import redact
from runner.tracking.config import TrackingConfig
from runner.tracking.presentation import copy, printable
from runner.tracking.store import Store, absolute

FILES = ("sweep.csv", "sweep.parquet", "sweep.json", "report.html")
BEST = 10
"""Runs that the description shows."""


def describe_parent(directory: Path, config: TrackingConfig, experiment: str, identity: str) -> None:
    """Bring what belongs to the whole sweep into its parent run; repeats replace what is there.

    Args:
        directory: the sweep's directory; without a table there is nothing to say yet.
        config: which store.
        experiment: name of the MLflow experiment its runs are in.
        identity: the tag by which the parent is found.

    Raises:
        StoreError: the store did not take it.
    """
    rows = _rows(directory)
    store = Store(absolute(config.uri), config.artifacts, experiment)
    parent = store.find_run(identity)
    if parent is None or not rows:
        return
    counts = Counter(row["status"] for row in rows)
    now = time.time()
    judged = _judged(rows)
    points = [(f"sweep/{status}", float(count), int(now * 1000), 0) for status, count in counts.items()]
    if judged:
        points.append(("sweep/best", judged[0][0], int(now * 1000), 0))
    store.metrics(parent, points)
    store.describe(parent, {}, {key: printable(redact(text)) for key, text in _tags(directory, rows).items()})
    store.set_status(parent, _status(counts), now)
    with tempfile.TemporaryDirectory(prefix="runner-sync-") as name:
        for source in [directory / file for file in FILES] + sorted((directory / "figures").glob("*")):
            if source.is_file() and not source.is_symlink():
                target = Path(name) / source.relative_to(directory)
                target.parent.mkdir(exist_ok=True)
                copy(source, target)
        store.artifacts(parent, Path(name))


def _status(counts: Mapping[str, int]) -> str:
    """MLflow's word for how the sweep ended."""
    if set(counts) == {"finished"}:
        return "FINISHED"
    return "FAILED" if set(counts) <= {"finished", "failed", "stopped"} else "KILLED"


def _rows(directory: Path) -> list[dict[str, str]]:
    try:
        with (directory / "sweep.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []


def _tags(directory: Path, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Command, state and description."""
    try:
        header: dict[str, Any] = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        header = {}
    command = " ".join(["python -m runner -m", *map(str, header.get("overrides", ()))])
    return {
        "runner.state": "sweep",
        "runner.directory": directory.name,
        "runner.runs": str(len(rows)),
        "mlflow.source.name": command,
        "mlflow.note.content": _description(rows, command),
    }


def _description(rows: Sequence[Mapping[str, str]], command: str) -> str:
    counts = Counter(row["status"] for row in rows)
    lines = [
        f"**{len(rows)} runs**: {', '.join(f'{count} {status}' for status, count in counts.items())}",
        "",
    ]
    judged = _judged(rows)
    if judged:
        lines += ["| run | energy | distance from exact |", "|---|---|---|"]
        lines += [
            f"| {row['number']}: {row['run']} | {row['energy']} | {value:.3g} |"
            for value, row in judged[:BEST]
        ]
        lines.append("")
    failed = [row for row in rows if row["status"] == "failed"]
    lines += [f"* run {row['number']} failed: {row['reason']}" for row in failed[:BEST]]
    return "\n".join([*lines, "", "Again:", "", f"    {command}"])


def _judged(rows: Sequence[Mapping[str, str]]) -> list[tuple[float, Mapping[str, str]]]:
    """(distance from the exact energy, row), best first."""
    done = [row for row in rows if row["status"] == "finished" and row.get("error")]
    return sorted(((abs(float(row["error"])), row) for row in done), key=lambda pair: pair[0])

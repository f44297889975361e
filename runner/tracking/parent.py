"""The page of a sweep in MLflow: the run its runs hang below, with table, figure and ranking."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.display.command import sweep_command
from runner.display.words import ENERGIES, but_for_rounding, row_without_residue
from runner.record.files import read_object, read_rows
from runner.record.reading import check_sweep
from runner.record.redaction import redact
from runner.tracking.config import TrackingConfig
from runner.tracking.presentation import (
    PARAMETER_LENGTH,
    TAG_LENGTH,
    code,
    copy,
    key_of,
    plain,
    printable,
    table,
)
from runner.tracking.store import Store, absolute
from runner.tracking.views import of_sweep, run_page, runs_page

FILES = ("sweep.csv", "sweep.parquet", "sweep.json", "report.html")
TABLE = "runs.json"
"""The sweep's table as MLflow's artifact viewer shows it."""

BEST_DISTANCE, BEST_ENERGY = "sweep/best", "sweep/best_energy"
"""Metrics of the run nearest to the exact energy; the others are how many runs are in each state."""

BEST = 10
"""Runs that the description shows."""


def describe_parent(
    directory: Path, config: TrackingConfig, experiment: str, identity: str
) -> tuple[str, str] | None:
    """Bring what belongs to the whole sweep into its parent run; repeats replace what is there.

    Args:
        directory: the sweep's directory; without a table there is nothing to say yet.
        config: which store.
        experiment: name of the MLflow experiment its runs are in.
        identity: the tag by which the parent is found.

    Returns:
        The parent run and its MLflow experiment, by their ids; None where there is none yet.

    Raises:
        StoreError: the store did not take it.
    """
    rows = _rows(directory)
    store = Store(absolute(config.uri), config.artifacts, experiment)
    parent = store.find_run(identity)
    if parent is None or not rows:
        return None
    counts = Counter(row["status"] for row in rows)
    now = time.time()
    judged = _judged(rows)
    told = {f"sweep/{status}": float(count) for status, count in counts.items()}
    before = {key for key in store.measured(parent) if key.startswith("sweep/")}
    past = before - told.keys() - {BEST_DISTANCE, BEST_ENERGY}  # states of runs that have gone on since
    points = [(key, count, int(now * 1000), 0) for key, count in (told | dict.fromkeys(past, 0.0)).items()]
    if judged:
        points.append((BEST_DISTANCE, judged[0][0], int(now * 1000), 0))
        energy = judged[0][1]["exact_energy" if _known_exactly(rows) else "energy"]
        points.append((BEST_ENERGY, float(energy), int(now * 1000), 0))
    swept = swept_in(rows)
    references = {row.get("reference_energy") for row in rows}
    comparable = _known_exactly(rows) and len(references) == 1
    view = of_sweep(parent, swept, "result/exact_energy" if comparable else "result/error")
    store.keep_view(view)
    store.metrics(parent, points)
    described = _tags(directory, rows) | _best(store.experiment_id, judged)
    link = f"[The runs of this sweep, best first](#{runs_page(store.experiment_id, view)})"
    described["mlflow.note.content"] = f"{link}\n\n{described['mlflow.note.content']}"
    described["mlflow.loggedArtifacts"] = json.dumps([{"path": TABLE, "type": "table"}])
    store.describe(
        parent,
        {key_of(name): printable(redact(_values(rows, name)))[:PARAMETER_LENGTH] for name in swept},
        {key: printable(redact(text))[:TAG_LENGTH] for key, text in described.items()},
    )
    store.set_status(parent, _status(counts), now)
    with tempfile.TemporaryDirectory(prefix="runner-sync-") as name:
        (Path(name) / TABLE).write_text(json.dumps(table(rows, tuple(rows[0]))), encoding="utf-8")
        for source in [directory / file for file in FILES] + sorted((directory / "figures").glob("*")):
            if source.is_file() and not source.is_symlink():
                target = Path(name) / source.relative_to(directory)
                target.parent.mkdir(exist_ok=True)
                copy(source, target)
        store.artifacts(parent, Path(name))
    return parent, store.experiment_id


def swept_in(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys that a sweep varies: the columns of its table between the run's name and its status."""
    names = list(rows[0])
    return names[names.index("run") + 1 : names.index("status")]


def _values(rows: Sequence[Mapping[str, str]], name: str) -> str:
    """The values of a swept key, in the order in which they first came."""
    return ", ".join(dict.fromkeys(row[name] for row in rows))


def _best(experiment_id: str, judged: Sequence[tuple[float, Mapping[str, str]]]) -> dict[str, str]:
    """Which run came nearest to the exact energy."""
    if not judged:
        return {}
    best = judged[0][1]
    found = {"sweep.best_run": f"{best['number']}: {best['run']}"}
    if best.get("mlflow_run_id"):
        found["sweep.best_page"] = f"#{run_page(experiment_id, best['mlflow_run_id'])}"
    return found


def _status(counts: Mapping[str, int]) -> str:
    """MLflow's word for how the sweep ended."""
    if set(counts) == {"finished"}:
        return "FINISHED"
    return "FAILED" if set(counts) <= {"finished", "failed", "stopped"} else "KILLED"


def _rows(directory: Path) -> list[dict[str, str]]:
    try:
        rows = read_rows(directory / "sweep.csv")
    except OSError:
        return []
    return [_without_residue(row) for row in rows]


def _without_residue(row: Mapping[str, str]) -> dict[str, str]:
    """A row to be shown, whose numbers are as they are written but where they are 0 to rounding."""
    numbers: dict[str, Any] = dict(row)
    for name in (*ENERGIES, "value", "rounding"):
        with suppress(ValueError, KeyError):
            numbers[name] = float(row[name])
    return {
        name: "0.0" if value == 0 and isinstance(value, float) else row[name]
        for name, value in row_without_residue(numbers).items()
    }


def _tags(directory: Path, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Command, state and description."""
    try:
        header: dict[str, Any] = read_object(directory / "sweep.json")
        check_sweep(header, directory / "sweep.json")
    except (OSError, ValueError):
        header = {}
    command = sweep_command(header)
    return {
        "runner.state": "sweep",
        "runner.directory": directory.name,
        "runner.runs": str(len(rows)),
        **({"mlflow.source.name": command} if command else {}),
        "mlflow.note.content": _description(rows, command),
    }


def _description(rows: Sequence[Mapping[str, str]], command: str | None) -> str:
    counts = Counter(row["status"] for row in rows)
    lines = [
        f"**{len(rows)} runs**: {', '.join(f'{count} {status}' for status, count in counts.items())}",
        "",
    ]
    judged = _judged(rows)
    if judged:
        distance = "true error" if _known_exactly(rows) else "distance from exact"
        lines += [f"| run | energy | {distance} |", "|---|---|---|"]
        lines += [
            f"| {row['number']}: {plain(row['run'])} | {plain(row['energy'])} | {value:.3g} |"
            for value, row in judged[:BEST]
        ]
        lines.append("")
    failed = [row for row in rows if row["status"] == "failed"]
    lines += [f"* run {row['number']} failed: {plain(row['reason'])}" for row in failed[:BEST]]
    return "\n".join([*lines, "", *code(command)])


def _judged(rows: Sequence[Mapping[str, str]]) -> list[tuple[float, Mapping[str, str]]]:
    """(distance from the exact energy, row), best first: that without shot noise where it is known of all."""
    exactly = _known_exactly(rows)

    def distance(row: Mapping[str, str]) -> float:
        left = float(row["exact_energy"]) - float(row["reference_energy"]) if exactly else float(row["error"])
        return abs(but_for_rounding(left, float(row.get("reference_energy") or 0.0)))

    return sorted(((distance(row), row) for row in _measured(rows)), key=lambda pair: pair[0])


def _measured(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [row for row in rows if row["status"] == "finished" and row.get("error")]


def _known_exactly(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether the energy without shot noise is known of every run that can be judged: then none wins by its noise."""
    return all(row.get("exact_energy") and row.get("reference_energy") for row in _measured(rows))

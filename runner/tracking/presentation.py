"""How a run is laid out for review in MLflow: parameters, tags, tables and the description."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from runner.display.command import run_command
from runner.display.words import choices, counted, counts, energy_lines, is_sampled, outside_in_words
from runner.hamiltonian import unit_of
from runner.record.directory import JOURNAL
from runner.record.events import RunStarted, SessionChanged
from runner.record.files import read_bytes
from runner.record.redaction import redact, redact_value
from runner.record.result import taken_in_all
from runner.tracking.translation import Translation, number

KEY_LENGTH = 250
PARAMETER_LENGTH = 6000
TAG_LENGTH = 5000
ELLIPSIS = " … (all of it in config.yaml)"

EVALUATION_COLUMNS = ("workload", "index", "energy", "stddev", "best", "job")
JOB_COLUMNS = (
    "workload", "index", "status", "program", "submitted", "started", "finished",
    "queue_seconds", "qpu_seconds", "reason", "session", "job",
)  # fmt: skip
MOST_ROWS = 20
"""Of longer tables the first and the last rows are shown: all jobs are in another file, all energies in the metrics."""
NOISE = ("tracking", "hydra", "run", "plugins")
"""Parts of the configuration that say nothing about the physics."""

GONE_ON = (
    "It had ended and went on: files and values of `result/` that were told of that end do not count any more; "
    "`session/` tells what it took so far."
)
"""What is said of a run without an end that has had one."""

Row = TypeVar("Row")

_UNUSUAL = re.compile(r"[^\w\-. :/]")


def parameters(config: Mapping[str, Any], ignored: Sequence[str] = ()) -> dict[str, str]:
    """The configuration's values by dotted name; a choice's own name stands for the choice.

    Args:
        config: as it was declared.
        ignored: its parts that take no part in the experiment.
    """
    found: dict[str, str] = {}
    told = {key: item for key, item in config.items() if key not in NOISE and key not in ignored}
    for path, value in _leaves(told, ()):
        if value is None or value == [] or value == {}:
            continue
        if len(path) > 1 and path[-1] == "name":
            path = path[:-1]
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if len(text) > PARAMETER_LENGTH:
            text = text[: PARAMETER_LENGTH - len(ELLIPSIS)] + ELLIPSIS
        found[unused(key_of(".".join(path)), found)] = printable(redact(text)) or '""'
    return found


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of everything that is not a mapping; lists are values."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    else:
        yield path, redact_value({path[-1]: value})[path[-1]]


def key_of(name: str) -> str:
    """`name` with what MLflow does not allow in a key replaced: x[0] → x.0, E(θ) → E_θ."""
    name = _UNUSUAL.sub("_", re.sub(r"\[(\w*)\]", r".\1", name))
    parts = [re.sub(r"\.{2,}", ".", part).strip(". _") for part in name.split("/")]
    return "/".join(filter(None, parts))[:KEY_LENGTH].rstrip("/. ") or "unnamed"


def unused(key: str, taken: Mapping[str, Any]) -> str:
    """`key`, or with a number where two names became the same key."""
    number_ = 2
    fresh = key
    while fresh in taken:
        fresh = f"{key[: KEY_LENGTH - 4]}_{number_}"
        number_ += 1
    return fresh


TEXT = {".yaml", ".json", ".html", ".txt", ".md", ".svg", ".log", ".csv"}
"""Endings of files that a secret could be read in."""
GROWING = {".log"}
"""Endings of files that are appended to."""


def copy(source: Path, target: Path) -> None:
    """Copy a file for the store; text without secrets."""
    if source.suffix in TEXT:
        text = read_bytes(source).decode(errors="replace")
        target.write_text(redact(text), encoding="utf-8")
    else:
        shutil.copyfile(source, target)


def link(source: Path, target: Path) -> bool:
    """Let a folder of the store show a file itself in place of a copy, which takes no room.

    Only a file without secrets, and none that grows: all others are replaced when they change, so what the store
    shows stays as it was.

    Returns:
        Whether it does; where not, nothing that is written to `target` reaches another file.
    """
    with contextlib.suppress(OSError):
        if target.lstat().st_nlink > 1:
            target.unlink()
    if source.suffix in GROWING:
        return False
    temporary = target.with_name(f".{target.name}.link")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
        if source.suffix not in TEXT or _clean(temporary):
            temporary.replace(target)
            return True
        temporary.unlink()
    except OSError:  # another file system, or one without links
        return False
    return False


def _clean(path: Path) -> bool:
    """Whether a copy of a text would have the same bytes."""
    content = read_bytes(path)
    return redact(content.decode(errors="replace")).encode() == content


def printable(text: str) -> str:
    """Text that every store takes: no NUL, no lone surrogates."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")


_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"})
_MARKS = re.compile(r"[\\`*\[\]~|$]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)


def plain(text: object) -> str:
    """Text in Markdown that reads as it is: no link, image, table, emphasis or HTML comes of it.

    Names of files, experiments and Hamiltonians are other people's words.
    """
    return _MARKS.sub(lambda mark: "\\" + mark[0], " ".join(str(text).split())).translate(_ENTITIES)


def code(command: str | None) -> list[str]:
    """Lines of Markdown that show what to type to do this again; none where that cannot be typed."""
    return ["Again:", "", f"    {command}"] if command else []


def tags(run: Translation) -> dict[str, str]:
    """What runs are filtered by."""
    found: dict[str, Any] = {
        "runner.state": run.state,
        "runner.stop_reason": run.ended and run.ended.stop_reason,
        "runner.energy_kind": run.result.get("energy_kind"),
        "runner.quantity": run.quantity if run.names_quantity else None,
        "runner.observable": run.result.get("observable"),
        "hamiltonian.read": run.source,
        "mlflow.source.name": run_command(run.started),
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": description(run),
        "nonfinite_at": ", ".join(run.non_finite[:20]),
        **(_started_tags(run.started) if run.started else {}),
        **(_session_tags(run.session) if run.session else {}),
    }
    return {
        key_of(key): printable(redact(str(item)))[:TAG_LENGTH]
        for key, item in found.items()
        if item is not None and item != ""
    }


def _started_tags(started: RunStarted) -> dict[str, Any]:
    return {
        "runner.experiment": started.experiment,
        "runner.simulation": started.simulation,
        "runner.seed": started.seed,
        "runner.threads": started.threads,
        "git.commit": started.commit,
        "mlflow.source.git.commit": started.commit,
        **{f"version.{name}": item for name, item in started.versions.items()},
    }


def _session_tags(session: SessionChanged) -> dict[str, Any]:
    return {
        "session.id": session.session,
        "session.state": session.state,
        "session.mode": session.mode,
        "session.backend": session.backend,
        "session.closed_because": session.reason if session.state == "closed" else None,
    }


def description(run: Translation) -> str:
    """The run's page in Markdown: what, result against reference, session, how to do it again."""
    started, result = run.started, run.result
    config = started.config if started else {}
    groups = ("hamiltonian", "ansatz", "optimizer", "estimator", "backend", "session")
    names = choices(config, groups, started.unused if started else ())
    told = ", ".join(plain(f"{group} {name}") for group, name in names.items())
    lines = [f"**{plain(started.experiment if started else 'run')}**: {told}", ""]
    if run.source:
        lines += [f"Hamiltonian: {plain(run.source)}.", ""]
    lines += _result_table(result, unit_of(started))
    if (session := run.session) is not None:
        reason = f" ({plain(session.reason)})" if session.reason else ""
        jobs = counted(len(run.jobs), "job")
        usage = number(taken_in_all(result, "usage_seconds"))
        spent = f", {usage:.1f} s of usage" if usage is not None else ""
        where = ", ".join(map(plain, (session.mode, session.backend, session.state)))
        lines += [f"Session: {where}{reason}; {jobs}{spent}.", ""]
    stopped = plain((run.ended and run.ended.stop_reason) or "")
    lines += [f"State: **{run.state}**. {stopped}".rstrip(), ""]
    if run.goes_on and run.ended is None:
        lines += [GONE_ON, ""]
    ledger = "session.json" if run.ended else JOURNAL
    lines += _left_out(len(run.jobs), len(run.evaluations), ledger, run.group)
    lines += code(run_command(started))
    return redact("\n".join(lines))


def _result_table(result: Mapping[str, Any], unit: str | None) -> list[str]:
    if number(result.get("energy")) is None:
        return []
    stddev, error = number(result.get("stddev")), number(result.get("error"))
    note = result.get("reference_note")
    rows = [
        (name, f"{value} ({remark})" if remark else value)
        for name, value, remark in energy_lines(result, unit)
    ]
    words = outside_in_words(
        number(result.get("outside_sector")), error=error, stddev=stddev, note=note,
        reference=number(result.get("reference_energy")), sampled=bool(is_sampled(result)),
        rounding=number(result.get("rounding")),
    )  # fmt: skip
    if words:
        rows.append(("sector", words))
    rows += [(name, value) for name, value, _ in counts(result)]
    return ["| | |", "|---|---|", *(f"| {name} | {plain(text)} |" for name, text in rows), ""]


def _left_out(jobs: int, evaluations: int, ledger: str, group: str) -> list[str]:
    """Lines of Markdown on where to find what tables leave out.

    Args:
        jobs: how many.
        evaluations: how many.
        ledger: the file with all jobs.
        group: what the metrics with all evaluations begin with.
    """
    metrics = f"the metrics {group}/value, {group}/stddev and {group}/best"
    found = [
        f"{file} shows the first and the last {MOST_ROWS // 2} of {count} {what}; all are in {place}."
        for file, count, what, place in (
            ("jobs.json", jobs, "jobs", ledger),
            ("evaluations.json", evaluations, "evaluations", metrics),
        )
        if count > MOST_ROWS
    ]  # fmt: skip
    return [" ".join(found), ""] if found else []


def job_table(jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ledger as a table; the session, a tag of the run, stands in it where there are several."""
    several = len({job.get("session") for job in jobs}) > 1
    return table(excerpt(jobs), [name for name in JOB_COLUMNS if several or name != "session"])


def evaluation_table(run: Translation) -> dict[str, Any]:
    """Evaluations as a table, in which what was evaluated is called by its name."""
    found = table([run.shown(event) for event in excerpt(run.evaluations)], EVALUATION_COLUMNS)
    found["columns"] = [run.quantity if name == "energy" else name for name in found["columns"]]
    return found


def excerpt(rows: Sequence[Row]) -> Sequence[Row]:
    """Of many rows the first and the last."""
    half = MOST_ROWS // 2
    return rows if len(rows) <= MOST_ROWS else [*rows[:half], *rows[-half:]]


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """A table as MLflow's artifact viewer shows it."""
    present = [name for name in columns if any(name in row for row in rows)] or list(columns)
    data = [[redact_value(row.get(name)) for name in present] for row in rows]
    return {"columns": present, "data": data}

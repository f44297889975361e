"""report.html: one self-contained page per run or sweep, to be read by somebody who was not there."""

from __future__ import annotations

import base64
import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.directory import RunDirectory
from runner.errors import ConfigError
from runner.journal import read_journal

if TYPE_CHECKING:
    from runner.problem import Problem

Events = Sequence[Mapping[str, Any]]

TEMPLATES = Path(__file__).parent / "templates"

MOST_JOBS = 500
"""Rows of the table of jobs; all of them are in session.json."""
MOST_PARSED_GATES = 400
"""Largest circuit that is read back from the journal for a drawing; longer ones take seconds."""

CAPTIONS = {
    "sweep.png": "Every run of the sweep.",
    "table.png": "What the experiment reports.",
    "convergence.png": "Energy of every evaluation, the best so far and the distance to the exact energy.",
    "timeline.png": "Where the time of the session went.",
    "energy_against_usage.png": "Best energy against the QPU time it took.",
    "bitstrings.png": "Bitstrings of the last Sampler job.",
    "circuit.png": "The circuit as declared, and as the device gets it.",
}
"""Figure → what is said below it, in the order of the page."""


def illustrate(files: RunDirectory, problem: Problem | None = None) -> Path:
    """Draw a run's figures from its journal and write report.html; returns the page.

    Args:
        files: the run directory.
        problem: the circuits where they are at hand; None: read back from the journal if they are short.
    """
    from runner.figures import draw_run
    from runner.figures.run import reference_of

    events = read_journal(files.journal).events
    circuits = recorded_circuits(events) if problem is None else [
        ("as declared", problem.ansatz), ("on the device", problem.circuit)
    ]  # fmt: skip
    draw_run(events, files.figures, reference=reference_of(events), circuits=circuits)
    page = files.path / "report.html"
    files.write(page, run_page(events, files.figures))
    return page


def recorded_circuits(events: Events) -> list[tuple[str, Any]]:
    """Titles and circuits of the journal's `problem` event, where they are short and OpenQASM 3 can be read."""
    from importlib.util import find_spec

    problem = next((event for event in events if event["kind"] == "problem"), None)
    if problem is None or find_spec("qiskit_qasm3_import") is None:
        return []
    from qiskit import qasm3

    circuits = problem["circuits"]
    if any(not one["qasm"] or one["gates"] > MOST_PARSED_GATES for one in circuits.values()):
        return []
    titles = {"declared": "as declared", "device": "on the device"}
    return [(titles[name], qasm3.loads(one["qasm"])) for name, one in circuits.items()]


def run_page(events: Events, figures: Path) -> str:
    """The text of report.html, from the journal and the drawn figures."""
    from runner.figures import Timeline
    from runner.progress import clock

    started = next((event for event in events if event["kind"] == "run.started"), {})
    result: Mapping[str, Any] = next(
        (event["result"] for event in reversed(events) if event["kind"] == "result"), {}
    )
    config = dict(started.get("config", {}))
    timeline = Timeline.of(events)
    jobs = _jobs(events)
    spent = [
        f"{what} {clock(timeline.seconds(what))}"
        for what in ("QPU", "classical", "queue", "lost", "active and idle", "inactive")
        if timeline.seconds(what)
    ]
    return _render(
        title=str(started.get("name") or figures.parent.name),
        status=str(result.get("status", "unfinished")),
        subtitle=_subtitle(started),
        choices=_choices(config),
        stop_reason=result.get("stop_reason"),
        tiles=_tiles(result, timeline.end, len(jobs), events),
        command=" ".join(["python -m runner", *map(_quoted, started.get("overrides", ()))]),
        table=_table(result.get("table", [])),
        figures=_embedded(figures),
        sessions=_sessions(events),
        time_spent=", ".join(spent),
        jobs=jobs[:MOST_JOBS],
        job_count=len(jobs),
        config=_yaml(config),
        environment=_environment(started),
    )


def sweep_page(directory: Path, **axes: Any) -> Path:
    """Draw the overview of a sweep from its sweep.csv and write report.html there; returns the page.

    Args:
        directory: the sweep's directory.
        axes: what `sweep_overview` shall draw against what.

    Raises:
        ConfigError: there is no sweep.csv.
    """
    from runner.figures import save, sweep_overview

    rows = read_table(directory / "sweep.csv")
    files = RunDirectory(directory)
    files.figures.mkdir(exist_ok=True)
    save(sweep_overview(rows, **axes), files.figures / "sweep.png")
    states = [str(row.get("status")) for row in rows]
    finished = states.count("finished")
    page = directory / "report.html"
    files.write(
        page,
        _render(
            title=f"sweep {directory.name}",
            status="finished" if finished == len(rows) else "stopped",
            subtitle=f"{len(rows)} runs, {finished} finished",
            tiles=_sweep_tiles(rows),
            figures=_embedded(files.figures),
            runs=_table(rows),
        ),
    )
    return page


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file, with numbers as numbers.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or '').lower()}", key="report") from error


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text or None


def _render(**content: Any) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    environment.filters["shown"] = shown
    return environment.get_template("report.html.jinja").render(**content)


def shown(value: Any) -> str:
    """A cell of a table."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    return str(value)


def _subtitle(started: Mapping[str, Any]) -> str:
    if "t" not in started:
        return ""
    versions = started.get("versions", {})
    software = ", ".join(
        f"{name} {versions[name]}" for name in ("qiskit", "qiskit-aer", "runner") if name in versions
    )
    return f"{datetime.fromtimestamp(started['t']):%Y-%m-%d %H:%M}, seed {started.get('seed')}, {software}"


def _choices(config: Mapping[str, Any]) -> str:
    groups = ("experiment", "hamiltonian", "ansatz", "optimizer", "estimator", "backend", "session")
    return ", ".join(
        f"{group} {config[group]['name']}"
        for group in groups
        if isinstance(config.get(group), Mapping) and config[group].get("name")
    )


def _tiles(result: Mapping[str, Any], end: float, jobs: int, events: Events) -> list[dict[str, str]]:
    from runner.figures.canvas import number, unit
    from runner.progress import clock

    energy, exact, error = (number(result.get(name)) for name in ("energy", "reference_energy", "error"))
    stddev, usage, cost = (number(result.get(name)) for name in ("stddev", "usage_seconds", "cost"))
    tiles = []
    if energy is not None:
        tiles.append(("energy", f"{energy:.6f}", f"± {stddev:.2g}" if stddev else unit(events)))
    if exact is not None:
        tiles.append(("exact", f"{exact:.6f}", unit(events)))
    if error is not None:
        hartree = unit(events) == "Hartree"
        tiles.append(("error", f"{1000 * error:+.3f} mHa" if hartree else f"{error:+.6f}", "energy − exact"))
    if result:
        tiles.append(
            ("evaluations", str(result.get("evaluations")), f"{result.get('iterations')} iterations")
        )
    tiles.append(("jobs", str(jobs), f"{clock(end)} on the session's clock"))
    if usage is not None:
        tiles.append(("usage", clock(usage), "charged"))
    if cost is not None:
        tiles.append(("cost", f"{cost:.2f} USD", "on the declared plan"))
    return [{"name": name, "value": value.replace("-", "−"), "note": note} for name, value, note in tiles]


def _sweep_tiles(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    from runner.figures.canvas import number
    from runner.progress import clock

    energies = [row for row in rows if number(row.get("energy")) is not None]
    tiles = []
    if energies:
        best = min(energies, key=lambda row: row["energy"])
        tiles.append({"name": "lowest energy", "value": shown(best["energy"]), "note": str(best.get("run"))})
    usage = sum(number(row.get("usage_seconds")) or 0.0 for row in rows)
    tiles.append({"name": "usage", "value": clock(usage), "note": "all runs together"})
    return tiles


def _sessions(events: Events) -> list[dict[str, Any]]:
    from runner.progress import clock
    from runner.record import lasting

    found: dict[str, list[Mapping[str, Any]]] = {}
    for event in lasting(events):
        if event["kind"] == "session":
            found.setdefault(event["session"], []).append(event)
    return [
        {
            "session": session,
            "mode": "session" if steps[0]["mode"] == "dedicated" else steps[0]["mode"],
            "backend": steps[0]["backend"],
            "maximum time": clock(steps[0]["max_time"]),
            "state": steps[-1]["state"],
            "because": steps[-1]["reason"],
            "at": clock(steps[-1]["time"]),
            "time-outs": sum(step["state"] == "inactive" for step in steps),
        }
        for session, steps in found.items()
    ]


def _jobs(events: Events) -> list[dict[str, Any]]:
    from runner.record import lasting

    submitted = {}
    rows = []
    for event in lasting(events):
        if event["kind"] == "job.submitted":
            submitted[event["job"]] = event["time"]
        elif event["kind"] == "job.completed":
            rows.append(
                {
                    "workload": event["workload"],
                    "index": event["index"],
                    "status": event["status"],
                    "submitted (s)": submitted.get(event["job"]),
                    "finished (s)": event["finished"],
                    "queue (s)": event["queue_seconds"],
                    "QPU (s)": event["qpu_seconds"],
                    "reason": event["reason"],
                    "job": event["job"],
                }
            )
    return rows


def _table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that all have the same columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in columns} for row in rows]


def _environment(started: Mapping[str, Any]) -> list[dict[str, Any]]:
    facts = {
        **started.get("versions", {}),
        **{name: started.get(name) for name in ("threads", "processor", "commit")},
    }
    return [{"what": name, "value": str(value)} for name, value in facts.items() if value is not None]


def _embedded(folder: Path) -> list[dict[str, str]]:
    return [
        {"caption": caption, "data": base64.b64encode((folder / name).read_bytes()).decode()}
        for name, caption in CAPTIONS.items()
        if (folder / name).is_file()
    ]


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) if config else ""


def _quoted(override: str) -> str:
    import shlex

    return shlex.quote(str(override))

"""report.html: one self-contained page per run or sweep, to be read by somebody who was not there."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import engine
from runner.ansatz.openqasm import read_received
from runner.declare.files import without_collection
from runner.display.command import run_command, sweep_command
from runner.display.words import (
    choices,
    clock,
    counted_up,
    counts,
    digits_of,
    energy_lines,
    energy_number,
    in_cell,
    percent,
    row_without_residue,
    truncation_in_words,
    without_residue,
)
from runner.errors import ConfigError
from runner.hamiltonian import unit_by, unit_of
from runner.record.directory import RunDirectory, check_made_here
from runner.record.events import JobCompleted, JobSubmitted, ProblemPosed, RunStarted
from runner.record.files import read_bytes, read_object, read_rows
from runner.record.journal import read_telling
from runner.record.log import count, first, of, outcome
from runner.record.reading import check_sweep
from runner.record.redaction import redact
from runner.record.replay import lasting
from runner.record.result import added_in_all, taken_in_all
from runner.review.figures import Activities, SweepAxes, draw_run, interactive, save, sweep_overview
from runner.review.figures.canvas import in_words, number, unit
from runner.review.figures.run import look_through, reference_of, shared_shots

if TYPE_CHECKING:
    from runner.review.figures.canvas import Events
    from runner.run.problem import Problem

TEMPLATES = Path(__file__).parent / "templates"

ASIDE = ("number", "exit_code", "directory")
"""Columns of a sweep's table that its page does without."""

MOST_JOBS = 8
"""Rows of the table of jobs; all of them are in the journal."""
MOST_PARSED = 400
"""Statements of the largest circuit that is read back from the journal for a drawing; longer ones take seconds."""

CAPTIONS = {
    "sweep.png": "Every run of the sweep.",
    "table.png": "What the experiment reports.",
    "subspace.png": "Energy against the dimension of subspaces; of electrons, variance and electrons in orbitals.",
    "ladder.png": "What every way to deal with errors gives, how far that is from the ideal energy, and what it costs.",
    "extrapolation.png": "What was measured last with noise amplified, and what that is extrapolated to without.",
    "convergence.png": "Every evaluation ± σ; where known, the answer measured afresh and how far all are off.",
    "timeline.png": "Where the time of the session went.",
    "energy_against_usage.png": "What the QPU time bought.",
    "bitstrings.png": "Bitstrings of the last Sampler job.",
    "circuit.png": "The circuit as declared, and as the device gets it.",
}
"""Figure → what is said below it, in the order of the page."""

DRAW = """
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), letter => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const library = document.createElement("script");
  library.textContent = await new Response(unpacked).text();
  document.body.append(library);
  for (const place of document.querySelectorAll(".plot")) {
    const figure = JSON.parse(place.nextElementSibling.textContent);
    // the buttons are named because those there are by default offer to upload the figure
    Plotly.newPlot(place, figure.data, figure.layout, {
      responsive: true, displaylogo: false, plotlyServerURL: "",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
  }
})();
"""
"""What turns the figures of an interactive page from data into pictures; plotly.js is packed, to fit into a mail."""


MARK = '<meta name="generator" content="session-runner">'
"""What every page has in it."""


def illustrate(files: RunDirectory, problem: Problem | None = None, *, interactive: bool = False) -> Path:
    """Draw a run's figures from its journal and write report.html; returns the page.

    Args:
        files: the run directory.
        problem: the circuits where they are at hand; None: read back from the journal if they are short.
        interactive: write interactive.html instead, whose figures answer to the mouse; needs plotly.

    Raises:
        ConfigError: plotly is needed and not installed.
    """
    plots = Plots(interactive)
    events = read_telling(files.journal)
    with without_collection():
        look_through(events)
    circuits = recorded_circuits(events) if problem is None else [
        ("as declared", engine.with_names(problem.ansatz)), ("on the device", engine.with_names(problem.circuit))
    ]  # fmt: skip
    draw_run(events, files.figures, reference=reference_of(events), circuits=circuits)
    plots.of_run(events, reference_of(events))
    page = files.path / plots.page
    files.write(page, redact(run_page(events, files.figures, plots)))
    return page


def recorded_circuits(events: Events) -> list[tuple[str, Any]]:
    """Titles and circuits of the journal's `problem` event, where they are short and OpenQASM 3 can be read.

    The journal may be somebody else's, whose text need not be what it says: it is read within limits, or left out.
    """
    from importlib.util import find_spec

    problem = first(events, ProblemPosed)
    if problem is None or find_spec("qiskit_qasm3_import") is None:
        return []
    found = []
    for name, title in (("declared", "as declared"), ("device", "on the device")):
        text = problem.program(name)
        if text is None or text.count(";") > MOST_PARSED:
            return []
        try:
            found.append((title, read_received(text, name)))
        except ConfigError:
            return []
    return found


class Plots:
    """What plotly draws where the other page has pictures; nothing, unless that is asked for."""

    def __init__(self, wanted: bool = False) -> None:
        """Raises a ConfigError if it is wanted and not installed, before anything is written."""
        self.page = "interactive.html" if wanted else "report.html"
        self.library = interactive.library() if wanted else None
        self._figures: dict[str, str] = {}

    def of_run(self, events: Events, reference: float | None) -> None:
        """Those of a run."""
        if self.library is not None:
            self._keep(interactive.run_figures(events, reference))

    def of_sweep(self, rows: Sequence[Mapping[str, Any]], axes: SweepAxes) -> None:
        """Those of a sweep."""
        if self.library is not None:
            self._keep({"sweep.png": interactive.sweep_overview(rows, axes)})

    def of(self, name: str) -> str | None:
        """The data of the one in place of a picture, as text that cannot end the element it stands in."""
        return self._figures.get(name)

    def content(self) -> dict[str, Any]:
        """What the page needs besides the data: plotly.js, what starts it, and digests: no other script may run."""
        if self.library is None:
            return {}
        text = self.library.encode()
        digests = [base64.b64encode(hashlib.sha256(script).digest()) for script in (text, DRAW.encode())]
        return {
            "library": base64.b64encode(gzip.compress(text, mtime=0)).decode(),
            "draw": DRAW,
            "digests": [digest.decode() for digest in digests],
        }

    def _keep(self, figures: Mapping[str, Any]) -> None:
        for name, figure in figures.items():
            text = str(figure.to_json())
            for character in "<>&":
                text = text.replace(character, f"\\u{ord(character):04x}")
            self._figures[name] = text


def run_page(events: Events, figures: Path, plots: Plots | None = None) -> str:
    """The text of the page, from the journal and the drawn figures."""
    started, result = first(events, RunStarted), without_residue(outcome(events))
    config = {} if started is None else dict(started.config)
    timeline = Activities.of(events)
    jobs, ended = _jobs(events)
    spent = [
        f"{what} {clock(timeline.seconds(what))}"
        for what in ("QPU", "classical", "queue", "lost", "active and idle", "inactive")
        if timeline.seconds(what)
    ]
    return _render(
        title=figures.parent.name if started is None or not started.name else started.name,
        status=str(result.get("status", "unfinished")),
        subtitle=_subtitle(started),
        choices=_choices(config, started),
        stop_reason=result.get("stop_reason"),
        tiles=_tiles(result, timeline.end, ended, events),
        command=run_command(started),
        table=_table(counted_up(result.get("table", []), result.get("evaluations"))),
        figures=_embedded(figures, plots),
        **(plots or Plots()).content(),
        sessions=_sessions(timeline),
        time_spent=", ".join(spent),
        jobs=jobs,
        job_count=ended,
        config=_yaml(config),
        environment=_environment(started),
    )


def sweep_page(directory: Path, *, interactive: bool = False) -> Path:
    """Draw the overview of a sweep from its sweep.csv and write report.html there; returns the page.

    Args:
        directory: the sweep's directory.
        interactive: write interactive.html instead, whose figure answers to the mouse; needs plotly.

    Raises:
        ConfigError: there is no sweep.csv, or plotly is needed and not installed.
    """
    plots = Plots(interactive)
    rows = [row_without_residue(row) for row in read_table(directory / "sweep.csv")]
    header = _header(directory)
    axes = SweepAxes.of(
        rows, energy_unit=in_words(unit_by(header.get("energy_unit"), header.get("schemas", {})))
    )
    files = RunDirectory(directory)
    if not header:  # the table may be anybody's, and so may what lies beside it
        check_made_here(directory / plots.page, MARK, "report")
        if not os.path.lexists(directory / plots.page):
            check_made_here(files.figures / "sweep.png", MARK, "report")
    files.figures.mkdir(exist_ok=True)
    save(sweep_overview(rows, axes), files.figures / "sweep.png")
    plots.of_sweep(rows, axes)
    states = [str(row.get("status")) for row in rows]
    finished = states.count("finished")
    page = directory / plots.page
    in_all, table = _apart(rows)
    files.write(
        page,
        redact(
            _render(
                title=f"sweep {directory.name}",
                status="finished" if finished == len(rows) else "stopped",
                subtitle=f"{len(rows)} runs, {finished} finished",
                tiles=_sweep_tiles(rows),
                command=sweep_command(header),
                figures=_embedded(files.figures, plots),
                **plots.content(),
                runs=table,
                in_all=", ".join(f"{heading(name)} {shown(value, name)}" for name, value in in_all.items()),
            )
        ),
    )
    return page


def _header(directory: Path) -> dict[str, Any]:
    """What sweep.json says of how the sweep was declared; nothing where somebody made the table by hand."""
    try:
        content = read_object(directory / "sweep.json")
    except FileNotFoundError:
        return {}
    check_sweep(content, directory / "sweep.json")
    return content


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file, with numbers as numbers.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        return [{key: _value(text) for key, text in row.items()} for row in read_rows(path)]
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
    environment.filters["heading"] = heading
    environment.filters["numeric"] = numeric
    environment.filters["digits"] = digits_of
    return environment.get_template("report.html.jinja").render(**content)


def numeric(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Which columns of a table hold numbers, counted from 1."""
    columns = zip(*(row.values() for row in rows), strict=True)
    return [
        number
        for number, cells in enumerate(columns, 1)
        if any(isinstance(cell, int | float) for cell in cells)
    ]


def shown(value: Any, name: str = "", digits: Mapping[str, int] | None = None) -> str:
    """A cell of a table, in the column of that name; `digits` of each column are six else."""
    if value is None or _no_spread(name, value):
        return ""
    if isinstance(value, float):
        return in_cell(name, value, (digits or {}).get(name)).replace("-", "−")
    return str(value)


def _no_spread(name: str, value: Any) -> bool:
    """Whether it is a standard error of 0: exact values have none, and shots that came out alike do not tell it."""
    return name.endswith("stddev") and number(value) == 0


def heading(name: str) -> str:
    """A column's name in words; settings keep theirs, to be typed."""
    return name if "." in name else name.replace("_", " ")


def _subtitle(started: RunStarted | None) -> str:
    if started is None:
        return ""
    versions = started.versions
    software = ", ".join(
        f"{name} {versions[name]}" for name in ("qiskit", "qiskit-aer", "runner") if name in versions
    )
    return f"{datetime.fromtimestamp(started.t):%Y-%m-%d %H:%M}, seed {started.seed}, {software}"


def _choices(config: Mapping[str, Any], started: RunStarted | None = None) -> str:
    groups = ("experiment", "hamiltonian", "ansatz", "optimizer", "estimator", "backend", "session")
    names = choices(config, groups, () if started is None else started.unused)
    idle = None if started is None else started.idle_qubits
    if idle is not None and "backend" in names:
        names["backend"] += f" (idle qubits {idle})"
    racing = config.get("experiment", {}).get("optimizers")
    if racing:
        names["optimizer"] = " and ".join(map(str, racing))
    words = ", ".join(f"{group} {name}" for group, name in names.items())
    simulated = None if started is None else started.simulation
    return words if simulated is None else f"{words}; simulated by {simulated}"


def _tiles(result: Mapping[str, Any], end: float, jobs: int, events: Events) -> list[dict[str, str]]:
    usage, cost = (number(taken_in_all(result, name)) for name in ("usage_seconds", "cost"))
    tiles = [
        (name, value, note or unit(events))
        for name, value, note in energy_lines(result, unit_of(first(events, RunStarted)))
    ]
    if outside := number(result.get("outside_sector")):
        tiles.append(("outside the sector", percent(outside, 3), "of the state, without noise"))
    mitigated = result.get("mitigation") or {}
    if (left_out := result.get("truncation")) is not None and (
        told := truncation_in_words(left_out, number(result.get("energy")))
    ):
        most = number(left_out.get("error", left_out.get("distance"))) or 0.0
        tiles.append(("left out", f"{most:.2g}", f"at most, by simulation: {told}"))
    if (raw := number(mitigated.get("raw"))) is not None:
        tiles.append(
            ("without mitigation", energy_number(raw), "" if result.get("observable") else unit(events))
        )
    if (learned := mitigated.get("learning")) is not None:
        gammas = ", ".join(
            f"{name} γ {gamma:.4f}" for name, gamma in zip(learned["layers"], learned["gammas"], strict=True)
        )
        tiles.append(("noise learned", clock(float(learned["qpu_seconds"])), gammas))
    if (overhead := number(mitigated.get("sampling_overhead"))) is not None:
        tiles.append(("sampling overhead", f"{overhead:.4g}", "γ², times more circuits"))
    tiles += counts(result)
    tiles.append(("jobs", str(jobs), f"{clock(end)} on the session's clock"))
    if (shots := shared_shots(events).in_words) is not None:
        tiles.append(("shots", *shots))
    if usage is not None:
        tiles.append(("usage", clock(usage), "charged"))
    if cost is not None:
        started = first(events, RunStarted)
        plan = started and started.config.get("session", {}).get("plan")
        tiles.append(("cost", f"{cost:.2f} USD", f"on the {plan} plan" if plan else "on the declared plan"))
    if (seconds := number(added_in_all(result, "qpu_seconds"))) is not None:
        price = number(added_in_all(result, "cost"))
        words = "" if price is None else f"{price:.2f} USD; "
        tiles.append(("mitigation adds", clock(seconds), f"{words}{mitigated['setting']}"))
    return [{"name": name, "value": value.replace("-", "−"), "note": note} for name, value, note in tiles]


def _sweep_tiles(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    energies = [
        row for row in rows if number(row.get("energy")) is not None and row.get("energy_kind") != "pick"
    ]
    tiles = []
    if energies:
        exactly = all(number(row.get("exact_energy")) is not None for row in energies)
        name = "exact_energy" if exactly else "energy"  # by the other the luckiest noise would win
        best = min(energies, key=lambda row: row[name])
        tiles.append(
            {
                "name": "lowest energy without shot noise" if exactly else "lowest energy",
                "value": shown(best[name], name),
                "note": str(best.get("run")),
            }
        )
    usage = sum(number(row.get("usage_seconds")) or 0.0 for row in rows)
    tiles.append({"name": "usage", "value": clock(usage), "note": "all runs together"})
    costs = [cost for row in rows if (cost := number(row.get("cost"))) is not None]
    if costs:
        tiles.append({"name": "cost", "value": f"{sum(costs):.2f} USD", "note": "all runs together"})
    return tiles


def _sessions(timeline: Activities) -> list[dict[str, Any]]:
    return [
        {
            "session": session,
            "mode": "session" if steps[0].mode == "dedicated" else steps[0].mode,
            "backend": steps[0].backend,
            "maximum time": clock(steps[0].max_time),
            "state": steps[-1].state,
            "because": steps[-1].reason,
            "at": clock(steps[-1].time),
            "time-outs": sum(step.state == "inactive" for step in steps),
        }
        for session, steps in timeline.transitions.items()
    ]


def _jobs(events: Events) -> tuple[list[dict[str, Any]], int]:
    """The rows of the first jobs that ended, and how many there are."""
    lasts = lasting(events)
    submitted: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for event in of(lasts, JobSubmitted, JobCompleted):
        if isinstance(event, JobSubmitted):
            submitted[event.job] = event.time
        elif isinstance(event, JobCompleted):
            rows.append(
                {
                    "workload": event.workload,
                    "index": event.index,
                    "status": event.status,
                    "submitted (s)": submitted.pop(event.job, None),
                    "finished (s)": event.finished,
                    "queue (s)": event.queue_seconds,
                    "QPU (s)": event.qpu_seconds,
                    "reason": event.reason,
                    "job": event.job,
                }
            )
        if len(rows) == MOST_JOBS:
            break
    return rows, count(lasts, JobCompleted)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that all have the same columns, without those of lists, which figures show, and of no standard error."""
    told = dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], list))
    spreads = {name for name in told if name.endswith("stddev")}
    columns = [name for name in told if name not in spreads or any(number(row.get(name)) for row in rows)]
    return [{name: row.get(name) for name in columns} for row in rows]


def _apart(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What all runs of a sweep have in common, and a table of the rest: no wider than it has to be.

    Names of runs are left out where columns say what was swept.
    """
    table = _table([{key: row[key] for key in row if key not in ASIDE} for row in rows])
    if len(table) < 2:
        return {}, table
    columns = list(table[0])
    in_all = {
        name: table[0][name]
        for name in columns
        if name not in ("run", "status") and all(row[name] == table[0][name] for row in table)
    }
    swept = columns[1 : columns.index("status")] if "status" in columns else []
    aside = {*in_all, *(["run"] if swept else [])}
    told = {name: value for name, value in in_all.items() if value is not None}
    return told, [{name: value for name, value in row.items() if name not in aside} for row in table]


def _environment(started: RunStarted | None) -> list[dict[str, Any]]:
    if started is None:
        return []
    facts = {
        **started.versions, "threads": started.threads, "processor": started.processor, "commit": started.commit,
    }  # fmt: skip
    return [{"what": name, "value": str(value)} for name, value in facts.items() if value is not None]


def _embedded(folder: Path, plots: Plots | None) -> list[dict[str, Any]]:
    return [
        {
            "caption": caption,
            "data": base64.b64encode(_smaller(read_bytes(folder / name))).decode(),
            "plot": None if plots is None else plots.of(name),
        }
        for name, caption in CAPTIONS.items()
        if (folder / name).is_file()
    ]


def _smaller(picture: bytes) -> bytes:
    """A picture with the same pixels in two thirds of the bytes, which every browser shows."""
    from PIL import Image

    target = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(target, "WEBP", lossless=True, quality=80, method=4)
    return target.getvalue()


def _yaml(config: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) if config else ""

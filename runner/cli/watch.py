"""`watch [DIR]`: follow a run live from its journal, from any terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.cli.verb import Argument, CommandLine, Verb
from runner.display.stream import as_text
from runner.errors import ConfigError
from runner.hamiltonian import unit_of
from runner.record.directory import OUTPUTS, RunDirectory, run_directories
from runner.record.events import Note, RunEnded, RunResumed, RunStarted, SessionChanged

VERB = Verb(
    name="watch",
    does="follow a run live from its journal, from any terminal",
    arguments=(
        Argument(name="[DIR]", does="a run directory; the run that began last unless said otherwise"),
    ),
    path="run directory",
    paths=(0, 1),
    examples=("watch outputs/runs/…",),
)


def main(line: CommandLine) -> int:
    """Show progress until the run ends, then its summary; looking does not touch the run.

    Returns:
        The run's exit code, of a damaged journal that of result.json; 1 where its process died.
    """
    from runner.record.journal import follow, is_ended, tell_damage
    from runner.run.execution import resume_command
    from runner.run.progress import Progress

    files = RunDirectory.existing(line.paths[0] if line.paths else newest())
    print(f"watching {as_text(files.path)}", flush=True)
    exit_code = 1
    with Progress(None, own=False) as progress:
        for event in follow(files.journal):
            if isinstance(event, RunStarted):
                progress.expect(most_evaluations(event), rounding=event.rounding, quantity=event.quantity)
            elif isinstance(event, SessionChanged):
                progress.say(
                    f"session {event.session[:8]}: {event.state} at {event.time:.1f} s, {event.reason}"
                )
            elif isinstance(event, Note):
                progress.say(f"{event.level}: {event.text}")
            elif isinstance(event, RunEnded | RunResumed):
                exit_code = event.exit_code if isinstance(event, RunEnded) else 1
            progress(event)
    damaged = tell_damage(files.journal)
    if exit_code and not (files.result.is_file() and is_ended(files.journal)):
        print("the run's process is gone without a result; continue it with:")
        print(as_text(resume_command(files)))
        return exit_code
    ended = _summary(files)
    return ended if damaged and ended is not None else exit_code


def most_evaluations(started: RunStarted) -> int | None:
    """Energies that are evaluated at most, as the experiment says; None where a plug-in, or the circuit, decides."""
    from runner.declare.composer import restore

    try:
        config = restore(started.config, started.schemas).config
    except (
        ConfigError,
        AttributeError,
        LookupError,
    ):  # plug-ins are not loaded; a received journal may lack it
        return None
    most: int | None = config.experiment.most_evaluations(config, None)
    return most


def newest() -> Path:
    """The run that began last.

    Raises:
        ConfigError: there is none.
    """
    runs = run_directories(OUTPUTS, "**")
    if not runs:
        raise ConfigError(f"no run below {OUTPUTS}; give a run directory", key="watch")
    return max(runs, key=lambda path: path.stat().st_ctime)


def _summary(files: RunDirectory) -> int | None:
    """Print what result.json says; the exit code of the process that wrote it, None where there is none."""
    from runner.declare.session import plan_of
    from runner.record.journal import opening
    from runner.record.reading import read_result, read_sessions
    from runner.run.execution import resume_command
    from runner.run.progress import summary
    from runner.run.results import RunResult

    if not (files.result.is_file() and files.session.is_file()):
        return None
    content: dict[str, Any] = read_result(files.result)
    sessions = read_sessions(files.session)
    started = opening(files.journal)
    result = RunResult.of(content, files.path)
    exact = started is not None and started.schemas.get("estimator") == "exact"
    again = None if result.status == "finished" else resume_command(files)
    plan = plan_of({} if started is None else started.config)
    summary(result, sessions, "", unit=unit_of(started), exact=exact, plan=plan, again=again)
    return result.exit_code

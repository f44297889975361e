"""Picking up an unfinished run: reading back what was declared, and refusing what would give other numbers."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import review
from runner.declare.checks import shorten
from runner.declare.composer import check_recorded, restore
from runner.declare.config import COMPUTING, Declaration, RunConfig, flatten
from runner.declare.overrides import Overrides
from runner.declare.plain import Values
from runner.display.shell import command
from runner.errors import ConfigError, ConfigWarning, JournalError, ResumeError
from runner.record.directory import JOURNAL, OUTPUTS, RunDirectory, run_directories
from runner.record.encoding import encode
from runner.record.environment import environment
from runner.record.events import (
    SHOTS,
    BudgetReached,
    Estimate,
    Event,
    JobCompleted,
    ProblemPosed,
    RunEnded,
    RunResumed,
    RunStarted,
)
from runner.record.files import read_mapping, read_object
from runner.record.journal import Journal, is_open, opening, read_journal
from runner.record.log import first, last, of, outcome
from runner.record.reading import read_result
from runner.record.replay import EVOLVED, RESULTS, stop_of
from runner.run.budget import BUDGETS, EXPIRY, LIMITS, USAGE, larger
from runner.run.results import RunResult
from runner.runtime.duration import parse_duration
from runner.services.protocol import Backend
from runner.tracking import sync


def reopen(
    files: RunDirectory, journal: Journal, overrides: Sequence[str] = ()
) -> tuple[Declaration, dict[str, Any]]:
    """The declaration of the run in `files`, ready to be continued, and the budgets that differ from those declared.

    Raises:
        ConfigError: nothing was recorded.
        ResumeError: config.yaml, a package or the machine is not what it was.
    """
    events = journal.contents.events
    started = first(events, RunStarted)
    if started is None:
        raise ConfigError(f"{files.path} stopped before anything was recorded; start it again", key="resume")
    _same_config(files, started.config)
    typed = Overrides.of(overrides)
    _check_budget(files, events, typed)
    budgets = _budgets(events, typed)
    values = {**started.config, "run": {**started.config["run"], **_run_options(typed)}}
    values = with_limits(values, budgets)
    declaration = restore(values, started.schemas, started.overrides, plugins=typed.plugins)
    if repeats_no_time(declaration.config):
        raise ConfigError(
            f"{files.path} ran on the wall clock, whose times do not repeat; go on from its best parameters: "
            f"{command('resume', files.path, '--fork')}",
            key="session.clock",
        )
    if declaration.values["backend"].get("schedule") != values["backend"].get("schedule"):
        warnings.warn(
            "backend.schedule: this run is from before idle qubits decayed; it goes on without, as it began",
            ConfigWarning,
            stacklevel=2,
        )
    _require_called_as_it_is(files, started)
    _same_environment(started, declaration.config)
    if any(event.origin is None for event in of(events, Estimate)):
        raise ResumeError(
            f"{files.path} comes from an earlier release, which measured results in another way; start it again, "
            "or go on from its best parameters with --fork"
        )
    if stop_of(events, resumed=True).reopens:
        # its session has ended, now or before the run was broken again: going on means another session
        declaration.config.session.on_expiry = "reopen"
    return replace(declaration, directory=str(files.path)), budgets


def with_limits(values: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with other values for some keys of its parts."""
    changed = dict(values)
    for key, value in limits.items():
        part, _, name = key.partition(".")
        changed[part] = {**changed[part], name: value}
    return changed


def repeats_no_time(config: RunConfig) -> bool:
    """Whether a run that is broken cannot be gone on with: the local runtime's times were those of a real clock."""
    return config.session.clock == "wall" and config.backend.simulated


def used_up(events: Sequence[Event]) -> BudgetReached | None:
    """The budget that ended a run, where that has not gone on since; None where none did, or a racer's own.

    One of its own a racer has for good: what is typed is the budget of those that have none.
    """
    facts = stop_of(events).used_up
    started = first(events, RunStarted)
    if not facts or started is None:
        return None
    declared = dict(_budgets(events, Overrides.of(())))
    for key in BUDGETS:
        part, _, name = key.partition(".")
        declared.setdefault(key, started.config[part].get(name))
    return next((fact for fact in facts if _seconds_or(declared[fact.key], fact.key) == fact.allowed), None)


def going_on(events: Sequence[Event], raised: Overrides) -> tuple[str, ...] | None:
    """The words of `raised` with which a run goes on that has come to an end; None where it ended for something else.

    A run whose session ended goes on in another once: where these end it too, more of them would end the same.
    """
    started, fact = first(events, RunStarted), used_up(events)
    if started is None or _status(events) not in ("stopped", "finished") or _began_on_the_wall(started):
        return None
    if fact is None:
        item = raised.last(EXPIRY)
        enough = not stop_of(events).reopens and stop_of(events, resumed=True).reopens
    else:
        item = raised.last(fact.key)
        enough = item is not None and _is_enough(events, fact, item.value)
    return (item.text,) if item is not None and enough else None


def _began_on_the_wall(started: RunStarted) -> bool:
    """Whether what a run was begun with repeats no time; it is composed again only where that may be."""
    if started.config["session"].get("clock") != "wall":
        return False
    plugins = started.config.get("plugins") or []
    return repeats_no_time(restore(started.config, started.schemas, plugins=plugins).config)


def _is_enough(events: Sequence[Event], fact: BudgetReached, value: Any) -> bool:
    """Whether a budget lets a run go on that another ended; null is no budget."""
    return value is None or _seconds_or(value, fact.key) > fact.allowed + _measured(events, fact)


def _budgets(events: Sequence[Event], typed: Overrides) -> dict[str, Any]:
    """Key → value of the budgets that are not as declared: those typed now, else those typed for an earlier resume."""
    budgets: dict[str, Any] = {}
    for event in of(events, RunResumed):
        budgets.update(event.budgets or {})
    budgets.update({item.key: item.value for item in typed if item.key in BUDGETS})
    return budgets


def _check_budget(files: RunDirectory, events: Sequence[Event], typed: Overrides) -> None:
    """Refuse to go on with a budget that is used up.

    Raises:
        ConfigError: none that is larger is typed.
    """
    fact = used_up(events)
    expiry = typed.last(EXPIRY)
    if expiry is not None and not (expiry.value == "reopen" and stop_of(events, resumed=True).reopens):
        raise ConfigError(
            "can be reopen alone, where a session that ended has stopped the run; leave it out", key=EXPIRY
        )
    repeated = _repeated(events, typed)
    for key in (item.key for item in typed if item.key in BUDGETS):
        if key not in repeated and (fact is None or key != fact.key):
            raise ConfigError(
                "did not end this run, and what was declared cannot be changed; leave it out", key=key
            )
    if fact is None:
        return
    item = typed.last(fact.key)
    if item is not None and _is_enough(events, fact, item.value):
        return
    raise ConfigError(
        f"{fact.allowed:.15g} is used up; to go on, type more: {command('resume', files.path, larger(fact))}",
        key=fact.key,
    )


def _measured(events: Sequence[Event], fact: BudgetReached) -> float:
    """What measuring the result took of a budget in money or seconds: at most what was kept for it."""
    measured = any(event.workload == RESULTS for event in of(events, JobCompleted))
    return fact.measuring if measured and fact.key != SHOTS else 0.0


def _repeated(events: Sequence[Event], typed: Overrides) -> set[str]:
    """The budgets typed that the run, which was broken while it went on, was last resumed with."""
    ended = None
    for event in of(events, RunEnded, RunResumed):
        ended = event
    if not isinstance(ended, RunResumed) and (ended is None or ended.status == "finished"):
        return set()
    resumed = _budgets(events, Overrides.of(()))
    return {item.key for item in typed if item.key in BUDGETS and resumed.get(item.key) == item.value}


def _seconds_or(value: Any, key: str) -> float:
    """A budget as a number; what is none is refused where values are checked."""
    if key == USAGE:
        return parse_duration(value, key=key) or 0
    return float(value) if isinstance(value, int | float) else math.inf


def same_noise(files: RunDirectory, backend: Backend, identity: int) -> None:
    """Refuse a noisy run from before noise was simulated as it is now.

    Raises:
        ResumeError: its next numbers would differ from the recorded ones in their last bits, or in their shots.
    """
    if identity < EVOLVED and backend.idle_qubits is not None:
        raise ResumeError(
            f"{files.path} is noisy, and noise is simulated in another way since it was begun: resume it with the "
            "release that began it, or go on from its best parameters with --fork"
        )


def calibration_of(files: RunDirectory) -> Values | None:
    """The device's calibration that the run was begun with; None where it kept none.

    Raises:
        ConfigError: its file is damaged.
    """
    if not files.calibration.exists():
        return None
    properties = read_object(files.calibration).get("properties")
    if not isinstance(properties, dict):
        raise ConfigError(f"{files.calibration} is damaged (it holds no properties of a device); restore it")
    return properties


def is_finished(files: RunDirectory, events: Sequence[Event], overrides: Sequence[str] = ()) -> bool:
    """Whether a run came to its end and wrote what only a run can write.

    One that stopped because its session ended could go on in another; where its result was deleted, or it was killed
    before its figures, these come first, and cost nothing.
    """
    typed = {item.key for item in Overrides.of(overrides)}
    if not files.session.is_file() or typed.intersection(BUDGETS):
        return False
    status, told = _status(events), files.result.is_file()
    return (status == "finished" and told) or (
        status == "stopped" and EXPIRY not in typed and (not told or _lacks_figures(files, events, overrides))
    )


def _lacks_figures(files: RunDirectory, events: Sequence[Event], overrides: Sequence[str]) -> bool:
    """Whether report.html is wanted and does not show the last ending."""
    started, ended = first(events, RunStarted), last(events, RunEnded)
    assert started is not None
    assert ended is not None
    if not {**started.config["run"], **_run_options(Overrides.of(overrides))}["figures"]:
        return False
    page = files.path / "report.html"
    return not (page.is_file() and page.stat().st_mtime >= ended.t)


def complete(
    files: RunDirectory, events: Sequence[Event], overrides: Sequence[str] = (), tidied: Sequence[str] = ()
) -> tuple[RunResult, list[str]]:
    """What a finished run would have done next, had it not been killed: figures, report, MLflow.

    Args:
        files: its directory.
        events: those of its journal.
        overrides: what was typed.
        tidied: one line on each thing that was done already.

    Returns:
        The result, and one line on each thing that was done.

    Raises:
        ConfigError: nothing is missing.
    """
    started = first(events, RunStarted)
    if started is None:
        raise ConfigError(
            f"{files.journal} does not begin with what was declared; it is damaged", key="resume"
        )
    config = started.config
    done = list(tidied)
    if not files.result.is_file():
        files.write(files.result, RunResult.of(outcome(events), files.path).to_json())
        done.append(f"wrote {files.result}")
    content = read_result(files.result)
    if _lacks_figures(files, events, overrides):
        done.append(f"wrote {review.illustrate(files)}")
    if config["tracking"]["enabled"] and content["mlflow_run_id"] is None:
        report = sync(files.path)
        done.append(report.message or f"MLflow run {report.mlflow_run_id}")
        if report.mlflow_run_id is not None:
            content["mlflow_run_id"] = report.mlflow_run_id
            files.write_json(files.result, content)
            sync(files.path)
    if not done:
        fact = used_up(events)
        more = "" if fact is None else f"; a larger {fact.key} goes on: {larger(fact)}"
        raise ConfigError(f"{files.path} is finished; there is nothing to resume{more}", key="resume")
    return RunResult.of(content, files.path), done


def _status(events: Sequence[Event]) -> str | None:
    """How a run ended; None where it did not, or has gone on since."""
    *_, ended = (None, *of(events, RunEnded, RunResumed))
    return ended.status if isinstance(ended, RunEnded) else None


def _run_options(overrides: Overrides) -> dict[str, object]:
    options = {}
    for override in overrides.without_plugins():
        if override.key in LIMITS:
            continue
        if override.part != "run":
            raise ConfigError("cannot be changed in a resumed run; start a new one", key=override.key)
        if override.key == COMPUTING:
            raise ConfigError("is asked before a run begins, which this one has; leave it out", key=COMPUTING)
        options[override.key.partition(".")[2]] = override.value
    return options


def unfinished(values: Mapping[str, object], chosen: str | None = None) -> RunDirectory | None:
    """The newest run of exactly this configuration that has not finished and that no process is writing.

    Args:
        values: the configuration.
        chosen: the one directory where it may be; None: anywhere below `outputs/runs`.
    """
    directories = run_directories(OUTPUTS / "runs") if chosen is None else [Path(chosen)]
    for directory in reversed(directories):
        path = directory / JOURNAL
        try:
            started = opening(path)
            if started is None or not _equal(started.config, values):
                continue
            events = read_journal(path).events
        except (ConfigError, JournalError, OSError):
            continue
        if _status(events) != "finished" and not is_open(path):
            return RunDirectory(directory)
    return None


def _equal(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    def relevant(values: Mapping[str, object]) -> dict[str, object]:
        return {
            key: value
            for key, value in flatten(dict(values)).items()
            if not key.startswith(("run.", "tracking.")) and not (key in BUDGETS and value is None)
        }

    return relevant(one) == relevant(other)


def same_problem(posed: ProblemPosed, now: Mapping[str, Any]) -> None:
    """Refuse to go on with another problem than the journal tells.

    The device's circuit and the words on sources are not compared: they may be another's and say the same.

    Raises:
        ResumeError: naming the field, and what it was and is.
    """
    before = posed.said()
    for name in ("qubits", "terms", "parameters", "parameter_names", "sector", "reference_energy"):
        recorded, found = before.get(name), now.get(name)
        if recorded is None or recorded == found:  # an earlier release did not tell it
            continue
        floats = isinstance(recorded, float) and isinstance(
            found, float
        )  # the energy; all else is whole, or text
        if floats and math.isclose(recorded, found or 0.0, abs_tol=ALIKE):
            continue
        raise ResumeError(
            f"{posed.kind} differs from the journal at {name!r}: recorded {shorten(str(recorded), 40)}, "
            f"now {shorten(str(found), 40)}; the code, its inputs or the environment changed"
        )


ALIKE = 1e-8
"""By how much an exact energy may differ between processors and libraries, in units of its own and of one."""


def _same_config(files: RunDirectory, recorded: Mapping[str, object]) -> None:
    try:
        current = json.loads(
            encode(read_mapping(files.config))
        )  # the journal has words for what JSON cannot say
    except OSError:
        return  # the journal holds it too
    except ConfigError as error:
        raise ResumeError(str(error)) from error
    before, now = flatten(dict(recorded)), flatten(current)
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if changed:
        key, *others = changed
        also = f"; {', '.join(others[:5])} differ{'s' * (len(others) == 1)} too" if others else ""
        raise ResumeError(
            f"{files.config}: {key} is {now.get(key)!r}, the run was started with {before.get(key)!r}{also}; "
            "undo the change, or start a new run"
        )


def _require_called_as_it_is(files: RunDirectory, started: RunStarted) -> None:
    try:
        check_recorded(started.config, started.schemas, started.overrides, started.config_dirs)
    except ConfigError as error:
        told = str(error).partition(";")[0]
        raise ResumeError(
            f"{files.path}: {told}; so it is shown as what it is not: start it again as it is meant, or go on from its "
            f"best parameters with --fork and {error.key.partition('.')[0] if error.key else 'the choice'}=…"
        ) from error


def _same_environment(started: RunStarted, config: RunConfig) -> None:
    if config.run.allow_environment_change:
        return
    now = environment(config)
    before: dict[str, object] = {
        **started.versions, "threads": started.threads, "processor": started.processor
    }  # fmt: skip
    current = {**now["versions"], "threads": now["threads"], "processor": now["processor"]}
    for key, value in before.items():
        if current.get(key) != value:
            raise ResumeError(
                f"{key} is {current.get(key)!r} now and was {value!r}, so numbers could differ in their last bits; "
                "go back to it, or add run.allow_environment_change=true"
            )

"""A recorded run under other modes, limits, plans and queues, side by side, without simulating again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.manual import choices
from runner.declare.checks import require_choice
from runner.declare.config import CONF, restore
from runner.declare.messages import parse
from runner.declare.provenance import split_plugins
from runner.declare.session import SessionConfig
from runner.errors import ConfigError
from runner.record.directory import RunDirectory
from runner.record.events import Event, RunEnded, RunStarted
from runner.record.journal import read_journal
from runner.record.log import first, last

if TYPE_CHECKING:
    from runner.runtime.retime import Retimed

MODEL = ("overhead", "rep_delay")
"""Settings of the cost model; where none of them is changed, jobs take what they took."""

EVERY_MODE = (["session.mode=session"], ["session.mode=batch"], ["session.mode=job"])
"""What a recorded run is compared with when nothing else is asked for."""


@dataclass(frozen=True)
class Column:
    """One way the run might have gone."""

    title: str
    """What was changed, as typed."""
    session: SessionConfig
    """The session's settings."""
    retimed: Retimed
    """What they lead to."""


def columns(directory: str | Path, overrides: Sequence[str] = ()) -> list[Column]:
    """The run as recorded, then once for every combination of the given `session` settings.

    Args:
        directory: a run directory.
        overrides: `session=batch`, `session.max_time=10m`, `session.queue_delay.seconds=0,600`…; none: every mode;
            and `plugins=[…]`, where the run used some.

    Raises:
        ConfigError: no run there, settings other than the session's, or values that do not fit.
    """
    events = read_journal(RunDirectory.existing(directory).journal).events
    started = first(events, RunStarted)
    if started is None:
        raise ConfigError(f"nothing was recorded in {directory}", key="retime")
    plugins, overrides = split_plugins(overrides)
    recorded = _session(started, [], plugins)
    wanted = _combinations(overrides) if overrides else _other_modes(recorded)
    found = [Column("as recorded", recorded, _retime(events, started, recorded, recorded))]
    for changes in wanted:
        session = _session(started, changes, plugins)
        title = "\n".join(change.replace("session.", "").replace("session=", "") for change in changes)
        found.append(Column(title, session, _retime(events, started, recorded, session)))
    return found


def was_stopped(directory: str | Path) -> bool:
    """Whether the recorded run ended before it was done, so that jobs are missing that it never came to."""
    events = read_journal(RunDirectory.existing(directory).journal).events
    ended = last(events, RunEnded)
    return ended is None or ended.status != "finished"


def _combinations(overrides: Sequence[str]) -> list[list[str]]:
    values = [
        [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [str(override.input_line)]
        for override in parse(overrides)
    ]
    return [list(combination) for combination in itertools.product(*values)]


def _other_modes(recorded: SessionConfig) -> list[list[str]]:
    return [
        changes
        for changes in EVERY_MODE
        if changes != [f"session.mode={recorded.mode}"]
        and not (recorded.plan == "open" and changes == ["session.mode=session"])
    ]


def _session(started: RunStarted, overrides: Sequence[str], plugins: Sequence[str]) -> SessionConfig:
    """The recorded session's settings with some of them changed; a choice brings the values of its file."""
    import yaml

    values: dict[str, Any] = {**started.config["session"]}
    for override in sorted(parse(overrides), key=lambda override: "." in override.key_or_group):
        key = override.key_or_group
        if key == "session":
            require_choice("session", str(override.value()), list(choices("session")))
            path = CONF / "session" / f"{override.value()}.yaml"
            chosen = yaml.safe_load(path.read_text(encoding="utf-8"))
            values.update({name: value for name, value in chosen.items() if name != "defaults"})
        elif key.startswith("session."):
            place = values
            *path_, last = key.split(".")[1:]
            for name in path_:
                place[name] = dict(place.get(name) or {})
                place = place[name]
            place[last] = override.value()
        else:
            raise ConfigError("only the session can be re-timed; run again to change anything else", key=key)
    declaration = restore({**started.config, "session": values}, started.schemas, plugins=plugins)
    session = declaration.config.session
    assert isinstance(session, SessionConfig)
    return session


def _retime(
    events: Sequence[Event],
    started: RunStarted,
    recorded: SessionConfig,
    session: SessionConfig,
) -> Retimed:
    from runner.record.replay import lasting
    from runner.runtime import CostModel, QueueDelay
    from runner.runtime.retime import retime

    delay = session.queue_delay
    changed = any(getattr(session, name) != getattr(recorded, name) for name in MODEL)
    return retime(
        lasting(events),
        mode=session.mode,
        plan=session.limits,
        max_time=session.max_time,
        queue_delay=QueueDelay(kind=delay.kind, seconds=delay.seconds, sigma=delay.sigma),
        latency=session.latency if session.latency != recorded.latency else None,
        cost=CostModel(overhead=session.overhead, rep_delay=session.rep_delay) if changed else None,
        lanes=session.lanes,
        on_expiry="reopen" if session.on_expiry == "reopen" else "stop",
        seed=started.seed,
    )


def table(found: Sequence[Column], *, stopped: bool = False) -> list[tuple[str, ...]]:
    """Rows of the printed table: the name, then one value per column.

    Args:
        found: the columns, the recorded run first.
        stopped: the recorded run had not finished, so nobody knows how many jobs were to come.
    """
    from runner.cli.progress import clock

    lines: dict[str, list[str]] = {}
    for column in found:
        retimed, session = column.retimed, column.session
        limit = "" if session.mode == "job" else clock(session.longest)
        finished = "no" if not retimed.complete or (stopped and column is found[0]) else "yes"
        if stopped and finished == "yes":
            finished = "as far as recorded"
        done = sum(job.status == "DONE" for job in retimed.jobs)
        for name, value in (
            ("mode", session.mode),
            ("plan", session.plan),
            ("maximum time", limit),
            ("would have finished", finished),
            ("jobs done", f"{done} of {done + retimed.lost}"),
            ("sessions", str(retimed.sessions)),
            ("time", clock(retimed.duration)),
            ("queueing", clock(retimed.queue_seconds)),
            ("QPU time", clock(retimed.qpu_seconds)),
            ("usage", clock(retimed.usage_seconds)),
            ("cost", f"{retimed.cost:.2f} USD"),
        ):
            lines.setdefault(name, []).append(value)
    return [(name, *values) for name, values in lines.items()]

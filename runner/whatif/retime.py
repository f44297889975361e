"""A recorded run under other modes, limits, plans and queues, side by side, without simulating again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from runner.declare.composer import Composer
from runner.declare.files import without_collection
from runner.declare.overrides import Overrides
from runner.declare.provenance import check_plugins, mention_unused
from runner.declare.session import SessionConfig
from runner.display.words import clock, decimals
from runner.errors import ConfigError
from runner.record.directory import RunDirectory
from runner.record.events import (
    Event,
    JobCompleted,
    JobSubmitted,
    RunEnded,
    RunStarted,
    SessionChanged,
)
from runner.record.journal import read_telling
from runner.record.log import first, of, outcome
from runner.record.replay import LEARNER, RESULTS, lasting
from runner.record.result import taken_in_all
from runner.record.usage import Usage
from runner.run.mitigation import declared
from runner.runtime.cost import CostModel, QueueDelay
from runner.runtime.machine import DONE
from runner.runtime.plan import PLANS
from runner.runtime.retime import Story, as_recorded, retime
from runner.whatif.keeping import kept

if TYPE_CHECKING:
    from runner.runtime.retime import Retimed

MODEL = ("overhead", "rep_delay")
"""Settings of the cost model; where none of them is changed, jobs take what they took."""

NOT_RETIMED = {
    "session.max_usage": "what a run does where its budget ends is not recorded",
    "session.max_cost": "what a run does where its budget ends is not recorded",
    "session.clock": "re-timing is done on the virtual clock, whatever clock the run was on",
    "session.expired_jobs": "what lost jobs are called changes no number of a re-timed run",
}
"""Settings of the session that nothing here depends on → why."""

EVERY_MODE = (["session.mode=session"], ["session.mode=batch"], ["session.mode=job"])
"""What a recorded run is compared with when nothing else is asked for."""


OWN_MITIGATION = ("mitigation_ladder", "kicked_ising")
"""Experiments that say themselves which of their jobs take learned noise; no journal tells."""

UNTOLD = "not told"
"""What stands for a charge that the service has not told."""

UNKNOWN = "not known"
"""What stands for a number that only a run can tell."""


@dataclass(frozen=True)
class Column:
    """One way the run might have gone."""

    title: str
    """What was changed, as typed."""
    session: SessionConfig
    """The session's settings."""
    retimed: Retimed
    """What they lead to."""
    stopped: bool = False
    """The recorded run ended before it was done, so that jobs are missing that it never came to."""

    @property
    def learners(self) -> int:
        """Jobs that learned noise for those after them."""
        return sum(job.workload == LEARNER and job.status == DONE for job in self.retimed.jobs)


def columns(
    directory: str | Path, overrides: Sequence[str] = (), *, config_dirs: Sequence[str] = ()
) -> list[Column]:
    """The run as recorded, then once for every combination of the given `session` settings.

    Args:
        directory: a run directory.
        overrides: `session=batch`, `session.max_time=10m`, `session.queue_delay.seconds=0,600`…; none: every mode;
            and `plugins=[…]`, where the run used some.
        config_dirs: folders with further choices of `session`.

    Raises:
        ConfigError: no run there, settings other than the session's, or values that do not fit.
    """
    files = RunDirectory.existing(directory)
    events = read_telling(files.journal)
    started = first(events, RunStarted)
    if started is None:
        raise ConfigError(f"nothing was recorded in {directory}", key="retime")
    mention_unused(files.config, started.config.get("plugins"))
    typed = Overrides.of(overrides)
    composer = Composer(config_dirs, check_plugins(started.config.get("plugins"), typed.plugins))
    recorded = _session(composer, started, Overrides())
    wanted = _combinations(composer, typed.without_plugins()) or _other_modes(recorded)
    sessions = {}
    for changes in wanted:
        title = "\n".join(change.replace("session.", "").replace("session=", "") for change in changes)
        sessions[title] = _session(composer, started, Overrides.of(changes))
    stopped = _was_stopped(events)
    with without_collection():
        lived = lasting(events)
        takers = _takers(composer, started, lived)
        found = [
            Column("as recorded", recorded, _as_recorded(events, lived, recorded), stopped),
            *(
                Column(title, session, _retime(lived, started, recorded, session, typed, takers), stopped)
                for title, session in sessions.items()
            ),
        ]
    for column in found:
        _require_times(column.retimed, files.journal)
    return found


def _require_times(retimed: Retimed, journal: Path) -> None:
    """Refuse what no times of jobs add up to.

    Raises:
        ConfigError: the journal tells lengths of circuits that are none, say.
    """
    told = (
        retimed.duration,
        retimed.queue_seconds,
        retimed.qpu_seconds,
        retimed.usage_seconds or 0.0,
        retimed.cost or 0.0,
    )
    if not all(0 <= seconds < inf for seconds in told):
        raise ConfigError(
            f"{journal} tells of its jobs what adds up to no times; it is damaged: restore it", key="retime"
        )


def _was_stopped(events: Sequence[Event]) -> bool:
    """Whether the recorded run ended before it was done."""
    ended = events[-1] if events else None  # its last line may be there, and lines before it not
    return not isinstance(ended, RunEnded) or ended.status != "finished"


def _combinations(composer: Composer, overrides: Overrides) -> list[list[str]]:
    """Every combination of the values; none where nothing is typed."""
    values = [[item.typed(text) for text in item.values] for item in composer.listed(overrides)]
    return [list(combination) for combination in itertools.product(*values)] if values else []


def _other_modes(recorded: SessionConfig) -> list[list[str]]:
    return [
        changes
        for changes in EVERY_MODE
        if changes != [f"session.mode={recorded.mode}"]
        and not (recorded.plan == "open" and changes == ["session.mode=session"])
    ]


def _session(composer: Composer, started: RunStarted, overrides: Overrides) -> SessionConfig:
    """The recorded session's settings with some of them changed; a choice brings the values of its file."""
    for override in overrides:
        if override.key in NOT_RETIMED:
            raise ConfigError(f"{NOT_RETIMED[override.key]}; leave it out", key=override.key)
        if override.part != "session":
            raise ConfigError(
                "only the session can be re-timed; run again to change anything else", key=override.key
            )
    config = started.config
    if overrides:
        unlimited = dict.fromkeys(("max_usage", "max_cost"))
        config = {**config, "session": {**config["session"], **unlimited, "clock": "virtual"}}
    session = composer.revised("session", config, started.schemas, overrides)
    assert isinstance(session, SessionConfig)
    return session


def _retime(
    events: Sequence[Event],
    started: RunStarted,
    recorded: SessionConfig,
    session: SessionConfig,
    typed: Overrides,
    takers: Collection[str] | None,
) -> Retimed:
    delay = session.queue_delay
    timed = recorded.clock == "wall" and "session.latency" in typed.keys
    changed = [name for name in MODEL if getattr(session, name) != getattr(recorded, name)]
    if changed and any(event.work is None for event in of(events, JobSubmitted)):
        raise ConfigError(
            "jobs of a real machine took what they took, and no model of it can be changed; leave it out",
            key=f"session.{changed[0]}",
        )
    return retime(
        events,
        mode=session.mode,
        plan=session.limits,
        max_time=session.max_time,
        queue_delay=QueueDelay(kind=delay.kind, seconds=delay.seconds, sigma=delay.sigma),
        latency=session.latency if session.latency != recorded.latency or timed else None,
        cost=CostModel(overhead=session.overhead, rep_delay=session.rep_delay) if changed else None,
        lanes=session.lanes,
        reopen=session.on_expiry == "reopen",
        reaction=recorded.latency if recorded.clock == "virtual" else 0.0,
        kept=kept(events, session, fixed_shots=started.config["estimator"].get("target_stddev") is None),
        takers=takers,
        seed=started.seed,
    )


def _takers(composer: Composer, started: RunStarted, events: Sequence[Event]) -> frozenset[str] | None:
    """The workloads whose jobs take noise that is learned in their session; None where nobody knows."""
    jobs = Story.of(events).jobs
    if not any(job.layers is not None for job in jobs):
        return frozenset()
    if started.config["experiment"].get("name") in OWN_MITIGATION:
        return None
    estimator = composer.revised("estimator", started.config, started.schemas, Overrides())
    usual, final = (
        setting is not None and setting.learns
        for setting in map(declared, (estimator.mitigation, estimator.final_mitigation))
    )
    return frozenset(job.workload for job in jobs if (final if job.workload == RESULTS else usual))


def _as_recorded(events: Sequence[Event], lived: Sequence[Event], session: SessionConfig) -> Retimed:
    """What happened, and what result.json says that it cost; of a run without a result what its facts add up to."""
    charged, cost = _charged(events, lived, session)
    return as_recorded(lived, mode=session.mode, plan=session.plan, usage_seconds=charged, cost=cost)


def _charged(
    events: Sequence[Event], lived: Sequence[Event], session: SessionConfig
) -> tuple[float | None, float | None]:
    """Seconds and USD; None where the service has not told them."""
    if result := outcome(events):
        return taken_in_all(result, "usage_seconds"), taken_in_all(result, "cost")
    usage = Usage()
    for event in of(lived, SessionChanged, JobCompleted):
        usage.feed(event)
    charged = usage.charged(usage.latest)
    return charged, None if charged is None else charged * session.limits.price_per_second


def table(found: Sequence[Column], *, stopped: bool = False) -> list[tuple[str, ...]]:
    """Rows of the printed table: the name, then one value per column.

    Args:
        found: the columns, the recorded run first.
        stopped: the recorded run had not finished, so nobody knows how many jobs were to come.
    """
    lines: dict[str, list[str]] = {}
    for column in found:
        retimed, session = column.retimed, column.session
        limit = "" if session.mode == "job" else clock(session.longest)
        known = _is_known(retimed)
        finished = "no" if not retimed.complete or (stopped and column is found[0]) else "yes"
        if stopped and finished == "yes":
            finished = "as far as recorded"
        if retimed.held_back == "perhaps" or retimed.learns_otherwise:
            finished = UNKNOWN
        done = sum(job.status == DONE for job in retimed.jobs)
        for name, value in (
            ("mode", session.mode),
            ("plan", session.plan),
            ("maximum time", limit),
            ("would have finished", finished),
            ("jobs done", f"{done} of {done + retimed.lost}" if known else UNKNOWN),
            ("sessions", UNKNOWN if retimed.learns_otherwise else str(retimed.sessions)),
            ("time", clock(retimed.duration) if known else UNKNOWN),
            ("queueing", clock(retimed.queue_seconds) if known else UNKNOWN),
            ("QPU time", clock(retimed.qpu_seconds) if known else UNKNOWN),
            ("usage", _charge(retimed, retimed.usage_seconds, clock)),
            ("cost", _charge(retimed, retimed.cost, lambda cost: f"{decimals(cost, 2)} USD")),
        ):
            lines.setdefault(name, []).append(value)
    if any(column.session.price_per_second is not None for column in found):
        lines["price"] = [_price(column.session) for column in found]
    return [(name, *values) for name, values in lines.items()]


def _price(session: SessionConfig) -> str:
    """What a second costs, and whose price that is: one that was declared stays whatever the plan becomes."""
    own, plans = session.price_per_second, PLANS[session.plan].price_per_second
    if own is None:
        return f"{plans:.2f} USD a second, the plan's"
    return f"{own:g} USD a second as declared, not the plan's {plans:.2f}"


def _is_known(retimed: Retimed) -> bool:
    """Whether the numbers are those that a run would have had."""
    return not retimed.held_back and not retimed.learns_otherwise


def _charge(retimed: Retimed, value: float | None, shown: Callable[[float], str]) -> str:
    if not _is_known(retimed):
        return UNKNOWN
    return UNTOLD if value is None else shown(value)

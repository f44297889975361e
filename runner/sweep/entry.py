"""`-m` from the command line to the exit code: plan, check everything, hand over to conductor or search; and resume."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from runner.declare.config import Declaration
from runner.declare.hydra_support import refuse_outside
from runner.declare.overrides import Overrides
from runner.declare.provenance import PLACES, check_launcher, check_plugins
from runner.declare.registry import load
from runner.errors import ConfigError
from runner.run.budget import LIMITS
from runner.sweep.compose import SweepPlanner, SweepSettings
from runner.sweep.conductor import (
    Conductor,
    base_of,
    check_together,
    declare_all,
    header,
    to_complete,
    wanted,
)
from runner.sweep.directory import SweepDirectory
from runner.sweep.launcher import LAUNCHERS, Launcher, anticipate, threads_of
from runner.sweep.limits import (
    check_typed,
    read_raised,
    require_effect,
    together,
    typed_for,
    write_raised,
)
from runner.sweep.member import OVER
from runner.sweep.search import resume_search, search


def sweep(overrides: Sequence[str], *, config_dirs: Sequence[str] = (), quiet: bool = False) -> int:
    """Carry out every combination of the given values, or a search; a run that fails does not stop the others.

    Returns:
        0 when every run finished; otherwise the exit code of the first that failed, 3 when the only trouble is
        sessions that ended too early, 128 + its number after a signal.

    Raises:
        ConfigError: one of the combinations is bad input; nothing was run.
        StorageError: the disk refused, be it a run of the sweep; the others were carried out.
    """
    anticipate(Overrides.of(overrides))
    planner = SweepPlanner(overrides, config_dirs)
    settings = _settings(planner)
    if settings.launcher is not None:
        settings.launcher.get_ready(settings.threads)
    if settings.sweeper is not None:
        return search(planner, settings, overrides, quiet=quiet)
    combinations = planner.combinations(settings.swept)
    declared = declare_all(planner, combinations, settings)
    check_together(declared, combinations, settings.launcher)
    directory = SweepDirectory.create(
        wanted(settings, declared[0], combinations[0].label),
        {**header(settings, overrides, declared[0]), "total": len(declared)},
    )
    tasks = [
        directory.task(number, item.overrides, choice.label, item.values, item.schemas, item.config)
        for number, (item, choice) in enumerate(zip(declared, combinations, strict=True))
    ]
    directory.plan(tasks)
    batch = settings.batch or len(tasks)
    with Conductor(directory, settings.launcher, declared[0], total=len(tasks), quiet=quiet) as conductor:
        for start in range(0, len(tasks), batch):
            conductor.carry_out(tasks[start : start + batch])
    return conductor.exit_code


def planned(
    overrides: Sequence[str], *, config_dirs: Sequence[str] = (), search: bool = False
) -> tuple[SweepSettings, list[tuple[dict[str, str], Declaration]]]:
    """How a sweep would be carried out, and every combination of it with what is swept; nothing is run.

    Args:
        overrides: the command line.
        config_dirs: further config folders.
        search: a search is no mistake, and has no combinations.

    Raises:
        ConfigError: one of the combinations is bad input, or they are not known beforehand.
    """
    planner = SweepPlanner(overrides, config_dirs)
    settings = _settings(planner)
    if settings.sweeper is not None:
        if not search:
            raise ConfigError(
                "a search chooses its values as it goes; hydra.mode=RUN shows what they are put into",
                key="hydra/sweeper",
            )
        return settings, []
    combinations = planner.combinations(settings.swept)
    declared = declare_all(planner, combinations, settings)
    return settings, [(choice.label, item) for choice, item in zip(combinations, declared, strict=True)]


def resume_sweep(path: str | Path, *, overrides: Sequence[str] = (), quiet: bool = False) -> int:
    """Carry out what has not begun in a sweep or failed, and continue what was interrupted.

    Where every run is over, what the sweep's process had no time for is made up: table, figure, tracking.

    Args:
        path: the sweep's directory.
        overrides: another `hydra/launcher`, and its settings; `plugins=[…]`, where the sweep used some;
            `hydra.sweeper.storage`, where a search has its study in a database of its own; and larger budgets, or
            `session.on_expiry=reopen`, with which the runs go on that stopped for want of them.
        quiet: nothing on the terminal but errors.

    Raises:
        ConfigError: there is no sweep, or its runs are over and it is complete.
        JournalError: another process is carrying it out.
        StorageError: the disk refused, be it a run of the sweep; the others were carried out.
    """
    directory = SweepDirectory.existing(path)
    typed = Overrides.of(overrides)
    plugins = typed.plugins
    load(plugins)  # the launcher may be one of theirs
    searching = bool(directory.header.get("sweeper"))
    again = (*_TYPED_AGAIN[: 1 + searching], *LIMITS)
    launcher = recorded_launcher(directory, typed.where(lambda item: item.key not in again))
    limits = typed.where(lambda item: item.key in LIMITS)
    with _inside(directory):
        if searching:
            for item in limits:
                raise ConfigError(
                    "cannot be raised for the runs of a search, which chose them by what they came to; raise it for "
                    f"one by itself: {typed_for(directory.shown / 'NUMBER', plugins, item.text)}",
                    key=item.key,
                )
            return resume_search(directory, launcher, typed, quiet=quiet)
        before = read_raised(directory.path)
        check_typed(directory, limits, plugins)
        raised = together(before, limits)
        tasks = directory.tasks(raised)
        directory.check_planned(tasks)
        for task in tasks:
            check_plugins(task.plugins, plugins)
        rows = [task.look() for task in tasks]
        more = [task.more(row["status"]) for task, row in zip(tasks, rows, strict=True)]
        left = [
            task
            for task, row, words in zip(tasks, rows, more, strict=True)
            if row["status"] not in OVER or words is not None
        ]
        new = limits.where(lambda item: item.text not in before.texts)
        require_effect(directory, new, {word for words in more for word in words or ()}, rows)
        declared = base_of(directory, plugins)
        lacking = [] if left else to_complete(directory, declared, rows)
        if left and launcher is not None:
            launcher.get_ready(threads_of(left))  # refuses what it cannot do, before anything is written
        conductor = Conductor(directory, launcher, declared, total=len(tasks), quiet=quiet)
        for line in lacking:
            conductor.note(line)
        with conductor:
            if new:
                write_raised(directory.path, raised)
            going = {task.number for task in left}
            conductor.know(row for row in rows if row["number"] not in going)
            conductor.carry_out(left)
    return conductor.exit_code


_TYPED_AGAIN = ("plugins", PLACES["storage"])
"""What a recorded sweep, and a recorded search, do not decide."""


def _settings(planner: SweepPlanner) -> SweepSettings:
    """How the sweep is to be carried out.

    Raises:
        ConfigError: the launcher or sweeper is not one of ours, or something is set that a sweep does not have.
    """
    refuse_outside("sweep", ((item.key, item.value) for item in planner.typed))
    settings = planner.settings()
    for item in settings.swept:
        if item.swept and item.part in ("tracking", "plugins"):
            raise ConfigError("is the same for all runs of a sweep; give one value", key=item.key)
    return settings


def recorded_launcher(directory: SweepDirectory, overrides: Overrides) -> Launcher | None:
    """What a sweep is resumed with: its launcher of before but for the settings that are typed, or another.

    Raises:
        ConfigError: something else is typed, or the one of before has settings that have to be typed again.
    """
    for override in overrides:
        if override.key != "hydra/launcher" and not override.key.startswith("hydra.launcher."):
            raise ConfigError(
                "cannot be changed in a resumed sweep; only hydra/launcher and its keys, and limits that ended runs "
                f"({', '.join(LIMITS)}) can",
                key=override.key,
            )
    recorded = directory.header.get("launcher")
    if overrides.last("hydra/launcher") is not None or (overrides and not recorded):
        launcher: Launcher | None = SweepPlanner(overrides.texts).settings().launcher
        return launcher
    if not recorded:
        return None
    name, values = (recorded.get(key) if isinstance(recorded, dict) else None for key in ("name", "values"))
    if not isinstance(name, str) or not isinstance(values, dict):
        raise ConfigError(
            f"{directory.path / 'sweep.json'} is damaged (launcher); type hydra/launcher=NAME, or restore it"
        )
    if name not in LAUNCHERS:
        raise ConfigError(
            f"{name!r} is not here; add the plugins=[…] that has it, or take another hydra/launcher",
            key="hydra/launcher",
        )
    if overrides:
        typed = SweepPlanner([f"hydra/launcher={name}", *overrides.texts]).settings().launcher
        values = values | {part: getattr(typed, part) for part in _parts(overrides)}
    check_launcher(values, LAUNCHERS[name], _parts(overrides))
    try:
        return cast(Launcher, LAUNCHERS[name](**values))
    except TypeError as error:
        raise ConfigError(
            f"{error}; type hydra/launcher={name} with its settings", key="hydra.launcher"
        ) from error


def _parts(overrides: Overrides) -> set[str]:
    """The settings of the launcher that are typed; of one with parts of its own the whole."""
    return {item.key.split(".")[2] for item in overrides}


@contextlib.contextmanager
def _inside(directory: SweepDirectory) -> Iterator[None]:
    """The folder a sweep was started from, where relative paths of its configuration begin, if it is still there."""
    folder = Path(directory.header["folder"])
    if not folder.is_dir():
        directory.header["folder"] = os.getcwd()
        yield
        return
    with contextlib.chdir(folder):
        yield

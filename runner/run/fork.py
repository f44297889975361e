"""A new run that starts where an earlier one was best, with what is typed in the place of what was."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from runner.ansatz.start import require_old_order
from runner.declare.checks import shorten
from runner.declare.composer import Composer, check_recorded, declare, restore
from runner.declare.config import Declaration, flatten
from runner.declare.overrides import Override, Overrides
from runner.declare.provenance import check_plugins, mention_unused, not_trusted
from runner.declare.registry import registered
from runner.errors import ConfigError, ConfigWarning
from runner.record.best import BestParameters, best_parameters
from runner.record.directory import RunDirectory
from runner.record.events import ProblemPosed, RunStarted
from runner.record.journal import read_telling
from runner.record.log import first


def fork(path: str | Path, overrides: Sequence[str] = (), *, config_dirs: Sequence[str] = ()) -> Declaration:
    """The declaration of a new run that starts at the best parameters of an earlier one, see `best_parameters`.

    What was set for the earlier run is kept where it goes with what is typed; the rest is told and left out.

    Args:
        path: directory of the earlier run, finished or not; it is only read.
        overrides: what is to be different; a start of its own takes the place of those parameters.
        config_dirs: folders with config groups for what is chosen anew.

    Raises:
        ConfigError: the earlier run has no parameters, or the parts do not fit together.
    """
    files = RunDirectory.existing(path)
    events = read_telling(files.journal)
    started = first(events, RunStarted)
    typed = Overrides.of(overrides)
    if started is not None:
        mention_unused(files.config, started.config.get("plugins"))
        check_plugins(started.config.get("plugins"), typed.plugins)
    best = best_parameters(files.path, events)
    if started is None or best is None:
        raise ConfigError(
            f"{path} has found an energy at no parameters, so there is nothing to start from", key="--fork"
        )
    start = _start(best, typed)
    odd = _called_otherwise(started, typed)
    kept = _without(not_trusted(Overrides.of(started.overrides)), {f"{group}.name" for group in odd})
    whole = _says_all(kept.texts, started, config_dirs)
    composer = Composer(config_dirs, typed.plugins)
    kept = _without(kept, typed.keys | START.keys())
    if whole:
        settings = Overrides((*_posed(started, kept, typed, composer), *kept))
    else:
        groups = sorted(registered().keys() & typed.keys - {"experiment"} - odd)
        settings = _settings_of(started, groups, typed, composer)

    def declared(settings: Overrides) -> Declaration:
        words = Overrides((*settings, *start, *typed))
        if whole:
            return composer.declare(words)
        return composer.anew(started.config, started.schemas, words, keep=POSED)

    try:
        declaration, left_out = _fitting(declared, settings, typed)
    except ConfigError as error:
        raise without_start(error, path, typed) from error
    if left_out:
        told = shorten(", ".join(left_out.texts), MOST_TOLD)
        warnings.warn(
            f"--fork: {told} of {path} does not go with what is typed and is left out",
            ConfigWarning,
            stacklevel=2,
        )
    _tell_replaced(declaration, started, path, typed)
    problem = first(events, ProblemPosed)
    unnamed = problem is None or problem.parameter_names is None
    if unnamed and start and declaration.schemas.get("ansatz") in ("gates", "file"):
        require_old_order(declaration.config.ansatz.build(), f"{path}", "--fork")
    kept = _without(kept, left_out.keys)
    return replace(declaration, overrides=(*kept.texts, *overrides), forked_from=started.run_id)


def _called_otherwise(started: RunStarted, typed: Overrides) -> frozenset[str]:
    """The part of a run that an earlier release let be called like a choice that it is not, chosen anew now.

    Raises:
        ConfigError: it is not chosen anew.
    """
    try:
        check_recorded(started.config, started.schemas, started.overrides, started.config_dirs)
    except ConfigError as error:
        group = (error.key or "").partition(".")[0]
        if group in typed.keys:
            return frozenset((group,))
        told = str(error).partition(";")[0]
        raise ConfigError(f"{told}; type which one is meant, {group}=…", key="--fork") from error
    return frozenset()


START = {"ansatz.initial": "values", "ansatz.initial_values": [], "ansatz.initial_spread": 0}
"""What a fork sets, unless a start is typed."""

POSED = frozenset(("hamiltonian", "ansatz"))
"""The parts that a run's parameters belong to, which stay also where another experiment is typed."""

MOST_TOLD = 300
"""Letters of a list of settings that are left out."""


def _start(best: BestParameters, typed: Overrides) -> Overrides:
    """The words that start a run at some parameters; none where another start is typed."""
    if typed.keys & {"ansatz.initial", "ansatz.initial_values"}:
        return Overrides()
    values = {**START, "ansatz.initial_values": best.values}
    return Overrides.of([f"{key}={value}" for key, value in values.items()])


def without_start(error: ConfigError, path: str | Path, typed: Overrides) -> ConfigError:
    """The error; where it is about the start that a fork sets and nobody typed, in words that say so."""
    key = error.key or ""
    if not any(key == name or key.startswith(f"{name}[") for name in START) or key in typed.keys:
        return error
    text = str(error).removeprefix(f"{key}: ").partition(";")[0]
    if "does not act" in text:
        experiment = text.rpartition("experiment=")[2]
        told = f"experiment={experiment} takes no parameters to start from, those of {path} neither; start it anew"
    else:
        told = f"the best parameters of {path} do not fit: {text}; "
        told += "leave the circuit as it was, or add ansatz.initial=random"
    return ConfigError(told, key="--fork")


def _fitting(
    declared: Callable[[Overrides], Declaration], settings: Overrides, typed: Overrides
) -> tuple[Declaration, Overrides]:
    """A declaration with those settings of an earlier run that go with what is typed now, and the others.

    Raises:
        ConfigError: what is typed is wrong whatever is left out.
    """
    fitting = settings
    while True:
        try:
            declaration = declared(fitting)
        except ConfigError as error:
            key = error.key or ""
            odd = {name for name in fitting.keys if key and _is_about(name, key)}
            if not odd or key in typed.keys:
                raise
            fitting = _without(fitting, odd)
        else:
            return declaration, _without(settings, fitting.keys)


def _is_about(name: str, key: str) -> bool:
    """Whether setting `name` is to blame for what is said of `key`: it is that, in that, or that is in its value."""
    return f"{name}.".startswith(f"{key}.") or ("." in name and key.startswith((f"{name}.", f"{name}[")))


def _without(settings: Overrides, names: Collection[str]) -> Overrides:
    return settings.where(lambda item: item.key not in names)


def _posed(started: RunStarted, kept: Overrides, typed: Overrides, composer: Composer) -> Overrides:
    """The words for the problem of a run that is gone on with by another experiment, whose file may have one too."""
    if "experiment" not in typed.keys:
        return Overrides()
    groups = sorted(POSED - typed.keys - kept.keys)
    chosen = [Override.to(group, started.config.get(group, {}).get("name")) for group in groups]
    return Overrides((*chosen, *_settings_of(started, groups, Overrides((*kept, *typed)), composer)))


def _tell_replaced(declaration: Declaration, started: RunStarted, path: str | Path, typed: Overrides) -> None:
    """Warn of parts that come with another experiment in place of those of the run."""
    if "experiment" not in typed.keys:
        return
    parts = ("estimator", "gradient", "optimizer", "session", "backend")
    own = {key.partition(".")[0] for key in typed.keys}
    changed = [
        part for part in parts if part not in own and started.config.get(part) != declaration.values.get(part)
    ]
    if changed:
        warnings.warn(
            f"--fork: {', '.join(changed)}: not as in {path}, but as experiment={declaration.config.experiment.name} "
            "has it; type what is to be different",
            ConfigWarning,
            stacklevel=3,
        )


def _settings_of(
    started: RunStarted, groups: Sequence[str], typed: Overrides, composer: Composer
) -> Overrides:
    """What is recorded of parts that are chosen anew, as far as it is neither so anyway nor typed."""
    words = []
    for group in groups:
        values = flatten(started.config.get(group, {}), group)
        try:
            usual = composer.choice(group, str(values.get(f"{group}.name")), {}, key=group)
        except ConfigError:  # its file is not there any more
            continue
        known = flatten(asdict(usual), group)
        words += [
            Override.to(key, value)
            for key, value in values.items()
            if known.get(key) != value and key not in typed.keys and key not in START
        ]
    return Overrides(tuple(words))


def _says_all(overrides: Sequence[str], started: RunStarted, config_dirs: Sequence[str]) -> bool:
    """Whether what was typed for a run composes, here and now, to what is recorded of it.

    It does not where a Python program declared the run, where files have changed, and for what was itself a fork.
    """

    def relevant(declaration: Declaration) -> dict[str, object]:
        return {key: value for key, value in flatten(declaration.values).items() if key not in START}

    recorded = restore(started.config, started.schemas, plugins=started.config.get("plugins") or [])
    try:
        composed = declare([*_plugins_of(started), *overrides], config_dirs=config_dirs)
    except ConfigError:
        return False
    return composed.schemas == recorded.schemas and relevant(composed) == relevant(recorded)


def _plugins_of(started: RunStarted) -> list[str]:
    """The word that names a run's plug-ins again; they have been trusted before it is asked for."""
    named = started.config.get("plugins")
    return [f"plugins=[{','.join(map(str, named))}]"] if named else []

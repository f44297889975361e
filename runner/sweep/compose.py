"""From a swept command line to checked declarations: all of them before the first run starts, and quickly."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.declare.composer import Composer
from runner.declare.config import Declaration
from runner.declare.messages import check_directory, check_key, check_secrets
from runner.declare.overrides import Interval, Override, Overrides, Steps
from runner.declare.provenance import check_preset
from runner.declare.similar import Similar
from runner.errors import ConfigError

MAX_COMBINATIONS = 100_000
"""A sweep with more runs than this is taken for a mistake."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One run of a sweep before it is declared."""

    overrides: tuple[str, ...]
    """Plain overrides, as if typed for a single run."""
    label: dict[str, str]
    """Swept key → its value in this run."""


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep is to be carried out."""

    launcher: Any
    """From hydra/launcher: where the runs are carried out; None: here, one after the other."""
    sweeper: Any
    """From hydra/sweeper: how combinations are chosen; None: all of them."""
    directory: str | None
    """`hydra.sweep.dir` where it was set."""
    batch: int | None
    """`hydra.sweeper.max_batch_size` of the plain sweeper."""
    preset: bool
    """The chosen experiment says by itself that it is a sweep."""
    choices: Mapping[str, str]
    """`launcher` and `sweeper` by their names."""
    threads: int
    """Of the first run, as far as that can be told before it is checked."""
    swept: Overrides
    """Everything that is swept or fixed for all runs; later ones win."""


class SweepPlanner:
    """A sweep being planned.

    Args:
        overrides: the command line as typed.
        config_dirs: further config folders.
    """

    def __init__(self, overrides: Sequence[str], config_dirs: Sequence[str] = ()) -> None:
        typed = Overrides.of(overrides)
        self._composer = Composer(config_dirs, typed.plugins)
        self.typed = self.listed(typed)
        self._similar = Similar(self._composer)

    def settings(self) -> SweepSettings:
        """Launcher, sweeper and swept values, those of a preset included.

        Raises:
            ConfigError: something is swept that cannot be, or the first combination is bad input.
        """
        for override in self.typed:
            check_key(override.key, override.value)
            check_secrets({override.key: override.text})
            if override.key == "hydra.sweep.dir":
                check_directory(str(override.value), override.key)
            if override.swept and override.hydras and not override.params:
                raise ConfigError("cannot be swept; give one value", key=override.key)
        plain = self.typed.where(lambda item: not item.params)
        found = self._composer.sweeping(Overrides.of(map(first_of, plain)))
        preset = self.listed(Overrides.of(f"{key}={value}" for key, value in found.params.items()))
        check_preset(preset)
        params = self.listed(self.typed.params)
        check_preset(params)
        mine = self.typed.where(lambda item: not item.hydras)
        swept = _last_of_each([*preset, *params, *mine])
        for override in swept:
            first_of(override)
        return SweepSettings(
            launcher=found.launcher,
            sweeper=found.sweeper,
            directory=found.directory,
            batch=found.batch,
            preset=found.multirun,
            choices=found.choices,
            threads=found.threads,
            swept=swept,
        )

    def listed(self, overrides: Overrides) -> Overrides:
        """The same with the choices that match a pattern instead of the pattern."""
        return self._composer.listed(overrides)

    def combinations(self, swept: Overrides) -> list[Combination]:
        """Every combination of the swept values, the last one varying fastest.

        Raises:
            ConfigError: there are more than 100 000, or a value is an interval.
        """
        count = math.prod(_count(item) for item in swept)
        if count > MAX_COMBINATIONS:
            raise ConfigError(
                f"{count} combinations, more than {MAX_COMBINATIONS}; sweep over less", key="-m"
            )
        choices = [[(item, text) for text in item.values] for item in swept]
        return [
            Combination(
                overrides=tuple(item.typed(text) for item, text in chosen),
                label={item.element.lstrip("+"): str(text) for item, text in chosen if item.swept},
            )
            for chosen in itertools.product(*choices)
        ]

    def declare(self, overrides: Sequence[str]) -> Declaration:
        """What `runner.compose` gives, composed only as far as it was not composed before.

        Raises:
            ConfigError: bad input.
        """
        declaration = self._similar.declare(overrides)
        declaration.config.run.refuse_time_limit()
        return declaration

    def _count(self, override: Override) -> int:
        """How many values an override has, without listing them."""
        return len(override.value) if isinstance(override.value, Steps) else len(override.values)


def first_of(override: Override) -> str:
    """An override with one value, for a first look at the composition.

    Raises:
        ConfigError: it has none, or more than a sweep may have.
    """
    if isinstance(override.value, Interval):
        return override.typed(str(override.value.first))
    if not override.swept:
        return override.text
    count = _count(override)
    if count > MAX_COMBINATIONS:
        raise ConfigError(f"{count} combinations, more than {MAX_COMBINATIONS}; sweep over less", key="-m")
    if not count:
        raise ConfigError("has no values to sweep over", key=override.key)
    return override.typed(override.values[0])


def _count(override: Override) -> int:
    """How many values an override has, without listing them."""
    return len(override.value) if isinstance(override.value, Steps) else len(override.values)


def _last_of_each(overrides: Sequence[Override]) -> Overrides:
    return Overrides(tuple({override.element: override for override in overrides}.values()))


def distinct(declarations: Sequence[Declaration]) -> Iterator[tuple[int, Declaration]]:
    """(position, declaration) of the first of every kind of run: those that differ in their seed are of one kind."""
    import json

    seen = set()
    for position, declared in enumerate(declarations):
        values = {
            key: value
            for key, value in declared.values.items()
            if key not in ("seed", "name", "run", "tracking", "plugins")
        }
        kind = json.dumps(values, sort_keys=True, default=str)
        if kind not in seen:
            seen.add(kind)
            yield position, declared


@contextlib.contextmanager
def named(label: dict[str, str]) -> Iterator[None]:
    """Say which combination a ConfigError is about."""
    try:
        yield
    except ConfigError as error:
        if not label:
            raise
        where = ", ".join(f"{key}={value}" for key, value in label.items())
        raise ConfigError(f"{error} (in the combination {where})") from error

"""A search by Optuna: which values to try next, judged by one result or several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from runner.declare.checks import require_choice, require_range
from runner.declare.overrides import Interval, Override, Steps
from runner.errors import ConfigError
from runner.run.answer import PICK

SAMPLERS = ("tpe", "random", "nsga2", "qmc")
OBJECTIVES = (
    "error",
    "energy",
    "value",
    "usage_seconds",
    "cost",
    "evaluations",
    "iterations",
    "wall_seconds",
)
DIRECTIONS = ("minimize", "maximize")


@dataclass(kw_only=True)
class OptunaSweeper:
    """Trials chosen by Optuna from ranges, in batches, so that the search is the same on every launcher."""

    sampler: str = "tpe"
    """tpe | random | nsga2 | qmc."""
    seed: int = 1
    """Seed of the sampler."""
    objective: list[str] = field(default_factory=lambda: ["error"])
    """Results to judge by: error (its absolute value) | energy | value | usage_seconds | cost | …"""
    direction: list[str] = field(default_factory=lambda: ["minimize"])
    """minimize | maximize, one for each objective, or one for all."""
    storage: str | None = "auto"
    """Address of the study's database; auto: the tracking store's, none with tracking=off; null: none."""
    study_name: str | None = None
    """Name of the study; null: the sweep's."""
    n_trials: int = 20
    """Trials in all."""
    n_jobs: int = 2
    """Trials chosen at once; the launcher says how many run at once."""
    max_failure_rate: float = 1.0
    """Share of failed trials in a batch above which the search ends."""
    params: dict[str, str] = field(default_factory=dict)
    """Key → interval(a,b), range(a,b), choice(…), or tag(log, interval(a,b)), where not on the command line."""

    def __post_init__(self) -> None:
        require_choice("hydra.sweeper.sampler", self.sampler, SAMPLERS)
        require_range("hydra.sweeper.seed", self.seed, 0, 2**32 - 1)
        require_range("hydra.sweeper.n_trials", self.n_trials, 1, 100_000)
        require_range("hydra.sweeper.n_jobs", self.n_jobs, 1, 1000)
        require_range("hydra.sweeper.max_failure_rate", self.max_failure_rate, 0, 1)
        for name in self.objective:
            require_choice("hydra.sweeper.objective", name, OBJECTIVES)
        for name in self.direction:
            require_choice("hydra.sweeper.direction", name, DIRECTIONS)
        if not self.objective or len(self.direction) not in (1, len(self.objective)):
            raise ConfigError(
                f"needs one entry for each of the {len(self.objective)} objectives, or one for all",
                key="hydra.sweeper.direction",
            )

    @property
    def directions(self) -> list[str]:
        """One direction for each objective."""
        return self.direction * len(self.objective) if len(self.direction) == 1 else self.direction

    def build(self, seed: int) -> Any:
        """The sampler, seeded for one batch of trials."""
        from optuna import samplers

        if self.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        if self.sampler == "nsga2":
            return samplers.NSGAIISampler(seed=seed)
        if self.sampler == "qmc":
            return samplers.QMCSampler(
                seed=self.seed,
                scramble=True,
                independent_sampler=samplers.RandomSampler(seed=seed),
                warn_independent_sampling=False,
            )
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=8)

    def values(self, row: dict[str, Any]) -> list[float] | None:
        """What a run is judged by; None when it has no such result."""
        found = []
        if row["status"] not in ("finished", "stopped"):
            return None
        if row.get("energy_kind") == PICK and "energy" in self.objective:
            return None
        for name in self.objective:
            value = row.get(name)
            if (
                not isinstance(value, int | float)
                or not math.isfinite(value)
                or row["status"] not in ("finished", "stopped")
            ):
                return None
            found.append(abs(float(value)) if name == "error" else float(value))
        return found


def distribution(override: Override) -> Any:
    """Optuna's distribution for a swept override.

    Raises:
        ConfigError: there is none.
    """
    from optuna import distributions

    value, key = override.value, override.key
    if isinstance(value, Interval):
        low, high = value.start, value.end
        log = "log" in value.tags
        if low >= high or (log and low <= 0):
            raise ConfigError(f"interval({value.start}, {value.end}) is empty or not positive", key=key)
        if "int" in value.tags or (isinstance(low, int) and isinstance(high, int)):
            return distributions.IntDistribution(int(low), int(high), log=log)
        return distributions.FloatDistribution(float(low), float(high), log=log)
    if isinstance(value, Steps):
        return _stepped(value, key)
    return distributions.CategoricalDistribution(list(value.texts))


def _stepped(value: Steps, key: str) -> Any:
    """A range without its end, as Python's."""
    from optuna import distributions

    start, stop, step = value.start, value.stop, value.step
    log = "log" in value.tags
    if step <= 0 or start >= stop:
        raise ConfigError(f"range({start}, {stop}, {step}) must go up and not be empty", key=key)
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        last = start + (stop - 1 - start) // step * step
        return distributions.IntDistribution(start, last, log=log, step=1 if log else step)
    count = max(0, -int(-(stop - start) // step) - 1)
    return distributions.FloatDistribution(float(start), float(start + count * step), step=float(step))


def corners(overrides: Sequence[Override]) -> list[dict[str, str]]:
    """Swept key → value, for every end of every range and every choice, the others at their first value."""
    edges = {}
    for override in overrides:
        space = distribution(override)
        ends = getattr(space, "choices", None) or (space.low, space.high)
        edges[override.element] = [str(end) for end in dict.fromkeys(ends)]
    first = {key: ends[0] for key, ends in edges.items()}
    found = [first]
    found += [{**first, key: end} for key, ends in edges.items() for end in ends[1:]]
    return found


SWEEPERS: dict[str, type[Any]] = {"optuna": OptunaSweeper}
"""Name → what chooses combinations; plug-ins add theirs."""


def add(classes: Mapping[str, type[Any]], origin: str) -> None:
    """Take in the sweepers of a plug-in.

    Raises:
        ConfigError: one of them has not what a sweeper needs.
    """
    for name, cls in classes.items():
        if not (isinstance(cls, type) and is_dataclass(cls) and issubclass(cls, OptunaSweeper)):
            raise ConfigError(
                f"sweeper {name!r} of {origin!r} must be a dataclass derived from "
                "runner.sweep.optuna.OptunaSweeper, whose build(seed) gives a sampler of Optuna's",
                key="plugins",
            )
        SWEEPERS[name] = cls

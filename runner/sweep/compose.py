"""From a swept command line to checked declarations: all of them before the first run starts, and quickly.

Hydra needs a tenth of a second for one composition. Combinations that differ in plain values only are therefore
composed once; the values are then set by the same OmegaConf update that Hydra would use, in the one part of the
configuration they belong to.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runner.declare.config import (
    GROUPS,
    Declaration,
    RunConfig,
    composition,
    declaration,
    flatten,
    hydra_session,
)
from runner.declare.hydra_support import require_ours
from runner.declare.messages import (
    check_choices,
    check_complete,
    check_directory,
    check_key,
    check_overrides,
    check_resolvable,
    check_secrets,
    parse,
    translated,
)
from runner.declare.provenance import check_preset
from runner.errors import ConfigError, RunnerError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

MAX_COMBINATIONS = 100_000
"""A sweep with more runs than this is taken for a mistake."""

VALUES = frozenset(item.name for item in fields(RunConfig)) - {"plugins"}
"""Parts of the configuration whose values can be set without composing again."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One run of a sweep before it is declared."""

    overrides: tuple[str, ...]
    """Plain overrides, as if typed for a single run."""
    label: dict[str, str]
    """Swept key → its value in this run."""


@dataclass(frozen=True, kw_only=True)
class Settings:
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
    swept: list[Override]
    """Everything that is swept or fixed for all runs; later ones win."""


class Composer:
    """Hydra kept open while a sweep is planned.

    Args:
        overrides: the command line as typed.
        config_dirs: further config folders.
    """

    def __init__(self, overrides: Sequence[str], config_dirs: Sequence[str] = ()) -> None:
        self._typed = list(overrides)
        self._session = hydra_session(config_dirs, overrides)
        self._bases: dict[tuple[str, ...], _Base | None] = {}

    def __enter__(self) -> Composer:
        self._session.__enter__()
        return self

    def __exit__(self, *exit_details: Any) -> None:
        self._session.__exit__(*exit_details)

    def settings(self) -> Settings:
        """Launcher, sweeper and swept values, those of a preset included.

        Raises:
            ConfigError: something is swept that cannot be, or the first combination is bad input.
        """
        typed = self._parse(self._typed)
        for override in typed:
            check_key(override.key_or_group, override.value())
            check_secrets({override.key_or_group: override.input_line})
            if override.key_or_group == "hydra.sweep.dir":
                check_directory(str(override.value()), override.key_or_group)
            if override.is_sweep_override() and override.key_or_group.startswith("hydra"):
                raise ConfigError("cannot be swept; give one value", key=override.key_or_group)
        first = [_first(override) for override in typed]
        check_choices(first)
        whole = self._composed(first)
        composed = whole.hydra
        preset = self._parse(
            [f"{key}={value}" for key, value in (composed.sweeper.get("params") or {}).items()]
        )
        check_preset(preset)
        return Settings(
            launcher=_live("launcher", composed),
            sweeper=_live("sweeper", composed),
            choices={name: composed.runtime.choices[f"hydra/{name}"] for name in ("launcher", "sweeper")},
            directory=next(
                (str(item.value()) for item in typed if item.key_or_group == "hydra.sweep.dir"), None
            ),
            batch=composed.sweeper.get("max_batch_size"),
            preset=getattr(composed.mode, "name", None) == "MULTIRUN",
            threads=_threads(whole),
            swept=_last_of_each(preset + [item for item in typed if not _about_hydra(item)]),
        )

    def combinations(self, swept: Sequence[Override]) -> list[Combination]:
        """Every combination of the swept values, the last one varying fastest.

        Raises:
            ConfigError: there are more than 100 000, or a value is an interval.
        """
        count = math.prod(_count(item) for item in swept)
        if count > MAX_COMBINATIONS:
            raise ConfigError(
                f"{count} combinations, more than {MAX_COMBINATIONS}; sweep over less", key="-m"
            )
        choices = [[(item.get_key_element(), text) for text in _values(item)] for item in swept]
        many = [item.is_sweep_override() for item in swept]
        return [
            Combination(
                overrides=tuple(f"{key}={text}" if text is not None else key for key, text in chosen),
                label={
                    key.lstrip("+"): str(text)
                    for (key, text), is_swept in zip(chosen, many, strict=True)
                    if is_swept
                },
            )
            for chosen in itertools.product(*choices)
        ]

    def declare(self, overrides: Sequence[str]) -> Declaration:
        """What `runner.declare.config.declare` gives, composed only as far as it was not composed before.

        Raises:
            ConfigError: bad input.
        """
        chosen = tuple(text for text in overrides if not _is_value(text))
        values = [text for text in overrides if _is_value(text)]
        if chosen not in self._bases:
            try:
                self._bases[chosen] = self._base(chosen)
            except (
                ConfigError
            ):  # the choice alone is incomplete: a key without a default may be what is swept
                self._bases[chosen] = None
        base = self._bases[chosen]
        try:
            declared = None if base is None else base.with_values(values)
        except (RunnerError, ValueError, TypeError, KeyError, AttributeError):
            declared = None
        if declared is None:  # say what is wrong in the words of the full composition
            declared = self._base(tuple(overrides)).declared
        return replace(declared, overrides=tuple(overrides))

    def _base(self, overrides: tuple[str, ...]) -> _Base:
        check_overrides(overrides)
        check_choices(overrides)
        composed = self._composed(overrides)
        base = _Base(declaration(composed.copy(), overrides), composed)
        check_secrets(flatten(base.declared.values))
        return base

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        with translated():
            return composition(overrides)

    def _parse(self, overrides: Sequence[str]) -> list[Override]:
        from hydra.core.global_hydra import GlobalHydra

        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        parsed = parse(overrides)
        for override in parsed:
            override.config_loader = hydra.config_loader
        return parsed


class _Base:
    """A composed choice of groups, in which values can be set."""

    def __init__(self, declared: Declaration, composed: DictConfig) -> None:
        from omegaconf import open_dict

        self.declared = declared
        self._composed = composed.copy()
        with open_dict(self._composed):
            del self._composed["hydra"]
        self._parts: dict[tuple[str, ...], tuple[Any, Any]] = {}
        self._refers = "${" in str(self._composed)

    def with_values(self, texts: Sequence[str]) -> Declaration | None:
        """The declaration with values set; None where only a full composition can tell."""
        if not texts:
            return self.declared
        if self._refers:
            return None
        by_part: dict[str, list[str]] = {}
        for text in texts:
            by_part.setdefault(_parsed(text).key_or_group.partition(".")[0], []).append(text)
        values, changes = dict(self.declared.values), {}
        for part, group in by_part.items():
            key = tuple(group)
            if key not in self._parts:
                self._parts[key] = self._set(part, group)
            values[part], changes[part] = self._parts[key]
        return replace(self.declared, values=values, config=replace(self.declared.config, **changes))

    def _set(self, part: str, texts: Sequence[str]) -> tuple[Any, Any]:
        """(plain value, live object) of one part of the configuration with values set in it."""
        from omegaconf import OmegaConf

        node = self._composed[part]
        if not OmegaConf.is_dict(node):
            root = OmegaConf.structured(RunConfig)
            for text in texts:
                OmegaConf.update(root, part, _parsed(text).value())
            value = OmegaConf.to_container(root)[part]  # type: ignore[call-overload,index]
            return value, value
        changed = node.copy()
        OmegaConf.set_struct(changed, True)
        for text in texts:
            override = _parsed(text)
            OmegaConf.update(changed, override.key_or_group.partition(".")[2], override.value(), merge=True)
        check_resolvable(changed)
        check_complete(changed)
        return OmegaConf.to_container(changed, resolve=True), OmegaConf.to_object(changed)


def _threads(composed: DictConfig) -> int:
    """Threads that a composed run declares; 1 where that is bad input, which is refused when runs are checked."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return max(int(OmegaConf.select(composed, "backend.threads")), 1)
    except (OmegaConfBaseException, TypeError, ValueError):
        return 1


def _live(part: str, hydra: DictConfig) -> Any:
    """The dataclass behind a launcher or sweeper of ours; None for Hydra's plain ones.

    Raises:
        ConfigError: it is a plug-in of Hydra's, or one of its values is wrong.
    """
    from omegaconf import OmegaConf

    node = hydra[part]
    if "_target_" in node:
        require_ours(part, str(hydra.runtime.choices[f"hydra/{part}"]), str(node["_target_"]))
        return None
    with translated():
        return OmegaConf.to_object(node)


@lru_cache(maxsize=100_000)
def _parsed(text: str) -> Override:
    return parse([text])[0]


def _is_value(text: str) -> bool:
    """Whether an override sets a value without choosing, adding or removing anything."""
    override = _parsed(text)
    part, dot, _ = override.key_or_group.partition(".")
    plain = not (override.is_add() or override.is_delete() or override.package) and "${" not in text
    return plain and part in VALUES and (bool(dot) or part not in GROUPS)


def _about_hydra(override: Override) -> bool:
    return override.key_or_group.startswith(("hydra.", "hydra/"))


def _last_of_each(overrides: Sequence[Override]) -> list[Override]:
    return list({override.get_key_element(): override for override in overrides}.values())


def _values(override: Override) -> list[str | None]:
    """The values of an override as they would be typed; None for a deletion without a value.

    Raises:
        ConfigError: it is an interval.
    """
    if override.is_sweep_override():
        if not override.is_discrete_sweep():
            raise ConfigError(
                "an interval has no list of values; add hydra/sweeper=optuna", key=override.key_or_group
            )
        return list(override.sweep_string_iterator())
    if override.is_delete() and override.value() is None:
        return [None]
    return [override.get_value_element_as_str()]


def _first(override: Override) -> str:
    """An override with one value, for a first look at the composition."""
    from hydra.core.override_parser.types import IntervalSweep

    value = override.value()
    if isinstance(value, IntervalSweep):
        start = int(value.start or 0) if "int" in value.tags else value.start
        return f"{override.get_key_element()}={start}"
    if override.is_sweep_override():
        text = next(iter(override.sweep_string_iterator()), None)
        if text is None:
            raise ConfigError("has no values to sweep over", key=override.key_or_group)
        return f"{override.get_key_element()}={text}"
    return str(override.input_line)


def _count(override: Override) -> int:
    """How many values an override has, without listing them."""
    from hydra.core.override_parser.types import RangeSweep

    if not override.is_sweep_override():
        return 1
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = (float(item) for item in (value.start or 0, value.stop, value.step))  # type: ignore[arg-type]
        return max(0, math.ceil((stop - start) / step)) if step else 0
    return len(_values(override))


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

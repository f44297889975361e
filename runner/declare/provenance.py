"""Where settings come from: the command line, the house (conf/), or somebody else.

What can run code or write anywhere counts from the command line alone. A folder given with --config-dir, a received run
directory and a received sweep may hold it, but then it has to be typed again, by name.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.checks import shorten
from runner.declare.hydra_support import feature
from runner.declare.overrides import Overrides
from runner.declare.plain import Schema, Values
from runner.declare.setting import put
from runner.display.shell import quoted
from runner.errors import ConfigError, ConfigWarning
from runner.record.files import read_mapping

if TYPE_CHECKING:
    from omegaconf import DictConfig

RUNS_CODE = ("setup", "additional_parameters", "ray", "submitit_folder", "temp_folder")
"""Settings of launchers that reach a shell, choose what Ray runs with, or say from where pickled results are taken."""

HONOURED = re.compile(r"hydra(\.mode|\.sweeper(\..+)?|\.launcher(\..+)?)?")
"""The parts of Hydra's own configuration that a YAML file can set."""

PLACES = {"uri": "tracking.uri", "artifacts": "tracking.artifacts", "storage": "hydra.sweeper.storage"}
"""Settings that say where something is written besides the run directory, by the last word of their keys."""

USUAL_PLACES = (None, "auto", "sqlite:///outputs/mlflow.db", "outputs/artifacts")
"""What a file may say of them, for it is so anyway."""

NO_WORDS = ("true", "false", "null", "none", "nan", "inf")
"""What Hydra's grammar takes for something else than text."""

RESOLVER = re.compile(r"\$\{\s*[\w.]+\s*:")


def check_typed(composed: DictConfig, overrides: Overrides) -> None:
    """Refuse plug-ins and launcher settings that some YAML brings and the command line does not say.

    Args:
        composed: what Hydra made of all sources.
        overrides: the command line.

    Raises:
        ConfigError: naming the key, and what to type.
    """
    named = composed.get("plugins") or []
    if list(named) != overrides.plugins:
        raise _must_be_typed("plugins", f"plugins=[{','.join(map(str, named))}]")
    for part in ("launcher", "sweeper"):
        node = (composed.get("hydra") or {}).get(part)
        if node and "_target_" not in node:
            _check_part(f"hydra.{part}", node, overrides)


def _check_part(key: str, node: DictConfig, overrides: Overrides) -> None:
    """Compare what is to be typed with what the command line alone makes of it."""
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(node)
    alone = _typed_alone(key, node, overrides)
    assert isinstance(found, dict)
    cls = OmegaConf.get_type(node)
    assert cls is not None
    for name, value in ((str(name), value) for name, value in found.items()):
        code = _reaches_code(OmegaConf.get_type(node) or dict, name) or RESOLVER.search(str(value))
        if code and value != alone.get(name):
            raise _must_be_typed(f"{key}.{name}", f"{key}.{name}=…")


def _typed_alone(key: str, node: DictConfig, overrides: Overrides) -> Values:
    """Part of Hydra's configuration as the schema's defaults and the command line have it."""
    from omegaconf import OmegaConf

    cls = OmegaConf.get_type(node)
    if cls is dict:
        raise ConfigError(f"names no schema; choose one of --help {key.replace('.', '/')}", key=key)
    root, part = key.split(".")
    alone = OmegaConf.create({root: {part: OmegaConf.structured(cls)}})
    for override in overrides:
        if override.key.startswith(f"{key}."):
            put(alone, override)
    values = OmegaConf.to_container(alone[root][part])
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


def check_preset(overrides: Overrides) -> None:
    """Refuse a sweep's preset, hydra.sweeper.params of a file, that would type what only the command line may.

    Raises:
        ConfigError: naming the key, and what to type.
    """
    for override in overrides:
        place = PLACES.get(override.key.rpartition(".")[2]) == override.key
        whole = override.key == "tracking" and isinstance(override.value, dict)
        if override.part in ("plugins", "hydra") or place or whole:
            raise _must_be_typed(override.key, f"{override.key}=…")


def check_launcher(values: Mapping[str, object], cls: Schema, typed: Collection[str] = ()) -> None:
    """Refuse a recorded launcher that reaches a shell: sweep.json may come from anybody.

    Args:
        values: its settings.
        cls: its schema.
        typed: those that the command line has.

    Raises:
        ConfigError: naming the setting, and what to type.
    """
    usual = {item.name: _default(item) for item in fields(cls)}
    again = {  # those that are not recorded are as usual
        part: value
        for part, value in values.items()
        if part not in typed and _reaches_code(cls, part) and value != usual.get(part)
    }
    for part in again:
        words = (
            f"{'+' if isinstance(value, Mapping) else ''}hydra.launcher.{each}={_as_typed(value)}"
            for each, value in again.items()
        )
        raise _must_be_typed(f"hydra.launcher.{part}", " ".join(map(quoted, words)))


def _as_typed(value: object) -> str:
    """A value as Hydra's grammar has it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_as_typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_as_typed, value)) + "]"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][\w./@-]*", value) and value.lower() not in NO_WORDS
        return value if plain else "'" + value.replace("'", r"\'") + "'"
    return "null" if value is None else str(value).lower()


def typed_again(overrides: Overrides) -> list[str]:
    """Of the words that a sweep was started with those that `resume` asks for again, besides plug-ins themselves."""
    storage = PLACES["storage"]
    anything = bool(overrides.plugins)  # of whose launcher nobody knows what its settings do

    def is_asked_for(key: str, value: object) -> bool:
        part = key.removeprefix("hydra.launcher.")
        reaches = part != key and (anything or part.partition(".")[0] in RUNS_CODE)
        return reaches or (key == storage and value not in USUAL_PLACES)

    return [item.text for item in overrides if is_asked_for(item.key, item.value)]


def check_storage(recorded: object, typed: Overrides) -> Overrides:
    """Refuse a recorded search that writes its study into a database nobody typed: sweep.json may come from anybody.

    Args:
        recorded: the address that the search would use.
        typed: the command line.

    Returns:
        What the command line says of it.

    Raises:
        ConfigError: naming the setting, and what to type.
    """
    key = PLACES["storage"]
    said = typed.where(lambda item: item.key == key)
    if recorded not in USUAL_PLACES and not said:
        raise _must_be_typed(key, f"{key}={recorded}")
    return said


def _reaches_code(cls: Schema, setting: str) -> bool:
    """Whether a setting may reach a shell; of a plug-in's class nobody knows what its settings do."""
    return setting in RUNS_CODE or not cls.__module__.startswith("runner.")


def _default(item: Field[Any]) -> object:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def check_plugins(recorded: object, typed: Sequence[str]) -> list[str]:
    """The plug-ins of a recorded run, all of which have been named again.

    Args:
        recorded: what the run directory says.
        typed: what the command line says.

    Raises:
        ConfigError: one of them was not, or one was that the run does not use.
    """
    named = [str(name) for name in recorded] if isinstance(recorded, list | tuple) else []
    if missing := [name for name in named if name not in typed]:
        raise ConfigError(
            f"{', '.join(missing)} was used and is not imported by itself; if you trust it, add "
            f"plugins=[{','.join(named)}]",
            key="plugins",
        )
    if unused := [name for name in typed if name not in named]:
        raise ConfigError(
            f"{', '.join(unused)} was not used by what is recorded; leave it out", key="plugins"
        )
    return named


def mention_unused(config: Path, recorded: object) -> None:
    """Warn of plug-ins that somebody wrote into a run's config.yaml and its journal does not name: they do nothing.

    Args:
        config: the file; what cannot be read is for others to refuse.
        recorded: the plug-ins that the journal names.
    """
    with contextlib.suppress(OSError, ConfigError):
        named = read_mapping(config).get("plugins")
        known = recorded if isinstance(recorded, list | tuple) else []
        found = [str(name) for name in named if name not in known] if isinstance(named, list) else []
        if found:
            told = f"plugins: {config} names {shorten(', '.join(found), 60)}, which the run did not use"
            warnings.warn(f"{told}; nothing of it is imported", ConfigWarning, stacklevel=2)


def foreign_keys(path: str, key: str) -> None:
    """Refuse a key of somebody else's YAML that would be ignored there, or opens further sources.

    Args:
        path: file and line, for the message.
        key: dotted path of the key within the file.

    Raises:
        ConfigError: naming file, line and key.
    """
    last = key.rpartition(".")[2]
    if last == "searchpath":
        raise ConfigError(f"{key!r} opens further sources; name folders with --config-dir", key=path)
    if key == "plugins":
        raise ConfigError("'plugins' counts only from the command line; type plugins=[…]", key=path)
    known = feature(key)
    if known is not None and known.works and not HONOURED.fullmatch(key):
        raise ConfigError(f"{key!r} counts only from the command line; type {key}=…", key=path)


def foreign_place(path: str, key: str, value: object) -> None:
    """Refuse a place of somebody else's to which something would be written.

    Args:
        path: the file, for the message.
        key: dotted path of a key within the file, aliases and merged keys written out.
        value: what the file says there.

    Raises:
        ConfigError: naming file and key, and what to type.
    """
    setting = PLACES.get(key.rpartition(".")[2])
    if setting is not None and value not in USUAL_PLACES:
        raise ConfigError(
            f"{key!r} counts only from the command line, for it is written to; if you trust it, type "
            f"{shorten(f'{setting}={value}', 120)}",
            key=path,
        )


def not_trusted(overrides: Overrides) -> Overrides:
    """Recorded overrides without those that count only where somebody types them: Hydra's own, and plug-ins."""
    return overrides.where(lambda item: item.part not in ("hydra", "plugins"))


def _must_be_typed(key: str, typed: str) -> ConfigError:
    return ConfigError(
        f"counts only from the command line, not from a file; if you trust it, type {typed}", key=key
    )

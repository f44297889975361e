"""The one list of everything that can be declared: which dataclass checks which choice."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from runner.declare.config import CONF, RunConfig
from runner.declare.plain import Schema
from runner.declare.preset import Preset
from runner.errors import ConfigError, in_words, require_memory
from runner.hamiltonian.declared import adopted
from runner.record.redaction import own_words

MODULES = {
    "experiment": "experiments",
    "backend": "runner.declare.backend",
    "session": "runner.declare.session",
    "hamiltonian": "runner.hamiltonian",
    "ansatz": "runner.ansatz",
    "optimizer": "runner.optimizer",
    "estimator": "runner.declare.estimator",
    "tracking": "runner.tracking",
}
"""Config group → the module that carries it out and exports `SCHEMAS`."""

MORE = {"launcher": ("runner.sweep.launcher", "LAUNCHERS"), "sweeper": ("runner.sweep.optuna", "SWEEPERS")}
"""Group of Hydra's own configuration → the module that has its schemas, and under which name.

The module's `add` takes in what plug-ins bring.
"""

ENTRY_POINTS = "runner.plugins"
"""Entry-point group through which an installed package adds its own choices."""

MODULE = re.compile(r"[\w-]+(\.[\w-]+)*")
"""A module's name: nothing relative, no path."""

CHOICE = re.compile(r"[a-z0-9_-]+")
"""The name of a choice."""

_plugins: dict[str, dict[str, Schema]] = {}
_engines: dict[str, dict[str, Schema]] = {}
_stored: dict[tuple[str, str], Schema] = {}


def registered() -> dict[str, dict[str, Schema]]:
    """Group → schema name → dataclass, the house's own and those of plug-ins."""
    return {
        group: {**importlib.import_module(module).SCHEMAS, **_plugins.get(group, {})}
        for group, module in MODULES.items()
    }


def load(plugins: Sequence[str] = ()) -> None:
    """Take in what plug-ins add: those that are installed with an entry point, and the modules named.

    A plug-in is a module with `SCHEMAS = {"ansatz": {"my_ansatz": MyAnsatz}, …}`; every schema of it also
    becomes a choice of that name, with the dataclass's defaults as its values.

    Raises:
        ConfigError: a module is not installed, or registers something that cannot be a choice of a config group.
    """
    seen: dict[tuple[str, str], str] = {}
    for point in _installed(tuple(sys.path)):
        _adopt(_imported(point.value, point.load), point.value, seen)
    for name in plugins:
        if not MODULE.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no module; name it as Python does, e.g. plugins=[package.module]", key="plugins"
            )
        _adopt(_imported(name, lambda name=name: importlib.import_module(name)), name, seen)  # type: ignore[misc]


def _imported(name: str, load_it: Callable[[], ModuleType]) -> ModuleType:
    """The module of a plug-in.

    Raises:
        ConfigError: it is not there, or whatever its own lines raise.
    """
    try:
        return load_it()
    except ImportError as error:
        require_memory(error)
        raise ConfigError(
            f"module {name!r} cannot be imported ({error}); install it", key="plugins"
        ) from error
    except Exception as error:  # whatever its own lines raise
        raise ConfigError(
            f"module {name!r} cannot be imported ({in_words(error)}); mend it", key="plugins"
        ) from error


def register(plugins: Sequence[str] = ()) -> None:
    """Put every schema into Hydra's ConfigStore, those of plug-ins included.

    Raises:
        ConfigError: see `load`.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    load(plugins)
    if _stored.get(("", "run")) is not RunConfig:
        store.store(group="schema", name="run", node=RunConfig, package="_global_")
        _stored["", "run"] = RunConfig
    more = {group: getattr(importlib.import_module(module), name) for group, (module, name) in MORE.items()}
    for group, schemas in (registered() | more).items():
        for name, cls in schemas.items():
            if _stored.get((group, name)) is not cls:  # a store holds for the life of the process
                _store(f"schema/{group}", name, cls)
                _stored[group, name] = cls
    for group, schemas in _plugins.items():
        for name, cls in schemas.items():
            store.store(group=group, name=name, node=_as_choice(name, cls))
    for group, schemas in _engines.items():
        for name, cls in schemas.items():
            store.store(group=f"hydra/{group}", name=name, node=cls)


def _store(group: str, name: str, cls: Schema) -> None:
    """Put a schema into Hydra's ConfigStore as its class, which is read when a composition asks for it.

    A composition needs a dozen of a hundred schemas, and Hydra copies the whole store for each.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    groups = store.repo
    for part in group.split("/"):
        groups = groups.setdefault(part, {})
    groups[f"{name}.yaml"] = _schema_node()(f"{name}.yaml", cls, group, None, None)


@cache
def _schema_node() -> type[Any]:
    """What Hydra's ConfigStore holds, for a dataclass in place of what OmegaConf makes of one."""
    from hydra.core.config_store import ConfigNode

    class SchemaNode(ConfigNode):
        @property
        def node(self) -> Any:
            return _structured(self._held) if isinstance(self._held, type) else self._held

        @node.setter
        def node(self, value: Any) -> None:
            self._held = value

    return SchemaNode


@cache
def _structured(cls: Schema) -> Any:
    """What OmegaConf makes of a dataclass; whoever changes it copies it before, as Hydra does."""
    from omegaconf import OmegaConf

    return OmegaConf.structured(cls)


@contextlib.contextmanager
def only_ours(folders: Sequence[Path], presets: Sequence[Preset] = ()) -> Iterator[None]:
    """Hydra's store meanwhile without what others have put there under a name of ours, and with some presets more.

    Hydra would check conf/optimizer/adam.yaml against what somebody's program has stored as optimizer/adam, and the
    file of a launcher against what its plug-in of the same name, such as hydra-joblib-launcher, has stored.

    Args:
        folders: where the files are that count.
        presets: experiments under the names that they are stored with.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    aside = [(group, name, group.pop(name)) for group, name in _theirs(store.repo, folders)]
    try:
        for preset in presets:
            store.store(
                group=preset.group, name=preset.as_stored, node=preset.written, package=preset.package
            )
        yield
    finally:
        for preset in presets:
            store.repo[preset.group].pop(f"{preset.as_stored}.yaml", None)
        for group, name, node in aside:
            group[name] = node


def _theirs(repo: dict[str, Any], folders: Sequence[Path]) -> list[tuple[dict[str, Any], str]]:
    """(group, name) of what a store holds that is not ours and would be taken for it."""
    found = [(repo, "config.yaml")] if "config.yaml" in repo else []
    for group in MODULES:
        nodes = repo.get(group)
        if isinstance(nodes, dict):
            ours = {f"{name}.yaml" for name in _plugins.get(group, {})}
            found += [(nodes, name) for name in nodes.keys() - ours]
    engines = repo.get("hydra", {})
    files = {
        path for folder in folders for group in MORE for path in (folder / "hydra" / group).glob("*.yaml")
    }
    named = {(path.parent.name, path.name) for path in files}
    return found + [(engines[group], name) for group, name in named if name in engines.get(group, {})]


def generation() -> frozenset[object]:
    """What is registered so far; compositions that were made before it changed are out of date."""
    return frozenset(_stored.items())


def added(group: str) -> dict[str, Schema]:
    """What plug-ins add to a group: name → dataclass."""
    return dict(_plugins.get(group, {}))


@lru_cache
def _installed(path: tuple[str, ...]) -> list[EntryPoint]:  # noqa: ARG001 - what is found depends on it
    """Entry points of installed plug-ins; looking through all packages takes a while."""
    return list(entry_points(group=ENTRY_POINTS))


def _as_choice(name: str, cls: Schema) -> Any:
    """A schema with its defaults and its name; what has no default is mandatory."""
    from omegaconf import OmegaConf

    node = OmegaConf.structured(cls)
    node.name = name
    return node


def _adopt(module: ModuleType, origin: str, seen: dict[tuple[str, str], str]) -> None:
    """Take in what a module adds.

    Args:
        module: the plug-in.
        origin: what it is called.
        seen: (group, name) of what others have added → what these are called.

    Raises:
        ConfigError: something of it cannot be a choice.
    """
    schemas = getattr(module, "SCHEMAS", None)
    if not isinstance(schemas, dict):
        raise ConfigError(f"{origin!r} has no SCHEMAS dictionary; see docs/extend.md", key="plugins")
    for group, classes in schemas.items():
        if group not in MORE and group not in MODULES:
            raise ConfigError(f"{origin!r} adds to {group!r}, which is no config group", key="plugins")
        if not isinstance(classes, Mapping):
            raise ConfigError(
                f"{origin!r} has no dictionary of names and classes for {group!r}; see docs/extend.md",
                key="plugins",
            )
        for name in classes:
            _check_name(group, name, origin, seen)
        if group in MORE:
            for name, cls in classes.items():
                if isinstance(cls, type) and is_dataclass(cls):
                    _check_fields(group, name, cls, origin)
            importlib.import_module(MORE[group][0]).add(classes, origin)
            _engines.setdefault(group, {}).update(classes)
        else:
            classes = {name: _typed(group, name, cls, origin) for name, cls in classes.items()}
            _plugins.setdefault(group, {}).update(classes)
        own_words(classes)


def _check_name(group: str, name: object, origin: str, seen: dict[tuple[str, str], str]) -> None:
    """Refuse a name that nobody could type, and one that is taken.

    Raises:
        ConfigError: naming the plug-in, and what to do.
    """
    if not isinstance(name, str) or not CHOICE.fullmatch(name):
        raise ConfigError(
            f"{origin!r} adds {name!r} to {group!r}, but a name matches [a-z0-9_-]+; call it otherwise",
            key="plugins",
        )
    other = seen.setdefault((group, name), origin)
    taken = "" if other == origin else f"which {other!r} adds too"
    if name in _ours(group):
        taken = "which is a choice already"
    if taken:
        raise ConfigError(f"{origin!r} adds {name!r} to {group!r}, {taken}; call it otherwise", key="plugins")


@cache
def _ours(group: str) -> frozenset[str]:
    """Names of our own in a group: schemas and files."""
    if group in MORE:
        module, name = MORE[group]
        known = getattr(importlib.import_module(module), name)
        return frozenset(known.keys() - _engines.get(group, {}).keys() | {"basic"})
    files = {path.stem for path in (CONF / group).glob("*.yaml")}
    return frozenset(files.union(importlib.import_module(MODULES[group]).SCHEMAS))


def _check_fields(group: str, name: str, cls: type[Any], origin: str) -> None:
    """Refuse a dataclass whose fields Hydra could not hold.

    Raises:
        ConfigError: naming the plug-in, the class and the field.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.structured(cls)
    except (OmegaConfBaseException, ValueError, TypeError, NameError) as error:
        field = error.full_key if isinstance(error, OmegaConfBaseException) else None
        where = f"field {field} of {cls.__name__}" if field else cls.__name__
        raise ConfigError(
            f"{origin!r} adds {name!r} to {group!r}, but {where} cannot be a setting "
            f"({str(error).partition(chr(10))[0]}); a setting is a bool, int, float, str, an enumeration, a path, "
            "a list or dictionary of such, a dataclass, or Any",
            key="plugins",
        ) from error


def _typed(group: str, name: str, cls: object, origin: str) -> Schema:
    """A plug-in's dataclass, if it has the base of its group; a Hamiltonian gets it where it has none.

    Raises:
        ConfigError: it is no dataclass, or a run would not know what to ask of it.
    """
    base: Schema = get_type_hints(RunConfig)[group]
    if isinstance(cls, type) and is_dataclass(cls):
        typed: Schema = adopted(cls) if group == "hamiltonian" else cls
        if base is Any or issubclass(typed, base):
            _check_fields(group, name, typed, origin)
            if all(item.name != "name" for item in fields(typed)):
                raise ConfigError(
                    f"{origin!r} adds {name!r} to {group!r}, but {cls.__name__} has no field `name: str`; add it",
                    key="plugins",
                )
            return typed
    needed = "" if base is Any else f" that derives from {base.__name__}"
    raise ConfigError(
        f"{origin!r} adds {name!r} to {group!r}, which is no dataclass{needed}; see docs/extend.md",
        key="plugins",
    )

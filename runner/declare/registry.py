"""The one list of everything that can be declared: which dataclass checks which choice."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from runner.errors import ConfigError, in_words
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

ENGINES = {"launcher": "runner.sweep.launcher", "sweeper": "runner.sweep.optuna"}
"""Groups of Hydra's own that plug-ins may add to → the module whose `add` takes in what they bring."""

ENTRY_POINTS = "runner.plugins"
"""Entry-point group through which an installed package adds its own choices."""

MODULE = re.compile(r"[\w-]+(\.[\w-]+)*")
"""A module's name: nothing relative, no path."""

_plugins: dict[str, dict[str, type[Any]]] = {}
_engines: dict[str, dict[str, type[Any]]] = {}
_stored: dict[tuple[str, str], type[Any]] = {}


def registered() -> dict[str, dict[str, type[Any]]]:
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
        ConfigError: a module is not installed or registers something that is not a config group.
    """
    for point in _installed(tuple(sys.path)):
        _adopt(point.load(), point.value)
    for name in plugins:
        if not MODULE.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no module; name it as Python does, e.g. plugins=[package.module]", key="plugins"
            )
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(
                f"module {name!r} cannot be imported ({error}); install it", key="plugins"
            ) from error
        except Exception as error:  # whatever its own lines raise
            raise ConfigError(
                f"module {name!r} cannot be imported ({in_words(error)}); mend it", key="plugins"
            ) from error
        _adopt(module, name)


def register(plugins: Sequence[str] = ()) -> None:
    """Put every schema into Hydra's ConfigStore, those of plug-ins included.

    Raises:
        ConfigError: see `load`.
    """
    from hydra.core.config_store import ConfigStore

    from runner.declare.config import RunConfig
    from runner.sweep.launcher import LAUNCHERS
    from runner.sweep.optuna import SWEEPERS

    store = ConfigStore.instance()
    # Hydra copies its sources, and with them this singleton, for every composition and every list of choices
    setattr(store, "__deepcopy__", lambda memo: store)  # noqa: ARG005, B010 - it is no attribute of the class
    load(plugins)
    if _stored.get(("", "run")) is not RunConfig:
        store.store(group="schema", name="run", node=RunConfig, package="_global_")
        _stored["", "run"] = RunConfig
    more: dict[str, dict[str, type[Any]]] = {"launcher": LAUNCHERS, "sweeper": SWEEPERS}
    for group, schemas in (registered() | more).items():
        for name, cls in schemas.items():
            if (
                _stored.get((group, name)) is not cls
            ):  # a store holds for the life of the process, and takes a while
                store.store(group=f"schema/{group}", name=name, node=cls)
                _stored[group, name] = cls
    for group, schemas in _plugins.items():
        for name, cls in schemas.items():
            store.store(group=group, name=name, node=cls(name=name))
    for group, schemas in _engines.items():
        for name, cls in schemas.items():
            store.store(group=f"hydra/{group}", name=name, node=cls)


def generation() -> frozenset[Any]:
    """What is registered so far; compositions that were made before it changed are out of date."""
    return frozenset(_stored.items())


def choice(group: str, name: str, changes: Mapping[str, Any], *, key: str) -> Any:
    """The declaration of a choice by its name alone, with some of its values changed.

    For settings that name several choices of one group at once; Hydra composes the others.

    Args:
        group: config group.
        name: a choice of conf/ or of a plug-in.
        changes: what differs from the choice's values.
        key: dotted path of the setting that holds the changes, for messages.

    Raises:
        ConfigError: no such choice, or it does not have a setting that is changed.
    """
    import yaml

    from runner.declare.checks import nearest
    from runner.declare.config import CONF

    values: dict[str, Any] = {}
    schema = name
    file = CONF / group / f"{name}.yaml"
    if file.is_file():
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        schema = values.pop("defaults")[0].removeprefix(f"/schema/{group}/").partition("@")[0]
    cls = registered()[group][schema]
    known = [item.name for item in fields(cls) if item.name != "name"]
    for setting in changes:
        if setting not in known:
            raise ConfigError(f"unknown key{nearest(str(setting), known)}", key=f"{key}.{setting}")
    try:
        return cls(**{"name": name, **values, **changes})
    except ConfigError as error:
        where = f"{group}."
        if error.key is None or not error.key.startswith(where):
            raise
        text = str(error).removeprefix(f"{error.key}: ")
        raise ConfigError(text, key=f"{key}.{error.key.removeprefix(where)}") from error


def choices(group: str) -> list[str]:
    """The names `choice` takes: those of conf/, and what plug-ins add."""
    from runner.declare.config import CONF

    return sorted({path.stem for path in (CONF / group).glob("*.yaml")} | set(_plugins.get(group, {})))


def added(group: str) -> dict[str, type[Any]]:
    """What plug-ins add to a group: name → dataclass."""
    return dict(_plugins.get(group, {}))


@lru_cache
def _installed(path: tuple[str, ...]) -> list[EntryPoint]:  # noqa: ARG001 - what is found depends on it
    """Entry points of installed plug-ins; looking through all packages takes a while."""
    return list(entry_points(group=ENTRY_POINTS))


def _adopt(module: Any, origin: str) -> None:
    schemas = getattr(module, "SCHEMAS", None)
    if not isinstance(schemas, dict):
        raise ConfigError(f"{origin!r} has no SCHEMAS dictionary; see docs/extend.md", key="plugins")
    for group, classes in schemas.items():
        if group == "hamiltonian":
            classes = {name: adopted(cls) for name, cls in classes.items()}
        if group in ENGINES:
            importlib.import_module(ENGINES[group]).add(classes, origin)
            _engines.setdefault(group, {}).update(classes)
        elif group in MODULES:
            _plugins.setdefault(group, {}).update(classes)
        else:
            raise ConfigError(f"{origin!r} adds to {group!r}, which is no config group", key="plugins")
        own_words(classes)

"""From what is typed to a checked declaration: conf/, further folders and plug-ins, composed by Hydra.

Hydra is asked through what it offers to everybody: `initialize_config_dir`, once per folder, and the loader that it
hands to its plug-ins. Its globals are the caller's again at once, so `runner.compose()` may be called inside somebody's
own `initialize()` or `@hydra.main`, in any thread. What Hydra composed is remembered: it takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

from runner.ansatz import AnsatzConfig
from runner.declare import label, messages
from runner.declare.alternatives import beaten_by, check_acting, make_room, stood_for
from runner.declare.backend import BackendConfig
from runner.declare.checks import require_choice, require_text, shorten
from runner.declare.config import CONF, GROUPS, Declaration, RunConfig, flatten
from runner.declare.hydra_support import refuse_outside, require_ours
from runner.declare.overrides import Choices, Override, Overrides, Pattern
from runner.declare.plain import Schema, Values
from runner.declare.preset import LESS, Preset
from runner.declare.provenance import check_plugins, check_typed
from runner.declare.registry import CHOICE, added, generation, load, only_ours, register, registered
from runner.declare.setting import PUZZLED, put
from runner.errors import ConfigError
from runner.run.experiment import Experiment
from runner.tracking.config import from_environment

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

MOST_REMEMBERED = 128

ENGINES = ("hydra.launcher.", "hydra.sweeper.")
"""How the keys of Hydra's begin that depend on a choice."""

VALUES = frozenset(item.name for item in fields(RunConfig)) - frozenset(GROUPS)
"""Keys of the configuration that are no choices."""

_lock = threading.RLock()
_loaders: dict[tuple[Path, ...], ConfigLoader] = {}
Base = TypeVar("Base")

_remembered: dict[tuple[object, ...], DictConfig] = {}
_presets: dict[tuple[object, ...], Preset | None] = {}


def compose(*overrides: str, config_dirs: Sequence[str] = ()) -> RunConfig:
    """Compose and check a configuration exactly as the command line would.

    Args:
        overrides: Hydra overrides, e.g. `"hamiltonian=h2"`, `"optimizer.max_evaluations=50"`.
        config_dirs: further folders with config groups, searched first.

    Raises:
        ConfigError: one line that says which key is wrong, why, and what to type instead.
    """
    declared = declare(overrides, config_dirs=config_dirs)
    if declared.directory is not None:
        raise ConfigError(
            "a configuration names no directory; give it to run(…, directory=…)", key="hydra.run.dir"
        )
    if declared.multirun:
        raise ConfigError(
            f"experiment={declared.config.experiment.name} is a sweep here and compose() declares one run; "
            "add hydra.mode=RUN, or sweep with python -m runner",
            key="hydra.mode",
        )
    return declared.config


def declare(overrides: Sequence[str] | Overrides, *, config_dirs: Sequence[str] = ()) -> Declaration:
    """Compose, resolve and check a configuration; like `compose`, and keeps what resume needs.

    Raises:
        ConfigError: see `compose`.
    """
    typed = Overrides.of(overrides)
    messages.check_overrides(typed)
    return Composer(config_dirs, typed.plugins).declare(typed)


@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """What Hydra's own part of a configuration says about a sweep."""

    launcher: Any
    """From hydra/launcher: the dataclass of ours that is chosen; None for Hydra's plain one."""
    sweeper: Any
    """From hydra/sweeper, likewise."""
    choices: Mapping[str, str]
    """`launcher` and `sweeper` by their names."""
    params: dict[str, str]
    """Key → swept values, of a preset."""
    directory: str | None
    """`hydra.sweep.dir` where it is typed, with references as they are in the first run."""
    batch: int | None
    """`hydra.sweeper.max_batch_size` of the plain sweeper."""
    multirun: bool
    """Whether the chosen experiment says by itself that it is a sweep."""
    threads: int
    """Of the first run, as far as that can be told before it is checked."""


class Composer:
    """Everything that can be declared: conf/, further folders, and what plug-ins add.

    Args:
        config_dirs: further folders with config groups, the first of them searched first, conf/ last.
        plugins: modules that register further choices.

    Raises:
        ConfigError: a folder or a plug-in cannot be used.
    """

    def __init__(self, config_dirs: Sequence[str] = (), plugins: Sequence[str] = ()) -> None:
        if isinstance(config_dirs, str | os.PathLike) or not isinstance(config_dirs, Iterable):
            raise ConfigError(
                f"takes a list of folders, got {config_dirs!r}; write e.g. ['mine']", key="config_dirs"
            )
        for directory in config_dirs:
            messages.check_config_dir(directory)
        self.folders = (*(Path(directory).resolve() for directory in config_dirs), CONF)
        with _lock:
            load(plugins)
        self._plugins = plugins
        self._own = ["hydra.job.name=runner", "hydra.searchpath=[]"]
        self._options: dict[str, list[str]] = {}

    @cached_property
    def _loader(self) -> ConfigLoader:
        with _lock:
            register(self._plugins)
            return _loader(self.folders)

    @cached_property
    def _version(self) -> tuple[object, ...]:
        """Changes when what can be declared does."""
        with _lock:
            register(self._plugins)
            return (self.folders, generation(), *_stamp(self.folders))

    def declare(self, overrides: Sequence[str] | Overrides) -> Declaration:
        """A declaration, checked as far as it can be without building anything.

        Raises:
            ConfigError: bad input.
        """
        typed = Overrides.of(overrides)
        messages.check_overrides(typed)
        declared = self.declaration(self.composed(typed), typed)
        if not declared.multirun:
            refuse_outside("run", ((item.key, item.value) for item in typed))
        messages.check_secrets(flatten(declared.values))
        return declared

    def declaration(self, composed: DictConfig, overrides: Overrides) -> Declaration:
        """Turn a composition into plain, checked Python; it is used up by that."""
        from omegaconf import open_dict

        require_text(os.getcwd(), "the current folder")  # it is written down
        directory = None
        multirun = False
        if "hydra" in composed:
            with messages.translated(self.folders):
                multirun = _is_multirun(composed)
            if overrides.last("hydra.run.dir") is not None:
                with messages.translated(self.folders):
                    directory = str(composed.hydra.run.dir)
                messages.check_directory(directory)
            with open_dict(composed):
                del composed["hydra"]
        self.write_out(composed)
        declared = self._finished(composed, overrides, directory, multirun)
        declared.config.check_typed(overrides)
        return declared

    def _finished(
        self, composed: DictConfig, overrides: Overrides, directory: str | None, multirun: bool
    ) -> Declaration:
        """The declaration, without a gradient that a file sets for what another choice takes the place of."""
        try:
            return finished(composed, overrides, directory, multirun, self.folders)
        except ConfigError as error:
            other = overrides.keys & {"optimizer", "estimator"}
            if error.key != "gradient" or "gradient" in overrides.keys or not other:
                raise
            composed.gradient = "auto"  # a file's gradient belongs to what it chose
            return finished(composed, overrides, directory, multirun, self.folders)

    def sweeping(self, overrides: Overrides) -> Sweeping:
        """How a sweep is to be carried out, by what is typed for its first run.

        Raises:
            ConfigError: bad input, or a setting of the launcher or sweeper is wrong.
        """
        require_text(os.getcwd(), "the current folder")
        config = self.composed(overrides, whole=True)
        with messages.translated(self.folders):
            params, multirun = _of_the_choices(config, overrides), _is_multirun(config)
            launcher, sweeper = (_live(part, config.hydra) for part in ("launcher", "sweeper"))
            typed = overrides.last("hydra.sweep.dir") is not None
            directory = str(config.hydra.sweep.dir) if typed else None
        if directory is not None:
            messages.check_directory(directory, "hydra.sweep.dir")
        batch = config.hydra.sweeper.get("max_batch_size")
        if batch is not None and batch < 1:
            raise ConfigError(
                f"must be 1 or more, got {batch}; null is all at once", key="hydra.sweeper.max_batch_size"
            )
        return Sweeping(
            launcher=launcher,
            sweeper=sweeper,
            choices={
                part: str(config.hydra.runtime.choices[f"hydra/{part}"]) for part in ("launcher", "sweeper")
            },
            params=params,
            directory=directory,
            batch=batch,
            multirun=multirun,
            threads=_threads(config),
        )

    def composed(
        self, overrides: Overrides, *, whole: bool = False, typed: Overrides | None = None
    ) -> DictConfig:
        """What Hydra makes of the choices, with the values set in it one by one in the order typed.

        Args:
            overrides: what is typed.
            whole: with all of Hydra's own settings; else, where none is typed, with its mode and choices only.
            typed: all that is typed, where the overrides are a part of it.

        Raises:
            ConfigError: a choice that is not there, a key that is unknown, a value of the wrong type.
        """
        self.check_choices(overrides)
        values = overrides.where(lambda item: not (item.hydras or self.chooses(item)))
        chosen = tuple(item.text for item in overrides if item not in values.items and not item.params)
        with messages.translated(self.folders):
            chosen = (*chosen, *self._for_any_size(chosen, overrides))
            config = (
                self._yielding(chosen) if whole or _about_hydra(overrides) else self._choice(chosen).copy()
            )
            make_room(config, values)
            for override in values:
                put(config, override)
            _take_environment(config, overrides)
            check_typed(config, overrides)
            self._check_files(config, overrides if typed is None else typed)
        return config

    def _check_files(self, config: DictConfig, typed: Overrides) -> None:
        """Refuse a choice that is not called as it is, and what a file leaves to be typed and is not.

        Raises:
            ConfigError: naming the setting.
        """
        known = config.hydra.runtime.choices
        choices = {group: str(known[group]).removesuffix(LESS) for group in GROUPS}
        for group, choice in choices.items():
            self._check_label(config, group, choice, typed, choices["experiment"])
        if len(self.folders) > 1:  # conf/ leaves open what has no default
            missing: dict[str, bool] = {}
            for group in (*(name for name in GROUPS if name != "experiment"), "experiment"):
                preset = self._preset(group, choices[group])
                missing.update({} if preset is None else preset.missing)
            _check_given(config, missing, typed)

    def _check_label(
        self, config: DictConfig, group: str, choice: str, typed: Overrides, experiment: str | None = None
    ) -> None:
        """Refuse the name of a part that is not that of the choice; `experiment` is the one whose file may set it."""
        from omegaconf import OmegaConf

        name, cls = OmegaConf.select(config, f"{group}.name"), OmegaConf.get_type(config, group)
        if name is None or name == choice or label.is_setting(cls):
            return
        preset, options = self._preset(group, choice), self.options(group)
        allowed = label.labels(choice, preset, options)
        if group == "experiment" and isinstance(cls, type) and is_dataclass(cls):
            allowed |= {str(item.default) for item in fields(cls) if item.name == "name"}
        if name in allowed:
            return
        place = None
        if f"{group}.name" not in typed.keys and not isinstance(_last(typed, group), dict):
            of_the_experiment = None if experiment is None else self._preset("experiment", experiment)
            sets = of_the_experiment is not None and f"{group}.name" in of_the_experiment.keys
            file = self.file(*(("experiment", experiment) if sets and experiment else (group, choice)))
            place = None if file is None else str(file)
        raise label.refused(group, name, choice, options, place)

    def _check_file(
        self, root: DictConfig, group: str, choice: str, typed: Overrides, *, named: bool = True
    ) -> None:
        """`_check_files` of one part alone, before what is typed is set; `named`: by its choice, not by a schema."""
        preset = self._preset(group, choice) if named else None
        if named:
            self._check_label(root, group, choice, Overrides())
        if preset is not None and len(self.folders) > 1:
            _check_given(root, preset.missing, typed)

    def _preset(self, group: str, choice: str) -> Preset | None:
        """The file of a choice, read once while no file changes; None where there is none."""
        key = (group, choice, *self._version)
        with _lock:
            if key not in _presets:
                if len(_presets) >= MOST_REMEMBERED:
                    _presets.clear()
                _presets[key] = Preset.read(self.file, choice, group)
            return _presets[key]

    def options(self, group: str) -> list[str]:
        """The choices of a config group, in alphabetical order; none where there is no such group."""
        if group in GROUPS:
            files = {path.stem for folder in self.folders for path in (folder / group).glob("*.yaml")}
            return sorted(files.union(added(group)))
        if group not in self._options:
            with _lock, _version_base():
                found = self._loader.get_group_options(group, config_name="config", overrides=self._own)
            self._options[group] = sorted(found)
        return self._options[group]

    def file(self, group: str, name: str) -> Path | None:
        """The file that a choice is read from; None for what a plug-in adds."""
        paths = (folder / group / f"{name}.yaml" for folder in self.folders)
        return next(filter(Path.is_file, paths), None)

    def listed(self, overrides: Overrides) -> Overrides:
        """The same with the choices of a group that match a pattern instead of the pattern."""
        return Overrides(
            tuple(
                replace(item, value=Choices(tuple(item.value.matching(self.options(item.key)))))
                if isinstance(item.value, Pattern)
                else item
                for item in overrides
            )
        )

    def choice(self, group: str, name: str, changes: Mapping[str, object], *, key: str) -> Any:
        """One choice by itself, with some of its values changed.

        For settings that name several choices of one group at once.

        Args:
            group: config group.
            name: a choice of it; any name, where the changes hold `schema: NAME` or `schema: {NAME: {setting: value}}`.
            changes: what differs from the choice's or schema's values.
            key: dotted path of the setting that holds the changes, for messages.

        Raises:
            ConfigError: no such choice, or it refuses one of the values, as it would if it were declared alone.
        """
        from omegaconf import OmegaConf

        require_choice(key, name, [name] if "schema" in changes else self.options(group))
        typed = [
            Override.to(f"{group}.{setting}", value)
            for setting, value in changes.items()
            if setting != "schema"
        ]
        try:
            root = OmegaConf.create({group: self._named(group, name, changes)})
            _check_schema(root, group)
            self._check_file(root, group, name, Overrides(tuple(typed)), named="schema" not in changes)
            return self._changed(root, group, Overrides(tuple(typed)))
        except ConfigError as error:
            if error.key is None or error.key.partition(".")[0] != group:
                raise
            text = str(error).removeprefix(f"{error.key}: ")
            raise ConfigError(text, key=f"{key}{error.key.removeprefix(group)}") from error

    def revised(
        self, group: str, values: Mapping[str, object], schemas: Mapping[str, str], overrides: Overrides
    ) -> Any:
        """A part of a recorded configuration with some of it typed anew; a choice brings what its file says.

        Args:
            group: the part.
            values: the whole recorded configuration.
            schemas: group → name of the schema.
            overrides: what is typed, about the part alone.

        Raises:
            ConfigError: bad input.
        """
        from omegaconf import OmegaConf

        for key in flatten(dict(values)):
            messages.check_key(key)
        messages.check_overrides(overrides)
        self.check_choices(overrides)
        known = registered()[group]
        require_choice(f"{group}.schema", schemas.get(group, ""), list(known))
        with messages.translated(self.folders):
            node: Any = OmegaConf.merge(
                OmegaConf.structured(known[schemas[group]]),
                as_it_was(dict(values), dict(schemas), registered())[group],
            )
            chosen = overrides.last(group)
            if chosen is not None:
                node = self._upon(node, group, schemas[group], str(chosen.value))
        root = OmegaConf.create({**values, group: node})
        _check_schema(root, group)
        typed = overrides.where(lambda item: item.key != group)
        if chosen is not None:
            self._check_file(root, group, str(chosen.value), typed)
        return self._changed(root, group, typed)

    def anew(
        self,
        values: Values,
        schemas: dict[str, str],
        overrides: Sequence[str] | Overrides,
        *,
        keep: Collection[str] = (),
    ) -> Declaration:
        """The declaration that a recorded configuration is with something typed on top.

        A choice that is typed takes the place of the recorded one, and with an experiment come the parts that its
        file composes otherwise than the defaults are.

        Args:
            values: the whole recorded configuration.
            schemas: group → name of the schema.
            overrides: what is typed; of Hydra's own settings too.
            keep: parts that stay also where an experiment that is typed has others.

        Raises:
            ConfigError: bad input, or the recorded values no longer fit the schemas.
        """
        typed = Overrides.of(overrides)
        messages.check_overrides(typed)
        self.check_choices(typed)
        choices = typed.where(self.chooses)
        single = typed.where(lambda item: not (item.hydras or self.chooses(item)))
        root = _recorded(values, schemas)
        with messages.translated(self.folders):
            self._take_choices(root, choices, typed, keep)
            self._put_all(root, single)
        declared = self.declaration(root, typed)
        messages.check_secrets(flatten(declared.values))
        return declared

    def _take_choices(
        self, root: DictConfig, choices: Overrides, typed: Overrides, keep: Collection[str]
    ) -> None:
        """Put the parts that are chosen anew, and Hydra's own settings where some are typed, into a recorded whole."""
        from omegaconf import OmegaConf, open_dict

        if _about_hydra(typed):
            words = typed.where(lambda item: item.hydras or self.chooses(item))
            with open_dict(root):
                root.hydra = self.composed(words, typed=typed).hydra
        if not choices:
            return
        composed, usual = self.composed(choices, typed=typed), self._choice(())
        plain: Any = OmegaConf.to_container(composed)
        as_usual: Any = OmegaConf.to_container(usual)
        for part in sorted(VALUES.union(GROUPS)):
            comes = "experiment" in choices.keys and plain[part] != as_usual[part] and part not in keep
            if part in choices.keys or comes:
                OmegaConf.update(root, part, composed[part], merge=False)

    def _changed(self, root: DictConfig, group: str, overrides: Overrides) -> Any:
        """The live object of one part of a configuration after its values are set."""
        from omegaconf import OmegaConf

        with messages.translated(self.folders):
            OmegaConf.set_struct(root, True)
            self._put_all(root, overrides)
        messages.check_resolvable(root)
        messages.check_complete(root)
        messages.check_values(OmegaConf.to_container(root[group], resolve=True), group)
        with messages.translated(self.folders):
            live = OmegaConf.to_object(root[group])
        check_acting({group: live}, overrides)
        return live

    def _put_all(self, root: DictConfig, overrides: Overrides) -> None:
        """Set what is typed in parts that are chosen already, and go on being called as they are."""
        from omegaconf import OmegaConf

        called = {group: OmegaConf.select(root, f"{group}.name") for group in GROUPS}
        make_room(root, overrides)
        for override in overrides:
            put(root, override)
        for group in {item.part for item in overrides} & called.keys():
            name = OmegaConf.select(root, f"{group}.name")
            if name not in (None, called[group]) and not label.is_setting(OmegaConf.get_type(root, group)):
                raise label.refused(group, name, str(called[group]), self.options(group))

    def _named(self, group: str, name: str, changes: Mapping[str, object]) -> DictConfig:
        """A choice composed alone, or a schema that is named in its place."""
        from omegaconf import OmegaConf

        if "schema" not in changes:
            with messages.translated(self.folders):
                alone: DictConfig = self._choice((f"{group}={name}",))[group].copy()
            return alone
        given, known = changes["schema"], registered()[group]
        schema, values = (
            next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (given, {})
        )
        require_choice(f"{group}.schema", str(schema), list(known))
        node: DictConfig = OmegaConf.structured(known[str(schema)])
        with messages.translated(self.folders):
            merged = OmegaConf.merge(node, values, {"name": name})
        return cast("DictConfig", merged)

    def write_out(self, composed: DictConfig) -> None:
        """Check the choices that the experiment names, and write out those of further folders: a resumed run has none.

        Raises:
            ConfigError: as `choice`.
        """
        from omegaconf import OmegaConf

        cls = OmegaConf.get_type(composed, "experiment")
        names = cls.names_choices if _is(cls, Experiment) else {}
        for setting, group in names.items():
            messages.check_resolvable(composed)
            entries: Any = OmegaConf.to_container(composed.experiment, resolve=True)
            for index, entry in enumerate(entries[setting]):
                name, changes = named_choice(entry, f"experiment.{setting}[{index}]")
                live = self.choice(group, name, changes, key=f"experiment.{setting}[{index}]")
                file = self.file(group, name)
                if file is not None and not file.is_relative_to(CONF):
                    usual = self.choice(group, name, {}, key=f"experiment.{setting}[{index}]")
                    values = {key: value for key, value in asdict(usual).items() if key != "name"}
                    schema = {schema_name(group, type(live)): values}
                    composed.experiment[setting][index] = {name: {"schema": schema, **changes}}

    def _upon(self, base: DictConfig, group: str, schema: str, name: str) -> DictConfig:
        """A choice composed upon a base that takes the place of its schema's defaults."""
        from hydra.core.config_store import ConfigStore

        with _lock:
            _ = self._loader  # made later, it would put the schema's defaults in the place of the base
            store = ConfigStore.instance()
            store.store(group=f"schema/{group}", name=schema, node=base)
            try:
                found: DictConfig = self._hydras([f"{group}={name}"])[group]
            finally:
                store.store(group=f"schema/{group}", name=schema, node=registered()[group][schema])
        return found

    def completions(self, words: Sequence[str], last: str) -> list[str]:
        """What the last word of a command line may become, in alphabetical order.

        Args:
            words: the overrides before it.
            last: the word as far as it is typed.
        """
        from omegaconf import OmegaConf

        sign, start = re.match(r"([+~]*)(.*)", last).groups()  # type: ignore[union-attr]
        group, equals, _ = start.partition("=")
        if equals and group in GROUPS:
            found = [f"{group}={name}" for name in self.options(group)]
        else:
            whole = start.startswith(ENGINES)
            try:
                config = self.composed(Overrides.of(words), whole=whole)
            except ConfigError:  # what was typed before is not right yet
                config = self.composed(Overrides(), whole=whole)
            path = group if equals else group.rpartition(".")[0]
            node = OmegaConf.select(config, path) if path else config
            found = list(_below(node, path)) if not equals else [f"{group}={_shown(node)}"]
            found = [
                word
                for word in found
                if not word.startswith("hydra") or (whole and not word.endswith("._target_="))
            ]
        return sorted(sign + word for word in found if word.startswith(start))

    def check_choices(self, overrides: Overrides) -> None:
        """Refuse a choice that a config group does not have.

        Raises:
            ConfigError: with the nearest valid name.
        """
        messages.check_choices(overrides, self.options)

    def chooses(self, override: Override) -> bool:
        """Whether an override names a choice of a config group; a mapping is no choice."""
        key = override.key
        if "." in key or key in VALUES or isinstance(override.value, dict):
            return False
        return key in GROUPS or bool(self.options(key))

    def _choice(self, chosen: tuple[str, ...]) -> DictConfig:
        """A composition without values set in it, made once; not to be changed."""
        from omegaconf import open_dict

        key = (chosen, *self._version)
        with _lock:
            if key not in _remembered:
                config = self._yielding(chosen)
                check_typed(config, Overrides.of(chosen))
                with open_dict(config):
                    # half of the copying would be for the rest
                    choices = {group: config.hydra.runtime.choices[group] for group in GROUPS}
                    config.hydra = {"mode": config.hydra.mode, "runtime": {"choices": choices}}
                if len(_remembered) >= MOST_REMEMBERED:
                    _remembered.clear()
                _remembered[key] = config
            return _remembered[key]

    def _for_any_size(self, chosen: Sequence[str], overrides: Overrides) -> list[str]:
        """The usual ansatz, where a Hamiltonian is typed and the experiment's file chose a circuit for its own one."""
        from omegaconf import OmegaConf

        keys = overrides.keys
        if not {"experiment", "hamiltonian"} <= keys or "ansatz" in keys:
            return []
        config = self._choice(tuple(word for word in chosen if not word.startswith("hydra")))
        cls, experiment = (OmegaConf.get_type(config, part) for part in ("ansatz", "experiment"))
        written = _is(cls, AnsatzConfig) and cls.written_down
        if not written or (_is(experiment, Experiment) and experiment.only_samples):
            return []
        usual = self._choice(())
        of_the_circuit = [
            key for key in keys if key.startswith("ansatz.") and key.split(".")[1] not in usual.ansatz
        ]
        if of_the_circuit or config.hamiltonian.name == usual.hamiltonian.name:
            return []
        return [f"ansatz={usual.ansatz.name}"]

    def _yielding(self, chosen: Sequence[str]) -> DictConfig:
        """What Hydra composes, without what the experiment's file sets of a choice in whose place another is typed."""
        typed = Overrides.of(chosen)
        named = typed.last("experiment")
        preset = None if named is None else Preset.read(self.file, str(named.value))
        if named is None or preset is None:
            return self._hydras(chosen)
        lacking = self._beaten(preset, typed)
        while True:
            stored = preset.without(lacking)
            words = [
                f"experiment={preset.as_stored}" if item is named and lacking else item.text for item in typed
            ]
            try:
                return self._hydras(words, stored if lacking else ())
            except Exception as error:
                key = messages.misfit_in_an_experiment(error)
                if key is None or not self._belongs_to_another(key, preset, typed, lacking):
                    raise
                lacking = lacking | {key}

    def _beaten(self, preset: Preset, typed: Overrides) -> frozenset[str]:
        """The keys of an experiment's file that mean something else than a choice that is typed."""
        beaten: set[str] = set()
        for item in typed:
            if item.key not in GROUPS or item.key == "experiment":
                continue
            group, name = item.key, str(item.value)
            if group in ("optimizer", "estimator") and name != self._chosen_by(preset, group):
                beaten.update({"gradient"} & preset.keys)  # it belongs to what the file chose
            below = {key.split(".")[1] for key in preset.keys if key.startswith(f"{group}.")}
            choice = Preset.read(self.file, name, group)
            if below and choice is not None:
                cls = self._class_of(choice)
                other = name != self._chosen_by(preset, group)
                settings = beaten_by(cls, choice.content, below) if other else set()
                if preset.choices.get(group) != name:
                    settings |= stood_for(cls, choice.content, below)
                settings |= {
                    setting
                    for setting in _lacking(cls, below)
                    if self._belongs_to_another(f"{group}.{setting}", preset, typed, frozenset())
                }
                beaten.update(f"{group}.{setting}" for setting in settings)
        return frozenset(beaten)

    def _class_of(self, choice: Preset) -> object:
        """The dataclass that checks a choice, by its file where that names one: composing takes a tenth of a second."""
        from omegaconf import OmegaConf

        known = registered()[choice.group].get(choice.schema or "")
        return known or OmegaConf.get_type(self._choice((f"{choice.group}={choice.name}",)), choice.group)

    def _chosen_by(self, preset: Preset, group: str) -> str:
        """The choice of a group that an experiment's file makes, or leaves as it usually is."""
        return preset.choices.get(group) or self._usual.get(group) or str(self._choice(())[group].name)

    @cached_property
    def _usual(self) -> dict[str, str]:
        """Group → choice, as far as the defaults list of the configuration itself names them."""
        files = (folder / "config.yaml" for folder in self.folders)
        found = Preset.read(lambda *_: next(filter(Path.is_file, files)), "config", "")
        return {} if found is None else found.choices

    def _belongs_to_another(
        self, key: str, preset: Preset, typed: Overrides, lacking: frozenset[str]
    ) -> bool:
        """Whether a key of an experiment's file that does not fit is a setting of a choice that is not typed."""
        group, _, setting = key.partition(".")
        if (
            key in lacking
            or key not in preset.keys
            or group not in typed.keys & frozenset(GROUPS) - {"experiment"}
        ):
            return False
        value = preset.value(key)
        return any(_takes(cls, setting, value) for cls in registered()[group].values())

    def _hydras(self, chosen: Sequence[str], presets: Sequence[Preset] = ()) -> DictConfig:
        """What Hydra itself composes; `presets` are experiments that no file declares so."""
        from hydra.types import RunMode

        try:
            with _lock, _version_base(), only_ours(self.folders, presets), _without_remarks():
                words = [*self._own, *chosen]
                return self._loader.load_configuration("config", words, RunMode.RUN, from_shell=False)
        except RecursionError as error:
            raise ConfigError(
                "a file's defaults lead back to itself; take the entry out", key="defaults"
            ) from error
        except PUZZLED as error:
            if isinstance(error, ConfigError) or not chosen:
                raise
            raise ConfigError(
                f"{shorten(' '.join(chosen), 80)!r} cannot be composed ({shorten(str(error), 80)}); see --help"
            ) from error


def finished(
    composed: DictConfig,
    overrides: Overrides,
    directory: str | None = None,
    multirun: bool = False,
    folders: Sequence[Path] = (CONF,),
) -> Declaration:
    """The declaration that a configuration without Hydra's part amounts to.

    Raises:
        ConfigError: it is incomplete, or one of its values is wrong.
    """
    from omegaconf import OmegaConf

    for group in registered():
        _check_schema(composed, group)
    messages.check_resolvable(composed)
    messages.check_complete(composed)
    with messages.translated(folders):
        values = OmegaConf.to_container(composed, resolve=True)
        messages.check_values(values)
        config = OmegaConf.to_object(composed)
    assert isinstance(config, RunConfig)
    assert isinstance(values, dict)
    return Declaration(
        config=config,
        overrides=overrides.texts,
        values={str(key): value for key, value in values.items()},
        schemas=schema_names(config),
        directory=directory,
        multirun=multirun,
        config_dirs=tuple(map(str, folders[:-1])),
    )


def _check_given(config: DictConfig, missing: Mapping[str, bool], typed: Overrides) -> None:
    """Refuse what files leave to be typed and is not: Hydra takes ??? for nothing where there is a default.

    Raises:
        ConfigError: naming the key.
    """
    from omegaconf import OmegaConf

    set_ = [item.key for item in typed if item.key not in GROUPS or isinstance(item.value, dict)]
    for key in (key for key, open_ in missing.items() if open_):
        path, _, name = key.rpartition(".")
        node = OmegaConf.select(config, path) if path else config
        given = any(f"{one}.".startswith(f"{key}.") or key.startswith(f"{one}.") for one in set_)
        if not given and OmegaConf.is_dict(node) and name in node:
            raise ConfigError(f"mandatory value missing; give {key}=…", key=key)


def _last(typed: Overrides, key: str) -> object:
    """The value that a key is set to in the end; None where it is not."""
    item = typed.last(key)
    return None if item is None else item.value


def _lacking(cls: object, settings: set[str]) -> set[str]:
    """Of some settings those that a dataclass does not have."""
    if not (isinstance(cls, type) and is_dataclass(cls)):
        return set()
    return settings - {item.name for item in fields(cls)}


def _check_schema(root: DictConfig, group: str) -> None:
    """Refuse a part that no schema checks.

    Raises:
        ConfigError: what its file lacks.
    """
    from omegaconf import OmegaConf

    if OmegaConf.get_type(root, group) not in registered()[group].values():
        raise messages.no_schema(group)


def choice(group: str, name: str, changes: Mapping[str, object], *, key: str) -> Any:
    """One choice of conf/ or of a plug-in by itself; see `Composer.choice`."""
    return Composer().choice(group, name, changes, key=key)


def named_choice(entry: object, key: str) -> tuple[str, Values]:
    """Name and settings of a choice that a setting names.

    Args:
        entry: a name, or {name: {setting: value}}.
        key: dotted path of the setting, for the message.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, changes),) = entry.items()
        if isinstance(changes, dict):
            return str(name), changes
    elif isinstance(entry, str):
        return entry, {}
    raise ConfigError(
        f"must be a name or {{name: {{setting: value}}}}, got {entry!r}; write e.g. cobyla", key=key
    )


def schema_name(group: str, cls: Schema) -> str | None:
    """The name a dataclass is registered with; None where it is not."""
    return next((name for name, known in registered()[group].items() if known is cls), None)


def schema_names(config: RunConfig) -> dict[str, str]:
    """Which registered schema each group's dataclass is.

    Raises:
        ConfigError: a choice has none, so nobody could check it.
    """
    names = {}
    for group in registered():
        name = schema_name(group, type(getattr(config, group)))
        if name is None:
            raise messages.no_schema(group)
        names[group] = name
    return names


def restore(
    values: Values,
    schemas: dict[str, str],
    overrides: Sequence[str] = (),
    *,
    plugins: Sequence[str] = (),
) -> Declaration:
    """Rebuild a declaration from a run directory's config.yaml and the schema names in its journal.

    Args:
        values: the configuration.
        schemas: group → name of the schema.
        overrides: what was typed for it.
        plugins: modules that may be imported for it; those it names itself are not enough.

    Raises:
        ConfigError: it used a plug-in that was not named again, or the values no longer fit the schemas.
    """
    load(check_plugins(values.get("plugins"), plugins))
    return finished(_recorded(values, schemas), Overrides.of(overrides))


def check_recorded(
    values: Mapping[str, Any],
    schemas: Mapping[str, str],
    overrides: Sequence[str],
    config_dirs: Sequence[str] = (),
) -> None:
    """Refuse a recorded configuration of which a part is called like a choice that it is not.

    Args:
        values: the configuration.
        schemas: group → name of the schema.
        overrides: what was typed for it.
        config_dirs: folders of further choices that it was declared with; they may have other files of the same name.

    Raises:
        ConfigError: naming the part.
    """
    for group, schema in schemas.items():
        part = values.get(group)
        name = part.get("name") if isinstance(part, dict) else None
        if config_dirs or name is None or label.is_setting(registered()[group].get(schema)):
            continue
        if CHOICE.fullmatch(str(name)) and _schema_of_ours(group, str(name)) not in (None, schema):
            raise ConfigError(
                f"{name!r} is what another choice is called, and the run has {schema!r}", key=f"{group}.name"
            )
    typed = Overrides.of(overrides)
    if any(item.key == f"{item.part}.name" and item.part in GROUPS for item in typed):
        try:
            declare(typed, config_dirs=[folder for folder in config_dirs if os.path.isdir(folder)])
        except ConfigError as error:
            if error.key is not None and error.key.endswith(".name") and error.key.count(".") == 1:
                raise


def _ours(group: str, name: str) -> Path | None:
    file = CONF / group / f"{name}.yaml"
    return file if file.is_file() else None


@cache
def _schema_of_ours(group: str, name: str) -> str | None:
    """The schema of a choice of conf/; None where it has no such choice."""
    preset = Preset.read(_ours, name, group)
    return None if preset is None else preset.schema


def _recorded(values: Values, schemas: dict[str, str]) -> DictConfig:
    """A recorded configuration as a composition, whose schemas check what is set in it.

    Raises:
        ConfigError: the values no longer fit the schemas.
    """
    from omegaconf import OmegaConf

    known = registered()
    with messages.translated():
        root = OmegaConf.structured(RunConfig)
        for group, name in schemas.items():
            if name not in known.get(group, {}):
                raise ConfigError(f"its schema {name!r} is not known to this version", key=group)
            root[group] = OmegaConf.structured(known[group][name])
            _take_kinds(root[group], values.get(group))
        merged = OmegaConf.merge(root, as_it_was(values, schemas, known))
    return cast("DictConfig", merged)


def _take_kinds(node: DictConfig, values: object) -> None:
    """Give a field that may be a list or a dictionary the kind of its recorded value: the two do not merge."""
    from omegaconf import OmegaConf

    for key, value in values.items() if isinstance(values, dict) else ():
        if key in node and isinstance(value, dict) and OmegaConf.is_list(node[key]):
            node[key] = value


def as_it_was(values: Values, schemas: dict[str, str], known: Mapping[str, Mapping[str, Schema]]) -> Values:
    """Recorded values with what was so before there was a key for it: no circuit was scheduled on a device."""
    backend, schema = values.get("backend"), schemas.get("backend", "")
    if not isinstance(backend, dict) or "schedule" in backend or schema in NEVER_SCHEDULED:
        return values
    if not issubclass(known["backend"][schema], BackendConfig):
        return values
    return {**values, "backend": {**backend, "schedule": False}}


NEVER_SCHEDULED = ("ideal", "noisy", "ibm", "best")
"""Backends on which it makes no difference."""


def _below(node: Any, path: str) -> Iterator[str]:
    """The keys of a part of the configuration as they are typed: those of parts end with a dot or are choices."""
    from omegaconf import OmegaConf

    for name in node if OmegaConf.is_dict(node) else ():
        key = f"{path}.{name}" if path else str(name)
        inner = not OmegaConf.is_missing(node, name) and OmegaConf.is_dict(node[name])
        yield from (f"{key}=", f"{key}.") if key in GROUPS else [f"{key}." if inner else f"{key}="]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _takes(cls: Schema, setting: str, value: object) -> bool:
    """Whether a schema has a setting, and the value is of its type."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.update(OmegaConf.structured(cls), setting, value)
    except (OmegaConfBaseException, *PUZZLED):
        return False
    return True


def _of_the_choices(config: DictConfig, overrides: Overrides) -> dict[str, str]:
    """What a preset sweeps: key → values, without keys of a choice in whose place another is typed."""
    found = {str(key): str(value) for key, value in (config.hydra.sweeper.get("params") or {}).items()}
    return {
        key: value
        for key, value in found.items()
        if "." not in key
        or key.split(".")[0] not in overrides.keys
        or key.split(".")[1] in config[key.split(".")[0]]
    }


def _is(cls: object, base: type[Base]) -> TypeGuard[type[Base]]:
    return isinstance(cls, type) and issubclass(cls, base)


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
    messages.check_values(OmegaConf.to_container(node), f"hydra.{part}")
    return OmegaConf.to_object(node)


def _threads(composed: DictConfig) -> int:
    """Threads that a composed run declares; 1 where that is bad input, which is refused when runs are checked."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return max(int(OmegaConf.select(composed, "backend.threads")), 1)
    except (OmegaConfBaseException, TypeError, ValueError):
        return 1


def _take_environment(config: DictConfig, overrides: Overrides) -> None:
    """Record where MLflow's own variables say, unless that was typed or nothing is to be recorded."""
    from omegaconf import OmegaConf

    if OmegaConf.select(config, "tracking.enabled"):
        for key, value in from_environment(overrides).items():
            OmegaConf.update(config, f"tracking.{key}", value)


def _about_hydra(overrides: Overrides) -> bool:
    return any(item.hydras for item in overrides)


def _is_multirun(composed: DictConfig) -> bool:
    from hydra.types import RunMode

    return bool(composed.hydra.mode == RunMode.MULTIRUN)


def _loader(folders: tuple[Path, ...]) -> ConfigLoader:
    """Hydra's loader for some folders, the last of them conf/, made once; Hydra's globals are left as they were."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobRuntime
    from hydra.version import VersionBase

    if folders not in _loaders:
        theirs, version, job = GlobalHydra.instance(), VersionBase.instance(), JobRuntime.instance()
        name = job.get("name")
        GlobalHydra.set_instance(copy.copy(theirs))
        GlobalHydra.instance().clear()
        VersionBase.set_instance(copy.copy(version))
        try:
            with initialize_config_dir(str(folders[-1]), job_name="runner", version_base=VERSION):
                loader = GlobalHydra.instance().config_loader()
        finally:
            GlobalHydra.set_instance(theirs)
            VersionBase.set_instance(version)
            job.set("name", name)
        for folder in reversed(folders[:-1]):  # heeded because `hydra.searchpath` is always set
            loader.get_search_path().prepend("command-line", f"file://{folder}")
        _loaders[folders] = loader
    return _loaders[folders]


VERSION = "1.3"
"""The version of Hydra whose ways conf/ is written for."""


@contextlib.contextmanager
def _version_base() -> Iterator[None]:
    """Hydra's ways of 1.2 and later meanwhile; where the caller chose older ones, they hold again afterwards."""
    from hydra.version import VersionBase, setbase
    from packaging.version import Version

    theirs = VersionBase.instance()
    chosen = theirs.getbase()
    if isinstance(chosen, Version) and chosen >= Version("1.2"):
        yield
        return
    VersionBase.set_instance(copy.copy(theirs))
    setbase(VERSION)
    try:
        yield
    finally:
        VersionBase.set_instance(theirs)


@contextlib.contextmanager
def _without_remarks() -> Iterator[None]:
    """Leave out what Hydra says of a file that is called like something of its own: what is wrong in it is refused."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*'.*' is validated against ConfigStore schema", UserWarning)
        yield


def _stamp(folders: Sequence[Path]) -> tuple[object, ...]:
    """Changes when a file of a folder does: a process may live longer than a version of a choice."""
    return tuple(
        sorted((entry.path, entry.stat().st_mtime_ns) for folder in folders for entry in _files(folder))
    )


def _files(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry

"""What a run is declared to be: the typed configuration, and how Hydra composes it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.checks import require_choice, require_range, shorten
from runner.declare.hydra_support import refuse_outside
from runner.declare.provenance import check_plugins, check_typed
from runner.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF = Path(__file__).resolve().parents[2] / "conf"

GROUPS = ("experiment", "backend", "session", "hamiltonian", "ansatz", "optimizer", "estimator", "tracking")
"""The choices that make up a run; each is a folder of conf/ and a module of runner/ (or experiments/)."""

GRADIENTS = ("auto", "none", "parameter_shift", "adjoint", "spsa")
RESUME = ("never", "auto")


@dataclass(kw_only=True)
class RunOptions:
    """How this process goes about the run; nothing here changes a number."""

    resume: str = "never"
    """`auto` continues an unfinished run of the same configuration; `never` starts a new one."""

    allow_environment_change: bool = False
    """Resume although packages, threads or the processor changed; numbers may then differ in their last bits."""

    require_convergence: bool = False
    """End as failed, with everything kept, where a minimizer stopped before its own criterion was met."""

    figures: bool = True
    """Draw figures and write report.html at the end; `python -m runner report DIR` can do it later."""

    def __post_init__(self) -> None:
        require_choice("run.resume", self.resume, RESUME)


@dataclass(kw_only=True)
class RunConfig:
    """Everything a run is declared to be; behind `compose` nothing reads OmegaConf any more."""

    seed: int = 1
    """Seed of the run, 0 ≤ seed < 2**63; every job derives its own from it."""
    name: str | None = None
    """Name of the run; null names it by what differs from the defaults."""
    gradient: str = "auto"
    """auto | none | parameter_shift | adjoint | spsa; auto: the shift rule, else adjoint, where a method uses one."""
    plugins: list[str] = field(default_factory=list)
    """Installed Python modules that register further choices."""
    run: RunOptions = field(default_factory=RunOptions)
    """How this process goes about the run."""
    experiment: Any = "???"
    """The algorithm."""
    backend: Any = "???"
    """What executes the circuits."""
    session: Any = "???"
    """Mode, plan, limits and clock of the session."""
    hamiltonian: Any = "???"
    """The observable whose energy is sought."""
    ansatz: Any = "???"
    """The parametrized circuit and where its parameters start."""
    optimizer: Any = "???"
    """The classical minimizer."""
    estimator: Any = "???"
    """How expectation values are obtained."""
    tracking: Any = "???"
    """Where the run is recorded for review."""

    def __post_init__(self) -> None:
        require_range("seed", self.seed, 0, 2**63 - 1)
        require_choice("gradient", self.gradient, GRADIENTS)
        self._check_gradient()
        self._check_target()
        if self.name is not None and not re.fullmatch(r"[\w.,=+\- ]{1,120}", self.name):
            raise ConfigError(
                f"{self.name!r} is not usable as a name; use 1 to 120 letters, digits or any of . , = + - _",
                key="name",
            )

    def _check_gradient(self) -> None:
        if self.gradient in ("auto", "none"):
            return
        if not getattr(self.optimizer, "uses_gradient", True):
            raise ConfigError(
                f"{self.optimizer.name!r} does not use gradients; choose another optimizer or leave gradient=auto",
                key="gradient",
            )
        if self.gradient == "adjoint" and getattr(self.estimator, "precision", 0.0) != 0.0:
            raise ConfigError(
                "adjoint is exact and the estimator samples; use estimator=exact, or gradient=parameter_shift",
                key="gradient",
            )

    def _check_target(self) -> None:
        samples = getattr(self.experiment, "only_samples", False)
        if samples and getattr(self.estimator, "target_stddev", None) is not None:
            raise ConfigError(
                f"{self.experiment.name} draws bitstrings and estimates no energy; use estimator.default_shots",
                key="estimator.target_stddev",
            )


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A configuration together with what is needed to write it down and read it back."""

    config: RunConfig
    overrides: tuple[str, ...]
    """What was typed, as typed."""
    values: dict[str, Any]
    """The resolved configuration as plain containers: the content of config.yaml."""
    schemas: dict[str, str]
    """Group → name of the schema its values belong to."""
    directory: str | None = None
    """`hydra.run.dir` where it was set."""
    multirun: bool = False
    """The chosen experiment is a sweep by itself: it sets `hydra.mode` to MULTIRUN."""
    forked_from: str | None = None
    """The run whose best parameters this one starts from."""

    @property
    def name(self) -> str:
        """The run's name: what was declared, or the overrides that make it differ from the defaults."""
        if self.config.name:
            return self.config.name
        parts = [str(self.config.experiment.name)]
        for override in self.overrides:
            key, _, value = override.lstrip("+~").partition("=")
            if key in {"experiment", "name", "plugins"} or key.startswith(("hydra.", "tracking", "run.")):
                continue
            parts.append(value if key in GROUPS else f"{key.rpartition('.')[2]}={value}")
        return re.sub(r"[^\w.=+-]+", "-", ",".join(parts).replace(",", "_")).strip("-_.")[:80]


def compose(*overrides: str, config_dirs: Sequence[str] = ()) -> RunConfig:
    """Compose and check a configuration exactly as the command line would.

    Args:
        overrides: Hydra overrides, e.g. `"hamiltonian=h2"`, `"optimizer.max_evaluations=50"`.
        config_dirs: further folders with config groups, searched first.

    Raises:
        ConfigError: one line that says which key is wrong, why, and what to type instead.
    """
    return declare(overrides, config_dirs=config_dirs).config


def declare(overrides: Sequence[str], *, config_dirs: Sequence[str] = ()) -> Declaration:
    """Compose, resolve and check a configuration; like `compose`, and keeps what resume needs.

    Raises:
        ConfigError: see `compose`.
    """
    from runner.declare import messages

    messages.check_overrides(overrides)
    with hydra_session(config_dirs, overrides):
        messages.check_choices(overrides)
        with messages.translated():
            composed = composition(overrides, remember=not config_dirs)
        declared = declaration(composed, overrides)
    if not declared.multirun:
        refuse_outside("run", ((item.key_or_group, item.value()) for item in messages.parse(overrides)))
    messages.check_secrets(flatten(declared.values))
    return declared


_hydras: dict[tuple[str, ...], Any] = {}
_remembered: dict[tuple[Any, ...], DictConfig] = {}
MOST_REMEMBERED = 128


def composition(overrides: Sequence[str], *, remember: bool = False) -> DictConfig:
    """What Hydra composes; to be called in a `hydra_session`.

    Choices first, then values one by one in the order typed: as Hydra does it, but saying which one is wrong.

    Args:
        overrides: the command line.
        remember: choices that were composed before in this process only get their values set again; of Hydra's own
            settings the result then holds the mode only.

    Raises:
        ConfigError: what Hydra answers with an error that is not one of its own.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.global_hydra import GlobalHydra

    from runner.declare import messages

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    parsed = messages.parse(overrides)
    exists = hydra.config_loader.repository.group_exists  # type: ignore[attr-defined]
    values = [
        override
        for override in parsed
        if not override.key_or_group.startswith("hydra")
        and (isinstance(override.value(), dict) or not exists(override.key_or_group))
    ]
    chosen = [str(override.input_line) for override in parsed if override not in values]
    if remember and not any(override.key_or_group.startswith("hydra") for override in parsed):
        config = _choice(tuple(chosen)).copy()
    else:
        config = _compose(chosen)
    for override in values:
        _make_room(config, override)
        try:
            ConfigLoaderImpl._apply_overrides_to_config([override], config)
        except PUZZLED as error:
            raise ConfigError(
                f"{shorten(str(override.input_line), 60)!r} does not fit what is there; see --help",
                key=override.key_or_group,
            ) from error
    _take_environment(config, overrides)
    check_typed(config, overrides)
    return config


def _take_environment(config: DictConfig, overrides: Sequence[str]) -> None:
    """Record where MLflow's own variables say, unless that was typed or nothing is to be recorded."""
    from omegaconf import OmegaConf

    from runner.tracking.config import from_environment

    if OmegaConf.select(config, "tracking.enabled"):
        for key, value in from_environment(overrides).items():
            OmegaConf.update(config, f"tracking.{key}", value)


def _make_room(config: DictConfig, override: Any) -> None:
    """Empty a setting that takes a list as well as {name: value}, where the override gives the other of the two."""
    from omegaconf import ListConfig, OmegaConf

    key = override.key_or_group
    if not (override.is_add() or override.is_delete()) and isinstance(override.value(), dict):
        present = OmegaConf.select(config, key)
        if isinstance(present, ListConfig) and present._metadata.ref_type is Any:
            OmegaConf.update(config, key, None, merge=False)


PUZZLED = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What Hydra and OmegaConf raise besides their own errors when an override makes no sense to them."""


def _compose(overrides: Sequence[str]) -> DictConfig:
    from hydra import compose

    try:
        return compose("config", list(overrides), return_hydra_config=True)
    except PUZZLED as error:
        if isinstance(error, ConfigError) or not overrides:
            raise
        raise ConfigError(
            f"{shorten(' '.join(overrides), 80)!r} cannot be composed ({shorten(str(error), 80)}); see --help"
        ) from error


def _choice(chosen: tuple[str, ...]) -> DictConfig:
    """A composition without values set in it, made once; not to be changed."""
    from omegaconf import open_dict

    from runner.declare.registry import generation

    key = (*chosen, generation(), _stamp())
    if key not in _remembered:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        whole = _compose(chosen)
        check_typed(whole, chosen)
        with open_dict(whole):
            whole.hydra = {"mode": whole.hydra.mode}  # half of the copying would be for the rest
        _remembered[key] = whole
    return _remembered[key]


def _stamp() -> tuple[Any, ...]:
    """Changes when a file of conf/ does: a process may live longer than a version of a choice."""
    return tuple(sorted((entry.path, entry.stat().st_mtime_ns) for entry in _files(CONF)))


def _files(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry


def declaration(composed: DictConfig, overrides: Sequence[str]) -> Declaration:
    """Turn a composed Hydra configuration into plain, checked Python; it is used up by that."""
    from omegaconf import OmegaConf, open_dict

    from runner.declare import messages

    directory = None
    multirun = False
    if "hydra" in composed:
        multirun = getattr(composed.hydra.mode, "name", None) == "MULTIRUN"
        if any(override.lstrip("+").startswith("hydra.run.dir=") for override in overrides):
            with messages.translated():
                directory = str(composed.hydra.run.dir)
            messages.check_directory(directory)
        with open_dict(composed):
            del composed["hydra"]
    messages.check_resolvable(composed)
    messages.check_complete(composed)
    with messages.translated():
        values = OmegaConf.to_container(composed, resolve=True)
        config = OmegaConf.to_object(composed)
    assert isinstance(config, RunConfig)
    assert isinstance(values, dict)
    return Declaration(
        config=config,
        overrides=tuple(overrides),
        values={str(key): value for key, value in values.items()},
        schemas=schema_names(config),
        directory=directory,
        multirun=multirun,
    )


def schema_names(config: RunConfig) -> dict[str, str]:
    """Which registered schema each group's dataclass is.

    Raises:
        ConfigError: a choice has none, so nobody could check it.
    """
    from runner.declare.registry import registered

    names = {}
    for group, schemas in registered().items():
        value = getattr(config, group)
        name = next((name for name, cls in schemas.items() if type(value) is cls), None)
        if name is None:
            raise ConfigError(
                f"names no schema; let its file begin with `defaults: [/schema/{group}/NAME@_here_, _self_]`, "
                f"NAME being one of {shorten(', '.join(schemas), 110)}",
                key=group,
            )
        names[group] = name
    return names


def restore(
    values: dict[str, Any],
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
    from omegaconf import OmegaConf

    from runner.declare import messages
    from runner.declare.registry import load, registered

    load(check_plugins(values.get("plugins"), plugins))
    known = registered()
    with messages.translated():
        root = OmegaConf.structured(RunConfig)
        for group, name in schemas.items():
            if name not in known.get(group, {}):
                raise ConfigError(f"its schema {name!r} is not known to this version", key=group)
            root[group] = OmegaConf.structured(known[group][name])
            _take_kinds(root[group], values.get(group))
        merged = OmegaConf.merge(root, as_it_was(values, schemas, known))
    assert OmegaConf.is_dict(merged)
    return declaration(merged, overrides)  # type: ignore[arg-type]


def _take_kinds(node: DictConfig, values: Any) -> None:
    """Give a field that may be a list or a dictionary the kind of its recorded value: the two do not merge."""
    from omegaconf import OmegaConf

    for key, value in values.items() if isinstance(values, dict) else ():
        if key in node and isinstance(value, dict) and OmegaConf.is_list(node[key]):
            node[key] = value


def as_it_was(values: dict[str, Any], schemas: dict[str, str], known: Any) -> dict[str, Any]:
    """Recorded values with what was so before there was a key for it: no circuit was scheduled on a device."""
    backend, schema = values.get("backend"), schemas.get("backend", "")
    if not isinstance(backend, dict) or "schedule" in backend or schema in NEVER_SCHEDULED:
        return values
    if not hasattr(known["backend"][schema], "schedule"):
        return values
    return {**values, "backend": {**backend, "schedule": False}}


NEVER_SCHEDULED = ("ideal", "noisy", "ibm")
"""Backends on which it makes no difference."""


@contextlib.contextmanager
def hydra_session(config_dirs: Sequence[str] = (), overrides: Sequence[str] = ()) -> Iterator[None]:
    """Hydra initialized on conf/ (and further folders), cleared again afterwards."""
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    from runner.declare import messages
    from runner.declare.registry import register

    register(messages.plugins_in(overrides))
    folders = []
    for directory in config_dirs:
        messages.check_config_dir(directory)
        folders.append(f"file://{Path(directory).resolve()}")
    version.setbase("1.3")
    GlobalHydra.instance().clear()
    if (hydra := _hydras.get(tuple(folders))) is not None:
        GlobalHydra.instance().initialize(hydra)
    else:
        search_path = create_config_search_path(str(CONF))
        for folder in folders:
            search_path.prepend("command-line", folder)
        _hydras[tuple(folders)] = Hydra.create_main_hydra2(task_name="runner", config_search_path=search_path)
    try:
        yield
    finally:
        GlobalHydra.instance().clear()


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of nested containers or dataclasses, in declaration order."""
    if is_dataclass(values) and not isinstance(values, type):
        values = {item.name: getattr(values, item.name) for item in fields(values)}
    if not isinstance(values, dict):
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return flat

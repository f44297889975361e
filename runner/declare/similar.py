"""Many declarations that differ in a few values, quickly: what they have in common is composed once.

The values are then set by the same OmegaConf update as for a single run, in the one part of the configuration they
belong to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.declare import messages
from runner.declare.alternatives import make_room
from runner.declare.composer import Composer
from runner.declare.config import GROUPS, Declaration, RunConfig, flatten
from runner.declare.overrides import Override, Overrides
from runner.declare.registry import registered
from runner.declare.setting import put
from runner.errors import ConfigError, RunnerError
from runner.run.experiment import Experiment

if TYPE_CHECKING:
    from omegaconf import DictConfig


class Similar:
    """Declarations of one composer, as far as they were not composed before."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._bases: dict[tuple[str, ...], _Base | None] = {}

    def declare(self, overrides: Sequence[str]) -> Declaration:
        """What `Composer.declare` gives.

        Raises:
            ConfigError: bad input.
        """
        typed = Overrides.of(overrides)
        naming = _naming_choices()
        chosen = typed.where(lambda item: item.key in naming or not _is_value(item))
        if chosen.texts not in self._bases:
            self._bases[chosen.texts] = self._base(chosen)
        base = self._bases[chosen.texts]
        try:
            declared = (
                None if base is None else base.with_values(typed.where(lambda item: item not in chosen.items))
            )
        except (RunnerError, ValueError, TypeError, KeyError, AttributeError):
            declared = None
        if declared is not None:
            declared.config.check_typed(typed)
        if declared is None:  # say what is wrong in the words of the full composition
            declared = self._composer.declare(typed)
        return replace(declared, overrides=typed.texts)

    def _base(self, chosen: Overrides) -> _Base | None:
        """What is common; None where the choices alone are incomplete: a key without a default may be what is swept."""
        messages.check_overrides(chosen)
        try:
            composed = self._composer.composed(chosen)
            self._composer.write_out(composed)
            base = _Base(self._composer.declaration(composed.copy(), chosen), composed)
        except ConfigError:
            return None
        messages.check_secrets(flatten(base.declared.values))
        return base


class _Base:
    """A composed choice of groups, in which values can be set."""

    def __init__(self, declared: Declaration, composed: DictConfig) -> None:
        from omegaconf import open_dict

        self.declared = declared
        self._composed = composed
        with open_dict(self._composed):
            del self._composed["hydra"]
        self._parts: dict[tuple[str, ...], tuple[Any, Any]] = {}
        self._refers = "${" in str(self._composed)

    def with_values(self, overrides: Overrides) -> Declaration | None:
        """The declaration with values set; None where only a full composition can tell."""
        if not overrides:
            return self.declared
        if self._refers:
            return None
        by_part: dict[str, list[Override]] = {}
        for override in overrides:
            by_part.setdefault(override.part, []).append(override)
        values, changes = dict(self.declared.values), {}
        for part, group in by_part.items():
            key = tuple(override.text for override in group)
            if key not in self._parts:
                self._parts[key] = self._set(part, group)
            values[part], changes[part] = self._parts[key]
        return replace(self.declared, values=values, config=replace(self.declared.config, **changes))

    def _set(self, part: str, overrides: Sequence[Override]) -> tuple[Any, Any]:
        """(plain value, live object) of one part of the configuration with values set in it."""
        from omegaconf import OmegaConf

        node = self._composed[part]
        if not OmegaConf.is_dict(node):
            root = OmegaConf.structured(RunConfig)
            for override in overrides:
                put(root, override)
            value = OmegaConf.to_container(root)[part]  # type: ignore[call-overload,index]
            return value, value
        root = OmegaConf.create({part: node.copy()})
        OmegaConf.set_struct(root, True)
        make_room(root, Overrides(tuple(overrides)))
        for override in overrides:
            put(root, override)
        changed = root[part]
        messages.check_resolvable(changed)
        messages.check_complete(changed)
        return OmegaConf.to_container(changed, resolve=True), OmegaConf.to_object(changed)


PARTS = frozenset(RunConfig.__dataclass_fields__) - {"plugins", "tracking"}
"""Parts of the configuration whose values can be set without composing again; those left out are the same for all."""

NAMES = frozenset(f"{group}.name" for group in GROUPS)


def _naming_choices() -> set[str]:
    """Settings of experiments that name choices; those of further folders are written out, which takes a composer."""
    experiments = (cls for cls in registered()["experiment"].values() if issubclass(cls, Experiment))
    return {f"experiment.{setting}" for cls in experiments for setting in cls.names_choices}


def _is_value(override: Override) -> bool:
    """Whether an override sets a value without choosing, adding or removing anything; a name is none."""
    plain = not (override.sign or override.package) and "${" not in override.text
    plain = plain and override.key not in NAMES
    return plain and override.part in PARTS and ("." in override.key or override.key not in GROUPS)

"""One override put into a composed configuration, as Hydra puts it, but saying which one does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.declare.checks import shorten
from runner.declare.overrides import Override
from runner.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

PUZZLED = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What Hydra and OmegaConf raise besides their own errors when an override makes no sense to them."""


def put(config: DictConfig, override: Override) -> None:
    """Set, add or remove what an override says.

    Raises:
        ConfigError: it does not fit what is there.
        OmegaConfBaseException: an unknown key, or a value of the wrong type.
    """
    if override.package is not None:
        raise ConfigError("unknown key", key=override.key)
    try:
        if override.sign == "~":
            _remove(config, override)
        else:
            _set(config, override)
    except PUZZLED as error:
        if isinstance(error, ConfigError) or _is_omegaconfs(error):
            raise
        raise ConfigError(
            f"{shorten(override.text, 60)!r} does not fit what is there; see --help", key=override.key
        ) from error


def _set(config: DictConfig, override: Override) -> None:
    from omegaconf import OmegaConf

    key, value = override.key, override.value
    if override.sign == "+":
        present = OmegaConf.select(config, key, throw_on_missing=False)
        if present is not None and not isinstance(value, dict | list):
            raise ConfigError("is set already; drop the +", key=key)
    elif not override.sign and isinstance(value, dict):
        _make_room(config, key)
    OmegaConf.update(config, key, value, merge=True, force_add=bool(override.sign))


def _remove(config: DictConfig, override: Override) -> None:
    from omegaconf import OmegaConf, open_dict

    path, _, name = override.key.rpartition(".")
    node = OmegaConf.select(config, path) if path else config
    if not OmegaConf.is_dict(node) or name not in node:
        raise ConfigError("required, cannot be removed; give it a value instead", key=override.key)
    if override.value is not None and node[name] != override.value:
        raise ConfigError(f"is {shorten(str(node[name]), 40)}, not {override.value}", key=override.key)
    with open_dict(node):
        del node[name]


def _make_room(config: DictConfig, key: str) -> None:
    """Empty a setting that takes a list as well as {name: value}, where a mapping is given for a list."""
    from omegaconf import OmegaConf

    path, _, name = key.rpartition(".")
    node: Any = OmegaConf.select(config, path) if path else config
    if not OmegaConf.is_dict(node) or name not in node or not OmegaConf.is_list(node[name]):
        return
    if takes_anything(node, name):
        OmegaConf.update(config, key, None, merge=False)


def takes_anything(node: DictConfig, name: str) -> bool:
    """Whether a field's type is Any."""
    from typing import get_type_hints

    from omegaconf import OmegaConf

    cls = OmegaConf.get_type(node)
    return isinstance(cls, type) and cls is not dict and get_type_hints(cls).get(name) is Any


def _is_omegaconfs(error: Exception) -> bool:
    from omegaconf.errors import OmegaConfBaseException

    return isinstance(error, OmegaConfBaseException)

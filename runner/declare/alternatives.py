"""Settings of which one is meant: what is typed for one takes the place of what a preset says of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from runner.declare.overrides import Override, Overrides
from runner.declare.plain import Schema

if TYPE_CHECKING:
    from omegaconf import DictConfig

Declared = TypeVar("Declared", bound=Schema)


@dataclass(frozen=True, kw_only=True)
class Alternatives:
    """Settings of one schema that exclude each other, or of which one decides."""

    unset: Mapping[str, object]
    """Setting → the value with which it says nothing."""
    selector: str | None = None
    """Setting that names which of them is meant."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Setting → the name that the selector has for it; those of one name go together."""
    parts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Setting → further settings that are about its value, with the values with which they say nothing."""


_known: dict[Schema, Alternatives] = {}


def either(
    *,
    selector: str | None = None,
    named: Mapping[str, str] | None = None,
    parts: Mapping[str, Mapping[str, object]] | None = None,
    **unset: object,
) -> Callable[[Declared], Declared]:
    """Declare settings of a dataclass as alternatives; see `Alternatives`."""

    def declared(cls: Declared) -> Declared:
        _known[cls] = Alternatives(unset=unset, selector=selector, named=named or {}, parts=parts or {})
        return cls

    return declared


def make_room(config: DictConfig, typed: Overrides) -> None:
    """Put back what presets say where something else is typed in its place; to be called before that is set.

    Where several alternatives are typed nothing decides between them, and the schema refuses them together.
    """
    from omegaconf import OmegaConf

    for group in {item.part for item in typed}:
        values = {
            item.key.split(".")[1]: item
            for item in typed
            if item.part == group and "." in item.key and item.sign != "~"
        }
        if not values or not OmegaConf.is_dict(config.get(group)):
            continue
        cls = OmegaConf.get_type(config, group)
        for base in cls.__mro__ if isinstance(cls, type) else ():
            if base in _known:
                _make_room(config[group], values, _known[base])


def _make_room(node: DictConfig, typed: Mapping[str, Override], of: Alternatives) -> None:
    given = [name for name in of.unset if name in typed and not _says_nothing(typed[name], of.unset[name])]
    words = {of.named[name] for name in given if name in of.named}
    if of.selector is not None and of.selector in typed:
        words = {str(typed[of.selector].value)}
    elif not given:
        return
    elif of.selector is not None and len(words) == 1:
        node[of.selector] = next(iter(words))
    together = {name for name, word in of.named.items() if word in words}
    for name, nothing in of.unset.items():
        if name in given or name not in together:
            _put_back(node, {**of.parts.get(name, {}), name: nothing}, of.unset[name], name)


def _put_back(node: DictConfig, values: Mapping[str, object], nothing: object, name: str) -> None:
    """Unset a setting and what is about its value, where it says something."""
    from omegaconf import OmegaConf

    if OmegaConf.is_missing(node, name) or node[name] == nothing:
        return
    for key, value in values.items():
        node[key] = value


def _says_nothing(override: Override, nothing: object) -> bool:
    value: object = override.value
    return bool(value == nothing) and type(value) is type(nothing)

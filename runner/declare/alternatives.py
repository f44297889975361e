"""Settings that depend on others: of which one is meant, and those that act only with some value of another.

What is typed for one alternative takes the place of what a preset says of the others; what is typed and cannot act is
refused, while presets and defaults may say what does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from runner.declare.overrides import Override, Overrides
from runner.declare.plain import Schema
from runner.errors import ConfigError

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


@dataclass(frozen=True)
class OtherThan:
    """Every value but one."""

    value: object


Conditions = Mapping[str, "tuple[object, ...] | OtherThan"]
"""Setting → values of it; one of several settings is enough."""

_known: dict[Schema, Alternatives] = {}
_acting: dict[Schema, Mapping[str, Conditions]] = {}
_named: dict[Schema, frozenset[str]] = {}


def stands_for(*settings: str) -> Callable[[Declared], Declared]:
    """Declare the settings of a dataclass that the name of a choice stands for: `session=premium` is its plan."""

    def declared(cls: Declared) -> Declared:
        _named[cls] = frozenset(settings)
        return cls

    return declared


def beaten_by(cls: object, said: Mapping[str, object], below: Collection[str]) -> set[str]:
    """The settings of an experiment's file that exclude what the file of a choice typed beside it says.

    Args:
        cls: dataclass of the choice.
        said: what the choice's own file sets.
        below: the settings of the choice's group that the experiment's file sets.
    """
    beaten: set[str] = set()
    for base in cls.__mro__ if isinstance(cls, type) else ():
        if base in _known and _known[base].selector not in below:
            beaten |= _others(_known[base], said)
    return beaten.intersection(below)


def stood_for(cls: object, said: Mapping[str, object], below: Collection[str]) -> set[str]:
    """The settings of an experiment's file that are what a choice typed beside it is; arguments as `beaten_by`."""
    bases = cls.__mro__ if isinstance(cls, type) else ()
    stands = frozenset().union(*(_named.get(base, frozenset()) for base in bases))
    return {
        name for name in stands.intersection(said, below) if said[name] != "???" and name != said.get("name")
    }


def _others(of: Alternatives, said: Mapping[str, object]) -> set[str]:
    """The alternatives that are excluded by what is said, and what is about them."""
    given = [name for name in of.unset if name in said and said[name] != of.unset[name]]
    words = {of.named[name] for name in given if name in of.named}
    if of.selector is not None and of.selector in said:
        words = {str(said[of.selector])}
    elif not given:
        return set()
    others = {name for name in of.unset if name not in given and of.named.get(name) not in words}
    return others.union(*(of.parts.get(name, {}) for name in others))


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


def acts_with(**settings: Conditions) -> Callable[[Declared], Declared]:
    """Declare of settings of a dataclass with which values of others in it they act; with all others they do not."""

    def declared(cls: Declared) -> Declared:
        _acting[cls] = settings
        return cls

    return declared


def check_acting(parts: Mapping[str, object], typed: Overrides) -> None:
    """Refuse what is typed and cannot act; null and what is empty say nothing and may stand.

    Args:
        parts: name of a part of the configuration → its live object.
        typed: what is typed.

    Raises:
        ConfigError: naming the setting and what it acts with.
    """
    for item in typed:
        if item.sign == "~" or item.part not in parts:
            continue
        for key in _keys(item.key, item.value):
            _check_acting(parts, key)


def _keys(key: str, value: object) -> Iterator[str]:
    """The settings that an override says something about."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _keys(f"{key}.{name}", inner)
    elif value is not None and value not in ([], ""):
        yield key


def _check_acting(parts: Mapping[str, object], key: str) -> None:
    first, *path = key.split(".")
    owner = parts[first]
    for name in path[:-1]:
        if not is_dataclass(owner):
            return
        owner = vars(owner).get(name)
    for cls in type(owner).__mro__ if path else ():
        conditions = _acting.get(cls, {}).get(path[-1])
        if conditions is not None and not any(map(partial(_holds, owner), conditions.items())):
            raise _cannot_act(key, owner, conditions)


def _holds(owner: object, condition: tuple[str, tuple[object, ...] | OtherThan]) -> bool:
    name, values = condition
    value = vars(owner)[name]
    return value != values.value if isinstance(values, OtherThan) else value in values


def _cannot_act(key: str, owner: object, conditions: Conditions) -> ConfigError:
    where = key.rpartition(".")[0]
    wanted = " or ".join(
        f"{name} other than {values.value}"
        if isinstance(values, OtherThan)
        else f"{where}.{name}={' or '.join(map(str, values))}"
        for name, values in conditions.items()
    )
    found = " and ".join(str(vars(owner)[name]) for name in conditions)
    return ConfigError(f"acts only with {wanted}, got {found}; add that, or leave it out", key=key)


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

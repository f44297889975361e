"""What a choice is called: its `name`, which is recorded and printed everywhere and makes no choice by itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runner.declare.aliases import choice_meant
from runner.declare.backend import BackendConfig
from runner.declare.checks import nearest, shorten
from runner.declare.preset import Preset
from runner.errors import ConfigError


def is_setting(cls: object) -> bool:
    """Whether the name of a choice of this dataclass says something: which machine of an account it is."""
    return isinstance(cls, type) and issubclass(cls, BackendConfig) and cls.names_a_machine


def labels(choice: str, preset: Preset | None, known: Collection[str]) -> frozenset[str]:
    """What a choice may be called: as it is typed, as a file that it includes, or as its own file says.

    Args:
        choice: as it is typed.
        preset: its file; None where a plug-in adds it.
        known: the choices of its group, as none of which a file may call another one.
    """
    found = {choice}
    if preset is not None:
        found.update(*(labels(part.name, part, known) for part in preset.included))
        key = f"{preset.group}.name"
        own = str(preset.value(key)) if key in preset.keys else choice
        if own not in known:
            found.add(own)
    return frozenset(found)


def refused(
    group: str, name: object, choice: str, known: Sequence[str], place: str | None = None
) -> ConfigError:
    """The line for a name that is not that of the choice.

    Args:
        group: config group.
        name: what its name is set to.
        choice: what is chosen.
        known: the choices of the group.
        place: the file that sets it; None where it is typed.
    """
    shown = repr(shorten(name, 40))
    told = f"{shown} is what a choice is called and chooses nothing, {group}={choice} stays"
    meant = f"{group}={name}" if name in known else choice_meant(group, str(name), {group: known})
    if place is not None:
        remedy = f"take it out of {place}" + (f", and choose {meant}" if meant else "")
    else:
        remedy = f"write {meant}" if meant else "leave it out, or choose one"
    more = "" if meant else nearest(str(name), known).removeprefix(";")
    return ConfigError(f"{told}; {remedy}{more}", key=f"{group}.name")

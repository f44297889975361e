"""From the words typed at a shell to a `CommandLine`; what a verb does not have is refused with what does."""

from __future__ import annotations

import importlib
import itertools
import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Protocol, cast

from runner.cli import VERBS
from runner.cli.verb import CONFIG_DIR, HELP, CommandLine, Flag, Verb
from runner.declare.aliases import flag_meant, word_meant
from runner.declare.checks import nearest, shorten
from runner.declare.hydra_support import refuse_flag
from runner.errors import ConfigError

SETTING = re.compile(r"[+~]*[\w./@]*=|[+~]")
"""How `key=value`, `+key=value` and `~key` begin; the name of a folder may hold `=` too, but behind other signs."""

OF_NO_VERB = ("--shell-completion", "--hydra-help", "--version")
"""Flags beside which a word is no verb that is misspelt."""

Typed = tuple[str, str, str]
"""A flag: as it was spelled, the name it is declared with, and its value."""


class Module(Protocol):
    """A module of runner/cli that is a verb."""

    VERB: Verb

    def main(self, line: CommandLine) -> int:
        """Carry it out and return the exit code."""
        ...


def module(name: str) -> Module:
    """The module of a verb."""
    return cast(Module, importlib.import_module(f"runner.cli.{name}"))


@cache
def verbs() -> dict[str, Verb]:
    """Every verb by its name."""
    return {name: module(name).VERB for name in VERBS}


def read(arguments: Sequence[str]) -> CommandLine:
    """Sort flags, verb, paths and settings.

    Raises:
        ConfigError: an unknown verb or flag, with the nearest one; or what the verb does not take, with what does.
    """
    words, typed = _separated(arguments)
    line = CommandLine(arguments=words)
    if any(name == HELP.name for _, name, _ in typed):
        line.flags.add(HELP.key)
        line.config_dirs = [value for _, name, value in typed if name == CONFIG_DIR.name]
        return line
    of_none = any(name in OF_NO_VERB for _, name, _ in typed) and words and words[0].lower() not in VERBS
    if words and "=" not in words[0] and not words[0].startswith("~") and not of_none:
        line.verb = _verb_named(words.pop(0), *[word for word in words[:2] if word != "="][:1])
    verb = module(line.verb).VERB
    for spelling, name, value in typed:
        _take(line, verb, spelling, name, value)
    _check_together(line, verb)
    _sort_words(line, verb)
    return line


def _separated(arguments: Sequence[str]) -> tuple[list[str], list[Typed]]:
    """(words, flags); a flag that takes a value has taken it."""
    words: list[str] = []
    typed: list[Typed] = []
    likely = next((word.lower() for word in arguments if word.lower() in VERBS), "run")
    rest = iter(arguments)
    flags_over = False
    for word in rest:
        spelling, equal, value = word.partition("=")
        if not word:
            raise ConfigError("an argument is empty; leave it out, or say what it stands for")
        if flags_over or not word.startswith("-"):
            words.append(word)
        elif word == "--":  # what follows is no flag, whatever it begins with
            flags_over = True
        else:
            flag = _flag(spelling, likely)
            if flag.value and not equal:
                value = next(rest, "")
            taken = bool(value) if flag.value else bool(equal)
            if bool(flag.value) != taken or (value.startswith("-") and not equal):
                told = f"needs a value: {spelling} {flag.value}" if flag.value else "takes no value"
                raise ConfigError(told, key=spelling)
            typed.append((spelling, flag.name, value))
    return words, typed


def _flag(spelling: str, likely: str) -> Flag:
    """The flag that is spelled so; the same word takes a value with all verbs that have it, or with none.

    Args:
        spelling: the word up to an equals sign.
        likely: the verb that is looked at first, for it takes a while to load them all.

    Raises:
        ConfigError: no verb has it.
    """
    for name in (likely, *VERBS):
        for flag in (HELP, *module(name).VERB.flags):
            if spelling in (flag.name, flag.short):
                return flag
    refuse_flag(spelling)
    known = dict.fromkeys(flag.name for verb in verbs().values() for flag in (HELP, *verb.flags))
    typed = flag_meant(spelling, {name for verb in verbs().values() for name in verb.settings or ()})
    raise ConfigError(f"unknown flag{f'; type {typed}' if typed else nearest(spelling, known)}", key=spelling)


def _verb_named(word: str, *following: str) -> str:
    """The verb that is meant, in whatever letters.

    Args:
        word: what is typed for it.
        following: the word after it.

    Raises:
        ConfigError: there is none.
    """
    if word.lower() not in VERBS:
        typed = word_meant(word, *following)
        told = f"; type python -m runner {typed}" if typed else nearest(word.lower(), VERBS)
        raise ConfigError(f"unknown verb{told}", key=shorten(word, 60))
    return word.lower()


def _take(line: CommandLine, verb: Verb, spelling: str, name: str, value: str) -> None:
    """Enter one flag.

    Raises:
        ConfigError: the verb does not have it, or not with this value, or it was given before.
    """
    flag = next((flag for flag in verb.flags if flag.name == name), None)
    if flag is None:
        owners = [other.name for other in verbs().values() if any(one.name == name for one in other.flags)]
        raise ConfigError(f"`{verb.name}` has no such flag; {_have(owners)}", key=spelling)
    if flag.choices and value not in flag.choices:
        raise ConfigError(f"unknown choice {value!r}{nearest(value, flag.choices)}", key=spelling)
    if flag.value and not flag.repeats and line.values.get(flag.key, value) != value:
        raise ConfigError(f"is given twice, {line.values[flag.key]!r} and {value!r}; keep one", key=spelling)
    line.flags.add(flag.key)
    if name == CONFIG_DIR.name:
        line.config_dirs.append(value)
    elif flag.value:
        line.values[flag.key] = value


def _torn(words: Sequence[str], word: str) -> str:
    """The setting that a word without a key belongs to, as it was before a shell cut it at its blanks; else nothing."""
    place = words.index(word)
    if "=" in word or word.startswith("~") or not place or "=" not in words[place - 1]:
        return ""
    rest = [*itertools.takewhile(lambda one: "=" not in one, words[place:])]
    return shorten(" ".join([words[place - 1], *rest]), 80)


def _refuse_repeated(settings: Sequence[str]) -> None:
    """Refuse a key with two values, of which Hydra takes the last in silence; `a=1 ++a=2` says that it is meant.

    Raises:
        ConfigError: naming both.
    """
    values: dict[str, str] = {}
    for word in settings:
        key, equal, value = word.partition("=")
        before = values.setdefault(key, value)
        if equal and before != value and not key.startswith("~"):
            both = f"{shorten(repr(before), 60)} and {shorten(repr(value), 60)}"
            raise ConfigError(f"is given twice, {both}; keep one", key=shorten(key.lstrip("+"), 60))


def _have(owners: Sequence[str]) -> str:
    named = ", ".join(f"`{name}`" for name in owners)
    return f"{named} {'has' if len(owners) == 1 else 'have'} it"


def _check_together(line: CommandLine, verb: Verb) -> None:
    """Refuse flags that mean nothing without another, or beside it."""
    given = [flag for flag in verb.flags if flag.key in line.flags]
    names = [flag.name for flag in given]
    for flag in given:
        if flag.needs and flag.needs not in names:
            raise ConfigError(f"means nothing without {flag.needs}; add it, or leave this out", key=flag.name)
        against = next((name for name in flag.excludes if name in names), None)
        if against:
            raise ConfigError(f"contradicts {against}; keep one of the two", key=flag.name)
    alone = next((flag for flag in given if flag.alone), None)
    others = [*(name for name in names if alone and name != alone.name), *line.arguments]
    if alone and others:
        raise ConfigError(f"stands alone; leave {shorten(others[0], 60)!r} out", key=alone.name)
    printing = [flag.name for flag in given if flag.prints]
    if len(printing) > 1:
        raise ConfigError(f"prints something else than {printing[0]}; keep one of the two", key=printing[1])


def _sort_words(line: CommandLine, verb: Verb) -> None:
    """Tell paths from settings.

    Raises:
        ConfigError: too few or too many of the one, or one of the other that the verb does not have, or twice.
    """
    for word in line.arguments:
        if not verb.path and word.lower() in VERBS:
            raise ConfigError(f"a verb comes first: python -m runner {word.lower()} …", key=word)
        is_path = verb.path and (not SETTING.match(word) or os.path.lexists(word))
        if is_path and word in (verb.settings or ()) and not os.path.lexists(word):
            raise ConfigError(f"has no value; type {word}=…", key=word)
        (line.paths if is_path else line.settings).append(word)
    for word in line.settings:
        if (
            verb.settings is None
            and "=" not in word
            and not word.startswith("~")
            and (typed := word_meant(word))
        ):
            raise ConfigError(f"has no value; type {typed}", key=shorten(word, 60))
        if verb.settings is None and (whole := _torn(line.settings, word)):
            raise ConfigError(f"has no key; a value with blanks is quoted: '{whole}'", key=shorten(word, 60))
        key = word.lstrip("+~").partition("=")[0]
        if verb.settings is not None and not {key, key.partition(".")[0]} & {*verb.settings}:
            known = f"it has {', '.join(verb.settings)}" if verb.settings else "leave it out"
            raise ConfigError(f"`{verb.name}` has no such setting; {known}", key=shorten(key, 60))
    _refuse_repeated(line.settings)
    least, most = verb.paths
    if len(line.paths) < least:
        raise ConfigError(f"needs a {verb.path}: python -m runner {verb.examples[0]}", key=verb.name)
    if most is not None and len(line.paths) > most:
        extra = shorten(line.paths[most], 60)
        raise ConfigError(f"takes one {verb.path}, got {len(line.paths)}; leave {extra!r} out", key=verb.name)

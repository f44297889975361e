"""`--help`: what can be declared, read off the schemas and the first comment of every choice."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from runner.cli import VERBS
from runner.cli.line import verbs
from runner.cli.verb import HELP, Verb
from runner.declare.checks import require_choice
from runner.declare.composer import Composer
from runner.declare.config import CONF, GROUPS, RunConfig
from runner.declare.registry import added, load, registered

ENGINES = ("hydra/launcher", "hydra/sweeper")
"""Groups of Hydra's whose choices are ours."""

USAGE = """\
Run a quantum experiment in a Runtime session, on Aer, exactly as declared.

usage:
  python -m runner [group=choice] [key=value] …     run one experiment (default: experiment=vqe)
  python -m runner -m key=a,b …                     sweep: one run per combination
  python -m runner VERB …                           see below
"""


def help_on(words: Sequence[str]) -> str:
    """What `--help` says: the manual, or a page on the verb or config group that is named.

    Raises:
        ConfigError: there is no such verb or group.
    """
    name = words[0].partition("=")[0] if words else None
    if name is None:
        return manual()
    if name.lower() in VERBS and "=" not in words[0]:
        return "\n".join(verb_page(verbs()[name.lower()]))
    require_choice("--help", name, (*GROUPS, *ENGINES, *VERBS))
    load()
    if name in ENGINES:
        return "\n".join(engines(name))
    return "\n".join(_group(name, in_full=True))


def manual() -> str:
    """All verbs, the flags of a run, and all groups with the fields of their default choice."""
    load()
    known = verbs()
    lines = [USAGE, "verbs (`VERB --help` has their arguments, flags and an example):"]
    lines += [line for verb in known.values() for line in _wrapped(f"  {verb.name:<10} ", verb.does)]
    lines += ["", "flags of a run:", *flags(known["run"])]
    lines += ["", "keys of every run:"]
    lines += _fields(RunConfig, prefix="", skip=GROUPS)
    for name in GROUPS:
        lines += ["", *_group(name)]
    lines += [
        "",
        "More: `--help GROUP` for every choice of a group in full, e.g. `python -m runner --help optimizer`;",
        "      `--help hydra/launcher` and `--help hydra/sweeper` for where a sweep runs and how it chooses.",
        "Exit codes: 0 finished, 1 failed, 2 bad input, 3 stopped and resumable, 4 not tracked though required,",
        "            5 storage, 130/143 interrupted and resumable.",
    ]
    return "\n".join(lines)


def verb_page(verb: Verb) -> Iterator[str]:
    """What a verb does, its arguments, each flag, and examples."""
    yield from textwrap.wrap(verb.usage, 118, subsequent_indent=" " * 8, break_on_hyphens=False)
    yield f"  {verb.does}"
    if verb.arguments:
        yield "\narguments:"
        for argument in verb.arguments:
            yield from _described(argument.name, argument.does)
    yield "\nflags:"
    yield from flags(verb)
    yield "\nexamples:"
    yield from (f"  python -m runner {example}" for example in verb.examples)


def flags(verb: Verb) -> Iterator[str]:
    """The flags of a verb, one or more lines each."""
    for flag in (HELP, *verb.flags):
        value = "|".join(flag.choices) or flag.value
        names = f"{flag.short}, {flag.name}" if flag.short else flag.name
        yield from _described(f"{names} {value}".rstrip(), flag.does)


def engines(group: str) -> Iterator[str]:
    """Every launcher, or every sweeper, with its settings."""
    from runner.sweep.launcher import LAUNCHERS
    from runner.sweep.optuna import SWEEPERS

    yield f"{group}=… with -m (default: basic)"
    for name, cls in (LAUNCHERS if group == "hydra/launcher" else SWEEPERS).items():
        yield ""
        yield from _wrapped(f"  {name:<18} ", (inspect.getdoc(cls) or "").partition("\n")[0])
        yield from _fields(cls, prefix=f"{group.replace('/', '.')}.", named=False)


def _described(name: str, text: str) -> list[str]:
    head = f"  {name:<28} "
    if len(head) > 34:
        return [head.rstrip(), *_wrapped(" " * 31, text)]
    return _wrapped(head, text)


def choices(group: str) -> dict[str, str]:
    """Choice → the sentence its YAML file begins with, or the dataclass of a plug-in."""
    composer = Composer()
    return {
        name: _sentence(composer.file(group, name), added(group).get(name))
        for name in composer.options(group)
    }


def _sentence(file: Path | None, cls: type[Any] | None) -> str:
    if file is None:
        return (inspect.getdoc(cls) or "").partition("\n")[0]
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = (line[1:].strip() for line in lines if line.startswith("#"))
    return next((text for text in comments if not text.startswith("@package")), "")


def _group(group: str, *, in_full: bool = False) -> Iterator[str]:
    default, known = _default(group), choices(group)
    schemas = registered()[group]
    yield f"{group}=… (default: {default})"
    for name, text in known.items():
        yield from _wrapped(f"  {name:<18} ", text)
    if in_full:
        for name, cls in schemas.items():
            used = [choice for choice in known if _schema(group, choice) == name]
            yield f"\nfields of {', '.join(used) or name}:"
            yield from _fields(cls, prefix=f"{group}.")
    else:
        yield f"  fields of {default}:"
        yield from _fields(schemas[_schema(group, default)], prefix=f"{group}.")


def _default(group: str) -> str:
    return next(
        str(entry[group])
        for entry in _defaults_list(CONF / "config.yaml")
        if isinstance(entry, dict) and group in entry
    )


def _schema(group: str, choice: str) -> str:
    """The schema a choice's YAML names in its defaults list."""
    path = CONF / group / f"{choice}.yaml"
    for entry in _defaults_list(path) if path.is_file() else []:
        if isinstance(entry, str) and entry.startswith(f"/schema/{group}/"):
            return entry.removeprefix(f"/schema/{group}/").partition("@")[0]
    return choice


def _defaults_list(path: Path) -> list[Any]:
    import yaml

    return list((yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults", []))


def _fields(cls: type[Any], prefix: str, skip: tuple[str, ...] = (), *, named: bool = True) -> Iterator[str]:
    """One or more lines per field; `named`: what the choice is called is a field of it, and no setting."""
    documentation = field_docs(cls)
    for item in fields(cls):
        if item.name in skip or (item.name == "name" and named and prefix):
            continue
        nested = _nested(item)
        if nested is not None:
            yield from _fields(nested, prefix=f"{prefix}{item.name}.")
            continue
        key = f"{prefix}{item.name}={_shown(item)}"
        yield from _wrapped(f"    {key:<38} ", documentation.get(item.name, ""))


def _nested(item: Field[Any]) -> type[Any] | None:
    factory = item.default_factory
    return factory if isinstance(factory, type) and hasattr(factory, "__dataclass_fields__") else None


def _shown(item: Field[Any]) -> str:
    value = item.default
    if value is MISSING:
        value = item.default_factory() if item.default_factory is not MISSING else "…"
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")
    return text if len(text) <= 24 else "…"


def _wrapped(head: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, 118 - len(head)) or [""]
    return [head + lines[0], *(" " * len(head) + line for line in lines[1:])]


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Field → the docstring under it, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not hasattr(base, "__dataclass_fields__"):
            continue
        module = importlib.import_module(base.__module__)
        tree = ast.parse(inspect.getsource(module))
        body = next(
            node.body
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name == base.__name__
        )
        for statement, following in itertools.pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                found[statement.target.id] = " ".join(str(following.value.value).split())
    return found

"""The pages of `--help`: what can be declared, read off the schemas and the first comment of every choice."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from pathlib import Path
from typing import Any

from runner.cli.line import verbs
from runner.cli.verb import HELP, Verb
from runner.declare.composer import Composer
from runner.declare.config import CONF, GROUPS, RunConfig, flatten
from runner.declare.registry import added, registered

ENGINES = ("hydra/launcher", "hydra/sweeper")
"""Groups of Hydra's whose choices are ours."""

USAGE = """\
Run a quantum experiment in a Runtime session, on Aer, exactly as declared.

usage:
  python -m runner [group=choice] [key=value] …     run one experiment (default: experiment=vqe)
  python -m runner -m key=a,b …                     sweep: one run per combination
  python -m runner VERB …                           see below
"""


def manual(composer: Composer | None = None) -> str:
    """All verbs, the flags of a run, and all groups with the fields of their default choice."""
    known = verbs()
    composer = composer or Composer()
    lines = [USAGE, "verbs (`VERB --help` has their arguments, flags and an example):"]
    lines += [line for verb in known.values() for line in wrapped(f"  {verb.name:<10} ", verb.does)]
    lines += ["", "flags of a run:", *flags(known["run"])]
    lines += ["", "keys of every run:"]
    lines += _fields(RunConfig, prefix="", skip=GROUPS)
    for name in GROUPS:
        lines += ["", *group_page(name, composer, in_full=False)]
    lines += [
        "",
        "More: `--help GROUP` for every choice of a group in full, e.g. `python -m runner --help optimizer`;",
        "      `--help WORD` for what has to do with it: choices, keys, verbs, flags, pages of docs; `--help shots`;",
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
            yield from _entry(argument.name, argument.does)
    yield "\nflags:"
    yield from flags(verb)
    yield "\nexamples:"
    yield from (f"  python -m runner {example}" for example in verb.examples)


def flags(verb: Verb) -> Iterator[str]:
    """The flags of a verb, one or more lines each."""
    for flag in (HELP, *verb.flags):
        value = "|".join(flag.choices) or flag.value
        names = f"{flag.short}, {flag.name}" if flag.short else flag.name
        yield from _entry(f"{names} {value}".rstrip(), flag.does)


def engines(group: str) -> Iterator[str]:
    """Every launcher, or every sweeper, with its settings."""
    yield f"{group}=… with -m (default: basic)"
    for name, cls in of_engine(group).items():
        yield ""
        yield from wrapped(f"  {name:<18} ", _sentence(None, cls))
        yield from _fields(cls, prefix=f"{group.replace('/', '.')}.", named=False)


def engine_page(group: str, choice: str) -> Iterator[str]:
    """What one launcher or sweeper is, and its settings."""
    cls = of_engine(group)[choice]
    yield f"-m {group}={choice}"
    yield from wrapped("  ", _sentence(None, cls))
    yield from _headed("\nkeys:", _fields(cls, prefix=f"{group.replace('/', '.')}.", named=False))


def of_engine(group: str) -> dict[str, type[Any]]:
    """Launchers or sweepers by name, those of plug-ins too."""
    from runner.sweep.launcher import LAUNCHERS
    from runner.sweep.optuna import SWEEPERS

    return {**(LAUNCHERS if group == "hydra/launcher" else SWEEPERS)}


def _entry(name: str, text: str) -> list[str]:
    return beside(f"  {name:<28} ", text, 31)


def choices(group: str, composer: Composer | None = None) -> dict[str, str]:
    """Choice → the sentence its YAML file begins with, or the dataclass of a plug-in."""
    composer = composer or Composer()
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


def group_page(group: str, composer: Composer | None = None, *, in_full: bool = True) -> Iterator[str]:
    """Every choice of a group, and the keys of all of its schemas, or of the usual choice alone."""
    composer = composer or Composer()
    default, known = _default(group), choices(group, composer)
    schemas = registered()[group]
    yield f"{group}=… (default: {default})"
    for name, text in known.items():
        yield from wrapped(f"  {name:<18} ", text)
    if not in_full:
        yield from _headed(f"  fields of {default}:", keys_of(group, default, composer))
        return
    for name, cls in schemas.items():
        used = [choice for choice in known if schema_of(group, choice, composer) == name]
        title = f"\nfields of {', '.join(used) or name}:"
        if len(used) == 1:
            yield from _headed(title, keys_of(group, used[0], composer))
            continue
        yield from _headed(title, _fields(cls, prefix=f"{group}."))
        for choice in used:
            yield from _headed(f"    {choice} begins with", _set_by(group, choice, composer))


def choice_page(group: str, choice: str, composer: Composer) -> Iterator[str]:
    """What one choice is, what its file sets elsewhere, and its keys with the values that it gives them."""
    file = composer.file(group, choice)
    yield f"{group}={choice}"
    yield from wrapped("  ", _sentence(file, added(group).get(choice)))
    others = [
        word
        for word in _set_by(group, choice, composer, everywhere=True)
        if not word.strip().startswith(f"{group}.")
    ]
    yield from _headed("\nsets:", others)
    yield from _headed("\nkeys:", keys_of(group, choice, composer))


def keys_of(group: str, choice: str, composer: Composer) -> Iterator[str]:
    """The keys of a choice, each with the value that it has there and its meaning."""
    cls = registered()[group].get(schema_of(group, choice, composer))
    if cls is not None:
        yield from _fields(cls, prefix=f"{group}.", values=_values(composer.file(group, choice), group))


def _headed(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines under a title; nothing where there are none."""
    found = list(lines)
    if found:
        yield title
        yield from found


def _set_by(group: str, choice: str, composer: Composer, *, everywhere: bool = False) -> Iterator[str]:
    """What the file of a choice sets, as it would be typed: of its own group, or all of it."""
    for key, value in _values(composer.file(group, choice), group).items():
        if everywhere or key.startswith(f"{group}."):
            yield f"      {key}={_short(value)}"


def _values(file: Path | None, group: str) -> dict[str, Any]:
    """Full key → value of what a choice's file sets, names and Hydra's own part left out."""
    if file is None:
        return {}
    text = file.read_text(encoding="utf-8")
    content = {
        key: value for key, value in _content(file).items() if key not in ("defaults", "name", "hydra")
    }
    is_global = re.search(r"^#\s*@package\s*:?\s*_global_", text, flags=re.MULTILINE)
    chosen = {}
    if is_global:
        for entry in _content(file).get("defaults", []):
            for key, value in entry.items() if isinstance(entry, dict) else ():
                chosen[key.removeprefix("override ").lstrip("/")] = value
    return {
        **chosen,
        **{
            key: value
            for key, value in flatten(content, "" if is_global else group).items()
            if not key.endswith(".name")
        },
    }


def _default(group: str) -> str:
    return next(
        str(entry[group])
        for entry in _defaults_list(CONF / "config.yaml")
        if isinstance(entry, dict) and group in entry
    )


def schema_of(group: str, choice: str, composer: Composer) -> str:
    """The schema a choice's YAML names in its defaults list, itself or through another choice."""
    path = composer.file(group, choice)
    for entry in _defaults_list(path) if path is not None else []:
        name = entry.partition("@")[0] if isinstance(entry, str) else ""
        if name.startswith(f"/schema/{group}/"):
            return name.removeprefix(f"/schema/{group}/")
        if name.startswith(f"/{group}/"):
            return schema_of(group, name.removeprefix(f"/{group}/"), composer)
    return choice


def _defaults_list(path: Path) -> list[Any]:
    return list(_content(path).get("defaults", []))


@cache
def _content(path: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}


def _fields(
    cls: type[Any],
    prefix: str,
    skip: tuple[str, ...] = (),
    *,
    named: bool = True,
    values: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """One or more lines per field.

    Args:
        cls: the schema.
        prefix: what stands before the field's name in a key.
        skip: fields that are left out.
        named: what the choice is called is a field of it, and no setting.
        values: full key → what it is where it differs from the schema's value.
    """
    values = values or {}
    for key, item, text in described(cls, prefix, skip, named=named):
        shown = f"{key}={_short(values[key]) if key in values else _shown(item)}"
        yield from beside(f"    {shown:<38} ", text, 43)


def described(
    cls: type[Any], prefix: str, skip: tuple[str, ...] = (), *, named: bool = True
) -> Iterator[tuple[str, Field[Any], str]]:
    """Full key, field and docstring of every setting of a schema, nested ones included."""
    documentation = field_docs(cls)
    for item in fields(cls):
        if item.name in skip or (item.name == "name" and named and prefix):
            continue
        nested = _nested(item)
        if nested is not None:
            yield from described(nested, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", item, documentation.get(item.name, "")


def _nested(item: Field[Any]) -> type[Any] | None:
    factory = item.default_factory
    return factory if isinstance(factory, type) and hasattr(factory, "__dataclass_fields__") else None


def _shown(item: Field[Any]) -> str:
    value = item.default
    if value is MISSING:
        value = item.default_factory() if item.default_factory is not MISSING else "…"
    return _short(value)


def _short(value: Any) -> str:
    """A value as it is typed; a long one is left out."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = text if isinstance(value, str) else text.replace(" ", "")
    return text if len(text) <= 24 else "…"


def beside(head: str, text: str, width: int) -> list[str]:
    """A text beside a head of at most `width` characters, below a longer one."""
    if len(head) > width:
        return [head.rstrip(), *wrapped(" " * width, text)] if text else [head.rstrip()]
    return [line.rstrip() for line in wrapped(head, text)]


def wrapped(head: str, text: str) -> list[str]:
    """A text behind a head, its further lines indented as far."""
    lines = textwrap.wrap(text, 118 - len(head)) or [""]
    return [head + lines[0], *(" " * len(head) + line for line in lines[1:])]


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Field → the docstring under it, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if hasattr(base, "__dataclass_fields__"):
            found.update(_docs_in(base.__module__).get(base.__name__, {}))
    return found


@cache
def _docs_in(module: str) -> dict[str, dict[str, str]]:
    """Class → field → the docstring under it, of a module; parsing takes a while."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {node.name: dict(_field_texts(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _field_texts(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in itertools.pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            yield statement.target.id, " ".join(str(following.value.value).split())

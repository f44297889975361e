"""`--help WORD`: the page of what is named, or everything that has to do with the word, each with what to type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from runner.cli import VERBS
from runner.cli.line import verbs
from runner.cli.manual import (
    ENGINES,
    beside,
    choice_page,
    choices,
    described,
    engine_page,
    engines,
    group_page,
    manual,
    of_engine,
    verb_page,
)
from runner.declare.aliases import meant, named
from runner.declare.checks import nearest, plain, shorten
from runner.declare.composer import Composer
from runner.declare.config import CONF, GROUPS, RunConfig
from runner.declare.hydra_support import KEYS
from runner.declare.overrides import split_plugins
from runner.declare.registry import registered
from runner.errors import ConfigError
from runner.record.files import read_text
from runner.sweep.launcher import LAUNCHERS
from runner.sweep.optuna import SWEEPERS

DOCS = CONF.parent / "docs"
MOST = 12
"""Entries that are listed for a word."""


@dataclass(frozen=True, kw_only=True)
class HelpEntry:
    """One thing that can be found."""

    typed: str
    """What to type, or the page to read."""
    name: str
    """What it is called; the other words of `typed` are not searched."""
    does: str
    """What it is or does."""
    of: str = ""
    """The schemas that have it, where not all have."""

    def score(self, word: str, alone: bool) -> int:
        """How well it answers one word, the only one or not; 0: not at all."""
        parts = re.split(r"[\W_]+", self.name.lower())
        if plain(word) == plain(self.name) or plain(word) == plain(self.name.rpartition(".")[2]):
            return 8
        if word in parts:
            return 5
        if len(word) > 2 and any(part.startswith(_stem(word)) for part in parts):
            return 4
        if len(word) > 3 and plain(word) in plain(self.name):
            return 3
        texts = re.split(r"[\W_]+", self.does.lower())
        if word in texts or _stem(word) in texts:
            return 2
        more = [*texts, *(() if alone else re.split(r"[\W_]+", self.of))]
        return 1 if len(word) > 3 and any(text.startswith(_stem(word)) for text in more) else 0


def help_on(words: Sequence[str], config_dirs: Sequence[str] = ()) -> str:
    """What `--help` says: the manual, the page of what is named, or a list of what has to do with the words.

    Args:
        words: what was typed beside `--help`; `plugins=[…]` adds what these bring.
        config_dirs: folders with config groups.

    Raises:
        ConfigError: nothing has to do with them.
    """
    plugins, rest = split_plugins(words)
    composer = Composer(config_dirs, plugins)
    if not rest:
        return manual(composer)
    page = _page(rest, composer)
    if page is not None:
        return "\n".join(page)
    asked = [word.lower() for text in rest for word in re.split(r"[\s=.]+", text) if plain(word)]
    found = list(_ranked(rest, asked, composer))
    if not found:
        raise _nothing(" ".join(rest), composer)
    return "\n".join(_listed(found))


def _page(words: Sequence[str], composer: Composer) -> Iterator[str] | None:
    """The page of a verb, group or choice; None where none is called so."""
    first, second = [*words, ""][:2]
    name, _, value = first.partition("=")
    group = next((one for one in GROUPS if plain(one) == plain(name)), None)
    if first.lower() in VERBS:
        return verb_page(verbs()[first.lower()])
    engine = next((one for one in ENGINES if plain(name) in (plain(one), plain(one.partition("/")[2]))), None)
    if engine is not None:
        return _engine(engine, value or second)
    known = {one: composer.options(one) for one in GROUPS}
    if group is not None:
        wanted = value or second
        exact = [one for one in known[group] if plain(one) == plain(wanted)]
        if exact:
            return choice_page(group, exact[0], composer)
        return None if wanted else group_page(group, composer)
    if len(words) > 1 or not plain(first):
        return None
    exact = named(first, known)
    engine = next((one for one in ENGINES for other in of_engine(one) if plain(other) == plain(first)), None)
    if engine is not None and not exact:
        return _engine(engine, first)
    if len(exact) != 1:
        return None
    return _with_others(exact[0], first, composer)


def _engine(group: str, word: str) -> Iterator[str] | None:
    """The page of a launcher or sweeper, or of all of them; None where none is called so."""
    name = next((one for one in of_engine(group) if plain(one) == plain(word)), None)
    if name is not None:
        return engine_page(group, name)
    return None if word and plain(word) != "basic" else engines(group)


def _with_others(choice: str, word: str, composer: Composer) -> Iterator[str]:
    """The page of a choice that was named alone, and what else has to do with the word."""
    group, _, name = choice.partition("=")
    yield from choice_page(group, name, composer)
    others = [entry for entry in _ranked([word], [word.lower()], composer) if entry.typed != choice]
    if others:
        yield "\nsee also:"
        yield from _listed(others, MOST // 2)


def _ranked(words: Sequence[str], asked: Sequence[str], composer: Composer) -> Iterator[HelpEntry]:
    """What answers all of the words, the best first; what a word is called here comes before all else."""
    entries = list(_entries(composer))
    first = [
        _called(text, entries)
        for word in words
        for texts in meant(word.rpartition(".")[2])
        for text in texts.split(" or ")
    ]
    alone = len(asked) == 1
    scores = [(min(entry.score(word, alone) for word in asked), entry) for entry in entries] if asked else []
    scores.sort(key=lambda pair: -pair[0])
    yield from first
    yield from (entry for score, entry in scores if score and entry not in first)


def _called(text: str, entries: Sequence[HelpEntry]) -> HelpEntry:
    """What is typed so; of several words the first says what it is."""
    names = (text, f"--help {text}", text.partition(" ")[0])
    found = [entry for name in names for entry in entries if _key(entry.typed) == name]
    return replace(found[0], typed=text) if found and " " in text else found[0]


def _key(typed: str) -> str:
    """A key without the value that it may have; a choice as it is."""
    return typed.removesuffix("=…")


def _entries(composer: Composer) -> Iterator[HelpEntry]:
    """Everything that can be found, the more likely kinds first."""
    for group in GROUPS:
        yield HelpEntry(typed=f"--help {group}", name=group, does=_group_text(group))
    for verb in verbs().values():
        yield HelpEntry(typed=verb.name, name=verb.name, does=verb.does)
    for group in GROUPS:
        for choice, text in choices(group, composer).items():
            yield HelpEntry(typed=f"{group}={choice}", name=choice, does=text)
    for group, engines_of in (("launcher", LAUNCHERS), ("sweeper", SWEEPERS)):
        yield HelpEntry(typed=f"--help hydra/{group}", name=group, does=f"every {group} with its settings")
        for name, cls in engines_of.items():
            does = (inspect.getdoc(cls) or "").partition("\n")[0]
            yield HelpEntry(typed=f"-m hydra/{group}={name}", name=name, does=does)
    yield from _keys()
    for feature in KEYS:
        if feature.works and feature.what.startswith("hydra.") and "*" not in feature.what:
            yield HelpEntry(typed=f"{feature.what}=…", name=feature.what, does=feature.why)
    for verb in verbs().values():
        for flag in verb.flags:
            head = "" if verb.name == "run" else f"{verb.name} "
            value = "|".join(flag.choices) or flag.value
            yield HelpEntry(typed=f"{head}{flag.name} {value}".rstrip(), name=flag.name, does=flag.does)
    yield from _headings()


def _group_text(group: str) -> str:
    return next((text for key, _, text in described(RunConfig, "") if key == group), "")


def _keys() -> Iterator[HelpEntry]:
    """Every key, once for each thing that it means, with the schemas that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for key, _, text in described(RunConfig, "", skip=GROUPS):
        found[key, text] = []
    groups = registered()
    for group, schemas in groups.items():
        for schema, cls in schemas.items():
            for key, _, text in described(cls, f"{group}."):
                found.setdefault((key, text), []).append(schema)
    for (key, text), owners in found.items():
        some = len(owners) < len(groups.get(key.partition(".")[0], owners))
        of = f" [{shorten(', '.join(owners), 60)}]" if some else ""
        yield HelpEntry(typed=f"{key}=…", name=key, does=text, of=of)


def _headings() -> Iterator[HelpEntry]:
    """The pages of docs/ and their headings, where the checkout has them."""
    for path in sorted(DOCS.glob("*.md")):
        fenced = False
        for line in read_text(path).splitlines():
            fenced ^= line.startswith("```")
            if not fenced and (heading := re.match(r"#+ +(.*)", line)):
                title = heading[1].replace("`", "")
                yield HelpEntry(typed=f"docs/{path.name}", name=title, does=title)


def _listed(found: Sequence[HelpEntry], most: int = MOST) -> Iterator[str]:
    for entry in found[:most]:
        yield from beside(f"  {entry.typed:<36} ", shorten(entry.does, 150) + entry.of, 39)
    if len(found) > most:
        yield f"  {len(found) - most} more; a second word narrows it down"


def _nothing(words: str, composer: Composer) -> ConfigError:
    names: Iterable[str] = [entry.name for entry in _entries(composer) if not entry.typed.startswith("docs/")]
    lasts = [name.rpartition(".")[2] for name in names]
    close = nearest(words, dict.fromkeys(lasts)).partition(" (available")[0]
    return ConfigError(
        f"nothing has to do with {shorten(words, 60)!r}{close or '; --help alone lists what there is'}",
        key="--help",
    )


def _stem(word: str) -> str:
    """A word without the ending of its plural."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word

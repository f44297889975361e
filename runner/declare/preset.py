"""An experiment's file as it is written, with those that it includes: what it sets, and the same without some of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.declare.config import flatten
from runner.record.files import read_text

MISSING = "???"
"""What stands in the place of a value that has to be given."""
PACKAGE = re.compile(r"^#\s*@package\s*:?\s*(\S+)", flags=re.MULTILINE)
ENTRY = re.compile(r"(?:(?:override|optional)\s+)*(?P<group>/?[\w/]*?)/?(?P<package>@.*)?")
"""What stands before the colon in an entry of a defaults list."""


@dataclass(frozen=True)
class Preset:
    """A file of a config group, and the files of its group that its defaults list names."""

    name: str
    group: str
    written: Mapping[str, Any]
    """The file's own content, its defaults list included."""
    package: str | None
    """Where the content goes, as a comment of the file says; None: below the group."""
    included: tuple[Preset, ...] = field(default=())

    @staticmethod
    def read(find: Callable[[str, str], Path | None], name: str, group: str = "experiment") -> Preset | None:
        """A file with what it includes; None where no file declares the choice, or it holds no mapping.

        Args:
            find: gives the file of a group's choice.
            name: the choice.
            group: config group.
        """
        from omegaconf import OmegaConf

        file = find(group, name)
        content = None if file is None else OmegaConf.to_container(OmegaConf.load(file))
        if file is None or not isinstance(content, dict):
            return None
        written = {str(key): value for key, value in content.items()}
        package = PACKAGE.search(read_text(file))
        names = [other for _, other in _own_entries(written, group) if other != name]
        found = (Preset.read(find, other, group) for other in names)
        return Preset(name, group, written, package and package[1], tuple(filter(None, found)))

    @property
    def _prefix(self) -> str:
        """Dotted path of what the content is put below, with a dot."""
        package = self.group if self.package is None else self.package
        return "" if package == "_global_" else f"{package}."

    @cached_property
    def content(self) -> dict[str, Any]:
        """What it and the files it includes set in the package of their group, the later ones last."""
        merged: dict[str, Any] = {}
        for part in (*self.included, self):
            merged.update(part.content if part is not self else part.written)
        return {key: value for key, value in merged.items() if key != "defaults"}

    @cached_property
    def keys(self) -> frozenset[str]:
        """Full dotted keys of the settings: `seed`, `optimizer.tolerance`, nothing below these."""
        keys = set().union(*(part.keys for part in self.included)) if self.included else set()
        return frozenset(keys.union(key for key, _ in self._settings()))

    @cached_property
    def missing(self) -> dict[str, bool]:
        """Full dotted key of every value → whether ??? stands in its place, so that it has to be typed."""
        found: dict[str, bool] = {}
        for part in self.included:
            found.update(part.missing)
        own = {key: value for key, value in self.written.items() if key != "defaults"}
        found.update((f"{self._prefix}{key}", value == MISSING) for key, value in flatten(own).items())
        return found

    def value(self, key: str) -> object:
        """What a key is set to in the end."""
        own = dict(self._settings())
        return (
            own[key]
            if key in own
            else next(part.value(key) for part in self.included[::-1] if key in part.keys)
        )

    @cached_property
    def choices(self) -> dict[str, str]:
        """Group → choice, as far as the defaults lists name it."""
        found: dict[str, str] = {}
        for part in self.included:
            found.update(part.choices)
        for entry in self.written.get("defaults") or []:
            for group, choice in entry.items() if isinstance(entry, dict) else ():
                match = ENTRY.fullmatch(str(group))
                if match:
                    found[match["group"].strip("/")] = str(choice)
        return found

    @cached_property
    def schema(self) -> str | None:
        """The schema that the file's defaults list names, or a file's that it includes; None where none does."""
        usual = re.compile(rf"/schema/{self.group}/(\w+)@(?:_here_|{self.group})")
        entries = [str(entry) for entry in self.written.get("defaults") or []]
        named = [match[1] for match in map(usual.fullmatch, entries) if match]
        return (named or [None, *filter(None, (part.schema for part in self.included))])[-1]

    def without(self, keys: frozenset[str]) -> tuple[Preset, ...]:
        """The same files without some settings, each under a name that no file has; this one is the last."""
        others = tuple(part for included in self.included for part in included.without(keys))
        content = copy.deepcopy(dict(self.written))
        for key in keys:
            _remove(content, key.removeprefix(self._prefix) if key.startswith(self._prefix) else "")
        own = {part.name: part.as_stored for part in self.included}
        content["defaults"] = [_renamed(entry, self.group, own) for entry in content.get("defaults") or []]
        return (*others, replace(self, written=content))

    @property
    def as_stored(self) -> str:
        """The name under which a file that lacks something is known to Hydra."""
        return f"{self.name}{LESS}"

    def _settings(self) -> Iterator[tuple[str, object]]:
        for key, value in self.written.items():
            if key == "defaults":
                continue
            if isinstance(value, dict) and not self._prefix:
                yield from ((f"{key}.{name}", item) for name, item in value.items())
            else:
                yield f"{self._prefix}{key}", value


LESS = "__as_typed"
"""What a name has behind it where the file lacks something that is typed otherwise."""


def _own_entries(content: Mapping[str, Any], group: str) -> Iterator[tuple[int, str]]:
    """(position, name) of the entries of a defaults list that are of the file's own group."""
    for position, entry in enumerate(content.get("defaults") or []):
        if isinstance(entry, str):
            path = re.sub(r"^(optional\s+)?", "", entry).partition("@")[0]
            folder, _, name = path.rpartition("/")
            if name != "_self_" and folder in ("", f"/{group}"):
                yield position, name
        elif isinstance(entry, dict) and len(entry) == 1:
            ((key, name),) = entry.items()
            match = ENTRY.fullmatch(str(key))
            if match and match["group"] == f"/{group}" and isinstance(name, str):
                yield position, name


def _renamed(entry: Any, group: str, names: Mapping[str, str]) -> Any:
    """An entry of a defaults list with a file's other name."""
    found = next((name for _, name in _own_entries({"defaults": [entry]}, group)), None)
    if found is None or found not in names:
        return entry
    if isinstance(entry, dict):
        return dict.fromkeys(entry, names[found])
    head, at, package = entry.partition("@")
    return f"{head.removesuffix(found)}{names[found]}{at}{package}"


def _remove(content: dict[str, Any], key: str) -> None:
    """Take a dotted key out of nested mappings, where it is."""
    *path, last = key.split(".")
    node: Any = content
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(last, None)

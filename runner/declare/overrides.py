"""What is typed, parsed once: `key=value` words by Hydra's grammar, as values that everything else reads."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

from runner.declare.checks import require_digits, require_text, shorten
from runner.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override as Parsed

PLAIN_TEXT = re.compile(r"[A-Za-z0-9_.]+=[^\s'\"\[\]{}$=,\\](?:[^'\"\[\]{}$=,\\\n]*[^\s'\"\[\]{}$=,\\])?")
"""A key and a text that can only be meant as one, though Hydra's grammar wants quotes around it."""
PLACE = re.compile(r"[A-Za-z0-9_.]+=(?:run|file):[^\s'\"\[\]{}$,\\]+")
"""A key and an earlier run or a file, whose names may hold equals signs."""
NAMES = re.compile(
    r"""(?P<lead>[{,]\s*)(?:(?P<quote>['"])(?P<quoted>[^'"]+)(?P=quote)|(?P<bare>[^\W\d][\w.]*(?:\\?\[\d+\\?\])*))(?=\s*:)"""
    r"""|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
)
"""A name before a colon in a mapping, quoted or with indices; or a quoted text, which is left as it is."""

TOKENS = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\{}\[\](),:]+|.""", re.DOTALL)
"""A quoted text, an escaped character, a run of others, or one that means something."""

PARAMS = "hydra.sweeper.params"
"""Swept values by key, beside those that are typed behind a key of their own."""


@dataclass(frozen=True)
class Choices:
    """`a,b,c` or `choice(…)`: the values of a sweep one by one, each as it would be typed."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Pattern:
    """`glob(…)`: the choices of a group whose names match; `Composer.listed` knows them."""

    matching: Callable[[list[str]], list[str]]
    """Those of some names that match."""


@dataclass(frozen=True)
class Steps:
    """`range(start, stop, step)`: numbers from `start`, without `stop`."""

    start: float
    stop: float
    step: float
    tags: frozenset[str]
    shuffled: bool
    """In an order that is drawn anew by every process."""

    def __len__(self) -> int:
        start, stop, step = (Decimal(str(number)) for number in (self.start, self.stop, self.step))
        return max(0, math.ceil((stop - start) / step)) if step else 0

    def texts(self) -> tuple[str, ...]:
        """The numbers as they would be typed; decimal steps add up without rounding."""
        kind = (
            float if any(isinstance(number, float) for number in (self.start, self.stop, self.step)) else int
        )
        start, step = Decimal(str(self.start)), Decimal(str(self.step))
        numbers = [kind(start + index * step) for index in range(len(self))]
        if self.shuffled:
            import random

            random.shuffle(numbers)
        return tuple(map(str, numbers))


@dataclass(frozen=True)
class Interval:
    """`interval(start, end)`: any number between the two; only a search can choose one."""

    start: float
    end: float
    tags: frozenset[str]

    @property
    def first(self) -> float:
        """Its lower end."""
        return int(self.start) if "int" in self.tags else self.start


Sweep = Choices | Pattern | Steps | Interval


@dataclass(frozen=True)
class Override:
    """One `key=value` word."""

    text: str
    """As typed."""
    key: str
    """Dotted key, or the name of a group."""
    sign: str
    """"" sets | + adds | ++ adds or sets | ~ removes."""
    package: str | None
    """What stands behind an @, where a choice would be put elsewhere."""
    value: Any
    """Plain Python, None for `~key`; with several values what they are (`Choices`, `Steps` …)."""
    assigned: str | None
    """The value as it would be typed; None for `~key`, and with several values."""

    @staticmethod
    def to(key: str, value: Any) -> Override:
        """The override that sets a key to a value from somewhere else than a command line."""
        return Override(
            text=f"{key}={value}", key=key, sign="", package=None, value=value, assigned=str(value)
        )

    @property
    def swept(self) -> bool:
        """Whether there are several values."""
        return isinstance(self.value, Choices | Pattern | Steps | Interval)

    @property
    def element(self) -> str:
        """What stands before the equals sign: `+key`, `group@package`."""
        return f"{self.sign}{self.key}" + ("" if self.package is None else f"@{self.package}")

    @property
    def part(self) -> str:
        """The part of the configuration that it is about: `optimizer` of `optimizer.max_evaluations`."""
        return re.split(r"[./]", self.key, maxsplit=1)[0]

    @property
    def hydras(self) -> bool:
        """Whether it is about Hydra's own configuration."""
        return self.part == "hydra"

    @property
    def params(self) -> bool:
        """Whether it gives swept values by key: `hydra.sweeper.params={…}`, or `hydra.sweeper.params.KEY=…`."""
        return self.key == PARAMS or self.key.startswith(f"{PARAMS}.")

    @property
    def values(self) -> Sequence[str | None]:
        """The values as they would be typed, one or several; None for `~key`.

        Raises:
            ConfigError: it is an interval.
        """
        match self.value:
            case Interval():
                raise ConfigError("an interval has no list of values; add hydra/sweeper=optuna", key=self.key)
            case Choices(texts):
                return texts
            case Steps() as steps:
                return steps.texts()
        return [self.assigned]

    @property
    def written(self) -> str:
        """The value as typed."""
        return self.text.partition("=")[2]

    def typed(self, text: str | None) -> str:
        """The word that sets one of several values."""
        return self.element if text is None else f"{self.element}={text}"


@dataclass(frozen=True)
class Overrides(Sequence[Override]):
    """A command line, in the order typed."""

    items: tuple[Override, ...] = ()

    @staticmethod
    def of(words: Iterable[str] | Overrides) -> Overrides:
        """The words parsed; what is parsed already is given back.

        Raises:
            ConfigError: the grammar does not take one of them.
        """
        if isinstance(words, Overrides):
            return words
        words = [words] if isinstance(words, str) else list(words)
        for word in words:
            if isinstance(word, str):
                require_text(word, word.partition("=")[0].lstrip("+~"))
            else:
                raise ConfigError(
                    f"{shorten(repr(word), 40)} is no key=value text; write each as one, e.g. 'seed=1'",
                    key="overrides",
                )
        items = tuple(item for word in words for item in _parse(word))
        for item in items:
            for text in _texts(item.value):
                require_digits(text, item.key)
        return Overrides(items)

    @overload
    def __getitem__(self, index: int) -> Override: ...
    @overload
    def __getitem__(self, index: slice) -> Overrides: ...
    def __getitem__(self, index: int | slice) -> Override | Overrides:
        return Overrides(self.items[index]) if isinstance(index, slice) else self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Override]:
        return iter(self.items)

    @property
    def texts(self) -> tuple[str, ...]:
        """The words as typed."""
        return tuple(item.text for item in self.items)

    @property
    def keys(self) -> frozenset[str]:
        """Every key that is set, added or removed."""
        return frozenset(item.key for item in self.items)

    @property
    def plugins(self) -> list[str]:
        """The modules a `plugins=[…]` names; they must be loaded before anything is composed."""
        value = next((item.value for item in reversed(self.items) if item.key == "plugins"), None)
        if isinstance(value, list):
            return [str(name) for name in value]
        return [str(value)] if value and not isinstance(value, Choices) else []

    def without_plugins(self) -> Overrides:
        """The rest of them."""
        return self.where(lambda item: item.key != "plugins")

    def last(self, key: str) -> Override | None:
        """What a key is set to in the end."""
        return next((item for item in reversed(self.items) if item.key == key), None)

    @property
    def params(self) -> Overrides:
        """What `hydra.sweeper.params` sweeps, as if each key were typed itself.

        Raises:
            ConfigError: it is no mapping, or removes something.
        """
        words: list[str] = []
        for item in self.items:
            if not item.params:
                continue
            if item.sign == "~" or (item.key == PARAMS and not isinstance(item.value, dict | None)):
                raise ConfigError("takes {key: values}, e.g. {seed: 'range(1,4)'}", key=item.key)
            if item.key == PARAMS:
                words += [f"{key}={text}" for key, text in (item.value or {}).items()]
            else:
                text = item.value if isinstance(item.value, str) else item.written
                words.append(f"{item.key.removeprefix(f'{PARAMS}.')}={text}")
        return Overrides.of(words)

    def where(self, wanted: Callable[[Override], bool]) -> Overrides:
        """Those of a kind."""
        return Overrides(tuple(filter(wanted, self.items)))


def split_plugins(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The plug-ins that some words name, and the rest of them, which need not be overrides."""
    typed = [word for word in words if word.startswith("plugins=")]
    return Overrides.of(typed).plugins, [word for word in words if word not in typed]


def _texts(value: object) -> Iterator[str]:
    """The texts in a value, in lists and mappings too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Choices):
        yield from value.texts
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


@lru_cache(maxsize=100_000)
def _parse(text: str) -> tuple[Override, ...]:
    found = _read(text)
    name = _standing_twice(text.partition("=")[2]) if "{" in text else None
    if name is not None:
        told = f"{shorten(name, 40)} stands twice in one {{…}}; keep one, or add up what they have"
        raise ConfigError(told, key=found[0].key)
    return found


def _standing_twice(text: str) -> str | None:
    """The first name that a mapping in a value gives twice, of which the grammar takes the last; None: none is."""
    open_ones: list[tuple[str, set[str]]] = [
        ("", set())
    ]  # brackets with the names in them, from the outermost
    words: list[str | None] = [""]  # what stands in each since its last comma; None behind a colon
    for token in TOKENS.findall(text):
        if token in ("{", "[", "("):
            open_ones.append((token, set()))
            words.append("")
        elif token in ("}", "]", ")") and len(words) > 1:
            inside, (bracket, _) = words.pop(), open_ones.pop()
            if words[-1] is not None:
                words[-1] += f"{bracket}{inside}{token}"
        elif token == ",":
            words[-1] = ""
        elif token == ":" and open_ones[-1][0] == "{" and words[-1] is not None:
            name, words[-1] = words[-1].strip(), None
            name = name[1:-1] if name[:1] in ("'", '"') and name[:1] == name[-1:] else name
            if name in open_ones[-1][1]:
                return name
            open_ones[-1][1].add(name)
        elif words[-1] is not None:
            words[-1] += token.removeprefix("\\")
    return None


def _read(text: str) -> tuple[Override, ...]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    parser = OverridesParser.create()
    try:
        return tuple(_own(parsed, text) for parsed in parser.parse_overrides([text]))
    except OverrideParseException as error:
        key, _, value = text.partition("=")
        # a geometry or a path, as a shell without quotes of ours hands it over
        if PLAIN_TEXT.fullmatch(text) or PLACE.fullmatch(text):
            with contextlib.suppress(OverrideParseException):
                return tuple(_own(parsed, text) for parsed in parser.parse_overrides([f"{key}='{value}'"]))
        if named := _with_names(parser, text):
            return named
        key = key.lstrip("+~")
        if re.fullmatch(r"[\w.@/-]+", key) and not key.isascii():
            raise ConfigError(
                "unknown key; keys have the letters a to z, digits and _ in them, see --help", key=key
            ) from error
        if value.startswith("="):
            raise ConfigError(f"has two signs; type {key}={value.lstrip('=')}", key=key) from error
        raise ConfigError(
            f"{shorten(text, 40)!r} is not understood; write key=value and quote special characters, "
            f"e.g. '{key or 'key'}=\"a=b\"'",
            key=key if re.fullmatch(r"[\w.]+", key) else "command line",
        ) from error


def _own(parsed: Parsed, text: str) -> Override:
    """An override of Hydra's as one of ours.

    Raises:
        ConfigError: a sweep stands inside a value.
    """
    key = parsed.key_or_group
    if _holds_a_sweep(parsed.value(), outermost=True) and not (
        key == PARAMS and isinstance(parsed.value(), dict)
    ):
        raise ConfigError(
            f"{shorten(text, 40)!r} has several values within one; write all of them in one choice(…)",
            key=key,
        )
    sign = "~" if parsed.is_delete() else "+" if parsed.is_add() else "++" if parsed.is_force_add() else ""
    bare = parsed.is_delete() and parsed.value() is None
    return Override(
        text=text,
        key=parsed.key_or_group,
        sign=sign,
        package=parsed.package,
        value=_value(parsed),
        assigned=None
        if bare or parsed.is_sweep_override() or key == PARAMS
        else parsed.get_value_element_as_str(),
    )


def _value(parsed: Parsed) -> Any:
    from hydra.core.override_parser.types import Glob, IntervalSweep, RangeSweep

    value = parsed.value()
    if isinstance(value, Glob):
        return Pattern(value.filter)
    if isinstance(value, IntervalSweep):
        return Interval(value.start or 0, value.end or 0, frozenset(value.tags))
    if isinstance(value, RangeSweep):
        return Steps(value.start or 0, value.stop or 0, value.step, frozenset(value.tags), value.shuffle)
    if parsed.is_sweep_override():
        return Choices(tuple(parsed.sweep_string_iterator()))
    if isinstance(value, dict) and parsed.key_or_group == PARAMS:
        return {name: _as_typed(item, parsed) for name, item in value.items()}
    return value


def _holds_a_sweep(value: object, *, outermost: bool = False) -> bool:
    """Whether a value, or with `outermost` something inside it, is `choice(…)`, `range(…)` or the like."""
    from hydra.core.override_parser.types import ChoiceSweep
    from hydra.core.override_parser.types import Sweep as Several

    if isinstance(value, Several) and not outermost:
        return True
    inside = value.list if isinstance(value, ChoiceSweep) else value
    inside = list(inside.values()) if isinstance(inside, dict) else inside
    return isinstance(inside, list) and any(map(_holds_a_sweep, inside))


def _as_typed(value: Any, parsed: Parsed) -> str:
    """Values of a key in a mapping, as they would be typed behind the key."""
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, QuotedString, RangeSweep

    match value:
        case ChoiceSweep():
            text = f"choice({','.join(_as_typed(item, parsed) for item in value.list)})"
        case RangeSweep():
            text = f"range({value.start or 0},{value.stop},{value.step})"
        case IntervalSweep():
            text = f"interval({value.start},{value.end})"
        case QuotedString() | str():
            return str(value if isinstance(value, str) else value.text)
        case _:
            return replace(parsed, _value=value).get_value_element_as_str()
    return f"tag({','.join(sorted(value.tags))},{text})" if value.tags else text


def _with_names(parser: OverridesParser, text: str) -> tuple[Override, ...]:
    """The override read with names in mappings that Hydra's grammar does not have, `{θ[0]: 0.3}`; empty if it is none.

    The names are parsed as words that stand for them.
    """
    from hydra.errors import OverrideParseException

    names: dict[str, str] = {}

    def word(match: re.Match[str]) -> str:
        if match["lead"] is None:
            return match[0]  # a quoted text
        placeholder = f"name_{len(names)}_"
        names[placeholder] = match["quoted"] or match["bare"].replace("\\", "")
        return f"{match['lead']}{placeholder}"

    key, equal, value = text.partition("=")
    try:
        parsed = parser.parse_overrides([f"{key}{equal}{NAMES.sub(word, value)}"])
    except OverrideParseException:
        return ()
    put: set[str] = set()
    found = tuple(_named(_own(item, text), names, put) for item in parsed)
    return found if put == names.keys() else ()


def _named(override: Override, names: Mapping[str, str], put: set[str]) -> Override:
    """An override with the names instead of the words that stand for them, which are added to `put`."""

    def restored(text: str) -> str:
        for placeholder, name in names.items():
            if placeholder in text:
                put.add(placeholder)
                text = text.replace(placeholder, f"'{name}'")
        return text

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            put.update(names.keys() & value.keys())
            return {names.get(key, key): plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    if isinstance(override.value, Choices):
        return replace(override, value=Choices(tuple(map(restored, override.value.texts))))
    assigned = None if override.assigned is None else override.written
    return replace(override, value=plain(override.value), assigned=assigned)

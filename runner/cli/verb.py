"""What a verb of the command line declares: its arguments and its flags; and what was typed, sorted by that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.declare.config import Declaration


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A word that begins with a dash."""

    name: str
    """With its dashes, e.g. `--config-dir`."""
    does: str
    """For `--help`, in a few words."""
    short: str = ""
    """Its short form, e.g. `-cd`."""
    value: str = ""
    """What follows it, e.g. `DIR`; empty: nothing does."""
    choices: tuple[str, ...] = ()
    """The values there are, where these can be listed."""
    prints: bool = False
    """With it the verb prints something and does nothing else; there can be one of that kind."""
    repeats: bool = False
    """Whether it may be given more than once, each time with another value."""
    needs: str = ""
    """The flag without which it would mean nothing."""
    excludes: tuple[str, ...] = ()
    """Flags that contradict it."""
    alone: bool = False
    """Nothing else may stand beside it."""

    @property
    def key(self) -> str:
        """Its name in `CommandLine.flags` and `CommandLine.values`."""
        return self.name.lstrip("-")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A word without a dash, for `--help`."""

    name: str
    does: str


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb; its module has `main(line) -> exit code` beside it."""

    name: str
    does: str
    """One line."""
    arguments: tuple[Argument, ...] = ()
    flags: tuple[Flag, ...] = ()
    """Besides `--help`, which every verb has."""
    path: str = ""
    """What its paths are, e.g. `run directory`; empty: it takes none."""
    paths: tuple[int, int | None] = (0, 0)
    """The least and the largest number of paths; None: any number."""
    settings: tuple[str, ...] | None = ()
    """Keys of the `key=value` words it takes; None: those of a run, which are checked when they are composed."""
    offers: tuple[str, ...] = ()
    """How those begin that completion offers, where only some of a run's settings are taken."""
    examples: tuple[str, ...] = ()
    """What to type after `python -m runner`."""
    beside: bool = False
    """Its work is done whether or not anybody reads what it prints."""
    data: bool = False
    """It prints what other programs take as it is."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        words = [self.name, *("[flag]" for _ in self.flags[:1]), *(item.name for item in self.arguments)]
        return f"python -m runner {' '.join(words)}"


HELP = Flag(name="--help", short="-h", does="this page", prints=True)


def require_one_run(declaration: Declaration, verb: str) -> None:
    """Refuse an experiment that is a sweep by itself, where a verb is about one run.

    Raises:
        ConfigError: what to add.
    """
    if declaration.multirun:
        raise ConfigError("what is declared is a sweep; add hydra.mode=RUN for one run of it", key=verb)


@dataclass
class CommandLine:
    """What was typed, sorted."""

    verb: str = "run"
    flags: set[str] = field(default_factory=set)
    config_dirs: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    """Values of flags that take one."""
    arguments: list[str] = field(default_factory=list)
    """Words without a dash after the verb, in the order typed."""
    paths: list[str] = field(default_factory=list)
    """Those of the arguments that are files or folders."""
    settings: list[str] = field(default_factory=list)
    """The others: `key=value`."""

    @property
    def wants_help(self) -> bool:
        """Whether nothing but an explanation is asked for."""
        return HELP.key in self.flags


CONFIG_DIR = Flag(
    name="--config-dir",
    short="-cd",
    value="DIR",
    does="a folder with config groups of your own, searched first",
    repeats=True,
)

"""What of Hydra works here, what is refused, why, and what to write instead: the one list, also of docs/hydra.md.

A setting of Hydra's that would not be honoured is refused, wherever it stands: nothing is silently ignored.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.record.files import read_text

if TYPE_CHECKING:
    from yaml import SafeLoader

PAGE = "docs/hydra.md"
PLAIN = {
    "launcher": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "sweeper": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
}
"""What Hydra itself would carry a sweep out with; ours do what they do."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One thing that Hydra's users know."""

    what: str
    """A flag with its short form, or a dotted key, or a config group; `.*` stands for every key below."""
    works: bool
    why: str
    """What it does here, or why it is refused."""
    instead: str = ""
    """What to write where it is refused."""
    usual: tuple[object, ...] = ()
    """Values that may be written all the same: they say what is so anyway."""
    only: str = ""
    """`run` or `sweep`, where it means nothing in the other."""

    @property
    def names(self) -> list[str]:
        """Its spellings."""
        return self.what.split(", ")

    def refusal(self) -> str:
        """The line for somebody who wrote it."""
        return f"is not honoured: {self.why}; {self.instead}"


def _works(what: str, why: str, *usual: object, only: str = "") -> Feature:
    return Feature(what=what, works=True, why=why, usual=usual, only=only)


def _refused(what: str, why: str, instead: str, *usual: object) -> Feature:
    return Feature(what=what, works=False, why=why, instead=instead, usual=usual)


FLAGS = (
    _works("--help, -h", "the manual; `--help WORD` the page of a group, verb or choice, or what concerns it"),
    _works("--hydra-help", "this table"),
    _works("--version", "the runner's version"),
    _works("--cfg, -c", "`job`, `hydra` or `all`; with `-m` every combination; nothing runs"),
    _works("--resolve", "with `--cfg`, whose references are resolved in any case"),
    _works("--package, -p", "with `--cfg`: that part of the configuration alone"),
    _works("--run, -r", "one run, also where the experiment's file is a sweep"),
    _works("--multirun, -m", "one run per combination, all of them checked before the first starts"),
    _works("--shell-completion, -sc", "`install=`, `uninstall=` and `query=` for bash and zsh"),
    _works("--config-dir, -cd", "a folder with config groups of your own, searched before conf/; also several"),
    _refused(
        "--config-path, -cp",
        "there is one primary configuration, conf/, whose schemas check every key",
        "put your files into DIR/experiment/NAME.yaml and type --config-dir DIR experiment=NAME",
    ),
    _refused(
        "--config-name, -cn",
        "there is one primary configuration, config.yaml, whose schemas check every key",
        "put yours into DIR/experiment/NAME.yaml and type --config-dir DIR experiment=NAME",
    ),
    _refused(
        "--experimental-rerun",
        "a pickle can run any code, and a run directory holds all that it takes",
        "type resume DIR, or resume DIR --fork for a new run from its best parameters",
    ),
    _refused(
        "--info, -i",
        "Hydra's own report shows its inner state, not what decides here",
        "type --cfg all for the configuration, --help GROUP for the choices and where they come from",
    ),
)  # fmt: skip
"""Hydra's flags."""

_BY_HYDRA = ("Hydra says it to a program that it runs itself", "leave it out")
_LOGGING = (
    "a run says what happens in its journal and on the terminal, not through Python's logging",
    "follow it with watch DIR, or read DIR/journal.jsonl",
)
_ENVIRONMENT = (
    "threads and libraries read the environment when Python starts, and it is recorded with the run",
    "type NAME=value before python -m runner; for SLURM hydra.launcher.setup=[export NAME=value]",
)
_NAMES = (
    "a run is named by what differs from the defaults, and directories by date and name",
    "type name=… and hydra.run.dir=…",
)
_HELP = ("--help is read off the schemas", "leave it out")

KEYS = (
    _works(
        "hydra.run.dir",
        "the run's directory, from the command line only; else outputs/runs/<date>_<time>_<name>",
        only="run",
    ),
    _works(
        "hydra.sweep.dir",
        "the sweep's directory, from the command line only, references as in its first run; "
        "else outputs/sweeps/<date>_<time>_<name>",
        only="sweep",
    ),
    _works("hydra.mode", "`MULTIRUN` is `-m`, also in an experiment's file; `RUN` is `--run`"),
    _works(
        "hydra/launcher",
        "`basic`, `joblib`, `submitit_local`, `submitit_slurm`, `ray`, or one that a plug-in of ours adds",
        "basic",
        only="sweep",
    ),
    _works("hydra.launcher.*", "the launcher's settings, named as in Hydra's own launchers", only="sweep"),
    _works("hydra/sweeper", "`basic`, `optuna`, or one that a plug-in of ours adds", "basic", only="sweep"),
    _works(
        "hydra.sweeper.*",
        "the sweeper's settings; of the basic one `max_batch_size` and `params`",
        only="sweep",
    ),
    _refused(
        "hydra.sweep.subdir",
        "the runs of a sweep lie in 0, 1, …, where resume and report look for them",
        "read sweep.csv, which has the values of every run beside its directory",
    ),
    _refused("hydra.searchpath", "it opens further sources", "name folders with --config-dir", []),
    _refused("hydra.job.name", *_NAMES),
    _refused(
        "hydra.job.chdir",
        "a run stays in the folder it is started in, and relative paths begin there",
        "leave it out; files go to the run directory in any case",
        False,
        None,
    ),
    _refused("hydra.job.override_dirname", *_NAMES),
    _refused("hydra.job.id", *_BY_HYDRA),
    _refused("hydra.job.num", *_BY_HYDRA),
    _refused("hydra.job.config_name", *_BY_HYDRA),
    _refused("hydra.job.env_set.*", *_ENVIRONMENT),
    _refused("hydra.job.env_copy", *_ENVIRONMENT, []),
    _refused("hydra.job.config.*", *_NAMES),
    _refused("hydra.hydra_logging.*", *_LOGGING),
    _refused("hydra/hydra_logging", *_LOGGING, "disabled", "none"),
    _refused("hydra.job_logging.*", *_LOGGING),
    _refused("hydra/job_logging", *_LOGGING, "disabled", "none"),
    _refused("hydra.verbose", *_LOGGING, False),
    _refused(
        "hydra.callbacks.*",
        "a callback names a Python object, which a configuration cannot",
        "follow the journal (watch DIR), or write an experiment as a plug-in",
    ),
    _refused(
        "hydra/callbacks",
        "a callback names a Python object, which a configuration cannot",
        "follow the journal (watch DIR), or write an experiment as a plug-in",
    ),
    _refused(
        "hydra.output_subdir",
        "the run directory holds config.yaml and the overrides in its journal; there is no .hydra",
        "leave it out",
        None,
    ),
    _refused("hydra/output", "it is hydra.run.dir and hydra.sweep.dir under another name", "set these", "default"),
    _refused("hydra.help.*", *_HELP),
    _refused("hydra/help", *_HELP, "default"),
    _refused("hydra.hydra_help.*", *_HELP),
    _refused("hydra/hydra_help", *_HELP, "default"),
    _refused("hydra/env", "Hydra's environments choose further settings of its own", "leave it out", "default"),
    _refused("hydra.overrides.*", *_BY_HYDRA),
    _refused("hydra.runtime.*", *_BY_HYDRA),
)  # fmt: skip
"""Hydra's keys and config groups: everything below `hydra` in a composed configuration."""


def feature(key: str) -> Feature | None:
    """What is said of a key of Hydra's, such as `hydra.job.name` or `hydra/launcher`; None: Hydra has no such key."""
    for item in KEYS:
        stem = item.what.removesuffix(".*")
        if key == stem or (item.what != stem and key.startswith(f"{stem}.")):
            return item
    return None


def refuse_key(key: str, *value: object) -> None:
    """Refuse a key of Hydra's that is not honoured; any other key is passed over.

    Args:
        key: as it was written, without `+` and `~`.
        value: what it shall be, where that is known.

    Raises:
        ConfigError: why, and what to write instead.
    """
    if not re.match(r"hydra[./]", key):
        return
    found = feature(key)
    if found is None:
        raise ConfigError(f"is no key of Hydra's own, or none to be set as a whole; see {PAGE}", key=key)
    if not found.works and not any(one == usual for one in value for usual in found.usual):
        raise ConfigError(found.refusal(), key=key)


def check_file(path: Path, name: Path) -> None:
    """Refuse a file of a folder of one's own that sets what of Hydra is not honoured, by whatever way.

    Args:
        path: the YAML file, which can be parsed.
        name: its path within the folder.

    Raises:
        ConfigError: naming the file and the setting.
    """
    text = read_text(path)
    if name.parts[0] == "hydra" and (len(name.parts) != 3 or name.parts[1] not in ("launcher", "sweeper")):
        raise ConfigError(
            f"is not honoured: of Hydra's groups only launcher and sweeper are; see {PAGE}", key=str(path)
        )
    if match := re.search(r"^#\s*@package\s*:?\s*(hydra\S*)", text, flags=re.MULTILINE):
        raise ConfigError(
            f"package {match[1]} is not honoured; write `hydra:` under `# @package _global_`", key=str(path)
        )
    content = plain_content(path, text)
    if not isinstance(content, dict):
        return
    entries = content.get("defaults") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict | str) for entry in entries):
        raise ConfigError(
            "must be a list of choices, e.g. [/schema/experiment/vqe@experiment, _self_]",
            key=f"{path}: defaults",
        )
    dotted = next((str(key) for key in content if "." in str(key)), None)
    if dotted is not None:
        part, _, rest = dotted.partition(".")
        raise ConfigError(
            f"{dotted!r} is no key of a file; write `{part}:` and `{rest}: …` below it", key=str(path)
        )
    try:
        for entry in entries:
            for group, choice in (
                entry.items() if isinstance(entry, dict) else [str(entry).rpartition("/")[::2]]
            ):
                _check_default(str(group), choice)
        for key, value in leaves(content.get("hydra"), "hydra"):
            refuse_key(key, value)
    except ConfigError as error:
        raise ConfigError(f"{error}", key=str(path)) from error


@cache
def plain_loader() -> type[SafeLoader]:
    """PyYAML's safe loader with OmegaConf's reading of dates: they are texts."""
    import yaml

    class PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    PlainLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return PlainLoader


def plain_content(path: Path, text: str) -> object:
    """What a YAML file says, its aliases and merged keys written out.

    Raises:
        ConfigError: it cannot be read.
    """
    import yaml

    try:
        return yaml.load(text, Loader=plain_loader())
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        told = " ".join(str(error).split())[:90]
        raise ConfigError(f"cannot be read ({told}); correct the YAML", key=str(path)) from error


def leaves(content: object, key: str) -> Iterator[tuple[str, object]]:
    """Dotted keys of nested mappings with their values."""
    if not isinstance(content, dict):
        yield key, content
        return
    for name, value in content.items():
        yield from leaves(value, f"{key}.{name}" if key else str(name))


def _check_default(group: str, choice: object) -> None:
    """One entry of a defaults list, e.g. `override /hydra/launcher: joblib`."""
    name, _, package = re.sub(r"^((override|optional)\s+)*/?", "", group).partition("@")
    if package.startswith("hydra") and not name.startswith(("hydra/", "schema/")):
        raise ConfigError("a file's settings of Hydra stand below `hydra:`", key=group)
    refuse_key(name, choice)


def refuse_outside(part: str, keys: Iterable[tuple[str, object]]) -> None:
    """Refuse what means nothing in a run, or nothing in a sweep.

    Args:
        part: `run` or `sweep`: what is going to be carried out.
        keys: keys and values as typed.

    Raises:
        ConfigError: naming the key, and what to type.
    """
    other = {"run": ("sweep", "add -m"), "sweep": ("run", "take hydra.sweep.dir")}
    for key, value in keys:
        found = feature(key)
        if found is not None and found.only == other[part][0] and value not in found.usual:
            what, remedy = other[part]
            raise ConfigError(f"only a {what} has one; {remedy}, or leave it out", key=key)


def require_ours(part: str, name: str, target: str) -> None:
    """Refuse a launcher or sweeper of Hydra's plug-ins: passed over, its thousand jobs would run on this machine.

    Args:
        part: `launcher` or `sweeper`.
        name: the choice.
        target: the class it names.

    Raises:
        ConfigError: it is not Hydra's plain one, which ours take the place of.
    """
    if target != PLAIN[part]:
        ours = {"launcher": "joblib, submitit_local, submitit_slurm or ray", "sweeper": "basic or optuna"}
        raise ConfigError(
            f"{name!r} ({target}) is a plug-in of Hydra's, which would start every run anew and without its journal; "
            f"take {ours[part]}, or write one as a plug-in of ours, see {PAGE}",
            key=f"hydra/{part}",
        )


def in_words() -> Iterator[str]:
    """The list as plain text, for `--hydra-help`."""
    yield "What of Hydra works here; what does not is refused, never ignored."
    for works, title in ((True, "works"), (False, "refused")):
        yield f"\n{title}:"
        for item in (*FLAGS, *KEYS):
            if item.works is works:
                told = item.why if works else f"{item.why}; {item.instead}"
                yield from textwrap.wrap(f"  {item.what}: {told}", 118, subsequent_indent="      ")


def table() -> Iterator[str]:
    """The list as the table of docs/hydra.md."""
    yield "| what | | why | instead |"
    yield "|---|---|---|---|"
    for item in (*FLAGS, *KEYS):
        names = ", ".join(f"`{name}`" for name in item.names)
        usual = ", ".join(f"`{_yaml(value)}`" for value in item.usual)
        instead = item.instead + (f"; {usual} may be written" if usual and not item.works else "")
        cells = (names, "works" if item.works else "refused", item.why, instead)
        yield f"| {' | '.join(cell.replace('<', '&lt;') for cell in cells)} |"


def _yaml(value: object) -> str:
    return "null" if value is None else str(value).lower()


def refuse_flag(spelling: str) -> None:
    """Refuse one of Hydra's flags that is not honoured; any other word is passed over.

    Raises:
        ConfigError: why, and what to type instead.
    """
    for item in FLAGS:
        if spelling in item.names and not item.works:
            raise ConfigError(item.refusal(), key=spelling)

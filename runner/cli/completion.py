"""Shell completion: `eval "$(python -m runner -sc install=bash)"`.

Hydra's own script completes `python some_file.py` only; this one also completes `python -m runner` and `runner`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence

from runner.cli import VERBS
from runner.cli.line import verbs
from runner.cli.manual import ENGINES
from runner.cli.verb import CONFIG_DIR, HELP, Flag, Verb
from runner.declare.composer import Composer
from runner.declare.config import GROUPS
from runner.declare.hydra_support import KEYS
from runner.declare.overrides import split_plugins
from runner.errors import ConfigError

MODES = ("RUN", "MULTIRUN")

BASH = r"""
_runner_completion() {
    local line="${COMP_LINE:0:COMP_POINT}"
    if ! [[ "$line" =~ (^|[[:space:]/])(python[0-9.]*[[:space:]]+-m[[:space:]]+runner|runner)[[:space:]] ]]; then
        COMPREPLY=($(compgen -o default -- "${COMP_WORDS[COMP_CWORD]}"))
        return
    fi
    local command="${line%%runner *}runner"
    local candidates
    candidates="$(COMP_LINE="$line" $command -sc query=bash 2>/dev/null)"
    COMPREPLY=($(compgen -o nospace -o default -W "$candidates" -- "${line##* }"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _runner_completion runner
for _runner_python in python python3; do
    complete -o nospace -o default -F _runner_completion "$_runner_python"
done
""".strip()

ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + BASH


def complete(arguments: Sequence[str]) -> int:
    """Print the script for a shell (`install=bash`), undo it (`uninstall=bash`), or answer it (`query=bash`)."""
    action, _, shell = (arguments[0] if arguments else "").partition("=")
    if action not in {"install", "uninstall", "query"} or shell not in {"bash", "zsh"}:
        raise ConfigError(
            "takes install=, uninstall= or query= and bash or zsh, e.g. install=bash", key="-sc"
        )
    if action == "install":
        print(ZSH if shell == "zsh" else BASH)
    elif action == "uninstall":
        print("complete -r runner python python3 2>/dev/null; unset -f _runner_completion")
    else:
        print(" ".join(candidates(os.environ.get("COMP_LINE", ""))))
    return 0


def candidates(line: str) -> list[str]:
    """Completions of the last word of a command line such as `python -m runner optimizer=co`."""
    before, _, last = re.sub(r"^.*?\brunner\s+", "", line).rpartition(" ")
    words = _words(before)
    folders, plain = _sorted(words)
    named = plain[0].lower() if plain and plain[0].lower() in VERBS else None
    verb = verbs()[named or "run"]
    flags = {
        spelling: flag for flag in (HELP, *verb.flags) for spelling in (flag.name, flag.short) if spelling
    }
    if last.startswith("-"):
        found = _spelled(flags, last)
    elif words and words[-1] in (HELP.name, HELP.short):
        found = [*VERBS, *GROUPS, *ENGINES]
    elif words and words[-1] in flags and flags[words[-1]].value:
        found = list(flags[words[-1]].choices)
    else:
        found = [*([] if plain else VERBS), *_settings(verb, folders, plain, last)]
    return [word for word in found if word.startswith(last)]


def _spelled(flags: Mapping[str, Flag], last: str) -> list[str]:
    """Flags, or after an equals sign the values of one."""
    name, equal, _ = last.partition("=")
    if equal and name in flags:
        return [f"{name}={choice}" for choice in flags[name].choices]
    return sorted(flags)


def _words(text: str) -> list[str]:
    """What a shell makes of a line, or its pieces where a quote is still open."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _sorted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(folders of `--config-dir`, words that are neither a flag nor a flag's value)."""
    spellings = {
        spelling: flag
        for verb in verbs().values()
        for flag in verb.flags
        for spelling in (flag.name, flag.short)
        if spelling
    }
    folders: list[str] = []
    plain: list[str] = []
    rest = iter(words)
    for word in rest:
        spelling, equal, value = word.partition("=")
        flag = spellings.get(spelling)
        if flag is not None and flag.value and not equal:
            value = next(rest, "")
        if flag is not None and flag.name == CONFIG_DIR.name:
            folders.append(os.path.expanduser(value))
        elif not word.startswith("-"):
            plain.append(word)
    return folders, plain


def _settings(verb: Verb, folders: Sequence[str], words: Sequence[str], last: str) -> list[str]:
    """`key=value` words that a verb takes, with the folders and plug-ins of the line."""
    if verb.settings is not None:
        return [f"{key}=" for key in verb.settings]
    plugins, settings = split_plugins([word for word in words if "=" in word])
    try:
        composer = Composer(folders, plugins)
    except ConfigError:  # a folder or a module that is not there
        composer = Composer()
    found = _of_hydra(composer, last) + composer.completions(settings, last)
    return [word for word in found if word.lstrip("+~").startswith(verb.offers or ("",))]


def _of_hydra(composer: Composer, last: str) -> list[str]:
    """Hydra's own keys, and the choices of those that have some."""
    if not last.startswith("hydra"):
        return []
    key, equal, _ = last.partition("=")
    if equal:
        choices = MODES if key == "hydra.mode" else composer.options(key) if key in ENGINES else ()
        return [f"{key}={choice}" for choice in choices]
    return [f"{item.what}=" for item in KEYS if item.works and not item.what.endswith("*")]

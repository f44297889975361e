"""Shell completion: `eval "$(python -m runner -sc install=bash)"`.

Hydra's own script completes `python some_file.py` only; this one also completes `python -m runner` and `runner`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from runner.errors import ConfigError

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
    from runner.cli import VERBS
    from runner.declare.composer import Composer

    typed = re.sub(r"^.*?\brunner\s+", "", line)
    words = typed.split(" ")
    last = words.pop()
    found = Composer().completions([word for word in words if "=" in word], last)
    verbs = [verb for verb in VERBS if " " not in typed.strip() and "=" not in last and verb.startswith(last)]
    return verbs + found

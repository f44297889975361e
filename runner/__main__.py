"""The command line: `python -m runner [VERB] [overrides]`; one line and an exit code for everything that goes wrong."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.cli.terminal import Reader, readers
from runner.errors import ConfigError, Interrupted, RunnerError

# a process that ends need not look for garbage among all it has loaded: that takes a second, after a sweep
atexit.register(gc.freeze)

# each verb is a module of runner/verbs with main(line) -> exit code
VERBS = {
    "run": "run one experiment (the default)",
    "resume": "DIR: continue an unfinished run from its journal",
    "inspect": "FILE…: what a circuit, operator, graph or geometry is read as, without running it",
    "list": "the runs below outputs/, newest first",
    "compare": "DIR DIR…: runs side by side, what was declared differently above what came out",
    "watch": "[DIR]: follow a run live from its journal, from any terminal",
    "ui": "MLflow's pages on the store that runs are recorded in",
    "forecast": "like run: what it would take in jobs, time and money, without running it",
    "retime": "DIR session=batch …: a recorded run under other modes, limits, plans and queues",
    "report": "DIR…: draw the figures and write report.html of a run or sweep",
    "export": "DIR --format=qasm3|qpy|csv|openfermion|… [-o FILE]: circuit, Hamiltonian or energies of a run",
    "serve": "[port=8777 …]: the local runtime for the unmodified qiskit-ibm-runtime client",
    "sync": "DIR…: bring runs into MLflow that were recorded while it was away",
}

FLAGS = {
    "-h": "help", "--help": "help", "-m": "multirun", "--multirun": "multirun", "-c": "cfg", "--cfg": "cfg",
    "-cd": "config_dir", "--config-dir": "config_dir", "-sc": "completion", "--shell-completion": "completion",
    "--version": "version", "--fork": "fork", "--env": "env", "--interactive": "interactive",
    "--format": "format", "-o": "output", "--output": "output", "--bound": "bound",
}  # fmt: skip
BESIDE = ("run", "resume", "report", "sync", "ui", "serve")
"""Verbs whose work is done whether or not anybody reads what they print."""
PRINTING = {"help", "cfg", "version", "completion", "env"}
"""Flags that make them print, and nothing else."""
DATA = ("export", "serve")
"""Verbs that print what other programs take as it is."""
TAKES_VALUE = {"cfg", "config_dir", "format", "output"}
OF_ONE_VERB = {
    "env": ("serve", "has an environment to print"),
    "interactive": ("report", "has figures to explore"),
    "fork": ("resume", "has a run to fork"),
    "format": ("export", "has formats"),
    "output": ("export", "has a file to write"),
    "bound": ("export", "has a circuit to put parameters in"),
}
"""Flag → the one verb that has it, and why."""


@dataclass
class CommandLine:
    """What was typed, sorted."""

    verb: str = "run"
    flags: set[str] = field(default_factory=set)
    config_dirs: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    """Values of flags that take one."""
    arguments: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the process's exit code."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # last bits depend on it, and the matrices are small
    with readers() as output:
        return _main(list(sys.argv[1:] if arguments is None else arguments), output)


def _main(arguments: list[str], output: Reader) -> int:
    try:
        from runner.declare.messages import warnings_in_one_line
        from runner.record.redaction import protect_environment  # inside: Ctrl-C may come while it is read

        protect_environment()
        with warnings_in_one_line():
            line = read(arguments)
            output.forgiving = line.verb in BESIDE and not line.flags & PRINTING
            output.clean = line.verb not in DATA and "cfg" not in line.flags  # which holds no secret
            code = _dispatch(line)
            output.flush()
            return code
    except Interrupted as error:
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except RunnerError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    except MemoryError:
        print("error: out of memory; take a smaller problem, or free some", file=sys.stderr)
        return 1


def read(arguments: list[str]) -> CommandLine:
    """Sort flags, verb and overrides.

    Raises:
        ConfigError: an unknown flag or verb, with the nearest valid one.
    """
    from runner.declare.checks import nearest

    line = CommandLine()
    rest = iter(arguments)
    words: list[str] = []
    for word in rest:
        name, _, value = word.partition("=")
        if name in FLAGS and (flag := FLAGS[name]) in TAKES_VALUE:
            value = value or next(rest, "")
            if not value:
                raise ConfigError("needs a value", key=name)
            if flag == "config_dir":
                line.config_dirs.append(value)
            elif flag != "cfg":
                line.flags.add(flag)
                line.values[flag] = value
            elif value != "job":
                raise ConfigError(f"only `--cfg job` is known, got {value!r}", key=name)
            else:
                line.flags.add(flag)
        elif word in FLAGS:
            line.flags.add(FLAGS[word])
        elif word.startswith("-"):
            raise ConfigError(
                f"unknown flag{nearest(word, [flag for flag in FLAGS if flag.startswith('--')])}", key=word
            )
        else:
            words.append(word)
    if words and "=" not in words[0] and not words[0].startswith("~") and "help" not in line.flags:
        line.verb = words.pop(0)
        if line.verb not in VERBS:
            raise ConfigError(f"unknown verb{nearest(line.verb, VERBS)}", key=line.verb)
    line.arguments = words
    return line


def _dispatch(line: CommandLine) -> int:
    if "version" in line.flags:
        from importlib.metadata import version

        from runner.record.environment import DISTRIBUTION

        print(f"runner {version(DISTRIBUTION)}")
        return 0
    if "help" in line.flags:
        return _help(line.arguments)
    if "completion" in line.flags:
        from runner.cli.completion import complete

        return complete(line.arguments)
    for flag, (verb, reason) in OF_ONE_VERB.items():
        if flag in line.flags and line.verb != verb:
            typed = next(word for word, name in FLAGS.items() if name == flag and word.startswith("--"))
            raise ConfigError(f"only `{verb}` {reason}", key=typed)
    return int(importlib.import_module(f"runner.cli.{line.verb}").main(line))


def _help(words: list[str]) -> int:
    from runner.cli.manual import manual
    from runner.declare.checks import require_choice
    from runner.declare.config import GROUPS

    group = words[0].partition("=")[0] if words else None
    if group is not None:
        require_choice("--help", group, GROUPS)
    print(manual(VERBS, group))
    return 0


if __name__ == "__main__":
    sys.exit(main())

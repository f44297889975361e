"""`run`: one experiment, or with -m one per combination of the swept values."""

from __future__ import annotations

import sys
from importlib.metadata import version

from runner.cli.verb import CONFIG_DIR, Argument, CommandLine, Flag, Verb
from runner.declare.composer import declare
from runner.declare.config import Declaration
from runner.declare.overrides import Overrides
from runner.errors import ConfigError

VERB = Verb(
    name="run",
    does="run one experiment (the default), or with -m one per combination of the values given",
    arguments=(
        Argument(
            name="group=choice", does="what the run is made of; `--help` lists the groups, `--help GROUP` one"
        ),
        Argument(
            name="key=value", does="any setting of it; with -m several values, key=a,b or key='range(0,10)'"
        ),
    ),
    flags=(
        Flag(name="--multirun", short="-m", does="sweep: one run per combination of the values given"),
        Flag(
            name="--run",
            short="-r",
            does="one run, also where the experiment's file is a sweep",
            excludes=("--multirun",),
        ),
        Flag(
            name="--cfg",
            short="-c",
            value="WHAT",
            choices=("job", "hydra", "all"),
            does="print the composed configuration, with -m that of every combination, and run nothing",
            prints=True,
        ),
        Flag(name="--resolve", does="with --cfg, which resolves references in any case", needs="--cfg"),
        Flag(
            name="--package",
            short="-p",
            value="KEY",
            does="with --cfg: only this part, e.g. optimizer",
            needs="--cfg",
        ),
        CONFIG_DIR,
        Flag(
            name="--shell-completion",
            short="-sc",
            does='eval "$(python -m runner -sc install=bash)"',
            prints=True,
            excludes=("--multirun", "--run", "--config-dir"),
        ),
        Flag(name="--hydra-help", does="what of Hydra works here", prints=True, alone=True),
        Flag(name="--version", does="the version", prints=True, alone=True),
    ),
    settings=None,
    examples=(
        "experiment=vqe hamiltonian=h2 optimizer=cobyla",
        "-m optimizer=cobyla,spsa seed='range(10)'",
        "-m optimizer=cobyla,spsa --cfg job",
    ),
    beside=True,
)


def main(line: CommandLine) -> int:
    """Run what is declared, or print what was asked for, and return the exit code."""
    if "version" in line.flags:
        from runner.record.environment import DISTRIBUTION

        return _print(f"runner {version(DISTRIBUTION)}")
    if "shell-completion" in line.flags:
        from runner.cli.completion import complete

        return complete(line.arguments)
    if "hydra-help" in line.flags:
        from runner.declare.hydra_support import in_words

        return _print("\n".join(in_words()))
    many = is_multirun(line)
    overrides = [*line.settings, "hydra.mode=RUN"] if "run" in line.flags else line.settings
    from runner.run.signals import nothing_to_save

    with nothing_to_save():
        declaration = None if many else declare(overrides, config_dirs=line.config_dirs)
    if declaration is not None and declaration.multirun:
        declaration = None  # the experiment's file says that it is a sweep
    if "cfg" in line.flags:
        from runner.cli.composed import documents

        return _print("".join(documents(line, overrides, declaration)), end="")
    if declaration is None:
        from runner.sweep.entry import sweep

        return sweep(overrides, config_dirs=line.config_dirs)
    return _run(declaration)


def is_multirun(line: CommandLine) -> bool:
    """Whether what was typed asks for a sweep, be it by `-m` or as `hydra.mode`.

    Raises:
        ConfigError: it says both, or both kinds of run.
    """
    typed = [str(item.value) for item in Overrides.of(line.settings) if item.key == "hydra.mode"]
    for flag, opposite in (("multirun", "RUN"), ("run", "MULTIRUN")):
        if flag in line.flags and opposite in typed:
            raise ConfigError(f"contradicts hydra.mode={opposite}; keep one of the two", key=f"--{flag}")
    return "multirun" in line.flags or typed[-1:] == ["MULTIRUN"]


def _print(text: str, *, end: str = "\n") -> int:
    print(text, end=end)
    return 0


def _run(declaration: Declaration) -> int:
    from runner.run.execution import resume, run

    if declaration.config.run.resume == "auto":
        from runner.run.resume import unfinished

        earlier = unfinished(declaration.values, declaration.directory)
        if earlier is not None:
            print(f"continuing {earlier.path}", file=sys.stderr)
            plugins = declaration.config.plugins
            again = [f"plugins=[{','.join(plugins)}]"] if plugins else []
            return resume(earlier.path, overrides=again, quiet=False).exit_code
    if declaration.config.run.max_compute_time is not None:
        from runner.whatif.affordable import require_time

        return run(declaration, quiet=False, affordable=require_time).exit_code
    return run(declaration, quiet=False).exit_code

"""`resume DIR`: continue an unfinished run from its journal, or what a sweep has not come to its end with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.cli.verb import CONFIG_DIR, Argument, CommandLine, Flag, Verb, require_one_run

VERB = Verb(
    name="resume",
    does="continue an unfinished run from its journal, or the runs of a sweep that have not begun, were broken off or "
    "failed",
    arguments=(
        Argument(
            name="DIR",
            does="directory of the run or sweep; a run of a sweep that stopped goes on by itself: SWEEP/3",
        ),
        Argument(
            name="[key=value …]",
            does="run.*, plugins=[…], a larger budget that ended it; of a sweep its launcher, a larger budget or "
            "session.on_expiry=reopen for its runs that stopped, of a search hydra.sweeper.storage; with --fork "
            "anything",
        ),
    ),
    flags=(
        Flag(
            name="--fork",
            does="a new run from the best parameters of DIR: its result's, or the lowest evaluation's",
        ),
        replace(CONFIG_DIR, does="with --fork: a folder with config groups of your own", needs="--fork"),
    ),
    path="run directory",
    paths=(1, 1),
    settings=None,
    offers=(
        "run.",
        "plugins",
        "optimizer.max_shots",
        "session.max_cost",
        "session.max_usage",
        "session.on_expiry",
        "hydra/launcher",
        "hydra.launcher",
        "hydra.sweeper.storage",
    ),
    examples=(
        "resume outputs/runs/…",
        "resume outputs/sweeps/… session.max_cost=40",
        "resume outputs/runs/… --fork optimizer=spsa",
    ),
    beside=True,
)


def main(line: CommandLine) -> int:
    """Continue the run or sweep that is named, or with --fork start a new run from its best parameters."""
    from runner.declare.overrides import Overrides
    from runner.errors import ConfigError
    from runner.run.execution import resume, run
    from runner.run.fork import fork, without_start

    (directory,) = line.paths
    if "fork" in line.flags:
        declaration = fork(directory, line.settings, config_dirs=line.config_dirs)
        require_one_run(declaration, "--fork")
        try:
            return run(declaration, quiet=False).exit_code
        except ConfigError as error:
            raise without_start(error, directory, Overrides.of(line.settings)) from error
    if (Path(directory) / "sweep.json").is_file():
        from runner.sweep.entry import resume_sweep

        return resume_sweep(directory, overrides=line.settings)
    return resume(directory, overrides=line.settings, quiet=False).exit_code

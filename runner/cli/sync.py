"""`sync DIR…`: bring runs into MLflow that were recorded while it was away."""

from __future__ import annotations

from runner.cli.verb import Argument, CommandLine, Verb

VERB = Verb(
    name="sync",
    does="bring runs into MLflow that were recorded while it was away",
    arguments=(Argument(name="DIR…", does="directories of runs or sweeps"),),
    path="run directory",
    paths=(1, None),
    examples=("sync outputs/runs/…",),
    beside=True,
)


def main(line: CommandLine) -> int:
    """Upload every named run and say what became of it; 4 when something is still missing."""
    from runner.tracking import sync

    unsynced = 0
    for directory in line.paths:
        report = sync(directory)
        print(f"{directory}: {report.message or report.state}")
        unsynced += report.records_unsynced
    return 4 if unsynced else 0

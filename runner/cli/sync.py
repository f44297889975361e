"""`sync DIR…`: bring runs into MLflow that were recorded while it was away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Upload every named run and say what became of it; 4 when something is still missing."""
    from runner.tracking import sync

    if not line.arguments:
        raise ConfigError("needs run directories: python -m runner sync outputs/runs/…", key="sync")
    unsynced = 0
    for directory in line.arguments:
        report = sync(directory)
        print(f"{directory}: {report.message or report.state}")
        unsynced += report.records_unsynced
    return 4 if unsynced else 0

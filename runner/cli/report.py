"""`report DIR… [--interactive]`: draw figures and write report.html anew, or a page whose figures can be explored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.record.directory import RunDirectory

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Write the page of every run or sweep that is named, and say where it is."""
    from runner.review.report import illustrate, sweep_page

    if not line.arguments:
        raise ConfigError(
            "needs the directory of a run or sweep: python -m runner report outputs/runs/…", key="report"
        )
    interactive = "interactive" in line.flags
    for argument in line.arguments:
        directory = Path(argument)
        if (directory / "sweep.csv").is_file():
            print(sweep_page(directory, interactive=interactive))
        else:
            print(illustrate(RunDirectory.existing(directory), interactive=interactive))
    return 0

"""`report DIR… [--interactive]`: draw figures and write report.html anew, or a page whose figures can be explored."""

from __future__ import annotations

from pathlib import Path

from runner.cli.verb import Argument, CommandLine, Flag, Verb
from runner.display.stream import as_text
from runner.record.directory import RunDirectory

VERB = Verb(
    name="report",
    does="draw the figures and write report.html of a run or sweep",
    arguments=(Argument(name="DIR…", does="directories of runs or sweeps"),),
    flags=(
        Flag(
            name="--interactive",
            does="one page whose figures answer to the mouse (extra [interactive])",
        ),
    ),
    path="run directory",
    paths=(1, None),
    examples=("report outputs/runs/… --interactive",),
    beside=True,
)


def main(line: CommandLine) -> int:
    """Write the page of every run or sweep that is named, and say where it is."""
    from runner.review.report import illustrate, sweep_page

    interactive = "interactive" in line.flags
    for argument in line.paths:
        directory = Path(argument)
        if (directory / "sweep.csv").is_file():
            print(as_text(sweep_page(directory, interactive=interactive)))
        else:
            print(as_text(illustrate(RunDirectory.existing(directory), interactive=interactive)))
    return 0

"""`retime DIR session=batch …`: a recorded run under other conditions, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Print the recorded run beside every combination of the given session settings."""
    from rich.table import Table

    from runner.cli.progress import terminal
    from runner.whatif.retime import columns, table, was_stopped

    if not line.arguments or line.arguments[0].startswith("session"):
        raise ConfigError(
            "needs a run directory first: python -m runner retime outputs/runs/… session=batch", key="retime"
        )
    directory, *overrides = line.arguments
    found = columns(directory, overrides)
    shown = Table(box=None, padding=(0, 2, 0, 0))
    shown.add_column("")
    for column in found:
        shown.add_column(column.title, justify="right", overflow="fold")
    stopped = was_stopped(directory)
    for row in table(found, stopped=stopped):
        shown.add_row(*row)
    terminal().print(shown)
    if stopped:
        print("The recorded run had not finished: jobs that it never came to are missing in every column.")
    return 0

"""`inspect FILE…`: what a circuit, Hamiltonian, graph or geometry from elsewhere is understood as, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Print what every file is read as, and what to type to use it."""
    if not line.arguments:
        raise ConfigError("needs a file: python -m runner inspect molecule.xyz", key="inspect")
    from rich.table import Table

    from runner.cli.progress import terminal
    from runner.review.inspection import inspect_file

    found = [(Path(argument), inspect_file(Path(argument))) for argument in line.arguments]
    for path, readings in found:
        for reading in readings:
            table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
            table.add_column(style="bold")
            table.add_column(overflow="fold")
            table.add_row("file", f"{path}: {reading.kind}")
            for name, fact in reading.facts.items():
                table.add_row(name, str(fact))
            table.add_row("use it", f"python -m runner {reading.use}")
            terminal().print(table)
        if len(readings) > 1:
            kinds = ", ".join(reading.kind for reading in readings)
            print(f"it can be read as {kinds}; what you type decides")
    return 0

"""`inspect FILE…`: what a circuit, Hamiltonian, graph or geometry from elsewhere is understood as, without a run."""

from __future__ import annotations

from pathlib import Path

from runner.cli.verb import Argument, CommandLine, Verb

VERB = Verb(
    name="inspect",
    does="what a circuit, operator, graph or geometry is read as, without running it",
    arguments=(Argument(name="FILE…", does="files of other programs"),),
    path="file",
    paths=(1, None),
    examples=("inspect molecule.xyz",),
)


def main(line: CommandLine) -> int:
    """Print what every file is read as, and what to type to use it."""
    from rich.table import Table
    from rich.text import Text

    from runner.display.live import terminal
    from runner.review.inspection import inspect_file

    found = [(Path(argument), inspect_file(Path(argument))) for argument in line.paths]
    for path, readings in found:
        for reading in readings:
            table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
            table.add_column(style="bold")
            table.add_column(overflow="fold")
            table.add_row("file", f"{path}: {reading.kind}")
            for name, fact in reading.facts.items():
                table.add_row(name, str(fact))
            console = terminal()
            console.print(table)
            width = max(len(name) for name in ("file", "use it", *reading.facts)) + 2
            line_to_copy = Text.assemble((f"{'use it':<{width}}", "bold"), f"python -m runner {reading.use}")
            console.print(line_to_copy, soft_wrap=True, highlight=False)
        if len(readings) > 1:
            kinds = ", ".join(reading.kind for reading in readings)
            print(f"it can be read as {kinds}; what you type decides")
    return 0

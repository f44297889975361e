"""`retime DIR session=batch …`: a recorded run under other conditions, side by side."""

from __future__ import annotations

from runner.cli.verb import CONFIG_DIR, Argument, CommandLine, Verb
from runner.display.stream import as_text

VERB = Verb(
    name="retime",
    does="a recorded run under other modes, limits, plans and queues",
    arguments=(
        Argument(name="DIR", does="a run directory"),
        Argument(
            name="[session=… session.key=a,b …]", does="other conditions, every combination; none: every mode"
        ),
    ),
    flags=(CONFIG_DIR,),
    path="run directory",
    paths=(1, 1),
    settings=None,
    offers=("session", "plugins"),
    examples=("retime outputs/runs/… session=batch session.max_time=10m",),
)


def main(line: CommandLine) -> int:
    """Print the recorded run beside every combination of the given session settings."""
    from rich.table import Table
    from rich.text import Text

    from runner.display.live import terminal
    from runner.whatif.retime import columns, table

    (directory,) = line.paths
    found = columns(directory, line.settings, config_dirs=line.config_dirs)
    shown = Table(box=None, padding=(0, 2, 0, 0))
    shown.add_column("")
    for column in found:
        shown.add_column(
            Text("\n".join(map(as_text, column.title.split("\n")))), justify="right", overflow="fold"
        )
    stopped = found[0].stopped
    for row in table(found, stopped=stopped):
        shown.add_row(*row)
    terminal().print(shown)
    if stopped:
        print(
            "The recorded run had not finished, as far as its journal can be read: "
            "jobs that it never came to are missing in every column."
        )
    if any(column.retimed.held_back for column in found):
        print(
            "A session's last seconds are kept for measuring the result: what a run measures that has to end for that "
            "is not recorded.\nRun it with these settings to know."
        )
    if any(column.learners > 1 for column in found if not column.retimed.learns_otherwise):
        print(
            "Noise is learned once in each session that takes it, in job mode once by each workload. Where it is "
            "learned anew, values differ,\nand what a run measures by them may; here that is as recorded."
        )
    if any(column.retimed.learns_otherwise for column in found):
        print(
            "Noise that jobs learned is learned again in every session that takes it, and the journal does not tell "
            "which jobs do.\nRun it with these settings to know."
        )
    return 0

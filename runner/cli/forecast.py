"""`forecast …`: what a declared run would take, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.cli.verb import CONFIG_DIR, Argument, CommandLine, Verb, require_one_run
from runner.declare.composer import declare
from runner.display.stream import as_text
from runner.record.directory import RunDirectory, check_made_here, dated

VERB = Verb(
    name="forecast",
    does="what a run would take in jobs, time and money, without running it",
    arguments=(Argument(name="[key=value …]", does="as for a run"),),
    flags=(CONFIG_DIR,),
    settings=None,
    examples=("forecast hamiltonian=h2 backend=fake_torino optimizer=spsa session.max_time=30m",),
)


def main(line: CommandLine) -> int:
    """Print the forecast and write forecast.json into `hydra.run.dir`, or below outputs/forecasts.

    A run that is then started with the same `hydra.run.dir` takes the file along into MLflow.
    """
    declaration = declare(line.arguments, config_dirs=line.config_dirs)
    require_one_run(declaration, "forecast")
    from rich.table import Table

    from runner.display.live import terminal
    from runner.whatif.effort import effort
    from runner.whatif.forecast import COMPUTER, forecast, table

    found, starting = forecast(declaration), time.process_time()
    told = table(found)
    width = max(len(name) for name, _ in [*told, (COMPUTER, "")])

    def show(rows: Sequence[tuple[str, str]]) -> None:
        shown = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        shown.add_column(style="bold", min_width=width)
        shown.add_column(overflow="fold")
        for row in rows:
            shown.add_row(*row)
        terminal().print(shown)

    show(told)  # what follows is tried, which may take half a minute
    found = replace(found, effort=effort(declaration.config, found, starting=starting))
    if rest := table(found)[len(told) :]:
        show(rest)
    if declaration.directory is not None:
        folder = Path(declaration.directory)
        check_made_here(folder / "forecast.json", '"qpu_seconds"', "hydra.run.dir")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = RunDirectory(folder)
    else:
        files = RunDirectory.create_sweep(dated("forecasts", declaration.name))
    files.write_json(files.path / "forecast.json", found.to_dict())
    print(as_text(files.path / "forecast.json"))
    return 0

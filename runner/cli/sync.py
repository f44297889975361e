"""`sync DIR… [tracking.uri=…]`: bring runs into MLflow that were recorded while it was away, or into another store."""

from __future__ import annotations

import sys
from typing import Any

from runner.cli.verb import Argument, CommandLine, Verb
from runner.display.stream import as_text, error_line
from runner.errors import ConfigError, RunnerError

VERB = Verb(
    name="sync",
    does="bring runs into MLflow that were recorded while it was away, or into another store",
    arguments=(
        Argument(name="DIR…", does="directories of runs or sweeps"),
        Argument(
            name="[tracking.uri=…]", does="another store than each run's own; also artifacts, experiment"
        ),
    ),
    path="run directory",
    paths=(1, None),
    settings=("tracking.uri", "tracking.artifacts", "tracking.experiment"),
    examples=("sync outputs/runs/…", "sync outputs/runs/… tracking.uri=http://127.0.0.1:5000"),
    beside=True,
)


def main(line: CommandLine) -> int:
    """Upload every named run and say what became of it; 4 when something is still missing.

    One that cannot be read is told and passed over; its code is the verb's then.
    """
    from runner.declare.messages import check_secrets
    from runner.tracking import sync

    settings = dict(map(_setting, line.settings))
    check_secrets({f"tracking.{key}": value for key, value in settings.items()})
    unsynced = code = 0
    for directory in line.paths:
        try:
            report = sync(directory, settings=settings)
        except RunnerError as error:
            if len(line.paths) == 1:
                raise
            print(error_line(error), file=sys.stderr)
            code = code or error.exit_code
            continue
        where = f" in {report.uri}" if settings else ""
        again = " ".join([report.message, *line.settings]) if report.message else ""
        print(as_text(f"{directory}: {again or report.state + where}"))
        if report.note:
            print(as_text(report.note))
        unsynced += report.records_unsynced
    return code or (4 if unsynced else 0)


def _setting(word: str) -> tuple[str, str]:
    """(key of `tracking`, value) of a setting.

    Raises:
        ConfigError: a value that the key cannot have; nothing was uploaded.
    """
    from runner.declare.overrides import Overrides
    from runner.tracking.config import TrackingConfig

    (override,) = Overrides.of([word])
    key, value = override.key.partition(".")[2], override.value
    if not isinstance(value, str):
        raise ConfigError(f"must be text, got {value}", key=override.key)
    declared: dict[str, Any] = {key: value}
    TrackingConfig(**declared)
    return key, value

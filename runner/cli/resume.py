"""`resume DIR`: continue an unfinished run from its journal, or what has not finished in a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.run.execution import resume, run
from runner.run.resume import fork

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Continue the run or sweep in the first argument, or with --fork start a new one from its best parameters."""
    if not line.arguments:
        raise ConfigError("needs the run directory: python -m runner resume outputs/runs/…", key="resume")
    if "fork" in line.flags:
        declaration = fork(line.arguments[0], line.arguments[1:], config_dirs=line.config_dirs)
        return run(declaration, quiet=False).exit_code
    if (Path(line.arguments[0]) / "sweep.json").is_file():
        from runner.sweep.conductor import resume_sweep

        return resume_sweep(line.arguments[0], overrides=line.arguments[1:])
    return resume(line.arguments[0], overrides=line.arguments[1:], quiet=False).exit_code

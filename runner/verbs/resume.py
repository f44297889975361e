"""`resume DIR`: continue an unfinished run from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.run import resume

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Continue the run in the first argument; further ones are `run.*` settings."""
    if not line.arguments:
        raise ConfigError("needs the run directory: python -m runner resume outputs/runs/…", key="resume")
    return resume(line.arguments[0], overrides=line.arguments[1:], quiet=False).exit_code

"""`run`: one experiment, or with -m one per combination of the swept values."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runner.declare.config import declare
from runner.run.signals import nothing_to_save

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Run what is declared and return the exit code."""
    with nothing_to_save():
        declaration = (
            None if "multirun" in line.flags else declare(line.arguments, config_dirs=line.config_dirs)
        )
    if declaration is None or (declaration.multirun and "cfg" not in line.flags):
        from runner.sweep.conductor import sweep

        return sweep(line.arguments, config_dirs=line.config_dirs)
    from runner.run.execution import resume, run, to_yaml

    if "cfg" in line.flags:
        print(to_yaml(declaration.values), end="")
        return 0
    if declaration.config.run.resume == "auto":
        from runner.run.resume import unfinished

        earlier = unfinished(declaration.values)
        if earlier is not None:
            print(f"continuing {earlier.path}", file=sys.stderr)
            plugins = declaration.config.plugins
            again = [f"plugins=[{','.join(plugins)}]"] if plugins else []
            return resume(earlier.path, overrides=again, quiet=False).exit_code
    return run(declaration, quiet=False).exit_code

"""`export DIR --format=FORMAT [-o FILE] [--bound]`: a run's circuit, Hamiltonian or energies for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from runner.__main__ import CommandLine


def main(line: CommandLine) -> int:
    """Print it, or write it into a file that does not exist yet."""
    from runner.declare.provenance import split_plugins
    from runner.review.export import BINARY, FORMATS, export

    plugins, arguments = split_plugins(line.arguments)
    if len(arguments) != 1:
        told = "needs one run directory: python -m runner export outputs/runs/… --format=qasm3"
        raise ConfigError(told, key="export")
    if "format" not in line.values:
        raise ConfigError(f"is missing; one of {', '.join(FORMATS)}", key="--format")
    format = line.values["format"]
    target = Path(line.values["output"]) if "output" in line.values else None
    if target is None and format in BINARY:
        raise ConfigError(f"{format} is no text; name a file with -o", key="--output")
    if target is not None and target.exists():
        raise ConfigError(f"{target} exists; name another file", key="--output")
    content = export(arguments[0], format, bound="bound" in line.flags, plugins=plugins)
    if target is None:
        sys.stdout.write(content.decode())
        return 0
    try:
        target.write_bytes(content)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {(error.strerror or str(error)).lower()}") from error
    print(target)
    return 0

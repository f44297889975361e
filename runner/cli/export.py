"""`export DIR --format=FORMAT [-o FILE] [--bound]`: a run's circuit, Hamiltonian or energies for other programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runner.cli.verb import Argument, CommandLine, Flag, Verb
from runner.errors import ConfigError, StorageError

VERB = Verb(
    name="export",
    does="circuit, Hamiltonian or energies of a run for other programs",
    arguments=(
        Argument(name="DIR", does="a run directory"),
        Argument(name="[plugins=[…]]", does="where the run used some"),
    ),
    flags=(
        Flag(
            name="--format",
            value="FORMAT",
            does="qasm3, qpy, csv, openfermion, …; any other word lists them all",
        ),
        Flag(
            name="--output",
            short="-o",
            value="FILE",
            does="a file that does not exist yet, instead of printing",
        ),
        Flag(name="--bound", does="the circuit with the run's best parameters put in"),
    ),
    path="run directory",
    paths=(1, 1),
    settings=("plugins",),
    examples=(
        "export outputs/runs/… --format=qasm3 --bound",
        "export outputs/runs/… --format=qpy -o circuit.qpy",
    ),
    data=True,
)


def main(line: CommandLine) -> int:
    """Print it, or write it into a file that does not exist yet."""
    from runner.declare.overrides import split_plugins
    from runner.record.redaction import redact, secret_in
    from runner.review.export import BINARY, FORMATS, export

    plugins, _ = split_plugins(line.settings)
    if "format" not in line.values:
        raise ConfigError(f"is missing; one of {', '.join(FORMATS)}", key="--format")
    format = line.values["format"]
    target = Path(line.values["output"]) if "output" in line.values else None
    if target is None and format in BINARY:
        raise ConfigError(f"{format} is no text; name a file with -o", key="--output")
    if target is not None and os.path.lexists(target):
        raise ConfigError(f"{target} exists; name another file", key="--output")
    content = export(line.paths[0], format, bound="bound" in line.flags, plugins=plugins)
    if (found := secret_in(content.decode(errors="replace"))) is not None:
        told = f"note: it holds {found}: an export is written as it is; look before you pass it on"
        print(told, file=sys.stderr)
    if target is None:
        sys.stdout.write(content.decode())
        return 0
    try:
        file = target.open("xb")  # nothing that has come there meanwhile is replaced
        try:
            with file:
                file.write(content)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"cannot write {target}: {(error.strerror or str(error)).lower()}") from error
    print(redact(str(target)))
    return 0

"""`-m`: one run per combination, all of them checked before the first one starts."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.config import Declaration, declare
from runner.directory import OUTPUTS, RunDirectory
from runner.errors import ConfigError, Interrupted, RunnerError
from runner.refusal import parse

MAX_COMBINATIONS = 100_000
"""A sweep with more runs than this is taken for a mistake."""


def sweep(overrides: Sequence[str], *, config_dirs: Sequence[str] = ()) -> int:
    """Run every combination of the given values, one after the other; one that fails does not stop the others.

    Returns:
        0 when every run finished, otherwise the first exit code that was not 0.

    Raises:
        ConfigError: one of the combinations is bad input; nothing was run.
    """
    declarations = [declare(combination, config_dirs=config_dirs) for combination in combinations(overrides)]
    directory = _sweep_directory(overrides)
    rows = []
    for number, declaration in enumerate(declarations):
        print(f"[{number + 1}/{len(declarations)}] {declaration.name}", file=sys.stderr)
        rows.append(_run_one(replace(declaration, directory=str(directory.path / str(number)))))
        _write_table(directory.path / "sweep.csv", rows)
        if rows[-1]["exit_code"] >= 128:
            return int(rows[-1]["exit_code"])
    from rich.console import Console

    from runner.progress import rows as table

    Console().print(table(rows))
    print(f"{directory.path}/sweep.csv")
    return next((int(row["exit_code"]) for row in rows if row["exit_code"]), 0)


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of the swept values as a list of plain overrides.

    Raises:
        ConfigError: there are more than 100 000.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    parsed = parse(overrides)
    count = math.prod(
        sum(1 for _ in override.sweep_string_iterator())
        for override in parsed
        if override.is_sweep_override()
    )
    if count > MAX_COMBINATIONS:
        raise ConfigError(f"{count} combinations, more than {MAX_COMBINATIONS}; sweep over less", key="-m")
    return [
        list(combination) for batch in BasicSweeper.split_arguments(parsed, None) for combination in batch
    ]


def _sweep_directory(overrides: Sequence[str]) -> RunDirectory:
    for override in parse(overrides):
        if override.key_or_group == "hydra.sweep.dir":
            return RunDirectory.create_sweep(Path(str(override.value())))
    return RunDirectory.create_sweep(OUTPUTS / "sweeps" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}")


def _run_one(declaration: Declaration) -> dict[str, Any]:
    from runner.run import run

    try:
        result = run(declaration)
    except Interrupted as error:
        return {"run": declaration.name, "status": "interrupted", "exit_code": error.exit_code}
    except RunnerError as error:
        return {
            "run": declaration.name,
            "status": "failed",
            "stop_reason": str(error),
            "exit_code": error.exit_code,
        }
    return {
        "run": declaration.name,
        "status": result.status,
        "energy": result.energy,
        "error": result.error,
        "evaluations": result.evaluations,
        "usage_seconds": result.usage_seconds,
        "stop_reason": result.stop_reason,
        "exit_code": result.exit_code,
    }


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)

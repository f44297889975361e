"""`compare DIR DIR…`: runs side by side, what was declared differently above what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.cli.list import error_of, existing, result, runs, state
from runner.cli.verb import Argument, CommandLine, Verb
from runner.declare.config import flatten
from runner.display.words import NO_SPREAD, clock, decimals, energy_number, spreadless
from runner.errors import ConfigError
from runner.record.directory import JOURNAL
from runner.record.files import read_mapping
from runner.record.redaction import redact
from runner.record.result import taken_in_all

VERB = Verb(
    name="compare",
    does="runs side by side, what was declared differently above what came out",
    arguments=(Argument(name="DIR DIR…", does="run directories; a sweep's stands for all of its runs"),),
    path="run directory",
    paths=(1, None),
    examples=("compare outputs/runs/… outputs/runs/…",),
)

NOT_COMPARED = ("tracking.", "run.", "name", "plugins")
"""Settings that say nothing about the result."""

MOST = 12
"""Runs that fit side by side."""


def main(line: CommandLine) -> int:
    """Print a table with one column per run; a sweep's directory stands for all of its runs."""
    from rich.table import Table
    from rich.text import Text

    from runner.display.live import terminal
    from runner.display.stream import as_text
    from runner.record.journal import tell_damage

    paths = [path for word in line.paths for path in sorted(runs(existing(word)), key=_natural)]
    if len(paths) < 2:
        raise ConfigError(
            f"needs at least two runs, got {len(paths)}: python -m runner compare DIR DIR…", key="compare"
        )
    if len(paths) > MOST:
        raise ConfigError(f"{len(paths)} runs do not fit side by side; name at most {MOST}", key="compare")
    for path in paths:
        tell_damage(path / JOURNAL)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for number, path in enumerate(paths, start=1):
        table.add_column(Text(f"[{number}]\n{as_text(path.name)}"), justify="right", overflow="fold")
    for row in differences(paths):
        table.add_row(*row)
    table.add_section()
    for row in outcomes(paths):
        table.add_row(*row)
    terminal().print(table)
    return 0


def differences(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """Settings that are not the same in all runs: key, then one value per run.

    Where a choice differs its name stands for it, and for all settings that only some of the choices have: those
    have a row where two runs of one choice differ in them, or two choices that both have them.
    """
    configs = [_config(path) for path in paths]
    keys = dict.fromkeys(key for config in configs for key in config)
    return [
        (key, *(_shown(config.get(key)) for config in configs))
        for key in keys
        if not key.startswith(NOT_COMPARED) and _differs(key, configs)
    ]


def _differs(key: str, configs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether two runs have other values, or one of two of the same choice has none."""
    values = [config[key] for config in configs if key in config]
    if any(value != values[0] for value in values):
        return True
    having = {_choices(key, config) for config in configs if key in config}
    return any(key not in config and _choices(key, config) in having for config in configs)


def _choices(key: str, config: Mapping[str, Any]) -> tuple[Any, ...]:
    """The names of the choices that a setting belongs to, outermost first."""
    parts = key.split(".")
    return tuple(config.get(".".join([*parts[:depth], "name"])) for depth in range(1, len(parts)))


def outcomes(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """What came out: name, then one value per run; nothing that is told of none of them."""
    found = [result(path) for path in paths]

    def line(name: str, shown: Any, of: Any = dict.get) -> tuple[str, ...]:
        return (name, *("" if (value := of(one, name)) is None else shown(value) for one in found))

    def count(number: int) -> str:
        return str(number or "")

    states = [one.get("status") or state(path) for one, path in zip(found, paths, strict=True)]
    rows = [
        ("status", *states),
        line("energy", energy_number, _of_the_energy),
        line("energy_kind", str, _of_the_energy),
        line("value of", _shown, lambda one, _: one.get("observable")),
        line("value", energy_number, _of_the_value),
        line("value_kind", str, _of_the_value),
        ("stddev", *(_spread(one) for one in found)),
        ("error", *(error_of(one, one.get("error")) for one in found)),
        line("error_sigmas", lambda value: f"{decimals(value, 1, '+')} σ"),
        line("exact_energy", energy_number),
        line("reference_energy", energy_number),
        line("evaluations", count),
        line("iterations", count),
        line("usage_seconds", clock, taken_in_all),
        line("cost", lambda value: f"{decimals(value, 2)} USD", taken_in_all),
        line("wall_seconds", clock),
    ]
    return [row for row in rows if any(row[1:])]


def _of_the_energy(found: Mapping[str, Any], name: str) -> Any:
    """What is told of an energy; nothing where the number is an observable's."""
    return None if found.get("observable") else found.get(name)


def _of_the_value(found: Mapping[str, Any], name: str) -> Any:
    """The same of the expectation value of an observable that is no energy."""
    return found.get(name.replace("value", "energy")) if found.get("observable") else None


def _spread(found: Mapping[str, Any]) -> str:
    """The standard error, which exact values have not, and shots that came out alike do not tell."""
    return NO_SPREAD if spreadless(found) else f"{stddev:.2g}" if (stddev := found.get("stddev")) else ""


def _config(path: Path) -> dict[str, Any]:
    try:
        return flatten(read_mapping(path / "config.yaml"))
    except FileNotFoundError:
        return {}


def _shown(value: Any) -> str:
    text = "" if value is None else redact(str(value))  # before it is cut
    return text if len(text) <= 40 else text[:39] + "…"


def _natural(path: Path) -> tuple[int, str]:
    """Runs of a sweep in the order of their numbers."""
    return (int(path.name) if path.name.isdigit() else -1, str(path))

"""`--cfg`: the composed configuration of a run, or of every combination of a sweep, as YAML; nothing runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from runner.cli.verb import CommandLine
from runner.declare.checks import nearest
from runner.declare.config import Declaration
from runner.errors import ConfigError
from runner.run.execution import to_yaml
from runner.sweep.compose import SweepSettings
from runner.sweep.entry import planned

EVERYTHING = "_global_"
"""Hydra's name for the whole configuration."""


def documents(line: CommandLine, overrides: Sequence[str], declared: Declaration | None) -> Iterator[str]:
    """YAML documents: one for a run, one for each combination of a sweep.

    Args:
        line: what was typed.
        overrides: of a run or sweep.
        declared: the run; None: it is a sweep.

    Raises:
        ConfigError: a combination is bad input, a search has no combinations yet, or there is no such part.
    """
    what, package = line.values["cfg"], line.values.get("package", EVERYTHING)
    if declared is not None:
        hydra = {"mode": "RUN", "run": {"dir": declared.directory}}
        yield _text(_chosen(what, hydra, declared.values), package)
        return
    settings, combinations = planned(overrides, config_dirs=line.config_dirs, search=what == "hydra")
    if what == "hydra":
        yield _text({"hydra": _of_hydra(settings)}, package)
        return
    for number, (label, found) in enumerate(combinations):
        values = " ".join(f"{key}={value}" for key, value in label.items())
        text = _text(_chosen(what, _of_hydra(settings), found.values), package)
        yield f"--- # {number}: {values}\n{text}"


def _of_hydra(settings: SweepSettings) -> dict[str, Any]:
    """What counts of Hydra's own configuration in a sweep."""
    return {
        "mode": "MULTIRUN",
        "sweep": {"dir": settings.directory},
        "launcher": {} if settings.launcher is None else asdict(settings.launcher),
        "sweeper": {"max_batch_size": settings.batch}
        if settings.sweeper is None
        else asdict(settings.sweeper),
        "runtime": {"choices": {f"hydra/{part}": name for part, name in settings.choices.items()}},
    }


def _chosen(what: str, hydra: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {**({} if what == "job" else {"hydra": hydra}), **({} if what == "hydra" else values)}


def _text(values: Mapping[str, Any], package: str) -> str:
    """The YAML of a part of the configuration."""
    if package == EVERYTHING:
        return to_yaml(values)
    part: Any = values
    for name in package.split("."):
        if not isinstance(part, Mapping) or name not in part:
            known = list(part) if isinstance(part, Mapping) else []
            raise ConfigError(f"there is no {package!r}{nearest(name, map(str, known))}", key="--package")
        part = part[name]
    return f"# @package {package}\n{to_yaml(part if isinstance(part, Mapping) else {name: part})}"

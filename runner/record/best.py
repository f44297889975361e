"""Which parameters are a run's best: one meaning for whoever starts from them, binds or shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.record.directory import RunDirectory
from runner.record.events import Evaluation, Event, ProblemPosed
from runner.record.journal import read_telling
from runner.record.log import first, of
from runner.record.packed import is_there
from runner.record.reading import read_latest
from runner.record.replay import POOL


@dataclass(frozen=True, kw_only=True)
class BestParameters:
    """Values that a run has for the parameters of its circuit."""

    values: list[float]
    """In radians, in the circuit's order."""
    names: list[str] | None
    """Of the parameters, in the same order; None where the run did not keep them."""

    @property
    def named(self) -> dict[str, float] | list[float]:
        """{name: value}, or a list where there are no names."""
        return self.values if self.names is None else dict(zip(self.names, self.values, strict=True))


def best_parameters(path: str | Path, events: Sequence[Event] | None = None) -> BestParameters | None:
    """The parameters of a run's result, which were measured afresh; of one without a result, its lowest evaluation's.

    Args:
        path: the run directory.
        events: those of its journal, where they have been read.

    Returns:
        None where the run has found an energy at no parameters.

    Raises:
        ConfigError: result.json or the journal is damaged.
    """
    files = RunDirectory(Path(path))
    result = read_latest(files.result) if files.result.is_file() else {}
    if result.get("parameters"):
        return _of(result["parameters"], result.get("parameter_names"))
    if events is None:
        events = read_telling(files.journal) if is_there(files.journal) else []
    # what is no number is a word in a journal
    found = (
        one
        for one in of(events, Evaluation)
        if one.parameters and one.workload != POOL and math.isfinite(float(one.energy))
    )
    lowest = min(found, key=lambda one: one.energy, default=None)
    if lowest is None or lowest.parameters is None:
        return None
    problem = first(events, ProblemPosed)
    return _of(lowest.parameters, None if problem is None else problem.parameter_names)


def _of(values: list[float], names: object) -> BestParameters:
    fit = (
        isinstance(names, list) and len(names) == len(values) and all(isinstance(name, str) for name in names)
    )
    return BestParameters(values=list(values), names=list(names) if fit and isinstance(names, list) else None)

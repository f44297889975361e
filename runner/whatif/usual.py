"""What a run usually takes that may end before its budget is used up: from recorded runs, or from a measured table."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.declare.config import Declaration, RunConfig
from runner.display.words import clock
from runner.record.directory import JOURNAL, OUTPUTS
from runner.record.files import read_object
from runner.record.journal import opening
from runner.record.ledger import jobs_of
from runner.record.reading import read_result

EVALUATIONS: Mapping[str, tuple[float, float]] = {
    "adam": (140.0, 0.04),
    "bfgs": (1.9, 0.88),
    "cg": (1.35, 1.19),
    "cma_es": (125.0, 1.0),
    "cobyla": (45.0, 0.88),
    "cobyqa": (7.1, 1.5),
    "l_bfgs_b": (2.3, 0.7),
    "nelder_mead": (25.0, 1.37),
    "newton_cg": (3.9, 1.58),
    "powell": (110.0, 0.78),
    "slsqp": (1.6, 0.82),
    "tnc": (1.4, 1.17),
    "trust_constr": (1.22, 1.28),
    "trust_exact": (3.9, 1.54),
    "trust_krylov": (4.6, 1.38),
    "trust_ncg": (4.3, 1.44),
}
"""Method → (a, b): it is satisfied after about a·Pᵇ evaluations of an energy of P parameters.

Measured here, seeds 1 and 2: H2 with UCCSD (P = 3), the two-qubit example (12) and LiH on four qubits (32; 24 for
powell) with efficient_su2. Lattices from random starts take up to ten times as many, so this is for circuits too large
to be tried.
A method that is not here uses its budget up, or the steps that it is given.
"""

FEWEST = 5
"""Evaluations that any of them takes to see that it stands still: H2 and LiH with one excitation, l_bfgs_b."""

SWEEPS = 7
"""Sweeps of NFT, with 4096 and 10 000 shots or without: H2, LiH and the two-qubit example, 3 to 11, seeds 1 to 3."""

THROUGH_NOISE = frozenset(("cobyla", "cobyqa", "l_bfgs_b", "slsqp"))
"""Methods that are satisfied after as many evaluations where energies have shot noise; others go on and on."""

OTHERWISE = ("seed", "name", "run", "tracking", "plugins")
"""Settings by which runs may differ and still take alike."""

NEWEST = 50
"""Recorded runs that are looked at."""


def usual_evaluations(
    optimizer: Any, parameters: int, *, differences: bool, sampled: bool, per_sweep: int | None = None
) -> int | None:
    """Evaluations after which a method is usually satisfied; None where it has no usual count.

    Args:
        optimizer: the declaration.
        parameters: P.
        differences: its gradients are finite differences, so that each is 2P + 1 evaluations.
        sampled: the energies have shot noise.
        per_sweep: energies of one sweep over all parameters, of a method that has sweeps.
    """
    if per_sweep is not None:
        return 1 + min(SWEEPS, optimizer.sweeps or SWEEPS) * per_sweep
    known = EVALUATIONS.get(optimizer.name)
    if known is None or not parameters or (sampled and optimizer.name not in THROUGH_NOISE):
        return None
    count = max(FEWEST, math.ceil(known[0] * parameters ** known[1]))
    return count * (2 * parameters + 1) if differences and optimizer.uses_gradient else count


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What a run takes that ends by itself; times on the session's clock."""

    source: str
    """Where it is known from, in words."""
    usage_seconds: float
    """Charged seconds."""
    cost: float
    """USD on the declared plan."""
    evaluations: int
    """Energies that an optimizer asks for."""
    jobs: int
    """Jobs submitted."""
    fits: bool
    """It ends before any limit does."""


def recorded(declared: RunConfig | Declaration) -> Usual | None:
    """What finished runs of the same configuration took, by their medians; None where there are none.

    They are looked for in outputs/runs; seed, name and what concerns the process only may differ.
    """
    values = declared.values if isinstance(declared, Declaration) else asdict(declared)
    wanted = _comparable(json.loads(json.dumps(values)))
    found = [taken for path in _newest() if (taken := _taken(path, wanted)) is not None]
    if not found:
        return None
    middle = {name: statistics.median(taken[name] for taken in found) for name in found[0]}
    count = len(found)
    return Usual(
        source=f"median of {count} recorded runs" if count > 1 else "a recorded run",
        usage_seconds=middle["usage_seconds"],
        cost=middle["cost"],
        evaluations=round(middle["evaluations"]),
        jobs=round(middle["jobs"]),
        fits=True,
    )


def _newest() -> list[Path]:
    finished = [(path.stat().st_mtime, path.parent) for path in (OUTPUTS / "runs").glob("*/result.json")]
    return [path for _, path in sorted(finished, reverse=True)[:NEWEST]]


def _taken(path: Path, wanted: dict[str, Any]) -> dict[str, float] | None:
    """What a finished run of this configuration took; None of any other, or where a file cannot be read."""
    try:
        result = read_result(path / "result.json")
        if result["status"] != "finished" or _comparable(_config(path)) != wanted:
            return None
        jobs = jobs_of(read_object(path / "session.json"))
        numbers = {name: float(result[name]) for name in ("usage_seconds", "cost", "evaluations")}
        return {**numbers, "jobs": float(len(jobs))}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _config(path: Path) -> dict[str, Any]:
    """The configuration in the journal's first line; quicker to read than config.yaml."""
    started = opening(path / JOURNAL)
    return {} if started is None else dict(started.config)


def _comparable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in OTHERWISE}


def rows(usual: Usual) -> Iterator[tuple[str, str]]:
    """What is printed of it: name and value."""
    ends = "" if usual.fits else "; does not fit"
    evaluations = f"{usual.evaluations} evaluations, " if usual.evaluations else ""
    yield (
        "usually",
        f"{evaluations}{usual.jobs} jobs, usage {clock(usual.usage_seconds)}, "
        f"{usual.cost:.2f} USD ({usual.source}){ends}",
    )

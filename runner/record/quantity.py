"""Which quantity the evaluations of a run are, which need not be an energy."""

from __future__ import annotations

from runner.record.events import RunStarted

ENERGY = "energy"
VALUE = "expectation value"
CVAR = "CVaR"
PENALIZED = "energy + penalty"


def quantity_of(started: RunStarted | None) -> str:
    """What a run evaluates: what it minimizes, or was asked for.

    Earlier releases did not write it, and it follows from what they declared.
    """
    if started is None:
        return ENERGY
    if started.quantity is not None:
        return started.quantity
    schema, declared = started.schemas.get("experiment"), started.config.get("experiment", {})
    if schema == "vqd":
        return PENALIZED
    if schema == "estimation":
        return VALUE if declared.get("observables") else ENERGY
    share = declared.get("cvar") if schema == "qaoa" else None
    return ENERGY if share is None or share == 1 else CVAR

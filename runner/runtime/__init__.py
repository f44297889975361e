"""The local runtime: sessions, batches and jobs that behave like the real service, on a clock of their own.

A library by itself: it imports neither Hydra nor MLflow, and `qiskit` only when a primitive is made::

    from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2, Session

Modules, from the inside out: `machine` (the rules), `timeline` (who may move the clock), `service`,
`session`, `primitives`; beside them `cost`, `plan`, `duration`, `retime`, which need no qiskit.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Batch": "session",
    "CostModel": "cost",
    "EstimatorV2": "primitives",
    "LocalBackend": "backends",
    "LocalRuntimeService": "service",
    "PLANS": "plan",
    "Plan": "plan",
    "QueueDelay": "cost",
    "RuntimeJob": "job",
    "SamplerV2": "primitives",
    "Session": "session",
    "VirtualClock": "clock",
    "WallClock": "clock",
    "derive_seed": "seeds",
    "parse_duration": "duration",
    "workload": "workloads",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the module that holds `name` the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'runner.runtime' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"runner.runtime.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List what can be imported from here."""
    return __all__

"""The local runtime: sessions, batches and jobs that behave like the real service, on a clock of their own.

A library by itself: it imports neither Hydra nor MLflow, and `qiskit` only when a primitive is made::

    from runner.runtime import EstimatorV2, LocalRuntimeService, SamplerV2, Session

Modules, from the inside out: `machine` (the rules), `timeline` (who may move the clock), `service`,
`session`, `primitives`; beside them `cost`, `plan`, `duration`, `retime`, which need no qiskit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.runtime.backends import LocalBackend
    from runner.runtime.clock import VirtualClock, WallClock
    from runner.runtime.cost import CostModel, QueueDelay
    from runner.runtime.duration import parse_duration
    from runner.runtime.job import RuntimeJob
    from runner.runtime.learning import write_noise_model
    from runner.runtime.plan import PLANS, Plan
    from runner.runtime.primitives import EstimatorV2, NoiseLearner, SamplerV2
    from runner.runtime.seeds import derive_seed
    from runner.runtime.service import LocalRuntimeService
    from runner.runtime.session import Batch, Session
    from runner.runtime.workloads import workload

_HOMES = {
    "Batch": "session",
    "CostModel": "cost",
    "EstimatorV2": "primitives",
    "LocalBackend": "backends",
    "LocalRuntimeService": "service",
    "NoiseLearner": "primitives",
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
    "write_noise_model": "learning",
}

__all__ = [
    "PLANS",
    "Batch",
    "CostModel",
    "EstimatorV2",
    "LocalBackend",
    "LocalRuntimeService",
    "NoiseLearner",
    "Plan",
    "QueueDelay",
    "RuntimeJob",
    "SamplerV2",
    "Session",
    "VirtualClock",
    "WallClock",
    "derive_seed",
    "parse_duration",
    "workload",
    "write_noise_model",
]


__getattr__ = face(__name__, _HOMES)


def __dir__() -> list[str]:
    """List what can be imported from here."""
    return __all__

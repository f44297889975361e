"""What a service can, stated by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What is different from one service to another; whoever needs one of these asks for it."""

    repeats_its_past: bool
    """A new process that asks the same gets the same jobs, times and sessions again; otherwise it is to be told of them
    (`continue_from`)."""
    knows_its_queue: bool
    """It tells before a job is submitted how long it will take, and what will be left of the session then."""
    mitigation: tuple[int, ...] = (0,)
    """Resilience levels of its Estimator; 0 mitigates nothing."""


LOCAL = Capabilities(repeats_its_past=True, knows_its_queue=True, mitigation=(0, 1, 2))
"""Of the local runtime."""

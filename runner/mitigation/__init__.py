"""Errors of expectation values undone: readout, zero-noise extrapolation and twirling, as IBM's client does it.

The client's own parts make the circuits (`client`), a plan runs them on the engine (`plan`), and the outcomes become
values with honest errors (`decoding`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.mitigation.client import Setting, setting
    from runner.mitigation.plan import Calibration, MitigatedPlan

__all__ = ["Calibration", "MitigatedPlan", "Setting", "setting"]

__getattr__ = face(
    __name__,
    {
        "Calibration": "plan",
        "MitigatedPlan": "plan",
        "Setting": "client",
        "setting": "client",
    },
)

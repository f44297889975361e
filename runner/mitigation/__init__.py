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
    from runner.mitigation.sampling import SampledPlan, SamplerSetting, sampler_setting

__all__ = [
    "Calibration",
    "MitigatedPlan",
    "SampledPlan",
    "SamplerSetting",
    "Setting",
    "sampler_setting",
    "setting",
]

__getattr__ = face(
    __name__,
    {
        "Calibration": "plan",
        "MitigatedPlan": "plan",
        "SampledPlan": "sampling",
        "SamplerSetting": "sampling",
        "Setting": "client",
        "sampler_setting": "sampling",
        "setting": "client",
    },
)

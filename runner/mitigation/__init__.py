"""Errors of expectation values undone: readout, extrapolated or cancelled noise and twirling, as IBM's client does it.

The client's own parts make the circuits (`client`), a plan runs them on the engine (`plan`), and the outcomes become
values with honest errors (`decoding`). The noise of layers (`noise`) is learned by circuits of the client's, too
(`learning`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.mitigation.client import (
        Setting,
        learner_setting,
        noise_learner_result,
        received_noise,
        require_amplifiable,
        setting,
    )
    from runner.mitigation.layered import layer_noise_model
    from runner.mitigation.learning import DRESSING, LearningPlan
    from runner.mitigation.noise import (
        MAX_PAIRS,
        Layer,
        LayerNoise,
        Learning,
        NoiseOfLayers,
        read_noise,
        require_of_device,
    )
    from runner.mitigation.plan import Calibration, MitigatedPlan, layers_of
    from runner.mitigation.readout import (
        Misread,
        QuasiProbabilities,
        calibration_circuits,
        require_installed,
    )
    from runner.mitigation.sampling import SampledPlan, SamplerSetting, sampler_setting

__all__ = [
    "DRESSING",
    "MAX_PAIRS",
    "Calibration",
    "Layer",
    "LayerNoise",
    "Learning",
    "LearningPlan",
    "Misread",
    "MitigatedPlan",
    "NoiseOfLayers",
    "QuasiProbabilities",
    "SampledPlan",
    "SamplerSetting",
    "Setting",
    "calibration_circuits",
    "layer_noise_model",
    "layers_of",
    "learner_setting",
    "noise_learner_result",
    "read_noise",
    "received_noise",
    "require_amplifiable",
    "require_installed",
    "require_of_device",
    "sampler_setting",
    "setting",
]

__getattr__ = face(
    __name__,
    {
        "Calibration": "plan",
        "DRESSING": "learning",
        "Layer": "noise",
        "MAX_PAIRS": "noise",
        "LayerNoise": "noise",
        "Learning": "noise",
        "LearningPlan": "learning",
        "Misread": "readout",
        "MitigatedPlan": "plan",
        "NoiseOfLayers": "noise",
        "QuasiProbabilities": "readout",
        "SampledPlan": "sampling",
        "SamplerSetting": "sampling",
        "Setting": "client",
        "calibration_circuits": "readout",
        "layer_noise_model": "layered",
        "layers_of": "plan",
        "learner_setting": "client",
        "noise_learner_result": "client",
        "read_noise": "noise",
        "received_noise": "client",
        "require_amplifiable": "client",
        "require_installed": "readout",
        "require_of_device": "noise",
        "sampler_setting": "sampling",
        "setting": "client",
    },
)

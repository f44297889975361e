"""Execution of circuits: plans compiled once, evaluated ever after, on Aer or on a compiled kernel."""

from runner.engine.engine import Engine
from runner.engine.estimator import EstimatorNumbers, EstimatorPlan
from runner.engine.noise import DeviceNoise
from runner.engine.sampler import SamplerPlan

__all__ = ["DeviceNoise", "Engine", "EstimatorNumbers", "EstimatorPlan", "SamplerPlan"]

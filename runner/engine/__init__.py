"""Circuits to numbers: what is asked of the engine from outside, loaded with Qiskit when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.engine.circuits import dissect, without_final_measurements
    from runner.engine.classification import (
        NAMES,
        classify,
        in_order,
        names_of,
        require_known,
        with_names,
    )
    from runner.engine.duration import misaligned_delay
    from runner.engine.engine import Engine
    from runner.engine.estimator import EstimatorNumbers, EstimatorPlan
    from runner.engine.extent import define, require_extent
    from runner.engine.identity import canonical_text
    from runner.engine.kernel.state_vector import StateVectorKernel
    from runner.engine.noise import DeviceNoise, amplified
    from runner.engine.observables import measurement_bases, pauli_terms, variance_bounds
    from runner.engine.quasi_static import QuasiStatic
    from runner.engine.reading import EQUAL, TermReading, shares_of
    from runner.engine.sampler import SamplerPlan
    from runner.engine.schedule import why_not
    from runner.engine.structure import ProductStates, Propagated, narrow

__all__ = [
    "EQUAL",
    "NAMES",
    "DeviceNoise",
    "Engine",
    "EstimatorNumbers",
    "EstimatorPlan",
    "ProductStates",
    "Propagated",
    "QuasiStatic",
    "SamplerPlan",
    "StateVectorKernel",
    "TermReading",
    "amplified",
    "canonical_text",
    "classify",
    "define",
    "dissect",
    "in_order",
    "kept_whole",
    "measurement_bases",
    "misaligned_delay",
    "names_of",
    "narrow",
    "observables_array",
    "pauli_terms",
    "require_extent",
    "require_known",
    "shares_of",
    "variance_bounds",
    "why_not",
    "with_names",
    "without_final_measurements",
]

__getattr__ = face(
    __name__,
    {
        "DeviceNoise": "noise",
        "EQUAL": "reading",
        "Engine": "engine",
        "EstimatorNumbers": "estimator",
        "EstimatorPlan": "estimator",
        "NAMES": "classification",
        "QuasiStatic": "quasi_static",
        "SamplerPlan": "sampler",
        "StateVectorKernel": "kernel.state_vector",
        "TermReading": "reading",
        "amplified": "noise",
        "canonical_text": "identity",
        "classify": "classification",
        "define": "extent",
        "dissect": "circuits",
        "in_order": "classification",
        "kept_whole": "observables",
        "measurement_bases": "observables",
        "misaligned_delay": "duration",
        "names_of": "classification",
        "narrow": "structure",
        "observables_array": "observables",
        "pauli_terms": "observables",
        "ProductStates": "structure",
        "Propagated": "structure",
        "require_extent": "extent",
        "require_known": "classification",
        "shares_of": "reading",
        "variance_bounds": "observables",
        "why_not": "schedule",
        "with_names": "classification",
        "without_final_measurements": "circuits",
    },
)

"""Parametrized circuits, and where their parameters start."""

from runner.ansatz.layered import EfficientSU2, RealAmplitudes

SCHEMAS = {
    "efficient_su2": EfficientSU2,
    "real_amplitudes": RealAmplitudes,
}

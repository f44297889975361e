"""Parametrized circuits, and where their parameters start."""

from runner.ansatz.alternating import QAOA, HamiltonianVariational
from runner.ansatz.excitations import ExcitationAnsatz
from runner.ansatz.file import CircuitFile
from runner.ansatz.gates import GateList
from runner.ansatz.layered import EfficientSU2, NLocal, RealAmplitudes
from runner.ansatz.lucj import LUCJ
from runner.ansatz.start import AnsatzConfig

__all__ = ["SCHEMAS", "AnsatzConfig"]

SCHEMAS: dict[str, type[AnsatzConfig]] = {
    "efficient_su2": EfficientSU2,
    "real_amplitudes": RealAmplitudes,
    "n_local": NLocal,
    "excitations": ExcitationAnsatz,
    "hva": HamiltonianVariational,
    "qaoa": QAOA,
    "lucj": LUCJ,
    "gates": GateList,
    "circuit_file": CircuitFile,
}
"""Schema name → declaration."""

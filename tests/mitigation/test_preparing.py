"""Quantum programs of the client-side Estimator that are prepared once."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from runner.mitigation.preparing import PreparedEstimator


def test_a_program_that_comes_again_has_only_new_parameter_values() -> None:
    """The client's own `prepare` of the same PUBs, folded and calibrated, gives the same; other observables do not."""
    from qiskit_ibm_runtime.executor_estimator import Estimator
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    circuit = QuantumCircuit(5)
    circuit.rz(Parameter("a"), 0)
    circuit.cx(0, 1)
    programs = PreparedEstimator(Estimator(mode=FakeManilaV2(), options={"resilience_level": 2}))
    several = [["IIIZZ", "IIIXX"], "IIIYY"]

    def pubs(first: float, labels: list[Any]) -> list[EstimatorPub]:
        fixed = circuit.assign_parameters([0.2])
        return [
            EstimatorPub.coerce((circuit, labels[0], [[first], [0.5]])),
            EstimatorPub.coerce((fixed, labels[1])),
        ]

    program, _ = programs._prepared(pubs(0.3, several), None)
    again, _ = programs._prepared(pubs(0.9, several), None)
    expected, _ = programs._prepare(pubs(0.9, several), None)
    other, _ = programs._prepared(pubs(0.9, several[::-1]), None)

    assert again is program
    assert other is not program
    for item, known in zip(again.items, expected.items, strict=True):
        found = sorted(item.samplex_arguments.items())
        wanted = sorted(
            known.samplex_arguments.items()
        )  # the client numbers its bases anew for every program
        for (_, one), (_, two) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, two)

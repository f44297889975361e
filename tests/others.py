"""What code of others is run on, in process and through `serve`."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit


def bell() -> QuantumCircuit:
    """Both bits are the same."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def hydrogen() -> tuple[Any, Any, Any]:
    """H2 in STO-3G at 0.7414 Å by the integrals of J. Whitfield et al. (arXiv:1001.3855): full CI is −1.13727 Ha.

    Returns:
        the problem, the mapper and the ansatz of qiskit-nature.
    """
    from qiskit_nature.second_q.circuit.library import UCCSD, HartreeFock
    from qiskit_nature.second_q.hamiltonians import ElectronicEnergy
    from qiskit_nature.second_q.mappers import JordanWignerMapper
    from qiskit_nature.second_q.problems import ElectronicStructureProblem

    two = np.zeros((2, 2, 2, 2))
    two[0, 0, 0, 0], two[1, 1, 1, 1] = 0.674493, 0.697397
    two[0, 0, 1, 1] = two[1, 1, 0, 0] = 0.663472
    for place in ((0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0)):
        two[place] = 0.181288
    energy = ElectronicEnergy.from_raw_integrals(np.diag([-1.252477, -0.475934]), two)
    energy.nuclear_repulsion_energy = 0.713776
    problem = ElectronicStructureProblem(energy)
    problem.num_particles = (1, 1)
    mapper = JordanWignerMapper()
    return problem, mapper, UCCSD(2, (1, 1), mapper, initial_state=HartreeFock(2, (1, 1), mapper))

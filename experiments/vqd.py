"""Variational quantum deflation: excited states one after the other (Higgott, Wang & Brierley 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError
from runner.experiment import Experiment
from runner.overlap import MAX_PROJECTED_QUBITS, all_zeros, undone
from runner.problem import MAX_EXACT_QUBITS, lowest_eigenvalues
from runner.require import require_integer, require_positive
from runner.results import Outcome
from runner.workload import Term

if TYPE_CHECKING:
    import numpy as np
    from qiskit.providers import BackendV2

    from runner.config import RunConfig
    from runner.lab import Lab
    from runner.optimizer import OptimizerResult
    from runner.problem import Problem
    from runner.workload import Workload


@dataclass(kw_only=True)
class Vqd(Experiment):
    """Level k minimizes E(θ) + β Σⱼ |⟨ψ(θ)|ψⱼ⟩|² over the levels j < k found before."""

    name: str = "vqd"
    """Name of the experiment."""
    levels: int = 3
    """Number of states, the ground state included; a degenerate level counts as often as it occurs."""
    penalty: float | None = None
    """β in the Hamiltonian's unit, above the highest excitation sought; null: twice the sum of |coefficients|."""
    starts: int = 3
    """Starting points tried per level; the first is the ansatz's, the others are random."""

    def __post_init__(self) -> None:
        require_integer("experiment.levels", self.levels, 1, 64)
        require_integer("experiment.starts", self.starts, 1, 1000)
        if self.penalty is not None:
            require_positive("experiment.penalty", self.penalty)

    def prepare(self, config: RunConfig, backend: BackendV2, problem: Problem | None) -> float:  # noqa: ARG002
        """The penalty β.

        Raises:
            ConfigError: there are fewer states than levels, or too many qubits for overlaps.
        """
        assert problem is not None
        qubits = problem.hamiltonian.num_qubits
        if self.levels > 2**qubits:
            raise ConfigError(
                f"{qubits} qubits have {2**qubits} states, got {self.levels}; lower it",
                key="experiment.levels",
            )
        if self.levels > 1 and qubits > MAX_PROJECTED_QUBITS:
            raise ConfigError(
                f"overlaps are measured on at most {MAX_PROJECTED_QUBITS} qubits, got {qubits}; make it smaller",
                key="hamiltonian",
            )
        if self.penalty is not None:
            return self.penalty
        terms = zip(problem.hamiltonian.paulis, problem.hamiltonian.coeffs, strict=True)
        return 2 * float(sum(abs(value) for pauli, value in terms if pauli.x.any() or pauli.z.any()))

    def run(self, lab: Lab) -> Outcome:
        """One level after the other, each kept away from those below it."""
        problem = lab.problem
        exact: list[float | None] = [None] * self.levels
        if problem.hamiltonian.num_qubits <= MAX_EXACT_QUBITS:
            exact = lowest_eigenvalues(problem.hamiltonian, self.levels).tolist()
        below: list[Term] = []
        finished: list[Workload] = []
        ground = (math.inf, 0.0)
        for level in range(self.levels):
            workload = lab.workload(f"level {level}")
            found = self.descend(lab, workload, below)
            finished.append(workload)
            energy, stddev = lab.confirm(workload, problem.circuit, problem.observable)
            reference = exact[level]
            lab.row(
                level=level, energy=energy, stddev=stddev, exact=reference,
                error=None if reference is None else energy - reference, evaluations=workload.evaluations,
            )  # fmt: skip
            if level == 0:
                ground = energy, stddev
            if found.resumable:
                break
            circuit = lab.fit(undone(problem.ansatz, workload.best.parameters))
            below.append(Term(circuit, all_zeros(circuit, problem.ansatz.num_qubits), lab.prepared))
        return Outcome(
            energy=ground[0],
            stddev=ground[1],
            parameters=finished[0].best.parameters,
            reference_energy=exact[0],
            evaluations=sum(workload.evaluations for workload in finished),
            iterations=sum(workload.iterations for workload in finished),
            stop_reason=found.message,
            resumable=found.resumable,
            table=lab.table,
        )

    def descend(self, lab: Lab, workload: Workload, below: list[Term]) -> OptimizerResult:
        """Minimize the penalized energy from every starting point; the workload remembers the lowest."""
        optimizer = lab.config.optimizer
        energy = lab.objective(
            workload, Term(lab.problem.circuit, lab.problem.observable), *below, optimizer=optimizer
        )
        for point in self.points(lab, workload, first=not below):
            found = lab.minimize(workload, optimizer, energy=energy, start=point)
            if found.resumable:
                break
        return found

    def points(self, lab: Lab, workload: Workload, *, first: bool) -> list[Any]:
        """Where the optimizer starts: the declared point for the ground state, and random ones."""
        count = lab.problem.ansatz.num_parameters
        random: list[np.ndarray] = [
            workload.rng.uniform(-math.pi, math.pi, count) for _ in range(self.starts)
        ]
        return [lab.problem.initial_point, *random[1:]] if first else random

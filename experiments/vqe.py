"""The variational quantum eigensolver: minimize ⟨ψ(θ)|H|ψ(θ)⟩ over θ (Peruzzo et al., Nat. Commun. 5, 4213 (2014))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.run.experiment import Experiment
from runner.run.results import Outcome

if TYPE_CHECKING:
    from runner.run.context import Lab


@dataclass(kw_only=True)
class Vqe(Experiment):
    """One ansatz, one optimizer, one workload."""

    name: str = "vqe"
    """Name of the experiment."""

    def run(self, lab: Lab) -> Outcome:
        """Minimize the energy; report it, measured afresh, at the best of the optimizer's candidates."""
        workload = lab.workload("vqe")
        found = lab.minimize(workload, lab.config.optimizer)
        (answer,) = lab.settle(workload)
        return Outcome(
            **answer.outcome(),
            reference_energy=lab.problem.reference_energy,
            evaluations=workload.evaluations,
            iterations=workload.iterations,
            stop_reason=answer.stop_reason(found),
            resumable=answer.resumable(found),
        )

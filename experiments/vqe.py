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
    """One ansatz, one optimizer, one stream."""

    name: str = "vqe"
    """Name of the experiment."""

    def run(self, lab: Lab) -> Outcome:
        """Minimize the energy; report it, measured afresh, at the best of the optimizer's candidates."""
        stream = lab.stream("vqe")
        found = lab.minimize(stream, lab.config.optimizer)
        (answer,) = lab.settle(stream)
        return Outcome(
            **answer.outcome(),
            reference_energy=lab.problem.reference_energy,
            evaluations=stream.evaluations,
            iterations=stream.iterations,
            stop_reason=answer.stop_reason(found),
            resumable=answer.resumable(found),
        )

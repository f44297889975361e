"""The variational quantum eigensolver: minimize ⟨ψ(θ)|H|ψ(θ)⟩ over θ (Peruzzo et al., Nat. Commun. 5, 4213 (2014))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.run.experiment import Experiment
from runner.run.results import Outcome
from runner.run.suitability import most_evaluations

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.run.context import Lab
    from runner.run.problem import Problem


@dataclass(kw_only=True)
class Vqe(Experiment):
    """One ansatz, one optimizer, one stream."""

    name: str = "vqe"
    """Name of the experiment."""

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:
        """Those of the one minimization."""
        return most_evaluations(config, problem.circuit if problem else None)

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

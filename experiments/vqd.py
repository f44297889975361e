"""Variational quantum deflation: excited states one after the other (Higgott, Wang & Brierley 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner import engine
from runner.declare.checks import require_integer, require_number, require_positive
from runner.display.words import RESIDUE, error_in_words
from runner.errors import ConfigError
from runner.hamiltonian.scale import collected, largest, size
from runner.hamiltonian.sector import levels, number_of_states, sector_of
from runner.run.answer import Answer
from runner.run.experiment import Experiment
from runner.run.objective import Term
from runner.run.overlap import MAX_PROJECTED_QUBITS, all_zeros, undone
from runner.run.results import Outcome
from runner.run.suitability import check_optimizer, most_evaluations

if TYPE_CHECKING:
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.optimizer import OptimizerResult
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend


NEAR = 1e-5
"""Of the Hamiltonian's largest coefficient, how far from an exact level a minimization that has found it may end."""


@dataclass(frozen=True)
class Deflation:
    """What keeps a level away from those below, and in the sector."""

    penalty: float
    """β, in the Hamiltonian's unit."""
    observable: SparsePauliOp
    """What is minimized, in the circuit's layout: the Hamiltonian, and the sector's penalty where it is needed."""


@dataclass(kw_only=True)
class Vqd(Experiment):
    """Level k minimizes E(θ) + β Σⱼ |⟨ψ(θ)|ψⱼ⟩|² over the levels j < k found before."""

    name: str = "vqd"
    """Name of the experiment."""
    levels: int = 3
    """Number of states, the ground state included; a degenerate level counts as often as it occurs."""
    penalty: float | None = None
    """β in the Hamiltonian's unit, above the highest excitation sought; null: twice the sum of |coefficients|."""
    sector_penalty: float | None = None
    """µ of µ[(N↑−n↑)² + (N↓−n↓)²], added where the ansatz changes numbers of electrons; null: as β; 0: none."""
    starts: int = 3
    """Starting points tried per level; the first is the ansatz's, the others are random."""

    def __post_init__(self) -> None:
        require_integer("experiment.levels", self.levels, 1, 64)
        require_integer("experiment.starts", self.starts, 1, 1000)
        if self.penalty is not None:
            require_positive("experiment.penalty", self.penalty)
        if self.sector_penalty is not None:
            require_number("experiment.sector_penalty", self.sector_penalty)
            if self.sector_penalty < 0:
                raise ConfigError(
                    f"must be at least 0, got {self.sector_penalty}; raise it",
                    key="experiment.sector_penalty",
                )

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> Deflation:  # noqa: ARG002
        """The penalties.

        Raises:
            ConfigError: there are fewer states than levels, too many qubits for overlaps, or the optimizer does not
                fit the ansatz.
        """
        assert problem is not None
        check_optimizer(config.optimizer, config, problem.circuit)
        qubits = problem.hamiltonian.num_qubits
        states, sector = number_of_states(problem.hamiltonian), sector_of(problem.hamiltonian)
        if self.levels > states:
            place = f"{qubits} qubits have" if sector is None else f"the sector {sector} has"
            raise ConfigError(
                f"{place} {states} states, got {self.levels}; lower it", key="experiment.levels"
            )
        if self.levels > 1 and qubits > MAX_PROJECTED_QUBITS:
            raise ConfigError(
                f"overlaps are measured on at most {MAX_PROJECTED_QUBITS} qubits, got {qubits}; make it smaller",
                key="hamiltonian",
            )
        if self.levels > 1 and (words := engine.classify(problem.ansatz).in_words):
            raise ConfigError(
                f"{words}, and overlaps of levels need a unitary circuit; take another, or experiment.levels=1",
                key="ansatz",
            )
        above = 2 * size(problem.hamiltonian)
        return Deflation(self.penalty or above, self.minimized(problem, above))

    def quantity(self, prepared: Deflation, problem: Problem | None) -> str:
        """The energy alone where there is nothing to keep it away from: one level, in a sector that is kept."""
        assert problem is not None
        penalized = self.levels > 1 or prepared.observable is not problem.observable
        return "energy + penalty" if penalized else "energy"

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:  # noqa: ARG002
        """Those from every start, at every level; overlaps have frequencies of their own."""
        return most_evaluations(config, times=self.levels * self.starts)

    def minimized(self, problem: Problem, above: float) -> SparsePauliOp:
        """The problem's observable, plus the sector's penalty unless the ansatz stays there by itself."""
        weight = above if self.sector_penalty is None else self.sector_penalty
        if problem.sector is None or problem.leaves_sector is False or not weight:
            return problem.observable
        kept = collected(problem.hamiltonian + weight * problem.sector.penalty())
        return kept.apply_layout(problem.circuit.layout) if problem.circuit.layout else kept

    def run(self, lab: Lab) -> Outcome:
        """One level after the other, each kept away from those below it."""
        problem = lab.problem
        known = levels(problem.hamiltonian, self.levels)
        exact: list[float | None] = [None] * self.levels if known is None else known.tolist()
        below: list[Term] = []
        finished: list[JobStream] = []
        converged: list[bool] = []
        ground = Answer()
        for level in range(self.levels):
            stream = lab.stream(f"level {level}")
            stream.penalized = bool(below) or lab.prepared.observable is not problem.observable
            found, arrived = self.descend(lab, stream, below)
            converged.append(arrived)
            finished.append(stream)
            term = Term(problem.circuit, problem.observable)
            (answer,) = lab.settle(stream, energy=term if stream.penalized else None)
            reference = exact[level]
            told = (
                {"outside": problem.outside(answer.parameters)}
                if problem.leaves_sector and answer.parameters
                else {}
            )
            lab.row(
                level=level, **answer.row(), exact=reference, error=answer.error(reference), **told,
                evaluations=stream.evaluations,
            )  # fmt: skip
            if level == 0:
                ground = answer
            if answer.resumable(found):
                break
            circuit = lab.fit(undone(problem.ansatz, answer.parameters))
            below.append(Term(circuit, all_zeros(circuit, problem.ansatz.num_qubits), lab.prepared.penalty))
        sampled = lab.config.estimator.precision != 0
        return Outcome(
            **ground.outcome(),
            reference_energy=exact[0],
            reference_note=problem.reference_note if exact[0] == problem.reference_energy else None,
            evaluations=sum(stream.evaluations for stream in finished),
            iterations=sum(stream.iterations for stream in finished),
            stop_reason=answer.stop_reason(found)
            + overtaken(
                lab.table,
                converged,
                lab.config.hamiltonian.energy_unit,
                sampled=sampled,
                **distances(problem.hamiltonian),
            ),
            resumable=answer.resumable(found),
            table=lab.table,
        )

    def descend(self, lab: Lab, stream: JobStream, below: list[Term]) -> tuple[OptimizerResult, bool]:
        """Minimize the penalized energy from every starting point; the stream remembers the lowest.

        Returns:
            what the last minimization found, and whether the lowest of them met the optimizer's own criterion.
        """
        optimizer = lab.config.optimizer
        energy = lab.objective(
            stream, Term(lab.problem.circuit, lab.prepared.observable), *below, optimizer=optimizer
        )
        results = []
        for point in self.points(lab, stream, first=not below):
            results.append(lab.minimize(stream, optimizer, energy=energy, start=point))
            if results[-1].resumable:
                break
        return results[-1], min(results, key=lambda found: found.energy).success

    def points(self, lab: Lab, stream: JobStream, *, first: bool) -> list[Any]:
        """Where the optimizer starts: the declared point for the ground state, and random ones."""
        count = lab.problem.ansatz.num_parameters
        random: list[np.ndarray] = [stream.rng.uniform(-math.pi, math.pi, count) for _ in range(self.starts)]
        return [lab.problem.initial_point, *random[1:]] if first else random


def distances(hamiltonian: SparsePauliOp) -> dict[str, float]:
    """How near to each other energies count as one, found by an optimizer and computed, in the Hamiltonian's unit."""
    rounding = RESIDUE * float(abs(hamiltonian.coeffs).sum())
    return {"near": max(NEAR * largest(hamiltonian), rounding), "rounding": rounding}


def overtaken(
    table: list[dict[str, Any]],
    converged: list[bool],
    unit: str | None = None,
    *,
    sampled: bool = False,
    near: float = NEAR,
    rounding: float = 0.0,
) -> str:
    """What is to be said where a level lies below the exact one, beyond three standard errors.

    The k-th of orthogonal states in a sector cannot, unless those before it are not the lowest k (the variational
    theorem of Hylleraas and Undheim, Z. Phys. 65, 759 (1930)): they lie above by as much together (Ky Fan, Proc. Natl.
    Acad. Sci. 35, 652 (1949)).

    Args:
        table: a row for each level.
        converged: whether the optimizer's own criterion was met, for each.
        unit: what energies are in.
        sampled: shots measured them, and tell nothing of how far off they are where these came out alike.
        near: what a minimization leaves of a distance, in the energies' unit.
        rounding: what rounding does.
    """
    sure = [row for row in table if (row["stddev"] or not sampled) and row["error"] is not None]
    row = next((row for row in sure if -row["error"] > max(3 * (row["stddev"] or 0), near)), None)
    if row is None:
        return ""
    told = f"; level {row['level']} lies below the exact one, "
    if (row.get("outside") or 0) > 1e-3:
        return f"{told}for its state is outside the sector: raise experiment.sector_penalty"
    before = [other for other in sure if other["level"] < row["level"]]
    above = [other for other in before if other["error"] > max(3 * (other["stddev"] or 0), rounding)]
    worst = max(above, key=lambda other: other["error"], default=None)
    if worst is None:
        return f"{told}though none before it lies above: it overlaps with them, raise experiment.penalty"
    together = sum(other["error"] for other in [*before, row])
    noise = 3 * math.hypot(*(other["stddev"] or 0 for other in [*before, row]))
    if -together > max(noise, near, -row["error"] / 2):  # an overlap that is small explains as much too
        return (
            f"{told}by more than those before it lie above: it overlaps with them, raise experiment.penalty"
        )
    if converged[worst["level"]]:
        return f"{told}so a level before it was missed: try more starts, or an ansatz that reaches it"
    distance = error_in_words(worst["error"], None, unit).removeprefix("+")
    return (
        f"{told}for level {worst['level']} is not converged, {distance} above its exact value; "
        "levels after it may lie too low"
    )

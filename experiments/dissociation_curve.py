"""The energy of a molecule as its atoms move apart: one session, every point started where the last one ended."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from runner.declare.checks import nearest, require_number
from runner.errors import ConfigError
from runner.run.experiment import Experiment, FirstJob, finished_first
from runner.run.objective import Term
from runner.run.problem import Problem, chosen_gradient
from runner.run.results import Outcome
from runner.run.suitability import check_optimizer, most_evaluations

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

    from runner.declare.config import RunConfig
    from runner.declare.plain import Values
    from runner.run.answer import Answer
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.services.protocol import Backend

MAX_POINTS = 1000


@dataclass(kw_only=True)
class DissociationCurve(Experiment):
    """A VQE at every value of one setting of the Hamiltonian, in the order declared."""

    name: str = "dissociation_curve"
    """Name of the experiment."""
    parameter: str = "bond_length"
    """The setting of `hamiltonian` that changes from point to point, a number."""
    values: list[float] = field(default_factory=lambda: [0.5, 0.735, 1.0, 1.5, 2.0, 2.5])
    """Its values, in its own unit."""
    warm_start: bool = True
    """Start every point at the previous one's best parameters; false: at the ansatz's initial point."""

    needs_problem: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= MAX_POINTS:
            raise ConfigError(
                f"takes 1 to {MAX_POINTS}, got {len(self.values)}; give some", key="experiment.values"
            )
        for index, value in enumerate(self.values):
            require_number(f"experiment.values[{index}]", value)

    def prepare(self, config: RunConfig, backend: Backend, problem: Problem | None) -> list[Problem]:
        """The problem at every point.

        Raises:
            ConfigError: the Hamiltonian has no such setting, or does not take one of the values, or the optimizer does
                not fit the ansatz.
        """
        known = [item.name for item in fields(config.hamiltonian)]
        if self.parameter not in known:
            raise ConfigError(
                f"{config.hamiltonian.name!r} has no {self.parameter!r}{nearest(self.parameter, known)}",
                key="experiment.parameter",
            )
        changes: list[dict[str, Any]] = [{self.parameter: value} for value in self.values]
        problems = [
            Problem.build(replace(config, hamiltonian=replace(config.hamiltonian, **change)), backend)
            for change in changes
        ]
        check_optimizer(config.optimizer, config, *(problem.circuit for problem in problems))
        if config.optimizer.uses_gradient:
            for problem in problems:
                chosen_gradient(config.gradient, config, backend, (problem.circuit, problem.observable))
        return problems

    def first_job(self, config: RunConfig, prepared: list[Problem], backend: Backend) -> FirstJob:
        """The first energy or gradient at the first point of the curve."""
        first = prepared[0]
        return FirstJob.of_minimizing(config, backend, first.circuit, first.observable)

    def energy_unit(self, config: RunConfig) -> str | None:
        """That of all points; None where it is what changes from one to the next, as a coupling does."""
        if self.parameter not in {item.name for item in fields(config.hamiltonian)}:
            return None
        changes: list[dict[str, Any]] = [{self.parameter: value} for value in self.values]
        units = {replace(config.hamiltonian, **change).energy_unit for change in changes}
        return units.pop() if len(units) == 1 else None

    def magnitude(self, prepared: list[Problem], problem: Problem | None) -> float:  # noqa: ARG002
        """That of the point where it is smallest."""
        return min(float(abs(point.hamiltonian.coeffs).sum()) for point in prepared)

    def most_evaluations(self, config: RunConfig, problem: Problem | None) -> int | None:  # noqa: ARG002
        """Those at every point of the curve."""
        return most_evaluations(config, times=len(self.values))

    def hamiltonian_of(self, config: RunConfig, result: Values) -> SparsePauliOp:
        """That of the lowest point.

        Raises:
            ConfigError: there is none yet.
        """
        told = [row for row in result.get("table", []) if row.get("energy") is not None]
        measured = [row for row in told if row.get("stddev") is not None]
        if not told:
            raise finished_first()
        value = min(measured or told, key=lambda row: row["energy"]).get(self.parameter)
        if value not in self.values:
            raise ConfigError(f"result.json has no {self.parameter} of this curve; restore it", key="export")
        return replace(config.hamiltonian, **{self.parameter: value}).build()

    def run(self, lab: Lab) -> Outcome:
        """One VQE after the other; the result is the lowest point of the curve."""
        import numpy as np

        problems: list[Problem] = lab.prepared
        streams: list[JobStream] = []
        answers: list[Answer] = []
        start = problems[0].initial_point
        for value, problem in zip(self.values, problems, strict=True):
            stream = lab.stream(f"{self.parameter}={value:g}")
            energy = lab.objective(stream, Term(problem.circuit, problem.observable))
            start = start if self.warm_start else problem.initial_point
            found = lab.minimize(
                stream, lab.config.optimizer, energy=energy, start=start, circuit=problem.ansatz
            )
            (answer,) = lab.settle(stream)
            streams.append(stream)
            answers.append(answer)
            exact = problem.reference_energy
            told = (
                {"outside": problem.outside(answer.parameters)}
                if problem.leaves_sector and answer.parameters
                else {}
            )
            lab.row(
                **{self.parameter: value}, **answer.row(), exact=exact,
                error=answer.error(exact), **told, evaluations=stream.evaluations,
            )  # fmt: skip
            start = np.asarray(answer.parameters)
            if answer.resumable(found):
                break
        place, lowest = lab.lowest(streams, answers)
        stopped = answer.resumable(found) or lowest.stopped is not None
        reason = lowest.stopped or answer.stop_reason(found)
        problem = problems[place]
        return Outcome(
            **lowest.outcome(),
            reference_energy=problem.reference_energy,
            reference_note=problem.reference_note,
            outside_sector=problem.outside(lowest.parameters) if lowest.parameters else None,
            evaluations=sum(stream.evaluations for stream in streams),
            iterations=sum(stream.iterations for stream in streams),
            stop_reason=reason if stopped else f"lowest at {streams[place].name}",
            resumable=stopped,
            table=lab.table,
        )

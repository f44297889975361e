"""One stream of Estimator and Sampler jobs in the session, and the energy as a function of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from runner.errors import NumericalError
from runner.record.events import Evaluation, Iteration
from runner.run.allocation import ShotAllocation
from runner.run.gradient import ParameterShift, spsa_gradient, spsa_points
from runner.run.shots import ShotChoice, highest_variance, with_shots
from runner.run.suitability import common_frequencies
from runner.runtime.results import READING, READING_VARIANCES, UNTOLD, from_plain, require_told

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers import ObservablesArrayLike

    from runner.engine import TermReading
    from runner.optimizer import Candidate
    from runner.optimizer.method import Gradient
    from runner.run.context import Lab
    from runner.runtime.results import Plain
    from runner.services.protocol import Observables, Planner, Primitive, Pub, SubmittedJob

    Numbers = Sequence[Mapping[str, Any]]
    """What a job gave, for each PUB."""
    Slope = tuple[float, np.ndarray, np.ndarray]
    """Energy, gradient and its standard errors, shape (P,) each."""

Answer = TypeVar("Answer")


@dataclass
class Best:
    """The lowest energy seen so far; ties keep the earlier one."""

    energy: float = math.inf
    """Energy in the Hamiltonian's unit."""
    stddev: float = 0.0
    """Standard error of that energy."""
    parameters: list[float] = field(default_factory=list)
    """Parameter values it was found at."""
    evaluation: int = -1
    """Number of the evaluation."""


class JobStream:
    """A named stream of jobs: everything in it happens one after the other, and its numbers are its own."""

    def __init__(self, lab: Lab, name: str, rng: np.random.Generator) -> None:
        self.name = name
        self.rng = rng
        self.best = Best()
        self.lowest = Best()
        """The best of what is minimized now."""
        self.candidates: list[Candidate] = []
        """What the minimizations of `objective` propose as its lowest point."""
        self.objective: Any = None
        """What was minimized last."""
        self.penalized = False
        """Whether that is more than the energy."""
        self.evaluations = 0
        self.iterations = 0
        self.stddev = 0.0
        """Standard error of the energy that was evaluated last."""
        target = lab.config.estimator.target
        self.choice = None if target is None else ShotChoice(target)
        """How many shots its energies take, where their standard error is declared."""
        self.allocation: ShotAllocation | None = lab.allocation()
        """How they are shared out among the bases; None: every basis has as many."""
        self.reading: TermReading | None = None
        """How the job that measured a result of it last read its terms; None: each off its own basis."""
        self._lab = lab

    def estimate(self, *pubs: Pub) -> PrimitiveResult:
        """Run one Estimator job in the session and wait for it."""
        choice = self.choice
        if choice is None:
            return self._estimate(self.allotted(pubs))
        most = max(self._highest_variance(pub) for pub in pubs)
        shots = choice.shots(most, _point(pubs))
        found = self._estimate(self.allotted(with_shots(pubs, shots), shots))
        choice.learn(most, [shots * float(part.data.stds.max()) ** 2 for part in found])
        return found

    def allotted(self, pubs: Sequence[Pub], shots: int | None = None) -> list[Pub]:
        """The PUBs with shots for each basis as declared, `shots` on average; None: as many as the estimator says."""
        if self.allocation is None:
            return list(pubs)
        usual = self._lab.config.estimator.options["default_shots"] if shots is None else shots
        return [self.allocation.allotted(pub, usual) for pub in pubs]

    def learn(self, pubs: Sequence[Pub], numbers: Sequence[Mapping[str, Any]]) -> None:
        """Take in what a job of these PUBs gave, for the shots of later ones."""
        if self.allocation is not None:
            self.allocation.learn(pubs, numbers)

    def _highest_variance(self, pub: Pub) -> float:
        """The most that the variance of a PUB's observables can be by one shot per basis."""
        plan = self._lab.planned(pub)
        if plan is None:
            return highest_variance(pub[1])
        return (
            float(plan.variance_bounds.max())
            if self.allocation is None
            else self.allocation.highest_variance(plan)
        )

    def _estimate(self, pubs: list[Pub]) -> PrimitiveResult:
        found = self._lab.execute(self.name, "estimator", partial(self._submit, pubs), _result)
        if self.allocation is not None:
            self.learn(pubs, [{"evs": part.data.evs, **_variances(part.metadata)} for part in found])
        return found

    def values(self, pubs: list[Pub]) -> list[dict[str, np.ndarray]]:
        """Run one Estimator job in the session and wait for `evs` and `stds` of every PUB."""
        return self._lab.execute(
            self.name,
            "estimator",
            partial(self._submit, pubs),
            _numbers,
            partial(self._repeat, pubs),
        )

    def _submit(self, pubs: list[Pub], primitive: Primitive, options: dict[str, float]) -> SubmittedJob:
        job = primitive.run(pubs, **options)
        if self.allocation is not None:
            self._lab.allotted.add(pubs)
        return job

    def _repeat(
        self, pubs: list[Pub], primitive: Primitive, options: dict[str, float]
    ) -> list[dict[str, np.ndarray]] | None:
        found = _first(primitive.repeat([pubs], **options))
        if found is not None and self.allocation is not None:
            self._lab.allotted.add(pubs)
        return found

    def repeated(self, asked: Sequence[tuple[Callable[[], list[Pub]], Numbers]], *, sloped: bool) -> int:
        """Do jobs as `values` or `gradients` does, up to the first that has to go the usual way; how many were done.

        Args:
            asked: what makes the PUBs of each, and what it gave, from which the shots of the next follow.
            sloped: as `gradients` does.
        """
        allocation = None if sloped else self.allocation
        if allocation is None:
            return len(self._lab.repeated(self.name, [pubs() for pubs, _ in asked], sloped=sloped))
        before, jobs = allocation.known(), []
        with suppress(ValueError, KeyError, TypeError):  # what cannot be learned from is no result of its job
            for pubs, numbers in asked:
                jobs.append(pubs())
                self.learn(jobs[-1], numbers)
        done = len(self._lab.repeated(self.name, jobs, sloped=False))
        for job in jobs[:done]:
            self._lab.allotted.add(job)
        if done < len(asked):
            allocation.forget(before)
            for job, (_, numbers) in zip(jobs[:done], asked, strict=False):
                self.learn(job, numbers)
        return done

    def gradients(self, pubs: list[Pub]) -> list[dict[str, np.ndarray]]:
        """Run one exact-gradient job and wait for `evs` and `gradients` of every PUB; simulators only."""
        return self._lab.execute(
            self.name,
            "estimator",
            lambda primitive, _: primitive.run_gradient(pubs),
            _numbers,
            lambda primitive, _: _first(primitive.repeat([pubs], sloped=True)),
        )

    def learn_noise(self, *pubs: Pub) -> Any:
        """Run the job that learns the noise of the PUBs' layers, and wait for the client's `NoiseLearnerResult`."""
        return self._lab.execute(self.name, "estimator", lambda primitive, _: primitive.learn(pubs), _learned)

    def sample(self, *pubs: Pub, shots: int | None = None) -> PrimitiveResult:
        """Run one Sampler job in the session and wait for it."""
        return self._lab.execute(
            self.name, "sampler", lambda primitive, _: primitive.run(list(pubs), shots=shots), _result
        )

    def pursue(self, objective: object) -> None:
        """Take note of what is minimized next; candidates of anything else are none any more."""
        if objective is not self.objective:
            self.objective, self.candidates, self.lowest = objective, [], Best()

    def propose(self, candidates: Iterable[Candidate]) -> None:
        """Add candidates that are not there yet."""
        import numpy as np

        for candidate in candidates:
            if not any(np.array_equal(candidate.parameters, one.parameters) for one in self.candidates):
                self.candidates.append(candidate)

    def iteration(self, progress: Mapping[str, object]) -> None:
        """Report one step of the optimizer."""
        self._lab.record(self.stepped(progress))

    def stepped(self, progress: Mapping[str, object]) -> Iteration:
        """Count one step of the optimizer; what is to be reported of it."""
        self.iterations += 1
        return Iteration.of(self.name, self.iterations, progress)

    def observe(
        self, energy: float, stddev: float, parameters: np.ndarray, *, candidate: bool = True, **more: object
    ) -> None:
        """Count one evaluation at parameters of shape (P,), report it, and remember a candidate if it is the best.

        Raises:
            NumericalError: the energy is not a finite number.
        """
        event = self.evaluated(energy, stddev, parameters, candidate, more)
        self._lab.record(event)
        if not math.isfinite(energy):
            raise NumericalError(f"evaluation {event.index} of {self.name!r} gave the energy {energy}")

    def evaluated(
        self, energy: float, stddev: float, parameters: np.ndarray, candidate: bool, more: dict[str, Any]
    ) -> Evaluation:
        """Count one evaluation, and remember a candidate if it is the best; what is to be reported of it."""
        number = self.evaluations
        self.evaluations += 1
        self.stddev = stddev
        if candidate and math.isfinite(energy) and energy < self.lowest.energy:
            self.lowest = Best(energy, stddev, parameters.tolist(), number)
        if self.lowest.energy < self.best.energy:
            self.best = self.lowest
            more["parameters"] = self.best.parameters
        return Evaluation.of(
            more, workload=self.name, index=number, energy=energy, stddev=stddev, best=self.best.energy
        )


def _point(pubs: Sequence[Pub]) -> np.ndarray | None:
    """The parameters, shape (1, P), of a job that measures one set of them; None of any other."""
    import numpy as np

    values = np.asarray(pubs[0][2], dtype=float) if len(pubs) == 1 and len(pubs[0]) > 2 else np.zeros(0)
    return values.reshape(1, -1) if values.ndim == 1 and values.size else None


def _variances(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = {"variances_by_basis": "variances", READING: READING, READING_VARIANCES: READING_VARIANCES}
    return {name: metadata[told] for told, name in names.items() if told in metadata}


def _learned(job: SubmittedJob) -> Any:
    return job.result()


def _first(found: Sequence[Sequence[Plain]]) -> list[dict[str, Any]] | None:
    return list(map(from_plain, found[0])) if found else None


def _result(job: SubmittedJob) -> PrimitiveResult:
    found = job.result()
    require_told(found)
    return found


def _numbers(job: SubmittedJob) -> list[dict[str, np.ndarray]]:
    """What the job gives, without the containers, which take as long as a small simulation."""
    numbers = job.numbers()
    if any(UNTOLD in one for one in numbers):
        require_told(job.result())
    return numbers


@dataclass(frozen=True)
class Term:
    """One part of an objective: weight · ⟨observable⟩."""

    circuit: QuantumCircuit
    """ISA circuit; every term of an objective has the same parameters."""
    observable: ObservablesArrayLike
    """In the circuit's layout."""
    weight: float = 1.0
    """In the Hamiltonian's unit, where the observable has none."""


class EnergyFunction(Protocol):
    """What can be minimized."""

    program: str
    """estimator | sampler: what takes its PUBs."""
    value_and_gradient: Gradient | None
    """Parameters of shape (P,) → value, gradient and its standard errors, shape (P,) each; None: there is none."""

    def __call__(self, parameters: np.ndarray) -> Any:
        """Value at parameters of shape (P,), or values of shape (B,) at parameters of shape (B, P)."""
        ...

    def pubs(self, points: np.ndarray) -> list[Pub]:
        """The PUBs that evaluate it at points of shape (C, P)."""
        ...

    def frequencies(self) -> list[tuple[float, ...] | None]:
        """For each parameter, in order, the positive frequencies [1/rad] of its values; None where nobody knows."""
        ...


class Reply(NamedTuple, Generic[Answer]):
    """What a job comes to."""

    answer: Answer
    """For the minimizer."""
    seen: list[tuple[float, float, np.ndarray, bool, dict[str, Any]]]
    """Evaluations as `JobStream.evaluated` takes them."""


class Question(NamedTuple):
    """What a minimizer asks by one job."""

    pubs: Callable[[np.ndarray], list[Pub]]
    """Those of the job at parameters."""
    told: Callable[[np.ndarray, Sequence[dict[str, np.ndarray]]], Reply[Any]]
    """What its numbers come to."""
    usual: Callable[[np.ndarray], Any]
    """Asks it."""
    shapes: Callable[[np.ndarray], dict[str, tuple[int, ...]]]
    """Those of the arrays of each PUB that answer it."""
    sloped: bool = False
    """It is answered by `JobStream.gradients`."""


class Objective:
    """Σ weight · ⟨observable⟩ as a function of the parameters: one Estimator job per call, one PUB per term.

    Args:
        stream: whose jobs these are.
        terms: what is summed.
        gradient: none | parameter_shift | adjoint | spsa.
        planner: compiles circuits and observables that are evaluated again and again; None where only the service does.
    """

    program = "estimator"

    def __init__(
        self,
        stream: JobStream,
        *terms: Term,
        gradient: str = "none",
        planner: Planner | None = None,
    ) -> None:
        def prepared(
            circuit: QuantumCircuit, observable: ObservablesArrayLike
        ) -> tuple[QuantumCircuit, Observables]:
            return circuit, observable if planner is None else planner.planned(circuit, observable)

        self.stream = stream
        self.terms = terms
        self._planner = planner
        self.bare = len(terms) == 1 and terms[0].weight == 1
        """It is one expectation value, as it is."""
        self._pubs = [prepared(term.circuit, term.observable) for term in terms]
        self._zeros: np.ndarray | None = None
        self._shifts: list[ParameterShift] = []
        self._shifted: list[tuple[QuantumCircuit, Observables]] = []
        if gradient == "parameter_shift":
            self._shifts = [ParameterShift.of(term.circuit) for term in terms]
            self._shifted = [
                prepared(shift.circuit, term.observable)
                for shift, term in zip(self._shifts, terms, strict=True)
            ]
        gradients: dict[str, Gradient] = {
            "parameter_shift": self._parameter_shift,
            "adjoint": self._adjoint,
            "spsa": self._spsa,
        }
        self.value_and_gradient = gradients.get(gradient)
        """Parameters (P,) → energy, gradient and its standard errors, (P,) each; None where none is declared."""

    def frequencies(self) -> list[tuple[float, ...] | None]:
        """For each parameter, in order, the positive frequencies of the sum; None where they cannot be known."""
        return common_frequencies(*(term.circuit for term in self.terms))

    def __call__(self, parameters: np.ndarray) -> Any:
        """Energy at parameters of shape (P,), or energies of shape (B,) at parameters of shape (B, P).

        Raises:
            StopOptimization: the session has ended and the experiment is to stop then.
            NumericalError: an energy is not a finite number.
        """
        energies = self._observed(parameters)
        return float(energies[0]) if parameters.ndim == 1 else energies

    def with_probes(self, points: np.ndarray) -> np.ndarray:
        """Energies at points of shape (B, P), of which all but the first tell a slope and are no candidates.

        Raises:
            StopOptimization: the session has ended and the experiment is to stop then.
            NumericalError: an energy is not a finite number.
        """
        return self._observed(points, candidates=1)

    def _observed(self, parameters: np.ndarray, candidates: int | None = None) -> np.ndarray:
        return self._seen(self._rows(parameters, *self._evaluate(parameters), candidates))

    def _seen(self, told: Reply[Answer]) -> Answer:
        for energy, stddev, row, candidate, more in told.seen:
            self.stream.observe(energy, stddev, row, candidate=candidate, **more)
        return told.answer

    def _rows(
        self, parameters: np.ndarray, energies: np.ndarray, stddevs: np.ndarray, candidates: int | None
    ) -> Reply[np.ndarray]:
        rows = parameters[None, :] if parameters.ndim == 1 else parameters
        energies = energies.reshape(-1)
        measured = zip(energies.tolist(), stddevs.reshape(-1).tolist(), rows, strict=True)
        most = len(rows) if candidates is None else candidates
        return Reply(energies, [(*one, place < most, {}) for place, one in enumerate(measured)])

    def questions(self) -> tuple[Question, Question, Question | None]:
        """That for energies, for energies of which all but the first are probes, and for an exact gradient."""

        def of_points(candidates: int | None, usual: Callable[[np.ndarray], Any]) -> Question:
            told = partial(self._rows_told, candidates)
            return Question(
                self.pubs, told, usual, lambda points: {"evs": points.shape[:-1], "stds": points.shape[:-1]}
            )

        slope = Question(
            self._adjoint_pubs, self._adjoint_told, self._adjoint,
            lambda point: {"evs": (), "gradients": point.shape}, sloped=True,
        )  # fmt: skip
        exact = self.value_and_gradient == self._adjoint
        return of_points(None, self.__call__), of_points(1, self.with_probes), slope if exact else None

    def _rows_told(
        self, candidates: int | None, parameters: np.ndarray, parts: Sequence[dict[str, np.ndarray]]
    ) -> Reply[Any]:
        told = self._rows(parameters, *self.sum(parts), candidates)
        return told if parameters.ndim > 1 else Reply(float(told.answer[0]), told.seen)

    def pubs(self, points: np.ndarray) -> list[Pub]:
        """The PUBs that evaluate it at points of shape (C, P), or at (P,): one per term."""
        return self._with_shots([(*pub, points) for pub in self._pubs], points)

    @cached_property
    def _most(self) -> float:
        """The most that its variance by one shot per basis can be."""
        return sum(
            term.weight**2 * self._bound(observable)
            for term, (_, observable) in zip(self.terms, self._pubs, strict=True)
        )

    def _bound(self, observable: Observables) -> float:
        """The same for one term, from what stands for its observable in the PUBs."""
        if self._planner is None:
            return highest_variance(observable)
        plan, allocation = observable.plan, self.stream.allocation
        return float(plan.variance_bounds.max()) if allocation is None else allocation.highest_variance(plan)

    def _with_shots(self, pubs: Sequence[Pub], points: np.ndarray) -> list[Pub]:
        """The PUBs with the shots that the declared standard error takes at these points, and every basis its own."""
        if self.stream.choice is None:
            return self.stream.allotted(pubs)
        shots = self.stream.choice.shots(self._most, points.reshape(-1, points.shape[-1]))
        return self.stream.allotted(with_shots(pubs, shots), shots)

    def learn(self, stddevs: Sequence[float], points: np.ndarray) -> None:
        """Remember how the energy spreads at points of shape (C, P) or (P,), for the shots of later jobs."""
        if self.stream.choice is not None:
            points = points.reshape(-1, points.shape[-1])
            shots = self.stream.choice.shots(self._most, points)  # as many as it was measured with
            self.stream.choice.learn(self._most, [shots * stddev**2 for stddev in stddevs], points)

    def _measured(self, pubs: list[Pub]) -> list[dict[str, np.ndarray]]:
        parts = self.stream.values(pubs)
        self.stream.learn(pubs, parts)
        return parts

    def _evaluate(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energies, stddevs = self.sum(self._measured(self.pubs(parameters)))
        if self.stream.choice is not None:
            self.learn(stddevs.reshape(-1).tolist(), parameters)
        return energies, stddevs

    def sum(self, parts: Sequence[dict[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Values and their standard errors; the terms' errors are independent."""
        if self.bare:
            return parts[0]["evs"], parts[0]["stds"]
        values = self._weighted([part["evs"] for part in parts])
        import numpy as np

        weights = [term.weight for term in self.terms]
        variances = sum((weight * part["stds"]) ** 2 for weight, part in zip(weights, parts, strict=True))
        return np.asarray(values), np.sqrt(variances)

    def _weighted(self, values: Sequence[Any]) -> Any:
        """Σ weight · value, one value for each term."""
        if self.bare:
            return values[0]
        return sum(term.weight * value for term, value in zip(self.terms, values, strict=True))

    def _parameter_shift(self, parameters: np.ndarray) -> Slope:
        pubs = [
            (*pub, shift.angles(parameters)) for pub, shift in zip(self._shifted, self._shifts, strict=True)
        ]
        parts = self._measured(self._with_shots(pubs, parameters))
        energy = self._weighted([float(part["evs"][0]) for part in parts])
        variance = sum(
            (term.weight * float(part["stds"][0])) ** 2 for term, part in zip(self.terms, parts, strict=True)
        )
        self.learn([variance**0.5], parameters)
        gradient = self._weighted(
            [shift.gradient(part["evs"]) for shift, part in zip(self._shifts, parts, strict=True)]
        )
        spread = sum(
            term.weight**2 * shift.variance(part["stds"])
            for term, shift, part in zip(self.terms, self._shifts, parts, strict=True)
        )
        return self._seen(self._with_gradient(parameters, energy, variance**0.5, gradient, spread**0.5))

    def _adjoint(self, parameters: np.ndarray) -> Slope:
        parts = self.stream.gradients(self._adjoint_pubs(parameters))
        return self._seen(self._adjoint_told(parameters, parts))

    def _adjoint_pubs(self, parameters: np.ndarray) -> list[Pub]:
        return [(*pub, parameters) for pub in self._pubs]

    def _adjoint_told(self, parameters: np.ndarray, parts: Sequence[dict[str, np.ndarray]]) -> Reply[Slope]:
        energy = self._weighted([float(part["evs"]) for part in parts])
        gradient = self._weighted([part["gradients"].reshape(-1) for part in parts])
        return self._with_gradient(parameters, energy, 0.0, gradient, None)

    def _spsa(self, parameters: np.ndarray) -> Slope:
        points, direction = spsa_points(parameters, self.stream.rng)
        energies, stddevs = self._evaluate(points)
        gradient = spsa_gradient(energies, direction)
        unknown = math.nan * gradient  # one random direction cannot tell that a gradient vanishes
        return self._seen(
            self._with_gradient(parameters, float(energies[0]), float(stddevs[0]), gradient, unknown)
        )

    def _with_gradient(
        self,
        parameters: np.ndarray,
        energy: float,
        stddev: float,
        gradient: np.ndarray,
        errors: np.ndarray | None,
    ) -> Reply[Slope]:
        """The energy as an evaluation, its gradient and the errors of that; None: it is exact."""
        norm = math.sqrt(gradient.dot(gradient))
        if errors is None:
            errors = self._nothing(gradient) if math.isfinite(norm) else 0.0 * gradient
        return Reply(
            (energy, gradient, errors), [(energy, stddev, parameters, True, {"gradient_norm": norm})]
        )

    def _nothing(self, gradient: np.ndarray) -> np.ndarray:
        """Zeros of this shape, the same array every time: who minimizes keeps the errors of every gradient."""
        if self._zeros is None or self._zeros.shape != gradient.shape:
            self._zeros = 0.0 * gradient
            self._zeros.setflags(write=False)
        return self._zeros

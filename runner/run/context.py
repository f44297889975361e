"""What an experiment works with: the problem, the optimizer, and streams in the one open session."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runner.declare.config import RunConfig
from runner.declare.plain import Values
from runner.display.words import LEFT_OUT
from runner.errors import (
    JournalError,
    ResumeError,
    RunnerError,
    RuntimeSessionError,
    StorageError,
    TruncationError,
)
from runner.optimizer import Candidate, OptimizerResult, StopOptimization
from runner.optimizer.method import doubted
from runner.record.events import (
    SHOTS,
    BudgetReached,
    Checkpoint,
    JobCompleted,
    Reserve,
    RunInterrupted,
    SamplesTaken,
)
from runner.record.redaction import redact
from runner.record.replay import COUNTED, LEARNER, POOL, RESULTS, Record
from runner.run.ahead import Ahead
from runner.run.allocation import AllottedShots, ShotAllocation, allocation_of
from runner.run.answer import (
    EXACT,
    MEASURED,
    PICK,
    Answer,
    Measure,
    Noiseless,
    Samples,
    choose,
    lowest_seen,
    report,
)
from runner.run.budget import MeasuredBefore, Measuring, Spending, Spent, in_all, no_room
from runner.run.mitigation import declared
from runner.run.objective import EnergyFunction, JobStream, Objective, Term
from runner.run.overlap import Overlap
from runner.run.problem import Problem, chosen_gradient, fit
from runner.run.progress import LeftOut
from runner.run.results import Outcome
from runner.run.signals import StopFlag
from runner.runtime.seeds import derive_seed
from runner.services.protocol import PlannedObservables

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import ObservablesArrayLike

    from runner.engine import TermReading
    from runner.optimizer import OptimizerConfig
    from runner.services.protocol import (
        Backend,
        CompiledPlan,
        OpenSession,
        Primitive,
        Pub,
        Service,
        SubmittedJob,
    )

Numbers = TypeVar("Numbers")

MOST_CANDIDATES = 3
"""Points that a minimization may propose: its own answer, a mean, and the best seen."""

log = logging.getLogger("runner")


class _LeftError(RuntimeSessionError):
    """The session was closed where the run had stopped, so that the job, of which nothing is counted, needs another."""


class Lab:
    """The session, and everything an experiment may do in it.

    Entering the lab opens the session; leaving it closes it, whatever happened. Primitives are made here so that an
    experiment cannot get at limits, modes or seeds; when the session ends early, `session.on_expiry` decides here.
    """

    def __init__(
        self,
        config: RunConfig,
        service: Service,
        backend: Backend,
        problem: Problem | None,
        record: Record,
        stop: StopFlag,
        prepared: Any = None,
    ) -> None:
        self.config = config
        self.record = record
        self.sessions: list[Any] = []
        """Every session opened, in order; more than one where `session.on_expiry=reopen`, or where the run has stopped
        before its session ended, which closed it, and has gone on."""
        self.prepared = prepared
        """What the experiment's `prepare` gave."""
        self.table: list[dict[str, object]] = []
        """The rows reported so far."""
        self._problem = problem
        self._service = service
        self._backend = backend
        self._stop = stop
        self.converged: bool | None = None
        """Every minimization so far met its own criterion; None before the first."""
        self._lock = threading.Lock()
        self._expired = False
        self._learned_before = 0
        """Jobs that learned noise before the session that jobs go to was opened."""
        self._answered = False
        """Whether a job of an experiment has given an answer since then."""
        self._closed_early: set[int] = set()
        """Which sessions, by number from 1, were closed where the run had stopped that goes on now."""
        self.session_over = False
        """Whether the run ends because its session does."""
        self._primitives: dict[tuple[str, str, int], Primitive] = {}
        self._streams: list[JobStream] = []
        self._afresh: JobStream | None = None
        self._fitting: set[str] = set()
        """Workloads whose jobs have to fit in their session, whatever is left to be measured."""
        self._kept: dict[str, Measuring] = {}
        """Workload → what measuring its result takes."""
        self._to_measure: dict[str, list[Pub]] = {}
        """Workload → the PUBs by which its result is measured."""
        self._learning: dict[str, bool] = {}
        """Workload → whether its jobs take noise that a job learns."""
        self._mitigations: dict[str, Values] = {}
        """Workload → what is done against errors in its jobs, where that is not what the estimator declares."""
        self.mitigated: dict[str, object] = {}
        """What an experiment says of its energy before and after, as result.json has it."""
        self.spending = Spending(config, service.price_per_second)
        """What jobs have taken, and what they may."""
        self._reported: dict[str, Term | None] = {}
        """Stream → whose energy is reported of it; None: what it minimizes."""
        self.allotted = AllottedShots()
        """What submitted jobs took of every basis, where these have shots of their own."""
        self.left_out = LeftOut()
        """What simulations of jobs have left out."""
        record.listen(self.left_out, JobCompleted)

    @property
    def measured_before(self) -> MeasuredBefore | None:
        """What measuring results took before the run went on, beside what its sessions have been charged for."""
        if not self._service.capabilities.knows_its_queue:
            return None
        dedicated = self.sessions if self.config.session.mode == "session" else []
        charged = {session.session_id: session.usage() or 0.0 for session in dedicated}
        closed = {
            one.session: one.usage_time or 0.0
            for part in self.record.left
            for one in part.ended
            if one.session in charged
        }
        return MeasuredBefore.of(
            self.record.measured_before,
            self.config.session,
            self._service.price_per_second,
            charged={name: usage - charged[name] for name, usage in closed.items()},
        )

    made_up = False
    """Its jobs give numbers that mean nothing, as in forecasts."""

    @property
    def problem(self) -> Problem:
        """Hamiltonian, ansatz and starting point, fitted to the backend."""
        assert self._problem is not None, "this experiment declares no problem"
        return self._problem

    def __enter__(self) -> Lab:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        broken = error is not None and not isinstance(error, StorageError | StopOptimization)
        repeats = self._service.capabilities.repeats_its_past
        if isinstance(error, JournalError | ResumeError) and repeats and self.record.refuse():
            pass  # nothing has happened
        elif broken:
            # what closing adds to the journal is this process's doing; a resumed run goes on without it
            self.record(RunInterrupted(reason=redact(str(error)) or type(error).__name__))
        for session in self.sessions[-1:]:
            if self.config.session.mode != "job":
                session.close()
        if broken:
            self._service.abandon()  # another stream's job may run still, and nobody waits for it any more

    def stream(self, name: str, *, mitigation: Values | None = None, fits: bool = False) -> JobStream:
        """A new stream of jobs; its random numbers depend on the run's seed and this name only.

        Args:
            name: whose jobs these are.
            mitigation: what is done against errors in them, as options in the client's names; None: what the estimator
                declares.
            fits: Once something has been evaluated, they begin only where they fit in the rest of the session, also
                where no result is left to be measured.
        """
        import numpy as np

        if fits:
            self._fitting.add(name)
        if mitigation is not None:
            self._mitigations[name] = mitigation
        rng = np.random.default_rng(derive_seed(self.config.seed, f"{name}/classical", 0))
        stream = JobStream(self, name, rng)
        self._streams.append(stream)
        return stream

    def scout(self) -> JobStream:
        """A new stream of the jobs that measure by which operator an ansatz grows next; no answer is among theirs.

        They begin only where they fit in the rest of the session.
        """
        return self.stream(POOL, fits=True)

    def allocation(self) -> ShotAllocation | None:
        """What shares shots out among bases, having learned nothing; None where every basis has as many."""
        return allocation_of(self.config, self._backend)

    def planned(self, pub: Pub) -> CompiledPlan | None:
        """The plan of a PUB; None where only the service has one."""
        planner, circuit, observables = self._backend.planner, *pub[:2]
        if isinstance(observables, PlannedObservables):
            return observables.plan
        return None if planner is None else planner.estimator_plan(circuit, observables)

    workload = stream
    """What it was called before; plug-ins may know it by that name."""

    def row(self, **fields: object) -> None:
        """Report one row of the result's table; what is reported survives whatever happens later.

        Once the session has ended under the experiment, rows tell of unfinished work: a resumed run reports others.
        """
        if not self._expired:
            self.record(Checkpoint.of(len(self.table), fields))
        self.table.append(fields)

    trying: ClassVar[bool] = False
    """Only its first jobs are carried out, to know how long all take: those that take longest come first."""
    rehearsing: ClassVar[bool] = False
    """Results of jobs are made up, and what is computed from them here tells nothing: leave it out."""

    def take(self, *, run: str, jobs: int, shots: int, digest: str) -> None:
        """Report that shots of another run stand for jobs; a resumed run is refused other ones."""
        self.record(SamplesTaken(run=run, jobs=jobs, shots=shots, digest=digest))

    def fit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The ISA circuit of a circuit that only the run itself could make."""
        return fit(circuit, self._backend, self.config)

    def moments(
        self, start: str, circuit: QuantumCircuit, observables: Sequence[ObservablesArrayLike]
    ) -> Callable[[int], PlannedObservables] | None:
        """What stands for the observables in PUBs of a circuit that has acted so many times on a product state.

        None where no state is carried on: the backend cannot, or the run was begun when none was.

        Args:
            start: the product state in bits, qubit 0 last.
            circuit: ISA circuit, without parameters.
            observables: in its layout.
        """
        planner = self._backend.planner
        if planner is None or self.record.identity < COUNTED:
            return None
        return planner.moments(start, circuit, list(observables))

    def so_far(self, reason: str) -> Outcome:
        """What is known when the experiment did not get to its end: the lowest evaluation of any stream."""
        seen = [stream for stream in self._streams if stream.best.evaluation >= 0]
        answer = Answer()
        if seen:
            lowest = min(seen, key=lambda stream: stream.best.energy)
            best = lowest.best
            answer = Answer(
                energy=best.energy, stddev=best.stddev, parameters=best.parameters,
                kind=EXACT if self._exact(lowest) else PICK, truncation=self.left_out.error(lowest.name),
            )  # fmt: skip
        return Outcome(
            **{**answer.outcome(), "energy": answer.energy if seen else None},
            reference_energy=self._problem.reference_energy if self._problem else None,
            evaluations=sum(stream.evaluations for stream in self._streams),
            iterations=sum(stream.iterations for stream in self._streams),
            stop_reason=reason,
            table=self.table,
        )

    def describe_sessions(self) -> dict[str, Any]:
        """The content of session.json but for its `jobs`: details, status and usage of every session."""
        if self.config.session.mode == "job":
            sessions = []
            usage = sum(job.usage() for job in self._service.jobs(limit=None, descending=False))
        else:
            sessions = [
                {
                    "id": session.session_id,
                    "status": session.status(),
                    "state": session.details()["state"],
                    "reason": session.reason,
                    "usage_seconds": session.usage() or 0.0,
                    "details": session.details(),
                }
                for session in self.sessions
            ]
            usage = sum(session["usage_seconds"] for session in sessions)
        return {
            "mode": self.config.session.mode,
            "plan": self.config.session.plan,
            "usage_seconds": usage,
            "cost": usage * self._service.price_per_second,
            "sessions": sessions,
        }

    @property
    def shots_used_up(self) -> bool:
        """Whether it was the budget of shots, and nothing else, that ended the run."""
        reached = self.spending.reached
        return bool(reached) and not self.session_over and all(fact.key == SHOTS for fact in reached)

    @property
    def shots(self) -> int | None:
        """Executions of circuits of all jobs; None where only the service knows."""
        return self.spending.shots if self._service.capabilities.knows_its_queue else None

    @property
    def knows_its_queue(self) -> bool:
        """Whether the service tells beforehand what jobs take, and repeats what it did."""
        return self._service.capabilities.knows_its_queue

    @property
    def qpu_seconds(self) -> float:
        """Seconds of all jobs on the QPU."""
        return sum(job.usage() for job in self._service.jobs(limit=None, descending=False))

    def mitigation_of(self, workload: str) -> Values:
        """What is done against errors in the jobs of a workload, as options of the Estimator in the client's names."""
        estimator = self.config.estimator
        usual = estimator.final_mitigation if workload == RESULTS else estimator.mitigation
        return self._mitigations.get(workload, usual)

    def spent(self, stream: JobStream) -> Spent:
        """What the jobs of a stream have taken so far."""
        jobs = self._service.jobs(limit=None, descending=False)
        seconds = sum(job.usage() for job in jobs if job.workload == stream.name)
        known = self._service.capabilities.knows_its_queue
        return Spent(
            shots=self.spending.shots_of(stream.name) if known else None,
            qpu_seconds=seconds,
            cost=seconds * self._service.price_per_second,
        )

    @property
    def learned(self) -> float:
        """QPU seconds of the jobs that have learned noise so far."""
        jobs = self._service.jobs(limit=None, descending=False)
        return sum(job.usage() for job in jobs if job.workload == LEARNER)

    def learning(self, stream: JobStream, before: float, *, answered: bool) -> tuple[Spent, Spent]:
        """What learning noise for a stream of one job has taken, in as many sessions as it was, and what that job has.

        Args:
            stream: whose job it is.
            before: what was `learned` before.
            answered: the job gave an answer; else it never began, or was lost with its session.
        """
        own, seconds = self.spent(stream), self.learned - before
        shots = None
        if own.shots is not None:
            last = self.spending.last_shots(stream.name) if answered else 0
            shots, own = own.shots - last, replace(own, shots=last)
        cost = seconds * self._service.price_per_second
        return Spent(shots=shots, qpu_seconds=seconds, cost=cost), own

    def ledger(self) -> Iterator[dict[str, object]]:
        """The jobs of session.json, in the order of their submission; there may be very many."""
        return (job.listed() for job in self._service.jobs(limit=None, descending=False))

    def objective(
        self,
        stream: JobStream,
        *terms: Term,
        optimizer: OptimizerConfig | None = None,
        sloped: bool = False,
    ) -> Objective:
        """The energy that jobs of `stream` evaluate: the problem's, or a weighted sum of expectation values.

        Args:
            stream: whose jobs these are.
            terms: ISA circuits with observables and weights; none: the problem's circuit and Hamiltonian.
            optimizer: what will minimize it; tells whether `gradient=auto` means one. None: the declared one.
            sloped: `gradient=auto` means one whatever the optimizer is.
        """
        terms = terms or (Term(self.problem.circuit, self.problem.observable),)
        gradient = "auto" if "gradient" in self.config.experiment.ignores else self.config.gradient
        if gradient != "auto" or sloped or (optimizer or self.config.optimizer).uses_gradient:
            gradient = chosen_gradient(
                gradient, self.config, self._backend, *((term.circuit, term.observable) for term in terms)
            )
        else:
            gradient = "none"
        return Objective(stream, *terms, gradient=gradient, planner=self._backend.planner)

    def minimize(
        self,
        stream: JobStream,
        optimizer: OptimizerConfig,
        *,
        energy: EnergyFunction | None = None,
        start: np.ndarray | None = None,
        circuit: QuantumCircuit | None = None,
    ) -> OptimizerResult:
        """Minimize an energy with a declared optimizer, every evaluation being a job of `stream`.

        Args:
            stream: whose jobs these are, and whose random numbers the optimizer draws.
            optimizer: the declaration.
            energy: what is minimized; None: the problem's energy.
            start: initial parameters, shape (P,); None: the problem's.
            circuit: logical circuit of the parameters, for methods that measure overlaps; None: the problem's.
        """
        energy = energy or self.objective(stream, optimizer=optimizer)
        start = self.problem.initial_point if start is None else start
        stream.pursue(energy)
        self.spending.limit(stream.name, optimizer.max_shots)
        self._keep_for(stream, len(start))
        fidelity = None
        if optimizer.uses_fidelity:
            fidelity = Overlap.of(circuit or self.problem.ansatz, self, stream)
        more = {}
        if optimizer.uses_frequencies:
            more["frequencies"] = energy.frequencies()
        ahead = Ahead.of(self, energy, optimizer)
        asked = ahead or energy
        try:
            found = optimizer.build().minimize(
                asked,
                start,
                gradient=asked.value_and_gradient,
                fidelity=fidelity,
                rng=stream.rng,
                callback=stream.iteration if ahead is None else ahead.iteration,
                **more,
            )
        finally:
            if ahead is not None:
                ahead.settle()
        measured = optimizer.uses_gradient and energy.value_and_gradient
        # by what is declared, too: a few shots may come out alike
        exact = self.config.estimator.precision == 0 and isinstance(stream.objective, Objective)
        noisy = bool(stream.lowest.stddev) or not exact
        if found.success and noisy and not (measured or optimizer.sees_through_noise):
            doubt = "differences of noisy energies cannot tell that it stands still"
            found = replace(found, success=False, message=doubted(found.message, doubt))
        with self._lock:
            self.converged = found.success and self.converged is not False
        stream.propose(found.candidates or (Candidate("answer", found.parameters),))
        return found

    def settle(
        self,
        *streams: JobStream,
        energy: Term | None = None,
        sampling: tuple[Measure, Measure] | None = None,
    ) -> list[Answer]:
        """What each stream's minimization comes to: its candidates measured afresh, the chosen one once more.

        One job of fresh shots chooses among the candidates of all, another reports the energies of those chosen, so
        that they are unbiased. Exact energies are what they are. When the session is over by then, the lowest noisy
        number has to do, and the answer says that it is one.

        Args:
            streams: what was minimized.
            energy: what is reported, where it is not what was minimized (penalties); ISA circuit and observable.
            sampling: how energies are sampled, to choose and to report; None: as the estimator is declared.
        """
        answers = {stream.name: Answer() for stream in streams}
        evaluated = [stream for stream in streams if stream.lowest.evaluation >= 0]
        try:
            self._settle(evaluated, energy, sampling, answers)
        except StopOptimization as stop:
            answers = {name: replace(answer, stopped=stop.reason) for name, answer in answers.items()}
        with self._lock:
            for stream in streams:
                self._kept.pop(stream.name, None)
                self._to_measure.pop(stream.name, None)
        self._reported.update((stream.name, energy) for stream in streams)
        found = [self._with_exact(stream, answers[stream.name]) for stream in streams]
        return [self._with_truncation(stream, one) for stream, one in zip(streams, found, strict=True)]

    def _settle(
        self,
        streams: list[JobStream],
        energy: Term | None,
        sampling: tuple[Measure, Measure] | None,
        answers: dict[str, Answer],
    ) -> None:
        """Put into `answers` the lowest energies seen, then those that chose, then those that are reported."""
        if not streams:
            return
        exact = sampling is None and self.config.estimator.precision == 0
        choosing, reporting = sampling or (self._measure, self._reporting(energy))
        lowest = [lowest_seen(stream, exact=exact and energy is None) for stream in streams]
        names = [stream.name for stream in streams]
        answers.update(zip(names, lowest, strict=True))
        if exact and energy is None:
            return
        chosen = lowest if exact else choose(streams, choosing, self.record)
        for name, answer in zip(names, chosen, strict=True):
            if math.isfinite(answer.energy):
                answers[name] = answer
        measured = report(streams, chosen, reporting, self.record)
        if exact:
            measured = [replace(answer, kind=EXACT) for answer in measured]
        answers.update(zip(names, measured, strict=True))

    def lowest(self, streams: Sequence[JobStream], answers: Sequence[Answer]) -> tuple[int, Answer]:
        """Which answer is the lowest, and its energy by shots that had no part in the choice.

        Args:
            streams: what was minimized.
            answers: as `settle` gave them.
        """
        places = [place for place, answer in enumerate(answers) if answer.kind == MEASURED]
        place = min(places or range(len(answers)), key=lambda place: answers[place].energy)
        answer = answers[place]
        if len(answers) > 1 and answer.kind == MEASURED:
            try:
                (answer,) = report([streams[place]], [answer], self._measure, self.record)
                answer = self._with_truncation(streams[place], self._with_exact(streams[place], answer))
            except StopOptimization as stop:
                answer = replace(answer, kind=PICK, stopped=stop.reason, **Noiseless().facts)
        return place, answer

    def _reporting(self, energy: Term | None) -> Measure:
        if energy is None:
            return self._measure

        def measure(groups: Sequence[tuple[JobStream, np.ndarray]]) -> Samples:
            return self._sampled([(Objective(stream, energy), points) for stream, points in groups])

        return measure

    def _measure(self, groups: Sequence[tuple[JobStream, np.ndarray]]) -> Samples:
        return self._sampled([(stream.objective, points) for stream, points in groups])

    def _sampled(self, groups: Sequence[tuple[Objective, np.ndarray]]) -> Samples:
        """Values and standard errors by one job; by one for each point where a job may not take as long as that."""
        import numpy as np

        if not self._fits_in_a_job([pub for objective, points in groups for pub in objective.pubs(points)]):
            single = [
                (objective, points[i : i + 1]) for objective, points in groups for i in range(len(points))
            ]
            if len(single) > 1:
                parts = iter([self._sampled([one])[0] for one in single])
                found = [[next(parts) for _ in points] for _, points in groups]
                return [
                    (np.concatenate([part[0] for part in group]), np.concatenate([part[1] for part in group]))
                    for group in found
                ]
        pubs = [objective.pubs(points) for objective, points in groups]
        values = iter(self.results.values([pub for part in pubs for pub in part]))
        sums = []
        for (objective, _), asked in zip(groups, pubs, strict=True):
            measured = [next(values) for _ in objective.terms]
            observables = asked[-1][1]
            objective.stream.reading = (
                observables.reading if isinstance(observables, PlannedObservables) else None
            )
            objective.stream.learn(asked, measured)
            sums.append(objective.sum(measured))
        for (objective, points), (_, stddevs) in zip(groups, sums, strict=True):
            objective.learn(stddevs.reshape(-1).tolist(), points)
        return sums

    @property
    def results(self) -> JobStream:
        """The stream of the jobs that measure results; the streams' own go on as if there were none."""
        if self._afresh is None:
            self._afresh = self.stream(RESULTS)
        return self._afresh

    def _exact(self, stream: JobStream) -> bool:
        """Whether the evaluations of a stream have no shot noise and are the energy itself."""
        exact = self.config.estimator.precision == 0 and isinstance(stream.objective, Objective)
        return bool(exact and stream.objective.bare and not stream.penalized)

    def _with_truncation(self, stream: JobStream, answer: Answer) -> Answer:
        """The answer with what simulations of the jobs that it is from may have left out of an energy at most."""
        found = [self.left_out.error(name) for name in (stream.name, RESULTS)]
        known = [error for error in found if error is not None]
        return replace(answer, truncation=max(known, default=None))

    def _with_exact(self, stream: JobStream, answer: Answer) -> Answer:
        """The answer with the exact energy at its parameters, where it is measured and that can be computed."""
        minimized, energy = stream.objective, self._reported.get(stream.name)
        terms = [energy] if energy is not None else []
        if energy is None and isinstance(minimized, Objective):
            terms = list(minimized.terms)
        if answer.kind not in (MEASURED, EXACT) or len(terms) != 1:
            return answer
        found = self.exact_energy(terms[0].circuit, terms[0].observable, answer.parameters, stream.reading)
        return replace(answer, **found.facts)

    def exact_energy(
        self,
        circuit: QuantumCircuit,
        observable: ObservablesArrayLike,
        parameters: Sequence[float],
        reading: TermReading | None = None,
    ) -> Noiseless:
        """⟨observable⟩ without shot noise, computed here and not by a job, and how; or why it cannot be.

        Args:
            circuit: ISA circuit.
            observable: in its layout.
            parameters: values, in the circuit's order.
            reading: how the shots that it is compared with were read; None: every term off its own basis.
        """
        import numpy as np

        if self._backend.planner is None:
            return Noiseless(note="nothing simulates the machine")
        plan = self._backend.planner.estimator_plan(circuit, observable)
        try:
            method = plan.exact_method
            if method is None:
                return Noiseless(note="this circuit and its noise are simulated shot by shot")
            found = plan.run(np.array(parameters, dtype=float), shots=None, seed=0, reading=reading)
            if found.truncation is not None and float(np.max(found.truncation)) > LEFT_OUT:
                return Noiseless(note="its simulation would leave out part of the state")
            return Noiseless(float(found.evs), method)
        except RunnerError:
            return Noiseless(note="it takes more memory than is free, or leaves out more than may be")
        except Exception:  # what Aer raises: nobody paid for this number, and the run is complete without it
            log.exception("the energy without shot noise could not be computed")
            return Noiseless(note="computing it failed")

    def _fits_in_a_job(self, pubs: list[Pub]) -> bool:
        """Whether a job of these PUBs ends before the time limit of jobs."""
        seconds = self._seconds("estimator", pubs)
        return seconds is None or seconds <= self.config.estimator.longest_job(self._service.plan)

    def _seconds(self, kind: str, pubs: list[Pub]) -> float | None:
        """QPU seconds that a job of these PUBs takes; None where only the service knows."""
        return self._primitive(RESULTS, kind, len(self.sessions)).seconds(pubs, **self._precision(kind))

    def _takes(self, kind: str, pubs: list[Pub]) -> tuple[float, int] | None:
        """QPU seconds and executions that a job of these PUBs takes; None where only the service knows."""
        primitive = self._primitive(RESULTS, kind, len(self.sessions))
        seconds = primitive.seconds(pubs, **self._precision(kind))
        executions = primitive.executions(pubs, **self._precision(kind))
        return None if seconds is None or executions is None else (seconds, executions)

    def _keep_for(self, stream: JobStream, parameters: int) -> None:
        """Find out what measuring the stream's result takes, where a session or a budget may end the run before."""
        import numpy as np

        objective = stream.objective
        if not (self.spending.limited or self._ends_with_its_session) or self._exact(stream):
            return
        kind = objective.program
        points = np.zeros((len(stream.candidates) + MOST_CANDIDATES, parameters))
        choosing = self._takes(kind, objective.pubs(points))
        reporting = self._takes(kind, objective.pubs(points[:1]))
        if choosing is None or reporting is None:
            return
        with self._lock:
            self._to_measure[stream.name] = objective.pubs(points[:1])
            self._kept[stream.name] = Measuring(
                seconds=choosing[0] + reporting[0],
                seconds_again=reporting[0],
                shots=choosing[1] + reporting[1],
                shots_again=reporting[1],
            )

    @property
    def _ends_with_its_session(self) -> bool:
        session = self.config.session
        return bool(session.mode != "job" and session.on_expiry == "stop")

    @property
    def _queueing(self) -> float:
        """Seconds that a job waits in the queue, which those of an active session do not."""
        session = self.config.session
        waits = session.mode != "session" or session.latency > session.limits.interactive(session.mode)
        return session.queue_delay.seconds if waits else 0.0

    def _admit(self, name: str, mode: Any, seconds: float, shots: int) -> bool:
        """Let a job begin only if the results so far can still be measured after it, and no budget is exceeded.

        Args:
            name: whose job it is.
            mode: the session or batch; in job mode the backend.
            seconds: of the QPU that it takes.
            shots: executions of circuits that it takes.

        Returns:
            whether its result is not in the journal.

        Raises:
            StopOptimization: what is left of the session, or of a budget, is for measuring the results.
        """
        if self._may_stop(name):
            with self._lock:
                kept = dict(self._kept)
            evaluated = [stream for stream in self._streams if stream.best.evaluation >= 0]
            new, pause = self._begins(name), self.config.session.latency + self._queueing
            needed = partial(in_all, kept.values(), several=len(evaluated) > 1)
            # earlier releases began jobs after which there is no room to learn noise, and these may be recorded
            executions, learning = (
                self._learning_then(name, mode, seconds + pause + needed(pause)) if new else (0, 0.0)
            )
            needed = partial(needed, learning=learning)
            exceeded = self.spending.shots_exceeded(name, shots, kept, executions)
            if exceeded is None and self.config.session.limits_usage:
                exceeded = self._usage_exceeded(name, mode, seconds, needed)
            if exceeded is not None:
                self._stop_for(exceeded)
            # earlier releases began jobs that do not fit, and these may be recorded
            fits = name in self._fitting and new
            if self._ends_with_its_session and (kept or fits):
                if evaluated:
                    self._within_session(name, mode, seconds + pause, needed(pause))
                elif learning:
                    self._require_room(mode, seconds + pause, needed(pause))
        if name != RESULTS:
            self._leave(name)
        self.spending.add(name, seconds, shots)
        return not self.record.repeats(name)

    def _begins(self, name: str) -> bool:
        """Whether the next job of a workload is none that is recorded."""
        return not self.record.repeats(name)

    def _learning_then(self, name: str, mode: Any, seconds: float) -> tuple[int, float]:
        """Executions and QPU seconds of the jobs that learn the noise which measuring the results so far takes.

        Args:
            name: of the workload whose next job is asked about.
            mode: where that goes, and the results are measured after it.
            seconds: of the session that both take, nothing learned; where it ends before, they may be measured in
                another one, in which nothing is known.
        """
        with self._lock:
            pubs = [pub for found in self._to_measure.values() for pub in found]
        if not pubs or not self._learns(RESULTS):
            return 0, 0.0
        session, attempt = self.config.session, self.sessions.index(mode) + 1
        found = self._primitive(RESULTS, "estimator", attempt).learning(pubs)
        if session.mode == "job":
            return found
        if self._learns(name) and self._service.submitted(LEARNER) == self._learned_before:
            found = 0, 0.0  # the next job has it learned
        left = mode.time_left() if session.on_expiry == "reopen" else None
        if left is None or left >= seconds + found[1]:
            return found
        options = dict(self.config.estimator.options) | self.mitigation_of(RESULTS)
        again = self._service.primitive("estimator", self._backend, options, RESULTS).learning(pubs)
        return found[0] + again[0], found[1] + again[1]

    def _learns(self, name: str) -> bool:
        """Whether the jobs of a workload take noise that a job of this run learns."""
        known = self._learning.get(name)
        if known is None:
            chosen = declared(self.mitigation_of(name))
            known = self._learning[name] = chosen is not None and chosen.learns
        return known

    def _may_stop(self, name: str) -> bool:
        """Whether a job of a workload may be refused, so that results can still be measured or for a budget."""
        limited = bool(self._kept) or self.spending.limited
        return name != RESULTS and (limited or name in self._fitting)

    def _leave(self, name: str) -> None:
        """Close the session where the run had stopped before the next job of a workload.

        Raises:
            RuntimeSessionError: it did, so that the job has to go to another session.
        """
        with self._lock:
            ended = self.record.leaves(name, self._service.submitted(name))
        if not ended:
            return
        # others that had not stopped yet go on until then, and results were measured
        self._service.pass_until(ended[-1].time)
        with self._lock:
            for one in ended:
                numbers = {session.session_id: n for n, session in enumerate(self.sessions, 1)}
                if one.session not in numbers:
                    self._open()  # results were measured in it alone
                number = numbers.get(one.session, len(self.sessions))
                self._closed_early.add(number)
                self.sessions[number - 1].close()
        raise _LeftError("its session was closed where the run had stopped", session_ended=True)

    def _usage_exceeded(
        self, name: str, mode: Any, seconds: float, needed: Callable[[float], float]
    ) -> BudgetReached | None:
        charged, pause = self.spending.qpu_seconds, 0.0
        if self.config.session.mode == "session":  # is charged between jobs, and until it is closed, as well
            others = (session.usage() or 0.0 for session in self.sessions if session is not mode)
            charged = sum(others) + (mode.usage_ahead() or 0.0)
            pause = self.config.session.latency
        if not self.record.repeats(name) and (before := self.measured_before) is not None:
            charged += before.usage_seconds
        return self.spending.usage_exceeded(name, charged, seconds + pause, needed(pause))

    def _stop_for(self, exceeded: BudgetReached) -> None:
        self._expired = True
        self.record(exceeded)
        raise StopOptimization(self.spending.stop(exceeded), resumable=True)

    def _within_session(self, name: str, session: OpenSession, seconds: float, needed: float) -> None:
        left = session.time_left()
        if left is None or left >= seconds + needed:
            return
        self._expired = self.session_over = True
        self.record(Reserve(workload=name, seconds_left=left, seconds_needed=needed))
        if left <= 0:
            why = f"session ended: {session.reason or 'maximum time reached'}"
        elif needed:
            why = f"the session's last {left:.0f} s are kept for measuring the result"
        else:
            why = f"the session's last {left:.0f} s are too few for the next job, of {seconds:.0f} s"
        raise StopOptimization(why, resumable=True)

    def _require_room(self, mode: OpenSession, seconds: float, needed: float) -> None:
        """Spend nothing where the session has no room for one job, learning noise and measuring what comes of it.

        Raises:
            ConfigError: it has not; another session would have none either.
        """
        left = mode.time_left()
        if left is not None and left < seconds + needed:
            raise no_room(left, "the first job", seconds, needed)

    @contextmanager
    def together(self, names: Sequence[str]) -> Iterator[Callable[..., Future[Any]]]:
        """Run streams of these names at the same time: yields `submit(name, function, *args)` → future.

        The timeline does not depend on how the operating system schedules the threads.
        """
        self.spending.apart(names)
        with self._service.workloads(list(names)) as pool:
            yield pool.submit

    def execute(
        self,
        workload: str,
        kind: str,
        submit: Callable[[Any, dict[str, float]], SubmittedJob],
        answer: Callable[[SubmittedJob], Numbers],
        repeat: Callable[[Any, dict[str, float]], Numbers | None] | None = None,
    ) -> Numbers:
        """Submit one job and wait for its `answer`; the only door between experiments and the session.

        Args:
            workload: whose job it is.
            kind: estimator | sampler.
            submit: submits it to a primitive, with options.
            answer: waits for it and takes its numbers.
            repeat: both in one where the journal answers the job; None from it: they have to do it.

        Raises:
            Interrupted: a signal arrived; no further job is submitted.
            StopOptimization: the session has ended and `session.on_expiry` is stop.
            RuntimeSessionError: it has ended and `session.on_expiry` is fail, or a job failed by itself.
        """
        while True:
            self._stop.check()
            attempt = self._lasting_session()
            primitive = self._primitive(workload, kind, attempt)
            try:
                options = self._precision(kind)
                found = None if repeat is None else repeat(primitive, options)
                numbers = answer(submit(primitive, options)) if found is None else found
                self._answered = True
                return numbers
            except TruncationError:  # nothing was submitted
                self.spending.give_back(workload)
                raise
            except _LeftError:
                continue
            except RuntimeSessionError as error:
                self.spending.give_back(workload)
                self._after_expiry(attempt, error)

    def ahead(self, workload: str) -> list[JobCompleted]:
        """The recorded ends of a workload's next jobs, the next one last; none where others may come between.

        Raises:
            Interrupted: a signal arrived.
        """
        self._stop.check()
        index = self._service.next_alone(workload)
        return [] if index is None else self.record.ahead(workload, index)[::-1]

    def repeated(
        self, workload: str, jobs: Sequence[Sequence[Pub]], *, sloped: bool
    ) -> Sequence[Sequence[Mapping[str, Any]]]:
        """What is recorded of the numbers of jobs, up to the first that has to go the usual way; see `execute`."""
        primitive = self._primitive(workload, "estimator", self._lasting_session())
        knows = self._service.capabilities.knows_its_queue
        admit = None if not knows or self._may_stop(workload) else partial(self.spending.add_all, workload)
        found = primitive.repeat(jobs, sloped=sloped, admit=admit, **self._precision("estimator"))
        self._answered = self._answered or bool(found)
        return found

    def _precision(self, kind: str) -> dict[str, float]:
        precision = self.config.estimator.precision
        return {} if kind == "sampler" or precision is None else {"precision": precision}

    def _after_expiry(self, attempt: int, error: RuntimeSessionError) -> None:
        """Stop, fail or reopen; returns only when there is a session to try again in."""
        if not error.session_ended:
            raise error
        if self.config.session.on_expiry != "reopen":
            self._expired = self.session_over = True
            why = f"session ended: {self.sessions[attempt - 1].reason or str(error).rstrip('.')}"
            if self.config.session.on_expiry == "fail":
                words = f"{why}; session.on_expiry=fail"
                raise RuntimeSessionError(words, code=error.code, session_ended=True) from error
            raise StopOptimization(why, resumable=True) from error
        with self._lock:
            if len(self.sessions) == attempt:
                self._require_answer(error)
                self._open()

    def _require_answer(self, error: RuntimeSessionError) -> None:
        """Open no session after one that took all its time to learn noise: what was learned ends with it.

        Raises:
            RuntimeSessionError: the next one would come to the same, and be paid for.
        """
        if self._answered or self._service.submitted(LEARNER) == self._learned_before:
            return
        self._expired = self.session_over = True
        words = (
            f"session ended when noise had been learned in it, before a job that uses it: {self.sessions[-1].reason}; "
            "another one would end the same; raise session.max_time"
        )
        raise RuntimeSessionError(words, code=error.code, session_ended=True) from error

    def _lasting_session(self) -> int:
        """The number of the session that jobs go to, from 1; one that was left is followed by another."""
        with self._lock:
            if len(self.sessions) in self._closed_early:
                self._open()
            return len(self.sessions)

    def _open(self) -> None:
        self._learned_before, self._answered = self._service.submitted(LEARNER), False
        self.sessions.append(self.config.session.open(self._service, self._backend))

    def _primitive(self, workload: str, kind: str, attempt: int) -> Primitive:
        key = (workload, kind, attempt)
        if key not in self._primitives:
            options = dict(self.config.estimator.options)
            if kind == "estimator":
                options |= self.mitigation_of(workload)
            else:
                options |= self.config.experiment.sampler_options
            options["environment"] = {"job_tags": [workload]}
            mode = self.sessions[attempt - 1]
            asks = self._service.capabilities.knows_its_queue
            admit = partial(self._admit, workload, mode) if asks else None
            self._primitives[key] = self._service.primitive(kind, mode, options, workload, admit=admit)
        return self._primitives[key]

"""What an experiment works with: the problem, the optimizer, and workloads in the one open session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from runner.config import RunConfig
from runner.errors import RuntimeSessionError, StorageError
from runner.optimizer import OptimizerResult, StopOptimization
from runner.overlap import Overlap
from runner.problem import Problem, chosen_gradient, fit
from runner.record import Record
from runner.results import Outcome
from runner.signals import StopFlag
from runner.workload import Best, EnergyFunction, Objective, Term, Workload

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from runner.runtime import LocalRuntimeService


class Lab:
    """The session, and everything an experiment may do in it.

    Entering the lab opens the session; leaving it closes it, whatever happened. Primitives are made here so that an
    experiment cannot get at limits, modes or seeds; when the session ends early, `session.on_expiry` decides here.
    """

    def __init__(
        self,
        config: RunConfig,
        service: LocalRuntimeService,
        backend: BackendV2,
        problem: Problem | None,
        record: Record,
        stop: StopFlag,
        prepared: Any = None,
    ) -> None:
        self.config = config
        self.record = record
        self.sessions: list[Any] = []
        """Every session opened, in order; more than one only where `session.on_expiry=reopen`."""
        self.prepared = prepared
        """What the experiment's `prepare` gave."""
        self.table: list[dict[str, Any]] = []
        """The rows reported so far."""
        self._problem = problem
        self._service = service
        self._backend = backend
        self._stop = stop
        self.converged: bool | None = None
        """Every minimization so far met its own criterion; None before the first."""
        self._lock = threading.Lock()
        self._expired = False
        self._primitives: dict[tuple[str, str, int], Any] = {}
        self._workloads: list[Workload] = []

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
        if broken:
            # what closing adds to the journal is this process's doing; a resumed run goes on without it
            self.record("run.interrupted", {"reason": str(error) or type(error).__name__})
        for session in self.sessions[-1:]:
            if self.config.session.mode != "job":
                session.close()
        if broken and self.config.session.clock == "virtual" and hasattr(self._service, "drain"):
            self._service.drain()  # another workload's job may run still, and time stands still when nobody waits

    def workload(self, name: str) -> Workload:
        """A new stream of jobs; its random numbers depend on the run's seed and this name only."""
        import numpy as np

        from runner.runtime import derive_seed

        rng = np.random.default_rng(derive_seed(self.config.seed, f"{name}/classical", 0))
        workload = Workload(self, name, rng)
        self._workloads.append(workload)
        return workload

    def row(self, **fields: Any) -> None:
        """Report one row of the result's table; what is reported survives whatever happens later.

        Once the session has ended under the experiment, rows tell of unfinished work: a resumed run reports others.
        """
        if not self._expired:
            self.record("checkpoint", {"row": len(self.table), **fields})
        self.table.append(fields)

    def fit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The ISA circuit of a circuit that only the run itself could make."""
        return fit(circuit, self._backend, self.config)

    def so_far(self, reason: str) -> Outcome:
        """What is known when the experiment did not get to its end: the best evaluation of any workload."""
        best = min(
            (workload.best for workload in self._workloads), key=lambda best: best.energy, default=Best()
        )
        seen = best.evaluation >= 0
        return Outcome(
            energy=best.energy if seen else None,
            stddev=best.stddev if seen else None,
            parameters=best.parameters,
            reference_energy=self._problem.reference_energy if self._problem else None,
            evaluations=sum(workload.evaluations for workload in self._workloads),
            iterations=sum(workload.iterations for workload in self._workloads),
            stop_reason=reason,
            table=self.table,
        )

    def describe_sessions(self) -> dict[str, Any]:
        """The content of session.json: details, status and usage of every session, and the job ledger."""
        jobs = [_ledger_line(job) for job in self._service.jobs(limit=None, descending=False)]
        if self.config.session.mode == "job":
            sessions = []
            usage = sum(job["qpu_seconds"] for job in jobs)
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
            "jobs": jobs,
        }

    def objective(self, workload: Workload, *terms: Term, optimizer: Any = None) -> Objective:
        """The energy that jobs of `workload` evaluate: the problem's, or a weighted sum of expectation values.

        Args:
            workload: whose jobs these are.
            terms: ISA circuits with observables and weights; none: the problem's circuit and Hamiltonian.
            optimizer: what will minimize it; tells whether `gradient=auto` means one. None: the declared one.
        """
        terms = terms or (Term(self.problem.circuit, self.problem.observable),)
        planned = getattr(self._backend, "planned", None)  # a real machine makes its own plans
        gradient = self.config.gradient
        if gradient != "auto" or (optimizer or self.config.optimizer).uses_gradient:
            gradient = chosen_gradient(
                gradient, self.config, self._backend, *((term.circuit, term.observable) for term in terms)
            )
        else:
            gradient = "none"
        return Objective(workload, *terms, gradient=gradient, planned=planned)

    def minimize(
        self,
        workload: Workload,
        optimizer: Any,
        *,
        energy: EnergyFunction | None = None,
        start: np.ndarray | None = None,
        circuit: QuantumCircuit | None = None,
    ) -> OptimizerResult:
        """Minimize an energy with a declared optimizer, every evaluation being a job of `workload`.

        Args:
            workload: whose jobs these are, and whose random numbers the optimizer draws.
            optimizer: the declaration.
            energy: what is minimized; None: the problem's energy.
            start: initial parameters, shape (P,); None: the problem's.
            circuit: logical circuit of the parameters, for methods that measure overlaps; None: the problem's.
        """
        energy = energy or self.objective(workload, optimizer=optimizer)
        fidelity = None
        if optimizer.uses_fidelity:
            fidelity = Overlap.of(circuit or self.problem.ansatz, self, workload)
        more = {}
        if getattr(optimizer, "uses_frequencies", False) and hasattr(energy, "frequencies"):
            more["frequencies"] = energy.frequencies()
        found = optimizer.build().minimize(
            energy,
            self.problem.initial_point if start is None else start,
            gradient=energy.value_and_gradient,
            fidelity=fidelity,
            rng=workload.rng,
            callback=workload.iteration,
            **more,
        )
        with self._lock:
            self.converged = found.success and self.converged is not False
        return found

    def confirm(self, workload: Workload, circuit: Any = None, observable: Any = None) -> tuple[float, float]:
        """Energy and standard error at the workload's best parameters.

        The lowest of many noisy numbers is biased low, so a sampled energy is measured once more at that point; an
        exact one is what it is. When the session is over by then, the number seen first has to do.

        Args:
            workload: whose best parameters are meant.
            circuit: ISA circuit; None: the problem's.
            observable: in its layout; None: the problem's Hamiltonian.
        """
        best = workload.best
        exact = best.stddev == 0 or self.config.estimator.precision == 0
        if best.evaluation < 0 or (circuit is None and exact):
            return best.energy, best.stddev
        if circuit is None:
            circuit, observable = self.problem.circuit, self.problem.observable
        try:
            data = workload.estimate((circuit, observable, best.parameters))[0].data
        except StopOptimization:
            return best.energy, best.stddev
        energy, stddev = float(data.evs), float(data.stds)
        self.record("estimate", {"workload": workload.name, "energy": energy, "stddev": stddev})
        return energy, stddev

    @contextmanager
    def together(self, names: Sequence[str]) -> Iterator[Callable[..., Future[Any]]]:
        """Run workloads of these names at the same time: yields `submit(name, function, *args)` → future.

        The timeline does not depend on how the operating system schedules the threads.
        """
        with self._service.workloads(list(names)) as pool:
            yield pool.submit

    def execute(
        self,
        workload: str,
        kind: str,
        submit: Callable[[Any, dict[str, Any]], Any],
        answer: Callable[[Any], Any] = lambda job: job.result(),
    ) -> Any:
        """Submit one job and wait for its `answer`; the only door between experiments and the session.

        Raises:
            Interrupted: a signal arrived; no further job is submitted.
            StopOptimization: the session has ended and `session.on_expiry` is stop.
            RuntimeSessionError: it has ended and `session.on_expiry` is fail, or a job failed by itself.
        """
        while True:
            self._stop.check()
            attempt = len(self.sessions)
            primitive = self._primitive(workload, kind, attempt)
            precision = self.config.estimator.precision
            options = {} if kind == "sampler" or precision is None else {"precision": precision}
            try:
                return answer(submit(primitive, options))
            except RuntimeSessionError as error:
                self._after_expiry(attempt, error)

    def _after_expiry(self, attempt: int, error: RuntimeSessionError) -> None:
        """Stop, fail or reopen; returns only when there is a session to try again in."""
        if not error.session_ended or self.config.session.on_expiry == "fail":
            raise error
        if self.config.session.on_expiry == "stop":
            self._expired = True
            raise StopOptimization(f"session ended: {error}", resumable=True) from error
        with self._lock:
            if len(self.sessions) == attempt:
                self._open()

    def _open(self) -> None:
        self.sessions.append(self.config.session.open(self._service, self._backend))

    def _primitive(self, workload: str, kind: str, attempt: int) -> Any:
        key = (workload, kind, attempt)
        if key not in self._primitives:
            options = dict(self.config.estimator.options)
            options["environment"] = {"job_tags": [workload]}
            mode = self.sessions[attempt - 1]
            self._primitives[key] = self._service.primitive(kind, mode, options, workload)
        return self._primitives[key]


def _ledger_line(job: Any) -> dict[str, Any]:
    """One job as session.json lists it; times in seconds on the session's clock."""
    record = job.record
    return {
        "id": job.job_id(),
        "workload": job.workload,
        "index": job.index,
        "session": job.session_id,
        "tags": job.tags,
        "program": job.program_id,
        "status": job.status(),
        "reason": job.error_message(),
        "submitted": record.submitted,
        "started": record.started,
        "finished": record.finished,
        "qpu_seconds": job.usage(),
    }

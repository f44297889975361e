"""What a run needs of whoever carries out its jobs: a service, its backends, and the plans that some of them make.

The local runtime, the real one and their stand-ins in forecasts have these by their shape, without deriving from
anything here. What one of them cannot, it states: by its `capabilities`, or by a None where others have something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeGuard, TypeVar, runtime_checkable

from runner.runtime.capabilities import Capabilities

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers import BindingsArrayLike, ObservablesArrayLike
    from qiskit.transpiler import Target

    from runner.engine import EstimatorNumbers
    from runner.engine.reading import TermOverlaps, TermReading
    from runner.mitigation import Setting
    from runner.record.events import Event
    from runner.runtime.cost import CostModel
    from runner.runtime.plan import Plan as Limits
    from runner.runtime.results import Numbers

    Observables: TypeAlias = ObservablesArrayLike | "PlannedObservables"
    Pub: TypeAlias = tuple[QuantumCircuit | Observables | BindingsArrayLike | float | None, ...]

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

__all__ = [
    "Backend",
    "Capabilities",
    "CompiledPlan",
    "OpenSession",
    "PlannedObservables",
    "Planner",
    "Pool",
    "Primitive",
    "Service",
    "SubmittedJob",
]


@runtime_checkable
class CompiledPlan(Protocol):
    """An ISA circuit with observables, compiled; not to be confused with the plan that somebody pays for."""

    num_parameters: int
    num_bases: int
    """Measurement bases that a device needs."""
    duration: float | None
    """Seconds that one execution takes; None where the device knows no durations."""
    durations: tuple[float | None, ...] | None
    """Of each basis, where every basis has a circuit of its own; None where all take as long."""
    added_two_qubit_gates: tuple[int, ...]
    """Two-qubit gates that each basis takes besides the circuit; empty where none does."""

    @property
    def variance_bounds(self) -> np.ndarray:
        """The most that each observable's variance by one shot per basis can be, shape (observables,)."""
        ...

    @property
    def variance_bounds_by_basis(self) -> np.ndarray:
        """The same of each basis by itself, shape (observables, bases)."""
        ...

    @property
    def mean_variances_by_basis(self) -> np.ndarray:
        """Each observable's variance by one shot of each basis in a random state, shape (observables, bases)."""
        ...

    @property
    def overlaps(self) -> TermOverlaps:
        """Which terms every basis can read beside its own."""
        ...

    @property
    def gradient_sets(self) -> int:
        """Parameter sets of the shift job that gives the energy and its gradient."""
        ...

    @property
    def exact_gradient(self) -> bool:
        """Whether exact gradients of it can be computed."""
        ...

    @property
    def exact_method(self) -> str | None:
        """How exact values are computed; None where they are not."""
        ...

    def simulation(self, shots: int | None) -> str | None:
        """How noise or branches are simulated, and why, in words; None where there are none. `shots` None: exactly."""
        ...

    def require(self, *, exact: bool) -> None:
        """Refuse what cannot be evaluated.

        Raises:
            ConfigError: with the size that is too large.
        """
        ...

    def foresee(self, values: np.ndarray, *, exact: bool) -> None:
        """Find out whether parameters of shape (…, P) would be refused for what their simulation leaves out.

        Raises:
            TruncationError: they would.
        """
        ...

    def run(
        self,
        values: np.ndarray,
        *,
        shots: int | Sequence[int] | None,
        seed: int,
        reading: TermReading | None = None,
    ) -> EstimatorNumbers:
        """`evs` and `stds` at parameters of shape (…, P); shots for all bases or for each, None: exact."""
        ...


class PlannedSamples(Protocol):
    """A circuit with measurements, compiled for its samples."""

    def simulation(self, shots: int) -> str | None:
        """How noise or branches are simulated with so many shots, and why, in words; None where there are none."""
        ...

    def foresee(self) -> None:
        """Find out whether a circuit without parameters would be refused for what its simulation leaves out.

        Raises:
            TruncationError: it would.
        """
        ...


@runtime_checkable
class PlannedObservables(Protocol):
    """What stands for the observables of a circuit that is evaluated again and again."""

    @property
    def plan(self) -> CompiledPlan:
        """Their plan."""
        ...

    @property
    def shots(self) -> tuple[int, ...] | None:
        """Shots of each basis; None: all have as many."""
        ...

    @property
    def reading(self) -> TermReading | None:
        """What every basis adds of every term that it can read; None: of its own group all."""
        ...

    def allotted(self, shots: tuple[int, ...], reading: TermReading | None = None) -> PlannedObservables:
        """The same with so many shots of each basis, and with terms read as said."""
        ...


_PLANNED: dict[type, bool] = {}


def is_planned(observables: object) -> TypeGuard[PlannedObservables]:
    """Whether a plan stands for observables. Each class is asked once: protocols take long to answer."""
    kind = type(observables)
    found = _PLANNED.get(kind)
    if found is None:
        found = _PLANNED[kind] = isinstance(observables, PlannedObservables)
    return found


@runtime_checkable
class Planner(Protocol):
    """Compiles circuits before they are submitted."""

    def estimator_plan(self, circuit: QuantumCircuit, observables: ObservablesArrayLike) -> CompiledPlan:
        """The plan of an ISA circuit and observables in its layout; the same ones give the same plan."""
        ...

    def sampler_plan(self, circuit: QuantumCircuit) -> PlannedSamples:
        """The plan of an ISA circuit with measurements."""
        ...

    def planned(self, circuit: QuantumCircuit, observables: ObservablesArrayLike) -> PlannedObservables:
        """What stands for the observables, as `plan`, in PUBs of a circuit that is evaluated again and again."""
        ...

    def require_noise_model(
        self, circuit: QuantumCircuit, observables: ObservablesArrayLike, chosen: Setting, key: str
    ) -> None:
        """Refuse noise that another run has learned where it does not go with a circuit; `key` names that setting."""
        ...

    def learn_as(self, other: object) -> None:
        """Take over what another planner of the same device and noise has learned of its layers."""
        ...

    def misreads(self, qubits: Sequence[int]) -> bool:
        """Whether any of these qubits is read as what it is not."""
        ...

    def moments(
        self, start: str, circuit: QuantumCircuit, observables: ObservablesArrayLike
    ) -> Callable[[int], PlannedObservables] | None:
        """What stands for the observables after so many repetitions of a circuit on a product state.

        None where the state cannot be carried on, and each moment is a circuit of its own.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """What circuits are fitted to; in every other way Qiskit's BackendV2."""

    name: str

    @property
    def target(self) -> Target:
        """Its instructions, on which qubits, and how long they take."""
        ...

    @property
    def ideal(self) -> bool:
        """Whether it takes every gate on any qubits, so that only those that a circuit uses count."""
        ...

    @property
    def idle_qubits(self) -> str | None:
        """What becomes of simulated qubits that wait, in words; None where there is nothing to tell."""
        ...

    def device_properties(self) -> Mapping[str, object] | None:
        """Errors, durations and decay times of the device, in the client's form; None where none are told."""
        ...

    @property
    def planner(self) -> Planner | None:
        """What compiles its circuits here; None where only the service does."""
        ...

    def require_isa(self, circuit: QuantumCircuit) -> None:
        """Refuse a circuit that it cannot run as it is.

        Raises:
            ConfigError: naming the instruction.
        """
        ...


class Primitive(Protocol):
    """An Estimator or a Sampler for the jobs of one workload."""

    @property
    def run(self) -> Callable[..., SubmittedJob]:
        """Submits PUBs as one job; takes precision (Estimator) or shots (Sampler)."""
        ...

    @property
    def repeat(self) -> Callable[..., list[Sequence[Mapping[str, Any]]]]:
        """Submits as `run` does, or for gradients if `sloped`, jobs that the journal answers; what it says of them."""
        ...

    @property
    def seconds(self) -> Callable[..., float | None]:
        """QPU seconds that `run` with the same arguments takes; None where only the service knows."""
        ...

    @property
    def executions(self) -> Callable[..., int | None]:
        """Executions of circuits that `run` with the same arguments takes; None where only the service knows."""
        ...

    @property
    def learning(self) -> Callable[..., tuple[int, float]]:
        """Executions and QPU seconds of the job that `run` submits before its own to learn noise, or 0."""
        ...

    @property
    def learn(self) -> Callable[..., SubmittedJob]:
        """Submits that job alone; takes PUBs (Estimator)."""
        ...


class Dated(Protocol):
    """When things happened to a job, in seconds on the session's clock."""

    @property
    def submitted(self) -> float:
        """It was asked for."""
        ...

    @property
    def started(self) -> float | None:
        """Its turn came; None if it has not, or never did."""
        ...

    @property
    def finished(self) -> float | None:
        """It was over; None if it is not."""
        ...


class SubmittedJob(Protocol):
    """A submitted job."""

    @property
    def workload(self) -> str:
        """Whose job it is."""
        ...

    @property
    def index(self) -> int:
        """Its number in its workload."""
        ...

    @property
    def session_id(self) -> str | None:
        """The session or batch it belongs to."""
        ...

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        ...

    @property
    def program_id(self) -> str:
        """Estimator | sampler."""
        ...

    @property
    def times(self) -> Dated:
        """When things happened to it."""
        ...

    def job_id(self) -> str:
        """The service's id."""
        ...

    def status(self) -> str:
        """QUEUED | RUNNING | DONE | FAILED | CANCELLED."""
        ...

    def error_message(self) -> str | None:
        """Why it did not succeed."""
        ...

    def usage(self) -> float:
        """QPU seconds."""
        ...

    def listed(self) -> dict[str, object]:
        """It as session.json lists it, by the names of `runner.record.ledger.COLUMNS`."""
        ...

    def result(self) -> PrimitiveResult:
        """Wait for it; a PrimitiveResult."""
        ...

    def numbers(self) -> list[Numbers]:
        """Wait for it; the arrays of each PUB by name."""
        ...


@runtime_checkable
class OpenSession(Protocol):
    """An open session or batch."""

    @property
    def session_id(self) -> str | None:
        """The service's id."""
        ...

    @property
    def reason(self) -> str | None:
        """Why it is in the state it is in."""
        ...

    def status(self) -> str | None:
        """Its state in the client's words."""
        ...

    def details(self) -> dict[str, Any] | None:
        """What the service knows of it, by the client's names."""
        ...

    def usage(self) -> float | None:
        """Seconds charged so far."""
        ...

    def time_left(self) -> float | None:
        """Seconds left of it when everything submitted is done; None where only the service knows."""
        ...

    def usage_ahead(self) -> float | None:
        """Seconds charged for it when everything submitted is done; None where only the service knows."""
        ...

    def close(self) -> None:
        """Take no more jobs."""
        ...


class Pool(AbstractContextManager["Pool"], Protocol):
    """Threads for workloads."""

    def submit(
        self, name: str, function: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Answer]:
        """Start the workload `name`."""
        ...


@runtime_checkable
class Service(Protocol):
    """What opens sessions and carries out jobs."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can."""
        ...

    plan: Limits
    """What is allowed, and what it costs."""
    price_per_second: float
    """USD per second of usage."""

    @property
    def cost(self) -> CostModel | None:
        """How long jobs keep the device; None where only the service knows."""
        ...

    def open(self, backend: Any, mode: str, max_time: int | str | None = None) -> Any:
        """Open a `session` or a `batch`; in `job` mode the backend itself, which jobs are then submitted to."""
        ...

    def primitive(
        self,
        kind: str,
        mode: Any,
        options: Mapping[str, object],
        workload: str,
        *,
        admit: Callable[[float, int], bool | None] | None = None,
    ) -> Primitive:
        """An `estimator` or a `sampler` for jobs of a workload.

        Args:
            kind: estimator | sampler.
            mode: what `open` gave.
            options: in the client's names.
            workload: whose jobs these are.
            admit: asked before each job with the QPU seconds and the executions it will take, if the service
                `knows_its_queue`; raises where it is not to be submitted, and says whether a simulation that may be
                refused is to come first.
        """
        ...

    def workloads(self, names: Sequence[str]) -> Pool:
        """Threads for workloads of these names."""
        ...

    def jobs(self, limit: int | None = 10, *, descending: bool = True) -> Sequence[SubmittedJob]:
        """Its jobs, `limit` of them (None: all), the newest or the oldest first."""
        ...

    def next_alone(self, workload: str) -> int | None:
        """The index of a workload's next job if the journal may answer it and nobody else acts or looks; else None."""
        ...

    def submitted(self, workload: str) -> int:
        """How many jobs of a workload were submitted: the index of its next one."""
        ...

    def pass_until(self, moment: float) -> None:
        """Let time pass on the session's clock until a moment [s]; nothing where that is no clock of its own."""
        ...

    def continue_from(self, events: Iterable[Event], identity: int) -> None:
        """Take over what an earlier process of this run has recorded; for one that does not repeat its past."""
        ...

    def abandon(self) -> None:
        """Nobody will wait for what was submitted any more: see to it that it comes to its end all the same."""
        ...

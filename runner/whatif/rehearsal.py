"""A run on made-up numbers: everything is real except the simulation and the journal."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray

from runner.engine.circuits import dissect
from runner.engine.commuting import CommutingPlan
from runner.engine.drifting import DriftingReadout
from runner.engine.engine import Engine
from runner.engine.estimator import EstimatorNumbers, EstimatorPlan
from runner.engine.grouping import COMMUTING
from runner.engine.reading import TermReading
from runner.engine.readout import Readout
from runner.engine.sampler import SamplerPlan
from runner.errors import RunnerError
from runner.optimizer import Candidate, OptimizerConfig, OptimizerResult
from runner.optimizer.nft import NFT
from runner.record.events import Candidates, Evaluation, Event, JobCompleted, JobSubmitted, SessionChanged
from runner.record.replay import LEARNER, Record
from runner.run.answer import Noiseless
from runner.run.context import Lab
from runner.run.mitigation import CALIBRATION, declared
from runner.run.objective import JobStream
from runner.runtime.cost import CostModel, Work
from runner.whatif.usual import usual_evaluations

REHEARSED = 400
"""Evaluations of an optimization that are rehearsed one by one; the rest takes what the second half of them took."""

BUDGETED = 20_000
"""Evaluations that are rehearsed one by one where a budget in shots or money may end the run."""

ALL_REHEARSED = 2000
"""Evaluations of a run after which optimizations are rehearsed with SHORTEST only."""

SHORTEST = 40
"""Evaluations that every optimization is rehearsed with, however many optimizations there are."""

TOO_FEW = 2
"""Evaluations left over that are not worth another start: fewer than a step of some methods takes."""

TRIED_QUBITS = 8
"""Qubits of a circuit that is tried, two for each where its density matrix is computed."""

TRIED = {False: 3000, True: 600}
"""Whether gradients are followed → evaluations after which a trial is given up."""

STEP_LIMITS = ("maxiter", "iterations", "generations")
"""Settings by which optimizers bound their steps; one that bounds anything else, as `sweeps`, is left to itself."""


class RehearsalEngine(Engine):
    """An engine whose plans know what they cost and make up what they return."""

    estimates: type[EstimatorPlan]
    commuting_estimates: type[EstimatorPlan]
    mitigates = False

    def estimator_plan(self, circuit: QuantumCircuit, observables: Any) -> EstimatorPlan:
        """A plan with real measurement bases and duration."""
        kind = self.commuting_estimates if self._options.grouping == COMMUTING else self.estimates
        return self._remembered(circuit, observables, lambda: kind(circuit, observables, self._options))

    def evolution(self, start: str, circuit: QuantumCircuit, observables: Any) -> Any:
        """Moments that all cost what the first does; None where the engine would carry no state on."""
        del start
        if self._options.kernel is None or self._options.noise_model or self._options.target is not None:
            return None
        if self._options.grouping == COMMUTING:
            return None
        return _MadeUpEvolution(self.estimates(circuit, observables, self._options))

    def sampler_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """A plan with real registers and duration."""
        return self._remembered(circuit, None, lambda: _MadeUpSamples(circuit, self._options))


class _MadeUpEstimates(EstimatorPlan):
    @cached_property
    def _demanding(self) -> Readout | DriftingReadout:
        """One basis of a noisy circuit with each instruction once: as large as the whole, known by the same kernels.

        What takes memory is a density matrix; scheduling every basis, and all of a long circuit, takes seconds.
        """
        if not (self._noisy and self._groups):
            return self._readout
        groups = [max(self._groups, key=len)]
        if self._anatomy.dynamic or self._options.quasi_static is not None:
            return self._reading_of(groups)
        return Readout(dissect(each_once(self._anatomy.circuit)), self.terms, groups, self._options)

    def variances(self, reading: TermReading | None) -> NDArray:
        """Of one shot of each basis: the most they can be, (observables, bases)."""
        if reading is None:
            return self.variance_bounds_by_basis
        return self.overlaps.highest_variances(reading.weights)

    def run(
        self,
        values: NDArray,
        *,
        shots: int | Sequence[int] | None,
        seed: int,
        reading: TermReading | None = None,
    ) -> EstimatorNumbers:
        """−mean cos(θₚ − cₚ), spread over the observables."""
        del seed
        shape = np.broadcast_shapes(self.shape, values.shape[:-1])
        evs = np.broadcast_to(landscape(values), shape) if shape else landscape(values)
        if shots is None:
            return EstimatorNumbers(np.array(evs), np.zeros(shape), shots)
        variances = self.variances(reading)
        spread = math.sqrt((variances / shots).sum(axis=1).max())
        usual = shots if isinstance(shots, int) else round(sum(shots) / len(shots))
        return EstimatorNumbers(np.array(evs), np.full(shape, spread), usual, variances)

    def gradient(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """The landscape and its slope."""
        count = max(values.shape[-1], 1)
        shape = np.broadcast_shapes(self.shape, values.shape[:-1])
        slope = np.sin(values - _centres(count)) / count
        return (
            np.array(np.broadcast_to(landscape(values), shape)),
            np.array(np.broadcast_to(slope, (*shape, values.shape[-1]))),
        )


def each_once(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with the first of all instructions that are alike: of a name, on the same qubits.

    Those that depend on parameters are alike, others where their numbers are the same.
    """
    result, seen = circuit.copy_empty_like(), set()
    for item in circuit.data:
        numbers = () if item.is_parameterized() else tuple(map(repr, item.params))
        if (kind := (item.name, item.label, item.qubits, numbers)) not in seen:
            seen.add(kind)
            result.append(item)
    return result


class _UsualEstimates(_MadeUpEstimates):
    def variances(self, reading: TermReading | None) -> NDArray:
        """Of one shot of each basis, in a random state."""
        return (
            self.mean_variances_by_basis if reading is None else self.overlaps.mean_variances(reading.weights)
        )


class _MadeUpCommuting(_MadeUpEstimates, CommutingPlan):
    pass


class _UsualCommuting(_UsualEstimates, CommutingPlan):
    pass


class _MadeUpEvolution:
    def __init__(self, plan: EstimatorPlan) -> None:
        self._plan = plan

    def at(self, times: int) -> EstimatorPlan:
        """The same plan for every moment."""
        del times
        return self._plan


RehearsalEngine.estimates = _MadeUpEstimates
RehearsalEngine.commuting_estimates = _MadeUpCommuting


class UsualStage(RehearsalEngine):
    """A stage whose estimates spread as those of random states do, not as much as they can."""

    estimates = _UsualEstimates
    commuting_estimates = _UsualCommuting


class _Anywhere(_MadeUpEstimates):
    def require(self, *, exact: bool) -> None:
        """Refuse nothing: a real machine has the qubits, and nothing is simulated."""

    def simulation(self, shots: int | None) -> str | None:
        """Nothing is."""
        del shots
        return None


class _UsuallyAnywhere(_Anywhere, _UsualEstimates):
    """The same, with the spread of random states."""


class MachineEngine(RehearsalEngine):
    """A rehearsal of jobs that a real machine carries out, however large."""

    estimates = _Anywhere


class MachineStage(RehearsalEngine):
    """The same, with the spread of random states."""

    estimates = _UsuallyAnywhere


class Untried(RunnerError):
    """A run is too long, or its circuits too large, to be tried."""


class TrialStage(Engine):
    """An engine for what takes no time."""

    mitigates = False

    def estimator_plan(self, circuit: QuantumCircuit, observables: Any) -> EstimatorPlan:
        """The plan itself, of a small circuit."""
        self._require_small(circuit)
        return super().estimator_plan(circuit, observables)

    def sampler_plan(self, circuit: QuantumCircuit) -> SamplerPlan:
        """The plan itself, of a small circuit."""
        self._require_small(circuit)
        return super().sampler_plan(circuit)

    def evolution(self, start: str, circuit: QuantumCircuit, observables: Any) -> Any:
        """The moments themselves, of a small circuit."""
        self._require_small(circuit)
        return super().evolution(start, circuit, observables)

    def _require_small(self, circuit: QuantumCircuit) -> None:
        used = len({qubit for item in circuit.data for qubit in item.qubits})
        if used * (1 if self._options.noise_model is None else 2) > TRIED_QUBITS:
            raise Untried(f"{used} qubits")


class ForecastLab(Lab):
    """A lab of which a forecast asks what the rehearsal left out."""

    bounded = True
    """Every optimizer had a budget."""
    early = False
    """Some optimizer may be satisfied before its budget is used up."""
    made_up = True
    chooses = False
    """Some optimization proposed several points, among which a job of its own chooses."""
    counted = False
    """Of some optimizer it is known after how many evaluations it usually is."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.skipped = Tally()
        """What the part of the budgets takes that was not rehearsed."""

    def stream(self, name: str, *, fits: bool = False, **more: Any) -> JobStream:
        """As a run has it; energies of one that only looks around are none of an optimizer's, as in its result."""
        notes = self.record
        assert isinstance(notes, Notes)
        if fits:
            notes.aside.add(name)
        return super().stream(name, fits=fits, **more)

    def _begins(self, name: str) -> bool:
        """Every job does: its notes only say that nothing is simulated before its turn."""
        del name
        return True

    def exact_energy(self, *_: Any) -> Noiseless:
        """Nobody asks, and made-up numbers have none."""
        return Noiseless()


class TrialLab(ForecastLab):
    """A lab in which a run is tried: real energies, of which nothing is kept but what they take."""

    def execute(self, workload: str, *what: Any) -> Any:
        """Carry out one job, unless there were too many evaluations."""
        config, notes = self.config, self.record
        assert isinstance(notes, Notes)
        slow = any(optimizer.uses_gradient for optimizer in config.experiment.optimizers_of(config))
        if notes.total().evaluations > TRIED[slow]:
            raise Untried(f"more than {TRIED[slow]} evaluations")
        return super().execute(workload, *what)


class _MadeUpSamples(SamplerPlan):
    def run(self, values: NDArray, *, shots: int, seed: int) -> dict[str, BitArray]:
        """Random bits."""
        rng = np.random.default_rng(seed)
        result = {}
        for name, bits in self.registers.items():
            array = rng.integers(
                0, 256, size=(*values.shape[:-1], shots, math.ceil(bits / 8)), dtype=np.uint8
            )
            if bits % 8:
                array[..., 0] &= (1 << bits % 8) - 1
            result[name] = BitArray(array, bits)
        return result


def added_seconds(event: JobSubmitted, cost: CostModel | None) -> float:
    """Return how much longer a job is on the QPU than it were without mitigation [s]."""
    if cost is not None and event.work is not None and event.workload == CALIBRATION:
        return cost.qpu_seconds([Work(*part) for part in event.work])
    if cost is None or event.work is None or event.unmitigated is None:
        return 0.0
    with_it, without = (
        cost.qpu_seconds([Work(*part) for part in parts]) if parts else 0.0
        for parts in (event.work, event.unmitigated)
    )
    return with_it - without


def landscape(values: NDArray) -> NDArray:
    """−mean cos(θₚ − cₚ) over the last axis: smooth, bounded, with its minimum away from the start."""
    count = values.shape[-1]
    if not count:
        return np.full(values.shape[:-1], -1.0)
    return -np.cos(values - _centres(count)).mean(axis=-1)


def _centres(count: int) -> NDArray:
    return 1.0 + np.arange(count) * 2.4 % (2 * math.pi)


@dataclass
class Tally:
    """What jobs have taken."""

    jobs: float = 0
    """Jobs submitted."""
    executions: float = 0
    """Shots × parameter sets × measurement bases."""
    sets: float = 0
    """Parameter sets, of every PUB."""
    evaluations: float = 0
    """Energies evaluated."""
    qpu_seconds: float = 0.0
    """Time on the QPU."""
    added: float = 0.0
    """How much of it is what mitigation takes."""
    end: float = 0.0
    """When the last of them was over, on the session's clock."""

    def more(self, before: Tally, times: float) -> Tally:
        """What came since `before`, so many times."""
        return Tally(
            **{
                item.name: times * (getattr(self, item.name) - getattr(before, item.name))
                for item in fields(self)
            }
        )

    def add(self, other: Tally) -> None:
        """Add up."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


class Notes(Record):
    """Counts what happens in place of writing it down.

    Args:
        cost: tells what mitigation adds; without it nobody knows.
    """

    def __init__(self, cost: CostModel | None = None) -> None:
        self._cost = cost
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        """Workload → what its jobs have taken."""
        self.mark_at: defaultdict[str, float] = defaultdict(float)
        """Workload → number of evaluations after which its tally is kept in `marks`."""
        self.marks: dict[str, Tally] = {}
        self.aside: set[str] = set()
        """Workloads whose energies no optimizer asks for."""
        self.choosing = 0.0
        """QPU seconds of jobs that choose among the points of optimizations."""
        self.longest_job = 0.0
        self.longest_session = 0.0
        self.end = 0.0
        self._last = 0.0
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take note of one fact."""
        with self._lock:
            if isinstance(event, SessionChanged | JobSubmitted | JobCompleted):
                self.end = max(self.end, event.time)
            if isinstance(event, SessionChanged):
                self._session(event)
            elif isinstance(event, JobSubmitted):
                self._submitted(event)
            elif isinstance(event, JobCompleted):
                tally = self.tallies[event.workload]
                tally.qpu_seconds += event.qpu_seconds
                self._last = event.qpu_seconds
                tally.end = max(tally.end, event.finished)
            elif isinstance(
                event, Candidates
            ):  # of every optimization, after the one job that measured them all
                self.choosing, self._last = self.choosing + self._last, 0.0
            elif isinstance(event, Evaluation) and event.workload not in self.aside:
                self.tallies[event.workload].evaluations += 1

    def listen(self, listener: Any, *facts: type[Event]) -> None:
        """Nobody is told of results that are made up."""
        del listener, facts

    def follows(self, workload: str, index: int, digest: str) -> bool:
        """Nothing is known before it is told."""
        del workload, index, digest
        return False

    def answers(self, workload: str) -> bool:
        """Nothing is remembered."""
        del workload
        return False

    def repeats(self, workload: str) -> bool:
        """Jobs are simulated in their turn, never before they are submitted."""
        del workload
        return True

    def _submitted(self, event: JobSubmitted) -> None:
        tally = self.tallies[event.workload]
        if event.workload not in self.marks and tally.evaluations >= self.mark_at[event.workload]:
            self.marks[event.workload] = replace(tally)
        tally.jobs += 1
        tally.sets += sum(math.prod(pub["shape"]) for pub in event.pubs)
        tally.executions += sum(int(executions) for executions, _ in event.work or ())
        tally.added += added_seconds(event, self._cost)
        self.longest_job = max(self.longest_job, event.qpu_estimate or 0.0)

    def recall(self, workload: str, index: int, digest: str) -> Any:
        """Nothing is remembered."""
        del workload, index, digest

    def total(self) -> Tally:
        """All streams together; `end` is the last event of all."""
        total = Tally()
        for tally in self.tallies.values():
            total.add(tally)
        total.end = self.end
        return total

    def _session(self, event: SessionChanged) -> None:
        session, time = event.session, event.time
        if event.state == "active":
            self._started.setdefault(session, time)
        if session in self._started:
            self.longest_session = max(self.longest_session, time - self._started[session])


class RehearsalLab(ForecastLab):
    """A lab whose optimizers always use up their budget; of long ones the rest is reckoned.

    With `usual` they use up what they are usually satisfied after, where that is known and less.
    """

    rehearsing: ClassVar[bool] = True

    def __init__(self, *parts: Any, usual: bool = False) -> None:
        super().__init__(*parts)
        self._usual = usual
        self._left = ALL_REHEARSED

    def minimize(self, stream: JobStream, optimizer: Any, **more: Any) -> OptimizerResult:
        """Minimize, and again from the start as long as there are evaluations and steps left."""
        notes = self.record
        assert isinstance(notes, Notes)
        tally = notes.tallies[stream.name]
        more["energy"] = more.get("energy") or self.objective(stream, optimizer=optimizer)
        budget = self._budget(optimizer, more["energy"], more.get("start"))
        rehearsed = min(budget or REHEARSED, REHEARSED, max(self._left, SHORTEST))
        if self.limited_by(stream, optimizer):  # where that ends it is looked for, not reckoned
            rehearsed = budget = min(budget or BUDGETED, BUDGETED)
        elif self._learns_anew:  # and so is how many sessions begin with that
            rehearsed = min(budget or REHEARSED, BUDGETED)
        notes.mark_at[stream.name] = tally.evaluations + rehearsed / 2
        notes.marks.pop(stream.name, None)
        found, evaluations = self._use_up(stream, optimizer, rehearsed, **more)
        self._left -= evaluations
        half = notes.marks.get(stream.name)
        if budget is None:
            self.bounded = False
        elif half and budget > rehearsed and tally.evaluations > half.evaluations and not found.resumable:
            skipped = tally.more(half, (budget - evaluations) / (tally.evaluations - half.evaluations))
            if len(notes.tallies) > 1:  # others run at the same time, but not on the QPU
                skipped.end = skipped.qpu_seconds + skipped.jobs * self.config.session.latency
            self.skipped.add(skipped)
            if self._learns_anew:
                learned = notes.tallies[LEARNER].more(Tally(), (budget - evaluations) / evaluations)
                self.skipped.add(replace(learned, end=learned.qpu_seconds))
        if self.config.estimator.precision != 0:
            self._propose_all(stream, optimizer)
        return found

    @property
    def _learns_anew(self) -> bool:
        """Whether noise is learned again in each session that follows on one that has ended."""
        session, chosen = self.config.session, declared(self.config.estimator.mitigation)
        return (
            chosen is not None and chosen.learns and session.mode != "job" and session.on_expiry == "reopen"
        )

    def _propose_all(self, stream: JobStream, optimizer: OptimizerConfig) -> None:
        """Let NFT's lowest evaluation be another point than its answer, as with shot noise it mostly is."""
        proposed = stream.candidates
        if isinstance(optimizer, NFT) and len(proposed) == 1:
            proposed.append(Candidate("best", proposed[0].parameters + 1.0))
        self.chooses = self.chooses or len(proposed) > 1

    def limited_by(self, stream: JobStream, optimizer: OptimizerConfig) -> bool:
        """Whether a budget in shots or money may end this minimization."""
        self.spending.limit(stream.name, optimizer.max_shots)
        return self.spending.limited

    def _budget(self, optimizer: OptimizerConfig, energy: Any, start: Any) -> int | None:
        """Evaluations that the optimizer may make, or usually makes; None where nobody knows."""
        budget, per_sweep = optimizer.max_evaluations, None
        if isinstance(optimizer, NFT):
            frequencies = energy.frequencies()
            budget, per_sweep = (
                optimizer.most_evaluations(frequencies),
                optimizer.energies_per_sweep(frequencies),
            )
        self.early = self.early or optimizer.ends_early
        usual = usual_evaluations(
            optimizer,
            len(self.problem.initial_point if start is None else start),
            differences=self.config.gradient == "none",
            sampled=self.config.estimator.precision != 0,
            per_sweep=per_sweep,
        )
        if usual is None or (budget is not None and usual >= budget):
            return budget
        self.counted = True
        return usual if self._usual else budget

    def _use_up(
        self, stream: JobStream, optimizer: OptimizerConfig, budget: int, **more: Any
    ) -> tuple[OptimizerResult, int]:
        shortened = replace(optimizer, target_energy=None, max_evaluations=budget)
        if isinstance(shortened, NFT):
            shortened = replace(shortened, sweeps=None)  # they bound the budget
        stream.pursue(more["energy"])
        known, proposed = stream.candidates, stream.candidates
        evaluations = steps = 0
        while True:
            stream.candidates = list(known)
            found = super().minimize(stream, shortened, **more)
            stream.candidates = proposed = stream.candidates if found.evaluations else proposed
            evaluations += found.evaluations
            steps += found.iterations
            left: dict[str, Any] = {"max_evaluations": budget - evaluations}
            for name in STEP_LIMITS:
                if getattr(optimizer, name, None) is not None:
                    left[name] = getattr(optimizer, name) - steps
            done = budget is None or found.resumable or not found.evaluations
            if done or min(left.values()) < 1 or left["max_evaluations"] < TOO_FEW:
                return found, evaluations
            shortened = replace(shortened, **left)

"""Jobs that a record answers while nothing else can happen, submitted and waited for in one go.

A resumed run spends most of its time on jobs whose end is known. Where one is of the same kind as the job before, and
the device, the session and the clock hold nothing that could come between, what the many calls of the usual way come
to is a few sums. They are compared with what was recorded before anything is changed; whatever is not as recorded, or
not that simple, goes the usual way, which alone tells what is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from runner.record.events import JobCompleted
from runner.runtime.backends import Planned
from runner.runtime.job import RuntimeJob
from runner.runtime.machine import DONE, Job
from runner.runtime.recorded import Expected, all_fit, expected_of, misfit
from runner.runtime.results import UNTOLD, arrays_of_each, columns_of
from runner.runtime.seeds import derive_ids, derive_seeds
from runner.runtime.submission import asked

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import EstimatorPubLike

    from runner.engine import EstimatorPlan
    from runner.engine.evolution import Moment
    from runner.runtime.cost import Work
    from runner.runtime.results import Numbers, Plain
    from runner.runtime.submission import Desk

_FLOAT = np.dtype(float)


class Past(Protocol):
    """What is recorded of jobs."""

    def answers(self, workload: str) -> bool:
        """Whether there may be a recorded end of the next job of a workload."""
        ...

    def ends_of(self, workload: str, index: int, digests: Sequence[str]) -> Sequence[JobCompleted]:
        """The recorded ends of the jobs from one on, as far as they are what comes next of the workload."""
        ...

    def repeat(self, events: Sequence[JobCompleted]) -> None:
        """Take jobs as repeated up to their ends, and tell that."""
        ...


class Kind(NamedTuple):
    """What the PUBs at one place of such jobs have in common."""

    circuit: QuantumCircuit
    plan: EstimatorPlan | Moment
    """Of its observables."""
    shape: tuple[int, ...]
    """Of its values."""
    shots: int | None
    """Of all bases, where they have none of their own; None: it is exact, and those count for nothing."""
    charged: int
    """Shots of every basis that are charged, where they have none of their own."""
    work: Callable[[int | tuple[int, ...]], list[Work]]
    """What shots, of every or of each basis, make the device do."""
    found: tuple[int, ...]
    """Of what comes out."""
    expected: Expected
    """What comes out where every basis has the same shots, and reads its own terms."""


class Repetition:
    """The jobs of one kind: program, circuits, observables and shapes of one primitive, whose values differ.

    What each basis has of their shots may differ, too, and how terms are read.

    Args:
        desk: Where they are handed in.
        program: `estimator` or `gradient`.
        kinds: What the PUBs are.
    """

    def __init__(self, desk: Desk, program: str, kinds: Sequence[Kind]) -> None:
        self._desk = desk
        self._program = program
        self._kinds = kinds
        self._digest = blake2b(program.encode(), digest_size=16)
        self._tags = tuple(desk.tags)
        self._charged: tuple[int | tuple[int, ...], ...] = ()
        self._cost = 0.0, 0
        self._by_basis: dict[int, Expected] = {}
        self._exact = all(kind.shots is None for kind in kinds)
        self._heads = [asked(kind.plan.digest, kind.shape, kind.shots) for kind in kinds]

    def fits(self, pubs: Sequence[EstimatorPubLike]) -> bool:
        """Whether PUBs are of this kind."""
        if len(pubs) != len(self._kinds):
            return False
        backend = self._desk.backend
        for pub, kind in zip(pubs, self._kinds, strict=True):
            if type(pub) is not tuple or len(pub) != 3:
                return False
            circuit, observables, values = pub
            if circuit is not kind.circuit or type(observables) is not Planned:
                return False
            if observables.plan is not kind.plan or observables.backend is not backend:
                return False
            if type(values) is not np.ndarray or values.shape != kind.shape or values.dtype is not _FLOAT:
                return False
        return True

    def answer(
        self,
        past: Past,
        jobs: Sequence[Sequence[EstimatorPubLike]],
        admit: Callable[[Sequence[tuple[float, int]]], None] | None = None,
    ) -> list[Sequence[Plain]]:
        """Submit the next jobs, of these PUBs, up to the first that has to go the usual way; their recorded numbers.

        What can be done for one job after the other is done for all: a long way for each takes twice as long.

        Args:
            past: What is recorded.
            jobs: The PUBs of each.
            admit: Takes note of the QPU seconds and executions of jobs that are submitted, in place of `Desk.admit`,
                where none is refused; None: that has to be asked before each, when its time has come.

        Raises:
            Exception: what `Desk.admit` raises.
        """
        desk = self._desk
        service, workload, backend = desk.backend.service, desk.workload, desk.backend
        timeline, machine, cost = service.timeline, service.machine, service.cost
        device, name, first = machine.device(backend.name), service.seed, service.submitted(workload)
        longest, delay = service.plan.max_time("job"), service.queue_delay.draw
        jobs = list(itertools.takewhile(self.fits, jobs))
        own = name if desk.seed is None else desk.seed
        seeds = derive_seeds(own, workload, range(first, first + len(jobs)))
        digests = list(map(self._digest_of, jobs, seeds))
        ends = past.ends_of(workload, first, digests)
        ends = ends[: self._fitting(ends, jobs)]
        costs = list(
            itertools.takewhile(lambda one: one[0] <= longest, map(self._cost_of, jobs[: len(ends)]))
        )
        ids = derive_ids(name, "job", workload, range(first, first + len(costs)), service.ids)
        records = [
            Job(
                job_id, device, desk.session, qpu_seconds, cost.preparation,
                delay(name, workload, event.index), 0, workload, event.index, self._tags, self._program,
            )
            for job_id, event, (qpu_seconds, _) in zip(ids, ends, costs, strict=False)
        ]  # fmt: skip
        done = 0
        try:
            while done < len(records):
                some = records[done : None if admit is not None or desk.admit is None else done + 1]
                wakes = machine.foresee(some, timeline.latency)
                count = _repeated(some[: len(wakes)], ends[done:], digests[done:])
                if not count:
                    break
                if admit is not None:
                    admit(costs[done : done + count])
                elif desk.admit is not None:
                    desk.admit(*costs[done])
                seen = timeline.seen
                after = None if seen is None else seen.id
                for place, job in enumerate(some[:count], done):
                    job.payload = RuntimeJob.answered(
                        service, backend, job, digest=digests[place], seed=seeds[place], after=after
                    )
                    after = job.id
                with timeline.lock:
                    machine.carry_out(some[:count], wakes[count - 1])
                    service.count(workload, count)
                    timeline.passed(some[:count])
                done += count
        finally:
            past.repeat(ends[:done])
        return [event.result or () for event in ends[:done]]

    def _fitting(self, ends: Sequence[JobCompleted], jobs: Sequence[Sequence[EstimatorPubLike]]) -> int:
        """Of how many jobs, from the first on, the numbers are such as these PUBs can give."""
        results = [event.result or () for event in ends]
        columns = columns_of(results) if results else None
        if columns is not None and not any(UNTOLD in one for one in columns):
            alike = self._alike(jobs[: len(ends)])
            if alike is not None and all_fit(columns, alike):
                return len(ends)
        for count, (event, pubs) in enumerate(zip(ends, jobs, strict=False)):
            numbers = _numbers(event.result or ())
            if numbers is None or misfit(numbers, self._expected(pubs)):
                return count
        return len(ends)

    def _cost_of(self, pubs: Sequence[EstimatorPubLike]) -> tuple[float, int]:
        """QPU seconds and executions of a job; as those of the job before where it has the same shots."""
        if self._exact and self._charged:
            return self._cost
        charged = tuple(
            kind.charged if kind.shots is None else pub[1].shots or kind.charged
            for pub, kind in zip(pubs, self._kinds, strict=True)
        )
        if charged != self._charged:
            work = [
                part for kind, shots in zip(self._kinds, charged, strict=True) for part in kind.work(shots)
            ]
            self._cost = self._desk.qpu_seconds(work), sum(part.executions for part in work)
            self._charged = charged
        return self._cost

    def _alike(self, jobs: Sequence[Sequence[EstimatorPubLike]]) -> list[Expected] | None:
        """What each of these jobs gives, where all are bounded in the same way; else None."""
        if self._exact:
            return [kind.expected for kind in self._kinds]
        first, *others = map(self._expected, jobs)
        return first if all(all(map(is_, one, first)) for one in others) else None

    def _expected(self, pubs: Sequence[EstimatorPubLike]) -> list[Expected]:
        """What a job of such PUBs gives."""
        result = []
        for place, ((_, observables, _), kind) in enumerate(zip(pubs, self._kinds, strict=True)):
            reading, by_basis = observables.reading, observables.shots is not None
            if kind.shots is None or (reading is None and not by_basis):
                result.append(kind.expected)
            elif reading is None and place in self._by_basis:
                result.append(self._by_basis[place])
            else:
                found = expected_of(
                    kind.plan, kind.found, shots=kind.shots, by_basis=by_basis, reading=reading
                )
                if reading is None:
                    self._by_basis[place] = found
                result.append(found)
        return result

    def _digest_of(self, pubs: Sequence[EstimatorPubLike], seed: int) -> str:
        """The digest of a job as `digest_of` and `Desk.submit` make it."""
        digest = self._digest.copy()
        for (_, observables, values), kind, head in zip(pubs, self._kinds, self._heads, strict=True):
            own = None if kind.shots is None else observables.shots
            digest.update(head if not own else asked(kind.plan.digest, kind.shape, own))
            digest.update(values.tobytes())
            if kind.shots is not None and observables.reading is not None:
                digest.update(observables.reading.digest)
        return blake2b(digest.digest() + seed.to_bytes(8, "big"), digest_size=16).hexdigest()


def _repeated(jobs: Sequence[Job], ends: Sequence[JobCompleted], digests: Sequence[str]) -> int:
    """How many jobs, from the first on, are done as is recorded of their ends: all that `RuntimeJob` would tell."""
    for count, (job, event, digest) in enumerate(zip(jobs, ends, digests, strict=False)):
        said, started, finished = event.said(), job.started, job.finished
        assert started is not None
        found = {
            "job": job.id,
            "workload": job.workload,
            "index": job.index,
            "digest": digest,
            "session": None if job.session is None else job.session.id,
            "status": DONE,
            "reason": None,
            "code": None,
            "session_ended": False,
            "started": started,
            "finished": finished,
            "time": finished,
            "queue_seconds": started - job.submitted,
            "qpu_seconds": job.qpu_seconds,
            "result": event.result,
        }
        if said != found:
            return count
    return len(jobs)


def _numbers(result: Sequence[Mapping[str, Any]]) -> list[Numbers] | None:
    """The numbers of every PUB; None where they are no plain floats, or some of them were not told."""
    return None if any(UNTOLD in one for one in result) else arrays_of_each(result)

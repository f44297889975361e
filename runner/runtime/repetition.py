"""Jobs that a record answers while nothing else can happen, submitted and waited for in one go.

A resumed run spends most of its time on jobs whose end is known. Where one is of the same kind as the job before, and
the device, the session and the clock hold nothing that could come between, what the many calls of the usual way come
to is a few sums. They are compared with what was recorded before anything is changed; whatever is not as recorded, or
not that simple, goes the usual way, which alone tells what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from runner.record.events import JobCompleted
from runner.runtime.job import RuntimeJob
from runner.runtime.machine import DONE, Job
from runner.runtime.results import UNTOLD, arrays_of
from runner.runtime.seeds import derive_id, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers import EstimatorPubLike

    from runner.runtime.backends import Planned
    from runner.runtime.results import Numbers
    from runner.runtime.submission import Desk

_FLOAT = np.dtype(float)


class Past(Protocol):
    """What is recorded of jobs."""

    def answers(self, workload: str) -> bool:
        """Whether there may be a recorded end of the next job of a workload."""
        ...

    def end_of(self, workload: str, index: int, digest: str) -> JobCompleted | None:
        """The recorded end of a job, if it is what comes next of the workload; else None."""
        ...

    def repeat(self, event: JobCompleted) -> None:
        """Take a job as repeated up to its end, and tell that."""
        ...


class Repetition:
    """The jobs of one kind: program, circuits, observables, shots and shapes of one primitive, whose values differ.

    Args:
        desk: Where they are handed in.
        program: `estimator` or `gradient`.
        pubs: Of each PUB the circuit and its planned observables.
        asked: Of each PUB what goes into the digest before its values, and their shape.
        qpu_seconds: What a job costs on the device.
        executions: Executions of circuits that it takes.
    """

    def __init__(
        self,
        desk: Desk,
        program: str,
        pubs: Sequence[tuple[QuantumCircuit, Planned]],
        asked: Sequence[tuple[bytes, tuple[int, ...]]],
        *,
        qpu_seconds: float,
        executions: int,
    ) -> None:
        self._desk = desk
        self._program = program
        self._kinds = [(*pub, shape) for pub, (_, shape) in zip(pubs, asked, strict=True)]
        self._digest = blake2b(program.encode(), digest_size=16)
        self._digest.update(asked[0][0])
        self._later = [text for text, _ in asked[1:]]
        self._qpu_seconds = qpu_seconds
        self._executions = executions
        self._tags = tuple(desk.tags)

    def fits(self, pubs: Sequence[EstimatorPubLike]) -> bool:
        """Whether PUBs are of this kind."""
        if len(pubs) != len(self._kinds):
            return False
        for pub, (circuit, observables, shape) in zip(pubs, self._kinds, strict=True):
            if type(pub) is not tuple or len(pub) != 3:
                return False
            values = pub[2]
            if pub[0] is not circuit or pub[1] is not observables or type(values) is not np.ndarray:
                return False
            if values.shape != shape or values.dtype is not _FLOAT:
                return False
        return True

    def answer(self, past: Past, values: Sequence[NDArray[np.float64]]) -> list[Numbers] | None:
        """Submit the next job, with these values of each PUB, and return its numbers; None: it has to go the usual way.

        Raises:
            Exception: what `Desk.admit` raises.
        """
        desk = self._desk
        service, workload = desk.backend.service, desk.workload
        timeline, machine = service.timeline, service.machine
        index = service.submitted(workload)
        seed = derive_seed(service.seed if desk.seed is None else desk.seed, workload, index)
        digest = self._digest_of(values, seed)
        event = past.end_of(workload, index, digest)
        if event is None:
            return None
        job = Job(
            derive_id(service.seed, "job", workload, index, service.ids),
            machine.device(desk.backend.name),
            desk.session,
            self._qpu_seconds,
            service.cost.preparation,
            service.queue_delay.draw(service.seed, workload, index),
            0,
            workload,
            index,
            self._tags,
            self._program,
        )
        wake = machine.foresee(job, timeline.latency(job))
        if wake is None or event.said() != _said(job, digest, event.result):
            return None
        numbers = _numbers(event.result or ())
        if numbers is None:
            return None
        if desk.admit is not None:
            desk.admit(self._qpu_seconds, self._executions)
        job.payload = RuntimeJob.answered(service, desk.backend, job, digest=digest, seed=seed)
        with timeline.lock:
            machine.carry_out(job, wake)
            service.count(workload)
            timeline.passed(job)
        past.repeat(event)
        return numbers

    def _digest_of(self, values: Sequence[NDArray[np.float64]], seed: int) -> str:
        """The digest of a job as `digest_of` and `Desk.submit` make it."""
        digest = self._digest.copy()
        digest.update(values[0].tobytes())
        for text, more in zip(self._later, values[1:], strict=True):
            digest.update(text)
            digest.update(more.tobytes())
        return blake2b(digest.digest() + seed.to_bytes(8, "big"), digest_size=16).hexdigest()


def _said(job: Job, digest: str, result: object) -> dict[str, object]:
    """What `RuntimeJob` would tell of a job that is done."""
    assert job.finished is not None
    assert job.started is not None
    return {
        "job": job.id,
        "workload": job.workload,
        "index": job.index,
        "digest": digest,
        "session": None if job.session is None else job.session.id,
        "status": DONE,
        "reason": None,
        "code": None,
        "session_ended": False,
        "started": job.started,
        "finished": job.finished,
        "time": job.finished,
        "queue_seconds": job.started - job.submitted,
        "qpu_seconds": job.qpu_seconds,
        "result": result,
    }


def _numbers(result: Sequence[Mapping[str, Any]]) -> list[Numbers] | None:
    """The numbers of every PUB; None where they are no plain floats, or some of them were not told."""
    found = []
    for one in result:
        numbers = arrays_of(one)
        if numbers is None or UNTOLD in one:
            return None
        found.append(numbers)
    return found

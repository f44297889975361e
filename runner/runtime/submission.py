"""From PUBs to a job: what is asked is read, copied, digested and submitted, whoever asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from runner.errors import ConfigError
from runner.record.replay import LEARNER
from runner.runtime.cost import Work
from runner.runtime.job import RuntimeJob
from runner.runtime.recorded import misfit_of_bits
from runner.runtime.results import executions, sampler_result
from runner.runtime.seeds import derive_seed
from runner.runtime.spans import execution_spans

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult
    from qiskit.primitives.containers import BindingsArrayLike, SamplerPubLike

    from runner.engine import EstimatorPlan, SamplerPlan
    from runner.engine.reading import TermReading
    from runner.mitigation import SamplerSetting
    from runner.runtime.backends import LocalBackend
    from runner.runtime.learning import LayerPub
    from runner.runtime.machine import SessionRecord
    from runner.runtime.results import Numbers

Like = TypeVar("Like")
Compiled = TypeVar("Compiled", "EstimatorPlan", "SamplerPlan")


class Pub(Generic[Compiled]):
    """One PUB, ready to run: the plan, a copy of the values, shots and the shape of what comes out."""

    __slots__ = ("by_basis", "circuit", "plan", "precision", "reading", "shape", "shots", "values")

    def __init__(
        self,
        circuit: QuantumCircuit,
        plan: Compiled,
        values: NDArray[np.float64],
        shape: tuple[int, ...],
        shots: int | None,
        precision: float,
        by_basis: tuple[int, ...] | None = None,
        reading: TermReading | None = None,
    ) -> None:
        self.by_basis = by_basis
        self.reading = reading
        self.circuit = circuit
        self.plan: Compiled = plan
        self.values = values
        self.shape = shape
        self.shots = shots
        self.precision = precision

    def told(self) -> dict[str, Any]:
        """As `JobSubmitted` has it."""
        found = {
            "values": self.values.tolist(),
            "shape": list(self.shape),
            "shots": self.shots,
            "precision": self.precision,
        }
        return found if self.by_basis is None else {**found, "shots_per_basis": list(self.by_basis)}


@dataclass(kw_only=True, slots=True)
class Desk:
    """Where jobs are handed in: their backend and session, and what is said of them beside their PUBs."""

    backend: LocalBackend
    session: SessionRecord | None
    """Its session or batch; None in job mode."""
    workload: str
    """Whose jobs these are."""
    tags: Sequence[str] = ()
    max_execution_time: float | None = None
    """Limit of each job [QPU seconds]; the plan's if None."""
    rep_delay: float | None = None
    """Pause between executions [s]; the model's if None."""
    seed: int | None = None
    """In place of the service's."""
    admit: Callable[[float, int], bool | None] | None = None
    """Asked before a job is submitted, with its QPU seconds and executions; raises where it is not to be, and says if
    one whose simulation may be refused is to be simulated first, so that nothing is charged for no value."""

    def qpu_seconds(self, work: Iterable[Work]) -> float:
        """Return how long the device is kept."""
        return self.backend.service.cost.qpu_seconds(list(work), rep_delay=self.rep_delay)

    def submit(
        self,
        program: str,
        pubs: Sequence[Pub[Compiled]] | Sequence[LayerPub],
        work: list[Work],
        *,
        simulate: Callable[[int], list[Numbers]],
        contain: Callable[[RuntimeJob, list[Numbers]], PrimitiveResult],
        digest: bytes,
        unmitigated: list[Work] | None = None,
        truncates: Callable[[], bool] | None = None,
        misfit: Callable[[list[Numbers]], str | None] | None = None,
    ) -> RuntimeJob:
        """Submit PUBs as one job.

        Args:
            program: `estimator`, `gradient`, `sampler` or `noise-learner`.
            pubs: What is asked, one at least but of the learner.
            work: What the device does.
            simulate: Makes the numbers from a seed.
            contain: Puts them into the V2 containers.
            digest: Of what is asked.
            unmitigated: What the device would do if nothing were done against errors, where something is.
            truncates: Whether simulating may leave out more than it may, and be refused.
            misfit: What is wrong with recorded numbers, if the job cannot have given them.

        Raises:
            TruncationError: It is, before anything was submitted.
        """
        if not pubs and program != LEARNER:  # which may be told to learn no layer at all
            raise ConfigError("a job needs at least one PUB")
        qpu_seconds = self.qpu_seconds(work)
        first = self.admit is not None and self.admit(qpu_seconds, sum(part.executions for part in work))
        if first and truncates is not None and truncates():
            simulate = self._simulated(simulate)
        service = self.backend.service

        def make(_index: int, job_seed: int) -> RuntimeJob:
            return RuntimeJob(
                service,
                self.backend,
                simulate=lambda: simulate(job_seed),
                contain=contain,
                misfit=misfit,
                describe=lambda: (
                    [pub.told() for pub in pubs],
                    _listed_work(work),
                    None if unmitigated is None else _listed_work(unmitigated),
                ),
                digest=blake2b(digest + job_seed.to_bytes(8, "big"), digest_size=16).hexdigest(),
                seed=job_seed,
            )

        return service.submit(
            make,
            backend=self.backend,
            session=self.session,
            workload=self.workload,
            qpu_seconds=qpu_seconds,
            program=program,
            tags=self.tags,
            max_execution_time=self.max_execution_time,
            seed=self.seed,
        )

    def _simulated(self, simulate: Callable[[int], list[Numbers]]) -> Callable[[int], list[Numbers]]:
        """The same with what the next job gives at hand."""
        seed = self.backend.service.seed_ahead(self.workload, self.seed)
        numbers = simulate(seed)
        return lambda asked: numbers if asked == seed else simulate(asked)

    def sample(
        self, pubs: Sequence[Pub[SamplerPlan]], mitigation: MitigatedSamples | None = None
    ) -> RuntimeJob:
        """Submit PUBs of the Sampler as one job.

        Args:
            pubs: What is asked.
            mitigation: How they are sampled where something is done against errors.
        """
        clock = self.backend.service.clock
        chosen = None if mitigation is None else mitigation.chosen
        drawn = [(pub.shots or 1) if chosen is None else chosen.drawn(pub.shots or 1) for pub in pubs]

        def simulate(seed: int) -> list[Numbers]:
            if mitigation is not None and self.backend.engine.mitigates:
                return mitigation.simulate(seed)
            return [
                pub.plan.run(pub.values, shots=shots, seed=pub_seed(seed, number))
                for number, (pub, shots) in enumerate(zip(pubs, drawn, strict=True))
            ]

        def contain(job: RuntimeJob, numbers: list[Numbers]) -> PrimitiveResult:
            record = job.record
            assert record.qpu_started is not None
            assert record.finished is not None
            spans = execution_spans(
                clock.date(record.qpu_started),
                clock.date(record.finished),
                [(pub.shape, shots) for pub, shots in zip(pubs, drawn, strict=True)],
            )
            return sampler_result(numbers, [pub.circuit for pub in pubs], spans, chosen)

        return self.submit(
            "sampler",
            pubs,
            sampler_work(pubs, mitigation),
            simulate=simulate,
            contain=contain,
            digest=digest_of("sampler", pubs) + (b"" if chosen is None else chosen.text.encode()),
            unmitigated=None if chosen is None else sampler_work(pubs),
            truncates=lambda: any(pub.plan.truncates for pub in pubs),
            misfit=lambda numbers: misfit_of_bits(numbers, pubs, drawn),
        )


class MitigatedSamples:
    """How the PUBs of one Sampler job are sampled with something done against errors."""

    def __init__(
        self, chosen: SamplerSetting, backend: LocalBackend, pubs: Sequence[Pub[SamplerPlan]]
    ) -> None:
        self.chosen = chosen
        self._pubs = pubs
        self._plans = [backend.sampled_plan(pub.circuit, pub.plan, chosen) for pub in pubs]

    def work(self) -> list[Work]:
        """Return what every PUB makes the device do."""
        pairs = zip(self._plans, self._pubs, strict=True)
        return [Work(*plan.work(math.prod(pub.shape), pub.shots or 1)) for plan, pub in pairs]

    def simulate(self, seed: int) -> list[Numbers]:
        """Return the bits of every PUB."""
        pairs = zip(self._plans, self._pubs, strict=True)
        return [
            dict(plan.run(pub.values, shots=pub.shots or 1, seed=pub_seed(seed, number)))
            for number, (plan, pub) in enumerate(pairs)
        ]


def sampler_pub(
    backend: LocalBackend, pub: SamplerPubLike, shots: int | None, default_shots: int
) -> Pub[SamplerPlan]:
    """Read a PUB of the Sampler: `circuit` or `(circuit[, parameter values[, shots]])`.

    Args:
        backend: Where it is to run.
        pub: The PUB.
        shots: Of PUBs that say none.
        default_shots: Where nobody says any.

    Raises:
        ConfigError: It cannot be run.
    """
    values: BindingsArrayLike | None = None
    own: int | None = None
    if isinstance(pub, SamplerPub):
        circuit, values, own = pub.circuit, pub.parameter_values, pub.shots
    elif isinstance(pub, QuantumCircuit):
        circuit = pub
    else:
        if not 1 <= len(pub) <= 3:
            raise ConfigError("a Sampler PUB is (circuit[, parameter values[, shots]])")
        circuit = pub[0]
        values = pub[1] if len(pub) > 1 else None
        own = pub[2] if len(pub) > 2 else None
    if own is None:
        own = shots if shots is not None else default_shots
    if isinstance(own, bool) or not isinstance(own, int | np.integer) or own < 1:
        raise ConfigError(f"shots must be a whole number of at least 1, got {own!r}")
    plan = backend.sampler_plan(circuit)
    array = parameter_values(values, circuit, plan.num_parameters)
    plan.require_finite(array)
    backend.require_angles(plan, circuit, array)
    return Pub(circuit, plan, array, array.shape[:-1], int(own), 0.0)


def sampler_work(pubs: Sequence[Pub[SamplerPlan]], mitigation: MitigatedSamples | None = None) -> list[Work]:
    """Return what PUBs of the Sampler make the device do, with what is done against errors."""
    if mitigation is not None:
        return mitigation.work()
    return [Work(executions(pub.shots or 1, pub.shape, 1), pub.plan.duration) for pub in pubs]


def listed(pubs: Iterable[Like]) -> list[Like]:
    """Return PUBs as a list; a single one that was not wrapped in [ ] is refused."""
    if isinstance(pubs, QuantumCircuit):
        raise ConfigError("run() takes a list of PUBs; wrap a single one in [ ]")
    found = list(pubs)
    if isinstance(pubs, tuple):
        circuits = [isinstance(item, QuantumCircuit) for item in found]
        if circuits and circuits[0] and not all(circuits):
            raise ConfigError("run() takes a list of PUBs; wrap a single one in [ ]")
    return found


def parameter_values(
    values: BindingsArrayLike | None, circuit: QuantumCircuit, parameters: int
) -> NDArray[np.float64]:
    """Return a copy of the parameter values with the parameters along the last axis."""
    if type(values) is np.ndarray and parameters > 1 and values.shape[-1:] == (parameters,):
        return np.array(values, dtype=float)
    if values is None:
        if parameters:
            raise ConfigError(f"the circuit has {parameters} parameters, but no values were given")
        return np.zeros(0)
    if parameters > 1 and not isinstance(values, dict | BindingsArray):
        array = np.array(values, dtype=float)
        if array.shape[-1:] == (parameters,):
            return array
        raise ConfigError(
            f"the circuit has {parameters} parameters, but values of shape {array.shape} were given"
        )
    if isinstance(values, BindingsArray):
        bindings = values
    elif isinstance(values, dict):
        bindings = BindingsArray(values)
    elif parameters == 0:
        array = np.array(values, dtype=float)
        if array.shape[-1:] in ((), (0,)):
            return array if array.ndim else np.zeros(0)
        raise ConfigError(f"the circuit has no parameters, but values of shape {array.shape} were given")
    else:
        bindings = BindingsArray({tuple(circuit.parameters): np.array(values, dtype=float)})
    if bindings.num_parameters != parameters:
        raise ConfigError(
            f"the circuit has {parameters} parameters, but {bindings.num_parameters} were given"
        )
    bound: NDArray[np.float64] = bindings.as_array(circuit.parameters)
    return bound


def pub_seed(seed: int, number: int) -> int:
    """Return the seed of one PUB of a job."""
    # the first has the job's own, so that a job of one PUB is seeded by the number that is recorded
    return seed if number == 0 else derive_seed(seed, "pub", number)


def digest_of(program: str, pubs: Sequence[Pub[Compiled]]) -> bytes:
    """Return a digest of what was asked: program, circuits and observables, values, shots."""
    digest = blake2b(program.encode(), digest_size=16)
    for pub in pubs:
        digest.update(asked_of(pub))
        digest.update(pub.values.tobytes())
        if pub.reading is not None:
            digest.update(pub.reading.digest)
    return digest.digest()


def asked_of(pub: Pub[Compiled]) -> bytes:
    """Return what of a PUB goes into a digest before its values."""
    return asked(pub.plan.digest, pub.values.shape, pub.by_basis or pub.shots)


@lru_cache(maxsize=256)  # a loop asks for the same again and again
def asked(plan: str, shape: tuple[int, ...], shots: int | tuple[int, ...] | None) -> bytes:
    """Return the same from the digest of its plan, the shape of its values and its shots, of each basis or of all."""
    return f"{plan}|{shape}|{shots}".encode()


def _listed_work(work: Sequence[Work]) -> list[list[float | None]]:
    return [[part.executions, part.duration] for part in work]

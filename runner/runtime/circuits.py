"""Circuits without PUBs: `backend.run(circuits, shots=…)` is a job of the Sampler with counts for a result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.providers import JobStatus, JobV1
from qiskit.result import Result

from runner.errors import ConfigError
from runner.runtime.current import current_session
from runner.runtime.options import DEFAULT_SHOTS, check_tags
from runner.runtime.submission import Desk, sampler_pub

if TYPE_CHECKING:
    from qiskit.primitives import SamplerPubResult

    from runner.runtime.backends import LocalBackend
    from runner.runtime.job import RuntimeJob

FIXED: dict[str, tuple[object, ...]] = {
    "init_qubits": (True,),
    "meas_level": (2,),
    "meas_return": ("single",),
    "noise_model": (None,),
    "parameter_binds": (None, []),
    "use_measure_esp": (None, False),
}
"""What others' backends take and this one does not act on, with the values that say so."""

STATUS = {
    "QUEUED": JobStatus.QUEUED,
    "RUNNING": JobStatus.RUNNING,
    "DONE": JobStatus.DONE,
    "CANCELLED": JobStatus.CANCELLED,
    "ERROR": JobStatus.ERROR,
}


class CircuitJob(JobV1):  # type: ignore[misc]
    """What `backend.run()` returns: a job of the service with its result in counts.

    Args:
        job: The job.
        circuits: Its circuits.
        shots: Of each circuit.
        memory: Whether the result lists the shots one by one.
    """

    def __init__(
        self, job: RuntimeJob, circuits: Sequence[QuantumCircuit], *, shots: int, memory: bool
    ) -> None:
        super().__init__(job.backend(), job.job_id(), tags=job.tags, shots=shots)
        self.job = job
        """The job of the service: times, usage, tags, session."""
        self._circuits = circuits
        self._shots = shots
        self._memory = memory

    def submit(self) -> None:
        """Refuse: the job was submitted when it was made."""
        raise ConfigError(f"job {self.job_id()} was submitted when it was made; use backend.run")

    def result(self, timeout: float | None = None) -> Result:
        """Wait until the job is over and return its counts; `timeout` is in seconds of the session's clock."""
        found = self.job.result(timeout=timeout)
        return Result.from_dict(
            {
                "backend_name": self.backend().name,
                "backend_version": self.backend().backend_version or "",
                "job_id": self.job_id(),
                "success": True,
                "results": [
                    self._experiment(circuit, pub) for circuit, pub in zip(self._circuits, found, strict=True)
                ],
                "date": self.job.metrics()["timestamps"]["finished"],
                "status": "COMPLETED",
            }
        )

    def _experiment(self, circuit: QuantumCircuit, pub: SamplerPubResult) -> dict[str, Any]:
        bits = _classical_bits(circuit, pub)
        data: dict[str, Any] = {
            "counts": {hex(outcome): count for outcome, count in bits.get_int_counts().items()}
        }
        if self._memory:
            data["memory"] = [hex(int.from_bytes(row.tobytes(), "big")) for row in bits.array]
        return {
            "shots": self._shots,
            "success": True,
            "status": "DONE",
            "meas_level": 2,
            "data": data,
            "header": {
                "name": circuit.name,
                "n_qubits": circuit.num_qubits,
                "memory_slots": circuit.num_clbits,
                "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
                "qreg_sizes": [[register.name, register.size] for register in circuit.qregs],
                "global_phase": float(circuit.global_phase),
                "metadata": circuit.metadata or {},
            },
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """What was asked."""
        return {"circuits": list(self._circuits), "shots": self._shots, "memory": self._memory}

    @property
    def session_id(self) -> str | None:
        """The id of its session or batch; None in job mode."""
        return self.job.session_id

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return self.job.tags

    @property
    def creation_date(self) -> datetime:
        """When it was submitted."""
        return self.job.creation_date

    def usage(self) -> float:
        """Return the QPU seconds it used; none before it is over."""
        return self.job.usage()

    def metrics(self) -> dict[str, Any]:
        """Return its times and its usage."""
        return self.job.metrics()

    def status(self) -> JobStatus:
        """Return how it stands; asked again and again, time passes (C4)."""
        return STATUS[self.job.status()]

    def cancel(self) -> None:
        """Cancel the job; one that is over refuses."""
        self.job.cancel()

    def error_message(self) -> str | None:
        """Return why it failed or was cancelled; None if it did not."""
        return self.job.error_message()


def run(
    backend: LocalBackend,
    run_input: QuantumCircuit | Sequence[QuantumCircuit],
    *,
    shots: int | None = None,
    memory: bool = False,
    seed_simulator: int | None = None,
    job_tags: Sequence[str] | None = None,
    rep_delay: float | None = None,
    max_execution_time: int | None = None,
    **others: object,
) -> CircuitJob:
    """Submit circuits as one job, in the open session of this backend or in job mode (N5).

    Args:
        backend: Where they run.
        run_input: Circuits without parameters, every classical bit in one register.
        shots: Of each circuit.
        memory: List the shots one by one, too.
        seed_simulator: In place of the service's seed.
        job_tags: Tags of the job.
        rep_delay: Pause between executions [s].
        max_execution_time: Limit of the job [QPU seconds].
        others: What does nothing here, with the value that says so.

    Raises:
        ConfigError: An option has no effect, or a circuit cannot be run.
    """
    session = current_session()
    if session is not None:
        session.require_of(backend)
        session.require_open()
    for name, value in others.items():
        if name not in FIXED:
            raise ConfigError(
                f"is not an option of backend.run here; there are shots, memory, seed_simulator, job_tags, rep_delay, "
                f"max_execution_time and {', '.join(FIXED)}",
                key=name,
            )
        if value not in FIXED[name]:
            raise ConfigError(
                f"{value!r} has no effect in the local runtime; leave it at {FIXED[name][0]!r}", key=name
            )
    if job_tags is not None:
        check_tags(job_tags, "job_tags")
    circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
    for circuit in circuits:
        _require_registers(circuit)
    wanted = DEFAULT_SHOTS if shots is None else shots
    pubs = [sampler_pub(backend, circuit, wanted, wanted) for circuit in circuits]
    desk = Desk(
        backend=backend,
        session=None if session is None else session.record,
        workload=backend.service.next_name("run"),
        tags=tuple(job_tags or ()),
        max_execution_time=max_execution_time,
        rep_delay=rep_delay,
        seed=seed_simulator,
    )
    return CircuitJob(desk.sample(pubs), circuits, shots=wanted, memory=memory)


def _require_registers(circuit: QuantumCircuit) -> None:
    """Refuse circuits whose counts would lack bits, or have some twice."""
    if not isinstance(circuit, QuantumCircuit):
        raise ConfigError(f"backend.run takes circuits, got {type(circuit).__name__}")
    if circuit.parameters:
        raise ConfigError(
            f"circuit {circuit.name!r} has {len(circuit.parameters)} parameters; assign them, or use SamplerV2"
        )
    held = [bit for register in circuit.cregs for bit in register]
    if len(held) != len(set(held)) or len(held) != circuit.num_clbits:
        raise ConfigError(
            f"every classical bit of circuit {circuit.name!r} must be in one register; use SamplerV2"
        )


def _classical_bits(circuit: QuantumCircuit, pub: SamplerPubResult) -> BitArray:
    """Return the measured bits of all registers by their place in the circuit."""
    place = {bit: number for number, bit in enumerate(circuit.clbits)}
    parts = []
    for register in circuit.cregs:
        parts.append((register, pub.data[register.name].to_bool_array(order="little")))
    bits = np.zeros((*parts[0][1].shape[:-1], circuit.num_clbits), dtype=bool)
    for register, measured in parts:
        bits[..., [place[bit] for bit in register]] = measured
    return BitArray.from_bool_array(bits, order="little")

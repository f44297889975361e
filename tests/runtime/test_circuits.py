"""`backend.run()`: what others' code calls it for, as a job of the session and on its bill."""

from __future__ import annotations

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter
from qiskit.providers import JobStatus, JobV1
from qiskit.quantum_info import Statevector

from runner.engine.sampler import SamplerPlan
from runner.errors import ConfigError, JobCancelledError, SessionClosedError
from runner.runtime import LocalRuntimeService, Session


@pytest.fixture
def service() -> LocalRuntimeService:
    """An ideal device is all that is needed."""
    return LocalRuntimeService(seed=1)


def bell() -> QuantumCircuit:
    """Both bits are the same."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_N5_counts_come_by_circuit_and_register(service: LocalRuntimeService) -> None:
    """Bits stand where Qiskit puts them: the last register first, its last bit first; as Aer gives them."""
    pytest.importorskip("qiskit_aer")
    from qiskit_aer import AerSimulator

    circuit = QuantumCircuit(
        QuantumRegister(3), ClassicalRegister(2, "low"), ClassicalRegister(1, "high"), name="x"
    )
    circuit.x([0, 2])
    circuit.measure([0, 1, 2], [1, 0, 2])  # low = 10, high = 1
    ours = service.backend("ideal").run([circuit, bell()], shots=50, memory=True).result()
    theirs = AerSimulator().run(circuit, shots=50, memory=True).result()

    assert ours.get_counts(0) == ours.get_counts("x") == theirs.get_counts() == {"1 10": 50}
    assert ours.get_memory(0) == theirs.get_memory() == ["1 10"] * 50
    assert set(ours.get_counts(1)) <= {"00", "11"}
    assert sum(ours.get_counts(1).values()) == len(ours.get_memory(1)) == 50


def test_N5_bits_go_to_their_places(service: LocalRuntimeService) -> None:
    """Registers may hold a circuit's bits in another order than the circuit does."""
    bits = [Clbit() for _ in range(3)]
    circuit = QuantumCircuit(
        QuantumRegister(3), bits, ClassicalRegister(bits=[bits[2], bits[0]], name="a"),
        ClassicalRegister(bits=[bits[1]], name="b"),
    )  # fmt: skip
    circuit.x(0)
    circuit.measure([0, 1, 2], [0, 1, 2])
    result = service.backend("ideal").run(circuit, shots=3).result()

    assert result.data(0)["counts"] == {"0x1": 3}  # bit 0 of the circuit, whatever register it is in


def test_N5_it_is_a_job_of_the_session_on_its_bill(service: LocalRuntimeService) -> None:
    """2 s and 0.00035 s per shot (T1), in the session, found by its tag, with a type that Qiskit knows."""
    backend = service.backend("ideal")
    with Session(backend) as session:
        job = backend.run([bell(), bell()], shots=1000, job_tags=["M3 calibration"])
        assert job.status() == JobStatus.RUNNING
        job.wait_for_final_state()

    assert isinstance(job, JobV1)
    assert (job.session_id, job.tags, job.backend()) == (session.session_id, ["M3 calibration"], backend)
    assert (
        job.usage() == job.metrics()["usage"]["qpu_charge_time_seconds"] == pytest.approx(2 + 0.00035 * 2000)
    )
    assert job.inputs == {"circuits": [bell(), bell()], "shots": 1000, "memory": False}
    assert f"{job.creation_date:%Y-%m-%dT%H:%M:%S.%fZ}" == job.metrics()["timestamps"]["created"]
    assert service.jobs(job_tags=["M3 calibration"]) == [job.job]
    assert service.usage()["jobs"] == 1
    assert (job.status(), job.done(), job.error_message()) == (JobStatus.DONE, True, None)


def test_N5_it_stops_where_the_session_does(service: LocalRuntimeService) -> None:
    """A closed session takes none, another backend's neither, and a cancelled job has no result."""
    backend, other = service.backend("ideal"), service.backend("generic_2")
    with Session(backend) as session:
        with pytest.raises(ValueError, match="different from the session backend"):
            other.run(bell())
        job = backend.run(bell())
        job.cancel()
        with pytest.raises(JobCancelledError, match="was cancelled"):
            job.result()
        session.close()
        with pytest.raises(SessionClosedError, match="closed"):
            backend.run(bell())
    with pytest.raises(ConfigError, match="was submitted when it was made"):
        job.submit()


def test_N5_seeds_are_the_runs_or_given() -> None:
    """The same run seed gives the same counts, and a job's own seed others."""

    def counts(seed: int, **options: int) -> object:
        return (
            LocalRuntimeService(seed=seed)
            .backend("ideal")
            .run(bell(), shots=500, **options)
            .result()
            .get_counts()
        )

    assert counts(1) == counts(1) != counts(2)
    assert counts(1, seed_simulator=9) == counts(2, seed_simulator=9)


def test_N5_frequencies_are_the_states(service: LocalRuntimeService) -> None:
    """|⟨b|ψ⟩|² of Qiskit's own state vector, within six standard errors."""
    circuit = QuantumCircuit(2)
    circuit.ry(0.7, 0)
    circuit.cx(0, 1)
    circuit.rx(0.4, 1)
    wanted = Statevector(circuit).probabilities_dict()
    circuit.measure_all()
    found = service.backend("ideal").run(circuit, shots=20000).result().get_counts()

    for bits, probability in wanted.items():
        assert found.get(bits, 0) / 20000 == pytest.approx(
            probability, abs=6 * (probability * (1 - probability) / 20000) ** 0.5 + 1e-9
        )


def test_N5_what_would_do_nothing_is_refused(service: LocalRuntimeService) -> None:
    """One line, and no job."""
    backend = service.backend("ideal")
    free, loose = (
        QuantumCircuit(1, 1),
        QuantumCircuit(QuantumRegister(1), [Clbit()], ClassicalRegister(1, "c")),
    )
    free.rx(Parameter("a"), 0)
    free.measure(0, 0)
    loose.measure(0, 1)
    refused = {
        "meas_level: 1 has no effect": {"run_input": bell(), "meas_level": 1},
        "fancy: is not an option of backend.run here": {"run_input": bell(), "fancy": True},
        "has 1 parameters; assign them": {"run_input": free},
        "must be in one register": {"run_input": loose},
        "takes circuits, got str": {"run_input": ["c"]},
        "shots must be a whole number": {"run_input": bell(), "shots": 0},
        "at least one PUB": {"run_input": []},
        "job_tags: must be a list of words": {"run_input": bell(), "job_tags": "one"},
    }
    for text, asked in refused.items():
        with pytest.raises(ConfigError, match=text):
            backend.run(**asked)

    assert service.jobs() == []


def test_N5_a_recorded_job_is_not_simulated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told of a job answers it in the next life, as with every primitive."""
    told: list[object] = []
    first = LocalRuntimeService(seed=1, on_event=told.append)
    counts = first.backend("ideal").run(bell(), shots=100).result().get_counts()
    recorded = {(event.workload, event.index): event for event in told if event.kind == "job.completed"}  # type: ignore[attr-defined]

    def recall(workload: str, index: int, digest: str) -> object:
        event = recorded[workload, index]
        assert event.digest == digest  # type: ignore[attr-defined]
        return event.result  # type: ignore[attr-defined]

    second = LocalRuntimeService(seed=1, recall=recall)  # type: ignore[arg-type]
    monkeypatch.setattr(SamplerPlan, "run", None)  # nothing can be simulated any more

    assert second.backend("ideal").run(bell(), shots=100).result().get_counts() == counts

"""What the unmodified client can do with the server: sessions, jobs, lists, errors, both families of primitives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Batch, EstimatorV2, QiskitRuntimeService, SamplerV2, Session
from qiskit_ibm_runtime.exceptions import (
    IBMInputValueError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)

from runner.serve.summary import answered
from tests.serve.serving import bell, environment, thread, variables

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def circuit(backend: Any) -> Any:
    """An ISA circuit: ry(a) and cx, measured."""
    return bell(backend)


def wait_until(question: Any, *, seconds: float = 20) -> None:
    """Ask until the answer is yes."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_the_instance_shows_its_plan(service: Any) -> None:
    """One instance, on the plan that was declared."""
    (instance,) = service.instances()

    assert (instance["plan"], instance["pricing_type"]) == ("premium", "subscription")
    assert service.usage()["usage_limit_reached"] is False


def test_the_device_has_the_snapshots_target(backend: Any) -> None:
    """Name, size, gates and error rates are those of the device the snapshot was taken of."""
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    snapshot = FakeManilaV2().target

    assert (backend.name, backend.num_qubits, backend.simulator) == ("ibmq_manila", 5, False)
    assert backend.target["cx"][0, 1].error == snapshot["cx"][0, 1].error
    assert backend.target["sx"][0,].duration == snapshot["sx"][0,].duration


def test_the_ideal_simulator_has_a_simulators_gates_for_who_asks_for_angles(tmp_path: Path) -> None:
    """Kept as they are with use_fractional_gates, else resynthesized; either way rx(π), ry(π) and cry(π) flip, by hand.

    Asked in turn, for the client remembers what it had been told of the device before.
    """
    circuit = QuantumCircuit(3)
    circuit.rx(np.pi, 0)
    circuit.ry(np.pi, 1)
    circuit.cry(np.pi, 1, 2)
    circuit.rzz(2.5, 0, 1)  # a phase, by an angle that clients refuse of a device
    circuit.measure_all()
    with (
        thread(tmp_path / "serve", "backend=ideal", "session.clock=virtual") as (_, root),
        environment(variables(root)),
    ):
        service = QiskitRuntimeService()
        for fractional in (False, True, False):
            backend = service.backend("local_ideal", use_fractional_gates=fractional)
            isa = generate_preset_pass_manager(1, backend, seed_transpiler=1).run(circuit)
            counts = SamplerV2(mode=backend).run([isa], shots=10).result()[0].data.meas.get_counts()

            assert counts == {"111": 10}
            assert ({"rx", "ry", "cry"} <= set(isa.count_ops())) is fractional
            assert "rzz" not in isa.count_ops()


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Any]:
    """The device where a session stays active for an hour without a job, however slow this machine is."""
    words = ("backend=fake_manila", "session.clock_scale=20", "session.interactive_timeout=3600")
    with thread(tmp_path / "serve", *words) as (_, root), environment(variables(root)):
        yield QiskitRuntimeService().least_busy(operational=True, simulator=False)


def test_a_session_lives_from_its_first_job_to_its_closing(patient: Any, circuit: Any) -> None:
    """Pending until the first job starts, then in progress, closed at once when left; usage is the active time."""
    with Session(patient) as session:
        assert session.status() == "Pending"
        assert session.usage() is None

        job = SamplerV2().run([(circuit, [0.0])], shots=100)
        counts = job.result()[0].data.meas.get_counts()

        assert session.status() == "In progress, accepting new jobs"
    wait_until(lambda: session.status() == "Closed")
    details = session.details()

    assert sum(counts.values()) == 100
    assert job.session_id == session.session_id
    assert [fact["status"] for fact in details["timestamps"]] == ["open", "active", "closed"]
    assert session.usage() == details["usage_time"] >= job.usage() > 2


def test_from_id_finds_the_session_again(service: Any, backend: Any, circuit: Any) -> None:
    """Another object for the same session takes jobs until it is closed; modes are not mixed up."""
    session = Session(backend, max_time="10m")
    again = Session.from_id(session.session_id, service)
    job = SamplerV2(mode=again).run([(circuit, [0.1])], shots=10)

    assert again.details()["max_time"] == 600
    assert job.result()[0].data.meas.num_shots == 10
    with pytest.raises(IBMInputValueError, match="execution mode dedicated instead of batch"):
        Batch.from_id(session.session_id, service)
    with pytest.raises(IBMInputValueError, match="Session not found"):
        Session.from_id("00000000-0000-4000-8000-000000000000", service)
    session.close()


def test_1217_is_what_a_closed_session_says(service: Any, backend: Any, circuit: Any) -> None:
    """Closed through another object, the session refuses with the code that programs look for; here with its words."""
    session = Session(backend)
    again = Session.from_id(session.session_id, service)
    session.close()

    with pytest.raises(IBMRuntimeError) as refusal:
        SamplerV2(mode=again).run([(circuit, [0.1])])
    assert '{"errors":[{"code":1217,"message":"Session has been closed.",' in str(refusal.value)
    with pytest.raises(IBMRuntimeError, match="The session is closed"):
        SamplerV2(mode=session).run([(circuit, [0.1])])


def test_jobs_are_listed_by_session_tag_and_state(service: Any, backend: Any, circuit: Any) -> None:
    """Every filter of `service.jobs`, and pages of them."""
    with Session(backend) as session:
        sampler = SamplerV2()
        sampler.options.environment.job_tags = ["alpha", "beta"]
        first = sampler.run([(circuit, [0.1])], shots=10)
        sampler.options.environment.job_tags = ["beta"]
        second = sampler.run([(circuit, [0.2])], shots=10)
        second.result()
        first.result()
    ids = [second.job_id(), first.job_id()]

    def listed(**query: Any) -> list[str]:
        return [job.job_id() for job in service.jobs(session_id=session.session_id, **query)]

    assert listed() == ids
    assert listed(descending=False) == ids[::-1]
    assert listed(job_tags=["beta"]) == ids
    assert listed(job_tags=["alpha", "beta"]) == ids[1:]
    assert listed(limit=1) == ids[:1]
    assert listed(limit=1, skip=1) == ids[1:]
    assert listed(pending=True) == []
    assert listed(pending=False, program_id="sampler", backend_name=backend.name) == ids
    assert listed(program_id="estimator") == []
    assert listed(created_after=first.creation_date, created_before=first.creation_date) == ids[1:]


def test_a_job_is_found_again_with_all_that_is_known_of_it(service: Any, backend: Any, circuit: Any) -> None:
    """`service.job(id)`: result, metrics, usage, input, tags and log; tags can be changed."""
    sampler = SamplerV2(mode=backend)
    sampler.options.dynamical_decoupling.enable = True
    sampler.options.environment.job_tags = ["one"]
    submitted = sampler.run([(circuit, [0.1])], shots=64)
    expected = submitted.result()[0].data.meas
    job = service.job(submitted.job_id())
    metrics = job.metrics()

    assert job.result()[0].data.meas == expected
    assert job.status() == "DONE"
    assert job.tags == ["one"]
    assert job.update_tags(["two"]) == ["two"]
    assert (
        job.usage() == metrics["usage"]["qpu_charge_time_seconds"] == job.usage_estimation["quantum_seconds"]
    )
    assert (
        metrics["timestamps"]["created"]
        <= metrics["timestamps"]["running"]
        < metrics["timestamps"]["finished"]
    )
    assert job.inputs["pubs"][0][2] == 64
    assert job.backend().name == backend.name
    assert job.session_id is None
    assert job.properties().backend_name == backend.name
    assert "option dynamical_decoupling.enable=True has no effect" in job.logs()


def test_a_deleted_job_is_gone(service: Any, backend: Any, circuit: Any) -> None:
    """DELETE /jobs/{id} of a job that is over."""
    job = SamplerV2(mode=backend).run([(circuit, [0.1])], shots=10)
    job.result()
    service.delete_job(job.job_id())

    with pytest.raises(RuntimeJobNotFound):
        service.job(job.job_id())


def test_cancelling_keeps_what_runs_and_drops_what_waits(backend: Any, circuit: Any) -> None:
    """`session.cancel()`: running jobs complete, queued ones are cancelled and say so."""
    session = Session(backend)
    sampler = SamplerV2(mode=session)
    jobs = [sampler.run([(circuit, [0.1])], shots=100_000) for _ in range(3)]  # half a minute each
    session.cancel()
    for job in jobs:
        job.wait_for_final_state(timeout=30)
    states = [job.status() for job in jobs]

    assert states == ["DONE", "CANCELLED", "CANCELLED"]
    with pytest.raises(RuntimeInvalidStateError, match="Job was cancelled"):
        jobs[-1].result()
    wait_until(lambda: session.status() == "Closed")


def test_a_job_can_be_cancelled_only_until_it_is_over(backend: Any, circuit: Any) -> None:
    """Cancelling a finished job is a conflict, as the API has it."""
    with Session(backend):
        sampler = SamplerV2()
        first, second = (sampler.run([(circuit, [0.1])], shots=40_000) for _ in range(2))
        second.cancel()
        first.result()

    assert second.status() == "CANCELLED"
    with pytest.raises(RuntimeInvalidStateError, match="cannot be cancelled"):
        first.cancel()


def test_a_session_that_expires_in_the_middle_fails_its_queue(backend: Any, circuit: Any) -> None:
    """At the maximum time running jobs complete, queued ones fail with code 4001, and nobody gets in any more."""
    session = Session(backend, max_time=40)
    sampler = SamplerV2(mode=session)
    jobs = [sampler.run([(circuit, [0.1])], shots=100_000) for _ in range(3)]  # half a minute each
    for job in jobs:
        job.wait_for_final_state(timeout=30)
    states = [job.status() for job in jobs]
    wait_until(lambda: session.status() == "Closed")

    assert states == ["DONE", "DONE", "ERROR"]
    with pytest.raises(
        RuntimeJobFailureError, match=r"Error code 4001; its session .* reached its maximum time"
    ):
        jobs[-1].result()
    with pytest.raises(IBMRuntimeError, match='"code":1217'):
        sampler.run([(circuit, [0.1])])


def test_an_idle_session_sleeps_and_is_woken_by_a_job(backend: Any, circuit: Any) -> None:
    """Active, inactive after the interactive timeout, active again with the next job; sleeping is not charged."""
    with Session(backend) as session:
        sampler = SamplerV2()
        sampler.run([(circuit, [0.1])], shots=10).result()
        wait_until(lambda: session.details()["state"] == "inactive")

        assert session.status() == "Pending"
        usage = session.usage()
        sampler.run([(circuit, [0.1])], shots=10).result()
        states = [fact["status"] for fact in session.details()["timestamps"]]

    assert states == ["open", "active", "inactive", "active"]
    assert usage == pytest.approx(2 + 60, abs=0.5)  # the job and the interactive timeout


def test_a_job_beyond_its_own_limit_says_so(backend: Any, circuit: Any) -> None:
    """`max_execution_time` of one second is less than the two every job costs: error 1305."""
    sampler = SamplerV2(mode=backend)
    sampler.options.max_execution_time = 1
    job = sampler.run([(circuit, [0.1])], shots=1000)

    with pytest.raises(RuntimeJobMaxTimeoutError, match="maximum execution time of 1 s"):
        job.result()


def test_a_batch_is_charged_by_its_jobs(backend: Any, circuit: Any) -> None:
    """Batch mode: usage is the sum of QPU times, however long the batch stays open."""
    with Batch(backend) as batch:
        sampler = SamplerV2()
        jobs = [sampler.run([(circuit, [0.1])], shots=100) for _ in range(3)]
        for job in jobs:
            job.result()
    wait_until(lambda: batch.status() == "Closed")

    assert batch.details()["mode"] == "batch"
    assert batch.usage() == pytest.approx(sum(job.usage() for job in jobs))


def test_sampled_expectation_values_are_right(backend: Any, circuit: Any) -> None:
    """⟨ZZ⟩ after ry(a) and cx is 1 and ⟨ZI⟩ is cos a; the device's errors lower both a little."""
    angles = np.array([[0.0], [np.pi / 3]])
    layout = circuit.layout
    observables = [[SparsePauliOp(label).apply_layout(layout)] for label in ("ZZ", "IZ")]
    estimator = EstimatorV2(mode=backend, options={"default_shots": 4096})
    data = estimator.run([(circuit, observables, angles)]).result()[0].data

    assert data.evs.shape == (2, 2)
    assert data.evs == pytest.approx(np.array([[1, 1], [1, 0.5]]), abs=0.2)
    assert np.all(data.stds < 0.02)


def test_client_side_primitives_run_as_executor_programs(backend: Any, circuit: Any) -> None:
    """The executor family, with twirling and measurement mitigation on as by default: the same numbers."""
    from qiskit_ibm_runtime.executor_estimator import Estimator
    from qiskit_ibm_runtime.executor_sampler import Sampler

    observable = SparsePauliOp("ZZ").apply_layout(circuit.layout)
    bare = circuit.remove_final_measurements(inplace=False)
    with Session(backend) as session:
        estimated = Estimator(mode=session).run([(bare, observable, [[0.0], [1.0]])])
        sampled = Sampler(mode=session).run([(circuit, [[0.0], [np.pi]])], shots=512)
        twirling = Sampler(mode=session)
        twirling.options.twirling.enable_measure = True
        twirling.options.dynamical_decoupling.sequence_type = "XY4"
        twirled = twirling.run([(circuit, [np.pi])], shots=512)
        evs = estimated.result()[0].data.evs
        bits = sampled.result()[0].data.meas
        ones = twirled.result()[0].data.meas.get_counts().get("11", 0)
        shown = [
            answered(job._api_client.job_results(job.job_id()).encode())[0] for job in (estimated, twirled)
        ]

    assert [value for value, _ in shown[0]["values"]] == pytest.approx(evs)
    assert dict(shown[1]["registers"]["meas"]["counts"])["11"] == ones
    assert evs == pytest.approx([1, 1], abs=0.15)
    assert bits.shape == (2,)
    assert bits[0].get_counts().get("00", 0) > 400
    assert bits[1].get_counts().get("11", 0) > 400
    assert ones > 400
    assert "dynamical_decoupling.sequence_type='XY4' has no effect in the local runtime" in twirled.logs()
    assert {job.primitive_id for job in (estimated, sampled, twirled)} == {"executor"}
    with pytest.raises(IBMRuntimeError, match="The session is closed"):
        Sampler(mode=session).run([(circuit, [0.0])])


def test_the_open_plan_has_no_sessions_but_batches(tmp_path: Any) -> None:
    """Code 1352 with its words, raised by the constructor; batches up to ten minutes are fine."""
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError

    words = ("session=open", "backend=fake_manila", "session.clock=virtual")
    with thread(tmp_path / "serve", *words) as (_, root), environment(variables(root)):
        service = QiskitRuntimeService()
        backend = service.least_busy()
        with pytest.raises(RequestsApiError) as refusal:
            Session(backend)
        with Batch(backend) as batch:
            result = SamplerV2().run([(bell(backend), [0.1])], shots=10).result()
        allowed = service.usage()["usage_limit_seconds"]

    assert (
        '{"errors":[{"code":1352,"message":"You are not authorized to run a session when using the open plan.",'
        '"solution":"Create an instance of a different plan type or use a different execution mode.",'
        '"more_info":"https://cloud.ibm.com/apidocs/quantum-computing#error-handling"}],"trace":"'
    ) in str(refusal.value)
    assert batch.session_id is not None
    assert result[0].data.meas.num_shots == 10
    assert allowed == 600

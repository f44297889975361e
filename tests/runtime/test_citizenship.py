"""What other people's code expects of primitives, jobs, backends and services, written as they would."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BaseEstimatorV2, BasePrimitiveJob, BaseSamplerV2
from qiskit.providers import BackendV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from runner.errors import (
    ConfigError,
    JobCancelledError,
    JobFailedError,
    RuntimeSessionError,
    SessionClosedError,
)
from runner.runtime import EstimatorV2, LocalBackend, LocalRuntimeService, RuntimeJob, SamplerV2, Session
from runner.runtime.options import EstimatorOptions
from tests.runtime.fakes import PUB, FakeEngine


@pytest.fixture
def service() -> LocalRuntimeService:
    """Nothing is simulated."""
    return LocalRuntimeService(seed=7, engine_factory=FakeEngine)


def test_primitives_and_jobs_are_what_qiskits_interfaces_say(service: LocalRuntimeService) -> None:
    """`isinstance` against the base classes, as qiskit-algorithms and PennyLane ask."""
    backend = service.backend("ideal")
    estimator, sampler = EstimatorV2(backend), SamplerV2(backend)

    assert isinstance(estimator, BaseEstimatorV2)
    assert isinstance(sampler, BaseSamplerV2)
    assert isinstance(estimator.run([PUB]), BasePrimitiveJob)
    assert isinstance(backend, BackendV2)


def measured() -> QuantumCircuit:
    """One measured qubit."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    return circuit


def client_errors() -> Any:
    """The client's exceptions."""
    return pytest.importorskip("qiskit_ibm_runtime").exceptions


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda backend: pickle.loads(pickle.dumps(backend)),
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", ["ideal", "generic_2", "aer"])
def test_backends_are_copied_with_their_service(name: str, way: str, service: LocalRuntimeService) -> None:
    """A copy's jobs stand in the same session and on the same bill."""
    backend = service.attach(AerSimulator()) if name == "aer" else service.backend(name)
    twin = COPIES[way](backend)
    with Session(backend) as session:
        job = EstimatorV2(twin).run([(QuantumCircuit(1), "Z")])
        job.result()

    assert isinstance(twin, LocalBackend)
    assert (twin.service, twin.name, twin.num_qubits) == (service, backend.name, backend.num_qubits)
    assert job.session_id == session.session_id
    assert service.usage()["jobs"] == 1


def test_a_deep_copy_is_changed_by_itself(service: LocalRuntimeService) -> None:
    """A target that is taken from is another one."""
    backend = service.backend("generic_2")
    twin = copy.deepcopy(backend)
    del twin.target._gate_map["cx"]

    assert "cx" in backend.target.operation_names
    assert "cx" not in twin.target.operation_names


def test_a_pickled_backend_finds_a_service_elsewhere(tmp_path: Path) -> None:
    """In another process it is the same device, of a service with the same plan; what is recorded stays here."""
    quiet, recording = LocalRuntimeService(plan="flex"), LocalRuntimeService(on_event=lambda _: None)
    (tmp_path / "quiet").write_bytes(pickle.dumps(quiet.backend("generic_2")))
    (tmp_path / "recording").write_bytes(pickle.dumps(recording.backend("generic_2")))
    script = (
        "import pickle, sys\n"
        "backend = pickle.load(open('quiet', 'rb'))\n"
        "print(backend.name, backend.service.plan.name)\n"
        "pickle.load(open('recording', 'rb'))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)

    assert run.stdout == "generic_2 flex\n"
    assert "a service whose jobs are recorded stays in its process" in run.stderr


def test_jobs_tell_what_was_asked(service: LocalRuntimeService) -> None:
    """PUBs, options and the rest of what `RuntimeJobV2` has."""
    circuit, _, values = PUB
    job = EstimatorV2(service.backend("ideal"), options={"default_precision": 0.1}).run(
        [(circuit, "Z", values)]
    )
    (pub,) = job.inputs["pubs"]

    assert pub.circuit is circuit
    assert pub.observables.tolist() == {"Z": 1.0}
    assert pub.parameter_values.as_array().tolist() == values
    assert pub.precision == 0.1
    assert job.inputs["options"]["default_precision"] == 0.1
    assert (job.properties(), job.instance, job.private, job.image, job.usage(partial=True)) == (
        None, None, False, "", 0.0,
    )  # fmt: skip
    sampled = SamplerV2(service.backend("ideal")).run([QuantumCircuit(1, 1)], shots=7)
    assert [pub.shots for pub in sampled.inputs["pubs"]] == [7]


def test_signatures_are_the_clients() -> None:
    """Every parameter of the client's methods has its name and, where it may be given by place, its place here."""
    client = pytest.importorskip("qiskit_ibm_runtime")
    pairs = [
        (client.QiskitRuntimeService.jobs, LocalRuntimeService.jobs),
        (client.QiskitRuntimeService.backend, LocalRuntimeService.backend),
        (client.QiskitRuntimeService.backends, LocalRuntimeService.backends),
        (client.QiskitRuntimeService.least_busy, LocalRuntimeService.least_busy),
        (client.QiskitRuntimeService.job, LocalRuntimeService.job),
        (client.Session.from_id, Session.from_id),
        (client.RuntimeJobV2.backend, RuntimeJob.backend),
        (client.RuntimeJobV2.properties, RuntimeJob.properties),
        (client.RuntimeJobV2.usage, RuntimeJob.usage),
        (client.RuntimeJobV2.result, RuntimeJob.result),
        (client.RuntimeJobV2.wait_for_final_state, RuntimeJob.wait_for_final_state),
        (client.QiskitRuntimeService.delete_job, LocalRuntimeService.delete_job),
    ]
    mocks = {"include_mocks"}  # dry runs, which this service has none of
    for theirs, ours in pairs:
        wanted = [name for name in inspect.signature(theirs).parameters if name not in mocks | {"kwargs"}]
        found = list(inspect.signature(ours).parameters)
        by_place = [name for name, parameter in inspect.signature(theirs).parameters.items()
                    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name not in mocks]  # fmt: skip

        assert set(wanted) <= set(found), ours
        assert found[: len(by_place)] == by_place, ours


def test_jobs_are_found_by_date(service: LocalRuntimeService) -> None:
    """The clock begins with 2026; the second job is submitted a day later."""
    estimator = EstimatorV2(service.backend("ideal"))
    first = estimator.run([PUB])
    service.sleep(86400)
    second = estimator.run([PUB])
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert service.jobs(created_after=noon) == [second]
    assert service.jobs(created_before=noon) == [first]
    assert service.jobs(created_after=noon - timedelta(days=1), created_before=noon - timedelta(days=1)) == []
    with pytest.raises(ConfigError, match="there is no instance 'crn:x' here"):
        service.jobs(instance="crn:x")
    with pytest.raises(
        ConfigError, match=r"limit: must be a whole number of at least 0 \(or None: all\), got -1"
    ):
        service.jobs(limit=-1)
    with pytest.raises(ConfigError, match="skip: must be a whole number of at least 0, got -2"):
        service.jobs(skip=-2)
    with pytest.raises(ConfigError, match="job_tags needs to be a list of strings") as refused:
        service.jobs(job_tags="abc")
    assert isinstance(refused.value, client_errors().IBMInputValueError)
    with pytest.raises(ConfigError, match=r"created_after: must be a datetime, as .*, got '2026'"):
        service.jobs(created_after="2026")  # type: ignore[arg-type]


def test_backends_are_chosen(service: LocalRuntimeService) -> None:
    """By qubits, filters, attributes and fractional gates; what nothing fits is refused."""
    pytest.importorskip("qiskit_ibm_runtime")
    small, ideal = service.backend("generic_3"), service.backend("ideal")

    assert service.backends(min_num_qubits=500) == [ideal]
    assert service.backends(filters=lambda backend: backend.num_qubits < 10) == [small]
    assert service.backends(simulator=True) == [ideal]
    assert service.least_busy(filters=lambda backend: backend.name == "generic_3") is small
    assert service.least_busy(operational=True, simulator=False).name == "fake_torino"
    assert service.backend("generic_3", use_fractional_gates=False) is small
    assert service.backend("ideal", use_fractional_gates=True) is ideal
    assert service.backend("fake_fractional", use_fractional_gates=True).num_qubits == 5
    with pytest.raises(ConfigError, match="generic_3 has no fractional gates"):
        service.backend("generic_3", use_fractional_gates=True)
    with pytest.raises(ConfigError, match="not even fake_torino is as asked for"):
        service.least_busy(filters=lambda _: False)
    with pytest.raises(ConfigError, match="there is no calibration_id 'x' here"):
        service.backend("ideal", calibration_id="x")
    session = Session(small)
    with pytest.raises(ConfigError, match="generic_3 has no fractional gates"):
        Session.from_id(str(session.session_id), service, use_fractional_gates=True)


def test_a_busy_device_tells_how_many_jobs_wait(service: LocalRuntimeService) -> None:
    """All that are not over, in a session or not; the least busy device has fewest; who keeps asking sees it empty."""
    client = pytest.importorskip("qiskit_ibm_runtime")
    busy, free = service.backend("generic_3"), service.backend("generic_4")
    jobs = [SamplerV2(busy).run([measured()]) for _ in range(3)]
    small = {"filters": lambda backend: backend.num_qubits < 10}
    with Session(busy):
        jobs.append(SamplerV2().run([measured()]))
    status = busy.status()

    assert isinstance(status, client.models.BackendStatus)
    assert (status.pending_jobs, status.operational, free.status().pending_jobs) == (4, True, 0)
    assert service.least_busy(**small) is free
    while busy.status().pending_jobs:
        pass
    assert {job.status() for job in jobs} == {"DONE"}
    assert service.least_busy(**small) is busy


def test_the_clients_options_are_taken(service: LocalRuntimeService) -> None:
    """What is set in them counts as the same words in a dictionary do; what has no effect here is refused."""
    client = pytest.importorskip("qiskit_ibm_runtime")
    backend = service.backend("ideal")
    options = client.EstimatorOptions(default_precision=0.25)
    options.environment.job_tags = ["mine"]
    estimator = EstimatorV2(backend, options=options)
    sampler = SamplerV2(backend, options=client.SamplerOptions(default_shots=7))

    assert (
        estimator.options
        == EstimatorV2(
            backend, options={"default_precision": 0.25, "environment": {"job_tags": ["mine"]}}
        ).options
    )
    assert (estimator.options.default_shots, sampler.options.default_shots) == (16, 7)
    assert EstimatorV2(backend, options=client.EstimatorOptions()).options == EstimatorV2(backend).options
    assert SamplerV2(backend, options=client.SamplerOptions()).options == SamplerV2(backend).options
    options.dynamical_decoupling.enable = True
    assert EstimatorV2(backend, options=options).options.dynamical_decoupling.enable is True
    with pytest.raises(ConfigError, match="SamplerOptions are no options of the estimator"):
        EstimatorV2(backend, options=client.SamplerOptions())
    with pytest.raises(
        ConfigError, match=r"Invalid 'options' type. It can only be a dictionary of EstimatorOptions"
    ):
        EstimatorV2(backend, options=3)  # type: ignore[arg-type]


def test_options_are_copied(service: LocalRuntimeService) -> None:
    """Two primitives made with one object do not change each other's; keywords make one."""
    options = EstimatorOptions(default_precision=0.3, environment={"job_tags": ["a"]})
    first, second = (EstimatorV2(service.backend("ideal"), options=options) for _ in range(2))
    first.options.default_precision = 0.1
    first.options.environment.job_tags.append("b")

    assert repr(first.options.environment).count("private=") == 1
    assert (second.options.default_precision, options.default_precision) == (0.3, 0.3)
    assert second.options.environment.job_tags == options.environment.job_tags == ["a"]


def test_imaginary_parts_that_are_rounding_are_none() -> None:
    """⟨0|Z|0⟩ = 1, whatever 5·10⁻¹⁸ i arithmetic left behind; what is imaginary (10⁻⁶) or no number is refused."""
    estimator = EstimatorV2(LocalRuntimeService().backend("ideal"), options={"default_precision": 0})
    circuit = QuantumCircuit(1)
    noisy = SparsePauliOp(["Z", "X"], [1 + 5e-18j, 0.5 - 5e-18j])
    (found,) = estimator.run([(circuit, [noisy, SparsePauliOp(["Z"], [2 + 4e-18j])])]).result()

    assert found.data.evs.tolist() == pytest.approx([1, 2])
    assert float(estimator.run([(circuit, noisy)]).result()[0].data.evs) == pytest.approx(1)
    with pytest.raises(ConfigError, match="real coefficients"):
        estimator.run([(circuit, SparsePauliOp(["Z"], [1 + 1e-6j]))])
    for endless in (
        {"Z": float("nan")},
        SparsePauliOp(["Z", "X"], [1, np.inf]),
        [{"Z": 1.0}, {"X": -np.inf}],
    ):
        with pytest.raises(ConfigError, match=r"finite coefficients, got (nan|inf|-inf) for [ZX]$"):
            estimator.run([(circuit, endless)])


def test_fractional_gates_have_their_angles(service: LocalRuntimeService) -> None:
    """A device's rzz takes 0 to π/2, as numbers and as values of parameters; a simulator's takes any."""
    device = service.attach(GenericBackendV2(2, basis_gates=["rx", "rz", "rzz"], seed=1))
    angle = Parameter("angle")
    fixed, free = QuantumCircuit(2), QuantumCircuit(2)
    fixed.rzz(2.0, 0, 1)
    free.rzz(2 * angle, 0, 1)
    EstimatorV2(device).run([(free, "ZZ", [[0.0], [np.pi / 4]])])
    EstimatorV2(service.backend("ideal")).run([(free, "ZZ", [3.0])])

    assert device.has_fractional_gates
    with pytest.raises(ConfigError, match=r"takes angles of 0 to π/2, got 2\.0;"):
        EstimatorV2(device).run([(fixed, "ZZ")])
    with pytest.raises(ConfigError, match=r"takes angles of 0 to π/2, got 1\.8 at angle=0\.9;"):
        EstimatorV2(device).run([(free, "ZZ", [[0.1], [0.9]])])
    with pytest.raises(ConfigError, match=r"takes angles of 0 to π/2, got -0\.2 at angle=-0\.1;"):
        EstimatorV2(device).run([(free, "ZZ", [-0.1])])


def test_qubits_and_edges_that_do_not_work_are_refused(service: LocalRuntimeService) -> None:
    """By what a device's calibration says: qubit 0 works alone, its edge to qubit 1 does not, nor does qubit 2."""

    class Worn(GenericBackendV2):
        def properties(self) -> SimpleNamespace:
            """Two complaints."""
            return SimpleNamespace(
                faulty_qubits=lambda: [2], faulty_gates=lambda: [SimpleNamespace(qubits=[0, 1])]
            )

    device = service.attach(Worn(3, seed=1))
    fine, edge, qubit = QuantumCircuit(3), QuantumCircuit(3), QuantumCircuit(3)
    fine.sx(0)
    edge.cx(0, 1)
    qubit.sx(2)
    EstimatorV2(device).run([(fine, "ZZZ")])

    with pytest.raises(ConfigError, match=r"uses cx on \(0, 1\), and .* says that \(0, 1\) does not work"):
        EstimatorV2(device).run([(edge, "ZZZ")])
    with pytest.raises(ConfigError, match=r"uses sx on \(2,\), and .* says that \(2,\) does not work"):
        EstimatorV2(device).run([(qubit, "ZZZ")])


def test_a_timeout_is_told_as_one(service: LocalRuntimeService) -> None:
    """`result(timeout=…)` counts on the session's clock."""
    errors, job = client_errors(), EstimatorV2(service.backend("ideal")).run([PUB])

    with pytest.raises(RuntimeSessionError, match="was not over after 1 s"):
        job.result(timeout=1)
    with pytest.raises(errors.RuntimeJobTimeoutError, match="was not over after 1 s"):
        job.wait_for_final_state(timeout=1, poll_interval=0.1)


def test_errors_are_the_clients_too(service: LocalRuntimeService) -> None:
    """The classes that the client's code raises there are caught, as ours are; pickled they are ours."""
    errors, backend = client_errors(), service.backend("ideal")
    waiting, slow = SamplerV2(backend), SamplerV2(backend, options={"max_execution_time": 1})
    cancelled, late = waiting.run([measured()]), slow.run([measured()], shots=10**6)
    cancelled.cancel()
    session = Session(backend)
    session.close()
    cases = [
        (lambda: service.job("nobody"), errors.RuntimeJobNotFound, RuntimeSessionError),
        (cancelled.result, errors.RuntimeInvalidStateError, JobCancelledError),
        (cancelled.cancel, errors.RuntimeInvalidStateError, RuntimeSessionError),
        (late.result, errors.RuntimeJobMaxTimeoutError, JobFailedError),
        (lambda: SamplerV2(session).run([measured()]), errors.IBMRuntimeError, SessionClosedError),
        (lambda: Session.from_id("nobody", service), errors.IBMRuntimeError, ConfigError),
    ]
    for act, theirs, ours in cases:
        with pytest.raises(theirs) as caught:
            act()
        again = pickle.loads(pickle.dumps(caught.value))

        assert isinstance(caught.value, ours)
        assert str(again) == str(caught.value)
        assert not isinstance(again, theirs)
        assert vars(again)["message"] == caught.value.message == str(caught.value)


def test_sessions_and_jobs_are_pickled_within_their_process(service: LocalRuntimeService) -> None:
    """They stand for themselves, with jobs behind them; what another process makes of them is one line."""
    backend = service.backend("ideal")
    with Session(backend) as session:
        counted, job = backend.run(measured()), SamplerV2().run([measured()])
        twin = pickle.loads(pickle.dumps(session))
    closed, jobs = pickle.dumps(session), pickle.dumps([job, counted])
    same, other = pickle.loads(jobs)

    assert (twin.session_id, twin.status()) == (session.session_id, session.status())
    assert copy.deepcopy(job) is job is same
    assert (other.session_id, other.job_id()) == (session.session_id, counted.job_id())
    with pytest.raises(SessionClosedError):
        SamplerV2(pickle.loads(closed)).run([measured()])
    for pickled, words in (
        (closed, "session .* is in the process that opened it"),
        (jobs, "job .* is in the process"),
    ):
        there = f"import pickle, sys\ntry: pickle.loads({pickled!r})\nexcept Exception as error: print(error)"
        told = subprocess.run([sys.executable, "-c", there], capture_output=True, text=True, check=True)
        assert re.match(words, told.stdout)


def test_a_job_is_deleted_and_stays_on_the_bill(service: LocalRuntimeService) -> None:
    """Nobody finds it, and one that is not over is refused, as by the client's service."""
    errors, backend = client_errors(), service.backend("ideal")
    first, second = (SamplerV2(backend).run([measured()]) for _ in range(2))
    first.result()
    used = service.usage()["qpu_seconds"]
    service.delete_job(first.job_id())

    assert service.jobs() == [second]
    assert service.usage()["qpu_seconds"] == used > 0
    with pytest.raises(errors.RuntimeJobNotFound, match="Job not found"):
        service.delete_job(first.job_id())
    with pytest.raises(RuntimeSessionError, match="is not over yet"):
        service.delete_job(SamplerV2(backend).run([measured()], shots=10**6).job_id())


def test_a_service_needs_no_account() -> None:
    """What the client takes to find one is refused by name; what is asked of it has an answer."""
    client = pytest.importorskip("qiskit_ibm_runtime")
    theirs = set(inspect.signature(client.QiskitRuntimeService.__init__).parameters) - {"self"}
    service = LocalRuntimeService(channel="local", token=None)

    assert service.instances() == [{"crn": None, "plan": "premium", "name": None}]
    assert (service.channel, service.active_account(), service.active_instance()) == ("local", None, None)  # type: ignore[func-returns-value]
    assert service.saved_accounts() == {}
    for name in theirs:
        with pytest.raises(
            ConfigError, match=f"{name}: the local service needs no account; leave {name} out"
        ):
            LocalRuntimeService(**{name: "x"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs no account"):
        service.save_account(token="x", overwrite=True)
    with pytest.raises(TypeError, match="has no argument 'sed'"):
        LocalRuntimeService(sed=1)

"""One instance: its devices, its limit, lists of sessions, and jobs that are private."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit import QuantumCircuit
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, RuntimeEncoder, SamplerV2, Session
from qiskit_ibm_runtime.exceptions import IBMRuntimeError

from runner.errors import ConfigError
from runner.runtime import LocalRuntimeService
from runner.serve.config import called, read
from runner.serve.devices import describe
from tests.serve.serving import bell, environment, thread, variables
from tests.serve.test_wire import TOKEN, Wire, assert_error, sampling, wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

IDEAL = ("backend=ideal", "session.clock=virtual")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """Two five-qubit devices on which 20 seconds pass in one, one of them by its snapshot's name."""
    words = ("backend=[fake_manila,fake_quito]", "session.clock_scale=20", "session.interactive_timeout=3600")
    with thread(tmp_path_factory.mktemp("instance") / "serve", *words) as found:
        yield found


@pytest.fixture(scope="module")
def service(served: tuple[Any, str]) -> Iterator[Any]:
    """The client, connected to it."""
    with environment(variables(served[1])):
        yield QiskitRuntimeService()


@pytest.fixture
def wire(served: tuple[Any, str]) -> Wire:
    """Raw requests to it."""
    return Wire(served[1])


# -- several devices ----------------------------------------------------------------------------------------


def test_the_client_sees_every_device(service: Any) -> None:
    """By their names at IBM, each with its own snapshot's gates."""
    devices = {device.name: device for device in service.backends()}

    assert sorted(devices) == ["ibmq_manila", "ibmq_quito"]
    assert (3, 4) in devices["ibmq_manila"].target["cx"]  # a line
    assert (1, 3) in devices["ibmq_quito"].target["cx"]  # a T: published coupling maps
    assert (1, 3) not in devices["ibmq_manila"].target["cx"]


def test_an_owned_device_does_not_stop_the_other(service: Any, wire: Wire) -> None:
    """S7: a session owns its own device; jobs of the other go on, and the queues are told apart."""
    manila, quito = service.backend("ibmq_manila"), service.backend("ibmq_quito")
    session = Session(manila)
    SamplerV2(mode=session).run([(bell(manila), [0.1])], shots=10).result()
    waiting = SamplerV2(mode=manila).run([(bell(manila), [0.1])], shots=10)
    other = SamplerV2(mode=quito).run([(bell(quito), [0.1])], shots=10)
    other.result()

    assert waiting.status() == "QUEUED"
    assert manila.status().pending_jobs == 1
    assert quito.status().pending_jobs == 0
    assert other.backend().name == "ibmq_quito"
    assert session.details()["backend_name"] == "ibmq_manila"
    body = {"program_id": "sampler", "params": {}, "session_id": session.session_id}
    assert_error(*wire.api("POST", "/jobs", {**body, "backend": "ibmq_quito"}), 400)
    assert_error(*wire.api("POST", "/sessions", {"mode": "dedicated"}), 400)
    session.close()
    waiting.result()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("backend=[]", "needs names"),
        ("backend=[fake_manila,1]", "needs names"),
        ("backend=[fake_manila,fake_manila]", "names fake_manila twice"),
        ("backend=[ideal,noisy]", "both Aer's simulator"),
        ("backend=[fake_manila,device] backend.device=fake_quito", "leave it out"),
        ("backend=[fake_manila,fake_brisban]", "'fake_brisban' not found; did you mean 'fake_brisbane'?"),
        ("usage_limit=-3", "at least 1 second"),
        ("usage_limit=soon", "is not a duration"),
        ("session.max_cost=3", "usage_limit=SECONDS"),
        ("session.max_time=60", "each program"),
    ],
)
def test_what_a_server_cannot_be_is_refused(words: str, told: str) -> None:
    """One line that names the key."""
    with pytest.raises(ConfigError, match=told):
        read(words.split())


def test_settings_are_for_every_device() -> None:
    """What is typed for the backend holds for all; the first is the default."""
    config = read(["backend=[fake_quito,fake_manila]", "backend.threads=2", "usage_limit=10m"])

    assert [called(one) for one in config.served] == ["fake_quito", "fake_manila"]
    assert [one.threads for one in config.served] == [2, 2]
    assert config.limits.allocation == 600


def test_couplers_that_are_tuned_are_physical_qubits() -> None:
    """As many as the client's own snapshot says, where it says a number; a Falcon has five and no more."""
    from qiskit_ibm_runtime.fake_provider import FakeFez

    service = LocalRuntimeService(seed=1)
    counted = {}
    for name in ("fake_fez", "fake_manila"):
        declared = read([f"backend=[{name}]"]).served[0]
        counted[name] = describe(declared.build(service), declared).physical_qubits

    assert counted == {"fake_fez": FakeFez().physical_qubits, "fake_manila": 5}


def test_all_that_the_client_asks_with_is_taken(service: Any, wire: Wire) -> None:
    """Every parameter of its REST adapters (`qiskit_ibm_runtime.api.rest`): none is refused, each acts."""
    client = service._get_api_client(service.instances()[0]["crn"])
    backend = service.backend("ibmq_manila")
    with Session(backend, max_time=60) as session:
        job = SamplerV2(mode=session).run([(bell(backend), [0.1])], shots=10)
        job.update_tags(["asked"])
        job.result()
    soon, date = datetime.now() + timedelta(days=365), backend.properties().last_update_date
    jobs = client.jobs_get(
        limit=5, skip=0, backend_name="ibmq_manila", pending=False, program_id="sampler", job_tags=["asked"],
        session_id=session.session_id, created_after=date, created_before=soon, descending=False,
        include_mocks=True,
    )  # fmt: skip
    workloads = client._api.workloads_get(
        user="me", sort="-createdAt", limit=5, backend="ibmq_manila", search="asked", status=["completed"],
        mode="session", created_after=date, created_before=soon, tags=["asked"], include_mocks=True,
    )  # fmt: skip

    assert [one["id"] for one in jobs["jobs"]] == [job.job_id()]
    assert [one["id"] for one in workloads["workloads"]] == [session.session_id]
    assert len(client.list_backends(include_mocks=True)) == 2
    assert "params" not in client.job_get(job.job_id(), exclude_params=True)
    assert backend.properties(datetime=date + timedelta(days=1)).last_update_date == date
    assert (
        backend.properties(datetime=date - timedelta(days=1)) is None
    )  # "older than": the client's docstring
    service.delete_job(job.job_id())


def test_a_calibration_is_found_by_its_id(service: Any, wire: Wire) -> None:
    """That of the snapshot is in the configuration; for any other there is no backend, and jobs are refused."""
    known = wire.api("GET", "/backends/ibmq_manila/configuration")[1]["calibration_id"]
    date = wire.api("GET", "/backends/ibmq_manila/properties")[1]["last_update_date"]
    backend = service.backend("ibmq_manila", calibration_id=known)
    job = SamplerV2(mode=backend).run([(bell(backend), [0.1])], shots=10)

    assert known == f"ibmq_manila-{date}"
    assert wire.api("GET", f"/jobs/{job.job_id()}")[1]["calibration_id"] == known
    with pytest.raises(QiskitBackendNotFoundError):
        service.backend("ibmq_manila", calibration_id="yesterday")
    status, body = wire.api(
        "POST",
        "/jobs",
        {"program_id": "sampler", "params": {}, "backend": "ibmq_manila", "calibration_id": "x"},
    )
    assert_error(status, body, 400)
    assert known in body["errors"][0]["message"]


# -- what jobs may ask for ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["service", "client"])
@pytest.mark.parametrize("kind", ["kerneled", "avg_kerneled"])
def test_points_instead_of_bits_are_refused_on_both_paths(service: Any, family: str, kind: str) -> None:
    """Before anything runs, with the code of a wrong request."""
    from qiskit_ibm_runtime import executor_sampler

    backend = service.backend("ibmq_manila")
    sampler = SamplerV2(mode=backend) if family == "service" else executor_sampler.Sampler(mode=backend)
    sampler.options.execution.meas_type = kind
    with pytest.raises(IBMRuntimeError, match=f'"code":1208.*{kind}.*is not supported by the backend'):
        sampler.run([(bell(backend), [0.1])], shots=10)


def test_a_private_result_is_read_once(tmp_path: Path) -> None:
    """Then it is gone, from the disk and after a restart too; as the client's own tests see it at IBM."""
    with thread(tmp_path / "serve", *IDEAL) as (_, root):
        wire = Wire(root)
        job = wire.api("POST", "/jobs", sampling(private=True))[1]["id"]
        open_one = wire.api("POST", "/jobs", sampling())[1]["id"]
        wait(wire, job), wait(wire, open_one)
        results = [wire.ask("GET", f"/experimental/jobs/{job}/results") for _ in range(2)]
        open_ones = [wire.ask("GET", f"/experimental/jobs/{open_one}/results") for _ in range(2)]
        told = wire.api("GET", f"/jobs/{job}")[1]
    with thread(tmp_path / "serve", *IDEAL) as (_, root):
        again = Wire(root).ask("GET", f"/experimental/jobs/{job}/results")

    assert results[0][0] == 200
    assert b"BitArray" in results[0][1]
    assert results[1] == again == (204, b"")
    assert open_ones[0] == open_ones[1] != (204, b"")
    assert (told["private"], told["params"]) == (True, {})
    assert list((tmp_path / "serve" / "jobs").glob(f"{job}*")) == []


def test_a_private_result_can_be_read_again_where_the_connection_broke(tmp_path: Path) -> None:
    """It was paid for: a client that is gone after a few bytes of several megabytes has not read it."""
    with thread(tmp_path / "serve", *IDEAL) as (_, root):
        wire = Wire(root)
        spread = QuantumCircuit(20)
        spread.sx(range(20))
        spread.measure_all()
        told = json.loads(json.dumps(spread, cls=RuntimeEncoder))
        asked = sampling(params={"pubs": [[told, [], 2_000_000]], "version": 2}, private=True)
        job = wire.api("POST", "/jobs", asked)[1]["id"]
        wait(wire, job)
        path = f"/experimental/jobs/{job}/results"
        host, _, port = wire.address.partition(":")
        with socket.create_connection((host, int(port))) as broken:
            broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no farewell
            said = [f"GET {path} HTTP/1.1", f"Host: {wire.address}"]
            said += [f"{name}: {value}" for name, value in TOKEN.items()]
            broken.sendall("\r\n".join([*said, "", ""]).encode())
            assert broken.recv(100).startswith(b"HTTP/1.1 200")
        for _ in range(200):  # until the server has noticed
            if (found := wire.ask("GET", path))[0] != 204:
                break
            time.sleep(0.05)
        again = wire.ask("GET", path)

    assert (found[0], len(found[1]) > 4_000_000) == (200, True)
    assert again == (204, b"")


# -- sessions -----------------------------------------------------------------------------------------------


def test_sessions_are_listed_newest_first(tmp_path: Path) -> None:
    """By state, mode and date, a page at a time; each as it is told alone, those of an earlier life too."""
    with thread(tmp_path / "serve", *IDEAL) as (_, root):
        wire = Wire(root)
        ids = [
            wire.api("POST", "/sessions", {"mode": mode, "backend": "local_ideal"})[1]["id"]
            for mode in ("dedicated", "batch", "dedicated")
        ]
        wire.api("PATCH", f"/sessions/{ids[0]}", {"accepting_jobs": False})

        def listed(query: str) -> list[str]:
            status, answer = wire.api("GET", f"/sessions{query}")
            assert status == 200
            return [one["id"] for one in answer["sessions"]]

        whole = wire.api("GET", "/sessions")[1]
        assert (whole["count"], whole["limit"], whole["offset"]) == (3, 10, 0)
        assert whole["sessions"][1] == wire.api("GET", f"/sessions/{ids[1]}")[1]
        assert listed("") == ids[::-1]
        assert listed("?sort=ASC&limit=1&offset=1") == [ids[1]]
        assert listed("?state=closed") == [ids[0]]
        assert listed("?mode=batch&backend=local_ideal") == [ids[1]]
        assert listed("?backend=ibm_torino") == []
        assert listed("?created_before=2020-01-01") == []
        assert listed("?sort=DESC&state=open") == [ids[2], ids[1]]
        assert_error(*wire.api("GET", "/sessions?limit=x"), 400)
        for query in (
            "sessions?sort=created_at:asc",
            "sessions?state=foo",
            "sessions?mode=foo",
            "jobs?pending=foo",
        ):
            assert_error(*wire.api("GET", f"/{query}"), 400)
    with thread(tmp_path / "serve", *IDEAL) as (_, root):
        answer = Wire(root).api("GET", "/sessions")[1]["sessions"]
        assert [(one["id"], one["state"]) for one in answer] == [(one, "closed") for one in ids[::-1]]


# -- the limit of an instance -------------------------------------------------------------------------------


def test_S23_the_instances_limit_is_a_setting(tmp_path: Path) -> None:
    """6 s allow three jobs of 2 s and what they execute, and not a fourth; a restart forgets none of it."""
    words = (*IDEAL, "usage_limit=6")
    with thread(tmp_path / "serve", *words) as (_, root), environment(variables(root)):
        service, wire = QiskitRuntimeService(), Wire(root)
        before = service.usage()
        batch = Batch(service.backend("local_ideal"))
        used = []
        for _ in range(3):
            used.append(wait(wire, wire.api("POST", "/jobs", sampling(session_id=batch.session_id))[1]["id"]))
        after, refused = service.usage(), wire.api("POST", "/jobs", sampling())
        closed = batch.details()
    with thread(tmp_path / "serve", *words) as (_, root), environment(variables(root)):
        remembered = QiskitRuntimeService().usage()

    assert (before["usage_remaining_seconds"], before["usage_limit_reached"]) == (6, False)
    assert sum(job["usage"]["seconds"] for job in used) > 6
    assert (after["usage_consumed_seconds"], after["usage_remaining_seconds"]) == (6, 0)
    assert after["usage_limit_reached"] is remembered["usage_limit_reached"] is True
    assert remembered["usage_consumed_seconds"] == 6
    assert_error(*refused, 409)
    assert closed["state"] == "closed"

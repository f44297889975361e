"""What arrives on the wire is not trusted: every answer has the API's shape, and the server goes on."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("qiskit_ibm_runtime")

from qiskit.qpy import formats

from tests.serve.serving import thread

BASE = "/experimental"
TOKEN = {"Authorization": "Bearer anything"}
DEVICE = "local_ideal"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """An ideal device on a virtual clock, so that nothing has to be waited for."""
    words = ("backend=ideal", "session.clock=virtual", "max_body=1")
    with thread(tmp_path_factory.mktemp("wire") / "serve", *words) as (runtime, root):
        yield runtime, root


class Wire:
    """Raw HTTP to the server."""

    def __init__(self, root: str) -> None:
        self.address = root.removeprefix("http://")
        self._connection = http.client.HTTPConnection(self.address, timeout=30)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """One request on the kept connection; dictionaries and lists go as JSON."""
        content = body if isinstance(body, bytes | str | None) else json.dumps(body)
        try:
            self._connection.request(method, path, content, {**TOKEN, **headers})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            self._connection.close()
            raise

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One API request; the answer as an object."""
        status, content = self.ask(method, BASE + path, body)
        return status, json.loads(content) if content else None


@pytest.fixture
def wire(served: tuple[Any, str]) -> Wire:
    """A connection of its own for every test."""
    return Wire(served[1])


def circuit_text() -> dict[str, Any]:
    """A circuit as the client writes it."""
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime import RuntimeEncoder

    circuit = QuantumCircuit(1, name="measured")
    circuit.x(0)
    circuit.measure_all()
    return json.loads(json.dumps(circuit, cls=RuntimeEncoder))


def sampling(**more: Any) -> dict[str, Any]:
    """A request that is right."""
    return {
        "program_id": "sampler",
        "backend": DEVICE,
        "params": {"pubs": [[circuit_text(), [], 10]], "version": 2},
        **more,
    }


def assert_error(status: int, body: Any, expected: int) -> None:
    """The service's own shape: one error with code and message, and a trace."""
    assert status == expected
    (error,) = body["errors"]
    assert isinstance(error["code"], int)
    assert error["message"]
    assert error["more_info"].startswith("https://")
    assert len(body["trace"]) == 36


def still_alive(wire: Wire) -> None:
    """The server runs a job as if nothing had been."""
    status, answer = wire.api("POST", "/jobs", sampling())
    assert status == 200
    wait(wire, answer["id"])


def wait(wire: Wire, job: str) -> dict[str, Any]:
    """Ask for a job until it is over."""
    while True:
        _, answer = wire.api("GET", f"/jobs/{job}?exclude_params=true")
        if answer["status"] in ("Completed", "Failed", "Cancelled"):
            return answer


def test_errors_are_compact_json(wire: Wire) -> None:
    """No spaces: programs look for `"code":1217` in the text."""
    _, session = wire.api("POST", "/sessions", {"mode": "dedicated", "backend": DEVICE})
    wire.api("PATCH", f"/sessions/{session['id']}", {"accepting_jobs": False})
    status, content = wire.ask("POST", f"{BASE}/jobs", sampling(session_id=session["id"]))

    assert status == 400
    assert content.startswith(b'{"errors":[{"code":1217,"message":"Session has been closed.","solution":"')


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b"null"]
)
@pytest.mark.parametrize("path", ["/jobs", "/sessions"])
def test_what_is_no_json_object_is_refused(wire: Wire, path: str, body: bytes) -> None:
    """Malformed, too deep, not an object; an empty body has nothing that is required."""
    if body == b"" and path == "/sessions":
        return
    status, answer = wire.api("POST", path, body)

    assert_error(status, answer, 400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"program_id": 3}, {"program_id": None}, {"params": "x"}, {"params": None}, {"backend": "ibm_nowhere"},
        {"backend": 1}, {"backend": None}, {"session_id": 5}, {"session_id": "unknown"}, {"tags": "one"},
        {"tags": [1]}, {"tags": [""]}, {"tags": ["x" * 87]}, {"tags": ["x"] * 9}, {"cost": "10"}, {"cost": 0},
        {"cost": 10_801}, {"cost": True}, {"private": "yes"}, {"params": {}}, {"params": {"pubs": []}},
        {"params": {"pubs": [1]}}, {"params": {"pubs": [[]]}}, {"params": {"pubs": [["x", [], 10]]}},
        {"params": {"pubs": "x", "options": 3}}, {"params": {"pubs": [[{"__type__": "Result", "__value__": {}}]]}},
        {"params": {"pubs": [[{"__type__": "settings", "__module__": "os", "__class__": "system"}]]}},
        {"params": {"pubs": [[{"__type__": "QuantumCircuit", "__value__": "AAAA"}]]}},
        {"params": {"pubs": [[{"__type__": "QuantumCircuit", "__value__": 7}]]}},
        {"params": {"pubs": [[{"__type__": "ndarray", "__value__": "!"}]]}},
        {"program_id": "executor"}, {"program_id": "executor", "params": {"schema_version": "v2.0"}},
    ],
    ids=lambda wrong: json.dumps(wrong)[:60],
)  # fmt: skip
def test_a_job_with_a_wrong_field_is_refused(wire: Wire, wrong: dict[str, Any]) -> None:
    """Types, ranges, unknown names: a 400 that says which, and nothing is queued."""
    before = wire.api("GET", "/jobs")[1]["count"]
    status, answer = wire.api("POST", "/jobs", sampling(**wrong))

    assert_error(status, answer, 400)
    assert wire.api("GET", "/jobs")[1]["count"] == before


@pytest.mark.parametrize("value", [5, None, [], {}, True, 1.5])
@pytest.mark.parametrize("kind", ["QuantumCircuit", "complex", "NoiseLearnerResult"])
def test_values_of_another_kind_are_told_in_our_words(wire: Wire, kind: str, value: Any) -> None:
    """What they must be, not what Python misses in them."""
    pubs = [[{"__type__": kind, "__value__": value}]]
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": pubs}))

    assert_error(status, answer, 400)
    assert f"A {kind} in the request must be " in json.dumps(answer)


def test_arrays_are_never_unpickled(wire: Wire) -> None:
    """An object array in NumPy's own format would run code when loaded; it is refused."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    text = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
    pub = [circuit_text(), {"__type__": "ndarray", "__value__": text}, 10]
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [pub]}))

    assert_error(status, answer, 400)
    assert "holds object, which is no number" in answer["errors"][0]["message"]


def test_what_is_too_large_is_refused_packed_and_unpacked(wire: Wire) -> None:
    """413 for a body beyond the limit, with and without its length announced, and for data that inflate beyond it."""
    status, answer = wire.api("POST", "/jobs", b" " * (2 << 20))
    assert_error(status, answer, 413)

    bomb = base64.b64encode(zlib.compress(b"\0" * (16 << 20))).decode()
    pub = [{"__type__": "QuantumCircuit", "__value__": bomb}]
    status, answer = Wire(wire.address).api("POST", "/jobs", sampling(params={"pubs": [pub]}))
    assert_error(status, answer, 413)
    still_alive(Wire(wire.address))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/unknown"), ("DELETE", "/jobs/unknown"), ("GET", "/jobs/unknown/results"),
        ("POST", "/jobs/unknown/cancel"), ("GET", "/jobs/unknown/metrics"), ("GET", "/jobs/unknown/logs"),
        ("PUT", "/jobs/unknown/tags"), ("GET", "/sessions/unknown"), ("DELETE", "/sessions/unknown/close"),
        ("GET", "/backends/unknown/configuration"), ("GET", "/backends/unknown/status"), ("GET", "/nothing"),
        ("GET", "/jobs/..%2f..%2fjournal.jsonl/results"),
    ],
)  # fmt: skip
def test_unknown_ids_are_not_found(wire: Wire, method: str, path: str) -> None:
    """404 in the API's shape, whatever the id looks like."""
    status, answer = wire.api(method, path)

    assert_error(status, answer, 404)


def test_unknown_methods_and_queries_are_refused(wire: Wire) -> None:
    """405 for a method a route does not have, 400 for numbers and dates that are none."""
    assert_error(*wire.api("PUT", "/jobs"), 405)
    for query in ("limit=x", "limit=-1", "offset=1e3", "created_after=yesterday", "limit=99999999999"):
        assert_error(*wire.api("GET", f"/jobs?{query}"), 400)


def test_foreign_pages_get_nothing(wire: Wire) -> None:
    """No token, no answer; a host name that is not ours (DNS rebinding), none either."""
    connection = http.client.HTTPConnection(wire.address)
    connection.request("GET", f"{BASE}/jobs")
    assert connection.getresponse().status == 401
    status, _ = wire.ask("GET", f"{BASE}/jobs", Host="evil.example")
    assert status == 400


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(body=st.dictionaries(st.sampled_from(["program_id", "params", "backend", "tags", "cost"]), JSON))
def test_random_jobs_get_an_error_in_the_right_shape(wire: Wire, body: dict[str, Any]) -> None:
    """Whatever JSON arrives: a 4xx, never a crash."""
    status, answer = wire.api("POST", "/jobs", body)

    assert 400 <= status < 500
    assert_error(status, answer, status)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_circuits_get_an_error_in_the_right_shape(wire: Wire, data: st.DataObject) -> None:
    """A circuit with bytes changed before packing: refused, or still a circuit."""
    content = bytearray(zlib.decompress(base64.b64decode(circuit_text()["__value__"])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    text = base64.b64encode(zlib.compress(bytes(content))).decode()
    pub = [{"__type__": "QuantumCircuit", "__value__": text}, [], 10]
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [pub]}))

    if status != 200:
        assert_error(status, answer, 400)


@pytest.mark.parametrize("version", [13, 14, 16, 17])
def test_circuits_that_claim_to_be_huge_are_refused_unread(version: int) -> None:
    """A header of two billion bits in 300 bytes is refused before the reader makes room for them."""
    from qiskit import QuantumCircuit, qpy

    from runner.declare.foreign import require_sane_qpy
    from runner.errors import ConfigError

    buffer = io.BytesIO()
    qpy.dump(QuantumCircuit(1, 1, name="tiny"), buffer, version=version)
    data = bytearray(buffer.getvalue())
    require_sane_qpy(bytes(data), "it", "k")
    header = data.rindex(b"tiny") - struct.calcsize(formats.CIRCUIT_HEADER_V12_PACK)
    data[header + 9] = 0x7F  # the highest byte of num_clbits
    with pytest.raises(ConfigError, match="claims 1 qubits, 2130706433 bits"):
        require_sane_qpy(bytes(data), "it", "k")
    with pytest.raises(ConfigError, match="cut off"):
        require_sane_qpy(bytes(data[:20]), "it", "k")


def test_clients_that_disappear_leave_nothing_behind(served: tuple[Any, str], wire: Wire) -> None:
    """Half a request, no request, a question that is not waited for: the server forgets them all."""
    runtime, _ = served
    host, _, port = wire.address.partition(":")
    for text in (
        b"",
        b"POST /experimental/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(text)
    _, answer = wire.api("POST", "/jobs", sampling())
    request = f"GET {BASE}/jobs/{answer['id']} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(request.encode())
    wait(wire, answer["id"])
    still_alive(wire)

    assert runtime._listeners == {}


def test_a_thousand_requests_leave_nothing_behind(served: tuple[Any, str], wire: Wire) -> None:
    """864 questions and 96 jobs from eight clients at once: all answered, and no job is kept in memory."""
    runtime, root = served
    seen: list[int] = []

    def client() -> None:
        mine = Wire(root)
        for number in range(120):
            if number % 10:
                seen.append(mine.ask("GET", f"{BASE}/backends")[0])
            else:
                seen.append(mine.ask("POST", f"{BASE}/jobs", sampling(tags=["many"]))[0])

    clients = [threading.Thread(target=client) for _ in range(8)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    while (page := wire.api("GET", "/jobs?tags=many&pending=true")[1])["jobs"]:
        wait(wire, page["jobs"][0]["id"])

    assert seen == [200] * 960
    assert wire.api("GET", "/jobs?tags=many&limit=1")[1]["count"] == 96
    assert runtime.ledger.live == runtime._encoders == runtime._listeners == {}
    assert runtime.service.machine.jobs == {}
    assert threading.active_count() < 80


def test_old_clients_get_the_old_metrics(wire: Wire) -> None:
    """Before API version 2026-03-15 usage was told in seconds of two kinds."""
    _, answer = wire.api("POST", "/jobs", sampling())
    wait(wire, answer["id"])
    path = f"{BASE}/jobs/{answer['id']}/metrics"
    new = json.loads(wire.ask("GET", path, **{"IBM-API-Version": "2026-04-15"})[1])
    old = json.loads(wire.ask("GET", path, **{"IBM-API-Version": "2025-05-01"})[1])

    assert new["usage"] == {"qpu_charge_time_seconds": old["usage"]["quantum_seconds"], "status": "complete"}
    assert old["bss"]["seconds"] == old["usage"]["seconds"] == pytest.approx(2 + 10 * 0.00035)


def test_circuits_that_do_not_fit_are_refused(wire: Wire) -> None:
    """The runtime's own refusals come as 400 with its words."""
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [[circuit_text(), [0.5], 10]]}))

    assert_error(status, answer, 400)
    assert "the circuit has no parameters" in answer["errors"][0]["message"]


def test_a_panic_of_rust_code_is_told_and_outlived(
    served: tuple[Any, str], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It derives from BaseException, as PyO3's does: while a job is read, a 400; while it is simulated, its failure."""
    runtime, _ = served
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def panicking(*_arguments: Any, **_options: Any) -> Any:
        raise panic("index out of bounds")

    with monkeypatch.context() as patch:
        patch.setitem(runtime._programs._run, "sampler", panicking)
        assert_error(*wire.api("POST", "/jobs", sampling()), 400)
    _, known = wire.api("POST", "/jobs", sampling())
    wait(wire, known["id"])
    with monkeypatch.context() as patch:
        patch.setattr("runner.engine.sampler.SamplerPlan.run", panicking)
        _, answer = wire.api("POST", "/jobs", sampling())
        assert wait(wire, answer["id"])["status"] == "Failed"
    still_alive(wire)

"""What is too long, too much or never ends: refused in the API's shape with one line in the log (SECURITY.md)."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import math
import os
import socket
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ForLoopOp, Parameter
from qiskit_ibm_runtime import RuntimeEncoder

from runner.serve.server import OneLine
from tests.serve.serving import thread
from tests.serve.test_wire import BASE, DEVICE, Wire, assert_error, circuit_text, sampling, still_alive, wait
from tests.test_foreign import doubling

HEAD = b"Host: 127.0.0.1\r\nAuthorization: Bearer x\r\n"
POST = f"POST {BASE}/jobs HTTP/1.1\r\n".encode() + HEAD
CONNECTIONS = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that has little patience and room."""
    words = (
        "backend=ideal", "session.clock=virtual", "max_body=1", "request_timeout=0.4", "max_memory=64", "max_pubs=5",
        f"max_connections={CONNECTIONS}", "max_executions=100000",
    )  # fmt: skip
    with thread(tmp_path_factory.mktemp("limits") / "serve", *words) as (_, root):
        yield root


def packed(circuit: QuantumCircuit) -> dict[str, Any]:
    """A circuit as the client writes it."""
    return json.loads(json.dumps(circuit, cls=RuntimeEncoder))


@pytest.fixture
def wire(root: str) -> Wire:
    """A connection of its own for every test."""
    return Wire(root)


def connect(root: str) -> socket.socket:
    """A bare connection to the server."""
    host, _, port = root.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answered(connection: socket.socket) -> tuple[int, Any]:
    """Status and JSON of the answer to a request that was written by hand."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET / HT", 408),
        (b"GET /experimental/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ", 408),
        (POST + b"Content-Length: 100\r\n\r\n{", 408),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":", 408),
        (b"\x16\x03\x01\x00", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
        (POST + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"X-Api Key: SUPERSECRET123456\r\n\r\n", 400),
        (POST + b"X: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (POST + b"X: " + b"x" * 3_000_000, 431),
        (POST + b"X: 1\r\n" * 101 + b"\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_K13_half_and_broken_requests_are_refused(
    root: str, caplog: pytest.LogCaptureFixture, text: bytes, status: int
) -> None:
    """Headers or a body that never end, that are no HTTP or too large: one answer, one line, and the end."""
    with caplog.at_level(logging.WARNING), connect(root) as connection:
        connection.sendall(text)
        seen, body = answered(connection)
    assert_error(seen, body, status)
    assert len(caplog.records) == 1
    assert "\n" not in caplog.text.strip()
    assert "SUPERSECRET" not in caplog.text
    assert status != 413 or "max_body" in body["errors"][0]["message"]


def test_K13_dripping_and_idle_clients_are_let_go(root: str) -> None:
    """A byte now and then does not keep a connection: neither before a request nor in a body nobody reads."""
    with connect(root) as silent, connect(root) as dripping, connect(root) as ignored:
        ignored.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n")
        open_ones = {dripping, ignored}
        end = time.monotonic() + 20
        while open_ones and time.monotonic() < end:
            for connection in list(open_ones):
                try:
                    connection.sendall(b"G")
                except OSError:
                    open_ones.discard(connection)
            time.sleep(0.05)
        assert not open_ones
        assert silent.recv(1) == b""


def ask_for_ever(connection: socket.socket, question: bytes) -> None:
    """Send, and read nothing."""
    while True:
        connection.sendall(question * 100)


def test_K13_clients_that_do_not_read_are_let_go(root: str, wire: Wire) -> None:
    """Thousands of answers nobody takes do not pile up: the server stops reading, then ends the connection."""
    question = f"GET {BASE}/backends/{DEVICE}/configuration HTTP/1.1\r\n".encode() + HEAD + b"\r\n"
    with connect(root) as connection, pytest.raises(OSError, match=r"reset|[Bb]roken"):
        ask_for_ever(connection, question)
    still_alive(wire)


def test_K13_more_clients_than_there_may_be_are_refused(root: str) -> None:
    """Who is idle makes room, then who has sent half a request for longest; whole requests are answered."""
    idle = [Wire(root) for _ in range(CONNECTIONS)]
    for one in idle:
        assert one.api("GET", "/backends")[0] == 200
    still_alive(Wire(root))
    busy = [connect(root) for _ in range(CONNECTIONS + 1)]
    try:
        for number, one in enumerate(busy[1:]):
            one.sendall(b"GET /" if number % 2 else POST + b"Content-Length: 1000\r\n\r\n{")
        assert Wire(root).api("GET", "/backends")[0] == 200
        still_alive(Wire(root))
    finally:
        for one in busy:
            one.close()
    still_alive(Wire(root))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "nested more than 64"),
        (b'{"a":' + b"[" * 100_000, "not valid JSON"),
        (b'{"a":' + b'{"a":' * 500 + b"1" + b"}" * 501, "nested more than 64"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"tags":["\\ud800"]}', "half a character"),
        (b'{"\\udfff":1}', "half a character"),
        (b'{"a":' + b"9" * 5000 + b"}", "not valid JSON: a whole number has too many digits"),
        (b"\xff\xfe{\x00}\x00", "not valid JSON"),
        (sampling(params={"pubs": [[circuit_text(), {}, 10]] * 6}), "max_pubs"),
        (b'{"a":[' + b"0," * 400_000 + b"0]}", "max_memory"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_K14_json_that_no_client_writes_is_refused(
    wire: Wire, caplog: pytest.LogCaptureFixture, body: Any, told: str
) -> None:
    """Depth, numbers, characters and amounts: a 4xx that says which, and one line in the log."""
    with caplog.at_level(logging.WARNING):
        status, answer = wire.api("POST", "/jobs", body)

    assert_error(status, answer, 413 if told.startswith("max_") else 400)
    assert told in answer["errors"][0]["message"]
    assert len(caplog.records) == 1


def parametrized() -> dict[str, Any]:
    """A circuit with one parameter and a measurement, as the client writes it."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("a"), 0)
    circuit.measure_all()
    return dict(json.loads(json.dumps(circuit, cls=RuntimeEncoder)))


@pytest.mark.parametrize(
    ("pub", "told"),
    [
        ([{"b": 1.0}, 10], "cannot be read"),
        ([{"a": "x"}, 10], "finite numbers"),
        (["x", 10], "finite numbers"),
        ([[[1], [1, 2]], 10], "finite numbers"),
        ([[1], 2**64], "max_executions"),
        ([[1], -1], "shot"),
        ([[1], 1.5], "shot"),
        ([[1], {}], "shot"),
        ([[[1]] * 1000, 101], "max_executions"),
    ],
    ids=str,
)
def test_K14_sampler_pubs_of_the_wrong_type_or_size_are_refused(
    wire: Wire, pub: list[Any], told: str
) -> None:
    """Values that are objects, texts or ragged, shots beyond all bounds: 400 with the place or the setting."""
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [[parametrized(), *pub]]}))

    assert_error(status, answer, 400)
    assert told in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("pub", "told"),
    [
        ([["Z"], [1], 1e-300], "max_executions"),
        ([["Z"], [1], -1], "precision"),
        ([["Z"], [1], "x"], "precision"),
        ([[3], [1]], "observables"),
        ([{"Z": "x"}, [1]], "coefficient"),
        ([["Z"] * 600, [[[1]]] * 600], "max_memory"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_K14_estimator_pubs_of_the_wrong_type_or_size_are_refused(
    wire: Wire, pub: list[Any], told: str
) -> None:
    """Observables, coefficients and precisions that are none, and more expectation values than fit into the memory."""
    body = sampling(program_id="estimator", params={"pubs": [[parametrized(), *pub]]})
    status, answer = wire.api("POST", "/jobs", body)

    assert_error(status, answer, 400)
    assert told in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    "options",
    [
        {"default_precision": 1e-200},
        {"default_precision": "x"}, {"default_shots": 2**64}, {"default_shots": []},
        {"execution": {"rep_delay": "x"}}, {"simulator": {"seed_simulator": []}},
        {"seed_estimator": -1}, [], 0,
        {"max_execution_time": -5}, {"max_execution_time": 1.5}, {"default_shots": 10**30},
        {"execution": {"init_qubits": "x"}}, {"execution": []}, {"dynamical_decoupling": {"enable": 1}},
        {"dynamical_decoupling": {"enable": True, "sequence_type": "\n"}}, {"twirling": {"num_randomizations": "x"}},
        {"resilience_level": "x"}, {"environment": {"log_level": "x\ny"}},
    ],
    ids=str,
)  # fmt: skip
def test_K14_absurd_options_are_refused(wire: Wire, options: Any) -> None:
    """A 400, and the clock, the list of jobs and the next job are as before."""
    body = sampling(
        program_id="estimator", params={"pubs": [[parametrized(), ["Z"], [1]]], "options": options}
    )
    assert_error(*wire.api("POST", "/jobs", body), 400)
    assert wire.api("GET", "/jobs")[0] == 200
    still_alive(wire)


@pytest.mark.parametrize(
    "more",
    [
        {"zzz": 1},
        {"log_level": "x\ny"},
        {"log_level": 5},
        {"runtime": {"a": 1}},
        {"hub": 5},
        {"start_session": "x"},
        {"start_session": True},
        {"session_time": 60},
    ],
    ids=str,
)
def test_K14_fields_that_a_job_does_not_have_are_refused(wire: Wire, more: dict[str, Any]) -> None:
    """What no client says, what it says in another type, and a session that a job would start."""
    assert_error(*wire.api("POST", "/jobs", sampling(**more)), 400)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/sessions", {"zzz": 1}),
        ("POST", "/sessions", {"max_time": 60}),
        ("POST", "/sessions", {"instance": "crn:of:another"}),
        ("POST", "/sessions", b'{"max_ttl": 60, "max_ttl": 70}'),
        ("PATCH", "/sessions/@", {"accepting_jobs": False, "max_ttl": 60}),
        ("PATCH", "/sessions/@", {}),
        ("DELETE", "/sessions/@/close", {"cancel": False}),
        ("PUT", "/jobs/#/tags", {"tags": ["a"], "add": True}),
        ("PUT", "/jobs/#/tags", {}),
        ("PUT", "/jobs/#/tags", {"tags": None}),
        ("PUT", "/jobs/#/tags", {"tags": "one"}),
        ("PUT", "/jobs/#/tags", {"tags": {"one": 1}}),
        ("PUT", "/jobs/#/tags", {"tags": True}),
        ("POST", "/jobs/#/cancel", {"reason": "x"}),
        ("DELETE", "/jobs/#", {"sure": True}),
        ("GET", "/backends?fields=x", None),
        ("GET", "/backends?include_mocks=2", None),
        ("GET", "/backends/local_ideal/configuration?at=now", None),
        ("GET", "/backends/local_ideal/configuration?calibration_id=a&calibration_id=b", None),
        ("GET", "/backends/local_ideal/properties?updated_before=soon", None),
        ("GET", "/backends/local_ideal/status?x=1", None),
        ("GET", "/instances/usage?from=1", None),
        ("GET", "/jobs?state=open", None),
        ("GET", "/jobs?limit=1&limit=2", None),
        ("GET", "/jobs?exclude_params=false", None),
        ("GET", "/jobs?skip=1", None),
        ("GET", "/jobs/#?fields=id", None),
        ("GET", "/jobs/#?exclude_params=1", None),
        ("GET", "/jobs/#/results?offset=1", None),
        ("GET", "/jobs/#/metrics?x=", None),
        ("GET", "/sessions?pending=true", None),
        ("GET", "/sessions/@?a=b", None),
        ("GET", "/workloads?offset=1", None),
        ("GET", "/workloads?mode=job&mode=batch", None),
        ("GET", "/workloads?next=a&previous=b", None),
        ("POST", "/jobs?backend=x", None),
    ],
    ids=str,
)  # fmt: skip
def test_K14_what_would_not_be_honoured_is_refused(wire: Wire, method: str, path: str, body: Any) -> None:
    """Unknown or repeated fields and parameters of every route: 400, and nothing has changed."""
    session = wire.api("POST", "/sessions", {"backend": DEVICE})[1]["id"]
    job = wire.api("POST", "/jobs", sampling(tags=["kept"]))[1]["id"]
    wait(wire, job)
    before = wire.api("GET", f"/jobs/{job}"), wire.api("GET", f"/sessions/{session}")
    assert_error(*wire.api(method, path.replace("@", session).replace("#", job), body), 400)
    assert (wire.api("GET", f"/jobs/{job}"), wire.api("GET", f"/sessions/{session}")) == before
    assert wire.api("DELETE", f"/sessions/{session}/close")[0] == 204


@pytest.mark.parametrize(
    "more", [{"log_level": "INFO", "start_session": False, "session_time": None}, {"runtime": "image"}, {"params": {
        "pubs": [[circuit_text(), None, 10]], "version": 2, "support_qiskit": True,
        "options": {"execution": {"fast": True, "init_qubits": True}, "experimental": {"zz": 1}},
    }}], ids=lambda more: str(list(more))
)  # fmt: skip
def test_K14_what_the_client_can_say_is_taken(wire: Wire, more: dict[str, Any]) -> None:
    """The fields of `qiskit_ibm_runtime`'s program_run; its experimental options go where they belong, unnamed."""
    assert wire.api("POST", "/jobs", sampling(**more))[0] == 200


def test_K14_no_parameter_sets_are_refused(wire: Wire) -> None:
    """Shape (0, 1): there is nothing to run."""
    zeros = json.loads(json.dumps(np.zeros((0, 1)), cls=RuntimeEncoder))
    body = sampling(params={"pubs": [[parametrized(), zeros, 10]]})
    assert_error(*wire.api("POST", "/jobs", body), 400)


def test_K14_options_of_another_type_are_refused(wire: Wire) -> None:
    """A circuit in the place of the options, which are read like everything that has a type."""
    params = {"pubs": [[circuit_text(), [], 10]], "options": circuit_text()}
    assert_error(*wire.api("POST", "/jobs", sampling(params=params)), 400)


@pytest.mark.parametrize(
    "body", [{"max_ttl": 10**400}, {"interactive_ttl": 10**30}, {"interactive_ttl": -1}], ids=str
)
def test_K14_absurd_session_times_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    """Longer than any clock: 400."""
    assert_error(*wire.api("POST", "/sessions", {"mode": "dedicated", "backend": DEVICE, **body}), 400)


def test_K14_small_requests_that_unpack_to_much_are_refused(wire: Wire) -> None:
    """Each array is within the limit, all together are not."""
    bomb = json.loads(json.dumps(np.zeros(400_000), cls=RuntimeEncoder))
    pub = [circuit_text(), [bomb, bomb], 10]
    assert_error(*wire.api("POST", "/jobs", sampling(params={"pubs": [pub]})), 413)


def test_K15_an_error_of_our_own_is_one_line(root: str, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is a 500 in the API's shape and one line with the place, not a stack for every request."""
    from runner.serve.api import Guard

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RecursionError("as deep as it gets")

    import asyncio

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/\n",
        "headers": [(b"host", b"localhost")],
        "server": ("", 1),
    }
    asyncio.run(Guard(broken)(scope, receive, send))
    assert sent[0]["status"] == 500
    assert_error(500, json.loads(sent[1]["body"]), 500)
    assert len(caplog.records) == 1
    assert os.linesep not in caplog.records[0].getMessage()


def test_K14_definitions_that_double_are_counted_before_they_are_written_out(wire: Wire) -> None:
    """Twenty kilobytes that are 2^62 - 2 gates, see `tests/test_foreign.py`: the same words as in process."""
    text = base64.b64encode(zlib.compress(doubling())).decode()
    pub = [{"__type__": "QuantumCircuit", "__value__": text}, [], 10]
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [pub]}))
    assert_error(status, answer, 400)
    assert f"{2**62 - 2} instructions when written out" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{}x", "127.0.0.1:1", "127.0.0.1:", "localhost.:{}", "x127.0.0.1:{}"]
)
def test_K13_only_its_own_address_is_its_host(root: str, wire: Wire, host: str) -> None:
    """Name and port are compared whole: what is a little like the address is another's."""
    status, _ = wire.ask("GET", f"{BASE}/jobs", Host=host.format(root.rpartition(":")[2]))

    assert status == 400


@pytest.mark.parametrize(
    ("angle", "program"), [(math.nan, "sampler"), (math.inf, "sampler"), (math.nan, "estimator")]
)
def test_K14_angles_that_are_no_numbers_are_refused(wire: Wire, angle: float, program: str) -> None:
    """A rotation by NaN once gave wrong counts, and once ended the server (K18)."""
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.rz(angle, 0)
    circuit.sx(0)
    if program == "sampler":
        circuit.measure(0, 0)
    pub = [packed(circuit), [], 10] if program == "sampler" else [packed(circuit), {"Z": 1.0}, [], 0.01]
    status, answer = wire.api("POST", "/jobs", sampling(program_id=program, params={"pubs": [pub]}))

    assert_error(status, answer, 400)
    assert "not finite" in answer["errors"][0]["message"]
    still_alive(wire)


def test_K14_angles_that_become_infinite_are_refused(wire: Wire) -> None:
    """1 · 10³⁰⁸ · 10¹⁰ is beyond the largest double, about 1.8 · 10³⁰⁸."""
    circuit = QuantumCircuit(1, 1)
    circuit.rz(Parameter("p") * 1e308 * 1e10, 0)
    circuit.measure(0, 0)
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [[packed(circuit), [[1.0]], 10]]}))

    assert_error(status, answer, 400)
    assert "not finite" in answer["errors"][0]["message"]


def test_K18_loops_are_counted_before_they_are_written_out(wire: Wire) -> None:
    """10⁹ rounds in 271 characters, in the circuit and in a nest of loops: refused, and nothing is filled."""
    for indices, deep in ((range(10**9), 1), (range(1000), 5)):
        body = QuantumCircuit(1, 1)
        body.x(0)
        for _ in range(deep):
            outer = QuantumCircuit(1, 1)
            outer.append(ForLoopOp(indices, None, body), [0], [0])
            body = outer
        body.measure(0, 0)
        status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [[packed(body), [], 1]]}))
        assert_error(status, answer, 400)
        assert "when written out" in answer["errors"][0]["message"]


@pytest.mark.parametrize("name", ["__class__", "shape", "keys"])
def test_K15_registers_that_results_cannot_have_are_refused(wire: Wire, name: str) -> None:
    """A register of a DataBin's own attribute: a 400, no failed job with a stack in the log."""
    circuit = QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(1, name))
    circuit.measure(0, 0)
    status, answer = wire.api("POST", "/jobs", sampling(params={"pubs": [[packed(circuit), [], 1]]}))

    assert_error(status, answer, 400)
    assert "rename it" in answer["errors"][0]["message"]


def test_K15_the_log_has_one_line_for_everything() -> None:
    """Line ends of all kinds, escapes and stacks: one printable line, an error with its place."""
    try:
        raise ValueError("a\nb\u2028c\x1b[2J")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "job\rfailed", (), sys.exc_info())
    line = OneLine("%(message)s").format(record)

    assert line.isprintable()
    assert "ValueError" in line
    assert "test_limits.py:" in line


def test_a_client_that_says_it_will_send_no_more_gets_its_answer(root: str) -> None:
    """HTTP lets a client close its sending half behind a request."""
    with connect(root) as connection:
        connection.sendall(f"GET {BASE}/backends HTTP/1.1\r\n".encode() + HEAD + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        status, body = answered(connection)
        assert (status, body["devices"][0]["name"]) == (200, DEVICE)
        assert connection.recv(1) == b""

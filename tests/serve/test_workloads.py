"""The list of workloads and what the page for people is made of: right numbers, and nothing for strangers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult
from qiskit_ibm_runtime import RuntimeEncoder

from runner.record.journal import Journal
from runner.runtime.machine import Device, Job
from runner.serve.ledger import COMPLETED, Entry, EntryEnded, active_until
from runner.serve.runtime import Runtime
from runner.serve.summary import answered, asked
from runner.serve.wire import Decoder
from runner.serve.workloads import Workloads
from tests.serve.serving import thread
from tests.serve.test_wire import Wire, assert_error, sampling, wait

PRICE = 0.8
"""USD a second on the premium plan."""
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A closed session with two jobs, an open batch with one, and three jobs by themselves, one of which failed."""
    words = ("backend=ideal", "session.clock=virtual")
    with thread(tmp_path_factory.mktemp("workloads") / "serve", *words) as (_, root):
        wire, ids = Wire(root), {}

        def job(name: str, **more: Any) -> None:
            ids[name] = wire.api("POST", "/jobs", sampling(**more))[1]["id"]
            wait(wire, ids[name])

        for name, mode in (("session", "dedicated"), ("batch", "batch")):
            ids[name] = wire.api("POST", "/sessions", {"mode": mode, "backend": "local_ideal"})[1]["id"]
        job("first", session_id=ids["session"], tags=[EVIL])
        job("second", session_id=ids["session"])
        wire.api("PATCH", f"/sessions/{ids['session']}", {"accepting_jobs": False})
        job("third", session_id=ids["batch"], tags=["other"])
        job("alone", tags=["mine"])
        job("private", private=True)
        job("long", cost=1)
        yield root, ids


@pytest.fixture
def wire(served: tuple[str, dict[str, str]]) -> Wire:
    """Raw requests."""
    return Wire(served[0])


@pytest.fixture
def ids(served: tuple[str, dict[str, str]]) -> dict[str, str]:
    """What everything is called."""
    return served[1]


def told(wire: Wire, path: str) -> dict[str, Any]:
    """What the page is told."""
    status, content = wire.ask("GET", f"/page/{path}")
    assert status == 200, content
    return json.loads(content)


# -- who may ask --------------------------------------------------------------------------------------------


def test_K20_the_page_holds_nothing_and_is_whole(wire: Wire) -> None:
    """It may be fetched by anybody, needs no other address, runs no script but its own, and stands in no frame."""
    status, page = wire.ask("GET", "/", Authorization="")
    wire._connection.request("GET", "/", headers={})
    answer = wire._connection.getresponse()
    policy, text = answer.headers["Content-Security-Policy"], answer.read().decode()
    files = re.findall(r'(?:src|href)="(/[^"]+)"', text)
    content = {name: wire.ask("GET", name, Authorization="")[1].decode() for name in files}

    assert status == 200
    assert page.decode() == text
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert sorted(name.rpartition(".")[2] for name in files) == ["css", "js"]
    for name, one in {**content, "page": text}.items():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", one), (
            name
        )  # the name of a language, not an address
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", one), name


@pytest.mark.parametrize("path", ["workloads", "sessions/{session}", "jobs/{alone}", "jobs/{alone}/content"])
def test_K20_strangers_are_told_nothing(wire: Wire, ids: dict[str, str], path: str) -> None:
    """Without a token, which no page from elsewhere can send; under another name for this computer; from elsewhere."""
    path = "/page/" + path.format(**ids)
    without = wire.ask("GET", path, Authorization="")
    renamed = wire.ask("GET", path, Host="attacker.example:8777")
    asking_leave = {
        "Origin": "http://attacker.example", "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }  # fmt: skip
    wire._connection.request("OPTIONS", path, headers=asking_leave)
    leave = wire._connection.getresponse()
    leave.read()

    assert_error(without[0], json.loads(without[1]), 401)
    assert_error(renamed[0], json.loads(renamed[1]), 400)
    assert leave.status >= 400
    assert not [name for name in leave.headers if name.lower().startswith("access-control")]
    assert wire.ask("GET", "/", Host="attacker.example:8777")[0] == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("assets/../runtime.py", 404), ("assets/%2e%2e%2fruntime.py", 404), ("assets/x", 404), ("jobs/x", 404),
        ("sessions/x", 404), ("workloads?mode=all", 400), ("workloads?status=<b>", 400), ("workloads?limit=-1", 400),
        ("workloads?offset=1e3", 400), ("jobs/x/content", 404),
    ],
)  # fmt: skip
def test_K15_wrong_questions_are_refused_in_words(wire: Wire, path: str, status: int) -> None:
    """In the API's shape."""
    seen, content = wire.ask("GET", f"/page/{path}")

    assert_error(seen, json.loads(content), status)


# -- numbers ------------------------------------------------------------------------------------------------


def test_workloads_are_listed_with_what_they_cost(wire: Wire, ids: dict[str, str]) -> None:
    """Sessions are charged while active, batches and jobs by QPU time; jobs of sessions are not in the list."""
    told_of = told(wire, "workloads")
    rows = {one["id"]: one for one in told_of["workloads"]}
    details = wire.api("GET", f"/sessions/{ids['session']}")[1]
    alone = wire.api("GET", f"/jobs/{ids['alone']}")[1]

    assert [one["mode"] for one in told_of["workloads"]] == ["job", "job", "job", "batch", "session"]
    assert set(rows) == {ids[name] for name in ("session", "batch", "alone", "private", "long")}
    session, batch = rows[ids["session"]], rows[ids["batch"]]
    assert (session["state"], session["status"], batch["status"]) == ("closed", "completed", "pending")
    assert session["jobs"] == {"completed": 2}
    assert session["tags"] == [EVIL]
    assert session["usage"] == details["elapsed_time"]
    assert session["cost"] == pytest.approx(PRICE * details["elapsed_time"])
    assert rows[ids["alone"]]["cost"] == pytest.approx(PRICE * alone["usage"]["seconds"])
    assert (rows[ids["long"]]["status"], rows[ids["long"]]["usage"]) == ("failed", 1.0)
    assert told_of["counts"] == {"completed": 3, "failed": 1, "pending": 1}
    assert told_of["cost"] == pytest.approx(PRICE * told_of["used"])
    assert told_of["used"] == pytest.approx(sum(one["usage"] for one in rows.values()))


def test_workloads_are_found(wire: Wire, ids: dict[str, str]) -> None:
    """By mode, state and words in ids, tags and devices; a job of a session finds its session."""

    def found(query: str) -> list[str]:
        return [one["id"] for one in told(wire, f"workloads?{query}")["workloads"]]

    assert found("mode=batch") == [ids["batch"]]
    assert found("status=failed") == [ids["long"]]
    assert found("search=MINE") == [ids["alone"]]
    assert found("search=%3Cscript") == [ids["session"]]
    assert found(f"search={ids['second']}") == [ids["session"]]
    assert found("limit=2&offset=1") == [ids["private"], ids["alone"]]


def test_a_session_has_its_timeline(wire: Wire, ids: dict[str, str]) -> None:
    """Waiting until its first job starts, then active; two jobs one after the other; prices only where charged."""
    one = told(wire, f"sessions/{ids['session']}")
    batch = told(wire, f"sessions/{ids['batch']}")
    drawn = one["timeline"]
    first, second = sorted(drawn["jobs"], key=lambda job: job["from"])

    assert [kind for kind, _ in drawn["segments"]] == ["waiting", "active"]
    assert sum(seconds for _, seconds in drawn["segments"]) == pytest.approx(drawn["seconds"])
    assert (
        0
        <= first["waits"]
        <= first["from"]
        < first["to"]
        <= second["from"]
        < second["to"]
        <= drawn["seconds"]
    )
    assert [job["id"] for job in one["jobs"]] == [ids["second"], ids["first"]]
    assert [job["cost"] for job in one["jobs"]] == [None, None]
    assert batch["jobs"][0]["cost"] == pytest.approx(batch["workload"]["cost"])
    assert one["until_end"] is None
    assert (one["seconds_left"], one["max_time"]) == (None, 28800)


def test_a_session_says_what_it_may_still_cost(tmp_path: Path) -> None:
    """Active to its maximum time of 1000 s at 0.80 USD it costs 800 USD to the cent, however far it is."""
    with thread(tmp_path / "serve", "backend=ideal", "session.clock=virtual") as (_, root):
        wire = Wire(root)
        body = {"mode": "dedicated", "backend": "local_ideal", "max_ttl": 1000}
        session = wire.api("POST", "/sessions", body)[1]["id"]
        before = told(wire, f"sessions/{session}")
        wait(wire, wire.api("POST", "/jobs", sampling(session_id=session))[1]["id"])
        after = told(wire, f"sessions/{session}")

    assert (before["until_end"], before["seconds_left"]) == (None, None)
    assert after["until_end"] == 800
    assert after["seconds_left"] == pytest.approx(1000 - after["workload"]["usage"])


def test_idle_time_is_not_in_what_a_session_costs() -> None:
    """Active for 20 s, inactive for 30, active again until 100: 70 s."""
    steps = [("open", 0), ("active", 0), ("inactive", 20), ("active", 50)]
    stamps = [{"status": state, "timestamp": f"2026-03-01T00:00:{second:02}Z"} for state, second in steps]

    assert active_until({"usage_time": 20.0, "timestamps": stamps}, "2026-03-01T00:01:40Z") == 70
    assert active_until({"usage_time": None, "timestamps": stamps[:1]}, "2026-03-01T00:01:40Z") is None


def test_a_job_is_drawn_phase_by_phase() -> None:
    """Submitted at 10 s, taken at 12, prepared at 15, on the QPU from 59.25 to 74: waited 46.25 s, charged 14.75."""
    live = Job(
        "j", Device("d"), None, 14.75, preparation=3.0, status="RUNNING", started=12.0, qpu_started=59.25
    )
    when = datetime(2026, 3, 1)

    def date(second: float | None) -> str | None:
        return None if second is None else f"{when + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S.%f}Z"

    service = SimpleNamespace(date=date, clock=SimpleNamespace(epoch=when.replace(tzinfo=UTC)))
    runtime: Any = SimpleNamespace(service=service, ledger=SimpleNamespace(live={"j": live}))
    runtime.phases = partial(Runtime.phases, runtime)
    entry = Entry(
        id="j", program="sampler", backend="x", session=None, tags=[], created=str(date(10)), estimate=14.75
    )
    workloads = Workloads(runtime)

    def at(second: float) -> tuple[list[tuple[str, float]], float | None]:
        now = when.replace(tzinfo=UTC) + timedelta(seconds=second)
        return workloads._segments_of_job(entry, now), workloads._so_far(entry, now)

    going = [at(second) for second in (11, 14, 50, 60.25)]
    runtime.ledger.live.clear()
    entry.running, entry.prepared, entry.reached = runtime.phases(live, 74.0)
    entry.status, entry.finished, entry.usage = COMPLETED, date(74), 14.75

    assert going == [
        ([("waiting", 1.0)], None),
        ([("waiting", 2.0), ("preparing", 2.0)], None),
        ([("waiting", 2.0), ("preparing", 3.0), ("ready", 35.0)], None),
        ([("waiting", 2.0), ("preparing", 3.0), ("ready", 44.25), ("running", 1.0)], 1.0),
    ]
    assert at(99) == (
        [("waiting", 2.0), ("preparing", 3.0), ("ready", 44.25), ("running", 14.75)],
        None,
    )
    entry.prepared = entry.reached = None  # as an earlier release wrote it
    assert at(99) == ([("waiting", 2.0), ("unknown", 62.0)], None)


def test_a_job_says_what_became_of_it(wire: Wire, ids: dict[str, str]) -> None:
    """Why it failed, what it was asked and what it answered; nothing of a private one, however often one looks."""
    failed = told(wire, f"jobs/{ids['long']}")
    content = told(wire, f"jobs/{ids['alone']}/content")
    for _ in range(2):
        assert told(wire, f"jobs/{ids['private']}/content") == {"circuits": [], "result": []}

    assert (failed["code"], failed["own_limit"]) == (1305, 1)
    assert "maximum execution time of 1 s" in failed["job"]["reason"]
    assert content["circuits"][0]["qubits"] == 1
    (register,) = content["result"][0]["registers"].values()
    assert register["shots"] == sum(number for _, number in register["counts"])
    assert wire.ask("GET", f"/experimental/jobs/{ids['private']}/results")[0] == 200


# -- GET /workloads -----------------------------------------------------------------------------------------


def test_the_services_own_list(wire: Wire, ids: dict[str, str]) -> None:
    """Its fields and order as IBM publishes them (OpenAPI 0.45.3): oldest first, ten at a time, with cursors."""
    whole = wire.api("GET", "/workloads")[1]
    session = whole["workloads"][0]

    assert (whole["total_count"], whole["limit"]) == (5, 10)
    assert "next" not in whole
    assert [one["id"] for one in whole["workloads"]][::4] == [ids["session"], ids["long"]]
    for one in whole["workloads"]:
        assert {"id", "created", "backend", "instance", "user_id", "mode", "status"} <= set(one)
    assert (session["mode"], session["accepting_jobs"], session["status"]) == ("session", False, "completed")
    assert session["usage"]["qpu_charge_time_seconds"] == session["usage_seconds"] > 4
    assert whole["workloads"][-1]["status_reason"].startswith("it ran longer")
    assert whole["workloads"][-1]["accepting_jobs"] is None


def test_the_services_list_is_walked_by_cursors(wire: Wire, ids: dict[str, str]) -> None:
    """Forwards to the end and back again."""
    seen, url = [], "/workloads?sort=-createdAt&limit=2"
    pages = []
    while url:
        page = wire.api("GET", url)[1]
        pages.append(page)
        seen += [one["id"] for one in page["workloads"]]
        url = page.get("next", {}).get("href", "").partition("/experimental")[2]
    back = wire.api("GET", pages[-1]["previous"]["href"].partition("/experimental")[2])[1]

    assert seen == [ids[name] for name in ("long", "private", "alone", "batch", "session")]
    assert back["workloads"] == pages[1]["workloads"]
    one = wire.api("GET", "/workloads?status=failed&status=in_progress&mode=job")[1]["workloads"]
    assert [found["id"] for found in one] == [ids["long"]]
    assert wire.api("GET", "/workloads?tags=mine&user=me")[1]["total_count"] == 1
    assert wire.api("GET", "/workloads?backend=ibm_torino")[1]["workloads"] == []
    for query in ("next=nobody", "status=gone", "user=you", "sort=usage", "created_after=soon"):
        assert_error(*wire.api("GET", f"/workloads?{query}"), 400)


# -- many ---------------------------------------------------------------------------------------------------


def test_ten_thousand_jobs_are_a_page_at_a_time(tmp_path: Path) -> None:
    """The answer stays small; the last page is there; a session of many jobs is drawn by how busy it was."""
    ledger = tmp_path / "serve"
    ledger.mkdir()
    with Journal.create(ledger / "journal.jsonl") as journal:
        for number in range(10_000):
            when = datetime(2026, 3, 1) + timedelta(seconds=number)
            stamp = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            entry = Entry(
                id=f"job-{number}", program="sampler", backend="local_ideal", session=None, tags=[], created=stamp,
                estimate=2.0, status=COMPLETED, running=stamp, finished=stamp, usage=2.0,
            )  # fmt: skip
            journal.write(EntryEnded(job=asdict(entry)))
    with thread(ledger, "backend=ideal", "session.clock=virtual") as (_, root):
        wire = Wire(root)
        status, content = wire.ask("GET", "/page/workloads")
        last = told(wire, "workloads?offset=9990")

    assert status == 200
    assert len(content) < 40_000
    assert json.loads(content)["found"] == 10_000
    assert json.loads(content)["cost"] == pytest.approx(10_000 * 2 * PRICE)
    assert [one["id"] for one in last["workloads"]] == [f"job-{number}" for number in range(9, -1, -1)]


# -- summaries ----------------------------------------------------------------------------------------------


def packed(value: Any) -> Any:
    """As the client writes it."""
    return json.loads(json.dumps(value, cls=RuntimeEncoder))


def test_what_a_job_was_asked_in_numbers() -> None:
    """Counted by hand: two of three qubits, h, cx and a barrier that is no gate; two observables, three sets."""
    circuit = QuantumCircuit(3, name=EVIL)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.barrier()
    pub = [circuit, [{"ZZI": 1.0}, "XXI"], np.zeros((3, 0)), 0.01]
    facts = asked({"pubs": packed([pub])}, Decoder(10_000, 1 << 30).reading())

    assert facts == [
        {
            "name": EVIL, "qubits": 2, "depth": 2, "two_qubit_gates": 1, "parameters": 0,
            "gates": {"h": 1, "cx": 1, "barrier": 1}, "observables": 2, "parameter_sets": 3, "precision": 0.01,
        }
    ]  # fmt: skip


def test_what_a_job_answered_in_numbers() -> None:
    """Values with their errors, the most frequent bitstrings first."""
    values = PubResult(DataBin(evs=np.array([0.5, -1.0]), stds=np.array([0.1, np.nan]), shape=(2,)))
    bits = PubResult(DataBin(meas=BitArray.from_samples(["01", "11", "01"])))
    content = json.dumps(PrimitiveResult([values, bits]), cls=RuntimeEncoder).encode()

    assert answered(content) == [
        {"values": [[0.5, 0.1], [-1.0, None]], "of": 2},
        {"registers": {"meas": {"counts": [("01", 2), ("11", 1)], "of": 2, "shots": 3}}},
    ]

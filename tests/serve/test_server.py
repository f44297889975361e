"""The process: what it prints, how it ends, what it remembers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qiskit_ibm_runtime")

from runner.__main__ import main
from runner.errors import ConfigError, JournalError
from runner.serve.config import read
from runner.serve.errors import ApiError
from runner.serve.query import number
from tests.serve.serving import ROOT, process, thread
from tests.serve.test_wire import Wire, assert_error, wait
from tests.serve.test_wire import sampling as ideal_sampling

FAST = ("backend=ideal", "session.clock=virtual")
NAMES = ["QISKIT_IBM_TOKEN", "QISKIT_IBM_URL", "IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL"]


def done(root: str, **more: Any) -> dict[str, Any]:
    """A job that is over, as the API tells of it."""
    wire = Wire(root)
    status, answer = wire.api("POST", "/jobs", ideal_sampling(**more))
    assert status == 200
    return wait(wire, answer["id"])


def test_K6_its_folder_is_not_named_after_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the directory of a run is not: one line that names the variable, and not what it holds."""
    monkeypatch.setenv("MY_API_TOKEN", "CANARYtokenAAAA1111")
    with pytest.raises(ConfigError, match=r"dir: must not hold .* MY_API_TOKEN") as told:
        read(["dir=outputs/CANARYtokenAAAA1111"])

    assert "CANARY" not in str(told.value)


def test_a_killed_servers_finished_jobs_are_still_there(tmp_path: Path) -> None:
    """After a kill -9, finished jobs and closed sessions are there again, and unfinished ones say what happened."""
    slow = ("backend=ideal", "session.clock_scale=1", "session.lanes=1")
    with process(tmp_path / "serve", *FAST) as (first, exports):
        root = exports["IAM_URL"]
        wire = Wire(root)
        session = wire.api("POST", "/sessions", {"mode": "dedicated", "backend": "local_ideal"})[1]["id"]
        job = done(root, session_id=session, tags=["kept"])
        gone = done(root)
        wire.api("DELETE", f"/jobs/{gone['id']}")
        result = wire.ask("GET", f"/experimental/jobs/{job['id']}/results")[1]
        metrics = wire.api("GET", f"/jobs/{job['id']}/metrics")[1]
        usage = wire.api("GET", "/instances/usage")[1]
        first.send_signal(signal.SIGKILL)
        first.wait()
    with thread(tmp_path / "serve", *slow) as (_, root):
        wire = Wire(root)
        running = wire.api("POST", "/jobs", ideal_sampling())[1]["id"]

        assert wire.api("GET", f"/jobs/{job['id']}?exclude_params=true")[1] == job
        assert wire.api("GET", f"/jobs/{job['id']}")[1]["params"]["version"] == 2
        assert wire.ask("GET", f"/experimental/jobs/{job['id']}/results")[1] == result
        assert wire.api("GET", f"/jobs/{job['id']}/metrics")[1] == metrics
        assert [entry["id"] for entry in wire.api("GET", "/jobs?tags=kept")[1]["jobs"]] == [job["id"]]
        assert_error(*wire.api("GET", f"/jobs/{gone['id']}"), 404)
        assert wire.api("GET", "/instances/usage")[1] == usage
        closed = wire.api("GET", f"/sessions/{session}")[1]
        assert (closed["state"], closed["state_reason"]) == ("closed", "the server was stopped")
        status, refusal = wire.api("POST", "/jobs", ideal_sampling(session_id=session))
        assert (status, refusal["errors"][0]["code"]) == (400, 1217)
    with thread(tmp_path / "serve", *FAST) as (_, root):
        lost = Wire(root).api("GET", f"/jobs/{running}")[1]
        assert lost["status"] == "Failed"
        assert "the server was stopped before the job was over" in lost["state"]["reason"]
        assert lost["created"] >= job["ended"]  # the clock never goes back
        assert done(root)["id"] not in (job["id"], running)


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, signum: int) -> None:
    """Exit code 0, one line on standard error, the port free again, no address left."""
    with process(tmp_path / "serve", *FAST) as (server, exports):
        assert list(exports) == NAMES
        assert json.loads((tmp_path / "serve" / "server.json").read_text())["pid"] == server.pid
        port = int(exports["IAM_URL"].rpartition(":")[2])
        done(exports["IAM_URL"])
        server.send_signal(signum)

        assert server.wait(30) == 0
    assert not (tmp_path / "serve" / "server.json").exists()
    (line,) = (tmp_path / "serve.stderr").read_text().splitlines()
    assert line == "serving ideal on the premium plan, virtual clock; stop with Ctrl-C"
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_env_prints_exports_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`eval "$(python -m runner serve --env)"` needs no server: the configured port; of a running one, its own."""
    assert main(["serve", "--env", "port=9999", f"dir={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[1].partition("=")[0] for line in printed.splitlines()] == [
        *NAMES,
        "USAGE_DATA_OPT_OUT",
    ]
    shell = subprocess.run(
        ["sh", "-c", f"{printed}\necho $QISKIT_IBM_URL"], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "http://127.0.0.1:9999/experimental\n"

    (tmp_path / "server.json").write_text(json.dumps({"port": 4321, "pid": os.getpid()}))
    assert main(["serve", "--env", "port=9999", f"dir={tmp_path}"]) == 0
    assert "export IAM_URL=http://127.0.0.1:4321\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prot=1"], "error: prot: a server has no such setting; did you mean 'port'?"),
        (["port=x"], "error: port: must be a whole number, got 'x'"),
        (["port=70000"], "error: port: must be at most 65535, got 70000"),
        (["optimizer=spsa"], "error: optimizer: a server has no such setting"),
        (["backend=fake_tornio"], "error: backend"),
        (["dir="], "error: dir: needs a folder"),
    ],
)
def test_bad_settings_are_told_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    """Exit code 2, nothing created."""
    monkeypatch.chdir(tmp_path)

    assert main(["serve", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_env_belongs_to_serve_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Other verbs do not ignore the flag, they refuse it."""
    assert main(["run", "--env"]) == 2
    assert "--env: `run` has no such flag; `serve` has it" in capsys.readouterr().err


def test_a_port_and_a_folder_have_one_server(tmp_path: Path) -> None:
    """A second server is refused: on the same port, and in the same folder."""
    from runner.serve.runtime import Runtime
    from runner.serve.server import listen

    with thread(tmp_path / "serve", *FAST) as (_, root):
        port = int(root.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"port: cannot listen on 127.0.0.1:{port}"):
            listen(port)
        with pytest.raises(JournalError):
            Runtime(read([*FAST, f"dir={tmp_path / 'serve'}"]))


def test_bad_settings_do_not_wait_for_qiskit() -> None:
    """Configuration errors and --env come before the first heavy import."""
    program = (
        "import sys; from runner.__main__ import main; print(main(['serve', 'port=x']), main(['serve', '--env'])); "
        "print(','.join(m for m in ('qiskit', 'qiskit_aer', 'starlette', 'uvicorn', 'mlflow') if m in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.splitlines()[-2:] == ["2 0", ""]


def test_a_number_of_a_query_that_is_too_long_is_told_as_that() -> None:
    """It is a whole number; a page of a job list has a million times fewer."""
    assert number("999999999", "limit", 10) == 999_999_999
    with pytest.raises(ApiError, match=r"'limit' must have at most 9 digits, not 12\."):
        number("999999999999", "limit", 10)
    with pytest.raises(ApiError, match=r"'limit' must be a whole number, not '1\.5'\."):
        number("1.5", "limit", 10)

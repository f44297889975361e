"""`ui [DIR] [port=5000]`: MLflow's pages on the store that runs are recorded in."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runner.cli.list import existing
from runner.cli.verb import CONFIG_DIR, Argument, CommandLine, Verb
from runner.declare.checks import require_choice
from runner.declare.composer import declare
from runner.errors import ConfigError, Interrupted, RunnerError, StorageError
from runner.tracking import attended, views
from runner.tracking.report import UploadState

if TYPE_CHECKING:
    from runner.tracking import TrackingConfig

VERB = Verb(
    name="ui",
    does="MLflow's pages on the store that runs are recorded in",
    arguments=(
        Argument(
            name="[DIR]", does="a run or sweep directory: its page, in the store that it was recorded in"
        ),
        Argument(name="[port=5000] [host=127.0.0.1] [allow_remote=false]", does="where the pages are"),
        Argument(name="[key=value …]", does="without DIR: the store as for a run, e.g. tracking.uri=…"),
    ),
    flags=(CONFIG_DIR,),
    path="run directory",
    paths=(0, 1),
    settings=("host", "port", "allow_remote", "tracking", "experiment", "plugins"),
    examples=("ui port=5001", "ui outputs/runs/…"),
    beside=True,
)

PORT = 5000
"""Where MLflow usually is; the next free port where it is taken."""

SHOWN = 8
"""Experiments whose run lists are printed."""

START = 90.0
"""Seconds the server may take to answer."""

SAID = 30.0
"""Seconds after which an answer is taken for that of our server although it has not said that it has the port."""

MOST = 1 << 20
"""Bytes of what the server prints that are looked at."""

_LISTENS = re.compile(rb"(?:running on|Listening at:) http")
_TAKEN = "address already in use"


@dataclass
class Address:
    """Where the pages shall be."""

    host: str = "127.0.0.1"
    port: int | None = None
    allow_remote: bool = False

    def check(self) -> None:
        """Refuse an address that others can reach, unless that is meant: MLflow asks nobody for a password.

        Raises:
            ConfigError: see above.
        """
        local = self.host == "localhost"
        with contextlib.suppress(ValueError):
            local = ipaddress.ip_address(self.host).is_loopback
        if not local and not self.allow_remote:
            raise ConfigError(
                f"{self.host} lets everybody who can reach this machine read and delete runs; "
                "add allow_remote=true if that is meant",
                key="host",
            )

    def choose_port(self) -> int:
        """The declared port, or the first free one from 5000 on.

        Raises:
            ConfigError: the declared port is taken.
        """
        for port in [self.port] if self.port else range(PORT, PORT + 100):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind((self.host, port))
                    return port
        raise ConfigError(f"{self.port or PORT} is taken; choose another", key="port")


def main(line: CommandLine) -> int:
    """Start the server, say the address, and stay until Ctrl-C (or a termination signal)."""
    address, words = _address(line.settings)
    address.check()
    config = _store(line.paths, words, line.config_dirs)
    _make_whole(config)
    while True:
        port = address.choose_port()
        with (
            _signals_stop(),
            tempfile.TemporaryFile() as output,
            _server(config, address.host, port, output) as server,
        ):
            if _answers(address.host, port, server, output):
                for page, what in _pages(address.host, port, line.paths):
                    print(f"http://{address.host}:{port}/#{page}   {what}", flush=True)
                return server.wait()
            told = _told(output).decode(errors="replace")
        if address.port or _TAKEN not in told:  # else another program was quicker
            raise _not_started(config, told)


def _pages(host: str, port: int, paths: list[str]) -> list[tuple[str, str]]:
    """Where to look first: the run or sweep that was named, else the run list of each experiment, newest first.

    MLflow by itself opens with its pages for language models, and lists runs without an energy.
    """
    where = "127.0.0.1" if host == "0.0.0.0" else host
    stop = "(Ctrl-C stops it)"
    if paths:
        named = UploadState.load(Path(paths[0]))
        if named.run_id and named.experiment_id:
            return [(views.run_page(named.experiment_id, named.run_id), stop)]
    everything = ("/experiments?workflowType=machine_learning", stop)
    asked = {"max_results": SHOWN + 1, "order_by": ["last_update_time DESC"]}
    found = _ask(where, port, "experiments/search", asked).get("experiments", [])
    ours = [item for item in found if any(tag["key"] == views.RUNS.tag_key for tag in item.get("tags", []))]
    if not ours:
        return [everything]
    lists = [(views.runs_page(item["experiment_id"]), item["name"]) for item in ours[:SHOWN]]
    lists[0] = lists[0][0], f"{lists[0][1]}   {stop}"
    return lists if len(found) <= SHOWN else [*lists, (everything[0], "all experiments")]


def _ask(host: str, port: int, what: str, question: dict[str, Any]) -> dict[str, Any]:
    """MLflow's answer to a request of its REST interface; empty where it has none."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/api/2.0/mlflow/{what}", json.dumps(question), headers)
        answer = json.loads(connection.getresponse().read())
        return answer if isinstance(answer, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


@contextlib.contextmanager
def _signals_stop() -> Iterator[None]:
    """Ctrl-C and a termination signal end the server; afterwards they are what they were."""

    def stop(signum: int, _frame: object) -> None:
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _address(arguments: list[str]) -> tuple[Address, list[str]]:
    address, rest = Address(), []
    for word in arguments:
        key, _, value = word.partition("=")
        if key == "host":
            address.host = value
        elif key == "port":
            if not (value.isdigit() and 0 < int(value) < 65536):
                raise ConfigError(f"must be 1 to 65535, got {value!r}", key="port")
            address.port = int(value)
        elif key == "allow_remote":
            require_choice("allow_remote", value.lower(), ("true", "false"))
            address.allow_remote = value.lower() == "true"
        else:
            rest.append(word)
    return address, rest


def _store(paths: list[str], words: list[str], config_dirs: list[str]) -> TrackingConfig:
    """The store of the run or sweep that is named, or of the composed configuration.

    Raises:
        ConfigError: it is a file that does not exist, or both are given.
    """
    from runner.tracking import TrackingConfig
    from runner.tracking.sync import recorded_config, runs_of

    if paths:
        if words or config_dirs:
            told = f"the run says where it is recorded; leave {(words or config_dirs)[0]!r} out"
            raise ConfigError(told, key="ui")
        named = existing(paths[0])
        config = recorded_config(next(iter(runs_of(named)), named))  # a sweep's runs are all in one store
    else:
        composed = declare(words, config_dirs=config_dirs).config.tracking
        assert isinstance(composed, TrackingConfig)
        config = composed
    if config.uri.startswith("sqlite"):
        path = Path(config.uri.partition(":///")[2].partition("?")[0])
        if not path.is_file():
            raise ConfigError(f"there is no {path} yet; run something first", key="tracking.uri")
    return config


def _make_whole(config: TrackingConfig) -> None:
    """Put right a store whose tables somebody was killed over, as a run does before it records something.

    Raises:
        StorageError: it cannot be written.
    """
    from runner.tracking.store import StoreError, absolute, made_whole

    try:
        note = made_whole(absolute(config.uri), config.artifacts)
    except StoreError as error:
        raise StorageError(str(error)) from error
    if note:
        print(note, flush=True)


def _not_started(config: TrackingConfig, output: str) -> RunnerError:
    """Why the server has ended, as it says itself."""
    from runner.tracking.store import absolute, half_changed

    if (known := half_changed(absolute(config.uri), output)) is not None:
        return StorageError(str(known))
    last = output.strip().splitlines()[-1:]
    return RunnerError(f"MLflow did not start: {last[0] if last else 'no answer'}")


@contextlib.contextmanager
def _server(
    config: TrackingConfig, host: str, port: int, output: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """The server as long as it is wanted; what it prints goes to `output`."""
    from runner.tracking.store import absolute, reachable

    command = [
        sys.executable, "-I", attended.__file__,  # a server that nobody can stop keeps the port
        sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1",
        "--backend-store-uri", reachable(absolute(config.uri)),
        "--default-artifact-root", Path(config.artifacts).absolute().as_uri(),
    ]  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # closes with this process
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **quiet},
        start_new_session=True,
    ) as server:
        yield server


def _answers(host: str, port: int, server: subprocess.Popen[bytes], output: IO[bytes]) -> bool:
    """Wait until the server is healthy; False when it ends or takes too long.

    Another server may have got hold of the port meanwhile, and would answer for a store of its own: ours says that it
    has it.
    """
    deadline, healthy = time.monotonic() + START, math.inf
    where = "127.0.0.1" if host == "0.0.0.0" else host
    while server.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(where, port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                healthy = min(healthy, time.monotonic())
                if _LISTENS.search(_told(output)) or time.monotonic() > healthy + SAID:
                    return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    return False


def _told(output: IO[bytes]) -> bytes:
    """What the server has printed so far; where it goes on writing is left as it is."""
    return os.pread(output.fileno(), MOST, 0)

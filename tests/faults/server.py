"""A real `mlflow server`, for as long as a `with` block."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.tracking.store import StoreError, probe


@contextmanager
def mlflow_server(home: Path, *, direct: bool = False, tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Start a tracking server that keeps everything below `home`; yields its port.

    Args:
        home: its folder.
        direct: start the server's application as `mlflow server` does in the end, without importing MLflow twice.
        tls: certificate and key of one that speaks HTTPS only (and is `direct`).
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store, artifacts = f"sqlite:///{home}/server.db", str(home / "artifacts")
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if direct:
        if tls is not None:
            place += ["--ssl-certfile", str(tls[0]), "--ssl-keyfile", str(tls[1])]
        command = ["uvicorn", *place, "mlflow.server.fastapi_app:app"]
        settings |= {
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }
    else:
        command = [
            "mlflow",
            "server",
            "--backend-store-uri",
            store,
            "--artifacts-destination",
            artifacts,
            *place,
        ]
    with (home / "server.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=output,
            stderr=output,
            cwd=home,
            start_new_session=True,
            env={**os.environ, **settings},
        )
    try:
        _await(f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", process, home / "server.log")
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await(uri: str, process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until the server answers."""
    for _ in range(3000):
        try:
            probe(uri, 5.0)
        except StoreError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"mlflow server did not start:\n{output.read_text()}")

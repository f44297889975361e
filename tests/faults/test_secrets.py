"""G15: a canary planted wherever a user might put a token is in no byte that a run writes."""

from __future__ import annotations

import os
import subprocess
import sys

CANARY = "CaNaRy0123456789abcdefghijklmnopqrstuvwxyz_-"


def test_G15_no_byte_of_a_run_holds_the_canary(tmp_path):
    """Environment, run name and options: run directory, database, artifacts and terminal stay clean."""
    command = [
        sys.executable, "-m", "runner", "experiment=vqe", "optimizer.max_evaluations=3", f"name={CANARY}",
        f"hydra.run.dir={tmp_path}/run", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
        f"tracking.artifacts={tmp_path}/artifacts", f"tracking.experiment=of-{CANARY}",
    ]  # fmt: skip
    names = ("QISKIT_IBM_TOKEN", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MY_API_KEY")
    secrets = dict.fromkeys(names, CANARY)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **secrets})

    assert done.returncode == 0, done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []
    assert [path for path in tmp_path.rglob("*") if CANARY in path.name] == []


def test_G15_declared_secrets_are_refused(tmp_path):
    """A token among the overrides is refused before anything is written, and not repeated."""
    command = [sys.executable, "-m", "runner", f"+backend.token={CANARY}", f"hydra.run.dir={tmp_path}/run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert CANARY not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []

"""G15: a canary planted wherever a user might put a token is in no byte that a run writes."""

from __future__ import annotations

from runner import redact
from runner.__main__ import main
from runner.tracking import sync

CANARY = "CaNaRy0123456789abcdefghijklmnopqrstuvwxyz_-"


def test_G15_no_byte_of_a_run_holds_the_canary(workdir, monkeypatch, capfd):
    """Environment, run name and options: run directory, database, artifacts and terminal stay clean."""
    for name in ("QISKIT_IBM_TOKEN", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MY_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setattr(redact, "_protected", redact._from_environment())  # as an import would
    redact.redact.cache_clear()
    done = main([
        "experiment=vqe", "optimizer.max_evaluations=3", f"name={CANARY}", f"hydra.run.dir={workdir}/run",
        "tracking.enabled=false", f"tracking.uri=sqlite:///{workdir}/mlflow.db",
        f"tracking.artifacts={workdir}/artifacts", f"tracking.experiment=of-{CANARY}",
    ])  # fmt: skip
    report = sync(workdir / "run")

    assert (done, report.state) == (0, "synced")
    assert CANARY not in "".join(capfd.readouterr())
    written = [path for path in workdir.rglob("*") if path.is_file()]
    assert {"journal.jsonl", "report.html", "mlflow.db", "evaluations.json"} <= {
        path.name for path in written
    }
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []
    assert [path for path in workdir.rglob("*") if CANARY in path.name] == []


def test_G15_declared_secrets_are_refused(workdir, capfd):
    """A token among the overrides is refused before anything is written, and not repeated."""
    done = main([f"+backend.token={CANARY}", f"hydra.run.dir={workdir}/run"])

    assert done == 2
    assert CANARY not in "".join(capfd.readouterr())
    assert list(workdir.iterdir()) == []

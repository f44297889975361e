"""G4: a real tracking server behind a proxy that breaks, stalls and dies; nothing is lost and nothing doubled."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from runner.tracking import SyncReport, TrackingConfig, sync
from runner.tracking.process import follow
from tests.faults.proxy import FaultyProxy
from tests.faults.server import mlflow_server
from tests.tracking import made

EVALUATIONS = 60
TRACE = [(k, made.energy(k)) for k in range(EVALUATIONS)]


@dataclass(frozen=True)
class Outage:
    """What the network does during a run."""

    name: str
    before: str = "pass"
    """Mode of the proxy until half of the run."""
    after: str = "pass"
    """Mode from then on."""
    dies_after: int | None = None
    """Requests after which the server is gone."""


OUTAGES = (
    Outage("late", before="down", after="pass"),
    Outage("dies", dies_after=7),
    Outage("errors", after="error"),
)
MORE_OUTAGES = (
    *OUTAGES,
    Outage("slow", before="slow", after="slow"),
    Outage("healthy"),
    Outage("absent", before="down", after="down"),
    Outage("silent", after="hole"),
    Outage("silent-at-first", before="hole", after="pass"),
    *(Outage(f"dies-{k}", dies_after=k) for k in range(1, 18)),
)

MODES = ("pass", "down", "error", "slow", "hole")
ALL_OUTAGES = (
    *(Outage(f"{before}-then-{after}", before, after) for before in MODES for after in MODES),
    *(
        Outage(f"{mode}-dies-{k}", mode, dies_after=k)
        for mode in ("pass", "slow", "error")
        for k in range(1, 26)
    ),
)
"""A hundred: every way to answer before and after the middle of the run, and death at every early request."""


def run_during(outage: Outage, port: int, home: Path) -> SyncReport:
    """One run with its uploader (in a thread of this process), then, once the network is well again, a sync."""
    directory = home / outage.name
    with FaultyProxy(port, outage.before, delay=0.1, dies_after=outage.dies_after) as proxy:
        config = TrackingConfig(uri=proxy.uri, artifacts=str(home / "unused"))
        journal = made.start(directory, proxy.uri, home / "unused")
        read, write = os.pipe()
        os.write(write, f"{json.dumps(asdict(config))}\n{directory}\n".encode())
        with open(read, "rb", buffering=0) as control:
            reports: list[SyncReport] = []
            uploader = threading.Thread(target=lambda: reports.append(follow(control)))
            uploader.start()
            made.evaluate(journal, range(EVALUATIONS // 2))
            time.sleep(0.3)
            proxy.mode = outage.after
            made.evaluate(journal, range(EVALUATIONS // 2, EVALUATIONS))
            made.end(directory, journal, EVALUATIONS)
            os.close(write)
            uploader.join()
        proxy.mode, proxy.dies_after = "pass", None
        synced = any(sync(directory).state == "synced" for _ in range(5))
    assert synced, outage
    return reports[0]


def assert_nothing_is_lost(
    outages: Sequence[Outage], home: Path, *, direct: bool = False
) -> list[SyncReport]:
    """Runs through all these outages are in the store completely, and once; their reports before any sync."""
    with mlflow_server(home, direct=direct) as port:
        with ThreadPoolExecutor(4) as pool:
            reports = list(pool.map(lambda outage: run_during(outage, port, home), outages))
        from mlflow import MlflowClient

        client = MlflowClient(f"http://127.0.0.1:{port}")
        (experiment,) = [found for found in client.search_experiments() if found.name == "vqe"]
        runs = client.search_runs([experiment.experiment_id])
        traces = {
            run.data.tags["runner.directory"]: sorted(
                (metric.step, metric.value)
                for metric in client.get_metric_history(run.info.run_id, "energy/value")
            )
            for run in runs
        }

    assert len(runs) == len(outages)
    assert traces == {outage.name: TRACE for outage in outages}
    assert {run.info.status for run in runs} == {"FINISHED"}
    return reports


def test_G4_outages_lose_nothing(tmp_path, monkeypatch, empty_store):
    """Late, dying and failing servers: every run is complete after a sync, exactly once."""
    monkeypatch.setattr("runner.tracking.process.RETRIES", (0.1, 0.2, 0.5))
    empty_store(tmp_path / "server.db")

    found = assert_nothing_is_lost(OUTAGES, tmp_path, direct=True)

    reports = dict(zip([outage.name for outage in OUTAGES], found, strict=True))

    assert reports["errors"].state == "offline"
    assert reports["errors"].records_unsynced > 0


@pytest.mark.nightly
def test_G4_every_outage(tmp_path, monkeypatch):
    """The same with silent servers and with one that dies at any request."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")

    assert_nothing_is_lost(MORE_OUTAGES, tmp_path)

"""Tracking servers as they are in institutes: behind a private certificate, a login, a proxy; with real sockets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runner.tracking import TrackingConfig, sync
from runner.tracking.store import StoreError, admitted, load, probe
from tests.faults.server import mlflow_server
from tests.tracking import made
from tests.tracking.servers import answering, certificate, forwarding

WELL = {"/health": 200, "/api": 200}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificate, login or proxy but those of the test, and no repeated requests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def told(uri: str) -> str:
    """What a store at this address is refused with; empty where it is not."""
    try:
        probe(uri, 5.0)
        load(uri)
        admitted(uri)
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_a_private_certificate_is_trusted_as_mlflow_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Refused with the variable to set, then taken."""
    own, other = certificate(tmp_path), certificate(tmp_path, "other")
    with answering(WELL, own) as uri:
        assert "is not trusted (certificate verify failed: self" in told(uri)
        assert "set MLFLOW_TRACKING_SERVER_CERT_PATH" in told(uri)
        monkeypatch.setenv(variable, str(other[0]))
        assert "is not trusted" in told(uri)
        monkeypatch.setenv(variable, str(own[0]))
        assert told(uri) == ""
        monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
        assert "missing.pem" in told(uri)


def test_verification_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By MLFLOW_TRACKING_INSECURE_TLS, in the words MLflow takes."""
    with answering(WELL, certificate(tmp_path)) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "false")
        assert "is not trusted" in told(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "True")
        assert told(uri) == ""


def test_a_client_shows_its_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_TRACKING_CLIENT_CERT_PATH names certificate and key in one file."""
    own, mine = certificate(tmp_path), certificate(tmp_path, "client")
    both = tmp_path / "both.pem"
    both.write_bytes(mine[0].read_bytes() + mine[1].read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(own[0]))
    with answering(WELL, own, clients=mine[0]) as uri:
        assert told(uri) != ""
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(both))
        assert told(uri) == ""


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"status 401 \(unauthorized\); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or"),
        (403, r"status 403 \(forbidden\); set MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN of somebody"),
        (404, r"status 404 \(not found\); tracking.uri must be the address of an MLflow tracking server"),
        (503, r"status 503 \(service unavailable\); try again later"),
    ],
)
def test_a_refusal_has_its_status_and_what_to_set(status: int, words: str) -> None:
    """Whether the server or what stands before it refuses."""
    with answering({"/health": 200, "/api": status}) as uri:
        assert re.search(rf"^{uri} answers with {words}", told(uri))
    with answering({"/": status}) as uri:
        assert re.search(rf"^{uri} answers with {words}", told(uri))


def test_logins_are_those_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password, or a token; RFC 7617's own example, without its user's encoding."""
    with answering(WELL, login="Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") as uri:
        assert "status 401" in told(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "Aladdin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "open sesame")
        assert told(uri) == ""
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "mF_9.B5f-4.1JqM")
    with answering(WELL, login="Bearer mF_9.B5f-4.1JqM") as uri:
        assert told(uri) == ""


def test_a_proxy_is_gone_through_or_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS through CONNECT, a login at the proxy, NO_PROXY; the proxy is a process of its own."""
    own = certificate(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(own[0]))
    log = tmp_path / "proxy.txt"
    with answering(WELL, own) as uri, forwarding(log, "me:secret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("me:secret@", ""))
        assert "the proxy before" in told(uri)
        assert "407" in told(uri)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        connections = log.read_text().count("CONNECT")
        assert told(uri) == ""
        assert log.read_text().count("CONNECT") == connections + 2
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert told(uri) == ""
        assert log.read_text().count("CONNECT") == connections + 2
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert "the proxy before" in told(uri)
        assert "NO_PROXY" in told(uri)


@pytest.mark.nightly
def test_a_run_comes_through_proxy_and_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real tracking server that speaks TLS only, behind a proxy: the run is there with its files."""
    own = certificate(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(own[0]))
    with (
        mlflow_server(tmp_path, direct=True, tls=own) as port,
        forwarding(tmp_path / "proxy.txt") as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        uri = f"https://127.0.0.1:{port}"
        directory = made.whole(tmp_path / "run", uri, tmp_path / "unused")
        report = sync(directory, TrackingConfig(uri=uri))

        assert report.state == "synced", report
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        run = client.get_run(report.mlflow_run_id)
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert run.info.status == "FINISHED"
    assert "jobs.json" in names
    assert json.loads((directory / "mlflow.json").read_text())["uri"] == uri
    assert (tmp_path / "proxy.txt").read_text().count("CONNECT") >= 2

"""Where runs are recorded for review."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runner.declare.checks import require_range
from runner.declare.overrides import Overrides
from runner.errors import ConfigError
from runner.tracking.store import is_server
from runner.tracking.uploader import Uploader

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")


@dataclass(kw_only=True)
class TrackingConfig:
    """An MLflow tracking store, filled from the journal by a process of its own."""

    name: str = "mlflow"
    """Name of the choice."""
    enabled: bool = True
    """false: nothing but the run directory is written."""
    uri: str = "sqlite:///outputs/mlflow.db"
    """Address of the store: sqlite:///FILE, http(s)://HOST, postgresql://…, mysql://…, mssql://…"""
    artifacts: str = "outputs/artifacts"
    """Folder for files of a database store; a tracking server keeps its own."""
    experiment: str | None = None
    """Name of the MLflow experiment; null: the name of the experiment that runs."""
    required: bool = False
    """true: a run that could not be uploaded completely ends with exit code 4."""
    timeout: float = 60.0
    """Longest wait at the end of a run for a store that answers, in seconds."""
    patience: float = 0.05
    """Longest wait for a store that does not answer or takes over a second, as a share of the run's time."""

    def __post_init__(self) -> None:
        require_range("tracking.timeout", self.timeout, 0.0, 3600.0)
        require_range("tracking.patience", self.patience, 0.0, 1.0)
        if self.experiment is not None and not 0 < len(self.experiment) <= 500:
            raise ConfigError("must be 1 to 500 characters, or null", key="tracking.experiment")
        check_address(self.uri, "tracking.uri")

    def build(self, directory: str | Path | None = None) -> Uploader:
        """The uploader of the run in `directory`, which `start` may also tell it later."""
        return Uploader(directory, self)

    def source(self, typed: Iterable[str]) -> str:
        """Which variables of the environment said where a run is recorded, as words to add to an address."""
        names = [
            ENVIRONMENT[key]
            for key, value in from_environment(Overrides.of(typed)).items()
            if getattr(self, key) == value
        ]
        return f" (from {' and '.join(names)})" if names else ""


def check_address(uri: str, key: str) -> None:
    """Refuse what is no address of a store; `key` is where it comes from.

    Raises:
        ConfigError: it is none, or holds a password.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in SCHEMES or "://" not in uri:
        raise ConfigError(f"must start with one of {', '.join(SCHEMES)}, then ://", key=key)
    if scheme == "sqlite" and not uri.partition(":///")[2]:
        raise ConfigError("must name a file, as in sqlite:///outputs/mlflow.db", key=key)
    if is_server(uri) and not _host(uri):
        raise ConfigError("must name a host, as in http://127.0.0.1:5000", key=key)
    if urlsplit(uri).password is not None:
        raise ConfigError(
            "must not hold a password; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
            key=key,
        )


def _host(uri: str) -> str | None:
    """The host of an address; None where there is none, or nobody can tell."""
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None


NOTHING = Overrides()
ENVIRONMENT = {"uri": "MLFLOW_TRACKING_URI", "experiment": "MLFLOW_EXPERIMENT_NAME"}
"""Keys that MLflow's own variables set, where the command line does not."""


def from_environment(typed: Overrides = NOTHING) -> dict[str, str]:
    """Keys of `tracking` that the environment sets, with their values.

    Args:
        typed: the command line, which comes first.

    Raises:
        ConfigError: a value that the key cannot have, by the name of its variable.
    """
    found = {
        key: os.environ[variable]
        for key, variable in ENVIRONMENT.items()
        if os.environ.get(variable) and f"tracking.{key}" not in typed.keys
    }
    if "uri" in found:
        check_address(found["uri"], ENVIRONMENT["uri"])
    return found


SCHEMAS = {"mlflow": TrackingConfig}

"""One MLflow store for the tests of a worker process, and a reader of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.tracking import TrackingConfig


@dataclass(frozen=True)
class Tracked:
    """A store and where its files lie."""

    config: TrackingConfig

    @property
    def place(self) -> tuple[str, Path]:
        """Address and artifact folder, as `made` takes them."""
        return self.config.uri, Path(self.config.artifacts)

    @property
    def client(self) -> Any:
        """MLflow's own client on it."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.config.uri)

    def runs(self, filter_string: str = "") -> list[Any]:
        """Every run of every experiment, oldest first."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return self.client.search_runs(experiments, filter_string, order_by=["attributes.start_time ASC"])

    def of(self, directory: Path) -> list[Any]:
        """The runs of one run directory, without children."""
        return self.runs(f"tags.`runner.directory` = '{directory.name}'")

    def history(self, run: Any, key: str) -> list[tuple[int, float]]:
        """(step, value) of a metric, everything that is stored, in order of steps."""
        return sorted((m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, key))

    def files(self, run: Any, folder: str | None = None) -> set[str]:
        """Paths of the artifacts, those in folders too."""
        found: set[str] = set()
        for file in self.client.list_artifacts(run.info.run_id, folder):
            found |= self.files(run, file.path) if file.is_dir else {file.path}
        return found


@pytest.fixture(scope="session")
def tracked(tmp_path_factory, empty_store) -> Tracked:
    """A fresh store, shared by the tests of this process: tell runs apart by their directory's name."""
    home = tmp_path_factory.mktemp("store")
    empty_store(home / "mlflow.db")
    return Tracked(TrackingConfig(uri=f"sqlite:///{home}/mlflow.db", artifacts=str(home / "artifacts")))

"""What may be declared about tracking."""

from __future__ import annotations

import pytest

from runner.declare.composer import compose, declare
from runner.errors import ConfigError
from runner.sweep.compose import SweepPlanner
from runner.tracking import TrackingConfig
from runner.tracking.store import absolute


def test_the_defaults_stay_below_outputs():
    """Nothing is written outside outputs/ unless asked for."""
    config = TrackingConfig()

    assert (config.uri, config.artifacts) == ("sqlite:///outputs/mlflow.db", "outputs/artifacts")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"uri": "mlruns"}, "tracking.uri: must start with one of sqlite, http"),
        ({"uri": "ftp://host"}, "tracking.uri: must start with one of sqlite, http"),
        ({"uri": "sqlite://"}, "tracking.uri: must name a file"),
        ({"uri": "sqlite:///"}, "tracking.uri: must name a file"),
        ({"uri": "http://"}, "tracking.uri: must name a host"),
        ({"uri": "http://[::1"}, "tracking.uri: must name a host"),
        ({"uri": "https://me:secret@host"}, "tracking.uri: must not hold a password"),
        ({"timeout": -1.0}, "tracking.timeout: must be at least 0"),
        ({"patience": 2.0}, "tracking.patience: must be at most 1"),
        ({"experiment": ""}, "tracking.experiment: must be 1 to 500 characters"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    """Every bad value is refused in one line that names the setting, and no password is repeated."""
    with pytest.raises(ConfigError, match=message) as caught:
        TrackingConfig(**settings)

    assert "secret" not in str(caught.value)


def test_addresses_mean_the_same_from_everywhere(tmp_path):
    """A relative database file is fixed to the folder it was named in; other addresses stay."""
    assert absolute("sqlite:///outputs/x.db", tmp_path) == f"sqlite:///{tmp_path}/outputs/x.db"
    assert absolute("sqlite:////data/x.db") == "sqlite:////data/x.db"
    assert absolute("http://host:5000") == "http://host:5000"


def test_mlflows_variables_count_after_what_is_typed(monkeypatch):
    """Typed, then the environment, then conf/; as MLflow's own documentation names the variables."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://lab:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours: all=of {them}")
    taken = compose().tracking
    typed = compose("tracking.uri=sqlite:///mine.db").tracking

    assert (taken.uri, taken.experiment) == ("http://lab:5000", "ours: all=of {them}")
    assert (typed.uri, typed.experiment) == ("sqlite:///mine.db", "ours: all=of {them}")
    assert compose("tracking.experiment=null").tracking.experiment is None
    assert taken.source([]) == " (from MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME)"
    assert typed.source(["tracking.uri=sqlite:///mine.db"]) == " (from MLFLOW_EXPERIMENT_NAME)"
    assert declare(["seed=2"]).values["tracking"]["uri"] == "http://lab:5000"  # the content of config.yaml
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    planner = SweepPlanner(["seed=1,2"])
    assert planner.declare(("seed=1",)).config.tracking.uri == "http://lab:5000"
    typed = planner.declare(("seed=1", "tracking.uri=sqlite:///x.db"))
    assert typed.config.tracking.uri == "sqlite:///x.db"


@pytest.mark.parametrize("value", ["./mlruns", "databricks", "http://me:verysecretword@lab"])
def test_a_variable_that_cannot_be_meant_is_refused_by_its_name(monkeypatch, value):
    """Never ignored; and never looked at where nothing is recorded."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
    with pytest.raises(ConfigError, match=r"^MLFLOW_TRACKING_URI: must ") as caught:
        compose()

    assert "verysecretword" not in str(caught.value)
    assert compose("tracking=off").tracking.uri == "sqlite:///outputs/mlflow.db"
    assert compose("tracking.uri=sqlite:///x.db").tracking.uri == "sqlite:///x.db"

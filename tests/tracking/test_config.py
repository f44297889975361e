"""What may be declared about tracking."""

from __future__ import annotations

import pytest

from runner.errors import ConfigError
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

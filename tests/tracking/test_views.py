"""The views that MLflow's pages open with."""

from __future__ import annotations

import base64
import json
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from runner.tracking import sync, views
from runner.tracking.store import Store
from tests.tracking import made


def state_in(text: str) -> dict[str, Any]:
    """What MLflow 3.17 reads: the packed state; 3.10 reads the same fields beside it."""
    whole = json.loads(text)
    state = json.loads(zlib.decompress(base64.b64decode(whole["state"].removeprefix("deflate;"))))
    assert {key: whole[key] for key in state} == state
    return state


def test_a_view_says_the_same_to_both_versions() -> None:
    """Columns are metrics and parameters that every run of an energy has."""
    key, text = views.RUNS.tag(1)

    state = state_in(text)
    assert key == "mlflow.sharedViewState.runner-3"
    assert state["selectedColumns"][0] == "metrics.`result/energy`"
    assert "params.`optimizer`" in state["selectedColumns"]


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_view_fits_into_a_tag(count: int) -> None:
    """MLflow 3.10 takes 5000 characters; swept keys come first, and those that do not fit are left out."""
    swept = [f"hamiltonian.some_key_{number}" for number in range(count)]

    state = state_in(text := views.of_sweep("a" * 32, swept).tag(1)[1])

    assert len(text) <= 5000
    assert [f"params.`{name}`" for name in swept[:1]] == state["selectedColumns"][7 : 7 + min(count, 1)]


def test_an_experiment_gets_the_view_and_keeps_an_edited_one(tracked: Any, tmp_path: Path) -> None:
    """The tag is written where there is none, and never over somebody's own."""
    name = f"views of {tmp_path.name}"
    uri, artifacts = tracked.place
    number = Store(uri, str(artifacts), name).experiment_id
    key = views.RUNS.tag(0)[0]
    tags = tracked.client.get_experiment(number).tags
    assert state_in(tags[key])["orderByKey"] == "params.`started`"
    assert f"#/experiments/{number}/runs?" in tags["mlflow.note.content"]

    tracked.client.set_experiment_tag(number, key, "mine")
    Store(uri, str(artifacts), name)

    assert tracked.client.get_experiment(number).tags[key] == "mine"


def test_the_energy_is_what_was_stored_first(tracked: Any, tmp_path: Path) -> None:
    """MLflow compares runs by the first metric they share: `latest_metrics` in the order of its rows."""
    import sqlite3

    directory = tmp_path / f"first-{time.time_ns()}"
    made.whole(directory, *tracked.place, 5)
    report = sync(directory)

    with sqlite3.connect(tracked.config.uri.removeprefix("sqlite:///")) as store:
        keys = store.execute(
            "select key from latest_metrics where run_uuid = ? order by rowid", (report.mlflow_run_id,)
        ).fetchall()
    assert keys[0][0].startswith("energy/")

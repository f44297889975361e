"""What MLflow's pages show at first: a view of the runs by energy, error, usage and what was declared.

MLflow opens an experiment on a page about language models and lists no metric. Its own "share a view" mends that: an
experiment tag holds the columns, order and charts, and a link carries the tag's key. Versions 3.10 to 3.17 read the
same tag, written as both want it: the view compressed in `state`, and once more as plain fields beside it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KEY = "runner-3"
"""Key of the view; a view that somebody has edited stays theirs, and a new one of ours gets a new key."""

TAG = "mlflow.sharedViewState."
"""Experiment tag, followed by the key."""

LONGEST = 5000
"""Characters that MLflow 3.10 takes in a tag."""

METRICS = (
    "result/energy", "result/stddev", "result/error", "result/error_sigmas", "result/usage_seconds", "result/cost",
    "result/value",
)  # fmt: skip
STARTED = "started"
"""Parameter with the time at which a run began: MLflow hides the runs of a sweep where it orders by its own."""
PARAMETERS = ("optimizer", "hamiltonian", "ansatz", "backend", "seed")


@dataclass(frozen=True, kw_only=True)
class View:
    """Which runs are listed, by which columns and in which order, and the charts beside them."""

    name: str
    """As MLflow lists it under Views."""
    key: str
    """What the link carries."""
    filter: str
    """MLflow's search syntax."""
    order: str
    """The column that it is sorted by."""
    ascending: bool
    """Smallest first."""
    parameters: Sequence[str] = PARAMETERS
    """Parameters with a column."""

    @property
    def tag_key(self) -> str:
        """The experiment tag's key."""
        return TAG + self.key

    def tag(self, milliseconds: int) -> tuple[str, str]:
        """The experiment tag that holds this view.

        Args:
            milliseconds: Unix time at which it was made.
        """
        for count in range(len(self.parameters), -1, -1):  # as many columns as go into a tag
            state = self._state(self.parameters[:count])
            plain = json.dumps(state, separators=(",", ":"))
            packed = "deflate;" + base64.b64encode(zlib.compress(plain.encode(), 9)).decode()
            made = {"name": self.name, "createdAt": milliseconds, "updatedAt": milliseconds, "state": packed}
            text = json.dumps({**made, **state}, separators=(",", ":"))
            if len(text) <= LONGEST:
                break
        return self.tag_key, text

    def _state(self, parameters: Sequence[str]) -> dict[str, Any]:
        """Every field is there: MLflow 3.10 fails where one is missing."""
        columns = [f"metrics.`{name}`" for name in METRICS] + [f"params.`{name}`" for name in parameters]
        return {
            "searchFilter": self.filter,
            "orderByKey": self.order,
            "orderByAsc": self.ascending,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": columns,
            "columnOrder": columns,
            "columnWidths": {},
            "runsExpanded": {},
            "runsPinned": [],
            "runsHidden": [],
            "runsVisibilityMap": {},
            "runsHiddenMode": "SHOW_ALL",
            "runsHiddenMap": {},
            "viewMaximized": False,
            "runListHidden": False,
            "isAccordionReordered": True,
            "useGroupedValuesInCharts": True,
            "hideEmptyCharts": True,
            "groupBy": None,
            "groupsExpanded": {},
            "autoRefreshEnabled": True,
            "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
            "compareRunSections": [
                {
                    "uuid": "energies",
                    "name": "Energies",
                    "display": True,
                    "isReordered": True,
                    "deleted": False,
                    "isGenerated": False,
                    "columns": 2,
                    "cardHeight": 300,
                }
            ],
            "compareRunCharts": self._charts(parameters),
        }

    def _charts(self, parameters: Sequence[str]) -> list[dict[str, Any]]:
        x, y = ({"key": key, "type": "METRIC"} for key in ("result/usage_seconds", "result/error"))
        curves: list[dict[str, Any]] = [
            {
                "metricKey": key, "selectedMetricKeys": [key], "xAxisKey": "step",
                "xAxisScaleType": "linear", "scaleType": "linear", "range": {},
            }
            for key in ("energy/best", "objective/best")
        ]  # fmt: skip
        best, lowest = curves
        every: dict[str, Any] = {
            "selectedParams": list(parameters[:3]),
            "selectedMetrics": ["result/error"],
            "showAllRuns": True,
        }
        charts: list[dict[str, Any]] = [
            {"type": "BAR", "metricKey": "result/energy", "displayName": "Energy"},
            {"type": "BAR", "metricKey": "result/error", "displayName": "Distance from the reference"},
            {"type": "LINE", **best, "displayName": "Best energy so far"},
            {"type": "SCATTER", "xaxis": x, "yaxis": y, "displayName": "Distance against usage"},
            {"type": "PARALLEL", **every, "displayName": "What was declared against distance"},
            {
                "type": "LINE",
                **lowest,
                "displayName": "Lowest so far of what is minimized in place of an energy",
            },
            {"type": "BAR", "metricKey": "result/value", "displayName": "Value of an observable"},
        ]
        common = {
            "runsCountToCompare": 20,
            "metricSectionId": "energies",
            "deleted": False,
            "isGenerated": False,
        }
        return [{"uuid": f"chart-{number}", **common, **chart} for number, chart in enumerate(charts)]


RUNS = View(
    name="Energies",
    key=KEY,
    filter="tags.`runner.state` != 'sweep'",
    order=f"params.`{STARTED}`",
    ascending=False,
)
"""All runs of an experiment, the newest first; a sweep's parent has no energy of its own."""


def of_sweep(parent: str, swept: Sequence[str], order: str = "result/error") -> View:
    """The runs of one sweep, the lowest of a metric first.

    Args:
        parent: the sweep's MLflow run.
        swept: keys of the configuration that it varies; they come first.
        order: the metric.
    """
    return View(
        name="Sweep",
        key=f"{KEY}-{parent[:12]}",
        filter=f"tags.`mlflow.parentRunId` = '{parent}'",
        order=f"metrics.`{order}`",
        ascending=True,
        parameters=[*swept, *(name for name in PARAMETERS if name not in swept)],
    )


def runs_page(experiment_id: str, view: View = RUNS) -> str:
    """The part of the address behind `#` that lists runs by a view."""
    return f"/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view.key}"


def run_page(experiment_id: str, run_id: str) -> str:
    """The part of the address behind `#` that shows one run."""
    return f"/experiments/{experiment_id}/runs/{run_id}"

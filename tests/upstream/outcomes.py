"""A plugin for pytest that writes what became of every test to the file that UPSTREAM_OUTCOMES names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from qiskit_ibm_runtime.accounts import account

if not hasattr(account, "CloudAccount"):  # tests of 0.49 import what 0.51 calls otherwise
    account.CloudAccount = account.Account

PASSED, SKIPPED = "passed", "skipped"
OUTCOMES: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test failed if any part of it did: then the last line of its error stands for it."""
    name = report.nodeid.rpartition(".py::")[2]
    if report.failed:
        OUTCOMES[name] = str(
            getattr(report.longrepr, "reprcrash", None) and report.longrepr.reprcrash.message
        )  # type: ignore[union-attr]
    elif report.skipped:
        OUTCOMES.setdefault(name, SKIPPED)
    elif report.when == "call":
        OUTCOMES.setdefault(name, PASSED)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported is one failure."""
    if report.failed:
        OUTCOMES[report.nodeid] = str(report.longrepr).strip().splitlines()[-1]


def pytest_sessionfinish() -> None:
    """Write them."""
    Path(os.environ["UPSTREAM_OUTCOMES"]).write_text(json.dumps(OUTCOMES))

"""What every test may use: a folder of its own, and runs small enough to wait for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # xdist keeps the cores busy already
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers() -> int:
    """One worker per processor, hyperthreads included; one more costs more in importing than it gains."""
    return os.cpu_count() or 1


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder for the time of a test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

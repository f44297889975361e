"""The short campaign: a process that forks must be a process of its own, so it is run as one."""

from __future__ import annotations

import subprocess
import sys

import pytest


def campaign(*arguments: str) -> str:
    """The table of a campaign in which nothing was lost."""
    command = [sys.executable, "-m", "tests.faults", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_G1_G3_G12_whatever_breaks_the_run_ends_the_same():
    """20 kills, 6 signals, full and failing disks: every resumed run is bit-identical to the unbroken one."""
    table = campaign("--seed", "1")

    assert table.count("nothing |") == 9


@pytest.mark.nightly
def test_the_whole_campaign():
    """1 000 kills and 1 000 signals over nine kinds of runs; see `python -m tests.faults --help`."""
    campaign("--nightly")

"""The short campaign: a process that forks must be a process of its own, so it is run as one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.place import mounting_is_permitted


def campaign(*arguments: str) -> str:
    """The table of a campaign in which nothing was lost."""
    command = [sys.executable, "-m", "tests.faults", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_G1_G3_G11_G12_whatever_breaks_the_run_ends_the_same():
    """Kills, signals, stops, disks full or gone, damage, nan, Aer failing, a clock that is set: nothing is lost."""
    table = campaign("--seed", "1", "--kills", "2")

    assert sum("kill -9" in row and " 2 kills" in row for row in table.splitlines()) == 3
    assert table.count("nothing |") == (16 if mounting_is_permitted() else 13)


@pytest.mark.nightly
def test_the_whole_campaign():
    """2 000 kills and 1 000 signals over every kind of run; see `python -m tests.faults --help`."""
    campaign("--nightly")

"""The two ends of what pyproject.toml allows are the two that CI installs."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def pins(name):
    """Distribution → version of a constraints file."""
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def bounds():
    """Distribution → its range in pyproject.toml, of the base installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {found.name: found.specifier for found in map(Requirement, project["dependencies"])}


def test_the_lowest_versions_are_the_lower_bounds():
    """Every direct dependency, in the minor release (the patch may be a later one) that its lower bound names."""
    lowest = pins("constraints-lowest.txt")

    assert lowest.keys() == bounds().keys()
    for name, allowed in bounds().items():
        (lower,) = [Version(one.version) for one in allowed if one.operator == ">="]
        assert Version(lowest[name]) in allowed
        assert Version(lowest[name]).release[:2] == (*lower.release, 0)[:2]


def test_the_tested_versions_are_in_range():
    """What constraints.txt pins is allowed."""
    tested = pins("constraints.txt")

    assert [name for name, allowed in bounds().items() if Version(tested[name]) not in allowed] == []

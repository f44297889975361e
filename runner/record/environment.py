"""What else may change a number: package versions, threads, the processor, the commit."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.declare.config import RunConfig

PACKAGES = ("qiskit", "qiskit-aer", "numpy", "scipy", "hydra-core", "mlflow", "numba")
DISTRIBUTION = "session-runner"
"""What this package is called where packages are installed from."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide about numbers."""
    return dict(_installed())


@cache
def _installed() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name, distribution in {**{name: name for name in PACKAGES}, "runner": DISTRIBUTION}.items():
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(distribution)
    return found


def environment(config: RunConfig) -> dict[str, Any]:
    """What else may change a number: versions, threads, processor; and the commit the code is at."""
    return {
        "versions": versions(),
        "threads": config.backend.threads,
        "processor": processor(),
        "commit": commit(),
        "pid": os.getpid(),
    }


@cache
def processor() -> str:
    """The processor's model name."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The git commit of the current folder, with a + when there are changes; None outside a repository.

    `git describe --dirty` would write the index, and where it is killed leave a lock behind that stops its owner.
    """
    try:
        named = _git("describe", "--always", "--abbrev=40")
        changed = _git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{named}+" if named and changed else named or None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()

"""How much memory a simulation takes, and the refusal when the machine does not have it."""

from __future__ import annotations

import os
import resource
import sys
from functools import lru_cache
from pathlib import Path

from runner.errors import ConfigError

SHARE = 0.7
"""The part of the free memory one simulation may take."""
_SMALL = 64 << 10
"""So many bytes are there, or nothing would run; asking takes longer than the simulation of one qubit."""


def available_bytes() -> int:
    """Free memory: the smaller of what the machine and the control group have left."""
    free = _meminfo()
    for limit_file, usage_file in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        limit, usage = _number(limit_file), _number(usage_file)
        if limit is not None:
            free = min(free, limit - (usage or 0))
    return max(free, 0)


@lru_cache(maxsize=1)
def total_bytes() -> int:
    """What the machine, or the control group, has altogether: the same whatever else is running."""
    limits = [
        _number("/sys/fs/cgroup/memory.max"),
        _number("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    ]
    return min(limit for limit in limits if limit is not None)


def peak_bytes() -> int:
    """What this process has had at its peak.

    Linux counts into `ru_maxrss` what the process had that started this one, however large a notebook that was.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def fits(needed: int) -> bool:
    """Could this machine hold so much, were nothing else running?"""
    return needed <= SHARE * total_bytes()


def has_room(needed: int) -> bool:
    """Would `require` let a simulation of so many bytes pass at this moment?"""
    return needed <= _SMALL or needed <= SHARE * available_bytes()


def beyond(needed: int, what: str) -> str:
    """In words that a machine like this never holds so much."""
    return (
        f"{what} needs {_human(needed)}, more than {SHARE:.0%} of the {_human(total_bytes())} that there are"
    )


def require(needed: int, what: str, remedy: str = "take fewer qubits or another simulation method") -> None:
    """Refuse a simulation that takes more than `SHARE` of the free memory."""
    if not has_room(needed):
        free = available_bytes()
        raise ConfigError(
            f"{what} needs {_human(needed)}, more than {SHARE:.0%} of the {_human(free)} that are free; "
            f"{remedy}"
        )


def _meminfo() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 1 << 62


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _human(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024 or unit == "PiB":
            return f"{size:.{0 if unit == 'bytes' else 1}{'f' if size < 1e5 else 'e'}} {unit}"
        size /= 1024
    raise AssertionError

"""Named points at which a test may break the program: `RUNNER_FAULT=point:k:action[,point:k:action…]`.

The k-th time (counted from 1, in each process) that the program reaches `point`, `action` happens::

    kill9 | term | int     the process sends itself the signal
    enospc | eio | erofs | enolck   an OSError with that number
    sleep | sleep=SECONDS  a pause, 30 s unless said
    memory                 a MemoryError
    starve                 from now on the process gets no more memory than it has
    anything else          is handed back to the place that asked (`nan`, `drop`, …)

Unset, a point costs one look at `ACTIVE`.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from pathlib import Path

_SIGNALS = {"kill9": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
_ERRORS = {
    "enospc": errno.ENOSPC,
    "eio": errno.EIO,
    "erofs": errno.EROFS,
    "enolck": errno.ENOLCK,
}


def _parse(text: str) -> dict[tuple[str, int], str]:
    """Read `point:k:action,…` into {(point, k): action}."""
    faults = {}
    for entry in filter(None, text.split(",")):
        point, count, action = entry.split(":", 2)
        faults[point, int(count)] = action
    return faults


_faults = _parse(os.environ.get("RUNNER_FAULT", ""))
_reached: Counter[str] = Counter()
_kept: list[object] = []
ACTIVE = bool(_faults)


def due(point: str) -> str | None:
    """Count one arrival at `point` and say which action is planned for it, without doing it."""
    _reached[point] += 1
    return _faults.get((point, _reached[point]))


def perform(action: str) -> str:
    """Do `action`; what only the caller can do is handed back."""
    if action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[action])
    elif action in _ERRORS:
        raise OSError(_ERRORS[action], os.strerror(_ERRORS[action]))
    elif action.startswith("sleep"):
        time.sleep(float(action.partition("=")[2] or 30.0))
    elif action == "memory":
        raise MemoryError
    elif action == "starve":
        _starve()
    return action


def _starve() -> None:
    """Let every request for more address space fail, as on a machine whose memory is used up.

    What is given back meanwhile does not help; some MiB, which the process keeps, are for saying what happened. The
    processes that it has started get no more either.
    """
    import resource

    blocks = [bytearray(1 << 16) for _ in range(1 << 7)]
    _kept.append(([bytes(400) for _ in range(1 << 14)][::64], blocks.pop()))
    del blocks
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    for children in Path("/proc/self/task").glob("*/children"):
        for child in map(int, children.read_text(encoding="ascii").split()):
            resource.prlimit(child, resource.RLIMIT_AS, (1 << 20, hard))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, hard))


def reach(point: str) -> str | None:
    """Arrive at `point`: do what is planned for this arrival, if anything."""
    action = due(point)
    return perform(action) if action else None


def plan(text: str) -> None:
    """Replace the plan, as if the process had been started with `RUNNER_FAULT=text` (for forked trials)."""
    global ACTIVE
    _faults.clear()
    _faults.update(_parse(text))
    _reached.clear()
    ACTIVE = bool(_faults)

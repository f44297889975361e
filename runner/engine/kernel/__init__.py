"""The compiled state-vector kernel; importing this package does not import Numba."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_CALLED_FIRST = {
    "loops": "energies",
    "pauli_loops": "pauli_moments",
    "propagation_loops": "propagate",
    "sector_loops": "sector_energies",
}
"""The modules with compiled loops: state vectors, density matrices as vectors of Pauli strings, sums of Pauli
strings, states on a few basis states."""
ROOM = 64 << 20
"""Bytes that there must be room for before a loop is compiled (LLVM takes up to 60 MB) or loaded.

Where LLVM finds none, the process ends, or hangs and keeps all others waiting for the lock that it holds."""
_log = logging.getLogger(__name__)
_lock = threading.Lock()
_ready: dict[tuple[str, str], Any] = {}


@lru_cache(maxsize=1)
def available() -> bool:
    """Is Numba installed? If not, say so once."""
    if find_spec("numba") is not None:
        return True
    warnings.warn("numba is not installed: circuits are simulated on Aer, several times slower", stacklevel=3)
    return False


def loop(name: str, home: str = "loops") -> Callable[..., Any]:
    """A module's compiled loop; the first use on a machine compiles it (2 to 10 seconds), then it is on disk."""
    found = _ready.get((home, name))
    return found if found is not None else partial(_first_call, home, name)


def _first_call(home: str, name: str, *arguments: Any) -> Any:
    """Of many processes that need a loop on a new machine one compiles it; the others wait and find it on disk.

    Raises:
        MemoryError: there is no room for that.
    """
    _require_room()
    import numba

    with _lock:
        found = getattr(_loaded(home), name)
        folder = found.stats.cache_path
        with _alone_in(folder) if folder and os.path.isdir(folder) else nullcontext():
            found.compile(tuple(numba.typeof(argument) for argument in arguments))
        _ready[home, name] = found
    return found(*arguments)


def _require_room() -> None:
    try:
        mmap.mmap(-1, ROOM).close()
    except OSError as error:
        raise MemoryError(f"no {ROOM >> 20} MiB to load compiled code into") from error


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Wait for other processes that say so too; file systems that know no such locks are no reason to fail."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@lru_cache
def _loaded(home: str) -> ModuleType:
    import numba

    here = Path(__file__).parent
    in_tree = here / "__pycache__" if (here / "__pycache__").exists() else here
    configuration: Any = numba.config
    if not (configuration.CACHE_DIR or os.access(in_tree, os.W_OK) or os.access(Path.home(), os.W_OK)):
        configuration.CACHE_DIR = str(_private_directory())
    loops = import_module(f"runner.engine.kernel.{home}")
    cached = getattr(loops, _CALLED_FIRST[home]).stats.cache_path
    if not cached or not any(Path(cached).glob(f"{home}.*.nbi")):
        _log.warning("compiling the kernel, once on this machine (5 to 15 seconds)")
    return loops


def _private_directory() -> Path:
    """A directory for compiled code that nobody else can write to, the same in the next process if it can be."""
    shared = Path(tempfile.gettempdir()) / f"runner-kernel-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    state = shared.lstat()
    if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077:
        return shared
    return Path(tempfile.mkdtemp(prefix="runner-kernel-"))

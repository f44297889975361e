"""The compiled state-vector kernel; importing this package does not import Numba."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import threading
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_log = logging.getLogger(__name__)
_lock = threading.Lock()


@lru_cache(maxsize=1)
def available() -> bool:
    """Is Numba installed? If not, say so once."""
    if find_spec("numba") is not None:
        return True
    warnings.warn("numba is not installed: circuits are simulated on Aer, several times slower", stacklevel=3)
    return False


def load() -> ModuleType:
    """The compiled loops; the first use on a machine compiles them (20 to 30 seconds), then they are on disk."""
    with _lock:
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> ModuleType:
    import numba

    here = Path(__file__).parent
    in_tree = here / "__pycache__" if (here / "__pycache__").exists() else here
    configuration: Any = numba.config
    if not (configuration.CACHE_DIR or os.access(in_tree, os.W_OK) or os.access(Path.home(), os.W_OK)):
        configuration.CACHE_DIR = str(_private_directory())
    from runner.engine.kernel import loops

    if not loops.energies.stats.cache_path or not any(
        Path(loops.energies.stats.cache_path).glob("loops.*.nbi")
    ):
        _log.warning("compiling the kernel, once on this machine (20 to 30 seconds)")
    return loops


def _private_directory() -> Path:
    """A directory for compiled code that nobody else can write to, the same in the next process if it can be."""
    shared = Path(tempfile.gettempdir()) / f"runner-kernel-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    state = shared.lstat()
    if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077:
        return shared
    return Path(tempfile.mkdtemp(prefix="runner-kernel-"))

"""The compiled state-vector kernel; importing this package does not import Numba."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

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
    """The compiled loops; the first use on a machine compiles them (about ten seconds), then they are on disk."""
    with _lock:
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> ModuleType:
    import numba

    here = Path(__file__).parent
    if not numba.config.CACHE_DIR:
        writable = os.access(here / "__pycache__" if (here / "__pycache__").exists() else here, os.W_OK)
        home = Path.home()
        if not writable and not os.access(home, os.W_OK):
            numba.config.CACHE_DIR = str(Path(tempfile.gettempdir()) / f"runner-kernel-{os.getuid()}")
    from runner.engine.kernel import loops

    if not loops.energies.stats.cache_path or not any(
        Path(loops.energies.stats.cache_path).glob("loops.*.nbi")
    ):
        _log.warning("compiling the kernel, once on this machine (about ten seconds)")
    return loops

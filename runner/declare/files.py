"""Files that the user names: ordinary, readable and not too large, or one line that says what is wrong."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from runner.declare.foreign import OLDEST_QPY, load_qpy
from runner.errors import ConfigError
from runner.record import files

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

MAX_BYTES = 50_000_000
"""No file that people write by hand or by program is larger."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Leave cyclic garbage alone meanwhile: a tree of a hundred thousand nodes or rows takes half as long to build."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_bytes(path: Path, key: str) -> bytes:
    """The content of a file the user named.

    Raises:
        ConfigError: it is missing, unreadable, too large, or a folder, pipe or device, which would never end.
    """
    try:
        return files.read_bytes(path, MAX_BYTES)
    except ConfigError as error:
        raise ConfigError(str(error), key=key) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path} cannot be read ({reason}); give an existing file", key=key) from error


def read_text(path: Path, key: str) -> str:
    """The text of a file the user named.

    Raises:
        ConfigError: it is missing, unreadable, too large or not UTF-8.
    """
    try:
        return read_bytes(path, key).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text (byte {error.start}); save it as UTF-8", key=key) from error


def fingerprint(path: Path, key: str) -> str:
    """A digest of the content of a file the user named.

    Raises:
        ConfigError: see `read_bytes`.
    """
    return blake2b(read_bytes(path, key), digest_size=16).hexdigest()


def qpy_circuits(path: Path, key: str) -> list[QuantumCircuit]:
    """The circuits of a QPY file.

    Raises:
        ConfigError: it is no QPY file, too old to be safe, or damaged.
    """
    content = read_bytes(path, key)
    if content[:6] != b"QISKIT" or len(content) < 7:
        raise ConfigError(f"{path} is no QPY file; write it with qiskit.qpy.dump", key=key)
    if content[6] < OLDEST_QPY:
        raise ConfigError(
            f"{path} has QPY version {content[6]}, and older than {OLDEST_QPY} can run code; dump it again",
            key=key,
        )
    return load_qpy(content, str(path), key)

"""Reading files that may be somebody else's: ordinary ones only, up to a size, never waiting; and replacing our own."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from yaml import Node

MAX_BYTES = 256 * 2**20
"""Largest file of a run or sweep directory that is read at once."""
MAX_LINE = 2**26
"""Longest line of a journal [bytes]: 16 million shots of three bytes; ours have a few megabytes at most, as a rule."""
MAX_VALUES = 2**22
"""Values that a line of a journal may hold; with 16 bytes and more each, as numbers have, they fill the longest one."""
MAX_DECLARED = 2**18
"""The same of its first line, which holds the configuration: that has at most `MAX_NODES`, and may be typed beside."""
MAX_YAML = 1_000_000
"""Largest YAML file."""
MAX_NODES = 100_000
"""Values that a YAML file may have once its aliases are written out."""


def open_ordinary(path: str | Path) -> int:
    """A descriptor to read a file with; a pipe, device or socket, which would never end, is not opened.

    Raises:
        ConfigError: it is no ordinary file.
        OSError: it is missing or unreadable.
    """
    require_ordinary(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _require_ordinary(path, os.fstat(descriptor))  # it may have been exchanged meanwhile
    except ConfigError:
        os.close(descriptor)
        raise
    return descriptor


def require_ordinary(path: str | Path) -> None:
    """Refuse a folder, pipe, device or socket.

    Raises:
        ConfigError: it is one.
        OSError: it is missing.
    """
    _require_ordinary(path, os.stat(path))


def _require_ordinary(path: str | Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
        raise ConfigError(f"{path} is {what}; give an existing file")


def share(descriptor: int, like: Path) -> None:
    """Give a new file, which its owner alone may read, the rights and owner of what it is to replace.

    Somebody else may go on with a run: a colleague in a folder that the group may write, or root. The run stays that
    of who began it.

    Args:
        descriptor: of the new file.
        like: what it comes in the place of; where there is none, what the folder's group may do counts.
    """
    folder = like.parent.stat()
    try:
        before = like.stat()
        mode = stat.S_IMODE(before.st_mode) & 0o666
    except FileNotFoundError:
        before = folder
        mode = 0o060 if folder.st_mode & stat.S_IWGRP else 0
    if mode | 0o600 != 0o600:
        os.fchmod(descriptor, mode | 0o600)
    if before.st_uid != os.geteuid():
        with contextlib.suppress(OSError):  # nobody but root may
            os.fchown(descriptor, before.st_uid, before.st_gid)


def replace_file(path: Path, content: Iterable[bytes], temporary: Path | None = None) -> None:
    """Replace a file in one step, so that a reader never sees half of it; see `share` for who may read it.

    Args:
        path: the file.
        content: pieces of it, in order.
        temporary: where it is written first, in the same folder; None: hidden beside it.

    Raises:
        StorageError: the disk refused; the old content is untouched.
    """
    temporary = temporary or path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            share(descriptor, path)
            file.writelines(content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def read_bytes(path: str | Path, most: int = MAX_BYTES) -> bytes:
    """The content of an ordinary file.

    Raises:
        ConfigError: it is no ordinary file, or larger than `most` bytes.
        OSError: it is missing or unreadable.
    """
    with os.fdopen(open_ordinary(path), "rb") as file:
        try:
            content = file.read(most + 1)
        except BlockingIOError as error:
            raise OSError(errno.EIO, "it has no content to read") from error
    if content is None or len(content) > most:
        raise ConfigError(f"{path} is larger than {most} bytes; give a smaller file")
    return content


def read_text(path: str | Path, most: int = MAX_BYTES) -> str:
    """The text of an ordinary file.

    Raises:
        ConfigError: it is no ordinary file, larger than `most` bytes, or not UTF-8.
        OSError: it is missing or unreadable.
    """
    try:
        return read_bytes(path, most).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text (byte {error.start}); save it as UTF-8") from error


def read_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in an ordinary file.

    Raises:
        ConfigError: it is no ordinary file, too large, or holds no JSON object.
        OSError: it is missing or unreadable.
    """
    return _object(path, read_text(path))


def read_first(path: str | Path) -> dict[str, Any]:
    """The JSON object in the first line of an ordinary file.

    Raises:
        ConfigError: it is no ordinary file, the line is too long, or holds no JSON object.
        OSError: it is missing or unreadable.
    """
    with os.fdopen(open_ordinary(path), "rb") as file:
        line = file.readline(MAX_BYTES)
    return _object(path, line.decode(errors="replace"))


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The lines of a CSV file under the names in its first.

    Raises:
        ConfigError: it is no ordinary file, too large, not UTF-8, or no CSV.
        OSError: it is missing or unreadable.
    """
    try:
        return list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise ConfigError(f"{path} is no CSV file ({error}); restore it") from error


def _object(path: str | Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged ({' '.join(str(error).split())[:80]}); restore it") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is damaged (it holds no JSON object); restore it")
    return content


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The YAML mapping in an ordinary file; empty where it holds nothing.

    Raises:
        ConfigError: it is no ordinary file, too large also once aliases are written out, or no YAML mapping.
        OSError: it is missing or unreadable.
    """
    import yaml

    try:
        text = read_bytes(path, MAX_YAML).decode()
    except UnicodeDecodeError as error:
        told = f"{path} is not UTF-8 text any more (byte {error.start}); restore it or delete it"
        raise ConfigError(told) from error
    try:
        _count(yaml.compose(text, yaml.SafeLoader), {})
        content = yaml.safe_load(text) or {}
    except ConfigError:
        raise ConfigError(
            f"{path} expands to more than {MAX_NODES} values; restore it or delete it"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as YAML; restore it or delete it") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no YAML mapping; restore it or delete it")
    return content


def require_short(text: str, what: str) -> None:
    """Refuse YAML that `read_mapping` would refuse for its size.

    Raises:
        ConfigError: it is too long, or has too many values.
    """
    import yaml

    if len(text) <= MAX_NODES:  # a value takes a character at least
        return
    if len(text.encode()) > MAX_YAML:
        raise ConfigError(f"{what} takes more than {MAX_YAML} bytes; put long lists into files")
    try:
        _count(yaml.compose(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), {})
    except ConfigError:
        raise ConfigError(f"{what} has more than {MAX_NODES} values; put long lists into files") from None


def _count(node: Node | None, known: dict[int, int]) -> int:
    """How many values a node has once every alias is written out; a node within itself recurses without end."""
    if node is None or not isinstance(node.value, list):
        return 1
    if id(node) not in known:
        parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    if known[id(node)] > MAX_NODES:
        raise ConfigError("too many values")
    return known[id(node)]

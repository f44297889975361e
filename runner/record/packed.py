"""The journal of a run that has finished, in a sixth of its bytes: `journal.jsonl.gz`, which every gzip program reads.

It is a chain of gzip members that hold `BLOCK` bytes each, the last one fewer, if need be none: a chain that ends
with a full one was cut off. A field of its own in each member's
header says how many bytes it takes, so that any part of the journal is had without reading what stands before it.

The journal is whole at every moment: a packed one is complete on the disk before the other one goes, and the other way
round. Where both are there, because a process was killed in between, `journal.jsonl` is the one that counts.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import struct
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from zlib import DEFLATED, Z_FILTERED, compressobj, crc32, decompressobj
from zlib import error as ZlibError

from runner.errors import ConfigError
from runner.record import faults
from runner.record.files import open_ordinary, share
from runner.record.lock import lives

SMALLEST = 1 << 16
"""Bytes from which on a journal is packed."""

BLOCK = 1 << 20
"""Bytes of the journal in one member; also the most that one of somebody else is unpacked to at a time."""

PIECE = 256
"""Bytes of a damaged member that are unpacked at a time."""

NOTHING = 2
"""Bytes that a member takes which holds none (RFC 1951: one block with fixed codes and its end)."""

OVERHEAD = 64
"""Bytes that a member takes at most beside nine bits for each of a block (RFC 1951: what fixed codes take)."""

LONG = 1, 8
"""Level and memory of a journal of more than four blocks: the fewest seconds; a smaller table loses nothing here."""

ROOM = 2
"""Times its size that has to be free on the disk where a journal is packed while it grows."""

MOST = 100
"""Times its size that a packed journal may have when it is unpacked; ours have 5 to 10 times."""

_HEAD = struct.Struct("<4sIBBH2sHII")
"""Magic and flags, time, hint, system; length of the field, its name, its length: bytes packed, bytes unpacked."""
_MAGIC, _FIELD = b"\x1f\x8b\x08\x04", b"RJ"
_TAIL = struct.Struct("<II")


def packed_path(path: Path) -> Path:
    """Where the journal that would be at `path` is when it is packed."""
    return path.with_name(f"{path.name}.gz")


def is_there(path: Path) -> bool:
    """Whether there is a journal at `path`, packed or not."""
    return path.is_file() or packed_path(path).is_file()


class OpenFile:
    """A file that is being read, closed when nobody looks at it any more."""

    fault: str | None = None
    """What is the matter with the bytes behind those that can be read."""

    def __init__(self, path: Path) -> None:
        """Raises an OSError where it cannot be opened."""
        self.path = path
        self.descriptor = open_ordinary(path)

    def read(self, count: int, offset: int) -> bytes:
        """`count` bytes at `offset`, or fewer when the file ends before."""
        chunks = []
        while count > 0:
            chunk = os.pread(self.descriptor, count, offset)
            if not chunk:
                break
            chunks.append(chunk)
            count -= len(chunk)
            offset += len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return os.fstat(self.descriptor).st_size

    @property
    def modified(self) -> float:
        """When it was written last, in Unix time."""
        return os.fstat(self.descriptor).st_mtime

    def line(self, most: int) -> bytes:
        """Its first line without the end, or as many bytes of it."""
        count = 1 << 12
        while True:
            start = self.read(min(count, most), 0)
            if b"\n" in start or len(start) < count:
                return start.partition(b"\n")[0]
            count *= 8

    def __del__(self) -> None:
        descriptor = self.__dict__.pop("descriptor", None)
        if descriptor is not None:
            os.close(descriptor)


class PackedFile(OpenFile):
    """A packed journal as if it were not; one block of it is kept in memory."""

    def __init__(self, path: Path) -> None:
        """Raises an OSError where it cannot be opened."""
        super().__init__(path)
        self._starts = array("Q")
        self._size = 0
        self._known = -1, b""
        self._look_through(super().size)

    @property
    def size(self) -> int:
        """The length of the journal in bytes, as far as it can be had."""
        return self._size

    def read(self, count: int, offset: int) -> bytes:
        """`count` bytes of the journal at `offset`, or fewer where it ends before or is damaged."""
        chunks = []
        while count > 0 and offset < self._size:
            number, skipped = divmod(offset, BLOCK)
            chunk = self._block(number)[skipped : skipped + count]
            if not chunk:
                break
            chunks.append(chunk)
            count -= len(chunk)
            offset += len(chunk)
        return b"".join(chunks)

    def _look_through(self, size: int) -> None:
        """Find the members, none of which is unpacked."""
        place, last = 0, BLOCK
        if not size:
            self.fault = f"{self.path.name} is empty"
        while place < size and self.fault is None:
            head = self._head(place)
            if head is None or last != BLOCK or (not head[1] and head[0] != NOTHING):
                self.fault = f"byte {place + 1} of {self.path.name} begins nothing that was packed here"
            elif place + _HEAD.size + head[0] + _TAIL.size > size:
                self.fault = f"{self.path.name} was cut off"
                self._starts.append(place)
                self._size += len(self._block(len(self._starts) - 1))
            elif self._size + head[1] > MOST * size:
                self.fault = f"{self.path.name} unpacks to more than {MOST} times its size"
            else:
                self._starts.append(place)
                last = head[1]
                self._size += last
                place += _HEAD.size + head[0] + _TAIL.size
        if last == BLOCK:
            self.fault = self.fault or f"{self.path.name} was cut off"

    def _head(self, place: int) -> tuple[int, int] | None:
        """Bytes that a member takes, and that it holds; None where there is no member of ours."""
        head = super().read(_HEAD.size, place)
        if len(head) < _HEAD.size:
            return None
        magic, *_, length, name, inner, taken, held = _HEAD.unpack(head)
        ours = (magic, length, name, inner) == (_MAGIC, 12, _FIELD, 8)
        # a header may claim anything, and what it claims is read at once
        return (taken, held) if ours and held <= BLOCK and taken <= BLOCK * 9 // 8 + OVERHEAD else None

    def _block(self, number: int) -> bytes:
        """What a member holds; of a damaged one what stands before the damage, whose lines are checked one by one."""
        if self._known[0] != number:
            place = self._starts[number]
            head = self._head(place)
            content, whole = (b"", False) if head is None else self._unpacked(place + _HEAD.size, *head)
            if not whole:
                self.fault = self.fault or f"block {number + 1} of {self.path.name} is damaged"
            self._known = number, content
        return self._known[1]

    def _unpacked(self, place: int, taken: int, held: int) -> tuple[bytes, bool]:
        """What can be had of a member's content, and whether that is all of it."""
        stream = super().read(taken + _TAIL.size, place)
        try:
            content = decompressobj(-15).decompress(stream[:taken], held)
        except ZlibError:
            return _before_damage(stream[:taken], held), False
        return content, stream[taken:] == _TAIL.pack(crc32(content), held) and len(content) == held


def _before_damage(stream: bytes, most: int) -> bytes:
    """What a damaged stream gives before it is found to be damaged."""
    unpacking = decompressobj(-15)
    content = bytearray()
    with contextlib.suppress(ZlibError):
        for start in range(0, len(stream), PIECE):
            if len(content) == most:
                break
            content += unpacking.decompress(stream[start : start + PIECE], most - len(content))
    return bytes(content)


def open_kept(path: Path) -> OpenFile:
    """The journal at `path`, packed or not, to be read.

    Raises:
        ConfigError: it is no ordinary file, or holds less than the packed one beside it.
        OSError: there is none, or it is unreadable.
    """
    try:
        found = OpenFile(path)
    except FileNotFoundError:
        if packed_path(path).exists():
            return PackedFile(packed_path(path))
        found = OpenFile(path)  # if it was just unpacked it is here
    require_no_less(path, found.size)
    return found


def require_no_less(path: Path, size: int) -> None:
    """Refuse a journal of `size` bytes beside a packed one that holds more, which no kill leaves.

    Raises:
        ConfigError: what to do.
    """
    packed = packed_path(path)
    try:
        held = PackedFile(packed).size
    except OSError:  # there is none, as nearly always
        return
    if size < held:
        raise ConfigError(
            f"{path} has {size} bytes, and {packed.name} beside it holds {held}: the shorter one is not of this run's "
            "end; move the wrong one away"
        )


class Begun:
    """The first blocks of a journal that is being gone on with, packed while it grows, in a file without a name.

    Args:
        path: of the journal.
        size: bytes of it that will stay as they are.

    Raises:
        OSError: the disk has no room for it, or refuses.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._source = OpenFile(path)
        if shutil.disk_usage(path.parent).free < ROOM * size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._file = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by `close`
        self._most = size // BLOCK
        self._end = 0
        self.blocks = 0
        """How many there are."""

    def next(self) -> bool:
        """Pack one more; whether there is another one.

        Raises:
            OSError: the disk refused, or the block would not be read back to the same bytes.
        """
        if self.blocks == self._most:
            return False
        block = self._source.read(BLOCK, self.blocks * BLOCK)
        member = _member(block, *LONG)
        self._file.seek(self._end)
        self._file.write(member)
        self._file.flush()
        kept = os.pread(self._file.fileno(), len(member), self._end)
        if len(block) != BLOCK or _held(kept) != block:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._end += len(member)
        self.blocks += 1
        return self.blocks < self._most

    def pieces(self) -> Iterator[bytes]:
        """All of them, as they are in a packed journal."""
        for place in range(0, self._end, BLOCK):
            yield os.pread(self._file.fileno(), min(BLOCK, self._end - place), place)

    def close(self) -> None:
        """Forget them; twice is harmless."""
        self._file.close()


def pack(path: Path, begun: Begun | None = None) -> bool:
    """Pack a journal that nobody writes, in place of it; whether that was done.

    A small one stays as it is, and so does one that would not be read back to the same bytes.

    Args:
        path: of the journal.
        begun: what is packed of it already.

    Raises:
        OSError: the disk refused; the journal is as it was.
    """
    source = OpenFile(path)
    if source.size < SMALLEST:
        return False
    target = packed_path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    done = 0 if begun is None else begun.blocks
    pieces = () if begun is None else begun.pieces()
    try:
        _write(temporary, itertools.chain(pieces, _members(source, done)), source)
        if not _same(source, PackedFile(temporary), done):
            return False
        if not os.path.samestat(os.fstat(source.descriptor), os.lstat(path)):  # it was replaced meanwhile
            return False
        temporary.replace(target)
        faults.reach("packed")
        _keep(target.parent)
        path.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def remove_orphans(path: Path) -> list[str]:
    """Remove what killed processes left of a journal that they were packing or unpacking; the names of these files."""
    names = (re.escape(packed_path(path).name), re.escape(path.name))
    orphan = re.compile(rf"\.(?:{'|'.join(names)})\.(\d{{1,9}})\.tmp")
    found = []
    for name in sorted(os.listdir(path.parent)):
        if (match := orphan.fullmatch(name)) is not None and not lives(int(match[1])):
            path.with_name(name).unlink(missing_ok=True)
            found.append(name)
    return found


def unpack(path: Path) -> None:
    """Put a packed journal back as it was, to be gone on with; what is damaged of it stays beside it.

    Raises:
        OSError: the disk refused; the packed journal is as it was.
    """
    source = PackedFile(packed_path(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, blocks(source), source)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(temporary, path)
        faults.reach("packed")
        _keep(path.parent)
        if source.fault is None:
            source.path.unlink(missing_ok=True)
        else:
            source.path.rename(source.path.with_name(f"{source.path.name}.damaged"))
    finally:
        temporary.unlink(missing_ok=True)


def blocks(source: OpenFile, offset: int = 0) -> Iterator[bytes]:
    """A file from some byte on, a piece at a time."""
    for place in range(offset, source.size, BLOCK):
        yield source.read(BLOCK, place)


def _members(source: OpenFile, done: int = 0) -> Iterator[bytes]:
    """What a journal is packed to, without the first blocks, which are done."""
    end = [] if source.size % BLOCK else [b""]
    level, memory = (9, 9) if source.size <= 4 * BLOCK else LONG
    for block in itertools.chain(blocks(source, done * BLOCK), end):
        yield _member(block, level, memory)


def _member(block: bytes, level: int, memory: int) -> bytes:
    packing = compressobj(level, DEFLATED, -15, memory, Z_FILTERED)
    content = packing.compress(block) + packing.flush()
    head = _HEAD.pack(_MAGIC, 0, 0, 255, 12, _FIELD, 8, len(content), len(block))
    return b"".join((head, content, _TAIL.pack(crc32(block), len(block))))


def _held(member: bytes) -> bytes:
    """What one of our own members holds."""
    return decompressobj(-15).decompress(member[_HEAD.size : -_TAIL.size])


def _same(one: OpenFile, other: OpenFile, done: int) -> bool:
    """Whether two journals are the same; of the first blocks that is known."""
    return one.size == other.size and all(
        mine == yours
        for mine, yours in zip(blocks(one, done * BLOCK), blocks(other, done * BLOCK), strict=True)
    )


def _write(path: Path, content: Iterator[bytes], like: OpenFile) -> None:
    """Write a file that is on the disk when this returns, and as old as another one."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        share(descriptor, like.path)
        file.writelines(content)
        file.flush()
        os.fsync(descriptor)
    os.utime(path, (like.modified, like.modified))


def _keep(folder: Path) -> None:
    """Ask the disk to keep what was named anew in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems have no such request, and need none
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The truth about a run on disk: one append-only file of events, written before anyone acts on the fact.

Every line is one JSON object ``{"seq", "t", "kind", …, "crc"}``. `seq` counts from 0, `t` is Unix time in
seconds, and `crc` is the CRC-32 of everything before it *and of all lines before that one*, so that a line
that was damaged, edited, dropped, repeated or taken from another journal is noticed. Floats are written in
the shortest form that reads back to the same bits; what JSON cannot say becomes "nan", "inf" or "-inf".

`write` hands the line to the operating system before it returns, so killing the process loses nothing; the
disk is asked to keep it (`fdatasync`) at most once a second, so a power cut may lose the last second. That
is also how soon it is noticed that somebody deleted, emptied or replaced the file.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from runner.errors import ConfigError, ConfigWarning, JournalChangedError, JournalError, StorageError
from runner.record import clock, faults
from runner.record.encoding import from_line, require_readable, to_line
from runner.record.events import RUN, Event, Result, RunEnded, RunStarted, Vocabulary
from runner.record.files import MAX_DECLARED, MAX_LINE, open_ordinary, require_ordinary, share
from runner.record.lock import lock
from runner.record.log import EventLog
from runner.record.packed import Begun, OpenFile, blocks, open_kept, packed_path, require_no_less, unpack
from runner.record.packed import pack as pack_file

FORMAT = 1
"""Version of the line format; the first line of every journal carries it."""

SYNC_INTERVAL = 1.0
"""Seconds between two requests to the disk to keep what was written."""

HURRY = 0.02
"""Seconds between events that follow each other fast."""

HURRIED = 8
"""After so many fast ones in a row, events that can wait are written together with the next one."""

CHUNK = 1 << 20
"""Bytes that are checked at a time."""

_MAGIC = b'{"journal":'
_FIRST = b'{"journal":%d,"seq":0,' % FORMAT
_LAST = 4096
"""Bytes at the end of a journal among which its last line is looked for."""
_TAIL = len(',"crc":"01234567"}')
ROOM = 128
"""Bytes and values of a line that are left for its number and checksum."""


@dataclass(frozen=True)
class JournalContents:
    """What can be trusted of a journal."""

    events: EventLog
    """The intact events, oldest first, without their checksums."""

    dropped: str | None = None
    """One line on what was left out and why; None when every byte was good."""


class Journal:
    """An open journal: exclusively ours, growing one event at a time; usable from several threads."""

    def __init__(
        self, path: Path, descriptor: int, reader: JournalReader, write: Callable[[int, bytes], int]
    ) -> None:
        self.path = path
        self.contents = JournalContents(reader.events, reader.dropped)
        self._descriptor = descriptor
        self._write = write
        self._next = len(reader.events)
        self._size = reader.offset
        self._crc = reader.crc
        self._lock = threading.Lock()
        self._synced = self._written = time.monotonic()
        self._hurried = 0
        self._failure: str | None = None
        self._waiting: list[bytes] = []
        self._found: JournalReader | None = None
        self._announced: list[bytes] = []
        self._touched: list[Callable[[], None]] = []
        last = reader.events[-1].t if reader.events else 0.0
        self._ahead = max(last - clock.now(), 0.0)  # where the clock was set back since another process wrote

    @classmethod
    def create(cls, path: str | Path, *, write: Callable[[int, bytes], int] = os.write) -> Self:
        """Start a new journal; the file must not exist."""
        path = Path(path)
        if packed_path(path).exists():
            raise JournalError(f"{packed_path(path)} exists already; choose another directory")
        descriptor = _open(path, os.O_CREAT | os.O_EXCL)
        return cls(path, descriptor, JournalReader(path), write)

    @classmethod
    def append_to(
        cls,
        path: str | Path,
        *,
        write: Callable[[int, bytes], int] = os.write,
        vocabulary: Vocabulary = RUN,
        at_once: bool = True,
    ) -> Self:
        """Continue a journal after its last intact event.

        A line cut off by a kill is removed. Damaged lines, and everything after them, are moved to a file
        beside the journal, so that nothing is destroyed. `contents` holds what was intact. A packed one is unpacked.

        Args:
            path: of the journal.
            write: writes to a file.
            vocabulary: the events it knows.
            at_once: Do this now; False: with the first event, and where none comes, the journal stays as it is.
        """
        path = Path(path)
        if not at_once and not path.exists():
            _require_no_link(path)
            if packed_path(path).exists():
                read_journal(path)
                reader = JournalReader(path, vocabulary)
                reader.scan()
                journal = cls(path, -1, reader, write)
                journal._found = reader
                return journal
        descriptor = _unpacked(path)
        try:
            reader = JournalReader(path, vocabulary)
            reader.scan()
            if not reader.events and not reader.resembles_journal():
                raise JournalError(f"{path} is not a journal, or its first line is damaged")
            if at_once:
                _mend(path, descriptor, reader)
        except OSError as error:
            os.close(descriptor)
            raise _storage_error(path, error) from error
        except JournalError:
            os.close(descriptor)
            raise
        journal = cls(path, descriptor, reader, write)
        journal._found = None if at_once else reader
        return journal

    @property
    def untouched(self) -> bool:
        """Whether the file is as it was found, and can be left so."""
        return self._found is not None

    @property
    def size(self) -> int:
        """Bytes of it that are intact and stay as they are."""
        return self._size

    def announce(self, *events: Event) -> None:
        """Append events just before the next one; where none comes, not at all."""
        with self._lock:
            self._announced += [to_line(event, clock.now() + self._ahead) for event in events]

    def when_touched(self, act: Callable[[], None]) -> None:
        """Call `act` before the first event is appended, or now where there is one."""
        with self._lock:
            if self.untouched:
                self._touched.append(act)
                return
        act()

    def _touch(self, found: JournalReader) -> None:
        """Make the file ready to be appended to, as it was found."""
        for act in self._touched:
            act()
        if self._descriptor < 0:  # it was packed, and nobody could be kept from it
            other = Journal.append_to(self.path)
            if other._crc != self._crc:
                other.close()
                raise JournalError(f"{self.path} has been written by another process meanwhile")
            self._descriptor, other._descriptor = other._descriptor, -1
            self._size = other._size
        else:
            _mend(self.path, self._descriptor, found)
        self._found = None

    def write(self, event: Event) -> int:
        """Append one event and return its number; when this returns, killing the process cannot lose it."""
        line = self._line(event)
        now = time.monotonic()
        with self._lock:
            self._hurried = self._hurried + 1 if now - self._written < HURRY else 0
            self._written = now
            self._waiting.append(line)
            return self._write_waiting()

    def write_later(self, event: Event) -> None:
        """Append one event, in a hurry only with the next one: for what can be worked out again from those before."""
        line = self._line(event)
        with self._lock:
            if self._failure:
                raise StorageError(self._failure)
            self._waiting.append(line)
            # A kill may cost what waits here, and a resumed run makes it again; no later line overtakes it.
            if self._hurried < HURRIED:
                self._write_waiting()

    def _line(self, event: Event) -> bytes:
        """What its line says behind its number and before its checksum."""
        line = to_line(event, clock.now() + self._ahead)
        try:
            require_readable(line, room=ROOM)
        except ValueError as error:
            raise StorageError(
                f"{self.path} takes no line {error}, and {event.kind} would be one ({len(line)} bytes); take fewer "
                "shots or points in a job"
            ) from error
        return line

    def _write_waiting(self) -> int:
        """Append what has been waiting, in one go, and return the number of the last event."""
        if self._failure:
            raise StorageError(self._failure)
        if self._found is not None:
            try:
                self._touch(self._found)
            except OSError as error:
                self._refuse(error)
                raise StorageError(str(self._failure)) from error
        waiting, self._waiting = self._announced + self._waiting, []
        self._announced = []
        if faults.ACTIVE:  # these concern one line
            for event in waiting:
                self._write_lines([event])
        else:
            self._write_lines(waiting)
        return self._next - 1

    def _write_lines(self, events: list[bytes]) -> None:
        crc, number = self._crc, self._next
        lines: list[bytes] = []
        for event in events:
            line = (
                b'{"seq":%d%b' % (number, event) if number else b'{"journal":%d,"seq":0%b' % (FORMAT, event)
            )
            crc = crc32(line, crc)
            lines += (line, b',"crc":"%08x"}\n' % crc)
            number += 1
        self._append(b"".join(lines))
        self._next, self._crc = number, crc

    def close(self) -> None:
        """Ask the disk to keep everything and let go of the file; closing twice is harmless."""
        with self._lock:
            if self._descriptor < 0:
                self._failure = self._failure or f"{self.path}: the journal is closed"
                return
            try:
                if not self._failure:
                    if self._waiting:
                        self._write_waiting()
                    self._sync()
            except OSError as error:
                self._refuse(error)
                raise StorageError(str(self._failure)) from error
            finally:
                os.close(self._descriptor)
                self._descriptor = -1
                self._failure = self._failure or f"{self.path}: the journal is closed"

    def _append(self, line: bytes) -> None:
        """Write whole lines or leave the file as it was."""
        try:
            if faults.ACTIVE:
                self._break_here(line)
            written = self._write(self._descriptor, line)
            while written < len(line):
                written += self._write(self._descriptor, line[written:])
            self._size += len(line)
            if faults.ACTIVE:
                faults.reach("after_journal")
            if time.monotonic() - self._synced > SYNC_INTERVAL:
                self._sync()
        except OSError as error:
            self._roll_back()
            self._refuse(error)
            raise StorageError(str(self._failure)) from error
        except BaseException:
            self._roll_back()
            raise

    def _break_here(self, line: bytes) -> None:
        """The fault points before a line: `before_journal`, and `mid_write` with half of it written."""
        faults.reach("before_journal")
        action = faults.due("mid_write")
        if action:
            os.write(self._descriptor, line[: len(line) // 2])
            faults.perform(action)

    def _sync(self) -> None:
        getattr(os, "fdatasync", os.fsync)(self._descriptor)
        self._synced = time.monotonic()
        fault = self._fault()
        if fault is not None:  # writing would go on without an error, and into nowhere
            self._failure = f"{self.path} {fault}"
            raise StorageError(self._failure)

    def _fault(self) -> str | None:
        """What somebody has done to the file while it was being written; None where it is there as it was written."""
        held = os.fstat(self._descriptor)
        if held.st_nlink == 0:
            return "was deleted while it was being written; what it held is lost"
        if self.untouched:  # what was cut off by a kill is still behind it
            return None
        if held.st_size < self._size:
            lost = self._size - held.st_size
            return f"was emptied or cut off while it was being written; {lost} bytes of it are lost"
        if held.st_size > self._size:
            return "was written into by another program; what stands there is not what was measured alone"
        try:
            there = os.lstat(self.path).st_size
        except OSError:
            if not self.path.parent.exists():  # the whole directory was moved, with all that is in it
                return None
            return "was moved away while it was being written; put it back to go on"
        if there != self._size:
            return "is another file than the one that is being written, which was moved away; put that back to go on"
        return None

    def _roll_back(self) -> None:
        """Remove what was written of a line that did not get through; a reader would skip it anyway."""
        try:
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> None:
        """Take no more events: a journal with a gap would be worse than one that ends early."""
        if not self._failure:
            self._failure = f"{_storage_error(self.path, error)}; the {self._next} events before it are kept"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JournalReader:
    """Finds the intact lines of a journal as they appear; the only place that knows how a line is checked."""

    def __init__(self, path: Path, vocabulary: Vocabulary = RUN) -> None:
        """Raises an OSError where there is nothing to be read."""
        self._file = open_kept(path)
        self.events = EventLog(self._file, vocabulary)
        self.offset = 0
        """Bytes of the file that have been read and found intact."""
        self.crc = 0
        self.damaged: str | None = None
        self._torn = 0

    def read(self) -> Iterator[Event]:
        """The events that have become readable since the last call."""
        return self.events.at(self.scan())

    def scan(self) -> range:
        """Check what has become readable since the last call; where its events are."""
        known = len(self.events)
        size = self._file.size
        if not self.damaged and size < self.offset:
            self.damaged = f"the file became shorter than the {known} events already read"
        reached, self._torn = self.offset, 0
        begun: list[bytes] = []
        while not self.damaged and reached < size:
            chunk = self._file.read(min(size - reached, CHUNK), reached)
            if not chunk:
                break
            reached += len(chunk)
            end = chunk.rfind(b"\n") + 1
            if end:
                self._take_in(b"".join((*begun, chunk[:end])))
                begun = []
            begun.append(chunk[end:])
            self._torn = sum(map(len, begun))
            if self._torn > MAX_LINE and not self.damaged:
                self.damaged = f"line {len(self.events) + 1} is longer than {MAX_LINE} bytes"
        self.damaged = self.damaged or self._file.fault
        return range(known, len(self.events))

    def _take_in(self, block: bytes) -> None:
        """Take in lines up to the first that is not intact, with `damaged` saying why it is not."""
        add, number = self.events.add, len(self.events)
        crc = self.events.add_all(block, self.crc) if number else None
        if crc is not None:
            self.crc = crc
            self.offset += len(block)
            return
        for line in block.split(b"\n")[:-1]:
            if len(line) > MAX_LINE:
                self.damaged = f"line {number + 1} is longer than {MAX_LINE} bytes"
                return
            crc = _follows(line, self.crc)
            if crc is None:
                self.damaged = f"line {number + 1} is damaged"
                return
            try:
                if not line.startswith(b'{"seq":%d,' % number if number else _FIRST):
                    self.damaged = f"line {number + 1} is out of order" if number else _another_version(line)
                    return
                add(line)
            except ValueError:  # its checksum is right all the same, so somebody made it by hand
                self.damaged = f"line {number + 1} is no event"
                return
            self.crc = crc
            self.offset += len(line) + 1
            number += 1

    def require_once(self) -> None:
        """Take for damage where one process tells a fact twice."""
        if (found := self.events.twice()) is not None:
            place, words = found
            self.events.keep(place)
            self.damaged = f"line {place + 1} {words}"

    @property
    def dropped(self) -> str | None:
        """One line on what had to be left out so far."""
        kept = f"the {len(self.events)} events before it are intact and were kept"
        if self.damaged:
            return f"{self.damaged}; {kept}"
        if self._torn:
            return f"line {len(self.events) + 1} was cut off while being written ({self._torn} bytes); {kept}"
        return None

    def resembles_journal(self) -> bool:
        """Whether a file without events is the start of a journal: empty, or cut off in its first line."""
        start = self._file.read(len(_MAGIC), 0)
        return not self.damaged and _MAGIC.startswith(start)


def is_begun(path: Path) -> bool:
    """Whether a journal has an event; one that was cut off before its first has none.

    Raises:
        JournalError: its first line is damaged, and what follows is not believed.
    """
    reader = JournalReader(path)
    reader.scan()
    if not reader.events and not reader.resembles_journal():
        raise JournalError(f"{path} is not a journal, or its first line is damaged")
    return bool(reader.events)


def read_journal(path: str | Path, *, once: bool = False) -> JournalContents:
    """The intact prefix of a journal, and a line on what had to be dropped.

    Args:
        path: of the journal.
        once: Also look for what is told twice, which takes as long again; a run that goes on compares all facts.
    """
    path = Path(path)
    try:
        reader = JournalReader(path)
        reader.scan()
    except OSError as error:
        raise JournalError(f"no journal can be read at {path}: {error.strerror}") from error
    except ConfigError as error:
        raise JournalError(f"no journal can be read at {path}: {error}") from error
    if once:
        reader.require_once()
    if not reader.events and reader.damaged and not path.exists():
        raise JournalError(
            f"{packed_path(path)} cannot be read: {reader.damaged}, and nothing before it is intact"
        )
    return JournalContents(reader.events, reader.dropped)


def read_telling(path: str | Path) -> EventLog:
    """The intact events of a journal, with a warning of what had to be dropped."""
    contents = read_journal(path, once=True)
    if contents.dropped and not is_open(path):  # who writes it may be within a line
        warnings.warn(f"{path}: {contents.dropped}", ConfigWarning, stacklevel=3)
    return contents.events


def tell_damage(path: str | Path) -> bool:
    """Warn of what cannot be read of a journal, where what was written beside it is shown; whether there is such."""
    try:
        told = read_journal(path, once=True).dropped
    except JournalError as error:
        told = str(error)
    else:
        told = None if told is None or is_open(path) else f"{path}: {told}"
    if told:
        warnings.warn(told, ConfigWarning, stacklevel=3)
    return bool(told)


def opening(path: str | Path) -> RunStarted | None:
    """What the first line of a journal says of the run; only this line is read, and None where it is damaged."""
    line = open_kept(Path(path)).line(MAX_LINE)
    with contextlib.suppress(ValueError):
        require_readable(line, most=MAX_DECLARED)
        if line.startswith(_FIRST) and _follows(line, 0) is not None:
            event = from_line(line)
            return event if isinstance(event, RunStarted) else None
    return None


def follow(
    path: str | Path, *, poll: float = 0.05, stop: Callable[[], bool] | None = None
) -> Iterator[Event]:
    """Yield events as they are written, until the writer lets go of the journal or `stop()` says so."""
    reader = JournalReader(Path(path))
    while True:
        ended = not is_open(path) or (stop is not None and stop())
        yield from reader.read()
        if ended or reader.damaged:
            return
        time.sleep(poll)


def ending(path: str | Path) -> RunEnded | None:
    """How the run ended, where the last line of its journal says so; only the end of the file is read."""
    *_, last = (b"", *_last_lines(open_kept(Path(path)), 1))
    with contextlib.suppress(ValueError):  # a line that was cut off
        event = from_line(last)
        return event if isinstance(event, RunEnded) else None
    return None


def result_at_end(path: str | Path) -> Mapping[str, Any] | None:
    """What a journal that has come to the end of its run tells as the result; only the end of the file is read.

    None where it ends with anything else, a line whose checksum is not right included.
    """
    lines = _last_lines(open_kept(Path(path)), 3)
    if len(lines) < 3:
        return None
    before, told, ended = lines[-3:]
    with contextlib.suppress(ValueError):
        seed = int(before[-_TAIL:][len(',"crc":"') : -len('"}')], 16)
        crc = _follows(told, seed)
        if crc is not None and _follows(ended, crc) is not None and isinstance(from_line(ended), RunEnded):
            event = from_line(told)
            return event.result if isinstance(event, Result) else None
    return None


def _last_lines(file: OpenFile, least: int) -> list[bytes]:
    """Lines at the end of a file, of which at least so many are whole, if it has them; each is one, however long."""
    size, count = file.size, _LAST
    while True:
        lines = file.read(min(count, size), max(0, size - count)).splitlines()
        if len(lines) > least or count >= min(size, MAX_LINE):  # the first one may have been cut off
            return lines
        count = min(16 * count, MAX_LINE)


def is_ended(path: str | Path) -> bool:
    """Whether the last line of a journal says how the run ended; only the end of the file is read."""
    return ending(path) is not None


def is_open(path: str | Path) -> bool:
    """Whether a living process is writing this journal; the kernel forgets the dead."""
    try:
        descriptor = open_ordinary(path)
    except FileNotFoundError:
        if packed_path(Path(path)).is_file():
            return False  # who wants to write it has to unpack it
        raise
    try:
        lock(descriptor, Path(path), shared=True)
    except BlockingIOError:
        return True
    except StorageError:
        return False  # where there are no locks nobody may write
    else:
        return False
    finally:
        os.close(descriptor)


def pack(path: Path, begun: Begun | None = None) -> bool:
    """Keep the journal of a run that has finished in fewer bytes; whether that was done: a small one stays as it is.

    Args:
        path: of the journal.
        begun: what is packed of it already.

    Raises:
        JournalError: somebody writes it.
        JournalChangedError: it is not what was written; it stays as it is.
        StorageError: the disk refused; the journal is as it was.
    """
    try:
        descriptor = open_ordinary(path)
    except FileNotFoundError:
        return False
    try:
        lock(descriptor, path, shared=True)  # shared, so that nobody who asks `is_open` takes us for a writer
        _require_whole(path, descriptor)
        return pack_file(path, begun)
    except BlockingIOError as error:
        raise JournalError(f"{path} is being written by another process") from error
    except OSError as error:
        raise _storage_error(path, error) from error
    finally:
        os.close(descriptor)


def _require_whole(path: Path, descriptor: int) -> None:
    """Refuse a journal of which a line does not follow from those before it; what they tell is not looked at.

    Raises:
        JournalChangedError: naming the line.
    """
    crc = 0
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        for number, line in enumerate(file, 1):
            found = _follows(line[:-1], crc)
            if found is None or not line.endswith(b"\n"):
                what = "is damaged" if line.endswith(b"\n") else "is cut off"
                raise JournalChangedError(
                    f"{path}: line {number} {what}; it was changed while the run went on"
                )
            crc = found


def _follows(line: bytes, crc: int) -> int | None:
    """The checksum of a line that is intact behind one with this checksum; None where it is not."""
    crc = crc32(line[:-_TAIL], crc)
    return crc if line.endswith(b',"crc":"%08x"}' % crc) else None


def _require_no_link(path: Path) -> None:
    for one in (path, packed_path(path)):
        if one.is_symlink():
            raise JournalError(
                f"{one} is a link, through which nothing is written; put the journal itself there"
            )


def _mend(path: Path, descriptor: int, reader: JournalReader) -> None:
    """Leave only what is intact, to append to it; what is damaged stays beside it."""
    if reader.damaged:
        _set_aside(path, reader.offset)
    os.ftruncate(descriptor, reader.offset)
    os.lseek(descriptor, 0, os.SEEK_END)


def _unpacked(path: Path) -> int:
    """Open a journal to go on with it, also one that is packed; none through a link, which may lead anywhere."""
    _require_no_link(path)
    while True:
        if not path.exists():
            try:
                with contextlib.suppress(FileNotFoundError):
                    if packed_path(path).exists():
                        read_journal(path)  # what is no journal any more stays as it is
                    unpack(path)
            except OSError as error:
                raise _storage_error(path, error) from error
        descriptor = _open(path, 0)
        if os.fstat(descriptor).st_nlink:
            try:
                require_no_less(path, os.fstat(descriptor).st_size)
            except ConfigError as error:
                os.close(descriptor)
                raise JournalError(str(error)) from error
            return descriptor
        os.close(descriptor)  # it was packed while we waited for its lock


def _open(path: Path, flags: int) -> int:
    """Open `path` for appending and lock it against every other writer."""
    try:
        if not flags:
            require_ordinary(path)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    except ConfigError as error:
        raise JournalError(str(error)) from error
    except FileExistsError as error:
        raise JournalError(f"{path} exists already; resume it or choose another directory") from error
    except FileNotFoundError as error:
        if flags:
            raise StorageError(f"{path.parent} does not exist") from error
        raise JournalError(f"there is no journal at {path}") from error
    except OSError as error:
        raise _storage_error(path, error) from error
    try:
        lock(descriptor, path, wait=0.4)  # a reader asking `is_open` holds it for microseconds
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalError(f"{path} is being written by another process") from error
    except StorageError:
        os.close(descriptor)
        if flags:
            path.unlink()
        raise
    return descriptor


def _another_version(line: bytes) -> str:
    return f"written by another version (format {from_line(line).journal}, this version reads {FORMAT})"


def _set_aside(path: Path, offset: int) -> None:
    """Keep the bytes after `offset` in a file of their own before they are cut off."""
    source = OpenFile(path)
    aside = path.with_name(f"{path.name}.dropped-{offset}")
    with os.fdopen(
        os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb"
    ) as file:
        share(file.fileno(), path)
        file.writelines(blocks(source, offset))


def _storage_error(path: Path, error: OSError) -> StorageError:
    """The user's view of an operating system error."""
    return StorageError(f"{path}: {(error.strerror or str(error)).lower()}")

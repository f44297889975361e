"""Packed journals: gzip reads what they hold, a break at any moment loses nothing, damage is never believed."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run
from runner.__main__ import main
from runner.errors import JournalError, StorageError
from runner.record import packed
from runner.record.events import Event, RunEnded
from runner.record.journal import Journal, ending, follow, is_open, opening, pack, read_journal, read_telling
from runner.run import packing
from tests.journals import told

EVENTS = 60


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of half a kilobyte, so that a short journal has many."""
    monkeypatch.setattr(packed, "BLOCK", 512)
    monkeypatch.setattr(packed, "SMALLEST", 0)


def journal_of(folder: Path) -> Path:
    """A journal of one run, which ended."""
    path = folder / "journal.jsonl"
    with Journal.create(path) as journal:
        for number in range(EVENTS):
            journal.write(told(f"kind-{number % 3}", {"number": number, "text": "x" * (7 * number % 90)}))
        journal.write(RunEnded(status="finished", stop_reason="converged", exit_code=0))
    os.utime(path, (1.7e9, 1.7e9))
    return path


def packed_journal(folder: Path) -> tuple[Path, list[Event], bytes]:
    """A journal's path, its events, and the bytes of the file that it was packed to."""
    path = journal_of(folder)
    events = list(read_journal(path).events)
    pack(path)
    return path, events, packed.packed_path(path).read_bytes()


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda content: content.replace(b'"number":7,', b'"number":8,'), 8),
        (lambda content: bytes(300) + content[300:], 1),
        (lambda content: content[:-5], EVENTS + 1),
        (lambda content: content[: content.index(b"\n") + 1] + content, 2),
    ],
    ids=["edited", "blank", "cut", "repeated"],
)
def test_what_is_no_whole_journal_is_not_packed(
    tmp_path: Path, small_blocks: None, harm: Any, line: int
) -> None:
    """Packing takes the place of the file: what somebody has changed stays as it is, and the line is named."""
    path = journal_of(tmp_path)
    changed = harm(path.read_bytes())
    path.write_bytes(changed)

    with pytest.raises(StorageError, match=f"line {line} is (damaged|cut off)") as caught:
        pack(path)
    assert caught.value.exit_code == 5
    assert path.read_bytes() == changed
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StorageError, match=f"line {line} "):
        packing.Packing(path).finish()


def test_a_packed_journal_is_what_gzip_takes_it_for(tmp_path: Path, small_blocks: None) -> None:
    """Python's own gzip reads the same bytes, which are fewer; the journal reads the same both ways."""
    path = journal_of(tmp_path)
    content, events = path.read_bytes(), list(read_journal(path).events)
    pack(path)
    (found,) = tmp_path.iterdir()

    assert found.name == "journal.jsonl.gz"
    assert gzip.decompress(found.read_bytes()) == content
    assert found.stat().st_mtime == 1.7e9
    assert found.stat().st_mode & 0o077 == 0
    contents = read_journal(path)
    assert contents.dropped is None
    assert list(contents.events) == events
    assert list(reversed(contents.events)) == events[::-1]
    assert ending(path) == events[-1]
    assert opening(path) is None  # its first event is no run's start
    assert not is_open(path)
    assert list(follow(path)) == events


def test_a_small_journal_stays_as_it_is(tmp_path: Path) -> None:
    """There is nothing to be gained below the size of a few blocks of the disk."""
    path = journal_of(tmp_path)
    pack(path)

    assert path.is_file()
    assert path.stat().st_size < packed.SMALLEST


def test_going_on_with_a_packed_journal_unpacks_it(tmp_path: Path, small_blocks: None) -> None:
    """It is as if it had never been packed, and nobody packs what is being written."""
    path = journal_of(tmp_path)
    content = path.read_bytes()
    pack(path)
    with Journal.append_to(path) as journal:
        with pytest.raises(JournalError, match="being written by another process"):
            pack(path)
        assert path.read_bytes() == content
        journal.write(told("more", {"a": 1}))
    pack(path)

    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl.gz"]
    assert len(read_journal(path).events) == EVENTS + 2
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path)


@pytest.mark.parametrize("packing", [True, False])
def test_a_break_at_any_step_loses_nothing(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch, packing: bool
) -> None:
    """Every call into the system is the last one once; the journal is whole, and the next one comes through."""
    steps = ("open", "write", "fsync", "utime", "replace", "rename", "link", "unlink")
    for step in steps:
        for error in (KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")):
            folder = tmp_path / f"{step}-{type(error).__name__}"
            folder.mkdir()
            path = journal_of(folder)
            content = path.read_bytes()
            if not packing:
                pack(path)

            def work(path: Path = path) -> None:
                if packing:
                    pack(path)
                else:
                    Journal.append_to(path).close()

            with monkeypatch.context() as patch:
                _break(patch, step, error)
                with contextlib.suppress(KeyboardInterrupt, StorageError):
                    work()
            kept = packed.open_kept(path)
            assert kept.read(kept.size, 0) == content, (step, error)
            work()
            kept = packed.open_kept(path)
            assert kept.read(kept.size, 0) == content, (step, error)


def test_resume_packs_what_a_killed_process_left_unpacked(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal that was not packed yet, and half of a packed one of a process that is gone."""
    monkeypatch.setattr(packed, "SMALLEST", 1)
    run(compose("optimizer.max_evaluations=3", "run.figures=false", "tracking=off"), directory="run")
    path = Path("run/journal.jsonl")
    content = gzip.decompress(packed.packed_path(path).read_bytes())
    path.write_bytes(content)
    process = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = path.with_name(f".journal.jsonl.gz.{int(process.stdout)}.tmp")
    ours = path.with_name(f".journal.jsonl.gz.{os.getpid()}.tmp")
    dead.write_bytes(b"half")
    packed.packed_path(path).unlink()

    assert main(["resume", "run"]) == 0
    assert "packed run/journal.jsonl" in capsys.readouterr().out
    assert not path.exists()
    assert not dead.exists()
    assert gzip.decompress(packed.packed_path(path).read_bytes()) == content
    ours.write_bytes(b"going on")
    assert main(["resume", "run"]) == 2
    assert "there is nothing to resume" in capsys.readouterr().err
    assert ours.exists()


def _break(patch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    """Let one kind of call into the system fail, before anything is done."""

    def broken(*_args: object, **_more: object) -> None:
        raise error

    if step == "write":
        patch.setattr(packed, "_members", broken)
        patch.setattr(packed, "blocks", broken)
    elif step in ("replace", "rename", "unlink"):
        patch.setattr(packed.Path, step, broken)
    elif step == "open":
        patch.setattr(packed, "_write", broken)
    else:
        patch.setattr(packed.os, step, broken)


def test_K17_a_damaged_packed_journal_is_believed_up_to_the_damage(
    tmp_path: Path, small_blocks: None
) -> None:
    """Cut off or with a bit flipped anywhere: what is read was written, and what is missing is told."""
    path, events, whole = packed_journal(tmp_path)
    file = packed.packed_path(path)
    rng = random.Random(5)
    for number in range(300):
        content = bytearray(whole)
        place = rng.randrange(len(content))
        if number % 3:
            content[place] ^= 1 << rng.randrange(8)
        else:
            del content[place:]
        file.write_bytes(content)
        try:
            contents = read_journal(path)
        except JournalError:
            assert place < len(whole) / 8, "nothing is left, and the damage is far behind"
            continue
        assert list(contents.events) == events[: len(contents.events)]
        assert contents.dropped or len(contents.events) == len(events), (number, place)


def test_K17_a_packed_journal_that_ends_between_two_blocks_is_told(
    tmp_path: Path, small_blocks: None
) -> None:
    """Every boundary of gzip members, found by Python's own zlib: only the last one is an end."""
    path, events, whole = packed_journal(tmp_path)
    file = packed.packed_path(path)
    place, ends = 0, []
    while place < len(whole):
        member = zlib.decompressobj(wbits=31)
        member.decompress(whole[place:])
        place = len(whole) - len(member.unused_data)
        ends.append(place)
    assert len(ends) > 5

    for end in ends[1:-1]:
        file.write_bytes(whole[:end])
        contents = read_journal(path)
        assert contents.dropped is not None
        assert len(contents.events) < len(events)
    file.write_bytes(whole)
    assert read_journal(path).dropped is None


@pytest.mark.parametrize("more", [0, 1])
def test_K17_a_journal_of_whole_blocks_has_an_end_too(tmp_path: Path, small_blocks: None, more: int) -> None:
    """A member with nothing in it: as gzip reads it, and nothing is taken for cut off."""
    path = journal_of(tmp_path)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b" " * (-(size + 1) % 512 + more) + b"\n")
    content = path.read_bytes()
    assert len(content) % 512 == more

    packed.pack(path)  # whatever stands in it

    file = packed.packed_path(path)
    kept = packed.open_kept(path)
    assert gzip.decompress(file.read_bytes()) == content == kept.read(kept.size, 0)
    assert kept.fault is None


def test_K17_of_a_block_that_is_cut_off_the_lines_before_are_read(tmp_path: Path) -> None:
    """A run of one block that lost its second half keeps about the first half of its events; going on keeps both."""
    path = journal_of(tmp_path)
    events = list(read_journal(path).events)
    packed.packed_path(path).write_bytes(b"".join(packed._members(packed.OpenFile(path))))
    path.unlink()
    file = packed.packed_path(path)
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], content[: len(content) // 2] + bytes(len(content) // 2)):
        file.write_bytes(damaged)
        contents = read_journal(path)

        assert EVENTS / 6 < len(contents.events) < EVENTS
        assert list(contents.events) == events[: len(contents.events)]
        assert contents.dropped


@pytest.mark.parametrize(
    "content",
    [b"", b"\x1f\x8b" + bytes(99), gzip.compress(b'{"journal":1}\n')],
    ids=["empty", "rubbish", "another"],
)
def test_K17_a_packed_journal_of_nothing_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """Neither who reads nor who goes on takes it for a run that has recorded nothing."""
    path = tmp_path / "journal.jsonl"
    packed.packed_path(path).write_bytes(content)
    for look in (read_journal, read_telling, Journal.append_to):
        with pytest.raises(JournalError, match=r"journal\.jsonl\.gz cannot be read: "):
            look(path)

    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl.gz"]
    assert packed.packed_path(path).read_bytes() == content


def test_K17_a_journal_that_holds_less_than_the_packed_one_beside_it_is_refused(
    tmp_path: Path, small_blocks: None
) -> None:
    """A kill leaves both with as much in the unpacked one, or more; less is somebody's copy of another moment."""
    path = journal_of(tmp_path)
    content = path.read_bytes()
    pack(path)
    path.write_bytes(content)
    assert len(read_journal(path).events) == EVENTS + 1
    for less in (b"", content[:700]):
        path.write_bytes(less)
        for look in (read_journal, Journal.append_to):
            with pytest.raises(JournalError, match="move the wrong one away"):
                look(path)
        assert path.read_bytes() == less


def test_what_is_damaged_of_a_packed_journal_is_kept(tmp_path: Path, small_blocks: None) -> None:
    """Going on takes the intact events; the packed one stays under another name."""
    path = journal_of(tmp_path)
    pack(path)
    file = packed.packed_path(path)
    content = file.read_bytes()[:-60]
    file.write_bytes(content)
    known = len(read_journal(path).events)
    with Journal.append_to(path) as journal:
        assert 0 < len(journal.contents.events) == known <= EVENTS

    assert (tmp_path / "journal.jsonl.gz.damaged").read_bytes() == content


def member(content: bytes, claimed: int | None = None) -> bytes:
    """A gzip member (RFC 1952) with the field that ours have; it may claim to hold another number of bytes."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packing.compress(content) + packing.flush()
    held = len(content) if claimed is None else claimed
    field = b"RJ" + struct.pack("<HII", 8, len(body), held)
    return (
        b"\x1f\x8b\x08\x04"
        + bytes(6)
        + struct.pack("<H", len(field))
        + field
        + body
        + struct.pack("<II", zlib.crc32(content), len(content))
    )


def test_K17_a_packed_journal_unpacks_to_a_bounded_size(tmp_path: Path) -> None:
    """Zeros a thousandfold packed, more than was claimed, another program's gzip, rubbish: one line each."""
    path = tmp_path / "journal.jsonl"
    zeros = bytes(packed.BLOCK)
    for content, words in {
        member(zeros) * 64: "unpacks to more than 100 times its size",
        member(os.urandom(1000) + zeros, 1010): "is damaged",
        gzip.compress(b'{"journal":1,"seq":0}\n' * 99): "begins nothing that was packed here",
        b"\x1f\x8b" + os.urandom(300): "begins nothing that was packed here",
        member(os.urandom(99), 0): "begins nothing that was packed here",
    }.items():
        packed.packed_path(path).write_bytes(content)
        with pytest.raises(JournalError, match=words):
            read_journal(path)


def test_K17_what_a_member_claims_to_take_is_not_read_before_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three gigabytes of a file that takes a few on the disk, behind nothing and behind a whole block."""
    path = tmp_path / "journal.jsonl"
    block = os.urandom(packed.BLOCK)
    asked: list[int] = []
    read = packed.OpenFile.read

    def counted(self: packed.OpenFile, count: int, offset: int) -> bytes:
        asked.append(count)
        return read(self, count, offset)

    monkeypatch.setattr(packed.OpenFile, "read", counted)
    for before in (b"", member(block)):
        head = bytearray(member(b"x")[: 12 + 12])
        head[16:20], head[20:24] = struct.pack("<I", 3_000_000_000), struct.pack("<I", packed.BLOCK)
        with packed.packed_path(path).open("wb") as file:
            file.write(before + head)
            file.truncate(3_000_000_000 + 3 * packed.BLOCK)
        with pytest.raises(JournalError, match=r"begins nothing that was packed here|line 1 is damaged"):
            read_journal(path)
    assert 0 < max(asked) < 2 * packed.BLOCK


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_block_that_cannot_be_packed_is_still_a_block(tmp_path: Path, level: int) -> None:
    """Random bytes, stored or with codes: no member is too long to be one of ours."""
    content = os.urandom(packed.BLOCK)
    packing = zlib.compressobj(
        level, zlib.DEFLATED, -15, 9, zlib.Z_FIXED if level else zlib.Z_DEFAULT_STRATEGY
    )
    body = packing.compress(content) + packing.flush()
    whole = bytearray(member(content))
    tail = whole[-8:]
    field = b"RJ" + struct.pack("<HII", 8, len(body), len(content))
    file = tmp_path / "journal.jsonl.gz"
    file.write_bytes(bytes(whole[:12]) + field + body + bytes(tail) + member(b""))
    found = packed.PackedFile(file)
    assert found.read(found.size, 0) == content
    assert found.fault is None


def test_every_verb_that_reads_a_journal_tells_that_it_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    """One bit among the jobs of a finished run: one line each on stderr, and `retime` does not call it finished.

    `list` shows what the journal's end confirms, and that is what it was.
    """
    folder = tmp_path / "run"
    quick = ("estimator=exact", "optimizer=cobyla", "optimizer.max_evaluations=9")
    result = run(compose(*quick, "tracking=off", "run.figures=false"), directory=str(folder))
    file = folder / "journal.jsonl.gz"
    content = bytearray(file.read_bytes())
    content[len(content) * 2 // 5] ^= 1
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "run"]) == result.exit_code == 0
    assert "damaged" not in capsys.readouterr().err
    assert main(["list", "."]) == 0
    listed = capsys.readouterr()
    file.write_bytes(content)
    assert main(["list", "."]) == 0
    assert capsys.readouterr() == listed
    assert "finished" in listed.out
    for words in (
        ("watch", "run"),
        ("compare", "run", "run"),
        ("export", "run", "--format=evaluations"),
        ("retime", "run", "session=batch"),
        ("report", "run"),
    ):
        assert main(list(words)) == 0
        told = capsys.readouterr()
        (line,) = [line for line in told.err.splitlines() if line.startswith("warning: ")]
        assert "the events before it are intact" in re.sub(r"the \d+ events", "the events", line)
        if words[0] == "retime":
            assert re.search(r"would have finished +no +as far as recorded", told.out)
            assert "had not finished, as far as its journal can be read" in " ".join(told.out.split())


def begun(path: Path) -> packed.Begun:
    """All blocks that are there of a journal, packed."""
    found = packed.Begun(path, path.stat().st_size)
    while found.next():
        pass
    return found


def test_what_was_packed_while_a_journal_grew_is_taken_over(tmp_path: Path, small_blocks: None) -> None:
    """Python's own gzip finds the journal as it is in the end, and the bytes are those of packing it at once."""
    path = journal_of(tmp_path)
    early = begun(path)
    with Journal.append_to(path) as journal:
        for number in range(40):
            journal.write(told("more", {"number": number}))
    content = path.read_bytes()
    at_once = tmp_path / "other" / "journal.jsonl"
    at_once.parent.mkdir()
    at_once.write_bytes(content)
    pack(at_once)
    members = []
    with pytest.MonkeyPatch.context() as patch:
        member = packed._member
        patch.setattr(packed, "_member", lambda *args: members.append(1) or member(*args))
        pack(path, early)
    early.close()

    assert early.blocks > 5
    assert len(members) <= len(content) // 512 + 1 - early.blocks
    assert gzip.decompress(packed.packed_path(path).read_bytes()) == content
    assert packed.packed_path(path).read_bytes() == packed.packed_path(at_once).read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["journal.jsonl.gz", "other"]


def test_nothing_is_packed_beside_where_the_disk_has_no_room(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room belongs to the run; it is all done at the end, or not at all."""
    path = journal_of(tmp_path)
    size = path.stat().st_size
    monkeypatch.setattr(packed.shutil, "disk_usage", lambda _: packed.shutil._ntuple_diskusage(1, 1, size))
    with pytest.raises(OSError, match="No space left"):
        packed.Begun(path, size)
    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl"]


@pytest.mark.parametrize("fault", ["none", "disk", "thread", "memory"])
def test_a_run_that_goes_on_is_packed_as_if_nothing_had_been_begun(
    workdir: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """A run that was killed before its end; with no disk, no thread and no memory for what is done beside."""
    monkeypatch.setattr(packing, "LEAST", 1)
    run(compose("optimizer.max_evaluations=40", "run.figures=false", "tracking=off"), directory="run")
    path = Path("run/journal.jsonl")
    whole = gzip.decompress(packed.packed_path(path).read_bytes())
    path.write_bytes(whole[: whole.rindex(b'{"seq":', 0, len(whole) * 4 // 5)])
    packed.packed_path(path).unlink()
    kept, taken = path.read_bytes(), []
    if fault == "disk":
        monkeypatch.setattr(packed.Begun, "next", _raising(OSError(errno.EIO, "Input/output error")))
    elif fault == "memory":
        monkeypatch.setattr(packed.Begun, "next", _raising(MemoryError()))
    elif fault == "thread":
        monkeypatch.setattr(packing, "Background", _raising(MemoryError()))
    finish = packed.pack
    monkeypatch.setattr(
        "runner.record.journal.pack_file",
        lambda path, begun=None: taken.append(begun and begun.blocks) or finish(path, begun),
    )
    assert main(["resume", "run"]) == 0

    content = gzip.decompress(packed.packed_path(path).read_bytes())
    assert content.startswith(kept)
    assert len(read_journal(path).events) == whole.count(b"\n") + 1  # that it was resumed
    (early,) = taken
    assert (0 < early <= len(kept) // 512) if fault == "none" else not early
    assert not path.exists()


def _raising(error: BaseException) -> Any:
    def broken(*_args: object, **_more: object) -> None:
        raise error

    return broken

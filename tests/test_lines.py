"""Lines that are checked many at a time: what comes out is what line by line comes out, whatever was done to them."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.record import journal as journals
from runner.record import lines, log
from runner.record.events import JobCompleted
from runner.record.journal import JournalReader
from runner.record.log import EventLog


def written(bodies: list[bytes]) -> list[bytes]:
    """Lines as a journal has them, by the rule in `runner.record.journal`: each checksum is of all before it."""
    crc, result = 0, []
    for number, body in enumerate(bodies):
        line = (b'{"journal":1,"seq":0%b' if not number else b'{"seq":%d%%b' % number) % body
        crc = crc32(line, crc)
        result.append(line + b',"crc":"%08x"}\n' % crc)
    return result


def body(random_: random.Random) -> bytes:
    """What a line says: mostly as ours, sometimes as somebody else's."""
    kind = random_.choice([b"evaluation", b"job.completed", b"iteration", b"x"])
    said = b',"text":"%b"' % (b"y" * random_.randrange(40, 120))
    what = random_.randrange(200)
    if what == 0:
        said += b',"deep":' + b"[" * 70 + b"]" * 70
    elif what == 1:
        said += b',"many":[' + b",".join([b"[]"] * 80) + b"]"
    elif what == 2:
        return b',"t":1.5%b,"kind":"%b"' % (said * 2, kind)  # further behind than it is looked for
    elif what == 3:
        said += b',"simulation_failed":true'
    elif what == 4:
        return b',"kind":"%b"' % kind
    return b',"t":17%d.25,"kind":"%b"%b' % (random_.randrange(10**8), kind, said)


def found(content: bytes, least: int) -> tuple[Any, ...]:
    """What a reader makes of a file, and how many lines it checked by itself."""
    one_by_one = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        add = EventLog.add
        patch.setattr(EventLog, "add", lambda self, line: one_by_one.append(1) or add(self, line))
        patch.setattr(log, "LEAST", least)
        patch.setattr(journals, "CHUNK", 4000)
        path = Path(folder, "journal.jsonl")
        path.write_bytes(content)
        reader = JournalReader(path)
        reader.scan()
        events = reader.events
        places = list(events.places(JobCompleted))
        told = (
            len(events), reader.offset, reader.crc, reader.damaged, reader.dropped, list(events._starts),
            [fact.kind for fact in events.facts()], [events.text(place) for place in places], list(events.spoiled),
        )  # fmt: skip
    return *told, len(one_by_one)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 1200), st.integers(0, 3))
def test_many_at_once_and_one_by_one_come_to_the_same(seed: int, count: int, hurts: int) -> None:
    """The oracle is the reader that looks at one line after the other; numbers get one to four digits."""
    random_ = random.Random(seed)
    whole = written([body(random_) for _ in range(count)])
    for _ in range(hurts):
        place = random_.randrange(len(whole))
        line = whole[place]
        at = random_.randrange(max(len(line), 1))
        whole[place] = random_.choice(
            [line[:at] + bytes([random_.randrange(256)]) + line[at + 1 :], b"", line * 2, line[:at], b"\n"]
        )
    content = b"".join(whole)

    *by_one, _ = found(content, 10**9)
    *at_once, _ = found(content, 0)
    assert at_once == by_one


def test_ordinary_lines_are_checked_at_once() -> None:
    """Of 1 500 lines only those of the first piece, with which the journal begins, are looked at one by one."""
    whole = written([b',"t":1.5,"kind":"evaluation","energy":%d%b' % (n, b" " * 80) for n in range(1500)])
    *told, one_by_one = found(b"".join(whole), 0)

    assert told[0] == 1500
    assert told[6] == ["evaluation"] * 1500
    assert 0 < one_by_one < 40


@pytest.mark.parametrize("digit", range(8))
def test_a_wrong_checksum_is_told_with_its_line(digit: int) -> None:
    """One hexadecimal digit is another one, or in capitals, which nothing here writes."""
    whole = written([b',"t":1.5,"kind":"evaluation","energy":%d%b' % (n, b" " * 80) for n in range(900)])
    place = next(n for n in range(700, 900) if whole[n][-11 + digit : -10 + digit] in b"abcdef")
    line = bytearray(whole[place])
    line[-11 + digit] = ord(chr(line[-11 + digit]).upper())
    whole[place] = bytes(line)
    *told, _ = found(b"".join(whole), 0)

    assert told[0] == place
    assert told[3] == f"line {place + 1} is damaged"


def test_what_is_left_of_a_bracket_is_left_of_nothing_else() -> None:
    """All 256 bytes, by looking."""
    assert [byte for byte in range(256) if byte & lines._SAME == ord("[")] == [ord("["), ord("{")]

"""The journal: what is written can be read, and nothing else is ever believed."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import compose, resume, run
from runner.errors import ConfigError, ConfigWarning, StorageError
from runner.record import encoding, files
from runner.record import journal as journals
from runner.record import packed as packing
from runner.record.encoding import encode
from runner.record.events import Checkpoint, JobCompleted
from runner.record.journal import (
    Journal,
    JournalError,
    follow,
    is_open,
    read_journal,
    read_telling,
    tell_damage,
)
from runner.record.redaction import protect
from runner.run.fork import fork
from runner.run.signals import StopFlag
from tests.journals import job, told

QUICK = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=4")

PAYLOADS = [
    {"name": "h2", "config": {"seed": 1, "tags": ["a", "β"]}},
    {"job": "j-0", "pubs": [{"values": [0.1, -0.0, 1e-310], "shots": None}]},
    {"job": "j-0", "result": [{"evs": -1.1372838344885023, "stds": 0.0}]},
    {"energy": -1.1372838344885023, "index": 0},
    {"text": 'a "quoted"\nline'},
    {},
]


def write_sample(path: Path) -> None:
    """A journal of every kind of value, small enough to be broken at every byte."""
    with Journal.create(path) as journal:
        for number, payload in enumerate(PAYLOADS):
            journal.write(told(f"kind-{number}", payload))


def payloads(path: Path) -> list[dict]:
    """What a journal's intact events hold, without what the journal itself adds."""
    return [event.said() for event in read_journal(path).events]


def test_what_is_written_is_read_back(tmp_path):
    """Every value comes back bit for bit, numbered from 0, with nothing dropped."""
    path = tmp_path / "journal.jsonl"
    write_sample(path)

    contents = read_journal(path)

    assert contents.dropped is None
    assert [event.seq for event in contents.events] == list(range(len(PAYLOADS)))
    assert [event.kind for event in contents.events] == [f"kind-{n}" for n in range(len(PAYLOADS))]
    assert payloads(path) == PAYLOADS
    assert str(payloads(path)[1]["pubs"][0]["values"][1]) == "-0.0"


numbers = st.one_of(st.none(), st.integers(-5, 5), st.floats(allow_nan=True, allow_infinity=True))
nested = st.recursive(
    st.one_of(numbers, st.sampled_from(["vqe", "null", "token=abcdefgh"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["evs", "shots", "a"]), inner, max_size=3),
    ),
    max_leaves=8,
)
names = st.sampled_from(["job", "workload", "tags", "pubs", "work", "result", "reason", "energy"])


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["job.completed", "evaluation"]), fields=st.dictionaries(names, nested, max_size=5)
)
def test_the_quick_way_of_writing_says_what_the_thorough_one_says(kind, fields):
    """Numbers are not looked at one by one, yet none that is not finite is lost, and every text stays as it is."""

    def thorough(value):
        if isinstance(value, float) and not math.isfinite(value):
            return repr(value)
        if isinstance(value, list):
            return [thorough(item) for item in value]
        if isinstance(value, dict):
            return {key: thorough(item) for key, item in value.items()}
        return value

    with tempfile.TemporaryDirectory() as folder, Journal.create(f"{folder}/j") as journal:
        journal.write(told(kind, fields))
        said = json.loads(
            (Path(folder) / "j").read_text()
        )  # as written; a reader would refuse what no fact holds

    assert str({key: said[key] for key in fields}) == str(thorough(fields))


NO_ROOM = """
import resource
from runner.record.encoding import to_line
from tests.journals import told

event = told("evaluation", workload="vqe", index=2, energy=-0.59)
to_line(event, 0.0)
pages, held, size = int(open("/proc/self/statm").read().split()[0]), [], 1 << 20
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), hard))
while size >= 16:
    try:
        held.append(bytes(size))
    except MemoryError:
        size //= 2
try:
    to_line(event, 0.0)
except MemoryError:
    del held
    print("out of memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited in another way elsewhere")
def test_a_line_that_there_is_no_memory_for_ends_no_process():
    """Orjson alone would end it by SIGSEGV."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (0, "out of memory\n"), done.stderr


def test_floats_round_trip_exactly(tmp_path):
    """Random doubles of every magnitude are read back to the same bits, from numpy arrays too."""
    values = np.random.default_rng(7).integers(0, 2**63, 2000, dtype=np.int64).view(np.float64)
    values = values[np.isfinite(values)]
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write(
            told("values", {"values": values, "one": values[0], "count": np.int64(3), "flag": np.bool_(True)})
        )

    event = read_journal(path).events[0]

    assert np.array(event.values).tobytes() == values.tobytes()
    assert (event.one, event.count, event.flag) == (float(values[0]), 3, True)


def test_non_finite_numbers_are_named():
    """What JSON cannot say is written as text that float() understands; the line stays strict JSON."""
    text = encode(
        {"a": float("nan"), "b": [np.array([np.inf, 1.0])], "c": {"d": -np.inf}, "e": np.float64("nan")}
    )

    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": "nan",
        "b": [["inf", 1.0]],
        "c": {"d": "-inf"},
        "e": "nan",
    }


def test_foreign_objects_and_reserved_names_are_refused(tmp_path):
    """An event holds data only, and may not use the journal's own names; neither leaves a trace."""
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        with pytest.raises(TypeError, match="cannot hold a object"):
            journal.write(told("bad", {"thing": object()}))
        with pytest.raises(ValueError, match="reserved name"):
            journal.write(Checkpoint.of(0, {"seq": 3}))
        journal.write(told("good", {"n": 1}))

    assert payloads(tmp_path / "journal.jsonl") == [{"n": 1}]


def test_G2_truncation_at_every_byte(tmp_path):
    """However a journal was cut off, the lines before the cut are read, and it can be continued."""
    write_sample(tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    ends = [n + 1 for n, byte in enumerate(whole) if byte == ord("\n")]
    path = tmp_path / "cut.jsonl"

    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        intact = sum(end <= length for end in ends)
        contents = read_journal(path)

        assert payloads(path) == PAYLOADS[:intact]
        assert (contents.dropped is None) == (length in {0, *ends})

        with Journal.append_to(path) as journal:
            journal.write(told("more", {"again": True}))

        assert payloads(path) == [*PAYLOADS[:intact], {"again": True}]
        assert read_journal(path).dropped is None


def test_G2_every_flipped_bit_is_noticed(tmp_path):
    """One flipped bit, anywhere: an intact prefix and a line that says so, never a wrong number."""
    write_sample(tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    path = tmp_path / "flipped.jsonl"

    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        contents = read_journal(path)
        intact = whole.count(b"\n", 0, position)

        assert payloads(path) == PAYLOADS[:intact]
        assert contents.dropped is not None
        assert "\n" not in contents.dropped


def test_G2_random_damage_never_gives_a_wrong_number(tmp_path):
    """A thousand truncations with random flips: always a prefix of the truth, and appendable or refused."""
    write_sample(tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    path = tmp_path / "damaged.jsonl"

    for seed in range(1000):
        rng = random.Random(seed)
        damaged = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
        for _ in range(rng.randrange(4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        found = payloads(path)

        assert found == PAYLOADS[: len(found)], f"seed {seed}"

        try:
            Journal.append_to(path).close()
        except JournalError as error:
            message = str(error)
            assert not found, f"seed {seed}: {message}"
        else:
            assert payloads(path) == found, f"seed {seed}"


@pytest.mark.parametrize("change", ["drop", "repeat", "swap", "edit"])
def test_edited_journals_are_noticed(tmp_path, change):
    """A line dropped, repeated, swapped or edited by hand ends what is believed."""
    path = tmp_path / "journal.jsonl"
    write_sample(path)
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "drop":
        del lines[2]
    elif change == "repeat":
        lines.insert(2, lines[1])
    elif change == "swap":
        lines[2], lines[3] = lines[3], lines[2]
    else:
        lines[2] = lines[2].replace(b"-1.137", b"-1.237")
    path.write_bytes(b"".join(lines))

    contents = read_journal(path)

    assert payloads(path) == PAYLOADS[:2]
    assert contents.dropped == "line 3 is damaged; the 2 events before it are intact and were kept"


def test_damaged_lines_are_set_aside(tmp_path):
    """Continuing a damaged journal destroys nothing: the bytes that were not believed are kept beside it."""
    path = tmp_path / "journal.jsonl"
    write_sample(path)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[:start] + b"X" + whole[start + 1 :])

    with Journal.append_to(path) as journal:
        assert journal.contents.dropped.startswith("line 2 is damaged")

    assert path.read_bytes() == whole[:start]
    assert (tmp_path / f"journal.jsonl.dropped-{start}").read_bytes() == b"X" + whole[start + 1 :]


def test_other_files_are_refused(tmp_path):
    """A missing file, a directory and a file that is no journal are told apart in one line."""
    text = tmp_path / "notes.txt"
    text.write_text("not a journal\n")
    write_sample(tmp_path / "journal.jsonl")

    with pytest.raises(JournalError, match="there is no journal at"):
        Journal.append_to(tmp_path / "missing.jsonl")
    with pytest.raises(JournalError, match="no journal can be read"):
        read_journal(tmp_path / "missing.jsonl")
    with pytest.raises(JournalError, match="no journal can be read"):
        read_journal(tmp_path)
    with pytest.raises(JournalError, match="is not a journal"):
        Journal.append_to(text)
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(tmp_path / "journal.jsonl")
    with pytest.raises(StorageError, match="does not exist"):
        Journal.create(tmp_path / "nowhere" / "journal.jsonl")
    assert text.read_text() == "not a journal\n"


def test_one_writer_at_a_time(tmp_path):
    """While a journal is open nobody else can write it; afterwards they can."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path):
        assert is_open(path)
        with pytest.raises(JournalError, match="being written by another process"):
            Journal.append_to(path)

    assert not is_open(path)
    Journal.append_to(path).close()


def test_death_frees_the_journal_and_loses_nothing(tmp_path):
    """After kill -9 the lock is gone and every event whose write returned is there."""
    path = tmp_path / "journal.jsonl"
    program = (
        "import os\n"
        "from runner.record.journal import Journal\n"
        "from tests.journals import told\n"
        f"Journal.create({str(path)!r}).write(told('last', {{'words': 1}}))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)

    assert done.returncode == -9
    assert not is_open(path)
    assert payloads(path) == [{"words": 1}]


def test_threads_share_a_journal(tmp_path):
    """Events of eight threads are all there, whole, each thread's in its own order."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:

        def work(worker: int) -> None:
            for index in range(100):
                journal.write(told("work", {"worker": worker, "index": index}))

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    events = read_journal(path).events

    assert len(events) == 800
    for worker in range(8):
        assert [event.index for event in events if event.worker == worker] == list(range(100))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_G12_failing_the_kth_write(tmp_path, code):
    """Whichever write the disk refuses, half written or not: one clear error, an intact prefix, resumable."""
    for k in range(len(PAYLOADS)):
        for written in (0, 1, 20):
            path = tmp_path / f"{k}-{written}.jsonl"
            calls = iter(range(1000))

            def failing(descriptor: int, data: bytes, k=k, written=written, calls=calls) -> int:
                if next(calls) == k:
                    os.write(descriptor, data[:written])
                    raise OSError(code, os.strerror(code))
                return os.write(descriptor, data)

            with Journal.create(path, write=failing) as journal:
                for payload in PAYLOADS[:k]:
                    journal.write(told("kind", payload))
                with pytest.raises(StorageError, match=f"the {k} events before it are kept") as caught:
                    journal.write(told("kind", PAYLOADS[k]))
                with pytest.raises(StorageError, match="are kept"):
                    journal.write(told("kind", {"after": "the gap"}))

            assert os.strerror(code).lower() in str(caught.value)
            assert payloads(path) == PAYLOADS[:k]
            assert read_journal(path).dropped is None
            with Journal.append_to(path) as journal:
                journal.write(told("kind", PAYLOADS[k]))
            assert payloads(path) == PAYLOADS[: k + 1]


def test_short_writes_are_completed(tmp_path):
    """An operating system that takes a few bytes at a time still gets whole lines."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path, write=lambda descriptor, data: os.write(descriptor, data[:7])) as journal:
        for payload in PAYLOADS:
            journal.write(told("kind", payload))

    assert payloads(path) == PAYLOADS


@pytest.fixture
def hurried(monkeypatch):
    """Every journal is in a hurry, from its first event on."""
    monkeypatch.setattr("runner.record.journal.HURRIED", 0)


def test_only_in_a_hurry_does_an_event_wait(tmp_path, monkeypatch):
    """Where events come seldom, or begin to come fast, even those that may wait are written at once."""
    monkeypatch.setattr("runner.record.journal.HURRY", 60.0)
    monkeypatch.setattr("runner.record.journal.HURRIED", 2)
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write_later(told("kind", {"n": 0}))
        assert len(payloads(path)) == 1
        journal.write(told("kind", {"n": 1}))
        journal.write_later(told("kind", {"n": 2}))
        assert len(payloads(path)) == 3
        journal.write(told("kind", {"n": 3}))
        journal.write_later(told("kind", {"n": 4}))
        assert len(payloads(path)) == 4
        monkeypatch.setattr("runner.record.journal.HURRY", 0.0)  # the next one comes late
        journal.write(told("kind", {"n": 5}))
        journal.write_later(told("kind", {"n": 6}))
        assert payloads(path) == [{"n": n} for n in range(7)]


@pytest.mark.usefixtures("hurried")
def test_what_waits_is_written_with_the_next_event(tmp_path):
    """`write_later` keeps the order, takes a copy, and is no later than the next event or the end."""
    path = tmp_path / "journal.jsonl"
    later = {"values": [1.0, 2.0]}
    with Journal.create(path) as journal:
        journal.write_later(told("kind", later))
        later["values"].append(3.0)
        assert payloads(path) == []
        assert journal.write(told("kind", {"n": 1})) == 1
        assert payloads(path) == [{"values": [1.0, 2.0]}, {"n": 1}]
        journal.write_later(told("kind", {"n": 2}))
    assert payloads(path) == [{"values": [1.0, 2.0]}, {"n": 1}, {"n": 2}]
    with pytest.raises(StorageError, match="closed"):
        journal.write_later(told("kind", {"n": 3}))


@pytest.mark.usefixtures("hurried")
def test_what_waits_goes_with_a_write_that_fails(tmp_path):
    """Lines written together are there together or not at all, and the journal takes nothing more."""
    path = tmp_path / "journal.jsonl"
    outcomes = iter([None, OSError(errno.ENOSPC, "full")])

    def failing(descriptor: int, data: bytes) -> int:
        error = next(outcomes)
        written = os.write(descriptor, data if error is None else data[: len(data) - 5])
        if error is not None:
            raise error
        return written

    with Journal.create(path, write=failing) as journal:
        journal.write(told("kind", {"n": 0}))
        journal.write_later(told("kind", {"n": 1}))
        with pytest.raises(StorageError, match="the 1 events before it are kept"):
            journal.write(told("kind", {"n": 2}))
        with pytest.raises(StorageError, match="the 1 events before it are kept"):
            journal.write(told("kind", {"n": 3}))
    assert payloads(path) == [{"n": 0}]


def test_a_deleted_journal_is_noticed(tmp_path, monkeypatch):
    """Whoever deletes a journal that is being written ends the run, instead of letting it write into nowhere."""
    monkeypatch.setattr("runner.record.journal.SYNC_INTERVAL", -1.0)  # at every event, not once a second
    journal = Journal.create(tmp_path / "journal.jsonl")
    journal.write(told("evaluation", {"energy": 1.0}))
    (tmp_path / "journal.jsonl").unlink()

    with pytest.raises(StorageError, match="was deleted while"):
        journal.write(told("evaluation", {"energy": 2.0}))
    with pytest.raises(StorageError, match="was deleted while"):
        journal.write(told("evaluation", {"energy": 3.0}))
    journal.close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: os.truncate(path, 0), "was emptied or cut off while"),
        (lambda path: os.truncate(path, 40), "was emptied or cut off while"),
        (lambda path: path.open("a").write("{}\n"), "was written into by another program"),
        (lambda path: path.rename(path.with_name("j2")), "was moved away while"),
        (lambda path: shutil.copy(path.rename(path.with_name("j2")), path), "is another file than the one"),
    ],
    ids=["emptied", "cut", "written", "moved", "copied"],
)
def test_a_journal_that_others_change_is_noticed(tmp_path, monkeypatch, harm, words):
    """What is at its path has to be what was written: a run that went on would tell of facts that nobody can read."""
    monkeypatch.setattr("runner.record.journal.SYNC_INTERVAL", -1.0)  # at every event, not once a second
    path = tmp_path / "journal.jsonl"
    journal = Journal.create(path)
    for number in range(3):
        journal.write(told("evaluation", {"energy": number}))
    harm(path)

    with pytest.raises(StorageError, match=words):
        journal.write(told("evaluation", {"energy": 3.0}))
    with pytest.raises(StorageError, match=words):
        journal.write(told("evaluation", {"energy": 4.0}))
    journal.close()


def test_a_journal_that_is_emptied_before_its_end_is_noticed_when_it_is_closed(tmp_path):
    """No event follows, and the last second has not passed: closing tells."""
    journal = Journal.create(tmp_path / "journal.jsonl")
    journal.write(told("evaluation", {"energy": 1.0}))
    os.truncate(tmp_path / "journal.jsonl", 0)

    with pytest.raises(StorageError, match="was emptied"):
        journal.close()


def test_a_directory_that_is_moved_takes_its_journal_along(tmp_path, monkeypatch):
    """Nothing is lost there: every event is in the file, wherever that is now."""
    monkeypatch.setattr("runner.record.journal.SYNC_INTERVAL", -1.0)
    (tmp_path / "run").mkdir()
    with Journal.create(tmp_path / "run" / "journal.jsonl") as journal:
        journal.write(told("kind", {"n": 0}))
        (tmp_path / "run").rename(tmp_path / "moved")
        journal.write(told("kind", {"n": 1}))

    assert payloads(tmp_path / "moved" / "journal.jsonl") == [{"n": 0}, {"n": 1}]


def test_an_interrupted_write_leaves_no_trace(tmp_path):
    """Ctrl-C in the middle of a line removes the half line; the journal goes on."""
    path = tmp_path / "journal.jsonl"
    interrupt = iter([False, True, False])

    def interrupted(descriptor: int, data: bytes) -> int:
        if next(interrupt):
            os.write(descriptor, data[:9])
            raise KeyboardInterrupt
        return os.write(descriptor, data)

    with Journal.create(path, write=interrupted) as journal:
        journal.write(told("kind", {"n": 0}))
        with pytest.raises(KeyboardInterrupt):
            journal.write(told("kind", {"n": 1}))
        journal.write(told("kind", {"n": 2}))

    assert payloads(path) == [{"n": 0}, {"n": 2}]


def test_a_closed_journal_takes_nothing(tmp_path):
    """Writing after close is an error that says so; closing twice is not."""
    journal = Journal.create(tmp_path / "journal.jsonl")
    journal.close()
    journal.close()

    with pytest.raises(StorageError, match="the journal is closed"):
        journal.write(told("late", {}))


def test_follow_sees_everything_and_ends_with_the_writer(tmp_path):
    """A live reader gets each event once, in order, and stops when the writer has let go."""
    path = tmp_path / "journal.jsonl"
    journal = Journal.create(path)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(event.n for event in follow(path, poll=0.001)))
    reader.start()
    for n in range(200):
        journal.write(told("tick", {"n": n}))
    journal.close()
    reader.join(10)

    assert seen == list(range(200))


def test_follow_survives_a_torn_line_that_is_replaced(tmp_path):
    """A reader that saw half a line reads the whole line that a resumed run puts in its place."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write(told("tick", {"n": 0}))
    with path.open("ab") as file:
        file.write(b'{"seq":1,"t":17')
    with Journal.append_to(path) as journal:
        events = follow(path, poll=0.001)
        first = next(events)
        journal.write(told("tick", {"n": 1}))
        second = next(events)

    assert (first.said()["n"], second.said()["n"]) == (0, 1)


def test_what_is_stored_is_what_was_said(tmp_path):
    """K8: text that looks like a secret, or becomes one, reads back as it was written: a resumed run compares it."""
    path = tmp_path / "journal.jsonl"
    said = {
        "text": "token=CaNaRy0123456789",
        "tags": ["schibboleth_the_word"],
        "config": {"token": "ab" * 22},
    }
    protect("schibboleth_the_word")
    with Journal.create(path) as journal:
        journal.write(told("note", said))

    assert payloads(path) == [said]


def test_the_journal_is_private_to_its_user(tmp_path):
    """K10: nobody else can read it: it may hold account data."""
    Journal.create(tmp_path / "journal.jsonl").close()

    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o077 == 0


def chained(*lines: bytes) -> bytes:
    """Lines of a journal with right checksums, as the format's page says: CRC-32 of all that is before."""
    content, crc = b"", 0
    for line in lines:
        crc = zlib.crc32(line, crc)
        content += line + b',"crc":"%08x"}\n' % crc
    return content


@pytest.fixture
def shorter(monkeypatch):
    """A quarter of the longest line is enough to try; it took 270 MiB of the process of all tests."""
    for module in (journals, encoding):
        monkeypatch.setattr(module, "MAX_LINE", 1 << 24)


def test_K17_a_line_has_the_length_and_the_values_that_are_told():
    """SECURITY.md K17."""
    assert (files.MAX_LINE, files.MAX_VALUES, files.MAX_DECLARED) == (64 << 20, 4_194_304, 262_144)
    assert journals.MAX_LINE == encoding.MAX_LINE == files.MAX_LINE


@pytest.mark.parametrize(
    ("text", "times", "words"),
    [
        (b'"%s"', 1 << 24, "line 3 is longer than 16777216 bytes"),
        (b'"%s"', 1 << 23, None),
        (b"[%s0]", 1 << 22, "line 3 is no event"),
        (b"[%s0]", 1 << 21, None),
    ],
    ids=["long", "less long", "many", "fewer"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_K17_a_line_has_a_bounded_length_and_number_of_values(tmp_path, shorter, text, times, words, packed):
    """What is before it is kept; a line of half the length, or with half the values, is read."""
    filling = text % ((b"a" if text[:1] == b'"' else b"0,") * times)
    path = tmp_path / "journal.jsonl"
    lines = [b'"t":1.0,"kind":"x"', b'"t":2.0,"kind":"x"', b'"t":3.0,"kind":"x","more":' + filling]
    content = chained(
        *((b'{"journal":1,"seq":0,' if not n else b'{"seq":%d,' % n) + line for n, line in enumerate(lines))
    )
    path.write_bytes(content)
    if packed:
        body = b"".join(packing._members(packing.OpenFile(path)))
        packing.packed_path(path).write_bytes(
            body + os.urandom(len(content) // 90)
        )  # not too small for its content
        path.unlink()
    found = read_journal(path)
    assert len(found.events) == (3 if words is None else 2)
    assert words is None or (found.dropped or "").startswith(words)


def test_K17_the_first_line_holds_a_configuration_and_no_more(tmp_path):
    """As many values as 262 144 lists; half of them are read."""
    path = tmp_path / "journal.jsonl"
    for count in (1 << 18, 1 << 17):
        config = b'"config":{"x":[' + b"1," * count + b"1]}"
        path.write_bytes(chained(b'{"journal":1,"seq":0,"t":1.0,"kind":"x",' + config))
        assert len(read_journal(path).events) == (count < 1 << 18)


def test_K17_no_line_is_written_that_would_not_be_read(tmp_path, shorter):
    """Refused with what to do, before anything of it is on the disk."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write(told("x", {"text": "begin"}))
        before = path.read_bytes()
        for text, values in (("a" * (1 << 24), []), ("", [0] * (1 << 22))):
            for write in (journal.write, journal.write_later):
                with pytest.raises(StorageError, match=r"takes no line .*; take fewer shots"):
                    write(told("x", {"text": text, "values": values}))
        assert path.read_bytes() == before
        journal.write(told("x", {"text": "a" * (1 << 23)}))
    assert len(read_journal(path).events) == 2


def test_what_is_set_aside_is_read_a_piece_at_a_time(tmp_path, monkeypatch):
    """Behind the damage there are three megabytes, which are kept to the byte."""
    path = tmp_path / "journal.jsonl"
    with Journal.create(path) as journal:
        journal.write(told("x", {}))
    intact, rest = path.read_bytes(), os.urandom(3_000_000)
    path.write_bytes(intact + rest + b"\n")
    asked: list[int] = []
    read = packing.OpenFile.read
    monkeypatch.setattr(
        packing.OpenFile, "read", lambda self, count, offset: asked.append(count) or read(self, count, offset)
    )
    Journal.append_to(path).close()
    assert max(asked) <= 1 << 20
    (aside,) = tmp_path.glob("*.dropped-*")
    assert (path.read_bytes(), aside.read_bytes()) == (intact, rest + b"\n")


def twice(path: Path, number: int, other: int | None = None, **more: object) -> None:
    """Tell an event once more behind another one (itself), with all numbers and checksums as they should be."""
    events = list(read_journal(path).events)
    copied = type(events[number]).read({**vars(events[number]), **more})
    place = (number if other is None else other) + 1
    path.unlink()
    with Journal.create(path) as journal:
        for event in [*events[:place], copied, *events[place:]]:
            journal.write(type(event).read(event.said()))


@pytest.mark.parametrize("kind", ["job.submitted", "job.completed", "evaluation"])
def test_what_is_told_twice_is_damage(workdir: Path, kind: str) -> None:
    """Somebody copied a line, or gave it another number; everybody who reads tells it, and takes what is before it."""
    run(compose(*QUICK), directory="run")
    path = Path("run/journal.jsonl")
    whole = path.read_bytes()
    events = read_journal(path).events
    first = next(place for place, event in enumerate(events) if event.kind == kind)
    later = len(events) - 3
    for other, more, said in (
        (
            None,
            {},
            f"line {first + 2} tells {kind} 0 of 'vqe' a second time; the {first + 1} events before it",
        ),
        (
            later,
            {},
            f"line {later + 2} tells {kind} 0 of 'vqe' a second time; the {later + 1} events before it",
        ),
    ):
        twice(path, first, other, **more)
        with pytest.warns(ConfigWarning, match=said):
            assert list(read_telling(path)) == list(events)[: (first if other is None else other) + 1]
        with pytest.warns(ConfigWarning, match=said):
            assert tell_damage(path)
        path.write_bytes(whole)
    if kind != "evaluation":
        twice(path, first, later, index=99)
        with pytest.warns(ConfigWarning, match=rf"tells {kind} of job '.*' a second time"):
            read_telling(path)
        path.write_bytes(whole)
    assert not tell_damage(path)


def test_jobs_of_a_workload_may_end_in_any_order(tmp_path: Path) -> None:
    """As on a real machine, where several are on their way: three orders of four jobs, and one that ends again."""
    for order in ([3, 1, 2, 0], [0, 2, 1, 3], [1, 1]):
        path = tmp_path / f"{order}.jsonl"
        with Journal.create(path) as journal:
            for index in order:
                for event in job(index, 0.0, 1.0, 2.0):
                    if isinstance(event, JobCompleted):
                        journal.write(event)
        with contextlib.nullcontext() if len(set(order)) == len(order) else pytest.warns(ConfigWarning):
            assert tell_damage(path) == (len(set(order)) < len(order)), order


def test_a_job_that_is_over_before_its_turn_came_is_no_event(workdir: Path) -> None:
    """Times of one clock; a job whose turn never came has none."""
    run(compose(*QUICK), directory="run")
    path = Path("run/journal.jsonl")
    events = list(read_journal(path).events)
    place = next(place for place, event in enumerate(events) if isinstance(event, JobCompleted))
    over = events[place]
    assert isinstance(over, JobCompleted)
    assert over.started is not None
    for started, fits in ((over.finished, True), (None, True), (over.finished + 0.001, False)):
        path.unlink()
        with Journal.create(path) as journal:
            for event in events:
                more = {"started": started} if event is over else {}
                journal.write(type(event).read({**event.said(), **more}))
        if fits:
            assert read_journal(path).events[place].said() == {**over.said(), "started": started}
        else:
            with pytest.raises(
                JournalError, match=rf"line {place + 1} .* is no event: it finished at .* and started"
            ):
                list(read_journal(path).events)


GONE_ON = {
    "stopped and gone on with": ("session.max_time=60",),
    "reopened": ("session.max_time=40", "session.on_expiry=reopen"),
    "batches": ("session=batch", "session.max_time=60"),
    "jobs": ("session=job",),
    "race": ("experiment=vqe_race", "hamiltonian=two_qubit", "session.max_time=90"),
    "gradients": ("optimizer=adam", "optimizer.max_evaluations=3", "session.max_time=10m"),
}


@pytest.mark.parametrize("kind", GONE_ON)
def test_a_true_journal_tells_nothing_twice(
    workdir: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, interrupted twice where it goes on, killed, gone on with, and forked."""
    run(compose(*QUICK, *GONE_ON[kind]), directory="run")
    honest, left = StopFlag.check, [3]

    def check(flag: StopFlag) -> None:
        left[0] -= 1
        if not left[0]:
            flag.signum = signal.SIGINT
        honest(flag)

    with monkeypatch.context() as breaking:
        breaking.setattr(StopFlag, "check", check)
        for count in (3, 5):
            left[0] = count
            with contextlib.suppress(ConfigError):
                resume("run")
            assert not tell_damage("run/journal.jsonl")
    lines = Path("run/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("run/journal.jsonl").write_bytes(b"".join(lines[:-4]))
    for _ in range(2):
        with contextlib.suppress(ConfigError):
            resume("run")
    assert not tell_damage("run/journal.jsonl")
    assert not tell_damage(run(fork("run")).directory / "journal.jsonl")

"""Damaged files and requests: forty here, 100 000 nightly (SECURITY.md K18)."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

pytest.importorskip("qiskit_ibm_runtime")

from tests.faults import fuzz
from tests.faults.fuzz import Findings, again, campaign, damaged_file, generator
from tests.faults.payloads import Payload, files


def test_K18_forty_damaged_files_and_requests_are_refused_or_read() -> None:
    """Nothing ends, hangs or fills a process, and every refusal is one line or has the API's shape."""
    found = campaign(40, seed=11)

    assert [(failure.number, failure.what) for failure in found.failures] == []
    assert found.inputs == 40
    assert found.outcomes["refused"] > 5
    assert found.outcomes["400"] > 2
    assert found.outcomes["200"] > 2


def test_K18_what_the_process_of_the_tests_has_is_not_its_readers() -> None:
    """A quarter of a gigabyte here, of which a reader, which needs less, has nothing."""
    held = b"x" * 2**28
    found = campaign(2, seed=11, parts="files")

    assert (found.inputs, found.failures) == (1, [])
    assert 0 < found.peak < len(held)


def test_K18_an_input_is_the_same_whenever_it_is_made() -> None:
    """By seed and number alone: a failure can be repeated."""
    corpus = files()
    random.seed(1)
    first = [damaged_file(corpus, generator(5, number)) for number in range(20)]
    random.seed(2)
    again = [damaged_file(corpus, generator(5, number)) for number in reversed(range(20))]

    assert first == again[::-1]
    assert first != [damaged_file(corpus, generator(6, number)) for number in range(20)]


def test_K18_a_file_that_failed_is_kept_byte_for_byte_and_repeated_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process has so little memory, so every file fails; what was read is by hand, its name being part of it."""
    content = bytes(range(256)) + b'{"XX": 0.5}'
    monkeypatch.setattr(fuzz, "MEMORY", 1)
    findings = Findings(kept=tmp_path / "kept")
    fuzz.read_files([6], lambda _: Payload("terms.json", content), findings, tmp_path)

    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept.name, kept.read_bytes()) == ("6-terms.json", content)
    (repeated,) = again([kept]).failures
    assert repeated.what.startswith("the reader had ")
    assert findings.failures[0].what.startswith("the reader had ")


def test_K18_the_reader_of_kept_files_sees_the_name_and_bytes_of_the_first_time(tmp_path: Path) -> None:
    """Of an operator that is whole and one that is cut off: the first is read, the second refused."""
    (tmp_path / "2-words.json").write_bytes(b'{"XX": 0.5, "ZZ": -1.0}')
    (tmp_path / "4-words.json").write_bytes(b'{"XX": 0.5, "ZZ": -')

    assert again([tmp_path / "2-words.json", tmp_path / "4-words.json"]).outcomes == {"read": 1, "refused": 1}


@pytest.mark.nightly
def test_K18_a_hundred_thousand_damaged_files_and_requests_are_refused_or_read() -> None:
    """The server is alive all along and no process has more than a gigabyte."""
    found = campaign(100_000, seed=int(time.time()))

    assert [(failure.number, failure.what) for failure in found.failures] == []
    assert found.inputs == 100_000

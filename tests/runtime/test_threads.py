"""Threads for which there is no room: whoever starts or awaits one hears of it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from runner.runtime import threads
from runner.runtime.threads import Background

LITTLE = """
import os, resource, signal
from runner.runtime.threads import Background

Background(lambda: None).start().join()  # its stack is used again, so that only little is missing
pages = int(open("/proc/self/statm").read().split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
found = []
for room in range(0, 16 << 10, 8 << 10):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        held = []
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))
        try:
            while True:  # no room among what was given back, either
                held.append(bytes(1 << 12))
        except MemoryError:
            pass
        try:
            while True:
                held.append(bytes(64))
        except MemoryError:
            pass
        try:
            Background(held.clear).start().join()
        except MemoryError:
            os._exit(1)
        os._exit(0)
    found.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(*sorted(set(found)))
"""


def test_a_thread_begins_and_is_awaited_more_than_once() -> None:
    """`start` returns when it has begun, `join` when it is over."""
    asked, said = threading.Event(), []
    thread = Background(lambda: said.append(asked.wait(10))).start()

    assert said == []
    asked.set()
    thread.join()
    thread.join()
    assert said == [True]


def test_a_thread_that_ends_before_it_has_begun_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython drops what such a thread was given and says nothing; see _bootstrap in its threading.py."""
    monkeypatch.setattr(threads, "start_new_thread", lambda *_: 0)
    thread = Background(lambda: None)

    with pytest.raises(MemoryError):
        thread.start()
    thread.join()


def test_where_the_system_gives_no_thread_memory_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's RuntimeError for it is one of its own mistakes to everybody else."""

    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "start_new_thread", refuse)

    with pytest.raises(MemoryError, match="can't start new thread"):
        Background(lambda: None).start()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_with_hardly_any_memory_left_starting_a_thread_does_not_hang() -> None:
    """It begins or MemoryError is raised; `Thread.start` waited for ever in some of these processes."""
    done = subprocess.run(
        [sys.executable, "-c", LITTLE], check=True, capture_output=True, text=True, timeout=400
    )

    assert set(done.stdout.split()) <= {"0", "1"}, done.stderr

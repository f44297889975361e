"""A command and all it has started end with whoever started it, however that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from runner.tracking import attended

STARTED = "sleep 600 & echo $!; trap '' TERM; echo $$; wait; wait; sleep 600"
"""A shell that does not listen, and a process of its own."""


def ended(pid: int) -> bool:
    """Whether a process is gone, or nobody has looked at its exit code yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_it_ends_with_a_starter_that_is_killed() -> None:
    """SIGKILL leaves no time to stop anybody; a child of the child, and one that ignores SIGTERM, are gone as well."""
    command = [sys.executable, "-I", attended.__file__, "sh", "-c", STARTED]
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen({command!r}, stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pids = [int(starter.stdout.readline()) for _ in range(2)]
    assert not any(map(ended, pids))

    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    for _ in range(600):
        if all(map(ended, pids)):
            break
        time.sleep(0.1)

    assert all(map(ended, pids))


@pytest.mark.parametrize("code", [0, 3])
def test_its_exit_code_is_the_commands(code: int) -> None:
    """Where the command ends by itself."""
    command = [sys.executable, "-I", attended.__file__, "sh", "-c", f"exit {code}"]

    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.wait(60) == code

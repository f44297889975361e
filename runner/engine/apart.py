"""A process of its own for what takes Aer long: Aer cannot be interrupted, but a process can be ended.

It computes the same bits as this one. It is started when first needed, kept for what comes later, and ends when
this process does.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pickle
import select
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

from runner.errors import RunnerError
from runner.record.interruption import pause

_LOOKS = 0.1
"""Seconds between two looks for signals."""
_PROGRAMS = 8
"""Programs that the process keeps."""
_HEADER = 8


class Unsendable(Exception):
    """The program cannot be brought into another process."""


class Apart:
    """The other process, from here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: OrderedDict[int, Any] = OrderedDict()

    def run(self, program: Any, recipe: Callable[[], Any], *arguments: Any) -> Any:
        """What a program's `run_here` gives for these arguments.

        Args:
            program: what is run; known by being the same object.
            recipe: makes it anew over there.
            arguments: the parameter sets, shots and seed, as `run_here` takes them.

        Raises:
            Interrupted: a signal arrived; the process is ended.
            Unsendable: the recipe cannot be pickled.
            RunnerError: the process ended by itself, as for want of memory.
        """
        with self._lock:
            known = id(program) in self._sent and self._alive
            try:
                message = pickle.dumps((id(program), None if known else recipe, arguments))
            except Exception as error:  # whatever a user's gate raises, it cannot be sent
                raise Unsendable from error
            if not self._alive:
                self._start()
            self._sent[id(program)] = program
            self._sent.move_to_end(id(program))
            if len(self._sent) > _PROGRAMS:
                self._sent.popitem(last=False)
            try:
                return self._asked(message)
            except BaseException:
                self._end()
                raise

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        self._sent.clear()
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from runner.engine.apart import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C at the terminal is for this process, which ends the other
        )
        atexit.register(self._end)

    def _end(self) -> None:
        atexit.unregister(self._end)
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _asked(self, message: bytes) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = None
        with contextlib.suppress(BrokenPipeError):  # it was ended before it could listen
            _send(self._process.stdin, message)
            while not select.select([self._process.stdout], [], [], _LOOKS)[0]:
                pause()
            answer = _received(self._process.stdout)
        if answer is None:
            raise RunnerError(
                "simulation failed on Aer: its process was ended, most likely for want of memory"
            )
        worked, content = pickle.loads(answer)
        if not worked:
            raise content
        return content


APART = Apart()


def serve() -> None:
    """The other process: make programs and run them, as long as somebody asks."""
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints gets among the answers
    programs: OrderedDict[int, Any] = OrderedDict()
    while (message := _received(source)) is not None:
        with _ends_with(source):
            answer = _answer(programs, message)
        _send(target, answer)


def _answer(programs: OrderedDict[int, Any], message: bytes) -> bytes:
    key, recipe, arguments = pickle.loads(message)
    try:
        if recipe is not None:
            programs[key] = recipe()
            if len(programs) > 2 * _PROGRAMS:
                programs.popitem(last=False)
        return pickle.dumps((True, programs[key].run_here(*arguments)))
    except Exception as error:
        return pickle.dumps((False, RunnerError(str(error))))


@contextlib.contextmanager
def _ends_with(source: IO[bytes]) -> Any:
    """Be ended, also within Aer, if whoever asked is gone: the kernel's SIGIO, which nothing catches, says so."""
    flags = fcntl.fcntl(source, fcntl.F_GETFL)
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(source, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(source, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        yield
    finally:
        fcntl.fcntl(source, fcntl.F_SETFL, flags)


def _send(target: IO[bytes], message: bytes) -> None:
    target.write(len(message).to_bytes(_HEADER, "little") + message)
    target.flush()


def _received(source: IO[bytes]) -> bytes | None:
    header = source.read(_HEADER)
    if len(header) < _HEADER:
        return None
    return source.read(int.from_bytes(header, "little"))

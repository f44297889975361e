"""A command that ends, with all it has started, when whoever started it is gone: `python attended.py COMMAND …`.

It reads its standard input, which nobody writes into: that closes with the process at the other end, however that dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE = 5.0
"""Seconds between asking the processes to end and ending them."""


def attend(command: Sequence[str]) -> None:
    """Carry the command out, as the first of a group of processes; never returns.

    The exit code is the command's, where that ends by itself.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)  # comes with that of the group; a handler is not inherited
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    ending = threading.Event()
    threading.Thread(target=_end_with, args=(server, ending), daemon=True).start()
    while os.read(0, 1):
        pass
    ending.set()
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(GRACE)
    os.killpg(0, signal.SIGKILL)


def _end_with(server: subprocess.Popen[bytes], ending: threading.Event) -> None:
    code = server.wait()
    if not ending.is_set():
        os._exit(code % 256)


if __name__ == "__main__":
    attend(sys.argv[1:])

"""The process that serves: takes the port, tells where it is, and ends cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from runner.errors import ConfigError
from runner.record.directory import check_made_here
from runner.serve.config import HOST, ServeConfig

NEEDED = ("starlette", "uvicorn", "qiskit_ibm_runtime")


def serve(config: ServeConfig, ready: Callable[[int], None]) -> int:
    """Serve until SIGINT or SIGTERM; `ready` is called with the port as soon as requests are taken.

    Raises:
        ConfigError: the port is taken, or a package is missing.
        JournalError: another server uses the folder.
        StorageError: the folder cannot be written.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"needs {', '.join(missing)}; pip install 'session-runner[serve]'", key="serve")
    listener = listen(config.port)
    port = listener.getsockname()[1]
    with listener:
        from runner.serve.api import application
        from runner.serve.process import run
        from runner.serve.runtime import Runtime

        log_by_lines()
        with Runtime(config) as runtime, address_file(config, port):
            app = application(runtime, config)
            run(app, config, listener, ready=lambda: ready(port))
    return 0


class OneLine(logging.Formatter):
    """One line for everything, whatever is in it; an error of our own with the place it comes from."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in printable characters."""
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in super().format(record))

    def formatException(self, ei: Any) -> str:
        """The error and its place; its stack is not for a log of lines."""
        place = traceback.extract_tb(ei[2])[-1:]
        where = "".join(f" ({one.filename}:{one.lineno})" for one in place)
        return f"{ei[0].__name__}: {ei[1]}{where}"


def log_by_lines() -> None:
    """Log to the terminal, warnings of libraries included, so that nothing in a request writes a second line."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])

    def show(message: Warning | str, category: type[Warning], filename: str, line: int, *_: object) -> None:
        logging.getLogger("runner.serve").warning(
            "%s: %s (%s:%s)", category.__name__, message, filename, line
        )

    warnings.showwarning = show  # type: ignore[assignment]


def listen(port: int) -> socket.socket:
    """Take a port on 127.0.0.1.

    Raises:
        ConfigError: somebody else has it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot listen on {HOST}:{port}: {why}; choose another", key="port") from error
    return listener


@contextlib.contextmanager
def address_file(config: ServeConfig, port: int) -> Iterator[None]:
    """Say in the folder where its server listens, as long as it does."""
    check_made_here(config.address, '"pid"', "dir")
    config.address.write_text(json.dumps({"port": port, "pid": os.getpid()}), encoding="utf-8")
    try:
        yield
    finally:
        config.address.unlink(missing_ok=True)


def port_of(config: ServeConfig) -> int:
    """The port of the server that runs in this folder; else the one that is configured.

    Raises:
        ConfigError: the port is to be a free one, and no server runs that could tell which.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(config.address.read_text(encoding="utf-8"))
        os.kill(int(known["pid"]), 0)
        return int(known["port"])
    if config.port == 0:
        raise ConfigError(f"no server runs in {config.dir}, so its port is not known; start it", key="port")
    return config.port

"""The HTTP server proper: uvicorn, which leaves it to its caller how the process ends after a signal."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from runner.run.signals import SIGNALS
from runner.serve.config import ServeConfig
from runner.serve.connection import Settings

GRACE = 3
"""Seconds that requests get to end when the server is stopped."""

SWITCH = 0.0005
"""Longest time a simulation keeps the interpreter from answering a request [s]."""
IDLE = 300
"""Seconds a connection is kept for a client that thinks between two jobs."""


def run(
    application: Starlette, config: ServeConfig, listener: socket.socket, *, ready: Callable[[], None]
) -> None:
    """Answer requests until a signal arrives; `ready` is called when the first can be taken."""
    sys.setswitchinterval(SWITCH)
    server(application, config, ready).run(sockets=[listener])


def server(application: Starlette, config: ServeConfig, ready: Callable[[], None]) -> uvicorn.Server:
    """Make a server; off the main thread, only its `should_exit` ends it."""
    settings = Settings(
        application,
        max_connections=config.max_connections,
        max_bytes=config.max_bytes,
        request_timeout=config.request_timeout,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=IDLE,
    )
    return _Server(settings, ready)


class _Server(uvicorn.Server):
    """Uvicorn, but the signal that ends it is not raised a second time."""

    def __init__(self, settings: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(settings)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        signums = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        before = {signum: signal.signal(signum, self.handle_exit) for signum in signums}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

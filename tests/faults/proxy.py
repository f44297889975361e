"""A TCP proxy that behaves as badly as networks do."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from types import TracebackType
from typing import Self

ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops"


class FaultyProxy:
    """Stands in front of a server and does what `mode` says, which may change at any time.

    ``pass`` forwards; ``down`` closes every connection at once; ``hole`` takes requests and never answers;
    ``error`` answers 500; ``slow`` holds every request back for `delay` seconds. With `dies_after` the proxy goes
    down by itself after that many requests.
    """

    def __init__(
        self, port: int, mode: str = "pass", *, delay: float = 2.0, dies_after: int | None = None
    ) -> None:
        self.mode = mode
        self.delay = delay
        self.dies_after = dies_after
        self.requests = 0
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._closed = threading.Event()

    def _accept(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self.mode == "down":
                return
            server = socket.create_connection(("127.0.0.1", self._server)) if self._server else None
            while not self._closed.is_set():
                ready, _, _ = select.select([s for s in (client, server) if s], [], [], 0.1)
                if server in ready:
                    answer = server.recv(1 << 16)
                    if not answer:
                        return
                    client.sendall(answer)
                if client in ready and not self._request(client, server):
                    return

    def _request(self, client: socket.socket, server: socket.socket | None) -> bool:
        """Pass on what the client sends, or not; whether the connection goes on."""
        data = client.recv(1 << 16)
        if not data:
            return False
        if data.split(b" ", 1)[0] in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"):
            self.requests += 1
            if self.dies_after is not None and self.requests > self.dies_after:
                self.mode = "down"
            if self.mode == "slow":
                time.sleep(self.delay)
        if self.mode == "down":
            return False
        if self.mode == "error":
            client.sendall(ERROR)
            return False
        if self.mode != "hole" and server is not None:
            server.sendall(data)
        return True

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._listener.close()

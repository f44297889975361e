"""One connection: requests that never end, idle clients and clients that do not read are let go, in the API's words."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.serve.errors import ApiError

log = logging.getLogger("runner.serve")
http_log = logging.getLogger("runner.serve.http")
http_log.setLevel(logging.ERROR)  # what is wrong with a request is told once, by us

MAX_HEADER = 64 * 1024
"""Bytes of a request's first line and headers together."""
MAX_TARGET = 16 * 1024
"""Bytes of a request's path and query."""
LINGER = 2.0
"""Seconds in which a client that is still sending can read why it was refused."""
REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Too Large",
    414: b"Address Too Long",
    431: b"Headers Too Large",
    503: b"Busy",
}


class Settings(uvicorn.Config):
    """Uvicorn's settings, and what clients may do: how many there are, bytes and seconds of a request."""

    def __init__(
        self,
        application: Starlette,
        *,
        max_connections: int,
        max_bytes: int,
        request_timeout: float,
        **settings: Any,
    ) -> None:
        super().__init__(
            application, http=Connection, ws="none", h11_max_incomplete_event_size=MAX_HEADER, **settings
        )
        self.max_connections = max_connections
        self.max_bytes = max_bytes
        self.request_timeout = request_timeout


class Incoming(h11.Connection):
    """HTTP whose bodies announce one length, and none that is refused anyway."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(h11.SERVER, MAX_HEADER)
        self._max_bytes = max_bytes

    def next_event(self) -> Any:
        """What arrived next.

        Raises:
            h11.RemoteProtocolError: it is no HTTP, or a request with too long an address or body, or with two lengths.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            if len(event.target) > MAX_TARGET:
                told = f"The address is longer than {MAX_TARGET} bytes; send what is long in a body."
                raise h11.RemoteProtocolError(told, error_status_hint=414)
            headers = dict(event.headers)
            length = int(headers.get(b"content-length", b"0"))
            if b"content-length" in headers and b"transfer-encoding" in headers:
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
            if length > self._max_bytes:
                told = f"The request is larger than {self._max_bytes} bytes; serve with max_body=… MiB."
                raise h11.RemoteProtocolError(told, error_status_hint=413)
        return event


class Connection(H11Protocol):
    """HTTP/1.1 with an end to everything: to a request's arrival, to its answer's departure, to idle time."""

    config: Settings

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = http_log
        self.conn = Incoming(self.config.max_bytes)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, or refuse when there are too many clients."""
        super().connection_made(transport)
        limit = self.config.max_connections
        present = sum(
            isinstance(one, Connection) and not one.transport.is_closing() for one in self.connections
        )
        if present > limit and not self._make_room():
            self._refuse(
                503, f"There are {limit} connections already; try again, or serve with max_connections=…"
            )
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what arrived; what follows a refusal is not looked at."""
        if not self._refused:
            super().data_received(data)
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that says it will send no more, if it has asked for something; let any other go."""
        asked = self.cycle is not None and not self.cycle.response_complete
        if asked and self.conn.their_state in (h11.DONE, h11.MUST_CLOSE):
            self.cycle.keep_alive = False
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and its timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Give a client that does not read its answer some time."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.config.request_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def on_response_complete(self) -> None:
        """Count the time of the next request anew."""
        self._forget_deadline()
        super().on_response_complete()
        if self.transport.is_closing():
            self._end()
        else:
            self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Let an idle client go."""
        super().timeout_keep_alive_handler()
        self._end()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with the HTTP; called while h11's own error is handled."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status == 431:
            told = f"The headers are larger than {MAX_HEADER} bytes."
        elif status == 413:
            told = str(error)
        else:  # behind a colon h11 quotes the request, which may hold a secret
            told = f"{msg} ({str(error).partition(':')[0]})"
        self._refuse(status if status in REASONS else 400, told)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as plain HTTP."""

    def _watch(self) -> None:
        """Have a deadline exactly as long as a request is awaited or arriving."""
        if self._refused or self.transport.is_closing():
            return
        state = self.conn.their_state
        waiting = state is h11.IDLE and self.timeout_keep_alive_task is None
        if not (waiting or state is h11.SEND_BODY):
            self._forget_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.config.request_timeout, self._too_late)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        silent = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        if silent or self.conn.our_state is h11.DONE:  # nothing was asked, or it was answered already
            self.transport.close()
            self._end()
            return
        seconds = self.config.request_timeout
        self._refuse(408, f"The request did not arrive within {seconds:g} s; serve with request_timeout=…")

    def _make_room(self) -> bool:
        """Let the client go that is idle, or else has half a request on its way, for longest; False without any."""
        idle = {
            one.timeout_keep_alive_task.when(): one
            for one in self.connections
            if isinstance(one, Connection)
            and one.timeout_keep_alive_task is not None
            and not one.transport.is_closing()
        }
        if idle:
            idle[min(idle)].timeout_keep_alive_handler()
            return True
        halves = [
            (one._deadline.when(), number, one)
            for number, one in enumerate(self.connections)
            if isinstance(one, Connection) and one._deadline is not None and not one.transport.is_closing()
        ]
        if not halves:
            return False
        slowest = min(halves)[2]
        slowest._refuse(503, "Other clients need the room of this half request; send it as a whole")
        slowest.transport.close()
        return True

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error of our own and look at nothing more from this client."""
        self._refused = True
        self._forget_deadline()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application's answer is not wanted any more
            self.cycle.message_event.set()
        log.warning("a request was refused: %d %s", status, message)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(status, json.dumps(ApiError(status, message).body, separators=(",", ":")).encode())
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.abort)

    def _send(self, status: int, content: bytes) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=status, headers=headers, reason=REASONS[status])
        for event in (response, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def _end(self) -> None:
        """Do not wait for ever until a closed connection's last bytes are read."""
        self.loop.call_later(LINGER, self.transport.abort)

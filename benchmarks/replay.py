"""A server that answers at once: it asks a real one the first time and repeats the answer for ever after.

`python -m benchmarks.replay ROOT` prints its own root URL. What the client needs against it, it needs by itself.
"""

from __future__ import annotations

import asyncio
import http.client
import re
from urllib.parse import urlsplit

from benchmarks.arguments import read

JOB = re.compile(rb"/jobs/[0-9a-f-]{36}")


class Replay(asyncio.Protocol):
    """One connection of a client: HTTP/1.1 with Content-Length, nothing else."""

    answers: dict[tuple[bytes, bytes], bytes] = {}  # noqa: RUF012 - shared by all connections on purpose

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if not separator or len(rest) < size:
            return
        self._buffer = rest[size:]
        method, path, _ = head.split(b" ", 2)
        key = method, JOB.sub(b"/jobs/X", path)
        answer = self.answers.get(key)
        if answer is None:
            answer, final = self._ask(method, path, head, rest[:size])
            if final:
                self.answers[key] = answer
        self._transport.write(answer)

    def _ask(self, method: bytes, path: bytes, head: bytes, body: bytes) -> tuple[bytes, bool]:
        """The real server's answer, and whether it will be the same next time."""
        headers = dict(
            line.split(": ", 1)
            for line in head.decode().split("\r\n")[1:]
            if not line.lower().startswith("host")
        )
        connection = http.client.HTTPConnection(self._origin)
        connection.request(method.decode(), path.decode(), body, headers)
        response = connection.getresponse()
        content = response.read()  # no address is in any of them
        kind = response.headers.get("content-type", "application/json")
        answer = (
            f"HTTP/1.1 {response.status} OK\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
        ).encode() + content
        return answer, b'"Running"' not in content and b'"Queued"' not in content


async def main(root: str) -> None:
    """Serve until killed."""
    origin = urlsplit(root).netloc
    server = await asyncio.get_running_loop().create_server(lambda: Replay(origin), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(read(__name__, __doc__, ("root", {"metavar": "ROOT"})).root))

"""Servers that stand between a run and its store: with a certificate of their own, refusing, or passing on.

`python -m tests.tracking.servers [USER:PASSWORD]` is an HTTP proxy; it prints its port, then a line per connection.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import ipaddress
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(home: Path, name: str = "server") -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = home / f"{name}.pem", home / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


@contextlib.contextmanager
def answering(
    statuses: Mapping[str, int],
    tls: tuple[Path, Path] | None = None,
    clients: Path | None = None,
    login: str | None = None,
) -> Iterator[str]:
    """A server that answers paths with these prefixes with a status, others with 404; yields its address.

    Args:
        statuses: prefix → status.
        tls: its certificate and key; None: plain HTTP.
        clients: certificates of the clients it lets in.
        login: the Authorization header without which it answers 401 to all but /health.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = next((code for path, code in statuses.items() if self.path.startswith(path)), 404)
            if login and self.path != "/health" and self.headers.get("Authorization") != login:
                status = 401
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def forwarding(log: Path, login: str = "") -> Iterator[str]:
    """An HTTP proxy in a process of its own; yields its address. `log` gets a line for each connection."""
    with log.open("wb") as output:
        command = [sys.executable, "-u", "-m", "tests.tracking.servers", login]
        process = subprocess.Popen(command, stdout=output)
    try:
        while not (lines := log.read_text().splitlines()):
            assert process.poll() is None
            select.select([], [], [], 0.02)
        yield f"http://{login + '@' if login else ''}127.0.0.1:{lines[0]}"
    finally:
        process.kill()
        process.wait()


def _forward(client: socket.socket, login: str) -> None:
    """One connection of the proxy: CONNECT, or one plain request."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1 << 16) or b"\r\n\r\n"
    line = head.split(b"\r\n", 1)[0].decode()
    print(line, flush=True)
    expected = base64.b64encode(login.encode())
    if login and expected not in head:
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    method, target, _ = line.split(" ")
    host, _, port = target.removeprefix("http://").partition("/")[0].partition(":")
    with socket.create_connection((host, int(port or 80))) as server:
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            server.sendall(head)
        ends = {client: server, server: client}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                if not (data := end.recv(1 << 16)):
                    return
                ends[end].sendall(data)


def _serve(login: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_one, args=(client, login), daemon=True).start()


def _one(client: socket.socket, login: str) -> None:
    with client, contextlib.suppress(OSError):
        _forward(client, login)


if __name__ == "__main__":
    _serve(sys.argv[1])

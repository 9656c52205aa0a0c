"""A proxy that spoils answers on purpose, between a client and the real service."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["pass", "lose", "half", "drop"] | bytes
"""pass; lose the answer after the service gave it; give half of it; drop the request unread; or answer these bytes."""


def answer(status: str, body: str = "", **headers: str) -> bytes:
    """Bytes of an answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *lines, "", body]).encode()


class Proxy:
    """Serves one request a connection. `faults` are used up one a request; after them everything passes."""

    def __init__(self, upstream: str, faults: Sequence[Fault], tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._faults = list(faults)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def seen(self) -> list[str]:
        """Methods of the requests that were read, in order."""
        return [request.split(b" ", 1)[0].decode() for request in self.requests]

    def through(self, link: str) -> str:
        """The same link, by way of this proxy."""
        return self.url + link[link.index("/", 8) :]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), client, self._secured(client) as secured:
                self._handle(secured)

    def _secured(self, client: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(client, server_side=True) if self._tls else client

    def _handle(self, client: socket.socket) -> None:
        client.settimeout(10)
        fault = self._faults.pop(0) if self._faults else "pass"
        request = b"" if fault == "drop" else _message(client)
        if request:
            self.requests.append(request)
        if isinstance(fault, bytes):
            client.sendall(fault)
        elif request:
            with socket.create_connection(self._upstream) as upstream:
                upstream.sendall(request)
                given = _message(upstream, head_only=request.startswith(b"HEAD "))
            client.sendall({"pass": given, "half": given[: len(given) - 20]}.get(fault, b""))
        if isinstance(client, ssl.SSLSocket):
            client.unwrap()


def _message(connection: socket.socket, *, head_only: bool = False) -> bytes:
    """A whole request or answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths and not head_only else 0
    while missing > 0:
        chunk = connection.recv(65_536)
        data, missing = data + chunk, missing - len(chunk)
    return data


@contextlib.contextmanager
def proxied(upstream: str, *faults: Fault, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy before the service at `upstream`."""
    proxy = Proxy(upstream, faults, tls)
    try:
        yield proxy
    finally:
        proxy.close()

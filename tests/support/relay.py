"""A TCP relay that records every byte that a browser sends, to search them for secrets."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Relay:
    """A relay that listens at `url`. `streams` holds the bytes of each connection from a browser."""

    url: str
    streams: list[bytearray] = field(default_factory=list)

    @property
    def sent(self) -> bytes:
        """Every byte so far."""
        return b"\n--\n".join(map(bytes, self.streams))


def _pump(source: socket.socket, target: socket.socket, keep: bytearray) -> None:
    try:
        while data := source.recv(65536):
            keep += data
            target.sendall(data)
    except OSError:  # one side is gone; the other is told below
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


@contextmanager
def relaying(host: str, port: int) -> Iterator[Relay]:
    """Run a relay to a server."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            stream = bytearray()
            relay.streams.append(stream)
            with socket.create_connection((host, port)) as upstream:
                down = threading.Thread(target=_pump, args=(upstream, self.request, bytearray()))
                down.start()
                _pump(self.request, upstream, stream)
                down.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore a server that is unreachable, as in some tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        relay = Relay(f"http://127.0.0.1:{server.server_address[1]}")
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield relay
        finally:
            server.shutdown()
            serving.join()

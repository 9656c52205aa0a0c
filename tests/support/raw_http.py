"""Raw connections, for requests that no well-behaved client would send."""

import contextlib
import io
import socket
import struct
from collections.abc import Iterator
from http.client import HTTPMessage, parse_headers
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.service import wait_for


class Answer(NamedTuple):
    """A response; the case of header names is as received."""

    status: int
    headers: HTTPMessage
    body: bytes


class Raw:
    """A connection to the service at `url`. Reading waits for 20 seconds at most."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=20)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send all of the bytes."""
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """Return the next complete response."""
        status = int(self._file.readline().split()[1])
        headers = parse_headers(self._file)
        return Answer(status, headers, self._file.read(int(headers["content-length"])))

    def open(self) -> bool:
        """Return whether the other side has not closed the connection; received bytes stay unread."""
        self.socket.settimeout(0)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(20)

    def line(self) -> bytes:
        """Return the next line."""
        return self._file.readline()

    def statuses(self, count: int) -> list[int]:
        """Return the statuses of the next responses."""
        return [self.answer().status for _ in range(count)]

    def rest(self) -> list[Answer]:
        """Return all responses until the other side closes."""
        return split_responses(self.wait_closed())

    def half_close(self) -> None:
        """Send the end of the stream, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close at once with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def wait_closed(self) -> bytes:
        """Wait until the other side has closed the connection; return the bytes received until then."""
        came = b""
        with contextlib.suppress(ConnectionError):
            while data := self._file.read1(65536):
                came += data
        return came

    def trickle(self, data: bytes, every: float = 0.05) -> bytes:
        """Send byte by byte until the other side closes the connection; return the received bytes."""
        left = iter(data)

        def closed() -> bool:
            with contextlib.suppress(ConnectionError):
                self.send(bytes([next(left)]))
            return not self.open() or self.readable()

        wait_for(closed, every=every)
        return self.wait_closed()

    def readable(self) -> bool:
        """Return whether bytes have arrived."""
        self.socket.settimeout(0)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False
        finally:
            self.socket.settimeout(20)

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()


def split_responses(data: bytes) -> list[Answer]:
    """Return the responses in `data`; each must be whole. Interim responses (1xx) have no body."""
    file = io.BytesIO(data)
    found = []
    while line := file.readline():
        assert line.startswith(b"HTTP/1.1 "), data
        headers = parse_headers(file)
        length = int(headers.get("content-length", "0"))
        body = file.read(length)
        assert len(body) == length, "the last response is cut off"
        found.append(Answer(int(line.split()[1]), headers, body))
    return found


@contextlib.contextmanager
def raw(url: str, count: int = 1) -> Iterator[list[Raw]]:
    """Open so many connections."""
    connections = [Raw(url) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()

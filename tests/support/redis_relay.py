"""A TCP relay before a Redis that holds back its replies, as a slow network does."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

from tests.support.redis_server import RedisServer


class RedisRelay(socketserver.ThreadingTCPServer):
    """A relay to `server` for stores at `url`. It passes everything until `hold` is called."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = ("127.0.0.1", server.service_port)
        self.url = f"redis://127.0.0.1:{self.server_address[1]}"
        self._changed = threading.Condition()
        self._awaited: tuple[bytes, int] | None = None
        self._budget: int | None = None

    def hold(self, command: bytes, after: int = 0) -> None:
        """Hold all replies back, but for `after` bytes of them, once a command contains these bytes."""
        with self._changed:
            self._awaited = command, after

    def release(self) -> None:
        """Pass the replies again."""
        with self._changed:
            self._budget = None
            self._changed.notify_all()

    def holding(self) -> bool:
        """Tell whether the command has come and no more bytes of replies may pass."""
        with self._changed:
            return self._budget == 0

    def note_commands(self, data: bytes) -> int:
        """Begin to hold if `data` has the awaited command. Return how many bytes may pass: all of them."""
        with self._changed:
            if self._awaited is not None and self._awaited[0] in data:
                self._budget, self._awaited = self._awaited[1], None
        return len(data)

    def admit_replies(self, data: bytes) -> int:
        """Wait until some of `data` may pass, and return how many bytes."""
        with self._changed:
            self._changed.wait_for(lambda: self._budget != 0)
            if self._budget is None:
                return len(data)
            passing = min(self._budget, len(data))
            self._budget -= passing
            return passing


class _Connection(socketserver.BaseRequestHandler):
    server: RedisRelay

    def handle(self) -> None:
        relay = self.server
        with contextlib.suppress(OSError), socket.create_connection(relay.upstream) as upstream:
            replies = threading.Thread(target=_pump, args=(upstream, self.request, relay.admit_replies), daemon=True)
            replies.start()
            _pump(self.request, upstream, relay.note_commands)
            replies.join()


def _pump(source: socket.socket, target: socket.socket, admit: Callable[[bytes], int]) -> None:
    with contextlib.suppress(OSError):  # one side is gone; the other is told below
        while data := source.recv(65_536):
            while data:
                passing = admit(data)
                target.sendall(data[:passing])
                data = data[passing:]
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relayed(server: RedisServer) -> Iterator[RedisRelay]:
    """Run a relay to `server`."""
    with RedisRelay(server) as relay:
        accepting = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        accepting.start()
        try:
            yield relay
        finally:
            relay.release()
            relay.shutdown()
            accepting.join()

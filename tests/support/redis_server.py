"""Real servers for the tests: started on free ports, ended by pid."""

import contextlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.programs import require


def free_port() -> int:
    """Return a free port, below those of outgoing connections, one of which could take it meanwhile.

    The bus of a cluster node is at a port 10,000 higher, which is below them too.
    """
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(10_000, 20_000))) as one:
            port: int = one.getsockname()[1]
            return port


@dataclass
class RedisServer:
    """A redis-server of a test; `options` are those of its command line, which may begin with a configuration file."""

    folder: Path
    port: int
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the store."""
        return f"redis://127.0.0.1:{self.port}"

    def option(self, name: str) -> str | None:
        """Return the value of an option on the command line."""
        return self.options[self.options.index(name) + 1] if name in self.options else None

    @property
    def service_port(self) -> int:
        """The port for stores: the TLS port if there is one."""
        return int(self.option("--tls-port") or self.port)

    def client(self) -> redis.Redis:
        """Return a client that looks at the data behind the store."""
        return redis.Redis(port=self.port)

    def listen(self) -> tuple[str, ...]:
        """Return the options for the port."""
        return "--port", str(self.port)

    def flush(self) -> None:
        """Remove all keys."""
        self.client().flushall()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [require("redis-server"), *self.options, *self.listen(), "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self.process.poll() is None, "redis-server ended: its options are wrong"
            assert time.monotonic() < deadline, "redis-server did not start in time"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the process for a block, so that its sockets hang."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


@contextlib.contextmanager
def redis_running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run a redis-server with its files in `folder`."""
    folder.mkdir(exist_ok=True)
    server = RedisServer(folder, free_port(), options)
    server.start()
    try:
        yield server
    finally:
        server.kill()

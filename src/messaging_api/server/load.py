"""The limits of one worker, and its current load."""

import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from messaging_api.observability.audit import AuditLog
from messaging_api.server.timeouts import TimedConnection


class ServedConnection(TimedConnection, Hashable, Protocol):
    """A connection that can be ended."""

    def shut_down(self) -> None:
        """Finish the requests that were begun, then close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


def request_ids() -> Iterator[str]:
    """Yield request ids of 16 hex digits. One system call gets the random bytes of 512 ids."""
    while True:
        digits = os.urandom(8 * 512).hex()
        yield from (digits[start : start + 16] for start in range(0, len(digits), 16))


@dataclass
class WorkerLoad:
    """The limits of connections and requests of one worker, and how many it has."""

    audit: AuditLog
    max_connections: int
    max_in_flight: int
    max_held: int
    """Bytes of request bodies that are not complete; beyond it large bodies are rejected."""
    in_flight: int = 0
    """Requests being served. One that waits for its body is not counted: slow clients must not use up the limit."""
    held: int = 0
    connections: set[ServedConnection] = field(default_factory=set)
    rejected: set[object] = field(default_factory=set)
    """Connections over the limit that wait for their rejection."""
    date: bytes = b""
    """The Date header line, which changes once a second."""
    request_ids: Iterator[str] = field(default_factory=request_ids)
    on_connection_lost: Callable[[], None] = lambda: None

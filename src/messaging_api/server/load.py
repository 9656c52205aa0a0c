"""The limits of one worker, and how much of them is used."""

import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from messaging_api.observability.audit import AuditLog
from messaging_api.server.timeouts import TimedConnection


class ServedConnection(TimedConnection, Hashable, Protocol):
    """A connection that can be told to end."""

    def shut_down(self) -> None:
        """Finish what was begun, and end."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


def request_ids() -> Iterator[str]:
    """Give request ids of 16 hex digits; the system is asked for randomness once for 512 of them."""
    while True:
        digits = os.urandom(8 * 512).hex()
        yield from (digits[start : start + 16] for start in range(0, len(digits), 16))


@dataclass
class WorkerLoad:
    """How many connections and requests one worker takes, and how many it has."""

    audit: AuditLog
    max_connections: int
    max_in_flight: int
    max_held: int
    """Bytes of request bodies that are not complete; beyond it large bodies are rejected."""
    in_flight: int = 0
    """Requests being served. One that waits for its body has no place here: slow clients keep nobody out."""
    held: int = 0
    connections: set[ServedConnection] = field(default_factory=set)
    rejected: set[object] = field(default_factory=set)
    """Connections over the limit that are being told so."""
    date: bytes = b""
    """The Date header line, which changes once a second."""
    request_ids: Iterator[str] = field(default_factory=request_ids)
    on_connection_lost: Callable[[], None] = lambda: None

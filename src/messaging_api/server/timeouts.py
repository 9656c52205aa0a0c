"""Timeouts of connections: one check a second of all of them, instead of a timer for each request.

A request costs nothing here. A timeout is kept to within two checks, never early.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple, Protocol


class Phase(Enum):
    """What a connection waits for."""

    HEAD = "head"
    """The connection is new, or the head of a request has begun."""
    BODY = "body"
    """The head is complete, the body is not."""
    WORK = "work"
    """The request is being served; the store has a deadline of its own."""
    SEND = "send"
    """A response waits for the client to take it."""
    IDLE = "idle"
    """All requests are answered, and none has begun."""
    LINGER = "linger"
    """The last response is sent; what the client still sends is dropped until it closes its side."""
    CLOSING = "closing"


ConnectionState = tuple[Phase, object]
"""A phase, and what it is about: time counts while both stay the same."""


class TimedConnection(Protocol):
    """A connection."""

    def state(self) -> ConnectionState:
        """Return what it waits for now."""
        ...

    def expire(self, phase: Phase) -> None:
        """End the connection: it was in `phase` for too long."""
        ...


class _Seen(NamedTuple):
    state: ConnectionState
    since: float


class Timeouts:
    """How long each phase may take, in seconds by `clock`; phases that are not named have no timeout."""

    def __init__(self, seconds: Mapping[Phase, float], clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[TimedConnection, _Seen] = {}

    def check(self, connections: Iterable[TimedConnection]) -> None:
        """Find out the state of each connection, and end those that were in it for too long."""
        now = self._clock()
        before, self._seen = self._seen, {}
        for connection in tuple(connections):
            state = connection.state()
            seen = before.get(connection)
            if seen is None or seen.state != state:
                seen = _Seen(state, now)
            self._seen[connection] = seen
            if now - seen.since >= self._seconds.get(state[0], now + 1):
                connection.expire(state[0])


async def every(seconds: float, act: Callable[[], None]) -> None:
    """Call `act` again and again, with a pause of `seconds` before each call."""
    while True:
        await asyncio.sleep(seconds)
        act()

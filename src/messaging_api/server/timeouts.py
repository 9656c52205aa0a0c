"""Timeouts of connections: one check of all of them per second, instead of a timer for each request.

A request costs nothing. A connection ends within two checks of its timeout, never early.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple, NoReturn, Protocol


class Phase(Enum):
    """The phase of a connection: the event that it waits for."""

    HEAD = "head"
    """The connection is new, or the head of a request has begun."""
    BODY = "body"
    """The head is complete, the body is not."""
    WORK = "work"
    """The request is being served; the store has its own timeout."""
    SEND = "send"
    """A response waits until the client receives it."""
    IDLE = "idle"
    """All requests are answered, and none has begun."""
    LINGER = "linger"
    """The last response is sent; what the client still sends is dropped until it closes its side."""
    CLOSING = "closing"


ConnectionState = tuple[Phase, object]
"""A phase, and the request it concerns. The time of a phase restarts when either changes."""


class TimedConnection(Protocol):
    """A connection with timeouts."""

    def state(self) -> ConnectionState:
        """Return the current phase and its request."""
        ...

    def expire(self, phase: Phase) -> None:
        """End the connection, whose `phase` exceeded its timeout."""
        ...


class _Seen(NamedTuple):
    state: ConnectionState
    since: float


class Timeouts:
    """The timeout of each phase, in seconds of `clock`; a phase that is missing has no timeout."""

    def __init__(self, seconds: Mapping[Phase, float], clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[TimedConnection, _Seen] = {}

    def check(self, connections: Iterable[TimedConnection]) -> None:
        """Check the state of each connection, and end those whose phase exceeded its timeout."""
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


async def every(seconds: float, act: Callable[[], None]) -> NoReturn:
    """Call `act` periodically, with a pause of `seconds` before each call."""
    while True:
        await asyncio.sleep(seconds)
        act()

"""Deadlines of connections: one look a second at all of them, instead of a timer for each request.

A request costs nothing here. A deadline is kept to within two looks, never early.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple, Protocol


class Phase(Enum):
    """What a connection is about."""

    HEAD = "head"
    """It is new, or the head of a request has begun."""
    BODY = "body"
    """The head is there, the body is not complete."""
    WORK = "work"
    """The request is being served; the store has a deadline of its own."""
    SEND = "send"
    """An answer waits for the client to take it."""
    IDLE = "idle"
    """All is answered, nothing has begun."""
    CLOSING = "closing"


State = tuple[Phase, object]
"""A phase, and what it is about: while both stay the same, time counts."""


class TimedConnection(Protocol):
    """A connection."""

    def state(self) -> State:
        """What it is about now."""
        ...

    def expire(self, phase: Phase) -> None:
        """That has taken too long: end it."""
        ...


class _Seen(NamedTuple):
    state: State
    since: float


class Timeouts:
    """How long each phase may take, in seconds by `clock`; phases that are not named may take for ever."""

    def __init__(self, seconds: Mapping[Phase, float], clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[TimedConnection, _Seen] = {}
        self.waiting = 0
        """Connections whose request's body was still under way at the last look."""

    def look(self, connections: Iterable[TimedConnection]) -> None:
        """Find out what each is about, and end those that have been about it for too long."""
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
        self.waiting = sum(seen.state[0] is Phase.BODY for seen in self._seen.values())


async def every(seconds: float, act: Callable[[], None]) -> None:
    """Call `act` again and again."""
    while True:
        await asyncio.sleep(seconds)
        act()

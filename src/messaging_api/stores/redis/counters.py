"""Counters in Redis: a key for each client and kind, which ends with its window."""

import asyncio
from asyncio import Future
from functools import lru_cache, partial

from messaging_api.core.ratelimit import WINDOW_MS, Kind, WindowCounts
from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.coalescing import CountBatcher, PendingCount
from messaging_api.stores.redis.connection import Command
from messaging_api.stores.redis.node import CommandChannel, Script

LIMIT = Script("limit.lua")
_WINDOW = str(WINDOW_MS)


class RedisCounters:
    """What is counted goes through `lane`, and need not wait for replicas."""

    def __init__(self, prefix: bytes, lane: CommandChannel) -> None:
        self._prefix = prefix
        self._lane = lane
        self.count = CountBatcher(self._count).count

    def _count(self, tallies: list[PendingCount]) -> None:
        for tally in tallies:
            command = _command(self._prefix, *tally.ask, len(tally.tells))
            # ahead, so that it is answered before the look beside it, and nobody has to wait again
            asyncio.ensure_future(self._lane.submit(command, ahead=True)).add_done_callback(partial(_settle, tally))


@lru_cache(4096)
def _command(prefix: bytes, client: bytes, add: Kind | None, look: Kind | None, more: int) -> Command:
    """The counters of one client lie in one slot of a cluster."""
    asked = {kind: count for kind, count in ((add, more), (look, 0)) if kind is not None}
    keys = [b"%blimit:{%b}:%b" % (prefix, client.hex().encode(), kind.encode()) for kind in asked]
    return LIMIT.call(len(keys), *keys, _WINDOW, *map(str, asked.values()))


def _settle(tally: PendingCount, reply: "Future[list[int]]") -> None:
    error = reply.exception()
    if error is None:
        told = reply.result()
        tally.resolve(WindowCounts(*told) if tally.ask[1] else WindowCounts(0, 0, *told))
    else:
        tally.resolve(error if isinstance(error, StoreError) else StoreUnavailable("Redis gave no answer."))

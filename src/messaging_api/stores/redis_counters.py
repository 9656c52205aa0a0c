"""Counters in Redis: a key for each client and kind, which ends with its window."""

import asyncio
from asyncio import Future
from functools import partial

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.ratelimit import WINDOW_MS, Ask, Standing
from messaging_api.stores.redis_node import Lane, Script
from messaging_api.stores.resp import Command
from messaging_api.stores.tallies import Tallies, Tally

LIMIT = Script("limit.lua")


class RedisCounters:
    """What is counted goes through `lane`, and need not wait for replicas."""

    def __init__(self, prefix: bytes, lane: Lane) -> None:
        self._prefix = prefix
        self._lane = lane
        self.count = Tallies(self._count).submit

    def _count(self, tallies: list[Tally]) -> None:
        for tally in tallies:
            command = self._command(tally.ask, len(tally.answers))
            asyncio.ensure_future(self._lane.submit(command)).add_done_callback(partial(_settle, tally))

    def _command(self, ask: Ask, count: int) -> Command:
        """The counters of one client lie in one slot of a cluster."""
        of_client = b"%blimit:{%b}:" % (self._prefix, ask.client.hex().encode())
        asked = [(kind, more) for kind, more in ((ask.add, count), (ask.look, 0)) if kind is not None]
        keys = [of_client + kind.encode() for kind, _ in asked]
        return LIMIT.call(len(keys), *keys, str(WINDOW_MS), *(str(more) for _, more in asked))


def _settle(tally: Tally, reply: "Future[list[int]]") -> None:
    error = reply.exception()
    if error is None:
        told = reply.result()
        tally.settle(Standing(*told) if tally.ask.add else Standing(0, 0, *told))
    else:
        tally.settle(error if isinstance(error, StoreError) else StoreUnavailable("Redis gave no answer."))

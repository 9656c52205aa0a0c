"""Counters in Redis: a key for each client and kind, which ends with its window."""

from asyncio import Future
from collections.abc import Callable
from functools import partial
from typing import Any

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.ratelimit import WINDOW_MS, Ask, Standing
from messaging_api.stores.resp import Command
from messaging_api.stores.tallies import Tallies, Tally


class RedisCounters:
    """`submit` sends a command; `limit` makes the one that calls limit.lua, from the number of keys and the rest."""

    def __init__(
        self, prefix: bytes, submit: Callable[[Command], "Future[Any]"], limit: Callable[..., Command]
    ) -> None:
        self._prefix = prefix
        self._submit = submit
        self._limit = limit
        self.count = Tallies(self._count).submit

    def _count(self, tallies: list[Tally]) -> None:
        for tally in tallies:
            command = self._command(tally.ask, len(tally.answers))
            self._submit(command).add_done_callback(partial(_settle, tally))

    def _command(self, ask: Ask, count: int) -> Command:
        """The counters of one client lie in one slot of a cluster."""
        of_client = b"%blimit:{%b}:" % (self._prefix, ask.client.hex().encode())
        asked = [(kind, more) for kind, more in ((ask.add, count), (ask.look, 0)) if kind is not None]
        keys = [of_client + kind.encode() for kind, _ in asked]
        return self._limit(len(keys), *keys, str(WINDOW_MS), *(str(more) for _, more in asked))


def _settle(tally: Tally, reply: "Future[list[int]]") -> None:
    error = reply.exception()
    if error is None:
        told = reply.result()
        tally.settle(Standing(*told) if tally.ask.add else Standing(0, 0, *told))
    else:
        tally.settle(error if isinstance(error, StoreError) else StoreUnavailable("Redis gave no answer."))

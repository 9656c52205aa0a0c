"""The nodes of a cluster: which of them serves a slot, learnt from the cluster and kept up to date."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from messaging_api.errors import StoreError
from messaging_api.stores.redis.hash_slot import SLOTS, VIEW, masters, served
from messaging_api.stores.redis.node import CommandChannel
from messaging_api.stores.redis.url import Endpoint

_ASKED = 3
"""How many nodes are asked at once: one that hangs holds nobody up."""
_PAUSE = 0.05
"""Seconds between two times that the cluster is asked."""

View = list[tuple[range, Endpoint]]


class Shard(NamedTuple):
    """The two lanes to a node; they are one where writes need not wait for replicas."""

    endpoint: Endpoint
    reads: CommandChannel
    writes: CommandChannel


class ClusterTopology:
    """`at[slot]` is the shard that serves a slot, None while unknown; `open_shard` gives the one at an endpoint."""

    def __init__(self, hosts: Sequence[Endpoint], timeout: float, open_shard: Callable[[Endpoint], Shard]) -> None:
        self.at: list[Shard | None] = [None] * SLOTS
        self._hosts = hosts
        self._timeout = timeout
        self._open_shard = open_shard
        self._shards: dict[Endpoint, Shard] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed = -_PAUSE

    def shard(self, endpoint: Endpoint) -> Shard:
        """The shard of the master at `endpoint`."""
        found = self._shards.get(endpoint)
        if found is None:
            found = self._shards[endpoint] = self._open_shard(endpoint)
        return found

    def serving(self) -> set[Shard]:
        """All that serve a slot."""
        return {shard for shard in self.at if shard is not None}

    def refresh(self) -> "asyncio.Task[None]":
        """Ask the cluster again, in the background; whoever asks meanwhile shares the answer."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def aclose(self) -> None:
        """Let go of all nodes."""
        if self._refreshing is not None:
            await self._refreshing
        for shard in self._shards.values():
            for lane in {shard.reads, shard.writes}:
                await lane.aclose()

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._refreshed + _PAUSE - loop.time())
        for slots, endpoint in await self._ask():
            self.at[slots.start : slots.stop] = [self.shard(endpoint)] * len(slots)
        self._refreshed = loop.time()

    async def _ask(self) -> View:
        """What the first node says that knows of all slots; else what the one says that knows of most."""
        known = sorted({*self._hosts, *self._shards})
        asked = [asyncio.create_task(self._view(one)) for one in random.sample(known, min(_ASKED, len(known)))]
        best: View = []
        with contextlib.suppress(TimeoutError):
            for answer in asyncio.as_completed(asked, timeout=self._timeout):
                best = max(best, await answer, key=served)
                if served(best) == SLOTS:
                    break
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)
        return best

    async def _view(self, endpoint: Endpoint) -> View:
        try:
            return list(masters(await self.shard(endpoint).reads.submit(VIEW), endpoint))
        except StoreError:
            return []

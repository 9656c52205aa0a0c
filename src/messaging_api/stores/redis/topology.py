"""The topology of a cluster: which shard serves which slot, learned from the nodes and kept up to date."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from messaging_api.errors import StoreError
from messaging_api.stores.redis.hash_slot import CLUSTER_SLOTS, SLOTS, count_slots, masters
from messaging_api.stores.redis.node import ServerChannel
from messaging_api.stores.redis.url import Endpoint

_QUERIED_NODES = 3
"""How many nodes are queried at once, so that a node that hangs delays nothing."""
_MIN_REFRESH_INTERVAL = 0.05
"""Seconds between two refreshes."""

SlotMap = list[tuple[range, Endpoint]]


class Shard(NamedTuple):
    """The command channels to a master; one channel twice if writes need not wait for replicas."""

    endpoint: Endpoint
    reads: ServerChannel
    writes: ServerChannel


class ClusterTopology:
    """The slots of a cluster and the shards that serve them.

    `by_slot[slot]` is the shard of a slot, None while unknown. `open_shard` returns the shard at an endpoint. `timeout`
    is in seconds, for one refresh.
    """

    def __init__(self, hosts: Sequence[Endpoint], timeout: float, open_shard: Callable[[Endpoint], Shard]) -> None:
        self.by_slot: list[Shard | None] = [None] * SLOTS
        self._hosts = hosts
        self._timeout = timeout
        self._open_shard = open_shard
        self._shards: dict[Endpoint, Shard] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = -_MIN_REFRESH_INTERVAL

    def shard(self, endpoint: Endpoint) -> Shard:
        """Return the shard of the master at `endpoint`; open it if it is new."""
        shard = self._shards.get(endpoint)
        if shard is None:
            shard = self._shards[endpoint] = self._open_shard(endpoint)
        return shard

    def assign(self, slot: int, shard: Shard) -> None:
        """Note that `shard` serves `slot`, as a redirect said."""
        self.by_slot[slot] = shard

    def serving(self) -> set[Shard]:
        """Return all shards that serve a slot."""
        return {shard for shard in self.by_slot if shard is not None}

    def refresh(self) -> "asyncio.Task[None]":
        """Refresh the slots in the background; callers during a refresh share its task."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        if self._refreshing is not None:
            await self._refreshing
        for shard in self._shards.values():
            for channel in {shard.reads, shard.writes}:
                await channel.aclose()

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._refreshed_at + _MIN_REFRESH_INTERVAL - loop.time())
        for slots, endpoint in await self._query_nodes():
            self.by_slot[slots.start : slots.stop] = [self.shard(endpoint)] * len(slots)
        self._refreshed_at = loop.time()

    async def _query_nodes(self) -> SlotMap:
        """Return the slot map of the first node that knows all slots, else the map with the most slots."""
        known = sorted({*self._hosts, *self._shards})
        nodes = random.sample(known, min(_QUERIED_NODES, len(known)))
        queries = [asyncio.create_task(self._query(node)) for node in nodes]
        best: SlotMap = []
        with contextlib.suppress(TimeoutError):
            for slot_map in asyncio.as_completed(queries, timeout=self._timeout):
                best = max(best, await slot_map, key=count_slots)
                if count_slots(best) == SLOTS:
                    break
        for query in queries:
            query.cancel()
        await asyncio.wait(queries)
        return best

    async def _query(self, endpoint: Endpoint) -> SlotMap:
        try:
            return list(masters(await self.shard(endpoint).reads.submit(CLUSTER_SLOTS), endpoint))
        except StoreError:
            return []

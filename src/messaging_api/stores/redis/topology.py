"""The topology of a cluster: which shard serves which slot, learned from the nodes and kept up to date.

A view of all slots is the truth: a node that it does not name has left the cluster, or serves nothing any more. Where
nodes change their addresses, as pods do, the shards would otherwise grow without a limit.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, groupby, islice, zip_longest
from typing import NamedTuple

from messaging_api.core.background import OnFailure, start_task
from messaging_api.errors import StoreError
from messaging_api.stores.redis.hash_slot import CLUSTER_SLOTS, SLOTS, count_slots, masters
from messaging_api.stores.redis.node import ServerChannel
from messaging_api.stores.redis.url import Endpoint

_QUERIED_NODES = 3
"""How many nodes are queried at once, so that a node that hangs delays nothing. One that fails is replaced."""
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
    is in seconds, for one refresh. `on_failure` is called if a refresh ends with an error.
    """

    def __init__(
        self,
        hosts: Sequence[Endpoint],
        timeout: float,
        open_shard: Callable[[Endpoint], Shard],
        on_failure: OnFailure,
    ) -> None:
        self.by_slot: list[Shard | None] = [None] * SLOTS
        self._hosts = hosts
        self._timeout = timeout
        self._open_shard = open_shard
        self._on_failure = on_failure
        self._shards: dict[Endpoint, Shard] = {}
        self._closing: set[asyncio.Task[None]] = set()
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
        return {shard for shard, _ in groupby(self.by_slot) if shard is not None}

    def refresh(self) -> "asyncio.Task[None]":
        """Refresh the slots in the background; callers during a refresh share its task."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = start_task("cluster refresh", self._refresh(), self._on_failure)
        return self._refreshing

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        if self._refreshing is not None:
            await self._refreshing
        await asyncio.gather(*self._closing)
        for shard in self._shards.values():
            for channel in {shard.reads, shard.writes}:
                await channel.aclose()

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._refreshed_at + _MIN_REFRESH_INTERVAL - loop.time())
        slot_map = await self._query_nodes()
        for slots, endpoint in slot_map:
            self.by_slot[slots.start : slots.stop] = [self.shard(endpoint)] * len(slots)
        if count_slots(slot_map) == SLOTS:
            self._forget(self._shards.keys() - {*self._hosts, *(endpoint for _, endpoint in slot_map)})
        self._refreshed_at = loop.time()

    def _forget(self, endpoints: Collection[Endpoint]) -> None:
        for endpoint in endpoints:
            closing = asyncio.create_task(_close(self._shards.pop(endpoint)))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _query_nodes(self) -> SlotMap:
        """Return the slot map of the first node that knows all slots, else the map with the most slots."""
        nodes = self._nodes()
        queries = {asyncio.create_task(self._query(node)) for node in islice(nodes, _QUERIED_NODES)}
        best: SlotMap = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                while queries and count_slots(best) < SLOTS:
                    done, queries = await asyncio.wait(queries, return_when=asyncio.FIRST_COMPLETED)
                    replies = [query.result() for query in done]
                    best = max(best, *replies, key=count_slots)
                    queries |= {asyncio.create_task(self._query(node)) for node in islice(nodes, replies.count([]))}
        for query in queries:
            query.cancel()
        if queries:
            await asyncio.wait(queries)
        return best

    def _nodes(self) -> Iterator[Endpoint]:
        """Yield the nodes that serve now and the configured hosts by turns, each kind in random order."""
        serving = [shard.endpoint for shard in self.serving()]
        by_turns = zip_longest(*(random.sample(kind, len(kind)) for kind in (serving, self._hosts)))
        yield from dict.fromkeys(node for node in chain.from_iterable(by_turns) if node is not None)

    async def _query(self, endpoint: Endpoint) -> SlotMap:
        try:
            return masters(await self.shard(endpoint).reads.submit(CLUSTER_SLOTS), endpoint)
        except StoreError:
            return []


async def _close(shard: Shard) -> None:
    """Close the channels of a shard once all replies that are due have come: that to PING is the last."""
    for channel in {shard.reads, shard.writes}:
        with contextlib.suppress(StoreError):
            await channel.submit(("PING",))
        await channel.aclose()

"""The store on a Redis Cluster: each key where its slot is, each turn's commands for a node in one write.

The records of one create lie in different slots, and no script may touch more than one. So the message and the receipt
are written first, each by itself, and the answer last: nobody learns their ids before all are there, and what a failed
create leaves behind is sealed, unreachable, and removed as far as the nodes answer.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import cast

from messaging_api.core.store import Entry, Stats
from messaging_api.errors import StoreError, StoreFull, StoreUnavailable
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.errors import AskRedirect, MovedRedirect, NotExecuted
from messaging_api.stores.redis.hash_slot import located, slot_of
from messaging_api.stores.redis.node import CommandChannel, Node, Script, as_eval, connect
from messaging_api.stores.redis.replication import ReplicatedChannel
from messaging_api.stores.redis.stats import parse_info, total
from messaging_api.stores.redis.store import RedisStore
from messaging_api.stores.redis.topology import ClusterTopology, Shard
from messaging_api.stores.redis.url import Endpoint, RedisUrl

ANSWER = Script("answer.lua")

_MAP, _ONE_TRY, _MORE_TRIES = 0.25, 0.6, 0.15
"""The parts of a store's timeout for finding the nodes, for one try of a command, and for all tries after a refusal."""


class Router:
    """A CommandChannel to whichever node serves the key of a command; follows what the nodes say about who does."""

    def __init__(self, shards: ClusterTopology, pick: Callable[[Shard], CommandChannel], patience: float) -> None:
        self._shards = shards
        self._pick = pick
        self._patience = patience

    async def submit(self, command: Command, *, ahead: bool = False) -> Reply:
        """The reply to come."""
        try:
            return await self.begin(command, ahead=ahead)
        except StoreUnavailable as failure:
            return await self._recover(command, failure)

    def begin(self, command: Command, *, ahead: bool = False) -> Awaitable[Reply]:
        """The reply of the node that should serve the key; to be handed to `finish`."""
        shard = self._shards.at[_slot(command)]
        return self._find(command) if shard is None else self._pick(shard).submit(command, ahead=ahead)

    async def finish(self, command: Command, begun: Awaitable[Reply]) -> Reply:
        """The reply that `begun` gives, or that of another node if the first did not serve the key."""
        try:
            return await begun
        except StoreUnavailable as failure:
            return await self._recover(command, failure)

    async def aclose(self) -> None:
        await self._shards.aclose()

    async def _find(self, command: Command) -> Reply:
        await asyncio.shield(self._shards.refresh())
        shard = self._shards.at[_slot(command)]
        if shard is None:
            raise StoreUnavailable("The cluster is out of reach.")
        return await self._pick(shard).submit(command)

    async def _recover(self, command: Command, failure: StoreUnavailable) -> Reply:
        if isinstance(failure, NotExecuted):
            return await self._again(command, failure)
        self._shards.refresh()  # perhaps it was done: not twice; but another may have taken the node's place
        raise failure

    async def _again(self, command: Command, refused: NotExecuted) -> Reply:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        return await self._follow(command, refused)
                    except NotExecuted as again:
                        refused = again
        raise StoreUnavailable(str(refused))

    async def _follow(self, command: Command, refused: NotExecuted) -> Reply:
        slot = _slot(command)
        asked = self._shards.at[slot]
        if asked is None or not isinstance(refused, MovedRedirect):
            await asyncio.shield(self._shards.refresh())
            return await self.begin(command)
        there = self._shards.shard(located(refused.host, refused.port, asked.endpoint))
        if isinstance(refused, AskRedirect):
            lane = self._pick(there)
            _, reply = await asyncio.gather(lane.submit(("ASKING",)), lane.submit(as_eval(command)))
            return reply
        self._shards.at[slot] = there
        self._shards.refresh()
        return await self.begin(command)


def _slot(command: Command) -> int:
    return slot_of(cast("bytes", command[3 if command[0] == "EVALSHA" else 1]))


class ClusterStore(RedisStore):
    """A Store; see `core/store.py`."""

    def __init__(self, address: RedisUrl, timeout: float, instruments: StoreHooks, replicas: int) -> None:
        open_shard = partial(_shard, address, timeout * _ONE_TRY, instruments, replicas)
        self._shards = ClusterTopology(address.hosts, timeout * _MAP, open_shard)
        self._patience = timeout * _MORE_TRIES
        self._router = Router(self._shards, lambda shard: shard.writes, self._patience)
        super().__init__(Router(self._shards, lambda shard: shard.reads, self._patience), self._router, address.prefix)

    async def create(self, message: Entry, receipt: Entry, answer: Entry | None = None) -> bytes | None:
        kept, failure = await self._keep((message, receipt))
        known: bytes | None = None
        if failure is None and answer is not None:
            try:
                known = await self._writes.submit(
                    ANSWER.call(1, self._prefix + answer.locator, answer.value, str(answer.ttl))
                )
            except StoreFull as refused:  # any other failure leaves it unknown whether it was kept
                failure = refused
        if failure is not None or known is not None:
            await self._forget(kept)
        if failure is not None:
            raise failure
        return known

    async def ping(self) -> None:
        """Touches every master; raises unless more than half of them answer."""
        answers = await self._ask_masters(("PING",))
        if 2 * sum(not isinstance(answer, StoreError) for answer in answers) <= len(answers):
            self._shards.refresh()
            raise StoreUnavailable("Most of the cluster is out of reach.")

    async def stats(self) -> Stats:
        answers = await self._ask_masters(("INFO",))
        told = [answer for answer in answers if isinstance(answer, bytes)]
        if not told or len(told) < len(answers):
            raise StoreUnavailable("Some of the cluster is out of reach.")
        return total([parse_info(info, 0) for info in told])

    async def _ask_masters(self, command: Command) -> list[Reply]:
        if not self._shards.serving():
            await asyncio.shield(self._shards.refresh())
        return await asyncio.gather(
            *(shard.reads.submit(command) for shard in self._shards.serving()), return_exceptions=True
        )

    async def _keep(self, entries: Iterable[Entry]) -> tuple[list[Entry], StoreError | None]:
        """Write each entry where it belongs, all at once; those that were kept, and why others were not."""
        begun = []
        for entry in entries:
            command = ("SET", self._prefix + entry.locator, entry.value, "PX", str(entry.ttl))
            begun.append((entry, command, self._router.begin(command)))
        kept, failure = [], None
        for entry, command, reply in begun:  # all are on their way
            try:
                await self._router.finish(command, reply)
                kept.append(entry)
            except StoreError as error:
                failure = error
        return kept, failure

    async def _forget(self, entries: Iterable[Entry]) -> None:
        """Remove what nobody will ever learn of. What cannot be removed now expires by itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                removals = (self._writes.submit(("DEL", self._prefix + entry.locator)) for entry in entries)
                await asyncio.gather(*removals, return_exceptions=True)


def _shard(address: RedisUrl, timeout: float, instruments: StoreHooks, replicas: int, endpoint: Endpoint) -> Shard:
    def node() -> Node:
        return Node(partial(connect, endpoint, address.login, address.tls, timeout), timeout, instruments)

    reads = node()
    return Shard(endpoint, reads, ReplicatedChannel(node(), replicas, timeout) if replicas else reads)

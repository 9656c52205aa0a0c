"""The store on a Redis Cluster: each key at the node of its slot, the commands of a turn for one node in one write.

The records of one create lie in different slots, and no script may touch more than one slot. So the message and the
receipt are written first, each by itself, and the idempotency record last: no client learns the ids before all records
are stored. The records of a failed create are sealed and unreachable, and they are deleted as far as the nodes answer.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial

from messaging_api.core.pending import TaskResult
from messaging_api.core.store import Entry, Stats
from messaging_api.errors import NotExecuted, OutcomeUnknown, StoreError
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.hash_slot import slot_of, tag_of
from messaging_api.stores.redis.node import Node, connect
from messaging_api.stores.redis.replication import ReplicatedChannel
from messaging_api.stores.redis.replies import written_value
from messaging_api.stores.redis.router import ClusterRouter
from messaging_api.stores.redis.scripts import Script
from messaging_api.stores.redis.stats import parse_info, total
from messaging_api.stores.redis.store import RedisStore
from messaging_api.stores.redis.topology import ClusterTopology, Shard
from messaging_api.stores.redis.url import Endpoint, RedisUrl

IDEMPOTENCY = Script("idempotency.lua")

_REFRESH_SHARE, _ATTEMPT_SHARE, _RETRY_SHARE = 0.25, 0.6, 0.15
"""The shares of a store's timeout for finding the nodes, for one attempt, and for all retries after a rejection."""


class ClusterStore(RedisStore):
    """A Store on a Redis Cluster; see `core/store.py`. `timeout` is in seconds."""

    def __init__(
        self, address: RedisUrl, clock: Callable[[], int], timeout: float, hooks: StoreHooks, replicas: int
    ) -> None:
        open_shard = partial(_shard, address, timeout * _ATTEMPT_SHARE, hooks, replicas)
        self._topology = ClusterTopology(address.hosts, timeout * _REFRESH_SHARE, open_shard, hooks.on_failure)
        self._retry_timeout = timeout * _RETRY_SHARE
        self._router = ClusterRouter(self._topology, lambda shard: shard.writes, self._retry_timeout)
        reads = ClusterRouter(self._topology, lambda shard: shard.reads, self._retry_timeout)
        super().__init__(reads, self._router, clock, address.prefix)

    async def create(self, message: Entry, receipt: Entry, idempotency_record: Entry | None = None) -> bytes | None:
        written, failure = await self._write((message, receipt))
        earlier: bytes | None = None
        if failure is None and idempotency_record is not None:
            key = self._prefix + idempotency_record.locator
            try:
                call = IDEMPOTENCY.call(1, key, idempotency_record.value, str(idempotency_record.ttl))
                earlier = written_value(await self._writes.submit(call))
            except NotExecuted as error:  # if it is unknown whether the record was stored, its message must stay
                failure = error
        if failure is not None or earlier is not None:
            await TaskResult(self._delete(written))
        if failure is not None:
            raise failure
        return earlier

    async def ping(self) -> None:
        """Ping every master. Raises NotExecuted unless more than half of them answer."""
        replies = await self._query_masters(("PING",))
        if 2 * sum(not isinstance(reply, BaseException) for reply in replies) <= len(replies):
            self._topology.refresh()
            raise NotExecuted("Most of the cluster is out of reach.")

    async def stats(self) -> Stats:
        replies = await self._query_masters(("INFO",))
        if not replies or any(isinstance(reply, BaseException) for reply in replies):
            raise NotExecuted("Some of the cluster is out of reach.")
        return total([parse_info(info, 0) for info in replies])

    def _resume_prefix(self, message_key: bytes) -> bytes:
        """Put the resume records of a message into its slot, since no script may touch two."""
        return super()._resume_prefix(message_key) + tag_of(slot_of(message_key))

    async def _query_masters(self, command: Command) -> list[Reply]:
        if not self._topology.serving():
            await asyncio.shield(self._topology.refresh())
        return await asyncio.gather(
            *(shard.reads.submit(command) for shard in self._topology.serving()), return_exceptions=True
        )

    async def _write(self, entries: Iterable[Entry]) -> tuple[list[Entry], StoreError | None]:
        """Write each entry to its node, all at once.

        Return those that were written, or may have been, and an error if there was one: an unknown outcome first.
        """
        submitted = []
        for entry in entries:
            command = ("SET", self._prefix + entry.locator, entry.value, "PX", str(entry.ttl))
            submitted.append((entry, command, self._router.begin(command)))
        written: list[Entry] = []
        failure: StoreError | None = None
        for entry, command, reply in submitted:  # all are on their way
            try:
                await self._router.finish(command, reply)
                written.append(entry)
            except NotExecuted as error:
                failure = failure or error
            except OutcomeUnknown as error:
                failure = error
                written.append(entry)
        return written, failure

    async def _delete(self, entries: Iterable[Entry]) -> None:
        """Delete the records of a failed create. Those that cannot be deleted now expire by themselves."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._retry_timeout):
                deletions = (self._writes.submit(("DEL", self._prefix + entry.locator)) for entry in entries)
                await asyncio.gather(*deletions, return_exceptions=True)


def _shard(address: RedisUrl, timeout: float, hooks: StoreHooks, replicas: int, endpoint: Endpoint) -> Shard:
    def node() -> Node:
        return Node(partial(connect, endpoint, address.login, address.tls, timeout), timeout, hooks)

    reads = node()
    return Shard(endpoint, reads, ReplicatedChannel(node(), replicas, timeout, hooks.on_failure) if replicas else reads)

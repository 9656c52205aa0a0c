"""Redis Sentinel: the sentinels are queried for the master whenever a connection is opened, and once a second.

Of their replies the one with the highest configuration epoch counts, since each failover raises it. A sentinel that has
not learned of a failover still names the old master, which may be back, empty, and still consider itself the master.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from messaging_api.core.background import start_endless_task
from messaging_api.errors import NotExecuted, StoreError
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.redis.connection import Connection, ConnectionHandlers, Reply
from messaging_api.stores.redis.node import Node, connect
from messaging_api.stores.redis.replication import ReplicatedChannel
from messaging_api.stores.redis.replies import UnexpectedReply, is_master
from messaging_api.stores.redis.store import RedisStore
from messaging_api.stores.redis.url import Endpoint, RedisUrl

_SENTINEL_SHARE = 0.3
"""The share of a store's timeout for the replies of the sentinels."""
_CHECK_INTERVAL = 1.0
"""Seconds between two checks of the master."""


class ReportedMaster(NamedTuple):
    """A master as a sentinel reports it, with the configuration epoch of its failover."""

    epoch: int
    endpoint: Endpoint


class SentinelStore(RedisStore):
    """A Store on the master that sentinels watch; see `core/store.py`. `timeout` is in seconds."""

    def __init__(
        self, address: RedisUrl, clock: Callable[[], int], timeout: float, hooks: StoreHooks, replicas: int
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._master: Endpoint | None = None
        reads = Node(self._connect, timeout, hooks)
        writes = Node(self._connect, timeout, hooks) if replicas else reads
        self._nodes = {reads, writes}
        self._watching = start_endless_task("sentinel watch", self._watch(), hooks.on_failure)
        confirmed = ReplicatedChannel(writes, replicas, timeout, hooks.on_failure) if replicas else reads
        super().__init__(reads, confirmed, clock, address.prefix, address.login.db)

    async def aclose(self) -> None:
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await super().aclose()

    async def _watch(self) -> NoReturn:
        """Disconnect from a server that is no longer the master, though it may not know or be cut off."""
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            with contextlib.suppress(StoreError):
                if self._master is not None and await find_master(self._address, self._timeout) != self._master:
                    for node in self._nodes:
                        node.drop()

    async def _connect(self, handlers: ConnectionHandlers) -> Connection:
        """Open a connection to the master, which confirms its role. Raises OSError, StoreError."""
        self._master = await find_master(self._address, self._timeout)
        connection = await connect(self._master, self._address.login, self._address.tls, self._timeout, handlers)
        confirmed = False
        try:
            confirmed = is_master(await connection.call(("ROLE",)))
        finally:
            if not confirmed:
                connection.close()
        if not confirmed:
            raise NotExecuted("The sentinels name a server that is no master.")
        return connection


async def find_master(address: RedisUrl, store_timeout: float) -> Endpoint:
    """Return the master of the latest failover that any sentinel knows of; all are queried at once.

    Raises NotExecuted.
    """
    queries = [asyncio.create_task(_query(sentinel, address, store_timeout)) for sentinel in address.hosts]
    done, late = await asyncio.wait(queries, timeout=store_timeout * _SENTINEL_SHARE)
    for query in late:
        query.cancel()
    await asyncio.wait(queries)
    reports = [report for query in done if (report := query.result()) is not None]
    if not reports:
        raise NotExecuted("No sentinel knows the master.")
    return max(reports).endpoint


async def _query(sentinel: Endpoint, address: RedisUrl, reply_timeout: float) -> ReportedMaster | None:
    """Return the master that one sentinel reports; None if it knows none, or does not reply as a sentinel does."""
    try:
        connection = await connect(sentinel, address.sentinel_login, address.tls, reply_timeout, ConnectionHandlers())
        try:
            facts = await connection.call(("SENTINEL", "MASTER", address.name))
            endpoint = await connection.call(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.name))
        finally:
            connection.close()
        return _report(facts, endpoint)
    except (OSError, StoreError):
        return None


def _report(facts: Reply, endpoint: Reply) -> ReportedMaster:
    """Return the report of a sentinel: its replies with the facts of the master and its address.

    Raises UnexpectedReply.
    """
    try:
        epoch = int(dict(zip(facts[::2], facts[1::2], strict=True))[b"config-epoch"])
        host, port = (text.decode() for text in endpoint)
        return ReportedMaster(epoch, Endpoint.parse(host, port))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnexpectedReply from None

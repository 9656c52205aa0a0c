"""Redis Sentinel: who the master is, is asked of the sentinels when a connection is opened, and again and again.

Of their answers the one with the highest configuration epoch counts: each failover has a higher one. A sentinel that
has not heard of it yet still names the old master, who may be back, empty, and believe it too.
"""

import asyncio
import contextlib
from typing import NamedTuple

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.redis.connection import Connection
from messaging_api.stores.redis.node import Node, connect
from messaging_api.stores.redis.replication import ReplicatedChannel
from messaging_api.stores.redis.store import RedisStore
from messaging_api.stores.redis.url import Endpoint, RedisUrl

_SHARE = 0.3
"""The part of the timeout that sentinels have to answer."""
_EVERY = 1.0
"""Seconds between two times that they are asked while all is well."""


class NamedMaster(NamedTuple):
    """Whom a sentinel names, since which failover."""

    epoch: int
    master: Endpoint


class SentinelStore(RedisStore):
    """A Store; see `core/store.py`."""

    def __init__(self, address: RedisUrl, timeout: float, instruments: StoreHooks, replicas: int) -> None:
        self._address = address
        self._timeout = timeout
        self._master: Endpoint | None = None
        reads = Node(self._connect, timeout, instruments)
        writes = Node(self._connect, timeout, instruments) if replicas else reads
        self._nodes = {reads, writes}
        self._watching = asyncio.create_task(self._watch())
        super().__init__(
            reads, ReplicatedChannel(writes, replicas, timeout) if replicas else reads, address.prefix, address.login.db
        )

    async def aclose(self) -> None:
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await super().aclose()

    async def _watch(self) -> None:
        """Leave a master that is none any more, though it may not know, or not be reached by those who do."""
        while True:
            await asyncio.sleep(_EVERY)
            with contextlib.suppress(StoreUnavailable):
                if self._master is not None and await find_master(self._address, self._timeout) != self._master:
                    for node in self._nodes:
                        node.drop()

    async def _connect(self) -> Connection:
        """A connection to the master, which says itself that it is. Raises OSError, StoreError."""
        self._master = await find_master(self._address, self._timeout)
        connection = await connect(self._master, self._address.login, self._address.tls, self._timeout)
        role = None
        try:
            role, *_ = await connection.call(("ROLE",))
        finally:
            if role != b"master":
                connection.close()
        if role != b"master":
            raise StoreUnavailable("The sentinels name a server that is no master.")
        return connection


async def find_master(address: RedisUrl, patience: float) -> Endpoint:
    """Whom the sentinel names that knows of the latest failover; all are asked at once. Raises StoreUnavailable."""
    asked = [asyncio.create_task(_named_by(one, address, patience)) for one in address.hosts]
    heard, late = await asyncio.wait(asked, timeout=patience * _SHARE)
    for one in late:
        one.cancel()
    await asyncio.wait(asked)
    named = [named for one in heard if (named := one.result()) is not None]
    if not named:
        raise StoreUnavailable("No sentinel knows the master.")
    return max(named).master


async def _named_by(sentinel: Endpoint, address: RedisUrl, patience: float) -> NamedMaster | None:
    """What one sentinel says; None if it does not know."""
    try:
        connection = await connect(sentinel, address.sentinel_login, address.tls, patience)
        try:
            told = await connection.call(("SENTINEL", "MASTER", address.name))
            host, port = await connection.call(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.name))
        finally:
            connection.close()
    except (OSError, StoreError):
        return None
    return NamedMaster(int(told[told.index(b"config-epoch") + 1]), Endpoint(host.decode(), int(port)))

"""Redis Sentinel: who is the master now is asked of the sentinels each time a connection is opened."""

import asyncio
import contextlib
from collections import Counter

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.redis_address import Endpoint, RedisAddress
from messaging_api.stores.redis_node import connect
from messaging_api.stores.resp import Connection

_SHARE = 0.4
"""The part of the time that sentinels have to agree; after it the best of what was heard counts."""


async def connect_to_master(address: RedisAddress, patience: float) -> Connection:
    """A connection to the master, which says itself that it is. Raises OSError, StoreError."""
    master = await _master(address, patience * _SHARE)
    connection = await connect(master, address.login, address.tls, patience)
    role = None
    try:
        role, *_ = await connection.call(("ROLE",))
    finally:
        if role != b"master":
            connection.close()
    if role != b"master":
        raise StoreUnavailable("The sentinels name a server that is no master.")
    return connection


async def _master(address: RedisAddress, patience: float) -> Endpoint:
    """Whom most sentinels name; all are asked at once, and those that have not heard of a failover are outvoted."""
    asked = [asyncio.create_task(_named_by(one, address, patience)) for one in address.hosts]
    votes: Counter[Endpoint] = Counter()
    with contextlib.suppress(TimeoutError):
        for answer in asyncio.as_completed(asked, timeout=patience):
            votes.update(await answer)
            if votes and 2 * votes.most_common(1)[0][1] > len(asked):
                break
    for one in asked:
        one.cancel()
    await asyncio.wait(asked)
    if not votes:
        raise StoreUnavailable("No sentinel knows the master.")
    return votes.most_common(1)[0][0]


async def _named_by(sentinel: Endpoint, address: RedisAddress, patience: float) -> list[Endpoint]:
    """The master, as one sentinel has it; nothing if it does not know."""
    try:
        connection = await connect(sentinel, address.sentinel_login, address.tls, patience)
        try:
            named = await connection.call(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.name))
        finally:
            connection.close()
    except (OSError, StoreError):
        return []
    return [Endpoint(named[0].decode(), int(named[1]))] if named else []

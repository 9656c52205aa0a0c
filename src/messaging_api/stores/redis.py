"""The store on a Redis (7.0 or later): flat keys with a prefix, values as in record.py, life by PX.

Redis must not evict (`maxmemory-policy noeviction`): a message is kept until it expires or is refused at once.
"""

import asyncio
from functools import partial
from hashlib import sha1
from importlib.resources import files
from typing import Any

import hiredis

from messaging_api.errors import StoreUnavailable
from messaging_api.message import RECEIPT_EXTRA_MS
from messaging_api.record import Kept, find
from messaging_api.store import Entry, Stats
from messaging_api.stores.batching import UNWATCHED, Batcher, Instruments, Ticket
from messaging_api.stores.redis_address import RedisAddress
from messaging_api.stores.redis_counters import RedisCounters
from messaging_api.stores.redis_info import parse_info
from messaging_api.stores.resp import Command, Connection, Reply, refusal

_EXTRA = str(RECEIPT_EXTRA_MS)


class Script:
    """A Lua script from `lua/`, called by its hash; by its text when the server does not know it yet."""

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath("lua", name).read_bytes()
        self.hash = sha1(self.text, usedforsecurity=False).hexdigest()

    def call(self, keys: int, *arguments: bytes | str) -> Command:
        """The command with this many keys among `arguments`, which it begins with."""
        return ("EVALSHA", self.hash, str(keys), *arguments)


CREATE, TAKE, BURN, LIMIT = Script("create.lua"), Script("take.lua"), Script("burn.lua"), Script("limit.lua")
_TEXTS = {script.hash: script.text for script in (CREATE, TAKE, BURN, LIMIT)}

_Ticket = Ticket[Command, Any]


class RedisStore:
    """A Store; see `store.py`. Connects when first used and again whenever the connection was lost."""

    def __init__(self, url: str, timeout: float, instruments: Instruments = UNWATCHED) -> None:
        self._address = RedisAddress.parse(url)
        self._timeout = timeout
        self._prefix = self._address.prefix
        self._batcher: Batcher[Command, Any] = instruments.batcher(self._run)
        self.count = RedisCounters(self._prefix, self._batcher.submit, LIMIT.call).count
        self._connection: Connection | None = None
        self._waiting: list[_Ticket] = []
        self._connecting: asyncio.Task[None] | None = None

    async def create(self, message: Entry, receipt: Entry, answer: Entry | None = None) -> bytes | None:
        entries = (message, receipt) if answer is None else (message, receipt, answer)
        keys = [self._prefix + entry.locator for entry in entries]
        values = [part for entry in entries for part in (entry.value, str(entry.ttl))]
        known: bytes | None = await self._batcher.submit(CREATE.call(len(keys), *keys, *values))
        return known

    async def look(self, locator: bytes) -> Kept | None:
        return find(await self._batcher.submit(("GET", self._prefix + locator)))

    async def take(self, locator: bytes) -> Kept | None:
        return find(await self._batcher.submit(TAKE.call(1, self._prefix + locator, _EXTRA)))

    async def burn(self, locator: bytes) -> Kept | None:
        return find(await self._batcher.submit(BURN.call(1, self._prefix + locator, _EXTRA)))

    async def receipt(self, locator: bytes) -> bytes | None:
        value: bytes | None = await self._batcher.submit(("GET", self._prefix + locator))
        return value

    async def ping(self) -> None:
        await self._batcher.submit(("PING",))

    async def stats(self) -> Stats:
        return parse_info(await self._batcher.submit(("INFO",)), self._address.db)

    async def aclose(self) -> None:
        if self._connecting is not None:
            await self._connecting
        if self._connection is not None:
            await self._connection.drain()

    def _run(self, batch: list[_Ticket]) -> None:
        if self._connection is not None and self._connection.usable:
            self._send(self._connection, batch, asyncio.get_running_loop().time())
            return
        self._waiting += batch
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())

    def _send(self, connection: Connection, batch: list[_Ticket], since: float) -> None:
        settles = [partial(self._settle, connection, ticket) for ticket in batch]
        connection.send([ticket.operation for ticket in batch], settles, since)

    def _settle(self, connection: Connection, ticket: _Ticket, reply: Reply) -> None:
        if not isinstance(reply, hiredis.ReplyError):
            ticket.settle(reply)
        elif ticket.operation[0] == "EVALSHA" and str(reply).startswith("NOSCRIPT") and connection.usable:
            script, *rest = ticket.operation[1:]
            again = Ticket(("EVAL", _TEXTS[str(script)], *rest), ticket.answer)
            self._send(connection, [again], asyncio.get_running_loop().time())
        else:
            ticket.settle(refusal(reply))

    async def _connect(self) -> None:
        since = asyncio.get_running_loop().time()
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._timeout):
                self._connection = await self._open()
        except (OSError, TimeoutError, StoreUnavailable):  # ssl.SSLError is an OSError
            failure = StoreUnavailable("Redis is out of reach.")
        self._connecting = None
        waiting, self._waiting = self._waiting, []
        if failure is None and self._connection is not None and self._connection.usable:
            self._send(self._connection, waiting, since)
        else:
            for ticket in waiting:
                ticket.settle(failure or StoreUnavailable("The connection to Redis broke."))

    async def _open(self) -> Connection:
        address = self._address
        _, connection = await asyncio.get_running_loop().create_connection(
            partial(Connection, self._timeout), address.host, address.port, ssl=address.tls
        )
        try:
            for command in address.login():
                await connection.call(command)
        except BaseException:
            connection.close()
            raise
        return connection

"""One Redis: a connection that is opened when first used and again whenever it was lost, one write for each turn."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha1
from importlib.resources import files
from ssl import SSLContext
from typing import Any, Protocol

import hiredis

from messaging_api.errors import StoreUnavailable
from messaging_api.stores.batching import NO_HOOKS, Batcher, PendingOperation, StoreHooks, drop_abandoned
from messaging_api.stores.redis.connection import Command, Connection, Reply, Sent
from messaging_api.stores.redis.errors import NotMaster, refusal
from messaging_api.stores.redis.url import Credentials, Endpoint


class CommandChannel(Protocol):
    """Where commands go in and their replies come out. A reply that is an error is raised, as a StoreError."""

    def submit(self, command: Command, *, ahead: bool = False) -> Awaitable[Any]:
        """The reply to come; where replies come one by one, `ahead` of those to what else this turn has submitted."""

    async def aclose(self) -> None:
        """Finish what was begun and let go."""


class Script:
    """A Lua script from `lua/`, called by its hash; by its text when the server does not know it yet."""

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath("lua", name).read_bytes()
        self.hash = sha1(self.text, usedforsecurity=False).hexdigest()
        _TEXTS[self.hash] = self.text

    def call(self, keys: int, *arguments: bytes | str) -> Command:
        """The command with this many keys among `arguments`, which it begins with."""
        return ("EVALSHA", self.hash, str(keys), *arguments)


_TEXTS: dict[bytes | str, bytes] = {}


def as_eval(command: Command) -> Command:
    """The same command for a server that may not know its script."""
    return ("EVAL", _TEXTS[command[1]], *command[2:]) if command[0] == "EVALSHA" else command


async def connect(endpoint: Endpoint, login: Credentials, tls: SSLContext | None, patience: float) -> Connection:
    """A connection that is logged in; each of its replies is waited for `patience` seconds.

    Raises OSError, StoreError. The caller bounds the time.
    """
    make = partial(Connection, patience)
    _, connection = await asyncio.get_running_loop().create_connection(make, *endpoint, ssl=tls)
    try:
        for command in login.commands():
            await connection.call(command)
    except BaseException:
        connection.close()
        raise
    return connection


class Node:
    """A CommandChannel to the Redis that `open_` connects to.

    One batch is on its way at a time: what comes meanwhile goes together once the last reply is in. A lone command
    waits for nothing; under load there are fewer and larger batches, and so fewer system calls for each command.
    """

    def __init__(
        self, open_: Callable[[], Awaitable[Connection]], timeout: float, instruments: StoreHooks = NO_HOOKS
    ) -> None:
        self._open = open_
        self._timeout = timeout
        self._batcher: Batcher[Command, Any] = instruments.batcher(self._run)
        self._connection: Connection | None = None
        self._waiting: list[Sent] = []
        self._held: list[Sent] = []
        self._held_since = 0.0
        self._connecting: asyncio.Task[None] | None = None
        self.submit = self._batcher.submit

    @property
    def connected(self) -> bool:
        """Whether the connection that was used last still stands."""
        return self._connection is not None and self._connection.usable

    def drop(self) -> None:
        """Let go of the connection; the next command opens another."""
        if self._connection is not None:
            self._connection.close()

    async def aclose(self) -> None:
        if self._connecting is not None:
            await self._connecting
        if self._connection is not None:
            await self._connection.drain()

    def _run(self, batch: list[Sent]) -> None:
        now = asyncio.get_running_loop().time()
        if self._connection is None or not self._connection.usable:
            self._waiting += batch
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
        elif self._connection.busy:
            self._held_since = self._held_since if self._held else now
            self._held += batch
        else:
            self._connection.send(batch, now)

    def _release(self, connection: Connection) -> None:
        """The last reply is in, or will never come."""
        held, self._held = drop_abandoned(self._held), []
        if not held:
            return
        if connection.usable:
            connection.send(held, self._held_since)
        else:
            for ticket in held:
                ticket.resolve(StoreUnavailable("The connection to Redis broke."))

    def _settle(self, connection: Connection, ticket: Sent, reply: Reply) -> None:
        if not isinstance(reply, hiredis.ReplyError):
            ticket.resolve(reply)
        elif str(reply).startswith("NOSCRIPT") and connection.usable:
            again = PendingOperation(as_eval(ticket.operation), ticket.answer)
            connection.send([again], asyncio.get_running_loop().time())
        else:
            refused = refusal(reply)
            if isinstance(refused, NotMaster):
                connection.close()  # whoever is the master now is found by opening anew
            ticket.resolve(refused)

    async def _connect(self) -> None:
        since = asyncio.get_running_loop().time()
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._timeout):
                self._connection = await self._open()
                self._connection.resolve, self._connection.on_idle = self._settle, self._release
        except StoreUnavailable as refused:  # the password is wrong, say: whoever watches must be able to tell
            failure = refused
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            failure = StoreUnavailable("Redis is out of reach.")
        self._connecting = None
        waiting, self._waiting = drop_abandoned(self._waiting), []
        if failure is None and self._connection is not None and self._connection.usable:
            self._connection.send(waiting, since)
        else:
            for ticket in waiting:
                ticket.resolve(failure or StoreUnavailable("The connection to Redis broke."))

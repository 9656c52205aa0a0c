"""One Redis server: a connection that is opened on demand and reopened after a loss, one write per turn."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from ssl import SSLContext
from typing import Any, Protocol

import hiredis

from messaging_api.core.background import start_task
from messaging_api.core.pending import Pending
from messaging_api.errors import NotExecuted, StoreError
from messaging_api.stores.batching import NO_HOOKS, Batcher, StoreHooks, drop_abandoned
from messaging_api.stores.redis.connection import Command, Connection, ConnectionHandlers, PendingCommand, Reply
from messaging_api.stores.redis.errors import NotMaster, store_error
from messaging_api.stores.redis.scripts import as_eval
from messaging_api.stores.redis.url import Credentials, Endpoint


class CommandChannel(Protocol):
    """A channel that takes commands and returns their replies. A reply that is an error is raised as a StoreError."""

    def submit(self, command: Command, *, ahead: bool = False) -> Awaitable[Any]:
        """Send a command and return its reply to come; if possible, `ahead` of the other commands of this turn."""

    async def aclose(self) -> None:
        """Wait for the replies that are due, then close."""


class ServerChannel(CommandChannel, Protocol):
    """A CommandChannel to one server."""

    def abandon(self, reply: Pending[Any]) -> bool:
        """Give up a reply of `submit`, and return whether its command is still unsent: then it never is sent."""


async def connect(
    endpoint: Endpoint,
    login: Credentials,
    tls: SSLContext | None,
    reply_timeout: float,
    handlers: ConnectionHandlers,
) -> Connection:
    """Open a connection and log in; each reply may take `reply_timeout` seconds.

    Raises OSError, StoreError. The caller limits the total time.
    """
    make = partial(Connection, reply_timeout, handlers)
    _, connection = await asyncio.get_running_loop().create_connection(make, *endpoint, ssl=tls)
    try:
        for command in login.commands():
            await connection.call(command)
    except BaseException:
        connection.close()
        raise
    return connection


class Node:
    """A ServerChannel to the Redis that `connect` opens connections to.

    One batch is in flight at a time: commands that arrive meanwhile are sent together after its last reply. A lone
    command never waits; under load the batches are fewer and larger, which saves system calls.
    """

    def __init__(
        self,
        connect: Callable[[ConnectionHandlers], Awaitable[Connection]],
        timeout: float,
        hooks: StoreHooks = NO_HOOKS,
    ) -> None:
        self._connect = connect
        self._timeout = timeout
        self._on_failure = hooks.on_failure
        self._batcher: Batcher[Command, Any] = hooks.batcher(self._run)
        self._connection: Connection | None = None
        self._unsent: list[PendingCommand] = []
        self._queued: list[PendingCommand] = []
        self._queued_since = 0.0
        self._connecting: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the latest connection is open."""
        return self._connection is not None and self._connection.usable

    def submit(self, command: Command, *, ahead: bool = False) -> Pending[Any]:
        """Add a command to the batch of this turn; see `CommandChannel`."""
        return self._batcher.submit(command, ahead=ahead)

    def abandon(self, reply: Pending[Any]) -> bool:
        """See `ServerChannel`."""
        reply.abandon()
        return any(pending is reply for pending in self._unsent + self._queued)

    def drop(self) -> None:
        """Close the connection; the next command opens another."""
        if self._connection is not None:
            self._connection.close()

    async def aclose(self) -> None:
        """Wait for the replies that are due, then close."""
        if self._connecting is not None:
            await self._connecting
        if self._connection is not None:
            await self._connection.drain()

    def _run(self, batch: list[PendingCommand]) -> None:
        batch = drop_abandoned(batch)
        now = asyncio.get_running_loop().time()
        if self._connection is None or not self._connection.usable:
            self._unsent += batch
            if self._connecting is None:
                self._connecting = start_task("reconnection", self._reconnect(), self._on_failure)
        elif self._connection.busy:
            self._queued_since = self._queued_since if self._queued else now
            self._queued += batch
        else:
            self._connection.send(batch, now)

    def _on_idle(self, connection: Connection) -> None:
        """Send the queued commands; fail them if the connection broke."""
        if connection.usable and connection is not self._connection:
            return  # it is still logging in
        queued, self._queued = drop_abandoned(self._queued), []
        if not queued:
            return
        if connection.usable:
            connection.send(queued, self._queued_since)
        else:
            for pending in queued:
                pending.resolve(NotExecuted("The connection to Redis broke."))

    def _on_reply(self, connection: Connection, pending: PendingCommand, reply: Reply, since: float) -> None:
        if not isinstance(reply, hiredis.ReplyError):
            pending.resolve(reply)
        elif str(reply).startswith("NOSCRIPT") and connection.usable and pending.wanted:
            pending.operation = as_eval(pending.operation)
            connection.send([pending], since)
        else:
            error = store_error(pending.operation, reply)
            if isinstance(error, NotMaster):
                connection.retire()  # a new connection finds the current master
            pending.resolve(error)

    async def _open(self) -> Connection:
        """Open a connection to a server that has said that it serves us. Raises OSError, StoreError."""
        connection = await self._connect(ConnectionHandlers(self._on_reply, self._on_idle))
        try:
            await connection.call(("PING",))  # a server with too many clients answers this, not the first write
        except BaseException:
            connection.close()
            raise
        return connection

    async def _reconnect(self) -> None:
        since = asyncio.get_running_loop().time()
        failure = NotExecuted("Redis is out of reach.")
        try:
            async with asyncio.timeout(self._timeout):
                self._connection = await self._open()
        except StoreError as error:  # such as a wrong password: the log must tell it from a dead server
            failure = NotExecuted(str(error))
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            pass
        self._connecting = None
        unsent, self._unsent = drop_abandoned(self._unsent), []
        if self._connection is not None and self._connection.usable:
            self._connection.send(unsent, since)
        else:
            for pending in unsent:
                pending.resolve(failure)

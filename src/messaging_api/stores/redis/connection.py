"""One connection to a Redis: RESP packed and parsed by hiredis directly on a transport.

It avoids the streams, locks and per-call tasks of a general client; `docs/performance.md` has the figures.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import hiredis

from messaging_api.errors import StoreError
from messaging_api.stores.batching import OldestFirstTimeout, PendingOperation
from messaging_api.stores.redis.errors import store_error, without_reply

Command = tuple[bytes | str, ...]
Reply = Any
PendingCommand = PendingOperation[Command, Reply]

_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)  # its stub allows tuples of one element only


def resolve(_connection: "Connection", pending: PendingCommand, reply: Reply, _since: float) -> None:
    """Resolve a command with its reply, or with the StoreError that the reply means."""
    pending.resolve(store_error(pending.operation, reply) if isinstance(reply, hiredis.ReplyError) else reply)


class ConnectionHandlers(NamedTuple):
    """The handlers of a connection's events.

    `on_reply` resolves a command, sent for callers that have waited since a time of the loop, with its reply, which may
    be a `hiredis.ReplyError`. `on_idle` is called when no more replies are due: the last one is in, or the connection
    broke.
    """

    on_reply: "Callable[[Connection, PendingCommand, Reply, float], None]" = resolve
    on_idle: "Callable[[Connection], None]" = lambda _: None


class Connection(asyncio.Protocol):
    """A connection that resolves commands in order with their replies, or all as `without_reply` when it breaks.

    The oldest command without a reply sets the deadline: when it is `timeout` seconds old, the connection is aborted.
    """

    def __init__(self, timeout: float, handlers: ConnectionHandlers) -> None:
        self._on_reply, self._on_idle = handlers
        self._reader = hiredis.Reader()
        self._pending: deque[tuple[float, PendingCommand]] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._reply_timeout = OldestFirstTimeout(timeout, self._oldest, self._abort)
        self._retired = False

    @property
    def usable(self) -> bool:
        """Whether commands may be sent."""
        return not (self._retired or self._transport.is_closing())

    @property
    def busy(self) -> bool:
        """Whether replies are due."""
        return bool(self._pending)

    def send(self, commands: Sequence[PendingCommand], since: float) -> None:
        """Send `commands` in one write. The callers have waited since `since`, in the loop's time."""
        self._pending.extend([(since, pending) for pending in commands])
        self._transport.write(b"".join([_pack(pending.operation) for pending in commands]))
        self._reply_timeout.start()

    async def call(self, command: Command) -> Reply:
        """Send one command by itself and return its reply. Raises StoreError, also for a reply that is an error."""
        pending: PendingCommand = PendingOperation(command)
        self.send((pending,), self._loop.time())
        return await pending

    async def drain(self) -> None:
        """Wait for the last reply, then close the connection and wait until it is closed."""
        if self._pending and self.usable:
            with contextlib.suppress(StoreError):
                await self.call(("PING",))
        self.close()
        await self._closed

    def retire(self) -> None:
        """Take no more commands, and close after the replies that are due."""
        self._retired = True

    def close(self) -> None:
        """Close the socket at once: a TLS shutdown would wait for the peer."""
        self._transport.abort()

    def _oldest(self) -> float | None:
        return self._pending[0][0] if self._pending else None

    def _abort(self) -> None:
        self._transport.abort()
        self._fail()

    def _fail(self) -> None:
        while self._pending:
            pending = self._pending.popleft()[1]
            pending.resolve(without_reply(pending.operation, "The connection to Redis broke."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, pending, on_reply = self._reader, self._pending, self._on_reply
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                since, command = pending.popleft()
                on_reply(self, command, reply, since)
        except (hiredis.ProtocolError, IndexError, TypeError):  # not a Redis: no later reply can be trusted
            self._abort()
        if not pending:
            if self._retired:
                self.close()
            self._on_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()
        self._closed.set_result(None)
        self._on_idle(self)

"""One connection to a Redis: RESP packed and parsed by hiredis straight on a transport.

Spares the stream layer, the locks and the per-call tasks of a general client; `docs/performance.md` has the figures.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.batching import OldestFirstTimeout, PendingOperation
from messaging_api.stores.redis.errors import refusal

Command = tuple[bytes | str, ...]
Reply = Any
Sent = PendingOperation[Command, Reply]

_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)  # its stub allows tuples of one element only


class Connection(asyncio.Protocol):
    """Sends commands and settles them in order with their replies, or all with StoreUnavailable when it breaks.

    The oldest command without a reply sets the deadline: once it is `timeout` seconds old the connection is cut.
    """

    def __init__(self, timeout: float) -> None:
        self.on_idle: Callable[[Connection], None] = lambda _: None
        """Called when no reply is to come any more: the last is in, or the connection broke."""
        self._reader = hiredis.Reader()
        self.resolve: Callable[[Connection, Sent, Reply], None] = _plainly
        """What is done with a command's ticket and its reply, which may be a `hiredis.ReplyError`."""
        self._pending: deque[tuple[float, Sent]] = deque()
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._watchdog = OldestFirstTimeout(timeout, self._oldest, self._cut)

    @property
    def usable(self) -> bool:
        """Whether commands may be sent."""
        return not self._transport.is_closing()

    @property
    def busy(self) -> bool:
        """Whether replies are still to come."""
        return bool(self._pending)

    def send(self, tickets: Sequence[Sent], since: float) -> None:
        """Send in one write. `since`, in the loop's time, is when the caller began to wait."""
        self._pending.extend([(since, ticket) for ticket in tickets])
        self._transport.write(b"".join([_pack(ticket.operation) for ticket in tickets]))
        self._watchdog.wake()

    async def call(self, command: Command) -> Reply:
        """One command by itself. Raises StoreError, for a reply that is an error too."""
        ticket: Sent = PendingOperation(command, self._loop.create_future())
        self.send((ticket,), self._loop.time())
        try:
            return await ticket.answer
        except hiredis.ReplyError as error:
            raise refusal(error) from None

    async def drain(self) -> None:
        """Wait for the last reply, then close and wait until that is done."""
        if self._pending and self.usable:
            with contextlib.suppress(StoreError):
                await self.call(("PING",))
        self.close()
        await self._closed

    def close(self) -> None:
        """Let go of the socket, at once: TLS would wait for the other side to say goodbye."""
        self._transport.abort()

    def _oldest(self) -> float | None:
        return self._pending[0][0] if self._pending else None

    def _cut(self) -> None:
        self._transport.abort()
        self._fail()

    def _fail(self) -> None:
        while self._pending:
            self._pending.popleft()[1].resolve(StoreUnavailable("The connection to Redis broke."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, pending, resolve = self._reader, self._pending, self.resolve
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                resolve(self, pending.popleft()[1], reply)
        except (hiredis.ProtocolError, IndexError):  # not a Redis: no reply to come can be trusted
            self._cut()
        if not pending:
            self.on_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()
        self._closed.set_result(None)
        self.on_idle(self)


def _plainly(_connection: Connection, ticket: Sent, reply: Reply) -> None:
    ticket.resolve(reply)

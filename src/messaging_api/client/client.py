"""`Client` and `AsyncClient`: the public methods, and the loops that perform the steps of a flow.

Both classes declare every method, so that editors, type checkers and `help` show its exact signature. A test compares
the two.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from os import PathLike
from typing import Generic, Self, TypeVar

from messaging_api.client import flows
from messaging_api.client.flows import Flow, Sleep, Step
from messaging_api.client.links import server_address
from messaging_api.client.messages import Message, Receipt, Sent, ServerLimits, make_draft
from messaging_api.client.protocol import HttpRequest, Server, checked_headers
from messaging_api.client.retry import RetryPolicy
from messaging_api.client.transport import AsyncTransport, SyncTransport

Result = TypeVar("Result")
AnyTransport = TypeVar("AnyTransport", SyncTransport, AsyncTransport)


class _ClientBase(Generic[AnyTransport]):
    _transport_class: type[AnyTransport]

    def __init__(  # noqa: PLR0913 keyword arguments, each independent
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        ca: str | PathLike[str] | None = None,
        timeout: float = 15.0,
        policy: RetryPolicy | None = None,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        """Prepare a client. No connection is made yet.

        `server` is the address that messages are sent to, and https:// may be missing; the other methods take it from
        the link. `token` is sent to that server only, and only with new messages. `headers` are added to every
        request, to whatever server, as some proxies require; those of the client itself cannot be changed. `ca` is a
        PEM file of certificates to trust instead of the default ones. `timeout` is in seconds and applies to each step
        of each attempt: connecting, sending, receiving.
        `on_wait` is called before each retry with the seconds to wait and the reason.

        Raise BadLink if `server` is not the address of a server, ValueError for a header that cannot be sent, and
        OSError if `ca` cannot be used.
        """
        extra = checked_headers(headers or {})
        if token is not None and "authorization" in extra:
            raise ValueError("a token and a header Authorization cannot be combined")
        self._server = None if server is None else Server(server_address(server), token)
        self._policy = policy or RetryPolicy()
        self._on_wait = on_wait
        self._transport: AnyTransport = self._transport_class(ca, timeout, extra)

    def _required_server(self) -> Server:
        if self._server is None:
            raise ValueError("this method requires a server: pass its address to the client")
        return self._server

    def _announce(self, pause: Sleep) -> None:
        if self._on_wait is not None:
            self._on_wait(pause.seconds, pause.reason)


class Client(_ClientBase[SyncTransport]):
    """A blocking client. Use it in a `with` block, or call `close`. Threads may share one."""

    _transport_class = SyncTransport

    def send(  # noqa: PLR0913 keyword arguments, one for each field of a message
        self,
        text: str,
        *,
        ttl: int | timedelta | str | None = None,
        expires_at: datetime | None = None,
        reads: int | None = None,
        password: str | None = None,
        encrypt: bool = True,
    ) -> Sent:
        """Encrypt `text`, send it, and return its links.

        The message expires after `ttl` (seconds, a timedelta, or a text like "1h") or at `expires_at` (with a time
        zone); by default, after the server's default lifetime. It can be read `reads` times; by default, any number of
        times. With `encrypt=False` it is sent unencrypted, and the server sees it.

        Raise TooLong, RequestRejected, ServerBusy, Unreachable, BadProxy or UnexpectedResponse. Raise TypeError or
        ValueError for a wrong argument, such as an empty text, or for a client without a server.
        """
        draft = make_draft(text, ttl, expires_at, reads)
        flow = flows.send(self._required_server(), draft, self._policy, password=password, encrypted=encrypt)
        return self._run(flow)

    def read(self, link: str, password: str | None = None) -> Message:
        """Fetch and decrypt a message, which spends one of its reads if they are limited.

        Raise BadLink, and PasswordMissing if the link requires a password, before the message is fetched. Raise
        NoMessage, ReadInterrupted, ServerBusy, Unreachable or UnexpectedResponse if it cannot be fetched, and
        DecryptionFailed, whose `envelope` is the message as it was fetched, if it cannot be decrypted.
        """
        return self._run(flows.read(link, password, self._policy))

    def fetch(self, link: str) -> Message:
        """Fetch a message as it was posted, to be decrypted later. Errors are those of `read` but DecryptionFailed."""
        return self._run(flows.fetch(link, self._policy))

    def receipt(self, link: str) -> Receipt:
        """Return the state of a message. `link` is the link of its receipt.

        Raise BadLink, NoMessage, ServerBusy, Unreachable or UnexpectedResponse.
        """
        return self._run(flows.receipt(link, self._policy))

    def burn(self, link: str) -> Receipt:
        """Make a message unreadable now, and return its state. `link` is the link of its receipt.

        The state is `burned`, or still `read` or `expired` if it was that before. Errors are those of `receipt`.
        """
        return self._run(flows.burn(link, self._policy))

    def limits(self) -> ServerLimits:
        """Return what the server accepts. Raise ServerBusy, Unreachable or UnexpectedResponse."""
        return self._run(flows.limits(self._required_server(), self._policy))

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, flow: Flow[Result]) -> Result:
        outcome: object = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                result: Result = end.value
                return result
            outcome = self._perform(step)

    def _perform(self, step: Step) -> object:
        if isinstance(step, HttpRequest):
            return self._transport.send(step)
        if isinstance(step, Sleep):
            self._announce(step)
            time.sleep(step.seconds)
            return None
        return step.call()


class AsyncClient(_ClientBase[AsyncTransport]):
    """A client for asyncio. Use it in an `async with` block, or call `aclose`. Tasks of one event loop may share one.

    Computations that would block the event loop run in a thread.
    """

    _transport_class = AsyncTransport

    async def send(  # noqa: PLR0913 keyword arguments, one for each field of a message
        self,
        text: str,
        *,
        ttl: int | timedelta | str | None = None,
        expires_at: datetime | None = None,
        reads: int | None = None,
        password: str | None = None,
        encrypt: bool = True,
    ) -> Sent:
        """Encrypt `text`, send it, and return its links. Arguments and errors are those of `Client.send`."""
        draft = make_draft(text, ttl, expires_at, reads)
        flow = flows.send(self._required_server(), draft, self._policy, password=password, encrypted=encrypt)
        return await self._run(flow)

    async def read(self, link: str, password: str | None = None) -> Message:
        """Fetch and decrypt a message, which spends one of its reads if they are limited. See `Client.read`."""
        return await self._run(flows.read(link, password, self._policy))

    async def fetch(self, link: str) -> Message:
        """Fetch a message as it was posted, to be decrypted later. See `Client.fetch`."""
        return await self._run(flows.fetch(link, self._policy))

    async def receipt(self, link: str) -> Receipt:
        """Return the state of a message. See `Client.receipt`."""
        return await self._run(flows.receipt(link, self._policy))

    async def burn(self, link: str) -> Receipt:
        """Make a message unreadable now, and return its state. See `Client.burn`."""
        return await self._run(flows.burn(link, self._policy))

    async def limits(self) -> ServerLimits:
        """Return what the server accepts. See `Client.limits`."""
        return await self._run(flows.limits(self._required_server(), self._policy))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, flow: Flow[Result]) -> Result:
        outcome: object = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as end:
                result: Result = end.value
                return result
            outcome = await self._perform(step)

    async def _perform(self, step: Step) -> object:
        if isinstance(step, HttpRequest):
            return await self._transport.send(step)
        if isinstance(step, Sleep):
            self._announce(step)
            await asyncio.sleep(step.seconds)
            return None
        return await asyncio.to_thread(step.call)

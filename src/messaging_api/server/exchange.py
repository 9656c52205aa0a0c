"""One request on a connection, and the facts that its response depends on."""

from typing import Protocol

from messaging_api.server.body import Body, EmptyBody
from messaging_api.web.types import Request


class Exchange:
    """A request. `keep_alive`: another may follow it; `expects_continue`: the client waits for 100 (Continue)."""

    __slots__ = ("body", "expects_continue", "keep_alive", "request")

    def __init__(  # positional, since keywords would cost as much as the rest
        self,
        request: Request,
        body: Body | EmptyBody,
        keep_alive: bool,  # noqa: FBT001
        expects_continue: bool,  # noqa: FBT001
    ) -> None:
        self.request = request
        self.body = body
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue


class ExchangeListener(Protocol):
    """A listener for the events of a parser."""

    def exchange_begun(self, exchange: Exchange) -> None:
        """Take a request whose head is complete. Raises Rejection."""

    def body_awaited(self) -> None:
        """Note that the handler of the request being served waits for its body."""

    def body_continued(self) -> None:
        """Note that the handler no longer waits for its body."""

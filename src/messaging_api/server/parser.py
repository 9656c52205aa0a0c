"""The parser of requests: httptools, with limits and the checks that HTTP requires beyond its syntax."""

from urllib.parse import unquote

import httptools

from messaging_api.errors import InvalidRequest, MessagingError
from messaging_api.server import head
from messaging_api.server.body import EMPTY, Body, EmptyBody
from messaging_api.server.early_responses import Rejection
from messaging_api.server.exchange import Exchange, ExchangeListener
from messaging_api.server.load import WorkerLoad
from messaging_api.web.http_errors import HeadTooLarge, UnsupportedTransferCoding
from messaging_api.web.types import Request

MAX_HEAD = 65_536
"""Bytes of a request's head."""
MAX_HEADER_LINES = 128
CHUNK_FRAMING = 16
"""Bytes around the data of each chunk of a body; further bytes are counted as extensions and trailers."""


class RequestParser:
    """A parser of the bytes from `peer`, which passes each request to `listener`.

    `started` says whether anything came; `in_head`, whether a head has begun and is not complete; `ended`, that no
    request can follow. `receiving` is the exchange whose body is not complete.
    """

    def __init__(self, listener: ExchangeListener, load: WorkerLoad, peer: str, *, secure: bool) -> None:
        self._listener = listener
        self._load = load
        self._peer = peer
        self._secure = secure
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._host: bytes | None = None
        """The host of the last request, which need not be checked again."""
        self._headers: head.Headers = {}
        self._head_size = self._repeated = 0
        self._framing = 0
        """Bytes of a chunked body that are not its data."""
        self._message_ended = False
        """Whether what is parsed now began with the end of an earlier request."""
        self.requests = 0
        """How many heads are complete."""
        self.started = self.in_head = False
        self.ended = False
        self.receiving: Exchange | None = None

    def feed(self, data: bytes) -> None:
        """Parse `data`. Raises Rejection; nothing must be fed after that."""
        self._message_ended = False
        again = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            again = self._without_upgrade() + data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not self.ended:  # what follows the last request does not matter
                raise _rejection(error) from None
        if again is not None:  # outside of the handler: an error in it would be taken for the cause of the next
            self.feed(again)
        elif self.in_head or self.receiving is not None:
            self._check_size(len(data))

    def _check_size(self, size: int) -> None:
        """Limit the head, and what is no data of a chunked body, after `size` more bytes."""
        if self.in_head and not self._message_ended:
            self._head_size += size
            if self._head_size > MAX_HEAD:
                raise Rejection(HeadTooLarge(MAX_HEAD, MAX_HEADER_LINES), "head_too_large")
        elif self.receiving is not None:
            self._framing = max(0, self._framing + size)  # what a chunk leaves unused is not for a later trailer
            if self._framing > MAX_HEAD:  # httptools keeps a trailer until it is complete
                raise Rejection(InvalidRequest("The chunk extensions and trailers are too long."), "malformed")

    def close(self) -> None:
        """Break the reference cycle with httptools, so that the parser does not wait for the garbage collector."""
        del self._parser, self._listener
        self.receiving = None

    def _without_upgrade(self) -> bytes:
        """Return the head of a request without its offer to switch protocols, with which httptools skips the body."""
        parser, self._parser = self._parser, httptools.HttpRequestParser(self)
        return head.without_upgrade(parser.get_method(), self._url, parser.get_http_version(), self._headers)

    def on_message_begin(self) -> None:
        """See `httptools.HTTPProtocol` for this and the methods below."""
        if self.ended:
            raise InvalidRequest("No request can follow.")
        self.started = self.in_head = True
        self._url = b""
        self._headers = {}
        self._head_size = self._repeated = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:  # a trailer: as a header it could say what a proxy had removed (RFC 9110, section 6.5.1)
            return
        headers, name = self._headers, name.lower()
        if len(headers) + self._repeated >= MAX_HEADER_LINES:
            raise HeadTooLarge(MAX_HEAD, MAX_HEADER_LINES)
        if name in headers:
            self._repeated += 1
            head.add(headers, name, value.rstrip(b" \t"))
        else:
            headers[name] = value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        parser, headers, load = self._parser, self._headers, self._load
        method = parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":
                raise InvalidRequest("This server is not a proxy; CONNECT is not supported.")
            return
        keep_alive, modern = parser.should_keep_alive(), True
        if not keep_alive or b"connection" in headers or b"proxy-connection" in headers:
            modern = head.is_modern(parser.get_http_version())
            keep_alive = keep_alive and modern
        body: Body | EmptyBody = EMPTY
        if b"transfer-encoding" in headers:
            head.check_transfer_coding(headers, modern=modern)
            body = self._body(0)
        elif b"content-length" in headers:
            body = self._body(int(headers[b"content-length"].lstrip(b"0") or b"0"))  # int() takes 4,300 digits at most
        path, query, authority = head.split_target(self._url)
        host = headers.get(b"host")
        if host is None or host != self._host or authority is not None:
            host = head.host_of(headers, authority, required=modern)
            self._host = host or None
        if "%" in path:
            path = unquote(path)
        request_id = next(load.request_ids)
        request = Request(method.decode(), path, query, headers, body, host, self._peer, self._secure, request_id)
        expects_continue = b"expect" in headers and modern and headers[b"expect"].lower() == b"100-continue"
        exchange = Exchange(request, body, keep_alive, expects_continue)
        self._listener.exchange_begun(exchange)
        self.in_head = False
        self._framing = 0
        self.requests += 1
        if body is EMPTY:
            self.ended = not keep_alive
        else:
            self.receiving = exchange

    def on_body(self, chunk: bytes) -> None:
        self._framing -= len(chunk) + CHUNK_FRAMING
        if self.receiving is not None:
            self.receiving.body.feed(chunk)

    def on_message_complete(self) -> None:
        exchange, self.receiving = self.receiving, None
        self._message_ended = True
        if exchange is not None:
            self.ended = not exchange.keep_alive
            exchange.body.finish()

    def _body(self, declared: int) -> Body:
        return Body(self._load, declared, self._listener.body_awaited, self._listener.body_continued)


def _rejection(error: httptools.HttpParserError) -> Rejection:
    """Return why the parser stopped. Raise an unexpected error of the listener again."""
    if not isinstance(error, httptools.HttpParserCallbackError):
        return Rejection(InvalidRequest("This is not HTTP/1.1 as in RFC 9112."), "malformed")
    match error.__context__:
        case Rejection() as rejection:
            return rejection
        case MessagingError() as cause:
            return Rejection(cause, _REASONS.get(type(cause), "malformed"))
        case cause:
            raise cause or error


_REASONS: dict[type[MessagingError], str] = {
    HeadTooLarge: "head_too_large",
    UnsupportedTransferCoding: "transfer_coding",
}

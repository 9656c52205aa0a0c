"""One method for each operation of the contract: a Request in, a Response out; errors are raised."""

import re
from functools import cache, lru_cache
from typing import Literal

import msgspec

from messaging_api import __version__
from messaging_api.core.message import MAX_READS
from messaging_api.core.service import CreatedMessage, OpenedMessage, ReceiptStatus, Service
from messaging_api.errors import InvalidRequest
from messaging_api.web.negotiation import wanted
from messaging_api.web.pages.assets import generated
from messaging_api.web.pages.pages import Pages
from messaging_api.web.problems import UnknownAddress
from messaging_api.web.request_body import read_draft
from messaging_api.web.schemas import CreatedMessageBody, DescriptionBody, OpenedMessageBody, ReceiptBody, ServiceLimits
from messaging_api.web.timestamps import format_time
from messaging_api.web.types import HOST, Header, Request, Response

_KEY = re.compile(rb"[!-~]{1,255}")
_AS_JSON: tuple[Header, ...] = ((b"content-type", b"application/json"),)
_AS_TEXT: tuple[Header, ...] = ((b"content-type", b"text/plain; charset=utf-8"),)


_encode = msgspec.json.Encoder().encode


class Handlers:
    """`public_url` is what links begin with; empty: the address the client used."""

    def __init__(self, service: Service, pages: Pages, public_url: str) -> None:
        self._service = service
        self._pages = pages
        self._public_url = public_url
        bounds = service.limits
        limits = ServiceLimits(bounds.max_bytes, bounds.max_ttl, bounds.default_ttl, MAX_READS)
        self._description = _encode(DescriptionBody(200, "messaging_api", __version__, "/docs", limits))

    async def describe(self, request: Request, _name: str) -> Response:
        """GET /"""
        if wanted(request.headers.get(b"accept", b"")).format == "html":
            return self._page("index", request)
        return Response(200, _AS_JSON, self._description)

    async def post(self, request: Request, _name: str) -> Response:
        """POST /"""
        await request.permit.wait()  # first, so that what is refused leaves nothing behind
        base = self._base(request)
        key = request.headers.get(b"idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise InvalidRequest("Idempotency-Key must be 1 to 255 printable ASCII characters without spaces.")
        draft = await read_draft(request, self._service.limits.max_bytes)
        return self._posted(request, base, await self._service.post(draft, key))

    async def read(self, request: Request, message_id: str) -> Response:
        """GET /msg/{message_id}"""
        accept = wanted(request.headers.get(b"accept", b""))
        if accept.format == "html":
            return self._page("reader", request)
        shown = await self._service.read(
            message_id, confirmed=accept.named, counting=request.method != "HEAD", permit=request.permit
        )
        event: Literal["read"] | None = "read" if request.method == "GET" else None
        if accept.format == "text":
            return Response(200, _AS_TEXT, shown.text, shown.tag, event, _facts(shown))
        body = _encode(OpenedMessageBody(200, shown.text.decode(), format_time(shown.expires_at), shown.reads_left))
        facts = _facts(shown) if request.method == "HEAD" else ()
        return Response(200, _AS_JSON, body, shown.tag, event, facts)

    async def receipt(self, request: Request, receipt_id: str) -> Response:
        """GET /receipt/{receipt_id}"""
        if wanted(request.headers.get(b"accept", b"")).format == "html":
            return self._page("receipt", request)
        return _receipt(request, await self._service.receipt(receipt_id, request.permit))

    async def burn(self, request: Request, receipt_id: str) -> Response:
        """DELETE /receipt/{receipt_id}"""
        return _receipt(request, await self._service.burn(receipt_id, request.permit))._replace(event="burned")

    async def contract(self, _request: Request, _name: str) -> Response:
        """GET /openapi.json"""
        return Response(200, _AS_JSON, _contract())

    async def docs(self, request: Request, _name: str) -> Response:
        """GET /docs"""
        return self._page("docs", request)

    async def asset(self, request: Request, name: str) -> Response:
        """GET /assets/{name}"""
        found = self._pages.asset(name, request.headers)
        if found is None:
            raise UnknownAddress
        return found

    def refused(self, request: Request, refusal: Response) -> Response:
        """What a person gets who opened an address or sent a form, and not a program: the refusal as a page."""
        if wanted(request.headers.get(b"accept", b"")).format != "html":
            return refusal
        return self._pages.refused(refusal, request.path, request.headers)

    def _page(self, name: str, request: Request) -> Response:
        return self._pages.page(name, request.headers)

    def _posted(self, request: Request, base: str, posted: CreatedMessage) -> Response:
        url, receipt = f"{base}/msg/{posted.message_id}", f"{base}/receipt/{posted.receipt_id}"
        expires_at = format_time(posted.expires_at)
        location = (b"location", url.encode())
        accept = wanted(request.headers.get(b"accept", b"")).format
        if accept == "html":
            page = self._pages.posted(url, receipt, expires_at, posted.reads, request.headers)
            return page._replace(extra=(location,), tag=posted.tag, event="created")
        if accept == "text":
            return Response(200, _AS_TEXT, f"{url}\n".encode(), posted.tag, "created", (location,))
        body = _encode(CreatedMessageBody(200, posted.message_id, url, expires_at, posted.reads, receipt))
        return Response(200, _AS_JSON, body, posted.tag, "created", (location,))

    def _base(self, request: Request) -> str:
        if self._public_url:
            return self._public_url
        host = request.headers.get(b"host")
        if host is None:
            host = "{}:{}".format(*request.scope["server"]).encode()
        return _origin(request.scope["scheme"], host)


def _receipt(request: Request, receipt: ReceiptStatus) -> Response:
    if wanted(request.headers.get(b"accept", b"")).format == "text":
        return Response(200, _AS_TEXT, f"{receipt.state}\n".encode(), receipt.tag)
    expires_at = format_time(receipt.expires_at)
    body = _encode(ReceiptBody(200, receipt.state, expires_at, receipt.reads, receipt.reads_left))
    return Response(200, _AS_JSON, body, receipt.tag)


def _facts(shown: OpenedMessage) -> tuple[Header, ...]:
    """What a JSON body would tell besides the message."""
    expires_at = (b"x-expires-at", format_time(shown.expires_at).encode())
    return (expires_at,) if shown.reads_left is None else (expires_at, (b"x-reads-left", b"%d" % shown.reads_left))


@lru_cache(64)
def _origin(scheme: str, host: bytes) -> str:
    if not HOST.fullmatch(host):
        raise InvalidRequest("The Host header is not a name or address.")
    return f"{scheme}://{host.decode()}"


@cache
def _contract() -> bytes:
    return generated("openapi.json").read_bytes()

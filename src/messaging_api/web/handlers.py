"""One method for each operation of the contract: a Request in, a Response out; errors are raised."""

import re
from functools import cache, lru_cache
from typing import Literal

from messaging_api import __version__
from messaging_api.core.idempotency import IdempotencyKey
from messaging_api.core.message import MAX_READS, Draft
from messaging_api.core.service import CreatedMessage, FoundReceipt, OpenedMessage, ReceiptStatus, Service
from messaging_api.errors import InvalidRequest, MessageNotFound, MessageTooLarge
from messaging_api.observability.timestamps import format_time
from messaging_api.web.admission import Admission
from messaging_api.web.http_errors import MethodNotAllowed, UnknownAddress
from messaging_api.web.idempotency import idempotency_key
from messaging_api.web.negotiation import accepted_format
from messaging_api.web.pages.assets import generated
from messaging_api.web.pages.pages import Pages
from messaging_api.web.problems import Problem, as_json
from messaging_api.web.request_body import read_draft
from messaging_api.web.responses import Event, HeaderBlock, Response, json_body, lines
from messaging_api.web.schemas import CreatedMessageBody, DescriptionBody, OpenedMessageBody, ReceiptBody, ServiceLimits
from messaging_api.web.types import Request
from messaging_api.web.usage import is_command_line, usage

_JSON = HeaderBlock((b"content-type", b"application/json"))
_TEXT = HeaderBlock((b"content-type", b"text/plain; charset=utf-8"))
_ROBOTS = b"User-agent: *\nDisallow: /\n"
_ENVELOPE = re.compile(rb"e2e[0-9]+\.")
"""How a message begins that was encrypted end to end (docs/encryption.md)."""


class Handlers:
    """The handlers of all addresses. Links begin with `public_url`; if that is empty, with the requested address."""

    def __init__(self, service: Service, pages: Pages, admission: Admission, public_url: str) -> None:
        self._service = service
        self._pages = pages
        self._admission = admission
        self._public_url = public_url
        limits = service.limits
        body = ServiceLimits(limits.max_bytes, limits.max_ttl, limits.default_ttl, MAX_READS, limits.resume_seconds)
        self._description = json_body(DescriptionBody(200, "messaging_api", __version__, "/docs", body))

    async def describe(self, request: Request, _name: str) -> Response:
        """Serve GET /."""
        accept = accepted_format(request.headers.get(b"accept", b""))
        if accept.format == "html":
            return self._pages.page("index", request.headers, request.query)
        if accept.format == "text" or (not accept.named and is_command_line(request.headers.get(b"user-agent", b""))):
            return Response(200, _TEXT, usage(self._address(request), self._service.limits.max_ttl))
        return Response(200, _JSON, self._description)

    async def create(self, request: Request, _name: str) -> Response:
        """Serve POST / and PUT /{name}."""
        client = await self._admission.admit_create(request)  # first, so that a rejected request stores nothing
        base = self._public_url or _origin(request.secure, request.host)
        value = idempotency_key(request)
        key = None if value is None else IdempotencyKey(value, client)
        try:
            draft = await read_draft(request, self._service.limits.max_bytes)
        except MessageTooLarge as error:
            draft = await self._read_repeat(request, key, error)
        return self._created(request, base, await self._service.post(draft, key))

    async def read(self, request: Request, message_id: str) -> Response:
        """Serve GET /msg/{message_id}."""
        accept = accepted_format(request.headers.get(b"accept", b""))
        if accept.format == "html":
            return self._pages.page("reader", request.headers, request.query)
        head = request.method == "HEAD"
        reader_key = None if head else idempotency_key(request)
        check = self._admission.begin_lookup(request)
        try:
            found = await self._service.find(message_id, reader_key)
            await check
            if found.stored is not None:
                opened = await self._service.open(found, confirmed=accept.named, consume=not head)
            else:
                with check.possible_miss():
                    opened = await self._service.resume(found, confirmed=accept.named)
        except MessageNotFound:
            await check.record_miss()
            raise
        event: Event | None = None if head else "resumed" if opened.resumed else "read"
        if accept.format == "text":
            return Response(200, _TEXT, opened.text, lines=_facts(opened), tag=opened.tag, event=event)
        text, expires_at = opened.text.decode(), format_time(opened.expires_at)
        body = json_body(OpenedMessageBody(200, text, expires_at, opened.reads_left))
        return Response(200, _JSON, body, lines=_facts(opened) if head else b"", tag=opened.tag, event=event)

    async def reveal(self, request: Request, message_id: str) -> Response:
        """Serve POST /msg/{message_id}: the form on the page of a message, for browsers without JavaScript.

        An encrypted message is not read, because such a browser cannot open it.
        """
        if _format(request) != "html":
            raise MethodNotAllowed("GET, HEAD")
        check = self._admission.begin_lookup(request)
        try:
            found = await self._service.find(message_id)
            await check
            looked = await self._service.open(found, confirmed=True, consume=False)
            if _ENVELOPE.match(looked.text):
                return self._pages.sealed(request.headers)
            opened = await self._service.open(found, confirmed=True)
        except MessageNotFound:
            await check.record_miss()
            raise
        expires_at = format_time(opened.expires_at)
        response = self._pages.shown(opened.text.decode(), expires_at, opened.reads_left, request.headers)
        response.tag, response.event = opened.tag, "read"
        return response

    async def receipt(self, request: Request, receipt_id: str) -> Response:
        """Serve GET /receipt/{receipt_id}."""
        if _format(request) == "html":
            return self._pages.page("receipt", request.headers, request.query)
        return _receipt(request, await self._service.status(await self._find_receipt(request, receipt_id)))

    async def burn(self, request: Request, receipt_id: str) -> Response:
        """Serve DELETE /receipt/{receipt_id}."""
        status, burned = await self._service.burn(await self._find_receipt(request, receipt_id))
        response = _receipt(request, status)
        if burned:
            response.event = "burned"
        return response

    async def contract(self, _request: Request, _name: str) -> Response:
        """Serve GET /openapi.json."""
        return Response(200, _JSON, _contract())

    async def docs(self, request: Request, _name: str) -> Response:
        """Serve GET /docs."""
        return self._pages.docs(self._address(request))

    async def robots(self, _request: Request, _name: str) -> Response:
        """Serve GET /robots.txt (RFC 9309)."""
        return Response(200, _TEXT, _ROBOTS)

    async def asset(self, request: Request, name: str) -> Response:
        """Serve GET /assets/{name}."""
        asset = self._pages.asset(name, request.headers)
        if asset is None:
            raise UnknownAddress
        return asset

    def problem(self, request: Request, problem: Problem) -> Response:
        """Return `problem` as a page to a person who opened an address or sent a form, and as JSON to a program."""
        if problem.advice:
            address = self._address(request)
            advice = problem.advice.format(url=address, link=address + request.path)
            problem = problem._replace(detail=problem.detail + advice)
        if _format(request) == "html":
            return self._pages.problem(problem, request.path, request.headers)
        return as_json(problem)

    def _address(self, request: Request) -> str:
        """Return the address of the service for commands; the word URL if a client of HTTP/1.0 did not name it."""
        return self._public_url or (_origin(request.secure, request.host) if request.host else "URL")

    async def _read_repeat(self, request: Request, key: IdempotencyKey | None, error: MessageTooLarge) -> Draft:
        """Return a message that is too long but for a repeat: that may be as long as what was posted with its key."""
        size = 0 if key is None else await self._service.earlier_size(key)
        if size <= self._service.limits.max_bytes:
            raise error
        return await read_draft(request, size)

    async def _find_receipt(self, request: Request, receipt_id: str) -> FoundReceipt:
        check = self._admission.begin_lookup(request)
        try:
            found = await self._service.find_receipt(receipt_id)
            await check
        except MessageNotFound:
            await check.record_miss()
            raise
        return found

    def _created(self, request: Request, base: str, created: CreatedMessage) -> Response:
        url, receipt = f"{base}/msg/{created.message_id}", f"{base}/receipt/{created.receipt_id}"
        expires_at = format_time(created.expires_at)
        location = b"location: %b\r\n" % url.encode()
        accept = _format(request)
        if accept == "html":
            response = self._pages.created(url, receipt, expires_at, created.reads, request.headers)
        elif accept == "text":
            response = Response(200, _TEXT, f"{url}\n".encode())
        else:
            body = CreatedMessageBody(200, created.message_id, url, expires_at, created.reads, receipt)
            response = Response(200, _JSON, json_body(body))
        response.lines, response.tag = location, created.tag
        if not created.repeated:
            response.event = "created"
        return response


def _format(request: Request) -> Literal["json", "text", "html"]:
    return accepted_format(request.headers.get(b"accept", b"")).format


def _receipt(request: Request, status: ReceiptStatus) -> Response:
    if _format(request) == "text":
        return Response(200, _TEXT, f"{status.state}\n".encode(), tag=status.tag)
    expires_at = format_time(status.expires_at)
    left = status.reads_left if status.state == "available" else 0
    body = json_body(ReceiptBody(200, status.state, expires_at, status.reads, left))
    return Response(200, _JSON, body, tag=status.tag)


def _facts(opened: OpenedMessage) -> bytes:
    """Return as header lines the fields that a JSON body has besides the message."""
    expires_at = (b"x-expires-at", format_time(opened.expires_at).encode())
    left = opened.reads_left
    return lines([expires_at] if left is None else [expires_at, (b"x-reads-left", b"%d" % left)])


@lru_cache(64)
def _origin(secure: bool, host: bytes) -> str:  # noqa: FBT001 a key of the cache
    if not host:
        raise InvalidRequest("Send a Host header: the link to the message begins with it.")
    return f"{'https' if secure else 'http'}://{host.decode()}"


@cache
def _contract() -> bytes:
    return generated("openapi.json").read_bytes()

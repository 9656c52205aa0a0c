"""The body of a request as a Draft, for each content type of the contract.

A body is kept only as what its sender must have meant. Whatever may mean two things is rejected with UnclearRequest,
which has a command that works. A text/plain body and that of PUT are always the message itself.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from messaging_api.core.message import Draft
from messaging_api.errors import MessageTooLarge
from messaging_api.web.fields import (
    ADD_FIELDS,
    ADD_JSON_TYPE,
    ADD_QUERY,
    ENCODE,
    FIELDS,
    OPTIONS,
    decoded,
    missing,
    once,
    unclear,
    utf8,
)
from messaging_api.web.http_errors import BodyTooLong, UnclearRequest, UnsupportedContentEncoding
from messaging_api.web.json_errors import json_error
from messaging_api.web.multipart import parse_multipart
from messaging_api.web.negotiation import accepted_format, media_type
from messaging_api.web.options import parse_reads, parse_ttl
from messaging_api.web.schemas import CreateMessageBody
from messaging_api.web.timestamps import parse_time
from messaging_api.web.types import Request

ACCEPTED = "application/json, text/plain, application/x-www-form-urlencoded or multipart/form-data"
UPLOAD = "curl -T FILE {url}/"
_BOM = b"\xef\xbb\xbf"
_NAMED = re.compile(rb"(?:^|&)(?:%b)=" % "|".join(FIELDS).encode())
_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}")
_decode = msgspec.json.Decoder(CreateMessageBody).decode


def _from_json(body: bytes, _boundary: str, request: Request) -> Draft:
    _reject_query(request)
    try:
        fields = _decode(body.removeprefix(_BOM))
    except (msgspec.MsgspecError, ValueError):
        raise json_error(body) from None
    return _draft(fields.message, fields.ttl, fields.expires_at, fields.reads)


def _from_text(body: bytes, _boundary: str, request: Request) -> Draft:
    options = once(decoded(request.query, ADD_QUERY)) if request.query else {}
    if "message" in options:
        raise UnclearRequest(f"The body is the message. The query takes only {OPTIONS}.", ADD_QUERY)
    return _draft(utf8(body), **options)


def _from_urlencoded(body: bytes, boundary: str, request: Request) -> Draft:
    if _NAMED.search(body):
        _reject_query(request)
        return _from_fields(once(decoded(body, ENCODE)), request)
    if not body:
        raise UnclearRequest("The message is empty.", ADD_FIELDS)
    if body.removeprefix(_BOM).lstrip().startswith(b"{"):
        raise UnclearRequest("The body looks like JSON with the field message. Name its content type.", ADD_JSON_TYPE)
    if b"=" in body or b"&" in body or _ESCAPED.search(body):
        raise unclear(body)
    return _from_text(body, boundary, request)


def _from_multipart(body: bytes, boundary: str, request: Request) -> Draft:
    _reject_query(request)
    parts = [(utf8(part.name, "name"), part) for part in parse_multipart(body, boundary)]
    files = [name for name, part in parts if part.is_file and name not in FIELDS]
    only = files[0] if len(files) == 1 and all(name != "message" for name, _ in parts) else None
    fields = once(("message" if name == only else name, utf8(part.value, name)) for name, part in parts)
    is_typed = all(name != "message" or not part.is_file for name, part in parts) and only is None
    return _from_fields(fields, request, is_typed=is_typed)


class _Type(NamedTuple):
    """A content type: its parser, and its longest body: `factor` bytes for each byte of message, plus `extra`."""

    read: Callable[[bytes, str, Request], Draft]
    factor: int
    extra: int


_TEXT = _Type(_from_text, 1, 0)
_TYPES = {
    "application/json": _Type(_from_json, 6, 4096),
    "text/plain": _TEXT,
    "application/x-www-form-urlencoded": _Type(_from_urlencoded, 3, 4096),
    "multipart/form-data": _Type(_from_multipart, 1, 16_384),
}


async def read_draft(request: Request, max_bytes: int) -> Draft:
    """Return the message that the request asks to store.

    Raises InvalidRequest, IncompleteBody, UnsupportedContentEncoding; MessageTooLarge as soon as the body is too long.
    """
    name, boundary = media_type(request.headers.get(b"content-type"))
    kind = _type(request.method, name)
    if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedContentEncoding
    try:
        body = await request.body.read(max_bytes * kind.factor + kind.extra)
    except BodyTooLong:
        raise MessageTooLarge(max_bytes) from None
    return kind.read(body, boundary, request)


def _type(method: str, name: str) -> _Type:
    kind = _TYPES.get(name)
    if method == "PUT":
        if kind not in (None, _TEXT):
            raise UnclearRequest("With PUT the body is the message itself. Send fields with POST.", UPLOAD)
        return _TEXT
    if kind is None:
        raise UnclearRequest(f"Content-Type must be {ACCEPTED}.", ADD_FIELDS)
    return kind


def _reject_query(request: Request) -> None:
    if request.query:
        raise UnclearRequest("Put options into the body. Only text/plain takes them from the query.", ADD_FIELDS)


def _from_fields(fields: dict[str, str], request: Request, *, is_typed: bool = True) -> Draft:
    if "message" not in fields:
        raise missing()
    if is_typed and accepted_format(request.headers.get(b"accept", b"")).format == "html":
        # Browsers send the line ends of what was typed as CR LF (HTML, "constructing the entry list").
        fields["message"] = fields["message"].replace("\r\n", "\n")
    return _draft(**fields)


def _draft(
    message: str, ttl: int | str | None = None, expires_at: str | None = None, reads: int | str | None = None
) -> Draft:
    """Return the Draft with these options, which may be text."""
    return Draft(
        message.encode(),
        parse_ttl(ttl) if isinstance(ttl, str) else ttl,
        None if expires_at is None else parse_time(expires_at),
        parse_reads(reads) if isinstance(reads, str) else reads,
    )

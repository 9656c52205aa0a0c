"""The body of POST / as a Draft, for each content type of the contract. Raises InvalidRequest for invalid bodies."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from messaging_api.core.message import Draft
from messaging_api.errors import InvalidRequest, MessageTooLarge
from messaging_api.web.http_errors import BodyTooLong, UnsupportedContentEncoding
from messaging_api.web.multipart import parse_multipart
from messaging_api.web.negotiation import media_type
from messaging_api.web.schemas import CreateMessageBody, CreateMessageForm
from messaging_api.web.timestamps import parse_time
from messaging_api.web.types import Request

_FIELDS = CreateMessageForm.__struct_fields__
_OPTIONS = tuple(name for name in _FIELDS if name != "message")
_NUMBERS = ("ttl", "reads")
ACCEPTED = "application/json, text/plain, application/x-www-form-urlencoded or multipart/form-data"


_decode = msgspec.json.Decoder(CreateMessageBody).decode


def _from_json(body: bytes, _boundary: str, _query: bytes) -> Draft:
    try:
        fields = msgspec.structs.asdict(_decode(body))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The JSON does not describe a message: {error}.") from None
    except (msgspec.MsgspecError, ValueError):
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
    return _draft(fields.pop("message"), fields)


def _from_text(body: bytes, _boundary: str, query: bytes) -> Draft:
    options = _once(_pairs(query)) if query else {}
    if "message" in options:
        raise InvalidRequest(f"With text/plain the body is the message. The query takes only {', '.join(_OPTIONS)}.")
    return _draft(_utf8(body), _numbers_parsed(options))


def _from_urlencoded(body: bytes, _boundary: str, _query: bytes) -> Draft:
    return _from_fields(_once(_pairs(body)))


def _from_multipart(body: bytes, boundary: str, _query: bytes) -> Draft:
    parts = parse_multipart(body, boundary)
    return _from_fields(_once((_utf8(name), _utf8(value)) for name, value in parts))


class _Type(NamedTuple):
    """A content type: its parser, and its longest body: `factor` bytes for each byte of message, plus `extra`."""

    read: Callable[[bytes, str, bytes], Draft]
    factor: int
    extra: int


_TYPES = {
    "application/json": _Type(_from_json, 6, 4096),
    "text/plain": _Type(_from_text, 1, 0),
    "application/x-www-form-urlencoded": _Type(_from_urlencoded, 3, 4096),
    "multipart/form-data": _Type(_from_multipart, 1, 16_384),
}


async def read_draft(request: Request, max_bytes: int) -> Draft:
    """Return the message that the request asks to store.

    Raises InvalidRequest, IncompleteBody, UnsupportedContentEncoding; MessageTooLarge as soon as the body is too long.
    """
    name, boundary = media_type(request.headers.get(b"content-type"))
    kind = _TYPES.get(name)
    if kind is None:
        raise InvalidRequest(f"Content-Type must be {ACCEPTED}.")
    if request.query and name != "text/plain":
        raise InvalidRequest("Put options into the body. Only text/plain takes them from the query.")
    if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedContentEncoding
    try:
        body = await request.body.read(max_bytes * kind.factor + kind.extra)
    except BodyTooLong:
        raise MessageTooLarge(max_bytes) from None
    return kind.read(body, boundary, request.query)


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            encoded.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=len(_FIELDS)
        )
    except ValueError:
        raise InvalidRequest(
            "The body is not a valid form. Send fields such as message=…&ttl=60 in UTF-8; "
            f"the fields are {', '.join(_FIELDS)}."
        ) from None


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in _FIELDS:
            raise InvalidRequest(f"Unknown field; the fields are {', '.join(_FIELDS)}.")
        if name in fields:
            raise InvalidRequest(f"The field {name} occurs twice.")
        fields[name] = value
    return fields


def _from_fields(fields: dict[str, str]) -> Draft:
    if "message" not in fields:
        raise InvalidRequest("The field message is missing.")
    return _draft(fields.pop("message"), _numbers_parsed(fields))


def _numbers_parsed(options: dict[str, str]) -> dict[str, Any]:
    return {name: _number(name, text) if name in _NUMBERS else text for name, text in options.items()}


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidRequest(f"{name} must be a whole number.")
    return int(text)


def _draft(message: str, options: dict[str, Any]) -> Draft:
    """Return the Draft with these options. Their names are the same in CreateMessageBody and in Draft."""
    if options.get("expires_at") is not None:
        options["expires_at"] = parse_time(options["expires_at"])
    return Draft(message.encode(), **options)


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The message is not valid UTF-8.") from None

"""HTTP as values: requests built, answers understood. Pure: nothing here touches a network."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from messaging_api import __version__
from messaging_api.client import errors
from messaging_api.client.errors import ClientError
from messaging_api.client.links import Link
from messaging_api.client.results import Message, Receipt, Sent, ServerLimits

Body = TypeVar("Body")

_COMMON = {"accept-encoding": "identity", "user-agent": f"messaging-api/{__version__}"}
_JSON = {"accept": "application/json", **_COMMON}
_TEXT = {"accept": "text/plain", **_COMMON}


class HttpRequest(NamedTuple):
    """What to ask. `repeatable`: to ask twice does no more than to ask once."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes = b""
    repeatable: bool = True


class HttpResponse(NamedTuple):
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportFailure(NamedTuple):
    """No answer after `took` seconds.

    `sent`: the request, or a part of it, may have got there. `final`: another try would end the same.
    """

    reason: str
    sent: bool
    took: float = 0.0
    final: bool = False


class MessageDraft(msgspec.Struct, omit_defaults=True, frozen=True):
    """The body of POST /."""

    message: str
    ttl: int | None = None
    expires_at: datetime | None = None
    reads: int | None = None


class _CreatedBody(msgspec.Struct):
    url: str
    receipt: str
    expires_at: datetime
    reads: int | None


class _Description(msgspec.Struct):
    limits: ServerLimits


class _ProblemDetails(msgspec.Struct):
    type: str = ""
    title: str = ""
    detail: str = ""


def describe(server: str) -> HttpRequest:
    """GET / for the limits."""
    return HttpRequest("GET", f"{server}/", _JSON)


def post(server: str, draft: MessageDraft, idempotency_key: str, token: str | None) -> HttpRequest:
    """POST /, safe to repeat."""
    headers = {**_JSON, "content-type": "application/json", "idempotency-key": idempotency_key}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return HttpRequest("POST", f"{server}/", headers, msgspec.json.encode(draft))


def read(link: Link, method: str = "GET") -> HttpRequest:
    """GET /msg/…; HEAD counts no read."""
    return HttpRequest(method, link.address, _TEXT, repeatable=method != "GET")


def receipt(link: Link, method: str = "GET") -> HttpRequest:
    """GET /receipt/…; DELETE burns."""
    return HttpRequest(method, link.address, _JSON)


def parse_limits(answer: HttpResponse) -> ServerLimits:
    """What the service accepts."""
    return _body(answer, _Description).limits


def parse_sent(answer: HttpResponse) -> tuple[Link, Sent]:
    """The message's link without a key, and the whole."""
    posted = _body(answer, _CreatedBody)
    try:
        link, own = Link.parse(posted.url, "msg"), Link.parse(posted.receipt, "receipt")
    except errors.BadLink:
        raise errors.UnexpectedResponse("The answer holds no link to a message.") from None
    return link, Sent(link.address, own.address, posted.expires_at, posted.reads)


def parse_message(answer: HttpResponse) -> Message:
    """The message as it was posted: text, or an envelope."""
    if answer.status != 200:
        _raise(answer)
    try:
        left = answer.headers.get("x-reads-left")
        expires_at = msgspec.convert(answer.headers["x-expires-at"], datetime)
        return Message(answer.body.decode(), expires_at, None if left is None else int(left))
    except (KeyError, ValueError):
        raise errors.UnexpectedResponse("What came is not a message.") from None


def parse_receipt(answer: HttpResponse) -> Receipt:
    """What became of the message."""
    return _body(answer, Receipt)


def retry_after(answer: HttpResponse) -> float | None:
    """Seconds to wait, as the server asks (RFC 9110, section 10.2.3); a date counts from the answer's own Date."""
    value = answer.headers.get("retry-after", "")
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        return max((parsedate_to_datetime(value) - parsedate_to_datetime(answer.headers["date"])).total_seconds(), 0)
    except (KeyError, ValueError, TypeError):
        return None


def _body(answer: HttpResponse, kind: type[Body]) -> Body:
    if answer.status != 200:
        _raise(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError:
        raise errors.UnexpectedResponse("The answer is not one of messaging_api's.") from None


PROBLEMS: dict[str, type[ClientError]] = {
    "invalid": errors.RequestRejected,
    "too-large": errors.TooLong,
    "head-too-large": errors.RequestRejected,
    "plain-http": errors.RequestRejected,
    "incomplete": errors.ServerBusy,
    "no-message": errors.NoMessage,
    "name-a-format": errors.UnexpectedResponse,
    "key-reused": errors.RequestRejected,
    "overloaded": errors.ServerBusy,
    "unavailable": errors.ServerBusy,
    "limit": errors.ServerBusy,
    "token": errors.TokenRequired,
    "full": errors.ServerFull,
    "unknown-address": errors.UnexpectedResponse,
    "method-not-allowed": errors.UnexpectedResponse,
    "unexpected": errors.ServerBusy,
}
"""By the slug that ends a problem's type. A test holds it to the service's own table."""


def _raise(answer: HttpResponse) -> NoReturn:
    problem = _ProblemDetails()
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        try:
            problem = msgspec.json.decode(answer.body, type=_ProblemDetails)
        except msgspec.MsgspecError:
            problem = _ProblemDetails()
    kind = PROBLEMS.get(problem.type.rpartition("#")[2]) or _by_status(answer.status)
    text = ". ".join(part.rstrip(".") for part in (problem.title, problem.detail) if part) or f"HTTP {answer.status}"
    if issubclass(kind, errors.ServerBusy):
        raise kind(f"{text}.", retry_after(answer))
    raise kind(f"{text}.")


def _by_status(status: int) -> type[ClientError]:
    if status in (401, 403):
        return errors.TokenRequired
    if status in (429, 500, 502, 503, 504):
        return errors.ServerBusy
    return errors.TooLong if status == 413 else errors.UnexpectedResponse

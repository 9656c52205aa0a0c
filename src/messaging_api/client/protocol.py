"""The HTTP API as values: requests are built and responses parsed here, without any I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from messaging_api import __version__
from messaging_api.client import errors
from messaging_api.client.errors import ClientError, ProblemDetails
from messaging_api.client.links import Link
from messaging_api.client.messages import Message, MessageDraft, Receipt, Sent, ServerLimits

Parsed = TypeVar("Parsed")

_COMMON = {"accept-encoding": "identity", "user-agent": f"messaging-api/{__version__}"}
_OWN_HEADERS = {
    *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type"),
    *("expect", "host", "idempotency-key", "te", "trailer", "transfer-encoding", "upgrade"),
}
_JSON = {"accept": "application/json", **_COMMON}


@dataclass(frozen=True, slots=True)
class Server:
    """The server that messages are sent to: its address without a slash at the end, and the token it requires."""

    address: str
    token: str | None = field(default=None, repr=False)


class HttpRequest(NamedTuple):
    """A request. It is `repeatable` if sending it twice has the same effect as sending it once.

    `timeout` limits each of its steps, in seconds, in addition to the timeout of the client.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes = b""
    repeatable: bool = True
    timeout: float | None = None


class HttpResponse(NamedTuple):
    """A response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportFailure(NamedTuple):
    """A request without a response, given up after `seconds`.

    `sent`: the request, or a part of it, may have reached the server. `permanent`: another attempt would fail too.
    """

    reason: str
    sent: bool
    seconds: float = 0.0
    permanent: bool = False


class _CreatedBody(msgspec.Struct):
    url: str
    receipt: str
    expires_at: datetime
    reads: int | None


class _Description(msgspec.Struct):
    limits: ServerLimits


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case. Raise ValueError, without a value, if one cannot be sent."""
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[ -~\t]*", value):
            raise ValueError("a header must be a name and a text in ASCII, such as X-Key: value")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header {name} is set by the client itself")
    return {name.lower(): value.strip() for name, value in headers.items()}


def limits_request(server: Server) -> HttpRequest:
    """Build GET /, which describes the server."""
    return HttpRequest("GET", f"{server.address}/", _JSON)


def create_request(server: Server, draft: MessageDraft, idempotency_key: str) -> HttpRequest:
    """Build POST /. Its idempotency key makes it repeatable."""
    headers = {**_JSON, "content-type": "application/json", "idempotency-key": idempotency_key}
    if server.token:
        headers["authorization"] = f"Bearer {server.token}"
    return HttpRequest("POST", f"{server.address}/", headers, msgspec.json.encode(draft))


def read_request(link: Link, idempotency_key: str) -> HttpRequest:
    """Build GET /msg/…, which may spend a read. The key makes it repeatable where the server resumes reads."""
    return HttpRequest("GET", link.address, {**_JSON, "idempotency-key": idempotency_key}, repeatable=False)


def peek_request(link: Link) -> HttpRequest:
    """Build HEAD /msg/…, which spends no read."""
    return HttpRequest("HEAD", link.address, _JSON)


def receipt_request(link: Link) -> HttpRequest:
    """Build GET /receipt/…."""
    return HttpRequest("GET", link.address, _JSON)


def burn_request(link: Link) -> HttpRequest:
    """Build DELETE /receipt/…."""
    return HttpRequest("DELETE", link.address, _JSON)


def parse_limits(response: HttpResponse) -> ServerLimits:
    """Return what the server accepts."""
    return _parse_body(response, _Description).limits


def parse_sent(response: HttpResponse) -> tuple[Link, Sent]:
    """Return the link of a created message, without a key, and everything else that the server said."""
    created = _parse_body(response, _CreatedBody)
    try:
        link, receipt = Link.parse(created.url, "msg"), Link.parse(created.receipt, "receipt")
    except errors.BadLink:
        raise errors.UnexpectedResponse("The response contains no link to a message.") from None
    if (link.address, receipt.address) != (created.url, created.receipt):
        raise errors.UnexpectedResponse("The response contains no link to a message.")
    return link, Sent(link.address, receipt.address, created.expires_at, created.reads)


def parse_message(response: HttpResponse) -> Message:
    """Return the message as it was posted: an envelope, or plain text."""
    fields = _parse_body(response, dict[str, object])
    try:
        return msgspec.convert({**fields, "text": fields.get("message")}, Message)
    except msgspec.ValidationError:
        raise errors.UnexpectedResponse("The response is not a message.") from None


def parse_reads_left(response: HttpResponse) -> int | None:
    """Return the reads left of a message, None if unlimited, from a response to HEAD."""
    if response.status != 200:
        _raise_problem(response)
    left = response.headers.get("x-reads-left", "")
    if "x-expires-at" not in response.headers or (left and not left.isdecimal()):
        raise errors.UnexpectedResponse("The response does not describe a message.")
    return int(left) if left else None


def parse_receipt(response: HttpResponse) -> Receipt:
    """Return the state of the message."""
    return _parse_body(response, Receipt)


def retry_after(response: HttpResponse) -> float | None:
    """Return the seconds in Retry-After (RFC 9110, section 10.2.3). A date counts from the response's own Date."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        delay = parsedate_to_datetime(value) - parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(delay.total_seconds(), 0)


def _parse_body(response: HttpResponse, kind: type[Parsed]) -> Parsed:
    if response.status != 200:
        _raise_problem(response)
    try:
        return msgspec.json.decode(response.body, type=kind)
    except msgspec.MsgspecError:
        raise _with_response(errors.UnexpectedResponse(_other_server(response)), response) from None


PROBLEMS: dict[str, type[ClientError]] = {
    "invalid": errors.RequestRejected,
    "too-large": errors.TooLong,
    "head-too-large": errors.RequestRejected,
    "content-encoding": errors.RequestRejected,
    "transfer-coding": errors.RequestRejected,
    "plain-http": errors.RequestRejected,
    "https-required": errors.RequestRejected,
    "incomplete": errors.ServerBusy,
    "no-message": errors.NoMessage,
    "name-a-format": errors.UnexpectedResponse,
    "key-reused": errors.RequestRejected,
    "overloaded": errors.ServerBusy,
    "unavailable": errors.ServerBusy,
    "outcome-unknown": errors.ServerBusy,
    "limit": errors.ServerBusy,
    "token": errors.TokenRequired,
    "full": errors.ServerFull,
    "unknown-address": errors.UnexpectedResponse,
    "method-not-allowed": errors.UnexpectedResponse,
    "unexpected": errors.ServerBusy,
}
"""The error for each problem type (RFC 9457), by the fragment of the type's URI. A test compares the keys with those of
the server."""


def _raise_problem(response: HttpResponse) -> NoReturn:
    problem = _parse_problem(response)
    slug = problem.type.rpartition("#")[2] if problem else ""
    kind = PROBLEMS.get(slug) or _error_for_status(response.status)
    text = _problem_text(problem) if problem else ""
    text = text or _other_server(response)
    if issubclass(kind, errors.ServerBusy):
        raise _with_response(kind(text, retry_after(response)), response, problem)
    raise _with_response(kind(text), response, problem)


def _with_response(error: ClientError, response: HttpResponse, problem: ProblemDetails | None = None) -> ClientError:
    error.status, error.problem = response.status, problem
    error.request_id = response.headers.get("x-request-id")
    return error


def _problem_text(problem: ProblemDetails) -> str:
    parts = [part.rstrip(".") for part in (problem.title, problem.detail) if part]
    return f"{'. '.join(parts)}." if parts else ""


def _other_server(response: HttpResponse) -> str:
    """Describe a response that messaging_api did not make."""
    kind = response.headers.get("content-type", "").partition(";")[0][:100]
    server = response.headers.get("server", "")[:100]
    said = " ".join(
        [f"HTTP {response.status}", *([f"with {kind}"] if kind else []), *([f"from {server}"] if server else [])]
    )
    if response.headers.get("location", "").startswith("https://") and response.status in (301, 302, 307, 308):
        return f"The server redirects to https:// ({said}). Is this its address?"
    if response.status == 400 and re.search(rb"HTTPS (port|server)|SSL-enabled", response.body[:2000]):
        return f"The server expects https:// instead of http:// ({said})."
    return f"The response does not come from messaging_api: {said}."


def _parse_problem(response: HttpResponse) -> ProblemDetails | None:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        return msgspec.json.decode(response.body, type=ProblemDetails)
    except msgspec.MsgspecError:
        return None


def _error_for_status(status: int) -> type[ClientError]:
    if status in (401, 403):
        return errors.TokenRequired
    if status in (429, 500, 502, 503, 504):
        return errors.ServerBusy
    return errors.TooLong if status == 413 else errors.UnexpectedResponse

"""The client's operations as generators, which do no I/O.

A flow yields steps: requests to send, pauses, and computations. `Client` and `AsyncClient` perform each step and send
its outcome back into the flow.
"""

import math
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import msgspec

from messaging_api.client import protocol
from messaging_api.client.durations import format_duration
from messaging_api.client.envelope import Key, decrypt, encrypt, max_text_bytes
from messaging_api.client.errors import (
    ClientError,
    NoMessage,
    PasswordMissing,
    ReadInterrupted,
    RequestRejected,
    ServerBusy,
    TooLong,
    UnexpectedResponse,
    Unreachable,
)
from messaging_api.client.links import Link
from messaging_api.client.messages import Message, MessageDraft, Receipt, Sent, ServerLimits
from messaging_api.client.protocol import HttpRequest, HttpResponse, Server, TransportFailure
from messaging_api.client.retry import RetryPolicy, is_retryable

Result = TypeVar("Result")

_UNCHECKED_BYTES = 4096
"""Messages up to this length are sent without asking for the server's limit first."""
_RESUME_SHARE = 0.8
"""The share of the time for which a server resumes a read in which the read is repeated: later it may spend another."""
_MAX_READ_ATTEMPTS = 4
"""Attempts to read a message with unlimited reads while each response breaks."""


def _steady_time() -> float:
    """Return seconds of a clock that is never set and, where there is one, goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Sleep(NamedTuple):
    """A pause of `seconds`; `reason` is fit for users."""

    seconds: float
    reason: str


class RunInThread(NamedTuple):
    """A computation that would block an event loop."""

    call: Callable[[], object]


Step = HttpRequest | Sleep | RunInThread
Flow = Generator[Step, Any, Result]
"""Steps to perform. The outcome of a request is an HttpResponse or a TransportFailure, that of a RunInThread what its
call returned, that of a Sleep None."""


def limits(server: Server, policy: RetryPolicy) -> Flow[ServerLimits]:
    """Return what the server accepts."""
    return protocol.parse_limits((yield from _request(protocol.limits_request(server), policy)))


def send(
    server: Server, draft: MessageDraft, policy: RetryPolicy, *, password: str | None, encrypted: bool
) -> Flow[Sent]:
    """Encrypt the draft's message if `encrypted` is set, and post the draft."""
    _require_str_or_none("password", password)
    if password is not None and not (encrypted and password):
        raise ValueError("password must not be empty, and requires encryption")
    key = Key.new(password=password is not None) if encrypted else None
    posted: str = (yield RunInThread(lambda: encrypt(draft.message, key, password))) if key else draft.message
    if len(posted) > _UNCHECKED_BYTES:
        _check_length(draft.message, posted, (yield from limits(server, policy)).max_message_bytes, encrypted=encrypted)
    request = protocol.create_request(server, msgspec.structs.replace(draft, message=posted), str(uuid.uuid4()))
    try:
        link, sent = protocol.parse_sent((yield from _request(request, policy)))
    except RequestRejected as error:
        if error.status == 400:
            yield from _explain_rejection(error, server, draft, policy)
        raise
    return replace(sent, link=link.with_key(key))


def _require_str_or_none(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")


def _explain_rejection(error: RequestRejected, server: Server, draft: MessageDraft, policy: RetryPolicy) -> Flow[None]:
    """Raise a copy of `error` that says which limit of the server the draft exceeds. Return if it exceeds none."""
    try:
        accepted = yield from limits(server, policy)
    except (Unreachable, ServerBusy, UnexpectedResponse):
        return
    text = ""
    if draft.ttl is not None and not 1 <= draft.ttl <= accepted.max_ttl:
        longest = format_duration(accepted.max_ttl)
        text = f"The lifetime is {format_duration(draft.ttl)}; this server accepts 1s to {longest}."
    elif draft.reads is not None and not 1 <= draft.reads <= accepted.max_reads:
        text = f"The number of reads is {draft.reads}; this server accepts 1 to {accepted.max_reads}."
    if text:
        explained = RequestRejected(text)
        explained.status, explained.request_id, explained.problem = error.status, error.request_id, error.problem
        raise explained from error


def _check_length(text: str, posted: str, max_bytes: int, *, encrypted: bool) -> None:
    if len(posted.encode()) > max_bytes:
        most, how = (max_text_bytes(max_bytes), "encrypted") if encrypted else (max_bytes, "unencrypted")
        raise TooLong(f"The text has {len(text.encode())} bytes; this server accepts at most {most}, {how}.")


def receipt(link: str, policy: RetryPolicy) -> Flow[Receipt]:
    """Return the state of a message."""
    return protocol.parse_receipt((yield from _request(protocol.receipt_request(Link.parse(link, "receipt")), policy)))


def burn(link: str, policy: RetryPolicy) -> Flow[Receipt]:
    """Burn a message and return its state."""
    return protocol.parse_receipt((yield from _request(protocol.burn_request(Link.parse(link, "receipt")), policy)))


def read(link: str, password: str | None, policy: RetryPolicy) -> Flow[Message]:
    """Fetch and decrypt a message. Raise PasswordMissing before the fetch if the link requires a password."""
    _require_str_or_none("password", password)
    key = Link.parse(link, "msg").key
    if key and key.password and not password:
        raise PasswordMissing("The message requires a password. It was not fetched yet.")
    message = yield from fetch(link, policy)
    text: str = yield RunInThread(lambda: decrypt(message.text, key, password))
    return replace(message, text=text)


def fetch(link: str, policy: RetryPolicy) -> Flow[Message]:
    """Return a message as it was posted.

    This may spend a read, so it is repeated only if

    - no read can have been spent: the request did not reach the server, or the server said that it did nothing;
    - or the server resumes reads, so that the same key spends no second one;
    - or the message has unlimited reads, according to a HEAD request, which spends none.
    """
    parsed = Link.parse(link, "msg")
    request = protocol.read_request(parsed, str(uuid.uuid4()))
    interrupted = False
    for _ in range(_MAX_READ_ATTEMPTS):
        begin = _steady_time()
        outcome = yield from _with_retries(request, policy)
        if _is_interrupted(outcome):
            interrupted = True
            outcome = (yield from _resume(request, Server(parsed.server), policy, begin)) or outcome
        if isinstance(outcome, HttpResponse) and not _is_interrupted(outcome):
            return _fetched(outcome, interrupted=interrupted)
        if isinstance(outcome, TransportFailure) and not outcome.sent:
            raise Unreachable(outcome.reason)
        yield from _require_unlimited_reads(parsed, policy)
    raise ReadInterrupted("The connection broke during the read, each time it was tried.", None)


def _is_interrupted(outcome: HttpResponse | TransportFailure) -> bool:
    """Return whether a read may have been spent without a response that shows it."""
    return outcome.sent if isinstance(outcome, TransportFailure) else outcome.status in (500, 502, 504)


def _resume(request: HttpRequest, server: Server, policy: RetryPolicy, begin: float) -> Flow[HttpResponse | None]:
    """Repeat an interrupted read that began at `begin`, in `_steady_time`; None if the server does not resume reads."""
    try:
        window = (yield from limits(server, policy)).resume_seconds
    except (Unreachable, ServerBusy, UnexpectedResponse):
        raise _unknown() from None
    end = begin + window * _RESUME_SHARE
    if _steady_time() >= end:
        return None
    outcome = yield from _with_retries(request._replace(repeatable=True), policy, end)
    if not isinstance(outcome, HttpResponse) or _is_interrupted(outcome):
        raise _unknown()  # also if this attempt was not sent: the first one was
    return outcome


def _fetched(response: HttpResponse, *, interrupted: bool) -> Message:
    try:
        return protocol.parse_message(response)
    except NoMessage:
        if interrupted:
            raise _gone() from None
        raise
    except ClientError:
        if interrupted:  # this response says nothing about the attempt before
            raise _unknown() from None
        raise


def _unknown() -> ReadInterrupted:
    return ReadInterrupted("The connection broke during the read. Whether that spent a read is not known.", None)


def _gone() -> ReadInterrupted:
    return ReadInterrupted("The connection broke during the read, and the message no longer exists.", 0)


def _require_unlimited_reads(link: Link, policy: RetryPolicy) -> Flow[None]:
    """Raise ReadInterrupted unless the message of an interrupted read has unlimited reads."""
    try:
        response = yield from _request(protocol.peek_request(link), policy)
        if response.status == 404:
            raise _gone()
        left = protocol.parse_reads_left(response)
    except (Unreachable, ServerBusy, UnexpectedResponse):
        raise _unknown() from None
    if left is not None:
        text = "The connection broke during the read, which may have spent a read."
        raise ReadInterrupted(f"{text} Reads left: {left}.", left)


def _request(request: HttpRequest, policy: RetryPolicy) -> Flow[HttpResponse]:
    outcome = yield from _with_retries(request, policy)
    if isinstance(outcome, TransportFailure):
        raise Unreachable(outcome.reason)
    return outcome


def _with_retries(
    request: HttpRequest, policy: RetryPolicy, end: float = math.inf
) -> Flow[HttpResponse | TransportFailure]:
    """Send `request` until its outcome is final or the policy's limits are reached.

    No attempt begins or waits after `end`, in `_steady_time`.
    """
    spent, attempts = 0.0, 0
    while True:
        left = end - _steady_time()
        outcome: HttpResponse | TransportFailure = yield request._replace(timeout=left if end < math.inf else None)
        attempts += 1
        spent += outcome.seconds if isinstance(outcome, TransportFailure) else 0.0
        delay = policy.delay(attempts, spent, outcome) if is_retryable(request, outcome) else None
        if delay is None or _steady_time() + delay >= end:
            return outcome
        yield Sleep(delay, outcome.reason if isinstance(outcome, TransportFailure) else "the server is busy")
        spent += delay

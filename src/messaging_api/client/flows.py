"""What the client does, as work for whoever runs it: all of it but the network. One way for both colours."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from messaging_api.client import protocol
from messaging_api.client.envelope import Key, decrypt, encrypt, longest
from messaging_api.client.errors import (
    NoMessage,
    PasswordMissing,
    ReadInterrupted,
    ServerBusy,
    TooLong,
    UnexpectedResponse,
    Unreachable,
)
from messaging_api.client.links import Link
from messaging_api.client.protocol import HttpRequest, HttpResponse, MessageDraft, TransportFailure
from messaging_api.client.results import Message, Receipt, Sent, ServerLimits
from messaging_api.client.retry import Flow, RetryPolicy, RunInThread, with_retries

_UNCHECKED_BYTES = 4096
"""Bytes up to which a message is sent without asking for the limit first; a server that takes less says so itself."""
_MAX_ATTEMPTS = 4
"""How often a message with any number of reads is asked for when its answer breaks."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as its sender wants it."""

    text: str = field(repr=False)
    ttl: int | timedelta | None = None
    expires_at: datetime | None = None
    reads: int | None = None
    password: str | None = field(default=None, repr=False)
    encrypt: bool = True


def limits(server: str, policy: RetryPolicy) -> Flow[ServerLimits]:
    """What the service accepts."""
    return protocol.parse_limits((yield from _ask(protocol.describe(server), policy)))


def send(server: str, token: str | None, out: Outgoing, policy: RetryPolicy) -> Flow[Sent]:
    """Encrypt and post."""
    if not out.text:
        raise ValueError("the text is empty")
    if out.password is not None and not (out.encrypt and out.password):
        raise ValueError("a password needs encryption, and is not empty")
    key = Key.new(password=out.password is not None) if out.encrypt else None
    text: str = (yield RunInThread(lambda: encrypt(out.text, key, out.password))) if key else out.text
    if len(text) > _UNCHECKED_BYTES:
        _fit(out, text, (yield from limits(server, policy)))
    ttl = int(out.ttl.total_seconds()) if isinstance(out.ttl, timedelta) else out.ttl
    draft = MessageDraft(text, ttl, out.expires_at, out.reads)
    link, sent = protocol.parse_sent((yield from _ask(protocol.post(server, draft, str(uuid.uuid4()), token), policy)))
    return replace(sent, link=link.with_key(key))


def _fit(out: Outgoing, posted: str, bounds: ServerLimits) -> None:
    if len(posted.encode()) > bounds.max_message_bytes:
        most = longest(bounds.max_message_bytes) if out.encrypt else bounds.max_message_bytes
        how = "encrypted" if out.encrypt else "plain"
        raise TooLong(f"The text has {len(out.text.encode())} bytes; this server takes at most {most}, {how}.")


def receipt(link: str, policy: RetryPolicy, method: str = "GET") -> Flow[Receipt]:
    """Ask for what became of a message, or burn it."""
    parsed = Link.parse(link, "receipt")
    return protocol.parse_receipt((yield from _ask(protocol.receipt(parsed, method), policy)))


def read(link: str, password: str | None, policy: RetryPolicy) -> Flow[Message]:
    """Fetch and decrypt. A password that is known to be missing is told before anything is spent."""
    key = Link.parse(link, "msg").key
    if key and key.password and not password:
        raise PasswordMissing("The message takes a password; nothing was fetched yet.")
    message = yield from fetch(link, policy)
    text: str = yield RunInThread(lambda: decrypt(message.text, key, password))
    return replace(message, text=text)


def fetch(link: str, policy: RetryPolicy) -> Flow[Message]:
    """The message as it was posted. This spends a read if they are counted, so it is asked again only if

    - nothing can have been spent: the request did not get there, or the server said that it did nothing, or
    - the message turns out to have any number of reads (a HEAD, which counts none, tells).
    """
    parsed = Link.parse(link, "msg")
    doubt = False
    for _ in range(_MAX_ATTEMPTS):
        outcome = yield from with_retries(protocol.read(parsed), policy)
        if isinstance(outcome, HttpResponse) and outcome.status not in (500, 502, 504):
            return _handed_over(outcome, doubt=doubt)
        if isinstance(outcome, TransportFailure) and not outcome.sent:
            raise Unreachable(outcome.reason)
        doubt = True
        yield from _refuse_if_counted(parsed, policy)
    raise ReadInterrupted("The connection breaks each time the message is handed over.", None)


def _handed_over(answer: HttpResponse, *, doubt: bool) -> Message:
    try:
        return protocol.parse_message(answer)
    except NoMessage:
        if doubt:
            raise _gone() from None
        raise


def _gone() -> ReadInterrupted:
    return ReadInterrupted("The connection broke while the message was handed over, and now there is none.", 0)


def _refuse_if_counted(link: Link, policy: RetryPolicy) -> Flow[None]:
    """Raise ReadInterrupted unless the message that was asked for in vain can be read any number of times."""
    try:
        answer = yield from _ask(protocol.read(link, "HEAD"), policy)
        if answer.status == 404:
            raise _gone()
        left = protocol.parse_message(answer).reads_left
    except (Unreachable, ServerBusy, UnexpectedResponse):
        told = "The connection broke while the message was handed over; whether that spent a read is not known."
        raise ReadInterrupted(told, None) from None
    if left is not None:
        told = "The connection broke while the message was handed over; that may have spent a read."
        raise ReadInterrupted(f"{told} Reads left: {left}.", left)


def _ask(request: HttpRequest, policy: RetryPolicy) -> Flow[HttpResponse]:
    outcome = yield from with_retries(request, policy)
    if isinstance(outcome, TransportFailure):
        raise Unreachable(outcome.reason)
    return outcome

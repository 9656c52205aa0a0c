"""What the client does, as work for whoever runs it: all of it but the network. One way for both colours."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from messaging_api.client import protocol
from messaging_api.client.envelope import Key, decrypt, encrypt, longest
from messaging_api.client.errors import (
    Busy,
    NoMessage,
    NotTheService,
    PasswordMissing,
    ReadInterrupted,
    TooLong,
    Unreachable,
)
from messaging_api.client.links import Link
from messaging_api.client.protocol import Answer, Broken, Draft, Request
from messaging_api.client.results import Limits, Message, Receipt, Sent
from messaging_api.client.retry import Compute, Patience, Work, persist

_UNASKED = 4096
"""Bytes up to which a message is sent without asking for the limit first; a server that takes less says so itself."""
_HANDOVERS = 4
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


def limits(server: str, patience: Patience) -> Work[Limits]:
    """What the service accepts."""
    return protocol.limits_in((yield from _ask(protocol.describe(server), patience)))


def send(server: str, token: str | None, out: Outgoing, patience: Patience) -> Work[Sent]:
    """Encrypt and post."""
    if not out.text:
        raise ValueError("the text is empty")
    if out.password is not None and not (out.encrypt and out.password):
        raise ValueError("a password needs encryption, and is not empty")
    key = Key.new(password=out.password is not None) if out.encrypt else None
    text: str = (yield Compute(lambda: encrypt(out.text, key, out.password))) if key else out.text
    if len(text) > _UNASKED:
        _fit(out, text, (yield from limits(server, patience)))
    ttl = int(out.ttl.total_seconds()) if isinstance(out.ttl, timedelta) else out.ttl
    draft = Draft(text, ttl, out.expires_at, out.reads)
    link, sent = protocol.sent_in((yield from _ask(protocol.post(server, draft, str(uuid.uuid4()), token), patience)))
    return replace(sent, link=link.with_key(key))


def _fit(out: Outgoing, posted: str, bounds: Limits) -> None:
    if len(posted.encode()) > bounds.max_message_bytes:
        most = longest(bounds.max_message_bytes) if out.encrypt else bounds.max_message_bytes
        how = "encrypted" if out.encrypt else "plain"
        raise TooLong(f"The text has {len(out.text.encode())} bytes; this server takes at most {most}, {how}.")


def receipt(link: str, patience: Patience, method: str = "GET") -> Work[Receipt]:
    """Ask for what became of a message, or burn it."""
    parsed = Link.parse(link, "receipt")
    return protocol.receipt_in((yield from _ask(protocol.receipt(parsed, method), patience)))


def read(link: str, password: str | None, patience: Patience) -> Work[Message]:
    """Fetch and decrypt. A password that is known to be missing is told before anything is spent."""
    key = Link.parse(link, "msg").key
    if key and key.password and not password:
        raise PasswordMissing("The message takes a password; nothing was fetched yet.")
    message = yield from fetch(link, patience)
    text: str = yield Compute(lambda: decrypt(message.text, key, password))
    return replace(message, text=text)


def fetch(link: str, patience: Patience) -> Work[Message]:
    """The message as it was posted. This spends a read if they are counted, so it is asked again only if

    - nothing can have been spent: the request did not get there, or the server said that it did nothing, or
    - the message turns out to have any number of reads (a HEAD, which counts none, tells).
    """
    parsed = Link.parse(link, "msg")
    doubt = False
    for _ in range(_HANDOVERS):
        outcome = yield from persist(protocol.read(parsed), patience)
        if isinstance(outcome, Answer) and outcome.status not in (500, 502, 504):
            return _handed_over(outcome, doubt=doubt)
        if isinstance(outcome, Broken) and not outcome.sent:
            raise Unreachable(outcome.reason)
        doubt = True
        yield from _refuse_if_counted(parsed, patience)
    raise ReadInterrupted("The connection breaks each time the message is handed over.", None)


def _handed_over(answer: Answer, *, doubt: bool) -> Message:
    try:
        return protocol.message_in(answer)
    except NoMessage:
        if doubt:
            raise _gone() from None
        raise


def _gone() -> ReadInterrupted:
    return ReadInterrupted("The connection broke while the message was handed over, and now there is none.", 0)


def _refuse_if_counted(link: Link, patience: Patience) -> Work[None]:
    """Raise ReadInterrupted unless the message that was asked for in vain can be read any number of times."""
    try:
        answer = yield from _ask(protocol.read(link, "HEAD"), patience)
        if answer.status == 404:
            raise _gone()
        left = protocol.message_in(answer).reads_left
    except (Unreachable, Busy, NotTheService):
        told = "The connection broke while the message was handed over; whether that spent a read is not known."
        raise ReadInterrupted(told, None) from None
    if left is not None:
        told = "The connection broke while the message was handed over; that may have spent a read."
        raise ReadInterrupted(f"{told} Reads left: {left}.", left)


def _ask(request: Request, patience: Patience) -> Work[Answer]:
    outcome = yield from persist(request, patience)
    if isinstance(outcome, Broken):
        raise Unreachable(outcome.reason)
    return outcome
